"""What tensors are, told from names, shapes and what stands beside them; and never more than they tell."""

from __future__ import annotations

from typing import Any

import pytest

from convtool.arrays.description import TensorInfo
from convtool.weights.layouts import Described, describe
from tests.helpers.weight_arrays import info

Shape = tuple[int, ...]
Expected = tuple[str, tuple[str, ...]]
NUMBERED = ("0", "1", "2", "3", "4", "5")


def told(layout: str, *tensors: TensorInfo) -> dict[str, Described]:
    return {each.tensor.name: each for each in describe(tensors, layout=layout)}


def of(layout: str, tensors: dict[str, Shape]) -> dict[str, Expected]:
    """Kind and axes of tensors of whose layers nothing is told."""
    found = told(layout, *(info(name, shape) for name, shape in tensors.items()))
    return {name: (each.kind, each.axes) for name, each in found.items()}


def kinds(layout: str, tensors: dict[str, Shape]) -> list[str]:
    return [kind for kind, _ in of(layout, tensors).values()]


# By names and shapes


@pytest.mark.parametrize(
    ("layout", "name", "shape", "kind", "axes"),
    [
        ("torch", "conv.weight", (8, 4, 3), "conv1d", ("out", "in", "K")),
        ("torch", "conv.weight", (8, 4, 3, 5), "conv2d", ("out", "in", "H", "W")),
        ("torch", "conv.weight", (8, 4, 3, 5, 7), "conv3d", ("out", "in", "D", "H", "W")),
        ("torch", "conv1_weight", (8, 4, 3), "conv1d", ("out", "in", "K")),
        ("torch", "weight", (8, 4), "dense", ("out", "in")),
        ("torch", "attention.in_proj_weight", (12, 4), "dense", ("out", "in")),
        ("torch", "deconv.weight", (4, 4, 3, 3), "conv_transpose2d", ("in", "out", "H", "W")),
        ("torch", "decoder.upconv1.0.weight", (4, 4, 3), "conv_transpose1d", ("in", "out", "K")),
        ("torch", "stem.dwconv.weight", (4, 1, 3, 3), "depthwise_conv2d", ("in*mult", "1", "H", "W")),
        ("torch", "block.conv_dw.weight", (4, 1, 3), "depthwise_conv1d", ("in*mult", "1", "K")),
        ("torch", "optimizer_net.weight", (8, 4), "dense", ("out", "in")),
        ("torch", "wte.weight", (100, 8), "embedding", ("tokens", "features")),
        ("torch", "embeddings.word_embeddings.weight", (100, 8), "embedding", ("tokens", "features")),
        ("torch", "model.norm.weight", (8,), "norm", ("features",)),
        ("torch", "layers.0.input_layernorm.weight", (8,), "norm", ("features",)),
        ("torch", "ln_f.weight", (8,), "norm", ("features",)),
        ("torch", "bn1.running_mean", (8,), "norm", ("features",)),
        ("torch", "bn1.num_batches_tracked", (), "norm", ()),
        ("torch", "fc.bias", (8,), "bias", ("out",)),
        ("keras", "conv1d/kernel", (3, 4, 8), "conv1d", ("K", "in", "out")),
        ("keras", "conv2d/kernel", (3, 5, 4, 8), "conv2d", ("H", "W", "in", "out")),
        ("keras", "conv3d/kernel", (3, 5, 7, 4, 8), "conv3d", ("D", "H", "W", "in", "out")),
        ("keras", "conv2d_transpose/kernel", (3, 3, 8, 4), "conv_transpose2d", ("H", "W", "out", "in")),
        ("keras", "dw/depthwise_kernel", (3, 3, 4, 2), "depthwise_conv2d", ("H", "W", "in", "mult")),
        ("keras", "dw/depthwise_kernel", (3, 4, 2), "depthwise_conv1d", ("K", "in", "mult")),
        ("keras", "depthwise_conv2d_1/kernel", (3, 3, 4, 2), "depthwise_conv2d", ("H", "W", "in", "mult")),
        ("keras", "layers.0.kernel", (4, 8), "dense", ("in", "out")),
        ("keras", "embedding/embeddings", (100, 8), "embedding", ("tokens", "features")),
        ("keras", "bn/moving_variance", (8,), "norm", ("features",)),
        ("onnx", "conv.weight", (8, 4, 3, 5), "conv2d", ("out", "in", "H", "W")),
        ("", "conv/kernel", (3, 5, 4, 8), "conv2d", ("H", "W", "in", "out")),
        ("", "conv.weight", (8, 4, 3, 5), "conv2d", ("out", "in", "H", "W")),
        ("", "Embed_0/embedding", (100, 8), "embedding", ("tokens", "features")),
        ("", "lstm.weight_hh_l0", (16, 4), "lstm", ("4H", "H")),
        ("", "fc.bias", (8,), "bias", ("out",)),
    ],
)
def test_a_tensor_that_says_what_it_is(layout: str, name: str, shape: Shape, kind: str, axes: tuple[str, ...]) -> None:
    assert of(layout, {name: shape}) == {name: (kind, axes)}


