"""Pictures of frequency responses: what is drawn of which numbers, and what is said of the rest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from matplotlib.figure import Figure

from convtool.plots import render_response
from convtool.plots.figure import Curve
from tests.helpers.pictures import overlapping, texts

INF, NAN = np.inf, np.nan


def render(
    magnitude: Curve,
    sample_rate: float | None = 16000,
    labels: Sequence[str] | None = None,
    name: str = "conv.weight",
    format: str = "png",
) -> bytes:
    filters, points = np.shape(magnitude)
    return render_response(
        np.linspace(0, (sample_rate or 1) / 2, points),
        magnitude,
        labels=[f"filter {i}" for i in range(filters)] if labels is None else labels,
        sample_rate=sample_rate,
        name=name,
        format=format,
    )


def slopes(filters: int, points: int = 33) -> Curve:
    """Each falls from its own number of dB to 60 below."""
    return np.arange(filters)[:, None] - np.linspace(0, 60, points)


def legend(figure: Figure) -> list[str]:
    found = figure.axes[0].get_legend()
    return [text.get_text() for text in found.get_texts()]


@pytest.mark.parametrize(
    ("sample_rate", "label", "ticks"),
    [(16000, "frequency (Hz)", ["0", "1k", "2k", "8k"]), (None, "frequency (cycles/sample)", ["0.0", "0.1", "0.5"])],
)
@pytest.mark.parametrize("filters", [2, 20])
def test_axes_have_units(
    filters: int, sample_rate: float | None, label: str, ticks: list[str], figures: list[Figure]
) -> None:
    render(slopes(filters), sample_rate)
    axes = figures[0].axes[0]
    assert axes.get_xlabel() == label
    assert set(ticks) <= {text.get_text() for text in axes.get_xticklabels()}
    assert axes.get_xlim() == (0, (sample_rate or 1) / 2)
    assert (axes if filters == 2 else figures[0].axes[0].child_axes[0]).get_ylabel() == "magnitude (dB)"


def test_few_filters_are_named_curves(figures: list[Figure]) -> None:
    magnitude = slopes(8)
    render(magnitude)
    lines = figures[0].axes[0].lines
    np.testing.assert_array_equal([line.get_data()[0] for line in lines], [np.linspace(0, 8000, 33)] * 8)
    np.testing.assert_array_equal([line.get_data()[1] for line in lines], magnitude)
    assert legend(figures[0]) == [f"filter {i}" for i in range(8)]
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 8
    shown = texts(figures[0])
    assert "conv.weight" in shown
    assert "8 filters   greatest magnitude 7 dB" in shown


@pytest.mark.parametrize(
    ("magnitude", "lowest", "highest"),
    [
        ([0, -60], -63, 3),
        ([0, -300], -126, 6),
        ([40, -INF, -80], -86, 46),
        ([5, 5], 1.7, 8.3),
        ([6, -INF], 2.7, 9.3),
        ([1e-15, 0], -3.3, 3.3),
    ],
)
def test_the_axis_has_a_sensible_depth(
    magnitude: list[float], lowest: float, highest: float, figures: list[Figure]
) -> None:
    render(np.array([magnitude]))
    axes = figures[0].axes[0]
    assert axes.get_ylim() == pytest.approx((lowest, highest), abs=0.01)
    low = np.array(magnitude) < lowest
    assert (axes.lines[0].get_data()[1][low] < lowest).all()
    np.testing.assert_array_equal(axes.lines[0].get_data()[1][~low], np.array(magnitude)[~low])


def test_many_filters_are_rows_in_their_order(figures: list[Figure]) -> None:
    magnitude = slopes(9)
    magnitude[4, 7] = -INF
    magnitude[5, 3] = NAN
    render(magnitude)
    (image,) = figures[0].axes[0].images
    drawn = image.get_array()
    assert drawn.mask.sum() == drawn.mask[5, 3] == 1
    np.testing.assert_array_equal(drawn.filled(0), np.nan_to_num(np.maximum(magnitude, np.nanmin(slopes(9)))))
    left, right, bottom, top = image.get_extent()
    assert (left, right) == (-125, 8125)
    assert (bottom, top) == (8.5, -0.5)
    assert image.get_clim() == (-60, 8)
    assert [text.get_text() for text in figures[0].axes[0].get_yticklabels()] == [f"filter {i}" for i in range(9)]
    assert figures[0].axes[0].child_axes[0].get_ylabel() == "magnitude (dB); orange: not finite"


def test_a_flat_image_is_one_colour(figures: list[Figure]) -> None:
    render(np.zeros((9, 4)))
    assert figures[0].axes[0].images[0].get_clim() == (-3, 3)


def test_many_points_keep_their_peaks(figures: list[Figure]) -> None:
    magnitude = np.full((10, 5001), -90.0)
    magnitude[3, 2345] = 0
    magnitude[4, 2345:2355] = -100
    render(magnitude)
    drawn = figures[0].axes[0].images[0].get_array()
    assert drawn.shape == (10, 1000)
    assert np.argwhere(drawn == 0).tolist() == [[3, 469]]  # 469 * 5001 // 1000 is 2345
    assert np.unique(drawn[4]).tolist() == [-100, -90]


def test_rows_are_labelled_as_far_as_there_is_room(figures: list[Figure]) -> None:
    names = [f"band {i}" for i in range(300)]
    render(slopes(300), labels=names)
    axes = figures[0].axes[0]
    ticks = [text.get_text() for text in axes.get_yticklabels() if text.get_text()]
    assert 5 <= len(ticks) <= 13
    places = [place for place in axes.get_yticks() if 0 <= place < 300]
    assert ticks == [names[int(place)] for place in places]


def test_more_rows_than_pixels_are_cut_and_told(figures: list[Figure]) -> None:
    render(slopes(1500, 5))
    axes = figures[0].axes[0]
    assert len(axes.images[0].get_array()) == 1024
    assert axes.get_window_extent().height >= 1024
    assert any(text.endswith("shown: the first 1,024 of 1,500") for text in texts(figures[0]))


def test_silent_and_bad_filters_are_told(figures: list[Figure]) -> None:
    magnitude = slopes(4)
    magnitude[1], magnitude[2] = -INF, NAN
    render(magnitude)
    assert legend(figures[0]) == ["filter 0", "filter 1 (silent)", "filter 2 (not finite)", "filter 3"]
    low, high = figures[0].axes[0].get_ylim()
    assert (low, high) == pytest.approx((-60 - 3.15, 3 + 3.15))
    assert "4 filters   greatest magnitude 3 dB   1 silent   1 not finite" in texts(figures[0])


@pytest.mark.parametrize("filters", [1, 3, 30])
@pytest.mark.parametrize(("value", "told"), [(-INF, "silent"), (NAN, "not finite")])
def test_nothing_to_draw_says_so(filters: int, value: float, told: str, figures: list[Figure]) -> None:
    render(np.full((filters, 9), value))
    shown = texts(figures[0])
    assert told in shown
    assert f"{filters} filter{'s' * (filters > 1)}   {filters} {told}" in shown


@pytest.mark.parametrize("filters", [1, 8, 9, 40, 41, 1024])
def test_no_text_overlaps(filters: int, figures: list[Figure]) -> None:
    labels = [f"{'W' * 8}{i:04}{'W' * 30}" for i in range(filters)]
    render(slopes(filters, 9), 44100, labels, "W" * 60)
    assert overlapping(figures[0]) == []


def test_names_are_shown_as_they_are(figures: list[Figure]) -> None:
    render(slopes(2), None, ["$\\frac{$", "日\x1b"], "$_$\n")
    assert legend(figures[0]) == ["$\\frac{$", "\\u65e5\\x1b"]
    assert "$_$\\n" in texts(figures[0])


@pytest.mark.parametrize("format", ["png", "svg", "pdf"])
@pytest.mark.parametrize("filters", [3, 12])
def test_the_same_call_gives_the_same_bytes(filters: int, format: str) -> None:
    first = render(slopes(filters), format=format)
    assert first.startswith({"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[format])
    assert render(slopes(filters), format=format) == first


@pytest.mark.parametrize("shape", [(0, 9), (2, 1), (2, 0)])
def test_too_few(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"shape is \(., .\), with . labels .* at least one and two"):
        render(np.zeros(shape))


def test_labels_and_frequencies_must_fit() -> None:
    with pytest.raises(ValueError, match=r"shape is \(2, 3\), with 1 labels and 3 frequencies"):
        render(np.zeros((2, 3)), labels=["one"])
    with pytest.raises(ValueError, match=r"shape is \(2, 3\), with 2 labels and 4 frequencies"):
        render_response(np.arange(4), np.zeros((2, 3)), labels="ab", sample_rate=None, name="", format="png")
