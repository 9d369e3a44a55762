"""Keras files: written by Keras itself and by hand, the names that their authors know, and what is told of them."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from convtool.arrays import open_weights
from convtool.arrays.keras import config as keras_config
from convtool.arrays.keras.archive import KerasReader
from convtool.arrays.keras.classes import LAYERS, snake_case
from convtool.arrays.keras.config import Layer, kind_of_key, lambdas, parse
from convtool.arrays.keras.hdf5_file import Hdf5Reader
from convtool.arrays.keras.names import natural
from convtool.errors import InputError
from convtool.weights.conversion.file import ConvertedFile, convert
from convtool.weights.layouts import describe

SCRIPT = """
import inspect, json, keras, numpy as np
from keras import layers as L
from keras.src.utils.naming import to_snake_case
x = signal = keras.Input((16, 3), name="signal")
x = L.Conv1D(4, 5, name="front_end")(x)
x = L.BatchNormalization(name="bn")(x)
x = L.BatchNormalization(scale=False, name="centred")(x)
x = L.DepthwiseConv1D(3, use_bias=False)(x)
x = L.SeparableConv1D(6, 3)(x)
x = L.Conv1DTranspose(6, 3, name="up")(x)
x = L.LayerNormalization()(x)
x = L.Bidirectional(L.LSTM(5, return_sequences=True), name="both")(x)
x = L.GRU(4, return_sequences=True, name="gru_a")(x)
x = L.GRU(4, return_sequences=True, reset_after=False)(x)
x = L.TimeDistributed(L.Dense(3, name="inner"))(x)
x = L.MultiHeadAttention(2, 4)(x, x)
x = L.GroupQueryAttention(3, 4, 2, name="gqa")(x, x)
x = L.RNN([L.LSTMCell(3), L.GRUCell(2)], return_sequences=True)(x)
x = keras.Sequential([L.Conv1D(2, 3, name="c1"), L.Conv1D(2, 3, name="c2")], name="sub")(x)
x = L.PReLU()(x)
x = L.Lambda(lambda t: t * 2, name="double", output_shape=(None, 2))(x)
x = L.SimpleRNN(4)(x)
for _ in range(11):
    x = L.Dense(2)(x)
model = keras.Model(signal, L.Dense(1, name="head")(x))
model.compile("adam", "mse")
model.optimizer.build(model.trainable_variables)
for weight in model.weights:
    weight.assign(np.random.default_rng(len(weight.path)).normal(size=weight.shape))
for name in ("model.keras", "model.h5", "model.weights.h5"):
    (model.save_weights if "weights" in name else model.save)(name)
np.savez("values.npz", **{weight.path.replace("/", "|"): weight.numpy() for weight in model.weights})

@keras.saving.register_keras_serializable()
class Block(L.Layer):
    def __init__(self, **config):
        super().__init__(**config)
        self.first, self.second = L.Dense(3), L.Dense(3, name="embedding")
        self.twins = [L.Dense(3, name="one"), [L.Dense(3, name="two", use_bias=False)]]
        self.attend = L.MultiHeadAttention(1, 2, name="attend")
        self.own = self.add_weight(shape=(2, 2))
    def call(self, x):
        x = self.second(self.first(x))
        return self.attend(x, x) + self.twins[1][0](self.twins[0](x))
keras.utils.clear_session()
block = keras.Sequential([keras.Input((4, 3)), Block(name="mine"), L.Dropout(0.5)])
block.save_weights("block.weights.h5")

@keras.saving.register_keras_serializable("mine")
class Mix(L.Layer):
    def build(self, shape):
        self.mix, self.off = self.add_weight(shape=(4, 5), name="mix"), self.add_weight(shape=(5,), name="off")
    def call(self, x):
        return keras.ops.matmul(x, self.mix) + self.off
    def compute_output_shape(self, shape):
        return (*shape[:-1], 5)
class Steps(L.Layer):
    def build(self, shape):
        sizes = {"kernel": (5, 8), "recurrent": (2, 8), "bias": (8,)}
        self.all = [self.add_weight(shape=size, name=name) for name, size in sizes.items()]
        self.inner = L.Dense(8)
        self.inner.build((None, 8))
    def call(self, x):
        return self.inner(keras.ops.matmul(x, self.all[0]))
