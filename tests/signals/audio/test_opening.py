"""Audio that a child process decodes, and what becomes of files that crash it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from convtool import isolation
from convtool.errors import InputError
from convtool.files.source import Source
from convtool.isolation import Children
from convtool.signals.audio import opening
from convtool.signals.audio.opening import IsolatedReader, open_audio
from convtool.signals.audio.reader import AudioReader
from convtool.signals.metadata import Metadata
from tests.conftest import Run


@pytest.fixture(autouse=True)
def new_children(monkeypatch: pytest.MonkeyPatch) -> None:
    """Children that are forked after what the test has put in place."""
    monkeypatch.setattr(isolation, "_here", False)
    monkeypatch.setattr(opening, "_CHILDREN", Children({"open": opening._open, "read": opening._read}, keep=0))


def write(path: Path, format: str = "FLAC", count: int = 5000, channels: int = 2) -> Path:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (count, channels))
    soundfile.write(path, noise, 44100, format=format)
    return path


@pytest.mark.parametrize("format", ["FLAC", "OGG", "MP3", "AIFF", "CAF"])
def test_the_same_as_in_this_process(format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "SHARED_BYTES", 8 * 2 * 1000)
    path = str(write(tmp_path / "a", format))
    with open_audio(Source.of_path(path), format) as apart, AudioReader(Source.of_path(path), format) as here:
        assert isinstance(apart, IsolatedReader)
        assert apart.signal.metadata.tags == here.signal.metadata.tags
        assert replace(apart.signal, metadata=Metadata()) == replace(here.signal, metadata=Metadata())
        while (block := here.read(1700)).size:
            theirs = apart.read(1700)
            assert theirs.dtype == block.dtype
            np.testing.assert_array_equal(theirs, block)
        assert apart.read(1).shape == (2, 0)
        assert apart.notes == here.notes


def test_workers_decode_by_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolation.decode_here()
    with open_audio(Source.of_path(str(write(tmp_path / "a"))), "FLAC") as reader:
        assert isinstance(reader, AudioReader)


def test_a_file_that_can_not_be_decoded_gives_its_child_back(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"fLaC" + bytes(100))
    source = Source.of_path(str(tmp_path / "a"))
    with pytest.raises(InputError, match="can't be decoded as FLAC"):
        open_audio(source, "FLAC")
    source.close()


def crashing(monkeypatch: pytest.MonkeyPatch, marked: str) -> None:
    """Let the decoder abort over files whose first sample is `marked`."""
    reading = AudioReader.read

    def read(self: AudioReader, samples: int) -> Any:
        if self.signal.sample_rate == int(marked):
            os.kill(os.getpid(), signal.SIGABRT)
        return reading(self, samples)

    monkeypatch.setattr(AudioReader, "read", read)


Convtool = Callable[..., Run]
CRASH = "the decoder crashed on it (SIGABRT): the file is damaged"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, rate in (("good.flac", 44100), ("bad.flac", 8000)):
        soundfile.write(name, np.full(100, 0.25), rate)
    crashing(monkeypatch, "8000")


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("convolve bad.flac -k 1 -o out.wav", f"Error: bad.flac: {CRASH}"),
        ("convolve good.flac -k bad.flac -o out.wav", f"Error: kernel bad.flac: {CRASH}"),
        ("rescale good.flac --fit bad.flac --range 0:1 -o out.wav", f"Error: bad.flac: {CRASH}"),
        ("local-var bad.flac -w 2 -o out.csv", f"Error: bad.flac: {CRASH}"),
    ],
)
def test_a_decoder_that_dies_is_one_line(arguments: str, message: str, convtool: Convtool) -> None:
    run = convtool(*arguments.split())
    assert (run.code, run.out) == (1, "")
    assert run.err.startswith(message)
    assert run.err.count("\n") == 1
    assert not os.path.exists("out.wav")


@pytest.mark.usefixtures("files")
def test_a_decoder_that_dies_leaves_the_rest_of_a_batch(convtool: Convtool) -> None:
    run = convtool("pad-batch", "good.flac", "bad.flac", "good.flac", "-o", "b.npz", "--resample", "44100")
    assert run.code == 1
    assert f"Error: bad.flac: {CRASH}" in run.err
    assert np.load("b.npz")["lengths"].tolist() == [100, 100]


def test_a_file_that_libsndfile_takes_for_a_resource_fork(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of that name in the working folder keeps libsndfile 1.2.2 from opening MP3s that have no name."""
    data = write(tmp_path / "a.mp3", "MP3").read_bytes()
    monkeypatch.chdir(tmp_path)
    Path("._").touch()
    end, start = os.pipe()
    os.write(start, data)
    os.close(start)
    with open_audio(Source(open(end, "rb", buffering=0), seekable=False), "MP3") as reader:
        assert sum(block.shape[1] for block in reader.blocks()) == 5000
