"""torch's distributed checkpoints: a folder of ``.distcp`` files, and ``.metadata``, which says where each part lies.

``.metadata`` is a pickled ``torch.distributed.checkpoint.metadata.Metadata``, which is looked at and never made. Each
part of a tensor, and each object that is none, is an archive of `torch.save` of its own; they lie one behind the other.
Source: ``metadata.py``, ``filesystem.py`` and ``default_planner.py`` of torch.distributed.checkpoint 2.0 to 2.13.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from convtool.arrays.description import PIECE_BYTES, VALUES_LIMIT, TensorInfo, WeightFile, by_reason, some
from convtool.arrays.raw import RawFile, checked_count
from convtool.arrays.torch import DISTRIBUTED
from convtool.arrays.torch.archive import TorchZipReader
from convtool.arrays.torch.dtypes import ITEM_BYTES, is_read
from convtool.arrays.torch.names import numbered, unwrap
from convtool.arrays.torch.notes import called, of_names, of_numbers
from convtool.arrays.torch.pickle_values import Call, Global, Pairs
from convtool.arrays.torch.pickles import load
from convtool.arrays.torch.tree import TENSORS_LIMIT
from convtool.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_OWN = (
    *(f"torch.distributed.checkpoint.metadata.{name}" for name in ("Metadata", "MetadataIndex", "StorageMeta")),
    *(f"torch.distributed.checkpoint.metadata.{kind}StorageMetadata" for kind in ("Tensor", "Chunk", "Bytes")),
    *(f"torch.distributed.checkpoint.metadata.{name}" for name in ("TensorProperties", "_MEM_FORMAT_ENCODING")),
    "torch.distributed.checkpoint.filesystem._StorageInfo",
    *("pathlib.PosixPath", "pathlib.WindowsPath", "pathlib.PurePosixPath", "pathlib.PureWindowsPath"),
)
"""What the description itself is made from: plain records, and the path that it was written to."""

Sizes = tuple[int, ...]


@dataclass(frozen=True)
class _Place:
    """Where an archive lies: the name of its file, and which bytes of that."""

    file: str
    start: int
    size: int
    packed: bool
    """Whether the writer has put it through something, such as a compressor."""


@dataclass(frozen=True)
class _Part:
    """A block of a tensor."""

    offsets: Sizes
    sizes: Sizes
    place: _Place | None


class DistributedReader(WeightFile):
    """The distributed checkpoint in the folder `path`; a tensor that several ranks have shared out is put together.

    The listing looks at the description, and whether the files are there and long enough.

    Raises:
        InputError: the description is damaged, or none of a checkpoint.
        OSError: it can't be opened.
    """

    format = "torch"
    layout = "torch"
    threadsafe = True

    def __init__(self, path: str) -> None:
        self._folder = path
        description = os.path.join(path, DISTRIBUTED)
        with open(description, "rb") as file:
            stream = load(file, end=RawFile(description).size)
        record = _state(stream.value, "Metadata")
        entries, places = record.get("state_dict_metadata"), _places(record.get("storage_data"))
        if not isinstance(entries, Pairs) or len(entries) > TENSORS_LIMIT:
            raise InputError(f"its {DISTRIBUTED} describes no checkpoint of up to {TENSORS_LIMIT} tensors")
        paths = _paths(record.get("planner_data"))
        self._sizes: dict[str, int | str] = {}
        self._parts: dict[str, list[_Part]] = {}
        self._objects = [place for (name, offset), place in places.items() if offset is None]
        found: list[tuple[str, TensorInfo]] = []
        others: list[str] = []
        for key, value in entries:
            if not isinstance(key, str) or not isinstance(value, Call):
                raise InputError(f"its {DISTRIBUTED} describes no tensors by name")
            if _class(value) == "TensorStorageMetadata":
                found.append((key, self._tensor(key, value, places)))
            else:
                others.append(key)
        keys = [paths.get(key, (key,)) for key, _ in found]
        names, left_out = unwrap(keys)
        self._parts = {name: self._parts[key] for name, (key, _) in zip(names, found, strict=True)}
        self.tensors = tuple(_named(name, info) for name, (_, info) in zip(names, found, strict=True))
        self.damage = by_reason(info for info in self.tensors if self._broken(info))
        self.metadata = {"container": "distributed checkpoint", "files": str(len(self._sizes))}
        self.metadata |= {"prefix": left_out} if left_out else {}
        self._names = {name: was_called for name, was_called in stream.names.items() if name not in _OWN}
        objects = [f"entries that are no tensors, not shown: {some(others)}"] if others else []
        self.notes = [*of_names(self._names), *of_numbers(numbered(keys, names, left_out)), *objects]

    def _tensor(self, key: str, value: Call, places: dict[tuple[str, Sizes | None], _Place]) -> TensorInfo:
        record = _state(value, "TensorStorageMetadata")
        shape = _sizes(record.get("size"))
        properties = record.get("properties")
        dtype = _dtype(properties)
        chunks = record.get("chunks")
        parts = [_part(key, chunk, places) for chunk in chunks] if isinstance(chunks, list) else []
        self._parts[key] = parts
        flag = "" if is_read(dtype) else f"has the dtype {dtype!r:.80}, whose values are not read"
        count = 0
        try:
            count = checked_count(shape)
        except InputError as error:
            flag = str(error)
        flag = flag or self._trouble(shape, count, parts)
        return TensorInfo(key, shape, dtype, count * ITEM_BYTES.get(dtype, 0), flag=flag, readable=not flag)

    def _trouble(self, shape: Sizes, count: int, parts: Sequence[_Part]) -> str:
        """Why the parts of a tensor can't be read, or nothing."""
        if sum(math.prod(part.sizes) for part in parts) != count or not all(_within(part, shape) for part in parts):
            return "is not covered by its parts"
        for part in parts:
            if part.place is None:
                return "has a part of which it is not said where it lies"
            if part.place.packed:
                return "is packed by an extension of the writer's, which is not undone"
            if trouble := self._missing(part.place):
                return f"lies in {part.place.file!r:.200}: {trouble}"
        return ""

    def _missing(self, place: _Place) -> str:
        """Why there can't be an archive at that place, or nothing; each file is looked at once."""
        size = self._sizes.get(place.file)
        if size is None:
            size = self._sizes[place.file] = _size(self._folder, place.file)
        if isinstance(size, str):
            return size
        return "" if place.start + place.size <= size else f"the file ends at byte {size}"

    def _broken(self, info: TensorInfo) -> bool:
        """Whether a file of a tensor's is missing, cut off or elsewhere."""
        places = (part.place for part in self._parts[info.name])
        return not info.readable and any(place and self._missing(place) for place in places)

    def calls(self) -> list[str]:
        """Of the description, and of the objects that are no tensors, which torch unpickles without a check."""
        names = dict(self._names)
        for place in self._objects:
            if place.packed:
                raise InputError(
                    f"what lies at byte {place.start} of {place.file!r:.200} is packed: its calls can't be told"
                )
            with self._opened(place) as file:
                names.update(dict.fromkeys(file.calls(), True))
        return called(names)

    def _opened(self, place: _Place) -> TorchZipReader:
        if trouble := self._missing(place):
            raise InputError(f"{place.file!r:.200}: {trouble}")
        try:
            return TorchZipReader(os.path.join(self._folder, place.file), (place.start, place.size))
        except OSError as error:
            raise InputError(f"{place.file!r:.200} can't be read: {error.strerror}") from error

    def pieces(self, tensor: TensorInfo) -> Iterator[NDArray[Any]]:
        if not tensor.readable:
            raise InputError(f"tensor {tensor.name!r} {tensor.flag}")
        parts = sorted(self._parts[tensor.name], key=lambda part: part.offsets)
        if _stacked(parts, tensor.shape):
            for part in parts:
                yield from self._values(tensor, part)
        else:
            values = self._joined(tensor, parts).reshape(-1)
            step = PIECE_BYTES // values.itemsize
            for start in range(0, len(values), step):
                yield values[start : start + step]

    def _values(self, tensor: TensorInfo, part: _Part) -> Iterator[NDArray[Any]]:
        """The values of one part, in pieces."""
        assert part.place is not None  # else the tensor has a flag
        try:
            with self._opened(part.place) as file:
                if [(info.shape, info.dtype) for info in file.tensors] != [(part.sizes, tensor.dtype)]:
                    raise InputError(f"what lies at byte {part.place.start} is another tensor")
                yield from file.pieces(file.tensors[0])
        except InputError as error:
            raise InputError(f"tensor {tensor.name!r}, {part.place.file!r:.200}: {error}") from error

    def _joined(self, tensor: TensorInfo, parts: Sequence[_Part]) -> NDArray[Any]:
        """The values of a tensor whose parts do not lie one behind the other in it."""
        import numpy as np

        if tensor.nbytes > VALUES_LIMIT:
            raise InputError(
                f"tensor {tensor.name!r} is put together from {tensor.nbytes} bytes; the limit is {VALUES_LIMIT}"
            )
        left = np.ones(tensor.shape, np.bool_)
        whole: NDArray[Any] | None = None
        for part in parts:
            values = np.concatenate([piece.copy() for piece in self._values(tensor, part)])
            if whole is None:
                whole = np.empty(tensor.shape, values.dtype)
            where = tuple(slice(at, at + size) for at, size in zip(part.offsets, part.sizes, strict=True))
            whole[where] = values.reshape(part.sizes)
            left[where] = False
        if whole is None or left.any():
            raise InputError(f"tensor {tensor.name!r} is not covered by its parts")
        return whole


