"""The names that the author of a Keras model knows its weights by, told from where a file keeps them.

Keras 3 has ``layers/<class>[_n]/vars/<i>`` (`.keras`, `.weights.h5`), numbered by class; the user's names stand in
attributes, or in the configuration. Older files have ``<layer>/<scope>/<variable>:0``, listed in attributes. Either
way a weight is called ``layer/variable``, behind the layers that its layer is part of: ``both/forward_lstm/bias``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from convtool.arrays.hdf5.process import Dataset, Listing
from convtool.arrays.keras.config import PROJECTIONS, VARIABLES, Layer, kind_of_key, numbered

_LAST = 1 << 30
_CELL = re.compile(r"(lstm|gru|simple_rnn)_cell(_[0-9]+)?")
_CELLS = re.compile(r"stacked_rnn_cells(_[0-9]+)?")
_STORED = re.compile(r"(?:.*/)?vars/[0-9]+", re.DOTALL)
_LISTS = ("layers", "_layer_checkpoint_dependencies", "cells")
_PARTS = ("layer", "cell", "forward_layer", "backward_layer", *PROJECTIONS)
"""Attributes that are a layer, in the order in which Keras tells their weights."""

Key = tuple[object, ...]


@dataclass(frozen=True)
class Named:
    """A dataset, the name of the weight that it is, and the layer that this belongs to."""

    dataset: Dataset
    name: str
    layer: Layer
    packed: int = 0
    """How many integers of 4 bits a row of it has, where it holds them two a byte; else 0."""


def is_keras(listing: Listing) -> bool:
    """Whether Keras has written the file."""
    marks = {"layer_names", "keras_version", "model_config"}
    return any(marks & listing.groups.get(path, {}).keys() for path in ("", "model_weights")) or any(
        _STORED.fullmatch(dataset.path) for dataset in listing.datasets
    )


def named(listing: Listing, model: Layer) -> list[Named]:
    """The datasets in the model's order as far as it is known, each under a name of its own.

    Args:
        listing: a file that `is_keras`.
        model: its configuration; ``Layer()`` where it has none.
    """
    legacy = _Legacy(listing, model).weights()
    stored = _Stored(listing, model)
    found: list[tuple[Key, Named]] = []
    for dataset in listing.datasets:
        place, name, layer = legacy.get(dataset.path) or stored.weight(dataset.path)
        found.append((place, Named(dataset, name, layer)))
    counts = Counter(weight.name for _, weight in found)
    return _packed(
        [
            weight if counts[weight.name] == 1 else Named(weight.dataset, weight.dataset.path, weight.layer)
            for _, weight in sorted(found, key=lambda pair: pair[0])
        ]
    )


def _packed(weights: list[Named]) -> list[Named]:
    """`weights`, of which those that a layer has quantised to 4 bits say how long their rows are.

    Keras packs the last axis of a kernel two a byte, and pads it where it is odd: what it was, its scale tells, and
    for an embedding the groups of its features, or the layer's settings.
    """
    shapes = {weight.name: weight.dataset.shape for weight in weights}
    found = []
    for weight in weights:
        stem, shape, config = weight.name, weight.dataset.shape, weight.layer.config
        grouped, width = f"{stem.rpartition('/')[0]}/g_idx", 0
        if weight.dataset.dtype != "int8" or len(shape) != 2:
            pass
        elif stem.endswith("/kernel"):
            width = (shapes.get(f"{stem}_scale") or (0,))[-1]
        elif stem.endswith("/embeddings"):
            width = (shapes.get(grouped) or (config.get("output_dim", 0),))[0]
        mode = weight.layer.quantisation or ("int4" if grouped in shapes or shape[-1:] != (width,) else "")
        fits = type(width) is int and width > 0 and (width + 1) // 2 == shape[1]
        found.append(replace(weight, packed=width) if mode == "int4" and fits else weight)
    return found


Weight = tuple[Key, str, Layer]
"""Its place in the order, its name, its layer."""


class _Legacy:
    """Files of `model.save("m.h5")` and, before Keras 3, of `save_weights("m.h5")`."""

    def __init__(self, listing: Listing, model: Layer) -> None:
        self._groups = listing.groups
        self._shapes = {dataset.path: dataset.shape for dataset in listing.datasets}
        self._model = model

    def weights(self) -> dict[str, Weight]:
        """What the attributes list, by path."""
        found: dict[str, Weight] = {}
        for root in ("model_weights/", ""):
            for layer in self._list(root.removesuffix("/"), "layer_names"):
                for path, name in self._listed(root, layer):
                    found.setdefault(path, ((0, len(found)), *self._named(layer, name, path)))
            for path, name in self._listed(root, "top_level_model_weights"):
                found.setdefault(path, ((0, len(found)), name, Layer()))
        for path, name in self._listed("", "optimizer_weights"):
            found[path] = ((2, len(found)), f"optimizer/{name}", Layer())
        return found

    def _list(self, group: str, attribute: str) -> list[str]:
        return list(dict.fromkeys(self._groups.get(group, {}).get(attribute, ())))

    def _listed(self, root: str, layer: str) -> Iterator[tuple[str, str]]:
        """Path and name, without TensorFlow's output number, of the weights of `layer` that are there."""
        for name in self._list(root + layer, "weight_names"):
            path = f"{root}{layer}/{name}"
            if path in self._shapes:
                yield path, re.sub(r":[0-9]+$", "", name)

    def _named(self, group: str, name: str, path: str) -> tuple[str, Layer]:
        _, found, inner = f"/{name}".partition(f"/{group}/")  # behind the model's name, in Keras 3
        if not found:
            number, _, rest = name.removeprefix(f"{group}_").partition("/")
            inner = rest if number.isdecimal() else name  # a scope that TensorFlow had seen before gets a number
        *parts, variable = inner.split("/")
        layer: Layer | None = self._model.inner.get(group)
        kept: list[str] = []
        for before, part in zip(["", *parts], parts, strict=False):
            within = layer.inner.get(part) or layer.item("cell") if layer else None  # a cell may have no name
            if _CELL.fullmatch(part) and not _CELLS.fullmatch(before):
                layer = within or layer
                continue
            kept += [] if _CELLS.fullmatch(part) else [part]
            layer = within
        if layer is not None and layer.kind == "TimeDistributed":
            layer = layer.item("layer")
        return "/".join([group, *kept, variable]), layer or self._guess((kept or [group])[-1], variable, path)

    def _guess(self, name: str, variable: str, path: str) -> Layer:
        layer = Layer(kind_of_key(name), name)
        variables = [*VARIABLES.get(layer.kind, ()), "depthwise_kernel"]  # as Keras 2 calls that of DepthwiseConv2D
        return layer if variable in variables and _fits(layer.kind, variable, self._shapes[path]) else Layer()