class Echo(L.LSTM):
    pass
x = one = keras.Input((3, 4))
x = L.Dense(6)(Echo(2, return_sequences=True)(Steps()(Mix()(x))))
x = L.TimeDistributed(Mix(name="each"), name="times")(L.Dense(4)(keras.ops.multiply(x, 2.0)))
foreign = keras.Model(one, x)
for name in ("foreign.keras", "foreign.h5", "foreign.weights.h5"):
    (foreign.save_weights if "weights" in name else foreign.save)(name)

keras.config.set_dtype_policy("bfloat16")
half = keras.Sequential([keras.Input((8, 8, 1)), L.Conv2D(4, 3, name="conv")])
half.save("half.keras")
half.save("half.h5")
np.save("half.npy", keras.ops.convert_to_numpy(half.layers[0].kernel).astype("float32"))
kinds = [name for name, kind in inspect.getmembers(L, inspect.isclass)]
print(json.dumps({name: to_snake_case(name) for name in kinds}))
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of files that Keras wrote, and its own spelling of its classes."""
    folder = tmp_path_factory.mktemp("keras")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=os.environ | {"KERAS_BACKEND": "torch", "COVERAGE_PROCESS_CONFIG": ""},
        capture_output=True,
        cwd=folder,
        check=True,
    )
    (folder / "kinds.json").write_bytes(done.stdout.splitlines()[-1])
    return folder


def known_as(path: str) -> str:
    """The name that a variable of Keras's `path` goes by: without the cell that a recurrent layer wraps."""
    path = path.replace("stacked_rnn_cells/lstm_cell", "LSTM").replace("stacked_rnn_cells/gru_cell", "GRU")
    parts = [part for part in path.split("/") if part not in ("lstm_cell", "gru_cell", "simple_rnn_cell")]
    return "/".join(parts).replace("LSTM", "lstm_cell").replace("GRU", "gru_cell")


@pytest.mark.parametrize("name", ["model.keras", "model.h5", "model.weights.h5"])
def test_names_and_values_of_keras_itself(written: Path, name: str) -> None:
    with np.load(written / "values.npz") as stored:
        expected = {known_as(key.replace("|", "/")): stored[key] for key in stored.files}
    with open_weights(str(written / name)) as file:
        assert (file.format, file.layout) == ("keras", "keras")
        found = {tensor.name: file.values(tensor) for tensor in file.tensors}
    weights = [key for key in found if not key.startswith("optimizer/")]
    if name == "model.weights.h5":  # three variables may lack gamma or beta
        lost = ["beta", "moving_mean", "moving_variance"]
        expected |= {f"centred/{index}": expected.pop(f"centred/{name}") for index, name in enumerate(lost)}
    if name == "model.weights.h5":  # without the model's configuration, in the order of the paths
        assert sorted(weights) == sorted(expected)
    else:
        assert weights == list(expected)
    assert len(found) > 2 * len(weights)  # Adam's moments
    for key, values in expected.items():
        np.testing.assert_array_equal(found[key], values, strict=True)


KINDS = {
    "front_end/kernel": "Conv1D",
    "up/kernel": "Conv1DTranspose",
    "depthwise_conv1d/kernel": "DepthwiseConv1D",
    "both/forward_lstm/recurrent_kernel": "LSTM",
    "both/backward_lstm/bias": "LSTM",
    "gru_a/kernel": "GRU",
    "rnn/lstm_cell/kernel": "LSTM",
    "rnn/gru_cell/bias": "GRU",
    "time_distributed/inner/kernel": "Dense",
    "multi_head_attention/attention_output/kernel": "EinsumDense",
    "sub/c2/kernel": "Conv1D",
    "bn/moving_mean": "BatchNormalization",
}


