"""The models in NAM's files, versions 0.5 to 0.7: the layers that a config asks for, and their tensors.

========== ===================================================================================================
WaveNet    arrays of layers, `Stack`; a condition model of its own may stand within it
ConvNet    convolutions of two taps, each with its activation, and a last one of one tap: `Chain`
Linear     one impulse response, the first number of which is for the sample itself: `Fir`
LSTM       recurrent layers and a linear one: `Lstm`
========== ===================================================================================================

The numbers of a model are one flat list, in the order of their net's `tensors`. A key that is not known may change the
sound, and is refused by name; what `metadata` and the file itself say besides is passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from convtool.arrays.nam.nets import (
    FILMS,
    Activation,
    Array,
    Chain,
    Conv,
    Film,
    Fir,
    Gating,
    Layer,
    Lstm,
    Net,
    Stack,
)
from convtool.arrays.nam.settings import Settings, number_at
from convtool.errors import InputError
from convtool.files.json import json_kind

CONTAINER = "SlimmableContainer"
"""The architecture of a file with several models in it."""

CONDITIONS_LIMIT = 16
"""Condition models that may stand within each other."""

_VERSIONS = ("0.5", "0.6", "0.7")

_ACTIVATIONS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "Tanh": ("tanh", {}),
    "Hardtanh": ("hard-tanh", {"min_val": "low", "max_val": "high"}),
    "Fasttanh": ("fast-tanh", {}),
    "ReLU": ("relu", {}),
    "LeakyReLU": ("leaky-relu", {"negative_slope": "slopes"}),
    "PReLU": ("leaky-relu", {"negative_slope": "slopes", "negative_slopes": "slopes"}),
    "Sigmoid": ("sigmoid", {}),
    "SiLU": ("silu", {}),
    "Hardswish": ("hard-swish", {}),
    "Softsign": ("softsign", {}),
    "Softsigmoid": ("soft-sigmoid", {}),
} | dict.fromkeys(
    ("LeakyHardtanh", "LeakyHardTanh"),
    (
        "leaky-hardtanh",
        {"min_val": "low", "max_val": "high", "min_slope": "low_slope", "max_slope": "high_slope"},
    ),
)
"""By the file's name: the name here, and which of the file's numbers is which of its settings."""


@dataclass(frozen=True)
class Submodel:
    """One of the models of a container, and up to which size it is taken."""

    below: float
    model: dict[str, Any]


def check_version(document: Mapping[str, Any], prefix: str = "") -> None:
    """Refuse a file of a version whose meaning is not known."""
    version = document.get("version")
    known = version is None or (isinstance(version, str) and version.rpartition(".")[0] in _VERSIONS)
    if not known:
        raise InputError(f"'{prefix}version' is {json_kind(version)}; convtool reads 0.5.0 to 0.7.0")


def check_architecture(document: Mapping[str, Any], prefix: str) -> str:
    """The architecture of a model that is no container; refused where it is not known."""
    architecture = document.get("architecture")
    if not isinstance(architecture, str) or architecture not in NETS:
        known = ", ".join(map(repr, NETS))
        raise InputError(f"'{prefix}architecture' is {json_kind(architecture)}; convtool runs {known} and containers")
    return architecture


def read_net(architecture: str, config: Any, prefix: str) -> Net:
    """The layers that a `config` of `architecture` asks for; names and places in the file begin with `prefix`.

    Raises:
        InputError: a key is missing, not known, or of a value that does not fit; it is told.
    """
    settings = Settings(config, f"{prefix}config")
    net = NETS[architecture](settings, prefix)
    settings.end()
    return net


def nam_submodels(document: Mapping[str, Any], prefix: str = "") -> list[Submodel]:
    """The models in a container, the smallest first.

    Raises:
        InputError: there are none, or their sizes do not rise to 1.
    """
    config = Settings(document.get("config"), f"{prefix}config")
    submodels: list[Submodel] = []
    for at, each in enumerate(config.list("submodels")):
        entry = Settings(each, f"{config.place('submodels')}.{at}")
        below = entry.number("max_value")
        if submodels and below <= submodels[-1].below:
            raise InputError(f"'{entry.place('max_value')}' is {below:g}, no more than that of the model before it")
        model = entry.must("model")
        Settings(model, entry.place("model"))
        submodels.append(Submodel(below, model))
        entry.end()
    if submodels[-1].below < 1:
        raise InputError(f"'{config.place('submodels')}.{at}.max_value' is {below:g}; expected 1 for the largest model")
    config.end()
    return submodels


def largest(document: Mapping[str, Any], prefix: str) -> tuple[Mapping[str, Any], str]:
    """The model that a container of containers plays where no size is asked for, and its prefix."""
    while document.get("architecture") == CONTAINER:
        submodels = nam_submodels(document, prefix)
        document, prefix = submodels[-1].model, f"{prefix}submodels.{len(submodels) - 1}."
    return document, prefix


def _check_inputs(config: Settings, inputs: int, place: str) -> None:
    """Refuse an `in_channels` that is not what stands at `place`."""
    if config.whole("in_channels", inputs) != inputs:
        raise InputError(f"'{config.place('in_channels')}' is {config.get('in_channels')}, but '{place}' {inputs}")


# WaveNet


def _wavenet(config: Settings, prefix: str) -> Stack:
    condition = None if config.get("condition_dsp") is None else _condition(config, prefix)
    arrays: list[Array] = []
    for at, each in enumerate(config.list("layers")):
        settings = Settings(each, f"{config.place('layers')}.{at}")
        before = arrays[-1] if arrays else None
        arrays.append(_array(settings, f"{prefix}arrays.{at}", before, condition))
        settings.end()
    head = None if config.get("head") is None else _post_head(config.inside("head"), f"{prefix}head", arrays[-1])
    stack = Stack(arrays, head, f"{prefix}head_scale", config.number("head_scale"), condition)
    _check_inputs(config, stack.inputs, f"{config.place('layers')}.0.input_size")
    if condition is not None and condition.inputs != stack.inputs:
        raise InputError(
            f"'{config.place('condition_dsp')}' takes {condition.inputs} channels, but the model itself {stack.inputs}"
        )
    return stack


def _condition(config: Settings, prefix: str) -> Net:
    config.inside("condition_dsp")
    if prefix.count("condition_dsp.") == CONDITIONS_LIMIT:
        raise InputError(
            f"'{config.place('condition_dsp')}' stands within {CONDITIONS_LIMIT} others, which is the limit"
        )
    document, place = largest(config.must("condition_dsp"), f"{prefix}condition_dsp.")
    return read_net(check_architecture(document, place), document.get("config"), place)


def _array(config: Settings, name: str, before: Array | None, condition: Net | None) -> Array:
    channels = config.whole("channels")
    inner = config.whole("bottleneck", channels)
    enter = Conv(f"{name}.rechannel", channels, config.whole("input_size"), bias=False)
    if before is not None and before.enter.outputs != enter.inputs:
        raise InputError(
            f"'{config.place('input_size')}' is {enter.inputs}, but the layers before it have {before.enter.outputs} "
            "channels"
        )
    given = condition.outputs if condition else before.layers[0].mixin.inputs if before else enter.inputs
    if config.whole("condition_size") != given:
        raise InputError(
            f"'{config.place('condition_size')}' is {config.get('condition_size')}, but the condition has {given} "
            f"channel{'s' * (given > 1)}"
        )
    layers = _layers(config, name, channels, inner, given)
    to_head = layers[0].to_head
    leave = _leave(config, f"{name}.head", to_head.outputs if to_head else inner)
    if before is not None and before.leave.outputs != leave.inputs:
        raise InputError(
            f"the head of '{config.place('')[:-1]}' has {leave.inputs} channels, and that of the layers before it "
            f"gives {before.leave.outputs}; they are added"
        )
    config.get("slimmable")  # which of the channels are played is not about the tensors
    return Array(enter, layers, leave)


def _layers(config: Settings, name: str, channels: int, inner: int, condition: int) -> list[Layer]:
    dilations = config.wholes("dilations")
    count = len(dilations)
    taps = _taps(config, count)
    gatings, gates = _gatings(config, count)
    groups, groups_of_mixin = (config.whole(key, 1) for key in ("groups_input", "groups_input_mixin"))
    onwards, to_head = _one_tap(config, "layer1x1", active=True), _one_tap(config, "head1x1", active=False)
    if onwards is None and inner != channels:
        raise InputError(f"'{config.place('bottleneck')}' is {inner}; without 'layer1x1' it must be {channels}")
    activations = _each(config, "activation", count)
    layers = []
    for at, (dilation, gating, activation) in enumerate(zip(dilations, gatings, activations, strict=True)):
        place = f"{name}.layers.{at}"
        full = inner if gating == "none" else 2 * inner
        head = Conv(f"{place}.head1x1", to_head[1] or channels, inner, groups=to_head[0]) if to_head else None
        widths = [channels, full, condition, full, full, inner, channels, head.outputs if head else inner]
        films = {
            FILMS[key]: film
            for key, width in zip(FILMS, widths, strict=True)
            if (film := _film(config, key, f"{place}.{key}", condition, width)) is not None
        }
        for after, missing, key in (("next_post", onwards is None, "layer1x1"), ("head_post", head is None, "head1x1")):
            if after in films and missing:
                raise InputError(f"'{config.place(f'{key}_post_film')}' is active, and '{key}' is not")
        layers.append(
            Layer(
                Conv(f"{place}.conv", full, channels, taps[at], dilation, groups),
                Conv(f"{place}.input_mixin", full, condition, groups=groups_of_mixin, bias=False),
                _activation(activation[0], activation[1], inner),
                gating,
                None if (gate := gates[at]) is None else _activation(gate[0], gate[1], inner),
                Conv(f"{place}.layer1x1", channels, inner, groups=onwards[0]) if onwards else None,
                head,
                films,
            )
        )
    return layers


def _taps(config: Settings, count: int) -> list[int]:
    """Of each layer."""
    key = "kernel_sizes" if config.get("kernel_sizes") is not None else "kernel_size"
    if key == "kernel_sizes" and config.get("kernel_size") is not None:
        raise InputError(f"'{config.place('kernel_size')}' and '{config.place(key)}' are both given; expected one")
    if not isinstance(config.get(key), list):
        return [config.whole(key)] * count
    return _as_many(config.wholes(key), count, config.place(key))


def _as_many(values: list[Any], count: int, place: str) -> list[Any]:
    if len(values) != count:
        raise InputError(f"'{place}' is a list of {len(values)}, and 'dilations' one of {count}")
    return values


def _each(config: Settings, key: str, count: int) -> list[tuple[Any, str]]:
    """What stands under `key` for each layer, and where."""
    value = config.must(key)
    if not isinstance(value, list):
        return [(value, config.place(key))] * count
    return [(each, f"{config.place(key)}.{at}") for at, each in enumerate(_as_many(value, count, config.place(key)))]


def _gatings(config: Settings, count: int) -> tuple[list[Gating], list[tuple[Any, str] | None]]:
    """How each layer is gated, and what its gate is."""
    if config.get("gating_mode") is None:
        modes = [("gated" if config.yes("gated", False) else "none", config.place("gated"))] * count
        config.get("secondary_activation")  # it is for the modes
        gates = [("Sigmoid", "")] * count
    else:
        modes = _each(config, "gating_mode", count)
        given = config.get("secondary_activation") is not None
        gates = _each(config, "secondary_activation", count) if given else [("Sigmoid", "")] * count
        config.get("gated")
    known: dict[str, Gating] = {"none": "none", "gated": "gated", "blended": "blended"}
    for mode, place in modes:
        if mode not in ("none", "gated", "blended"):
            raise InputError(f"'{place}' is {json_kind(mode)}; convtool runs 'none', 'gated' and 'blended'")
    wanted = [known[mode] for mode, _ in modes]
    return wanted, [None if mode == "none" else gate for mode, gate in zip(wanted, gates, strict=True)]


def _activation(value: Any, place: str, channels: int) -> Activation:
    """An activation by its name, or by an object with its `type` and numbers."""
    settings = Settings({"type": value} if isinstance(value, str) else value, place)
    kind = settings.must("type")
    if not isinstance(kind, str) or kind not in _ACTIVATIONS:
        raise InputError(f"'{place}' is the activation {json_kind(kind)}; convtool runs {', '.join(_ACTIVATIONS)}")
    name, keys = _ACTIVATIONS[kind]
    found: dict[str, Any] = {}
    for key, setting in keys.items():
        if settings.get(key) is None:
            continue
        if key == "negative_slopes":
            found[setting] = [number_at(each, f"{place}.{key}.{at}") for at, each in enumerate(settings.list(key))]
        else:
            found[setting] = [settings.number(key)] if setting == "slopes" else settings.number(key)
    settings.end()
    if len(found.get("slopes", [0])) not in (1, channels):
        raise InputError(f"'{place}.negative_slopes' has {len(found['slopes'])} numbers for {channels} channels")
    return Activation(name, found)


def _one_tap(config: Settings, key: str, *, active: bool) -> tuple[int, int | None] | None:
    """Groups, and the channels that are asked for, of a convolution of one tap; nothing where there is none."""
    if config.get(key) is None:
        return (1, None) if active else None
    settings = config.inside(key)
    there, groups = settings.yes("active"), settings.whole("groups", 1)
    channels = settings.whole("out_channels") if settings.get("out_channels") is not None else None
    settings.end()
    return (groups, channels) if there else None


def _film(config: Settings, key: str, name: str, condition: int, width: int) -> Film | None:
    if config.get(key) in (None, False):
        return None
    settings = config.inside(key)
    active, shift, groups = settings.yes("active", True), settings.yes("shift", True), settings.whole("groups", 1)
    settings.end()
    return Film(Conv(name, (1 + shift) * width, condition, groups=groups), shift) if active else None


def _leave(config: Settings, name: str, channels: int) -> Conv:
    """The convolution of the heads' sum: an object, or the size and bias of older files."""
    if config.get("head") is None:
        return Conv(name, config.whole("head_size"), channels, bias=config.yes("head_bias"))
    config.get("head_size"), config.get("head_bias")
    head = config.inside("head")
    taps, dilation = head.whole("kernel_size"), head.whole("head_dilation", 1)
    conv = Conv(name, head.whole("out_channels"), channels, taps, dilation, bias=head.yes("bias"))
    head.end()
    return conv


