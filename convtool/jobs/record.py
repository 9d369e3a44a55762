"""Samples kept on their way past, for a picture at the end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from convtool.signals.signal import Block, Signal, as_float

if TYPE_CHECKING:
    from convtool.plots import Trace

KEPT = 1 << 24
"""Numbers kept of each signal; of a longer one a picture has its beginning, and the extremes of all of it."""

STRETCH = 4096
"""Samples of which the extremes are kept."""


class Record:
    """The beginning of a signal, and its extremes, as blocks of it pass."""

    def __init__(self) -> None:
        self._blocks: list[Block] = []
        self._low: list[Block] = []
        self._high: list[Block] = []
        self._kept = self._total = self._bad = 0
        self._rest: Block = np.empty((1, 0))
        """What has passed since the last whole stretch."""

    def add(self, block: Block) -> None:
        """Keep `block`, if there is room for it, and its extremes."""
        block = block.reshape(-1, block.shape[-1])
        if self._kept < KEPT:
            self._blocks.append(block.copy())
            self._kept += block.size
        self._total += block.shape[-1]
        finite = np.isfinite(block)
        self._bad += block.size - int(finite.sum())
        values = np.where(finite, block, np.nan) if not finite.all() else block
        if self._rest.size:
            values = np.concatenate([self._rest, values], -1)
        whole = values.shape[-1] // STRETCH * STRETCH
        self._add_extremes(values[:, :whole].reshape(len(values), -1, STRETCH))
        self._rest = values[:, whole:].copy()

    def _add_extremes(self, pieces: Block) -> None:
        if pieces.size:
            self._low.append(np.fmin.reduce(pieces, -1))
            self._high.append(np.fmax.reduce(pieces, -1))

    def pass_on(self, blocks: Iterator[Block], signal: Signal) -> Iterator[Block]:
        """The same blocks, each added as it passes."""
        for block in blocks:
            self.add(as_float(block, signal) if signal.full_scale else block)
            yield block

    def trace(self) -> Trace:
        """What a picture needs."""
        from convtool.plots import Trace

        samples = np.concatenate(self._blocks, axis=-1)
        if samples.shape[-1] == self._total:
            return Trace.of(samples)
        self._add_extremes(self._rest[:, np.newaxis])
        self._rest = self._rest[:, :0]
        low, high = (np.concatenate(each, -1) for each in (self._low, self._high))
        return Trace(samples, self._total, low, high, self._bad)
