"""What kind a layer is: told by its class where the file names it, else by the names and shapes of its tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from convtool.arrays.description import TensorInfo
from convtool.weights.naming import split

Roles = Mapping[str, TensorInfo]
"""The tensors of one layer by the part that each plays, as `convtool.weights.naming` calls it."""

RECURRENT = {"lstm": 4, "gru": 3, "rnn": 1}
"""The recurrent kinds, and how many gates their weights stack."""

_FAMILIES = {
    **dict.fromkeys(("conv", "conv1d", "conv2d", "conv3d", "separableconv1d", "separableconv2d"), "conv"),
    **dict.fromkeys(("convtranspose", "convtranspose1d", "convtranspose2d", "convtranspose3d"), "conv_transpose"),
    **dict.fromkeys(("conv1dtranspose", "conv2dtranspose", "conv3dtranspose"), "conv_transpose"),
    **dict.fromkeys(("depthwiseconv1d", "depthwiseconv2d"), "depthwise"),
    **dict.fromkeys(("dense", "linear", "gemm", "matmul"), "dense"),
    **dict.fromkeys(("embedding", "gather"), "embedding"),
    **dict.fromkeys(("lstm", "lstmcell"), "lstm"),
    **dict.fromkeys(("gru", "grucell"), "gru"),
    **dict.fromkeys(("rnn", "rnncell", "simplernn", "simplernncell"), "rnn"),
    "einsumdense": "einsum_dense",
    **dict.fromkeys(("multiheadattention", "convlstm1d", "convlstm2d", "convlstm3d", "prelu"), "tensor"),
}
"""By a layer's class in lower case: torch's, Keras's and ONNX's names differ in their digits and in what they share."""

_EQUATION = re.compile(r"(?P<taken>[a-zA-Z]*),(?P<kernel>[a-zA-Z]+)->(?P<given>[a-zA-Z]*)")

_FACTORS = ("gamma", "scale")
"""What these names hold multiplies channels, in whatever shape."""

_TABLES = ("embedding", "embeddings")
_EMBEDDING = {"embed", "embeds", "embedding", "embeddings", "emb", "embd", "wte", "wpe"}
_NORM = {"bn", "ln"}
_DEPTHWISE = {"depthwise", "dw", "dwconv"}
_TRANSPOSED = ("transpose", "deconv", "upconv")


@dataclass(frozen=True)
class LayerKind:
    """What a layer is."""

    kind: str
    """The kind of its weight, and of a norm or a recurrent layer that of all its tensors."""
    groups: int = 1
    """Into how many groups a convolution parts its channels: a depthwise one into as many as go in."""
    in_first: bool = False
    """Whether a dense weight is `(in, out)`."""
    axes: tuple[str, ...] = ()
    """What the axes of its weight count, where its kind does not say it."""
    bias_axes: tuple[str, ...] = ("out",)


@dataclass(frozen=True)
class _Flow:
    """How many channels a layer takes and gives."""

    index: int
    taken: int
    given: int
    pointwise: bool


def kinds_of_layers(layers: Sequence[tuple[str, Roles, str]]) -> list[LayerKind]:
    """What each layer is, given the prefix of its names, its tensors and its layout; in the file's order.

    A `state_dict` does not tell a depthwise convolution from one over a single channel: `(32, 1, 3, 3)` is both. It is
    taken for depthwise where its name says so, or where the layers around it do, see `_is_between`.
    """
    found = [_layer(*layer) for layer in layers]
    flows = [
        flow
        for index, ((_, roles, layout), layer) in enumerate(zip(layers, found, strict=True))
        if layout == "torch" and (flow := _flow(index, roles, layer)) is not None
    ]
    for before, flow, after in zip([None, *flows], flows, [*flows[1:], None], strict=False):
        prefix, roles, _ = layers[flow.index]
        kind = found[flow.index].kind
        if kind not in ("conv1d", "conv2d") or flow.taken != 1 or flow.given < 2:
            continue
        if "groups" in roles["weight"].config:  # a pickled module tells them, TorchScript does not
            continue
        given = before.given if before is not None else 0
        if _is_between(before, flow, after, layers) or _words(prefix, 2) & _DEPTHWISE:
            groups = given if given > 1 and flow.given % given == 0 else flow.given
            found[flow.index] = LayerKind(f"depthwise_{kind}", groups)
    return found


def _is_between(
    before: _Flow | None, flow: _Flow, after: _Flow | None, layers: Sequence[tuple[str, Roles, str]]
) -> bool:
    """Whether a convolution over one channel, or depthwise, has its inputs from the layer before, so it is the latter.

    As in depthwise-separable stacks it stands then between a layer with as many outputs as it has, or twice as many
    that gates halve, and a pointwise one with as many inputs. What is numbered in a row needs to be no pointwise one;
    but a layer over one channel before it may be beside it.
    """
    if before is None or after is None or after.taken != flow.given:
        return False
    (parent, own), (parent_before, own_before) = (split(layers[each.index][0]) for each in (flow, before))
    beside = parent == parent_before
    if after.pointwise and (before.given == flow.given or (beside and before.given == 2 * flow.given)):
        return True
    in_row = beside and own[:-1].isdigit() and own_before[:-1].isdigit()
    return in_row and before.given == flow.given and before.taken > 1


def _flow(index: int, roles: Roles, layer: LayerKind) -> _Flow | None:
    """The channels through a layer of torch's order; nothing where it has no say in them."""
    if not layer.kind.startswith(("conv", "dense")) or len(roles["weight"].shape) < 2:
        return None
    first, second, *kernel = roles["weight"].shape
    if layer.kind.startswith("conv_transpose"):
        return _Flow(index, first, second * layer.groups, False)
    return _Flow(index, second * layer.groups, first, all(size == 1 for size in kernel))


