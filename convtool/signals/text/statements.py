"""Statements about the numbers of a text in the lines above them: rates, intervals, NODATA values, start times."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from convtool.errors import InputError
from convtool.signals.text.heading import Stated
from convtool.signals.text.units import rate_in, seconds_in

_NUMBER = r"([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?)"
_GAP = r"[\s:=,;\"]*(?:analog:\s*)?"
_STATEMENT = re.compile(
    r"\b(?:(?P<rate>sampl(?:e|ing)[ _-]?(?:rate|freq(?:uency)?)|fs)|"
    r"sampl(?:e|ing)[ _-]?(?:interval|period|time)|x ?increment|tinc|dt(?=\s*=)|(?<![^\s\"#%;!*])interval(?==))"
    r"(?:[ \t]{0,9}[(\[](?P<bracket>[^)\]]{0,30})[)\]]|[_ /](?:in[_ ])?(?P<unit>[kmµμun]?(?:hz|s|sec)))?"
    rf"{_GAP}(?=[+-]?\.?\d)(?P<said>.*)",
    re.IGNORECASE,
)
_SPS = re.compile(rf"(?:^|,)\s*{_NUMBER}\s*sps\b", re.IGNORECASE)
_POINTS = re.compile(
    r"\bNPTS[ \t]{0,9}[=:]?[ \t]{0,9}(\d+)|^TIMESERIES [^,]*,\s*(\d+) samples,.*\bSLIST\b|"
    r"^Duration Time[ \t]{0,9}\(s\)[ \t]{0,30}(\d+)\s*$"
)
"""How many samples there are, whatever the columns: PEER, ASCII of seismology, K-NET (in seconds)."""
_A_SAMPLE = re.compile(rf"\s*{_NUMBER}\s*([a-zµμ]+)/sample\b", re.IGNORECASE)
"""The interval in AcqKnowledge's words."""
_OLD_PEER = re.compile(r"\s*(\d+)\s+(\d*\.\d+)\s+NPTS,\s*DT\b")
_REW = re.compile(rf"\s*{_NUMBER}\s*//\s*(sample interval|sample rate|start time)", re.IGNORECASE)
_KEY = re.compile(r"\s*\"?[^\W\d_][\w \t()/.-]*[:=]")
_FORMS = (_KEY, _OLD_PEER, _A_SAMPLE, re.compile(r"\s*\d+ channels?\s*$"))
_NODATA = re.compile(rf"\bno_?data(?:[ _]value)?(?:[ \t]{{0,9}}\([^)]{{0,30}}\))?{_GAP}{_NUMBER}\s*$", re.IGNORECASE)
_QUANTITY = re.compile(
    rf"{_NUMBER}(?:\s*[(\[](?P<unit>[^)\]]{{0,30}})[)\]]|(?P<gap>\s*[,;\t\"]*\s*)(?P<after>[^,;\t\"()]*))",
    re.IGNORECASE,
)
_GROUPED = re.compile(r"(\d{1,3}(?:[,'’ \u00a0\u202f]\d{3})+)(?P<gap>[ ]*)(?P<after>[a-z/][^,;\t\"()]*)", re.IGNORECASE)
_DECIMAL_COMMA = re.compile(r"(\d+,(?:\d{1,2}|\d{4,}))(?P<gap>[ ]*)(?P<after>[a-zµμ/][^,;\t\"()]*)", re.IGNORECASE)
_SPLIT = re.compile(r"\d+(?:,\d{1,3}|['’ \u00a0\u202f]\d{3})(?!\d)|\d+\.\d+\.")
"""What may be one number, in groups or with a decimal comma, or two."""
_NO_UNITS = ("mono", "stereo", "channel", "channels", "bit", "bits", "real", "complex", "and", "with")
"""What may follow a rate without a unit."""
_LIKE_A_UNIT = re.compile(r"per\b|samples?\b|\w*/|\w*hz\b", re.IGNORECASE)
_NO_ROWS = (
    (
        r"\s*(left and right channels on alternate lines|left channel first|one row per channel)",
        "its channels are no columns: '{}'; export them side by side, one column a channel",
    ),
    (r".*(sample values on dB scale)", "its numbers are levels, not samples: '{}'; export them on a linear scale"),
    (
        r"[#%] (type: (?!.*\b(?:scalar|matrix)$)[\w ]+|type: (?:sparse|complex|diagonal|permutation).*|ndims: .*)",
        "it is an Octave file of '{}', whose rows are no samples; save a plain matrix, as with full(x) or x(:)",
    ),
    (r"%(%MatrixMarket .*)", "it is a Matrix Market file, '{}', whose rows are no samples; scipy.io.mmread reads it"),
)
"""How files say that their rows are no samples in time: Audacity, Octave, Matrix Market."""


