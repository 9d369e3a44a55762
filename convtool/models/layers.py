"""The layers of a recurrent model, told from the names and shapes of a file's tensors, in torch's layout."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

from convtool.arrays.description import TensorInfo, WeightFile
from convtool.errors import InputError
from convtool.weights.conversion.file import ConvertedFile
from convtool.weights.kinds import RECURRENT
from convtool.weights.layouts import Described, describe
from convtool.weights.naming import TORCH_RECURRENT

if TYPE_CHECKING:
    from numpy.typing import NDArray

MODEL_LIMIT = 1 << 28
"""Bytes that the tensors of a model may take: no processor steps through more in time."""

ACTIVATIONS = ("linear", "tanh", "relu", "sigmoid", "elu", "softmax")

_PARAMETERS = {role: name for name, role in TORCH_RECURRENT.items()}


@dataclass(frozen=True)
class RecurrentLayer:
    """What an `nn.LSTM` or `nn.GRU` of one layer holds, for one direction or both."""

    name: str
    kind: Literal["lstm", "gru"]
    weights: Mapping[str, NDArray[Any]]
    """By the names of torch's parameters: `weight_ih_l0`, `weight_hh_l0_reverse`..."""
    state: tuple[NDArray[Any], ...] = ()
    """What it begins from: h, and of an LSTM c, each `(units,)`; nothing for zeros."""

    @property
    def inputs(self) -> int:
        """Numbers that it takes in a step."""
        return int(self.weights["weight_ih_l0"].shape[1])

    @property
    def bidirectional(self) -> bool:
        """Whether it reads its input backwards too."""
        return "weight_ih_l0_reverse" in self.weights

    @property
    def outputs(self) -> int:
        """Numbers that it gives in a step."""
        return int(self.weights["weight_hh_l0"].shape[1]) * (1 + self.bidirectional)


@dataclass(frozen=True)
class Dense:
    """A linear layer and its activation."""

    name: str
    weights: Mapping[str, NDArray[Any]]
    """`weight` `(out, in)` and, where it has one, `bias` `(out,)`."""
    activation: str | None = None
    """One of `ACTIVATIONS`; nothing where the file does not tell."""

    @property
    def inputs(self) -> int:
        """Numbers that it takes in a step."""
        return int(self.weights["weight"].shape[1])

    @property
    def outputs(self) -> int:
        """Numbers that it gives in a step."""
        return int(self.weights["weight"].shape[0])


ModelLayer = RecurrentLayer | Dense


