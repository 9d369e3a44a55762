"""Text measurement files of LabVIEW (``.lvm``), whose layout their own header states.

The header of the file names its separator, its decimal mark and where the times stand: in a first column, beside each
channel, or nowhere: then the first cell of each row is empty. The header of the segment gives the time between
samples. The row of names ends in ``Comment``, and a row has a cell below it only where there is a comment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from convtool.signals.text.body import Body
from convtool.signals.text.dialect import Dialect
from convtool.signals.text.names import first_rows
from convtool.signals.text.options import TextOptions
from convtool.signals.text.times import Times, follow
from convtool.signals.text.unsampled import TIMES, values_of

_FIRST = "LabVIEW Measurement"
_END = "***End_of_Header***"
_ABSCISSA, _COMMENT = "X_Value", "Comment"


class Measurement(NamedTuple):
    """What the two headers of a file say."""

    body: Body
    names: tuple[str, ...]
    unsampled: Mapping[int, str]
    rate: float | None
    """Samples a second, where all channels have the same, and the times are so."""
    times: Times | None
    """The first column of times, where they are others than the header says."""


def is_labview(lines: Sequence[str]) -> bool:
    """Whether a text that begins with `lines` is such a file."""
    return bool(lines) and lines[0].startswith(_FIRST)


def read_labview(lines: Sequence[str], options: TextOptions) -> Measurement | None:
    """What the headers in `lines` say; None where they are not whole."""
    ends = [index for index, line in enumerate(lines) if line.startswith(_END)][:2]
    if len(ends) < 2 or len(lines) < ends[1] + 3:
        return None
    mark = "," if lines[0].startswith(f"{_FIRST},") else "\t"
    of_file = _stated(Dialect(mark), lines[: ends[0]])
    decimal = "," if of_file.get("Decimal_Separator") == [","] else options.decimal
    dialect = Dialect(options.delimiter or mark, decimal, options.thousands, options.missing == "nan")
    names = dialect.split(lines[ends[1] + 1])
    commented = names[-1] == _COMMENT
    if commented:
        names.pop()
    what = "empty" if of_file.get("X_Columns") == ["No"] else TIMES
    unsampled = {index: what for index, name in enumerate(names) if name == _ABSCISSA}
    body = Body(ends[1] + 2, dialect, len(names), commented=commented)
    rate = _rate(_stated(dialect, lines[ends[0] + 1 : ends[1]]), dialect)
    times = [] if what == "empty" else values_of(first_rows(lines, body), 0, dialect)
    if len(times) > 1 and (rate is None or not follow(times, rate)):
        return Measurement(body, tuple(names), unsampled, None, Times.of(0, times))
    return Measurement(body, tuple(names), unsampled, rate, None)


def _stated(dialect: Dialect, lines: Sequence[str]) -> dict[str, list[str]]:
    """What lines of a header say: the cells that are not empty, under the first of them."""
    rows = ([cell for cell in dialect.split(line) if cell] for line in lines)
    return {row[0]: row[1:] for row in rows if row}


def _rate(stated: Mapping[str, list[str]], dialect: Dialect) -> float | None:
    """The samples a second of the channels of a segment."""
    steps = {dialect.number(cell) for cell in stated.get("Delta_X", ())}
    if set(stated.get("X_Dimension", ())) != {"Time"} or len(steps) != 1:
        return None
    step = float(steps.pop() or 0)
    return 1 / step if step > 0 else None
