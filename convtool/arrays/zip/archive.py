"""Zip archives of weights: what is in them, and their members' bytes, within limits and checked.

    with Archive(path) as archive:              # InputError where the directory is damaged, or lies
        for member in archive.members:          # files alone; of several of one name, the last
            archive.read(member, limit=4096)    # all of it: InputError beyond the limit, or where it is damaged
            stream = archive.open(member)       # or piece by piece, from several threads if need be
            stream.read(80)

The standard library reads the directory; the members are read here, by position: NumPy, torch and Keras store or
deflate them and nothing else, which leaves little to read and keeps the memory flat whatever a member declares.
Format: APPNOTE.TXT 6.3.10, 4.3 (PKWARE).
"""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from convtool.arrays.description import PIECE_BYTES, VALUES_LIMIT, some
from convtool.errors import InputError
from convtool.files.remote_file import RemoteFile, pread, size_of
from convtool.files.urls import is_url

MEMBERS_LIMIT = 1 << 16
"""Members that an archive may have."""

_DIRECTORY_LIMIT = 16 << 20
"""Bytes that the directory may have: the standard library takes 20 times as many for it."""

_LOCAL_HEADER = 30
_DEFLATE_RATIO = 1032
"""No deflated byte gives more: 258 bytes cost at least two bits."""

_BOMB_RATIO = 100
"""Beyond it hardly anything but constant numbers is packed; weights are random and stay under 10."""


@dataclass(frozen=True)
class Member:
    """A file in an archive, as the directory declares it."""

    name: str
    size: int
    """Bytes when unpacked."""
    packed: int
    """Bytes in the archive."""
    deflated: bool
    crc: int
    """Checksum; 0 where the writer left it out, as torch can be told to."""
    offset: int
    """Where its local header begins."""
    flag: str
    """Why it can't be opened, or nothing."""

    @property
    def outside(self) -> bool:
        """Whether it has a name that would lead out of the folder that the archive were unpacked into."""
        return self.name.startswith(("/", "\\")) or ".." in self.name.replace("\\", "/").split("/")

    @property
    def mismatch(self) -> str:
        """What to tell where its bytes are not those of its checksum."""
        return f"member {self.name!r} is damaged: its checksum (CRC) does not match"


