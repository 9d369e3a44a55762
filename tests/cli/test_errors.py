"""What is told of a wrong command line, and what a dry run finds out."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import pytest
import soundfile

from convtool.cli.local_var import local_var
from convtool.cli.main import cli
from tests.conftest import Run
from tests.helpers import model_files

Convtool = Callable[..., Run]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_numbers_that_begin_with_a_minus_are_told_where_they_belong(convtool: Convtool) -> None:
    for words, shown in (
        ("rescale -1,2 --range -1:1", "-1,2"),
        ("convolve -k -1,2 -0,5", "-0,5"),
        ("rescale -inf --range 0:1", "-inf"),
    ):
        run = convtool(*words.split())
        assert run.code == 2
        assert run.err.endswith(f"behind all options: convtool {words.split()[0]} ... -- {shown}\n")
    assert "No such option '--rang'" in convtool("rescale", "--rang", "0:1", "--", "-1,2").err
    assert "No such option '-4'" in convtool("-4").err


def test_a_short_option_takes_its_value_after_an_equals_sign_too(convtool: Convtool) -> None:
    assert convtool("convolve", "4,1", "-k=-1,2").out == "-4,7,2\n"
    assert "no such file" in convtool("convolve", "-k", "1", "--", "-k=1").err


def test_an_option_of_one_value_is_given_once(convtool: Convtool) -> None:
    run = convtool("convolve", "4", "-k", "1", "--kernel", "2", "-q", "-q")
    assert (run.code, run.out) == (2, "")
    assert "--kernel is given 2 times; it takes one value" in run.err
    # The completion of a line that is not finished yet
    parent = click.Context(cli, **cli.context_settings)
    assert local_var.make_context("local-var", ["-w", "2", "-w", "3"], parent, resilient_parsing=True)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("convolve 1 -k 1 --gain -6dB", "'--gain': '-6dB' does not fit; expected decibels, such as -6"),
        ("convolve 1 -k 1 --mix 30%", "'--mix': '30%' does not fit; expected a share, such as 0.3, from 0 to 1"),
        ("convolve 1 -k 1 --nodata x", "'--nodata': 'x' does not fit; expected a number"),
        ("convolv 1 -k 1", "there is no command 'convolv'; there is convolve"),
        ("local_var", "there is no command 'local_var'; there is local-var"),
        ("sing", "there is no command 'sing'; there is convolve, local-var, pad-batch"),
        ("convolve 1 -k 1 -o y.csv --overwrite --skip-existing", "--skip-existing leaves them; give either"),
        ("pad-batch 1 -o y.npz --overwrite --skip-existing", "--skip-existing leaves them; give either"),
        ("convolve a.wav b.wav -k 1 -o o/ --subtype PCM_99", "WAV can't hold subtype PCM_99; it can hold"),
        ("convolve 1 -k 1 -o o/ --subtype FLOAT", "--subtype FLOAT is for audio and pictures; .csv has none"),
        ("convolve 1 -k 1 -o o/ --device mps", "--device mps: there is none that torch can use here"),
        ("convolve a.wav -k 1 -o {stem}{ext}", "awav: the extension names no format; {ext} has no dot: write .{ext}"),
        ("convolve a.wav -k 1 -o o{parent}/{stem}.wav", "{parent} is empty, as a.wav was named without a folder"),
    ],
)
def test_what_is_wrong_with_the_words_is_told_once(words: str, error: str, convtool: Convtool) -> None:
    run = convtool(*words.split())
    assert (run.code, run.out) == (2, "")
    assert run.err.startswith("Usage: convtool")
    assert run.err.count("Error: ") == 1
    assert error in run.err


@pytest.mark.parametrize(
    "words",
    [
        "convolve none.x -k 1",
        "convolve 1 -k none.x",
        "convolve --input-list none.x -k 1",
        "pad-batch none.x -o y.npz",
        "unpad-batch none.x -o y/",
        "inspect-weights none.x",
        "lstm none.x 1",
        "rescale 1 --params none.x",
        "rescale 1 --range 0:1 --fit none.x",
    ],
)
def test_what_is_not_there_is_told_in_the_same_words(words: str, convtool: Convtool) -> None:
    run = convtool(*words.split())
    assert run.code == 1
    assert run.err.startswith("Error: ")
    assert run.err.endswith("none.x: no such file\n")


def test_a_list_with_something_else_in_it_is_told(convtool: Convtool) -> None:
    run = convtool("local-var", "1,abc,2", "-w", "2")
    assert (run.code, run.out) == (1, "")
    assert run.err == "Error: 1,abc,2: no such file, and no list of numbers: cell 2, 'abc', is none\n"


def test_a_signal_in_the_place_of_the_model_is_told(convtool: Convtool) -> None:
    amp = model_files.guitarml(Path("amp.json"), *model_files.modules())
    sound("a.wav")
    Path("x.csv").write_text("1,2")
    for words, order in (
        (["a.wav", amp], "amp.json a.wav"),
        (["lost.wav"], "MODEL lost.wav"),
        (["1,2"], "MODEL 1,2"),
        (["x.csv"], "MODEL x.csv"),
        (["-", amp], "amp.json -"),
    ):
        run = convtool("lstm", *words)
        assert run.code == 2
        assert run.err.endswith(f"where the model should stand; that comes first: convtool lstm {order}\n")
    Path("notes").write_text("what to do")
    for name in ("notes", "/proc/self/mem"):
        assert convtool("lstm", name, "1,2").code == 1


def test_modes_are_told_as_the_options_they_are(convtool: Convtool) -> None:
    run = convtool("convolve", "1,2", "-k", "1,2,3", "--mode", "valid")
    assert run.err.startswith("Error: '1,2': --mode valid needs")
    assert run.err.endswith("; use --mode same or full\n")
    run = convtool("local-var", "1,2", "-w", "8", "--mode", "same")
    assert run.err.endswith("use a shorter window, or --padding-mode none, replicate or zeros\n")


# Dry runs


def sound(name: str, rate: int = 8000, channels: int = 1) -> None:
    soundfile.write(name, np.full((50, channels), 0.25), rate)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("convolve a.wav -k k.wav -o y.wav", "the kernel is at 4000 Hz, the signal at 8000 Hz"),
        ("convolve a.wav -k three.wav -o y.wav", "the signal has 2 channels, but the kernel has 3 channels"),
        ("convolve 1,2 -k 1,2,3 --mode valid", "--mode valid needs a signal at least as long as the kernel"),
        ("convolve 1,2 -k 1 -o y.wav", "there is no sample rate to write WAV with"),
        ("convolve three.wav -k 1 -o y.mp3", "MP3 holds up to 2 channels; the result has 3"),
        ("local-var a.wav -w 51", "a window of 51 is longer than the input, which has 50"),
        ("local-var a.wav -w 3x3", "windows of 3x3 need a grid"),
        ("rescale a.wav --params p.json", "what was fitted had 3 channels, and the input has 2"),
        ("lstm amp.json a.wav -o y.wav --condition 1", "the model has no input but the signal"),
        ("lstm wide.json a.wav -o y.wav", "the model has 3 inputs for the signal, which has 2"),
        ("lost.wav", "no such file"),
    ],
)
def test_a_dry_run_finds_what_needs_no_samples(words: str, error: str, convtool: Convtool) -> None:
    sound("a.wav", channels=2)
    sound("three.wav", channels=3)
    sound("k.wav", 4000)
    model_files.guitarml(Path("amp.json"), *model_files.modules())
    model_files.guitarml(Path("wide.json"), *model_files.modules(inputs=3), skip=0)
    Path("p.json").write_text(PARAMS)
    before = sorted(os.listdir())
    command = words.split() if " " in words else ["convolve", words, "-k", "1"]
    run = convtool(*command, "--dry-run")
    assert run.code in (1, 2)
    assert run.out == ""
    assert error in run.err
    assert sorted(os.listdir()) == before


PARAMS = json.dumps(
    {
        "convtool": "rescale",
        "version": 1,
        "method": "minmax",
        "range": [0, 1],
        "channels": [{"min": 0, "max": 1}] * 3,
        "dtype": "float64",
        "sources": 1,
    }
)


def test_a_dry_run_writes_the_report_that_was_asked_for_alone(convtool: Convtool) -> None:
    sound("a.wav", channels=2)
    os.mkfifo("pipe.wav")
    run = convtool(
        *["convolve", "a.wav", "pipe.wav", "-", "-k", "1", "-o", "y/{stem}.wav", "--stride", "2", "--dry-run"],
        *["--report", "r.jsonl"],
    )
    assert (run.code, run.err) == (0, "")
    assert run.out.splitlines()[0] == "a.wav -> y/a.wav"
    rows = [json.loads(line) for line in Path("r.jsonl").read_text().splitlines()]
    assert [row["status"] for row in rows] == ["planned"] * 3
    assert [(row["channels"], row["sample_rate"]) for row in rows] == [(2, 4000), (None, None), (None, None)]
    assert sorted(os.listdir()) == ["a.wav", "pipe.wav", "r.jsonl"]
    run = convtool("convolve", "a.wav", "-k", "1", "-o", "y.wav", "--dry-run", "--plot", "p.png")
    assert (run.code, os.path.exists("p.png")) == (0, False)
    run = convtool("rescale", "a.wav", "--fit", "a.wav", "--range", "0:1", "--save", "s.json", "--dry-run")
    assert (run.code, os.path.exists("s.json")) == (0, False)
    run = convtool("local-var", "a.wav", "-w", "4", "-o", "y.wav", "--dry-run")
    assert (run.code, run.out) == (0, "a.wav -> y.wav\n")
    run = convtool("pad-batch", "1,2", "3", "--dry-run", "--plot", "p.png")
    assert (run.code, os.path.exists("p.png")) == (0, False)
    model_files.guitarml(Path("amp.json"), *model_files.modules())
    run = convtool("lstm", "amp.json", "a.wav", "-o", "y.wav", "--dry-run")
    assert (run.code, run.out) == (0, "a.wav -> y.wav\n")


# What is refused at the end


def test_a_result_that_clips_leaves_nothing_and_is_reported(convtool: Convtool) -> None:
    soundfile.write("a.wav", [0.9, -0.9, 0.1], 8000, subtype="PCM_16")
    run = convtool(
        *["convolve", "a.wav", "-k", "2", "-o", "new/sub/y.wav", "--fail-on-clip", "--report", "r.jsonl"],
    )
    assert run.code == 3
    assert not Path("new").exists()
    assert json.loads(Path("r.jsonl").read_text())["clipped"] == 2
    streamed = convtool("convolve", "a.wav", "-k", "2", "-o", "-", "--format", "wav", "--fail-on-clip")
    assert (streamed.code, streamed.raw) == (3, b"")


def test_an_incomplete_folder_of_shards_is_no_batch_that_exists(convtool: Convtool) -> None:
    words = ["pad-batch", "1,2", "3", "-o", "b/", "--strategy", "single"]
    assert convtool(*words).code == 0
    run = convtool(*words, "--skip-existing", "--report", "r.jsonl")
    assert (run.code, run.err) == (0, "b/ exists; left as it is\n")
    rows = [json.loads(line) for line in Path("r.jsonl").read_text().splitlines()]
    assert [row["status"] for row in rows] == ["skipped", "skipped"]
    Path("b/00001.lengths.npy").unlink()
    run = convtool(*words, "--skip-existing")
    assert run.code == 2
    assert "b/ exists, but is incomplete: there is no 00001.lengths.npy; give --overwrite" in run.err
    Path("b/00001.npy").unlink()
    assert "is incomplete: shard 00001.npy: no such file" in convtool(*words, "--skip-existing").err
    assert convtool(*words, "--overwrite").code == 0
    assert convtool("pad-batch", "1,2", "-o", "b.npz").code == 0
    assert convtool("pad-batch", "1,2", "-o", "b.npz", "--skip-existing").code == 0


def test_a_word_behind_two_dashes_is_no_command(convtool: Convtool) -> None:
    run = convtool("--", "-x")
    assert (run.code, run.err.splitlines()[-1]) == (2, "Error: No such option '-x'.")


def test_work_goes_on_without_workers_that_the_system_refuses(
    convtool: Convtool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from convtool.runs.fork_server import ForkServer

    def refuse(*_: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(ForkServer, "fork", refuse)
    for name in ("a.csv", "b.csv"):
        Path(name).write_text("1\n2\n")
    run = convtool("convolve", "a.csv", "b.csv", "-k", "1", "-o", "out/", "--jobs", "2")
    assert run.code == 0
    assert run.err == (
        "Warning: the system did not start all 2 worker processes: Resource temporarily unavailable; "
        "--jobs asks for fewer\n2 written, 0 skipped, 0 failed\n"
    )


@pytest.mark.parametrize("words", [["-q", "convolve", "-v"], ["-v", "convolve", "-q"], ["convolve", "-q", "-v"]])
def test_quiet_and_verbose_at_once_are_wrong_usage(convtool: Callable[..., Run], words: list[str]) -> None:
    run = convtool(*words, "4", "-k", "1")
    assert (run.code, run.out) == (2, "")
    assert "-q says nothing but errors, and -v tells what was chosen; give one of them" in run.err
