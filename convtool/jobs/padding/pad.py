"""`convtool pad-batch`: recordings of different lengths into one batch, or into a folder of them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np

from convtool.errors import InputError, UsageError
from convtool.files.names import show
from convtool.files.remote import AHEAD
from convtool.files.urls import is_url
from convtool.jobs.backend import load_torch
from convtool.jobs.padding.grouping import Sort, Strategy, group
from convtool.jobs.padding.labels import Labels
from convtool.jobs.padding.manifest import row_name
from convtool.jobs.padding.rows import Row, RowOptions, measure, recounted, segments
from convtool.jobs.padding.segments import Recordings
from convtool.jobs.padding.store import BatchStore, Plan
from convtool.jobs.padding.writing import BatchWriting, Padding, RowResult
from convtool.jobs.side_by_side import side_by_side
from convtool.runs.run import explain
from convtool.signals.inputs import Input

_SHORT = 1 << 19
"""Samples up to which recordings are written by one call: handing each to a thread takes as long as decoding it."""

_ATTEMPTS = 3
"""Passes over the inputs: the first finds the headers that lie, the second has the lengths that are there."""


Write = Callable[[Plan, BatchStore, int, Callable[[], None], list[RowResult]], None]
"""What writes the batches of a plan that a store lacks."""


@dataclass(frozen=True)
class Failure:
    """An input that is in no batch, its place among all inputs, and why."""

    index: int
    input: Input
    error: str


@dataclass(frozen=True, kw_only=True)
class Grouping:
    """Which rows go into which batch."""

    strategy: Strategy = "pad"
    batch_size: int | None = None
    max_samples: int | None = None
    multiple_of: int = 1
    sort: Sort = "none"
    seed: int | None = None


@dataclass
class Written:
    """What is written: the plan, what became of each row that was not there already, and the inputs left out.

    There is no plan before any batch is begun, nor where all inputs are left out.
    """

    plan: Plan | None = None
    results: list[RowResult] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class PadBatch:
    """All that the options say of how inputs become batches."""

    rows: RowOptions = field(default_factory=RowOptions)
    grouping: Grouping = field(default_factory=Grouping)
    padding: Padding = field(default_factory=Padding)
    labels: Labels = field(default_factory=Labels)
    """What a manifest says of the inputs."""

    def measure(
        self,
        inputs: Sequence[Input],
        copy: Callable[[Input], Input] = lambda item: item,
        *,
        fail_fast: bool = False,
        done: Callable[[], None] = lambda: None,
    ) -> tuple[list[Row], list[Failure]]:
        """The rows of all inputs that can be one, by their headers, and why the others can't.

        Args:
            inputs: in row order.
            copy: gives where an input is read that can be read only once; any thread calls it.
            fail_fast: leave it at the first that can't.
            done: called after each.
        """

        def measured(numbered: tuple[int, Input]) -> list[Row] | Failure:
            index, item = numbered
            try:
                return segments(measure(index, item, copy(item), self.rows, self.labels.of(index)), self.rows)
            except Exception as error:  # of any kind: one file stops no other
                return Failure(index, item, explain(error))

        rows: list[Row] = []
        failures: list[Failure] = []
        ahead = not fail_fast and any(is_url(item.value) for item in inputs)
        each = side_by_side(measured, enumerate(inputs), AHEAD) if ahead else (measured(n) for n in enumerate(inputs))
        with closing(each):
            for found in each:
                if isinstance(found, Failure):
                    failures.append(found)
                    if fail_fast:
                        break
                else:
                    rows += found
                done()
        return rows, failures

    def plan(self, rows: Sequence[Row]) -> Plan:
        """Which rows go into which batch.

        Raises:
            InputError: they differ in channels or sample rate, or have the same columns in another order.
            UsageError: one is longer than a batch may be, or the batch can't hold the padding's value.
        """
        _refuse_unlike(rows)
        if not self.rows.mono:
            _refuse_other_order(rows)
        dtypes = {row.dtype for row in rows}
        dtype = dtypes.pop() if len(dtypes) == 1 else "float64"
        _check_value(self.padding.value, dtype)
        grouping, segment = self.grouping, self.rows.segment
        batches = group(
            [row.length for row in rows],
            strategy=grouping.strategy,
            batch_size=grouping.batch_size,
            max_samples=grouping.max_samples,
            multiple_of=grouping.multiple_of if segment is None else segment.samples(rows[0].sample_rate),
            sort=grouping.sort,
            seed=grouping.seed,
            names=[row.input.value for row in rows],
        )
        flat = self.rows.channels is None and all(row.signal.flat for row in rows)
        return Plan(tuple(rows), tuple(batches), dtype, flat, tuple(self.labels.dtypes.items()))

    def run(
        self,
        rows: Sequence[Row],
        store: BatchStore,
        *,
        threads: int,
        done: Callable[[], None] = lambda: None,
        written: Written | None = None,
        write: Write | None = None,
    ) -> Written:
        """Write the batches of `rows` into `store`, `threads` rows at a time; `done` is called after each row.

        `written`, which is returned, is kept up to date all the while: it is what to go by when the work is
        interrupted. `write` does in place of the method of that name what that does.

        A row whose file is not what its header said is counted, or left out, and the batches are planned anew: what
        is in the store in the end is what a plan that knew would have put there.
        """
        if self.padding.pool is not None or self.rows.resample is not None:
            load_torch()
        written = Written() if written is None else written
        failures = written.failures
        with store:
            counted = dict(store.recall())
            rows = self._corrected(rows, counted, failures)
            for _ in range(_ATTEMPTS):
                written.plan, written.results = None, []
                if not rows:
                    return written
                plan = self.plan(rows)
                store.begin(plan, counted)
                written.plan = plan
                (write or self.write)(plan, store, threads, done, written.results)
                missed = [result for result in written.results if result.missed]
                if not missed:
                    store.finish(threads)
                    return written
                store.discard()
                unreadable = {each.row.index: each.error for each in missed if each.error is not None}
                inputs = {row.index: row.input for row in rows}
                failures += [Failure(index, inputs[index], unreadable[index]) for index in sorted(unreadable)]
                counted |= {row_name(each.row.input): each.counted for each in missed if each.counted is not None}
                rows = self._corrected([row for row in rows if row.index not in unreadable], counted, failures)
        raise InputError(f"{missed[0].row.input.name} changes while it is read; {len(missed)} inputs do")

    def write(
        self, plan: Plan, store: BatchStore, threads: int, done: Callable[[], None], results: list[RowResult]
    ) -> None:
        """Write all batches but for those that the store has; `results` takes what became of their rows."""
        left = [len(batch.rows) for batch in plan.batches]
        missed = False

        def write(placed: _Placed) -> tuple[int, list[RowResult]]:
            number, writing, rows, turn = placed
            with turn:
                return number, [writing.write_row(place, row) for place, row in rows]

        with (
            Recordings(plan.rows, plan.dtype, self.rows) as recordings,
            closing(side_by_side(write, self._begun(plan, store, recordings), threads)) as written,
        ):
            for number, made in written:
                for result in made:
                    done()
                    results.append(result)
                    missed = missed or result.missed
                left[number] -= len(made)
                if not left[number] and not missed:
                    store.commit(number)

    def _begun(self, plan: Plan, store: BatchStore, recordings: Recordings) -> Iterator[_Placed]:
        """The rows that are to be written, their batch opened: with its number, their places there, and their turn.

        Those of one recording that stand one behind the other come together. Batches begin in the order of the inputs.
        """
        for number, batch in sorted(enumerate(plan.batches), key=lambda each: min(each[1].rows)):
            files = store.open(number)
            if files is None:
                continue
            rows = [plan.rows[index] for index in batch.rows]
            values = {"lengths": np.array([row.length for row in rows], dtype=np.int64)}
            values |= {name: np.array([row.labels[name] for row in rows], dtype=dtype) for name, dtype in plan.labels}
            for name in files.keys() & values:
                files[name].write(name, 0, values[name])
            writing = BatchWriting(files, plan.shape(batch), self.padding, recordings)
            for together in _together(rows):
                yield number, writing, together, recordings.turn(together[0][1])

    def _corrected(self, rows: Sequence[Row], counted: Mapping[str, int], failures: list[Failure]) -> list[Row]:
        """`rows` with the samples that were counted, and without those that this makes unfit."""
        corrected: list[Row] = []
        done: set[int] = set()
        for row in rows:
            samples = counted.get(row_name(row.input), row.samples) if counted else row.samples
            try:
                if samples == row.samples:
                    corrected.append(row)
                elif row.index not in done:
                    done.add(row.index)
                    corrected += segments(recounted(row, samples, self.rows), self.rows)
            except InputError as error:
                failures.append(Failure(row.index, row.input, str(error)))
        return corrected


def _together(rows: Sequence[Row]) -> Iterator[list[tuple[int, Row]]]:
    """The rows of a batch with their places, as one call writes them: a recording's segments, or short recordings."""
    held: list[tuple[int, Row]] = []
    samples = 0
    for _, found in groupby(enumerate(rows), key=lambda each: each[1].index):
        part = list(found)
        if held and (samples >= _SHORT or part[0][1].covered is not None or held[0][1].covered is not None):
            yield held
            held, samples = [], 0
        held += part
        samples += sum(row.samples for _, row in part)
    yield held


