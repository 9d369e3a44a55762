"""NumPy's ``.npy`` and ``.npz``. Format: the docstring of `numpy.lib.format`."""

from __future__ import annotations

import ast
import io
import os
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from convtool.arrays.description import VALUES_LIMIT, TensorInfo, some
from convtool.arrays.raw import RawFile, SharedFile, as_numbers, checked_count, piece_length, stored_type
from convtool.arrays.zip.archive import Archive, Member
from convtool.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MAGIC = b"\x93NUMPY"
_VERSIONS = {(1, 0): (2, "latin-1"), (2, 0): (4, "latin-1"), (3, 0): (4, "utf-8")}
"""Bytes of the header's length, and the header's encoding."""

_HEADER_LIMIT = 10_000
"""Bytes of header that NumPy reads, too."""

_LONG = re.compile(r"(?<=\d)L\b")
"""What Python 2 wrote behind a large whole number."""

_DTYPE = re.compile(r"([<>|=]?)([a-zA-Z?])(\d*)")
_NAMES = {
    **{f"f{size}": f"float{8 * size}" for size in (2, 4, 8)},
    **{f"i{size}": f"int{8 * size}" for size in (1, 2, 4, 8)},
    **{f"u{size}": f"uint{8 * size}" for size in (1, 2, 4, 8)},
    "c8": "complex64",
    "c16": "complex128",
    "b1": "bool",
}
_OTHERS = {
    "O": "pickled objects, which are refused",
    "V": "bytes of a type that NumPy lacks",
    "S": "text",
    "U": "text",
    "M": "dates",
    "m": "spans of time",
}


@dataclass(frozen=True)
class _Header:
    """What stands before the numbers of an array."""

    size: int
    """Its own bytes."""
    shape: tuple[int, ...]
    count: int
    dtype: str
    """NumPy's name, or what the header has where it is none that is read."""
    itemsize: int
    """Bytes of one number; 0 where they are not read."""
    order: str
    """``<`` or ``>``, little-endian or big-endian."""
    fortran: bool
    """Whether the first axis runs fastest and that makes a difference."""
    flag: str
    """Why the values can't be read, or nothing."""

    def described(self, name: str, there: int) -> TensorInfo:
        """The array, `there` bytes of which follow the header."""
        needed = self.count * self.itemsize
        flag = self.flag
        if there < needed:
            flag = f"is truncated: {there // self.itemsize} of {self.count} numbers are there"
        return TensorInfo(name, self.shape, self.dtype, needed, flag=flag, readable=not flag)

    def note(self, name: str, there: int) -> list[str]:
        """What there is to say of `there` bytes that follow the header of the array `name`."""
        more = there - self.count * self.itemsize
        if more <= 0 or self.flag:
            return []
        return [f"{more} bytes follow the numbers of {name!r}; they are not read"]


class NpzFile(SharedFile):
    """The `.npz` archive at `path`; each member is a tensor, called as `numpy.load` calls it.

    A member that can't be read is listed with a flag, in shape ``(0,)`` where its header can't be read either.

    Raises:
        InputError: the archive can't be read.
        OSError: it can't be opened.
    """

    def __init__(self, path: str) -> None:
        self.format, self.layout, self.metadata = "npz", "", {}
        self._archive = Archive(path)
        self.notes = _notes(self._archive)
        self._arrays: dict[str, tuple[Member, _Header]] = {}
        arrays = [member for member in self._archive.members if member.name.endswith(".npy")]
        self.tensors = tuple(self._described(member) for member in arrays)

    def _described(self, member: Member) -> TensorInfo:
        name = member.name.removesuffix(".npy")
        try:
            header = _header(self._archive.open(member).read)
        except InputError as error:
            return TensorInfo(name, (0,), "unknown", 0, flag=str(error), readable=False)
        self._arrays[name] = member, header
        self.notes += header.note(name, member.size - header.size)
        return header.described(name, member.size - header.size)

    def pieces(self, tensor: TensorInfo) -> Iterator[NDArray[Any]]:
        member, header = self._array(tensor)
        yield from _in_c_order(self._stored(member, header), header)

    def shares(self, tensor: TensorInfo) -> Iterator[Iterator[NDArray[Any]]]:
        yield self._stored(*self._array(tensor))

    def _array(self, tensor: TensorInfo) -> tuple[Member, _Header]:
        if not tensor.readable:
            raise InputError(f"tensor {tensor.name!r}: {tensor.flag}")
        return self._arrays[tensor.name]

    def _stored(self, member: Member, header: _Header) -> Iterator[NDArray[Any]]:
        """The values as they lie in the member."""
        import numpy as np

        stream, stored = self._archive.open(member), stored_type(header.dtype, header.order)
        stream.read(header.size)
        length = piece_length(header.dtype)
        for first in range(0, header.count or 1, length):
            data = stream.read(min(length, header.count - first) * header.itemsize)
            yield as_numbers(np.frombuffer(data, stored), header.dtype)

    def close(self) -> None:
        self._archive.close()


