"""Sizes that a writer left open, since it wrote into a pipe: libsndfile takes some for 0, and others for damage.

It is given a header that states them. Layouts: Microsoft (RIFF); Sony, "Wave64"; Apple, "Core Audio Format"; Sun, "AU".
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Literal

from convtool.files.recognition import Peek, id3_length
from convtool.signals.wav.chunks import UNKNOWN_SIZE, find_open_data

_WAVE64 = bytes.fromhex("f3acd3118cd100c04f8edb8a")
"""What follows the four letters of a name in Wave64."""

_OPEN = 1 << 62
"""No size is so large that is meant."""

_LOOKED_AT = 1000
"""Chunks that are looked at before the samples."""


def stated_sizes(kind: str, peek: Peek, size: int) -> dict[int, bytes]:
    """Where sizes of samples are open in the header of a file, and the bytes that state them.

    Args:
        kind: libsndfile's name of the format.
        peek: gives bytes of the file.
        size: of the file.
    """
    finders = {"WAV": _of_wav, "W64": _of_w64, "CAF": _of_caf, "AU": _of_au}
    return dict(finders[kind](peek, size)) if kind in finders else {}


def _of_wav(peek: Peek, size: int) -> Iterator[tuple[int, bytes]]:
    at = find_open_data(peek, id3_length(peek(0, 10)), size)
    if at is not None:
        yield at - 4, min(size - at, UNKNOWN_SIZE).to_bytes(4, "little")


def _of_w64(peek: Peek, size: int) -> Iterator[tuple[int, bytes]]:
    if int.from_bytes(peek(16, 8), "little") > _OPEN:
        yield 16, size.to_bytes(8, "little")
    for name, at, length in islice(_chunks_of_w64(peek, size), _LOOKED_AT):
        if name == b"data" and length > _OPEN:
            yield at + 16, (size - at).to_bytes(8, "little")


def _chunks_of_w64(peek: Peek, size: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, first byte and length of each chunk, which counts its head."""
    at = 40
    while at < size and (head := peek(at, 24))[4:16] == _WAVE64:
        length = int.from_bytes(head[16:], "little")
        yield head[:4], at, length
        at += max(24, length + -length % 8)
        if length > _OPEN:
            return


def _of_caf(peek: Peek, size: int) -> Iterator[tuple[int, bytes]]:
    for name, at, length in islice(_chunks_of_caf(peek, size), _LOOKED_AT):
        if name == b"data" and length < 0:
            yield at + 4, (size - at - 12).to_bytes(8, "big")


def _chunks_of_caf(peek: Peek, size: int) -> Iterator[tuple[bytes, int, int]]:
    at = 8
    while at < size and len(head := peek(at, 12)) == 12:
        length = int.from_bytes(head[4:], "big", signed=True)
        yield head[:4], at, length
        if length < 0:
            return
        at += 12 + length


def _of_au(peek: Peek, size: int) -> Iterator[tuple[int, bytes]]:
    order: Literal["big", "little"] = "big" if peek(0, 4) == b".snd" else "little"
    at = int.from_bytes(peek(4, 4), order)
    if peek(8, 4) == bytes(4) and at < size:
        yield 8, min(size - at, UNKNOWN_SIZE).to_bytes(4, order)
