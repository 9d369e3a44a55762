"""`convtool rescale`: every option, against the formulas, and every file it writes, opened."""

from __future__ import annotations

import io
import json
import math
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from convtool.cli.main import cli
from convtool.cli.rescale import rescale as command
from convtool.signals.signal import Block

Convtool = Callable[..., Any]
RATE = 8000


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def noise(*shape: int, seed: int = 0) -> Block:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, shape)


def wav(path: str, frames: Any, subtype: str = "FLOAT") -> Block:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, frames, RATE, subtype=subtype)
    return read(path)


def read(path: str) -> Block:
    frames: Block = soundfile.read(path, dtype="float64")[0]
    return frames


def numbers(text: str) -> Block:
    return np.loadtxt(io.StringIO(text), delimiter=",", ndmin=2)


def params(**changed: Any) -> str:
    record = {"method": "minmax", "range": [-1, 1], "channels": [{"min": 0, "max": 4}], **changed}
    Path("p.json").write_text(json.dumps(record))
    return "p.json"


# Numbers in, numbers out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("0,1,4 --range -1:1", "-1,-0.5,1"),
        ("0,1,4 --range=-1:1", "-1,-0.5,1"),
        ("4,1,2,5 --range 0:1", "0.75,0,0.25,1"),
        ("--range -20:30 -- -5,5", "-20,30"),
        ("5,5,5 --range -1:3", "1,1,1"),
        ("7 --range 0:255", "127.5"),
        ("0,0,0 --range -1:1", "0,0,0"),
        ("--range -1:1 --method clip -- -0.5,0,0.25", "-0.5,0,0.25"),
        ("0,1000,-1000 --range -20:30 --method sigmoid", "5,30,-20"),
        ("0,1000,-1000 --range -20:30 --method tanh", "5,30,-20"),
        ("5,30,-20 --range -20:30 --method sigmoid --invert", "0,36.04365338911715,-36.04365338911715"),
        ("5,30,-20 --range -20:30 --method tanh --invert --eps 0", "0,inf,-inf"),
        ("5,30,-20 --range -20:30 --method tanh --invert --eps 0.25 --dtype float32", "0,0.54930615,-0.54930615"),
        ("0,nan,4,inf --range -1:1", "-1,nan,1,inf"),
        ("0,nan,4,inf --range -1:1 --nan propagate", "nan,nan,nan,nan"),
        ("1,nan,4,inf --range -1:1 --nan zero", "-0.5,-1,1,-1"),
        ("nan,nan --range 0:1", "nan,nan"),
        ("--range -1e308:1e308 -- -1e308,1e308,0", "-1e308,1e308,0"),
        ("0,1,4 --range -1:1 --fit 0,8", "-1,-0.75,0"),
        ("0,1,4 --range -1:1 --fit 0,2 --fit 8,nan", "-1,-0.75,0"),
        ("--invert --fit 0,8 --range -1:1 -- -1,-0.75,0", "0,1,4"),
        ("1,3,1,3 --method standard", "-1,1,-1,1"),
        ("1,2,3,4,90 --method robust", "-1,-0.5,0,0.5,43.5"),
        ("--method maxabs -- 0,1,-4", "0,0.25,-1"),
        ("5,5,5 --method standard", "0,0,0"),
        ("5,5,5 --method robust", "0,0,0"),
        ("0,0 --method maxabs", "0,0"),
        ("0,nan,2,inf --method standard", "-1,nan,1,inf"),
        ("0,nan,2 --method standard --nan propagate", "nan,nan,nan"),
        ("nan,nan --method robust", "nan,nan"),
        ("9007199254740993,9007199254740995 --method standard", "-1,1"),
        ("3 --method standard --fit 1,3 --fit 5", "0"),
        ("0,1 --method standard --fit 1,3,5 --invert", "3,4.6329931618554525"),
    ],
)
def test_numbers(arguments: str, expected: str, convtool: Convtool) -> None:
    run = convtool("rescale", *arguments.split())
    assert (run.code, run.err, run.out) == (0, "", expected + "\n")


