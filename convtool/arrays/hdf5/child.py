"""The process in which HDF5 is read: its C library can crash, hang, and be led by a file to other files.

It is handed the file as an open descriptor, so that files without a name serve too and no lock is taken, and limits
itself: memory, computing time, and no further file can be opened. Each request is a line of JSON on standard input,
each answer a frame on standard output: a kind (J for JSON, V for values, E for what is wrong), a length, the bytes.
Frames of kind P, which are empty, may come before it: work goes on.

    {"list": true}                                      J: what `Walk.listing` gives
    {"path": ..., "start": [...], "count": [...]}       V: that part of a dataset, C order, native byte order

This module and `hdf5_walk` alone import h5py; the program itself never loads them.
"""

from __future__ import annotations

import json
import os
import re
import resource
import struct
import sys
import time
from collections.abc import Callable, Mapping
from io import FileIO
from typing import Any, BinaryIO

import numpy as np
from h5py import File, h5d, h5s

from convtool.arrays.hdf5.walk import TooMuchError, Walk, encoded

FRAME = struct.Struct("<cQ")

_LISTING_LIMIT = 32 << 20
_DATA_LIMIT = 320 << 20
"""Bytes of memory; Python, NumPy and h5py take about 60 MB of them."""
_CPU_SECONDS = 8
_PULSE_SECONDS = 0.5


class Reader:
    """Answers about an open file of `size` bytes; a dataset stays open while its parts are asked for one by one."""

    def __init__(self, file: File, *, size: int, progress: Callable[[], object]) -> None:
        self._file = file
        self._size = size
        self._progress = progress
        self._path = ""
        self._dataset: Any = None

    def answer(self, request: Mapping[str, Any]) -> tuple[bytes, bytes | memoryview]:
        """The kind and the content of the frame that answers `request`."""
        try:
            return (b"J", self._listing()) if "list" in request else (b"V", self._values(request))
        except TooMuchError as error:
            return b"E", str(error).encode()
        except Exception as error:  # the library's errors come in every kind
            return b"E", damage(error).encode()

    def _listing(self) -> bytes:
        listing = json.dumps(Walk(self._file, self._size, self._progress).listing()).encode()
        if len(listing) > _LISTING_LIMIT:
            raise TooMuchError(f"its listing takes more than {_LISTING_LIMIT} bytes")
        return listing

    def _values(self, request: Mapping[str, Any]) -> memoryview:
        if self._path != request["path"]:
            self._dataset = h5d.open(self._file.id, encoded(request["path"]))
            self._path = request["path"]
        count = tuple(request["count"])
        values = np.empty(count, self._dataset.dtype.newbyteorder("="))
        space = self._dataset.get_space()
        if count:
            space.select_hyperslab(tuple(request["start"]), count)
        self._dataset.read(h5s.create_simple(count) if count else h5s.create(h5s.SCALAR), space, values)
        return values.reshape(-1).view(np.uint8).data


def damage(error: Exception) -> str:
    """One line for an error of the library, whose own explanation is in parentheses."""
    if isinstance(error, MemoryError):
        return f"it takes more than {_DATA_LIMIT} bytes of memory"
    text = str(error).partition("(")[2].rpartition(")")[0] or str(error) or type(error).__name__
    if cut := re.match(r"truncated file: eof = (\d+), sblock->base_addr = (\d+), stored_eof = (\d+)", text):
        there, start, declared = map(int, cut.groups())
        return f"the HDF5 file is truncated: {start + there} of {declared} bytes are there"
    return f"the HDF5 file is damaged: {' '.join(text.split())}"


def limit(which: int, amount: int) -> None:
    """Lower a limit of this process."""
    hard = resource.getrlimit(which)[1]
    resource.setrlimit(which, (amount if hard == resource.RLIM_INFINITY else min(amount, hard), hard))


def serve(file: BinaryIO, requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer `requests` about `file` until there are no more."""
    told = time.monotonic()

    def progress() -> None:
        nonlocal told
        if time.monotonic() > told + _PULSE_SECONDS:
            told = time.monotonic()
            _send(answers, b"P", b"")

    _allow_time()
    reader: Reader | None = None
    try:
        reader = Reader(File(file, "r"), size=file.seek(0, os.SEEK_END), progress=progress)
    except Exception as error:  # as in Reader
        failure = damage(error).encode()
    for line in requests:
        _allow_time()
        _send(answers, *(reader.answer(json.loads(line)) if reader else (b"E", failure)))


def _allow_time() -> None:
    """Each request has its own share of computing time."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + _CPU_SECONDS)


def _send(answers: BinaryIO, kind: bytes, content: bytes | memoryview) -> None:
    answers.write(FRAME.pack(kind, len(content)))
    answers.write(content)
    answers.flush()


def load() -> None:
    """Do once what is asked for, so that Python and h5py load no module later, when no file can be opened."""
    with File("none", "w", driver="core", backing_store=False) as file:
        file.attrs.update({"model_config": "{}", "backend": b"", "layer_names": np.array([b"a"])})
        file.create_dataset("a", data=np.zeros(1), compression="gzip")
        file["b"] = "text"
        reader = Reader(file, size=0, progress=time.monotonic)
        for request in ({"list": True}, {"path": "a", "start": [0], "count": [1]}):
            reader.answer(request)


class _Stretch(FileIO):
    """The bytes of a file from `start` on, `size` of them, as a file of its own."""

    def __init__(self, descriptor: int, start: int, size: int) -> None:
        super().__init__(descriptor)
        self._from, self._size = start, size

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        before = (self._from, super().tell(), self._from + self._size)[whence]
        return super().seek(before + offset) - self._from

    def tell(self) -> int:
        return super().tell() - self._from


def main() -> None:
    """Serve the descriptor that the command line names, and the stretch of it."""
    load()
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    limit(resource.RLIMIT_DATA, _DATA_LIMIT)
    limit(resource.RLIMIT_CORE, 0)
    with _Stretch(*map(int, sys.argv[1:4])) as file:
        limit(resource.RLIMIT_NOFILE, 0)
        try:
            serve(file, sys.stdin.buffer, sys.stdout.buffer)
        finally:
            limit(resource.RLIMIT_NOFILE, files)
    os._exit(0)  # taking the interpreter down costs a fifth of the whole
