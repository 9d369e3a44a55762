"""Worker processes of this machine, behind the interface of `concurrent.futures`."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from types import SimpleNamespace
from typing import Any

from convtool.errors import ConvtoolError
from convtool.runs.fork_server import ForkServer

_PATIENCE = 1.0
"""Seconds that a worker is given to end by itself."""


@dataclass(frozen=True)
class _Call:
    """A call for a worker: of `function` with `arguments`, and one more where there is somebody to be told."""

    future: Future[Any]
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    told: Callable[[Any], None] | None = None

    @property
    def first(self) -> object:
        """The first argument, if it is a frozen dataclass: such as a job, which stays what it is."""
        first = self.arguments[0] if self.arguments else None
        return first if getattr(first, "__dataclass_params__", _CHANGING).frozen else None


_CHANGING = SimpleNamespace(frozen=False)


class _Same:
    """Stands for the first argument of the call before: a job with a kernel or a model in it goes to a worker once."""


class WorkerDied(ConvtoolError):
    """The process that worked on an input ended without an answer."""


class NoWorkers(ConvtoolError):
    """The system starts no process for the work; it can be done by the caller."""


class LocalExecutor(Executor):
    """`workers` processes, started once with the modules `preload` already imported.

    They are forked from a server that has done these imports, so this process need not. A worker that dies fails the
    call it worked on, that one alone, and is replaced. Where the system starts fewer, those do the work of all; with
    none, every call fails with NoWorkers.

    Attributes:
        lacking: why not all workers could be started, or None.
    """

    def __init__(self, workers: int, preload: Sequence[str], setup: Callable[[], None]) -> None:
        self._setup = setup
        self._calls: deque[_Call] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._pids: dict[int, int] = {}
        self._starting = threading.Lock()
        self._stopped = False
        self._threads: list[threading.Thread] = []
        self._serving = 0
        self.lacking: str | None = None
        try:
            self._server = _server(preload)
            for number in range(workers):
                thread = threading.Thread(target=self._serve, args=(number,), daemon=True)
                with self._changed:
                    thread.start()
                    self._threads.append(thread)
                    self._serving += 1
        except (OSError, RuntimeError) as error:  # the latter from threads
            self.lacking = _reason(error)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Queue a call; positional arguments alone."""
        if kwargs:
            raise TypeError("LocalExecutor.submit takes positional arguments alone")
        return self._queue(_Call(Future(), fn, args))

    def submit_telling(self, told: Callable[[Any], None], fn: Callable[..., Any], /, *args: Any) -> Future[Any]:
        """Queue a call whose last argument is a function: what `fn` gives that, `told` gets here, at once."""
        return self._queue(_Call(Future(), fn, args, told))

    def _queue(self, call: _Call) -> Future[Any]:
        with self._changed:
            if self._closed:
                call.future.set_exception(WorkerDied("the work was stopped"))
            elif self._serving:
                self._calls.append(call)
                self._changed.notify()
            else:
                call.future.set_exception(NoWorkers(self.lacking))
        return call.future

    def _next(self) -> _Call | None:
        """The next call, or None when there will be no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._calls or self._closed)
            return self._calls.popleft() if self._calls else None

    def _serve(self, number: int) -> None:
        """Hand calls to one worker, one at a time, and replace it when it dies."""
        pipe: Connection | None = None
        known: object = None
        while (call := self._next()) is not None:
            if call.future.cancelled():
                continue
            try:
                pipe = pipe or self._start(number)
            except (OSError, EOFError) as error:
                self._leave(call, error)
                return
            except WorkerDied as error:  # the work was stopped
                with suppress(InvalidStateError):  # it was cancelled as well
                    call.future.set_exception(error)
                continue
            if not call.future.set_running_or_notify_cancel():
                continue
            try:
                before, known = known, None
                ok, value = _answered(call, pipe, before)
                known = call.first
            except (EOFError, OSError):
                call.future.set_exception(WorkerDied(_cause(self._end(number, pipe))))
                pipe = None
            except Exception as error:  # the call can't be pickled
                call.future.set_exception(error)
            else:
                if ok:
                    call.future.set_result(value)
                else:
                    call.future.set_exception(value)
        if pipe is not None:
            self._end(number, pipe)

    def _leave(self, call: _Call, error: Exception) -> None:
        """Do without a worker that can't be started: the others take its call, and the last fails all there are."""
        with self._changed:
            self.lacking = _reason(error)
            self._serving -= 1
            self._calls.appendleft(call)
            left = [] if self._serving else list(self._calls)
            if left:
                self._calls.clear()
            self._changed.notify()
        for each in left:
            if each.future.set_running_or_notify_cancel():
                each.future.set_exception(NoWorkers(self.lacking))

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
        with self._changed:
            left = list(self._calls) if cancel_futures else []
            if cancel_futures:
                self._calls.clear()
            self._closed = True
            self._changed.notify_all()
        for call in left:
            call.future.cancel()
        if cancel_futures:
            with self._starting:
                self._stopped = True
                self._signal(signal.SIGTERM)
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


def _answered(call: _Call, pipe: Connection, known: object) -> tuple[bool, Any]:
    """Whether `call` came to an end in the worker behind `pipe`, and what it gave or what it failed with.

    `known` is what the worker has as the first argument of the call before.
    """
    arguments = call.arguments
    if call.first is not None and call.first is known:
        arguments = (_Same, *arguments[1:])
    pipe.send((call.function, arguments, call.told is not None))
    while True:
        ok, value = pipe.recv()
        if ok is not None:
            return ok, value
        assert call.told is not None
        call.told(value)


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


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
    sys.unraisablehook = _unraisable
    sending = threading.Lock()
    ready = False
    first: Any = None

    def tell(value: Any) -> None:
        with sending:
            pipe.send((None, value))

    while True:
        try:
            function, arguments, telling = pipe.recv()
        except (EOFError, OSError):
            return
        if arguments:
            first = first if arguments[0] is _Same else arguments[0]
            arguments = (first, *arguments[1:])
        try:
            if not ready:
                setup()
                ready = True
            answer: tuple[bool, Any] = (True, function(*arguments, *[tell] * telling))
        except Exception as error:
            answer = (False, RuntimeError(f"{type(error).__name__}: {error}"))
        pipe.send(answer)


def _end(*_: object) -> None:
    raise SystemExit(128 + signal.SIGTERM)


def _unraisable(unraisable: sys.UnraisableHookArgs) -> None:
    """Where `_end` is lost, in a callback of libsndfile, which would go on without the bytes, this is the end."""
    if isinstance(unraisable.exc_value, SystemExit):
        os._exit(128 + signal.SIGTERM)
    sys.__unraisablehook__(unraisable)


def _folder() -> str | None:
    """The working folder; None where it is gone."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return None


def cores() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
