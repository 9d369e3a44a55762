"""`convtool unpad-batch`: the rows of a batch as signals again."""

from __future__ import annotations

import io
import os
import tempfile
import threading
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from convtool.errors import InputError, OutputError
from convtool.files.names import show
from convtool.jobs.padding.reading import StoredBatch, StoredRow
from convtool.jobs.padding.tar_shard import open_shard
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
"""The numbers of a signal without padding, in the batch's order of axes."""
_Placed = tuple[Task, StoredRow, Kept | InputError]


class Parts:
    """Signals whose rows have not all come yet, in files of a temporary folder; a `with` block removes it."""

    def __init__(self, batches: Sequence[StoredBatch]) -> None:
        self._left = Counter(row.unit for batch in batches for row in batch.rows if row.whole is not None)
        self._folder = tempfile.TemporaryDirectory(prefix="convtool-")

    def __enter__(self) -> Parts:
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def open(self, row: StoredRow) -> Kept:
        """The file of the signal that `row` is a part of."""
        path = self._path(row)
        return open(path, "r+b" if os.path.exists(path) else "w+b")

    def complete(self, row: StoredRow) -> bool:
        """Take in that `row` is written; whether it was the last of its signal."""
        self._left[row.unit] -= 1
        return not self._left[row.unit]

    def take(self, row: StoredRow) -> Kept:
        """The file of a signal that is complete; it is gone when it is closed."""
        file = self.open(row)
        os.unlink(self._path(row))
        return file

    def give_up(self, row: StoredRow) -> bool:
        """Take in that `row` can't be read; whether it is the first of its signal that can't."""
        if self.given_up(row):
            return False
        del self._left[row.unit]
        with suppress(FileNotFoundError):
            os.unlink(self._path(row))
        return True

    def given_up(self, row: StoredRow) -> bool:
        """Whether some other row of the signal can't be read."""
        return row.unit not in self._left

    def _path(self, row: StoredRow) -> str:
        return os.path.join(self._folder.name, str(row.unit))


def unpad(
    batch: StoredBatch, tasks: Sequence[Task], write: WriteOptions, parts: Parts, *, threads: int
) -> Generator[Outcome, None, None]:
    """Write each signal that ends in `batch`, `threads` at a time; what became of each, in order.

    The array is read once, from its beginning to its end, as a format that packs it allows nothing else. Nothing is
    written of a batch whose checksum does not hold. A signal of several rows ends with the last of them that comes, be
    they in one batch or in many; until then `parts` keeps it.

    Args:
        batch: where the rows are.
        tasks: of every row, what is to be done with its signal.
        write: how signals are written.
        parts: signals of several rows, of all batches.
        threads: signals at a time.
    """
    room = threading.Semaphore(_LONG_ROWS)

    def work(placed: _Placed) -> Outcome:
        task, row, kept = placed
        try:
            return Outcome.of(task, "skipped") if task.skip else perform(_Writing(batch, row, kept, write), task)
        finally:
            if not isinstance(kept, io.BytesIO | InputError):
                room.release()

    return side_by_side(work, _placed(batch, tasks, parts, room), threads)


def _placed(batch: StoredBatch, tasks: Sequence[Task], parts: Parts, room: threading.Semaphore) -> Iterator[_Placed]:
    """Each signal that ends here with its task and its numbers, or with why these can't be read."""
    done = 0
    try:
        for task, row, kept in zip(tasks, batch.rows, _rows(batch, tasks, parts, room), strict=True):
            done += 1
            if row.whole is None:
                yield task, row, kept
                continue
            kept.close()
            if parts.given_up(row) or not parts.complete(row):
                continue
            if not task.skip:
                room.acquire()
                kept = parts.take(row)
            yield task, replace(row, length=row.whole), kept
    except InputError as error:
        for task, row in zip(tasks[done:], batch.rows[done:], strict=True):
            if row.whole is None or parts.give_up(row):
                yield task, row, error


def _rows(batch: StoredBatch, tasks: Sequence[Task], parts: Parts, room: threading.Semaphore) -> Iterator[Kept]:
    """The rows one after the other, a long one once there is room; of those that are skipped, nothing.

    What holds a part of a signal is the file of all of it.
    """
    with open_shard(batch.path) as file:
        info = file.find(batch.array)
        if file.format in ("npz", "torch"):
            for _ in file.pieces(info):
                pass  # the checksum stands at the end
        numbers = _Numbers(file.pieces(info))
        size = np.dtype(batch.dtype).itemsize
        lanes, step = (1, batch.channels) if batch.layout == "NTC" else (batch.channels, 1)
        for task, row in zip(tasks, batch.rows, strict=True):
            kept: Kept = io.BytesIO()
            if row.whole is not None and not task.skip and not parts.given_up(row):
                kept = parts.open(row)
            elif not task.skip and row.length * batch.channels * size > LONG:
                room.acquire()
                kept = tempfile.TemporaryFile()
            padding = batch.samples - row.length
            before = padding if batch.side == "left" else 0
            for lane in range(lanes):
                numbers.skip(before * step)
                kept.seek((lane * (row.whole or row.length) + row.start) * step * size)
                for part in numbers.take(row.length * step):
                    if not task.skip:
                        _keep(kept, part.astype(batch.dtype))
                numbers.skip((padding - before) * step)
            yield kept


def _keep(kept: Kept, part: Samples) -> None:
    try:
        kept.write(part.data)
        kept.flush()
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
            output = Output(task.output, row.signal, self.write.replacing(task.incomplete))
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
