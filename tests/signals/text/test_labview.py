"""Text measurement files of LabVIEW: what their headers say, in every form that its writer has."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest

from convtool.errors import InputError
from convtool.files.source import Source
from convtool.signals.text.options import TextOptions
from convtool.signals.text.reader import TextReader


def measurement(
    *rows: str, columns: str = "One", mark: str = "\t", decimal: str = ".", step: str = "0.001000", names: str = ""
) -> str:
    """A measurement of two channels, as LabVIEW writes it."""
    beside = "" if columns != "Multi" else "\t"
    names = names or (
        "X_Value\tLeft\tX_Value\tRight\tComment" if columns == "Multi" else "X_Value\tLeft\tRight\tComment"
    )
    separator = {"\t": "Tab", ",": "Comma"}[mark]
    lines = [
        "LabVIEW Measurement\t",
        "Writer_Version\t2",
        f"Separator\t{separator}",
        f"Decimal_Separator\t{decimal}",
        f"X_Columns\t{columns}",
        "Date\t2026/03/01",
        "***End_of_Header***\t",
        "\t",
        "Channels\t2\t\t",
        f"Samples\t3\t{beside}3\t",
        f"Y_Unit_Label\tVolts\t{beside}Volts\t",
        f"X_Dimension\tTime\t{beside}Time\t",
        f"Delta_X\t{step}\t{beside}{step}\t",
        "***End_of_Header***\t\t\t",
        names,
        *rows,
    ]
    return "\r\n".join(lines).replace("\t", mark) + "\r\n\r\n"


def reader_of(text: str, **options: object) -> TextReader:
    return TextReader(Source(BytesIO(text.encode()), seekable=True), TextOptions(**options))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        measurement("0.000000\t1.5\t-2", "0.001000\t2.5\t1.0E-9", "0.002000\t3\t4"),
        measurement("0.000000\t1.5\t-2\tfirst one", "0.001000\t2.5\t1.0E-9", "0.002000\t3\t4\tlast"),
        measurement("0.000000\t1.5\t-2", "0.001000\t2.5\t1.0E-9", "0.002000\t3\t4", mark=","),
        measurement("0,000000\t1,5\t-2", "0,001000\t2,5\t1,0E-9", "0,002000\t3\t4", decimal=",", step="0,001000"),
        measurement("\t1.5\t-2", "\t2.5\t1.0E-9", "\t3\t4", columns="No"),
        measurement("0\t1.5\t0\t-2", "0.001\t2.5\t0.001\t1.0E-9", "0.002\t3\t0.002\t4", columns="Multi"),
        measurement("0\t1.5\t-2", "0.001\t2.5\t1.0E-9", "0.002\t3\t4", names="X_Value\tLeft\tRight"),
    ],
)
def test_every_layout_gives_the_channels_and_their_rate(text: str) -> None:
    reader = reader_of(text)
    assert reader.signal.names == ("Left", "Right")
    assert reader.signal.sample_rate == 1000
    assert np.array_equal(reader.read(10), [[1.5, 2.5, 3], [-2, 1e-9, 4]])


def test_times_that_are_others_than_the_header_says_take_the_rate_away() -> None:
    text = measurement("0.000000\t1\t2", "0.328878\t3\t4", "1.208397\t5\t6", step="1.000000")
    assert reader_of(text).signal.sample_rate is None
    with pytest.raises(InputError, match=r"column 1: the time is 1\.208397, and 0\.657756 in even steps"):
        reader_of(text, even_times=True)


def test_times_that_are_rounded_are_no_others() -> None:
    text = measurement("0.000000\t1\t2", "0.000977\t3\t4", "0.001953\t5\t6", step="0.000977")
    reader = reader_of(text, even_times=True)
    assert reader.signal.sample_rate is None
    assert "sample rate: 1023.54145 Hz, not a whole number" in reader.remarks[0]


@pytest.mark.parametrize("dimension", ["Frequency", "Time\t\tFrequency"])
def test_steps_of_something_else_than_time_are_no_rate(dimension: str) -> None:
    text = measurement("0\t1\t2", "0.001\t3\t4").replace("X_Dimension\tTime", f"X_Dimension\t{dimension}")
    assert reader_of(text).signal.sample_rate is None


def test_options_overrule_the_headers() -> None:
    text = measurement("0.000\t1\t2", "0.001\t3\t4")
    reader = reader_of(text, skip=15)
    assert np.array_equal(reader.read(10), [[0, 0.001], [1, 3], [2, 4]])
    with pytest.raises(InputError, match="line 1 has 2 columns; expected 3"):
        reader_of(text, header="no")


def test_steps_of_nothing_are_no_rate() -> None:
    assert reader_of(measurement("\t1\t2", "\t3\t4", columns="No", step="0")).signal.sample_rate is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            measurement("0\t1\t2", "0.001\t3\t4", "", "Channels\t2"),
            "line 18 is blank: a segment of the measurement ends there; one segment a file is read",
        ),
        (measurement("0\t1\t2", "0.001\t3\t"), "line 17, column 3: the cell is empty"),
        (measurement("0\t1\t2", "0.001\t3\t4\tx\ty"), "line 17 has 5 columns; expected 3"),
        ("LabVIEW Measurement\t\r\nWriter_Version\t2\r\n", "line 1, column 1: 'LabVIEW Measurement' is not a number"),
    ],
)
def test_what_is_refused_is_named(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        reader_of(text)
    assert str(caught.value).startswith(message)
