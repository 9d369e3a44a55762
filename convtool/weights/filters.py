"""The filters of a convolution or dense layer, and the gates of a recurrent one, from its tensor in any layout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from convtool.errors import InputError
from convtool.weights.conversion.deferred import Deferred
from convtool.weights.layouts import KERNEL_AXES, Described

if TYPE_CHECKING:
    from numpy.typing import NDArray

Array = TypeVar("Array", Deferred, "NDArray[Any]")


def in_axes(array: Array, axes: tuple[str, ...], wanted: tuple[str, ...], *, groups: int) -> Array:
    """`array` of the given axes with the `wanted` ones: in another order, or depthwise from one layout to another.

    The channel of depth multiplier m over input c is the output c * mult + m in all layouts.
    """
    rank: int = len(axes)
    if "in*mult" in wanted and "mult" in axes:
        given, multiplier = array.shape[-2:]
        merged = array.transpose((rank - 2, rank - 1, *range(rank - 2)))
        return merged.reshape((given * multiplier, 1, *array.shape[:-2]))
    if "mult" in wanted and "in*mult" in axes:
        apart = array.reshape((groups, array.shape[0] // groups, *array.shape[2:]))
        return apart.transpose((*range(2, rank), 0, 1))
    return array.transpose([axes.index(axis) for axis in wanted])


def as_filters(values: NDArray[Any], described: Described) -> NDArray[Any]:
    """The filters of a convolution or a dense layer, `(out, in, *kernel)` whatever the layout.

    With groups `in` is the inputs of one group; a depthwise filter has one. The filter of a transposed convolution is
    what an input of 1 adds to the output, as it is: it is not flipped.

    Args:
        values: those of the tensor, in its own shape.
        described: what `describe` says of it.

    Raises:
        InputError: it is the weight of no such layer.
    """
    axes, kind, groups = described.axes, described.kind, described.groups
    if kind.startswith("depthwise"):
        return in_axes(values, axes, ("in*mult", "1", *KERNEL_AXES[values.ndim - 2]), groups=groups)
    if not kind.startswith(("conv", "dense")) or values.ndim < 2:
        raise InputError(f"tensor {described.tensor.name!r} is a {kind} of shape {values.shape}; it has no filters")
    given, taken = (next(axis for axis in axes if axis.startswith(way)) for way in ("out", "in"))
    kernel = tuple(axis for axis in axes if axis not in (given, taken))
    filters = in_axes(values, axes, (given, taken, *kernel), groups=groups)
    if given == "out":
        return filters
    outputs, inputs = filters.shape[:2]
    apart = filters.reshape((outputs, groups, inputs // groups, *filters.shape[2:])).swapaxes(0, 1)
    return apart.reshape((outputs * groups, *apart.shape[2:]))


def stacked_gates(described: Described) -> tuple[int, int]:
    """The axis along which a recurrent layer's tensor stacks its gates, and how many times over."""
    axis = next(index for index, name in enumerate(described.axes) if name[0].isdigit() and name.endswith("H"))
    return axis, int(described.axes[axis][:-1]) // len(described.gates)


def split_gates(values: NDArray[Any], described: Described) -> tuple[dict[str, NDArray[Any]], tuple[str, ...]]:
    """The part of each gate of a recurrent layer's tensor, by the gate's letter and in the file's order; and its axes.

    `H` stands in place of `4H` or `3H`, and `2, H` in place of the `8H` of ONNX's bias, in which the bias of the input
    is followed by that of the state.

    Args:
        values: those of the tensor, in its own shape.
        described: what `describe` says of it.

    Raises:
        InputError: the tensor does not stack gates.
    """
    gates, axes = described.gates, described.axes
    if not gates:
        raise InputError(f"tensor {described.tensor.name!r} is a {described.kind} without gates")
    axis, copies = stacked_gates(described)
    size = values.shape[axis]
    if size % (copies * len(gates)):
        raise InputError(f"tensor {described.tensor.name!r} has {size} rows, which are not {len(gates)} equal gates")
    first = [copies] if copies > 1 else []
    cut = [*first, len(gates), size // (copies * len(gates))]
    apart = values.reshape((*values.shape[:axis], *cut, *values.shape[axis + 1 :]))
    parts = {gate: apart.take(index, axis=axis + len(first)) for index, gate in enumerate(gates)}
    return parts, (*axes[:axis], *map(str, first), "H", *axes[axis + 1 :])
