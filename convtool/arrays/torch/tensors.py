"""Tensors as torch's pickles describe them: a storage, and how the tensor looks at it.

torch pickles a tensor as a call of one of the ``_rebuild_...`` functions of ``torch._utils``; here it is read what they
would be given, and none is called. Source: ``torch/_utils.py`` and ``torch/serialization.py`` of torch 0.1 to 2.13.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from convtool.arrays.raw import checked_count
from convtool.arrays.torch.dtypes import ITEM_BYTES, PACKED, QUANTISED, STORAGES, is_read
from convtool.arrays.torch.pickle_values import Call, Global
from convtool.arrays.torch.views import Finder, Malformed, Quantiser, Storage, View, few, size_in
from convtool.errors import InputError

_LAYOUTS = tuple(f"torch.sparse_{kind}" for kind in ("coo", "csr", "csc", "bsr", "bsc"))
_DIMENSIONS = 64
_HOLDERS_DEEP = 8
_BITS = 8
_INTEGERS = 1 << 31
_SCALES = ("float32", "float64")
_ZERO_POINTS = ("int32", "int64")


def describe(call: Call, find: Finder) -> View | None:
    """The tensor that `call` would make, or None where it would make something else.

    Args:
        call: a call in a stream.
        find: the storage that a value of that stream refers to; `storage` in checkpoints.

    Raises:
        Malformed: it is one of torch's calls, but not as torch writes it.
    """
    for _ in range(_HOLDERS_DEEP):
        if not isinstance(call, Call):
            raise Malformed
        name, arguments = call.function.name if isinstance(call.function, Global) else "", call.arguments
        try:
            if name in _HOLDERS:
                call = arguments[0]
            elif name in _OF_A_CLASS:
                call = Call(arguments[0], arguments[2])
            elif name in _REBUILDS:
                return _REBUILDS[name](find, few(arguments))
            else:
                return None
        except (IndexError, TypeError, ValueError) as error:  # too few of them, or of another kind
            raise Malformed from error
    raise Malformed


def is_known(name: str) -> bool:
    """Whether checkpoints of tensors alone name this too: torch loads those without running anything else."""
    module, _, last = name.rpartition(".")
    if module in ("torch", "torch.cuda", "torch.storage"):
        return last in STORAGES or last in ITEM_BYTES or name in _KNOWN
    return name in _REBUILDS or name in _HOLDERS or name in _OF_A_CLASS or name in _KNOWN


def _sizes(values: Any) -> tuple[int, ...]:
    if not isinstance(values, list | tuple) or len(values) > _DIMENSIONS:
        raise Malformed
    return tuple(size_in(value) for value in values)


def _dtype(value: Any) -> str:
    if not isinstance(value, Global):
        raise Malformed
    return value.name.removeprefix("torch.")


def _tensor(find: Finder, arguments: tuple[Any, ...]) -> View:
    """``_rebuild_tensor``; ``_rebuild_tensor_v2``, where whether it takes a gradient, hooks and metadata follow."""
    held, offset, size, stride = arguments[:4]
    found = find(held)
    return _view(found, found.dtype, size_in(offset), _sizes(size), _sizes(stride), arguments[6:])


def _tensor_v3(find: Finder, arguments: tuple[Any, ...]) -> View:
    """``_rebuild_tensor_v3``: the storage is bytes, and behind the hooks follow a dtype and metadata."""
    held, offset, size, stride, _, _, dtype = arguments[:7]
    return _view(find(held), _dtype(dtype), size_in(offset), _sizes(size), _sizes(stride), arguments[7:])


def _quantised(find: Finder, arguments: tuple[Any, ...]) -> View:
    """``_rebuild_qtensor``: behind the strides come the scheme, and what it takes."""
    held, offset, size, stride = arguments[:4]
    found, shape = find(held), _sizes(size)
    quantiser = _quantiser(find, few(arguments[4]), shape) if found.dtype in QUANTISED else None
    view = _view(found, found.dtype, size_in(offset), shape, _sizes(stride), (), quantiser)
    return view if quantiser else replace(view, flag="quantised; its values are not read")


def _quantiser(find: Finder, parameters: tuple[Any, ...], shape: tuple[int, ...]) -> Quantiser | None:
    """None where the scheme is another than those whose zero points are integers."""
    match parameters:
        case (Global(name="torch.per_tensor_affine"), float() as scale, int() as zero_point) if (
            abs(zero_point) < _INTEGERS
        ):
            return Quantiser(scale, zero_point)
        case (Global(name="torch.per_channel_affine"), Call() as scales, Call() as zero_points, int() as axis):
            parts = [_part(find, each) for each in (scales, zero_points)]
        case _:
            return None
    scale_view, zero_view = parts
    if scale_view is None or zero_view is None or not 0 <= axis < len(shape):
        raise Malformed
    for view, dtypes in ((scale_view, _SCALES), (zero_view, _ZERO_POINTS)):
        if view.shape != shape[axis : axis + 1] or view.dtype not in dtypes or not view.in_order or view.flag:
            raise Malformed
    return Quantiser(scale_view, zero_view, axis)


def _meta(_: Finder, arguments: tuple[Any, ...]) -> View:
    dtype, size = arguments[:2]
    return View(dtype=_dtype(dtype), shape=_sizes(size), nbytes=0, flag="a meta tensor, which has no values")


def _sparse(find: Finder, arguments: tuple[Any, ...]) -> View:
    """A layout, then the parts, which are tensors, the values last of them, and the shape."""
    layout, data = arguments
    parts = [part for part in map(partial(_part, find), few(data)) if part is not None]
    shape = _sizes(data[len(parts)])
    kind = layout.arguments[0] if isinstance(layout, Call) else None
    named = f" ({kind})" if isinstance(kind, str) and kind in _LAYOUTS else ""
    nbytes = sum(part.nbytes for part in parts)
    return View(dtype=parts[-1].dtype, shape=shape, nbytes=nbytes, flag=f"sparse{named}; its values are not read")


def _nested(find: Finder, arguments: tuple[Any, ...]) -> View:
    whole = _part(find, arguments[0])
    if whole is None:
        raise Malformed
    return replace(whole, flag="nested tensors, shown as the buffer that they share; its values are not read")


def _part(find: Finder, call: Any) -> View | None:
    """The plain tensor that `call` would make, or None: parts of parts are not looked for."""
    if isinstance(call, Call) and isinstance(call.function, Global) and _REBUILDS.get(call.function.name) is _tensor:
        return _tensor(find, few(call.arguments))
    return None


def _view(
    held: Storage,
    dtype: str,
    offset: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    metadata: tuple[Any, ...],
    quantiser: Quantiser | None = None,
) -> View:
    held_bits = metadata[0][:_BITS] if any(metadata) else ()
    bits = [key for key, value in held_bits if isinstance(key, str) and value is True]
    if len(shape) != len(strides) or (bits and not dtype.startswith(("float", "bfloat", "complex"))):
        raise Malformed
    flag = "" if is_read(dtype) or dtype in PACKED or quantiser else f"dtype {dtype!r:.80}, whose values are not read"
    try:
        count = checked_count(shape)
    except InputError as error:
        count, flag = 0, str(error)
    return View(
        dtype=dtype,
        shape=shape,
        nbytes=count * ITEM_BYTES.get(dtype, 0),
        strides=strides,
        offset=offset,
        storage=held,
        conjugate="conj" in bits,
        negative="neg" in bits,
        flag=flag,
        quantiser=quantiser,
    )


_REBUILDS: dict[str, Callable[[Finder, tuple[Any, ...]], View]] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor_v3,
    "torch._utils._rebuild_qtensor": _quantised,
    "torch._utils._rebuild_meta_tensor_no_storage": _meta,
    "torch._utils._rebuild_sparse_tensor": _sparse,
    "torch._utils._rebuild_nested_tensor": _nested,
}
_HOLDERS = frozenset(
    [
        "torch._utils._rebuild_parameter",
        "torch._utils._rebuild_parameter_with_state",
        "torch._utils._rebuild_device_tensor_from_cpu_tensor",
        "torch.nn.parameter.Parameter",
    ]
)
"""Calls whose first argument is the tensor."""

_OF_A_CLASS = frozenset(["torch._tensor._rebuild_from_type_v2", "torch._tensor._rebuild_from_type"])
"""Calls that take one of the others, a class, and that one's arguments."""

_KNOWN = frozenset(
    [
        "_codecs.encode",
        "torch.Tensor",
        "torch.device",
        "torch.per_channel_affine",
        "torch.per_tensor_affine",
        "torch.serialization._get_layout",
    ]
)
