"""NumPy's archives of arrays. https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from convtool.arrays.writer import Array, Texts, npy_head
from convtool.arrays.zip.writer import StoredZip


class NpzFile(StoredZip):
    """An uncompressed ``.npz``; texts are arrays of Unicode strings."""

    def _entries(self, texts: Mapping[str, Texts]) -> Iterator[tuple[str, bytes, Array | None]]:
        for array in self._arrays.values():
            yield f"{array.name}.npy", npy_head(array), array
        for name, text in texts.items():
            strings = np.array(text, dtype=np.str_)
            yield f"{name}.npy", npy_head(Array(name, strings.dtype.str, strings.shape)) + strings.tobytes(), None
