"""The workers of a Dask cluster, behind the interface of `concurrent.futures`."""

from __future__ import annotations

import pickle
import threading
import warnings
from collections import deque
from collections.abc import Callable, Sequence
from concurrent import futures
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from convtool.runs import cluster_worker as there
from convtool.runs.cluster_fitness import Run, UnfitWorker
from convtool.runs.cluster_worker import BEGUN, TOPIC
from convtool.runs.local import WorkerDied
from convtool.runs.run import WorkLost

_ALONE = 30.0
"""Seconds that a run waits for workers when all have left."""
ENDING = 7.0
"""Seconds that workers are given to undo what they have begun, when a run is stopped."""
_TICK = 0.5
_ATTEMPTS = 3
"""Workers that are tried for a call when one after the other turns out to be unfit."""


@dataclass
class _Call:
    """A call for a worker, and the Dask future that stands for it there."""

    number: int
    future: Future[Any]
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    told: Callable[[Any], None] | None
    remote: Any = None
    handed: int = 0
    """How often it was handed out again."""
    begun: int = 0
    """How often a worker has begun on it."""
    unfit: int = 0
    """How many workers could not."""


class ClusterExecutor(Executor):
    """The workers that `client` leads to; at most `at_once` calls are with them at a time.

    The first argument of a call is the job, which goes to the cluster once. Answers come as events, as soon as there
    are any: what a worker has told is known, also when it is lost before it can be asked. A call whose worker dies
    is tried again by the scheduler, three times unless that is told otherwise; then it fails, alone.
    """

    elsewhere = True
    """That its workers have neither the standard streams of this process nor its pipes."""

    def __init__(self, client: Any, run: Run, at_once: int | None = None) -> None:
        self._client = client
        self._run = run
        self._at_once = at_once
        self._sent: dict[int, tuple[Any, Any]] = {}
        self._waiting: deque[_Call] = deque()
        self._out: dict[int, _Call] = {}
        self._count = 0
        self._lock = threading.RLock()
        self._closed = threading.Event()
        self._lost: str | None = None
        client.subscribe_topic(BEGUN, self._began)
        client.subscribe_topic(TOPIC, self._heard)
        threading.Thread(target=self._watch, daemon=True).start()

    @property
    def address(self) -> str:
        """Of the scheduler."""
        return str(self._client.scheduler.address)

    @property
    def slots(self) -> int:
        """Calls that the cluster works on at a time."""
        return min(self._at_once or 1 << 30, sum(self._client.nthreads().values())) or 1

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Queue a call: a job, its tasks; positional arguments alone."""
        if kwargs:
            raise TypeError("ClusterExecutor.submit takes positional arguments alone")
        return self._queue(fn, args, None)

    def submit_telling(self, told: Callable[[Any], None], fn: Callable[..., Any], /, *args: Any) -> Future[Any]:
        """Queue a call whose last argument is a function: what `fn` gives that, `told` gets here, at once."""
        return self._queue(fn, args, told)

    def _queue(
        self, function: Callable[..., Any], arguments: tuple[Any, ...], told: Callable[[Any], None] | None
    ) -> Future[Any]:
        with self._lock:
            self._count += 1
            call = _Call(self._count, Future(), function, arguments, told)
            if self._closed.is_set():
                call.future.set_exception(WorkerDied("the work was stopped"))
            elif self._lost is not None:
                call.future.set_exception(WorkLost(self._lost))
            else:
                self._waiting.append(call)
                self._fill()
        return call.future

    def _fill(self) -> None:
        """Hand out what waits, as far as there may be more at a time."""
        while self._waiting and len(self._out) < (self._at_once or 1 << 30):
            call = self._waiting.popleft()
            if not call.future.cancelled():
                self._out[call.number] = call
                self._hand_out(call)

    def _hand_out(self, call: _Call, avoiding: Sequence[str] = ()) -> None:
        job, *others = call.arguments
        known = set(self._client.nthreads()) - set(avoiding) if avoiding else ()
        call.remote = self._client.submit(
            there.call,
            self._run,
            call.number,
            call.told is not None,
            call.function,
            self._job(job),
            *others,
            key=f"convtool-{self._run.token}-{call.number}-{call.handed}",
            workers=list(known) or None,
            allow_other_workers=bool(known),
            pure=False,
        )
        call.remote.add_done_callback(lambda remote: self._ended(call, remote))

    def _job(self, job: Any) -> Any:
        """The job on the cluster: made there of bytes that the scheduler keeps, and handed on among the workers."""
        if id(job) not in self._sent:
            data = pickle.dumps(job)
            key = f"convtool-job-{self._run.token}-{len(self._sent)}"
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # that so large a task is better scattered
                self._sent[id(job)] = self._client.submit(pickle.loads, data, key=key, pure=False), job
        return self._sent[id(job)][0]

    def _began(self, event: tuple[float, Any]) -> None:
        """A worker has begun on a call: called in the thread of the client."""
        call = self._call(*event[1][:2])
        if call is not None:
            call.begun += 1

    def _call(self, token: str, number: int) -> _Call | None:
        """The call of that number, where it is of this run and has not ended."""
        with self._lock:
            return self._out.get(number) if token == self._run.token else None

    def _heard(self, event: tuple[float, Any]) -> None:
        """A worker has told something: called in the thread of the client."""
        token, number, data = event[1]
        call = self._call(token, number)
        if call is None:
            return
        values, ended, result = pickle.loads(data)  # noqa: S301  (of our own workers)
        for value in values:
            assert call.told is not None
            call.told(value)
        if ended:
            self._finish(call, lambda: call.future.set_result(result))

    def _finish(self, call: _Call, settle: Callable[[], None]) -> None:
        with self._lock:
            if self._out.pop(call.number, None) is None:
                return
            remote, call.remote = call.remote, None
            self._fill()
        remote.release()
        if call.future.set_running_or_notify_cancel():
            settle()

    def _ended(self, call: _Call, remote: Any) -> None:
        """Dask knows of the end of a call; what came of it has been told by then."""
        with self._lock:
            if call.remote is not remote:
                return
        if remote.status != "error":
            if remote.status != "finished":
                self._lose("the connection to it was lost")
            return
        error = remote.exception()
        killed = type(error).__name__ == "KilledWorker"
        # Dask holds the death of a worker against what was only waiting there, too.
        if killed and call.begun > error.allowed_failures:
            times, last = error.allowed_failures + 1, error.last_worker.address
            reason = (
                f"its worker process died {times} times over, the last one at {last}; the file may be damaged, or "
                "memory ran out"
            )
            self._finish(call, lambda: call.future.set_exception(WorkerDied(reason)))
            return
        unfit = isinstance(error, UnfitWorker | ImportError)
        call.unfit += unfit
        if not killed and (not unfit or call.unfit == _ATTEMPTS):
            self._finish(call, lambda: call.future.set_exception(error))
            return
        with self._lock:
            if call.number in self._out:
                call.handed += 1
                self._hand_out(call, avoiding=[str(error).partition(" ")[0]] if unfit else [])

    def _watch(self) -> None:
        """Notice that the scheduler, or all workers, have gone."""
        ticks = alone = 0
        while not self._closed.wait(_TICK):
            # The client notices a scheduler that breaks off; one that takes its leave only ends this task of it.
            if self._client.status != "running" or self._client._handle_report_task.done():
                self._lose("the connection to it was lost")
                return
            ticks += 1
            if ticks % 4 == 0:
                with suppress(OSError, TimeoutError):
                    alone = 0 if self._client.nthreads() else alone + 4
            if alone * _TICK >= _ALONE:
                self._lose(f"it has had no worker for {_ALONE:g} seconds")
                return

    def _lose(self, reason: str) -> None:
        """There will be no more answers."""
        with self._lock:
            if self._closed.is_set() or self._lost is not None:
                return
            self._lost = f"the scheduler at {self.address}: {reason}"
            left = [*self._out.values(), *self._waiting]
            self._out.clear()
            self._waiting.clear()
        for call in left:
            if call.future.set_running_or_notify_cancel():
                call.future.set_exception(WorkLost(self._lost))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let go of the cluster: after what is queued, or at once with `cancel_futures`."""
        if wait and not cancel_futures:
            with self._lock:
                queued = [call.future for call in (*self._out.values(), *self._waiting)]
            futures.wait(queued)
        with self._lock:
            self._closed.set()
            waiting, out = list(self._waiting), list(self._out.values())
            self._waiting.clear()
        for call in waiting:
            call.future.cancel()
        if out and self._lost is None:

            def stop() -> None:
                self._client.cancel([call.remote for call in out], force=True)
                self._client.run(there.stop, self._run.token, on_error="ignore")

            within(ENDING, stop)  # what ends meanwhile is still heard of
        with self._lock:
            self._out.clear()
        for call in out:
            call.future.cancel()


def within(seconds: float, function: Callable[[], object]) -> None:
    """Call `function`, and wait no longer than that for its end; how it fails is of no interest."""

    def quietly() -> None:
        with suppress(Exception):
            function()

    thread = threading.Thread(target=quietly, daemon=True)
    thread.start()
    thread.join(seconds)
