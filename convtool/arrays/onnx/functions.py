"""ONNX's FunctionProto: operators that a model defines by nodes of its own.

Field numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from convtool.arrays.onnx.protobuf import Field, Walk

STANDARD = ("", "ai.onnx")
"""The domain of ONNX's own operators, as it is spelt."""

_NAME, _INPUT, _NODE, _DOMAIN, _DEFAULT, _OVERLOAD = 1, 4, 7, 10, 11, 13


@dataclass(slots=True)
class Function:
    """A function without its nodes."""

    place: Field
    domain: str = ""
    name: str = ""
    overload: str = ""
    inputs: list[str] = field(default_factory=list)

    @property
    def key(self) -> str:
        """What the nodes that call it are told by."""
        return key_of(self.domain, self.name, self.overload)


def key_of(domain: str, name: str, overload: str) -> str:
    """An operator's name, with its domain before it unless that is ONNX's own: others may have the same name.

    >>> key_of("ai.onnx", "Conv", ""), key_of("com.maker", "Conv", "double")
    ('Conv', 'com.maker.Conv:double')
    """
    return f"{domain}." * (domain not in STANDARD) + name + f":{overload}" * bool(overload)


def function_of(walk: Walk, place: Field) -> Function:
    """The function in the field `place`.

    Raises:
        InputError: its bytes are no FunctionProto.
    """
    function = Function(place)
    for part in walk.inside(place):
        if part.number == _NAME:
            function.name = walk.text(part)
        elif part.number == _INPUT:
            function.inputs.append(walk.text(part))
        elif part.number == _DOMAIN:
            function.domain = walk.text(part)
        elif part.number == _OVERLOAD:
            function.overload = walk.text(part)
    return function


def nodes(walk: Walk, function: Function) -> Iterator[Field]:
    """Its nodes."""
    return (part for part in walk.inside(function.place) if part.number == _NODE)


def defaults(walk: Walk, function: Function) -> Iterator[Field]:
    """Its attributes that have a value where a node gives none."""
    return (part for part in walk.inside(function.place) if part.number == _DEFAULT)
