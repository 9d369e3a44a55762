"""What a person should know of a conversion: what is left as it is, taken for granted, and not brought back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from convtool.arrays.description import some
from convtool.files.names import counted
from convtool.weights.conversion.deferred import Converted
from convtool.weights.conversion.recurrent import tells_its_reset
from convtool.weights.kinds import RECURRENT
from convtool.weights.layouts import Described
from convtool.weights.naming import is_of_optimizer

_LAYER_OF_TORCH = re.compile(r"_l\d+(_reverse)?$")


class Note(NamedTuple):
    """One line about a conversion."""

    what: str
    names: tuple[str, ...]
    """The tensors or layers that it is about, as they are called in the new layout."""
    amount: str = ""
    """How many of what these are, where that is told."""

    def __str__(self) -> str:
        return f"{self.what}: {', '.join(filter(None, (self.amount, some(self.names))))}"

    def is_about(self, described: Described) -> bool:
        """Whether it is about that tensor, or its layer."""
        return described.tensor.name in self.names or _layer(described) in self.names


class _Made(NamedTuple):
    """A tensor in its new layout, and the first of those that it was made from."""

    source: Described
    converted: Converted

    @property
    def made(self) -> Described:
        return self.converted.described

    @property
    def name(self) -> str:
        return self.made.tensor.name


def notes(described: Sequence[Described], converted: Sequence[Converted], to: str) -> list[Note]:
    """What there is to say of a conversion to the layout `to`.

    Args:
        described: the tensors before it.
        converted: the tensors after it.
        to: `torch`, `keras` or `onnx`.
    """
    before = {id(each.tensor): each for each in described}
    pairs = (_Made(before[id(each.array.sources[0])], each) for each in converted if each.array.sources)
    moved = [each for each in pairs if each.source.layout not in ("", to) and each.made.layout == to]
    found = [*_left(moved, to), *_doubts(moved, to), *_losses(moved, to), *_renamed(moved)]
    return [note for note in found if note.names]


def not_converted(described: Sequence[Described], *, option: str) -> list[Note]:
    """What is to be said of the tensors of `described` whose layout is open, which `option` would say."""
    names = tuple(each.tensor.name for each in described if not each.layout and len(each.axes) > 1)
    return [Note(f"not converted, since {option} does not say their layout", names, _tensors(names))] if names else []


def _left(moved: Sequence[_Made], to: str) -> Iterator[Note]:
    """What has several axes, whose order nothing tells."""
    left = [
        each
        for each in moved
        if each.source.kind in ("tensor", "einsum_dense") and each.converted.array.order and len(each.source.axes) > 1
    ]
    steps = {each.name for each in left if is_of_optimizer(each.source.tensor.name)}
    names, of_optimizer = (tuple(each.name for each in left if (each.name in steps) is way) for way in (False, True))
    yield Note(f"left as stored, since nothing tells how {to} would have them", names, _tensors(names))
    yield Note("left as stored, since they are the optimizer's", of_optimizer, _tensors(of_optimizer))


def _tensors(names: Sequence[str]) -> str:
    return counted(len(names), "tensor")


def _doubts(moved: Sequence[_Made], to: str) -> Iterator[Note]:
    """What is taken for granted: files of tensors alone tell neither groups nor where a GRU resets."""
    bare = [each.name for each in moved if _is_bare(each.source)]
    if len(bare) > 1:  # of a single one that is what was asked
        yield Note("taken for the weights of layers, since no name tells more", tuple(bare), _tensors(bare))
    yield Note(
        "taken for convolutions over one channel, since nothing says they are depthwise",
        tuple(each.name for each in moved if to == "keras" and _may_be_depthwise(each.source)),
    )
    biased = {each.source.prefix for each in moved if each.source.role == "bias"}
    untold = [
        each
        for each in _recurrent(moved)
        if each.source.kind == "gru" and not tells_its_reset(each.source, biased=each.source.prefix in biased)
    ]
    yield Note("taken to reset after the recurrent product, as torch does, since nothing says it", _layers(untold))


def _is_bare(source: Described) -> bool:
    """Whether a tensor is a weight because it was said to be one: no word of its name and no layer's class is."""
    return source.role == "weight" and source.prefix == source.tensor.name and not source.tensor.layer


def _may_be_depthwise(source: Described) -> bool:
    shape = source.tensor.shape
    plain = source.kind in ("conv1d", "conv2d") and source.layout == "torch" and "groups" not in source.tensor.config
    return plain and shape[1] == 1 < shape[0]


def _recurrent(moved: Sequence[_Made]) -> list[_Made]:
    """One of the tensors of each recurrent layer, at least."""
    return [each for each in moved if each.source.kind in RECURRENT and each.source.role == "recurrent"]


def _losses(moved: Sequence[_Made], to: str) -> Iterator[Note]:
    """What the way back does not bring back, and what the tensors do not tell."""
    summed = [each.name for each in moved if each.converted.array.is_sum]
    yield Note("two biases are added, as Keras keeps their sum alone", tuple(summed))
    merged = [each.name for each in moved if each.source.tensor.config.get("projection") and each.made.kind == "dense"]
    yield Note("heads of attention are put side by side, and no tensor tells how many there were", tuple(merged))
    biased = {each.made.prefix for each in moved if each.made.role == "bias"}
    settings: dict[str, list[_Made]] = {}
    for each in _recurrent(moved):
        for setting in _untold(each.made, to, biased=each.made.prefix in biased):
            settings.setdefault(setting, []).append(each)
    for setting, tensors in settings.items():
        yield Note(f"no tensor tells that {setting}", _layers(tensors))


def _untold(made: Described, to: str, *, biased: bool) -> Iterator[str]:
    """What a recurrent layer must be told beside its tensors."""
    config: Mapping[str, Any] = made.tensor.config
    if config.get("go_backwards") or config.get("direction") == "reverse":
        yield "it runs backwards in time"
    if made.kind == "gru" and to == "onnx":
        yield f"linear_before_reset is {config['linear_before_reset']}"
    if made.kind == "gru" and to == "keras" and not biased and not config["reset_after"]:
        yield "reset_after is False"


def _renamed(moved: Sequence[_Made]) -> Iterator[Note]:
    """What torch has names for that no other layout has."""
    ours = [each for each in _recurrent(moved) if each.source.layout == "torch"]
    cells = [each for each in ours if not _LAYER_OF_TORCH.search(each.source.tensor.name)]
    yield Note("cells, which come back as layers, with names in _l0", _layers(cells))
    stacks = {each.source.prefix for each in ours if each.source.level}
    stacked = [each for each in ours if each.source.prefix in stacks]
    yield Note("layers of one stack, which come back as layers of their own", _layers(stacked))
    directed = [each for each in ours if each.made.layout == "keras" and not each.made.prefix and each.made.reverse]
    yield Note("directions of a layer without a name, which comes back with one", tuple(each.name for each in directed))


def _layers(tensors: Iterable[_Made]) -> tuple[str, ...]:
    """The names of the layers of tensors, each once."""
    return tuple(dict.fromkeys(_layer(each.made) for each in tensors))


def _layer(described: Described) -> str:
    """The name of the layer of a tensor; that of the tensor where the layer has none."""
    return described.prefix.rstrip("./") or described.tensor.name
