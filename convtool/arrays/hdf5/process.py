"""The program's end of the HDF5 child process: requests out, answers in, its crashes told as errors."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, BinaryIO

from convtool.arrays.description import PIECE_BYTES
from convtool.errors import InputError, UsageError

PATIENCE = 8.0
"""Seconds that the child may go without giving a byte."""
_GRACE = 2.0
"""Seconds that it may take to end."""

_START = "import sys; sys.path[:] = sys.argv[4:]; from convtool.arrays.hdf5 import child; child.main()"
_ANSWER_LIMIT = 128 << 20


@dataclass(frozen=True)
class Dataset:
    """A dataset as the file declares it; the fields are `TensorInfo`'s where they share a name."""

    path: str
    shape: tuple[int, ...]
    dtype: str
    nbytes: int
    flag: str
    readable: bool
    chunks: tuple[int, ...] | None
    same_as: str
    """The path of the dataset that this one is a further hard link to."""
    offset: int | None
    """Where in the file its numbers lie one behind the other, as they are; None where only the library knows."""
    order: str
    """Of the bytes of these numbers: ``<`` or ``>``."""


@dataclass(frozen=True)
class Listing:
    """What is in an HDF5 file."""

    datasets: tuple[Dataset, ...]
    groups: Mapping[str, dict[str, Any]]
    """The path of each group, with those of its attributes that Keras writes: text, or lists of it."""
    links: Mapping[str, Sequence[str]]
    """The paths that were not followed or could not be, by the reason."""


class Hdf5Process:
    """A child process that reads the HDF5 file open as `file`, which is handed over to it and closed here.

    The file may stand within another one: `stretch` is where it begins in that, and how many bytes it has.

    Raises:
        UsageError: h5py is not installed.
    """

    def __init__(self, file: BinaryIO, stretch: tuple[int, int] | None = None) -> None:
        with file:
            if importlib.util.find_spec("h5py") is None:
                raise UsageError("an HDF5 file needs h5py, which is not installed: pip install 'convtool[weights]'")
            self._child = subprocess.Popen(
                command(file.fileno(), stretch or (0, os.fstat(file.fileno()).st_size)),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                pass_fds=(file.fileno(),),
                bufsize=0,
                env=_environment(),
            )
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._requests, self._answers = self._child.stdin, self._child.stdout

    def listing(self) -> Listing:
        """What is in the file.

        Raises:
            InputError: it is damaged, holds too much, or the library crashed or hung on it.
        """
        found = json.loads(self._ask({"list": True}))
        datasets = (
            entry | {"shape": tuple(entry["shape"]), "chunks": entry["chunks"] and tuple(entry["chunks"])}
            for entry in found["datasets"]
        )
        return Listing(tuple(Dataset(**entry) for entry in datasets), found["groups"], found["links"])

    def slabs(self, dataset: Dataset) -> Iterator[bytearray]:
        """The bytes of the values of `dataset` in C order, a slab at a time.

        Raises:
            InputError: as `listing`.
        """
        itemsize = dataset.nbytes // max(math.prod(dataset.shape), 1)
        for start, count in slabs(dataset.shape, dataset.chunks, itemsize):
            yield self._ask({"path": dataset.path, "start": start, "count": count})

    def _ask(self, request: Mapping[str, Any]) -> bytearray:
        try:
            self._requests.write(json.dumps(request).encode() + b"\n")
        except BrokenPipeError:
            raise self._death() from None
        header = self._read(9)
        while header[:1] == b"P":  # it is at work
            header = self._read(9)
        kind, length = header[:1], int.from_bytes(header[1:], "little")
        if length > _ANSWER_LIMIT:
            raise self._death()
        content = self._read(length)
        if kind == b"E":
            raise InputError(content.decode("utf-8", "replace"))
        return content

    def _read(self, count: int) -> bytearray:
        content = bytearray(count)
        left = memoryview(content)
        waiting = select.poll()
        waiting.register(self._answers, select.POLLIN)
        while left:
            if not waiting.poll(PATIENCE * 1000):
                self._child.kill()
                raise InputError(f"the HDF5 library hung for {PATIENCE:g} s and was stopped: the file is damaged")
            read = os.readv(self._answers.fileno(), [left])
            if not read:
                raise self._death()
            left = left[read:]
        return content

    def _death(self) -> InputError:
        self._child.kill()
        code = self._child.wait()
        if code == -signal.SIGXCPU:
            return InputError("the HDF5 library computed too long and was stopped: the file is damaged")
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return InputError(f"the HDF5 library crashed on it ({how}): the file is damaged")

    def close(self) -> None:
        """End the child."""
        self._requests.close()
        self._answers.close()
        try:
            self._child.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()


def command(descriptor: int, stretch: tuple[int, int]) -> list[str]:
    """What starts the child: apart from the folder that the program is in, the modules come from where ours do."""
    numbers = map(str, (descriptor, *stretch))
    return [sys.executable, "-I", "-c", _START, *numbers, *map(os.path.abspath, sys.path)]


def _environment() -> dict[str, str]:
    """Ours, but for what would make HDF5 load plug-ins, and NumPy start threads."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HDF5_")}
    return kept | {"HDF5_PLUGIN_PRELOAD": "::", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def slabs(
    shape: tuple[int, ...], chunks: tuple[int, ...] | None, itemsize: int
) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Start and count of parts that join to the whole in C order, of about `PIECE_BYTES` and of whole chunks.

    A chunk is unpacked whole whatever part of it is asked for, so the axis that the parts go along is never behind
    the first that a chunk extends over.

    >>> list(slabs((4, 3), (2, 3), 1 << 20))
    [((0, 0), (2, 3)), ((2, 0), (2, 3))]
    """
    if not math.prod(shape):
        return
    axes = range(len(shape))
    rests = [itemsize * math.prod(shape[axis + 1 :]) for axis in axes]
    axis = next((axis for axis in axes if rests[axis] <= PIECE_BYTES or (chunks and chunks[axis] > 1)), None)
    if axis is None:  # a scalar
        yield (), ()
        return
    chunk = chunks[axis] if chunks else 1
    step = max(PIECE_BYTES // rests[axis] // chunk, 1) * chunk
    whole, tail = (0,) * (len(shape) - axis - 1), shape[axis + 1 :]
    for lead in product(*map(range, shape[:axis])):
        for at in range(0, shape[axis], step):
            yield (*lead, at, *whole), (*(1 for _ in lead), min(step, shape[axis] - at), *tail)
