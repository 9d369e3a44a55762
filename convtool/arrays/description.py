"""What a weight file is, whichever format holds it: the description of its tensors, and their values on demand."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from convtool.errors import InputError
from convtool.files.names import show

if TYPE_CHECKING:
    from numpy.typing import NDArray

PIECE_BYTES = 1 << 20
"""What one piece of a tensor's values takes at the most."""

TEXT = "text"
"""The dtype of arrays of strings, however a file encodes them."""

VALUES_LIMIT = 1 << 30
"""Bytes that the values of one tensor may take in memory: a small file can declare any number of them."""


@dataclass(frozen=True)
class TensorInfo:
    """One tensor as its file declares it; nothing here needs its values, nor numpy."""

    name: str
    """As the file spells it, without the keys that only wrap (``state_dict.``, ``model.``, ``module.``)."""
    shape: tuple[int, ...]
    dtype: str
    """NumPy's or torch's name: ``float32``, ``bfloat16``, ``float8_e4m3fn``, ``int64``, ``bool``..., or `TEXT`."""
    nbytes: int
    """Bytes that its values take, unpacked; 0 for a tensor that shares those of another."""
    layer: str = ""
    """The class of the layer that owns it, where the file tells (``Conv2D``, ``LSTM``, ``Gemm``), else nothing."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """What the file says of that layer and the reading of its weights depends on (``groups``, ``transB``...)."""
    tied_to: str = ""
    """The tensor, named before, whose values this one shares."""
    flag: str = ""
    """Why its values can't be read or trusted, or where else they lie; shown beside it."""
    readable: bool = True
    """Whether its values can be read at all."""
    opaque: bool = False
    """Whether they are of a type that is listed and never read, such as ggml's quantised ones: that is no damage."""
    stored: str = ""
    """The name in the file itself, where another is shown: the path of a dataset, the keys of a checkpoint in full."""

    @property
    def parameters(self) -> int:
        """How many numbers it holds; none in text, and none of its own where it is tied to another."""
        return 0 if self.tied_to or self.is_text else math.prod(self.shape)

    @property
    def is_known(self) -> bool:
        """Whether more is known of it than a name and what is wrong."""
        return self.readable or self.opaque or self.is_text or self.nbytes > 0

    @property
    def is_text(self) -> bool:
        """Whether it holds strings, which are listed but never read."""
        return self.dtype == TEXT


