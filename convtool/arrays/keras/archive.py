"""Keras 3's `.keras`: a zip archive of ``config.json``, ``metadata.json`` and the weights as HDF5."""

from __future__ import annotations

import shutil
import tempfile
import zlib
from typing import BinaryIO

from convtool.arrays.description import PIECE_BYTES
from convtool.arrays.keras.config import CONFIG_LIMIT, parse
from convtool.arrays.keras.hdf5_file import Hdf5Weights, short
from convtool.arrays.zip.archive import Archive, Member
from convtool.errors import InputError
from convtool.files.urls import is_url

_WEIGHTS = "model.weights.h5"
_PICKLED = "model.weights.npz"


class KerasReader(Hdf5Weights):
    """The `.keras` file at `path`. Weights that are packed are unpacked into a temporary file without a name.

    Keras stores them as they are, and there they are read where they lie; `unsound` holds them to their checksum.

    `void_as` is as for `Hdf5Weights`.

    Raises:
        InputError: it is damaged, holds no weights, or more than is read from a file.
        UsageError: h5py is not installed.
        OSError: it can't be opened.
    """

    def __init__(self, path: str, *, void_as: str | None = None) -> None:
        notes: list[str] = []
        with Archive(path) as archive:
            config = _text(archive, "config.json", notes)
            said = parse(_text(archive, "metadata.json", notes) or b"{}")
            notes += archive.notes
            member = _weights(archive)
            stretch = None if is_url(path) else archive.stretch(member)
            file = open(path, "rb") if stretch else _unpacked(archive, member)
        super().__init__(file, config=config, path=path if stretch else None, stretch=stretch, void_as=void_as)
        self._member = member
        self.format, self.layout = "keras", "keras"
        if isinstance(said, dict):
            self.metadata = {**self.metadata, **short(said, "keras_version", "date_saved")}
        self.notes = [*notes, *self.notes]

    def unsound(self) -> list[str]:
        if self._raw is None or not self._member.crc:  # what is packed was held to it when it was unpacked
            return []
        crc = 0
        try:
            for piece in self._raw.pieces("uint8", start=self._start, count=self._member.size):
                crc = zlib.crc32(piece.data, crc)
        except InputError as error:
            return [str(error)]
        return [] if crc == self._member.crc else [self._member.mismatch]


def _text(archive: Archive, name: str, notes: list[str]) -> bytes | None:
    """The content of a member that the weights can be read without."""
    member = archive.find(name)
    if member is None:
        return None
    try:
        return archive.read(member, limit=CONFIG_LIMIT)
    except InputError as error:
        notes.append(str(error))
        return None


def _weights(archive: Archive) -> Member:
    member = archive.find(_WEIGHTS)
    if member is None:
        if archive.find(_PICKLED) is not None:
            raise InputError(f"its weights are in {_PICKLED}, pickled objects, which are not run; save it as HDF5")
        raise InputError(f"there is no {_WEIGHTS} in the archive")
    return member


def _unpacked(archive: Archive, member: Member) -> BinaryIO:
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    if member.size > free:
        raise InputError(f"member {_WEIGHTS!r} unpacks to {member.size} bytes; {folder!r} has room for {free}")
    stream = archive.open(member)
    file = tempfile.TemporaryFile()
    try:
        while piece := stream.read(PIECE_BYTES):
            file.write(piece)
        file.flush()
    except BaseException:
        file.close()
        raise
    return file
