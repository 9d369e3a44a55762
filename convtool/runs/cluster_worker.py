"""What a Dask worker does for a run: it works on inputs, tells of them, and leaves them when told to.

All of this is called on the workers, by the executor in `cluster_executor.py`.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from convtool.errors import Terminated
from convtool.files.names import show
from convtool.files.urls import is_url
from convtool.runs.cluster_fitness import Run, UnfitWorker, unfitness
from convtool.runs.local import WorkerDied
from convtool.runs.outcome import Outcome
from convtool.runs.plan import Task
from convtool.runs.run import Job, ReplacingJob, SharingJob, perform
from convtool.runs.stopping import stoppable

TOPIC = "convtool"
"""Under which workers tell what came of their work, through the scheduler."""
BEGUN = "convtool-begun"
"""Under which they tell what they begin on: the scheduler keeps the last thousand events of a topic."""

_PATIENCE = 5.0
"""Seconds that a stopped call is given to undo what it has begun."""


_TELLING = 0.02
"""Seconds until what was told has left the worker."""

_EVERY = 0.1
"""Seconds that what there is to tell waits for more."""


# One call

_setting_up = threading.Lock()
_checked: dict[str, str | None] = {}
"""What this process lacks for the last run it has heard of, by the run's token."""


def call(run: Run, number: int, telling: bool, function: Callable[..., Any], job: Any, *others: Any) -> None:
    """Call `function` with `job` as it is done here, and tell what comes of it under the call's `number`.

    Raises:
        UnfitWorker: this worker, which may have come while the run was under way, can't do the work.
        WorkerDied: another has begun on it, and nobody knows with which of several inputs it was lost.
    """
    from distributed import get_worker
    from distributed.utils import sync

    worker = get_worker()
    with _setting_up:  # before anything is forked: what another thread imports meanwhile, the child would wait for
        if run.token not in _checked:
            _checked.clear()
            _checked[run.token] = unfitness(run)
            if _checked[run.token] is None:
                run.setup()
    if (reason := _checked[run.token]) is not None:
        raise UnfitWorker(f"{worker.address} {reason}")

    # Before any work: should this process die of it, it must be known to have begun.
    inputs = [each.index for each in others[0] if isinstance(each, Task)]
    if len(inputs) > 1 and _begun(worker, run.token, lambda event: event[1] == number):
        raise WorkerDied("a worker was lost over one of several inputs: each is tried again alone")
    sync(worker.loop, worker.scheduler.log_event, topic=BEGUN, msg=(run.token, number, inputs))
    if callable(job):
        job = on_worker(job, run, worker)
    with _stoppable(run.token), closing(_Teller(worker, run.token, number)) as teller:
        teller.end(function(job, *others, *[teller.tell] * telling))


def _begun(worker: Any, token: str, suits: Callable[[Any], bool]) -> int:
    """How often workers have begun on calls of a run that suit."""
    from distributed.utils import sync

    events = sync(worker.loop, worker.scheduler.events, topic=BEGUN)
    return sum(event[0] == token and suits(event) for _, event in events)


class _Teller:
    """What a call has to tell goes out several at a time: each message costs milliseconds, here and with those who
    pass it on.
    """

    def __init__(self, worker: Any, token: str, number: int) -> None:
        self._worker, self._token, self._number = worker, token, number
        self._waiting: list[Any] = []
        self._lock = threading.Lock()

    def tell(self, value: Any) -> None:
        """Let it be known soon; any thread may call it."""
        with self._lock:
            self._waiting.append(value)
            if len(self._waiting) == 1:
                self._worker.loop.add_callback(self._worker.loop.call_later, _EVERY, self.close)

    def end(self, result: Any) -> None:
        """Tell what the call gave, and all that waits."""
        self._send(True, result)

    def close(self) -> None:
        """Tell all that waits."""
        self._send(False, None)

    def _send(self, ended: bool, result: Any) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, []
            if waiting or ended:
                data = pickle.dumps((waiting, ended, result))
                self._worker.log_event(TOPIC, (self._token, self._number, data))


