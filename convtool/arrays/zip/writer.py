"""Zip archives of stored members of known size, their contents written in pieces. APPNOTE.TXT 6.3.10, 4.3 and 4.5."""

from __future__ import annotations

import struct
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from convtool.arrays.writing import Array, ArrayWriter, Texts
from convtool.arrays.zip.crc import PieceCrc
from convtool.files.atomic import write_error

_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_VERSION = 45  # the first that knows 64-bit sizes
_COMMON = (_VERSION, 1 << 11, 0, 0, 1 << 5 | 1)  # UTF-8 names, stored, and the first day of 1980: no clock goes in
_WIDE = 0xFFFFFFFF  # the size or place is in the extra field, in 64 bits
_CRC_AT = 14  # in a local header
_ALIGNMENT = 64
_PADDING = 0x4246  # the extra field that torch pads its archives with


@dataclass
class _Member:
    name: bytes
    start: int
    """Of its local header."""
    size: int
    head: int
    """Bytes before the array's values."""
    crc: PieceCrc


class StoredZipWriter(ArrayWriter):
    """An archive whose members are arrays, and bytes that are known from the beginning."""

    @abstractmethod
    def _entries(self, texts: Mapping[str, Texts]) -> Iterable[tuple[str, bytes, Array | None]]:
        """The members: name, the bytes that it begins with, and the array whose values follow them."""

    def _lay_out(self, texts: Mapping[str, Texts]) -> None:
        self._members: dict[str, _Member] = {}
        self._end = 0
        for name, head, array in self._entries(texts):
            size = len(head) + (array.nbytes if array else 0)
            values = self._begin(array.name if array else name, name.encode("utf-8"), head, size)
            if array:
                self._starts[array.name] = values

    def _begin(self, key: str, name: bytes, head: bytes, size: int) -> int:
        """Write a member but for the values that follow `head`; where in the file they go, aligned."""
        member = self._members[key] = _Member(name, self._end, size, len(head), PieceCrc(size))
        member.crc.hear(0, head)
        wide = struct.pack("<2H2Q", 1, 16, size, size)
        spare = -(self._end + _LOCAL.size + len(name) + len(wide) + 4 + len(head)) % _ALIGNMENT
        extra = wide + struct.pack("<2H", _PADDING, spare) + bytes(spare)
        local = _LOCAL.pack(b"PK\3\4", *_COMMON, 0, _WIDE, _WIDE, len(name), len(extra)) + name + extra
        self._put_at(self._end, local + head)
        values = self._end + len(local) + len(head)
        self._end += len(local) + size
        return values

    def _hear(self, name: str, offset: int, data: memoryview) -> None:
        member = self._members[name]
        member.crc.hear(member.head + offset, data)

    def commit(self) -> None:
        """Put the checksums in their places and the directory at the end, then name the file."""
        try:
            self._put_at(self._end, self._directory())
        except OSError as error:
            raise write_error(self.path, error) from error
        super().commit()

    def _directory(self) -> bytes:
        directory = b""
        for member in self._members.values():
            crc = member.crc.value()
            self._put_at(member.start + _CRC_AT, struct.pack("<L", crc))
            extra = struct.pack("<2H3Q", 1, 24, member.size, member.size, member.start)
            lengths = len(member.name), len(extra), 0, 0, 0, 0, _WIDE
            directory += _CENTRAL.pack(b"PK\1\2", _VERSION, *_COMMON, crc, _WIDE, _WIDE, *lengths) + member.name + extra
        count, size, end = len(self._members), len(directory), self._end
        wide = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, _VERSION, _VERSION, 0, 0, count, count, size, end)
        locator = struct.pack("<4sLQL", b"PK\6\7", 0, end + size, 1)
        return directory + wide + locator + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, size, _WIDE, 0)
