"""Signals over time: their extremes, their peaks, and the drawing of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from convtool.plots.figure import Curve, Samples, add_note, set_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Starts = NDArray[np.intp]

COLUMNS = 1000  # the stretches that a long waveform is drawn with: about as many as its pixels
STEMS = 64  # samples up to which each is drawn by itself


def envelope(signal: Samples, columns: int) -> tuple[Starts, Samples, Samples]:
    """The least and the greatest value in each of `columns` stretches of ``(channels, samples)``.

    Gives the first index of each stretch ``(columns,)`` and the two extremes ``(channels, columns)``: every peak of
    the signal is in the picture, whatever its length. NaN and infinities are left out; a stretch of nothing else is
    NaN. Needs ``1 <= columns <= samples``.

    >>> starts, low, high = envelope(np.array([[0.0, 5.0, -1.0, 2.0]]), 2)
    >>> starts.tolist(), low.tolist(), high.tolist()
    ([0, 2], [[0.0, -1.0]], [[5.0, 2.0]])
    """
    starts = (np.arange(columns) * signal.shape[-1]) // columns
    finite = np.isfinite(signal)
    if not finite.all():
        signal = np.where(finite, signal, np.nan)
    return starts, np.fmin.reduceat(signal, starts, axis=-1), np.fmax.reduceat(signal, starts, axis=-1)


def stretches(signal: Samples, first: float, step: float) -> tuple[bool, Curve, Samples, Samples]:
    """Whether ``(channels, samples)`` are too many to draw each; where the drawing has points, the extremes there.

    Sample n is at ``first + n * step``. Of stretches, the last end comes after their beginnings, and repeats the last
    value.
    """
    samples = signal.shape[-1]
    many: bool = samples > 2 * COLUMNS
    starts, low, high = envelope(signal, COLUMNS if many else samples)
    if many:
        starts = np.append(starts, samples)
        low, high = (np.concatenate([each, each[:, -1:]], -1) for each in (low, high))
    places = first + starts.astype(np.float64) * step
    return many, places, low, high


def peak_of(signal: Samples) -> float:
    """The greatest finite magnitude, 0 without any."""
    if not signal.size:
        return 0.0
    _, low, high = envelope(signal, 1)
    return float(np.nan_to_num(np.maximum(abs(low.astype(np.float64)), abs(high.astype(np.float64)))).max(initial=0))


def details(signal: Samples, sample_rate: int | None) -> str:
    channels, samples = signal.shape
    peak = peak_of(signal)
    parts = [f"{channels} channels"] if channels > 1 else []
    parts.append(f"{samples:,} sample{'s' if samples != 1 else ''}")
    if sample_rate:
        parts.append(f"{samples / sample_rate:.4g} s")
    parts.append(
        f"peak {peak:.4g}" + (f" ({20 * np.log10(peak):.1f} dB)".replace("-", "−") if sample_rate and peak else "")
    )
    bad = signal.size - int(np.isfinite(signal).sum())
    return "   ".join([*parts, f"{bad:,} not finite"] if bad else parts)


def draw_waveform(axes: Axes, signal: Samples, colours: Sequence[str], sample_rate: int | None) -> None:
    from matplotlib.ticker import MaxNLocator

    set_style(axes, "time (s)" if sample_rate else "time (samples)", "amplitude")
    samples = signal.shape[-1]
    if not signal.size:
        return add_note(axes, "empty")
    step = 1 / (sample_rate or 1)
    axes.axhline(0, color="#bbbbbb", linewidth=0.8, zorder=0.6)
    many, time, lows, highs = stretches(signal, 0, step)
    for low, high, colour in zip(lows, highs, colours, strict=True):
        if many:
            axes.fill_between(time, low, high, step="post", color=colour, linewidth=0.5, alpha=0.65)
        elif samples > STEMS:
            axes.plot(time, low, color=colour, linewidth=1.1, alpha=0.85)
        else:
            axes.vlines(time, 0, low, color=colour, linewidth=1.6, alpha=0.8)
            axes.plot(time, low, "o", color=colour, markersize=5, mec="white", mew=0.7)
    # Room on the left, or a first sample that is a peak would lie on the axis.
    margin = 0.6 if samples <= STEMS else 0.01 * samples
    axes.set_xlim(-margin * step, (samples - 1 + margin) * step)
    if samples <= STEMS and not sample_rate:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return None
