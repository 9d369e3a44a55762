"""Ranges met to the bit, formulas against rational and decimal arithmetic, and everything brought back."""

from __future__ import annotations

import itertools
import math
import random
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from convtool.errors import InputError
from convtool.ops import Scaling, rescale
from convtool.ops.scaling import METHODS, Method

NAN, INF = math.nan, math.inf
HUGE = 1.7e308
SQUASHES: tuple[Method, ...] = ("sigmoid", "tanh")


def double(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def minmax(x: float, data: tuple[float, float], low: float, high: float) -> Fraction:
    """The definition, in rational numbers."""
    a, b = map(Fraction, data)
    return Fraction(low) + (Fraction(x) - a) * (Fraction(high) - Fraction(low)) / (b - a)


def squash(x: float, low: float, high: float, method: Method) -> Decimal:
    """The definition, in decimal numbers of 400 digits."""
    e = (Decimal(x) * (1 if method == "sigmoid" else 2)).exp()
    return Decimal(low) + (Decimal(high) - Decimal(low)) * (e / (1 + e))


def same(made: Tensor, expected: Any) -> bool:
    return torch.equal(
        made.nan_to_num(nan=12345.0), torch.as_tensor(expected, dtype=made.dtype).nan_to_num(nan=12345.0)
    )


@st.composite
def ranges(draw: st.DrawFn, width: int = 64) -> tuple[float, float]:
    """Two numbers in order, of any size, near and far from each other."""
    numbers = st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False, width=width)  # type: ignore[arg-type]
    low, high = sorted((draw(numbers), draw(numbers)))
    assume(low < high)
    return low, high


shares = st.lists(st.fractions(0, 1, max_denominator=10**6), min_size=1, max_size=8)


def within(ends: tuple[float, float], places: list[Fraction]) -> list[float]:
    """Numbers of [a, b] at these shares of it, both ends among them."""
    a, b = map(Fraction, ends)
    return [*ends, *(min(max(float(a + place * (b - a)), ends[0]), ends[1]) for place in places)]


# What the formulas give


@pytest.mark.parametrize(
    ("x", "low", "high", "method", "expected"),
    [
        ([0, 1, 4], -1, 1, "minmax", [-1, -0.5, 1]),
        ([-1, 3], 0, 255, "minmax", [0, 255]),
        ([4, 1, 2, 5], 5, 10, "minmax", [8.75, 5, 6.25, 10]),
        ([-5, 0.5, 9], -1, 3, "clip", [-1, 0.5, 3]),
        ([0, 1000, -1000], -20, 30, "sigmoid", [5, 30, -20]),
        ([0, 1000, -1000], -20, 30, "tanh", [5, 30, -20]),
        ([math.log(3), -math.log(3)], 0, 1, "sigmoid", [0.75, 0.25]),
        ([math.log(3) / 2], 0, 4, "tanh", [3]),
        ([-1e-300, 0, 1e-20], -1, 1, "tanh", [-1e-300, 0, 1e-20]),
        ([-700], 0, 1, "sigmoid", [math.exp(-700)]),
    ],
)
def test_examples(x: list[float], low: float, high: float, method: Method, expected: list[float]) -> None:
    torch.testing.assert_close(rescale(double(*x), low=low, high=high, method=method), double(*expected))


def test_tanh_onto_one_is_tanh() -> None:
    x = torch.linspace(-20, 20, 4001, dtype=torch.float64)
    torch.testing.assert_close(rescale(x, low=-1, high=1, method="tanh"), torch.tanh(x), rtol=1e-15, atol=0)


@settings(max_examples=120)
@given(data=ranges(), target=ranges(), places=shares)
@example(data=(1.0, 7.205758973480183e16), target=(-1.1, 1.1), places=[Fraction(1, 2)])
def test_minmax_is_right_to_the_last_digit_and_keeps_the_range(
    data: tuple[float, float], target: tuple[float, float], places: list[Fraction]
) -> None:
    x = within(data, places)
    made = Scaling(*target, ranges=[data]).apply(double(*x)).tolist()
    assert (made[0], made[1]) == target
    smallest = Fraction(math.ulp(0.0)) + Fraction(max(map(abs, target))) / 2**104
    for number, result in zip(x, made, strict=True):
        assert target[0] <= result <= target[1]
        error = abs(Fraction(result) - minmax(number, data, *target))
        assert error <= Fraction(math.ulp(result)) / 2 * (1 + Fraction(1, 2**30)) + smallest


