"""What is selected of one tensor to print, draw or export: all of it, filters, gates; and frequency responses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convtool.arrays.description import some
from convtool.errors import InputError, UsageError
from convtool.jobs.inspection.listing import Listed, Listing, size
from convtool.weights.filters import as_filters, split_gates, stacked_gates
from convtool.weights.kinds import RECURRENT
from convtool.weights.layouts import Described

Values = NDArray[Any]
_FILTER_AXES = ("filter", "in", "depth")
_WITHOUT_FILTERS = ("bias", "norm", "embedding", "state", *RECURRENT)


@dataclass(frozen=True)
class Selection:
    """What was selected of one tensor."""

    listed: Listed
    values: Values
    """The numbers, in the shape that a file of them has."""
    titles: Sequence[Sequence[str]]
    """What the places along each leading axis are called; the axes behind them are those of a matrix."""
    bank: Values
    """The same numbers as filters ``(out, in, *kernel)``."""
    labels: Sequence[str]
    """What each of these filters is called."""
    told: str = ""
    """How many of what they are, where they are no filters."""

    def matrices(self) -> Iterator[tuple[str, Values]]:
        """Each matrix, and where it stands: the title is empty where there is but one; a vector is a single row."""
        lead = self.values.shape[: len(self.titles)]
        for place in np.ndindex(lead):
            told = [self.titles[axis][index] for axis, index in enumerate(place) if axis == 0 or lead[axis] > 1]
            yield ", ".join(told), np.atleast_2d(self.values[place])


def select_all(listed: Listed) -> Selection:
    """All numbers of a tensor, in the shape that it has."""
    values = listed.values()
    axes = [f"axis{name}" if name.isdigit() else name for name in listed.described.axes]
    bank = _as_bank(values)
    return Selection(listed, values, _numbered(values.shape, axes), bank, _names(bank))


def select_filters(listed: Listed, place: tuple[int, ...] = ()) -> Selection:
    """The filters ``(out, in, *kernel)`` of a tensor, whatever its layout: all of them, number OUT, or number OUT,IN.

    Of what is no convolution, a vector or a matrix is a single filter, and three axes are ``(out, in, taps)``.

    Raises:
        InputError: there is no such filter.
        UsageError: it has more axes, and nobody says what they are.
    """
    described, shape = listed.described, listed.tensor.shape
    if not described.layout and len(shape) > 3:
        raise UsageError(
            f"the file does not say what the axes of {listed.name!r} are, {size(shape)}: give --from torch or onnx for "
            "(out, in, ...), --from keras for (..., in, out)"
        )
    values = listed.values()
    bank = as_filters(values, described) if has_filters(described) else _as_bank(values)
    return _selected(listed, bank, place)


def select_1d_filters(listed: Listed, place: tuple[int, ...] = ()) -> Selection:
    """Like `select_filters`, of filters along one axis: each row of a matrix is one, of a dense layer each output.

    Raises:
        InputError: there is no such filter, or the tensor holds others.
    """
    values, described = listed.values(), listed.described
    if described.kind.startswith(("conv", "depthwise", "dense")):
        values = as_filters(values, described)
    if values.ndim in (1, 2):
        values = np.atleast_2d(values)[:, np.newaxis]
    if values.ndim != 3:
        kind = f"{described.kind} {size(listed.tensor.shape)}"
        raise InputError(f"tensor {listed.name!r}, {kind}, holds no filters along one axis")
    return _selected(listed, values, place)


def _selected(listed: Listed, bank: Values, place: tuple[int, ...]) -> Selection:
    labels = _names(bank)
    for axis, (index, what) in enumerate(zip(place, ("filter", "input"), strict=False)):
        count = bank.shape[axis]
        if not 0 <= index < count:
            there = f"there are {count} {what}s, 0 to {count - 1}" if count > 1 else f"there is one {what}, 0"
            raise InputError(f"--filter {','.join(map(str, place))}: {there}")
        bank = bank.take([index], axis=axis)
        labels = labels[index : index + 1] if axis == 0 else [f"{labels[0]} in {index}"]
    values, axes = bank.reshape(bank.shape[len(place) :]), _FILTER_AXES[len(place) :]
    if len(place) == 1 and len(values) == 1:
        values, axes = values[0], axes[1:]
    return Selection(listed, values, _numbered(values.shape, axes), bank, labels)


def select_gates(listed: Listed) -> Selection:
    """The rows of each gate of a recurrent layer's tensor, ``(gates, ...)`` in the order in which they are stacked.

    Raises:
        InputError: the tensor does not stack gates.
    """
    gates, gate_axes = split_gates(listed.values(), listed.described)
    values = np.stack(list(gates.values()))
    names = [f"gate {name}" for name in gates]
    axes = [_FILTER_AXES[0], *gate_axes]
    titles = [names, *_numbered(values.shape, axes)[1:]]
    told = f"{len(gates)} gates of {' × '.join(map(str, values.shape[1:]))} ({' × '.join(gate_axes)})"
    return Selection(listed, values, titles, np.expand_dims(np.atleast_3d(values), 1), names, told)


def gate_names(listed: Listed) -> tuple[int, Sequence[str]] | None:
    """The axis along which a tensor stacks gates, and their names along it; None for another."""
    if not listed.described.gates:
        return None
    axis, copies = stacked_gates(listed.described)
    return axis, listed.described.gates * copies


def _as_bank(values: Values) -> Values:
    return values[np.newaxis, np.newaxis] if values.ndim < 3 else values


def _names(bank: Values) -> list[str]:
    return [f"filter {index}" for index in range(len(bank))]


def _numbered(shape: Sequence[int], axes: Sequence[str]) -> list[list[str]]:
    """Titles for all but the last two axes."""
    leading = zip(axes, shape[: max(0, len(shape) - 2)], strict=False)
    return [[f"{axis} {index}" for index in range(size)] for axis, size in leading]


def has_filters(described: Described) -> bool:
    """Whether the tensor is the weight of a convolution, of any kind."""
    return "conv" in described.kind


def refuse_without_filters(listing: Listing, listed: Listed) -> None:
    """Refuse a tensor of a kind that has no filters; what is of no known kind may be one, or many.

    Raises:
        InputError: it is such a tensor.
    """
    described = listed.described
    if described.kind not in _WITHOUT_FILTERS:
        return
    fitting = [each for each in listing.tensors if has_filters(each.described)]
    beside = [each for each in fitting if each.described.prefix == described.prefix]
    there = f"{some(each.name for each in beside or fitting)} has" if len(beside or fitting) == 1 else ""
    there = there or (f"there are filters in {some(each.name for each in fitting)}" if fitting else "nor has any other")
    told = f"tensor {listed.name!r}, {described.kind} {size(listed.tensor.shape)}, has no filters"
    raise InputError(f"{told}; {'--gates splits it' if has_gates(described) else there}")


def has_responses(described: Described) -> bool:
    """Whether the tensor holds filters along one axis, such as time."""
    return has_filters(described) and described.kind.endswith("1d")


def has_gates(described: Described) -> bool:
    """Whether the tensor stacks the gates of a recurrent layer."""
    return bool(described.gates)


def choose(listing: Listing, name: str | None, fits: Callable[[Described], bool], what: str) -> Listed:
    """The tensor called `name`, or else the only one that fits, or the only one there is.

    Raises:
        UsageError: several fit, or none does among several.
        InputError: there is no tensor of that name, or none at all.
    """
    if name is not None:
        return listing.find(name)
    if not listing.tensors:
        raise InputError("there are no tensors in it")
    fitting = [listed for listed in listing.tensors if fits(listed.described)]
    if len(fitting) == 1 or len(listing.tensors) == 1:
        return (fitting or list(listing.tensors))[0]
    there = f"there are {len(fitting)} tensors with {what}" if fitting else f"none of the tensors has {what}"
    names = some(each.name for each in fitting or listing.tensors)
    raise UsageError(f"{there}; choose one with --tensor: {names}")


def responses(filters: Selection, *, points: int, sample_rate: int | None) -> tuple[Values, Values, list[str]]:
    """Frequencies ``(points,)``, magnitudes in dB ``(filters, points)``, and the name of each filter.

    Args:
        filters: a selection of filters along one axis.
        points: how many frequencies, from 0 to half the sample rate.
        sample_rate: in Hz; None gives frequencies in cycles a sample.

    Raises:
        InputError: the numbers are not real.
    """
    out, number, taps = filters.bank.shape
    if filters.bank.dtype.kind not in "fiu":
        raise InputError(f"tensor {filters.listed.name!r} is {filters.bank.dtype}; filters are of real numbers")
    from convtool.jobs.backend import load_torch

    torch = load_torch()
    from convtool.ops.response import frequency_response

    names = [label + f" in {i}" * (number > 1) for label in filters.labels for i in range(number)]
    rows = torch.from_numpy(np.array(filters.bank, dtype=np.float64).reshape(out * number, taps))
    frequency, magnitude = frequency_response(rows, points=points, sample_rate=sample_rate)
    return frequency.numpy(), magnitude.numpy(), names
