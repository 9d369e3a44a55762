"""Numbers measured from where their data lies, in units of how far it spreads, and back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from convtool.ops.channel_rows import as_floats, by_pieces, channel_rows, extremes, real_rows
from convtool.ops.checks import check_choice
from convtool.ops.exact import float_parts, product_of, sum_of
from convtool.ops.exact_sums import ExactSums
from convtool.ops.lines import power_near
from convtool.ops.order_statistics import Quartiles
from convtool.ops.scaling import Nan

Method = Literal["standard", "robust", "maxabs"]

METHODS: tuple[Method, ...] = get_args(Method)


class Spread(NamedTuple):
    """Where numbers lie and how far they spread: y = (x - location - rest) / scale.

    Attributes:
        location: their mean or median, as the nearest float64; 0 for maxabs.
        scale: their standard deviation, interquartile range or largest absolute value; an `int` where float64 does not
            hold it.
        rest: what the location differs by from float64.
    """

    location: float
    scale: float
    rest: float = 0.0


def standardize(x: Tensor, *, method: Method = "standard", per_channel: bool = False, nan: Nan = "skip") -> Tensor:
    """`x` with its location taken off, over its scale.

    ======== ==============================================================================================
    method   of each number x
    ======== ==============================================================================================
    standard (x - mean) / std, the standard deviation with ``ddof=0``
    robust   (x - median) / (q3 - q1), the quartiles as in NumPy's ``linear``
    maxabs   x / max \\|x\\|: from -1 to 1, signs and zeros stay
    ======== ==============================================================================================

    The location has the digits of two float64 and the scale is the nearest float64 (of a maximum, exact), of whatever
    numbers: an offset of 1e15 costs no digit. The result errs from the formula by less than 2 units in the last place,
    more only among subnormal numbers.

    Args:
        x: ``(..., channels, samples)``, ``(samples,)`` or a single number. Of integers the differences are exact,
            whatever their size. Never changed.
        method: one of the above.
        per_channel: location and scale are those of each channel, over all leading dimensions and samples.
        nan: with ``skip``, NaN and infinities are left out of location and scale; with ``propagate`` they make all
            results of their channel (of all channels but for `per_channel`) NaN.

    Returns:
        The shape of `x`; floating dtypes are kept, integers give float64. Differentiable; location and scale are
        constants to it.

        Where the scale is 0, of a constant, silence and a single sample (and robust, where half of the numbers are
        alike), every finite number becomes 0. NaN stays NaN, and an infinity infinite; it is NaN where the scale is 0.
        Nothing gives nothing.

    Raises:
        TypeError: complex or boolean numbers.
        InputError: an integer past what int64 holds.

    >>> standardize(torch.tensor([1.0, 3.0, 1.0, 3.0])).tolist()
    [-1.0, 1.0, -1.0, 1.0]
    >>> standardize(torch.tensor([1.0, 2.0, 3.0, 4.0, 90.0]), method="robust").tolist()
    [-1.0, -0.5, 0.0, 0.5, 43.5]
    """
    made = Standardization(method, per_channel=per_channel, nan=nan)
    more = True
    while more:
        made.fit(x)
        more = made.again()
    return made.apply(x)


class Standardization:
    """`standardize` for signals that arrive in blocks, and its inverse.

    `fit` takes in the blocks of one signal or many, one by one, and `again` tells whether all of them are needed once
    more: ``robust`` counts numbers in several passes, so that its memory does not grow with them. `apply` and `invert`
    then work on any block, each number by itself. How a signal is cut, and the order of its numbers, change nothing.

    There and back returns x to within 2 ulp of the largest of \\|x\\|, \\|location\\| and the scale.

    Args:
        method, per_channel, nan: see `standardize`.
        spreads: location and scale of the whole signal or of each channel, where they are known already.

    Raises:
        ValueError: an unknown method or `nan`.

    >>> scaling = Standardization("maxabs")
    >>> for block in ([[0.0, 1.0]], [[-4.0]]):
    ...     _ = scaling.fit(torch.tensor(block))
    >>> scaling.again(), scaling.spreads, scaling.invert(torch.tensor([[0.5, -1.0]])).tolist()
    (False, [Spread(location=0.0, scale=4.0, rest=0.0)], [[2.0, -4.0]])
    """

    def __init__(
        self,
        method: Method = "standard",
        *,
        per_channel: bool = False,
        nan: Nan = "skip",
        spreads: Sequence[Spread] = (),
    ) -> None:
        check_choice("method", method, METHODS)
        check_choice("nan", nan, get_args(Nan))
        self.method = method
        self._per_channel, self._nan = per_channel, nan
        self._spreads = list(spreads)
        self._spoilt: list[bool] = []
        self._found: ExactSums | Quartiles | _Largest | None = None

    @property
    def spreads(self) -> list[Spread]:
        """Location and scale of all that `fit` has seen, or of each channel; NaN where nothing was finite.

        With `robust` they are known once `again` has been false.
        """
        if not self._spreads and self._found is not None:
            self._spreads = [
                Spread(math.nan, math.nan) if spoilt else _spread(self._found, row)
                for row, spoilt in enumerate(self._spoilt)
            ]
        return list(self._spreads)

    def fit(self, block: Tensor) -> Standardization:
        """Take in ``(..., channels, samples)``; returns this object.

        Raises:
            TypeError: complex or boolean numbers.
            ValueError: other channels than before, with `per_channel`.
        """
        rows = channel_rows(block, per_channel=self._per_channel)
        if self._found is None:
            self._found = _finder(self.method, len(rows))
            self._spoilt = [False] * len(rows)
        if len(rows) != len(self._spoilt):
            raise ValueError(f"the signal has {len(rows)} channels; there were {len(self._spoilt)} before")
        self._found.add(rows)
        if self._nan == "propagate" and rows.is_floating_point():
            self._spoilt = [a or b for a, b in zip(self._spoilt, (~rows.isfinite()).any(1).tolist(), strict=True)]
        self._spreads = []
        return self

    def again(self) -> bool:
        """Whether `fit` must see all blocks once more; asked after each pass over them."""
        return isinstance(self._found, Quartiles) and self._found.again()

    def apply(self, x: Tensor) -> Tensor:
        """`x` ``(..., channels, samples)`` with location taken off, over the scale; see `standardize`.

        Raises:
            TypeError: complex or boolean numbers.
            ValueError: nothing was fitted, or other channels were.
        """
        rows = real_rows(x)
        constants = self._constants(rows)
        return by_pieces(lambda piece: _standardized(piece, constants), rows).reshape(x.shape)

    def invert(self, y: Tensor) -> Tensor:
        """The numbers that `apply` brought to `y`; where the scale is 0, the location of any finite number.

        Raises:
            TypeError, ValueError: as `apply`.
        """
        rows = as_floats(real_rows(y))
        constants = self._constants(rows)
        return by_pieces(lambda piece: _brought_back(piece, constants), rows).reshape(y.shape)

    def result(self, dtype: torch.dtype) -> torch.dtype:
        """What `apply` gives of numbers of `dtype`."""
        return dtype if dtype.is_floating_point else torch.float64

    def _constants(self, rows: Tensor) -> tuple[Tensor, ...]:
        """Unit, location, rest, and the scale in two parts, each ``(channels, 1)``."""
        spreads, channels = self.spreads, rows.shape[-2]
        if not spreads and channels:
            raise ValueError(f"{self.method} has seen no data; give it some with fit, or its spreads")
        if len(spreads) not in (1, channels):
            raise ValueError(f"the signal has {channels} channels, but {len(spreads)} were fitted")
        table = torch.tensor([_row(*spread) for spread in spreads], dtype=torch.float64, device=rows.device)
        return table.reshape(-1, 5).T.unsqueeze(-1).unbind()


class _Largest:
    """The largest absolute value of each row of blocks ``(rows, samples)``; NaN and infinities are left out."""

    def __init__(self, rows: int) -> None:
        self.values: list[float] = [-math.inf] * rows

    def add(self, block: Tensor) -> None:
        ends = zip(*(end.tolist() for end in extremes(block, finite=True)), strict=True)
        self.values = [max(known, -least, most) for known, (least, most) in zip(self.values, ends, strict=True)]


def _finder(method: Method, rows: int) -> ExactSums | Quartiles | _Largest:
    if method == "standard":
        return ExactSums(rows)
    return Quartiles(rows) if method == "robust" else _Largest(rows)


def _spread(found: ExactSums | Quartiles | _Largest, row: int) -> Spread:
    """What was found of a row; NaN where there was no finite number."""
    if isinstance(found, _Largest):
        largest = found.values[row]
        if largest < 0:
            return Spread(0.0, math.nan)
        return Spread(0.0, float(largest) if float(largest) == largest else largest)
    if isinstance(found, ExactSums):
        if not found.counts[row]:
            return Spread(math.nan, math.nan)
        location, scale = found.mean(row), found.deviation(row)
    else:
        quartiles = found.found(row)
        if not quartiles:
            return Spread(math.nan, math.nan)
        location, scale = quartiles[1], _nearest(quartiles[2] - quartiles[0])
    nearest = _nearest(location)
    return Spread(nearest, scale, float(location - Fraction(nearest)))


def _nearest(x: Fraction) -> float:
    """As float64; infinite past its range, as the difference of two numbers can be."""
    try:
        return float(x)
    except OverflowError:
        return math.inf


def _row(location: float, scale: float, rest: float) -> tuple[float, ...]:
    """What `_standardized` works with, in units in which the scale is about 1 and the last digits are no subnormals."""
    unit = 1 / power_near(scale) if math.isfinite(scale) else 1.0
    whole = Fraction(scale) * Fraction(unit) if math.isfinite(scale) else scale
    first = float(whole)
    return unit, location, rest, first, float(whole - Fraction(first)) if math.isfinite(scale) else 0.0


def _standardized(x: Tensor, constants: tuple[Tensor, ...]) -> Tensor:
    """(x - location - rest) / scale: the quotient, and what is left over from it divided once more."""
    unit, location, rest, scale, scale_rest = constants
    x64, x_rest = (x.double(), None) if x.is_floating_point() else float_parts(x)
    plain = torch.where(scale == 0, x64 * 0 + 0.0, (x64 - location) * unit / torch.where(scale == 0, 1, scale))
    if x.is_floating_point() and x.dtype != torch.float64:
        return plain.to(x.dtype)
    away, error = sum_of(x64 * unit, -location * unit)
    error = error + ((0 if x_rest is None else x_rest) - rest) * unit
    away, error = sum_of(away, error)
    divisor = torch.where(scale == 0, 1, scale)
    quotient = away / divisor
    product, product_error = product_of(quotient, divisor)
    left = ((away - product) - product_error) + error - quotient * scale_rest
    exact = quotient + left / divisor
    return torch.where(exact.isfinite() & (scale != 0), exact, plain)


def _brought_back(y: Tensor, constants: tuple[Tensor, ...]) -> Tensor:
    """location + rest + y scale, rounded once."""
    unit, location, rest, scale, scale_rest = constants
    y64 = y.double()
    plain = y64 * scale / unit + location
    if y.dtype != torch.float64:
        return plain.to(y.dtype)
    product, product_error = product_of(y64, scale)
    total, error = sum_of(location, product / unit)
    exact = total + (error + (product_error + y64 * scale_rest) / unit + rest)
    return torch.where(exact.isfinite(), exact, plain)
