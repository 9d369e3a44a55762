"""WAV written by hand: any length (RF64 past 4 GiB), and to and from pipes, which libsndfile can't do.

Layout: EBU Tech 3306 (RF64); Microsoft "Multimedia Programming Interface and Data Specifications 1.0".
"""

from __future__ import annotations

import os
import struct
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from convtool.errors import InputError, OutputError
from convtool.files.atomic import write_all
from convtool.files.source import Source
from convtool.signals.pcm import Encoded
from convtool.signals.signal import Block, Reader, Signal

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_UNKNOWN = 0xFFFFFFFF

SUBTYPES = {
    "PCM_U8": (_PCM, 8),
    "PCM_16": (_PCM, 16),
    "PCM_24": (_PCM, 24),
    "PCM_32": (_PCM, 32),
    "FLOAT": (_FLOAT, 32),
    "DOUBLE": (_FLOAT, 64),
}
_BY_CODE = {code: name for name, code in SUBTYPES.items()}


class WavFile:
    """A WAV file being written to `file`.

    The header leaves room for the 64-bit sizes of RF64, which take their place when the data outgrows
    what WAV can say. Where `file` can't seek, the sizes stay "unknown", as every reader of pipes expects.
    """

    def __init__(self, file: BinaryIO, signal: Signal, subtype: str) -> None:
        self._file = file
        self._start = _position(file)
        self._bytes = 0
        self._frames = 0
        code, bits = SUBTYPES[subtype]
        self._bits = bits
        frame = signal.channels * bits // 8
        rate = signal.sample_rate or 0
        if signal.channels > 0xFFFF or rate > _UNKNOWN:
            raise OutputError(f"WAV can't be written with {signal.channels} channels at {rate} Hz")
        fmt = struct.pack("<HHIIHH", code, signal.channels, rate, rate * frame & _UNKNOWN, frame & 0xFFFF, bits)
        chunks = _chunk(b"fmt ", fmt) if code == _PCM else _chunk(b"fmt ", fmt + b"\0\0") + _chunk(b"fact", b"\xff" * 4)
        room = b"" if self._start is None else _chunk(b"JUNK", bytes(28))
        self._header = b"WAVE" + room + chunks
        self._begun = False

    def _begin(self) -> None:
        """The header, once there is something to write behind it: a job that fails before leaves nothing."""
        if not self._begun:
            self._begun = True
            write_all(self._file, self._head(b"RIFF", _UNKNOWN, _UNKNOWN, self._header))

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

    def close(self) -> None:
        """Pad to an even length and put the real sizes into the header, where it can be reached."""
        self._begin()
        write_all(self._file, b"\0" * (self._bytes % 2))
        if self._start is None:
            return
        riff = 4 + len(self._header) + 4 + self._bytes + self._bytes % 2
        chunks = self._header.replace(
            b"fact\4\0\0\0\xff\xff\xff\xff", b"fact" + struct.pack("<II", 4, min(self._frames, _UNKNOWN))
        )
        if riff <= _UNKNOWN - 1:
            header = self._head(b"RIFF", riff, self._bytes, chunks)
        else:
            sizes = struct.pack("<QQQI", riff, self._bytes, self._frames, 0)
            header = self._head(
                b"RF64", _UNKNOWN, _UNKNOWN, chunks.replace(_chunk(b"JUNK", bytes(28)), _chunk(b"ds64", sizes))
            )
        os.pwrite(self._file.fileno(), header, self._start)


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content


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


def is_unstated(size: int) -> bool:
    """Whether a writer that could not know `size` left it in the header; SoX says 0x7FFFF000 in whole frames."""
    return size in (0, _UNKNOWN, (1 << 64) - 1) or 0 <= 0x7FFFF000 - size < 1 << 16


class WavFormat(NamedTuple):
    """What the chunks before the samples say."""

    subtype: str
    channels: int
    sample_rate: int


