"""Parameters kept and read back, ranges found over many inputs, and the work on one input of `rescale`."""

from __future__ import annotations

import json
import math
import os
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from convtool.errors import InputError, OutputError
from convtool.jobs.rescale.fitting import Fitting, fit_all
from convtool.jobs.rescale.job import RescaleJob
from convtool.jobs.rescale.params import Channel, Params, Spread, parse_range, range_text, read_params
from convtool.runs.plan import Task
from convtool.signals.inputs import Input, expand
from convtool.signals.opening import ReadOptions

ASKED = Params("minmax", -1.0, 1.0)
GOOD: dict[str, Any] = {
    "version": 1,
    "method": "minmax",
    "range": [-1, 1.0],
    "dtype": "float32",
    "sources": 3,
    "channels": [{"name": "a", "min": 0, "max": 4.5}, {"min": -1, "max": -1}],
}
finite = st.floats(allow_nan=False, allow_infinity=False)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


# Ranges as they are typed


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("-20:30", -20, 30),
        ("0:1", 0, 1),
        (" +.5 : 1e3 ", 0.5, 1000),
        ("-1E-3:-.25e-3", -1e-3, -0.25e-3),
        ("-1.7e308:1.7e308", -1.7e308, 1.7e308),
        ("0.1:0.30000000000000004", 0.1, 0.30000000000000004),
    ],
)
def test_a_range_is_read_and_told(text: str, low: float, high: float) -> None:
    assert parse_range(text) == (low, high)
    assert parse_range(range_text(low, high)) == (low, high)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is no range: give two numbers, LOW:HIGH, such as -1:1"),
        ("1", "'1' is no range"),
        ("1:2:3", "is no range"),
        ("1_0:20", "is no range"),
        ("nan:1", "is no range"),
        ("٠:1", "is no range"),
        ("a\x1b:1", r"'a\\x1b:1' is no range"),
        ("0:1e400", "0:inf is past what float64 holds; expected two finite numbers"),
        ("30:-20", "30:-20 is inverted; the lower number comes first: -20:30"),
        ("5:5.0", "5:5 is empty; the numbers must differ"),
    ],
)
def test_no_range(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_range(text)


# PARAMS.json


def test_the_file_is_readable() -> None:
    channels = (Channel(-0.5, 0.25, "left, µV"), Channel(5e-324, 1.7e308))
    Params("minmax", -1.0, 1.0, channels, "float32", 12).write("p.json")
    assert Path("p.json").read_text(encoding="utf-8") == (
        "{\n"
        '  "version": 1,\n'
        '  "method": "minmax",\n'
        '  "range": [-1.0, 1.0],\n'
        '  "dtype": "float32",\n'
        '  "sources": 12,\n'
        '  "channels": [\n'
        '    {"name": "left, µV", "min": -0.5, "max": 0.25},\n'
        '    {"name": null, "min": 5e-324, "max": 1.7e+308}\n'
        "  ]\n"
        "}\n"
    )
    assert Params("tanh", 0.0, 1.0).as_json().endswith('"channels": []\n}\n')


@pytest.mark.parametrize(
    ("params", "line", "told"),
    [
        (
            Params("standard", channels=(Spread(1e9, 0.1, -3e-9, "a"),)),
            '{"name": "a", "mean": 1000000000.0, "std": 0.1, "rest": -3e-09}',
            "mean 1000000000, std 0.1",
        ),
        (
            Params("robust", channels=(Spread(0.5, 2.0), Spread(1.0, 0.0))),
            '{"name": null, "median": 0.5, "iqr": 2.0}',
            "the figures of 2 channels",
        ),
        (
            Params("maxabs", channels=(Spread(0.0, 2**53 + 1),)),
            '{"name": null, "maxabs": 9007199254740993}',
            "maxabs 9007199254740993",
        ),
    ],
)
def test_figures_are_kept_to_the_bit(params: Params, line: str, told: str) -> None:
    params.write("p.json")
    assert line in Path("p.json").read_text()
    assert read_params("p.json") == params
    assert params.data == told


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"method": "standard", "channels": [{"mean": 1}]}, "channel 1: 'std' is missing"),
        (
            {"method": "robust", "channels": [{"median": 1, "iqr": -1}]},
            "channel 1: 'iqr' is -1(.0)?; expected a number",
        ),
        ({"method": "maxabs", "channels": [3]}, "channel 1: 3; expected an object with 'maxabs'"),
        ({"method": "standard", "channels": [{"mean": 1, "std": 1, "rest": "a"}]}, "channel 1: 'rest' is \"a\""),
        ({"method": "standard", "channels": []}, "'channels' is \\[\\]; expected a list of what was found"),
    ],
)
def test_figures_that_are_wrong_are_named(record: dict[str, Any], message: str) -> None:
    Path("p.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match=message):
        read_params("p.json")


@given(
    ends=st.tuples(finite, finite).filter(lambda ends: ends[0] < ends[1]),
    figures=st.lists(
        st.tuples(finite, finite, st.text(st.characters(exclude_categories=["Cs"])) | st.none()), min_size=1
    ),
)
def test_every_number_comes_back_to_the_bit(
    ends: tuple[float, float], figures: list[tuple[float, float, str | None]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    channels = tuple(Channel(min(a, b), max(a, b), name) for a, b, name in figures)
    params = Params("minmax", *ends, channels, "float64", 1)
    path = str(tmp_path_factory.getbasetemp() / "any.json")
    params.write(path, replace=True)
    read = read_params(path)
    assert read == params
    assert [repr(channel) for channel in read.channels] == [repr(channel) for channel in channels]


def test_parameters_written_by_hand() -> None:
    Path("p.json").write_text('\ufeff{"method": "minmax", "range": [0, 1], "channels": [{"min": 2, "max": 3}]}')
    assert read_params("p.json") == Params("minmax", 0.0, 1.0, (Channel(2.0, 3.0),))
    Path("p.json").write_text('{"method": "tanh", "range": [0, 1], "dtype": null}')
    assert read_params("p.json") == Params("tanh", 0.0, 1.0)
    Path("p.json").write_text(json.dumps(GOOD))
    channels = (Channel(0.0, 4.5, "a"), Channel(-1.0, -1.0))
    assert read_params("p.json") == Params("minmax", -1.0, 1.0, channels, "float32", 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty; expected parameters as --save writes them"),
        (" \n", "the file is empty"),
        ("<!DOCTYPE html><html>", r"is no JSON \(Expecting value: line 1 column 1 \(char 0\)\); expected parameters"),
        (json.dumps(GOOD)[:-9], r"is no JSON \("),
        ("\xff\xfe", r"is no JSON \(.*codec can't decode"),
        ('{"range": [NaN, 1]}', r"is no JSON \(NaN is no number of JSON\)"),
        ('{"range": [0, Infinity]}', r"is no JSON \(Infinity is no number of JSON\)"),
        ("[" * 100_000, r"is no JSON \(nested too deep\)"),
        ('{"range": [0, ' + "9" * 5000 + "]}", r"is no JSON \(Exceeds the limit"),
        ("[1, 2]", r"holds \[1, 2\]; expected parameters as --save writes them"),
        ('"' + "x" * 99 + '"', f'holds "{"x" * 58}…; expected'),
        ("{}", "'method' is missing; expected parameters as --save writes them"),
    ],
)
def test_no_parameters_at_all(text: str, message: str) -> None:
    Path("p.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=rf"^p.json: {message}"):
        read_params("p.json")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("version", 2, "'version' is 2; this convtool reads version 1"),
        ("version", "1", "'version' is \"1\"; this"),
        ("method", "log", "'method' is \"log\"; expected minmax, clip, sigmoid, tanh"),
        ("method", ["clip"], r"'method' is \[\"clip\"\]; expected"),
        ("method", None, "'method' is null; expected"),
        ("range", "0:1", "'range' is \"0:1\"; expected two numbers, LOW and HIGH"),
        ("range", [0, 1, 2], r"'range' is \[0, 1, 2\]; expected two"),
        ("range", [0, "1"], "'range' is \"1\"; expected a number"),
        ("range", [0, True], "'range' is true; expected a number"),
        ("range", [1, -1], "'range': 1:-1 is inverted; the lower number comes first: -1:1"),
        ("range", [1, 1], "'range': 1:1 is empty"),
        ("range", [0, 10**400], "'range' is past what float64 holds; expected a finite number"),
        ("dtype", "int8", "'dtype' is \"int8\"; expected float32, float64"),
        ("sources", -1, "'sources' is -1; expected how many inputs were fitted"),
        ("sources", True, "'sources' is true; expected"),
        ("sources", 1.5, "'sources' is 1.5; expected"),
        ("channels", {}, "'channels' is {}; expected a list of what was found in the data"),
        ("channels", [], r"'channels' is \[\]; expected a list"),
        ("channels", [1], "channel 1: 1; expected an object with 'min' and 'max'"),
        ("channels", [{"min": 0}], "channel 1: 'max' is missing"),
        ("channels", [GOOD["channels"][0], {"min": "0", "max": 1}], "channel 2: 'min' is \"0\"; expected a number"),
        ("channels", [{"min": 0, "max": 1, "name": 5}], "channel 1: 'name' is 5; expected text or null"),
        ("channels", [{"min": 2, "max": 1.5}], "channel 1: 'min' is 2.0, above 'max', which is 1.5"),
    ],
)
def test_what_is_wrong_is_named(key: str, value: Any, message: str) -> None:
    Path("p.json").write_text(json.dumps({**GOOD, key: value}))
    with pytest.raises(InputError, match=f"^p.json: {message}"):
        read_params("p.json")
    if key in ("method", "range", "channels"):
        Path("p.json").write_text(json.dumps({name: each for name, each in GOOD.items() if name != key}))
        with pytest.raises(InputError, match=f"^p.json: '{key}' is missing"):
            read_params("p.json")


def test_a_file_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"^no\\x1b.json: no such file"):
        read_params("no\x1b.json")
    with pytest.raises(InputError, match=r"^\.: is a folder; expected a file"):
        read_params(".")
    monkeypatch.setattr("convtool.jobs.rescale.params._LARGEST", 10)
    Path("p.json").write_text("{" + " " * 20 + "}")
    with pytest.raises(InputError, match=r"^p.json: is longer than 10 bytes; expected parameters"):
        read_params("p.json")


