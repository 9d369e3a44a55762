"""`convtool convolve`: every option, against SciPy and torch, and every file it writes, opened."""

from __future__ import annotations

import io
import itertools
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.signal
import soundfile
import torch
from click.testing import CliRunner
from torch.nn import functional

from convtool.cli.main import cli
from convtool.signals.signal import Block

Convtool = Callable[..., Any]
RATE = 8000


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def noise(*shape: int, seed: int = 0) -> Block:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, shape)


def wav(path: str, frames: Any, rate: int = RATE, subtype: str = "FLOAT") -> Block:
    """Writes `frames`, and gives back what a reader finds."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, frames, rate, subtype=subtype)
    return read(path)


def read(path: str) -> Block:
    frames: Block = soundfile.read(path, dtype="float64")[0]
    return frames


def numbers(text: str) -> Block:
    return np.loadtxt(io.StringIO(text), delimiter=",", ndmin=2)


def files() -> list[str]:
    return sorted(os.path.relpath(os.path.join(base, name)) for base, _, names in os.walk(".") for name in names)


# Numbers in, numbers out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("4,1,2,5 -k 1,2,-1", "4,9,0,8,8,-5"),
        ("4,1,2,5 --kernel=-1,2", "-4,7,0,-1,10"),
        ("-k 1,2 -- -4,1", "-4,-7,2"),
        ("4,1,2,5 -k 1,2,-1 --mode same", "9,0,8,8"),
        ("4,1,2,5 -k 1,2,-1 --mode valid", "0,8"),
        ("4,1,2,5 -k 1,2,-1 --correlate", "-4,7,4,0,12,5"),
        ("4,1,2,5 -k 1,2,-1 --stride 2", "4,0,8"),
        ("4,1,2,5 -k 1,2,-1 --dilation 2", "4,1,10,7,0,9,-2,-5"),
        ("4,1,2,5 -k 1,2,-1 --bias 0.5", "4.5,9.5,0.5,8.5,8.5,-4.5"),
        ("4,1,2,5 -k 1,2,-1 --bias 10", "14,19,10,18,18,5"),
        ("4,1,2,5 -k 1,2,-1 --mode same --padding-mode reflect", "8,0,8,10"),
        ("4,1,2,5 -k 1,2,-1 --mode same --padding-mode replicate", "5,0,8,13"),
        ("4,1,2,5 -k 1,2,-1 --mode same --padding-mode circular", "4,0,8,12"),
        ("4,1,2,5 -k 2,2 --kernel-norm l1", "2,2.5,1.5,3.5,2.5"),
        ("4,1,2,5 -k 1,-2 --kernel-norm peak", "2,-3.5,0,0.5,-5"),
        ("5,10,5 -k 3,4 --kernel-norm l2 --mode valid", "10,11"),
        ("4,1,2,5 -k 1,2,-1 --kernel-norm dc", "2,4.5,0,4,4,-2.5"),
        ("4,1,2,5 -k 1,2,0.001 --trim-kernel 60", "4,9,4,9,10"),
        ("1,0,0 -k 1,2,4 --kernel-delay 2", "0,0,1,2,4,0,0"),
        ("1,0,0 -k 1,2,4 --kernel-delay=-1", "2,4,0,0"),
        ("1,0 -k 4,4,4 --kernel-fade 1", "4,4,2,0"),
        ("1,0 -k 8,8,8 --kernel-fade 2 --precision 9", "8,6,2,0"),
        ("1 -k 1,1,0.001 --trim-kernel 40 --kernel-fade 10ms --sample-rate 100", "1,0.5"),
        ("1,2,3,4 -k 1 --kernel-delay 2ms --sample-rate 1000 --dilation 3", "0,0,1,2,3,4"),
        ("1,0,0 -k 4,5 --kernel-delay 2 --dilation 3", "0,0,4,0,0,5,0,0"),
        ("1,0,0 -k 4,5 --kernel-delay=-1 --dilation 3", "0,0,5,0,0"),
        ("1,0,0 -k 4,5 --kernel-delay 1 --dilation 3 --correlate", "5,0,0,4,0,0,0"),
        ("1,0 -k 4,8 --kernel-fade 2 --dilation 3 --precision 9", "4,0,0,2,0"),
        ("1,2,3,4,5,6 -k 1 --kernel-delay 2 --stride 2 --mode causal", "0,1,3"),
        ("4,1,2,5 -k 1 --gain 20", "40,10,20,50"),
        ("4,1,2,5 -k 0,2 --mix 0.5", "2,4.5,2,4.5,5"),
        ("4,1,2,5 -k 0,2 --mix 0.5 --align-peak", "0,6,1.5,3,7.5"),
        ("4,1 -k 1,2,3,4,5", "4,9,14,19,24,5"),
        ("4,1 -k 1,2,3,4,5 --mode same", "14,19"),
        ("9007199254740993 -k 1,1", "9007199254740993,9007199254740993"),
        ("9223372036854775807 -k 1", "9223372036854775807"),
        ("0.1,0.2 -k 3", "0.30000000000000004,0.6000000000000001"),
        ("0.1,0.2 -k 3 --dtype float32", "0.3,0.6"),
        ("1,2 -k 1 --dtype float32 --format tsv", "1\t2"),
        ("0,1;0,2 -k 1 --decimal ,", "0.1,0.2"),
        ("1,2 -k 0,5 --decimal ,", "0.6"),
        ("0,5;1 -k 0,5;0,5 --bias 0,5 --decimal ,", "0.75,1.25,1"),
        ("1 -k 1.234,5;2 --bias 1.000 --decimal , --thousands .", "2234.5,1002"),
        ("1,nan,2,inf,3,4 -k 1,1", "1,nan,nan,inf,inf,7,4"),
        ("1,nan,2,inf,3,4 -k 1,1 --nan zero", "1,1,2,2,3,7,4"),
        ("4,1,2,5 -k 1,2,-1 --device cpu --threads 3 --method direct", "4,9,0,8,8,-5"),
    ],
)
def test_numbers(arguments: str, expected: str, convtool: Convtool) -> None:
    run = convtool("convolve", *arguments.split())
    assert (run.code, run.err, run.out) == (0, "", expected + "\n")


@pytest.mark.parametrize("method", ["auto", "direct", "fft"])
def test_every_small_size_agrees_with_scipy_and_conv1d(method: str, convtool: Convtool) -> None:
    x = noise(6)
    signal = ",".join(map(repr, x.tolist()))
    for taps, stride, dilation in itertools.product((1, 2, 3, 5), (1, 2), (1, 2)):
        h = noise(taps, seed=taps)
        options = ["--method", method, "--stride", stride, "--dilation", dilation]
        spread = np.zeros(dilation * (taps - 1) + 1)
        spread[::dilation] = h
        for mode in ("full", "same", "valid") if len(spread) <= 6 else ("full",):
            word = "--kernel=" + ",".join(map(repr, h.tolist()))
            run = convtool("convolve", f"--mode={mode}", *options, word, "--", signal)
            assert run.err == ""
            wanted = scipy.signal.convolve(x, spread, mode)[::stride]
            np.testing.assert_allclose(numbers(run.out)[0], wanted, rtol=0, atol=1e-15)
        if len(spread) <= 6:
            run = convtool("convolve", "--mode=valid", "--correlate", *options, word, "--", signal)
            assert run.err == ""
            tensors = (torch.from_numpy(a).reshape(1, 1, -1) for a in (x, h))
            wanted = functional.conv1d(*tensors, stride=stride, dilation=dilation).numpy()
            np.testing.assert_allclose(numbers(run.out), wanted[0], rtol=0, atol=1e-15)


def test_decimal_commas_on_standard_input(convtool: Convtool) -> None:
    run = convtool("convolve", "-k", "1;1", "--decimal", ",", stdin=b"t;x\n1,5;2\n")
    assert (run.code, run.err, run.out) == (0, "", "t,x\n1.5,2\n1.5,2\n")


@pytest.mark.parametrize(
    ("text", "arguments", "expected"),
    [
        ("1\n2\n", "", "1\n3\n2\n"),
        ("1 2 3\n", "", "1,3,5,3\n"),
        ("1,2\n3,4\n", "", "1,2\n4,6\n3,4\n"),
        ("left,right\n1,2\n3,4\n", "", "left,right\n1,2\n4,6\n3,4\n"),
        ('"a,b";c\r\n1;2\r\n', "", '"a,b",c\n1,2\n1,2\n'),
        ("left,right\n1,2\n3,4\n", "--columns right", "right\n2\n6\n4\n"),
        ("left,right\n1,2\n3,4\n", "--columns 2,left", "right,left\n2,1\n6,4\n4,3\n"),
        ("x\n1\n", "--bias 1 --format tsv", "x\n2\n2\n"),
        ("a\tb\n1\t2\n", "--format tsv --stride 2", "a\tb\n1\t2\n"),
    ],
)
def test_text_on_standard_input(text: str, arguments: str, expected: str, convtool: Convtool) -> None:
    run = convtool("convolve", "-k", "1,1", *arguments.split(), stdin=text.encode())
    assert (run.code, run.err, run.out) == (0, "", expected)


@pytest.mark.parametrize(
    ("shape", "layout", "result"),
    [
        ((5,), "NCT", (6,)),
        ((2, 5), "NCT", (2, 6)),
        ((3, 2, 5), "NCT", (3, 2, 6)),
        ((5,), "NTC", (6,)),
        ((5, 2), "NTC", (6, 2)),
        ((3, 5, 2), "NTC", (3, 6, 2)),
    ],
)
@pytest.mark.parametrize("dtype", ["float64", "float32", "int16"])
def test_npy(shape: tuple[int, ...], layout: str, result: tuple[int, ...], dtype: str, convtool: Convtool) -> None:
    x = (noise(*shape) * 100).astype(dtype)
    np.save("x.npy", x)
    assert convtool("convolve", "x.npy", "-k", "1,2", "--layout", layout, "-o", "y.npy").code == 0
    y = np.load("y.npy")
    time = len(shape) - 1 if layout == "NCT" or len(shape) == 1 else len(shape) - 2
    wanted = np.apply_along_axis(np.convolve, time, x.astype("i8" if dtype == "int16" else dtype), [1, 2])
    assert (y.shape, y.dtype) == (result, np.dtype("int64" if dtype == "int16" else dtype))
    np.testing.assert_allclose(y, wanted, rtol=1e-6)


# Channels


def test_kernel_channels(convtool: Convtool) -> None:
    stereo, mono = wav("stereo.wav", noise(50, 2)), wav("mono.wav", noise(50, seed=1))
    one, two = wav("one.wav", noise(9, seed=2)), wav("two.wav", noise(9, 2, seed=3))
    four = wav("four.wav", noise(9, 4, seed=4))
    cube = noise(3, 2, 9, seed=5)
    np.save("cube.npy", cube)
    c = np.convolve
    for x, h, options, wanted in (
        ("stereo", "one.wav", [], [c(stereo[:, 0], one), c(stereo[:, 1], one)]),
        ("stereo", "two.wav", [], [c(stereo[:, 0], two[:, 0]), c(stereo[:, 1], two[:, 1])]),
        ("mono", "two.wav", [], [c(mono, two[:, 0]), c(mono, two[:, 1])]),
        (
            "stereo",
            "four.wav",
            ["--matrix"],
            [sum(c(stereo[:, i], four[:, 2 * i + o]) for i in range(2)) for o in range(2)],
        ),
        (
            "stereo",
            "cube.npy",
            ["--bias", "1,2,3"],
            [sum(c(stereo[:, i], cube[o, i]) for i in range(2)) + o + 1 for o in range(3)],
        ),
    ):
        run = convtool("convolve", f"{x}.wav", "-k", h, "-o", "y.wav", "--overwrite", "--dtype", "float64", *options)
        assert (run.code, run.err) == (0, "")
        np.testing.assert_allclose(read("y.wav"), np.transpose(wanted), rtol=0, atol=2e-7)


def test_a_tensor_of_a_weight_file_is_what_conv1d_uses(convtool: Convtool) -> None:
    module = torch.nn.Conv1d(2, 3, 5, dtype=torch.float64)
    torch.save(module.state_dict(), "m.pt")
    x = noise(2, 20)
    np.save("x.npy", x)
    options = ["-k", "m.pt::weight", "--bias", "m.pt::bias", "--correlate", "--mode", "valid"]
    assert convtool("convolve", "x.npy", *options, "-o", "y.npy").code == 0
    np.testing.assert_allclose(np.load("y.npy"), module(torch.from_numpy(x)).detach().numpy(), rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    ("channels", "kernel", "options", "message"),
    [
        (3, np.ones((2, 4)), [], "3 channels, but the kernel has 2 channels; a kernel of 1 or 3 fits"),
        (3, np.ones((2, 4)), ["--matrix"], "multiple of the signal's 3 channels; this one has 2"),
        (3, np.ones((1, 2, 4)), [], "the signal has 3 channels, but the kernel mixes 2 channels"),
        (1, np.ones((1, 2, 4)), [], "1 channel, but the kernel mixes 2 channels; a kernel of 1 fits, or one of 1 x"),
        (1, np.ones((1, 4)), ["--bias", "1,2"], "the bias has 2 numbers"),
        (1, np.ones((1, 4)), ["--bias", "none.csv"], "kernel none.csv: no such file"),
        (1, np.zeros((1, 4)), ["--kernel-norm", "l2"], "the kernel's l2 norm is 0"),
        (1, np.ones((1, 40)), ["--mode", "valid"], "at least as long as the kernel, which spans 40 samples; .* has 20"),
        (1, np.ones((1, 0)), [], "there are 0 taps in it"),
    ],
)
def test_what_does_not_fit(channels: int, kernel: Block, options: list[str], message: str, convtool: Convtool) -> None:
    np.save("x.npy", np.ones((channels, 20)))
    np.save("h.npy", kernel)
    run = convtool("convolve", "x.npy", "-k", "h.npy", "-o", "y.npy", *options)
    assert run.code == 1
    assert run.err.startswith("Error: ")
    assert run.err.count("\n") == 1
    assert re.search(message, run.err)
    assert files() == ["h.npy", "x.npy"]


def test_a_kernel_of_another_rate(convtool: Convtool) -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    wav("x.wav", tone / 2)
    wav("h.wav", scipy.signal.firwin(805, 1000, fs=48000), 48000)
    run = convtool("convolve", "x.wav", "-k", "h.wav", "-o", "y.wav")
    assert (run.code, files()) == (1, ["h.wav", "x.wav"])
    assert run.err == (
        "Error: x.wav: the kernel is at 48000 Hz, the signal at 8000 Hz; "
        "give --resample-kernel, or a kernel at 8000 Hz\n"
    )
    run = convtool("convolve", "x.wav", "-k", "h.wav", "-o", "y.wav", "--resample-kernel", "--mode", "same")
    assert run.code == 0
    np.testing.assert_allclose(read("y.wav")[1000:-1000], tone[1000:-1000] / 2, atol=2e-3)


# Exact numbers


@pytest.mark.parametrize(("signal", "kernel"), [("9223372036854775807", "2"), ("4611686018427387904,1", "2,1")])
def test_integers_are_never_wrapped(signal: str, kernel: str, convtool: Convtool) -> None:
    run = convtool("convolve", signal, "-k", kernel)
    assert (run.code, run.out) == (1, "")
    assert "64" in run.err
    run = convtool("convolve", signal, "-k", kernel, "--dtype", "float64")
    assert run.code == 0
    assert numbers(run.out)[0, 0] == 2.0 * int(signal.split(",")[0])


def test_nan_is_an_error_where_asked(convtool: Convtool) -> None:
    run = convtool("convolve", "1,2,nan", "-k", "1", "--nan", "error")
    assert (run.code, run.out) == (1, "")
    assert run.err == "Error: '1,2,nan': sample 2 is NaN or infinite (the first of 1 in its block); see --nan\n"


def test_nan_never_reaches_an_encoder(convtool: Convtool) -> None:
    wav("x.wav", [0.5, np.nan, 0.25, 0.25])
    run = convtool("convolve", "x.wav", "-k", "1,1", "-o", "y.wav")
    assert (run.code, files()) == (1, ["x.wav"])
    assert "2 results are NaN or infinite, the first at sample 1" in run.err
    assert convtool("convolve", "x.wav", "-k", "1,1", "-o", "y.wav", "--nan", "zero").code == 0
    np.testing.assert_array_equal(read("y.wav"), [0.5, 0.5, 0.25, 0.5, 0.25])


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_kernel_1_returns_every_sample(subtype: str, convtool: Convtool) -> None:
    wav("x.wav", np.concatenate([noise(3000, 2) * 2, [[-1, 1], [0, 0]]]), subtype=subtype)
    run = convtool("convolve", "x.wav", "-k", "1", "-o", "y.wav")
    assert (run.code, run.err) == (0, "")
    assert soundfile.info("y.wav").subtype == subtype
    for kind in ("int32", "float64"):
        np.testing.assert_array_equal(*(soundfile.read(name, dtype=kind)[0] for name in ("x.wav", "y.wav")))


def test_threads_do_not_show_in_the_bytes(convtool: Convtool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convtool.jobs.signal_job.BLOCK_SAMPLES", 3000)
    wav("x.wav", noise(40_000, 2))
    wav("h.wav", noise(700, seed=1) / 10)
    for threads in (1, 2, 3):
        run = convtool("convolve", "x.wav", "-k", "h.wav", "-o", f"y{threads}.wav", "--threads", threads)
        assert (run.code, run.err) == (0, "")
    assert Path("y1.wav").read_bytes() == Path("y2.wav").read_bytes() == Path("y3.wav").read_bytes()
    wanted = scipy.signal.oaconvolve(read("x.wav"), read("h.wav")[:, np.newaxis], axes=0)
    np.testing.assert_allclose(read("y1.wav"), wanted, atol=1e-6)


# Outputs


@pytest.mark.parametrize(
    ("output", "options", "kind", "subtype"),
    [
        ("y.wav", [], "WAV", "PCM_24"),
        ("y.WAV", [], "WAV", "PCM_24"),
        ("y.flac", [], "FLAC", "PCM_24"),
        ("y.aiff", [], "AIFF", "PCM_24"),
        ("y.ogg", [], "OGG", "VORBIS"),
        ("y.opus", [], "OGG", "OPUS"),
        ("y.flac", ["--subtype", "pcm_16"], "FLAC", "PCM_16"),
        ("y.wav", ["--subtype", "FLOAT"], "WAV", "FLOAT"),
        ("y", ["--format", "flac"], "FLAC", "PCM_24"),
        ("y.dat", ["--format", "WAV"], "WAV", "PCM_24"),
        ("sub/folder/y.caf", [], "CAF", "PCM_24"),
        ("out/", [], "WAV", "PCM_24"),
        ("out/", ["--format", "flac"], "FLAC", "PCM_24"),
        ("{parent}/{stem}-wet.{ext}", [], "WAV", "PCM_24"),
    ],
)
def test_audio_output(output: str, options: list[str], kind: str, subtype: str, convtool: Convtool) -> None:
    frames = wav("in/x.wav", noise(800, 2), subtype="PCM_24")
    run = convtool("convolve", "in/x.wav", "-k", "1", "-o", output, *options)
    assert (run.code, run.out, run.err) == (0, "", "")
    (made,) = (name for name in files() if name != "in/x.wav")
    expected = {"out/": "out/x.flac" if options else "out/x.wav", "{parent}/{stem}-wet.{ext}": "in/x-wet.wav"}
    assert made == expected.get(output, output)
    info = soundfile.info(made)
    assert (info.format, info.subtype, info.samplerate, info.channels) == (kind, subtype, RATE, 2)
    if subtype in ("PCM_24", "FLOAT"):
        np.testing.assert_array_equal(read(made), frames)


@pytest.mark.parametrize("form", ["wav", "flac", "npy", "au", "csv"])
def test_standard_output_in_any_format(form: str, convtool: Convtool) -> None:
    x = np.round(noise(300, 2) * 2**15) / 2**15
    wav("x.wav", x, subtype="PCM_16")
    run = convtool("convolve", "x.wav", "-k", "1", "-o", "-", "--format", form)
    assert (run.code, run.err) == (0, "")
    if form == "npy":
        made = np.load(io.BytesIO(run.raw)).T
    elif form == "csv":
        made = numbers(run.out).astype(np.float32)
    else:
        made = soundfile.read(io.BytesIO(run.raw))[0]
        assert soundfile.info(io.BytesIO(run.raw)).subtype == "PCM_16"
    np.testing.assert_array_equal(made, x)


@pytest.mark.parametrize("form", ["wav", "flac", "npy", "csv"])
def test_standard_input_in_any_format(form: str, convtool: Convtool) -> None:
    x = np.round(noise(300, 2) * 2**15) / 2**15
    file = io.BytesIO()
    if form == "npy":
        np.save(file, x.T)
    elif form == "csv":
        np.savetxt(file, x, delimiter=",")
    else:
        soundfile.write(file, x, RATE, format=form)
    for options in ([], ["--input-format", form]):
        run = convtool("convolve", "-", "-k", "1", "--format", "npy", *options, stdin=file.getvalue())
        assert (run.code, run.err) == (0, "")
        np.testing.assert_array_equal(np.load(io.BytesIO(run.raw)).T, x)


def test_circular_from_a_pipe(convtool: Convtool) -> None:
    same = ["--mode", "same", "--padding-mode", "circular"]
    run = convtool("convolve", "-k", "1,2,-1", *same, stdin=b"4,1,2,5\n")
    assert (run.code, run.out) == (0, "4,0,8,12\n")


def test_audio_from_numbers_needs_a_rate(convtool: Convtool) -> None:
    run = convtool("convolve", "0.5,0.25", "-k", "1", "-o", "y.wav")
    assert (run.code, files()) == (1, [])
    assert run.err == "Error: '0.5,0.25': there is no sample rate to write WAV with; give --sample-rate\n"
    assert convtool("convolve", "0.5,0.25", "-k", "1", "-o", "y.wav", "--sample-rate", "48000").code == 0
    assert soundfile.info("y.wav").samplerate == 48000


def test_clipping_is_told_and_refused_where_asked(convtool: Convtool) -> None:
    wav("x.wav", [0.5, -0.5, 0.25], subtype="PCM_16")
    run = convtool("convolve", "x.wav", "-k", "4", "-o", "y.wav")
    assert run.code == 0
    assert run.err == (
        "Warning: x.wav: 2 samples clipped, the peak is +6.02 dB over full scale; "
        "--gain -6.03, --normalize or --subtype FLOAT keeps them\n"
    )
    np.testing.assert_array_equal(read("y.wav"), [32767 / 32768, -1, 32767 / 32768])
    run = convtool("convolve", "x.wav", "-k", "4", "-o", "z.wav", "--fail-on-clip")
    assert run.code == 3
    assert run.err.startswith("Error: x.wav: 2 samples clipped")
    assert not Path("z.wav").exists()
    run = convtool("convolve", "x.wav", "-k", "4", "-o", "z.wav", "--fail-on-clip", "--subtype", "FLOAT")
    assert (run.code, run.err) == (0, "")
    np.testing.assert_array_equal(read("z.wav"), [2, -2, 1])


# Refused before any work


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.wav", "b.wav"], "there are 2 inputs; give a folder (-o DIR/) or a template"),
        (["a.wav", "b.wav", "-o", "y.wav"], "2 inputs can't go into one file"),
        (["a.wav", "b.wav", "-o", "{parent}/x.wav"], "would both be written to"),
        (["a.wav", "-o", "y.xyz"], "the extension names no format"),
        (["a.wav", "-o", "b.wav"], "b.wav exists; give --overwrite, --skip-existing or another -o"),
        (["a.wav", "-o", "a.wav", "--overwrite"], "the output a.wav is the input a.wav"),
        (["a.wav", "-o", "link.wav", "--overwrite"], "the output link.wav is the input a.wav"),
        (["a.wav", "-o", "hard.wav", "--overwrite"], "the output hard.wav is the input a.wav"),
        (["a.wav", "-k", "h.csv", "-o", "h.csv", "--overwrite"], "the output h.csv is the input h.csv"),
        (["a.wav", "--bias", "h.csv", "-o", "h.csv", "--overwrite"], "the output h.csv is the input h.csv"),
        (["a.wav", "-k", "w.npz::t", "-o", "w.npz", "--format", "npy", "--overwrite"], "output w.npz is the input"),
        (["a.wav", "-o", "r.csv", "--report", "r.csv"], "would both be written to r.csv"),
        (["a.wav", "-o", "p.png", "--format", "wav", "--plot", "p.png"], "would both be written to p.png"),
        (["a.wav", "--report", "a.wav", "--overwrite"], "the output a.wav is the input a.wav"),
        (["a.wav", "--plot", "p.xyz"], "a picture can be png, svg, pdf, not xyz"),
        (["a.wav", "b.wav", "-o", "y/", "--plot", "p.png"], "--plot draws one input; 2 were given"),
        (["a.wav", "-o", "y.wav", "--format", "xyz"], "'xyz' is no format"),
        (["a.wav", "--input-format", "xyz"], "--input-format xyz: convtool knows csv, tsv"),
        (["a.wav", "-0"], "-0 says how --input-list is separated"),
        (["-", "-"], "standard input ('-') is named twice"),
        (["-", "-k", "-"], "standard input can be the kernel, the bias or the input, and one of them alone"),
        (["-k", "-"], "one of them alone"),
        (["a.wav", "-k", "-", "--bias", "-"], "one of them alone"),
        (["--input-list", "-", "-k", "-"], "one of them alone"),
        (["two", "-k", "-", "-o", "y/"], "a kernel on standard input serves one input; 2 were given"),
        (["a.wav", "--padding-mode", "reflect"], "--padding-mode reflect needs --mode same"),
        (["a.wav", "--align-peak"], "--align-peak delays the dry part; give --mix below 1"),
        (["a.wav", "--json"], "--json prints on standard output, where the result goes; give -o"),
        (["a.wav", "--stride", "0"], "'0' does not fit; expected a whole number from 1 to 2147483648"),
        (["a.wav", "--mix", "2"], "'2' does not fit; expected a share, such as 0.3, from 0 to 1"),
    ],
)
def test_usage_errors(arguments: list[str], message: str, convtool: Convtool) -> None:
    wav("a.wav", [0.5])
    wav("b.wav", [0.25])
    os.symlink("a.wav", "link.wav")
    os.link("a.wav", "hard.wav")
    Path("h.csv").write_text("1\n")
    np.savez("w.npz", t=np.ones(1))
    Path("empty.txt").touch()
    Path("two").mkdir()
    for name in ("two/a.csv", "two/b.csv"):
        Path(name).write_text("1\n")
    Path("folder/.hidden").mkdir(parents=True)
    before = {name: Path(name).read_bytes() for name in files()}
    run = convtool("convolve", *([] if "-k" in arguments else ["-k", "1"]), *arguments, stdin=b"1\n")
    assert (run.code, run.out) == (2, "")
    assert run.err.startswith(
        "Usage: convtool convolve [OPTIONS] INPUT...\nTry 'convtool convolve --help' for help.\n\n"
    )
    assert message in run.err.splitlines()[3]
    assert {name: Path(name).read_bytes() for name in files()} == before


def test_existing_outputs(convtool: Convtool) -> None:
    for word in ([], ["--skip-existing"], ["--overwrite"]):
        Path("y.csv").write_text("old\n")
        run = convtool("convolve", "4,1", "-k", "1", "-o", "y.csv", *word)
        assert run.code == (0 if word else 2)
        assert Path("y.csv").read_text() == ("4,1\n" if word == ["--overwrite"] else "old\n")
    assert files() == ["y.csv"]


# What is told


def test_verbose_tells_what_was_chosen(convtool: Convtool) -> None:
    run = convtool("convolve", "4,1,2,5", "-k", "1,2,-1", "-v", "--threads", "2")
    assert run.out == "4,9,0,8,8,-5\n"
    assert run.err.startswith("'4,1,2,5': direct")
    assert run.err.endswith("; int64 on cpu, 1 thread; CSV\n")


def test_a_renamed_file_is_read_by_its_content(convtool: Convtool) -> None:
    wav("x.wav", [0.5, 0.25])
    os.rename("x.wav", "x.mp3")
    run = convtool("convolve", "x.mp3", "-k", "1")
    assert (run.code, run.out) == (0, "0.5\n0.25\n")
    assert run.err == "Warning: x.mp3: named .mp3, but its content is WAV; read as that\n"
    assert convtool("-q", "convolve", "x.mp3", "-k", "1").err == ""


def test_plot(convtool: Convtool) -> None:
    wav("x.wav", noise(3000, 2), subtype="PCM_16")
    run = convtool("convolve", "x.wav", "-k", "1,0.5", "-o", "y.wav", "--plot", "p.png", "--report", "r.jsonl")
    assert (run.code, run.err) == (0, "")
    assert Path("p.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads(Path("r.jsonl").read_text())["samples"] == 3001 == soundfile.info("y.wav").frames


def test_plot_of_a_listed_input(convtool: Convtool) -> None:
    Path("x.csv").write_text("4,1\n")
    run = convtool("convolve", "--input-list", "-", "-k", "1", "--plot", "p.svg", stdin=b"x.csv\n")
    assert (run.code, run.out) == (0, "4,1\n")
    assert "<svg" in Path("p.svg").read_text()


def test_help_names_every_option() -> None:
    result = CliRunner().invoke(cli, ["convolve", "--help"], terminal_width=200)
    assert result.exit_code == 0
    command = cli.get_command(None, "convolve")  # type: ignore[arg-type]
    names = {name for parameter in command.params for name in parameter.opts if name.startswith("-")}  # type: ignore[union-attr]
    assert {"--kernel", "--mode", "--threads", "--jobs", "-q", "-0"} <= names
    assert {name for name in names if name not in result.output} == set()


# Many inputs


@pytest.fixture
def takes() -> dict[str, Block]:
    """Three recordings in a tree, and what the kernel 1,0.5 makes of them."""
    return {
        name: np.convolve(wav(f"takes/{name}", noise(200 + i, seed=i) / 2), [1, 0.5])
        for i, name in enumerate(("a.wav", "day1/a.wav", "day1/b.wav"))
    }


def report(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def test_nothing_to_work_on_is_an_empty_input_for_every_command(convtool: Convtool) -> None:
    Path("e").mkdir()
    Path("empty.txt").touch()
    for command in (
        ["convolve", "-k", "1", "-o", "q/"],
        ["local-var", "-w", "1", "-o", "q/"],
        ["rescale", "--range", "0:1", "-o", "q/"],
        ["pad-batch", "-o", "q.npz"],
    ):
        run = convtool(*command, "e")
        assert (run.code, run.err) == (1, "Error: there is no signal file in e: it is empty\n")
    run = convtool("convolve", "-k", "1", "--input-list", "empty.txt")
    assert (run.code, run.err) == (1, "Error: there is no path in --input-list empty.txt\n")


def test_a_folder_in_which_nothing_is_meant_is_named(convtool: Convtool) -> None:
    Path("takes").mkdir()
    Path("takes/notes.md").write_text("a\n")
    run = convtool("convolve", "takes", "-k", "1", "-o", "wet/")
    told = "there is no signal file in takes: 1 file passed over, such as takes/notes.md; --include takes them whatever"
    assert (run.code, told in run.err) == (1, True)
    wav("takes/a.wav", noise(10))
    run = convtool("convolve", "takes", "takes", "-k", "1", "-o", "wet/", "--include", "*.flac", "--exclude", "x")
    told = "there is no signal file in takes, takes that --include *.flac --exclude x leaves; patterns are of names"
    assert (run.code, told in run.err) == (1, True)


def test_what_other_programs_leave_in_a_folder_stops_nothing(convtool: Convtool) -> None:
    for folder in ("takes", "tables"):
        Path(folder, "__MACOSX").mkdir(parents=True)
        for name in ("._a.wav", "__MACOSX/a.wav", "a.cue", "a.m3u", "a.nfo", "run.log", "README.md", "notes.txt"):
            Path(folder, name).write_text("made in May\n")
        for name in (".DS_Store", "Thumbs.db"):
            Path(folder, name).write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
        Path(folder, "desktop.ini").write_text("[.ShellClassInfo]\n")
    wav("takes/a.wav", noise(10))
    Path("tables/a.csv").write_text("1\n2\n")
    Path("tables/b.txt").write_text("gain\n-1\n")
    for folder, expected in (("takes", ["a.wav"]), ("tables", ["a.csv", "b.txt"])):
        run = convtool("convolve", folder, "-k", "1", "-o", f"{folder}.out/", "-v")
        assert (run.code, sorted(path.name for path in Path(f"{folder}.out").iterdir())) == (0, expected)
        assert f"passed over: {folder}/notes.txt\n" in run.err
    Path("tables/notes.csv").write_text("made in May\n")
    assert convtool("convolve", "tables", "-k", "1", "-o", "again/").code == 1
    assert convtool("convolve", "takes", "-k", "1", "-o", "text/", "--include", "notes.txt").code == 1


def test_verbose_says_what_audio_was_read(convtool: Convtool) -> None:
    wav("a.wav", noise(10, 2))
    assert "a.wav: read 2 channels of 10 samples at 8000 Hz, WAV/" in convtool("convolve", "a.wav", "-k", "1", "-v").err
    run = convtool("convolve", "-", "-k", "1", "-v", "--input-format", "raw:s16le", stdin=bytes(8))
    assert "standard input: read 1 channel of samples without a sample rate, WAV/PCM_16\n" in run.err
    assert ": read" not in convtool("convolve", "1,2", "-k", "1", "-v").err


def test_the_folders_of_a_pattern_are_kept_and_text_beside_audio_is_not_read(convtool: Convtool) -> None:
    wav("takes/one/a.wav", noise(10))
    wav("takes/two/a.wav", noise(10))
    Path("takes/two/levels.csv").write_text("1\n2\n")
    assert convtool("convolve", "takes/**/*.wav", "-k", "1", "-o", "wet/").code == 0
    assert sorted(map(str, Path("wet").rglob("*.*"))) == ["wet/one/a.wav", "wet/two/a.wav"]
    assert convtool("convolve", "takes", "-k", "1", "-o", "text/", "--include", "*.csv", "--exclude", "one").code == 0
    assert sorted(map(str, Path("text").rglob("*.*"))) == ["text/two/levels.csv"]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_folder(jobs: int, takes: dict[str, Block], convtool: Convtool) -> None:
    Path("takes/notes.pdf").write_bytes(b"%PDF")
    run = convtool("convolve", "takes", "-k", "1,0.5", "-o", "wet/", "--jobs", jobs, "--report", "r.jsonl", "-v")
    assert (run.code, run.out) == (0, "")
    lines = run.err.splitlines()
    assert lines[:2] == ["1 file passed over (-v tells which)", "passed over: takes/notes.pdf"]
    assert [line for line in lines if " -> " in line] == [
        f"takes/{name} -> wet/{name}: {len(made)} samples" for name, made in takes.items()
    ]
    assert lines[-1] == "3 written, 0 skipped, 0 failed"
    for name, made in takes.items():
        np.testing.assert_allclose(read(f"wet/{name}"), made, atol=1e-7)
    for record, (name, made) in zip(report("r.jsonl"), takes.items(), strict=True):
        assert record.pop("seconds") > 0
        assert record.pop("peak") == pytest.approx(20 * np.log10(np.abs(made).max()), abs=1e-3)
        assert record == {
            "input": f"takes/{name}",
            "output": f"wet/{name}",
            "status": "written",
            "error": None,
            "channels": 1,
            "samples": len(made),
            "sample_rate": RATE,
            "clipped": 0,
        }


def test_jobs_do_not_show_in_the_bytes(takes: dict[str, Block], convtool: Convtool) -> None:
    for jobs in (1, 2):
        assert convtool("convolve", "takes", "-k", "1,0.5", "-o", f"wet{jobs}/", "--jobs", jobs).code == 0
    for name in takes:
        assert Path("wet1", name).read_bytes() == Path("wet2", name).read_bytes()


def test_one_bad_file_fails_alone(takes: dict[str, Block], convtool: Convtool) -> None:
    Path("takes/bad.wav").write_text("<!DOCTYPE html>")
    Path("takes/day1/empty.flac").touch()
    run = convtool("convolve", "takes", "missing.wav", "-k", "1,0.5", "-o", "wet/", "--json", "--report", "r.jsonl")
    assert run.code == 1
    assert run.err.splitlines() == [
        "Error: takes/bad.wav: the content is an HTML or XML page: download the file itself; "
        "expected text, arrays, audio or a picture",
        "Error: takes/day1/empty.flac: the file is empty: expected a signal",
        "Error: missing.wav: no such file",
        "3 written, 0 skipped, 3 failed",
    ]
    assert run.out == Path("r.jsonl").read_text()
    records = report("r.jsonl")
    assert [(r["input"], r["status"]) for r in records] == [
        ("takes/a.wav", "written"),
        ("takes/bad.wav", "failed"),
        ("takes/day1/a.wav", "written"),
        ("takes/day1/b.wav", "written"),
        ("takes/day1/empty.flac", "failed"),
        ("missing.wav", "failed"),
    ]
    assert records[5]["error"] == "no such file"
    assert sorted(n for n in files() if n.startswith("wet/")) == sorted(f"wet/{name}" for name in takes)


def test_fail_fast(takes: dict[str, Block], convtool: Convtool) -> None:
    words = ["takes/a.wav", "missing.wav", *["takes/day1/b.wav"] * 3]
    run = convtool("convolve", *words, "-k", "1", "-o", "wet/{index}.wav", "--jobs", 1, "--fail-fast")
    assert run.code == 1
    assert run.err.splitlines() == [
        "Error: missing.wav: no such file",
        "1 written, 0 skipped, 1 failed, 3 not begun",
    ]
    assert read("wet/0.wav").shape == (200,)


def test_skip_existing_does_the_others(takes: dict[str, Block], convtool: Convtool) -> None:
    Path("wet/day1").mkdir(parents=True)
    Path("wet/day1/a.wav").write_text("there already")
    run = convtool("convolve", "takes", "-k", "1,0.5", "-o", "wet/", "--skip-existing", "--json")
    assert run.code == 0
    assert [json.loads(line)["status"] for line in run.out.splitlines()] == ["written", "skipped", "written"]
    assert run.err == "2 written, 1 skipped, 0 failed\n"
    assert Path("wet/day1/a.wav").read_text() == "there already"
    again = convtool("convolve", "takes", "-k", "1,0.5", "-o", "wet/", "--skip-existing")
    assert (again.code, again.err) == (0, "0 written, 3 skipped, 0 failed\n")


def test_dry_run_writes_nothing(takes: dict[str, Block], convtool: Convtool) -> None:
    Path("wet").mkdir()
    Path("wet/a.wav").write_text("there already")
    before = files()
    run = convtool("convolve", "takes", "-k", "1", "-o", "wet/", "--skip-existing", "--dry-run")
    assert (run.code, run.err) == (0, "")
    assert run.out.splitlines() == [
        "takes/a.wav -> wet/a.wav (exists)",
        "takes/day1/a.wav -> wet/day1/a.wav",
        "takes/day1/b.wav -> wet/day1/b.wav",
    ]
    run = convtool("convolve", "4,1", "-k", "1", "--dry-run")
    assert run.out == "'4,1' -> standard output\n"
    run = convtool("convolve", "4,1", "-k", "1", "--dry-run", "--json")
    assert json.loads(run.out)["status"] == "planned"
    assert files() == before


@pytest.mark.parametrize(
    ("options", "content"),
    [
        ([], b"takes/a.wav\r\ntakes/day1/a.wav\n"),
        (["-0"], b"takes/a.wav\0takes/day1/a.wav"),
    ],
)
@pytest.mark.parametrize("name", ["list.txt", "-"])
def test_input_list(name: str, options: list[str], content: bytes, takes: dict[str, Block], convtool: Convtool) -> None:
    Path("list.txt").write_bytes(content)
    run = convtool(
        *("convolve", "--input-list", name, *options, "-k", "1,0.5", "-o", "wet/{index}.wav"),
        stdin=content if name == "-" else b"",
    )
    assert (run.code, run.err) == (0, "2 written, 0 skipped, 0 failed\n")
    for index, name in enumerate(("a.wav", "day1/a.wav")):
        np.testing.assert_allclose(read(f"wet/{index}.wav"), takes[name], atol=1e-7)


def test_a_glob_is_expanded_here_too(takes: dict[str, Block], convtool: Convtool) -> None:
    run = convtool("convolve", "takes/**/a.wav", "-k", "1", "-o", "wet/{index}.wav", "--dry-run")
    assert run.out == "takes/a.wav -> wet/0.wav\ntakes/day1/a.wav -> wet/1.wav\n"


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--kernel-delay=-3", "--kernel-delay drops 3 samples, and the kernel has 3; drop fewer"),
        ("--kernel-fade=4", "--kernel-fade takes 4 samples, and the kernel has 3; fade fewer"),
        ("--kernel-delay=9999999", "with its delay it has 10000002 taps"),
        ("--kernel-delay=1 --dilation=5000000", "between them (--dilation 5000000) it has 10000001 taps"),
        ("--kernel-fade=1ms", "1ms is a time and needs a sample rate"),
    ],
)
def test_a_kernel_too_short_or_too_long(option: str, message: str, convtool: Convtool) -> None:
    run = convtool("convolve", "1,2", "-k", "1,2,4", *option.split())
    assert (run.code, message in run.err) == (1, True)


@pytest.mark.parametrize("option", ["--gain=inf", "--trim-kernel=nan"])
def test_numbers_that_are_not_finite_are_refused(option: str, convtool: Convtool) -> None:
    run = convtool("convolve", "1,2", "-k", "1", option)
    assert run.code == 2
    assert "expected a number of at most 1000" in run.err


def test_a_device_is_written_to_and_not_replaced(convtool: Convtool, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reading = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    run = convtool("convolve", "4,1,2,5", "-k", "1,2,-1", "-o", str(tmp_path / "pipe"), "--format", "csv")
    assert (run.code, run.err) == (0, "")
    assert os.read(reading, 100) == b"4,9,0,8,8,-5\n"
    os.close(reading)


def test_columns_that_are_not_chosen_may_hold_anything(convtool: Convtool, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("when,v,note\n2024-01-01,1,a\n2024-01-02,3,b\n2024-01-03,5,\n")
    assert convtool("convolve", "t.csv", "-k", "0.5,0.5", "--columns", "v", "--mode", "valid").out == "v\n2\n4\n"
    run = convtool("convolve", "t.csv", "-k", "1")
    way_out = "--columns picks the columns to work on"
    assert (run.code, run.err) == (1, f"Error: t.csv: line 2, column 3: 'a' is not a number; {way_out}\n")


def test_words_alone_are_no_signal(convtool: Convtool, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("hello\n")
    run = convtool("convolve", "note.txt", "-k", "1")
    assert (run.code, run.err) == (
        1,
        "Error: note.txt: there are 0 samples in it: its only line reads as names of columns\n",
    )


def test_audio_takes_no_array_of_signals(convtool: Convtool, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((3, 2, 50)))
    run = convtool("convolve", "x.npy", "-k", "1", "--sample-rate", "8000", "-o", "x.wav")
    assert run.code == 1
    assert "an array of 3; write .npy" in run.err
    assert not (tmp_path / "x.wav").exists()


def test_standard_input_into_a_folder_needs_a_format(convtool: Convtool, tmp_path: Path) -> None:
    run = convtool("convolve", "-", "-k", "1", "-o", "wet/")
    assert run.code == 2
    assert "give --format" in run.err


def test_a_link_that_leads_nowhere_is_a_missing_input(convtool: Convtool, tmp_path: Path) -> None:
    (tmp_path / "takes").mkdir()
    (tmp_path / "takes" / "lost.wav").symlink_to("gone.wav")
    run = convtool("convolve", "takes", "-k", "1", "-o", "wet/")
    assert (run.code, run.err) == (1, "Error: takes/lost.wav: no such file\n")


def test_a_batch_goes_on_under_the_same_report(convtool: Convtool, tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text("old\n")
    run = convtool("convolve", "1,2", "-k", "1", "-o", "y.csv", "--skip-existing", "--report", "r.jsonl")
    assert run.code == 0
    assert json.loads((tmp_path / "r.jsonl").read_text())["status"] == "written"


# Every N-th sample


@pytest.mark.parametrize(
    ("stride", "rate", "told"),
    [(2, 22050, ""), (7, 6300, ""), (44101, 1, "44100 Hz over a stride of 44101 is 0.999977 Hz; the file says 1 Hz")],
)
def test_the_sample_rate_is_that_of_the_samples_written(
    stride: int, rate: int, told: str, convtool: Convtool, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "x.wav", np.full(100, 0.25), 44100)
    run = convtool("convolve", tmp_path / "x.wav", "-k", "1", "--stride", stride, "-o", tmp_path / "y.wav")
    assert run.code == 0
    assert soundfile.info(str(tmp_path / "y.wav")).samplerate == rate
    assert told in run.err


def test_a_sample_rate_that_is_rounded_is_told(convtool: Convtool, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", np.full(100, 0.25), 8000)
    run = convtool("local-var", tmp_path / "x.wav", "-w", "2", "--stride", "3", "-o", tmp_path / "y.wav")
    assert soundfile.info(str(tmp_path / "y.wav")).samplerate == 2667
    assert "8000 Hz over a stride of 3 is 2666.67 Hz; the file says 2667 Hz" in run.err
    run = convtool("local-var", tmp_path / "x.wav", "-w", "2", "--stride", "3", "-o", tmp_path / "y.csv")
    assert run.err == ""


def test_standard_input_among_several(convtool: Convtool, tmp_path: Path) -> None:
    run = convtool("convolve", "-", "4,1", "-k", "1,2", "-o", f"{tmp_path}/out/", "--format", "csv", stdin=b"1,2\n")
    assert (run.code, run.err) == (0, "2 written, 0 skipped, 0 failed\n")
    assert (tmp_path / "out" / "stdin.csv").read_text() == "1,4,4\n"
