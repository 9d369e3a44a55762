"""The models of NAM's files that can be run: WaveNets, ConvNets, impulse responses, and LSTMs within another model.

A container holds several models for processors of different speed, and a slimmable WaveNet plays with the first of its
channels alone: a size from 0 to 1 chooses, as in NAM's own player. Of a container's models it takes the first whose
`max_value` lies above the size, of N allowed numbers of channels the one at floor(size N), and the last for 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from math import floor, isclose
from typing import TYPE_CHECKING, Any

from convtool.arrays import open_weights
from convtool.arrays.description import WeightFile
from convtool.arrays.model_json import ModelJsonReader
from convtool.arrays.nam.nets import NORM, Chain, Conv, Fir, Lstm, Net, Stack
from convtool.arrays.nam.reading import CONTAINER, check_architecture, check_version, largest, nam_submodels, read_net
from convtool.errors import InputError, UsageError
from convtool.files.json import json_kind
from convtool.models.layers import finite_values
from convtool.models.told import nam_rate

if TYPE_CHECKING:
    from numpy.typing import NDArray

REACH_LIMIT = 1 << 22
"""Samples that a model may look back: 87 seconds at 48 kHz."""

HISTORY_LIMIT = 1 << 25
"""Numbers of its layers' past that a model may keep."""

ROWS_LIMIT = 1 << 13
"""Channels, and channels times taps, that a convolution may have."""

PRODUCTS_LIMIT = 1 << 25
"""Products that a model may compute for one sample."""

_MOST_DECIBELS = 300
_ROUNDING = 1e-6
_METHOD = "slice_channels_uniform"
_SLIMMABLE_KEYS = ("allowed_channels", "boosting", "init_strategy")


@dataclass(frozen=True)
class DilatedModel:
    """A model as its file describes it."""

    architecture: str
    net: Net
    weights: Mapping[str, NDArray[Any]]
    """By the names that `net` gives, float64; a batch normalisation is part of the convolution before it."""
    sample_rate: int
    """In Hz."""
    metadata: Mapping[str, Any]
    """What the file says of loudness and levels."""
    sizes: int = 1
    """How many there are to choose from."""
    notes: tuple[str, ...] = ()
    """What the model does otherwise elsewhere."""

    @property
    def inputs(self) -> int:
        """Numbers that it takes in a sample, the signal's and the condition's."""
        return self.net.inputs

    @property
    def parameters(self) -> int:
        """How many weights it is played with."""
        return sum(values.size for values in self.weights.values())

    @property
    def receptive_field(self) -> int:
        """Samples of the input that count for one output."""
        return self.net.reach + 1

    @property
    def silence(self) -> int:
        """Samples of silence that the player lets it hear first: half a second more where it remembers all it heard."""
        return self.net.reach + self.sample_rate // 2 if self.net.endless else self.receptive_field

    def told(self, key: str) -> float:
        """The number that the metadata have under `key`.

        Raises:
            InputError: there is none.
        """
        value: Any = self.metadata.get(key)
        if type(value) not in (int, float) or not abs(value) <= _MOST_DECIBELS:
            found = "missing" if value is None else json_kind(value)
            raise InputError(f"'metadata.{key}' is {found}; expected a number of decibels")
        return float(value)


def read_dilated_model(path: str, size: float | None = None) -> DilatedModel:
    """The model in the `.nam` file at `path`, of its sizes the one that is asked for, or the largest.

    Raises:
        InputError: the file can't be read or is damaged; it is of another architecture or version, or has a key that
            is not known; it would take too long or too much memory.
        UsageError: a size is asked for where there is one only.
    """
    with open_weights(path) as file:
        if not isinstance(file, ModelJsonReader) or file.format != "nam":
            raise InputError(f"it is no .nam file but of the format {file.format}; convtool lstm runs such models")
        document, prefix, sizes = file.document, "", 1
        metadata, rate = document.get("metadata"), _rate(document, prefix)
        asked = size
        while document["architecture"] == CONTAINER:
            check_version(document, prefix)
            submodels = nam_submodels(document, prefix)
            number = len(submodels) - 1
            if asked is not None:
                number = next((at for at, each in enumerate(submodels) if asked < each.below), number)
            document, prefix = submodels[number].model, f"{prefix}submodels.{number}."
            sizes, asked = sizes * len(submodels), None  # what is within a model stays as large as it is
            rate = _rate(document, prefix, rate)
        model = _read(file, document, prefix, asked, sizes, rate or nam_rate({}))
    if size is not None and model.sizes == 1:
        raise UsageError("--size is for containers and slimmable models; this one has one size")
    return replace(model, metadata=metadata if isinstance(metadata, dict) else {})


