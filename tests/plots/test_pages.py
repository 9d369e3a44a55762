"""How units are laid out on a page."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path
from matplotlib.textpath import TextPath

from convtool.plots.pages import GAP, HEIGHT, WIDTH, Grid, arrange, text_width


@pytest.mark.parametrize(
    ("count", "size", "across"),
    [(1, (100, 100), 1), (2, (100, 100), 2), (16, (100, 100), 4), (32, (100, 120), 8), (6, (100, 100), 3)],
)
def test_units_fill_their_rows(count: int, size: tuple[int, int], across: int) -> None:
    assert arrange(count, [size]) == (0, across)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 31, 64, 97, 256, 1000])
def test_the_first_size_that_fits_is_taken(count: int) -> None:
    sizes = [(side, side) for side in range(200, 5, -1)]
    index, across = arrange(count, sizes)

    def fits(side: int, across: int) -> bool:
        down = -(-count // across)
        return across * (side + GAP) - GAP <= WIDTH and down * (side + GAP) - GAP <= HEIGHT

    assert fits(sizes[index][0], across)
    assert not any(fits(sizes[i][0], n) for i in range(index) for n in range(1, count + 1))


def test_what_fits_nowhere_is_as_wide_as_may_be() -> None:
    assert arrange(300, [(500, 100), (200, 100)]) == (1, (WIDTH + GAP) // (200 + GAP))
    assert arrange(3, [(2 * WIDTH, 100)]) == (0, 1)
    assert arrange(2, [(100, 2 * HEIGHT)]) == (0, 2)


def test_places_are_row_by_row() -> None:
    grid = Grid(5, 2, 30, 20, 7, 9)
    assert [grid.place(i) for i in range(5)] == [
        (7, 9),
        (37 + GAP, 9),
        (7, 29 + GAP),
        (37 + GAP, 29 + GAP),
        (7, 49 + 2 * GAP),
    ]
    assert (grid.right, grid.bottom) == (67 + GAP, 69 + 2 * GAP)


@pytest.mark.parametrize("text", ["filter 31", "W" * 20, "$x^2$", "i"])
def test_the_width_of_a_text_is_that_of_its_outline(text: str) -> None:
    outline: Path = TextPath((0, 0), text.replace("$", r"\$"), size=9, prop=FontProperties(family="DejaVu Sans"))
    assert text_width(text, 9) == pytest.approx(np.ptp(outline.vertices[:, 0]) * 110 / 72, abs=4)
    assert text_width(text + text, 9) > 1.8 * text_width(text, 9)
