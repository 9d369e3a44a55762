"""The warm process beside callers that go away, ask for nothing, or are not for it."""

from __future__ import annotations

import dataclasses
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from convtool.warm import launcher, messages, place, server
from convtool.warm.caller import Caller
from convtool.warm.server import Server

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a warm process needs Linux")


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(server, "IDLE_SECONDS", 0.3)
    kept = {number: signal.getsignal(number) for number in (signal.SIGCHLD, signal.SIGTERM)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def request(environment: Mapping[str, str] = os.environ, **more: list[str]) -> messages.Message:
    words = [word for variable in environment.items() for word in variable]
    known = {"arguments": ["a"], "environment": words, "interpreter": launcher.interpreter()}
    return {"kind": ["call"], "descriptors": [], **known, **more}


def conversation(script: Callable[[socket.socket], Any], run: Callable[[], object] = lambda: os._exit(7)) -> list[Any]:
    """What `script` gives, speaking to a server; it ends when nobody calls."""
    served = Server(run)
    assert served.begin()
    served.listen()
    found: list[Any] = []

    def work() -> None:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(20)
            connection.connect(place.socket_name())
            found.append(script(connection))

    thread = threading.Thread(target=work)
    thread.start()
    served.serve()
    thread.join(20)
    assert os.listdir(place.folder()) == []
    return found


def call(connection: socket.socket, **more: list[str]) -> list[str]:
    """Why it is declined; nothing where it isn't."""
    connection.sendall(messages.framed(request(**more)))
    return messages.receive(connection)["declined"]


def exit_code(connection: socket.socket) -> int:
    (status,) = messages.receive(connection)["status"]
    return os.waitstatus_to_exitcode(int(status))


def test_a_call_is_forked_and_its_status_comes_back() -> None:
    def script(connection: socket.socket) -> Any:
        assert not call(connection)
        connection.sendall(messages.GO)
        code = exit_code(connection)
        connection.sendall(bytes([signal.SIGINT]))  # too late for it
        return code

    assert conversation(script) == [7]


def test_what_a_call_is_like_there() -> None:
    def run() -> None:
        assert sys.argv == ["convtool", "a"]
        assert (sys.stdin, sys.stdout) == (None, None)
        assert os.environ["NEW"] == "1"
        assert os.getcwd() == folder
        os._exit(5)

    folder = os.getcwd()

    def script(connection: socket.socket) -> Any:
        environment = dict(os.environ) | {"NEW": "1"}
        data = messages.framed(request(environment=environment, descriptors=["2"]))
        socket.send_fds(connection, [data], [2])
        assert messages.receive(connection)["declined"] == []
        connection.sendall(messages.GO)
        return exit_code(connection)

    assert conversation(script, run) == [5]


def test_a_call_that_can_not_begin_ends_with_1() -> None:
    def run() -> None:
        raise RuntimeError("never")

    def script(connection: socket.socket) -> Any:
        assert not call(connection)
        connection.sendall(messages.GO)
        return exit_code(connection)

    assert conversation(script, run) == [1]


def test_signals_reach_a_call_and_its_end_ends_it() -> None:
    def run() -> None:
        while True:
            signal.pause()

    def script(connection: socket.socket) -> Any:
        assert not call(connection)
        connection.sendall(messages.GO)
        for number in (messages.STOP, signal.SIGCONT, signal.SIGTERM):
            connection.sendall(bytes([number]))
        return exit_code(connection)

    assert conversation(script, run) == [-signal.SIGTERM]


def test_a_call_whose_caller_is_gone_is_killed() -> None:
    def run() -> None:
        while True:
            signal.pause()

    def script(connection: socket.socket) -> Any:
        assert not call(connection)
        connection.sendall(messages.GO)

    assert conversation(script, run) == [None]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x02\0\0\0[]",
        b"\x04\0\0\0nope",
        messages.framed({"no": ["kind"]}),
        messages.framed({"kind": ["call"]}),
        (1 << 31).to_bytes(4, "little"),
    ],
)
def test_what_is_no_request_is_dropped(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "REQUEST_LIMIT", 3)

    def script(connection: socket.socket) -> bytes:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        return connection.recv(1)

    assert conversation(script) == [b""]


def test_a_long_request_comes_in_parts() -> None:
    def script(connection: socket.socket) -> Any:
        return call(connection, arguments=["1," * 500_000])

    assert conversation(script) == [[]]


def test_a_caller_that_breaks_off_is_dropped() -> None:
    def script(connection: socket.socket) -> None:
        connection.sendall(messages.framed({"kind": ["status"]}))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    assert conversation(script) == [None]


def test_another_user_is_shown_the_door(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "user", lambda _: os.getuid() + 1)
    assert conversation(lambda connection: connection.recv(1)) == [b""]


def test_descriptors_of_a_request_that_is_declined_are_closed() -> None:
    woken, wake = os.pipe()

    def script(connection: socket.socket) -> Any:
        socket.send_fds(connection, [messages.framed(request(interpreter=[]))], [wake])
        os.close(wake)
        return messages.receive(connection)["declined"]

    assert conversation(script) == [["this call uses another Python, or other settings of it"]]
    assert os.read(woken, 1) == b""
    os.close(woken)


def test_a_caller_that_can_not_be_looked_at_is_declined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "process", lambda _: 0)
    ((declined,),) = conversation(call)
    assert declined.startswith("this call can't be looked at ([Errno 2]")


def test_a_new_installation_ends_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    library = tmp_path / "site-packages"
    monkeypatch.setattr(sys, "path", [*sys.path, str(library)])

    def script(connection: socket.socket) -> Any:
        library.mkdir()
        return call(connection, interpreter=[])

    assert conversation(script) == [["convtool or a library has been installed anew; the warm process ends"]]


def test_there_is_one_for_each_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Server(lambda: None), Server(lambda: None)
    assert first.begin()
    monkeypatch.setattr(server, "PATIENCE", 0.1)
    assert not second.begin()
    monkeypatch.setattr(sys, "executable", "/another/python")
    third = Server(lambda: None)
    assert third.begin()
    for each in (first, third):
        each.listen()
        each.close()


def test_a_stop_waits_for_calls() -> None:
    def script(connection: socket.socket) -> Any:
        connection.sendall(messages.framed({"kind": ["stop"]}))
        return messages.receive(connection)

    assert conversation(script) == [{"running": ["0"]}]


OWN = Caller.of(os.getpid()) if sys.platform.startswith("linux") else None


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, None),
        ({"status": {}}, "this call has other rights than the warm process (Uid)"),
        ({"surroundings": []}, "this call is in another container than the warm process"),
        ({"priority": -21}, "this call has priority -21, the warm process 0"),
        (
            {"limits": {resource.RLIMIT_NOFILE: (1, resource.RLIM_INFINITY)}},
            "this call may use more than the warm process (ulimit)",
        ),
    ],
)
def test_what_sets_a_caller_apart(changes: dict[str, Any], why: str | None) -> None:
    assert OWN is not None
    own = dataclasses.replace(OWN, priority=0)
    assert dataclasses.replace(own, **changes).difference(own) == why
