"""Many decimals at once: the same bits as float() gives one by one, or left to be looked at."""

from __future__ import annotations

import random
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convtool.signals.text.decimals import PADDING, Numbers, parse


def parsed(cells: list[str], decimal: str = ".") -> Numbers:
    text = np.frombuffer(b"0" * PADDING + ",".join(cells).encode() + b",", np.uint8)
    ends = np.flatnonzero(text == ord(",")) if decimal == "." else np.flatnonzero(text == ord(";"))
    starts = np.concatenate([[PADDING], ends[:-1] + 1])
    return parse(text, starts, ends, decimal=decimal)


def assert_as_float(cells: list[str], *, hard: float = 0.0) -> None:
    """Every cell that is not left has the bits of float(); at most a share `hard` is left."""
    numbers = parsed(cells)
    expected = np.array([float(cell.lower().replace("d", "e")) for cell in cells])
    done = ~numbers.hard
    np.testing.assert_array_equal(numbers.values[done].view(np.int64), expected[done].view(np.int64))
    assert numbers.hard.mean() <= hard


@pytest.mark.parametrize(
    "cells",
    [
        ["0", "-0", "+1", "1.", ".5", "-.25", "0.0", "00012", "1e5", "1E-5", "1d+3", "2.5D-01", "-0.0"],
        ["1", "2", "30"],
        ["1.5", "2.25", "-3.125"],
        ["9007199254740993", "9223372036854775807", "1234567890123456789"],
        ["9007199254740995.25", "0.1234567890123456789", "1700000000.123456"],
        ["1e22", "1e-22", "123456789012345678e-5", "1.7976931348623157e307", "2.2250738585072019e-307"],
        ["0.000000000000000012345", "0.00000000000000000000123"],
        ["1.0", "1e3", "5"],
    ],
)
def test_the_bits_of_float(cells: list[str]) -> None:
    assert_as_float(cells)


@pytest.mark.parametrize(
    "cell",
    [
        "",
        "+",
        "-",
        ".",
        "e5",
        "1e",
        "1e+",
        "1.2.3",
        "1e5e5",
        "--1",
        "0x10",
        "1_0",
        "nan",
        "inf",
        "1 2",
        "1e12345",
        "½",
        "9" * 20,
        "9" * 30,
        "0." + "9" * 20,
        "1" * 17 + ".5",
        "9223372036854775808",
        "1e400",
        "1e-400",
        "1e309",
        "4e-324",
        "123456789.12345678901",
        "1e-330",
        "9007199254740993e-30000",
    ],
)
def test_what_is_left_to_be_looked_at(cell: str) -> None:
    numbers = parsed(["1.5", cell, "2e1"])
    assert numbers.hard.tolist() == [False, True, False]
    assert numbers.values[[0, 2]].tolist() == [1.5, 20]


def test_halves_between_two_floats_are_left() -> None:
    numbers = parsed(["9007199254740993", "9007199254740993e0", "900719925474099300e-2"])
    assert numbers.values[~numbers.hard].tolist() == [2.0**53] * int((~numbers.hard).sum())


def test_which_cells_are_integers() -> None:
    numbers = parsed(["12", "-12", "1.0", "1e0", "9223372036854775807", "x"])
    assert numbers.whole.tolist() == [True, True, False, False, True, False]
    assert numbers.integers[numbers.whole].tolist() == [12, -12, 2**63 - 1]


def test_decimal_commas() -> None:
    text = np.frombuffer(b"0" * PADDING + b"1,5;-0,25;1.5;", np.uint8)
    ends = np.flatnonzero(text == ord(";"))
    numbers = parse(text, np.concatenate([[PADDING], ends[:-1] + 1]), ends, decimal=",")
    assert numbers.values[:2].tolist() == [1.5, -0.25]
    assert numbers.hard.tolist() == [False, False, True]


def test_no_cell_at_all() -> None:
    text = np.frombuffer(b"0" * PADDING, np.uint8)
    assert parse(text, np.empty(0, np.int64), np.empty(0, np.int64)).values.tolist() == []


@pytest.mark.parametrize(
    "few", [["7"], ["12.5"], ["x.5"], ["1e3"], ["5."], ["1.0000000000000000005"], ["0.00000000000000000005"]]
)
def test_the_few_cells_that_are_not_like_the_others(few: list[str]) -> None:
    cells = ["1.25", "-0.123456789012345678"] * 400 + few
    numbers = parsed(cells)
    done = ~numbers.hard
    assert done[:-1].all()
    expected = np.array([float(cell) for cell, is_done in zip(cells, done, strict=True) if is_done])
    np.testing.assert_array_equal(numbers.values[done].view(np.int64), expected.view(np.int64))


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=50))
def test_what_python_writes(numbers: list[float]) -> None:
    assert_as_float([repr(number) for number in numbers], hard=1.0)


@given(st.lists(st.from_regex(r"\A[+-]?[0-9]{1,17}\.[0-9]{1,17}([eE][+-]?[0-9]{1,3})?\Z"), min_size=1, max_size=30))
def test_any_digits(cells: list[str]) -> None:
    with np.errstate(over="ignore"):
        assert_as_float(cells, hard=1.0)


def test_random_bits_are_hardly_ever_left() -> None:
    bits = random.Random(1)
    numbers = [struct.unpack("<d", struct.pack("<Q", bits.getrandbits(64)))[0] for _ in range(20_000)]
    ordinary = [number for number in numbers if 1e-300 < abs(number) < 1e300]
    assert_as_float([repr(number) for number in ordinary], hard=0.01)
    assert_as_float([f"{number:.17e}" for number in ordinary], hard=0.01)
    assert_as_float([f"{bits.random():.18f}" for _ in range(20_000)], hard=0.01)
