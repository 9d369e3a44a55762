"""What the names of columns and the rows below them say of units: times, frequencies, counts."""

from __future__ import annotations

import re
from collections.abc import Sequence

COUNTS = {"index", "idx", "sample", "sequence", "no", "no.", "#", "row", "frame"}
TIMES = {"time", "times", "timestamp", "zeit", "temps", "tiempo", "frequency", "freq", "x-axis"}
SECONDS = {
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
HERTZ = {"hz", "khz", "mhz"}
_UNITS = {
    *SECONDS, *HERTZ, *COUNTS,
    "v", "mv", "uv", "µv", "volt", "volts", "a", "ma", "µa", "amp", "amps", "ampere", "w", "watt", "watts", "db",
    "dbv", "dbm", "dbu", "dbfs", "dbspl", "deg", "degree", "degrees", "°", "°c", "°f", "k", "c", "pa", "kpa", "bar",
    "mbar", "m", "mm", "cm", "km", "µm", "m/s", "m/s2", "m/s^2", "m/s²", "g", "kg", "n", "nm", "%", "ohm", "ohms",
    "ω", "rad", "rad/s", "counts", "lsb",
}  # fmt: skip


def unit_in(cell: str) -> str | None:
    """The unit that a cell is, in lower case, without brackets; None for another word."""
    bracketed = re.fullmatch(r"[(\[](.*)[)\]]", cell)
    word = (bracketed[1] if bracketed else cell).strip().lower()
    return word if bracketed or word in _UNITS else None


def bare(name: str) -> str:
    """A name in lower case without the unit after it."""
    return re.sub(r"\s*[(\[].*|[ _]?(in )?(seconds?|secs?|hz|ms|us|s)$", "", name.lower()).strip() or name.lower()


def unit_of(column: int, names: Sequence[str] | None, units: Sequence[str] | None) -> str:
    """The unit of a column: from the row of units, or from its name."""
    if units is not None:
        return unit_in(units[column]) or ""
    name = names[column] if names else ""
    found = re.search(
        r"[(\[]([^()\[\]]*)[)\]]\s*$|^(?:time|t)[ _]([a-zµ]+)$|^(seconds?|secs?|hz)$", name, re.IGNORECASE
    )
    return next(filter(None, found.groups()), "").strip().lower() if found else ""
