"""ONNX's ModelProto: the tensors of its graphs and functions, and the nodes that use them.

Field numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from __future__ import annotations

import re
from collections import ChainMap, Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from convtool.arrays.onnx import RECURRENT_STATES
from convtool.arrays.onnx.functions import STANDARD, Function, defaults, function_of, key_of, nodes
from convtool.arrays.onnx.protobuf import Field, Walk
from convtool.arrays.onnx.tensors import CONSTANTS, StoredTensor, constant, sparse_tensor, stored_tensor
from convtool.errors import InputError
from convtool.files.remote_file import RemoteFile

TENSORS_LIMIT = 100_000
"""Tensors that a model may have."""

_DEPTH_LIMIT = 16
"""Graphs within graphs: the bodies of loops and branches."""

_CALLS_LIMIT = 8
"""Functions that are read within one another, to tell what they do with their inputs; deeper ones are read later."""

_IR_VERSION, _PRODUCER, _PRODUCER_VERSION, _GRAPH, _OPSET, _FUNCTION = 1, 2, 3, 7, 8, 25
_OPSET_DOMAIN, _OPSET_VERSION = 1, 2
_NODE, _INITIALIZER, _SPARSE_INITIALIZER = 1, 5, 15
_INPUT, _OUTPUT, _NODE_NAME, _OP_TYPE, _ATTRIBUTE, _DOMAIN, _OVERLOAD, _METADATA = 1, 2, 3, 4, 5, 7, 8, 9
_SCOPES = "pkg.torch.onnx.name_scopes"
"""Where torch's exporter tells the modules that a node comes from, `['', 'net', 'net.0', 'conv1d']`."""
_ATTRIBUTE_NAME, _STRINGS, _REFERENCE = 1, 9, 21
_TENSORS, _SPARSE_TENSORS = (5, 10), (22, 23)
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
    uses: int = 0
    """How often it is an input of a node, what only copies or repeats it aside."""


@dataclass(slots=True)
class _Node:
    op: str = ""
    name: str = ""
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    tensors: list[tuple[str, StoredTensor]] = field(default_factory=list)
    """Those in its attributes, each with the attribute's name: what a Constant gives, or a function takes."""
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
    calls: int = 0
    """Functions around it that are being read."""

    def inner(self, way: str) -> _Scope:
        """That of a graph within this one."""
        if self.depth == _DEPTH_LIMIT:
            raise InputError(f"there are more than {_DEPTH_LIMIT} graphs within one another")
        tensors, repeated = self.tensors.new_child(), self.repeated.new_child()
        return _Scope(f"{self.prefix}{way}/", tensors, repeated, self.depth + 1, self.calls)


