"""Pictures of filters: each number a square of its colour, in its place, under its name."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.patches import Rectangle

from convtool.errors import InputError
from convtool.plots import render_filters
from convtool.plots.figure import Samples
from tests.helpers.pictures import overlapping, texts

FRAME, YELLOW, GREEN = (0xBB, 0xBB, 0xBB), (0xF0, 0xE4, 0x42), (0x00, 0x9E, 0x73)
UNDER = 16  # pixels from the top of a name to the tile under it


def weights(*shape: int) -> Samples:
    return np.random.default_rng(0).standard_normal(shape)


def render(filters: Samples, name: str = "conv1.weight", labels: list[str] | None = None) -> np.ndarray:
    """The picture's pixels ``(height, width, 3)``."""
    picture = render_filters(filters, name=name, labels=labels, format="png")
    return np.round(imread(io.BytesIO(picture), format="png")[..., :3] * 255).astype(np.uint8)


def positions(figure: Figure) -> dict[str, tuple[int, int]]:
    return {text.get_text(): tuple(map(round, text.get_position())) for text in figure.axes[0].texts}


def tiles_from(pixels: np.ndarray, x: int, y: int, rows: int, columns: int, count: int) -> list[np.ndarray]:
    """The colours ``(rows, columns, 3)`` of `count` tiles whose upper edge is at `y`, rightwards of `x`.

    Each cell is found to be one colour, and a square.
    """
    found = []
    for _ in range(count):
        while not (pixels[y, x : x + 3] == FRAME).all():
            x += 1
        width = int(np.argmin((pixels[y, x:] == FRAME).all(-1)))
        cell, left = divmod(width - 2, columns)
        assert left == 0
        assert cell >= 1
        inside = pixels[y + 1 : y + 1 + rows * cell, x + 1 : x + 1 + columns * cell]
        cells = inside.reshape(rows, cell, columns, cell, 3)
        colours = cells[:, 0, :, 0]
        assert (cells == colours[:, None, :, None]).all()
        outline = [pixels[y + 1 + rows * cell, x : x + width], pixels[y : y + 2 + rows * cell, x]]
        assert all((line == FRAME).all() for line in outline)
        found.append(colours)
        x += width
    return found


def colours_of(values: Samples, peak: float) -> np.ndarray:
    return np.asarray(colormaps["RdBu_r"]((values / peak + 1) / 2, bytes=True))[..., :3]


def test_a_keras_kernel_is_32_named_matrices(figures: list[Figure]) -> None:
    kernel = weights(3, 3, 1, 32)
    pixels = render(kernel.transpose(3, 2, 0, 1))
    places = positions(figures[0])
    for i in range(32):
        x, y = places[f"filter {i}"]
        (found,) = tiles_from(pixels, x, y + UNDER, 3, 3, 1)
        np.testing.assert_array_equal(found, colours_of(kernel[:, :, 0, i], abs(kernel).max()))
    assert {"conv1.weight", "weight", f"{abs(kernel).max():.3g}", "0", f"−{abs(kernel).max():.3g}"} <= set(places)
    assert any(text.startswith("32 filters of 3 × 3 (height × width)   −") for text in places)


@pytest.mark.parametrize("shape", [(16, 3, 7, 7), (5, 2, 1, 7), (3, 32, 2, 2), (2, 3, 40, 60), (64, 2, 1, 1)])
def test_inputs_stand_side_by_side(shape: tuple[int, int, int, int], figures: list[Figure]) -> None:
    filters = weights(*shape)
    pixels = render(filters)
    places = positions(figures[0])
    for i in range(shape[0]):
        found = tiles_from(pixels, *places[f"filter {i}"], shape[2], shape[3], shape[1])
        np.testing.assert_array_equal(found, colours_of(filters[i], abs(filters).max()))
    assert {"in", "0"} <= set(places)


