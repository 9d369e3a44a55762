"""Recurrent models of every format: the same weights from each, and a line for each way in which one can be wrong."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from convtool.arrays.keras.config import Layer as KerasLayer
from convtool.errors import InputError
from convtool.models import layers as recurrent_layers
from convtool.models.keras_chain import check_chain_of_keras
from convtool.models.layers import Dense, RecurrentLayer
from convtool.models.recurrent import RecurrentModel, read_model
from tests.helpers import model_files as models

Json = dict[str, Any]
WRITERS: dict[str, tuple[str, Callable[..., str]]] = {
    "guitarml": ("m.json", models.guitarml),
    "torch json": ("m.json", models.torch_json),
    "torch": ("m.pt", models.pt),
    "safetensors": ("m.safetensors", models.safetensors),
    "rtneural": ("m.aidax", models.rtneural),
    "nam": ("m.nam", models.nam),
    "keras": ("m.keras", models.keras),
    "keras h5": ("m.weights.h5", models.keras_h5),
}


def refusal(path: str | Path) -> str:
    with pytest.raises(InputError) as caught:
        read_model(str(path))
    message = str(caught.value)
    assert "\n" not in message
    return message


def check(model: RecurrentModel, rnn: nn.LSTM | nn.GRU, linear: nn.Linear | None, *, summed: bool = False) -> None:
    """The layers are those of the modules; biases may have been `summed`."""
    *recurrent, last = model.layers if linear is not None else (*model.layers, None)
    assert len(recurrent) == rnn.num_layers
    for level, layer in enumerate(recurrent):
        assert isinstance(layer, RecurrentLayer)
        assert layer.kind == type(rnn).__name__.lower()
        expected = {
            name.replace(f"_l{level}", "_l0"): value.numpy()
            for name, value in rnn.state_dict().items()
            if name.removesuffix("_reverse").endswith(f"_l{level}")
        }
        if summed:
            expected["bias_ih_l0"] = expected["bias_ih_l0"] + expected["bias_hh_l0"]
            expected["bias_hh_l0"] = np.zeros_like(expected["bias_hh_l0"])
        assert expected.keys() == layer.weights.keys()
        for name, value in expected.items():
            np.testing.assert_array_equal(np.float32(layer.weights[name]), value)
        assert layer.outputs == rnn.hidden_size * (2 if rnn.bidirectional else 1) if not rnn.proj_size else True
    if linear is not None:
        assert isinstance(last, Dense)
        np.testing.assert_array_equal(np.float32(last.weights["weight"]), linear.weight.numpy())
        np.testing.assert_array_equal(np.float32(last.weights["bias"]), linear.bias.numpy())


@pytest.mark.parametrize("format", WRITERS)
def test_every_format_gives_the_same_lstm(format: str, tmp_path: Path) -> None:
    name, write = WRITERS[format]
    rnn, linear = models.modules()
    model = read_model(write(tmp_path / name, rnn, linear))
    assert model.format == ("keras" if format == "keras h5" else format)
    assert (model.inputs, model.outputs, model.bidirectional) == (1, 1, False)
    assert (model.input_gain, model.output_gain, model.vectors) == (1, 1, None)
    assert model.skip == (1 if format == "guitarml" else 0)
    assert (model.sample_rate, model.usual_rate) == {"guitarml": (None, 44100), "nam": (48000, None)}.get(
        format, (None, None)
    )
    check(model, rnn, linear, summed=format in ("rtneural", "nam", "keras", "keras h5"))
    assert pickle.loads(pickle.dumps(model)).inputs == 1


@pytest.mark.parametrize("format", [name for name in WRITERS if name != "nam"])
def test_every_format_gives_the_same_gru(format: str, tmp_path: Path) -> None:
    name, write = WRITERS[format]
    rnn, linear = models.modules(nn.GRU, inputs=2, outputs=2)
    check(read_model(write(tmp_path / name, rnn, linear)), rnn, linear)


@pytest.mark.parametrize(
    "options",
    [
        {"num_layers": 3},
        {"bidirectional": True},
        {"num_layers": 2, "bidirectional": True, "inputs": 3, "outputs": 2},
        {"bias": False},
    ],
)
@pytest.mark.parametrize("format", ["torch json", "torch", "safetensors"])
def test_layers_and_directions_are_told_from_names(format: str, options: Json, tmp_path: Path) -> None:
    name, write = WRITERS[format]
    rnn, linear = models.modules(**options)
    model = read_model(write(tmp_path / name, rnn, linear))
    assert model.bidirectional == rnn.bidirectional
    check(model, rnn, linear)


def test_projections_and_no_head(tmp_path: Path) -> None:
    torch.manual_seed(0)
    rnn = nn.LSTM(1, 6, num_layers=2, proj_size=3).requires_grad_(False)
    model = read_model(models.pt(tmp_path / "m.pt", rnn, None))
    assert [layer.outputs for layer in model.layers] == [3, 3]
    check(model, rnn, None)


@pytest.mark.parametrize("format", ["guitarml", "nam"])
def test_several_layers_of_amplifier_models(format: str, tmp_path: Path) -> None:
    name, write = WRITERS[format]
    rnn, linear = models.modules(num_layers=2)
    check(read_model(write(tmp_path / name, rnn, linear)), rnn, linear, summed=format == "nam")


def test_the_weights_of_a_cell(tmp_path: Path) -> None:
    rnn, linear = models.modules()
    cell = {name.removesuffix("_l0"): value for name, value in models.state_dict(rnn, linear).items()}
    torch.save(cell, tmp_path / "m.pt")
    check(read_model(str(tmp_path / "m.pt")), rnn, linear)
    torch.save({**cell, "rnn.bias_ih_l0": rnn.bias_ih_l0}, tmp_path / "both.pt")
    assert refusal(tmp_path / "both.pt") == "tensors 'rnn.bias_ih' and 'rnn.bias_ih_l0' play the same part"


def test_a_checkpoint_with_its_optimiser(tmp_path: Path) -> None:
    rnn, linear = models.modules()
    optimiser = {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": []}
    torch.save(
        {"state_dict": models.state_dict(rnn, linear), "optimizer_state_dict": optimiser, "epoch": 3},
        tmp_path / "m.pt",
    )
    check(read_model(str(tmp_path / "m.pt")), rnn, linear)


def test_a_nam_model_of_several_outputs(tmp_path: Path) -> None:
    rnn, linear = models.modules(outputs=3)
    model = read_model(models.nam(tmp_path / "m.nam", rnn, linear))
    check(model, rnn, linear, summed=True)
    document = models.nam_document(rnn, linear)
    document["config"]["out_channels"] = 0
    path = models.write_json(tmp_path / "n.nam", document)
    with pytest.raises(InputError, match=r"'config.out_channels' is 0; expected a whole number from 1 on"):
        read_model(path)
    document["config"]["out_channels"] = 4
    path = models.write_json(tmp_path / "n.nam", document)
    with pytest.raises(InputError, match="num_layers 1 has 372 with 4 outputs"):
        read_model(path)


def test_what_nam_begins_from(tmp_path: Path) -> None:
    rnn, linear = models.modules(num_layers=2)
    state = [(np.full(8, 0.25), np.full(8, -0.5)), (np.full(8, 0.75), np.full(8, 2.0))]
    model = read_model(models.nam(tmp_path / "m.nam", rnn, linear, state=state, sample_rate=44100))
    assert model.sample_rate == 44100
    for layer, expected in zip(model.layers, state, strict=False):
        assert isinstance(layer, RecurrentLayer)
        np.testing.assert_array_equal(np.stack(layer.state), np.stack(expected))


@pytest.mark.parametrize("given", [None, 48000, 48000.0, "48000"])
def test_the_rate_of_a_nam_model(given: Any, tmp_path: Path) -> None:
    assert read_model(models.nam(tmp_path / "m.nam", *models.modules(), sample_rate=given)).sample_rate == 48000


@pytest.mark.parametrize(
    ("more", "rate"),
    [
        ({}, None),
        ({"metadata": {"samplerate": "48000"}}, 48000),
        ({"metadata": {"samplerate": 44100}}, 44100),
        ({"metadata": {"name": "amp"}, "samplerate": 96000}, 96000),
        ({"metadata": "none", "sample_rate": "44100.0"}, 44100),
    ],
)
def test_the_rate_of_an_aida_x_model(more: Json, rate: int | None, tmp_path: Path) -> None:
    assert read_model(models.rtneural(tmp_path / "m.json", *models.modules(), **more)).sample_rate == rate


def test_skip_and_gains_of_an_aida_x_model(tmp_path: Path) -> None:
    more = {"in_skip": 1, "in_gain": "6", "out_gain": -20}
    model = read_model(models.rtneural(tmp_path / "m.json", *models.modules(), **more))
    assert model.skip == 1
    assert (model.input_gain, model.output_gain) == pytest.approx((10**0.3, 0.1))


@pytest.mark.parametrize("activation", ["", "linear", "tanh", "relu", "sigmoid", "elu", "softmax"])
def test_activations_of_dense_layers(activation: str, tmp_path: Path) -> None:
    model = read_model(models.rtneural(tmp_path / "m.json", *models.modules(), activation=activation))
    last = model.layers[-1]
    assert isinstance(last, Dense)
    assert last.activation == (activation or "linear")


def test_the_layers_of_rtneural_run_in_their_order(tmp_path: Path) -> None:
    document = models.rtneural_document(*models.modules())
    first = {"type": "time-distributed-dense", "activation": "tanh", "weights": [[[0.5]], [0.25]]}
    document["layers"].insert(0, first)
    model = read_model(models.write_json(tmp_path / "m.json", document))
    assert [type(layer) for layer in model.layers] == [Dense, RecurrentLayer, Dense]


X, Y = [0.1, 0.2, 0.3], [0.5, 0.25, 0.125]


@pytest.mark.parametrize(
    ("given", "expected"),
    [(X, Y), ([X], [Y]), ([[[x] for x in X]], [[[y] for y in Y]]), ([[x] for x in X], [[y] for y in Y])],
)
def test_vectors_in_any_shape(given: Any, expected: Any, tmp_path: Path) -> None:
    more = {"input_batch": given, "output_batch": expected}
    vectors = read_model(models.rtneural(tmp_path / "m.json", *models.modules(), **more)).vectors
    assert vectors is not None
    assert [values.tolist() for values in vectors] == [[[x] for x in X], [[y] for y in Y]]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"input_batch": X}, "'output_batch' is missing, the other half"),
        ({"output_batch": X}, "'input_batch' is missing"),
        ({"input_batch": X, "output_batch": Y[:2]}, "'input_batch' has 3 samples, and 'output_batch' 2"),
        ({"input_batch": [], "output_batch": Y}, "'input_batch' has the shape (0,)"),
        ({"input_batch": [1e39, 0], "output_batch": [0, 0]}, "'input_batch' has values that are NaN, infinite, or"),
        ({"input_batch": [X, X[:2]], "output_batch": Y}, "'input_batch' is ragged"),
        ({"input_batch": X, "output_batch": [None]}, "'output_batch' holds null"),
        ({"in_gain": "loud"}, "'in_gain' is the text 'loud'; expected a number"),
        ({"in_gain": [1]}, "'in_gain' is a list"),
        ({"out_gain": float("inf")}, "'out_gain' is Infinity"),
        ({"out_gain": 1000}, "'out_gain' is 1000 dB; expected at most 300"),
        ({"metadata": {"samplerate": "fast"}}, "'samplerate' is the text 'fast'"),
        ({"samplerate": 44100.5}, "'samplerate' is 44100.5; expected a sample rate in whole Hz"),
        ({"samplerate": -1}, "'samplerate' is -1"),
        ({"in_shape": [None, None, 3]}, "'in_shape' ends in 3, but layer 0 takes 1"),
        ({"activation": "swish"}, "'layers.1' has the activation 'swish'; convtool runs linear, tanh"),
    ],
)
def test_damaged_aida_x_models(more: Json, message: str, tmp_path: Path) -> None:
    assert message in refusal(models.rtneural(tmp_path / "m.json", *models.modules(), **more))


def edited(path: Path, document: Json, *keys: Any, value: Any) -> Path:
    """`document` with the value at `keys` replaced, or left out where it is ``...``."""
    at = document
    for key in keys[:-1]:
        at = at[key]
    if value is ...:
        del at[keys[-1]]
    else:
        at[keys[-1]] = value
    models.write_json(path, document)
    return path


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (["layers"], [], "there is no LSTM or GRU among its layers; there is none"),
        (["layers", 0, "type"], "conv1d", "'layers.0' is of the type 'conv1d'; convtool runs lstm, gru"),
        (["layers", 1, "weights"], [], "tensor 'layers.1.bias' is missing"),
        (["layers", 0, "weights", 2], ..., "tensor 'layers.0.bias' is missing"),
        (["layers", 0, "shape"], [None, None, 9], "layer 'layers.0' is declared to have 9 units; its tensors have 8"),
        (
            ["layers", 1, "weights", 0],
            [[0.5]] * 9,
            "layer 'layers.1' takes 9 numbers, but 'layers.0' before it gives 8",
        ),
        (["layers", 1, "weights", 1], [0.5, 0.5], "'layers.1.bias' has the shape (2,); expected (1,)"),
        (["layers", 0, "weights", 0, 0, 3], "0.1", "'layers.0.kernel' holds the text '0.1'"),
        (
            ["layers", 0, "weights", 0, 0, 3],
            float("nan"),
            "has 1 values that are NaN, infinite, or too large for float32",
        ),
    ],
)
def test_wrong_rtneural_layers(keys: list[Any], value: Any, message: str, tmp_path: Path) -> None:
    document = models.rtneural_document(*models.modules())
    assert message in refusal(edited(tmp_path / "m.json", document, *keys, value=value))


def test_a_gru_that_resets_before_the_product(tmp_path: Path) -> None:
    document = models.rtneural_document(*models.modules(nn.GRU))
    document["layers"][0]["weights"][2] = [0.0] * 24
    assert "reset" in refusal(models.write_json(tmp_path / "m.json", document))


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (
            ["model_data", "unit_type"],
            "RNN",
            "'model_data.unit_type' is the text 'RNN'; convtool runs 'LSTM' and 'GRU'",
        ),
        (["model_data", "model"], "WaveNet", "'model_data.model' is the text 'WaveNet'; convtool runs 'SimpleRNN'"),
        (["model_data", "hidden_size"], 10**9, "'model_data.hidden_size' is 1000000000, but the tensors have 8"),
        (["model_data", "num_layers"], 2, "'model_data.num_layers' is 2, but the tensors have 1"),
        (["model_data", "input_size"], "1", "'model_data.input_size' is the text '1'; expected a whole number"),
        (["model_data", "skip"], -1, "'model_data.skip' is -1; expected a whole number"),
        (["model_data", "skip"], 2, "skip is 2, which does not fit 1 inputs and 1 outputs"),
        (["state_dict", "lin.bias"], ..., "tensor 'lin.bias' is missing, and 'model_data.bias_fl' is true"),
        (["state_dict", "lin.weight"], ..., "'lin.weight' is missing"),
        (["state_dict", "rec.weight_ih_l0"], ..., "tensor 'rec.weight_ih_l0' is missing"),
        (["state_dict", "rec.weight_hh_l0"], ..., "tensor 'rec.weight_hh_l0' is missing"),
        (["state_dict", "rec.bias_hh_l0"], ..., "tensor 'rec.bias_hh_l0' is missing"),
        (["state_dict", "rec.bias_hh_l0"], [0.5] * 31, "'rec.bias_hh_l0' has the shape (31,); expected (32,)"),
        (["state_dict", "rec.bias_hh_l0"], 0.5, "'rec.bias_hh_l0'"),
        (["state_dict", "conv.weight"], [[[0.5]]], "tensor 'conv.weight', of the shape (1, 1, 1), is part of no LSTM"),
        (["state_dict", "lin.weight"], [0.5] * 8, "tensor 'lin.weight' has the shape (8,); expected (8, 1)"),
        (["state_dict", "rec.weight_hh_l0", 1], None, "'rec.weight_hh_l0' is ragged: null stands beside a list of 8"),
        (["state_dict", "lin.bias"], [1e39], "tensor 'lin.bias' has 1 values that are NaN, infinite, or too large"),
        (["state_dict", "scale"], [0.5], "tensor 'scale', of the shape (1,), is part of no LSTM, GRU or dense layer"),
        (["state_dict", "rec.weight_ih_l0", 3], [True], "'rec.weight_ih_l0' holds true"),
        (["state_dict"], ..., "'state_dict' is missing"),
        (["state_dict"], {}, "there is no LSTM or GRU among its layers; there is none"),
    ],
)
def test_wrong_guitarml_models(keys: list[Any], value: Any, message: str, tmp_path: Path) -> None:
    document = models.guitarml_document(*models.modules())
    assert message in refusal(edited(tmp_path / "m.json", document, *keys, value=value))


def test_a_layer_of_another_network_is_named_and_not_called_missing(tmp_path: Path) -> None:
    torch.save({"conv1.bias": torch.ones(3), "conv1.weight": torch.ones(3, 1, 5)}, tmp_path / "m.pt")
    assert "tensor 'conv1.weight', of the shape (3, 1, 5), is part of no LSTM" in refusal(tmp_path / "m.pt")


def test_a_guitarml_model_without_a_head(tmp_path: Path) -> None:
    document = models.guitarml_document(*models.modules())
    for name in ("lin.weight", "lin.bias"):
        del document["state_dict"][name]
    assert refusal(models.write_json(tmp_path / "m.json", document)) == "tensor 'lin.weight' is missing"


def test_a_head_without_a_bias(tmp_path: Path) -> None:
    document = models.guitarml_document(*models.modules())
    del document["state_dict"]["lin.bias"]
    document["model_data"]["bias_fl"] = False
    assert read_model(models.write_json(tmp_path / "m.json", document)).layers[-1].weights.keys() == {"weight"}


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (["architecture"], "WaveNet", "its architecture is 'WaveNet'; convtool wavenet runs it"),
        (["architecture"], "Linear", "its architecture is 'Linear'; convtool wavenet runs it"),
        (["config", "hidden_size"], 10**9, "an LSTM of input_size 1, hidden_size 1000000000"),
        (["architecture"], "Transformer", "its architecture is 'Transformer'; convtool lstm runs 'LSTM'"),
        (["sample_rate"], "many", "'sample_rate' is the text 'many'"),
        (["weights", 5], float("-inf"), "tensor 'layers.0.weight' has 1 values that are NaN, infinite"),
    ],
)
def test_wrong_nam_models(keys: list[Any], value: Any, message: str, tmp_path: Path) -> None:
    document = models.nam_document(*models.modules())
    assert message in refusal(edited(tmp_path / "m.nam", document, *keys, value=value))


def dense(units: int, **more: Any) -> Json:
    return models.keras_layer("Dense", name="dense", units=units, **more)


def test_keras_layers_that_change_nothing(tmp_path: Path) -> None:
    rnn, linear = models.modules()
    config = models.keras_layers(rnn, linear, models.keras_layer("Dropout", name="dropout", rate=0.5))
    last = config["config"]["layers"].pop()
    config["config"]["layers"] += [models.keras_layer("TimeDistributed", name="each", layer=last)]
    assert [layer["class_name"] for layer in config["config"]["layers"]] == ["LSTM", "Dropout", "TimeDistributed"]
    check(read_model(models.keras(tmp_path / "m.keras", rnn, linear, config=config)), rnn, linear, summed=True)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (
            models.keras_layer("LeakyReLU", name="leaky"),
            "layer 'leaky' is a LeakyReLU; of Keras's layers convtool runs",
        ),
        (models.keras_layer("Add", name="add"), "layer 'add' is a Add"),
        (models.keras_layer("Lambda", name="lambda"), "layer 'lambda' is a Lambda"),
        (
            models.keras_layer("TimeDistributed", name="each", layer=models.keras_layer("Conv1D", name="conv")),
            "layer 'each' is a TimeDistributed",
        ),
        (
            models.keras_layer("Bidirectional", name="both", merge_mode="sum"),
            "layer 'both' merges its directions by 'sum'; convtool runs 'concat'",
        ),
        (
            {"class_name": "Sequential", "config": {"name": "s", "layers": [models.keras_layer("ReLU", name="relu")]}},
            "layer 'relu' is a ReLU",
        ),
        (
            models.keras_layer("mine>Dropout", name="drop"),
            "layer 'drop' is a mine>Dropout, a class that is not Keras's",
        ),
        (
            models.keras_layer("TimeDistributed", name="each", layer=models.keras_layer("mine>Dense", name="own")),
            "layer 'own' is a mine>Dense, a class that is not Keras's",
        ),
    ],
)
def test_keras_layers_that_can_not_be_left_out(layer: Json, message: str, tmp_path: Path) -> None:
    rnn, linear = models.modules()
    path = models.keras(tmp_path / "m.keras", rnn, linear, config=models.keras_layers(rnn, linear, layer))
    assert message in refusal(path)


@pytest.mark.parametrize(
    ("place", "settings", "message"),
    [
        (0, {"activation": "relu"}, "activation is 'relu'"),
        (0, {"recurrent_activation": "hard_sigmoid"}, "recurrent_activation is 'hard_sigmoid'"),
        (0, {"go_backwards": True}, "runs backwards in time (go_backwards)"),
        (0, {"units": 5}, "layer 'lstm' is declared to have 5 units; its tensors have 8"),
        (1, {"activation": "swish"}, "layer 'dense' has the activation 'swish'"),
        (1, {"units": 2}, "layer 'dense' is declared to have 2 units; its tensors have 1"),
    ],
)
def test_settings_of_keras_layers(place: int, settings: Json, message: str, tmp_path: Path) -> None:
    rnn, linear = models.modules()
    config = models.keras_layers(rnn, linear)
    config["config"]["layers"][place]["config"] |= settings
    assert message in refusal(models.keras(tmp_path / "m.keras", rnn, linear, config=config))


def test_a_keras_model_with_several_outputs(tmp_path: Path) -> None:
    rnn, linear = models.modules()
    config = models.keras_layers(rnn, linear)
    config["class_name"] = "Functional"
    config["config"]["output_layers"] = [["dense", 0, 0]]
    check(read_model(models.keras(tmp_path / "one.keras", rnn, linear, config=config)), rnn, linear, summed=True)
    config["config"]["output_layers"] = [["dense", 0, 0], ["lstm", 0, 0]]
    assert "the model has 2 output layers" in refusal(models.keras(tmp_path / "m.keras", rnn, linear, config=config))


def test_two_directions_that_lie_side_by_side_are_one_layer_in_the_chain() -> None:
    inner = models.keras_layer("LSTM", name="lstm", units=3)
    for more in ({}, {"merge_mode": "concat"}):
        both = models.keras_layer("Bidirectional", name="both", layer=inner, **more)
        layer = KerasLayer.of({"class_name": "Sequential", "config": {"layers": [both]}})
        assert layer is not None
        check_chain_of_keras(layer)


KERAS = """
import sys, keras
from keras import layers as L
lstm = L.Bidirectional(L.LSTM(3, return_sequences=True))
layers = [keras.Input((None, 2)), lstm, L.Dropout(0.5), L.GRU(4, return_sequences=True), L.Dense(1, activation="tanh")]
keras.Sequential(layers).save(sys.argv[1])
"""


@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
def test_a_model_of_keras_itself(name: str, tmp_path: Path) -> None:
    environment = os.environ | {"KERAS_BACKEND": "torch", "COVERAGE_PROCESS_CONFIG": ""}
    subprocess.run([sys.executable, "-c", KERAS, tmp_path / name], env=environment, check=True, capture_output=True)
    read = read_model(str(tmp_path / name))
    assert [(layer.inputs, layer.outputs) for layer in read.layers] == [(2, 6), (6, 4), (4, 1)]
    assert read.bidirectional
    last = read.layers[-1]
    assert isinstance(last, Dense)
    assert last.activation == "tanh"


def test_keys_of_nam_that_may_change_the_sound(tmp_path: Path) -> None:
    document = models.nam_document(*models.modules())
    for key, value, message in (
        ("gain", 2, "'config.gain' is not known to convtool, and may change the sound"),
        ("in_channels", 3, "'config.in_channels' is 3, but 'config.input_size' 1"),
    ):
        path = models.write_json(tmp_path / "m.nam", document | {"config": document["config"] | {key: value}})
        assert refusal(path) == message


def test_several_heads_need_their_activations(tmp_path: Path) -> None:
    rnn, linear = models.modules(outputs=3)
    state = models.state_dict(rnn, linear) | {"last.weight": torch.ones(1, 3), "last.bias": torch.ones(1)}
    torch.save(state, tmp_path / "m.pt")
    assert "does not tell the activation of 'head', which 'last' follows" in refusal(tmp_path / "m.pt")


def test_files_that_hold_other_networks(tmp_path: Path) -> None:
    torch.save({"conv.weight": torch.ones(1, 1, 3)}, tmp_path / "conv.pt")
    assert "tensor 'conv.weight'" in refusal(tmp_path / "conv.pt")
    torch.save({"head.weight": torch.ones(1, 3)}, tmp_path / "dense.pt")
    assert "there is no LSTM or GRU among its layers; there is 'head'" in refusal(tmp_path / "dense.pt")
    torch.save(models.state_dict(*models.modules()) | {"head.count": torch.tensor(3)}, tmp_path / "more.pt")
    assert "tensor 'head.count'" in refusal(tmp_path / "more.pt")
    whole = {name: value.to(torch.int32) for name, value in models.state_dict(*models.modules()).items()}
    torch.save(whole, tmp_path / "whole.pt")
    assert "is int32; expected floating-point numbers" in refusal(tmp_path / "whole.pt")
    empty = {name: value[:0] for name, value in models.state_dict(*models.modules()).items()}
    torch.save(empty, tmp_path / "empty.pt")
    assert "tensor 'rnn.weight_ih_l0' is empty, of the shape (0, 1)" in refusal(tmp_path / "empty.pt")


def test_an_onnx_graph(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    graph = onnx.helper.make_graph([], "g", [], [], [onnx.numpy_helper.from_array(np.ones((2, 2), np.float32), "w")])
    onnx.save(onnx.helper.make_model(graph), tmp_path / "m.onnx")
    assert "it is an ONNX graph; expected a model of GuitarML" in refusal(tmp_path / "m.onnx")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<!DOCTYPE html><html></html>", "HTML"),
        (b'{"model_data": {"model": "SimpleRNN"', "cut off"),
        (b'{"a": 1}', "expected a model of GuitarML"),
        (b"", "empty"),
    ],
)
def test_files_that_are_no_models(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "m.json").write_bytes(content)
    assert message in refusal(tmp_path / "m.json")


def test_models_too_large_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    header = json.dumps(
        {"rnn.weight_ih_l0": {"dtype": "F32", "shape": [1 << 30, 1], "data_offsets": [0, 1 << 32]}}
    ).encode()
    (tmp_path / "m.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    assert refusal(tmp_path / "m.safetensors")
    path = models.pt(tmp_path / "m.pt", *models.modules())
    monkeypatch.setattr(recurrent_layers, "MODEL_LIMIT", 1000)
    assert "its tensors take 1444 bytes; a model that is run may take 1000" in refusal(path)
