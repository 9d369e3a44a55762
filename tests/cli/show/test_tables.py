"""Tables, sizes and matrices as a terminal shows them."""

from __future__ import annotations

import io
import sys

import click
import numpy as np
import pytest
from rich.cells import cell_len

from convtool.cli.show import tables as render

HEADER = ["name", "kind", "bytes"]
ROWS = [["encoder.layer.0.weight", "dense", "1 KiB"], ["日本語.weight", "conv", "12 B"]]


def test_columns_are_aligned_by_cells() -> None:
    assert render.table(HEADER, ROWS, right=["bytes"], width=None) == [
        "name                    kind   bytes",
        "encoder.layer.0.weight  dense  1 KiB",
        "日本語.weight           conv    12 B",
    ]


def test_a_narrow_table_folds_its_first_column() -> None:
    lines = render.table(HEADER, ROWS, right=["bytes"], width=32)
    assert lines == [
        "name                kind   bytes",
        "encoder.layer.0.    dense  1 KiB\n  weight",
        "日本語.weight       conv    12 B",
    ]
    assert render.table(HEADER, [], right=[], width=10) == ["name  kind  bytes"]


@pytest.mark.parametrize(
    ("width", "kept"),
    [(36, [0, 1, 2]), (32, [0, 1, 2]), (31, [0, 1]), (20, [0]), (5, [0])],
)
def test_columns_that_a_narrow_table_has_no_room_for(width: int, kept: list[int]) -> None:
    assert render.fitting(HEADER, ROWS, width=width, spare=["bytes", "kind"]) == kept


@pytest.mark.parametrize(
    "text", ["a", "model.encoder.layer_norm.weight" * 9, "x" * 400, "日本" * 99, "a" + "日本." * 30, "é" * 50]
)
@pytest.mark.parametrize("width", [4, 5, 17, 40])
def test_folding_keeps_the_width_and_short_texts(text: str, width: int) -> None:
    lines = render.folded(text, width)
    assert max(map(cell_len, lines)) <= width
    joined = lines[0] + "".join(line.removeprefix("  ") for line in lines[1:])
    assert all(line.startswith("  ") for line in lines[1:])
    if cell_len(text) <= width * 3:
        assert "…" not in joined or width < 6
    if "…" not in joined:
        assert joined == text
    else:
        head, tail = joined.split("…")
        assert text.startswith(head)
        assert text.endswith(tail)


@pytest.mark.parametrize("width", [5, 8, 9, 30])
def test_shortening(width: int) -> None:
    for text in ("encoder.layer.11.weight", "日本語日本語日本語", "short"):
        made = render.shortened(text, width)
        assert cell_len(made) <= width
        assert made == text if cell_len(text) <= width else "…" in made


def test_sizes_have_three_digits() -> None:
    assert [render.human_bytes(n) for n in (1023, 1 << 20, 1_000_000, 1023 * 1024 + 1023, (1 << 70) * 5)] == [
        "1023 B",
        "1 MiB",
        "977 KiB",
        "1 MiB",
        "5120 EiB",
    ]
    assert [render.human_count(n) for n in (999, 1000, 999_999, 10**21)] == ["999", "1 k", "1 M", "1000 E"]


def test_a_pipe_has_every_bit() -> None:
    values = np.array([[0.1, -1, np.nan], [1e-30, 200, np.inf]], dtype=np.float32)
    lines = list(render.matrix(values))
    assert lines == ["  0.1   -1  nan", "1e-30  200  inf"]
    np.testing.assert_array_equal(np.array([line.split() for line in lines], np.float32), values)
    assert list(render.matrix(np.array([[True, False]]))) == ["True  False"]
    assert list(render.matrix(np.zeros((0, 3)))) == list(render.matrix(np.zeros((3, 0)))) == []


def test_a_large_matrix_is_aligned_throughout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render, "_BLOCK", 4)
    values = np.array([[1, 2], [3, 4], [50000, 6], [7, 8], [9, -10]])
    assert list(render.matrix(values)) == ["    1    2", "    3    4", "50000    6", "    7    8", "    9  -10"]


def test_a_terminal_has_columns_that_fit_and_four_digits() -> None:
    values = np.array([[1 / 3, 2, -3e-7, 4], [5, 6 + 1e-9, 7, 8]])
    assert list(render.matrix(values, width=14)) == [
        "columns 0 to 1",
        "0.3333  2",
        "     5  6",
        "columns 2 to 3",
        "-3e-07  4",
        "     7  8",
    ]
    assert list(render.matrix(values[:1], width=1)) == ["0.3333", "2", "-3e-07", "4"]
    assert list(render.matrix(np.array([[1234567, 1]]), width=80)) == ["1234567  1"]
    assert list(render.matrix(np.array([[1 / 3 + 1j]]), width=80)) == ["0.3333+1j"]


def test_colours_grow_with_the_magnitude() -> None:
    values = np.array([[0.0, 1, -1, 0.5, np.nan, np.inf]])
    (line,) = render.matrix(values, width=80, peak=1.0)
    assert click.unstyle(line) == "0  1  -1  0.5  nan  inf"
    shades = [int(part.partition("m")[0]) for part in line.split("38;5;")[1:]]
    assert shades == [245, 202, 33, 173, 201, 201]
    (line,) = render.matrix(np.array([[2 - 1j]]), peak=abs(2 - 1j))
    assert "38;5;202m" in line


@pytest.mark.parametrize(
    ("environment", "expected"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_who_gets_colours(environment: dict[str, str], expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert not render.coloured()
    assert render.terminal_width() is None
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "77")
    assert render.coloured() is expected
    assert render.terminal_width() == 77
