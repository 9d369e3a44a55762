"""Clipping and normalising, as the whole run tells of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from convtool.jobs import normalising
from tests.conftest import Run

Convtool = Callable[..., Run]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def wav(name: str, values: Any, subtype: str = "PCM_16") -> None:
    Path(name).parent.mkdir(exist_ok=True)
    soundfile.write(name, np.asarray(values), 8000, subtype=subtype)


def rows(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def test_clipping_of_many_files_is_one_line_whose_gain_keeps_all(convtool: Convtool) -> None:
    for name, level in (("a", 0.9), ("b", 0.4), ("c", 0.7)):
        wav(f"in/{name}.wav", [level, -level, 0.01])
    wav("in/z.wav", [0.0, 0.0])
    run = convtool("convolve", "in/", "-k", "2", "-o", "y/", "--report", "r.jsonl")
    assert run.err == (
        "Warning: 2 of 4 files clip, the worst is in/a.wav: 2 samples clipped, the peak is +5.11 dB over full scale; "
        "--gain -5.11, --normalize or --subtype FLOAT keeps all of them\n4 written, 0 skipped, 0 failed\n"
    )
    assert [(row["clipped"], row["peak"]) for row in rows("r.jsonl")] == [
        (2, pytest.approx(20 * np.log10(1.8), abs=1e-3)),
        (0, pytest.approx(20 * np.log10(0.8), abs=1e-3)),
        (2, pytest.approx(20 * np.log10(1.4), abs=1e-3)),
        (0, None),
    ]
    every = convtool("convolve", "in/", "-k", "2", "-o", "v/", "-v").err
    assert "in/c.wav: 2 samples clipped, the peak is +2.92 dB over full scale\n" in every
    kept = convtool("convolve", "in/", "-k", "2", "-o", "k/", "--gain", "-5.11")
    assert kept.err == "4 written, 0 skipped, 0 failed\n"


def test_advice_is_what_the_format_and_the_options_allow(convtool: Convtool) -> None:
    wav("a.wav", [0.9, 0.9])
    flac = convtool("convolve", "a.wav", "-k", "4", "-o", "y.flac", "--gain", "-2")
    assert flac.err.endswith("+9.13 dB over full scale; --gain -11.13 or --normalize keeps them\n")
    mixed = convtool("convolve", "a.wav", "-k", "4", "-o", "y.wav", "--mix", "0.5")
    assert mixed.err.endswith("over full scale; --normalize or --subtype FLOAT keeps them\n")
    window = convtool("local-var", "a.wav", "-w", "1", "--stat", "count", "-o", "v.flac")
    assert window.err == ""
    summed = convtool("local-var", "a.wav", "-w", "2", "--stat", "sum", "-o", "s.flac")
    assert summed.err.endswith("the peak is +5.11 dB over full scale\n")


@pytest.mark.parametrize("memory", [1 << 24, 1])
@pytest.mark.parametrize("level", [0, -1, -20.5])
def test_the_peak_of_each_output_is_where_it_was_asked_for(
    memory: int, level: float, convtool: Convtool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(normalising, "_IN_MEMORY", memory)
    monkeypatch.setattr("convtool.jobs.signal_job.BLOCK_SAMPLES", 1000)
    rng = np.random.default_rng(5)
    x = rng.normal(0, 0.1, (3000, 2))
    wav("a.wav", x, "DOUBLE")
    target = 10 ** (level / 20)
    for subtype, step in (("PCM_16", 2.0**-15), ("PCM_24", 2.0**-23), ("FLOAT", 0), ("DOUBLE", 0)):
        run = convtool(
            *["convolve", "a.wav", "-k", "3,-1,7", "-o", "y.wav", "--subtype", subtype, "--overwrite"],
            *[f"--normalize={level}", "--fail-on-clip", "--threads", "2"],
        )
        assert run.code == 0
        y = soundfile.read("y.wav")[0]
        plain = np.stack([np.convolve(channel, [3, -1, 7]) for channel in x.T], axis=1)
        expected = plain / np.abs(plain).max() * target
        np.testing.assert_allclose(y, expected, rtol=0, atol=max(step, 1e-7))
        assert np.abs(y).max() <= 1
        if not step:
            assert np.abs(y).max() == np.float32(target) if subtype == "FLOAT" else target
        assert run.err == f"a.wav: normalised by {level - 20 * np.log10(np.abs(plain).max()):+.2f} dB\n"


def test_normalising_text_streams_and_many_files(convtool: Convtool) -> None:
    whole = convtool("convolve", "4,1,2,5", "-k", "1,2,-1", "--normalize")
    assert whole.out == ",".join(repr(v / 9).removesuffix(".0") for v in (4, 9, 0, 8, 8, -5)) + "\n"
    assert whole.err == "'4,1,2,5': normalised by -19.08 dB\n"
    assert convtool("convolve", "--normalize", "4,1", "-k", "1").out == "1,0.25\n"
    assert convtool("convolve", "--normalize", "-20", "4,1", "-k", "1", "-q").err == ""
    assert convtool("convolve", "-k", "1", "--normalize", "--", "0,0").out == "0,0\n"
    bad = convtool("convolve", "1,nan,-4,inf", "-k", "1", "--normalize")
    assert bad.out == "0.25,nan,-1,inf\n"
    refused = convtool("convolve", "4,1", "-k", "1", "--normalize", "1dB")
    assert refused.code == 2
    assert "'1dB' does not fit; expected decibels, such as -1, up to 0" in refused.err
    for name, values in (("a", [0.25, 0.125]), ("b", [0.5, -0.125]), ("z", [0.0, 0.0])):
        wav(f"in/{name}.wav", values)
    run = convtool("convolve", "in/", "-k", "1", "-o", "y/", "--normalize", "--report", "r.jsonl", "-v")
    assert "2 files normalised, by +6.02 to +12.04 dB (-v tells each)\n" in run.err
    assert "in/b.wav: normalised by +6.02 dB\n" in run.err
    assert [row["peak"] for row in rows("r.jsonl")] == [0, 0, None]
    assert soundfile.read("y/b.wav", dtype="int16")[0].tolist() == [32767, -8192]
    piped = convtool("convolve", "in/a.wav", "-k", "1", "-o", "-", "--format", "wav", "--normalize")
    assert np.frombuffer(piped.raw[-4:], "<i2").tolist() == [32767, 16384]


def test_a_picture_of_what_was_normalised(convtool: Convtool) -> None:
    run = convtool("convolve", "4,1,2,5", "-k", "1,2,-1", "--normalize", "--plot", "p.svg")
    assert run.code == 0
    assert Path("p.svg").stat().st_size


def test_a_full_disk_while_a_result_is_kept(convtool: Convtool, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def write(self, _: object) -> None:
            raise OSError(28, "No space left on device")

        def close(self) -> None:
            return

    monkeypatch.setattr("convtool.jobs.normalising.tempfile.SpooledTemporaryFile", lambda *_, **__: Full())
    run = convtool("convolve", "4,1", "-k", "1", "-o", "y.csv", "--normalize")
    assert (run.code, Path("y.csv").exists()) == (1, False)
    assert "y.csv: the disk is full" in run.err


def test_rows_of_a_batch_that_clip_are_told(convtool: Convtool) -> None:
    wav("a.wav", [1.5, 0.1], "FLOAT")
    assert convtool("pad-batch", "a.wav", "-o", "b.npz").code == 0
    run = convtool("unpad-batch", "b.npz", "-o", "y/", "--format", "wav", "--subtype", "PCM_16")
    assert "1 sample clipped, the peak is +3.52 dB over full scale; --subtype FLOAT keeps them\n" in run.err
