"""Sums of integers and of their squares without any rounding, by products of float64, which NumPy is fast with."""

from __future__ import annotations

import math
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Doubles = NDArray[np.float64]

_DIGIT_BLOCK, _DIGIT_ROW = 1 << 16, 256
"""Integers worked and summed at once that are cut into digits: 64 bits are 3 digits of as many as such a row allows."""

_DOUBLE_BITS = 53
"""Integers up to 2 to this power float64 holds."""


def integer_sums(values: NDArray[Any], low: int, high: int, *, doubles: Doubles, ones: Doubles) -> tuple[int, int, int]:
    """How many integers there are, their sum and the sum of their squares.

    Of small numbers float64 holds the sums of a row. Of others the distances from the least, u = sum_i d_i b^i, are cut
    into digits d_i that are as small; the sum of u^2 is that of all b^(i + j) d_i d_j.

    Args:
        values: ``(N,)``, of any type of integers of up to 64 bits, N from 1 to 2^19.
        low: the least of them.
        high: the greatest.
        doubles: ``(N,)`` or longer, room that is written over.
        ones: ``(1024,)`` ones, a row.

    >>> import numpy as np
    >>> integer_sums(np.array([1, 2, 2**40]), 1, 2**40, doubles=np.empty(3), ones=np.ones(1024))
    (3, 1099511627779, 1208925819614629174706181)
    """
    import numpy as np

    count = len(values)
    if max(abs(low), abs(high)) < 1 << _exact_bits(ones):
        np.copyto(doubles[:count], values)
        return count, _exact_dot(doubles[:count], None, ones), _exact_dot(doubles[:count], doubles[:count], ones)
    total = squares = 0
    row = ones[:_DIGIT_ROW]
    bits = _exact_bits(row)
    places = range(0, (high - low).bit_length() or 1, bits)
    for start in range(0, count, _DIGIT_BLOCK):
        block = values[start : start + _DIGIT_BLOCK].astype(np.uint64)
        block -= np.uint64(low % (1 << 64))
        digits = {place: ((block >> place) & ((1 << bits) - 1)).astype(np.float64) for place in places}
        total += sum(_exact_dot(digits[place], None, row) << place for place in places)
        for one, other in combinations_with_replacement(places, 2):
            product = _exact_dot(digits[one], digits[other], row) << one + other
            squares += product if one == other else 2 * product
    return count, total + count * low, squares + 2 * low * total + count * low * low


def mean_and_std(count: int, total: int, squares: int) -> tuple[float, float]:
    """Mean and standard deviation, ddof 0, of that many integers of these sums; each rounded once.

    >>> mean_and_std(2, 2**60 + 2**60 + 2, 2**120 + (2**60 + 2) ** 2)
    (1.152921504606847e+18, 1.0)
    """
    square = count * squares - total * total
    return total / count, math.isqrt(square << 2 * _DOUBLE_BITS) / (count << _DOUBLE_BITS)


def dot(values: Doubles, others: Doubles | None, ones: Doubles) -> tuple[Doubles, float]:
    """The sums of `values` times `others`, or of `values` alone: of each row as long as `ones`, and of what is left.

    Args:
        values: ``(N,)``.
        others: ``(N,)``.
        ones: ``(R,)``; the sums are ``(N // R,)``.
    """
    import numpy as np

    whole = len(values) - len(values) % len(ones)
    rows, tail = values[:whole].reshape(-1, len(ones)), values[whole:]
    beside, last = ones, ones[: len(tail)]
    if others is not None:
        beside, last = others[:whole].reshape(-1, len(ones)), others[whole:]
    return np.vecdot(rows, beside), float(np.vecdot(tail, last))


def _exact_bits(ones: Doubles) -> int:
    """Bits that integers may have for float64 to hold the sum of the products of a row as long as `ones`."""
    return (_DOUBLE_BITS - len(ones).bit_length()) // 2


def _exact_dot(values: Doubles, others: Doubles | None, ones: Doubles) -> int:
    """As `dot`, all in one, of integers of at most `_exact_bits`."""
    import numpy as np

    rows, tail = dot(values, others, ones)
    return int(rows.astype(np.int64).sum()) + int(tail)