def _class(value: Any) -> str:
    """The class of a record, without its module; nothing where it is none."""
    known = isinstance(value, Call) and isinstance(value.function, Global)
    return value.function.name.rpartition(".")[2] if known else ""


def _state(value: Any, kind: str) -> dict[str, Any]:
    """The fields of a record of the class `kind`.

    Raises:
        InputError: it is none.
    """
    fields = value.parts[0] if _class(value) == kind and len(value.parts) == 1 else None
    if not isinstance(fields, Pairs):
        raise InputError(f"its {DISTRIBUTED} is none of a distributed checkpoint: there is no {kind} where one belongs")
    return {key: held for key, held in fields if isinstance(key, str)}


def _sizes(value: Any) -> Sizes:
    if not isinstance(value, list | tuple) or not all(type(size) is int and size >= 0 for size in value):
        raise InputError(f"its {DISTRIBUTED} is damaged: sizes that are no whole numbers from 0 on")
    return tuple(value)


def _dtype(properties: Any) -> str:
    """From the state of TensorProperties: dtype, layout, and what no value depends on."""
    state = properties.parts[0] if isinstance(properties, Call) and properties.parts else None
    match state:
        case (Global(name=name), *_):
            return name.removeprefix("torch.")
    raise InputError(f"its {DISTRIBUTED} is damaged: a tensor without a dtype")


