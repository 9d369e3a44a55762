"""Windows over steps of 16 bits against rational arithmetic, and what is left to the general way."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import Tensor

from convtool.ops import LocalStats, local_stats
from convtool.ops.windows import exact_windows
from convtool.ops.windows.exact_windows import exact_rows

FULL = 1 << 15


def steps(*shape: int, most: int = FULL) -> Tensor:
    """Samples as 16-bit sound has them, the loudest among them."""
    values = np.random.default_rng(0).integers(-most, most, shape)
    values[..., : shape[-1] // 3] = -most
    return torch.from_numpy(values).double() / FULL


@pytest.mark.parametrize("window", [1, 2, 3, 10, 97, 300, 2000])
@pytest.mark.parametrize("ddof", [0, 1])
def test_moments_are_those_of_rational_arithmetic(window: int, ddof: int) -> None:
    if ddof >= window:
        return
    x = steps(1, 2100)
    before = x.clone()
    assert exact_rows(x, window).all()
    found = local_stats(x, window, stats=("var", "mean", "sum"), ddof=ddof)
    assert torch.equal(x, before)
    samples = [Fraction(value) for value in x[0].tolist()]
    for n in range(0, 2101 - window, 131):
        held = samples[n : n + window]
        total, squares = sum(held), sum(value * value for value in held)
        variance = (squares - total * total / window) / (window - ddof)
        assert found[0, 0, n].item() == pytest.approx(float(variance), rel=5e-16, abs=0)
        assert found[0, 1, n].item() == float(total / window)
        assert found[0, 2, n].item() == float(total)


def test_constant_windows_do_not_vary() -> None:
    x = torch.full((2, 5000), 12345 / FULL)
    assert exact_rows(x, 100).all()
    assert not local_stats(x, 100, stats=("var", "std")).any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_neither_tiles_nor_blocks_change_a_bit(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    x = steps(3, 4000).to(dtype)
    expected = local_stats(x, 50, stats=("var", "rms"))
    monkeypatch.setattr(exact_windows, "_TILE", 1)
    operation = LocalStats(50, stats=("var", "rms"))
    parts = [operation.push(block) for block in x.split(777, -1)]
    assert torch.equal(torch.cat([*parts, operation.finish()], -1), expected.flatten(0, 1))


def test_the_general_way_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    x, stats = steps(2, 3000, most=2000), ("var", "std", "mean", "rms", "sum")
    exact = local_stats(x, 60, stats=stats)
    monkeypatch.setattr(exact_windows, "_EXACT", 0)
    torch.testing.assert_close(local_stats(x, 60, stats=stats), exact, rtol=1e-13, atol=1e-15)


def test_other_samples_are_left_to_the_general_way() -> None:
    x = steps(1, 10_000)
    late = x.clone()
    late[0, 9999] += 2.0**-16
    assert not exact_rows(late, 10).any()
    assert not exact_rows(x + 2.0**-16, 10).any()
    assert not exact_rows(x.long(), 10).any()
    assert not exact_rows(x.clone().requires_grad_(), 10).any()
    assert exact_rows(x, 2896).all()  # (2896 * 2^15)^2 is the last below 2^53
    assert not exact_rows(x, 2897).any()
    assert exact_rows(steps(1, 10_000, most=FULL // 2), 2897).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_row_changes_a_bit_of_another(dtype: torch.dtype) -> None:
    x = torch.cat([steps(2, 3000), torch.rand(2, 3000), steps(1, 3000, most=99)]).to(dtype)[[0, 2, 1, 3, 4]]
    assert exact_rows(x, 60).tolist() == [True, False, True, False, True]
    whole = local_stats(x, 60, stats=("var", "rms", "sum"))
    assert torch.equal(whole, torch.stack([local_stats(row, 60, stats=("var", "rms", "sum")) for row in x]))
