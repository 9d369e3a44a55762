"""How far what a model makes of a signal is from a recording of what it models."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from convtool.errors import InputError
from convtool.files.names import counted, show
from convtool.jobs.backend import load_torch
from convtool.jobs.models.job import ModelJob
from convtool.jobs.signal_job import Work, plain_errors
from convtool.jobs.stream import Ingest
from convtool.signals.inputs import Input
from convtool.signals.opening import open_reader
from convtool.signals.signal import BLOCK_SAMPLES, Block, Reader, Signal

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class Deviation:
    """The difference of a signal from a reference of as many channels, as far as both go."""

    channels: int
    sample_rate: int | None
    samples: int = 0
    largest: float = 0.0
    """The largest difference."""
    at: int = 0
    """The sample where it is."""
    channel: int = 1
    """The channel where it is, from 1 on."""
    peak: float = 0.0
    """The largest value of the reference."""
    squares: float = 0.0
    """The sum of the squares of the differences."""
    of_reference: float = 0.0
    """The sum of the squares of the reference."""
    notes: list[str] = field(default_factory=list)

    @property
    def esr(self) -> float:
        """The error-to-signal ratio."""
        return self.squares / self.of_reference

    def add(self, ours: Block, theirs: Block) -> None:
        """The next samples of both, ``(channels, samples)`` in float64."""
        apart = np.abs(ours - theirs)
        self.squares += float(np.square(apart).sum())
        self.of_reference += float(np.square(theirs).sum())
        self.peak = max(self.peak, float(np.abs(theirs).max()))
        channel, at = np.unravel_index(int(apart.argmax()), apart.shape)
        if apart[channel, at] > self.largest:
            self.largest, self.channel, self.at = float(apart[channel, at]), int(channel) + 1, self.samples + int(at)
        self.samples += theirs.shape[-1]


def deviation(job: ModelJob[Any], item: Input, reference: Input) -> Deviation:
    """Run `job` over `item`, and compare its outputs with `reference`.

    Raises:
        InputError: one of them can't be read, their channels or sample rates differ, or the reference is silent.
    """
    with open_reader(item, job.read) as reader, open_reader(reference, job.read) as other:
        torch = load_torch()
        with plain_errors(), torch.inference_mode():
            work = job.prepare(item, reader.signal)
            _check(work.result, other.signal, reference)
            found = Deviation(work.result.channels, work.result.sample_rate, notes=job.model_notes())
            ingest = Ingest(other.signal, "float64", "cpu", job.nan)
            for outputs in _outputs(reader, work):
                ours = outputs.cpu().double().numpy()
                theirs = ingest.tensor(other.read(ours.shape[-1])).numpy()
                if theirs.size:
                    found.add(ours[:, : theirs.shape[-1]], theirs)
                if theirs.shape[-1] < ours.shape[-1]:
                    found.notes.append(f"{reference.name} ends after {found.samples} samples; the rest is not compared")
                    break
            else:
                if other.read(1).shape[-1]:
                    found.notes.append(f"{reference.name} goes on after {found.samples} samples, which are compared")
    if not found.of_reference:
        raise InputError(f"{show(reference.name)} is silent over {counted(found.samples, 'sample')}: there is no ratio")
    return found


def _check(ours: Signal, theirs: Signal, reference: Input) -> None:
    """Refuse a reference that can't be of the same sound."""
    if ours.batch or theirs.batch:
        raise InputError("it is a batch of signals; --compare takes one")
    if ours.channels != theirs.channels:
        raise InputError(f"it gives {counted(ours.channels, 'channel')}, and {reference.name} has {theirs.channels}")
    if ours.sample_rate and theirs.sample_rate and ours.sample_rate != theirs.sample_rate:
        raise InputError(
            f"it has {ours.sample_rate} samples a second, and {reference.name} {theirs.sample_rate}; expected one rate"
        )


def _outputs(reader: Reader, work: Work) -> Iterator[Tensor]:
    """What comes out, in blocks."""
    for block in reader.blocks(BLOCK_SAMPLES):
        yield work.operation.push(work.ingest.tensor(block))
    yield work.operation.finish()
