"""Numbers that the files of amplifier models tell besides their weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from convtool.arrays.nam.reading import CONTAINER, NETS
from convtool.errors import InputError
from convtool.files.json import json_kind

NAM_NETS = (*(name for name in NETS if name != "LSTM"), CONTAINER)
"""The architectures of NAM's files that are no recurrent networks."""

_NAM_RATE = 48000
_HIGHEST_RATE = (1 << 31) - 1


def nam_rate(document: Mapping[str, Any]) -> int:
    """The sample rate of a model of NAM, in Hz; 48 000 where the file does not tell."""
    return _NAM_RATE if document.get("sample_rate") is None else told_rate(document, "sample_rate")


def told_rate(told: Mapping[str, Any], key: str) -> int:
    """The sample rate under `key`, in Hz."""
    rate = told_number(told, key)
    if not rate.is_integer() or not 1 <= rate <= _HIGHEST_RATE:
        raise InputError(f"{key!r} is {json_kind(told[key])}; expected a sample rate in whole Hz")
    return int(rate)


def told_number(document: Mapping[str, Any], key: str) -> float:
    """A number, which some writers give as text or true; 0 where there is none."""
    value = document.get(key) or 0
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = float("nan")
    if not abs(number) < float("inf"):
        raise InputError(f"{key!r} is {json_kind(value)}; expected a number")
    return number
