"""An operation at a rate of its own: what goes there, and what comes back."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from convtool.ops.at_rate import AtRate
from convtool.ops.blocks import Blockwise, Work
from convtool.ops.resampling import resample


class Doubled(Blockwise):
    """Twice the signal, the last 100 samples held back; notes how much it heard."""

    def __init__(self) -> None:
        self.held = torch.empty(0)
        self.heard = 0

    def stage(self, block: Tensor) -> Work:
        self.heard += block.shape[-1]
        held = block if not self.held.numel() else torch.cat([self.held, block], -1)
        given, self.held = held[..., :-100], held[..., -100:]
        return lambda: 2 * given

    def stage_end(self) -> Work:
        held = self.held
        return lambda: 2 * held


@pytest.mark.parametrize(("signal_rate", "rate"), [(44100, 48000), (48000, 44100), (8000, 44101), (48000, 48000)])
@pytest.mark.parametrize("samples", [1, 2, 999, 60000])
def test_gives_as_many_samples_worked_at_the_rate(signal_rate: int, rate: int, samples: int) -> None:
    x = torch.randn(2, samples, dtype=torch.float64)
    operation = Doubled()
    core = AtRate(operation, signal_rate=signal_rate, rate=rate)
    y = torch.cat([*(core.push(block) for block in x.split(25000, -1)), core.finish()], -1)
    there = resample(x, orig_rate=signal_rate, new_rate=rate)
    back = resample(2 * there, orig_rate=rate, new_rate=signal_rate)
    assert operation.heard == there.shape[-1]
    assert y.shape == x.shape
    assert torch.equal(y, back[..., :samples])


def test_without_a_signal_gives_what_the_operation_does() -> None:
    assert AtRate(Doubled(), signal_rate=2, rate=3).finish().shape == (0,)
