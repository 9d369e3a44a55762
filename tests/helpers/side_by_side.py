"""Files of two frameworks that are made of arrays, and what differs between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from convtool.jobs.inspection.diff import Difference, differences
from convtool.jobs.inspection.listing import Listing, list_weights
from convtool.jobs.inspection.matching import match
from tests.helpers.weight_arrays import Array, Arrays, info


def listing(arrays: Mapping[str, Array], layout: str, **told: dict[str, Any]) -> Listing:
    """`arrays` as a file, with what it tells of their layers by their names."""
    tensors = [
        info(name, value.shape, str(value.dtype), **told.get(name.replace(".", "_"), {}))
        for name, value in arrays.items()
    ]
    return list_weights("m", Arrays(arrays, layout, tensors))


def compared(one: Listing, other: Listing, **options: Any) -> tuple[list[Difference], list[str]]:
    """The differences, which are the same whichever file is the first, and what is said."""
    pairs, notes = match(one, other, **options)
    turned, again = match(other, one, **options)
    assert {(pair.one is None, pair.other is None) for pair in pairs} == {
        (pair.other is None, pair.one is None) for pair in turned
    }
    assert sorted(notes) == sorted(again)
    found, back = list(differences(pairs, tolerance=1e-6)), list(differences(turned, tolerance=1e-6))
    assert sorted(str(each.largest) for each in found) == sorted(str(each.largest) for each in back)
    return found, notes


def of_node(op: str, number: int, **more: Any) -> dict[str, Any]:
    return {"layer": op, "input": number, **more}
