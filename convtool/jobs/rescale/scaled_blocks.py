"""Blocks on their way through a scaling, watched for samples outside the range that it is for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import ceil, floor, inf
from typing import TYPE_CHECKING

from convtool.errors import InputError
from convtool.ops.blocks import Blockwise, Work

if TYPE_CHECKING:
    from torch import Tensor


class ScaledBlocks(Blockwise):
    """`scale` on every block. Imported with torch loaded.

    Args:
        scale: what becomes of a block; it works number by number.
        ranges: samples outside are counted: one range, or one for each channel. None counts nothing.
        no_place: what there is to say of the first sample outside a range of a single number, which has no place for
            others and ends the work; None lets them be.
    """

    def __init__(
        self,
        scale: Callable[[Tensor], Tensor],
        ranges: Sequence[tuple[float, float]] | None,
        *,
        no_place: str | None,
    ) -> None:
        self._scale, self._ranges, self._no_place = scale, ranges, no_place
        self.outside = 0

    def stage(self, block: Tensor) -> Work:
        if self._ranges is not None:
            self._watch(block, self._ranges)
        self._nothing = block[..., :0]
        return partial(self._scale, block)

    def stage_end(self) -> Work:
        return lambda: self._nothing

    def all_of(self, numbers: Tensor) -> tuple[Tensor, Tensor] | None:
        """What becomes of `numbers` ``(channels, n)``, and which of them lie outside; None where one may end the work.

        Nothing is counted.
        """
        if self._no_place and any(low == high for low, high in self._ranges or ()):
            return None
        least, most = _limits(numbers, self._ranges or [(-inf, inf)])
        return self._scale(numbers), (numbers < least) | (numbers > most)

    def _watch(self, block: Tensor, ranges: Sequence[tuple[float, float]]) -> None:
        least, most = _limits(block, ranges)
        low, high = block.amin(-1, keepdim=True), block.amax(-1, keepdim=True)
        if bool(((low >= least) & (high <= most)).all()):  # the usual case, at a fraction of the cost
            return
        outside = (block < least) | (block > most)
        count = int(outside.count_nonzero())
        single = block.new_tensor([low == high for low, high in ranges]).bool().unsqueeze(-1)
        if count and self._no_place and (outside & single).any():
            raise InputError(f"{self._no_place}; fit to data that varies")
        self.outside += count


def _limits(block: Tensor, ranges: Sequence[tuple[float, float]]) -> tuple[Tensor, Tensor]:
    """The ends of the ranges as numbers of `block`, a row each."""
    if not block.is_floating_point():  # whole numbers, of which the same ones lie between these
        ranges = [(ceil(_in_int64(low)), floor(_in_int64(high))) for low, high in ranges]
    least, most = block.new_tensor(ranges).T.unsqueeze(-1)
    return least, most


def _in_int64(number: float) -> float:
    return max(-(1 << 63), min(number, (1 << 63) - 1))
