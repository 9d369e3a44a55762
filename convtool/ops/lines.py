"""Straight lines from one range onto another, right to the last digit of the result.

The line through (a, c) and (b, d) is measured from the nearer end of [a, b],

    y = c + (x - a) s    up to the middle,    y = d + (x - b) s    beyond it,    s = (d - c) / (b - a),

so that an end meets its counterpart to the bit and nothing between the ends passes them: what is added to an end is
at most half of d - c. Narrow dtypes are worked in float64. In float64 itself every sum and product keeps its rounding
error, and s has a second float64 for the digits that the first leaves out; the result is rounded once. Offsets and s
are taken in powers of two in which b - a and d - c are about 1, so that ranges like [-1e308, 1e308] do not overflow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import torch
from torch import Tensor

from convtool.ops.exact import product_of, sum_of

Range = tuple[float, float]

_MOST = 1000  # units lie within 2^-_MOST to 2^_MOST, far enough from where float64 ends


class Lines:
    """A line for each channel, ``(..., channels, samples)`` to the same shape and dtype; one line serves every channel.

    Where a == b, every finite number gives the middle of [c, d]. Where one of the ends is not finite, NaN.

    Args:
        source: [a, b] of each line, a <= b.
        target: [c, d] of each line, c <= d.
        device: where the numbers will be.

    >>> Lines([(0.0, 4.0)], [(-1.0, 1.0)], torch.device("cpu"))(torch.tensor([[0.0, 1.0, 4.0, 6.0]])).tolist()
    [[-1.0, -0.5, 1.0, 2.0]]
    """

    def __init__(self, source: Sequence[Range], target: Sequence[Range], device: torch.device) -> None:
        rows = [_constants(*ranges) for ranges in zip(source, target, strict=True)]
        self._constants = torch.tensor(rows, dtype=torch.float64, device=device).reshape(-1, 9).T.unsqueeze(-1)

    def __call__(self, x: Tensor) -> Tensor:
        unit, middle, a, b, c, d, slope, rest, unit_out = self._constants
        scaled = x.double() * unit
        lower = scaled <= middle
        start, base = torch.where(lower, a, b), torch.where(lower, c, d)
        if x.dtype != torch.float64:
            narrow: Tensor = base + (scaled - start) * slope * unit_out
            return narrow.to(x.dtype)
        offset, offset_error = sum_of(scaled, -start)
        product, product_error = product_of(offset, slope)
        product_error = product_error + (offset * rest + offset_error * slope)
        rough, error = sum_of(base, product * unit_out)
        exact = rough + (error + product_error * unit_out)
        return torch.where(exact.isfinite(), exact, rough)  # the error terms overflow before the result does


def _constants(source: Range, target: Range) -> tuple[float, ...]:
    """What the line from `source` to `target` is computed with, in the order of `Lines.__call__`."""
    (a, b), (c, d) = source, target
    if not all(map(math.isfinite, (a, b, c, d))):
        return (math.nan,) * 9
    if a == b:
        c = d = float((Fraction(c) + Fraction(d)) / 2)
        return 1.0, 0.0, a, b, c, d, 0.0, 0.0, 1.0
    unit, unit_out = 1 / _power(max(abs(a), abs(b))), _power(max(abs(c), abs(d)))
    a, b = a * unit, b * unit
    middle = min(float((Fraction(a) + Fraction(b)) / 2), math.nextafter(b, a))  # b itself counts from b
    slope = (Fraction(d) - Fraction(c)) / (Fraction(b) - Fraction(a)) / Fraction(unit_out)
    first = float(slope)
    return unit, middle, a, b, c, d, first, float(slope - Fraction(first)), unit_out


def _power(size: float) -> float:
    """The power of two next to `size`."""
    return math.ldexp(1.0, max(-_MOST, min(math.frexp(size)[1], _MOST)))
