"""ONNX's ModelProto: the tensors of its graphs, and the nodes that use them.

Field numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from convtool.arrays.onnx import RECURRENT_STATES
from convtool.arrays.onnx.protobuf import Field, Walk
from convtool.arrays.onnx.tensors import CONSTANTS, StoredTensor, constant, sparse_tensor, stored_tensor
from convtool.errors import InputError
from convtool.files.remote_file import RemoteFile

TENSORS_LIMIT = 100_000
"""Tensors that a model may have."""

_DEPTH_LIMIT = 16
"""Graphs within graphs: the bodies of loops and branches."""

_IR_VERSION, _PRODUCER, _PRODUCER_VERSION, _GRAPH, _OPSET, _FUNCTION = 1, 2, 3, 7, 8, 25
_OPSET_DOMAIN, _OPSET_VERSION = 1, 2
_STANDARD = ("", "ai.onnx")
_NODE, _INITIALIZER, _SPARSE_INITIALIZER = 1, 5, 15
_INPUT, _OUTPUT, _NODE_NAME, _OP_TYPE, _ATTRIBUTE, _DOMAIN, _METADATA = 1, 2, 3, 4, 5, 7, 9
_SCOPES = "pkg.torch.onnx.name_scopes"
"""Where torch's exporter tells the modules that a node comes from, `['', 'net', 'net.0', 'conv1d']`."""
_ATTRIBUTE_NAME, _TENSOR, _STRINGS, _SPARSE_TENSOR = 1, 5, 9, 22
_GRAPHS = (6, 11)
_FIELD_BYTES = 256  # that a field kept takes
_SINGLE: dict[int, Callable[[Walk, Field], object]] = {2: Walk.float32, 3: Walk.integer, 4: Walk.text}
"""What reads the attribute of each of these field numbers, a single value."""

_SETTINGS = {
    *("group", "transA", "transB", "alpha", "beta"),
    *("hidden_size", "direction", "linear_before_reset", "input_forget", "activations", "clip"),
}
"""The attributes that the reading of a node's weights depends on."""

_SAME_VALUES = ("Identity", "DequantizeLinear")
"""Operators whose output is their first input, to those who ask what layer a tensor belongs to."""

_REPEATS = ("Expand", "Slice", "Unsqueeze", "Squeeze", "Reshape", "Transpose", "Tile")
"""Operators whose output has no other values than their first input: exporters put them before an initial state."""


@dataclass(slots=True)
class FoundTensor:
    """A tensor of a graph, and the first node that uses it."""

    name: str
    """With the way to its graph in front, where that is the body of a loop or a branch: ``If_3/then_branch/W``."""
    stored: StoredTensor
    layer: str = ""
    config: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class _Node:
    op: str = ""
    name: str = ""
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    constant: StoredTensor | None = None
    """What it gives, if it is a Constant."""
    graphs: list[tuple[str, Field]] = field(default_factory=list)
    """The bodies of a loop or branch, each with its attribute's name."""
    metadata: list[Field] = field(default_factory=list)


@dataclass(frozen=True)
class _Scope:
    """What a graph's nodes see."""

    prefix: str = ""
    """The way to the graph, in front of the names of its tensors."""
    tensors: ChainMap[str, FoundTensor] = field(default_factory=ChainMap)
    """Those of the graph, then those of the graphs around it."""
    repeated: ChainMap[str, FoundTensor] = field(default_factory=ChainMap)
    """What has the values of a tensor and its own shape, likewise."""
    depth: int = 1

    def inner(self, way: str) -> _Scope:
        """That of a graph within this one."""
        if self.depth == _DEPTH_LIMIT:
            raise InputError(f"there are more than {_DEPTH_LIMIT} graphs within one another")
        tensors, repeated = self.tensors.new_child(), self.repeated.new_child()
        return _Scope(f"{self.prefix}{way}/", tensors, repeated, self.depth + 1)


