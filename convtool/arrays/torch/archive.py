"""torch checkpoints since 1.6: a zip archive of a pickle stream and the storages that it refers to.

Below a folder of any name there are ``data.pkl``; ``data/KEY``, the bytes of a storage; ``byteorder``; and numbers of
versions. TorchScript archives have the same, their program in ``code``, and its constants in ``constants.pkl`` and
``constants/KEY``. Source: ``torch/serialization.py`` and ``caffe2/serialize/inline_container.cc`` of torch 2.13.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from convtool.arrays.description import some
from convtool.arrays.raw import Stream
from convtool.arrays.torch import CODE
from convtool.arrays.torch.notes import of_names
from convtool.arrays.torch.pickle_values import Pairs
from convtool.arrays.torch.pickles import load
from convtool.arrays.torch.tree import Layer, Tree, look
from convtool.arrays.torch.values import TorchReader
from convtool.arrays.torch.views import Storage, storage, storages
from convtool.arrays.zip.archive import Archive, Member
from convtool.errors import InputError

_PICKLE_LIMIT = 96 << 20
"""Bytes that a pickle stream may have: it is read into memory."""

_ORDERS = {b"little": "<", b"big": ">"}
_KNOWN = ("data.pkl", "version", "byteorder", ".format_version", ".storage_alignment", ".data/serialization_id")
_PROGRAM = ("constants.pkl", "constants/", "code/", "extra/", "traced_inputs.pkl", "traced_inputs/")

_PROGRAMS = Layer(config={"node": CODE})
"""What the constants of a program belong to, as those of ONNX's graphs do to a node."""


class TorchZipReader(TorchReader):
    """The checkpoint, or TorchScript archive, at `path`, or in a stretch of that file: a start and how many bytes.

    Raises:
        InputError: the archive or a pickle stream is damaged, a member would leave the archive, or a storage is missing
            or shorter than declared.
        OSError: it can't be opened.
    """

    def __init__(self, path: str, stretch: tuple[int, int] | None = None) -> None:
        self._archive = Archive(path, stretch)
        try:
            self._read()
        except BaseException:
            self._archive.close()
            raise

    def _read(self) -> None:
        if outside := [member.name for member in self._archive.members if member.outside]:
            raise InputError(f"member {outside[0]!r} leads out of the archive")
        pickled = self._pickled()
        folder = pickled[0].removesuffix("data.pkl")
        inside = (member for member in self._archive.members if member.name.startswith(folder))
        self._members = {member.name.removeprefix(folder): member for member in inside}
        self._order = self._byte_order()
        self._used: set[str] = set()
        tree, names = self._look(self._members["data.pkl"], "data")
        if "constants.pkl" in self._members:
            constants, more_names = self._look(self._members["constants.pkl"], "constants")
            tree.found += [replace(each, layer=_PROGRAMS) for each in constants.found]
            names = {**more_names, **names}
        self._describe(tree)
        self._names = names
        self.notes = [*of_names(names), *self._archive_notes(pickled), *self.notes]

    def _pickled(self) -> list[str]:
        """The streams in the archive; first the one that torch reads, in the folder of the first member."""
        names = [member.name for member in self._archive.members]
        pickled = [name for name in names if name.rpartition("/")[2] == "data.pkl"]
        if not pickled:
            raise InputError("there is no data.pkl in the archive; expected a torch checkpoint")
        first = names[0].partition("/")[0] + "/data.pkl"
        return sorted(pickled, key=lambda name: name != first)

    def _byte_order(self) -> str:
        if "byteorder" not in self._members:
            return "<"
        order = self._archive.read(self._members["byteorder"], limit=64)
        if order not in _ORDERS:
            raise InputError(f"the byte order is {order!r}; expected little or big")
        return _ORDERS[order]

    def _look(self, member: Member, part: str) -> tuple[Tree, dict[str, bool]]:
        """What there is in a stream whose storages are in the folder `part`, and the names that it has."""

        def find(held: Any) -> Storage:
            found = storage(held)
            return replace(found, key=f"{part}/{found.key}")

        data = self._archive.read(member, limit=_PICKLE_LIMIT)
        stream = load(io.BytesIO(data), end=len(data))
        self._used |= {f"{part}/{found.key}" for found in storages(stream.persistent)}
        return look(stream.value if part == "data" else Pairs([(part, stream.value)]), find), stream.names

    def _archive_notes(self, pickled: list[str]) -> Iterator[str]:
        if "constants.pkl" in self._members:
            yield "it is a TorchScript archive; its program was not run"
        if len(pickled) > 1:
            yield f"it has several data.pkl: {some(pickled)}; the tensors are those of the first"
        yield from self._archive.notes
        unknown = [
            name
            for name in self._members
            if name not in _KNOWN and name not in self._used and not name.startswith(_PROGRAM)
        ]
        if unknown:
            yield f"no tensor uses {some(unknown)}"

    def _storage_size(self, storage: Storage) -> int:
        member = self._members.get(storage.key)
        return -1 if member is None else member.size

    def _storage_flag(self, storage: Storage) -> str:
        flag = self._members[storage.key].flag
        return f"member {storage.key!r} {flag}" if flag else ""

    def _open(self, storage: Storage) -> Stream:
        return self._archive.open(self._members[storage.key])

    def close(self) -> None:
        self._archive.close()
