"""Children that answer, that refuse, and that die."""

from __future__ import annotations

import errno
import gc
import mmap
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from convtool.errors import InputError
from convtool.isolation import Child, Children

KEPT: list[int] = []


def add(_: mmap.mmap, *numbers: int) -> int:
    KEPT.extend(numbers)
    return sum(KEPT)


def fill(shared: mmap.mmap, count: int) -> int:
    np.frombuffer(shared, np.int64, count)[:] = range(count)
    return count


def refuse(_: mmap.mmap, kind: str) -> None:
    raise {"input": InputError("no such chunk"), "memory": MemoryError(), "other": KeyError("a")}[kind]


def die(_: mmap.mmap, number: int) -> None:
    os.kill(os.getpid(), number)


def leave(_: mmap.mmap, code: int) -> None:
    os._exit(code)


def content(_: mmap.mmap, descriptor: int) -> str:
    return os.pread(descriptor, 100, 0).decode()


def chatter(_: mmap.mmap) -> list[int]:
    os.write(1, b"noise")
    os.write(2, b"noise")
    return [len(os.read(0, 1)), len(os.listdir("/dev/fd"))]


def shout(_: mmap.mmap, length: int) -> str:
    return "x" * length


HANDLERS: dict[str, Any] = {
    function.__name__: function for function in (add, fill, refuse, die, leave, content, chatter, shout)
}


@pytest.fixture
def child() -> Iterator[Child]:
    child = Child(HANDLERS)
    yield child
    child.end()
    assert not child.alive


def test_answers_and_what_is_kept_between_them(child: Child) -> None:
    assert child.ask("add", 1, 2) == 3
    assert child.ask("add", 4) == 7
    assert KEPT == []


def test_results_in_shared_memory(child: Child) -> None:
    assert child.ask("fill", 1000) == 1000
    assert np.frombuffer(child.shared, np.int64, 1000).tolist() == list(range(1000))


def test_files_are_handed_over(child: Child, tmp_path: Any) -> None:
    (tmp_path / "a").write_text("hello")
    with open(tmp_path / "a", "rb") as file:
        assert child.ask("content", descriptor=file.fileno()) == "hello"


def test_nothing_of_ours_is_open_there(child: Child, capfd: pytest.CaptureFixture[str]) -> None:
    read, there = child.ask("chatter")
    assert read == 0
    assert there <= 6  # the standard streams, the pipe, the folder that is listed
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("kind", "message"),
    [("input", "no such chunk"), ("memory", "out of memory"), ("other", "unexpected KeyError: 'a'")],
)
def test_what_it_refuses_is_an_error_here(child: Child, kind: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        child.ask("refuse", kind)
    assert child.ask("add", 1) == 1


@pytest.mark.parametrize(
    ("name", "argument", "message"),
    [
        ("die", signal.SIGABRT, "the decoder crashed on it (SIGABRT): the file is damaged"),
        ("die", signal.SIGSEGV, "the decoder crashed on it (SIGSEGV): the file is damaged"),
        ("leave", 3, "the decoder crashed on it (exit code 3): the file is damaged"),
        ("shout", 17 << 20, "the decoder crashed on it (exit code 0): the file is damaged"),
    ],
)
def test_its_death_is_an_error(name: str, argument: int, message: str) -> None:
    child = Child(HANDLERS)
    with pytest.raises(InputError) as caught:
        child.ask(name, int(argument))
    assert str(caught.value) == message
    assert not child.alive
    child.end()


def test_children_are_kept_for_the_next_file_unless_they_died() -> None:
    children = Children(HANDLERS, keep=1)
    first, second = children.borrow(), children.borrow()
    children.give_back(first)
    children.give_back(second)
    assert not second.alive
    assert children.borrow() is first
    with pytest.raises(InputError):
        first.ask("leave", 1)
    children.give_back(first)
    third = children.borrow()
    assert third.ask("add", 2) == 2
    children.give_back(third)
    children.end()
    assert not third.alive


def test_several_threads_each_have_one() -> None:
    children = Children(HANDLERS)
    sums: list[int] = []

    def work(number: int) -> None:
        child = children.borrow()
        for _ in range(20):
            child.ask("add", number)
        sums.append(child.ask("add") % number)
        child.end()

    threads = [threading.Thread(target=work, args=(number,)) for number in (3, 5, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sums == [0, 0, 0]


def test_it_ends_with_this_process() -> None:
    script = (
        "import os\nfrom convtool.isolation import Child\nchild = Child({'pid': lambda _: os.getpid()})\n"
        "print(child.ask('pid'), flush=True)\nos._exit(0)\n"
    )
    import subprocess

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, timeout=60)
    pid = int(done.stdout)
    for _ in range(200):
        if not os.path.exists(f"/proc/{pid}"):
            return
        threading.Event().wait(0.05)
    pytest.fail("the child outlived its parent")


def test_a_signal_at_the_fork_never_makes_the_child_a_second_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """The signal reaches both, and both have the handler of the program until the child has set its own."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    def fork() -> int:
        children.append(forked())
        signal.raise_signal(signal.SIGINT)
        return children[0]

    children: list[int] = []
    forked, program = os.fork, os.getpid()
    kept = signal.signal(signal.SIGINT, stop)
    monkeypatch.setattr(os, "fork", fork)
    try:
        with pytest.raises(KeyboardInterrupt):
            Child(HANDLERS)
        if os.getpid() != program:
            os._exit(7)
    finally:
        signal.signal(signal.SIGINT, kept)
    gc.collect()  # and with what the exception holds, the pipe to the child closes
    assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 0


@pytest.mark.parametrize("limit", [errno.EAGAIN, errno.EMFILE])
def test_no_process_to_decode_in_is_an_error_of_the_file(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int:
        raise OSError(limit, os.strerror(limit))

    monkeypatch.setattr(os, "fork", refuse)
    with pytest.raises(InputError, match=f"no process to decode it in: {os.strerror(limit)}; raise that limit"):
        Children(HANDLERS).borrow()
