"""Percentiles of windows that are too long for a network of comparisons."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from convtool.ops import local_stats

FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


def signal(dtype: torch.dtype, size: int) -> torch.Tensor:
    """Numbers of all sizes and both signs, many of them equal, infinities and both zeros among them."""
    random = torch.Generator().manual_seed(7)
    exponents = torch.randint(-20, 5, (size,), generator=random)
    x = torch.randn(size, generator=random, dtype=torch.float64).mul(4).round().div(4).ldexp(exponents).to(dtype)
    x[::17], x[5::29], x[6::31], x[7::37] = 0.0, -0.0, torch.inf, -torch.inf
    return x


@pytest.mark.parametrize("window", [65, 128, 1001])
@pytest.mark.parametrize("dtype", FLOATS)
def test_every_dtype_against_sorting_each_window(dtype: torch.dtype, window: int) -> None:
    x = signal(dtype, 3000)
    made = local_stats(x, window, stats=("median", "p0", "p25", "p100"))
    ordered = x.double().unfold(0, window, 1).sort(-1).values.numpy()
    with np.errstate(invalid="ignore"):
        wanted = [np.percentile(ordered, percent, axis=-1) for percent in (0, 25, 100)]
    middle = ordered[:, (window - 1) // 2], ordered[:, window // 2]
    for found, right in zip(made, [(middle[0] + middle[1]) / 2, *wanted], strict=True):
        finite = np.isfinite(right)  # between two infinities NumPy has NaN
        np.testing.assert_array_equal(found[finite].double(), torch.from_numpy(right[finite]).to(dtype).double())


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("dtype", FLOATS)
def test_nan_of_either_sign_is_left_out(dtype: torch.dtype, sign: int) -> None:
    x = torch.randn(500, generator=torch.Generator().manual_seed(1)).to(dtype)
    x[::3] = torch.tensor(torch.nan, dtype=dtype).copysign(torch.tensor(float(sign), dtype=dtype))
    found = local_stats(x, 90, stats=("median",), nan="skip")[0]
    wanted = np.nanmedian(x.double().unfold(0, 90, 1).numpy(), axis=-1)
    np.testing.assert_array_equal(found.double(), torch.from_numpy(wanted).to(dtype).double())


def test_a_stride_takes_every_so_many_windows() -> None:
    x = signal(torch.float32, 80_000)
    for window in (101, 70_000):
        whole = local_stats(x, window, stats=("median", "p10"))
        torch.testing.assert_close(
            local_stats(x, window, stats=("median", "p10"), stride=11), whole[:, ::11], rtol=0, atol=0, equal_nan=True
        )


def test_the_gradient_is_that_of_the_sample_in_the_middle() -> None:
    x = signal(torch.float64, 200).nan_to_num(posinf=9, neginf=-9).requires_grad_()
    local_stats(x, 101, stats=("median",)).sum().backward()
    assert x.grad is not None
    assert x.grad.sum() == 100
    assert set(x.grad.unique().tolist()) <= set(range(101))
