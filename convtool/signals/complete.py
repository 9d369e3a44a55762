"""Whether a file is all there, by what its own format says of its length or of its end: its first and last bytes tell.

Text tells nothing of the kind, nor do some rare formats of audio: of these, and of what is none of the formats that are
known here, what is not empty is complete.
Layouts: as where each format is read; PNG: ISO/IEC 15948; JPEG: ITU-T T.81.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable

from convtool.arrays.numpy.header import read_header
from convtool.errors import InputError
from convtool.files.recognition import Peek
from convtool.signals.audio.flac import lacks_frames
from convtool.signals.audio.links import is_open_ogg, stated_end
from convtool.signals.wav.chunks import is_unstated

_HEAD = 16
"""Bytes at the beginning that tell what a file is."""

_TAIL = 1 << 16
"""Bytes at the end in which a picture's end is looked for: other programs write behind it."""

_PAD = 1
"""The byte that evens out the last chunk, which some writers count and leave out."""

_ID3V1, _APE = 128, 32
"""Bytes of a tag behind the sound, and of the end of another kind."""

_CHUNKS = 1000
"""Chunks of a CAF before its samples that are looked at."""


def shortage(path: str) -> str:
    """What is wrong with the file at `path`; nothing of one that is complete, and of what can't be looked at.

    Args:
        path: of this machine.
    """
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            return _lack(lambda at, count: os.pread(file.fileno(), count, at), size)
    except OSError:
        return ""


def _lack(peek: Peek, size: int) -> str:
    if not size:
        return "it is empty"
    head = peek(0, _HEAD)
    if size < _HEAD:
        known = any(start.startswith(head) or head.startswith(start) for start, _, _ in _FORMATS)
        return f"it has {size} bytes" if known else ""
    for start, more, is_cut in _FORMATS:
        if re.match(re.escape(start) + more, head, re.DOTALL):
            return "it is cut off" if is_cut(peek, size) else ""
    return ""


def _riff(peek: Peek, size: int) -> bool:
    wide = peek(0, 4) != b"RIFF"
    declared = int.from_bytes(peek(20, 8) if wide else peek(4, 4), "little")
    return not is_unstated(declared) and declared + 8 > size + _PAD


def _form(peek: Peek, size: int) -> bool:
    return int.from_bytes(peek(4, 4), "big") + 8 > size + _PAD


def _wave64(peek: Peek, size: int) -> bool:
    return int.from_bytes(peek(16, 8), "little") > size


def _au(peek: Peek, size: int) -> bool:
    start, length = int.from_bytes(peek(4, 4), "big"), int.from_bytes(peek(8, 4), "big")
    return not is_unstated(length) and start + length > size


def _caf(peek: Peek, size: int) -> bool:
    at = 8
    for _ in range(_CHUNKS):
        length = int.from_bytes(peek(at + 4, 8), "big", signed=True)
        if peek(at, 4) == b"data":
            return at + 12 + length > size
        at += 12 + max(0, length)
    return True


def _voc(peek: Peek, size: int) -> bool:
    at = int.from_bytes(peek(20, 2), "little")
    return at + 4 + int.from_bytes(peek(at + 1, 3), "little") > size


def _npy(peek: Peek, size: int) -> bool:
    at = 0

    def read(count: int) -> bytes:
        nonlocal at
        data = peek(at, count)
        at += len(data)
        return data

    try:
        header = read_header(read)
    except InputError:
        return True
    return size - header.size < header.count * header.itemsize


def _mp3(peek: Peek, size: int) -> bool:
    end = stated_end(peek, 0)
    return end is not None and end > size


def _flac(peek: Peek, size: int) -> bool:
    end = size - _ID3V1 if size > _ID3V1 and peek(size - _ID3V1, 3) == b"TAG" else size
    return b"APETAGEX" not in peek(max(0, end - _APE), _APE) and lacks_frames(peek, end)


def _ends_with(end: bytes) -> Callable[[Peek, int], bool]:
    return lambda peek, size: end not in peek(max(0, size - _TAIL), _TAIL)


_FORMATS: tuple[tuple[bytes, bytes, Callable[[Peek, int], bool]], ...] = (
    (b"RIFF", b"....WAVE", _riff),
    (b"RF64", b"....WAVE", _riff),
    (b"FORM", b"....(AIF[FC]|8SVX|16SV)", _form),
    (b"riff\x2e\x91\xcf\x11", b"", _wave64),
    (b".snd", b"\0", _au),
    (b"caff\0\1", b"", _caf),
    (b"Creative Voice F", b"", _voc),
    (b"\x93NUMPY", b"", _npy),
    (b"fLaC", b"[\0\x80]", _flac),
    (b"OggS\0", b"", is_open_ogg),
    (b"ID3", b"[\2-\4]", _mp3),
    (b"\xff", b"[\xe2-\xfb][^\0]", _mp3),
    (b"\x89PNG\r\n\x1a\n", b"", _ends_with(b"IEND\xae\x42\x60\x82")),
    (b"\xff\xd8\xff", b"", _ends_with(b"\xff\xd9")),
)
"""How a file begins, what must stand behind that, and whether one of so many bytes is cut off."""
