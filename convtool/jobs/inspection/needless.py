"""What needs no counterpart in the other of two files.

Constants of a graph, states of zeros, what adds zeros or multiplies by ones, counts of batches, and weights that the
other file has stored once for several layers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np

from convtool.arrays.description import some
from convtool.jobs.inspection.diff import differences
from convtool.jobs.inspection.listing import Listed
from convtool.jobs.inspection.sides import Pair, Side
from convtool.weights.kinds import RECURRENT

_COUNTING = ("int32", "int64", "bool")
"""The types of shapes, axes, indices and masks; quantised weights are of narrower ones."""
_ZERO_STATES = "initial states of zeros"
_OF_OTHERS = "the values of others"


def without_states(pairs: Iterable[Pair]) -> tuple[list[Pair], list[str]]:
    """Those of `pairs` that are weights, and a line of the others: initial states of zeros in one file or of two sizes.

    A state is as long as the batches that a model was exported for, or not in it at all where these may be of any size.
    """
    kept, states = [], []
    for pair in pairs:
        sides = [each for each in (pair.one, pair.other) if each is not None]
        if len({each.tensor.shape for each in sides}) < len(sides) or not all(map(_is_zero_state, sides)):
            kept.append(pair)
        else:
            states.append(pair.name)
    return kept, [f"not compared, {_ZERO_STATES}: {some(states)}"] if states else []


def left_out(side: Side, counterparts: Mapping[str, Listed]) -> list[str]:
    """Leave out what has no counterpart and needs none; gives a line of what that is.

    `counterparts` are the tensors of the other file, by the names of those of `side` that they are compared with.
    """
    kinds: dict[str, list[Listed]] = {}
    merged = _Merged(side, counterparts)
    for each in side.left.values():
        if reason := _needless(each, side) or (_OF_OTHERS if merged.has(each) else ""):
            kinds.setdefault(reason, []).append(each)
    side.take(*(each for kind in kinds.values() for each in kind))
    return [f"not compared, {reason}: {some(each.name for each in kind)}" for reason, kind in kinds.items()]


class _Merged:
    """The tensors of the other file that stand for several of `side`: exporters store tied ones, and equal ones, once.

    For equal ones each stands no more often than nodes of the graph take it.
    """

    def __init__(self, side: Side, counterparts: Mapping[str, Listed]) -> None:
        self._side = side
        self._owners = {each.tensor.tied_to for each in side.tensors if each.name not in side.left}
        self._taken_often = [
            (each, other)
            for each in side.tensors
            if (other := counterparts.get(each.name)) is not None and other.tensor.config.get("uses", 1) > 1
        ]
        self._times = Counter(each.name for each in counterparts.values())

    def has(self, listed: Listed) -> bool:
        """Whether one of them stands for `listed` too, which is counted then."""
        if listed.name in self._owners:
            return True
        for each, other in self._taken_often if listed.tensor.readable else ():
            if self._times[other.name] >= other.tensor.config["uses"] or each.tensor.shape != listed.tensor.shape:
                continue
            if each.tensor.readable and self._are_equal(each, listed):
                self._times[other.name] += 1
                return True
        return False

    def _are_equal(self, one: Listed, other: Listed) -> bool:
        alike = np.array_equal(self._side.sample(one), self._side.sample(other))
        return alike and next(differences([Pair(one.name, one, other)]), None) is None


def _needless(listed: Listed, side: Side) -> str:
    """Why a tensor without a counterpart makes no difference; nothing where it does."""
    described, tensor = listed.described, listed.tensor
    if described.role == "count":
        return "counts of batches"
    if tensor.tied_to:
        return _OF_OTHERS
    of_graph = not described.role and "node" in tensor.config
    if _is_zero_state(listed) or (of_graph and _is_unrolled_state(listed, side)):
        return _ZERO_STATES
    if of_graph and (tensor.dtype in _COUNTING or tensor.parameters < 2):
        return "constants of the graph"
    if _is_product(listed) and _is_zero(listed):
        return "zeros"
    if _is_scale(listed) and _is_filled(listed, 1):
        return "ones"
    return _OF_OTHERS if of_graph and _is_product(listed) and _repeats_a_bias(listed, side) else ""


def _is_added(listed: Listed) -> bool:
    described, tensor = listed.described, listed.tensor
    return "bias" in described.role or (not described.role and tensor.layer == "Add")


def _is_product(listed: Listed) -> bool:
    """Whether the tensor may be what a state of zeros comes to in an unrolled layer, which a GRU splits into gates."""
    return _is_added(listed) or (listed.tensor.layer == "Split" and len(listed.tensor.shape) > 1)


def _is_scale(listed: Listed) -> bool:
    """Whether a norm of a graph multiplies by the tensor, which was no weight of the model: it has no name of one."""
    described, tensor = listed.described, listed.tensor
    return (described.kind, described.role) == ("norm", "weight") and described.prefix == tensor.name


def _is_filled(listed: Listed, value: float) -> bool:
    return listed.tensor.readable and all(bool((piece == value).all()) for piece in listed.pieces())


def _is_zero(listed: Listed) -> bool:
    return _is_filled(listed, 0)


def _is_zero_state(listed: Listed) -> bool:
    """Whether a recurrent operator begins with the tensor as its state, and would with nothing in its place."""
    return listed.described.kind == "state" and _is_zero(listed)


def _is_unrolled_state(listed: Listed, side: Side) -> bool:
    """Whether a loop over a recurrent cell, which exporters unroll, begins with the tensor as its state of zeros.

    The weight of the state multiplies it, or it is a constant already what that and a bias give, and a gate multiplies
    the state alone.
    """
    layer, shape = listed.tensor.layer, listed.tensor.shape
    if layer not in ("Gemm", "MatMul", "Mul", "Sub") or len(shape) < 2 or not _is_zero(listed):
        return False
    if layer in ("Gemm", "MatMul"):
        return bool(listed.tensor.config["input"] == 0)
    wide = [shape[-1] * gates for gates in RECURRENT.values()]
    constants = [each for each in side.tensors if not each.described.role and each.tensor.shape[:-1] == shape[:-1]]
    products = [each for each in constants if _is_product(each) and each.tensor.shape[-1] in wide]
    states = [each for each in constants if each.tensor.layer in ("Gemm", "MatMul") and each.tensor.shape == shape]
    return any(_is_zero(each) or _repeats_a_bias(each, side) for each in products) or any(
        _is_unrolled_state(each, side) for each in states
    )


def _repeats_a_bias(listed: Listed, side: Side) -> bool:
    """Whether each row of the tensor is one bias of the file: what exporters make of a layer whose state is all zeros.

    They take the first step of an unrolled layer, the state times its weight plus its bias, for a constant.
    """
    tensor = listed.tensor
    if len(tensor.shape) < 2 or not tensor.readable:
        return False
    biases = [each for each in side.tensors if each.tensor.shape == tensor.shape[-1:] and _is_added(each)]
    return any((listed.values() == each.values()).all() for each in biases if each.tensor.readable)
