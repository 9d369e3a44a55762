"""What differs between two weight files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from convtool.arrays.description import TensorInfo
from convtool.errors import InputError
from convtool.jobs.inspection.diff import Difference, by_name
from convtool.jobs.inspection.diff import differences as of_pairs
from convtool.jobs.inspection.listing import Listed, list_weights
from tests.helpers.weight_arrays import Arrays

Array = np.ndarray[Any, np.dtype[Any]]


class Cut(Arrays):
    """Arrays that come in pieces of some length."""

    length = 3

    def pieces(self, tensor: TensorInfo) -> Iterator[Array]:
        (values,) = super().pieces(tensor)
        for start in range(0, max(len(values), 1), self.length):
            yield values[start : start + self.length]


class Longer(Cut):
    length = 7


def listed(kind: type[Arrays] = Arrays, **arrays: Any) -> list[Listed]:
    file = kind({name.replace("_", "."): np.asarray(array) for name, array in arrays.items()}, "torch")
    return list(list_weights("m.pt", file).tensors)


def differences(
    ours: Sequence[Listed], theirs: Sequence[Listed], *, strip_prefix: str = "", **options: Any
) -> Iterator[Difference]:
    return of_pairs(by_name(ours, theirs, strip_prefix=strip_prefix), **options)


def compare(one: Any, other: Any, **options: Any) -> list[Difference]:
    return list(differences(listed(Cut, w=one), listed(Longer, w=other), **options))


def test_no_difference() -> None:
    values = np.array([[1.5, np.nan, np.inf], [-np.inf, 0, -1e300]])
    assert compare(values, values.copy()) == []
    assert compare(np.zeros((0, 3)), np.zeros((0, 3))) == []
    assert compare(3, 3) == []
    assert compare([True, False], [True, False]) == []


def test_text_is_compared_by_shape_alone() -> None:
    text, longer = (
        list_weights("m.npz", Arrays({}, "", [TensorInfo("w", shape, "text", 0, readable=False)])).tensors
        for shape in ((2,), (3,))
    )
    assert list(differences(text, text)) == []
    assert [each.what for each in differences(text, longer)] == ["shape 2 against 3"]
    assert [each.what for each in differences(text, listed(w=[1, 2]))] == ["text against int64"]
    assert [each.what for each in differences(listed(w=[1.5, 2]), text)] == ["float64 against text"]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int8, np.uint64, np.complex64, np.bool_])
def test_the_largest_distance_and_its_place(dtype: Any) -> None:
    values = np.arange(60).astype(dtype).reshape(3, 4, 5)
    other = values.copy()
    other[1, 2, 3] = 0
    other[2, 0, 1] = 0
    (found,) = compare(values, other)
    distances = np.abs(values.astype(complex) - other.astype(complex))
    assert found.largest == distances.max()
    assert found.index == np.unravel_index(distances.argmax(), distances.shape)
    a, b = (side.astype(complex).reshape(-1) for side in (values, other))
    relative = np.linalg.norm(a - b) / np.linalg.norm(a)
    cosine = 1 - np.vdot(a, b).real / np.linalg.norm(a) / np.linalg.norm(b)
    np.testing.assert_allclose([found.relative, found.cosine], [relative, cosine], rtol=1e-9)
    told = f"2 of 60 values differ, by {distances.max():.6g} at most, at {list(found.index)}"
    assert found.what == f"{told}; relative {relative:.3g}, cosine {cosine:.3g}"
    figures = {"largest": distances.max(), "index": list(found.index)}
    figures |= {"relative": found.relative, "cosine": found.cosine}
    assert json.loads(json.dumps(found.as_json())) == {"name": "w", "what": found.what} | figures


def test_figures_that_there_are_not() -> None:
    (found,) = compare([0.0, 0.0], [0.0, 1.0])
    assert (found.relative, found.cosine) == (None, None)
    (found,) = compare([0.0, 1.0], [0.0, 0.0])
    assert (found.relative, found.cosine) == (1, None)
    (found,) = compare([1.0, 2.0], [2.0, 4.0])
    assert (found.relative, found.cosine) == (1, 0)


def test_long_integers_are_told_apart() -> None:
    (found,) = compare(np.array([2**53, -(2**63)]), np.array([2**53 + 1, -(2**63)]))
    assert (found.largest, found.index) == (1, (0,))
    (found,) = compare(np.array([2**64 - 1], np.uint64), np.array([-1], np.int64))
    assert found.largest == 2.0**64


def test_within_the_tolerance() -> None:
    one, other = np.array([1.0, 2.0, np.nan]), np.array([1.25, 2.0, np.nan])
    assert compare(one, other, tolerance=0.25) == []
    (found,) = compare(one, other, tolerance=0.2)
    assert (found.largest, found.index) == (0.25, (0,))


@pytest.mark.parametrize("pair", [(1.0, np.nan), (np.nan, 1.0), (np.inf, 1.0), (np.inf, -np.inf), (np.nan, np.inf)])
def test_not_finite_against_a_number(pair: tuple[float, float]) -> None:
    (found,) = compare([0.0, pair[0], 5.0], [0.0, pair[1], 6.0], tolerance=100)
    assert (found.largest, found.index) == (np.inf, (1,))
    assert found.what == "1 of 3 values differ, one of them is not finite, at [1]"
    assert found.as_json()["largest"] is None


def test_a_distance_past_float64_is_one_of_finite_values() -> None:
    (found,) = compare([1.7e308, 2.0], [-1.7e308, 1.0])
    assert (found.largest, found.index, found.as_json()["largest"]) == (np.inf, (0,), None)
    assert found.what == "2 of 2 values differ, by more than 1.79769e+308, which float64 does not hold, at [0]"
    assert compare([1.7e308], [1.6e308], tolerance=2e307) == []


def test_shapes_types_and_names() -> None:
    ours = listed(a=np.zeros((2, 3)), b=np.zeros(2, np.float32), c=1.0, mine=0.0)
    theirs = listed(yours=0.0, c=np.zeros(1), b=np.zeros(2), a=np.zeros((3, 2)))
    told = [(each.name, each.what, each.as_json()["index"]) for each in differences(ours, theirs)]
    assert told == [
        ("a", "shape 2x3 against 3x2", None),
        ("b", "float32 against float64, the values are equal", None),
        ("c", "shape scalar against 1", None),
        ("mine", "only in the first file", None),
        ("yours", "only in the second file", None),
    ]
    names = [each.name for each in differences(ours, theirs, ignore_dtype=True)]
    assert names == ["a", "c", "mine", "yours"]
    (found,) = compare(np.float32([1, 2]), np.float64([1, 3]))
    assert found.what.endswith("cosine 0.0101; float32 against float64")
    (found,) = compare(np.float32([1, 2]), np.float64([1, 3]), tolerance=1)
    assert found.what == "float32 against float64, the values are near"


def test_a_prefix() -> None:
    ours, theirs = listed(module_w=1.0, module_b=2.0), listed(w=1.0, module_b=2.0)
    assert [each.name for each in differences(ours, theirs)] == ["module.w", "w"]
    assert list(differences(ours, theirs, strip_prefix="module.")) == []
    both = listed(module_w=1.0, w=2.0)
    told = r"without the prefix 'module\.', 'module\.w' and 'w' have one name, 'w'"
    with pytest.raises(InputError, match=f"^{told}"):
        list(differences(both, theirs, strip_prefix="module."))
    with pytest.raises(InputError, match=f"^in the second file, {told}"):
        list(differences(theirs, both, strip_prefix="module."))


def test_values_that_can_not_be_read() -> None:
    broken = Arrays({}, "torch", [TensorInfo("w", (2,), "float64", 16, flag="w is gone", readable=False)])
    there, lost = listed(w=[1.0, 2.0]), list(list_weights("m.pt", broken).tensors)
    with pytest.raises(InputError, match=r"^w is gone"):
        list(differences(lost, there))
    with pytest.raises(InputError, match=r"^in the second file, w is gone"):
        list(differences(there, lost))
