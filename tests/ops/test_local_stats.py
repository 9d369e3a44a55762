"""Sliding statistics against loops in rational arithmetic, and what they promise of every window."""

from __future__ import annotations

import itertools
import math
import random
import sys
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import unfold

from convtool.errors import InputError
from convtool.ops.windows import grid_stats, mergeable, percentiles, sample_windows, sliding
from convtool.ops.windows.local_stats import GridStats, LocalStats, local_stats, local_var
from tests.helpers import reference_stats as reference

if TYPE_CHECKING:
    from torch import Tensor

ALL = ("var", "std", "mean", "rms", "sum", "min", "max", "range", "median", "p5", "p97.5", "count")
PADDINGS = ("zeros", "reflect", "replicate", "circular")
NAN, INF = math.nan, math.inf


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut the work so small that short signals cross every kind of seam."""
    monkeypatch.setattr(sliding, "_CHUNK", 64)
    monkeypatch.setattr(sample_windows, "_TILE", 128)
    monkeypatch.setattr(mergeable, "_LANES", 8)
    monkeypatch.setattr(percentiles, "_RUN", 16)
    monkeypatch.setattr(percentiles, "_SORTED", 64)


def double(values: object) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def noise(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def expected(signal: list[float], window: int, stats: tuple[str, ...], stride: int = 1, **options: Any) -> Tensor:
    views = reference.windows(signal, window, stride)
    return double([[reference.of_window(view, stat, **options) for view in views] for stat in stats])


def same_bits(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and np.array_equal(a.numpy(), b.numpy(), equal_nan=True)


def check_exact(signal: list[float], window: int, ddof: int = 0, bound: float = 1e-12) -> None:
    """Variances and deviations of all windows against rational arithmetic."""
    made = local_stats(double(signal), window, stats=("var", "std"), ddof=ddof)
    for view, var, std in zip(reference.windows(signal, window), *made.tolist(), strict=True):
        exact = reference.exact_var(view, ddof)
        if exact == 0:
            assert var == std == 0
            continue
        assert var >= 0
        if exact > Fraction(sys.float_info.max):
            assert var == INF
        else:
            assert abs(Fraction(var) - exact) <= exact * Fraction(bound) + Fraction(5e-324)
        if math.isfinite(std):
            assert abs(Fraction(std) ** 2 / exact - 1) <= 3 * Fraction(bound) or std < 1e-300
        else:
            assert exact > Fraction(sys.float_info.max) ** 2


WIDE = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.integers(1700000000000000000, 1700000000000000009),
    st.integers(-(2**53) - 4, -(2**53) + 4),
)


class TestIntegersOfAnySize:
    @pytest.mark.parametrize("window", [1, 2, 3, 5, 7, 12, 49, 52, 100])
    @given(data=st.data())
    @settings(max_examples=15)
    def test_against_the_loop(self, window: int, data: st.DataObject) -> None:
        drawn = data.draw(st.lists(WIDE, min_size=window, max_size=window + 12))
        signal = drawn + drawn[::-1]
        made = local_stats(torch.tensor(signal), window, stats=("var", "std", "mean", "rms"))
        assert made.dtype == torch.float64
        for view, var, std, mean, rms in zip(reference.windows(signal, window), *made.tolist(), strict=True):
            exact, middle = reference.exact_var(view), Fraction(sum(view), window)
            # Centred on its one sample far from the others, a window adds up n equal numbers and cancels all but one of
            # them: each sum is rounded by up to n times one rounding, n^2 2^-53 in all, and n is at most 49.
            assert abs(Fraction(var) - exact) <= exact * Fraction(max(1e-13, min(window, 49) ** 2 * 2.0**-52))
            assert std == math.sqrt(var)
            assert abs(Fraction(mean) - middle) <= max(map(abs, view)) * Fraction(2.0**-47)
            square = Fraction(sum(sample * sample for sample in view), window)
            # It is that variance and the square of that mean, of which neither is larger.
            assert abs(Fraction(rms) ** 2 - square) <= square * Fraction(max(1e-14, min(window, 49) ** 2 * 2.0**-51))
        order = local_stats(torch.tensor(signal), window, stats=("min", "max", "count"))
        assert order.dtype == torch.int64
        views = reference.windows(signal, window)
        assert order.tolist() == [list(map(min, views)), list(map(max, views)), [window] * len(views)]
        (medians,) = local_stats(torch.tensor(signal), window, stats=("median",)).tolist()
        for view, found in zip(views, medians, strict=True):
            ordered = sorted(view)
            exact = Fraction(ordered[(window - 1) // 2] + ordered[window // 2], 2)
            assert found == (exact if window % 2 else float(exact))

    def test_by_hand(self) -> None:
        large = torch.tensor([1700000000000000001, 1700000000000000002, 1700000000000000003])
        assert local_var(large, 2).tolist() == [0.25, 0.25]
        assert local_stats(large, 2, stats=("std",)).tolist() == [[0.5, 0.5]]
        assert local_stats(large, 3, stats=("median", "min")).tolist() == [[large[1]], [large[0]]]
        assert local_var(torch.stack([large, large + 1]), (2, 2)).tolist() == [[0.5, 0.5]]
        assert local_stats(large.expand(3, 3), (3, 3), stats=("median", "max")).tolist() == [[[large[1]]], [[large[2]]]]
        small = local_stats(torch.tensor([5, 1, 3], dtype=torch.uint8), 3, stats=("min", "max"))
        assert (small.dtype, small.tolist()) == (torch.int64, [[1], [5]])
        assert local_stats(torch.tensor([7], dtype=torch.uint64), 1, stats=("min",)).tolist() == [[7]]

    def test_blocks_give_the_bits_of_the_whole(self, small_pieces: None) -> None:
        generator = torch.Generator().manual_seed(1)
        signal = torch.randint(-(2**62), 2**62, (1, 700), generator=generator)
        signal[:, 300:500] = 1700000000000000000 + torch.randint(0, 9, (200,), generator=generator)
        for stats in (("var", "mean", "std"), ("min", "median")):
            for options in ({}, {"mode": "same", "padding_mode": "circular"}):
                operation = LocalStats(101, stats=stats, before=signal, **options)
                made = torch.cat([*(operation.push(part) for part in signal.split(37, -1)), operation.finish()], -1)
                whole = local_stats(signal, 101, stats=stats, **options)[0]
                assert made.dtype == whole.dtype
                assert torch.equal(made, whole)

    def test_what_can_not_be_held_is_refused(self) -> None:
        large = torch.tensor([2**53 + 1, 2**53 + 3])
        assert local_stats(large - 1, 2, stats=("var", "min")).tolist() == [[1.0], [2.0**53]]
        with pytest.raises(InputError, match="min of a window is 9007199254740993, past what float64 holds; ask"):
            local_stats(large, 2, stats=("var", "min"))
        with pytest.raises(InputError, match="uint64 with values past"):
            local_stats(torch.tensor([2**63], dtype=torch.uint64), 1)

    def test_no_dtype_counts_further_than_it_can(self) -> None:
        assert local_stats(torch.ones(300, dtype=torch.float16), 300, stats=("count",)).tolist() == [[300]]
        for dtype, samples in ((torch.bfloat16, 257), (torch.float16, 2049), (torch.float32, (1 << 24) + 1)):
            with pytest.raises(ValueError, match=f"counts to {samples - 1}; work in float64"):
                local_stats(torch.ones(1, dtype=dtype).expand(samples), samples, stats=("count",))


class TestSquareRoots:
    def test_are_correctly_rounded(self) -> None:
        for window in (1, 5, 8, 64, 100):
            var, std = local_stats(noise(5000) * 3, window, stats=("var", "std"))
            assert std.tolist() == [math.sqrt(value) for value in var.tolist()]
        whole = torch.randint(-99, 99, (5000,), generator=torch.Generator().manual_seed(1)).double()
        (rms,) = local_stats(whole, 8, stats=("rms",)).tolist()  # of a power of two of them, the mean is exact
        views = reference.windows(whole.tolist(), 8)
        assert rms == [math.sqrt(sum(x * x for x in view) / 8) for view in views]
        (grid,) = local_stats(noise(60, 60), (3, 3), stats=("var", "std")).unsqueeze(0)
        assert grid[1].flatten().tolist() == [math.sqrt(value) for value in grid[0].flatten().tolist()]


class TestAgainstTheLoop:
    @pytest.mark.parametrize("window", [1, 2, 3, 6, 7, 16, 17, 47, 48, 49, 50, 51, 64, 97, 98, 99, 120])
    def test_every_statistic_at_every_kind_of_window(self, small_pieces: None, window: int) -> None:
        ddof = int(window % 2 == 0)
        signal = noise(210).tolist()
        made = local_stats(double(signal), window, stats=ALL, ddof=ddof)
        wanted = expected(signal, window, ALL, ddof=ddof)
        torch.testing.assert_close(made, wanted, rtol=1e-12, atol=1e-13)
        assert same_bits(made[-1], wanted[-1])

    @pytest.mark.parametrize("length", [1, 2, 5, 6, 7, 8, 16, 17, 49, 50])
    def test_short_signals(self, length: int) -> None:
        signal = noise(length).tolist()
        for window in range(1, length + 1, 1 + length // 20):
            torch.testing.assert_close(
                local_stats(double(signal), window, stats=ALL), expected(signal, window, ALL), rtol=1e-12, atol=1e-13
            )

    @pytest.mark.parametrize("window", [2, 9, 60, 130])
    @pytest.mark.parametrize("stride", [1, 2, 7, 64, 65, 200])
    def test_strides_keep_every_so_many(self, small_pieces: None, window: int, stride: int) -> None:
        x = noise(301)
        assert same_bits(
            local_stats(x, window, stats=ALL, stride=stride),
            local_stats(x, window, stats=ALL)[:, ::stride].contiguous(),
        )

    @pytest.mark.parametrize("padding_mode", PADDINGS)
    @pytest.mark.parametrize("window", [1, 2, 3, 8, 9, 40, 41])
    def test_same_mode(self, small_pieces: None, padding_mode: Any, window: int) -> None:
        signal = noise(41).tolist()
        wide = reference.padded(signal, window // 2, (window - 1) // 2, padding_mode)
        made = local_stats(double(signal), window, stats=ALL, mode="same", padding_mode=padding_mode)
        assert made.shape == (len(ALL), 41)
        torch.testing.assert_close(made, expected(wide, window, ALL), rtol=1e-12, atol=1e-13)

    def test_same_reflects_unless_told_otherwise(self) -> None:
        assert same_bits(
            local_var(noise(9), 4, mode="same"), local_var(noise(9), 4, mode="same", padding_mode="reflect")
        )
        assert local_var(torch.full((9,), 7.0), 4, mode="same").tolist() == [0] * 9

    def test_by_hand(self) -> None:
        x = torch.tensor([1.0, 2, 4, 8, 16])
        assert local_var(x, 2).tolist() == [0.25, 1, 4, 16]
        assert local_var(x, 2, ddof=1).tolist() == [0.5, 2, 8, 32]
        assert local_var(x, 2, stride=2).tolist() == [0.25, 4]
        assert local_var(x, 2, mode="same", padding_mode="zeros").tolist() == [0.25, 0.25, 1, 4, 16]
        assert local_stats(x, 2, stats=("mean", "std", "count")).tolist() == [
            [1.5, 3, 6, 12],
            [0.5, 1, 2, 4],
            [2, 2, 2, 2],
        ]
        assert local_stats(x, 4, stats=("median",)).tolist() == [[3, 6]]
        assert local_var(double([99999999999999999, 1, 1, 2, 3, 1, 1]), 2, ddof=1).tolist() == [5e33, 0, 0.5, 0.5, 2, 0]

    @pytest.mark.parametrize("shape", [(50,), (3, 50), (2, 3, 50), (0, 50), (2, 0, 50), (1, 50)])
    def test_leading_dimensions(self, shape: tuple[int, ...]) -> None:
        x = noise(*shape)
        made = local_stats(x, 7, stats=("var", "median"))
        assert made.shape == (*shape[:-1], 2, 44)
        for place in itertools.product(*(range(size) for size in shape[:-1])):
            torch.testing.assert_close(
                made[place], local_stats(x[place], 7, stats=("var", "median")), rtol=1e-13, atol=0
            )

    @pytest.mark.parametrize("shape", [(0, 9, 8), (2, 0, 9, 8)])
    def test_no_grids(self, shape: tuple[int, ...]) -> None:
        assert local_stats(noise(*shape), (3, 2), stats=("min", "var"), stride=2).shape == (*shape[:-2], 2, 4, 4)

    def test_many_rows_are_worked_in_groups(self, small_pieces: None) -> None:
        x = noise(40, 30)
        for window in (3, 9, 26):
            made = local_stats(x, window, stats=("var", "min"))
            for row, values in zip(x, made, strict=True):
                torch.testing.assert_close(values, local_stats(row, window, stats=("var", "min")), rtol=1e-13, atol=0)


class TestAccuracy:
    KINDS = ("plain", "1e6", "1e15", "steps", "outliers", "few values", "denormal", "small", "huge", "wild")

    @staticmethod
    def signal(kind: str, length: int, seed: int) -> list[float]:
        r = random.Random(seed)
        makers = {
            "plain": lambda: r.gauss(0, 1),
            "1e6": lambda: 1e6 + r.gauss(0, 1),
            "1e15": lambda: 1e15 + r.gauss(0, 1),
            "outliers": lambda: 1e-6 * r.gauss(0, 1) + (1e9 * r.random() if r.random() < 0.03 else 0),
            "few values": lambda: r.choice([0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 1e9 / 3]),
            "denormal": lambda: 5e-324 * r.randint(0, 1000),
            "small": lambda: 10 ** r.uniform(-300, -100),
            "huge": lambda: 1e308 * r.uniform(-1, 1),
            "wild": lambda: r.choice([-1, 1]) * 10 ** r.uniform(-300, 305),
        }
        if kind == "steps":
            return [r.gauss(0, 1) * (1e6 if n // 40 % 2 else 1e-6) for n in range(length)]
        return [makers[kind]() for _ in range(length)]

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("window", [2, 6, 7, 48, 49, 100])
    def test_against_rational_arithmetic(self, small_pieces: None, kind: str, window: int) -> None:
        check_exact(self.signal(kind, 160, seed=window), window)

    @settings(max_examples=50)
    @given(
        st.lists(
            st.tuples(
                st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([0.0, 1.0, 1e15, 1e-6])),
                st.integers(1, 30),
                st.sampled_from([0.0, 0.0, 1e-15, 1e-6, 1.0]),
            ),
            min_size=1,
            max_size=8,
        ),
        st.integers(1, 70),
        st.integers(0, 1),
    )
    def test_levels_with_steps_between(self, levels: list[tuple[float, int, float]], window: int, ddof: int) -> None:
        signal = [level * (1 + spread * math.sin(n * n)) for level, length, spread in levels for n in range(length)]
        signal = [max(-sys.float_info.max, min(sys.float_info.max, value)) for value in signal]
        if len(signal) >= window > ddof:
            check_exact(signal, window, ddof)

    @pytest.mark.parametrize("offset", [0.0, 1e6, 1e8])
    def test_float32_is_rounded_once(self, offset: float) -> None:
        x = (noise(4000) + offset).float()
        for window in (2, 5, 40, 333):
            exact = local_var(x.double(), window)
            error = (local_var(x, window).double() - exact).abs() / exact
            assert error[exact > 0].le(6e-8).all()
            assert local_var(x, window)[exact == 0].eq(0).all()

    @pytest.mark.parametrize("value", [0.0, 0.1, -1e308, 1e308, 5e-324, 1e15 + 0.125, 1 / 3])
    @pytest.mark.parametrize("window", [1, 2, 5, 30, 48, 70, 400])
    def test_constant_windows(self, value: float, window: int) -> None:
        x = torch.full((1000,), value, dtype=torch.float64)
        made = local_stats(x, window, stats=("var", "std", "mean", "rms", "min", "max", "median"))
        for stat, wanted in zip(made, (0, 0, value, None, value, value, value), strict=True):
            assert wanted is None or stat.eq(wanted).all()
        torch.testing.assert_close(made[3], x.abs()[: made.shape[1]], rtol=1e-15, atol=0)

    def test_constant_windows_after_anything(self) -> None:
        for start in (1e300, 1e-300, 1e17, -3.0):
            x = torch.cat([double([start] * 100), double(self.signal("wild", 100, 1)), double([0.1] * 300)])
            assert local_var(x, 60)[200:].eq(0).all()

    @pytest.mark.parametrize("window", [2, 30, 100])
    def test_means_and_rms_at_any_size(self, window: int) -> None:
        for kind in self.KINDS:
            signal = self.signal(kind, 130, 3)
            mean, rms = local_stats(double(signal), window, stats=("mean", "rms")).tolist()
            for view, m, q in zip(reference.windows(signal, window), mean, rms, strict=True):
                numbers = [Fraction(number) for number in view]
                largest = max(abs(number) for number in numbers)
                assert abs(Fraction(m) - sum(numbers) / window) <= largest * Fraction(1e-14) + Fraction(5e-324)
                square = sum(number * number for number in numbers) / window
                assert abs(Fraction(q) ** 2 - square) <= square * Fraction(1e-12) or q < 1e-300

    def test_integers(self) -> None:
        x = torch.randint(-(2**50), 2**50, (200,), generator=torch.Generator().manual_seed(1))
        made = local_stats(x, 9, stats=("var", "mean", "max"))
        assert made.dtype == torch.float64
        assert same_bits(made, local_stats(x.double(), 9, stats=("var", "mean", "max")))
        assert local_var(torch.tensor([3, 1, 2], dtype=torch.uint8), 3).tolist() == [pytest.approx(2 / 3, rel=1e-15)]

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
    def test_dtype_is_kept(self, dtype: torch.dtype) -> None:
        x = noise(60).to(dtype)
        made = local_stats(x, 8, stats=ALL)
        assert made.dtype == dtype
        assert same_bits(made[0].double(), local_var(x.double(), 8).to(dtype).double())

    def test_the_signal_is_not_changed(self) -> None:
        x = torch.cat([noise(50), double([NAN, INF])])
        before = x.clone()
        local_stats(x, 9, stats=ALL, nan="skip", mode="same")
        assert same_bits(x, before)


class TestSpecialNumbers:
    @staticmethod
    def holed(length: int, seed: int, specials: tuple[float, ...]) -> list[float]:
        r = random.Random(seed)
        return [r.choice(specials) if r.random() < 0.15 else r.gauss(5, 1) for _ in range(length)]

    @pytest.mark.parametrize("window", [1, 2, 4, 5, 13, 40])
    @pytest.mark.parametrize("specials", [(NAN,), (INF,), (-INF, INF), (NAN, INF, -INF)])
    @pytest.mark.parametrize("skip", [False, True])
    def test_against_the_loop(self, small_pieces: None, window: int, specials: tuple[float, ...], skip: bool) -> None:
        signal = self.holed(150, 1, specials)
        made = local_stats(double(signal), window, stats=ALL, nan="skip" if skip else "propagate")
        wanted = expected(signal, window, ALL, skip=skip)
        torch.testing.assert_close(made, wanted, rtol=1e-12, atol=1e-12, equal_nan=True)

    @pytest.mark.parametrize("min_count", [1, 2, 5, 6])
    def test_min_count_and_ddof(self, min_count: int) -> None:
        signal = [1.0, NAN, NAN, NAN, NAN, NAN, NAN, 2.0, 4.0, NAN, 7.0, 1.0, 1.0, 3.0, 9.0, 2.0]
        made = local_stats(double(signal), 6, stats=ALL, ddof=1, nan="skip", min_count=min_count)
        wanted = expected(signal, 6, ALL, ddof=1, skip=True, fewest=min_count)
        torch.testing.assert_close(made, wanted, rtol=1e-14, atol=1e-14, equal_nan=True)

    @pytest.mark.parametrize("bad", [NAN, INF, -INF])
    @pytest.mark.parametrize("window", [2, 5, 20, 48, 90, 200])
    def test_only_the_windows_that_hold_it_change(self, small_pieces: None, bad: float, window: int) -> None:
        x = noise(500)
        spoiled = x.clone()
        spoiled[250] = bad
        before, after = (local_stats(each, window, stats=ALL) for each in (x, spoiled))
        holds = torch.zeros(before.shape[-1], dtype=torch.bool)
        holds[max(0, 250 - window + 1) : 251] = True
        torch.testing.assert_close(before[:, ~holds], after[:, ~holds], rtol=1e-14, atol=0)
        assert after[0, holds].isnan().all()

    @settings(max_examples=60)
    @given(
        st.lists(st.one_of(st.just(NAN), st.sampled_from([0.0, 1e15, 1e-6, 1.0, 3.0, 1e200])), min_size=1, max_size=90),
        st.integers(1, 40),
    )
    def test_skipping_is_exact_too(self, signal: list[float], window: int) -> None:
        if len(signal) < window:
            return
        var = local_stats(double(signal), window, nan="skip")[0].tolist()
        for view, got in zip(reference.windows(signal, window), var, strict=True):
            real = [sample for sample in view if not math.isnan(sample)]
            if not real:
                assert math.isnan(got)
                continue
            exact = reference.exact_var(real)
            if exact > Fraction(sys.float_info.max):
                assert got == INF
            else:
                assert abs(Fraction(got) - exact) <= exact * Fraction(1e-12)

    def test_all_missing(self) -> None:
        made = local_stats(torch.full((9,), NAN), 3, stats=ALL, nan="skip")
        assert made[:-1].isnan().all()
        assert made[-1].eq(0).all()

    def test_medians_at_the_ends_of_the_range(self) -> None:
        big = sys.float_info.max
        assert local_stats(double([big, big, -big]), 2, stats=("median",)).tolist() == [[big, 0]]
        assert local_stats(double([INF, INF, -INF]), 2, stats=("median",))[0, 0] == INF
        assert local_stats(double([5e-324, 5e-324]), 2, stats=("median",)).tolist() == [[5e-324]]


def stream(operation: LocalStats | GridStats, x: Tensor, cuts: list[int], axis: int = -1) -> Tensor:
    """The joined outputs for `x` cut at `cuts`, its memory overwritten as soon as it was taken in."""
    outputs = []
    for block in torch.tensor_split(x, cuts, dim=axis):
        lent = block.clone()
        work = operation.stage(lent)
        lent.fill_(77 if lent.dtype != torch.bool else 0)
        outputs.append(work())
    outputs.append(operation.finish())
    return torch.cat(outputs, axis)


class TestStreaming:
    @pytest.mark.parametrize("window", [2, 9, 60, 200])
    @pytest.mark.parametrize("mode", ["valid", *PADDINGS])
    def test_any_cuts_give_the_same_bits(self, small_pieces: None, window: int, mode: Any) -> None:
        x = torch.cat([noise(2, 300), double([[NAN], [1e200]]), noise(2, 250, seed=2)], -1)
        options: dict[str, Any] = {"stats": ALL, "nan": "skip", "stride": 3}
        if mode != "valid":
            options |= {"mode": "same", "padding_mode": mode}
        whole = local_stats(x, window, **options).flatten(0, 1)
        for seed, count in enumerate((3, 60)):
            cuts = sorted(random.Random(seed).sample(range(552), count))
            before = x[:, -max(1, window // 2) :] if mode == "circular" else None
            assert same_bits(stream(LocalStats(window, before=before, **options), x, cuts), whole)

    @pytest.mark.parametrize("window", [9, 64, 65])
    def test_cuts_beside_every_edge(self, small_pieces: None, window: int) -> None:
        piece = max(64, 4 * window)
        x = noise(1, 3 * piece + window)
        whole = local_var(x, window)
        for edge in (window, piece, piece + window, 2 * piece + window):
            for cut in range(edge - 2, edge + 3):
                assert same_bits(stream(LocalStats(window), x, [cut]), whole)

    @settings(max_examples=30)
    @given(st.integers(1, 130), st.lists(st.integers(0, 400), max_size=5), st.integers(1, 9))
    def test_by_hypothesis(self, window: int, cuts: list[int], stride: int) -> None:
        x = noise(400)
        whole = local_stats(x, window, stats=("std", "max"), stride=stride)
        assert same_bits(stream(LocalStats(window, stats=("std", "max"), stride=stride), x, sorted(cuts)), whole)

    def test_works_run_on_any_thread_in_any_order(self, small_pieces: None) -> None:
        x = noise(2, 3000)
        operation = LocalStats(20, stats=("var", "median"))
        works = [operation.stage(block) for block in x.split(500, -1)] + [operation.stage_end()]
        with ThreadPoolExecutor(3) as pool:
            outputs = list(pool.map(lambda work: work(), reversed(works)))[::-1]
        assert same_bits(torch.cat(outputs, -1), local_stats(x, 20, stats=("var", "median")).flatten(0, 1))

    def test_shapes_of_blocks(self) -> None:
        assert LocalStats(3).push(noise(4)).shape == (1, 0)
        operation = LocalStats(3, stats=("min", "max"))
        assert operation.push(noise(5, 2, 0)).shape == (5, 4, 0)
        operation.push(noise(5, 2, 9))
        assert operation.finish().shape == (5, 4, 7)
        assert LocalStats(1).push(torch.tensor([[1, 2]])).dtype == torch.float64

    def test_threads_change_no_bit(self) -> None:
        x = torch.randn(5, 1_200_000 // 5, generator=torch.Generator().manual_seed(1))
        before = torch.get_num_threads()
        made = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            try:
                made.append(local_stats(x, 100, stats=("var", "mean", "min")))
                assert torch.get_num_threads() == threads
            finally:
                torch.set_num_threads(before)
        assert same_bits(made[0], made[1])
        assert same_bits(made[0], made[2])


class TestPercentiles:
    NAMES = ("p0", "p5", "p25", "p33.3", "p50", "p95", "p99.9", "p100")

    @pytest.mark.parametrize("by_network", [False, True])
    @pytest.mark.parametrize("window", [1, 2, 7, 40])
    def test_as_in_numpy(
        self, small_pieces: None, window: int, by_network: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(percentiles, "LONGEST", 128 if by_network else 0)
        x = noise(3, 150)
        views = np.lib.stride_tricks.sliding_window_view(x.numpy(), window, axis=-1)
        made = local_stats(x, window, stats=self.NAMES).unbind(-2)
        for name, stat in zip(self.NAMES, made, strict=True):
            np.testing.assert_array_equal(stat, np.percentile(views, float(name[1:]), axis=-1))
        grid = np.lib.stride_tricks.sliding_window_view(x.numpy(), (2, window)).reshape(2, -1, 2 * window)
        for name, stat in zip(self.NAMES, local_stats(x, (2, window), stats=self.NAMES), strict=True):
            np.testing.assert_array_equal(stat, np.percentile(grid, float(name[1:]), axis=-1))

    def test_the_ends_are_the_extremes(self) -> None:
        x = double([1e308, -1e308, INF, -INF, INF, 3.0, 5e-324])
        low, high, least, most = local_stats(x, 3, stats=("p0", "p100", "min", "max"))
        assert same_bits(low, least)
        assert same_bits(high, most)
        assert local_stats(x, 2, stats=("p25", "p75"))[:, 0].tolist() == [-5e307, 5e307]
        assert local_stats(x[1:3], 2, stats=("p0", "p1")).flatten().tolist() == [-1e308, INF]

    def test_integers_past_what_float64_holds(self) -> None:
        x = torch.tensor([2**62 + 1, 2**62 + 5, -(2**62), 7])
        (quarter,) = local_stats(x[:2], 2, stats=("p75",)).tolist()
        assert quarter == [float(2**62 + 4)]
        made = local_stats(x, 4, stats=("p0", "p10", "p90")).flatten().tolist()
        exact = [-(2**62), -(2**62) + Fraction(3, 10) * (2**62 + 7), 2**62 + 1 + Fraction(7, 10) * 4]
        assert made == [pytest.approx(float(value), rel=1e-15) for value in exact]

    @pytest.mark.parametrize("name", ["p101", "p-1", "p", "p05", "p1e1", "pp", "p100.5", "p1.", "P5"])
    def test_no_percentile(self, name: str) -> None:
        with pytest.raises(ValueError, match=r"use one of var, std, .* count, p0 to p100"):
            local_stats(noise(9), 3, stats=(name,))


class TestSumsAndRanges:
    def test_sums_and_ranges_of_integers(self) -> None:
        x = torch.tensor([2**60 + 1, 5, 2**60 + 3, -(2**53)])
        spans = local_stats(x, 2, stats=("range",))
        assert (spans.dtype, spans.tolist()) == (torch.int64, [[2**60 - 4, 2**60 - 2, 2**60 + 2**53 + 3]])
        sums = local_stats(x, 2, stats=("sum",))
        assert sums.tolist() == [[float(2**60 + 6), float(2**60 + 8), float(2**60 + 3 - 2**53)]]
        assert local_stats(torch.tensor([3, 4, 5]), 3, stats=("sum",)).tolist() == [[12]]
        assert local_stats(torch.tensor([3]), 1, stats=("sum",)).tolist() == [[3]]
        assert local_stats(torch.tensor([2**60]), 1, stats=("sum",)).tolist() == [[2.0**60]]
        with pytest.raises(InputError, match="the range of a window is past what int64 holds; work in float64"):
            local_stats(torch.tensor([-(2**63), 1]), 2, stats=("range",))

    @pytest.mark.parametrize("kind", TestAccuracy.KINDS)
    @pytest.mark.parametrize("window", [1, 5, 40])
    def test_sums_at_any_size(self, kind: str, window: int) -> None:
        signal = TestAccuracy.signal(kind, 90, 3)
        (sums,) = local_stats(double(signal), window, stats=("sum",)).tolist()
        for view, made in zip(reference.windows(signal, window), sums, strict=True):
            exact = sum(map(Fraction, view))
            if abs(exact) > Fraction(sys.float_info.max):
                assert abs(made) == INF
            else:
                assert abs(Fraction(made) - exact) <= window * max(map(abs, map(Fraction, view))) * Fraction(1e-14)


ALIGNS = ("center", "left", "right")


class TestAlignment:
    @pytest.mark.parametrize("padding_mode", PADDINGS)
    @pytest.mark.parametrize("align", ALIGNS)
    @pytest.mark.parametrize("window", [1, 2, 3, 40, 41])
    def test_against_the_loop(self, small_pieces: None, padding_mode: Any, align: Any, window: int) -> None:
        signal = noise(41).tolist()
        wide = reference.padded(signal, *reference.reach(window, align), padding_mode)
        options: dict[str, Any] = {"stats": ALL, "mode": "same", "align": align, "padding_mode": padding_mode}
        made = local_stats(double(signal), window, **options)
        torch.testing.assert_close(made, expected(wide, window, ALL), rtol=1e-12, atol=1e-13)
        operation = LocalStats(window, before=double([signal[-max(1, window - 1) :]]), **options)
        assert same_bits(stream(operation, double([signal]), [1, 2, 30]), made)

    def test_by_hand(self) -> None:
        x = torch.tensor([1.0, 2, 4, 8])
        ends = {"mode": "same", "padding_mode": "replicate", "stats": ("max",)}
        assert local_stats(x, 3, align="left", **ends).tolist() == [[4, 8, 8, 8]]
        assert local_stats(x, 3, align="center", **ends).tolist() == [[2, 4, 8, 8]]
        assert local_stats(x, 3, align="right", **ends).tolist() == [[1, 2, 4, 8]]
        grid = local_stats(x.view(2, 2), (2, 2), align="right", **ends)
        assert grid.tolist() == [[[1, 2], [4, 8]]]


class TestWindowsThatShrink:
    @pytest.mark.parametrize("align", ALIGNS)
    @pytest.mark.parametrize("window", [1, 2, 3, 8, 9, 49, 60, 150, 151, 400])
    @pytest.mark.parametrize(("stride", "ddof", "fewest"), [(1, 0, 1), (3, 1, 2), (67, 0, 1)])
    def test_against_the_loop(
        self, small_pieces: None, align: Any, window: int, stride: int, ddof: int, fewest: int
    ) -> None:
        if ddof >= window:
            return
        signal = noise(150).tolist()
        options: dict[str, Any] = {"align": align, "stride": stride, "ddof": ddof, "min_count": fewest}
        made = local_stats(double(signal), window, stats=ALL, mode="same", padding_mode="none", **options)
        views = reference.shrunk(signal, window, align, stride)
        how = {"ddof": ddof, "skip": True, "fewest": fewest}
        wanted = double([[reference.of_window(view, stat, **how) for view in views] for stat in ALL])
        torch.testing.assert_close(made, wanted, rtol=1e-12, atol=1e-13, equal_nan=True)
        assert same_bits(made[-1], wanted[-1])

    @pytest.mark.parametrize("align", ALIGNS)
    @pytest.mark.parametrize("specials", [(NAN,), (INF,), (NAN, INF, -INF)])
    @pytest.mark.parametrize("skip", [False, True])
    @pytest.mark.parametrize("fewest", [1, 4])
    def test_special_numbers(
        self, small_pieces: None, align: Any, specials: tuple[float, ...], skip: bool, fewest: int
    ) -> None:
        signal = TestSpecialNumbers.holed(90, 1, specials)
        for window in (2, 7, 40):
            least = min(fewest, window)
            how: dict[str, Any] = {"mode": "same", "padding_mode": "none", "align": align, "min_count": least}
            made = local_stats(double(signal), window, stats=ALL, nan="skip" if skip else "propagate", **how)
            views = reference.shrunk(signal, window, align)
            wanted = [
                [
                    reference.of_window(view, stat, skip=skip, fewest=least)
                    if stat == "count" or len(view) >= least
                    else NAN
                    for view in views
                ]
                for stat in ALL
            ]
            torch.testing.assert_close(made, double(wanted), rtol=1e-12, atol=1e-12, equal_nan=True)

    @pytest.mark.parametrize("align", ALIGNS)
    @pytest.mark.parametrize("window", [(1, 1), (2, 3), (5, 4), (9, 30), (30, 2)])
    @pytest.mark.parametrize("stride", [(1, 1), (2, 3)])
    def test_grids(
        self,
        small_pieces: None,
        monkeypatch: pytest.MonkeyPatch,
        align: Any,
        window: tuple[int, int],
        stride: tuple[int, int],
    ) -> None:
        monkeypatch.setattr(grid_stats, "_STRIP", 8)
        grid = noise(12, 23).tolist()
        views = reference.shrunk_grid(grid, window, align, stride)
        wanted = double([[[reference.of_window(view, stat) for view in row] for row in views] for stat in ALL])
        how: dict[str, Any] = {"stats": ALL, "mode": "same", "padding_mode": "none", "align": align, "stride": stride}
        made = local_stats(double(grid), window, **how)
        torch.testing.assert_close(made, wanted, rtol=1e-12, atol=1e-13)
        assert same_bits(stream(GridStats(window, **how), double(grid), [1, 2, 9], axis=-2), made)

    @pytest.mark.parametrize("align", ALIGNS)
    @pytest.mark.parametrize("window", [2, 9, 60, 700])
    def test_any_cuts_give_the_same_bits(self, small_pieces: None, align: Any, window: int) -> None:
        x = torch.cat([noise(2, 300), double([[NAN], [1e200]]), noise(2, 250, seed=2)], -1)
        how: dict[str, Any] = {"mode": "same", "padding_mode": "none", "align": align, "stride": 3, "stats": ALL}
        whole = local_stats(x, window, **how).flatten(0, 1)
        for seed, count in enumerate((3, 60)):
            cuts = sorted(random.Random(seed).sample(range(552), count))
            assert same_bits(stream(LocalStats(window, **how), x, cuts), whole)

    @pytest.mark.parametrize("kind", TestAccuracy.KINDS)
    @pytest.mark.parametrize("align", ALIGNS)
    def test_accuracy(self, kind: str, align: Any) -> None:
        signal = TestAccuracy.signal(kind, 90, seed=7)
        made = local_stats(double(signal), 50, mode="same", padding_mode="none", align=align)[0].tolist()
        for view, got in zip(reference.shrunk(signal, 50, align), made, strict=True):
            exact = reference.exact_var(view)
            if exact > Fraction(sys.float_info.max):
                assert got == INF
            else:
                assert abs(Fraction(got) - exact) <= exact * Fraction(1e-12) + Fraction(5e-324)

    def test_inner_windows_are_those_of_valid(self) -> None:
        x = noise(2, 90)
        made = local_stats(x, 9, stats=ALL, mode="same", padding_mode="none")
        assert same_bits(made[..., 4:-4].contiguous(), local_stats(x, 9, stats=ALL))

    def test_integers_of_any_size(self) -> None:
        large = [1700000000000000001, 1700000000000000007, 1700000000000000002, -(2**63), 2**63 - 1]
        shrink: dict[str, Any] = {"mode": "same", "padding_mode": "none"}
        made = local_stats(torch.tensor(large), 3, stats=("min", "max", "count"), **shrink)
        views = reference.shrunk(large, 3)
        assert made.dtype == torch.int64
        assert made.tolist() == [list(map(min, views)), list(map(max, views)), [2, 3, 3, 3, 2]]
        var, mean = local_stats(torch.tensor(large), 3, stats=("var", "mean"), **shrink).tolist()
        for view, v, m in zip(views, var, mean, strict=True):
            exact = reference.exact_var(view)
            assert abs(Fraction(v) - exact) <= exact * Fraction(1e-13)
            assert abs(m - Fraction(sum(view), len(view))) <= max(map(abs, view)) * Fraction(2.0**-50)
        small = torch.tensor([5, 1, 4, 2**53])
        (median,) = local_stats(small, 3, stats=("median",), **shrink).tolist()
        assert median == [3, 4, 4, 2**52 + 2]
        assert local_stats(torch.tensor([2**60, 2**60 + 2]), 3, stats=("median",), **shrink)[0, 0] == 2**60
        (least,) = local_stats(small, 3, stats=("min",), min_count=3, **shrink)
        assert least.dtype == torch.float64
        torch.testing.assert_close(least, double([NAN, 1, 1, NAN]), equal_nan=True)
        with pytest.raises(InputError, match="past what float64 holds"):
            local_stats(torch.tensor([2**53 + 1] * 3), 3, stats=("min",), min_count=3, **shrink)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
    def test_dtype_is_kept(self, dtype: torch.dtype) -> None:
        x = noise(60).to(dtype)
        shrink: dict[str, Any] = {"mode": "same", "padding_mode": "none"}
        made = local_stats(x, 8, stats=ALL, **shrink)
        assert same_bits(made[0].double(), local_var(x.double(), 8, **shrink).to(dtype).double())

    @pytest.mark.parametrize("stat", ["var", "mean", "rms", "max", "median"])
    def test_gradients(self, stat: Any) -> None:
        x = noise(20).requires_grad_()
        shrink: dict[str, Any] = {"stats": (stat,), "mode": "same", "padding_mode": "none"}
        assert torch.autograd.gradcheck(lambda x: local_stats(x, 7, **shrink), (x,))
        assert torch.autograd.gradcheck(lambda x: local_stats(x.view(4, 5), (3, 2), **shrink), (x,))

    def test_no_channels_and_no_samples(self) -> None:
        shrink: dict[str, Any] = {"mode": "same", "padding_mode": "none"}
        assert local_stats(noise(0, 9), 4, stats=ALL, **shrink).shape == (0, len(ALL), 9)
        assert local_stats(noise(0, 9, 8), (4, 3), **shrink).shape == (0, 1, 9, 8)
        with pytest.raises(InputError, match="the input is empty"):
            local_var(noise(0), 4, **shrink)


class TestGrids:
    @pytest.mark.parametrize(
        "window", [(1, 1), (1, 4), (9, 1), (2, 2), (3, 5), (7, 7), (20, 3), (3, 20), (17, 18), (24, 26)]
    )
    def test_every_statistic(self, small_pieces: None, window: tuple[int, int]) -> None:
        grid = noise(24, 26).tolist()
        views = reference.grid_windows(grid, window)
        wanted = double([[[reference.of_window(view, stat) for view in row] for row in views] for stat in ALL])
        torch.testing.assert_close(local_stats(double(grid), window, stats=ALL), wanted, rtol=1e-12, atol=1e-13)

    @pytest.mark.parametrize("window", [(2, 2), (5, 3), (9, 20)])
    @pytest.mark.parametrize("specials", [(NAN,), (NAN, INF, -INF)])
    @pytest.mark.parametrize("skip", [False, True])
    def test_special_numbers(self, window: tuple[int, int], specials: tuple[float, ...], skip: bool) -> None:
        grid = double(TestSpecialNumbers.holed(24 * 26, 3, specials)).view(24, 26)
        views = reference.grid_windows(grid.tolist(), window)
        wanted = double([[[reference.of_window(v, stat, skip=skip) for v in row] for row in views] for stat in ALL])
        made = local_stats(grid, window, stats=ALL, nan="skip" if skip else "propagate")
        torch.testing.assert_close(made, wanted, rtol=1e-12, atol=1e-12, equal_nan=True)

    @pytest.mark.parametrize("kind", TestAccuracy.KINDS)
    @pytest.mark.parametrize("window", [(2, 2), (3, 7), (20, 9)])
    def test_accuracy(self, kind: str, window: tuple[int, int]) -> None:
        grid = double(TestAccuracy.signal(kind, 24 * 26, seed=5)).view(24, 26)
        made = local_var(grid, window)
        for row, values in zip(reference.grid_windows(grid.tolist(), window), made.tolist(), strict=True):
            for view, got in list(zip(row, values, strict=True))[::3]:
                exact = reference.exact_var(view)
                if exact > Fraction(sys.float_info.max):
                    assert got == INF
                else:
                    assert abs(Fraction(got) - exact) <= exact * Fraction(1e-12) + Fraction(5e-324)

    def test_two_by_two_agrees_with_unfold(self) -> None:
        image = torch.rand(1, 1, 12, 17, generator=torch.Generator().manual_seed(1))
        wanted = torch.var(unfold(image, 2), dim=1, unbiased=False).view(11, 16)
        made = local_var(image[0, 0], (2, 2))
        assert made.shape == (12 - 1, 17 - 1)
        torch.testing.assert_close(made, wanted, rtol=1e-4, atol=1e-7)
        wanted = torch.var(unfold(image.double(), 2), dim=1, unbiased=False).view(11, 16)
        torch.testing.assert_close(local_var(image.double()[0, 0], (2, 2)), wanted, rtol=1e-12, atol=0)

    @pytest.mark.parametrize("padding_mode", PADDINGS)
    def test_same_mode(self, padding_mode: Any) -> None:
        grid, window = noise(9, 11).tolist(), (4, 5)
        wide = [reference.padded(row, 2, 2, padding_mode) for row in grid]
        columns = [reference.padded(list(column), 2, 1, padding_mode) for column in zip(*wide, strict=True)]
        views = reference.grid_windows([list(row) for row in zip(*columns, strict=True)], window)
        wanted = double([[[reference.of_window(v, stat) for v in row] for row in views] for stat in ALL])
        made = local_stats(double(grid), window, stats=ALL, mode="same", padding_mode=padding_mode)
        assert made.shape == (len(ALL), 9, 11)
        torch.testing.assert_close(made, wanted, rtol=1e-12, atol=1e-13)

    def test_leading_dimensions_strides_and_squares(self) -> None:
        x = noise(2, 3, 14, 15)
        made = local_stats(x, 4, stats=("var", "median"), stride=(3, 2), dims=2)
        assert made.shape == (2, 3, 2, 4, 6)
        assert same_bits(made[1, 2], local_stats(x[1, 2], (4, 4), stats=("var", "median"))[:, ::3, ::2].contiguous())
        assert local_var(x, 4, dims=2, stride=20).shape == (2, 3, 1, 1)
        assert same_bits(local_var(x[0, 0], (4, 4)), local_stats(x[0, 0], (4, 4))[0])

    def test_strides_beyond_a_strip(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(grid_stats, "_STRIP", 8)
        x = noise(9, 90)
        assert same_bits(local_var(x, (3, 2), stride=(1, 20)), local_var(x, (3, 2))[:, ::20].contiguous())

    def test_integers_and_constants(self) -> None:
        assert local_var(torch.arange(12).view(3, 4), (2, 2)).tolist() == [[4.25] * 3] * 2
        for value in (0.1, 1e308, 5e-324):
            assert local_var(torch.full((40, 50), value, dtype=torch.float64), (21, 30)).eq(0).all()

    @pytest.mark.parametrize("mode", ["valid", *PADDINGS])
    @pytest.mark.parametrize("window", [(1, 3), (7, 5), (25, 30)])
    def test_any_cuts_give_the_same_bits(
        self, small_pieces: None, monkeypatch: pytest.MonkeyPatch, mode: Any, window: tuple[int, int]
    ) -> None:
        monkeypatch.setattr(grid_stats, "_STRIP", 8)
        x = noise(40, 40)
        x[30, 20] = NAN
        options: dict[str, Any] = {"stats": ("var", "rms", "max", "count"), "stride": (2, 3)}
        if mode != "valid":
            options |= {"mode": "same", "padding_mode": mode}
        whole = local_stats(x, window, **options)
        for cuts in ([2, 3, 30], [*range(40)]):
            before = x[-max(1, window[0] // 2) :] if mode == "circular" else None
            assert same_bits(stream(GridStats(window, before=before, **options), x, cuts, axis=-2), whole)


class TestGradients:
    @pytest.mark.parametrize("window", [1, 2, 6, 8, 20, 50, 57])
    @pytest.mark.parametrize("stat", ["var", "mean", "rms", "sum", "min", "range", "median", "p30"])
    def test_signals(self, small_pieces: None, window: int, stat: Any) -> None:
        x = noise(60).requires_grad_()
        assert torch.autograd.gradcheck(lambda x: local_stats(x, window, stats=(stat,)), (x,))

    @pytest.mark.parametrize("stat", ["var", "mean", "max", "median"])
    def test_grids_and_padding(self, stat: Any) -> None:
        x = noise(7, 8).requires_grad_()
        assert torch.autograd.gradcheck(lambda x: local_stats(x, (5, 6), stats=(stat,), mode="same"), (x,))

    def test_second_derivatives_and_skipped_samples(self) -> None:
        x = noise(30).requires_grad_()
        assert torch.autograd.gradgradcheck(lambda x: local_var(x, 9), (x,))
        present = noise(30)[:20].requires_grad_()
        holes = torch.full((4,), NAN, dtype=torch.float64)

        def skipping(x: Tensor) -> Tensor:
            return local_var(torch.cat([x[:9], holes, x[9:]]), 7, nan="skip")

        assert torch.autograd.gradcheck(skipping, (present,))

    def test_values_are_those_without_gradients(self) -> None:
        x = noise(2000)
        for window in (5, 30, 400):
            tracked = local_stats(x.clone().requires_grad_(), window, stats=ALL)
            assert tracked.requires_grad
            torch.testing.assert_close(tracked.detach(), local_stats(x, window, stats=ALL), rtol=1e-14, atol=0)
            with torch.no_grad():
                assert not local_stats(x.clone().requires_grad_(), window, stats=ALL).requires_grad


class TestBadInput:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"window": 0}, "window is 0; it must be at least 1"),
            ({"window": -3}, "window is -3"),
            ({"window": (2, 0)}, "window is 0"),
            ({"stride": 0}, "stride is 0"),
            ({"window": 2, "ddof": 2}, "ddof is 2; it must be at least 0 and below the 2 samples"),
            ({"ddof": -1}, "ddof is -1"),
            ({"stats": ("variance",)}, "stat is 'variance'; use one of var, std"),
            ({"stats": ()}, "one or more names"),
            ({"stats": "var"}, "one or more names"),
            ({"mode": "full"}, "mode is 'full'; use one of valid, same"),
            ({"padding_mode": "mirror"}, "padding_mode is 'mirror'"),
            ({"nan": "zero"}, "nan is 'zero'"),
            ({"min_count": 2}, 'min_count is 2, but nan is "propagate"'),
            ({"min_count": 2, "padding_mode": "none"}, 'or mode="same" and padding_mode="none"'),
            ({"align": "middle"}, "align is 'middle'; use one of center, left, right"),
            ({"align": "right"}, 'align is "right", but mode is "valid"; it needs mode="same"'),
            ({"min_count": 0, "nan": "skip"}, "min_count is 0; it must be from 1 to the 3"),
            ({"min_count": 4, "nan": "skip"}, "min_count is 4"),
            ({"dims": 3}, "dims is 3"),
            ({"window": (2, 2), "dims": 1}, "two sizes, but dims is 1"),
            ({"window": (2, 2, 2)}, "one size for each of the 2 axes"),
            ({"stride": (1, 1)}, "one size for each of the 1 axes"),
        ],
    )
    def test_misuse(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            local_stats(noise(9, 9), **({"window": 3} | options))

    def test_types(self) -> None:
        with pytest.raises(TypeError, match=r"window is 2\.5; give a whole number"):
            local_stats(noise(9), 2.5)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="complex64; statistics need real numbers"):
            local_var(torch.zeros(9, dtype=torch.complex64), 2)
        with pytest.raises(TypeError, match="bool"):
            local_var(torch.zeros(9, dtype=torch.bool), 2)

    def test_axes(self) -> None:
        with pytest.raises(ValueError, match=r"windows of 2 axes need as many: \(..., H, W\)"):
            local_stats(noise(9), (2, 2))
        with pytest.raises(ValueError, match=r"windows of 1 axes need as many: \(..., T\)"):
            local_stats(torch.tensor(1.0), 2)
        with pytest.raises(ValueError, match="single number"):
            LocalStats(2).push(torch.tensor(1.0))
        with pytest.raises(ValueError, match="a grid has rows and columns"):
            GridStats((2, 2)).push(noise(4))

    def test_too_short(self) -> None:
        with pytest.raises(InputError, match="a window of 10 samples is longer than the input, which has 9"):
            local_var(noise(9), 10)
        with pytest.raises(InputError, match="a window of 10 rows is longer than the input, which has 9"):
            local_var(noise(9, 12), (10, 2))
        with pytest.raises(InputError, match="a window of 10 columns is wider than the input, which has 9"):
            local_var(noise(12, 9), (2, 10))
        with pytest.raises(InputError, match="more than 5 samples, and there are 5"):
            local_var(noise(5), 10, mode="same")
        with pytest.raises(InputError, match="at least 6 columns, and there are 5"):
            local_var(noise(20, 5), (2, 12), mode="same", padding_mode="circular")
        with pytest.raises(InputError, match="more than 5 rows, and there are 5"):
            local_var(noise(5, 20), (10, 2), mode="same")

    @pytest.mark.parametrize("mode", ["valid", "same"])
    def test_empty(self, mode: Any) -> None:
        with pytest.raises(InputError, match="the input is empty; a window of 3 samples"):
            local_var(noise(0), 3, mode=mode)
        with pytest.raises(InputError, match="the input is empty; a window of 3 rows"):
            local_var(noise(0, 9), (3, 3), mode=mode)
        with pytest.raises(InputError, match="the input is empty"):
            LocalStats(3, mode=mode).finish()
        with pytest.raises(InputError, match="the input is empty"):
            GridStats((3, 3), mode=mode).finish()

    def test_circular_blocks_need_the_end_first(self) -> None:
        for make in (LocalStats, GridStats):
            with pytest.raises(ValueError, match="give them as before="):
                make(2 if make is LocalStats else (2, 2), mode="same", padding_mode="circular")  # type: ignore[operator]
