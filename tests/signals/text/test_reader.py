"""CSV: what is a number and what is not, how cells are told apart, and text that reads back to the same bits."""

from __future__ import annotations

import contextlib
import io
import os
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convtool.errors import InputError
from convtool.files.source import Source
from convtool.signals.signal import Signal
from convtool.signals.text.options import TextOptions
from convtool.signals.text.reader import TextReader
from convtool.signals.text.writer import TextWriter


def opened(text: str | bytes, **options: Any) -> TextReader:
    data = text.encode() if isinstance(text, str) else text
    exact = options.pop("exact", True)
    wrapped = options.pop("wrapped", False)
    return TextReader(Source(io.BytesIO(data), seekable=True), TextOptions(**options), exact=exact, wrapped=wrapped)


def chunks_of(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Let texts be read a few bytes at a time."""
    for module in ("lines", "reader"):
        monkeypatch.setattr(f"convtool.signals.text.{module}.CHUNK", size)


def values(reader: TextReader) -> np.ndarray:
    with reader:
        return np.concatenate([np.empty((reader.signal.channels, 0), reader.signal.dtype), *reader.blocks()], axis=1)


def read(text: str | bytes, **options: Any) -> list[list[float]]:
    return values(opened(text, **options)).tolist()


def written(block: np.ndarray, *, delimiter: str = ",", **signal: Any) -> str:
    return joined([block], delimiter=delimiter, **signal)


def joined(blocks: list[np.ndarray], *, delimiter: str = ",", **signal: Any) -> str:
    file = io.BytesIO()
    writer = TextWriter(file, Signal("CSV", len(blocks[0]), blocks[0].dtype.name, **signal), delimiter)
    for block in blocks:
        writer.write(writer.encode(block))
    writer.close()
    return file.getvalue().decode()


# How cells are told apart


@pytest.mark.parametrize(
    "text",
    [
        "1,2\n3,4\n",
        "1,2\n3,4",
        "1\t2\n3\t4\n",
        "1;2\n3;4\n",
        "1 2\n3 4\n",
        "  1   2 \n 3 4\n",
        " 1 , 2\n3 ,4 \n",
        "1, 2\n3,\t4\n",
        '"1","2"\n"3",4\n',
        '"1" "2"\n3  "4"\n',
        ' "1", "2"\n3,4\n',
        "1,2\r\n3,4\r\n",
        "1,2\r3,4\r",
        "1,2\r3,4",
        "1,2\n3,4\r\n\n\r\n\r\r",
        "\n\r\n \n1,2\n3,4\n",
        "# made by hand\n#\n1,2\n3,4\n",
        "\ufeff1,2\n3,4\n",
        "\ufeff# made by hand\n\n1,2\n3,4\n",
        "+1,2.\n3e0,0.4E+1\n",
    ],
)
def test_columns_are_channels_and_rows_are_samples(text: str) -> None:
    assert read(text) == [[1, 3], [2, 4]]


@pytest.mark.parametrize("text", ["4,1,2,5", "4,1,2,5\n", "4 1 2 5\r\n\r\n", "# x\n4;1;2;5", '"4","1",2,5'])
def test_one_row_is_one_signal_in_one_dimension(text: str) -> None:
    reader = opened(text)
    assert (reader.signal.flat, reader.signal.channels, reader.signal.frames) == (True, 1, 4)
    assert values(reader).tolist() == [[4, 1, 2, 5]]


@pytest.mark.parametrize(
    ("text", "options", "channels"), [("4\n1\n2\n", {}, 1), ("a,b\n4,1\n", {}, 2), ("4,1,2\n", {"columns": "2,3"}, 2)]
)
def test_columns_stay_columns(text: str, options: dict[str, str], channels: int) -> None:
    assert (opened(text, **options).signal.flat, opened(text, **options).signal.channels) == (False, channels)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0,5;-1,25\n,5;3,\n", [[0.5, 0.5], [-1.25, 3.0]]),
        ("0,5\t1\n1\t2\n", [[0.5, 1.0], [1.0, 2.0]]),
        ("0,5 1e2 nan\n", [[0.5, 100.0, np.nan]]),
        ("0,5\n1,5\n", [[0.5, 1.5]]),
        ('"0,5";"1"\n2;3\n', [[0.5, 2.0], [1.0, 3.0]]),
    ],
)
def test_decimal_commas(text: str, expected: list[list[float]]) -> None:
    np.testing.assert_array_equal(read(text, decimal=","), expected)


def test_without_decimal_commas_half_is_two_columns() -> None:
    assert read("0,5\n1,5\n") == [[0, 1], [5, 5]]


# Names


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("left,right\n1,2\n", ("left", "right")),
        ("# x\n\nleft right\n1 2\n", ("left", "right")),
        ('"a, left","say ""b"""\n1,2\n', ("a, left", 'say "b"')),
        ('"x; y",z\n1,2\n', ("x; y", "z")),
        ('"my left" right\n1 2\n', ("my left", "right")),
        ("Größe,[m],_x\n1,2,3\n", ("Größe", "[m]", "_x")),
        ("left\n1\n", ("left",)),
        ("1,2\n", None),
        ("nan,inf\n1,2\n", None),
    ],
)
def test_a_row_of_names_is_the_header(text: str, names: tuple[str, ...] | None) -> None:
    assert opened(text).signal.names == names


