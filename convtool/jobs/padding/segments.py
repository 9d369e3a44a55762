"""Recordings whose segments are read one after the other, each of them decoded once."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext

from convtool.jobs.padding.rows import Decoded, Miscounted, Row, RowOptions, Samples, read_row, whole_length
from convtool.signals.opening import open_reader


class Recordings:
    """The samples of rows, which may be segments of one recording; a `with` block closes what is open.

    Where rows are asked for in their order, each file is decoded once, and no more of it is held than the next segment
    has in common with this one. Threads keep to that order by a `turn` each.

    Args:
        rows: all that will be asked for.
        dtype: of the samples.
        options: how recordings become rows.
    """

    def __init__(self, rows: Sequence[Row], dtype: str, options: RowOptions) -> None:
        self._dtype, self._options = dtype, options
        self._left = Counter(row.index for row in rows if row.covered is not None)
        self._given, self._ended = Counter[int](), Counter[int]()
        self._changed = threading.Condition()
        self._open: dict[int, _Position] = {}

    def __enter__(self) -> Recordings:
        return self

    def __exit__(self, *_: object) -> None:
        for position in self._open.values():
            position.close()

    def turn(self, row: Row) -> AbstractContextManager[None]:
        """A `with` block for reading `row` and others of its recording: it begins once those of earlier turns ended.

        Every turn must be taken.
        """
        if row.covered is None:
            return nullcontext()
        number = self._given[row.index]
        self._given[row.index] += 1
        return self._taken(row.index, number)

    @contextmanager
    def _taken(self, index: int, number: int) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: self._ended[index] == number)
        try:
            yield
        finally:
            with self._changed:
                self._ended[index] += 1
                self._changed.notify_all()

    def read(self, row: Row, notes: list[str]) -> Iterator[Samples]:
        """As `read_row`; segments within their `turn`."""
        if row.covered is None:
            yield from read_row(row, self._dtype, self._options, notes)
            return
        position = self._open.get(row.index)
        if position is None or position.has_passed(row.start):
            if position is not None:
                position.close()
            position = self._open[row.index] = _Position(row, self._dtype, self._options)
        try:
            yield from position.samples(row)
            notes += position.end(row)
        finally:
            self._left[row.index] -= 1
            if not self._left[row.index] and row.index in self._open:
                self._open.pop(row.index).close()


class _Position:
    """How far a recording has been decoded, and the samples before that which a segment may still want."""

    def __init__(self, row: Row, dtype: str, options: RowOptions) -> None:
        self._options = options
        self._stack = ExitStack()
        reader = self._stack.enter_context(open_reader(row.source, options.read))
        self._decoded = Decoded(reader, row, dtype, options)
        self._held: list[tuple[int, Samples]] = []
        self._at = 0
        self._failure: Exception | None = None
        hop = options.hop or options.segment
        self._hop = hop.samples(row.sample_rate) if hop is not None else 0

    def close(self) -> None:
        self._stack.close()

    def has_passed(self, start: int) -> bool:
        """Whether sample `start` is no longer there."""
        return start < min([self._at, *(begin for begin, _ in self._held)])

    def samples(self, row: Row) -> Iterator[Samples]:
        """The samples of a segment."""
        for begin, block in tuple(self._held):
            yield from _within(row, begin, block)
        while self._at < row.start + row.length:
            block = self._next()
            self._held.append((self._at, block))
            yield from _within(row, self._at, block)
            self._at += block.shape[-1]
            self._forget(row.start + self._hop)

    def end(self, row: Row) -> list[str]:
        """What there is to say once a segment was read; behind the last one, whether that is the end.

        Raises:
            Miscounted: the file holds more than was planned with.
        """
        self._forget(row.start + self._hop)
        if row.start + row.length < whole_length(row, self._options):
            return []
        for _ in self._decoded.blocks:
            pass
        if self._decoded.read != row.samples:
            raise Miscounted(self._decoded.read)
        return self._decoded.notes

    def _next(self) -> Samples:
        if self._failure is not None:
            raise self._failure
        try:
            block = next(self._decoded.blocks, None)
        except Exception as error:
            self._failure = error
            raise
        if block is None:
            raise Miscounted(self._decoded.read)
        return block

    def _forget(self, start: int) -> None:
        self._held = [(begin, block) for begin, block in self._held if begin + block.shape[-1] > start]


def _within(row: Row, begin: int, block: Samples) -> Iterator[Samples]:
    """What a segment has of a block that begins at sample `begin`."""
    part = block[:, max(0, row.start - begin) : max(0, row.start + row.length - begin)]
    if part.shape[-1]:
        yield part
