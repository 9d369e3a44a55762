"""The columns that pass from an input to its output as they are."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import chain

from convtool.errors import InputError


class Kept:
    """Rows of cells on their way from a reader, which adds them, to a writer, which takes them."""

    def __init__(self, names: tuple[str, ...] | None) -> None:
        self.names = names
        self._columns: deque[Sequence[Sequence[str]]] = deque()
        self._taken = 0
        self._at = 0

    def add(self, columns: Sequence[Sequence[str]]) -> None:
        """The cells of the next rows, a sequence for each column."""
        self._columns.append(columns)

    def take(self, rows: int) -> list[list[str]]:
        """The cells of the next `rows` rows, a list for each column."""
        taken: list[Sequence[Sequence[str]]] = []
        left = rows
        while left:
            while self._columns and self._at == len(self._columns[0][0]):
                self._columns.popleft()
                self._at = 0
            if not self._columns:
                raise InputError(f"the output has more rows than the {self._taken} of the columns kept; {WAY_OUT}")
            part = [column[self._at : self._at + left] for column in self._columns[0]]
            taken.append(part)
            count = len(part[0])
            left -= count
            self._at += count
            self._taken += count
        return [list(chain.from_iterable(parts)) for parts in zip(*taken, strict=True)]

    def finish(self) -> None:
        """Refuse rows that the output did not have."""
        left = sum(len(columns[0]) for columns in self._columns) - self._at
        if left:
            raise InputError(f"the output has {self._taken} rows, and the columns kept {left} more; {WAY_OUT}")


WAY_OUT = "--keep-columns needs a row of output for each of theirs, such as --mode same gives"
