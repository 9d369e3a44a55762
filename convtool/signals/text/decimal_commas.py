"""Decimal commas that nobody said to be such: told where the text shows them, never read as two columns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from convtool.errors import InputError
from convtool.signals.text.body import Body, find_body
from convtool.signals.text.dialect import shown
from convtool.signals.text.options import TextOptions

_WAY_OUT = "decimal commas need --decimal ,"


def refuse_decimal_commas(lines: Sequence[str], options: TextOptions) -> None:
    """Refuse a text without a row of numbers where decimal commas make one."""
    commas = replace(options, decimal=",", delimiter=None if options.delimiter == "," else options.delimiter)
    body = find_body(lines, commas)
    if body is None or not body.sure:
        return
    cells = body.dialect.split(lines[body.start])
    found = [at for at, cell in enumerate(cells) if re.fullmatch(r"[+-]?\d+,\d+(e[+-]?\d+)?", cell, re.ASCII | re.I)]
    if len(found) > (body.dialect.delimiter is None and len(cells) > 1):  # 9,1 2 rather lacks a comma
        where = f"line {body.start + 1}, column {found[0] + 1}"
        raise InputError(f"{where}: '{shown(cells[found[0]])}' is not a number; {_WAY_OUT}")


def refuse_halves(name: str, lines: Sequence[str], body: Body) -> None:
    """Refuse rows of two whole numbers below one name: they are one number, perhaps, with a decimal comma."""
    row = lines[body.start].strip()
    if re.fullmatch(r"-?\d+,\d+", row, re.ASCII):
        raise InputError(
            f"line {body.start + 1}: '{shown(row)}' has two cells, and '{shown(name)}' is the only name; "
            f"{_WAY_OUT} and two columns --delimiter ,"
        )


def doubt_columns(body: Body, rows: Sequence[Sequence[str]], options: TextOptions) -> list[str]:
    """What to say of columns without names that may be halves of decimal numbers."""
    zero = None if options.delimiter is not None else _leading_zero(body, rows)
    return [] if zero is None else [f"'{shown(zero)}' begins with 0, as behind a decimal comma; {_WAY_OUT}"]


def _leading_zero(body: Body, rows: Sequence[Sequence[str]]) -> str | None:
    """A whole number with a leading zero in an even column, where columns may be halves of decimal numbers."""
    if body.dialect.delimiter != "," or body.width % 2:
        return None
    if not all(re.fullmatch(r"-?\d+", cell, re.ASCII) for row in rows for cell in row[: body.width]):
        return None
    halves = [cell for row in rows for cell in row[1 : body.width : 2]]
    signed = any(cell[0] == "-" for cell in halves)
    return None if signed else next((cell for cell in halves if len(cell) > 1 and cell[0] == "0"), None)
