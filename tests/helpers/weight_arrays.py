"""Weight files in memory, and their way through the layouts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from convtool.arrays.description import TensorInfo, WeightFile
from convtool.errors import InputError
from convtool.weights.conversion.file import convert
from convtool.weights.layouts import Described, describe

Array = np.ndarray[Any, np.dtype[Any]]


class Arrays(WeightFile):
    """Tensors in memory."""

    format = "npz"

    def __init__(self, arrays: Mapping[str, Array], layout: str, tensors: Sequence[TensorInfo] = ()) -> None:
        self.arrays, self.layout = arrays, layout
        self.notes, self.metadata = [], {}
        self.tensors = tuple(tensors or (info(name, array.shape, str(array.dtype)) for name, array in arrays.items()))

    def pieces(self, tensor: TensorInfo) -> Iterator[Array]:
        if not tensor.readable:
            raise InputError(tensor.flag)
        yield self.arrays[tensor.name].reshape(-1)


def info(name: str, shape: tuple[int, ...], dtype: str = "float64", layer: str = "", **config: Any) -> TensorInfo:
    return TensorInfo(name, shape, dtype, math.prod(shape) * np.dtype(dtype).itemsize, layer=layer, config=config)


def arrays_of(module: nn.Module) -> Arrays:
    return Arrays({name: value.numpy() for name, value in module.state_dict().items()}, "torch")


def converted(file: WeightFile, described: Sequence[Described], to: str) -> tuple[Arrays, list[Described]]:
    """The file in another layout; what its headers promised is what the values are."""
    made = convert(described, to=to)
    arrays = {}
    for each in made:
        tensor, values = each.described.tensor, each.array.values(file)
        assert (tensor.shape, tensor.dtype, tensor.nbytes) == (values.shape, str(values.dtype), values.nbytes)
        assert len(each.described.axes) == values.ndim
        arrays[tensor.name] = np.ascontiguousarray(values).reshape(values.shape)
    assert len(arrays) == len(made)
    described = [each.described for each in made]
    return Arrays(arrays, to, [each.tensor for each in described]), described


def through(file: Arrays, *layouts: str) -> dict[str, Array]:
    """The arrays of `file` after it went from its layout through each of `layouts`."""
    described = describe(file.tensors, layout=file.layout)
    for layout in layouts:
        file, described = converted(file, described, layout)
    return dict(file.arrays)


def model(**layers: nn.Module) -> nn.Module:
    """With its numbers drawn at random, those of norms and the biases too."""
    torch.manual_seed(len(layers))
    made = nn.ModuleDict(layers).double().eval()
    for value in made.state_dict().values():
        if value.is_floating_point():
            value.uniform_(0.1, 1)
            value -= 0.5 * (value.dim() > 1)
    return made


def signal(*shape: int) -> Array:
    return np.random.default_rng(5).normal(size=shape)


def rnn(kind: type[nn.RNNBase], **options: Any) -> Any:
    return kind(3, 4, batch_first=True, **options)


def torch_output(module: Any, x: Array) -> Array:
    result = torch.from_numpy(x)
    with torch.no_grad():
        for layer in module.values():
            result = layer(result)
            result = result[0] if isinstance(layer, nn.RNNBase) else result
    made: Array = result.numpy()
    return made
