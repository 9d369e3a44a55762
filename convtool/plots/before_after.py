"""The picture of a signal before and after: what a scaling or a model made of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from convtool.plots.figure import (
    FAINT,
    LEGEND,
    Samples,
    add_channels,
    channel_colours,
    channel_names,
    encoded,
    named,
    number,
    set_style,
    set_title,
    whole_ticks,
)
from convtool.plots.spectra import cut, draw_spectrum, spectrum_of
from convtool.plots.waveform import STEMS, Trace, details, draw_waveform, share_time

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Range = tuple[float, float]

BINS = 80  # of a histogram, at most


def render_before_after(
    *,
    signal: Samples | Trace,
    output: Samples | Trace,
    sample_rate: int | None,
    names: tuple[str, str] = ("input", "output"),
    channels: tuple[Sequence[str] | None, Sequence[str] | None] = (None, None),
    ranges: tuple[Sequence[Range], Sequence[Range]] | None = None,
    format: str,
) -> bytes:
    """A picture of `signal` and `output` ``(channels, samples)``, one below the other on one time axis.

    Without `ranges` the spectra stand beside them, measured from the highest point of the input's; with `ranges`, of
    the input and of the output, how often the values occur, and the ends of the ranges as dashed lines: one range for
    all channels or one for each, or none. All else is as in `render_convolution`.

    >>> before, after = np.array([[0, 1, 4]]), np.array([[-1, -0.5, 1]])
    >>> look = {"sample_rate": None, "ranges": ([(0, 4)], [(-1, 1)])}
    >>> render_before_after(signal=before, output=after, **look, format="png")[1:4]
    b'PNG'
    """
    traces = [Trace.of(each) for each in (signal, output)]
    longest = max(trace.total for trace in traces)
    time_rate = sample_rate if longest > STEMS else None
    spectra = [None if ranges else spectrum_of(trace.samples, sample_rate) for trace in traces]
    measured = spectra[0].level + 10 * float(np.log10(spectra[0].mean.max())) if spectra[0] else 0.0

    def draw(figure: Figure) -> None:
        axes = figure.subplots(2, 2)
        for row, (role, trace) in enumerate(zip(("input", "output"), traces, strict=True)):
            left, right = axes[row]
            colours, called = channel_colours(len(trace.samples)), channel_names(channels[row], len(trace.samples))
            draw_waveform(left, trace, colours, time_rate, names=called)
            set_title(left, named(role, names[row]), details(trace, sample_rate))
            if ranges is None:
                draw_spectrum(right, spectra[row], colours, sample_rate, measured, called)
                set_title(right, "spectrum", f"0 dB: the input's highest{cut(trace, sample_rate)}")
                continue
            _draw_histogram(right, trace.samples, colours, called)
            several = len(ranges[row]) > 1
            for (low, high), colour in zip(ranges[row], colours if several else [FAINT], strict=False):
                for end in (low, high):
                    right.axvline(end, color=colour, linewidth=1.2, linestyle="--")
                    if len(left.get_yticks()) and left.get_ylabel() == "amplitude":
                        left.axhline(end, color=colour, linewidth=1.2, linestyle="--")
            set_title(right, "values", _told(ranges[row]) + cut(trace, sample_rate))
        share_time(axes[0][0], axes[1][0], longest, time_rate)

    return encoded(format, (12.5, 6.2), draw)


def _told(ranges: Sequence[Range]) -> str:
    """The ranges in words."""
    if not ranges:
        return "of all samples"
    low, high = ranges[0]
    return "dashed: their ranges" if len(ranges) > 1 else f"dashed: {number(low, 4)} to {number(high, 4)}"


def _draw_histogram(axes: Axes, signal: Samples, colours: Sequence[str], names: Sequence[str]) -> None:
    """How often values lie in each of some stretches of them, for each channel."""
    from matplotlib.ticker import EngFormatter

    set_style(axes, "value", "samples")
    axes.yaxis.set_major_locator(whole_ticks())
    axes.yaxis.set_major_formatter(EngFormatter())
    finite = [row[np.isfinite(row)].astype(np.float64) for row in signal]
    every = np.concatenate(finite)
    if not every.size:
        return
    bins = int(np.clip(np.sqrt(every.size), 8, BINS))
    edges = np.histogram_bin_edges(every, bins)
    for values, colour in zip(finite, colours, strict=True):
        counts = np.histogram(values, edges)[0]
        axes.stairs(counts, edges, color=colour, linewidth=1.2, fill=False)
        if len(colours) <= LEGEND:
            axes.stairs(counts, edges, color=colour, alpha=0.3, fill=True)
    axes.set_ylim(bottom=0)
    add_channels(axes, colours, names)