@pytest.mark.parametrize(
    ("layout", "name", "shape"),
    [
        ("", "arr_0", (3, 3, 4, 8)),
        ("", "mel_80", (80, 201)),
        ("torch", "cls_token", (1, 1, 8)),
        ("torch", "pos_embed", (1, 197, 8)),
        ("torch", "act.weight", (8,)),  # the slopes of nn.PReLU
        ("torch", "blocks.0.gamma", (8,)),  # a layer scale
        ("torch", "blocks.0.gamma", (8, 1, 1)),
        ("torch", "logit_scale", ()),
        ("torch", "conv.weight_g", (8, 1, 1)),
        ("torch", "scale", (3,)),
        ("torch", "conv.weight", (8, 4, 3, 3, 3, 3)),
        ("torch", "weight", ()),
        ("torch", "conv/kernel", (3, 3, 4, 8)),  # not torch's word
        ("torch", "rec.weight_ih_l0", (16, 3)),  # of which kind, only weight_hh tells
        ("torch", "rec.weight_hh_l0", (14, 4)),
        ("torch", "rec.weight_hh_l0", (16,)),
        ("torch", "rec.weight_hh_l99999999999999999999999", (16, 4)),
        ("torch", "relative_position.bias", (8, 8)),
        ("torch", "optimizer.state.0.weight", (8, 8)),
        ("keras", "optimizer/conv2d_kernel", (3, 3, 4, 8)),
        ("keras", "dw/depthwise_kernel", (3, 3, 3, 4, 2)),
        ("keras", "conv_lstm/recurrent_kernel", (3, 3, 4, 16)),
        ("keras", "p_re_lu/alpha", (8,)),
    ],
)
def test_a_tensor_that_does_not(layout: str, name: str, shape: Shape) -> None:
    assert of(layout, {name: shape}) == {name: ("tensor", NUMBERED[: len(shape)])}


@pytest.mark.parametrize(
    ("layout", "tensors", "expected"),
    [
        ("torch", {"0.weight": (8,), "0.bias": (8,)}, ["norm", "norm"]),
        ("torch", {"0.weight": (8,), "0.running_mean": (8,), "0.running_var": (8,)}, ["norm"] * 3),
        ("torch", {"0.weight": (8, 4), "0.bias": (8, 4)}, ["tensor", "tensor"]),  # nn.LayerNorm over two axes
        ("torch", {"0.gamma": (8,), "0.beta": (8,)}, ["norm", "norm"]),
        ("torch", {"0.weight": (8,), "0.bias": (1,)}, ["tensor", "bias"]),
        ("torch", {"0.weight": (8, 4), "0.bias": (8,)}, ["dense", "bias"]),
        ("torch", {"embed.weight": (100, 8), "embed.bias": (100,)}, ["dense", "bias"]),
        ("torch", {"0.weight": (4, 8, 3), "0.bias": (8,)}, ["conv_transpose1d", "bias"]),
        ("torch", {"0.weight": (8, 4, 3), "0.bias": (8,)}, ["conv1d", "bias"]),
        ("torch", {"deconv.weight": (8, 4, 3), "deconv.bias": (8,)}, ["conv_transpose1d", "bias"]),  # two groups
        ("torch", {"deconv.weight": (8, 3, 3), "deconv.bias": (8,)}, ["conv1d", "bias"]),  # 8 outputs, not 3
        ("torch", {"deconv.weight": (4, 4, 3), "deconv.bias": (4,)}, ["conv_transpose1d", "bias"]),
        ("torch", {"0.weight": (8, 4, 3), "0.bias": (0,)}, ["conv1d", "bias"]),
        ("torch", {"0.weight": (8, 0, 3), "0.bias": (5,)}, ["conv1d", "bias"]),
        ("torch", {"0.weight": (8, 4, 3), "0.bias": (8, 1)}, ["tensor", "tensor"]),
        ("keras", {"c/kernel": (3, 8, 4), "c/bias": (8,)}, ["conv_transpose1d", "bias"]),
        ("keras", {"c/kernel": (3, 4, 8), "c/bias": (8,)}, ["conv1d", "bias"]),
        ("keras", {"mha/query/kernel": (16, 2, 8), "mha/query/bias": (2, 8)}, ["tensor", "tensor"]),
        ("keras", {"ln/gamma": (8,), "ln/beta": (8,)}, ["norm", "norm"]),
        ("", {"LayerNorm_0/scale": (8,), "LayerNorm_0/bias": (8,)}, ["norm", "norm"]),
        ("", {"c/kernel": (3, 4, 8), "c/bias": (8,)}, ["conv1d", "bias"]),
    ],
)
def test_told_by_what_stands_beside_it(layout: str, tensors: dict[str, Shape], expected: list[str]) -> None:
    assert kinds(layout, tensors) == expected