@pytest.mark.parametrize(
    ("name", "untold"),
    [("model.keras", set()), ("model.h5", set()), ("model.weights.h5", {"time_distributed/inner/kernel"})],
)
def test_classes_of_layers(written: Path, name: str, untold: set[str]) -> None:
    with open_weights(str(written / name)) as file:
        found = {tensor.name: tensor.layer for tensor in file.tensors}
    assert {key: found[key] for key in KINDS} == KINDS | dict.fromkeys(untold, "")


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_settings_that_the_reading_depends_on(written: Path, name: str) -> None:
    with open_weights(str(written / name)) as file:
        found = {tensor.name: tensor.config for tensor in file.tensors}
    assert found["gru_a/kernel"]["reset_after"] is True
    assert found["gru/kernel"]["reset_after"] is False
    assert found["gru/kernel"]["units"] == 4
    assert found["gru/kernel"]["activation"] == "tanh"
    assert found["gru/kernel"]["recurrent_activation"] == "sigmoid"
    assert found["both/forward_lstm/bias"]["go_backwards"] is False
    assert found["both/backward_lstm/bias"]["go_backwards"] is True
    assert found["front_end/kernel"]["groups"] == 1
    assert found["depthwise_conv1d/kernel"]["use_bias"] is False
    assert found["centred/beta"]["scale"] is False
    assert "kernel_initializer" not in found["front_end/kernel"]


def test_what_is_told_of_the_files(written: Path) -> None:
    note = ["contains Lambda layer 'double'; its code was not run"]
    with open_weights(str(written / "model.keras")) as file:
        assert file.notes == note
        assert set(file.metadata) == {"keras_version", "date_saved"}
    with open_weights(str(written / "model.h5")) as file:
        assert file.notes == note
        assert file.metadata["backend"] == "torch"
        assert file.metadata["keras_version"].startswith("3.")
    with open_weights(str(written / "model.weights.h5")) as file:
        assert (file.notes, file.metadata) == ([], {})


def test_a_layer_of_ones_own(written: Path) -> None:
    with open_weights(str(written / "block.weights.h5")) as file:
        found = {tensor.name: tensor.layer for tensor in file.tensors}
    parts = ("query", "key", "value", "attention_output")
    attention = [f"mine/attend/{part}/{name}" for part in parts for name in ("kernel", "bias")]
    assert list(found.items()) == [
        ("mine/0", "block"),  # which is no class of Keras's
        *((name, "EinsumDense") for name in attention),
        ("mine/dense/kernel", "Dense"),
        ("mine/dense/bias", "Dense"),
        ("mine/embedding/kernel", ""),  # which is no Embedding
        ("mine/embedding/bias", ""),
        ("mine/two/kernel", "Dense"),
        ("mine/one/kernel", "Dense"),
        ("mine/one/bias", "Dense"),
    ]


FOREIGN_CLASSES = ["mine>Mix", "Steps", "Echo"]
FOREIGN = {
    **dict.fromkeys(["mix/0", "mix/1", "times/each/0", "times/each/1"], "mine>Mix"),
    **dict.fromkeys(["steps/0", "steps/1", "steps/2"], "Steps"),
    **dict.fromkeys(["echo/0", "echo/1", "echo/2"], "Echo"),
}


@pytest.mark.parametrize("name", ["foreign.keras", "foreign.h5"])
def test_layers_of_classes_that_are_not_keras_s(written: Path, name: str) -> None:
    """What their own tensors are called, the legacy format tells; whatever a name or a shape looks like, it is left."""
    with open_weights(str(written / name)) as file:
        described = describe(file.tensors, layout=file.layout)
        assert file.calls() == FOREIGN_CLASSES
        told = ", ".join(map(repr, FOREIGN_CLASSES))
        assert file.notes == [f"layers of classes that are not Keras's, which alone know their tensors: {told}"]
        converted = ConvertedFile(file, described, to="torch")
        names = {each.described.tensor.name: each.array for each in convert(described, to="torch")}
    own = [each for each in described if each.tensor.layer in FOREIGN_CLASSES]
    assert {each.kind for each in own} == {"tensor"}
    assert all(names[each.tensor.name.replace("/", ".")].order == tuple(range(len(each.axes))) for each in own)
    counts = Counter(each.tensor.layer for each in own)
    assert counts == {"mine>Mix": 4, "Steps": 3, "Echo": 3}
    if name == "foreign.keras":
        assert {each.tensor.name: each.tensor.layer for each in own} == FOREIGN
    else:
        called = {each.tensor.name for each in own}
        assert {"mix/mix", "steps/recurrent", "echo/recurrent_kernel", "times/each/mix"} <= called
    others = [each for each in described if each not in own]
    assert [each.kind for each in others if each.role == "weight"] == ["dense"] * 3
    (left,) = converted.told
    assert str(left).startswith("left as stored, since nothing tells how torch would have them: 6 tensors, 'mix.")


