"""Spectra of signals in dB, and the drawing of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convtool.plots.figure import LEGEND, Curve, Samples, add_channels, add_note, duration, set_style
from convtool.plots.waveform import Trace, peak_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

POINTS = 480  # of a spectrum
SEGMENT = 1 << 16  # samples in one transform of a long signal
SMOOTH = 16384  # the least length of a transform: what is shorter gets zeros, for a smooth curve
DECADES = 1000.0  # top over bottom of the frequency axis
DEPTH = 120.0  # dB that a spectrum shows below its peak, at most
REACH = 2  # points to either side whose extremes a band covers, so that it does not fall into every gap of a comb


@dataclass(frozen=True)
class Spectrum:
    """Frequencies ``(points,)``; the mean, least and greatest power around each of them ``(channels, points)``.

    The powers are of the signal over its peak; `level` is that peak in dB. 0 dB of the whole is a magnitude of 1.
    """

    level: float
    frequency: Curve
    mean: Curve
    low: Curve
    high: Curve
    banded: bool
    """Whether there is more between two points than a line through them shows."""


def _power(channel: Samples, peak: float) -> Curve:
    """``|X(f)|^2`` of one channel ``(samples,)`` over `peak`, in equal steps from 0 to half the sample rate.

    A long channel is worked in Hann windows that overlap by half, and their powers are added: the spectrum of the
    whole, smoothed to a resolution of 1 / SEGMENT (Welch 1967). The sum of their squares is 3/4 on the average.
    NaN and infinities count as 0.
    """
    samples = len(channel)
    if samples <= 2 * SEGMENT:
        size = max(SMOOTH, 1 << (samples - 1).bit_length())
        whole: Curve = np.abs(np.fft.rfft(_finite(channel) / peak, size)) ** 2
        return whole
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(SEGMENT) / SEGMENT)
    total = np.zeros(SEGMENT // 2 + 1)
    for start in range(-(SEGMENT // 2), samples, SEGMENT // 2):
        piece = np.zeros(SEGMENT)
        found = channel[max(0, start) : start + SEGMENT]
        piece[max(0, -start) :][: len(found)] = _finite(found) / peak
        total += np.abs(np.fft.rfft(piece * window)) ** 2 / 0.75
    return total


def _finite(signal: Samples) -> Curve:
    return np.nan_to_num(signal.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)


def spectrum_of(signal: Samples, sample_rate: float | None) -> Spectrum | None:
    """The powers of ``(channels, samples)``, gathered to the points of the frequency axis; None for silence.

    With a sample rate the points lie in equal ratios (Hz, three decades), without in equal steps (cycles a sample).
    """
    peak = peak_of(signal)
    if not peak:
        return None
    power = np.stack([_power(channel, peak) for channel in signal])
    frequency = np.linspace(0, 0.5 * (sample_rate or 1), power.shape[-1])
    lowest = frequency[-1] / DECADES
    edges = np.geomspace(lowest, frequency[-1], POINTS) if sample_rate else np.linspace(0, 0.5, POINTS)
    starts = np.unique(np.searchsorted(frequency, edges[:-1]))
    counts = np.diff(starts, append=len(frequency))
    return Spectrum(
        20 * float(np.log10(peak)),
        frequency[starts + (counts - 1) // 2],
        np.add.reduceat(power, starts, axis=-1) / counts,
        np.minimum.reduceat(power, starts, axis=-1),
        np.maximum.reduceat(power, starts, axis=-1),
        signal.shape[-1] > POINTS,
    )


def cut(trace: Trace, sample_rate: float | None) -> str:
    """What there is to say of a spectrum that is of the beginning alone."""
    if trace.is_whole:
        return ""
    known = trace.samples.shape[-1]
    return f"; of the first {duration(known / sample_rate) if sample_rate else f'{known:,} samples'}"


def hertz(frequency: float) -> str:
    """`frequency` as a label of an axis.

    >>> hertz(500), hertz(12500)
    ('500', '12.5k')
    """
    return f"{frequency / 1000:g}k" if frequency >= 1000 else f"{frequency:g}"


def _spread(levels: Curve, extreme: np.ufunc) -> Curve:
    """The `extreme` of each level and its neighbours, smoothed over as many."""
    width = 2 * REACH + 1
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(levels, 2 * REACH, mode="edge"), width)
    smoothed: Curve = np.convolve(extreme.reduce(windows, -1), np.full(width, 1 / width), "valid")
    return smoothed


def draw_spectrum(
    axes: Axes,
    spectrum: Spectrum | None,
    colours: Sequence[str],
    sample_rate: float | None,
    reference: float,
    names: Sequence[str] = (),
) -> None:
    """The spectrum in dB over `reference`: the mean as a line, what lies around it as a band, but for many channels."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    set_style(axes, "frequency (Hz)" if sample_rate else "frequency (cycles/sample)", "magnitude (dB)")
    if sample_rate:
        top = sample_rate / 2
        axes.set_xscale("log")
        axes.set_xlim(top / DECADES, top)
        ticks = [d * 10.0**e for e in range(-9, 12) for d in (1, 2, 5) if top / DECADES <= d * 10.0**e <= top]
        axes.xaxis.set_major_locator(FixedLocator(ticks))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda f, _: hertz(f)))
    else:
        axes.set_xlim(0, 0.5)
    if spectrum is None:
        return add_note(axes, "silent")
    floor = spectrum.high.max() * 1e-30
    mean, low, high = (
        10 * np.log10(np.maximum(power, floor)) + spectrum.level - reference
        for power in (spectrum.mean, spectrum.low, spectrum.high)
    )
    for i, colour in enumerate(colours):
        if spectrum.banded and len(colours) <= LEGEND:
            band = _spread(low[i], np.minimum), _spread(high[i], np.maximum)
            axes.fill_between(spectrum.frequency, *band, color=colour, alpha=0.22, linewidth=0)
        axes.plot(spectrum.frequency, mean[i], color=colour, linewidth=1.1, alpha=0.8)
    add_channels(axes, colours, names)
    top = float(high.max())
    bottom = max(float(mean[spectrum.mean > floor].min()), top - DEPTH)  # a silent channel is below any axis
    margin = max(3.0, 0.06 * (top - bottom))
    axes.set_ylim(bottom - margin, top + margin)
    return None
