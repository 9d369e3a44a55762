"""Worker processes of this machine, behind the interface of `concurrent.futures`."""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from convtool.errors import ConvtoolError

_PATIENCE = 1.0
"""Seconds that a worker is given to end by itself."""

_Call = tuple[Future[Any], Callable[..., Any], tuple[Any, ...]]


class WorkerDied(ConvtoolError):
    """The process that worked on an input ended without an answer."""


class LocalExecutor(Executor):
    """`workers` processes, started once with the modules `preload` already imported.

    They are forked from a server that has done these imports and nothing else, so each starts in
    hundredths of a second, and this process need not import them. A worker that dies fails the call it
    worked on, that one alone, and is replaced.
    """

    def __init__(self, workers: int, preload: Sequence[str], setup: Callable[[], None]) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(list(preload))
        _start_server()
        self._setup = setup
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._processes: dict[int, BaseProcess] = {}
        self._starting = threading.Lock()
        self._stopped = False
        self._threads = [threading.Thread(target=self._serve, args=(n,), daemon=True) for n in range(workers)]
        for thread in self._threads:
            thread.start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Queue a call; positional arguments alone."""
        if kwargs:
            raise TypeError("LocalExecutor.submit takes positional arguments alone")
        future: Future[Any] = Future()
        self._calls.put((future, fn, args))
        return future

    def _serve(self, number: int) -> None:
        """One worker's keeper: hands it calls, one at a time, and replaces it when it dies."""
        worker: tuple[BaseProcess, Connection] | None = None
        while (call := self._calls.get()) is not None:
            future, function, arguments = call
            if not future.set_running_or_notify_cancel():
                continue
            try:
                worker = worker or self._start(number)
                worker[1].send((function, arguments))
                ok, value = worker[1].recv()
            except (EOFError, OSError) as error:
                future.set_exception(error if worker is None else _bury(*worker))
                worker = None
            except Exception as error:  # the call can't be pickled
                future.set_exception(error)
            else:
                if ok:
                    future.set_result(value)
                else:
                    future.set_exception(value)
        if worker is not None:
            worker[1].close()
            worker[0].join()

    def _start(self, number: int) -> tuple[BaseProcess, Connection]:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_work, args=(theirs, self._setup), daemon=True)
        with self._starting:
            if self._stopped:
                raise WorkerDied("the work was stopped")
            process.start()
            self._processes[number] = process
        theirs.close()
        return process, ours

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers: after what is queued, or at once with `cancel_futures`."""
        if cancel_futures:
            while not self._calls.empty():
                call = self._calls.get()
                if call is not None:
                    call[0].cancel()
            with self._starting:
                self._stopped = True
            _end_all(list(self._processes.values()))
        for _ in self._threads:
            self._calls.put(None)
        if wait:
            for thread in self._threads:
                thread.join()


def _end_all(processes: Sequence[BaseProcess]) -> None:
    """Ask the processes to end, and make those that do not."""
    for process in processes:
        process.terminate()
    left = {process.sentinel: process for process in processes}
    deadline = time.monotonic() + _PATIENCE
    while left and (ended := wait(list(left), max(0.0, deadline - time.monotonic()))):
        for sentinel in ended:
            del left[sentinel]  # type: ignore[arg-type]
    for process in left.values():
        process.kill()


def _start_server() -> None:
    """Start the server that workers are forked from; Ctrl-C reaches the whole group, and must not end its imports."""
    resource_tracker.ensure_running()  # which the server would start, and unblock the signal
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _bury(process: BaseProcess, pipe: Connection) -> WorkerDied:
    pipe.close()
    process.join()
    return WorkerDied(_cause(process.exitcode))


def _cause(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        name = signal.Signals(-exitcode).name
        return f"its worker process was killed ({name}); the file may be damaged, or memory ran out"
    return f"its worker process ended with exit code {exitcode}"


def _work(pipe: Connection, setup: Callable[[], None]) -> None:
    """A worker's life: answer calls until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    signal.signal(signal.SIGTERM, _end)
    setup()
    while True:
        try:
            function, arguments = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            answer: tuple[bool, Any] = (True, function(*arguments))
        except Exception as error:
            answer = (False, RuntimeError(f"{type(error).__name__}: {error}"))
        pipe.send(answer)


def _end(*_: object) -> None:
    raise SystemExit(128 + signal.SIGTERM)


def cores() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