def test_weights_alone_tell_classes_by_their_paths(written: Path) -> None:
    with open_weights(str(written / "foreign.weights.h5")) as file:
        found = {tensor.name: tensor.layer for tensor in file.tensors}
        assert file.calls() == []  # nothing is built to load them
    assert (found["mix/0"], found["steps/2"], found["dense_1/kernel"]) == ("mix", "steps", "Dense")
    assert found["echo/2"] == "echo"


@pytest.mark.parametrize("name", ["half.keras", "half.h5"])
def test_bfloat16(written: Path, name: str) -> None:
    with open_weights(str(written / name)) as file:
        kernel, bias = file.tensors
        assert [(t.name, t.dtype, t.nbytes) for t in (kernel, bias)] == [
            ("conv/kernel", "bfloat16", 72),
            ("conv/bias", "bfloat16", 8),
        ]
        np.testing.assert_array_equal(file.values(kernel), np.load(written / "half.npy"), strict=True)


def test_classes_are_spelled_as_keras_spells_them(written: Path) -> None:
    spelled = json.loads((written / "kinds.json").read_text())
    assert {kind: snake_case(kind) for kind in spelled} == spelled
    assert spelled.keys() - LAYERS == {"InputSpec"}  # which is no layer
    cells = {kind for kind in keras_config.VARIABLES if kind.startswith("ConvLSTM") and kind.endswith("Cell")}
    other = {"SeedGenerator", "GroupedQueryAttention"}  # which keras.layers has as GroupQueryAttention
    assert keras_config.VARIABLES.keys() - spelled.keys() == cells | other
    for kind in keras_config.VARIABLES:
        assert kind_of_key(snake_case(kind)) == kind_of_key(f"{snake_case(kind)}_12") == kind


# Files of older versions, by hand


def numbered(
    path: Path, weights: Mapping[str, tuple[int, ...]], labels: Mapping[str, str] | None = None
) -> list[tuple[str, str]]:
    """Names and classes that are told of a file of variables of these paths and shapes."""
    with h5py.File(path, "w") as file:
        for name, shape in weights.items():
            file[name] = np.zeros(shape)
        for name, label in (labels or {}).items():
            file.require_group(name).attrs["name"] = label
    with Hdf5Reader(str(path)) as opened:
        assert opened.layout == "keras"
        return [(tensor.name, tensor.layer) for tensor in opened.tensors]


def test_numbers_are_sorted_as_numbers_and_classes_told_from_paths(tmp_path: Path) -> None:
    paths = [f"_layer_checkpoint_dependencies/dense{end}/vars/{i}" for end in ("", "_2", "_10") for i in (0, 1)]
    found = numbered(tmp_path / "w.h5", {path: (2, 2) if path.endswith("0") else (2,) for path in paths})
    layers = [(f"{layer}/{name}", "Dense") for layer in ("dense", "dense_2", "dense_10") for name in ("kernel", "bias")]
    assert found == layers


def test_variables_of_an_unknown_layer(tmp_path: Path) -> None:
    shapes = {
        "a/vars/0": (3, 2), "a/vars/1": (2,),
        "b/vars/0": (3, 2), "b/vars/1": (5,),
        "c/vars/0": (3, 8), "c/vars/1": (2, 8), "c/vars/2": (2, 8),
        "d/vars/0": (3, 8), "d/vars/1": (2, 8), "d/vars/2": (),
        "e/vars/0": (3, 8), "e/vars/1": (2, 8), "e/vars/2": (4,),
        "f/vars/2": (3,), "f/vars/10": (3,),
        "layers/g/seed_generator/vars/0": (2,),
        "vars/0": (1,),
    }  # fmt: skip
    assert [name for name, _ in numbered(tmp_path / "w.h5", shapes, {"vars": "net"})] == [
        "net/0",
        *("a/kernel", "a/bias", "b/0", "b/1"),
        *("c/kernel", "c/recurrent_kernel", "c/bias", "d/0", "d/1", "d/2", "e/0", "e/1", "e/2"),
        *("f/2", "f/10", "g/seed_generator/seed_generator_state"),
    ]
    assert numbered(tmp_path / "root.h5", {"vars/0": (1,)}) == [("vars/0", "")]


