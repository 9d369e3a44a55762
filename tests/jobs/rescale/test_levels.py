"""Sound of 16 bits scaled by look-up: the bytes and the counts are those of the arithmetic."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from convtool.errors import InputError
from convtool.jobs.rescale import levels
from convtool.jobs.rescale.job import RescaleJob
from convtool.jobs.rescale.params import Channel, Params, Spread
from convtool.jobs.rescale.scaled_blocks import ScaledBlocks
from convtool.jobs.stream import Ingest
from convtool.runs.outcome import Outcome
from convtool.runs.plan import Task
from convtool.signals.inputs import Input
from convtool.signals.opening import WriteOptions
from convtool.signals.pcm import quantise
from convtool.signals.signal import Signal

ALL = np.arange(-(1 << 15), 1 << 15, dtype=np.int16)
MINMAX = Params("minmax", -1.0, 1.0)
JOBS = {
    "clip": RescaleJob(Params("clip", -0.1, 0.3)),
    "clip nothing": RescaleJob(Params("clip", -1.0, 1.0)),
    "clip everything": RescaleJob(Params("clip", 1.5, 2.0)),
    "own range": RescaleJob(MINMAX),
    "own ranges": RescaleJob(Params("minmax", -0.5, 0.25), per_channel=True),
    "fitted": RescaleJob(replace(MINMAX, channels=(Channel(-0.25, 0.125),))),
    "fitted and clipped": RescaleJob(replace(MINMAX, channels=(Channel(-0.25, 0.125),)), clip=True),
    "beyond full scale": RescaleJob(replace(MINMAX, low=-0.5, high=3.0, channels=(Channel(-1.0, 1.0),))),
    "two channels": RescaleJob(replace(MINMAX, channels=(Channel(-0.25, 0.125), Channel(-0.5, 1)))),
    "back": RescaleJob(replace(MINMAX, channels=(Channel(-0.25, 0.125),)), invert=True),
    "sigmoid": RescaleJob(Params("sigmoid", -0.9, 0.9)),
    "tanh back": RescaleJob(Params("tanh", -0.9, 0.9), invert=True),
    "standard": RescaleJob(Params("standard", 0, 0), per_channel=True),
    "maxabs": RescaleJob(Params("maxabs", 0, 0, channels=(Spread(0, 0.5, 0),))),
    "float64": RescaleJob(MINMAX, dtype="float64"),
}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def performed(job: RescaleJob, target: str, monkeypatch: pytest.MonkeyPatch, fewest: int) -> tuple[Outcome, bool]:
    """What became of x.wav, and whether by look-up."""
    made: list[levels.Levels | None] = []
    levels_of = levels.levels_of

    def spy(*arguments: Any) -> levels.Levels | None:
        made.append(levels_of(*arguments))
        return made[-1]

    with monkeypatch.context() as patch:
        patch.setattr(levels, "FEWEST", fewest)
        patch.setattr(levels, "levels_of", spy)
        outcome = job(Task(0, Input.of_word("x.wav"), target))
    return outcome, bool(made and made[0])


def write_all_levels(subtype: str = "PCM_16", channels: int = 2) -> None:
    """x.wav with every level in it, and a quieter channel beside."""
    generator = np.random.default_rng(0)
    rows = [generator.permutation(ALL) // (1 + 2 * (channel % 2)) for channel in range(channels)]
    soundfile.write("x.wav", np.stack(rows, 1).astype(np.int16), 8000, subtype=subtype)


@pytest.mark.parametrize("target", ["y.wav", "y.aiff", "24.wav", "32.wav", "float.wav"])
@pytest.mark.parametrize("name", JOBS)
def test_the_bytes_and_counts_of_the_arithmetic(name: str, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write_all_levels()
    subtype = {"24.wav": "PCM_24", "32.wav": "PCM_32", "float.wav": "FLOAT"}.get(target, "PCM_16")
    job = replace(JOBS[name], threads=2, write=WriteOptions(subtype=subtype, overwrite=True))
    found = []
    for fewest in (0, 1 << 40):
        outcome, looked_up = performed(job, target, monkeypatch, fewest)
        assert looked_up == (fewest == 0)
        found.append((Path(target).read_bytes(), outcome))
    assert found[0] == found[1]


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16"])
def test_a_flac_and_eight_bits(subtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write_all_levels(subtype)
    job = replace(JOBS["fitted"], write=WriteOptions(overwrite=True))
    found = []
    for fewest in (0, 1 << 40):
        assert performed(job, "y.flac", monkeypatch, fewest)[1] == (fewest == 0)
        found.append(soundfile.read("y.flac", dtype="int16")[0])
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize(
    ("job", "subtype", "channels", "target"),
    [
        (JOBS["fitted"], "PCM_24", 2, "y.wav"),
        (JOBS["fitted"], "PCM_16", 9, "y.wav"),
        (JOBS["fitted"], "PCM_16", 2, "y.npy"),
        (replace(JOBS["fitted"], normalize=-1.0), "PCM_16", 2, "y.wav"),
        (replace(JOBS["fitted"], plot="p.png"), "PCM_16", 2, "y.wav"),
        (
            replace(JOBS["two channels"], params=replace(MINMAX, channels=(Channel(0, 0), Channel(0, 1)))),
            "PCM_16",
            2,
            "",
        ),
        (RescaleJob(Params("sigmoid", -0.5, 0.5), invert=True, eps=0), "PCM_16", 2, ""),
    ],
)
def test_where_nothing_is_looked_up(
    job: RescaleJob, subtype: str, channels: int, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_all_levels(subtype, channels)
    if target:
        assert not performed(job, target, monkeypatch, 0)[1]
        assert Path(target).stat().st_size > 0
    else:
        with pytest.raises(InputError, match=r"fitted to a constant|results are NaN or infinite"):
            performed(job, "y.wav", monkeypatch, 0)


def test_results_that_fall_are_not_looked_up() -> None:
    def upside_down(numbers: torch.Tensor) -> torch.Tensor:
        return -numbers

    ingest = Ingest(Signal("WAV", 1, "float32", 8000, full_scale=1 << 15), "float32", "cpu")
    operation = ScaledBlocks(upside_down, None, no_place=None)
    assert levels.levels_of(ingest, operation, lambda block: (quantise(block, 16, np.int16), 0.0)) is None
