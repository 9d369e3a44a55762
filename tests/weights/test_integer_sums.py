"""Sums of integers against Python's own, which have no limit."""

from __future__ import annotations

from decimal import Context, Decimal

import numpy as np
import pytest

from convtool.weights.integer_sums import integer_sums, mean_and_std

RANDOM = np.random.default_rng(5)
LIMITS = {
    dtype: (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)) for dtype in ("int64", "uint64", "int32", "uint8")
}
RANGES = {
    "all of int64": ("int64", *LIMITS["int64"]),
    "all of uint64": ("uint64", *LIMITS["uint64"]),
    "all of int32": ("int32", *LIMITS["int32"]),
    "all of uint8": ("uint8", *LIMITS["uint8"]),
    "the greatest": ("uint64", 2**64 - 3, 2**64 - 1),
    "the least": ("int64", -(2**63), 2 - 2**63),
    "past 2^53": ("int64", 2**60, 2**60 + 9),
    "the last of one digit": ("int64", 1 - 2**21, 2**21 - 1),
    "the first of two": ("int64", -(2**21), 2**21),
    "one value": ("int64", 2**62, 2**62),
}


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize("size", [1, 255, 256, 257, 1023, 1025, (1 << 16) + 1])
def test_sums_are_exact(name: str, size: int) -> None:
    dtype, low, high = RANGES[name]
    values = RANDOM.integers(low, high, size, dtype=dtype, endpoint=True)
    values[-1], values[0] = low, high
    numbers = values.tolist()
    made = integer_sums(values, min(numbers), max(numbers), doubles=np.empty(size), ones=np.ones(1024))
    assert made == (size, sum(numbers), sum(number * number for number in numbers))


@pytest.mark.parametrize("value", [2**21 - 1, 2**22, 2**64 - 1])
def test_nothing_overflows_in_the_longest_block_of_the_largest(value: int) -> None:
    values = np.full(1 << 19, value, np.uint64)
    values[0] = 0
    made = integer_sums(values, 0, value, doubles=np.empty(1 << 19), ones=np.ones(1024))
    assert made == (1 << 19, value * ((1 << 19) - 1), value * value * ((1 << 19) - 1))


@pytest.mark.parametrize(
    "numbers", [[1, 2], [0, 0, 1], [2**60, 2**60 + 1, 2**60 + 1], [-(2**63), 2**63 - 1], [7] * 9, [10**18, 3]]
)
def test_mean_and_std_are_rounded_once(numbers: list[int]) -> None:
    count, total, squares = len(numbers), sum(numbers), sum(number * number for number in numbers)
    exact = Context(prec=80)
    root = exact.divide(exact.sqrt(Decimal(count * squares - total * total)), Decimal(count))
    assert mean_and_std(count, total, squares) == (total / count, float(root))
