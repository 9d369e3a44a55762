"""Samples kept on their way past, for a picture at the end."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from convtool.signals.signal import Block, Signal, as_float

KEPT = 1 << 24
"""Numbers kept of each signal; a picture of a longer one shows its beginning."""


class Record:
    """The beginning of a signal, as blocks of it pass."""

    def __init__(self) -> None:
        self._blocks: list[Block] = []
        self._values = 0

    def add(self, block: Block) -> None:
        """Keep `block`, if there is room for it."""
        if self._values < KEPT:
            self._blocks.append(block.reshape(-1, block.shape[-1]).copy())
            self._values += block.size

    def pass_on(self, blocks: Iterator[Block], signal: Signal) -> Iterator[Block]:
        """The same blocks, each added as it passes."""
        for block in blocks:
            self.add(as_float(block, signal) if signal.full_scale else block)
            yield block

    def samples(self) -> Block:
        """What was kept, `(channels, samples)`."""
        return np.concatenate(self._blocks, axis=-1)
