"""Pictures in FLAC files, which libsndfile neither reads nor writes: blocks of metadata before the frames.

Layout: RFC 9639, sections 8.1 (block headers), 8.2 (STREAMINFO) and 8.8 (PICTURE).
"""

from __future__ import annotations

from convtool.files.recognition import Peek
from convtool.files.watched import WatchedFile

_PICTURE = 6
_FIRST = 4 + 4 + 34
"""Bytes of the marker and of STREAMINFO, which is the first block and has another behind it in what libFLAC writes."""

_MOST_BLOCKS = 4096
_MOST_BYTES = 1 << 25
"""As much as the pictures of a file may take that are kept beside its samples."""

_MASKS = {3: 0x7, 4: 0x33, 5: 0x607, 6: 0x60F, 7: 0x70F, 8: 0x63F}
"""The loudspeakers of three FLAC channels or more (section 9.1.3): at the sides where it leaves that open."""


def channel_mask(channels: int) -> int:
    """The loudspeakers that the channels of a FLAC file are for; 0 of one or two, which any WAV means so."""
    return _MASKS.get(channels, 0)


def read_pictures(peek: Peek, start: int) -> tuple[tuple[bytes, ...], tuple[str, ...]]:
    """The contents of the blocks PICTURE in the FLAC file that begins at byte `start`, and notes."""
    pictures: list[bytes] = []
    at, room = start + 4, _MOST_BYTES
    for _ in range(_MOST_BLOCKS):
        header = peek(at, 4)
        length = int.from_bytes(header[1:], "big")
        if header[:1] and header[0] & 0x7F == _PICTURE:
            room -= length
            if room < 0:
                return (), (f"its pictures are not kept: they take more than {_MOST_BYTES >> 20} MiB",)
            pictures.append(peek(at + 4, length))
        if not header or header[0] & 0x80:
            break
        at += 4 + length
    return tuple(pictures), ()


class PicturedFlac(WatchedFile):
    """A FLAC file that an encoder writes, with room for `pictures`, of which it knows nothing."""

    def __init__(self, descriptor: int, pictures: tuple[bytes, ...]) -> None:
        super().__init__(descriptor)
        self._blocks = b"".join(bytes([_PICTURE]) + len(each).to_bytes(3, "big") + each for each in pictures)

    def write(self, data: bytes) -> int:
        """As a file does; what stands behind the first block is moved on."""
        first = max(0, _FIRST - self._at)
        written = super().write(data[:first])
        self._at += len(self._blocks)
        written += super().write(data[first:])
        self._at -= len(self._blocks)
        return written

    def finish(self) -> None:
        """Put the pictures into their room, once the encoder has completed the file."""
        self._at = _FIRST
        super().write(self._blocks)
        self.check_writes()
