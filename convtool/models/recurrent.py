"""Recurrent models that can be run: what GuitarML, RTNeural (AIDA-X) and NAM write, and the layers of torch and Keras.

All compute, of a signal x and with the rest of the inputs constant ::

    u = input_gain x        y = output_gain (layers(u) + u[:skip])

==========  ====================================================================================  ===================
format      what stands around the layers                                                         sample rate
==========  ====================================================================================  ===================
guitarml    `skip`, the number of inputs that are added                                           none; 44100 is usual
rtneural    `in_skip`, 1 where the input is added; `in_gain` and `out_gain` in dB; test vectors   `samplerate`, or none
nam         a state to begin from                                                                 `sample_rate`, 48000
others      nothing                                                                               none
==========  ====================================================================================  ===================

RTNeural's files have their layers in order. Of the others, the recurrent layers are run in the file's order, then the
dense ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from convtool.arrays import open_weights
from convtool.arrays.description import TensorInfo, WeightFile
from convtool.arrays.model_json import ModelJsonReader, whole_number
from convtool.arrays.nam.reading import read_net
from convtool.errors import InputError
from convtool.files.json import json_kind, json_numbers
from convtool.models.keras_chain import check_chain_of_keras
from convtool.models.layers import (
    Dense,
    ModelLayer,
    RecurrentLayer,
    chained,
    count_unfit,
    finite_values,
    read_layers,
)
from convtool.models.told import NAM_NETS, nam_rate, told_number, told_rate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convtool.arrays.keras.hdf5_file import Hdf5Weights

_GUITARML_RATE = 44100
_MOST_DECIBELS = 300
_RTNEURAL_TYPES = ("lstm", "gru", "dense", "time-distributed-dense")


@dataclass(frozen=True)
class RecurrentModel:
    """A model as its file describes it, in torch's layout."""

    format: str
    """`guitarml`, `rtneural`, `nam`, or what the file of its tensors is: `torch`, `safetensors`, `keras`..."""
    layers: tuple[ModelLayer, ...]
    skip: int = 0
    """How many inputs are added to the outputs: 0, 1 to all of them, or as many as there are outputs."""
    input_gain: float = 1.0
    output_gain: float = 1.0
    sample_rate: int | None = None
    """In Hz; nothing where the file does not tell."""
    usual_rate: int | None = None
    """In Hz, that of the players of a format whose files do not tell one."""
    vectors: tuple[NDArray[Any], NDArray[Any]] | None = None
    """An input `(T, inputs)` and what the model gives for it from a state of zeros, `(T, outputs)`."""
    assumed: str = ""
    """What the file does not tell of its layers, and is taken to be the default."""
    notes: tuple[str, ...] = ()
    """What the model does otherwise where it comes from."""

    @property
    def inputs(self) -> int:
        """Numbers that it takes in a sample, the signal's and the condition's."""
        return self.layers[0].inputs

    @property
    def bidirectional(self) -> bool:
        """Whether it must have a signal as a whole."""
        return any(layer.bidirectional for layer in self.layers if isinstance(layer, RecurrentLayer))

    @property
    def outputs(self) -> int:
        """Numbers that it gives in a sample."""
        return self.layers[-1].outputs


def read_model(path: str) -> RecurrentModel:
    """The recurrent model in the file at `path`.

    Raises:
        InputError: the file can't be read or is damaged; it is of another architecture or has a layer or an activation
            that can't be run; a tensor is missing, left over, not finite, or of a shape that does not fit.
    """
    with open_weights(path) as file:
        if file.format == "onnx":
            raise InputError("it is an ONNX graph; expected a model of GuitarML, AIDA-X, NAM, torch or Keras")
        model = _READERS[file.format](file) if file.format in _READERS else _of_tensors(file)
    if model.skip not in (0, 1, model.outputs) or model.skip > model.inputs:
        raise InputError(f"skip is {model.skip}, which does not fit {model.inputs} inputs and {model.outputs} outputs")
    return model


def _of_tensors(file: WeightFile) -> RecurrentModel:
    layers = read_layers(file)
    return RecurrentModel(file.format, chained(sorted(layers, key=lambda layer: isinstance(layer, Dense))))


def _keras(file: Hdf5Weights) -> RecurrentModel:
    check_chain_of_keras(file.model)
    told = bool(file.model.items("layers"))
    # Without the model they are in the order of their names.
    model = RecurrentModel(file.format, chained(read_layers(file))) if told else _of_tensors(file)
    last = sorted({tensor.name.rpartition("/")[0] for tensor in file.tensors if _gives_last_step(tensor)})
    steps = [f"Keras gives the last step alone of {', '.join(map(repr, last))} (return_sequences); here is every step"]
    return replace(model, assumed="" if told else _defaults(model.layers), notes=tuple(steps * bool(last)))


def _gives_last_step(tensor: TensorInfo) -> bool:
    return tensor.layer in ("LSTM", "GRU") and tensor.config.get("return_sequences") is False


def _defaults(layers: Sequence[ModelLayer]) -> str:
    """What Keras does where nothing else is asked for."""
    named = [(repr(layer.name), isinstance(layer, Dense)) for layer in layers]
    recurrent = ", ".join(name for name, dense in named if not dense)
    linear = ", ".join(name for name, dense in named if dense)
    return f"tanh and sigmoid, forwards in time, in {recurrent}" + f"; no activation in {linear}" * bool(linear)


# GuitarML


