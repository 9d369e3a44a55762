"""The options that commands share, and how a command talks."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from convtool.errors import UsageError

if TYPE_CHECKING:
    from convtool.signals.inputs import Input
    from convtool.signals.length import Length
    from convtool.signals.opening import ReadOptions, WriteOptions

F = TypeVar("F", bound=Callable[..., Any])


class LengthType(click.ParamType):  # type: ignore[type-arg]  # generic from Click 8.4 on
    """A length in samples (`2205`) or time (`50ms`, `0.5s`); with `grid` also rows and columns (`3x5`).

    The value is a tuple of one `Length`, or of two.
    """

    name = "length"

    def __init__(self, *, grid: bool = False) -> None:
        self._grid = grid

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Length, ...]:
        """The lengths that a word gives."""
        from convtool.files.names import show
        from convtool.signals.length import Length

        parts = show(value).lower().split("x") if self._grid else [show(value)]
        try:
            lengths = tuple(Length.parse(part) for part in parts)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if len(lengths) > 2 or (len(lengths) == 2 and any(length.timed for length in lengths)):
            self.fail(f"'{show(value)}': a grid has rows and columns, such as 3x5, in samples", param, ctx)
        return lengths


LENGTH = LengthType()
LENGTH_OR_GRID = LengthType(grid=True)


@dataclass
class Talk:
    """How much is told, settled by options before or after the command's name."""

    quiet: bool = False
    verbose: bool = False
    debug: bool = False
    command: click.Context | None = None

    @classmethod
    def of(cls, ctx: click.Context) -> Talk:
        """The one of this run."""
        talk = ctx.find_root().meta.setdefault("convtool.talk", cls())
        assert isinstance(talk, cls)
        return talk

    def error(self, text: str) -> None:
        """What went wrong: always told, in one line."""
        click.echo(f"Error: {text}", err=True)

    def note(self, text: str) -> None:
        """What the person should know, unless -q."""
        if not self.quiet:
            click.echo(text, err=True)

    def remark(self, text: str) -> None:
        """What was chosen, with -v."""
        if self.verbose:
            click.echo(text, err=True)


