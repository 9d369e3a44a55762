"""Recurrent layers in another layout: what each keeps in its own way, and what it has no layer for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from convtool.errors import InputError
from convtool.weights.conversion.file import convert
from convtool.weights.layouts import describe
from convtool.weights.naming import in_habit
from tests.helpers import reference_layers as keras
from tests.helpers import reference_onnx as onnx
from tests.helpers.weight_arrays import Arrays, arrays_of, info, model, rnn, signal, through


def gru_of_onnx(*, after: int) -> Arrays:
    shapes = {"W": (1, 12, 3), "R": (1, 12, 4), "B": (1, 24)}
    config = {"node": "gru", "hidden_size": 4, "linear_before_reset": after}
    tensors = [
        info(f"onnx::{name}", shape, layer="GRU", input=index, **config)
        for index, (name, shape) in enumerate(shapes.items(), start=1)
    ]
    return Arrays({tensor.name: signal(*tensor.shape) for tensor in tensors}, "onnx", tensors)


@pytest.mark.parametrize("after", [0, 1])
def test_gru_that_resets_before_or_after_the_product(after: int) -> None:
    file, x = gru_of_onnx(after=after), signal(2, 5, 3)
    expected = onnx.recurrent("GRU", x, list(file.arrays.values()), linear_before_reset=after)
    w = through(file, "keras")
    assert w["gru/bias"].shape == ((2, 12) if after else (12,))
    found = keras.gru(x, w["gru/kernel"], w["gru/recurrent_kernel"], w["gru/bias"])
    np.testing.assert_allclose(found, expected, atol=1e-12)
    back = through(file, "keras", "onnx")
    found = onnx.recurrent("GRU", x, [back[f"gru.{name}"] for name in "WRB"], linear_before_reset=after)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_settings_that_go_with_the_weights() -> None:
    def told(file: Arrays, to: str) -> list[Mapping[str, Any]]:
        return [each.described.tensor.config for each in convert(describe(file.tensors, layout=file.layout), to=to)]

    of_onnx = gru_of_onnx(after=0)
    node = of_onnx.tensors[0].config["node"]
    assert told(of_onnx, "keras") == [{"node": node, "go_backwards": False, "reset_after": False}] * 3
    gru = arrays_of(model(gru=rnn(nn.GRU, bidirectional=True)))
    assert told(gru, "onnx") == [{"direction": "bidirectional", "linear_before_reset": 1}] * 3
    assert told(gru, "keras") == [{"go_backwards": False, "reset_after": True}] * 6
    before = Arrays({}, "keras", [info(f"gru/{name}", shape) for name, shape in {**GRU, "bias": (12,)}.items()])
    assert told(before, "onnx") == [{"direction": "forward", "linear_before_reset": 0}] * 3
    backwards = [info("k/kernel", (3, 16), go_backwards=True), info("k/recurrent_kernel", (4, 16), go_backwards=True)]
    assert told(Arrays({}, "keras", backwards), "onnx") == [{"direction": "reverse"}] * 2


def test_from_the_json_of_amplifier_models() -> None:
    """NAM keeps input and recurrent weights side by side and one bias; RTNeural names its layers with dots."""
    lstm = model(rec=rnn(nn.LSTM)).state_dict()
    lstm["rec.bias_hh_l0"].zero_()
    joined = torch.cat([lstm["rec.weight_ih_l0"], lstm["rec.weight_hh_l0"]], dim=1).numpy()
    arrays = {"layers.0.weight": joined, "layers.0.bias": lstm["rec.bias_ih_l0"].numpy(), "layers.0.h0": np.ones(4)}
    nam = Arrays(arrays, "torch", [info(name, value.shape, layer="LSTM") for name, value in arrays.items()])
    expected = through(Arrays({name: value.numpy() for name, value in lstm.items()}, "torch"), "keras")
    found = through(nam, "keras")
    for name in ("kernel", "recurrent_kernel", "bias"):
        np.testing.assert_array_equal(found[f"layers/0/{name}"], expected[f"rec/{name}"])
    np.testing.assert_array_equal(found["layers/0/h0"], np.ones(4))  # no layer keeps its first state
    rtneural = {f"layers.0.{name}": found[f"layers/0/{name}"] for name in ("kernel", "recurrent_kernel", "bias")}
    for name, value in through(Arrays(rtneural, "keras"), "torch").items():
        np.testing.assert_array_equal(value, lstm[name.replace("layers.0", "rec")].numpy())


LSTM = {"kernel": (3, 16), "recurrent_kernel": (4, 16), "bias": (16,)}
GRU = {"kernel": (3, 12), "recurrent_kernel": (4, 12), "bias": (2, 12)}
RNN = {"kernel": (3, 4), "recurrent_kernel": (4, 4), "bias": (4,)}
TORCH_LSTM = {"weight_ih_l0": (16, 3), "weight_hh_l0": (16, 4), "bias_ih_l0": (16,), "bias_hh_l0": (16,)}
ONNX_LSTM = {"W": (2, 16, 3), "R": (2, 16, 4), "B": (2, 32)}


GRU_WEIGHTS = {"kernel": (3, 12), "recurrent_kernel": (4, 12)}
GRU_OF_ONNX = {"W": (1, 12, 3), "R": (1, 12, 4), "B": (1, 24)}
TORCH_WEIGHTS = {"weight_ih_l0": (16, 3), "weight_hh_l0": (16, 4)}
HALF_BIASED = {**TORCH_WEIGHTS, "bias_ih_l0": (16,)}
PROJECTED = {"weight_ih_l0": (16, 3), "weight_hh_l0": (16, 2), "weight_hr_l0": (2, 4)}
MISFIT = "the shapes of its tensors do not fit each other"


def reverse(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    return {f"{name}_reverse": shape for name, shape in shapes.items()}


def refusals(layout: str, to: str, shapes: Mapping[str, tuple[int, ...]], **config: Any) -> set[str]:
    """Why the tensors of the layer `rec` can't be converted."""
    layer = config.pop("layer", "")
    tensors = [
        info(f"rec{'/' if layout == 'keras' else '.'}{name}", shape, layer=layer, **config)
        for name, shape in shapes.items()
    ]
    file = Arrays({}, layout, tensors)
    reasons = set()
    for made, tensor in zip(convert(describe(tensors, layout=layout), to=to), tensors, strict=True):
        left = made.described.tensor
        name = in_habit(tensor.name, to)
        assert (left.name, left.shape, left.readable, made.described.layout) == (name, tensor.shape, False, layout)
        with pytest.raises(InputError) as caught:
            made.array.values(file)
        assert str(caught.value) == f"tensor {tensor.name!r} {left.flag}"
        reasons.add(left.flag.removeprefix(f"can't be converted to {to}: "))
    return reasons


