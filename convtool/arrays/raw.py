"""Plain numbers in a file, one behind the other: read by position, never mapped (a map dies with the file)."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, cast

from convtool.arrays.description import PIECE_BYTES
from convtool.arrays.narrow import NARROW, nibbles, widen
from convtool.errors import InputError
from convtool.files.remote_file import RemoteFile, pread
from convtool.files.source import reason_of
from convtool.files.urls import is_url

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_AXES = 64
"""That many NumPy has."""

_COUNT_LIMIT = 1 << 59
"""Numbers of 16 bytes whose positions a 64-bit integer still holds."""

GIVEN_AS = {**dict.fromkeys((*NARROW, "quint8", "qint8", "qint32"), "float32"), "complex32": "complex64"}
"""The type in which values are given that are of a type that NumPy lacks."""

_SHARE_BYTES = 32 << 20
_SHARE_LONGER = 2
"""Threads that take turns at Python between pieces stand less in each other's way the longer these are."""


class Stream(Protocol):
    """Bytes in order: of a member of an archive, or of a stretch of a file."""

    def read(self, count: int) -> bytes:
        """The next `count` bytes; raises InputError where they are damaged or missing."""

    def skip(self, count: int) -> None:
        """Leave out the next `count` bytes."""


class Stretch:
    """The bytes of a file from `start` on; `read` gives as many as asked for at a position, fewer at the end."""

    def __init__(self, read: Callable[[int, int], bytes], start: int) -> None:
        self._read, self._at = read, start

    def read(self, count: int) -> bytes:
        """The next `count` bytes."""
        data = self._read(self._at, count)
        if len(data) < count:
            raise InputError("the file shrank while it was read")
        self._at += count
        return data

    def skip(self, count: int) -> None:
        """Leave out the next `count` bytes."""
        self._at += count


class RawFile:
    """The file at `path`, which is open only while it is read: a model can have hundreds.

    Args:
        path: where it is.
        flags: more flags of `os.open`.

    Raises:
        InputError: it can't be opened, or is no regular file.
    """

    def __init__(self, path: str, flags: int = 0) -> None:
        self._remote = RemoteFile(path) if is_url(path) else None
        if self._remote is not None:
            self.size = self._remote.size
            return
        self._path, self._flags = path, os.O_RDONLY | os.O_NONBLOCK | flags  # a pipe would wait for its writer
        with self._opened() as file:
            status = os.fstat(cast(int, file))
        if not stat.S_ISREG(status.st_mode):
            raise InputError("it is no regular file")
        self.size = status.st_size
        self._version = _version(status)

    def read(self, start: int, count: int) -> bytes:
        """`count` bytes from `start` on, fewer at the end of the file.

        Raises:
            InputError: they can't be read.
        """
        with self._opened() as file:
            return pread(file, count, start)

    def pieces(
        self, dtype: str, *, start: int, count: int, order: str = "<", longer: int = 1
    ) -> Iterator[NDArray[Any]]:
        """`count` numbers of type `dtype` from byte `start` on, in pieces as `WeightFile.pieces` gives them.

        Args:
            dtype: NumPy's or torch's name.
            start: position of the first byte.
            count: how many numbers; none are given as one empty piece.
            order: ``<`` for little-endian numbers, ``>`` for big-endian ones.
            longer: how many times longer than there a piece may be.

        Raises:
            InputError: they can't be read, or are no more what was there when the file was opened first.
        """
        import numpy as np

        stored = stored_type(dtype, order)
        buffer = np.empty(min(count, longer * piece_length(dtype)) or 1, stored)
        room = memoryview(buffer.data).cast("B")
        with self._opened() as file:
            if isinstance(file, int) and _version(os.fstat(file)) != self._version:
                raise InputError("the file has changed since it was listed")
            for first in range(0, count or 1, len(buffer)):
                part = room[: min(len(buffer), count - first) * stored.itemsize]
                _fill(part, file, start + first * stored.itemsize)
                yield as_numbers(buffer[: min(len(buffer), count - first)], dtype)

    def shares(self, dtype: str, *, start: int, count: int, order: str = "<") -> Iterator[Iterator[NDArray[Any]]]:
        """The same numbers as `WeightFile.shares` gives them."""
        size = stored_type(dtype, order).itemsize
        length = _SHARE_BYTES // size
        for first in range(0, count, length):
            here, there = start + first * size, min(length, count - first)
            yield self.pieces(dtype, start=here, count=there, order=order, longer=_SHARE_LONGER)

    @contextmanager
    def _opened(self) -> Iterator[int | RemoteFile]:
        if self._remote is not None:
            yield self._remote
            return
        try:
            descriptor = os.open(self._path, self._flags)
        except OSError as error:
            raise InputError(reason_of(error)) from error
        except ValueError as error:  # no file can have such a name
            raise InputError(f"can't be read: {error}") from error
        try:
            yield descriptor
        except OSError as error:
            raise InputError(f"can't be read: {error.strerror}") from error
        finally:
            os.close(descriptor)


