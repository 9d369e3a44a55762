"""The median and other percentiles of every window."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import pad

from convtool.ops.exact import difference, float_parts, wide
from convtool.ops.windows.sorting_network import LONGEST, samples_of_rank

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# The distance of windows up to which it takes less time to compute those between as well.
_DENSE = 8
_BITS = {
    torch.float64: torch.int64,
    torch.float32: torch.int32,
    torch.float16: torch.int16,
    torch.bfloat16: torch.int16,
}
# Samples of a window up to which a network takes less time than finding ranks bit by bit.
_SHORT = 64
# Samples whose windows are looked up at once: their tables stay in cache. Longer windows take more of them.
_RUN = 1 << 15
# Samples sorted at once, for grids.
_SORTED = 1 << 21


def sliding_percentiles(
    x: Tensor,
    window: int,
    missing: Tensor,
    first: int,
    stride: int,
    percents: Sequence[float | None],
    *,
    odd: bool,
) -> list[Tensor]:
    """Percentiles of the windows that begin at `first`, ``first + stride`` ... along the last axis of ``(rows, n)``.

    The samples of short windows are sorted by a network of comparisons. In longer ones, and where some do not count,
    samples are replaced by their ranks, and the ranks wanted of a window are found bit by bit, from the highest:
    at each bit a running count tells how many ranks of the window have a 0 there, so on which side the
    wanted one lies, and the ranks are parted into zeros and ones, in order, for the next (a wavelet matrix:
    F. Claude, G. Navarro, G. Ordonez, Information Systems 47, 2015). The cost a window grows with the
    logarithm of the window, not with the window; one parting serves all percentiles.

    Args:
        x: ``(rows, n)``; NaN sorts last, and stands outside the percentiles.
        window: W samples.
        missing: ``(rows, n - W + 1)`` int64, how many samples of each window, those that sort last, don't count.
        first: the first window.
        stride: the distance of the windows.
        percents: of each percentile wanted, from 0 to 100; None is the median.
        odd: all windows hold an odd number of samples.

    Returns:
        ``(rows, ceil((n - W + 1 - first) / stride))`` for each of `percents`; the median of an even number of samples
        is the mean of the middle two, the others are as `between`; any value where a window has none. Medians of
        integers are integers if `odd`, all else of them is float64.
    """
    if window <= _SHORT and stride <= _DENSE and _plain(x, missing):
        whole = _by_network(x[:, first:], tuple(range(window)), percents, odd=odd)
        return [stat[:, ::stride] for stat in whole]
    count = x.shape[1] - window + 1
    samples = max(_RUN, 1 << (4 * window - 1).bit_length())  # a power of two, so that no bit is for a few ranks only
    run = ((samples - window) // stride + 1) * stride
    rows: list[list[Tensor]] = [[] for _ in percents]
    for row, lost in zip(x, missing, strict=True):
        pieces: list[list[Tensor]] = [[] for _ in percents]
        for start in range(first, count, run):
            begins = torch.arange(0, min(run, count - start), stride, device=x.device)
            places = [_places(window - lost[start + begins], percent) for percent in percents]
            here = row[start : start + int(begins[-1]) + window]
            ranks = [_different(low, high) for low, high, _ in places]
            found = _of_ranks(here, begins, window, torch.cat(ranks).clamp(max=window - 1))
            ends = torch.split(found, [len(each) for each in ranks])
            for kept, each, (*_, share) in zip(pieces, ends, places, strict=True):
                kept.append(_joined(each[0], each[-1], share, odd=odd))
        for made, kept in zip(rows, pieces, strict=True):
            made.append(torch.cat(kept) if kept else row.new_empty(0))
    return [torch.stack(made) for made in rows]


def grid_percentiles(
    x: Tensor, windows: tuple[int, ...], missing: Tensor, percents: Sequence[float | None], *, odd: bool
) -> list[Tensor]:
    """Percentiles of all windows of a grid ``(h, w)``, each sorted on its own: the cost grows with the area.

    Small windows are sorted by a network. The rows of the grid stand one behind the other for it; windows that would
    begin in one and end in the next are left out.
    """
    area, width = windows[0] * windows[1], x.shape[1]
    if area <= LONGEST and _plain(x, missing):
        places = tuple(row * width + column for row in range(windows[0]) for column in range(windows[1]))
        whole = _by_network(pad(x.reshape(1, -1), (0, windows[1] - 1)), places, percents, odd=odd)
        return [stat.view(-1, width)[:, : width - windows[1] + 1] for stat in whole]
    views = x.unfold(0, windows[0], 1).unfold(1, windows[1], 1)
    run = max(1, _SORTED // (area * views.shape[1]))
    pieces: list[list[Tensor]] = [[] for _ in percents]
    for start in range(0, views.shape[0], run):
        here = views[start : start + run].flatten(2).sort(-1).values
        held = area - missing[start : start + run]
        for kept, percent in zip(pieces, percents, strict=True):
            *ahead, share = _places(held, percent)
            low, high = (here.gather(-1, place.clamp(max=area - 1).unsqueeze(-1)).squeeze(-1) for place in ahead)
            kept.append(_joined(low, high, share, odd=odd))
    return [torch.cat(kept) for kept in pieces]


def _plain(x: Tensor, missing: Tensor) -> bool:
    """Whether every sample counts, and no gradient is wanted."""
    return not (x.requires_grad or bool(missing.any()))


def _by_network(x: Tensor, places: tuple[int, ...], percents: Sequence[float | None], *, odd: bool) -> Iterator[Tensor]:
    """Percentiles of windows that hold all samples at `places`, see `samples_of_rank`."""
    wanted = [_places(torch.tensor([len(places)], device=x.device), percent) for percent in percents]
    ranks = sorted({int(rank) for low, high, _ in wanted for rank in (low, high)})
    found = dict(zip(ranks, samples_of_rank(x, places, tuple(ranks)), strict=True))
    for low, high, share in wanted:
        yield _joined(found[int(low)], found[int(high)], share, odd=odd)


def _places(held: Tensor, percent: float | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """The ranks, from 0, between which a percentile of so many samples lies, and its share of the way.

    Where that is 0 both are the same, so that what lies above, which may be infinite, is left alone.
    """
    if percent is None:
        return ((held - 1) // 2).clamp(min=0), held // 2, None
    place = (held - 1).clamp(min=0).double() * (percent / 100)
    low = place.floor()
    share = place - low
    return low.long(), low.long() + (share > 0), share


def _different(low: Tensor, high: Tensor) -> Tensor:
    """Both ranks of each window, or one where they are the same everywhere, as in the middle of an odd number."""
    return low[None] if torch.equal(low, high) else torch.stack((low, high))


def _joined(low: Tensor, high: Tensor, share: Tensor | None, *, odd: bool) -> Tensor:
    return middle(low, high, odd=odd) if share is None else between(low, high, share)


def between(low: Tensor, high: Tensor, share: Tensor) -> Tensor:
    """The number at `share` of the way from `low` to `high`, in float64, from the nearer of the two, as in NumPy.

    The way may be longer than float64 holds, and of integers both ends may lie past 2^53.
    """
    low, high = wide(low), wide(high)
    way = difference(high, low)
    if not low.is_floating_point():
        near, rest = float_parts(torch.where(share < 0.5, low, high))
        return near + (rest + way * torch.where(share < 0.5, share, share - 1))
    made = torch.where(share < 0.5, low + way * share, high - way * (1 - share))
    return torch.where(way.isfinite(), made, torch.where(share > 0, low * (1 - share) + high * share, low))


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
    """The samples of ranks `wanted` ``(r, m)``, from 0, among those of the windows that begin at `begins` ``(m,)``.

    What is chosen is computed, as a sum of products with 0 or 1: torch takes five to ten times as long to select.
    """
    size = len(x)
    places = _order(x)
    count = torch.arange(size + 1, dtype=torch.int32 if size < 2**31 else torch.int64, device=x.device)
    ranks = torch.empty_like(count[1:]).scatter_(0, places, count[:-1])
    wanted = wanted.to(count.dtype)
    low = begins.to(count.dtype).expand_as(wanted).flatten()
    wanted, high, found = wanted.flatten(), low + window, torch.zeros_like(low)
    before = torch.zeros_like(count)
    for bit in reversed(range((size - 1).bit_length())):
        one = ranks.bitwise_right_shift(bit).bitwise_and_(1)
        torch.cumsum(one, 0, dtype=count.dtype, out=before[1:])
        zeros = size - before[-1]
        low_ones, high_ones = before.index_select(0, low), before.index_select(0, high)
        low, high = low - low_ones, high - high_ones
        below = high - low
        above = (wanted >= below).to(count.dtype)
        wanted -= above * below
        found += above << bit
        low += above * (low_ones + zeros - low)
        high += above * (high_ones + zeros - high)
        if bit:
            ahead = before[:-1]
            target = count[:-1] - ahead
            target += one * (ahead + zeros - target)
            ranks = torch.empty_like(ranks).scatter_(0, target.long(), ranks)
    return x.index_select(0, places.index_select(0, found)).view(-1, len(begins))


def _order(x: Tensor) -> Tensor:
    """The places of ``(n,)`` numbers from the smallest to the largest, NaN last; equal ones stay as they are.

    The bits of a float are those of a sign and a magnitude, so as an integer that rises with it they are sorted by
    torch digit by digit, which takes a fifth of the time.
    """
    if not x.is_floating_point():
        return torch.sort(x, stable=True).indices
    keys = (x.detach() + 0.0).view(_BITS[x.dtype])  # -0 is 0
    keys = keys.bitwise_xor((keys >> (8 * keys.element_size() - 1)).bitwise_and_(torch.iinfo(keys.dtype).max))
    return torch.sort(keys.masked_fill_(x.isnan(), torch.iinfo(keys.dtype).max), stable=True).indices