# Ranges of many inputs


def inputs(*words: str) -> list[Input]:
    return expand(words)[0]


def fitted(sources: Sequence[Input], **how: Any) -> Params:
    return fit_all(Fitting(**how), ASKED, sources)[0]


def test_one_range_over_formats_and_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convtool.jobs.rescale.fitting.BLOCK_SAMPLES", 16)
    rng = np.random.default_rng(0)
    Path("takes/live").mkdir(parents=True)
    stereo, mono = rng.uniform(-0.5, 0.5, (100, 2)), rng.uniform(-0.7, 0.2, 50)
    soundfile.write("takes/a.wav", stereo, 8000, subtype="PCM_16")
    soundfile.write("takes/live/b.flac", mono, 8000, subtype="PCM_24")
    np.save("takes/c.npy", rng.normal(size=(2, 3, 40)).astype(np.float32) / 10)
    read = [soundfile.read(f"takes/{name}")[0] for name in ("a.wav", "live/b.flac")] + [np.load("takes/c.npy")]
    params = fitted(inputs("takes"))
    assert params == Params(
        "minmax", -1, 1, (Channel(min(x.min() for x in read), max(x.max() for x in read)),), "float32", 3
    )
    assert fitted(inputs("takes", "-9,8")).channels == (Channel(-9, 8),)
    assert fitted(inputs("-9,8", "takes")).dtype == "float64"
    assert fitted(inputs("-9,8", "takes"), dtype="float32", read=ReadOptions(exact=False)).dtype == "float32"