class NpyFile(SharedFile):
    """The array in the `.npy` file at `path`, as a tensor called like the file.

    Raises:
        InputError: it can't be read, or holds something else than numbers of up to 64 bits (complex: 128).
    """

    def __init__(self, path: str) -> None:
        self.format, self.layout, self.metadata = "npy", "", {}
        self._file = RawFile(path)
        self._header = _header(io.BytesIO(self._file.read(0, 12 + _HEADER_LIMIT)).read)
        name, there = os.path.splitext(os.path.basename(path))[0], self._file.size - self._header.size
        tensor = self._header.described(name, there)
        if tensor.flag:
            raise InputError(f"the array {tensor.flag}")
        self.notes = self._header.note(name, there)
        self.tensors = (tensor,)

    def pieces(self, tensor: TensorInfo) -> Iterator[NDArray[Any]]:
        header = self._header
        stored = self._file.pieces(header.dtype, start=header.size, count=header.count, order=header.order)
        yield from _in_c_order(stored, header)

    def shares(self, tensor: TensorInfo) -> Iterator[Iterator[NDArray[Any]]]:
        header = self._header
        yield from self._file.shares(header.dtype, start=header.size, count=header.count, order=header.order)


def _notes(archive: Archive) -> list[str]:
    others = [member.name for member in archive.members if not member.name.endswith(".npy")]
    outside = [member.name for member in archive.members if member.outside]
    found = {
        "members that are no .npy files, skipped": others,
        "several members of one name, of which the last counts": archive.duplicates,
        "members with names that lead out of the archive; nothing is unpacked": outside,
    }
    return [f"{what}: {some(iter(names))}" for what, names in found.items() if names]


def _header(read: Callable[[int], bytes]) -> _Header:
    """The header that `read` gives the bytes of, as many as asked for, fewer at the end.

    Raises:
        InputError: it is no header of an array, or damaged.
    """
    start = read(len(_MAGIC) + 2)
    if len(start) < len(_MAGIC) + 2 or not start.startswith(_MAGIC):
        raise InputError("it does not begin as an NPY file does")
    version = start[-2], start[-1]
    if version not in _VERSIONS:
        raise InputError(f"NPY version {version[0]}.{version[1]} is unknown; expected 1.0 to 3.0")
    width, encoding = _VERSIONS[version]
    length = int.from_bytes(read(width), "little")
    if length > _HEADER_LIMIT:
        raise InputError(f"the NPY header declares {length} bytes; the limit is {_HEADER_LIMIT}")
    text = read(length)
    try:
        descr, fortran, shape = _fields(text.decode(encoding))
        count = checked_count(shape)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise InputError("the NPY header is damaged, or ends too early") from error
    order, dtype, itemsize, flag = _number_type(descr)
    return _Header(
        size=len(_MAGIC) + 2 + width + length,
        shape=shape,
        count=count,
        dtype=dtype,
        itemsize=itemsize,
        order=order,
        fortran=fortran and sum(size > 1 for size in shape) > 1,
        flag=flag,
    )


def _fields(text: str) -> tuple[object, bool, tuple[Any, ...]]:
    """Dtype, whether in Fortran order, and shape from the Python literal that the header is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the parser's, of odd literals
        fields = ast.literal_eval(_LONG.sub("", text))
    match fields:
        case {"descr": descr, "fortran_order": bool() as fortran, "shape": tuple() as shape} if len(fields) == 3:
            return descr, fortran, shape
    raise InputError("the NPY header does not tell descr, fortran_order and shape alone")


def _number_type(descr: object) -> tuple[str, str, int, str]:
    """Byte order, dtype, bytes of a number, and a flag where it is none that is read."""
    if not isinstance(descr, str):
        return "<", "record", 0, "holds structured records; expected numbers"
    found = _DTYPE.fullmatch(descr.partition("[")[0])
    kind, size = found.group(2, 3) if found else ("", "")
    if found and kind + size in _NAMES:
        return ">" if found.group(1) == ">" else "<", _NAMES[kind + size], int(size), ""
    return "<", f"{descr:.40}", 0, f"holds {_OTHERS.get(kind, 'what convtool does not read')}; expected numbers"


def _in_c_order(stored: Iterator[NDArray[Any]], header: _Header) -> Iterator[NDArray[Any]]:
    """The pieces in C order. Where that is not the file's, the array is put together first.

    Raises:
        InputError: that would take more than `VALUES_LIMIT`.
    """
    import numpy as np

    if not header.fortran:
        yield from stored
        return
    nbytes = header.count * header.itemsize
    if nbytes > VALUES_LIMIT:
        raise InputError(f"the array is in Fortran order and takes {nbytes} bytes; the limit is {VALUES_LIMIT}")
    whole = np.empty(header.count, header.dtype)
    at = 0
    for piece in stored:
        whole[at : at + len(piece)] = piece
        at += len(piece)
    flat, length = whole.reshape(header.shape, order="F").flat, piece_length(header.dtype)
    for first in range(0, header.count, length):
        yield flat[first : first + length]
