"""Weight files: named tensors, read without running anything that the file contains."""

from __future__ import annotations

import importlib

from convtool.arrays.description import TensorInfo, WeightFile
from convtool.arrays.sniff import kind_of
from convtool.errors import InputError

__all__ = ["TensorInfo", "WeightFile", "open_weights"]

_READERS = {
    "safetensors": ("safetensors.reader", "SafetensorsFile"),
    "safetensors index": ("safetensors.reader", "ShardedSafetensors"),
    "npz": ("numpy.reader", "NpzFile"),
    "npy": ("numpy.reader", "NpyFile"),
    "torch": ("torch.archive", "TorchZip"),
    "torch legacy": ("torch.legacy", "TorchLegacy"),
    "torch tar": ("torch.legacy", "TorchTar"),
    "hdf5": ("keras.hdf5_file", "Hdf5File"),
    "keras": ("keras.archive", "KerasFile"),
    "onnx": ("onnx.reader", "OnnxFile"),
    "recurrent json": ("model_json", "RecurrentJson"),
}
"""The class that reads each kind of file, called with the path; its module is imported only then."""


def open_weights(path: str) -> WeightFile:
    """What is in the weight file at `path`; the content decides what kind it is.

    Raises:
        InputError: the file can't be read, is no weight file, or is damaged.
    """
    module, name = _READERS[kind_of(path)]
    reader: type[WeightFile] = getattr(importlib.import_module(f"convtool.arrays.{module}"), name)
    try:
        return reader(path)  # type: ignore[call-arg]  # each takes the path
    except OSError as error:
        raise InputError(f"can't be read: {error.strerror or error}") from error
