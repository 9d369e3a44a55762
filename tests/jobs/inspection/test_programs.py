"""Weights of TorchScript archives against those of the same model: what only the program needs is no difference."""

from __future__ import annotations

import numpy as np
import pytest

from convtool.arrays.torch import CODE
from convtool.jobs.inspection.diff import by_name
from convtool.jobs.inspection.listing import Listed, list_weights
from convtool.jobs.inspection.programs import without_code
from tests.helpers.weight_arrays import Array, Arrays, info

WEIGHTS: dict[str, Array] = {"fc.weight": np.ones((2, 3)), "fc.bias": np.ones(2)}
SCALAR = np.float64(2.5).reshape(())


def listed(weights: dict[str, Array], **constants: Array) -> list[Listed]:
    named = {f"constants.{name}": array for name, array in constants.items()}
    tensors = [info(name, array.shape, str(array.dtype)) for name, array in weights.items()]
    tensors += [info(name, array.shape, str(array.dtype), node=CODE) for name, array in named.items()]
    return list(list_weights("m.pt", Arrays(weights | named, "torch", tensors)).tensors)


@pytest.mark.parametrize("swapped", [False, True])
def test_single_numbers_indices_and_masks_are_left_out(*, swapped: bool) -> None:
    one = listed(WEIGHTS, a=SCALAR, b=np.arange(5), c=np.array([True, False]))
    sides = (listed(WEIGHTS), one) if swapped else (one, listed(WEIGHTS))
    kept, notes = without_code(list(by_name(*sides)))
    assert [pair.name for pair in kept] == ["fc.weight", "fc.bias"]
    assert notes == ["not compared, constants of the code: 'constants.a', 'constants.b', 'constants.c'"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (listed(WEIGHTS), listed(WEIGHTS)),
        (listed(WEIGHTS, a=SCALAR), listed(WEIGHTS, a=SCALAR)),
        (listed(WEIGHTS, a=np.ones(2)), listed(WEIGHTS)),
        (listed(WEIGHTS, a=SCALAR), listed({**WEIGHTS, "more": SCALAR})),
        (listed({"fc.weight": WEIGHTS["fc.weight"]}, a=SCALAR), listed(WEIGHTS)),
        (listed({**WEIGHTS, "more": SCALAR}), listed(WEIGHTS)),
    ],
    ids=["alike", "in both", "of more numbers", "another weight", "of a missing weight", "no constant"],
)
def test_what_may_be_a_weight_is_a_difference(one: list[Listed], other: list[Listed]) -> None:
    pairs = list(by_name(one, other))
    assert without_code(pairs) == (pairs, [])
