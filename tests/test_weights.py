"""Named tensors of weight files, and what is said of files that are none."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from convtool.errors import InputError
from convtool.weights import archive, read_tensor, safetensors

VALUES = [[1.0, -2.0, 0.5], [4.0, 8.0, -0.25]]
TENSOR = torch.tensor(VALUES)


def save_npz(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    with open(path, "wb") as file:
        np.savez_compressed(file, **{name: tensor.numpy() for name, tensor in tensors.items()})


SAVE: dict[str, Callable[[Any, Any], object]] = {
    "safetensors": lambda path, tensors: save_file(tensors, path),
    "npz": save_npz,
    "pt": lambda path, tensors: torch.save(tensors, path),
    "pt in a checkpoint": lambda path, tensors: torch.save({"state_dict": tensors, "epoch": 3}, path),
}
REAL = [torch.float64, torch.float32, torch.float16, torch.int64, torch.int32, torch.int16, torch.int8]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "weights"


@pytest.mark.parametrize("kind", SAVE)
@pytest.mark.parametrize("dtype", [*REAL, torch.uint8, torch.bfloat16])
def test_values(kind: str, dtype: torch.dtype, path: Path) -> None:
    tensor = (TENSOR.abs() if dtype is torch.uint8 else TENSOR).to(dtype)
    if kind == "npz" and dtype is torch.bfloat16:
        tensor = tensor.float()  # NumPy has none
    SAVE[kind](path, {"other": torch.zeros(1), "conv.weight": tensor})
    values = read_tensor(str(path), "conv.weight")
    assert values.dtype == np.float64
    np.testing.assert_array_equal(values, tensor.double().numpy())


def test_names_of_nested_checkpoints(path: Path) -> None:
    module = torch.nn.Conv1d(1, 1, 3)
    torch.save({"model": module.state_dict(), "state_dict": {"bias": TENSOR[0]}, "steps": [1, 2]}, path)
    np.testing.assert_array_equal(read_tensor(str(path), "model.weight"), module.weight.detach().double().numpy())
    np.testing.assert_array_equal(read_tensor(str(path), "bias"), VALUES[0])
    with pytest.raises(InputError, match=r"there is 'model.weight', 'model.bias', 'bias'$"):
        read_tensor(str(path), "weight")


def test_a_checkpoint_that_is_one_tensor(path: Path) -> None:
    torch.save(torch.nn.Parameter(TENSOR), path)
    np.testing.assert_array_equal(read_tensor(str(path), "tensor"), VALUES)


@pytest.mark.parametrize("kind", ["safetensors", "npz", "pt"])
def test_a_name_that_is_not_there(kind: str, path: Path) -> None:
    SAVE[kind](path, {f"t{i}": TENSOR.clone() for i in range(10)})
    with pytest.raises(InputError, match=r"no tensor 'a\\nb' in it; there is 't0', .*'t7' and 2 more$"):
        read_tensor(str(path), "a\nb")
    SAVE[kind](path, {})
    with pytest.raises(InputError, match=r"there is none$"):
        read_tensor(str(path), "t")


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (torch.zeros(2, dtype=torch.complex64), "complex64"),
        (torch.tensor(3.0), r"tensor 't' is float64 of shape \(\); expected taps, real numbers"),
        (torch.zeros(2, 0), r"of shape \(2, 0\)"),
        (torch.eye(2).to_sparse(), "torch.sparse_coo"),
        (torch.zeros(2, device="meta"), "on meta"),
    ],
)
def test_tensors_that_can_not_be_taps(tensor: torch.Tensor, message: str, path: Path) -> None:
    torch.save({"t": tensor}, path)
    with pytest.raises(InputError, match=message):
        read_tensor(str(path), "t")


@pytest.mark.parametrize("dtype", [np.complex64, np.bool_, "U3"])
def test_arrays_that_can_not_be_taps(dtype: Any, path: Path) -> None:
    with open(path, "wb") as file:
        np.savez(file, t=np.ones(2, dtype))
    with pytest.raises(InputError, match=f"tensor 't' is {np.dtype(dtype)} of shape"):
        read_tensor(str(path), "t")


@dataclass(frozen=True)
class Hostile:
    """Unpickled, it would make the file `path`."""

    path: Path

    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        return Path.touch, (self.path,)


def endless() -> dict[str, Any]:
    loop: dict[str, Any] = {}
    loop["again"] = loop
    return loop


@pytest.mark.parametrize("make", [Hostile, lambda path: {"t": Hostile(path)}, lambda _: endless()])
def test_what_is_more_than_tensors_is_not_run(make: Callable[[Path], Any], path: Path, tmp_path: Path) -> None:
    torch.save(make(tmp_path / "fooled"), path)
    with pytest.raises(InputError, match="more than tensors, or is damaged; it was not run"):
        read_tensor(str(path), "t")
    assert not (tmp_path / "fooled").exists()


def test_objects_in_an_npz_are_not_unpickled(path: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file, file.open("t.npy", "w") as member:
        np.lib.format.write_array(member, np.array([Hostile(tmp_path / "fooled")], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match=r"member 't.npy' can't be read: ValueError"):
        read_tensor(str(path), "t")
    assert not (tmp_path / "fooled").exists()


def test_a_member_that_unpacks_to_more_than_fits(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "_VALUES_LIMIT", 1000)
    save_npz(path, {"small": torch.zeros(10), "large": torch.zeros(1000)})
    assert read_tensor(str(path), "small").shape == (10,)
    with pytest.raises(InputError, match=r"member 'large.npy' unpacks to more than a gigabyte"):
        read_tensor(str(path), "large")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the content is no weight file; expected .safetensors, .npz or .pt"),
        (b"4,1,2,5\n", "no weight file"),
        (pickle.dumps([1.0] * 10), "no weight file"),
        (b"PK\3\4 and then nothing", "the zip archive is damaged"),
        ((1 << 40).to_bytes(8, "little") + b"{}", "header declares 1099511627776 bytes; the file has 10"),
        ((200 << 20).to_bytes(8, "little") + b"{}", "header declares 209715200 bytes"),
        ((3).to_bytes(8, "little") + b"{]}", "header is no JSON"),
        ((1).to_bytes(8, "little") + b"{", "header is no JSON"),
        ((2).to_bytes(8, "little") + b"{\xff", "header is no JSON"),
    ],
)
def test_files_that_are_none(content: bytes, message: str, path: Path) -> None:
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_tensor(str(path), "t")


def test_paths_that_lead_nowhere(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can't be read: No such file"):
        read_tensor(str(tmp_path / "missing.npz"), "t")
    with pytest.raises(InputError, match="can't be read: Is a directory"):
        read_tensor(str(tmp_path), "t")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, None),
        (None, "entry of 't' is damaged"),
        ([], "damaged"),
        ({"dtype": "F32", "shape": [2]}, "damaged"),
        ({"dtype": "F32", "shape": 2, "data_offsets": [0, 8]}, "damaged"),
        ({"dtype": "F32", "shape": ["2"], "data_offsets": [0, 8]}, "do not fit"),
        ({"dtype": "F32", "shape": [2], "data_offsets": [0, 8, 8]}, "damaged"),
        ({"dtype": ["F32"], "shape": [2], "data_offsets": [0, 8]}, "damaged"),
        ({"dtype": "F8_E4M3\n", "shape": [8], "data_offsets": [0, 8]}, r"of dtype 'F8_E4M3\\n', which can't be taps"),
        ({"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}, r"declares shape \(3,\) over bytes 0 to 8"),
        ({"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}, "do not fit"),
        ({"dtype": "F32", "shape": [-1, -2], "data_offsets": [0, 8]}, "do not fit"),
        ({"dtype": "F32", "shape": [2], "data_offsets": [8, 0]}, "do not fit"),
        ({"dtype": "F32", "shape": [2], "data_offsets": [-8, 0]}, "do not fit"),
        ({"dtype": "F32", "shape": [2], "data_offsets": [0.0, 8.0]}, "do not fit"),
        ({"dtype": "F32", "shape": [True, 2], "data_offsets": [0, 8]}, "do not fit"),
    ],
)
def test_safetensors_entries(entry: Any, message: str | None, path: Path) -> None:
    header = json.dumps({"__metadata__": {"format": "pt"}, "t": entry}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + np.array([1, 2], "<f4").tobytes())
    if message is None:
        np.testing.assert_array_equal(read_tensor(str(path), "t"), [1, 2])
    else:
        with pytest.raises(InputError, match=message):
            read_tensor(str(path), "t")


@pytest.mark.parametrize("kind", ["safetensors", "npz", "pt"])
def test_damage_is_an_input_error_or_other_numbers(kind: str, path: Path) -> None:
    """Bytes turned over all through the file; and the file cut off there."""
    SAVE[kind](path, {"t": TENSOR[0]})
    whole = path.read_bytes()
    told = 0
    step = max(1, len(whole) // 300)
    for at in range(0, len(whole), step):
        for damaged in (whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :], whole[:at]):
            path.write_bytes(damaged)
            try:
                assert read_tensor(str(path), "t").dtype == np.float64
            except InputError as error:
                told += 1
                assert "\n" not in str(error)  # noqa: PT017 (some damage does not show)
    assert told > 100


def test_a_deep_header(path: Path) -> None:
    header = b'{"t":' + b"[" * 200_000
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(InputError, match="header is no JSON"):
        safetensors.tensors(str(path))
