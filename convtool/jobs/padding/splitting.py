"""Inputs parted at random, for training and for tests, so that each stays where it is whatever else there is."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate

from convtool.signals.inputs import Input

_NAMES = {2: ("train", "test"), 3: ("train", "valid", "test")}


def parse_shares(text: str) -> tuple[Fraction, ...]:
    """The shares of a split.

    Raises:
        ValueError: they are no two or three numbers whose sum is 1.

    >>> [float(share) for share in parse_shares("0.8,0.1,0.1")]
    [0.8, 0.1, 0.1]
    """
    try:
        shares = tuple(Fraction(word.strip()) for word in text.split(","))
    except (ValueError, ZeroDivisionError):
        shares = ()
    if len(shares) not in _NAMES or min(shares) <= 0 or sum(shares) != 1:
        raise ValueError(f"'{text}' is no split: give two or three shares whose sum is 1, such as 0.8,0.1,0.1")
    return shares


def names_of(shares: Sequence[Fraction]) -> tuple[str, ...]:
    """What the parts are called, in order."""
    return _NAMES[len(shares)]


def part_of(item: Input, shares: Sequence[Fraction], seed: int) -> int:
    """The part that an input belongs to: it hangs on the input's name and the seed alone.

    The name is the path below the folder that was given. Its SHA-256 with the seed before it, as a fraction of all
    digests, tells the share that it lies in.
    """
    text = f"{seed}\0".encode() + os.fsencode(item.relative if item.kind == "file" else item.value)
    place = Fraction(int.from_bytes(hashlib.sha256(text).digest(), "big"), 1 << 256)
    return next(number for number, end in enumerate(accumulate(shares)) if place < end)