def _settle(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    talk = Talk.of(ctx)
    if ctx.parent is not None:
        talk.command = ctx
    setattr(talk, str(param.name), getattr(talk, str(param.name)) or value)


def _stack(*decorators: Callable[[F], F]) -> Callable[[F], F]:
    def apply(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return apply


def _flag(*names: str, help: str) -> Callable[[F], F]:
    return click.option(*names, is_flag=True, expose_value=False, callback=_settle, help=help)


talk_options: Callable[[F], F] = _stack(
    _flag("-q", "--quiet", help="Say nothing but errors."),
    _flag("-v", "--verbose", help="Tell what was chosen: method, blocks, dtype, device, threads."),
    _flag("--debug", help="Show where in the program an error arose."),
)

source_options: Callable[[F], F] = _stack(
    click.argument("inputs", nargs=-1, metavar="INPUT..."),
    click.option("--input-list", metavar="FILE", help="Read input paths from FILE (- is standard input), one a line."),
    click.option("-0", "null", is_flag=True, help="The paths of --input-list are separated by NUL."),
    click.option("--input-format", metavar="FORMAT", help="Format of the inputs, instead of looking at their content."),
    click.option("--columns", metavar="NAMES", help="Columns of a CSV to work on, by name or by number from 1."),
    click.option(
        "--decimal", type=click.Choice([".", ","]), default=".", show_default=True, help="Decimal mark of CSV inputs."
    ),
    click.option(
        "--sample-rate",
        type=click.IntRange(1, (1 << 31) - 1),
        metavar="HZ",
        help="Sample rate of inputs that have none (CSV, NPY).",
    ),
)

input_options: Callable[[F], F] = _stack(
    source_options,
    click.option(
        "--layout",
        type=click.Choice(["NCT", "NTC"]),
        default="NCT",
        show_default=True,
        help="Axes of NPY arrays: time last, or before channels.",
    ),
)

output_options: Callable[[F], F] = _stack(
    click.option(
        "-o",
        "--output",
        metavar="PATH",
        help="FILE, DIR/, or a template with {stem} {ext} {name} {parent} {index}; - is standard output.",
    ),
    click.option(
        "--format",
        metavar="FORMAT",
        help="Output format: csv, npy, wav, flac, ogg, opus, mp3, aiff... [default: by extension, else the input's]",
    ),
    click.option(
        "--subtype",
        metavar="NAME",
        help="Encoding inside an audio format: PCM_16, PCM_24, FLOAT... [default: the input's, where it fits]",
    ),
    click.option("--overwrite", is_flag=True, help="Replace outputs that exist."),
    click.option("--skip-existing", is_flag=True, help="Leave outputs that exist, and do the others."),
    click.option("--fail-on-clip", is_flag=True, help="Exit 3, and write nothing, where samples would be clipped."),
)

compute_options: Callable[[F], F] = _stack(
    click.option(
        "--dtype", type=click.Choice(["float32", "float64"]), help="Precision to work in. [default: the input's]"
    ),
    click.option(
        "--device",
        type=click.Choice(["auto", "cpu", "cuda", "mps"]),
        default="auto",
        show_default=True,
        help="Where to compute.",
    ),
    click.option(
        "--threads",
        type=click.IntRange(1, 1024),
        metavar="N",
        help="Threads for one input. [default: the cores, shared among the jobs]",
    ),
)

batch_options: Callable[[F], F] = _stack(
    click.option(
        "--jobs",
        type=click.IntRange(1, 1024),
        metavar="N",
        help="Inputs worked on side by side. [default: the cores]",
    ),
    click.option("--fail-fast", is_flag=True, help="Stop at the first input that fails."),
    click.option("--report", metavar="FILE", help="Write one JSON object a line for each input."),
    click.option("--json", "as_json", is_flag=True, help="Print the report on standard output."),
    click.option("--dry-run", is_flag=True, help="Print what would be read and written, and do nothing."),
    click.option("--no-progress", is_flag=True, help="Show no progress bar."),
)


@dataclass(frozen=True)
class Io:
    """The values of the input and output options, as every signal command takes them."""

    inputs: tuple[str, ...]
    input_list: str | None
    null: bool
    input_format: str | None
    columns: str | None
    decimal: str
    layout: str
    sample_rate: int | None
    output: str | None
    format: str | None
    subtype: str | None
    overwrite: bool
    skip_existing: bool
    dtype: str | None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Io:
        """Those among all options of a command."""
        return cls(**{name: options[name] for name in cls.__dataclass_fields__})

    def find(self) -> tuple[list[Input], list[str]]:
        """The inputs that are meant, and the files of folders that were passed over."""
        from convtool.signals.inputs import expand, read_list

        if self.null and self.input_list is None:
            raise UsageError("-0 says how --input-list is separated; give that too")
        listed = [] if self.input_list is None else read_list(self.input_list, null=self.null)
        inputs, passed = expand(self.inputs, listed)
        if not inputs or (self.input_list is not None and not listed and not self.inputs):
            raise UsageError("there is no signal file among the inputs")
        return inputs, passed

    def takes_stdin(self) -> bool:
        """Whether standard input is an input, or the list of them."""
        return "-" in (*self.inputs, self.input_list) or not (self.inputs or self.input_list)

    def reading(self) -> ReadOptions:
        """How the inputs are read."""
        from convtool.files.formats import NAMES, family
        from convtool.signals.opening import ReadOptions

        form = self.input_format and self.input_format.lower()
        if form is not None and family(form) is None:
            raise UsageError(f"--input-format {form}: convtool knows {', '.join(NAMES)}")
        return ReadOptions(form, self.columns, self.decimal, self.layout, self.dtype is None, self.sample_rate)

    def writing(self) -> WriteOptions:
        """How the outputs are written."""
        from convtool.signals.opening import WriteOptions, check_format

        form = self.format and self.format.lower()
        check_format(form)
        return WriteOptions(form, self.subtype and self.subtype.upper())


def settings(options: Mapping[str, Any], io: Io, threads: int) -> dict[str, Any]:
    """What the options say to every signal job."""
    shared = {name: options[name] for name in ("dtype", "nan", "device", "fail_on_clip")}
    return {**shared, "plot": options.get("plot"), "threads": threads, "read": io.reading(), "write": io.writing()}


def share_threads(threads: int | None, jobs: int) -> int:
    """Threads for one input: what was asked for, else an equal share of the cores."""
    from convtool.runs.local import cores

    return threads or max(1, cores() // jobs)


def quiet_libraries() -> None:
    """Keep the remarks of C libraries (libmpg123 has many) off the terminal; Python's own still get there."""
    sys.stderr.flush()
    kept = os.fdopen(os.dup(2), "w", encoding=sys.stderr.encoding, errors="backslashreplace", buffering=1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    sys.stderr = kept
