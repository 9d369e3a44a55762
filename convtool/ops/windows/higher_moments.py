"""Third and fourth moments of a set of samples, and how two sets become one.

A set is held as in `moments`, with the sums of the third and the fourth powers of deviations from its mean behind the
second: ``(n, c, s, m2, m3)`` or ``(n, c, s, m2, m3, m4)``. With d = mean_b - mean_a,

    m3 = m3_a + m3_b + 3 d (n_a m2_b - n_b m2_a) / n + d^3 n_a n_b (n_a - n_b) / n^2
    m4 = m4_a + m4_b + 4 d (n_a m3_b - n_b m3_a) / n + 6 d^2 (n_a^2 m2_b + n_b^2 m2_a) / n^2
         + d^4 n_a n_b (n_a^2 - n_a n_b + n_b^2) / n^3

P. Pebay, "Formulas for robust, one-pass parallel computation of covariances and arbitrary-order statistical moments",
Sandia Report SAND2008-6212 (2008). As there, no difference of large sums occurs: the error of m4 stays in proportion
to m4, and that of m3 to m2^(3/2), the size that it is measured by in the end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from convtool.ops.exact import difference
from convtool.ops.windows.moments import Part


def merge_higher(a: Part, b: Part) -> Part:
    """The union of two sets; counts are numbers, the same at every place, or tensors, which may be 0."""
    n_a, c_a, s_a, m2_a, m3_a, *m4_a = a
    n_b, c_b, s_b, m2_b, m3_b, *m4_b = b
    n, product, centre = n_a + n_b, n_a * n_b, c_a
    shift = None if c_a is c_b else difference(c_b, c_a)
    if isinstance(n, Tensor):  # the centre of an empty set is not a sample of the union
        shift = torch.where(product > 0, difference(c_b, c_a), 0.0)
        centre = torch.where(n_a > 0, c_a, c_b)
        n_1, n_2, n_all = (count.clamp(min=1) for count in (n_a, n_b, n))
    else:
        n_1, n_2, n_all = n_a, n_b, n
    s_b = s_b if shift is None else _plus(s_b, shift, n_b)
    d = _plus(s_b * (1 / n_2), s_a, -1 / n_1)
    if isinstance(n, Tensor):
        d = torch.where(product > 0, d, 0.0)
    d2 = d * d
    part_a, part_b, weight = n_a / n_all, n_b / n_all, product / n_all
    third = _plus(_plus(m2_b * (3 * part_a), m2_a, -3 * part_b), d2, weight * (part_a - part_b))
    m2, m3 = _plus(m2_a + m2_b, d2, weight), torch.addcmul(m3_a + m3_b, d, third)
    if not m4_a:
        return n, centre, s_a + s_b, m2, m3
    both = part_a**2 - part_a * part_b + part_b**2
    fourth = _plus(_plus(m2_b * (6 * part_a**2), m2_a, 6 * part_b**2), d2, weight * both)
    crossed = _plus(m3_b * (4 * part_a), m3_a, -4 * part_b)
    m4 = torch.addcmul(torch.addcmul(m4_a[0] + m4_b[0], d2, fourth), d, crossed)
    return n, centre, s_a + s_b, m2, m3, m4


def _plus(x: Tensor, y: Tensor, factor: Any) -> Tensor:
    """``x + y factor``, in one pass where the factor is a number."""
    return torch.addcmul(x, y, factor) if isinstance(factor, Tensor) else torch.add(x, y, alpha=factor)


def central(n: float, sums: Sequence[Tensor], powers: Sequence[int]) -> list[Tensor]:
    """Powers of deviations from the mean, summed, from sums of the powers of deviations from a sample of the set.

    ``sums`` are of the first to the last power; `powers` those that are wanted. This is for few samples: rounding
    grows with their number.
    """
    return [_moved(n, sums, sums[0] * (1 / n), power) for power in powers]


def central_with(n: float, sums: Sequence[Tensor], other: Part, powers: Sequence[int]) -> list[Tensor]:
    """As `central`, of the union with another set, whose sum is taken about the same sample.

    Each set's are taken about the mean of both. Rounding grows with n, the number of the few samples, not with the
    other's, since the union is at least as wide as its mean is far from any sample.
    """
    n_other, _, s, *moments = other
    mean = _plus(s * (1 / (n + n_other)), sums[0], 1 / (n + n_other))
    apart = mean - s * (1 / n_other)
    own = [torch.zeros_like(s), *moments]
    return [_moved(n, sums, mean, power) + _moved(n_other, own, apart, power) for power in powers]


def _moved(n: float, sums: Sequence[Tensor], by: Tensor, power: int) -> Tensor:
    """The sum of ``(x - by)^power`` of n samples, from the sums of x, x^2 and so on (Horner's scheme)."""
    made = torch.sub(sums[0], by, alpha=n / power)
    for k in range(1, power):
        made = torch.addcmul(sums[k], by, made, value=-(k + 1) / (power - k))
    return made


def skewness(part: Part) -> Tensor:
    """The unbiased G1; NaN of fewer than 3 samples, 0 of equal ones."""
    n, _, _, m2, m3, *_ = part
    if not isinstance(n, Tensor):
        factor = n * math.sqrt(n - 1) / (n - 2) if n > 2 else math.nan
    else:
        factor = torch.where(n > 2, n * (n - 1).clamp(min=0).sqrt() / (n - 2), torch.nan)
    size = torch.where(m2 > 0, m2, 1.0)
    made: Tensor = factor * (m3 / (size * size.sqrt()))
    return made


def kurtosis(part: Part) -> Tensor:
    """The unbiased excess G2; NaN of fewer than 4 samples, -3 of equal ones."""
    n, _, _, m2, *_, m4 = part
    if not isinstance(n, Tensor):
        factor = torch.tensor((n - 1) / ((n - 2) * (n - 3)) if n > 3 else math.nan, dtype=m2.dtype, device=m2.device)
    else:
        factor = torch.where(n > 3, (n - 1) / ((n - 2) * (n - 3)), torch.nan)
    different = bool(m2.detach().amin() > 0)  # spares two passes
    size = m2 if different else torch.where(m2 <= 0, 1.0, m2)
    made = torch.addcmul(factor * (-3 * (n - 1)), m4 / (size * size), factor * (n * (n + 1)))
    return made if different else torch.where(m2 <= 0, factor * 0 - 3, made)
