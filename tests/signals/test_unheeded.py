"""Options of reading that make no difference to an input are told, once for many."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.conftest import Run

Convtool = Callable[..., Run]
WHERE = "and makes no difference to"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.wav", "b.wav"):
        soundfile.write(name, [[0.5, 0.25], [0.25, 0]], 44100)
    Path("c.csv").write_text("t,u\n1,2\n3,4\n")
    np.save("d.npy", [1, 2])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("a.wav --columns 2 -o o.wav", "--columns 2 is for text, {} a.wav (WAV)"),
        ("a.wav --columns nope -o o.wav", "--columns nope is for text, {} a.wav (WAV)"),
        ("d.npy --keep-columns t -o o.csv", "--keep-columns t is for text, {} d.npy (NPY)"),
        ("d.npy --missing nan --nodata=-9 -o o.csv", "--nodata -9.0 is for text, {} d.npy (NPY)"),
        (
            "a.wav --sample-rate 48000 -o o.wav",
            "--sample-rate 48000 is for inputs that state none, {} a.wav (44100 Hz)",
        ),
        ("a.wav c.csv d.npy --columns u -o o/", "--columns u is for text, {} 2 of 3 inputs, such as a.wav (WAV)"),
        ("a.wav c.csv b.wav --sample-rate 8 -o o/", "none, {} 2 of 3 inputs, such as a.wav (44100 Hz)"),
    ],
)
def test_what_makes_no_difference_is_told(convtool: Convtool, options: str, told: str) -> None:
    for more in ("--dry-run", ""):
        run = convtool("convolve", *options.split(), "-k", "1", *more.split())
        assert run.code == 0
        assert run.err.count(told.format(WHERE) + "\n") == 1
    assert convtool("convolve", *options.split(), "-k", "1", "--overwrite", "-q").err == ""


@pytest.mark.parametrize(
    "options",
    [
        "c.csv --columns u --header yes --sample-rate 8",
        "a.wav --sample-rate 44100",
        "a.wav --decimal ,",
        "1,2 --columns 1 --sample-rate 9",
    ],
)
def test_what_makes_a_difference_or_would_not_is_not_told(convtool: Convtool, options: str) -> None:
    run = convtool("rescale", *options.split(), "--range", "0:1")
    assert (run.code, run.err) == (0, "")


def test_batches_tell_it_too(convtool: Convtool) -> None:
    for more in ("--dry-run", "-o=b.npz"):
        run = convtool("pad-batch", "a.wav", "b.wav", "--columns", 1, more)
        assert run.code == 0
        assert run.err.startswith(f"Warning: --columns 1 is for text, {WHERE} 2 of 2 inputs, such as a.wav (WAV)\n")