def _rate(document: Mapping[str, Any], prefix: str, whole: int | None = None) -> int | None:
    """The sample rate of a part: that of the `whole` where it has none; refused where it is another."""
    if document.get("sample_rate") is None:
        return whole
    rate = nam_rate(document)
    if whole not in (None, rate):
        raise InputError(f"'{prefix}sample_rate' is {rate}, but that of the whole {whole}")
    return rate


def _read(
    file: WeightFile, document: Mapping[str, Any], prefix: str, size: float | None, sizes: int, rate: int
) -> DilatedModel:
    architecture = check_architecture(document, prefix)
    config: Any = document.get("config")
    if architecture == "LSTM" and not prefix:
        raise InputError("'architecture' is 'LSTM'; convtool lstm runs it")
    check_version(document, prefix)
    net = read_net(architecture, config, prefix)
    allowed = _allowed_channels(config, f"{prefix}config") if isinstance(net, Stack) else []
    if size is not None and any(allowed):
        net = read_net(architecture, _slim(config, allowed, size), prefix)
    _check_size(net, prefix)
    _check_condition(document, prefix, rate)
    sizes *= max([1, *(len(numbers) for numbers in allowed)])
    return DilatedModel(architecture, net, _weights(file, net), rate, {}, sizes, tuple(_notes(net)))


def _check_condition(document: Mapping[str, Any], prefix: str, rate: int) -> None:
    """Refuse a condition model, and one within it, of an unknown version or for another sample rate."""
    while (condition := document["config"].get("condition_dsp")) is not None:
        document, prefix = largest(condition, f"{prefix}condition_dsp.")
        check_version(document, prefix)
        _rate(document, prefix, rate)


def _check_size(net: Net, prefix: str) -> None:
    """Refuse what would take all memory, or years."""
    place = f"{prefix}config"
    if net.reach >= REACH_LIMIT:
        raise InputError(f"'{place}' looks back over {net.reach} samples; convtool runs models of up to {REACH_LIMIT}")
    convs = [] if isinstance(net, Fir) else list(_all_convs(net))
    for conv in convs:
        rows = max(conv.taps * conv.inputs, conv.outputs)
        if rows > ROWS_LIMIT:
            raise InputError(
                f"'{conv.name}' has {conv.inputs} inputs, {conv.taps} taps and {conv.outputs} outputs; convtool runs "
                f"models of up to {ROWS_LIMIT} channels times taps"
            )
    for what, limit, found in (
        ("keeps {} numbers", HISTORY_LIMIT, sum(conv.inputs * conv.reach for conv in convs)),
        ("takes {} products", PRODUCTS_LIMIT, sum(conv.inputs * conv.taps * conv.outputs for conv in convs)),
    ):
        if found > limit:
            raise InputError(f"the model of '{place}' {what.format(found)} a sample; the limit is {limit}")


def _all_convs(net: Net) -> Iterator[Conv]:
    """Those of the condition too, an impulse response among them."""
    if isinstance(net, Fir):
        yield Conv(f"{net.name}impulse_response", 1, 1, net.taps)
    elif not isinstance(net, Lstm):
        yield from net.convs()
    if isinstance(net, Stack) and net.condition is not None:
        yield from _all_convs(net.condition)


def _weights(file: WeightFile, net: Net) -> dict[str, NDArray[Any]]:
    """The tensors of `net` and its condition: where it has fewer channels than the file, the first of each."""
    found = {
        name: finite_values(file, file.find(name))[tuple(slice(length) for length in shape)]
        for name, shape in net.tensors()
    }
    if isinstance(net, Stack) and isclose(found[net.scale][0], net.config_scale, rel_tol=_ROUNDING):
        found[net.scale] = found[net.scale] * 0 + net.config_scale
    for conv in net.convs() if isinstance(net, Chain) else ():
        if conv.norm:
            mean, variance, weight, bias, rounded = (found.pop(f"{conv.name}.norm.{part}") for part in NORM)
            epsilon = _unrounded(rounded[0])
            if not (variance + epsilon > 0).all():
                raise InputError(f"tensor '{conv.name}.norm.running_var' has values that are no variances")
            scale = weight / (variance + epsilon) ** 0.5
            found[f"{conv.name}.weight"] = found[f"{conv.name}.weight"] * scale[:, None, None]
            found[f"{conv.name}.bias"] = bias - mean * scale
    if isinstance(net, Stack) and net.condition is not None:
        found |= _weights(file, net.condition)
    return found


def _unrounded(value: float) -> float:
    """The decimal that `value` was before it was rounded to float32, where it was."""
    import numpy as np

    single = np.float32(value)
    return float(str(single)) if single == value else value


