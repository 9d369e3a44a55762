"""What stands before the numbers of a GGUF file: key-value pairs, and where each tensor lies.

Source: the page "GGUF" in the documentation of ggml; version 1 counts in 32 bits, and a big-endian file is told by its
version. Texts of a vocabulary can be hundreds of thousands, so that those of a list are counted and passed over.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, BinaryIO

from convtool.errors import InputError

MAGIC = b"GGUF"
TENSORS_LIMIT = 1 << 16
PAIRS_LIMIT = 1 << 16
_AXES = 8
"""ggml has 4."""
_HEADER_LIMIT = 64 << 20
"""Bytes before the numbers: a vocabulary of a million words takes a third of them."""
_CHUNK = 1 << 20
_TEXT_KEPT = 100
_NAME_LIMIT = 1 << 16
_ALIGNMENT = "general.alignment"
_STRING, _ARRAY = 8, 9
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""The types of values, as `struct` spells them."""

_NESTED = 4


@dataclass(frozen=True)
class Declared:
    """A tensor as the header has it."""

    name: str
    sizes: tuple[int, ...]
    """Those of its axes, the one that runs fastest first."""
    type: int
    offset: int
    """Bytes from the beginning of the numbers."""


@dataclass(frozen=True)
class Header:
    """All that stands before the numbers."""

    version: int
    order: str
    """``<`` or ``>``, as `struct` and NumPy write the order of bytes."""
    pairs: dict[str, str]
    """What the file says of itself, as text; of a list, how many there are."""
    tensors: list[Declared]
    start: int
    """Where the numbers begin."""


def read_header(file: BinaryIO) -> Header:
    """The header of the GGUF file that is open as `file`.

    Raises:
        InputError: it is damaged, cut off, or larger than is read.
    """
    cursor = _Cursor(file)
    cursor.take(len(MAGIC))
    version = cursor.number("I")
    if version & 0xFFFF == 0:  # written by a machine that puts the highest byte first
        cursor.order, version = ">", int.from_bytes(version.to_bytes(4, "little"), "big")
    if version not in (1, 2, 3):
        raise InputError(f"it is GGUF of version {version}; expected 1 to 3")
    cursor.count = "I" if version == 1 else "Q"
    tensors, pairs = cursor.number(cursor.count), cursor.number(cursor.count)
    for found, limit, what in ((tensors, TENSORS_LIMIT, "tensors"), (pairs, PAIRS_LIMIT, "key-value pairs")):
        if found > limit:
            raise InputError(f"the GGUF header declares {found} {what}; the limit is {limit}")
    said: dict[str, str] = {}
    alignment: Any = 32
    for _ in range(pairs):
        key, value = cursor.name(), cursor.value()
        alignment = value if key == _ALIGNMENT else alignment
        said[key] = str(value)
    if type(alignment) is not int or not 0 < alignment <= 1 << 20:
        raise InputError(f"the GGUF header has the alignment {alignment!r:.80}; expected a number of bytes")
    declared = [cursor.tensor() for _ in range(tensors)]
    return Header(version, cursor.order, said, declared, -(-cursor.at // alignment) * alignment)


class _Cursor:
    """A place in the header; of the file there is never more in memory than what is asked for, and a piece."""

    def __init__(self, file: BinaryIO) -> None:
        self.order, self.count = "<", "Q"
        self._file = file
        self._data, self._start, self._next = b"", 0, 0
        """A stretch of the file, where in it that stands, and the index of the next byte."""

    @property
    def at(self) -> int:
        """Bytes taken so far."""
        return self._start + self._next

    def _need(self, count: int) -> None:
        """Make the next `count` bytes be in memory."""
        there = len(self._data) - self._next
        if there >= count:
            return
        if self.at + count > _HEADER_LIMIT:
            raise InputError(f"the GGUF header takes more than {_HEADER_LIMIT} bytes, the limit")
        more = self._file.read(max(_CHUNK, count - there))
        if there + len(more) < count:
            raise InputError(
                f"the GGUF header is truncated: byte {self.at} asks for {count}, {there + len(more)} are there"
            )
        self._data, self._start, self._next = self._data[self._next :] + more, self.at, 0

    def take(self, count: int) -> bytes:
        self._need(count)
        self._next += count
        return self._data[self._next - count : self._next]

    def skip(self, count: int) -> None:
        for start in range(0, count, _CHUNK):
            self.take(min(_CHUNK, count - start))

    def number(self, form: str) -> Any:
        form = self.order + form
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def text(self, kept: int) -> str:
        """A text, cut to so many bytes."""
        size = self.number(self.count)
        data = self.take(min(size, kept))
        self.skip(size - len(data))
        cut = size > len(data)
        start = data.decode("utf-8", "ignore" if cut else "replace")
        return f"{start}…" if cut else start

    def name(self) -> str:
        """A text that is kept whole."""
        size = self.number(self.count)
        if size > _NAME_LIMIT:
            raise InputError(f"the GGUF header has a name of {size} bytes; the limit is {_NAME_LIMIT}")
        return self.take(size).decode("utf-8", "surrogateescape")

    def value(self) -> Any:
        """The value of a pair: a number, a truth value, or text; a list as text that tells how long it is."""
        kind = self.number("I")
        if kind == _STRING:
            return self.text(_TEXT_KEPT)
        if kind == _ARRAY:
            return self._array(_NESTED)
        return self.number(self._scalar(kind))

    def _array(self, deep: int) -> str:
        kind, count = self.number("I"), self.number(self.count)
        if kind == _STRING:
            self._skip_texts(count)
        elif kind == _ARRAY and deep:
            for _ in range(count):
                self._array(deep - 1)
        else:
            self.skip(count * struct.calcsize(self._scalar(kind)))
        what = {_STRING: "texts", _ARRAY: "lists"}.get(kind, "numbers")
        return f"{count} {what}"

    def _skip_texts(self, count: int) -> None:
        """Pass over texts: the loop over a vocabulary is most of what a listing takes."""
        width = struct.calcsize(f"<{self.count}")
        unpack = struct.Struct(self.order + self.count).unpack_from
        while count:
            data, at, last = self._data, self._next, len(self._data) - width
            while count and at <= last:
                end = at + width + unpack(data, at)[0]
                if end > len(data):
                    break
                at, count = end, count - 1
            self._next = at
            if count:
                size = self.number(self.count)
                self.skip(size)
                count -= 1

    def _scalar(self, kind: int) -> str:
        if kind not in _SCALARS:
            raise InputError(f"the GGUF header has a value of the type {kind} before byte {self.at}; expected 0 to 12")
        return _SCALARS[kind]

    def tensor(self) -> Declared:
        name, axes = self.name(), self.number("I")
        if axes > _AXES:
            raise InputError(f"tensor {name!r:.200} declares {axes} axes; the limit is {_AXES}")
        sizes = tuple(self.number(self.count) for _ in range(axes))
        return Declared(name, sizes, self.number("I"), self.number("Q"))
