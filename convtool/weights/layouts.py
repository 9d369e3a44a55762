"""Kinds of tensors and the names of their axes, in the layouts of torch, Keras and ONNX; without reading any value.

All three correlate, so that their convolutions differ in the order of axes alone:

==================  ==========================  ==========================
kind                torch, ONNX                 Keras
==================  ==========================  ==========================
conv2d              out, in, H, W               H, W, in, out
conv_transpose2d    in, out, H, W               H, W, out, in
depthwise_conv2d    in*mult, 1, H, W            H, W, in, mult
dense               out, in                     in, out
embedding           tokens, features            tokens, features
attention, in       out, in                     features, heads, head_dim
attention, out      out, in                     heads, head_dim, features
==================  ==========================  ==========================

With groups it is `in/groups`, and `out/groups` of a transposed convolution; 1-D has K, 3-D has D, H, W. ONNX's dense
weights are `in, out` for MatMul, and for Gemm unless `transB` is set.

Recurrent weights stack their gates: of an LSTM `4H, in` and `4H, H` and two biases `4H` (torch); `in, 4H` and `H, 4H`
and one bias `4H`, of a GRU with `reset_after` `2, 3H` (Keras); `dirs, 4H, in` and `dirs, 4H, H` and `dirs, 8H` (ONNX).

Sources: the documentation of torch.nn, of Keras's layers, and ONNX's Operators.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from convtool.arrays.description import TensorInfo
from convtool.arrays.onnx import RECURRENT_STATES
from convtool.weights.kinds import RECURRENT, LayerKind, kinds_of_layers
from convtool.weights.naming import Part, in_habit, layer_parts, part_of

GATES = {
    ("lstm", "torch"): ("i", "f", "g", "o"),
    ("lstm", "keras"): ("i", "f", "c", "o"),
    ("lstm", "onnx"): ("i", "o", "f", "c"),
    ("gru", "torch"): ("r", "z", "n"),
    ("gru", "keras"): ("z", "r", "h"),
    ("gru", "onnx"): ("z", "r", "h"),
}
"""The order in which gates are stacked: input, forget, output and the candidate g or c; reset, update and n or h."""

_NORM_AXES = {**dict.fromkeys(("weight", "bias", "mean", "var"), ("features",)), "count": ()}
KERNEL_AXES = {1: ("K",), 2: ("H", "W"), 3: ("D", "H", "W")}


@dataclass(frozen=True)
class Described:
    """A tensor, and what it is."""

    tensor: TensorInfo
    kind: str
    """`conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d depthwise_conv1d depthwise_conv2d
    dense einsum_dense attention embedding norm lstm gru rnn bias`, the `state` that a recurrent operator of ONNX begins
    with, or `tensor` where it can't be told."""
    axes: tuple[str, ...]
    """What each axis counts; the axes of a `state`, which may be of several layers, and of a `tensor` are numbered."""
    layout: str
    """`torch`, `keras` or `onnx`, or nothing where that is open."""
    prefix: str
    """What the names of the layer's tensors begin with: `features.0.`, `conv1/`."""
    role: str
    """The part that it plays in its layer, see `convtool.weights.naming`; nothing for a `state` or a `tensor`."""
    groups: int = 1
    """Groups of a convolution; of a depthwise one the channels that go in."""
    gates: tuple[str, ...] = ()
    """The gates that a recurrent tensor stacks, in its order."""
    level: int = 0
    """Which of the layers that torch stacks in one `nn.LSTM`."""
    reverse: bool = False
    """Whether it is for the direction against time."""

    @property
    def tells_groups(self) -> bool:
        """Whether the file tells into how many groups the layer, a convolution, parts its channels.

        A `state_dict` does not, nor do Keras's weights without a configuration, but for those of depthwise layers.
        """
        told = {"groups", "group"} & self.tensor.config.keys() or self.tensor.layer in ("Conv", "ConvTranspose")
        return bool(told) or (self.layout == "keras" and self.kind.startswith("depthwise"))


def describe(tensors: Sequence[TensorInfo], *, layout: str) -> list[Described]:
    """What each of a file's tensors is, told from their names and shapes and from what the file says of their layers.

    Args:
        tensors: all of a file's, in its order: some are told by those beside them.
        layout: the file's; with none, layers are in Keras's or torch's where their tensors have the names that these
            give (`kernel`, `weight`), and kinds can't be told of the others.

    >>> conv = TensorInfo("conv.weight", (32, 1, 3, 3), "float32", 1152)
    >>> bias = TensorInfo("conv.bias", (32,), "float32", 128)
    >>> [(each.kind, each.axes) for each in describe([conv, bias], layout="torch")]
    [('conv2d', ('out', 'in', 'H', 'W')), ('bias', ('out',))]
    """
    parts = layer_parts([part_of(tensor, layout) for tensor in tensors], layout)
    layers: dict[str, dict[str, TensorInfo]] = {}
    layouts: dict[str, str] = {}
    for tensor, part in zip(tensors, parts, strict=True):
        layers.setdefault(part.prefix, {}).setdefault(part.role, tensor)
        layouts[part.prefix] = layouts.get(part.prefix) or part.layout
    layouts = {prefix: whose or layout for prefix, whose in layouts.items()}
    kinds = kinds_of_layers([(prefix, roles, layouts[prefix]) for prefix, roles in layers.items()])
    found = dict(zip(layers, kinds, strict=True))
    projected = {prefix for prefix, roles in layers.items() if "projection" in roles}
    return [
        _described(tensor, part, found[part.prefix], layouts[part.prefix], projected=part.prefix in projected)
        for tensor, part in zip(tensors, parts, strict=True)
    ]


