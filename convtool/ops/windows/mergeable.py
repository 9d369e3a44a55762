"""Any mergeable summary over every sliding window, at a cost that does not grow with the window.

The order is van Herk's and Gil and Werman's, made for minima: M. van Herk, Pattern Recognition
Letters 13 (1992); J. Gil, M. Werman, IEEE Trans. PAMI 15 (1993). Time is cut into blocks of L <= W
samples. The L windows that begin in one block all hold its last sample; each is

    the end of that block  +  the whole stretch between (W - L samples, the same for all L)  +  s more

so two running merges a block, one backwards and one forwards, and one merge a window give them all.
The stretch between is made of whole blocks, from their totals, by doubling. Blocks lie side by side in
memory ("lanes"), so that a step of the running merges is one tensor operation over thousands of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from convtool.ops.windows.moments import Part

# Lanes in one tensor operation: enough to hide what a call costs, few enough to stay in cache and below
# the size (32768) from which torch would split the operation between threads.
_LANES = 16384
# Windows up to this length are merged by doubling: laying out such short blocks would cost more.
_SHORT = 4
_LONGEST_BLOCK = 16


class Joining(NamedTuple):
    """How parts become one: `merge` two of them; `about` readies one for many merges with another."""

    merge: Callable[[Part, Part], Part]
    about: Callable[[Part, Part], Part] = lambda part, _: part
    dtype: torch.dtype | None = None
    """What floating-point tensors are worked in; None leaves them as they are."""


def block_length(window: int) -> int:
    """Samples in a block for windows of `window` samples; chunks of outputs are cut at its multiples."""
    if window <= _SHORT:
        return 1
    if window <= _LONGEST_BLOCK:
        return window
    # What the whole blocks leave over costs merges of its own: prefer a length that leaves little.
    return min(range(_LONGEST_BLOCK, _LONGEST_BLOCK // 2, -1), key=lambda length: window % length)


def each(function: Callable[..., Tensor], *parts: Part) -> Part:
    """The part whose tensors are `function` of the tensors of `parts`; what is no tensor is kept."""
    return tuple(
        function(*fields) if isinstance(fields[0], Tensor) else fields[0] for fields in zip(*parts, strict=True)
    )


def slide(part: Part, window: int, joining: Joining, finish: Callable[[Part], Part], axis: int) -> Part:
    """`finish` (tensors only) of the merged part of every window along `axis` (0 or 1) of 2-D fields.

    A length n along `axis` becomes ``n - window + 1``. Only some thousand windows times the block length
    are held at a time, beside the result.
    """
    across = 1 - axis
    tensor = next(field for field in part if isinstance(field, Tensor))
    width, count = tensor.shape[across], tensor.shape[axis] - window + 1
    length = block_length(window)
    blocks = -(-count // length)
    # Along time the lanes are blocks first; down the rows of a grid they are columns first, as in memory.
    group = max(1, min(width, _LANES // min(blocks, _LANES) if axis else _LANES))
    run = max(1, _LANES // group)
    sheet = _Sheet(axis, (width, blocks * length))
    for start in range(0, width, group):
        strip = each(lambda t, s=start: t.narrow(across, s, min(group, width - s)), part)
        if length == 1:
            for first in range(0, count, run):
                piece = take(strip, first, min(run, count - first) + window - 1, axis)
                sheet.add(start, first, [finish(by_doubling(_lift(piece, joining.dtype), window, joining.merge, axis))])
        else:
            _slide_blocks(strip, window, length, run, blocks, joining, finish, sheet, start)
    return each(lambda t: t.narrow(axis, 0, count), sheet.whole())


class _Sheet:
    """The fields of all windows, put together from those that begin at one place of every block of a run."""

    def __init__(self, axis: int, shape: tuple[int, int]) -> None:
        self.axis, self._shape = axis, shape if axis else shape[::-1]
        self._fields: Part | None = None
        self._kept: dict[int, list[Part]] = {}

    def add(self, start: int, first: int, windows: list[Part]) -> None:
        """`windows[j]`: those that begin at sample j of the blocks whose first begins at `first`."""
        if any(field.requires_grad for field in windows[0]):
            # Autograd wants every step to make a new tensor.
            piece = each(lambda *rows: torch.stack(rows, self.axis + 1).flatten(self.axis, self.axis + 1), *windows)
            self._kept.setdefault(start, []).append(piece)
            return
        if self._fields is None:
            self._fields = each(lambda t: t.new_empty(self._shape), windows[0])
        lanes, width = windows[0][0].shape[self.axis], windows[0][0].shape[1 - self.axis]
        for field, rows in zip(self._fields, zip(*windows, strict=True), strict=True):
            place = field.narrow(self.axis, first, lanes * len(rows)).narrow(1 - self.axis, start, width)
            place = place.unflatten(self.axis, (lanes, len(rows)))
            if self.axis:  # first laid one under the other: a transposition of all is faster
                place.copy_(torch.stack(rows).permute(1, 2, 0))
            else:
                for step, row in enumerate(rows):
                    place[:, step] = row

    def whole(self) -> Part:
        if self._fields is not None:
            return self._fields
        strips = [cat(pieces, self.axis) for pieces in self._kept.values()]
        return cat(strips, 1 - self.axis)


def _slide_blocks(
    part: Part,
    window: int,
    length: int,
    run: int,
    blocks: int,
    joining: Joining,
    finish: Callable[[Part], Part],
    sheet: _Sheet,
    start: int,
) -> None:
    """`slide` where one operation takes the whole width and `run` blocks."""
    axis = sheet.axis
    between = _between(part, window, length, run, blocks, joining, axis) if window > length else None
    for first in range(0, blocks, run):
        lanes = min(run, blocks - first)
        middle = None
        if between is None:  # the samples to the right are those of the next block
            both = _rows(part, first * length, lanes + 1, length, axis, joining.dtype)
            left, right = ([each(lambda t, j=j, n=lanes: t.narrow(axis, j, n), row) for row in both] for j in (0, 1))
        else:
            middle = each(lambda t, f=first, n=lanes: t.narrow(axis, f, n), between)
            left = _rows(part, first * length, lanes, length, axis, joining.dtype)
            right = _rows(part, first * length + window, lanes, length, axis, joining.dtype)
        sheet.add(start, first * length, [finish(whole) for whole in _lane_windows(left, middle, right, joining)])


def _lane_windows(left: list[Part], middle: Part | None, right: list[Part], joining: Joining) -> Iterator[Part]:
    """The windows that begin at the first, second ... sample of every block."""
    ends = [left[-1]]
    for sample in reversed(left[:-1]):
        ends.append(joining.merge(ends[-1], sample))
    rest = None if middle is None else joining.about(middle, left[-1])
    for step, end in enumerate(reversed(ends)):
        if step > 0:
            sample = right[step - 1]
            rest = joining.about(sample, left[-1]) if rest is None else joining.merge(rest, sample)
        yield end if rest is None else joining.merge(end, rest)


def _between(part: Part, window: int, length: int, run: int, blocks: int, joining: Joining, axis: int) -> Part:
    """For each block, the merged ``window - length`` samples that follow it."""
    whole, over = divmod(window - length, length)
    totals, begins = [], []
    for first in range(0, blocks + whole, run):
        lanes = min(run, blocks + whole - first)
        samples = _rows(part, (first + 1) * length, lanes, length, axis, joining.dtype)
        state = samples[0]
        for position in range(1, length + 1):
            if position == over:
                begins.append(state)
            if position < length:
                state = joining.merge(state, samples[position])
        totals.append(state)
    after = each(lambda t: t.narrow(axis, whole, blocks), cat(begins, axis)) if over else None
    if not whole:
        assert after is not None
        return after
    held = each(lambda t: t.narrow(axis, 0, blocks + whole - 1), cat(totals, axis))
    runs = by_doubling(held, whole, joining.merge, axis)
    return runs if after is None else joining.merge(runs, after)


def by_doubling(part: Part, window: int, merge: Callable[[Part, Part], Part], axis: int) -> Part:
    """Windows from windows of 1, 2, 4 ... parts: one for every binary digit of `window`."""
    tensor = next(field for field in part if isinstance(field, Tensor))
    count = tensor.shape[axis] - window + 1
    result: Part | None = None
    done, size = 0, 1
    while True:
        if window & size:
            here = each(lambda t, d=done: t.narrow(axis, d, count), part)
            result = here if result is None else merge(result, here)
            done += size
            if done == window:
                return result
        part = merge(
            each(lambda t, s=size: t.narrow(axis, 0, t.shape[axis] - s), part),
            each(lambda t, s=size: t.narrow(axis, s, t.shape[axis] - s), part),
        )
        size *= 2


def cat(pieces: list[Part], axis: int) -> Part:
    return pieces[0] if len(pieces) == 1 else each(lambda *tensors: torch.cat(tensors, axis), *pieces)


def _worked(t: Tensor, dtype: torch.dtype | None) -> torch.dtype:
    return dtype if dtype is not None and t.is_floating_point() else t.dtype


def _lift(part: Part, dtype: torch.dtype | None) -> Part:
    return part if dtype is None else each(lambda t: t.to(_worked(t, dtype)), part)


def take(part: Part, start: int, size: int, axis: int) -> Part:
    """`size` places from `start`; zeros stand for those after the end, which no asked window holds."""

    def take(t: Tensor) -> Tensor:
        held = t.narrow(axis, min(start, t.shape[axis]), max(0, min(size, t.shape[axis] - start)))
        missing = size - held.shape[axis]
        return pad(held, (0, missing) if axis else (0, 0, 0, missing)) if missing else held

    return each(take, part)


def _rows(part: Part, start: int, lanes: int, length: int, axis: int, dtype: torch.dtype | None) -> list[Part]:
    """The first, second ... samples of `lanes` blocks: along time transposed into lanes, down a grid as they lie."""

    def lay(t: Tensor) -> Tensor:
        if not axis:
            return t.reshape(lanes, length, -1).transpose(0, 1)
        apart = t.reshape(-1, lanes, length).permute(2, 0, 1)
        if t.requires_grad:
            return apart.contiguous()
        return torch.empty(apart.shape, dtype=_worked(t, dtype), device=t.device).copy_(apart)

    laid = _lift(each(lay, take(part, start, lanes * length, axis)), dtype)
    return [each(lambda t, j=j: t[j], laid) for j in range(length)]
