"""`convtool local-var`: every option, against loops over single windows, and every file it writes, opened."""

from __future__ import annotations

import io
import itertools
import json
import math
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner
from torch.nn import functional

from convtool.cli.local_var import STATS
from convtool.cli.local_var import local_var as command
from convtool.cli.main import cli
from convtool.cli.shared_options import length
from convtool.signals.signal import Block
from tests.helpers.reference_stats import grid_windows, of_window, padded, windows

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


def local(x: Any, window: int, stat: str = "var", stride: int = 1, **how: Any) -> list[float]:
    return [of_window(each, stat, **how) for each in windows(list(map(float, x)), window, stride)]


def local_grid(x: Block, window: tuple[int, int], stat: str = "var", stride: tuple[int, int] = (1, 1)) -> Block:
    return np.array([[of_window(each, stat) for each in row] for row in grid_windows(x.tolist(), window, stride)])


def padded_grid(x: Block, window: tuple[int, int], mode: str) -> Block:
    for axis, size in enumerate(window):
        x = np.apply_along_axis(lambda row, w=size: np.array(padded(row.tolist(), w // 2, (w - 1) // 2, mode)), axis, x)
    return x


# Numbers in, numbers out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("1,2,4,8,16 -w 2", "0.25,1,4,16"),
        ("99999999999999999,1,1,2,3,1,1 -w 2 --ddof 1", "5e33,0,0.5,0.5,2,0"),
        ("1,2,4,8,16 -w 2 --ddof 1", "0.5,2,8,32"),
        ("1,2,4,8,16 -w 2 --stat std", "0.5,1,2,4"),
        ("1,2,4,8,16 -w 2 --stat mean", "1.5,3,6,12"),
        ("1,2,4,8,16 -w 3 --stat median", "2,4,8"),
        ("1,2,4,8,16 -w 2 --stat median", "1.5,3,6,12"),
        ("1,2,4,8,16 -w 3 --stat min", "1,2,4"),
        ("1,2,4,8,16 -w 3 --stat max", "4,8,16"),
        ("3,4,-3 -w 2 --stat rms --dtype float32", "3.535534,3.535534"),
        ("1,nan,4,8 -w 2 --stat count", "1,1,2"),
        ("1,2,4,8,16 -w 2 --stat sum", "3,6,12,24"),
        ("1,2,4,8,16 -w 3 --stat range", "3,6,12"),
        ("1,2,4,8,16 -w 3 --stat p25", "1.5,3,6"),
        ("1,2,4,8,16 -w 2 --stat p99.5", "1.995,3.99,7.98,15.96"),
        ("1,2,4,8,16 -w 2 --stride 2", "0.25,4"),
        ("1,2,4,8,16 -w 2 --stride 3", "0.25,16"),
        ("1,2,4,8,16 -w 1", "0,0,0,0,0"),
        ("1,2,4,8,16 -w 2 --mode same", "0.25,0.25,1,4,16"),
        ("1,2,4,8,16 -w 4 --mode same --stat mean --padding-mode zeros", "0.75,1.75,3.75,7.5,7"),
        ("1,2,4,8,16 -w 2 --mode same --stat mean --padding-mode replicate", "1,1.5,3,6,12"),
        ("1,2,4,8,16 -w 2 --mode same --stat mean --padding-mode circular", "8.5,1.5,3,6,12"),
        ("1,2,4,8,16 -w 2 --mode same --stat mean --padding-mode reflect --stride 2", "1.5,3,12"),
        ("1,2,4,8 -w 2 --mode same --align right --padding-mode none --stat mean", "1,1.5,3,6"),
        ("1,2,4,8 -w 2 --mode same --align left --padding-mode none --stat mean", "1.5,3,6,8"),
        ("0,1,2,3,4 -w 3 --mode same --padding-mode none --stat mean", "0.5,1,2,3,3.5"),
        ("0,1,2,3,4 -w 3 --mode same --padding-mode none --stat min --min-count 3", "nan,0,1,2,nan"),
        ("0,nan,2,3,4 -w 3 --mode same --padding-mode none --stat mean", "nan,nan,nan,3,3.5"),
        ("0,nan,2,3,4 -w 3 --mode same --padding-mode none --stat mean --nan skip --min-count 2", "nan,1,2.5,3,3.5"),
        ("1,2,4,8 -w 3 --mode same --align right --padding-mode circular --stat max", "8,8,4,8"),
        ("1,2,4,8 -w 3 --mode same --align left --padding-mode circular --stat min", "1,2,1,1"),
        ("1,2,nan,4,inf,6 -w 2", "0.25,nan,nan,nan,nan"),
        ("1,2,nan,4,inf,6 -w 2 --nan skip", "0.25,0,0,nan,nan"),
        ("1,2,nan,4,inf,6 -w 2 --nan skip --min-count 2", "0.25,nan,nan,nan,nan"),
        ("1,2,nan,4,inf,6 -w 2 --nan zero", "0.25,1,4,4,9"),
        ("1,nan,4 -w 2 --mode same --padding-mode circular --nan zero --stat mean", "2.5,0.5,2"),
        ("1,2,4,8,16 -w 20ms --sample-rate 100", "0.25,1,4,16"),
        ("1,2,4,8,16 -w 0.03s --stride 10ms --sample-rate 100 --stat max", "4,8,16"),
        ("1e308,1e308,1e308 -w 2", "0,0"),
        ("0.1,0.1,0.1,0.1 -w 3", "0,0"),
        ("1,2,4,8,16 -w 2 --device cpu --threads 2 --dims 1", "0.25,1,4,16"),
        ("-w 2 -- -1,1,5", "1,4"),
        ("9007199254740992,9007199254740990 -w 2", "1"),
    ],
)
def test_numbers(arguments: str, expected: str, convtool: Convtool) -> None:
    run = convtool("local-var", *arguments.split())
    assert (run.code, run.err, run.out) == (0, "", expected + "\n")


@pytest.mark.parametrize(
    ("text", "arguments", "expected"),
    [
        ("1\n2\n4\n", "", "0.25\n1\n"),
        ("1 2 4\n", "", "0.25,1\n"),
        ("1,2,4\n", "--stat mean,std", "mean,std\n1.5,0.5\n3,1\n"),
        ("1\n2\n4\n", "--stat min,max", "min,max\n1,2\n2,4\n"),
        ("x\n1\n2\n4\n", "", "x.var\n0.25\n1\n"),
        ("x\n1\n2\n4\n", "--stat mean,count", "x.mean,x.count\n1.5,2\n3,2\n"),
        ("1,2\n3,4\n", "", "1,1\n"),
        ("1,2\n3,4\n", "--stat max,mean", "1.max,1.mean,2.max,2.mean\n3,2,4,3\n"),
        ("a,b\n1,2\n3,4\n", "--stat max,mean", "a.max,a.mean,b.max,b.mean\n3,2,4,3\n"),
        ("a,b\n1,2\n3,4\n", "--stat max,mean --columns b", "b.max,b.mean\n4,3\n"),
        ("a,b\n1,2\n3,4\n", "--stat mean --columns 2,1", "b.mean,a.mean\n3,2\n"),
        ("t;x\n1,5;2\n2,5;2\n", "--decimal , --stat mean --format tsv", "t.mean\tx.mean\n2\t2\n"),
        ("1,2,5\n3,4,7\n", "--dims 2", "1.25,3.25\n"),
        ("1,2,5\n3,4,7\n", "--dims 2 --stat mean", "2.5,4.5\n"),
        ("1,2,5\n3,4,7\n", "--dims 2 --stat min,max", "1.min,2.min,1.max,2.max\n1,2,4,7\n"),
        ("a,b,c\n1,2,5\n3,4,7\n", "--dims 2", "1.25,3.25\n"),
        ("a,b\n1,2\n3,4\n", "--dims 2 --mode same --padding-mode replicate --stat max", "a.max,b.max\n1,2\n3,4\n"),
        ("a,b\n1,2\n3,4\n", "--stride 2x1", "1.25\n"),
        (
            "a,b\n1,2\n",
            "--mode same --padding-mode zeros --stat max,min --dims 2",
            "a.max,b.max,a.min,b.min\n1,2,0,0\n",
        ),
        ("1,2\n3,4\n", "--dims 2 --mode same --align left --padding-mode none --stat mean", "2.5,3\n3.5,4\n"),
        ("5\n7\n6\n", "-w 2x1 --stat mean", "6\n6.5\n"),
    ],
)
def test_text_on_standard_input(text: str, arguments: str, expected: str, convtool: Convtool) -> None:
    window = [] if "-w" in arguments else ["-w", "2"]
    run = convtool("local-var", *window, *arguments.split(), stdin=text.encode())
    assert (run.code, run.err, run.out) == (0, "", expected)


@pytest.mark.parametrize("mode", ["valid", "zeros", "reflect", "replicate", "circular"])
def test_every_statistic_of_every_small_window(mode: str, convtool: Convtool) -> None:
    x = [1e6, 1e6 + 1, *noise(5).tolist(), 3.0, 3.0, 3.0, 1e15]
    options = ["--mode", "valid"] if mode == "valid" else ["--mode", "same", "--padding-mode", mode]
    for window, stride, ddof in itertools.product((1, 2, 3, 6, 11), (1, 3), (0, 1)):
        if ddof < window:
            row = ["-w", window, "--stride", stride, "--ddof", ddof, "--stat", ",".join(STATS)]
            run = convtool("local-var", ",".join(map(repr, x)), *row, *options)
            assert run.err == ""
            around = x if mode == "valid" else padded(x, window // 2, (window - 1) // 2, mode)
            head, _, body = run.out.partition("\n")
            assert head == ",".join(STATS)
            for stat, made in zip(STATS, numbers(body).T, strict=True):
                atol = {"mean": 2e-4, "skew": 1e-12, "kurt": 1e-12}.get(stat, 0)
                np.testing.assert_allclose(made, local(around, window, stat, stride, ddof=ddof), rtol=1e-12, atol=atol)


# Arrays and audio


@pytest.mark.parametrize(
    ("shape", "layout", "one", "two"),
    [
        ((7,), "NCT", (5,), (2, 5)),
        ((2, 7), "NCT", (2, 5), (4, 5)),
        ((3, 2, 7), "NCT", (3, 2, 5), (3, 4, 5)),
        ((7,), "NTC", (5,), (5, 2)),
        ((7, 2), "NTC", (5, 2), (5, 4)),
        ((3, 7, 2), "NTC", (3, 5, 2), (3, 5, 4)),
    ],
)
@pytest.mark.parametrize("dtype", ["float64", "float32", "int16", "uint8", "int64"])
def test_npy(
    shape: tuple[int, ...], layout: str, one: tuple[int, ...], two: tuple[int, ...], dtype: str, convtool: Convtool
) -> None:
    x = (noise(*shape) * 100 + 100).astype(dtype)
    np.save("x.npy", x)
    time = len(shape) - 1 if layout == "NCT" or len(shape) == 1 else len(shape) - 2
    for stats, result in ((["var"], one), (["mean", "var"], two)):
        options = ["-w", 3, "--layout", layout, "--stat", ",".join(stats), "-o", "y.npy", "--overwrite"]
        run = convtool("local-var", "x.npy", *options)
        assert (run.code, run.err) == (0, "")
        y = np.load("y.npy")
        assert (y.shape, y.dtype) == (result, np.dtype("float32" if dtype == "float32" else "float64"))
        if len(shape) == 1:
            y = np.moveaxis(y.reshape(-1, 5) if layout == "NCT" else y.reshape(5, -1).T, -1, 0)
        else:
            y = np.moveaxis(y, time, 0)
        rows = np.moveaxis(x.reshape(1, -1) if len(shape) == 1 else x, -1 if len(shape) == 1 else time, 0)
        rows = rows.reshape(7, -1)
        wanted = np.array([local(column, 3, stat) for column in rows.T for stat in stats]).T
        np.testing.assert_allclose(y.reshape(5, -1), wanted, rtol=1e-6 if dtype == "float32" else 1e-12)


def test_several_statistics_of_a_batch_as_text(convtool: Convtool) -> None:
    np.save("x.npy", np.arange(12).reshape(3, 1, 4))
    run = convtool("local-var", "x.npy", "-w", "4", "--stat", "min,max")
    assert run.out == "1.min,1.max,2.min,2.max,3.min,3.max\n0,3,4,7,8,11\n"


@pytest.mark.parametrize(("subtype", "exact"), [("PCM_16", 1e-7), ("PCM_24", 1e-7), ("PCM_32", 1e-12), ("FLOAT", 1e-7)])
def test_audio(subtype: str, exact: float, convtool: Convtool) -> None:
    x = wav("x.wav", noise(400, 2) + 0.4, subtype)
    options = ["-w", "5ms", "--stride", "2.5ms", "--stat", "var,mean", "-o", "y.npy"]
    run = convtool("local-var", "x.wav", *options)
    assert (run.code, run.err) == (0, "")
    wanted = [local(x[:, channel], 40, stat, 20) for channel in range(2) for stat in ("var", "mean")]
    np.testing.assert_allclose(np.load("y.npy"), wanted, rtol=exact)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_32", "FLOAT"])
@pytest.mark.parametrize("level", [0.0, 0.1, -1.0])
def test_constant_audio_has_no_variance(level: float, subtype: str, convtool: Convtool) -> None:
    wav("x.wav", np.full((300, 2), level), subtype)
    assert convtool("local-var", "x.wav", "-w", "10ms", "--mode", "same", "--stat", "var,std", "-o", "y.wav").code == 0
    assert soundfile.info("y.wav").channels == 4
    np.testing.assert_array_equal(read("y.wav"), np.zeros((300, 4)))


def test_audio_output_keeps_subtype_and_tells_what_it_clips(convtool: Convtool) -> None:
    wav("x.wav", [0.5, -0.5, 0.25, 0.25], subtype="PCM_16")
    options = ["-w", "2", "--stat", "var,count", "-o", "y.wav"]
    run = convtool("local-var", "x.wav", *options)
    assert (run.code, soundfile.info("y.wav").subtype) == (0, "PCM_16")
    assert run.err.startswith(
        "Warning: x.wav: 3 samples clipped, the peak is +6.02 dB over full scale; --subtype FLOAT keeps them"
    )
    np.testing.assert_array_equal(read("y.wav")[:, 0], np.round(np.array([0.25, 0.140625, 0]) * 2**15) / 2**15)
    run = convtool("local-var", "x.wav", *options, "--overwrite", "--fail-on-clip")
    assert run.code == 3


# Grids


def test_variance_over_an_image_is_that_of_unfold(convtool: Convtool) -> None:
    x = noise(20, 31).astype(np.float32)
    np.save("x.npy", x)
    assert convtool("local-var", "x.npy", "-w", "2x2", "-o", "y.npy").code == 0
    patches = functional.unfold(torch.from_numpy(x)[None, None].double(), 2)
    wanted = torch.var(patches, 1, unbiased=False).reshape(19, 30)
    y = np.load("y.npy")
    assert (y.shape, y.dtype) == ((19, 30), np.float32)
    np.testing.assert_allclose(y, wanted.numpy(), rtol=1e-6)


@pytest.mark.parametrize(
    ("shape", "options", "one", "two"),
    [
        ((5, 7), "-w 2x3", (4, 5), (2, 4, 5)),
        ((5, 7), "-w 2x3 --stride 2", (2, 3), (2, 2, 3)),
        ((5, 7), "-w 3 --dims 2 --stride 1x4", (3, 2), (2, 3, 2)),
        ((5, 7), "-w 2x3 --mode same", (5, 7), (2, 5, 7)),
        ((5, 7), "-w 3x2 --mode same --padding-mode circular --stride 2x3", (3, 3), (2, 3, 3)),
        ((3, 5, 7), "-w 2x3", (3, 4, 5), (3, 2, 4, 5)),
        ((2, 3, 5, 7), "-w 2x3", (2, 3, 4, 5), (2, 3, 2, 4, 5)),
        ((1, 5, 7), "-w 3x4 --mode same --padding-mode circular", (1, 5, 7), (1, 2, 5, 7)),
        ((4, 1), "-w 2x1", (3, 1), (2, 3, 1)),
        ((1, 4), "-w 1x2", (1, 3), (2, 1, 3)),
    ],
)
@pytest.mark.parametrize(("dtype", "order"), [("float64", "C"), ("float64", "F"), ("float32", "C"), ("int32", "C")])
def test_npy_grids(
    shape: tuple[int, ...],
    options: str,
    one: tuple[int, ...],
    two: tuple[int, ...],
    dtype: str,
    order: Any,
    convtool: Convtool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x = (noise(*shape) * 100).astype(dtype)
    np.save("x.npy", np.asarray(x, order=order))
    words = dict(itertools.pairwise(options.split()))
    window: Any = tuple(map(int, words["-w"].split("x")))
    stride: Any = tuple(map(int, words.get("--stride", "1").split("x")))
    window, stride = window * (2 // len(window)), stride * (2 // len(stride))
    grids = [
        padded_grid(grid, window, words.get("--padding-mode", "reflect")) if "same" in options else grid
        for grid in x.reshape(-1, *shape[-2:]).astype("f8")
    ]
    for stats, result in ((["var"], one), (["max", "mean"], two)):
        made = []
        for samples in (1, 16, 1 << 19):
            monkeypatch.setattr("convtool.jobs.signal_job.BLOCK_SAMPLES", samples)
            run = convtool(
                *("local-var", "x.npy", *options.split(), "--stat", ",".join(stats), "-o", "y.npy"),
                *("--overwrite", "--threads", 1 if samples == 1 else 2),
            )
            assert (run.code, run.err) == (0, "")
            made.append(Path("y.npy").read_bytes())
        assert made[0] == made[1] == made[2]
        y = np.load("y.npy")
        assert (y.shape, y.dtype) == (result, np.dtype("float32" if dtype == "float32" else "float64"))
        wanted = np.stack([local_grid(grid, window, stat, stride) for grid in grids for stat in stats])
        rtol = 1e-6 if dtype == "float32" else 1e-12
        np.testing.assert_allclose(y, wanted.reshape(result), rtol=rtol, atol=rtol)


def test_several_grids_as_text(convtool: Convtool) -> None:
    np.save("x.npy", np.arange(12).reshape(2, 2, 3))
    run = convtool("local-var", "x.npy", "-w", "2x2", "--stat", "min,max")
    assert run.out == "1.min,2.min,1.max,2.max,3.min,4.min,3.max,4.max\n0,1,4,5,6,7,10,11\n"


def test_a_grid_from_text_to_npy_and_through_a_pipe(convtool: Convtool) -> None:
    x = np.round(noise(30, 4), 6)
    np.savetxt("x.csv", x, delimiter=",")
    same = ["-w", "3x3", "--mode", "same", "--padding-mode", "circular"]
    assert convtool("local-var", "x.csv", *same, "-o", "y.npy").code == 0
    np.testing.assert_allclose(np.load("y.npy"), local_grid(padded_grid(x, (3, 3), "circular"), (3, 3)), rtol=1e-12)
    run = convtool("local-var", *same, stdin=Path("x.csv").read_bytes())
    np.testing.assert_array_equal(numbers(run.out), np.load("y.npy"))


@pytest.mark.parametrize(
    ("nan", "expected"), [("propagate", "0.25,nan\n"), ("skip", "0.25,0\n"), ("zero", "0.25,12.25\n")]
)
def test_nan_in_a_grid(nan: str, expected: str, convtool: Convtool) -> None:
    Path("x.csv").write_text("0,1,2,3\n4,5,nan,7\n")
    run = convtool("local-var", "x.csv", "-w", "1x2", "--stride", "1x2", "--nan", nan)
    assert (run.code, run.err, run.out) == (0, "", "0.25,0.25\n" + expected)


def test_nan_in_a_grid_is_an_error_where_asked(convtool: Convtool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convtool.jobs.signal_job.BLOCK_SAMPLES", 4)
    x = np.zeros((2, 3, 4))
    x[1, 1, 2] = np.nan
    np.save("x.npy", x)
    run = convtool("local-var", "x.npy", "-w", "2x2", "--nan", "error")
    assert (run.code, run.err) == (1, "Error: x.npy: row 2, column 3 is NaN or infinite; see --nan\n")


# Blocks, threads, processes


def test_blocks_and_threads_do_not_show_in_the_bytes(convtool: Convtool, monkeypatch: pytest.MonkeyPatch) -> None:
    wav("x.wav", noise(600_000, 2).cumsum(0) / 100 + 0.1)
    made = []
    for samples, threads in ((1 << 19, 1), (1 << 19, 2), (30_011, 2), (1 << 22, 1)):
        monkeypatch.setattr("convtool.jobs.signal_job.BLOCK_SAMPLES", samples)
        options = ["-w", "1234", "--stat", "var,max,mean", "--mode", "same", "--stride", "3", "--threads", threads]
        assert convtool("local-var", "x.wav", *options, "-o", "y.npy", "--overwrite").code == 0
        made.append(Path("y.npy").read_bytes())
    assert len(set(made)) == 1
    x, y = read("x.wav")[:, 1], np.load("y.npy")
    wanted = [np.var(x[3 * n - 617 : 3 * n + 617]) for n in range(300, 200_000 - 300, 9_999)]
    np.testing.assert_allclose(y[3, 300 : 200_000 - 300 : 9_999], wanted, rtol=1e-6)


def test_jobs_do_not_show_in_the_bytes(convtool: Convtool) -> None:
    takes = {name: wav(f"takes/{name}", noise(300 + i, seed=i)) for i, name in enumerate(("a.wav", "b/c.wav"))}
    for jobs in (1, 2):
        options = ["-w", "10ms", "-o", f"out{jobs}/", "--format", "csv", "--jobs", jobs, "--report", f"{jobs}.jsonl"]
        run = convtool("local-var", "takes", *options)
        assert (run.code, run.err) == (0, "2 written, 0 skipped, 0 failed\n")
    for name, x in takes.items():
        one, two = (Path(f"out{jobs}", name).with_suffix(".csv").read_bytes() for jobs in (1, 2))
        assert one == two
        np.testing.assert_allclose(numbers(one.decode())[:, 0], local(x, 80), rtol=1e-6)
    record = json.loads(Path("1.jsonl").read_text().splitlines()[0])
    assert (record["samples"], record["channels"], record["sample_rate"]) == (221, 1, RATE)


def test_a_time_is_resolved_for_each_input(convtool: Convtool) -> None:
    for rate in (1000, 2000):
        soundfile.write(f"{rate}.wav", np.arange(40) / 64, rate, subtype="FLOAT")
    assert convtool("local-var", "1000.wav", "2000.wav", "-w", "8ms", "-o", "out/", "--format", "npy").code == 0
    assert [np.load(f"out/{rate}.npy").shape for rate in (1000, 2000)] == [(1, 33), (1, 25)]


# What is refused


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("-w 0", "0 is too short; the least length is 1 sample"),
        ("-w -2", "-2 is too short; the least length is 1 sample"),
        ("-w 0ms", "0ms is too short"),
        ("-w 0x2", "0 is too short"),
        ("-w 2.5", "'2.5' is no length: give samples, such as 2205, or a time: 50ms, 0.5s, 10min or 1h"),
        ("-w abc", "'abc' is no length"),
        ("-w 2 --stride 0", "'--stride': 0 is too short"),
        ("-w 2x2x2", "'2x2x2': a grid has rows and columns, such as 3x5, in samples"),
        ("-w 2x1ms", "'2x1ms': a grid has rows and columns"),
        ("-w 2x2 --dims 1", "--window 2x2 has 2 axes, but --dims is 1; give one length, or --dims 2"),
        ("-w 2 --stride 2x2 --dims 1", "--stride 2x2 has 2 axes, but --dims is 1"),
        ("-w 50ms --dims 2", "--window 50ms is a time, but a grid has rows and columns; give them, such as 3x5"),
        ("-w 2x2 --stride 1s", "--stride 1s is a time, but a grid"),
        ("-w 2 --dims 3", "'3' does not fit; expected a whole number from 1 to 2"),
        ("-w 2x2 --layout NTC", "--layout NTC says where time is; a grid has rows and columns"),
        ("-w 1 --ddof 1", "--ddof 1 needs a window of at least 2 samples; --window has 1"),
        ("-w 1x1 --ddof 1", "--ddof 1 needs a window of at least 2 samples; --window has 1"),
        ("-w 5 --ddof 2", "'2' does not fit; expected a whole number from 0 to 1"),
        ("-w 2 --stat var,variance", "there is no 'variance'; there are var, std, mean, rms, sum, min, max, range, "),
        ("-w 2 --stat p101", "there is no 'p101'; there are var, "),
        ("-w 2 --stat=", "there is no ''"),
        ("-w 2 --stat var,mean,var", "'var' is named 2 times; once is enough"),
        ("-w 2 --min-count 1", "--min-count 1 needs --nan skip or --padding-mode none; --nan is propagate"),
        ("-w 2 --min-count 1 --nan zero", "--min-count 1 needs --nan skip or --padding-mode none; --nan is zero"),
        ("-w 2 --min-count 3 --nan skip", "--min-count 3 is more than the 2 samples of a window"),
        ("-w 2 --min-count 0 --nan skip", "'0' does not fit; expected a whole number of 1 or more"),
        ("-w 2 --padding-mode zeros", "--padding-mode zeros needs --mode same"),
        ("-w 2 --align right", "--align right needs --mode same"),
        ("-w 2 --padding-mode none", "--padding-mode none needs --mode same"),
        ("-w 2 --plot x.jpg", "a picture can be png, svg, pdf, not jpg"),
        ("", "Missing option '-w' / '--window'"),
    ],
)
def test_usage_errors(arguments: str, message: str, convtool: Convtool) -> None:
    run = convtool("local-var", "none.npy", *arguments.split())
    assert (run.code, run.out) == (2, "")
    assert run.err.startswith("Usage: convtool local-var [OPTIONS] INPUT...\n")
    assert message in run.err.splitlines()[3]


@pytest.mark.parametrize("arguments", ["--help", "-w 0", "-w 1 --ddof 1", "-w 2 --min-count 2", "-w 2 --dry-run"])
def test_torch_is_not_loaded_for(arguments: str) -> None:
    script = (
        "import sys; from convtool.cli import main\n"
        f"sys.argv = ['convtool', 'local-var', '1,2', *{arguments.split()}]\n"
        "main._run(); sys.exit('torch' in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("source", "arguments", "message"),
    [
        ("1,2,3", "-w 5", "a window of 5 samples is longer than the input, which has 3"),
        ("1,2,3", "-w 2x2", "a single row of 3 numbers, and windows of 2x2 need a grid"),
        ("flat.npy", "-w 2x2", "a single row of 5 numbers, and windows of 2x2 need a grid"),
        ("x.wav", "-w 2x2", "WAV audio is a signal in time, and windows of 2x2 need a grid"),
        ("x.wav", "-w 3 --dims 2", "windows of 3x3 need a grid"),
        ("grid.npy", "-w 2x9", "a window of 9 columns is wider than the input, which has 3"),
        ("grid.npy", "-w 9x2", "a window of 9 rows is longer than the input, which has 4"),
        ("1,2,3", "-w 50ms", "50ms is a time and needs a sample rate, .* give --sample-rate"),
        ("1,2,3", "-w 2 --stride 1ms", "1ms is a time and needs a sample rate"),
        ("1,2,3", "-w 1ms --sample-rate 100", "1ms is 0.1 samples at 100 Hz"),
        ("1,2,3", "-w 10ms --ddof 1 --sample-rate 100", "ddof is 1; .* below the 1 samples of a window"),
        ("1,2,3", "-w 10ms --nan skip --min-count 2 --sample-rate 100", "min_count is 2; .* the 1 samples"),
        ("1,2,3", "-w 7 --mode same", "reflect padding for this window needs more than 3 samples, and there are 3"),
        ("1,2,3", "-w 9 --mode same --padding-mode circular", "at least 4 samples, and there are 3"),
        ("grid.npy", "-w 3x9 --mode same", "more than 4 columns, and there are 3"),
        ("1,2,3", "-w 999999999 --mode same", "a window of 999999999 samples is more than twice as long .* has 3"),
        ("grid.npy", "-w 999999999x1 --mode same", "999999999 rows is more than twice as long .* has 4"),
        ("grid.npy", "-w 1x999999999 --mode same", "999999999 columns is more than twice as long .* has 3"),
        ("1,nan,3", "-w 2 --nan error", "sample 1 is NaN or infinite"),
        ("ragged.csv", "-w 2x2", "line 3 has 1 column; expected 2"),
        ("empty.npy", "-w 2", "there are 0 samples in it"),
        ("empty.npy", "-w 2x2", "the input is a single row, and windows of 2x2|there are 0 samples in it"),
    ],
)
def test_input_errors(source: str, arguments: str, message: str, convtool: Convtool) -> None:
    wav("x.wav", noise(50))
    np.save("flat.npy", noise(5))
    np.save("grid.npy", noise(4, 3))
    np.save("empty.npy", noise(0))
    Path("ragged.csv").write_text("1,2\n3,4\n5\n")
    run = convtool("local-var", source, *arguments.split(), "-o", "y.csv")
    assert (run.code, run.out) == (1, "")
    assert re.fullmatch(rf"Error: .*({message}).*\n", run.err)
    assert not Path("y.csv").exists()


def test_circular_from_a_pipe(convtool: Convtool) -> None:
    same = ["-w", "2", "--mode", "same", "--padding-mode", "circular", "--stat", "mean"]
    run = convtool("local-var", *same, stdin=b"1\n3\n9\n")
    assert (run.code, run.out) == (0, "5\n2\n6\n")


# What is told and drawn


def test_verbose_tells_the_windows(convtool: Convtool) -> None:
    run = convtool(
        "local-var", "1,2,4,8,16", "-w", "20ms", "--stride", "2", "--sample-rate", "100", "-v", "--threads=1"
    )
    assert run.out == "0.25,4\n"
    assert run.err == "'1,2,4,8,16': windows of 2 samples, every 2; blocks of 524288; float64 on cpu, 1 thread; CSV\n"


@pytest.mark.parametrize(("options", "kind"), [("-w 5ms", b"\x89PNG"), ("-w 5ms --stat median,count", b"\x89PNG")])
def test_plot_of_a_signal(options: str, kind: bytes, convtool: Convtool) -> None:
    wav("x.wav", noise(3000, 2), subtype="PCM_16")
    run = convtool("local-var", "x.wav", *options.split(), "-o", "y.npy", "--plot", "p.png")
    assert (run.code, run.err) == (0, "")
    assert Path("p.png").read_bytes().startswith(kind)
    assert np.load("y.npy").shape[-1] == 2961


def test_plot_of_a_grid(convtool: Convtool) -> None:
    np.save("x.npy", noise(2, 30, 20))
    run = convtool("local-var", "x.npy", "-w", "3x4", "--mode", "same", "-o", "y.npy", "--plot", "p.svg")
    assert (run.code, run.err) == (0, "")
    assert "<svg" in Path("p.svg").read_text()


def test_help_names_every_option_and_statistic() -> None:
    result = CliRunner().invoke(cli, ["local-var", "--help"], terminal_width=200)
    assert result.exit_code == 0
    names = {name for parameter in command.params for name in parameter.opts if name.startswith("-")}
    assert {"--window", "--stride", "--stat", "--min-count", "--dims", "--plot", "--threads", "-q"} <= names
    assert {name for name in (*names, *STATS) if name not in result.output} == set()


def test_the_examples_of_the_help_run(convtool: Convtool) -> None:
    wav("guitar.wav", noise(4000))
    np.save("image.npy", noise(20, 30))
    lines = [line.strip() for line in str(command.help).splitlines() if line.strip().startswith("convtool ")]
    assert len(lines) == 5
    made = [convtool(*shlex.split(line)[1:]) for line in lines]
    assert [(run.code, run.err) for run in made] == [(0, "")] * 5
    assert [run.out for run in made] == ["0.25,1,4,16\n", "", "0.2222222222222222,0.25,1,nan\n", "1,1.5,3,6\n", ""]
    assert Path("levels.csv").read_text().startswith("mean,std\n")
    assert np.load("texture.npy").shape == (20, 30)


def test_a_plain_length_has_one_axis() -> None:
    assert math.isclose(length("50ms").amount, 0.05)
    with pytest.raises(ValueError, match="'3x5' is no length"):
        length("3x5")


def test_outputs_that_exist_are_refused(convtool: Convtool) -> None:
    Path("y.csv").write_text("old")
    assert convtool("local-var", "1,2,3", "-w", "2", "-o", "y.csv").code == 2
    assert (Path("y.csv").read_text(), os.listdir()) == ("old", ["y.csv"])
