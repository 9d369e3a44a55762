"""What stacks of dilated causal convolutions are made of, as plain parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from convtool.ops.dilated.activations import Activation
from convtool.ops.recurrent.network import Network, State

ENDLESS = 1 << 62
"""The receptive field of what remembers all that it has heard."""


@dataclass(frozen=True)
class Conv:
    """A causal convolution with the taps of `torch.nn.Conv1d`, the last of which is at the sample itself ::

    y[o, n] = bias[o] + sum over i and k of weight[o, i, k] x[i, n - (taps - 1 - k) dilation]
    """

    weight: Tensor
    """``(out, in / groups, taps)``."""
    bias: Tensor | None = None
    """``(out,)``."""
    dilation: int = 1
    groups: int = 1

    @property
    def inputs(self) -> int:
        """Channels that it takes."""
        return self.weight.shape[1] * self.groups

    @property
    def outputs(self) -> int:
        """Channels that it gives."""
        return self.weight.shape[0]

    @property
    def taps(self) -> int:
        """Samples of a channel that count for one output."""
        return self.weight.shape[2]

    @property
    def reach(self) -> int:
        """How many samples it looks back."""
        return (self.taps - 1) * self.dilation

    def matrix(self) -> Tensor:
        """``(out, 1 + taps * in)``: bias and weights for a one and the inputs of each tap, groups in their places."""
        columns = self.weight.permute(0, 2, 1)
        if self.groups > 1:
            parts = columns.chunk(self.groups)
            columns = torch.cat(
                [
                    torch.nn.functional.pad(part, (at * part.shape[2], (self.groups - 1 - at) * part.shape[2]))
                    for at, part in enumerate(parts)
                ]
            )
        bias = self.weight.new_zeros(self.outputs) if self.bias is None else self.bias
        return torch.cat([bias[:, None], columns.flatten(1)], 1)


@dataclass(frozen=True)
class Film:
    """Feature-wise linear modulation: the condition c scales and shifts channels, ``x scale(c) + shift(c)``.

    Source: E. Perez et al., "FiLM: visual reasoning with a general conditioning layer", 2018.
    """

    conv: Conv
    """Of one tap, from the condition to the scales, and after them the shifts."""
    shift: bool = True


FilmPlace = Literal[
    "conv_pre", "conv_post", "mixin_pre", "mixin_post", "activation_pre", "activation_post", "next_post", "head_post"
]


@dataclass(frozen=True)
class Layer:
    """A dilated convolution and what is around it, with x its input, c the condition ::

    z = conv(x) + mixin(c)
    a = activation(z)                                     without a gate
    a = activation(z1) gate(z2)                           with one; z1 and z2 are the halves of z
    a = gate(z2) activation(z1) + (1 - gate(z2)) z1       with one that blends
    x of the next layer = x + to_next(a)                  head = head + to_head(a)

    """

    conv: Conv
    mixin: Conv
    """Of one tap, without bias."""
    activation: Activation
    gate: Activation | None = None
    blends: bool = False
    to_next: Conv | None = None
    """Of one tap; nothing hands on `a` itself."""
    to_head: Conv | None = None
    films: Mapping[FilmPlace, Film] = field(default_factory=dict)
    """Modulations of x and conv(x), of c and mixin(c), of z and a, and of to_next(a) and to_head(a)."""

    @property
    def inner(self) -> int:
        """Channels of `a`."""
        return self.conv.outputs // (1 if self.gate is None else 2)


@dataclass(frozen=True)
class Array:
    """Layers one after another, whose heads add up."""

    enter: Conv
    """Of one tap: from the array's input to the channels of its layers."""
    layers: Sequence[Layer]
    leave: Conv
    """From the sum of the heads to what the next array adds its own to."""


@dataclass(frozen=True)
class Chain:
    """Convolutions and activations, one after another."""

    steps: Sequence[Conv | Activation]

    @property
    def inputs(self) -> int:
        """Channels that it takes."""
        return next(step.inputs for step in self.steps if isinstance(step, Conv))

    @property
    def outputs(self) -> int:
        """Channels that it gives."""
        return [step.outputs for step in self.steps if isinstance(step, Conv)][-1]

    @property
    def receptive_field(self) -> int:
        """Samples of the input that count for one output."""
        return 1 + sum(step.reach for step in self.steps if isinstance(step, Conv))


@dataclass(frozen=True)
class Recurrence:
    """Recurrent layers that run forwards in time."""

    network: Network
    initial: Sequence[State] | None = None
    """The state that each begins from, of one row; default zeros."""

    receptive_field = ENDLESS

    @property
    def inputs(self) -> int:
        """Channels that it takes."""
        return self.network.inputs

    @property
    def outputs(self) -> int:
        """Channels that it gives."""
        return self.network.outputs


@dataclass(frozen=True)
class Stack:
    """Arrays one after another: each takes what the layers of the one before hand on, and goes on with its head ::

        y = head(scale leave(...))

    Source: A. van den Oord et al., "WaveNet: a generative model for raw audio", 2016, with several arrays.
    """

    arrays: Sequence[Array]
    scale: float = 1.0
    head: Chain | None = None
    condition: Part | None = None
    """What makes the condition of the input; nothing where the input is the condition."""

    @property
    def inputs(self) -> int:
        """Channels that it takes."""
        return self.arrays[0].enter.inputs

    @property
    def outputs(self) -> int:
        """Channels that it gives."""
        return self.arrays[-1].leave.outputs if self.head is None else self.head.outputs

    @property
    def receptive_field(self) -> int:
        """Samples of the input that count for one output."""
        convs = [conv for array in self.arrays for conv in (*(layer.conv for layer in array.layers), array.leave)]
        others = [part for part in (self.head, self.condition) if part is not None]
        return 1 + sum(conv.reach for conv in convs) + sum(part.receptive_field - 1 for part in others)


Part = Stack | Chain | Recurrence
"""What runs over a stream."""
