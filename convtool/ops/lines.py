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

from convtool.ops.exact import integer_difference, product_of, sum_of

Range = tuple[float, float]

_MOST = 1000  # units lie within 2^-_MOST to 2^_MOST, far enough from where float64 ends


class Lines:
    """A line for each channel, ``(..., channels, samples)`` to the same shape and dtype; one line serves every channel.

    Integers give float64; their distance from whole ends is exact, whatever its size. Where a == b, every finite
    number gives the middle of [c, d]. Where one of the ends is not finite, NaN.

    Args:
        source: [a, b] of each line, a <= b; `int` where float64 does not hold it.
        target: [c, d] of each line, c <= d; the same.
        device: where the numbers will be.

    >>> Lines([(0.0, 4.0)], [(-1.0, 1.0)], torch.device("cpu"))(torch.tensor([[0.0, 1.0, 4.0, 6.0]])).tolist()
    [[-1.0, -0.5, 1.0, 2.0]]
    """

    def __init__(self, source: Sequence[Range], target: Sequence[Range], device: torch.device) -> None:
        rows = [_constants(*ranges) for ranges in zip(source, target, strict=True)]
        constants = torch.tensor(rows, dtype=torch.float64, device=device).reshape(-1, 9)
        self._constants = constants.T.unsqueeze(-1).unbind()
        self._whole: Tensor | None = None
        if all(is_int64(end) for ends in source for end in ends):
            self._whole = torch.tensor([list(map(int, ends)) for ends in source], device=device).reshape(-1, 2)

    def __call__(self, x: Tensor) -> Tensor:
        if not x.is_floating_point():
            return self._of_integers(x)
        unit, middle, a, b, c, d, slope, _, unit_out = self._constants
        scaled = x.double() * unit
        if x.dtype != torch.float64:
            # 0 up to the middle, 1 beyond it: comparing and choosing would take three times as long.
            upper = (scaled - middle).detach().sign_().clamp_(min=0)
            base = torch.addcmul(c * (1 - upper), d, upper)
            return (base + (scaled - torch.lerp(a, b, upper)) * slope * unit_out).to(x.dtype)
        lower = scaled <= middle
        start, base = torch.where(lower, a, b), torch.where(lower, c, d)
        return self._along(base, *sum_of(scaled, -start))

    def _of_integers(self, x: Tensor) -> Tensor:
        if self._whole is None:
            return self(x.double())
        unit, _, _, _, c, d, *_ = self._constants
        from_a, from_b = (integer_difference(x, ends.unsqueeze(-1)) for ends in self._whole.T)
        lower = torch.add(*from_a) <= -torch.add(*from_b)
        high, low = (torch.where(lower, *parts) * unit for parts in zip(from_a, from_b, strict=True))
        return self._along(torch.where(lower, c, d), *sum_of(high, low))

    def _along(self, base: Tensor, offset: Tensor, offset_error: Tensor) -> Tensor:
        """What lies `offset` beyond the place of `base`, a sum with what was rounded off."""
        *_, slope, rest, unit_out = self._constants
        product, product_error = product_of(offset, slope)
        product_error = product_error + (offset * rest + offset_error * slope)
        rough, error = sum_of(base, product * unit_out)
        exact = rough + (error + product_error * unit_out)
        return torch.where(exact.isfinite(), exact, rough)  # the error terms overflow before the result does


def is_int64(number: float) -> bool:
    """Whether int64 holds it, be it an `int` or a `float`."""
    return math.isfinite(number) and number == int(number) and -(1 << 63) <= number < 1 << 63


def _constants(source: Range, target: Range) -> tuple[float, ...]:
    """What the line from `source` to `target` is computed with, in the order of `Lines.__call__`."""
    (a, b), (c, d) = source, target
    if not all(map(math.isfinite, (a, b, c, d))):
        return (math.nan,) * 9
    if a == b:
        c = d = float((Fraction(c) + Fraction(d)) / 2)
        return 1.0, 0.0, float(a), float(b), c, d, 0.0, 0.0, 1.0
    unit, unit_out = 1 / power_near(max(abs(a), abs(b))), power_near(max(abs(c), abs(d)))
    low, high = Fraction(a) * Fraction(unit), Fraction(b) * Fraction(unit)
    slope = (Fraction(d) - Fraction(c)) / (high - low) / Fraction(unit_out)
    first, a, b = float(slope), float(low), float(high)
    middle = min(float((low + high) / 2), math.nextafter(b, a))  # b itself counts from b
    return unit, middle, a, b, float(c), float(d), first, float(slope - Fraction(first)), unit_out


def power_near(size: float) -> float:
    """The power of two next to `size`."""
    return math.ldexp(1.0, max(-_MOST, min(math.frexp(size)[1], _MOST)))
