"""The picture of lengths and of the batches that they make."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from convtool.plots.figure import COLOURS, Curve, add_legend, encoded, number, set_style, set_title, whole_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BINS = 60  # of the histogram, at most
COLUMNS = 500  # batches that are drawn one by one, at most
REAL, PADDING = COLOURS[0], COLOURS[4]


def render_lengths(batches: Sequence[tuple[Sequence[int], int]], *, sample_rate: int | None, format: str) -> bytes:
    """A picture of batches and their padding, encoded as `format`: the same bytes for the same call.

    Each of `batches` is the real lengths of its rows and the samples of every row. On top is how many inputs have
    which length, in seconds or, where `sample_rate` (Hz) is None, in samples; under it how many samples each batch
    holds, real ones and padding. Of many batches each column is the mean of some that follow one another.

    Raises UsageError for another format, or where matplotlib is missing.

    >>> render_lengths([([2, 3], 3), ([1], 1)], sample_rate=None, format="png")[1:4]
    b'PNG'
    """
    lengths = np.array([length for rows, _ in batches for length in rows], np.float64)
    real = np.array([sum(rows) for rows, _ in batches], np.float64)
    stored = np.array([len(rows) * longest for rows, longest in batches], np.float64)

    def draw(figure: Figure) -> None:
        above, below = figure.subplots(2, 1)
        _draw_histogram(above, lengths, sample_rate)
        _draw_batches(below, real, stored)

    return encoded(format, (12.5, 7), draw)


def readable_edges(low: float, high: float, *, whole: bool) -> Curve:
    """The edges of bins from `low` to `high`, in steps of 1, 2 or 5 times a power of ten; of whole numbers at least 1.

    >>> readable_edges(0.12, 1.93, whole=False)[:4].round(2).tolist(), readable_edges(1, 3, whole=True).tolist()
    ([0.1, 0.15, 0.2, 0.25], [1.0, 2.0, 3.0, 4.0])
    """
    least = (high - low) / BINS or high / BINS
    step = next(s * 10.0**e for e in range(-12, 13) for s in (1, 2, 5) if s * 10.0**e >= least)
    step = max(step, 1.0) if whole else step
    first, last = np.floor(low / step), np.floor(high / step) + 1
    edges: Curve = np.arange(first, last + 1) * step
    return edges


def _draw_histogram(axes: Axes, lengths: Curve, sample_rate: int | None) -> None:
    unit = "s" if sample_rate else "samples"
    low, high = float(lengths.min()), float(lengths.max())
    edges = readable_edges(low / (sample_rate or 1), high / (sample_rate or 1), whole=not sample_rate)
    width = edges[1] - edges[0]
    set_style(axes, f"length ({unit})", "inputs")
    shift = 0.0 if sample_rate or width > 1 else 0.5  # a bar of one length stands over it
    axes.hist(lengths / (sample_rate or 1), (edges - shift).tolist(), color=REAL, alpha=0.85, rwidth=0.92)
    axes.yaxis.set_major_locator(whole_ticks())
    if not sample_rate:
        axes.xaxis.set_major_locator(whole_ticks())
    figures = [value / (sample_rate or 1) for value in (low, float(np.median(lengths)), high)]
    least, middle, most = (number(figure, 4) for figure in figures)
    inputs = f"{len(lengths):,} input{'s' * (len(lengths) != 1)}"
    bar = f"   a bar is {number(width)} {unit}" if width != 1 or sample_rate else ""
    set_title(axes, "lengths", f"{inputs}   {least} to {most} {unit}, median {middle}{bar}")


def _draw_batches(axes: Axes, real: Curve, stored: Curve) -> None:
    from matplotlib.patches import Patch
    from matplotlib.ticker import EngFormatter

    count = len(real)
    starts = np.arange(min(count, COLUMNS)) * count // min(count, COLUMNS)
    ends = np.append(starts[1:], count)
    set_style(axes, "batch", "samples")
    for bottom, top, colour in ((0 * real, real, REAL), (real, stored, PADDING)):
        low, high = (np.add.reduceat(each, starts) / (ends - starts) for each in (bottom, top))
        wide = (0.92 if count <= COLUMNS else 1) * (ends - starts)
        axes.bar((starts + ends - 1) / 2, high - low, wide, low, color=colour, alpha=0.85, linewidth=0)
    axes.set_xlim(-0.6, count - 0.4)
    axes.xaxis.set_major_locator(whole_ticks())
    axes.yaxis.set_major_locator(whole_ticks())
    axes.yaxis.set_major_formatter(EngFormatter())
    add_legend(axes, [Patch(color=REAL, alpha=0.85, label="real"), Patch(color=PADDING, alpha=0.85, label="padding")])
    share = 100 * (1 - real.sum() / stored.sum())
    set_title(axes, "batches", f"{count:,} batch{'es' * (count != 1)}   {share:.3g} % padding")