@pytest.mark.parametrize(
    ("columns", "expected", "names"),
    [
        ("b", [[2, 5]], ("b",)),
        ("3,1", [[3, 6], [1, 4]], ("c x", "a")),
        (" c x , 1", [[3, 6], [1, 4]], ("c x", "a")),
        ("a,a", [[1, 4], [1, 4]], ("a", "a")),
    ],
)
def test_columns_by_name_or_number(columns: str, expected: list[list[int]], names: tuple[str, ...]) -> None:
    reader = opened("a,b,c x\n1,2,3\n4,5,6\n", columns=columns)
    assert reader.signal.names == names
    assert values(reader).tolist() == expected


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        ("a,b\n1,2\n", "c", "there is no column 'c'; the columns are a, b"),
        ("a,b\n1,2\n", "3", "there is no column '3'; the columns are a, b"),
        ("1,2\n", "0", "there is no column '0'; the columns are 1 to 2"),
        ("1,2\n", "1,,2", "there is no column ''; the columns are 1 to 2"),
        ("1,2\n", "\x1b", r"there is no column '\\x1b'; the columns are 1 to 2"),
    ],
)
def test_a_column_that_is_not_there(text: str, columns: str, message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}$"):
        opened(text, columns=columns)


def test_the_header_alone_is_no_signal() -> None:
    with pytest.raises(InputError, match="0 samples in it: its only line reads as names"):
        opened("a,b\n")


# What is no number


NO_NUMBERS = """
    1_000 0x10 =1+1 ١٢ 1e e5 . + --1 1.2.3 Infinity +inf NA n/a NULL - ? true abc ½ 1"2 "1"2 "1
"""


@pytest.mark.parametrize("cell", [*NO_NUMBERS.split(), "1 2"])
@pytest.mark.parametrize("text", ["1,2\n3,{}\n", "{},2\n3,4\n", "x,y\n1,2\n3,{}", "9,{}"])
def test_what_is_no_number_is_named_with_line_and_column(cell: str, text: str) -> None:
    before = text.partition("{")[0]
    line, column = before.count("\n") + 1, before.rpartition("\n")[2].count(",") + 1
    with pytest.raises(InputError) as caught:
        read(text.replace("{}", cell))
    assert str(caught.value).startswith(f"line {line}, column {column}: '{cell}' is not a number")


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("1,2\n3,\n", {}, "line 2, column 2: the cell is empty"),
        ("1,2,\n", {}, "line 1, column 3: the cell is empty"),
        ("1\n\n2\n", {}, "line 2, column 1: the cell is empty"),
        ("1 2\n\n3 4\n", {}, "line 2, column 1: the cell is empty"),
        ("1,2\n\n3,4\n", {}, "line 2, column 1: the cell is empty"),
        ("#\n\na\n1\n \n2\n", {}, "line 5, column 1: the cell is empty"),
        ("1,2\n3,4,5\n", {}, "line 2 has 3 columns; expected 2 as in line 1"),
        ("1,2\n3\n", {}, "line 2 has 1 column; expected 2 as in line 1"),
        ("1 2\n3 4 5\n", {}, "line 2 has 3 columns; expected 2 as in line 1"),
        ("a,b\n3\n", {}, "line 2 has 1 column; expected 2, one for each name"),
        ("1\n2,3\n", {}, "line 2, column 1: '2,3' is not a number; decimal commas need --decimal ,"),
        ("1;2\n3;1,5\n", {}, "line 2, column 2: '1,5' is not a number; decimal commas need --decimal ,"),
        ("t;v\n0,5E0;1\n", {}, "line 2, column 1: '0,5E0' is not a number; decimal commas need --decimal ,"),
        ('"";"a";"b"\n"1";0,5;2\n', {}, "line 2, column 2: '0,5' is not a number; decimal commas need --decimal ,"),
        ("1;2\n3;1.5\n", {"decimal": ","}, "line 2, column 2: '1.5' is not a number"),
        ("1;2\n3;1,5,0\n", {"decimal": ","}, "line 2, column 2: '1,5,0' is not a number"),
        ("4,1,x,5", {}, "line 1, column 3: 'x' is not a number"),
        ("1\n\x1b[31m\n", {}, r"line 2, column 1: '\x1b[31m' is not a number"),
        ("", {}, "there are 0 samples in it"),
        ("\n \n# a\n\r\n", {}, "there are 0 samples in it"),
        ("\ufeff", {}, "there are 0 samples in it"),
        (b"1\n2\xe9\n", {}, "byte 0xe9 is not UTF-8 text; expected numbers"),
        ("1\n2\0\n", {}, "the content is binary; expected numbers in text"),
        ("x\n" + "9" * 19, {}, f"line 2, column 1: {'9' * 19} is past what a 64-bit integer holds"),
        ("1\n" + "9" * 5000, {}, f"line 2, column 1: {'9' * 39}… is past what float64 holds"),
        ("1,2\n3,9223372036854775808\n", {}, "line 2, column 2: 9223372036854775808 is past what"),
        ("-9223372036854775809,2", {}, "line 1, column 1: -9223372036854775809 is past what"),
    ],
)
def test_refused(text: str | bytes, options: dict[str, str], message: str) -> None:
    with pytest.raises(InputError) as caught:
        read(text, **options)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_quoted_cell_past_the_csv_modules_limit_is_no_number() -> None:
    with pytest.raises(InputError, match=r"^line 2, column 1: 'a{39}…' is not a number"):
        read("1\n" + '"' + "a" * 140_000 + '"\n')


