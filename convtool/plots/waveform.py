"""Signals over time: their extremes, their peaks, and the drawing of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from convtool.plots.figure import CHANNEL, Curve, Samples, add_note, duration, number, set_style, shown, whole_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Starts = NDArray[np.intp]

COLUMNS = 1000  # the stretches that a long waveform is drawn with: about as many as its pixels
STEMS = 64  # samples up to which each is drawn by itself
LANES = 8  # channels of a long signal that are drawn, each in a lane of its own
MINUTES = 120  # seconds from which on the time axis has minutes
TICKS = 9  # of a time axis with minutes, at most


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


@dataclass(frozen=True)
class Trace:
    """A signal as far as a picture shows it: of a very long one its beginning, and the extremes of stretches of all."""

    samples: Samples
    """``(channels, samples)``."""
    total: int
    """Samples of the whole."""
    low: Samples
    high: Samples
    """The least and the greatest finite value in each stretch ``(channels, stretches)``; NaN where there is none."""
    bad: int = 0
    """How many values are not finite."""

    @classmethod
    def of(cls, signal: Samples | Trace) -> Trace:
        """What shows all of `signal`."""
        if isinstance(signal, Trace):
            return signal
        count = signal.shape[-1]
        _, low, high = envelope(signal, min(count, COLUMNS)) if signal.size else (None, signal, signal)
        return cls(signal, count, low, high, signal.size - int(np.isfinite(signal).sum()))

    @property
    def is_whole(self) -> bool:
        """Whether the samples are all that there are."""
        return bool(self.samples.shape[-1] == self.total)

    @property
    def peak(self) -> float:
        """The greatest finite magnitude, 0 without any."""
        return max(peak_of(self.low), peak_of(self.high))

    def stretches(self, step: float) -> tuple[bool, Curve, Samples, Samples]:
        """As the function of that name gives them, from 0 on."""
        if self.is_whole:
            return stretches(self.samples, 0, step)
        starts, low, _ = envelope(self.low, COLUMNS)
        high = envelope(self.high, COLUMNS)[2]
        places = np.append(starts / self.low.shape[-1], 1.0) * self.total * step
        low, high = (np.concatenate([each, each[:, -1:]], -1) for each in (low, high))
        return True, places, low, high


def peak_of(signal: Samples) -> float:
    """The greatest finite magnitude, 0 without any."""
    if not signal.size:
        return 0.0
    _, low, high = envelope(signal, 1)
    return float(np.nan_to_num(np.maximum(abs(low.astype(np.float64)), abs(high.astype(np.float64)))).max(initial=0))


def details(signal: Samples | Trace, sample_rate: float | None) -> str:
    """How much there is of a signal, and how loud it is."""
    trace = Trace.of(signal)
    channels, peak = len(trace.samples), trace.peak
    parts = [f"{channels} channels"] if channels > 1 else []
    parts.append(f"{trace.total:,} sample{'s' if trace.total != 1 else ''}")
    if sample_rate:
        parts.append(duration(trace.total / sample_rate))
    parts.append(
        f"peak {peak:.4g}" + (f" ({20 * np.log10(peak):.1f} dB)".replace("-", "−") if sample_rate and peak else "")
    )
    return "   ".join([*parts, f"{trace.bad:,} not finite"] if trace.bad else parts)


def time_label(seconds: float, sample_rate: int | None) -> str:
    """What stands below a time axis of so many seconds, or of samples where there is no rate."""
    return "time (samples)" if not sample_rate else "time (s)" if seconds < MINUTES else "time (min:s)"


def set_time_ticks(axes: Axes, seconds: float) -> None:
    """Whole minutes, or parts of them that a clock has, on a long axis of seconds."""
    from matplotlib.ticker import FuncFormatter, MultipleLocator

    if seconds < MINUTES:
        return
    steps = [step * unit for unit in (1, 60, 3600, 36000) for step in (10, 15, 30, 60, 120, 300, 600)]
    step = next((step for step in sorted(steps) if step * TICKS >= seconds), steps[-1])
    axes.xaxis.set_major_locator(MultipleLocator(step))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: f"{int(at // 60)}:{int(at % 60):02d}"))


def draw_waveform(
    axes: Axes,
    signal: Samples | Trace,
    colours: Sequence[str],
    sample_rate: int | None,
    *,
    every: int = 1,
    names: Sequence[str] = (),
) -> None:
    """`signal` ``(channels, samples)`` over time; of a long one each channel in a lane of its own, under its name.

    A sample stands for `every` ones of the axis.
    """
    trace = Trace.of(signal)
    step, samples = every / (sample_rate or 1), trace.total
    set_style(axes, time_label(samples * step, sample_rate), "amplitude")
    if not trace.samples.size:
        return add_note(axes, "empty")
    if len(trace.samples) > 1 and samples > 2 * COLUMNS:
        _draw_lanes(axes, trace, colours, names, step)
    else:
        axes.axhline(0, color="#bbbbbb", linewidth=0.8, zorder=0.6)
        _draw_lines(axes, trace, colours, step)
    # Room on the left, or a first sample that is a peak would lie on the axis.
    margin = 0.6 if samples <= STEMS else 0.01 * samples
    axes.set_xlim(-margin * step, (samples - 1 + margin) * step)
    if sample_rate:
        set_time_ticks(axes, samples * step)
    elif samples <= STEMS:
        axes.xaxis.set_major_locator(whole_ticks())
    return None


def _draw_lines(axes: Axes, trace: Trace, colours: Sequence[str], step: float) -> None:
    many, time, lows, highs = trace.stretches(step)
    for low, high, colour in zip(lows, highs, colours, strict=True):
        if many:
            axes.fill_between(time, low, high, step="post", color=colour, linewidth=0.5, alpha=0.65)
        elif trace.total > STEMS:
            axes.plot(time, low, color=colour, linewidth=1.1, alpha=0.85)
        else:
            axes.vlines(time, 0, low, color=colour, linewidth=1.6, alpha=0.8)
            axes.plot(time, low, "o", color=colour, markersize=5, mec="white", mew=0.7)


def _draw_lanes(axes: Axes, trace: Trace, colours: Sequence[str], names: Sequence[str], step: float) -> None:
    """Lanes of equal height, from the peak of all channels below 0 to that above."""
    channels, peak = len(trace.samples), trace.peak or 1.0
    drawn = min(channels, LANES)
    _, time, lows, highs = trace.stretches(step)
    for lane, colour in enumerate(colours[:drawn]):
        low, high = (each[lane] / (2.2 * peak) for each in (lows, highs))
        axes.axhline(-lane, color="#bbbbbb", linewidth=0.8, zorder=0.6)
        axes.fill_between(time, low - lane, high - lane, step="post", color=colour, linewidth=0.5, alpha=0.75)
    axes.set_yticks([-lane for lane in range(drawn)], [shown(name, CHANNEL) for name in names[:drawn]])
    axes.set_ylim(-drawn + 0.45, 0.55)
    others = f", {drawn} of {channels}" if drawn < channels else ""
    axes.set_ylabel(f"lanes of ±{number(peak)}{others}", fontsize=9)


def share_time(one: Axes, other: Axes, samples: int, sample_rate: int | None) -> None:
    """Let both begin and end where the longer one does, with the same ticks."""
    start, end = zip(one.get_xlim(), other.get_xlim(), strict=True)
    for axes in (one, other):
        axes.set_xlim(min(start), max(end))
        if sample_rate:
            axes.set_xlabel(time_label(samples / sample_rate, sample_rate), fontsize=9)
            set_time_ticks(axes, samples / sample_rate)
