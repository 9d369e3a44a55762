"""The chunks of a WAV file: what they say of the samples, and where these are.

Layout: Microsoft "Multimedia Programming Interface and Data Specifications 1.0" (RIFF) and "Multiple Channel Audio
Data and WAVE Files" (the extensible format); EBU Tech 3306 (RF64 and ds64); ITU-R BS.2088 (BW64).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from convtool.files.names import counted
from convtool.files.recognition import Peek
from convtool.signals.metadata import KEPT_CHUNKS

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
UNKNOWN_SIZE = 0xFFFFFFFF
SUBTYPES = {
    "PCM_U8": (PCM, 8),
    "PCM_16": (PCM, 16),
    "PCM_24": (PCM, 24),
    "PCM_32": (PCM, 32),
    "FLOAT": (FLOAT, 32),
    "DOUBLE": (FLOAT, 64),
}
"""The encodings that are read and written here, each with its format code and its bits."""

_HALF = (FLOAT, 16)
"""Floats of 16 bits, which are only read."""

GUID = bytes.fromhex("000000001000800000aa00389b71")
"""What follows the format code in the extensible format."""

_AMBISONIC = bytes.fromhex("00002107d3118644c8c1ca000000")
_BY_CODE = {code: name for name, code in SUBTYPES.items()} | {_HALF: "FLOAT"}
_CHANNELS = 1024
"""As many as libsndfile takes."""

_KEPT_BYTES = 1 << 20
"""As long as a chunk may be that is kept beside the samples."""

_KEPT = frozenset(name.encode() for name in KEPT_CHUNKS)
_FORMAT = struct.Struct("<HHIIHH")
_FORMAT_SIZE = 40


@dataclass(frozen=True)
class Layout:
    """What the chunks of a WAV say."""

    format: str
    """``WAV``, ``WAVEX`` (the extensible format) or ``RF64``."""
    subtype: str
    bits: int
    channels: int
    sample_rate: int
    channel_mask: int
    """The loudspeakers that the channels are for, a bit each; 0 where the file does not say."""
    data: tuple[tuple[int, int | None], ...]
    """Where samples begin and how many bytes they take; None up to the file's end."""
    missing: tuple[int, int] | None = field(default=None)
    """Bytes that are declared and bytes that are there, where these are fewer."""
    kept: tuple[tuple[str, bytes], ...] = ()
    """Chunks that say something of the recording."""
    notes: tuple[str, ...] = ()

    @property
    def frame(self) -> int:
        """Bytes of one sample of all channels."""
        return self.channels * self.bits // 8


@dataclass(frozen=True)
class _Format:
    subtype: str
    bits: int
    channels: int
    sample_rate: int
    extensible: bool
    channel_mask: int


def read_layout(peek: Peek, start: int, size: int | None) -> Layout | None:
    """What the WAV says that begins at byte `start`; None where libsndfile had better look at it.

    That is for encodings that are not numbers of NumPy, and for headers that contradict themselves.

    Args:
        peek: gives bytes of the file.
        start: behind an ID3 tag, or 0.
        size: of the file; None of a pipe, whose chunks behind the samples are not looked at.

    Raises:
        InputError: there are no samples in it, or they are of a kind that nothing here reads.
    """
    riff = peek(start, 12)
    found: _Format | None = None
    data: list[tuple[int, int | None]] = []
    kept: list[tuple[str, bytes]] = []
    notes: list[str] = []
    for name, at, length in _chunks(peek, start + 12, size):
        if name == b"fmt " and found is None:
            found = _parse(peek(at, min(length, _FORMAT_SIZE)))
            if found is None:
                return None
        elif name in _KEPT:
            _keep(name.decode(), peek, at, length, kept, notes)
        elif name == b"data":
            if found is None:
                return None
            open_ended = is_unstated(length) and not _is_empty(riff, start, length, size)
            data.append((at, None if open_ended else length))
            if size is None or open_ended:
                break
    if found is None or not data:
        return None
    form = "RF64" if riff[:4] != b"RIFF" else "WAVEX" if found.extensible else "WAV"
    there, missing = _there(data, size)
    return Layout(
        form,
        found.subtype,
        found.bits,
        found.channels,
        found.sample_rate,
        found.channel_mask,
        there,
        missing,
        tuple(kept),
        tuple(notes),
    )