class Model:
    """The model that `file` holds, a descriptor or a remote file.

    Raises:
        InputError: it is no ONNX model, or is damaged.
    """

    def __init__(self, file: int | RemoteFile) -> None:
        self._walk = Walk(file)
        self.tensors: list[FoundTensor] = []
        self.metadata: dict[str, str] = {}
        self.functions = 0
        """Functions that the model defines for itself; their nodes are not searched."""
        graph = None
        for part in self._walk.message():
            if part.number == _GRAPH:
                graph = part
            elif part.number == _FUNCTION:
                self.functions += 1
            else:
                self._tell(part)
        if graph is None:
            raise InputError("there is no graph in it; expected an ONNX model")
        self._read_graph(graph, _Scope())

    def _tell(self, part: Field) -> None:
        walk = self._walk
        if part.number == _IR_VERSION:
            self.metadata["ir_version"] = str(walk.integer(part))
        elif part.number in (_PRODUCER, _PRODUCER_VERSION):
            self.metadata["producer" if part.number == _PRODUCER else "producer_version"] = walk.text(part)[:200]
        elif part.number == _OPSET:
            domain, version = "", 0
            for item in walk.inside(part):
                if item.number == _OPSET_DOMAIN:
                    domain = walk.text(item)
                elif item.number == _OPSET_VERSION:
                    version = walk.integer(item)
            if domain in _STANDARD:
                self.metadata["opset"] = str(version)

    def _read_graph(self, graph: Field, scope: _Scope) -> None:
        """Add the graph's tensors, and tell each by the first node that uses it.

        That takes two passes: the tensors come after the nodes.
        """
        for part in self._walk.inside(graph):
            if part.number == _INITIALIZER:
                stored = stored_tensor(self._walk, part)
                self._add(stored, stored.name, scope)
            elif part.number == _SPARSE_INITIALIZER:
                stored = sparse_tensor(self._walk, part)
                self._add(stored, stored.name, scope)
        nodes = (part for part in self._walk.inside(graph) if part.number == _NODE)
        for index, part in enumerate(nodes):
            self._read_node(part, scope, index)

    def _add(self, stored: StoredTensor, name: str, scope: _Scope) -> None:
        if len(self.tensors) == TENSORS_LIMIT:
            raise InputError(f"there are more than {TENSORS_LIMIT} tensors in it")
        self._walk.charge(len(scope.prefix))
        found = FoundTensor(scope.prefix + name, stored)
        self.tensors.append(found)
        if name:  # an input of no name is one left out
            scope.tensors[name] = found

    def _read_node(self, place: Field, scope: _Scope, index: int) -> None:
        node = self._node(place)
        name = node.name or f"{node.op}_{index}"
        if node.op == "Constant" and node.constant and node.outputs:
            self._add(node.constant, node.outputs[0], scope)
        for number, used in enumerate(node.inputs):
            is_state = number in RECURRENT_STATES.get(node.op, ())
            tensor = scope.tensors.get(used) or scope.repeated.get(used)
            if number == 0 and node.op in _REPEATS and node.outputs and tensor is not None:
                scope.repeated[node.outputs[0]] = tensor
            if tensor is None or (used not in scope.tensors and not is_state):
                continue
            if number == 0 and node.op in _SAME_VALUES and node.outputs:
                scope.tensors[node.outputs[0]] = tensor
            elif not tensor.layer or (is_state and tensor.layer in _REPEATS):
                self._walk.charge(len(scope.prefix) + len(name))
                tensor.layer = node.op
                tensor.config = {**node.settings, "input": number, "node": scope.prefix + name}
                if (module := self._module(node)) is not None:
                    tensor.config["module"] = module
        for attribute, graph in node.graphs:
            self._walk.charge(len(scope.prefix) + len(name))
            self._read_graph(graph, scope.inner(f"{name}/{attribute}"))

    def _node(self, place: Field) -> _Node:
        node, domain, walk = _Node(), "", self._walk
        for part in walk.inside(place):
            if part.number == _INPUT:
                node.inputs.append(walk.text(part))
            elif part.number == _OUTPUT:
                node.outputs.append(walk.text(part))
            elif part.number == _NODE_NAME:
                node.name = walk.text(part)
            elif part.number == _OP_TYPE:
                node.op = walk.text(part)
            elif part.number == _DOMAIN:
                domain = walk.text(part)
            elif part.number == _ATTRIBUTE:
                self._read_attribute(part, node)
            elif part.number == _METADATA:
                node.metadata.append(part)
        if domain not in _STANDARD:  # an operator of the same name may have other weights
            node.op = f"{domain}.{node.op}"
        return node

    def _module(self, node: _Node) -> str | None:
        """The module of torch's that the node comes from, empty for the model itself; None where that is not told."""
        walk = self._walk
        for place in node.metadata:
            parts = {part.number: part for part in walk.inside(place)}
            if parts.keys() >= {1, 2} and walk.text(parts[1]) == _SCOPES:
                scopes: list[str] = re.findall("'([^']*)'", walk.text(parts[2]))
                return scopes[-2] if len(scopes) > 1 else None
        return None

    def _read_attribute(self, place: Field, node: _Node) -> None:
        """Of most attributes only the name is read, which comes first: every writer orders fields by number."""
        walk, name = self._walk, ""
        for part in walk.inside(place):
            if part.number == _ATTRIBUTE_NAME:
                name = walk.text(part)
            elif part.number == _TENSOR:
                node.constant = stored_tensor(walk, part)
            elif part.number == _SPARSE_TENSOR:
                node.constant = sparse_tensor(walk, part)
            elif part.number in _GRAPHS:
                walk.charge(_FIELD_BYTES)
                node.graphs.append((name, part))
            elif name in _SETTINGS and part.number == _STRINGS:
                node.settings.setdefault(name, []).append(walk.text(part))
            elif name in _SETTINGS and part.number in _SINGLE:
                node.settings[name] = _SINGLE[part.number](walk, part)
        if name in CONSTANTS:
            node.constant = constant(walk, place, name)