def _layer(prefix: str, roles: Roles, layout: str) -> LayerKind:
    weight = roles.get("weight", roles.get("depthwise"))
    family = _family_of_class(roles) or _family_of_shapes(prefix, roles, layout)
    if weight is None:
        return LayerKind(family if family in ("norm", *RECURRENT) else "tensor")
    rank = len(weight.shape) - 2
    if family == "depthwise" or "depthwise" in roles:
        fits = layout == "keras" and rank in (1, 2)
        return LayerKind(f"depthwise_conv{rank}d", weight.shape[-2]) if fits else LayerKind("tensor")
    if family in ("conv", "conv_transpose"):
        return _convolution(family, prefix, roles, layout) if rank in (1, 2, 3) else LayerKind("tensor")
    if family == "einsum_dense":
        return _einsum(weight)
    if family == "dense":
        return LayerKind("dense", in_first=_in_first(weight, roles.get("bias"), layout))
    return LayerKind(family)


def _family_of_class(roles: Roles) -> str:
    """Of the classes that a file names, the first that says something: ONNX may add a bias by itself (`Add`)."""
    for tensor in roles.values():
        name = tensor.layer.lower()
        family = _FAMILIES.get(name, "norm" if "norm" in name and len(tensor.shape) < 2 else "")
        if family:
            return family
    return ""


def _family_of_shapes(prefix: str, roles: Roles, layout: str) -> str:
    if "recurrent" in roles:
        return _recurrent(roles, layout)
    if roles.keys() & {"mean", "var", "count"}:
        return "norm"
    weight, bias = roles.get("weight"), roles.get("bias")
    if weight is None:
        return "tensor"
    rank = len(weight.shape)
    if rank and bias is not None and bias.shape == weight.shape:
        return "norm"
    if rank == 1:
        last = split(prefix)[1].lower()
        return "norm" if "norm" in last or _words(prefix, 1) & _NORM else "tensor"
    if weight.name.endswith(_FACTORS) or (bias is not None and len(bias.shape) != 1):
        return "tensor"
    if rank == 2:
        named = weight.name.endswith(_TABLES) or (bias is None and _words(prefix, 1) & _EMBEDDING)
        return "embedding" if named else "dense"
    return "conv" if 3 <= rank <= 5 else "tensor"


def _recurrent(roles: Roles, layout: str) -> str:
    if "projection" in roles:  # torch has it for the LSTM alone
        return "lstm"
    shape = roles["recurrent"].shape[-2:]
    if len(shape) < 2:
        return "tensor"
    hidden, rows = shape if layout == "keras" else shape[::-1]
    return next((kind for kind, gates in RECURRENT.items() if rows == gates * hidden), "tensor")


