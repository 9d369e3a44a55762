"""MATLAB's MAT-files of level 4 and 5: their numeric arrays; level 7.3 is HDF5.

Format: MathWorks, "MAT-File Format". Own reader, because what people keep in these files beside numbers (objects,
functions, cells) must not be rebuilt, and a compressed variable must not take more memory than it declares.
"""

from __future__ import annotations

import io
import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from convtool.arrays.description import PIECE_BYTES, TEXT, TensorInfo, WeightFile
from convtool.errors import InputError
from convtool.files.remote_file import RemoteFile, pread, size_of
from convtool.files.urls import is_url

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MATRIX_LIMIT = 128 << 20
"""Bytes of an array of several rows and columns, which are reordered in memory."""

_COMPRESSED, _MATRIX = 15, 14
_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""How the numbers of an element are stored."""

_CLASSES = {
    6: "float64",
    7: "float32",
    8: "int8",
    9: "uint8",
    10: "int16",
    11: "uint16",
    12: "int32",
    13: "uint32",
    14: "int64",
    15: "uint64",
}
"""What an array is in MATLAB; whole doubles are stored in fewer bytes."""

_OTHERS = {1: "a cell array", 2: "a structure", 3: "an object", 4: "text", 5: "a sparse matrix"}
_LEVEL_4 = ("f8", "f4", "i4", "i2", "u2", "u1")
_COMPLEX, _LOGICAL = 0x08, 0x02
_NAME_LIMIT = 4096
_BEGINNING = 1 << 14
"""Bytes in which the description of an array stands: flags, dimensions, name."""

_Order = Literal["little", "big"]


@dataclass(frozen=True)
class _Element:
    """Where the numbers of an array are."""

    start: int
    """Of its bytes in the file, or of the compressed element that they are in."""
    packed: int
    """Bytes of that element, 0 where it is not compressed."""
    skipped: int
    """Bytes before the numbers in the unpacked element."""
    size: int
    stored: str


class MatlabReader(WeightFile):
    """The MAT-file at `path`; an array that holds no real numbers is listed with a flag.

    Raises:
        InputError: it is damaged.
        OSError: it can't be opened.
    """

    def __init__(self, path: str) -> None:
        self.format, self.layout, self.metadata, self.notes = "matlab", "", {}, []
        self._elements: dict[str, _Element] = {}
        self._file = RemoteFile(path) if is_url(path) else io.FileIO(path)
        self._place = self._file if isinstance(self._file, RemoteFile) else self._file.fileno()
        try:
            self._end = size_of(self._place)
            level_5 = self._at(0, 6) == b"MATLAB"
            self.tensors = tuple(self._level_5() if level_5 else self._level_4())
        except BaseException:
            self.close()
            raise

    def _at(self, start: int, count: int) -> bytes:
        try:
            return pread(self._place, count, start)
        except OSError as error:
            raise InputError(f"can't be read: {error.strerror}") from error

    def _level_4(self) -> Iterator[TensorInfo]:
        at = 0
        while at < self._end:
            head = self._at(at, 20)
            order: _Order = "little" if int.from_bytes(head[:4], "little") < 1000 else "big"
            kind, rows, columns, imaginary, length = (int.from_bytes(head[i : i + 4], order) for i in range(0, 20, 4))
            digits = kind // 10 % 10
            if len(head) < 20 or digits >= len(_LEVEL_4) or not 0 < length <= _NAME_LIMIT:
                raise InputError(f"the MAT-file is damaged at byte {at}: no array begins there")
            name = self._at(at + 20, length).rstrip(b"\0").decode("latin-1")
            stored = ("<" if order == "little" else ">") + _LEVEL_4[digits]
            size = rows * columns * int(stored[2])
            start = at + 20 + length
            flag = "holds text; expected numbers" if kind % 10 == 1 else "is a sparse matrix" if kind % 10 else ""
            flag = flag or ("holds complex numbers; expected real ones" if imaginary else "")
            dtype = TEXT if kind % 10 == 1 else "float64"
            yield self._listed(name, (rows, columns), dtype, flag, _Element(start, 0, 0, size, stored))
            at = start + size * (1 + bool(imaginary))

    def _level_5(self) -> Iterator[TensorInfo]:
        order: _Order = "little" if self._at(126, 2) == b"IM" else "big"
        at = 128
        while at < self._end:
            tag = self._at(at, 8)
            kind, size = int.from_bytes(tag[:4], order), int.from_bytes(tag[4:], order)
            if len(tag) < 8 or kind not in (_COMPRESSED, _MATRIX):
                raise InputError(f"the MAT-file is damaged at byte {at}: no array begins there")
            if kind == _COMPRESSED:
                head = self._unpacked_head(at + 8, size)
                described = self._described(head[8:], order, at + 8, packed=size, skipped=8)
            else:
                described = self._described(self._at(at + 8, _BEGINNING), order, at + 8, packed=0, skipped=0)
            if described.name:  # what MATLAB keeps for itself has none
                yield described
            at += 8 + size

    def _unpacked_head(self, start: int, packed: int) -> bytes:
        try:
            return zlib.decompressobj().decompress(self._at(start, min(packed, _BEGINNING)), _BEGINNING)
        except zlib.error as error:
            raise _unpackable(start) from error

    def _described(self, head: bytes, order: _Order, start: int, *, packed: int, skipped: int) -> TensorInfo:
        """The array whose subelements begin with `head`: flags, dimensions, name, numbers."""
        elements = []
        at = 0
        for _ in range(4):
            kind, at, size = _tag(head, at, order)
            elements.append((kind, at, size))
            at += size + (-size % 8 if kind >= 0 else 4 - size)
        (_, flags_at, _), (_, sizes_at, sizes), (_, name_at, length), (kind, numbers_at, size) = elements
        flags = int.from_bytes(head[flags_at : flags_at + 4], order)
        shape = tuple(int.from_bytes(head[i : i + 4], order) for i in range(sizes_at, sizes_at + sizes, 4))
        name = head[name_at : name_at + min(length, _NAME_LIMIT)].decode("latin-1")
        number, extra = flags & 0xFF, flags >> 8 & 0xFF
        flag = "holds complex numbers; expected real ones" if extra & _COMPLEX else ""
        if number not in _CLASSES:
            dtype = TEXT if _OTHERS.get(number) == "text" else "unknown"
            return self._listed(name, shape, dtype, f"is {_OTHERS.get(number, 'of a class of its own')}")
        stored = ("<" if order == "little" else ">") + _TYPES.get(abs(kind), "V1")
        place = numbers_at + skipped
        element = _Element(start if packed else start + place, packed, place, size, stored)
        if stored.endswith("V1") or size != math.prod(shape) * int(stored[2]):
            flag = flag or f"declares {size} bytes of numbers, which are not those of its shape"
        return self._listed(name, shape, "bool" if extra & _LOGICAL else _CLASSES[number], flag, element)

    def _listed(
        self, name: str, shape: tuple[int, ...], dtype: str, flag: str, element: _Element | None = None
    ) -> TensorInfo:
        if element is not None and not element.packed and element.start + element.size > self._end:
            flag = flag or f"is truncated: it ends at byte {element.start + element.size} of {self._end}"
        if element is not None and not flag:
            self._elements[name] = element
        bits = int("".join(filter(str.isdigit, dtype)) or 8)  # a bool takes a byte
        nbytes = 0 if dtype in (TEXT, "unknown") else math.prod(shape) * bits // 8
        return TensorInfo(name, shape, dtype, nbytes, flag=flag, readable=not flag)

    def pieces(self, tensor: TensorInfo) -> Iterator[NDArray[Any]]:
        import numpy as np

        if not tensor.readable:
            raise InputError(f"array {tensor.name!r} {tensor.flag}")
        element = self._elements[tensor.name]
        parts = (
            np.frombuffer(data, element.stored).astype(tensor.dtype, copy=False) for data in self._numbers(element)
        )
        if sum(size > 1 for size in tensor.shape) < 2:
            yield from parts
            return
        if tensor.nbytes > _MATRIX_LIMIT:
            raise InputError(f"array {tensor.name!r} takes {tensor.nbytes} bytes; the limit is {_MATRIX_LIMIT}")
        values = np.concatenate([*parts]).reshape(tensor.shape, order="F").reshape(-1)
        for at in range(0, len(values), step := max(1, PIECE_BYTES // values.itemsize)):
            yield values[at : at + step]

    def _numbers(self, element: _Element) -> Iterator[bytes]:
        """The bytes of the numbers, in pieces that hold whole numbers."""
        if not element.packed:
            for at in range(0, element.size, PIECE_BYTES):
                yield self._whole(element.start + at, min(PIECE_BYTES, element.size - at))
            return
        stream = self._inflated(element)
        held, at = b"", -element.skipped
        while at < element.size:
            count = min(PIECE_BYTES, element.size - at) if at >= 0 else element.skipped
            while len(held) < count:
                more = next(stream, None)
                if more is None:
                    raise InputError(
                        f"the MAT-file is damaged: {element.size - at - len(held)} bytes are missing in it"
                    )
                held += more
            if at >= 0:
                yield held[:count]
            held, at = held[count:], at + count

    def _whole(self, start: int, count: int) -> bytes:
        data = self._at(start, count)
        if len(data) < count:
            raise InputError("the file shrank while it was read")
        return data

    def _inflated(self, element: _Element) -> Iterator[bytes]:
        """The unpacked bytes of a compressed element."""
        inflate = zlib.decompressobj()
        for at in range(0, element.packed, PIECE_BYTES):
            packed = self._whole(element.start + at, min(PIECE_BYTES, element.packed - at))
            while packed and not inflate.eof:
                try:
                    part = inflate.decompress(packed, PIECE_BYTES)
                except zlib.error as error:
                    raise _unpackable(element.start) from error
                yield part
                packed = inflate.unconsumed_tail

    def close(self) -> None:
        self._file.close()


def _unpackable(start: int) -> InputError:
    return InputError(f"the MAT-file is damaged at byte {start}: it can't be unpacked")


def _tag(head: bytes, at: int, order: _Order) -> tuple[int, int, int]:
    """Type, first byte and length of the element at `at`; the type of one that is packed into its tag is negative."""
    first = int.from_bytes(head[at : at + 4], order)
    if first >> 16:
        return -(first & 0xFFFF), at + 4, first >> 16
    return first, at + 8, int.from_bytes(head[at + 4 : at + 8], order)
