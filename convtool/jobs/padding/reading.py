"""What is in a file or folder of batches: the rows, their names and formats. Nothing that it says is trusted."""

from __future__ import annotations

import io
import math
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from convtool.arrays import TensorInfo, WeightFile, open_weights
from convtool.arrays.torch.archive import TorchZipReader
from convtool.arrays.torch.pickle_values import Blob, Pairs
from convtool.arrays.torch.pickles import load
from convtool.arrays.zip.archive import Archive
from convtool.errors import InputError
from convtool.files.atomic import is_special
from convtool.files.formats import extension
from convtool.files.names import show
from convtool.files.remote import existing, read_bytes
from convtool.files.urls import is_url
from convtool.jobs.padding.manifest import ROWS_LIMIT, Manifest, parsed, shards_of
from convtool.jobs.padding.store import MANIFEST
from convtool.jobs.padding.tar_shard import open_shard
from convtool.signals.inputs import Input
from convtool.signals.signal import Signal

_MANIFEST_LIMIT = 1 << 28
_SAMPLES = {
    "float64": "float64",
    "int64": "int64",
    **dict.fromkeys(("float32", "float16", "bfloat16"), "float32"),
    **dict.fromkeys(("int8", "int16", "int32", "uint8", "uint16", "uint32"), "int64"),
}
"""The dtypes that a batch may have, and those in which their signals are worked."""


@dataclass(frozen=True)
class StoredRow:
    """One row of a batch, and the signal that it was."""

    item: Input
    length: int
    signal: Signal
    unit: int
    """The number of the signal that it is, or is a part of."""
    start: int = 0
    """Where its samples stand in that signal."""
    whole: int | None = None
    """Samples of a signal that several rows hold together; None where this row is all of it."""


@dataclass(frozen=True)
class StoredBatch:
    """One batch in a file: the rows in order, and how their samples lie there."""

    path: str
    array: str
    """The name of the batch's array in that file."""
    dtype: str
    rows: Sequence[StoredRow]
    channels: int
    samples: int
    """Of each row, padding included."""
    layout: str
    side: str


def read_batches(path: str) -> list[StoredBatch]:
    """The batches in the file or folder at `path`; no sample is read.

    A file that something else wrote needs the arrays `batch` and `lengths`; its rows are numbered. Its `mask`, if it
    has one, tells whether padding stands on the left, and which axis is time.

    Raises:
        InputError: it is no batch, or damaged.
    """
    if _is_folder(path):
        return _read_folder(path)
    with open_weights(path) as file:
        batch = file.find("batch")
        text = _manifest_text(path, file)
        manifest = _without_manifest(file, batch) if text is None else parsed(text)
        return [_stored(path, batch, manifest, manifest["rows"], _places(manifest["rows"]))]


def shortage(path: str) -> str:
    """What is wrong with the batches at `path`, as far as headers tell; nothing of complete ones."""
    try:
        batches = read_batches(path)
    except InputError as error:
        return str(error)
    shards = [os.path.splitext(each.path) for each in batches] if _is_folder(path) else []
    lengths = [f"{stem}.lengths.npy" for stem, kind in shards if kind == ".npy"]
    there = existing(lengths) if is_url(path) else set(filter(os.path.isfile, lengths))
    return next((f"there is no {os.path.basename(each)}" for each in lengths if each not in there), "")


def _is_folder(path: str) -> bool:
    """Whether the batches are shards in a folder; of a store, one that its name tells."""
    return os.path.isdir(path) or (is_url(path) and not extension(path))


def _read_folder(path: str) -> list[StoredBatch]:
    try:
        if is_special(os.path.join(path, MANIFEST)):
            raise InputError(f"its {MANIFEST} is a pipe or device; expected a file that pad-batch wrote")
        if is_url(path):
            text = read_bytes(os.path.join(path, MANIFEST)).decode("utf-8")
        else:
            with open(os.path.join(path, MANIFEST), encoding="utf-8") as file:
                text = file.read(_MANIFEST_LIMIT)
        manifest = parsed(text)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"there is no {MANIFEST} that can be read in it; a folder of shards has one once pad-batch is through"
        ) from error
    files, places = shards_of(manifest)
    placed: list[list[tuple[int, Manifest, _Place]]] = [[] for _ in files]
    for (shard, place), row, target in zip(places, manifest["rows"], _places(manifest["rows"]), strict=True):
        placed[shard].append((place, row, target))
    batches = []
    for file_name, rows in zip(files, placed, strict=True):
        rows.sort(key=lambda each: each[0])
        batches.append(_read_shard(path, file_name, manifest, [row[1] for row in rows], [row[2] for row in rows]))
    return batches


