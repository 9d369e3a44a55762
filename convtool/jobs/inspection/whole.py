"""All tensors of a weight file, as they are shown, into a file of another format, in bounded memory."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convtool.arrays.description import TensorInfo, WeightFile, some
from convtool.arrays.writing import Array, ArrayWriter, create, holds
from convtool.errors import InputError
from convtool.files.formats import extension
from convtool.jobs.inspection.listing import Listing
from convtool.weights.conversion.file import ConvertedFile

_THREADS = 2
"""One computes while the other waits for the disk; each holds a tensor."""
_WHOLE_BYTES = 80 << 20
"""What a matrix may take that is transposed in memory; a larger one is a slab of its rows at a time."""
_SLAB = 8 << 20
"""Numbers of a slab, or a row if that has more."""
_BLOCK_BYTES = 8 << 20
_TILE = 128
"""Numbers along each side of what is transposed at once: both sides of it stay in a processor's cache."""

_WIDER = {"complex32": "complex64"}

Values = NDArray[Any]


def export_all(path: str, listing: Listing, *, overwrite: bool = False) -> list[str]:
    """Write the tensors of `listing` to `path`; gives what the person should know of it, in a line each.

    Numbers of a type that the format lacks are written in a wider one, which holds each of their values. Text is left
    out.

    Raises:
        InputError: a tensor can't be read, or the format has no type for its numbers.
        OutputError: nothing can be written there.
    """
    form, file = extension(path), listing.file
    tensors = [each.tensor for each in listing.tensors if not each.tensor.is_text]
    for reason in (*file.damage, *(f"tensor {each.name!r:.200}: {each.flag}" for each in tensors if not each.readable)):
        raise InputError(f"not all of it can be written: {reason}")
    arrays = [Array(tensor.name, _dtype(tensor, form), tensor.shape) for tensor in tensors]
    beside = {"format": "pt"} if form == "safetensors" and file.layout == "torch" else {}
    output = create(path, arrays, beside, replace=overwrite)
    try:
        with ThreadPoolExecutor(_THREADS if file.threadsafe else 1) as pool:
            checked = pool.submit(file.unsound)
            room = _Room()
            copied = [pool.submit(_copy, file, tensor, output, room) for tensor in tensors]
            try:
                for each in copied:
                    each.result()
            finally:
                pool.shutdown(cancel_futures=True)
            if damage := checked.result():
                raise InputError(damage[0])
        output.commit()
    finally:
        output.discard()
    texts = [each.name for each in listing.tensors if each.tensor.is_text]
    wider = [tensor.name for tensor, array in zip(tensors, arrays, strict=True) if tensor.dtype != array.dtype]
    notes = [f"text is left out: {some(texts)}"] if texts else []
    return notes + ([f"in a wider type, since .{form} lacks theirs: {some(wider)}"] if wider else [])


def _dtype(tensor: TensorInfo, form: str) -> str:
    """The type that a tensor's numbers are written in: their own, or that in which they are given."""
    if holds(form, tensor.dtype):
        return tensor.dtype
    wider = _WIDER.get(tensor.dtype, "float32")
    if tensor.dtype == "complex128":
        raise InputError(f"tensor {tensor.name!r:.200} is {tensor.dtype}, which .{form} lacks; .npz and .pt have it")
    return wider


class _Room(threading.local):
    """What a thread works in: memory that is asked for anew with each tensor takes as long as the work in it."""

    def __init__(self) -> None:
        self._rooms: dict[str, NDArray[np.uint8]] = {}

    def get(self, use: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Values:
        """An array of any numbers, the memory of the last one of that use."""
        size = math.prod(shape) * dtype.itemsize
        if use not in self._rooms or len(self._rooms[use]) < size:
            self._rooms[use] = np.empty(size, np.uint8)
        return self._rooms[use][:size].view(dtype).reshape(shape)


def _values(file: WeightFile, tensor: TensorInfo, room: _Room) -> Values:
    """The values of a tensor in the order of its file."""
    if tensor.nbytes > _WHOLE_BYTES:
        return file.values(tensor)
    at, values = 0, np.zeros(0)
    for piece in file.pieces(tensor):
        values = values if at else room.get("whole", (math.prod(tensor.shape),), piece.dtype)
        values[at : at + len(piece)] = piece
        at += len(piece)
    return values.reshape(tensor.shape)


def _copy(file: WeightFile, tensor: TensorInfo, output: ArrayWriter, room: _Room) -> None:
    """Write the values of one tensor."""
    source, order = tensor, tuple(range(len(tensor.shape)))
    if isinstance(file, ConvertedFile):
        moved = file.moved(tensor)
        if moved is None:
            _write(file.values(tensor), tensor, output, room)
            return
        file, source, order = moved
    if order == tuple(range(len(order))):
        at = 0
        for piece in file.pieces(source):
            output.write(tensor.name, at, piece)
            at += len(piece)
    elif order == (1, 0) and tensor.nbytes > _WHOLE_BYTES:
        rows, columns = source.shape
        for first, slab in _slabs(file, source):
            for column in range(columns):
                output.write(tensor.name, column * rows + first, slab[:, column])
    else:
        _write(_values(file, source, room).transpose(order), tensor, output, room)


def _slabs(file: WeightFile, matrix: TensorInfo) -> Iterator[tuple[int, Values]]:
    """The rows of a matrix, some at a time, and the index of the first of these."""
    columns = matrix.shape[1]
    first, parts, held = 0, list[Values](), 0
    for piece in file.pieces(matrix):
        parts.append(piece.copy())
        held += len(piece)
        if held >= max(_SLAB, columns):
            joined = np.concatenate(parts)
            whole = held // columns * columns
            yield first, joined[:whole].reshape(-1, columns)
            first += whole // columns
            parts, held = [joined[whole:].copy()], held - whole
    if held:
        yield first, np.concatenate(parts).reshape(-1, columns)


def _write(values: Values, tensor: TensorInfo, output: ArrayWriter, room: _Room) -> None:
    """Write an array of any order in memory, a block of its first axis at a time."""
    while values.ndim and len(values) == 1:
        values = values[0]
    if not values.ndim:
        output.write(tensor.name, 0, values)
        return
    row = math.prod(values.shape[1:])
    step = max(1, _BLOCK_BYTES // (max(1, row) * values.itemsize))
    for first in range(0, len(values), step):
        output.write(tensor.name, first * row, _in_order(values[first : first + step], room))


def _in_order(view: Values, room: _Room) -> Values:
    """`view` with its numbers in C order, copied tile by tile: row by row it would take five times as long."""
    fast = int(np.argmin(view.strides))
    if fast == view.ndim - 1:
        return np.ascontiguousarray(view)
    ordered = room.get("block", view.shape, view.dtype)
    other = max((axis for axis in range(view.ndim) if axis != fast), key=lambda axis: view.shape[axis])
    where = [slice(None)] * view.ndim
    for at in range(0, view.shape[fast], _TILE):
        where[fast] = slice(at, at + _TILE)
        for beside in range(0, view.shape[other], _TILE):
            where[other] = slice(beside, beside + _TILE)
            ordered[tuple(where)] = view[tuple(where)]
    return ordered
