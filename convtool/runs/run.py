"""Many inputs, one after the other or side by side; one that fails stops no other."""

from __future__ import annotations

import os
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from stat import S_ISREG
from typing import Any, Protocol, runtime_checkable

from convtool.errors import ConvtoolError
from convtool.files.names import show
from convtool.files.remote import AHEAD
from convtool.files.stores import in_turn
from convtool.files.urls import is_url
from convtool.runs.announcing import announced_to
from convtool.runs.local import NoWorkers
from convtool.runs.outcome import Outcome
from convtool.runs.plan import Task

_ROUNDS = 4
"""Times over that a group fills the places of a process: while some inputs end, others take theirs."""

_LOAD = 32
"""Inputs that go to a worker at a time, at most: each trip costs as much as some work, to a cluster milliseconds."""
_LOAD_BYTES = 16 << 20
"""What the files of a group add up to when it takes no more: less than a second of work for most commands."""


class WorkLost(ConvtoolError):
    """Those who do the work can't be reached any more; what they have told until then is done."""


class Job(Protocol):
    """The work on one input: picklable, and the same here, in a worker process, and on a cluster."""

    def __call__(self, task: Task) -> Outcome:
        """Read the task's input, write its output, and say what became of it."""
        ...


@runtime_checkable
class SharingJob(Job, Protocol):
    """A job that several inputs go through better at a time than one by one."""

    together: int
    """How many inputs one process works on at a time."""

    def shared(self) -> Job:
        """What does the work on several inputs at a time, on as many threads."""
        ...


@runtime_checkable
class ReplacingJob(Job, Protocol):
    """A job that can be told to replace what it finds in its outputs' places."""

    def replacing(self) -> Job:
        """The same job, which replaces outputs that exist; the job itself where it does."""
        ...


def perform(job: Job, task: Task) -> Outcome:
    """Run `job` on `task`; whatever it raises becomes a failed outcome."""
    started = time.perf_counter()
    try:
        outcome = job(task)
    except BrokenPipeError:
        raise
    except Exception as error:  # a fault of the program must not stop the other inputs either
        outcome = failure(task, explain(error), error.exit_code if isinstance(error, ConvtoolError) else 1)
        outcome.trace = traceback.format_exc()
    if task.incomplete and outcome.status in ("written", "planned"):
        outcome.notes = [f"written anew: {show(str(task.output))} was there, but {task.incomplete}", *outcome.notes]
    outcome.seconds = round(time.perf_counter() - started, 6)
    return outcome


@runtime_checkable
class TellingExecutor(Protocol):
    """An executor whose calls can tell of what they have done before they end."""

    def submit_telling(self, told: Callable[[Any], None], fn: Callable[..., Any], /, *args: Any) -> Future[Any]:
        """Queue a call whose last argument is a function: what `fn` gives that, `told` gets here, at once."""
        ...


def perform_group(
    job: Job, tasks: Sequence[Task], tell: Callable[[_News], None] = lambda _: None, *, announcing: bool = False
) -> list[Outcome]:
    """`perform` on each of the tasks, in one process, side by side where `job` knows how.

    `tell` is called with the index of a task and its outcome as soon as that is there; with `announcing` before that
    with what was chosen for it.
    """

    def performed(job: Job, task: Task) -> Outcome:
        with announced_to((lambda remark: tell((task.index, remark))) if announcing else None):
            outcome = perform(job, task)
        tell((task.index, outcome))
        return outcome

    remote = any(map(_is_remote, tasks))
    if len(tasks) == 1 or not (remote or isinstance(job, SharingJob)):
        return [performed(job, task) for task in tasks]
    together, shared = (job.together, job.shared()) if isinstance(job, SharingJob) else (1, job)
    turn = threading.Semaphore(together)

    def in_its_turn(task: Task) -> Outcome:
        with in_turn(turn):
            return performed(shared, task)

    with ThreadPoolExecutor(max(together, AHEAD) if remote else together) as pool:
        return list(pool.map(in_its_turn, tasks))


def _is_remote(task: Task) -> bool:
    """Whether the work on `task` waits for a store now and then."""
    return any(map(is_url, task.places))


def explain(error: Exception) -> str:
    """What to say of `error`, in one line."""
    if isinstance(error, ConvtoolError):
        return str(error)
    if isinstance(error, MemoryError):
        return f"out of memory{': ' if str(error) else ''}{error}"
    return f"unexpected {type(error).__name__}: {_first_line(error)} (--debug shows where)"


def _first_line(error: Exception) -> str:
    return show(str(error).strip().partition("\n")[0])


def failure(task: Task, error: str, exit_code: int = 1) -> Outcome:
    """The outcome of a task that came to nothing."""
    return replace(Outcome.of(task, "failed"), error=error, exit_code=exit_code)


def run_all(
    job: Job,
    tasks: Sequence[Task],
    executor: Executor | None,
    *,
    workers: int = 1,
    fail_fast: bool = False,
    done: Callable[[Outcome], None] = lambda _: None,
    ended: dict[int, Outcome] | None = None,
    heard: Callable[[int, str], None] | None = None,
) -> list[Outcome]:
    """The outcomes of all tasks, in their order whatever the executor; `done` is called with each as it ends.

    `ended` takes each by its task's index as soon as it is there, also where it is not yet its turn: it is what to go
    by when the work is interrupted. `heard` is called, from any thread, with the index of a task and what was chosen
    for it, while its work has hardly begun; where the executor can't tell of that, it is among the outcome's remarks.

    Without an executor the tasks run here, one by one, as do those that stay here; with one that has several workers,
    their inputs are shared out among these before any process gets several at a time. With `fail_fast` the tasks behind
    the first failure are left out, and each is handed out alone.
    """
    outcomes: list[Outcome] = []
    ear = _Ear({} if ended is None else ended, heard)
    results = _results(job, tasks, executor, len(tasks) if fail_fast else workers, ear)
    for task, outcome in zip(tasks, results, strict=True):
        ear((task.index, outcome))
        outcomes.append(outcome)
        done(outcome)
        if fail_fast and outcome.status == "failed":
            break
    return outcomes


