"""Quartiles, exact, of numbers that may be too many to be sorted: those are counted in several passes.

The bits of a float64 number, those of a negative one turned over, are an integer that orders it among others. A pass
counts how many numbers have each value of the next few bits, among those whose bits so far are the ones of a number
that is sought, and so finds some more of its bits (selection by digits: D. E. Knuth, "The Art of Computer
Programming", volume 3, section 5.2.5). What is held are the counts, however many numbers there are.
"""

from __future__ import annotations

import struct
from fractions import Fraction
from math import ceil, floor

import torch
from torch import Tensor

from convtool.ops.exact import float_parts

_FEW = 1 << 20
"""Numbers that are kept, and sorted if there are no more."""
_DIGITS = (18, 12, 9)
"""Bits that a pass finds, by how many rows there are; two, three or four of them hold all that float32 has."""
_COUNTS = 1 << 22
"""Counts that may be held, of 8 bytes each, where the fewest bits do not need more."""
_ROUNDED = 1 << 10
"""An integer past 2^53 lies no further than this from the float64 next to it."""
_NARROW = (torch.float32, torch.float16, torch.bfloat16)
_UNUSED = 29
"""Bits of float64, the last ones, that are 0 in what comes from these."""
_ALL = (1 << 63) - 1


class Quartiles:
    """The quartiles of each row of what arrives in blocks ``(rows, samples)``, several times.

    Give every block to `add` and then ask `again`; where it is true, give the same numbers once more. Their order and
    the cuts between blocks change nothing. Up to a million numbers take one pass. More take two in float32 and four in
    float64; of 3 rows or more three and six, of 171 or more four and eight.

    Args:
        rows: their number.

    >>> quartiles = Quartiles(1)
    >>> more = True
    >>> while more:
    ...     for block in ([[8.0, 1.0, 4.0]], [[2.0]]):
    ...         quartiles.add(torch.tensor(block))
    ...     more = quartiles.again()
    >>> [float(number) for number in quartiles.found(0)]
    [1.75, 3.0, 5.0]
    """

    def __init__(self, rows: int) -> None:
        self._digit = next((bits for bits in _DIGITS[:-1] if 6 * rows << bits <= _COUNTS), _DIGITS[-1])
        self._open = 64  # bits of a number that are not known yet
        self._few: list[Tensor] | None = []
        self._narrow, self._rounded = True, False
        self._rows = [_Row() for _ in range(rows)]

    def add(self, block: Tensor) -> None:
        """Take in ``(rows, samples)`` of a floating dtype or int64; NaN and infinities are left out."""
        if self._few is None:
            self._count(block)
            return
        self._few.append(block.clone())
        if sum(each.numel() for each in self._few) > _FEW:
            few, self._few = self._few, None
            self._expect()
            for each in few:
                self._count(each)

    def _count(self, block: Tensor) -> None:
        self._narrow &= block.dtype in _NARROW
        for numbers, row in zip(block, self._rows, strict=True):
            keys, rest = _keys(numbers)
            self._rounded |= bool(rest.any())
            for prefix, counts in row.counts.items():
                if self._open == 64:
                    digits = (keys >> self._left) + (len(counts) >> 1)
                elif self._open:
                    digits = (keys[keys >> self._open == prefix] >> self._left) - (prefix << (self._open - self._left))
                else:
                    digits = rest[keys == prefix] + _ROUNDED
                counts += torch.bincount(digits, minlength=len(counts)).cpu()

    def again(self) -> bool:
        """Take in the end of a pass; whether all numbers are needed once more."""
        if self._few is not None:
            for number, row in enumerate(self._rows):
                keys, rest = map(torch.cat, zip(*(_keys(block[number]) for block in self._few), strict=True))
                row.sort(keys, rest)
            self._rounded = True
            return False
        for row in self._rows:
            row.end(self._open - self._left)
        ended, self._open = not self._open, self._left
        if self._narrow and self._open <= _UNUSED:
            for row in self._rows:
                row.fill(self._open)
            self._open = 0
        if ended or not (self._open or self._rounded) or not any(row.sought for row in self._rows):
            return False
        self._expect()
        return True

    def found(self, row: int) -> tuple[Fraction, ...]:
        """The numbers a quarter, a half and three quarters of the way up a row, once `again` was false.

        Between two of its numbers they lie in proportion (NumPy: ``linear``). Nothing of a row without numbers.
        """
        of = self._rows[row]
        numbers = {
            rank: Fraction(_number(key)) + (rest if self._rounded else 0) for rank, (key, rest) in of.sought.items()
        }
        places = _places(of.size)
        return tuple(
            numbers[floor(place)] + (numbers[ceil(place)] - numbers[floor(place)]) * (place % 1) for place in places
        )

    @property
    def _left(self) -> int:
        """Bits that are not known after this pass."""
        return max(0, self._open - self._digit)

    def _expect(self) -> None:
        for row in self._rows:
            row.expect(1 << (self._open - self._left) if self._open else 2 * _ROUNDED + 1)


