"""The one place that knows which reader and writer serves which format."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO

import numpy as np

from convtool.errors import ConvtoolError, InputError, OutputError, UsageError
from convtool.files.atomic import AtomicFile, is_special, write_all, write_error
from convtool.files.formats import ARRAYS, DELIMITERS, NAMES, PICTURES, extension, family
from convtool.files.recognition import JSON, NPY, TEXT, UNKNOWN, Kind, bears_signature
from convtool.files.source import CHUNK, Source
from convtool.signals.inputs import Input, looks_like_numbers
from convtool.signals.length import Length
from convtool.signals.metadata import Metadata
from convtool.signals.raw import RawLayout, RawReader
from convtool.signals.signal import Block, Reader, Signal, Writer, decibels
from convtool.signals.text.options import TextOptions


@dataclass(frozen=True)
class ReadOptions:
    """How inputs are read where they leave a choice."""

    input_format: str | None = None
    text: TextOptions = field(default_factory=TextOptions)
    layout: str = "NCT"
    exact: bool = True
    """Integers are worked as such, unless a dtype was asked for."""
    sample_rate: int | None = None
    """Of signals that have none of their own."""
    wrapped: bool = False
    """A text of numbers on several lines may be one signal, as the coefficients of a kernel are."""
    raw: RawLayout | None = None
    """What files hold that do not say themselves what they are."""

    def for_lengths(self, *lengths: Length | None) -> ReadOptions:
        """These options where `lengths` are counted: those in time by the sample rate, so that times must be even."""
        if self.sample_rate is not None or not any(length is not None and length.timed for length in lengths):
            return self
        return replace(self, text=replace(self.text, even_times=True))

    def without_kept(self) -> ReadOptions:
        """These options for a look at an input from which nothing is written."""
        return replace(self, text=replace(self.text, keep=None))


@dataclass(frozen=True)
class WriteOptions:
    """How outputs are written where the input leaves a choice."""

    format: str | None = None
    subtype: str | None = None
    precision: int | None = None
    """Significant digits of numbers in text."""
    overwrite: bool = False
    """Whether a file that stands there by the time the output is complete is replaced."""
    metadata: bool = True
    """Whether what an input says of itself goes on into its output."""
    whole: bool = False
    """Whether nothing may come out on standard output either before the output is complete."""

    def replacing(self, incomplete: str) -> WriteOptions:
        """These options where what stands at the output's place is not complete, and what it lacks is told."""
        return replace(self, overwrite=True) if incomplete else self


def open_reader(item: Input, options: ReadOptions) -> Reader:
    """A reader of `item`, whatever its format; an error says what was found instead."""
    if item.fault:
        raise InputError(item.fault)
    if item.array:
        from convtool.signals.arrays import open_array

        reader: Reader = open_array(item.value, item.array, layout=options.layout, exact=options.exact)
    else:
        source = _open_source(item)
        try:
            reader = _reader(source, item, options)
        except ConvtoolError:
            source.close()
            raise
    if item.kind == "numbers":
        reader.remarks = ()
    if reader.signal.sample_rate is None and options.sample_rate is not None:
        reader.signal = replace(reader.signal, sample_rate=options.sample_rate)
    return reader


def _open_source(item: Input) -> Source:
    if item.kind == "numbers":
        return Source.of_text(item.value)
    return Source.of_stdin() if item.kind == "stdin" else Source.of_path(item.value)


def _reader(source: Source, item: Input, options: ReadOptions) -> Reader:
    named = family(extension(item.value)) if item.kind == "file" else None
    if options.raw is not None and item.kind != "numbers" and not _tells_its_kind(source, named, item):
        return RawReader(source, options.raw)
    if options.input_format is not None:
        found = family(options.input_format) or ""
        kind = {"CSV": TEXT, "NPY": NPY}.get(found, Kind(found, "picture" if found in PICTURES.values() else "audio"))
    else:
        kind = TEXT if item.kind == "numbers" else source.kind
    reader = _reader_of(source, kind, named, item, options)
    if named and kind.role != "arrays" and not _is_named(kind, named):
        reader.notes.append(f"named .{extension(item.value)}, but its content is {kind.name}; read as that")
    return reader


