"""Pictures: their bytes, what their text says, and the numbers that the curves are drawn from."""

from __future__ import annotations

import io
import itertools
import re
import sys
import xml.etree.ElementTree as ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text

from convtool import plots
from convtool.errors import UsageError
from convtool.plots import Curve, Samples, envelope, picture_format, render_convolution

FOUR, THREE, SIX = np.array([[4, 1, 2, 5]]), np.array([[1, 2, -1]]), np.array([[4, 9, 0, 8, 8, -5]])


def noise(channels: int, samples: int) -> Samples:
    return np.random.default_rng(0).uniform(-1, 1, (channels, samples))


def render(
    signal: Samples = FOUR,
    kernel: Samples = THREE,
    output: Samples = SIX,
    sample_rate: int | None = None,
    names: tuple[str, str, str] = ("input", "kernel", "output"),
    format: str = "png",
) -> bytes:
    return render_convolution(
        signal=signal, kernel=kernel, output=output, sample_rate=sample_rate, names=names, format=format
    )


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that were saved, to be read."""
    saved: list[Figure] = []
    save = Figure.savefig

    def keep(figure: Figure, *args: object, **options: object) -> None:
        saved.append(figure)
        save(figure, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Figure, "savefig", keep)
    return saved


def titles(axes: Axes) -> list[Text]:
    return [*axes.texts, *(child for child in axes.get_children() if isinstance(child, Text) and child.get_text())]


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in dict.fromkeys(titles(axes))]


def curve(axes: Axes) -> tuple[Curve, Curve]:
    x, y = axes.lines[0].get_data()
    return np.asarray(x, np.float64), np.asarray(y, np.float64)


@pytest.mark.parametrize(("path", "expected"), [("a.png", "png"), ("b/c.d.SVG", "svg"), ("x.Pdf", "pdf")])
def test_the_extension_is_the_format(path: str, expected: str) -> None:
    assert picture_format(path) == expected


@pytest.mark.parametrize(("path", "told"), [("a.jpg", "not jpg"), ("plot", "not a file without"), ("a.", "not a file")])
def test_an_extension_that_is_none_of_them(path: str, told: str) -> None:
    with pytest.raises(UsageError, match=rf"{re.escape(path)}: a picture can be png, svg, pdf, {told}"):
        picture_format(path)
    with pytest.raises(UsageError, match="png, svg, pdf, not 'jpg'"):
        render(format="jpg")


def test_without_matplotlib_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for ask in (lambda: picture_format("a.png"), render):
        with pytest.raises(UsageError, match=r"pip install 'convtool\[plot\]'"):
            ask()


def test_each_format_is_what_it_says() -> None:
    picture = imread(io.BytesIO(render()), format="png")
    assert picture.shape == (990, 1375, 4)
    assert 0.02 < (picture[..., :3].min(-1) < 0.99).mean() < 0.5
    assert ElementTree.fromstring(render(format="svg")).tag.endswith("svg")
    assert render(format="pdf").startswith(b"%PDF")


@pytest.mark.parametrize("format", ["png", "svg", "pdf"])
def test_the_same_call_gives_the_same_bytes(format: str) -> None:
    first = render(noise(2, 3000), sample_rate=8000, format=format)
    matplotlib.rcParams["lines.linewidth"] = 7.0
    try:
        assert render(noise(2, 3000), sample_rate=8000, format=format) == first
        assert matplotlib.rcParams["lines.linewidth"] == 7.0
    finally:
        matplotlib.rcdefaults()


def test_names_are_shown_as_they_are(figures: list[Figure]) -> None:
    render(names=("$\\frac{$_^.wav", "\x1b[31m\n日\udcff", "a" * 30 + "b" * 30))
    shown = texts(figures[0])
    assert "input: $\\frac{$_^.wav" in shown
    assert "kernel: \\x1b[31m\\n\\u65e5\\udcff" in shown
    assert f"output: {'a' * 16}…{'b' * 17}" in shown


def test_titles_tell_length_and_peak(figures: list[Figure]) -> None:
    bad = noise(1, 3000)
    bad[0, :7] = np.nan
    bad[0, 7] = -0.5
    render(np.array([[4.0]]), bad, np.stack([SIX[0], -2 * SIX[0]]), sample_rate=4)
    shown = texts(figures[0])
    assert "1 sample   0.25 s   peak 4 (12.0 dB)" in shown
    assert any(text.startswith("3,000 samples   750 s") and text.endswith("7 not finite") for text in shown)
    assert "2 channels   6 samples   1.5 s   peak 18 (25.1 dB)" in shown


def test_axes_have_units(figures: list[Figure]) -> None:
    render()
    render(sample_rate=44100)
    labels = [[axes.get_xlabel() for axes in figure.axes[:2]] for figure in figures]
    assert labels == [["time (samples)", "frequency (cycles/sample)"], ["time (s)", "frequency (Hz)"]]
    assert [axes.get_xscale() for axes in figures[1].axes] == ["linear", "log"] * 3
    ticks = [text.get_text() for text in figures[1].axes[1].get_xticklabels()]
    assert ticks == ["50", "100", "200", "500", "1k", "2k", "5k", "10k", "20k"]


@pytest.mark.parametrize(
    ("samples", "sample_rate"),
    [(1, None), (64, 44100), (65, 1), (2001, None), (300_000, 44100)],
)
def test_no_text_overlaps(samples: int, sample_rate: int | None, figures: list[Figure]) -> None:
    render(noise(2, samples) * 1e-5, noise(5, 70), noise(1, samples) * 1e12, sample_rate, ("W" * 50, "i" * 50, "mix"))
    boxes = {}
    for axes in figures[0].axes:
        legend = axes.get_legend()
        found: list[Artist] = [*dict.fromkeys(titles(axes)), axes.xaxis.label, axes.yaxis.label]
        for artist in [*found, legend] if legend else found:
            boxes[artist] = artist.get_window_extent()
    for (one, box), (other, place) in itertools.combinations(boxes.items(), 2):
        assert not box.overlaps(place), (one, other)
    assert min(box.x0 for box in boxes.values()) >= 0
    assert max(box.x1 for box in boxes.values()) <= figures[0].bbox.x1


@pytest.mark.parametrize("sample_rate", [None, 44100])
def test_silent_and_empty_signals_say_so(sample_rate: int | None, figures: list[Figure]) -> None:
    render(np.zeros((1, 100)), np.zeros((1, 0)), np.full((1, 5), np.nan), sample_rate)
    shown = texts(figures[0])
    assert [shown.count("silent"), shown.count("empty")] == [3, 1]


def test_an_envelope_holds_every_sample() -> None:
    signal = noise(3, 12345).astype(np.float32)
    signal[1, 777] = 9
    starts, low, high = envelope(signal, 1000)
    ends = np.append(starts[1:], 12345)
    for i, (start, end) in enumerate(zip(starts, ends, strict=True)):
        assert (low[:, i] == signal[:, start:end].min(-1)).all()
        assert (high[:, i] == signal[:, start:end].max(-1)).all()
    assert high.max() == 9


def test_an_envelope_leaves_out_what_is_not_finite() -> None:
    _, low, high = envelope(np.array([[1.0, np.inf, np.nan, -np.inf, 3.0, 2.0]]), 3)
    np.testing.assert_array_equal(low, [[1, np.nan, 2]])
    np.testing.assert_array_equal(high, [[1, np.nan, 3]])


def test_the_kernels_spectrum_is_its_gain(figures: list[Figure]) -> None:
    render(output=np.convolve(FOUR[0], THREE[0])[None])
    curves = [curve(axes) for axes in figures[0].axes[1::2]]
    frequency, gain = curves[1]
    expected = 20 * np.log10(abs(1 + 2 * np.exp(-2j * np.pi * frequency) - np.exp(-4j * np.pi * frequency)))
    np.testing.assert_allclose(gain, expected, atol=0.02)
    assert curves[0][1].max() == pytest.approx(0)
    np.testing.assert_allclose(curves[2][1][:-5] - curves[0][1][:-5], gain[:-5], atol=0.1)


def test_a_long_signal_has_the_spectrum_of_a_short_one() -> None:
    white = np.random.default_rng(1).standard_normal(400_000)
    long = plots._power(white, 2.0)
    assert long.mean() == pytest.approx((white**2).sum() / 4, rel=0.02)
    tone = plots._power(np.sin(0.1 * np.arange(400_000)), 1.0)
    assert tone.argmax() == round(0.1 / (2 * np.pi) * plots.SEGMENT)
    assert tone[20000:].max() < 1e-9 * tone.max()


def test_a_silent_channel_leaves_the_axis_to_the_others(figures: list[Figure]) -> None:
    render(kernel=np.array([[1, 2, -1], [0, 0, 0]]))
    low, high = figures[0].axes[3].get_ylim()
    assert 2 < low < high < 13


def test_huge_and_tiny_values_are_drawn(figures: list[Figure]) -> None:
    render(FOUR * 1e300, THREE * 1e-300, SIX * 1e-3)
    limits = [axes.get_ylim() for axes in figures[0].axes[1::2]]
    assert np.isfinite(limits).all()


# Statistics of sliding windows


def render_stats(
    signal: Samples,
    window: int = 3,
    stride: int = 1,
    centred: bool = False,
    sample_rate: int | None = None,
    name: str = "input",
    format: str = "png",
) -> bytes:
    """Of windows inside the signal, or where `centred` of as many as there are samples."""
    if centred:
        signal = np.pad(signal, ((0, 0), (window // 2, (window - 1) // 2)), mode="edge")
    views = np.lib.stride_tricks.sliding_window_view(signal, window, axis=1)[:, ::stride]
    inside = slice(window // 2, signal.shape[1] - (window - 1) // 2) if centred else slice(None)
    return plots.render_local_stats(
        signal=signal[:, inside],
        mean=views.mean(-1),
        var=views.var(-1),
        window=window,
        stride=stride,
        centred=centred,
        sample_rate=sample_rate,
        name=name,
        format=format,
    )


def render_grid(
    grid: Samples, window: tuple[int, int] = (2, 3), stride: tuple[int, int] = (1, 1), format: str = "png"
) -> bytes:
    views = np.lib.stride_tricks.sliding_window_view(grid, window)[:: stride[0], :: stride[1]]
    var = views.var((-2, -1))
    return plots.render_grid_stats(
        grid=grid, var=var, window=window, stride=stride, centred=False, name="a.npy", format=format
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
    above, below = figures[0].axes
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
    *above, below = figures[0].axes
    assert len(above) == panels
    names = ["amplitude"] if channels == 1 else [f"channel {i + 1}" for i in range(panels)]
    assert [axes.get_ylabel() for axes in above] == names
    assert len(below.lines) + len(below.collections) == channels
    shown = texts(figures[0])
    assert f"windows of 20 samples{f' ({20 / rate:.4g} s)' if rate else ''}" in shown
    found = [text for axes in figures[0].axes for text in dict.fromkeys(titles(axes))]
    legends = [legend for axes in figures[0].axes if (legend := axes.get_legend())]
    assert len(legends) == 1 + (channels > 1)
    boxes = [artist.get_window_extent() for artist in [*found, *legends, *(axes.yaxis.label for axes in above)]]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))


def test_local_statistics_of_few_of_many_and_of_bad_windows(figures: list[Figure]) -> None:
    render_stats(FOUR, 4, name="take.wav")
    bad = noise(1, 5000) * 1e300
    bad[0, 100:2000] = np.nan
    with np.errstate(all="ignore"):
        render_stats(bad, 7, 2)
        render_stats(np.full((1, 10), np.inf))
    shown = [texts(figure) for figure in figures]
    assert "input: take.wav" in shown[0]
    assert "windows of 4 samples" in shown[0]
    assert "windows of 7 samples, one every 2" in shown[1]
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
