"""What the files of arrays have in common."""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from convtool.errors import OutputError
from convtool.files.atomic import AtomicFile, is_special, write_error
from convtool.files.names import show

Texts = str | Sequence[str]


@dataclass(frozen=True)
class Array:
    """The name, NumPy's dtype and the shape of an array in C order."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def little_endian(self) -> np.dtype[np.generic]:
        """The dtype as it is stored."""
        return np.dtype(self.dtype).newbyteorder("<")

    @property
    def nbytes(self) -> int:
        """Bytes of its values."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


class ArrayFile(ABC):
    """Named arrays in one file that appears when it is complete.

    What is not written is zeros and takes no room on a disk that knows holes. Nothing of the arrays is
    kept in memory.
    """

    def __init__(self, path: str, arrays: Sequence[Array], texts: Mapping[str, Texts]) -> None:
        if is_special(path):
            raise OutputError(f"{show(path)}: arrays are written at their places, which a pipe or device has not")
        self.path = path
        self._arrays = {array.name: array for array in arrays}
        self._starts: dict[str, int] = {}
        self._file = AtomicFile(path)
        try:
            self._lay_out(texts)
        except OSError as error:
            self.discard()
            raise write_error(path, error) from error

    @abstractmethod
    def _lay_out(self, texts: Mapping[str, Texts]) -> None:
        """Write all but the arrays' values, give the file its size, and note in `_starts` where each array begins."""

    def write(self, name: str, at: int, values: NDArray[np.generic]) -> None:
        """Put `values` into array `name`, from its flat index `at` on. Any thread may call it.

        Raises:
            OutputError: the disk is full, or fails.
        """
        array = self._arrays[name]
        data = np.ascontiguousarray(values, dtype=array.little_endian).reshape(-1).view(np.uint8).data
        offset = at * np.dtype(array.dtype).itemsize
        if len(data):
            try:
                _put(self._file.file.fileno(), data, self._starts[name] + offset)
            except OSError as error:
                raise write_error(self.path, error) from error
            self._hear(name, offset, data)

    def _hear(self, name: str, offset: int, data: memoryview) -> None:
        """Take note of `data`, written `offset` bytes into array `name`, in formats that keep a checksum."""
        return

    def commit(self) -> None:
        """Complete the file and give it its name."""
        self._file.commit()

    def discard(self) -> None:
        """Leave nothing behind. Does nothing after `commit`."""
        self._file.discard()

    def _fill(self, head: bytes, size: int) -> None:
        """Begin the file with `head` and give it `size` bytes."""
        os.truncate(self._file.file.fileno(), size)
        self._put_at(0, head)

    def _put_at(self, offset: int, data: bytes) -> None:
        _put(self._file.file.fileno(), memoryview(data), offset)


def _put(descriptor: int, data: memoryview, offset: int) -> None:
    while data:
        done = os.pwrite(descriptor, data, offset)
        data, offset = data[done:], offset + done


def npy_head(array: Array) -> bytes:
    """The header of an NPY file that holds `array`, of a length that keeps the values aligned to 64 bytes."""
    text = f"{{'descr': {array.little_endian.str!r}, 'fortran_order': False, 'shape': {array.shape!r}, }}"
    text += " " * (-(len(text) + 11) % 64) + "\n"
    return npy.magic(1, 0) + len(text).to_bytes(2, "little") + text.encode("latin-1")


class NpyFile(ArrayFile):
    """A single array, in NumPy's own format."""

    def _lay_out(self, texts: Mapping[str, Texts]) -> None:
        (array,) = self._arrays.values()
        head = npy_head(array)
        self._starts[array.name] = len(head)
        self._fill(head, len(head) + array.nbytes)
