"""The layers of the models in NAM's files, and their tensors in the order of the numbers there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Literal

from convtool.errors import InputError

Shape = tuple[int, ...]

FilmPlace = Literal[
    "conv_pre", "conv_post", "mixin_pre", "mixin_post", "activation_pre", "activation_post", "next_post", "head_post"
]

FILMS: Mapping[str, FilmPlace] = {
    "conv_pre_film": "conv_pre",
    "conv_post_film": "conv_post",
    "input_mixin_pre_film": "mixin_pre",
    "input_mixin_post_film": "mixin_post",
    "activation_pre_film": "activation_pre",
    "activation_post_film": "activation_post",
    "layer1x1_post_film": "next_post",
    "head1x1_post_film": "head_post",
}
"""Where a layer may be modulated, in the order of the numbers."""

NORM = ("running_mean", "running_var", "weight", "bias", "eps")
"""The numbers of a batch normalisation, in order."""

Gating = Literal["none", "gated", "blended"]


@dataclass(frozen=True)
class Activation:
    """An activation function and what it is set to."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Conv:
    """A convolution, and the names of its tensors."""

    name: str
    outputs: int
    inputs: int
    taps: int = 1
    dilation: int = 1
    groups: int = 1
    bias: bool = True
    norm: bool = False
    """Whether a batch normalisation follows, in the place of the bias."""

    def __post_init__(self) -> None:
        if self.inputs % self.groups or self.outputs % self.groups:
            raise InputError(
                f"{self.name!r} has {self.groups} groups, which do not divide {self.inputs} inputs and {self.outputs} "
                "outputs"
            )

    @property
    def reach(self) -> int:
        """How many samples it looks back."""
        return (self.taps - 1) * self.dilation

    def tensors(self) -> Iterator[tuple[str, Shape]]:
        """Their names and shapes, in order."""
        yield f"{self.name}.weight", (self.outputs, self.inputs // self.groups, self.taps)
        if self.bias:
            yield f"{self.name}.bias", (self.outputs,)
        if self.norm:
            for part in NORM:
                yield f"{self.name}.norm.{part}", (1 if part == "eps" else self.outputs,)


@dataclass(frozen=True)
class Film:
    """A modulation by the condition."""

    conv: Conv
    shift: bool


@dataclass(frozen=True)
class Layer:
    """A layer of an array."""

    conv: Conv
    mixin: Conv
    activation: Activation
    gating: Gating
    gate: Activation | None
    to_next: Conv | None
    to_head: Conv | None
    films: Mapping[FilmPlace, Film]

    def convs(self) -> Iterator[Conv]:
        """All its convolutions, in the order of the numbers."""
        parts = (self.conv, self.mixin, self.to_next, self.to_head, *(film.conv for film in self.films.values()))
        return (part for part in parts if part is not None)


@dataclass(frozen=True)
class Array:
    """Layers one after another, whose heads add up."""

    enter: Conv
    layers: Sequence[Layer]
    leave: Conv

    def convs(self) -> Iterator[Conv]:
        """All its convolutions, in the order of the numbers."""
        return chain([self.enter], *(layer.convs() for layer in self.layers), [self.leave])


@dataclass(frozen=True)
class Chain:
    """Convolutions and activations one after another."""

    steps: Sequence[Conv | Activation]

    def convs(self) -> Iterator[Conv]:
        """All its convolutions, in the order of the numbers."""
        return (step for step in self.steps if isinstance(step, Conv))

    def tensors(self) -> Iterator[tuple[str, Shape]]:
        """Names and shapes, in the order of the numbers."""
        return chain.from_iterable(conv.tensors() for conv in self.convs())

    @property
    def inputs(self) -> int:
        """Channels that it takes."""
        return next(self.convs()).inputs

    @property
    def outputs(self) -> int:
        """Channels that it gives."""
        return list(self.convs())[-1].outputs

    @property
    def reach(self) -> int:
        """How many samples it looks back."""
        return sum(conv.reach for conv in self.convs())

    endless = False


@dataclass(frozen=True)
class Stack:
    """Arrays, and what comes before and behind them."""

    arrays: Sequence[Array]
    head: Chain | None
    scale: str
    """The name of the tensor with the factor of the head."""
    config_scale: float
    """The same in the config, where it has not been rounded to float32."""
    condition: Net | None
    """What makes the condition of the input, in a list of numbers of its own."""

    def convs(self) -> Iterator[Conv]:
        """All its convolutions, in the order of the numbers; not those of the condition."""
        return chain(*(array.convs() for array in self.arrays), self.head.convs() if self.head else ())

    def tensors(self) -> Iterator[tuple[str, Shape]]:
        """Names and shapes, in the order of the numbers; not those of the condition."""
        yield from chain.from_iterable(conv.tensors() for conv in self.convs())
        yield self.scale, (1,)

    @property
    def inputs(self) -> int:
        """Channels that it takes."""
        return self.arrays[0].enter.inputs

    @property
    def outputs(self) -> int:
        """Channels that it gives."""
        return self.arrays[-1].leave.outputs if self.head is None else self.head.outputs

    @property
    def reach(self) -> int:
        """How many samples it looks back."""
        return sum(conv.reach for conv in self.convs()) + (self.condition.reach if self.condition else 0)

    @property
    def endless(self) -> bool:
        """Whether a recurrent layer in it remembers all that it has heard."""
        return self.condition is not None and self.condition.endless


@dataclass(frozen=True)
class Fir:
    """An impulse response and a constant."""

    name: str
    taps: int
    bias: bool

    inputs = outputs = 1
    endless = False

    @property
    def reach(self) -> int:
        """How many samples it looks back."""
        return self.taps - 1

    def tensors(self) -> Iterator[tuple[str, Shape]]:
        """Names and shapes, in the order of the numbers."""
        yield f"{self.name}impulse_response", (self.taps,)
        if self.bias:
            yield f"{self.name}bias", (1,)


@dataclass(frozen=True)
class Lstm:
    """LSTM layers one after another, the states that they begin from, and a linear layer."""

    name: str
    inputs: int
    units: int
    layers: int
    outputs: int

    reach = 0
    endless = True

    def tensors(self) -> Iterator[tuple[str, Shape]]:
        """Names and shapes, in the order of the numbers; gates i f g o, and both biases summed."""
        for index in range(self.layers):
            place, inputs = f"{self.name}layers.{index}", self.units if index else self.inputs
            yield f"{place}.weight", (4 * self.units, inputs + self.units)
            yield f"{place}.bias", (4 * self.units,)
            yield f"{place}.h0", (self.units,)
            yield f"{place}.c0", (self.units,)
        yield f"{self.name}head.weight", (self.units,) if self.outputs == 1 else (self.outputs, self.units)
        yield f"{self.name}head.bias", (self.outputs,)


Net = Stack | Chain | Fir | Lstm
