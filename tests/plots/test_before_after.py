"""Pictures of a signal before and after."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from convtool.plots import Trace, render_before_after
from tests.helpers.pictures import noise, overlapping, texts


@pytest.mark.parametrize(
    ("channels", "samples", "rate"), [(1, 6, None), (1, 6, 8000), (2, 200, None), (8, 5000, 44100), (12, 70, 100)]
)
@pytest.mark.parametrize("ranged", [False, True])
def test_no_text_overlaps(channels: int, samples: int, rate: int | None, ranged: bool, figures: list[Figure]) -> None:
    signal = noise(channels, samples)
    ranges = ([(-1.0, 1.0)] * channels, [(-0.5, 0.25)]) if ranged else None
    names = [f"a column with a long name {i}" for i in range(channels)]
    render_before_after(
        signal=signal,
        output=signal / 2,
        sample_rate=rate,
        names=("W" * 50, "output"),
        channels=(names, None),
        ranges=ranges,
        format="png",
    )
    assert overlapping(figures[0]) == []


def test_both_have_one_time_axis(figures: list[Figure]) -> None:
    render_before_after(signal=noise(1, 100), output=noise(1, 300), sample_rate=None, format="png")
    assert figures[0].axes[0].get_xlim() == figures[0].axes[2].get_xlim()
    assert figures[0].axes[0].get_xlim()[1] > 299


def test_values_are_counted_and_ranges_drawn(figures: list[Figure]) -> None:
    before, after = np.array([[0, 1, 4, np.nan], [10, 10, 20, 30]]), np.array([[0, 0.25, 1, 0], [0, 0, 0.5, 1]])
    render_before_after(
        signal=before, output=after, sample_rate=None, ranges=([(0, 4), (10, 30)], [(0, 1)]), format="png"
    )
    axes = figures[0].axes
    dashed = [[float(line.get_xdata()[0]) for line in page.lines] for page in (axes[1], axes[3])]  # type: ignore[index]
    assert dashed == [[0, 4, 10, 30], [0, 1]]
    levels = [float(line.get_ydata()[0]) for line in axes[2].lines if line.get_linestyle() == "--"]  # type: ignore[index]
    assert levels == [0, 1]
    assert {"dashed: their ranges", "dashed: 0 to 1"} <= set(texts(figures[0]))
    counts = [patch.get_data().values.sum() for patch in axes[1].patches]  # type: ignore[attr-defined]
    assert counts == [3, 3, 4, 4]


def test_there_may_be_no_range_or_no_number(figures: list[Figure]) -> None:
    nothing = np.full((1, 3), np.nan)
    render_before_after(signal=nothing, output=nothing, sample_rate=None, ranges=([], [(0, 1)]), format="png")
    assert "of all samples" in texts(figures[0])


def test_of_a_very_long_signal_all_is_shown(figures: list[Figure]) -> None:
    """The waveform is of the whole, the spectrum of the beginning, and that is told."""
    low, high = np.full((1, 1500), -0.5), np.full((1, 1500), 0.5)
    trace = Trace(noise(1, 10_000), 36_000_000, low, high, bad=7)
    render_before_after(signal=trace, output=trace, sample_rate=10_000, format="png")
    shown = texts(figures[0])
    assert shown.count("36,000,000 samples   1:00:00   peak 0.5 (−6.0 dB)   7 not finite") == 2
    assert shown.count("0 dB: the input's highest; of the first 1 s") == 2
    axes = figures[0].axes[0]
    assert axes.get_xlabel() == "time (min:s)"
    assert "30:00" in [label.get_text() for label in axes.get_xticklabels()]
    assert axes.get_xlim()[1] > 3600
    render_before_after(signal=trace, output=trace, sample_rate=None, format="png")
    assert "0 dB: the input's highest; of the first 10,000 samples" in texts(figures[1])
