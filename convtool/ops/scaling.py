"""Numbers brought into a range and back: affinely, by clipping, or squashed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, get_args

import torch
from torch import Tensor

from convtool.ops.channel_rows import as_floats, by_pieces, channel_rows, extremes, real_rows
from convtool.ops.checks import check_choice
from convtool.ops.lines import Lines, Range, is_int64

Method = Literal["minmax", "clip", "sigmoid", "tanh"]
Nan = Literal["skip", "propagate"]

METHODS: tuple[Method, ...] = get_args(Method)


def rescale(
    x: Tensor,
    *,
    low: float,
    high: float,
    method: Method = "minmax",
    per_channel: bool = False,
    nan: Nan = "skip",
) -> Tensor:
    """`x` brought into [low, high].

    ======= =======================================================================================
    method  of each number x, in a signal that lies in [a, b]
    ======= =======================================================================================
    minmax  low + (x - a) (high - low) / (b - a): a becomes low and b high, to the bit
    clip    low where x < low, high where x > high, else x
    sigmoid low + (high - low) / (1 + exp(-x))
    tanh    low + (high - low) (tanh(x) + 1) / 2
    ======= =======================================================================================

    No result leaves [low, high], both as the dtype holds them. minmax errs by half a unit in the last place of the
    result, 0.7 among subnormal numbers, and by 2^-104 of the larger end of the range in float64, 2^-51 in narrower
    dtypes, which tells next to 0 alone. The squashes err by a few units in the last digit of the result, or of
    the nearest of low, high and their middle: tails near a low of 0 keep their digits, and so does tanh(x) itself
    around 0.

    Args:
        x: ``(..., channels, samples)``, ``(samples,)`` or a single number. Of integers the differences are exact,
            whatever their size. Never changed.
        low, high: the range, low < high.
        method: one of the above. See `standardize` for others, which have no range.
        per_channel: minmax takes the range [a, b] of each channel, over all leading dimensions and samples.
        nan: with ``skip``, NaN and infinities are left out of [a, b]; with ``propagate`` they make all results of
            their channel (of all channels but for `per_channel`) NaN.

    Returns:
        The shape of `x`; floating dtypes are kept, integers give float64, or clipped by whole numbers int64.
        Differentiable; [a, b] is a constant to it.

        A constant channel, silence or a single sample too, has a == b: minmax gives the middle of [low, high]. NaN
        stays NaN. An infinity becomes low or high; with minmax it stays infinite, and is NaN in a constant channel.
        Nothing gives nothing.

    Raises:
        TypeError: complex or boolean numbers.
        InputError: an integer past what int64 holds.
        ValueError: no range: inverted, empty, not finite, or too narrow or too wide for the dtype.

    >>> rescale(torch.tensor([0.0, 1.0, 4.0]), low=-1, high=1).tolist()
    [-1.0, -0.5, 1.0]
    >>> rescale(torch.tensor([-9.0, 0.0, 9.0]), low=-1, high=3, method="clip").tolist()
    [-1.0, 0.0, 3.0]
    """
    scaling = Scaling(low, high, method=method, per_channel=per_channel, nan=nan)
    return (scaling.fit(x) if method == "minmax" else scaling).apply(x)


class Scaling:
    """`rescale` for signals that arrive in blocks, and its inverse.

    `fit` takes in the blocks of one signal or many, one by one; `apply` and `invert` then work on any block, each
    number by itself, so that how a signal is cut changes nothing.

    minmax there and back returns x to within 2 ulp of b - a where [low, high] holds 0; where it lies away from 0,
    times max(|low|, |high|) / (high - low), for that many digits its own numbers lose. What was outside [a, b] comes
    out beyond [low, high], on the same line, and comes back too.

    Args:
        low, high, method, per_channel, nan: see `rescale`.
        clip: minmax puts what lies outside of [a, b] onto low and high; it does not come back then.
        ranges: [a, b], a <= b, of the whole signal or of each channel, where they are known already.

    Raises:
        ValueError: as `rescale`.

    >>> scaling = Scaling(-1, 1)
    >>> for block in ([[0.0, 1.0]], [[4.0]]):
    ...     _ = scaling.fit(torch.tensor(block))
    >>> scaling.ranges, scaling.invert(scaling.apply(torch.tensor([[1.0, 5.0]]))).tolist()
    ([(0.0, 4.0)], [[1.0, 5.0]])
    """

    def __init__(
        self,
        low: float,
        high: float,
        *,
        method: Method = "minmax",
        per_channel: bool = False,
        nan: Nan = "skip",
        clip: bool = False,
        ranges: Sequence[Range] = (),
    ) -> None:
        check_choice("method", method, METHODS)
        check_choice("nan", nan, get_args(Nan))
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise ValueError(f"the range is {low} to {high}; expected two finite numbers, the lower first")
        self.low, self.high, self.method = low, high, method
        self._per_channel, self._nan, self._clip = per_channel, nan, clip
        self._ranges = list(ranges)
        self._lines: dict[tuple[torch.dtype, torch.device, bool], Lines] = {}

    @property
    def ranges(self) -> list[Range]:
        """[a, b] of all that `fit` has seen, or of each channel; (inf, -inf) where nothing was finite.

        An end is an `int` where float64 does not hold it.
        """
        return list(self._ranges)

    def fit(self, block: Tensor) -> Scaling:
        """Widen [a, b] by the numbers of `block` ``(..., channels, samples)``; returns this object.

        Raises:
            TypeError: complex or boolean numbers.
            ValueError: other channels than before, with `per_channel`.
        """
        rows = channel_rows(block, per_channel=self._per_channel)
        least, most = extremes(rows, finite=self._nan == "skip")
        if self._ranges and len(self._ranges) != len(rows):
            raise ValueError(f"the signal has {len(rows)} channels; there were {len(self._ranges)} before")
        found = [(_plain(a), _plain(b)) for a, b in zip(least.tolist(), most.tolist(), strict=True)]
        self._ranges = [_wider(*both) for both in zip(self._ranges, found, strict=True)] if self._ranges else found
        self._lines.clear()
        return self

    def again(self) -> bool:
        """Whether `fit` must see all blocks once more: never, see `Standardization`."""
        return False

    def apply(self, x: Tensor) -> Tensor:
        """`x` ``(..., channels, samples)`` brought into the range; see `rescale`.

        Raises:
            TypeError: complex or boolean numbers.
            ValueError: minmax without a range of the data, or one for other channels; a range that the dtype of `x`
                does not hold.
        """
        rows = real_rows(x)
        low, high = self._limits(rows.dtype)
        if self.method == "minmax":
            line = self._lines_for(rows, inverse=False)
            work: Callable[[Tensor], Tensor] = (lambda piece: line(piece).clamp(low, high)) if self._clip else line
        elif self.method == "clip" and self.result(rows.dtype) == torch.int64:
            work = partial(torch.clamp, min=int(low), max=int(high))
        elif self.method == "clip":
            rows, work = as_floats(rows), partial(torch.clamp, min=low, max=high)
        else:
            rows = as_floats(rows)
            work = partial(_squash, low=low, high=high, gain=self._gain)
        return by_pieces(work, rows).reshape(x.shape)

    def invert(self, y: Tensor, *, eps: float | None = None) -> Tensor:
        """The numbers that `apply` brought to `y`.

        With minmax every number has an inverse; a constant comes back as that constant. With the squashes

            sigmoid   x = log((y - low) / (high - y)),    tanh   x = log((y - low) / (high - y)) / 2

        where numbers within the share `eps` of the range from an end, on it or beyond it, count as lying that far
        inside. NaN stays NaN.

        Args:
            y: ``(..., channels, samples)``.
            eps: below 1/2; 0 gives infinities at the ends. None is the machine epsilon of the dtype.

        Raises:
            TypeError, ValueError: as `apply`; clip, which has no inverse; an `eps` outside [0, 1/2).
        """
        rows = as_floats(real_rows(y))
        low, high = self._limits(rows.dtype)
        if self.method == "clip":
            raise ValueError("clip can't be inverted: what lay beyond the range is gone")
        eps = torch.finfo(rows.dtype).eps if eps is None else eps
        if not 0 <= eps < 0.5:
            raise ValueError(f"eps is {eps}; it must be at least 0 and below 0.5")
        if self.method == "minmax":
            work: Callable[[Tensor], Tensor] = self._lines_for(rows, inverse=True)
        else:
            work = partial(_unsquash, low=low, high=high, gain=self._gain, eps=eps)
        return by_pieces(work, rows).reshape(y.shape)

    def result(self, dtype: torch.dtype) -> torch.dtype:
        """What `apply` gives of numbers of `dtype`."""
        if dtype.is_floating_point:
            return dtype
        whole = self.method == "clip" and is_int64(self.low) and is_int64(self.high)
        return torch.int64 if whole else torch.float64

    @property
    def _gain(self) -> float:
        """sigmoid(x) is (tanh(x / 2) + 1) / 2."""
        return 0.5 if self.method == "sigmoid" else 1.0

    def _limits(self, dtype: torch.dtype) -> Range:
        held = dtype if dtype.is_floating_point else torch.float64
        low, high = torch.tensor([self.low, self.high], dtype=torch.float64).to(held).tolist()
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            name = str(dtype).removeprefix("torch.")
            raise ValueError(f"{name} does not hold the range {self.low} to {self.high}; work in float64")
        return low, high

    def _lines_for(self, rows: Tensor, *, inverse: bool) -> Lines:
        """The line of each channel of `rows`; a single range serves any channels."""
        channels, known = rows.shape[-2], len(self._ranges)
        if not known and channels:
            raise ValueError("minmax has seen no data; give it some with fit, or its ranges")
        if known not in (1, channels):
            raise ValueError(f"the signal has {channels} channels, but there are ranges for {known}")
        key = (rows.dtype, rows.device, inverse)
        if key not in self._lines:
            data, within = self._ranges_in(rows.dtype), [self._limits(rows.dtype)] * known
            source, target = (within, data) if inverse else (data, within)
            self._lines[key] = Lines(source, target, rows.device)
        return self._lines[key]

    def _ranges_in(self, dtype: torch.dtype) -> list[Range]:
        """[a, b] rounded to `dtype`, as the data was if it was fitted in a wider one: the ends must stay its own."""
        if not dtype.is_floating_point:
            return self.ranges
        exact = torch.tensor([list(map(float, ends)) for ends in self._ranges], dtype=torch.float64).reshape(-1, 2)
        rounded = exact.to(dtype).double()
        ends = torch.where(rounded.isfinite(), rounded, exact).tolist()
        return [(least, most) for least, most in ends]


def _plain(end: float) -> float:
    """`end` as a `float`, if it is the same number."""
    return float(end) if float(end) == end or end != end else end


def _wider(known: Range, found: Range) -> Range:
    """The range of both; NaN where one of them has it."""
    (a, b), (c, d) = known, found
    return c if c < a or c != c else a, d if d > b or d != d else b


# Both squashes are low + (high - low) (tanh(z) + 1) / 2 with z = gain * x. Each number is measured from the nearest of
# low, the middle and high, in whose neighbourhood it then keeps its digits: near low by tanh(z) + 1 = 2 e / (1 + e),
# e = exp(2 z), near high alike, in the middle by tanh(z) = m / (m + 2), m = exp(2 z) - 1. Halves keep ranges like
# [-1e308, 1e308] from overflowing. These functions give the same bits wherever a number stands in its tensor, which
# torch.sigmoid and torch.atanh do not, and they are faster than torch.tanh in float64.


def _squash(x: Tensor, *, low: float, high: float, gain: float) -> Tensor:
    half, middle = high / 2 - low / 2, low / 2 + high / 2
    z = x.double() * gain
    lower = z < 0
    e = torch.where(lower, 2 * z, -2 * z).exp()
    tail = half * (2 * e / (1 + e))
    m = (2 * z.clamp(-0.5, 0.5)).expm1()
    near_middle = middle + half * (m / (m + 2))
    return torch.where(z.abs() < 0.5, near_middle, torch.where(lower, low + tail, high - tail)).to(x.dtype)


def _unsquash(y: Tensor, *, low: float, high: float, gain: float, eps: float) -> Tensor:
    half, middle = high / 2 - low / 2, low / 2 + high / 2
    y64 = y.double()
    above = ((y64 / 2 - low / 2) / half).clamp(eps, 1 - eps)
    below = ((high / 2 - y64 / 2) / half).clamp(eps, 1 - eps)
    limit = min(0.5, 1 - 2 * eps)
    share = (y64 - middle) / half  # tanh(z)
    inner = share.clamp(-limit, limit)
    near_middle = (2 * inner / (1 - inner)).log1p() / 2
    z = torch.where(share.abs() < 0.5, near_middle, (above / below).log() / 2)
    return (z / gain).to(y.dtype)
