"""GGUF: the models of llama.cpp and whisper.cpp, whose numbers are often quantised in blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from convtool.arrays.description import PIECE_BYTES, TensorInfo, WeightFile, some
from convtool.arrays.gguf.header import Declared, read_header
from convtool.arrays.gguf.types import TYPES, Block, scales_in
from convtool.arrays.raw import RawFile, checked_count
from convtool.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BLOCKS = {block.name: block for block in TYPES.values()}
_SHOWN = 64
"""Key-value pairs that are shown; a model has some thirty."""


class GgufReader(WeightFile):
    """The GGUF file at `path`; its axes are given in torch's order, the reverse of the file's.

    Quantised tensors are listed with the type that ggml gives them, and their values are not read.

    Raises:
        InputError: the header is damaged, or larger than is read.
        OSError: it can't be opened.
    """

    format = "gguf"
    layout = "torch"
    threadsafe = True

    def __init__(self, path: str) -> None:
        self._file = RawFile(path)
        with open(path, "rb", buffering=0) as file:
            header = read_header(file)
        self._order = header.order
        self._starts: dict[str, int] = {}
        self.tensors = tuple(self._described(declared, header.start) for declared in header.tensors)
        self.metadata = {"version": str(header.version), **dict(list(header.pairs.items())[:_SHOWN])}
        self.notes = []
        if len(header.pairs) > _SHOWN:
            self.notes.append(f"{len(header.pairs) - _SHOWN} more key-value pairs are not shown")
        quantised = {info.dtype for info in self.tensors if info.dtype.isupper()}
        if quantised:
            self.notes.append(
                f"quantised in blocks: {some(sorted(quantised))}; the values of these are not read: "
                "llama-quantize --allow-requantize IN OUT F16 makes plain ones of them"
            )

    def _described(self, declared: Declared, numbers: int) -> TensorInfo:
        name, shape = declared.name, tuple(reversed(declared.sizes))
        if name in self._starts:
            raise InputError(f"there are two tensors {name!r:.200} in it")
        try:
            count = checked_count(shape)
        except InputError as error:
            raise InputError(f"tensor {name!r:.200}: {error}") from error
        self._starts[name] = start = numbers + declared.offset
        block = TYPES.get(declared.type)
        if block is None:
            flag = f"of the type {declared.type}, which is not known"
            return TensorInfo(name, shape, f"type {declared.type}", 0, flag=flag, readable=False, opaque=True)
        if count % block.numbers:
            raise InputError(f"tensor {name!r:.200} has {count} numbers, which are no whole blocks of {block.name}")
        nbytes = count // block.numbers * block.nbytes
        flag = f"quantised ({block.name}); its values are not read" if block.numbers > 1 else ""
        opaque = bool(flag)
        if start + nbytes > self._file.size:
            flag = f"is truncated: its bytes are {start} to {start + nbytes}; the file has {self._file.size}"
            self.damage, opaque = [*self.damage, f"tensor {name!r:.200} {flag}"], False
        return TensorInfo(name, shape, block.name, nbytes, flag=flag, readable=not flag, opaque=opaque)

    def pieces(self, tensor: TensorInfo) -> Iterator[NDArray[Any]]:
        start, count = self._place(tensor)
        yield from self._file.pieces(tensor.dtype, start=start, count=count, order=self._order)

    def shares(self, tensor: TensorInfo) -> Iterator[Iterator[NDArray[Any]]]:
        start, count = self._place(tensor)
        yield from self._file.shares(tensor.dtype, start=start, count=count, order=self._order)

    def packed(self, tensor: TensorInfo) -> Iterator[NDArray[Any]]:
        if not tensor.nbytes:
            return super().packed(tensor)
        return self._file.pieces("uint8", start=self._starts[tensor.name], count=tensor.nbytes)

    def scales(self, tensor: TensorInfo) -> Iterator[NDArray[Any]]:
        block = _BLOCKS.get(tensor.dtype)
        return super().scales(tensor) if block is None else self._scales(tensor, block)

    def _scales(self, tensor: TensorInfo, block: Block) -> Iterator[NDArray[Any]]:
        start, step = self._starts[tensor.name], PIECE_BYTES // block.nbytes * block.nbytes
        for first in range(0, tensor.nbytes, step):
            for data in self._file.pieces("uint8", start=start + first, count=min(step, tensor.nbytes - first)):
                yield scales_in(data, block, self._order)

    def _place(self, tensor: TensorInfo) -> tuple[int, int]:
        if not tensor.readable:
            raise InputError(f"tensor {tensor.name!r:.200}: {tensor.flag}")
        return self._starts[tensor.name], checked_count(tensor.shape)