def _guitarml(file: ModelJsonReader) -> RecurrentModel:
    place, told = "model_data.", {"skip": 0} | file.document["model_data"]
    for key, known in (("model", ("SimpleRNN",)), ("unit_type", ("LSTM", "GRU"))):
        if told.get(key, known[0]) not in known:
            raise InputError(
                f"'model_data.{key}' is {json_kind(told[key])}; convtool runs {' and '.join(map(repr, known))}"
            )
    model = replace(_of_tensors(file), skip=whole_number(told, "skip", place, least=0), usual_rate=_GUITARML_RATE)
    first, last = model.layers[0], model.layers[-1]
    if not isinstance(last, Dense):
        raise InputError("tensor 'lin.weight' is missing")
    if told.get("bias_fl") is True and "bias" not in last.weights:
        raise InputError("tensor 'lin.bias' is missing, and 'model_data.bias_fl' is true")
    levels = sum(isinstance(layer, RecurrentLayer) for layer in model.layers)
    sizes = (model.inputs, first.outputs, levels, model.outputs)
    for key, size in zip(("input_size", "hidden_size", "num_layers", "output_size"), sizes, strict=True):
        if key in told and whole_number(told, key, place, least=0) != size:
            raise InputError(f"'model_data.{key}' is {told[key]}, but the tensors have {size}")
    return model


# RTNeural


def _rtneural(file: ModelJsonReader) -> RecurrentModel:
    document, names = file.document, {tensor.name for tensor in file.tensors}
    for index, entry in enumerate(document["layers"]):
        if entry["type"] not in _RTNEURAL_TYPES:
            raise InputError(
                f"'layers.{index}' is of the type {entry['type']!r}; convtool runs {', '.join(_RTNEURAL_TYPES)}"
            )
        if (bias := f"layers.{index}.bias") not in names:
            raise InputError(f"tensor {bias!r} is missing")
    model = RecurrentModel(
        file.format,
        chained(read_layers(file)),
        skip=int(told_number(document, "in_skip") != 0),
        input_gain=_gain(document, "in_gain"),
        output_gain=_gain(document, "out_gain"),
        sample_rate=_rtneural_rate(document),
    )
    declared = document.get("in_shape")
    if isinstance(declared, list) and declared[-1:] not in ([], [None], [model.inputs]):
        raise InputError(f"'in_shape' ends in {json_kind(declared[-1])}, but layer 0 takes {model.inputs} numbers")
    return replace(model, vectors=_vectors(document, model))


def _gain(document: Mapping[str, Any], key: str) -> float:
    decibels = told_number(document, key)
    if abs(decibels) > _MOST_DECIBELS:
        raise InputError(f"{key!r} is {decibels:g} dB; expected at most {_MOST_DECIBELS}")
    return float(10 ** (decibels / 20))


def _rtneural_rate(document: Mapping[str, Any]) -> int | None:
    metadata = document.get("metadata")
    for told in (metadata if isinstance(metadata, dict) else {}, document):
        for key in ("samplerate", "sample_rate"):
            if told.get(key) is not None:
                return told_rate(told, key)
    return None


def _vectors(document: Mapping[str, Any], model: RecurrentModel) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """The test vectors; they are flat, or lists of the numbers of a sample, within a list of one or not."""
    import numpy as np

    if not {"input_batch", "output_batch"} & document.keys():
        return None
    found = []
    for key, width in (("input_batch", model.inputs), ("output_batch", model.outputs)):
        if key not in document:
            raise InputError(f"{key!r} is missing, the other half of the test vectors")
        shape, numbers = json_numbers(document[key], key)
        if not numbers or len(numbers) % width:
            raise InputError(f"{key!r} has the shape {shape}; expected {width} numbers for each sample")
        found.append(np.array(numbers).reshape(-1, width))
        if count_unfit(found[-1]):
            raise InputError(f"{key!r} has values that are NaN, infinite, or too large for float32")
    if len(found[0]) != len(found[1]):
        raise InputError(f"'input_batch' has {len(found[0])} samples, and 'output_batch' {len(found[1])}")
    return found[0], found[1]


# NAM


def _nam(file: ModelJsonReader) -> RecurrentModel:
    document = file.document
    if document["architecture"] != "LSTM":
        others = "convtool wavenet runs it" if document["architecture"] in NAM_NETS else "convtool lstm runs 'LSTM'"
        raise InputError(f"its architecture is {document['architecture']!r}; {others}")
    read_net("LSTM", document["config"], "")  # which refuses keys that may change the sound
    weights = {tensor.name: finite_values(file, tensor) for tensor in file.tensors}
    return RecurrentModel(file.format, chained(nam_lstm_layers(weights)), sample_rate=nam_rate(document))


def nam_lstm_layers(weights: Mapping[str, NDArray[Any]], prefix: str = "") -> list[ModelLayer]:
    """The layers of NAM's LSTM, whose tensors have names that begin with `prefix`.

    A layer has one bias: that of the input and that of the state added.
    """
    import numpy as np

    layers: list[ModelLayer] = []
    while (joined := weights.get(f"{(place := f'{prefix}layers.{len(layers)}')}.weight")) is not None:
        bias, h0, c0 = (weights[f"{place}.{part}"] for part in ("bias", "h0", "c0"))
        weight_ih, weight_hh = np.split(joined, [-len(h0)], axis=1)
        torchs = {"weight_ih_l0": weight_ih, "weight_hh_l0": weight_hh, "bias_ih_l0": bias, "bias_hh_l0": 0 * bias}
        layers.append(RecurrentLayer(place, "lstm", torchs, (h0, c0)))
    weight, bias = (weights[f"{prefix}head.{part}"] for part in ("weight", "bias"))
    return [*layers, Dense(f"{prefix}head", {"weight": weight.reshape(len(bias), -1), "bias": bias})]


_READERS: Mapping[str, Callable[[Any], RecurrentModel]] = {
    "guitarml": _guitarml,
    "rtneural": _rtneural,
    "nam": _nam,
    "keras": _keras,
}
"""The formats that tell more of a model than its tensors."""
