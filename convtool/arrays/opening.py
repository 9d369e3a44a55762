"""The one place that knows which reader serves which file of named arrays."""

from __future__ import annotations

import importlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence

from convtool.arrays.description import WeightFile, some
from convtool.arrays.torch import DISTRIBUTED, EXPORTED_CONFIG
from convtool.errors import InputError
from convtool.files.recognition import (
    GGUF,
    HDF5,
    HEAD,
    JSON,
    MATLAB,
    NPY,
    ONNX,
    PICKLE,
    SAFETENSORS,
    TAR,
    TEXT,
    UNKNOWN,
    ZIP,
    recognise,
)
from convtool.files.remote import below
from convtool.files.remote_file import RemoteFile
from convtool.files.source import reason_of
from convtool.files.urls import base_name, is_url

EXTENSIONS = (
    *(".safetensors", ".pt", ".pth", ".pt2", ".keras", ".h5", ".hdf5", ".npz", ".npy", ".mat", ".onnx"),
    *(".gguf", ".json", ".nam", ".aidax"),
)
_IN_FOLDERS = (*(each for each in EXTENSIONS if each != ".json"), ".bin")

_READERS = {
    SAFETENSORS: ("safetensors.reader", "SafetensorsReader"),
    NPY: ("numpy.reader", "NpyReader"),
    PICKLE: ("torch.legacy", "TorchLegacyReader"),
    TAR: ("torch.legacy", "TorchTarReader"),
    HDF5: ("keras.hdf5_file", "Hdf5Reader"),
    ONNX: ("onnx.reader", "OnnxReader"),
    MATLAB: ("matlab", "MatlabReader"),
    GGUF: ("gguf.reader", "GgufReader"),
}
_ZIPPED = {
    "torch": ("torch.archive", "TorchZipReader"),
    "keras": ("keras.archive", "KerasReader"),
    "npz": ("numpy.reader", "NpzReader"),
}
_OPAQUE = (_READERS[NPY], _READERS[HDF5], *(_ZIPPED[kind] for kind in ("npz", "keras")))
"""Those of formats that can hold numbers of which they don't tell the type."""
_EXPORTED = ("torch.exported", "ExportedReader")
_DISTRIBUTED = ("torch.distributed", "DistributedReader")
_SHARDED = ("sharded", "ShardedReader")
_MODEL = ("model_json", "ModelJsonReader")
"""The module and the class that reads each kind of file, called with the path; imported only then."""


def open_weights(path: str, *, void_as: str | None = None) -> WeightFile:
    """What is in the weight file at `path`; the content decides what kind it is.

    `void_as` is the type of numbers that NPY, NPZ and HDF5 hold as opaque bytes, since NumPy lacks it.

    A folder is read where it is one model: a distributed checkpoint, or a single index or weight file.

    Raises:
        InputError: the file can't be read, is no weight file, or is damaged.
    """
    if os.path.basename(path) == DISTRIBUTED:
        path = os.path.dirname(path) or os.curdir
    if os.path.isdir(path):
        path, *others = weight_files(path)
        if others:
            files = some(os.path.basename(each) for each in (path, *others))
            raise InputError(f"it is a folder of {1 + len(others)} weight files, {files}; give one of them")
    module, name = found = reader_of(path)
    reader: Callable[..., WeightFile] = getattr(importlib.import_module(f"convtool.arrays.{module}"), name)
    try:
        if found in _OPAQUE:
            return reader(path, void_as=void_as)
        return reader(path, _open_shard) if found == _SHARDED else reader(path)
    except OSError as error:
        raise InputError(reason_of(error)) from error


def weight_files(folder: str) -> list[str]:
    """The model in `folder`: its indexes, or where there is none every weight file in it, in order of their names.

    A distributed checkpoint is the folder itself. JSON that is no index, such as a model's configuration, is no weight
    file here.

    Raises:
        InputError: there is none, or the folder can't be read.
    """
    try:
        _, names = next(_folders_of_store(folder)) if is_url(folder) else (folder, os.listdir(folder))
    except OSError as error:
        raise InputError(f"can't be read: {error.strerror}") from error
    return _models(folder, names) or _refuse_without_models()


def models_below(folder: str) -> tuple[list[str], dict[str, InputError]]:
    """The models in `folder` and in each folder below it, as `weight_files` has those of one; and which can't be read.

    Hidden folders are passed over, and no link to a folder is followed.

    Raises:
        InputError: there is none, or the folder can't be read.
    """
    unread: dict[str, InputError] = {}

    def note(error: OSError) -> None:
        unread[error.filename] = InputError(f"can't be read: {error.strerror}")

    found: list[str] = []
    for place, names in _folders_of_store(folder) if is_url(folder) else _folders(folder, note):
        found += _models(place, names)
    if folder in unread:
        raise unread[folder]
    return found if found or unread else _refuse_without_models(), unread