@pytest.mark.parametrize(
    ("text", "arguments", "expected"),
    [
        ("1\n2\n5\n", "", "0\n0.25\n1\n"),
        (
            "a,b\n0,10\n1,30\n4,20\n",
            "",
            "a,b\n0,0.3333333333333333\n0.03333333333333333,1\n0.13333333333333333,0.6666666666666666\n",
        ),
        ("a,b\n0,10\n1,30\n4,20\n", "--per-channel", "a,b\n0,0\n0.25,1\n1,0.5\n"),
        ("a,b\n0,10\n1,30\n4,20\n", "--per-channel --columns b", "b\n0\n1\n0.5\n"),
        ("t;x\n1,5;2\n2,5;2\n", "--decimal , --per-channel --format tsv", "t\tx\n0\t0.5\n1\t0.5\n"),
        ("1 nan\n3 nan\n", "--per-channel", "0,nan\n1,nan\n"),
    ],
)
def test_text_on_standard_input_is_read_twice(text: str, arguments: str, expected: str, convtool: Convtool) -> None:
    run = convtool("rescale", "--range", "0:1", *arguments.split(), stdin=text.encode())
    assert (run.code, run.err, run.out) == (0, "", expected)


@pytest.mark.parametrize("dtype", ["float64", "float32", "int16", "int64"])
@pytest.mark.parametrize(("shape", "layout"), [((7,), "NCT"), ((2, 7), "NCT"), ((3, 2, 7), "NCT"), ((3, 7, 2), "NTC")])
def test_npy(shape: tuple[int, ...], layout: str, dtype: str, convtool: Convtool) -> None:
    x = (noise(*shape) * 100).astype(dtype)
    np.save("x.npy", x)
    how = ["--range", "-1:1", "--layout", layout, "-o", "y.npy", "--overwrite"]
    for axis in (None, 1 if layout == "NCT" else 2) if len(shape) == 3 else (None,):
        run = convtool("rescale", "x.npy", *how, *["--per-channel"] * (axis is not None))
        assert (run.code, run.err) == (0, "")
        y = np.load("y.npy")
        others = None if axis is None else tuple(sorted({0, 1, 2} - {axis}))
        low, high = (f(axis=others, keepdims=True).astype("f8") for f in (x.min, x.max))
        assert (y.shape, y.dtype) == (shape, np.float32 if dtype == "float32" else np.float64)
        np.testing.assert_allclose(
            y, 2 * (x - low) / (high - low) - 1, rtol=0, atol=1e-7 if dtype == "float32" else 1e-15
        )


# Audio, and the folder of the story: fitted, scaled, brought back


@pytest.mark.parametrize(("subtype", "steps"), [("PCM_16", 2**15), ("PCM_24", 2**23), ("PCM_32", 2**31), ("DOUBLE", 0)])
def test_audio_keeps_its_subtype(subtype: str, steps: int, convtool: Convtool) -> None:
    x = wav("x.wav", noise(400, 2), subtype)
    run = convtool("rescale", "x.wav", "--range", "-0.9:0.8", "-o", "y.wav")
    assert (run.code, run.err, soundfile.info("y.wav").subtype) == (0, "", subtype)
    wanted = -0.9 + (x - x.min()) * (1.7 / (x.max() - x.min()))
    np.testing.assert_allclose(
        read("y.wav"), wanted, rtol=0, atol=0.51 / steps + 1e-7 * (steps < 2**31) if steps else 1e-15
    )


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("channels", [["--per-channel"], []])
def test_a_folder_is_fitted_scaled_and_brought_back(channels: list[str], jobs: int, convtool: Convtool) -> None:
    takes = {
        "a.wav": wav("takes/a.wav", noise(500, 2), "PCM_16"),
        "b/c.wav": wav("takes/b/c.wav", noise(300, 2, seed=1) * 5, "FLOAT"),
        "d.wav": wav("takes/d.wav", noise(10, 2, seed=2) / 10, "DOUBLE"),
    }
    Path("takes/notes.md").write_text("none of the signals")
    options = ["--range", "-1:1", "--subtype", "DOUBLE", "--jobs", jobs]
    run = convtool("rescale", "takes", "--fit", "takes/", *channels, "--save", "p.json", *options[:4], "-o", "scaled/")
    assert (run.code, run.err.splitlines()[-1]) == (0, "3 written, 0 skipped, 0 failed")
    kept = json.loads(Path("p.json").read_text())
    axis = 0 if channels else None
    both = np.concatenate(list(takes.values()))
    low, high = both.min(axis), both.max(axis)
    assert [each["min"] for each in kept["channels"]] == np.atleast_1d(low).tolist()
    assert [each["max"] for each in kept["channels"]] == np.atleast_1d(high).tolist()
    assert (kept["method"], kept["range"], kept["sources"], kept["dtype"]) == ("minmax", [-1, 1], 3, "float64")
    scaled = np.concatenate([read(f"scaled/{name}") for name in takes])
    assert (scaled.min(), scaled.max()) == (-1, 1)
    run = convtool("rescale", "scaled", "--params", "p.json", "--invert", "-o", "back/", "--jobs", jobs, *channels)
    assert (run.code, run.err) == (0, "3 written, 0 skipped, 0 failed\n")
    for name, x in takes.items():
        ulp = np.spacing(np.max(high - low).astype(np.float64 if name == "d.wav" else np.float32))
        assert np.abs(read(f"back/{name}") - x).max() <= 2 * ulp
        np.testing.assert_allclose(read(f"scaled/{name}"), 2 * (x - low) / (high - low) - 1, rtol=0, atol=1e-7)


