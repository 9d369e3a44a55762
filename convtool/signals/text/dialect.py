"""What the cells of one line are, and what is a number."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass

from convtool.files.names import show

MISSING = ("", "na", "n/a", "null", "-")
"""What `--missing nan` reads as NaN, in lower case."""

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eEdD][+-]?\d+)?", re.ASCII)
_NAN = re.compile(r"[+-]?nan|-?inf", re.IGNORECASE)
_POINT = str.maketrans("dD", "eE")
_SHOWN = 40
_ALIKE = {" ": str.maketrans("\u00a0\u202f", "  "), "'": str.maketrans("’", "'")}
"""Blanks that do not break, and the apostrophe of print, between digits in groups."""
_DELIMITERS = ("\t", ";", ",")


@dataclass(frozen=True)
class Dialect:
    """How cells are told apart and numbers written; `delimiter` is None for runs of blanks."""

    delimiter: str | None
    decimal: str = "."
    thousands: str | None = None
    missing: bool = False

    def split(self, line: str) -> list[str]:
        """The cells of one line, without quotes and blanks around them."""
        if '"' in line:
            try:
                cells = csv.reader(
                    [line.strip(" ")], delimiter=self.delimiter or " ", skipinitialspace=True, strict=True
                )
                return [cell.strip() for cell in next(cells)]
            except csv.Error:
                pass  # stray quotes stay in their cells, which are then no numbers
        if self.delimiter is None:
            return re.findall(r"[^ \t]+", line)
        return [cell.strip() for cell in line.split(self.delimiter)]

    def split_raw(self, line: str) -> list[str]:
        """The cells of one line with their quotes."""
        if self.delimiter is None:
            return re.findall(r'"(?:[^"]|"")*"|\S+', line)
        mark = re.escape(self.delimiter)
        return re.findall(rf'(?:^|{mark})[ ]*("(?:[^"]|"")*"|[^{mark}]*?)[ ]*(?={mark}|$)', line)

    def number(self, cell: str) -> str | None:
        """`cell` as Python writes that number, or None where it is none.

        >>> [Dialect(None).number(cell) for cell in ("0.25D+01", "-nan", "1_000")]
        ['0.25E+01', 'nan', None]
        """
        if self.missing and cell.lower() in MISSING:
            return "nan"
        if _NAN.fullmatch(cell):
            return cell.lower().replace("-nan", "nan").replace("+nan", "nan")
        if self.thousands in _ALIKE:
            cell = cell.translate(_ALIKE[self.thousands])
        if self.thousands is not None and self.thousands in cell:
            if not self._grouped(cell):
                return None
            cell = cell.replace(self.thousands, "")
        if self.decimal == ",":
            if "." in cell:
                return None
            cell = cell.replace(",", ".")
        return cell.translate(_POINT) if _NUMBER.fullmatch(cell) else None

    def _grouped(self, cell: str) -> bool:
        """Whether the digits before the decimal mark stand in groups of three."""
        mark = re.escape(self.thousands or "")
        whole = cell.partition(self.decimal)[0]
        return re.fullmatch(rf"[+-]?\d{{1,3}}({mark}\d{{3}})+", whole, re.ASCII) is not None


def shown(cell: str) -> str:
    """`cell` as a message shows it, at most 40 characters of it."""
    return show(cell if len(cell) <= _SHOWN else cell[: _SHOWN - 1] + "…")


def delimiter_of(line: str, decimal: str) -> str | None:
    """What stands between the cells of `line`: a tab, else a semicolon, else a comma, else blanks (None)."""
    bare = re.sub('"[^"]*"', "", line) if '"' in line else line
    return next((mark for mark in _DELIMITERS if mark in bare and mark != decimal), None)