def read_statements(lines: Sequence[str], decimal: str = ".") -> Stated:
    """What `lines` say; refused where they say that the rows are no samples."""
    for line in lines:
        for pattern, complaint in _NO_ROWS:
            if found := re.match(pattern, line, re.IGNORECASE):
                raise InputError(complaint.format(found[1].strip()))
    if decimal == ",":
        lines = [re.sub(r"(?<=\d)\.(?=\d{3}(?!\d))", "", line) for line in lines]
        lines = [re.sub(r"(?<=\d),(?=\d)", ".", line) for line in lines]
    nodata = next((found for line in lines if (found := _NODATA.search(line))), None)
    start = next((float(m[1]) for line in lines if (m := _REW.match(line)) and "start" in m[2].lower()), None)
    rate = _sample_rate(lines)
    return Stated(rate, None if nodata is None else float(nodata[1]), start, _points(lines, rate))


def is_interval_a_sample(line: str) -> bool:
    """Whether a line states the interval as AcqKnowledge does: ``0.5 msec/sample``."""
    return _A_SAMPLE.match(line) is not None


def _points(lines: Sequence[str], rate: float | None) -> int | None:
    """The samples of the one signal that the rows hold behind each other."""
    if found := next(filter(None, map(_OLD_PEER.match, lines)), None):
        return int(found[1])
    found = next(filter(None, map(_POINTS.search, lines)), None)
    if found is None:
        return None
    return round(int(found[3]) * (rate or 0)) if found[3] else int(found[1] or found[2])


def is_statement(line: str) -> bool:
    """Whether a line says something, in the form of ``Key: value``, or of a rate or an interval."""
    return any(form.match(line) for form in _FORMS) or _STATEMENT.search(line) is not None


def _sample_rate(stated: Sequence[str]) -> float | None:
    """The samples a second that the lines above the body state, or the increment in a row of units (Rigol)."""
    for line, below in zip(stated, (*stated[1:], ""), strict=False):
        if "increment" in line.lower().split(",") and (found := _below_increment(line, below)):
            return _over(1.0, float(found[1]))
        if found := _REW.match(line):
            if "sample" in found[2].lower():
                value = float(found[1])
                return _over(1.0, value) if "interval" in found[2].lower() else value or None
        elif (found := _A_SAMPLE.match(line)) and (scale := seconds_in(found[2])) is not None:
            return _over(1.0, float(found[1]) * scale)
        elif found := _OLD_PEER.match(line):
            return _over(1.0, float(found[2]))
        elif found := _SPS.search(line):
            return float(found[1]) or None
        elif (found := _STATEMENT.search(line)) and (rate := _stated_rate(found)) is not None:
            return rate
    return None


def _stated_rate(found: re.Match[str]) -> float | None:
    """The samples a second of a statement; None where its number or unit can be read in two ways or in none."""
    scale_of = rate_in if found["rate"] else seconds_in
    stated = found["bracket"] or found["unit"] or ""
    own = scale_of(stated) if stated else 1.0
    said = found["said"]
    if plain := _GROUPED.match(said):
        scale = _scale(plain, scale_of)
        value = re.sub(r"\D", "", plain[1]) if scale == 1.0 else None
    elif plain := _DECIMAL_COMMA.match(said):
        scale, value = _scale(plain, scale_of), plain[1].replace(",", ".")
    elif _SPLIT.match(said) and not re.match(r"(\d+),\1(?!\d)", said):
        return None
    else:
        plain = _QUANTITY.match(said)
        value = plain and plain[1]
        scale = plain and (scale_of(plain["unit"]) if plain["unit"] else _scale(plain, scale_of, bare=own))
    if value is None or scale is None:
        return None
    return (float(value) * scale or None) if found["rate"] else _over(1.0, float(value) * scale)


def _scale(found: re.Match[str], scale_of: Callable[[str], float | None], bare: float | None = None) -> float | None:
    """What the words after a number make of it, of which the first few may be its unit; `bare` where none is."""
    words = [word.rstrip(".") for word in found["after"].split()]
    for count in (3, 2, 1):
        scale = scale_of(" ".join(words[:count])) if len(words) >= count else None
        if scale is not None:
            return scale
    if words and (not found["gap"].strip() or _LIKE_A_UNIT.match(words[0])):
        return bare if scale_of is rate_in and found["gap"] and words[0].lower() in _NO_UNITS else None
    return bare


def _below_increment(names: str, units: str) -> re.Match[str] | None:
    """The number that stands in the row of units under the name Increment (Rigol)."""
    column = names.lower().split(",").index("increment")
    cell = next(iter(units.split(",")[column:]), "")
    return re.fullmatch(_NUMBER, cell.strip(), re.IGNORECASE)


def _over(numerator: float, value: float) -> float | None:
    return numerator / value if value > 0 else None