def test_clipping_in_the_file_is_told(convtool: Convtool) -> None:
    wav("x.wav", [0.5, -0.5, 0.25], "PCM_16")
    run = convtool("rescale", "x.wav", "--range", "0:255", "-o", "y.wav")
    assert run.err.startswith(
        "Warning: x.wav: 2 samples clipped, the peak is +48.13 dB over full scale; a range within -1:1"
    )
    run = convtool("rescale", "x.wav", "--range", "0:255", "-o", "z.wav", "--fail-on-clip")
    assert (run.code, Path("z.wav").exists()) == (3, False)
    run = convtool("rescale", "x.wav", "--range", "0:255", "-o", "y.csv", "--fail-on-clip")
    assert (run.code, Path("y.csv").read_text()) == (0, "255\n0\n191.25\n")


def test_clip_counts(convtool: Convtool) -> None:
    options = ["--range", "-1:2", "--method", "clip", "--report", "r.jsonl", "--overwrite"]
    run = convtool("rescale", "0,9,2,inf,nan", *options)
    assert (run.code, run.out) == (0, "0,2,2,2,nan\n")
    assert run.err == ""
    assert "2 samples clipped to -1:2" in convtool("rescale", "0,9,2,inf,nan", *options, "-v").err
    assert json.loads(Path("r.jsonl").read_text())["clipped"] == 2
    run = convtool("rescale", "0,9,2", *options, "--fail-on-clip")
    assert (run.code, run.out) == (3, "")
    assert run.err == "Error: '0,9,2': 1 sample clipped to -1:2, and --fail-on-clip was given; nothing was written\n"
    assert json.loads(Path("r.jsonl").read_text())["clipped"] == 1
    assert convtool("rescale", "0,-1,2", *options, "--fail-on-clip").code == 0


def test_what_was_not_fitted_is_told(convtool: Convtool) -> None:
    run = convtool("rescale", "0,6,4,9", "--params", params())
    assert (run.code, run.out) == (0, "-1,2,1,3.5\n")
    assert run.err == "Warning: '0,6,4,9': 2 samples outside what was fitted (0:4); results may leave -1:1\n"


def test_blocks_and_threads_do_not_show_in_the_bytes(convtool: Convtool, monkeypatch: pytest.MonkeyPatch) -> None:
    x = wav("x.wav", noise(90_001, 2), "DOUBLE")
    for method in (["minmax", "--per-channel"], ["sigmoid"]):
        made = []
        for samples, threads in ((1 << 19, 1), (1 << 19, 2), (30_011, 2)):
            monkeypatch.setattr("convtool.jobs.signal_job.BLOCK_SAMPLES", samples)
            monkeypatch.setattr("convtool.jobs.rescale.fitting.BLOCK_SAMPLES", samples)
            options = ["--range", "-20:30", "--method", *method, "--threads", threads, "-o", "y.npy", "--overwrite"]
            assert convtool("rescale", "x.wav", *options).code == 0
            made.append(Path("y.npy").read_bytes())
        assert len(set(made)) == 1
    np.testing.assert_allclose(np.load("y.npy"), (-20 + 50 / (1 + np.exp(-x))).T, rtol=1e-15, atol=1e-14)


# Keeping what was found


