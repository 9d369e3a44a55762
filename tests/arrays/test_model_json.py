"""Recurrent models as JSON: the formats as their writers make them, from one torch module; and what is none."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from convtool.arrays import open_weights
from convtool.arrays.description import PIECE_BYTES, TensorInfo
from convtool.arrays.model_json import TENSORS_LIMIT, ModelJsonReader
from convtool.errors import InputError
from convtool.files import json as json_files
from convtool.files.json import json_kind, json_numbers, read_json

HIDDEN, INPUTS, LAYERS = 3, 2, 2
LSTM = torch.nn.LSTM(INPUTS, HIDDEN, LAYERS)
HEAD = torch.nn.Linear(HIDDEN, 1)
STATE: dict[str, torch.Tensor] = {
    **{f"rec.{name}": value.detach() for name, value in LSTM.named_parameters()},
    **{f"lin.{name}": value.detach() for name, value in HEAD.named_parameters()},
}
MODEL_DATA = {"model": "SimpleRNN", "unit_type": "LSTM", "input_size": 2, "skip": 1, "hidden_size": 3, "bias_fl": True}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.json"


def opened(path: Path, document: Any) -> ModelJsonReader:
    path.write_text(json.dumps(document))
    return ModelJsonReader(str(path))


def refusal(path: Path, document: Any) -> str:
    with pytest.raises(InputError) as caught:
        opened(path, document)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def arrays(file: ModelJsonReader) -> dict[str, np.ndarray]:
    for tensor in file.tensors:
        assert (tensor.dtype, tensor.nbytes) == ("float64", 8 * math.prod(tensor.shape))
    return {tensor.name: file.values(tensor) for tensor in file.tensors}


def check(found: Mapping[str, np.ndarray], expected: Mapping[str, Any]) -> None:
    """The same names in the same order, and to the bit the same numbers."""
    assert list(found) == list(expected)
    for name, values in expected.items():
        assert found[name].dtype == np.float64
        np.testing.assert_array_equal(found[name], np.asarray(values, np.float64))


# GuitarML, and bare state dicts


def guitarml(**state: Any) -> dict[str, Any]:
    whole = {name: value.tolist() for name, value in STATE.items()} | state
    return {"model_data": MODEL_DATA, "state_dict": whole}


def test_guitarml(path: Path) -> None:
    path.write_text(json.dumps(guitarml()))
    with open_weights(str(path)) as file:
        assert isinstance(file, ModelJsonReader)
        assert (file.format, file.layout, file.notes) == ("guitarml", "torch", [])
        assert file.metadata == {
            "model": "SimpleRNN",
            "unit_type": "LSTM",
            "input_size": "2",
            "skip": "1",
            "hidden_size": "3",
            "bias_fl": "true",
        }
        check(arrays(file), STATE)
        assert {tensor.name[:4]: tensor.layer for tensor in file.tensors} == {"rec.": "LSTM", "lin.": "Linear"}


def test_guitarml_with_more_layers_and_odd_settings(path: Path) -> None:
    document = guitarml(**{"conv.weight": [[[1, 2]]], "steps": 7})
    document["model_data"] = {"unit_type": None}
    file = opened(path, document)
    assert file.find("rec.weight_ih_l0").layer == file.find("conv.weight").layer == ""
    assert file.find("steps").shape == ()
    assert file.values(file.find("steps")) == 7
    assert file.metadata == {}


@pytest.mark.parametrize("wrapped", [False, True])
def test_bare_state_dicts(wrapped: bool, path: Path) -> None:
    state = {name.replace("rec", "lstm"): value for name, value in STATE.items()}
    lists = {name: value.tolist() for name, value in state.items()}
    file = opened(path, {"state_dict": lists, "epoch": 4} if wrapped else lists)
    assert (file.format, file.layout, file.metadata) == ("torch json", "torch", {})
    check(arrays(file), state)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"model_data": 5, "state_dict": {}}, "'model_data' is 5; expected an object"),
        ({"model_data": {}}, "'state_dict' is missing"),
        ({"model_data": {}, "state_dict": [1]}, "'state_dict' is a list; expected an object"),
        (guitarml(**{"lin.bias": ["0.5"]}), "'lin.bias' holds the text '0.5' where number 1 of 1 was expected"),
        (guitarml(**{"lin.bias": [0.5, True]}), "'lin.bias' holds true where number 2 of 2 was expected"),
        (guitarml(**{"lin.bias": True}), "'lin.bias' holds true where number 1 of 1"),
        (guitarml(**{"lin.bias": None}), "'lin.bias' holds null where number 1 of 1"),
        (guitarml(**{"lin.bias": {}}), "'lin.bias' holds an object where"),
        (guitarml(**{"lin.bias": [1, [2]]}), "'lin.bias' holds a list where number 2 of 2"),
        (guitarml(**{"lin.weight": [[1, 2], [3]]}), "'lin.weight' is ragged: a list of 1 stands beside a list of 2"),
        (guitarml(**{"lin.weight": [[1, 2], 3]}), "'lin.weight' is ragged: 3 stands beside a list of 2"),
        (guitarml(**{"lin.weight": [[], [1]]}), "'lin.weight' is ragged: a list of 1 stands beside a list of 0"),
        (guitarml(**{"lin\n": [[[[[[[[[1]]]]]]]]]}), r"'lin\n' has lists nested deeper than 8"),
        (guitarml(**{"lin.bias": [10**400]}), "'lin.bias' holds a whole number past what float64 holds"),
        ({"lstm.weight": [True]}, "'lstm.weight' holds true"),
    ],
)
def test_damaged_state_dicts(document: Any, message: str, path: Path) -> None:
    assert message in refusal(path, document)


def test_numbers_that_are_not_finite_are_numbers(path: Path) -> None:
    path.write_text('{"weight": [NaN, Infinity, -Infinity, 1e999, 5e-324, 12345678901234567890]}')
    values = arrays(ModelJsonReader(str(path)))["weight"]
    np.testing.assert_array_equal(values, [np.nan, np.inf, -np.inf, np.inf, 5e-324, 12345678901234567890])


def test_empty_tensors_and_large_ones(path: Path) -> None:
    values = np.random.default_rng(0).normal(size=PIECE_BYTES // 8 + 3)
    file = opened(path, {"weight": values.tolist(), "none": [], "rows": [[], []]})
    assert [tensor.shape for tensor in file.tensors] == [values.shape, (0,), (2, 0)]
    pieces = list(file.pieces(file.tensors[0]))
    assert [piece.nbytes for piece in pieces] == [PIECE_BYTES, 24]
    np.testing.assert_array_equal(np.concatenate(pieces), values)
    assert file.values(file.tensors[2]).shape == (2, 0)


# RTNeural


def rtneural(*layers: Any, **more: Any) -> dict[str, Any]:
    return {"in_shape": [None, None, 1], "layers": list(layers), **more}


def layer(kind: str, *shapes: tuple[int, ...], **more: Any) -> dict[str, Any]:
    return {"type": kind, "activation": "", "weights": [np.ones(shape).tolist() for shape in shapes], **more}


def test_an_aida_x_model(path: Path) -> None:
    """Its LSTM is torch's, transposed, both biases added."""
    kernels = [STATE["rec.weight_ih_l0"].T, STATE["rec.weight_hh_l0"].T]
    bias = STATE["rec.bias_ih_l0"] + STATE["rec.bias_hh_l0"]
    document = rtneural(
        layer("lstm", shape=[None, None, 3]) | {"weights": [*(each.tolist() for each in kernels), bias.tolist()]},
        layer("dense", shape=[None, None, 1])
        | {"weights": [STATE["lin.weight"].T.tolist(), STATE["lin.bias"].tolist()], "activation": "tanh"},
        in_skip=1,
        out_gain=-1.5,
        metadata={"samplerate": "48000", "name": "x" * 500, "else": [1]},
        input_batch=[0.5],
    )
    file = opened(path, document)
    assert (file.format, file.layout, file.notes) == ("rtneural", "keras", [])
    assert file.metadata == {"in_skip": "1", "out_gain": "-1.5", "samplerate": "48000", "name": "x" * 200}
    names = ["layers.0.kernel", "layers.0.recurrent_kernel", "layers.0.bias", "layers.1.kernel", "layers.1.bias"]
    expected = [*kernels, bias, STATE["lin.weight"].T, STATE["lin.bias"]]
    check(arrays(file), dict(zip(names, expected, strict=True)))
    recurrent = {"activation": "tanh", "recurrent_activation": "sigmoid", "units": 3}
    assert [(each.layer, each.config) for each in file.tensors] == [
        *[("LSTM", recurrent)] * 3,
        *[("Dense", {"activation": "tanh", "units": 1})] * 2,
    ]


