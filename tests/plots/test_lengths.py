"""The picture of lengths and batches."""

from __future__ import annotations

import pytest

from convtool.errors import UsageError
from convtool.plots import render_lengths
from convtool.plots.lengths import BINS, readable_edges


def test_what_its_text_says() -> None:
    batches = [([2, 3], 3), ([1], 1)]
    text = render_lengths(batches, sample_rate=None, format="svg").decode()
    for words in ("3 inputs", "1 to 3 samples, median 2", "2 batches", "14.3 % padding", "real", "padding"):
        assert words in text
    seconds = render_lengths([([8000, 16000], 16000)], sample_rate=8000, format="svg").decode()
    for words in ("2 inputs", "1 to 2 s, median 1.5", "1 batch ", "25 % padding"):
        assert words in seconds


def test_one_input_and_many_batches() -> None:
    assert "1 input " in render_lengths([([5], 5)], sample_rate=None, format="svg").decode()
    many = [([length], length) for length in range(1, 1201)]
    assert "1,200 batches" in render_lengths(many, sample_rate=None, format="svg").decode()


def test_equal_calls_make_equal_bytes() -> None:
    one, other = (render_lengths([([2, 3], 3)], sample_rate=None, format="png") for _ in range(2))
    assert one == other
    with pytest.raises(UsageError):
        render_lengths([([2, 3], 3)], sample_rate=None, format="gif")


@pytest.mark.parametrize(
    ("low", "high", "whole", "step"),
    [(1, 3, True, 1), (1, 1000, True, 20), (0.1034, 2.032, False, 0.05), (5, 5, True, 1), (3600, 7300, False, 100)],
)
def test_bins_are_readable(low: float, high: float, whole: bool, step: float) -> None:
    """At most 60 or so, of a width of 1, 2 or 5 times a power of ten, from the least length to the greatest."""
    edges = readable_edges(low, high, whole=whole)
    assert edges[1] - edges[0] == pytest.approx(step)
    assert edges[0] <= low
    assert edges[0] > low - step
    assert high < edges[-1] <= high + step
    assert len(edges) <= BINS + 2


def test_the_width_of_a_bar_is_told() -> None:
    text = render_lengths([([8000, 16000], 16000)], sample_rate=8000, format="svg").decode()
    assert "a bar is 0.02 s" in text
