"""The header of an NPY file, read and written without NumPy, which a listing does not load.

Format: the docstring of `numpy.lib.format`.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from convtool.arrays.description import TEXT
from convtool.arrays.raw import checked_count
from convtool.errors import InputError

HEADER_LIMIT = 10_000
"""Bytes of header that NumPy reads, too."""

_MAGIC = b"\x93NUMPY"
_VERSIONS = {(1, 0): (2, "latin-1"), (2, 0): (4, "latin-1"), (3, 0): (4, "utf-8")}
"""Bytes of the header's length, and the header's encoding."""

_BEFORE = len(_MAGIC) + 4
"""Bytes before the text of a header of version 1.0."""
_ALIGNMENT = 64

_LONG = re.compile(r"(?<=\d)L\b")
"""What Python 2 wrote behind a large whole number."""

_DTYPE = re.compile(r"([<>|=]?)([a-zA-Z?])(\d*)")
_NAMES = {
    **{f"f{size}": f"float{8 * size}" for size in (2, 4, 8)},
    **{f"i{size}": f"int{8 * size}" for size in (1, 2, 4, 8)},
    **{f"u{size}": f"uint{8 * size}" for size in (1, 2, 4, 8)},
    "f1": "float8_e5m2",  # as ml_dtypes has it
    "c8": "complex64",
    "c16": "complex128",
    "b1": "bool",
}
_OTHERS = {
    "O": "pickled objects, which are refused",
    "V": "bytes of a type that NumPy lacks",
    "S": "text",
    "U": "text",
    "M": "dates",
    "m": "spans of time",
}


@dataclass(frozen=True)
class Header:
    """What stands before the numbers of an array."""

    size: int
    """Its own bytes."""
    shape: tuple[int, ...]
    count: int
    dtype: str
    """NumPy's name, or what the header has where it is none that is read."""
    itemsize: int
    """Bytes of one number; 0 where it is not known."""
    order: Literal["<", ">"]
    """``<`` or ``>``, little-endian or big-endian."""
    fortran: bool
    """Whether the first axis runs fastest and that makes a difference."""
    flag: str
    """Why the values can't be read, or nothing."""

    def shortage(self, there: int) -> str:
        """What to say where only `there` bytes follow it; nothing where they are enough."""
        if there >= self.count * self.itemsize:
            return ""
        return f"is truncated: {there // self.itemsize} of {self.count} numbers are there"


def header_bytes(descr: str, shape: tuple[int, ...], *, fortran: bool = False, room: int = 0) -> bytes:
    """The header of an array, of `room` bytes or more, such that the values behind it are aligned to 64.

    >>> len(header_bytes("<f4", (2, 3))), len(header_bytes("<f4", (2, 3), room=192))
    (128, 192)
    """
    text = f"{{'descr': {descr!r}, 'fortran_order': {fortran}, 'shape': {shape!r}, }}".ljust(room - _BEFORE - 1)
    text += " " * (-(_BEFORE + len(text) + 1) % _ALIGNMENT) + "\n"
    return _MAGIC + b"\1\0" + len(text).to_bytes(2, "little") + text.encode("latin-1")


def read_header(read: Callable[[int], bytes]) -> Header:
    """The header that `read` gives the bytes of, as many as asked for, fewer at the end.

    Raises:
        InputError: it is no header of an array, or damaged.
    """
    start = read(len(_MAGIC) + 2)
    if len(start) < len(_MAGIC) + 2 or not start.startswith(_MAGIC):
        raise InputError("it does not begin as an NPY file does")
    version = start[-2], start[-1]
    if version not in _VERSIONS:
        raise InputError(f"NPY version {version[0]}.{version[1]} is unknown; expected 1.0 to 3.0")
    width, encoding = _VERSIONS[version]
    length = int.from_bytes(read(width), "little")
    if length > HEADER_LIMIT:
        raise InputError(f"the NPY header declares {length} bytes; the limit is {HEADER_LIMIT}")
    text = read(length)
    try:
        descr, fortran, shape = _fields(text.decode(encoding))
        count = checked_count(shape)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise InputError("the NPY header is damaged, or ends too early") from error
    order, dtype, itemsize, flag = _number_type(descr)
    return Header(
        size=len(_MAGIC) + 2 + width + length,
        shape=shape,
        count=count,
        dtype=dtype,
        itemsize=itemsize,
        order=order,
        fortran=fortran and sum(size > 1 for size in shape) > 1,
        flag=flag,
    )


def _fields(text: str) -> tuple[object, bool, tuple[Any, ...]]:
    """Dtype, whether in Fortran order, and shape from the Python literal that the header is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the parser's, of odd literals
        fields = ast.literal_eval(_LONG.sub("", text))
    match fields:
        case {"descr": descr, "fortran_order": bool() as fortran, "shape": tuple() as shape} if len(fields) == 3:
            return descr, fortran, shape
    raise InputError("the NPY header does not tell descr, fortran_order and shape alone")


def _number_type(descr: object) -> tuple[Literal["<", ">"], str, int, str]:
    """Byte order, dtype, bytes of a number, and a flag where it is none that is read."""
    if not isinstance(descr, str):
        return "<", "record", 0, "holds structured records; expected numbers"
    found = _DTYPE.fullmatch(descr.partition("[")[0])
    kind, size = found.group(2, 3) if found else ("", "")
    if found and kind + size in _NAMES:
        return ">" if found.group(1) == ">" else "<", _NAMES[kind + size], int(size), ""
    if found and kind == "V" and size in ("1", "2"):
        return "<", f"void{8 * int(size)}", int(size), f"holds {_OTHERS[kind]}; expected numbers"
    dtype = TEXT if kind in ("S", "U") else f"{descr:.40}"
    return "<", dtype, 0, f"holds {_OTHERS.get(kind, 'what convtool does not read')}; expected numbers"
