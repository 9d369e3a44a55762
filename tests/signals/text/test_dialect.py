"""What is a number, and what a cell is called that is none."""

from __future__ import annotations

import numpy as np
import pytest

from convtool.errors import UsageError
from convtool.signals.text.cells import find_cells
from convtool.signals.text.dialect import Dialect, shown
from convtool.signals.text.options import TextOptions


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        ("1", "1"),
        ("-1.5e+3", "-1.5e+3"),
        ("0.25D+01", "0.25E+01"),
        ("1d3", "1e3"),
        ("-nan", "nan"),
        ("+NaN", "nan"),
        ("-Inf", "-inf"),
        ("1_000", None),
        ("0x10", None),
        ("=1+1", None),
        ("1,234", None),
        ("", None),
        ("NA", None),
    ],
)
def test_numbers(cell: str, number: str | None) -> None:
    assert Dialect(",").number(cell) == number


@pytest.mark.parametrize(
    ("cell", "dialect", "number"),
    [
        ("1,234.5", Dialect(",", thousands=","), "1234.5"),
        ("-1,234,567", Dialect(",", thousands=","), "-1234567"),
        ("12,34", Dialect(",", thousands=","), None),
        ("1234,567", Dialect(",", thousands=","), None),
        ("1.234,5", Dialect(";", ",", "."), "1234.5"),
        ("1 234", Dialect(";", thousands=" "), "1234"),
        ("1\u202f234\u00a0567,5", Dialect(";", ",", thousands=" "), "1234567.5"),
        ("1’234.5", Dialect(";", thousands="'"), "1234.5"),
        ("n/a", Dialect(",", missing=True), "nan"),
        ("", Dialect(",", missing=True), "nan"),
        ("-", Dialect(",", missing=True), "nan"),
        ("?", Dialect(",", missing=True), None),
    ],
)
def test_numbers_as_options_have_them(cell: str, dialect: Dialect, number: str | None) -> None:
    assert dialect.number(cell) == number


def test_at_most_forty_characters_are_shown() -> None:
    assert shown("a" * 40) == "a" * 40
    assert shown("a" * 41) == "a" * 39 + "…"


@pytest.mark.parametrize(
    ("line", "delimiter", "cells"),
    [
        ('"a, b",1, "c"', ",", ['"a, b"', "1", '"c"']),
        ('"a b" 1  2', None, ['"a b"', "1", "2"]),
        ("a,,c", ",", ["a", "", "c"]),
        ('"say ""x""";1', ";", ['"say ""x"""', "1"]),
    ],
)
def test_raw_cells_keep_their_quotes(line: str, delimiter: str | None, cells: list[str]) -> None:
    assert Dialect(delimiter).split_raw(line) == cells


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delimiter": "||"}, "--delimiter '||': expected one character"),
        ({"delimiter": "1"}, "--delimiter '1': expected one character"),
        ({"delimiter": ""}, "--delimiter '': expected one character"),
        ({"delimiter": "§"}, "--delimiter '§': expected a character of ASCII"),
        ({"thousands": "-"}, "--thousands '-': expected one character"),
        ({"delimiter": ",", "decimal": ","}, "--delimiter , is the decimal mark too"),
        ({"thousands": "."}, "--thousands . is the decimal mark too"),
    ],
)
def test_options_that_contradict_each_other(options: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=f"^{message.replace('|', '[|]').replace('.', '[.]')}"):
        TextOptions(**options).checked()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("word", "delimiter"), [("tab", "\t"), ("\\t", "\t"), ("Space", " "), ("|", "|"), (None, None)]
)
def test_delimiters_by_name(word: str | None, delimiter: str | None) -> None:
    assert TextOptions(delimiter=word).checked().delimiter == delimiter


@pytest.mark.parametrize(
    ("data", "delimiter", "width", "cells"),
    [
        (b"1,2\n3,4\n", ",", 2, [["1", "2"], ["3", "4"]]),
        (b" 1 ,\t2\n3,4 \n", ",", 2, [["1", "2"], ["3", "4"]]),
        (b"1\t 2\n\t4\n", "\t", 2, [["1", "2"], ["", "4"]]),
        (b"  1   2\n3\t4  \n", None, 2, [["1", "2"], ["3", "4"]]),
        (b" 1\n2 \n\n", None, 1, [["1"], ["2"], [""]]),
        (b'"1","a"\n3,"4"\n', ",", 2, [["1", "a"], ["3", "4"]]),
        (b"1,2\n3\n4,5\n", ",", 2, None),
        (b"1,2,3\n4\n", ",", 2, None),
        (b"1 2 3\n4\n", None, 2, None),
        (b"1 2\n3\n", None, 2, None),
        (b"1\n2 3 4\n", None, 2, None),
        (b'"a,b",1\n', ",", 3, None),
        (b'"a""b",1\n', ",", 2, None),
        (b'1"2,1\n', ",", 2, None),
        (b"", ",", 2, []),
        (b"", None, 2, []),
    ],
)
def test_where_cells_are(data: bytes, delimiter: str | None, width: int, cells: list[list[str]] | None) -> None:
    found = find_cells(data, delimiter, width)
    if cells is None:
        assert found is None
        return
    assert found is not None
    spans = np.stack([found.starts, found.ends], axis=-1).tolist()
    assert [[found.text[start:end].tobytes().decode() for start, end in row] for row in spans] == cells


def test_many_blanks_around_a_cell_are_left_to_it() -> None:
    found = find_cells(b"1," + b" " * 100 + b"2\n3" + b" " * 100 + b",4\n", ",", 2)
    assert found is not None
    assert found.ends[0, 1] - found.starts[0, 1] > 1
