"""What a batch tells of its rows, in JSON: names and formats as they were, and how the samples lie in the batch."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from typing import Any

from convtool.errors import InputError
from convtool.files.names import show, without_secrets
from convtool.jobs.padding.rows import Row
from convtool.jobs.padding.writing import Padding
from convtool.signals.inputs import Input

Manifest = Mapping[str, Any]

VERSION = 1
ROWS_LIMIT = 1 << 20
"""Rows that a batch which was written elsewhere may have."""

_SURROGATE = re.compile("[\ud800-\udfff]")


def row_name(item: Input) -> str:
    """An input's name in a batch: its path or numbers as they were given, bytes that are no UTF-8 escaped."""
    return os.fsencode(without_secrets(item.value)).decode("utf-8", "backslashreplace")


def row_entry(row: Row) -> dict[str, Any]:
    """What bringing a row back into a file of its kind takes. Undecodable bytes of names are lone surrogates."""
    signal = row.signal
    relative = row.input.relative
    if row.input.kind != "file":
        relative = f"{relative}.{'opus' if signal.subtype == 'OPUS' else signal.format.lower()}"
    return {
        "file": without_secrets(row.input.value),
        "relative": relative,
        "length": row.length,
        "sample_rate": row.sample_rate,
        "format": signal.format,
        "subtype": signal.subtype,
        "dtype": row.dtype,
        "flat": signal.flat,
        "columns": signal.names if row.channels == signal.channels else None,
        **({} if row.covered is None else {"start": row.start, "covered": row.covered}),
        **({"labels": {name: _plain(value) for name, value in row.labels.items()}} if row.labels else {}),
    }


def _plain(value: Any) -> Any:
    """`value` as JSON has it, which has no NaN and no infinity."""
    return value if not isinstance(value, float) or math.isfinite(value) else None


def common(row: Row, padding: Padding, *, dtype: str, flat: bool) -> dict[str, Any]:
    """What is the same for all rows, of which `row` is one."""
    return {
        "version": VERSION,
        "layout": padding.layout,
        "side": padding.side,
        "padding_mode": padding.mode,
        "value": padding.value,
        "dtype": dtype,
        "flat": flat,
        "channels": row.channels,
        "sample_rate": row.sample_rate,
    }


def json_text(manifest: dict[str, Any]) -> str:
    """`manifest` as JSON that any encoding of Unicode takes: with lone surrogates escaped, a row on every line."""
    rows = ",\n".join(json.dumps(row, ensure_ascii=False) for row in manifest["rows"])
    rest = {key: value for key, value in manifest.items() if key != "rows"}
    text = f'{json.dumps(rest, ensure_ascii=False)[:-1]}, "rows": [\n{rows}\n]}}'
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def parsed(text: str) -> Manifest:
    """The manifest that `text` is, each field of which can be trusted to be of its kind.

    Raises:
        InputError: it is none, or damaged.
    """
    try:
        manifest: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError("its manifest is damaged: it is no JSON") from error
    if not isinstance(manifest, dict):
        raise InputError("its manifest is damaged: it is no JSON object")
    version = manifest.get("version")
    if version != VERSION:
        raise InputError(f"its manifest has version {version!r:.20}, of which this program knows nothing: use a newer")
    for name, known in (("layout", ("NCT", "NTC")), ("side", ("left", "right")), ("flat", (True, False))):
        _check(manifest.get(name) in known, name, manifest.get(name))
    rows: Any = manifest.get("rows")
    channels: Any = manifest.get("channels")
    _check(isinstance(rows, list) and len(rows) <= ROWS_LIMIT, "rows", rows)
    _check(_is_count(channels) and channels > 0 and (channels == 1 or not manifest["flat"]), "channels", channels)
    for row in rows:
        _check_row(row, channels)
    return manifest


def _check_row(row: Any, channels: int) -> None:
    _check(isinstance(row, dict), "rows", row)
    for name in ("file", "relative", "format"):
        _check(isinstance(row.get(name), str) and _is_name(row[name]), name, row.get(name))
    _check(isinstance(row.get("subtype"), str | None), "subtype", row.get("subtype"))
    _check(_is_count(row.get("length")), "length", row.get("length"))
    rate = row.get("sample_rate")
    _check(rate is None or (_is_count(rate) and 0 < rate < 1 << 31), "sample_rate", rate)
    covered, start = row.get("covered"), row.get("start")
    whole = _is_count(covered) and _is_count(start) and start + row["length"] <= covered
    _check(covered is None or whole, "start and covered", (start, covered))
    columns = row.get("columns")
    fits = isinstance(columns, list) and len(columns) == channels and all(isinstance(name, str) for name in columns)
    _check(columns is None or fits, "columns", columns)


def shards_of(manifest: Manifest) -> tuple[list[str], list[tuple[int, int]]]:
    """The files of the shards, which lie in the folder itself; and of every row, its shard and its place there.

    Raises:
        InputError: the manifest is damaged.
    """
    shards: Any = manifest.get("shards")
    _check(isinstance(shards, list), "shards", shards)
    files: list[Any] = [shard.get("file") if isinstance(shard, dict) else None for shard in shards]
    for name in files:
        good = isinstance(name, str) and name == os.path.basename(name) != "" and _is_name(name)
        _check(good, "file of a shard", name)
    places = [(row.get("shard"), row.get("row")) for row in manifest["rows"]]
    for shard, place in places:
        _check(_is_count(shard) and shard < len(files) and _is_count(place), "shard and row", (shard, place))
    return files, places


def _check(good: bool, name: str, found: object) -> None:
    if not good:
        raise InputError(f"its manifest is damaged: {show(repr(found)[:60])} is under {name}")


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 62


def _is_name(text: str) -> bool:
    """Whether the system could take `text` as a path."""
    try:
        return b"\0" not in text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
