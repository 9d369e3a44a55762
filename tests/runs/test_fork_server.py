"""The process that workers are forked from: what it answers, and that nothing of it stays."""

from __future__ import annotations

import errno
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, Pipe
from pathlib import Path

import pytest

from convtool.errors import ConvtoolError
from convtool.runs import fork_server
from convtool.runs.fork_server import ForkServer
from convtool.runs.local import LocalExecutor

PROGRAM = str(Path(sys.executable).with_name("convtool"))


def echo(pipe: Connection) -> None:
    pipe.send((os.getpid(), pipe.recv(), "json.tool" in sys.modules))


def leave(pipe: Connection) -> None:
    raise SystemExit(pipe.recv())


def fail(pipe: Connection) -> None:
    raise ValueError(pipe.recv())


def go_on(pipe: Connection) -> None:
    while True:
        pipe.send(pipe.fileno())


def nothing() -> None:
    """No setup."""


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    server = ForkServer(["json.tool", "convtool.no_such_module"])
    yield server
    end(server)


def end(server: ForkServer) -> None:
    os.kill(server._pid, signal.SIGKILL)
    while server.alive:
        time.sleep(0.001)
    server._socket.close()


def test_a_process_has_what_was_preloaded_and_ends_by_itself(server: ForkServer) -> None:
    pid, pipe = server.fork(echo)
    with pipe:
        pipe.send("word")
        assert pipe.recv() == (pid, "word", True)
        assert server.wait(pid) == 0
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize(("function", "word", "code"), [(leave, 5, 5), (leave, None, 0), (fail, "odd", 1)])
def test_exit_codes(server: ForkServer, function: Callable[[Connection], None], word: object, code: int) -> None:
    pid, pipe = server.fork(function)
    with pipe:
        pipe.send(word)
        assert server.wait(pid) == code


def test_a_process_that_is_told_nothing_ends(server: ForkServer) -> None:
    ours, theirs = Pipe()
    with theirs:
        pid = server._ask(0, theirs.fileno())
    ours.close()
    assert server.wait(pid) == 0


def test_a_process_that_nobody_hears_any_more_ends(server: ForkServer) -> None:
    pid, pipe = server.fork(go_on)
    pipe.recv()
    pipe.close()
    assert server.wait(pid) == 0


def test_a_server_whose_last_answer_nobody_took_ends() -> None:
    """As when the program is killed: unread, it makes a reset of the connection's end."""
    server = ForkServer(["json.tool"])
    ours, theirs = Pipe()
    with ours, theirs:
        socket.send_fds(server._socket, [bytes(8)], [theirs.fileno()])
        assert select.select([server._socket], [], [], 60)[0]
        server._socket.close()
    assert os.waitstatus_to_exitcode(os.waitpid(server._pid, 0)[1]) == 0


def test_a_signal_is_told(server: ForkServer) -> None:
    pid, pipe = server.fork(echo)
    with pipe:
        os.kill(pid, signal.SIGKILL)
        assert server.wait(pid) == -signal.SIGKILL


def test_ctrl_c_is_for_others(server: ForkServer) -> None:
    os.kill(server._pid, signal.SIGINT)
    pid, pipe = server.fork(echo)
    with pipe:
        os.kill(pid, signal.SIGINT)
        pipe.send("word")
        assert pipe.recv()[1] == "word"
        assert server.wait(pid) == 0


def test_a_server_that_has_ended_says_so_and_is_replaced() -> None:
    with LocalExecutor(1, preload=["json"], setup=nothing) as executor:
        worker = executor.submit(os.getpid).result()
        end(executor._server)
        with pytest.raises(EOFError, match="the process that starts the workers has ended"):
            executor._server.fork(echo)
        assert not executor._server.alive
        os.kill(worker, signal.SIGKILL)
        error = executor.submit(os.getpid).exception()
        assert isinstance(error, ConvtoolError)
        assert str(error) == "its worker process was killed; memory may have run out"
        assert "starts the workers" in str(executor.submit(os.getpid).exception())
    with LocalExecutor(1, preload=["json"], setup=nothing) as executor:
        assert executor.submit(int, "7").result() == 7
        end(executor._server)


@pytest.mark.parametrize("number", [None, signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_stays_in_the_temporary_folder(number: signal.Signals | None, tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    names = ["a.csv", "b.csv"]
    for name in names:
        (tmp_path / name).write_text("1\n2\n") if number is None else os.mkfifo(tmp_path / name)
    command = [PROGRAM, "convolve", *names, "-k", "1", "-o", "out/", "--jobs", "2"]
    environment = os.environ | {"TMPDIR": str(tmp_path / "tmp")}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, start_new_session=True, stderr=subprocess.PIPE)
    if number is not None:
        with open(tmp_path / "a.csv", "wb"):  # opens once a worker reads it
            os.kill(process.pid, number)
    _, told = process.communicate()
    assert process.returncode == {None: 0, signal.SIGKILL: -9}.get(number, 128 + (number or 0))
    assert told.strip() == (b"2 written, 0 skipped, 0 failed" if number is None else b"")
    assert os.listdir(tmp_path / "tmp") == []


def test_a_fork_that_the_system_refuses_is_an_error_here(server: ForkServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fork", refuse)
        assert fork_server._fork(server._socket, os.open(os.devnull, os.O_RDONLY)) == -errno.EAGAIN
    monkeypatch.setattr(server, "_ask", lambda *_: -errno.EAGAIN)
    with pytest.raises(BlockingIOError, match="Resource temporarily unavailable"):
        server.fork(echo)
