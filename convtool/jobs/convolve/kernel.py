"""Kernels: found by name and read whole."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convtool.arrays import open_weights
from convtool.errors import ConvtoolError, InputError
from convtool.files.names import counted, show
from convtool.signals.inputs import Input
from convtool.signals.opening import ReadOptions, open_reader
from convtool.signals.raw import RawLayout
from convtool.signals.signal import as_float
from convtool.signals.text.options import TextOptions

if TYPE_CHECKING:
    from convtool.weights.layouts import Described

Taps = NDArray[Any]

MOST_TAPS = 1 << 22
"""Taps of a kernel, in all its channels: 87 seconds at 48 kHz."""

_BYTES = 150
"""Memory that a convolution takes for each tap: for its numbers, their spectra and those of the signal, as measured."""

MOST_SAMPLES = 1 << 23
"""Samples that a kernel may span, in all channels of the signal: they are in memory together."""

_SPAN_BYTES = 48
"""Memory that a convolution takes for each of them, as measured with few taps far apart."""


@dataclass(frozen=True, eq=False)
class Kernel:
    """Taps ``(channels, taps)`` or ``(out, in, taps)``, float64 or int64, and the rate they were measured at."""

    taps: Taps
    sample_rate: int | None
    notes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


_PLAIN = TextOptions()


@lru_cache(maxsize=8)
def load(word: str, raw: RawLayout | None = None, notation: TextOptions = _PLAIN) -> Kernel:
    """The kernel that `word` stands for: a file (which wins), a tensor ``FILE::NAME``, or numbers.

    `raw` is how the numbers of a file without a header lie there. `notation` is how those of the inputs are written: so
    are numbers in place. Of a text its decimal mark is tried first, and then a point.
    """
    if not word.strip():
        raise InputError("the kernel is empty; give numbers, a file, or FILE::TENSOR")
    item = Input.of_word(word)
    try:
        return _read_layer(item) or _read(item, raw, notation)
    except ConvtoolError as error:
        raise type(error)(f"kernel {show(word)}: {error}") from error


def check_taps(count: int, where: str = "") -> None:
    """Refuse a kernel of `count` taps in all its channels where a convolution with it would fill the memory.

    `where` says in the message what makes them so many.
    """
    if count > MOST_TAPS:
        raise InputError(
            f"{where}it has {count} taps, which would take about {_BYTES * count / 1e9:.1f} GB of "
            f"memory; the limit is {MOST_TAPS} in all channels: cut it, or give the shorter of the two as the kernel"
        )


def check_span(span: int, channels: int) -> None:
    """Refuse a kernel that needs `span` samples of each of `channels` at a time, where they would fill the memory."""
    if span * channels > MOST_SAMPLES:
        raise InputError(
            f"the kernel spans {span} samples in {counted(channels, 'channel')}, which would take about "
            f"{_SPAN_BYTES * span * channels / 1e9:.1f} GB of memory; the limit is {MOST_SAMPLES} in all channels: "
            "give a smaller --dilation, a shorter kernel, or fewer channels"
        )


def path_of(word: str) -> str:
    """The file that a kernel `word` names, or the word itself."""
    return Input.of_word(word).value


def _read_layer(item: Input) -> Kernel | None:
    """The weight of a 1-D convolution that a weight file names; None where `item` is anything else."""
    if not item.array:
        return None
    from convtool.weights.layouts import describe

    with open_weights(item.value) as file:
        named = [each for each in describe(file.tensors, layout=file.layout) if each.tensor.name == item.array]
        if not named or "conv" not in named[0].kind or not named[0].kind.endswith("1d"):
            return None
        check_taps(math.prod(named[0].tensor.shape))
        values = file.values(named[0].tensor)
    if values.dtype.kind not in "fiu" or values.size == 0:
        raise InputError(f"tensor {item.array!r} is {values.dtype} of shape {values.shape}; expected real numbers")
    return Kernel(np.atleast_2d(np.asarray(_layer_taps(values, named[0]), dtype=np.float64)), None)


def _layer_taps(values: Taps, described: Described) -> Taps:
    """The weight of a 1-D convolution, in whatever layout, as ``(out, in, taps)``; ``(channels, taps)`` where each
    channel has a filter of its own.

    With groups there are zeros between an output and the inputs of other groups.
    """
    from convtool.weights.filters import as_filters

    filters, groups = as_filters(values, described), described.groups
    outputs, inputs, _ = filters.shape
    if groups == outputs and inputs == 1 and groups > 1:
        return filters[:, 0]
    return apart_by_groups(filters, groups)


def apart_by_groups(filters: Taps, groups: int) -> Taps:
    """``(out, in / groups, taps)`` as ``(out, in, taps)``, with zeros between the groups."""
    if groups == 1:
        return filters
    outputs, inputs, taps = filters.shape
    check_taps(outputs * inputs * groups * taps, f"with its {groups} groups apart ")
    apart = np.zeros((groups, outputs // groups, groups, inputs, taps), filters.dtype)
    for group, rows in enumerate(filters.reshape(groups, -1, inputs, taps)):
        apart[group, :, group] = rows
    return apart.reshape(outputs, groups * inputs, taps)


def _read(item: Input, raw: RawLayout | None, notation: TextOptions) -> Kernel:
    if item.kind == "numbers":
        return _read_written(item, ReadOptions(text=notation, wrapped=True))
    try:
        marked = TextOptions(decimal=notation.decimal)
        return _read_written(item, ReadOptions(text=marked, wrapped=True, raw=raw))
    except InputError:
        if notation.decimal == "." or not os.path.isfile(item.value):
            raise
        try:
            return _read_written(item, ReadOptions(wrapped=True, raw=raw))
        except InputError:
            pass  # what is wrong under the mark that was asked for is what helps
        raise


def _read_written(item: Input, read: ReadOptions) -> Kernel:
    with open_reader(item, read) as reader:
        blocks: list[Taps] = []
        count = 0
        for block in reader.blocks():
            count += block.size
            if count > MOST_TAPS:
                check_taps(max(count, reader.signal.channels * (reader.signal.frames or 0)))
            blocks.append(as_float(block, reader.signal) if reader.signal.full_scale else block)
        if not blocks:
            raise InputError("there are 0 taps in it")
        taps = np.concatenate(blocks, axis=-1)
        exact = reader.signal.dtype == "int64"
        taps = taps if exact else taps.astype(np.float64)
        return Kernel(taps, reader.signal.sample_rate, tuple(reader.notes), tuple(reader.remarks))