# Numbers


@pytest.mark.parametrize("text", ["nan\ninf\n-inf\n", "NaN\nINF\n-Inf", "nan,inf,-inf"])
def test_not_a_number_and_infinities(text: str) -> None:
    np.testing.assert_array_equal(read(text), [[np.nan, np.inf, -np.inf]])


@pytest.mark.parametrize(
    "text", ["9223372036854775807\n-9223372036854775808", '"9223372036854775807",-9223372036854775808']
)
def test_integers_are_exact_up_to_64_bits(text: str) -> None:
    reader = opened(text)
    assert reader.signal.dtype == "int64"
    assert values(reader).tolist() == [[2**63 - 1, -(2**63)]]


def test_integers_are_rounded_only_where_a_dtype_was_asked_for() -> None:
    reader = opened("9007199254740993,9223372036854775808", exact=False)
    assert reader.signal.dtype == "float64"
    assert values(reader).tolist() == [[2.0**53, 2.0**63]]


@pytest.mark.parametrize("text", ["1\n2.\n", "1,2e0", "1;nan\n2;3", "1\n-inf"])
def test_one_cell_that_is_no_integer_makes_floats(text: str) -> None:
    assert opened(text).signal.dtype == "float64"


def test_a_column_that_was_not_chosen_may_hold_any_integer() -> None:
    assert read("99999999999999999999,1\n99999999999999999999,2\n", columns="2") == [[1, 2]]


def test_in_a_long_text_integers_stay_exact_or_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    chunks_of(monkeypatch, 64)
    rows = "1\n" * 100
    assert read(f"{rows}9007199254740992\n-18014398509481988\n")[0][-2:] == [2**53, -(2**54) - 4]
    assert read(f"{rows}9007199254740993\n", exact=False)[0][-1] == 2.0**53
    for past in ("9007199254740993", "9007199254740993\n1", "-9223372036854775807"):
        with pytest.raises(InputError, match=r"^integers past 2\*\*53 are not exact in so long a text; --dtype"):
            read(f"{rows}{past}\n")


# Blocks

TEXTS = [
    "1,2\r\n3,4\r\n5,6\r\n",
    "\r\n\r\n1,2\r3,4\r5,6\r\r",
    "\ufeff# größer\n\n \na;µ\n0.5;1\n1.5;2\n\n\n",
    "0.25,0.5,0.75\n\n\n",
    "1\n2\n3.5",
    "a,b\n",
    "1 2\n3 4\n \n\n5 6\n",
    "1,2\n3,4\n5,6\n7,x\n",
    "1,2\r\n3,4\r\n\r\n\r\n5\r\n",
    "é",
    "",
]


def outcome(text: str) -> tuple[Any, ...]:
    """All that reading tells: the description and the numbers, or the error."""
    try:
        reader = opened(text, exact=False)
        return reader.signal.names, reader.signal.flat, values(reader).tolist()
    except InputError as error:
        return (str(error),)