@dataclass(frozen=True)
class _Group:
    """A group of numbered variables."""

    place: Key
    names: list[str]
    """Of the layers around it, the outermost first."""
    variables: Mapping[str, str]
    """Their names by their numbers, as far as they can be told."""
    layer: Layer


class _Stored:
    """Files of Keras 3, and of the `.keras` format of 2.12 on."""

    def __init__(self, listing: Listing, model: Layer) -> None:
        self._groups = listing.groups
        self._model = model
        self._shapes: dict[str, dict[str, tuple[int, ...]]] = {}
        self._dtypes = {dataset.path: dataset.dtype for dataset in listing.datasets}
        for dataset in listing.datasets:
            group, _, name = dataset.path.rpartition("/")
            self._shapes.setdefault(group, {})[name] = dataset.shape
        self._found: dict[str, _Group] = {}
        self._lists: dict[str, dict[str, tuple[int, Layer]]] = {}

    def weight(self, path: str) -> Weight:
        """The weight that the dataset at `path` is; its path is its name where Keras does not number it."""
        *parts, last = path.split("/")
        if not _STORED.fullmatch(path):
            return (1, *((_LAST, natural(part)) for part in [*parts, last])), path, Layer()
        group = "/".join(parts)
        if group not in self._found:
            self._found[group] = self._group(group)
        found = self._found[group]
        name = "/".join([*found.names, found.variables.get(last, last)])
        return (1, *found.place, (-1, natural(last))), name, found.layer

    def _group(self, group: str) -> _Group:
        place, names, layer = self._layer(group.split("/")[:-1])
        shapes = self._numbered(group)
        variables = layer.variables(list(shapes.values()), first=self._first(group, shapes))
        return _Group(place, names, dict(zip(shapes, variables, strict=False)), layer)

    def _numbered(self, group: str) -> dict[str, tuple[int, ...]]:
        """The shapes of the variables in `group`, in order."""
        return dict(sorted(self._shapes.get(group, {}).items(), key=lambda item: natural(item[0])))

    def _first(self, group: str, shapes: Mapping[str, tuple[int, ...]]) -> str:
        """The dtype of the first of the variables in `group`; nothing where there is none."""
        return next((self._dtypes[f"{group}/{name}"] for name in shapes), "")

    def _layer(self, parts: list[str]) -> tuple[Key, list[str], Layer]:
        """The place, the names from the outermost layer on, and the layer that the path `parts` leads to."""
        layer, names, place = self._model, [], []
        siblings: Mapping[str, tuple[int, Layer]] | None = None
        for depth, part in enumerate(parts, 1):
            variables = "/".join([*parts[:depth], "vars"])
            label = str(self._groups.get(variables, {}).get("name", ""))
            position = _LAST
            if self._is_list(part, variables, layer=layer, within=siblings is not None):
                siblings = self._list(parts[:depth], layer) if siblings is None else {}
            elif siblings is not None:
                position, layer = siblings.get(part, (_LAST, Layer.of_key(part)))
                names.append(label or layer.name or part)
                siblings = None
            else:
                position = _PARTS.index(part) if part in _PARTS else _LAST
                layer = self._kept(layer, part, label=label, variables=variables)
                if part != "cell":
                    names.append(part if depth == 1 and part == "optimizer" else label or layer.name or part)
            place.append((position, natural(part)))
        return tuple(place), names or [str(self._groups.get("vars", {}).get("name", "vars"))], layer

    def _list(self, parts: list[str], layer: Layer) -> dict[str, tuple[int, Layer]]:
        """What `layer` keeps in the list at the path `parts`; each is told once, not for each of its layers."""
        path = "/".join(parts)
        if path not in self._lists:
            self._lists[path] = numbered(layer.items(parts[-1]))
        return self._lists[path]

    def _is_list(self, part: str, variables: str, *, layer: Layer, within: bool) -> bool:
        """Whether `part` is a list of layers, and not one of them; `within` a list it can only be one inside it."""
        if within:
            return re.fullmatch(r"container(_[0-9]+)?", part) is not None
        if part in layer.config:
            return isinstance(layer.config[part], list)
        return part in _LISTS or not (variables in self._groups or part in _PARTS)

    def _kept(self, layer: Layer, part: str, *, label: str, variables: str) -> Layer:
        """The layer that `layer` keeps as its attribute `part`."""
        found = layer.item(part) or Layer("MultiHeadAttention").item(part)  # whose attributes are like no other's
        if found is not None:
            return found
        if part == "cell" and layer.role:
            return layer
        numbered_shapes = self._numbered(variables)
        shapes = list(numbered_shapes.values())
        guess = Layer(kind_of_key(label or part))
        names = guess.variables(shapes, first=self._first(variables, numbered_shapes))
        told = guess.kind and len(names) == len(shapes)
        return guess if told and all(map(_fits, [guess.kind] * len(names), names, shapes)) else Layer()


def _fits(kind: str, variable: str, shape: tuple[int, ...]) -> bool:
    """Whether a layer of that class can have a kernel of that shape; other variables tell nothing."""
    axes = re.search("[123](?=D)", kind)
    return axes is None or not variable.endswith("kernel") or len(shape) == int(axes[0]) + 2


def natural(name: str) -> list[tuple[str, int, str]]:
    """A sorting key in which numbers count as numbers: ``a2`` before ``a10``."""
    return [(text, len(digits), digits) for text, digits in re.findall(r"([^0-9]*)0*([0-9]*)", name)]
