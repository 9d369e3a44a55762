"""`convtool local-var`."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Literal

from convtool.cli.options import choice, command, integer, parsed, text
from convtool.cli.running import run_job
from convtool.cli.shared_options import JobSettings, SignalOptions, lengths
from convtool.errors import UsageError
from convtool.files.names import counted, show
from convtool.ops.windows.request import STATS, Align, Mode, PaddingMode, percent_of

if TYPE_CHECKING:
    from convtool.jobs.windows.job import LocalVarJob
    from convtool.signals.length import Length

Nan = Literal["propagate", "skip", "error", "zero"]


def _stats(word: str) -> tuple[str, ...]:
    stats = tuple(name.strip() for name in word.split(","))
    for name in stats:
        if name not in STATS and percent_of(name) is None:
            raise ValueError(f"there is no '{show(name)}'; there are {', '.join(STATS)}, and percentiles p0 to p100")
        if stats.count(name) > 1:
            raise ValueError(f"'{name}' is named {stats.count(name)} times; once is enough")
    return stats


@dataclass(frozen=True)
class Options(SignalOptions):
    """The options of `local-var`."""

    window: tuple[Length, ...] = parsed(
        lengths,
        "Samples (2205), rows x columns (3x5), or a time (50ms, 0.5s, 10min, 1h), which takes a sample rate.",
        "-w --window",
        required=True,
        metavar="N|NxM|TIME",
    )
    stride: tuple[Length, ...] = parsed(lengths, "From one window to the next.", default="1", metavar="N|NxM|TIME")
    ddof: int = integer("Divide by n, or by n - 1, in var and std.", least=0, most=1, default=0, metavar="0|1")
    stat: tuple[str, ...] = parsed(
        _stats,
        f"One or more of {','.join(STATS)}, and percentiles, such as p95: a channel or named column each.",
        default="var",
        metavar="NAMES",
    )
    mode: Mode = choice(
        Mode,
        "Outputs: N-W+1 windows inside the signal; or N, one for each sample; see --align.",
        default="valid",
    )
    align: Align | None = choice(
        Align,
        "With --mode same, the window of sample n: around it (n-W//2 to n+(W-1)//2), from it on, or up to it.  "
        "[default: center]",
    )
    padding_mode: PaddingMode | None = choice(
        PaddingMode, "What lies beyond the ends, with --mode same; none: windows shrink there.  [default: reflect]"
    )
    nan: Nan = choice(
        Nan,
        "NaN spoils its windows, is left out of them, is an error, or counts as 0; the last two do infinities too.",
        default="propagate",
    )
    min_count: int | None = integer(
        "With --nan skip or --padding-mode none: windows with fewer samples left give NaN.  [default: 1]",
        least=1,
        metavar="N",
    )
    dims: int | None = integer(
        "2: windows over the grid that CSV rows x columns or an NPY (H, W) make.  [default: 2 for NxM, else 1]",
        least=1,
        most=2,
        metavar="1|2",
    )
    plot: str | None = text("Draw the signal, and under it each statistic.", metavar="FILE")


@command("local-var", Options)
def local_var(options: Options) -> int:
    """Variance, or other statistics, of every sliding window of signals and grids.

    As exact as a computation of each window alone, whatever came before it, at a cost that does not
    grow with the window (but for medians and percentiles). Integers are worked in float64, exact up to 2^53.
    Numbers that begin with a minus follow --.

    \b
    Examples:
      convtool local-var 1,2,4,8,16 -w 2
      convtool local-var guitar.wav -w 50ms --stride 10ms --stat mean,std -o levels.csv
      convtool local-var 1,2,nan,4 -w 3 --mode same --nan skip --min-count 2
      convtool local-var 1,2,4,8 -w 2 --stat mean --mode same --align right --padding-mode none
      convtool local-var image.npy -w 5x5 --mode same -o texture.npy --plot texture.png
    """
    window, stride = _axes(options)
    _check(options)

    def job(settings: JobSettings) -> LocalVarJob:
        from convtool.jobs.windows.job import LocalVarJob

        return LocalVarJob(
            window,
            stride,
            options.stat,
            ddof=options.ddof,
            mode=options.mode,
            align=options.align or "center",
            padding_mode=options.padding_mode or "reflect",
            min_count=options.min_count,
            nan=options.nan,
            plot=options.plot,
            **settings,
        )

    return run_job(options, job, plot=options.plot)


def _axes(options: Options) -> tuple[tuple[Length, ...], tuple[Length, ...]]:
    """Window and stride along each axis that windows slide along."""
    window, stride = options.window, options.stride
    dims = options.dims or max(len(window), len(stride))
    for name, sizes in (("--window", window), ("--stride", stride)):
        text = "x".join(size.text for size in sizes)
        if len(sizes) > dims:
            raise UsageError(f"{name} {text} has 2 axes, but --dims is 1; give one length, or --dims 2")
        if dims == 2 and sizes[0].timed:
            raise UsageError(f"{name} {text} is a time, but a grid has rows and columns; give them, such as 3x5")
    if dims == 2 and options.layout == "NTC":
        raise UsageError(f"--layout {options.layout} says where time is; a grid has rows and columns, (..., H, W)")
    return window * (dims // len(window)), stride * (dims // len(stride))


def _check(options: Options) -> None:
    """What can be refused before any input is read; windows in time are the job's to check."""
    for name, value in (("align", options.align), ("padding-mode", options.padding_mode)):
        if value and options.mode != "same":
            raise UsageError(f"--{name} {value} needs --mode same")
    window, stride = options.window[0], options.stride[0]
    shortens = options.mode == "valid" and not window.timed and window.amount > 1
    strides = not stride.timed and stride.amount > 1
    options.refuse_kept({f"--stride {stride.text}": strides, f"--mode valid with a window of {window.text}": shortens})
    least = options.min_count
    if least is not None and options.nan != "skip" and options.padding_mode != "none":
        raise UsageError(f"--min-count {least} needs --nan skip or --padding-mode none; --nan is {options.nan}")
    if any(size.timed for size in options.window):
        return
    samples = int(prod(size.amount for size in options.window))
    if options.ddof >= samples:
        raise UsageError(f"--ddof {options.ddof} needs a window of at least 2 samples; --window has {samples}")
    if least is not None and least > samples:
        raise UsageError(f"--min-count {least} is more than the {counted(samples, 'sample')} of a window")
