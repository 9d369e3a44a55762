"""`convtool lstm`: the work on one input."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal

from convtool.errors import InputError
from convtool.files.names import counted
from convtool.jobs.models.network import Place, build_network, initial_states
from convtool.jobs.models.state import read_states, write_states
from convtool.jobs.signal_job import SignalJob, Work
from convtool.jobs.stream import working_dtype
from convtool.models.recurrent import RecurrentModel
from convtool.runs.outcome import Outcome
from convtool.runs.plan import Task
from convtool.signals.inputs import Input
from convtool.signals.opening import Output
from convtool.signals.signal import Signal

if TYPE_CHECKING:
    from convtool.ops.recurrent.network import Network, Recurrent
    from convtool.ops.recurrent.shared_rows import SharedRows
    from convtool.plots import Trace


@dataclass(frozen=True, kw_only=True)
class Played(Work):
    """A model over one input, and what is to be told of it."""

    core: Recurrent
    notes: list[str]


class Networks:
    """The networks of the inputs that are worked on side by side, one for each place, whose calls they share."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shared: dict[Place, SharedRows] = {}

    def at(self, place: Place, build: Callable[[], Network]) -> SharedRows:
        """The network at `place`, built by the first who asks."""
        from convtool.ops.recurrent.shared_rows import SharedRows

        with self._lock:
            if place not in self._shared:
                self._shared[place] = SharedRows(build())
            return self._shared[place]


@dataclass(frozen=True)
class LstmJob(SignalJob):
    """Run a recurrent model over one input."""

    model: RecurrentModel
    engine: Literal["sequence", "cell"] = "sequence"
    block: int = 4096
    prewarm: int = 0
    condition: tuple[float, ...] = ()
    rate_policy: Literal["error", "resample", "ignore"] = "error"
    state_in: str | None = None
    state_out: str | None = None
    networks: Networks | None = field(default=None, repr=False)
    """Those that are shared with the inputs beside this one."""

    together: ClassVar[int] = 4

    def against_clipping(self, over: float) -> list[str]:
        """A model is no linear thing: less of the input is not the same with less gain."""
        return ["a quieter input"]

    def shared(self) -> LstmJob:
        """The same job on several inputs at a time, in one process."""
        return replace(self, networks=Networks())

    def prepare(self, item: Input, signal: Signal) -> Played:
        """The model over `signal`, at the rate that the policy says."""
        from convtool.ops.at_rate import AtRate
        from convtool.ops.recurrent.network import Recurrent

        working = working_dtype(self.dtype, signal)
        ingest = self.ingest(signal, working)
        ingest.nan = self.nan
        place = Place(working, ingest.device)
        network, shared = self._network(place)
        initial = initial_states(self.model, place) if self.state_in is None else read_states(self.state_in, place)
        core = Recurrent(network, block=self.block, prewarm=self.prewarm, initial=initial)
        operation = shared.stream(core) if shared else core
        rate = self._other_rate(signal)
        if rate is not None:
            operation = AtRate(operation, signal_rate=signal.sample_rate or rate, rate=rate)
        channels = network.channels(signal.channels)
        result = replace(
            signal,
            channels=channels,
            dtype=working,
            full_scale=None,
            frames=None,
            flat=signal.flat and channels == 1,
            names=signal.names if network.inputs == network.outputs == 1 else None,
        )
        told, notes = self._told(network, rate), [*self._of_model(), *self._doubts(signal)]
        picture = partial(_picture, signal, result, item.name)
        return Played(
            operation=operation,
            ingest=ingest,
            result=result,
            method=lambda: told,
            picture=picture,
            core=core,
            notes=notes,
        )

    def describe(self, signal: Signal) -> Signal:
        """The result's channels; refuses a rate or channels that are not the model's."""
        self._other_rate(signal)
        inputs = self.model.inputs - len(self.condition)
        if inputs not in (1, signal.channels):
            raise InputError(f"the model has {counted(inputs, 'input')} for the signal, which has {signal.channels}")
        return replace(signal, channels=signal.channels // inputs * self.model.outputs)

    def _network(self, place: Place) -> tuple[Network, SharedRows | None]:
        def build() -> Network:
            return build_network(self.model, place, condition=self.condition, engine=self.engine)

        if self.networks is None:
            return build(), None
        shared = self.networks.at(place, build)
        return shared.network, shared

    def _other_rate(self, signal: Signal) -> int | None:
        """The model's rate, where the signal must be brought to it."""
        ours, models = signal.sample_rate, self._model_rate
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

    @property
    def _model_rate(self) -> int | None:
        """In Hz. A rate that is only usual for a format obliges nobody, but is what can be resampled to."""
        return self.model.sample_rate or (self.model.usual_rate if self.rate_policy == "resample" else None)

    def _of_model(self) -> list[str]:
        """What is not as in the program that the model comes from, or may not be."""
        assumed = self.model.assumed
        return [*self.model.notes, *([f"assumed, as the model's file does not tell: {assumed}"] if assumed else [])]

    def _doubts(self, signal: Signal) -> list[str]:
        """What a file that tells no rate leaves open."""
        usual = self.model.usual_rate
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
            write_states(self.state_out, work.core.states, replace=self.write.overwrite)

    def _outcome(self, task: Task, notes: list[str], output: Output, samples: int, work: Work) -> Outcome:
        assert isinstance(work, Played)
        return super()._outcome(task, [*work.notes, *notes], output, samples, work)

    def _told(self, network: Network, rate: int | None) -> str:
        """How it was done, in a few words."""
        layers = ", ".join(f"{type(layer).__name__}({layer.hidden_size})" for layer in network.recurrent)
        resampled = f" at {rate} Hz" if rate else ""
        steps = "the whole input at once, as a layer is bidirectional" if network.bidirectional else str(self.block)
        return f"{self.model.format} model of {layers}{resampled}; engine {self.engine}; steps of {steps}"


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
