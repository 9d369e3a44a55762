"""Small models of dilated convolutions as `.nam` documents, and what each must make of a signal, sample by sample."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

FILMS = (
    *("conv_pre_film", "conv_post_film", "input_mixin_pre_film", "input_mixin_post_film"),
    *("activation_pre_film", "activation_post_film", "layer1x1_post_film", "head1x1_post_film"),
)


def old_array(**changes: Any) -> dict[str, Any]:
    """An array of layers as version 0.5.0 has it."""
    return {
        "input_size": 1,
        "condition_size": 1,
        "channels": 3,
        "head_size": 2,
        "head_bias": False,
        "kernel_size": 3,
        "dilations": [1, 4],
        "activation": "Tanh",
        "gated": False,
    } | changes


def new_array(**changes: Any) -> dict[str, Any]:
    """An array of layers as version 0.7.0 has it, with a gate and a modulation wherever there may be one."""
    array = {
        "input_size": 1,
        "condition_size": 1,
        "channels": 4,
        "bottleneck": 2,
        "head": {"out_channels": 1, "kernel_size": 3, "bias": True},
        "kernel_sizes": [2, 1, 3],
        "dilations": [3, 1, 9],
        "activation": [{"type": "Tanh"}, "Softsign", {"type": "PReLU", "negative_slopes": [0.1, 0.3]}],
        "gating_mode": ["gated", "none", "blended"],
        "secondary_activation": ["Sigmoid", None, {"type": "Hardtanh", "min_val": 0.1, "max_val": 0.9}],
        "groups_input": 2,
        "groups_input_mixin": 1,
        "layer1x1": {"active": True, "groups": 2},
        "head1x1": {"active": True, "out_channels": 3, "groups": 1},
        "slimmable": None,
    }
    array |= {name: {"active": True, "shift": at % 2 == 0, "groups": 1} for at, name in enumerate(FILMS)}
    return array | changes


def document(config: dict[str, Any], *, architecture: str = "WaveNet", version: str = "0.5.0", **more: Any) -> Any:
    """A model of this config with weights that are large enough to matter, always the same."""
    model: dict[str, Any] = {"version": version, "architecture": architecture, "config": config, "weights": []}
    reader = _Weights(model, np.random.default_rng(7), least=0.1 if architecture == "ConvNet" else -0.8)
    _plays(model, np.zeros((_inputs(model), 1)), reader)
    return model | more


def wavenet(*arrays: dict[str, Any], **more: Any) -> Any:
    """The config of a WaveNet."""
    return {"layers": list(arrays), "head": None, "head_scale": 0.5} | more


def simple(**more: Any) -> Any:
    """A small WaveNet of version 0.5.0 with two arrays."""
    last = old_array(input_size=3, channels=2, head_size=1, head_bias=True, dilations=[2])
    return document(wavenet(old_array(), last), **more)


def plays(model: dict[str, Any], x: Array, silence: int = 200) -> Array:
    """What `model` makes of x ``(inputs, samples)`` after silence; more of it than the default changes nothing."""
    padded = np.concatenate([np.zeros((len(x), silence)), x], 1)
    return _plays(model, padded, _Weights(model))[:, silence:]


class _Weights:
    """Hands out the numbers of a model in order, or makes them up on the way."""

    def __init__(self, model: dict[str, Any], random: np.random.Generator | None = None, *, least: float = 0.0) -> None:
        self._numbers, self._random, self._least, self._at = model["weights"], random, least, 0

    def take(self, *shape: int) -> Array:
        count = int(np.prod(shape))
        if self._random is not None:
            self._numbers += [round(float(each), 4) for each in self._random.uniform(self._least, 0.8, count)]
        self._at += count
        return np.array(self._numbers[self._at - count : self._at], float).reshape(shape)

    def again(self) -> _Weights:
        self._at = 0
        return self

    def scale(self, value: float) -> None:
        """The last number, which says once more what the config does."""
        if self._random is not None:
            self._numbers.append(value)

    def conv(
        self, x: Array, out: int, taps: int = 1, dilation: int = 1, *, groups: int = 1, bias: bool = True
    ) -> Array:
        """A causal convolution of x ``(in, samples)``."""
        width = len(x) // groups
        weight = self.take(out, width, taps)
        y = np.zeros((out, x.shape[1]))
        for o in range(out):
            group = o // (out // groups)
            for i in range(width):
                for k in range(taps):
                    back = (taps - 1 - k) * dilation
                    y[o, back:] += weight[o, i, k] * x[group * width + i, : x.shape[1] - back]
        return y + self.take(out)[:, None] if bias else y


def _inputs(model: dict[str, Any]) -> int:
    config = model["config"]
    return int(config["layers"][0]["input_size"] if "layers" in config else config.get("in_channels", 1))


def _plays(model: dict[str, Any], x: Array, weights: _Weights) -> Array:
    if model["architecture"] == "SlimmableContainer":
        model = model["config"]["submodels"][-1]["model"]
        return _plays(model, x, _Weights(model))
    play = {"WaveNet": _wavenet, "ConvNet": _convnet, "Linear": _linear, "LSTM": _lstm}[model["architecture"]]
    return play(model["config"], x, weights)


def _linear(config: dict[str, Any], x: Array, weights: _Weights) -> Array:
    taps = weights.take(config["receptive_field"])
    bias = weights.take(1) if config["bias"] else 0.0
    return np.convolve(x[0], taps)[None, : x.shape[1]] + bias


def _lstm(config: dict[str, Any], x: Array, weights: _Weights) -> Array:
    units, samples = config["hidden_size"], x.shape[1]
    for _ in range(config["num_layers"]):
        matrix, bias = weights.take(4 * units, len(x) + units), weights.take(4 * units)
        h, c = weights.take(units), weights.take(units)
        outputs = np.zeros((units, samples))
        for n in range(samples):
            i, f, g, o = np.split(matrix @ np.concatenate([x[:, n], h]) + bias, 4)
            i, f, o = (1 / (1 + np.exp(-gate)) for gate in (i, f, o))
            c = f * c + i * np.tanh(g)
            h = outputs[:, n] = o * np.tanh(c)
        x = outputs
    return weights.conv(x, config.get("out_channels", 1))


def _convnet(config: dict[str, Any], x: Array, weights: _Weights) -> Array:
    for dilation in config["dilations"]:
        x = weights.conv(x, config["channels"], 2, dilation, bias=not config["batchnorm"])
        if config["batchnorm"]:
            mean, variance, scale, shift = (weights.take(config["channels"])[:, None] for _ in range(4))
            x = (x - mean) / np.sqrt(variance + weights.take(1)) * scale + shift
        x = _activated(config["activation"], x)
    return weights.conv(x, config.get("out_channels", 1))


def _wavenet(config: dict[str, Any], x: Array, weights: _Weights) -> Array:
    condition = x
    if (inner := config.get("condition_dsp")) is not None:
        if not inner["weights"] and inner["architecture"] != "SlimmableContainer":
            inner["weights"] = document(inner["config"], architecture=inner["architecture"])["weights"]
        condition = _plays(inner, x, _Weights(inner))
    head: Any = 0.0
    for array in config["layers"]:
        x, head = _array(array, x, condition, head, weights)
    head = config["head_scale"] * head
    for at, taps in enumerate((config.get("head") or {"kernel_sizes": []})["kernel_sizes"]):
        end = config["head"]
        last = at == len(end["kernel_sizes"]) - 1
        head = weights.conv(_activated(end["activation"], head), end["out_channels" if last else "channels"], taps)
    weights.scale(config["head_scale"])
    return np.asarray(head)


def _array(array: dict[str, Any], x: Array, c: Array, head: Any, weights: _Weights) -> tuple[Array, Array]:
    channels, count = array["channels"], len(array["dilations"])
    inner = array.get("bottleneck", channels)
    taps = array.get("kernel_sizes") or [array["kernel_size"]] * count
    modes = _each(array.get("gating_mode") or ("gated" if array.get("gated") else "none"), count)
    gates = _each(array.get("secondary_activation") or "Sigmoid", count)
    activations = _each(array["activation"], count)
    x = weights.conv(x, channels, bias=False)
    for at, dilation in enumerate(array["dilations"]):
        full = inner if modes[at] == "none" else 2 * inner
        films = _Films(array, c)
        layer = {
            "conv": _later(weights, channels, full, taps[at], dilation, array.get("groups_input", 1)),
            "mixin": _later(weights, len(c), full, groups=array.get("groups_input_mixin", 1), bias=False),
        }
        onwards, aside = array.get("layer1x1", {"active": True}), array.get("head1x1", {"active": False})
        if onwards["active"]:
            layer["next"] = _later(weights, inner, channels, groups=onwards.get("groups", 1))
        if aside["active"]:
            layer["head"] = _later(weights, inner, aside["out_channels"], groups=aside["groups"])
        widths = [channels, full, len(c), full, full, inner, channels, aside.get("out_channels", 0)]
        films.take(weights, widths)
        z = films(1, layer["conv"](films(0, x))) + films(3, layer["mixin"](films(2, c)))
        z = films(4, z)
        a = _activated(activations[at], z[:inner])
        if modes[at] == "gated":
            a = a * _activated(gates[at], z[inner:])
        elif modes[at] == "blended":
            share = _activated(gates[at], z[inner:])
            a = share * a + (1 - share) * z[:inner]
        a = films(5, a)
        head = head + (films(7, layer["head"](a)) if aside["active"] else a)
        x = x + (films(6, layer["next"](a)) if onwards["active"] else a)
    end = array.get("head") or {"out_channels": array["head_size"], "kernel_size": 1, "bias": array["head_bias"]}
    left = weights.conv(head, end["out_channels"], end["kernel_size"], end.get("head_dilation", 1), bias=end["bias"])
    return x, left


def _each(value: Any, count: int) -> list[Any]:
    return value if isinstance(value, list) else [value] * count


def _later(
    weights: _Weights, inputs: int, out: int, taps: int = 1, dilation: int = 1, groups: int = 1, *, bias: bool = True
) -> Callable[[Array], Array]:
    """A convolution whose numbers are taken now, and which is worked later."""
    numbers = _Weights({"weights": list(weights.take(out * inputs // groups * taps + out * bias))})
    return lambda x: numbers.again().conv(x, out, taps, dilation, groups=groups, bias=bias)


class _Films:
    """The modulations of a layer."""

    def __init__(self, array: dict[str, Any], c: Array) -> None:
        self._settings = [array.get(name) or {"active": False} for name in FILMS]
        self._c = c
        self._found: dict[int, Array] = {}

    def take(self, weights: _Weights, widths: list[int]) -> None:
        for at, (settings, width) in enumerate(zip(self._settings, widths, strict=True)):
            if settings.get("active", True):
                channels = width * (1 + settings.get("shift", True))
                self._found[at] = weights.conv(self._c, channels, groups=settings.get("groups", 1))

    def __call__(self, at: int, x: Array) -> Array:
        if at not in self._found:
            return x
        scale, shift = self._found[at][: len(x)], self._found[at][len(x) :]
        return x * scale + (shift if len(shift) else 0)


def _activated(described: Any, x: Array) -> Array:
    settings = {"type": described} if isinstance(described, str) else described
    low, high = settings.get("min_val", -1.0), settings.get("max_val", 1.0)
    slopes = np.array(settings.get("negative_slopes", [settings.get("negative_slope", 0.01)]))[:, None]
    inside = x.clip(low, high)
    beyond = np.where(x < low, settings.get("min_slope", 0.01), settings.get("max_slope", 0.01))
    sigmoid = 1 / (1 + np.exp(-x))
    return {
        "Tanh": np.tanh(x),
        "Sigmoid": sigmoid,
        "ReLU": x.clip(0, None),
        "LeakyReLU": np.where(x > 0, x, slopes * x),
        "PReLU": np.where(x > 0, x, slopes * x),
        "Hardtanh": inside,
        "LeakyHardtanh": inside + beyond * (x - inside),
        "SiLU": x * sigmoid,
        "Softsign": x / (1 + abs(x)),
        "Hardswish": x * (x + 3).clip(0, 6) / 6,
    }[settings["type"]]
