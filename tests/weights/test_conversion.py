"""Weights in another framework's layout compute the same there: by Keras's and ONNX's own arithmetic, and by loops."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from convtool.arrays.description import TensorInfo
from convtool.weights.conversion.file import convert
from convtool.weights.filters import as_filters
from convtool.weights.layouts import describe
from tests.helpers import reference_layers as keras
from tests.helpers import reference_onnx as onnx
from tests.helpers.weight_arrays import Array, Arrays, arrays_of, info, model, rnn, signal, through, torch_output

LAYOUTS = ("torch", "keras", "onnx")
TORCH_LSTM = {"weight_ih_l0": (16, 3), "weight_hh_l0": (16, 4), "bias_ih_l0": (16,), "bias_hh_l0": (16,)}


def channels_first(x: Array) -> Array:
    return np.moveaxis(x, -1, 1)


def channels_last(x: Array) -> Array:
    return np.moveaxis(x, 1, -1)


# What each layer computes in torch, by the loops of Keras's definitions, and by ONNX's operators


def both_ways(run: Callable[..., Array], x: Array, w: Mapping[str, Array], kind: str) -> Array:
    """Keras's `Bidirectional`: the second layer sees time reversed, and its outputs are reversed again."""
    names = ("kernel", "recurrent_kernel", "bias")
    forward, backward = ([w[f"{kind}/{way}_{kind}/{name}"] for name in names] for way in ("forward", "backward"))
    return np.concatenate([run(x, *forward), run(x[:, ::-1], *backward)[:, ::-1]], axis=-1)


