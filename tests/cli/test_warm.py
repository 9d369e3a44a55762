"""`convtool warm` where it can't do what it is asked for; `tests/warm` has the rest."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from convtool.cli import warm
from convtool.warm import place, starting
from convtool.warm.server import Server

Convtool = Callable[..., Any]
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a warm process needs Linux")


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


def test_one_question_at_a_time(convtool: Convtool) -> None:
    run = convtool("warm", "--stop", "--status")
    assert (run.code, run.err.splitlines()[-1]) == (2, "Error: --stop and --status: give one of them")


def test_elsewhere_there_is_none(convtool: Convtool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    run = convtool("warm")
    assert run.code == 2
    assert "Error: a warm process needs Linux, whose sockets tell who is at the other end\n" in run.err


def test_none_is_there(convtool: Convtool) -> None:
    assert (convtool("warm", "--stop").code, convtool("warm", "--status").code) == (0, 1)


def test_a_folder_that_can_not_be_trusted(convtool: Convtool) -> None:
    os.mkdir(place.folder())
    os.chmod(place.folder(), 0o755)
    run = convtool("warm")
    assert (run.code, run.out) == (1, "")
    assert run.err == f"Error: {place.folder()} is open to others (mode 755); chmod 700 closes it\n"


def test_one_that_does_not_come_to_life(convtool: Convtool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "start", lambda _: None)
    monkeypatch.setattr(warm, "PATIENCE", 0.15)
    run = convtool("warm")
    assert (run.code, run.err) == (1, "Error: no warm process came to life; calls run without it as before\n")


def test_a_second_one_leaves_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first = Server(lambda: None)
    assert first.begin()
    first.listen()
    warm.serve_calls(starting.NOBODY)
    first.close()
