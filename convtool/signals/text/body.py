"""Step 1: the delimiter and the first row of numbers, told from the rows themselves.

A row is numeric where each of its cells is a number; labelled where its first cell is none and all others are.
The body begins with the first numeric row, or with labelled rows where they go on to the end of what is looked at
and either the row above says that the first column has no name, or each label looks like a name or a date; or with rows
whose other cells are dates and times of day, in the same columns.
A row is numeric or not under its own delimiter, so that comments and preambles have no say in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass

from convtool.errors import InputError
from convtool.signals.text.columns import choose_columns
from convtool.signals.text.dialect import Dialect, delimiter_of
from convtool.signals.text.options import TextOptions

_LOOKED_AT = 1000
"""Rows that are looked at to tell labels from bad numbers, and cells to tell whether a row is numeric."""

_COMMENTS = "#%;!*"
_STATED = re.compile(
    r"\s*sep=.\s*$|\s*\S+\s+//.*|"
    r"\s*(ncols|nrows|xll(corner|center)|yll(corner|center)|cellsize|dx|dy|nodata_value)\s+\S+\s*$",
    re.IGNORECASE,
)
"""Lines that say something about the numbers, although numbers stand in them: Excel, REW, ESRI."""
_RULER = r"\s*([-+=_~>*])\1{3,}\s*"
_CLOCK = r"\d\d?:\d\d(:\d\d([.,:]\d+)?)?( ?[AaPp]\.?[Mm]\.?)?( ?(Z|UTC|GMT|[+-]\d\d(:?\d\d)?))?"
_DATE = (
    r"(\d{4}([-/.])\d\d?\2\d\d?|\d\d?([-/.])\d\d?\3(\d{4}|\d\d)|\d\d?[- ][A-Za-z]{3}[- ](\d{4}|\d\d))"
    rf"([T _-]*{_CLOCK})?|{_CLOCK}|[AaPp]\.?[Mm]\.?"
)
NO_NAMES = {"na", "n/a", "null", "none", "nil", "missing", "-", "?", "nan", "inf", "infinity", "true", "false"}


@dataclass(frozen=True)
class Body:
    """Where the rows of numbers begin, and how they are divided."""

    start: int
    """The line of the first row, counted from 0."""
    dialect: Dialect
    width: int
    """Cells in a row, empty ones after delimiters at its end not counted."""
    trailing: int = 0
    """Delimiters at the end of each row."""
    labelled: int = 0
    """Columns on the left that name the rows, with words or dates."""
    dated: tuple[int, ...] = ()
    """Columns of dates and times of day further on."""
    beside: int = 0
    """Columns on the left that hold a preamble, beside the first rows, and an empty column."""
    commented: bool = False
    """A row may end in one more cell, with words."""
    width_from: int | None = None
    """The line whose width all have; None where there are as many cells as names."""
    sure: bool = True
    """The first row is one of numbers; else nothing was, and the first row is as good as any."""

    def fits(self, cells: Sequence[str]) -> bool:
        """Whether `cells` are as many as a row has; what ends each row may be missing in one."""
        more = cells[self.width :]
        if self.commented and len(more) == 1:
            return True
        return len(cells) >= self.width and len(more) in (0, self.trailing) and not any(more)


class _Rows:
    """The rows of a text from number `at` on, each divided once for each dialect."""

    def __init__(self, lines: Sequence[str], options: TextOptions) -> None:
        self.places = [index for index in range(options.skip, len(lines)) if is_row(lines[index], options)]
        self.at = 0
        self._lines = lines
        self._cells: dict[tuple[int, Dialect], list[str]] = {}
        self._unfit: dict[Hashable, int] = {}

    @property
    def left(self) -> int:
        """How many rows there are from `at` on."""
        return len(self.places) - self.at

    def cells(self, row: int, dialect: Dialect) -> list[str]:
        """The cells of a row, counted from `at`."""
        place = self.places[self.at + row]
        if (cells := self._cells.get((place, dialect))) is None:
            cells = self._cells[place, dialect] = dialect.split(self._lines[place])
        return cells

    def below(self, dialect: Dialect, most: int = _LOOKED_AT) -> Iterator[list[str]]:
        """The cells of the rows from `at` on, at the most so many."""
        return (self.cells(row, dialect) for row in range(min(most, self.left)))

    def all(self, fits: Callable[[Sequence[str]], bool], dialect: Dialect, key: Hashable) -> bool:
        """Whether the rows below fit; one that did not for a `key` is not come upon from each row above it again."""
        if self.at <= self._unfit.get(key, -1) < self.at + _LOOKED_AT:
            return False
        unfit = next((row for row, cells in enumerate(self.below(dialect)) if not fits(cells)), None)
        if unfit is not None:
            self._unfit[key] = self.at + unfit
        return unfit is None


def find_body(lines: Sequence[str], options: TextOptions) -> Body | None:
    """The body of a text that begins with `lines`; None where every line is blank or a comment."""
    looked_at = _Rows(lines, options)
    rows = looked_at.places
    for looked_at.at, index in enumerate(rows):
        if (body := _body_at(looked_at, index, dialect_of(lines[index], options), options)) is not None:
            return body
    if not rows:
        return None
    dialect = dialect_of(lines[rows[0]], options)
    return Body(rows[0], dialect, len(dialect.split(lines[rows[0]])), width_from=rows[0], sure=False)


def _body_at(rows: _Rows, index: int, dialect: Dialect, options: TextOptions) -> Body | None:
    """The body that begins with the first of `rows`, in line `index`; None where it does not."""
    cells = rows.cells(0, dialect)
    width = max((place for place, cell in enumerate(cells, 1) if cell), default=len(cells))
    trailing = len(cells) - width
    kind = _kind(cells[:width], dialect)
    above = rows.cells(-1, dialect) if rows.at else []
    chosen = options.columns
    if kind == "numeric" or (chosen is not None and _chosen_are_numbers(rows, chosen, above, dialect, len(cells))):
        if trailing and _all_trail(rows, dialect, width, len(cells)):
            return Body(index, dialect, width, trailing, width_from=index)
        return Body(index, dialect, len(cells), width_from=index)
    if kind == "labelled" and _labels_go_on(rows, above, dialect, width):
        return Body(index, dialect, width, trailing, labelled=1, width_from=index)
    if dates := _dated(rows, dialect, width):
        labels = next((at for at, column in enumerate(dates) if at != column), len(dates))
        dated = tuple(dates[labels:])
        return Body(index, dialect, width, trailing, labelled=labels, dated=dated, width_from=index)
    if beside := _preamble_beside(rows, dialect):
        return Body(index, dialect, width, trailing, beside=beside, width_from=index)
    return None


def dialect_of(line: str, options: TextOptions) -> Dialect:
    """How `line` is divided: as the options say, else as it looks."""
    delimiter = options.delimiter or delimiter_of(line, options.decimal)
    missing = options.missing == "nan"
    return Dialect(None if delimiter == " " else delimiter, options.decimal, options.thousands, missing)


def is_row(line: str, options: TextOptions) -> bool:
    """Whether `line` has cells: it is not blank, no comment, and states nothing about the others."""
    stated = _STATED.match(line) or re.fullmatch(_RULER, line)
    return bool(line.strip()) and not is_comment(line, options) and not stated


def is_comment(line: str, options: TextOptions) -> bool:
    """Whether `line` begins as comments do; one of empty cells and numbers alone is a row that lacks its first."""
    text = line.strip()
    if options.comment is not None:
        return text[:1] in set(options.comment)
    if not text or text[0] not in _COMMENTS:
        return False
    cells = Dialect(";", options.decimal, missing=True).split(text)
    return text[0] != ";" or any(Dialect(";", options.decimal, missing=True).number(cell) is None for cell in cells)


def is_name(cell: str) -> bool:
    """Whether `cell` reads like the name of a column, and not like a bad number."""
    return cell == "#" or (
        bool(cell)
        and (cell[0].isalpha() or cell[0] in "_([{°%µ$€∆Δ")
        and not (cell[0] in "$€" and cell[1:2].isdigit())
        and not cell.endswith(":")
        and cell.lower() not in NO_NAMES
    )


def names_after_index(cells: Sequence[str]) -> bool:
    """Whether `cells` are the names after an index without one: words, or 0, 1, 2 as pandas counts columns."""
    return all(map(is_name, cells)) or list(cells) == [str(index) for index in range(len(cells))]


def _kind(cells: Sequence[str], dialect: Dialect) -> str:
    numbers = [dialect.number(cell) is not None for cell in cells[:_LOOKED_AT]]
    if all(numbers) and any(cells):
        return "numeric"
    return "labelled" if len(cells) > 1 and cells[0] and all(numbers[1:]) and any(cells[1:]) else "text"


def _all_trail(rows: _Rows, dialect: Dialect, width: int, count: int) -> bool:
    """Whether the first two rows end in the same delimiters: then all must. One row alone may end in a tab."""
    cells = list(rows.below(dialect, 2))
    alone = len(cells) == 1 and dialect.delimiter == "\t" and count == width + 1
    return (len(cells) > 1 or alone) and all(len(row) == count and not any(row[width:]) for row in cells)


def _preamble_beside(rows: _Rows, dialect: Dialect) -> int:
    """How many columns on the left hold a label, a value and nothing, while the others are numbers (old Tektronix)."""
    first = rows.cells(0, dialect)
    if dialect.delimiter is None or len(first) < 5 or not is_name(first[0]) or first[2]:
        return 0

    def fit(cells: Sequence[str]) -> bool:
        if len(cells) < 3:
            return True
        numbers = cells[3 : len(cells) - (not cells[-1])]
        return len(cells) == len(first) and not cells[2] and _kind(numbers, dialect) == "numeric"

    return 3 if rows.left > 1 and rows.all(fit, dialect, ("beside", dialect, len(first))) else 0


def _chosen_are_numbers(rows: _Rows, columns: str, above: Sequence[str], dialect: Dialect, width: int) -> bool:
    """Whether the `columns` asked for, by numbers or by the names `above`, are numbers in all rows of some `width`."""
    names = tuple(above) if len(above) == width else None
    try:
        chosen = choose_columns(columns, names, width)
    except InputError:
        return False

    def fit(cells: Sequence[str]) -> bool:
        return len(cells) == width and all(dialect.number(cells[column]) is not None for column in chosen)

    return rows.all(fit, dialect, ("chosen", dialect, width, *chosen))


def _dated(rows: _Rows, dialect: Dialect, width: int) -> list[int]:
    """The columns that are dates and times of day, where all others are numbers; a date may be missing."""
    dates = [index for index, cell in enumerate(rows.cells(0, dialect)[:width]) if is_date(cell)]

    def fit(cells: Sequence[str]) -> bool:
        others = [cell for index, cell in enumerate(cells[:width]) if index not in dates]
        beside = (cells[index].lower() for index in dates if index < len(cells))
        return _kind(others, dialect) == "numeric" and all(is_date(cell) or cell in NO_NAMES for cell in beside)

    return dates if dates and rows.all(fit, dialect, ("dated", dialect, width, *dates)) else []


def is_date(cell: str) -> bool:
    """Whether a cell is a date, a time of day, or half a day."""
    return len(cell) < 60 and re.fullmatch(_DATE, cell, re.ASCII) is not None


def _labels_go_on(rows: _Rows, above: Sequence[str], dialect: Dialect, width: int) -> bool:
    unnamed = (len(above) == width and not above[0] and names_after_index(above[1:])) or (
        len(above) == width - 1 and all(map(is_name, above))
    )
    named = len(above) >= width and all(map(is_name, above[:width]))

    def fit(cells: Sequence[str]) -> bool:
        kind = _kind(cells[:width], dialect) if len(cells) >= width else "text"
        return kind != "text" if unnamed else kind == "labelled" and (is_name(cells[0]) or is_date(cells[0]))

    return rows.all(fit, dialect, ("labels", dialect, width, unnamed)) and (unnamed or named or rows.left > 1)
