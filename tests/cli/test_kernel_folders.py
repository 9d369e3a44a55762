"""`convtool convolve` with a folder of kernels: one of them for each input, or each of them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from convtool.jobs.choosing import one_of
from convtool.signals.inputs import Input
from tests.conftest import Run
from tests.helpers.schema import faults

Convtool = Callable[..., Run]
RATE = 8000
GAINS = {"irs/a.wav": 0.5, "irs/b.wav": 0.25, "irs/deep/a.wav": 0.125}


@pytest.fixture(autouse=True)
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels of one tap, which tell themselves apart by its height, and inputs of ones."""
    monkeypatch.chdir(tmp_path)
    for folder in ("irs/deep", "takes", "bad", "none"):
        Path(folder).mkdir(parents=True)
    for path, gain in GAINS.items():
        soundfile.write(path, [gain], RATE, subtype="FLOAT")
    for name in ("one", "two", "three"):
        soundfile.write(f"takes/{name}.wav", np.ones(5), RATE, subtype="FLOAT")


def rows(run: Run) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run.out.splitlines()]


def test_all_makes_each_input_with_each_kernel(convtool: Convtool) -> None:
    """Every output is that of its kernel, which the report tells."""
    run = convtool("convolve", "takes", "-k", "irs/", "--pick", "all", "-o", "wet/{stem}-{kernel}.wav", "--json")
    assert run.err == "9 written, 0 skipped, 0 failed\n"
    found = rows(run)
    assert [fault for row in found for fault in faults("report", row)] == []
    assert [(row["input"], row["kernel"]) for row in found] == [
        (f"takes/{name}.wav", kernel) for name in ("one", "three", "two") for kernel in GAINS
    ]
    for row in found:
        assert np.all(soundfile.read(row["output"])[0] == GAINS[row["kernel"]])
    assert sorted(path.name for path in Path("wet").glob("one*")) == ["one-a.wav", "one-b.wav", "one-deep-a.wav"]


@pytest.mark.parametrize("jobs", [1, 2])
def test_random_goes_by_the_name(jobs: int, convtool: Convtool) -> None:
    """Neither the order nor the number of jobs matters, nor how the input was named."""
    options = ("-k", "irs/**/*.wav", "--pick", "random", "--json", "--overwrite", "--jobs", jobs)
    walked = {row["input"]: row["kernel"] for row in rows(convtool("convolve", "takes", "-o", "wet/", *options))}
    named = ("takes/two.wav", "takes/one.wav")
    assert {row["input"]: row["kernel"] for row in rows(convtool("convolve", *named, "-o", "wet/", *options))} == {
        name: walked[name] for name in named
    }
    assert walked == {
        "takes/one.wav": "irs/b.wav",
        "takes/three.wav": "irs/deep/a.wav",
        "takes/two.wav": "irs/a.wav",
    }
    for name, kernel in walked.items():
        assert np.all(soundfile.read(f"wet/{Path(name).name}")[0] == GAINS[kernel])


def test_choices_are_even_and_stable() -> None:
    """Each of three is chosen about a third of the time; one more takes a quarter away and moves nothing else."""
    kernels = [Input("file", f"irs/{name}.wav", f"{name}.wav") for name in "abcd"]
    inputs = [Input("file", f"x/{number}.wav", f"{number}.wav") for number in range(3000)]
    three, four, other = (
        one_of("kernel", kernels[:3], 0),
        one_of("kernel", kernels, 0),
        one_of("kernel", kernels[:3], 1),
    )
    before, after = ([each(item)[0].word for item in inputs] for each in (three, four))
    assert all(900 < before.count(kernel.value) < 1100 for kernel in kernels[:3])
    moved = [new for old, new in zip(before, after, strict=True) if old != new]
    assert set(moved) == {"irs/d.wav"}
    assert 650 < len(moved) < 850
    assert 900 < sum(other(item)[0].word == old for item, old in zip(inputs, before, strict=True)) < 1100


def test_a_single_kernel_needs_no_choice(convtool: Convtool) -> None:
    """A folder of one; and a template may name the kernel of any run."""
    run = convtool("convolve", "1,2", "-k", "irs/deep", "--json", "-o", "y.csv")
    assert "kernel" not in rows(run)[0]
    assert Path("y.csv").read_text() == "0.125,0.25\n"
    run = convtool("convolve", "takes/one.wav", "-k", "irs/deep/a.wav", "-o", "{kernel}-{stem}.csv", "--json")
    assert rows(run)[0]["output"] == "a-one.csv"
    assert rows(run)[0]["kernel"] == "irs/deep/a.wav"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("-k irs/ -o wet/", "irs/ stands for 3 kernels; give --pick random, .* or --pick all"),
        ("-k irs/*.wav -o wet/", "stands for 2 kernels; give --pick random"),
        ("-k irs/ --pick all -o wet/", r"--pick all makes 3 outputs of each input; name them with \{kernel\}"),
        ("-k irs/ --seed 1 -o wet/", "--seed is for --pick random"),
        ("-k irs/ --pick all --seed 1 -o wet/", "--seed is for --pick random"),
        ("-k irs/ --pick all -o {kernel}{stem}.wav --plot p.png", "--plot draws one input; 9 were given"),
    ],
)
def test_what_is_refused(arguments: str, said: str, convtool: Convtool) -> None:
    Path("words").mkdir()
    Path("words/read.me").write_text("nothing")
    run = convtool("convolve", "takes", *arguments.split())
    assert run.code == 2
    assert re.search(said, run.err)


def test_a_folder_without_kernels_is_an_empty_input(convtool: Convtool) -> None:
    Path("words").mkdir()
    Path("words/read.me").write_text("nothing")
    for folder, left in (("none/", "it is empty"), ("words/", "1 passed over, such as words/read.me")):
        run = convtool("convolve", "takes", "-k", folder, "-o", "wet/")
        assert (run.code, run.err) == (1, f"Error: there is no kernel in {folder}: {left}\n")


def test_bad_kernels_are_told_before_any_work(convtool: Convtool) -> None:
    """All of them, each in a line."""
    Path("irs/c.wav").write_text("no sound")
    Path("irs/d.wav").write_bytes(b"RIFF")
    run = convtool("convolve", "takes", "-k", "irs", "--pick", "random", "-o", "wet/")
    assert run.code == 1
    assert [line.partition(": ")[2][:16] for line in run.err.splitlines()] == ["kernel irs/c.wav", "kernel irs/d.wav"]
    assert not Path("wet").exists()


def test_a_kernel_that_does_not_fit_fails_its_inputs_alone(convtool: Convtool) -> None:
    """Rate and channels are checked for each kernel; the message says which."""
    soundfile.write("irs/b.wav", [1.0], 2 * RATE, subtype="FLOAT")
    run = convtool("convolve", "takes/one.wav", "-k", "irs", "--pick", "all", "-o", "wet/{kernel}.wav")
    assert run.code == 1
    assert "Error: takes/one.wav with irs/b.wav: the kernel is at 16000 Hz" in run.err
    assert "2 written, 0 skipped, 1 failed" in run.err


def test_a_dry_run_tells_the_kernels(convtool: Convtool) -> None:
    Path("irs/read.me").write_text("nothing")
    run = convtool("convolve", "takes/one.wav", "-k", "irs", "--pick", "all", "-o", "{kernel}.wav", "--dry-run", "-v")
    assert "passed over, no kernel: irs/read.me" in run.err
    assert run.out.splitlines()[0] == "takes/one.wav with irs/a.wav -> a.wav"
    assert not list(Path().glob("*.wav"))
