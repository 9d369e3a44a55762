"""Which tensors of two frameworks' files are the same: by their names in torch's layout, by the modules that an ONNX
export tells, by batch norms that one of them has folded, and by their values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from convtool.jobs.inspection.diff import differences
from convtool.jobs.inspection.folding import fold
from convtool.jobs.inspection.listing import Listed, Listing
from convtool.jobs.inspection.needless import left_out
from convtool.jobs.inspection.sides import NEAR, Pair, Side, apart_of, in_second, without_prefix
from convtool.weights.conversion.file import NORM_WORDS, convert
from convtool.weights.kinds import RECURRENT


def match(first: Listing, second: Listing, *, strip_prefix: str = "") -> tuple[list[Pair], list[str]]:
    """The tensors of two files of different frameworks side by side, in the order of the first; and what is said of it.

    `strip_prefix` is left out of the names that begin with it, in both files.

    Raises:
        InputError: values can't be read that are needed to tell.
    """
    first, second = _as_stored(first, second, strip_prefix)
    summed = "keras" in (first.layout, second.layout)
    ours = Side.of(first, summed=summed)
    with in_second():
        theirs = Side.of(second, summed=summed)
        names_there = without_prefix(theirs.tensors, strip_prefix)
    found = list(_called_alike(without_prefix(ours.tensors, strip_prefix), names_there))
    _take(ours, theirs, found)
    modules = (_by_module(side, strip_prefix) for side in (ours, theirs))
    by_module = [pair for pair in _called_alike(*modules) if _alike(*pair)]
    _take(ours, theirs, by_module)
    found += by_module
    pairs = {one.name: Pair(one.name, one, other) for one, other in found}
    notes: list[str] = []
    for folded in fold(ours, theirs, {one.name: other for one, other in found}, notes):
        pairs[folded.name] = folded
    for name, theirs_folded, one in fold(theirs, ours, {other.name: one for one, other in found}, notes):
        name = one.name if one is not None else name
        pairs[name] = Pair(name, one, theirs_folded)
    by_values = list(_by_values(ours, theirs))
    _take(ours, theirs, by_values)
    pairs |= {one.name: Pair(one.name, one, other) for one, other in by_values}
    for side in (ours, theirs):
        notes += left_out(side)
    in_order = [pairs.pop(each.name) for each in ours.tensors if each.name in pairs]
    alone = [Pair(each.name, each, None) for each in ours.left.values()]
    alone += [Pair(each.name, None, each) for each in theirs.left.values()]
    return [*in_order, *pairs.values(), *alone], notes


def _as_stored(first: Listing, second: Listing, strip_prefix: str) -> tuple[Listing, Listing]:
    """The two files with no layout for the tensors that are the same as they are stored, so that nothing converts them.

    A matrix that a model multiplies by itself, ``x @ self.mel``, is stored alike by both: as the weight of a layer,
    which the graph makes it seem, it would be transposed in one of them.
    """
    ours, theirs = ({each.name.removeprefix(strip_prefix): each for each in file.tensors} for file in (first, second))
    changed, there = (_as_converted(file, strip_prefix) for file in (first, second))
    same = [
        (ours[name], other)
        for name, other in theirs.items()
        if name in ours and _is_as_stored(ours[name], other, changed[ours[name].name], there[other.name])
    ]
    kept = {id(each) for pair in same for each in pair}
    first, second = (
        replace(file, tensors=[_without_layout(each) if id(each) in kept else each for each in file.tensors])
        for file in (first, second)
    )
    return first, second


class _Change(NamedTuple):
    """What a conversion makes of a tensor."""

    name: str
    shape: tuple[int, ...]
    order: tuple[int, ...] | None
    """That of its axes; None where it does more than that."""


def _as_converted(listing: Listing, strip_prefix: str) -> dict[str, _Change]:
    """What the conversion to torch's layout makes of each tensor, by the name that it has in the file."""
    return {
        source.name: _Change(each.described.tensor.name.removeprefix(strip_prefix), each.array.shape, each.array.order)
        for each in convert([each.described for each in listing.tensors], to="torch")
        for source in each.array.sources
    }