@pytest.mark.parametrize("to", ["torch", "onnx"])
@pytest.mark.parametrize(
    ("shapes", "config", "reason"),
    [
        (
            LSTM,
            {"recurrent_activation": "hard_sigmoid"},
            "its recurrent_activation is 'hard_sigmoid'; {}'s layer has sigmoid",
        ),
        (LSTM, {"activation": "relu"}, "its activation is 'relu'; {}'s layer has tanh"),
        (GRU, {"activation": ["a", "list"]}, "its activation is ['a', 'list']; {}'s layer has tanh"),
        (RNN, {"activation": "elu"}, "its activation is 'elu'; {}'s layer has tanh or relu"),
        ({"kernel": (3, 16), "bias": (16,)}, {"layer": "LSTM"}, "its tensor of the part 'recurrent' is missing"),
        ({**LSTM, "kernel": (3, 12)}, {}, MISFIT),
        ({**LSTM, "bias": (12,)}, {}, MISFIT),
        ({**GRU, "bias": (3, 12)}, {}, MISFIT),
        ({**LSTM, "recurrent_kernel": (3, 16)}, {"layer": "LSTM"}, MISFIT),
    ],
)
def test_keras_s_layers_that_no_other_computes(
    to: str, shapes: Mapping[str, tuple[int, ...]], config: dict[str, Any], reason: str
) -> None:
    assert refusals("keras", to, shapes, **config) == {reason.format(to)}


@pytest.mark.parametrize("activation", ["tanh", "relu", "", None])
def test_simple_rnn_may_rectify(activation: str | None) -> None:
    tensors = [info(f"rnn/{name}", shape, activation=activation) for name, shape in RNN.items()]
    made = convert(describe(tensors, layout="keras"), to="torch")
    assert [each.described.tensor.readable for each in made] == [True] * 4