def test_1d_filters_of_several_inputs_are_inputs_by_taps(figures: list[Figure]) -> None:
    filters = weights(6, 4, 9)
    pixels = render(filters)
    places = positions(figures[0])
    for i in range(6):
        x, y = places[f"filter {i}"]
        (found,) = tiles_from(pixels, x, y + UNDER, 4, 9, 1)
        np.testing.assert_array_equal(found, colours_of(filters[i], abs(filters).max()))
    assert any(text.startswith("6 filters of 4 × 9 (in × taps)") for text in places)


@pytest.mark.parametrize("inputs", [1, 2])
def test_3d_filters_are_rows_of_slices(inputs: int, figures: list[Figure]) -> None:
    filters = weights(4, inputs, 3, 5, 2)
    pixels = render(filters)
    places = positions(figures[0])
    for i in range(4):
        for j in range(inputs):
            place = places[f"filter {i}, in {j}" if inputs > 1 else f"filter {i}"]
            found = tiles_from(pixels, *place, 5, 2, 3)
            np.testing.assert_array_equal(found, colours_of(filters[i, j], abs(filters).max()))
    assert {"depth", "0", "1", "2"} <= set(places)


@pytest.mark.parametrize(
    ("shape", "told", "rows"),
    [
        ((1024, 1, 3, 3), "shown: the first 256 of 1,024 filters", 256),
        ((512, 512, 3, 3), "shown: the first 32 of 512 filters, 32 of 512 in", 32),
        ((2, 1, 513, 600), "shown: the first 512 of 513 rows, 512 of 600 columns", 2),
        ((9, 1, 512, 512), "shown: the first 4 of 9 filters", 4),
        ((3, 4, 1, 400), "shown: the first 2 of 4 in", 3),
        ((300, 2, 3), "shown: the first 256 of 300 filters", 256),
        ((300, 1, 3), "shown: the first 256 of 300 filters", 256),
        ((2, 1, 50, 3, 3), "shown: the first 32 of 50 depth", 2),
    ],
)
def test_what_is_too_much_is_cut_and_told(shape: tuple[int, ...], told: str, rows: int, figures: list[Figure]) -> None:
    pixels = render(np.ones(shape, np.float32))
    shown = texts(figures[0])
    assert any(text.endswith(told) for text in shown)
    assert f"filter {rows - 1}" in shown
    assert f"filter {rows}" not in shown
    assert max(pixels.shape) < 2000


def test_the_scale_is_that_of_the_whole_layer(figures: list[Figure]) -> None:
    filters = np.full((300, 1, 1, 1), 0.5)
    filters[299] = -2
    pixels = render(filters)
    x, y = positions(figures[0])["filter 0"]
    (found,) = tiles_from(pixels, x, y + UNDER, 1, 1, 1)
    np.testing.assert_array_equal(found, colours_of(np.array([[0.5]]), 2))
    assert {"2", "1", "0", "−1", "−2"} <= set(texts(figures[0]))


def test_nan_and_infinities_have_their_own_colours(figures: list[Figure]) -> None:
    filters = weights(2, 1, 2, 3)
    filters[0, 0, 1] = np.nan, np.inf, -np.inf
    pixels = render(filters)
    places = positions(figures[0])
    x, y = places["filter 0"]
    (found,) = tiles_from(pixels, x, y + UNDER, 2, 3, 1)
    np.testing.assert_array_equal(found[1], [YELLOW, GREEN, GREEN])
    finite = abs(filters[np.isfinite(filters)]).max()
    np.testing.assert_array_equal(found[0], colours_of(filters[0, 0, 0], finite))
    for word, colour in (("NaN", YELLOW), ("infinite", GREEN)):
        x, y = places[word]
        assert (pixels[y, x - 16] == colour).all()
    assert any(text.endswith("3 not finite") for text in places)


@pytest.mark.parametrize("shape", [(3, 1, 4, 4), (3, 1, 40)])
def test_without_a_finite_number_there_is_no_scale(shape: tuple[int, ...], figures: list[Figure]) -> None:
    render(np.full(shape, np.nan))
    shown = texts(figures[0])
    assert "NaN" in shown
    assert "infinite" not in shown
    assert "weight" not in shown
    assert any(text.endswith(f"   {np.prod(shape)} not finite") for text in shown)


