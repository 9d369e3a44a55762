"""Step 2, first: the names of the columns and their units, from the rows above the body.

The names are the nearest row above the body in which every cell reads like a name; with a row of units under it,
the row above that. A row that is neither, and begins as a row of numbers would, is the first row of the body: a bad
number there is an error like any other, and never vanishes as a header.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace

from convtool.signals.text.body import Body, dialect_of, is_comment, is_date, is_name, is_row, names_after_index
from convtool.signals.text.decimal_commas import refuse_halves
from convtool.signals.text.dialect import Dialect
from convtool.signals.text.options import TextOptions
from convtool.signals.text.units import is_clock, is_count, is_frequency, is_short_clock, unit_in

ROWS_COMPARED = 100
_TITLES = "ChannelTitle="
_BAND = r"\d+(\.\d+)? ?[kM]?Hz"
"""A band as the name of a column, as in ``31.5Hz``."""
_WORD, _NEXT_WORD = r"[^\W\d_]{3}", r"\s\W?[^\W\d_]{3}"


def find_names(
    lines: Sequence[str], body: Body, options: TextOptions
) -> tuple[list[str] | None, list[str] | None, Body]:
    """The names of the columns, their units, and the body, which takes in bad rows above it and header-long rows."""
    if options.header == "no":
        rows = [index for index in range(options.skip, body.start) if is_row(lines[index], options)]
        return None, None, replace(body, start=rows[0]) if rows else body
    rows = [index for index in range(options.skip, body.start) if is_row(lines[index], options)]
    while True:
        above = rows[: bisect_left(rows, body.start)]
        if _counts_samples([_cells(lines[index], body) for index in above[-2:]], body):
            above.pop()
        titled = next((index for index in above if lines[index].startswith(_TITLES)), None)
        if titled is not None:
            return _titles(lines[titled], body), None, replace(body, commented=True)
        names, units, bad = _nearest_names(lines, above, body)
        if bad is None:
            break
        body = replace(body, start=bad)
    if names is None and not body.sure and _are_names(first := body.dialect.split(lines[body.start]), body):
        names, body = first, _after(body, lines, options)
    if names is None and options.header == "yes":
        names, body = body.dialect.split(lines[body.start]), _after(body, lines, options)
    if names is None:
        if body.trailing and body.dialect.missing:  # nothing says that the empty cells are no column
            body = replace(body, width=body.width + body.trailing, trailing=0)
        return _commented_names(lines, body, options), None, body
    if len(names) == 1 and body.width == 2 and options.delimiter is None and body.dialect.delimiter == ",":
        refuse_halves(names[0], lines, body)
    if _is_of_acqknowledge(lines[options.skip : body.start]) and _same_integers(lines[body.start], body):
        body = _after(body, lines, options)
    return (*_fitted(names, units, lines, body),)


def _is_of_acqknowledge(above: Sequence[str]) -> bool:
    from convtool.signals.text.statements import is_interval_a_sample

    return any(map(is_interval_a_sample, above))


def _same_integers(line: str, body: Body) -> bool:
    """Whether a row is one whole number in each column, as AcqKnowledge says how many samples there are."""
    cells = set(body.dialect.split(line)[: body.width])
    return len(cells) == 1 and cells.pop().isdigit()


def _counts_samples(above: Sequence[Sequence[str]], body: Body) -> bool:
    """Whether the row below the names says how many samples each channel has (AcqKnowledge), the times having none."""
    width = body.width
    if len(above) < 2 or width < 2 or min(map(len, above)) < width or not _all_names(above[0][:width]):
        return False
    return not above[1][0] and above[1][1].isdigit() and len(set(above[1][1:width])) == 1


def _titles(line: str, body: Body) -> list[str]:
    """The names of the channels in a line that begins with what it is (LabChart), behind the times."""
    return ["Time", *body.dialect.split(line)[1 : body.width], *[""] * body.width][: body.width]


def _after(body: Body, lines: Sequence[str], options: TextOptions) -> Body:
    """The body without its first row, which holds the names."""
    below = [index for index in range(body.start + 1, len(lines)) if is_row(lines[index], options)]
    return replace(body, start=below[0] if below else len(lines))


def _nearest_names(
    lines: Sequence[str], above: Sequence[int], body: Body
) -> tuple[list[str] | None, list[str] | None, int | None]:
    """The names and units in the rows right `above` the body; or the row that is the body's first, a bad one."""
    if not above:
        return None, None, None
    cells = _without_statements(_cells(lines[above[-1]], body), body.width)
    before = _cells(lines[above[-2]], body) if above[-2:-1] == [above[-1] - 1] else []
    headed = len(before) >= body.width and _may_head_units(before) and not _is_statement(lines[above[-2]])
    if headed and _are_units(cells, body.width):
        return before, cells, None
    title = len(cells) == 1 and (body.width > 2 or _is_statement(lines[above[-1]]))
    # Below a preamble, words between blanks are prose rather than names where they are not as many as the columns.
    title |= len(above) > 2 and body.dialect.delimiter is None and len(cells) not in (body.width, body.width - 1)
    if _are_names(cells, body) and not title and not (body.width == 1 and _is_statement(lines[above[-1]])):
        if len(above) == 2 and len(before) == len(cells) and _all_names(before) and not _is_statement(lines[above[-2]]):
            return None, None, above[-1]
        bad = next((row for row in reversed(above[:-1]) if _looks_bad(_cells(lines[row], body), body)), None)
        return (cells, None, None) if bad is None else (None, None, bad)
    bad = next((row for row in reversed(above) if not _is_preamble(lines[row], _cells(lines[row], body), body)), None)
    return None, None, bad