def test_channels_apart_with_their_names() -> None:
    Path("x.csv").write_text("a,b\n1,10\n2,30\n")
    Path("y.csv").write_text("5,6\n0,20\n")
    Path("z.csv").write_text("u,b\n0,-1\n1,-2\n")
    assert fitted(inputs("y.csv", "x.csv"), per_channel=True).channels == (Channel(0, 5, "a"), Channel(6, 30, "b"))
    assert fitted(inputs("x.csv", "z.csv"), per_channel=True).channels == (Channel(0, 2, "a"), Channel(-2, 30, "b"))
    assert fitted(inputs("x.csv", "y.csv")).channels == (Channel(0, 30),)


@pytest.mark.parametrize(
    ("text", "how", "message"),
    [
        ("1,2,3\n4,5,6\n", {"per_channel": True}, "bad.csv: the signal has 3 channels; there were 2 before"),
        ("b,a\n1,2\n", {"per_channel": True}, "bad.csv: column 1 is 'b', and what was fitted to that is column 2's"),
        ("a\n", {}, "bad.csv: there are 0 samples in it"),
        ("1,2\n1,x\n", {}, "bad.csv: line 2, column 2: 'x' is not a number"),
        ("1,2\n1,nan\n", {"nan": "error"}, "bad.csv: sample 1 is NaN or infinite"),
        ("1,2\n1,inf\n", {"nan": "propagate"}, "bad.csv: sample 1 is NaN or infinite"),
    ],
)
def test_a_bad_source_is_named(text: str, how: dict[str, Any], message: str) -> None:
    Path("x.csv").write_text("a,b\n1,10\n2,30\n")
    Path("bad.csv").write_text(text)
    with pytest.raises(InputError, match=f"^{message}"):
        fitted(inputs("x.csv", "bad.csv"), **how)


