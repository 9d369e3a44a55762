"""What a pickle stream builds, as `convtool.arrays.torch.pickles` shows it: values that do nothing."""

from __future__ import annotations

from typing import Any


class Global:
    """A name that the stream would import: ``module.name``."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class Call:
    """A call, or the making of an object, that was not done."""

    __slots__ = ("arguments", "function", "parts")

    def __init__(self, function: Any, arguments: Any) -> None:
        self.function = function
        self.arguments = arguments
        self.parts: list[Any] = []
        """What would have been put into the object: its state and items, in order."""


class Persistent:
    """A reference to something outside the stream, such as the storage of a tensor."""

    __slots__ = ("identity",)

    def __init__(self, identity: Any) -> None:
        self.identity = identity


class Blob:
    """Text or bytes too long to keep: where they lie in the file."""

    __slots__ = ("size", "start")

    def __init__(self, start: int, size: int) -> None:
        self.start = start
        self.size = size


class Pairs(list[tuple[Any, Any]]):
    """A dict as its (key, value) pairs; repeated keys repeat."""

    __slots__ = ()
