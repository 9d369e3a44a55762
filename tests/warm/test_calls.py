"""Calls through a warm process beside the same calls without it."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a warm process needs Linux")

PROGRAM = str(Path(sys.executable).with_name("convtool"))
Environment = dict[str, str]


def wait_until(condition: Callable[[], Any]) -> Any:
    """What `condition` gives once that is true; it must become true."""
    for _ in range(3000):
        if value := condition():
            return value
        time.sleep(0.01)
    raise AssertionError("this never came")


def told(environment: Environment, *arguments: str) -> str:
    command = [PROGRAM, "warm", *arguments]
    return subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False).stdout


def status(environment: Environment) -> list[int]:
    """The process, its memory in MB, calls, those under way, and minutes."""
    return [int(number) for number in re.findall(r"\d+", told(environment, "--status"))]


@contextlib.contextmanager
def warm_process(folder: Path, **more: str) -> Iterator[Environment]:
    environment = os.environ | {"XDG_RUNTIME_DIR": str(folder), "CONVTOOL_WARM": ""} | more
    assert told(environment).startswith("Process ")
    (socket,) = folder.rglob("socket")
    yield environment
    told(environment, "--stop")
    wait_until(lambda: not socket.exists())


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """The environment of calls that a warm process does."""
    with warm_process(tmp_path_factory.mktemp("run")) as environment:
        yield environment
        assert status(environment)[3] == 0  # nothing is left of the calls


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    np.savetxt(tmp_path / "long.csv", np.arange(30_000.0))
    np.save(tmp_path / "two.npy", np.ones((2, 50), np.float32))
    np.savez(tmp_path / "w.npz", kernel=np.ones((4, 3), np.float32))
    os.mkfifo(tmp_path / "fifo")
    return tmp_path


def writer_of(fifo: Path) -> int:
    """A descriptor that writes to `fifo`, once somebody reads it."""

    def opened() -> int | None:
        with contextlib.suppress(OSError):
            return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        return None

    descriptor: int = wait_until(opened)
    return descriptor


@pytest.mark.parametrize(
    "line",
    [
        "$C convolve 4,1,2,5 -k 1,2,-1; $C -v local-var 1,2,4,8 -w 2",
        "$C convolve - -k 1,2 < long.csv | head -2; echo ${PIPESTATUS[0]}",
        "$C convolve 1,2 3,4 -k 1,2 -o o/ --format csv; cat o/*; rm -r o",
        "umask 077; $C convolve 1,2 long.csv -k 1,2 -o o/ --format npy; stat -c %a o/*; rm -r o",
        "nice -n 3 taskset -c 0 $C -v convolve 1,2 -k 1,2; trap '' INT TERM; $C inspect-weights w.npz",
        "$C inspect-weights w.npz >&-; $C inspect-weights none 2>&-; $C inspect-weights <&-",
        "$C inspect-weights w.npz > /dev/full; $C inspect-weights <(cat two.npy)",
        "mkdir d; cd d; rmdir ../d; $C inspect-weights w.npz $OLDPWD/w.npz",
        "$C convolve 1,x -k 1,2; $C convolv; $C convolve nowhere.wav -k 1; COLUMNS=60 $C local-var --help",
    ],
)
def test_a_call_is_as_without_it(warm: Environment, folder: Path, line: str) -> None:
    def run(**more: str) -> tuple[int, bytes, bytes]:
        environment = warm | {"C": PROGRAM} | more
        done = subprocess.run(["bash", "-c", line], cwd=folder, env=environment, capture_output=True, timeout=120)
        return done.returncode, done.stdout, done.stderr

    before = status(warm)[2]
    assert run() == run(CONVTOOL_WARM="0")
    assert status(warm)[2] > before


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, -signal.SIGHUP)],
)
def test_signals_end_the_call_and_the_launcher(
    warm: Environment, folder: Path, number: signal.Signals, code: int
) -> None:
    command = [PROGRAM, "convolve", "fifo", "-k", "1,2", "-o", "o.csv"]
    process = subprocess.Popen(command, cwd=folder, env=warm, preexec_fn=lambda: signal.signal(number, signal.SIG_DFL))
    try:
        writer = writer_of(folder / "fifo")
        os.write(writer, b"1\n2\n")
        assert status(warm)[3] == 1
        process.send_signal(number)
        assert process.wait(60) == code
    finally:
        process.kill()
        process.wait()
    os.close(writer)
    wait_until(lambda: status(warm)[3] == 0)
    assert not (folder / "o.csv").exists()


def test_a_launcher_that_is_killed_takes_the_call_along(warm: Environment, folder: Path) -> None:
    with subprocess.Popen([PROGRAM, "convolve", "fifo", "-k", "1,2", "-o", "o.csv"], cwd=folder, env=warm) as process:
        writer = writer_of(folder / "fifo")
        process.kill()
    wait_until(lambda: status(warm)[3] == 0)
    os.close(writer)
    assert not (folder / "o.csv").exists()


def test_ctrl_z_stops_the_call_until_it_goes_on(warm: Environment, folder: Path) -> None:
    with subprocess.Popen(
        [PROGRAM, "convolve", "fifo", "-k", "1"], cwd=folder, env=warm, stdout=-1, preexec_fn=os.setpgrp
    ) as process:
        writer = writer_of(folder / "fifo")
        parent = str(status(warm)[0])
        (child,) = [int(name) for name in os.listdir("/proc") if name.isdigit() and _stat(name)[1] == parent]
        process.send_signal(signal.SIGTSTP)
        wait_until(lambda: _stat(process.pid)[0] == _stat(child)[0] == "T")
        process.send_signal(signal.SIGCONT)
        os.write(writer, b"1\n2\n")
        os.close(writer)
        assert process.communicate(timeout=60)[0] == b"1\n2\n"


def _stat(process: object) -> list[str]:
    """The state of a process, its parent, and more."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ["", ""]


