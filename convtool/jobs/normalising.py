"""A result kept until its peak is known, and then written so that the peak is where it was asked for."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from convtool.files.atomic import existing, write_error
from convtool.jobs import progress
from convtool.signals.opening import Output, peak_of
from convtool.signals.signal import Block, decibels

_IN_MEMORY = 1 << 24
"""Bytes of a result that need no temporary file."""


class Normalised:
    """What stands between a stream and its output: it takes all blocks of a result, and `finish` writes them.

    The temporary file is in the output's folder, where there is room for something of that size. Reading a result back
    is several times as fast as computing it once more.
    """

    def __init__(self, output: Output) -> None:
        self._output = output
        folder = existing(os.path.dirname(output.path) or ".") if output.path else None
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY, dir=folder)
        self._shapes: list[tuple[tuple[int, ...], np.dtype[Any]]] = []
        self._peak = 0.0

    def encode(self, block: Block) -> tuple[Block, float]:
        """A block and its peak; any thread may call it."""
        return np.ascontiguousarray(block), peak_of(block)

    def write(self, encoded: tuple[Block, float]) -> None:
        """Keep the next block."""
        block, peak = encoded
        self._peak = max(self._peak, peak)
        self._shapes.append((block.shape, block.dtype))
        try:
            self._file.write(block.data)
        except OSError as error:
            raise write_error(self._output.path or tempfile.gettempdir(), error) from error

    def finish(self, target: float, record: Callable[[Block], None] | None) -> float | None:
        """Write everything with its peak at `target` decibels; by how many it was changed, None for silence.

        x / peak is at most 1, whatever is rounded, and at the peak it is 1: so the peak is the target to the bit. NaN
        and infinities stay what they are.
        """
        level = 10.0 ** (target / 20)
        for block in progress.passing_again(self._blocks(), sum(shape[-1] for shape, _ in self._shapes)):
            if self._peak:
                block = (np.divide(block, self._peak, dtype=np.float64) * level).astype(block.dtype)
            self._output.write(self._output.encode(block))
            if record is not None:
                record(block)
        found = decibels(self._peak)
        return None if found is None else target - found

    def _blocks(self) -> Iterator[Block]:
        """All that was kept, as it was."""
        self._file.seek(0)
        for shape, dtype in self._shapes:
            yield np.frombuffer(self._file.read(int(np.prod(shape)) * dtype.itemsize), dtype).reshape(shape)

    def discard(self) -> None:
        """Give the room back."""
        self._file.close()
