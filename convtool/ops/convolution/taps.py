"""A kernel laid out for the arithmetic: taps in correlation order, and who meets whom."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


@dataclass(frozen=True)
class Taps:
    """``y[n] = sum_j values[..., j] x[n + j * dilation]`` over a window of ``span + 1`` samples.

    Args:
        values: ``(1, K)`` serves every channel, ``(C, K)`` goes pairwise (or gives C channels from one),
            ``(O, I, K)`` mixes I channels into O.
        dilation: the distance of two taps in samples.
    """

    values: Tensor
    dilation: int

    @property
    def count(self) -> int:
        """K."""
        return self.values.shape[-1]

    @property
    def span(self) -> int:
        """How many samples lie between the first and the last tap."""
        return self.dilation * (self.count - 1)

    @property
    def mixes(self) -> bool:
        """Whether an output channel adds up several input channels."""
        return self.values.dim() == 3

    def channels(self, received: int) -> int:
        """How many output channels `received` input channels give."""
        return self.values.shape[0] if self.mixes else max(received, self.values.shape[0])

    def map(self, function: Callable[[Tensor], Tensor]) -> Taps:
        """The same layout with other values."""
        return replace(self, values=function(self.values))


def needs_grad(*tensors: Tensor) -> bool:
    """Whether the arithmetic on `tensors` is recorded, so that nothing may be written in place."""
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