@pytest.mark.parametrize(("value", "expected"), [(0.25, 1), (-3.0, -1), (0.0, 0)])
def test_constant_filters(value: float, expected: float, figures: list[Figure]) -> None:
    pixels = render(np.full((2, 1, 3, 3), value))
    places = positions(figures[0])
    x, y = places["filter 1"]
    (found,) = tiles_from(pixels, x, y + UNDER, 3, 3, 1)
    assert (found == colours_of(np.array(expected, np.float64), 1)).all()
    assert ("weight" in places) == (value != 0)


@pytest.mark.parametrize("scale", [2.0**-1060, 2.0**1020])
def test_huge_and_tiny_filters_are_drawn(scale: float, figures: list[Figure]) -> None:
    filters = np.round(weights(2, 1, 3, 3))
    pixels = render(filters * scale)
    for i in range(2):
        x, y = positions(figures[0])[f"filter {i}"]
        (found,) = tiles_from(pixels, x, y + UNDER, 3, 3, 1)
        np.testing.assert_array_equal(found, colours_of(filters[i, 0], abs(filters).max()))
    render(filters[:, 0, :1] * scale)
    (_, one), (_, two) = stems(figures[1])
    render(filters[:, 0, :1])
    for made, expected in zip((one, two), stems(figures[2]), strict=True):
        np.testing.assert_array_equal(made, expected[1])


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "bool", "float16", "float32"])
def test_numbers_of_any_type(dtype: Any, figures: list[Figure]) -> None:
    filters = np.array([[[[0, 1], [1, 0]]]]).astype(dtype)
    pixels = render(filters)
    x, y = positions(figures[0])["filter 0"]
    (found,) = tiles_from(pixels, x, y + UNDER, 2, 2, 1)
    np.testing.assert_array_equal(found, colours_of(np.array([[0, 1], [1, 0]]), 1))


# Curves


def stems(figure: Figure) -> list[tuple[np.ndarray, np.ndarray]]:
    return [line.get_data() for line in figure.axes[0].lines if line.get_marker() == "o"]


def frames(figure: Figure) -> list[Rectangle]:
    return [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]


def test_few_taps_are_stems_on_one_scale(figures: list[Figure]) -> None:
    filters = weights(8, 1, 9)
    render(filters)
    for (x, y), frame, (taps,) in zip(stems(figures[0]), frames(figures[0]), filters, strict=True):
        middle = frame.get_y() + frame.get_height() / 2
        reach = frame.get_height() / 2 - 4
        np.testing.assert_allclose((middle - y) / reach, taps / abs(filters).max(), atol=1e-12)
        np.testing.assert_allclose(np.diff(x), (frame.get_width() - 8) / 9)
        assert frame.get_x() < x[0] < x[-1] < frame.get_x() + frame.get_width()
    shown = texts(figures[0])
    assert {f"filter {i}" for i in range(8)} <= set(shown)
    assert {"tap", "0", "8", f"{abs(filters).max():.3g}", f"−{abs(filters).max():.3g}"} <= set(shown)


def test_many_stems_lose_their_heads(figures: list[Figure]) -> None:
    render(weights(100, 1, 40))
    assert not stems(figures[0])
    assert len(frames(figures[0])) == 100


@pytest.mark.parametrize("taps", [65, 400, 2000])
def test_many_taps_are_a_line(taps: int, figures: list[Figure]) -> None:
    filters = weights(16, 1, taps)
    filters[3, 0, 40] = np.nan
    filters[3, 0, 41] = np.inf
    render(filters)
    lines = [line.get_data()[1] for line in figures[0].axes[0].lines if len(line.get_data()[1]) == taps]
    heights = np.array([frame.get_y() + frame.get_height() / 2 for frame in frames(figures[0])])
    reach = frames(figures[0])[0].get_height() / 2 - 4
    finite = np.where(np.isfinite(filters), filters, np.nan)
    expected = heights[:, None] - reach * finite[:, 0] / np.nanmax(abs(finite))
    np.testing.assert_allclose(np.array(lines), expected, atol=1e-9)
    marks = [each for each in figures[0].axes[0].collections if isinstance(each, LineCollection)]
    colours = [tuple(np.round(each.get_color()[0][:3] * 255)) for each in marks if len(each.get_segments())]
    assert colours[1:] == [YELLOW, GREEN]  # after the lines at 0
    assert {"NaN", "infinite"} <= set(texts(figures[0]))


