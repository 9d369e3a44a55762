"""The parameters of a scaling, and the JSON file that keeps them."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from convtool.arrays.description import some
from convtool.errors import InputError
from convtool.files.atomic import write_file
from convtool.files.names import show
from convtool.files.remote import download
from convtool.files.source import reason_of
from convtool.files.urls import is_url

Method = Literal["minmax", "clip", "sigmoid", "tanh", "standard", "robust", "maxabs"]
RangedMethod = Literal["minmax", "clip", "sigmoid", "tanh"]
SpreadMethod = Literal["standard", "robust", "maxabs"]

SPREADS: dict[str, tuple[str, ...]] = {"standard": ("mean", "std"), "robust": ("median", "iqr"), "maxabs": ("maxabs",)}
"""What the methods without a range go by, as PARAMS.json calls it."""
FITTED = ("minmax", *SPREADS)
"""The methods that need data."""

_VERSION = 1
_LARGEST = 1 << 26
"""Bytes of a file: a million channels take fewer, and anything longer is some other file."""
_SHOWN = 60
_NUMBER = r"([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)"
_INTEGER = re.compile(r"[0-9]{1,9}")
_RANGE = re.compile(rf"\s*{_NUMBER}\s*:\s*{_NUMBER}\s*", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class Channel:
    """The range of the numbers of one channel, or of all; an end is an `int` where float64 does not hold it."""

    minimum: float
    maximum: float
    name: str | None = None
    """What its column is called in a CSV that has names."""


@dataclass(frozen=True)
class Spread:
    """Where the numbers of one channel, or of all, lie and how far they spread: see `convtool.ops.Spread`."""

    location: float
    scale: float
    rest: float = 0.0
    name: str | None = None
    """What its column is called in a CSV that has names."""


@dataclass(frozen=True)
class Params:
    """How numbers are scaled, and what was found in the data that this was fitted to.

    `channels` has one entry, which serves any number of channels, or one for each. It is empty where nothing was
    fitted: some methods need no data, and the others then take what each input holds.
    """

    method: Method
    low: float = 0.0
    high: float = 0.0
    """The range; 0 and 0 with the methods that have none."""
    channels: tuple[Channel | Spread, ...] = ()
    dtype: str | None = None
    """That in which the data was read."""
    sources: int = 0
    """How many inputs the data came from."""

    @property
    def range(self) -> str:
        """LOW:HIGH."""
        return range_text(self.low, self.high)

    @property
    def ranged(self) -> bool:
        """Whether numbers are brought into a range."""
        return self.method not in SPREADS

    @property
    def ranges(self) -> list[tuple[float, float]]:
        """The ranges of the data, of minmax."""
        return [(each.minimum, each.maximum) for each in self.channels if isinstance(each, Channel)]

    @property
    def spreads(self) -> list[tuple[float, float, float]]:
        """Location, scale and rest of the data, of the methods without a range."""
        return [(each.location, each.scale, each.rest) for each in self.channels if isinstance(each, Spread)]

    @property
    def data(self) -> str:
        """What was found in the data, in a few words."""
        if len(self.channels) > 1:
            return f"the {'ranges' if self.ranged else 'figures'} of {len(self.channels)} channels"
        if self.ranged:
            return range_text(*self.ranges[0])
        figures = zip(SPREADS[self.method], _figures(self.method, self.spreads[0]), strict=True)
        return ", ".join(f"{name} {_short(number)}" for name, number in figures)

    def of_columns(self, wanted: Sequence[str], *, numbered: bool = False) -> Params:
        """These parameters with the channels of the columns `wanted`, by name, or if `numbered` by number from 1 too.

        Raises:
            InputError: there is no such column, or there are several.
        """
        known = [channel.name for channel in self.channels]
        if list(wanted) == known:
            return self
        return replace(self, channels=tuple(self.channels[_place(name, known, numbered)] for name in wanted))

    def as_json(self) -> str:
        """The text of a file, a channel a line; every number reads back to the same bits."""
        head = {
            "version": _VERSION,
            "method": self.method,
            **({"range": [self.low, self.high]} if self.ranged else {}),
            "dtype": self.dtype,
            "sources": self.sources,
        }
        lines = [f"  {json.dumps(key)}: {json.dumps(value)}," for key, value in head.items()]
        rows = (
            json.dumps(_record(self.method, channel), ensure_ascii=False, allow_nan=False) for channel in self.channels
        )
        listed = ",\n".join(f"    {row}" for row in rows)
        return "\n".join(["{", *lines, f'  "channels": [\n{listed}\n  ]' if listed else '  "channels": []', "}", ""])

    def write(self, path: str, *, replace: bool = False) -> None:
        """Put the file at `path`, whole or not at all; with `replace`, over one that exists."""
        write_file(path, self.as_json().encode("utf-8"), replace=replace)


def _record(method: Method, channel: Channel | Spread) -> dict[str, Any]:
    """What a file says of a channel."""
    if isinstance(channel, Channel):
        return {"name": channel.name, "min": channel.minimum, "max": channel.maximum}
    figures = _figures(method, (channel.location, channel.scale, channel.rest))
    rest = {"rest": channel.rest} if channel.rest else {}
    return {"name": channel.name, **dict(zip(SPREADS[method], figures, strict=True)), **rest}


def _figures(method: Method, spread: tuple[float, float, float]) -> tuple[float, ...]:
    """Those numbers that the method's names stand for."""
    return spread[: len(SPREADS[method])] if method != "maxabs" else spread[1:2]


