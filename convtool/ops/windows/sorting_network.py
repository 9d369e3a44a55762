"""Samples of given ranks of short windows, by a sorting network whose numbers are whole signals.

A network of comparisons puts W numbers in order, whatever they are: two sorted halves are merged by merging their even
and their odd places (K. E. Batcher, "Sorting networks and their applications", AFIPS 1968; D. E. Knuth, "The Art of
Computer Programming", volume 3, section 5.3.4). Here a number is the signal from the k-th sample on, so one minimum and
one maximum of two signals compare the samples k and l of all windows at once. Signals that differ by a shift alone are
computed once, and those that no wanted rank needs not at all.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

LONGEST = 128
"""Samples of a window up to which this takes less time than sorting each window."""

_TILE = 1 << 15
"""Windows in one tensor operation: few enough that the signals on their way stay in a core's cache."""


class _Wire(NamedTuple):
    """A signal from some sample on, by its number."""

    signal: int
    shift: int


class _Comparison(NamedTuple):
    """The larger, or else the smaller, numbers of two signals; one of them from its first sample on."""

    larger: bool
    one: _Wire
    other: _Wire


def samples_of_rank(x: Tensor, places: tuple[int, ...], ranks: tuple[int, ...]) -> list[Tensor]:
    """The samples of each of the `ranks`, from 0, of all windows along the last axis of ``(rows, n)`` without NaN.

    Args:
        x: what the windows slide over.
        places: the samples of a window, counted from where it begins, in rising order; the first is 0.
        ranks: which of them are wanted, once they are in order.

    Returns:
        ``(rows, n - places[-1])`` for each rank.

    >>> samples_of_rank(torch.tensor([[3, 1, 2, 9]]), (0, 1, 2), (0, 1))
    [tensor([[1, 1]]), tensor([[2, 2]])]
    """
    network, count = _network(places, ranks), x.shape[1] - places[-1]
    made = [x.new_empty((len(x), count)) for _ in ranks]
    tile = max(_TILE // len(x), 2 * places[-1], 1)
    for start in range(0, count, tile):
        size = min(tile, count - start)
        found = network.ranked(x[:, start : start + size + places[-1]], size)
        for whole, part in zip(made, found, strict=True):
            whole[:, start : start + size] = part
    return made


@lru_cache(maxsize=32)
def _network(places: tuple[int, ...], ranks: tuple[int, ...]) -> _Network:
    return _Network(places, ranks)


class _Network:
    """The comparisons that find the samples of some ranks; signal 0 is what the windows slide over."""

    def __init__(self, places: tuple[int, ...], ranks: tuple[int, ...]) -> None:
        self._numbers: dict[_Comparison, int] = {}
        self._reach = [0]  # samples that a number of each signal hangs on, beyond its own place
        wires = self._sorted([_Wire(0, place) for place in places])
        self._wanted = [wires[rank] for rank in ranks]
        needed = {wire.signal for wire in self._wanted}
        made = list(self._numbers.items())
        for comparison, number in reversed(made):
            if number in needed:
                needed |= {comparison.one.signal, comparison.other.signal}
        self._needed = [(number, comparison) for comparison, number in made if number in needed]

    def ranked(self, x: Tensor, count: int) -> list[Tensor]:
        """The wanted signals of ``(rows, n)``, the first `count` numbers of each."""
        uses = Counter(wire.signal for _, (_, *wires) in self._needed for wire in wires)
        uses.update(wire.signal for wire in self._wanted)
        signals = {0: x}
        for number, (larger, one, other) in self._needed:
            size = x.shape[1] - self._reach[number]
            pair = [signals[wire.signal][:, wire.shift : wire.shift + size] for wire in (one, other)]
            signals[number] = torch.maximum(*pair) if larger else torch.minimum(*pair)
            for wire in (one, other):
                uses[wire.signal] -= 1
                if not uses[wire.signal]:
                    del signals[wire.signal]
        return [signals[wire.signal][:, wire.shift : wire.shift + count] for wire in self._wanted]

    def _sorted(self, wires: list[_Wire]) -> list[_Wire]:
        if len(wires) < 2:
            return wires
        half = 1 << ((len(wires) - 1).bit_length() - 1)  # so that as many parts as possible are shifts of each other
        return self._merged(self._sorted(wires[:half]), self._sorted(wires[half:]))

    def _merged(self, left: list[_Wire], right: list[_Wire]) -> list[_Wire]:
        if not left or not right:
            return left or right
        if len(left) == len(right) == 1:
            return self._compared(left[0], right[0])
        first, *evens = self._merged(left[::2], right[::2])
        odds = self._merged(left[1::2], right[1::2])
        pairs = min(len(evens), len(odds))
        ordered = [wire for pair in zip(odds, evens, strict=False) for wire in self._compared(*pair)]
        return [first, *ordered, *evens[pairs:], *odds[pairs:]]

    def _compared(self, one: _Wire, other: _Wire) -> list[_Wire]:
        """The signals of the smaller and of the larger numbers."""
        shift = min(one.shift, other.shift)
        pair = sorted(_Wire(wire.signal, wire.shift - shift) for wire in (one, other))
        return [self._wire(_Comparison(larger, *pair), shift) for larger in (False, True)]

    def _wire(self, comparison: _Comparison, shift: int) -> _Wire:
        number = self._numbers.setdefault(comparison, len(self._reach))
        if number == len(self._reach):
            self._reach.append(max(wire.shift + self._reach[wire.signal] for wire in comparison[1:]))
        return _Wire(number, shift)
