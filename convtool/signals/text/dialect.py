"""What the cells of one line are, what is a number, and what a cell is called that is none."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass

from convtool.files.names import show

MISSING = ("", "na", "n/a", "null", "-")
"""What `--missing nan` reads as NaN, in lower case."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eEdD][+-]?\d+)?", re.ASCII)
_NAN = re.compile(r"[+-]?nan|-?inf", re.IGNORECASE)
_POINT = str.maketrans("dD", "eE")
_SHOWN = 40
_NO_VALUE = r"#n/a|#(div/0|value|ref|num|null|name)[!?]|-?1\.#\w+|nat|none|nil|missing|<na>|n\.a\.|--+|\?|ovld?|ol"
"""What spreadsheets, instruments and programs write for a number that they do not have."""
_GROUPS = r"[+-]?\d{1,3}([., '\u00a0\u202f’])\d{3}(\1\d{3})*((?!\1)[.,]\d*)?"
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

    def complaint(self, cell: str) -> str:
        """Why `cell` is no number, and what would read it."""
        if not cell:
            return "the cell is empty; --missing nan reads it as NaN"
        return f"'{shown(cell)}' is not a number{self._hint(cell)}"

    def _hint(self, cell: str) -> str:
        if re.fullmatch(_NO_VALUE, cell, re.IGNORECASE):
            return "; where a number is missing, an empty cell or NA and --missing nan read as NaN"
        if cell.lower() in MISSING:
            return "; --missing nan reads it as NaN"
        if "\u2212" in cell:
            return ": its minus is U+2212; write the minus of ASCII, '-'"
        if re.fullmatch(r"[+-]?\d+,\d+([eE][+-]?\d+)?", cell) and self.decimal == ".":
            return "; decimal commas need --decimal ,"
        if re.fullmatch(r"[+-]?\d+\.\d+([eE][+-]?\d+)?", cell) and self.decimal == ",":
            return "; decimal points need --decimal ."
        if found := re.fullmatch(r"(\S+)\s+([#%;!/]).*", cell):
            mark = found[2]
            return f"; --comment '{mark}' cuts off what follows that" if self.number(found[1]) is not None else ""
        if self.thousands is None and re.fullmatch(_GROUPS, cell):
            return f"; digits in groups need --thousands '{re.sub('[0-9+-]', '', cell)[0]}'"
        return "; --comment passes over such lines" if cell[0] in "#%;!*/" else ""


def shown(cell: str) -> str:
    """`cell` as a message shows it, at most 40 characters of it."""
    return show(cell if len(cell) <= _SHOWN else cell[: _SHOWN - 1] + "…")


def delimiter_of(line: str, decimal: str) -> str | None:
    """What stands between the cells of `line`: a tab, else a semicolon, else a comma, else blanks (None)."""
    bare = re.sub('"[^"]*"', "", line) if '"' in line else line
    return next((mark for mark in _DELIMITERS if mark in bare and mark != decimal), None)
