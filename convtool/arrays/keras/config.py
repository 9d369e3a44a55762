"""The configuration that a Keras model carries: its layers' classes, names and settings. Nothing of it is built."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from convtool.arrays.keras.classes import LAYERS, foreign_class, snake_case

CONFIG_LIMIT = 8 << 20
"""Bytes of JSON that are parsed: Python takes up to twenty times as many for it."""

SETTINGS = (
    *("units", "filters", "groups", "kernel_size", "strides", "padding", "output_padding", "dilation_rate"),
    *("depth_multiplier", "data_format", "use_bias", "activation", "recurrent_activation", "reset_after"),
    *("go_backwards", "return_sequences", "equation", "projection", "axis", "center", "scale", "epsilon"),
)
"""What a layer's weights can't be read without, as far as the layer has it."""

_CONVOLUTIONS = [f"Conv{n}D{transposed}" for n in (1, 2, 3) for transposed in ("", "Transpose")]
_RECURRENT = ["LSTM", "GRU", "SimpleRNN", *(f"ConvLSTM{n}D" for n in (1, 2, 3))]
VARIABLES: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(["Dense", "EinsumDense", "DepthwiseConv1D", "DepthwiseConv2D", *_CONVOLUTIONS], ("kernel", "bias")),
    **dict.fromkeys(["SeparableConv1D", "SeparableConv2D"], ("depthwise_kernel", "pointwise_kernel", "bias")),
    **dict.fromkeys(
        [kind + cell for kind in _RECURRENT for cell in ("", "Cell")], ("kernel", "recurrent_kernel", "bias")
    ),
    **dict.fromkeys(["LayerNormalization", "GroupNormalization"], ("gamma", "beta")),
    "BatchNormalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "RMSNormalization": ("scale",),
    "Normalization": ("mean", "variance", "count"),
    "Embedding": ("embeddings",),
    "PReLU": ("alpha",),
    "SeedGenerator": ("seed_generator_state",),
    "MultiHeadAttention": (),
    "GroupedQueryAttention": (),
}
"""The variables of a layer in the order in which Keras 3 numbers them."""

_ATTENTION = {
    **{f"{name}_dense": name for name in ("query", "key", "gate", "value")},
    "output_dense": "attention_output",
}
PROJECTIONS = _ATTENTION | {f"_{attribute}": name for attribute, name in _ATTENTION.items()}
"""The layers that attention makes itself, by the attributes that MultiHeadAttention and GroupQueryAttention keep
them as.
"""

_ATTENTIONS = ("MultiHeadAttention", "GroupedQueryAttention")
_ALIASES = {"GroupQueryAttention": "GroupedQueryAttention"}
"""What a configuration calls a class, where files have another name for it in their paths."""

_DIRECTIONS = {"forward_layer": "forward", "backward_layer": "backward"}
_BLOCKS = ("kernel_zero", "g_idx")
"""What there is where rows share a scale in blocks."""
_PLAIN = 6
"""Variables that a dense layer may have that is not quantised to float8."""

_SCALED = ("inputs_scale", "inputs_amax_history", "kernel_scale", "kernel_amax_history")
_QUANTISED: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("int8", "int4"), ("kernel", "bias", "kernel_scale", *_BLOCKS)),
    "float8": ("kernel", "bias", *_SCALED, "outputs_grad_scale", "outputs_grad_amax_history"),
    "gptq": ("bias", "quantized_kernel", "kernel_scale", *_BLOCKS),
    "awq": ("bias", "quantized_kernel", "kernel_scale", "kernel_zero", "awq_scales", "g_idx"),
}
"""The variables of a dense layer that is quantised, in the order in which Keras 3 numbers them, by the mode."""

_OPTIONAL = {"bias": "use_bias", "gamma": "scale", "beta": "center"}
"""Variables that a setting can leave out."""


@dataclass(frozen=True)
class Layer:
    """A layer, as far as it is known: its class, its name, and its configuration."""

    kind: str = ""
    name: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    foreign: str = ""
    """Its class where it is none of Keras's, see `foreign_class`: nothing is known of its own variables then."""

    @classmethod
    def of(cls, value: Any) -> Layer | None:
        """The layer that a part of a configuration describes, or None where it describes none."""
        if not isinstance(value, dict) or not isinstance(value.get("class_name"), str):
            return None
        kind, config = value["class_name"].rpartition(">")[2], value.get("config")
        if isinstance(config, list):  # a Sequential of Keras 1
            config = {"layers": config}
        if not isinstance(config, dict):
            return None
        name = config.get("name", value.get("name"))
        return cls(_ALIASES.get(kind, kind), name if isinstance(name, str) else "", config, foreign_class(value))

    @classmethod
    def of_key(cls, key: str) -> Layer:
        """What is known of a layer without a configuration by the key that Keras has given it for its class."""
        kind, stem = kind_of_key(key), _stem(key)
        return cls(kind, foreign="" if kind or stem in _SPELLED else stem)

    @property
    def role(self) -> str:
        """The class that its weights are read as: a recurrent cell has those of its layer."""
        return self.foreign or (self.kind.removesuffix("Cell") if self.kind in VARIABLES else self.kind)

    def items(self, attribute: str) -> list[Layer]:
        """The layers in a list that it keeps as `attribute`."""
        values = self.config.get(attribute)
        return [layer for layer in map(Layer.of, values) if layer] if isinstance(values, list) else []

    def item(self, attribute: str) -> Layer | None:
        """The layer that it keeps as `attribute`."""
        found = Layer.of(self.config.get(attribute))
        if found is None and self.kind in _ATTENTIONS and attribute in PROJECTIONS:
            name = PROJECTIONS[attribute]
            return Layer("EinsumDense", name, {"projection": "output" if "output" in name else "input"})
        if found is None and self.kind == "Bidirectional" and attribute in _DIRECTIONS:
            return self._directed(_DIRECTIONS[attribute])
        return found

    def _directed(self, direction: str) -> Layer | None:
        """One of the two layers that a Bidirectional makes of the one that it is given."""
        inner = self.item("layer")
        if inner is None:
            return None
        name = inner.name if inner.name.startswith(direction) else f"{direction}_{inner.name}"
        backwards = bool(inner.config.get("go_backwards")) != (direction == "backward")
        return replace(inner, name=name, config={**inner.config, "go_backwards": backwards})

    @cached_property
    def inner(self) -> dict[str, Layer]:
        """The layers that it keeps, whatever as, by their names."""
        attributes = [*self.config, *_DIRECTIONS, *PROJECTIONS]
        kept = (layer for attribute in attributes for layer in [self.item(attribute), *self.items(attribute)])
        return {layer.name: layer for layer in kept if layer is not None}

    def settings(self) -> dict[str, Any]:
        """What the reading of its weights depends on; `foreign` alone of a class that is none of Keras's."""
        if self.foreign:
            return {"foreign": True}
        return {key: _plain(self.config[key]) for key in SETTINGS if key in self.config}

    @property
    def quantisation(self) -> str:
        """How its weights are quantised: ``int8``, ``int4``, ``float8``...; nothing where that is not said."""
        policy = self.config.get("dtype")
        if isinstance(policy, dict) and isinstance(policy.get("config"), dict):
            policy = policy["config"].get("mode", policy["config"].get("name"))
        mode = policy.partition("_from_")[0].partition("/")[0] if isinstance(policy, str) else ""
        return mode if mode in _QUANTISED else ""

    def variables(self, shapes: Sequence[tuple[int, ...]], *, first: str = "") -> tuple[str, ...]:
        """The names of its variables, which have these shapes; nothing where they can't be told.

        `first` is the dtype of the first one: whole numbers are those of a layer that is quantised.
        """
        if self.foreign:
            return ()
        if quantised := self._quantised(len(shapes), first):
            return quantised
        names = VARIABLES.get(self.kind, ())
        kept = tuple(name for name in names if self.config.get(_OPTIONAL.get(name, ""), True) is not False)
        needed = tuple(name for name in names if name not in _OPTIONAL)
        return next((these for these in (kept, needed) if len(these) == len(shapes)), () if names else _usual(shapes))

    def _quantised(self, count: int, first: str) -> tuple[str, ...]:
        """The names of `count` variables of a layer that is quantised; nothing of another, or where they don't fit."""
        if self.kind not in ("Dense", "EinsumDense", "Embedding"):
            return ()
        guess = "int8" if first == "int8" else "float8" if count > _PLAIN else ""  # those that attention makes
        names = _QUANTISED.get(self.quantisation or guess, ())
        if self.kind == "Embedding":
            names = tuple(name.replace("kernel", "embeddings") for name in names if name != "bias")
        without = [(), ("bias",), ("embeddings_zero", *_BLOCKS), ("bias", *_BLOCKS)]
        kept = (tuple(name for name in names if name not in left_out) for left_out in without)
        return next((these for these in kept if len(these) == count), ())


