"""One stream through a stack of dilated convolutions, a block of fixed length at a time.

Each convolution keeps the end of its input before the block, and is one matrix product: of its weights, and the rows
that its taps see, copied below each other. On small channels this is several times as fast as `torch.nn.Conv1d`, and
blocks of some thousand samples stay in the processor's cache. Every product has the same shape, so that a sample has
the same bits wherever it stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

import torch
from torch import Tensor

from convtool.ops.dilated.parts import Array, Chain, Conv, Film, FilmPlace, Layer, Part, Recurrence, Stack


class _Rows:
    """What products take: the condition's rows, a row of ones, and room for those of the taps."""

    def __init__(self, condition: int, convs: Sequence[Conv], block: int, like: Tensor) -> None:
        most = max(conv.taps * conv.inputs for conv in convs)
        self._all = like.new_ones(condition + 1 + most, block)
        self._ones = condition
        self.condition = self._all[:condition]
        self.condition_and_one = self._all[: condition + 1]

    def of(self, conv: Conv, *, condition: bool = False) -> tuple[Tensor, Tensor]:
        """Where the taps of `conv` go, ``(taps, channels, block)``, and all its rows, those of the condition first."""
        end = self._ones + 1 + conv.taps * conv.inputs
        taps = self._all[self._ones + 1 : end].view(conv.taps, conv.inputs, -1)
        return taps, self._all[0 if condition else self._ones : end]