def test_parameters_there_and_back_through_pipes(convtool: Convtool) -> None:
    text = "a,b\n0.1,10\n1,30\n4,20\n"
    run = convtool("rescale", "--range", "-1:1", "--per-channel", "--save", "p.json", stdin=text.encode())
    assert (run.code, run.err) == (0, "")
    kept = json.loads(Path("p.json").read_text())["channels"]
    assert kept == [{"name": "a", "min": 0.1, "max": 4}, {"name": "b", "min": 10, "max": 30}]
    back = convtool("rescale", "--params", "p.json", "--invert", stdin=run.raw)
    assert (back.code, back.out.partition("\n")[0]) == (0, "a,b")
    np.testing.assert_allclose(numbers(back.out.partition("\n")[2]), numbers(text.partition("\n")[2]), rtol=1e-15)
    again = convtool("rescale", "--params", "p.json", "--range=-1:1", "--method", "minmax", stdin=text.encode())
    assert (again.err, again.out) == ("", run.out)


def test_a_prediction_of_one_column_comes_back(convtool: Convtool) -> None:
    Path("x.csv").write_text("open,high,close\n1,10,100\n3,30,300\n")
    fit = convtool("rescale", "--fit", "x.csv", "--range", "0:1", "--per-channel", "--save", "p.json")
    assert (fit.code, fit.err) == (0, "")
    back = convtool("rescale", "--params", "p.json", "--invert", stdin=b"close\n0.25\n1.25\n")
    assert (back.code, back.out) == (0, "close\n150\n350\n")
    row = convtool("rescale", "0.25,1.25", "--params", "p.json", "--invert", "--params-columns", "close")
    assert (row.code, row.out) == (0, "150,350\n")
    swapped = convtool("rescale", "x.csv", "--fit", "x.csv", "--range=0:1", "--per-channel", "--columns", "close,open")
    assert swapped.out == "close,open\n0,0\n1,1\n"


@pytest.mark.parametrize(
    ("method", "keys"), [("standard", ("mean", "std")), ("robust", ("median", "iqr")), ("maxabs", ("maxabs",))]
)
def test_columns_without_a_range_come_back(method: str, keys: tuple[str, ...], convtool: Convtool) -> None:
    x = noise(50, 3) * [1, 100, 0.01] + [0, 1e9, 7]
    Path("x.csv").write_text("open,high,close\n" + "\n".join(",".join(map(repr, row)) for row in x.tolist()))
    fit = convtool("rescale", "--fit", "x.csv", "--method", method, "--per-channel", "--save", "p.json")
    assert (fit.code, fit.err) == (0, "")
    kept = json.loads(Path("p.json").read_text())
    assert ("range" in kept, kept["method"]) == (False, method)
    assert [set(each) - {"rest"} for each in kept["channels"]] == [{"name", *keys}] * 3
    scaled = convtool("rescale", "x.csv", "--params", "p.json", "--columns", "close,open")
    whole = convtool("rescale", "x.csv", "--method", method, "--per-channel", "--columns", "close,open")
    assert (scaled.err, scaled.out) == ("", whole.out)
    back = convtool("rescale", "--params", "p.json", "--invert", stdin=scaled.raw)
    assert back.out.partition("\n")[0] == "close,open"
    np.testing.assert_allclose(numbers(back.out.partition("\n")[2]), x[:, [2, 0]], rtol=1e-15, atol=1e-16)
    Path("y.csv").write_text(scaled.out.partition("\n")[2])
    named = convtool("rescale", "y.csv", "--params", "p.json", "--invert", "--params-columns", "3,1")
    assert named.out == back.out.partition("\n")[2]


