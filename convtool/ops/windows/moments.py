"""Count, mean and squared deviations of a set of samples, and how two sets become one.

A set is held as ``(n, c, s, m)``: `n` samples, a centre `c` that is one of them, the sum `s` of
``x - c``, and the sum `m` of squared deviations from the mean (Chan's M2). `s` and `m` are float64, and so
is `c`, but for samples that are int64, where it is one of these. Sets are merged by

    s = s_a + s_b + n_b (c_b - c_a)                      (about c_a)
    m = m_a + m_b + (n_a s_b - n_b s_a)^2 / (n_a n_b n)  (both sums about c_a)

T. F. Chan, G. H. Golub, R. J. LeVeque, "Algorithms for computing the sample variance", The American
Statistician 37 (1983), with the sums in place of the means (Youngs and Cramer, 1971), which keeps
small integers exact. `m` only ever grows by squares: it can't go negative, and equal samples keep it 0.

Why centring on a sample of the set is enough. Let R be the range of the set. Each ``x - c`` is at
most R, so a sum about `c` errs by eps R a sample, however far from zero the samples lie. Each merge
adds the square of a difference of means D with weight w = n_a n_b / n <= n / 4, so it errs by about
2 w D eps R; but m >= w D^2 and m >= R^2 / 2 always hold, so the relative error stays below
eps sqrt(2 n), whatever the samples are.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from convtool.ops.exact import difference, float_parts

# A summary of a set of samples, one per place: tensors of one shape, or plain numbers and None where
# every place has the same. Here (n, c, s, m); the extremes use (value,).
Part = tuple[Any, ...]


def lone_samples(x: Tensor) -> Part:
    """Sets of one sample each: their sums and squares are None, which means zero."""
    return 1, x, None, None


def weighed_samples(x: Tensor, present: Tensor) -> Part:
    """Sets of one sample where `present` is true, and of none where it is false."""
    count = present.double()
    zero = torch.zeros_like(count)
    return count, x.masked_fill(~present, 0), zero, zero


def about(part: Part, other: Part) -> Part:
    """`part` with its sum taken about the centre of `other`: merging the two then needs no shift."""
    n, c, s, *m = part
    shift = difference(c, other[1])
    return n, other[1], shift * n if s is None else torch.add(s, shift, alpha=n), *m


def merge(a: Part, b: Part) -> Part:
    """The union of two sets whose counts are the same at every place."""
    if a[2] is None:  # a lone sample costs least in second place
        a, b = b, a
    n_a, c_a, s_a, m_a = a
    n_b, c_b, s_b, m_b = b
    n = n_a + n_b
    if c_a is not c_b:
        shift = difference(c_b, c_a)
        s_b = shift if s_b is None else torch.add(s_b, shift, alpha=n_b)
    # t = n_a s_b - n_b s_a up to its sign, in as few passes as the counts allow.
    if s_a is None:
        t = s = s_b
    elif s_b is None:
        t = s = s_a
    else:
        t = torch.sub(s_a, s_b, alpha=n_a) if n_b == 1 else torch.sub(s_b * n_a, s_a, alpha=n_b)
        s = s_a + s_b
    weight = 1 / (n_a * n_b * n)
    if m_a is None or m_b is None:
        known = m_b if m_a is None else m_a
        return n, c_a, s, t * t * weight if known is None else torch.addcmul(known, t, t, value=weight)
    return n, c_a, s, torch.addcmul(m_a + m_b, t, t, value=weight)


def merge_weighed(a: Part, b: Part) -> Part:
    """The union of two sets whose counts are tensors, and may be 0."""
    n_a, c_a, s_a, m_a = a
    n_b, c_b, s_b, m_b = b
    n = n_a + n_b
    # The centre of an empty set is not a sample of the union: it must not enter any difference.
    shift = torch.where((n_a > 0) & (n_b > 0), difference(c_b, c_a), 0.0)
    s_b = s_b + n_b * shift
    t = n_a * s_b - n_b * s_a
    m = m_a + m_b + t * t / (n_a * n_b * n).clamp(min=1)
    return n, torch.where(n_a > 0, c_a, c_b), s_a + s_b, m


def variance(part: Part, ddof: int) -> Tensor:
    """``m / (n - ddof)``; NaN where no degree of freedom is left."""
    n, c, _, m = part
    if m is None:
        return torch.zeros_like(c, dtype=torch.float64)
    if isinstance(n, Tensor):
        n = torch.where(n > ddof, n, torch.nan)
    made: Tensor = m / (n - ddof)
    return made


def mean(part: Part) -> Tensor:
    """``c + s / n``; NaN for an empty set."""
    n, c, s, _ = part
    if not c.is_floating_point():
        c, rest = float_parts(c)
        s = rest * n if s is None else s + rest * n
    made: Tensor = c if s is None else c + s / n
    return made


def total(part: Part) -> Tensor:
    """``n c + s``; NaN for an empty set."""
    n, c, s, _ = part
    if isinstance(n, Tensor):
        n = torch.where(n > 0, n, torch.nan)
    if not c.is_floating_point():
        c, rest = float_parts(c)
        s = rest * n if s is None else s + rest * n
    made: Tensor = c * n if s is None else c * n + s
    return made


def mean_square(part: Part) -> Tensor:
    """``m / n + mean^2``: two squares added, so nothing cancels."""
    average = mean(part)
    return variance(part, 0) + average * average