def test_an_empty_source_is_named() -> None:
    np.save("empty.npy", np.zeros((2, 0)))
    with pytest.raises(InputError, match=r"^empty.npy: there are 0 samples in it"):
        fitted(inputs("1,2", "empty.npy"))


def test_nan_in_sources() -> None:
    assert fitted(inputs("nan,4,inf", "nan,nan", "1,2")).channels == (Channel(1, 4),)
    assert fitted(inputs("nan,4,inf", "1,2"), nan="zero").channels == (Channel(0, 4),)
    Path("x.csv").write_text("a,b\n1,nan\n2,inf\n")
    with pytest.raises(InputError, match=r"^channel 2 has no range to keep: no number is finite; see --nan$"):
        fitted(inputs("x.csv"), per_channel=True)
    with pytest.raises(InputError, match=r"^there is no range to keep: no number is finite; see --nan$"):
        fitted(inputs("nan,inf"))


def test_no_figures_of_nan() -> None:
    with pytest.raises(InputError, match=r"^there is no mean or std to keep: no number is finite; see --nan$"):
        fit_all(Fitting(), Params("standard"), inputs("nan,inf"))


def test_what_readers_note_is_passed_on() -> None:
    soundfile.write("x.wav", np.zeros(9), 8000)
    Path("x.wav").rename("x.csv")
    _, notes = fit_all(Fitting(), ASKED, inputs("1,2", "x.csv"))
    assert notes == ["x.csv: named .csv, but its content is WAV; read as that"]


