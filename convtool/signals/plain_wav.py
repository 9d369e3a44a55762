"""WAV files of the plainest kind, read without libsndfile, which takes five times as long to open one.

That tells where files are many and short. Layout: Microsoft "Multimedia Programming Interface and Data
Specifications 1.0".
"""

from __future__ import annotations

import os
import stat
import struct
from typing import NamedTuple

import numpy as np

from convtool.files.sniff import HEAD
from convtool.signals.signal import Block, Reader, Signal

_CHANNELS = 1024  # libsndfile knows no more
_PASSED_OVER = (b"fact", b"PEAK", b"LIST", b"JUNK", b"bext")
_FORMAT = struct.Struct("<HHIIHH")


class _Encoding(NamedTuple):
    """What the samples are, and how they are worked."""

    subtype: str
    stored: str
    dtype: str
    full_scale: int | None


_ENCODINGS = {
    (1, 16): _Encoding("PCM_16", "<i2", "float32", 1 << 15),
    (1, 32): _Encoding("PCM_32", "<i4", "float64", 1 << 31),
    (3, 32): _Encoding("FLOAT", "<f4", "float32", None),
    (3, 64): _Encoding("DOUBLE", "<f8", "float64", None),
}


class _Layout(NamedTuple):
    """What the header tells, and where the samples are."""

    encoding: _Encoding
    channels: int
    sample_rate: int
    start: int
    frames: int


class PlainWavReader(Reader):
    """A WAV file whose samples are numbers of NumPy, one after the other; its header was checked before."""

    def __init__(self, descriptor: int, layout: _Layout) -> None:
        self.notes = []
        self._descriptor = descriptor
        self._dtype = np.dtype(layout.encoding.stored)
        self._at = layout.start
        self._left = layout.frames
        self.signal = Signal(
            "WAV",
            layout.channels,
            layout.encoding.dtype,
            sample_rate=layout.sample_rate,
            frames=layout.frames,
            subtype=layout.encoding.subtype,
            full_scale=layout.encoding.full_scale,
        )

    def read(self, samples: int) -> Block:
        """The next samples; fewer where the file has become shorter than it was."""
        channels = self.signal.channels
        values = np.empty(min(samples, self._left) * channels, self._dtype)
        free, there = memoryview(values.data).cast("B"), 0
        while free and (count := os.preadv(self._descriptor, [free], self._at + there)):
            free, there = free[count:], there + count
        frames = there // (channels * self._dtype.itemsize)
        self._at += there
        self._left -= frames
        return values[: frames * channels].reshape(frames, channels).T

    def close(self) -> None:
        os.close(self._descriptor)


def open_plain_wav(path: str) -> PlainWavReader | None:
    """A reader of the WAV file at `path`, or None where libsndfile had better look at it.

    That is for encodings that are no numbers of NumPy, for headers that are long or contradict themselves or the
    file's size, and for what can't be opened.
    """
    try:
        descriptor = os.open(os.fsencode(path), os.O_RDONLY | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    status = os.fstat(descriptor)
    layout = _layout(os.pread(descriptor, HEAD, 0), status.st_size) if stat.S_ISREG(status.st_mode) else None
    if layout is None:
        os.close(descriptor)
        return None
    return PlainWavReader(descriptor, layout)


def _layout(head: bytes, size: int) -> _Layout | None:
    """What the chunks in `head`, the beginning of a file of `size` bytes, say of its samples."""
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        return None
    at, fmt = 12, (0, 0, 0, 0, 0, 0)
    while len(head) >= at + 8:
        name, length = head[at : at + 4], int.from_bytes(head[at + 4 : at + 8], "little")
        at += 8
        if name == b"data":
            code, channels, rate, _, frame, bits = fmt
            encoding = _ENCODINGS.get((code, bits))
            usual = 0 < channels <= _CHANNELS and 0 < rate < 1 << 31 and frame == channels * bits // 8
            if encoding is None or not usual or not 0 < length <= size - at or length % frame:
                return None
            return _Layout(encoding, channels, rate, at, length // frame)
        if name == b"fmt " and len(head) >= at + _FORMAT.size <= at + length:
            fmt = _FORMAT.unpack_from(head, at)
        elif name not in _PASSED_OVER or length % 2:
            return None
        at += length
    return None
