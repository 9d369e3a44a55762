"""Which tensors of two frameworks' files are the same: by their names in torch's layout, by the modules that an ONNX
export tells, and by their values; and batch norms that one file has folded into the layer before.

With the gain g, the bias b, the mean m and the variance v of a norm, behind a layer of the weight W and the bias c,

    norm(W x + c) = g (W x + c - m) / sqrt(v + e) + b = (s W) x + (s (c - m) + b)    with s = g / sqrt(v + e)

so that a layer of the weight s W and the bias s (c - m) + b does the work of both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from convtool.arrays.description import TensorInfo, WeightFile, some
from convtool.errors import InputError
from convtool.jobs.inspection.listing import Listed, Listing
from convtool.weights.conversion.file import NORM_WORDS, ConvertedFile
from convtool.weights.kinds import RECURRENT

_NEAR = 0.01
"""How far apart, relative to the first, two tensors are that are taken for the same."""
_SAMPLES = 4096
"""Numbers of each tensor that are looked at to find the one that it is."""
_EPSILONS = (1e-5, 1e-3, 1e-6, 1e-4)
"""What norms add to their variance, the usual first: after folding no file tells it."""
Values = NDArray[Any]


class Pair(NamedTuple):
    """A tensor of the first file and that of the second which it is compared with; one may be missing."""

    name: str
    one: Listed | None
    other: Listed | None


class _Folded(WeightFile):
    """One tensor that is worked out from others."""

    layout = "torch"

    def __init__(self, tensor: TensorInfo, values: Values) -> None:
        self.tensors = (tensor,)
        self._values = values

    def pieces(self, tensor: TensorInfo) -> Iterator[Values]:
        yield self._values.reshape(-1)


@dataclass
class _Side:
    """One of the files in torch's layout, and the tensors of it that have no counterpart yet."""

    tensors: list[Listed]
    left: dict[str, Listed]

    @classmethod
    def of(cls, listing: Listing, *, summed: bool) -> _Side:
        """`listing` in torch's layout; where its recurrent biases are `summed`, as Keras has them."""
        described, file = [each.described for each in listing.tensors], listing.file
        for layout in ("keras", "torch") if summed else ("torch",):
            file = made = ConvertedFile(file, described, to=layout)
            described = made.described
        tensors = [Listed(each, file) for each in described if not each.tensor.is_text]
        left: dict[str, Listed] = {}
        for each in tensors:
            if left.setdefault(each.name, each) is not each:
                raise InputError(f"two of its tensors are called {each.name!r} in torch's layout")
        return cls(tensors, left)

    def take(self, *taken: Listed) -> None:
        """`taken` have a counterpart, or need none."""
        for each in taken:
            self.left.pop(each.name, None)

    def norms(self) -> Iterator[tuple[str, Mapping[str, Listed]]]:
        """The whole batch norms that have no counterpart: the prefix of each, and its tensors by their roles."""
        found: dict[str, dict[str, Listed]] = {}
        for each in self.left.values():
            if each.described.kind == "norm":
                found.setdefault(each.described.prefix, {})[each.described.role] = each
        for prefix, roles in found.items():
            shapes = {each.tensor.shape for role, each in roles.items() if role != "count"}
            if roles.keys() >= {"mean", "var"} and len(shapes) == 1:
                yield prefix, roles

    def before(self, norm: Listed) -> list[Listed]:
        """The weights that may be of the layer before `norm`, the nearest first."""
        places = {each.name: place for place, each in enumerate(self.tensors)}
        fitting = [
            each
            for each in self.tensors
            if each.described.role == "weight" and _outputs(each) == norm.tensor.shape[0] and each.tensor.readable
        ]
        behind = {each.name: places[norm.name] - places[each.name] for each in fitting}
        return sorted(fitting, key=lambda each: (behind[each.name] < 0, abs(behind[each.name])))


def match(first: Listing, second: Listing, *, strip_prefix: str = "") -> tuple[list[Pair], list[str]]:
    """The tensors of two files of different frameworks side by side, in the order of the first; and what is said of it.

    `strip_prefix` is left out of the names that begin with it, in both files.

    Raises:
        InputError: values can't be read that are needed to tell.
    """
    summed = "keras" in (first.file.layout, second.file.layout)
    ours, theirs = (_Side.of(each, summed=summed and each.file.layout != "keras") for each in (first, second))
    found = list(_called_alike(ours, theirs, _names, strip_prefix))
    _take(ours, theirs, found)
    by_module = [pair for pair in _called_alike(ours, theirs, _names_by_module, strip_prefix) if _alike(*pair)]
    _take(ours, theirs, by_module)
    found += by_module
    pairs = {one.name: Pair(one.name, one, other) for one, other in found}
    notes: list[str] = []
    for folded in _fold(ours, theirs, {one.name: other for one, other in found}, notes):
        pairs[folded.name] = folded
    for name, theirs_folded, one in _fold(theirs, ours, {other.name: one for one, other in found}, notes):
        name = one.name if one is not None else name
        pairs[name] = Pair(name, one, theirs_folded)
    by_values = list(_by_values(ours, theirs))
    _take(ours, theirs, by_values)
    pairs |= {one.name: Pair(one.name, one, other) for one, other in by_values}
    for side in (ours, theirs):
        notes += _left_out(side)
    in_order = [pairs.pop(each.name) for each in ours.tensors if each.name in pairs]
    alone = [Pair(each.name, each, None) for each in ours.left.values()]
    alone += [Pair(each.name, None, each) for each in theirs.left.values()]
    return [*in_order, *pairs.values(), *alone], notes


