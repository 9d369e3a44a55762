"""The program, run in this process or in one of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import pytest

# A run in the background of a shell ignores Ctrl-C, and so would the programs that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

os.environ["CONVTOOL_WARM"] = "0"  # the tests are about this tree, and not about a process that somebody keeps

hypothesis.settings.register_profile("convtool", deadline=None)  # no test is about time
hypothesis.settings.load_profile("convtool")

PROGRAM = Path(sys.executable).with_name("convtool")


@dataclass(frozen=True)
class Run:
    """What a run left behind; a negative code is the signal that ended it."""

    code: int
    raw: bytes
    err: str

    @property
    def out(self) -> str:
        return self.raw.decode()


@pytest.fixture
def convtool(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> Iterator[Callable[..., Run]]:
    """`convtool ARGUMENTS...` in this process, where torch is imported once for all tests."""
    from convtool.cli import main, messages
    from convtool.jobs.convolve import kernel

    monkeypatch.setattr(messages, "quiet_libraries", lambda: None)
    kernel.load.cache_clear()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGPIPE)}
    stdin = os.dup(0)

    def run(*arguments: object, stdin: bytes = b"") -> Run:
        read, write = os.pipe()
        os.write(write, stdin)  # as much as a pipe holds
        os.close(write)
        os.dup2(read, 0)
        os.close(read)
        with open(0, closefd=False) as reader:
            monkeypatch.setattr(sys, "stdin", reader)
            monkeypatch.setattr(sys, "argv", ["convtool", *map(str, arguments)])
            code = main._run()
        captured = capfdbinary.readouterr()
        return Run(code, captured.out, captured.err.decode())

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)
    os.dup2(stdin, 0)
    os.close(stdin)


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., Run]:
    """`convtool ARGUMENTS...` as a person starts it, in a process of its own and in `tmp_path`."""

    def run(*arguments: object, stdin: bytes = b"", **environment: str) -> Run:
        done = subprocess.run(
            [PROGRAM, *(a if isinstance(a, bytes) else str(a) for a in arguments)],
            input=stdin,
            capture_output=True,
            cwd=tmp_path,
            env=os.environ | environment,
            timeout=60,
            check=False,
        )
        return Run(done.returncode, done.stdout, done.stderr.decode())

    return run
