"""What a cell is called that is no number, and what would read it."""

from __future__ import annotations

import pytest

from convtool.signals.text.complaints import complaint_of
from convtool.signals.text.dialect import Dialect

MISSING_HINT = "where a number is missing, an empty cell or NA and --missing nan read as NaN"

COMPLEX_HINT = "complex numbers are not read: give their parts columns of their own"


@pytest.mark.parametrize(
    ("cell", "decimal", "complaint"),
    [
        ("", ".", "the cell is empty; --missing nan reads it as NaN"),
        ("NA", ".", "'NA' is not a number; --missing nan reads it as NaN"),
        ("−3.5", ".", "'−3.5' is not a number: its minus is U+2212; write the minus of ASCII, '-'"),
        ("1,5", ".", "'1,5' is not a number; decimal commas need --decimal ,"),
        ("1.5", ",", "'1.5' is not a number; decimal points need --decimal ."),
        ("1,234.5", ".", "'1,234.5' is not a number; digits in groups need --thousands \",\""),
        ("1\u202f234", ".", "'1\\u202f234' is not a number; digits in groups need --thousands \" \""),
        ("1,234", ".", "'1,234' is not a number; decimal commas need --decimal ,, and digits in groups --thousands ,"),
        ("512,300,1", ".", "'512,300,1' is not a number"),
        (
            "1.0+2.0j",
            ".",
            "'1.0+2.0j' is not a number; complex numbers are not read: give their parts columns of their own",
        ),
        ("(1,2)", ".", f"'(1,2)' is not a number; {COMPLEX_HINT}"),
        ("-2j", ".", f"'-2j' is not a number; {COMPLEX_HINT}"),
        ("1.5 mV", ".", "'1.5 mV' is not a number; take away the unit beside the number"),
        ("50%", ".", "'50%' is not a number; take away the unit beside the number"),
        ("$1.50", ".", "'$1.50' is not a number; take away the unit beside the number"),
        ("0.5 # x", ".", "'0.5 # x' is not a number; --comment '#' cuts off what follows that"),
        ("x # y", ".", "'x # y' is not a number"),
        ("#N/A", ".", f"'#N/A' is not a number; {MISSING_HINT}"),
        ("---", ".", f"'---' is not a number; {MISSING_HINT}"),
        ("# x", ".", "'# x' is not a number; --comment passes over such lines"),
        ("x", ".", "'x' is not a number"),
        ("9" * 400_000 + "x", ".", f"'{'9' * 39}…' is not a number"),
    ],
)
def test_a_complaint_says_what_would_read_the_cell(cell: str, decimal: str, complaint: str) -> None:
    assert complaint_of(cell, Dialect(";", decimal)) == complaint