def test_a_terminal_is_one_for_the_call_too(warm: Environment, folder: Path) -> None:
    shown = []
    for wish in ("", "0"):
        ours, theirs = pty.openpty()
        command = [PROGRAM, "inspect-weights", "w.npz"]
        with subprocess.Popen(command, cwd=folder, env=warm | {"CONVTOOL_WARM": wish}, stdout=theirs) as process:
            process.wait(60)
        os.close(theirs)
        shown.append(os.read(ours, 1 << 16))
        os.close(ours)
    assert shown[0] == shown[1] != b""


def test_many_calls_at_once(warm: Environment) -> None:
    def call(number: int) -> bytes:
        command = [PROGRAM, "convolve", f"{number},1", "-k", "1,2"]
        return subprocess.run(command, env=warm, stdout=subprocess.PIPE, timeout=120, check=True).stdout

    with ThreadPoolExecutor(30) as pool:
        assert list(pool.map(call, range(30))) == [f"{n},{2 * n + 1},2\n".encode() for n in range(30)]


def test_a_second_one_is_not_started(warm: Environment) -> None:
    first = status(warm)[0]
    assert re.match(rf"Process {first}: \d+ MB, \d+ calls, 0 under way, \d+ min old\n", told(warm))


@pytest.mark.parametrize(
    ("call", "why"),
    [
        ("LC_NUMERIC=C $C -v convolve 1 -k 1", "LC_NUMERIC has another value for the warm process"),
        ("python -W error -m convtool -v convolve 1 -k 1", "this call uses another Python, or other settings of it"),
    ],
)
def test_why_a_call_is_not_for_it(warm: Environment, call: str, why: str) -> None:
    environment = warm | {"C": PROGRAM, "PATH": f"{Path(sys.executable).parent}:{warm['PATH']}"}
    done = subprocess.run(["bash", "-c", call], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"
    assert done.stderr.startswith(f"Without the warm process: {why}\n")


def test_the_first_call_starts_one_where_that_is_wished(tmp_path: Path) -> None:
    environment = os.environ | {"XDG_RUNTIME_DIR": str(tmp_path), "CONVTOOL_WARM": "1"}
    first = subprocess.run([PROGRAM, "-v", "--help"], env=environment, capture_output=True, text=True, check=True)
    assert first.stderr == "Without the warm process: it is started now, for the calls that follow\n"
    (socket,) = wait_until(lambda: list(tmp_path.rglob("socket")))
    second = subprocess.run([PROGRAM, "convolve", "1", "-k", "2"], env=environment, capture_output=True, check=True)
    assert (second.stdout, status(environment)[2]) == (b"2\n", 1)
    os.kill(status(environment)[0], signal.SIGTERM)
    wait_until(lambda: not socket.exists())


def test_one_that_was_killed_leaves_calls_to_themselves(tmp_path: Path) -> None:
    with warm_process(tmp_path) as environment:
        process = status(environment)[0]
        os.kill(process, signal.SIGKILL)
        wait_until(lambda: _stat(process)[0] in ("", "Z"))
        done = subprocess.run(
            [PROGRAM, "-v", "convolve", "1", "-k", "2"], env=environment, capture_output=True, text=True, check=True
        )
        assert done.stdout == "2\n"
        assert done.stderr.startswith("Without the warm process: it does not answer: [Errno 111] Connection refused\n")
        assert told(environment, "--status") == ""
        assert told(environment).startswith("Process ")  # over the socket that was left
