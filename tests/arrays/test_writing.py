"""Files of arrays, written in pieces and read back by the libraries whose formats they are."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import load_file

from convtool.arrays.writing import Array, create
from convtool.arrays.zip.crc import PieceCrc
from convtool.errors import OutputError, UsageError

ARRAYS = [
    Array("batch", "float32", (3, 2, 5)),
    Array("lengths", "int64", (3,)),
    Array("mask", "bool", (3, 5)),
    Array("wide", "float64", (1, 1)),
    Array("empty", "float64", (0, 4)),
]
TEXTS = {"names": ["a.wav", "bé\n.wav", ""], "manifest": '{"side": "left"}', "none": []}


def expected() -> dict[str, NDArray[Any]]:
    values: dict[str, NDArray[Any]] = {array.name: np.zeros(array.shape, array.dtype) for array in ARRAYS}
    values["batch"].reshape(-1)[7:12] = np.arange(5) - 2.5
    values["batch"].reshape(-1)[29] = np.nan
    values["lengths"][:] = [2, -1, 1 << 40]
    values["mask"][1, 1:4] = True
    return values


def written(path: Path) -> Path:
    file = create(str(path), ARRAYS, TEXTS)
    assert not path.exists(), "nothing stands under the name before it is complete"
    file.write("batch", 29, np.array([np.nan], dtype=np.float32))
    file.write("batch", 7, np.arange(5)[::-1][::-1] - np.float32(2.5))
    file.write("mask", 6, np.ones(3, dtype=np.bool_))
    file.write("lengths", 0, np.array([2, -1, 1 << 40], dtype=">i8"))
    file.write("empty", 0, np.zeros((0, 4)))
    file.commit()
    file.discard()
    return path


def load_npz(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    with np.load(path) as archive:
        values = {name: archive[name] for name in archive}
    texts = {name: values.pop(name).tolist() for name in TEXTS}
    return values, texts


def load_safetensors(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    import json

    with safe_open(path, "numpy") as file:
        told = file.metadata()
    return load_file(path), {name: told[name] if name == "manifest" else json.loads(told[name]) for name in told}


def load_pt(path: Path, **how: bool) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    loaded = torch.load(path, weights_only=True, **how)
    values = {name: loaded.pop(name).numpy() for name in expected()}
    return values, loaded


@pytest.mark.parametrize(
    ("extension", "load"),
    [
        ("npz", load_npz),
        ("safetensors", load_safetensors),
        ("pt", load_pt),
        ("pth", lambda path: load_pt(path, mmap=True)),
    ],
)
def test_their_own_libraries_read_them(
    tmp_path: Path, extension: str, load: Callable[[Path], tuple[dict[str, NDArray[Any]], dict[str, Any]]]
) -> None:
    values, texts = load(written(tmp_path / f"b.{extension}"))
    assert texts == TEXTS
    assert values.keys() == expected().keys()
    for name, array in expected().items():
        assert values[name].dtype == array.dtype
        np.testing.assert_array_equal(values[name], array)


@pytest.mark.parametrize("extension", ["npz", "pt"])
def test_every_checksum_of_an_archive_holds(tmp_path: Path, extension: str) -> None:
    with zipfile.ZipFile(written(tmp_path / f"b.{extension}")) as archive:
        assert archive.testzip() is None
        assert len(archive.namelist()) == len(set(archive.namelist()))


@pytest.mark.parametrize("extension", ["npz", "safetensors", "pt"])
def test_the_same_arrays_make_the_same_bytes(tmp_path: Path, extension: str) -> None:
    one, other = (written(tmp_path / f"{name}.{extension}").read_bytes() for name in "ab")
    assert one == other


@pytest.mark.parametrize("extension", ["npz", "pt"])
def test_values_of_an_archive_are_aligned(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"b.{extension}"
    file = create(str(path), [Array("x", "float32", (16,))], {"n": "text"})
    file.write("x", 0, np.full(16, 1.5, dtype=np.float32))
    file.commit()
    assert path.read_bytes().index(np.full(16, 1.5, dtype="<f4").tobytes()) % 64 == 0


def test_an_npy_holds_one_array(tmp_path: Path) -> None:
    file = create(str(tmp_path / "x.npy"), [Array("x", "float32", (2, 3))], {})
    file.write("x", 1, np.array([5, 6], dtype=np.float32))
    file.commit()
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), np.array([[0, 5, 6], [0, 0, 0]], dtype=np.float32))


def test_what_is_not_written_takes_no_room(tmp_path: Path) -> None:
    file = create(str(tmp_path / "b.npz"), [Array("x", "float32", (1 << 28,))], {})
    file.write("x", 0, np.ones(4, dtype=np.float32))
    file.commit()
    status = (tmp_path / "b.npz").stat()
    assert status.st_size > 1 << 30
    assert status.st_blocks * 512 < 1 << 20
    with np.load(tmp_path / "b.npz", mmap_mode="r") as archive:
        assert list(archive) == ["x"]


def test_discarding_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "b.npz"
    path.write_bytes(b"before")
    file = create(str(path), ARRAYS, TEXTS)
    file.write("lengths", 0, np.array([1]))
    file.discard()
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["b.npz"]


def test_other_formats_and_pipes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"x\.wav: arrays go into \.npz"):
        create(str(tmp_path / "x.wav"), ARRAYS, TEXTS)
    os.mkfifo(tmp_path / "pipe.npz")
    with pytest.raises(OutputError, match="which a pipe or device has not"):
        create(str(tmp_path / "pipe.npz"), ARRAYS, TEXTS)


@pytest.mark.parametrize("extension", ["npz", "safetensors"])
def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extension: str) -> None:
    file = create(str(tmp_path / f"b.{extension}"), ARRAYS, TEXTS)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OutputError, match="the disk is full"):
        file.write("lengths", 0, np.array([1]))
    if extension == "npz":
        with pytest.raises(OutputError, match="the disk is full"):
            file.commit()
    with pytest.raises(OutputError, match="the disk is full"):
        create(str(tmp_path / f"c.{extension}"), ARRAYS, TEXTS)
    file.discard()
    assert os.listdir(tmp_path) == []


def test_a_write_that_the_system_takes_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, data, at: whole(file, bytes(data)[:3], at))
    values, _ = load_npz(written(tmp_path / "b.npz"))
    np.testing.assert_array_equal(values["batch"], expected()["batch"])


@given(st.lists(st.tuples(st.integers(0, 5000), st.binary(max_size=40)), max_size=8), st.integers(0, 9000))
def test_a_checksum_of_pieces_is_that_of_the_whole(pieces: list[tuple[int, bytes]], spare: int) -> None:
    whole, placed, at = b"", [], 0
    for gap, data in pieces:
        whole += bytes(gap) + data
        placed.append((at + gap, data))
        at += gap + len(data)
    crc = PieceCrc(at + spare)
    for offset, data in reversed(placed):
        crc.hear(offset, data)
    assert crc.value() == zlib.crc32(whole + bytes(spare))


def test_a_long_gap_of_zeros() -> None:
    assert PieceCrc(1 << 24).value() == zlib.crc32(bytes(1 << 24))
