"""What nn.LSTM and nn.GRU compute, as torch's documentation says it, step by step: slow and obviously right."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

Array = np.ndarray[Any, np.dtype[Any]]


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def recurrent(layer: nn.LSTM | nn.GRU, x: Array) -> Array:
    """All layers and directions of `layer` over `x` `(time, rows, inputs)`, from a state of zeros, in float64."""
    y = np.asarray(x, np.float64)
    for level in range(layer.num_layers):
        ways = [_direction(layer, f"_l{level}", y)]
        if layer.bidirectional:
            ways.append(_direction(layer, f"_l{level}_reverse", y[::-1])[::-1])
        y = np.concatenate(ways, axis=-1)
    return y


def _direction(layer: nn.LSTM | nn.GRU, end: str, x: Array) -> Array:
    weights = {
        name.removesuffix(end): np.asarray(value.detach().numpy(), np.float64)
        for name, value in layer.named_parameters()
        if name.endswith(end)
    }
    step = _lstm_step if isinstance(layer, nn.LSTM) else _gru_step
    h = np.zeros((x.shape[1], weights["weight_hh"].shape[1]))
    c = np.zeros((x.shape[1], layer.hidden_size))
    outputs = []
    for x_t in x:
        h, c = step(weights, x_t, h, c)
        outputs.append(h)
    return np.stack(outputs)


def _lstm_step(weights: dict[str, Array], x: Array, h: Array, c: Array) -> tuple[Array, Array]:
    gates = x @ weights["weight_ih"].T + h @ weights["weight_hh"].T
    gates = gates + weights.get("bias_ih", 0) + weights.get("bias_hh", 0)
    i, f, g, o = np.split(gates, 4, axis=-1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    h = sigmoid(o) * np.tanh(c)
    return h @ weights["weight_hr"].T if "weight_hr" in weights else h, c


def _gru_step(weights: dict[str, Array], x: Array, h: Array, c: Array) -> tuple[Array, Array]:
    of_input = np.split(x @ weights["weight_ih"].T + weights.get("bias_ih", 0), 3, axis=-1)
    of_state = np.split(h @ weights["weight_hh"].T + weights.get("bias_hh", 0), 3, axis=-1)
    r = sigmoid(of_input[0] + of_state[0])
    z = sigmoid(of_input[1] + of_state[1])
    n = np.tanh(of_input[2] + r * of_state[2])
    return (1 - z) * n + z * h, c
