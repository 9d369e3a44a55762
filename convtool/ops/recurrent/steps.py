"""Two ways through a recurrent layer, with the same arithmetic: all time steps in one call, or one by one."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

State = tuple[Tensor, ...]
"""Of an LSTM h ``(layers * directions, rows, outputs)`` and c ``(layers * directions, rows, hidden)``; of a GRU h."""

Rnn = nn.LSTM | nn.GRU
Run = Callable[[Tensor, State], tuple[Tensor, State]]
"""From ``(time, rows, inputs)`` and a state to ``(time, rows, outputs)`` and the next state."""


def zero_state(layer: Rnn, like: Tensor) -> State:
    """The state of `layer` before its first step, for the rows of `like` ``(time, rows, inputs)``."""
    sizes = [layer.proj_size or layer.hidden_size, layer.hidden_size][: 2 if isinstance(layer, nn.LSTM) else 1]
    depth = layer.num_layers * (2 if layer.bidirectional else 1)
    return tuple(like.new_zeros(depth, like.shape[1], size) for size in sizes)


def by_sequence(layer: Rnn) -> Run:
    """The layer's own `forward`."""
    if layer.proj_size:
        _remark_on_projections(layer)

    def run(x: Tensor, state: State) -> tuple[Tensor, State]:
        if isinstance(layer, nn.LSTM):
            y, last = layer(x, (state[0], state[1]))
            return y, (last[0], last[1])
        y, h = layer(x, state[0])
        return y, (h,)

    return run


def _remark_on_projections(layer: Rnn) -> None:
    """Torch warns once a process that oneDNN has no projections; the results are right without it."""
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        layer(layer.all_weights[0][0].new_zeros(1, 1, layer.input_size))


def by_cell(layer: Rnn) -> Run:
    """Step by step through `nn.LSTMCell` or `nn.GRUCell`, a cell for each layer and direction.

    Raises:
        ValueError: the layer has projections, which the cells have not.
    """
    if layer.proj_size:
        raise ValueError(
            f"the LSTM has projections to {layer.proj_size} of {layer.hidden_size} units, which nn.LSTMCell does not "
            "have; use the sequence engine"
        )
    cells = list(_cells(layer))
    ways = 2 if layer.bidirectional else 1

    def run(x: Tensor, state: State) -> tuple[Tensor, State]:
        lasts = []
        for first in range(0, len(cells), ways):
            outputs = []
            for way in range(ways):
                index = first + way
                y, last = _steps(cells[index], x, tuple(part[index] for part in state), backwards=way == 1)
                outputs.append(y)
                lasts.append(last)
            x = torch.cat(outputs, -1)
        return x, tuple(torch.stack(parts) for parts in zip(*lasts, strict=True))

    return run


def _cells(layer: Rnn) -> Iterator[nn.LSTMCell | nn.GRUCell]:
    """The cells of `layer`, in the order of its state; they share its weights."""
    make = nn.LSTMCell if isinstance(layer, nn.LSTM) else nn.GRUCell
    for weights in layer.all_weights:
        cell = make(weights[0].shape[1], layer.hidden_size, bias=layer.bias, device="meta")
        for name, weight in zip(("weight_ih", "weight_hh", "bias_ih", "bias_hh"), weights, strict=False):
            setattr(cell, name, weight)
        yield cell


def _steps(cell: nn.LSTMCell | nn.GRUCell, x: Tensor, state: State, *, backwards: bool) -> tuple[Tensor, State]:
    outputs = []
    for step in x.flip(0) if backwards else x:
        state = cell(step, (state[0], state[1])) if isinstance(cell, nn.LSTMCell) else (cell(step, state[0]),)
        outputs.append(state[0])
    joined = torch.stack(outputs)
    return joined.flip(0) if backwards else joined, state