def test_libraries_are_quiet_while_fitting_and_only_then(capfd: pytest.CaptureFixture[str]) -> None:
    Path("junk.mp3").write_bytes(b"ID3\x04\0\0\0\0\0\0" + b"\xff\xfb\x90\0" + bytes(range(256)) * 40)
    with pytest.raises(InputError, match=r"^junk.mp3: "):
        fitted(inputs("junk.mp3"))
    os.write(2, b"heard")
    assert capfd.readouterr().err == "heard"


# The work on one input


def run(job: RescaleJob, source: str, output: str = "y.npy") -> Any:
    Path(output).unlink(missing_ok=True)
    return job(Task(0, inputs(source)[0], output))


def test_a_job_survives_pickling() -> None:
    job = RescaleJob(Params("minmax", 0, 1, (Channel(0, 1, "a"),)), per_channel=True, save="p.json")
    assert pickle.loads(pickle.dumps(job)) == job


def test_only_minmax_without_a_range_reads_twice() -> None:
    assert RescaleJob(ASKED).reads_twice
    assert not RescaleJob(Params("minmax", 0, 1, (Channel(0, 1),))).reads_twice
    assert not RescaleJob(Params("tanh", 0, 1)).reads_twice


@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize(
    ("params", "told", "back"),
    [
        (Params("tanh", -1, 1), "tanh, to -1:1", "tanh inverted, from -1:1"),
        (Params("minmax", -1, 1, (Channel(0, 5e33),)), "minmax, 0:5e33 to -1:1", "minmax inverted, -1:1 to 0:5e33"),
        (
            Params("standard", channels=(Spread(0.5, 2.0),)),
            "standard, mean 0.5, std 2",
            "standard inverted, mean 0.5, std 2",
        ),
        (
            Params("minmax", -1, 1, (Channel(0, 1), Channel(0, 2))),
            "minmax, the ranges of 2 channels to -1:1",
            "minmax inverted, -1:1 to the ranges of 2 channels",
        ),
    ],
)
def test_what_was_done_is_told(params: Params, told: str, back: str, invert: bool) -> None:
    np.save("x.npy", np.zeros((2, 5)))
    outcome = run(RescaleJob(params, invert=invert), "x.npy")
    assert outcome.remarks[0].startswith(f"{back if invert else told}; blocks of ")


def test_the_range_of_the_input_itself_is_told_and_kept() -> None:
    outcome = run(RescaleJob(ASKED, save="p.json"), "0,1,4")
    assert outcome.remarks[0].startswith("minmax, 0:4 to -1:1; ")
    assert read_params("p.json") == Params("minmax", -1, 1, (Channel(0, 4),), "float64", 1)
    np.testing.assert_array_equal(np.load("y.npy"), [-1, -0.5, 1])


@pytest.mark.parametrize(("source", "nan"), [("nan,inf", "skip"), ("1,nan", "propagate"), ("1,inf", "propagate")])
def test_no_range_is_kept_of_what_has_none(source: str, nan: str) -> None:
    with pytest.raises(InputError, match=r"^there is no range to keep: (no|a) number is .*; see --nan$"):
        run(RescaleJob(ASKED, save="p.json", nan=nan), source)
    assert not Path("p.json").exists()


def test_nothing_is_kept_of_work_that_failed() -> None:
    with pytest.raises(InputError, match="no sample rate"):
        run(RescaleJob(ASKED, save="p.json"), "0,1,4", "y.wav")
    assert os.listdir() == []
    Path("no").write_text("")
    with pytest.raises(OutputError, match=r"^no/p.json: can't be written to: "):
        run(RescaleJob(ASKED, save="no/p.json"), "0,1,4")


CLIP = Params("clip", 0, 2)
TANH = Params("tanh", 0, 2)
FITTED = Params("minmax", 0, 2, (Channel(0, 1),))