def _is_named(kind: Kind, named: str | None) -> bool:
    """Whether content of that kind stands in files of the format `named`."""
    container = {"WAV": "RIFF", "WAVEX": "RIFF", "RF64": "RIFF"}
    if kind.demuxer in ("ogg", "flac") and named == kind.demuxer.upper():
        return True
    return named is not None and container.get(kind.name, kind.name) == container.get(named, named)


def _tells_its_kind(source: Source, named: str | None, item: Input) -> bool:
    """Whether a file is what its first bytes say, and no raw numbers that look so by chance."""
    kind, head = source.kind, source.head
    if bears_signature(head) or _is_named(kind, named):
        return True
    if kind.role == "arrays":
        return extension(item.value) in ARRAYS
    return head.isascii() and looks_like_numbers(head.decode("ascii"))


def _reader_of(source: Source, kind: Kind, named: str | None, item: Input, options: ReadOptions) -> Reader:
    if kind.role == "array":
        from convtool.signals.npy import NpyReader

        return NpyReader(source, layout=options.layout, exact=options.exact)
    if kind.role == "text":
        from convtool.signals.text.reader import TextReader

        try:
            return TextReader(source, options.text, exact=options.exact, wrapped=options.wrapped)
        except InputError as error:
            if kind is JSON:
                way_out = "write its numbers as CSV; FILE::NAME takes a tensor of a model's JSON"
                raise InputError(f"the content is JSON, no text of numbers: {way_out}") from error
            if named in (None, "CSV"):
                raise
            raise InputError(f"the content is no {named}, and as text {error}") from error
    if kind.role == "audio":
        from convtool.signals.audio.opening import open_audio

        return open_audio(source, kind.name)
    if kind.role == "media":
        from convtool.signals.audio.opening import open_media

        return open_media(source, kind, item.value if item.kind == "file" else None)
    if kind.role == "picture":
        from convtool.signals.pictures import PictureReader

        return PictureReader(source, kind.name, exact=options.exact)
    if kind.role == "arrays" and item.kind == "file":
        from convtool.signals.arrays import open_array

        source.close()
        return open_array(item.value, "", layout=options.layout, exact=options.exact)
    if kind is UNKNOWN and named is not None:
        begins = source.head[:8].hex(" ")
        raise InputError(
            f"the content is binary and no {named}: it begins with {begins}; expected text, arrays, audio or a picture"
        )
    raise InputError(
        f"{kind.refusal(item.value if item.kind == 'file' else None)}; expected text, arrays, audio or a picture"
    )


