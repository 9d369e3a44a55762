"""Weight files: named tensors, read without running anything that the file contains."""

from __future__ import annotations

import importlib

from convtool.errors import InputError
from convtool.weights.description import TensorInfo, WeightFile
from convtool.weights.sniff import kind_of

__all__ = ["TensorInfo", "WeightFile", "open_weights"]

_READERS = {
    "safetensors": ("safetensors", "SafetensorsFile"),
    "safetensors index": ("safetensors", "ShardedSafetensors"),
    "npz": ("numpy_files", "NpzFile"),
    "npy": ("numpy_files", "NpyFile"),
    "torch": ("torch_zip", "TorchZip"),
    "torch legacy": ("torch_legacy", "TorchLegacy"),
    "torch tar": ("torch_legacy", "TorchTar"),
    "hdf5": ("hdf5", "Hdf5File"),
    "keras": ("keras", "KerasFile"),
    "onnx": ("onnx", "OnnxFile"),
    "recurrent json": ("recurrent_json", "RecurrentJson"),
}
"""The class that reads each kind of file, called with the path; its module is imported only then."""


def open_weights(path: str) -> WeightFile:
    """What is in the weight file at `path`; the content decides what kind it is.

    Raises:
        InputError: the file can't be read, is no weight file, or is damaged.
    """
    module, name = _READERS[kind_of(path)]
    reader: type[WeightFile] = getattr(importlib.import_module(f"convtool.weights.{module}"), name)
    try:
        return reader(path)  # type: ignore[call-arg]  # each takes the path
    except OSError as error:
        raise InputError(f"can't be read: {error.strerror or error}") from error
