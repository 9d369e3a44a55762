"""An impulse response over a stream whose past is known."""

from __future__ import annotations

import torch
from torch import Tensor

from convtool.ops.blocks import Blockwise, Work
from convtool.ops.convolution.convolve import Convolution


class Impulse(Blockwise):
    """The N outputs ``y[n] = bias + sum_k taps[k] x[n - k]`` of a signal ``(..., T)``, each row on its own.

    Args:
        taps: ``(K,)``.
        bias: added to every output.
        initial: the K - 1 samples before the signal, ``(1 or rows, 1, K - 1)``; default silence.

    Raises ValueError where `initial` does not fit the signal.

    >>> core = Impulse(torch.tensor([1.0, 10.0]), initial=torch.tensor([[[5.0]]]))
    >>> torch.cat([core.push(torch.tensor([[1.0, 2.0]])), core.finish()], -1)
    tensor([[51., 12.]])
    """

    def __init__(self, taps: Tensor, *, bias: float = 0.0, initial: Tensor | None = None) -> None:
        self._core = Convolution(taps, mode="causal", bias=bias)
        self._reach = len(taps) - 1
        self._initial = initial
        self._past: Tensor | None = None
        self._drop = self._reach

    @property
    def past(self) -> Tensor:
        """The last K - 1 samples of each row, ``(rows, 1, K - 1)``."""
        assert self._past is not None
        return self._past.reshape(-1, 1, self._reach)

    @torch.no_grad()
    def stage(self, block: Tensor) -> Work:
        if self._past is None:
            self._past = self._before(block)
            early = self._core.push(self._past)
            self._drop -= early.shape[-1]
        self._past = torch.cat([self._past, block], -1)[..., block.shape[-1] :]
        return self._without_past(self._core.push(block))

    @torch.no_grad()
    def stage_end(self) -> Work:
        return self._without_past(self._core.finish())

    def _before(self, block: Tensor) -> Tensor:
        rows = block.shape[:-1].numel()
        if self._initial is None:
            return block.new_zeros(*block.shape[:-1], self._reach)
        if self._initial.shape not in ((1, 1, self._reach), (rows, 1, self._reach)):
            raise ValueError(f"the state has the shape {tuple(self._initial.shape)}; expected {(rows, 1, self._reach)}")
        return self._initial.expand(rows, 1, -1).reshape(*block.shape[:-1], self._reach)

    def _without_past(self, outputs: Tensor) -> Work:
        """`outputs` without those before the signal's."""
        dropped = min(self._drop, outputs.shape[-1])
        self._drop -= dropped
        kept = outputs[..., dropped:]
        return lambda: kept
