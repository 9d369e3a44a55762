"""The frequency response against its sum, term by term, in extended precision."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.signal
import torch
from torch import Tensor

from convtool.ops import convolve, frequency_response
from convtool.ops.response import EPSILON

LENGTHS = [1, 2, 3, 25, 64, 400]


def magnitudes(taps: Tensor, points: int) -> np.ndarray:
    """|sum_k h[k] exp(-2 pi i m k / N)| for one filter ``(K,)``; m k is reduced before it meets pi."""
    h, n = taps.double().numpy().astype(np.longdouble), 2 * (points - 1)
    turns = np.outer(np.arange(points), np.arange(len(h))) % n / np.longdouble(n)
    angles = 2 * np.arccos(np.longdouble(-1)) * turns
    return np.hypot((h * np.cos(angles)).sum(-1), (h * np.sin(angles)).sum(-1))


def noise(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("taps", LENGTHS)
@pytest.mark.parametrize("points", [2, 3, 13, 33, 201, 513])
@pytest.mark.parametrize("kind", ["noise", "positive", "equal"])
def test_it_is_the_sum(taps: int, points: int, kind: str) -> None:
    filters = {"noise": noise(3, taps), "positive": noise(3, taps).abs(), "equal": noise(3, 1).expand(3, taps)}[kind]
    _, made = frequency_response(filters, points=points)
    for h, decibels in zip(filters, made.numpy(), strict=True):
        floor = EPSILON * math.log2(4 * points) * float(h.abs().sum())
        error = abs(10 ** (decibels.astype(np.longdouble) / 20) - magnitudes(h, points))
        # Decibels of d in float64 are known to 2^-53 |d|: hence the second term.
        assert (error <= floor + 1e-15 * abs(np.nan_to_num(decibels, neginf=0)) * magnitudes(h, points)).all()


@pytest.mark.parametrize(("taps", "points"), [(1000, 2), (1000, 200), (1001, 500), (1000, 501), (999, 501)])
def test_a_filter_longer_than_the_transform_is_folded(taps: int, points: int) -> None:
    h = noise(taps)
    _, made = frequency_response(h, points=points)
    np.testing.assert_allclose(made.numpy(), 20 * np.log10(magnitudes(h, points)).astype(float), rtol=0, atol=1e-9)


def test_it_is_scipys() -> None:
    h = scipy.signal.firwin(101, 2000, fs=16000)
    frequency, made = frequency_response(torch.from_numpy(h), points=257, sample_rate=16000)
    at, expected = scipy.signal.freqz(h, worN=257, fs=16000, include_nyquist=True)
    np.testing.assert_allclose(frequency.numpy(), at, atol=1e-9)
    np.testing.assert_allclose(made.numpy(), 20 * np.log10(abs(expected)), atol=1e-7)
    passed = frequency < 1500
    assert made[passed].abs().max() < 0.05
    assert made[frequency > 2500].max() < -50


def test_it_is_the_gain_of_a_sine() -> None:
    h = noise(16)
    frequency, made = frequency_response(h, points=9, sample_rate=1000)
    sine = torch.cos(2 * torch.pi * frequency[3] * torch.arange(4000, dtype=torch.float64) / 1000 + 0.3)
    heard = convolve(sine, h, mode="valid")
    assert 20 * math.log10(float(heard.square().mean() / sine.square().mean()) ** 0.5) == pytest.approx(
        float(made[3]), abs=0.01
    )


@pytest.mark.parametrize(
    ("rate", "expected"), [(None, [0, 0.125, 0.25, 0.375, 0.5]), (16000, [0, 2000, 4000, 6000, 8000]), (0.1, None)]
)
def test_the_frequencies_reach_from_nothing_to_half_the_rate(rate: float | None, expected: list[float] | None) -> None:
    frequency, _ = frequency_response(noise(3), points=5, sample_rate=rate)
    assert frequency.dtype == torch.float64
    assert frequency.tolist() == pytest.approx(expected or [0, 0.0125, 0.025, 0.0375, 0.05])
    assert frequency[-1] == (rate or 1) / 2


def test_known_filters() -> None:
    decibels = {
        "one": ([1.0], [0, 0, 0]),
        "half": ([0.0, 0.0, -0.5], [-6.0206] * 3),
        "mean of two": ([0.5, 0.5], [0, -3.0103, -math.inf]),
        "difference": ([1.0, -1.0], [-math.inf, 3.0103, 6.0206]),
        "two apart": ([1.0, 0.0, 1.0], [6.0206, -math.inf, 6.0206]),
    }
    for taps, expected in decibels.values():
        assert frequency_response(torch.tensor(taps), points=3)[1].tolist() == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("points", [3, 9, 65, 513])
@pytest.mark.parametrize("scale", [1.0, 0.1, 1e-300, 1e300])
def test_rounding_errors_are_not_told_as_a_response(points: int, scale: float) -> None:
    """The zeros of a running mean of 8 lie at multiples of 1/8; cos and sin of them are not exact."""
    frequency, made = frequency_response(torch.full((8,), scale, dtype=torch.float64), points=points)
    zeros = (frequency * 8 % 1 == 0) & (frequency > 0)
    assert zeros.any()
    assert (made[zeros] == -math.inf).all()
    assert (made[~zeros] > made[0] - 60).all()


def test_leading_axes_dtypes_and_inputs_are_kept() -> None:
    filters = noise(4, 1, 3, 7, dtype=torch.float32)
    before = filters.clone()
    _, made = frequency_response(filters, points=6)
    assert made.shape == (4, 1, 3, 6)
    assert made.dtype == torch.float64
    assert torch.equal(filters, before)
    for index in [(0, 0, 0), (3, 0, 2)]:
        assert torch.equal(made[index], frequency_response(filters[index].double(), points=6)[1])
    whole = torch.tensor([3, -1, 2])
    assert torch.equal(frequency_response(whole, points=6)[1], frequency_response(whole.double(), points=6)[1])


def test_the_largest_and_the_smallest_taps() -> None:
    unit = frequency_response(noise(50), points=33)[1]
    for scale in (2.0**1021, 2.0**-1020):
        scaled = frequency_response(noise(50) * scale, points=33)[1]
        np.testing.assert_allclose(scaled - 20 * math.log10(scale), unit, rtol=0, atol=1e-9)
    tiny = frequency_response(torch.tensor([5e-324, 0, 0], dtype=torch.float64), points=2)[1]
    assert tiny.tolist() == pytest.approx([20 * math.log10(5e-324)] * 2)


def test_silent_and_bad_filters_speak_for_themselves() -> None:
    filters = noise(5, 4)
    filters[1] = 0
    filters[2, 3] = math.nan
    filters[3, 0] = math.inf
    _, made = frequency_response(filters, points=9)
    assert (made[1] == -math.inf).all()
    assert made[2:4].isnan().all()
    assert torch.equal(made[[0, 4]], frequency_response(filters[[0, 4]], points=9)[1])


def test_without_filters_or_without_taps() -> None:
    assert frequency_response(torch.zeros(0, 4), points=3)[1].shape == (0, 3)
    assert frequency_response(torch.zeros(2, 0), points=3)[1].tolist() == [[-math.inf] * 3] * 2


def test_gradients() -> None:
    def finite(taps: Tensor) -> Tensor:
        return frequency_response(taps, points=6, sample_rate=8000)[1]

    assert torch.autograd.gradcheck(finite, noise(2, 9).requires_grad_())
    taps = torch.tensor([1.0, 1.0], dtype=torch.float64, requires_grad=True)
    frequency_response(taps, points=3)[1][-1].backward()
    assert taps.grad is not None
    assert taps.grad.tolist() == [0, 0]


@pytest.mark.parametrize("dtype", [torch.complex64, torch.bool])
def test_filters_that_are_no_real_numbers(dtype: torch.dtype) -> None:
    with pytest.raises(TypeError, match=f"{dtype}; a frequency response needs real numbers"):
        frequency_response(torch.ones(3, dtype=dtype), points=3)


def test_misuse() -> None:
    with pytest.raises(ValueError, match="a single number"):
        frequency_response(torch.tensor(1.0), points=3)
    for points in (1, 0, -1):
        with pytest.raises(ValueError, match=f"points is {points}; .* at least 2"):
            frequency_response(torch.ones(3), points=points)
    for rate in (0, -1, math.inf, math.nan):
        with pytest.raises(ValueError, match=f"sample_rate is {rate}; it is a positive number of Hz"):
            frequency_response(torch.ones(3), points=2, sample_rate=rate)