_Placed = tuple[int, BatchWriting, list[tuple[int, Row]], AbstractContextManager[None]]
_NAMED = 8
"""Odd inputs that a message names."""


def _check_value(value: float, dtype: str) -> None:
    """Refuse a padding value that the batch would hold as another."""
    whole = float(value).is_integer() and abs(value) < 2**63
    held = whole if dtype == "int64" else not math.isfinite(value) or abs(value) <= float(np.finfo(dtype).max)
    if not held:
        raise UsageError(f"--value {value:g}: the batch holds {dtype}; give another value, or --dtype float64")


def _refuse_unlike(rows: Sequence[Row]) -> None:
    """All rows of a batch have the same channels and the same sample rate."""
    channels = {row: f"{row} channel{'s' * (row != 1)}" for row in {row.channels for row in rows}}
    rates = {rate: f"{rate} Hz" if rate else "no sample rate" for rate in {row.sample_rate for row in rows}}
    _refuse_mixed(rows, [channels[row.channels] for row in rows], "--mono or --channels N")
    _refuse_mixed(rows, [rates[row.sample_rate] for row in rows], "--resample HZ, or --sample-rate for those without")


def _refuse_other_order(rows: Sequence[Row]) -> None:
    """Columns of the same names stand in one order in all rows; those of other names are told by their places."""
    orders: dict[frozenset[str], tuple[tuple[str, ...], Row]] = {}
    for row in rows:
        names = row.signal.names
        if names is None or len(set(names)) < len(names):
            continue
        order, first = orders.setdefault(frozenset(names), (names, row))
        if names != order:
            name, place = next((name, place) for place, name in enumerate(names, 1) if name != order[place - 1])
            other, wanted = order.index(name) + 1, show(",".join(order))
            raise InputError(
                f"column {show(name)} is number {other} of those taken from {first.input.name} and number {place} of "
                f"those from {row.input.name}; a batch takes one order: --columns {wanted} picks by name, "
                "--skip 1 --header no by place"
            )


def _refuse_mixed(rows: Sequence[Row], found: Sequence[str], way_out: str) -> None:
    counts = Counter(found).most_common()
    if len(counts) == 1:
        return
    usual, number = counts[0]
    odd = [(row, what) for row, what in zip(rows, found, strict=True) if what != usual]
    others = ", ".join(f"{row.input.name} has {what}" for row, what in odd[:_NAMED])
    more = f" and {len(odd) - _NAMED} more have others" if len(odd) > _NAMED else ""
    have = f"{number} inputs have" if number > 1 else f"{next(r for r in rows if r is not odd[0][0]).input.name} has"
    raise InputError(f"{have} {usual}, but {others}{more}; a batch takes one kind: give {way_out}")
