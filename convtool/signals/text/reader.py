"""Step 3: the rows below the heading, read in blocks as they come."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from convtool.errors import InputError
from convtool.files.source import CHUNK, Source
from convtool.signals.signal import Block, Reader, Signal
from convtool.signals.text.cells import Cells, find_cells
from convtool.signals.text.columns import choose_columns
from convtool.signals.text.complaints import blank, no_number, too_large, uneven
from convtool.signals.text.decimals import parse
from convtool.signals.text.dialect import shown
from convtool.signals.text.heading import Heading, read_heading
from convtool.signals.text.kept import Kept
from convtool.signals.text.lines import Lines
from convtool.signals.text.options import TextOptions
from convtool.signals.text.times import Times
from convtool.signals.text.unsampled import FREQUENCY

_SLICE = 1 << 18
"""Bytes parsed at once: what is made of them stays in the processor's cache."""

_LOOKED_AT = 2000
"""Lines among which the heading is looked for first."""

_LONG_PREAMBLE = 1 << 16
_LONG_CELL = 32
_MOST_JOINED = 1 << 20
"""Samples of a signal that are put together from rows behind each other."""

_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
_EXACT = 1 << 53


@dataclass
class _Table:
    """The chosen cells of some rows: ``(rows, columns)``."""

    values: NDArray[np.float64]
    integers: NDArray[np.int64]
    whole: NDArray[np.bool_]
    """Where a cell is an integer, of any size; `integers` has it exactly if int64 does."""
    too_large: list[tuple[int, int, str]]
    """Line, column and digits of integers past int64."""


class _LineNumbers(NamedTuple):
    """The lines that rows stand on, from `first` on; of `lines` in all where comments are between them."""

    first: int
    rows: Sequence[int] | None = None
    lines: int = 0

    def of(self, row: int) -> int:
        """The line of a row."""
        return self.first + row if self.rows is None else self.rows[row]

    def after(self, rows: int) -> int:
        """The line after so many rows."""
        return self.first + (rows if self.rows is None else self.lines)