@dataclass(frozen=True)
class _Part:
    """The tensors of one layer, by what torch calls them within it."""

    prefix: str
    kind: str
    tensors: dict[str, TensorInfo] = field(default_factory=dict)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor that must be there."""
        if name not in self.tensors:
            raise InputError(f"tensor {self.prefix + name!r} is missing")
        return self.tensors[name].shape


def read_layers(file: WeightFile) -> list[ModelLayer]:
    """The layers of the model in `file`, in the order of its tensors. What belongs to an optimiser is left out.

    Raises:
        InputError: a tensor is missing, belongs to no layer that can be run, has a shape that does not fit the others,
            holds a NaN or infinity, or all take more than `MODEL_LIMIT`.
    """
    tensors = [tensor for tensor in file.tensors if not tensor.name.startswith("optimizer")]
    total = sum(tensor.nbytes for tensor in tensors)
    if total > MODEL_LIMIT:
        raise InputError(f"its tensors take {total} bytes; a model that is run may take {MODEL_LIMIT}")
    described = describe(tensors, layout=file.layout)
    backwards = [each for each in described if each.tensor.config.get("go_backwards") and not each.reverse]
    if backwards:
        raise InputError(f"the layer of {backwards[0].tensor.name!r} runs backwards in time (go_backwards)")
    converted = ConvertedFile(file, described, to="torch")
    return [layer for part in _parts(converted.described) for layer in _layers(part, converted)]


def chained(layers: Sequence[ModelLayer]) -> tuple[ModelLayer, ...]:
    """`layers`, if they can follow each other.

    Raises:
        InputError: none is recurrent, one takes another number of inputs than the one before gives, or a dense layer
            whose activation is not known stands before another.
    """
    if not any(isinstance(layer, RecurrentLayer) for layer in layers):
        names = ", ".join(repr(layer.name) for layer in layers) or "none"
        raise InputError(f"there is no LSTM or GRU among its layers; there is {names}")
    for before, after in pairwise(layers):
        if before.outputs != after.inputs:
            raise InputError(
                f"layer {after.name!r} takes {after.inputs} numbers, but {before.name!r} before it gives "
                f"{before.outputs}"
            )
        if isinstance(before, Dense) and before.activation is None:
            raise InputError(
                f"the file does not tell the activation of {before.name!r}, which {after.name!r} follows; "
                "one dense layer at the end can be run"
            )
    return tuple(layers)


def _parts(described: Sequence[Described]) -> list[_Part]:
    parts: dict[str, _Part] = {}
    kinds = {each.prefix: each.kind for each in described if each.kind in ("lstm", "gru", "dense")}
    for each in described:
        tensor, kind = each.tensor, kinds.get(each.prefix)
        name = each.role if kind == "dense" else _PARAMETERS.get(each.role)
        if not tensor.readable:
            raise InputError(f"tensor {tensor.name!r}: {tensor.flag}")
        if 0 in tensor.shape:
            raise InputError(f"tensor {tensor.name!r} is empty, of the shape {tensor.shape}")
        if kind is None and each.kind == "bias":
            owner = next((other for other in described if other.prefix == each.prefix and other.kind != "bias"), None)
            if owner is None:
                raise InputError(f"tensor {each.prefix + 'weight'!r} is missing, which {tensor.name!r} belongs to")
            tensor = owner.tensor
        if kind is None or not name or each.kind not in (kind, "bias"):
            of_class = f" of a {tensor.layer}" * bool(tensor.layer)
            raise InputError(
                f"tensor {tensor.name!r}{of_class}, of the shape {tensor.shape}, is part of no LSTM, GRU or dense layer"
            )
        if kind != "dense":
            name += f"_l{each.level}" + "_reverse" * each.reverse
        tensors = parts.setdefault(each.prefix, _Part(each.prefix, kind)).tensors
        if name in tensors:
            raise InputError(f"tensors {tensors[name].name!r} and {tensor.name!r} play the same part")
        tensors[name] = tensor
    return list(parts.values())


def _layers(part: _Part, file: WeightFile) -> Iterator[ModelLayer]:
    """A layer for each level that a recurrent part stacks."""
    name, config = part.prefix.rstrip("./"), next(iter(part.tensors.values())).config
    levels = [_dense_shapes(part)] if part.kind == "dense" else _recurrent_shapes(part)
    for word, expected in (item for shapes in levels for item in shapes.items()):
        if part.shape(word) != expected:
            full = part.tensors[word].name
            raise InputError(f"tensor {full!r} has the shape {part.shape(word)}; expected {expected}")
    units = next(iter(levels[0].values()))[0] // RECURRENT.get(part.kind, 1)
    if config.get("units", units) != units:
        raise InputError(f"layer {name!r} is declared to have {config['units']} units; its tensors have {units}")
    for level, shapes in enumerate(levels):
        weights = {word.replace(f"_l{level}", "_l0"): finite_values(file, part.tensors[word]) for word in shapes}
        if part.kind == "dense":
            yield Dense(name, weights, _known(config.get("activation"), name))
        else:
            called = f"{name}, level {level}" if len(levels) > 1 else name
            yield RecurrentLayer(called, "lstm" if part.kind == "lstm" else "gru", weights)


def _dense_shapes(part: _Part) -> dict[str, tuple[int, ...]]:
    """The shapes that the tensors of a dense layer have, by that of its weight."""
    outputs, *inputs = part.shape("weight")
    shapes: dict[str, tuple[int, ...]] = {"weight": (outputs, math.prod(inputs))}
    return shapes | ({"bias": (outputs,)} if "bias" in part.tensors else {})


def _recurrent_shapes(part: _Part) -> list[dict[str, tuple[int, ...]]]:
    """The shapes that the parameters of each level have, by the first of them and by which others there are."""
    rows, inputs = part.shape("weight_ih_l0")
    hidden = rows // RECURRENT[part.kind]
    rows = RECURRENT[part.kind] * hidden
    biased, projected = (any(name.startswith(word) for name in part.tensors) for word in ("bias", "weight_hr"))
    given = part.shape("weight_hr_l0")[0] if projected else hidden
    ways = ["", "_reverse"] if any(name.endswith("_reverse") for name in part.tensors) else [""]
    levels: list[dict[str, tuple[int, ...]]] = []
    for level in range(len({name.removesuffix("_reverse").rpartition("_l")[2] for name in part.tensors})):
        levels.append({})
        for end in (f"_l{level}{way}" for way in ways):
            taken = given * len(ways) if level else inputs
            levels[-1] |= {f"weight_ih{end}": (rows, taken), f"weight_hh{end}": (rows, given)}
            levels[-1] |= {f"bias_ih{end}": (rows,), f"bias_hh{end}": (rows,)} if biased else {}
            levels[-1] |= {f"weight_hr{end}": (given, hidden)} if projected else {}
    return levels


def finite_values(file: WeightFile, tensor: TensorInfo) -> NDArray[Any]:
    """The values of `tensor`, which must be real, finite, and within what float32 holds.

    Raises:
        InputError: they are not, or can't be read.
    """
    values = file.values(tensor)
    if values.dtype.kind != "f":
        raise InputError(f"tensor {tensor.name!r} is {tensor.dtype}; expected floating-point numbers")
    bad = count_unfit(values)
    if bad:
        raise InputError(f"tensor {tensor.name!r} has {bad} values that are NaN, infinite, or too large for float32")
    return values


def count_unfit(values: NDArray[Any]) -> int:
    """How many of `values` a model in float32 can't be run with."""
    import numpy as np

    return int(np.count_nonzero(~(np.abs(values) <= np.finfo(np.float32).max)))


def _known(activation: Any, name: str) -> str | None:
    if activation is None:
        return None
    if activation not in ("", *ACTIVATIONS):
        raise InputError(f"layer {name!r} has the activation {activation!r}; convtool runs {', '.join(ACTIVATIONS)}")
    return activation or "linear"
