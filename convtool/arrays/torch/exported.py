"""``torch.export``'s archives (``.pt2``): a zip of raw tensors, and JSON that says where each lies and how it is seen.

Names of types are numbers of ``torch._export.serde.schema.ScalarType``. The program in the archive is not looked at.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from convtool.arrays.description import TensorInfo, WeightFile, by_reason
from convtool.arrays.raw import checked_count, numbers_in
from convtool.arrays.torch import EXPORTED_CONFIG
from convtool.arrays.torch.dtypes import ITEM_BYTES
from convtool.arrays.torch.notes import of_overlaps
from convtool.arrays.torch.views import Storage, View
from convtool.arrays.zip.archive import Archive, Member
from convtool.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CONFIGS = {
    EXPORTED_CONFIG: "data/weights/",
    "data/constants/model_constants_config.json": "data/constants/",
}
_CONFIG_LIMIT = 32 << 20
_STRIDED_LIMIT = 256 << 20
"""Bytes of a storage that is read whole, because its tensor does not lie in it number behind number."""

_ABSENT, _CUT = "is not in the archive", "does not lie within"
"""How it is told that the numbers of a tensor are not there."""

_TYPES = dict(
    enumerate(
        (
            *("uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"),
            *("complex32", "complex64", "complex128", "bool", "bfloat16"),
        ),
        start=1,
    )
) | {28: "uint16", 29: "float8_e4m3fn", 30: "float8_e5m2", 31: "float8_e4m3fnuz", 32: "float8_e5m2fnuz"}


class ExportedReader(WeightFile):
    """The `.pt2` archive at `path`: the program's parameters, buffers and constants.

    Raises:
        InputError: it is damaged, or its configuration is none of tensors by name.
        OSError: it can't be opened.
    """

    threadsafe = True

    def __init__(self, path: str) -> None:
        self.format, self.layout, self.metadata = "torch", "torch", {"container": "torch.export"}
        self._archive = Archive(path)
        self.notes = list(self._archive.notes)
        self._views: dict[str, View] = {}
        self._first: dict[str, str] = {}
        try:
            self.tensors = tuple(self._described())
        except BaseException:
            self.close()
            raise
        gone = (_ABSENT, _CUT)
        self.damage = by_reason(each for each in self.tensors if not each.readable and each.flag.startswith(gone))
        untied = {tensor.name: self._views[tensor.name] for tensor in self.tensors if tensor.nbytes and tensor.readable}
        self.notes += of_overlaps(untied)

    def _described(self) -> Iterator[TensorInfo]:
        for member in self._archive.members:
            for config, folder in _CONFIGS.items():
                if member.name.endswith(f"/{config}") or member.name == config:
                    root = member.name.removesuffix(config)
                    for name, entry in self._entries(member).items():
                        yield self._tensor(name, entry, root + folder)

    def _entries(self, member: Member) -> Mapping[str, Any]:
        try:
            found = json.loads(self._archive.read(member, limit=_CONFIG_LIMIT))["config"]
        except (ValueError, RecursionError, TypeError, KeyError) as error:
            raise InputError(f"{member.name!r} is no configuration of tensors by name") from error
        if not isinstance(found, dict):
            raise InputError(f"{member.name!r} is no configuration of tensors by name")
        return found

    def _tensor(self, name: str, entry: Any, folder: str) -> TensorInfo:
        try:
            meta = entry["tensor_meta"]
            path, pickled, number = entry["path_name"], entry["use_pickle"], meta["dtype"]
            shape = tuple(size["as_int"] for size in meta["sizes"])
            strides = tuple(stride["as_int"] for stride in meta["strides"])
            start = meta["storage_offset"]["as_int"]
            if any(type(number) is not int for number in (start, *strides)):
                raise TypeError
        except (KeyError, TypeError) as error:
            raise InputError(f"tensor {name!r:.200} has no path, type, sizes and strides") from error
        count = checked_count(shape)
        dtype = _TYPES.get(number, f"type {number!r:.20}")
        size = ITEM_BYTES.get(dtype, 0)
        member = self._archive.find(f"{folder}{path}")
        flag = "is pickled; nothing is unpickled" if pickled else ""
        flag = flag or ("" if size else f"has a type that is not read: {dtype}")
        flag = flag or ("" if member is not None else f"{_ABSENT}: {path!r:.200}")
        owner = name
        if not flag and member is not None:
            view = View(dtype, shape, count * size, strides, start, Storage(member.name, dtype, 0, 0, member.size))
            plain = len(shape) == len(strides) and min((start, *strides), default=0) >= 0
            if not plain or (count and view.stretch[1] > member.size):
                flag = f"{_CUT} the {member.size} bytes of its storage"
            else:
                owner = self._first.setdefault(view.identity, name) if count else name
            self._views[name] = view
        tied_to, nbytes = ("", count * size) if owner == name else (owner, 0)
        return TensorInfo(name, shape, dtype, nbytes, tied_to=tied_to, flag=flag, readable=not flag)

    def pieces(self, tensor: TensorInfo) -> Iterator[NDArray[Any]]:
        import numpy as np

        if not tensor.readable:
            raise InputError(f"tensor {tensor.name!r} {tensor.flag}")
        view, size, count = self._views[tensor.name], ITEM_BYTES[tensor.dtype], math.prod(tensor.shape)
        member = self._archive.find(view.storage.key) if view.storage else None
        assert member is not None  # else it has a flag
        stream = self._archive.open(member)
        stream.skip(view.offset * size)
        if view.in_order:
            yield from numbers_in(stream, tensor.dtype, count=count, order="<")
            return
        if max(view.extent, count) * size > _STRIDED_LIMIT:
            span = view.extent * size
            raise InputError(f"tensor {tensor.name!r} is a view of {span} bytes; the limit is {_STRIDED_LIMIT}")
        parts = [part.copy() for part in numbers_in(stream, tensor.dtype, count=view.extent, order="<")]
        values = np.concatenate(parts)
        steps = tuple(step * values.itemsize for step in view.strides)
        yield np.ascontiguousarray(np.lib.stride_tricks.as_strided(values, tensor.shape, steps)).reshape(-1)

    def close(self) -> None:
        """Close the archive."""
        self._archive.close()