def _post_head(config: Settings, name: str, last: Array) -> Chain:
    """What the scaled sum of the heads runs through at the end."""
    channels = last.leave.outputs
    if config.whole("in_channels", channels) != channels:
        raise InputError(f"'{config.place('in_channels')}' is {config.get('in_channels')}; there are {channels}")
    width, outputs, taps = config.whole("channels"), config.whole("out_channels"), config.wholes("kernel_sizes")
    steps: list[Conv | Activation] = []
    for at, size in enumerate(taps):
        steps.append(_activation(config.must("activation"), config.place("activation"), channels))
        given = outputs if at == len(taps) - 1 else width
        steps.append(Conv(f"{name}.{at}", given, channels, size))
        channels = given
    config.end()
    return Chain(steps)


# ConvNet, Linear, LSTM


def _convnet(config: Settings, prefix: str) -> Chain:
    channels, norm, groups = config.whole("channels"), config.yes("batchnorm"), config.whole("groups", 1)
    inputs, outputs = config.whole("in_channels", 1), config.whole("out_channels", 1)
    activation = _activation(config.must("activation"), config.place("activation"), channels)
    steps: list[Conv | Activation] = []
    for at, dilation in enumerate(config.wholes("dilations")):
        taken = channels if at else inputs
        steps.append(Conv(f"{prefix}blocks.{at}", channels, taken, 2, dilation, groups, bias=not norm, norm=norm))
        steps.append(activation)
    return Chain([*steps, Conv(f"{prefix}head", outputs, channels)])


def _linear(config: Settings, prefix: str) -> Fir:
    for key in ("in_channels", "out_channels"):
        if config.whole(key, 1) != 1:
            raise InputError(f"'{config.place(key)}' is {config.get(key)}; convtool runs a Linear model of 1 channel")
    config.get("implementation")  # how the player computes it
    return Fir(prefix, config.whole("receptive_field"), config.yes("bias"))


def _lstm(config: Settings, prefix: str) -> Lstm:
    inputs, units, layers = (config.whole(key) for key in ("input_size", "hidden_size", "num_layers"))
    _check_inputs(config, inputs, config.place("input_size"))
    return Lstm(prefix, inputs, units, layers, config.whole("out_channels", 1))


NETS: Mapping[str, Callable[[Settings, str], Net]] = {
    "WaveNet": _wavenet,
    "ConvNet": _convnet,
    "Linear": _linear,
    "LSTM": _lstm,
}
"""By the architecture."""
