"""The numbers of ONNX tensors: raw bytes, protobuf's typed fields or a file beside the model, a piece at a time."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convtool.arrays.onnx.protobuf import Field, Walk, read_exactly
from convtool.arrays.onnx.tensors import DOUBLE_DATA, FLOAT_DATA, DataType, StoredTensor
from convtool.arrays.raw import as_numbers, piece_length, stored_type
from convtool.errors import InputError

_TYPED_BYTES = 64 << 10
"""Bytes of a typed field taken at once: each can be an integer, and becomes an int64."""

_LONGEST_VARINT = 10


def numbers(tensor: StoredTensor, model: int, folder: str) -> Iterator[NDArray[Any]]:
    """The values of `tensor` as `WeightFile.pieces` gives them.

    Args:
        tensor: one without a fault in its header.
        model: the descriptor of the model's file.
        folder: where the model lies, and files with numbers beside it.

    Raises:
        InputError: the numbers are not there, or not as many as the shape takes.
    """
    dtype, bits = tensor.number_type, tensor.number_type.bits
    if tensor.is_external:
        blocks = _external(tensor, folder, _block_bytes(dtype, bits))
    elif tensor.raw is not None:
        blocks = _spans(model, *tensor.raw, _block_bytes(dtype, bits))
    else:
        bits = 8 if bits == 6 else bits  # these are not packed here
        blocks = _blocks(_typed(tensor, model), _block_bytes(dtype, bits), -(-tensor.count * bits // 8))
    left = tensor.count
    for block in blocks:
        values = as_numbers(_unpacked(block, dtype, bits), dtype.name)[:left]  # the last byte may be padded
        left -= len(values)
        yield values


def _block_bytes(dtype: DataType, bits: int) -> int:
    """The bytes of numbers of `bits` bits that make the largest piece."""
    return piece_length(dtype.name) * bits // 8


def _spans(descriptor: int, start: int, stop: int, size: int) -> Iterator[bytes]:
    for begin in range(start, max(stop, start + 1), size):  # nothing is one empty block
        yield read_exactly(descriptor, begin, min(begin + size, stop))


def _typed(tensor: StoredTensor, model: int) -> Iterator[bytes]:
    """The numbers of the typed field as raw bytes would have them.

    An integer has the bits of one number, or of as many of 2 or 4 bits as a byte holds.
    """
    dtype = tensor.number_type
    content = _content(tensor.place, dtype.field, model)
    if dtype.field in (FLOAT_DATA, DOUBLE_DATA):
        return content
    unsigned = f"<u{max(1, dtype.bits // 8)}"
    return (integers.astype(unsigned).tobytes() for integers in _varints(content))


def _content(place: Field, field: int, model: int) -> Iterator[bytes]:
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


def _external(tensor: StoredTensor, folder: str, size: int) -> Iterator[bytes]:
    name, start, stop = tensor.location, tensor.offset, tensor.offset + tensor.nbytes
    descriptor = _open_beside(name, folder)
    try:
        there = os.fstat(descriptor).st_size
        if stop > there:
            raise InputError(f"external: {name!r} has {there} bytes; the tensor's are from {start} to {stop}")
        yield from _spans(descriptor, start, stop, size)
    finally:
        os.close(descriptor)


def _open_beside(name: str, folder: str) -> int:
    """The descriptor of the file `name` in `folder` or below, whatever links lead there."""
    root = os.path.realpath(folder)
    path = os.path.realpath(os.path.join(root, name))
    if os.path.commonpath([root, path]) != root:
        raise InputError(f"external: {name!r} is a link out of the model's folder, which is not followed")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError as error:
        raise InputError(f"external: {name!r} can't be read: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InputError(f"external: {name!r} is no regular file")
    return descriptor


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


def _blocks(stored: Iterator[bytes], size: int, total: int) -> Iterator[bytes]:
    """The bytes cut into blocks of `size`; together they must be `total`."""
    rest, left = bytearray(), total
    for chunk in stored:
        left -= len(chunk)
        if left < 0:
            break
        rest += chunk
        while len(rest) >= size:
            yield bytes(rest[:size])
            del rest[:size]
    if left:
        held = "more" if left < 0 else total - left
        raise InputError(f"the tensor holds {held} bytes of numbers; its shape takes {total}")
    if rest or not total:
        yield bytes(rest)


def _unpacked(block: bytes, dtype: DataType, bits: int) -> NDArray[Any]:
    """What is stored for each number; those of less than 8 bits lie one after the other, the first in the lowest."""
    if bits >= 8:
        return np.frombuffer(block, stored_type(dtype.name, "<"))
    flat = np.unpackbits(np.frombuffer(block, np.uint8), bitorder="little")
    return np.packbits(flat[: len(flat) // bits * bits].reshape(-1, bits), axis=1, bitorder="little")[:, 0]
