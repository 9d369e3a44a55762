"""What Keras's layers compute, as its documentation says it, position by position: slow and obviously right.

Inputs are channels last, `(batch, *space, channels)` or `(batch, time, features)`. Convolutions are `valid`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def conv(x: Array, kernel: Array, bias: Array, *, groups: int = 1) -> Array:
    """Correlation with a kernel `(*kernel, in/groups, out)`."""
    size = kernel.shape[:-2]
    space = [length - taps + 1 for length, taps in zip(x.shape[1:-1], size, strict=True)]
    made = np.zeros((len(x), *space, kernel.shape[-1]))
    for inputs, outputs in zip(
        np.split(np.arange(x.shape[-1]), groups), np.split(np.arange(kernel.shape[-1]), groups), strict=True
    ):
        for place in np.ndindex(*space):
            window = tuple(slice(start, start + taps) for start, taps in zip(place, size, strict=True))
            for out in outputs:
                made[(slice(None), *place, out)] = (
                    (x[(slice(None), *window)][..., inputs] * kernel[..., out]).reshape(len(x), -1).sum(axis=1)
                )
    return made + bias


def depthwise_conv(x: Array, kernel: Array, bias: Array) -> Array:
    """Each input channel with `mult` kernels of its own, `(*kernel, in, mult)`; their outputs lie side by side."""
    channels = [
        conv(x[..., [channel]], kernel[..., [channel], :], np.zeros(kernel.shape[-1])) for channel in range(x.shape[-1])
    ]
    return np.concatenate(channels, axis=-1) + bias


def conv_transpose(x: Array, kernel: Array, bias: Array, *, stride: int) -> Array:
    """Each input adds the kernel `(*kernel, out, in)` to the output, times itself, `stride` apart."""
    size = kernel.shape[:-2]
    space = [(length - 1) * stride + taps for length, taps in zip(x.shape[1:-1], size, strict=True)]
    made = np.zeros((len(x), *space, kernel.shape[-2]))
    for place in np.ndindex(*x.shape[1:-1]):
        window = tuple(slice(start * stride, start * stride + taps) for start, taps in zip(place, size, strict=True))
        for n in range(len(x)):
            made[(n, *window)] += kernel @ x[(n, *place)]
    return made + bias


def lstm(x: Array, kernel: Array, recurrent_kernel: Array, bias: Array) -> Array:
    """`LSTM(return_sequences=True)`; gates i f c o."""
    h = c = np.zeros((len(x), len(recurrent_kernel)))
    states = []
    for t in range(x.shape[1]):
        i, f, candidate, o = np.split(x[:, t] @ kernel + h @ recurrent_kernel + bias, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(candidate)
        h = sigmoid(o) * np.tanh(c)
        states.append(h)
    return np.stack(states, axis=1)


def gru(x: Array, kernel: Array, recurrent_kernel: Array, bias: Array) -> Array:
    """`GRU(return_sequences=True)`; gates z r h; a bias `(2, 3H)` is that of `reset_after`, `(3H,)` that without."""
    units = len(recurrent_kernel)
    h = np.zeros((len(x), units))
    states = []
    for t in range(x.shape[1]):
        input_bias, recurrent_bias = bias if bias.ndim == 2 else (bias, np.zeros_like(bias))
        of_input = x[:, t] @ kernel + input_bias
        of_state = h @ recurrent_kernel + recurrent_bias
        z, r = (sigmoid(of_input[:, at] + of_state[:, at]) for at in (slice(units), slice(units, 2 * units)))
        if bias.ndim == 2:
            candidate = np.tanh(of_input[:, 2 * units :] + r * of_state[:, 2 * units :])
        else:
            candidate = np.tanh(of_input[:, 2 * units :] + (r * h) @ recurrent_kernel[:, 2 * units :])
        h = z * h + (1 - z) * candidate
        states.append(h)
    return np.stack(states, axis=1)


def simple_rnn(x: Array, kernel: Array, recurrent_kernel: Array, bias: Array) -> Array:
    """`SimpleRNN(return_sequences=True)`."""
    h = np.zeros((len(x), len(recurrent_kernel)))
    states = []
    for t in range(x.shape[1]):
        h = np.tanh(x[:, t] @ kernel + h @ recurrent_kernel + bias)
        states.append(h)
    return np.stack(states, axis=1)


def batch_normalization(
    x: Array, gamma: Array, beta: Array, moving_mean: Array, moving_variance: Array, *, epsilon: float
) -> Array:
    """At inference."""
    return gamma * (x - moving_mean) / np.sqrt(moving_variance + epsilon) + beta


def layer_normalization(x: Array, gamma: Array, beta: Array, *, epsilon: float) -> Array:
    """Over the last axis."""
    return gamma * (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + epsilon) + beta
