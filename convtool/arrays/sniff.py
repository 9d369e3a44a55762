"""Which kind of weight file it is: told from the content, whatever the name says."""

from __future__ import annotations

import os
import re
import stat

from convtool.errors import InputError

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_EXTENSIONS = {
    ".safetensors": "safetensors",
    ".pt": "torch",
    ".pth": "torch",
    ".keras": "keras",
    ".h5": "hdf5",
    ".hdf5": "hdf5",
    ".npz": "npz",
    ".npy": "npy",
    ".onnx": "onnx",
    ".json": "recurrent json",
    ".nam": "recurrent json",
    ".aidax": "recurrent json",
}
NAMES = tuple(_EXTENSIONS)
_OTHERS = (
    (rb"version https://git-lfs", "it is a Git LFS pointer, not the file it stands for; run git lfs pull"),
    (rb"\s*<[!?a-zA-Z]", "the content is HTML or XML, not weights; download the file itself"),
    (rb"GGUF", "it is a GGUF file, which convtool does not read"),
)


def kind_of(path: str) -> str:
    """The kind of the file at `path`, a key of `convtool.arrays`' table of readers.

    Raises:
        InputError: it can't be read, is empty, or is no weight file.
    """
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # opening a pipe waits for its writer
            raise InputError("it is no regular file; weights are read here and there in it")
        with open(path, "rb") as file:
            head = file.read(4096)
    except (OSError, ValueError) as error:  # the latter for names that no file can have
        raise InputError(f"can't be read: {getattr(error, 'strerror', error)}") from error
    if not head:
        raise InputError("the file is empty")
    for start, what in _OTHERS:
        if re.match(start, head):
            raise InputError(what)
    found = _by_content(path, head)
    if found is not None:
        return found
    extension = os.path.splitext(path)[1].lower()
    if extension in (".safetensors", ".onnx"):  # their first bytes can be anything; the reader says what is wrong
        return _EXTENSIONS[extension]
    expected = {".pt": "torch checkpoint", ".pth": "torch checkpoint"}.get(extension, f"{extension[1:]} file")
    what = f"no {expected}" if extension in _EXTENSIONS else "no weight file"
    raise InputError(f"the content is {what}; expected {', '.join(NAMES)}")


def _by_content(path: str, head: bytes) -> str | None:
    if head.startswith(b"PK"):
        return _kind_of_zip(path)
    if head.startswith(b"\x93NUMPY"):
        return "npy"
    if any(head[at : at + 8] == HDF5_SIGNATURE for at in (0, 512, 1024, 2048)):
        return "hdf5"
    if head[8:9] == b"{":
        return "safetensors"
    if head[257:262] == b"ustar":
        return "torch tar"
    if head[:1] == b"\x80" and head[1:2] in (b"\2", b"\3", b"\4", b"\5"):  # a pickle stream and its protocol
        return "torch legacy"
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"[")):
        if b'.weights.h5"' in head:
            raise InputError(
                "it is the index of sharded Keras weights; name the shards, NAME_00000.weights.h5 and so on"
            )
        return "safetensors index" if b'"weight_map"' in head or path.endswith(".index.json") else "recurrent json"
    if head[0] == 0x08 and os.path.splitext(path)[1].lower() not in (".pt", ".pth"):  # ModelProto.ir_version
        return "onnx"
    return None


def _kind_of_zip(path: str) -> str:
    from convtool.arrays.zip.archive import Archive  # costs more than the rest of a listing

    with Archive(path) as archive:
        names = [member.name for member in archive.members]
    if any(name.endswith("data.pkl") for name in names):
        return "torch"
    if any(name in ("config.json", "metadata.json", "model.weights.h5", "model.weights.npz") for name in names):
        return "keras"
    return "npz"
