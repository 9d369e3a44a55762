"""The bar, and what counts for it."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import struct
import sys
import termios
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import numpy as np
import pytest
import soundfile

from convtool.cli import messages
from convtool.cli.running import Progress, Telling
from convtool.cli.shared_options import RunOptions
from convtool.cli.show import progress
from convtool.jobs.progress import Meter, begin, join, passing, passing_again, watched
from convtool.runs.outcome import Outcome
from convtool.runs.plan import Task
from convtool.signals.inputs import Input
from tests.conftest import Run

Convtool = Callable[..., Run]


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A bar from the first moment on, as on a terminal."""
    monkeypatch.setattr(progress, "_PATIENCE", 0.0)
    monkeypatch.setattr(progress, "_INTERVAL", 0.01)
    monkeypatch.setattr(progress, "is_watched", lambda _: True)
    monkeypatch.chdir(tmp_path)


def terminal(*, is_one: bool) -> Any:
    return SimpleNamespace(isatty=lambda: is_one)


def test_a_bar_is_for_a_person_who_wants_one(monkeypatch: pytest.MonkeyPatch) -> None:
    options = RunOptions(None, False, None, False, False, False)
    monkeypatch.setenv("TERM", "xterm")
    with click.Context(click.Command("x")) as context:
        for stderr, expected in ((terminal(is_one=True), True), (terminal(is_one=False), False), (None, False)):
            monkeypatch.setattr(sys, "stderr", stderr)
            assert progress.is_watched(options) is expected
        monkeypatch.setattr(sys, "stderr", terminal(is_one=True))
        assert not progress.is_watched(RunOptions(None, False, None, False, False, True))
        context.meta[messages.__name__] = {"quiet"}
        assert not progress.is_watched(options)
        del context.meta[messages.__name__]
        monkeypatch.setenv("TERM", "dumb")
        assert not progress.is_watched(options)


def test_short_work_shows_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    def look() -> tuple[float, float]:
        raise AssertionError

    with progress.bar(look, "samples"):
        pass
    assert capfd.readouterr().err == ""


@pytest.mark.usefixtures("at_once")
def test_messages_stand_above_the_bar_which_is_gone_at_the_end(capfd: pytest.CaptureFixture[str]) -> None:
    states = iter([(0, 0), (44_100, 0), (50_000, 200_000)])
    looks = [0]

    def look() -> tuple[float, float]:
        looks[0] += 1
        return next(states, (60_000, 200_000))

    line = "a [red]message " + "of many words " * 12
    with progress.bar(look, "samples"):
        while looks[0] < 5:
            time.sleep(0.005)
        messages.say(line)
        seen = looks[0]
        while looks[0] < seen + 2:
            time.sleep(0.005)
    messages.say("the end")
    err = capfd.readouterr().err
    assert "44.1k samples" in err
    assert "60.0k/200.0k samples" in err
    assert "/s" in err
    assert f"\r\x1b[K{line}\n━" in err  # and the bar below it at once
    assert err.endswith("\r\x1b[Kthe end\n")
    assert "\n" not in err.replace(f"{line}\n", "").replace("the end\n", "")


@pytest.mark.parametrize("columns", [10, 20, 40, 60, 80, 120])
@pytest.mark.parametrize(("done", "total"), [(0, 200_000), (60_000, 200_000), (200_000, 200_000), (60_000, 0)])
def test_the_line_fits_the_terminal(columns: int, done: int, total: int, monkeypatch: pytest.MonkeyPatch) -> None:
    controller, terminal = pty.openpty()
    try:
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        with open(terminal, "w", encoding="utf-8") as stream:
            monkeypatch.setattr(sys, "stderr", stream)
            lines = [progress._line(done, total, 1000, unit) for unit in ("samples", "files")]
    finally:
        os.close(controller)
    for line, unit in zip(lines, ("samples", "files"), strict=True):
        assert len(line) < columns
        if columns >= 80:
            assert line.count("━") == 30 * done // (total or 1) * bool(total)
            assert line.count("━") + line.count("─") == 30 * bool(total)
            left = {0: "3:20", 60_000: "2:20", 200_000: "0:00"}
            assert line.endswith(f"{unit}  1000/s" + (f"  {left[done]}" if total else ""))


