"""Number types of up to 16 bits that NumPy lacks, as float32, which holds each of their values.

Sources: OCP 8-bit Floating Point Specification 1.0 (``e4m3fn``, ``e5m2``), OCP Microscaling Formats 1.0 (``e8m0fnu``,
``e2m3fn``, ``e3m2fn``, ``e2m1fn``), and P. Micikevicius et al. and B. Noune et al. 2022 (``fnuz``: no infinities, no
negative zero, NaN in its place).
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_FLOATS = {
    "float8_e4m3fn": (4, 3, 7),
    "float8_e4m3fnuz": (4, 3, 8),
    "float8_e5m2": (5, 2, 15),
    "float8_e5m2fnuz": (5, 2, 16),
    "float6_e2m3fn": (2, 3, 1),
    "float6_e3m2fn": (3, 2, 3),
    "float4_e2m1fn": (2, 1, 1),
}
"""Bits of the exponent and of the mantissa, and the exponent's bias."""

_INTEGERS = {"int4": (4, True), "uint4": (4, False), "int2": (2, True), "uint2": (2, False)}
"""Bits, and whether the highest is the sign."""

NARROW = frozenset({*_FLOATS, *_INTEGERS, "bfloat16", "float8_e8m0fnu"})
"""The types that `widen` knows."""


def widen(codes: NDArray[Any], dtype: str) -> NDArray[np.float32]:
    """The numbers that unsigned integers `codes`, one a number, stand for.

    Args:
        codes: bit patterns of any shape, uint16 for ``bfloat16``, else uint8; bits beyond the type's count for nothing.
        dtype: torch's or ml_dtypes' name of the type: ``bfloat16``, ``float8_e4m3fn``, ``uint4``...

    >>> import numpy as np
    >>> widen(np.array([0x38, 0xB8, 0x7F], np.uint8), "float8_e4m3fn").tolist()
    [1.0, -1.0, nan]
    >>> widen(np.array([0x3F80], np.uint16), "bfloat16").tolist()
    [1.0]
    """
    import numpy as np

    if dtype == "bfloat16":  # the upper half of a float32
        return (codes.astype(np.uint32) << 16).view(np.float32)
    values = np.array(_values(dtype), np.float32)
    numbers: NDArray[np.float32] = values[codes & np.uint8(len(values) - 1)]
    return numbers


def nibbles(packed: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The codes of 4 bits that bytes hold two by two, the first of them in the lower half.

    >>> import numpy as np
    >>> nibbles(np.array([0x21, 0x43], np.uint8)).tolist()
    [1, 2, 3, 4]
    """
    import numpy as np

    return np.stack([packed & 15, packed >> 4], axis=-1).reshape(-1)


def narrowed(numbers: NDArray[Any], dtype: str) -> NDArray[Any]:
    """The inverse of `widen`: the bit pattern of each of `numbers`, all of which the type has.

    >>> import numpy as np
    >>> narrowed(np.array([1.0, -1.0], np.float32), "float8_e4m3fn").tolist()
    [56, 184]
    """
    import numpy as np

    bits = np.ascontiguousarray(numbers, np.float32).view(np.uint32)
    if dtype == "bfloat16":
        return (bits >> 16).astype(np.uint16)
    known = widen(np.arange(len(_values(dtype)), dtype=np.uint8), dtype).view(np.uint32)
    order = np.argsort(known, kind="stable")
    codes: NDArray[Any] = order[np.searchsorted(known, bits, sorter=order)].astype(np.uint8)
    return codes


@functools.cache
def _values(dtype: str) -> tuple[float, ...]:
    """What each bit pattern of the type stands for."""
    if dtype in _INTEGERS:
        bits, signed = _INTEGERS[dtype]
        return tuple(float(code - (signed and code >> (bits - 1) << bits)) for code in range(1 << bits))
    if dtype == "float8_e8m0fnu":
        return (*(2.0 ** (code - 127) for code in range(255)), math.nan)
    exponent, mantissa, bias = _FLOATS[dtype]
    half = 1 << (exponent + mantissa)
    positive = [_float(code, mantissa, bias) for code in range(half)]
    if dtype == "float8_e5m2":  # as IEEE 754 has it: the highest exponent is infinity, then NaN
        positive[0x7C:] = [math.inf, math.nan, math.nan, math.nan]
    elif dtype == "float8_e4m3fn":
        positive[-1] = math.nan
    negative = [-value for value in positive]
    if dtype.endswith("uz"):
        negative[0] = math.nan
    return (*positive, *negative)


def _float(code: int, mantissa: int, bias: int) -> float:
    exponent, fraction = code >> mantissa, (code & ((1 << mantissa) - 1)) / (1 << mantissa)
    if exponent == 0:
        return math.ldexp(fraction, 1 - bias)
    return math.ldexp(1 + fraction, exponent - bias)
