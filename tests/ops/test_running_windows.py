"""The variance of long windows of float32 against rational arithmetic, and tiles that are left to the general way."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from torch import Tensor

from convtool.ops import GridStats, LocalStats, local_stats
from convtool.ops.windows import running_windows, window_stats
from convtool.ops.windows.running_windows import SHORTEST

N = 6000
T = torch.arange(N, dtype=torch.float64)
NOISE = torch.randn(N, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
QUICK = {
    "noise": NOISE,
    "noise on an offset": NOISE + 1e4,
    "a ramp": T * 1e-3,
    "small": NOISE * 1e-15,
    "large": NOISE * 1e18,
}
SLOW = {
    "loud, then silent": torch.where(T < N // 2, NOISE, 0.0),
    "one far sample": torch.where(T == 100, 1e6, NOISE),
    "constant": torch.full((N,), 0.1),
}
OTHERS = {
    "a tone": (T * 0.01).sin(),
    "fading": NOISE * (-T / 300).exp(),
    "loud, then quiet": torch.where(T < N // 2, NOISE * 1e4, NOISE * 1e-4),
}
SIGNALS = {name: made.float() for name, made in (QUICK | SLOW | OTHERS).items()}


@pytest.fixture
def general(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths of what is left to the general way."""
    seen: list[int] = []
    slide = running_windows.slide_samples

    def spy(x: Tensor, *arguments: object) -> object:
        seen.append(x.shape[-1])
        return slide(x, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(running_windows, "slide_samples", spy)
    monkeypatch.setattr(running_windows, "_TILE", 500)
    return seen


@pytest.mark.parametrize("window", [SHORTEST, 100, 1201])
@pytest.mark.parametrize("name", SIGNALS)
def test_a_variance_errs_by_its_rounding(name: str, window: int, general: list[int]) -> None:
    x = SIGNALS[name]
    before = x.clone()
    found, deviation = local_stats(x, window, stats=("var", "std"), ddof=1)
    assert torch.equal(x, before)
    samples = [Fraction(value) for value in x.tolist()]
    for n in [*range(0, N - window + 1, 499), N - window]:
        held = samples[n : n + window]
        variance = (sum(v * v for v in held) - sum(held) ** 2 / window) / (window - 1)
        assert abs(Fraction(found[n].item()) - variance) <= variance * Fraction(5, 4) / (1 << 24)
        assert deviation[n].item() == pytest.approx(float(variance) ** 0.5, rel=1e-7)
    assert name in OTHERS or bool(general) == (name in SLOW)


def test_what_is_constant_does_not_vary(general: list[int]) -> None:
    x = torch.cat([torch.randn(2000), torch.full((2000,), 0.1), torch.randn(2000)])
    found = local_stats(x, 100)[0]
    assert not found[2000:3901].any()
    assert found[:1901].all()


def test_neither_rows_nor_blocks_nor_other_statistics_change_a_bit(general: list[int]) -> None:
    x = torch.stack([SIGNALS[name] for name in ("noise", "loud, then silent", "a tone")])
    whole = local_stats(x, 100)
    assert general
    for row, made in zip(x, whole, strict=True):
        assert torch.equal(local_stats(row, 100), made)
        assert torch.equal(local_stats(row, 100, stats=("mean", "var"))[1], made[0])
    operation = LocalStats(100)
    parts = [operation.push(block) for block in x.split(777, -1)]
    assert torch.equal(torch.cat([*parts, operation.finish()], -1), whole.flatten(0, 1))


def test_from_a_tile_that_is_lost_the_rest_goes_the_general_way(general: list[int]) -> None:
    local_stats(SIGNALS["loud, then silent"], 100)
    assert general == [N - 3000]  # of 500 windows a tile; those that begin there are all silent


@pytest.mark.parametrize(
    ("x", "stats"),
    [
        (torch.randn(N, dtype=torch.float64), ("var",)),
        (torch.randn(N), ("mean", "rms")),
        (torch.randn(N).requires_grad_(), ("var",)),
        (torch.randn(N)[: SHORTEST - 1], ("var",)),
    ],
)
def test_others_are_left_to_the_general_way(x: Tensor, stats: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    def unexpected(*_: object) -> None:
        pytest.fail("running sums were taken")

    monkeypatch.setattr(running_windows, "window_sums", unexpected)
    assert local_stats(x, min(60, len(x)), stats=stats).isfinite().all()  # type: ignore[arg-type]


# Grids

H, W = 90, 120
FLAT = torch.randn(H, W, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
ROWS = torch.arange(H)[:, None]
GRIDS = {
    "noise": (FLAT, True),
    "noise on an offset": (FLAT + 1e4, True),
    "a slope": (FLAT * 0.3 + ROWS * 0.01, True),
    "half silent": (torch.where(ROWS < 40, FLAT, 0.0), False),
    "one far number": (torch.where((ROWS == 40) & (torch.arange(W) == 7), 1e6, FLAT), False),
    "constant": (torch.full((H, W), 0.1), False),
}


@pytest.mark.parametrize("window", [(1, 9), (9, 1), (3, 3), (7, 20), (50, 60)])
@pytest.mark.parametrize("name", GRIDS)
def test_a_variance_on_a_grid_errs_by_its_rounding(
    name: str, window: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[bool] = []
    slide = window_stats.slide_running_grid

    def spy(*arguments: object) -> object:
        found = slide(*arguments)  # type: ignore[arg-type]
        made.append(found is not None)
        return found

    monkeypatch.setattr(window_stats, "slide_running_grid", spy)
    x, quick = GRIDS[name][0].float(), GRIDS[name][1]
    before = x.clone()
    found, deviation = local_stats(x, window, stats=("var", "std"), ddof=1)
    assert torch.equal(x, before)
    views = x.double().unfold(0, window[0], 1).unfold(1, window[1], 1)
    variance = views.var((-2, -1))
    assert bool(((found - variance).abs() <= variance * 1.26 * 2.0**-24).all())
    torch.testing.assert_close(deviation.double(), variance.sqrt(), rtol=1.26 * 2.0**-24, atol=0)
    assert made == [quick]


def test_neither_blocks_nor_the_number_of_grids_change_a_bit() -> None:
    x = torch.stack([FLAT, torch.where(ROWS < 40, FLAT, 0.0)]).float()
    whole = local_stats(x, (5, 7), mode="same")
    operation = GridStats((5, 7), mode="same")
    parts = [operation.push(block) for block in x.split(13, -2)]
    assert torch.equal(torch.cat([*parts, operation.finish()], -2), whole)
    assert torch.equal(local_stats(x[1], (5, 7), mode="same"), whole[1])


def test_gradients_flow_on_a_grid() -> None:
    x = FLAT[:9, :9].float().requires_grad_()
    local_stats(x, (3, 3)).sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
