"""Skewness and kurtosis of windows: against rational arithmetic, and beside pandas and SciPy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor

from convtool.ops import LocalStats, local_stats
from tests.helpers import reference_stats as reference

BOTH = ("skew", "kurt")
NAN = math.nan


def double(values: Any) -> Tensor:
    return torch.as_tensor(values, dtype=torch.float64)


def signals() -> dict[str, list[float]]:
    r = np.random.default_rng(5)
    noise = r.standard_normal
    made = {
        "offset": 1e9 + noise(220),
        "steps": np.concatenate([noise(70) * 1e6, noise(80) * 1e-6, 1e6 + noise(70)]),
        "spike": np.concatenate([noise(110), [1e9], noise(109)]),
        "rare": r.exponential(size=220) ** 3,
        "huge": noise(220) * 1e300,
        "tiny": noise(220) * 1e-310,
        "wild": noise(220) * 10.0 ** r.integers(-300, 300, 220),
        "levels": np.repeat(r.integers(-3, 3, 22), 10) + 1e15,
    }
    return {name: values.tolist() for name, values in made.items()}


@pytest.mark.parametrize("name", signals())
@pytest.mark.parametrize("window", [1, 2, 3, 4, 6, 7, 48, 49, 50, 111])
def test_against_rational_arithmetic(name: str, window: int) -> None:
    signal = signals()[name]
    made = local_stats(double(signal), window, stats=BOTH, stride=3).tolist()
    for stat, found in zip(BOTH, made, strict=True):
        for view, value in zip(reference.windows(signal, window, 3), found, strict=True):
            exact = reference.exact_shape(view, stat)
            assert value == pytest.approx(exact, rel=1e-12, abs=1e-12, nan_ok=True)


# pandas 2.3.3: Series([1, 2, 4, 8, 16, 16, 16, 16, 3, nan, 5, 1]).rolling(...).skew() and .kurt()
SERIES = [1.0, 2, 4, 8, 16, 16, 16, 16, 3, NAN, 5, 1]
PANDAS: list[tuple[dict[str, Any], list[float], list[float]]] = [
    (
        {"window": 4, "nan": "propagate", "padding_mode": "none", "min_count": 4},
        [NAN, NAN, NAN, 1.1376243669576889, 1.1376243669576889, -0.3703703703703703, -2.0, 0, -2, NAN, NAN, NAN],
        [NAN, NAN, NAN, 0.7576559546313799, 0.7576559546313799, -3.901234567901234, 4, -3, 4, NAN, NAN, NAN],
    ),
    (
        {"window": 5, "nan": "skip", "padding_mode": "none", "min_count": 3},
        [
            NAN,
            NAN,
            0.9352195295827574,
            1.1376243669576889,
            1.3253147098134055,
            0.1662326692016708,
            *[
                -0.8838834764831853,
                -2.2360679774997894,
                -2.2360679774997902,
                -2,
                -0.07069095358532826,
                1.6518230157768066,
            ],
        ],
        [
            NAN,
            NAN,
            NAN,
            0.7576559546313799,
            1.3037634408602183,
            -2.8446502057613174,
            -1.75,
            5,
            5,
            4,
            *[-5.593263276412085, 2.874298243500469],
        ],
    ),
]


@pytest.mark.parametrize(("options", "skew", "kurt"), PANDAS)
def test_pandas_agrees(options: dict[str, Any], skew: list[float], kurt: list[float]) -> None:
    made = local_stats(double(SERIES), stats=BOTH, mode="same", align="right", **options)
    np.testing.assert_allclose(made, [skew, kurt], rtol=1e-13, atol=1e-14)


def test_what_pandas_gets_wrong_after_large_numbers() -> None:
    """pandas 2.3.3 finds -0.6085806191737936, 2.23606797749979 and 12.357378781873429, 4.316194343561446 in these."""
    x = [1e6 + n * n for n in range(5)] + [1e-6 * n * n for n in range(6)]
    made = local_stats(double(x), 5, stats=BOTH)
    views = np.lib.stride_tricks.sliding_window_view(x[5:], 5)
    np.testing.assert_allclose(made[0, -2:], scipy.stats.skew(views, axis=1, bias=False), rtol=1e-13)
    np.testing.assert_allclose(made[1, -2:], scipy.stats.kurtosis(views, axis=1, bias=False), rtol=1e-13)


@pytest.mark.parametrize("window", [(2, 3), (4, 4), (7, 1), (1, 9), (5, 60)])
def test_scipy_agrees_on_grids(window: tuple[int, int]) -> None:
    x = torch.randn(9, 70, generator=torch.Generator().manual_seed(2), dtype=torch.float64) ** 3
    views = np.lib.stride_tricks.sliding_window_view(x.numpy(), window).reshape(10 - window[0], 71 - window[1], -1)
    made = local_stats(x, window, stats=("kurt", "var", "skew"))
    np.testing.assert_allclose(made[0], scipy.stats.kurtosis(views, axis=2, bias=False), rtol=1e-10, atol=1e-11)
    np.testing.assert_allclose(made[2], scipy.stats.skew(views, axis=2, bias=False), rtol=1e-10, atol=1e-11)
    np.testing.assert_array_equal(made[1], local_stats(x, window)[0])


@pytest.mark.parametrize("window", [1, 2, 3, 5, 20, 70])
@pytest.mark.parametrize("skip", [False, True])
def test_nan_and_infinities(window: int, skip: bool) -> None:
    signal = np.random.default_rng(window).exponential(size=90).tolist()
    signal[11] = signal[12] = signal[50] = NAN
    signal[80] = math.inf
    made = local_stats(double(signal), window, stats=BOTH, nan="skip" if skip else "propagate")
    for stat, found in zip(BOTH, made.tolist(), strict=True):
        expected = [reference.of_window(view, stat, skip=skip) for view in reference.windows(signal, window)]
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64])
def test_blocks_and_dtypes(dtype: torch.dtype) -> None:
    x = (torch.randn(2, 400, generator=torch.Generator().manual_seed(4), dtype=torch.float64) * 1e4).to(dtype)
    whole = local_stats(x, 60, stats=BOTH)
    assert whole.dtype == (dtype if dtype.is_floating_point else torch.float64)
    core = LocalStats(60, stats=BOTH)
    parts = [core.push(block) for block in x.split([7, 193, 200], -1)]
    assert torch.equal(torch.cat([*parts, core.finish()], -1).reshape(2, 2, -1), whole)
    assert torch.equal(local_stats(x, 60, stats=("skew",))[:, 0], whole[:, 0])
    far = torch.tensor([2**62 + n * n * n for n in range(60)])
    np.testing.assert_allclose(local_stats(far, 60, stats=BOTH), local_stats(far - 2**62, 60, stats=BOTH), rtol=1e-13)


@pytest.mark.parametrize("window", [3, 5, 12, 60])
def test_gradients(window: int) -> None:
    x = torch.randn(70, generator=torch.Generator().manual_seed(6), dtype=torch.float64, requires_grad=True)
    for stat in BOTH:
        assert torch.autograd.gradcheck(lambda x, s=stat: local_stats(x, max(window, 4), stats=(s,), stride=9), x)
