"""`convtool wavenet`: the work on one input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np

from convtool.arrays.nam.nets import Fir
from convtool.jobs.models.dilated import build_stack
from convtool.jobs.models.job import ModelJob, Player, stamp
from convtool.jobs.models.place import Place
from convtool.jobs.models.state import read_states
from convtool.models.dilated import DilatedModel, read_dilated_model

if TYPE_CHECKING:
    from torch import Tensor


_LOUDNESS = -18.0
"""In dB: what NAM's player brings the loudness of a model to."""


@lru_cache(maxsize=32)
def _load(path: str, size: float | None, _stamp: tuple[int, ...]) -> DilatedModel:
    return read_dilated_model(path, size)


@dataclass(frozen=True, kw_only=True)
class WaveNetJob(ModelJob[DilatedModel]):
    """Run a model of dilated convolutions over one input."""

    size: float | None = None
    block: int = 2048
    prewarm: int | None = None
    """Samples; nothing for what the model's own player takes, or none where a state goes on."""
    input_level: float | None = None
    """In dBu."""
    output_level: Literal["raw", "normalized", "calibrated"] = "raw"

    def load(self, path: str) -> DilatedModel:
        """The model in the file at `path`, kept for the next input that it is asked for."""
        return _load(path, self.size, stamp(path))

    def check(self) -> None:
        """Refuse what does not fit the model, whatever the input."""
        self._gains()
        ModelJob.check(self)

    def _gains(self) -> tuple[float, float]:
        """The factors of input and output, as NAM's plug-in has them.

        With the levels of the metadata in dBu and its loudness in dB, the input is raised by `input_level` less
        `input_level_dbu`; the output by -18 less `loudness`, or by `output_level_dbu` less `input_level`.
        """
        there = back = 0.0
        if self.input_level is not None:
            there = self.input_level - self.loaded.told("input_level_dbu")
        if self.output_level == "normalized":
            back = _LOUDNESS - self.loaded.told("loudness")
        elif self.output_level == "calibrated":
            assert self.input_level is not None, "calibrated without the level of the recording"
            back = self.loaded.told("output_level_dbu") - self.input_level
        return 10 ** (there / 20), 10 ** (back / 20)

    def player(self, place: Place, *, flowing: bool) -> Player:
        """The model there, after silence or the state that it goes on from."""
        return self._of_impulse(place) if isinstance(self.loaded.net, Fir) else self._of_stack(place, flowing)

    def _of_stack(self, place: Place, flowing: bool) -> Player:
        from convtool.ops.dilated.stream import Dilated

        net, (input_gain, output_gain) = self.loaded.net, self._gains()
        core = Dilated(
            build_stack(net, self.loaded.weights, place),
            block=self.block,
            prewarm=self._silence,
            condition=self.condition,
            input_gain=input_gain,
            output_gain=output_gain,
            initial=self._initial(place),
            flowing=flowing,
        )
        keeps_names = core.inputs == net.outputs == 1
        return Player(core, core.channels, keeps_names, lambda: _named(core.states), self._told)

    def _of_impulse(self, place: Place) -> Player:
        from convtool.ops.dilated.impulse import Impulse

        net, (input_gain, output_gain) = self.loaded.net, self._gains()
        assert isinstance(net, Fir)
        bias = float(self.loaded.weights[f"{net.name}bias"][0]) if net.bias else 0.0
        taps = place.tensor(input_gain * output_gain * self.loaded.weights[f"{net.name}impulse_response"])
        initial = self._initial(place)
        core = Impulse(taps, bias=output_gain * bias, initial=None if initial is None else initial[0])
        return Player(core, lambda channels: channels, True, lambda: _named([core.past]), self._told)

    def _initial(self, place: Place) -> list[Tensor] | None:
        if self.state_in is None:
            return None
        found = read_states(self.state_in, place, first="convs.0", dimensions=3)
        return [found[name] for name in sorted(found, key=lambda name: (len(name), name))]

    @property
    def _silence(self) -> int:
        if self.prewarm is None:
            return 0 if self.state_in else self.loaded.silence
        return self.prewarm

    def model_channels(self) -> tuple[int, int]:
        """How many inputs and outputs the model has."""
        net = self.loaded.net
        return self.loaded.inputs, 1 if isinstance(net, Fir) else net.outputs

    def model_rates(self) -> tuple[int | None, int | None]:
        """In Hz: what the model's file tells, and what is usual for such a file."""
        return self.loaded.sample_rate, None

    def model_notes(self) -> list[str]:
        """What is not as in the program that the model comes from, or may not be."""
        return list(self.loaded.notes)

    def _told(self, rate: int | None) -> str:
        """How it was done, in a few words."""
        model = self.loaded
        usual = "as in its player" if model.net.endless else "its receptive field"
        silence = usual if self._silence == model.silence else f"of {model.silence}"
        parts = [
            f"{model.architecture} of {model.parameters} weights{f' at {rate} Hz' if rate else ''}",
            f"begun with {self._silence} samples of silence, {silence}" if self._silence else "begun without silence",
            f"steps of {self.block}",
        ]
        for what, gain in zip(("input", "output"), self._gains(), strict=True):
            if gain != 1:
                parts.append(f"{what} {20 * np.log10(gain):+.2f} dB")
        return "; ".join(parts)


def _named(states: Sequence[Tensor]) -> dict[str, Tensor]:
    return {f"convs.{number}": values for number, values in enumerate(states)}