def back_within(dtype: torch.dtype, data: tuple[float, float], target: tuple[float, float], x: list[float]) -> None:
    """There and back again, 2 ulp of the range, more only by what a target away from 0 cannot hold."""
    scaling = Scaling(*target, ranges=[data])
    signal = torch.tensor(x, dtype=dtype)
    back = scaling.invert(scaling.apply(signal))
    assert torch.equal(back[:2], signal[:2])
    extent = Fraction(data[1]) - Fraction(data[0])
    digits = {torch.float64: 53, torch.float32: 24}[dtype]
    power = extent.numerator.bit_length() - extent.denominator.bit_length()  # 2^power or twice that is above extent
    ulp = Fraction(2) ** (power + (extent >= Fraction(2) ** power) - digits)
    lost = Fraction(max(map(abs, target))) / (Fraction(target[1]) - Fraction(target[0]))
    for number, result in zip(signal.tolist(), back.tolist(), strict=True):
        assert abs(Fraction(result) - Fraction(number)) <= 2 * ulp * max(1, lost)


@pytest.mark.parametrize(("dtype", "rest"), [(torch.float64, 104), (torch.float32, 51)])
def test_minmax_next_to_0_errs_by_a_share_of_the_larger_end(dtype: torch.dtype, rest: int) -> None:
    """The numbers around the one that becomes 0, where a unit in the last place is many times smaller."""
    rng = random.Random(1)
    past = Fraction(0)
    for _ in range(200):
        ends = [rng.uniform(-1, 1), rng.uniform(1, 40), -rng.uniform(0.1, 3), rng.uniform(0.1, 3)]
        a, b, low, high = torch.tensor(ends, dtype=dtype).tolist()
        exact = a - Fraction(low) * (Fraction(b) - Fraction(a)) / (Fraction(high) - Fraction(low))
        zero = torch.tensor(float(exact), dtype=dtype)
        x = torch.stack([zero, zero.nextafter(torch.tensor(b, dtype=dtype))])
        made = Scaling(low, high, ranges=[(a, b)]).apply(x)
        units = (made.abs().nextafter(torch.full_like(made, torch.inf)) - made.abs()).tolist()
        for number, result, unit in zip(x.tolist(), made.tolist(), units, strict=True):
            error = abs(Fraction(result) - minmax(number, (a, b), low, high)) - Fraction(unit) / 2
            past = max(past, error / Fraction(max(-low, high)))
    assert 0 < past <= Fraction(1, 2**rest)


@settings(max_examples=120)
@given(data=ranges(), target=ranges(), places=shares)
def test_minmax_comes_back(data: tuple[float, float], target: tuple[float, float], places: list[Fraction]) -> None:
    assume(target[1] - target[0] > 1e-280 and data[1] - data[0] > 1e-280)  # denormal numbers have fewer digits
    back_within(torch.float64, data, target, within(data, places))


@settings(max_examples=120)
@given(data=ranges(32), target=ranges(32), places=shares)
def test_minmax_comes_back_in_float32(
    data: tuple[float, float], target: tuple[float, float], places: list[Fraction]
) -> None:
    assume(target[1] - target[0] > 1e-30 and data[1] - data[0] > 1e-30)
    back_within(torch.float32, data, target, within(data, places))


@settings(max_examples=100)
@given(data=ranges(), places=shares, target=st.sampled_from([(-1.0, 1.0), (0.0, 1.0), (-20.0, 30.0), (0.0, 255.0)]))
def test_usual_ranges_come_back_to_2_ulp(
    data: tuple[float, float], places: list[Fraction], target: tuple[float, float]
) -> None:
    assume(data[1] - data[0] < INF and data[1] - data[0] > 1e-280)
    x = double(*within(data, places))
    scaling = Scaling(*target).fit(x)
    error = (scaling.invert(scaling.apply(x)) - x).abs().max().item()
    assert error <= 2 * math.ulp(data[1] - data[0])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("method", METHODS)