def _place(wanted: str, known: Sequence[str | None], numbered: bool) -> int:
    """Where the column `wanted` is among those that are `known`."""
    count = known.count(wanted)
    if count == 1:
        return known.index(wanted)
    if count:
        places = ", ".join(str(place) for place, name in enumerate(known, 1) if name == wanted)
        raise InputError(
            f"the parameters have {count} columns '{show(wanted)}', numbers {places}; --params-columns takes a number"
        )
    if numbered and _INTEGER.fullmatch(wanted) and 1 <= int(wanted) <= len(known):
        return int(wanted) - 1
    names = [name for name in known if name is not None]
    there = some(names) if names else f"no names, but numbers 1 to {len(known)}"
    way_out = "" if numbered else "; --params-columns says whose ranges to take"
    raise InputError(f"the parameters have no column '{show(wanted)}'; they know {there}{way_out}")


def parse_range(text: str) -> tuple[float, float]:
    """LOW and HIGH of ``LOW:HIGH``.

    Raises:
        ValueError: `text` is no range of finite numbers, or an inverted or empty one.

    >>> parse_range("-20:30"), parse_range("0:1e-3")
    ((-20.0, 30.0), (0.0, 0.001))
    """
    found = _RANGE.fullmatch(text)
    if found is None:
        raise ValueError(f"'{show(text)}' is no range: give two numbers, LOW:HIGH, such as -1:1")
    low, high = float(found[1]), float(found[2])
    check_range(low, high)
    return low, high


def check_range(low: float, high: float) -> None:
    """ValueError unless [low, high] is a range that numbers can be brought into."""
    text = range_text(low, high)
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"{text} is past what float64 holds; expected two finite numbers")
    if low > high:
        raise ValueError(f"{text} is inverted; the lower number comes first: {range_text(high, low)}")
    if low == high:
        raise ValueError(f"{text} is empty; the numbers must differ")


def range_text(low: float, high: float) -> str:
    """A range as it is typed.

    >>> range_text(-20.0, 5e33)
    '-20:5e33'
    """
    return ":".join(map(_short, (low, high)))


def _short(number: float) -> str:
    exact = number if isinstance(number, int) and number != float(number) else float(number)
    return repr(exact).removesuffix(".0").replace("e+", "e")


def read_params(path: str) -> Params:
    """The parameters in the file at `path`.

    Raises:
        InputError: they can't be read; the message names the file, and the key that is wrong.
    """
    try:
        try:
            with download(path) if is_url(path) else open(os.fsencode(path), "rb") as file:
                data = file.read(_LARGEST + 1)
        except OSError as error:
            raise InputError(reason_of(error)) from error
        return _parse(data)
    except InputError as error:
        raise InputError(f"{show(path)}: {error}") from error