@pytest.mark.parametrize(
    ("label", "shape", "kind"),
    [("conv2d_3", (3, 3, 1, 4), "Conv2D"), ("conv2d_3", (3, 1, 4), ""), ("mine", (3, 3, 1, 4), "")],
)
def test_a_class_is_guessed_from_a_name_where_the_shape_fits(
    tmp_path: Path, label: str, shape: tuple[int, ...], kind: str
) -> None:
    found = numbered(tmp_path / "w.h5", {"first/vars/0": shape, "first/vars/1": (4,)}, {"first/vars": label})
    assert found == [(f"{label}/kernel", kind), (f"{label}/bias", kind)]


def test_recurrent_layers_without_a_configuration(tmp_path: Path) -> None:
    shapes = ((3, 16), (4, 16), (16,))
    places = ["layers/lstm/cell", "layers/bidirectional/forward_layer/cell", "layers/bidirectional/backward_layer/cell"]
    weights = {f"{place}/vars/{i}": shape for place in places for i, shape in enumerate(shapes)}
    labels = {
        "layers/bidirectional/forward_layer/vars": "forward_x",
        "layers/bidirectional/forward_layer/cell/vars": "lstm_cell",
    }
    variables = ("kernel", "recurrent_kernel", "bias")
    assert numbered(tmp_path / "w.h5", weights, labels) == [
        *((f"bidirectional/forward_x/{name}", "LSTM") for name in variables),
        *((f"bidirectional/backward_layer/{name}", "") for name in variables),
        *((f"lstm/{name}", "LSTM") for name in variables),
    ]


def test_names_that_two_weights_share_give_way_to_paths(tmp_path: Path) -> None:
    weights = {"layers/dense/vars/0": (2, 2), "layers/dense_1/vars/0": (2, 2), "layers/dense_2/vars/0": (2, 2)}
    labels = {"layers/dense/vars": "same", "layers/dense_1/vars": "same", "layers/dense_2/vars": "other"}
    assert [name for name, _ in numbered(tmp_path / "w.h5", weights, labels)] == [
        "layers/dense/vars/0",
        "layers/dense_1/vars/0",
        "other/kernel",
    ]


def legacy(
    path: Path, layers: Mapping[str, Mapping[str, tuple[int, ...]]], *, root: str = "", config: Any = None
) -> list[tuple[str, str]]:
    """Names and classes that are told of a file of the older kind, whose layers have weights of these shapes."""
    with h5py.File(path, "w") as file:
        group = file.require_group(root) if root else file
        group.attrs["layer_names"] = np.array([name.encode() for name in layers if name != "top_level_model_weights"])
        for layer, weights in layers.items():
            names = [name.encode() for name in weights]
            inner = group.create_group(layer)
            inner.attrs["weight_names0"], inner.attrs["weight_names1"] = np.array(names[:1]), np.array(names[1:])
            for name, shape in weights.items():
                inner[name] = np.zeros(shape)
        if config is not None:
            file.attrs["model_config"] = json.dumps(config)
    with Hdf5Reader(str(path)) as opened:
        assert (opened.format, opened.layout) == ("keras", "keras")
        assert all("not Keras's" in note for note in opened.notes)
        return [(tensor.name, tensor.layer) for tensor in opened.tensors]