class WavPipeReader(Reader):
    """A WAV read from a pipe as it comes, or one whose header was never completed: samples up to the end."""

    def __init__(self, source: Source, *, riff: bytes) -> None:
        self._source = source
        self.notes = []
        fmt, size = _read_chunks(source, riff)
        _, bits = SUBTYPES[fmt.subtype]
        self._bits = bits
        self._frame = fmt.channels * bits // 8
        self._left = None if is_unstated(size) else size // self._frame
        self.signal = Signal(
            format="WAV",
            subtype=fmt.subtype,
            channels=fmt.channels,
            sample_rate=fmt.sample_rate,
            dtype="float64" if fmt.subtype in ("PCM_32", "DOUBLE") else "float32",
            full_scale=1 << (15 if bits <= 16 else 31) if fmt.subtype.startswith("PCM") else None,
            frames=self._left,
        )

    def read(self, samples: int) -> Block:
        """Samples decoded as libsndfile would: integers in the top bits of 16 or 32."""
        count = samples if self._left is None else min(samples, self._left)
        data = self._source.read_exactly(count * self._frame)
        frames = len(data) // self._frame
        if self._left is not None:
            self._left -= frames
            if frames < count:
                self.notes.append(f"truncated: {self._left} samples that the header declares are missing")
                self._left = 0
        raw = np.frombuffer(data[: frames * self._frame], np.uint8)
        return _decode(raw, self._bits, self.signal).reshape(frames, self.signal.channels).T

    def close(self) -> None:
        self._source.close()


def _decode(raw: np.ndarray[Any, Any], bits: int, signal: Signal) -> Block:
    if signal.full_scale is None:
        return raw.view(f"<f{bits // 8}").astype(signal.dtype, copy=False)
    if bits == 8:
        return (raw.astype(np.int16) - 128) << 8
    if bits == 24:
        wide = np.zeros((len(raw) // 3, 4), np.uint8)
        wide[:, 1:] = raw.reshape(-1, 3)
        return wide.reshape(-1).view("<i4")
    return raw.view(f"<i{bits // 8}")


def _read_chunks(source: Source, riff: bytes) -> tuple[WavFormat, int]:
    """Go through the chunks up to the samples."""
    found: WavFormat | None = None
    wide = _UNKNOWN
    while True:
        head = source.read_exactly(8)
        if len(head) < 8:
            raise InputError("the WAV ends before its samples begin")
        name, size = head[:4], struct.unpack("<I", head[4:])[0]
        if name == b"data":
            if found is None:
                raise InputError("the WAV has samples before their format: expected a 'fmt ' chunk first")
            return found, size if riff == b"RIFF" else wide
        content = _skip_or_read(source, size + size % 2, keep=name in (b"fmt ", b"ds64"))
        if name == b"fmt ":
            found = _parse_format(content)
        elif name == b"ds64" and len(content) >= 16:
            wide = struct.unpack("<Q", content[8:16])[0]


def _skip_or_read(source: Source, size: int, *, keep: bool) -> bytes:
    if keep:
        return source.read_exactly(min(size, 4096))
    while size and (part := source.read(min(size, 1 << 20))):
        size -= len(part)
    return b""


def _parse_format(content: bytes) -> WavFormat:
    if len(content) < 16:
        raise InputError("the WAV's format is cut off")
    code, channels, rate, _, _, bits = struct.unpack("<HHIIHH", content[:16])
    if code == _EXTENSIBLE and len(content) >= 26:
        code = struct.unpack("<H", content[24:26])[0]
    subtype = _BY_CODE.get((code, bits))
    if subtype is None:
        raise InputError(
            f"a WAV of encoding {code} with {bits} bits can't be read from a pipe; save it to a file first"
        )
    if not channels or not rate:
        raise InputError(f"the WAV declares {channels} channels at {rate} Hz")
    return WavFormat(subtype, channels, rate)
