"""Names parted at random, for training and for tests, so that each stays where it is whatever else there is."""

from __future__ import annotations

import hashlib
import os
from bisect import bisect_right
from fractions import Fraction
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    Name = str | bytes | os.PathLike[str]

_NEAR = Fraction(1, 10**9)
"""How far from 1 the shares may add up to, as 1/3 has no end of decimals."""


def split_names(names: Sequence[Name], shares: Sequence[float | Fraction], *, seed: int = 0) -> list[int]:
    """The part that each name belongs to: it depends on the name and the seed alone, not on the other names.

    The SHA-256 of the seed and the name, as a fraction of all digests, tells the share that it lies in. So parts have
    about their shares of many names, and a name that is added moves no other.

    Args:
        names: text, bytes, or paths. `pad-batch` takes the paths below the folder that it was given.
        shares: of each part, above 0; their sum is 1.
        seed: another gives another split.

    Returns:
        For each name the number of its part, from 0.

    Raises:
        ValueError: no shares, one of 0 or less, or another sum.
        TypeError: a seed that is no whole number.

    >>> parts = split_names(["a.wav", "b.wav", "c.wav", "d.wav"], (0.5, 0.5))
    >>> parts, split_names(["d.wav"], (0.5, 0.5)) == parts[3:]
    ([0, 0, 0, 1], True)
    """
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise TypeError(f"seed is {seed!r}; give a whole number")
    try:
        exact = [Fraction(str(share)) for share in shares]
    except ValueError:
        exact = []
    if not exact or any(share <= 0 for share in exact) or abs(sum(exact, Fraction(-1))) > _NEAR:
        raise ValueError(f"shares is {tuple(shares)!r}; give numbers above 0 whose sum is 1, such as (0.8, 0.1, 0.1)")
    ends = list(accumulate(exact[:-1]))
    return [bisect_right(ends, _place(name, seed)) for name in names]


def _place(name: Name, seed: int) -> Fraction:
    """The hash of the seed and a name, as a fraction of all hashes: from 0 to below 1."""
    digest = hashlib.sha256(f"{seed}\0".encode() + os.fsencode(name)).digest()
    return Fraction(int.from_bytes(digest, "big"), 1 << 256)
