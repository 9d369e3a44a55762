"""Pictures of the statistics of sliding windows, along signals and in grids."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from convtool.errors import UsageError
from convtool.plots import render_grid_stats, render_local_stats
from convtool.plots.figure import Samples
from tests.helpers.pictures import curve, noise, texts, titles

STATS: dict[str, Callable[[Samples], Samples]] = {
    "mean": lambda views: views.mean(-1),
    "var": lambda views: views.var(-1),
    "std": lambda views: views.std(-1),
    "count": lambda views: np.full(views.shape[:-1], views.shape[-1]),
    **{f"p{percent}": lambda views, percent=percent: np.percentile(views, percent, -1) for percent in range(90, 100)},
}


def render_stats(
    signal: Samples,
    window: int = 3,
    stride: int = 1,
    centred: bool = False,
    sample_rate: int | None = None,
    name: str = "input",
    format: str = "png",
    stats: Sequence[str] = ("mean", "var"),
) -> bytes:
    """Of windows inside the signal, or where `centred` of as many as there are samples."""
    if centred:
        signal = np.pad(signal, ((0, 0), (window // 2, (window - 1) // 2)), mode="edge")
    views = np.lib.stride_tricks.sliding_window_view(signal, window, axis=1)[:, ::stride]
    inside = slice(window // 2, signal.shape[1] - (window - 1) // 2) if centred else slice(None)
    return render_local_stats(
        signal=signal[:, inside],
        stats={stat: STATS[stat](views) for stat in stats},
        window=window,
        stride=stride,
        before=window // 2 if centred else 0,
        sample_rate=sample_rate,
        name=name,
        format=format,
    )


def render_grid(
    grid: Samples,
    window: tuple[int, int] = (2, 3),
    stride: tuple[int, int] = (1, 1),
    format: str = "png",
    stats: Sequence[str] = ("var",),
) -> bytes:
    views = np.lib.stride_tricks.sliding_window_view(grid, window)[:: stride[0], :: stride[1]]
    made = {stat: STATS[stat](views.reshape(*views.shape[:2], -1)) for stat in stats}
    return render_grid_stats(
        grid=grid, stats=made, window=window, stride=stride, before=(0, 0), name="a.npy", format=format
    )


@pytest.mark.parametrize("format", ["png", "svg", "pdf"])
def test_local_statistics_give_the_same_bytes_twice(format: str) -> None:
    start = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[format]
    first = render_stats(noise(2, 3000), sample_rate=8000, format=format), render_grid(noise(20, 30), format=format)
    again = render_stats(noise(2, 3000), sample_rate=8000, format=format), render_grid(noise(20, 30), format=format)
    assert first == again
    assert [picture[: len(start)] for picture in first] == [start] * 2


def test_local_statistics_in_an_unknown_format() -> None:
    for ask in (lambda: render_stats(noise(1, 9), format="jpg"), lambda: render_grid(noise(9, 9), format="jpg")):
        with pytest.raises(UsageError, match="png, svg, pdf, not 'jpg'"):
            ask()


@pytest.mark.parametrize(
    ("window", "stride", "centred", "rate", "first"),
    [(3, 1, False, None, 1), (4, 2, False, None, 1.5), (3, 1, True, 10, 0), (4, 3, True, 10, -0.05)],
)
def test_each_window_is_drawn_at_its_middle(
    window: int, stride: int, centred: bool, rate: int | None, first: float, figures: list[Figure]
) -> None:
    render_stats(noise(1, 30), window, stride, centred, rate)
    above, _, below = figures[0].axes
    time, mean = above.lines[-1].get_data()
    assert time[0] == pytest.approx(first)
    np.testing.assert_allclose(np.diff(time), stride / (rate or 1))
    times, var = curve(below)
    np.testing.assert_array_equal(times, time)
    (band,) = (each for each in above.collections if each.get_label() == "band")
    low, high = (edge(band.get_paths()[0].vertices[:, 1]) for edge in (np.min, np.max))
    assert low == pytest.approx(np.min(mean - np.sqrt(var)))
    assert high == pytest.approx(np.max(mean + np.sqrt(var)))
    assert below.get_ylim()[0] == 0


@pytest.mark.parametrize(
    ("channels", "samples", "rate", "panels"), [(1, 40, None, 1), (2, 5000, 44100, 2), (9, 300, 8000, 4)]
)
def test_each_of_the_first_channels_has_its_row(
    channels: int, samples: int, rate: int | None, panels: int, figures: list[Figure]
) -> None:
    render_stats(noise(channels, samples), 20, 1, True, rate, "W" * 50)
    *above, below, last = figures[0].axes
    assert len(above) == panels
    assert [axes.get_ylabel() for axes in (below, last)] == ["mean", "variance"]
    names = ["amplitude"] if channels == 1 else [f"channel {i + 1}" for i in range(panels)]
    assert [axes.get_ylabel() for axes in above] == names
    assert len(below.lines) + len(below.collections) == channels
    shown = texts(figures[0])
    said = f"windows of 20 samples{f' ({20 / rate:.4g} s)' if rate else ''}   "
    assert sum(text.startswith(said) for text in shown) == 2
    found = [text for axes in figures[0].axes for text in dict.fromkeys(titles(axes))]
    legends = [legend for axes in figures[0].axes if (legend := axes.get_legend())]
    assert len(legends) == 1 + (channels > 1)
    boxes = [artist.get_window_extent() for artist in [*found, *legends, *(axes.yaxis.label for axes in above)]]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))


def test_local_statistics_of_few_of_many_and_of_bad_windows(figures: list[Figure]) -> None:
    render_stats(np.array([[4, 1, 2, 5]]), 4, name="take.wav")
    bad = noise(1, 5000) * 1e300
    bad[0, 100:2000] = np.nan
    with np.errstate(all="ignore"):
        render_stats(bad, 7, 2)
        render_stats(np.full((1, 10), np.inf))
    shown = [texts(figure) for figure in figures]
    assert "input: take.wav" in shown[0]
    assert "windows of 4 samples   2.5 to 2.5" in shown[0]
    assert any(text.startswith("windows of 7 samples, one every 2   ") for text in shown[1])
    assert any(text.endswith("1,900 not finite") for text in shown[1])


@pytest.mark.parametrize(("window", "stride"), [((2, 3), (1, 1)), ((4, 4), (2, 3))])
def test_a_variance_lies_where_its_window_does(
    window: tuple[int, int], stride: tuple[int, int], figures: list[Figure]
) -> None:
    grid = noise(20, 30)
    grid[0, 0] = np.nan
    render_grid(grid, window, stride)
    left, right = figures[0].axes[:2]
    assert left.images[0].get_extent() == [-0.5, 29.5, 19.5, -0.5]
    start, end, bottom, top = right.images[0].get_extent()
    assert start + stride[1] / 2 == (window[1] - 1) / 2
    assert top + stride[0] / 2 == (window[0] - 1) / 2
    rows, columns = right.images[0].get_array().shape
    assert (end - start, bottom - top) == (stride[1] * columns, stride[0] * rows)
    assert left.get_xlim() == right.get_xlim() == (-0.5, 29.5)
    assert left.get_ylim() == right.get_ylim() == (19.5, -0.5)
    shown = texts(figures[0])
    assert "input: a.npy" in shown
    assert any(text.startswith("20 × 30   −") and text.endswith("1 not finite") for text in shown)
    assert any(text.startswith(f"windows of {window[0]} × {window[1]}   {rows} × {columns}   0.") for text in shown)


@pytest.mark.parametrize("grid", [noise(2, 900), noise(900, 3), np.ones((5, 5)), np.full((4, 4), np.nan)])
def test_grids_of_any_shape_are_drawn(grid: Samples, figures: list[Figure]) -> None:
    assert imread(io.BytesIO(render_grid(grid)), format="png").shape[1] == 1375
    aspects = {axes.get_aspect() for axes in figures[0].axes[:2]}
    assert aspects == ({1.0} if grid.shape[0] == grid.shape[1] else {"auto"})


def test_huge_and_tiny_grids_are_drawn(figures: list[Figure]) -> None:
    for scale in (1e150, 1e-150, 1e300):
        with np.errstate(all="ignore"):
            render_grid(noise(9, 9) * scale)


def test_each_statistic_that_was_asked_for_has_its_panel(figures: list[Figure]) -> None:
    """The band stands where both of its statistics are there; counts have whole ticks; of many the first are drawn."""
    for stats in (("var",), ("std", "mean"), ("count", "p95"), tuple(STATS)):
        render_stats(noise(2, 40), stats=stats)
        render_grid(noise(9, 9), stats=stats)
    bands = [sum(each.get_label() == "band" for axes in f.axes for each in axes.collections) for f in figures]
    assert bands == [0, 0, 2, 0, 0, 0, 2, 0]
    assert [axes.get_ylabel() for axes in figures[4].axes[2:]] == ["count", "percentile 95"]
    counts = figures[4].axes[2]
    assert counts.get_ylim()[0] == 0
    assert all(float(tick).is_integer() for tick in counts.get_yticks())
    assert np.all(figures[4].axes[2].lines[0].get_ydata() == 3)
    assert len(figures[6].axes) == 2 + 8
    assert sum(axes.axison for axes in figures[7].axes[:10]) == 9
    for figure in figures[6:]:
        assert any("the first 8 of 14 statistics" in text for text in texts(figure))
    assert {"local standard deviation", "local mean"} <= set(texts(figures[2])) & set(texts(figures[3]))
