"""What differs between two weight files: names, shapes, types, and the values, piece by piece."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convtool.errors import InputError
from convtool.jobs.inspection.listing import Listed, size
from convtool.jobs.inspection.sides import Pair, in_second, without_prefix

Values = NDArray[Any]


@dataclass
class Difference:
    """One tensor that differs, and how; `largest` is the largest distance of two values, at `index`."""

    name: str
    what: str
    largest: float | None = None
    index: tuple[int, ...] | None = None
    relative: float | None = None
    """``|a - b| / |a|`` over all of its values, in the 2-norm."""
    cosine: float | None = None
    """``1 - a b / (|a| |b|)``: 0 where one is a multiple of the other."""
    other: str = ""
    """What the tensor is called in the second file, where that is another name."""

    def as_json(self) -> dict[str, Any]:
        """The figures, under stable keys; a distance that is no number is left to `what`."""
        figures = {
            key: None if isinstance(value, float) and not np.isfinite(value) else value
            for key, value in vars(self).items()
        }
        return {key: value for key, value in figures.items() if key != "other" or value}


def by_name(ours: Sequence[Listed], theirs: Sequence[Listed], *, strip_prefix: str = "") -> Iterator[Pair]:
    """The tensors of two files by their names, in the order of the first, then those of the second alone.

    `strip_prefix` is left out of the names that begin with it, in both files.

    Raises:
        InputError: two tensors of a file have one name then.
    """
    first = without_prefix(ours, strip_prefix)
    with in_second():
        second = without_prefix(theirs, strip_prefix)
    for name, one in first.items():
        yield Pair(name, one, second.get(name))
    for name, other in second.items():
        if name not in first:
            yield Pair(name, None, other)


def differences(pairs: Iterable[Pair], *, tolerance: float = 0.0, ignore_dtype: bool = False) -> Iterator[Difference]:
    """The pairs of tensors that differ.

    Two values are the same where they are at most `tolerance` apart, or are both NaN, or are the same infinity.
    Types that differ are a difference of their own, unless it is to be ignored. Of text, only the shapes are compared.
    """
    for name, one, other, _ in pairs:
        if one is None or other is None:
            yield Difference(name, f"only in the {'first' if other is None else 'second'} file")
            continue
        found = _compare(name, one, other, tolerance, ignore_dtype)
        if found is not None:
            yield replace(found, other=other.name if other.name != one.name else "")


def _compare(name: str, one: Listed, other: Listed, tolerance: float, ignore_dtype: bool) -> Difference | None:
    shape, dtypes = one.tensor.shape, f"{one.tensor.dtype} against {other.tensor.dtype}"
    if shape != other.tensor.shape:
        return Difference(name, f"shape {size(shape)} against {size(other.tensor.shape)}")
    if one.tensor.is_text or other.tensor.is_text:
        return Difference(name, dtypes) if one.tensor.dtype != other.tensor.dtype else None
    if one.tensor.opaque or other.tensor.opaque:
        what = dtypes if one.tensor.dtype != other.tensor.dtype else _bytes_differ(one, other)
        return Difference(name, what) if what else None
    typed = "" if ignore_dtype or one.tensor.dtype == other.tensor.dtype else dtypes
    found = _Largest(tolerance)
    for left, right in _paired(one.pieces(), _of_second(other.pieces())):
        found.take(left, right)
    if found.differing:
        index = tuple(int(i) for i in np.unravel_index(found.at, shape))
        far = f"by {found.largest:.6g} at most" if np.isfinite(found.largest) else "one of them is not finite"
        if found.beyond:
            far = f"by more than {np.finfo(np.float64).max:.6g}, which float64 does not hold"
        relative, cosine = _angle(one, other)
        what = f"{found.differing} of {found.seen} values differ, {far}, at {list(index)}"
        if relative is not None:
            what += f"; relative {relative:.3g}" + (f", cosine {cosine:.3g}" if cosine is not None else "")
        return Difference(name, "; ".join(filter(None, (what, typed))), found.largest, index, relative, cosine)
    return Difference(name, f"{typed}, the values are {'near' if tolerance else 'equal'}") if typed else None


def _bytes_differ(one: Listed, other: Listed) -> str:
    """How the bytes of two tensors of an opaque type differ, or why that can't be told; nothing where they do not."""
    found = _Largest(0)
    try:
        for left, right in _paired(one.file.packed(one.tensor), _of_second(other.file.packed(other.tensor))):
            found.take(left, right)
    except InputError as error:
        return f"can't be compared: {error}"
    return f"{found.differing} of its {found.seen} bytes differ" if found.differing else ""


def _angle(one: Listed, other: Listed) -> tuple[float | None, float | None]:
    """The relative and the cosine difference of two tensors; None for one that there is not.

    From the norms and the distance alone, since ``2 |a| |b| (1 - cos) = |a - b|^2 - (|a| - |b|)^2`` loses nothing
    where both are nearly the same.
    """
    squares = np.zeros(3)
    with np.errstate(all="ignore"):
        for left, right in _paired(one.pieces(), _of_second(other.pieces())):
            a, b = (side.astype(np.result_type(side, np.float64)) for side in (left, right))
            squares += [np.vdot(values, values).real for values in (a - b, a, b)]
        far, first, second = np.sqrt(squares)
        relative, cosine = far / first, (far**2 - (first - second) ** 2) / (2 * first * second)
    return _finite(relative), _finite(np.maximum(cosine, 0))


def _finite(value: np.float64) -> float | None:
    return float(value) if np.isfinite(value) else None


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
    with in_second():
        yield from pieces


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
