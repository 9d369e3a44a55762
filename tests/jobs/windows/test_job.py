"""The work on one input of `local-var`: lengths resolved, results described, what a picture is given."""

from __future__ import annotations

import itertools
import os
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from convtool import plots
from convtool.errors import InputError
from convtool.jobs import record
from convtool.jobs.windows.grid import GridIngest
from convtool.jobs.windows.job import LocalVarJob
from convtool.runs.plan import Task
from convtool.signals.inputs import Input
from convtool.signals.length import Length
from convtool.signals.signal import Block, Signal

ONE = (Length.parse("1"),)
TWO = (Length.parse("2"),)


@pytest.mark.parametrize(
    ("text", "rate", "samples"),
    [
        ("2205", None, 2205),
        ("2205", 8000, 2205),
        ("50ms", 44100, 2205),
        ("0.5s", 44100, 22050),
        ("10min", 8000, 4_800_000),
        ("0.5h", 1, 1800),
        (".5s", 3, 2),
        ("1.s", 3, 3),
        ("+1s", 3, 3),
        ("0.1ms", 48000, 5),
        ("0.3s", 10, 3),
        ("9007199254740993", None, 9007199254740993),
    ],
)
def test_a_length_in_samples(text: str, rate: int | None, samples: int) -> None:
    assert Length.parse(text).samples(rate) == samples


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is no length"),
        ("50 ms", "'50 ms' is no length: give samples, such as 2205, or a time: 50ms, 0.5s, 10min or 1h"),
        ("5e3", "is no length"),
        ("1_000", "is no length"),
        ("٣", "is no length"),
        ("3.0", "is no length"),
        ("1xs", "is no length"),
        ("0", "0 is too short; the least length is 1 sample"),
        ("-0.5s", "-0.5s is too short"),
        ("0.0ms", "0.0ms is too short"),
    ],
)
def test_no_length(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Length.parse(text)


def test_a_time_needs_a_rate_and_a_sample() -> None:
    with pytest.raises(InputError, match=r"50ms is a time and needs a sample rate, .* give --sample-rate"):
        Length.parse("50ms").samples(None)
    with pytest.raises(InputError, match=r"1ms is 0.4 samples at 400 Hz; give a length of at least 1 sample"):
        Length.parse("1ms").samples(400)


def test_a_job_survives_pickling() -> None:
    job = LocalVarJob(TWO * 2, ONE * 2, ("var", "mean"), plot="p.png")
    assert pickle.loads(pickle.dumps(job)) == job
    assert (job.read.layout, LocalVarJob(TWO, ONE).read.layout) == ("NTC", "NCT")


def test_a_job_leaves_its_tail_alone_where_padding_does_not_wrap() -> None:
    for mode, padding in itertools.product(("valid", "same"), ("zeros", "circular")):
        job = LocalVarJob(TWO, ONE, mode=mode, padding_mode=padding)  # type: ignore[arg-type]
        assert job.reads_twice == ((mode, padding) == ("same", "circular"))


def test_rows_become_rows() -> None:
    ingest = GridIngest(Signal("NPY", 3, "float32"), "float32", "cpu", "error")
    rows = np.arange(12.0, dtype=np.float32).reshape(4, 3)
    made = ingest.tensor(rows.T)
    assert made.is_contiguous()
    np.testing.assert_array_equal(made.numpy(), rows)
    rows[1, 2] = np.inf
    with pytest.raises(InputError, match="row 6, column 3 is NaN or infinite"):
        ingest.tensor(rows.T)


def drawn(monkeypatch: pytest.MonkeyPatch, name: str) -> dict[str, Any]:
    """What the renderer `name` will be called with."""
    given: dict[str, Any] = {}

    def render(**arguments: Any) -> bytes:
        given.update(arguments)
        return b"picture"

    monkeypatch.setattr(plots, name, render)
    return given


def run(job: LocalVarJob, path: Path) -> None:
    path.with_name("p.png").unlink(missing_ok=True)
    path.with_name("y.npy").unlink(missing_ok=True)
    job(Task(0, Input("file", str(path), str(path)), str(path.with_name("y.npy"))))
    assert path.with_name("p.png").read_bytes() == b"picture"


@pytest.mark.parametrize(
    ("stats", "mode", "align", "before"),
    [(("mean", "var"), "valid", "center", 0), (("count", "max"), "same", "center", 4), (("var",), "same", "right", 7)],
)
def test_a_picture_of_a_signal_shows_what_was_asked_for(
    stats: tuple[str, ...], mode: Any, align: Any, before: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = drawn(monkeypatch, "render_local_stats")
    x = np.round(np.random.default_rng(0).uniform(-0.5, 0.5, (100, 2)) * 2**15) / 2**15
    soundfile.write(tmp_path / "x.wav", x, 8000, subtype="PCM_16")
    run(
        LocalVarJob((Length.parse("1ms"),), ONE, stats, ddof=1, mode=mode, align=align, plot=str(tmp_path / "p.png")),
        tmp_path / "x.wav",
    )
    np.testing.assert_array_equal(given["signal"], x.T)
    views = np.lib.stride_tricks.sliding_window_view(x.T, 8, axis=1)
    inside = slice(before, before + views.shape[-2])
    loops = {
        "mean": views.mean(-1),
        "var": views.var(-1, ddof=1),
        "max": views.max(-1),
        "count": np.full(views.shape[:-1], 8),
    }
    assert tuple(given["stats"]) == stats
    for stat, values in given["stats"].items():
        np.testing.assert_allclose(values[:, inside], loops[stat], rtol=1e-12, atol=1e-15)
    rest = {key: given[key] for key in ("window", "stride", "before", "sample_rate", "format")}
    assert rest == {"window": 8, "stride": 1, "before": before, "sample_rate": 8000, "format": "png"}


@pytest.mark.parametrize("nan", ["propagate", "zero", "skip"])
def test_a_picture_of_grids_shows_the_first(nan: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = drawn(monkeypatch, "render_grid_stats")
    x: Block = np.arange(24.0).reshape(2, 3, 4) ** 2
    x[0, 2, 3] = np.nan
    np.save(tmp_path / "x.npy", x)
    run(LocalVarJob(TWO * 2, ONE * 2, nan=nan, plot=str(tmp_path / "p.png")), tmp_path / "x.npy")
    np.testing.assert_array_equal(given["grid"], x[0])
    np.testing.assert_array_equal(given["stats"]["var"], np.load(tmp_path / "y.npy")[0])
    assert np.isnan(given["stats"]["var"][1, 2]) == (nan == "propagate")
    assert (given["window"], given["stride"], given["before"]) == ((2, 2), (1, 1), (0, 0))


def test_a_picture_of_a_long_grid_shows_its_beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = drawn(monkeypatch, "render_grid_stats")
    monkeypatch.setattr(record, "KEPT", 40)
    monkeypatch.setattr("convtool.jobs.signal_job.BLOCK_SAMPLES", 16)
    x = np.random.default_rng(0).uniform(size=(50, 4))
    np.save(tmp_path / "x.npy", x)
    run(LocalVarJob(TWO * 2, ONE * 2, plot=str(tmp_path / "p.png")), tmp_path / "x.npy")
    np.testing.assert_array_equal(given["grid"], x[:12])
    np.testing.assert_array_equal(given["stats"]["var"], np.load(tmp_path / "y.npy")[:11])


def test_integers_stay_exact(tmp_path: Path) -> None:
    whole = np.array([1700000000000000001, 1700000000000000003, 1700000000000000002, 5])
    np.save(tmp_path / "x.npy", whole)
    for stats, window, dtype, expected in (
        (("var",), "2", np.float64, [1, 0.25]),
        (("min",), "2", np.int64, whole[[0, 2]].tolist()),
        (("median",), "3", np.int64, [whole[2], whole[2]]),
        (("count",), "2", np.int64, [2, 2, 2]),
    ):
        job = LocalVarJob((Length.parse(window),), ONE, stats, plot=str(tmp_path / "p.png"))
        job(Task(0, Input("file", str(tmp_path / "x.npy"), "x.npy"), str(tmp_path / "y.npy")))
        made = np.load(tmp_path / "y.npy")
        assert made.dtype == dtype
        assert made.tolist()[: len(expected)] == expected
        os.unlink(tmp_path / "y.npy")
        os.unlink(tmp_path / "p.png")
    grid = LocalVarJob(TWO * 2, ONE * 2, ("max", "min"))
    np.save(tmp_path / "g.npy", np.stack([whole, whole]))
    grid(Task(0, Input("file", str(tmp_path / "g.npy"), "g.npy"), str(tmp_path / "y.npy")))
    assert np.load(tmp_path / "y.npy").tolist() == [[[whole[1], whole[1], whole[2]]], [[whole[0], whole[2], 5]]]


def test_float32_is_not_asked_to_count_past_what_it_holds() -> None:
    count = LocalVarJob((Length.parse(str((1 << 24) + 1)),), ONE, ("count",))
    signal = Signal("WAV", 1, "float32", 8000)
    assert count.prepare(Input("numbers", "1", "1"), signal).result.dtype == "float64"
    assert replace(count, stats=("min",)).prepare(Input("numbers", "1", "1"), signal).result.dtype == "float32"
