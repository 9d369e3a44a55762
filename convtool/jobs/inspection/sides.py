"""The files whose tensors are laid side by side, in torch's layout, and how far their values are apart."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from convtool.arrays.description import TensorInfo, WeightFile
from convtool.errors import InputError
from convtool.jobs.inspection.listing import Listed, Listing
from convtool.weights.conversion.file import ConvertedFile

NEAR = 0.01
"""How far apart, relative to the first, two tensors are that are taken for the same, unless the tolerance is more."""
_SAMPLES = 4096
"""Numbers of each tensor that are looked at to find the one that it is."""
Values = NDArray[Any]


Found = Literal["name", "module", "values"]
"""What tells that two tensors are the same; a layer and what is folded into it have it from the layer's weight."""


class Pair(NamedTuple):
    """A tensor of the first file and that of the second which it is compared with; one may be missing."""

    name: str
    one: Listed | None
    other: Listed | None
    by: Found = "name"


@dataclass
class Side:
    """One of the files in torch's layout, and the tensors of it that have no counterpart yet."""

    tensors: list[Listed]
    left: dict[str, Listed]
    _samples: dict[str, Values] = field(default_factory=dict)

    @classmethod
    def of(cls, listing: Listing, *, summed: bool) -> Side:
        """`listing` in torch's layout; where recurrent biases are `summed`, with their sums, as Keras has them."""
        described, file = [each.described for each in listing.tensors], listing.file
        for layout in ("keras", "torch") if summed and listing.layout != "keras" else ("torch",):
            file = made = ConvertedFile(file, described, to=layout)
            described = made.described
        tensors = [Listed(each, file) for each in described if not each.tensor.is_text]
        return cls(tensors, {each.name: each for each in tensors})

    def take(self, *taken: Listed) -> None:
        """`taken` have a counterpart, or need none."""
        for each in taken:
            self.left.pop(each.name, None)

    def sample(self, listed: Listed) -> Values:
        """Some of the values of one of the tensors, in equal steps of their C order; read once."""
        if listed.name not in self._samples:
            parts, at = [], 0
            step = step_of(listed.tensor.shape)
            for piece in listed.pieces():
                parts.append(wide(piece[-at % step :: step]))
                at += len(piece)
            self._samples[listed.name] = np.concatenate(parts)
        return self._samples[listed.name]


class _Reshaped(WeightFile):
    """One tensor of `file` in another shape."""

    layout = "torch"

    def __init__(self, file: WeightFile, source: TensorInfo, tensor: TensorInfo) -> None:
        self.tensors = (tensor,)
        self._file, self._source = file, source

    def pieces(self, tensor: TensorInfo) -> Iterator[Values]:
        return self._file.pieces(self._source)


def reshaped(listed: Listed, shape: tuple[int, ...]) -> Listed:
    """The same numbers in a shape that takes as many."""
    tensor = replace(listed.tensor, shape=shape)
    described = replace(listed.described, tensor=tensor, axes=tuple(map(str, range(len(shape)))))
    return Listed(described, _Reshaped(listed.file, listed.tensor, tensor))


def without_prefix(tensors: Sequence[Listed], prefix: str) -> dict[str, Listed]:
    """`tensors` by their names, without `prefix` where they begin with it.

    Raises:
        InputError: two have one name then.
    """
    found: dict[str, Listed] = {}
    for each in tensors:
        name = each.name.removeprefix(prefix)
        if (first := found.setdefault(name, each)) is not each:
            raise InputError(f"without the prefix {prefix!r}, {first.name!r} and {each.name!r} have one name, {name!r}")
    return found


@contextmanager
def in_second() -> Iterator[None]:
    """Has errors say that they are about the second file."""
    try:
        yield
    except InputError as error:
        raise InputError(f"in the second file, {error}") from error


def step_of(shape: tuple[int, ...]) -> int:
    """The step from one value of a tensor of that shape to the next in its sample."""
    return -(-math.prod(shape) // _SAMPLES)


def apart_of(one: Values, other: Values) -> float:
    """How far `other` is from `one`, relative to that; infinitely far where one of them is not finite."""
    with np.errstate(all="ignore"):
        far, size = np.linalg.norm(one - other), np.linalg.norm(one)
        return 0.0 if not far else float(np.nan_to_num(far / size, nan=math.inf)) if size else math.inf


def is_within(one: Values, other: Values, tolerance: float) -> bool:
    """Whether no two values are further apart than `tolerance`; NaN and infinity are from anything."""
    with np.errstate(all="ignore"):
        return bool((np.abs(one - other) <= tolerance).all())


def double(listed: Listed) -> Values:
    return wide(listed.values())


def wide(values: Values) -> Values:
    return values.astype(np.result_type(values, np.float64))
