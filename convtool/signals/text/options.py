"""How text is read where a person says so, instead of being told from the text."""

from __future__ import annotations

from dataclasses import dataclass

from convtool.errors import UsageError

_WORDS = {"tab": "\t", "\\t": "\t", "blank": " ", "space": " ", "comma": ",", "semicolon": ";"}


@dataclass(frozen=True)
class TextOptions:
    """The options of text inputs; what is None is told from the text."""

    columns: str | None = None
    """Names, numbers from 1, and ranges of numbers, with commas between them."""
    keep: str | None = None
    """The columns that go to the output as they are."""
    header: str = "auto"
    """``yes``: a row of names, whatever it looks like; ``no``: none; or ``auto``."""
    skip: int = 0
    """Lines passed over at the beginning."""
    comment: str | None = None
    """The characters of which one begins a comment, which goes to the end of its line."""
    delimiter: str | None = None
    decimal: str = "."
    thousands: str | None = None
    missing: str = "error"
    """``nan``: empty cells, NA, N/A, null and - are NaN; or ``error``."""
    nodata: float | None = None
    """The number that stands for a missing one."""
    even_times: bool = False
    """A column of times must go up in even steps: lengths are given in time."""

    def checked(self) -> TextOptions:
        """These options with the delimiter as a character; refused where they contradict each other."""
        delimiter = self.delimiter and _WORDS.get(self.delimiter.lower(), self.delimiter)
        for option, mark in (("delimiter", delimiter), ("thousands", self.thousands)):
            if mark is not None and (len(mark) != 1 or mark in '0123456789+-"\r\n'):
                raise UsageError(f"--{option} {mark!r}: expected one character, no digit, sign or quote, or 'tab'")
            if mark == self.decimal:
                raise UsageError(f"--{option} {mark} is the decimal mark too; choose another with --decimal")
        if delimiter is not None and not delimiter.isascii():
            raise UsageError(f"--delimiter {delimiter!r}: expected a character of ASCII")
        return TextOptions(**{**vars(self), "delimiter": delimiter})

    @property
    def notation(self) -> TextOptions:
        """Those of them that say how numbers are written, wherever they stand."""
        return TextOptions(delimiter=self.delimiter, decimal=self.decimal, thousands=self.thousands)
