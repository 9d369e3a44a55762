"""torch's number types: how many bytes each takes in a file, and what pickles call it."""

from __future__ import annotations

_READ = {
    **dict.fromkeys(("bool", "int8", "uint8"), 1),
    **dict.fromkeys(("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu"), 1),
    **dict.fromkeys(("float16", "bfloat16", "int16", "uint16"), 2),
    **dict.fromkeys(("float32", "int32", "uint32", "complex32"), 4),
    **dict.fromkeys(("float64", "int64", "uint64", "complex64"), 8),
    "complex128": 16,
}
_NOT_READ = {
    **dict.fromkeys(("qint8", "quint8", "quint4x2", "quint2x4"), 1),
    "qint32": 4,
    **dict.fromkeys(("float4_e2m1fn_x2", "bits1x8", "bits2x4", "bits4x2", "bits8"), 1),
    "bits16": 2,
}
ITEM_BYTES = {**_READ, **_NOT_READ}
"""Bytes of an item; those types whose values are not read may pack several numbers into one."""

STORAGES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "UntypedStorage": "uint8",
    "BoolStorage": "bool",
    "ComplexDoubleStorage": "complex128",
    "ComplexFloatStorage": "complex64",
    "QInt8Storage": "qint8",
    "QUInt8Storage": "quint8",
    "QInt32Storage": "qint32",
    "QUInt4x2Storage": "quint4x2",
    "QUInt2x4Storage": "quint2x4",
}
"""The classes by which torch's pickles name the type of a storage."""

STORAGE_OF = {dtype: name for name, dtype in reversed(STORAGES.items())}
"""The first of those of each type."""


PACKED = {"float4_e2m1fn_x2": "float4_e2m1fn"}
"""Types whose items are bytes of two numbers of another type, the first in the lower half."""

QUANTISED = {"quint8": "uint8", "qint8": "int8", "qint32": "int32"}
"""Types whose numbers are those of another, less a zero point and times a scale."""

WRITTEN = frozenset(dtype for dtype in _READ if dtype != "complex32")
"""Those that checkpoints are written with."""


def is_read(dtype: str) -> bool:
    """Whether values of the type are read."""
    return dtype in _READ
