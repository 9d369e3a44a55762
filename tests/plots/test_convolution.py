"""Pictures of convolutions: what their text says, and the numbers that the curves are drawn from."""

from __future__ import annotations

import io
import itertools
import xml.etree.ElementTree as ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.image import imread

from convtool.plots import render_convolution
from convtool.plots.figure import Samples
from convtool.plots.spectra import SEGMENT, _power
from tests.helpers.pictures import curve, noise, texts, titles

FOUR, THREE, SIX = np.array([[4, 1, 2, 5]]), np.array([[1, 2, -1]]), np.array([[4, 9, 0, 8, 8, -5]])


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
    long = _power(white, 2.0)
    assert long.mean() == pytest.approx((white**2).sum() / 4, rel=0.02)
    tone = _power(np.sin(0.1 * np.arange(400_000)), 1.0)
    assert tone.argmax() == round(0.1 / (2 * np.pi) * SEGMENT)
    assert tone[20000:].max() < 1e-9 * tone.max()


def test_a_silent_channel_leaves_the_axis_to_the_others(figures: list[Figure]) -> None:
    render(kernel=np.array([[1, 2, -1], [0, 0, 0]]))
    low, high = figures[0].axes[3].get_ylim()
    assert 2 < low < high < 13


def test_huge_and_tiny_values_are_drawn(figures: list[Figure]) -> None:
    render(FOUR * 1e300, THREE * 1e-300, SIX * 1e-3)
    limits = [axes.get_ylim() for axes in figures[0].axes[1::2]]
    assert np.isfinite(limits).all()