def test_groups_of_a_transposed_convolution_are_told_by_its_bias() -> None:
    found = told("torch", info("up.weight", (8, 3, 2)), info("up.bias", (12,)))["up.weight"]
    assert (found.kind, found.axes, found.groups) == ("conv_transpose1d", ("in", "out/groups", "K"), 4)


def test_dense_weights_with_inputs_first_are_told_by_their_bias() -> None:
    """As in GPT-2's checkpoints."""
    assert of("torch", {"c_attn.weight": (8, 24), "c_attn.bias": (24,)})["c_attn.weight"] == ("dense", ("in", "out"))


STACK = {"0.weight": (16, 3, 3, 3), "1.weight": (16, 1, 3, 3), "2.weight": (32, 16, 1, 1)}


@pytest.mark.parametrize(
    ("tensors", "expected"),
    [
        (STACK, ("depthwise_conv2d", 16)),
        ({**STACK, "0.weight": (16, 3)}, ("depthwise_conv2d", 16)),
        ({**STACK, "0.weight": (3, 16, 2, 2), "0.bias": (16,)}, ("depthwise_conv2d", 16)),
        ({**STACK, "2.weight": (32, 16)}, ("depthwise_conv2d", 16)),
        ({**STACK, "2.weight": (32, 16, 3, 3)}, ("depthwise_conv2d", 16)),
        ({**STACK, "0.weight": (32, 3, 3, 3)}, ("depthwise_conv2d", 16)),  # gated
        ({**STACK, "0.weight": (32, 3, 3, 3), "2.weight": (32, 16, 3, 3)}, ("conv2d", 1)),
        ({**STACK, "0.weight": (16, 1, 3, 3), "2.weight": (32, 16, 3, 3)}, ("conv2d", 1)),  # perhaps beside it
        ({"a.weight": (16, 3, 3, 3), "1.weight": (16, 1, 3, 3), "2.weight": (32, 16, 3, 3)}, ("conv2d", 1)),
        ({"a.0.weight": (16, 3, 3, 3), "1.weight": (16, 1, 3, 3), "2.weight": (32, 16, 3, 3)}, ("conv2d", 1)),
        ({"a.0.weight": (32, 3, 3, 3), "1.weight": (16, 1, 3, 3), "2.weight": (32, 16, 1, 1)}, ("conv2d", 1)),
        ({**STACK, "2.weight": (32, 48, 1, 1)}, ("conv2d", 1)),
        ({**STACK, "0.weight": (8, 3, 3, 3)}, ("conv2d", 1)),
        ({"1.weight": (16, 1, 3, 3), "2.weight": (32, 16, 1, 1)}, ("conv2d", 1)),  # the first of all
        ({"0.weight": (16, 3, 3, 3), "1.weight": (16, 1, 3, 3)}, ("conv2d", 1)),
        ({**STACK, "1.weight": (1, 1, 3, 3)}, ("conv2d", 1)),
        ({**STACK, "1.weight": (16, 1, 3, 3, 3)}, ("conv3d", 1)),
    ],
)
def test_depthwise_or_over_one_channel(tensors: dict[str, Shape], expected: tuple[str, int]) -> None:
    found = told("torch", *(info(name, shape) for name, shape in tensors.items()))["1.weight"]
    assert (found.kind, found.groups) == expected