@pytest.mark.parametrize("text", TEXTS)
def test_any_chunk_size_reads_the_same(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = outcome(text)
    for chunk in range(1, len(text) + 3):
        chunks_of(monkeypatch, chunk)
        assert outcome(text) == whole


def test_chunks_of_a_long_text_hold_the_numbers_and_the_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    chunks_of(monkeypatch, 1000)
    numbers = np.arange(20_000).reshape(-1, 2) / 8
    text = "".join(f"{a},{b}\r\n" for a, b in numbers)
    np.testing.assert_array_equal(read(text), numbers.T)
    with pytest.raises(InputError, match=r"^line 10001, column 2: 'x' is not a number$"):
        read(text + "1,x\r\n")


def test_one_row_longer_than_a_chunk_is_still_one_signal() -> None:
    reader = opened("0.125," * 400_000 + "0.125\n")
    assert (reader.signal.flat, reader.signal.channels, reader.signal.frames) == (True, 1, 400_001)


def test_comments_longer_than_a_chunk_are_skipped() -> None:
    assert read(("# é" + "x" * 1000 + "\n") * 3000 + "0.5\n1\n") == [[0.5, 1]]


@pytest.mark.parametrize("samples", [1, 2, 3, 7])
def test_reading_in_small_steps(samples: int) -> None:
    reader = opened("a,b\n" + "1,2\n3,4\n5,6\n")
    steps = [reader.read(samples) for _ in range(4)]
    assert all(step.shape[1] <= samples for step in steps)
    assert np.concatenate(steps, axis=1).tolist() == np.array([[1, 3, 5], [2, 4, 6]])[:, : 4 * samples].tolist()


# Writing


@pytest.mark.parametrize(
    ("block", "signal", "text"),
    [
        ([[4.0, 9.0, 0.0, -5.0]], {"flat": True}, "4,9,0,-5\n"),
        ([[4.0, 9.5]], {}, "4\n9.5\n"),
        ([[1.0, 2.0], [0.5, -0.0]], {}, "1,0.5\n2,-0\n"),
        ([[1.0], [2.0]], {"flat": True}, "1,2\n"),
        ([[1.0], [2.0]], {"names": ("a", "b,c")}, 'a,"b,c"\n1,2\n'),
        ([[], []], {"names": ("a", 'b"')}, 'a,"b"""\n'),
        ([[], []], {}, ""),
        ([[]], {"flat": True}, "\n"),
        ([[[1.0, 2.0]], [[3.0, 4.0]]], {"batch": 2}, "1.1,1.2,2.1,2.2\n1,3\n2,4\n"),
        (
            [[1e16, 1e-5, 1.5e300, 5e-324, 1e22, 123456789.0]],
            {"flat": True},
            "1e16,1e-5,1.5e300,5e-324,1e22,123456789\n",
        ),
        ([[np.nan, np.inf, -np.inf]], {"flat": True}, "nan,inf,-inf\n"),
    ],
)
def test_text_of(block: Any, signal: dict[str, Any], text: str) -> None:
    assert written(np.array(block), **signal) == text


def test_float32_is_written_as_float32() -> None:
    assert written(np.array([[0.1, 1e10, 65536.5, 1e-5, 3.4028235e38]], np.float32), flat=True) == (
        "0.1,10000000000,65536.5,1e-5,3.4028235e38\n"
    )


def test_blocks_join_without_a_seam() -> None:
    blocks = [np.array([[4.0, 1.0]]), np.empty((1, 0)), np.array([[2.0]])]
    assert joined(blocks, flat=True, delimiter=" ") == "4 1 2\n"
    assert joined(blocks, names=("a",)) == "a\n4\n1\n2\n"
    assert joined([np.array([[1.0], [2.0]]), np.array([[3.0], [4.0]])], delimiter="\t") == "1\t2\n3\t4\n"


class Trickle(io.BytesIO):
    """A file that takes three bytes at a time."""

    def write(self, data: Any) -> int:
        return super().write(data[:3])


def test_a_file_that_takes_few_bytes_at_a_time_gets_all() -> None:
    file = Trickle()
    writer = TextWriter(file, Signal("CSV", 1, "float64", flat=True), ",")
    writer.write(writer.encode(np.array([[1.5, 2.5, 3.5]])))
    writer.close()
    assert file.getvalue() == b"1.5,2.5,3.5\n"


def bits(values: np.ndarray) -> list[int]:
    return values.view(f"u{values.itemsize}").tolist()


@given(st.lists(st.floats(allow_nan=False), min_size=1), st.sampled_from(",;\t "))
def test_float64_reads_back_to_the_same_bits(numbers: list[float], delimiter: str) -> None:
    block = np.array([numbers])
    back = values(opened(written(block, flat=True, delimiter=delimiter), exact=False))
    assert bits(back) == bits(block)


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1))
def test_float32_reads_back_to_the_same_bits(numbers: list[float]) -> None:
    block = np.array([numbers], np.float32)
    back = values(opened(written(block), exact=False))
    assert bits(back.astype(np.float32)) == bits(block)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1))
