"""Samples of every rank of short windows, whatever stands in them."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from convtool.ops import local_stats
from convtool.ops.windows import percentiles, sorting_network
from convtool.ops.windows.sorting_network import samples_of_rank


@pytest.mark.parametrize("window", range(1, 13))
def test_all_zeros_and_ones_are_sorted(window: int) -> None:
    """And so is everything: the 0-1 principle (Knuth, section 5.3.4)."""
    x = torch.tensor(list(product((0, 1), repeat=window)))
    ranks = tuple(range(window))
    found = torch.cat(samples_of_rank(x, ranks, ranks), 1)
    assert torch.equal(found, x.sort(1).values)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64])
@pytest.mark.parametrize("window", [3, 16, 25, 50, 101, 128])
def test_one_rank_alone(window: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sorting_network, "_TILE", 100)
    x = torch.from_numpy(np.random.default_rng(0).integers(-99, 99, (2, 500))).to(dtype)
    views = x.unfold(1, window, 1).sort(-1).values
    for rank in (0, window // 2, window - 1):
        (found,) = samples_of_rank(x, tuple(range(window)), (rank,))
        assert torch.equal(found, views[..., rank])


def test_infinities_and_places_apart() -> None:
    x = torch.tensor([[torch.inf, 1.0, -torch.inf, 2.0, 0.0, torch.inf]])
    low, high = samples_of_rank(x, (0, 2, 3), (0, 2))
    assert low.tolist() == [[-torch.inf, 0.0, -torch.inf]]
    assert high.tolist() == [[torch.inf, 2.0, torch.inf]]


@pytest.mark.parametrize("stride", [1, 3, 40])
@pytest.mark.parametrize("window", [4, 9, (3, 3), (2, 5)])
def test_both_ways_give_the_same_bits(
    window: int | tuple[int, int], stride: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, stats = torch.randn(50, 60), ("median", "p10", "p33.3", "p100")
    options = {"stats": stats, "mode": "same", "stride": stride, "dims": 2 if isinstance(window, tuple) else 1}
    found = local_stats(x, window, **options)  # type: ignore[arg-type]
    monkeypatch.setattr(percentiles, "LONGEST", 0)
    assert torch.equal(local_stats(x, window, **options), found)  # type: ignore[arg-type]


def test_gradients_and_gaps_take_the_other_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(percentiles, "samples_of_rank", None)
    x = torch.tensor([3.0, 1.0, 2.0, 5.0], requires_grad=True)
    local_stats(x, 3, stats=("median",)).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 0.0, 2.0, 0.0]
    gapped = torch.tensor([3.0, torch.nan, 2.0, 5.0])
    assert local_stats(gapped, 3, stats=("median",), nan="skip").tolist() == [[2.5, 3.5]]