def _version(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _fill(room: memoryview, file: int | RemoteFile, start: int) -> None:
    while room:
        if isinstance(file, int):
            count = os.preadv(file, [room], start)
        else:
            data = file.pread(len(room), start)
            count = len(data)
            room[:count] = data
        if not count:
            raise InputError("the file shrank while it was read")
        room, start = room[count:], start + count


def checked_count(shape: Sequence[Any]) -> int:
    """How many numbers an array has whose file says that this is its shape.

    Raises:
        InputError: a size is no whole number from 0 on, there are more than 64 of them, or the array would be larger
            than any memory (even where one size is 0: NumPy has no such array).

    >>> checked_count([2, 3]), checked_count([])
    (6, 1)
    """
    if len(shape) > _AXES:
        raise InputError(f"it declares {len(shape)} axes; the limit is {_AXES}")
    if not all(type(size) is int and size >= 0 for size in shape):
        raise InputError(f"it declares the shape {tuple(shape)!r:.200}; expected whole numbers from 0 on")
    if math.prod(size or 1 for size in shape) > _COUNT_LIMIT:
        raise InputError(f"it declares the shape {tuple(shape)!r:.200}, which is larger than any memory")
    return math.prod(shape)


def numbers_in(stream: Stream, dtype: str, *, count: int, order: str) -> Iterator[NDArray[Any]]:
    """The next `count` numbers of type `dtype` in `stream`, in pieces as `WeightFile.pieces` gives them."""
    import numpy as np

    stored, length = stored_type(dtype, order), piece_length(dtype)
    for first in range(0, count or 1, length):
        data = stream.read(min(length, count - first) * stored.itemsize)
        yield as_numbers(np.frombuffer(data, stored), dtype)


def unpacked(packed: Iterable[NDArray[Any]], dtype: str, *, row: int = 2) -> Iterator[NDArray[Any]]:
    """Numbers of type `dtype`, of 4 bits, that are stored two a byte, in pieces as `WeightFile.pieces` gives them.

    Args:
        packed: the bytes, in pieces of any length.
        dtype: torch's or ml_dtypes' name.
        row: how many numbers there are from one that begins a byte to the next that must; an odd row is padded.
    """
    import numpy as np

    length, padded, at = piece_length(dtype) // 2, row + row % 2, 0
    for data in packed:
        for first in range(0, len(data), length):
            codes = nibbles(data[first : first + length].view(np.uint8))
            count = len(codes)
            if row < padded:
                codes = codes[(at + np.arange(count)) % padded < row]
            at += count
            yield widen(codes, dtype)


def piece_length(dtype: str) -> int:
    """How many numbers of type `dtype` a piece holds at the most."""
    import numpy as np

    return PIECE_BYTES // np.dtype(GIVEN_AS.get(dtype, dtype)).itemsize


def as_void(dtype: str, void_as: str | None) -> tuple[str, str]:
    """The type of opaque bytes, ``void8`` or ``void16``, that are said to be `void_as`; and why they can't be, if so.

    >>> as_void("void16", "bfloat16")
    ('bfloat16', '')
    """
    if void_as is None:
        return dtype, "inspect-weights --void-as bfloat16, float8_e4m3fn or the like says which"
    bits = 8 * stored_type(void_as, "<").itemsize
    if dtype == f"void{bits}":
        return void_as, ""
    return dtype, f"these take {dtype.removeprefix('void')} bits a number, {void_as} takes {bits}"


def stored_type(dtype: str, order: str) -> np.dtype[Any]:
    """What the bytes of `dtype` are taken for before `as_numbers`; `order` as in `RawFile.pieces`."""
    import numpy as np

    if dtype == "complex32":
        return np.dtype((f"{order}f2", 2))
    if dtype in NARROW or dtype == "bool":
        return np.dtype(f"{order}u2" if dtype == "bfloat16" else "u1")
    return np.dtype(dtype).newbyteorder(order)  # type: ignore[arg-type]  # one of its letters


def as_numbers(stored: NDArray[Any], dtype: str) -> NDArray[Any]:
    """The numbers of type `dtype` in native byte order: a view, but for booleans and types that NumPy lacks.

    The latter come in the next type that holds all of their values: ``complex32`` as complex64, the others as float32.

    >>> import numpy as np
    >>> as_numbers(np.frombuffer(b"\x40\x49", stored_type("bfloat16", ">")), "bfloat16").tolist()
    [3.140625]
    """
    if dtype in NARROW:
        return widen(stored, dtype)
    if dtype == "complex32":
        return stored.astype("f4").reshape(-1).view("c8")
    return stored.astype(dtype, copy=False)