def test_integers_read_back(numbers: list[int]) -> None:
    block = np.array([numbers], np.int64)
    assert written(block, flat=True) == ",".join(map(str, numbers)) + "\n"
    assert read(written(block)) == [numbers]


@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([np.float64, np.float32]))
def test_no_shorter_mantissa_reads_back(number: float, dtype: Any) -> None:
    with np.errstate(over="ignore"):
        value = dtype(number)
    mantissa = np.format_float_scientific(value, unique=True, trim="-").partition("e")[0]
    text = written(np.array([[value]], dtype)).strip()
    digits = text.lstrip("-").partition("e")[0].replace(".", "").strip("0")
    assert digits == mantissa.lstrip("-").replace(".", "").strip("0")
    assert not text.endswith(".0")
    assert "+" not in text


@given(st.lists(st.text("aé ,;\t\"'_", min_size=1, max_size=6).map("x{}".format), min_size=2), st.sampled_from(",;\t "))
def test_names_read_back(names: list[str], delimiter: str) -> None:
    text = written(np.zeros((len(names), 2)), names=tuple(names), delimiter=delimiter)
    assert opened(text).signal.names == tuple(name.strip() for name in names)


# What options and headings change in the numbers


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        (",A,B\n0,0.5,0.25\n1,0.75,0.5\n", {}, [[0.5, 0.75], [0.25, 0.5]]),
        ('"","A"\n"x",1\n"7",2\n', {}, [[1, 2]]),
        ("alice,1\nbob,2\n", {}, [[1, 2]]),
        ("t,a,\n0,1,\n1,2,\n", {"columns": "1-2"}, [[0, 1], [1, 2]]),
        ("a,b,,\n1,2,,\n3,4, ,\n", {}, [[1, 3], [2, 4]]),
        ("a,b,c\n1,2,3\n", {"columns": "b-c, 1".replace("b-c", "2-3")}, [[2], [3], [1]]),
        ('"1,234.5",2\n"2,345.5",3\n', {"thousands": ","}, [[1234.5, 2345.5], [2, 3]]),
        ("1,NA\n,4\nnull,-\n", {"missing": "nan"}, [[1, np.nan, np.nan], [np.nan, 4, np.nan]]),
        ("1\n\n3\n", {"missing": "nan"}, [[1, np.nan, 3]]),
        ("a,b\n1,\n3,\n", {"missing": "nan"}, [[1, 3], [np.nan, np.nan]]),
        ("1,\n3,\n", {"missing": "nan"}, [[1, 3], [np.nan, np.nan]]),
        ("1,-99\n-99.0,4\n", {"nodata": -99.0}, [[1, np.nan], [np.nan, 4]]),
        ("ncols 2\nNODATA_value -9999\n1 -9999\n3 4\n", {}, [[1, 3], [np.nan, 4]]),
        ("& x\n1,2\n& y\n3,4\n", {"comment": "&"}, [[1, 3], [2, 4]]),
        ("1\n2\n", {"comment": "&"}, [[1, 2]]),
        ("junk\n9,9,9\n1,2\n3,4\n", {"skip": 2}, [[1, 3], [2, 4]]),
        ("2019,2020\n1,2\n3,4\n", {"header": "yes"}, [[1, 3], [2, 4]]),
        ("1|2\n3|4\n", {"delimiter": "|"}, [[1, 3], [2, 4]]),
        ("1e400x,2\n1,3\n", {"columns": "2"}, [[2, 3]]),
        ("1,2\n3,4,\n", {"columns": "1", "header": "no"}, None),
    ],
)
def test_options(text: str, options: dict[str, Any], expected: list[list[float]] | None) -> None:
    if expected is None:
        with pytest.raises(InputError, match=r"^line 2 has 3 columns; expected 2 as in line 1; it ends in a delimiter"):
            read(text, **options)
    else:
        np.testing.assert_array_equal(read(text, **options), expected)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("1e400\n1\n", {}, "line 1, column 1: 1e400 is past what float64 holds, 1.8e308"),
        ("12a,3b\n1,2\n", {}, "line 1, column 1: '12a' is not a number"),
        ("a,b\n12a,3b\n", {}, "line 2, column 1: '12a' is not a number"),
        ("x,1\n2,3\n", {}, "line 1, column 1: 'x' is not a number"),
        ("1,2,\n3,4,\n5,6,7\n", {}, "line 3 has 3 columns; expected 2 as in line 1, and empty cells after them"),
        (
            "1,2\n3,4,5\n",
            {},
            "line 2 has 3 columns; expected 2 as in line 1; --skip 1 begins with it, head -n 1 ends above it",
        ),
        ("& x\n1,2\n& y\n3,z\n", {"comment": "&"}, "line 4, column 2: 'z' is not a number"),
        ("1,2\n\n3,4\n", {"missing": "nan"}, "line 2 is blank"),
        ("1,2\n# x\n3,4\n", {}, "line 2 has 1 column"),
        ("1\n# x\n3\n", {}, "line 2, column 1: '# x' is not a number; --comment passes over such lines"),
        ("1,2,\n3,4,\n5\n", {}, "line 3 has 1 column; expected 2 as in line 1, and empty cells after them"),
        ("a\nb\n", {"skip": 5}, "there are 0 samples in it"),
        ("1,−2\n3,4\n", {}, "line 1, column 2: '−2' is not a number: its minus is U+2212"),
    ],
)
def test_what_is_refused_is_named(text: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        read(text, **options)
    assert str(caught.value).startswith(message)


def test_times_that_are_rounded_are_even_below_the_rate_that_is_stated() -> None:
    text = "Sample Rate: 44100 Hz.\n\n0.00000\t1\n0.00002\t2\n0.00005\t3\n{}\t4\n"
    assert read(text.format("0.00007"), even_times=True) == [[1, 2, 3, 4]]
    assert len(read(text.format("0.00009"))) == 2  # a channel like the other


def test_integers_chosen_beside_other_columns_stay_integers() -> None:
    text = "id,x\n9007199254740993,0.5\n2,1.5\n"
    assert opened(text, columns="id").signal.dtype == "int64"
    assert read(text, columns="id") == [[2**53 + 1, 2]]
    with pytest.raises(InputError, match=r"^integers past 2\*\*53 are not exact beside other numbers; --dtype"):
        read(text)
    assert read(text, exact=False) == [[2.0**53, 2], [0.5, 1.5]]


@pytest.mark.parametrize(
    ("text", "taps"),
    [
        ("0.1, 0.2, 0.3,\n0.4, 0.5, 0.6,\n0.7\n", [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]),
        ("1,\n2,\n3\n", [1, 2, 3]),
        ("1 2 3\n4 5\n", [1, 2, 3, 4, 5]),
        ("1,2,\n3,4,\n", [1, 2, 3, 4]),
        ("% FIR\n1,2,\n3,4\n", [1, 2, 3, 4]),
    ],
)
def test_a_kernel_may_be_wrapped(text: str, taps: list[float]) -> None:
    reader = opened(text, wrapped=True)
    assert reader.signal.flat
    assert values(reader).tolist() == [taps]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,2\n3,4\n", [[1, 3], [2, 4]]),
        ("a,b,\n1,2,\n3,4,\n", [[1, 3], [2, 4]]),
        ("1\n2\n", [[1, 2]]),
        ("1,2\n", [[1, 2]]),
    ],
)
def test_a_kernel_that_is_a_table_stays_one(text: str, expected: list[list[float]]) -> None:
    assert read(text, wrapped=True) == expected


