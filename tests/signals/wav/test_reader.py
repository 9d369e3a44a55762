"""WAV files read chunk by chunk without libsndfile: the same as through it, or left to it."""

from __future__ import annotations

import os
import struct
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import soundfile

from convtool.files.source import Source
from convtool.signals.audio.reader import AudioReader
from convtool.signals.wav.reader import WavReader, open_wav


def chunk(name: bytes, data: bytes, pad: bytes = b"\0") -> bytes:
    return name + struct.pack("<I", len(data)) + data + pad * (len(data) % 2)


def wav(*chunks: bytes) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def fmt(code: int = 1, channels: int = 1, rate: int = 8000, bits: int = 16, more: bytes = b"") -> bytes:
    frame = channels * bits // 8
    return chunk(b"fmt ", struct.pack("<HHIIHH", code, channels, rate, rate * frame, frame, bits) + more)


def extension(bits: int, mask: int, code: int = 1, guid: str = "000000001000800000aa00389b71") -> bytes:
    return struct.pack("<HHIH", 22, bits, mask, code) + bytes.fromhex(guid)


def opened(path: Path) -> WavReader:
    source = Source.of_path(str(path))
    reader = open_wav(source)
    assert reader is not None
    return reader


NUMBERS = struct.pack("<4h", 1, -2, 3, -4)
DATA = chunk(b"data", NUMBERS)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("format", ["WAV", "WAVEX", "RF64"])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_the_same_as_through_libsndfile(tmp_path: Path, subtype: str, format: str, channels: int) -> None:
    path = tmp_path / "x.wav"
    noise = np.random.default_rng(0).standard_normal((1000, channels)) * 0.1
    soundfile.write(path, noise, 44100, subtype=subtype, format=format)
    with opened(path) as reader, AudioReader(Source.of_path(str(path)), format) as usual:
        for key in ("format", "subtype", "channels", "sample_rate", "dtype", "full_scale", "frames"):
            assert getattr(reader.signal, key) == getattr(usual.signal, key)
        for ours, theirs in zip(reader.blocks(300 * channels), usual.blocks(300 * channels), strict=True):
            np.testing.assert_array_equal(ours, theirs)
            assert ours.dtype == theirs.dtype
        assert reader.read(9).shape == (channels, 0)


def test_a_file_that_becomes_shorter_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, np.zeros((1000, 2)), 8000, subtype="PCM_16")
    with opened(path) as reader:
        assert reader.read(100).shape == (2, 100)
        os.truncate(path, 44 + 4 * 250 + 2)
        assert sum(block.shape[-1] for block in reader.blocks(128)) == 150
        assert reader.notes == ["truncated: 750 samples that the header declares are missing"]


@pytest.mark.parametrize(
    "data",
    [
        wav(fmt(), DATA),
        wav(fmt(), chunk(b"LIST", b"INFOISFT" + struct.pack("<I", 5) + b"Lavf\0\0\0\0"), DATA),
        wav(fmt(), chunk(b"note", b"odd"), DATA),
        wav(fmt(), chunk(b"note", b"odd", pad=b""), DATA),
        wav(chunk(b"note", b"one", pad=b"x"), fmt(), chunk(b"LIST", b"INFOabcd"), DATA),
        wav(fmt(), chunk(b"LIST", bytes(1 << 17)), DATA),
        wav(fmt(), chunk(b"data", NUMBERS[:4]), chunk(b"data", NUMBERS[4:])),
        wav(fmt(), chunk(b"data", NUMBERS[:2]), chunk(b"cue ", bytes(4)), chunk(b"data", NUMBERS[2:]), fmt(rate=9)),
        wav(fmt(), chunk(b"data", b""), DATA),
        wav(fmt(code=0xFFFE, more=extension(16, 4)), DATA),
        wav(fmt(code=0xFFFE, more=extension(0, 0, guid="00002107d3118644c8c1ca000000")), DATA),
        b"ID3\4\0\0\0\0\0\5" + bytes(5) + wav(fmt(), DATA),
        b"ID3\4\0\x10\0\0\0\5" + bytes(15) + wav(fmt(), DATA),
        wav(fmt(), chunk(b"data", NUMBERS + b"\1")),
        b"BW64" + wav(chunk(b"ds64", struct.pack("<QQQI", 0, 8, 4, 0)), fmt(), b"data\xff\xff\xff\xff" + NUMBERS)[4:],
    ],
)
def test_chunks(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.wav").write_bytes(data)
    with opened(tmp_path / "x.wav") as reader:
        assert (reader.signal.frames, reader.signal.sample_rate, reader.notes) == (4, 8000, [])
        assert np.concatenate(list(reader.blocks(3)), axis=-1).tolist() == [[1, -2, 3, -4]]


def test_less_than_is_declared(tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_bytes(wav(fmt(), chunk(b"data", NUMBERS), DATA)[:-3])
    with opened(tmp_path / "x.wav") as reader:
        assert reader.read(100).tolist() == [[1, -2, 3, -4, 1, -2]]
        assert reader.notes == ["truncated: the header declares 8 bytes, 5 are there"]


def test_less_than_a_sample_of_a_second_chunk(tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_bytes(wav(fmt(), DATA, DATA)[:-7])
    with opened(tmp_path / "x.wav") as reader:
        assert reader.read(100).tolist() == [[1, -2, 3, -4]]


@pytest.mark.parametrize(
    "data",
    [
        b"RIFF\4\0\0\0WAVE",
        b"RIFX" + wav(fmt(), DATA)[4:],
        wav(fmt()),
        wav(DATA),
        wav(DATA, fmt()),
        wav(chunk(b"fmt ", bytes(8)), DATA),
        wav(fmt(code=6, bits=8), DATA),
        wav(fmt(channels=0), DATA),
        wav(fmt(channels=2000), DATA),
        wav(fmt(rate=0), DATA),
        wav(fmt(bits=12), DATA),
        wav(fmt(code=0xFFFE, more=extension(12, 4)), DATA),
        wav(fmt(code=0xFFFE, more=extension(16, 4, guid="00" * 14)), DATA),
        wav(fmt(code=0xFFFE), DATA),
    ],
)
def test_what_is_left_to_libsndfile(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.wav").write_bytes(data)
    with closing(Source.of_path(str(tmp_path / "x.wav"))) as source:
        assert data.startswith(b"RIFX") or open_wav(source) is None


@pytest.mark.parametrize("format", [fmt(code=3), fmt(code=0xFFFE, more=extension(16, 4, code=3))])
def test_floats_of_16_bits_become_those_of_32(tmp_path: Path, format: bytes) -> None:
    values = np.array([0.25, -1, 6.1035156e-05, 65504, np.inf], "<f2")
    (tmp_path / "x.wav").write_bytes(wav(format, chunk(b"data", values.tobytes())))
    with opened(tmp_path / "x.wav") as reader:
        assert (reader.signal.subtype, reader.signal.dtype, reader.signal.frames) == ("FLOAT", "float32", 5)
        assert reader.read(9).tolist() == [values.astype(float).tolist()]


def test_channel_masks_are_read(tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_bytes(wav(fmt(code=0xFFFE, channels=2, more=extension(16, 0x30)), DATA))
    with opened(tmp_path / "x.wav") as reader:
        assert (reader.signal.format, reader.signal.channel_mask) == ("WAVEX", 0x30)
