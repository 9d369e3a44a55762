"""Samples in [-1, 1) to the integers of PCM: rounded to the nearest step, clipped, counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from convtool.signals.signal import Block


@dataclass(frozen=True)
class Encoded:
    """One block `(samples, channels)` in the file's own numbers, and what happened on the way."""

    frames: NDArray[Any]
    clipped: int
    peak: float
    bad: int = 0
    first_bad: int = 0
    inexact: int = 0
    """Integers that the file's floats do not hold."""


def quantise(block: Block, bits: int, container: type[np.signedinteger[Any]]) -> Encoded:
    """`block` ``(channels, samples)`` as integers of `bits` bits, in the top bits of `container`.

    A sample x becomes the nearest integer to x * 2**(bits-1) (ties to even), so PCM that was read as
    value / 2**(bits-1) comes back to the bit. What is beyond full scale after rounding is clipped and counted,
    but not what 1.0 itself becomes: it is one step above the largest integer, and nobody has made it too loud.
    """
    full = 1 << (bits - 1)
    with np.errstate(over="ignore"):
        scaled = np.multiply(block, full, dtype=block.dtype if bits <= 24 else np.float64)
    low, high = float(scaled.min(initial=0)), float(scaled.max(initial=0))
    bad = first = clipped = 0
    if not np.isfinite(low + high):
        bad, first = count_bad(block)
        scaled = np.nan_to_num(scaled)  # finite samples that overflowed stay far beyond full scale
        low, high = float(scaled.min(initial=0)), float(scaled.max(initial=0))
    np.rint(scaled, out=scaled)
    if high > full - 1 or low < -full:
        clipped = int(np.count_nonzero(scaled > full) + np.count_nonzero(scaled < -full))
        np.clip(scaled, -full, full - 1, out=scaled)
    frames = interleaved(scaled, container)
    shift = 8 * frames.itemsize - bits
    if shift:
        frames <<= shift
    return Encoded(frames, clipped, max(high, -low) / full, bad, first)


def interleaved(block: Block, dtype: DTypeLike) -> NDArray[Any]:
    """``(channels, samples)`` as frames ``(samples, channels)`` of `dtype`.

    Channel by channel: a transposed copy would go frame by frame, six times as slow for two channels.
    """
    frames = np.empty(block.shape[::-1], dtype)
    for channel, samples in enumerate(block):
        frames[:, channel] = samples
    return frames


def as_frames(block: Block, dtype: type[np.floating[Any]]) -> Encoded:
    """`block` ``(channels, samples)`` as floating-point frames; nothing is clipped, and integers lost are counted."""
    with np.errstate(over="ignore"):  # what float32 can't hold becomes infinite, and is counted
        frames = interleaved(block, dtype)
    peak = float(max(frames.max(initial=0), -frames.min(initial=0)))
    bad, first = (0, 0) if np.isfinite(peak) else count_bad(frames.T)
    return Encoded(frames, 0, peak, bad, first, _count_inexact(block, frames.T, peak))


def _count_inexact(block: Block, floats: NDArray[Any], peak: float) -> int:
    """How many integers of `block` are not what `floats` say; `peak` is the largest of these, leaving its sign."""
    if block.dtype.kind not in "iu" or peak < 2 ** (np.finfo(floats.dtype).nmant + 1):
        return 0
    within = floats < 2.0**63  # the others are none of int64
    back = np.where(within, floats, 0).astype(np.int64)
    return int(np.count_nonzero(~within | (back != block)))


def count_bad(block: Block) -> tuple[int, int]:
    """How many numbers are NaN or infinite, and the sample index of the first."""
    bad = ~np.isfinite(block)
    return int(np.count_nonzero(bad)), int(np.argmax(bad.any(axis=0)))
