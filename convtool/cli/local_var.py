"""`convtool local-var`."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import click

from convtool.cli.options import (
    LENGTH_OR_GRID,
    Io,
    batch_options,
    compute_options,
    input_options,
    output_options,
    settings,
    talk_options,
)
from convtool.cli.running import run_batch
from convtool.errors import UsageError

if TYPE_CHECKING:
    from convtool.jobs.windows.job import LocalVarJob
    from convtool.signals.length import Length

STATS = ("var", "std", "mean", "rms", "min", "max", "median", "count")


def _stats(_: click.Context, param: click.Parameter, value: str) -> tuple[str, ...]:
    from convtool.files.names import show

    stats = tuple(name.strip() for name in value.split(","))
    for name in stats:
        if name not in STATS:
            raise click.BadParameter(f"there is no '{show(name)}'; there are {', '.join(STATS)}", param=param)
        if stats.count(name) > 1:
            raise click.BadParameter(f"'{name}' is named {stats.count(name)} times; once is enough", param=param)
    return stats


@click.command("local-var")
@input_options
@click.option(
    "-w",
    "--window",
    required=True,
    type=LENGTH_OR_GRID,
    metavar="N|NxM|TIME",
    help="Samples (2205), rows x columns (3x5), or a time (50ms, 0.5s), which takes a sample rate.",
)
@click.option(
    "--stride",
    type=LENGTH_OR_GRID,
    default="1",
    show_default=True,
    metavar="N|NxM|TIME",
    help="From one window to the next.",
)
@click.option(
    "--ddof",
    type=click.IntRange(0, 1),
    default=0,
    show_default=True,
    metavar="0|1",
    help="Divide by n, or by n - 1, in var and std.",
)
@click.option(
    "--stat",
    callback=_stats,
    default="var",
    show_default=True,
    metavar="NAMES",
    help=f"One or more of {','.join(STATS)}: a channel or named column each.",
)
@click.option(
    "--mode",
    type=click.Choice(["valid", "same"]),
    default="valid",
    show_default=True,
    help="Outputs: N-W+1 windows inside the signal; or N, number n over samples n-W//2 to n+(W-1)//2.",
)
@click.option(
    "--padding-mode",
    type=click.Choice(["zeros", "reflect", "replicate", "circular"]),
    help="What lies beyond the ends, with --mode same.  [default: reflect]",
)
@click.option(
    "--nan",
    type=click.Choice(["propagate", "skip", "error", "zero"]),
    default="propagate",
    show_default=True,
    help="NaN spoils its windows, is left out of them, is an error, or counts as 0; the last two do infinities too.",
)
@click.option(
    "--min-count",
    type=click.IntRange(1),
    metavar="N",
    help="With --nan skip: windows with fewer samples left give NaN.  [default: 1]",
)
@click.option(
    "--dims",
    type=click.IntRange(1, 2),
    metavar="1|2",
    help="2: windows over the grid that CSV rows x columns or an NPY (H, W) make.  [default: 2 for NxM, else 1]",
)
@click.option("--plot", metavar="FILE", help="Draw the signal, its local mean and std, and the variance under it.")
@output_options
@compute_options
@batch_options
@talk_options
def command(**options: Any) -> int:
    """Variance, or other statistics, of every sliding window of signals and grids.

    As exact as a computation of each window alone, whatever came before it, at a cost that does not
    grow with the window (but for the median). Integers are worked in float64, exact up to 2^53.
    Numbers that begin with a minus follow --.

    \b
    Examples:
      convtool local-var 1,2,4,8,16 -w 2
      convtool local-var guitar.wav -w 50ms --stride 10ms --stat mean,std -o levels.csv
      convtool local-var 1,2,nan,4 -w 3 --mode same --nan skip --min-count 2
      convtool local-var image.npy -w 5x5 --mode same -o texture.npy --plot texture.png
    """
    io = Io.of(options)
    window, stride = _axes(options, io)
    _check(options, window)

    def job(threads: int) -> LocalVarJob:
        from convtool.jobs.windows.job import LocalVarJob

        own = {name: options[name] for name in ("ddof", "mode", "min_count")}
        own["padding_mode"] = options["padding_mode"] or "reflect"
        return LocalVarJob(window, stride, options["stat"], **own, **settings(options, io, threads))

    return run_batch(io, options, job)


def _axes(options: dict[str, Any], io: Io) -> tuple[tuple[Length, ...], tuple[Length, ...]]:
    """Window and stride along each axis that windows slide along."""
    window, stride = options["window"], options["stride"]
    dims = options["dims"] or max(len(window), len(stride))
    for name, lengths in (("--window", window), ("--stride", stride)):
        text = "x".join(length.text for length in lengths)
        if len(lengths) > dims:
            raise UsageError(f"{name} {text} has 2 axes, but --dims is 1; give one length, or --dims 2")
        if dims == 2 and lengths[0].timed:
            raise UsageError(f"{name} {text} is a time, but a grid has rows and columns; give them, such as 3x5")
    if dims == 2 and io.layout != "NCT":
        raise UsageError(f"--layout {io.layout} says where time is; a grid has rows and columns, (..., H, W)")
    return window * (dims // len(window)), stride * (dims // len(stride))


def _check(options: dict[str, Any], window: tuple[Length, ...]) -> None:
    """What can be refused before any input is read; windows in time are the job's to check."""
    if options["padding_mode"] and options["mode"] != "same":
        raise UsageError(f"--padding-mode {options['padding_mode']} needs --mode same")
    least = options["min_count"]
    if least is not None and options["nan"] != "skip":
        raise UsageError(f"--min-count {least} needs --nan skip; --nan is {options['nan']}")
    if any(length.timed for length in window):
        return
    samples = int(prod(length.amount for length in window))
    if options["ddof"] >= samples:
        raise UsageError(f"--ddof {options['ddof']} needs a window of at least 2 samples; --window has {samples}")
    if least is not None and least > samples:
        raise UsageError(f"--min-count {least} is more than the {samples} samples of a window")
