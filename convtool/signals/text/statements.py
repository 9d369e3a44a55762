"""Statements about the numbers of a text in the lines above them: rates, intervals, NODATA values, start times."""

from __future__ import annotations

import re
from collections.abc import Sequence

from convtool.errors import InputError
from convtool.signals.text.heading import Stated

_NUMBER = r"([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)"
_GAP = r"\s*(?:\([^)]*\))?[\s:=,;\t\"]*(?:analog:)?\s*"
_RATE = re.compile(
    rf"\b(?:sampl(?:e|ing)[ _]?(?:rate|freq(?:uency)?)|fs){_GAP}{_NUMBER}\s*([kMG]?)(?:Hz|S/s|Sa/s|sps)?(?![\w./])",
    re.IGNORECASE,
)
_INTERVAL = re.compile(
    rf"\b(?:sampl(?:e|ing)[ _]?(?:interval|period|time)|x ?increment|tinc){_GAP}{_NUMBER}"
    r"\s*([mµun]?)s?(?:ec(?:onds?)?)?(?![\w./])",
    re.IGNORECASE,
)
_REW = re.compile(rf"\s*{_NUMBER}\s*//\s*(sample interval|sample rate|start time)", re.IGNORECASE)
_KEY = re.compile(r"\s*\"?[^\W\d_][\w ()/.-]*\s*[:=]")
_NODATA = re.compile(rf"\bno_?data(?:[ _]value)?{_GAP}{_NUMBER}\s*$", re.IGNORECASE)
_ORDER = re.compile(r"\s*(left and right channels on alternate lines|left channel first|one row per channel)", re.I)
"""How Audacity says that its channels are not columns."""
_SCALES = {"": 1.0, "k": 1e3, "m": 1e-3, "µ": 1e-6, "u": 1e-6, "n": 1e-9, "M": 1e6, "G": 1e9}


def read_statements(lines: Sequence[str]) -> Stated:
    """What `lines` say; refused where they say that the channels are no columns."""
    if order := next(filter(None, map(_ORDER.match, lines)), None):
        raise InputError(
            f"its channels are no columns: '{order[0].strip()}'; export them side by side, one column a channel"
        )
    nodata = next((found for line in lines if (found := _NODATA.search(line))), None)
    start = next((float(m[1]) for line in lines if (m := _REW.match(line)) and "start" in m[2].lower()), None)
    return Stated(_sample_rate(lines), None if nodata is None else float(nodata[1]), start)


def is_statement(line: str) -> bool:
    """Whether a line says something, in the form of ``Key: value``, or of a rate or an interval."""
    return bool(_KEY.match(line) or _RATE.search(line) or _INTERVAL.search(line))


def _sample_rate(stated: Sequence[str]) -> float | None:
    """The samples a second that the lines above the body state, or the increment in a row of units (Rigol)."""
    for line, below in zip(stated, (*stated[1:], ""), strict=False):
        if "increment" in line.lower().split(",") and (found := _below_increment(line, below)):
            return _over(1.0, float(found[1]))
        if found := _REW.match(line):
            if "sample" in found[2].lower():
                value = float(found[1])
                return _over(1.0, value) if "interval" in found[2].lower() else value or None
        elif found := _RATE.search(line):
            prefix = found[2] if found[2] in _SCALES and found[2] != "m" else found[2].upper()
            return float(found[1]) * _SCALES.get(prefix, 1.0) or None
        elif found := _INTERVAL.search(line):
            return _over(1.0, float(found[1]) * _SCALES[found[2].lower()])
    return None


def _below_increment(names: str, units: str) -> re.Match[str] | None:
    """The number that stands in the row of units under the name Increment (Rigol)."""
    column = names.lower().split(",").index("increment")
    cell = next(iter(units.split(",")[column:]), "")
    return re.fullmatch(_NUMBER, cell.strip(), re.IGNORECASE)


def _over(numerator: float, value: float) -> float | None:
    return numerator / value if value > 0 else None
