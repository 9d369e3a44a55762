"""`convtool lstm`: the work on one input."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Literal

from convtool.errors import InputError, UsageError
from convtool.jobs.models.job import ModelJob, Player, stamp
from convtool.jobs.models.network import build_network, initial_states
from convtool.jobs.models.place import Place
from convtool.jobs.models.state import named_states, read_recurrent_states
from convtool.models.recurrent import RecurrentModel, read_model

if TYPE_CHECKING:
    from convtool.ops.recurrent.network import Network
    from convtool.ops.recurrent.shared_rows import SharedRows


class Networks:
    """The networks of inputs that are worked on side by side, whose calls they share: one for each model and place."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shared: dict[tuple[str, Place], SharedRows] = {}

    def at(self, model: str, place: Place, build: Callable[[], Network]) -> SharedRows:
        """The network of `model` at `place`, built by the first who asks."""
        from convtool.ops.recurrent.shared_rows import SharedRows

        with self._lock:
            key = model, place
            if key not in self._shared:
                self._shared[key] = SharedRows(build())
            return self._shared[key]


@lru_cache(maxsize=32)
def _load(path: str, assume_defaults: bool, _stamp: tuple[int, ...]) -> RecurrentModel:
    return load(path, assume_defaults=assume_defaults)


def load(path: str, *, assume_defaults: bool) -> RecurrentModel:
    """The model in the file at `path`.

    Raises:
        InputError: it can't be read or run, or holds weights alone, and no defaults are to be assumed.
    """
    model = read_model(path)
    if model.assumed and not assume_defaults:
        raise InputError(
            f"it holds weights without the settings of their layers; --assume-defaults takes {model.assumed}"
        )
    return model


@dataclass(frozen=True, kw_only=True)
class LstmJob(ModelJob[RecurrentModel]):
    """Run a recurrent model over one input."""

    assume_defaults: bool = False
    engine: Literal["sequence", "cell"] = "sequence"
    block: int = 4096
    prewarm: int = 0
    networks: Networks | None = field(default=None, repr=False)
    """Those that are shared with the inputs beside this one."""

    together: ClassVar[int] = 4

    def shared(self) -> LstmJob:
        """The same job on several inputs at a time, in one process."""
        return replace(self, networks=Networks())

    def load(self, path: str) -> RecurrentModel:
        """The model in the file at `path`, kept for the next input that it is asked for."""
        return _load(path, self.assume_defaults, stamp(path))

    def check(self) -> None:
        """Refuse what does not fit the model, whatever the input."""
        carried = {"--prewarm": self.prewarm, "--state-in": self.state_in, "--state-out": self.state_out}
        given = [name for name, value in carried.items() if value]
        if given and self.loaded.bidirectional:
            raise UsageError(
                f"{given[0]} needs a model that runs forwards in time; a layer of this one is bidirectional"
            )
        ModelJob.check(self)

    def player(self, place: Place, *, flowing: bool) -> Player:
        """The network there, and the state that it begins from."""
        from convtool.ops.recurrent.network import Recurrent

        network, shared = self._network(place)
        if self.state_in is None:
            initial = initial_states(self.loaded, place)
        else:
            initial = read_recurrent_states(self.state_in, place)
        core = Recurrent(network, block=self.block, prewarm=self.prewarm, initial=initial, flowing=flowing)
        return Player(
            operation=shared.stream(core) if shared else core,
            channels=network.channels,
            keeps_names=network.inputs == network.outputs == 1,
            states=lambda: named_states(core.states),
            told=lambda rate: self._told(network, rate),
        )

    def _network(self, place: Place) -> tuple[Network, SharedRows | None]:
        def build() -> Network:
            return build_network(self.loaded, place, condition=self.condition, engine=self.engine)

        if self.networks is None:
            return build(), None
        shared = self.networks.at(self.model, place, build)
        return shared.network, shared

    def model_channels(self) -> tuple[int, int]:
        """How many inputs and outputs the model has."""
        return self.loaded.inputs, self.loaded.outputs

    def model_rates(self) -> tuple[int | None, int | None]:
        """In Hz: what the model's file tells, and what is usual for such a file."""
        return self.loaded.sample_rate, self.loaded.usual_rate

    def model_notes(self) -> list[str]:
        """What is not as in the program that the model comes from, or may not be."""
        assumed = self.loaded.assumed
        return [*self.loaded.notes, *([f"assumed, as the model's file does not tell: {assumed}"] if assumed else [])]

    def _told(self, network: Network, rate: int | None) -> str:
        """How it was done, in a few words."""
        layers = ", ".join(f"{type(layer).__name__}({layer.hidden_size})" for layer in network.recurrent)
        resampled = f" at {rate} Hz" if rate else ""
        steps = "the whole input at once, as a layer is bidirectional" if network.bidirectional else str(self.block)
        return f"{self.loaded.format} model of {layers}{resampled}; engine {self.engine}; steps of {steps}"