def test_numbers_beyond_what_was_fitted(convtool: Convtool) -> None:
    fit = ["--fit", "0,8", "--range", "-1:1"]
    run = convtool("rescale", "0,9,-3,nan", *fit, "--clip")
    assert (run.code, run.out) == (0, "-1,1,-1,nan\n")
    assert run.err == ""  # as was asked for
    strict = convtool("rescale", "0,9", *fit, "--clip", "--fail-on-clip")
    assert (strict.code, strict.out) == (3, "")
    beyond = convtool("rescale", "0,9", "--fit", "0,4", "--method", "maxabs")
    assert (beyond.out, beyond.err) == (
        "0,2.25\n",
        "Warning: '0,9': 1 sample outside what was fitted (maxabs 4); results may leave -1:1\n",
    )
    assert convtool("rescale", "0,9", "--fit", "0,4", "--method", "standard").err == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            "1,1,1,1,2 --method robust",
            "half of what was fitted is one number, the interquartile range 0, and all",
        ),
        (
            "1,2 --method standard --fit 3,3",
            "it was fitted to a constant, and there are other numbers in it, which wou",
        ),
        ("1,0 --method maxabs --fit 0,0", "it was fitted to a constant"),
        (f"{2**60},1 --method standard --fit {2**60 + 1},{2**60 + 1}", "it was fitted to a constant"),
    ],
)
def test_a_scale_of_0_has_no_place_for_others(arguments: str, message: str, convtool: Convtool) -> None:
    run = convtool("rescale", *arguments.split())
    assert (run.code, run.out) == (1, "")
    assert message in run.err
    Path("x.csv").write_text("a,b\n1,5\n2,5\n9,5\n")
    beside = convtool("rescale", "x.csv", "--method", "robust", "--per-channel")
    assert (beside.code, beside.out) == (0, "a,b\n-0.25,0\n0,0\n1.75,0\n")


