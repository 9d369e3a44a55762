"""What became of each input of `pad-batch`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from convtool.jobs.padding.pad import Failure, Written
from convtool.jobs.padding.store import BatchStore, Plan
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
    """What has become of each input that failed, or is in a batch in its place by now, by its index."""
    told = _told(inputs, written.plan, [*failures, *written.failures], store, written)
    return {index: outcome for index, number, outcome in told if number is None or store.holds(number)}


def _told(
    inputs: Sequence[Input],
    plan: Plan | None,
    failures: Sequence[Failure],
    store: BatchStore | None,
    written: Written | None,
) -> Iterator[tuple[int, int | None, Outcome]]:
    """The index of each input, the number of its batch if it is in one, and what became of it."""
    failed = {each.index: each for each in failures}
    placed = {} if plan is None else {row.index: (number, row) for number, _, row in plan.placed()}
    results = {} if written is None else {result.row.index: result for result in written.results}
    for index, item in enumerate(inputs):
        if index in failed:
            yield index, None, failure(Task(index, item, None), failed[index].error)
        elif index in placed:
            number, row = placed[index]
            result = results.get(index)
            status = "planned" if store is None else "written" if result else "skipped"
            outcome = Outcome.of(Task(index, item, None if store is None else store.place(number)), status)
            outcome.channels, outcome.samples, outcome.sample_rate = row.channels, row.length, row.sample_rate
            if result is not None:
                outcome.seconds, outcome.notes = result.seconds, result.notes
            yield index, number, outcome
