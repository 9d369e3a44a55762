"""Models of amplifiers as JSON: what GuitarML, RTNeural (AIDA-X) and NAM write, and bare state dicts.

The numbers are decimal text, exported from float32; they are given as the float64 next to what the file says.
"""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from convtool.arrays.description import PIECE_BYTES, TensorInfo, WeightFile, some
from convtool.arrays.nam.nets import Lstm, Stack
from convtool.arrays.nam.reading import NETS, read_net
from convtool.errors import InputError
from convtool.files.json import json_kind, json_numbers, read_json

if TYPE_CHECKING:
    from numpy.typing import NDArray

TENSORS_LIMIT = 10_000
"""Tensors that such a model may have."""

_ITEM = 8
_EXPECTED = {dict: "an object with named entries", list: "a list", str: "a name in quotes"}
_Kind = TypeVar("_Kind", dict[str, Any], list[Any], str)
_Tensor = tuple[TensorInfo, "array[float]"]

_LAYERS = {
    "dense": ("Dense", ("kernel", "bias")),
    "time-distributed-dense": ("Dense", ("kernel", "bias")),
    "conv1d": ("Conv1D", ("kernel", "bias")),
    "conv2d": ("Conv2D", ("kernel", "bias")),
    "lstm": ("LSTM", ("kernel", "recurrent_kernel", "bias")),
    "gru": ("GRU", ("kernel", "recurrent_kernel", "bias")),
    "prelu": ("PReLU", ("alpha",)),
    "batchnorm": ("BatchNormalization", ("gamma", "beta", "moving_mean", "moving_variance")),
    "batchnorm2d": ("BatchNormalization", ("gamma", "beta", "moving_mean", "moving_variance")),
}
"""RTNeural's types of layers: Keras's class, and its variables in order."""

_SETTINGS = ("groups", "dilation", "strides", "epsilon")
_TOLD = (
    *("architecture", "version", "model", "unit_type", "input_size", "hidden_size", "num_layers", "output_size"),
    *("skip", "bias_fl", "in_skip", "in_gain", "out_gain", "sample_rate", "samplerate", "name", "author", "modeled_by"),
)
"""What these files say of themselves, and a listing shows."""


class ModelJsonReader(WeightFile):
    """The weights of an amplifier's model in a JSON file.

    ==============  ===================================  ======  =====================================================
    format          told by                              layout  names
    ==============  ===================================  ======  =====================================================
    ``guitarml``    ``model_data`` and ``state_dict``    torch   as in the state dict: ``rec.weight_ih_l0``
    ``rtneural``    ``layers``, a list                   keras   ``layers.0.kernel``, ``layers.0.recurrent_kernel``...
    ``nam``         ``architecture``                     torch   LSTM: ``layers.0.weight`` [4H, I+H], input and
                                                                 recurrent weights side by side, ``layers.0.bias``
                                                                 [4H] (both biases summed), ``layers.0.h0``,
                                                                 ``layers.0.c0``, ``head.weight`` [H] and
                                                                 ``head.bias`` [1]; gates i f g o. WaveNet, ConvNet and
                                                                 Linear: see `convtool.arrays.nam.nets`, and before
                                                                 those of a container ``submodels.0.``. What is not
                                                                 known: ``weights``, as they are
    ``torch json``  tensors alone, some named a weight   torch   as in the state dict
    ==============  ===================================  ======  =====================================================

    Attributes:
        document: all that the file says.

    Raises:
        InputError: it is no JSON, none of these, or a tensor in it is damaged; the key is told.
    """

    def __init__(self, path: str) -> None:
        self.document = read_json(path)
        self.format, self.layout, read, told = _kind(self.document)
        found = list(islice(read(self.document), TENSORS_LIMIT + 1))
        if len(found) > TENSORS_LIMIT:
            raise InputError(f"there are more than {TENSORS_LIMIT} tensors in it")
        self.tensors = tuple(tensor for tensor, _ in found)
        self._numbers = {tensor.name: numbers for tensor, numbers in found}
        self.metadata = _metadata(*told)
        self.notes = [
            f"{tensor.name} is one flat list: the architecture {tensor.layer!r} is not taken apart"
            for tensor in self.tensors
            if self.format == "nam" and tensor.name.endswith("weights")
        ]

    def pieces(self, tensor: TensorInfo) -> Iterator[NDArray[Any]]:
        """The values of `tensor`, float64."""
        import numpy as np

        numbers = self._numbers[tensor.name]
        step = PIECE_BYTES // _ITEM
        for start in range(0, len(numbers), step):
            yield np.array(numbers[start : start + step])


