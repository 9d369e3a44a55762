"""Arrays made from a file's tensors: their shapes known from headers, their values worked out when asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from convtool.arrays.description import TensorInfo, WeightFile
from convtool.weights.layouts import Described

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Deferred:
    """An array of that shape, the tensors that it is made from, and what computes it from a file that has them."""

    shape: tuple[int, ...]
    sources: tuple[TensorInfo, ...]
    values: Callable[[WeightFile], NDArray[Any]]
    order: tuple[int, ...] | None = None
    """The axes of its only source in the order that it has them, where that is all that was done."""
    is_sum: bool = False
    """Whether it is the sum of two that the file has, which can't be told apart again."""

    def transpose(self, order: Sequence[int]) -> Deferred:
        """Its axes in that order, as `numpy.transpose`."""
        made = self._then([self.shape[axis] for axis in order], lambda array: array.transpose(order))
        return made if self.order is None else replace(made, order=tuple(self.order[axis] for axis in order))

    def reshape(self, shape: Sequence[int]) -> Deferred:
        """The same numbers in C order, in another shape."""
        return self._then(shape, lambda array: array.reshape(shape))

    def item(self, index: int) -> Deferred:
        """What is at `index` of the first axis."""
        return self._then(self.shape[1:], lambda array: array[index])

    def columns(self, start: int, stop: int) -> Deferred:
        """The columns of a matrix from `start` to before `stop`, both within it."""
        return self._then([self.shape[0], stop - start], lambda array: array[:, start:stop])

    def blocks(self, order: Sequence[int]) -> Deferred:
        """Its first axis cut into equal blocks, put in that order."""
        cut = (len(order), self.shape[0] // len(order), *self.shape[1:])
        return self._then(self.shape, lambda array: array.reshape(cut)[list(order)].reshape(self.shape))

    def zeros(self) -> Deferred:
        """As many zeros of its dtype; no tensor of the file is their source."""

        def values(file: WeightFile) -> NDArray[Any]:
            import numpy as np

            return np.zeros_like(self.values(file))

        return Deferred(self.shape, (), values)

    def _then(self, shape: Sequence[int], change: Callable[[NDArray[Any]], NDArray[Any]]) -> Deferred:
        return Deferred(tuple(shape), self.sources, lambda file: change(self.values(file)))


@dataclass(frozen=True)
class Converted:
    """A tensor in its new layout: what it is, from headers alone, and the array that it is made as.

    Where it can't be converted, `described.tensor.flag` says why, and the array's values are refused.
    """

    described: Described
    array: Deferred


def of_tensor(tensor: TensorInfo) -> Deferred:
    """A tensor as its file has it."""
    return Deferred(tensor.shape, (tensor,), lambda file: file.values(tensor), tuple(range(len(tensor.shape))))


def concatenate(parts: Sequence[Deferred]) -> Deferred:
    """`parts` joined along the first axis."""

    def values(file: WeightFile) -> NDArray[Any]:
        import numpy as np

        return np.concatenate([part.values(file) for part in parts])

    return Deferred((sum(part.shape[0] for part in parts), *parts[0].shape[1:]), _sources(*parts), values)


def stack(parts: Sequence[Deferred]) -> Deferred:
    """`parts` of one shape along a new first axis."""
    return concatenate([part.reshape((1, *part.shape)) for part in parts])


def add(first: Deferred, second: Deferred) -> Deferred:
    """The sum of two of one shape."""
    return Deferred(
        first.shape,
        _sources(first, second),
        lambda file: first.values(file) + second.values(file),
        is_sum=bool(first.sources and second.sources),
    )


def _sources(*parts: Deferred) -> tuple[TensorInfo, ...]:
    """Each tensor once, in order."""
    return tuple({source.name: source for part in parts for source in part.sources}.values())
