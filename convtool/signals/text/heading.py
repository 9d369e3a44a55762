"""Step 2: what stands above the body: names, units, and what is stated there about the numbers.

`names` finds the names and units, `unsampled` the columns that hold no samples, `statements` what lines say.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from convtool.signals.text.body import Body, find_body, is_comment
from convtool.signals.text.decimal_commas import doubt_columns, refuse_decimal_commas
from convtool.signals.text.dialect import Dialect, shown
from convtool.signals.text.labview import Measurement, is_labview, read_labview
from convtool.signals.text.names import ROWS_COMPARED, find_names, first_rows
from convtool.signals.text.options import TextOptions
from convtool.signals.text.times import Times
from convtool.signals.text.unsampled import TIMES, find_unsampled, rate_of_times, values_of

_CAMPBELL = "TOA5"
"""How files of Campbell's data loggers begin; names are in the second line, units and the way of averaging below."""
_CONTRADICTED = 0.01
"""How far a rate that is stated may be, relatively, from that of the times, which may be rounded."""


class Stated(NamedTuple):
    """What lines above the body say of its numbers; None where they do not."""

    rate: float | None = None
    """Samples a second."""
    nodata: float | None = None
    start_time: float | None = None
    """Seconds at the first sample."""
    points: int | None = None
    """Samples of a signal whose rows are behind each other, if they are so many."""


@dataclass(frozen=True)
class Heading:
    """What is known of a text when its first row is about to be read."""

    body: Body
    names: tuple[str, ...] | None = None
    """One for each column; empty for one without a name."""
    unsampled: Mapping[int, str] = field(default_factory=dict)
    """The columns that hold no samples, and what each of them is."""
    sample_rate: int | None = None
    nodata: float | None = None
    start_time: float | None = None
    points: int | None = None
    times: Times | None = None
    """The column of times, where there is one."""
    separator: str | None = None
    """The delimiter as the text itself names it (``sep=;``)."""
    remarks: tuple[str, ...] = ()
    """What was taken for what."""
    doubts: tuple[str, ...] = ()
    """What may be meant otherwise."""


def read_heading(lines: Sequence[str], options: TextOptions) -> Heading | None:
    """What `lines`, the beginning of a text, say; None where there is no row in them."""
    if options.skip == 0 and options.header != "no" and lines:
        if is_labview(lines) and (measurement := read_labview(lines, options)) is not None:
            return _of_labview(measurement, lines, options)
        if lines[0].lstrip('"').startswith(_CAMPBELL):
            lines = ["", *lines[1:2], "", "", *lines[4:]]
    separator = _separator(lines, options)
    if separator is not None and options.delimiter is None:
        options = replace(options, delimiter=separator)
    body = find_body(lines, options)
    if body is None:
        return None
    if not body.sure and options.decimal == ".":
        refuse_decimal_commas(lines, options)
    names, units, body = find_names(lines, body, options)
    numbers = first_rows(lines, body)
    said = _said([*lines[options.skip : body.start], *_beside(lines, body)], options.decimal)
    unsampled = find_unsampled(body, names, units, numbers, said.rate)
    rate, doubts = _rate(said.rate, rate_of_times(names, units, numbers, unsampled, body.dialect))
    heading = Heading(
        body,
        None if names is None else tuple(names),
        unsampled,
        _whole(rate),
        said.nodata,
        said.start_time,
        said.points,
        _times(numbers, unsampled, body.dialect, rate),
        separator,
        doubts=(*doubts, *([] if names else [*doubt_columns(body, numbers, options), *_doubt_rows(numbers)])),
    )
    return replace(heading, remarks=tuple(_remarks(heading, lines, options, units, rate)))


def _of_labview(measurement: Measurement, lines: Sequence[str], options: TextOptions) -> Heading:
    body, names, unsampled, rate, times = measurement
    heading = Heading(body, names, unsampled, _whole(rate), times=times)
    return replace(heading, remarks=tuple(_remarks(heading, lines, options, None, rate)))


def _rate(stated: float | None, timed: float | None) -> tuple[float | None, list[str]]:
    """The sample rate, and what is to be said of it; times have the last word."""
    if stated is None or timed is None or abs(stated / timed - 1) <= _CONTRADICTED:
        return (timed if stated is None else stated), []
    said = f"it states {stated:.9g} Hz, but the steps of its times are those of {timed:.9g} Hz"
    return timed, [f"{said}, which is taken; --sample-rate HZ overrules"]


def _doubt_rows(rows: Sequence[Sequence[str]]) -> list[str]:
    """What to say of first rows that look like a moment in Unix time and a sample rate (Empatica's form)."""
    heads = [set(row) for row in rows[:2]]
    if len(rows) < 3 or any(len(head) != 1 for head in heads):
        return []
    moment, rate = (re.fullmatch(r"(\d{1,12})(\.0*)?", head.pop()) for head in heads)
    if not moment or not rate or not 1e9 < int(moment[1]) < 3e9 or not 1 <= int(rate[1]) <= 1 << 16:
        return []
    way_out = f"--skip 2 --sample-rate {rate[1]} takes them for that"
    return [f"its first two rows look like a moment and a sample rate, not like samples; {way_out}"]


def _said(stated: Sequence[str], decimal: str) -> Stated:
    if not any(stated):  # as in numbers typed in place: the expressions need not be compiled
        return Stated()
    from convtool.signals.text.statements import read_statements

    return read_statements(stated, decimal)


def _separator(lines: Sequence[str], options: TextOptions) -> str | None:
    first = next((line for line in lines[options.skip :] if line.strip()), "")
    found = re.match(r"\s*\"?sep=(.)\"?\s*$", first, re.IGNORECASE) if "=" in first else None
    return found and found[1]


def _beside(lines: Sequence[str], body: Body) -> list[str]:
    """The statements of a preamble that stands beside the numbers."""
    if not body.beside:
        return []
    rows = (body.dialect.split(line)[: body.beside - 1] for line in lines[body.start : body.start + ROWS_COMPARED])
    return [",".join(cells) for cells in rows]


def _whole(rate: float | None) -> int | None:
    """A sample rate, where it is whole but for its rounding."""
    if rate is None or not 1 <= rate < 1 << 31 or abs(rate - round(rate)) > 1e-4 * rate:
        return None
    return round(rate)


def _times(
    rows: Sequence[Sequence[str]], unsampled: Mapping[int, str], dialect: Dialect, rate: float | None
) -> Times | None:
    """The first column of times, if two or more are there."""
    column = next((column for column, what in unsampled.items() if what == TIMES), None)
    if column is None or len(rows) < 2:
        return None
    return Times.of(column, values_of(rows, column, dialect), rate)


def _remarks(
    heading: Heading,
    lines: Sequence[str],
    options: TextOptions,
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
    told += [f"column {index + 1} passed over: {sign}" for index, sign in heading.unsampled.items()]
    above = [line.strip() for line in lines[: body.start]]
    comments = sum(is_comment(line, options) for line in above if line)
    if comments:
        told.append(f"comments above the numbers: {comments} line{'s' * (comments > 1)}")
    if body.trailing:
        told.append(f"delimiters at the end of each row: {body.trailing}")
    if rate is not None:
        whole = heading.sample_rate is not None
        told.append(f"sample rate: {rate:.9g} Hz" + ("" if whole else ", not a whole number below 2**31: left out"))
    elif TIMES in heading.unsampled.values():
        told.append("no sample rate: its times go up in uneven steps, or without a unit of time")
    if heading.nodata is not None:
        told.append(f"NODATA is {heading.nodata:g}: read as NaN")
    return told
