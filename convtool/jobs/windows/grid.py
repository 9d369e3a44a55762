"""Grids on their way through an operation: rows arrive where a signal has its samples. Imported with torch loaded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from convtool.errors import InputError
from convtool.jobs.stream import Ingest
from convtool.ops.blocks import Blockwise, Work
from convtool.signals.signal import Block

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class GridIngest(Ingest):
    """Blocks ``(..., columns, rows)``, as readers give them, become tensors ``(..., rows, columns)``."""

    rows: int = field(default=0, init=False)

    def tensor(self, block: Block) -> Tensor:
        """`block` as a tensor of the working dtype, its rows one after the other in memory."""
        made = super().tensor(block.swapaxes(-1, -2))
        self.rows += block.shape[-1]
        return made

    def _clean(self, block: Block) -> Block:
        if self.nan == "zero":
            return super()._clean(block)
        *_, row, column = np.argwhere(~np.isfinite(block))[0]
        raise InputError(f"row {self.rows + row + 1}, column {column + 1} is NaN or infinite; see --nan")


class StatRows(Blockwise):
    """An operation that makes ``(..., S, rows', columns')`` of grids, its outputs turned as writers take them.

    They are ``(..., columns', rows')`` for one statistic, else ``(leading * S, columns', rows')``.
    """

    def __init__(self, operation: Blockwise) -> None:
        self._operation = operation

    def stage(self, block: Tensor) -> Work:
        return _turned(self._operation.stage(block))

    def stage_end(self) -> Work:
        return _turned(self._operation.stage_end())


def _turned(work: Work) -> Work:
    def turned() -> Tensor:
        made = work().transpose(-1, -2)
        return made.squeeze(0) if made.dim() == 3 and len(made) == 1 else made.flatten(0, -3)

    return turned