def _read_shard(
    folder: str, name: str, manifest: Manifest, rows: Sequence[Manifest], places: Sequence[_Place]
) -> StoredBatch:
    path = os.path.join(folder, name)
    try:
        with open_shard(path) as file:
            if file.format not in ("npy", "tar"):
                raise InputError(f"it is {file.format}, and shards are npy or tar")
            return _stored(path, file.tensors[0], manifest, rows, places)
    except InputError as error:
        raise InputError(f"shard {show(name)}: {error}") from error


def _manifest_text(path: str, file: WeightFile) -> str | None:
    """What `pad-batch` wrote into the file of its rows, or None where something else wrote the file."""
    if isinstance(file, TorchZipReader):
        return _pickled_manifest(path)
    if file.format != "npz":
        return file.metadata.get("manifest")
    with Archive(path) as archive:
        member = archive.find("manifest.npy")
        if member is None:
            return None
        data = archive.read(member, limit=_MANIFEST_LIMIT)
    try:
        return str(np.lib.format.read_array(io.BytesIO(data), allow_pickle=False))
    except ValueError as error:
        raise InputError("its manifest is damaged") from error


def _pickled_manifest(path: str) -> str | None:
    """The text under `manifest` in the pickled dict of a torch archive; nothing of the pickle is run."""
    with Archive(path) as archive:
        member = next(member for member in archive.members if member.name.endswith("data.pkl"))
        data = archive.read(member, limit=_MANIFEST_LIMIT)
    value = load(io.BytesIO(data), end=len(data)).value
    found = [item for key, item in value if key == "manifest"] if isinstance(value, Pairs) else []
    for item in found:
        if isinstance(item, Blob):
            return data[item.start : item.start + item.size].decode("utf-8", "replace")
    return next((item for item in found if isinstance(item, str)), None)


def _without_manifest(file: WeightFile, batch: TensorInfo) -> Manifest:
    """A manifest for a batch of bare arrays."""
    info = file.find("lengths")
    if not info.dtype.startswith(("int", "uint")) or math.prod(info.shape) > ROWS_LIMIT:
        raise InputError(f"its lengths are {info.dtype} of shape {info.shape}; expected a whole number for each row")
    lengths = file.values(info).reshape(-1).tolist()
    masks = [tensor for tensor in file.tensors if tensor.name == "mask" and len(tensor.shape) == 2]
    left = any(_is_left(file.values(mask)) for mask in masks)
    time_first = any(len(batch.shape) == 3 and mask.shape[1] == batch.shape[1] != batch.shape[2] for mask in masks)
    rows = [
        {"file": f"{number:05d}.npy", "relative": f"{number:05d}.npy", "format": "NPY", "length": length}
        for number, length in enumerate(lengths)
    ]
    return {
        "layout": "NTC" if time_first else "NCT",
        "side": "left" if left else "right",
        "channels": batch.shape[2 if time_first else 1] if len(batch.shape) == 3 else 1,
        "flat": len(batch.shape) == 2,
        "rows": rows,
    }


def _is_left(mask: NDArray[Any]) -> bool:
    """Whether any row has padding before its samples."""
    return bool(mask.size and (mask[:, -1].astype(bool) & ~mask[:, 0].astype(bool)).any())


