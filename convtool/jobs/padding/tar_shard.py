"""Shards in the layout of WebDataset: a tar archive whose members with one key are one row of a batch."""

from __future__ import annotations

import io
import json
import math
import os
import tarfile
from collections.abc import Iterator, Mapping
from typing import Any

from numpy.typing import NDArray

from convtool.arrays import TensorInfo, WeightFile, open_weights
from convtool.arrays.numpy.header import HEADER_LIMIT, Header, header_bytes, read_header
from convtool.arrays.raw import RawFile
from convtool.arrays.writing import Array, ArrayWriter, Texts
from convtool.errors import InputError
from convtool.files.names import show
from convtool.files.remote_file import RemoteFile
from convtool.files.urls import is_url
from convtool.jobs.padding.manifest import row_entry
from convtool.jobs.padding.rows import Row

SAMPLE_ARRAYS = ("batch", "mask", "pooled")
"""The arrays of a batch that are members of their own; lengths and labels are in the JSON."""

_OF_SAMPLE = ("file", "start", "length", "sample_rate", "labels")
"""What the JSON of a sample takes over from the entry of its row in the manifest."""


def sample_text(row: Row) -> str:
    """The JSON of a row: the file that it is of, its length without padding, and what the manifest says of it."""
    entry = row_entry(row)
    return json.dumps({key: entry[key] for key in _OF_SAMPLE if key in entry})


class TarWriter(ArrayWriter):
    """A tar archive with a member for each row of each array, ``KEY.npy`` or ``KEY.ARRAY.npy``, and ``KEY.json``.

    The texts are the JSON of the rows by their keys, in row order. Owners and times are left out, so that the same
    rows make the same bytes.
    """

    def _lay_out(self, texts: Mapping[str, Texts]) -> None:
        self._rows: dict[str, list[int]] = {name: [] for name in self._arrays}
        at = 0
        for key, text in texts.items():
            for array in self._arrays.values():
                ending = "" if array.name == "batch" else f".{array.name}"
                head = header_bytes(array.little_endian.str, array.shape[1:])
                start = self._begin(at, f"{key}{ending}.npy", head, len(head) + _row_bytes(array))
                self._rows[array.name].append(start + len(head))
                at = start + _whole(len(head) + _row_bytes(array), tarfile.BLOCKSIZE)
            data = str(text).encode("ascii")
            at = self._begin(at, f"{key}.json", data, len(data)) + _whole(len(data), tarfile.BLOCKSIZE)
        end = _whole(at + 2 * tarfile.BLOCKSIZE, tarfile.RECORDSIZE)
        os.truncate(self._file.file.fileno(), end)

    def _begin(self, at: int, name: str, head: bytes, size: int) -> int:
        """Put a member of `size` bytes at `at`, which begins with `head`; where that is."""
        info = tarfile.TarInfo(name)
        info.size = size
        header = info.tobuf(tarfile.GNU_FORMAT)  # sizes past 8 GiB too
        self._put_at(at, header + head)
        return at + len(header)

    def _place(self, name: str, offset: int) -> int:
        row, within = divmod(offset, _row_bytes(self._arrays[name]))
        return self._rows[name][row] + within


def _row_bytes(array: Array) -> int:
    return array.nbytes // array.shape[0]


def _whole(size: int, block: int) -> int:
    """`size` bytes and what fills the last block."""
    return -(-size // block) * block


class TarReader(WeightFile):
    """The array `batch` in a shard that `TarWriter` wrote: the members ``KEY.npy``, one row each, in their order.

    Raises:
        InputError: it is no such archive, or damaged.
    """

    def __init__(self, path: str) -> None:
        self.format, self.layout, self.metadata, self.notes = "tar", "", {}, []
        self._file = RawFile(path)
        try:
            with (
                RemoteFile(path) if is_url(path) else open(path, "rb") as file,
                tarfile.open(None, "r:", file) as archive,
            ):
                members = [member for member in archive if _is_row(member)]
        except (tarfile.TarError, OSError) as error:
            raise InputError(f"it is no tar archive, or damaged: {error}") from error
        if not members:
            raise InputError("there is no member KEY.npy in it")
        rows = [(member, self._header(member)) for member in members]
        self._first = rows[0][1]
        for member, header in rows:
            name = show(member.name)
            fault = header.flag or header.shortage(member.size - header.size)
            if fault or header.fortran:
                raise InputError(f"{name} {fault or 'is in Fortran order'}")
            if (header.shape, header.dtype, header.order) != (self._first.shape, self._first.dtype, self._first.order):
                raise InputError(f"{name} has another shape or dtype than {show(members[0].name)}")
        self._starts = [member.offset_data + header.size for member, header in rows]
        shape = (len(rows), *self._first.shape)
        nbytes = math.prod(shape) * self._first.itemsize
        self.tensors = (TensorInfo("batch", shape, self._first.dtype, nbytes),)

    def _header(self, member: tarfile.TarInfo) -> Header:
        try:
            return read_header(io.BytesIO(self._file.read(member.offset_data, 12 + HEADER_LIMIT)).read)
        except InputError as error:
            raise InputError(f"{show(member.name)}: {error}") from error

    def pieces(self, tensor: TensorInfo) -> Iterator[NDArray[Any]]:
        first = self._first
        for start in self._starts:
            yield from self._file.pieces(first.dtype, start=start, count=first.count, order=first.order)


def open_shard(path: str) -> WeightFile:
    """The file of a batch, whether it is a tar archive or arrays.

    Raises:
        InputError: it can't be read, or is damaged.
    """
    return TarReader(path) if path.endswith(".tar") else open_weights(path)


def _is_row(member: tarfile.TarInfo) -> bool:
    return member.type == tarfile.REGTYPE and member.name.partition(".")[2] == "npy"
