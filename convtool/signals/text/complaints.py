"""What is wrong with a row or a cell, and what would read it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from convtool.errors import InputError
from convtool.signals.text.body import Body, is_date, is_name
from convtool.signals.text.dialect import MISSING, Dialect, delimiter_of, shown

_NO_VALUE = r"#n/a|#(div/0|value|ref|num|null|name)[!?]|-?1\.#\w+|nat|none|nil|missing|<na>|n\.a\.|--+|\?|ovld?|ol"
"""What spreadsheets, instruments and programs write for a number that they do not have."""
_LONG = 100
"""Characters of a cell past which none of the expressions below may look at it."""
_TYPED = {"\u00a0": " ", "\u202f": " ", "’": "'"}
"""How marks are typed that `Dialect` takes for others."""
_PART = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"
_GROUPS = r"[+-]?\d{1,3}([., '\u00a0\u202f’])\d{3}(\1\d{3})*((?!\1)[.,]\d*)?"
"""Digits in groups of three."""


def no_number(cell: str, line: int, column: int, body: Body) -> InputError:
    """The error of a cell that is no number."""
    complaint, first = complaint_of(cell, body.dialect), body.start + 1
    width = body.width + body.trailing
    if not cell and column == width > 1:
        complaint += ", or take away the delimiter before it"
    parts = cell.split(delimiter_of(cell, body.dialect.decimal))
    if width == 1 and line > first and len(parts) > 1 and None not in map(body.dialect.number, parts):
        complaint += f"; if line {first} is cut off, --skip {first} passes over it"
    if width > 1 and line == first and is_name(cell) and not re.search(r"[=\[({]", cell):
        complaint += "; --columns picks the columns to work on"
        complaint += ", --header yes takes the line for names" * (line == 1)
    elif line > first and column == 1 and is_name(cell):
        complaint += f"; head -n {line - 1} ends above it"
    if width > 1 and is_date(cell):
        complaint += "; --columns leaves out columns of dates and words"
    return InputError(f"line {line}, column {column}: {complaint}")


def too_large(cell: str, line: int, column: int) -> InputError:
    """The error of a number past what float64 holds."""
    past = "is past what float64 holds, 1.8e308; write inf, or nan where it is missing"
    return InputError(f"line {line}, column {column}: {shown(cell)} {past}")


def blank(line: int, body: Body) -> InputError:
    """The error of a blank line between rows."""
    if body.commented:
        return InputError(f"line {line} is blank: a segment of the measurement ends there; one segment a file is read")
    where = f"line {line} is blank"
    if not body.dialect.missing:
        where = f"line {line}, column 1: the cell is empty: the line is blank"
    return InputError(f"{where}; --skip {line} begins below it; what is above it ends with head -n {line - 1}")


def uneven(cells: Sequence[str], line: int, body: Body) -> InputError:
    """The error of a row with more or fewer cells than the others."""
    count, expected = len(cells), body.width
    if count == expected + 1 and not cells[-1]:
        way_out = "; it ends in a delimiter, and the first does not"
    elif body.trailing:
        way_out = ", and empty cells after them"
    else:
        way_out = f"; --skip {line - 1} begins with it" if line > 1 else ""
        way_out += f", head -n {line - 1} ends above it" if line > body.start + 1 else ""
    as_in = ", one for each name" if body.width_from is None else f" as in line {body.width_from + 1}"
    return InputError(f"line {line} has {count} column{'s' * (count != 1)}; expected {expected}{as_in}{way_out}")


def complaint_of(cell: str, dialect: Dialect) -> str:
    """Why `cell` is no number, and what would read it.

    >>> complaint_of("1,5", Dialect(";"))
    "'1,5' is not a number; decimal commas need --decimal ,"
    """
    if not cell:
        return "the cell is empty; --missing nan reads it as NaN"
    return f"'{shown(cell)}' is not a number{_hint(cell, dialect)}"


def _hint(cell: str, dialect: Dialect) -> str:
    if len(cell) > _LONG:
        return ""
    if re.fullmatch(_NO_VALUE, cell, re.IGNORECASE):
        return "; where a number is missing, an empty cell or NA and --missing nan read as NaN"
    if cell.lower() in MISSING:
        return "; --missing nan reads it as NaN"
    if "\u2212" in cell:
        return ": its minus is U+2212; write the minus of ASCII, '-'"
    if re.fullmatch(r"[+-]?\d+,\d+([eE][+-]?\d+)?", cell) and dialect.decimal == ".":
        grouped = dialect.thousands is None and re.fullmatch(_GROUPS, cell)
        return "; decimal commas need --decimal ," + ", and digits in groups --thousands ," * bool(grouped)
    if re.fullmatch(r"[+-]?\d+\.\d+([eE][+-]?\d+)?", cell) and dialect.decimal == ",":
        return "; decimal points need --decimal ."
    if found := re.fullmatch(r"(\S+)\s+([#%;!/]).*", cell):
        mark = found[2]
        return f"; --comment '{mark}' cuts off what follows that" if dialect.number(found[1]) is not None else ""
    if dialect.thousands is None and re.fullmatch(_GROUPS, cell):
        mark = re.sub("[0-9+-]", "", cell)[0]
        return f'; digits in groups need --thousands "{_TYPED.get(mark, mark)}"'
    if re.fullmatch(rf"\({_PART},{_PART}\)|({_PART}(?=[+-]))?{_PART}[ij]", cell):
        return "; complex numbers are not read: give their parts columns of their own"
    if re.fullmatch(rf"({_PART})\s*[^\W\d_]{{1,4}}|({_PART})\s*[%°Ω]|[$€£]\s*({_PART})", cell):
        return "; take away the unit beside the number"
    return "; --comment passes over such lines" if cell[0] in "#%;!*/" else ""