def test_the_rate_is_that_of_the_work_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is loaded before it takes time, too."""
    states = iter([(0, 10.0), (0, 12.0), (100, 13.0), (300, 14.0)])
    state: list[tuple[int, float]] = []
    monkeypatch.setattr("convtool.cli.show.progress.time", SimpleNamespace(monotonic=lambda: state[-1][1]))

    def look() -> tuple[float, float]:
        state.append(next(states))
        return state[-1][0], 700

    line = progress._Line(look, "samples")
    for _ in range(4):
        line.draw()
    assert capsys.readouterr().err.endswith(" 300/700 samples  150/s  0:03")


def test_a_terminal_without_these_characters_gets_a_bar_too(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), "ascii")
    monkeypatch.setattr(sys, "stderr", stream)
    assert progress._line(3, 6, 0, "files") == "=" * 15 + "-" * 15 + " 3/6 files"


def test_a_terminal_that_is_gone_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    def write(text: str) -> None:
        tried.append(text)
        raise OSError

    monkeypatch.setattr(progress, "_PATIENCE", 0.0)
    monkeypatch.setattr(progress, "_write", write)
    with progress.bar(lambda: (1, 2), "files"):
        while len(tried) < 2:
            time.sleep(0.005)
    assert tried[-1] == "\r\x1b[K"


@pytest.mark.usefixtures("at_once")
def test_commands_draw_it(convtool: Convtool, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    for name in ("a.wav", "b.wav"):
        soundfile.write(name, rng.normal(0, 0.1, 4000), 8000)
    monkeypatch.setattr("os.isatty", lambda _: True)
    for words in (
        ["convolve", "a.wav", "-k", "1,2", "-o", "y.wav"],
        ["convolve", "a.wav", "lost.wav", "-k", "1", "-o", "y/"],
        ["rescale", "a.wav", "--range", "0:1", "--fit", "b.wav", "-o", "z.wav"],
        ["pad-batch", "a.wav", "b.wav", "-o", "b.npz"],
        ["unpad-batch", "b.npz", "-o", "back/"],
    ):
        assert "\r\x1b[K" in convtool(*words).err
    assert convtool("convolve", "a.wav", "-k", "1").err == ""  # the numbers scroll past there themselves


def test_what_was_chosen_is_told_before_the_work(
    convtool: Convtool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("convtool.jobs.signal_job.BLOCK_SAMPLES", 100)
    x = np.full(1000, 0.5)
    x[900] = np.nan
    soundfile.write("x.wav", x, 8000, subtype="FLOAT")
    run = convtool("convolve", "x.wav", "-k", "4", "-o", "y.wav", "--nan", "error", "-v")
    first, second = run.err.splitlines()
    assert first.startswith("x.wav: direct, 1 tap; blocks of 100; float32 on cpu")
    assert second.startswith("Error: x.wav: sample 900 is NaN")


def test_what_was_chosen_for_each_of_several_is_told_in_their_order(
    convtool: Convtool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the work ends in an error, and once each."""
    monkeypatch.chdir(tmp_path)
    x = np.full(1 << 20, 0.5)
    for name in ("a.wav", "b.wav", "c.wav"):
        soundfile.write(name, x, 8000, subtype="FLOAT")
        x[-1] = np.nan
    names = ["a.wav", "b.wav", "lost.wav", "c.wav"]
    run = convtool("convolve", *names, "-k", "4", "-o", "y/", "--nan", "error", "-v", "--jobs", "2")
    assert [line.partition("; ")[0] for line in run.err.splitlines()] == [
        "a.wav: direct, 1 tap",
        "a.wav: read 1 channel of 1048576 samples at 8000 Hz, WAV/FLOAT",
        "a.wav -> y/a.wav: 1048576 samples",
        "b.wav: direct, 1 tap",
        "Error: b.wav: sample 1048575 is NaN or infinite (the first of 1 in its block)",
        "Error: lost.wav: no such file",
        "c.wav: direct, 1 tap",
        "Error: c.wav: sample 1048575 is NaN or infinite (the first of 1 in its block)",
        "1 written, 0 skipped, 3 failed",
    ]


