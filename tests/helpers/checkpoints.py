"""Distributed checkpoints and GGUF files for tests: the former of torch's own records, the latter byte by byte."""

from __future__ import annotations

import io
import pickle
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.distributed.checkpoint.filesystem import _StorageInfo
from torch.distributed.checkpoint.metadata import (
    BytesStorageMetadata,
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    TensorProperties,
    TensorStorageMetadata,
)

Offsets = tuple[int, ...]


def save_parts(
    folder: Path, tensors: Mapping[str, tuple[torch.Tensor, Sequence[tuple[Offsets, Offsets]]]], **objects: Any
) -> Metadata:
    """A checkpoint as ranks write it together: of each tensor, the parts of those offsets and sizes, one a rank."""
    folder.mkdir()
    meta = Metadata(state_dict_metadata={}, planner_data={}, storage_data={})
    files: dict[str, bytes] = {}

    def add(rank: int, value: Any, index: MetadataIndex) -> None:
        data, name = io.BytesIO(), f"__{rank}_0.distcp"
        torch.save(value, data)
        before = files.get(name, b"")
        meta.storage_data[index] = _StorageInfo(name, len(before), len(data.getvalue()))
        files[name] = before + data.getvalue()

    for name, (tensor, parts) in tensors.items():
        chunks = [ChunkStorageMetadata(torch.Size(at), torch.Size(sizes)) for at, sizes in parts]
        properties = TensorProperties(tensor.dtype)
        meta.state_dict_metadata[name] = TensorStorageMetadata(properties, tensor.size(), chunks)
        for rank, (at, sizes) in enumerate(parts):
            where = tuple(slice(start, start + size) for start, size in zip(at, sizes, strict=True))
            add(rank, tensor[where].clone(), MetadataIndex(name, at, rank))
    for name, value in objects.items():
        meta.state_dict_metadata[name] = BytesStorageMetadata()
        add(0, value, MetadataIndex(name))
    for file, data in files.items():
        (folder / file).write_bytes(data)
    describe(folder, meta)
    return meta


def describe(folder: Path, meta: Metadata) -> None:
    """Write the description of a checkpoint, as torch does."""
    (folder / ".metadata").write_bytes(pickle.dumps(meta))


GGUF_TYPES = {np.dtype(name): code for code, name in enumerate(("f4", "f2"))} | {
    np.dtype(name): code for code, name in enumerate(("i1", "i2", "i4", "i8", "f8"), start=24)
}


def gguf(
    tensors: Mapping[str, np.ndarray[Any, Any] | tuple[int, tuple[int, ...], bytes]],
    pairs: bytes = b"",
    count: int = 0,
    *,
    order: str = "<",
    version: int = 3,
) -> bytes:
    """A GGUF file of arrays, or of blocks of a type by its number, with their shape; `count` pairs are in `pairs`."""
    size = "I" if version == 1 else "Q"
    head, data = struct.pack(f"{order}4sI2{size}", b"GGUF", version, len(tensors), count) + pairs, b""
    for name, held in tensors.items():
        if isinstance(held, tuple):
            kind, shape, raw = held
        else:
            kind, shape, raw = GGUF_TYPES[held.dtype], held.shape, held.astype(held.dtype.newbyteorder(order)).tobytes()
        head += gguf_text(name, order=order, size=size) + struct.pack(f"{order}I", len(shape))
        head += struct.pack(f"{order}{len(shape)}{size}IQ", *reversed(shape), kind, len(data))
        data += raw + bytes(-len(raw) % 32)
    return head + bytes(-len(head) % 32) + data


def gguf_text(text: str, *, order: str = "<", size: str = "Q") -> bytes:
    """A text behind its length."""
    data = text.encode()
    return struct.pack(f"{order}{size}", len(data)) + data


def gguf_pair(key: str, kind: int, value: bytes) -> bytes:
    """A key and a value of that type."""
    return gguf_text(key) + struct.pack("<I", kind) + value
