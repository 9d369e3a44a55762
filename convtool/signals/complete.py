"""Whether a file is all there, by what its own format says of its length: headers and the last bytes tell.

Text tells nothing of the kind, nor do some rare formats of audio: of these, and of what is none of the formats that are
known here, what is not empty is complete.
Layouts: as where each format is read; PNG: ISO/IEC 15948; JPEG: ITU-T T.81.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from convtool.arrays.numpy.header import read_header
from convtool.errors import InputError
from convtool.files.recognition import Peek
from convtool.signals.audio.flac import lacks_frames
from convtool.signals.audio.links import is_open_ogg, stated_end
from convtool.signals.wav.chunks import is_unstated

_SHORTEST = 12
"""Bytes that every file of the formats below has."""

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
    head = peek(0, _SHORTEST)
    if size < _SHORTEST:
        known = any(magic.startswith(head) or head.startswith(magic) for magic in _CHECKS)
        return f"it has {size} bytes" if known else ""
    is_cut = next((check for magic, check in _CHECKS.items() if head.startswith(magic)), None)
    return "it is cut off" if is_cut is not None and is_cut(peek, size) else ""


def _riff(peek: Peek, size: int) -> bool:
    wide = peek(0, 4) != b"RIFF"
    declared = int.from_bytes(peek(20, 8) if wide else peek(4, 4), "little")
    return not is_unstated(declared) and declared + 8 > size


def _form(peek: Peek, size: int) -> bool:
    return int.from_bytes(peek(4, 4), "big") + 8 > size


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


_CHECKS: dict[bytes, Callable[[Peek, int], bool]] = {
    b"RIFF": _riff,
    b"RF64": _riff,
    b"FORM": _form,
    b"riff": _wave64,
    b".snd": _au,
    b"caff": _caf,
    b"Creative Voice File\x1a"[:_SHORTEST]: _voc,
    b"\x93NUMPY": _npy,
    b"fLaC": lacks_frames,
    b"OggS": is_open_ogg,
    b"ID3": _mp3,
    **{bytes([0xFF, second]): _mp3 for second in range(0xE0, 0x100)},
    b"\x89PNG": lambda peek, size: peek(size - 8, 4) != b"IEND",
    b"\xff\xd8": lambda peek, size: peek(size - 2, 2) != b"\xff\xd9",
}
"""By its first bytes, whether a file of so many bytes is cut off."""
