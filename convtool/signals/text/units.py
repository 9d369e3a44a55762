"""What the names of columns and the words beside numbers say of units: times, frequencies, counts."""

from __future__ import annotations

import re
from collections.abc import Sequence

_COUNTS = {
    "index", "idx", "sample", "samples", "sequence", "seq", "no", "nr", "number", "row", "frame", "record", "rn", "id",
    "point", "packet", "counter",
}  # fmt: skip
_FREQUENCIES = {"frequency", "freq"}
_WAVES = {"wavelength", "wavelengths", "wavenumber", "wavenumbers"}
_SHORT_WAVES = {"wave", "wl", "lambda"}
_CLOCKS = {"time", "times", "timer", "timestamp", "stamp", "elapsed", "zeit", "tiempo"}
_BESIDE_CLOCKS = {
    "rel", "relative", "abs", "absolute", "unix", "epoch", "gps", "utc", "local", "since", "start", "in", "the", "of",
    "sample", "measurement",
}  # fmt: skip
_SHORT_CLOCKS = {"t", "ts", "s", "x-axis"}
"""In lower case: T is a temperature."""
_AMBIGUOUS = {"s", "h", "hr", "hrs", "min", "mins", "minute", "minutes", "hour", "hours", "day", "days"}
"""Units of time that may be names of something else, as of a minimum."""
_SCALES = {
    1e-9: "ns nsec nsecs nanosecond nanoseconds nanos",
    1e-6: "us µs usec usecs µsec microsec microsecond microseconds micros",
    1e-3: "ms msec msecs millisec millisecond milliseconds millis",
    1.0: "s sec secs second seconds",
    60.0: "min mins minute minutes",
    3600.0: "h hr hrs hour hours",
    86400.0: "day days",
}
_SECONDS = {unit: scale for scale, units in _SCALES.items() for unit in units.split()}
_HERTZ = {"hz", "khz", "mhz", "ghz"}
_PREFIXES = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "g": 1e9}
_UNITS = {
    *_SECONDS, *_HERTZ, *_COUNTS,
    "v", "mv", "uv", "µv", "volt", "volts", "a", "ma", "µa", "amp", "amps", "ampere", "w", "watt", "watts", "db",
    "dbv", "dbm", "dbu", "dbfs", "dbspl", "deg", "degree", "degrees", "°", "°c", "°f", "k", "c", "pa", "kpa", "hpa",
    "bar", "mbar", "psi", "m", "mm", "cm", "km", "µm", "m/s", "m/s2", "m/s^2", "m/s²", "g", "kg", "n", "nm", "%",
    "ohm", "ohms", "ω", "rad", "rad/s", "rpm", "counts", "lsb", "l", "ml", "ppm", "lux", "j", "kw", "mw", "kn", "mt",
    "µt", "nt", "deg c", "ts",
}  # fmt: skip
_LONGEST_NAME = 100
_RATIO = r"[^\W\d_]{1,4}[23²³]?(/[^\W\d_]{1,4}[23²³]?)+"
"""A unit over another, as in ``l/min``."""


def _plain(unit: str) -> str:
    """A unit in lower case, with the micro sign where a Greek mu stands."""
    return unit.strip().lower().replace("\u03bc", "\u00b5")


def seconds_in(unit: str) -> float | None:
    """How many seconds a unit of time is, or None for another word."""
    return _SECONDS.get(_plain(unit))


def rate_in(unit: str) -> float | None:
    """How many samples a second a unit of sample rates is, or None for another word.

    >>> [rate_in(unit) for unit in ("kHz", "MSa/s", "mHz", "samples per minute", "per channel")]
    [1000.0, 1000000.0, 0.001, 0.016666666666666666, None]
    """
    unit = unit.strip()
    if unit == "mHz":
        return 1e-3
    if found := re.fullmatch(r"([kMG]?)(?:hz|sa?/s(?:ec)?|sps)|([kMG])", unit, re.IGNORECASE):
        return _PREFIXES.get(found[1] or found[2] or "")
    found = re.fullmatch(r"(?:samples?|sa|1)?\s*(?:/|per\b)\s*(\w+)", unit, re.IGNORECASE)
    seconds = seconds_in(found[1]) if found else None
    return None if seconds is None else 1 / seconds


def is_frequency(unit: str, name: str) -> bool:
    """Whether a column is one of frequencies, by its unit or its name."""
    return _plain(unit) in _HERTZ or bare(name) in _FREQUENCIES


def is_wavelength(unit: str, name: str) -> bool:
    """Whether a column is one of wavelengths or their inverse, by its name, or its short name and its unit."""
    return bare(name) in _WAVES or (is_short_wavelength(name) and unit == "nm")


def is_short_wavelength(name: str) -> bool:
    """Whether a name may stand for wavelengths: ``wl``."""
    return bare(name) in _SHORT_WAVES


def is_count(name: str) -> bool:
    """Whether a name or a unit says that its column counts the rows: ``Sample Index``, ``No.``, ``#``."""
    words = [word for word in re.split(r"[\W\d_]+", name.lower()) if word]
    return name == "#" or (bool(words) and all(word in _COUNTS for word in words))


def unit_in(cell: str) -> str | None:
    """The unit that a cell is, in lower case, without brackets; None for another word."""
    bracketed = re.fullmatch(r"[(\[](.*)[)\]]", cell)
    word = _plain(bracketed[1] if bracketed else cell)
    return word if bracketed or word in _UNITS or re.fullmatch(_RATIO, word) else None


def bare(name: str) -> str:
    """A name in lower case without the unit after it."""
    return re.sub(r"\s*[(\[].*|[ _]?(in )?(seconds?|secs?|hz|ms|us|s)$", "", name.lower()).strip(" .") or name.lower()


def is_clock(name: str) -> bool:
    """Whether a name says that its column is one of times, and no more.

    >>> [is_clock(name) for name in ("Elapsed Time (s)", "time_ms", "millis", "reaction time", "min")]
    [True, True, True, False, False]
    """
    words = [word for word in re.split(r"[\W\d_]+", re.sub(r"[(\[].*", "", _plain(name))) if word]
    telling = [word for word in words if word in _CLOCKS or (word in _SECONDS and word not in _AMBIGUOUS)]
    return bool(telling) and all(word in _CLOCKS | _BESIDE_CLOCKS or word in _SECONDS for word in words)


def is_short_clock(name: str) -> bool:
    """Whether a name may stand for times: ``t``."""
    return name.strip() in _SHORT_CLOCKS


def is_time_unit(unit: str, name: str) -> bool:
    """Whether the unit that a column has beside its name is one of time; ``Temp (min)`` is not."""
    return unit in _SECONDS and _plain(name) != unit and (unit not in ("min", "mins") or is_clock(name))


def unit_of(column: int, names: Sequence[str] | None, units: Sequence[str] | None) -> str:
    """The unit of a column: from the row of units, or from its name (``t (s)``, ``t/s``, ``time_ms``, ``ms``)."""
    if units is not None:
        return unit_in(units[column]) or ""
    name = _plain(names[column]) if names else ""
    if len(name) > _LONGEST_NAME:
        return ""
    if bracketed := re.search(r"[(\[]([^()\[\]]*)[)\]]\s*$", name):
        return bracketed[1].strip()
    if found := re.fullmatch(r"(.*?)(?:\s*/\s*|(?:^|[ _])in[ _]|[ _])([a-zµ]+)", name):
        of_time = found[2] in _SECONDS and (not found[1] or is_clock(found[1]) or is_short_clock(found[1]))
        return found[2] if of_time else ""
    return name if name in _SECONDS or name in _HERTZ else ""