@dataclass(frozen=True)
class OnWorker:
    """A job of the program that a worker does: paths lead from the program's folder, and outcomes name the worker."""

    job: Job
    run: Run
    worker: Any

    def __call__(self, task: Task) -> Outcome:
        """The same outcome as in the program itself."""
        there = _from(self.run.folder, task)
        with stoppable(partial(_is_stopped, self.run.token)):  # in a thread of its own, where there are several
            outcome = perform(self._tried_again(there), there)
        outcome.worker = self.worker.address
        return _as_given(outcome, there, task)

    def _tried_again(self, task: Task) -> Job:
        """The job, which may replace the output where a worker that was lost has begun on the same input.

        Such a worker may have written the output, and not have lived to tell.
        """
        job = self.job
        there = task.output is not None and (os.path.lexists(task.output) or is_url(task.output))
        if isinstance(job, ReplacingJob) and there:
            replacing = job.replacing()
            begun = replacing is not job and _begun(self.worker, self.run.token, lambda event: task.index in event[2])
            return replacing if begun > 1 else job
        return job


@dataclass(frozen=True)
class SharingOnWorker(OnWorker):
    """The same for a job that several inputs go through better at a time."""

    job: SharingJob

    @property
    def together(self) -> int:
        """How many inputs one process works on at a time."""
        return self.job.together

    def shared(self) -> Job:
        """What does the work on several inputs at a time."""
        return OnWorker(self.job.shared(), self.run, self.worker)


def on_worker(job: Job, run: Run, worker: Any) -> OnWorker:
    """`job` as a worker does it."""
    return SharingOnWorker(job, run, worker) if isinstance(job, SharingJob) else OnWorker(job, run, worker)


def _from(folder: str | None, task: Task) -> Task:
    """`task` with paths that lead from anywhere where they led from `folder`."""

    def absolute(path: str) -> str:
        return path if folder is None or "://" in path else os.path.join(folder, path)

    item = task.input
    item = replace(item, value=absolute(item.value)) if item.kind == "file" else item
    return replace(task, input=item, output=None if task.output is None else absolute(task.output))


def _as_given(outcome: Outcome, there: Task, task: Task) -> Outcome:
    """`outcome` with the paths of `task` in place of absolute ones."""

    def given(text: str) -> str:
        for path, short in ((there.output, task.output), (there.input.value, task.input.value)):
            text = text.replace(show(path), show(short or "")) if path else text
        return text

    plain = Outcome.of(task, outcome.status)
    return replace(
        outcome,
        input=plain.input,
        output=plain.output,
        name=plain.name,
        error=None if outcome.error is None else given(outcome.error),
        notes=[given(note) for note in outcome.notes],
        remarks=[given(remark) for remark in outcome.remarks],
    )


# The end of a run that is stopped

_lock = threading.Lock()
_working: Counter[str] = Counter()
"""How many calls are worked on, by the tokens of their runs."""
_stopped: set[str] = set()


def _is_stopped(token: str) -> bool:
    return token in _stopped


@contextmanager
def _stoppable(token: str) -> Iterator[None]:
    """A call that `stop` can end."""
    with _lock:
        _working[token] += 1
    try:
        with stoppable(partial(_is_stopped, token)):
            yield
    except Terminated:
        raise RuntimeError("the work was stopped") from None
    finally:
        with _lock:
            _working[token] -= 1
            if not _working[token]:
                del _working[token]


async def stop(token: str) -> None:
    """End what this worker does for a run, and wait until it is undone, and what was done is told."""
    _stopped.add(token)
    deadline = time.monotonic() + _PATIENCE
    while _working[token] and time.monotonic() < deadline:
        await asyncio.sleep(_TELLING)
    await asyncio.sleep(_TELLING)
