"""What a pickle stream builds, as `convtool.arrays.torch.pickles` shows it: values that do nothing.

They are neither compared nor spelled by what they hold, which a stream could nest without end.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True, eq=False, repr=False)
class Global:
    """A name that the stream would import: ``module.name``."""

    name: str


@dataclass(slots=True, eq=False, repr=False)
class Call:
    """A call, or the making of an object, that was not done."""

    function: Any
    arguments: Any
    parts: list[Any] = field(default_factory=list)
    """What would have been put into the object: its state and items, in order."""


@dataclass(slots=True, eq=False, repr=False)
class Persistent:
    """A reference to something outside the stream, such as the storage of a tensor."""

    identity: Any


@dataclass(slots=True, eq=False, repr=False)
class Blob:
    """Text or bytes too long to keep: where they lie in the file."""

    start: int
    size: int


class Pairs(list[tuple[Any, Any]]):
    """A dict as its (key, value) pairs; repeated keys repeat."""

    __slots__ = ()