@pytest.mark.parametrize("text", ["1,2\n3,4,5\n6\n", "1,2,\n3,4\n5,6\n"])
def test_a_ragged_kernel_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"^line \d"):
        read(text, wrapped=True)


def test_a_slow_text_goes_out_line_by_line() -> None:
    source, sink = os.pipe()
    with os.fdopen(source, "rb", buffering=0) as file, os.fdopen(sink, "wb", buffering=0) as pipe:
        pipe.write(b"# taps\na,b\n1,2\n3,4\n")
        reader = TextReader(Source(file, seekable=False))
        assert (reader.signal.names, reader.signal.frames) == (("a", "b"), None)
        assert reader.read(100).tolist() == [[1, 3], [2, 4]]
        pipe.write(b"5,6\n")
        assert reader.read(100).tolist() == [[5], [6]]
        pipe.close()
        assert reader.read(100).shape == (2, 0)


def test_a_slow_text_waits_for_two_rows() -> None:
    source, sink = os.pipe()
    with os.fdopen(source, "rb", buffering=0) as file, os.fdopen(sink, "wb", buffering=0) as pipe:
        pipe.write(b"1,2\n")
        writing = threading.Timer(0.4, lambda: pipe.write(b"3,4\n"))
        writing.start()
        assert TextReader(Source(file, seekable=False)).signal.channels == 2
        writing.join()


