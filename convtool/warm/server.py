"""The warm process: it holds torch and the commands, and forks a child for each call.

One thread waits for everything: connections, what they say, and children that end. It never computes, so that no
thread of a library is alive when it forks; the child makes itself like the caller, and runs the command.
"""

from __future__ import annotations

import fcntl
import gc
import os
import re
import selectors
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from convtool.warm import launcher, messages, place
from convtool.warm.caller import Caller
from convtool.warm.streams import open_streams, take_descriptors

IDLE_SECONDS = 600.0
"""Time without a call after which the process ends."""

_LIBRARY_VARIABLES = re.compile(
    "(PYTHON|LD_|LC_|LANG|MKL_|KMP_|GOMP_|TORCH|PYTORCH|ATEN_|CUDA_|NVIDIA_|MALLOC_|GLIBC_|NPY_|NUMPY_|ONEDNN_|DNNL_)"
)
"""Beginnings of the names of environment variables that libraries read once, as they are loaded."""

PATIENCE = 5.0
"""Seconds in which a warm process that was told to stop has ended."""

REQUEST_LIMIT = 64 << 20
"""Bytes of a request; the system allows arguments and environment far less."""

_BLOCK = 1 << 16
_DESCRIPTORS = 253


@dataclass
class _Connection:
    """A caller: what has been received of it, and the child that does its work once it has begun."""

    socket: socket.socket
    received: bytearray = field(default_factory=bytearray)
    descriptors: list[int] = field(default_factory=list)
    request: messages.Message = field(default_factory=dict)
    caller: Caller | None = None
    child: int = 0
    done: bool = False

    def fileno(self) -> int:
        return self.socket.fileno()

    def answer(self, **message: object) -> None:
        """Send these words; None is no word."""
        words = {name: [] if word is None else [str(word)] for name, word in message.items()}
        with suppress(OSError):  # the caller is gone; its end is seen next
            self.socket.sendall(messages.framed(words))

    def close(self) -> None:
        self.socket.close()
        self.close_descriptors()

    def close_descriptors(self) -> None:
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.descriptors.clear()

    def pass_on(self, numbers: Iterable[int]) -> None:
        """Let signals reach the call: its first process, or all of them where they are to stop, go on or be gone."""
        for number in numbers:
            if self.child and not self.done:
                with suppress(OSError):  # it has ended, and nobody has asked for its status yet
                    if number in (messages.STOP, signal.SIGCONT, signal.SIGKILL):
                        os.killpg(self.child, signal.SIGSTOP if number == messages.STOP else number)
                    else:
                        os.kill(self.child, number)