@pytest.mark.parametrize(
    ("entry", "names", "cls", "config"),
    [
        (layer("time-distributed-dense", (2, 3)), ["kernel"], "Dense", {"activation": ""}),
        (
            layer("conv1d", (5, 2, 4), (4,), kernel_size=[5], dilation=[2], groups=1, shape=[]),
            ["kernel", "bias"],
            "Conv1D",
            {"activation": "", "groups": 1, "dilation": 2},
        ),
        (
            layer("conv2d", (5, 2, 4, 1), (1,), dilation=2, strides=3, groups=True, activation=None),
            ["kernel", "bias"],
            "Conv2D",
            {"dilation": 2, "strides": 3},
        ),
        (
            layer("gru", (1, 9), (3, 9), (2, 9), shape=[None, None]),
            ["kernel", "recurrent_kernel", "bias"],
            "GRU",
            {"activation": "tanh", "recurrent_activation": "sigmoid", "reset_after": True},
        ),
        (
            layer("gru", (1, 9), (3, 9), (9,), activation="relu", shape="?"),
            ["kernel", "recurrent_kernel", "bias"],
            "GRU",
            {"activation": "relu", "recurrent_activation": "sigmoid", "reset_after": False},
        ),
        (
            layer("gru", (1, 9), (3, 9), dilation=[]),
            ["kernel", "recurrent_kernel"],
            "GRU",
            {"activation": "tanh", "recurrent_activation": "sigmoid"},
        ),
        (layer("prelu", (1, 4)), ["alpha"], "PReLU", {"activation": ""}),
        (
            layer("batchnorm", (4,), (4,), (4,), (4,), epsilon=0.01),
            ["gamma", "beta", "moving_mean", "moving_variance"],
            "BatchNormalization",
            {"activation": "", "epsilon": 0.01},
        ),
        (
            layer("batchnorm2d", (4,), (4,)),
            ["moving_mean", "moving_variance"],
            "BatchNormalization",
            {"activation": ""},
        ),
        (layer("dense", (1, 1), (1,), (3,)), ["weights.0", "weights.1", "weights.2"], "Dense", {"activation": ""}),
        (layer("snake", (4,)), ["weights.0"], "snake", {"activation": ""}),
        ({"type": "activation", "activation": "tanh"}, [], "", {}),
    ],
)
def test_rtneural_layers(entry: Any, names: list[str], cls: str, config: dict[str, Any], path: Path) -> None:
    file = opened(path, rtneural({"type": "activation"}, entry))
    assert [tensor.name for tensor in file.tensors] == [f"layers.1.{name}" for name in names]
    assert [tensor.shape for tensor in file.tensors] == [np.shape(each) for each in entry.get("weights", [])]
    assert all((tensor.layer, tensor.config) == (cls, config) for tensor in file.tensors)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (5, "'layers.0' is 5; expected an object"),
        ({}, "'layers.0.type' is missing"),
        ({"type": 1}, "'layers.0.type' is 1; expected a name in quotes"),
        ({"type": "lstm", "weights": {}}, "'layers.0.weights' is an object; expected a list"),
        ({"type": "dense", "weights": [[[1]], ["1"]]}, "'layers.0.bias' holds the text '1'"),
    ],
)
def test_damaged_rtneural_layers(entry: Any, message: str, path: Path) -> None:
    assert message in refusal(path, rtneural(entry))