class TextReader(Reader):
    """Rows are samples, columns channels; one single row is one signal. Read as it comes.

    Worked in float64, which is exact for integers up to 2**53; a text that has ended with its first block and
    holds integers alone, in the columns chosen, is worked in int64 if `exact`. Elsewhere a column of integers that
    float64 would round is an error. A `wrapped` text is one signal where its rows are plainly no table.
    """

    def __init__(
        self, source: Source, options: TextOptions | None = None, *, exact: bool = True, wrapped: bool = False
    ) -> None:
        self._source = source
        self._options = (options or TextOptions()).checked()
        self._exact = exact
        self._comment = _comments(self._options.comment) if self._options.comment else None
        self._lines = Lines(source)
        self.notes: list[str] = []
        heading, text = self._look(whole=wrapped)
        self._heading, self._dialect = heading, heading.body.dialect
        self._nodata = [value for value in (heading.nodata, self._options.nodata) if value is not None]
        self._line, self._rows = heading.body.start + 1, 0
        self._width = heading.body.width + heading.body.trailing
        rows = text.split(b"\n", heading.body.start)
        body = rows[heading.body.start] if len(rows) > heading.body.start else b""
        if wrapped and FREQUENCY in heading.unsampled.values():
            raise InputError("its first column is of frequencies: a response, no taps; export the impulse response")
        self._take_columns(heading)
        self._tell(heading)
        if self._lines.ended and not body:
            raise InputError("there are 0 samples in it: its only line reads as names of columns")
        bare = heading.names is None and not heading.unsampled and self._options.columns is None and self._kept is None
        single = bare and self._lines.ended and body.count(b"\n") == 1
        if bare and heading.points is not None and heading.points > _MOST_JOINED and heading.body.width > 1:
            what = f"it says that it holds {heading.points} samples, row behind row perhaps"
            raise InputError(f"{what}; up to {_MOST_JOINED} are put together: write one a line")
        joined = self._joined(body, as_kernel=wrapped) if bare else None
        self._pending = self._block(body, alone=self._lines.ended) if joined is None else joined
        if joined is not None and not wrapped:
            told = f"one signal of {heading.points} samples, row behind row, as it says"
            self.remarks = [f"{self.remarks[0]}; {told}"]
        if single:
            self._pending = self._pending.reshape(1, -1)
        self.signal = Signal(
            format="CSV",
            channels=len(self._pending),
            dtype=self._pending.dtype.name,
            sample_rate=heading.sample_rate,
            frames=self._pending.shape[1] if self._lines.ended else None,
            flat=single or (wrapped and joined is not None),
            names=None if heading.names is None else tuple(heading.names[index] for index in self._chosen),
            kept=self._kept,
            delimiter=heading.separator,
        )

    def _look(self, *, whole: bool) -> tuple[Heading, bytes]:
        """The heading, and the text so far: the first block of a file, or of a slow text what tells enough."""
        text, enough = self._lines.next().removeprefix(b"\xef\xbb\xbf"), CHUNK
        while not self._lines.ended:
            if not whole and (len(text) >= enough or self._lines.paused):
                heading = self._heading_of(text)
                if heading is not None and _has_two_rows(text, heading) and len(text) >= _bytes_to_see(heading):
                    return heading, text
                enough = max(enough, 2 * len(text))
            text += self._lines.next()
        heading = self._heading_of(text)
        if heading is None:
            raise InputError("there are 0 samples in it")
        return heading, text

    def _heading_of(self, text: bytes) -> Heading | None:
        *first, rest = text.split(b"\n", _LOOKED_AT)
        lines = [self._without_comment(line.decode("utf-8")) for line in first]
        heading = read_heading(lines, self._options)
        if rest and (heading is None or not heading.body.sure):
            more = [self._without_comment(line) for line in rest.decode("utf-8").split("\n")[:-1]]
            heading = read_heading([*lines, *more], self._options)
        return heading

    def _without_comment(self, line: str) -> str:
        """A line up to the comment at its end; one that is a comment alone stays."""
        cut = None if self._comment is None else self._comment.match(line)
        return cut[0] if cut is not None and cut[0].strip() else line

    def _take_columns(self, heading: Heading) -> None:
        options, body, names = self._options, heading.body, heading.names
        samples = [index for index in range(body.width) if index not in heading.unsampled]
        self._chosen = samples if options.columns is None else choose_columns(options.columns, names, body.width)
        kept = [] if options.keep is None else choose_columns(options.keep, names, body.width)
        if options.columns is None:
            self._chosen = [index for index in self._chosen if index not in set(kept)] if kept else self._chosen
            if not self._chosen:
                raise InputError("--keep-columns leaves no column to work on")
        self._columns = sorted(set(self._chosen))
        places = {index: place for place, index in enumerate(self._columns)}
        self._order = [places[index] for index in self._chosen]
        self._keep = kept
        self._times = heading.times if options.even_times else None
        self._kept = Kept(names and tuple(names[index] for index in kept)) if kept else None

    def _tell(self, heading: Heading) -> None:
        self.remarks = ["; ".join(heading.remarks)]
        self.notes += heading.doubts
        if heading.start_time:
            self.notes.append(f"its clock starts at {heading.start_time:g} s; its first sample is taken as time 0")

    def read(self, samples: int) -> Block:
        while not self._pending.shape[1] and not self._lines.ended:
            self._pending = self._block(self._lines.next(), alone=False)
        block, self._pending = self._pending[:, :samples], self._pending[:, samples:]
        return block

    def _block(self, data: bytes, *, alone: bool) -> Block:
        """The numbers of complete lines, int64 where they are integers and the text stands `alone`."""
        tables = [self._table(part) for part in _slices(data)]
        large = [place for table in tables for place in table.too_large]
        integers = self._exact and alone and all(table.whole.all() for table in tables)
        if integers and large:
            at, column, digits = large[0]
            past = f"{shown(digits)} is past what a 64-bit integer holds; --dtype float64 rounds it"
            raise InputError(f"line {at}, column {column}: {past}")
        if self._exact and not integers:
            for table in tables:
                _refuse_rounded(table, alone=alone)
        rows = [table.integers if integers else table.values for table in tables]
        numbers = np.concatenate(rows) if rows else np.empty((0, len(self._columns)))
        return np.ascontiguousarray(numbers[:, self._order].T)

    def _table(self, data: bytes) -> _Table:
        """The chosen cells of the next complete lines; kept cells go on their way."""
        lines: _LineNumbers = _LineNumbers(self._line)
        if self._comment is not None:
            data, lines = self._without_comments(data)
        cells = find_cells(data, self._dialect.delimiter, self._width)
        width = self._heading.body.width
        if cells is not None and (cells.starts[:, width:] < cells.ends[:, width:]).any():
            cells = None
        table = self._one_by_one(data, lines) if cells is None else self._at_once(cells, lines)
        if self._times is not None:
            self._check_times(self._times, self._cells_in([self._times.column], data, cells)[0], lines)
        self._line = lines.after(len(table.values))
        for nodata in self._nodata:
            missing = table.values == nodata
            table.values[missing], table.whole[missing] = np.nan, False
        if self._kept is not None:
            self._kept.add(self._cells_in(self._keep, data, cells))
        return table

    def _without_comments(self, data: bytes) -> tuple[bytes, _LineNumbers]:
        """The lines of `data` that are no comments, up to the comments at their ends."""
        lines = data.decode("utf-8").split("\n")[:-1]
        chars = self._options.comment or ""
        left = [index for index, text in enumerate(lines) if text.strip()[:1] not in chars or not text.strip()]
        numbers = _LineNumbers(self._line, [self._line + index for index in left], len(lines))
        return "".join(f"{self._without_comment(lines[index])}\n" for index in left).encode("utf-8"), numbers

    def _at_once(self, cells: Cells, lines: _LineNumbers) -> _Table:
        starts, ends = cells.starts[:, self._columns], cells.ends[:, self._columns]
        parsed = parse(cells.text, starts.ravel(), ends.ravel(), decimal=self._dialect.decimal)
        table = _Table(parsed.values, parsed.integers, parsed.whole, [])
        for index in np.flatnonzero(parsed.hard).tolist():
            row, column = divmod(index, len(self._columns))
            cell = cells.text[starts[row, column] : ends[row, column]].tobytes().decode("utf-8").strip()
            self._set(table, index, cell, lines.of(row), self._columns[column] + 1)
        return replace(
            table,
            values=table.values.reshape(starts.shape),
            integers=table.integers.reshape(starts.shape),
            whole=table.whole.reshape(starts.shape),
        )

    def _one_by_one(self, data: bytes, lines: _LineNumbers) -> _Table:
        """The cells of lines that are not all plain and even: the numbers, or an error with line and column."""
        rows = data.decode("utf-8").split("\n")[:-1]
        shape = len(rows), len(self._columns)
        table = _Table(np.empty(shape), np.zeros(shape, np.int64), np.zeros(shape, np.bool_), [])
        flat = _Table(table.values.ravel(), table.integers.ravel(), table.whole.ravel(), table.too_large)
        for row, line in enumerate(rows):
            at = lines.of(row)
            cells = self._cells_of(line, at)
            for index, column in enumerate(self._columns):
                self._set(flat, row * len(self._columns) + index, cells[column], at, column + 1)
        return table

    def _cells_of(self, line: str, at: int) -> list[str]:
        """The cells of a line, which must be as many as in the first."""
        cells, body = self._dialect.split(line), self._heading.body
        if not line.strip():
            raise blank(at, body)
        if not body.fits(cells):
            raise uneven(cells, at, body)
        return cells

    def _set(self, table: _Table, index: int, cell: str, line: int, column: int) -> None:
        """Put the number that `cell` holds into a flat table."""
        number = self._dialect.number(cell)
        if number is None:
            raise no_number(cell, line, column, self._heading.body)
        value = float(number)
        if np.isinf(value) and "i" not in number.lower():
            raise too_large(cell, line, column)
        table.values[index] = value
        if _INTEGER.fullmatch(number):
            table.whole[index] = True
            digits = number.lstrip("+-0") or "0"
            integer = None if len(digits) > 19 else int(digits) * (-1 if number[0] == "-" else 1)
            if integer is None or not -(1 << 63) <= integer < 1 << 63:
                table.too_large.append((line, column, cell))
            else:
                table.integers[index] = integer
        else:
            table.whole[index] = False

    def _check_times(self, times: Times, cells: Sequence[str], lines: _LineNumbers) -> None:
        numbers = [self._dialect.number(cell.strip().strip('"')) for cell in cells]
        off = times.first_off(numbers, self._rows)
        if off is not None:
            row, expected = off
            raise InputError(
                f"line {lines.of(row)}, column {times.column + 1}: the time is {shown(cells[row].strip())}, and "
                f"{expected:.9g} in even steps of {times.interval:.9g} as they begin; lengths in time need even times: "
                "give them in samples, or take the times for even with --sample-rate HZ"
            )
        self._rows += len(cells)

    def _cells_in(self, chosen: Sequence[int], data: bytes, cells: Cells | None) -> list[list[str]]:
        """The cells of the `chosen` columns as they stand there."""
        if cells is None:
            rows = [self._dialect.split_raw(line) for line in data.decode("utf-8").split("\n")[:-1]]
            return [[row[column] for row in rows] for column in chosen]
        raw = cells.text.tobytes()
        text = raw.decode("ascii") if raw.isascii() else None
        columns = []
        for column in chosen:
            spans = zip(cells.raw_starts[:, column].tolist(), cells.raw_ends[:, column].tolist(), strict=True)
            if text is not None:
                columns.append([text[start:end] for start, end in spans])
            else:
                columns.append([raw[start:end].decode("utf-8") for start, end in spans])
        return columns

    def _joined(self, body: bytes, *, as_kernel: bool) -> Block | None:
        """The numbers of lines that are one signal written on several; None where they are a table."""
        points = self._heading.points if self._heading.body.width > 1 and self._lines.ended else None
        if not as_kernel and points is None:
            return None
        lines = body.decode("utf-8").split("\n")[:-1]
        rows = [self._dialect.split(line) for line in lines]
        ending = [len(cells) > 1 and not cells[-1] for cells in rows]
        rows = [cells[:-1] if end else cells for cells, end in zip(rows, ending, strict=True)]
        widths = [len(cells) for cells in rows]
        even = len(set(widths[:-1])) == 1 and widths[-1] <= widths[0]
        plain = sum(widths) == points or (as_kernel and (widths[-1] < widths[0] or all(ending[:-1])))
        if not even or not plain:
            return None
        flat = [(cell, self._line + at, column + 1) for at, row in enumerate(rows) for column, cell in enumerate(row)]
        table = _Table(np.empty(len(flat)), np.zeros(len(flat), np.int64), np.zeros(len(flat), np.bool_), [])
        for index, (cell, line, column) in enumerate(flat):
            self._set(table, index, cell, line, column)
        exact = self._exact and table.whole.all() and not table.too_large
        return (table.integers if exact else table.values)[np.newaxis]

    def close(self) -> None:
        self._source.close()


