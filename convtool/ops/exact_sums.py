"""Sums and sums of squares that lose nothing, however many numbers there are and however far apart they lie.

A row of n numbers below 2^e is parted by adding and taking off 2^(e + m), with 2^m > n: what comes back are multiples
of 2^(e + m - 53), whose sum float64 holds exactly in any order, and what is left over is exact too, and smaller. It is
parted again until nothing is left.

Source: S. M. Rump, T. Ogita, S. Oishi, "Accurate floating-point summation, part I: faithful rounding", SIAM Journal on
Scientific Computing 31 (2008).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import torch
from torch import Tensor

from convtool.ops.exact import float_parts, product_of, square_of

_PIECE = 1 << 15
"""Numbers added up at a time: they stay in the cache."""
_LARGE, _SMALL, _SHIFT = 2.0**400, 2.0**-400, 600
"""Numbers beyond these have squares, or rounding errors of squares, outside float64: they are moved by 2^600 first."""


class ExactSums:
    """Count, sum and sum of squares of the numbers in each row of what arrives in blocks ``(rows, samples)``.

    The order of the numbers and the cuts between the blocks change nothing.

    Args:
        rows: their number.

    >>> sums = ExactSums(1)
    >>> for block in ([[1e16, 1.0]], [[-1e16, 2.0]]):
    ...     sums.add(torch.tensor(block, dtype=torch.float64))
    >>> sums.counts, sums.mean(0), sums.deviation(0)
    ([4], Fraction(3, 4), 7071067811865475.0)
    """

    def __init__(self, rows: int) -> None:
        self.counts = [0] * rows
        self._sums = [Fraction(0)] * rows
        self._squares = [Fraction(0)] * rows

    def add(self, block: Tensor) -> None:
        """Take in ``(rows, samples)`` of a floating dtype or int64; NaN and infinities are left out."""
        if block.is_floating_point():
            finite = block.isfinite()
            counts = finite.sum(1).tolist()
            block = block if sum(counts) == block.numel() else torch.where(finite, block, 0)
        else:
            counts = [block.shape[1]] * len(block)
        self.counts = [known + new for known, new in zip(self.counts, counts, strict=True)]
        for piece in torch.split(block, max(64, _PIECE // max(1, len(block))), 1):
            if not piece.numel():
                continue
            if piece.dtype == torch.float64:
                self._add_floats(piece)
            elif piece.is_floating_point():  # their squares have 48 bits, and float64 more
                self._add_parts(piece.double(), [piece.double().square_()])
            else:
                self._add_integers(piece)

    def mean(self, row: int) -> Fraction:
        """Of a row that holds numbers."""
        return self._sums[row] / self.counts[row]

    def deviation(self, row: int) -> float:
        """The standard deviation (``ddof=0``) of a row that holds numbers, correctly rounded."""
        return root(self._squares[row] / self.counts[row] - self.mean(row) ** 2)

    def _add_floats(self, x: Tensor) -> None:
        size = x.abs()
        least, largest = (end.item() for end in size.aminmax())
        if largest > _LARGE or least < _SMALL:
            for chosen, shift in ((size > _LARGE, -_SHIFT), ((size > 0) & (size < _SMALL), _SHIFT)):
                if bool(chosen.any()):
                    moved = torch.where(chosen, x, 0) * 2.0**shift
                    self._add_parts(moved, square_of(moved), shift)
                    x = torch.where(chosen, 0, x)
        self._add_parts(x, square_of(x))

    def _add_integers(self, x: Tensor) -> None:
        rounded, rest = float_parts(x)
        squares = (*square_of(rounded), *product_of(2 * rounded, rest), *square_of(rest))
        self._add_parts(rounded, squares)
        _add(self._sums, rest)

    def _add_parts(self, x: Tensor, squares: Sequence[Tensor], shift: int = 0) -> None:
        """Add numbers and the parts of their squares, which 2^`shift` has brought to `x`."""
        _add(self._sums, x, -shift)
        for part in squares:
            _add(self._squares, part, -2 * shift)


def root(x: Fraction) -> float:
    """The square root of a number of at least 0, correctly rounded.

    >>> root(Fraction(2)), root(Fraction(1, 10**600))
    (1.4142135623730951, 1e-300)
    """
    if not x:
        return 0.0
    # As an integer of 64 bits or more, odd where digits are cut off, so that rounding it is rounding the root.
    places = max(0, 130 - (x.numerator.bit_length() - x.denominator.bit_length())) // 2 + 1
    scaled, over = divmod(x.numerator << (2 * places), x.denominator)
    whole = math.isqrt(scaled)
    return float(Fraction(2 * whole + (over > 0 or whole * whole < scaled), 2 << places))


def _add(totals: list[Fraction], x: Tensor, shift: int = 0) -> None:
    """Add the rows of `x`, finite numbers of float64, times 2^`shift`, to `totals`."""
    room = x.shape[1].bit_length() + 1
    unit = Fraction(2) ** shift
    while largest := max(map(abs, (end.item() for end in x.aminmax()))):
        sigma = math.ldexp(1.0, math.frexp(largest)[1] + room)
        part = (x + sigma).sub_(sigma)
        for row, found in enumerate(part.sum(1).tolist()):
            if found:
                totals[row] += unit * Fraction(found)
        x = x - part
