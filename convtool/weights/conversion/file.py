"""A weight file as another framework would have written it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from convtool.arrays.description import PIECE_BYTES, TensorInfo, WeightFile
from convtool.weights.conversion.tensors import convert
from convtool.weights.layouts import Described

if TYPE_CHECKING:
    from numpy.typing import NDArray


class ConvertedFile(WeightFile):
    """The tensors of `file` in the layout `to`; values are read and put in order when they are asked for.

    Args:
        file: stays open, and the caller's to close.
        described: what `describe` says of its tensors.
        to: ``torch``, ``keras`` or ``onnx``.
    """

    def __init__(self, file: WeightFile, described: Sequence[Described], *, to: str) -> None:
        converted = convert(described, to=to)
        self.described = [each.described for each in converted]
        self.tensors = tuple(each.tensor for each in self.described)
        self.format, self.layout = file.format, to
        self.notes, self.metadata = file.notes, file.metadata
        self._file = file
        self._converted = {id(each.described.tensor): each for each in converted}

    def pieces(self, tensor: TensorInfo) -> Iterator[NDArray[Any]]:
        """The values of `tensor`, which are put in order as a whole first."""
        values = self.values(tensor).reshape(-1)
        count = max(1, PIECE_BYTES // values.itemsize)
        for start in range(0, len(values), count):
            yield values[start : start + count]

    def values(self, tensor: TensorInfo) -> NDArray[Any]:
        """The values of `tensor` in its shape."""
        return self._converted[id(tensor)].values(self._file)
