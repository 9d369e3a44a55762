"""Files of several arrays whose shapes are known beforehand, written in pieces, in any order and by any thread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from convtool.arrays.writer import Array, ArrayFile, Texts
from convtool.errors import UsageError
from convtool.files.formats import extension
from convtool.files.names import show

__all__ = ["FORMATS", "Array", "ArrayFile", "Texts", "create"]

FORMATS = ("npz", "safetensors", "pt", "pth", "npy")
"""The extensions that `create` knows; an `npy` holds a single array and no texts."""


def create(path: str, arrays: Sequence[Array], texts: Mapping[str, Texts]) -> ArrayFile:
    """A file at `path`, in the format that its extension names, that appears once it is complete.

    Args:
        path: where it is to appear.
        arrays: what it holds; zeros until they are written.
        texts: strings, or lists of them, that it holds as its format can.

    Raises:
        UsageError: the extension names no such format.
        OutputError: nothing can be written there.
    """
    form = extension(path)
    if form == "npz":
        from convtool.arrays.numpy.writer import NpzFile

        return NpzFile(path, arrays, texts)
    if form == "safetensors":
        from convtool.arrays.safetensors.writer import SafetensorsFile

        return SafetensorsFile(path, arrays, texts)
    if form in ("pt", "pth"):
        from convtool.arrays.torch.writer import TorchFile

        return TorchFile(path, arrays, texts)
    if form == "npy":
        from convtool.arrays.writer import NpyFile

        return NpyFile(path, arrays, texts)
    raise UsageError(f"{show(path)}: arrays go into .{', .'.join(FORMATS)}")
