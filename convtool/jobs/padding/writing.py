"""Rows into the arrays of a batch, block by block: no batch is ever whole in memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from convtool.arrays.writing import Array, ArrayWriter
from convtool.errors import OutputError
from convtool.jobs.padding.rows import Miscounted, Row, Samples
from convtool.jobs.padding.segments import Recordings
from convtool.runs.run import explain
from convtool.signals.signal import BLOCK_SAMPLES

if TYPE_CHECKING:
    from convtool.ops.padding import Layout, PaddingMode, Side
    from convtool.ops.pooling import Kind

_REPEATED: dict[str, Callable[[Samples, int], Samples]] = {
    "reflect": lambda n, size: size - 1 - abs(n % max(1, 2 * size - 2) - size + 1),
    "replicate": lambda n, size: n.clip(0, size - 1),
    "circular": lambda n, size: n % size,
}
"""Which of `size` samples stand at the places n, below 0 and beyond them too."""

_TRUE = np.ones(BLOCK_SAMPLES, dtype=np.bool_)


@dataclass(frozen=True, kw_only=True)
class Padding:
    """How rows are brought to one length, and the order of a batch's axes."""

    side: Side = "right"
    value: float = 0.0
    mode: PaddingMode = "constant"
    layout: Layout = "NCT"
    pool: Kind | None = None


@dataclass(frozen=True)
class Shape:
    """The shape of one batch; `flat` leaves out the axis of channels."""

    rows: int
    channels: int
    samples: int
    dtype: str
    flat: bool
    labels: tuple[tuple[str, str], ...] = ()

    def arrays(self, padding: Padding, *, mask: bool = True) -> list[Array]:
        """What a file of this batch holds."""
        axes = (self.channels, self.samples) if padding.layout == "NCT" else (self.samples, self.channels)
        shape = (self.rows, self.samples) if self.flat else (self.rows, *axes)
        arrays = [Array("batch", self.dtype, shape), Array("lengths", "int64", (self.rows,))]
        arrays += [Array(name, dtype, (self.rows,)) for name, dtype in self.labels]
        if mask:
            arrays.append(Array("mask", "bool", (self.rows, self.samples)))
        if padding.pool is not None:
            exact = self.dtype == "int64" and padding.pool != "max"
            pooled = "float64" if exact else self.dtype
            arrays.append(Array("pooled", pooled, (self.rows,) if self.flat else (self.rows, self.channels)))
        return arrays


@dataclass
class RowResult:
    """What became of a row."""

    row: Row
    error: str | None = None
    """Why it can't be read."""
    counted: int | None = None
    """Samples that its file really holds, where the header was wrong and the row has to be written again."""
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    worker: str | None = None
    """The address of the cluster's worker that wrote it."""

    @property
    def missed(self) -> bool:
        """Whether the row is not in the batch as it was planned."""
        return self.error is not None or self.counted is not None


@dataclass(frozen=True)
class BatchWriting:
    """The writing of one batch into `files`, which has the file of each array."""

    files: Mapping[str, ArrayWriter]
    shape: Shape
    padding: Padding
    recordings: Recordings

    def write_row(self, index: int, row: Row) -> RowResult:
        """Write one row; any thread may call it.

        Raises:
            OutputError: the file can't be written.
        """
        result = RowResult(row)
        started = time.perf_counter()
        try:
            samples = self.recordings.read(row, result.notes)
            if self.padding.pool is not None or self.padding.mode != "constant":
                samples = iter([self._whole(index, row, samples)])
            self._streamed(index, row, samples)
        except OutputError:
            raise
        except Miscounted as found:
            result.counted = found.samples
        except Exception as error:  # of any kind: one file stops no other
            result.error = explain(error)
        result.seconds = round(time.perf_counter() - started, 6)
        return result

    def _streamed(self, index: int, row: Row, blocks: Iterator[Samples]) -> None:
        """Write a row as it is decoded, its mask, and constant padding."""
        start = at = self._start(row)
        for block in blocks:
            self._put(index, at, block)
            at += block.shape[-1]
        if self.padding.value:
            self._pad(index, start, at, self._constant)
        if "mask" in self.files:
            for real in range(start, at, BLOCK_SAMPLES):
                self.files["mask"].write("mask", index * self.shape.samples + real, _TRUE[: at - real])

    def _whole(self, index: int, row: Row, blocks: Iterator[Samples]) -> Samples:
        """All samples of a row, once they are pooled and their repetitions written."""
        samples, filled = np.empty((self.shape.channels, row.length), self.shape.dtype), 0
        for block in blocks:
            samples[:, filled : filled + block.shape[-1]] = block
            filled += block.shape[-1]
        if self.padding.pool is not None:
            import torch

            from convtool.ops.pooling import masked_pool

            mask = torch.ones(1, row.length, dtype=torch.bool)
            pooled = masked_pool(torch.from_numpy(samples)[None], mask, kind=self.padding.pool)
            self.files["pooled"].write("pooled", index * self.shape.channels, pooled.numpy())
        if self.padding.mode != "constant":
            start, repeat = self._start(row), _REPEATED[self.padding.mode]
            end = start + row.length
            self._pad(
                index, start, end, lambda at, count: samples[:, repeat(np.arange(at, at + count) - start, row.length)]
            )
        return samples

    def _start(self, row: Row) -> int:
        return self.shape.samples - row.length if self.padding.side == "left" else 0

    def _constant(self, _: int, count: int) -> Samples:
        return np.full((self.shape.channels, count), self.padding.value, self.shape.dtype)

    def _pad(self, index: int, start: int, end: int, block: Callable[[int, int], Samples]) -> None:
        """Put ``block(at, count)`` before sample `start` and from sample `end` on."""
        step = max(1, BLOCK_SAMPLES // self.shape.channels)
        for first, last in ((0, start), (end, self.shape.samples)):
            for at in range(first, last, step):
                self._put(index, at, block(at, min(step, last - at)))

    def _put(self, index: int, at: int, block: Samples) -> None:
        """`block` ``(channels, samples)`` into row `index`, from sample `at` on."""
        channels, samples = self.shape.channels, self.shape.samples
        file = self.files["batch"]
        if self.padding.layout == "NTC":
            file.write("batch", (index * samples + at) * channels, block.T)
            return
        for channel, values in enumerate(block):
            file.write("batch", (index * channels + channel) * samples + at, values)