def _folders(folder: str, note: Callable[[OSError], None]) -> Iterator[tuple[str, list[str]]]:
    """Each folder from `folder` on, in bytewise order, and the names of the files in it."""
    for place, folders, names in os.walk(folder, onerror=note):
        folders[:] = sorted((name for name in folders if not name.startswith(".")), key=os.fsencode)
        yield place, names


def _folders_of_store(folder: str) -> Iterator[tuple[str, list[str]]]:
    root = folder.rstrip("/")
    found: dict[str, list[str]] = {root: []}
    for url in below(folder):
        place, _, name = url.rpartition("/")
        if "/." not in place[len(root) :]:
            found.setdefault(place, []).append(name)
    yield from found.items()


def _refuse_without_models() -> list[str]:
    raise InputError(f"there is no weight file in this folder; expected {', '.join(_IN_FOLDERS)}")


def _models(folder: str, names: Sequence[str]) -> list[str]:
    """What of the files called `names` in `folder` is a model."""
    if _is_distributed(folder):
        return [folder]
    found = [name for name in names if name.endswith(".index.json")]
    found = found or [name for name in names if os.path.splitext(name)[1].lower() in _IN_FOLDERS]
    return [os.path.join(folder, name) for name in sorted(found, key=os.fsencode)]


def is_whole(folder: str) -> bool:
    """Whether `folder` is one model in parts: a distributed checkpoint, or the shards of an index."""
    return _is_distributed(folder) or any(name.endswith(".index.json") for name in os.listdir(folder))


def _is_distributed(folder: str) -> bool:
    """Whether `folder` is a distributed checkpoint, and not one that has some other file of the name."""
    description = os.path.join(folder, DISTRIBUTED)
    return os.path.isfile(description) and recognise(_head(description) or b"?") is PICKLE


def _open_shard(path: str) -> WeightFile:
    if reader_of(path) in (_SHARDED, _MODEL):
        raise InputError("it is JSON, and no file of tensors")
    return open_weights(path)


def _head(path: str) -> bytes:
    if is_url(path):
        with RemoteFile(path) as remote:
            return remote.pread(HEAD, 0)
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # opening a pipe waits for its writer
            raise InputError("it is no regular file; weights are read here and there in it")
        with open(path, "rb") as file:
            return file.read(HEAD)
    except OSError as error:
        raise InputError(reason_of(error)) from error
    except ValueError as error:  # a name that no file can have
        raise InputError(f"can't be read: {error}") from error


def reader_of(path: str) -> tuple[str, str]:
    """The module, below this room, and the class that read the file at `path`.

    Raises:
        InputError: the file can't be read, is empty, or is no weight file.
    """
    if os.path.isdir(path) and _is_distributed(path):
        return _DISTRIBUTED
    head = _head(path)
    if not head:
        raise InputError("the file is empty")
    kind = recognise(head)
    extension = os.path.splitext(base_name(path))[1].lower()
    if kind in (UNKNOWN, TEXT) or (kind is ONNX and extension in (".pt", ".pth")):
        if extension in (".safetensors", ".onnx"):  # their first bytes can be anything; the reader says what is wrong
            return _READERS[SAFETENSORS if extension == ".safetensors" else ONNX]
        expected = {".pt": "torch checkpoint", ".pth": "torch checkpoint"}.get(extension, f"{extension[1:]} file")
        what = f"no {expected}" if extension in EXTENSIONS else "no weight file"
        raise InputError(f"the content is {what}; expected {', '.join(EXTENSIONS)}")
    if kind is ZIP:
        return _zipped(path)
    if kind is JSON:
        return _of_json(head, path)
    if kind not in _READERS:
        raise InputError(f"{kind.refusal(path)}; expected {', '.join(EXTENSIONS)}")
    return _READERS[kind]


def _of_json(head: bytes, path: str) -> tuple[str, str]:
    if b'.weights.h5"' in head:
        raise InputError("it is the index of sharded Keras weights; name the shards, NAME_00000.weights.h5 and so on")
    return _SHARDED if b'"weight_map"' in head or path.endswith(".index.json") else _MODEL


def _zipped(path: str) -> tuple[str, str]:
    from convtool.arrays.zip.archive import Archive  # costs more than the rest of a listing

    with Archive(path) as archive:
        names = [member.name for member in archive.members]
        several = min((member.offset for member in archive.members), default=0) > 0
    if any(name.endswith(EXPORTED_CONFIG) for name in names):
        return _EXPORTED
    if any(name.endswith("data.pkl") for name in names):
        if several or path.endswith(".distcp"):
            raise InputError(
                "it is a part of a distributed checkpoint, archives one behind the other: give the folder that it lies "
                f"in, beside {DISTRIBUTED}, which says what is where"
            )
        return _ZIPPED["torch"]
    if any(name in ("config.json", "metadata.json", "model.weights.h5", "model.weights.npz") for name in names):
        return _ZIPPED["keras"]
    if "xl/workbook.xml" in names:
        raise InputError("the content is an Excel workbook: save it as CSV")
    if names and not any(name.endswith(".npy") for name in names):
        raise InputError(f"the content is a zip archive without arrays: it holds {some(names)}")
    return _ZIPPED["npz"]
