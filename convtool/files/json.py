"""JSON files: read whole within a bound on memory, refused where they are ambiguous; and the numbers in them."""

from __future__ import annotations

import json
import os
from array import array
from collections import Counter
from itertools import chain
from typing import Any

from convtool.errors import InputError
from convtool.files.remote import download
from convtool.files.urls import is_url

JSON_LIMIT = 32 << 20
"""Bytes of text that a JSON file may have."""

_MEMORY_LIMIT = 240 << 20
_COSTS = {b"[": 88, b"{": 240, b",": 48, b":": 144, b'"': 40}
"""Bytes that Python's objects take for each of these characters at the most, as measured: ``[[[[]]]],`` takes forty
times its length."""

_DIMENSIONS = 8


def read_json(path: str, *, limit: int = JSON_LIMIT) -> dict[str, Any]:
    """The object in the JSON file at `path`.

    ``NaN``, ``Infinity`` and ``-Infinity`` are numbers here, as Python's own writer has them.

    Raises:
        InputError: it is longer than `limit`, would take too much memory, is no JSON in UTF-8, is nested too deeply,
            names a key twice, or holds something else than an object.
        OSError: it can't be read.
    """
    with download(path) if is_url(path) else open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise InputError(f"the JSON text has {size} bytes; the limit is {limit}")
        text = _decoded(file.read(limit))
    try:
        value = json.loads(text, object_pairs_hook=distinct)
    except json.JSONDecodeError as error:
        raise InputError(
            f"the JSON is damaged or cut off at line {error.lineno}, column {error.colno}: {error.msg}"
        ) from error
    except RecursionError as error:
        raise InputError("the JSON is nested too deeply to be a model") from error
    except ValueError as error:  # Python's bound on the digits of a whole number
        raise InputError("a whole number in the JSON has thousands of digits") from error
    if not isinstance(value, dict):
        raise InputError(f"the JSON holds {json_kind(value)}; expected an object with named entries")
    return value


def _decoded(data: bytes) -> str:
    """`data` as text; refused where what it says would not fit into memory."""
    wide = 2 if data.isascii() else 9  # Python widens a whole text to its widest character
    memory = wide * len(data) + sum(cost * data.count(sign) for sign, cost in _COSTS.items())
    if memory > _MEMORY_LIMIT:
        raise InputError(f"the JSON would take about {memory >> 20} MB of memory; the limit is {_MEMORY_LIMIT >> 20}")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"the JSON is not in UTF-8: byte {error.start} is {data[error.start]:#04x}") from error


def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of these keys and values, for `json.loads`.

    Raises:
        InputError: a key is there twice.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise InputError(f"the JSON names the key {twice!r:.200} twice in one object")
    return found


def json_kind(value: Any) -> str:
    """What a value that was read from JSON is, for a message.

    >>> json_kind(None), json_kind(True), json_kind([]), json_kind("0.5")
    ('null', 'true', 'a list', "the text '0.5'")
    """
    if isinstance(value, str):
        return f"the text {value[:40]!r}" + "..." * (len(value) > 40)
    if isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "an object"
    return json.dumps(value)


def json_numbers(value: Any, name: str) -> tuple[tuple[int, ...], array[float]]:
    """A number, or nested lists of numbers, as a shape and the flat float64 values in C order.

    Args:
        value: what was read from JSON.
        name: where it stands in the file, for the message.

    Raises:
        InputError: the lists are ragged or nested deeper than 8, or hold something else than numbers.

    >>> json_numbers([[1, 2.5], [3, 4]], "kernel")
    ((2, 2), array('d', [1.0, 2.5, 3.0, 4.0]))
    """
    shape: tuple[int, ...] = ()
    items, first = [value], value
    while isinstance(first, list):
        shape += (len(first),)
        if len(shape) > _DIMENSIONS:
            raise InputError(f"{name!r} has lists nested deeper than {_DIMENSIONS}")
        odd = next((index for index, item in enumerate(items) if not _is_list(item, shape[-1])), None)
        if odd is not None:
            beside = items[odd]
            what = f"a list of {len(beside)}" if isinstance(beside, list) else json_kind(beside)
            raise InputError(f"{name!r} is ragged: {what} stands beside a list of {shape[-1]}")
        items = list(chain.from_iterable(items))
        first = items[0] if items else None
    if not set(map(type, items)) <= {int, float}:
        at, odd = next((at, item) for at, item in enumerate(items, 1) if type(item) not in (int, float))
        raise InputError(f"{name!r} holds {json_kind(odd)} where number {at} of {len(items)} was expected")
    try:
        return shape, array("d", items)
    except OverflowError as error:
        raise InputError(f"{name!r} holds a whole number past what float64 holds") from error


def _is_list(value: Any, length: int) -> bool:
    return isinstance(value, list) and len(value) == length
