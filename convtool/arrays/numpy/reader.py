"""NumPy's ``.npy`` and ``.npz``, listed without loading NumPy."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from convtool.arrays.description import VALUES_LIMIT, TensorInfo, WeightFile, gathered, some
from convtool.arrays.numpy.header import HEADER_LIMIT, Header, read_header
from convtool.arrays.raw import RawFile, as_void, numbers_in, piece_length
from convtool.arrays.zip.archive import Archive, Member
from convtool.errors import InputError
from convtool.files.urls import base_name

if TYPE_CHECKING:
    from numpy.typing import NDArray


class NpzReader(WeightFile):
    """The `.npz` archive at `path`; each member is a tensor, called as `numpy.load` calls it.

    `void_as` is the type of bytes whose type NumPy lacks, since the file does not tell it.

    A member that can't be read is listed with a flag, in shape ``(0,)`` where its header can't be read either.

    Raises:
        InputError: the archive can't be read.
        OSError: it can't be opened.
    """

    threadsafe = True

    def __init__(self, path: str, *, void_as: str | None = None) -> None:
        self.format, self.layout, self.metadata = "npz", "", {}
        self._void_as = void_as
        self._archive = Archive(path)
        others = [member.name for member in self._archive.members if not member.name.endswith(".npy")]
        self.notes = [f"members that are no .npy files, skipped: {some(others)}"] if others else []
        self.notes += self._archive.notes
        self._arrays: dict[str, tuple[Member, Header]] = {}
        arrays = [member for member in self._archive.members if member.name.endswith(".npy")]
        self.tensors = tuple(self._described(member) for member in arrays)

    def _described(self, member: Member) -> TensorInfo:
        name = member.name.removesuffix(".npy")
        try:
            header = _typed(read_header(self._archive.open(member).read), self._void_as)
        except InputError as error:
            return TensorInfo(name, (0,), "unknown", 0, flag=str(error), readable=False)
        self._arrays[name] = member, header
        self.notes += _more(header, name, member.size - header.size)
        return _described(header, name, member.size - header.size)

    def pieces(self, tensor: TensorInfo) -> Iterator[NDArray[Any]]:
        member, header = self._array(tensor)
        yield from _in_c_order(self._stored(member, header), header)

    def shares(self, tensor: TensorInfo) -> Iterator[Iterator[NDArray[Any]]]:
        yield self._stored(*self._array(tensor))

    def _array(self, tensor: TensorInfo) -> tuple[Member, Header]:
        if not tensor.readable:
            raise InputError(f"tensor {tensor.name!r}: {tensor.flag}")
        return self._arrays[tensor.name]

    def _stored(self, member: Member, header: Header) -> Iterator[NDArray[Any]]:
        """The values as they lie in the member."""
        stream = self._archive.open(member)
        stream.read(header.size)
        return numbers_in(stream, header.dtype, count=header.count, order=header.order)

    def close(self) -> None:
        self._archive.close()


class NpyReader(WeightFile):
    """The array in the `.npy` file at `path`, as a tensor called like the file; `void_as` as for `NpzReader`.

    Raises:
        InputError: it can't be read, or holds something else than numbers of up to 64 bits (complex: 128).
    """

    threadsafe = True

    def __init__(self, path: str, *, void_as: str | None = None) -> None:
        self.format, self.layout, self.metadata = "npy", "", {}
        self._file = RawFile(path)
        self._header = _typed(read_header(io.BytesIO(self._file.read(0, 12 + HEADER_LIMIT)).read), void_as)
        name, there = os.path.splitext(base_name(path))[0], self._file.size - self._header.size
        tensor = _described(self._header, name, there)
        if tensor.flag:
            raise InputError(f"the array {tensor.flag}")
        self.notes = _more(self._header, name, there)
        self.tensors = (tensor,)

    def pieces(self, tensor: TensorInfo) -> Iterator[NDArray[Any]]:
        header = self._header
        stored = self._file.pieces(header.dtype, start=header.size, count=header.count, order=header.order)
        yield from _in_c_order(stored, header)

    def shares(self, tensor: TensorInfo) -> Iterator[Iterator[NDArray[Any]]]:
        header = self._header
        yield from self._file.shares(header.dtype, start=header.size, count=header.count, order=header.order)


def _typed(header: Header, void_as: str | None) -> Header:
    """`header` with the type that its bytes are said to be of, where NumPy lacks it."""
    if not header.dtype.startswith("void"):
        return header
    dtype, trouble = as_void(header.dtype, void_as)
    return replace(header, dtype=dtype, flag=f"{header.flag}: {trouble}" if trouble else "")


def _described(header: Header, name: str, there: int) -> TensorInfo:
    """The array `name`, `there` bytes of which follow the header."""
    flag = header.flag or header.shortage(there)
    return TensorInfo(name, header.shape, header.dtype, header.count * header.itemsize, flag=flag, readable=not flag)


def _more(header: Header, name: str, there: int) -> list[str]:
    """What there is to say of `there` bytes that follow the header of the array `name`."""
    more = there - header.count * header.itemsize
    if more <= 0 or header.flag:
        return []
    return [f"{more} bytes follow the numbers of {name!r}; they are not read"]


def _in_c_order(stored: Iterator[NDArray[Any]], header: Header) -> Iterator[NDArray[Any]]:
    """The pieces in C order. Where that is not the file's, the array is put together first.

    Raises:
        InputError: that would take more than `VALUES_LIMIT`.
    """
    if not header.fortran:
        yield from stored
        return
    nbytes = header.count * header.itemsize
    if nbytes > VALUES_LIMIT:
        raise InputError(f"the array is in Fortran order and takes {nbytes} bytes; the limit is {VALUES_LIMIT}")
    flat = gathered(stored, header.count).reshape(header.shape, order="F").flat
    length = piece_length(header.dtype)
    for first in range(0, header.count, length):
        yield flat[first : first + length]
