"""Which columns a list of names, numbers and ranges stands for."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence

from convtool.errors import InputError
from convtool.files.names import show

_RANGE = re.compile(r"(\d+)(?:\s*-\s*(\d+))?", re.ASCII)


def choose_columns(wanted: str, names: Sequence[str] | None, width: int) -> list[int]:
    """The indices of the columns that `wanted` lists, each by name, by number from 1, or as a range of numbers.

    >>> choose_columns("right,2-3", ("left", "mid", "right"), 3)
    [2, 1, 2]
    """
    chosen: list[int] = []
    for part in (part.strip() for part in next(csv.reader([wanted], skipinitialspace=True))):
        if names and part in names:
            chosen.append(names.index(part))
            continue
        found = _RANGE.fullmatch(part)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
        if not 1 <= first <= last <= width:
            there = (
                ", ".join(show(name) or f"{at} (without a name)" for at, name in enumerate(names, 1))
                if names
                else f"1 to {width}"
            )
            raise InputError(f"there is no column '{show(part)}'; the columns are {there}")
        chosen.extend(range(first - 1, last))
    return chosen
