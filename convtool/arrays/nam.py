"""The models in NAM's files, versions 0.5 to 0.7: the layers that a config asks for, and their tensors.

========== ===================================================================================================
WaveNet    arrays of layers, `Stack`; a condition model of its own may stand within it
ConvNet    convolutions of two taps, each with its activation, and a last one of one tap: `Chain`
Linear     one impulse response, the first number of which is for the sample itself: `Fir`
LSTM       recurrent layers and a linear one: `Lstm`
========== ===================================================================================================

The numbers of a model are one flat list, in the order of `tensors` here. A key that is not known may change the sound,
and is refused by name; what `metadata` and the file itself say besides is passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Literal

from convtool.errors import InputError
from convtool.files.json import json_kind

CONTAINER = "SlimmableContainer"
"""The architecture of a file with several models in it."""

CONDITIONS_LIMIT = 16
"""Condition models that may stand within each other."""

LAYERS_LIMIT = 1000
"""Layers that an array may have, and arrays that a model may."""

Shape = tuple[int, ...]

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

FilmPlace = Literal[
    "conv_pre", "conv_post", "mixin_pre", "mixin_post", "activation_pre", "activation_post", "next_post", "head_post"
]

FILMS: Mapping[str, FilmPlace] = {
    "conv_pre_film": "conv_pre",
    "conv_post_film": "conv_post",
    "input_mixin_pre_film": "mixin_pre",
    "input_mixin_post_film": "mixin_post",
    "activation_pre_film": "activation_pre",
    "activation_post_film": "activation_post",
    "layer1x1_post_film": "next_post",
    "head1x1_post_film": "head_post",
}
"""Where a layer may be modulated, in the order of the numbers."""

NORM = ("running_mean", "running_var", "weight", "bias", "eps")
"""The numbers of a batch normalisation, in order."""

Gating = Literal["none", "gated", "blended"]


@dataclass(frozen=True)
class Activation:
    """An activation function and what it is set to."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Conv:
    """A convolution, and the names of its tensors."""

    name: str
    outputs: int
    inputs: int
    taps: int = 1
    dilation: int = 1
    groups: int = 1
    bias: bool = True
    norm: bool = False
    """Whether a batch normalisation follows, in the place of the bias."""

    def __post_init__(self) -> None:
        if self.inputs % self.groups or self.outputs % self.groups:
            raise InputError(
                f"{self.name!r} has {self.groups} groups, which do not divide {self.inputs} inputs and {self.outputs} "
                "outputs"
            )

    @property
    def reach(self) -> int:
        """How many samples it looks back."""
        return (self.taps - 1) * self.dilation

    def tensors(self) -> Iterator[tuple[str, Shape]]:
        """Their names and shapes, in order."""
        yield f"{self.name}.weight", (self.outputs, self.inputs // self.groups, self.taps)
        if self.bias:
            yield f"{self.name}.bias", (self.outputs,)
        if self.norm:
            for part in NORM:
                yield f"{self.name}.norm.{part}", (1 if part == "eps" else self.outputs,)


@dataclass(frozen=True)
class Film:
    """A modulation by the condition."""

    conv: Conv
    shift: bool


@dataclass(frozen=True)
class Layer:
    """A layer of an array."""

    conv: Conv
    mixin: Conv
    activation: Activation
    gating: Gating
    gate: Activation | None
    to_next: Conv | None
    to_head: Conv | None
    films: Mapping[FilmPlace, Film]

    def convs(self) -> Iterator[Conv]:
        """All its convolutions, in the order of the numbers."""
        parts = (self.conv, self.mixin, self.to_next, self.to_head, *(film.conv for film in self.films.values()))
        return (part for part in parts if part is not None)


@dataclass(frozen=True)
class Array:
    """Layers one after another, whose heads add up."""

    enter: Conv
    layers: Sequence[Layer]
    leave: Conv

    def convs(self) -> Iterator[Conv]:
        """All its convolutions, in the order of the numbers."""
        return chain([self.enter], *(layer.convs() for layer in self.layers), [self.leave])


@dataclass(frozen=True)
class Chain:
    """Convolutions and activations one after another."""

    steps: Sequence[Conv | Activation]

    def convs(self) -> Iterator[Conv]:
        """All its convolutions, in the order of the numbers."""
        return (step for step in self.steps if isinstance(step, Conv))

    def tensors(self) -> Iterator[tuple[str, Shape]]:
        """Names and shapes, in the order of the numbers."""
        return chain.from_iterable(conv.tensors() for conv in self.convs())

    @property
    def inputs(self) -> int:
        """Channels that it takes."""
        return next(self.convs()).inputs

    @property
    def outputs(self) -> int:
        """Channels that it gives."""
        return list(self.convs())[-1].outputs

    @property
    def reach(self) -> int:
        """How many samples it looks back."""
        return sum(conv.reach for conv in self.convs())

    endless = False


@dataclass(frozen=True)
class Stack:
    """Arrays, and what comes before and behind them."""

    arrays: Sequence[Array]
    head: Chain | None
    scale: str
    """The name of the tensor with the factor of the head."""
    config_scale: float
    """The same in the config, where it has not been rounded to float32."""
    condition: Net | None
    """What makes the condition of the input, in a list of numbers of its own."""

    def convs(self) -> Iterator[Conv]:
        """All its convolutions, in the order of the numbers; not those of the condition."""
        return chain(*(array.convs() for array in self.arrays), self.head.convs() if self.head else ())

    def tensors(self) -> Iterator[tuple[str, Shape]]:
        """Names and shapes, in the order of the numbers; not those of the condition."""
        yield from chain.from_iterable(conv.tensors() for conv in self.convs())
        yield self.scale, (1,)

    @property
    def inputs(self) -> int:
        """Channels that it takes."""
        return self.arrays[0].enter.inputs

    @property
    def outputs(self) -> int:
        """Channels that it gives."""
        return self.arrays[-1].leave.outputs if self.head is None else self.head.outputs

    @property
    def reach(self) -> int:
        """How many samples it looks back."""
        return sum(conv.reach for conv in self.convs()) + (self.condition.reach if self.condition else 0)

    @property
    def endless(self) -> bool:
        """Whether a recurrent layer in it remembers all that it has heard."""
        return self.condition is not None and self.condition.endless


@dataclass(frozen=True)
class Fir:
    """An impulse response and a constant."""

    name: str
    taps: int
    bias: bool

    inputs = outputs = 1
    endless = False

    @property
    def reach(self) -> int:
        """How many samples it looks back."""
        return self.taps - 1

    def tensors(self) -> Iterator[tuple[str, Shape]]:
        """Names and shapes, in the order of the numbers."""
        yield f"{self.name}impulse_response", (self.taps,)
        if self.bias:
            yield f"{self.name}bias", (1,)


@dataclass(frozen=True)
class Lstm:
    """LSTM layers one after another, the states that they begin from, and a linear layer."""

    name: str
    inputs: int
    units: int
    layers: int
    outputs: int

    reach = 0
    endless = True

    def tensors(self) -> Iterator[tuple[str, Shape]]:
        """Names and shapes, in the order of the numbers; gates i f g o, and both biases summed."""
        for index in range(self.layers):
            place, inputs = f"{self.name}layers.{index}", self.units if index else self.inputs
            yield f"{place}.weight", (4 * self.units, inputs + self.units)
            yield f"{place}.bias", (4 * self.units,)
            yield f"{place}.h0", (self.units,)
            yield f"{place}.c0", (self.units,)
        yield f"{self.name}head.weight", (self.units,) if self.outputs == 1 else (self.outputs, self.units)
        yield f"{self.name}head.bias", (self.outputs,)


Net = Stack | Chain | Fir | Lstm


@dataclass(frozen=True)
class Submodel:
    """One of the models of a container, and up to which size it is taken."""

    below: float
    model: dict[str, Any]


class Settings:
    """An object in the JSON, read key by key.

    Args:
        value: what was read.
        place: where it stands in the file.

    Raises InputError, in the constructor and the methods, where what stands there is of another kind.
    """

    def __init__(self, value: Any, place: str) -> None:
        if not isinstance(value, dict):
            raise InputError(f"'{place}' is {json_kind(value)}; expected an object with named entries")
        self._values: dict[str, Any] = value
        self._place = place
        self._asked: set[str] = set()

    def place(self, key: str) -> str:
        """Where `key` stands."""
        return f"{self._place}.{key}" if self._place else key

    def get(self, key: str) -> Any:
        """What stands there, and nothing where nothing or null does."""
        self._asked.add(key)
        return self._values.get(key)

    def must(self, key: str) -> Any:
        """What stands there; refused where nothing does."""
        value = self.get(key)
        if value is None:
            raise InputError(f"'{self.place(key)}' is {'null' if key in self._values else 'missing'}")
        return value

    def inside(self, key: str) -> Settings:
        """The object that stands there."""
        return Settings(self.must(key), self.place(key))

    def whole(self, key: str, default: int | None = None, *, least: int = 1) -> int:
        """The whole number from `least` on that stands there."""
        value = self.must(key) if default is None else self.get(key)
        return default if value is None and default is not None else _whole(value, self.place(key), least)

    def wholes(self, key: str) -> list[int]:
        """The list of whole numbers from 1 on that stands there."""
        return [_whole(value, f"{self.place(key)}.{at}", 1) for at, value in enumerate(self.list(key))]

    def list(self, key: str) -> list[Any]:
        """The list that stands there, of at least one item and at most `LAYERS_LIMIT`."""
        value = self.must(key)
        if not isinstance(value, list) or not 1 <= len(value) <= LAYERS_LIMIT:
            found = f"a list of {len(value)}" if isinstance(value, list) else json_kind(value)
            raise InputError(f"'{self.place(key)}' is {found}; expected a list of 1 to {LAYERS_LIMIT}")
        return value

    def yes(self, key: str, default: bool | None = None) -> bool:
        """The true or false that stands there."""
        value = self.must(key) if default is None else self.get(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, bool):
            raise InputError(f"'{self.place(key)}' is {json_kind(value)}; expected true or false")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """The number that stands there."""
        value = self.must(key) if default is None else self.get(key)
        return default if value is None and default is not None else _number(value, self.place(key))

    def end(self) -> None:
        """Refuse the keys that nobody asked for; those with nothing in them ask for nothing."""
        for key, value in self._values.items():
            if key not in self._asked and value is not None:
                raise InputError(f"'{self.place(key)}' is not known to convtool, and may change the sound")


def _whole(value: Any, place: str, least: int) -> int:
    if type(value) is not int or value < least:
        raise InputError(f"'{place}' is {json_kind(value)}; expected a whole number from {least} on")
    return value


def _number(value: Any, place: str) -> float:
    if type(value) not in (int, float) or not abs(value) < 1e30:
        raise InputError(f"'{place}' is {json_kind(value)}; expected a number")
    return float(value)


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
            found[setting] = [_number(each, f"{place}.{key}.{at}") for at, each in enumerate(settings.list(key))]
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
