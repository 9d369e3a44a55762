"""Manifests of recordings: a table with a path in each row, and what it says of that recording."""

from __future__ import annotations

import csv
import json
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from convtool.errors import InputError, UsageError
from convtool.files.names import show
from convtool.files.remote import read_bytes
from convtool.files.urls import base_name, is_url, without_file_url
from convtool.signals.inputs import Input

PATHS = ("path", "audio_filepath")
"""The names of the column of paths; the first that is there."""

_STARTS = ("offset", "start", "start_time", "begin")
"""Names of columns that say in other programs' manifests from where on a recording is meant."""

_RESERVED = ("batch", "lengths", "mask", "names", "manifest", "pooled")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?(nan|inf|infinity)", re.IGNORECASE)

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Labels:
    """What a manifest says of its recordings."""

    dtypes: Mapping[str, str] = field(default_factory=dict)
    """The columns of numbers, which become arrays, and the dtypes of these."""
    rows: Sequence[Values] = field(default=(), repr=False)
    """All columns but the paths, of each recording in order; numbers as the arrays have them."""

    def of(self, index: int) -> Values:
        """What is said of recording number `index`."""
        return self.rows[index] if self.rows else {}

    @property
    def starts(self) -> list[str]:
        """The columns by which a part of a recording seems to be meant: it is taken whole."""
        return [name for name in _STARTS if name in self.dtypes and any(row[name] > 0 for row in self.rows)]


def read_labels(path: str) -> tuple[list[Input], Labels]:
    """The recordings that the manifest at `path` names, and what it says of them.

    It is CSV with names of columns, or JSON lines. Relative paths are those beside the manifest. A column in which all
    cells are numbers is one of numbers, an empty cell among them NaN; of JSON, one in which all values are, null among
    them NaN.

    Raises:
        UsageError: it can't be read, names no paths, or has a column of numbers whose name no array can have.
    """
    try:
        if is_url(path):
            text = read_bytes(path).decode("utf-8-sig")
        else:
            with open(os.fsencode(path), encoding="utf-8-sig", newline="") as file:
                text = file.read()
        records = list(_json_lines(text) if text.lstrip().startswith("{") else _csv_rows(text))
    except OSError as error:
        raise UsageError(f"--manifest {show(path)}: can't be read: {error.strerror}") from error
    except (InputError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"--manifest {show(path)}: {error}") from error
    if not records:
        raise UsageError(f"--manifest {show(path)}: there is no recording in it")
    column = next((name for name in PATHS if name in records[0]), None)
    if column is None:
        raise UsageError(
            f"--manifest {show(path)}: there is no column {' or '.join(PATHS)}; the columns are "
            f"{', '.join(map(show, records[0]))}"
        )
    inputs = []
    for number, record in enumerate(records, 1):
        place = record.get(column)
        if not isinstance(place, str) or not place or "\0" in place:
            raise UsageError(f"--manifest {show(path)}: recording {number} has no {column}")
        place = without_file_url(place)
        if is_url(place):
            inputs.append(Input("file", place, base_name(place)))
            continue
        beside = os.path.join(os.path.dirname(path), place)
        inputs.append(Input("file", beside, os.path.normpath(place).lstrip("./")))
    try:
        return inputs, _labels(records, column)
    except InputError as error:
        raise UsageError(f"--manifest {show(path)}: {error}") from error


def _csv_rows(text: str) -> Iterator[dict[str, Any]]:
    lines = csv.reader(text.splitlines(keepends=True), strict=True)
    names = next(lines, [])
    if len(set(names)) < len(names):
        raise InputError("two columns have one name")
    for cells in lines:
        if cells and len(cells) != len(names):
            raise InputError(f"line {lines.line_num} has {len(cells)} cells, and there are {len(names)} columns")
        if cells:
            yield dict(zip(names, cells, strict=True))


def _json_lines(text: str) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"line {number} is no JSON") from error
        if not isinstance(record, dict):
            raise InputError(f"line {number} is no JSON object")
        yield record


def _labels(records: Sequence[Values], column: str) -> Labels:
    names = [name for name in dict.fromkeys(name for record in records for name in record) if name != column]
    rows: list[dict[str, Any]] = [{} for _ in records]
    dtypes = {}
    for name in names:
        values = [record.get(name) for record in records]
        dtype, numbers = _numbers(values)
        if dtype is not None:
            if not _NAME.fullmatch(name) or name in _RESERVED:
                raise InputError(
                    f"no array can be called '{show(name)}'; rename that column with letters, digits and _, "
                    f"and not {', '.join(_RESERVED)}"
                )
            dtypes[name] = dtype
        for row, value in zip(rows, values if dtype is None else numbers, strict=True):
            row[name] = value
    return Labels(dtypes, rows)


def _numbers(values: Sequence[Any]) -> tuple[str | None, list[Any]]:
    """The dtype of a column of numbers and these; None where it is one of text."""
    texts = [value for value in values if isinstance(value, str)]
    if texts:
        if len(texts) < len(values) or not any(texts):
            return None, []
        if all(map(_WHOLE.fullmatch, texts)):
            return "int64", [int(text) for text in texts]
        if all(not text or _NUMBER.fullmatch(text) for text in texts):
            return "float64", [float(text or "nan") for text in texts]
        return None, []
    kinds = {type(value) for value in values}
    if kinds == {bool}:
        return "bool", list(values)
    if kinds == {int} and all(-(1 << 63) <= value < 1 << 63 for value in values):
        return "int64", list(values)
    if kinds <= {int, float, type(None)} and kinds != {type(None)}:
        return "float64", [math.nan if value is None else float(value) for value in values]
    return None, []
