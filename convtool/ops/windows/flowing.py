"""Windows over a signal that comes in slowly: each is given as soon as it is complete.

A signal that is there is worked in long pieces, and what stands in a piece chooses between ways of working it which may
differ in their last bits: the exact way of 16-bit steps, that of samples some of which are left out. Of a piece that is
still coming in only what has come may choose. So here each window is worked as the piece would be if it ended with this
window: its bits depend on the samples alone, never on how they came. They are those of the piece itself but where a
later sample of the piece chooses otherwise, and there as exact.

What cuts off a window's arithmetic at its beginning is known from `sample_windows` and `mergeable`: time is laid out in
blocks. So a piece is gone on with from the last block that holds a window to be given.
"""

from __future__ import annotations

from math import lcm
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from convtool.ops.windows import mergeable, sample_windows
from convtool.ops.windows.exact_windows import exactness, is_exact
from convtool.ops.windows.sliding import Cutter, Padding, Piece

if TYPE_CHECKING:
    from collections.abc import Callable

    from convtool.ops.blocks import Work
    from convtool.ops.windows.sliding import Absent


class Past(NamedTuple):
    """What the samples of a piece up to some place choose."""

    sizes: Tensor
    """Of each row ``(rows,)``: see `exactness`."""
    lost: bool
    """Whether there was a NaN."""

    def after(self, x: Tensor) -> Past:
        """The same behind more samples ``(rows, n)``."""
        sizes = exactness(x.nan_to_num(0.0, 0.0, 0.0)).amax(1)
        return Past(torch.maximum(self.sizes, sizes), self.lost or bool(x.isnan().any()))

    def exact(self, x: Tensor, window: int) -> Tensor:
        """Which windows of finite ``(rows, n)`` after them `slide_exact` can work: bool ``(rows, n - W + 1)``."""
        sizes = exactness(x).cummax(1).values[:, window - 1 :]
        return is_exact(torch.maximum(sizes, self.sizes[:, None]), window)

    def late(self, x: Tensor, window: int) -> Tensor:
        """Which windows of ``(rows, n)`` end with the first NaN or after it: ``(n - W + 1,)``."""
        return (x.isnan().any(0).cumsum(0) > 0)[window - 1 :] | self.lost

    def fresh(self) -> Past:
        """That of samples of which none came yet."""
        return Past(torch.zeros_like(self.sizes), lost=False)

    def never_exact(self) -> Past:
        """The same for numbers that are none of those steps."""
        return Past(torch.full_like(self.sizes, torch.inf), self.lost)


class Flowing(Cutter):
    """A `Cutter` of blocks ``(1, rows, samples)`` that gives all windows that are complete, at any time.

    Args:
        window, padding: as of `Cutter`.
        compute: as there, with what was before in the piece.
    """

    def __init__(
        self, window: int, padding: Padding | None, compute: Callable[[Tensor, int, Absent, Past], Tensor], grain: int
    ) -> None:
        super().__init__(window, 2, padding, lambda *_: torch.empty(0), "samples", grain=grain, lent=False)
        self._work_out = compute
        self._blocks = lcm(sample_windows.block_length(window), mergeable.block_length(window))
        self._given = 0  # windows
        self._past: Past | None = None

    def works(self, stride: int, *, ended: bool) -> list[Piece]:
        """The work on all windows that are complete and were not given yet."""
        made: list[Piece] = []
        complete = self._position + self._held - self._window + 1
        if self._given >= complete:
            return made
        self._pending, size = [torch.cat(self._pending, 2)], self._piece()
        while self._given < complete:
            start = self._go_on(self._given // size * size)
            stop = min(complete, (self._given // size + 1) * size)
            first = self._given + -self._given % stride
            if first < stop:
                samples = self._pending[0][..., : stop - start + self._window - 1]
                made.append(Piece(len(range(first, stop, stride)), self._later(samples, first - start)))
            self._given = stop
        self._go_on(self._given // size * size)
        self._pending = [self._pending[0].clone()]
        return made

    def _later(self, samples: Tensor, first: int) -> Work:
        absent = 0, 0
        if self._padding is not None:
            absent = self._padding.absent(self._position, samples.shape[2], self.received)
        past = self._past
        assert past is not None
        return lambda: self._work_out(samples, first, absent, past)

    def _go_on(self, piece: int) -> int:
        """Drop what comes before the next window's block, in the piece from `piece` on; where the rest begins."""
        begin = piece
        if self._padding is not None and self._padding.mode == "none" and piece < self._padding.left <= self._given:
            begin = self._padding.left  # windows that shrink are worked apart
        start = begin + (self._given - begin) // self._blocks * self._blocks
        dropped, pending = start - self._position, self._pending[0]
        if self._past is None or self._position < begin:
            self._past = Past(pending.new_zeros(pending.shape[1], dtype=torch.float64), lost=False)
        if start > begin and dropped:
            self._past = self._past.after(pending[0, :, max(0, begin - self._position) : dropped])
        self._pending = [pending[..., dropped:]]
        self._held -= dropped
        self._position = start
        return start