def test_what_was_taken_for_what_is_told() -> None:
    reader = opened("* REW\n-0.5 // Start time (seconds)\n1\n2\n")
    assert reader.notes == ["its clock starts at -0.5 s; its first sample is taken as time 0"]
    assert reader.remarks == ["text of 1 column, from line 3 on; comments above the numbers: 1 line"]


def test_a_heading_past_the_lines_looked_at_first() -> None:
    assert read("# x\n" * 3000 + "a,b\n1,2\n") == [[1], [2]]


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ('"9223372036854775808",x\n', {"columns": "1", "header": "no"}),
        ('"1 2",9223372036854775808\n5,1\n', {"columns": "2"}),
    ],
)
def test_integers_past_int64_in_lines_with_quotes(text: str, options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="9223372036854775808 is past what a 64-bit integer holds"):
        read(text, **options)


@pytest.mark.parametrize("times", [("0", "1e400"), ("0", "1e308", "1.5e308", "1.7e308")])
def test_times_past_float64_are_off(times: tuple[str, ...]) -> None:
    text = "".join(f"{time},1\n" for time in times)
    with pytest.raises(InputError, match=r"column 1: the time is"):
        read(f"time (s),v\n{text}", even_times=True)


@pytest.mark.parametrize(
    ("text", "chars", "expected"),
    [
        ("0.5  # peak\n0.7\n# end\n 1 # x # y\n", "#", [[0.5, 0.7, 1]]),
        ("a,b  ! units\n1,2 ! x\n3,4%y\n", "%!", [[1, 3], [2, 4]]),
        ('"1","2" # a\n"3","4"\n', "#", [[1, 3], [2, 4]]),
    ],
)
def test_comments_at_the_end_of_a_row_are_cut_off(text: str, chars: str, expected: list[list[float]]) -> None:
    assert values(opened(text, comment=chars)).tolist() == expected


def test_a_comment_does_not_begin_between_quotes() -> None:
    reader = opened('"a#1","b" # names\n1,2\n', comment="#")
    assert reader.signal.names == ("a#1", "b")


def test_chosen_columns_alone_need_to_be_numbers() -> None:
    text = 'Title, made by hand\n"#","Date","v","Note"\n1,today,21.6,\n2,later,21.7,Logged\n'
    reader = opened(text, columns="3")
    assert (values(reader).tolist(), reader.signal.names) == ([[21.6, 21.7]], ("v",))


@pytest.mark.parametrize(
    ("text", "way_out"),
    [
        (
            "when,b,c\n6/27/2012,1,W\n6/28/2012,2,W\n",
            "'6/27/2012' is not a number; --columns leaves out columns of dates",
        ),
        ("a,b\n1,2\nTotal,6\n", "'Total' is not a number; head -n 2 ends above it"),
        ("12\n512,300\n513,301\n", "--thousands ,; if line 1 is cut off, --skip 1 passes over it"),
        ("1 2\n3 4\n\n5 6\n", "line 3, column 1: the cell is empty: the line is blank; --skip 3 begins below it"),
    ],
)
def test_errors_say_what_would_read_the_text(text: str, way_out: str) -> None:
    with pytest.raises(InputError) as caught:
        values(opened(text))
    assert way_out in str(caught.value)


def test_comments_of_labchart_stand_behind_the_cells() -> None:
    text = "Interval=\t0.01 s\nChannelTitle=\tFlow\tEMG\n0\t1\t2\n0.01\t3\t4\t#* INSPI \n0.02\t5\t6\n"
    reader = opened(text)
    assert (reader.signal.names, reader.signal.sample_rate) == (("Flow", "EMG"), 100)
    assert values(reader).tolist() == [[1, 3, 5], [2, 4, 6]]


def test_one_row_may_end_in_a_tab() -> None:
    assert values(opened("1\t2\t3\t\n")).tolist() == [[1, 2, 3]]
    with pytest.raises(InputError, match="column 4: the cell is empty"):
        values(opened("1,2,3,\n"))


def test_chosen_columns_do_not_begin_in_the_preamble() -> None:
    text = "Instrument,X1\nChannels,4\nRate,1000\n\ntime,a,b\n0,1,2\n1,3,4\n"
    reader = opened(text, columns="2")
    assert (values(reader).tolist(), reader.signal.names) == ([[1, 3]], ("a",))


def test_names_of_the_first_line_are_found() -> None:
    assert opened("ChannelTitle=\tFlow\tEMG\n0\t1\t2\n0.01\t3\t4\n").signal.names == ("Flow", "EMG")


