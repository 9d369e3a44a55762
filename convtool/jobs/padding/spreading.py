"""The shards of `pad-batch` written by the workers of a cluster, each whole by one of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, as_completed
from contextlib import closing, suppress
from dataclasses import dataclass, replace

from convtool.files.remote import AHEAD
from convtool.files.urls import is_url
from convtool.jobs.copies import Copies
from convtool.jobs.padding.grouping import PlannedBatch
from convtool.jobs.padding.pad import PadBatch, Write
from convtool.jobs.padding.rows import Row
from convtool.jobs.padding.store import BatchStore, Plan, ShardFolder, ShardKind
from convtool.jobs.padding.writing import RowResult
from convtool.jobs.side_by_side import side_by_side
from convtool.runs import stopping
from convtool.runs.cluster_executor import ClusterExecutor
from convtool.runs.plan import Task
from convtool.runs.run import explain
from convtool.signals.inputs import Input


@dataclass(frozen=True)
class Shard:
    """One of the batches of a plan: its number, and a plan that holds nothing else."""

    number: int
    plan: Plan


class OneShard(ShardFolder):
    """The place of a single shard, in a folder that another process has locked and cleared."""

    def __init__(self, job: ShardJob, shard: Shard) -> None:
        super().__init__(job.folder, job.job.padding, kind=job.kind, mask=job.mask, overwrite=True, request="")
        self._plan, self._number = shard.plan, shard.number

    def holds(self, number: int) -> bool:
        """A worker that was lost may have written it, and not have lived to tell: it is written again."""
        return False

    def _array_file(self, number: int, array: str) -> str:
        return super()._array_file(self._number, array)


@dataclass(frozen=True)
class ShardJob:
    """What a worker must know besides the rows of a shard."""

    job: PadBatch
    folder: str
    kind: ShardKind
    mask: bool


def write_shard(job: ShardJob, shards: Sequence[Shard], tell: Callable[[None], None]) -> list[RowResult]:
    """Write the only one of `shards`, on a worker; `tell` is called after each row."""
    from distributed import get_worker

    def done() -> None:
        stopping.check()
        tell(None)

    (shard,) = shards
    with Copies() as copies:
        fetched = _fetched(shard.plan, copies)
        results = fetched if isinstance(fetched, list) else _write_alone(job, replace(shard, plan=fetched), done)
    for result in results:
        result.worker = get_worker().address
    return results


def _write_alone(job: ShardJob, shard: Shard, done: Callable[[], None]) -> list[RowResult]:
    results: list[RowResult] = []
    store = OneShard(job, shard)
    try:
        job.job.write(shard.plan, store, 1, done, results)
    finally:
        store.discard()
    return results


def _fetched(plan: Plan, copies: Copies) -> Plan | list[RowResult]:
    """`plan` with rows that are read from copies where they lie in a store, or why some of them can't be."""

    def place(row: Row) -> Input | RowResult:
        try:
            return copies.of(row.source)
        except Exception as error:  # of any kind: it is told of its row
            return RowResult(row, explain(error))

    firsts = {row.index: row for row in plan.rows}
    with closing(side_by_side(place, firsts.values(), AHEAD)) as found:
        places = dict(zip(firsts, found, strict=True))
    failed = [each for each in places.values() if isinstance(each, RowResult)]
    rows = [(row, places[row.index]) for row in plan.rows]
    return failed or replace(plan, rows=tuple(replace(row, source=at) for row, at in rows if isinstance(at, Input)))


def tasks_of(rows: Sequence[Row], folder: str) -> list[Task]:
    """The rows as inputs that a cluster's workers must see, and the folder as what they must write to."""
    return [Task(row.index, row.input, os.path.join(folder, "batch")) for row in rows]


def writing_on(executor: ClusterExecutor, job: ShardJob) -> Write:
    """What writes shards on a cluster; those with rows that were read from a pipe, which lie here alone, are not."""

    def write(plan: Plan, store: BatchStore, _: int, done: Callable[[], None], results: list[RowResult]) -> None:
        sources = {row.index: row.source for row in plan.rows}
        futures: list[Future[list[RowResult]]] = []
        here: list[Shard] = []
        for number, batch in enumerate(plan.batches):
            if store.holds(number):
                continue
            rows = tuple(plan.rows[index] for index in batch.rows)
            alone = replace(plan, rows=rows, batches=(PlannedBatch(tuple(range(len(rows))), batch.longest),))
            if all(row.source is row.input or is_url(row.input.value) for row in rows):
                shard = Shard(number, replace(alone, rows=tuple(map(_anywhere, rows))))
                futures.append(executor.submit_telling(lambda _: done(), write_shard, job, [shard]))
            else:
                here.append(Shard(number, alone))

        def keep(made: list[RowResult]) -> None:
            for result in made:
                result.row = replace(result.row, source=sources[result.row.index])
            results.extend(made)

        left = set(futures)
        try:
            for shard in here:
                keep(_write_alone(job, shard, done))
            for future in as_completed(futures):
                left.discard(future)
                keep(future.result())
        except BaseException:
            executor.shutdown(cancel_futures=True)
            for future in left:
                with suppress(Exception):  # it was cancelled, or failed
                    keep(future.result())
            raise
        results.sort(key=lambda each: (each.row.index, each.row.start))

    return write


def _anywhere(row: Row) -> Row:
    """`row` with a source that can be read from any folder, on any machine."""
    source = row.input
    if source.kind == "file" and not is_url(source.value):
        source = replace(source, value=os.path.abspath(source.value))
    return replace(row, source=source)
