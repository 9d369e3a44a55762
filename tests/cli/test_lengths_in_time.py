"""Lengths in time, on texts with a column of times: even, or refused where the first of them is off."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.conftest import Run

Convtool = Callable[..., Run]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def text_of(times: Sequence[str], head: str = "time (s),v") -> None:
    rows = [f"{time},{number % 5}" for number, time in enumerate(times)]
    Path("x.csv").write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")


EVEN = [f"{number / 10:.1f}" for number in range(300)]


@pytest.mark.parametrize(
    ("times", "line", "what"),
    [
        (["0", "0.1", "0.2", "0.5", "0.6"], 5, "the time is 0.5, and 0.3 in even steps of 0.1 as they begin"),
        (["0", "0.1", "0.25", "0.3"], 4, "the time is 0.25, and 0.2 in even steps of 0.1"),
        (EVEN[:200] + EVEN[201:], 202, "the time is 20.1, and 20 in even steps of 0.1"),
        (EVEN[:200] + EVEN[199:], 202, "the time is 19.9, and 20 in even steps of 0.1"),
        ([*EVEN[:200], "noon", *EVEN[201:]], 202, "the time is noon, and 20 in"),
        ([*EVEN[:200], *(f"{20 + number / 8:.3f}" for number in range(9))], 205, "the time is 20.375, and 20.3 in"),
    ],
)
@pytest.mark.parametrize("command", [["local-var", "-w", "0.2s"], ["pad-batch", "--segment", "1s", "-o", "b.npz"]])
def test_uneven_times_are_refused_at_the_first(
    times: list[str], line: int, what: str, command: list[str], convtool: Convtool
) -> None:
    text_of(times)
    run = convtool(*command, "x.csv")
    assert (run.code, run.out) == (1, "")
    assert f"x.csv: line {line}, column 1: {what}" in run.err
    assert "give them in samples, or take the times for even with --sample-rate HZ" in run.err
    assert convtool(*command, "x.csv", "--sample-rate", "10", "-q").code == 0
    in_samples = [{"0.2s": "2", "1s": "10"}.get(word, word) for word in command]
    assert convtool(*in_samples, "x.csv", *["--overwrite"] * ("-o" in command)).code == 0


@pytest.mark.parametrize(
    ("times", "head"),
    [
        (EVEN, "time (s),v"),
        ([f"{number * 100}" for number in range(300)], "time (ms),v"),
        ([*EVEN[:200], "20.04", *EVEN[201:]], "time (s),v"),  # rounded: no sample is counted to another window
        ([f'"{time}"' for time in EVEN], "time (s),v"),
    ],
)
def test_even_times_are_a_sample_rate(times: list[str], head: str, convtool: Convtool) -> None:
    text_of(times, head)
    timed, counted = (convtool("local-var", "x.csv", "-w", window).out for window in ("0.02min", "12"))
    assert timed == counted != ""


def test_kept_columns_stay_beside_windows_in_time(convtool: Convtool) -> None:
    text_of(EVEN)
    words = ["local-var", "x.csv", "--mode", "same", "--keep-columns", "time (s)"]
    assert convtool(*words, "-w", "0.3s").out == convtool(*words, "-w", "3").out


def test_times_without_a_rate(convtool: Convtool) -> None:
    """A single row has no steps; names of rows are no times."""
    text_of(["0.5"])
    assert "needs a sample rate" in convtool("local-var", "x.csv", "-w", "0.2s").err
    text_of(["a", "b", "c"], "name,v")
    assert "needs a sample rate" in convtool("local-var", "x.csv", "-w", "0.2s").err


@pytest.mark.parametrize("length", ["0.002s", "2ms", "2000us", "2000µs", "2000μs", "2000000ns"])
def test_units(convtool: Callable[..., Run], length: str) -> None:
    run = convtool("local-var", "1,3,5,5", "-w", length, "--sample-rate", "1000")
    assert (run.code, run.out) == (0, "1,1,0\n")


@pytest.mark.parametrize("unit", ["ms", "s", "us", "min", "H"])
def test_a_blank_before_a_unit_is_named(convtool: Callable[..., Run], unit: str) -> None:
    run = convtool("local-var", "1,3,5,5", "-w", "2", unit, "--sample-rate", "1000")
    assert run.code == 2
    assert f"'{unit}' is no input; a time is written without a blank: 50{unit}\n" in run.err
    Path(unit).write_text("1\n3\n")
    assert convtool("local-var", unit, "-w", "2").out == "1\n"
