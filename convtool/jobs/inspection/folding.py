"""Batch norms that one file has, and the other has folded into the layer before.

With the gain g, the bias b, the mean m and the variance v of a norm, behind a layer of the weight W and the bias c,

    norm(W x + c) = g (W x + c - m) / sqrt(v + e) + b = (s W) x + (s (c - m) + b)    with s = g / sqrt(v + e)

so that a layer of the weight s W and the bias s (c - m) + b does the work of both.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from convtool.arrays.description import TensorInfo, WeightFile
from convtool.jobs.inspection.listing import Listed
from convtool.jobs.inspection.sides import NEAR, Pair, Side, Values, apart_of, double, step_of

_LIKELY = 10 * NEAR
"""How far apart, relative to the first, the samples of two tensors are that are compared whole."""
_EPSILONS = (1e-5, 1e-3, 1e-6, 1e-4)
"""What norms add to their variance, the usual first: after folding no file tells it."""


class _Folded(WeightFile):
    """One tensor that is worked out from others."""

    layout = "torch"

    def __init__(self, tensor: TensorInfo, values: Values) -> None:
        self.tensors = (tensor,)
        self._values = values

    def pieces(self, tensor: TensorInfo) -> Iterator[Values]:
        yield self._values.reshape(-1)


def _norms(side: Side) -> Iterator[tuple[str, Mapping[str, Listed]]]:
    """The whole batch norms that have no counterpart: the prefix of each, and its tensors by their roles."""
    found: dict[str, dict[str, Listed]] = {}
    for each in side.left.values():
        if each.described.kind == "norm":
            found.setdefault(each.described.prefix, {})[each.described.role] = each
    for prefix, roles in found.items():
        shapes = {each.tensor.shape for role, each in roles.items() if role != "count"}
        if roles.keys() >= {"mean", "var"} and len(shapes) == 1:
            yield prefix, roles


def _before(side: Side, norm: Listed) -> list[Listed]:
    """The weights that may be of the layer before `norm`, the nearest first."""
    places = {each.name: place for place, each in enumerate(side.tensors)}
    weights = [each for each in side.tensors if each.described.role == "weight" and each.tensor.readable]
    behind = {each.name: places[norm.name] - places[each.name] for each in weights}
    return sorted(weights, key=lambda each: (behind[each.name] < 0, abs(behind[each.name])))


class _Layer(NamedTuple):
    """What a layer is that a norm may be folded into."""

    transposed: bool
    groups: int

    @classmethod
    def of(cls, weight: Listed, candidate: Listed) -> _Layer | None:
        """The layer of `weight`, or as the other file has it where that is a graph, which tells; None of another."""
        described = candidate.described if "node" in candidate.tensor.config else weight.described
        transposed = described.kind.startswith("conv_transpose")
        if not transposed and not described.kind.startswith(("conv", "depthwise", "dense")):
            return None
        return cls(transposed, described.groups)

    def channels(self, shape: tuple[int, ...]) -> NDArray[np.int64]:
        """The output that each value of a weight is of, in the shape ``(out, 1, ...)`` or ``(in, out/groups, 1, ...)``.

        Behind a transposed convolution the outputs of one group of inputs follow on those of the group before.
        """
        rows = np.arange(shape[0]).reshape(-1, *[1] * (len(shape) - 1))
        if not self.transposed:
            return rows
        columns = np.arange(shape[1]).reshape(-1, *[1] * (len(shape) - 2))
        return rows // (shape[0] // self.groups) * shape[1] + columns

    def outputs(self, shape: tuple[int, ...]) -> int:
        """How many outputs a layer with a weight of that shape has."""
        return shape[1] * self.groups if self.transposed else shape[0]


class _Fold(NamedTuple):
    """The weight of a layer that has a norm folded into it, and what both together come to."""

    apart: float
    weight: Listed
    epsilon: float
    values: Values
    shift: Values


def fold(side: Side, opposite: Side, counterparts: Mapping[str, Listed], notes: list[str]) -> Iterator[Pair]:
    """The layers of `side` that stand in the other file with a norm in their weights, beside those of that file."""
    for prefix, norm in list(_norms(side)):
        shape, numbers = norm["mean"].tensor.shape, _Norm.of(norm)
        others = [each for each in opposite.left.values() if each.described.role == "weight"]
        for weight in _before(side, norm["mean"]):
            bias = _bias_of(weight, side.tensors, shape)
            known = counterparts.get(weight.name)
            candidates = [each for each in ([known] if known is not None else others) if each.tensor.readable]
            alike = [each for each in candidates if each.tensor.shape == weight.tensor.shape and each.tensor.parameters]
            layers = [(each, _Layer.of(weight, each)) for each in alike]
            likely = [
                (each, layer)
                for each, layer in layers
                if layer is not None
                and layer.outputs(weight.tensor.shape) == shape[0]
                and numbers.is_likely_in(weight, layer, side, each, opposite)
            ]
            found = _folded(weight, bias, numbers, likely) if likely else None
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


class _Norm(NamedTuple):
    """The numbers of a batch norm."""

    mean: Values
    variance: Values
    gain: Values
    offset: Values

    @classmethod
    def of(cls, norm: Mapping[str, Listed]) -> _Norm:
        mean = double(norm["mean"])
        gain = double(norm["weight"]) if "weight" in norm else np.ones_like(mean)
        offset = double(norm["bias"]) if "bias" in norm else np.zeros_like(mean)
        return cls(mean, double(norm["var"]), gain, offset)

    def scale(self, epsilon: float) -> Values:
        """What it multiplies the outputs of the layer before by."""
        with np.errstate(all="ignore"):  # what is not finite then, as of a negative variance, is far from anything
            scale: Values = self.gain / np.sqrt(self.variance + epsilon)
            return scale

    def is_likely_in(self, weight: Listed, layer: _Layer, side: Side, candidate: Listed, opposite: Side) -> bool:
        """Whether, by a sample, `candidate` of the other file may be `weight` with this folded into it."""
        plain, there, shape = side.sample(weight), opposite.sample(candidate), weight.tensor.shape
        places, channels = (
            np.unravel_index(np.arange(0, math.prod(shape), step_of(shape)), shape),
            layer.channels(shape),
        )
        channels = channels[tuple(np.minimum(at, n - 1) for at, n in zip(places, channels.shape, strict=True))]
        with np.errstate(all="ignore"):
            both = [plain * self.scale(epsilon)[channels] for epsilon in _EPSILONS]
        return any(apart_of(each, there) <= _LIKELY for each in both)


def _folded(
    weight: Listed, bias: Listed | None, norm: _Norm, candidates: Sequence[tuple[Listed, _Layer]]
) -> _Fold | None:
    """The one of the candidates, all of its shape, that is `weight` with `norm` folded into it."""
    plain, before = double(weight), double(bias) if bias is not None else np.zeros_like(norm.mean)
    found = []
    for candidate, layer in candidates:
        values, channels = double(candidate), layer.channels(plain.shape)
        limit = min(NEAR, apart_of(plain, values))
        for epsilon in _EPSILONS:
            scale = norm.scale(epsilon)
            with np.errstate(all="ignore"):
                both, shift = plain * scale[channels], scale * (before - norm.mean) + norm.offset
            if (apart := apart_of(both, values)) < limit:
                found.append(_Fold(apart, candidate, epsilon, both, shift))
    return min(found, key=lambda each: each.apart, default=None)


def _bias_of(weight: Listed, tensors: Sequence[Listed], shape: tuple[int, ...]) -> Listed | None:
    """The bias of that shape among `tensors` of the layer that `weight` is of."""
    prefix, node = weight.described.prefix, weight.tensor.config.get("node", "")
    biases = [each for each in tensors if each.described.kind == "bias" and each.tensor.shape == shape]
    of_node = [each for each in biases if node and each.tensor.config.get("node") == node]
    return next((each for each in [*of_node, *biases] if each in of_node or each.described.prefix == prefix), None)
