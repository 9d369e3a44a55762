"""Raw numbers: samples without a header, one frame after the other, laid out as `--input-format raw:s16le` says."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from convtool.errors import InputError
from convtool.files.names import counted
from convtool.files.source import CHUNK, Source
from convtool.signals.signal import BLOCK_SAMPLES, Block, Reader, Signal

_SUBTYPES = {
    "s8": "PCM_S8",
    "u8": "PCM_U8",
    "s16": "PCM_16",
    "s24": "PCM_24",
    "s32": "PCM_32",
    "f32": "FLOAT",
    "f64": "DOUBLE",
}
ENCODINGS = ("u8", "s8", *(f"{name}{order}" for name in list(_SUBTYPES)[2:] for order in ("le", "be")))
"""Signed and unsigned integers and floats, by their bits and their byte order."""


@dataclass(frozen=True)
class RawLayout:
    """How the numbers of a file without a header lie there."""

    encoding: str
    channels: int = 1
    skip_bytes: int = 0
    """What stands before the first sample."""
    sample_rate: int | None = None


class RawReader(Reader):
    """A file or pipe of bare numbers. Integers come in the top bits of 16 or 32, as from a WAV file."""

    def __init__(self, source: Source, layout: RawLayout) -> None:
        self.notes = []
        self._source = source
        name = layout.encoding.removesuffix("le").removesuffix("be")
        self._kind, self._bytes = name[0], int(name[1:]) // 8
        self._order = ">" if layout.encoding.endswith("be") else "<"
        self._frame = layout.channels * self._bytes
        is_integer = self._kind != "f"
        self.signal = Signal(
            format="WAV",  # what holds all of these encodings
            subtype=_SUBTYPES[name],
            channels=layout.channels,
            sample_rate=layout.sample_rate,
            dtype="float64" if name in ("s32", "f64") else "float32",
            full_scale=1 << (15 if self._bytes <= 2 else 31) if is_integer else None,
            frames=self._skip(layout.skip_bytes),
        )

    def _skip(self, count: int) -> int | None:
        """Go past what stands before the samples; how many there are, where the file's size tells."""
        if self._source.seekable:
            descriptor = self._source.fileno()
            left = os.fstat(descriptor).st_size - count
            os.lseek(descriptor, max(0, count), os.SEEK_SET)
        else:
            left = -count
            while left < 0 and (part := self._source.read(min(-left, CHUNK))):
                left += len(part)
        if left < 0:
            raise InputError(f"--skip-bytes {count} is more than there is: {counted(count + left, 'byte')}")
        return left // self._frame if self._source.seekable else None

    def read(self, samples: int) -> Block:
        """The next samples; bytes at the end that make no whole frame are told."""
        return self._samples(self._source.read_exactly(samples * self._frame))

    def blocks(self, values: int = BLOCK_SAMPLES) -> Iterator[Block]:
        """The rest of the signal in blocks of about `values` numbers; of a slow pipe in what it gives."""
        wanted = max(1, values // self.signal.channels) * self._frame
        while (block := self._samples(self._source.read_ready(wanted, self._frame))).shape[-1]:
            yield block

    def _samples(self, data: bytes) -> Block:
        if lost := len(data) % self._frame:
            self.notes.append(
                f"{counted(lost, 'byte')} at the end left out: a frame of {counted(self.signal.channels, 'channel')} "
                f"has {self._frame}; see --channels, --skip-bytes and the encoding"
            )
        raw = np.frombuffer(data, np.uint8, len(data) - lost)
        return self._decoded(raw).reshape(-1, self.signal.channels).T

    def _decoded(self, raw: np.ndarray[Any, Any]) -> Block:
        if self._bytes == 1:
            return (raw.view(np.int8).astype(np.int16) if self._kind == "s" else raw.astype(np.int16) - 128) << 8
        if self._bytes == 3:
            wide = np.zeros((len(raw) // 3, 4), np.uint8)
            wide[:, slice(1, 4) if self._order == "<" else slice(3)] = raw.reshape(-1, 3)
            raw = wide.reshape(-1)
        kind = "f" if self._kind == "f" else "i"
        values = raw.view(f"{self._order}{kind}{4 if self._bytes == 3 else self._bytes}")
        return values.astype(values.dtype.newbyteorder("="), copy=False)

    def close(self) -> None:
        self._source.close()
