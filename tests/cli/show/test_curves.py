"""Curves of text: where their dots lie, and what their ends say."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from convtool.cli.show.curves import DEPTH, terminal_curve

INF, NAN = math.inf, math.nan


def drawn(magnitude: Sequence[float], width: int = 40, height: int = 8, ascii: bool = True) -> list[str]:
    """The curve of magnitudes at equal steps up to 8 kHz."""
    frequency = np.linspace(0, 8000, len(magnitude)).tolist()
    return terminal_curve(frequency, magnitude, width=width, height=height, ascii=ascii)


def dots(lines: list[str]) -> np.ndarray:
    """True where a dot is, of the curve's rows: 4 x 2 a character for Braille, as Unicode numbers them."""
    bar = "│" if "│" in lines[0] else "|"
    margin = lines[0].index(bar) + 1
    width = max(map(len, lines)) - margin
    rows = [line[margin:].ljust(width) for line in lines[:-1]]
    if bar == "|":
        return np.array([[character == "*" for character in row] for row in rows])
    numbered = [[1, 4], [2, 5], [3, 6], [7, 8]]  # Braille dot n is bit n - 1
    bits = [[0 if c == " " else ord(c) - 0x2800 for c in row] for row in rows]
    return np.block([[np.array([[b >> (n - 1) & 1 for n in line] for line in numbered]) for b in row] for row in bits])


@pytest.mark.parametrize("ascii", [True, False])
@pytest.mark.parametrize("points", [2, 3, 33, 513])
def test_a_slope_goes_from_corner_to_corner(points: int, ascii: bool) -> None:
    found = dots(drawn(np.linspace(0, -70, points).tolist(), ascii=ascii))
    assert found.shape == ((7, 32) if ascii else (28, 64))
    assert found.any(0).all()
    assert found.any(1).all()
    assert found[0, 0]
    assert found[-1, -1]
    rows, columns = np.nonzero(found)
    ideal = columns / (found.shape[1] - 1) * (found.shape[0] - 1)
    assert abs(rows - ideal).max() <= 1


@pytest.mark.parametrize("ascii", [True, False])
@pytest.mark.parametrize("notch", [-30, -INF, -1e9])
def test_no_notch_is_lost(notch: float, ascii: bool) -> None:
    magnitude = [0.0] * 1001
    magnitude[333] = notch
    magnitude[10] = -30
    found = dots(drawn(magnitude, ascii=ascii))
    low = np.flatnonzero(found[-1])
    assert round(333 / 1000 * found.shape[1]) in [*low, *low + 1]
    assert found[0].all()


def test_each_line_is_as_wide_as_asked_and_ends_are_told() -> None:
    lines = drawn([3.2, -10.7, -20.1], width=50, height=5)
    assert len(lines) == 5
    assert max(map(len, lines)) == len(lines[-1]) == 50
    assert [line.split("|")[0].strip() for line in lines[:-1]] == ["4 dB", "", "", "-21 dB"]
    assert lines[-1].split() == ["0", "Hz", "8", "kHz"]
    assert lines[-1].index("0 Hz") == lines[0].index("|") + 1
    assert all(ord(character) < 128 for line in lines for character in line)


@pytest.mark.parametrize(
    ("last", "unit", "told"),
    [(500, "Hz", "500 Hz"), (22050, "Hz", "22.05 kHz"), (0.5, "cycles/sample", "0.5 cycles/sample")],
)
def test_units(last: float, unit: str, told: str) -> None:
    lines = terminal_curve([0, last], [0, -10], width=60, height=3, unit=unit)  # type: ignore[arg-type]
    assert lines[-1].endswith(f" {told}")
    assert lines[-1].lstrip().startswith("0 Hz " if unit == "Hz" else "0 cycles/sample ")


@pytest.mark.parametrize(
    ("magnitude", "top", "bottom"),
    [
        ([0.0, 1e-15], 3, -3),
        ([-40.5], -38, -44),
        ([0, -INF], 3, -3),
        ([0, -79.5], 0, -80),
        ([0, -300], 0, -DEPTH),
        ([1e4, 0], 10000, 10000 - DEPTH),
        ([20.1, 12], 21, 12),
    ],
)
def test_the_limits_are_whole_and_sensible(magnitude: list[float], top: int, bottom: int) -> None:
    lines = drawn(magnitude, height=4)
    assert lines[0].startswith(f"{top} dB |".rjust(lines[0].index("|") + 1))
    assert lines[2].split("|")[0].split() == [str(bottom), "dB"]


def test_a_flat_response_is_one_line() -> None:
    found = dots(drawn([0.0] * 100, height=8))
    assert (np.flatnonzero(found.any(1)) == [3]).all()
    assert found[3].all()


def test_nan_leaves_a_gap() -> None:
    magnitude = np.linspace(0, -20, 31)
    magnitude[10:20] = NAN
    found = dots(drawn(magnitude.tolist(), width=39)).any(0)
    assert found.tolist() == [True] * 10 + [False] * 10 + [True] * 11


def test_nothing_finite_says_so() -> None:
    assert drawn([-INF] * 9) == ["silent: -inf dB at every frequency"]
    assert drawn([NAN] * 9) == ["no response: not finite at any frequency"]
    assert drawn([INF]) == ["no response: not finite at any frequency"]


def test_an_infinite_peak_is_on_the_top_row() -> None:
    found = dots(drawn([0, 0, INF, 0, -20]))
    assert found[0, found.shape[1] // 2]


def test_misuse() -> None:
    for frequency, magnitude in (([], []), ([0, 1], [0])):
        with pytest.raises(ValueError, match="there is one for each"):
            terminal_curve(frequency, magnitude, width=60, height=9)
    with pytest.raises(ValueError, match="22 x 2 characters are too few for a curve; it needs 18 x 3"):
        drawn([0, -10], width=22, height=2)
    with pytest.raises(ValueError, match=r"17 x 3 .* it needs 18 x 3"):
        drawn([0, -10], width=17, height=3)
    assert len(drawn([0, -10], width=18, height=3)) == 3
