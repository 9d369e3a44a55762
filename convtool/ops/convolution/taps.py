"""A kernel laid out for the arithmetic: taps in correlation order, and who meets whom."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from threading import RLock
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

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
    _found: dict[Hashable, Tensor] = field(default_factory=dict, init=False, repr=False, compare=False)
    _lock: RLock = field(default_factory=RLock, init=False, repr=False, compare=False)

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

    @cached_property
    def exponents(self) -> Tensor:
        """The exponent of each row's largest tap: `values`, but for one number in the last dimension."""
        return exponents(self.values)

    @cached_property
    def extreme(self) -> bool:
        """Whether spectra of the taps, or products with them, may leave the range of their dtype."""
        return int(self.exponents.abs().max()) > (40 if self.values.dtype == torch.float32 else 400)

    def once(self, key: Hashable, compute: Callable[[], Tensor]) -> Tensor:
        """What `compute` gives of these taps alone, computed by the first thread that asks for `key`; two are kept."""
        with self._lock:
            if key not in self._found:
                if len(self._found) == 2:
                    del self._found[next(iter(self._found))]
                self._found[key] = compute()
            return self._found[key]

    def map(self, function: Callable[[Tensor], Tensor]) -> Taps:
        """The same layout with other values."""
        return replace(self, values=function(self.values))


def needs_grad(*tensors: Tensor) -> bool:
    """Whether the arithmetic on `tensors` is recorded, so that nothing may be written in place."""
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)


def exponents(x: Tensor) -> Tensor:
    """The exponent of each row's peak ``(..., 1)``."""
    return x.detach().abs().amax(-1, keepdim=True).frexp().exponent
