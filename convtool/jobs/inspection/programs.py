"""Constants of a program's code, which TorchScript keeps beside the weights, where weights are compared."""

from __future__ import annotations

from collections.abc import Sequence

from convtool.arrays.description import some
from convtool.arrays.torch import CODE
from convtool.jobs.inspection.listing import Listed
from convtool.jobs.inspection.sides import Pair

_INDICES = ("int64", "bool")
"""The types of torch's indices, sizes and masks."""


def without_code(pairs: Sequence[Pair]) -> tuple[list[Pair], list[str]]:
    """Those of `pairs` that are weights, and a line of the others: constants of code that the other file lacks.

    Freezing makes constants of weights. So only single numbers, indices and masks are left out, and these only where
    every other tensor has a counterpart.
    """
    both = [pair for pair in pairs if None not in pair]
    alone = [each for pair in pairs if None in pair for each in (pair.one, pair.other) if each is not None]
    if not alone or not all(map(_is_of_code, alone)):
        return list(pairs), []
    return both, [f"not compared, constants of the code: {some(each.name for each in alone)}"]


def _is_of_code(listed: Listed) -> bool:
    tensor = listed.tensor
    return tensor.config.get("node") == CODE and (tensor.dtype in _INDICES or tensor.parameters < 2)