def test_what_is_heard_out_of_turn_waits_for_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = [Task(index, Input(name, name, "file"), None) for index, name in enumerate("abc")]
    with click.Context(click.Command("x")):
        telling = Telling(tasks)
        said: list[str] = []
        monkeypatch.setattr(messages, "say", said.append)
        telling.choose(1, "fft")
        assert said == []
        telling.choose(0, "direct")
        assert said == ["a: direct"]
        telling.end(Outcome.of(tasks[0], "written"))
        assert said == ["a: direct", "b: fft"]
        telling.choose(1, "fft")  # tried again
        telling.end(Outcome.of(tasks[1], "written"))
        telling.end(Outcome.of(tasks[2], "written"))
        assert said == ["a: direct", "b: fft"]


# What counts


def test_a_meter_is_shared_by_its_path() -> None:
    meter = Meter(3)
    try:
        shown = Progress(meter)
        assert shown.inputs() == (0, 3)
        with watched(meter):
            join(str(shown.path))
            join("/nowhere/to/be/found")
            begin(1, 100, passes=2)
            assert [block.shape[-1] for block in passing(iter([np.zeros((2, 50)), np.zeros((2, 20))]))] == [50, 20]
        assert meter.rows.tolist() == [[0, 0], [140, 200], [0, 0]]  # counted in both, which are one
        assert shown.inputs() == (0.7, 3)
        shown.end(1)
        shown.end(0)
        assert shown.inputs() == (2, 3)
        assert shown.samples() == (0, 0)
        meter.rows[0] = 120, 100  # a header that says too little
        assert shown.samples() == (120, 120)
    finally:
        meter.close()
    assert Progress(None).path is None


@pytest.mark.parametrize(
    ("samples", "total", "counts"), [(100, 200, [100, 150, 175, 200]), (None, 0, [100, 120, 130, 140])]
)
def test_a_result_that_is_gone_through_once_more_counts_as_a_pass(
    samples: int | None, total: int, counts: list[int]
) -> None:
    """Whatever its length: its share of the input's, or where nobody knows that, its own."""
    meter = Meter(1)
    try:
        with watched(meter):
            begin(0, samples, passes=2)
            list(passing(iter([np.zeros((1, 100))])))
            result = (np.zeros((1, length)) for length in (20, 10, 10))
            seen = [int(meter.rows[0, 0]) for _ in passing_again(result, 40)]
        assert [*seen, *meter.rows[0].tolist()] == [*counts, total]
    finally:
        meter.close()


@pytest.mark.parametrize("words", [["--normalize"], ["--normalize", "--stride", "3"]])
def test_normalising_ends_where_the_bar_does(
    words: list[str], convtool: Convtool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    soundfile.write("x.wav", np.full(4000, 0.5), 8000)
    meter = Meter(1)
    try:
        with watched(meter):
            assert convtool("convolve", "x.wav", "-k", "1,2", "-o", "y.wav", *words, "--no-progress").code == 0
        assert meter.rows.tolist() == [[8000, 8000]]
    finally:
        meter.close()


def test_whichever_thread_takes_the_blocks_they_count_for_their_input() -> None:
    meter = Meter(2)
    try:
        with watched(meter):
            begin(1, 100)
            blocks = passing(iter([np.zeros((1, 60)), np.zeros((1, 40))]))
            other = threading.Thread(target=lambda: list(blocks))
            other.start()
            other.join()
        assert meter.rows.tolist() == [[0, 0], [100, 100]]
    finally:
        meter.close()


def test_without_a_meter_blocks_pass_uncounted() -> None:
    begin(7, None)
    blocks = [np.zeros((1, 3))]
    assert list(passing(iter(blocks))) == blocks