@pytest.mark.parametrize(("config", "kind"), [({}, "depthwise_conv2d"), ({"groups": 1}, "conv2d")])
def test_a_class_without_its_settings_tells_no_groups(config: dict[str, int], kind: str) -> None:
    """TorchScript has the class alone, a pickled module both."""
    tensors = [info(name, shape, layer="Conv2d", **config) for name, shape in STACK.items()]
    assert told("torch", *tensors)["1.weight"].kind == kind


@pytest.mark.parametrize(("before", "groups"), [((8, 3, 1), 8), ((5, 3, 1), 16), ((1, 3, 1), 16)])
def test_channels_into_a_depthwise_convolution_are_those_of_the_layer_before(before: Shape, groups: int) -> None:
    found = told("torch", info("0.weight", before), info("depthwise.weight", (16, 1, 3)))["depthwise.weight"]
    assert (found.kind, found.groups) == ("depthwise_conv1d", groups)


def test_a_first_layer_over_one_channel_is_no_depthwise_one() -> None:
    """The (3, 3, 1, 32) kernel of a grey picture, and its transposed form."""
    assert kinds("keras", {"conv2d/kernel": (3, 3, 1, 32)}) == ["conv2d"]
    assert kinds("torch", {"conv2d.weight": (32, 1, 3, 3)}) == ["conv2d"]


# Recurrent layers


def test_recurrent_tensors_of_torch() -> None:
    shapes = {"weight_ih": (16, 3), "weight_hh": (16, 4), "bias_ih": (16,), "bias_hh": (16,)}
    axes = {"weight_ih": ("4H", "in"), "weight_hh": ("4H", "H"), "bias_ih": ("4H",), "bias_hh": ("4H",)}
    names = {f"rec.{word}_l{level}{way}": word for word in shapes for level in (0, 1) for way in ("", "_reverse")}
    for name, found in told("torch", *(info(name, shapes[word]) for name, word in names.items())).items():
        assert (found.kind, found.axes, found.gates) == ("lstm", axes[names[name]], ("i", "f", "g", "o"))
        assert (found.prefix, found.level, found.reverse) == ("rec.", int("_l1" in name), name.endswith("reverse"))


@pytest.mark.parametrize(
    ("rows", "kind", "axis", "gates"),
    [(16, "lstm", "4H", ("i", "f", "g", "o")), (12, "gru", "3H", ("r", "z", "n")), (4, "rnn", "H", ())],
)
def test_kinds_of_recurrent_layers_are_told_by_their_gates(
    rows: int, kind: str, axis: str, gates: tuple[str, ...]
) -> None:
    tensors = [info("cell.weight_ih", (rows, 3)), info("cell.weight_hh", (rows, 4)), info("cell.bias_ih", (rows,))]
    found = list(told("torch", *tensors).values())
    assert [each.kind for each in found] == [kind] * 3
    assert [each.axes for each in found] == [(axis, "in"), (axis, "H"), (axis,)]
    assert [each.gates for each in found] == [gates] * 3


def test_projected_lstm() -> None:
    found = of("torch", {"r.weight_ih_l0": (16, 3), "r.weight_hh_l0": (16, 2), "r.weight_hr_l0": (2, 4)})
    assert [axes for _, axes in found.values()] == [("4H", "in"), ("4H", "P"), ("P", "H")]
    assert [kind for kind, _ in found.values()] == ["lstm"] * 3


@pytest.mark.parametrize("cell", ["", "lstm_cell/", "lstm_cell_3/", "cell/"])
def test_recurrent_tensors_of_keras(cell: str) -> None:
    shapes = {"kernel": (3, 16), "recurrent_kernel": (4, 16), "bias": (16,)}
    found = told("keras", *(info(f"lstm/{cell}{word}", shape) for word, shape in shapes.items()))
    assert [(each.kind, each.axes) for each in found.values()] == [
        ("lstm", ("in", "4H")),
        ("lstm", ("H", "4H")),
        ("lstm", ("4H",)),
    ]
    assert {(each.prefix, each.gates) for each in found.values()} == {("lstm/", ("i", "f", "c", "o"))}


