"""Weight files of every kind behind one description: names, shapes, values."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from safetensors.torch import save_file

from convtool.arrays import TensorInfo, WeightFile, description, open_weights
from convtool.arrays.opening import models_below, weight_files
from convtool.errors import InputError
from convtool.weights.conversion.file import ConvertedFile
from convtool.weights.layouts import describe

ARRAY = np.arange(24, dtype=np.float32).reshape(4, 2, 3) - 3
TENSOR = torch.from_numpy(ARRAY)


def save_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["w"] = ARRAY


def save_onnx(path: Path) -> None:
    graph = helper.make_graph([], "g", [], [], [numpy_helper.from_array(ARRAY, "w")])
    onnx.save(helper.make_model(graph), path)


def save_nam(path: Path) -> None:
    config = {"input_size": 1, "hidden_size": 2, "num_layers": 1}
    weights = [0.5] * (8 * 3 + 8 + 4 + 3)
    path.write_text(json.dumps({"version": "0.5.0", "architecture": "LSTM", "config": config, "weights": weights}))


def save_sharded(path: Path) -> None:
    save_file({"w": TENSOR}, path.with_name("shard.safetensors"))
    path.write_text(json.dumps({"weight_map": {"w": "shard.safetensors"}}))


SAVE: dict[str, tuple[str, Callable[[Path], object]]] = {
    "a.safetensors": ("safetensors", lambda path: save_file({"w": TENSOR}, path)),
    "a.index.json": ("safetensors", save_sharded),
    "a.pt": ("torch", lambda path: torch.save({"w": TENSOR}, path)),
    "old.pt": ("torch", lambda path: torch.save({"w": TENSOR}, path, _use_new_zipfile_serialization=False)),
    "a.npz": ("npz", lambda path: np.savez(path, w=ARRAY)),
    "w.npy": ("npy", lambda path: np.save(path, ARRAY)),
    "a.h5": ("hdf5", save_hdf5),
    "a.onnx": ("onnx", save_onnx),
}


@pytest.mark.parametrize("name", SAVE)
def test_one_tensor_in_every_format(name: str, tmp_path: Path) -> None:
    form, write = SAVE[name]
    write(tmp_path / name)
    with open_weights(str(tmp_path / name)) as file:
        (tensor,) = file.tensors
        assert (file.format, tensor.name, tensor.shape, tensor.dtype) == (form, "w", (4, 2, 3), "float32")
        assert (tensor.nbytes, tensor.parameters, tensor.readable) == (96, 24, True)
        assert file.find("w") is tensor
        np.testing.assert_array_equal(file.values(tensor), ARRAY)


def test_a_recurrent_model(tmp_path: Path) -> None:
    save_nam(tmp_path / "a.nam")
    with open_weights(str(tmp_path / "a.nam")) as file:
        assert file.format == "nam"
        assert sum(tensor.parameters for tensor in file.tensors) == 39


def test_what_a_file_can_not_be_opened_as(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.index.json").write_text("{}")
    with pytest.raises(InputError, match="no 'weight_map'"):
        open_weights(str(tmp_path / "a.index.json"))

    def lost(path: str, _: object) -> WeightFile:
        raise FileNotFoundError(2, "No such file or directory", path)

    monkeypatch.setattr("convtool.arrays.sharded.ShardedReader", lost)
    with pytest.raises(InputError, match=r"^no such file"):
        open_weights(str(tmp_path / "a.index.json"))


class Pieces(WeightFile):
    """A tensor that comes in the given pieces, each in the same place of memory."""

    def __init__(self, *pieces: list[float], shape: tuple[int, ...]) -> None:
        self.format, self.layout, self.notes, self.metadata = "npz", "keras", [], {}
        self.tensors = (TensorInfo("dense/kernel", shape, "float64", 8 * sum(map(len, pieces))),)
        self._pieces = pieces

    def pieces(self, tensor: TensorInfo) -> Iterator[Any]:
        room = np.empty(max(map(len, self._pieces), default=0))
        for piece in self._pieces:
            room[: len(piece)] = piece
            yield room[: len(piece)]


def test_values_are_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    file = Pieces([1, 2, 3, 4], [5, 6], shape=(2, 3))
    np.testing.assert_array_equal(file.values(file.tensors[0]), [[1, 2, 3], [4, 5, 6]])
    assert Pieces([], shape=(0, 3)).values(Pieces([], shape=(0, 3)).tensors[0]).shape == (0, 3)
    nothing = Pieces(shape=(2, 0))
    assert nothing.values(nothing.tensors[0]).shape == (2, 0)
    monkeypatch.setattr(description, "VALUES_LIMIT", 47)
    with pytest.raises(InputError, match="tensor 'dense/kernel' takes 48 bytes; the limit is 47"):
        file.values(file.tensors[0])


def test_names_that_are_not_there() -> None:
    file = Pieces([1], shape=(1,))
    with pytest.raises(InputError, match=r"^there is no tensor 'Dense' in it; there is 'dense/kernel'$"):
        file.find("Dense")
    file.tensors = tuple(TensorInfo(f"t{number}", (), "bool", 1) for number in range(12))
    with pytest.raises(InputError, match=r"no tensor 't1\\n' in it; there is 't0', 't1', .*, 't7' and 4 more$"):
        file.find("t1\n")
    with pytest.raises(InputError, match=r"no tensor '1' in it; there is 't1', 't10', 't11'$"):
        file.find("1")
    named = {name: TensorInfo(name, (), "bool", 1) for name in ("a\nb", "a\\nb", "c\t", "\n\\n", "\\n\n")}
    file.tensors = tuple(named.values())
    assert all(file.find(name) is tensor for name, tensor in named.items())
    assert file.find("c\\t") is named["c\t"]
    with pytest.raises(InputError, match=r"^2 tensors are shown as '.*'; give the name itself, unescaped$"):
        file.find("\\n\\n")
    file.tensors = ()
    with pytest.raises(InputError, match=r"; there are none at all$"):
        file.find("t")
    with pytest.raises(InputError) as caught:
        file.find("t" * 10**6)
    assert len(str(caught.value)) < 600


def test_tied_tensors_have_no_parameters_of_their_own() -> None:
    assert TensorInfo("b", (3, 4), "float32", 0, tied_to="a").parameters == 0
    assert TensorInfo("a", (), "float32", 4).parameters == 1


def test_a_converted_file(monkeypatch: pytest.MonkeyPatch) -> None:
    file = Pieces([1, 2, 3], [4, 5, 6], shape=(2, 3))
    converted = ConvertedFile(file, describe(file.tensors, layout="keras"), to="torch")
    (tensor,) = converted.tensors
    assert (converted.layout, converted.format, tensor.name, tensor.shape) == ("torch", "npz", "dense.weight", (3, 2))
    assert [each.kind for each in converted.described] == ["dense"]
    np.testing.assert_array_equal(converted.values(tensor), [[1, 4], [2, 5], [3, 6]])
    monkeypatch.setattr("convtool.weights.conversion.file.PIECE_BYTES", 32)
    pieces = [piece.tolist() for piece in converted.pieces(tensor)]
    assert pieces == [[1, 4, 2, 5], [3, 6]]


# Models in several files, and folders


def test_an_index_of_torch_files(tmp_path: Path) -> None:
    import torch

    torch.save({"a.weight": torch.ones(2, 2)}, tmp_path / "m-1.bin")
    torch.save({"b.weight": torch.zeros(3)}, tmp_path / "m-2.bin")
    homes = {"a.weight": "m-1.bin", "b.weight": "m-2.bin", "c": "m-3.bin", "d": "m.bin.index.json"}
    (tmp_path / "m.bin.index.json").write_text(json.dumps({"weight_map": homes}))
    with open_weights(str(tmp_path / "m.bin.index.json")) as file:
        assert (file.format, file.layout) == ("torch", "torch")
        assert [tensor.parameters for tensor in file.tensors] == [4, 3, 0, 0]
        np.testing.assert_array_equal(file.values(file.tensors[0]), np.ones((2, 2)))
        assert [tensor.flag.partition(": ")[2] for tensor in file.tensors[2:]] == [
            "no such file",
            "it is JSON, and no file of tensors",
        ]


def test_the_files_of_a_folder(tmp_path: Path) -> None:
    for name in ("b.safetensors", "a.PT", "config.json", "x.bin", "notes.txt"):
        (tmp_path / name).touch()
    assert weight_files(str(tmp_path)) == [str(tmp_path / name) for name in ("a.PT", "b.safetensors", "x.bin")]
    (tmp_path / "m.safetensors.index.json").touch()
    assert weight_files(str(tmp_path)) == [str(tmp_path / "m.safetensors.index.json")]
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"^there is no weight file in this folder"):
        weight_files(str(tmp_path / "empty"))
    with pytest.raises(InputError, match=r"^can't be read: Not a directory"):
        weight_files(str(tmp_path / "x.bin"))


def test_the_models_of_a_folder_and_of_those_below_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = ["b.pt", "a/x.npz", "a/b/y.npy", "a/c/m.safetensors.index.json", "d/e/.h/z.npy", "d/e/f.bin"]
    for name in [*found, "a/c/part.safetensors", "a/c/d/more.onnx", ".cache/w.pt", "d/config.json", "none/read.me"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    wanted = ["b.pt", "a/x.npz", "a/b/y.npy", "a/c/m.safetensors.index.json", "a/c/d/more.onnx", "d/e/f.bin"]
    assert models_below(str(tmp_path)) == ([str(tmp_path / name) for name in wanted], {})
    with pytest.raises(InputError, match=r"^there is no weight file in this folder"):
        models_below(str(tmp_path / "none"))
    real = os.scandir

    def scandir(path: str) -> Any:
        if path in refused:
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr("os.scandir", scandir)
    refused = [str(tmp_path / "d" / "e")]
    paths, unread = models_below(str(tmp_path / "d"))
    assert (paths, {path: str(error) for path, error in unread.items()}) == (
        [],
        {refused[0]: "can't be read: Permission denied"},
    )
    refused = [str(tmp_path)]
    with pytest.raises(InputError, match=r"^can't be read: Permission denied"):
        models_below(str(tmp_path))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["xl/workbook.xml"], "the content is an Excel workbook: save it as CSV"),
        (["a.txt", "b.txt"], "the content is a zip archive without arrays: it holds 'a.txt', 'b.txt'"),
    ],
)
def test_archives_of_something_else(names: list[str], message: str, tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for name in names:
            archive.writestr(name, b"{}")
    with pytest.raises(InputError, match=message):
        open_weights(str(tmp_path / "x.zip"))
