"""torch's archives, written without torch: a zip of a pickled dict and the storages that its tensors name.

The layout is that of ``torch.save`` since 1.6; ``torch.load(weights_only=True)`` reads it, with ``mmap`` too.
The pickle's opcodes are those of the standard library's ``pickletools``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from convtool.arrays.torch.dtypes import STORAGE_OF
from convtool.arrays.writing import Array, Texts
from convtool.arrays.zip.writer import StoredZipWriter


class TorchWriter(StoredZipWriter):
    """A ``.pt`` file of a dict: tensors, strings and lists of strings under their names."""

    def _entries(self, texts: Mapping[str, Texts]) -> Iterator[tuple[str, bytes, Array | None]]:
        arrays = list(self._arrays.values())
        tensors = {array.name: _tensor(array, str(key)) for key, array in enumerate(arrays)}
        pickled = tensors | {name: _pickled(text) for name, text in texts.items()}
        items = b"".join(_pickled(name) + value for name, value in pickled.items())
        yield "archive/data.pkl", b"\x80\x02}(" + items + b"u.", None
        yield "archive/byteorder", b"little", None
        for key, array in enumerate(arrays):
            yield f"archive/data/{key}", b"", array
        yield "archive/version", b"3\n", None


def _tensor(array: Array, key: str) -> bytes:
    """``_rebuild_tensor_v2(storage, offset, shape, stride, requires_grad, hooks)`` with a storage by its key.

    Newer types have no storages of their own: these are bytes, and ``_rebuild_tensor_v3`` is told the type.
    """
    strides = [math.prod(array.shape[axis + 1 :]) for axis in range(len(array.shape))]
    if typed := array.dtype in STORAGE_OF:
        kind, count = _global("torch", STORAGE_OF[array.dtype]), math.prod(array.shape)
    else:
        kind, count = _global("torch.storage", "UntypedStorage"), array.nbytes
    storage = b"(" + _pickled("storage") + kind + _pickled(key) + _pickled("cpu") + _integer(count) + b"tQ"
    hooks = _global("collections", "OrderedDict") + b")R"
    arguments = storage + _integer(0) + _integers(array.shape) + _integers(strides) + b"\x89" + hooks
    arguments += b"" if typed else _global("torch", array.dtype)
    return _global("torch._utils", f"_rebuild_tensor_v{2 if typed else 3}") + b"(" + arguments + b"tR"


def _global(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode("ascii")


def _integer(value: int) -> bytes:
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def _integers(values: tuple[int, ...] | list[int]) -> bytes:
    return b"(" + b"".join(map(_integer, values)) + b"t"


def _pickled(text: Texts) -> bytes:
    if isinstance(text, str):
        data = text.encode("utf-8")
        return b"X" + len(data).to_bytes(4, "little") + data
    return b"](" + b"".join(map(_pickled, text)) + b"e"