class Archive:
    """The zip archive at `path`, or in the bytes of that file from a start on, of which there are so many.

    Raises:
        InputError: the directory is damaged, has more than `MEMBERS_LIMIT` members or members that overlap.
        OSError: the file can't be opened.
    """

    members: tuple[Member, ...]
    """In the directory's order, without folders."""
    notes: list[str]
    """What there is to say of their names, in a line each."""

    def __init__(self, path: str, stretch: tuple[int, int] | None = None) -> None:
        self._file = _BoundedRemote(path) if is_url(path) else _Bounded(path, stretch)
        self._place = self._file if isinstance(self._file, RemoteFile) else self._file.fileno()
        try:
            entries = [entry for entry in _directory(self._file) if not entry.filename.endswith("/")]
        except BaseException:
            self._file.close()
            raise
        last = {entry.filename: entry for entry in entries}
        start = 0 if isinstance(self._file, RemoteFile) else self._file.start
        size = size_of(self._place) if isinstance(self._file, RemoteFile) else self._file.size
        self.members = _described(list(last.values()), start=start, size=size)
        self.notes = []
        if doubled := [name for name, count in Counter(entry.filename for entry in entries).items() if count > 1]:
            self.notes.append(f"several members of one name, of which the last counts: {some(doubled)}")
        if outside := [member.name for member in self.members if member.outside]:
            self.notes.append(
                f"members with names that lead out of the archive, where nothing is written: {some(outside)}"
            )
        self._names = {member.name: member for member in self.members}

    def find(self, name: str) -> Member | None:
        """The member called `name`, or None."""
        return self._names.get(name)

    def open(self, member: Member) -> MemberStream:
        """The bytes of `member` from its first one on.

        Raises:
            InputError: it has a flag, or its local header is damaged.
        """
        if member.flag:
            raise InputError(f"member {member.name!r} {member.flag}")
        return MemberStream(self._place, member)

    def stretch(self, member: Member) -> tuple[int, int] | None:
        """Where in the file the bytes of `member` begin, and how many they are; None where they are packed.

        Raises:
            InputError: as `open` does.
        """
        stream = self.open(member)
        return None if member.deflated else (stream.start, member.size)

    def read(self, member: Member, *, limit: int) -> bytes:
        """All bytes of `member`.

        Raises:
            InputError: it unpacks to more than `limit` bytes, or is damaged.
        """
        if member.size > limit:
            raise InputError(f"member {member.name!r} unpacks to {member.size} bytes; the limit is {limit}")
        return self.open(member).read(member.size)

    def close(self) -> None:
        """Close the file; streams of its members can't be read any more."""
        self._file.close()

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class MemberStream:
    """The bytes of one member in order. Streams of one archive may be read by different threads."""

    def __init__(self, file: int | RemoteFile, member: Member) -> None:
        self._file, self._member = file, member
        self.start = self._data_offset()
        """Where in the file its bytes, or what they are packed in, begin."""
        self._at, self._left, self._crc = self.start, member.size, 0
        self._packed_left = member.packed
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS) if member.deflated else None
        self._checked = member.crc != 0

    def _data_offset(self) -> int:
        head = self._at_position(_LOCAL_HEADER, self._member.offset)
        if len(head) < _LOCAL_HEADER or not head.startswith(b"PK\3\4"):
            raise InputError(f"member {self._member.name!r} has no header where the directory says")
        name, extra = int.from_bytes(head[26:28], "little"), int.from_bytes(head[28:30], "little")
        return self._member.offset + _LOCAL_HEADER + name + extra

    def read(self, count: int) -> bytes:
        """The next `count` bytes, fewer only at the member's end.

        Raises:
            InputError: the member is damaged, or the file shrank. Once the last byte is read, so is the checksum.
        """
        parts = []
        while count and self._left:
            part = self._next(min(count, self._left, PIECE_BYTES))
            if not part:
                raise InputError(f"member {self._member.name!r} is truncated: {self._left} bytes are missing")
            parts.append(part)
            count -= len(part)
            self._left -= len(part)
            if self._checked:
                self._crc = zlib.crc32(part, self._crc)
        if self._checked and not self._left and self._crc != self._member.crc:
            raise InputError(self._member.mismatch)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def skip(self, count: int) -> None:
        """Leave out the next `count` bytes; the checksum of a stored member can't be told any more."""
        count = min(count, self._left)
        if self._inflate is None:
            self._at, self._left, self._packed_left = self._at + count, self._left - count, self._packed_left - count
            self._checked = self._checked and not count
            return
        for start in range(0, count, PIECE_BYTES):
            self.read(min(PIECE_BYTES, count - start))

    def _next(self, count: int) -> bytes:
        """Some bytes, at most `count`; none at the end of what is there."""
        if self._inflate is None:
            return self._packed(count)
        try:
            while True:
                packed = self._inflate.unconsumed_tail or self._packed(64 << 10)
                part = self._inflate.decompress(packed, count)
                if part or not packed or self._inflate.eof:
                    return part
        except zlib.error as error:
            raise InputError(f"member {self._member.name!r} is damaged: it can't be unpacked") from error

    def _packed(self, count: int) -> bytes:
        packed = self._at_position(min(count, self._packed_left), self._at)
        self._at += len(packed)
        self._packed_left -= len(packed)
        return packed

    def _at_position(self, count: int, start: int) -> bytes:
        try:
            return pread(self._file, count, start)
        except OSError as error:
            raise InputError(f"member {self._member.name!r} can't be read: {error.strerror}") from error


