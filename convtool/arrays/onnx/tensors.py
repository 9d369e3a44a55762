"""ONNX's TensorProto: what a tensor in the file declares of itself, and what is wrong with that.

Field numbers and types: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from convtool.arrays.description import TEXT, TensorInfo
from convtool.arrays.onnx.protobuf import Field, Walk
from convtool.arrays.raw import checked_count
from convtool.errors import InputError

_DIMS, _DATA_TYPE, _SEGMENT, _NAME, _RAW_DATA, _EXTERNAL_DATA, _DATA_LOCATION = 1, 2, 3, 8, 9, 13, 14
FLOAT_DATA, INT32_DATA, INT64_DATA, DOUBLE_DATA, UINT64_DATA = 4, 5, 7, 10, 11
_SPARSE_VALUES, _SPARSE_DIMS = 1, 3
_KEY_AND_VALUE = (1, 2)
_EXTERNAL_KEYS = ("location", "offset", "length")
_EXTERNAL = 1
_STRING = 8

CONSTANTS = {
    "value_float": (1, 2),
    "value_floats": (1, 7),
    "value_int": (7, 3),
    "value_ints": (7, 8),
    "value_string": (_STRING, 4),
    "value_strings": (_STRING, 9),
}
"""The attributes that a Constant may have its numbers in: their data type, and the field of an AttributeProto."""

_LONGEST_NUMBER = 19
"""Digits of the largest signed integer of 64 bits."""


class DataType(NamedTuple):
    """One of ONNX's types of numbers."""

    name: str
    bits: int
    field: int
    """Which field of a TensorProto has the numbers where they are no raw bytes."""


_TYPES = {
    1: DataType("float32", 32, FLOAT_DATA),
    2: DataType("uint8", 8, INT32_DATA),
    3: DataType("int8", 8, INT32_DATA),
    4: DataType("uint16", 16, INT32_DATA),
    5: DataType("int16", 16, INT32_DATA),
    6: DataType("int32", 32, INT32_DATA),
    7: DataType("int64", 64, INT64_DATA),
    9: DataType("bool", 8, INT32_DATA),
    10: DataType("float16", 16, INT32_DATA),
    11: DataType("float64", 64, DOUBLE_DATA),
    12: DataType("uint32", 32, UINT64_DATA),
    13: DataType("uint64", 64, UINT64_DATA),
    14: DataType("complex64", 64, FLOAT_DATA),
    15: DataType("complex128", 128, DOUBLE_DATA),
    16: DataType("bfloat16", 16, INT32_DATA),
    17: DataType("float8_e4m3fn", 8, INT32_DATA),
    18: DataType("float8_e4m3fnuz", 8, INT32_DATA),
    19: DataType("float8_e5m2", 8, INT32_DATA),
    20: DataType("float8_e5m2fnuz", 8, INT32_DATA),
    21: DataType("uint4", 4, INT32_DATA),
    22: DataType("int4", 4, INT32_DATA),
    23: DataType("float4_e2m1fn", 4, INT32_DATA),
    24: DataType("float8_e8m0fnu", 8, INT32_DATA),
    25: DataType("uint2", 2, INT32_DATA),
    26: DataType("int2", 2, INT32_DATA),
    27: DataType("float6_e2m3fn", 6, INT32_DATA),
    28: DataType("float6_e3m2fn", 6, INT32_DATA),
}


