"""What the names of tensors tell: the layer that each belongs to, and the part that it plays there.

The parts are called the same whoever wrote the file: `weight`, `bias`; `mean`, `var`, `count` of a norm; and of a
recurrent layer `input` and `recurrent` (the weights of its input and of its state), `joined` (both side by side),
`input_bias`, `recurrent_bias`, `bias` (one for both, or both in one tensor), `projection`, `peephole`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from convtool.arrays.description import TensorInfo

_TORCH = {
    "weight": "weight",
    "bias": "bias",
    "gamma": "weight",  # as early BERT checkpoints have them
    "beta": "bias",
    "running_mean": "mean",
    "running_var": "var",
    "num_batches_tracked": "count",
}
_KERAS = {
    "kernel": "weight",
    "bias": "bias",
    "depthwise_kernel": "depthwise",
    "pointwise_kernel": "pointwise",
    "recurrent_kernel": "recurrent",
    "embeddings": "weight",
    "embedding": "weight",
    "gamma": "weight",
    "beta": "bias",
    "scale": "weight",
    "moving_mean": "mean",
    "moving_variance": "var",
}
_ONNX = {
    **_TORCH,  # exporters keep the names that the tensors had
    "scale": "weight",
    "input_mean": "mean",
    "input_var": "var",
    "W": "weight",
    "R": "recurrent",
    "B": "bias",
    "P": "peephole",
}
_WORDS = {"torch": _TORCH, "keras": _KERAS, "onnx": _ONNX}
TORCH_RECURRENT = {
    "weight_ih": "input",
    "weight_hh": "recurrent",
    "bias_ih": "input_bias",
    "bias_hh": "recurrent_bias",
    "weight_hr": "projection",
}
"""The parts of a recurrent layer by torch's names."""

_TORCH_NAME = re.compile(rf"({'|'.join(TORCH_RECURRENT)})(?:_l(\d{{1,4}}))?(_reverse)?")
_KERAS_CELL = re.compile(r"(?:lstm_|gru_|simple_rnn_)?cell(?:_\d{1,4})?[./]")
_OPTIMIZER = ("optimizer.", "optimizer/", "optimizer_state", "optimizer_weights")
_ONNX_RECURRENT = ("LSTM", "GRU", "RNN")
_ONNX_INPUTS = {
    **{op: {1: "weight", 2: "bias"} for op in ("Conv", "ConvTranspose", "Gemm", "MatMul")},
    **{f"{norm}Normalization": {1: "weight", 2: "bias"} for norm in ("Instance", "Layer", "Group", "RMS")},
    **{op: {1: "weight", 2: "recurrent", 3: "bias", 7: "peephole"} for op in _ONNX_RECURRENT},
    "BatchNormalization": {1: "weight", 2: "bias", 3: "mean", 4: "var"},
    "Gather": {0: "weight"},
}
"""The part that each input of an operator is."""


class Part(NamedTuple):
    """What the name of one tensor tells."""

    prefix: str
    """The name up to the word that tells the role, `features.0.`; the whole name where no word does."""
    role: str
    """The part that it plays in its layer; nothing where that can't be told."""
    layout: str
    """Whose word it is; nothing for `bias`, which is everyone's."""
    level: int = 0
    """Which of the layers that torch stacks in one `nn.LSTM`."""
    reverse: bool = False
    """Whether it is for the direction against time."""


def part_of(tensor: TensorInfo, layout: str) -> Part:
    """The part that `tensor` plays in a file of that layout, told from its own name alone.

    >>> part_of(TensorInfo("rec.weight_hh_l1_reverse", (80, 20), "float32", 6400), "torch")
    Part(prefix='rec.', role='recurrent', layout='torch', level=1, reverse=True)
    """
    name = tensor.name
    if is_of_optimizer(name) or tensor.config.get("foreign"):  # moments are named after the weights, and are none
        return Part(name, "", layout)
    part = _by_word(name, layout)
    if layout != "onnx" or tensor.layer not in _ONNX_INPUTS or "input" not in tensor.config:
        return part
    role = _ONNX_INPUTS[tensor.layer].get(tensor.config["input"], "")
    if tensor.layer in _ONNX_RECURRENT:  # their names need not have anything in common
        return part._replace(role=role, prefix=f"{tensor.config['node']}.")
    return part._replace(role=role)