@pytest.mark.parametrize(
    ("params", "invert", "source", "clipped", "note"),
    [
        (CLIP, False, "-1,0,2,3,nan,inf", 3, "3 samples clipped to 0:2"),
        (CLIP, False, "1,9", 1, "1 sample clipped to 0:2"),
        (CLIP, False, "0,2", 0, None),
        (TANH, False, "-9,9", 0, None),
        (TANH, True, "-1,0,1,2,3", 2, "2 samples clipped to 0:2"),
        (FITTED, False, "0,1,2", 0, "1 sample outside what was fitted (0:1); results may leave 0:2"),
        (FITTED, False, "0,1", 0, None),
        (FITTED, True, "-1,3", 0, None),
        (ASKED, False, "-9,inf", 0, None),
    ],
)
def test_samples_outside_are_counted(
    params: Params, invert: bool, source: str, clipped: int, note: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for samples in (1, 4, 1 << 19):
        monkeypatch.setattr("convtool.jobs.signal_job.BLOCK_SAMPLES", samples)
        outcome = run(RescaleJob(params, invert=invert, threads=2), source)
        told = outcome.remarks[:-1] if params is CLIP else outcome.notes  # that samples are clipped was asked for
        assert (outcome.clipped, told) == (clipped, [note] if note else [])


def test_clipping_counts_before_and_in_the_file() -> None:
    soundfile.write("x.wav", [0.5, -0.75, 0.25, 0.25], 8000, subtype="PCM_16")
    params = Params("minmax", 0, 3, (Channel(-0.5, 0.5),))
    outcome = run(RescaleJob(params), "x.wav", "y.wav")
    assert outcome.clipped == 3
    assert [note[:30] for note in outcome.notes] == ["1 sample outside what was fitt"]
    assert outcome.clipping == "3 samples clipped, the peak is +9.54 dB over full scale"
    soundfile.write("x.wav", [0.5, -3, 9, 0.25], 8000, subtype="FLOAT")
    outcome = run(RescaleJob(Params("clip", -2, 2), write=RescaleJob(ASKED).write), "x.wav", "y.flac")
    assert outcome.clipped == 4


@pytest.mark.parametrize("samples", [1, 2, 1 << 19])
def test_samples_outside_are_refused(samples: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convtool.jobs.signal_job.BLOCK_SAMPLES", samples)
    np.save("x.npy", np.array([[0, 1, 1, 9], [0, 1, -1, 0]]))
    outcome = run(RescaleJob(CLIP, fail_on_clip=True), "x.npy")
    assert (outcome.status, outcome.exit_code, outcome.clipped) == ("failed", 3, 2)
    assert outcome.error == "2 samples clipped to 0:2, and --fail-on-clip was given; nothing was written"
    assert not Path("y.npy").exists()
    run(RescaleJob(FITTED, fail_on_clip=True), "x.npy")
    np.testing.assert_array_equal(np.load("y.npy"), [[0, 2, 2, 18], [0, 2, -2, 0]])


@pytest.mark.parametrize(
    ("channels", "per_channel", "message"),
    [
        (3, False, "what was fitted had 3 channels, and the input has 2; expected 3, or a fit without"),
        (1, True, "--per-channel was given, but one was fitted for all, and the input has 2 channels"),
    ],
)
def test_channels_that_do_not_fit(channels: int, per_channel: bool, message: str) -> None:
    np.save("x.npy", np.zeros((2, 5)))
    with pytest.raises(InputError, match=f"^{message}"):
        run(RescaleJob(Params("minmax", 0, 1, (Channel(0, 1),) * channels), per_channel=per_channel), "x.npy")


def test_one_range_serves_any_channels() -> None:
    np.save("x.npy", np.arange(10.0).reshape(2, 5))
    run(RescaleJob(Params("minmax", 0, 1, (Channel(0, 8),))), "x.npy")
    np.testing.assert_array_equal(np.load("y.npy"), np.arange(10.0).reshape(2, 5) / 8)
    run(RescaleJob(Params("minmax", 0, 1, (Channel(0, 8),)), per_channel=True), "1,2")
    np.testing.assert_array_equal(np.load("y.npy"), [0.125, 0.25])


TABLE = Params("minmax", 0, 1, (Channel(0, 1, "a"), Channel(0, 2, "b"), Channel(0, 4, "c")))


@pytest.mark.parametrize(
    ("text", "columns", "expected"),
    [
        ("b,a,c\n1,1,1\n", (), [0.5, 1, 0.25]),
        ("c\n1\n", (), [0.25]),
        ("c,a\n1,1\n", (), [0.25, 1]),
        ("b,b\n1,2\n", (), [0.5, 1]),
        ("guess\n1\n", ("c",), [0.25]),
        ("a,b\n1,1\n", ("b", "a"), [0.5, 1]),
        ("1,1\n1,1\n", ("3", "b"), [0.25, 0.5]),
        ("1,1,1\n1,1,1\n", (), [1, 0.5, 0.25]),
    ],
)
def test_columns_find_their_ranges(text: str, columns: tuple[str, ...], expected: list[float]) -> None:
    Path("x.csv").write_text(text)
    run(RescaleJob(TABLE, params_columns=columns), "x.csv")
    made = np.load("y.npy")
    assert made[:, -1].tolist() == expected
    np.save("made.npy", made)
    there = np.loadtxt("x.csv", delimiter=",", skiprows=int(text[0].isalpha()), ndmin=2).T
    named = columns or (tuple(text.split()[0].split(",")) if text[0].isalpha() else ())
    run(RescaleJob(TABLE, params_columns=named, invert=True), "made.npy")
    np.testing.assert_array_equal(np.load("y.npy"), there)


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        ("a,d\n1,1\n", (), "the parameters have no column 'd'; they know 'a', 'b', 'c'; --params-columns says whose"),
        ("A\n1\n", (), "the parameters have no column 'A'"),
        ("d\n1\n", ("e",), "the parameters have no column 'e'; they know 'a', 'b', 'c'$"),
        ("d\n1\n", ("4",), "the parameters have no column '4'"),
        ("d\n1\n", ("0",), "the parameters have no column '0'"),
        ("d\n1\n", ("a", "b"), "--params-columns names 2 columns, and the input has 1; name one for each"),
    ],
)
def test_columns_without_a_range(text: str, columns: tuple[str, ...], message: str) -> None:
    Path("x.csv").write_text(text)
    with pytest.raises(InputError, match=f"^{message}"):
        run(RescaleJob(TABLE, params_columns=columns), "x.csv")


