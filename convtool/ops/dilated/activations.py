"""Activation functions by name, each in place: they overwrite what they are given and return it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

Activation = Callable[[Tensor], Tensor]
"""Works on ``(channels, samples)``."""


def activation(
    name: str,
    *,
    slopes: Sequence[float] = (0.01,),
    low: float = -1.0,
    high: float = 1.0,
    low_slope: float = 0.01,
    high_slope: float = 0.01,
) -> Activation:
    """The function `name`.

    ============== =====================================================================================
    tanh, sigmoid  as they are
    relu           ``max(x, 0)``
    leaky-relu     x, and below 0 ``slopes[c] x``, with one slope for all channels or one for each
    hard-tanh      x, but from `low` to `high`
    leaky-hardtanh x from `low` to `high`, beyond them going on from there at `low_slope` and `high_slope`
    silu           ``x sigmoid(x)``
    hard-swish     ``x clamp(x + 3, 0, 6) / 6``
    softsign       ``x / (1 + |x|)``
    soft-sigmoid   ``(1 + softsign(x)) / 2``
    fast-tanh      a rational function near tanh, of the players of captured amplifiers
    ============== =====================================================================================

    Raises:
        KeyError: there is none of this name.

    >>> activation("leaky-relu", slopes=[0.5])(torch.tensor([[-2.0, 3.0]]))
    tensor([[-1.,  3.]])
    """

    def leaky_relu(x: Tensor) -> Tensor:
        if len(slopes) == 1:
            return functional.leaky_relu_(x, slopes[0])
        return torch.where(x > 0, x, x * x.new_tensor(slopes)[:, None], out=x)

    def leaky_hardtanh(x: Tensor) -> Tensor:
        inside = x.clamp(low, high)
        beyond = x - inside
        return torch.where(beyond < 0, beyond * low_slope, beyond * high_slope, out=x).add_(inside)

    return {
        "tanh": torch.tanh_,
        "sigmoid": torch.sigmoid_,
        "relu": torch.relu_,
        "leaky-relu": leaky_relu,
        "hard-tanh": lambda x: x.clamp_(low, high),
        "leaky-hardtanh": leaky_hardtanh,
        "silu": lambda x: functional.silu(x, inplace=True),
        "hard-swish": lambda x: functional.hardswish(x, inplace=True),
        "softsign": _softsign,
        "soft-sigmoid": lambda x: _softsign(x).add_(1).mul_(0.5),
        "fast-tanh": _fast_tanh,
    }[name]


def _softsign(x: Tensor) -> Tensor:
    return x.div_(x.abs().add_(1))


def _fast_tanh(x: Tensor) -> Tensor:
    size, square = x.abs(), x * x
    above = 2.45550750702956 * (1 + size) + (0.893229853513558 + 0.821226666969744 * size) * square
    below = 2.44506634652299 + (2.44506634652299 + square) * (x + 0.814642734961073 * x * size).abs()
    return x.mul_(above).div_(below)