_Read = Callable[[dict[str, Any]], Iterator[_Tensor]]


def _kind(document: dict[str, Any]) -> tuple[str, str, _Read, tuple[Any, ...]]:
    """Format, layout, what reads it, and the objects that say what it is, the last of one key winning."""
    metadata = document.get("metadata")
    if "architecture" in document:
        return "nam", "torch", _nam, (metadata, document.get("config"), document)
    if "model_data" in document:
        return "guitarml", "torch", _guitarml, (metadata, document["model_data"])
    if isinstance(document.get("layers"), list):
        return "rtneural", "keras", _rtneural, (metadata, document)
    if _is_state_dict(document.get("state_dict", document)):
        return "torch json", "torch", _state_dict, ()
    raise InputError(
        f"the JSON has the keys {some(document)}; expected a model of GuitarML ('model_data', 'state_dict'), "
        "RTNeural or AIDA-X ('layers'), NAM ('architecture', 'weights'), or a state dict ('lstm.weight_ih_l0'...)"
    )


def _is_state_dict(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and all(isinstance(item, (list, int, float)) for item in value.values())
        and any(name.rpartition(".")[2].startswith("weight") for name in value)
    )


def _guitarml(document: dict[str, Any]) -> Iterator[_Tensor]:
    model, state = (_entry(document, key, dict) for key in ("model_data", "state_dict"))
    unit = model.get("unit_type")
    classes = {"rec": unit if isinstance(unit, str) else "", "lin": "Linear"}
    for name, value in state.items():
        yield _tensor(name, *json_numbers(value, name), layer=classes.get(name.partition(".")[0], ""))


def _state_dict(document: dict[str, Any]) -> Iterator[_Tensor]:
    for name, value in document.get("state_dict", document).items():
        yield _tensor(name, *json_numbers(value, name))


def _rtneural(document: dict[str, Any]) -> Iterator[_Tensor]:
    for index, entry in enumerate(document["layers"]):
        place = f"layers.{index}"
        layer = {"weights": []} | _entry({place: entry}, place, dict)
        kind, weights = _entry(layer, "type", str, f"{place}."), _entry(layer, "weights", list, f"{place}.")
        name, variables = _LAYERS.get(kind, (kind, ()))
        if name == "BatchNormalization" and len(weights) == 2:
            variables = variables[2:]
        if len(weights) > len(variables):
            variables = tuple(f"weights.{number}" for number in range(min(len(weights), TENSORS_LIMIT + 1)))
        names = [f"{place}.{variable}" for variable in variables]
        found = {full: json_numbers(value, full) for full, value in zip(names, weights, strict=False)}  # or no bias
        config = _settings(layer, name)
        if name == "GRU" and f"{place}.bias" in found:
            config["reset_after"] = len(found[f"{place}.bias"][0]) == 2
        for full, (shape, numbers) in found.items():
            yield _tensor(full, shape, numbers, layer=name, config=config)


