"""How far the work on each input is: counted where it is done, here or in a worker process, for whoever shows it."""

from __future__ import annotations

import mmap
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import numpy as np

from convtool.signals.signal import Block

_ROW = 2 * np.dtype(np.int64).itemsize
_Rows = np.ndarray[tuple[int, int], np.dtype[np.int64]]


class Meter:
    """For each input the samples that have been gone through, and how many there are, 0 where nobody knows.

    The numbers are in the memory of a file without a name, which worker processes share.
    """

    def __init__(self, inputs: int) -> None:
        self._file = tempfile.TemporaryFile()
        self._file.truncate(_ROW * max(1, inputs))
        self.path = f"/proc/{os.getpid()}/fd/{self._file.fileno()}"
        self.rows = _rows(self._file.fileno())
        self.left = np.ones(len(self.rows), bool)
        """Of each input whether it is still to be done with."""

    def close(self) -> None:
        """Give the file back."""
        self._file.close()


def _rows(descriptor: int) -> _Rows:
    return np.frombuffer(mmap.mmap(descriptor, 0), np.int64).reshape(-1, 2)


class _Watch(threading.local):
    """Who wants to know of the work of this process; and of this thread, on which input it is."""

    index = 0
    samples = 0
    """Of one pass over that input, 0 where nobody knows."""


_thread = _Watch()
_meters: list[_Rows] = []


@contextmanager
def watched(meter: Meter) -> Iterator[None]:
    """Count what this process goes through in `meter`."""
    _meters.append(meter.rows)
    try:
        yield
    finally:
        _meters.clear()


def join(path: str) -> None:
    """Count what this process goes through in the meter of another."""
    with suppress(OSError):  # there is no such place on every system; the bar then moves from file to file
        descriptor = os.open(path, os.O_RDWR)
        try:
            _meters.append(_rows(descriptor))
        finally:
            os.close(descriptor)


def begin(index: int, samples: int | None, *, passes: int = 1) -> None:
    """The work of this thread is on the input of that index: as many samples, gone through so many times."""
    _thread.index, _thread.samples = index, samples or 0
    for rows in _meters:
        rows[index] = 0, (samples or 0) * passes


def passing(blocks: Iterator[Block]) -> Iterator[Block]:
    """The same blocks, each counted once it has been worked on: for the input of this thread, whoever takes them."""
    return _counted(blocks, _thread.index, list(_meters))


def _counted(blocks: Iterator[Block], index: int, meters: list[_Rows]) -> Iterator[Block]:
    for block in blocks:
        yield block
        for rows in meters:
            rows[index, 0] += block.shape[-1]


def passing_again(blocks: Iterator[Block], samples: int) -> Iterator[Block]:
    """The same blocks of a result of so many `samples`, which together count as one more pass over the input."""
    index, meters, done = _thread.index, list(_meters), 0
    before = [int(rows[index, 0]) for rows in meters]
    for block in blocks:
        yield block
        done += block.shape[-1]
        for rows, start in zip(meters, before, strict=True):
            rows[index, 0] = start + (_thread.samples or samples) * done // samples
