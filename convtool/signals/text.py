"""Numbers in text: comma, tab, semicolon or blank separated."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, BinaryIO

import numpy as np

from convtool.errors import InputError
from convtool.files.atomic import write_all
from convtool.files.names import show
from convtool.files.source import CHUNK, Source
from convtool.signals.signal import Block, Reader, Signal, Writer

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_ROW = re.compile(r"^(?!#)[^\n]*\S", re.MULTILINE)
_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
_WORDS = ("nan", "inf", "-inf")
_MISSING = {"na", "n/a", "null", "none", "nil", "missing", "-", "?", "infinity", "true", "false"}
_PLAIN = str.maketrans("", "", "0123456789+-.eE \t,;\n")
"""What a block made of plain numbers alone consists of; anything else is looked at cell by cell."""


@dataclass(frozen=True)
class Dialect:
    """How the cells of a text are told apart; `delimiter` is None for runs of blanks."""

    delimiter: str | None
    decimal: str = "."

    @classmethod
    def of(cls, line: str, decimal: str) -> Dialect:
        """The dialect of a text that begins with `line`: tab, then semicolon, then comma, then blanks."""
        bare = re.sub('"[^"]*"', "", line)
        for delimiter in ("\t", ";", ","):
            if delimiter in bare and delimiter != decimal:
                return cls(delimiter, decimal)
        return cls(None, decimal)

    def split(self, line: str) -> list[str]:
        """The cells of one line, without quotes and blanks around them."""
        if '"' in line:
            try:
                cells = csv.reader([line.strip()], delimiter=self.delimiter or " ", skipinitialspace=True, strict=True)
                return [cell.strip() for cell in next(cells)]
            except csv.Error:
                pass  # stray quotes stay in their cells, which are then no numbers
        return [cell.strip() for cell in line.split(self.delimiter)]

    def number(self, cell: str) -> str | None:
        """`cell` as Python writes that number, or None where it is none."""
        if self.decimal == ",":
            if "." in cell:
                return None
            cell = cell.replace(",", ".")
        return cell if _NUMBER.fullmatch(cell) or cell.lower() in _WORDS else None


class CsvReader(Reader):
    """Rows are samples, columns channels; one single row is one signal. Read as it comes.

    Worked in float64, which is exact for integers up to 2**53; a text that fits one block and holds
    integers alone is worked in int64 if `exact`, and in a longer one integers that float64 would round
    are an error.
    """

    def __init__(self, source: Source, *, columns: str | None = None, decimal: str = ".", exact: bool = True) -> None:
        self._source = source
        self._rest = b""
        self._ended = False
        self._blank = 0
        self.notes = []
        self._rest = source.read_exactly(CHUNK)
        self._exact = exact
        text = self._next_lines().removeprefix("\ufeff")
        while not self._ended and not _has_two_rows(text):  # a second row tells that the first is not alone
            text += self._next_lines()
        self._line = 1
        lines = _Lines(text)
        while lines.peek().startswith("#") or (lines.left and not lines.peek().strip()):
            lines.take()
        if not lines.left:
            raise InputError("there are 0 samples in it")
        self._dialect = Dialect.of(lines.peek(), decimal)
        names = _header(self._dialect.split(lines.peek()), self._dialect)
        if names is not None:
            lines.take()
        self._line += lines.taken
        self._width = len(names or self._dialect.split(lines.peek()))
        body = lines.rest()
        single = self._ended and names is None and columns is None and body.count("\n") == 1
        self._chosen = list(range(self._width)) if columns is None else _choose(columns, names, self._width)
        if single:
            body = "".join(f"{cell}\n" for cell in self._dialect.split(body))
            self._locate: Callable[[int, int], tuple[int, int]] = lambda row, _: (self._line, row + 1)
            self._dialect, self._width, self._chosen = Dialect("\n", decimal), 1, [0]
        else:
            self._locate = lambda row, column: (self._line + row, column + 1)
        if self._ended and not body:
            raise InputError("there are 0 samples in it: its only line reads as names of columns")
        self._pending = self._block(body, alone=self._ended)
        self._line += body.count("\n")
        if names is not None:
            names = tuple(names[i] for i in self._chosen)
        self.signal = Signal(
            format="CSV",
            channels=len(self._pending),
            dtype=self._pending.dtype.name,
            frames=self._pending.shape[1] if self._ended else None,
            flat=single,
            names=names,
        )

    def _next_lines(self) -> str:
        """The next complete lines, every line end a newline; blank lines only once something follows them."""
        while True:
            more = self._source.read(CHUNK)
            data = self._rest + more
            if not more:
                self._ended, self._rest = True, b""
                if data and not data.endswith((b"\n", b"\r")):
                    data += b"\n"
            else:
                cut = max(data.rfind(b"\n"), data.rfind(b"\r", 0, -1)) + 1
                data, self._rest = data[:cut], data[cut:]
            if data or self._ended:
                break
        try:
            text = data.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
        except UnicodeDecodeError as error:
            raise InputError(f"byte {error.object[error.start]:#04x} is not UTF-8 text; expected numbers") from error
        if "\0" in text:
            raise InputError("the content is binary; expected numbers in text")
        text = "\n" * self._blank + text
        body = text.rstrip("\n")
        self._blank = len(text) - len(body) - 1 if body else len(text)
        return body + "\n" if body else ""

    def read(self, samples: int) -> Block:
        while not self._pending.shape[1] and not self._ended:
            text = self._next_lines()
            self._pending = self._block(text, alone=False)
            self._line += text.count("\n")
        block, self._pending = self._pending[:, :samples], self._pending[:, samples:]
        return block

    def _block(self, text: str, *, alone: bool) -> Block:
        """The numbers of complete lines, int64 where they are integers and the text stands `alone`."""
        table = self._parse(text)
        if not self._exact or not table.size or (not alone and np.abs(table).max() < 2**53):
            return table
        if set(".,eEnNiI") & set(text.replace(self._dialect.delimiter or " ", "")):
            return table
        integers = self._checked(text, np.int64)
        if alone:
            return integers
        if (integers.astype(object) != table.astype(object)).any():
            raise InputError("integers past 2**53 are not exact in so long a text; --dtype float64 rounds them")
        return table

    def _parse(self, text: str) -> Block:
        """The numbers of complete lines, `(columns, rows)` in float64."""
        cells = self._plain_cells(text)
        if cells is not None:
            try:
                table = np.array(list(map(float, cells))).reshape(-1, self._width).T
            except ValueError:
                pass
            else:
                return np.ascontiguousarray(table[self._chosen])
        return self._checked(text, np.float64)

    def _plain_cells(self, text: str) -> list[str] | None:
        """All cells of a text of plain numbers in even rows; None where a closer look is due."""
        if text.translate(_PLAIN):
            return None
        delimiter, decimal = self._dialect.delimiter, self._dialect.decimal
        if decimal == ",":
            if "." in text:
                return None
            text = text.replace(",", ".")
        lines = text.split("\n")[:-1]
        if self._width == 1:
            return lines
        if delimiter is None:
            rows = [line.split() for line in lines]
            return [cell for row in rows for cell in row] if all(len(row) == self._width for row in rows) else None
        if any(line.count(delimiter) != self._width - 1 for line in lines):
            return None
        return delimiter.join(lines).split(delimiter) if lines else []

    def _checked(self, text: str, dtype: type[np.int64 | np.float64]) -> Block:
        """Cell by cell: the numbers, or an error with its line and column."""
        rows = []
        for index, line in enumerate(text.split("\n")[:-1]):
            cells = self._dialect.split(line) if self._dialect.delimiter != "\n" else [line]
            if not line.strip():
                self._cell("", index, 0, dtype)
            if len(cells) != self._width:
                at = self._locate(index, 0)[0]
                raise InputError(f"line {at} has {len(cells)} columns; expected {self._width} as in the first")
            rows.append([self._cell(cells[column], index, column, dtype) for column in self._chosen])
        return np.ascontiguousarray(np.array(rows, dtype).reshape(-1, len(self._chosen)).T)

    def _cell(self, cell: str, row: int, column: int, convert: Callable[[str], Any]) -> Any:
        number = self._dialect.number(cell)
        line, at = self._locate(row, column)
        if number is not None:
            try:
                return convert(number)
            except (OverflowError, ValueError) as error:
                too_large = f"{show(number)} is past what a 64-bit integer holds"
                raise InputError(f"line {line}, column {at}: {too_large}; --dtype float64 rounds it") from error
        what = f"'{show(cell)}' is not a number" if cell else "the cell is empty"
        hint = "; decimal commas need --decimal ," if re.fullmatch(r"[+-]?\d+,\d+", cell) else ""
        raise InputError(f"line {line}, column {at}: {what}{hint}")

    def close(self) -> None:
        self._source.close()


def _has_two_rows(text: str) -> bool:
    """Whether two lines of `text` are neither blank nor comments."""
    return len(list(islice(_ROW.finditer(text), 2))) == 2


class _Lines:
    """The lines of a text, taken from its beginning."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self.taken = 0

    @property
    def left(self) -> bool:
        return self._at < len(self._text)

    def peek(self) -> str:
        return self._text[self._at : self._text.find("\n", self._at)]

    def take(self) -> None:
        self._at = self._text.find("\n", self._at) + 1
        self.taken += 1

    def rest(self) -> str:
        return self._text[self._at :]


