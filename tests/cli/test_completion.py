"""`convtool completion`: what is offered where, and the scripts in the shells that they are for."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import pytest
from safetensors.numpy import save_file

from convtool.cli.main import COMMANDS, cli
from convtool.cli.shells import SHELLS, VARIABLE
from tests.conftest import PROGRAM, Run

BREAKS = " \t\n\"'><=;|&(:"
Answer = Callable[..., list[str]]


@pytest.fixture(autouse=True)
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with files that have names inside."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "x.csv").write_text("temp (C),time\n1,2\n3,4\n5,6\n")
    (tmp_path / "semi.csv").write_text("day;night\n1,5;2\n3;4\n")
    (tmp_path / "bare.csv").write_text("1,2\n3,4\n5,6\n")
    channels = [{"name": "open", "min": 0, "max": 1}, {"name": None, "min": 0, "max": 2}]
    (tmp_path / "p.json").write_text(json.dumps({"method": "minmax", "range": [0, 1], "channels": channels}))
    weights = {"conv1.weight": np.ones((1, 1, 3), np.float32), "my bias[0]": np.ones(2, np.float32)}
    save_file(weights, tmp_path / "w.safetensors")


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Answer:
    """What a shell is told, a line each, for a line that ends at the cursor."""

    def ask(line: str, shell: str = "bash", **environment: str) -> list[str]:
        for name, value in {"COMP_WORDS": line, "COMP_WORDBREAKS": BREAKS, **environment}.items():
            monkeypatch.setenv(name, value)
        return SHELLS[shell](cli, {}, "convtool", VARIABLE).complete().splitlines()

    return ask


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("convtool co", "convolve completion"),
        ("convtool completion ", "bash zsh fish"),
        ("convtool convolve x.csv --mode a", "aligned"),
        ("convtool convolve x.csv --mode=va", "valid"),
        ("convtool convolve x.csv --kernel-n", "--kernel-norm"),
        ("convtool convolve x.csv --format fl", "flac"),
        ("convtool convolve x.csv --input-format raw:f3", "f32le f32be"),
        ("convtool convolve x.csv -o a.flac --subtype ", "PCM_S8 PCM_16 PCM_24"),
        ("convtool convolve x.csv --format csv --subtype ", ""),
        ("convtool convolve x.csv -o a.png --subtype ", "8 16"),
        ("convtool convolve x.csv --subtype PCM_3", "PCM_32"),
        ("convtool convolve x.csv --gain ", ""),
        ("convtool local-var x.csv -w 2 --stat mean,m", "mean,min mean,max mean,median"),
        ("convtool local-var x.csv -w 2 --columns t", r"temp\ \(C\) time"),
        ("convtool local-var x.csv -w 2 --columns time,", r"time,temp\ \(C\)"),
        ("convtool local-var ~/x.csv -w 2 --keep-columns=ti", "time"),
        ("convtool -q local-var semi.csv --decimal , -w 2 --columns d", "day"),
        ("convtool local-var bare.csv -w 2 --columns ", "1 2"),
        ("convtool local-var -w 2 --columns ", ""),
        ("convtool local-var missing.csv -w 2 --columns ", ""),
        ("convtool rescale bare.csv --params p.json --params-columns ", "open 2"),
        ("convtool rescale bare.csv --params=~/p.json --params-columns 2,", "2,open"),
        ("convtool rescale bare.csv --fit x.csv --fit semi.csv --params-columns te", r"temp\ \(C\)"),
        ("convtool rescale bare.csv --params x.csv --params-columns ", ""),
        ("convtool rescale bare.csv --params-columns ", ""),
        ("convtool convolve x.csv -k w.safetensors::c", "conv1.weight"),
        ("convtool convolve x.csv -k ~/w.safetensors::m", r"my\ bias\[0\]"),
        ("convtool convolve x.csv -k x.csv::c", ""),
        ("convtool convolve w.safetensors::conv", "conv1.weight"),
        ("convtool inspect-weights w.safetensors --tensor ", r"conv1.weight my\ bias\[0\]"),
        ("convtool inspect-weights --tensor ", ""),
    ],
)
def test_what_can_stand_at_the_cursor(line: str, words: str, answer: Answer) -> None:
    """Words come as bash puts them behind the last character that breaks words for it."""
    assert [each.removeprefix("plain,") for each in answer(line)] == [
        each for each in re.split(r"(?<!\\) ", words) if each
    ]


def test_paths_are_left_to_the_shell(answer: Answer) -> None:
    """Every option that names a file is completed with files."""
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        for param in command.params:
            if (
                isinstance(param, click.Option)
                and param.metavar
                and ("FILE" in param.metavar or "PATH" in param.metavar)
            ):
                assert answer(f"convtool {name} {param.opts[-1]} some") == ["file,some"]
    assert answer("convtool convolve gui") == ["file,gui"]
    assert answer("convtool convolve --output=gui", "fish") == ["file,--output=,gui"]


def test_shells_differ_in_what_they_want_quoted(answer: Answer) -> None:
    """zsh takes words as they will stand there, unless they stand in quotes; fish quotes them itself."""
    line = "convtool inspect-weights w.safetensors --tensor={}m"
    assert answer(line.format("'")) == ["plain,my bias[0]"]
    assert answer(line.format(""), "zsh") == ["plain", r"--tensor=my\ bias\[0\]", "_"]
    assert answer("convtool convolve x.csv -k 'w.safetensors::m", "zsh", COMP_QUOTE="'") == [
        "plain",
        "w.safetensors::my bias[0]",
        "_",
    ]
    assert answer(line.format(""), "fish") == ["plain,--tensor=my bias[0]"]
    assert answer("convtool co", "zsh")[:2] == ["plain", "convolve"]


def in_shell(*command: str) -> str:
    """What a shell prints that finds the program first of all."""
    path = f"{PROGRAM.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | {"PATH": path})
    assert not done.stderr
    return done.stdout


def test_bash_runs_the_script(convtool: Callable[..., Run], tmp_path: Path) -> None:
    """As it does when Tab is typed."""
    (tmp_path / "script").write_text(convtool("completion", "bash").out)
    line = "convtool convolve x.csv -k w.safetensors::"
    ask = f"source ./script; COMP_LINE='{line}' COMP_POINT={len(line)}; _convtool_completion convtool"
    assert in_shell("bash", "--norc", "-c", f"{ask}; printf '%s\\n' \"${{COMPREPLY[@]}}\"").splitlines() == [
        "conv1.weight",
        r"my\ bias\[0\]",
    ]


@pytest.mark.skipif(shutil.which("zsh") is None, reason="there is no zsh here")
def test_zsh_reads_the_script(convtool: Callable[..., Run], tmp_path: Path) -> None:
    """It defines the function, and says who completes the program."""
    (tmp_path / "script").write_text(convtool("completion", "zsh").out)
    asked = (
        "autoload -U compinit; compinit -u -D; source ./script; print $_comps[convtool]; whence -w $_comps[convtool]"
    )
    assert in_shell("zsh", "-f", "-c", asked).split() == ["_convtool_completion", "_convtool_completion:", "function"]


@pytest.mark.skipif(shutil.which("fish") is None, reason="there is no fish here")
def test_fish_runs_the_script(convtool: Callable[..., Run], tmp_path: Path) -> None:
    """With commas in words, and files behind an equals sign."""
    (tmp_path / "script").write_text(convtool("completion", "fish").out)

    def complete(line: str) -> list[str]:
        return in_shell("fish", "--no-config", "-c", f"source ./script; complete -C '{line}'").split("\n")

    assert complete("convtool local-var x.csv -w 2 --columns time,")[0] == "time,temp (C)"
    assert complete("convtool convolve --report=se")[0].partition("\t")[0] == "--report=semi.csv"


def test_what_the_program_runs_on(convtool: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    """-v adds versions and devices, on either side of --version."""
    import soundfile
    import torch

    plain, told = convtool("--version"), convtool("--version", "-v")
    assert plain.out == told.out.splitlines()[0] + "\n"
    assert convtool("-v", "--version").out == told.out
    for line in (
        f"torch {torch.__version__}",
        f"libsndfile {soundfile.__libsndfile_version__}",
        f"numpy {np.__version__}",
    ):
        assert line in told.out.splitlines()
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda number: f"card {number}")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr("convtool.jobs.versions._PACKAGES", ("torch", "no-such-package"))
    last = convtool("--version", "-v").out.splitlines()
    assert last[-1].endswith(", cuda:0 (card 0), mps")
    assert len(last) == 5
