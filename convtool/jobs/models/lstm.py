"""`convtool lstm`: the work on one input."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Literal

from convtool.jobs.models.job import ModelJob, Player
from convtool.jobs.models.network import build_network, initial_states
from convtool.jobs.models.place import Place
from convtool.jobs.models.state import named_states, read_recurrent_states
from convtool.models.recurrent import RecurrentModel

if TYPE_CHECKING:
    from convtool.ops.recurrent.network import Network
    from convtool.ops.recurrent.shared_rows import SharedRows


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
class LstmJob(ModelJob):
    """Run a recurrent model over one input."""

    model: RecurrentModel
    engine: Literal["sequence", "cell"] = "sequence"
    block: int = 4096
    prewarm: int = 0
    networks: Networks | None = field(default=None, repr=False)
    """Those that are shared with the inputs beside this one."""

    together: ClassVar[int] = 4

    def shared(self) -> LstmJob:
        """The same job on several inputs at a time, in one process."""
        return replace(self, networks=Networks())

    def player(self, place: Place) -> Player:
        """The network there, and the state that it begins from."""
        from convtool.ops.recurrent.network import Recurrent

        network, shared = self._network(place)
        if self.state_in is None:
            initial = initial_states(self.model, place)
        else:
            initial = read_recurrent_states(self.state_in, place)
        core = Recurrent(network, block=self.block, prewarm=self.prewarm, initial=initial)
        return Player(
            operation=shared.stream(core) if shared else core,
            channels=network.channels,
            keeps_names=network.inputs == network.outputs == 1,
            states=lambda: named_states(core.states),
            told=lambda rate: self._told(network, rate),
        )

    def _network(self, place: Place) -> tuple[Network, SharedRows | None]:
        def build() -> Network:
            return build_network(self.model, place, condition=self.condition, engine=self.engine)

        if self.networks is None:
            return build(), None
        shared = self.networks.at(place, build)
        return shared.network, shared

    def model_channels(self) -> tuple[int, int]:
        """How many inputs and outputs the model has."""
        return self.model.inputs, self.model.outputs

    def model_rates(self) -> tuple[int | None, int | None]:
        """In Hz: what the model's file tells, and what is usual for such a file."""
        return self.model.sample_rate, self.model.usual_rate

    def model_notes(self) -> list[str]:
        """What is not as in the program that the model comes from, or may not be."""
        assumed = self.model.assumed
        return [*self.model.notes, *([f"assumed, as the model's file does not tell: {assumed}"] if assumed else [])]

    def _told(self, network: Network, rate: int | None) -> str:
        """How it was done, in a few words."""
        layers = ", ".join(f"{type(layer).__name__}({layer.hidden_size})" for layer in network.recurrent)
        resampled = f" at {rate} Hz" if rate else ""
        steps = "the whole input at once, as a layer is bidirectional" if network.bidirectional else str(self.block)
        return f"{self.model.format} model of {layers}{resampled}; engine {self.engine}; steps of {steps}"
