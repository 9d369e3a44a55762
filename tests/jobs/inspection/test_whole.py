"""Whole weight files in other formats: run by both frameworks, and to the last bit."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnx
import pytest
import safetensors
import torch
from onnx import helper, numpy_helper
from safetensors.torch import load_file, save_file
from torch import nn

from convtool.arrays import open_weights
from convtool.errors import InputError
from convtool.jobs.inspection import whole
from convtool.jobs.inspection.listing import list_weights
from convtool.jobs.inspection.whole import export_all

Array = np.ndarray[Any, np.dtype[Any]]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    return


def exported(source: str, path: str, **options: Any) -> list[str]:
    with open_weights(source) as file:
        return export_all(path, list_weights(source, file, **options))


class Torch(nn.Module):
    """The layers of the Keras model below."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(2, 4, 3)
        self.bn = nn.BatchNorm1d(4, eps=1e-3)
        self.lstm = nn.LSTM(4, 5, batch_first=True)
        self.fc = nn.Linear(5, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inside = self.bn(torch.relu(self.conv(x.mT))).mT
        return self.fc(self.lstm(inside)[0])


KERAS = """
import keras, numpy as np
layers = keras.layers
model = keras.Sequential([
    layers.Input((9, 2)),
    layers.Conv1D(4, 3, activation="relu", name="conv"),
    layers.BatchNormalization(name="bn"),
    layers.LSTM(5, return_sequences=True, name="lstm"),
    layers.Dense(2, name="fc"),
])
chance = np.random.default_rng(0)
model.set_weights([chance.uniform(0.2, 1, weight.shape) for weight in model.get_weights()])
model.save("m.keras")
x = chance.normal(size=(3, 9, 2)).astype("f4")
np.savez("run.npz", x=x, y=model.predict(x, verbose=0))
"""


@pytest.fixture(scope="module")
def keras_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a Keras model, ``m.keras``, and of what it makes of an input, ``run.npz``."""
    folder = tmp_path_factory.mktemp("keras")
    environment = os.environ | {"KERAS_BACKEND": "torch", "KERAS_HOME": str(folder), "COVERAGE_PROCESS_CONFIG": ""}
    subprocess.run([sys.executable, "-c", KERAS], cwd=folder, env=environment, check=True, capture_output=True)
    return folder


@pytest.mark.parametrize("path", ["m.safetensors", "m.pt", "m.npz"])
def test_a_keras_model_runs_in_torch(path: str, keras_model: Path) -> None:
    assert exported(str(keras_model / "m.keras"), path, to="torch") == []
    if path.endswith("npz"):
        state = {name: torch.from_numpy(array) for name, array in np.load(path).items()}
    else:
        state = load_file(path) if path.endswith("safetensors") else torch.load(path, weights_only=True)
    ours = Torch().eval()
    ours.load_state_dict(state)
    run = np.load(keras_model / "run.npz")
    with torch.no_grad():
        found = ours(torch.from_numpy(run["x"]))
    torch.testing.assert_close(found, torch.from_numpy(run["y"]), rtol=1e-5, atol=1e-6)


DTYPES = ["float64", "float32", "float16", "bfloat16", "int64", "uint16", "uint8", "bool", "complex64", "float8_e4m3fn"]


def every_type() -> dict[str, torch.Tensor]:
    """A tensor of each type, with NaN and -0 where there is such a thing."""
    codes = torch.arange(256, dtype=torch.uint8).reshape(16, 16)
    state = {name: (codes > 9 if name == "bool" else codes.to(getattr(torch, name))) for name in DTYPES}
    state["float8_e4m3fn"], state["float8_e5m2"] = (
        codes.view(torch.float8_e4m3fn),
        (codes & 0xFB).view(torch.float8_e5m2),
    )
    state["bfloat16"][0, :3] = torch.tensor([-0.0, torch.nan, torch.inf])
    return state | {"scalar": torch.tensor(3.5), "none": torch.zeros(0, 3)}


def bits(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


@pytest.mark.parametrize("path", ["m.safetensors", "m.pt"])
def test_every_type_to_the_last_bit(path: str) -> None:
    state = every_type()
    torch.save(state, "a.pth")
    assert exported("a.pth", path) == []
    found = load_file(path) if path.endswith("safetensors") else torch.load(path, weights_only=True)
    assert found.keys() == state.keys()
    for name, tensor in state.items():
        assert (found[name].dtype, found[name].shape) == (tensor.dtype, tensor.shape)
        assert bits(found[name]) == bits(tensor), name
    if path.endswith("safetensors"):
        with safetensors.safe_open(path, "pt") as file:
            assert file.metadata() == {"format": "pt"}


def test_types_that_a_format_lacks() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about complex32
        torch.save(every_type() | {"half": torch.ones(2, dtype=torch.complex32)}, "a.pth")
    told = "'bfloat16', 'float8_e4m3fn', 'float8_e5m2', 'half'"
    assert exported("a.pth", "m.npz") == [f"in a wider type, since .npz lacks theirs: {told}"]
    found = np.load("m.npz")
    assert (found["bfloat16"].dtype, found["half"].dtype) == (np.float32, np.complex64)
    np.testing.assert_array_equal(found["float8_e4m3fn"], every_type()["float8_e4m3fn"].float())
    np.savez("c.npz", c=np.ones(2, complex))
    with pytest.raises(InputError, match=r"'c' is complex128, which \.safetensors lacks; \.npz and \.pt have it"):
        exported("c.npz", "c.safetensors")
    assert not Path("c.safetensors").exists()


@pytest.mark.parametrize("sign", ["", "u"])
@pytest.mark.parametrize("to", [None, "torch"])
def test_integers_of_4_bits_become_integers(sign: str, to: str | None) -> None:
    codes = np.arange(32, dtype=np.uint8).reshape(8, 4) & 15
    with h5py.File("m.h5", "w") as file:
        file["dense/kernel"] = codes.view("V1")
    with open_weights("m.h5", void_as=f"{sign}int4") as file:
        notes = export_all("m.safetensors", list_weights("m.h5", file, source="keras", to=to))
    name = "dense.weight" if to else "dense/kernel"
    assert notes == [f"in a wider type, since .safetensors lacks theirs: '{name}'"]
    found = load_file("m.safetensors")[name]
    assert found.dtype == (torch.uint8 if sign else torch.int8)
    wanted = codes if sign else ((codes ^ 8).astype(np.int8) - 8)
    np.testing.assert_array_equal(found.numpy(), wanted.T if to else wanted)


LAYERS = {
    "dense/kernel": (70, 300),
    "conv/kernel": (3, 2, 140, 130),
    "tall/kernel": (500, 1),
    "flat/kernel": (1, 7),
    "none/kernel": (0, 7),
    "one/kernel": (1, 1),
    "depth/depthwise_kernel": (3, 3, 4, 2),
}


@pytest.mark.parametrize("slab", [50, 700, 5000, 1 << 20])
@pytest.mark.parametrize("piece", [96, 1000, 5200])
def test_transposed_whole_or_in_slabs(slab: int, piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = np.random.default_rng(0)
    made = {name: chance.normal(size=shape).astype(np.float32) for name, shape in LAYERS.items()}
    save_file({name: torch.from_numpy(array) for name, array in made.items()}, "a.safetensors")
    monkeypatch.setattr(whole, "_SLAB_BYTES", slab)
    monkeypatch.setattr(whole, "_BLOCK_BYTES", 2000)
    monkeypatch.setattr("convtool.arrays.raw.PIECE_BYTES", piece)
    exported("a.safetensors", "m.npz", to="torch")
    found = np.load("m.npz")
    np.testing.assert_array_equal(found["dense.weight"], made["dense/kernel"].T)
    np.testing.assert_array_equal(found["conv.weight"], made["conv/kernel"].transpose(3, 2, 0, 1))
    np.testing.assert_array_equal(found["tall.weight"], made["tall/kernel"].T)
    np.testing.assert_array_equal(found["flat.weight"], made["flat/kernel"].T)
    np.testing.assert_array_equal(found["one.weight"], made["one/kernel"])
    assert found["none.weight"].shape == (7, 0)
    depth = made["depth/depthwise_kernel"].transpose(2, 3, 0, 1).reshape(8, 1, 3, 3)
    np.testing.assert_array_equal(found["depth.weight"], depth)


def test_nothing_is_left_where_something_can_not_be_read() -> None:
    np.savez("m.npz", good=np.ones(3000), bad=np.full(1000, 7.0), words=np.array(["a"]))
    assert exported("m.npz", "m.pt") == ["text is left out: 'words'"]
    data = bytearray(Path("m.npz").read_bytes())
    data[data.index(np.full(10, 7.0).tobytes()) + 3] ^= 1
    Path("m.npz").write_bytes(data)
    with pytest.raises(InputError, match=r"'bad\.npy' is damaged"):
        exported("m.npz", "a.pt")
    np.savez("o.npz", o=np.array([None]))
    with pytest.raises(InputError, match="not all of it can be written: tensor 'o': holds pickled objects"):
        exported("o.npz", "a.pt")
    save_file({"a/kernel": torch.ones(2, 3), "a.kernel": torch.ones(2, 3)}, "n.safetensors")
    with pytest.raises(InputError, match=r"'a\.kernel' and 'a/kernel' have one name in torch's layout, 'a\.weight'"):
        exported("n.safetensors", "a.pt", to="torch")
    assert not Path("a.pt").exists()


def test_a_checksum_over_the_whole_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    with h5py.File("model.weights.h5", "w") as file:
        file["layers/dense/vars/0"] = np.full((20, 30), 7.0)
    with zipfile.ZipFile("m.keras", "w") as archive:
        archive.write("model.weights.h5")
    exported("m.keras", "good.pt", to="torch")
    data = bytearray(Path("m.keras").read_bytes())
    data[data.index(np.full(10, 7.0).tobytes()) + 3] ^= 1
    Path("m.keras").write_bytes(data)
    with pytest.raises(InputError, match=r"member 'model\.weights\.h5' is damaged"):
        exported("m.keras", "bad.pt", to="torch")
    assert not os.path.exists("bad.pt")


def test_an_onnx_model_in_torchs_layout() -> None:
    weight = np.arange(12, dtype=np.float32).reshape(3, 4)
    node = helper.make_node("MatMul", ["x", "fc.weight"], ["y"])
    ends = [helper.make_tensor_value_info(name, 1, [1, size]) for name, size in (("x", 3), ("y", 4))]
    tensors = [numpy_helper.from_array(weight, "fc.weight")]
    onnx.save(helper.make_model(helper.make_graph([node], "g", ends[:1], ends[1:], tensors)), "m.onnx")
    exported("m.onnx", "m.safetensors", to="torch")
    np.testing.assert_array_equal(load_file("m.safetensors")["fc.weight"].numpy(), weight.T)