def test_many_passes_over_standard_input_and_sources(convtool: Convtool, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = convtool("rescale", "4,1,2,5,3", "--method", "robust").out
    monkeypatch.setattr("convtool.ops.order_statistics._FEW", 2)
    assert convtool("rescale", "-", "--method", "robust", stdin=b"4,1,2,5,3\n").out == expected
    both = ["--method", "robust", "--fit", "4,1", "--fit", "-"]
    assert convtool("rescale", "4,1,2,5,3", *both, stdin=b"2,5,3\n").out == expected
    assert convtool("rescale", *both, "--save", "p.json", stdin=b"2,5,3\n").code == 0
    assert convtool("rescale", "4,1,2,5,3", "--params", "p.json").out == expected
    assert json.loads(Path("p.json").read_text())["sources"] == 2


def test_a_squash_is_kept_too(convtool: Convtool) -> None:
    run = convtool("rescale", "0", "1", "--range", "-2:2", "--method", "tanh", "--save", "p.json", "-o", "{index}.npy")
    assert (run.code, json.loads(Path("p.json").read_text())["channels"]) == (0, [])
    y = np.load("1.npy")
    assert y[0] == pytest.approx(2 * math.tanh(1), rel=1e-15)
    assert float(convtool("rescale", "1.npy", "--params", "p.json", "--invert").out) == pytest.approx(1, rel=1e-15)


def test_only_fitting(convtool: Convtool) -> None:
    wav("takes/a.wav", noise(9, 2))
    Path("takes/notes.md").write_text("none")
    fit = ["rescale", "--fit", "takes", "--fit", "-3,3", "--range", "0:1", "--save", "p.json"]
    run = convtool(*fit, "--dry-run")
    assert (run.code, run.out, os.listdir()) == (0, "takes/a.wav -> p.json\n'-3,3' -> p.json\n", ["takes"])
    run = convtool(*fit, "-v")
    assert (run.code, run.out, run.err) == (0, "", "passed over: takes/notes.md\nfitted to 2 inputs: -3:3\n")
    assert json.loads(Path("p.json").read_text())["sources"] == 2
    run = convtool(*fit[:3], "-v", "--range", "0:1", "--save", "q.json", "--per-channel")
    assert run.err.endswith("fitted to 1 input: the ranges of 2 channels\n")


def test_standard_input_is_worked_on_where_there_is_an_output(convtool: Convtool) -> None:
    fit = ["rescale", "--fit", "0,8", "--range", "0:1", "--save", "p.json", "--overwrite"]
    assert convtool(*fit, "-", stdin=b"1,2\n").out == "0.125,0.25\n"
    assert convtool(*fit, "-o", "-", stdin=b"1,2\n").out == "0.125,0.25\n"
    assert convtool(*fit, stdin=b"1,2\n").out == ""
    assert convtool(*fit[:1], "--fit", "-", *fit[3:], stdin=b"1,2\n").code == 0
    assert json.loads(Path("p.json").read_text())["channels"] == [{"name": None, "min": 1, "max": 2}]
    assert convtool(*fit[:1], "--fit", "-", *fit[3:5], "1,2", stdin=b"0,4\n").out == "0.25,0.5\n"


def test_what_fitting_notes_is_told(convtool: Convtool) -> None:
    wav("x.wav", noise(9))
    Path("x.wav").rename("x.csv")
    run = convtool("rescale", "1,2", "--fit", "x.csv", "--range", "0:1", "-o", "y.npy")
    assert run.err.splitlines()[0] == "Warning: x.csv: named .csv, but its content is WAV; read as that"


def test_a_bad_source_ends_all_before_anything_is_written(convtool: Convtool) -> None:
    wav("takes/a.wav", noise(9))
    Path("takes/b.wav").write_text("<html>")
    run = convtool("rescale", "takes/a.wav", "--fit", "takes", "--range", "0:1", "--save", "p.json", "-o", "out/")
    assert (run.code, run.out) == (1, "")
    assert run.err.startswith("Error: takes/b.wav: the content is an HTML")
    assert os.listdir() == ["takes"]


# What is refused


def test_a_folder_without_anything_to_fit_is_an_empty_input(convtool: Convtool) -> None:
    np.save("x.npy", noise(5))
    Path("empty").mkdir()
    run = convtool("rescale", "x.npy", "--range", "0:1", "--fit", "empty")
    assert (run.code, run.err) == (1, "Error: there is no signal file in what --fit names\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("x.npy", "there is no range to bring numbers into; give --range LOW:HIGH, or --params"),
        ("x.npy --range 1", "'1' is no range: give two numbers, LOW:HIGH, such as -1:1"),
        ("x.npy --range 30:-20", "30:-20 is inverted; the lower number comes first: -20:30"),
        ("x.npy --range 1:1", "1:1 is empty; the numbers must differ"),
        ("x.npy --range 0:inf", "'0:inf' is no range"),
        ("x.npy --range 0:1 --method log", "'log' is not one of 'minmax', 'clip', 'sigmoid', 'tanh'"),
        ("x.npy --range 0:1 --method clip --invert", "--invert can't undo clip: what lay beyond is gone"),
        ("x.npy --range 0:1 --invert", "--invert needs what the data was scaled by: give --params, or --fit and that"),
        (
            "x.npy --range 0:1 --method tanh --fit x.npy",
            "--fit finds what minmax, standard, robust, maxabs go by; tanh needs no data",
        ),
        ("x.npy --range 0:1 --eps 0.1", "--eps is for --invert with sigmoid or tanh, whose ends stand for infinity"),
        ("x.npy --range 0:1 --eps 0.1 --method tanh", "--eps is for --invert with sigmoid or tanh"),
        ("x.npy --range 0:1 --eps 0.5 --invert --method tanh", "0.5 is no share of a range; expected 0 or more"),
        ("x.npy --range 0:1 --eps nan --invert --method tanh", "nan is no share of a range"),
        ("x.npy --range 0:1 --eps=-1 --invert --method tanh", "-1.0 is no share of a range"),
        ("x.npy --params p.json --range 0:1", "--range is 0:1, but p.json says -1:1; leave it out"),
        ("x.npy --params p.json --method clip", "--method is clip, but p.json says minmax; leave it out"),
        ("x.npy --params p.json --fit x.npy", "--fit is for what is yet to be fitted, and --params brings that"),
        ("x.npy --params p.json --save q.json", "--save is for what is yet to be fitted"),
        (
            "x.npy --range 0:1 --params-columns a",
            "--params-columns is for what minmax, standard, robust, maxabs were fitted",
        ),
        ("x.npy --params clip.json --params-columns a", "--params-columns is for what minmax, standard"),
        ("x.npy --range 0:1 --method standard", "--range is for methods with a range, and standard has none"),
        (
            "x.npy --params std.json --range 0:1",
            "--range is given, and the standard of std.json has none",
        ),
        ("x.npy --method robust --invert", "--invert needs what the data was scaled by"),
        ("x.npy --range 0:1 --clip", "--clip is for the range that minmax was fitted to, with --params or --fit"),
        ("x.npy --method maxabs --fit x.npy --clip", "--clip is for the range that minmax was fitted to"),
        ("x.npy --params p.json --clip --invert", "--invert can't undo --clip: what lay beyond is gone"),
        ("x.npy --params p.json --params-columns a,,b", "'a,,b' has an empty name; give one for each column"),
        ("x.npy --params clip.json --invert", "--invert can't undo clip"),
        (
            "x.npy --range 0:1 --save p.json",
            "--save p.json exists; give --overwrite, or --params to go by what it keeps",
        ),
        ("x.npy --range 0:1 --save x.npy --overwrite", "the output x.npy is the input x.npy; write elsewhere"),
        ("y.npy --range 0:1 --fit x.npy --save x.npy --overwrite", "the output x.npy is the input x.npy"),
        ("x.npy --range 0:1 --fit y.npy --save link.npy --overwrite", "the output link.npy is the input x.npy"),
        ("x.npy --range 0:1 --save q --report q", "--save and --report would both be written to q"),
        (
            "--range 0:1 --fit x.npy --save q --json",
            "--report, --json and --plot tell of inputs, and with --fit and --save",
        ),
        ("--range 0:1 --fit x.npy --save q --report r", "--report, --json and --plot tell of inputs"),
        ("x.npy --range 0:1 --save q.csv -o q.csv", "the output q.csv is the input q.csv; write elsewhere"),
        ("x.npy --range 0:1 --fit y.npy -o y.npy --overwrite", "the output y.npy is the input y.npy; write elsewhere"),
        ("x.npy --params p.json -o p.json --format csv --overwrite", "the output p.json is the input p.json"),
        ("x.npy y.npy --range 0:1 --save q.json -o o/", "--save keeps what is fitted once; name what to fit"),
        ("--range 0:1 --fit -", "standard input can be fitted or be an input, and one of them alone"),
        ("- --range 0:1 --fit - --save q.json", "standard input can be fitted or be an input"),
    ],
)
def test_usage_errors(arguments: str, message: str, convtool: Convtool) -> None:
    for name in ("x.npy", "y.npy"):
        np.save(name, noise(5))
    os.symlink("x.npy", "link.npy")
    Path("empty").mkdir()
    Path(params(method="clip")).rename("clip.json")
    Path(params(method="standard", channels=[{"mean": 0, "std": 1}])).rename("std.json")
    params()
    before = {path: path.read_bytes() for path in Path().iterdir() if path.is_file()}
    run = convtool("rescale", *arguments.split(), stdin=b"1,2\n")
    assert (run.code, run.out) == (2, "")
    assert run.err.startswith("Usage: convtool rescale [OPTIONS] INPUT...\n")
    assert message in run.err.splitlines()[3]
    assert {path: path.read_bytes() for path in Path().iterdir() if path.is_file()} == before


