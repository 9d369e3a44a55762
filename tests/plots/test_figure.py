"""What every picture shares: formats, and the words around it."""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest

from convtool.errors import UsageError
from convtool.plots import picture_format, render_filters
from convtool.plots.figure import number, value_range


@pytest.mark.parametrize(("path", "expected"), [("a.png", "png"), ("b/c.d.SVG", "svg"), ("x.Pdf", "pdf")])
def test_the_extension_is_the_format(path: str, expected: str) -> None:
    assert picture_format(path) == expected


@pytest.mark.parametrize(("path", "told"), [("a.jpg", "not jpg"), ("plot", "not a file without"), ("a.", "not a file")])
def test_an_extension_that_is_none_of_them(path: str, told: str) -> None:
    with pytest.raises(UsageError, match=rf"{re.escape(path)}: a picture can be png, svg, pdf, {told}"):
        picture_format(path)


def test_a_picture_in_an_unknown_format() -> None:
    with pytest.raises(UsageError, match="png, svg, pdf, not 'jpg'"):
        render_filters(np.ones((1, 1, 1, 1)), name="one", format="jpg")


def test_without_matplotlib_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for ask in (lambda: picture_format("a.png"), lambda: render_filters(np.ones((1, 1, 1, 1)), name="", format="png")):
        with pytest.raises(UsageError, match=r"pip install 'convtool\[plot\]'"):
            ask()


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (-1234567.0, "−1.23e+06"), (1.5e-7, "1.5e−07"), (-0.5, "−0.5"), (12.0, "12")]
)
def test_numbers_have_a_true_minus(value: float, text: str) -> None:
    assert number(value) == text


def test_a_range_counts_what_is_not_finite() -> None:
    assert value_range(np.array([3, -1, 2])) == ["−1 to 3"]
    assert value_range(np.array([[1.5, np.nan], [np.inf, -np.inf]])) == ["1.5 to 1.5", "3 not finite"]
    assert value_range(np.full(1200, np.nan)) == ["1,200 not finite"]