@pytest.mark.parametrize(
    "document",
    [
        rtneural({"type": "lstm", "weights": [1] * (TENSORS_LIMIT + 1)}),
        rtneural(*[layer("prelu", ())] * (TENSORS_LIMIT + 1)),
        {f"weight{index}": 1 for index in range(TENSORS_LIMIT + 1)},
    ],
)
def test_more_tensors_than_a_model_can_have(document: Any, path: Path) -> None:
    assert refusal(path, document) == f"there are more than {TENSORS_LIMIT} tensors in it"


# NAM


def nam(weights: Any = None, **config: Any) -> dict[str, Any]:
    """As NAM's trainer writes an LSTM."""
    flat: list[float] = []
    for index in range(LAYERS):
        both = torch.cat([STATE[f"rec.weight_ih_l{index}"], STATE[f"rec.weight_hh_l{index}"]], dim=1)
        bias = STATE[f"rec.bias_ih_l{index}"] + STATE[f"rec.bias_hh_l{index}"]
        flat += [*both.flatten().tolist(), *bias.tolist(), *[index + 0.25] * HIDDEN, *[index + 0.5] * HIDDEN]
    flat += [*STATE["lin.weight"].flatten().tolist(), *STATE["lin.bias"].tolist()]
    return {
        "version": "0.5.0",
        "architecture": "LSTM",
        "config": {"input_size": INPUTS, "hidden_size": HIDDEN, "num_layers": LAYERS} | config,
        "weights": flat if weights is None else weights,
        "sample_rate": 48000.0,
        "metadata": {"name": "amp", "version": "mine", "date": {"year": 2025}},
    }


