"""Worker processes of this machine, behind the interface of `concurrent.futures`."""

from __future__ import annotations

import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from convtool.errors import ConvtoolError
from convtool.runs.fork_server import ForkServer

_PATIENCE = 1.0
"""Seconds that a worker is given to end by itself."""

_Call = tuple[Future[Any], Callable[..., Any], tuple[Any, ...]]


class WorkerDied(ConvtoolError):
    """The process that worked on an input ended without an answer."""


class LocalExecutor(Executor):
    """`workers` processes, started once with the modules `preload` already imported.

    They are forked from a server that has done these imports, so this process need not. A worker that dies fails the
    call it worked on, that one alone, and is replaced.
    """

    def __init__(self, workers: int, preload: Sequence[str], setup: Callable[[], None]) -> None:
        self._server = _server(preload)
        self._setup = setup
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._pids: dict[int, int] = {}
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
        """Hand calls to one worker, one at a time, and replace it when it dies."""
        pipe: Connection | None = None
        while (call := self._calls.get()) is not None:
            future, function, arguments = call
            if not future.set_running_or_notify_cancel():
                continue
            try:
                pipe = pipe or self._start(number)
                pipe.send((function, arguments))
                ok, value = pipe.recv()
            except (EOFError, OSError) as error:
                future.set_exception(error if pipe is None else WorkerDied(_cause(self._end(number, pipe))))
                pipe = None
            except Exception as error:  # the call can't be pickled
                future.set_exception(error)
            else:
                if ok:
                    future.set_result(value)
                else:
                    future.set_exception(value)
        if pipe is not None:
            self._end(number, pipe)

    def _start(self, number: int) -> Connection:
        with self._starting:
            if self._stopped:
                raise WorkerDied("the work was stopped")
            self._pids[number], pipe = self._server.fork(partial(_work, self._setup, _folder()))
        return pipe

    def _end(self, number: int, pipe: Connection) -> int | None:
        """The exit code of a worker that has ended, or does so now as its pipe closes."""
        pipe.close()
        try:
            return self._server.wait(self._pids[number])
        except EOFError:
            return None
        finally:
            del self._pids[number]

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers: after what is queued, or at once with `cancel_futures`."""
        if cancel_futures:
            while not self._calls.empty():
                call = self._calls.get()
                if call is not None:
                    call[0].cancel()
            with self._starting:
                self._stopped = True
                self._signal(signal.SIGTERM)
        for _ in self._threads:
            self._calls.put(None)
        if cancel_futures:
            deadline = time.monotonic() + _PATIENCE
            for thread in self._threads:
                thread.join(max(0.0, deadline - time.monotonic()))
            self._signal(signal.SIGKILL)
        if wait:
            for thread in self._threads:
                thread.join()

    def _signal(self, number: signal.Signals) -> None:
        for pid in list(self._pids.values()):
            with suppress(ProcessLookupError):
                os.kill(pid, number)


_servers: dict[tuple[str, ...], ForkServer] = {}


def _server(preload: Sequence[str]) -> ForkServer:
    """The server of this process with the modules `preload`; another one where that has ended."""
    key = tuple(preload)
    if key not in _servers or not _servers[key].alive:
        _servers[key] = ForkServer(key)
    return _servers[key]


def _cause(code: int | None) -> str:
    if code is None:
        return "its worker process was killed; memory may have run out"
    if code < 0:
        name = signal.Signals(-code).name
        return f"its worker process was killed ({name}); the file may be damaged, or memory ran out"
    return f"its worker process ended with exit code {code}"


def _work(setup: Callable[[], None], folder: str | None, pipe: Connection) -> None:
    """A worker's life: answer calls, in the folder where the program is, until the pipe closes."""
    if folder is not None:
        os.chdir(folder)
    signal.signal(signal.SIGTERM, _end)  # Ctrl-C, which the server ignores, is for the parent to decide on
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


def _folder() -> str | None:
    """The working folder; None where it is gone."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return None


def cores() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
