"""Step 2, second: the columns on the left that hold no samples, and the sample rate that their times tell.

A first column is passed over where
- its cells are no numbers (names of rows, dates), or it alone has no name (pandas, R), or
- it is named as a count (index, sample...) and its numbers count up by one, and begin anew now and then, or
- it is named or measured as a time, a frequency or a wavelength (time, seconds, Hz...) and its numbers rise; a clock,
  by its name, may also stand still and begin anew now and then, or
- its name may be one of times or wavelengths (t, wl) and its numbers rise in even or nearly even steps, or
- its numbers rise by the sample interval that is stated above, or, where they have no name, count up from 0 or 1 below
  a sample rate that is stated.
Otherwise it is a column like the others: numbers without such a sign are samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from convtool.signals.text.body import Body
from convtool.signals.text.dialect import Dialect
from convtool.signals.text.times import even, follow
from convtool.signals.text.units import (
    is_clock,
    is_count,
    is_frequency,
    is_short_clock,
    is_short_wavelength,
    is_time_unit,
    is_wavelength,
    seconds_in,
    unit_of,
)

TIMES, FREQUENCY, COUNT = "times", "frequencies", "a count"


def find_unsampled(
    body: Body,
    names: Sequence[str] | None,
    units: Sequence[str] | None,
    rows: Sequence[Sequence[str]],
    rate: float | None,
) -> dict[int, str]:
    """What the columns are that hold no samples: some on the left, and those that repeat one of them."""
    signs = dict(enumerate(["a preamble"] * body.beside))
    while len(signs) < body.width - 1:
        sign = _sign(len(signs), body, names, units, rows, rate)
        if sign is None:
            break
        signs[len(signs)] = sign
    if names and rows:
        columns = [(name, *cells) for name, *cells in zip(names, *rows, strict=False)]
        repeated = {columns[column]: sign for column, sign in signs.items()}
        signs |= {column: repeated[cells] for column, cells in enumerate(columns) if cells in repeated}
    return signs | dict.fromkeys(body.dated, "dates")


def _sign(
    column: int,
    body: Body,
    names: Sequence[str] | None,
    units: Sequence[str] | None,
    rows: Sequence[Sequence[str]],
    rate: float | None,
) -> str | None:
    """What a column is that holds no samples."""
    if column < body.labelled or (column == 0 and names and not names[0]):
        return "names of rows"
    values = values_of(rows, column, body.dialect)
    steps = [b - a for a, b in pairwise(values)]
    unit = unit_of(column, names, units)
    name = names[column] if names else ""
    whole = bool(values) and all(value.is_integer() for value in values)
    if whole and (is_count(name) or is_count(unit)) and _counts(steps):
        return COUNT
    if whole and names is None and rate is not None and len(values) > 2 and _go_round(values):
        return COUNT
    if not values or (steps and min(steps) <= 0):
        return TIMES if values and is_clock(name) and _mostly_rise(steps) else None
    in_even_steps = len(steps) > 1 and even(steps)
    if is_clock(name) or is_time_unit(unit, name) or (is_short_clock(name) and in_even_steps):
        return TIMES
    if is_frequency(unit, name):
        return FREQUENCY
    if is_wavelength(unit, name) or (is_short_wavelength(name) and len(steps) > 1 and max(steps) < 1.5 * min(steps)):
        return "wavelengths"
    if not steps or rate is None:
        return None
    rounding, rates = _half_unit(rows, column, body.dialect), (rate, rate * (seconds_in(name) or 1.0))
    return TIMES if any(_follow(values, steps, each, rounding) for each in rates) else None


def _follow(values: Sequence[float], steps: Sequence[float], rate: float, rounding: float) -> bool:
    """Whether numbers go up by the steps of a rate, but for their rounding."""
    alike = abs(steps[0] * rate - 1) < 1e-3 and max(steps) - min(steps) <= 1e-3 * max(steps)
    return alike or follow(values, rate, rounding * rate)


def _counts(steps: Sequence[float]) -> bool:
    """Whether numbers count up by one, and stand still or begin anew now and then."""
    ones = sum(step == 1 for step in steps)
    return 2 * ones >= len(steps) and all(step in (0, 1) or step < 0 for step in steps) and _mostly_rise(steps)


def _go_round(values: Sequence[float]) -> bool:
    """Whether numbers count up from 0 or 1, or up to one number and from there again, wherever they begin."""
    turns = {(a, b) for a, b in pairwise(values) if b - a != 1}
    if not turns:
        return values[0] in (0, 1)
    return turns == {(max(values), min(values))} and max(values) > min(values)


def _mostly_rise(steps: Sequence[float]) -> bool:
    """Whether times stand still or begin anew now and then, as clocks and counters do, and do not just scatter."""
    return 10 * sum(step < 0 for step in steps) <= len(steps)


def _half_unit(rows: Sequence[Sequence[str]], column: int, dialect: Dialect) -> float:
    """Half a unit of the last digit to which the numbers of a column are written."""
    last = 0
    for row in rows:
        mantissa, _, exponent = (dialect.number(row[column]) or "").lower().partition("e")
        last = min(last, int(exponent or 0) - len(mantissa.partition(".")[2]))
    return 0.501 * 10.0**last


def values_of(rows: Sequence[Sequence[str]], column: int, dialect: Dialect) -> list[float]:
    """The numbers of a column; nothing where one of its cells is none."""
    numbers = [dialect.number(row[column]) for row in rows]
    return [float(number) for number in numbers if number is not None] if None not in numbers else []


def rate_of_times(
    names: Sequence[str] | None,
    units: Sequence[str] | None,
    rows: Sequence[Sequence[str]],
    unsampled: Mapping[int, str],
    dialect: Dialect,
) -> float | None:
    """The sample rate of a column of times in even steps of seconds, where its unit is stated."""
    for column, what in unsampled.items():
        scale = seconds_in(unit_of(column, names, units))
        values = values_of(rows, column, dialect)
        if what == TIMES and scale is not None and len(values) > 2:
            steps = [b - a for a, b in pairwise(values)]
            seconds = (values[-1] - values[0]) * scale
            if even(steps) and seconds > 0:  # not so little that float64 has none of it
                return len(steps) / seconds
    return None