def _stored(
    path: str, info: TensorInfo, manifest: Manifest, rows: Sequence[Manifest], places: Sequence[_Place]
) -> StoredBatch:
    channels, flat, layout = manifest["channels"], manifest["flat"], manifest["layout"]
    samples = info.shape[-2 if layout == "NTC" and not flat else -1] if len(info.shape) > 1 else 0
    axes = (samples,) if flat else (channels, samples) if layout == "NCT" else (samples, channels)
    if info.shape != (len(rows), *axes):
        raise InputError(f"its batch has shape {info.shape}, which is not that of the {len(rows)} rows it tells of")
    if info.dtype not in _SAMPLES or not info.readable:
        raise InputError(f"its batch is {info.flag or info.dtype}; expected real numbers")
    longer = next((row for row in rows if not 0 <= row["length"] <= samples), None)
    if longer is not None:
        raise InputError(f"row {show(longer['file'])} has length {longer['length']} in a batch of {samples} samples")
    dtype = _SAMPLES[info.dtype]
    return StoredBatch(
        path,
        info.name,
        dtype,
        [
            StoredRow(
                Input("file", f"{path}::{row['file']}", place.name),
                row["length"],
                _signal(row, channels, dtype, flat),
                place.unit,
                row["start"] if place.joined else 0,
                row["covered"] if place.joined else None,
            )
            for row, place in zip(rows, places, strict=True)
        ],
        channels,
        samples,
        layout,
        manifest["side"],
    )


def _signal(row: Manifest, channels: int, dtype: str, flat: bool) -> Signal:
    """What the row was; a batch in float64 may hold rows that were float32."""
    narrow = dtype == "float64" and row.get("dtype") == "float32"
    columns = row.get("columns")
    return _shared(
        Signal(
            row["format"],
            channels,
            "float32" if narrow else dtype,
            sample_rate=row.get("sample_rate"),
            subtype=row.get("subtype"),
            flat=channels == 1 and row.get("flat", flat) is True,
            names=tuple(columns) if columns else None,
        )
    )


@lru_cache(maxsize=1024)
def _shared(signal: Signal) -> Signal:
    return signal


class _Place(NamedTuple):
    """What becomes of a row: the number of the signal that it belongs to, the name of that, whether it is a part."""

    unit: int
    name: str
    joined: bool


def _places(rows: Sequence[Manifest]) -> list[_Place]:
    """What becomes of each row. Segments are one signal again, unless samples are missing between them."""
    parts: dict[tuple[str, str, int], list[int]] = {}
    for number, row in enumerate(rows):
        if row.get("covered") is not None:
            parts.setdefault((row["file"], row["relative"], row["covered"]), []).append(number)
    first = {number: min(found) for found in parts.values() if _is_whole([rows[n] for n in found]) for number in found}
    alone = [number for number in range(len(rows)) if first.get(number, number) == number]
    names = _names([rows[number] for number in alone])
    units = {number: (unit, names[unit]) for unit, number in enumerate(alone)}
    return [_Place(*units[first.get(number, number)], number in first) for number in range(len(rows))]


def _is_whole(parts: Sequence[Manifest]) -> bool:
    """Whether segments of one recording leave no gap."""
    reached = 0
    for row in sorted(parts, key=lambda row: row["start"]):
        if row["start"] > reached:
            return False
        reached = max(reached, row["start"] + row["length"])
    return bool(reached == parts[0]["covered"])


def _names(rows: Sequence[Manifest]) -> list[str]:
    """Where each row goes below the output folder: as in the folder that it came from, else by its whole path.

    Rows that would still have one name are told apart by their numbers.
    """
    names = [_inside(row["relative"]) for row in rows]
    counts = Counter(names)
    if len(counts) < len(names):
        paths = [_inside(row["file"]) for row in rows]
        is_path = [os.path.basename(path) == os.path.basename(name) for path, name in zip(paths, names, strict=True)]
        names = [path if good else name for path, name, good in zip(paths, names, is_path, strict=True)]
        counts = Counter(names)
    return [
        name if counts[name] == 1 else os.path.join(os.path.dirname(name), f"{number:05d}-{os.path.basename(name)}")
        for number, name in enumerate(names)
    ]


def _inside(path: str) -> str:
    """`path` without what would lead out of a folder.

    >>> _inside("/takes/../../a.wav")
    'takes/a.wav'
    """
    return "/".join(part for part in path.split("/") if part not in ("", ".", "..")) or "unnamed"