def stacked(units: int, gates: int, inputs: int, *, biases: int = 1) -> dict[str, Shape]:
    bias = (gates * units,) if biases == 1 else (biases, gates * units)
    return {"kernel": (inputs, gates * units), "recurrent_kernel": (units, gates * units), "bias": bias}


@pytest.mark.parametrize("classes", [True, False])
@pytest.mark.parametrize("layout", ["keras", ""])
@pytest.mark.parametrize("backwards", [True, False])
def test_each_of_several_cells_of_keras_is_a_layer_of_its_own_kind(
    layout: str, *, classes: bool, backwards: bool
) -> None:
    cells = {"lstm_cell": ("LSTM", stacked(4, 4, 3)), "gru_cell": ("GRU", stacked(8, 3, 4, biases=2))}
    cells |= {"lstm_cell_1": ("LSTM", stacked(2, 4, 8)), "simple_rnn_cell": ("SimpleRNN", stacked(3, 1, 2))}
    tensors = [
        info(f"rnn/{cell}/{word}", shape, layer=kind if classes else "")
        for cell, (kind, shapes) in cells.items()
        for word, shape in shapes.items()
    ]
    found = told(layout, *(reversed(tensors) if backwards else tensors))
    kinds = {"lstm_cell": "lstm", "gru_cell": "gru", "lstm_cell_1": "lstm", "simple_rnn_cell": "rnn"}
    assert {cell: found[f"rnn/{cell}/{word}"].kind for word in ("bias", "kernel") for cell in cells} == kinds
    assert {cell: found[f"rnn/{cell}/bias"].prefix for cell in cells} == {cell: f"rnn/{cell}/" for cell in cells}
    assert found["rnn/gru_cell/kernel"].gates == ("z", "r", "h")
    assert [found[f"rnn/gru_cell/{word}"].axes for word in cells["gru_cell"][1]] == [
        ("in", "3H"),
        ("H", "3H"),
        ("2", "3H"),
    ]


def test_gru_of_keras_with_two_biases() -> None:
    found = told("keras", info("gru/recurrent_kernel", (4, 12)), info("gru/bias", (2, 12)))
    assert (found["gru/bias"].axes, found["gru/bias"].gates) == (("2", "3H"), ("z", "r", "h"))


@pytest.mark.parametrize(
    ("place", "prefix"), [("both/{}_lstm/lstm_cell/", "both/"), ("both/{}_layer/", "both/"), ("{}_lstm/", "lstm/")]
)
def test_both_directions_of_keras_are_one_layer(place: str, prefix: str) -> None:
    shapes = {"kernel": (3, 16), "recurrent_kernel": (4, 16)}
    names = {place.format(way) + word: (way, word) for way in ("forward", "backward") for word in shapes}
    for name, found in told("keras", *(info(name, shapes[word]) for name, (_, word) in names.items())).items():
        assert (found.prefix, found.reverse) == (prefix, names[name][0] == "backward")


@pytest.mark.parametrize("name", ["forward_lstm", "backward_lstm", "forward"])
def test_a_direction_without_the_other_is_a_layer_of_that_name(name: str) -> None:
    found = told("keras", info(f"{name}/recurrent_kernel", (4, 16)))[f"{name}/recurrent_kernel"]
    assert (found.prefix, found.reverse) == (f"{name}/", False)


def test_separable_convolution_is_two_layers() -> None:
    found = told(
        "keras",
        info("s/depthwise_kernel", (3, 3, 4, 2)),
        info("s/pointwise_kernel", (1, 1, 8, 5)),
        info("s/bias", (5,)),
    )
    assert [(each.kind, each.prefix) for each in found.values()] == [
        ("depthwise_conv2d", "s/depthwise/"),
        ("conv2d", "s/pointwise/"),
        ("bias", "s/pointwise/"),
    ]


