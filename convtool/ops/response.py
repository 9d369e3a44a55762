"""The frequency response of FIR filters.

At f cycles per sample the response of the taps h[0] ... h[K-1] is their discrete-time Fourier transform

    H(f) = sum_k h[k] exp(-2 pi i f k)

P points from 0 to 1/2 are f = m / N with N = 2 (P - 1). There the exponential has the period N in k, so that taps
N apart can be added first, and what is left is the DFT of N numbers, whether K is less than N (zeros are appended)
or more (the filter is folded): no point is interpolated.

Source: A. V. Oppenheim and R. W. Schafer, "Discrete-Time Signal Processing", 3rd edition, 2010, sections 5.1 (frequency
response) and 8.4 (sampling the Fourier transform).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

EPSILON = 2.0**-52


def frequency_response(filters: Tensor, *, points: int, sample_rate: float | None = None) -> tuple[Tensor, Tensor]:
    """The magnitude of the frequency response of `filters` ``(..., K)``, in dB.

    ``20 log10 |sum_k h[k] exp(-2 pi i f k / sample_rate)|``: 0 dB leaves a sine at f as loud as it was. A filter and
    its mirror image, so convolution and correlation, have the same magnitude.

    Args:
        filters: real taps; integers are worked as float64, exact up to 2^53. Never changed.
        points: P frequencies, equally spaced from 0 to half the sample rate, both included.
        sample_rate: in Hz; None measures frequency in cycles per sample.

    Returns:
        The frequencies ``(P,)``, and the magnitudes ``(..., P)`` at them; both float64, on the filters' device.

        -inf is a magnitude of 0. Where terms cancel, their rounding errors are left in place of 0: a magnitude of no
        more than ``e log2(4 P) sum_k |h[k]|``, e = 2^-52, can't be told from 0, and is -inf too. That is some 290 dB
        below the most that the taps could add up to, and bounds the error of every other magnitude.

        A filter of zeros, or without taps, is -inf everywhere; one with NaN or infinity is NaN everywhere, and
        changes no other. Neither the largest nor the smallest taps overflow. Differentiable, with gradient 0 where
        the magnitude is -inf.

    Raises:
        TypeError: complex or boolean filters.
        ValueError: fewer than 2 points, a sample rate that is not a positive number, filters without an axis.

    >>> frequency, magnitude = frequency_response(torch.tensor([1, 1]), points=3, sample_rate=16000)
    >>> frequency.tolist(), [round(each, 4) for each in magnitude.tolist()]
    ([0.0, 4000.0, 8000.0], [6.0206, 3.0103, -inf])
    """
    if filters.is_complex() or filters.dtype == torch.bool:
        raise TypeError(f"the filters have dtype {filters.dtype}; a frequency response needs real numbers")
    if filters.dim() == 0:
        raise ValueError("the filters are a single number; taps lie along an axis, (..., K)")
    if points < 2:
        raise ValueError(f"points is {points}; from 0 to half the sample rate there are at least 2")
    if sample_rate is not None and not (math.isfinite(sample_rate) and sample_rate > 0):
        raise ValueError(f"sample_rate is {sample_rate}; it is a positive number of Hz, or None")

    half = 0.5 * (sample_rate or 1)
    steps = torch.arange(points, dtype=torch.float64, device=filters.device)
    frequency = half * steps / (points - 1)

    taps = filters.double()
    if 0 in taps.shape[:-1]:  # torch's FFT refuses to transform nothing
        return frequency, taps.new_empty(*taps.shape[:-1], points)
    finite = taps.isfinite().all(-1, keepdim=True)
    taps, level = _scaled(taps.where(finite, 0))
    magnitude = torch.fft.rfft(_folded(taps, 2 * (points - 1))).abs()
    heard = magnitude > EPSILON * math.log2(4 * points) * taps.detach().abs().sum(-1, keepdim=True)
    decibels = 20 * magnitude.where(heard, 1).log10() + level
    return frequency, decibels.where(heard, -math.inf).where(finite, math.nan)


def _scaled(taps: Tensor) -> tuple[Tensor, Tensor]:
    """Taps ``(..., K)`` over their peak, so that no sum of them overflows; and the peaks ``(..., 1)`` in dB."""
    peak = torch.nn.functional.pad(taps.detach().abs(), (0, 1)).amax(-1, keepdim=True)  # of no taps: 0
    peak = peak.where(peak > 0, 1)
    return taps / peak, 20 * peak.log10()


def _folded(taps: Tensor, length: int) -> Tensor:
    """Taps ``(..., K)`` with those `length` apart added: ``(..., length)``."""
    repeats = max(1, -(-taps.shape[-1] // length))
    padded = torch.nn.functional.pad(taps, (0, repeats * length - taps.shape[-1]))
    return padded.reshape(*taps.shape[:-1], repeats, length).sum(-2)