@pytest.mark.parametrize(
    ("source", "arguments", "message"),
    [
        ("0,1", "--params no.json", "no.json: no such file"),
        ("0,1", "--params x.npy", "x.npy: is no JSON ("),
        ("nan,1", "--params p.json --per-channel --nan error", "'nan,1': sample 0 is NaN"),
        ("none.npy", "--range 0:1", "none.npy: no such file"),
        ("0,1", "--range 0:1 --fit none.npy", "none.npy: no such file"),
        ("x.npy", "--params two.json", "x.npy: what was fitted had 2 channels, and the input has 3; expected 2"),
        (
            "x.npy",
            "--params p.json --per-channel",
            "x.npy: --per-channel was given, but one was fitted for all",
        ),
        ("1,nan", "--range 0:1 --nan error", "'1,nan': sample 1 is NaN or infinite (the first of 1 in its block)"),
        ("0,1", "--range 0:1e-60 --dtype float32", "'0,1': float32 does not hold the range 0.0 to 1e-60; work in fl"),
        ("empty.npy", "--range 0:1", "empty.npy: there are 0 samples in it"),
        (
            "nan,inf",
            "--range 0:1 --save q.json",
            "'nan,inf': there is no range to keep: no number is finite; see --nan",
        ),
    ],
)
def test_input_errors(source: str, arguments: str, message: str, convtool: Convtool) -> None:
    np.save("x.npy", noise(3, 5))
    np.save("empty.npy", noise(3, 0))
    Path(params(channels=[{"min": 0, "max": 4}] * 2)).rename("two.json")
    params()
    run = convtool("rescale", source, *arguments.split(), "-o", "y.csv")
    assert (run.code, run.out) == (1, "")
    assert run.err.startswith(f"Error: {message}")
    assert run.err.count("\n") == 1
    assert not Path("y.csv").exists()
    assert not Path("q.json").exists()


def test_an_existing_file_is_replaced_where_asked(convtool: Convtool) -> None:
    Path("p.json").write_text("old")
    save = ["rescale", "0,4", "--range", "0:1", "--save"]
    assert convtool(*save, "p.json", "--overwrite").code == 0
    assert json.loads(Path("p.json").read_text())["range"] == [0, 1]
    run = convtool(*save, "/dev/null")
    assert (run.code, run.out) == (0, "0,1\n")


