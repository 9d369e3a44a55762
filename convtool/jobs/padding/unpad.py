"""`convtool unpad-batch`: the rows of a batch as signals again."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convtool.arrays import WeightFile, open_weights
from convtool.errors import InputError
from convtool.jobs.padding.reading import StoredBatch, StoredRow
from convtool.jobs.side_by_side import side_by_side
from convtool.runs.outcome import Outcome
from convtool.runs.plan import Task
from convtool.runs.run import perform
from convtool.signals.opening import Output, WriteOptions
from convtool.signals.signal import BLOCK_SAMPLES

Samples = NDArray[Any]
_Placed = tuple[Task, StoredRow, Samples | InputError]


def unpad(batch: StoredBatch, tasks: Sequence[Task], write: WriteOptions, *, threads: int) -> Iterator[Outcome]:
    """Write each row of `batch` where its task says, `threads` at a time; what became of each, in order.

    Nothing is written of a batch whose checksum does not hold.
    """

    def work(placed: _Placed) -> Outcome:
        task, row, values = placed
        return Outcome.of(task, "skipped") if task.skip else perform(_Writing(row, values, write), task)

    return side_by_side(work, _placed(batch, tasks), threads)


def _placed(batch: StoredBatch, tasks: Sequence[Task]) -> Iterator[_Placed]:
    """Each row with its task and its samples ``(channels, samples)``, or with why these can't be read."""
    done = 0
    try:
        with open_weights(batch.path) as file:
            if file.format in ("npz", "torch"):
                for _ in file.pieces(file.find(batch.array)):
                    pass  # the checksum stands at the end
            for task, row, values in zip(tasks, batch.rows, _rows(batch, file), strict=True):
                start = values.shape[-1] - row.length if batch.side == "left" else 0
                yield task, row, values[:, start : start + row.length]
                done += 1
    except InputError as error:
        yield from ((task, row, error) for task, row in zip(tasks[done:], batch.rows[done:], strict=True))


def _rows(batch: StoredBatch, file: WeightFile) -> Iterator[Samples]:
    """The rows ``(channels, samples)`` with their padding, one after the other."""
    info = file.find(batch.array)
    shape = info.shape[1:] if len(info.shape) == 3 else (1, *info.shape[1:])
    pieces = file.pieces(info)
    size = math.prod(shape)
    piece: Samples = np.zeros(0)
    for _ in batch.rows:
        values = np.empty(size, batch.dtype)
        filled = 0
        while filled < size:
            if not len(piece):
                piece = next(pieces)
            part = piece[: size - filled]
            values[filled : filled + len(part)] = part
            piece, filled = piece[len(part) :], filled + len(part)
        row = values.reshape(shape)
        yield row.T if batch.layout == "NTC" and len(info.shape) == 3 else row


@dataclass(frozen=True)
class _Writing:
    """One row into a file of its kind."""

    row: StoredRow
    values: Samples | InputError
    write: WriteOptions

    def __call__(self, task: Task) -> Outcome:
        if isinstance(self.values, InputError):
            raise self.values
        row, channels = self.row, len(self.values)
        output = Output(task.output, row.signal, self.write)
        try:
            step = max(1, BLOCK_SAMPLES // channels)
            for at in range(0, row.length, step):
                output.write(output.encode(self.values[:, at : at + step]))
            output.commit()
        finally:
            output.discard()
        outcome = Outcome.of(task, "written")
        outcome.channels, outcome.samples, outcome.sample_rate = channels, row.length, row.signal.sample_rate
        outcome.clipped = output.writer.clipped
        return outcome
