"""Columns kept from input to output, and digits as many as are asked for."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from convtool.errors import InputError
from convtool.files.source import Source
from convtool.signals.signal import Signal
from convtool.signals.text.kept import Kept
from convtool.signals.text.options import TextOptions
from convtool.signals.text.reader import TextReader
from convtool.signals.text.writer import TextWriter


def passed_on(text: str, keep: str, *, delimiter: str = ",", rows: int = 3, **options: Any) -> str:
    """A text read and written as it is, `rows` rows at a time, with columns kept."""
    reader = TextReader(Source(io.BytesIO(text.encode()), seekable=True), TextOptions(keep=keep, **options))
    file = io.BytesIO()
    writer = TextWriter(file, reader.signal, delimiter)
    while (block := reader.read(rows)).shape[-1]:
        writer.write(writer.encode(block))
    writer.write(writer.encode(block))
    writer.close()
    return file.getvalue().decode()


@pytest.mark.parametrize("rows", [1, 2, 3, 100])
@pytest.mark.parametrize(
    ("text", "keep", "expected"),
    [
        ("time,v\n0.000,1.50\n0.100,2\n", "time", "time,v\n0.000,1.5\n0.100,2\n"),
        (",A,B\n0,1,2\n1,3,4\n", "1", ",A,B\n0,1,2\n1,3,4\n"),
        ("v,note\n1,good\n2,bad\n", "note", "note,v\ngood,1\nbad,2\n"),
        ('name,v\n"a, b",1\n"c",2\n', "1", 'name,v\n"a, b",1\n"c",2\n'),
        ("a,b,c\n1,2,3\n4,5,6\n", "3,1", "c,a,b\n3,1,2\n6,4,5\n"),
        ("1,2\n3,4\n", "1", "1,2\n3,4\n"),
        ("é,v\nü,1\n,2\n", "1", "é,v\nü,1\n,2\n"),
        ("a,b\n1,2\n", "1", "a,b\n1,2\n"),
    ],
)
def test_columns_pass_through_as_they_are(text: str, keep: str, expected: str, rows: int) -> None:
    assert passed_on(text, keep, rows=rows) == expected


def test_a_cell_that_the_output_would_divide_is_quoted() -> None:
    assert passed_on("a;v\n0,5;1\n1;2\n", "a") == 'a,v\n"0,5",1\n1,2\n'
    assert passed_on('a b\n"x y" 1\nz 2\n', "a", delimiter=" ") == 'a b\n"x y" 1\nz 2\n'


def test_columns_kept_and_chosen() -> None:
    assert passed_on("a,b,c\n1,2,3\n", "a", columns="c") == "a,c\n1,3\n"
    with pytest.raises(InputError, match=r"^--keep-columns leaves no column to work on$"):
        passed_on("a,b\n1,2\n", "a,b")


def test_rows_that_do_not_match_are_refused() -> None:
    kept = Kept(("t",))
    kept.add([["0", "1", "2"]])
    assert kept.take(2) == [["0", "1"]]
    with pytest.raises(
        InputError, match=r"^the output has 2 rows, and the columns kept 1 more; --keep-columns needs a row"
    ):
        kept.finish()
    with pytest.raises(
        InputError, match=r"^the output has more rows than the 3 of the columns kept; --keep-columns needs"
    ):
        kept.take(2)


def test_names_without_names_of_the_columns_kept_are_left_out() -> None:
    file = io.BytesIO()
    TextWriter(file, Signal("CSV", 1, "float64", names=("a",), kept=Kept(None)), ",").close()
    assert file.getvalue() == b""


@pytest.mark.parametrize(
    ("values", "dtype", "precision", "text"),
    [
        ([1234567, 0.1, 2**24], np.float32, None, "1234567,0.1,16777216\n"),
        ([1e16, 1e-5, 1.5e20], np.float32, None, "1e16,1e-5,1.5e20\n"),
        ([2 / 3, 1234567, 1e-7, np.nan, -np.inf], np.float64, 3, "0.667,1.23e6,1e-7,nan,-inf\n"),
        ([1234567, 5], np.int64, 3, "1.23e6,5\n"),
        ([2 / 3], np.float32, 17, "0.66666668653488159\n"),
    ],
)
def test_digits(values: list[float], dtype: Any, precision: int | None, text: str) -> None:
    file = io.BytesIO()
    writer = TextWriter(file, Signal("CSV", 1, "float64", flat=True), ",", precision=precision)
    writer.write(writer.encode(np.array([values], dtype)))
    writer.close()
    assert file.getvalue().decode() == text