def _usual(shapes: Sequence[tuple[int, ...]]) -> tuple[str, ...]:
    """What nearly every layer would call variables of these shapes."""
    ranks = [len(shape) for shape in shapes]
    if len(shapes) == 2 and ranks[0] > 1 and ranks[1] == 1 and shapes[1][0] in shapes[0][-2:]:
        return ("kernel", "bias")
    if len(shapes) == 3 and ranks[:2] == [2, 2] and shapes[0][1:] == shapes[1][1:] == shapes[2][-1:]:
        return ("kernel", "recurrent_kernel", "bias")
    return ()


def _plain(value: Any) -> Any:
    """A setting as it is, but for an activation that is given as an object: its name."""
    if isinstance(value, dict):
        named = value.get("config")
        return named if isinstance(named, str) else str(value.get("class_name", ""))
    return value


def parse(text: str | bytes) -> Any:
    """The JSON value in `text`, or None where it is longer than `CONFIG_LIMIT` or none."""
    try:
        return json.loads(text) if len(text) <= CONFIG_LIMIT else None
    except (ValueError, RecursionError):
        return None


def lambdas(config: Any) -> list[str]:
    """The names of the Lambda layers anywhere in a configuration."""
    return [layer.name or "lambda" for layer in map(Layer.of, _objects(config)) if layer and layer.kind == "Lambda"]


