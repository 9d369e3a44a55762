"""Pictures of matrices and vectors: what stands in each cell, and what the gates are called."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from convtool.errors import InputError
from convtool.plots import render_matrix
from convtool.plots.matrix import pooled
from tests.helpers.pictures import overlapping, texts


def test_a_matrix_fills_the_page(figures: list[Figure]) -> None:
    values = np.arange(-6.0, 6).reshape(4, 3)
    render_matrix(values, name="fc.weight", axes=("out", "in"), format="png")
    axes = figures[0].axes[0]
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("out", "in")
    assert {"fc.weight", "4 × 3 (out × in)   −6 to 5"} <= set(texts(figures[0]))
    image = axes.images[0]
    np.testing.assert_array_equal(image.get_array(), values)
    assert image.get_clim() == (-6, 6)
    place = axes.get_position()
    assert place.width > 0.8
    assert place.height > 0.8
    assert overlapping(figures[0]) == []


@pytest.mark.parametrize(
    ("shape", "axis", "names"), [((8, 2), 0, "ifgo"), ((2, 12), 1, "zrn"), ((32,), 0, "ifgo"), ((16,), 0, "iofciofc")]
)
def test_gates_are_called_gates(shape: tuple[int, ...], axis: int, names: str, figures: list[Figure]) -> None:
    render_matrix(np.ones(shape), name="w", axes=("4H", "in"), gates=(axis, tuple(names)), format="png")
    page = figures[0].axes[0]
    assert [text for text in texts(figures[0]) if text.startswith("gate")] == [f"gate {name}" for name in names]
    lines = [line for line in page.lines if line.get_linewidth() == 1.2]
    each = shape[axis] / len(names)
    ends = [float(np.ravel(line.get_data()[0 if axis == len(shape) - 1 else 1])[0]) for line in lines]
    assert ends == [place * each - 0.5 for place in range(1, len(names))]
    assert overlapping(figures[0]) == []


def test_a_large_matrix_keeps_its_greatest_numbers(figures: list[Figure]) -> None:
    values = np.zeros((1300, 2100))
    values[777, 1999] = -5
    render_matrix(values, name="w", axes=("out", "in"), format="png")
    drawn = figures[0].axes[0].images[0].get_array()
    assert drawn is not None
    assert drawn.shape == (600, 1000)
    assert (drawn == -5).sum() == 1
    assert pooled(np.array([[np.nan, 1], [2, -np.inf]]), 1, 2).tolist()[0][1] == -np.inf
    assert np.isnan(pooled(np.array([[np.nan, 1]]), 1, 1)).all()


def test_what_is_not_finite_has_its_own_colours(figures: list[Figure]) -> None:
    render_matrix(np.array([[1, np.nan], [np.inf, 0]]), name="w", axes=("out", "in"), format="png")
    page = figures[0].axes[0]
    assert len(page.images) == 3
    assert page.child_axes[0].get_ylabel() == "weight; yellow: NaN; green: infinite"
    assert any(text.endswith("2 not finite") for text in texts(figures[0]))


def test_equal_calls_make_equal_bytes() -> None:
    one, other = (render_matrix(np.eye(3), name="w", axes=("a", "b"), format="png") for _ in range(2))
    assert one == other


@pytest.mark.parametrize("values", [np.zeros((0, 3)), np.ones((2, 2), complex)])
def test_what_is_no_matrix(values: np.ndarray) -> None:
    with pytest.raises(InputError, match="can't be drawn"):
        render_matrix(values, name="w", axes=("out", "in"), format="png")
