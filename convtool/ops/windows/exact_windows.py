"""Sums over every window of samples that are whole steps of 16 bits, as those of most sound files: exact, so simple.

Such a sample x is an integer of at most 2^15 times 2^-15, its square one times 2^-30. As long as (sum |x|)^2 stays
below 2^53 times 2^-30 in a window, float64 holds everything below exactly, so running sums from the beginning of a tile
may be taken from one another, and

    m = (n sum x^2 - (sum x)^2) / n

is rounded once: nothing cancels but integers. Other samples, and longer windows of louder ones, are for
`sample_windows`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from convtool.ops.windows.sample_windows import joined

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from convtool.ops.windows.moments import Part

_STEPS = 2.0**15
_EXACT = 1 << 53
"""Up to which float64 holds every integer."""

_TILE = 1 << 15
"""Windows in one tensor operation: few enough to stay in a core's cache."""

_LOOKED_AT = 64


def exact_rows(x: Tensor, window: int) -> Tensor:
    """For which of the finite rows of `x` ``(rows, n)`` `slide_exact` can work: bool ``(rows,)``.

    A row is looked at by itself, so that what stands beside it changes none of its bits. Of most rows that are none, a
    few samples tell it.
    """
    none = x.new_zeros(len(x), dtype=torch.bool)
    if not x.is_floating_point() or x.requires_grad or not bool(_are_steps(x[:, :_LOOKED_AT]).any()):
        return none
    low, high = x.amin(1), x.amax(1)  # ten times as fast as both at once
    return _are_steps(x) & is_exact(torch.maximum(-low, high).double() * _STEPS, window)


def exactness(x: Tensor) -> Tensor:
    """Samples ``(rows, n)`` in steps of 16 bits, leaving their signs; infinite where they are no whole steps."""
    steps = x.double().abs() * _STEPS
    return torch.where(steps.frac() == 0, steps, torch.inf)


def is_exact(largest: Tensor, window: int) -> Tensor:
    """Whether sums over windows of samples of at most so many steps are exact."""
    samples = max(window * window, _TILE + window, 5 * window)
    return samples * largest * largest <= _EXACT


def _are_steps(x: Tensor) -> Tensor:
    return (x * _STEPS).frac_().abs_().amax(1) == 0


def _tile(x: Tensor, window: int) -> int:
    return max(_TILE // len(x), 4 * window)


def slide_exact(x: Tensor, window: int, finish: Callable[[Part], Part], dtype: torch.dtype) -> Part:
    """As `sample_windows.slide_samples`, for `exact_rows`; all centres are 0."""
    count, tile = x.shape[1] - window + 1, _tile(x, window)

    zero = x.new_zeros((), dtype=torch.float64)

    def tiles() -> Iterator[tuple[int, int, Part]]:
        for start in range(0, count, tile):
            size = min(tile, count - start)
            samples = x.narrow(1, start, size + window - 1).double()
            (sums, _), (squares, _) = window_sums(samples, window), window_sums(samples.square(), window)
            deviations = squares.mul_(window).addcmul_(sums, sums, value=-1).div_(window)
            part = window, zero.expand_as(sums), sums, deviations
            yield 0, start, finish(part)

    return joined(tiles(), (len(x), count), dtype)


def window_sums(x: Tensor, window: int, dim: int = 1) -> tuple[Tensor, Tensor]:
    """The sum of each window along `dim` of a matrix, and the running sums whose differences they are, with 0 first."""
    shape = list(x.shape)
    shape[dim] += 1
    running = x.new_empty(shape)
    running.select(dim, 0).zero_()
    torch.cumsum(x, dim, out=running.narrow(dim, 1, x.shape[dim]))
    count = x.shape[dim] - window + 1
    return running.narrow(dim, window, count) - running.narrow(dim, 0, count), running
