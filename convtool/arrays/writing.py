"""Files of several arrays whose shapes are known beforehand, written in pieces, in any order and by any thread."""

from __future__ import annotations

import importlib
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from convtool.arrays.narrow import NARROW, narrowed
from convtool.arrays.raw import GIVEN_AS, stored_type
from convtool.errors import OutputError, UsageError
from convtool.files.atomic import AtomicFile, is_special, write_error
from convtool.files.formats import extension
from convtool.files.names import show

_WRITERS = {
    "npz": ("numpy.writer", "NpzWriter"),
    "safetensors": ("safetensors.writer", "SafetensorsWriter"),
    "pt": ("torch.writer", "TorchWriter"),
    "pth": ("torch.writer", "TorchWriter"),
    "npy": ("numpy.writer", "NpyWriter"),
}
"""The class that writes each kind of file, called as `create` is; its module is imported only then."""

FORMATS = tuple(_WRITERS)
"""The extensions that `create` knows; an `npy` holds a single array and no texts."""

_HELD: dict[str, tuple[str, str]] = {
    "safetensors": ("safetensors.dtypes", "CODES"),
    "pt": ("torch.dtypes", "WRITTEN"),
    "pth": ("torch.dtypes", "WRITTEN"),
}
"""Where the dtypes are named that a format holds; the others hold NumPy's."""

Texts = str | Sequence[str]


@dataclass(frozen=True)
class Array:
    """The name, the dtype and the shape of an array in C order; the dtype is NumPy's, or a narrow one of torch's."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @cached_property
    def little_endian(self) -> np.dtype[np.generic]:
        """The dtype as it is stored; of what NumPy lacks, unsigned integers."""
        if self.dtype in NARROW:
            return stored_type(self.dtype, "<")
        return np.dtype(self.dtype).newbyteorder("<")

    @property
    def nbytes(self) -> int:
        """Bytes of its values."""
        return math.prod(self.shape) * self.little_endian.itemsize


class ArrayWriter(ABC):
    """Named arrays in one file that appears when it is complete.

    What is not written is zeros and takes no room on a disk that knows holes. Nothing of the arrays is
    kept in memory.
    """

    def __init__(
        self, path: str, arrays: Sequence[Array], texts: Mapping[str, Texts], *, replace: bool = False
    ) -> None:
        if is_special(path):
            raise OutputError(f"{show(path)}: arrays are written at their places, which a pipe or device has not")
        self.path = path
        self._arrays = {array.name: array for array in arrays}
        self._starts: dict[str, int] = {}
        self._file = AtomicFile(path, replace=replace)
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

        Where NumPy lacks the array's dtype they are float32, and numbers that the dtype has.

        Raises:
            OutputError: the disk is full, or fails.
        """
        array = self._arrays[name]
        stored = narrowed(values, array.dtype) if array.dtype in NARROW else values
        data = np.ascontiguousarray(stored, dtype=array.little_endian).reshape(-1).view(np.uint8).data
        offset = at * array.little_endian.itemsize
        if len(data):
            try:
                self._put_at(self._place(name, offset), data)
            except OSError as error:
                raise write_error(self.path, error) from error
            self._hear(name, offset, data)

    def _place(self, name: str, offset: int) -> int:
        """Where byte `offset` of array `name` stands in the file."""
        return self._starts[name] + offset

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

    def _put_at(self, offset: int, data: bytes | memoryview) -> None:
        left = memoryview(data)
        while left:
            done = os.pwrite(self._file.file.fileno(), left, offset)
            left, offset = left[done:], offset + done


def holds(form: str, dtype: str) -> bool:
    """Whether files of the extension `form` hold numbers of that dtype as they are.

    >>> holds("safetensors", "bfloat16"), holds("npz", "bfloat16"), holds("safetensors", "complex128")
    (True, False, False)
    """
    if form in _HELD:
        module, name = _HELD[form]
        return dtype in getattr(importlib.import_module(f"convtool.arrays.{module}"), name)
    return dtype not in GIVEN_AS


def create(path: str, arrays: Sequence[Array], texts: Mapping[str, Texts], *, replace: bool = False) -> ArrayWriter:
    """A file at `path`, in the format that its extension names, that appears once it is complete.

    Args:
        path: where it is to appear.
        arrays: what it holds; zeros until they are written.
        texts: strings, or lists of them, that it holds as its format can.
        replace: whether it may take the place of a file that stands there by then.

    Raises:
        UsageError: the extension names no such format.
        OutputError: nothing can be written there.
    """
    form = extension(path)
    if form not in _WRITERS:
        raise UsageError(f"{show(path)}: arrays go into .{', .'.join(FORMATS)}")
    module, name = _WRITERS[form]
    writer: type[ArrayWriter] = getattr(importlib.import_module(f"convtool.arrays.{module}"), name)
    return writer(path, arrays, texts, replace=replace)
