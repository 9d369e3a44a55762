"""What `convtool lstm` and `convtool wavenet` do around their models: rates, states, what is told."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

from convtool.errors import ConvtoolError, InputError, UsageError
from convtool.files.names import counted
from convtool.jobs.copies import flows
from convtool.jobs.models.place import Place
from convtool.jobs.models.state import write_states
from convtool.jobs.signal_job import SignalJob, Work
from convtool.jobs.stream import working_dtype
from convtool.models.dilated import DilatedModel
from convtool.models.recurrent import RecurrentModel
from convtool.runs.outcome import Outcome
from convtool.runs.plan import Task
from convtool.signals.inputs import Input
from convtool.signals.opening import Output
from convtool.signals.signal import Signal

if TYPE_CHECKING:
    from torch import Tensor

    from convtool.ops.blocks import Blockwise
    from convtool.plots import Trace

Model = TypeVar("Model", bound=RecurrentModel | DilatedModel)
RatePolicy = Literal["error", "resample", "ignore"]


def stamp(path: str) -> tuple[int, ...]:
    """What tells a file from another that takes its place; nothing for one that is elsewhere."""
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


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
class ModelJob(SignalJob, Generic[Model]):
    """Run a model over one input. A job says which, in `player`, and what its file tells."""

    model: str
    """The model's file; what stands for several, where each input has one that is chosen for it."""
    carried: Mapping[str, Model | ConvtoolError] = field(default_factory=dict, repr=False)
    """Models that were read already, by their files, the one of this input among them; or why one could not be."""
    condition: tuple[float, ...] = ()
    rate_policy: RatePolicy = "error"
    state_in: str | None = None
    state_out: str | None = None

    def against_clipping(self, over: float) -> list[str]:
        """A model is no linear thing: less of the input is not the same with less gain."""
        return ["a quieter input"]

    def __call__(self, task: Task) -> Outcome:
        """Read one input, run the model that is chosen for it, and write the result."""
        return SignalJob.__call__(self._with_choice(task), task)

    def rehearse(self, task: Task) -> Outcome:
        """Check one input with the model that is chosen for it, without its samples."""
        return SignalJob.rehearse(self._with_choice(task), task)

    def _with_choice(self, task: Task) -> ModelJob[Model]:
        if task.choice is None:
            return self
        word = task.choice.word
        job = replace(self, model=word, carried={word: self._attempt(word)})
        job.check()
        return job

    def carrying(self, tasks: Iterable[Task]) -> ModelJob[Model]:
        """The same job with all models of `tasks` in it, and a path to its state that leads there from any folder."""
        words = {self.model if task.choice is None else task.choice.word for task in tasks}
        state_in = None if self.state_in is None else os.path.abspath(self.state_in)
        return replace(self, carried={word: self._attempt(word) for word in words}, state_in=state_in)

    def _attempt(self, word: str) -> Model | ConvtoolError:
        try:
            return self.carried.get(word) or self.load(word)
        except ConvtoolError as error:
            return error

    @property
    def loaded(self) -> Model:
        """The model.

        Raises:
            ConvtoolError: its file can't be read.
        """
        found = self.carried[self.model]
        if isinstance(found, ConvtoolError):
            raise found
        return found

    @abstractmethod
    def load(self, path: str) -> Model:
        """The model in the file at `path`, kept for the next input that it is asked for."""

    def check(self) -> None:
        """Refuse what does not fit the model, whatever the input.

        Raises:
            UsageError: the condition leaves none of the model's inputs to the signal.
        """
        count, (inputs, _) = len(self.condition), self.model_channels()
        if count and count >= inputs:
            others = f"{counted(inputs - 1, 'input')} beside" if inputs > 1 else "no input but"
            raise UsageError(f"--condition is for {counted(count, 'more input')}; the model has {others} the signal")

    @abstractmethod
    def player(self, place: Place, *, flowing: bool) -> Player:
        """The model there, before an input; one that is `flowing` gives the output of each sample at once."""

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
        player = self.player(Place(working, ingest.device), flowing=flows(item, signal))
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
