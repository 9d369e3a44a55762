"""WAV written by hand: any length (RF64 past 4 GiB), channel masks, and to pipes, which libsndfile can't do.

Layout: that of `convtool.signals.wav.chunks` and `format`.
"""

from __future__ import annotations

import os
import struct
from typing import BinaryIO

import numpy as np

from convtool.errors import OutputError
from convtool.files.atomic import write_all
from convtool.files.watched import WatchedFile
from convtool.signals.metadata import chunk_bytes
from convtool.signals.pcm import Encoded
from convtool.signals.signal import Signal
from convtool.signals.wav.chunks import UNKNOWN_SIZE
from convtool.signals.wav.format import EXTENSIBLE, GUID, PCM, SUBTYPES

_MOST_BYTES = UNKNOWN_SIZE - 1
"""Of a plain WAV, behind its first eight bytes."""

_SEARCHED = 4096
_EXTENSION = 22
"""Bytes that the extensible format adds behind those that tell their number."""

_USUAL_MASKS = {1: 0x4, 2: 0x3, 6: 0x3F, 8: 0x63F}
"""Front centre; left and right; 5.1; 7.1 with side loudspeakers."""


class WavFile:
    """A WAV file being written to `file`.

    The header leaves room for the 64-bit sizes of RF64, which take their place when the data outgrows
    what WAV can say. Where `file` can't seek, the sizes stay "unknown", as every reader of pipes expects.
    The format is the extensible one where that is asked for, or where the signal says which loudspeakers its channels
    are for.
    """

    def __init__(self, file: BinaryIO, signal: Signal, subtype: str, *, extensible: bool = False) -> None:
        self._file = file
        self._start = _position(file)
        self._bytes = 0
        self._frames = 0
        code, bits = SUBTYPES[subtype]
        self._bits = bits
        frame = signal.channels * bits // 8
        rate = signal.sample_rate or 0
        if signal.channels > 0xFFFF or rate > UNKNOWN_SIZE:
            raise OutputError(f"WAV can't be written with {signal.channels} channels at {rate} Hz")
        mask = fitting_mask(signal)
        extensible = extensible or mask > 0
        fmt = struct.pack("<HIIHH", signal.channels, rate, rate * frame & UNKNOWN_SIZE, frame & 0xFFFF, bits)
        if extensible:
            mask = mask or _USUAL_MASKS.get(signal.channels, 0)
            extension = struct.pack("<HHIH", _EXTENSION, bits, mask, code) + GUID
            chunks = chunk_bytes(b"fmt ", struct.pack("<H", EXTENSIBLE) + fmt + extension)
        else:
            chunks = chunk_bytes(b"fmt ", struct.pack("<H", code) + fmt + b"\0\0" * (code != PCM))
        if code != PCM or extensible:
            chunks += chunk_bytes(b"fact", b"\xff" * 4)
        room = b"" if self._start is None else chunk_bytes(b"JUNK", bytes(28))
        self._header = b"WAVE" + room + chunks
        self._told = b"".join(chunk_bytes(name.encode(), content) for name, content in signal.metadata.as_chunks())
        self._begun = False

    def _begin(self) -> None:
        """The header, once there is something to write behind it: a job that fails before leaves nothing."""
        if not self._begun:
            self._begun = True
            write_all(self._file, self._head(b"RIFF", UNKNOWN_SIZE, UNKNOWN_SIZE, self._header + self._told))

    @staticmethod
    def _head(magic: bytes, riff: int, data: int, chunks: bytes) -> bytes:
        return magic + struct.pack("<I", riff) + chunks + b"data" + struct.pack("<I", data)

    def write(self, encoded: Encoded) -> None:
        """Append frames, as `pcm` encoded them: integers in the top bits of their container."""
        self._begin()
        frames = encoded.frames
        if self._bits == 8:
            frames = ((frames >> 8) + 128).astype(np.uint8)
        elif self._bits == 24:
            little = frames.astype("<i4", copy=False).view(np.uint8)
            frames = np.ascontiguousarray(little.reshape(*frames.shape, 4)[..., 1:])
        data = frames.astype(frames.dtype.newbyteorder("<"), copy=False)
        write_all(self._file, data)
        self._bytes += data.nbytes
        self._frames += len(frames)

    def close(self) -> str:
        """Pad to an even length and put the real sizes into the header, where it can be reached; what to say of it."""
        self._begin()
        write_all(self._file, b"\0" * (self._bytes % 2))
        if self._start is None:
            return ""
        riff = 4 + len(self._header) + len(self._told) + 4 + self._bytes + self._bytes % 2
        chunks = self._header.replace(
            b"fact\4\0\0\0\xff\xff\xff\xff", b"fact" + struct.pack("<II", 4, min(self._frames, UNKNOWN_SIZE))
        )
        note = ""
        if riff <= _MOST_BYTES:
            header = self._head(b"RIFF", riff, self._bytes, chunks + self._told)
        else:
            sizes = struct.pack("<QQQI", riff, self._bytes, self._frames, 0)
            chunks = chunks.replace(chunk_bytes(b"JUNK", bytes(28)), chunk_bytes(b"ds64", sizes))
            header = self._head(b"RF64", UNKNOWN_SIZE, UNKNOWN_SIZE, chunks + self._told)
            note = "with more than 4 GiB it is RF64, which not every program reads; --format w64 and caf hold as much"
        os.pwrite(self._file.fileno(), header, self._start)
        return note


def fitting_mask(signal: Signal) -> int:
    """The loudspeakers that the channels are for, where there is one for each; else 0."""
    return signal.channel_mask if signal.channel_mask.bit_count() == signal.channels else 0


def state_mask(descriptor: int, mask: int) -> None:
    """Let a finished file of the extensible format, which libsndfile wrote, name the loudspeakers of its channels."""
    at = os.pread(descriptor, _SEARCHED, 0).index(b"fmt ")
    os.pwrite(descriptor, mask.to_bytes(4, "little"), at + 8 + 20)


def append_chunks(descriptor: int, chunks: tuple[tuple[str, bytes], ...]) -> bool:
    """Put chunks behind all others of a finished file, which libsndfile wrote; whether there is a place for them."""
    end = os.fstat(descriptor).st_size
    data = b"\0" * (end % 2) + b"".join(chunk_bytes(name.encode(), content) for name, content in chunks)
    riff = end + len(data) - 8
    is_wide = os.pread(descriptor, 4, 0) == b"RF64"
    if not chunks or (riff > _MOST_BYTES and not is_wide):
        return not chunks
    watched = WatchedFile(descriptor, start=end)
    watched.write(data)
    watched.check_writes()
    os.pwrite(descriptor, struct.pack("<Q" if is_wide else "<I", riff), 20 if is_wide else 4)
    return True


def _position(file: BinaryIO) -> int | None:
    """Where `file` stands, or None where what was written can't be reached again."""
    try:
        if _appends(file):
            return None
        return os.lseek(file.fileno(), 0, os.SEEK_CUR)
    except OSError:
        return None


def _appends(file: BinaryIO) -> bool:
    import fcntl

    return bool(fcntl.fcntl(file.fileno(), fcntl.F_GETFL) & os.O_APPEND)
