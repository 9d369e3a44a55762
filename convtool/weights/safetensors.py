"""safetensors: a length, a JSON header, then the numbers. https://github.com/huggingface/safetensors, "Format"."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convtool.errors import InputError

_HEADER_LIMIT = 100 << 20
_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U8": "u1",
}


def tensors(path: str) -> dict[str, Callable[[], NDArray[Any]]]:
    """The names in the file at `path`, each with a function that reads its values."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        if length > min(_HEADER_LIMIT, size - 8):
            raise InputError(f"the safetensors header declares {length} bytes; the file has {size}")
        try:
            header = json.loads(file.read(length))
        except (ValueError, RecursionError) as error:
            raise InputError("the safetensors header is no JSON") from error
    header.pop("__metadata__", None)
    return {name: partial(_values, path, name, entry, 8 + length, size) for name, entry in header.items()}


def _values(path: str, name: str, entry: Any, start: int, size: int) -> NDArray[Any]:
    try:
        dtype, shape, (low, high) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
        stored = _DTYPES.get(dtype)
        count = math.prod(shape)
        fits = all(type(n) is int and n >= 0 for n in (*shape, low, high)) and low <= high <= size - start
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"the safetensors entry of {name!r} is damaged") from error
    if stored is None:
        raise InputError(f"tensor {name!r} is of dtype {dtype!r}, which can't be taps")
    if not fits or count * np.dtype(stored).itemsize != high - low:
        raise InputError(f"tensor {name!r} declares shape {shape} over bytes {low} to {high}, which do not fit")
    raw = np.fromfile(path, stored, count, offset=start + low)
    if dtype == "BF16":  # the upper half of a float32
        raw = (raw.astype(np.uint32) << 16).view(np.float32)
    return raw.reshape(shape)