def calls(config: Any) -> list[str]:
    """What Keras would import or run to build the model: Lambda layers, and classes and functions that are not its own.

    A class that is only registered by a name is called too, as what a pickle names: with what the file says, and of
    code that Keras does not have.
    """
    found = (_called(each) for each in _objects(config))
    return list(dict.fromkeys(name for name in found if name))


def _called(value: dict[str, Any]) -> str:
    kind, config = value.get("class_name"), value.get("config")
    if not isinstance(kind, str):
        return ""
    name = config.get("name") if isinstance(config, dict) else config
    if kind in ("Lambda", "__lambda__"):
        return f"Lambda {name}" if isinstance(name, str) else kind
    if kind == "function" and isinstance(name, str):
        return name if ">" in name else foreign_class({**value, "class_name": name})
    return foreign_class(value)


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    todo = [value]
    while todo:
        at = todo.pop()
        if isinstance(at, dict):
            yield at
            todo += reversed(at.values())
        elif isinstance(at, list):
            todo += reversed(at)


def numbered(layers: Sequence[Layer]) -> dict[str, tuple[int, Layer]]:
    """The layers of a list by the keys that Keras gives them, with their places: ``dense``, ``dense_1``..."""
    found: dict[str, tuple[int, Layer]] = {}
    counts: dict[str, int] = {}
    for place, layer in enumerate(layers):
        key = snake_case(layer.kind)
        counts[key] = counts.get(key, -1) + 1
        found[f"{key}_{counts[key]}" if counts[key] else key] = (place, layer)
    return found


_KINDS = {snake_case(kind): kind for kind in VARIABLES}
_SPELLED = frozenset(map(snake_case, LAYERS))


def kind_of_key(key: str) -> str:
    """The class that Keras has given `key` to, or nothing where it is none of `VARIABLES`.

    >>> kind_of_key("conv2d_transpose_12")
    'Conv2DTranspose'
    """
    return _KINDS.get(_stem(key), "")


def _stem(key: str) -> str:
    """`key` without the number that tells it from others of its class."""
    return re.sub(r"_[0-9]+$", "", key)