class _Bounded(io.FileIO):
    """A file, or a stretch of one, of which no more is read at once than a directory may have."""

    def __init__(self, path: str, stretch: tuple[int, int] | None) -> None:
        super().__init__(path)
        self.start, self.size = stretch or (0, os.fstat(self.fileno()).st_size)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        before = self.start + (self.size if whence == os.SEEK_END else 0)
        return super().seek(max(self.start, before + offset)) - self.start

    def tell(self) -> int:
        return super().tell() - self.start

    def read(self, size: int | None = -1, /) -> bytes:
        left = max(0, self.size - self.tell())
        count = left if size is None or size < 0 else min(size, left)
        _bounded(max(count, size or 0))
        return super().read(count)


class _BoundedRemote(RemoteFile):
    """The same of a file at a URL."""

    def read(self, size: int | None = -1, /) -> bytes | None:
        return super().read(-1 if (count := _bounded(size)) is None else count)


def _bounded(size: int | None) -> int | None:
    if size is not None and size > _DIRECTORY_LIMIT:
        raise InputError(f"the zip directory declares {size} bytes; the limit is {_DIRECTORY_LIMIT}")
    return size


def _directory(file: Any) -> list[zipfile.ZipInfo]:
    try:
        entries = zipfile.ZipFile(file).infolist()
    except InputError:
        raise
    except Exception as error:  # zipfile raises half a dozen kinds on damage
        raise InputError("the zip archive is damaged: its directory can't be read") from error
    if len(entries) > MEMBERS_LIMIT:
        raise InputError(f"the zip archive has {len(entries)} members; the limit is {MEMBERS_LIMIT}")
    for first, second in pairwise(sorted(entries, key=lambda entry: entry.header_offset)):
        if first.header_offset + _LOCAL_HEADER + first.compress_size > second.header_offset:
            raise InputError(f"members {first.filename!r} and {second.filename!r} of the zip archive overlap")
    if entries and (outer := _not_listed(file, entries)):
        raise InputError(
            "the zip archive is damaged: it begins with a member that its directory does not have, "
            f"{outer!r:.200}; the directory is that of an archive within, and its own is cut off"
        )
    return entries


def _not_listed(file: Any, entries: list[zipfile.ZipInfo]) -> str:
    """The member that the file begins with, where the directory knows no member of that name; or nothing.

    The standard library takes the last directory for that of the file, whatever stands in front of its archive.
    """
    if min(entry.header_offset for entry in entries) == 0:
        return ""
    file.seek(0)
    head = file.read(_LOCAL_HEADER)
    if not head.startswith(b"PK\3\4"):
        return ""
    name = file.read(int.from_bytes(head[26:28], "little"))
    spelled = {name.decode(encoding, "replace") for encoding in ("utf-8", "cp437")}
    return "" if spelled & {entry.orig_filename for entry in entries} else name.decode("utf-8", "replace")


def _described(entries: list[zipfile.ZipInfo], *, start: int, size: int) -> tuple[Member, ...]:
    dense = sum(entry.file_size for entry in entries if entry.file_size > _BOMB_RATIO * entry.compress_size)
    return tuple(
        Member(
            name=entry.filename,
            size=entry.file_size,
            packed=entry.compress_size,
            deflated=entry.compress_type == zipfile.ZIP_DEFLATED,
            crc=entry.CRC,
            offset=start + entry.header_offset,
            flag=_flag(entry, file_size=size, dense=dense),
        )
        for entry in entries
    )


def _flag(entry: zipfile.ZipInfo, *, file_size: int, dense: int) -> str:
    size, packed = entry.file_size, entry.compress_size
    if entry.flag_bits & 1:
        return "is encrypted"
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return f"is packed by method {entry.compress_type}; expected stored (0) or deflated (8)"
    if not 0 <= entry.header_offset <= file_size - _LOCAL_HEADER - packed:
        return f"declares {packed} bytes from {entry.header_offset} on; the file has {file_size}"
    if size > packed * _DEFLATE_RATIO or (entry.compress_type == zipfile.ZIP_STORED and size != packed):
        return f"declares {size} bytes, which its {packed} packed ones can't give"
    if size > _BOMB_RATIO * packed and dense > VALUES_LIMIT:
        return f"unpacks, with others packed over {_BOMB_RATIO} times, to {dense} bytes; the limit is {VALUES_LIMIT}"
    return ""
