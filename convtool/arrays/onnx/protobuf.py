"""Protocol Buffers on the wire: the fields of a message one after the other, their content left in the file.

Only what is asked for is read, so that a message of gigabytes is walked in little memory; and what can be asked for
is bounded. Format: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from convtool.errors import InputError
from convtool.files.remote_file import RemoteFile, pread, size_of

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_FIXED = {FIXED64: 8, FIXED32: 4}

FIELDS_LIMIT = 2_000_000
"""Fields that one walk may pass: a few bytes each, and they take Python a microsecond or two."""

TEXT_LIMIT = 32 << 20
"""Bytes of names and other texts that one walk may read."""

_WINDOW = 4 << 10
_LONGEST = 20
"""Bytes of the longest key and length, ten each."""


class Field(NamedTuple):
    """One field of a message."""

    number: int
    wire: int
    """How it is encoded: `VARINT`, `FIXED64`, `BYTES` or `FIXED32`."""
    start: int
    """Where in the file its content begins, after key and length."""
    stop: int
    varint: int
    """The content of a `VARINT`, unsigned; else 0."""


class Walk:
    """One pass over the messages in `file`, a descriptor or a remote file; walks of one file don't disturb each other.

    Every method raises `InputError` where the bytes are no such message, and past the limits.
    """

    def __init__(self, file: int | RemoteFile) -> None:
        self._file = file
        self._fields_left, self._text_left = FIELDS_LIMIT, TEXT_LIMIT
        self._window, self._base = b"", 0

    def message(self) -> Iterator[Field]:
        """The fields of the file as a whole."""
        return self._fields(0, size_of(self._file))

    def inside(self, field: Field) -> Iterator[Field]:
        """The fields of the message that `field` holds."""
        return self._fields(*self.span(field))

    def span(self, field: Field) -> tuple[int, int]:
        """Where the text, the message or the bytes that `field` holds begin and end."""
        if field.wire != BYTES:
            raise InputError(f"damaged: field {field.number} at byte {field.start} is a number, not a message or text")
        return field.start, field.stop

    def text(self, field: Field) -> str:
        """The text that `field` holds; what is no UTF-8 in it is replaced."""
        start, stop = self.span(field)
        self.charge(stop - start)
        return self.content(start, stop).decode("utf-8", "replace")

    def charge(self, size: int) -> None:
        """Count `size` more bytes of text as read: for names that are put together from others."""
        self._text_left -= size
        if self._text_left < 0:
            raise InputError(f"the names in it take more than {TEXT_LIMIT} bytes; it can't be what it seems")

    def content(self, start: int, stop: int) -> bytes:
        """The bytes of the file from `start` to `stop`."""
        at = start - self._base
        if 0 <= at <= len(self._window) - (stop - start):
            return self._window[at : at + stop - start]
        data = pread(self._file, stop - start, start)
        if len(data) < stop - start:
            raise InputError("the file shrank while it was read")
        return data

    def integer(self, field: Field) -> int:
        """The signed integer that `field` holds."""
        if field.wire != VARINT:
            raise InputError(f"damaged: field {field.number} at byte {field.start} is no integer")
        return _signed(field.varint)

    def float32(self, field: Field) -> float:
        """The number that `field` holds."""
        if field.wire != FIXED32:
            raise InputError(f"damaged: field {field.number} at byte {field.start} is no float32")
        value: float = struct.unpack("<f", self.content(field.start, field.stop))[0]
        return value

    def integers(self, field: Field) -> Iterator[int]:
        """The signed integers of a repeated field, of which `field` holds one, or several packed."""
        if field.wire == VARINT:
            yield _signed(field.varint)
            return
        at, stop = self.span(field)
        while at < stop:
            self._count()
            value, at = self._varint(at)
            yield _signed(value)
        if at > stop:
            raise InputError(f"damaged: field {field.number} ends within an integer, at byte {stop}")

    def _fields(self, start: int, stop: int) -> Iterator[Field]:
        at = start
        while at < stop:
            self._count()
            key, at = self._varint(at)
            number, wire = key >> 3, key & 7
            begin, value = at, 0
            if wire == VARINT:
                value, at = self._varint(at)
            elif wire == BYTES:
                size, begin = self._varint(at)
                at = begin + size
            elif wire in _FIXED:
                at += _FIXED[wire]
            else:
                raise InputError(f"damaged: the field at byte {begin} has the unknown wire type {wire}")
            if at > stop:
                missing = at - stop
                raise InputError(
                    f"truncated or damaged: {missing} bytes of field {number} at byte {begin} are not there"
                )
            yield Field(number, wire, begin, at, value)

    def _count(self) -> None:
        self._fields_left -= 1
        if self._fields_left < 0:
            raise InputError(f"it has more than {FIELDS_LIMIT} fields; it can't be what it seems")

    def _varint(self, at: int) -> tuple[int, int]:
        """The integer at that byte, and where it ends."""
        offset = at - self._base
        if not 0 <= offset <= len(self._window) - _LONGEST:
            self._window, self._base = pread(self._file, _WINDOW, at), at
            offset = 0
        window = self._window
        try:
            byte = window[offset]
            if byte < 0x80:
                return byte, at + 1
            value = byte & 0x7F
            for more in range(1, 10):
                byte = window[offset + more]
                value |= (byte & 0x7F) << 7 * more
                if byte < 0x80:
                    return value & (1 << 64) - 1, at + more + 1
        except IndexError as error:
            raise InputError(f"truncated: it ends within a field, at byte {at}") from error
        raise InputError(f"damaged: the integer at byte {at} has more than ten bytes")


def _signed(value: int) -> int:
    """Negative integers are stored as their two's complement of 64 bits."""
    return value - (1 << 64) if value >> 63 else value
