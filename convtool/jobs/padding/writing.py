"""Rows into the arrays of a batch, block by block: no batch is ever whole in memory."""

from __future__ import annotations

import ctypes
import platform
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from convtool.arrays.writing import Array, ArrayWriter
from convtool.errors import OutputError
from convtool.jobs.padding.rows import Miscounted, Row, RowOptions, Samples, read_row
from convtool.runs.run import explain
from convtool.signals.signal import BLOCK_SAMPLES

PaddingMode = Literal["constant", "reflect", "replicate", "circular"]
NUMPY_MODES: dict[PaddingMode, Any] = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
"""What `numpy.pad` calls padding that repeats samples."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of malloc.h
_KEPT = 32 << 20
_TRUE = np.ones(BLOCK_SAMPLES, dtype=np.bool_)


@dataclass(frozen=True, kw_only=True)
class Padding:
    """How rows are brought to one length, and the order of a batch's axes."""

    side: Literal["left", "right"] = "right"
    value: float = 0.0
    mode: PaddingMode = "constant"
    layout: Literal["NCT", "NTC"] = "NCT"
    pool: Literal["max", "mean", "std"] | None = None


@dataclass(frozen=True)
class Shape:
    """The shape of one batch; `flat` leaves out the axis of channels."""

    rows: int
    channels: int
    samples: int
    dtype: str
    flat: bool

    def arrays(self, padding: Padding, *, mask: bool = True) -> list[Array]:
        """What a file of this batch holds."""
        axes = (self.channels, self.samples) if padding.layout == "NCT" else (self.samples, self.channels)
        shape = (self.rows, self.samples) if self.flat else (self.rows, *axes)
        arrays = [Array("batch", self.dtype, shape), Array("lengths", "int64", (self.rows,))]
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
    options: RowOptions

    def write_row(self, index: int, row: Row) -> RowResult:
        """Write one row; any thread may call it.

        Raises:
            OutputError: the file can't be written.
        """
        result = RowResult(row)
        started = time.perf_counter()
        try:
            samples = read_row(row, self.shape.dtype, self.options, result.notes)
            if self.padding.mode == "constant" and self.padding.pool is None:
                self._streamed(index, row, samples)
            else:
                self._whole(index, row, np.concatenate(list(samples), axis=-1))
        except OutputError:
            raise
        except Miscounted as found:
            result.counted = found.samples
        except Exception as error:  # of any kind: one file stops no other
            result.error = explain(error)
        result.seconds = round(time.perf_counter() - started, 6)
        return result

    def _streamed(self, index: int, row: Row, blocks: Iterator[Samples]) -> None:
        """Write a row as it is decoded, and constant padding."""
        start = at = self._start(row)
        for block in blocks:
            self._put(index, at, block)
            at += block.shape[-1]
        if self.padding.value:
            self._fill(index, 0, start)
            self._fill(index, at, self.shape.samples)
        self._mark(index, start, at)

    def _whole(self, index: int, row: Row, samples: Samples) -> None:
        """Write a row that has to be whole in memory: pooled, or padded with its own samples."""
        if self.padding.pool is not None:
            self.files["pooled"].write("pooled", index * self.shape.channels, self._pooled(samples))
        if self.padding.mode == "constant":
            return self._streamed(index, row, iter([samples]))
        start = self._start(row)
        end = start + row.length
        widths = ((0, 0), (start, self.shape.samples - end))
        self._put(index, 0, np.pad(samples, widths, mode=NUMPY_MODES[self.padding.mode]))
        return self._mark(index, start, end)

    def _start(self, row: Row) -> int:
        return self.shape.samples - row.length if self.padding.side == "left" else 0

    def _pooled(self, samples: Samples) -> Samples:
        import torch

        from convtool.ops.pooling import masked_pool

        assert self.padding.pool is not None
        values = torch.from_numpy(np.ascontiguousarray(samples))
        mask = torch.ones(1, samples.shape[-1], dtype=torch.bool)
        pooled: Samples = masked_pool(values[None], mask, kind=self.padding.pool).numpy()
        return pooled

    def _mark(self, index: int, start: int, end: int) -> None:
        """The mask of a row whose samples stand from `start` to `end`."""
        if "mask" in self.files:
            for at in range(start, end, BLOCK_SAMPLES):
                self.files["mask"].write("mask", index * self.shape.samples + at, _TRUE[: end - at])

    def _fill(self, index: int, start: int, end: int) -> None:
        step = max(1, BLOCK_SAMPLES // self.shape.channels)
        for at in range(start, end, step):
            block = np.full((self.shape.channels, min(step, end - at)), self.padding.value, self.shape.dtype)
            self._put(index, at, block)

    def _put(self, index: int, at: int, block: Samples) -> None:
        """`block` ``(channels, samples)`` into row `index`, from sample `at` on."""
        channels, samples = self.shape.channels, self.shape.samples
        file = self.files["batch"]
        if self.padding.layout == "NTC":
            file.write("batch", (index * samples + at) * channels, block.T)
            return
        for channel, values in enumerate(block):
            file.write("batch", (index * channels + channel) * samples + at, values)


def keep_freed_memory() -> None:
    """Let glibc keep what threads free: giving back the pages of every block and taking new ones costs as much as
    decoding."""
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, _KEPT)
        libc.mallopt(_M_TRIM_THRESHOLD, _KEPT)
