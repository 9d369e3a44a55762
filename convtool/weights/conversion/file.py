"""A weight file in another layout: its tensors transposed and renamed, and recurrent gates put in order.

========================  ==============================  ==============================  ==========================
layer                     torch                           Keras                           ONNX
========================  ==============================  ==============================  ==========================
convolution, dense        weight, bias                    kernel, bias                    weight, bias
attention                 weight, bias (of dense layers)  kernel, bias                    weight, bias
depthwise                 weight                          depthwise_kernel                weight
embedding                 weight                          embeddings                      weight
norm                      weight, bias, running_mean,     gamma, beta, moving_mean,       scale, B, input_mean,
                          running_var                     moving_variance                 input_var
recurrent                 weight_ih_l0, weight_hh_l0,     kernel, recurrent_kernel, bias  W, R, B
                          bias_ih_l0, bias_hh_l0
========================  ==============================  ==============================  ==========================

Names of layers are joined by slashes in Keras and by dots elsewhere. The layers that torch stacks in one `nn.LSTM`
become `lstm_l0`, `lstm_l1`..., its two directions `forward_lstm` and `backward_lstm` as in Keras's `Bidirectional`;
from Keras and ONNX every layer becomes one `nn.LSTM`. ONNX's dense weight is that of a Gemm with `transB`.

Convolutions correlate in all three, so their kernels are never flipped, those of transposed convolutions neither: each
defines them as the adjoint of its convolution, and how it pads or crops does not enter its weights.

What can't be told, and what the other layout has no place for (`num_batches_tracked`), stays as it is, but for the
separators in its name; `convtool.weights.conversion.notes` says so.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from convtool.arrays.description import PIECE_BYTES, TensorInfo, WeightFile
from convtool.errors import InputError
from convtool.weights.conversion.deferred import Converted, Deferred, of_tensor
from convtool.weights.conversion.notes import notes
from convtool.weights.conversion.recurrent import convert_recurrent
from convtool.weights.filters import in_axes
from convtool.weights.kinds import RECURRENT, LayerKind
from convtool.weights.layouts import GATES, Described, axes_of, recurrent_axes
from convtool.weights.naming import in_habit

if TYPE_CHECKING:
    from numpy.typing import NDArray

NORM_WORDS = {
    "torch": {"weight": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"},
    "keras": {"weight": "gamma", "bias": "beta", "mean": "moving_mean", "var": "moving_variance"},
    "onnx": {"weight": "scale", "bias": "B", "mean": "input_mean", "var": "input_var"},
}
"""What the tensors of a norm are called."""

_KEPT = ("activation", "units", "node", "module", "uses")
"""What is told of a layer that its weights have no part in, and no layout changes."""


class ConvertedFile(WeightFile):
    """The tensors of `file` in the layout `to`; values are read and put in order when they are asked for.

    Args:
        file: stays open, and the caller's to close.
        described: what `describe` says of its tensors.
        to: `torch`, `keras` or `onnx`.

    Attributes:
        told: what there is to say of the conversion; `notes` are those of `file`.

    Raises:
        InputError: two tensors have one name there.
    """

    def __init__(self, file: WeightFile, described: Sequence[Described], *, to: str) -> None:
        converted = convert(described, to=to)
        self.described = [each.described for each in converted]
        self.tensors = tuple(each.tensor for each in self.described)
        _refuse_alike(converted, to)
        self.format, self.layout = file.format, to
        self.told = notes(described, converted, to)
        self.notes = file.notes
        self.metadata, self.damage = file.metadata, file.damage
        self.threadsafe = file.threadsafe
        self._file = file
        self._arrays = {id(each.described.tensor): each.array for each in converted}

    def calls(self) -> list[str]:
        return self._file.calls()

    def unsound(self) -> list[str]:
        return self._file.unsound()

    def moved(self, tensor: TensorInfo) -> tuple[WeightFile, TensorInfo, tuple[int, ...]] | None:
        """The file, the tensor of it and the order of axes that `tensor` is; None where it is more than that."""
        array = self._arrays[id(tensor)]
        return None if array.order is None else (self._file, array.sources[0], array.order)

    def find(self, name: str) -> TensorInfo:
        """The tensor called `name` here, or in the file that it was converted from."""
        with suppress(InputError):
            return super().find(name)
        source = self._file.find(name)
        return next(tensor for tensor in self.tensors if source in self._arrays[id(tensor)].sources)

    def pieces(self, tensor: TensorInfo) -> Iterator[NDArray[Any]]:
        """The values of `tensor`, which are put in order as a whole first."""
        values = self.values(tensor).reshape(-1)
        count = max(1, PIECE_BYTES // values.itemsize)
        for start in range(0, len(values), count):
            yield values[start : start + count]

    def packed(self, tensor: TensorInfo) -> Iterator[NDArray[Any]]:
        moved = self.moved(tensor)
        if moved is None or moved[2] != tuple(range(len(tensor.shape))):
            return super().packed(tensor)
        return moved[0].packed(moved[1])

    def scales(self, tensor: TensorInfo) -> Iterator[NDArray[Any]]:
        for source in self._arrays[id(tensor)].sources:
            yield from self._file.scales(source)

    def values(self, tensor: TensorInfo) -> NDArray[Any]:
        """The values of `tensor` in its shape."""
        return self._arrays[id(tensor)].values(self._file)


def convert(described: Sequence[Described], *, to: str) -> list[Converted]:
    """A file's tensors in the layout `to`, each layer in the place where the first of its tensors was.

    A layer that `to` has no counterpart of stays as it is, unreadable and with a flag that says why: a GRU that resets
    before the recurrent product in torch, a projection in Keras, activations other than the usual.

    Args:
        described: what `describe` says of the tensors; recurrent layers must be whole.
        to: `torch`, `keras` or `onnx`.
    """
    layers: dict[tuple[str, int], list[Described]] = {}
    for each in described:
        if each.kind in RECURRENT:
            layers.setdefault((each.prefix, each.level), []).append(each)
    levels = Counter(prefix for prefix, _ in layers)
    made: list[Converted] = []
    for each in described:
        if each.layout in ("", to):
            made.append(Converted(each, of_tensor(each.tensor)))
            continue
        if each.kind in ("tensor", "state", "einsum_dense") or each.role == "count":
            made.append(_kept(each, to))
            continue
        layer = layers.pop((each.prefix, each.level), []) if each.kind in RECURRENT else [each]
        try:
            if each.kind not in RECURRENT:
                made.append(_plain(each, to))
            elif layer:
                made += _recurrent(layer, to, stacked=levels[each.prefix] > 1)
        except InputError as error:
            made += [_refused(part, to, str(error)) for part in layer]
    return _retied(made)


def _refuse_alike(converted: Sequence[Converted], to: str) -> None:
    found: dict[str, Converted] = {}
    for each in converted:
        name = each.described.tensor.name
        if (first := found.setdefault(name, each)) is not each:
            sources = (next(iter(one.array.sources), one.described.tensor).name for one in (first, each))
            both = " and ".join(map(repr, sources))
            raise InputError(f"{both} have one name in {to}'s layout, {name!r}; rename one of them")


def _kept(each: Described, to: str) -> Converted:
    """What has no layout of its own; but the slopes of ONNX's PRelu are shaped like what they multiply, `(C, 1, 1)`."""
    renamed, array = replace(_renamed(each, to), layout=to), of_tensor(each.tensor)
    if each.tensor.layer == "PRelu" and each.layout == "onnx":
        array = array.reshape((math.prod(array.shape),))
        renamed = replace(renamed, tensor=replace(renamed.tensor, shape=array.shape), axes=("0",))
    return Converted(renamed, array)