LSTM_SCOPE = "lstm_1/lstm_cell_4"
LEGACY: dict[str, dict[str, tuple[int, ...]]] = {
    "conv2d_2": {"conv2d_2/kernel:0": (3, 3, 1, 2), "conv2d_2/bias:0": (2,)},
    "conv1d": {"conv1d_7/kernel:0": (3, 3, 1, 2), "conv1d_7/bias:0": (2,)},
    "depthwise_conv2d": {"depthwise_conv2d/depthwise_kernel:0": (3, 3, 2, 1), "depthwise_conv2d/bias:0": (2,)},
    "lstm_1": {
        f"{LSTM_SCOPE}/kernel:0": (1, 8),
        f"{LSTM_SCOPE}/recurrent_kernel:0": (2, 8),
        f"{LSTM_SCOPE}/bias:0": (8,),
    },
    "sub": {"inner/kernel:0": (2, 2), "inner/bias:0": (2,)},
    "embedding": {"embedding/kernel:0": (2, 2), "embedding/bias:0": (2,)},
    "dense_1": {"dense_1/kernel:0": (2, 2)},
    "top_level_model_weights": {"net/scale:0": (1,)},
}
LEGACY_NAMES = [
    *(("conv2d_2/kernel", "Conv2D"), ("conv2d_2/bias", "Conv2D")),
    *(("conv1d/kernel", ""), ("conv1d/bias", "Conv1D")),
    *(("depthwise_conv2d/depthwise_kernel", "DepthwiseConv2D"), ("depthwise_conv2d/bias", "DepthwiseConv2D")),
    *((f"lstm_1/{name}", "LSTM") for name in ("kernel", "recurrent_kernel", "bias")),
    *(("sub/inner/kernel", ""), ("sub/inner/bias", "")),
    *(("embedding/kernel", ""), ("embedding/bias", "")),
    ("dense_1/kernel", "Dense"),
    ("net/scale", ""),
]


@pytest.mark.parametrize("root", ["", "model_weights"])
def test_older_files_without_a_configuration(tmp_path: Path, root: str) -> None:
    assert legacy(tmp_path / "w.h5", LEGACY, root=root) == LEGACY_NAMES