def read_told(peek: Peek, start: int, size: int) -> tuple[tuple[tuple[str, bytes], ...], int, tuple[str, ...]]:
    """What a WAV says of itself whose samples libsndfile reads: chunks to keep, the channel mask, and notes.

    The arguments are those of `read_layout`.
    """
    kept: list[tuple[str, bytes]] = []
    notes: list[str] = []
    mask = 0
    for name, at, length in _chunks(peek, start + 12, size):
        if name == b"fmt ":
            mask = _mask(peek(at, min(length, _FORMAT_SIZE)))
        elif name in _KEPT:
            _keep(name.decode(), peek, at, length, kept, notes)
        elif name == b"data" and is_unstated(length):
            break
    return tuple(kept), mask, tuple(notes)


def _keep(name: str, peek: Peek, at: int, length: int, kept: list[tuple[str, bytes]], notes: list[str]) -> None:
    """Keep a chunk, unless it is too long."""
    if length <= _KEPT_BYTES:
        kept.append((name, peek(at, length)))
    else:
        notes.append(f"chunk {name.strip()} is not kept: it has {counted(length, 'byte')}")


def _is_empty(riff: bytes, start: int, length: int, size: int | None) -> bool:
    """Whether a data chunk of size 0 means it: the size of the whole RIFF is that of the file."""
    return length == 0 and size is not None and int.from_bytes(riff[4:8], "little") == size - start - 8


def _there(
    data: list[tuple[int, int | None]], size: int | None
) -> tuple[tuple[tuple[int, int | None], ...], tuple[int, int] | None]:
    """The samples that are there, and what is missing of a size that was declared."""
    at, length = data[-1]
    if size is None or length is None or at + length <= size:
        return tuple(data), None
    return (*data[:-1], (at, size - at)), (length, size - at)


def _chunks(peek: Peek, at: int, size: int | None) -> Iterator[tuple[bytes, int, int]]:
    """Name, first byte and length of each chunk. A chunk of odd length may lack the byte that evens it out.

    Samples that are longer than 32 bits can tell have their length in the chunk ``ds64`` before them.
    """
    wide = UNKNOWN_SIZE
    while len(head := peek(at, 8)) == 8 and _is_name(head[:4]):
        name, length = head[:4], int.from_bytes(head[4:], "little")
        if name == b"data" and length == UNKNOWN_SIZE:
            length = wide
        elif name == b"ds64" and length >= 16:
            wide = int.from_bytes(peek(at + 16, 8), "little")
        yield name, at + 8, length
        at += 8 + length
        if length % 2 and not (_is_name(peek(at, 4)) and not _is_name(peek(at + 1, 4))):
            at += 1
        if size is not None and at >= size:
            return


def _is_name(name: bytes) -> bool:
    return len(name) == 4 and min(name) >= 32 and max(name) < 127


def _parse(content: bytes) -> _Format | None:
    """The chunk ``fmt``; None where it is not one of the plain encodings, or contradicts itself."""
    if len(content) < _FORMAT.size:
        return None
    code, channels, rate, _, frame, bits = _FORMAT.unpack_from(content)
    extensible = code == EXTENSIBLE
    if extensible and len(content) >= _FORMAT_SIZE:
        code = int.from_bytes(content[24:26], "little")
        if content[26:40] not in (GUID, _AMBISONIC) or int.from_bytes(content[18:20], "little") not in (0, bits):
            return None
    subtype = _BY_CODE.get((code, bits))
    usual = 0 < channels <= _CHANNELS and 0 < rate < 1 << 31 and frame == channels * bits // 8
    return _Format(subtype, bits, channels, rate, extensible, _mask(content)) if subtype and usual else None


def _mask(content: bytes) -> int:
    """The loudspeakers of the extensible format; 0 of another."""
    is_extensible = content[:2] == EXTENSIBLE.to_bytes(2, "little") and len(content) >= _FORMAT_SIZE
    return int.from_bytes(content[20:24], "little") if is_extensible else 0


def is_unstated(size: int) -> bool:
    """Whether a writer that could not know `size` left it in the header; SoX says 0x7FFFF000 in whole frames."""
    return size in (0, UNKNOWN_SIZE, (1 << 64) - 1) or 0 <= 0x7FFFF000 - size < 1 << 16
