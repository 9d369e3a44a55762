"""What a person should know of a checkpoint beside its tensors, each in a line."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from convtool.arrays.description import some
from convtool.arrays.torch.tensors import is_known
from convtool.arrays.torch.tree import Path, Tree
from convtool.arrays.torch.views import View

_SHOWN = 16
_MODULES = ("torch.nn.modules.", "__torch__.")
_STANDARD = sys.stdlib_module_names | {"__builtin__", "commands"}


def called(names: Mapping[str, bool]) -> list[str]:
    """What would be called, of `names` as `of_names` takes them, beyond the rebuilding of tensors."""
    return [name for name in _foreign(names) if names[name]]


def _foreign(names: Mapping[str, bool]) -> list[str]:
    """What is no part of rebuilding tensors; the standard library's first."""
    foreign = (name for name in names if not is_known(name))
    return sorted(foreign, key=lambda name: name.partition(".")[0] not in _STANDARD)


def of_names(names: Mapping[str, bool]) -> Iterator[str]:
    """What a stream wants to import and call beyond what tensors need, the standard library's first.

    Args:
        names: each name, and whether it would be called.
    """
    wanted = called(names)
    modules = [name for name in wanted if name.startswith(_MODULES)]
    others = [name for name in wanted if not name.startswith(_MODULES)]
    yield from (f"it wants to call {name!r:.200}; it was not called" for name in others[:_SHOWN])
    if len(others) > _SHOWN:
        yield f"it wants to call {len(others) - _SHOWN} more names; they were not called"
    if modules:
        yield f"it is a pickled module and wants to make {some(modules)}; none was made"
    named = [name for name in _foreign(names) if not names[name]]
    if named:
        yield f"it wants to import {some(named)}; nothing was imported"


def of_numbers(numbered: Sequence[str]) -> Iterator[str]:
    """The names that have a number to tell them from others of the same keys."""
    if numbered:
        yield f"keys that others have too, told apart by a number: {some(numbered)}"


def of_tree(tree: Tree, *, entries_shown: int) -> Iterator[str]:
    """What is in it and not in the listing."""
    more = tree.more_entries + max(0, len(tree.entries) - entries_shown)
    if more:
        yield f"{more} more entries are no tensors"
    if tree.too_deep:
        yield "something is nested too deeply to be looked at"
    for place, first in islice(tree.shared, _SHOWN):
        yield f"{_spelled(place)} is the same as {_spelled(first)} and listed there alone"


def of_overlaps(views: Mapping[str, View]) -> Iterator[str]:
    """Tensors that are not tied, but look at the same stretch of a storage."""
    stretches: dict[str, list[tuple[int, int, str]]] = {}
    for name, view in views.items():
        if view.storage is not None and view.extent:
            start, end = view.stretch
            stretches.setdefault(view.storage.key, []).append((start, end, name))
    across: set[str] = set()
    for inside in stretches.values():
        inside.sort()
        reach, last = 0, ""
        for start, end, name in inside:
            if start < reach:
                across |= {last, name}
            if end > reach:
                reach, last = end, name
    if across:
        crossing = some(name for name in views if name in across)
        yield f"{crossing} lie across each other in a storage and may share numbers"


def _spelled(path: Path) -> str:
    return f"{'.'.join(path)!r:.200}"