def _called_alike(
    ours: _Side, theirs: _Side, names: Callable[[_Side], Iterator[tuple[str, Listed]]], strip_prefix: str
) -> Iterator[tuple[Listed, Listed]]:
    """Those without a counterpart that have one name in both files."""
    there = {name.removeprefix(strip_prefix): each for name, each in names(theirs)}
    for name, one in {name.removeprefix(strip_prefix): each for name, each in names(ours)}.items():
        if name in there:
            yield one, there[name]


def _take(ours: _Side, theirs: _Side, pairs: Sequence[tuple[Listed, Listed]]) -> None:
    ours.take(*(one for one, _ in pairs))
    theirs.take(*(other for _, other in pairs))


def _alike(one: Listed, other: Listed) -> bool:
    return (one.tensor.shape, one.described.kind) == (other.tensor.shape, other.described.kind)


def _names(side: _Side) -> Iterator[tuple[str, Listed]]:
    yield from side.left.items()


def _names_by_module(side: _Side) -> Iterator[tuple[str, Listed]]:
    """What has no counterpart yet, by the name that it has in the module that it comes from, where that is told."""
    levels: dict[str, dict[str, int]] = {}
    for each in side.left.values():
        described, config = each.described, each.tensor.config
        module = config.get("module") or _module_of(str(config.get("node", "")))
        name = each.name
        if module and described.kind in RECURRENT:
            nodes = levels.setdefault(module, {})
            level = nodes.setdefault(str(config.get("node")), len(nodes))
            name = f"{module}.{name.rpartition('.')[2].replace('_l0', f'_l{level}')}"
        elif module and described.role:
            words = NORM_WORDS["torch"] if described.kind == "norm" else {}
            name = f"{module}.{words.get(described.role, described.role)}"
        yield name, each


def _module_of(node: str) -> str:
    """The module in the name of a node as torch's older exporter makes it, ``/blocks.0/net/net.0/Conv``."""
    if not node.startswith("/"):
        return ""
    parts = node.strip("/").split("/")[:-1]
    kept = [part for part, inner in zip(parts, [*parts[1:], ""], strict=True) if not inner.startswith(f"{part}.")]
    return ".".join(kept)


# Norms that are folded into the layer before


def _outputs(weight: Listed) -> int:
    """The outputs of a layer that a norm can be folded into; 0 of another."""
    described, shape = weight.described, weight.tensor.shape
    if described.kind.startswith("conv_transpose"):
        return shape[1] if described.groups == 1 else 0
    return shape[0] if described.kind.startswith(("conv", "depthwise", "dense")) else 0


class _Fold(NamedTuple):
    """The weight of a layer that has a norm folded into it, and what both together come to."""

    apart: float
    weight: Listed
    epsilon: float
    values: Values
    shift: Values


def _fold(side: _Side, opposite: _Side, counterparts: Mapping[str, Listed], notes: list[str]) -> Iterator[Pair]:
    """The layers of `side` that stand in the other file with a norm in their weights, beside those of that file."""
    for prefix, norm in list(side.norms()):
        shape = norm["mean"].tensor.shape
        for weight in side.before(norm["mean"]):
            bias = _bias_of(weight, side.tensors, shape)
            known = counterparts.get(weight.name)
            others = [each for each in opposite.left.values() if each.described.role == "weight"]
            candidates = [known] if known is not None else others
            alike = [each for each in candidates if each.tensor.shape == weight.tensor.shape]
            found = _folded(weight, bias, norm, alike)
            if found is None:
                continue
            bias_there = counterparts.get(bias.name) if bias is not None else None
            bias_there = bias_there or _bias_of(found.weight, list(opposite.left.values()), shape)
            side.take(*norm.values(), weight, *([bias] if bias else []))
            opposite.take(found.weight, *([bias_there] if bias_there else []))
            into = weight.described.prefix
            notes.append(f"{prefix.rstrip('.')} is folded into {into.rstrip('.')} (epsilon {found.epsilon:g})")
            yield Pair(weight.name, _made(weight, weight.name, found.values), found.weight)
            if bias_there is not None or np.any(found.shift):
                name = bias.name if bias is not None else f"{into}bias"
                yield Pair(name, _made(bias or norm["mean"], name, found.shift), bias_there)
            break


