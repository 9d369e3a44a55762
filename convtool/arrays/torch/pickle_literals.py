"""The opcodes of pickle streams that push what follows them: how each is read. ``pickletools`` documents them."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from typing import Any, BinaryIO

from convtool.arrays.torch.pickle_values import Blob
from convtool.errors import InputError

_KEPT = 64 << 10
_SHORT = 127
"""Bytes of a text, and of bytes or an integer, beyond which they are left in the file."""


class Stream:
    """The bytes of a stream, none beyond its end."""

    def __init__(self, file: BinaryIO, end: int) -> None:
        self._file = file
        self._end = end
        self.at = file.tell()

    def take(self, count: int) -> bytes:
        data = self._file.read(count) if count <= self._end - self.at else b""
        if len(data) < count:
            raise InputError(
                f"the pickle stream is truncated: byte {self.at} asks for {count} more, {self._end} are there"
            )
        self.at += count
        return data

    def whole(self, width: int) -> int:
        """An unsigned integer of `width` bytes."""
        return int.from_bytes(self.take(width), "little")

    def line(self) -> bytes:
        line = self._file.readline(_KEPT)
        self.at += len(line)
        if self.at > self._end or not line.endswith(b"\n"):
            raise ValueError
        return line[:-1]

    def counted(self, width: int, *, kept: int) -> bytes | Blob:
        """The bytes behind their length in `width` bytes; those of more than `kept` are left in the file."""
        size = self.whole(width)
        if size <= kept:
            return self.take(size)
        if size > self._end - self.at:
            self.take(size)
        blob = Blob(self.at, size)
        self.at = self._file.seek(size, os.SEEK_CUR)
        return blob


def _number(layout: str) -> Callable[[Stream], Any]:
    form = struct.Struct(layout)
    return lambda stream: form.unpack(stream.take(form.size))[0]


def _binary(stream: Stream, width: int) -> int | Blob:
    """An integer behind its length; one too long to compute with is left in the file."""
    data = stream.counted(width, kept=_SHORT)
    return data if isinstance(data, Blob) else int.from_bytes(data, "little", signed=True)


def _decimal(line: bytes) -> int | bool:
    if line in (b"00", b"01"):
        return line == b"01"
    if len(line) > 640:  # what Python converts without a limit
        raise ValueError
    return int(line.removesuffix(b"L"))


def _text(stream: Stream, width: int, encoding: str = "utf-8") -> str | Blob:
    data = stream.counted(width, kept=_KEPT)
    return data if isinstance(data, Blob) else data.decode(encoding, "surrogatepass")


def _bytes(width: int) -> Callable[[Stream], Any]:
    return lambda stream: stream.counted(width, kept=_SHORT)


LITERALS: dict[bytes, Callable[[Stream], Any]] = {
    b"K": _number("<B"),
    b"M": _number("<H"),
    b"J": _number("<i"),
    b"G": _number(">d"),
    b"\x8a": lambda stream: _binary(stream, 1),
    b"\x8b": lambda stream: _binary(stream, 4),
    b"I": lambda stream: _decimal(stream.line()),
    b"L": lambda stream: _decimal(stream.line()),
    b"F": lambda stream: float(stream.line()),
    b"S": lambda stream: stream.line().decode("latin-1").strip("'\""),
    b"V": lambda stream: stream.line().decode("raw-unicode-escape"),
    b"T": lambda stream: _text(stream, 4, "latin-1"),  # Python 2 writes bytes and text alike
    b"U": lambda stream: _text(stream, 1, "latin-1"),
    b"X": lambda stream: _text(stream, 4),
    b"\x8c": lambda stream: _text(stream, 1),
    b"\x8d": lambda stream: _text(stream, 8),
    b"B": _bytes(4),
    b"C": _bytes(1),
    b"\x8e": _bytes(8),
    b"\x96": _bytes(8),
}
"""The opcodes that push what follows them."""