def _part(key: str, chunk: Any, places: dict[tuple[str, Sizes | None], _Place]) -> _Part:
    record = _state(chunk, "ChunkStorageMetadata")
    offsets, sizes = _sizes(record.get("offsets")), _sizes(record.get("sizes"))
    return _Part(offsets, sizes, places.get((key, offsets)))


def _within(part: _Part, shape: Sizes) -> bool:
    if not len(part.offsets) == len(part.sizes) == len(shape):
        return False
    return all(at + size <= whole for at, size, whole in zip(part.offsets, part.sizes, shape, strict=True))


def _stacked(parts: Sequence[_Part], shape: Sizes) -> bool:
    """Whether the values of `parts`, one behind the other, are those of the tensor in C order."""
    end = 0
    for part in parts:
        if part.sizes[1:] != shape[1:] or part.offsets[:1] not in ((), (end,)):
            return False
        end += part.sizes[0] if shape else 1
    return end == (shape[0] if shape else 1)


def _places(storage: Any) -> dict[tuple[str, Sizes | None], _Place]:
    """Where the part of a name that begins at an offset lies; what is no tensor has no offset."""
    found: dict[tuple[str, Sizes | None], _Place] = {}
    for key, value in storage if isinstance(storage, Pairs) else ():
        index, info = _state(key, "MetadataIndex"), _state(value, "_StorageInfo")
        offset = index.get("offset")
        match index.get("fqn"), info.get("relative_path"), info.get("offset"), info.get("length"):
            case str() as name, str() as file, int() as start, int() as size if start >= 0 and size >= 0:
                place = _Place(file, start, size, bool(info.get("transform_descriptors")))
                found[name, None if offset is None else _sizes(offset)] = place
            case _:
                raise InputError(f"its {DISTRIBUTED} is damaged: a part without a file, a start and a length")
    return found


def _paths(planner: Any) -> dict[str, tuple[str, ...]]:
    """The keys that led to each entry before its name was made of them."""
    return {
        key: tuple(map(str, path))
        for key, path in (planner if isinstance(planner, Pairs) else ())
        if isinstance(key, str) and isinstance(path, tuple) and all(isinstance(part, str | int) for part in path)
    }


def _size(folder: str, name: str) -> int | str:
    """The bytes of a file in `folder`, or why it can't be read."""
    if os.path.basename(name) != name or name in ("", ".", ".."):
        return "it lies outside of the checkpoint's folder; not read"
    try:
        return RawFile(os.path.join(folder, name)).size
    except InputError as error:
        return str(error)


def _named(name: str, info: TensorInfo) -> TensorInfo:
    return replace(info, name=name, stored=info.name)