@dataclass(slots=True)
class StoredTensor:
    """A TensorProto without its numbers; or the values of a SparseTensorProto, with the shape of the whole."""

    place: Field
    name: str = ""
    dims: list[int] = field(default_factory=list)
    code: int = 0
    raw: tuple[int, int] | None = None
    """Where its raw bytes begin and end."""
    typed: dict[int, int] = field(default_factory=dict)
    """Bytes in each of the fields that hold numbers of one type."""
    attribute: int = 0
    """Which field of an AttributeProto has the numbers, where that is what `place` holds."""
    segment: bool = False
    sparse: bool = False
    is_external: bool = False
    external: dict[str, str] = field(default_factory=dict)
    """Where in another file its numbers are: ``location``, ``offset``, ``length``, as the model spells them."""

    @property
    def type(self) -> DataType | None:
        """Its type of numbers; None for text and what is unknown."""
        return _TYPES.get(self.code)

    @property
    def number_type(self) -> DataType:
        """Its type of numbers, for a tensor that has one."""
        return _TYPES[self.code]

    @property
    def field(self) -> int:
        """Which field has its numbers where they are no raw bytes."""
        return self.attribute or self.number_type.field

    @property
    def count(self) -> int:
        """How many numbers its shape takes."""
        return math.prod(self.dims)

    @property
    def nbytes(self) -> int:
        """Bytes that its numbers take, several in one where they are of less than 8 bits."""
        return -(-self.count * self.type.bits // 8) if self.type else 0

    @property
    def location(self) -> str:
        """The file that has its numbers, as the model spells it."""
        return self.external.get("location", "")

    @property
    def offset(self) -> int:
        """Where in that file they begin."""
        return int(self.external.get("offset", "0"))


def stored_tensor(walk: Walk, place: Field) -> StoredTensor:
    """What the TensorProto in the field `place` declares.

    Raises:
        InputError: its bytes are no TensorProto.
    """
    tensor = StoredTensor(place)
    for part in walk.inside(place):
        if part.number == _DIMS:
            tensor.dims += walk.integers(part)
        elif part.number == _DATA_TYPE:
            tensor.code = walk.integer(part)
        elif part.number == _NAME:
            tensor.name = walk.text(part)
        elif part.number == _RAW_DATA:
            tensor.raw = walk.span(part)
        elif part.number in (FLOAT_DATA, INT32_DATA, INT64_DATA, DOUBLE_DATA, UINT64_DATA):
            tensor.typed[part.number] = tensor.typed.get(part.number, 0) + part.stop - part.start
        elif part.number == _EXTERNAL_DATA:
            texts = {item.number: walk.text(item) for item in walk.inside(part) if item.number in _KEY_AND_VALUE}
            if texts.get(1) in _EXTERNAL_KEYS:
                tensor.external[texts[1]] = texts.get(2, "")
        elif part.number == _DATA_LOCATION:
            tensor.is_external = walk.integer(part) == _EXTERNAL
        elif part.number == _SEGMENT:
            tensor.segment = True
    return tensor


def constant(walk: Walk, place: Field, name: str) -> StoredTensor:
    """What the attribute called `name`, one of `CONSTANTS`, declares, which the field `place` holds."""
    code, number = CONSTANTS[name]
    tensor = StoredTensor(place, code=code, attribute=number)
    parts = [part for part in walk.inside(place) if part.number == number]
    tensor.typed[number] = sum(part.stop - part.start for part in parts)
    if name.endswith("s"):
        whole = tensor.type is not None and tensor.type.name == "int64"
        others = len(parts) if code == _STRING else tensor.typed[number] // 4
        tensor.dims = [sum(1 for part in parts for _ in walk.integers(part)) if whole else others]
    return tensor


def sparse_tensor(walk: Walk, place: Field) -> StoredTensor:
    """What the SparseTensorProto in the field `place` declares."""
    tensor = StoredTensor(place)
    dims: list[int] = []
    for part in walk.inside(place):
        if part.number == _SPARSE_VALUES:
            tensor = stored_tensor(walk, part)
        elif part.number == _SPARSE_DIMS:
            dims += walk.integers(part)
    tensor.dims, tensor.sparse = dims, True
    return tensor


def described(tensor: StoredTensor, name: str, *, layer: str, config: Mapping[str, Any]) -> TensorInfo:
    """`tensor` as a listing shows it; one of a shape that can't be has the shape ``(0,)``."""
    misshapen = _shape_fault(tensor)
    flag = _type_fault(tensor) or misshapen or _data_fault(tensor)
    unknown = TEXT if tensor.code == _STRING else f"unknown ({tensor.code})"
    return TensorInfo(
        name,
        (0,) if misshapen else tuple(tensor.dims),
        tensor.type.name if tensor.type else unknown,
        0 if misshapen else tensor.nbytes,
        layer=layer,
        config=config,
        flag=flag or (f"external: {tensor.location!r}" if tensor.is_external else ""),
        readable=not flag,
    )


def _type_fault(tensor: StoredTensor) -> str:
    """Why numbers of its kind can't be read at all; nothing where they can."""
    if tensor.code == _STRING:
        return "it holds text, not numbers"
    if tensor.type is None:
        return f"it is of the data type {tensor.code}, which ONNX does not have"
    if tensor.sparse:
        return "it is stored sparse; its values are not read"
    return "it is a segment of a larger tensor; its values are not read" if tensor.segment else ""


def _shape_fault(tensor: StoredTensor) -> str:
    try:
        checked_count(tensor.dims)
    except InputError as error:
        return str(error)
    return ""


def _data_fault(tensor: StoredTensor) -> str:
    """Why the numbers can't be where the header says."""
    if tensor.is_external:
        return _external_fault(tensor)
    dtype = tensor.number_type
    stored = tensor.typed.get(tensor.field, 0) if tensor.raw is None else tensor.raw[1] - tensor.raw[0]
    if tensor.raw is not None or dtype.field in (FLOAT_DATA, DOUBLE_DATA):
        return "" if stored == tensor.nbytes else f"it holds {stored} bytes; its shape takes {tensor.nbytes}"
    least = tensor.nbytes if dtype.bits < 6 else tensor.count  # each integer takes a byte or more
    return "" if stored >= least else f"it holds {stored} bytes; its shape takes {least} integers"


def _external_fault(tensor: StoredTensor) -> str:
    """Only files in the model's folder and below are read, and from these what the shape takes."""
    location = tensor.location
    parts = re.split(r"[/\\]", location)
    if not parts[0] or ".." in parts or "\0" in location or re.match("[A-Za-z]:", location):
        return f"external: {location!r} is refused; expected a file in the model's folder"
    for key in ("offset", "length"):
        value = tensor.external.get(key, "0")
        if not (value.isascii() and value.isdigit() and len(value) <= _LONGEST_NUMBER):
            return f"external: {location!r} with the {key} {value[:40]!r}; expected a number of bytes"
    length = int(tensor.external.get("length", tensor.nbytes))
    if length != tensor.nbytes:
        return f"external: {length} bytes of {location!r}; its shape takes {tensor.nbytes}"
    return ""