def _convolution(family: str, prefix: str, roles: Roles, layout: str) -> LayerKind:
    weight = roles["weight"]
    rank = len(weight.shape) - 2
    groups = _groups(weight, layout)
    if not _family_of_class(roles):
        family, groups = _transposed(prefix, weight, roles.get("bias"), layout)
        if layout == "keras" and rank < 3 and _words(prefix, 1) & _DEPTHWISE:
            return LayerKind(f"depthwise_conv{rank}d", weight.shape[-2])
    if layout != "keras" and family == "conv" and rank < 3 and weight.shape[1] == 1 < groups:
        return LayerKind(f"depthwise_conv{rank}d", groups)
    return LayerKind(f"{family}{rank}d", groups)


def _einsum(weight: TensorInfo) -> LayerKind:
    """A layer of Keras that multiplies by a tensor: a projection of attention, or what its equation says."""
    rank = len(weight.shape)
    projection = weight.config.get("projection")
    heads = ("heads", "head_dim")
    if projection == "input" and rank == 3:
        return LayerKind("attention", axes=("features", *heads), bias_axes=heads)
    if projection == "output" and rank > 2:
        features = _numbered("features", rank - 2)
        return LayerKind("attention", axes=(*heads, *features), bias_axes=features)
    found = _EQUATION.fullmatch(str(weight.config.get("equation", "")).replace(" ", "").replace("...", ""))
    if found is None or len(found["kernel"]) != rank:
        return LayerKind("tensor")
    taken, kernel, given = found["taken"], found["kernel"], found["given"]
    names = {letter: letter for letter in given}  # those of both sides are neither
    summed, made = ([each for each in kernel if each not in side] for side in (given, taken))
    names |= zip(summed, _numbered("in", len(summed)), strict=True)
    names |= zip(made, _numbered("out", len(made)), strict=True)
    return LayerKind(
        "einsum_dense", axes=tuple(names[each] for each in kernel), bias_axes=tuple(names[each] for each in given)
    )


def _numbered(name: str, count: int) -> tuple[str, ...]:
    return (name,) if count == 1 else tuple(f"{name}{index}" for index in range(1, count + 1))


def _groups(weight: TensorInfo, layout: str) -> int:
    groups = weight.config.get("groups", weight.config.get("group", 1))
    channels = weight.shape[-1 if layout == "keras" else 0]
    return groups if type(groups) is int and groups > 0 and channels % groups == 0 else 1


def _transposed(prefix: str, weight: TensorInfo, bias: TensorInfo | None, layout: str) -> tuple[str, int]:
    """Whether a convolution without a class is transposed, and its groups.

    The bias has as many numbers as there are outputs, which tells the two axes apart unless they are equally long or
    there is none; then the name tells.
    """
    outer, inner = (weight.shape[-1], weight.shape[-2]) if layout == "keras" else weight.shape[:2]
    outputs = bias.shape[0] if bias is not None and len(bias.shape) == 1 else None
    groups = outputs // inner if outputs and inner else 1
    fits_plain = outputs in (None, outer)
    fits_transposed = outputs is None or (outputs > 0 and outputs == groups * inner and outer % groups == 0)
    if fits_transposed and (not fits_plain or _says_transposed(prefix)):
        return "conv_transpose", groups
    return "conv", 1


def _says_transposed(prefix: str) -> bool:
    parent, last = split(prefix)
    name = (split(parent)[1] + last).lower()
    return any(word in name for word in _TRANSPOSED)


def _in_first(weight: TensorInfo, bias: TensorInfo | None, layout: str) -> bool:
    """Whether a dense weight has its inputs first, as Keras and ONNX's MatMul have, and Gemm without `transB`."""
    if layout == "keras" or weight.layer == "MatMul":
        return True
    if weight.layer == "Gemm":
        return not weight.config.get("transB", 0)
    return bias is not None and bias.shape == weight.shape[1:] != weight.shape[:1]


def _words(prefix: str, components: int) -> set[str]:
    """The words of the last components of `prefix`, without digits at their ends."""
    parts = prefix.lower().replace("/", ".").strip(".").split(".")[-components:]
    return {word.rstrip("0123456789") for part in parts for word in part.split("_")}