def _made(like: Listed, name: str, values: Values) -> Listed:
    """A tensor of those values, of the type of `like`."""
    tensor = replace(like.tensor, name=name, shape=values.shape)
    return Listed(replace(like.described, tensor=tensor), _Folded(tensor, values.astype(like.values().dtype)))


def _folded(
    weight: Listed, bias: Listed | None, norm: Mapping[str, Listed], candidates: Sequence[Listed]
) -> _Fold | None:
    """The one of the candidates, all of its shape, that is `weight` with `norm` folded into it."""
    mean, variance = _double(norm["mean"]), _double(norm["var"])
    gain = _double(norm["weight"]) if "weight" in norm else np.ones_like(mean)
    offset = _double(norm["bias"]) if "bias" in norm else np.zeros_like(mean)
    plain, before = _double(weight), _double(bias) if bias is not None else np.zeros_like(mean)
    shape = [1] * plain.ndim
    shape[1 if weight.described.kind.startswith("conv_transpose") else 0] = -1
    found = []
    for candidate in candidates:
        values = _double(candidate)
        limit = min(_NEAR, _apart(plain, values))
        for epsilon in _EPSILONS:
            with np.errstate(all="ignore"):  # what is not finite then, as of a negative variance, is far from anything
                scale = gain / np.sqrt(variance + epsilon)
                both, shift = plain * scale.reshape(shape), scale * (before - mean) + offset
            if (apart := _apart(both, values)) < limit:
                found.append(_Fold(apart, candidate, epsilon, both, shift))
    return min(found, key=lambda each: each.apart, default=None)


def _double(listed: Listed) -> Values:
    return _wide(listed.values())


def _wide(values: Values) -> Values:
    return values.astype(np.result_type(values, np.float64))


def _bias_of(weight: Listed, tensors: Sequence[Listed], shape: tuple[int, ...]) -> Listed | None:
    """The bias of that shape among `tensors` of the layer that `weight` is of."""
    prefix, node = weight.described.prefix, weight.tensor.config.get("node", "")
    biases = [each for each in tensors if each.described.kind == "bias" and each.tensor.shape == shape]
    of_node = [each for each in biases if node and each.tensor.config.get("node") == node]
    return next((each for each in [*of_node, *biases] if each in of_node or each.described.prefix == prefix), None)


# What is told by its values


def _by_values(ours: _Side, theirs: _Side) -> Iterator[tuple[Listed, Listed]]:
    """Those without a counterpart that have one shape and nearly the same values, the nearest first."""
    samples = [
        [(each, _sample(each)) for each in side.left.values() if each.tensor.readable and each.tensor.parameters > 1]
        for side in (ours, theirs)
    ]
    found = [
        (apart, one, other)
        for one, values in samples[0]
        for other, others in samples[1]
        if one.tensor.shape == other.tensor.shape and (apart := _apart(values, others)) <= _NEAR
    ]
    taken: set[int] = set()
    for _, one, other in sorted(found, key=lambda each: each[0]):
        if not {id(one), id(other)} & taken:
            taken |= {id(one), id(other)}
            yield one, other


def _sample(listed: Listed) -> Values:
    """Some of the values, in equal steps."""
    step = -(-math.prod(listed.tensor.shape) // _SAMPLES)
    parts, at = [], 0
    for piece in listed.pieces():
        parts.append(_wide(piece[-at % step :: step]))
        at += len(piece)
    return np.concatenate(parts)


def _apart(one: Values, other: Values) -> float:
    """How far `other` is from `one`, relative to that; infinitely far where one of them is not finite."""
    with np.errstate(all="ignore"):
        far, size = np.linalg.norm(one - other), np.linalg.norm(one)
        return 0.0 if not far else float(np.nan_to_num(far / size, nan=math.inf)) if size else math.inf


# What needs no counterpart


def _left_out(side: _Side) -> list[str]:
    """Leave out what has no counterpart and needs none; gives a line of what that is."""
    kinds: dict[str, list[Listed]] = {}
    for each in side.left.values():
        if reason := _needless(each):
            kinds.setdefault(reason, []).append(each)
    side.take(*(each for kind in kinds.values() for each in kind))
    return [f"not compared, {reason}: {some(each.name for each in kind)}" for reason, kind in kinds.items()]


def _needless(listed: Listed) -> str:
    """Why a tensor without a counterpart makes no difference; nothing where it does."""
    described, tensor = listed.described, listed.tensor
    if described.role == "count":
        return "counts of batches"
    if tensor.tied_to:
        return "the values of others"
    if not described.role and "node" in tensor.config and (tensor.dtype[:3] in ("int", "boo") or tensor.parameters < 2):
        return "constants of the graph"
    may_be_zeros = "bias" in described.role or "node" in tensor.config
    if may_be_zeros and tensor.readable and not any(np.any(piece) for piece in listed.pieces()):
        return "zeros"
    return ""
