"""What torch checkpoints of every container share: the description of their tensors, and their values.

Values are read from the storages as they lie in the file, so torch is not needed, nor anything that torch would have
to call: not even ``weights_only=True`` runs here.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from convtool.arrays.description import PIECE_BYTES, VALUES_LIMIT, TensorInfo, WeightFile
from convtool.arrays.raw import Stream, as_numbers, numbers_in, piece_length, stored_type, unpacked
from convtool.arrays.torch.dtypes import ITEM_BYTES, PACKED, QUANTISED
from convtool.arrays.torch.names import numbered, unwrap
from convtool.arrays.torch.notes import called, of_numbers, of_overlaps, of_tree
from convtool.arrays.torch.tree import Found, Tree
from convtool.arrays.torch.views import Quantiser, Storage, View
from convtool.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ENTRIES_SHOWN = 32


class TorchReader(WeightFile):
    """A checkpoint, whose container knows where the storages are."""

    format = "torch"
    layout = "torch"
    threadsafe = True
    _order = "<"
    """Byte order of the numbers, as NumPy writes it."""
    _names: Mapping[str, bool]
    """What the pickle streams would import, and whether they would call it."""

    @abstractmethod
    def _storage_size(self, storage: Storage) -> int:
        """Bytes that the file has of `storage`, or less than 0 where that is not in it."""

    @abstractmethod
    def _storage_flag(self, storage: Storage) -> str:
        """Why `storage`, which is there, can't be read, or nothing."""

    @abstractmethod
    def _open(self, storage: Storage) -> Stream:
        """The bytes of `storage` from its first one on."""

    def _describe(self, tree: Tree) -> None:
        """Set what a listing shows, from what was found in the stream.

        Raises:
            InputError: a storage is missing, or shorter than declared.
        """
        paths = [found.path for found in tree.found]
        names, left_out = unwrap(paths)
        self._views = dict(zip(names, (found.view for found in tree.found), strict=True))
        self._check_storages()
        first: dict[str, str] = {}
        self.tensors = tuple(self._info(name, found, first) for name, found in zip(names, tree.found, strict=True))
        entries = sorted(tree.entries, key=lambda entry: len(entry[0]))[:_ENTRIES_SHOWN]
        self.metadata = {".".join(path): text for path, text in entries if path}
        if left_out:
            self.metadata = {"prefix": left_out, **self.metadata}
        untied = {info.name: self._views[info.name] for info in self.tensors if info.readable and not info.tied_to}
        of_names = of_numbers(numbered(paths, names, left_out))
        self.notes = [*of_tree(tree, entries_shown=_ENTRIES_SHOWN), *of_names, *of_overlaps(untied)]

    def _check_storages(self) -> None:
        for name, view in self._views.items():
            if view.storage is None:
                continue
            key, declared, there = view.storage.key, view.storage.nbytes, self._storage_size(view.storage)
            if there < declared:
                has = "is not in the file" if there < 0 else f"has {there} bytes"
                raise InputError(f"storage {key!r} {has}; tensor {name!r} needs one of {declared} bytes")

    def _info(self, name: str, found: Found, first: dict[str, str]) -> TensorInfo:
        view, held = found.view, found.view.storage
        owner = first.setdefault(view.identity, name) if held and view.nbytes else name
        flag = view.flag or self._trouble(view)
        shape, dtype = view.shape, view.dtype
        if dtype in PACKED:  # a scalar is two numbers as well
            shape, dtype = (*shape[:-1], 2 * (shape or (1,))[-1]), PACKED[dtype]
        return TensorInfo(
            name=name,
            shape=shape,
            dtype=dtype,
            nbytes=view.nbytes if owner == name else 0,
            layer=found.layer.kind,
            config=found.layer.config,
            tied_to="" if owner == name else owner,
            flag=flag or (str(view.quantiser) if view.quantiser else ""),
            readable=not flag,
            stored=".".join(found.path),
        )

    def _trouble(self, view: View) -> str:
        """Why the values of `view` can't be read, or nothing."""
        held = view.storage
        assert held is not None  # else it has a flag of its own
        for part in view.quantiser.tensors if view.quantiser else ():
            if part.storage is None or self._storage_size(part.storage) < part.storage.nbytes:
                return "quantised; its scales or zero points are not in the file"
            if trouble := self._trouble(part):
                return f"quantised; of its scales or zero points {trouble}"
        start, end = view.stretch
        if end > held.start + held.size:
            return f"it looks at bytes up to {end - held.start} of a storage of {held.size}"
        if not view.in_order and max(view.nbytes, end - start) > VALUES_LIMIT:
            return f"its values are not stored in order and take or span more than {VALUES_LIMIT} bytes, the limit"
        return self._storage_flag(held)

    def calls(self) -> list[str]:
        return called(self._names)

    def pieces(self, tensor: TensorInfo) -> Iterator[NDArray[Any]]:
        view = self._views[tensor.name]
        if not tensor.readable or view.storage is None:
            raise InputError(f"tensor {tensor.name!r} can't be read: {tensor.flag}")
        if view.dtype in PACKED:
            yield from unpacked(self._numbers(replace(view, dtype="uint8"), view.storage), PACKED[view.dtype])
        elif view.quantiser is not None:
            integers = self._numbers(replace(view, dtype=QUANTISED[view.dtype]), view.storage)
            yield from self._dequantised(integers, view.quantiser, view.shape)
        else:
            yield from self._numbers(view, view.storage)

    def _numbers(self, view: View, held: Storage) -> Iterator[NDArray[Any]]:
        stream = self._open(held)
        stream.skip(view.stretch[0])
        if view.in_order:
            pieces = numbers_in(stream, view.dtype, count=math.prod(view.shape), order=self._order)
        else:
            pieces = _out_of_order(stream, view, self._order)
        for values in pieces:
            turned = values.conj() if view.conjugate else values
            yield -turned if view.negative else turned

    def _dequantised(
        self, integers: Iterator[NDArray[Any]], quantiser: Quantiser, shape: tuple[int, ...]
    ) -> Iterator[NDArray[Any]]:
        """The numbers of `integers` in float32, as torch's ``dequantize`` has them."""
        import numpy as np

        parts = (quantiser.scale, quantiser.zero_point)
        scale, zero = (self._few(part) if isinstance(part, View) else np.array([part]) for part in parts)
        with np.errstate(over="ignore"):
            scale = scale.astype(np.float32)
        inner, at = math.prod(shape[quantiser.axis + 1 :]) or 1, 0
        for values in integers:
            channel = (at + np.arange(len(values))) // inner % len(scale)
            at += len(values)
            step = piece_length("float32")
            for first in range(0, len(values), step):
                part = slice(first, first + step)
                whole = values[part].astype(np.int64) - zero[channel[part]]
                with np.errstate(all="ignore"):
                    numbers = whole.astype(np.float32) * scale[channel[part]]
                yield numbers

    def _few(self, view: View) -> NDArray[Any]:
        """All values of a tensor in order."""
        import numpy as np

        assert view.storage is not None  # else the tensor that it belongs to has a flag
        return np.concatenate([piece.copy() for piece in self._numbers(view, view.storage)])


def _out_of_order(stream: Stream, view: View, order: str) -> Iterator[NDArray[Any]]:
    """The values in C order of a tensor that does not lie so."""
    import numpy as np

    item = ITEM_BYTES[view.dtype]
    start, end = view.stretch
    stored = np.empty(end - start, np.uint8)
    for at in range(0, len(stored), PIECE_BYTES):
        stored[at : at + PIECE_BYTES] = np.frombuffer(stream.read(min(PIECE_BYTES, len(stored) - at)), np.uint8)
    axes = [(size, stride * item) for size, stride in zip(view.shape, view.strides, strict=True) if size != 1]
    shape, strides = zip(*axes, strict=True)
    items = np.lib.stride_tricks.as_strided(stored.view(f"V{item}"), shape, strides, writeable=False).flat
    step = piece_length(view.dtype)
    for first in range(0, len(items), step):
        yield as_numbers(np.frombuffer(items[first : first + step], stored_type(view.dtype, order)), view.dtype)