def test_a_nam_lstm_is_taken_apart(path: Path) -> None:
    file = opened(path, nam())
    assert (file.format, file.layout, file.notes) == ("nam", "torch", [])
    assert file.metadata == {
        "name": "amp",
        "version": "0.5.0",
        "input_size": "2",
        "hidden_size": "3",
        "num_layers": "2",
        "architecture": "LSTM",
        "sample_rate": "48000.0",
    }
    expected: dict[str, Any] = {}
    for index in range(LAYERS):
        parts = [STATE[f"rec.weight_ih_l{index}"], STATE[f"rec.weight_hh_l{index}"]]
        expected[f"layers.{index}.weight"] = np.concatenate(parts, axis=1)
        expected[f"layers.{index}.bias"] = STATE[f"rec.bias_ih_l{index}"] + STATE[f"rec.bias_hh_l{index}"]
        expected[f"layers.{index}.h0"] = [index + 0.25] * HIDDEN
        expected[f"layers.{index}.c0"] = [index + 0.5] * HIDDEN
    check(arrays(file), expected | {"head.weight": STATE["lin.weight"][0], "head.bias": STATE["lin.bias"]})
    assert [tensor.layer for tensor in file.tensors] == ["LSTM"] * 8 + ["Linear"] * 2
    assert file.find("layers.0.weight").config == {"input_size": 2, "hidden_size": 3}
    assert file.find("layers.1.weight").config == {"input_size": 3, "hidden_size": 3}


def test_the_weights_of_other_architectures_stay_one_list(path: Path) -> None:
    file = opened(path, {"architecture": "WaveNet", "config": {"layers": []}, "weights": [1, 2.5]})
    check(arrays(file), {"weights": [1, 2.5]})
    assert file.notes == ["weights is one flat list: the architecture 'WaveNet' is not taken apart"]
    assert file.tensors[0].layer == "WaveNet"


def test_models_within_a_nam_model(path: Path) -> None:
    submodels = [{"max_value": 0.5, "model": nam()}, {"model": {"architecture": "WaveNet", "weights": [1]}}]
    file = opened(path, {"architecture": "SlimmableContainer", "config": {"submodels": submodels}})
    names = [tensor.name for tensor in file.tensors]
    assert (names[0], names[-1], len(names)) == ("submodels.0.layers.0.weight", "submodels.1.weights", 11)
    assert file.notes == ["submodels.1.weights is one flat list: the architecture 'WaveNet' is not taken apart"]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (nam([1, 2, 3]), "'weights' holds 3 numbers; an LSTM of input_size 2, hidden_size 3 and num_layers 2 has 172"),
        (nam([]), "'weights' holds 0 numbers"),
        (nam(num_layers=10**9), "num_layers 1000000000 has "),
        (nam(hidden_size=10**12), "hidden_size 1000000000000 and"),
        (nam(hidden_size="3"), "'config.hidden_size' is the text '3'; expected a whole number from 1 on"),
        (nam(hidden_size=3.0), "'config.hidden_size' is 3.0"),
        (nam(num_layers=True), "'config.num_layers' is true"),
        (nam(input_size=0), "'config.input_size' is 0"),
        (nam(5) | {"weights": {}}, "'weights' holds an object where"),
        (nam() | {"config": None}, "'config' is null"),
        (nam() | {"architecture": None}, "'architecture' is null; expected a name in quotes"),
        ({"architecture": "X", "config": {"submodels": [1]}}, "'submodels.0' is 1; expected an object"),
        ({"architecture": "X", "config": {"submodels": [{}]}}, "'submodels.0.model' is missing"),
        ({"architecture": "X", "config": {"submodels": [{"model": {}}]}}, "'submodels.0.architecture' is missing"),
        ({"architecture": "X"}, "'weights' is missing"),
        ({"architecture": "LSTM", "weights": []}, "'config' is missing"),
        (nam() | {"config": {}}, "'config.input_size' is missing"),
    ],
)
def test_damaged_nam_models(document: Any, message: str, path: Path) -> None:
    assert message in refusal(path, document)


