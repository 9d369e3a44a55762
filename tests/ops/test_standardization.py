"""Location and scale: exact against rational arithmetic and NumPy's conventions, the same however cut, brought back."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from convtool.errors import InputError
from convtool.ops import Spread, Standardization, order_statistics, standardize
from convtool.ops.exact_sums import ExactSums, root
from convtool.ops.order_statistics import Quartiles
from convtool.ops.standardization import METHODS, Method

NAN, INF = math.nan, math.inf
INT64 = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)


def double(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def fitted(x: Tensor, method: Method, *, cuts: int = 1, per_channel: bool = False) -> Standardization:
    made = Standardization(method, per_channel=per_channel)
    more = True
    while more:
        for block in x.tensor_split(cuts, -1):
            made.fit(block)
        more = made.again()
    return made


def exact_spread(numbers: list[float], method: Method) -> tuple[Fraction, Fraction]:
    """The definitions, in rational numbers; of standard the square of the scale."""
    x = sorted(map(Fraction, numbers))
    if method == "maxabs":
        return Fraction(0), max(map(abs, x))
    if method == "standard":
        mean = sum(x) / len(x)
        return mean, sum((each - mean) ** 2 for each in x) / len(x)
    places = [Fraction(quarters * (len(x) - 1), 4) for quarters in (1, 2, 3)]
    low, middle, high = (x[math.floor(at)] + (x[math.ceil(at)] - x[math.floor(at)]) * (at % 1) for at in places)
    return middle, high - low


# Location and scale


@settings(max_examples=60)
@given(numbers=st.lists(FLOATS, min_size=1, max_size=30) | st.lists(INT64, min_size=1, max_size=30))
@pytest.mark.parametrize("method", METHODS)
def test_location_and_scale_are_exact(method: Method, numbers: list[float]) -> None:
    dtype = torch.int64 if isinstance(numbers[0], int) else torch.float64
    location, scale = exact_spread(numbers, method)
    (found,) = fitted(torch.tensor(numbers, dtype=dtype), method, cuts=2).spreads
    error = abs(Fraction(found.location) + Fraction(found.rest) - location)
    assert abs(found.location - location) <= Fraction(math.ulp(found.location)) / 2
    assert error <= abs(location) / 2**104 + Fraction(5e-324)
    if method == "standard":
        assert found.scale == root(scale)
    elif scale < Fraction(2) ** 1024 - 2**970:
        assert found.scale == (scale if method == "maxabs" else float(scale))
    else:
        assert found.scale == INF


@given(st.fractions(0, 10**30) | st.floats(0, allow_infinity=False).map(Fraction))
def test_roots_are_correctly_rounded(x: Fraction) -> None:
    made = root(x)
    below, above = math.nextafter(made, 0), math.nextafter(made, INF)
    assert ((Fraction(below) + Fraction(made)) / 2) ** 2 <= x <= ((Fraction(made) + Fraction(above)) / 2) ** 2


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int64"])
@pytest.mark.parametrize("samples", [1, 2, 3, 4, 5, 100, 4097])
def test_numpy_agrees(samples: int, dtype: str) -> None:
    x = (np.random.default_rng(samples).standard_normal((3, samples)) * 100).astype(dtype)
    wide = x.astype("float64")
    quarters = np.percentile(wide, [25, 50, 75], axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = {
            "standard": (wide - wide.mean(1, keepdims=True)) / wide.std(1, keepdims=True),
            "robust": (wide - quarters[1][:, None]) / (quarters[2] - quarters[0])[:, None],
            "maxabs": wide / np.abs(wide).max(1, keepdims=True),
        }
    for method in METHODS:
        made = standardize(torch.from_numpy(x), method=method, per_channel=True)
        assert made.dtype == (torch.float64 if dtype == "int64" else getattr(torch, dtype))
        tolerance = {"float64": 1e-13, "int64": 1e-13, "float32": 1e-6, "float16": 2e-3}[dtype]
        wanted = np.nan_to_num(expected[method], nan=0, posinf=0, neginf=0)
        np.testing.assert_allclose(made.double().numpy(), wanted, rtol=tolerance, atol=tolerance)


def test_an_offset_costs_no_digit() -> None:
    """At 2^52 the mean and the median of these lie between two numbers of float64."""
    x = 2.0**52 + double(0, 1, 2, 4)
    np.testing.assert_array_equal(standardize(x), standardize(double(0, 1, 2, 4)))
    np.testing.assert_array_equal(standardize(x, method="robust"), standardize(double(0, 1, 2, 4), method="robust"))
    whole = torch.tensor([0, 1, 2, 4]) + 2**62
    np.testing.assert_array_equal(standardize(whole), standardize(double(0, 1, 2, 4)))


@settings(max_examples=60)
@given(numbers=st.lists(FLOATS, min_size=2, max_size=20))
@pytest.mark.parametrize("method", METHODS)
def test_results_are_within_two_units(method: Method, numbers: list[float]) -> None:
    location, scale = exact_spread(numbers, method)
    (spread,) = fitted(double(*numbers), method).spreads
    if not 1e-280 < spread.scale < INF:
        return
    for number, made in zip(numbers, standardize(double(*numbers), method=method).tolist(), strict=True):
        right = (Fraction(number) - location) / Fraction(root(scale) if method == "standard" else scale)
        if abs(right) < 2**1023:
            assert abs(Fraction(made) - right) <= 2 * Fraction(math.ulp(made))


@pytest.mark.parametrize("cuts", [2, 7])
@pytest.mark.parametrize("method", METHODS)
def test_cuts_and_order_change_nothing(method: Method, cuts: int) -> None:
    x = torch.randn(2, 5000, generator=torch.Generator().manual_seed(3), dtype=torch.float64) * 1e3 + 1e6
    whole = fitted(x, method, per_channel=True)
    assert fitted(x, method, cuts=cuts, per_channel=True).spreads == whole.spreads
    assert fitted(x.flip(-1), method, cuts=cuts, per_channel=True).spreads == whole.spreads
    assert torch.equal(torch.cat([whole.apply(block) for block in x.tensor_split(cuts, -1)], -1), whole.apply(x))


@pytest.mark.parametrize(("rows", "counts", "narrow", "wide"), [(1, 22, 2, 4), (3, 22, 3, 6), (3, 15, 4, 8)])
def test_passes_over_many_rows(rows: int, counts: int, narrow: int, wide: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_statistics, "_COUNTS", 1 << counts)
    monkeypatch.setattr(order_statistics, "_FEW", 20)
    x = torch.randn(rows, 50, generator=torch.Generator().manual_seed(rows))
    for dtype, passes in ((torch.float32, narrow), (torch.float64, wide)):
        quartiles, made, more = Quartiles(rows), 0, True
        while more:
            for block in x.to(dtype).split(20, 1):
                quartiles.add(block)
            made, more = made + 1, quartiles.again()
        assert made == passes
        expected = np.percentile(x.double().numpy(), [25, 50, 75], axis=1).T
        np.testing.assert_allclose([[float(each) for each in quartiles.found(row)] for row in range(rows)], expected)


@pytest.mark.parametrize("numbers", [[2**60 + each for each in (5, 0, 9, 1, 1, 7)], [-(2**63), 2**63 - 1], []])
def test_integers_are_counted_too(numbers: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_statistics, "_FEW", -1)
    quartiles, more = Quartiles(1), True
    while more:
        quartiles.add(torch.tensor(numbers, dtype=torch.int64).reshape(1, -1))
        more = quartiles.again()
    places = [Fraction(quarters * (len(numbers) - 1), 4) for quarters in (1, 2, 3)]
    x = sorted(numbers)
    expected = [x[math.floor(at)] + (x[math.ceil(at)] - x[math.floor(at)]) * (at % 1) for at in places if x]
    assert quartiles.found(0) == tuple(expected)


def test_sums_of_numbers_of_all_sizes() -> None:
    numbers = [1e308, -1.7e308, 5e-324, 1e-200, 3.0, 1e200, -1e-160, 2.0**401]
    sums = ExactSums(1)
    sums.add(double(*numbers, NAN, INF).reshape(1, -1))
    assert sums.counts == [len(numbers)]
    exact = [Fraction(number) for number in numbers]
    assert sums.mean(0) == sum(exact) / len(exact)
    squares = sum(number * number for number in exact) / len(exact)
    assert sums.deviation(0) == root(squares - sums.mean(0) ** 2)


# Constants, silence, nothing, NaN


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("x", [double(5, 5, 5), double(0, 0), torch.tensor([7]), torch.tensor([2**53 + 1] * 2)])
def test_a_constant_becomes_0_and_comes_back(x: Tensor, method: Method) -> None:
    if method == "maxabs" and x.any():
        assert standardize(x, method=method).tolist() == [1.0] * len(x)
        return
    scaling = fitted(x, method)
    made = scaling.apply(x)
    assert (made.tolist(), made.signbit().any().item()) == ([0] * len(x), False)
    assert torch.equal(scaling.invert(made), x.double())
    assert scaling.apply(double(-9, NAN, INF)).isnan().tolist() == [False, True, True]


@pytest.mark.parametrize("method", METHODS)
def test_nan_and_nothing(method: Method) -> None:
    x = torch.tensor([[1.0, NAN, 4.0, INF, -1.0], [NAN, INF, -INF, NAN, NAN]], dtype=torch.float64)
    made = standardize(x, method=method, per_channel=True)
    assert torch.equal(made[0, ::2], standardize(double(1, 4, -1), method=method))
    assert made[0, 1].isnan()
    assert made[0, 3] == INF
    assert made[1].isnan().all()
    spoilt = standardize(torch.stack([x[0], double(1, 2, 3, 4, 5)]), method=method, per_channel=True, nan="propagate")
    assert spoilt[0].isnan().all()
    assert torch.equal(spoilt[1], standardize(double(1, 2, 3, 4, 5), method=method))
    assert standardize(x, method=method, nan="propagate").isnan().all()
    for shape in ((0,), (2, 0), (0, 2, 5), (3, 0, 5)):
        for per_channel in (False, True):
            assert standardize(torch.empty(shape), method=method, per_channel=per_channel).shape == shape
    assert standardize(torch.tensor(3.0), method=method).item() == (1 if method == "maxabs" else 0)


def test_far_numbers_overflow_no_sooner_than_the_result() -> None:
    scaling = Standardization("standard", spreads=[Spread(-1.5e308, 1e300)])
    assert scaling.apply(double(1.5e308, INF)).tolist() == [pytest.approx(3e8), INF]
    assert scaling.invert(double(1e8, INF)).tolist() == [pytest.approx(-5e307), INF]
    tiny = Standardization("standard", spreads=[Spread(0.0, 1e-320)])
    assert tiny.apply(double(2e-320, 1e-320, -5e-324)).tolist() == pytest.approx([2, 1, -5e-4], rel=2e-2)
    assert tiny.apply(double(1e300)).tolist() == [INF]
    wide = Standardization("robust", spreads=[Spread(0.0, INF)])
    assert wide.apply(double(1e308)).tolist() == [0]
    assert fitted(double(-1.7e308, 1.7e308), "robust").spreads[0].scale == 1.7e308
    assert fitted(double(-1.7e308, -1.7e308, 1.7e308, 1.7e308), "robust").spreads[0].scale == INF


# The way back


@settings(max_examples=60)
@given(numbers=st.lists(st.floats(-1e12, 1e12), min_size=2, max_size=20), offset=st.sampled_from([0, 1e9]))
@pytest.mark.parametrize("method", METHODS)
def test_there_and_back(method: Method, numbers: list[float], offset: float) -> None:
    x = double(*numbers) + offset
    scaling = fitted(x, method)
    (spread,) = scaling.spreads
    if spread.scale < 1e-200:
        return
    back = scaling.invert(scaling.apply(x))
    largest = max(x.abs().max().item(), abs(spread.location), spread.scale)
    assert (back - x).abs().max().item() <= 2 * math.ulp(largest)


def test_integers_and_float32_come_back() -> None:
    assert Standardization("standard", spreads=[Spread(2.0, 4.0)]).invert(torch.tensor([1, -1])).tolist() == [6, -2]
    x = torch.randn(1000, generator=torch.Generator().manual_seed(1))
    scaling = fitted(x, "robust")
    torch.testing.assert_close(scaling.invert(scaling.apply(x)), x, rtol=1e-6, atol=1e-6)
    largest = torch.tensor([2**53 + 1, -7, 0])
    scaling = fitted(largest, "maxabs")
    assert scaling.spreads == [Spread(0.0, 2**53 + 1)]
    assert scaling.apply(largest).tolist() == [1, -7 / (2**53 + 1), 0]


@pytest.mark.parametrize("method", METHODS)
def test_gradients(method: Method) -> None:
    scaling = Standardization(method, spreads=[Spread(0.5, 3.0, 1e-18), Spread(2.0, 0.0)])
    x = torch.tensor([[-2.0, -0.6, 0.1, 0.7, 3.0]] * 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(scaling.apply, x)
    assert torch.autograd.gradcheck(scaling.invert, x)
    y = torch.randn(9, requires_grad=True)
    assert torch.autograd.grad(standardize(y, method=method).sum(), y)[0].isfinite().all()


# What is refused


def test_misuse() -> None:
    with pytest.raises(ValueError, match="method is 'minmax'; use one of standard, robust, maxabs"):
        Standardization("minmax")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="nan is 'zero'; use one of skip, propagate"):
        standardize(double(0), nan="zero")  # type: ignore[arg-type]
    for act in ("apply", "invert"):
        with pytest.raises(ValueError, match="robust has seen no data; give it some with fit, or its spreads"):
            getattr(Standardization("robust"), act)(double(0))
        with pytest.raises(ValueError, match="the signal has 3 channels, but 2 were fitted"):
            getattr(Standardization(spreads=[Spread(0.0, 1.0)] * 2), act)(torch.zeros(3, 5))
    with pytest.raises(ValueError, match="the signal has 1 channels; there were 2 before"):
        Standardization(per_channel=True).fit(torch.zeros(2, 5)).fit(torch.zeros(1, 5))
    with pytest.raises(TypeError, match="a scaling needs real numbers"):
        standardize(torch.zeros(3, dtype=torch.bool))
    with pytest.raises(InputError, match="uint64 with values past"):
        standardize(torch.tensor([2**63], dtype=torch.uint64))
