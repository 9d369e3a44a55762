"""torch checkpoints before 1.6: pickle streams one behind the other, then the storages; and plain pickles of tensors.

A magic number, the version of the protocol, facts of the writer's machine, the object, and the keys of its storages are
one stream each. Of each storage, in the order of the keys, follow the count of its items and they, all little-endian.
Source: ``_legacy_save`` and ``_legacy_load`` in ``torch/serialization.py``, ``torch/csrc/serialization.cpp``.
"""

from __future__ import annotations

import io
import os
from dataclasses import replace
from typing import Any, BinaryIO

from convtool.arrays.raw import RawFile, Stream, Stretch
from convtool.arrays.torch.dtypes import ITEM_BYTES
from convtool.arrays.torch.notes import of_names
from convtool.arrays.torch.pickle_values import Blob, Call, Global
from convtool.arrays.torch.pickles import OPCODES_LIMIT, Unpickled, load
from convtool.arrays.torch.tree import TENSORS_LIMIT, look
from convtool.arrays.torch.values import TorchReader
from convtool.arrays.torch.views import Malformed, Storage, storage, storages
from convtool.errors import InputError
from convtool.files.remote_file import BLOCK, RemoteFile
from convtool.files.urls import is_url

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_HEADER_OPCODES = 40
"""More than each of the streams before the object has."""

_KEYS_OPCODES = 4 * TENSORS_LIMIT
_FROM_BYTES = "torch.storage._load_from_bytes"


class TorchLegacyReader(TorchReader):
    """The checkpoint, or plain pickle, at `path`.

    Raises:
        InputError: a stream is damaged, or a storage is cut off or shorter than declared.
        OSError: it can't be opened.
    """

    def __init__(self, path: str) -> None:
        self._raw = RawFile(path)
        self._regions: dict[str, tuple[int, int]] = {}
        """Where each storage begins, and its bytes; of one that is not there, less than 0."""
        with io.BufferedReader(RemoteFile(path), BLOCK) if is_url(path) else open(path, "rb") as file:
            first = load(file, end=self._raw.size)
            if _is(first.value, _MAGIC):
                file.seek(0)
                stream, self._regions = _checkpoint(file, end=self._raw.size, opcodes=OPCODES_LIMIT)
                self._describe(look(stream.value, storage))
                self._names = stream.names
                self.notes = [*of_names(stream.names), *self.notes]
            else:
                self._read_plain(file, first)

    def _read_plain(self, file: BinaryIO, stream: Unpickled) -> None:
        """A pickle of tensors that torch.save had no part in: in it, each storage is the bytes of a checkpoint."""
        names = dict(stream.names)
        known: dict[int, Storage] = {}

        def find(held: Any) -> Storage:
            blob = _packed_storage(held)
            if blob.start not in known:
                file.seek(blob.start)
                try:
                    inner, regions = _checkpoint(file, end=blob.start + blob.size, opcodes=_HEADER_OPCODES)
                except InputError as error:
                    raise Malformed(f"its storage is damaged: {error}") from error
                names.update(inner.names)
                found = storage(inner.value)
                key = f"at byte {blob.start}"
                self._regions[key] = regions.get(found.key, (0, -1))
                known[blob.start] = replace(found, key=key)
            return known[blob.start]

        self._describe(look(stream.value, find))
        self._names = names
        plain = "it is a plain pickle, which torch.save did not write"
        if not self.tensors:
            plain += ": NumPy's arrays in it are not read; numpy.savez writes them as NPZ"
        self.notes = [plain, *of_names(names), *self.notes]

    def _storage_size(self, storage: Storage) -> int:
        return self._regions.get(storage.key, (0, -1))[1]

    def _storage_flag(self, storage: Storage) -> str:
        return ""

    def _open(self, storage: Storage) -> Stream:
        return Stretch(self._raw.read, self._regions[storage.key][0])


class TorchTarReader(TorchLegacyReader):
    """The archive of torch's first releases, which is not read: only torch itself could, by running what is in it.

    Raises:
        InputError: always.
    """

    def __init__(self, path: str) -> None:
        raise InputError(
            "it is a tar archive, in which the first releases of torch wrote checkpoints; that format is not read: "
            "load it with torch and save it anew"
        )


def _is(value: Any, number: int) -> bool:
    return isinstance(value, int) and value == number


def _checkpoint(file: BinaryIO, *, end: int, opcodes: int) -> tuple[Unpickled, dict[str, tuple[int, int]]]:
    """The object of the checkpoint in `file`, and where each of its storages begins, and its bytes."""
    if not _is(load(file, end=end, opcodes=_HEADER_OPCODES).value, _MAGIC):
        raise InputError("there is no torch checkpoint")
    protocol = load(file, end=end, opcodes=_HEADER_OPCODES).value
    if not _is(protocol, _PROTOCOL):
        raise InputError(f"the checkpoint's protocol is not {_PROTOCOL}, the only one known")
    load(file, end=end, opcodes=_HEADER_OPCODES)  # facts of the machine, on which nothing depends
    stream = load(file, end=end, opcodes=opcodes)
    keys = load(file, end=end, opcodes=min(opcodes, _KEYS_OPCODES)).value
    declared = {found.key: found for found in storages(stream.persistent)}
    regions: dict[str, tuple[int, int]] = {}
    for key in keys if isinstance(keys, list) else ():
        found = declared.get(str(key)) if isinstance(key, str | int) else None
        if found is None:
            raise InputError("the checkpoint has a storage that is declared nowhere")
        size = int.from_bytes(file.read(8), "little", signed=True) * ITEM_BYTES[found.dtype]
        start = file.tell()
        if not 0 <= size <= end - start:
            raise InputError(f"storage {found.key!r} declares {size} bytes, {end - start} are there")
        regions[found.key] = (start, size)
        file.seek(size, os.SEEK_CUR)
    return stream, regions


def _packed_storage(held: Any) -> Blob:
    """The bytes that a plain pickle has in place of a storage."""
    if isinstance(held, Call) and isinstance(held.function, Global) and held.function.name == _FROM_BYTES:
        match held.arguments:
            case (Blob() as blob,):
                return blob
            case (Call(),):
                raise Malformed("its storage is packed as text, by pickle protocol 2 or older, and not read")
    raise Malformed
