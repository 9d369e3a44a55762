"""The state of a recurrent model between two calls, in a file: `layers.0.h`, `layers.0.c`, each ``(rows, units)``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from convtool.arrays import open_weights
from convtool.arrays.numpy.writer import NpzWriter
from convtool.arrays.writing import Array, create
from convtool.errors import ConvtoolError, InputError
from convtool.files.formats import extension
from convtool.files.names import show
from convtool.jobs.models.network import Place
from convtool.models.layers import count_unfit

if TYPE_CHECKING:
    from convtool.ops.recurrent.network import State

_PARTS = ("h", "c")


def write_states(path: str, states: Sequence[State], *, replace: bool = False) -> None:
    """Write the state of each layer, whole or not at all: as NPZ unless `path` names safetensors or torch.

    With `replace`, over a file that exists.
    """
    arrays = {
        f"layers.{number}.{part}": values[0].cpu().numpy()
        for number, state in enumerate(states)
        for part, values in zip(_PARTS, state, strict=False)
    }
    make = create if extension(path) in ("safetensors", "pt", "pth") else NpzWriter
    described = [Array(name, values.dtype.name, values.shape) for name, values in arrays.items()]
    file = make(path, described, {}, replace=replace)
    try:
        for name, values in arrays.items():
            file.write(name, 0, values)
        file.commit()
    finally:
        file.discard()


def read_states(path: str, place: Place) -> list[State]:
    """What `write_states` wrote.

    Raises:
        InputError: it can't be read, or holds something else.
    """
    try:
        with open_weights(path) as file:
            found = {tensor.name: file.values(tensor) for tensor in file.tensors}
    except (ConvtoolError, OSError) as error:
        raise InputError(f"--state-in {show(path)}: {error}") from error
    states: list[State] = []
    while parts := [found.pop(name) for part in _PARTS if (name := f"layers.{len(states)}.{part}") in found]:
        if not all(part.dtype.kind == "f" and part.ndim == 2 and not count_unfit(part) for part in parts):
            raise InputError(f"--state-in {show(path)}: 'layers.{len(states)}' is no state: expected finite numbers")
        states.append(tuple(place.tensor(part)[None] for part in parts))
    if found or not states:
        raise InputError(
            f"--state-in {show(path)}: it holds {', '.join(map(repr, found)) or 'nothing'}; expected what --state-out "
            "writes, 'layers.0.h' and so on"
        )
    return states