def test_lstm_of_nam_keeps_input_and_recurrent_weights_side_by_side() -> None:
    names = {"layers.0.weight": (16, 7), "layers.0.bias": (16,), "layers.0.h0": (4,)}
    found = told(
        "torch",
        *(info(name, shape, layer="LSTM") for name, shape in names.items()),
        info("head.weight", (4,), layer="Linear"),
    )
    assert [(each.kind, each.axes) for each in found.values()] == [
        ("lstm", ("4H", "in+H")),
        ("lstm", ("4H",)),
        ("tensor", ("0",)),
        ("dense", ("in",)),
    ]


# By what the file says of their layers


IN_OUT = ("in", "out/groups", "K")
OUT_IN_DEPTH = ("out", "in/groups", "D", "H", "W")


def layer(name: str, shape: Shape, kind: str, **config: Any) -> TensorInfo:
    return info(name, shape, layer=kind, **config)


@pytest.mark.parametrize(
    ("layout", "tensor", "kind", "axes", "groups"),
    [
        ("keras", layer("a/kernel", (3, 8, 4), "Conv1DTranspose"), "conv_transpose1d", ("K", "out", "in"), 1),
        ("keras", layer("a/kernel", (3, 4, 2), "DepthwiseConv1D"), "depthwise_conv1d", ("K", "in", "mult"), 4),
        ("keras", layer("a/kernel", (3, 4, 8), "Conv1D", groups=2), "conv1d", ("K", "in/groups", "out"), 2),
        ("keras", layer("a/kernel", (3, 4, 8), "EinsumDense"), "tensor", ("0", "1", "2"), 1),
        ("keras", layer("a/kernel", (3, 4, 8), "Own"), "conv1d", ("K", "in", "out"), 1),
        ("keras", layer("a/scale", (8,), "RMSNormalization"), "norm", ("features",), 1),
        ("keras", layer("a/kernel", (4, 8), "SpectralNormalization"), "dense", ("in", "out"), 1),
        ("keras", layer("a/kernel", (4, 8), "Conv2D"), "tensor", ("0", "1"), 1),
        ("keras", layer("a/kernel", (3, 3, 4, 8), "Dense"), "tensor", ("0", "1", "2", "3"), 1),
        ("torch", layer("a.weight", (8, 1, 3), "Conv1d", groups=4), "depthwise_conv1d", ("in*mult", "1", "K"), 4),
        ("torch", layer("a.weight", (8, 1, 3, 3, 3), "Conv3d", groups=4), "conv3d", OUT_IN_DEPTH, 4),
        ("torch", layer("a.weight", (8, 3, 3), "Conv1d", groups=3), "conv1d", ("out", "in", "K"), 1),  # 8 is not 3 n
        ("torch", layer("a.weight", (8, 3, 3), "Conv1d", groups=2.0), "conv1d", ("out", "in", "K"), 1),
        ("torch", layer("a.weight", (8, 1, 3), "DepthwiseConv1D"), "tensor", ("0", "1", "2"), 1),
        ("onnx", layer("7", (8, 2, 3), "Conv", input=1, group=2), "conv1d", ("out", "in/groups", "K"), 2),
        ("onnx", layer("7", (8, 2, 3), "ConvTranspose", input=1, group=2), "conv_transpose1d", IN_OUT, 2),
        ("onnx", layer("7", (8,), "Conv", input=2), "bias", ("out",), 1),
        ("onnx", layer("7", (8, 4), "Gemm", input=1), "dense", ("in", "out"), 1),
        ("onnx", layer("7", (8, 4), "Gemm", input=1, transB=1), "dense", ("out", "in"), 1),
        ("onnx", layer("7", (8, 4), "MatMul", input=1), "dense", ("in", "out"), 1),
        ("onnx", layer("7", (8, 4), "MatMul", input=0), "tensor", ("0", "1"), 1),
        ("onnx", layer("7", (100, 8), "Gather", input=0), "embedding", ("tokens", "features"), 1),
        ("onnx", layer("7", (4,), "Gather", input=0), "tensor", ("0",), 1),
        ("onnx", layer("7", (8,), "BatchNormalization", input=3), "norm", ("features",), 1),
        ("onnx", layer("fc.bias", (8,), "Add", input=1), "bias", ("out",), 1),
        ("onnx", layer("7", (2, 16, 3), "LSTM", input=1, node="n"), "lstm", ("dirs", "4H", "in"), 1),
        ("onnx", layer("7", (2, 12, 4), "GRU", input=2, node="n"), "gru", ("dirs", "3H", "H"), 1),
        ("onnx", layer("7", (2, 8), "RNN", input=3, node="n"), "rnn", ("dirs", "2H"), 1),
        ("onnx", layer("7", (2, 12), "LSTM", input=7, node="n"), "lstm", ("dirs", "3H"), 1),
        ("onnx", layer("7", (2, 1, 4), "LSTM", input=5, node="n"), "state", ("0", "1", "2"), 1),
        ("onnx", layer("7", (2, 1, 4), "LSTM", input=6, node="n"), "state", ("0", "1", "2"), 1),
        ("onnx", layer("7", (2, 1, 4), "GRU", input=6, node="n"), "tensor", ("0", "1", "2"), 1),
    ],
)  # fmt: skip
def test_told_by_the_class_of_its_layer(
    layout: str, tensor: TensorInfo, kind: str, axes: tuple[str, ...], groups: int
) -> None:
    (found,) = describe([tensor], layout=layout)
    assert (found.kind, found.axes, found.groups) == (kind, axes, groups)


