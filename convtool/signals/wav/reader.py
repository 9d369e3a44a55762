"""Samples of WAV files, read without libsndfile, which takes five times as long to open one and needs to seek."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from convtool.errors import InputError
from convtool.files.recognition import id3_length
from convtool.files.source import Source
from convtool.signals.metadata import Metadata
from convtool.signals.signal import BLOCK_SAMPLES, OPEN_LENGTH, Block, Reader, Signal
from convtool.signals.wav.chunks import Layout, read_layout


class WavReader(Reader):
    """A WAV file or pipe whose samples are integers or floats, one after the other.

    Integers come in the top bits of 16 or 32, as libsndfile gives them.
    """

    remarks: list[str]

    def __init__(self, source: Source, layout: Layout) -> None:
        self.notes = list(layout.notes)
        self.remarks = []
        self._source = source
        self._descriptor = source.fileno() if source.seekable else -1
        samples = layout.samples
        self._frame, self._bits, self._padded = samples.frame, samples.bits, samples.padded
        self._placed: str | None = None
        self._segments = list(layout.data)
        sizes = [size for _, size in layout.data]
        frames = None if None in sizes else sum((size or 0) // self._frame for size in sizes)
        if frames is None:
            self.remarks.append(OPEN_LENGTH)
        if layout.missing:
            self.notes.append("truncated: the header declares {} bytes, {} are there".format(*layout.missing))
        if self._descriptor < 0:
            source.read_exactly(layout.data[0][0])
        self.signal = Signal(
            format=layout.format,
            subtype=samples.subtype,
            channels=samples.channels,
            sample_rate=samples.sample_rate,
            dtype="float64" if samples.subtype in ("PCM_32", "DOUBLE") else "float32",
            full_scale=1 << (15 if self._bits <= 16 else 31) if samples.subtype.startswith("PCM") else None,
            frames=frames,
            channel_mask=samples.channel_mask,
            metadata=Metadata.of_chunks(layout.kept, layout.passed_over),
        )

    def read(self, samples: int) -> Block:
        """The next samples; fewer at the end, and where the file has become shorter than it was."""
        return self._next(samples, at_once=False)

    def blocks(self, values: int = BLOCK_SAMPLES) -> Iterator[Block]:
        """The rest of the signal in blocks of about `values` numbers; of a slow pipe in what it gives."""
        samples = max(1, values // self.signal.channels)
        at_once = self._descriptor < 0 and not self._padded  # where padding stands shows in many samples
        while (block := self._next(samples, at_once=at_once)).shape[-1]:
            yield block

    def _next(self, samples: int, *, at_once: bool) -> Block:
        """The next samples; with `at_once` those of a pipe that are there, at least one."""
        parts: list[np.ndarray[Any, Any]] = []
        wanted = samples * self._frame
        while wanted and self._segments:
            at, left = self._segments[0]
            count = wanted if left is None else min(wanted, left - left % self._frame)
            part = self._bytes(at, count, at_once=at_once)
            whole = len(part) - len(part) % self._frame
            ended = whole < (1 if at_once else count)
            if ended and left is not None:
                missing = (left - whole) // self._frame
                self.notes.append(f"truncated: {missing} samples that the header declares are missing")
            if ended or (left is not None and whole == left - left % self._frame):
                self._segments.pop(0)
            else:
                self._segments[0] = (at + whole, None if left is None else left - whole)
            if whole or not parts:
                parts.append(part[:whole])
            wanted = 0 if at_once else wanted - whole
        data = parts[0] if len(parts) == 1 else np.concatenate(parts) if parts else np.empty(0, np.uint8)
        return self._decoded(data).reshape(-1, self.signal.channels).T

    def _bytes(self, at: int, count: int, *, at_once: bool) -> np.ndarray[Any, Any]:
        """Up to `count` bytes from byte `at` on; of a pipe, those that come next."""
        if at_once:
            return np.frombuffer(self._source.read_ready(count, self._frame), np.uint8)
        if self._descriptor < 0:
            return np.frombuffer(self._source.read_exactly(count), np.uint8)
        values = np.empty(count, np.uint8)
        free, there = memoryview(values.data), 0
        while free and (read := os.preadv(self._descriptor, [free], at + there)):
            free, there = free[read:], there + read
        return values[:there]

    def _decoded(self, raw: np.ndarray[Any, Any]) -> Block:
        if self.signal.full_scale is None:
            return raw.view(f"<f{self._bits // 8}").astype(self.signal.dtype, copy=False)
        if self._bits == 8:
            return (raw.astype(np.int16) - 128) << 8
        if self._padded:
            return self._out_of_four(raw.reshape(-1, 4))
        if self._bits == 24:
            wide = np.zeros((len(raw) // 3, 4), np.uint8)
            wide[:, 1:] = raw.reshape(-1, 3)
            return wide.reshape(-1).view("<i4")
        return raw.view(f"<i{self._bits // 8}")

    def _out_of_four(self, raw: np.ndarray[Any, Any]) -> Block:
        """Samples of 24 bits that stand in the lower or in the upper three of four bytes.

        The first block with samples tells: in the lower three, the fourth byte is but the sign. So it is with quiet
        samples in the upper three too, whose lowest byte is unused: they are read as libsndfile reads them.
        """
        lowest_used = bool(raw[:, 0].any())
        is_sign = np.array_equal(raw[:, 3], np.where(raw[:, 2] > 127, 0xFF, 0)) or not raw[:, 3].any()
        if self._placed is None and raw.any():
            self._placed = "lower" if lowest_used else "upper"
            self.remarks.append(f"its samples of 24 bits stand in 4 bytes; the {self._placed} three are read")
        if (self._placed == "lower" and not is_sign) or (self._placed == "upper" and lowest_used):
            raise InputError("its header declares samples of 24 bits in 4 bytes, but all four are in use")
        values: Block = raw.reshape(-1).view("<i4")
        return values << 8 if self._placed == "lower" else values

    def close(self) -> None:
        self._source.close()


def open_wav(source: Source) -> WavReader | None:
    """A reader of the WAV in `source`, or None where libsndfile had better read it."""
    size = os.fstat(source.fileno()).st_size if source.seekable else None
    layout = read_layout(source.peek, id3_length(source.head), size)
    return None if layout is None else WavReader(source, layout)
