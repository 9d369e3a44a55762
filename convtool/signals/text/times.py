"""Whether the times beside the samples of a text go up in even steps, as lengths in time need it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

_EVEN = 1e-6
"""How far steps differ at the most, relative to the longest, between times that tell a sample rate."""


def even(steps: Sequence[float]) -> bool:
    """Whether steps are alike, but for their rounding."""
    return max(steps) - min(steps) <= _EVEN * max(steps)


def follow(values: Sequence[float], rate: float, slack: float = 0.5) -> bool:
    """Whether times go up from the first by the steps of a sample rate; each may be off by `slack` steps."""
    with np.errstate(all="ignore"):  # what is not finite, as of a rate of 1e-310, follows nothing
        expected = values[0] + np.arange(len(values)) / rate
        return bool((np.abs(np.asarray(values) - expected) * rate <= slack).all())


@dataclass(frozen=True)
class Times:
    """A column of times, as its first rows are: `start`, and on from there by `interval`."""

    column: int
    start: float
    interval: float
    slack: float
    """How far a time may be from where it is expected."""

    @classmethod
    def of(cls, column: int, values: Sequence[float], rate: float | None = None) -> Times:
        """The column that begins with `values`, two or more that rise.

        Where these are uneven, what is expected is the first step, and hardly any slack: one of them is off. Where they
        are even, a time that a later row has may be rounded, and is off by half an interval; also where they follow a
        sample `rate` that is stated, but for their rounding.
        """
        steps = [b - a for a, b in pairwise(values)]
        if even(steps):
            interval = (values[-1] - values[0]) / len(steps)
            return cls(column, values[0], interval, interval / 2)
        if rate is not None and follow(values, rate):
            return cls(column, values[0], 1 / rate, 0.5 / rate)
        return cls(column, values[0], steps[0], _EVEN / 4 * max(steps))

    def first_off(self, cells: Sequence[str | None], row: int) -> tuple[int, float] | None:
        """Which of `cells`, in the rows from number `row` on, is the first that is off, and the time expected there."""
        found = np.array([float("nan" if cell is None else cell) for cell in cells])
        with np.errstate(all="ignore"):  # times that are not finite are off
            expected = self.start + self.interval * np.arange(row, row + len(cells))
            off = np.flatnonzero(~(np.abs(found - expected) <= self.slack))
        return (int(off[0]), float(expected[off[0]])) if len(off) else None