def test_dtype_is_kept_and_the_range_is_met(method: Method, dtype: torch.dtype) -> None:
    x = (torch.randn(3, 100, generator=torch.Generator().manual_seed(0)) * 30).to(dtype)
    untouched = x.clone()
    made = rescale(x, low=-20.1, high=30.3, method=method)
    low, high = torch.tensor([-20.1, 30.3], dtype=torch.float64).to(dtype)
    assert (made.dtype, made.shape) == (x.dtype, x.shape)
    assert (made.min(), made.max()) == (low, high)
    assert torch.equal(x, untouched)


@pytest.mark.parametrize(
    ("data", "target"),
    [
        ((-HUGE, HUGE), (-HUGE, HUGE)),
        ((-HUGE, HUGE), (0.0, 5e-324)),
        ((0.0, 5e-324), (-HUGE, HUGE)),
        ((1.0, math.nextafter(1.0, 2)), (-HUGE, 1e-300)),
        ((1e15, 1e15 + 0.125), (1.0, math.nextafter(1.0, 2))),
        ((-1e-310, 1e-310), (-1e-200, 1e-310)),
    ],
)
@pytest.mark.parametrize("method", METHODS)
def test_extreme_ranges_are_met(data: tuple[float, float], target: tuple[float, float], method: Method) -> None:
    x = double(*data, data[0] / 2 + data[1] / 2, -745, 745)
    scaling = Scaling(*target, method=method, ranges=[data])
    made = scaling.apply(x[:3] if method == "minmax" else x)
    assert target[0] <= made.min()
    assert made.max() <= target[1]
    if method == "minmax":
        assert tuple(made[:2].tolist()) == target
        assert scaling.invert(made[:2]).tolist() == list(data)


@pytest.mark.parametrize("method", SQUASHES)
@settings(max_examples=150)
@given(
    x=st.floats(-300, 300),
    target=st.tuples(st.sampled_from([0.0, -1.0, -20.0, 1e-5, 1e5]), st.sampled_from([0.5, 2.0, 50.0, 3e5])),
)
def test_squashes_keep_the_digits_of_the_nearest_end(method: Method, x: float, target: tuple[float, float]) -> None:
    low, high = target[0], target[0] + target[1]
    made = rescale(double(x), low=low, high=high, method=method).item()
    assert low <= made <= high
    with localcontext() as context:
        context.prec = 400
        right = squash(x, low, high, method)
        middle = (Decimal(low) + Decimal(high)) / 2
        anchor = min((Decimal(low), middle, Decimal(high)), key=lambda end: abs(end - right))
        unit = Decimal(2) ** -53 * (abs(anchor) + abs(right - anchor))
        assert abs(Decimal(made) - right) <= 4 * unit + Decimal("5e-324")


# Beyond what was fitted


def test_what_was_not_fitted_lies_on_the_same_line_and_comes_back() -> None:
    scaling = Scaling(-1, 1, ranges=[(0.0, 4.0)])
    x = double(-4, 8, 1e10, -1e300)
    made = scaling.apply(x)
    torch.testing.assert_close(made, x / 2 - 1)
    torch.testing.assert_close(scaling.invert(made), x)


def test_far_numbers_overflow_no_sooner_than_the_result() -> None:
    far = double(1e305, -1.5e308, INF, -INF)
    assert Scaling(0, 1, ranges=[(0.0, 1.0)]).apply(far).tolist() == far.tolist()
    assert Scaling(0, 1, ranges=[(0.0, 1.0)]).invert(far).tolist() == far.tolist()
    assert rescale(torch.tensor([3e38, -3e38]), low=-1e38, high=3e38).tolist() == pytest.approx([3e38, -1e38])


def test_a_range_from_a_wider_dtype_keeps_its_ends() -> None:
    """0.1 is larger in float32, and a hair beyond [a, b] can be far beyond [low, high]."""
    scaling = Scaling(0, 1, ranges=[(0.09999999, 0.1)])
    x = torch.tensor([0.09999999, 0.1])
    assert scaling.apply(x).tolist() == [0, 1]
    assert torch.equal(scaling.invert(scaling.apply(x)), x)
    assert Scaling(0, 1, ranges=[(0.0, 1e300)]).apply(torch.tensor([0.0, 1e38])).tolist() == [0, 0]