class _Conv:
    """A convolution, and the end of what it was given.

    Views of tensors are kept: making them takes as long as the arithmetic of a thousand samples.
    """

    def __init__(self, conv: Conv, rows: _Rows, block: int, like: Tensor, *, mixin: Tensor | None = None) -> None:
        self.conv = conv
        self._matrix = conv.matrix() if mixin is None else torch.cat([mixin, conv.matrix()], 1)
        self._taps, self._rows = rows.of(conv, condition=mixin is not None)
        self._block = block
        # Where the history is longer than a block, room for several: it is then moved as rarely as it is long.
        self._length = conv.reach + block * max(1, -(-conv.reach // block))
        self._buffer = like.new_zeros(conv.inputs, self._length)
        self._at = 0
        self._places: dict[int, tuple[Tensor, Tensor]] = {}

    @property
    def history(self) -> Tensor:
        """The last samples, as many as it looks back."""
        return self._buffer[:, self._at : self._at + self.conv.reach]

    def place(self) -> Tensor:
        """Where the next block of its input is to be written."""
        if self._at + self.conv.reach + self._block > self._length:
            self._buffer[:, : self.conv.reach] = self.history
            self._at = 0
        if self._at not in self._places:
            start = self._at + self.conv.reach
            shape, strides = self._taps.shape, (self.conv.dilation, self._length, 1)
            view = self._buffer[:, start : start + self._block], self._buffer.as_strided(shape, strides, self._at)
            self._places[self._at] = view
        return self._places[self._at][0]

    def run(self, out: Tensor | None = None) -> Tensor:
        """Its outputs for the block that was written."""
        self._taps.copy_(self._places[self._at][1])
        return torch.mm(self._matrix, self._rows, out=out)

    def advance(self, samples: int) -> None:
        """Take so many samples of that block as read."""
        self._at += samples


class ChainRun:
    """A `Chain` over a stream."""

    def __init__(self, chain: Chain, block: int, like: Tensor) -> None:
        rows = _Rows(0, [step for step in chain.steps if isinstance(step, Conv)], block, like)
        self._steps = [_Conv(step, rows, block, like) if isinstance(step, Conv) else step for step in chain.steps]
        self.kept = [step for step in self._steps if isinstance(step, _Conv)]

    def run(self, x: Tensor, samples: int) -> Tensor:
        """From a block ``(inputs, block)``, of which `samples` are real, to ``(outputs, block)``."""
        for step in self._steps:
            if isinstance(step, _Conv):
                step.place().copy_(x)
                x = step.run()
                step.advance(samples)
            else:
                x = step(x)
        return x


class RecurrenceRun:
    """A `Recurrence` over a stream."""

    def __init__(self, part: Recurrence, like: Tensor) -> None:
        self._network = part.network
        steps = like.new_empty(0, 1, part.inputs)
        self._states = [tuple(each.clone() for each in state) for state in self._network.start(steps, part.initial)]
        self.kept = [_State(each) for state in self._states for each in state]

    def run(self, x: Tensor, samples: int) -> Tensor:
        """From a block ``(inputs, block)``, of which `samples` are real, to ``(outputs, block)``."""
        steps = x.T[:, None]
        y, after = self._network.run(steps, self._states)
        if samples < len(steps):  # the outputs of as many steps as ever, the state after the real ones
            after = self._network.run(steps[:samples], self._states)[1]
        for own, new in zip(self._states, after, strict=True):
            for part, value in zip(own, new, strict=True):
                part.copy_(value)
        return y[:, 0].T


@dataclass(frozen=True)
class _State:
    """The state of a recurrent layer."""

    value: Tensor

    @property
    def history(self) -> Tensor:
        """Of all samples so far, in the place of one."""
        return self.value.view(-1, 1)


class _Layer:
    def __init__(self, layer: Layer, rows: _Rows, inner: Tensor, block: int, like: Tensor) -> None:
        self._layer = layer
        self._films = {place: _Film(film, rows) for place, film in layer.films.items()}
        mixin = layer.mixin.matrix()[:, 1:]
        apart = not {"conv_post", "mixin_pre", "mixin_post"}.isdisjoint(layer.films)
        self._mixin, self._condition = (mixin if apart else None), rows.condition
        self.conv = _Conv(layer.conv, rows, block, like, mixin=None if apart else mixin)
        self._to_next = None if layer.to_next is None else layer.to_next.matrix()
        self._to_head = None if layer.to_head is None else layer.to_head.matrix()
        self._z, self._a = inner[1 : 1 + layer.conv.outputs], inner[1 : 1 + layer.inner]
        self._one_and_a, self._gate = inner[: 1 + layer.inner], self._z[layer.inner :]

    def enter(self, scratch: Tensor) -> Tensor:
        """Where its input is to be written."""
        return scratch if "conv_pre" in self._films else self.conv.place()

    def run(self, x: Tensor, head: Tensor, following: Tensor | None) -> None:
        """Add to `head`, and write the input of the `following` layer."""
        if "conv_pre" in self._films:
            self._modulate("conv_pre", self.conv.place().copy_(x))
        self.conv.run(self._z)
        if self._mixin is not None:
            mixed = self._mixin @ self._modulate("mixin_pre", self._condition.clone())
            self._modulate("conv_post", self._z).add_(self._modulate("mixin_post", mixed))
        self._modulate("activation_pre", self._z)
        self._activate()
        self._modulate("activation_post", self._a)
        if following is not None:
            if self._to_next is None:
                torch.add(x, self._a, out=following)
            elif "next_post" in self._films:
                torch.add(x, self._modulate("next_post", self._to_next @ self._one_and_a), out=following)
            else:
                torch.addmm(x, self._to_next, self._one_and_a, out=following)
        if self._to_head is None:
            head.add_(self._a)
        else:
            head.add_(self._modulate("head_post", self._to_head @ self._one_and_a))

    def _activate(self) -> None:
        layer = self._layer
        if layer.gate is None:
            layer.activation(self._a)
        elif layer.blends:
            plain = self._a.clone()
            torch.lerp(plain, layer.activation(self._a), layer.gate(self._gate), out=self._a)
        else:
            layer.activation(self._a).mul_(layer.gate(self._gate))

    def _modulate(self, place: FilmPlace, x: Tensor) -> Tensor:
        """`x`, overwritten where it is modulated there."""
        return self._films[place].apply(x) if place in self._films else x


class _Film:
    def __init__(self, film: Film, rows: _Rows) -> None:
        matrix = film.conv.matrix()
        self._matrix = torch.cat([matrix[:, 1:], matrix[:, :1]], 1)  # the ones come behind the condition
        self._rows, self._shift = rows.condition_and_one, film.shift

    def apply(self, x: Tensor) -> Tensor:
        scale = self._matrix @ self._rows
        if not self._shift:
            return x.mul_(scale)
        scale, shift = scale.chunk(2)
        return x.mul_(scale).add_(shift)


class StackRun:
    """A `Stack` over a stream."""

    def __init__(self, stack: Stack, block: int, like: Tensor) -> None:
        layers = [layer for array in stack.arrays for layer in array.layers]
        convs = [*(layer.conv for layer in layers), *(array.leave for array in stack.arrays)]
        rows = _Rows(layers[0].mixin.inputs, convs, block, like)
        inner = like.new_ones(1 + max(layer.conv.outputs for layer in layers), block)
        self._scale, self._input = stack.scale, rows.condition
        self._arrays = [_Array(array, rows, inner, block, like) for array in stack.arrays]
        self._head = None if stack.head is None else ChainRun(stack.head, block, like)
        self._condition = None if stack.condition is None else begin(stack.condition, block, like)
        self.kept: list[_Conv | _State] = [conv for array in self._arrays for conv in array.convs]
        for part in (self._head, self._condition):
            self.kept += [] if part is None else part.kept

    def run(self, x: Tensor, samples: int) -> Tensor:
        """From a block ``(inputs, block)``, of which `samples` are real, to ``(outputs, block)``."""
        self._input.copy_(x if self._condition is None else self._condition.run(x, samples))
        head = x.new_zeros(())
        for number, array in enumerate(self._arrays, 1):
            x, head = array.run(x, head, samples, last=number == len(self._arrays))
        head = head * self._scale
        return head if self._head is None else self._head.run(head, samples)


class _Array:
    def __init__(self, array: Array, rows: _Rows, inner: Tensor, block: int, like: Tensor) -> None:
        self._enter = array.enter.matrix()[:, 1:]
        self._layers = [_Layer(layer, rows, inner, block, like) for layer in array.layers]
        self._leave = _Conv(array.leave, rows, block, like)
        self._scratch = like.new_empty(array.enter.outputs, block)
        self.convs = [*(layer.conv for layer in self._layers), self._leave]

    def run(self, x: Tensor, head: Tensor, samples: int, *, last: bool) -> tuple[Tensor, Tensor]:
        """What the layers hand on, unless this is the `last` array, and what leaves."""
        total = self._leave.place().copy_(head)
        x = torch.mm(self._enter, x, out=self._layers[0].enter(self._scratch))
        for layer, after in zip_longest(self._layers, self._layers[1:]):
            following = after.enter(self._scratch) if after else None if last else self._scratch
            layer.run(x, total, following)
            x = x if following is None else following
        left = self._leave.run()
        for conv in self.convs:
            conv.advance(samples)
        return x, left


Run = StackRun | ChainRun | RecurrenceRun


def begin(what: Part, block: int, like: Tensor) -> Run:
    """A stream through `what`, in blocks of `block` samples, after silence that has not run through it."""
    if isinstance(what, Recurrence):
        return RecurrenceRun(what, like)
    return StackRun(what, block, like) if isinstance(what, Stack) else ChainRun(what, block, like)


def histories(run: Run) -> list[Tensor]:
    """What its layers have kept, each ``(channels, samples)``; nothing of those that do not look back."""
    return [part.history for part in run.kept if part.history.shape[1]]


def restore(run: Run, kept: Sequence[Tensor]) -> None:
    """Go on from `kept`, which `histories` gave."""
    for own, before in zip(histories(run), kept, strict=True):
        own.copy_(before)