def _settings(layer: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What the reading of a layer's weights depends on, under Keras's names."""
    activation, shape = layer.get("activation"), layer.get("shape")
    config: dict[str, Any] = {"activation": activation} if isinstance(activation, str) else {}
    if name in ("LSTM", "GRU"):  # RTNeural runs them with these two alone, and its files leave the text empty
        config = {"activation": activation or "tanh", "recurrent_activation": "sigmoid"}
    if isinstance(shape, list) and shape and type(shape[-1]) is int:
        config["units"] = shape[-1]
    for setting in _SETTINGS:
        value = layer.get(setting)
        value = value[-1] if isinstance(value, list) and value else value
        if type(value) in (int, float):
            config[setting] = value
    return config


def _nam(document: Mapping[str, Any], prefix: str = "") -> Iterator[_Tensor]:
    config = document.get("config")
    submodels = config.get("submodels") if isinstance(config, dict) else None
    for index, submodel in enumerate(submodels if isinstance(submodels, list) else ()):
        place = f"{prefix}submodels.{index}"
        model = _entry(_entry({place: submodel}, place, dict), "model", dict, f"{place}.")
        yield from _nam(model, f"{place}.")
    if isinstance(submodels, list):
        return
    architecture = _entry(document, "architecture", str, prefix)
    shape, numbers = json_numbers(_value(document, "weights", prefix), f"{prefix}weights")
    if architecture == "LSTM":
        yield from _nam_lstm(_entry(document, "config", dict, prefix), prefix, numbers)
    elif architecture in NETS:
        yield from _nam_net(document, prefix, shape, numbers)
    else:
        yield _tensor(f"{prefix}weights", shape, numbers, layer=architecture)


def _nam_net(
    document: Mapping[str, Any], prefix: str, shape: tuple[int, ...], numbers: array[float]
) -> Iterator[_Tensor]:
    """The tensors of convolutions; the flat list of those whose config is not understood."""
    architecture = document["architecture"]
    try:
        net = read_net(architecture, document.get("config"), prefix)
    except InputError:
        yield _tensor(f"{prefix}weights", shape, numbers, layer=architecture)
        return
    needed = sum(math.prod(shape) for _, shape in net.tensors())
    if shape != (needed,):
        found = f"{len(numbers)} numbers" if len(shape) == 1 else f"numbers of the shape {shape}"
        raise InputError(f"'{prefix}weights' holds {found}; a {architecture} with this 'config' has {needed}")
    at = 0
    for name, shape in net.tensors():
        count = math.prod(shape)
        yield _tensor(name, shape, numbers[at : at + count], layer="Conv1d" if len(shape) == 3 else "")
        at += count
    if isinstance(net, Stack) and net.condition is not None:
        yield from _nam(document["config"]["condition_dsp"], f"{prefix}condition_dsp.")


def _nam_lstm(config: Mapping[str, Any], prefix: str, numbers: array[float]) -> Iterator[_Tensor]:
    inputs, hidden, layers = (
        whole_number(config, key, f"{prefix}config.", least=1) for key in ("input_size", "hidden_size", "num_layers")
    )
    outputs = whole_number(config, "out_channels", f"{prefix}config.", least=1) if "out_channels" in config else 1
    of_all_layers = 4 * hidden * (inputs + hidden) + (layers - 1) * 8 * hidden * hidden + layers * 6 * hidden
    needed = of_all_layers + outputs * (hidden + 1)
    if len(numbers) != needed:
        raise InputError(
            f"'{prefix}weights' holds {len(numbers)} numbers; an LSTM of input_size {inputs}, hidden_size {hidden} and "
            f"num_layers {layers} has {needed}{f' with {outputs} outputs' if outputs > 1 else ''}"
        )
    at = 0
    for name, shape in Lstm(prefix, inputs, hidden, layers, outputs).tensors():
        count, layer = math.prod(shape), "Linear" if name.startswith(f"{prefix}head.") else "LSTM"
        size = {"input_size": shape[-1] - hidden, "hidden_size": hidden} if len(shape) == 2 else {"hidden_size": hidden}
        yield _tensor(name, shape, numbers[at : at + count], layer=layer, config=size)
        at += count


def whole_number(document: Mapping[str, Any], key: str, prefix: str, *, least: int) -> int:
    """The whole number that `document`, whose place in the file is `prefix`, has under `key`.

    Raises:
        InputError: it is missing, smaller than `least`, or something else.
    """
    value = _value(document, key, prefix)
    if type(value) is not int or value < least:
        raise InputError(f"'{prefix}{key}' is {json_kind(value)}; expected a whole number from {least} on")
    return value


def _value(document: Mapping[str, Any], key: str, prefix: str) -> Any:
    if key not in document:
        raise InputError(f"'{prefix}{key}' is missing")
    return document[key]


def _entry(document: Mapping[str, Any], key: str, kind: type[_Kind], prefix: str = "") -> _Kind:
    value = _value(document, key, prefix)
    if not isinstance(value, kind):
        raise InputError(f"'{prefix}{key}' is {json_kind(value)}; expected {_EXPECTED[kind]}")
    return value


def _tensor(
    name: str,
    shape: tuple[int, ...],
    numbers: array[float],
    *,
    layer: str = "",
    config: Mapping[str, Any] | None = None,
) -> _Tensor:
    return TensorInfo(name, shape, "float64", _ITEM * len(numbers), layer=layer, config=config or {}), numbers


def _metadata(*told: Any) -> dict[str, str]:
    """What the objects say under the known names, in a line each."""
    said = {key: value for each in told if isinstance(each, dict) for key, value in each.items() if key in _TOLD}
    return {
        key: value[:200] if isinstance(value, str) else json.dumps(value)
        for key, value in said.items()
        if isinstance(value, (str, int, float))
    }
