"""All tensors of a weight file, as they are shown, into a file of another format, in bounded memory."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convtool.arrays.description import TensorInfo, WeightFile, some
from convtool.arrays.raw import GIVEN_AS
from convtool.arrays.writing import Array, ArrayWriter, create, holds
from convtool.errors import InputError
from convtool.files.formats import extension
from convtool.jobs.inspection.listing import Listing
from convtool.weights.conversion.file import ConvertedFile

_THREADS = 2
"""One computes while the other waits for the disk; each holds a tensor."""
_SLAB_BYTES = 92 << 20
"""What is transposed at once in memory: of a larger matrix so many rows, or one if that has more."""
_BLOCK_BYTES = 8 << 20
_TILE = 256
"""Numbers along each side of what is transposed at once: both sides of it stay in a processor's cache."""
_LINE = 64
"""Bytes that a cache takes at once."""
_SPACED = 1024
"""Bytes of a row from which on rows begin an odd number of lines apart: at steps of a power of two they would have the
same few places in a cache, and drive each other out."""

_WIDER = {
    "complex32": "complex64",
    **dict.fromkeys(("int4", "int2"), "int8"),
    **dict.fromkeys(("uint4", "uint2"), "uint8"),
}
"""The types that numbers are written in which a format lacks, where that is no float32."""

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
    if not tensors:
        raise InputError("there are no tensors in it")
    arrays = [Array(tensor.name, _dtype(tensor, form), tensor.shape) for tensor in tensors]
    beside = {"format": "pt"} if form == "safetensors" and file.layout == "torch" else {}
    output = create(path, arrays, beside, replace=overwrite)
    try:
        _copy_all(file, tensors, output)
        output.commit()
    finally:
        output.discard()
    texts = [each.name for each in listing.tensors if each.tensor.is_text]
    wider = [tensor.name for tensor, array in zip(tensors, arrays, strict=True) if tensor.dtype != array.dtype]
    notes = [f"text is left out: {some(texts)}"] if texts else []
    notes += [f"in a wider type, since .{form} lacks theirs: {some(wider)}"] if wider else []
    shared = [tensor.name for tensor in tensors if tensor.tied_to]
    return notes + ([f"in full, though they share the numbers of others: {some(shared)}"] if shared else [])


def _copy_all(file: WeightFile, tensors: Sequence[TensorInfo], output: ArrayWriter) -> None:
    """Write the values of `tensors`, and hold the file to its checksums meanwhile, which needs no room for a tensor."""
    room = _Room()
    with ThreadPoolExecutor(_THREADS if file.threadsafe else 1) as pool, ThreadPoolExecutor(1) as checking:
        checked = (checking if file.threadsafe else pool).submit(file.unsound)
        copied = [pool.submit(_copy, file, tensor, output, room) for tensor in tensors]
        try:
            for each in copied:
                each.result()
        finally:
            pool.shutdown(cancel_futures=True)
        if damage := checked.result():
            raise InputError(damage[0])


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

    def rows(self, count: int, columns: int, dtype: np.dtype[Any]) -> Values:
        """A matrix of any numbers, whose rows stand so far apart that it is quickly transposed."""
        stride = columns * dtype.itemsize
        if stride >= _SPACED:
            stride = (-(-stride // _LINE) | 1) * _LINE
        return self.get("rows", (count, stride // dtype.itemsize), dtype)[:, :columns]


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
    elif order == (1, 0):
        _transpose(file, source, tensor, output, room)
    elif _given_bytes(source) > _SLAB_BYTES:
        _write(file.values(source).transpose(order), tensor, output, room)
    else:
        for _, values in _slabs(file, source, room):
            _write(values.reshape(source.shape).transpose(order), tensor, output, room)


def _given_bytes(tensor: TensorInfo) -> int:
    return math.prod(tensor.shape) * np.dtype(GIVEN_AS.get(tensor.dtype, tensor.dtype)).itemsize


def _transpose(file: WeightFile, matrix: TensorInfo, tensor: TensorInfo, output: ArrayWriter, room: _Room) -> None:
    """Write `tensor`, which is `matrix` transposed: whole, or the ends of all its rows at a time."""
    rows = matrix.shape[0]
    for first, slab in _slabs(file, matrix, room):
        if len(slab) == rows:
            _write(slab.T, tensor, output, room)
            continue
        step = max(1, _BLOCK_BYTES // (len(slab) * slab.itemsize))
        for column in range(0, matrix.shape[1], step):
            for at, part in enumerate(_in_order(slab.T[column : column + step], room), column):
                output.write(tensor.name, at * rows + first, part)


def _slabs(file: WeightFile, tensor: TensorInfo, room: _Room) -> Iterator[tuple[int, Values]]:
    """The rows along the last axis of a tensor, some at a time, and the index of the first of these."""
    columns, left = tensor.shape[-1], math.prod(tensor.shape[:-1])
    first = at = 0
    slab = np.zeros((0, columns))
    for piece in file.pieces(tensor):
        while len(piece):
            if not at:
                count = min(left, max(1, _SLAB_BYTES // (columns * piece.itemsize)))
                slab = room.rows(count, columns, piece.dtype)
            row, column = divmod(at, columns)
            if column or len(piece) < columns:
                taken = min(columns - column, len(piece))
                slab[row, column : column + taken] = piece[:taken]
            else:
                whole = min(len(piece) // columns, len(slab) - row)
                taken = whole * columns
                slab[row : row + whole] = piece[:taken].reshape(whole, columns)
            at, piece = at + taken, piece[taken:]
            if at == slab.size:
                yield first, slab
                first, left, at = first + len(slab), left - len(slab), 0


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
