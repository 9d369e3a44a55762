"""Several statistics of every window of a piece of signal or grid that is all there."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from convtool.errors import InputError
from convtool.ops.exact import float_parts, scaled, square_root, wide
from convtool.ops.windows.exact_windows import exact_rows, slide_exact
from convtool.ops.windows.higher_moments import kurtosis, skewness
from convtool.ops.windows.mergeable import Joining, slide
from convtool.ops.windows.moments import Part, mean, mean_square, merge_weighed, total, variance, weighed_samples
from convtool.ops.windows.percentiles import grid_percentiles, sliding_percentiles
from convtool.ops.windows.request import Request, percent_of
from convtool.ops.windows.running_windows import SHORTEST, slide_running, slide_running_grid
from convtool.ops.windows.sample_windows import HIGHER, MOMENTS, slide_samples

if TYPE_CHECKING:
    from collections.abc import Callable

    from convtool.ops.windows.flowing import Past
    from convtool.ops.windows.sliding import Absent

_WEIGHED = Joining(merge_weighed, dtype=torch.float64)
_MOMENTS: dict[str, Callable[[Part, int], Tensor]] = {
    "var": variance,
    "std": lambda part, ddof: square_root(variance(part, ddof)),
    "mean": lambda part, _: mean(part),
    "sum": lambda part, _: total(part),
    "rms": lambda part, _: square_root(mean_square(part)),
}
_HIGHER: dict[str, Callable[[Part], Tensor]] = {"skew": skewness, "kurt": kurtosis}
_POWERS = {"skew": 3, "kurt": 4}
_SHIFTS = (-1000, -700, -350, 350, 700, 1050)
"""Powers of two that bring numbers of any size to where float64 holds their fourth powers."""
_FAR = 2.0**200
"""Where it does so for sure, and for the inverse."""
# Squares of these leave the range of float64, or its full precision; powers of two change no digit.
_LARGE, _SMALL = 2.0**480, 2.0**-440
_SHRINK, _GROW = 2.0**-600, 2.0**600
_WHOLE = 1 << 53
"""Up to which float64 holds every integer."""


def as_numbers(x: Tensor) -> Tensor:
    """`x`, integers as int64.

    Raises:
        TypeError: complex or boolean numbers.
        InputError: an integer past what int64 holds.
    """
    if x.is_complex() or x.dtype == torch.bool:
        raise TypeError(
            f"the signal is {x.dtype}; statistics need real numbers: convert it, as with .abs() or .double()"
        )
    if x.dtype == torch.uint64 and bool((x.long() < 0).any()):
        raise InputError("the signal is uint64 with values past 2^63 - 1; convert it to float64")
    return x if x.is_floating_point() else x.long()


def window_stats(
    x: Tensor,
    request: Request,
    first: tuple[int, ...],
    absent: tuple[Absent, ...],
    axis: int = 0,
    past: Past | None = None,
) -> list[Tensor]:
    """The statistics asked for, of the windows at `first`, and then every stride, of each axis.

    Windows that shrink are worked apart from those that don't, whose arithmetic is faster.

    Args:
        x: ``(rows, n)`` for windows along the last axis, ``(h, w)`` for windows on a grid; a floating dtype or int64.
        request: what is asked.
        first: the first window wanted, an index for each axis that windows slide along.
        absent: for each such axis, how many samples at its ends windows don't hold.
        axis: those before it have been parted.
        past: of windows along one axis that flow, what came before in their piece.

    Returns:
        One tensor a statistic, ``(rows, outputs)`` or ``(h outputs, w outputs)``, of the dtype `request.result`.

    Raises:
        InputError: a minimum, maximum or median is an integer that float64 does not hold, beside which others need it.
    """
    if axis == len(request.windows):
        return _alike(x, request, first, absent, past)
    dim, window, stride = axis - len(request.windows), request.windows[axis], request.strides[axis]
    before, after = absent[axis]
    count = x.shape[dim] - window + 1
    head = min(before, count)
    tail = max(head, count - after)
    parts = []
    for start, end in ((0, head), (head, tail), (tail, count)):
        begin = first[axis] - start if first[axis] > start else (first[axis] - start) % stride
        if begin < end - start:
            gap = max(0, before - start), max(0, end + after - count)
            parts.append(
                window_stats(
                    x.narrow(dim, start, end - start + window - 1),
                    request,
                    (*first[:axis], begin, *first[axis + 1 :]),
                    (*absent[:axis], gap, *absent[axis + 1 :]),
                    axis + 1,
                    past if past is None or start == 0 else past.fresh(),
                )
            )
    return parts[0] if len(parts) == 1 else [torch.cat(stats, dim) for stats in zip(*parts, strict=True)]


def _alike(
    x: Tensor, request: Request, first: tuple[int, ...], absent: tuple[Absent, ...], past: Past | None
) -> list[Tensor]:
    """`window_stats` where every window shrinks, or none."""
    picked: Any = (..., *(slice(start, None, step) for start, step in zip(first, request.strides, strict=True)))
    shape = [size - window + 1 for size, window in zip(x.shape[-len(request.windows) :], request.windows, strict=True)]
    missing = torch.zeros((), dtype=torch.int64, device=x.device).expand(*x.shape[: -len(shape)], *shape)
    dtype = request.result(x.dtype)
    if not x.numel():  # no channels
        return [missing[picked].to(dtype)] * len(request.stats)
    low, high = (bound.item() for bound in x.detach().aminmax())
    if not x.is_floating_point() and max(-low, high) <= _WHOLE:
        x = x.double()
    sound = float("-inf") < low and high < float("inf")  # NaN fails both
    nans = None if sound else _count(x.isnan(), request.windows)
    gaps = _gaps(x, absent)
    for lost in (nans, None if gaps is None else _count(gaps, request.windows)):
        missing = missing if lost is None else missing + lost
    made = _moments(x, request, nans, gaps, max(-low, high), past)
    made |= _extremes(x, request, gaps)
    if "count" in request.stats:
        made["count"] = request.samples - missing
    made = {name: stat[picked] for name, stat in made.items()}
    made |= _percentiles(x, request, gaps, missing, first)
    given = {name: _given(made[name], dtype, name) for name in request.stats}
    if dtype.is_floating_point and not (nans is None and gaps is None):
        unfit = request.samples - missing[picked] < request.fewest
        if nans is not None and not request.skip:
            unfit |= nans[picked] > 0
        given = {name: stat if name == "count" else stat.masked_fill(unfit, torch.nan) for name, stat in given.items()}
    return [given[name] for name in request.stats]


def _gaps(x: Tensor, absent: tuple[Absent, ...]) -> Tensor | None:
    """True where windows hold no sample; None where they hold all."""
    if not any(map(any, absent)):
        return None
    gaps = torch.zeros(x.shape, dtype=torch.bool, device=x.device)
    for axis, (before, after) in zip(range(-len(absent), 0), absent, strict=True):
        gaps.narrow(axis, 0, before).fill_(True)
        gaps.narrow(axis, x.shape[axis] - after, after).fill_(True)
    return gaps


def _given(stat: Tensor, dtype: torch.dtype, name: str) -> Tensor:
    """`stat` in `dtype`, which must hold the integers among them."""
    if stat.dtype == torch.int64 and dtype == torch.float64:
        rounded, rest = float_parts(stat)
        if bool(rest.any()):
            value = int(stat[rest != 0][0])
            raise InputError(
                f"the {name} of a window is {value}, past what float64 holds; ask for it in a run of its own"
            )
        return rounded
    return stat.to(dtype)


def _moments(
    x: Tensor, request: Request, nans: Tensor | None, gaps: Tensor | None, largest: float, past: Past | None
) -> dict[str, Tensor]:
    """Those statistics that come from the moments, at every window."""
    names: list[str] = [name for name in (*_MOMENTS, *_HIGHER) if name in request.stats]
    if not names:
        return {}
    skips = request.skip and past is not None and past.lost
    if nans is None and not skips:
        return _ranged(x, None if gaps is None else ~gaps, request, names, largest, past)
    lost = x.isnan() if skips or (request.skip and bool(x.isnan().any())) else None
    if gaps is not None:
        lost = gaps if lost is None else gaps | lost
    finite = torch.where(x.isfinite(), x, 0.0)
    largest = float(finite.detach().abs().max())
    made = _ranged(finite, None if lost is None else ~lost, request, names, largest, past)
    if past is not None and lost is not None and gaps is None:
        late = past.late(x, request.windows[0])
        early = _ranged(finite, None, request, names, largest, past)
        made = {name: torch.where(late, made[name], early[name]) for name in names}
    # Infinities have been worked as zeros: what IEEE arithmetic makes of them is put in their windows.
    up, down = _count(x == torch.inf, request.windows) > 0, _count(x == -torch.inf, request.windows) > 0
    for name in names:
        filled = made[name].masked_fill(up | down, torch.inf if name == "rms" else torch.nan)
        if name in ("mean", "sum"):
            filled = filled.masked_fill(up & ~down, torch.inf).masked_fill(down & ~up, -torch.inf)
        made[name] = filled
    return made


def _ranged(
    x: Tensor, present: Tensor | None, request: Request, names: list[str], largest: float, past: Past | None
) -> dict[str, Tensor]:
    """The statistics of finite samples, of any size."""
    higher = [name for name in names if name in _HIGHER]
    names = [name for name in names if name in _MOMENTS]
    shapes = _shapes(x, present, request, higher, largest) if higher else {}
    return (_sizes(x, present, request, names, largest, past) if names else {}) | shapes


def _shapes(x: Tensor, present: Tensor | None, request: Request, names: list[str], largest: float) -> dict[str, Tensor]:
    """Skewness and kurtosis, which are those of the numbers times any power of two."""
    powers = (2, *(_POWERS[name] for name in ("skew", "kurt") if name in names))

    def finish(part: Part) -> Part:
        return tuple(_HIGHER[name](part) for name in names)

    def finish_with_spread(part: Part) -> Part:
        return *finish(part), part[3] if isinstance(part[0], Tensor) else part[3] / part[0]

    made = _slid(x, present, request, finish, powers)
    size = x.detach().abs()
    if x.dtype == torch.float64 and (largest > _FAR or bool(((size > 0) & (size < 1 / _FAR)).any())):
        for shift in _SHIFTS:
            *found, spread = _slid(scaled(x, torch.tensor(shift)), present, request, finish_with_spread, powers)
            good = (spread > _FAR**-2) & (spread < _FAR**2)
            made = tuple(torch.where(good, new, old) for new, old in zip(found, made, strict=True))
    return dict(zip(names, made, strict=True))


def _sizes(
    x: Tensor, present: Tensor | None, request: Request, names: list[str], largest: float, past: Past | None
) -> dict[str, Tensor]:
    """The statistics that grow with the numbers."""
    made = _worked(x, present, request, names, past)
    if x.dtype != torch.float64:  # the squares of narrower numbers fit
        return made
    size = x.detach().abs()
    for scale, needed in ((_SHRINK, largest > _LARGE), (_GROW, bool(((size > 0) & (size < _SMALL)).any()))):
        if needed:
            scaled = _worked(x * scale, present, request, names, None if past is None else past.never_exact())
            for name, plain in made.items():
                square = name == "var"
                back = scaled[name] / scale / scale if square else scaled[name] / scale
                if scale < 1:
                    wrong = ~(plain.abs() < (_LARGE * _LARGE if square else _LARGE))
                else:  # a window of large samples, whose statistic may be 0 as well, has left the range
                    wrong = (plain.abs() < (_SMALL * _SMALL if square else _SMALL)) & back.isfinite()
                made[name] = torch.where(wrong, back, plain)
    return made


def _worked(
    x: Tensor, present: Tensor | None, request: Request, names: list[str], past: Past | None
) -> dict[str, Tensor]:
    """The statistics of samples whose squares float64 holds; a variance has the same bits whatever else is asked."""

    def finisher(names: list[str]) -> Callable[[Part], Part]:
        return lambda part: tuple(_MOMENTS[name](part, request.ddof) for name in names)

    if past is not None and present is None:
        return dict(zip(names, _so_far(x, request.windows[0], finisher(names), past), strict=True))
    bounded = present is None and x.dtype == torch.float32 and x.device.type == "cpu" and not x.requires_grad
    spread = [name for name in names if name in ("var", "std")] if bounded else []
    others = [name for name in names if name not in spread]
    apart = _Apart(finisher(spread), finisher(others) if others else None) if spread else None
    found = _slid(x, present, request, finisher(spread + others), (2,), apart)
    return dict(zip(spread + others, found, strict=True))


def _so_far(x: Tensor, window: int, finish: Callable[[Part], Part], past: Past) -> Part:
    """`finish` of the moments of every window, worked as if none came after it."""
    exact, dtype = past.exact(x, window), x.dtype if x.is_floating_point() else torch.float64
    if bool(exact.all()):
        return slide_exact(x, window, finish, dtype)
    made = slide_samples(x, window, finish, dtype)
    if not bool(exact.any()):
        return made
    pairs = zip(slide_exact(x, window, finish, dtype), made, strict=True)
    return tuple(torch.where(exact, one, other) for one, other in pairs)


class _Apart(NamedTuple):
    """What is wanted, in two: running sums serve the first, whatever else is asked."""

    spread: Callable[[Part], Part]
    """What hangs on the squared deviations alone, of float32 on a CPU, whose running sums are sequential."""
    others: Callable[[Part], Part] | None


def _slid(
    x: Tensor,
    present: Tensor | None,
    request: Request,
    finish: Callable[[Part], Part],
    powers: tuple[int, ...],
    apart: _Apart | None = None,
) -> Part:
    """`finish` of those moments of every window; `apart` is the same in two, where running sums may serve."""
    dtype = x.dtype if x.is_floating_point() else torch.float64
    if present is None and len(request.windows) == 1:
        exact = exact_rows(x, request.windows[0]) if powers == (2,) else None
        if exact is None or not bool(exact.any()):
            if apart is not None and request.windows[0] >= SHORTEST:
                found = slide_running(x, request.windows[0], apart.spread)
                return found if apart.others is None else found + _slid(x, None, request, apart.others, powers)
            return slide_samples(x, request.windows[0], finish, dtype, powers=powers)
        if bool(exact.all()):
            return slide_exact(x, request.windows[0], finish, dtype)
        made = [_slid(x[rows], None, request, finish, powers, apart) for rows in (exact, ~exact)]
        places = torch.cat([exact.nonzero(), (~exact).nonzero()]).flatten().argsort()
        return tuple(torch.cat(fields).index_select(0, places) for fields in zip(*made, strict=True))
    if apart is not None and request.samples > 1:
        on_grid = slide_running_grid(x, request.windows, apart.spread)
        if on_grid is not None:
            return on_grid if apart.others is None else on_grid + _slid(x, None, request, apart.others, powers)
    order, joining = powers[-1], MOMENTS if powers == (2,) else HIGHER
    if present is not None:
        samples = weighed_samples(wide(x), present)
        samples = (*samples, *samples[3:] * (order - 2))
        joining = _WEIGHED if order == 2 else HIGHER
        return tuple(field.to(dtype) for field in slide_all(samples, request.windows, joining, finish))
    whole = tuple(range(2, order + 1))  # those that merging needs
    along = slide_samples(x, request.windows[1], lambda part: part, torch.float64, powers=whole)
    return tuple(field.to(dtype) for field in slide(along, request.windows[0], joining, finish, 0))


def slide_all(part: Part, windows: tuple[int, ...], joining: Joining, finish: Callable[[Part], Part]) -> Part:
    """`slide` along the last axis, or on a grid along both, which are independent."""
    if len(windows) == 1:
        return slide(part, windows[0], joining, finish, 1)
    return slide(slide(part, windows[1], joining, lambda along: along, 1), windows[0], joining, finish, 0)


def _percentiles(
    x: Tensor, request: Request, gaps: Tensor | None, missing: Tensor, first: tuple[int, ...]
) -> dict[str, Tensor]:
    """The median and the percentiles asked for, of the windows that are picked."""
    names = [name for name in request.stats if name == "median" or percent_of(name) is not None]
    if not names:
        return {}
    percents = [percent_of(name) for name in names]
    odd = gaps is None and bool(request.samples % 2)
    if gaps is not None:  # they sort last
        x = x.masked_fill(gaps, torch.nan if x.is_floating_point() else torch.iinfo(x.dtype).max)
    if len(request.windows) == 1:
        found = sliding_percentiles(x, request.windows[0], missing, first[0], request.strides[0], percents, odd=odd)
    else:
        found = [
            stat[first[0] :: request.strides[0], first[1] :: request.strides[1]]
            for stat in grid_percentiles(x, request.windows, missing, percents, odd=odd)
        ]
    return dict(zip(names, found, strict=True))


def _extremes(x: Tensor, request: Request, gaps: Tensor | None) -> dict[str, Tensor]:
    """Those of min, max and range that are asked for, at every window, with what the last is made from.

    They are NaN in every window that holds one, unless it is skipped.

    Raises:
        InputError: the range of integers is past what int64 holds.
    """
    needed = {"min", "max"} & ({"min", "max"} if "range" in request.stats else set(request.stats))
    made = {name: _extreme(x, request, gaps, name) for name in needed}
    if "range" in request.stats:
        made["range"] = made["max"] - made["min"]
        if not x.is_floating_point() and bool((made["range"] < 0).any()):
            raise InputError("the range of a window is past what int64 holds; work in float64")
    return made


def _extreme(x: Tensor, request: Request, gaps: Tensor | None, name: str) -> Tensor:
    if x.is_floating_point():
        lowest, highest = -math.inf, math.inf
    else:
        lowest, highest = torch.iinfo(x.dtype).min, torch.iinfo(x.dtype).max
    pick, outside = (torch.minimum, highest) if name == "min" else (torch.maximum, lowest)
    for hidden in (x.isnan() if request.skip else None, gaps):
        x = x if hidden is None else x.masked_fill(hidden, outside)
    joining = Joining(lambda a, b: (pick(a[0], b[0]),))
    field: Tensor = slide_all((x,), request.windows, joining, lambda part: part)[0]
    return field


def _count(mask: Tensor, windows: tuple[int, ...]) -> Tensor:
    """How many are true in each window: differences of running counts, exact in int64."""
    counts = mask.long()
    for axis, window in zip(range(-len(windows), 0), windows, strict=True):
        counts = counts.cumsum(axis)
        ends = counts.narrow(axis, window - 1, counts.shape[axis] - window + 1)
        before = torch.zeros_like(ends)
        size = ends.shape[axis] - 1
        before.narrow(axis, 1, size).copy_(counts.narrow(axis, 0, size))
        counts = ends - before
    return counts