Weights = Mapping[str, Array]
CASES: dict[
    str, tuple[dict[str, nn.Module], Array, Callable[[Array, Weights], Array], Callable[[Array, Weights], Array]]
]
CASES = {
    **{
        f"conv{n}d": (
            {"conv": getattr(nn, f"Conv{n}d")(2, 5, 3)},
            signal(2, 2, *(5, 4, 6)[:n]),
            lambda x, w: channels_first(keras.conv(channels_last(x), w["conv/kernel"], w["conv/bias"])),
            lambda x, w: onnx.run("Conv", x, [w["conv.weight"], w["conv.bias"]]),
        )
        for n in (1, 2, 3)
    },
    "grouped": (
        {"conv": nn.Conv2d(4, 6, 3, groups=2)},
        signal(2, 4, 5, 4),
        lambda x, w: channels_first(keras.conv(channels_last(x), w["conv/kernel"], w["conv/bias"], groups=2)),
        lambda x, w: onnx.run("Conv", x, [w["conv.weight"], w["conv.bias"]], group=2),
    ),
    **{
        f"depthwise{n}d": (
            {"first": getattr(nn, f"Conv{n}d")(3, 3, 1), "dw": getattr(nn, f"Conv{n}d")(3, 6, 3, groups=3)},
            signal(2, 3, *(5, 4)[:n]),
            lambda x, w: channels_first(
                keras.depthwise_conv(
                    keras.conv(channels_last(x), w["first/kernel"], w["first/bias"]),
                    w["dw/depthwise_kernel"],
                    w["dw/bias"],
                )
            ),
            lambda x, w: onnx.run(
                "Conv",
                onnx.run("Conv", x, [w["first.weight"], w["first.bias"]]),
                [w["dw.weight"], w["dw.bias"]],
                group=3,
            ),
        )
        for n in (1, 2)
    },
    **{
        f"conv_transpose{n}d": (
            {"up": getattr(nn, f"ConvTranspose{n}d")(2, 5, 3, stride=2)},
            signal(2, 2, *(3, 4, 2)[:n]),
            lambda x, w: channels_first(keras.conv_transpose(channels_last(x), w["up/kernel"], w["up/bias"], stride=2)),
            lambda x, w: onnx.run("ConvTranspose", x, [w["up.weight"], w["up.bias"]], strides=[2] * (x.ndim - 2)),
        )
        for n in (1, 2, 3)
    },
    "dense": (
        {"fc": nn.Linear(4, 3)},
        signal(2, 4),
        lambda x, w: x @ w["fc/kernel"] + w["fc/bias"],
        lambda x, w: onnx.run("Gemm", x, [w["fc.weight"], w["fc.bias"]], transB=1),
    ),
    "batch norm": (
        {"bn": nn.BatchNorm1d(4)},
        signal(2, 4, 3),
        lambda x, w: channels_first(
            keras.batch_normalization(
                channels_last(x),
                *(w[f"bn/{name}"] for name in ("gamma", "beta", "moving_mean", "moving_variance")),
                epsilon=1e-5,
            )
        ),
        lambda x, w: onnx.run(
            "BatchNormalization", x, [w[f"bn.{name}"] for name in ("scale", "B", "input_mean", "input_var")]
        ),
    ),
    "layer norm": (
        {"norm": nn.LayerNorm(4)},
        signal(2, 3, 4),
        lambda x, w: keras.layer_normalization(x, w["norm/gamma"], w["norm/beta"], epsilon=1e-5),
        lambda x, w: onnx.run("LayerNormalization", x, [w["norm.scale"], w["norm.B"]]),
    ),
    "lstm": (
        {"lstm": rnn(nn.LSTM)},
        signal(2, 5, 3),
        lambda x, w: keras.lstm(x, w["lstm/kernel"], w["lstm/recurrent_kernel"], w["lstm/bias"]),
        lambda x, w: onnx.recurrent("LSTM", x, [w["lstm.W"], w["lstm.R"], w["lstm.B"]]),
    ),
    "bidirectional lstm": (
        {"lstm": rnn(nn.LSTM, bidirectional=True)},
        signal(2, 5, 3),
        lambda x, w: both_ways(keras.lstm, x, w, "lstm"),
        lambda x, w: onnx.recurrent("LSTM", x, [w["lstm.W"], w["lstm.R"], w["lstm.B"]], direction="bidirectional"),
    ),
    "stacked lstm": (
        {"rec": rnn(nn.LSTM, num_layers=2)},
        signal(2, 5, 3),
        lambda x, w: keras.lstm(
            keras.lstm(x, *(w[f"rec_l0/{name}"] for name in ("kernel", "recurrent_kernel", "bias"))),
            *(w[f"rec_l1/{name}"] for name in ("kernel", "recurrent_kernel", "bias")),
        ),
        lambda x, w: onnx.recurrent(
            "LSTM",
            onnx.recurrent("LSTM", x, [w[f"rec_l0.{name}"] for name in "WRB"]),
            [w[f"rec_l1.{name}"] for name in "WRB"],
        ),
    ),
    "gru": (
        {"gru": rnn(nn.GRU)},
        signal(2, 5, 3),
        lambda x, w: keras.gru(x, w["gru/kernel"], w["gru/recurrent_kernel"], w["gru/bias"]),
        lambda x, w: onnx.recurrent("GRU", x, [w["gru.W"], w["gru.R"], w["gru.B"]], linear_before_reset=1),
    ),
    "bidirectional gru": (
        {"gru": rnn(nn.GRU, bidirectional=True)},
        signal(2, 5, 3),
        lambda x, w: both_ways(keras.gru, x, w, "gru"),
        lambda x, w: onnx.recurrent(
            "GRU", x, [w["gru.W"], w["gru.R"], w["gru.B"]], linear_before_reset=1, direction="bidirectional"
        ),
    ),
    "rnn": (
        {"rnn": rnn(nn.RNN)},
        signal(2, 5, 3),
        lambda x, w: keras.simple_rnn(x, w["rnn/kernel"], w["rnn/recurrent_kernel"], w["rnn/bias"]),
        lambda x, w: onnx.recurrent("RNN", x, [w["rnn.W"], w["rnn.R"], w["rnn.B"]]),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_in_keras_s_layout_its_definition_gives_what_torch_does(case: str) -> None:
    layers, x, defined, _ = CASES[case]
    module = model(**layers)
    np.testing.assert_allclose(defined(x, through(arrays_of(module), "keras")), torch_output(module, x), atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_in_onnx_s_layout_its_operator_gives_what_torch_does(case: str) -> None:
    layers, x, _, operator = CASES[case]
    module = model(**layers)
    np.testing.assert_allclose(operator(x, through(arrays_of(module), "onnx")), torch_output(module, x), atol=1e-12)


@pytest.mark.parametrize("way", [("onnx",), ("keras", "onnx"), ("onnx", "keras"), ("keras",)], ids="-".join)
@pytest.mark.parametrize("case", CASES)
def test_there_and_back_to_the_bit(case: str, way: tuple[str, ...]) -> None:
    module = model(**CASES[case][0])
    for name, value in module.state_dict().items():
        if "keras" in way and "bias_hh" in name and "gru" not in name:
            value.zero_()  # Keras keeps the sum
    file = arrays_of(module)
    back = through(file, *way, "torch")
    if case == "stacked lstm":  # each of the others' layers is an nn.LSTM
        back = {f"rec.{name[7:-1]}{name[5]}": value for name, value in back.items()}
    assert back.keys() == file.arrays.keys()
    for name, value in file.arrays.items():
        assert (back[name].dtype, back[name].tobytes()) == (value.dtype, value.tobytes())


def test_without_biases() -> None:
    module = model(gru=rnn(nn.GRU, bias=False), conv=nn.Conv1d(2, 3, 4, bias=False))
    file = arrays_of(module)
    assert set(through(file, "keras")) == {"gru/kernel", "gru/recurrent_kernel", "conv/kernel"}
    assert set(through(file, "onnx")) == {"gru.W", "gru.R", "conv.weight"}
    assert set(through(file, "keras", "onnx", "torch")) == set(file.arrays)


# Keras itself

KERAS = """
import json, sys
import numpy as np
import keras

keras.config.set_dtype_policy("float64")
folder = sys.argv[1]
given = np.load(folder + "/given.npz")
made = {}
for name, (build, shape) in json.load(open(folder + "/layers.json")).items():
    random = np.random.default_rng(3)
    x = random.normal(size=shape)
    for whose in ("given", "own"):
        layer = eval(build, {"L": keras.layers})
        layer.build(shape)
        for variable in layer.weights:
            path = "/".join(part for part in variable.path.split("/") if not part.endswith("_cell"))
            drawn = random.uniform(0.1, 1, size=variable.shape) - 0.5 * (len(variable.shape) > 1)
            variable.assign(given[path] if whose == "given" else drawn)
            made[f"{whose} weight:{path}"] = keras.ops.convert_to_numpy(variable)
        made[f"{whose} output:{name}"] = keras.ops.convert_to_numpy(layer(x, training=False))
    made[f"input:{name}"] = x
np.savez(folder + "/made.npz", **made)
"""
IN_KERAS: dict[str, tuple[nn.Module, str, tuple[int, ...]]] = {
    "conv1d": (nn.Conv1d(2, 5, 3), "L.Conv1D(5, 3, name='conv1d')", (2, 6, 2)),
    "conv2d": (nn.Conv2d(2, 5, (3, 2)), "L.Conv2D(5, (3, 2), name='conv2d')", (2, 6, 5, 2)),
    "grouped": (nn.Conv2d(4, 6, 3, groups=2), "L.Conv2D(6, 3, groups=2, name='grouped')", (2, 6, 5, 4)),
    "dw": (nn.Conv2d(2, 6, 3, groups=2), "L.DepthwiseConv2D(3, depth_multiplier=3, name='dw')", (2, 6, 5, 2)),
    **{
        f"{padding}{taps}": (
            nn.ConvTranspose2d(2, 5, taps, stride=2),
            f"L.Conv2DTranspose(5, {taps}, strides=2, padding='{padding}', name='{padding}{taps}')",
            (2, 3, 4, 2),
        )
        for padding in ("valid", "same")
        for taps in (3, 4)
    },
    "dense": (nn.Linear(4, 3), "L.Dense(3, name='dense')", (2, 4)),
    "bn": (nn.BatchNorm2d(3, eps=1e-3), "L.BatchNormalization(epsilon=1e-3, name='bn')", (2, 4, 5, 3)),
    "lstm": (rnn(nn.LSTM), "L.LSTM(4, return_sequences=True, name='lstm')", (2, 5, 3)),
    "gru": (rnn(nn.GRU), "L.GRU(4, return_sequences=True, name='gru')", (2, 5, 3)),
    "rnn": (rnn(nn.RNN), "L.SimpleRNN(4, return_sequences=True, name='rnn')", (2, 5, 3)),
    "both": (
        rnn(nn.LSTM, bidirectional=True),
        "L.Bidirectional(L.LSTM(4, return_sequences=True, name='lstm'), name='both')",
        (2, 5, 3),
    ),
}


def told_by_torch(name: str, arrays: Mapping[str, Array]) -> Arrays:
    """`arrays` as a file that tells groups and classes, where a state dict leaves them open."""
    layer = {"grouped": "Conv2d", "dw": "Conv2d"}.get(name, "ConvTranspose2d" if name[-1] in "34" else "")
    groups = {"groups": 2} if layer == "Conv2d" else {}
    tensors = [info(each, value.shape, str(value.dtype), layer, **groups) for each, value in arrays.items()]
    return Arrays(arrays, "torch", tensors)


def told_by_keras(name: str, arrays: Mapping[str, Array]) -> Arrays:
    layer = "" if name == "both" else IN_KERAS[name][1][2:].partition("(")[0]
    groups = {"groups": 2} if name == "grouped" else {}
    return Arrays(arrays, "keras", [info(each, value.shape, layer=layer, **groups) for each, value in arrays.items()])


@pytest.fixture(scope="module")
def in_keras(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, nn.Module], dict[str, Array]]:
    """torch's layers, and what Keras's give with their weights and with weights of its own."""
    if find_spec("keras") is None:
        pytest.skip("Keras is not installed")
    folder = tmp_path_factory.mktemp("keras")
    modules = {name: model(**{name: module}) for name, (module, _, _) in IN_KERAS.items()}
    weights: dict[str, Array] = {}
    for name, module in modules.items():
        weights |= through(told_by_torch(name, arrays_of(module).arrays), "keras")
    np.savez(folder / "given.npz", **{name.replace("depthwise_", ""): value for name, value in weights.items()})
    layers = {name: (build, shape) for name, (_, build, shape) in IN_KERAS.items()}
    (folder / "layers.json").write_text(json.dumps(layers))
    environment = os.environ | {"KERAS_BACKEND": "torch", "KERAS_HOME": str(folder)}
    subprocess.run([sys.executable, "-c", KERAS, str(folder)], check=True, env=environment)
    with np.load(folder / "made.npz") as made:
        return modules, dict(made)


def cropped(full: Array, like: Array) -> Array:
    """The middle of what a transposed convolution gives, as `padding='same'` keeps it."""
    starts = [(have - want) // 2 for have, want in zip(full.shape, like.shape, strict=True)]
    return full[tuple(slice(start, start + want) for start, want in zip(starts, like.shape, strict=True))]


@pytest.mark.parametrize("name", IN_KERAS)
def test_keras_with_torch_s_weights_gives_what_torch_does(
    name: str, in_keras: tuple[dict[str, nn.Module], dict[str, Array]]
) -> None:
    modules, made = in_keras
    compare_outputs(modules[name], made[f"input:{name}"], made[f"given output:{name}"])


@pytest.mark.parametrize("name", IN_KERAS)
def test_torch_with_keras_s_weights_gives_what_keras_does(
    name: str, in_keras: tuple[dict[str, nn.Module], dict[str, Array]]
) -> None:
    modules, made = in_keras
    own = {key.partition(":")[2]: value for key, value in made.items() if key.startswith(f"own weight:{name}/")}
    weights = {each: torch.from_numpy(value) for each, value in through(told_by_keras(name, own), "torch").items()}
    missing, unexpected = modules[name].load_state_dict(weights, strict=False)
    assert (unexpected, [key for key in missing if not key.endswith("num_batches_tracked")]) == ([], [])
    compare_outputs(modules[name], made[f"input:{name}"], made[f"own output:{name}"])


def compare_outputs(module: nn.Module, x: Array, expected: Array) -> None:
    layer = next(module.children())
    last = x.ndim == 2 or isinstance(layer, nn.RNNBase)
    found = torch_output(module, x) if last else channels_last(torch_output(module, channels_first(x)))
    exact = isinstance(layer, nn.modules.conv._ConvNd)  # Keras computes the others in float32, whatever it is told
    np.testing.assert_allclose(cropped(found, expected), expected, rtol=0, atol=1e-12 if exact else 1e-5)


# Names, headers and what stays as it is


@pytest.mark.parametrize(
    ("layout", "to", "before", "after"),
    [
        ("torch", "keras", "features.0.weight", "features/0/kernel"),
        ("torch", "keras", "attention.in_proj_weight", "attention/in_proj_kernel"),
        ("torch", "onnx", "features.0.weight", "features.0.weight"),
        ("keras", "torch", "block/conv/kernel", "block.conv.weight"),
        ("keras", "torch", "kernel", "weight"),
        ("keras", "torch", "sep/pointwise_kernel", "sep.pointwise.weight"),
        ("keras", "onnx", "a.b/c/kernel", "a.b.c.weight"),
        ("onnx", "keras", "conv1.weight", "conv1/kernel"),
        ("onnx", "keras", "/block/conv.weight", "block/conv/kernel"),
    ],
)
def test_names(layout: str, to: str, before: str, after: str) -> None:
    (made,) = convert(describe([info(before, (3, 3, 3, 3))], layout=layout), to=to)
    assert (made.described.tensor.name, made.described.layout) == (after, to)


def test_names_of_embeddings_and_of_layers_at_the_root() -> None:
    file = Arrays({"wte.weight": signal(5, 3), "rec.weight_ih_l0": signal(16, 3)}, "torch")
    assert set(through(file, "keras")) == {"wte/embeddings", "rec/weight_ih_l0"}
    assert set(through(file, "keras", "torch")) == set(file.arrays)
    module = rnn(nn.LSTM, num_layers=2).double()
    names = {f"l{level}/{name}" for level in (0, 1) for name in ("kernel", "recurrent_kernel", "bias")}
    assert set(through(arrays_of(module), "keras")) == names
    assert set(through(arrays_of(rnn(nn.GRU).double()), "onnx")) == {"W", "R", "B"}


def test_separable_convolution_is_a_depthwise_and_a_pointwise_one() -> None:
    w = {"s/depthwise_kernel": signal(3, 3, 2, 2), "s/pointwise_kernel": signal(1, 1, 4, 5), "s/bias": signal(5)}
    x = signal(2, 6, 5, 2)
    expected = keras.conv(
        keras.depthwise_conv(x, w["s/depthwise_kernel"], np.zeros(4)), w["s/pointwise_kernel"], w["s/bias"]
    )
    module = model(depthwise=nn.Conv2d(2, 4, 3, groups=2, bias=False), pointwise=nn.Conv2d(4, 5, 1))
    weights = through(Arrays(w, "keras"), "torch")
    module.load_state_dict({name.removeprefix("s."): torch.from_numpy(value) for name, value in weights.items()})
    found = channels_last(torch_output(module, channels_first(x)))
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("to", ["torch", "onnx"])
def test_projections_of_attention_are_dense_layers(to: str) -> None:
    x = signal(2, 5, 12)
    shapes = {"query/kernel": (12, 3, 4), "query/bias": (3, 4), "out/kernel": (3, 4, 7), "out/bias": (7,)}
    w = {name: signal(*shape) for name, shape in shapes.items()}
    sides = {"query": "input", "out": "output"}
    tensors = [
        info(name, shape, layer="EinsumDense", projection=sides[name.partition("/")[0]])
        for name, shape in shapes.items()
    ]
    made = through(Arrays(w, "keras", tensors), to)
    heads = np.einsum("abc,cde->abde", x, w["query/kernel"]) + w["query/bias"]
    found = x @ made["query.weight"].T + made["query.bias"]
    np.testing.assert_allclose(found.reshape(2, 5, 3, 4), heads, atol=1e-12)
    expected = np.einsum("abde,dec->abc", heads, w["out/kernel"]) + w["out/bias"]
    np.testing.assert_allclose(found @ made["out.weight"].T + made["out.bias"], expected, atol=1e-12)


def test_all_names_have_one_style() -> None:
    arrays = {"e/kernel": signal(2, 3), "e/bias": signal(3), "scale/0": signal(3), "optimizer/adam/0": signal(2)}
    tensors = [
        info(name, value.shape, layer="EinsumDense" if name[0] == "e" else "", equation="ab,bc->ac")
        for name, value in arrays.items()
    ]
    made = through(Arrays(arrays, "keras", tensors), "torch")
    assert list(made) == [name.replace("/", ".") for name in arrays]
    for name, value in arrays.items():
        np.testing.assert_array_equal(made[name.replace("/", ".")], value)


def test_what_stays_as_it_is() -> None:
    module = model(bn=nn.BatchNorm1d(3))
    module.register_buffer("table", torch.ones(2, 3, 1, 1, 1, 1))
    file = arrays_of(module)
    for to, name in (("keras", "bn/num_batches_tracked"), ("onnx", "bn.num_batches_tracked")):
        kept = through(file, to)
        np.testing.assert_array_equal(kept[name], file.arrays["bn.num_batches_tracked"])
        np.testing.assert_array_equal(kept["table"], file.arrays["table"])
    (bias,) = convert(describe([info("fc.bias", (3,))], layout="torch"), to="keras")
    assert bias.described.tensor.name == "fc/bias"
    for layout, to in [("torch", "torch"), ("keras", "keras"), ("onnx", "onnx"), ("", "torch")]:
        described = describe([info("conv/bias", (3,)), info("w", (3, 3))], layout=layout)
        assert [each.described for each in convert(described, to=to)] == described


def test_a_plain_file_is_in_the_layout_that_its_names_are_from() -> None:
    kernel = signal(3, 3, 2, 5)
    made = through(Arrays({"c/kernel": kernel, "d.weight": kernel}, ""), "torch")
    np.testing.assert_array_equal(made["c.weight"], kernel.transpose(3, 2, 0, 1))
    np.testing.assert_array_equal(made["d.weight"], kernel)


def test_dense_weights_of_onnx() -> None:
    """Gemm without `transB` and MatMul have inputs first; a name that tells nothing is kept."""
    weight = signal(4, 3)
    tensors = [
        info("onnx::MatMul_7", (4, 3), layer="MatMul", input=1),
        info("fc.weight", (4, 3), layer="Gemm", input=1),
    ]
    made = through(Arrays({"onnx::MatMul_7": weight, "fc.weight": weight}, "onnx", tensors), "torch")
    np.testing.assert_array_equal(made["onnx::MatMul_7"], weight.T)
    np.testing.assert_array_equal(made["fc.weight"], weight.T)


def test_tied_tensors_name_each_other_as_they_are_called_now() -> None:
    table = info("wte.weight", (9, 4))
    head = TensorInfo("lm_head.weight", (9, 4), "float64", 0, tied_to="wte.weight")
    lost = TensorInfo("other.weight", (9, 4), "float64", 0, tied_to="gone")
    made = [each.described.tensor for each in convert(describe([table, head, lost], layout="torch"), to="keras")]
    assert [tensor.tied_to for tensor in made] == ["", "wte/embeddings", "gone"]
    assert [(tensor.parameters, tensor.nbytes) for tensor in made] == [(36, 288), (0, 0), (0, 0)]


def test_flags_and_narrow_types_are_kept() -> None:
    tensors = [
        TensorInfo("c.weight", (8, 4, 3), "bfloat16", 192, flag="external: c.bin"),
        TensorInfo("d.weight", (8, 4, 3), "float99", 0, flag="unknown dtype", readable=False),
        TensorInfo("e.weight", (0, 4, 3), "float32", 0),
    ]
    first, second, third = convert(describe(tensors, layout="torch"), to="keras")
    assert (first.described.tensor.dtype, first.described.tensor.nbytes) == ("bfloat16", 192)
    assert (first.described.tensor.flag, first.described.tensor.readable) == ("external: c.bin", True)
    assert (second.described.tensor.flag, second.described.tensor.readable) == ("unknown dtype", False)
    assert (third.described.tensor.shape, third.described.tensor.nbytes) == ((3, 4, 0), 0)
    lstm = [
        TensorInfo(f"rec.{name}", shape, "float16", 2 * math.prod(shape), flag=f"note {index % 2}")
        for index, (name, shape) in enumerate(TORCH_LSTM.items())
    ]
    *_, bias = convert(describe(lstm, layout="torch"), to="keras")
    assert (bias.described.tensor.flag, bias.described.tensor.nbytes) == ("note 0; note 1", 32)


def test_headers_need_neither_numpy_nor_torch() -> None:
    script = (
        "import sys\n"
        "from convtool.weights.conversion.file import convert\n"
        "from convtool.arrays.description import TensorInfo\n"
        "from convtool.weights.layouts import describe\n"
        f"tensors = [TensorInfo(name, shape, 'float32', 4) for name, shape in {TORCH_LSTM}.items()]\n"
        "for to in 'keras', 'onnx': print([each.described.tensor.shape for each in convert(describe(tensors, "
        "layout='torch'), to=to)])\n"
        "print({'numpy', 'torch'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines() == [
        "[(3, 16), (4, 16), (16,)]",
        "[(1, 16, 3), (1, 16, 4), (1, 32)]",
        "set()",
    ]


def test_settings_that_go_with_the_weights() -> None:
    def told(tensor: TensorInfo, layout: str, to: str) -> Mapping[str, Any]:
        (made,) = convert(describe([tensor], layout=layout), to=to)
        return made.described.tensor.config

    assert told(info("fc.weight", (3, 4)), "torch", "onnx") == {"transB": 1}
    grouped = info("c.weight", (6, 2, 3, 3), layer="Conv2d", groups=2)
    assert [told(grouped, "torch", to) for to in ("keras", "onnx")] == [{"groups": 2}, {"group": 2}]
    depthwise = info("c/kernel", (3, 3, 4, 2), layer="DepthwiseConv2D")
    assert [told(depthwise, "keras", to) for to in ("torch", "onnx")] == [{"groups": 4}, {"group": 4}]
    depthwise = info("c.weight", (8, 1, 3, 3), layer="Conv", group=4)
    assert told(depthwise, "onnx", "keras") == {}
    assert told(info("c.weight", (8, 1, 3, 3)), "torch", "keras") == {}


def test_what_no_weights_of_plain_layers_can_say() -> None:
    grouped = info("up.weight", (4, 3, 2), layer="ConvTranspose", group=2)
    (made,) = convert(describe([grouped], layout="onnx"), to="keras")
    flag = "can't be converted to keras: it has 2 groups, and Keras's transposed convolution has none"
    assert made.described.tensor.flag == flag
    assert not made.described.tensor.readable
    gemm = {"layer": "Gemm", "transB": 1, "alpha": 0.5, "beta": 1.0}
    tensors = [info("fc.weight", (3, 4), input=1, **gemm), info("fc.bias", (3,), input=2, **gemm)]
    weight, bias = convert(describe(tensors, layout="onnx"), to="torch")
    assert weight.described.tensor.flag == "can't be converted to torch: its Gemm multiplies it by 0.5"
    assert bias.described.tensor.flag == ""


# Whatever a file declares


WORDS = [
    *("weight", "bias", "kernel", "gamma", "beta", "running_mean", "num_batches_tracked", "W", "R", "B", "P", "scale"),
    *(
        "weight_ih_l0",
        "weight_hh_l0",
        "weight_hr_l0",
        "bias_ih_l0",
        "bias_hh_l1_reverse",
        "recurrent_kernel",
        "in_bias",
    ),
    *("depthwise_kernel", "pointwise_kernel", "embeddings", "moving_mean", "forward_lstm/kernel", "lstm_cell/bias", ""),
]
LAYERS = [
    "",
    "",
    "Conv2D",
    "ConvTranspose",
    "DepthwiseConv1D",
    "Dense",
    "Gemm",
    "LSTM",
    "GRU",
    "SimpleRNN",
    "BatchNorm",
]
CONFIG = {
    "input": st.integers(-1, 8),
    "node": st.sampled_from(["n", "/n/LSTM", ""]),
    "groups": st.sampled_from([0, 1, 2, -1, 2.0, "2", True]),
    "group": st.integers(0, 4),
    "transB": st.integers(0, 1),
    "reset_after": st.booleans(),
    "go_backwards": st.booleans(),
    "direction": st.sampled_from(["reverse", "bidirectional", 3]),
}
TENSORS = st.lists(
    st.builds(
        lambda prefix, word, shape, layer, config: info(
            prefix + word, tuple(shape), layer=layer, **{"node": "n"} | config
        ),
        st.sampled_from(["", "a.", "a/", "a.b.", "dw.", "bn.", "deconv.", "/", "./", "optimizer/", "forward_/", "\n"]),
        st.sampled_from(WORDS),
        st.lists(st.sampled_from([0, 1, 2, 3, 4, 6, 8, 12]), max_size=6),
        st.sampled_from(LAYERS),
        st.fixed_dictionaries({}, optional=CONFIG),
    ),
    max_size=8,
)


@settings(deadline=None)
@given(TENSORS, st.sampled_from(["", *LAYOUTS]), st.sampled_from(LAYOUTS))
def test_headers_promise_what_values_are(tensors: list[TensorInfo], layout: str, to: str) -> None:
    file = Arrays({tensor.name: np.zeros(tensor.shape) for tensor in tensors}, layout, tensors)
    unique = [tensor for tensor in tensors if file.arrays[tensor.name].shape == tensor.shape]
    described = describe(unique, layout=layout)
    assert [each.tensor for each in described] == unique
    for made in convert(described, to=to):
        each = made.described
        assert len(each.axes) == len(each.tensor.shape)
        if each.tensor.readable:
            values = made.array.values(file)
            assert (values.shape, values.nbytes) == (each.tensor.shape, each.tensor.nbytes)
        if each.tensor.readable and "conv" in each.kind:
            assert as_filters(values, each).size == values.size