def as_weights(described: Sequence[Described], *, layout: str, named: str | None = None) -> list[Described]:
    """What the tensors of a file are, given that they are in that layout: with 2 axes the weights of dense layers,
    with 3 to 5 those of convolutions.

    That is so of bare arrays: those of a file in which no name tells the part of a tensor in its layer. Where others
    are known, a tensor that is not, such as an embedding of positions, may be anything, and stays what it is.

    Args:
        described: what `describe` says of them.
        layout: `torch`, `keras` or `onnx`.
        named: a tensor, as it is called here, in the file, or in another layout: a weight whatever it stands beside.
    """
    bare = not any(each.role for each in described)
    return [_as_weight(each, layout) if bare or _is_called(each.tensor, named) else each for each in described]


def _is_called(tensor: TensorInfo, name: str | None) -> bool:
    shown = (in_habit(tensor.name, layout) for layout in ("torch", "keras"))
    return name is not None and name in (tensor.name, tensor.stored, *shown)


def _as_weight(described: Described, layout: str) -> Described:
    rank = len(described.tensor.shape)
    if described.kind != "tensor" or not 2 <= rank <= 5:
        return described
    kind = LayerKind(f"conv{rank - 2}d" if rank > 2 else "dense")
    axes = axes_of(kind, layout, rank)
    return replace(described, kind=kind.kind, axes=axes, layout=layout, role="weight")


def _described(tensor: TensorInfo, part: Part, layer: LayerKind, layout: str, *, projected: bool) -> Described:
    rank = len(tensor.shape)
    role = "weight" if part.role == "depthwise" else part.role
    kind = layer.kind
    axes: tuple[str, ...] | None = None
    if kind in RECURRENT:
        if role == "weight":
            role = "joined" if layout == "torch" else "input"
        axes = recurrent_axes(kind, role, layout, rank, projected=projected) or None
    elif kind == "norm":
        axes = _NORM_AXES.get(role)
    elif role == "bias":
        kind, axes = "bias", layer.bias_axes[-rank:]
    elif role == "weight":
        axes = axes_of(layer, layout, rank)
    if not role or kind == "tensor" or axes is None or len(axes) != rank:
        is_state = tensor.config.get("input") in RECURRENT_STATES.get(tensor.layer, ())
        return Described(
            tensor, "state" if is_state else "tensor", tuple(map(str, range(rank))), layout, part.prefix, ""
        )
    gates = GATES.get((kind, layout), ()) if role not in ("projection", "peephole") else ()
    return Described(tensor, kind, axes, layout, part.prefix, role, layer.groups, gates, part.level, part.reverse)


def axes_of(layer: LayerKind, layout: str, rank: int) -> tuple[str, ...]:
    """The axes of the weight of a layer that is not recurrent, in that layout; none of what is no layer.

    >>> axes_of(LayerKind("conv_transpose1d", groups=2), "torch", 3)
    ('in', 'out/groups', 'K')
    """
    if layer.axes:
        return layer.axes
    if layer.kind == "embedding":
        return ("tokens", "features")
    if layer.kind == "dense":
        axes = ("in", "out") if layer.in_first or layout == "keras" else ("out", "in")
        return axes if rank > 1 else ("in",)
    if "conv" not in layer.kind:
        return ()
    kernel = KERNEL_AXES[int(layer.kind[-2])]
    if layer.kind.startswith("depthwise"):
        return (*kernel, "in", "mult") if layout == "keras" else ("in*mult", "1", *kernel)
    outer, inner = ("in", "out") if "transpose" in layer.kind else ("out", "in")
    if layer.groups > 1:
        inner += "/groups"
    return (*kernel, inner, outer) if layout == "keras" else (outer, inner, *kernel)


def recurrent_axes(kind: str, role: str, layout: str, rank: int, *, projected: bool = False) -> tuple[str, ...]:
    """The axes of a tensor of a recurrent layer; none where the layout has no such tensor.

    >>> recurrent_axes("gru", "bias", "keras", 2)
    ('2', '3H')
    """
    gates = RECURRENT[kind]
    rows = f"{gates}H" if gates > 1 else "H"
    axes: dict[str, tuple[str, ...]]
    if layout == "keras":
        bias = ("2", rows) if rank == 2 else (rows,)
        axes = {"input": ("in", rows), "recurrent": ("H", rows), "bias": bias}
    elif layout == "onnx":
        axes = {"input": ("dirs", rows, "in"), "recurrent": ("dirs", rows, "H"), "bias": ("dirs", f"{2 * gates}H")}
        axes["peephole"] = ("dirs", "3H")
    else:
        axes = {"input": (rows, "in"), "joined": (rows, "in+H"), "recurrent": (rows, "P" if projected else "H")}
        axes |= {"projection": ("P", "H"), **dict.fromkeys(("bias", "input_bias", "recurrent_bias"), (rows,))}
    return axes.get(role, ())