_News = tuple[int, "Outcome | str"]
"""The index of a task with what was chosen for it, or what became of it."""


@dataclass(frozen=True)
class _Ear:
    """Who takes the news of all tasks."""

    ended: dict[int, Outcome]
    heard: Callable[[int, str], None] | None
    broken: dict[Future[list[Outcome]], int] = field(default_factory=dict)
    """The first task of each lost group that had not ended: where one follows the other, the last that was begun."""

    def __call__(self, news: _News) -> None:
        index, what = news
        if isinstance(what, Outcome):
            self.ended[index] = what
        else:
            assert self.heard is not None
            self.heard(index, what)


def _results(job: Job, tasks: Sequence[Task], executor: Executor | None, workers: int, ear: _Ear) -> Iterator[Outcome]:
    pending: dict[int, _Pending] = {}
    if executor is not None:
        elsewhere = getattr(executor, "elsewhere", False)
        moving = [task for task in tasks if not (task.skip or task.stays(elsewhere=elsewhere))]
        groups = _groups(job, moving, workers)
        pending = {
            task.index: each
            for group in groups
            for task, each in zip(group, _submit(job, group, executor, ear), strict=True)
        }
    try:
        for task in tasks:
            if task.skip:
                yield Outcome.of(task, "skipped")
            elif executor is None or task.index not in pending:
                yield _here(job, task, ear)
            else:
                yield _result(pending.pop(task.index), job, task, executor, ear)
    finally:
        for each in pending.values():
            each.future.cancel()


def _groups(job: Job, tasks: Sequence[Task], workers: int) -> Iterator[Sequence[Task]]:
    """The tasks that one worker gets at a time."""
    places = job.together if isinstance(job, SharingJob) else 1
    if any(map(_is_remote, tasks)):
        places = max(places, AHEAD)
    if places == 1:
        return _loads(tasks, workers)
    size = max(1, min(-(-len(tasks) // workers), _ROUNDS * places))
    return (tasks[start : start + size] for start in range(0, len(tasks), size))


def _loads(tasks: Sequence[Task], workers: int) -> Iterator[Sequence[Task]]:
    """Several small inputs at a time, and fewer and fewer of them, so that all workers end at about the same time."""
    start = 0
    while start < len(tasks):
        stop, size = start, 0
        most = min(-(-(len(tasks) - start) // (2 * workers)), _LOAD)
        while stop < min(start + most, len(tasks)) and size < _LOAD_BYTES:
            size += _bytes_in(tasks[stop])
            stop += 1
        yield tasks[start:stop]
        start = stop


def _bytes_in(task: Task) -> int:
    """The size of the input's file; 0 where there is none. What may have to be waited for fills a group."""
    try:
        if task.input.kind != "file":
            return 0
        found = os.stat(task.input.value)
        return found.st_size if S_ISREG(found.st_mode) else _LOAD_BYTES
    except (OSError, ValueError):
        return 0


@dataclass(frozen=True)
class _Pending:
    """One task of a group that was handed to a worker."""

    future: Future[list[Outcome]]
    place: int
    alone: bool


def _here(job: Job, task: Task, ear: _Ear) -> Outcome:
    return perform_group(job, [task], ear, announcing=ear.heard is not None)[0]


def _submit(job: Job, group: Sequence[Task], executor: Executor, ear: _Ear) -> list[_Pending]:
    """Hand a group to a worker; `ear` takes the news of each task as soon as there are any."""

    def note(future: Future[list[Outcome]]) -> None:
        if not future.cancelled() and future.exception() is None:
            ear.ended.update((task.index, outcome) for task, outcome in zip(group, future.result(), strict=True))

    if isinstance(executor, TellingExecutor):
        function = perform_group if ear.heard is None else partial(perform_group, announcing=True)
        future = executor.submit_telling(ear, function, job, group)
    else:
        future = executor.submit(perform_group, job, group)
    future.add_done_callback(note)
    return [_Pending(future, place, len(group) == 1) for place in range(len(group))]


def _result(pending: _Pending, job: Job, task: Task, executor: Executor, ear: _Ear) -> Outcome:
    """The outcome of a task run elsewhere; a worker that died is a failure like any other.

    Those of a group of several that have not ended are tried again, each alone. What was begun may have written its
    output, and not have lived to tell, so it is told to replace that. Where there are no workers at all, the task is
    run here.
    """
    try:
        return pending.future.result()[pending.place]
    except NoWorkers:
        return _here(job, task, ear)
    except WorkLost:
        raise
    except Exception as error:
        if pending.alone:
            return failure(task, _first_line(error) or type(error).__name__)
    if task.index in ear.ended:
        return ear.ended[task.index]
    begun = ear.broken.setdefault(pending.future, task.index) == task.index or isinstance(job, SharingJob)
    again = job.replacing() if isinstance(job, ReplacingJob) and (begun or _is_remote(task)) else job
    return _result(_submit(again, [task], executor, ear)[0], again, task, executor, ear)