class _Row:
    """The numbers that are sought of one row, and the counts of a pass that tell more of them.

    Attributes:
        begun: whether a pass has been made, which told the size.
        size: the numbers of the row.
        sought: by rank, the bits that are known of a number, and its rank among those that share them; once all bits
            are known, what the number differs by from the float64 that they make.
        counts: by bits that are known, how many numbers there are of each value of the next ones.
    """

    def __init__(self) -> None:
        self.begun, self.size = False, 0
        self.sought: dict[int, tuple[int, int]] = {}
        self.counts: dict[int, Tensor] = {}

    def sort(self, keys: Tensor, rest: Tensor) -> None:
        """Learn all at once."""
        order = rest.argsort()
        order = order[keys[order].argsort(stable=True)]
        self.size = len(order)
        for rank in _ranks(self.size):
            self.sought[rank] = int(keys[order[rank]]), int(rest[order[rank]])

    def expect(self, values: int) -> None:
        prefixes = {prefix for prefix, _ in self.sought.values()} if self.begun else {0}
        self.counts = {prefix: torch.zeros(values, dtype=torch.int64) for prefix in prefixes}

    def end(self, width: int) -> None:
        """Learn `width` bits more from the counts; with a `width` of 0, the difference from float64."""
        lowest = 0
        if not self.begun:
            self.begun, self.size, lowest = True, int(self.counts[0].sum()), -len(self.counts[0]) >> 1
            self.sought = {rank: (0, rank) for rank in _ranks(self.size)}
        sums = {prefix: counts.cumsum(0) for prefix, counts in self.counts.items()}
        for rank, (prefix, within) in self.sought.items():
            digit = int(torch.searchsorted(sums[prefix], within, right=True))
            before = int(sums[prefix][digit - 1]) if digit else 0
            known = ((prefix << width) + digit + lowest, within - before) if width else (prefix, digit - _ROUNDED)
            self.sought[rank] = known

    def fill(self, width: int) -> None:
        """Learn the last `width` bits, which are 0 in every number; in the keys of negative ones, 1."""
        ones = (1 << width) - 1
        self.sought = {
            rank: ((prefix << width) + (ones if prefix < 0 else 0), within)
            for rank, (prefix, within) in self.sought.items()
        }


def _places(size: int) -> list[Fraction]:
    """Where the quartiles of so many numbers lie among them, in order and counted from 0."""
    return [(size - 1) * Fraction(quarters, 4) for quarters in (1, 2, 3)] if size else []


def _ranks(size: int) -> set[int]:
    """Of the numbers that the quartiles lie between."""
    return {end(place) for place in _places(size) for end in (floor, ceil)}


def _keys(x: Tensor) -> tuple[Tensor, Tensor]:
    """Integers in the order of the finite numbers in `x`, and what those differ by from float64."""
    if x.is_floating_point():
        finite = x.isfinite()
        x = (x if bool(finite.all()) else x[finite]).double() + 0.0  # -0 is 0
        rest = x.new_zeros(1, dtype=torch.int64).expand_as(x)
    else:
        x, apart = float_parts(x)
        rest = apart.long()
    bits = x.view(torch.int64)
    return bits.bitwise_xor((bits >> 63).bitwise_and_(_ALL)), rest


def _number(key: int) -> float:
    """The number whose key this is."""
    bits = key ^ (_ALL if key < 0 else 0)
    number: float = struct.unpack("<d", struct.pack("<q", bits))[0]
    return number