def _has_two_rows(text: bytes, heading: Heading) -> bool:
    """Whether a second row tells that the first is not alone."""
    rows = text.split(b"\n", heading.body.start + 2)
    return len(rows) > heading.body.start + 2


def _comments(chars: str) -> re.Pattern[str]:
    """What matches a line up to the first of `chars` that is not between quotes."""
    return re.compile(rf'(?:"[^"]*"|[^{re.escape(chars)}"]|"(?![^"]*"))*')


def _bytes_to_see(heading: Heading) -> int:
    """How much of a text to look at before its heading is taken for what it seems.

    A preamble may come without a number as yet, and rows may be as many numbers as is said that the signal has.
    """
    if not heading.body.sure:
        return _LONG_PREAMBLE
    return 0 if heading.points is None or heading.body.width == 1 else _LONG_CELL * min(heading.points, _MOST_JOINED)


def _slices(data: bytes) -> Iterator[bytes]:
    """`data` in slices of complete lines."""
    start = 0
    while start < len(data):
        end = data.rfind(b"\n", start, start + _SLICE) + 1 or data.index(b"\n", start) + 1
        yield data[start:end]
        start = end


def _refuse_rounded(table: _Table, *, alone: bool) -> None:
    """Refuse a column of integers of which float64 would round one."""
    columns = np.flatnonzero(table.whole.all(axis=0) & (np.abs(table.values).max(axis=0, initial=0) >= _EXACT))
    for column in columns:
        integers, values = table.integers[:, column], table.values[:, column]
        if (integers.astype(object) != values.astype(object)).any():
            where = "beside other numbers" if alone else "in so long a text"
            raise InputError(f"integers past 2**53 are not exact {where}; --dtype float64 rounds them")
