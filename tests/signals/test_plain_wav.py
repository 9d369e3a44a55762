"""WAV files read without libsndfile: the same as through it, or left to it."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from convtool.signals.inputs import Input
from convtool.signals.opening import ReadOptions, open_reader
from convtool.signals.plain_wav import open_plain_wav


def chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data


def wav(*chunks: bytes) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def fmt(code: int = 1, channels: int = 1, rate: int = 8000, bits: int = 16) -> bytes:
    frame = channels * bits // 8
    return chunk(b"fmt ", struct.pack("<HHIIHH", code, channels, rate, rate * frame, frame, bits))


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("channels", [1, 2])
def test_the_same_as_through_libsndfile(tmp_path: Path, subtype: str, channels: int) -> None:
    path = str(tmp_path / "x.wav")
    noise = np.random.default_rng(0).standard_normal((1000, channels)) * 0.1
    soundfile.write(path, noise, 44100, subtype=subtype)
    reader = open_plain_wav(path)
    assert reader is not None
    with reader, open_reader(Input("file", path, "x.wav"), ReadOptions()) as usual:
        assert reader.signal == usual.signal
        for ours, theirs in zip(reader.blocks(300 * channels), usual.blocks(300 * channels), strict=True):
            np.testing.assert_array_equal(ours, theirs)
            assert ours.dtype == theirs.dtype


def test_a_file_that_has_become_shorter(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, np.zeros((1000, 2)), 8000, subtype="PCM_16")
    reader = open_plain_wav(str(path))
    assert reader is not None
    with reader:
        assert reader.read(100).shape == (2, 100)
        os.truncate(path, 44 + 4 * 250 + 2)
        assert sum(block.shape[-1] for block in reader.blocks(128)) == 150


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"RIFF",
        b"RIFX" + wav(fmt(), chunk(b"data", bytes(8)))[4:],
        wav(chunk(b"data", bytes(8))),
        wav(fmt(bits=24), chunk(b"data", bytes(6))),
        wav(fmt(code=6, bits=8), chunk(b"data", bytes(6))),
        wav(fmt(channels=0), chunk(b"data", bytes(6))),
        wav(fmt(rate=0), chunk(b"data", bytes(6))),
        wav(fmt(), chunk(b"data", b"")),
        wav(fmt(), chunk(b"data", bytes(7))),
        wav(fmt(), chunk(b"data", bytes(8)))[:-2],
        wav(fmt(), chunk(b"cue ", bytes(8)), chunk(b"data", bytes(8))),
        wav(fmt(), chunk(b"LIST", bytes(7)) + b"\0", chunk(b"data", bytes(8))),
        wav(chunk(b"fmt ", bytes(8)), chunk(b"data", bytes(8))),
        wav(fmt(), chunk(b"LIST", bytes(1 << 17)), chunk(b"data", bytes(8))),
    ],
)
def test_what_is_left_to_libsndfile(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.wav").write_bytes(data)
    assert open_plain_wav(str(tmp_path / "x.wav")) is None


def test_what_is_no_file(tmp_path: Path) -> None:
    assert open_plain_wav(str(tmp_path / "missing.wav")) is None
    assert open_plain_wav("a\0.wav") is None
    assert open_plain_wav(str(tmp_path)) is None


def test_chunks_before_the_samples_are_passed_over(tmp_path: Path) -> None:
    data = wav(fmt(), chunk(b"LIST", b"INFOabcd"), chunk(b"data", struct.pack("<3h", 1, -2, 3)))
    (tmp_path / "x.wav").write_bytes(data)
    reader = open_plain_wav(str(tmp_path / "x.wav"))
    assert reader is not None
    with reader:
        assert reader.read(9).tolist() == [[1, -2, 3]]
