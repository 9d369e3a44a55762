"""Comments in Ogg files: all of them read, and all written, where libsndfile knows nine names.

Layout: RFC 3533 (Ogg); Xiph.Org, "Ogg Vorbis I format specification"; RFC 7845 (Opus in Ogg).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from convtool.files.recognition import Peek
from convtool.files.watched import WatchedFile
from convtool.signals.audio.checksum import crc
from convtool.signals.comments import Comments, comments_block, parse_comments

_HEADER = 27
"""Bytes of a page before the table of its segments."""

_CHECKSUM = slice(22, 26)
_CRC32 = 0x04C11DB7, 32
_SEGMENTS = 255
"""As many as a page has, and as long as each of them is, at the most."""

_CONTINUED = 1
_KINDS = {b"\3vorbis": b"\1", b"OpusTags": b""}
"""What a packet of comments begins with, and ends with."""

MOST_BYTES = 48 << 10
"""As long as comments may be that stand in one page, beside up to 16 KiB that the decoder of Vorbis needs."""

_MOST_READ = 1 << 25
_MOST_PAGES = 4096


def read_comments(peek: Peek) -> Comments:
    """The comments of an Ogg file of Vorbis or Opus, which are its second packet; none of another."""
    packet = _second_packet(peek)
    kind = next((kind for kind in _KINDS if packet.startswith(kind)), None)
    return () if kind is None else parse_comments(packet[len(kind) :])


def _second_packet(peek: Peek) -> bytes:
    """As far as it is there: a packet that goes on beyond what is kept is cut."""
    found = bytearray()
    serial = peek(14, 4)
    for number, (header, lacing, content) in enumerate(_pages(peek)):
        if number == 0 or header[14:18] != serial:
            continue
        ends = next((place for place, length in enumerate(lacing) if length < _SEGMENTS), None)
        found += content[: sum(lacing if ends is None else lacing[: ends + 1])]
        if ends is not None or len(found) > _MOST_READ:
            break
    return bytes(found)


def _pages(peek: Peek) -> Iterator[tuple[bytes, bytes, bytes]]:
    """The header, the table of segments and the content of each page."""
    at = 0
    for _ in range(_MOST_PAGES):
        header = peek(at, _HEADER)
        if len(header) < _HEADER or not header.startswith(b"OggS"):
            return
        lacing = peek(at + _HEADER, header[-1])
        at += _HEADER + len(lacing)
        yield header, lacing, peek(at, sum(lacing))
        at += sum(lacing)


class ToldOgg(WatchedFile):
    """An Ogg file that an encoder writes from its beginning to its end, with `comments` put behind its own.

    An encoder's second page begins with its comments. It is kept back until it is whole.
    """

    def __init__(self, descriptor: int, comments: Comments) -> None:
        super().__init__(descriptor)
        self._comments = comments
        self._held: bytes | None = b""
        self._moved = 0
        self.fits = True
        """Whether the comments stand in the file."""

    def write(self, data: bytes) -> int:
        """As a file does; what stands behind the second page is moved on."""
        if self._held is None:
            self._at += self._moved
            written = super().write(data)
            self._at -= self._moved
            return written
        self._held += bytes(data)
        self._at += len(data)
        pages = list(_pages(lambda at, count: (self._held or b"")[at : at + count]))
        if len(pages) > 1 and len(pages[1][2]) == sum(pages[1][1]):
            self._put(pages)
        return len(data)

    def _put(self, pages: list[tuple[bytes, bytes, bytes]]) -> None:
        held, self._held = self._held or b"", None
        first = len(b"".join(pages[0]))
        own = b"".join(pages[1])
        told = with_comments(*pages[1], self._comments)
        self.fits = told is not None
        told = told or own
        self._at = 0
        super().write(held[:first] + told + held[first + len(own) :])
        self._moved = len(told) - len(own)
        self._at -= self._moved

    def finish(self) -> None:
        """Write what is still kept back: all of a file without a second page."""
        if self._held is not None:
            held, self._held, self._at, self.fits = self._held, None, 0, False
            super().write(held)
        self.check_writes()


def with_comments(header: bytes, lacing: bytes, content: bytes, comments: Comments) -> bytes | None:
    """A page that begins with comments, with more of them behind these; None where there is no room, or none are.

    Args:
        header: of the page.
        lacing: the table of its segments.
        content: of these.
        comments: to be added.
    """
    kind = next((kind for kind in _KINDS if content.startswith(kind)), None)
    ends = next((place for place, length in enumerate(lacing) if length < _SEGMENTS), None)
    if kind is None or ends is None or header[5] & _CONTINUED:
        return None
    length = sum(lacing[: ends + 1])
    block = content[len(kind) : length]
    vendor = block[4 : 4 + int.from_bytes(block[:4], "little")].decode("utf-8", "replace")
    packet = kind + comments_block(vendor, (*parse_comments(block), *comments)) + _KINDS[kind]
    table = bytes([_SEGMENTS] * (len(packet) // _SEGMENTS) + [len(packet) % _SEGMENTS]) + lacing[ends + 1 :]
    if len(table) > _SEGMENTS:
        return None
    page = bytearray(header[:-1] + bytes([len(table)]) + table + packet + content[length:])
    page[_CHECKSUM] = bytes(4)
    page[_CHECKSUM] = struct.pack("<I", crc(page, *_CRC32))
    return bytes(page)
