"""`convtool wavenet`: the work on one input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convtool.arrays.nam import Fir
from convtool.jobs.models.dilated import build_stack
from convtool.jobs.models.job import ModelJob, Player
from convtool.jobs.models.place import Place
from convtool.jobs.models.state import read_states
from convtool.models.dilated import DilatedModel

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class WaveNetJob(ModelJob):
    """Run a model of dilated convolutions over one input."""

    model: DilatedModel
    block: int = 2048
    prewarm: int | None = None
    """Samples; nothing for the receptive field, or none where a state goes on."""
    input_gain: float = 1.0
    output_gain: float = 1.0

    def player(self, place: Place) -> Player:
        """The model there, after silence or the state that it goes on from."""
        return self._of_impulse(place) if isinstance(self.model.net, Fir) else self._of_stack(place)

    def _of_stack(self, place: Place) -> Player:
        from convtool.ops.dilated.stream import Dilated

        net = self.model.net
        assert not isinstance(net, Fir)
        core = Dilated(
            build_stack(net, self.model.weights, place),
            block=self.block,
            prewarm=self._silence,
            condition=self.condition,
            input_gain=self.input_gain,
            output_gain=self.output_gain,
            initial=self._initial(place),
        )
        keeps_names = core.inputs == net.outputs == 1
        return Player(core, core.channels, keeps_names, lambda: _named(core.states), self._told)

    def _of_impulse(self, place: Place) -> Player:
        from convtool.ops.dilated.impulse import Impulse

        net, gain = self.model.net, self.input_gain * self.output_gain
        assert isinstance(net, Fir)
        bias = float(self.model.weights[f"{net.name}bias"][0]) if net.bias else 0.0
        taps = place.tensor(gain * self.model.weights[f"{net.name}impulse_response"])
        initial = self._initial(place)
        core = Impulse(taps, bias=self.output_gain * bias, initial=None if initial is None else initial[0])
        return Player(core, lambda channels: channels, True, lambda: _named([core.past]), self._told)

    def _initial(self, place: Place) -> list[Tensor] | None:
        if self.state_in is None:
            return None
        found = read_states(self.state_in, place, first="convs.0", dimensions=3)
        return [found[name] for name in sorted(found, key=lambda name: (len(name), name))]

    @property
    def _silence(self) -> int:
        if self.prewarm is None:
            return 0 if self.state_in else self.model.receptive_field
        return self.prewarm

    def model_channels(self) -> tuple[int, int]:
        """How many inputs and outputs the model has."""
        net = self.model.net
        return self.model.inputs, 1 if isinstance(net, Fir) else net.outputs

    def model_rates(self) -> tuple[int | None, int | None]:
        """In Hz: what the model's file tells, and what is usual for such a file."""
        return self.model.sample_rate, None

    def model_notes(self) -> list[str]:
        """What is not as in the program that the model comes from, or may not be."""
        return list(self.model.notes)

    def _told(self, rate: int | None) -> str:
        """How it was done, in a few words."""
        model = self.model
        silence = "its receptive field" if self._silence == model.receptive_field else f"of {model.receptive_field}"
        parts = [
            f"{model.architecture} of {model.parameters} weights{f' at {rate} Hz' if rate else ''}",
            f"begun with {self._silence} samples of silence, {silence}" if self._silence else "begun without silence",
            f"steps of {self.block}",
        ]
        for what, gain in (("input", self.input_gain), ("output", self.output_gain)):
            if gain != 1:
                parts.append(f"{what} {20 * np.log10(gain):+.2f} dB")
        return "; ".join(parts)


def _named(states: Sequence[Tensor]) -> dict[str, Tensor]:
    return {f"convs.{number}": values for number, values in enumerate(states)}
