"""Kernels: found by name and read whole."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convtool.arrays import open_weights
from convtool.arrays.description import some
from convtool.errors import ConvtoolError, InputError
from convtool.files.names import show
from convtool.signals.inputs import Input, looks_like_numbers
from convtool.signals.opening import ReadOptions, open_reader
from convtool.signals.signal import as_float

if TYPE_CHECKING:
    from convtool.weights.layouts import Described

Taps = NDArray[Any]

_GROUPED_LIMIT = 1 << 24


@dataclass(frozen=True)
class Kernel:
    """Taps ``(channels, taps)`` or ``(out, in, taps)``, float64 or int64, and the rate they were measured at."""

    taps: Taps
    sample_rate: int | None


@lru_cache(maxsize=8)
def load(word: str) -> Kernel:
    """The kernel that `word` stands for: a file (which wins), a tensor ``FILE::NAME``, or numbers."""
    if not word.strip():
        raise InputError("the kernel is empty; give numbers, a file, or FILE::TENSOR")
    path = path_of(word)
    try:
        return _read(word) if path == word else _read_tensor(path, word.removeprefix(f"{path}::"))
    except ConvtoolError as error:
        raise type(error)(f"kernel {show(word)}: {error}") from error


def path_of(word: str) -> str:
    """The file that a kernel `word` names: what stands before ``::``, unless the whole is a file's name."""
    return word if os.path.lexists(word) else word.partition("::")[0]


def _read_tensor(path: str, name: str) -> Kernel:
    from convtool.weights.layouts import describe

    with open_weights(path) as file:
        tensor = file.find(name)
        values = file.values(tensor)
        described = next(each for each in describe(file.tensors, layout=file.layout) if each.tensor is tensor)
    if values.dtype.kind not in "fiu" or values.size == 0:
        raise InputError(f"tensor {name!r} is {values.dtype} of shape {values.shape}; expected taps, real numbers")
    one_dimensional = "conv" in described.kind and described.kind.endswith("1d")
    taps = _layer_taps(values, described) if one_dimensional else values
    if not 1 <= taps.ndim <= 3:
        expected = "(taps,), (channels, taps) or (out, in, taps)"
        raise InputError(f"tensor {name!r} has shape {taps.shape}; expected {expected}")
    return Kernel(np.atleast_2d(np.asarray(taps, dtype=np.float64)), None)


def _layer_taps(values: Taps, described: Described) -> Taps:
    """The weight of a 1-D convolution, in whatever layout, as ``(out, in, taps)``; ``(channels, taps)`` where each
    channel has a filter of its own.

    With groups there are zeros between an output and the inputs of other groups.
    """
    from convtool.weights.filters import as_filters

    filters, groups = as_filters(values, described), described.groups
    outputs, inputs, taps = filters.shape
    if groups == 1:
        return filters
    if groups == outputs and inputs == 1:
        return filters[:, 0]
    if outputs * inputs * groups * taps > _GROUPED_LIMIT:
        raise InputError(f"with its {groups} groups apart the layer has more than {_GROUPED_LIMIT} taps")
    apart = np.zeros((groups, outputs // groups, groups, inputs, taps))
    for group, rows in enumerate(filters.reshape(groups, -1, inputs, taps)):
        apart[group, :, group] = rows
    return apart.reshape(outputs, groups * inputs, taps)


def _read(word: str) -> Kernel:
    numbers = looks_like_numbers(word) and not os.path.lexists(word)
    kind = "stdin" if word == "-" else "numbers" if numbers else "file"
    try:
        return _read_signal(Input(kind, word, word))
    except InputError as error:
        names = _tensors_of(word) if kind == "file" else ()
        if names:
            raise InputError(f"it is a weight file; name a tensor in it, FILE::NAME: {some(names)}") from error
        raise


def _read_signal(item: Input) -> Kernel:
    with open_reader(item, ReadOptions()) as reader:
        blocks = [as_float(b, reader.signal) if reader.signal.full_scale else b for b in reader.blocks()]
        if not blocks:
            raise InputError("there are 0 taps in it")
        taps = np.concatenate(blocks, axis=-1)
        exact = reader.signal.dtype == "int64"
        return Kernel(taps if exact else taps.astype(np.float64), reader.signal.sample_rate)


def _tensors_of(path: str) -> Sequence[str]:
    """The names in a weight file of several tensors; none in other files."""
    try:
        with open_weights(path) as file:
            return [tensor.name for tensor in file.tensors if file.format != "npy"]
    except InputError:
        return ()
