"""The listing of a weight file as a table."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from convtool.cli import messages
from convtool.cli.show.tables import fitting, human_bytes, human_count, table, terminal_width
from convtool.files.names import counted, show

if TYPE_CHECKING:
    from convtool.jobs.inspection.listing import Listed, Listing
    from convtool.weights.statistics import TensorStats

_NUMBER = re.compile(r"(?<![^./_])\d{1,9}(?![^./_])")
_COLUMNS = ("name", "kind", "shape", "axes", "dtype", "parameters", "bytes")
_STATS = ("min", "max", "mean", "std", "zeros", "nan", "infinite")
_RIGHT = ("parameters", "bytes", *_STATS)
_SPARE = ("parameters", "bytes", "dtype")  # what a narrow terminal is not shown, the first first
_SPARE_BESIDE_STATS = (*_SPARE, "axes", "kind", "shape")
_INDENT = "    "


def show_listing(listing: Listing, stats: Mapping[str, TensorStats] | None, *, many: bool) -> None:
    """Print the table of one file; under the file's name where there are several."""
    width = terminal_width()
    grouped = width is not None and stats is None
    groups = _grouped(listing.tensors) if grouped else [[each] for each in listing.tensors]
    flags = [_flag(group[0], stats is not None) for group in groups]
    header = [*_COLUMNS, *(_STATS if stats is not None else ())]
    rows = [_cells(group, stats, digits=4 if width else 6) for group in groups]
    left_out: list[str] = []
    if width is not None:
        kept = fitting(header, rows, width=width, spare=_SPARE if stats is None else _SPARE_BESIDE_STATS)
        left_out = [name for column, name in enumerate(header) if column not in kept]
        header, *rows = [[row[column] for column in kept] for row in (header, *rows)]
    elif any(flags):
        header, rows = [*header, ""], [[*row, flag] for row, flag in zip(rows, flags, strict=True)]
    lines = table(header, rows, right=_RIGHT, width=width)
    if width is not None:
        lines[1:] = [line + _below(flag, width) for line, flag in zip(lines[1:], flags, strict=True)]
    heading = [f"{show(listing.path)}:"] if many else []
    messages.out("\n".join([*heading, *lines, _totals(listing), *[""] * many]))
    if left_out:
        messages.note(f"left out here: {', '.join(left_out)}; a wider terminal, a pipe or --json has them")


def _below(flag: str, width: int) -> str:
    """`flag` in lines of its own."""
    if not flag:
        return ""
    import textwrap

    lines = textwrap.wrap(flag, max(20, width - len(_INDENT)))
    return "".join(f"\n{_INDENT}{line}" for line in lines)


def _totals(listing: Listing) -> str:
    """One line: how many tensors, numbers and bytes, and what the file says of itself."""
    numbers = counted(listing.parameters, "parameter")
    if listing.parameters >= 1000:
        numbers += f" ({human_count(listing.parameters)})"
    told = [f"{show(key)} {show(str(value))}" for key, value in listing.file.metadata.items()]
    tensors = counted(len(listing.tensors), "tensor")
    return ", ".join([listing.file.format, tensors, numbers, human_bytes(listing.nbytes), *told])


def _cells(group: Sequence[Listed], stats: Mapping[str, TensorStats] | None, *, digits: int) -> list[str]:
    from convtool.jobs.inspection.listing import size

    first = group[0].described
    tensor = first.tensor
    name = show(tensor.name)
    if len(group) > 1:
        name = f"{_pattern([show(each.name) for each in group])} ×{len(group)}"
    cells = [
        name,
        first.kind,
        size(tensor.shape),
        ",".join(first.axes),
        show(tensor.dtype),
        str(len(group) * tensor.parameters),
        human_bytes(len(group) * tensor.nbytes),
    ]
    if stats is None:
        return cells
    found = stats.get(tensor.name)
    return cells + [_figure(getattr(found, name, ""), digits) for name in _STATS]


def _figure(value: Any, digits: int) -> str:
    """A number of the statistics; nothing where it is that of no values, which is NaN."""
    if value != value:
        return ""
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def _flag(listed: Listed, beside_stats: bool) -> str:
    tensor = listed.described.tensor
    flags = [tensor.flag, f"same as {tensor.tied_to}" if tensor.tied_to else ""]
    if beside_stats and listed.is_complex:
        flags.append("min, max, mean and std of |z|")
    return "; ".join(show(flag) for flag in flags if flag)


def _grouped(tensors: Sequence[Listed]) -> list[list[Listed]]:
    """Tensors that differ in numbers of their names alone, such as those of repeated layers, side by side."""
    groups: dict[object, list[Listed]] = {}
    for number, listed in enumerate(tensors):
        tensor = listed.described.tensor
        plain = not tensor.tied_to and _NUMBER.search(tensor.name)
        alike = (_NUMBER.sub("#", tensor.name), tensor.shape, tensor.dtype, listed.described.kind, tensor.flag)
        groups.setdefault(alike if plain else number, []).append(listed)
    return list(groups.values())


def _pattern(names: Sequence[str]) -> str:
    """The name of a group: where its members' names differ, the numbers from the least to the greatest.

    >>> _pattern(["layer.0.conv1.weight", "layer.1.conv1.weight", "layer.2.conv1.weight"])
    'layer.{0…2}.conv1.weight'
    """
    columns = [sorted({int(number) for number in column}) for column in zip(*map(_NUMBER.findall, names), strict=True)]
    spans = iter([f"{{{c[0]}…{c[-1]}}}" if len(c) > 1 else str(c[0]) for c in columns])
    return _NUMBER.sub(lambda _: next(spans), names[0])