def _renamed(each: Described, to: str) -> Described:
    """What stays as it is, called as the others are."""
    tensor = replace(each.tensor, name=in_habit(each.tensor.name, to))
    return replace(each, tensor=tensor, prefix=in_habit(each.prefix, to))


def _projection(each: Described) -> tuple[Described, Deferred]:
    """A tensor of one of attention's projections as Keras has it, as that of a dense layer: its heads side by side."""
    array, rank = of_tensor(each.tensor), len(each.axes)
    if each.kind == "bias":
        return replace(each, axes=("out",)), array if rank == 1 else array.reshape((math.prod(array.shape),))
    inputs = 1 if each.axes[0] == "features" else 2
    sizes = math.prod(array.shape[:inputs]), math.prod(array.shape[inputs:])
    return replace(each, kind="dense", axes=("in", "out")), array.reshape(sizes)


def _plain(each: Described, to: str) -> Converted:
    """A tensor that is converted by itself."""
    array, tensor = of_tensor(each.tensor), each.tensor
    if each.tensor.config.get("projection"):
        each, array = _projection(each)
    axes = each.axes
    transposed = each.kind.startswith("conv_transpose")
    if transposed and each.groups > 1 and to == "keras":
        raise InputError(f"it has {each.groups} groups, and Keras's transposed convolution has none")
    factor = tensor.config.get("beta" if each.kind == "bias" else "alpha", 1) if tensor.layer == "Gemm" else 1
    if factor != 1:
        raise InputError(f"its Gemm multiplies it by {factor}")
    if each.role == "weight" and each.kind != "norm":
        axes = axes_of(LayerKind(each.kind, each.groups), to, len(each.axes))
        array = in_axes(array, each.axes, axes, groups=each.groups)
    prefix = in_habit(each.prefix, to)
    name = prefix + _word(each, to) * (each.prefix != tensor.name)  # else no word of it tells its part
    made = _derived(name, array, tensor, _settings(each, to))
    return Converted(replace(each, tensor=made, axes=axes, layout=to, prefix=prefix), array)


