"""Step 1: the delimiter and the first row of numbers, told from the rows themselves.

A row is numeric where each of its cells is a number; labelled where its first cell is none and all others are.
The body begins with the first numeric row, or with labelled rows where they go on to the end of what is looked at
and either the row above says that the first column has no name, or each label looks like a name or a date. Several
columns on the left name the rows where they are dates and times of day, and what counts them.
A row is numeric or not under its own delimiter, so that comments and preambles have no say in it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
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
_DATE = (
    r"\d{4}([-/.])\d\d?\1\d\d?(?!\d).*|\d\d?([-/.])\d\d?\2(\d{4}|\d\d)\b.*|\d\d?[- ][A-Za-z]{3}[- ]\d{2,4}\b.*|"
    r"\d\d?:\d\d(:.*)?|[AaPp][Mm]"
)
_MOST_LABELS = 4
"""Columns that a date, a time of day, AM or PM, and a count take together."""
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
    beside: int = 0
    """Columns on the left that hold a preamble, beside the first rows, and an empty column."""
    commented: bool = False
    """A row may end in one more cell, with words."""
    like: int | None = None
    """The line whose width all have; None where there are as many cells as names."""
    sure: bool = True
    """The first row is one of numbers; else nothing was, and the first row is as good as any."""

    def fits(self, cells: Sequence[str]) -> bool:
        """Whether `cells` are as many as a row has; what ends each row may be missing in one."""
        more = cells[self.width :]
        if self.commented and len(more) == 1:
            return True
        return len(cells) >= self.width and len(more) in (0, self.trailing) and not any(more)


def find_body(lines: Sequence[str], options: TextOptions) -> Body | None:
    """The body of a text that begins with `lines`; None where every line is blank or a comment."""
    rows = [index for index in range(options.skip, len(lines)) if is_row(lines[index], options)]
    for at in range(len(rows)):
        if (body := _body_at(lines, rows[at:], rows[at - 1] if at else None, options)) is not None:
            return body
    if not rows:
        return None
    dialect = dialect_of(lines[rows[0]], options)
    return Body(rows[0], dialect, len(dialect.split(lines[rows[0]])), like=rows[0], sure=False)


def _body_at(lines: Sequence[str], rows: Sequence[int], above: int | None, options: TextOptions) -> Body | None:
    """The body that begins with the first of `rows`, `above` being the row before; None where it does not."""
    index = rows[0]
    dialect = dialect_of(lines[index], options)
    cells = dialect.split(lines[index])
    width = max((place for place, cell in enumerate(cells, 1) if cell), default=len(cells))
    trailing = len(cells) - width
    kind = _kind(cells[:width], dialect)
    if kind == "numeric" or (options.columns is not None and _chosen_are_numbers(options.columns, cells, dialect)):
        if trailing and _all_trail(lines, rows, dialect, width, len(cells)):
            return Body(index, dialect, width, trailing, like=index)
        return Body(index, dialect, len(cells), like=index)
    if kind == "labelled" and _labels_go_on(lines, rows, above, dialect, width):
        return Body(index, dialect, width, trailing, labelled=1, like=index)
    if labels := _dated(lines, rows, dialect, width):
        return Body(index, dialect, width, trailing, labelled=labels, like=index)
    if beside := _preamble_beside(lines, rows, dialect):
        return Body(index, dialect, width, trailing, beside=beside, like=index)
    return None


def dialect_of(line: str, options: TextOptions) -> Dialect:
    """How `line` is divided: as the options say, else as it looks."""
    delimiter = options.delimiter or delimiter_of(line, options.decimal)
    missing = options.missing == "nan"
    return Dialect(None if delimiter == " " else delimiter, options.decimal, options.thousands, missing)


def is_row(line: str, options: TextOptions) -> bool:
    """Whether `line` has cells: it is not blank, no comment, and states nothing about the others."""
    return bool(line.strip()) and not is_comment(line, options) and not _STATED.match(line)


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


def _all_trail(lines: Sequence[str], rows: Sequence[int], dialect: Dialect, width: int, count: int) -> bool:
    """Whether the first two rows end in the same delimiters: then all must."""
    cells = [dialect.split(lines[row]) for row in rows[:2]]
    return len(cells) > 1 and all(len(row) == count and not any(row[width:]) for row in cells)


def _preamble_beside(lines: Sequence[str], rows: Sequence[int], dialect: Dialect) -> int:
    """How many columns on the left hold a label, a value and nothing, while the others are numbers (old Tektronix)."""
    first = dialect.split(lines[rows[0]])
    if dialect.delimiter is None or len(first) < 5 or not is_name(first[0]) or first[2]:
        return 0
    below = [dialect.split(lines[row]) for row in rows[:_LOOKED_AT]]
    kinds = {
        (len(cells), cells[2], _kind(cells[3 : len(cells) - (not cells[-1])], dialect)) for cells in below if cells[2:]
    }
    return 3 if len(below) > 1 and kinds == {(len(first), "", "numeric")} else 0


def _chosen_are_numbers(columns: str, cells: Sequence[str], dialect: Dialect) -> bool:
    """Whether `columns` are numbers of columns, and these of the `cells` are numbers."""
    try:
        return all(dialect.number(cells[column]) is not None for column in choose_columns(columns, None, len(cells)))
    except InputError:
        return False


def _dated(lines: Sequence[str], rows: Sequence[int], dialect: Dialect, width: int) -> int:
    """How many columns on the left are dates, times of day and what counts the rows, all others being numbers."""
    below = [dialect.split(lines[row])[:width] for row in rows[:_LOOKED_AT]]
    dates = [index for index, cell in enumerate(below[0][:_MOST_LABELS]) if re.fullmatch(_DATE, cell)]
    labels = dates[-1] + 1 if dates else 0
    for cells in below:
        beside = (cell for cell in cells[:labels] if dialect.number(cell) is None)
        if _kind(cells[labels:], dialect) != "numeric" or not all(re.fullmatch(_DATE, cell) for cell in beside):
            return 0
    return labels


def _labels_go_on(lines: Sequence[str], rows: Sequence[int], before: int | None, dialect: Dialect, width: int) -> bool:
    below = [dialect.split(lines[row])[:width] for row in rows[:_LOOKED_AT]]
    kinds = {_kind(cells, dialect) if len(cells) == width else "text" for cells in below}
    if "text" in kinds:
        return False
    above = [] if before is None else dialect.split(lines[before])
    if len(above) == width and not above[0] and names_after_index(above[1:]):
        return True
    if len(above) == width - 1 and all(map(is_name, above)):
        return True
    labels = [cells[0] for cells in below]
    named = len(above) >= width and all(map(is_name, above[:width]))
    return (
        kinds == {"labelled"}
        and (named or len(labels) > 1)
        and all(is_name(label) or re.fullmatch(_DATE, label) for label in labels)
    )
