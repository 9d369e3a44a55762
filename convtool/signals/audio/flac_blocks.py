"""Blocks of metadata before the frames of FLAC files: pictures and comments, of which libsndfile knows few or none.

Layout: RFC 9639, sections 8.1 (block headers), 8.2 (STREAMINFO), 8.3 (PADDING), 8.6 (VORBIS_COMMENT), 8.8 (PICTURE).
"""

from __future__ import annotations

import os
from typing import NamedTuple

from convtool.files.recognition import Peek
from convtool.files.watched import WatchedFile
from convtool.signals.comments import Comments, parse_comments

_PADDING, _COMMENTS, _PICTURE = 1, 4, 6
_PASSED_OVER = {2: "APPLICATION", 5: "CUESHEET"}
"""Blocks that say something of the recording and go into no output."""

_LAST = 0x80
_FIRST = 4 + 4 + 34
"""Bytes of the marker and of STREAMINFO, which is the first block and has another behind it in what libFLAC writes."""

_MOST_BLOCKS = 4096
_MOST_BYTES = 1 << 25
"""As much as the pictures of a file may take that are kept beside its samples."""

MOST_COMMENTS = (1 << 24) - 1
"""Bytes that the comments of a FLAC file have at the most, as any of its blocks."""

_MASKS = {3: 0x7, 4: 0x33, 5: 0x607, 6: 0x60F, 7: 0x70F, 8: 0x63F}
"""The loudspeakers of three FLAC channels or more (section 9.1.3): at the sides where it leaves that open."""


def channel_mask(channels: int) -> int:
    """The loudspeakers that the channels of a FLAC file are for; 0 of one or two, which any WAV means so."""
    return _MASKS.get(channels, 0)


class Blocks(NamedTuple):
    """What the blocks of a FLAC file say."""

    pictures: tuple[bytes, ...] = ()
    """The contents of the blocks PICTURE."""
    comments: Comments = ()
    passed_over: tuple[str, ...] = ()
    """Names of the blocks that go into no output."""
    notes: tuple[str, ...] = ()


def read_blocks(peek: Peek, start: int) -> Blocks:
    """What the blocks say in the FLAC file that begins at byte `start`."""
    pictures: list[bytes] = []
    comments: Comments = ()
    passed_over: list[str] = []
    notes: list[str] = []
    at, room = start + 4, _MOST_BYTES
    for _ in range(_MOST_BLOCKS):
        header = peek(at, 4)
        kind, length = header[0] & 0x7F if header else -1, int.from_bytes(header[1:], "big")
        if kind == _PICTURE:
            room -= length
            pictures.append(peek(at + 4, length) if room >= 0 else b"")
        elif kind == _COMMENTS and not comments:
            comments = parse_comments(peek(at + 4, length))
        elif kind in _PASSED_OVER:
            passed_over.append(_PASSED_OVER[kind])
        if not header or header[0] & _LAST:
            break
        at += 4 + length
    if room < 0:
        pictures, notes = [], [f"its pictures are not kept: they take more than {_MOST_BYTES >> 20} MiB"]
    return Blocks(tuple(pictures), comments, tuple(passed_over), tuple(notes))


class ToldFlac(WatchedFile):
    """A FLAC file that an encoder writes, with room for blocks of which it knows nothing.

    Args:
        descriptor: the file.
        comments: the content of the block VORBIS_COMMENT, instead of the encoder's own; nothing leaves that.
        pictures: the contents of the blocks PICTURE.
    """

    def __init__(self, descriptor: int, comments: bytes, pictures: tuple[bytes, ...]) -> None:
        super().__init__(descriptor)
        self._commented = bool(comments)
        blocks = [*([(_COMMENTS, comments)] if comments else []), *((_PICTURE, each) for each in pictures)]
        self._blocks = b"".join(bytes([kind]) + len(each).to_bytes(3, "big") + each for kind, each in blocks)

    def write(self, data: bytes) -> int:
        """As a file does; what stands behind the first block is moved on."""
        first = max(0, _FIRST - self._at)
        written = super().write(data[:first])
        self._at += len(self._blocks)
        written += super().write(data[first:])
        self._at -= len(self._blocks)
        return written

    def finish(self) -> None:
        """Put the blocks into their room, once the encoder has completed the file; its own comments become padding."""
        self._at = _FIRST
        super().write(self._blocks)
        header = os.pread(self.descriptor, 4, self._at)
        if self._commented and header[0] & 0x7F == _COMMENTS:
            super().write(bytes([header[0] & _LAST | _PADDING]) + header[1:] + bytes(int.from_bytes(header[1:], "big")))
        self.check_writes()
