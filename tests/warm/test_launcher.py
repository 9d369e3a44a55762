"""The launcher beside a warm process that is not there, can't be trusted, or does not keep its word."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from convtool.warm import asking, descriptors, launcher, messages, place, starting

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a warm process needs Linux")

Script = Callable[[socket.socket], object]


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No warm process but the one of the test; what would end this process raises."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv(launcher.WISH, "")
    monkeypatch.setattr(launcher, "reason", "")
    monkeypatch.setattr(sys, "argv", ["convtool", "convolve", "1", "-k", "1"])

    def leave(code: int) -> None:
        raise SystemExit(code)

    monkeypatch.setattr(os, "_exit", leave)
    numbers = [getattr(signal, name) for name in ("SIGHUP", "SIGINT", "SIGTERM", "SIGTSTP", "SIGUSR1", "SIGWINCH")]
    kept = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.fixture
def served() -> Iterator[Callable[[Script], threading.Thread]]:
    """Lets a warm process answer one connection as a script says."""
    listener = socket.socket(socket.AF_UNIX)
    threads: list[threading.Thread] = []

    def serve(script: Script) -> threading.Thread:
        os.mkdir(place.folder(), 0o700)
        listener.bind(place.socket_name())
        listener.listen()

        def work() -> None:
            connection, _ = listener.accept()
            with connection:
                script(connection)

        threads.append(threading.Thread(target=work, daemon=True))
        threads[0].start()
        return threads[0]

    yield serve
    for thread in threads:
        thread.join(10)
    listener.close()


def accept(connection: socket.socket) -> None:
    messages.receive(connection)
    connection.sendall(messages.framed({"declined": []}))


def call(thread: threading.Thread) -> None:
    """Connect and leave, so that `thread` ends."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(place.socket_name())
    thread.join(10)


def test_it_runs_here_where_there_is_none() -> None:
    launcher.hand_over()
    assert launcher.reason == ""


def test_a_folder_alone_is_no_process() -> None:
    os.mkdir(place.folder(), 0o700)
    launcher.hand_over()
    assert launcher.reason == ""


def test_a_request_longer_than_a_socket_holds_is_sent_in_parts(
    served: Callable[[Script], threading.Thread], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["convtool", "convolve", "1," * 1_000_000]
    monkeypatch.setattr(sys, "argv", words)
    received: list[Any] = []

    def script(connection: socket.socket) -> None:
        received.append(messages.receive(connection)["arguments"])
        connection.sendall(messages.framed({"declined": ["so it was"]}))

    served(script)
    launcher.hand_over()
    assert (launcher.reason, received) == ("so it was", [words[1:]])


@pytest.mark.parametrize(("arguments", "wish"), [(["warm"], "1"), (["-v", "warm", "--stop"], "1"), (["--help"], "0")])
def test_some_calls_are_never_handed_over(arguments: list[str], wish: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["convtool", *arguments])
    monkeypatch.setenv(launcher.WISH, wish)
    monkeypatch.setattr(place, "check", lambda _: pytest.fail("it looked for one"))
    launcher.hand_over()


def test_a_wish_starts_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(launcher.WISH, "1")
    started: list[bool] = []
    monkeypatch.setattr(starting, "start", lambda: started.append(True))
    launcher.hand_over()
    assert (started, launcher.reason) == ([True], "it is started now, for the calls that follow")


def test_one_that_was_killed_is_followed_by_another_where_that_is_wished(monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkdir(place.folder(), 0o700)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(place.socket_name())  # nobody listens
    monkeypatch.setenv(launcher.WISH, "1")
    started: list[bool] = []
    monkeypatch.setattr(starting, "start", lambda: started.append(True))
    launcher.hand_over()
    assert (started, launcher.reason) == ([True], "it does not answer: [Errno 111] Connection refused")


def test_a_folder_that_is_open_to_others_is_not_entered() -> None:
    os.mkdir(place.folder())
    os.chmod(place.folder(), 0o750)
    launcher.hand_over()
    assert launcher.reason == f"{place.folder()} is open to others (mode 750); chmod 700 closes it"


def test_a_link_is_no_folder(tmp_path: Path) -> None:
    os.symlink(tmp_path, place.folder())
    launcher.hand_over()
    assert launcher.reason == f"{place.folder()} is no folder"


def test_a_folder_of_another_user_is_not_entered(monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkdir(place.folder(), 0o700)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    launcher.hand_over()
    assert launcher.reason == f"{place.folder()} belongs to another user"


def test_a_process_of_another_user_gets_nothing(
    served: Callable[[Script], threading.Thread], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "user", lambda _: os.getuid() + 1)
    received: list[bytes] = []
    thread = served(lambda connection: received.append(connection.recv(1)))
    launcher.hand_over()
    thread.join(10)
    assert (launcher.reason, received) == ("it belongs to another user", [b""])


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"", "it does not answer: EOFError"),
        (b"\x02\0\0\0[]", "it does not answer: it is no message"),
        (b"\x0e\0\0\0declined\x002\0why", "it does not answer: it is no message"),
        (messages.framed({"declined": ["no"]}), "no"),
        (messages.framed({"nothing": []}), "it does not answer: 'declined'"),
    ],
)
def test_without_a_yes_the_call_runs_here(
    served: Callable[[Script], threading.Thread], answer: bytes, why: str
) -> None:
    def script(connection: socket.socket) -> None:
        messages.receive(connection)
        connection.sendall(answer)

    served(script)
    launcher.hand_over()
    assert launcher.reason == why


