"""Windows that are given as soon as they are complete, against those of the whole."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from convtool.errors import InputError
from convtool.ops import LocalStats, local_stats
from convtool.ops.windows import sliding

EVERYTHING = ("var", "mean", "skew", "kurt", "rms", "sum", "min", "median", "p95", "count")


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def flowed(x: Tensor, cuts: list[int], window: int, **options: Any) -> Tensor:
    operation = LocalStats(window, flowing=True, **options)
    return torch.cat([*map(operation.push, x.split(cuts, -1)), operation.finish()], -1)


def assert_same_bits(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=0, equal_nan=True)


@pytest.fixture(autouse=True)
def short_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sliding, "_CHUNK", 128)


@pytest.mark.parametrize("window", [1, 2, 7, 50])
@pytest.mark.parametrize("stride", [1, 3])
def test_an_output_comes_with_the_last_sample_of_its_window(window: int, stride: int) -> None:
    x = noise(2, 90)
    operation = LocalStats(window, stats=EVERYTHING, stride=stride, flowing=True)
    parts = []
    for count, sample in enumerate(x.split(1, -1), 1):
        parts.append(operation.push(sample))
        assert sum(part.shape[-1] for part in parts) == max(0, -(-(count - window + 1) // stride))
    whole = local_stats(x, window, stats=EVERYTHING, stride=stride).flatten(0, 1)
    assert_same_bits(torch.cat([*parts, operation.finish()], -1), whole)


@pytest.mark.parametrize("padding_mode", ["none", "zeros", "replicate", "reflect", "circular"])
@pytest.mark.parametrize("align", ["center", "left", "right"])
@pytest.mark.parametrize("window", [3, 17])
def test_padding(padding_mode: Any, align: Any, window: int) -> None:
    x = noise(2, 160)
    options: dict[str, Any] = {"mode": "same", "padding_mode": padding_mode, "align": align, "stats": EVERYTHING}
    whole = local_stats(x, window, **options).flatten(0, 1)
    before = x if padding_mode == "circular" else None
    assert_same_bits(flowed(x, [1, 1, 1, 60, 9, 88], window, before=before, **options), whole)


SIGNALS = {
    "16-bit steps": (noise(2, 160) * 3).round() / 8,
    "steps up to some place": torch.where(torch.arange(160) < 61, (noise(2, 160) * 3).round(), noise(2, 160)),
    "one odd sample": torch.where(torch.arange(160) == 101, 0.1, (noise(2, 160) * 3).round()),
    "integers": (noise(2, 160) * 2).long(),
    "long integers": (noise(2, 160) * 1e17).long(),
    "vast and tiny": noise(2, 160) * 10.0 ** (noise(2, 160) * 70).round(),
    "gaps": torch.where(noise(160) > 2, torch.nan, (noise(2, 160) * 3).round()),
    "gaps from some place on": torch.where(torch.arange(160) % 97 == 40, torch.nan, noise(2, 160)),
    "infinities": torch.where(noise(160) > 2, torch.inf, noise(2, 160)),
    "float32": noise(2, 160).float(),
}


@pytest.mark.parametrize("name", SIGNALS)
@pytest.mark.parametrize("nan", ["propagate", "skip"])
@pytest.mark.parametrize("window", [5, 20])
def test_cuts_change_no_bit(name: str, nan: Any, window: int) -> None:
    x = SIGNALS[name]
    options: dict[str, Any] = {"stats": ("var", "mean", "kurt", "median", "count"), "nan": nan}
    once = flowed(x, [160], window, **options)
    for cuts in ([*[1] * 11, 40, 1, 1, 9, 1, 60, 1, 36], [64, 64, 32]):
        assert_same_bits(flowed(x, cuts, window, **options), once)
    whole = local_stats(x, window, **options).flatten(0, 1)
    rtol = 1e-6 if x.dtype == torch.float32 else 1e-12
    torch.testing.assert_close(once, whole, rtol=rtol, atol=1e-12, equal_nan=True)


@pytest.mark.parametrize("name", ["16-bit steps", "integers", "long integers", "gaps from some place on", "infinities"])
def test_where_no_later_sample_chooses_the_bits_are_those_of_the_whole(name: str) -> None:
    x = SIGNALS[name]
    options: dict[str, Any] = {"stats": ("var", "mean"), "nan": "propagate"}
    assert_same_bits(flowed(x, [1, 2, 3, 4] * 16, 9, **options), local_stats(x, 9, **options).flatten(0, 1))


def test_a_window_longer_than_the_signal_is_refused() -> None:
    operation = LocalStats(5, flowing=True)
    operation.push(noise(1, 4))
    with pytest.raises(InputError, match="a window of 5 samples is longer than the input, which has 4"):
        operation.finish()
