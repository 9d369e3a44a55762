"""Child processes in which libraries run that a file can crash: their death is an error of that file, and of no other.

A child is forked from this process, so it starts in milliseconds with everything loaded; it answers one request at a
time, keeps what it opened, and ends when this process does. Large results go through memory that both share, all else
as JSON: what a child says is not trusted with more.
"""

from __future__ import annotations

import atexit
import gc
import json
import mmap
import os
import signal
import socket
import threading
import warnings
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from convtool.errors import ConvtoolError, InputError

Handler = Callable[..., Any]
"""Makes what is asked for: called with the shared memory, a descriptor where one was sent, and the arguments."""

SHARED_BYTES = 8 << 20
"""What a result that goes through shared memory may take."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_LENGTH = 8
_ANSWER_LIMIT = 16 << 20


_here = False


def decode_here() -> None:
    """Let this process decode by itself: it is one that may crash, a worker that others take the place of."""
    global _here
    _here = True


def decodes_here() -> bool:
    """Whether this process is one of those that may crash."""
    return _here


class Child:
    """A process that answers requests with the functions in `handlers`.

    Attributes:
        shared: memory that the child writes and this process reads.
    """

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self.shared = mmap.mmap(-1, SHARED_BYTES)
        self._pipe, theirs = socket.socketpair()
        try:
            self._process = _forked(lambda: _live(theirs, self.shared, handlers))
        except BaseException:
            self._pipe.close()
            raise
        finally:
            theirs.close()

    @property
    def alive(self) -> bool:
        """Whether it can answer."""
        return self._process != 0

    def ask(self, name: str, *arguments: Any, descriptor: int | None = None) -> Any:
        """What the handler `name` gives for `arguments`, which JSON can hold.

        Args:
            name: a key of the handlers.
            arguments: numbers, texts, and lists of them.
            descriptor: an open file that the child gets too.

        Raises:
            InputError: the child says so, or died of it.
        """
        request = json.dumps([name, *arguments]).encode()
        try:
            socket.send_fds(self._pipe, [_framed(request)], [] if descriptor is None else [descriptor])
            answer = json.loads(_received(self._pipe))
        except (OSError, EOFError, ValueError) as error:
            raise self._death() from error
        if isinstance(answer, dict) and "error" in answer:
            raise InputError(str(answer["error"]))
        return answer

    def _death(self) -> InputError:
        status = self._reap()
        code = os.waitstatus_to_exitcode(status)
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return InputError(f"the decoder crashed on it ({how}): the file is damaged")

    def _reap(self) -> int:
        self._pipe.close()
        process, self._process = self._process, 0
        return os.waitpid(process, 0)[1] if process else 0

    def end(self) -> None:
        """Let the child end."""
        self._reap()


class Children:
    """Children for one kind of work, kept from file to file."""

    def __init__(self, handlers: Mapping[str, Handler], keep: int = 8) -> None:
        self._handlers = handlers
        self._keep = keep
        self._idle: list[Child] = []
        self._lock = threading.Lock()
        atexit.register(self.end)

    def borrow(self) -> Child:
        """A child that nobody else uses until it is given back.

        Raises:
            InputError: the system starts no more processes, or opens no more files.
        """
        with self._lock:
            if self._idle:
                return self._idle.pop()
        try:
            return Child(self._handlers)
        except OSError as error:
            raise InputError(f"there is no process to decode it in: {error.strerror}; raise that limit") from error

    def give_back(self, child: Child) -> None:
        """Keep `child` for the next file, unless it is dead or there are enough."""
        with self._lock:
            if child.alive and len(self._idle) < self._keep:
                self._idle.append(child)
                return
        child.end()

    def end(self) -> None:
        """End the children that nobody uses."""
        with self._lock:
            idle, self._idle = self._idle, []
        for child in idle:
            child.end()


def _forked(live: Callable[[], NoReturn]) -> int:
    """A process that does nothing but `live`.

    Signals wait meanwhile: one that it took as this program does would have it live on as a second program.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # about threads; the child runs none of them
            return os.fork() or live()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _framed(data: bytes) -> bytes:
    return len(data).to_bytes(_LENGTH, "little") + data


def _received(pipe: socket.socket) -> bytes:
    length = int.from_bytes(_exactly(pipe, _LENGTH), "little")
    if length > _ANSWER_LIMIT:
        raise EOFError
    return _exactly(pipe, length)


def _exactly(pipe: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = pipe.recv(count - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def _live(pipe: socket.socket, shared: mmap.mmap, handlers: Mapping[str, Handler]) -> NoReturn:
    """The life of a child: it answers until the pipe closes."""
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        gc.freeze()  # what is ours must not be closed there, under numbers that mean other files by then
        _keep_only(pipe.fileno())
        os.chdir("/")  # libsndfile looks for a file beside one without a name: `._` in the working folder breaks it
        while True:
            pipe.sendall(_framed(json.dumps(_answer(pipe, shared, handlers)).encode()))
    except (EOFError, OSError):
        code = 0
    finally:
        os._exit(code)


def _answer(pipe: socket.socket, shared: mmap.mmap, handlers: Mapping[str, Handler]) -> Any:
    """Read a request and make what it asks for; what goes wrong becomes an answer."""
    head, descriptors, _, _ = socket.recv_fds(pipe, _LENGTH, 1)
    if not head:
        raise EOFError
    head += _exactly(pipe, _LENGTH - len(head))
    name, *arguments = json.loads(_exactly(pipe, int.from_bytes(head, "little")))
    try:
        return handlers[name](shared, *descriptors, *arguments)
    except ConvtoolError as error:
        return {"error": str(error)}
    except MemoryError:
        return {"error": "out of memory"}
    except Exception as error:
        return {"error": f"unexpected {type(error).__name__}: {error}"}


def _keep_only(descriptor: int) -> None:
    """Close all other files; nothing that a C library prints reaches a terminal, and it can read nothing there."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(nowhere, standard)
    close_others(descriptor)


def close_others(descriptor: int) -> None:
    """Close all files of this process but its standard streams and `descriptor`."""
    os.closerange(3, descriptor)
    os.closerange(descriptor + 1, os.sysconf("SC_OPEN_MAX"))
