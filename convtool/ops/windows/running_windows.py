"""The variance of every window of float32 samples from running sums, wherever a bound shows that nothing is lost.

With P and R the running sums of d = x - c and of d^2 from the beginning of a tile, one after the other, and c its mean,
a window of n samples has S = P[k + n] - P[k], Q = R[k + n] - R[k] and m = Q - S^2 / n. A step of a running sum is
rounded by u |P| or u R at most, with u = 2^-53; what was rounded before sample k stands in both ends of a difference.
So with A and B the largest \\|P\\| and R of the tile, S errs by (n + 3) u A, Q by (n + 3) u B, and as \\|S\\| <= 2 A
and S^2 <= n Q,

    m errs by less than u (n + 16) (B + 4 A^2 / n),

twice of which is taken; that leaves room for the rounding of d. Where it is below 2^-27 of the smallest m of a tile, it
moves a variance in float32 by less than an eighth of what rounding it may. Other tiles, with silence in them or with
windows far quieter than the rest, are for `sample_windows`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from convtool.ops.windows.exact_windows import window_sums
from convtool.ops.windows.sample_windows import joined, slide_samples

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from convtool.ops.windows.moments import Part

SHORTEST = 49
"""Windows from which this takes less time than the general way."""

_TILE = 1 << 15
"""Windows in one tensor operation: few enough to stay in a core's cache."""

_TWICE_ROUNDING = 2.0**-52
_NEGLIGIBLE = 2.0**-27


def slide_running(x: Tensor, window: int, finish: Callable[[Part], Part]) -> Part:
    """`finish` of the moments of every window along the last axis of finite float32 ``(rows, n)``.

    Each row is worked by itself, so that what stands beside it changes none of its bits. From the first tile on of
    which the bound shows too little, its windows are worked by `sample_windows.slide_samples`.

    Args:
        x: samples.
        window: W of them.
        finish: what is wanted of count, centre, sum and squared deviations: it may depend on the last alone.

    Returns:
        What `finish` gives, ``(rows, n - W + 1)`` each, of the dtype of `x`.
    """
    count, tile = x.shape[1] - window + 1, max(_TILE, 4 * window)

    def tiles() -> Iterator[tuple[int, int, Part]]:
        for number in range(len(x)):
            row = x[number : number + 1]
            for start in range(0, count, tile):
                part, bound = _moments(row[:, start : start + min(tile, count - start) + window - 1], window)
                if not bool(part[3].amin() * _NEGLIGIBLE > bound):
                    yield number, start, slide_samples(row[:, start:], window, finish, x.dtype)
                    break
                yield number, start, finish(part)

    return joined(tiles(), (len(x), count), x.dtype)


def slide_running_grid(x: Tensor, windows: tuple[int, ...], finish: Callable[[Part], Part]) -> Part | None:
    """The same for windows on a finite float32 grid ``(h, w)``; None where the bound shows too little.

    The running sums go down the columns first, and then along the rows of what comes of that. With H x W the windows,
    and A and B the largest running sums of the columns, C and D those of the rows, S errs by E = u ((W + 3) C + W (H +
    3) A), Q by the same of D and B, and m by less than the latter, 4 C E / n and u 8 D together.

    Returns:
        What `finish` gives, ``(h - H + 1, w - W + 1)`` each, of the dtype of `x`.
    """
    height, width = windows
    area = height * width
    samples = x.double()
    samples -= samples.mean()
    columns, running = window_sums(samples, height, 0)
    a = _largest(running)
    sums, running = window_sums(columns, width)
    c = _largest(running)
    columns, running = window_sums(samples.square_(), height, 0)
    b = _largest(running)
    squares, running = window_sums(columns, width)
    d = _largest(running)
    deviations = squares.mul_(area).addcmul_(sums, sums, value=-1).div_(area)
    sums_err = (width + 3) * c + width * (height + 3) * a
    bound = (width + 11) * d + width * (height + 3) * b + 4 / area * c * sums_err
    if not bool(deviations.amin() * _NEGLIGIBLE > bound * _TWICE_ROUNDING):
        return None
    return tuple(field.to(x.dtype) for field in finish((area, sums.new_zeros(()).expand_as(sums), sums, deviations)))


def _moments(x: Tensor, window: int) -> tuple[Part, Tensor]:
    """The moments of every window of a row ``(1, n)``, and a bound for the error of their squared deviations."""
    samples = x.double()
    centre = samples.mean(1, keepdim=True)
    samples -= centre
    sums, running = window_sums(samples, window)
    a = _largest(running)
    squares, running = window_sums(samples.square_(), window)
    deviations = squares.mul_(window).addcmul_(sums, sums, value=-1).div_(window)
    bound = (running[0, -1] + 4 / window * a * a) * ((window + 16) * _TWICE_ROUNDING)
    return (window, centre.expand_as(sums), sums, deviations), bound


def _largest(x: Tensor) -> Tensor:
    """Of all numbers, leaving their signs."""
    return torch.maximum(-x.amin(), x.amax())
