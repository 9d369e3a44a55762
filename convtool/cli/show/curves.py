"""Small curves of text, for a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

DEPTH = 80  # dB from the top of a curve to its bottom, at most
SPAN = 6  # dB, at least: the ripple of a flat response is not to fill the height
CURVE = 8  # characters that a curve needs beside its labels, at least
LINES = 3  # that it needs: the top, the bottom, and the frequency axis

# Of one character's 2 columns of 4 dots, top to bottom: what each adds to U+2800 (Unicode, "Braille Patterns").
DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))


def terminal_curve(
    frequency: Sequence[float],
    magnitude_db: Sequence[float],
    *,
    width: int,
    height: int,
    unit: Literal["Hz", "cycles/sample"] = "Hz",
    ascii: bool = False,
) -> list[str]:
    """A curve of `magnitude_db` over `frequency` as `height` lines of at most `width` characters.

    The last line is the frequency axis. Frequencies are equally spaced, in `unit`; each column of dots reaches from
    the least to the greatest magnitude that it covers, so that no notch or peak is lost. The dB axis ends at whole
    numbers around the curve, and at most DEPTH below the top; what lies lower, -inf too, is drawn on the lowest row.
    NaN leaves a gap. A curve without any finite magnitude is one line that says why.

    Dots are Braille patterns, or with `ascii` stars, for terminals without Unicode.

    Raises ValueError unless there are as many magnitudes as frequencies, at least one, and LINES lines that
    are wide enough for the labels and CURVE characters.

    >>> for line in terminal_curve([0, 2000, 4000], [0, -6, -12], width=22, height=4, ascii=True):
    ...     print(line)
      0 dB |****
           |   ********
    -12 dB |          ****
            0 Hz     4 kHz
    """
    if not frequency or len(frequency) != len(magnitude_db):
        raise ValueError(f"{len(magnitude_db)} magnitudes for {len(frequency)} frequencies; there is one for each")
    finite = [round(level, 6) for level in magnitude_db if math.isfinite(level)]
    if not finite:
        silent = -math.inf in magnitude_db
        return ["silent: -inf dB at every frequency" if silent else "no response: not finite at any frequency"]
    top, bottom = _limits(finite)
    ends = _label(frequency[0], unit), _label(frequency[-1], unit)
    labels = [f"{top} dB", *[""] * (height - 3), f"{bottom} dB"]
    margin = max(map(len, labels)) + 2
    least = margin + max(CURVE, len(ends[0]) + 1 + len(ends[1]))
    if height < LINES or width < least:
        raise ValueError(f"{width} x {height} characters are too few for a curve; it needs {least} x {LINES}")

    cells, rows = width - margin, height - 1
    across, down = (1, 1) if ascii else (2, 4)
    spans = _spans([_row(level, top, bottom, rows * down) for level in magnitude_db], cells * across)
    drawn = (_text_row(spans, row, across, down) for row in range(rows))
    bar = "|" if ascii else "│"
    lines = [f"{label:>{margin - 2}} {bar}{text}".rstrip() for label, text in zip(labels, drawn, strict=True)]
    return [*lines, " " * margin + ends[0] + ends[1].rjust(cells - len(ends[0]))]


def _limits(finite: Sequence[float]) -> tuple[int, int]:
    """The ends of the dB axis: whole numbers."""
    top, bottom = math.ceil(max(finite)), math.floor(min(finite))
    if top - bottom < SPAN:
        top = (top + bottom + SPAN) // 2
        bottom = top - SPAN
    return top, max(bottom, top - DEPTH)


def _label(frequency: float, unit: str) -> str:
    """`frequency` in `unit`, or in kHz.

    >>> _label(22050, "Hz"), _label(0.5, "cycles/sample")
    ('22.05 kHz', '0.5 cycles/sample')
    """
    return f"{frequency / 1000:g} k{unit}" if unit == "Hz" and frequency >= 1000 else f"{frequency:g} {unit}"


def _row(level: float, top: float, bottom: float, rows: int) -> float:
    """Where a level lies, from 0 at the top to `rows` - 1 at the bottom."""
    return math.nan if math.isnan(level) else (top - min(top, max(bottom, level))) / (top - bottom) * (rows - 1)


def _spans(places: Sequence[float], columns: int) -> list[range]:
    """The rows that the line through `places`, spread over `columns`, passes in each of them."""
    last = len(places) - 1

    def between(at: float) -> float:
        left = min(int(at), max(0, last - 1))
        right = min(left + 1, last)
        return places[left] + (at - left) * (places[right] - places[left])

    spans = []
    for column in range(columns):
        start, end = last * column / columns, last * (column + 1) / columns
        passed = [between(start), *places[math.ceil(start) : math.floor(end) + 1], between(end)]
        known = [round(place) for place in passed if not math.isnan(place)]
        spans.append(range(min(known), max(known) + 1) if known else range(0))
    return spans


def _text_row(spans: Sequence[range], row: int, across: int, down: int) -> str:
    """Row `row` of characters, each of `across` by `down` dots."""
    if down == 1:
        return "".join("*" if row in span else " " for span in spans)
    characters = []
    for first in range(0, len(spans), across):
        dots = sum(DOTS[x][y] for x in range(across) for y in range(down) if row * down + y in spans[first + x])
        characters.append(chr(0x2800 + dots) if dots else " ")
    return "".join(characters)
