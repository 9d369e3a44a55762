"""safetensors: a length, a JSON header, then the numbers. https://github.com/huggingface/safetensors, "Format"."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from convtool.arrays.description import TensorInfo, WeightFile
from convtool.arrays.raw import RawFile, checked_count, unpacked
from convtool.arrays.safetensors.dtypes import DTYPES
from convtool.errors import InputError
from convtool.files.json import distinct

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LENGTH = 8
_HEADER_LIMIT = 12 << 20
"""Bytes of header that are read: a hundred thousand tensors. The format allows 100 MB, which would take gigabytes."""

_TENSORS_LIMIT = 1 << 17

_HALF_BYTE = "float4_e2m1fn"
"""Two numbers a byte, the first in the lower half, as torch packs them."""


class SafetensorsReader(WeightFile):
    """The safetensors file at `path`, in the order of its header.

    It is held to what the reference implementation demands, but for a header of no more than 12 MiB and 131072
    tensors. As the numbers must cover the file without gaps, an entry that lies makes the whole file suspect.

    Raises:
        InputError: it can't be read, or breaks the format.
    """

    threadsafe = True

    def __init__(self, path: str) -> None:
        self.format, self.layout, self.notes = "safetensors", "", []
        self._file = RawFile(path)
        header, self._data = _header(self._file)
        self.metadata = _metadata(header.pop("__metadata__", None) or {})
        if self.metadata.get("format") == "pt":
            self.layout = "torch"
        self._spans = {name: _span(name, entry) for name, entry in header.items()}
        _check_cover(self._spans, self._file.size - self._data)
        self.named = {name: _described(name, entry, self._spans[name]) for name, entry in header.items()}
        self.tensors = tuple(self.named.values())

    def pieces(self, tensor: TensorInfo) -> Iterator[NDArray[Any]]:
        start, count = self._start(tensor), checked_count(tensor.shape)
        if tensor.dtype == _HALF_BYTE:
            yield from unpacked(self._file.pieces("uint8", start=start, count=count // 2), tensor.dtype)
        else:
            yield from self._file.pieces(tensor.dtype, start=start, count=count)

    def shares(self, tensor: TensorInfo) -> Iterator[Iterator[NDArray[Any]]]:
        if tensor.dtype == _HALF_BYTE:
            yield self.pieces(tensor)
            return
        yield from self._file.shares(tensor.dtype, start=self._start(tensor), count=checked_count(tensor.shape))

    def _start(self, tensor: TensorInfo) -> int:
        """The byte where the values begin."""
        if not tensor.readable:
            raise InputError(f"tensor {tensor.name!r:.200}: {tensor.flag}")
        return self._data + self._spans[tensor.name][0]


def _header(file: RawFile) -> tuple[dict[str, Any], int]:
    """The header, and where the numbers begin."""
    start = file.read(0, _LENGTH + 1)
    if len(start) < _LENGTH:
        raise InputError(f"the file has {file.size} bytes; a safetensors header takes more than {_LENGTH}")
    length = int.from_bytes(start[:_LENGTH], "little")
    if length > file.size - _LENGTH:
        raise InputError(f"the safetensors header declares {length} bytes; the file has {file.size}")
    if start[_LENGTH:] != b"{":
        raise InputError("the safetensors header is no JSON: it does not begin with '{'")
    if length > _HEADER_LIMIT:
        raise InputError(f"the safetensors header has {length} bytes; the limit is {_HEADER_LIMIT}")
    return _parsed(file.read(_LENGTH, length)), _LENGTH + length


def _parsed(text: bytes) -> dict[str, Any]:
    if text.count(b"{") + text.count(b"[") > 3 * _TENSORS_LIMIT:  # each would take far more memory than text
        raise InputError(f"the safetensors header has more entries than {_TENSORS_LIMIT} tensors need, the limit")
    try:
        header: dict[str, Any] = json.loads(text.decode(), object_pairs_hook=distinct)
    except (ValueError, RecursionError) as error:
        raise InputError("the safetensors header is no JSON") from error
    return header


def _metadata(found: Any) -> Mapping[str, str]:
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise InputError("the safetensors header has a '__metadata__' that is not texts by name")
    return found


def _span(name: str, entry: Any) -> tuple[int, int]:
    """The bytes from which to before which the entry's numbers lie, counted from the end of the header."""
    match entry:
        case {"dtype": str() as code, "shape": list() as shape, "data_offsets": [begin, end]} if (
            type(begin) is type(end) is int
        ):
            pass
        case _:
            raise InputError(f"tensor {name!r:.200} has no dtype, shape and data_offsets as safetensors has them")
    try:
        count = checked_count(shape)
    except InputError as error:
        raise InputError(f"tensor {name!r:.200}: {error}") from error
    bits = DTYPES.get(code, ("", 0))[1]
    if not 0 <= begin <= end or (bits and count * bits != 8 * (end - begin)):
        raise InputError(
            f"tensor {name!r:.200} declares {count} numbers of type {code!r:.40} in bytes {begin} to {end}; "
            f"these hold another number of them"
        )
    return begin, end


def _check_cover(spans: Mapping[str, tuple[int, int]], size: int) -> None:
    """Refuse numbers that do not lie side by side from the first byte to the last."""
    at = 0
    for name, (begin, end) in sorted(spans.items(), key=lambda item: item[1]):
        if begin != at:
            raise InputError(f"tensor {name!r:.200} begins at byte {begin}; the one before ends at {at}")
        at = end
    if at != size:
        raise InputError(f"the tensors take {at} bytes; the file has {size} for them")


def _described(name: str, entry: Mapping[str, Any], span: tuple[int, int]) -> TensorInfo:
    code = entry["dtype"]
    dtype, bits = DTYPES.get(code, (code, 0))
    flag = (
        ""
        if bits >= 8 or dtype == _HALF_BYTE
        else f"{bits} bits a number; its values are not read"
        if bits
        else "its dtype is unknown"
    )
    return TensorInfo(name, tuple(entry["shape"]), dtype, span[1] - span[0], flag=flag, readable=not flag)
