"""ONNX models: the initializers and constants of the graph, wherever their numbers lie."""

from __future__ import annotations

import io
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from convtool.arrays.description import TensorInfo, WeightFile, by_reason
from convtool.arrays.onnx.external import ExternalFiles
from convtool.arrays.onnx.graph import FoundTensor, Model
from convtool.arrays.onnx.tensors import StoredTensor, described
from convtool.errors import InputError
from convtool.files.remote_file import RemoteFile
from convtool.files.urls import is_url

if TYPE_CHECKING:
    from numpy.typing import NDArray


class OnnxReader(WeightFile):
    """The tensors of the ONNX model at `path`: its initializers, then the tensors of its ``Constant`` nodes.

    `TensorInfo.layer` is the operator of the first node that uses the tensor, seen through ``Identity`` and
    ``DequantizeLinear``; `TensorInfo.config` has that node's name (``node``), which of its inputs the tensor is
    (``input``, from 0) and, where the file has them, ``group``, ``transB``, ``hidden_size``, ``direction``,
    ``linear_before_reset`` and the like, the ``module`` of torch's that the node comes from, and how often nodes take
    the tensor (``uses``) where that is more than once. Tensors in the body of a loop or branch have the way there
    before their name, and those of a function that the model defines the function's name.

    Numbers in a file of their own are read from the model's folder and below only, no link followed out of it; the
    listing looks whether that file is there and long enough.

    Raises:
        InputError: it is no ONNX model, or is damaged.
    """

    format = "onnx"
    layout = "onnx"

    def __init__(self, path: str) -> None:
        self._folder = os.path.dirname(path if is_url(path) else os.path.abspath(path))
        self._files = ExternalFiles(self._folder)
        self._file = RemoteFile(path) if is_url(path) else io.FileIO(path)
        self._place = self._file if isinstance(self._file, RemoteFile) else self._file.fileno()
        try:
            model = Model(self._place)
        except BaseException:
            self._file.close()
            raise
        self.metadata = model.metadata
        self._stored: dict[str, StoredTensor] = {}
        self.tensors = tuple(map(self._looked_for, self._described(model.tensors)))
        gone = (each for each in self.tensors if not each.readable and each.flag.startswith("external: "))
        self.damage = by_reason(gone)
        again = len(model.tensors) - len({each.name for each in model.tensors})
        self.notes = [f"tensors with the name of one before, told apart by a number: {again}"] if again else []

    def _described(self, tensors: list[FoundTensor]) -> Iterator[TensorInfo]:
        times: Counter[str] = Counter()
        for found in tensors:
            name = found.name
            while self._stored.setdefault(name, found.stored) is not found.stored:
                times[found.name] += 1
                name = f"{found.name}#{times[found.name] + 1}"
            config = found.config | ({"uses": found.uses} if found.uses > 1 else {})
            yield described(found.stored, name, layer=found.layer, config=config)

    def _looked_for(self, tensor: TensorInfo) -> TensorInfo:
        """`tensor`, with a flag where the file that its numbers are said to lie in is missing or too short."""
        stored = self._stored[tensor.name]
        fault = self._files.fault(stored) if stored.is_external and tensor.readable else ""
        return replace(tensor, flag=fault, readable=False) if fault else tensor

    def pieces(self, tensor: TensorInfo) -> Iterator[NDArray[Any]]:
        from convtool.arrays.onnx.values import numbers

        if not tensor.readable:
            raise InputError(f"tensor {tensor.name!r} can't be read: {tensor.flag}")
        return numbers(self._stored[tensor.name], self._place, self._folder)

    def close(self) -> None:
        """Close the file; values can't be read any more."""
        self._file.close()
