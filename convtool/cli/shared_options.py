"""The options that commands share, in groups, and what follows from their values.

The help of a command has the groups in the order of dataclass fields, that of the last base class first.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal, TypedDict

from convtool.cli.options import MOST_HZ, arguments, choice, flag, given, integer, parsed, real, text, texts
from convtool.errors import InputError, UsageError
from convtool.files.names import counted, show

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from convtool.signals.inputs import Input, Selection
    from convtool.signals.length import Length
    from convtool.signals.opening import ReadOptions, WriteOptions
    from convtool.signals.raw import RawLayout

Dtype = Literal["float32", "float64"]
Layout = Literal["NCT", "NTC", "HWC"]
PaddingMode = Literal["zeros", "reflect", "replicate", "circular"]
_Header = Literal["auto", "yes", "no"]
_Missing = Literal["error", "nan"]
_Decimal = Literal[".", ","]
_Device = Literal["auto", "cpu", "cuda", "mps"]


@dataclass(frozen=True)
class SourceOptions:
    """What is read."""

    COMES_FIRST: ClassVar = True
    RAW_ONLY: ClassVar[tuple[str, ...]] = ("channels", "skip_bytes")
    """Options that say something of raw numbers alone."""

    inputs: tuple[str, ...] = arguments("INPUT...")
    input_list: str | None = text("Read input paths from FILE (- is standard input), one a line.", metavar="FILE")
    null: bool = flag("The paths of --input-list are separated by NUL.", "-0")
    include: tuple[str, ...] = texts(
        "Of folders, take the files that fit, whatever they are; give it for each pattern, such as '*.csv'.",
        metavar="PATTERN",
    )
    exclude: tuple[str, ...] = texts("Of folders, leave out files and sub-folders that fit.", metavar="PATTERN")
    input_format: str | None = text(
        "Format of the inputs, instead of looking at their content; raw:s16le, raw:f32le... for numbers without a "
        "header, kernels too.",
        metavar="FORMAT",
    )
    channels: int | None = integer("Channels of raw numbers. [default: 1]", least=1, most=1024, metavar="N")
    skip_bytes: int = integer("Bytes before the first of raw numbers.", least=0, default=0, metavar="N")
    columns: str | None = text("Columns of a text to work on: names, numbers from 1, ranges (2-4).", metavar="NAMES")
    header: _Header = choice(_Header, "Whether a text has names of columns above its numbers.", default="auto")
    skip: int = integer("Pass over the first lines of a text.", least=0, default=0, metavar="ROWS")
    comment: str | None = text(
        "What begins a comment in a text, also at the end of a row. [default: # % ; ! * above the numbers]",
        metavar="CHARS",
    )
    delimiter: str | None = text("What stands between the cells of a text. [default: told from it]", metavar="CHAR")
    decimal: _Decimal = choice(_Decimal, "Decimal mark of a text.", default=".")
    thousands: str | None = text("What stands between groups of three digits in a text.", metavar="CHAR")
    missing: _Missing = choice(_Missing, "What empty cells, NA, N/A, null and - are in a text.", default="error")
    nodata: float | None = real("A number that stands for a missing one in a text: it is NaN.", metavar="NUMBER")
    sample_rate: int | None = integer(
        "Sample rate of inputs that have none (CSV, NPY, raw).", least=1, most=MOST_HZ, metavar="HZ"
    )

    def find_inputs(self) -> tuple[list[Input], list[str]]:
        """The inputs that are meant, and the files of folders that were passed over."""
        from convtool.signals.inputs import expand, read_list
        from convtool.signals.length import UNITS

        for word in self.inputs:
            if word.lower() in UNITS and not os.path.lexists(word):
                raise UsageError(f"'{word}' is no input; a time is written without a blank: 50{word}")
        if self.null and self.input_list is None:
            raise UsageError("-0 says how --input-list is separated; give that too")
        listed = [] if self.input_list is None else read_list(self.input_list, null=self.null)
        inputs, passed = expand(self.inputs, listed, self.selection())
        if not inputs or (self.input_list is not None and not listed and not self.inputs):
            raise InputError(self._nothing_found(passed))
        return inputs, passed

    def selection(self) -> Selection:
        """Which files of folders are meant."""
        from convtool.signals.inputs import Selection

        return Selection(self.include, self.exclude, self.raw_layout() is not None)

    def _nothing_found(self, passed: Sequence[str]) -> str:
        if not self.inputs:
            return f"there is no path in --input-list {show(str(self.input_list))}"
        where = f"there is no signal file in {', '.join(map(show, self.inputs))}"
        if self.include or self.exclude:
            patterns = [f"--include {show(each)}" for each in self.include]
            patterns += [f"--exclude {show(each)}" for each in self.exclude]
            return f"{where} that {' '.join(patterns)} leaves; patterns are of names, or of paths below the folder"
        left = f": {counted(len(passed), 'file')} passed over, such as {show(passed[0])}" if passed else ": it is empty"
        return where + left + "; --include takes them whatever they are" * bool(passed)

    def takes_stdin(self) -> bool:
        """Whether standard input is an input, or the list of them."""
        return "-" in (*self.inputs, self.input_list) or not (self.inputs or self.input_list)

    def raw_layout(self) -> RawLayout | None:
        """How the numbers of inputs without a header lie there, where the options say."""
        form = (self.input_format or "").lower()
        if not form.startswith("raw"):
            if found := given(self, *self.RAW_ONLY):
                raise UsageError(f"{found[0]} says how raw numbers lie; give --input-format raw:s16le and such too")
            return None
        from convtool.signals.raw import ENCODINGS, RawLayout

        encoding = form.removeprefix("raw:")
        if encoding not in ENCODINGS:
            raise UsageError(f"--input-format {show(form)}: raw numbers are raw:{', raw:'.join(ENCODINGS)}")
        return RawLayout(encoding, self.channels or 1, self.skip_bytes, self.sample_rate)

    def read_options(self, layout: Layout, dtype: Dtype | None, keep: str | None = None) -> ReadOptions:
        """How the inputs are read, to be worked in `dtype`; the columns `keep` of texts go to the output."""
        from convtool.files.formats import NAMES, family
        from convtool.signals.opening import ReadOptions
        from convtool.signals.text.options import TextOptions

        raw = self.raw_layout()
        form = self.input_format and self.input_format.lower() if raw is None else None
        if form is not None and family(form) is None:
            raise UsageError(f"--input-format {show(form)}: convtool knows {', '.join(NAMES)}, and raw:s16le and such")
        read = TextOptions(
            columns=self.columns,
            keep=keep,
            header=self.header,
            skip=self.skip,
            comment=self.comment,
            delimiter=self.delimiter,
            decimal=self.decimal,
            thousands=self.thousands,
            missing=self.missing,
            nodata=self.nodata,
        )
        return ReadOptions(form, read.checked(), layout, dtype is None, self.sample_rate, raw=raw)


@dataclass(frozen=True)
class InputOptions(SourceOptions):
    """What is read, and how its axes stand."""

    keep_columns: str | None = text(
        "Columns of a text that go to the output as they are, where it has a row for each of theirs.", metavar="NAMES"
    )
    layout: Layout = choice(
        Layout, "Axes of NPY arrays: time last, or before channels; or rows, columns, colours.", default="NCT"
    )

    def refuse_kept(self, changes: Mapping[str, bool]) -> None:
        """Refuse columns to keep beside what changes the rows: `changes` tells what would, and whether it does."""
        from convtool.signals.text.kept import WAY_OUT

        found = next((what for what, does in changes.items() if does), None)
        if self.keep_columns is not None and found is not None:
            raise UsageError(f"{found} gives other rows; {WAY_OUT}")


@dataclass(frozen=True)
class OutputOptions:
    """Where signals are written, and how."""

    output: str | None = text(
        "FILE, DIR/, or a template with {stem} {ext} {name} {parent} {index}; - is standard output.",
        "-o --output",
        metavar="PATH",
    )
    format: str | None = text(
        "Output format: csv, npy, wav, flac, ogg, opus, mp3, aiff, png... [default: by extension, else the input's]",
        metavar="FORMAT",
    )
    subtype: str | None = text(
        "Encoding inside an audio format: PCM_16, PCM_24, FLOAT...; bits of a picture: 8, 16, FLOAT. [default: the "
        "input's, where it fits]",
        metavar="NAME",
    )
    precision: int | None = integer(
        "Significant digits of numbers in text. [default: as many as read back to the same number]",
        least=1,
        most=17,
        metavar="DIGITS",
    )
    overwrite: bool = flag("Replace outputs that exist.")
    skip_existing: bool = flag("Leave outputs that are there and complete, and do the others.")
    no_metadata: bool = flag("Leave out what the inputs say of themselves: tags, chunks of WAV, loudspeakers.")
    fail_on_clip: bool = flag("Exit 3, and write nothing, where samples would be clipped.")

    def writing(self) -> WriteOptions:
        """How the outputs are written."""
        written = write_options(self.format, self.subtype, self.precision, overwrite=self.overwrite)
        return replace(written, metadata=not self.no_metadata, whole=self.fail_on_clip)


@dataclass(frozen=True)
class ComputeOptions:
    """How numbers are worked."""

    dtype: Dtype | None = choice(Dtype, "Precision to work in. [default: the input's]")
    device: _Device = choice(_Device, "Where to compute.", default="auto")
    threads: int | None = integer(
        "Threads for one input. [default: the cores, shared among the jobs]", least=1, most=1024, metavar="N"
    )


@dataclass(frozen=True)
class RunOptions:
    """How many inputs are gone through, and what is reported of them."""

    jobs: int | None = integer("Inputs worked on side by side. [default: the cores]", least=1, most=1024, metavar="N")
    fail_fast: bool = flag("Stop at the first input that fails.")
    report: str | None = text("Write one JSON object a line for each input.", metavar="FILE")
    as_json: bool = flag("Print the report on standard output.", "--json")
    dry_run: bool = flag("Print what would be read and written, and do nothing.")
    no_progress: bool = flag("Show no progress bar.")

    @property
    def on_cluster(self) -> bool:
        """Whether reports name workers of a cluster."""
        return False


def _cluster(word: str) -> str:
    host, _, port = word.partition("://")[2].rpartition(":")
    if word != "local" and not (word.startswith(("tcp://", "tls://")) and host and port.isdecimal()):
        raise ValueError(f"'{show(word)}' is no cluster; give tcp://HOST:PORT of a scheduler, or local")
    return word


@dataclass(frozen=True)
class ClusterOptions(RunOptions):
    """The same, where a cluster can do the work."""

    cluster: str | None = parsed(
        _cluster,
        "Work on a Dask cluster: the address of its scheduler, or local for one on this machine.",
        metavar="ADDRESS",
    )

    @property
    def on_cluster(self) -> bool:
        """Whether reports name workers of a cluster."""
        return self.cluster is not None


class JobSettings(TypedDict):
    """What the shared options say to the job of a signal command."""

    dtype: str | None
    device: str
    threads: int
    fail_on_clip: bool
    read: ReadOptions
    write: WriteOptions


@dataclass(frozen=True)
class SignalOptions(ClusterOptions, ComputeOptions, OutputOptions, InputOptions):
    """What all commands share that make signals of signals; each has its own choices of --nan besides."""

    def reading(self) -> ReadOptions:
        """How the inputs are read."""
        return self.read_options(self.layout, self.dtype, self.keep_columns)

    def job_settings(self, threads: int) -> JobSettings:
        """What they say to the job."""
        return {
            "dtype": self.dtype,
            "device": self.device,
            "threads": threads,
            "fail_on_clip": self.fail_on_clip,
            "read": self.reading(),
            "write": self.writing(),
        }


def write_options(
    format: str | None, subtype: str | None, precision: int | None = None, *, overwrite: bool
) -> WriteOptions:
    """How signals are written in the format and encoding of these names, texts with `precision` digits."""
    from convtool.signals.opening import WriteOptions, check_format

    form = format and format.lower()
    check_format(form)
    return WriteOptions(form, subtype and subtype.upper(), precision, overwrite)


def length(word: str) -> Length:
    """A length in samples (`2205`) or time (`50ms`, `0.5s`, `10min`, `1h`)."""
    from convtool.signals.length import Length

    return Length.parse(show(word))


def lengths(word: str) -> tuple[Length, ...]:
    """A length, or rows and columns (`3x5`)."""
    sizes = tuple(length(part) for part in word.lower().split("x"))
    if len(sizes) > 2 or (len(sizes) == 2 and any(size.timed for size in sizes)):
        raise ValueError(f"'{show(word)}': a grid has rows and columns, such as 3x5, in samples")
    return sizes
