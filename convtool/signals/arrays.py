"""One array of a file that holds several, as a signal: `FILE::NAME`, or `FILE::NAME[INDEX]` of its first axis.

The array is copied into a temporary NPY file without a name, and read from there like any other: so its axes, its
integers and its memory are those of every array, whatever the container packs it with.
"""

from __future__ import annotations

import math
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from convtool.arrays.description import TensorInfo, WeightFile, some
from convtool.arrays.numpy.header import header_bytes
from convtool.arrays.opening import open_weights
from convtool.errors import InputError
from convtool.files.atomic import write_all
from convtool.files.names import show
from convtool.files.recognition import TEXT
from convtool.files.source import Source
from convtool.files.urls import is_url
from convtool.signals.npy import NpyReader

if TYPE_CHECKING:
    from numpy.typing import NDArray

_INDEXED = re.compile(r"(.+)\[(-?\d+)\]", re.DOTALL)
_RATE = "Data.SamplingRate"
"""Where a SOFA file (AES69) has the sample rate of `Data.IR`."""


@dataclass(frozen=True)
class _Part:
    """What of an array is the signal."""

    tensor: TensorInfo
    start: int
    """The flat index at which it begins."""
    shape: tuple[int, ...]


def open_array(path: str, name: str, *, layout: str = "NCT", exact: bool = True) -> NpyReader:
    """A reader of the array `name` in the file at `path`, or of its only one.

    A matrix of one row or one column from MATLAB, which has no other vectors, is one signal. A SOFA file's `Data.IR`
    is (measurement, receiver, sample): one measurement is a signal of as many channels as there are receivers.

    Raises:
        InputError: there is no such array, it is not of real numbers, or there are several and none is named.
    """
    _refuse_without_names(path, name)
    with open_weights(path) as file:
        part = _part(file, name) if name else _only(file)
        fortran = file.format == "hdf5" and len(part.shape) > 1 and _is_from_matlab(path)
        rate = _sample_rate(file, part.tensor)
        spool = tempfile.TemporaryFile(buffering=0)
        try:
            _copy(file, part, spool, fortran=fortran)
            reader = NpyReader(Source(spool, seekable=True), layout=layout, exact=exact)
        except BaseException:
            spool.close()
            raise
    reader.signal = replace(reader.signal, sample_rate=rate)
    return reader


def _refuse_without_names(path: str, name: str) -> None:
    """Refuse a name where the content has no arrays by name, and say what it has instead."""
    if is_url(path):
        return  # its content is fetched once, by who reads the array
    with closing(Source.of_path(path)) as source:
        kind = source.kind
    if kind is TEXT:
        raise InputError(f"the content is text, which has columns: give --columns {show(name)}, and the file alone")
    if kind.role in ("audio", "media"):
        raise InputError(
            f"the content is {kind.name}, which holds one signal: give the file alone, without ::{show(name)}"
        )


def _part(file: WeightFile, name: str) -> _Part:
    indexed = _INDEXED.fullmatch(name)
    if indexed is None or any(tensor.name == name for tensor in file.tensors):
        return _whole(file, file.find(name))
    tensor, index = file.find(indexed[1]), int(indexed[2])
    if not tensor.shape or not -tensor.shape[0] <= index < tensor.shape[0]:
        raise InputError(f"array {tensor.name!r} has shape {tensor.shape}; there is no index {index} in its first axis")
    shape = tensor.shape[1:] or (1,)
    return _Part(tensor, index % tensor.shape[0] * math.prod(shape), shape)


def _only(file: WeightFile) -> _Part:
    """The only array of numbers in a file."""
    numbers = [tensor for tensor in file.tensors if tensor.readable]
    if len(numbers) == 1:
        return _whole(file, numbers[0])
    if not numbers:
        found = some(tensor.name for tensor in file.tensors)
        raise InputError(f"there is no array of numbers in it; there is {found}")
    raise InputError(f"it holds {len(numbers)} arrays; name one, FILE::NAME: {some(t.name for t in numbers)}")


def _whole(file: WeightFile, tensor: TensorInfo) -> _Part:
    shape = tensor.shape
    if file.format == "matlab" and len(shape) == 2 and 1 in shape:
        return _Part(tensor, 0, (max(shape),))
    if _is_sofa(file, tensor) and len(shape) == 3:
        if shape[0] != 1:
            last = shape[0] - 1
            raise InputError(f"{tensor.name!r} has {shape[0]} measurements; name one, {tensor.name}[0] to [{last}]")
        return _Part(tensor, 0, shape[1:])
    return _Part(tensor, 0, shape or (1,))


def _is_sofa(file: WeightFile, tensor: TensorInfo) -> bool:
    return tensor.name == "Data.IR" and any(each.name == _RATE for each in file.tensors)


def _sample_rate(file: WeightFile, tensor: TensorInfo) -> int | None:
    if not _is_sofa(file, tensor):
        return None
    rates = np.unique(file.values(file.find(_RATE)))
    if len(rates) != 1 or not 1 <= rates[0] < 1 << 31 or rates[0] % 1:
        raise InputError(f"{_RATE} is {rates.tolist()}; expected one whole number of Hz")
    return int(rates[0])


def _is_from_matlab(path: str) -> bool:
    """Whether an HDF5 file was written by MATLAB (level 7.3), which has the axes of its arrays in reverse."""
    with closing(Source.of_path(path)) as source:
        return source.head.startswith(b"MATLAB 7.3")


def _copy(file: WeightFile, part: _Part, spool: Any, *, fortran: bool) -> None:
    """The numbers of `part` as an NPY file."""
    shape = part.shape[::-1] if fortran else part.shape
    if fortran and len(shape) == 2 and 1 in shape:
        shape, fortran = (max(shape),), False
    count = math.prod(part.shape)
    started = False
    for piece in _cut(file.pieces(part.tensor), part.start, count):
        if not started:
            write_all(spool, header_bytes(piece.dtype.str, shape, fortran=fortran))
            started = True
        write_all(spool, np.ascontiguousarray(piece))
    if not started:
        raise InputError(f"array {part.tensor.name!r} has shape {part.shape}: there are 0 samples in it")
    os.lseek(spool.fileno(), 0, os.SEEK_SET)


def _cut(pieces: Iterator[NDArray[Any]], start: int, count: int) -> Iterator[NDArray[Any]]:
    """`count` numbers of flat pieces, from the flat index `start` on."""
    at = 0
    for piece in pieces:
        part = piece[max(0, start - at) : max(0, start + count - at)]
        if len(part):
            yield part
        at += len(piece)
        if at >= start + count:
            return