def layer(kind: str, name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": kind, "config": {"name": name, **config}}


def test_older_files_with_a_configuration(tmp_path: Path) -> None:
    inner = layer("LSTM", "lstm", units=2)
    config = layer(
        "Model",
        "net",
        layers=[
            layer("Custom>Conv", "a"),
            layer("TimeDistributed", "each", layer=layer("Dense", "dense")),
            layer("Bidirectional", "both", layer=inner, backward_layer=layer("GRU", "back")),
            layer("Bidirectional", "neither"),
            layer("Sequential", "sub", layers=[layer("Conv1D", "c")]),
            layer(
                "RNN", "cells", cell=layer("StackedRNNCells", "stacked_rnn_cells", cells=[layer("GRUCell", "gru_cell")])
            ),
        ],
    )
    layers: dict[str, dict[str, tuple[int, ...]]] = {
        "each": {"each/kernel:0": (2, 2)},
        "both": {"both/forward_lstm/lstm_cell/kernel:0": (2, 8), "both/back/gru_cell/kernel:0": (2, 6)},
        "a": {"net/a/kernel:0": (2, 2)},
        "sub": {"c/kernel:0": (2, 2, 2)},
        "neither": {"neither/x/kernel:0": (2, 2)},
        "cells": {"cells/stacked_rnn_cells/gru_cell/kernel:0": (2, 6)},
    }
    assert legacy(tmp_path / "w.h5", layers, root="model_weights", config=config) == [
        ("each/kernel", "Dense"),
        ("both/forward_lstm/kernel", "LSTM"),
        ("both/back/kernel", "GRU"),
        ("a/kernel", "Custom>Conv"),
        ("sub/c/kernel", "Conv1D"),
        ("neither/x/kernel", ""),
        ("cells/gru_cell/kernel", "GRU"),
    ]


def test_a_cell_of_one_s_own_may_have_no_name(tmp_path: Path) -> None:
    cell = {"class_name": "mine>Cell", "config": {}}
    config = layer("Sequential", "net", layers=[layer("RNN", "rnn", cell=cell)])
    layers: dict[str, dict[str, tuple[int, ...]]] = {"rnn": {"rnn/cell_2/kernel:0": (2, 8)}}
    assert legacy(tmp_path / "w.h5", layers, config=config) == [("rnn/cell_2/kernel", "mine>Cell")]


def test_a_sequential_of_keras_1(tmp_path: Path) -> None:
    config = {"class_name": "Sequential", "config": [layer("Dense", "first")]}
    layers = {"first": {"first_W:0": (2, 2)}, "gone": {"a": (1,)}}
    assert legacy(tmp_path / "w.h5", layers, config=config) == [("first/first_W", "Dense"), ("gone/a", "")]


def test_weights_that_are_listed_and_missing_or_there_and_not_listed(tmp_path: Path) -> None:
    path = tmp_path / "w.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = np.array([b"dense", b"none"])
        file["dense/kernel:0"], file["extra/w"] = np.zeros((2, 2)), [1.0]
        file["dense"].attrs["weight_names"] = np.array([b"kernel:0", b"missing:0", b"kernel:0"])
        file["optimizer_weights/Adam/iter:0"] = 3
        file["optimizer_weights"].attrs["weight_names"] = np.array([b"Adam/iter:0"])
    with Hdf5Reader(str(path)) as opened:
        assert [tensor.name for tensor in opened.tensors] == ["dense/kernel", "extra/w", "optimizer/Adam/iter"]


# Configurations


def test_a_configuration_that_can_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "w.h5"
    for text in ("[" * 100_000, "{", "nonsense"):
        with h5py.File(path, "w") as file:
            file["w"] = [1.0]
            file.attrs["model_config"] = text
        with Hdf5Reader(str(path)) as opened:
            assert opened.notes == ["the model's configuration can't be read; classes are told from names alone"]
            assert [tensor.name for tensor in opened.tensors] == ["w"]


def test_configurations_of_any_shape_are_survived(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse(b'{"a": [1, NaN]}')["a"][0] == 1
    monkeypatch.setattr(keras_config, "CONFIG_LIMIT", 5)
    assert parse("[1, 2]") is None
    values = (None, 3, [], {}, {"class_name": 3, "config": {}}, {"class_name": "A", "config": 3}, {"class_name": "A"})
    assert [Layer.of(value) for value in values] == [None] * 7
    odd = Layer.of({"class_name": "Dense", "config": {"name": 3, "layers": {}, "activation": {"config": 1}}})
    assert odd == Layer("Dense", "", {"name": 3, "layers": {}, "activation": {"config": 1}})
    assert (odd.items("layers"), odd.item("layers"), odd.settings()) == ([], None, {"activation": ""})


def test_activations_that_are_objects_are_named() -> None:
    custom = {"module": "builtins", "class_name": "function", "config": "mine", "registered_name": "function"}
    module = {"class_name": "LeakyReLU", "config": {"negative_slope": 0.1}}
    assert Layer("Dense", "", {"activation": custom, "recurrent_activation": module}).settings() == {
        "activation": "mine",
        "recurrent_activation": "LeakyReLU",
    }


def test_lambda_layers_are_found_anywhere() -> None:
    inner = {"class_name": "TimeDistributed", "config": {"layer": layer("Lambda", "deep")}}
    config = {
        "layers": [layer("Lambda", "a\n"), inner, {"class_name": "Lambda", "config": {}}, layer("Dense", "Lambda")]
    }
    assert lambdas(config) == ["a\n", "deep", "lambda"]


def test_natural_order() -> None:
    assert sorted(["a10", "a2", "a", "b1", "10", "9", "a02b"], key=natural) == [
        "9",
        "10",
        "a",
        "a2",
        "a02b",
        "a10",
        "b1",
    ]
    assert natural("9" * 10_000) > natural("8" * 10_000)


# The archive

Members = Mapping[str, bytes]


def weights_file(**tensors: Any) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for name, values in tensors.items():
            file[name] = values
    return buffer.getvalue()


@pytest.fixture
def archive(tmp_path: Path) -> Callable[[Members], Path]:
    def write(members: Members, compression: int = zipfile.ZIP_STORED) -> Path:
        with zipfile.ZipFile(tmp_path / "m.keras", "w", compression) as file:
            for name, content in members.items():
                file.writestr(name, content)
        return tmp_path / "m.keras"

    return write


WEIGHTS = weights_file(**{"layers/dense/vars/0": np.ones((2, 2)), "layers/dense/vars/1": np.ones(2)})


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_an_archive(archive: Callable[..., Path], compression: int, tmp_path: Path) -> None:
    config = layer("Sequential", "s", layers=[layer("InputLayer", "in"), layer("Dense", "mine")])
    members = {
        "metadata.json": b'{"keras_version": "3.0.1", "date_saved": "' + b"x" * 200 + b'"}',
        "config.json": json.dumps(config).encode(),
        "model.weights.h5": WEIGHTS,
        "../../outside": b"x",
        "/absolute": b"y",
        "assets/words.txt": b"z",
    }
    before = sorted(tmp_path.rglob("*"))
    path = archive(members, compression)
    with open_weights(str(path)) as file:
        assert isinstance(file, KerasReader)
        assert file.metadata == {"keras_version": "3.0.1", "date_saved": "x" * 100}
        assert file.notes == [
            "members with names that lead out of the archive, where nothing is written: '../../outside', '/absolute'"
        ]
        assert [(tensor.name, tensor.layer) for tensor in file.tensors] == [
            ("mine/kernel", "Dense"),
            ("mine/bias", "Dense"),
        ]
        assert file.values(file.tensors[0]).tolist() == [[1, 1], [1, 1]]
    assert sorted(tmp_path.rglob("*")) == [*before, path]


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        KerasReader(str(path))
    return str(caught.value)


def test_archives_without_weights(archive: Callable[..., Path]) -> None:
    assert refusal(archive({"config.json": b"{}"})) == "there is no model.weights.h5 in the archive"
    assert refusal(archive({"model.weights.npz": b""})) == (
        "its weights are in model.weights.npz, pickled objects, which are not run; save it as HDF5"
    )


def test_weights_that_are_no_hdf5(archive: Callable[..., Path]) -> None:
    assert refusal(archive({"model.weights.h5": b"text"})) == "the HDF5 file is damaged: file signature not found"


def test_weights_that_are_damaged(archive: Callable[..., Path]) -> None:
    path = archive({"model.weights.h5": WEIGHTS})
    whole = path.read_bytes()
    with KerasReader(str(path)) as file:
        assert file.unsound() == []
    path.write_bytes(whole.replace(np.ones(2).tobytes(), np.zeros(2).tobytes(), 1))
    with KerasReader(str(path)) as file:  # what is stored is read where it lies
        assert file.unsound() == ["member 'model.weights.h5' is damaged: its checksum (CRC) does not match"]
        path.write_bytes(whole[:-1])
        assert file.unsound() == ["the file has changed since it was listed"]
    path = archive({"model.weights.h5": WEIGHTS}, zipfile.ZIP_DEFLATED)
    with KerasReader(str(path)) as file:
        assert file.unsound() == []
    data = bytearray(path.read_bytes())
    data[data.index(b"model.weights.h5") + 60] ^= 0x55
    path.write_bytes(data)
    assert refusal(path).startswith("member 'model.weights.h5' is damaged")


def test_no_room_for_the_weights(archive: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10}))
    monkeypatch.setattr("tempfile.gettempdir", lambda: "/tmp/a\nb")
    assert refusal(archive({"model.weights.h5": WEIGHTS}, zipfile.ZIP_DEFLATED)) == (
        f"member 'model.weights.h5' unpacks to {len(WEIGHTS)} bytes; '/tmp/a\\nb' has room for 10"
    )


def test_configurations_that_the_weights_are_read_without(
    archive: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convtool.arrays.keras.archive.CONFIG_LIMIT", 20)
    path = archive({"config.json": b" " * 21, "metadata.json": b"[3]", "model.weights.h5": WEIGHTS})
    with KerasReader(str(path)) as file:
        assert file.notes == ["member 'config.json' unpacks to 21 bytes; the limit is 20"]
        assert file.metadata == {}
        assert [tensor.name for tensor in file.tensors] == ["dense/kernel", "dense/bias"]


def test_an_archive_that_keras_did_not_fill(archive: Callable[..., Path]) -> None:
    with KerasReader(str(archive({"model.weights.h5": weights_file(w=[1.0])}))) as file:
        assert (file.format, file.layout, [tensor.name for tensor in file.tensors]) == ("keras", "keras", ["w"])


def test_several_members_of_one_name(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("model.weights.h5", b"first")
        with pytest.warns(UserWarning, match="Duplicate name"):
            file.writestr("model.weights.h5", WEIGHTS)
    with KerasReader(str(path)) as opened:
        assert opened.notes == ["several members of one name, of which the last counts: 'model.weights.h5'"]
        assert len(opened.tensors) == 2
