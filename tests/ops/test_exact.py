"""What rounding leaves out, against integers and fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import torch
from hypothesis import example, given
from hypothesis import strategies as st

from convtool.ops.exact import difference, float_parts, product_of, square_root, sum_of

INT64 = st.integers(-(2**63), 2**63 - 1)
MODEST = st.floats(-1e100, 1e100).filter(lambda x: x == 0 or abs(x) > 1e-100)


def double(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


@given(st.lists(st.floats(0)))
@example([0.0, 5e-324, 1e-310, 2.0**-900, 1.7e308, math.inf, 2.0])
def test_square_roots_are_correctly_rounded(values: list[float]) -> None:
    """Python's own `math.sqrt` is, by IEEE 754."""
    assert square_root(double(*values)).tolist() == [math.sqrt(value) for value in values]


def test_square_roots_of_many_numbers() -> None:
    values = torch.rand(100_000, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 7
    made = square_root(values).tolist()
    assert made == [math.sqrt(value) for value in values.tolist()]
    assert square_root(double(-1.0, math.nan)).isnan().all()
    assert square_root(torch.ones(3, device="meta")).shape == (3,)  # elsewhere torch's own


def test_square_roots_have_the_gradient_of_torchs() -> None:
    values = double(0.3, 2.0, 1e-300).requires_grad_()
    (gradient,) = torch.autograd.grad(square_root(values).sum(), values)
    torch.testing.assert_close(gradient, 0.5 / values.detach().sqrt())


@given(MODEST, MODEST)
def test_sums_and_products_and_what_they_leave_out(a: float, b: float) -> None:
    for made, exact in (
        (sum_of(double(a), double(b)), Fraction(a) + Fraction(b)),
        (product_of(double(a), double(b)), Fraction(a) * Fraction(b)),
    ):
        rounded, rest = (float(part) for part in made)
        assert (rounded, Fraction(rounded) + Fraction(rest)) == (float(exact), exact)


@given(INT64, INT64)
@example(2**63 - 1, -(2**63))
@example(1700000000000000003, 1700000000000000001)
def test_integers_of_any_size(a: int, b: int) -> None:
    left, right = torch.tensor([a]), torch.tensor([b])
    assert float(difference(left, right)) == float(Fraction(a - b))
    rounded, rest = (float(part) for part in float_parts(left))
    assert (rounded, int(rounded) + int(rest)) == (float(a), a)
