"""What differs between two weight files: names, shapes, types, and the values, piece by piece."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convtool.errors import InputError
from convtool.jobs.inspection.listing import Listed, size

Values = NDArray[Any]


@dataclass
class Difference:
    """One tensor that differs, and how; `largest` is the largest distance of two values, at `index`."""

    name: str
    what: str
    largest: float | None = None
    index: tuple[int, ...] | None = None

    def as_json(self) -> dict[str, Any]:
        """The figures, under stable keys; a distance that is no number is left to `what`."""
        finite = self.largest is not None and np.isfinite(self.largest)
        return vars(self) | {"largest": self.largest if finite else None}


def differences(
    ours: Sequence[Listed], theirs: Sequence[Listed], *, tolerance: float = 0.0, strip_prefix: str = ""
) -> Iterator[Difference]:
    """The tensors in which two files differ, in the order of the first, then those of the second alone.

    Two values are the same where they are at most `tolerance` apart, or are both NaN, or are the same infinity.
    Types that differ are a difference of their own only without a tolerance: half-precision copies are compared
    by value. Of text, only the shapes are compared. `strip_prefix` is left out of the names that begin with it, in
    both files.
    """
    first, second = _by_name(ours, strip_prefix), _by_name(theirs, strip_prefix)
    for name, one in first.items():
        other = second.get(name)
        found = Difference(name, "only in the first file") if other is None else _compare(name, one, other, tolerance)
        if found is not None:
            yield found
    for name in second:
        if name not in first:
            yield Difference(name, "only in the second file")


def _by_name(tensors: Sequence[Listed], prefix: str) -> Mapping[str, Listed]:
    found: dict[str, Listed] = {}
    for tensor in tensors:
        name = tensor.name.removeprefix(prefix)
        if name in found:
            raise InputError(f"without the prefix {prefix!r} two tensors are called {name!r}")
        found[name] = tensor
    return found


def _compare(name: str, one: Listed, other: Listed, tolerance: float) -> Difference | None:
    shape, dtypes = one.tensor.shape, f"{one.tensor.dtype} against {other.tensor.dtype}"
    if shape != other.tensor.shape:
        return Difference(name, f"shape {size(shape)} against {size(other.tensor.shape)}")
    if one.tensor.is_text or other.tensor.is_text:
        return Difference(name, dtypes) if one.tensor.dtype != other.tensor.dtype else None
    found = _Largest(tolerance)
    for left, right in _paired(one.pieces(), _of_second(other.pieces())):
        found.take(left, right)
    if found.differing:
        index = tuple(int(i) for i in np.unravel_index(found.at, shape))
        far = f"by {found.largest:.6g} at most" if np.isfinite(found.largest) else "one of them is not finite"
        if found.beyond:
            far = f"by more than {np.finfo(np.float64).max:.6g}, which float64 does not hold"
        what = f"{found.differing} of {found.seen} values differ, {far}, at {list(index)}"
        return Difference(name, what, found.largest, index)
    if not tolerance and one.tensor.dtype != other.tensor.dtype:
        return Difference(name, f"{dtypes}, the values are equal")
    return None


@dataclass
class _Largest:
    """The largest distance beyond the tolerance, over all pieces of two tensors."""

    tolerance: float
    seen: int = 0
    differing: int = 0
    largest: float = field(default=-1.0)
    at: int = 0
    beyond: bool = False
    """The largest is that of two finite values, and past what float64 holds."""

    def take(self, left: Values, right: Values) -> None:
        """Compare the next values of both."""
        same = left == right
        if not same.all():
            distance = _distance(left, right)
            distance[same | ((left != left) & (right != right))] = 0.0
            beyond = ~(distance <= self.tolerance)
            self.differing += int(beyond.sum())
            distance = np.where(np.isnan(distance), np.inf, distance)  # a number against NaN: as far as can be
            place = int(distance.argmax())
            if beyond.any() and distance[place] > self.largest:
                self.largest, self.at = float(distance[place]), self.seen + place
                self.beyond = bool(np.isinf(distance[place]) and np.isfinite([left[place], right[place]]).all())
        self.seen += len(left)


def _distance(left: Values, right: Values) -> NDArray[np.float64]:
    """``|left - right|`` in float64; of long integers, which float64 does not hold, exactly before it is rounded."""
    if left.dtype.kind in "iu" and right.dtype.kind in "iu" and max(left.itemsize, right.itemsize) == 8:
        exact: NDArray[Any] = np.abs(left.astype(object) - right.astype(object))
        return exact.astype(np.float64)
    wide = np.complex128 if "c" in (left.dtype.kind, right.dtype.kind) else np.float64
    with np.errstate(invalid="ignore", over="ignore"):
        return np.abs(left.astype(wide) - right.astype(wide))


def _of_second(pieces: Iterator[Values]) -> Iterator[Values]:
    try:
        yield from pieces
    except InputError as error:
        raise InputError(f"in the second file, {error}") from error


def _paired(ours: Iterator[Values], theirs: Iterator[Values]) -> Iterator[tuple[Values, Values]]:
    """The values of two tensors side by side, however each is cut into pieces."""
    left = right = np.zeros(0)
    while True:
        if not len(left):
            left = next(ours, left)
        if not len(right):
            right = next(theirs, right)
        count = min(len(left), len(right))
        if not count:
            return
        yield left[:count], right[:count]
        left, right = left[count:], right[count:]
