"""An operation that is meant for one sample rate, on a signal of another."""

from __future__ import annotations

import torch
from torch import Tensor

from convtool.ops.blocks import Blockwise, Work
from convtool.ops.resampling import Resampling


class AtRate(Blockwise):
    """`operation` on the signal ``(..., T)`` at `rate`, and its result brought back: as many samples as there were.

    For operations that give one output a sample. What the resampling loses lies above the lower of the two Nyquist
    frequencies; the operation's outputs are not delayed. Without any block the result is the operation's.

    Args:
        operation: works at `rate`.
        signal_rate: of what is staged and of what comes back, in Hz.
        rate: in Hz.

    Raises ValueError as `Resampling` does.
    """

    def __init__(self, operation: Blockwise, *, signal_rate: int, rate: int) -> None:
        self._there = Resampling(orig_rate=signal_rate, new_rate=rate)
        self._operation = operation
        self._back = Resampling(orig_rate=rate, new_rate=signal_rate)
        self._samples = self._given = 0

    def stage(self, block: Tensor) -> Work:
        self._samples += block.shape[-1]
        parts = [self._back.push(self._operation.push(part)) for part in self._there.push_in_parts(block)]
        result = torch.cat(parts, -1)
        self._given += result.shape[-1]
        return lambda: result

    def stage_end(self) -> Work:
        if not self._samples:
            return self._operation.stage_end()
        rest = [
            *(self._back.push(self._operation.push(part)) for part in self._there.finish_in_parts()),
            self._back.push(self._operation.finish()),
            self._back.finish(),
        ]
        return lambda: torch.cat(rest, -1)[..., : self._samples - self._given]
