"""Statistics of tensors, in one pass over their values and to the accuracy of float64; of integers, exactly.

The values come in pieces, which several threads share out and work while they are in a processor's cache. A piece's
moments are taken about zero where that loses no digits, else about its mean, and pieces are merged about their common
mean, so that nowhere a small difference is taken of large sums: T. F. Chan, G. H. Golub, R. J. LeVeque, The American
Statistician 37 (1983). Integers are summed without any rounding, and so are their squares.
"""

from __future__ import annotations

import math
import os
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

from convtool.arrays.description import TensorInfo, WeightFile
from convtool.errors import InputError
from convtool.weights.integer_sums import dot, integer_sums, mean_and_std

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_ROW = 1024
"""Numbers that BLAS sums at once: beyond 10000 it starts threads of its own, and these stay in the first cache."""

_BLOCK = 1 << 19
"""Numbers worked at once, at the most."""

_THREADS = 4
"""Python between the pieces is a tenth of the work, and one thread runs it at a time."""

_SMALL = 16 << 20
"""Bytes of values up to which starting a thread costs more than it gains."""

_SAFE_EXPONENT = 400
"""Squares of numbers up to 2 to this power can be summed, and those of numbers from its inverse on are not lost."""


@dataclass(frozen=True)
class TensorStats:
    """What the values of a tensor are like.

    min, max, mean and std are those of the finite values alone, and NaN where there are none, as in an empty tensor.
    Complex numbers count by their magnitude, booleans as 0 and 1.
    """

    min: float
    """Smallest finite value; an int where the dtype is one of integers or booleans."""
    max: float
    """Largest finite value, likewise."""
    mean: float
    """Sum x / n, exactly the constant where all values are equal; of integers the float64 nearest to it."""
    std: float
    """Square root of (sum (x - mean)^2 / n), ddof 0; exactly 0 where all values are equal. Of integers rounded once."""
    zeros: int
    """How many values are 0 or -0."""
    nan: int
    """How many are not a number."""
    infinite: int
    """How many are infinite; a complex number where either part is."""


def all_stats(file: WeightFile, tensors: Sequence[TensorInfo]) -> list[TensorStats | InputError]:
    """Statistics of the values of each of `tensors` of `file`, in that order; where they can't be read, the reason.

    Of tensors of opaque types they are those of their scales.

    Relative error of mean and std below 1e-12 where float64 can tell them at all, whatever the offset: 1e8 plus noise,
    1e300 and denormals alike. Memory: some megabytes for each of at most 4 threads.

    Several threads work where the file allows it: one large tensor keeps as many of them busy as many small ones do.
    The result does not depend on how many there are.
    """
    import numpy as np

    parts: list[list[_Part]] = [[] for _ in tensors]
    errors: dict[int, InputError] = {}
    streams, lock = _streams(file, tensors, errors), Lock()

    def work() -> None:
        room = _Room()
        with np.errstate(all="ignore"):
            while True:
                with lock:
                    index, stream = next(streams, (0, None))
                if stream is None:
                    return
                try:
                    for piece in stream:
                        for start in range(0, len(piece), _BLOCK):
                            parts[index].append(_part(piece[start : start + _BLOCK], room))
                except InputError as error:
                    errors[index] = error

    large = sum(tensor.nbytes for tensor in tensors) > _SMALL
    threads = min(_THREADS, os.cpu_count() or 1) if large and file.threadsafe else 1
    if threads == 1:
        work()
    else:
        with ThreadPoolExecutor(threads) as pool:
            try:
                for future in [pool.submit(work) for _ in range(threads)]:
                    future.result()
            finally:
                with lock:
                    streams.close()  # where one has failed, the others need not go on
    return [errors.get(index) or _stats(found) for index, found in enumerate(parts)]


def _streams(
    file: WeightFile, tensors: Sequence[TensorInfo], errors: dict[int, InputError]
) -> Generator[tuple[int, Iterator[NDArray[Any]]]]:
    """The values of all tensors in streams, each with the tensor's index; `errors` takes why there are none."""
    for index, tensor in enumerate(tensors):
        try:
            for stream in [file.scales(tensor)] if tensor.opaque else file.shares(tensor):
                yield index, stream
        except InputError as error:
            errors[index] = error


@dataclass(frozen=True)
class _Part:
    """What is in some values of a tensor; `moments` is empty where none of them is finite."""

    zeros: int
    nan: int
    infinite: int
    low: float = math.nan
    high: float = math.nan
    moments: tuple[float, ...] = ()
    """Of the finite ones: how many, their mean, what it errs by, and their standard deviation."""
    sums: tuple[int, ...] = ()
    """Of integers, in place of moments: how many, their sum, and that of their squares."""


class _Room:
    """What a thread works in: memory asked for anew with each piece would cost more than the work."""

    def __init__(self) -> None:
        import numpy as np

        self.doubles, self.marks = np.empty(_BLOCK), np.empty(_BLOCK, np.bool_)
        self.ones = np.ones(_ROW)


