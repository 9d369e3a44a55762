"""What became of each input of `pad-batch`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from convtool.jobs.padding.pad import Failure, Written
from convtool.jobs.padding.rows import Row
from convtool.jobs.padding.store import BatchStore, Plan
from convtool.jobs.padding.writing import RowResult
from convtool.runs.outcome import Outcome
from convtool.runs.plan import Task
from convtool.runs.run import failure
from convtool.signals.inputs import Input


def skipped(inputs: Sequence[Input], output: str) -> list[Outcome]:
    """What became of inputs whose batch was there already."""
    return [Outcome.of(Task(index, item, output), "skipped") for index, item in enumerate(inputs)]


def outcomes_of(
    inputs: Sequence[Input],
    plan: Plan | None,
    failures: Sequence[Failure],
    store: BatchStore | None,
    written: Written | None,
) -> list[Outcome]:
    """What became of each input; without a store, what would."""
    return [outcome for _, _, outcome in _told(inputs, plan, failures, store, written)]


def outcomes_so_far(
    inputs: Sequence[Input], failures: Sequence[Failure], store: BatchStore, written: Written
) -> dict[int, Outcome]:
    """What has become of each input that failed, or is in batches all in their places by now, by its index."""
    told = _told(inputs, written.plan, [*failures, *written.failures], store, written)
    return {index: outcome for index, numbers, outcome in told if all(map(store.holds, set(numbers)))}


def _told(
    inputs: Sequence[Input],
    plan: Plan | None,
    failures: Sequence[Failure],
    store: BatchStore | None,
    written: Written | None,
) -> Iterator[tuple[int, list[int], Outcome]]:
    """The index of each input, the numbers of the batches that it is in, and what became of it."""
    failed = {each.index: each for each in failures}
    placed: dict[int, tuple[Row, list[int]]] = {}
    for number, _, row in plan.placed() if plan is not None else ():
        placed.setdefault(row.index, (row, []))[1].append(number)
    results: dict[int, list[RowResult]] = {}
    for result in () if written is None else written.results:
        results.setdefault(result.row.index, []).append(result)
    for index, item in enumerate(inputs):
        if index in failed:
            yield index, [], failure(Task(index, item, None), failed[index].error)
        elif index in placed:
            row, numbers = placed[index]
            made = results.get(index, [])
            status = "planned" if store is None else "written" if made else "skipped"
            outcome = Outcome.of(Task(index, item, None if store is None else store.place(min(numbers))), status)
            samples = row.length if row.covered is None else row.covered
            outcome.channels, outcome.samples, outcome.sample_rate = row.channels, samples, row.sample_rate
            outcome.unheeded = row.unheeded
            if made:
                outcome.seconds = round(sum(each.seconds for each in made), 6)
                outcome.notes = [note for each in made for note in each.notes]
                outcome.worker = made[0].worker
            yield index, numbers, outcome