@pytest.mark.parametrize(
    ("config", "kernel", "bias", "expected"),
    [
        ({"projection": "input"}, (12, 3, 4), (3, 4), ("attention", "features,heads,head_dim", "heads,head_dim")),
        ({"projection": "output"}, (3, 4, 12), (12,), ("attention", "heads,head_dim,features", "features")),
        (
            {"projection": "output"},
            (3, 4, 2, 6),
            (2, 6),
            ("attention", "heads,head_dim,features1,features2", "features1,features2"),
        ),
        ({"projection": "input"}, (12, 3), (3,), ("tensor", "0,1", "out")),
        ({"projection": "output"}, (12, 3), (3,), ("tensor", "0,1", "out")),
        ({"equation": "abc,cde->abde"}, (12, 3, 4), (3, 4), ("einsum_dense", "in,out1,out2", "out1,out2")),
        ({"equation": "abde, dec -> abc"}, (3, 4, 12), (12,), ("einsum_dense", "in1,in2,out", "out")),
        ({"equation": "...x,xy->...y"}, (12, 3), (3,), ("einsum_dense", "in,out", "out")),
        ({"equation": "abc,bcd->abd"}, (5, 12, 3), (5, 3), ("einsum_dense", "b,in,out", "b,out")),
        ({"equation": "abc,cd->abd"}, (12, 3, 4), (4,), ("tensor", "0,1,2", "out")),
        ({"equation": "abc->abd"}, (12, 3), (3,), ("tensor", "0,1", "out")),
        ({}, (12, 3), (3,), ("tensor", "0,1", "out")),
    ],
)
def test_products_of_keras_by_their_equation(
    config: dict[str, str], kernel: Shape, bias: Shape, expected: tuple[str, str, str]
) -> None:
    found = told(
        "keras",
        info("e/kernel", kernel, layer="EinsumDense", **config),
        info("e/bias", bias, layer="EinsumDense", **config),
    )
    axes = (",".join(found[f"e/{name}"].axes) for name in ("kernel", "bias"))
    assert (found["e/kernel"].kind, *axes) == expected


def test_bias_that_onnx_adds_by_itself_belongs_to_the_product() -> None:
    tensors = layer("fc.weight", (8, 4), "MatMul", input=1), layer("fc.bias", (4,), "Add", input=1)
    assert [each.kind for each in told("onnx", *tensors).values()] == ["dense", "bias"]


def test_recurrent_node_of_onnx_is_a_layer_whatever_its_tensors_are_called() -> None:
    tensors = [
        layer("onnx::LSTM_1", (1, 16, 3), "LSTM", input=1, node="/rec/LSTM"),
        layer("shared", (1, 16, 4), "LSTM", input=2, node="/rec/LSTM"),
    ]
    found = told("onnx", *tensors).values()
    assert [(each.prefix, each.role) for each in found] == [("/rec/LSTM.", "input"), ("/rec/LSTM.", "recurrent")]
    assert {each.gates for each in found} == {("i", "o", "f", "c")}


def test_nothing_is_nothing() -> None:
    assert describe([], layout="torch") == []
