"""The state of a model between two calls, in a file of named arrays.

Of recurrent layers `layers.0.h` and `layers.0.c`, each ``(rows, units)``; of convolutions that look back what they have
kept of their inputs, `convs.0` and so on, ``(rows, channels, samples)``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from convtool.arrays import open_weights
from convtool.arrays.numpy.writer import NpzWriter
from convtool.arrays.writing import Array, create
from convtool.errors import ConvtoolError, InputError
from convtool.files.formats import extension
from convtool.files.names import show
from convtool.jobs.models.place import Place
from convtool.models.layers import count_unfit

if TYPE_CHECKING:
    from torch import Tensor

    from convtool.ops.recurrent.network import State

_PARTS = ("h", "c")


def write_states(path: str, states: Mapping[str, Tensor], *, replace: bool = False) -> None:
    """Write states by name, whole or not at all: as NPZ unless `path` names safetensors or torch.

    With `replace`, over a file that exists.
    """
    arrays = {name: values.cpu().numpy() for name, values in states.items()}
    make = create if extension(path) in ("safetensors", "pt", "pth") else NpzWriter
    described = [Array(name, values.dtype.name, values.shape) for name, values in arrays.items()]
    file = make(path, described, {}, replace=replace)
    try:
        for name, values in arrays.items():
            file.write(name, 0, values)
        file.commit()
    finally:
        file.discard()


def read_states(path: str, place: Place, *, first: str, dimensions: int) -> dict[str, Tensor]:
    """What `write_states` wrote.

    Args:
        path: of the file.
        place: where to.
        first: the name that the states begin with, for the message.
        dimensions: of each.

    Raises:
        InputError: it can't be read, or holds something else.
    """
    try:
        with open_weights(path) as file:
            found = {tensor.name: file.values(tensor) for tensor in file.tensors}
    except (ConvtoolError, OSError) as error:
        raise InputError(f"--state-in {show(path)}: {error}") from error
    kind = first.partition(".")[0]
    if not found or not all(name.startswith(f"{kind}.") for name in found):
        raise InputError(
            f"--state-in {show(path)}: it holds {', '.join(map(repr, found)) or 'nothing'}; expected what --state-out "
            f"writes, {first!r} and so on"
        )
    for name, values in found.items():
        if values.dtype.kind != "f" or values.ndim != dimensions or count_unfit(values):
            raise InputError(f"--state-in {show(path)}: {name!r} is no state: expected finite numbers")
    return {name: place.tensor(values) for name, values in found.items()}


def named_states(states: Sequence[State]) -> dict[str, Tensor]:
    """Those of recurrent layers by name."""
    return {
        f"layers.{number}.{part}": values[0]
        for number, state in enumerate(states)
        for part, values in zip(_PARTS, state, strict=False)
    }


def read_recurrent_states(path: str, place: Place) -> list[State]:
    """Those of recurrent layers, in order.

    Raises:
        InputError: as `read_states`.
    """
    found = read_states(path, place, first="layers.0.h", dimensions=2)
    states: list[State] = []
    while parts := [found.pop(name) for part in _PARTS if (name := f"layers.{len(states)}.{part}") in found]:
        states.append(tuple(part[None] for part in parts))
    if found:
        raise InputError(f"--state-in {show(path)}: it holds {', '.join(map(repr, found))}, which belongs to no layer")
    return states
