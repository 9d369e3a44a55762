"""Recordings as the rows of a batch: how long each will be, and its samples as the batch takes them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from convtool.errors import InputError
from convtool.jobs.padding.labels import Values
from convtool.jobs.signal_job import plain_errors
from convtool.ops.segments import segment_starts
from convtool.signals.inputs import Input
from convtool.signals.length import Length
from convtool.signals.metadata import Metadata
from convtool.signals.opening import ReadOptions, open_reader
from convtool.signals.signal import BLOCK_SAMPLES, Reader, Signal
from convtool.signals.unheeded import unheeded

Samples = NDArray[Any]

_PLAUSIBLE = 1 << 12
"""Samples that a byte of a file may stand for; a header that declares more is not believed."""


@dataclass(frozen=True, kw_only=True)
class RowOptions:
    """How a recording becomes a row."""

    dtype: str | None = None
    mono: bool = False
    channels: int | None = None
    resample: int | None = None
    max_length: Length | None = None
    truncate: Literal["start", "end"] | None = None
    segment: Length | None = None
    hop: Length | None = None
    last: Literal["pad", "drop"] = "pad"
    read: ReadOptions = field(default_factory=ReadOptions)


@dataclass(frozen=True, slots=True)
class Row:
    """One recording and what it is in the batch."""

    index: int
    """Its place among all inputs."""
    input: Input
    """As it was given."""
    source: Input
    """Where it is read: a temporary copy of what can be read only once, else the same."""
    signal: Signal
    """Of the file, without the length that it declares; rows that are alike share one."""
    samples: int
    """Of the file."""
    channels: int
    sample_rate: int | None
    dtype: str
    length: int
    """Samples in the batch: resampled and truncated."""
    labels: Values = field(default_factory=dict)
    """What a manifest says of it."""
    start: int = 0
    """The sample of the recording, at the rate of the batch, that is its first: not 0 in segments behind the first."""
    covered: int | None = None
    """Samples of the recording that its segments hold together; None where it is not cut into segments."""
    unheeded: tuple[tuple[str, str], ...] = ()
    """Options of reading that make no difference to it, and what was found instead."""


class Miscounted(Exception):
    """A file holds `samples` samples, which is not what its header declared."""

    def __init__(self, samples: int) -> None:
        super().__init__(samples)
        self.samples = samples


def measure(index: int, item: Input, source: Input, options: RowOptions, labels: Values | None = None) -> Row:
    """What input number `index`, which is read from `source` and has `labels`, will be in a batch, by its header.

    A length that the header does not tell, or that can't be true, is counted by reading the file.

    Raises:
        InputError: it can't be read, is empty, or does not fit the options.
    """
    with open_reader(source, options.read) as reader:
        signal, samples = reader.signal, reader.signal.frames
        if samples is None or not _plausible(source, signal):
            samples = sum(block.shape[-1] for block in reader.blocks(BLOCK_SAMPLES))
    told = unheeded(signal, options.read)
    if signal.batch:
        raise InputError("the array has 3 axes and is a batch already; expected a signal, (T,) or (C, T)")
    signal = _shared(replace(signal, frames=None, metadata=Metadata()))
    length = _length(samples, signal, options)
    rate = options.resample or signal.sample_rate
    channels, dtype = _channels(signal, options), _dtype(signal, options)
    return Row(index, item, source, signal, samples, channels, rate, dtype, length, labels or {}, unheeded=told)


def recounted(row: Row, samples: int, options: RowOptions) -> Row:
    """`row` once its file is known to hold `samples` samples.

    Raises:
        InputError: it is empty, or does not fit the options.
    """
    return replace(row, samples=samples, length=_length(samples, row.signal, options), start=0, covered=None)


def segments(row: Row, options: RowOptions) -> list[Row]:
    """The rows that a recording is cut into: `row` itself where no segments are asked for.

    Raises:
        InputError: it is shorter than the first, which is then left out.
    """
    if options.segment is None:
        return [row]
    size = options.segment.samples(row.sample_rate)
    hop = size if options.hop is None else options.hop.samples(row.sample_rate)
    total = row.length
    starts = segment_starts(total, size, hop=hop, last=options.last)
    if not starts:
        raise InputError(f"it has {total} samples, fewer than a segment's {size}: --last drop leaves none")
    covered = min(total, starts[-1] + size)
    return [replace(row, start=start, length=min(size, total - start), covered=covered) for start in starts]


@lru_cache(maxsize=1024)
def _shared(signal: Signal) -> Signal:
    """One object for all equal descriptions: a hundred thousand files need not have as many."""
    return signal


def _plausible(source: Input, signal: Signal) -> bool:
    """Whether a file of that size may hold what its header declares."""
    if source.kind != "file":
        return False
    values = (signal.frames or 0) * signal.channels
    return values <= (os.stat(source.value).st_size + 1) * _PLAUSIBLE


def _channels(signal: Signal, options: RowOptions) -> int:
    if options.channels is not None and 1 < signal.channels < options.channels:
        raise InputError(
            f"it has {signal.channels} channels, and --channels {options.channels} repeats one or drops those behind; "
            f"use --mono, or --channels {signal.channels}"
        )
    return 1 if options.mono else options.channels or signal.channels


def _dtype(signal: Signal, options: RowOptions) -> str:
    if options.dtype is not None or signal.dtype != "int64":
        return options.dtype or signal.dtype
    averaged = options.mono and signal.channels > 1
    return "float64" if averaged or options.resample else "int64"


def _length(samples: int, signal: Signal, options: RowOptions) -> int:
    if not samples:
        raise InputError("there are 0 samples in it")
    length = _resampled(samples, signal, options.resample)
    if options.max_length is None:
        return length
    limit = options.max_length.samples(options.resample or signal.sample_rate)
    if length > limit and options.truncate is None:
        raise InputError(
            f"it has {length} samples, more than --max-length {options.max_length.text}; "
            "give --truncate start or --truncate end to cut that end off"
        )
    return min(length, limit)


def _resampled(samples: int, signal: Signal, rate: int | None) -> int:
    if rate is None:
        return samples
    if signal.sample_rate is None:
        raise InputError(f"it has no sample rate to resample to {rate} Hz from; give --sample-rate")
    return -(-samples * rate // signal.sample_rate)


class Decoded:
    """The samples of a recording as a batch takes them, in blocks ``(channels, samples)``."""

    def __init__(self, reader: Reader, row: Row, dtype: str, options: RowOptions) -> None:
        self.read = 0
        """Samples of the file that were decoded."""
        self._reader = reader
        self.blocks = self._working(row, dtype, options)
        if options.resample is not None and options.resample != row.signal.sample_rate:
            self.blocks = _at_rate(self.blocks, row.signal.sample_rate or 0, options.resample)

    @property
    def notes(self) -> list[str]:
        """What there is to say of the file, once it is read."""
        return self._reader.notes

    def _working(self, row: Row, dtype: str, options: RowOptions) -> Iterator[Samples]:
        for block in self._reader.blocks(BLOCK_SAMPLES):
            self.read += block.shape[-1]
            yield _working(block, row, dtype, options)


def read_row(row: Row, dtype: str, options: RowOptions, notes: list[str]) -> Iterator[Samples]:
    """The samples of `row` in blocks ``(channels, samples)`` of `dtype`, truncated; `row.length` of them.

    What there is to say of the file is added to `notes` at its end.

    Raises:
        InputError: the file can't be decoded.
        Miscounted: the file holds another number of samples than was planned with, and not all, or the wrong ones,
            were given. Where only its end is cut off it need not hold what is not read.
    """
    with open_reader(row.source, options.read) as reader:
        decoded = Decoded(reader, row, dtype, options)
        spare = whole_length(row, options) - row.length
        start = spare if options.truncate == "start" else 0
        at = 0
        for block in decoded.blocks:
            if (part := block[:, max(0, start - at) : max(0, start + row.length - at)]).shape[-1]:
                yield part
            at += block.shape[-1]
            if spare > start and at >= row.length:
                break
        else:
            if decoded.read != row.samples:
                raise Miscounted(decoded.read)
        notes += decoded.notes


def whole_length(row: Row, options: RowOptions) -> int:
    """Samples of the whole recording at the rate of the batch."""
    return _resampled(row.samples, row.signal, options.resample)


def _working(block: Samples, row: Row, dtype: str, options: RowOptions) -> Samples:
    """A block in the batch's numbers and channels."""
    values: Samples = block
    if block.dtype != dtype:
        values = np.empty(block.shape, dtype)
        np.copyto(values, block, casting="unsafe")
        if block.dtype == np.int64 and row.dtype == "int64":  # beside others that are floating-point numbers
            _refuse_rounded(block, values)
    if row.signal.full_scale is not None:
        values *= np.dtype(dtype).type(1 / row.signal.full_scale)  # a power of two: exact
    if options.mono and len(values) > 1:
        values = values.mean(axis=0, keepdims=True)
    return values[: row.channels] if len(values) >= row.channels else np.repeat(values, row.channels, axis=0)


def _refuse_rounded(block: Samples, values: Samples) -> None:
    """InputError for the first integer that `values`, the same in floating point, do not hold."""
    if np.abs(values).max(initial=0) >= 1 << 53:
        for integer, value in zip(block.ravel().tolist(), values.ravel().tolist(), strict=True):
            if integer != value:
                raise InputError(
                    f"{integer} is past what {values.dtype} holds exactly, which the batch has beside integers; give "
                    f"integers a batch of their own, or --dtype {values.dtype} to round them"
                )


def _at_rate(blocks: Iterator[Samples], orig_rate: int, new_rate: int) -> Iterator[Samples]:
    import torch

    from convtool.ops.resampling import Resampling

    with plain_errors():
        resampling = Resampling(orig_rate=orig_rate, new_rate=new_rate)
    for block in blocks:
        for part in resampling.push_in_parts(torch.from_numpy(np.ascontiguousarray(block))):
            yield part.numpy()
    for part in resampling.finish_in_parts():
        yield part.numpy()