def test_columns_of_one_name_are_told_apart_by_number() -> None:
    twice = Params("minmax", 0, 1, (Channel(0, 1, "a"), Channel(0, 2, "a")))
    Path("x.csv").write_text("a,a\n1,1\n")
    run(RescaleJob(twice), "x.csv")
    np.testing.assert_array_equal(np.load("y.npy"), [[1], [0.5]])
    Path("x.csv").write_text("a\n1\n")
    run(RescaleJob(twice, params_columns=("2",)), "x.csv")
    np.testing.assert_array_equal(np.load("y.npy"), [[0.5]])
    with pytest.raises(InputError, match=r"^the parameters have 2 columns 'a', numbers 1, 2; --params-columns takes"):
        run(RescaleJob(twice), "x.csv")


def test_ranges_without_names_go_by_place() -> None:
    Path("x.csv").write_text("b,a\n1,2\n")
    run(RescaleJob(Params("minmax", 0, 1, (Channel(0, 1), Channel(0, 2)))), "x.csv")
    np.testing.assert_array_equal(np.load("y.npy"), [[1], [1]])
    run(RescaleJob(Params("minmax", 0, 1, (Channel(0, 1), Channel(0, 2))), params_columns=("2", "1")), "x.csv")
    np.testing.assert_array_equal(np.load("y.npy"), [[0.5], [2]])
    with pytest.raises(InputError, match="no column 'a'; they know no names, but numbers 1 to 2"):
        run(RescaleJob(Params("minmax", 0, 1, (Channel(0, 1),) * 2), params_columns=("2", "a")), "x.csv")
    half = Params("minmax", 0, 1, (Channel(0, 1, "a"), Channel(0, 2)))
    with pytest.raises(InputError, match=r"^column 2 is 'a', and what was fitted to that is column 1's; --columns"):
        run(RescaleJob(half), "x.csv")