# Constants, silence, nothing, NaN


@pytest.mark.parametrize("constant", [0.0, 5.0, -1e308, 5e-324])
def test_a_constant_becomes_the_middle_and_comes_back(constant: float) -> None:
    x = torch.full((2, 3), constant, dtype=torch.float64)
    for low, high, middle in ((-1, 1, 0), (0, 255, 127.5), (-HUGE, HUGE, 0), (1, 1 + 2**-52, 1)):
        scaling = Scaling(low, high).fit(x)
        made = scaling.apply(x)
        assert torch.equal(made, torch.full_like(x, middle))
        assert torch.equal(scaling.invert(made), x)
        assert scaling.apply(double(1, NAN, INF)).isnan().tolist() == [False, True, True]


def test_one_sample_nothing_and_a_single_number() -> None:
    assert rescale(double(7), low=0, high=1).tolist() == [0.5]
    assert rescale(torch.tensor(7.0), low=0, high=1).item() == 0.5
    for method in METHODS:
        for shape in ((0,), (2, 0), (0, 2, 5), (3, 0, 5)):
            for per_channel in (False, True):
                made = rescale(torch.empty(shape), low=0, high=1, method=method, per_channel=per_channel)
                assert made.shape == shape
    scaling = Scaling(0, 1).fit(torch.empty(1, 0))
    assert scaling.ranges == [(INF, -INF)]
    assert scaling.fit(double(2, 3)).ranges == [(2, 3)]


@pytest.mark.parametrize("dtype", [torch.int64, torch.int16, torch.uint8])
def test_integers_are_worked_in_float64(dtype: torch.dtype) -> None:
    made = rescale(torch.tensor([1, 2, 5], dtype=dtype), low=0, high=1)
    assert made.dtype == torch.float64
    assert made.tolist() == [0, 0.25, 1]
    assert Scaling(0, 4, ranges=[(0.0, 1.0)]).invert(torch.tensor([1, 3], dtype=dtype)).tolist() == [0.25, 0.75]
    assert Scaling(0, 1).fit(torch.tensor([2**53 - 1, 0])).ranges == [(0, 2**53 - 1)]


def test_nan_stays_where_it_is() -> None:
    x = double(0, NAN, 4, INF, 1, -INF)
    assert same(rescale(x, low=-1, high=1), double(-1, NAN, 1, INF, -0.5, -INF))
    assert same(rescale(x, low=-1, high=1, method="clip"), double(0, NAN, 1, 1, 1, -1))
    for method in SQUASHES:
        made = rescale(x, low=-1, high=1, method=method)
        assert same(made[[1, 3, 5]], double(NAN, 1, -1))
        assert same(Scaling(-1, 1, method=method).invert(x, eps=0)[[1, 3, 5]], double(NAN, INF, -INF))


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
def test_nan_spoils_its_channel_where_asked(bad: float) -> None:
    x = torch.tensor([[0.0, bad, 4.0], [0.0, 1.0, 2.0]])
    assert rescale(x, low=0, high=1, nan="propagate").isnan().all()
    made = rescale(x, low=0, high=1, nan="propagate", per_channel=True)
    assert made[0].isnan().all()
    assert made[1].tolist() == [0, 0.5, 1]


def test_no_finite_number_has_no_range() -> None:
    x = torch.tensor([[NAN, INF], [1.0, 3.0]])
    scaling = Scaling(0, 1, per_channel=True).fit(x)
    assert scaling.ranges == [(INF, -INF), (1, 3)]
    assert same(scaling.apply(x), [[NAN, NAN], [0.0, 1.0]])


# Channels and blocks