def _parse(data: bytes) -> Params:
    if len(data) > _LARGEST:
        raise InputError(f"is longer than {_LARGEST} bytes; expected parameters as --save writes them")
    try:
        record = json.loads(data.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        what = "the file is empty" if not data.strip() else f"is no JSON ({_line(error)})"
        raise InputError(f"{what}; expected parameters as --save writes them") from error
    if not isinstance(record, dict):
        raise InputError(f"holds {_shown(record)}; expected parameters as --save writes them")
    version = record.get("version", _VERSION)
    if version != _VERSION:
        raise InputError(f"'version' is {_shown(version)}; this convtool reads version {_VERSION}")
    method = _one_of(record, "method", get_args(Method))
    low, high = (0.0, 0.0) if method in SPREADS else _range(_get(record, "range"))
    channels = _channels(_get(record, "channels"), method) if method in FITTED else ()
    dtype = _one_of(record, "dtype", ("float32", "float64")) if record.get("dtype") is not None else None
    return Params(method, low, high, channels, dtype, _count(record.get("sources", 0)))


def _refuse_constant(word: str) -> None:
    raise ValueError(f"{word} is no number of JSON")


def _line(error: Exception) -> str:
    return "nested too deep" if isinstance(error, RecursionError) else show(str(error).partition("\n")[0])


def _get(record: dict[str, Any], key: str, within: str = "") -> Any:
    if key not in record:
        raise InputError(f"{within}'{key}' is missing; expected parameters as --save writes them")
    return record[key]


def _one_of(record: dict[str, Any], key: str, known: tuple[str, ...]) -> Any:
    value = _get(record, key)
    if value not in known:
        raise InputError(f"'{key}' is {_shown(value)}; expected {', '.join(known)}")
    return value


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InputError(f"'sources' is {_shown(value)}; expected how many inputs were fitted")
    return value


def _range(value: Any) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2:
        raise InputError(f"'range' is {_shown(value)}; expected two numbers, LOW and HIGH")
    low, high = (_number(number, "'range'") for number in value)
    try:
        check_range(low, high)
    except ValueError as error:
        raise InputError(f"'range': {error}") from error
    return low, high


def _channels(value: Any, method: Method) -> tuple[Channel | Spread, ...]:
    if not isinstance(value, list) or not value:
        raise InputError(f"'channels' is {_shown(value)}; expected a list of what was found in the data")
    return tuple(_channel(each, method, f"channel {number}: ") for number, each in enumerate(value, 1))


def _channel(value: Any, method: Method, within: str) -> Channel | Spread:
    keys = SPREADS.get(method, ("min", "max"))
    if not isinstance(value, dict):
        wanted = " and ".join(f"'{key}'" for key in keys)
        raise InputError(f"{within}{_shown(value)}; expected an object with {wanted}")
    name = value.get("name")
    if name is not None and not isinstance(name, str):
        raise InputError(f"{within}'name' is {_shown(name)}; expected text or null")
    numbers = [_number(_get(value, key, within), f"{within}'{key}'") for key in keys]
    if method == "minmax":
        least, most = numbers
        if least > most:
            raise InputError(f"{within}'min' is {least!r}, above 'max', which is {most!r}")
        return Channel(least, most, name)
    if numbers[-1] < 0:
        raise InputError(f"{within}'{keys[-1]}' is {numbers[-1]!r}; expected a number of at least 0")
    rest = _number(value.get("rest", 0.0), f"{within}'rest'")
    return Spread(0.0 if method == "maxabs" else numbers[0], numbers[-1], rest, name)


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{what} is {_shown(value)}; expected a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise InputError(f"{what} is past what float64 holds; expected a finite number")
    return value if isinstance(value, int) and -(1 << 63) <= value < 1 << 63 and value != number else number


def _shown(value: Any) -> str:
    """A value as JSON, shortened."""
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