@pytest.mark.parametrize(
    ("layout", "to", "shapes", "config", "reason"),
    [
        ("keras", "torch", LSTM, {"go_backwards": True}, "it runs against time alone"),
        ("keras", "torch", {**GRU, "bias": (12,)}, {}, "it applies the reset gate before the recurrent product"),
        (
            "keras",
            "torch",
            GRU_WEIGHTS,
            {"reset_after": False},
            "it applies the reset gate before the recurrent product",
        ),
        ("onnx", "torch", GRU_OF_ONNX, {"layer": "GRU"}, "it applies the reset gate before the recurrent product"),
        ("torch", "keras", PROJECTED, {}, "it has a projection, which keras's layer does not have"),
        ("torch", "onnx", HALF_BIASED, {}, "its tensor of the part 'recurrent_bias' is missing"),
        ("torch", "onnx", reverse(TORCH_LSTM), {}, "its tensor of the part 'input' is missing"),
        (
            "torch",
            "onnx",
            TORCH_LSTM | reverse(TORCH_WEIGHTS),
            {},
            "one of its directions has biases and the other has none",
        ),
        ("torch", "keras", {"weight": (16, 3)}, {"layer": "LSTM"}, MISFIT),
        ("onnx", "torch", {**ONNX_LSTM, "B": (2, 31)}, {"layer": "LSTM"}, MISFIT),
        ("onnx", "torch", {**ONNX_LSTM, "R": (1, 16, 4)}, {"layer": "LSTM"}, MISFIT),
        ("onnx", "torch", {"W": (3, 16, 3), "R": (3, 16, 4)}, {"layer": "LSTM"}, MISFIT),
        ("onnx", "torch", {**ONNX_LSTM, "P": (2, 12)}, {"layer": "LSTM"}, "it has a peephole"),
        ("onnx", "keras", ONNX_LSTM, {"layer": "LSTM", "input_forget": 1}, "its input and forget gates are coupled"),
        ("onnx", "torch", ONNX_LSTM, {"layer": "LSTM", "clip": 0.3}, "it clips what its activations get to 0.3 (clip)"),
        ("onnx", "keras", GRU_OF_ONNX, {"layer": "GRU", "clip": 5.0}, "it clips what its activations get to 5 (clip)"),
        (
            *("onnx", "keras", ONNX_LSTM, {"layer": "LSTM", "activations": ["HardSigmoid", "Tanh", "Tanh"]}),
            "its activations are hardsigmoid, tanh, tanh; keras's layer has sigmoid, tanh, tanh",
        ),
    ],
)
def test_layers_that_another_has_no_counterpart_of(
    layout: str, to: str, shapes: Mapping[str, tuple[int, ...]], config: dict[str, Any], reason: str
) -> None:
    (found,) = refusals(layout, to, shapes, **config)
    assert found.startswith(reason)


def test_activations_as_onnx_lists_them_for_both_directions() -> None:
    tensors = [
        info(f"rec.{name}", shape, layer="LSTM", activations=["Sigmoid", "Tanh", "Tanh"] * 2)
        for name, shape in ONNX_LSTM.items()
    ]
    made = convert(describe(tensors, layout="onnx"), to="keras")
    assert [each.described.tensor.readable for each in made] == [True] * 6


def test_both_directions_backwards() -> None:
    tensors = [
        info(f"both/{way}_lstm/{name}", shape, go_backwards=way == "forward")
        for way in ("forward", "backward")
        for name, shape in LSTM.items()
    ]
    made = convert(describe(tensors, layout="keras"), to="torch")
    assert {each.described.tensor.flag for each in made} == {
        "can't be converted to torch: its forward direction runs backwards"
    }


def test_one_part_twice() -> None:
    """The two spellings of a cell, or a file in which a name is there twice."""
    tensors = [info(f"rec/{name}", shape) for name, shape in LSTM.items()] + [info("rec/lstm_cell/bias", (16,))]
    made = convert(describe(tensors, layout="keras"), to="torch")
    assert {each.described.tensor.flag for each in made} == {
        "can't be converted to torch: several of its tensors play the same part"
    }
