"""What is in a weight file, in the words of one framework: the listing that a table or JSON shows.

Nothing here needs NumPy until values are asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from convtool.arrays import WeightFile
from convtool.arrays.description import TensorInfo
from convtool.errors import InputError, UsageError
from convtool.files.names import without_secrets
from convtool.weights.layouts import Described, as_weights, describe

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convtool.weights.conversion.notes import Note
    from convtool.weights.statistics import TensorStats


@dataclass(frozen=True)
class Listed:
    """One tensor of a listing."""

    described: Described
    file: WeightFile

    def values(self) -> NDArray[Any]:
        """The values in their shape."""
        return self.file.values(self.tensor)

    def pieces(self) -> Iterator[NDArray[Any]]:
        """The values in C order, a piece at a time."""
        return self.file.pieces(self.tensor)

    @property
    def tensor(self) -> TensorInfo:
        """What its file, or the one that it was converted to, declares."""
        return self.described.tensor

    @property
    def name(self) -> str:
        """As the framework spells it whose layout this is."""
        return self.tensor.name

    @property
    def is_complex(self) -> bool:
        """Whether its values are complex numbers, whose statistics are of their magnitudes."""
        return self.tensor.dtype.startswith("complex")

    def as_json(self, stats: TensorStats | None) -> dict[str, Any]:
        """The figures, under stable keys; what not every tensor has comes last."""
        tensor = self.tensor
        figures = {
            "name": tensor.name,
            "kind": self.described.kind,
            "shape": list(tensor.shape),
            "axes": list(self.described.axes),
            "dtype": tensor.dtype,
            "parameters": tensor.parameters,
            "bytes": tensor.nbytes,
        }
        more = {"gates": list(self.described.gates), "tied_to": tensor.tied_to, "flag": tensor.flag}
        figures |= {key: value for key, value in more.items() if value}
        if stats is not None:
            of = {"of": "magnitude"} if self.is_complex else {}
            figures["stats"] = of | {key: _or_null(value) for key, value in vars(stats).items()}
        return figures


def _or_null(value: Any) -> Any:
    """JSON has no NaN: the mean of nothing is null."""
    return None if value != value else value


def size(shape: Sequence[int]) -> str:
    """`shape` as it is told.

    >>> size((2, 3)), size(())
    ('2x3', 'scalar')
    """
    return "x".join(map(str, shape)) or "scalar"


@dataclass(frozen=True)
class Listing:
    """What is in one weight file."""

    path: str
    """As it was given."""
    file: WeightFile
    tensors: Sequence[Listed]
    layout: str
    """The layout of all of it: the file's own, that which it is said to have, or that which it is shown in."""
    told: Sequence[Note] = ()
    """What there is to say of its conversion."""

    @property
    def parameters(self) -> int:
        """All numbers, those of tied tensors once."""
        return sum(listed.tensor.parameters for listed in self.tensors)

    @property
    def nbytes(self) -> int:
        """The bytes of all values, unpacked."""
        return sum(listed.tensor.nbytes for listed in self.tensors)

    def find(self, name: str) -> Listed:
        """The tensor called `name`.

        Raises:
            InputError: there is none.
        """
        tensor = self.file.find(name)
        return next(listed for listed in self.tensors if listed.tensor is tensor)

    def only(self, name: str) -> Listing:
        """The listing of the tensor called `name` alone.

        Raises:
            InputError: there is none.
        """
        listed = self.find(name)
        return replace(self, tensors=[listed], told=[note for note in self.told if note.is_about(listed.described)])

    @property
    def notes(self) -> list[str]:
        """What the person should know of it, in a line each: of the file, and of its conversion."""
        return [*self.file.notes, *map(str, self.told)]

    def as_json(self, stats: Mapping[str, TensorStats], calls: Sequence[str] = ()) -> str:
        """One line of JSON, with the statistics of the tensors that have some, by name, and what it wants to call."""
        tensors = [listed.as_json(stats.get(listed.name)) for listed in self.tensors]
        record: dict[str, Any] = {"file": without_secrets(self.path), "format": self.file.format, "tensors": tensors}
        record |= {"parameters": self.parameters, "bytes": self.nbytes}
        more: dict[str, Any] = {
            "calls": list(calls),
            "notes": self.notes,
            "metadata": dict(self.file.metadata),
        }
        record |= {key: value for key, value in more.items() if value}
        text = json.dumps(record, ensure_ascii=False, allow_nan=False)
        return text.encode("utf-8", "backslashreplace").decode("utf-8")


def list_weights(
    path: str,
    file: WeightFile,
    *,
    to: str | None = None,
    source: str | None = None,
    tensor: str | None = None,
    option: str = "--from",
) -> Listing:
    """What is in `file`, in its own layout or in that of `to`: ``torch``, ``keras`` or ``onnx``.

    Args:
        path: what the file is called.
        file: what it is.
        to: the layout that it is shown in.
        source: the layout of a file that says nothing of it; bare arrays are weights then, see `as_weights`.
        tensor: the name of one that is looked at; it is a weight too where `source` is given.
        option: what `source` was given by.

    Raises:
        UsageError: the file says of itself that it has another layout than `source`.
    """
    if source is not None and file.layout not in ("", source):
        raise UsageError(f"{option} {source}: the file is of {file.layout}")
    layout, told = source or file.layout, []
    described = describe(file.tensors, layout=layout)
    if source is not None:
        described = as_weights(described, layout=source, named=tensor)
    if to is not None:
        from convtool.weights.conversion.file import ConvertedFile
        from convtool.weights.conversion.notes import not_converted

        file = converted = ConvertedFile(file, described, to=to)
        described, layout, told = converted.described, to, [*not_converted(described, option=option), *converted.told]
    return Listing(path, file, [Listed(each, file) for each in described], layout, told)


def statistics(listing: Listing) -> tuple[dict[str, TensorStats], list[str]]:
    """What the numbers of each tensor are like, by name, and why others can't be read.

    Text has no numbers, and those of opaque types are passed over.
    """
    tensors = [each.tensor for each in listing.tensors if not (each.tensor.is_text or each.tensor.opaque)]
    damage = listing.file.unsound()
    stats, reasons = _statistics(listing.file, tensors)
    return stats, damage + reasons


def scale_statistics(listing: Listing) -> tuple[dict[str, TensorStats], list[str]]:
    """What the scales of the numbers of each opaque tensor are like, by name, and why others can't be read."""
    return _statistics(listing.file, [each.tensor for each in listing.tensors if each.tensor.opaque])


def _statistics(file: WeightFile, tensors: Sequence[TensorInfo]) -> tuple[dict[str, TensorStats], list[str]]:
    from convtool.weights.statistics import all_stats

    stats: dict[str, TensorStats] = {}
    damage = []
    for tensor, found in zip(tensors, all_stats(file, tensors), strict=True):
        if isinstance(found, InputError):
            damage.append(str(found))
        else:
            stats[tensor.name] = found
    return stats, damage
