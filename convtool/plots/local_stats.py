"""The picture of statistics of sliding windows along a signal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from convtool.plots.figure import (
    FAINT,
    Samples,
    add_channels,
    add_legend,
    channel_colours,
    channel_names,
    encoded,
    named,
    set_style,
    set_title,
)
from convtool.plots.waveform import STEMS, details, draw_waveform, stretches, time_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS = 4  # channels that have a row of their own, at most


def render_local_stats(
    *,
    signal: Samples,
    mean: Samples,
    var: Samples,
    window: int,
    stride: int,
    before: int,
    sample_rate: int | None,
    name: str = "input",
    format: str,
) -> bytes:
    """A picture of statistics of sliding windows, encoded as `format`: the same bytes for the same call.

    On top `signal` ``(channels, samples)``, a row for each of its first channels, and over it the local mean as a
    line in a band of one standard deviation to either side; under them the variance of all channels, over the same
    seconds, or samples where `sample_rate` (Hz) is None. `mean` and `var` are ``(channels, windows)``, of windows of
    `window` samples, one every `stride`, of which the first begins `before` samples before sample 0. Each is drawn at
    the middle of its window.

    Long signals, names, what is not finite and the errors are as in `render_convolution`.

    >>> signal, mean, var = np.array([[1, 2, 4]]), np.array([[1.5, 3]]), np.array([[0.25, 1]])
    >>> shape = {"window": 2, "stride": 1, "before": 0, "sample_rate": None}
    >>> render_local_stats(signal=signal, mean=mean, var=var, **shape, format="png")[1:4]
    b'PNG'
    """
    signal, mean, var = (np.asarray(each) for each in (signal, mean, var))
    first, step = (samples / (sample_rate or 1) for samples in (middle(window, before), stride))
    channels = len(signal)
    colours = channel_colours(channels)
    panels = min(channels, PANELS)
    with np.errstate(invalid="ignore", over="ignore"):
        std = np.sqrt(var)
        bands = np.stack([mean - std, mean + std], 1)

    def draw(figure: Figure) -> None:
        from matplotlib.lines import Line2D
        from matplotlib.patches import Patch

        *above, below = figure.subplots(panels + 1, 1, sharex=True)
        for i, axes in enumerate(above):
            draw_waveform(axes, signal[i : i + 1], [FAINT], sample_rate)
            _draw_band(axes, mean[i : i + 1], bands[i], colours[i], first, step)
            axes.set_xlabel("")
            axes.set_ylabel("amplitude" if channels == 1 else f"channel {i + 1}")
        drawn = {"signal": FAINT, "local mean": colours[0]}
        lines = [Line2D([], [], color=colour, label=label) for label, colour in drawn.items()]
        add_legend(above[0], [*lines, Patch(color=colours[0], alpha=0.3, label="± std")])
        set_title(above[0], named("input", name), details(signal, sample_rate))
        set_style(below, time_label(signal.shape[-1] / (sample_rate or 1), sample_rate), "variance")
        for values, colour in zip(var, colours, strict=True):
            _draw_curve(below, values[np.newaxis], colour, first, step)
        below.set_ylim(bottom=0)
        add_channels(below, colours, channel_names(None, channels))
        length = f" ({window / sample_rate:.4g} s)" if sample_rate else ""
        every = f", one every {stride:,}" if stride > 1 else ""
        set_title(below, "local variance", f"windows of {window:,} sample{'s' * (window != 1)}{length}{every}")

    return encoded(format, (12.5, 3 + 3 * panels), draw)


def middle(window: int, before: int) -> float:
    """Where the middle of a window is that begins so many samples before sample 0."""
    return (window - 1) / 2 - before


def _draw_curve(axes: Axes, values: Samples, colour: str, first: float, step: float) -> None:
    """One channel ``(1, windows)`` as a line, or the extremes of its stretches."""
    many, time, lows, highs = stretches(values, first, step)
    if many:
        axes.fill_between(time, lows[0], highs[0], step="post", color=colour, linewidth=0.9, alpha=0.85)
    else:
        few = values.shape[-1] <= STEMS
        axes.plot(time, lows[0], "o-" if few else "-", color=colour, linewidth=1.3, alpha=0.9, markersize=4)


def _draw_band(axes: Axes, mean: Samples, band: Samples, colour: str, first: float, step: float) -> None:
    """The mean ``(1, windows)`` of one channel in its band, ``(2, windows)``."""
    many, time, lows, highs = stretches(band, first, step)
    look: Any = {"step": "post" if many else None, "linewidth": 0, "alpha": 0.3, "zorder": 2.1, "label": "band"}
    axes.fill_between(time, lows[0], highs[1], color=colour, **look)
    if band.shape[-1] <= STEMS:
        axes.vlines(time, lows[0], highs[1], color=colour, linewidth=1, alpha=0.6)
    _draw_curve(axes, mean, colour, first, step)