class WeightFile(ABC):
    """A weight file that has been opened: what is in it, from its headers alone."""

    format: str
    """``safetensors``, ``torch``, ``keras``, ``hdf5``, ``onnx``, ``npz``, ``npy``, ``guitarml``, ``rtneural`` or
    ``nam``."""
    layout: str
    """Whose order of axes and gates the tensors have: ``torch``, ``keras``, ``onnx``, or nothing where that is open."""
    tensors: tuple[TensorInfo, ...]
    notes: list[str]
    """What the person should know of the file, each in a line: skipped members, Lambda layers, links not followed."""
    threadsafe = False
    """Whether several threads may read values at once."""
    metadata: Mapping[str, str]
    """What the file says of itself: producer, version..., as text."""
    damage: Sequence[str] = ()
    """Parts of the model that can't be read at all: shards and tensors in files that are missing, or lie elsewhere."""

    @abstractmethod
    def pieces(self, tensor: TensorInfo) -> Iterator[NDArray[Any]]:
        """The values of `tensor` in C order as flat arrays of at most `PIECE_BYTES`, read as they are asked for.

        They have the tensor's dtype in native byte order, but for types that NumPy lacks: those come as float32,
        which holds each of their values. A piece may be overwritten by the next: work on it, or copy it.

        Raises:
            InputError: the values are refused, damaged, or not there.
        """

    def shares(self, tensor: TensorInfo) -> Iterator[Iterator[NDArray[Any]]]:
        """The values of `tensor` in any order, in streams of pieces as those of `pieces`, or twice as long.

        Each stream is for one thread; different threads may read different ones where the file is `threadsafe`.

        Raises:
            InputError: as `pieces` does, from this iterator or from the streams.
        """
        yield self.pieces(tensor)

    def values(self, tensor: TensorInfo) -> NDArray[Any]:
        """The values of `tensor` in its shape.

        Raises:
            InputError: as `pieces` does, or they would take more than `VALUES_LIMIT`.
        """
        if tensor.nbytes > VALUES_LIMIT:
            raise InputError(f"tensor {tensor.name!r} takes {tensor.nbytes} bytes; the limit is {VALUES_LIMIT}")
        return gathered(self.pieces(tensor), math.prod(tensor.shape)).reshape(tensor.shape)

    def packed(self, tensor: TensorInfo) -> Iterator[NDArray[Any]]:
        """The bytes of a tensor of an opaque type as they are, in pieces as those of `pieces`.

        Raises:
            InputError: they can't be read, or it is not known where they end.
        """
        raise InputError(f"tensor {tensor.name!r:.200}: {tensor.flag}")

    def scales(self, tensor: TensorInfo) -> Iterator[NDArray[Any]]:
        """What the numbers of a tensor of an opaque type are multiplied by, and shifted by: finite where they are.

        A scale that takes a number beyond float32 is given as that infinity.

        Raises:
            InputError: they can't be read, or it is not known where they are.
        """
        raise InputError(f"tensor {tensor.name!r:.200}: {tensor.flag}")

    def calls(self) -> list[str]:
        """What the file would have called when its own framework loads it, beyond the rebuilding of tensors."""
        return []

    def unsound(self) -> list[str]:
        """What the checksums say is wrong that cover more than the values of one tensor; takes reading all of it."""
        return []

    def find(self, name: str) -> TensorInfo:
        """The tensor called `name`, as the file has it or as it is shown: in full, or with characters escaped.

        Raises:
            InputError: there is none, or it is only shown so, and so is another.
        """
        for names in ("name", "stored"):
            for tensor in self.tensors:
                if getattr(tensor, names) == name:
                    return tensor
        shown = [tensor for tensor in self.tensors if show(tensor.name) == name]
        if len(shown) == 1:
            return shown[0]
        if shown:
            raise InputError(f"{len(shown)} tensors are shown as {name!r:.200}; give the name itself, unescaped")
        near = [tensor.name for tensor in self.tensors if name.lower() in tensor.name.lower()]
        there = f"there is {some(near or (t.name for t in self.tensors))}" if self.tensors else "there are none at all"
        raise InputError(f"there is no tensor {name!r:.200} in it; {there}")

    def close(self) -> None:  # noqa: B027 (few formats hold anything)
        """Give back what the file holds."""

    def __enter__(self) -> WeightFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def gathered(pieces: Iterable[NDArray[Any]], count: int) -> NDArray[Any]:
    """The `count` values in `pieces`, in one array."""
    import numpy as np

    values, start = np.zeros(0), 0
    for piece in pieces:
        if not start:
            values = np.empty(count, piece.dtype)
        values[start : start + len(piece)] = piece
        start += len(piece)
    return values


def some(names: Iterable[str]) -> str:
    """The first few of `names`, for a message.

    >>> some("abc")
    "'a', 'b', 'c'"
    """
    found = list(names)
    more = f" and {len(found) - 8} more" if len(found) > 8 else ""
    return (", ".join(f"{name!r:.300}" for name in found[:8]) or "none") + more


def by_reason(broken: Iterable[TensorInfo]) -> list[str]:
    """What is wrong with tensors, in a line for all of which it is the same.

    >>> by_reason(TensorInfo(name, (2,), "int8", 2, flag="is missing") for name in "ab")
    ["each of 2 tensors, 'a', 'b', is missing"]
    """
    names: dict[str, list[str]] = {}
    for info in broken:
        names.setdefault(info.flag, []).append(info.name)
    return [
        f"tensor {each[0]!r:.300} {flag}" if len(each) == 1 else f"each of {len(each)} tensors, {some(each)}, {flag}"
        for flag, each in names.items()
    ]
