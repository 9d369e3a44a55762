"""What kind a weight file is, told from its content."""

from __future__ import annotations

import io
import os
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.numpy import save

from convtool.arrays.opening import reader_of
from convtool.errors import InputError


def written(write: Callable[[io.BytesIO], object]) -> bytes:
    file = io.BytesIO()
    write(file)
    return file.getvalue()


def zipped(*names: str) -> bytes:
    def write(file: io.BytesIO) -> None:
        with zipfile.ZipFile(file, "w") as archive:
            for name in names:
                archive.writestr(name, b"{}")

    return written(write)


def hdf5(userblock: int = 0) -> bytes:
    return written(lambda file: h5py.File(file, "w", userblock_size=userblock).close())


def tar() -> bytes:
    return written(
        lambda file: tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT).addfile(tarfile.TarInfo("a"))
    )


READERS = {
    "torch": ("torch.archive", "TorchZipReader"),
    "torch legacy": ("torch.legacy", "TorchLegacyReader"),
    "torch tar": ("torch.legacy", "TorchTarReader"),
    "npz": ("numpy.reader", "NpzReader"),
    "npy": ("numpy.reader", "NpyReader"),
    "safetensors": ("safetensors.reader", "SafetensorsReader"),
    "safetensors index": ("sharded", "ShardedReader"),
    "hdf5": ("keras.hdf5_file", "Hdf5Reader"),
    "keras": ("keras.archive", "KerasReader"),
    "onnx": ("onnx.reader", "OnnxReader"),
    "recurrent json": ("model_json", "ModelJsonReader"),
}
TENSORS = {"w": torch.zeros(2)}


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.bin", written(lambda file: torch.save(TENSORS, file)), "torch"),
        ("a.pt", written(lambda file: torch.save(TENSORS, file, _use_new_zipfile_serialization=False)), "torch legacy"),
        ("a.pth", pickle.dumps({}, protocol=2), "torch legacy"),
        ("a.pt", tar(), "torch tar"),
        ("a.npz", written(lambda file: np.savez(file, w=np.zeros(2))), "npz"),
        ("a.pt", written(lambda file: np.savez(file)), "npz"),
        ("a", written(lambda file: np.save(file, np.zeros(2))), "npy"),
        ("a.pt", save({"w": np.zeros(2)}), "safetensors"),
        ("a.safetensors", b"\2\0", "safetensors"),
        ("a.SAFETENSORS", b"nonsense", "safetensors"),
        ("a.h5", hdf5(), "hdf5"),
        ("a.keras", hdf5(512), "hdf5"),
        ("a.h5", hdf5(2048), "hdf5"),
        ("a.zip", zipped("config.json", "model.weights.h5"), "keras"),
        ("a.zip", zipped("a/data.pkl", "a/data/0"), "torch"),
        ("model.json", b'{"metadata": {}, "weight_map": {}}', "safetensors index"),
        ("model.safetensors.index.json", b"{}", "safetensors index"),
        ("a.nam", b'\xef\xbb\xbf\n {"version": "0.5"}', "recurrent json"),
        ("a.json", b"[1, 2]", "recurrent json"),
        ("a.weights", b"\x08\x07\x12\x04test", "onnx"),
        ("a.onnx", b"\x12\x04test", "onnx"),
    ],
)
def test_kinds(name: str, content: bytes, kind: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert reader_of(str(path)) == READERS[kind]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.onnx", b"", "the file is empty"),
        ("a.pt", b"version https://git-lfs.github.com/spec/v1\noid", "the content is a Git LFS pointer"),
        ("a.json", b"\n<!DOCTYPE html>", "the content is an HTML or XML page: download"),
        ("a.tflite", b"\x1c\0\0\0TFL3\0\0", "the content is a TensorFlow Lite model: the model that it was converted"),
        ("a.parquet", b"PAR1\x15\x04", "the content is a Parquet table: pandas writes"),
        ("a.json", b'{"weight_map": {"a": "m_00000.weights.h5"}}', "it is the index of sharded Keras weights"),
        ("a.pt", b"\x08\x07\x12\x04test", "the content is no torch checkpoint; expected .safetensors, .pt"),
        ("a.npy", b"1,2,3\n", "the content is no npy file"),
        ("a.csv", b"1,2,3\n", "the content is no weight file"),
        ("a.csv", b"\x80\x01", "the content is no weight file"),
        ("a.npz", b"PK\3\4 and then nothing", "the zip archive is damaged"),
    ],
)
def test_files_that_are_none(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        reader_of(str(path))


def test_paths_without_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, message in (
        ("missing", "no such file"),
        (".", "is a folder; expected a file"),
        ("pipe", "it is no regular file"),
        ("a\0b", "can't be read: embedded null"),
    ):
        with pytest.raises(InputError, match=message):
            reader_of(str(tmp_path / name))