def _header(cells: Sequence[str], dialect: Dialect) -> tuple[str, ...] | None:
    """The names in a first row of names; None for a row of numbers.

    Only a row in which every cell reads like a name is a header: a bad number in the first row must
    stay an error instead of vanishing with its row.
    """
    if all(dialect.number(cell) is None and _is_name(cell) for cell in cells):
        return tuple(cells)
    return None


def _is_name(cell: str) -> bool:
    return bool(cell) and (cell[0].isalpha() or cell[0] in "_([{°%µ$€") and cell.lower() not in _MISSING


def _choose(columns: str, names: Sequence[str] | None, width: int) -> list[int]:
    """The indices that `columns` asks for, by name or by number from 1."""
    chosen = []
    for wanted in (part.strip() for part in columns.split(",")):
        if names and wanted in names:
            chosen.append(names.index(wanted))
        elif _INTEGER.fullmatch(wanted) and 1 <= int(wanted) <= width:
            chosen.append(int(wanted) - 1)
        else:
            there = ", ".join(show(name) for name in names) if names else f"1 to {width}"
            raise InputError(f"there is no column '{show(wanted)}'; the columns are {there}")
    return chosen


class CsvWriter(Writer):
    """Rows of numbers, each the shortest text that reads back to the same bits."""

    def __init__(self, file: BinaryIO, signal: Signal, delimiter: str) -> None:
        self._file = file
        self._delimiter = delimiter
        self._flat = signal.flat and signal.channels == 1
        self._started = False
        self._head = "" if signal.names is None else _quoted(signal.names, delimiter) + "\n"

    def encode(self, block: Block) -> str:
        """The text of a block: without the last line end in a single row, to which more may be joined."""
        if block.ndim == 3:
            block = block.reshape(-1, block.shape[-1])
        if not block.size:
            return ""
        if self._flat:
            return join_numbers(block.ravel(), self._delimiter)
        if len(block) == 1:
            return join_numbers(block.ravel(), "\n")
        width, cells = len(block), join_numbers(block.T.ravel(), "\n").split("\n")
        return "\n".join(map(self._delimiter.join, zip(*(cells[i::width] for i in range(width)), strict=True)))

    def write(self, encoded: str) -> None:
        if not encoded:
            return
        if self._flat:
            self._put(self._delimiter * self._started + encoded)
        else:
            self._put(self._head + encoded + "\n")
        self._started, self._head = True, ""

    def _put(self, text: str) -> None:
        write_all(self._file, text.encode("utf-8"))

    def close(self) -> None:
        self._put("\n" if self._flat else self._head)


def join_numbers(values: Block, separator: str) -> str:
    """Numbers ``(count,)`` joined by `separator`, each the shortest text that reads back to the same bits.

    >>> join_numbers(np.array([4.0, -0.5, 5e33, 1e-5, np.nan]), ",")
    '4,-0.5,5e33,1e-5,nan'
    """
    if np.issubdtype(values.dtype, np.integer):
        return separator.join(map(str, values.tolist()))
    if values.dtype.itemsize < 8:  # str() of the number itself: tolist() would make a longer float64 of it
        text = separator.join(values.astype("U32").tolist()) + separator
    else:
        text = separator.join(map(repr, values.tolist())) + separator
    text = text.replace(".0" + separator, separator)
    if "e" in text:
        text = text.replace("e+", "e").replace("e-0", "e-").replace("e0", "e").replace(".0e", "e")
    return text[: -len(separator)]


def _quoted(names: Sequence[str], delimiter: str) -> str:
    special = set('\t;," ' if delimiter == " " else '\t;,"')
    cells = ['"' + name.replace('"', '""') + '"' if special & set(name) else name for name in names]
    return delimiter.join(cells)
