"""Step 2: what stands above the body: names, units, and what is stated there about the numbers.

The names are the nearest row above the body in which every cell reads like a name; with a row of units under it,
the row above that. A row that is neither, and begins as a row of numbers would, is the first row of the body: a bad
number there is an error like any other, and never vanishes as a header.

A first column is passed over, as not of the samples, where
- its cells are no numbers (names of rows, dates), or it alone has no name (pandas, R), or
- it is named as a count (index, sample...) and its numbers count up by one, or
- it is named or measured as a time or a frequency (time, seconds, Hz...) and its numbers rise, or
- its numbers rise by the sample interval that is stated above.
Otherwise it is a column like the others: numbers without such a sign are samples.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

from convtool.signals.text.body import Body, dialect_of, find_body, is_comment, is_name, is_row, names_after_index
from convtool.signals.text.dialect import Dialect, shown
from convtool.signals.text.options import TextOptions
from convtool.signals.text.times import Times, even

_COUNTS = {"index", "idx", "sample", "sequence", "no", "no.", "#", "row", "frame"}
_TIMES = {"time", "times", "timestamp", "frequency", "freq", "x-axis"}
_SECONDS = {
    "s": 1.0,
    "sec": 1.0,
    "secs": 1.0,
    "second": 1.0,
    "seconds": 1.0,
    "ms": 1e-3,
    "us": 1e-6,
    "µs": 1e-6,
    "ns": 1e-9,
}
_HERTZ = {"hz", "khz", "mhz"}
_UNITS = {
    *_SECONDS, *_HERTZ, *_COUNTS,
    "v", "mv", "uv", "µv", "volt", "volts", "a", "ma", "µa", "amp", "amps", "ampere", "w", "watt", "watts", "db",
    "dbv", "dbm", "dbu", "dbfs", "dbspl", "deg", "degree", "degrees", "°", "°c", "°f", "k", "c", "pa", "kpa", "bar",
    "mbar", "m", "mm", "cm", "km", "µm", "m/s", "m/s2", "m/s^2", "m/s²", "g", "kg", "n", "nm", "%", "ohm", "ohms",
    "ω", "rad", "rad/s", "counts", "lsb",
}  # fmt: skip
_ROWS_COMPARED = 100


class Stated(NamedTuple):
    """What lines above the body say of its numbers; None where they do not."""

    rate: float | None = None
    """Samples a second."""
    nodata: float | None = None
    start_time: float | None = None
    """Seconds at the first sample."""


@dataclass(frozen=True)
class Heading:
    """What is known of a text when its first row is about to be read."""

    body: Body
    names: tuple[str, ...] | None = None
    """One for each column; empty for one without a name."""
    passed: int = 0
    """The columns on the left that hold no samples."""
    sample_rate: int | None = None
    nodata: float | None = None
    start_time: float | None = None
    times: Times | None = None
    """The column of times, where there is one."""
    separator: str | None = None
    """The delimiter as the text itself names it (``sep=;``)."""
    remarks: tuple[str, ...] = ()


def read_heading(lines: Sequence[str], options: TextOptions) -> Heading | None:
    """What `lines`, the beginning of a text, say; None where there is no row in them."""
    separator = _separator(lines, options)
    if separator is not None and options.delimiter is None:
        options = replace(options, delimiter=separator)
    body = find_body(lines, options)
    if body is None:
        return None
    names, units, body = _names(lines, body, options)
    above = lines[options.skip : body.start]
    numbers = _first_rows(lines, body)
    stated = [*above, *_beside(lines, body)]
    said = _said(stated)
    rate = said.rate
    passed, signs = _passed(body, names, units, numbers, rate)
    if rate is None:
        rate = _rate_of_times(names, units, numbers, signs, body.dialect)
    heading = Heading(
        body,
        None if names is None else tuple(names),
        passed,
        round(rate) if rate is not None and _is_whole(rate) else None,
        said.nodata,
        said.start_time,
        _times(numbers, signs, body.dialect),
        separator,
    )
    return replace(heading, remarks=tuple(_remarks(heading, lines, options, signs, units, rate)))


def _said(stated: Sequence[str]) -> Stated:
    if not any(stated):  # as in numbers typed in place: the expressions need not be compiled
        return Stated()
    from convtool.signals.text.statements import read_statements

    return read_statements(stated)


def _is_statement(line: str) -> bool:
    from convtool.signals.text.statements import is_statement

    return is_statement(line)


def _separator(lines: Sequence[str], options: TextOptions) -> str | None:
    first = next((line for line in lines[options.skip :] if line.strip()), "")
    found = re.match(r"\s*\"?sep=(.)\"?\s*$", first, re.IGNORECASE) if "=" in first else None
    return found and found[1]


def _names(lines: Sequence[str], body: Body, options: TextOptions) -> tuple[list[str] | None, list[str] | None, Body]:
    """The names of the columns, their units, and the body, which takes in bad rows above it and header-long rows."""
    if options.header == "no":
        rows = [index for index in range(options.skip, body.start) if is_row(lines[index], options)]
        return None, None, replace(body, start=rows[0]) if rows else body
    while True:
        above = [index for index in range(options.skip, body.start) if is_row(lines[index], options)]
        names, units, bad = _nearest_names(lines, above, body)
        if bad is None:
            break
        body = replace(body, start=bad)
    if names is None and not body.sure and _all_names(body.dialect.split(lines[body.start])):
        names, body = body.dialect.split(lines[body.start]), _after(body, lines, options)
    if names is None and options.header == "yes":
        names, body = body.dialect.split(lines[body.start]), _after(body, lines, options)
    if names is None:
        if body.trailing and body.dialect.missing:  # nothing says that the empty cells are no column
            body = replace(body, width=body.width + body.trailing, trailing=0)
        return _commented_names(lines, body, options), None, body
    return (*_fitted(names, units, lines, body),)


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
    cells = _cells(lines[above[-1]], body)
    before = _cells(lines[above[-2]], body) if above[-2:-1] == [above[-1] - 1] else []
    if len(before) >= body.width and _are_units(cells, body.width) and _may_head_units(before):
        return before, cells, None
    if _are_names(cells, body) and not (body.width == 1 and _is_statement(lines[above[-1]])):
        if len(above) == 2 and len(before) == len(cells) and _all_names(before):
            return None, None, above[-1]
        bad = [row for row in above[:-1] if _looks_bad(_cells(lines[row], body), body)]
        return (None, None, bad[-1]) if bad else (cells, None, None)
    bad = [row for row in above if not _is_preamble(lines[row], _cells(lines[row], body), body)]
    return None, None, bad[-1] if bad else None


def _cells(line: str, body: Body) -> list[str]:
    """The cells of a line above the body, which need not be divided as the body is."""
    cells = body.dialect.split(line)
    own = dialect_of(line, TextOptions(decimal=body.dialect.decimal))
    if body.width == 1:
        return own.split(line) if own.delimiter or '"' in line else [line.strip()]
    return cells if len(cells) == body.width or len(own.split(line)) != body.width else own.split(line)


def _all_names(cells: Sequence[str]) -> bool:
    return all(map(is_name, cells))


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
    return len(cells) == width and any(cells) and all(not cell or _unit(cell) is not None for cell in cells)


def _unit(cell: str) -> str | None:
    """The unit that a cell is, in lower case, without brackets; None for another word."""
    bracketed = re.fullmatch(r"[(\[](.*)[)\]]", cell)
    word = (bracketed[1] if bracketed else cell).strip().lower()
    return word if bracketed or word in _UNITS else None


def _looks_bad(cells: Sequence[str], body: Body) -> bool:
    """Whether a row above the names is one of numbers that is misplaced or damaged."""
    return len(cells) == body.width > 1 and bool(cells[0]) and (cells[0][0].isdigit() or cells[0][0] in "+-.")


def _is_preamble(line: str, cells: Sequence[str], body: Body) -> bool:
    """Whether a line without names may stand above the body: words, of another number of cells, or a statement."""
    return _is_statement(line) or (is_name(cells[0]) and (len(cells) != body.width or body.width == 1))


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
    return cells if delimiter is not None or _bare(cells[0]) in _TIMES | _COUNTS else None


def _fitted(
    names: list[str], units: list[str] | None, lines: Sequence[str], body: Body
) -> tuple[list[str] | None, list[str] | None, Body]:
    """Names, one for each column; a row of another length than the names is told when it is read."""
    if body.trailing and len(names) == body.width + body.trailing:
        if names[-1]:
            body = replace(body, width=len(names), trailing=0)
        else:
            names = names[: body.width]
    if units is not None:
        names, units = names[: body.width], units[: body.width]
    elif len(names) == body.width - 1 and _counts_rows(lines, body):
        names = ["", *names]
    elif len(names) != body.width:
        body = replace(body, width=len(names), trailing=0)
    return names, units, body


def _counts_rows(lines: Sequence[str], body: Body) -> bool:
    """Whether the first column has names of rows: words, quoted numbers, or 1, 2, 3."""
    rows = _first_rows(lines, body)
    quoted = lines[body.start].lstrip().startswith('"')
    counted = [row[0] for row in rows] == [str(index + 1) for index in range(len(rows))]
    return body.labelled or quoted or (counted and len(rows) > 1)


def _first_rows(lines: Sequence[str], body: Body) -> list[list[str]]:
    below = (line for line in lines[body.start : body.start + _ROWS_COMPARED] if line.strip())
    rows = [body.dialect.split(line) for line in below]
    return [row for row in rows if len(row) == body.width + body.trailing]


def _beside(lines: Sequence[str], body: Body) -> list[str]:
    """The statements of a preamble that stands beside the numbers."""
    if not body.beside:
        return []
    rows = (body.dialect.split(line)[: body.beside - 1] for line in lines[body.start : body.start + _ROWS_COMPARED])
    return [",".join(cells) for cells in rows]


def _is_whole(rate: float) -> bool:
    return 1 <= rate < 1 << 31 and abs(rate - round(rate)) <= 1e-4 * rate


def _passed(
    body: Body,
    names: Sequence[str] | None,
    units: Sequence[str] | None,
    rows: Sequence[Sequence[str]],
    rate: float | None,
) -> tuple[int, list[str]]:
    """How many columns on the left are no samples, and what each of them is."""
    signs = ["a preamble"] * body.beside
    while len(signs) < body.width - 1:
        sign = _sign(len(signs), body, names, units, rows, rate)
        if sign is None:
            break
        signs.append(sign)
    return len(signs), signs


def _sign(
    column: int,
    body: Body,
    names: Sequence[str] | None,
    units: Sequence[str] | None,
    rows: Sequence[Sequence[str]],
    rate: float | None,
) -> str | None:
    """What a column is that holds no samples."""
    if column == 0 and (body.labelled or (names and not names[0])):
        return "names of rows"
    values = _values(rows, column, body.dialect)
    steps = [b - a for a, b in pairwise(values)]
    if not values or (steps and min(steps) <= 0):
        return None
    unit = _unit_of(column, names, units)
    name = _bare(names[column]) if names else ""
    if (name in _COUNTS or unit in _COUNTS) and all(step == 1 for step in steps):
        return "a count"
    even = not steps or max(steps) - min(steps) <= 1e-3 * max(steps)
    if unit in _SECONDS or unit in _HERTZ or name in _TIMES:
        return "times" if unit not in _HERTZ and not name.startswith("f") else "frequencies"
    return "times" if steps and rate is not None and abs(steps[0] * rate - 1) < 1e-3 and even else None


def _values(rows: Sequence[Sequence[str]], column: int, dialect: Dialect) -> list[float]:
    numbers = [dialect.number(row[column]) for row in rows]
    return [float(number) for number in numbers if number is not None] if None not in numbers else []


def _bare(name: str) -> str:
    """A name in lower case without the unit after it."""
    return re.sub(r"\s*[(\[].*|[ _]?(in )?(seconds?|secs?|hz|ms|us|s)$", "", name.lower()).strip() or name.lower()


def _unit_of(column: int, names: Sequence[str] | None, units: Sequence[str] | None) -> str:
    """The unit of a column: from the row of units, or from its name."""
    if units is not None:
        return _unit(units[column]) or ""
    name = names[column] if names else ""
    found = re.search(
        r"[(\[]([^()\[\]]*)[)\]]\s*$|^(?:time|t)[ _]([a-zµ]+)$|^(seconds?|secs?|hz)$", name, re.IGNORECASE
    )
    return next(filter(None, found.groups()), "").strip().lower() if found else ""


def _rate_of_times(
    names: Sequence[str] | None,
    units: Sequence[str] | None,
    rows: Sequence[Sequence[str]],
    signs: Sequence[str],
    dialect: Dialect,
) -> float | None:
    """The sample rate of a column of times in even steps of seconds, where its unit is stated."""
    for column, sign in enumerate(signs):
        scale = _SECONDS.get(_unit_of(column, names, units))
        values = _values(rows, column, dialect)
        if sign == "times" and scale is not None and len(values) > 2:
            steps = [b - a for a, b in pairwise(values)]
            if even(steps):
                return (len(steps)) / ((values[-1] - values[0]) * scale)
    return None


def _times(rows: Sequence[Sequence[str]], signs: Sequence[str], dialect: Dialect) -> Times | None:
    """The first column of times, if two or more are there."""
    if "times" not in signs or len(rows) < 2:
        return None
    column = signs.index("times")
    return Times.of(column, _values(rows, column, dialect))


def _remarks(
    heading: Heading,
    lines: Sequence[str],
    options: TextOptions,
    signs: Sequence[str],
    units: Sequence[str] | None,
    rate: float | None,
) -> list[str]:
    """What was taken for what."""
    body = heading.body
    delimiters = {"\t": "tabs", ";": "semicolons", ",": "commas", None: "blanks"}
    between = delimiters.get(body.dialect.delimiter, f"'{body.dialect.delimiter}'")
    columns = f"{body.width} column{'s' * (body.width > 1)}"
    told = [f"text of {columns}{f' between {between}' * (body.width > 1)}, from line {body.start + 1} on"]
    if heading.names is not None:
        told.append("names: " + ", ".join(shown(name) or "(none)" for name in heading.names[:20]))
    if units is not None:
        told.append("units: " + ", ".join(shown(unit) or "(none)" for unit in units[:20]))
    told += [f"column {index + 1} passed over: {sign}" for index, sign in enumerate(signs)]
    above = [line.strip() for line in lines[: body.start]]
    comments = sum(is_comment(line, options) for line in above if line)
    if comments:
        told.append(f"comments above the numbers: {comments} lines")
    if body.trailing:
        told.append(f"delimiters at the end of each row: {body.trailing}")
    if rate is not None:
        whole = heading.sample_rate is not None
        told.append(f"sample rate: {rate:.9g} Hz" + ("" if whole else ", not a whole number below 2**31: left out"))
    if heading.nodata is not None:
        told.append(f"NODATA is {heading.nodata:g}: read as NaN")
    return told
