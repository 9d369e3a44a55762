"""A process that has imported what others need and does nothing but fork them, so that each starts in hundredths of a
second.

The one of `multiprocessing` listens at a socket in a temporary folder, which stays when a program is killed or leaves
by `os._exit`. The socket of this one has no name, and closes with the program, however that ends.
"""

from __future__ import annotations

import atexit
import errno
import gc
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from multiprocessing.connection import Connection, Pipe

from convtool.isolation import close_others

_WORD = 8
"""Bytes of a request, which is a process to wait for or 0 for a new one, and of an answer, which is a process, an exit
code, or a system error with a minus."""
_START = "import sys; sys.path[:] = sys.argv[3:]; from convtool.runs.fork_server import main; main(*sys.argv[1:3])"


class ForkServer:
    """The server, started at once with the modules `preload`; what is asked of it meanwhile waits.

    Where this process has imported them already, and no other thread of it lives, it is a fork of this process.
    """

    def __init__(self, preload: Sequence[str]) -> None:
        self._socket, theirs = socket.socketpair()
        atexit.register(self._socket.close)
        self._lock = threading.Lock()
        with theirs:
            if all(name in sys.modules for name in preload) and _single_threaded():
                self._pid = _forked(theirs)
                return
            theirs.set_inheritable(True)
            command = [sys.executable, "-c", _START, str(theirs.fileno()), ",".join(preload), *sys.path]
            nothing = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
            # Ctrl-C reaches the whole group, and must not end the imports: it waits until the server leaves it alone.
            self._pid = os.posix_spawn(
                sys.executable, command, os.environ, file_actions=[nothing], setsigmask=[signal.SIGINT]
            )

    def fork(self, function: Callable[[Connection], None]) -> tuple[int, Connection]:
        """A new process that calls `function` with one end of a pipe, and ends; its number, and the other end.

        Raises:
            EOFError: the server has ended.
            OSError: the system starts no more processes, or opens no more files.
        """
        ours, theirs = Pipe()
        with theirs:
            pid = self._ask(0, theirs.fileno())
        if pid < 0:
            ours.close()
            raise OSError(-pid, os.strerror(-pid))
        ours.send(function)
        return pid, ours

    def wait(self, pid: int) -> int:
        """The exit code of a process that was forked here and is ending; negative for the signal that ended it.

        Raises:
            EOFError: the server has ended.
        """
        return self._ask(pid)

    @property
    def alive(self) -> bool:
        """Whether it can still be asked."""
        try:
            return os.waitpid(self._pid, os.WNOHANG) == (0, 0)
        except ChildProcessError:  # it was found to have ended before
            return False

    def _ask(self, request: int, *descriptors: int) -> int:
        with self._lock:
            try:
                socket.send_fds(self._socket, [request.to_bytes(_WORD, "little")], descriptors)
                answer = self._socket.recv(_WORD)
            except OSError:
                answer = b""
        if not answer:
            raise EOFError("the process that starts the workers has ended")
        return int.from_bytes(answer, "little", signed=True)


def _single_threaded() -> bool:
    """Whether no thread, of a library either, would be missing in a fork; only Linux tells."""
    return os.path.isdir("/proc/self/task") and len(os.listdir("/proc/self/task")) == 1


def _forked(asked: socket.socket) -> int:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM])
    pid = os.fork()
    if pid:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT, signal.SIGTERM])
        return pid
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
        gc.freeze()  # what is ours must not be closed there, under numbers that mean other files by then
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        close_others(asked.fileno())
        main(str(asked.detach()), "")
    finally:
        os._exit(0)


def main(descriptor: str, preload: str) -> None:
    """Serve at the socket `descriptor` until its other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    for name in filter(None, preload.split(",")):
        with suppress(Exception):  # for the one who needs it to report
            import_module(name)
    with socket.socket(fileno=int(descriptor)) as asked:
        while True:
            try:
                request, descriptors, _, _ = socket.recv_fds(asked, _WORD, 1)
            except ConnectionError:  # the program was killed before it took the last answer
                return
            if not request:
                return
            answer = _fork(asked, *descriptors) if descriptors else _exit_code(int.from_bytes(request, "little"))
            with suppress(BrokenPipeError):  # the program was killed
                asked.send(answer.to_bytes(_WORD, "little", signed=True))


def _exit_code(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _fork(asked: socket.socket, descriptor: int) -> int:
    try:
        pid = os.fork()
    except OSError as error:
        os.close(descriptor)
        return -(error.errno or errno.EAGAIN)
    if pid:
        os.close(descriptor)
        return pid
    code = 1
    try:
        asked.close()
        with Connection(descriptor) as pipe, suppress(EOFError, ConnectionError):  # the program was killed
            pipe.recv()(pipe)
        code = 0
    except SystemExit as error:
        code = int(error.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)