def test_columns_by_name_need_not_have_numbers_beside_them() -> None:
    rows = "".join(f"{row},word,12:00:{row % 60:02d}\n" for row in range(3000))
    reader = opened(f"made by hand, today\nv,note,when\n{rows}", columns="v")
    assert reader.signal.names == ("v",)
    assert values(reader).tolist() == [list(range(3000))]


def test_a_frequency_response_is_no_kernel() -> None:
    text = "Freq(Hz), SPL(dB)\n20, 65\n25, 66\n"
    assert values(opened(text)).tolist() == [[65, 66]]
    with pytest.raises(InputError, match="a response, no taps; export the impulse response"):
        opened(text, wrapped=True)


@pytest.mark.parametrize(("cell", "number"), [("0" * 5000 + "5", 5), ("-" + "0" * 5000 + "5", -5), ("0" * 5000, 0)])
def test_leading_zeros_are_no_digits_of_an_integer(cell: str, number: int) -> None:
    assert values(opened(f"1;2\n{cell};3\n")).tolist() == [[1, number], [2, 3]]


@pytest.mark.parametrize(
    "line",
    [
        "9" * 100_000 + "x", "9." * 50_000, " " * 100_000 + "x", "sample rate " + " " * 100_000 + "x",
        "sample rate (" * 8_000, "nodata " + " " * 100_000 + "x", "a/" * 50_000 + "!", "aaa " * 25_000 + "!",
        "a" * 100_000 + ":", "(" * 100_000, "1'000" * 20_000, '"' * 100_000, "-" * 100_000,
    ],
)  # fmt: skip
def test_lines_without_end_are_looked_at_in_one_pass(line: str) -> None:
    """Expressions that try a line from every of its characters to its end would take minutes here."""
    for text in (f"{line}\n1\n2\n", f"1\n{line}\n", f"# {line}\n1,2\n", f"a,b\n1,{line}\n"):
        with contextlib.suppress(InputError):
            assert len(values(opened(text))) in (1, 2)


def test_so_long_a_signal_is_not_put_together() -> None:
    with pytest.raises(InputError, match="it holds 2000000 samples, row behind row perhaps; up to 1048576"):
        opened("NPTS= 2000000, DT= .01 SEC\n1 2 3\n4 5 6\n")


@pytest.mark.parametrize(
    ("text", "expected", "rate"),
    [
        ("A RECORD\nNPTS=   7, DT=   .0050 SEC,\n 1 2 3\n 4 5 6\n 7\n", [[1, 2, 3, 4, 5, 6, 7]], 200),
        ("A RECORD\n  6  .0100  NPTS, DT\n1 2 3\n4 5 6\n", [[1, 2, 3, 4, 5, 6]], 100),
        ("x\n0.5 msec/sample\n1 channels\nECG\nmV\nCH1\n4\n5\n6\n", [[5, 6]], 2000),
        ("x\n0.5 msec/sample\n2 channels\nECG\nmV\nCH1,CH2\n4,4\n5,1\n6,2\n", [[5, 6], [1, 2]], 2000),
        ("x\n0.5 msec/sample\n1 channels\nECG\nmV\nCH1\n4.5\n5\n6\n", [[4.5, 5, 6]], 2000),
        ("NPTS= 6, DT= .01 SEC\n1 2 3\n4 5 6\n", [[1, 2, 3, 4, 5, 6]], 100),
        ("NPTS= 2, DT= .01 SEC\n1 2 3\n4 5 6\n", [[1, 4], [2, 5], [3, 6]], 100),
        ("NPTS= 3\n1\n2\n3\n", [[1, 2, 3]], None),
        ("TIMESERIES A_B, 6 samples, 40 sps, SLIST, INTEGER, Counts\n1\t2\t3\n4\t5\t6\n", [[1, 2, 3, 4, 5, 6]], 40),
        ("Sampling Freq(Hz) 5Hz\nDuration Time(s)  1\nMemo.\n 1 2 3 4\n 5\n", [[1, 2, 3, 4, 5]], 5),
        ("# NPTS 4\na b\n1 2\n3 4\n", [[1, 3], [2, 4]], None),
    ],
)
def test_rows_behind_each_other_are_one_signal_where_it_says_so(
    text: str, expected: list[list[float]], rate: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for size in (20, 1 << 20):
        chunks_of(monkeypatch, size)
        reader = opened(text)
        assert (reader.signal.sample_rate, reader.signal.flat) == (rate, False)
        joined = f"one signal of {len(expected[0])} samples, row behind row, as it says"
        assert (joined in reader.remarks[0]) == (len(expected) == 1 and "\n1\n2\n" not in text and "CH1" not in text)
        assert values(reader).tolist() == expected