def _stats(parts: Sequence[_Part]) -> TensorStats:
    import numpy as np

    low = high = mean = std = math.nan
    finite = [part for part in parts if part.moments or part.sums]
    if finite:
        low, high = min(part.low for part in finite), max(part.high for part in finite)
        if finite[0].sums:
            mean, std = mean_and_std(*map(sum, zip(*(part.sums for part in finite), strict=True)))
        elif low == high:
            mean, std = low, 0.0
        else:
            mean, std = _merged(np.array([part.moments for part in finite]).T)
    return TensorStats(
        min=low,
        max=high,
        mean=mean,
        std=std,
        zeros=sum(part.zeros for part in parts),
        nan=sum(part.nan for part in parts),
        infinite=sum(part.infinite for part in parts),
    )


def _part(values: NDArray[Any], room: _Room) -> _Part:
    """What is in `values`, at least one."""
    import numpy as np

    values = _reals(values)
    low, high = _ends(values)
    nan = infinite = zeros = 0
    if not (math.isfinite(low) and math.isfinite(high)):
        nan, infinite = int(np.count_nonzero(np.isnan(values))), int(np.count_nonzero(np.isinf(values)))
        values = values[np.isfinite(values)]
        if not len(values):
            return _Part(zeros, nan, infinite)
        low, high = _ends(values)
    if low <= 0 <= high:
        zeros = int(np.count_nonzero(np.equal(values, 0, out=room.marks[: len(values)])))
    if values.dtype.kind in "iu":
        sums = integer_sums(values, int(low), int(high), doubles=room.doubles, ones=room.ones)
        return _Part(zeros, nan, infinite, low, high, sums=sums)
    return _Part(zeros, nan, infinite, low, high, _moments(values, room, largest=max(abs(low), abs(high))))


def _ends(values: NDArray[Any]) -> tuple[float, float]:
    """The smallest and the largest of `values`; both NaN where one of them is."""
    import numpy as np

    return np.minimum.reduce(values).item(), np.maximum.reduce(values).item()


def _reals(values: NDArray[Any]) -> NDArray[Any]:
    """`values` as real numbers of a type that NumPy is fast with."""
    import numpy as np

    if values.dtype.kind == "c":
        return _magnitudes(values.astype(np.complex128, copy=False))
    if values.dtype.kind == "b":
        return values.view(np.uint8)
    return _singles(values) if values.dtype == np.float16 else values


def _magnitudes(values: NDArray[np.complex128]) -> NDArray[np.float64]:
    """|z|; infinite only where a part is: what float64 does not hold of two finite ones is the largest that it does."""
    import numpy as np

    magnitudes: NDArray[np.float64] = np.abs(values)
    beyond = np.isinf(magnitudes)
    if beyond.any():
        magnitudes[beyond & np.isfinite(values)] = np.finfo(np.float64).max
    return magnitudes


def _singles(halves: NDArray[np.float16]) -> NDArray[np.float32]:
    """`halves` as float32: their bits in its places are 2^-112 times as large, since its bias is larger by 112.

    NumPy takes eight times as long; it is asked where the highest exponent says that some are not finite.
    """
    import numpy as np

    bits = halves.view(np.int16)
    if np.bitwise_and(bits, 0x7C00).max() == 0x7C00:
        return halves.astype(np.float32)
    moved = bits.astype(np.int32)  # the sign fills the upper half
    moved <<= 13
    moved &= ~0x70000000
    singles = moved.view(np.float32)
    singles *= np.float32(2.0**112)
    return singles


def _moments(values: NDArray[Any], room: _Room, *, largest: float) -> tuple[float, ...]:
    """The moments of finite `values`, as `_Part` has them."""
    import numpy as np

    doubles = room.doubles[: len(values)]
    exponent = math.frexp(largest)[1]
    if abs(exponent) > _SAFE_EXPONENT:
        np.ldexp(values, -exponent, out=doubles)
    else:
        exponent = 0
        np.copyto(doubles, values)
    count, rest = len(doubles), 0.0
    mean, square = _means(doubles, room.ones)
    variance = square - mean * mean
    if variance < square / 16:  # the difference has lost a digit: centre the values, and what is left is small
        doubles -= mean
        rest, square = _means(doubles, room.ones)
        variance = square - rest * rest
    return count, *(math.ldexp(moment, exponent) for moment in (mean, rest, math.sqrt(max(variance, 0.0))))


def _means(values: NDArray[np.float64], ones: NDArray[np.float64]) -> tuple[float, float]:
    """The means of `values` and of their squares."""
    sums = (dot(values, others, ones) for others in (None, values))
    total, squares = (float(rows.sum()) + tail for rows, tail in sums)
    return total / len(values), squares / len(values)


def _merged(moments: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and standard deviation of all numbers from the moments of their parts, ``(4, P)``."""
    import numpy as np

    exponent = int(np.frexp(np.abs(moments[1:]).max())[1])
    weight = moments[0] / moments[0].sum()
    mean, rest, std = np.ldexp(moments[1:], -exponent)
    centre = math.fsum(weight * mean)  # exact, so that it does not matter which thread was first
    offset = (mean - centre) + rest
    shift = math.fsum(weight * offset)
    variance = math.fsum(weight * (std**2 + (offset - shift) ** 2))
    return math.ldexp(centre + shift, exponent), math.ldexp(math.sqrt(variance), exponent)
