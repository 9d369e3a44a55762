"""Count, mean and squared deviations of every window of plain samples: the fast case of `mergeable.slide`.

The order is that of `_windows`: time is cut into blocks of L samples, and the L windows of W samples
that begin in block a all hold its last sample c, and all samples from there to aL + W - 1. So window s is

    the last L - s samples of the block  +  W - L - 1 samples, the same for all s  +  the next s + 1

The outer two are always L + 1 samples together (L where W = L: both then count c, which adds nothing).
With d = x - c their sums of d and of d^2 run on by `cumsum`, and m = sum d^2 - (sum d)^2 / n gives their
squared deviations. That difference is safe here, and only because c is one of the n samples: with D the
largest \\|d\\|, sum d^2 <= n D^2 while m >= D^2 / 2, so it magnifies rounding 2 n times at most, and n is
at most 49. What lies between is merged by Chan's formula, in which nothing cancels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from convtool.ops.exact import difference, wide
from convtool.ops.windows.higher_moments import central, central_with, merge_higher
from convtool.ops.windows.mergeable import Joining, by_doubling, cat, each, take
from convtool.ops.windows.moments import Part, about, lone_samples, merge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

MOMENTS = Joining(merge, about, torch.float64)
HIGHER = Joining(merge_higher, dtype=torch.float64)

# Windows up to this length add up their few samples one by one.
_SHORT = 6
_LONGEST_BLOCK = 48
# Samples in one tensor operation: few enough to stay in a core's cache, enough to hide what a call costs.
_TILE = 1 << 16


def block_length(window: int) -> int:
    """Samples in a block for windows of `window` samples; chunks of outputs are cut at its multiples."""
    if window <= _SHORT:
        return 1
    if window <= _LONGEST_BLOCK:
        return window
    # What the whole blocks between leave over costs a pass of its own: prefer a length that leaves little.
    return min(range(_LONGEST_BLOCK, _LONGEST_BLOCK // 2, -1), key=lambda length: (window - 1) % length)


def slide_samples(
    x: Tensor, window: int, finish: Callable[[Part], Part], dtype: torch.dtype, *, powers: tuple[int, ...] = (2,)
) -> Part:
    """`finish` of the moments of every window along the last axis of ``x`` ``(rows, n)``, given in `dtype`.

    `powers` are those of the moments wanted, 2 and then 3, 4 or both: the parts are as in `moments` and
    `higher_moments`, but that with 4 alone there may be no sum, as they can't be merged. Where `x` is int64 its
    samples, and so the centres of the moments, stay integers.
    """
    count = x.shape[1] - window + 1
    length = block_length(window)
    blocks = -(-count // length)
    group = max(1, min(x.shape[0], _TILE // (length * blocks)))
    run = max(1, _TILE // (length * group))

    def tiles() -> Iterator[tuple[int, int, Part]]:
        for start in range(0, x.shape[0], group):
            rows = x[start : start + group]
            if length == 1:
                made = _short_tiles(rows, window, run, powers)
            else:
                made = _tiles(rows, window, length, run, blocks, powers)
            for index, tile in enumerate(made):
                yield start, index * run * length, each(lambda t: t.flatten(1), finish(tile))

    whole = joined(tiles(), (x.shape[0], blocks * length), dtype)
    return each(lambda t: t.narrow(1, 0, count), whole)


def joined(tiles: Iterator[tuple[int, int, Part]], shape: tuple[int, int], dtype: torch.dtype) -> Part:
    """All tiles, each given with its first row and column.

    Each is copied before the next is asked for, which uses its memory again; autograd wants new tensors instead.
    """
    strips: dict[int, list[Part]] = {}
    joined: Part = ()
    for row, column, tile in tiles:
        if any(isinstance(field, Tensor) and field.requires_grad for field in tile):
            strips.setdefault(row, []).append(each(lambda t: t.to(dtype), tile))
            continue
        joined = joined or each(lambda t: t.new_empty(shape, dtype=dtype if t.is_floating_point() else t.dtype), tile)
        for whole, part in zip(joined, tile, strict=True):
            if isinstance(part, Tensor):
                whole[row : row + part.shape[0], column : column + part.shape[1]] = part
    return joined or cat([cat(strip, 1) for strip in strips.values()], 0)


def _short_tiles(x: Tensor, window: int, run: int, powers: tuple[int, ...]) -> Iterator[Part]:
    """Windows of a few samples, about the first of them."""
    order = powers[-1]
    count = x.shape[1] - window + 1
    for start in range(0, count, run):
        size = min(run, count - start)
        here = wide(x.narrow(1, start, size + window - 1))
        centre = here.narrow(1, 0, size)
        if window == 1:
            zeros = [torch.zeros_like(centre).double()] * (1 + len(powers))
            yield lone_samples(centre) if order == 2 else (1, centre, *zeros)
            continue
        sums = list(_powers(difference(here.narrow(1, 1, size), centre), order))
        for step in range(2, window):
            apart = difference(here.narrow(1, step, size), centre)
            sums[0], sums[1] = sums[0] + apart, torch.addcmul(sums[1], apart, apart)
            if order > 2:
                square = apart * apart
                factors = (apart, square)[: order - 2]
                sums[2:] = [torch.addcmul(*pair, square) for pair in zip(sums[2:], factors, strict=True)]
        yield window, centre, sums[0], *_central(window, sums, powers)


def _powers(x: Tensor, order: int) -> tuple[Tensor, ...]:
    """`x`, its square, and so on."""
    square = x * x
    return (x, square, square * x, square * square)[:order]


def _central(n: int, sums: Sequence[Tensor], powers: Sequence[int]) -> Sequence[Tensor]:
    """Powers of deviations from the mean, summed, from the sums of powers about a sample."""
    if len(sums) > 2:
        return central(n, sums, powers)
    return (torch.addcmul(sums[1], sums[0], sums[0], value=-1 / n),)


def _tiles(x: Tensor, window: int, length: int, run: int, blocks: int, powers: tuple[int, ...]) -> Iterator[Part]:
    """Longer windows, in the order told above, `run` blocks at a time."""
    order = powers[-1]
    outer = length if window == length else length + 1
    between = _between(x, window, length, run, blocks, order) if window > outer else None
    # One piece of memory for all tiles: it stays in cache, and fresh pages cost as much as the work.
    memory = None if x.requires_grad else x.new_empty(2 * order * x.shape[0] * run * length, dtype=torch.float64)
    for first in range(0, blocks, run):
        lanes = min(run, blocks - first)
        left = _blocks(x, first * length, lanes, length)
        right = _blocks(x, first * length + window - 1, lanes, length)
        centre = wide(left[..., -1:])
        backwards, forwards = _running(left.flip(-1), right, centre, memory, order)
        sums = backwards.flip(-1) + forwards if memory is None else forwards.add_(backwards.flip(-1))
        if between is None:
            yield outer, centre.expand_as(sums[0]), sums[0], *_central(outer, sums.unbind(), powers)
            continue
        middle = each(lambda t, f=first, n=lanes: t.narrow(1, f, n).unsqueeze(-1), between)
        middle = about(middle, (outer, centre))
        if order == 2:
            n, _, s, *moments = merge((outer, centre, sums[0], *_central(outer, sums.unbind(), powers)), middle)
        else:
            n, s = outer + middle[0], None if powers == (2, 4) else sums[0] + middle[2]
            moments = central_with(outer, sums.unbind(), middle, powers)
        yield n, centre.expand_as(moments[0]), s, *moments


def _running(backwards: Tensor, forwards: Tensor, centre: Tensor, memory: Tensor | None, order: int) -> Tensor:
    """Running sums along the last axis, (backwards, forwards) x (of ``x - centre``, of its square, and so on)."""
    if memory is None:
        return torch.stack(_powers(torch.stack((backwards, forwards)) - centre, order), 1).cumsum(-1)
    sums = memory[: 2 * order * backwards.numel()].view(2, order, *backwards.shape)
    for side, samples in enumerate((backwards, forwards)):
        if samples.is_floating_point():
            torch.sub(samples, centre, out=sums[side, 0])
        else:
            sums[side, 0] = difference(samples, centre)
    torch.mul(sums[:, 0], sums[:, 0], out=sums[:, 1])
    for power in range(2, order):
        torch.mul(sums[:, 1], sums[:, power - 2], out=sums[:, power])
    return sums.cumsum_(-1)


def _between(x: Tensor, window: int, length: int, run: int, blocks: int, order: int) -> Part:
    """For each block, the ``window - length - 1`` samples that follow it."""
    whole, over = divmod(window - length - 1, length)
    totals, begins = [], []
    for first in range(0, blocks + whole, run):
        held = _blocks(x, (first + 1) * length, min(run, blocks + whole - first), length)
        totals.append(_totals(held, order))
        if over:
            begins.append(_totals(held[..., :over], order))
    after = each(lambda t: t[:, whole:], cat(begins, 1)) if over else None
    if not whole:
        assert after is not None
        return after
    join = merge if order == 2 else merge_higher
    runs = by_doubling(each(lambda t: t[:, : blocks + whole - 1], cat(totals, 1)), whole, join, 1)
    return runs if after is None else join(runs, after)


def _totals(x: Tensor, order: int) -> Part:
    """The moments of each block, about its last sample."""
    last = wide(x[..., -1:])
    apart = difference(wide(x), last)
    sums = [power.sum(-1) for power in _powers(apart, order)]
    n = x.shape[-1]
    return n, last.squeeze(-1), sums[0], *_central(n, sums, range(2, order + 1))


def _blocks(x: Tensor, start: int, lanes: int, length: int) -> Tensor:
    """`lanes` blocks from `start` on, ``(rows, lanes, length)``."""
    held: Tensor = take((x,), start, lanes * length, 1)[0]
    return held.reshape(-1, lanes, length)