@pytest.mark.parametrize(
    "arguments",
    [
        "--help",
        "1,2",
        "1,2 --range 1:0",
        "1,2 --range 0:1 --invert",
        "1,2 --params no.json",
        "1,2 --range 0:1 --dry-run",
    ],
)
def test_torch_is_not_loaded_for(arguments: str) -> None:
    script = (
        "import sys; from convtool.cli import main\n"
        f"sys.argv = ['convtool', 'rescale', *{arguments.split()}]\n"
        "main._run(); sys.exit('torch' in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


# What is told


def test_verbose_tells_the_ranges(convtool: Convtool) -> None:
    run = convtool("rescale", "0,1,4", "--range", "-1:1", "-v", "--threads=1")
    assert run.err == "'0,1,4': minmax, 0:4 to -1:1; blocks of 524288; float64 on cpu, 1 thread; CSV\n"


def test_help_names_every_option_and_method() -> None:
    result = CliRunner().invoke(cli, ["rescale", "--help"], terminal_width=200)
    assert result.exit_code == 0
    names = {name for parameter in command.params for name in parameter.opts if name.startswith("-")}
    assert {"--range", "--method", "--fit", "--save", "--params", "--invert", "--eps", "--nan", "--threads"} <= names
    assert {name for name in (*names, "minmax", "clip", "sigmoid", "tanh") if name not in result.output} == set()


def test_the_examples_of_the_help_run(convtool: Convtool) -> None:
    wav("takes/a.wav", noise(100))
    wav("takes/b/c.wav", noise(50, seed=1) * 3)
    Path("outputs.csv").write_text("0\n-1000\n")
    Path("readings.csv").write_text("a,b\n1,30\n2,10\n")
    lines = [line.strip() for line in str(command.help).splitlines() if line.strip().startswith("convtool ")]
    assert len(lines) == 5
    made = [convtool(*shlex.split(line)[1:]) for line in lines]
    assert [run.code for run in made] == [0] * 5
    assert [run.out for run in made] == ["-1,-0.5,1\n", "", "", "5\n-20\n", "a,b\n-1,1\n1,-1\n"]
    for name in ("a.wav", "b/c.wav"):
        np.testing.assert_allclose(read(f"back/{name}"), read(f"takes/{name}"), rtol=0, atol=1e-6)


def test_a_range_of_one_number_has_no_place_for_others(convtool: Convtool, tmp_path: Path) -> None:
    same = convtool("rescale", "3,3", "--fit", "3,3", "--range", "0:1")
    assert (same.code, same.out) == (0, "0.5,0.5\n")
    other = convtool("rescale", "1,2,5", "--fit", "3,3", "--range", "0:1")
    assert (other.code, other.out) == (1, "")
    assert "it was fitted to a constant, and there are other numbers" in other.err
    (tmp_path / "fit.csv").write_text("1,3\n2,3\n")
    (tmp_path / "x.csv").write_text("0,3\n9,3\n")
    beside = convtool("rescale", tmp_path / "x.csv", "--fit", tmp_path / "fit.csv", "--range", "0:1", "--per-channel")
    assert (beside.code, beside.out) == (0, "-1,0.5\n8,0.5\n")


def test_numbers_that_float32_does_not_hold(convtool: Convtool) -> None:
    run = convtool("rescale", "0,1e300,2", "--range", "0:1", "--dtype", "float32", "--method", "sigmoid")
    assert run.code == 1
    assert run.err == "Error: '0,1e300,2': sample 1 is beyond what float32 holds; work in float64\n"
    infinite = convtool("rescale", "0,inf", "--range", "0:1", "--dtype", "float32", "--method", "sigmoid")
    assert (infinite.code, infinite.out) == (0, "0.5,1\n")


@pytest.mark.parametrize("option", ["--fit", "--save"])
def test_a_range_spoilt_by_nan_is_not_kept(convtool: Convtool, tmp_path: Path, option: str) -> None:
    run = convtool("rescale", "1,2", "--range", "0:1", "--nan", "propagate", option, tmp_path / "1.json")
    assert run.code == 2
    assert "--nan propagate leaves nothing to keep" in run.err