def test_samples_outside_the_range_of_their_own_column_are_counted() -> None:
    Path("x.csv").write_text("c,a\n3,3\n5,0\n")
    outcome = run(RescaleJob(TABLE), "x.csv")
    assert outcome.notes[0].startswith("2 samples outside what was fitted (the ranges of 2 channels)")


def test_infinite_results_are_told_by_where_they_arise() -> None:
    outcome = run(RescaleJob(Params("sigmoid", 0, 1), invert=True, eps=0), "0,0.5,1")
    assert (outcome.clipped, np.load("y.npy").tolist()) == (0, [-math.inf, 0, math.inf])


# Integers past 2^53


def test_integers_keep_their_ranges_and_their_last_digits() -> None:
    Path("x.csv").write_text("9007199254740993\n9007199254740995\n9007199254740997\n")
    outcome = run(RescaleJob(params=Params("minmax", 0.0, 2.0), save="p.json"), "x.csv", "y.csv")
    assert Path("y.csv").read_text() == "0\n1\n2\n"
    assert "9007199254740993:9007199254740997 to 0:2" in outcome.remarks[0]
    params = read_params("p.json")
    assert params.channels == (Channel(9007199254740993, 9007199254740997),)
    assert params.dtype == "float64"
    again = run(RescaleJob(params=params), "x.csv", "z.csv")
    assert (Path("z.csv").read_text(), again.notes) == ("0\n1\n2\n", [])
    run(RescaleJob(params=params, invert=True), "y.csv", "back.csv")
    assert [int(line) for line in Path("back.csv").read_text().split()][1] in (9007199254740994, 9007199254740996)


def test_integers_clipped_by_whole_numbers_stay_integers() -> None:
    Path("x.csv").write_text("9007199254740993\n-7\n9223372036854775807\n")
    clip = Params("clip", -2.0, 1e300)
    outcome = run(RescaleJob(params=clip), "x.csv", "y.csv")
    assert (Path("y.csv").read_text(), outcome.clipped) == ("9007199254740992\n-2\n9.223372036854776e18\n", 1)
    outcome = run(RescaleJob(params=Params("clip", -2.0, 2.0**60)), "x.csv", "z.csv")
    assert (Path("z.csv").read_text(), outcome.clipped) == (f"9007199254740993\n-2\n{2**60}\n", 2)
    outcome = run(RescaleJob(params=Params("clip", -6.5, 0.5)), "x.csv", "half.csv")
    assert (Path("half.csv").read_text(), outcome.clipped) == ("0.5\n-6.5\n0.5\n", 3)


def test_integers_outside_a_fitted_range_are_counted_to_the_last_digit() -> None:
    np.save("x.npy", np.array([2**53, 2**53 + 1, 2**53 + 2]))
    fitted_to = Params("minmax", 0.0, 1.0, (Channel(2**53 + 1, 2**53 + 2),), "float64", 1)
    assert run(RescaleJob(params=fitted_to), "x.npy").notes[0].startswith("1 sample outside what was fitted")
    within = Params("minmax", 0.0, 1.0, (Channel(2.0**53 - 0.5, 2.0**53 + 2),), "float64", 1)
    assert run(RescaleJob(params=within), "x.npy").notes == []
    with pytest.raises(InputError, match="it was fitted to a constant"):
        run(RescaleJob(params=Params("minmax", 0.0, 1.0, (Channel(2**53 + 1, 2**53 + 1),), "float64", 1)), "x.npy")
