"""How a kernel dies away: its level in dB over time, and the energy that is left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from convtool.plots.figure import Curve, Samples, channel_colours, duration, set_style, set_title
from convtool.plots.waveform import COLUMNS, envelope, peak_of, set_time_ticks, time_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEAST = 1000  # taps from which on there is a decay to see
DEPTH = 100.0  # dB that are shown, at most
FALL = 60.0  # dB whose time is told, as for reverberation


def energy_left(kernel: Samples) -> Curve:
    """The share of the energy of each row of ``(channels, taps)`` that is yet to come at each tap, in dB.

    The backward integral of Schroeder, "New Method of Measuring Reverberation Time", 1965. A silent row is -inf.
    NaN and infinities count as 0.

    >>> energy_left(np.array([[1.0, 1.0, 0.0]])).round(2).tolist()
    [[0.0, -3.01, -inf]]
    """
    power = np.square(
        np.nan_to_num(kernel.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0) / (peak_of(kernel) or 1)
    )
    left = np.cumsum(power[:, ::-1], -1)[:, ::-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        share: Curve = 10 * np.log10(left / left[:, :1])
    return np.where(np.isnan(share), -np.inf, share)


def draw_decay(axes: Axes, kernel: Samples, sample_rate: int | None) -> None:
    """For each channel its level below the kernel's peak as an area, and the energy that is left as a line."""
    taps = kernel.shape[-1]
    step = 1 / (sample_rate or 1)
    set_style(axes, time_label(taps * step, sample_rate), "level (dB)")
    starts, low, high = envelope(kernel, min(COLUMNS, taps))
    with np.errstate(divide="ignore"):
        levels = 20 * np.log10(np.nan_to_num(np.maximum(abs(low), abs(high))) / peak_of(kernel))
    left = energy_left(kernel)
    colours: Sequence[str] = channel_colours(len(kernel))
    for level, energy, colour in zip(levels, left, colours, strict=True):
        axes.fill_between(
            starts * step, np.maximum(level, -DEPTH), -DEPTH, step="post", color=colour, alpha=0.3, linewidth=0
        )
        axes.plot(starts * step, np.maximum(energy[starts], -DEPTH), color=colour, linewidth=1.4)
    axes.set_xlim(-0.01 * taps * step, 1.01 * taps * step)
    finite = levels[np.isfinite(levels)]
    axes.set_ylim(max(-DEPTH, float(finite.min()) - 3), 3)
    if sample_rate:
        set_time_ticks(axes, taps * step)
    fallen = int((left > -FALL).sum(-1).max())
    when = duration(fallen / sample_rate) if sample_rate else f"{fallen:,} samples"
    details = f"area: level below the kernel's peak   line: energy left, −{FALL:.0f} dB after {when}"
    set_title(axes, "decay of the kernel", details)
