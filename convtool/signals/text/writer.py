"""Numbers as text: each the shortest that reads back to the same bits, or of as many digits as are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

import numpy as np

from convtool.files.atomic import write_all
from convtool.signals.signal import Block, Signal, Writer
from convtool.signals.text.kept import Kept


class TextWriter(Writer):
    """Rows of numbers, after the cells kept from the input's rows where there are such."""

    def __init__(self, file: BinaryIO, signal: Signal, delimiter: str, *, precision: int | None = None) -> None:
        self._file = file
        self._delimiter = delimiter
        self._precision = precision
        self._kept: Kept | None = signal.kept
        self._flat = signal.flat and signal.channels == 1 and self._kept is None
        self._started = False
        self._head = ""
        kept = () if self._kept is None else self._kept.names
        names = signal.names or _places(signal)
        if names is not None and kept is not None:
            self._head = delimiter.join(_quoted([*kept, *names], delimiter)) + "\n"

    def encode(self, block: Block) -> str:
        """The text of a block: without the last line end in a single row, to which more may be joined."""
        if block.ndim == 3:
            block = block.reshape(-1, block.shape[-1])
        if not block.size:
            return ""
        if self._flat:
            return join_numbers(block.ravel(), self._delimiter, self._precision)
        if len(block) == 1:
            return join_numbers(block.ravel(), "\n", self._precision)
        width, cells = len(block), join_numbers(block.T.ravel(), "\n", self._precision).split("\n")
        return "\n".join(map(self._delimiter.join, zip(*(cells[i::width] for i in range(width)), strict=True)))

    def write(self, encoded: str) -> None:
        if not encoded:
            return
        if self._flat:
            self._put(self._delimiter * self._started + encoded)
        else:
            if self._kept is not None:
                encoded = self._beside(self._kept, encoded.split("\n"))
            self._put(self._head + encoded + "\n")
        self._started, self._head = True, ""

    def _beside(self, kept: Kept, rows: Sequence[str]) -> str:
        """Rows of numbers with the cells kept before them."""
        columns = [_delimitable(cells, self._delimiter) for cells in kept.take(len(rows))]
        pieces = [self._delimiter] * (2 * len(rows) * (len(columns) + 1))
        step = 2 * (len(columns) + 1)
        for place, cells in enumerate([*columns, rows]):
            pieces[2 * place :: step] = cells
        pieces[step - 1 :: step] = ["\n"] * len(rows)
        return "".join(pieces[:-1])

    def _put(self, text: str) -> None:
        write_all(self._file, text.encode("utf-8"))

    def close(self) -> None:
        if self._kept is not None:
            self._kept.finish()
        self._put("\n" if self._flat else self._head)


def _places(signal: Signal) -> tuple[str, ...] | None:
    """Names of the columns that several signals make side by side: ``2.1`` is channel 1 of the second."""
    if (signal.batch or 1) == 1:
        return None
    axes = (*(signal.leading or (signal.batch or 1,)), signal.channels)
    return tuple(".".join(str(index + 1) for index in place) for place in np.ndindex(axes))


def join_numbers(values: Block, separator: str, precision: int | None = None) -> str:
    """Numbers ``(count,)`` joined by `separator`, each the shortest text that reads back to the same bits of its dtype.

    An exponent appears where Python writes one: from 1e16 on and below 1e-4. With `precision`, numbers are rounded
    to that many significant digits.

    >>> import numpy as np
    >>> join_numbers(np.array([4.0, -0.5, 5e33, 1e-5, np.nan]), ",")
    '4,-0.5,5e33,1e-5,nan'
    >>> join_numbers(np.array([1234567, 0.1], np.float32), ",")
    '1234567,0.1'
    >>> join_numbers(np.array([2 / 3, 1234567]), ",", 3)
    '0.667,1.23e6'
    """
    if precision is not None:
        text = separator.join([f"{value:.{precision}g}" for value in values.tolist()]) + separator
    elif values.dtype.kind in "iub":
        return separator.join(map(str, values.tolist()))
    elif values.dtype.itemsize < 8:  # str() of the number itself: tolist() would make a longer float64 of it
        cells = values.astype("U32").tolist()
        text = separator.join([repr(float(cell)) if "e" in cell else cell for cell in cells]) + separator
    else:
        text = separator.join(map(repr, values.tolist())) + separator
    text = text.replace(".0" + separator, separator)
    if "e" in text:
        text = text.replace("e+", "e").replace("e-0", "e-").replace("e0", "e").replace(".0e", "e")
    return text[: -len(separator)]


def _quoted(cells: Sequence[str], delimiter: str) -> list[str]:
    special = set('\t;," ' if delimiter == " " else '\t;,"')
    return ['"' + cell.replace('"', '""') + '"' if special & set(cell) else cell for cell in cells]


def _delimitable(cells: Sequence[str], delimiter: str) -> Sequence[str]:
    """`cells` as they were, but for those that this delimiter would divide."""
    if delimiter not in "\n".join(cells):
        return cells
    return [_quoted([cell], delimiter)[0] if delimiter in cell and cell[0] != '"' else cell for cell in cells]