class Output:
    """Where a job's result goes: a file that appears whole or not at all, or standard output.

    `path` None is standard output. There, and into pipes and devices, text and WAV of plain numbers stream; the others,
    whose headers are completed at the end, are put together in a temporary file first. A `trial` goes nowhere: it is
    to find out whether a signal fits.
    """

    def __init__(self, path: str | None, signal: Signal, options: WriteOptions, *, trial: bool = False) -> None:
        self.path = path
        if not options.metadata:
            signal = replace(signal, metadata=Metadata(), channel_mask=0)
        self.signal = signal
        self.keeps_metadata = options.metadata
        named = options.format or (extension(path) if path else "csv")
        kind = family(named) or signal.format
        self._format_asked, self._precision = options.format is not None, options.precision
        self._file: AtomicFile | None = None
        self._peak = 0.0
        self._spool: BinaryIO | None = None
        self.format, self.subtype = kind, _subtype(kind, named, signal, options)
        if trial:
            self._target: BinaryIO = tempfile.TemporaryFile(buffering=0)
            self._spool = self._target
        elif path is None:
            self._target = os.fdopen(1, "wb", buffering=0, closefd=False)
        else:
            self._file = AtomicFile(path, replace=options.overwrite)
            self._target = self._file.file
        file = self._target
        streams = trial or (_streams(kind, self.subtype) and not options.whole)
        if not streams and (path is None or is_special(path)):
            file = self._spool = tempfile.TemporaryFile(buffering=0)
        try:
            self.writer = self._writer(file, signal, named)
        except OSError as error:
            self._close()
            raise write_error(path, error) from error
        except ConvtoolError:
            self._close()
            raise

    def _writer(self, file: BinaryIO, signal: Signal, named: str) -> Writer:
        if self.format == "CSV":
            from convtool.signals.text.writer import TextWriter

            stated = signal.delimiter if self.path is None and not self._format_asked else None
            return TextWriter(file, signal, stated or DELIMITERS.get(named, ","), precision=self._precision)
        if signal.kept is not None:
            raise OutputError(f"{self.format} holds no columns of text; --keep-columns needs an output in text")
        if self.format == "NPY":
            from convtool.signals.npy import NpyWriter

            return NpyWriter(file, signal, signal.dtype)
        if self.format in PICTURES.values():
            from convtool.signals.pictures import PictureWriter

            return PictureWriter(file, signal, self.format, self.subtype or "")
        from convtool.signals.audio.writer import AudioWriter

        return AudioWriter(file, signal, self.format, self.subtype or "")

    def encode(self, block: Block) -> tuple[Any, float]:
        """A block in the numbers of the file, and its peak; any thread may call it."""
        return self.writer.encode(block), 0.0 if self.writer.measures else peak_of(block)

    def write(self, encoded: tuple[Any, float]) -> None:
        """Append the next block."""
        numbers, peak = encoded
        self._peak = max(self._peak, peak)
        try:
            self.writer.write(numbers)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise write_error(self.path, error) from error

    @property
    def peak(self) -> float | None:
        """The largest number, leaving its sign, in decibels beside full scale; None for silence."""
        return decibels(max(self._peak, self.writer.peak))

    def commit(self) -> None:
        """Complete the file and give it its name."""
        try:
            self.writer.close()
            if self._spool is not None:
                self._spool.seek(0)
                while chunk := self._spool.read(CHUNK):
                    write_all(self._target, chunk)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise write_error(self.path, error) from error
        if self._file is not None:
            self._file.commit()

    def discard(self) -> None:
        """Leave nothing of an output that did not become complete."""
        self.writer.discard()
        self._close()

    def _close(self) -> None:
        if self._file is not None:
            self._file.discard()
        if self._spool is not None:
            self._spool.close()


def _streams(format: str, subtype: str | None) -> bool:
    """Whether a file of that kind is written from front to back."""
    if format == "WAV":
        from convtool.signals.wav.format import SUBTYPES

        return subtype in SUBTYPES
    return format == "CSV"


def peak_of(block: Block) -> float:
    """The largest of the finite numbers, leaving their signs; 0 where there is none."""
    peak = max(float(block.max(initial=0)), -float(block.min(initial=0)))
    if math.isfinite(peak):
        return peak
    return float(np.abs(block[np.isfinite(block)]).max(initial=0))


def _subtype(kind: str, named: str, signal: Signal, options: WriteOptions) -> str | None:
    if kind in ("CSV", "NPY"):
        return None
    if kind in PICTURES.values():
        from convtool.signals.pictures import choose_depth

        return choose_depth(kind, options.subtype, signal)
    from convtool.signals.audio import writer as audio

    if kind not in audio.formats():
        raise OutputError(f"{kind} can be read but not written; choose another with --format")
    wanted = options.subtype or ("OPUS" if named == "opus" else None)
    return audio.choose_subtype(kind, wanted, signal)


def check_subtypes(outputs: Iterable[str | None], options: WriteOptions) -> None:
    """Refuse a subtype that the format of one of the outputs can't have; None is standard output.

    Raises:
        UsageError: it can't; or none of the outputs is of a format with subtypes.
    """
    if options.subtype is None:
        return
    kinds = {options.format or (extension(path) if path else "csv") for path in outputs}
    encoded = sorted(name for name in kinds if family(name) not in ("CSV", "NPY"))
    if kinds and not encoded:
        raise UsageError(
            f"--subtype {options.subtype} is for audio and pictures; .{', .'.join(sorted(kinds))} has none"
        )
    for name in encoded:
        _subtype(str(family(name)), name, Signal("", 1, "float32"), options)


def check_format(name: str | None) -> None:
    """Refuse a format name that nothing can write."""
    if name is not None and family(name) is None:
        raise UsageError(f"'{name}' is no format convtool writes; it writes {', '.join(NAMES)}")