def _cells(line: str, body: Body) -> list[str]:
    """The cells of a line above the body, which need not be divided as the body is."""
    cells = body.dialect.split(line)
    own = dialect_of(line, TextOptions(decimal=body.dialect.decimal))
    if body.width == 1:
        return own.split(line) if own.delimiter or '"' in line else [line.strip()]
    fits = len(own.split(line)) == body.width and (own.delimiter or '"' in line or not body.dialect.delimiter)
    return own.split(line) if fits and len(cells) != body.width else cells


def _without_statements(cells: list[str], width: int) -> list[str]:
    """`cells` without those behind the names of `width` columns that say something (``tInc = 1e-06``) or nothing."""
    more = cells[width:]
    return (
        cells[:width] if any("=" in cell for cell in more) and all("=" in each or not each for each in more) else cells
    )


def _all_names(cells: Sequence[str]) -> bool:
    return all(is_name(cell) or re.fullmatch(_BAND, cell, re.ASCII) for cell in cells)


def _may_head_units(cells: Sequence[str]) -> bool:
    """Whether `cells` are names, a row of units being below them: all but the first may be numbers (Keysight)."""
    return is_name(cells[0]) or not cells[0]


def _are_names(cells: list[str], body: Body) -> bool:
    """Whether `cells` are names of columns; the first may have none, as an index has."""
    if body.trailing and len(cells) == body.width + body.trailing and not any(cells[body.width :]):
        cells = cells[: body.width]
    if len(cells) > 1 and not cells[0]:
        return len(cells) == body.width and names_after_index(cells[1:])
    return _all_names(cells)


def _are_units(cells: Sequence[str], width: int) -> bool:
    """Whether the first `width` of `cells` are units of columns."""
    cells = cells[:width]
    return len(cells) == width and any(cells) and all(not cell or unit_in(cell) is not None for cell in cells)


def _looks_bad(cells: Sequence[str], body: Body) -> bool:
    """Whether a row above the names is one of numbers that is misplaced or damaged."""
    return len(cells) == body.width > 1 and bool(cells[0]) and (cells[0][0].isdigit() or cells[0][0] in "+-.")


def _is_preamble(line: str, cells: Sequence[str], body: Body) -> bool:
    """Whether a line without names may stand above the body: words in other cells, or a statement."""
    words = is_name(cells[0]) or _is_prose(line) or line.startswith("@")
    elsewhere = sum(map(bool, cells)) != body.width or body.width == 1 or any(map(is_date, cells))
    return _is_statement(line) or (words and elsewhere)


def _is_prose(line: str) -> bool:
    """Whether a line has two words or more, as in ``1 channel (mono).``"""
    first = re.search(_WORD, line)
    return first is not None and re.search(_NEXT_WORD, line[first.end() :]) is not None


def _is_statement(line: str) -> bool:
    from convtool.signals.text.statements import is_statement  # compiled only where there is a line above the numbers

    return is_statement(line)


def _commented_names(lines: Sequence[str], body: Body, options: TextOptions) -> list[str] | None:
    """The names in the last comment above the body, where it has one for each column and nothing else."""
    if not body.start or not is_comment(lines[body.start - 1], options):
        return None
    text = lines[body.start - 1].strip().lstrip("#%;!*" + (options.comment or "")).strip()
    delimiter = dialect_of(text, options).delimiter
    cells = Dialect(delimiter).split(text)
    plain = all(re.fullmatch(r"[^\s()\[\]]+ ?([(\[][^()\[\]]*[)\]])?", cell) for cell in cells)
    if len(cells) != body.width or body.width < 2 or not plain or not _all_names(cells):
        return None
    abscissa = is_clock(cells[0]) or is_short_clock(cells[0]) or is_frequency("", cells[0]) or is_count(cells[0])
    return cells if delimiter is not None or abscissa else None


def _fitted(
    names: list[str], units: list[str] | None, lines: Sequence[str], body: Body
) -> tuple[list[str] | None, list[str] | None, Body]:
    """Names, one for each column; a row of another length than the names is told when it is read."""
    if body.trailing and len(names) == body.width + body.trailing:
        if names[-1]:
            body = replace(body, width=len(names), trailing=0, width_from=None)
        else:
            names = names[: body.width]
    if units is not None:
        names, units = names[: body.width], units[: body.width]
    elif len(names) == body.width - 1 and _counts_rows(lines, body):
        names = ["", *names]
    elif len(names) != body.width:
        body = replace(body, width=len(names), trailing=0, width_from=None)
    return names, units, body


def _counts_rows(lines: Sequence[str], body: Body) -> bool:
    """Whether the first column has names of rows: words, quoted numbers, or 1, 2, 3."""
    rows = first_rows(lines, body)
    quoted = lines[body.start].lstrip().startswith('"')
    counted = [row[0] for row in rows] == [str(index + 1) for index in range(len(rows))]
    return body.labelled > 0 or quoted or (counted and len(rows) > 1)


def first_rows(lines: Sequence[str], body: Body) -> list[list[str]]:
    """The cells of the rows that the body begins with, without those that do not fit in."""
    below = (line for line in lines[body.start : body.start + ROWS_COMPARED] if line.strip())
    rows = [body.dialect.split(line) for line in below]
    return [row for row in rows if body.fits(row)]
