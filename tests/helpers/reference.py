"""Slow computations that are obviously right, for the tests to compare with."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def convolve(
    signal: Sequence[float],
    kernel: Sequence[float],
    mode: str = "full",
    *,
    correlate: bool = False,
    stride: int = 1,
    dilation: int = 1,
) -> list[float]:
    """The definition of convolution, term by term, in Python numbers."""
    taps = list(reversed(kernel)) if correlate else list(kernel)
    length, span = len(signal), dilation * (len(taps) - 1)
    full = []
    for n in range(length + span):
        total = 0
        for k, tap in enumerate(taps):
            if 0 <= n - k * dilation < length:
                total += tap * signal[n - k * dilation]
        full.append(total)
    peak = max(range(len(taps)), key=lambda k: (abs(taps[k]), -k)) * dilation
    first, count = {
        "full": (0, length + span),
        "same": (span // 2, length),
        "valid": (span, length - span),
        "causal": (0, length),
        "aligned": (peak, length),
    }[mode]
    return full[first : first + max(0, count)][::stride]
