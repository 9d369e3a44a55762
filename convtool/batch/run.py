"""Many inputs, one after the other or side by side; one that fails stops no other."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import replace
from typing import Any, Protocol

from convtool.batch.outcome import Outcome
from convtool.batch.plan import Task
from convtool.errors import ConvtoolError
from convtool.files.names import show


class Job(Protocol):
    """The work on one input: picklable, and the same here, in a worker process, and on a cluster."""

    def __call__(self, task: Task) -> Outcome:
        """Read the task's input, write its output, and say what became of it."""
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
    outcome.seconds = round(time.perf_counter() - started, 6)
    return outcome


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
    fail_fast: bool = False,
    done: Callable[[Outcome], None] = lambda _: None,
) -> list[Outcome]:
    """The outcomes of all tasks, in their order whatever the executor; `done` hears of each as it ends.

    Without an executor the tasks run here, one by one. With `fail_fast` the tasks behind the first
    failure are left out.
    """
    outcomes: list[Outcome] = []
    for outcome in _results(job, tasks, executor):
        outcomes.append(outcome)
        done(outcome)
        if fail_fast and outcome.status == "failed":
            break
    return outcomes


def _results(job: Job, tasks: Sequence[Task], executor: Executor | None) -> Iterator[Outcome]:
    pending: dict[int, Future[Outcome]] = {}
    if executor is not None:
        pending = {task.index: executor.submit(perform, job, task) for task in tasks if not task.skip}
    try:
        for task in tasks:
            if task.skip:
                yield Outcome.of(task, "skipped")
            elif executor is None:
                yield perform(job, task)
            else:
                yield _result(pending.pop(task.index), task)
    finally:
        for future in pending.values():
            future.cancel()


def _result(future: Future[Any], task: Task) -> Outcome:
    """The outcome of a task run elsewhere; a worker that died is a failure like any other."""
    try:
        outcome: Outcome = future.result()
    except Exception as error:
        return failure(task, _first_line(error) or type(error).__name__)
    return outcome
