"""Stacks of dilated causal convolutions over signals of any length."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from convtool.ops.blocks import Blockwise, Work
from convtool.ops.checks import check_size
from convtool.ops.dilated.parts import Part
from convtool.ops.dilated.running import Run, begin, histories, restore

TILE = 192
"""Samples that a block is a multiple of, so that matrix products go about it in whole tiles on every processor: with
AVX-512 MKL takes 24 columns of float64 at once, and works what is left over of them with other last bits."""


class Dilated(Blockwise):
    """A `Stack`, `Chain` or `Recurrence` over a signal ``(..., C, T)``, block by block.

    With one input left to the signal, every channel runs on its own and gives O channels of ``(..., C * O, T)``;
    otherwise the C channels are the inputs, and the result is ``(..., O, T)``. A sample has the same bits wherever the
    signal was cut, and whatever runs beside it; with the state of a `Recurrence` that was kept amid a block, those of
    float64 may differ in the last place. Work of a block is done when it is staged. Without any block the
    result is an empty float32 tensor of shape ``(0,)``. There are no gradients.

    Args:
        stack: its weights have the dtype and device of the signal.
        block: samples that are worked at once, rounded up to a multiple of `TILE`. Outputs come in such blocks.
        prewarm: samples of silence that run through before the signal, their outputs dropped. More than the receptive
            field change nothing, and are not worked.
        condition: further inputs, the same in every sample, such as the knobs of an amplifier.
        input_gain: a factor of the signal.
        output_gain: a factor of the outputs.
        initial: what `states` gave, to go on from there; ``(1 or rows, channels, samples)`` each.
        flowing: give the output of each sample at once, for a signal that comes in slowly: the same bits, at the cost
            of a block's work for each piece that comes.

    Raises ValueError where the condition leaves no input to the signal, or where `initial` or the channels of a block
    do not fit.

    >>> from convtool.ops.dilated.parts import Chain, Conv
    >>> core = Dilated(Chain([Conv(torch.tensor([[[1.0, 10.0]]]), dilation=2)]))
    >>> torch.cat([core.push(torch.tensor([[1.0, 2.0, 3.0]])), core.push(torch.tensor([[4.0]])), core.finish()], -1)
    tensor([[10., 20., 31., 42.]])
    """

    def __init__(
        self,
        stack: Part,
        *,
        block: int = 2048,
        prewarm: int = 0,
        condition: Sequence[float] = (),
        input_gain: float = 1.0,
        output_gain: float = 1.0,
        initial: Sequence[Tensor] | None = None,
        flowing: bool = False,
    ) -> None:
        check_size("block", block, 1)
        check_size("prewarm", prewarm, 0)
        self.inputs = stack.inputs - len(condition)
        if self.inputs < 1:
            raise ValueError(
                f"the condition has {len(condition)} value{'s' * (len(condition) > 1)} and the model {stack.inputs} "
                f"input{'s' * (stack.inputs > 1)}, of which at least 1 is the signal's"
            )
        self._stack = stack
        self._block = -(-block // TILE) * TILE
        self._silence = min(prewarm, stack.receptive_field)
        self._condition = list(condition)
        self._gains = input_gain, output_gain
        self._initial = initial
        self._flowing = flowing
        self._runs: list[Run] = []
        self._held: list[Tensor] = []
        self._given = 0  # outputs of what is held

    def channels(self, channels: int) -> int:
        """How many channels come out of a signal of `channels`.

        Raises:
            ValueError: the stack takes another number of them.
        """
        if self.inputs not in (1, channels):
            raise ValueError(
                f"the model has {self.inputs} inputs for the signal, which has {channels} "
                f"channel{'s' * (channels > 1)}; a condition gives the values of inputs that are no channels"
            )
        return channels // self.inputs * self._stack.outputs

    @property
    def states(self) -> list[Tensor]:
        """What each layer has kept, ``(rows, channels, samples)``, once the end was staged.

        Of a convolution that looks back the end of its input, of a recurrent layer its state as one sample.
        """
        return [torch.stack(parts) for parts in zip(*map(histories, self._runs), strict=True)]

    @torch.no_grad()
    def stage(self, block: Tensor) -> Work:
        if not self._runs:
            self._begin(block)
        self._held.append(block)
        if not self._flowing and sum(part.shape[-1] for part in self._held) < self._block:
            return self._joined([])
        held, pieces = torch.cat(self._held, -1), []
        while held.shape[-1] >= self._block:
            pieces.append(self._rest(held[..., : self._block]))
            held = held[..., self._block :]
        if self._flowing and held.shape[-1]:
            pieces.append(self._early(held))
        self._held = [held.clone()]
        return self._joined(pieces)

    @torch.no_grad()
    def stage_end(self) -> Work:
        if not self._runs:
            return lambda: torch.empty(0)
        held = torch.cat(self._held, -1)
        return self._joined([self._rest(held)] if held.shape[-1] else [])

    def _rest(self, block: Tensor) -> Tensor:
        """The outputs of a block, less those that were given."""
        given, self._given = self._given, 0
        return self._run(block)[..., given:]

    def _early(self, block: Tensor) -> Tensor:
        """Those of a block of which more is to come, with which it is worked again."""
        before, silence, given = self.states, self._silence, self._given
        outputs = self._run(block)
        self._restore(before)
        self._silence, self._given = silence, outputs.shape[-1]
        return outputs[..., given:]

    def _begin(self, block: Tensor) -> None:
        """Before the first block."""
        channels = self.channels(block.shape[-2])
        self._nothing = block.new_empty(*block.shape[:-2], channels, 0)
        rows = block.shape[:-1].numel() // self.inputs
        self._runs = [begin(self._stack, self._block, block) for _ in range(rows)]
        if self._initial is not None:
            self._restore(self._initial)
        if self._silence:
            self._held.append(block.new_zeros(*block.shape[:-1], self._silence))

    def _restore(self, initial: Sequence[Tensor]) -> None:
        wanted = [tuple(kept.shape) for kept in self.states]
        found = [tuple(kept.shape) for kept in initial]
        if [shape[1:] for shape in wanted] != [shape[1:] for shape in found] or any(
            shape[0] not in (1, len(self._runs)) for shape in found
        ):
            raise ValueError(f"the state has the shapes {_shapes(found)}; expected {_shapes(wanted)}")
        for row, run in enumerate(self._runs):
            restore(run, [kept[row if len(kept) > 1 else 0] for kept in initial])

    def _run(self, block: Tensor) -> Tensor:
        """The outputs of up to `block` samples, less those of the silence before the signal."""
        samples = block.shape[-1]
        x = torch.nn.functional.pad(block * self._gains[0], (0, self._block - samples))
        rows = x.reshape(-1, self.inputs, self._block)
        if self._condition:
            constant = rows.new_tensor(self._condition)[:, None].expand(-1, self._block)
            rows = torch.cat([rows, constant.expand(len(rows), -1, -1)], 1)
        outputs = torch.stack([run.run(row, samples) for run, row in zip(self._runs, rows, strict=True)])
        outputs = outputs.mul_(self._gains[1]).reshape(*block.shape[:-2], -1, self._block)
        dropped = min(self._silence, samples)
        self._silence -= dropped
        return outputs[..., dropped:samples]

    def _joined(self, pieces: Sequence[Tensor]) -> Work:
        joined = torch.cat([self._nothing, *pieces], -1)
        return lambda: joined


def _shapes(shapes: Sequence[tuple[int, ...]]) -> str:
    return ", ".join(map(str, shapes)) or "none"