def _word(each: Described, to: str) -> str:
    """What the tensor is called within its layer."""
    if each.kind == "norm":
        return NORM_WORDS[to][each.role]
    if each.role == "weight" and to == "keras":
        return "embeddings" if each.kind == "embedding" else "depthwise_" * ("depthwise" in each.kind) + "kernel"
    return each.role


def _settings(each: Described, to: str) -> dict[str, Any]:
    """What a layer must be told to use the weight as it is."""
    if each.kind == "dense" and to == "onnx":
        return {"transB": 1}
    if "conv" in each.kind and each.groups > 1 and (to != "keras" or each.kind.startswith("conv")):
        return {"group" if to == "onnx" else "groups": each.groups}
    return {}


def _recurrent(tensors: Sequence[Described], to: str, *, stacked: bool) -> list[Converted]:
    prefix, made, config = convert_recurrent(tensors, to=to, stacked=stacked)
    kind = tensors[0].kind
    return [
        Converted(
            Described(
                _derived(part.name, part.array, tensors[0].tensor, config),
                kind,
                recurrent_axes(kind, part.role, to, len(part.array.shape)),
                to,
                prefix,
                part.role,
                gates=GATES.get((kind, to), ()),
                reverse=part.reverse,
            ),
            part.array,
        )
        for part in made
    ]


def _derived(name: str, array: Deferred, of_layer: TensorInfo, config: dict[str, Any]) -> TensorInfo:
    """The description of `array`; where no tensor is its source, with the dtype of another of its layer."""
    sources = array.sources or (of_layer,)
    size = math.prod(sources[0].shape)
    return TensorInfo(
        name,
        array.shape,
        sources[0].dtype,
        sources[0].nbytes * math.prod(array.shape) // size if size else 0,
        config={key: of_layer.config[key] for key in _KEPT if key in of_layer.config} | config,
        tied_to=sources[0].tied_to if len(array.sources) == 1 else "",
        flag="; ".join(dict.fromkeys(source.flag for source in sources if source.flag)),
        readable=all(source.readable for source in sources),
        opaque=any(source.opaque for source in sources),
    )


def _refused(each: Described, to: str, reason: str) -> Converted:
    source, reason = each.tensor, f"can't be converted to {to}: {reason}"

    def values(_: WeightFile) -> NDArray[Any]:
        raise InputError(f"tensor {source.name!r} {reason}")

    each = _renamed(each, to)
    tensor = replace(each.tensor, flag="; ".join(filter(None, (each.tensor.flag, reason))), readable=False)
    return Converted(replace(each, tensor=tensor), Deferred(tensor.shape, (source,), values))


def _retied(made: Sequence[Converted]) -> list[Converted]:
    """`made` with the tensors that share values naming each other as they are called now."""
    names = {each.array.sources[0].name: each.described.tensor.name for each in made if len(each.array.sources) == 1}
    return [
        replace(each, described=replace(each.described, tensor=replace(tensor, tied_to=names[tensor.tied_to])))
        if (tensor := each.described.tensor).tied_to in names
        else each
        for each in made
    ]
