"""Zip archives of tensors: NumPy's ``.npz`` and torch's ``.pt``."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convtool.errors import InputError

_VALUES_LIMIT = 1 << 30
"""Bytes that a tensor may unpack to: a small archive can declare any number of them."""


def tensors(path: str) -> dict[str, Callable[[], NDArray[Any]]]:
    """The names in the archive at `path`, each with a function that reads its values."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.namelist()
    except Exception as error:  # zipfile raises half a dozen kinds on damage
        raise InputError("the zip archive is damaged") from error
    if any(name.endswith("data.pkl") for name in members):
        return _torch(path)
    arrays = [name for name in members if name.endswith(".npy")]
    return {name.removesuffix(".npy"): partial(_npz_member, path, name) for name in arrays}


def _npz_member(path: str, name: str) -> NDArray[Any]:
    with zipfile.ZipFile(path) as archive:
        if archive.getinfo(name).file_size > _VALUES_LIMIT:
            raise InputError(f"member {name!r} unpacks to more than a gigabyte")
        try:
            values: NDArray[Any] = np.load(io.BytesIO(archive.read(name)), allow_pickle=False)
        except Exception as error:  # zipfile, its decompressors and numpy raise a dozen kinds on damage
            raise InputError(f"member {name!r} can't be read: {type(error).__name__}") from error
    return values


def _torch(path: str) -> dict[str, Callable[[], NDArray[Any]]]:
    """The tensors of a checkpoint, wrapping keys and all, by torch's loader of weights alone."""
    import torch

    found: dict[str, Any] = {}
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        _collect(loaded, "", found, torch.Tensor)
    except Exception as error:  # the unpickler raises whatever the bytes lead it to
        raise InputError("the checkpoint holds more than tensors, or is damaged; it was not run") from error
    return {name: partial(_as_array, tensor) for name, tensor in found.items()}


def _as_array(tensor: Any) -> NDArray[Any]:
    if not tensor.is_complex():
        with suppress(TypeError, RuntimeError):  # sparse, or without values
            values: NDArray[Any] = tensor.detach().double().numpy()
            return values
    raise InputError(f"the tensor is {tensor.dtype}, {tensor.layout}, on {tensor.device}; expected taps, real numbers")


def _collect(value: Any, name: str, found: dict[str, Any], kind: type) -> None:
    if isinstance(value, kind):
        found[name or "tensor"] = value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            _collect(item, f"{name}.{key}".removeprefix(".").removeprefix("state_dict."), found, kind)