def _is_as_stored(one: Listed, other: Listed, change: _Change, there: _Change) -> bool:
    """Whether two tensors of one name are the same before any conversion, rather than after it."""
    kinds = {one.described.kind, other.described.kind}
    if change == there or kinds & RECURRENT.keys():
        return False
    of_graph = any("node" in each.tensor.config for each in (one, other))
    unmoved = change.order == there.order or ("tensor" in kinds and of_graph)
    if one.tensor.shape != other.tensor.shape:
        return unmoved and change.shape != there.shape
    return unmoved or next(differences([Pair(one.name, one, other)], ignore_dtype=True), None) is None


def _without_layout(listed: Listed) -> Listed:
    axes = tuple(map(str, range(len(listed.tensor.shape))))
    described = replace(listed.described, kind="tensor", role="", layout="", axes=axes, prefix=listed.name)
    return replace(listed, described=described)


def _called_alike(ours: Mapping[str, Listed], theirs: Mapping[str, Listed]) -> Iterator[tuple[Listed, Listed]]:
    """Those that have one name in both files."""
    return ((one, theirs[name]) for name, one in ours.items() if name in theirs)


def _take(ours: Side, theirs: Side, pairs: Sequence[tuple[Listed, Listed]]) -> None:
    ours.take(*(one for one, _ in pairs))
    theirs.take(*(other for _, other in pairs))


def _alike(one: Listed, other: Listed) -> bool:
    return (one.tensor.shape, one.described.kind) == (other.tensor.shape, other.described.kind)


def _by_module(side: Side, strip_prefix: str) -> dict[str, Listed]:
    """What has no counterpart yet, by the name that it has in the module that it comes from, where that is told.

    A name that several have says nothing of any of them.
    """
    names = [(name.removeprefix(strip_prefix), each) for name, each in _names_by_module(side)]
    times = Counter(name for name, _ in names)
    return {name: each for name, each in names if times[name] == 1}


def _names_by_module(side: Side) -> Iterator[tuple[str, Listed]]:
    levels: dict[str, dict[str, int]] = {}
    for each in side.left.values():
        described, config = each.described, each.tensor.config
        node = str(config.get("node", ""))
        module = config["module"] if "module" in config else _module_of(node)
        name, prefix = each.name, f"{module}." if module else ""
        if module is None:
            pass
        elif described.kind in RECURRENT:
            nodes = levels.setdefault(module, {})
            level = nodes.setdefault(node, len(nodes))
            name = prefix + name.rpartition(".")[2].replace("_l0", f"_l{level}")
        elif each.tensor.layer == "PRelu":
            name = f"{prefix}weight"
        elif described.role:
            words = NORM_WORDS["torch"] if described.kind == "norm" else {}
            name = prefix + words.get(described.role, described.role)
        yield name, each


def _module_of(node: str) -> str | None:
    """The module in the name of a node as torch's older exporter makes it, ``/blocks.0/net/net.0/Conv``.

    It is empty for the model itself, whose nodes are at the root, ``/Conv``; None where the name does not tell.
    """
    if not node.startswith("/"):
        return None
    *parts, _ = node[1:].split("/")
    kept = [part for part, inner in zip(parts, [*parts, ""][1:], strict=True) if not inner.startswith(f"{part}.")]
    return ".".join(kept)


# What is told by its values


def _by_values(ours: Side, theirs: Side) -> Iterator[tuple[Listed, Listed]]:
    """Those without a counterpart that have one shape and nearly the same values, the nearest first."""
    samples = [
        [
            (each, side.sample(each))
            for each in side.left.values()
            if each.tensor.readable and each.tensor.parameters > 1
        ]
        for side in (ours, theirs)
    ]
    found = [
        (apart, one, other)
        for one, values in samples[0]
        for other, others in samples[1]
        if one.tensor.shape == other.tensor.shape and (apart := apart_of(values, others)) <= NEAR
    ]
    taken: set[int] = set()
    for _, one, other in sorted(found, key=lambda each: each[0]):
        if not {id(one), id(other)} & taken:
            taken |= {id(one), id(other)}
            yield one, other
