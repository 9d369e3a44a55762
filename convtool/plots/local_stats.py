"""The picture of statistics of sliding windows along a signal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from convtool.plots.figure import (
    CHANNEL,
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
    shown,
    value_range,
    whole_ticks,
)
from convtool.plots.waveform import STEMS, details, draw_waveform, stretches, time_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS = 4  # channels that have a row of their own, at most
MOST = 8  # statistics that are drawn
TERMS = {
    "var": "variance",
    "std": "standard deviation",
    "min": "minimum",
    "max": "maximum",
    "skew": "skewness",
    "kurt": "kurtosis",
}
FROM_ZERO = ("var", "std", "rms", "range", "count")


def render_local_stats(
    *,
    signal: Samples,
    stats: Mapping[str, Samples],
    window: int,
    stride: int,
    before: int,
    sample_rate: int | None,
    name: str = "input",
    channels: Sequence[str] | None = None,
    format: str,
) -> bytes:
    """A picture of statistics of sliding windows, encoded as `format`: the same bytes for the same call.

    On top `signal` ``(channels, samples)``, a row for each of its first channels; where there are a mean and a
    variance or standard deviation among the `stats`, over it the mean as a line in a band of one standard deviation to
    either side. Under them a panel for each of the first statistics with all channels, over the same seconds, or
    samples where `sample_rate` (Hz) is None. The statistics, by their names, are ``(channels, windows)``, of windows of
    `window` samples, one every `stride`, of which the first begins `before` samples before sample 0. Each is drawn at
    the middle of its window. `channels` are the names of all channels, where they have any.

    Long signals, names, what is not finite and the errors are as in `render_convolution`.

    >>> signal, stats = np.array([[1, 2, 4]]), {"mean": np.array([[1.5, 3]])}
    >>> shape = {"window": 2, "stride": 1, "before": 0, "sample_rate": None}
    >>> render_local_stats(signal=signal, stats=stats, **shape, format="png")[1:4]
    b'PNG'
    """
    first, step = (samples / (sample_rate or 1) for samples in (middle(window, before), stride))
    called, colours = channel_names(channels, len(signal)), channel_colours(len(signal))
    panels, drawn = min(len(signal), PANELS), dict(list(stats.items())[:MOST])
    band = _band(stats)
    length = f" ({window / sample_rate:.4g} s)" if sample_rate else ""
    every = f", one every {stride:,}" if stride > 1 else ""
    of = f"windows of {window:,} sample{'s' * (window != 1)}{length}{every}"

    def draw(figure: Figure) -> None:
        rows = figure.subplots(panels + len(drawn), 1, sharex=True)
        above, below = rows[:panels], rows[panels:]
        for i, axes in enumerate(above):
            draw_waveform(axes, signal[i : i + 1], [FAINT], sample_rate)
            if band is not None:
                _draw_band(axes, stats["mean"][i : i + 1], band[i], colours[i], first, step)
            axes.set_xlabel("")
            axes.set_ylabel(shown(called[i], CHANNEL) if channels or len(signal) > 1 else "amplitude")
        set_title(above[0], named("input", name), details(signal, sample_rate))
        if band is not None:
            _add_roles(above[0], colours[0])
        for axes, (stat, values) in zip(below, drawn.items(), strict=True):
            _draw_panel(axes, stat, values, colours, first, step)
            note = value_range(values) + [left_out(stats)] * (axes is below[-1])
            set_title(axes, f"local {term(stat)}", "   ".join(filter(None, [of, *note])))
        below[-1].set_xlabel(time_label(signal.shape[-1] / (sample_rate or 1), sample_rate), fontsize=9)
        add_channels(below[0], colours, called)

    return encoded(format, (12.5, 0.5 + 2.6 * (panels + len(drawn))), draw)


def term(stat: str) -> str:
    """What a statistic is called in words.

    >>> term("var"), term("mean"), term("p99.9")
    ('variance', 'mean', 'percentile 99.9')
    """
    return f"percentile {stat[1:]}" if stat[1:2].isdigit() else TERMS.get(stat, stat)


def left_out(stats: Mapping[str, Samples]) -> str:
    """What there is to say where not all statistics are drawn."""
    return f"the first {MOST} of {len(stats)} statistics" if len(stats) > MOST else ""


def _band(stats: Mapping[str, Samples]) -> Samples | None:
    """One standard deviation to either side of the mean, ``(channels, 2, windows)``, where both are known."""
    if "mean" not in stats or not ("std" in stats or "var" in stats):
        return None
    with np.errstate(invalid="ignore", over="ignore"):
        std = stats["std"] if "std" in stats else np.sqrt(stats["var"])
        return np.stack([stats["mean"] - std, stats["mean"] + std], 1)


def _add_roles(axes: Axes, colour: str) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    drawn = {"signal": FAINT, "local mean": colour}
    lines = [Line2D([], [], color=each, label=label) for label, each in drawn.items()]
    add_legend(axes, [*lines, Patch(color=colour, alpha=0.3, label="± std")])


def _draw_panel(axes: Axes, stat: str, values: Samples, colours: Sequence[str], first: float, step: float) -> None:
    """One statistic of all channels ``(channels, windows)``."""
    set_style(axes, "", term(stat))
    for row, colour in zip(values, colours, strict=True):
        _draw_curve(axes, row[np.newaxis], colour, first, step)
    if stat in FROM_ZERO:
        axes.set_ylim(bottom=0)
    if stat == "count":
        axes.yaxis.set_major_locator(whole_ticks())


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
