"""What `convtool lstm` and `convtool wavenet` do around their models: rates, states, what is told."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal

from convtool.errors import InputError
from convtool.files.names import counted
from convtool.jobs.models.place import Place
from convtool.jobs.models.state import write_states
from convtool.jobs.signal_job import SignalJob, Work
from convtool.jobs.stream import working_dtype
from convtool.runs.outcome import Outcome
from convtool.runs.plan import Task
from convtool.signals.inputs import Input
from convtool.signals.opening import Output
from convtool.signals.signal import Signal

if TYPE_CHECKING:
    from torch import Tensor

    from convtool.ops.blocks import Blockwise
    from convtool.plots import Trace

RatePolicy = Literal["error", "resample", "ignore"]


@dataclass(frozen=True)
class Player:
    """A model that is ready for one input."""

    operation: Blockwise
    channels: Callable[[int], int]
    """How many come out of so many."""
    keeps_names: bool
    """Whether each channel of the signal gives one of the result."""
    states: Callable[[], Mapping[str, Tensor]]
    """What is to be kept to go on from, once the end was staged."""
    told: Callable[[int | None], str]
    """How it works, in a few words, at the rate that the signal is brought to."""


@dataclass(frozen=True, kw_only=True)
class Played(Work):
    """A model over one input, and what is to be told of it."""

    states: Callable[[], Mapping[str, Tensor]]
    notes: list[str]


@dataclass(frozen=True, kw_only=True)
class ModelJob(SignalJob):
    """Run a model over one input. A job says which, in `player`, and what its file tells."""

    condition: tuple[float, ...] = ()
    rate_policy: RatePolicy = "error"
    state_in: str | None = None
    state_out: str | None = None

    def against_clipping(self, over: float) -> list[str]:
        """A model is no linear thing: less of the input is not the same with less gain."""
        return ["a quieter input"]

    def carrying(self, tasks: Iterable[Task]) -> SignalJob:
        """The same job, with a path to its state that leads there from any folder."""
        return self if self.state_in is None else replace(self, state_in=os.path.abspath(self.state_in))

    @abstractmethod
    def player(self, place: Place) -> Player:
        """The model there, before an input."""

    @abstractmethod
    def model_channels(self) -> tuple[int, int]:
        """How many inputs and outputs the model has."""

    @abstractmethod
    def model_rates(self) -> tuple[int | None, int | None]:
        """In Hz: what the model's file tells, and what is usual for such a file."""

    @abstractmethod
    def model_notes(self) -> list[str]:
        """What is not as in the program that the model comes from, or may not be."""

    def prepare(self, item: Input, signal: Signal) -> Played:
        """The model over `signal`, at the rate that the policy says."""
        from convtool.ops.at_rate import AtRate

        working = working_dtype(self.dtype, signal)
        ingest = self.ingest(signal, working)
        ingest.nan = self.nan
        player = self.player(Place(working, ingest.device))
        operation, rate = player.operation, self._other_rate(signal)
        if rate is not None:
            operation = AtRate(operation, signal_rate=signal.sample_rate or rate, rate=rate)
        channels = player.channels(signal.channels)
        result = replace(
            signal,
            channels=channels,
            dtype=working,
            full_scale=None,
            frames=None,
            flat=signal.flat and channels == 1,
            names=signal.names if player.keeps_names else None,
        )
        return Played(
            operation=operation,
            ingest=ingest,
            result=result,
            method=lambda: player.told(rate),
            picture=partial(_picture, signal, result, item.name),
            states=player.states,
            notes=[*self.model_notes(), *self._doubts(signal)],
        )

    def describe(self, signal: Signal) -> Signal:
        """The result's channels; refuses a rate or channels that are not the model's."""
        self._other_rate(signal)
        inputs, outputs = self.model_channels()
        left = inputs - len(self.condition)
        if left not in (1, signal.channels):
            raise InputError(f"the model has {counted(left, 'input')} for the signal, which has {signal.channels}")
        return replace(signal, channels=signal.channels // left * outputs)

    def _other_rate(self, signal: Signal) -> int | None:
        """The model's rate, where the signal must be brought to it."""
        told, usual = self.model_rates()
        # A rate that is only usual for a format obliges nobody, but is what can be resampled to.
        models = told or (usual if self.rate_policy == "resample" else None)
        ours = signal.sample_rate
        if self.rate_policy == "ignore" or ours is None or models is None or ours == models:
            return None
        if self.rate_policy == "error":
            raise InputError(
                f"it has {ours} samples a second, and the model is for {models}; give --rate-policy resample to "
                "bring it there and back, or --rate-policy ignore"
            )
        if self.state_in or self.state_out:
            raise InputError(
                f"it has {ours} samples a second, and the model is for {models}: a state does not go on across the "
                "edge of a resampled signal; resample the signal as a whole first"
            )
        return models

    def _doubts(self, signal: Signal) -> list[str]:
        """What a file that tells no rate leaves open."""
        _, usual = self.model_rates()
        if usual is None or self.rate_policy != "error" or signal.sample_rate in (None, usual):
            return []
        return [
            f"it has {signal.sample_rate} samples a second; the model's file tells no rate, and such models are run at "
            f"{usual}: --rate-policy resample does so, and ignore says that this is right"
        ]

    def keep(self, work: Work) -> None:
        """Write the states after the last sample."""
        assert isinstance(work, Played)
        if self.state_out is not None:
            write_states(self.state_out, work.states(), replace=self.write.overwrite)

    def _outcome(self, task: Task, notes: list[str], output: Output, samples: int, work: Work) -> Outcome:
        assert isinstance(work, Played)
        return super()._outcome(task, [*work.notes, *notes], output, samples, work)


def _picture(signal: Signal, result: Signal, name: str, heard: Trace, made: Trace, format: str) -> bytes:
    from convtool.plots import render_before_after

    return render_before_after(
        signal=heard,
        output=made,
        sample_rate=signal.sample_rate,
        names=(name, "output"),
        channels=(signal.names, result.names),
        format=format,
    )