class Server:
    """Serves calls with `run`, which reads `sys.argv` and ends the process."""

    def __init__(self, run: Callable[[], object]) -> None:
        self._run = run
        self._own = Caller.of(os.getpid())
        self._settings = _library_settings(os.environ)
        self._installation = _Installation()
        self._began = time.monotonic()
        self._calls = 0
        self._stopping = False
        self._place = place.socket_name()
        self._selector = selectors.DefaultSelector()
        self._working: dict[int, _Connection] = {}

    def begin(self) -> bool:
        """Be the one warm process of this user and installation; False where there is another."""
        path = os.path.dirname(self._place)
        with suppress(FileExistsError):
            os.mkdir(path, 0o700)
        place.check(path)
        self._folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(self._folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                if time.monotonic() > deadline or os.path.exists(self._place):
                    return False
                time.sleep(0.05)  # the other one may be about to end

    def listen(self) -> None:
        """Let callers come."""
        with suppress(FileNotFoundError):
            os.unlink(self._place)  # of one that was killed
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.setblocking(False)
        self._listener.bind(self._place)
        self._listener.listen(128)
        self._selector.register(self._listener, selectors.EVENT_READ)

    def serve(self) -> None:
        """Answer until it is told to stop or nobody calls any more; calls under way are waited for."""
        woken, wake = os.pipe()
        for end in (woken, wake):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # what counts is that it wakes
        signal.signal(signal.SIGTERM, lambda *_: self._stop())
        self._selector.register(woken, selectors.EVENT_READ)
        while self._working or not self._stopping:
            events = self._selector.select(None if self._working else IDLE_SECONDS)
            if not events and not self._working:
                self._stop()
            for key, _ in events:
                if key.fileobj is self._listener:
                    self._accept()
                elif isinstance(key.fileobj, _Connection):
                    self._read(key.fileobj)
                else:
                    with suppress(BlockingIOError):
                        os.read(woken, _BLOCK)
            self._reap()
        signal.set_wakeup_fd(-1)
        os.close(woken)
        os.close(wake)
        self.close()

    def close(self) -> None:
        """Leave the socket and those who wait at it."""
        self._stop()
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, _Connection):
                key.fileobj.close()
        self._selector.close()
        os.close(self._folder)

    def _stop(self) -> None:
        """Take no more calls."""
        if not self._stopping:
            self._stopping = True
            self._selector.unregister(self._listener)
            self._listener.close()
            with suppress(FileNotFoundError):
                os.unlink(self._place)

    def _accept(self) -> None:
        with suppress(OSError):  # it went away meanwhile
            connected, _ = self._listener.accept()
            connected.setblocking(False)
            if messages.user(connected) == os.geteuid():
                self._selector.register(_Connection(connected), selectors.EVENT_READ)
            else:
                connected.close()

    def _read(self, connection: _Connection) -> None:
        data: bytes = b""
        descriptors: list[int] = []
        with suppress(OSError):  # it was reset
            data, descriptors, _, _ = socket.recv_fds(connection.socket, _BLOCK, _DESCRIPTORS)
        connection.descriptors += descriptors
        if not data:
            self._drop(connection)
        elif connection.caller is None:
            self._consider(connection, data)
        else:
            if not connection.child and data.startswith(messages.GO):
                self._fork(connection)
                data = data[len(messages.GO) :]
            connection.pass_on(data)

    def _drop(self, connection: _Connection) -> None:
        """The caller is gone; so is its call."""
        self._selector.unregister(connection)
        connection.pass_on([signal.SIGKILL])
        connection.close()

    def _consider(self, connection: _Connection, data: bytes) -> None:
        """Add `data` to the request of `connection`, and answer once that is whole."""
        connection.received += data
        try:
            request = messages.complete(connection.received)
            if request is None and len(connection.received) <= REQUEST_LIMIT:
                return
            assert request is not None
            self._answer(connection, request)
        except (AssertionError, LookupError, ValueError):
            self._drop(connection)

    def _answer(self, connection: _Connection, request: messages.Message) -> None:
        if request["kind"] == ["call"]:
            connection.request = request
            try:
                connection.caller = Caller.of(messages.process(connection.socket))
                declined = self._difference(connection.caller, request)
            except OSError as error:
                declined = f"this call can't be looked at ({error})"
            connection.answer(declined=declined)
        elif request["kind"] == ["status"]:
            connection.answer(
                process=os.getpid(),
                memory=_memory(),
                calls=self._calls,
                running=len(self._working),
                seconds=int(time.monotonic() - self._began),
            )
        else:
            self._stop()
            connection.answer(running=len(self._working))

    def _difference(self, caller: Caller, request: messages.Message) -> str | None:
        """What keeps a call from running here as it would alone."""
        if self._installation.changed:
            self._stop()
            return "convtool or a library has been installed anew; the warm process ends"
        if request["interpreter"] != launcher.interpreter():
            return "this call uses another Python, or other settings of it"
        settings = _library_settings(_pairs(request["environment"]))
        for name in sorted(settings.keys() | self._settings.keys()):
            if settings.get(name) != self._settings.get(name):
                return f"{name} has another value for the warm process"
        return caller.difference(self._own)

    def _fork(self, connection: _Connection) -> None:
        everything = signal.valid_signals()
        before = signal.pthread_sigmask(signal.SIG_SETMASK, everything)
        connection.child = os.fork()
        if not connection.child:
            _live(connection, self._run)
        with suppress(OSError):  # it has ended
            os.setpgid(connection.child, connection.child)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        connection.close_descriptors()
        self._working[connection.child] = connection
        self._calls += 1

    def _reap(self) -> None:
        """Tell callers of calls that have ended."""
        for child, connection in list(self._working.items()):
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                del self._working[child]
                connection.done = True
                if connection.fileno() >= 0:
                    connection.answer(status=status)


def _live(connection: _Connection, run: Callable[[], object]) -> NoReturn:
    """The life of a child: the caller's call."""
    try:
        gc.freeze()  # what is ours must not be closed here, under numbers that mean other files by then
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        request, caller = connection.request, connection.caller
        assert caller is not None
        take_descriptors(connection.descriptors, [int(number) for number in request["descriptors"]])
        os.environ.clear()
        os.environ.update(_pairs(request["environment"]))
        time.tzset()
        tempfile.tempdir = None  # where it is depends on the environment
        sys.argv[:] = ["convtool", *request["arguments"]]
        open_streams()
        caller.become()
        run()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


def _pairs(words: list[str]) -> dict[str, str]:
    """Names and values that stand one after the other."""
    return dict(zip(words[::2], words[1::2], strict=True))


def _library_settings(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if _LIBRARY_VARIABLES.match(name)}


class _Installation:
    """The files of convtool, and the folders that libraries are installed into: have they changed since?"""

    def __init__(self) -> None:
        package = Path(__file__).parents[1]
        libraries = [path for path in sys.path if path.endswith("-packages")]
        self._paths = [sys.executable, *libraries, *map(str, package.rglob("*.py"))]
        self._times = self._now()

    @property
    def changed(self) -> bool:
        """Whether any of them is newer, or gone."""
        return self._now() != self._times

    def _now(self) -> list[int]:
        return [_time_of(path) for path in self._paths]


def _time_of(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


def _memory() -> int:
    """The bytes of memory that this process holds."""
    with open("/proc/self/statm") as sizes:
        return int(sizes.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