def test_channels_apart() -> None:
    x = torch.tensor([[0.0, 1.0, 4.0], [10.0, 30.0, 20.0]])
    assert rescale(x, low=0, high=1, per_channel=True).tolist() == [[0, 0.25, 1], [0, 1, 0.5]]
    assert rescale(x, low=0, high=30).tolist() == x.tolist()
    both = torch.stack([x, x * 2])
    scaling = Scaling(0, 1, per_channel=True).fit(both)
    assert scaling.ranges == [(0, 8), (10, 60)]
    assert scaling.apply(both)[1].tolist() == [[0, 0.25, 1], [pytest.approx(0.2), 1, pytest.approx(0.6)]]
    torch.testing.assert_close(scaling.invert(scaling.apply(both)), both)
    assert rescale(double(1, 2), low=0, high=1, per_channel=True).tolist() == [0, 1]


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("method", METHODS)
def test_blocks_give_the_bits_of_the_whole(method: Method, dtype: torch.dtype, per_channel: bool) -> None:
    x = torch.randn(2, 3, 20_011, generator=torch.Generator().manual_seed(1), dtype=dtype) * 3
    whole = Scaling(-20, 30, method=method, per_channel=per_channel).fit(x)
    made = whole.apply(x)
    parts = Scaling(-20, 30, method=method, per_channel=per_channel)
    sizes = [1, 2, 7, 4096, 0, 15_000, 905]
    for block in x.split(sizes, -1):
        parts.fit(block)
    assert parts.ranges == whole.ranges
    assert torch.equal(torch.cat([parts.apply(block) for block in x.split(sizes, -1)], -1), made)
    assert torch.equal(made[1, 2, 5:900], whole.apply(x)[1, 2, 5:900])
    if method != "clip":
        back = torch.cat([parts.invert(block) for block in made.split(sizes, -1)], -1)
        assert torch.equal(back, whole.invert(made))


def test_fitting_on_after_use() -> None:
    scaling = Scaling(0, 1).fit(double(0, 2))
    assert scaling.apply(double(1)).item() == 0.5
    assert scaling.fit(double(4)).apply(double(1)).item() == 0.25


# Squashes undone


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (0.0, 1.0), (-20.0, 30.0), (1000.0, 1001.0), (-HUGE, HUGE)])
@pytest.mark.parametrize("method", SQUASHES)
def test_squashes_come_back(method: Method, low: float, high: float) -> None:
    scaling = Scaling(low, high, method=method)
    x = torch.linspace(-4, 4, 801, dtype=torch.float64)
    back = scaling.invert(scaling.apply(x))
    half, made = high / 2 - low / 2, scaling.apply(x) / 2
    share = (made - low / 2) / half  # known to a few units in the last digit of 1 or of made, and dx / dshare is
    slope = 1 / (share * (1 - share)) / (1 if method == "sigmoid" else 2)
    bound = 4 * 2.0**-53 * (1 + made.abs() / half) * slope + 1e-15 * x.abs()
    assert ((back - x).abs() <= bound).all()


def test_tails_near_zero_come_back_where_eps_lets_them() -> None:
    scaling = Scaling(0, 1, method="sigmoid")
    assert scaling.invert(scaling.apply(double(-600, -40))).tolist() == pytest.approx([-36.04365338911715] * 2)
    assert scaling.invert(scaling.apply(double(-600, -40)), eps=0).tolist() == pytest.approx([-600, -40], rel=1e-14)
    assert scaling.invert(scaling.apply(double(-600, -40)), eps=1e-30).tolist() == pytest.approx([-69.07755, -40])
    small = Scaling(-1, 1, method="tanh")
    assert small.invert(small.apply(double(1e-20, -3e-9)), eps=0).tolist() == pytest.approx([1e-20, -3e-9], rel=1e-14)


@pytest.mark.parametrize(("method", "half"), [("sigmoid", 1), ("tanh", 2)])
@pytest.mark.parametrize("eps", [None, 1e-3, 0.3, 0.49])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_ends_count_as_eps_inside(method: Method, half: int, eps: float | None, dtype: torch.dtype) -> None:
    y = torch.tensor([-20, -1e6, 30, 1e6, 5], dtype=dtype)
    share = torch.finfo(dtype).eps if eps is None else eps
    end = math.log((1 - share) / share) / half
    made = Scaling(-20, 30, method=method).invert(y, eps=eps)
    assert made.tolist() == pytest.approx([-end, -end, end, end, 0], rel=1e-6)


