"""The median of every window."""

from __future__ import annotations

import torch
from torch import Tensor

from convtool.ops.exact import float_parts

# Windows looked up at once: their tables stay in cache. Longer windows take runs in proportion.
_RUN = 1 << 15
# Samples sorted at once, for grids.
_SORTED = 1 << 21


def sliding_median(x: Tensor, window: int, missing: Tensor, first: int, stride: int, *, odd: bool) -> Tensor:
    """Medians of the windows that begin at `first`, ``first + stride`` ... along the last axis of ``(rows, n)``.

    Samples are replaced by their ranks, and the window's middle rank is found bit by bit, from the highest:
    at each bit a running count tells how many ranks of the window have a 0 there, so on which side the
    middle lies, and the ranks are parted into zeros and ones, in order, for the next (a wavelet matrix:
    F. Claude, G. Navarro, G. Ordonez, Information Systems 47, 2015). The cost a window grows with the
    logarithm of the window, not with the window.

    Args:
        x: ``(rows, n)``; NaN sorts last, and stands outside the medians.
        window: W samples.
        missing: ``(rows, n - W + 1)`` int64, how many samples of each window, those that sort last, don't count.
        first: the first window.
        stride: the distance of the windows.
        odd: all windows hold an odd number of samples.

    Returns:
        ``(rows, ceil((n - W + 1 - first) / stride))``; the mean of the middle two samples where their number
        is even; any value where a window has none. Of integers, integers if `odd`, else float64.
    """
    count = x.shape[1] - window + 1
    run = -(-max(_RUN, 4 * window) // stride) * stride
    rows = []
    for row, lost in zip(x, missing, strict=True):
        pieces = []
        for start in range(first, count, run):
            begins = torch.arange(0, min(run, count - start), stride, device=x.device)
            held = window - lost[start + begins]
            lower = ((held - 1) // 2).clamp(min=0)
            wanted = torch.stack((lower, held // 2))
            here = row[start : start + int(begins[-1]) + window]
            low, high = _of_ranks(here, begins.expand(2, -1), window, wanted.clamp(max=window - 1))
            pieces.append(middle(low, high, odd=odd))
        rows.append(torch.cat(pieces) if pieces else row.new_empty(0))
    return torch.stack(rows)


def grid_median(x: Tensor, windows: tuple[int, ...], missing: Tensor, *, odd: bool) -> Tensor:
    """Medians of all windows of a grid ``(h, w)``, each sorted on its own: the cost grows with the area."""
    area = windows[0] * windows[1]
    views = x.unfold(0, windows[0], 1).unfold(1, windows[1], 1)
    run = max(1, _SORTED // (area * views.shape[1]))
    pieces = []
    for start in range(0, views.shape[0], run):
        here = views[start : start + run].flatten(2).sort(-1).values
        held = area - missing[start : start + run]
        lower = ((held - 1) // 2).clamp(min=0).unsqueeze(-1)
        upper = (held // 2).clamp(max=area - 1).unsqueeze(-1)
        low, high = here.gather(-1, lower), here.gather(-1, upper)
        pieces.append(middle(low, high, odd=odd).squeeze(-1))
    return torch.cat(pieces)


def middle(low: Tensor, high: Tensor, *, odd: bool) -> Tensor:
    """The mean of two numbers, which doesn't overflow, nor lose a bit of the smallest.

    Of integers that may differ it is float64, rounded once; where their number is `odd` they are the same integer.
    """
    if not low.is_floating_point():
        if odd:
            return low
        rounded, rest = float_parts((low & high) + ((low ^ high) >> 1))
        return rounded + (rest + ((low ^ high) & 1) * 0.5)
    total = low + high
    return torch.where(total.isfinite(), total / 2, low / 2 + high / 2)


def _of_ranks(x: Tensor, begins: Tensor, window: int, wanted: Tensor) -> Tensor:
    """The sample of rank `wanted` (from 0) among those of the window that begins at `begins`."""
    ordered, places = x.sort()
    ranks = torch.empty_like(places)
    ranks[places] = torch.arange(len(x), device=x.device)
    low, high, found = begins, begins + window, torch.zeros_like(wanted)
    for bit in reversed(range((len(x) - 1).bit_length())):
        zero = (ranks >> bit) & 1 == 0
        before = torch.nn.functional.pad(zero.cumsum(0), (1, 0))
        low_zeros, high_zeros = before[low], before[high]
        zeros = high_zeros - low_zeros
        below = wanted < zeros
        all_zeros = before[-1]
        low = torch.where(below, low_zeros, all_zeros + low - low_zeros)
        high = torch.where(below, high_zeros, all_zeros + high - high_zeros)
        wanted = torch.where(below, wanted, wanted - zeros)
        found = torch.where(below, found, found + (1 << bit))
        ranks = torch.cat((ranks[zero], ranks[~zero]))
    return ordered[found]
