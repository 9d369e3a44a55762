"""The files beside an ONNX model that numbers of its tensors lie in: in its folder or below, and nowhere else."""

from __future__ import annotations

import os
import posixpath

from convtool.arrays.onnx.tensors import StoredTensor
from convtool.arrays.raw import RawFile
from convtool.errors import InputError
from convtool.files.urls import is_url


class ExternalFiles:
    """The files in `folder`, the model's, or below; no link out of it is followed."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._sizes: dict[str, int | str] = {}

    def fault(self, tensor: StoredTensor) -> str:
        """Why the numbers of `tensor` can't be there, or nothing; each file is looked at once, and none of it read."""
        size = self._sizes.get(tensor.location)
        if size is None:
            try:
                size = self.open(tensor.location).size
            except InputError as error:
                size = str(error)
            self._sizes[tensor.location] = size
        return size if isinstance(size, str) else _beyond(tensor, size)

    def holding(self, tensor: StoredTensor) -> RawFile:
        """The file that the numbers of `tensor` lie in.

        Raises:
            InputError: it can't be read, or ends before them.
        """
        file = self.open(tensor.location)
        if fault := _beyond(tensor, file.size):
            raise InputError(fault)
        return file

    def open(self, location: str) -> RawFile:
        """The file at `location`.

        Raises:
            InputError: it can't be read, or a link leads there out of the folder.
        """
        if is_url(self._folder):
            path = posixpath.join(self._folder, posixpath.normpath(f"/{location}")[1:])
        else:
            root = os.path.realpath(self._folder)
            path = os.path.realpath(os.path.join(root, location))
            if os.path.commonpath([root, path]) != root:
                raise InputError(f"external: {location!r} is a link out of the model's folder, which is not followed")
        try:
            return RawFile(path, os.O_NOFOLLOW)
        except InputError as error:
            raise InputError(f"external: {location!r}: {error}") from error


def _beyond(tensor: StoredTensor, size: int) -> str:
    start, stop = tensor.offset, tensor.offset + tensor.nbytes
    if stop <= size:
        return ""
    return f"external: {tensor.location!r} has {size} bytes; the tensor's are from {start} to {stop}"
