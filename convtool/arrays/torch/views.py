"""Storages of torch checkpoints, and how tensors look at them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from convtool.arrays.torch.dtypes import ITEM_BYTES, STORAGES
from convtool.arrays.torch.pickle_values import Global, Persistent

_FEW = 16
_SIZE_LIMIT = 1 << 62


class Malformed(Exception):
    """A description that torch would not have written; the message, where there is one, says what it is instead."""


@dataclass(frozen=True)
class Storage:
    """A stretch of numbers that tensors look at. All sizes are in bytes."""

    key: str
    dtype: str
    """What the file has in it; ``uint8`` where that is left to the tensors."""
    nbytes: int
    """What the file must have under that key."""
    start: int
    size: int
    """Which part of it tensors may look at: in old files one storage can be part of another."""


@dataclass(frozen=True)
class Quantiser:
    """What turns the integers of a tensor into its numbers: ``(integer - zero_point) * scale``."""

    scale: float | View
    zero_point: int | View
    """One for all numbers; or tensors, of one for each index of `axis`."""
    axis: int = 0

    @property
    def tensors(self) -> tuple[View, ...]:
        """Those of the two that are tensors."""
        return tuple(part for part in (self.scale, self.zero_point) if isinstance(part, View))

    def __str__(self) -> str:
        if self.tensors:
            return f"quantised: a scale and a zero point for each index of axis {self.axis}"
        return f"quantised: scale {self.scale:.6g}, zero point {self.zero_point}"


@dataclass(frozen=True)
class View:
    """A tensor: which numbers of which storage, in which order."""

    dtype: str
    shape: tuple[int, ...]
    nbytes: int
    """Bytes that its values take."""
    strides: tuple[int, ...] = ()
    """Items from one index of an axis to the next."""
    offset: int = 0
    """Items before its first one."""
    storage: Storage | None = None
    """None where the file has not its values as they are."""
    conjugate: bool = False
    negative: bool = False
    flag: str = ""
    """Why its values can't be read, or nothing."""
    quantiser: Quantiser | None = None

    @property
    def extent(self) -> int:
        """Items from the first that it looks at to the last."""
        if 0 in self.shape:
            return 0
        return 1 + sum((size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True))

    @property
    def stretch(self) -> tuple[int, int]:
        """Where in the storage of that key its first byte is, and where its last one ends."""
        item = ITEM_BYTES[self.dtype]
        start = (self.storage.start if self.storage else 0) + self.offset * item
        return start, start + self.extent * item

    @property
    def identity(self) -> str:
        """The same for all tensors of the same values; text, since a file could choose numbers that hash alike."""
        axes = [(size, stride) for size, stride in zip(self.shape, self.strides, strict=True) if size != 1]
        key = self.storage and self.storage.key
        return repr((key, self.stretch, self.dtype, self.shape, axes, self.conjugate, self.negative, self.quantiser))

    @property
    def in_order(self) -> bool:
        """Whether its items lie one behind the other, in C order."""
        step = 1
        for size, stride in zip(reversed(self.shape), reversed(self.strides), strict=True):
            if size != 1 and stride != step:
                return 0 in self.shape
            step *= size
        return True


Finder = Callable[[Any], Storage]
"""Gives the storage that a value of a stream refers to; raises `Malformed` where it does not."""


def storage(held: Any) -> Storage:
    """The storage that `held` refers to.

    Raises:
        Malformed: it is no reference to a storage.
    """
    if not isinstance(held, Persistent):
        raise Malformed
    match few(held.identity):
        case ("storage", Global(name=name), str() | int() as key, _, count, *rest):
            dtype = STORAGES.get(name.rpartition(".")[2], "")
        case _:
            raise Malformed
    if not dtype or len(rest) > 1:
        raise Malformed
    nbytes = size_in(count) * ITEM_BYTES[dtype]
    match rest:
        case [(_, start, part)]:
            start, size = size_in(start) * ITEM_BYTES[dtype], size_in(part) * ITEM_BYTES[dtype]
        case _:
            start, size = 0, nbytes
    if start + size > nbytes:
        raise Malformed
    return Storage(str(key), dtype, nbytes, start, size)


def storages(identities: Iterable[Any]) -> Iterator[Storage]:
    """Those that the identities of `Persistent` references refer to; of other references, none."""
    for identity in identities:
        with suppress(Malformed):
            yield storage(Persistent(identity))


def few(values: Any) -> tuple[Any, ...]:
    """`values`, if they are a few in a tuple: a stream can refer to a long one again and again."""
    if not isinstance(values, tuple) or len(values) > _FEW:
        raise Malformed
    return values


def size_in(value: Any) -> int:
    """`value`, if it can be a size, a stride or an offset."""
    if type(value) is not int or not 0 <= value < _SIZE_LIMIT:
        raise Malformed
    return value
