"""Windows over what arrives in blocks: what is kept until later, and where the arithmetic is cut."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from convtool.errors import InputError
from convtool.ops.blocks import Blockwise
from convtool.ops.edges import Edges
from convtool.ops.parallel import keep_freed_memory

if TYPE_CHECKING:
    from convtool.ops.blocks import Work
    from convtool.ops.windows.request import Request

# Samples in one piece of work: small enough to share out to threads, large enough for its overlap to cost little.
_CHUNK = 1 << 19

Absent = tuple[int, int]
"""How many samples of a piece, at its beginning and at its end, only fill the windows that shrink there."""

Compute = Callable[[Tensor, int, Absent], Tensor]


class Padding(NamedTuple):
    """What stands around a signal for mode ``same``, and how much: `mode` as in `torch.nn.functional.pad`, or ``none``.

    With ``none`` it is zeros that are `absent` from the windows.
    """

    mode: str
    left: int
    right: int

    @staticmethod
    def around(window: int, mode: str, align: str) -> Padding:
        """So much that the window of output n lies around sample n, from it on (``left``) or up to it (``right``)."""
        left = {"center": window // 2, "left": 0, "right": window - 1}[align]
        return Padding(mode, left, window - 1 - left)

    def check(self, samples: int, what: str) -> None:
        """InputError where `samples` are too few to be reflected or wrapped around."""
        wide = max(self.left, self.right)
        bound, least = ("more than", wide + 1) if self.mode == "reflect" else ("at least", wide)
        if self.mode in ("reflect", "circular") and wide and samples < least:
            raise InputError(
                f"{self.mode} padding for this window needs {bound} {wide} {what}, and there are {samples}; "
                f'use a shorter window, or padding mode "none", "replicate" or "zeros"'
            )

    def absent(self, begin: int, size: int, received: int) -> Absent:
        """Those of `size` samples from `begin`, counted with the padding, that no window holds.

        `received` are those that came so far, or all: what was not padded yet is not asked for.
        """
        if self.mode != "none":
            return 0, 0
        return max(0, self.left - begin), max(0, begin + size - self.left - received)

    def edges(self, before: Tensor | None) -> Edges:
        """The padding of ``(B, X, T)`` along T; `before` holds the last samples of all, for ``circular``."""
        if self.mode != "circular" or before is None:
            return Edges(self.mode, self.left, self.right, None)
        return Edges(self.mode, self.left, self.right, before[..., max(0, before.shape[-1] - self.left) :])

    def whole(self, x: Tensor) -> Tensor:
        """``(B, X, T)`` padded along T."""
        edges = self.edges(x)
        return torch.cat([*edges.feed(x), edges.end()], -1)


class Piece(NamedTuple):
    """Some of the work, and how many outputs it makes along the axis on which blocks arrive."""

    outputs: int
    work: Work


class Cutter:
    """Cuts what arrives into pieces of work at fixed places, so that the blocks' lengths can't matter.

    Args:
        window: W, along the axis on which blocks arrive.
        axis: that axis of the blocks ``(B, X, Y)``, 1 or 2.
        padding: what stands around all of it; None for windows inside only.
        compute: makes the outputs from the samples of a piece and the index of the first window wanted in it.
        what: what lies along the axis, for messages.
        grain: pieces begin at multiples of so many windows; the arithmetic on each fills blocks of this length.
        lent: blocks stay as they are until all work is done, so that they need not be copied.
    """

    def __init__(
        self, window: int, axis: int, padding: Padding | None, compute: Compute, what: str, *, grain: int, lent: bool
    ) -> None:
        self._window, self._axis, self._padding, self._compute, self._what = window, axis, padding, compute, what
        self._grain, self._lent = grain, lent
        self._edges: Edges | None = None
        self._pending: list[Tensor] = []
        self._held = 0
        self._position = 0  # of the first pending sample in what is padded, and so of the next window
        self.received = 0
        keep_freed_memory()

    def feed(self, block: Tensor, before: Tensor | None) -> None:
        """Take in a block ``(B, X, Y)``."""
        self.received += block.shape[self._axis]
        if not self._lent:
            block = block.clone()
        pieces = [block]
        if self._padding is not None:
            if self._edges is None:
                self._edges = self._padding.edges(None if before is None else self._along(before))
            known = block.shape[self._axis] > 0
            pieces = [self._along(piece) for piece in self._edges.feed(self._along(block))] if known else []
        self._add(pieces)

    def end(self) -> None:
        """Take in the end.

        Raises:
            InputError: nothing came, or less than a window or its padding needs.
        """
        what, window = self._what, self._window
        if self.received == 0:
            raise InputError(f"the input is empty; a window of {window} {what} needs at least one of them")
        if self._padding is None:
            if self.received < window:
                raise InputError(
                    f"a window of {window} {what} is longer than the input, which has {self.received}; "
                    f'use a window of at most {self.received}, or mode "same"'
                )
            return
        self._padding.check(self.received, what)
        assert self._edges is not None
        self._add([self._along(self._edges.end())])

    def works(self, stride: int, *, ended: bool) -> list[Piece]:
        """The work on whole pieces of the windows that are complete; at the end, on all of them."""
        ready = max(0, self._held - self._window + 1)
        size = self._piece()
        pieces = -(-ready // size) if ended else ready // size
        if pieces == 0:
            return []
        used = min(pieces * size, ready)
        parts = self._first(used + self._window - 1)
        joined = torch.cat(parts, self._axis) if len(parts) > 1 else parts[0]
        made: list[Piece] = []
        for start in range(0, pieces * size, size):
            count = min(size, ready - start)
            first = -(self._position + start) % stride
            if first < count:
                outputs = len(range(first, count, stride))
                work = self._work(start, joined.narrow(self._axis, start, count + self._window - 1), first)
                made.append(Piece(outputs, work))
        self._drop(used)
        return made

    def _first(self, samples: int) -> list[Tensor]:
        """The first of the pending samples."""
        parts: list[Tensor] = []
        for piece in self._pending:
            there = min(samples, piece.shape[self._axis])
            if there:
                parts.append(piece.narrow(self._axis, 0, there))
            samples -= there
        return parts

    def _drop(self, samples: int) -> None:
        """Leave the first of the pending samples behind."""
        self._held -= samples
        self._position += samples
        while self._pending and samples >= self._pending[0].shape[self._axis]:
            samples -= self._pending.pop(0).shape[self._axis]
        if samples:
            first = self._pending[0]
            self._pending[0] = first.narrow(self._axis, samples, first.shape[self._axis] - samples)

    def _work(self, start: int, piece: Tensor, first: int) -> Work:
        absent = 0, 0
        if self._padding is not None:
            absent = self._padding.absent(self._position + start, piece.shape[self._axis], self.received)
        return lambda: self._compute(piece, first, absent)

    def _piece(self) -> int:
        """Windows in one piece of work: it depends on the shape of the blocks, not on their length."""
        shape = self._pending[0].shape if self._pending else (1, 1, 1)
        across = max(1, shape[0] * shape[3 - self._axis])
        return -(-max(_CHUNK // across, 4 * self._window) // self._grain) * self._grain

    def _add(self, pieces: list[Tensor]) -> None:
        self._pending += pieces
        self._held += sum(piece.shape[self._axis] for piece in pieces)

    def _along(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2) if self._axis == 1 else x


class Sliding(Blockwise):
    """Windows along one axis of what arrives in blocks: the part that signals and grids share.

    Attributes:
        axis: the axis of the outputs that grows.
        nothing: outputs of length 0 along it, once a block has told the other dimensions.
    """

    axis: int
    nothing: Tensor
    _request: Request
    _cutter: Cutter

    @abstractmethod
    def feed(self, block: Tensor) -> None:
        """Take in the next block, leaving the work on it for `end`."""

    def stage(self, block: Tensor) -> Work:
        """Take in the next block; the function returned computes the outputs that it completes."""
        self.feed(block)
        return self._together(self._cutter.works(self._request.strides[0], ended=False))

    def stage_end(self) -> Work:
        """Take in the end; the function returned computes the last outputs.

        Raises:
            InputError: there was nothing, or less than the window or its padding needs.
        """
        return self._together(self.end())

    def end(self) -> list[Piece]:
        """Take in the end: all work that is left, whose outputs are joined along `axis`."""
        self._cutter.end()
        return self._cutter.works(self._request.strides[0], ended=True)

    def _together(self, pieces: list[Piece]) -> Work:
        nothing = self.nothing
        if len(pieces) == 1:
            return pieces[0].work
        return lambda: torch.cat([piece.work() for piece in pieces], self.axis) if pieces else nothing
