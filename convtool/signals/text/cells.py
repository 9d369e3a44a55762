"""Where the cells of many rows are: all of them at once, as offsets into the bytes of the text."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from convtool.signals.text.decimals import PADDING, Bytes, Places

_BLANKS = b" \t"
_QUOTE = ord('"')
_STRIPPED = 64
"""Blanks around a cell that are stepped over; beyond them the cell is looked at alone."""


class Cells(NamedTuple):
    """The cells ``text[starts:ends]`` of rows, both ``(rows, width)``, without blanks and quotes around them."""

    text: Bytes
    starts: Places
    ends: Places
    raw_starts: Places
    raw_ends: Places
    """Where they are with their quotes."""


def find_cells(data: bytes, delimiter: str | None, width: int) -> Cells | None:
    """The cells of complete lines of `width` cells; None where lines are uneven or quotes need a closer look."""
    text = np.frombuffer(b"0" * PADDING + data, np.uint8)
    blanks = delimiter is None and width > 1
    found = _between_blanks(text, width) if blanks else _between(text, delimiter, width)
    if found is None:
        return None
    starts, ends = found
    if not blanks and any(blank in data for blank in _BLANKS):
        _strip(text, starts, ends, 9 if delimiter == "\t" else 0)
    raw_starts, raw_ends = starts, ends
    if b'"' in data:
        quoted = (ends - starts > 1) & (text[starts] == _QUOTE) & (text[ends - 1] == _QUOTE)
        marks = np.flatnonzero(text == _QUOTE)
        if len(marks) != 2 * np.count_nonzero(quoted):
            return None
        starts, ends = starts + quoted, ends - quoted
    return Cells(text, *(places.reshape(-1, width) for places in (starts, ends, raw_starts, raw_ends)))


def _between(text: Bytes, delimiter: str | None, width: int) -> tuple[Places, Places] | None:
    newline = text == 10
    if delimiter is None:
        ends = np.flatnonzero(newline)
    else:
        ends = np.flatnonzero(newline | (text == ord(delimiter)))
        lines = newline[ends]
        if len(ends) % width or not lines[width - 1 :: width].all() or np.count_nonzero(lines) * width != len(ends):
            return None
    starts = np.empty_like(ends)
    starts[:1] = PADDING
    starts[1:] = ends[:-1] + 1
    return starts, ends


def _between_blanks(text: Bytes, width: int) -> tuple[Places, Places] | None:
    newline = text == 10
    blank = newline | (text == 32) | (text == 9)
    blank[:PADDING] = True
    starts = np.flatnonzero(blank[:-1] & ~blank[1:]) + 1
    ends = np.flatnonzero(~blank[:-1] & blank[1:]) + 1
    lines = np.flatnonzero(newline)
    if len(ends) != len(lines) * width:
        return None
    if (ends[width - 1 :: width] > lines).any() or (starts[width::width] < lines[:-1]).any():
        return None
    return starts, ends


def _strip(text: Bytes, starts: Places, ends: Places, delimiter: int) -> None:
    """Step over the blanks around cells, in place."""
    for _ in range(_STRIPPED):
        leading = ((text[starts] == 32) | ((text[starts] == 9) & (delimiter != 9))) & (starts < ends)
        if not leading.any():
            break
        starts += leading
    for _ in range(_STRIPPED):
        trailing = ((text[ends - 1] == 32) | ((text[ends - 1] == 9) & (delimiter != 9))) & (starts < ends)
        if not trailing.any():
            break
        ends -= trailing
