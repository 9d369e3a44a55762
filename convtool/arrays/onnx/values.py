"""The numbers of ONNX tensors: raw bytes, protobuf's typed fields or a file beside the model, a piece at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convtool.arrays.onnx.external import ExternalFiles
from convtool.arrays.onnx.protobuf import Field, Walk
from convtool.arrays.onnx.tensors import DOUBLE_DATA, FLOAT_DATA, DataType, StoredTensor
from convtool.arrays.raw import Stretch, as_numbers, piece_length, stored_type
from convtool.errors import InputError
from convtool.files.remote_file import RemoteFile, pread

_TYPED_BYTES = 64 << 10
"""Bytes of a typed field taken at once: each can be an integer, and becomes an int64."""

_LONGEST_VARINT = 10


def numbers(tensor: StoredTensor, model: int | RemoteFile, folder: str) -> Iterator[NDArray[Any]]:
    """The values of `tensor` as `WeightFile.pieces` gives them.

    Args:
        tensor: one without a fault in its header.
        model: the model's file, a descriptor or a remote file.
        folder: where the model lies, and files with numbers beside it.

    Raises:
        InputError: the numbers are not there, or not as many as the shape takes.
    """
    dtype, bits = tensor.number_type, tensor.number_type.bits
    stream: Stretch | _Typed
    if tensor.is_external:
        stream = Stretch(ExternalFiles(folder).holding(tensor).read, tensor.offset)
    elif tensor.raw is not None:
        stream = Stretch(lambda start, count: pread(model, count, start), tensor.raw[0])
    else:
        stream = _Typed(tensor, model)
        bits = 8 if bits == 6 else bits  # these are not packed here
    length = piece_length(dtype.name)
    for first in range(0, tensor.count or 1, length):
        count = min(length, tensor.count - first)
        data = stream.read(-(-count * bits // 8))
        yield as_numbers(_unpacked(data, dtype, bits)[:count], dtype.name)  # the last byte may be padded
    if isinstance(stream, _Typed):
        stream.finish()


class _Typed:
    """The numbers of a typed field as raw bytes would have them.

    An integer has the bits of one number, or of as many of 2 or 4 bits as a byte holds.
    """

    def __init__(self, tensor: StoredTensor, model: int | RemoteFile) -> None:
        dtype = tensor.number_type
        self._bytes = _content(tensor.place, tensor.field, model)
        if dtype.field not in (FLOAT_DATA, DOUBLE_DATA):
            unsigned = f"<u{max(1, dtype.bits // 8)}"
            self._bytes = (integers.astype(unsigned).tobytes() for integers in _varints(self._bytes))
        self._rest = bytearray()

    def read(self, count: int) -> bytes:
        """The next `count` bytes."""
        while len(self._rest) < count:
            more = next(self._bytes, None)
            if more is None:
                raise InputError(f"{count - len(self._rest)} bytes of the tensor's numbers are missing")
            self._rest += more
        data = bytes(self._rest[:count])
        del self._rest[:count]
        return data

    def finish(self) -> None:
        """Refuse more numbers."""
        if self._rest or any(self._bytes):
            raise InputError("the tensor holds more numbers than its shape takes")


def _content(place: Field, field: int, model: int | RemoteFile) -> Iterator[bytes]:
    """The bytes of a repeated field, some at once; it may come in parts, even number by number."""
    walk, held = Walk(model), bytearray()
    for part in walk.inside(place):
        if part.number != field:
            continue
        for begin in range(part.start, part.stop, _TYPED_BYTES):
            held += walk.content(begin, min(begin + _TYPED_BYTES, part.stop))
            if len(held) >= _TYPED_BYTES:
                yield bytes(held)
                held.clear()
    yield bytes(held)


def _varints(chunks: Iterator[bytes]) -> Iterator[NDArray[np.uint64]]:
    """The integers in the bytes: seven bits a byte, the lowest first, and only the last byte of each is below 128."""
    rest = b""
    for chunk in chunks:
        data = np.frombuffer(rest + chunk, np.uint8)
        ends = np.flatnonzero(data < 0x80)
        used = int(ends[-1]) + 1 if ends.size else 0
        rest = data[used:].tobytes()
        if len(rest) >= _LONGEST_VARINT:
            raise InputError("damaged: an integer has more than ten bytes")
        if used:
            yield _joined(data, ends)
    if rest:
        raise InputError("truncated: the numbers end within one")


def _joined(data: NDArray[np.uint8], ends: NDArray[np.intp]) -> NDArray[np.uint64]:
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > _LONGEST_VARINT:
        raise InputError("damaged: an integer has more than ten bytes")
    values = np.zeros(len(ends), np.uint64)
    for index in range(int(lengths.max())):
        there = lengths > index
        values[there] |= (data[starts[there] + index] & 0x7F).astype(np.uint64) << np.uint64(7 * index)
    return values


def _unpacked(block: bytes, dtype: DataType, bits: int) -> NDArray[Any]:
    """What is stored for each number; those of less than 8 bits lie one after the other, the first in the lowest."""
    if bits >= 8:
        return np.frombuffer(block, stored_type(dtype.name, "<"))
    flat = np.unpackbits(np.frombuffer(block, np.uint8), bitorder="little")
    return np.packbits(flat[: len(flat) // bits * bits].reshape(-1, bits), axis=1, bitorder="little")[:, 0]
