"""Pictures of convolutions: what their text says, and the numbers that the curves are drawn from."""

from __future__ import annotations

import io
import itertools
import re
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
    assert f"output: {'a' * 14}…{'b' * 15}" in shown


def test_titles_tell_length_and_peak(figures: list[Figure]) -> None:
    bad = noise(1, 3000)
    bad[0, :7] = np.nan
    bad[0, 7] = -0.5
    render(np.array([[4.0]]), bad, np.stack([SIX[0], -2 * SIX[0]]), sample_rate=4)
    shown = texts(figures[0])
    assert "1 sample   250 ms   peak 4 (12.0 dB)" in shown
    assert any(text.startswith("3,000 samples   12:30 min") and text.endswith("7 not finite") for text in shown)
    assert "2 channels   6 samples   1.5 s   peak 18 (25.1 dB)" in shown


def test_axes_have_units(figures: list[Figure]) -> None:
    render()
    render(noise(1, 100), noise(1, 100), sample_rate=44100)
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


def test_input_and_output_have_one_time_axis(figures: list[Figure]) -> None:
    """With a stride, a sample of the output stands where those stood that it takes the place of."""
    render_convolution(
        signal=noise(1, 100), kernel=THREE, output=noise(1, 60), sample_rate=None, stride=2, format="png"
    )
    above, below = figures[0].axes[0], figures[0].axes[4]
    assert above.get_xlim() == below.get_xlim()
    x, _ = below.lines[1].get_data()
    assert np.asarray(x).tolist() == list(range(0, 120, 2))
    render(noise(1, 100_000), noise(1, 100), noise(1, 200_000), sample_rate=1000)
    assert [figures[1].axes[place].get_xlabel() for place in (0, 2, 4)] == ["time (min:s)", "time (s)", "time (min:s)"]


def test_a_few_taps_are_counted_though_there_is_a_rate(figures: list[Figure]) -> None:
    render(noise(1, 3000), THREE, noise(1, 3002), sample_rate=44100)
    axes = figures[0].axes[2]
    assert axes.get_xlabel() == "time (samples)"
    assert [float(tick) for tick in axes.get_xticks() if 0 <= tick <= 2] == [0, 1, 2]
    assert "3 samples   68.03 µs   peak 2 (6.0 dB)" in texts(figures[0])


def test_the_kernel_is_told_as_it_was_used(figures: list[Figure]) -> None:
    more = {"used": "gain −20 dB, mix 0.3", "mixed": True, "names": ("input", "hall.wav", "output")}
    render_convolution(signal=FOUR, kernel=THREE, output=SIX, sample_rate=None, format="png", **more)
    assert {"kernel with the dry signal: hall.wav", "3 samples   peak 2   gain −20 dB, mix 0.3"} <= set(
        texts(figures[0])
    )
    render_convolution(signal=FOUR, kernel=THREE, output=SIX, sample_rate=None, mixed=True, format="png")
    assert "kernel with the dry signal" in texts(figures[1])


def test_channels_are_named_or_counted(figures: list[Figure]) -> None:
    """By the names of columns where there are any; of many channels in a long signal each has a lane."""
    names = ["indoors", "outdoors"]
    render_convolution(
        signal=noise(2, 50),
        kernel=THREE,
        output=noise(9, 3000),
        sample_rate=None,
        channels=(names, None, None),
        format="png",
    )
    legends = [axes.get_legend() for axes in figures[0].axes]
    entries = [[text.get_text() for text in legend.get_texts()] for legend in legends if legend is not None]
    assert entries == [names, ["channel 1", "channel 2", "and 7 more"]]
    lanes = figures[0].axes[4]
    assert [label.get_text() for label in lanes.get_yticklabels()] == [f"channel {i}" for i in range(1, 9)]
    assert lanes.get_ylabel().endswith(", 8 of 9")


def test_a_band_is_drawn_where_points_hide_something(figures: list[Figure]) -> None:
    """Short signals have smooth spectra, and those of many channels would cover each other."""
    render(noise(1, 400), noise(1, 600), noise(4, 600))
    assert [len(axes.collections) for axes in figures[0].axes[1::2]] == [0, 1, 0]


def test_a_long_kernel_shows_its_decay(figures: list[Figure]) -> None:
    """Level and energy of an exponential fall at the rate that it has: 60 dB in 1000 taps."""
    kernel = 10.0 ** (-3 * np.arange(2000)[None] / 1000)
    render(kernel=kernel, sample_rate=1000)
    decay = figures[0].axes[-1]
    assert decay.get_ylabel() == "level (dB)"
    x, energy = curve(decay)
    np.testing.assert_allclose(energy[:500], -60 * x[:500], atol=0.01)
    assert any(re.search(r"−60 dB after 1(\.001)? s$", text) for text in texts(figures[0]))
    render(kernel=np.stack([kernel[0], 0 * kernel[0]]))
    assert any(re.search(r"−60 dB after 1,00[01] samples$", text) for text in texts(figures[1]))
    render(kernel=np.zeros((1, 1000)))
    assert len(figures[2].axes) == 6
