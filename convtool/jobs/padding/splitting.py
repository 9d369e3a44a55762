"""The parts of a split as `pad-batch` is asked for them."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from convtool.ops.splitting import split_names
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


def parts_of(inputs: Sequence[Input], shares: Sequence[Fraction], seed: int) -> list[int]:
    """The part that each input belongs to, by its path below the folder that was given."""
    return split_names([item.relative if item.kind == "file" else item.value for item in inputs], shares, seed=seed)
