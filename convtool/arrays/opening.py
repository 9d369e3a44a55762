"""The one place that knows which reader serves which file of named arrays."""

from __future__ import annotations

import importlib
import os
import stat

from convtool.arrays.description import WeightFile
from convtool.errors import InputError
from convtool.files.recognition import (
    HDF5,
    HEAD,
    JSON,
    MATLAB,
    NPY,
    ONNX,
    PICKLE,
    SAFETENSORS,
    TAR,
    TEXT,
    UNKNOWN,
    ZIP,
    recognise,
)

EXTENSIONS = (
    *(".safetensors", ".pt", ".pth", ".keras", ".h5", ".hdf5", ".npz", ".npy", ".mat", ".onnx"),
    *(".json", ".nam", ".aidax"),
)

_READERS = {
    SAFETENSORS: ("safetensors.reader", "SafetensorsReader"),
    NPY: ("numpy.reader", "NpyReader"),
    PICKLE: ("torch.legacy", "TorchLegacyReader"),
    TAR: ("torch.legacy", "TorchTarReader"),
    HDF5: ("keras.hdf5_file", "Hdf5Reader"),
    ONNX: ("onnx.reader", "OnnxReader"),
    MATLAB: ("matlab", "MatlabReader"),
}
_ZIPPED = {
    "torch": ("torch.archive", "TorchZipReader"),
    "keras": ("keras.archive", "KerasReader"),
    "npz": ("numpy.reader", "NpzReader"),
}
_SHARDED = ("safetensors.reader", "ShardedSafetensorsReader")
_MODEL = ("model_json", "RecurrentJsonReader")
"""The module and the class that reads each kind of file, called with the path; imported only then."""


def open_weights(path: str) -> WeightFile:
    """What is in the weight file at `path`; the content decides what kind it is.

    Raises:
        InputError: the file can't be read, is no weight file, or is damaged.
    """
    module, name = reader_of(path)
    reader: type[WeightFile] = getattr(importlib.import_module(f"convtool.arrays.{module}"), name)
    try:
        return reader(path)  # type: ignore[call-arg]  # each takes the path
    except OSError as error:
        raise InputError(f"can't be read: {error.strerror or error}") from error


def _head(path: str) -> bytes:
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # opening a pipe waits for its writer
            raise InputError("it is no regular file; weights are read here and there in it")
        with open(path, "rb") as file:
            return file.read(HEAD)
    except (OSError, ValueError) as error:  # the latter for names that no file can have
        raise InputError(f"can't be read: {getattr(error, 'strerror', error)}") from error


def reader_of(path: str) -> tuple[str, str]:
    """The module, below this room, and the class that read the file at `path`.

    Raises:
        InputError: the file can't be read, is empty, or is no weight file.
    """
    head = _head(path)
    if not head:
        raise InputError("the file is empty")
    kind = recognise(head)
    extension = os.path.splitext(path)[1].lower()
    if kind in (UNKNOWN, TEXT) or (kind is ONNX and extension in (".pt", ".pth")):
        if extension in (".safetensors", ".onnx"):  # their first bytes can be anything; the reader says what is wrong
            return _READERS[SAFETENSORS if extension == ".safetensors" else ONNX]
        expected = {".pt": "torch checkpoint", ".pth": "torch checkpoint"}.get(extension, f"{extension[1:]} file")
        what = f"no {expected}" if extension in EXTENSIONS else "no weight file"
        raise InputError(f"the content is {what}; expected {', '.join(EXTENSIONS)}")
    if kind is ZIP:
        return _ZIPPED[_zipped(path)]
    if kind is JSON:
        return _of_json(head, path)
    if kind not in _READERS:
        raise InputError(f"{kind.refusal(path)}; expected {', '.join(EXTENSIONS)}")
    return _READERS[kind]


def _of_json(head: bytes, path: str) -> tuple[str, str]:
    if b'.weights.h5"' in head:
        raise InputError("it is the index of sharded Keras weights; name the shards, NAME_00000.weights.h5 and so on")
    return _SHARDED if b'"weight_map"' in head or path.endswith(".index.json") else _MODEL


def _zipped(path: str) -> str:
    from convtool.arrays.zip.archive import Archive  # costs more than the rest of a listing

    with Archive(path) as archive:
        names = [member.name for member in archive.members]
    if any(name.endswith("data.pkl") for name in names):
        return "torch"
    if any(name in ("config.json", "metadata.json", "model.weights.h5", "model.weights.npz") for name in names):
        return "keras"
    return "npz"