def test_no_eps_gives_infinity() -> None:
    assert Scaling(-1, 1, method="tanh").invert(double(-1, 1, -2, 2), eps=0).tolist() == [-INF, INF, -INF, INF]


# Gradients


@pytest.mark.parametrize("method", METHODS)
def test_gradients(method: Method) -> None:
    scaling = Scaling(-20, 30, method=method, ranges=[(-3.0, 4.0)])
    x = torch.tensor([[-2.0, -0.6, 0.0, 0.7, 3.0]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(scaling.apply, x, atol=1e-4)
    if method != "clip":
        assert torch.autograd.gradcheck(scaling.invert, scaling.apply(x).detach().requires_grad_(), atol=1e-4)


@pytest.mark.parametrize(("method", "slope"), [("sigmoid", 0.25), ("tanh", 0.5), ("minmax", 0.125)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_slopes_where_formulas_meet(method: Method, slope: float, dtype: torch.dtype) -> None:
    x = torch.tensor([0.0, 1000.0, -1000.0], dtype=dtype, requires_grad=True)
    Scaling(0, 1, method=method, ranges=[(-4.0, 4.0)]).apply(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [slope, *([slope] * 2 if method == "minmax" else [0, 0])]
    y = torch.tensor([0.0, 0.5, 1.0, 2.0], dtype=dtype, requires_grad=True)
    Scaling(0, 1, method=method, ranges=[(-4.0, 4.0)]).invert(y).sum().backward()
    assert y.grad is not None
    assert y.grad.isfinite().all()
    assert y.grad[1].item() == pytest.approx(1 / slope)


def test_the_fitted_range_is_a_constant_to_gradients() -> None:
    x = double(0, 1, 4).requires_grad_()
    rescale(x, low=-1, high=1).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.5, 0.5, 0.5]


# What is refused


@pytest.mark.parametrize(("low", "high"), [(1, 1), (2, 1), (NAN, 1), (0, INF), (-INF, 0), (0, NAN)])
def test_no_range(low: float, high: float) -> None:
    with pytest.raises(ValueError, match=f"the range is {low} to {high}; expected two finite numbers, the lower first"):
        Scaling(low, high)


@pytest.mark.parametrize(("low", "high"), [(-1e308, 1e308), (0, 1e-50), (1, 1 + 1e-10)])
def test_no_range_in_float32(low: float, high: float) -> None:
    for method in METHODS:
        scaling = Scaling(low, high, method=method, ranges=[(0.0, 1.0)])
        with pytest.raises(ValueError, match=r"float32 does not hold the range .*; work in float64"):
            scaling.apply(torch.zeros(3))


def test_misuse() -> None:
    with pytest.raises(ValueError, match="method is 'log'; use one of minmax, clip, sigmoid, tanh"):
        Scaling(0, 1, method="log")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="nan is 'zero'; use one of skip, propagate"):
        Scaling(0, 1, nan="zero")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="clip can't be inverted: what lay beyond the range is gone"):
        Scaling(0, 1, method="clip").invert(double(0))
    for eps in (-0.1, 0.5, NAN):
        with pytest.raises(ValueError, match=f"eps is {eps}; it must be at least 0 and below 0.5"):
            Scaling(0, 1, method="tanh").invert(double(0), eps=eps)
    for act in ("apply", "invert"):
        with pytest.raises(ValueError, match="minmax has seen no data; give it some with fit, or its ranges"):
            getattr(Scaling(0, 1), act)(double(0))
        with pytest.raises(ValueError, match="the signal has 3 channels, but there are ranges for 2"):
            getattr(Scaling(0, 1, ranges=[(0.0, 1.0)] * 2), act)(torch.zeros(3, 5))
    with pytest.raises(ValueError, match="the signal has 1 channels; there were 2 before"):
        Scaling(0, 1, per_channel=True).fit(torch.zeros(2, 5)).fit(torch.zeros(1, 5))


@pytest.mark.parametrize("dtype", [torch.complex64, torch.bool])
def test_no_real_numbers(dtype: torch.dtype) -> None:
    for method, act in itertools.product(METHODS, ("fit", "apply", "invert")):
        with pytest.raises(TypeError, match=f"the signal is {dtype}; a scaling needs real numbers"):
            getattr(Scaling(0, 1, method=method, ranges=[(0.0, 1.0)]), act)(torch.zeros(3, dtype=dtype))


INT64 = st.integers(-(2**63), 2**63 - 1)
NARROW = st.integers(9007199254740993, 9007199254740999)


class TestIntegersOfAnySize:
    @given(st.one_of(st.lists(INT64, min_size=1), st.lists(NARROW, min_size=1)), st.sampled_from([(0, 2), (-1, 1)]))
    @example([9007199254740993, 9007199254740995, 9007199254740997], (0, 2))
    @example([-(2**63), -1, 2**63 - 1], (-1, 1))
    def test_minmax_against_fractions(self, numbers: list[int], within: tuple[int, int]) -> None:
        low, high = within
        made = rescale(torch.tensor(numbers), low=low, high=high)
        assert made.dtype == torch.float64
        least, most = min(numbers), max(numbers)
        for number, value in zip(numbers, made.tolist(), strict=True):
            if least == most:
                assert value == (low + high) / 2
                continue
            exact = low + Fraction(number - least) * (high - low) / (most - least)
            assert abs(Fraction(value) - exact) <= Fraction(math.ulp(value)) * Fraction(0.51)

    @given(st.lists(INT64, min_size=1), st.lists(INT64, min_size=1))
    def test_a_range_over_blocks_is_exact(self, first: list[int], second: list[int]) -> None:
        scaling = Scaling(0, 1).fit(torch.tensor(first)).fit(torch.tensor(second))
        assert scaling.ranges == [(min(first + second), max(first + second))]
        ends = torch.tensor([min(first + second), max(first + second)])
        assert scaling.apply(ends).tolist() == ([0, 1] if ends[0] != ends[1] else [0.5, 0.5])

    def test_beside_floats(self) -> None:
        large = torch.tensor([2**53 + 1, 2**53 + 5])
        scaling = Scaling(0, 1).fit(large).fit(torch.tensor([0.5], dtype=torch.float64))
        assert scaling.ranges == [(0.5, 2**53 + 5)]
        assert scaling.apply(large).tolist()[1] == 1
        propagated = Scaling(0, 1, nan="propagate").fit(torch.tensor([math.nan])).fit(large)
        assert all(math.isnan(end) for end in propagated.ranges[0])
        assert propagated.apply(large).isnan().all()
        fitted = Scaling(0, 4, ranges=[(2**53 + 1, 2**53 + 5)])
        assert fitted.apply(large.double()).tolist() == [0, 4]
        assert fitted.invert(torch.tensor([0, 4])).tolist() == [2.0**53, 2.0**53 + 4]

    def test_the_other_methods(self) -> None:
        large = torch.tensor([-5, 2**53 + 1])
        clipped = rescale(large, low=0, high=2**60, method="clip")
        assert (clipped.dtype, clipped.tolist()) == (torch.int64, [0, 2**53 + 1])
        assert rescale(large, low=-0.5, high=0.5, method="clip").tolist() == [-0.5, 0.5]
        assert rescale(torch.tensor([0, 10**6]), low=0, high=1, method="sigmoid").tolist() == [0.5, 1]
        assert rescale(torch.tensor([7], dtype=torch.uint64), low=0, high=1).tolist() == [0.5]
        with pytest.raises(InputError, match="uint64 with values past"):
            rescale(torch.tensor([2**63], dtype=torch.uint64), low=0, high=1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("ends", [(-1e308, 1e308), (5e-23, 1e308), (-1e308, -2e-29)])
def test_narrow_numbers_of_a_range_past_their_dtype_come_back_to_it(
    dtype: torch.dtype, ends: tuple[float, float]
) -> None:
    scaling = Scaling(-1, 1, ranges=[ends])
    middle, found = sum(ends) / 2, scaling.invert(torch.tensor([[-1.0, 0.0, 1.0, NAN]], dtype=dtype))[0].tolist()
    expected = torch.tensor([ends[0], middle, ends[1]], dtype=torch.float64).to(dtype).tolist()
    assert found[:3] == expected
    assert math.isnan(found[3])