class Model:
    """The model that `file` holds, a descriptor or a remote file.

    Raises:
        InputError: it is no ONNX model, or is damaged.
    """

    def __init__(self, file: int | RemoteFile) -> None:
        self._walk = Walk(file)
        self.tensors: list[FoundTensor] = []
        self.metadata: dict[str, str] = {}
        self._functions: dict[str, Function] = {}
        self._inputs: dict[str, list[FoundTensor]] = {}
        """Of each function that has been read its inputs, with the nodes that use them."""
        graph = None
        for part in self._walk.message():
            if part.number == _GRAPH:
                graph = part
            elif part.number == _FUNCTION:
                self._add_function(function_of(self._walk, part))
            else:
                self._tell(part)
        if graph is None:
            raise InputError("there is no graph in it; expected an ONNX model")
        self._read_graph(graph, _Scope())
        for key in self._functions:
            if key not in self._inputs:
                self._read_function(key, calls=0)

    def _add_function(self, function: Function) -> None:
        if len(self._functions) == TENSORS_LIMIT:
            raise InputError(f"there are more than {TENSORS_LIMIT} functions in it")
        key = function.key if function.key not in self._functions else f"{function.key}#{len(self._functions)}"
        self._walk.charge(len(key) + _FIELD_BYTES * (1 + len(function.inputs)))
        self._functions[key] = function

    def _read_function(self, key: str, *, calls: int) -> None:
        """Add the tensors in a function's nodes and the defaults of its attributes; keep what is told of its inputs."""
        function, scope = self._functions[key], _Scope(f"{key}/", calls=calls + 1)
        self._inputs[key] = [FoundTensor(name, StoredTensor(function.place)) for name in function.inputs]
        scope.tensors.update((each.name, each) for each in self._inputs[key] if each.name)
        given = _Node()
        for part in defaults(self._walk, function):
            self._read_attribute(part, given)
        self._add_attributes(given, scope)
        for index, part in enumerate(nodes(self._walk, function)):
            self._read_node(part, scope, index)

    def _add_attributes(self, node: _Node, scope: _Scope, way: str = "") -> None:
        """Add the tensors that a function is given as attributes; no node takes these by their names."""
        times = Counter(name for name, _ in node.tensors)
        for index, (name, stored) in enumerate(node.tensors):
            several = f"/{index}" * (times[name] > 1)
            self._add(stored, f"{way}{name}{several}", scope, visible=False)

    def _called(self, node: _Node, scope: _Scope) -> list[FoundTensor]:
        """The inputs of the function that the node calls; none where it calls none."""
        if node.op in self._functions and node.op not in self._inputs and scope.calls < _CALLS_LIMIT:
            self._read_function(node.op, calls=scope.calls)
        return self._inputs.get(node.op, [])

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
            if domain in STANDARD:
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
        for index, part in enumerate(part for part in self._walk.inside(graph) if part.number == _NODE):
            self._read_node(part, scope, index)

    def _add(self, stored: StoredTensor, name: str, scope: _Scope, *, visible: bool = True) -> None:
        if len(self.tensors) == TENSORS_LIMIT:
            raise InputError(f"there are more than {TENSORS_LIMIT} tensors in it")
        self._walk.charge(len(scope.prefix))
        found = FoundTensor(scope.prefix + name, stored)
        self.tensors.append(found)
        if name and visible:  # an input of no name is one left out
            scope.tensors[name] = found

    def _read_node(self, place: Field, scope: _Scope, index: int) -> None:
        node = self._node(place)
        name = node.name or f"{node.op}_{index}"
        called = self._called(node, scope)
        if node.op == "Constant" and node.tensors and node.outputs:
            self._add(node.tensors[-1][1], node.outputs[0], scope)
        elif node.op in self._functions:
            self._walk.charge(len(name) * len(node.tensors))
            self._add_attributes(node, scope, f"{name}/")
        for number, used in enumerate(node.inputs):
            is_state = number in RECURRENT_STATES.get(node.op, ())
            tensor = scope.tensors.get(used) or scope.repeated.get(used)
            if number == 0 and node.op in _REPEATS and node.outputs and tensor is not None:
                scope.repeated[node.outputs[0]] = tensor
            if tensor is None or (used not in scope.tensors and not is_state):
                continue
            if number == 0 and node.op in _SAME_VALUES and node.outputs:
                scope.tensors[node.outputs[0]] = tensor
                continue
            inner = called[number] if number < len(called) and called[number].layer else None
            tensor.uses += inner.uses if inner else 1
            if tensor.layer and not (is_state and tensor.layer in _REPEATS):
                continue
            self._walk.charge(len(scope.prefix) + len(name))
            if inner:
                way = inner.config["node"].removeprefix(f"{node.op}/")
                self._walk.charge(len(way))
                tensor.layer = inner.layer
                tensor.config = {**inner.config, "node": f"{scope.prefix}{name}/{way}"}
            else:
                tensor.layer = node.op
                tensor.config = {**node.settings, "input": number, "node": scope.prefix + name}
                if (module := self._module(node)) is not None:
                    tensor.config["module"] = module
        for attribute, graph in node.graphs:
            self._walk.charge(len(scope.prefix) + len(name))
            self._read_graph(graph, scope.inner(f"{name}/{attribute}"))

    def _node(self, place: Field) -> _Node:
        node, domain, overload, walk = _Node(), "", "", self._walk
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
            elif part.number == _OVERLOAD:
                overload = walk.text(part)
            elif part.number == _ATTRIBUTE:
                self._read_attribute(part, node)
            elif part.number == _METADATA:
                node.metadata.append(part)
        node.op = key_of(domain, node.op, overload)
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
        walk, name, reference = self._walk, "", ""
        for part in walk.inside(place):
            if part.number == _ATTRIBUTE_NAME:
                name = walk.text(part)
            elif part.number == _REFERENCE:
                reference = walk.text(part)
            elif part.number in (*_TENSORS, *_SPARSE_TENSORS):
                if len(node.tensors) == TENSORS_LIMIT:
                    raise InputError(f"there are more than {TENSORS_LIMIT} tensors in it")
                stored = stored_tensor(walk, part) if part.number in _TENSORS else sparse_tensor(walk, part)
                node.tensors.append((name, stored))
            elif part.number in _GRAPHS:
                walk.charge(_FIELD_BYTES)
                node.graphs.append((name, part))
            elif name in _SETTINGS and part.number == _STRINGS:
                node.settings.setdefault(name, []).append(walk.text(part))
            elif name in _SETTINGS and part.number in _SINGLE:
                node.settings[name] = _SINGLE[part.number](walk, part)
        if name in CONSTANTS and not reference:  # an attribute of the function around it gives no value here
            node.tensors.append((name, constant(walk, place, name)))
