"""Where in a checkpoint the tensors are, and what they are called there.

A checkpoint is a dict of tensors, often among other things in further dicts, or a pickled module. It is looked at
without recursion, each container once: streams may nest without end, refer to themselves, and share what they hold
more often than anyone could count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from convtool.arrays.torch.pickle_values import Call, Global, Pairs, Persistent
from convtool.arrays.torch.tensors import describe
from convtool.arrays.torch.views import Finder, Malformed, View
from convtool.errors import InputError

TENSORS_LIMIT = 1 << 16
"""Tensors that a checkpoint may show, as many as an archive may have members."""

_NAMES_LIMIT = 16 << 20
"""Characters that their names may have together."""

_DEPTH_LIMIT = 256
_ENTRIES_LIMIT = 256
_SHARED_LIMIT = 64
_TEXT_LIMIT = 200
_PARTS = 8
_GROUPS = ("_parameters", "_buffers", "_modules")
"""What torch's modules keep their tensors and each other in; no part of a tensor's name."""

_COPIES = "_flat_weights"
"""Where recurrent modules have the same tensors in a row."""

Path = tuple[str, ...]


@dataclass(frozen=True)
class Layer:
    """The module that owns a tensor."""

    kind: str = ""
    """Its class, without the package."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """What it says of itself in numbers and words: ``groups``, ``stride``..."""


_NO_LAYER = Layer()


@dataclass(frozen=True)
class Found:
    """A tensor, or where there is a damaged one."""

    path: Path
    """The keys that lead to it. What leads on from a module is one key: the name that torch has for it there."""
    view: View
    layer: Layer


@dataclass
class Tree:
    """What there is in a checkpoint."""

    found: list[Found] = field(default_factory=list)
    entries: list[tuple[Path, str]] = field(default_factory=list)
    """Numbers and words beside the tensors, the first of them..."""
    more_entries: int = 0
    """...and how many more there are."""
    shared: list[tuple[Path, Path]] = field(default_factory=list)
    """Places with the same content as one seen before, and that one; its tensors are found there alone."""
    too_deep: bool = False
    """Whether something is nested too deeply to be looked at."""


def look(value: Any, find: Finder) -> Tree:
    """The tensors in `value`, in the order of the stream, and what is beside them.

    Args:
        value: what a stream builds.
        find: the storage that a value of it refers to.

    Raises:
        InputError: there are more than `TENSORS_LIMIT`, or their names are too long.
    """
    walk = _Walk(find)
    waiting: list[Iterator[_Item]] = [iter([_Item(_Place(), value)])]
    while waiting:
        item = next(waiting[-1], None)
        if item is None:
            waiting.pop()
        elif len(waiting) > _DEPTH_LIMIT:
            walk.tree.too_deep = True
        else:
            waiting.append(walk.visit(item))
    return walk.tree


class _Place:
    """Where a value is: its key, and where the container is. Only the places of tensors are ever spelled out."""

    __slots__ = ("_joined", "_key", "_parent")

    def __init__(self, parent: _Place | None = None, key: str = "", *, joined: bool = False) -> None:
        self._parent = parent
        self._key = key
        self._joined = joined

    def path(self) -> Path:
        keys: list[str] = []
        parts: list[str] = []
        place = self
        while place._parent is not None:
            parts.append(place._key)
            if not place._joined:
                keys.append(".".join(reversed(parts)))
                parts = []
            place = place._parent
        return tuple(reversed(keys))


class _Item(NamedTuple):
    place: _Place
    value: Any
    joined: bool = False
    """Whether the keys in it are joined to its own."""
    inside: bool = False
    """Whether it is part of an object."""
    layer: Layer = _NO_LAYER
    """Whose tensor it is, if it is one."""
    grouping: bool = False
    """Whether what is in it belongs to the layer too."""


class _Walk:
    def __init__(self, find: Finder) -> None:
        self.tree = Tree()
        self._find = find
        self._seen: set[int] = set()
        self._with_tensors: dict[int, _Place] = {}
        self._names_left = _NAMES_LIMIT

    def visit(self, item: _Item) -> Iterator[_Item]:
        """Take `item` in; what it gives is in it and comes next."""
        value = item.value
        if not isinstance(value, list | tuple | Call):
            self._take_entry(item)
        elif id(value) in self._seen:
            self._take_repeated(item)
        elif not self._is_tensor(item):
            self._seen.add(id(value))
            before = len(self.tree.found)
            yield from _of_object(item, value) if isinstance(value, Call) else _of_container(item)
            if len(self.tree.found) > before:
                self._with_tensors[id(value)] = item.place

    def _is_tensor(self, item: _Item) -> bool:
        if not isinstance(item.value, Call):
            return False
        try:
            view = describe(item.value, self._find)
        except Malformed as error:
            view = View(dtype="unknown", shape=(), nbytes=0, flag=str(error) or "its description is damaged")
        if view is None:
            return False
        path = item.place.path()
        self._names_left -= sum(map(len, path))
        if len(self.tree.found) == TENSORS_LIMIT:
            raise InputError(f"there are more than {TENSORS_LIMIT} tensors, the limit")
        if self._names_left < 0:
            raise InputError(f"the tensors have names of more than {_NAMES_LIMIT} characters, the limit")
        self.tree.found.append(Found(path, view, item.layer))
        return True

    def _take_repeated(self, item: _Item) -> None:
        first = self._with_tensors.get(id(item.value))
        if first is not None and len(self.tree.shared) < _SHARED_LIMIT:
            self.tree.shared.append((item.place.path(), first.path()))

    def _take_entry(self, item: _Item) -> None:
        if item.inside or not isinstance(item.value, str | int | float):
            return
        if len(self.tree.entries) >= _ENTRIES_LIMIT:
            self.tree.more_entries += 1
        else:
            path = tuple(key[:_TEXT_LIMIT] for key in item.place.path())
            self.tree.entries.append((path, str(item.value)[:_TEXT_LIMIT]))


def _of_container(item: _Item) -> Iterator[_Item]:
    """What is in a dict, list or tuple; in the latter two, no numbers and words: there are often many."""
    layer = item.layer if item.grouping else _NO_LAYER
    if isinstance(item.value, Pairs):
        pairs = iter(item.value)
    else:
        pairs = ((index, value) for index, value in enumerate(item.value) if isinstance(value, list | tuple | Call))
    for index, (key, value) in enumerate(pairs):
        if item.grouping and isinstance(key, str) and key in _GROUPS:
            yield item._replace(value=value)
        elif not item.grouping or key != _COPIES:
            place = _Place(item.place, _text(key, index), joined=item.joined)
            yield _Item(place, value, joined=item.inside, inside=item.inside, layer=layer)


def _of_object(item: _Item, call: Call) -> Iterator[_Item]:
    """What an object would be made from: in its parts the keys are its own, without those that only group."""
    layer = _layer(call) if call.parts else _NO_LAYER
    for part in (call.function, call.arguments, *call.parts):
        # The state of an object with __slots__ is a tuple: its __dict__, and they.
        for state in part if isinstance(part, tuple) and part is not call.arguments and len(part) == 2 else (part,):
            if isinstance(state, Call) or (isinstance(state, list | tuple) and state):
                yield _Item(item.place, state, item.joined, inside=True, layer=layer, grouping=True)


def _layer(call: Call) -> Layer:
    """The class of an object, and what its state says in numbers and words."""
    function = call.function
    if isinstance(function, Persistent):  # old files keep the source of a class beside its name
        function = next(iter(function.identity[1:2]), None) if isinstance(function.identity, tuple) else None
    if not isinstance(function, Global):
        return _NO_LAYER
    config: dict[str, Any] = {}
    for part in call.parts[:_PARTS]:
        for key, value in part[:_ENTRIES_LIMIT] if isinstance(part, Pairs) else ():
            if isinstance(key, str) and not key.startswith("_") and key != "training" and _is_setting(value):
                config[key] = value
    return Layer(function.name.rpartition(".")[2], config)


def _is_setting(value: Any) -> bool:
    if isinstance(value, tuple):
        return len(value) <= _PARTS and all(isinstance(number, int) for number in value)
    return isinstance(value, bool | int | float) or (isinstance(value, str) and len(value) <= _TEXT_LIMIT)


def _text(key: Any, index: int) -> str:
    """A key as a name spells it; one that is no text, number or truth value is told by its position."""
    if isinstance(key, str):
        return key
    return str(key) if isinstance(key, int | float) else f"[{index}]"
