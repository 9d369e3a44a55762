"""What a signal is, whichever file holds it: its description, its reader and its writer."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convtool.files.names import counted
from convtool.signals.metadata import Metadata

if TYPE_CHECKING:
    from convtool.signals.text.kept import Kept

Block = NDArray[Any]
"""Samples ``(channels, samples)``, or ``(batch, channels, samples)`` from a 3-D array."""

BLOCK_SAMPLES = 1 << 19
"""Samples of all channels together that one block holds at the most."""

OPEN_LENGTH = "its header leaves the number of samples open; read to the end"
"""What to say of a file that was written into a pipe."""


@dataclass(frozen=True)
class Signal:
    """The description of a signal: all that its samples do not say.

    `dtype` is that in which its numbers are worked: float32, float64, or int64 where they are
    integers. `full_scale` is set where the blocks hold PCM integers: a sample is value / full_scale.
    `frames` is what the file declares, or None; it is a hint, since headers lie.
    """

    format: str
    channels: int
    dtype: str
    sample_rate: int | None = None
    frames: int | None = None
    subtype: str | None = None
    full_scale: int | None = None
    batch: int | None = None
    leading: tuple[int, ...] = ()
    """The axes that make up the batch, in an array that has several."""
    flat: bool = False
    """The signal is one-dimensional: a single row of a CSV, or an array `(samples,)`."""
    layout: str = "NCT"
    names: tuple[str, ...] | None = None
    channel_mask: int = 0
    """The loudspeakers that the channels are for, a bit each as in WAVE_FORMAT_EXTENSIBLE; 0 where nothing says."""
    kept: Kept | None = None
    """The columns that go on into a text output as they are."""
    delimiter: str | None = None
    """What stands between the cells of a text that says so itself (Excel's ``sep=;``)."""
    metadata: Metadata = field(default_factory=Metadata)


def at_stride(signal: Signal, stride: int) -> Signal:
    """`signal` with the sample rate of every `stride`-th of its samples, the nearest whole one."""
    rate = signal.sample_rate
    return replace(signal, sample_rate=rate and max(1, round(rate / stride)))


class Reader(ABC):
    """A signal being read from its beginning to its end, once."""

    signal: Signal
    notes: list[str]
    """What the person should know, although nothing failed."""
    remarks: Sequence[str] = ()
    """What was taken for what, for those who ask with -v."""

    @abstractmethod
    def read(self, samples: int) -> Block:
        """The next `samples` samples of every channel; fewer at the end, none after it."""

    @abstractmethod
    def close(self) -> None:
        """Give back what the reader holds."""

    def blocks(self, values: int = BLOCK_SAMPLES) -> Iterator[Block]:
        """The rest of the signal in blocks of about `values` numbers."""
        samples = max(1, values // (self.signal.channels * (self.signal.batch or 1)))
        while (block := self.read(samples)).shape[-1]:
            yield block

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Writer(ABC):
    """A signal being written from its beginning to its end."""

    clipped: int = 0
    peak: float = 0.0
    measures: bool = False
    """Whether `write` keeps `clipped` and `peak`; a writer of numbers as they are has nothing to clip."""
    notes: Sequence[str] = ()
    """What there is to say of the file once it is complete."""
    left_out: tuple[str, ...] = ()
    """Tags of the signal that the file would hold damaged."""
    no_place: tuple[str, ...] = ()
    """What else the signal says of itself that such a file does not hold."""

    @abstractmethod
    def encode(self, block: Block) -> Any:
        """What `write` takes: `block` in the file's own numbers. Keeps no state; any thread may call it."""

    @abstractmethod
    def write(self, encoded: Any) -> None:
        """Append the next block, as `encode` gave it."""

    def clipping(self) -> str:
        """How many samples the file could not hold as they were, and how far they go."""
        over = decibels(self.peak) or 0.0
        return f"{counted(self.clipped, 'sample')} clipped, the peak is {over:+.2f} dB over full scale"

    @abstractmethod
    def close(self) -> None:
        """Write what is left; the file is complete after this."""

    def discard(self) -> None:  # noqa: B027 (few formats hold anything)
        """Give back what a writer holds that will not be closed; before the file under it is closed."""


def decibels(peak: float) -> float | None:
    """A peak in decibels beside full scale, 1; None for silence."""
    return 20 * math.log10(peak) if peak else None


def as_float(block: Block, signal: Signal) -> NDArray[Any]:
    """`block` as real numbers of float64: PCM integers scaled to [-1, 1).

    For small signals such as kernels; a job scales its blocks in torch.
    """
    values = np.asarray(block, dtype=np.float64)
    return values if signal.full_scale is None else values / signal.full_scale