def is_of_optimizer(name: str) -> bool:
    """Whether a tensor is no weight, but what an optimiser keeps of its steps.

    >>> is_of_optimizer("optimizer.state.0.exp_avg"), is_of_optimizer("conv.weight")
    (True, False)
    """
    return name.startswith(_OPTIMIZER)


def _by_word(name: str, layout: str) -> Part:
    start = max(name.rfind("."), name.rfind("/")) + 1
    prefix, word = name[:start], name[start:]
    found = _TORCH_NAME.fullmatch(word) if layout in ("torch", "") else None
    if found is not None:
        what, level, reverse = found.groups()
        return Part(prefix, TORCH_RECURRENT[what], "torch", int(level or 0), bool(reverse))
    stem, under, last = word.rpartition("_")
    for whose in [layout] if layout else ["keras", "torch"]:  # gamma and beta are Keras's words first of all
        if word in _WORDS[whose]:
            return Part(prefix, _WORDS[whose][word], "" if word == "bias" else whose)
        if last in ("weight", "kernel", "bias") and last in _WORDS[whose]:  # in_proj_weight, conv1_weight
            return Part(prefix + stem + under, _WORDS[whose][last], "" if last == "bias" else whose)
    return Part(name, "", layout)


def layer_parts(parts: list[Part], layout: str) -> list[Part]:
    """`parts`, in a file of that layout, with what only their siblings tell: the cell of a recurrent layer of Keras,
    the two directions of a bidirectional one, and the two convolutions of a separable one, which the prefix then sets
    apart.
    """
    parts = _without_cells(parts, layout)
    prefixes = {part.prefix for part in parts if part.role == "recurrent"}
    separable = {part.prefix for part in parts if part.role == "pointwise"}
    if not prefixes | separable:
        return parts
    return [_separated(part) if part.prefix in separable else _directed(part, prefixes) for part in parts]


def _without_cells(parts: list[Part], layout: str) -> list[Part]:
    """Keras keeps the weights of a recurrent layer in its cell, `lstm/lstm_cell/kernel`, which is no layer beside it.

    One by itself is a layer; and each of several is, as those of StackedRNNCells, which may be of different kinds.
    """
    cells: dict[str, set[str]] = {}
    for part in parts:
        parent, last = split(part.prefix)
        if parent and "keras" in (layout, part.layout) and _KERAS_CELL.fullmatch(last):
            cells.setdefault(parent, set()).add(part.prefix)
    layers = {found.pop(): parent for parent, found in cells.items() if len(found) == 1}
    return [part._replace(prefix=layers.get(part.prefix, part.prefix)) for part in parts]


def _separated(part: Part) -> Part:
    if part.role == "depthwise":
        return part._replace(prefix=f"{part.prefix}depthwise/")
    return part._replace(prefix=f"{part.prefix}pointwise/", role=part.role.replace("pointwise", "weight"))


def _directed(part: Part, prefixes: set[str]) -> Part:
    parent, last = split(part.prefix)
    way, _, kind = last.partition("_")
    if way not in ("forward", "backward") or not {f"{parent}forward_{kind}", f"{parent}backward_{kind}"} <= prefixes:
        return part
    return part._replace(prefix=parent or kind, reverse=way == "backward")


def split(prefix: str) -> tuple[str, str]:
    """`prefix` cut before its last component.

    >>> split("features.0.")
    ('features.', '0.')
    """
    start = max(prefix.rfind(".", 0, -1), prefix.rfind("/", 0, -1)) + 1
    return prefix[:start], prefix[start:]


def in_habit(prefix: str, layout: str) -> str:
    """`prefix` with the separators of that layout: Keras's layers are named like paths, the others' like attributes.

    >>> in_habit("block/conv/", "torch")
    'block.conv.'
    """
    stem = prefix.lstrip("/")
    return stem.replace(".", "/") if layout == "keras" else stem.replace("/", ".")