# What is no such model


@pytest.mark.parametrize(
    "document",
    [
        {"epoch": 1, "a\nb": []},
        {"layers": {}, "config": 1},
        {"state_dict": 5},
        {"state_dict": {"weight": "text"}},
        {"bias": [1, 2]},
        {},
    ],
)
def test_json_that_is_no_model(document: dict[str, Any], path: Path) -> None:
    message = refusal(path, document)
    keys = ", ".join(map(repr, document)) or "none"
    assert message.startswith(f"the JSON has the keys {keys}; expected a model of GuitarML")
    assert "NAM ('architecture', 'weights')" in message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the JSON is damaged or cut off at line 1, column 1: Expecting value"),
        (b'{"a":\n 1, "b"', "at line 2, column 8"),
        (b"[1, 2]", "the JSON holds a list; expected an object"),
        (b'"' + b"x" * 50 + b'"', f"the JSON holds the text '{'x' * 40}'...; expected"),
        (b'{"a": "\xe9"}', "the JSON is not in UTF-8: byte 7 is 0xe9"),
        (b'{"a":' * 20_000, "nested too deeply"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"weight": [' + b"9" * 5000 + b"]}", "a whole number in the JSON has thousands of digits"),
        (b'{"a": {"b": 1, "a": 2, "b\\n": 3, "b\\n": 4}}', r"the JSON names the key 'b\\n' twice in one object"),
    ],
)
def test_files_that_are_damaged(content: bytes, message: str, path: Path) -> None:
    path.write_bytes(content)
    with pytest.raises(InputError, match=message.replace("(", r"\(")):
        read_json(str(path))


def test_what_is_read_is_what_was_written(path: Path) -> None:
    document = {"text": "é😀\u2028", "numbers": [1, -0.0, 0.1, 1e300], "none": None, "truth": True, "in": {"a": {}}}
    for text in (json.dumps(document), "\ufeff" + json.dumps(document, ensure_ascii=False, indent=4)):
        path.write_text(text, encoding="utf-8")
        assert read_json(str(path)) == document


def test_files_that_are_too_large(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_text('{"a": [1]}')
    assert read_json(str(path), limit=10) == {"a": [1]}
    with pytest.raises(InputError, match="the JSON text has 10 bytes; the limit is 9"):
        read_json(str(path), limit=9)
    with open(path, "wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(InputError, match="has 1099511627776 bytes"):
        read_json(str(path))
    monkeypatch.setattr(json_files, "_MEMORY_LIMIT", 2 << 20)
    for repeated in ("[],", "[[", "{},", '{"":1},', '"",', "1,"):
        path.write_text('{"a": [' + repeated * 100_000)
        with pytest.raises(InputError, match=r"would take about \d+ MB of memory; the limit is 2"):
            read_json(str(path))
    path.write_text(json.dumps({"text": "a" * 250_000 + "😀"}, ensure_ascii=False), encoding="utf-8")
    with pytest.raises(InputError, match="would take about 2 MB"):
        read_json(str(path))


def test_kinds_of_values() -> None:
    kinds = [json_kind(value) for value in (None, False, 1, 2.5, float("nan"), "a\n", [1], {"a": 1})]
    assert kinds == ["null", "false", "1", "2.5", "NaN", r"the text 'a\n'", "a list", "an object"]


def test_numbers_of_any_shape() -> None:
    values = np.arange(24.0).reshape(2, 1, 3, 4)
    shape, flat = json_numbers(values.tolist(), "t")
    assert shape == values.shape
    np.testing.assert_array_equal(flat, values.ravel())


def test_tensors_are_found_by_name(path: Path) -> None:
    file = opened(path, guitarml())
    assert isinstance(file.find("lin.bias"), TensorInfo)
    with pytest.raises(InputError, match=r"no tensor 'lin.bia' in it; there is 'lin.bias'"):
        file.find("lin.bia")
