"""Streams that stand one behind the other in a file: libsndfile reads the first and says that this was all.

Ogg: RFC 3533, section 4 (chained streams); FLAC: RFC 9639; MPEG audio: files put one behind the other.
"""

from __future__ import annotations

from convtool.files.recognition import Peek, holds_mpeg_frames, id3_length

_BEGINS, _ENDS, _PAGE = 2, 4, 27
_LONGEST_PAGE = _PAGE + 255 + 255 * 255
_SEARCHED = 1 << 20
_READ_AHEAD = 1 << 17
"""Bytes that a decoder may have taken of what follows its stream."""

_COUNT_AND_BYTES = 3
_FLAC = b"fLaC"
_STREAMINFO = b"\0\0\x22"


def first_byte(format: str, peek: Peek, size: int) -> int:
    """Where the first stream begins: in FLAC files, tags of other formats may stand before it."""
    return (_next_flac(peek, 0, size) or 0) if format == "FLAC" else 0


def last_byte(format: str, peek: Peek, start: int, size: int) -> int | None:
    """Where the stream ends that begins at byte `start`, where it says so and more follows; else None.

    That is for MPEG audio, whose decoder mistakes the length of a short stream when it sees what follows. The length
    stands in the first frame, behind `Xing` or `Info`, the number of frames and flags that say what is there.
    """
    end = stated_end(peek, start) if format == "MP3" else None
    return end if end is not None and end < size and _next_mpeg(peek, end) is not None else None


def stated_end(peek: Peek, start: int) -> int | None:
    """The byte behind the stream of MPEG audio from byte `start` on, by its first frame; None where that says none."""
    while tag := id3_length(peek(start, 10)):
        start += tag
    head = peek(start, 256)
    at = max(head.find(b"Xing"), head.find(b"Info"))
    flags = int.from_bytes(head[at + 4 : at + 8], "big")
    if at < 0 or flags & _COUNT_AND_BYTES != _COUNT_AND_BYTES:
        return None
    return start + int.from_bytes(head[at + 12 : at + 16], "big")


def is_open_ogg(peek: Peek, size: int) -> bool:
    """Whether an Ogg file of `size` bytes breaks off: it does not end with a page that says that it is the last."""
    tail = peek(max(0, size - _LONGEST_PAGE), _LONGEST_PAGE)
    at = tail.rfind(b"OggS")
    if at < 0 or len(tail) < at + _PAGE or not tail[at + 5] & _ENDS:
        return True
    lacing = tail[at + _PAGE : at + _PAGE + tail[at + _PAGE - 1]]
    return at + _PAGE + tail[at + _PAGE - 1] + sum(lacing) > len(tail)


def next_link(format: str, peek: Peek, start: int, at: int, size: int) -> int | None:
    """The first byte of the stream that follows the one from byte `start` on, or None.

    Args:
        format: ``OGG``, ``FLAC`` or ``MP3``; of the others, none follows.
        peek: gives bytes of the file.
        start: where the stream begins that was read to its end.
        at: the byte behind it, or the one that the decoder would have read next.
        size: of the file.
    """
    if format == "OGG":
        return _next_ogg(peek, start)
    if format == "FLAC":
        return _next_flac(peek, max(start + len(_FLAC), at - _READ_AHEAD), size)
    return _next_mpeg(peek, at) if format == "MP3" else None


def _next_ogg(peek: Peek, start: int) -> int | None:
    """The first page that begins a stream after pages that went on with others."""
    begun = False
    while len(head := peek(start, _PAGE + 255)) >= _PAGE and head.startswith(b"OggS"):
        begins = head[5] & _BEGINS != 0
        if begins and begun:
            return start
        begun = begun or not begins
        segments = head[26]
        start += _PAGE + segments + sum(head[_PAGE : _PAGE + segments])
    return None


def _next_flac(peek: Peek, at: int, size: int) -> int | None:
    """The next marker with the block behind it that must follow it."""
    while at < size:
        part = peek(at, _SEARCHED + 8)
        found = part.find(_FLAC)
        while found >= 0:
            if part[found + 5 : found + 8] == _STREAMINFO and part[found + 4] & 0x7F == 0:
                return at + found
            found = part.find(_FLAC, found + 1)
        at += _SEARCHED
    return None


def _next_mpeg(peek: Peek, at: int) -> int | None:
    """`at`, where a tag or frames stand; what is no frame (lyrics, APE and ID3v1 tags) ends a file."""
    head = peek(at, 4096)
    return at if id3_length(head) or (head[:1] == b"\xff" and holds_mpeg_frames(head, at_start=True)) else None
