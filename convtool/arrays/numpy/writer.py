"""NumPy's ``.npy`` and uncompressed ``.npz``, written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from convtool.arrays.numpy.header import header_bytes
from convtool.arrays.writing import Array, ArrayWriter, Texts
from convtool.arrays.zip.writer import StoredZipWriter


class NpyWriter(ArrayWriter):
    """A single array, in NumPy's own format."""

    def _lay_out(self, texts: Mapping[str, Texts]) -> None:
        (array,) = self._arrays.values()
        head = _head(array)
        self._starts[array.name] = len(head)
        self._fill(head, len(head) + array.nbytes)


class NpzWriter(StoredZipWriter):
    """An uncompressed ``.npz``; texts are arrays of Unicode strings."""

    def _entries(self, texts: Mapping[str, Texts]) -> Iterator[tuple[str, bytes, Array | None]]:
        for array in self._arrays.values():
            yield f"{array.name}.npy", _head(array), array
        for name, text in texts.items():
            strings = np.array(text, dtype=np.str_)
            yield f"{name}.npy", _head(Array(name, strings.dtype.str, strings.shape)) + strings.tobytes(), None


def _head(array: Array) -> bytes:
    return header_bytes(array.little_endian.str, array.shape)
