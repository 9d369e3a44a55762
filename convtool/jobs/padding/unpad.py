"""`convtool unpad-batch`: the rows of a batch as signals again."""

from __future__ import annotations

import io
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from convtool.arrays import open_weights
from convtool.errors import InputError, OutputError
from convtool.files.names import show
from convtool.jobs.padding.reading import StoredBatch, StoredRow
from convtool.jobs.side_by_side import side_by_side
from convtool.runs.outcome import Outcome
from convtool.runs.plan import Task
from convtool.runs.run import perform
from convtool.signals.opening import Output, WriteOptions
from convtool.signals.signal import BLOCK_SAMPLES

LONG = 4 << 20
"""Bytes of a row that is kept in a temporary file instead of in memory."""
_LONG_ROWS = 4
"""Such rows at a time."""

Samples = NDArray[Any]
Kept = IO[bytes]
"""The numbers of a row without its padding, in the batch's order of axes."""
_Placed = tuple[Task, StoredRow, Kept | InputError]


def unpad(batch: StoredBatch, tasks: Sequence[Task], write: WriteOptions, *, threads: int) -> Iterator[Outcome]:
    """Write each row of `batch` where its task says, `threads` at a time; what became of each, in order.

    The array is read once, from its beginning to its end, as a format that packs it allows nothing else. Nothing is
    written of a batch whose checksum does not hold.
    """
    room = threading.Semaphore(_LONG_ROWS)

    def work(placed: _Placed) -> Outcome:
        task, row, kept = placed
        try:
            return Outcome.of(task, "skipped") if task.skip else perform(_Writing(batch, row, kept, write), task)
        finally:
            if not isinstance(kept, io.BytesIO | InputError):
                room.release()

    return side_by_side(work, _placed(batch, tasks, room), threads)


def _placed(batch: StoredBatch, tasks: Sequence[Task], room: threading.Semaphore) -> Iterator[_Placed]:
    """Each row with its task and its numbers, or with why these can't be read."""
    done = 0
    try:
        for task, row, kept in zip(tasks, batch.rows, _rows(batch, tasks, room), strict=True):
            yield task, row, kept
            done += 1
    except InputError as error:
        yield from ((task, row, error) for task, row in zip(tasks[done:], batch.rows[done:], strict=True))


def _rows(batch: StoredBatch, tasks: Sequence[Task], room: threading.Semaphore) -> Iterator[Kept]:
    """The rows one after the other, a long one once there is room; of those that are skipped, nothing."""
    with open_weights(batch.path) as file:
        info = file.find(batch.array)
        if file.format in ("npz", "torch"):
            for _ in file.pieces(info):
                pass  # the checksum stands at the end
        numbers = _Numbers(file.pieces(info))
        parts, step = (1, batch.channels) if batch.layout == "NTC" else (batch.channels, 1)
        for task, row in zip(tasks, batch.rows, strict=True):
            kept: Kept = io.BytesIO()
            if not task.skip and row.length * batch.channels * np.dtype(batch.dtype).itemsize > LONG:
                room.acquire()
                kept = tempfile.TemporaryFile()
            padding = batch.samples - row.length
            before = padding if batch.side == "left" else 0
            for _ in range(parts):
                numbers.skip(before * step)
                for part in numbers.take(row.length * step):
                    if not task.skip:
                        _keep(kept, part.astype(batch.dtype))
                numbers.skip((padding - before) * step)
            yield kept


def _keep(kept: Kept, part: Samples) -> None:
    try:
        kept.write(part.data)
    except OSError as error:
        where = tempfile.gettempdir()
        raise OutputError(
            f"a long row has no room in {show(where)}: {error.strerror}; set TMPDIR to another folder"
        ) from error


class _Numbers:
    """Numbers that come in pieces, taken in other parts."""

    def __init__(self, pieces: Iterator[Samples]) -> None:
        self._pieces = pieces
        self._piece: Samples = np.zeros(0)

    def take(self, count: int) -> Iterator[Samples]:
        """The next `count` numbers, in parts."""
        while count:
            if not len(self._piece):
                self._piece = next(self._pieces)
            part, self._piece = self._piece[:count], self._piece[count:]
            count -= len(part)
            yield part

    def skip(self, count: int) -> None:
        """Leave out the next `count` numbers."""
        for _ in self.take(count):
            pass


@dataclass(frozen=True)
class Rehearsal:
    """A look at whether rows can be written, each by its task's index."""

    rows: Sequence[StoredRow]
    write: WriteOptions

    def __call__(self, task: Task) -> Outcome:
        row = self.rows[task.index]
        Output(task.output, row.signal, self.write, trial=True).discard()
        return _told(task, "planned", row)


def _told(task: Task, status: str, row: StoredRow) -> Outcome:
    """What there is to say of a row."""
    signal = row.signal
    return replace(
        Outcome.of(task, status), channels=signal.channels, samples=row.length, sample_rate=signal.sample_rate
    )


@dataclass(frozen=True)
class _Writing:
    """One row into a file of its kind."""

    batch: StoredBatch
    row: StoredRow
    kept: Kept | InputError
    write: WriteOptions

    def __call__(self, task: Task) -> Outcome:
        if isinstance(self.kept, InputError):
            raise self.kept
        row, channels = self.row, self.batch.channels
        with closing(self.kept):
            output = Output(task.output, row.signal, self.write)
            try:
                step = max(1, BLOCK_SAMPLES // channels)
                for at in range(0, row.length, step):
                    output.write(output.encode(self._block(self.kept, at, min(step, row.length - at))))
                output.commit()
            finally:
                output.discard()
        words = output.writer.clipping() if output.writer.clipped else ""
        return replace(
            _told(task, "written", row),
            clipped=output.writer.clipped,
            peak=None if output.peak is None else round(output.peak, 4),
            clipping=words,
            format=output.format,
        )

    def _block(self, kept: Kept, at: int, count: int) -> Samples:
        """`count` samples ``(channels, count)`` from sample `at` on."""
        channels, length, dtype = self.batch.channels, self.row.length, np.dtype(self.batch.dtype)

        def numbers(start: int, count: int) -> Samples:
            kept.seek(start * dtype.itemsize)
            return np.frombuffer(kept.read(count * dtype.itemsize), dtype)

        if self.batch.layout == "NTC":
            return numbers(at * channels, count * channels).reshape(-1, channels).T
        return np.stack([numbers(channel * length + at, count) for channel in range(channels)])
