"""HDF5: Keras's `.h5` and `.weights.h5`, and any other file of numeric datasets. Read in a child process."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

from convtool.arrays.description import TensorInfo, WeightFile, some
from convtool.arrays.hdf5.process import Hdf5Process, Listing
from convtool.arrays.keras.config import Layer, calls, lambdas, parse
from convtool.arrays.keras.names import Named, is_keras, named
from convtool.arrays.raw import RawFile, as_numbers, as_void, piece_length, stored_type, unpacked
from convtool.errors import InputError
from convtool.files.remote import download
from convtool.files.urls import is_url

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SHORT = 100


class Hdf5Weights(WeightFile):
    """The tensors of the HDF5 file that is open as `file`, which is handed over and closed.

    Args:
        file: the file; its content alone matters, so it may be one without a name.
        config: the model's configuration as JSON, where it stands beside the file and not in it.
        path: where the same file can be opened again, if it can: plain numbers are read from there.
        stretch: which bytes of that are the HDF5 file: a start, and how many.
        void_as: the type of numbers of one byte that the file holds as opaque bytes, since NumPy lacks it.

    Attributes:
        model: the Keras model that the weights belong to, as far as the configuration tells.

    Raises:
        InputError: it is damaged, or holds more than is read from a file.
        UsageError: h5py is not installed.
    """

    def __init__(
        self,
        file: BinaryIO,
        *,
        config: bytes | None = None,
        path: str | None = None,
        stretch: tuple[int, int] | None = None,
        void_as: str | None = None,
    ) -> None:
        self._void_as = void_as
        self._process = Hdf5Process(file, stretch)
        try:
            self._raw = None if path is None else RawFile(path)
            self._start = stretch[0] if stretch else 0
            self._describe(self._process.listing(), config)
        except BaseException:
            self.close()
            raise

    def _describe(self, listing: Listing, config: bytes | None) -> None:
        text = listing.groups[""].get("model_config", config)
        keras = is_keras(listing) or text is not None
        self.format, self.layout = ("keras", "keras") if keras else ("hdf5", "")
        self.notes = [f"{reason}: {some(sorted(paths))}" for reason, paths in listing.links.items() if paths]
        said = listing.groups.get("model_weights", {}) | listing.groups[""]
        self.metadata = short(said, "keras_version", "backend")
        model = parse(text) if text is not None else {}
        if model is None:
            self.notes.append("the model's configuration can't be read; classes are told from names alone")
        if unrun := lambdas(model):
            self.notes.append(f"contains Lambda layer {some(unrun)}; its code was not run")
        self._calls = calls(model)
        self.model = Layer.of(model) or Layer()
        weights = named(listing, self.model)
        self._weights = {weight.name: weight for weight in weights}
        self.tensors = _tensors(weights, void_as=self._void_as)
        if foreign := dict.fromkeys(weight.layer.foreign for weight in weights if weight.layer.foreign):
            self.notes.append(
                f"layers of classes that are not Keras's, which alone know their tensors: {some(foreign)}"
            )
        datasets = (weight.dataset for weight in weights)
        direct = (each.offset is not None or not math.prod(each.shape) for each in datasets)
        self.threadsafe = self._raw is not None and all(direct)

    def calls(self) -> list[str]:
        return self._calls

    def pieces(self, tensor: TensorInfo) -> Iterator[NDArray[Any]]:
        if not tensor.readable:
            raise InputError(f"tensor {tensor.name!r} can't be read: {tensor.flag}")
        if width := self._weights[tensor.name].packed:
            yield from unpacked(self._numbers(tensor, "uint8"), tensor.dtype, row=width)
        else:
            yield from self._numbers(tensor, tensor.dtype)

    def _numbers(self, tensor: TensorInfo, dtype: str) -> Iterator[NDArray[Any]]:
        """What the dataset of `tensor` holds, as numbers of type `dtype`."""
        import numpy as np

        dataset = self._weights[tensor.name].dataset
        if self._raw is not None and dataset.offset is not None:
            start, count = self._start + dataset.offset, math.prod(dataset.shape)
            yield from self._raw.pieces(dtype, start=start, count=count, order=dataset.order)
            return
        stored = stored_type(dtype, "=")
        step = piece_length(dtype) * stored.itemsize
        for slab in self._slabs(tensor):
            for start in range(0, len(slab), step):
                yield as_numbers(np.frombuffer(memoryview(slab)[start : start + step], stored), dtype)

    def _slabs(self, tensor: TensorInfo) -> Iterator[bytearray]:
        try:
            yield from self._process.slabs(self._weights[tensor.name].dataset)
        except InputError as error:
            raise InputError(f"tensor {tensor.name!r} can't be read: {error}") from error

    def close(self) -> None:
        """End the child process, and with it the use of the file."""
        self._process.close()


class Hdf5Reader(Hdf5Weights):
    """The HDF5 file at `path`.

    Raises:
        InputError, UsageError: as `Hdf5Weights`.
        OSError: it can't be opened.
    """

    def __init__(self, path: str, *, void_as: str | None = None) -> None:
        remote = is_url(path)
        file = download(path) if remote else open(path, "rb")
        super().__init__(file, path=None if remote else path, void_as=void_as)


def short(said: Mapping[str, Any], *keys: str) -> dict[str, str]:
    """What a file says of itself under `keys`, cut to a length that can be shown."""
    return {key: str(said[key])[:_SHORT] for key in keys if key in said}


def _tensors(weights: Sequence[Named], *, void_as: str | None) -> tuple[TensorInfo, ...]:
    names: dict[str, str] = {}
    for weight in weights:
        names.setdefault(weight.dataset.same_as or weight.dataset.path, weight.name)
    return tuple(_tensor(weight, names, void_as) for weight in weights)


def _tensor(weight: Named, names: Mapping[str, str], void_as: str | None) -> TensorInfo:
    dataset = weight.dataset
    shape, dtype, flag, readable = dataset.shape, dataset.dtype, dataset.flag, dataset.readable
    if dtype == "void8":
        dtype, trouble = as_void(dtype, void_as)
        if trouble:
            flag, readable = f"it holds bytes of a type that NumPy lacks; expected numbers: {trouble}", False
    if weight.packed:
        shape, dtype = (*shape[:-1], weight.packed), "int4"
    owner = names[dataset.same_as or dataset.path]
    return TensorInfo(
        name=weight.name,
        shape=shape,
        dtype=dtype,
        nbytes=dataset.nbytes if owner == weight.name else 0,
        layer=weight.layer.role,
        config=weight.layer.settings(),
        tied_to="" if owner == weight.name else owner,
        flag=flag,
        readable=readable,
        stored=dataset.path,
    )
