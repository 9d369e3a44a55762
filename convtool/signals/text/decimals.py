"""Decimal numbers in bytes to float64, correctly rounded, many at once.

The digits of all cells are added up eight to a machine word. Over a power of ten that float64 holds, up to 10**22, the
quotient is put right by its exact remainder (T. J. Dekker, "A floating-point technique for extending the available
precision", Numerische Mathematik 18, 1971); any other power takes the method of Eisel and Lemire: 64 bits of it give
the 54 bits that decide, except about one time in 1000, which is told by the product itself.
(D. Lemire, "Number parsing at a gigabyte per second", Software: Practice and Experience 51, 2021.)

What is no plain number, or stays undecided, is left to the caller cell by cell. In Python alone `float()` takes
four times as long.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Places = NDArray[np.int64]
Words = NDArray[np.uint64]
Flags = NDArray[np.bool_]

PADDING = 24
"""Bytes that must stand before the first cell: as many as are read of one cell, from its end backwards."""

_U = np.uint64
_ONES = 0x0101010101010101
_ZERO = _U(ord("0") * _ONES)
_NINE = _U(0x76 * _ONES)
_HIGH = _U(0x80 * _ONES)
_LOW_32 = _U(0xFFFFFFFF)
_PAIRS = _U(0x000000FF000000FF)
_MASKS = np.array([[((1 << 64) - 1) & ~((1 << 8 * max(0, 8 - max(0, n - at))) - 1) for n in range(PADDING + 1)]
                   for at in (8, 0)], dtype=np.uint64)  # fmt: skip
"""For a cell of n digits, which bytes of its last two words are its own."""
_TENS = np.array([10**k if k < 20 else 0 for k in range(PADDING + 1)], dtype=np.uint64)
_EXACT = np.array([float(10**k) for k in range(23)])
_ROOM = 10
"""Bits that a remainder has below the place of a last digit: a word has room for them and for 5**22."""
_FIVES = np.array([5**k << _ROOM for k in range(23)], dtype=np.uint64)
_FRACTION = _U((1 << 52) - 1)
_HIDDEN = _U(1 << 52)
_EXACT_FIVE = 27
"""The largest power of five that 64 bits hold."""
_FEW = 9
"""One cell in 2**9 may be looked at alone before all are looked at in the way that suits it."""
_LEAST, _MOST = -342, 308
"""Powers of ten beyond which 19 digits are zero or infinite."""


class Numbers(NamedTuple):
    """What cells hold: `values` in float64 and, where `whole`, `integers` exactly; nothing where `hard`."""

    values: NDArray[np.float64]
    integers: NDArray[np.int64]
    whole: Flags
    """Cells of digits alone that int64 holds."""
    hard: Flags
    """Cells to be looked at one by one."""


def parse(text: Bytes, starts: Places, ends: Places, *, decimal: str = ".") -> Numbers:
    """The numbers in the cells ``text[starts:ends]``, which lie in order and do not touch."""
    first = text[starts]
    negative = first == ord("-")
    starts = starts + (negative | (first == ord("+")))
    hard = np.zeros(len(starts), np.bool_)
    powers, marks = _exponents(text, starts, ends, hard)
    whole_cells = None
    if decimal.encode() not in text.tobytes():
        length = marks - starts
        hard |= (length < 1) | (length > PADDING)
        mantissa, scale = _digits(text, marks, np.clip(length, 0, PADDING), hard), None
        whole_cells = marks == ends
    elif (points := _second(text, starts, marks, ord(decimal), hard)) is not None:
        mantissa, scale = _behind_one_digit(text, starts, points, marks, hard)
    else:
        points = _within(np.flatnonzero(text == ord(decimal)), starts, marks)[0]
        mantissa, scale = _around(text, starts, points, marks, hard)
        whole_cells = (points < 0) & (marks == ends)
    if scale is not None:
        powers = -scale if powers is None else powers - scale
    values = mantissa.astype(np.float64) if powers is None else _scaled(mantissa, powers, hard)
    bits = values.view(np.uint64)
    bits |= negative.astype(np.uint64) << _U(63)
    integers = mantissa.view(np.int64)
    if whole_cells is None:
        return Numbers(values, integers, np.zeros(len(starts), np.bool_), hard)
    if whole_cells.any():
        hard |= whole_cells & (integers < 0)  # past int64, or its least number
        whole_cells &= ~hard
        np.negative(integers, out=integers, where=negative)
    return Numbers(values, integers, whole_cells, hard)


def _second(text: Bytes, starts: Places, ends: Places, mark: int, hard: Flags) -> Places | None:
    """Where each cell has its decimal mark behind one digit, as most numbers have; None where too many have not.

    The few that have not are added to `hard`.
    """
    points = starts + 1
    fits = (text.take(points, mode="clip") == mark) & (points < ends)
    misses = len(fits) - np.count_nonzero(fits)
    if misses > len(fits) >> _FEW:
        return None
    if misses:
        np.logical_not(fits, out=fits)
        hard |= fits
    return points


def _behind_one_digit(text: Bytes, starts: Places, points: Places, marks: Places, hard: Flags) -> tuple[Words, Places]:
    """The digits of cells with one before the decimal mark, and how many are behind it."""
    right = marks - points
    right -= 1
    long = right.max(initial=0) > 18
    if long or right.min(initial=0) < 0:
        hard |= (right < 0) | (right > PADDING)
        np.clip(right, 0, PADDING, out=right)
    mantissa = _digits(text, marks, right, hard)
    first = text[starts] ^ np.uint8(ord("0"))
    hard |= first > 9
    if long:
        hard |= (right > 18) & (first > 0)
    mantissa += _TENS[right] * first.astype(np.uint64)
    return mantissa, right


def _around(text: Bytes, starts: Places, points: Places, marks: Places, hard: Flags) -> tuple[Words, Places]:
    """The digits of cells that have a first decimal mark at `points`, or -1 for none, and how many are behind it.

    What stands behind a first mark is no digit, if it is another.
    """
    pointed = points >= 0
    left = np.where(pointed, points - starts, 0)
    right = np.where(pointed, marks - points - 1, marks - starts)
    size = left + right
    hard |= (size < 1) | (left > 16) | (right > PADDING)
    np.clip(left, 0, 16, out=left)
    np.clip(right, 0, PADDING, out=right)
    mantissa = _digits(text, marks, right, hard)
    whole = _digits(text, np.where(pointed, points, PADDING), left, hard)
    hard |= (size > 19) & (whole != 0)
    whole *= _TENS[right]
    mantissa += whole
    return mantissa, np.where(pointed, right, 0)


def _within(positions: Places, starts: Places, ends: Places) -> tuple[Places, Flags]:
    """For each cell the one of `positions` that lies in it, or -1; and which cells hold several."""
    found = np.full(len(starts), -1)
    several = np.zeros(len(starts), np.bool_)
    if len(positions) == len(starts) and ((positions >= starts) & (positions < ends)).all():
        return positions, several
    cells = np.searchsorted(ends, positions, side="right")
    inside = cells < len(starts)
    cells, positions = cells[inside], positions[inside]
    inside = positions >= starts[cells]
    cells, positions = cells[inside], positions[inside]
    found[cells] = positions
    several[cells[1:][cells[1:] == cells[:-1]]] = True
    return found, several


def _exponents(text: Bytes, starts: Places, ends: Places, hard: Flags) -> tuple[Places | None, Places]:
    """The exponents of the cells, None where there are none, and where the mantissas end.

    What is no plain exponent is added to `hard`.
    """
    if text.max() < ord("D"):
        return None, ends
    letters = [np.flatnonzero(text == letter) for letter in b"eEdD"]
    marks, several = _within(np.sort(np.concatenate(letters)), starts, ends)
    cells = np.flatnonzero(marks >= 0)
    marks, last = marks[cells], ends[cells]
    sign = text[marks + 1]
    negative = sign == ord("-")
    length = last - marks - 1 - (negative | (sign == ord("+")))
    bad = np.zeros(len(cells), np.uint64)
    exponent = _eight(_words(text, last, 8)[:, 0], _MASKS[1][np.clip(length, 0, 4)], bad)
    hard |= several
    hard[cells] |= (bad & _HIGH != 0) | (length < 1) | (length > 4)
    exponents, until = np.zeros(len(ends), np.int64), ends.copy()
    exponents[cells] = np.where(negative, -exponent.view(np.int64), exponent.view(np.int64))
    until[cells] = marks
    return exponents, until


def _words(text: Bytes, ends: Places, size: int) -> Words:
    """The `size` bytes before each of `ends`, as words ``(cells, size / 8)``."""
    pieces = np.ndarray((len(text) - size + 1,), f"V{size}", text.data, strides=(1,))
    return pieces[ends - size].view("<u8").reshape(len(ends), size // 8)


def _eight(word: Words, mask: Words | None, bad: Words) -> Words:
    """The number that the bytes under `mask` spell, the last byte the last digit.

    Where they are no digits, a high bit of a byte of `bad` is set.
    """
    x = word ^ _ZERO
    if mask is not None:
        x &= mask
    over = x + _NINE
    over |= x
    bad |= over
    pairs = x >> _U(8)
    x *= _U(10)
    x += pairs
    np.right_shift(x, _U(16), out=pairs)
    pairs &= _PAIRS
    pairs *= _U(0x0000271000000001)
    x &= _PAIRS
    x *= _U(0x000F424000000064)
    x += pairs
    x >>= _U(32)
    return x


def _digits(text: Bytes, ends: Places, lengths: Places, hard: Flags) -> Words:
    """The numbers of `lengths` digits before `ends`; what are no digits, or past 19 of them, is added to `hard`."""
    shortest, longest = int(lengths.min(initial=PADDING)), int(lengths.max(initial=0))
    if longest <= 1:
        digit = text[ends - 1] ^ np.uint8(ord("0"))
        digit *= lengths > 0
        hard |= digit > 9
        return digit.astype(np.uint64)
    words = _words(text, ends, 8 if longest <= 8 else 16)
    bad = np.zeros(len(ends), np.uint64)
    total = _eight(words[:, -1], None if shortest >= 8 else _MASKS[1][lengths], bad)
    if longest > 8:
        value = _eight(words[:, -2], None if shortest >= 16 else _MASKS[0][lengths], bad)
        value *= _U(10**8)
        total += value
    if longest > 16:
        cells = np.flatnonzero(lengths > 16)
        part = np.zeros(len(cells), np.uint64)
        value = _eight(_words(text, ends[cells] - 16, 8)[:, 0], _MASKS[1][lengths[cells] - 16], part)
        hard[cells] |= value > _U(999)
        value *= _U(10**16)
        total[cells] += value
        bad[cells] |= part
    bad &= _HIGH
    hard |= bad != 0
    return total


def _scaled(mantissa: Words, powers: Places, hard: Flags) -> NDArray[np.float64]:
    """``mantissa * 10**powers``, correctly rounded; what stays undecided is added to `hard`."""
    divided = (powers >= -22) & (powers <= 0)
    if divided.all():
        values, undecided = _divided(mantissa, -powers)
        hard |= undecided
        return values
    values = mantissa.astype(np.float64)
    cells = np.flatnonzero(divided)
    values[cells], undecided = _divided(mantissa[cells], -powers[cells])
    hard[cells] |= undecided
    cells = np.flatnonzero(~divided & (mantissa != 0) & ~hard)
    values[cells], hard[cells] = _eisel_lemire(mantissa[cells], powers[cells])
    return values


def _divided(mantissa: Words, zeros: Places) -> tuple[NDArray[np.float64], Flags]:
    """Rounded ``mantissa / 10**zeros``, which float64 holds exactly up to 22 zeros, and where that is undecided."""
    values: NDArray[np.float64] = mantissa.astype(np.float64)
    values /= _EXACT[zeros]
    if mantissa.max(initial=0) <= _U(1 << 53):  # which float64 holds
        return values, np.zeros(len(values), np.bool_)
    # The quotient is `significand * 2**(power - 1075)`, and off by at most 1.5 units of its last place. The remainder,
    # times a power of two, is `mantissa * 2**shift - significand * 5**zeros * 2**_ROOM`: past 64 bits both, but not
    # their difference. Where that is more than half of `5**zeros * 2**_ROOM`, the next number is the nearest; just
    # the half is left undecided.
    bits = values.view(np.uint64)
    shift = 1075 + _ROOM - zeros
    shift -= (bits >> _U(52)).view(np.int64)
    significand = bits & _FRACTION
    lowest = significand == 0  # of its binade: below it the units are halves
    significand |= _HIDDEN
    five = _FIVES[zeros]
    remainder = mantissa << shift.view(np.uint64)
    significand *= five
    remainder -= significand
    twice = remainder.view(np.int64)
    twice *= 2
    limit = five.view(np.int64)
    rounded = (mantissa > _U(1 << 53)) & (zeros > 0)
    undecided = rounded & ((lowest & (twice < 0)) | (np.abs(twice) == limit))
    above, below = twice > limit, twice < -limit
    above &= rounded
    below &= rounded
    bits += above.astype(np.uint64)
    bits -= below.astype(np.uint64)
    return values, undecided


@lru_cache(maxsize=1)
def _powers_of_five() -> Words:
    """The leading 64 bits of 5**q for q from `_LEAST` to `_MOST`, the first of them set, rounded up."""
    table = []
    for q in range(_LEAST, _MOST + 1):
        power = 5 ** abs(q)
        number = (1 << (2 * power.bit_length() + 128)) // power if q < 0 else power << 64
        leading = number >> (number.bit_length() - 64)
        table.append(leading + (not 0 <= q <= _EXACT_FIVE))
    return np.array(table, dtype=np.uint64)


def _eisel_lemire(mantissa: Words, powers: Places) -> tuple[NDArray[np.float64], Flags]:
    """Rounded ``mantissa * 10**powers``, and where that is undecided; mantissas are not 0."""
    undecided = (powers < _LEAST) | (powers > _MOST)
    q = np.clip(powers, _LEAST, _MOST)
    zeros = _U(63) - ((mantissa.astype(np.float64).view(np.uint64) >> _U(52)) - _U(1023))
    w = mantissa << zeros
    short = (w >> _U(63)) ^ _U(1)  # the conversion to float64 had rounded up to the next power of two
    w <<= short
    zeros += short
    # The table is rounded up to 64 bits, so the true product is at most what is found here, and by less than one unit
    # of `high`. The 54 bits kept decide, the last of them a half: it matters only where the bits after a half are all
    # zeros (a tie, or just below it). Where they are all zeros after no half, a product below rounds up to the same.
    high = _high_product(w, _powers_of_five()[q - _LEAST])
    upper = high >> _U(63)
    rest = high & ((_U(1 << 9) << upper) - _U(1))
    rounded = high >> (upper + _U(9))
    undecided |= (rest == 0) & ((rounded & _U(1)) != 0)
    exponent = ((217706 * q) >> 16) + 63 + 1023 + upper.view(np.int64) - zeros.view(np.int64)
    rounded = (rounded + (rounded & _U(1))) >> _U(1)
    undecided |= (exponent < 1) | (exponent > 2044)
    bits = rounded + (np.clip(exponent - 1, 0, 2045).view(np.uint64) << _U(52))  # the leading one adds to the exponent
    return bits.view(np.float64), undecided


def _high_product(a: Words, b: Words) -> Words:
    """The upper 64 bits of the 128-bit products."""
    a1, a0, b1, b0 = a >> _U(32), a & _LOW_32, b >> _U(32), b & _LOW_32
    middle = a1 * b0 + ((a0 * b0) >> _U(32))
    other = a0 * b1 + (middle & _LOW_32)
    high: Words = a1 * b1 + (middle >> _U(32)) + (other >> _U(32))
    return high
