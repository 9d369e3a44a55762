"""Sound of 16 bits scaled by looking each sample up among the results of all 65 536 that there are.

A scaling takes each number by itself, so the results are those of the arithmetic to the bit, in a fraction of its time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from convtool.jobs.stream import Made
from convtool.signals.pcm import Encoded
from convtool.signals.signal import Block

if TYPE_CHECKING:
    from convtool.jobs.rescale.scaled_blocks import ScaledBlocks
    from convtool.jobs.stream import Ingest

FEWEST = 1 << 18
"""Numbers of a signal from which a table is worth its making."""

_HALF = 1 << 15
_CHANNELS = 8
"""Channels up to which a table is worth its making."""


class _Between(NamedTuple):
    """The levels from `least` to `most`."""

    least: int
    most: int

    def beyond(self, samples: Block, low: int, high: int) -> int:
        """How many samples are not among these levels; `low` and `high` are their extremes."""
        if self.least <= low and high <= self.most:
            return 0
        return int(np.count_nonzero(samples < self.least) + np.count_nonzero(samples > self.most))


class _Row(NamedTuple):
    """What becomes of the levels of a channel."""

    results: NDArray[Any]
    """From the lowest level to the highest, rising."""
    table: NDArray[Any]
    """In the numbers of the output, from level 0 up, and behind the highest the lowest: as 16 bits without a sign."""
    inside: _Between
    """Those that are not counted as outside."""
    unclipped: _Between


class Levels:
    """The stage of a stream of int16; see `convtool.jobs.stream.Stage`."""

    def __init__(self, operation: ScaledBlocks, rows: list[_Row]) -> None:
        self._operation, self._rows = operation, rows
        self._lock = Lock()

    def __call__(self, block: Block | None) -> Callable[[], Made]:
        if block is None:
            return lambda: Made(0, None, None)
        return lambda: Made(block.shape[-1], (self._encoded(block), 0.0), None)

    def _encoded(self, block: Block) -> Encoded:
        if len(self._rows) == 1:
            samples = np.ascontiguousarray(block.T)
            frames = np.take(self._rows[0].table, samples.view(np.uint16))
            parts = [(self._rows[0], samples)]
        else:
            parts = [(row, np.ascontiguousarray(samples)) for row, samples in zip(self._rows, block, strict=True)]
            frames = np.empty(block.shape[::-1], self._rows[0].table.dtype)
            for channel, (row, samples) in enumerate(parts):
                frames[:, channel] = np.take(row.table, samples.view(np.uint16))
        outside = clipped = 0
        peak = 0.0
        for row, samples in parts:
            low, high = int(samples.min()), int(samples.max())
            outside += row.inside.beyond(samples, low, high)
            clipped += row.unclipped.beyond(samples, low, high)
            peak = max(peak, -float(row.results[low + _HALF]), float(row.results[high + _HALF]))
        with self._lock:
            self._operation.outside += outside
        return Encoded(frames, clipped, peak)


def levels_of(ingest: Ingest, operation: ScaledBlocks, encode: Callable[[Block], tuple[Any, float]]) -> Levels | None:
    """The scaling of a signal by its levels; None where they are not 65 536 that rise, or it is too short for them.

    Args:
        ingest: how blocks of the signal become tensors.
        operation: the scaling.
        encode: what the output takes for results.
    """
    signal = ingest.signal
    short = signal.frames is not None and signal.frames * signal.channels < FEWEST
    if signal.full_scale != _HALF or ingest.device != "cpu" or signal.channels > _CHANNELS or short:
        return None
    levels = np.tile(np.arange(-_HALF, _HALF, dtype=np.int16), (signal.channels, 1))
    found = operation.all_of(replace(ingest).tensor(levels))
    if found is None:
        return None
    results, outside = (each.numpy() for each in found)
    encoded, _ = encode(results)
    if not isinstance(encoded, Encoded) or encoded.bad or (np.diff(results) < 0).any():
        return None
    rows = [
        _Row(values, np.roll(frames, _HALF), _between(beyond), _unclipped(values, encode))
        for values, frames, beyond in zip(results, encoded.frames.T, outside, strict=True)
    ]
    alike = (results == results[0]).all() and all(row.inside == rows[0].inside for row in rows)
    return Levels(operation, rows[:1] if alike else rows)


def _between(beyond: NDArray[np.bool_]) -> _Between:
    """The levels that are not `beyond`; those that are stand at the ends."""
    (kept,) = np.nonzero(~beyond)
    return _Between(int(kept[0]) - _HALF, int(kept[-1]) - _HALF) if len(kept) else _Between(_HALF, _HALF)


def _unclipped(results: NDArray[Any], encode: Callable[[Block], tuple[Any, float]]) -> _Between:
    """The levels whose rising `results` are not clipped."""
    zero = int(np.searchsorted(results, 0))
    low, high = (encode(part[np.newaxis])[0].clipped for part in (results[:zero], results[zero:]))
    return _Between(low - _HALF, _HALF - 1 - high)
