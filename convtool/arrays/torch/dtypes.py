"""torch's number types: how many bytes each takes in a file, and what those bytes stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convtool.arrays.narrow import NARROW
from convtool.arrays.raw import as_numbers, stored_type

if TYPE_CHECKING:
    from numpy.typing import NDArray

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


def is_read(dtype: str) -> bool:
    """Whether `numbers` knows the type."""
    return dtype in _READ


def value_bytes(dtype: str) -> int:
    """What each number takes that `numbers` gives."""
    if dtype == "complex32":
        return 8
    return 4 if dtype in NARROW else ITEM_BYTES[dtype]


def numbers(stored: NDArray[Any], dtype: str, *, order: str) -> NDArray[Any]:
    """The numbers of type `dtype` that the bytes `stored`, whole items in one row, stand for.

    They are in native byte order. Types that NumPy lacks come in the next that holds all of their values:
    ``complex32`` as complex64, ``bfloat16`` and the 8-bit floats as float32. Booleans are true where a byte is not 0.

    >>> import numpy as np
    >>> numbers(np.array([0x40, 0x49], np.uint8), "bfloat16", order=">").tolist()
    [3.140625]
    """
    part = "float16" if dtype == "complex32" else dtype
    values = as_numbers(stored.view(stored_type(part, order)), part)
    return values.astype("f4").view("c8") if dtype == "complex32" else values
