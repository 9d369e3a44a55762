"""Step 1: where the numbers of a text begin, and what stands between them."""

from __future__ import annotations

import pytest

from convtool.signals.text.body import Body, find_body, is_row
from convtool.signals.text.options import TextOptions

AUTO = TextOptions()


def found(text: str, **options: object) -> Body:
    body = find_body(text.split("\n"), TextOptions(**options))  # type: ignore[arg-type]
    assert body is not None
    return body


@pytest.mark.parametrize(
    ("text", "start", "delimiter", "width"),
    [
        ("1\n2", 0, None, 1),
        ("1,2\n3,4", 0, ",", 2),
        ("1;2\n3;4", 0, ";", 2),
        ("1\t2\n3\t4", 0, "\t", 2),
        (" 0.25D+01  0.1D-01\n 0.1D+01 0.2d+00", 0, None, 2),
        ("a,b\n1,2", 1, ",", 2),
        (";Device,M2K\nSample,Time(S),CH1(V)\n0,-1e-05,0.5", 2, ",", 3),
        ("; Sample Rate 8000\n; Channels 1\n   0   0.5", 2, None, 2),
        ("* saved by REW\n0.5 // Peak value\n1 // Peak index\n* Data start\n-1e-5\n1", 4, None, 1),
        ("ncols 3\nnrows 2\nNODATA_value -9999\n1 2 3\n4 5 6", 3, None, 3),
        ("sep=;\na;b\n1;2", 2, ";", 2),
        ("% Direct-Form FIR\n\nNumerator:\n 0.25\n 0.5", 3, None, 1),
        ("Model,A1\nFirmware Version,1.2\n\nTIME,CH1,CH2\n-1e-6,1,2", 4, ",", 3),
        ('"1","2"\n"3","4"', 0, ",", 2),
    ],
)
def test_the_rows_themselves_tell(text: str, start: int, delimiter: str | None, width: int) -> None:
    body = found(text)
    assert (body.start, body.dialect.delimiter, body.width, body.sure) == (start, delimiter, width, True)


@pytest.mark.parametrize(
    ("text", "options", "start", "delimiter", "width"),
    [
        ("0,5;1,5\n2,5;3", {"decimal": ","}, 0, ";", 2),
        ("0,5 1,5\n2,5 3", {"decimal": ","}, 0, None, 2),
        ("1|2\n3|4", {"delimiter": "|"}, 0, "|", 2),
        ("1 2\n3 4", {"delimiter": " "}, 0, None, 2),
        ("9\n1,2\n3,4", {"skip": 1}, 1, ",", 2),
        ("& 1\n1,2\n3,4", {"comment": "&"}, 1, ",", 2),
        ("NA,1\n2,3", {"missing": "nan"}, 0, ",", 2),
        ('"1,234.5",2\n3,4', {"thousands": ","}, 0, ",", 2),
    ],
)
def test_options_overrule(text: str, options: dict[str, object], start: int, delimiter: str | None, width: int) -> None:
    body = found(text, **options)
    assert (body.start, body.dialect.delimiter, body.width, body.sure) == (start, delimiter, width, True)


@pytest.mark.parametrize(
    ("text", "trailing", "width"),
    [
        ("1,2,\n3,4,", True, 2),
        ("1,\n2,", True, 1),
        ("1,2,", False, 3),
        ("1,2,\n3,4", False, 3),
        ("1,2,\n3,4,5", 0, 3),
        ("1,2,,\n3,4,", 0, 4),
        ("1,,\n2,,", 2, 1),
    ],
)
def test_a_delimiter_at_the_end_of_every_row(text: str, trailing: bool, width: int) -> None:
    assert (found(text).trailing, found(text).width) == (trailing, width)


@pytest.mark.parametrize(
    ("text", "labelled"),
    [
        (",A,B\na,1,2\nb,3,4", True),
        (",0,1\na,1,2\n7,3,4", True),
        ('"A" "B"\n"Mazda RX4" 1 2\n"7" 3 4', True),
        ("name,x\nalice,1\nbob,2", True),
        ("name,x\nalice,1", True),
        ("day,x\n2024-01-01,1\n02.01.2024,2\n12:30,3", True),
        ("alice,1\nbob,2", True),
        ("alice,1", False),
        ("name,x\n12a,1\n13b,2", False),
        ("name,x\nalice,1\n7,2", False),
        ("alice,1\nbob,x", False),
        ("x,1\n2,3", False),
        ("Model,1\nFirmware,1.2\n0.1,0.2", False),
        ("NA,1\nNA,2", False),
    ],
)
def test_names_of_rows(text: str, labelled: bool) -> None:
    assert found(text).labelled == labelled


def test_a_preamble_beside_the_numbers() -> None:
    body = found("Record Length,2.5e3,,-0.01,1,\nSample Interval,2e-5,,-0.00998,2,\n,,,-0.00996,3,")
    assert (body.beside, body.width, body.trailing, body.start) == (3, 5, True, 0)
    assert found("Record Length,2.5e3,,-0.01,1,\nSample Interval,2e-5,,x,2,").beside == 0


@pytest.mark.parametrize("text", ["", "# a", "\n  \n% b", "sep=;"])
def test_no_row_at_all(text: str) -> None:
    assert find_body(text.split("\n"), AUTO) is None


@pytest.mark.parametrize("line", ["# 1", "%", "! x", "* x", "; x", " # 1", "#1,2"])
def test_comments(line: str) -> None:
    assert not is_row(line, AUTO)


@pytest.mark.parametrize("line", [";2;3", ";;", "1 # 2", "-1"])
def test_rows_that_are_no_comments_though_they_may_begin_like_one(line: str) -> None:
    assert is_row(line, AUTO)