def test_files_beyond_what_can_be_sent(
    served: Callable[[Script], threading.Thread], monkeypatch: pytest.MonkeyPatch
) -> None:
    thread = served(lambda connection: connection.recv(1))
    monkeypatch.setattr(descriptors, "inherited", lambda: [0] * 300)
    launcher.hand_over()
    assert launcher.reason == "300 files are open, of which 250 can be handed over"
    call(thread)


def test_a_call_in_the_background_must_not_read_the_terminal(
    served: Callable[[Script], threading.Thread], monkeypatch: pytest.MonkeyPatch
) -> None:
    thread = served(lambda connection: connection.recv(1))
    monkeypatch.setattr(os, "tcgetpgrp", lambda _: os.getpgrp() + 1)
    launcher.hand_over()
    assert launcher.reason == "this call is in the background of its terminal"
    call(thread)


def test_one_that_ends_before_the_work_begins_leaves_it_to_the_call(
    served: Callable[[Script], threading.Thread], monkeypatch: pytest.MonkeyPatch
) -> None:
    thread = served(accept)
    receive = messages.receive

    def answer(connection: socket.socket) -> messages.Message:
        message = receive(connection)
        if threading.current_thread() is not thread:
            thread.join(10)
        return message

    monkeypatch.setattr(messages, "receive", answer)
    before = signal.getsignal(signal.SIGTERM)
    launcher.hand_over()
    assert launcher.reason == "it does not answer: [Errno 32] Broken pipe"
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("last", [b"", b"\2\0\0\0[]", messages.framed({"status": []})])
def test_one_that_ends_amid_the_work_is_an_error(
    served: Callable[[Script], threading.Thread], capsys: pytest.CaptureFixture[str], last: bytes
) -> None:
    def script(connection: socket.socket) -> None:
        accept(connection)
        assert connection.recv(1) == messages.GO
        connection.sendall(last)

    served(script)
    with pytest.raises(SystemExit) as left:
        launcher.hand_over()
    assert left.value.code == 1
    assert capsys.readouterr().err == "Error: the warm process ended before this call did\n"


def test_signals_go_to_the_call_and_its_end_is_the_end_here(
    served: Callable[[Script], threading.Thread], monkeypatch: pytest.MonkeyPatch
) -> None:
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    killed: list[tuple[int, int]] = []
    received: list[bytes] = []

    def kill(process: int, number: int) -> None:
        killed.append((process, number))

    monkeypatch.setattr(os, "kill", kill)

    def script(connection: socket.socket) -> None:
        accept(connection)
        received.append(connection.recv(1))
        for number in (signal.SIGTERM, signal.SIGTSTP):
            signal.pthread_kill(threading.main_thread().ident or 0, number)
            received.append(connection.recv(1))
        received.append(connection.recv(1))
        assert signal.getsignal(signal.SIGUSR1) == signal.SIG_IGN
        connection.sendall(messages.framed({"status": [str(int(signal.SIGTERM))]}))

    served(script)
    with pytest.raises(SystemExit):
        launcher.hand_over()
    assert received == [b"g", bytes([signal.SIGTERM]), bytes([messages.STOP]), bytes([signal.SIGCONT])]
    assert killed == [(os.getpid(), signal.SIGTSTP), (os.getpid(), signal.SIGTERM)]


def test_a_signal_that_comes_after_the_end_is_nobodys() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        theirs.close()
        restore = launcher._pass_signals_on(ours)
        signal.raise_signal(signal.SIGTERM)
        restore()


def test_a_call_that_was_told_to_ignore_ctrl_z_goes_on(served: Callable[[Script], threading.Thread]) -> None:
    signal.signal(signal.SIGTSTP, signal.SIG_IGN)

    def script(connection: socket.socket) -> None:
        accept(connection)
        connection.recv(1)
        connection.sendall(messages.framed({"status": ["0"]}))

    served(script)
    with pytest.raises(SystemExit):
        launcher.hand_over()
    assert signal.getsignal(signal.SIGTSTP) == signal.SIG_IGN


def test_a_question_to_another_users_process_has_no_answer(
    served: Callable[[Script], threading.Thread], monkeypatch: pytest.MonkeyPatch
) -> None:
    served(lambda connection: connection.recv(1))
    monkeypatch.setattr(messages, "user", lambda _: os.getuid() + 1)
    assert asking.ask("status") is None