def test_very_many_taps_keep_their_peaks(figures: list[Figure]) -> None:
    filters = 0.1 * weights(2, 1, 50_000)
    filters[0, 0, 31_234] = 7
    render(filters)
    first, second = (
        each.get_paths()[0].vertices[:, 1]
        for each in figures[0].axes[0].collections
        if not isinstance(each, LineCollection)
    )
    frame = frames(figures[0])[0]
    assert first.min() == pytest.approx(frame.get_y() + 4)
    assert np.ptp(second) < 0.2 * frame.get_height()
    assert "49999" in texts(figures[0])


@pytest.mark.parametrize(("taps", "numbers"), [(1, ["0"]), (2, ["0", "1"]), (3, ["0", "2", "tap"])])
def test_taps_are_numbered(taps: int, numbers: list[str], figures: list[Figure]) -> None:
    render(np.full((1, 1, taps), 0.5))
    below = [
        text.get_text()
        for text in figures[0].axes[0].texts
        if text.get_position()[1] > frames(figures[0])[0].get_y() + frames(figures[0])[0].get_height()
    ]
    assert sorted(below) == numbers


# Around the tiles


@pytest.mark.parametrize(
    "shape",
    [
        *[(1, 1, 1, 1), (32, 1, 3, 3), (64, 3, 7, 7), (512, 512, 3, 3), (7, 1, 2, 600), (40, 32, 1, 1), (2, 1, 300, 2)],
        *[(16, 1, 400), (1, 1, 1), (1, 1, 100_000), (100, 1, 25), (8, 64, 25), (9, 300, 3)],
        *[(2, 2, 3, 5, 5), (1, 1, 40, 1, 1)],
    ],
)
def test_no_text_overlaps(shape: tuple[int, ...], figures: list[Figure]) -> None:
    filters = weights(*shape) * 1e-8
    if shape[0] % 2 == 0:
        filters.flat[0] = np.nan
        filters.flat[1] = np.inf
    render(filters, name="W" * 60, labels=[f"{'W' * 9}{i:03}{'i' * 30}" for i in range(shape[0])])
    assert overlapping(figures[0]) == []


def test_labels_and_names_are_shown_as_they_are(figures: list[Figure]) -> None:
    render(weights(3, 1, 2, 2), "$\\frac{$\x1b[31m", ["$_^", "日\n", "a" * 20 + "b" * 20])
    shown = texts(figures[0])
    assert {"$\\frac{$\\x1b[31m", "$_^", "\\u65e5\\n", f"{'a' * 9}…{'b' * 10}"} <= set(shown)


@pytest.mark.parametrize("format", ["png", "svg", "pdf"])
def test_the_same_call_gives_the_same_bytes(format: str) -> None:
    start = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[format]
    for filters in (weights(8, 2, 3, 3), weights(8, 1, 30)):
        first = render_filters(filters, name="a", format=format)
        assert first.startswith(start)
        assert render_filters(filters, name="a", format=format) == first


@pytest.mark.parametrize(
    "filters",
    [
        *[np.ones(()), np.ones(3), np.ones((3, 3)), np.ones((1, 1, 1, 1, 1, 1)), np.ones((0, 1, 3, 3))],
        *[np.ones((4, 0, 3)), np.ones((1, 1, 3), complex), np.array([[["a"]]])],
    ],
)
def test_what_are_no_filters(filters: Any) -> None:
    with pytest.raises(InputError, match=r"^shape \(.*\) of .* can't be drawn as filters; they are real numbers"):
        render_filters(filters, name="a", format="png")


def test_a_label_too_few() -> None:
    with pytest.raises(ValueError, match="2 labels for 3 filters"):
        render_filters(np.ones((3, 1, 2, 2)), name="a", labels=["x", "y"], format="png")