def _notes(net: Net) -> list[str]:
    """Where the programs that train and play such models differ."""
    layers = [layer for array in net.arrays for layer in array.layers] if isinstance(net, Stack) else []
    notes = []
    if any(layer.to_next is None for layer in layers):
        notes.append(
            "without 'layer1x1' the activation is added to the next layer's input, as in training; NAM's player "
            "leaves it out"
        )
    if any("next_post" in layer.films and layer.gating != "blended" for layer in layers):
        notes.append("'layer1x1_post_film' is applied, as in training; NAM's player leaves it out unless 'blended'")
    if isinstance(net, Fir):
        notes.append(
            "the numbers are an impulse response, as for NAM's player; the program that trains such models takes them "
            "in reverse"
        )
    if isinstance(net, Stack) and net.condition is not None:
        notes += [note for note in _notes(net.condition) if note not in notes]
    return notes


# Fewer channels


def _allowed_channels(config: Mapping[str, Any], place: str) -> list[list[int]]:
    """The numbers of channels that each array can be played with; nothing where it has but one."""
    return [_allowed(each, f"{place}.layers.{at}") for at, each in enumerate(config["layers"])]


def _allowed(array: Mapping[str, Any], place: str) -> list[int]:
    slimmable, channels = array.get("slimmable"), array["channels"]
    if slimmable is None:
        return []
    if not isinstance(slimmable, dict) or slimmable.get("method") != _METHOD:
        raise InputError(f"'{place}.slimmable.method' is not {_METHOD!r}, the one that convtool knows")
    settings = slimmable.get("kwargs") or {}
    unknown = [f"{place}.slimmable.{key}" for key in slimmable if key not in ("method", "kwargs")]
    if isinstance(settings, dict):
        unknown += [f"{place}.slimmable.kwargs.{key}" for key in settings if key not in _SLIMMABLE_KEYS]
    if unknown:
        raise InputError(f"'{unknown[0]}' is not known to convtool, and may change the sound")
    allowed = settings.get("allowed_channels") if isinstance(settings, dict) else settings
    if allowed is None:
        return list(range(1, channels + 1))
    if (
        not isinstance(allowed, list)
        or not all(type(each) is int and each > 0 for each in allowed)
        or sorted(set(allowed)) != allowed
        or allowed[-1:] != [channels]
    ):
        raise InputError(
            f"'{place}.slimmable.kwargs.allowed_channels' is {json_kind(allowed)}; expected numbers that rise to the "
            f"{channels} of 'channels'"
        )
    return allowed


def _slim(config: Mapping[str, Any], allowed: Sequence[list[int]], size: float) -> dict[str, Any]:
    """`config` with the channels of this size."""
    slim = deepcopy({key: value for key, value in config.items() if key != "condition_dsp"})
    slim |= {key: config[key] for key in config.keys() - slim.keys()}
    layers = slim["layers"]
    channels = [
        numbers[min(floor(size * len(numbers)), len(numbers) - 1)] if numbers else each.get("channels")
        for numbers, each in zip(allowed, layers, strict=True)
    ]
    if channels == [each.get("channels") for each in layers]:
        return slim
    if slim.get("head") is not None:
        raise InputError("'config.head' stands behind a slimmable model; convtool plays such a one at its full size")
    for at, (array, number) in enumerate(zip(layers, channels, strict=True)):
        _slim_array(array, number, at)
        if at:
            array["input_size"] = channels[at - 1]
        if at < len(layers) - 1:
            head = array.get("head")
            (head if isinstance(head, dict) else array)["out_channels" if head else "head_size"] = channels[at + 1]
    return slim


def _slim_array(array: dict[str, Any], channels: int, at: int) -> None:
    """Give `array` fewer channels."""
    groups = [array.get("groups_input"), array.get("groups_input_mixin")]
    groups += [array[key].get("groups") for key in ("layer1x1", "head1x1") if isinstance(array.get(key), dict)]
    head = array.get("head")
    taps = head.get("kernel_size") if isinstance(head, dict) else 1
    if any(each not in (None, 1) for each in groups) or taps != 1:
        raise InputError(
            f"'config.layers.{at}' is slimmable and has groups or a head of several taps; convtool plays such a one at "
            "its full size"
        )
    onwards = array.get("layer1x1")
    full, inner = array["channels"], array.get("bottleneck") or array["channels"]
    with_onwards = not isinstance(onwards, dict) or onwards.get("active") is not False
    array["bottleneck"] = max(1, inner * channels // full) if with_onwards else channels
    array["channels"] = channels
