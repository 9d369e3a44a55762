"""Kernels: found by name, read whole, brought into the shape that a convolution is to have."""

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
from convtool.signals.signal import Signal, as_float

if TYPE_CHECKING:
    from convtool.weights.layouts import Described

Taps = NDArray[Any]

_GROUPED_LIMIT = 1 << 24


@dataclass(frozen=True)
class Kernel:
    """Taps ``(channels, taps)`` or ``(out, in, taps)``, float64 or int64, and the rate they were measured at."""

    taps: Taps
    sample_rate: int | None


@dataclass(frozen=True)
class Shaping:
    """What is done to a kernel before it is used, in this order."""

    matrix: bool = False
    resample: bool = False
    trim_db: float | None = None
    norm: str = "none"
    correlate: bool = False
    gain_db: float = 0.0
    mix: float = 1.0
    align_peak: bool = False


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


def shape(kernel: Kernel, signal: Signal, how: Shaping) -> Taps:
    """`kernel` as the convolution of `signal` is to use it, flipped like any convolution's kernel.

    Gain, mix and the dry part are all linear, so they go into the taps: the result of one convolution
    with ``mix * gain * h + (1 - mix) * delta`` is the mix itself, at no cost and in every mode.
    """
    taps = _as_matrix(kernel.taps, signal.channels) if how.matrix else kernel.taps
    taps = _at_rate(taps, kernel.sample_rate, signal.sample_rate, resample=how.resample)
    if how.trim_db is not None:
        taps = _trimmed(taps, abs(how.trim_db))
    if how.norm != "none":
        taps = taps / _norm(taps, how.norm)
    if how.correlate:
        taps = taps[..., ::-1].copy("C")  # torch takes no negative strides, not even of a single tap
    if how.gain_db:
        taps = taps * 10.0 ** (how.gain_db / 20)
    return _mixed(taps, how) if how.mix != 1.0 else taps


def _as_matrix(taps: Taps, channels_in: int) -> Taps:
    """``(in * out, taps)``, input by input (for two channels LL, LR, RL, RR), as ``(out, in, taps)``."""
    if taps.ndim == 3:
        return taps
    if len(taps) % channels_in:
        raise InputError(
            f"--matrix needs a kernel with a multiple of the signal's {channels_in} channels; this one has {len(taps)}"
        )
    return taps.reshape(channels_in, -1, taps.shape[-1]).transpose(1, 0, 2)


def _at_rate(taps: Taps, own: int | None, rate: int | None, *, resample: bool) -> Taps:
    """The kernel at the signal's rate: the same filter, so the sum of its taps stays the same."""
    if own is None or rate is None or own == rate:
        return taps
    if not resample:
        raise InputError(
            f"the kernel is at {own} Hz, the signal at {rate} Hz; give --resample-kernel, or a kernel at {rate} Hz"
        )
    import torch

    from convtool.ops.resampling import resample as resampled

    floats = np.ascontiguousarray(taps, dtype=np.float64)
    return resampled(torch.from_numpy(floats), orig_rate=own, new_rate=rate).numpy() * (own / rate)


def _trimmed(taps: Taps, decibels: float) -> Taps:
    """Without the end that stays `decibels` below the kernel's peak."""
    envelope = np.abs(taps).reshape(-1, taps.shape[-1]).max(axis=0)
    loud = np.flatnonzero(envelope >= envelope.max() * 10.0 ** (-decibels / 20))
    return taps[..., : loud[-1] + 1] if len(loud) else taps  # a peak that is NaN is above nothing


def _norm(taps: Taps, kind: str) -> float:
    """What to divide by: the largest over the channels, one for all, so that their balance stays."""
    norms = {
        "peak": lambda: np.abs(taps).max(),
        "l1": lambda: np.abs(taps).sum(axis=-1).max(),
        "l2": lambda: np.sqrt(np.square(taps, dtype=np.float64).sum(axis=-1).max()),
        "dc": lambda: max(taps.sum(axis=-1).ravel(), key=abs),
    }
    value = float(norms[kind]())
    if value == 0 or not np.isfinite(value):
        raise InputError(f"the kernel's {kind} norm is {value:g}; it can't be scaled by that: --kernel-norm none")
    return value


def _mixed(taps: Taps, how: Shaping) -> Taps:
    """The kernel that gives `mix` of the convolved signal and the rest of the dry one."""
    wet = taps * how.mix
    at = int(np.abs(taps).reshape(-1, taps.shape[-1]).max(axis=0).argmax()) if how.align_peak else 0
    if wet.ndim == 3:
        if wet.shape[0] != wet.shape[1]:
            raise InputError(
                f"--mix needs as many outputs as inputs; the kernel mixes {wet.shape[1]} channels into {wet.shape[0]}"
            )
        wet[..., at] += (1 - how.mix) * np.eye(wet.shape[0])
    else:
        wet[..., at] += 1 - how.mix
    return wet
