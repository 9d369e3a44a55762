"""WAV files read chunk by chunk without libsndfile: the same as through it, or left to it."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import soundfile

from convtool.errors import InputError
from convtool.files.source import Source
from convtool.signals.audio.reader import AudioReader
from convtool.signals.signal import OPEN_LENGTH
from convtool.signals.wav.reader import WavReader, open_wav
from tests.conftest import Run

Convtool = Callable[..., Run]


def chunk(name: bytes, data: bytes, pad: bytes = b"\0") -> bytes:
    return name + struct.pack("<I", len(data)) + data + pad * (len(data) % 2)


def wav(*chunks: bytes) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def fmt(
    code: int = 1, channels: int = 1, rate: int = 8000, bits: int = 16, more: bytes = b"", frame: int | None = None
) -> bytes:
    frame = channels * bits // 8 if frame is None else frame
    return chunk(b"fmt ", struct.pack("<HHIIHH", code, channels, rate, rate * frame & 0xFFFFFFFF, frame, bits) + more)


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
        wav(DATA, fmt()),
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
        wav(chunk(b"fmt ", bytes(8)), DATA),
        wav(fmt(code=6, bits=8), DATA),
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


RAW = "tail -c +{} FILE | convtool ... --input-format raw:s16le --channels N reads its samples"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (wav(DATA), "there is no chunk 'fmt ' in it, which says what its samples are: " + RAW.format(21)),
        (wav(fmt(channels=0), DATA), "its header declares 0 channels; expected 1 to 1024: " + RAW.format(45)),
        (wav(fmt(channels=2000), DATA), "its header declares 2000 channels; expected 1 to 1024: " + RAW.format(45)),
        (wav(fmt(bits=0), DATA), "its header declares integers of 0 bits; expected 1 to 32: " + RAW.format(45)),
        (wav(fmt(bits=64), DATA), "its header declares integers of 64 bits; expected 1 to 32: " + RAW.format(45)),
        (wav(fmt(code=3, bits=1), DATA), "declares floats of 1 bit; expected 16, 32 or 64: " + RAW.format(45)),
    ],
)
def test_headers_that_no_file_has_are_named_with_a_way_out(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "x.wav").write_bytes(data)
    with closing(Source.of_path(str(tmp_path / "x.wav"))) as source:
        with pytest.raises(InputError) as raised:
            open_wav(source)
        assert str(raised.value).endswith(message)


@pytest.mark.parametrize("rate", [0, 1 << 31])
def test_a_sample_rate_that_is_none_is_left_to_the_option(tmp_path: Path, convtool: Convtool, rate: int) -> None:
    path = tmp_path / "x.wav"
    path.write_bytes(wav(fmt(rate=rate), DATA))
    with opened(path) as reader:
        assert reader.signal.sample_rate is None
        assert reader.notes == [
            f"its header declares a sample rate of {rate} Hz, which is none; --sample-rate says what it is"
        ]
    arguments = ["convolve", str(path), "-k", "1", "-o", str(tmp_path / "y.wav")]
    assert "there is no sample rate to write WAV with; give --sample-rate" in convtool(*arguments).err
    assert convtool(*arguments, "--sample-rate", "9000").code == 0
    assert soundfile.info(tmp_path / "y.wav").samplerate == 9000


@pytest.mark.parametrize("frame", [0, 1, 3, 4])
def test_frames_of_a_size_that_can_not_be_are_told(tmp_path: Path, frame: int) -> None:
    (tmp_path / "x.wav").write_bytes(wav(fmt(frame=frame), DATA))
    with opened(tmp_path / "x.wav") as reader:
        assert reader.read(9).tolist() == [[1, -2, 3, -4]]
        what = "1 channel of 16 bits"
        size = f"{frame} byte{'s' * (frame != 1)}"
        assert reader.notes == [
            f"its header declares {what} in frames of {size}; read as {what}: otherwise, {RAW.format(45)}"
        ]


TALL = np.array([[1, -2, 1 << 22], [-(1 << 23), 257, -1]], "<i4")


@pytest.mark.parametrize(
    ("values", "place"),
    [
        (TALL, "lower"),
        (TALL & 0xFFFFFF, "lower"),
        (TALL << 8, "upper"),
        (TALL // 256 * 256, "upper"),
    ],
)
@pytest.mark.parametrize("silence", [0, 5])
def test_24_bits_in_4_bytes(tmp_path: Path, values: np.ndarray, place: str, silence: int) -> None:
    frames = np.concatenate([np.zeros((2, silence), "<i4"), values], axis=1).T.astype("<i4")
    (tmp_path / "x.wav").write_bytes(wav(fmt(channels=2, bits=24, frame=8), chunk(b"data", frames.tobytes())))
    expected = TALL >> 8 if np.array_equal(values, TALL // 256 * 256) else TALL
    with opened(tmp_path / "x.wav") as reader:
        assert (reader.signal.subtype, reader.signal.frames, reader.signal.full_scale) == (
            "PCM_24",
            3 + silence,
            1 << 31,
        )
        blocks = np.concatenate([reader.read(5), reader.read(9)], axis=1)
        assert np.array_equal(blocks[:, silence:] >> 8, expected)
        assert not blocks[:, :silence].any()
        assert reader.remarks == [f"its samples of 24 bits stand in 4 bytes; the {place} three are read"]


def test_24_bits_in_4_bytes_all_of_which_are_in_use(tmp_path: Path) -> None:
    values = np.array([0x01020304, 5], "<i4")
    (tmp_path / "x.wav").write_bytes(wav(fmt(bits=24, frame=4), chunk(b"data", values.tobytes())))
    with opened(tmp_path / "x.wav") as reader, pytest.raises(InputError, match="but all four are in use"):
        reader.read(9)


@pytest.mark.parametrize("values", [[1, 2, 3, 4, 5, 0x01020300], [256, 0x01020300, 0x01020300, 0, 0, 1]])
def test_24_bits_in_4_bytes_that_change_their_place(tmp_path: Path, values: list[int]) -> None:
    (tmp_path / "x.wav").write_bytes(wav(fmt(bits=24, frame=4), chunk(b"data", np.array(values, "<i4").tobytes())))
    with opened(tmp_path / "x.wav") as reader:
        reader.read(5)
        with pytest.raises(InputError, match="but all four are in use"):
            reader.read(5)


def without_size(data: bytes, end: bytes = b"") -> bytes:
    """`data` of a WAV whose samples are said to have 0 bytes, while its own size is right."""
    return data.replace(chunk(b"data", NUMBERS), b"data" + bytes(4) + NUMBERS) + end


@pytest.mark.parametrize("riff", [None, 0])
def test_samples_of_size_0_go_to_the_end_of_the_file(tmp_path: Path, riff: int | None) -> None:
    data = without_size(wav(fmt(), DATA))
    (tmp_path / "x.wav").write_bytes(data if riff is None else data[:4] + bytes(4) + data[8:])
    with opened(tmp_path / "x.wav") as reader:
        assert reader.signal.frames is None
        assert reader.read(9).tolist() == [[1, -2, 3, -4]]
        assert (reader.notes, reader.remarks) == ([], [OPEN_LENGTH])


@pytest.mark.parametrize(
    "behind", [b"", b"\0", chunk(b"LIST", b"INFO"), chunk(b"id3 ", b"odd"), chunk(b"a1 \x7e", b"")]
)
@pytest.mark.parametrize("riff", [None, 0])
def test_where_only_chunks_follow_size_0_means_it(tmp_path: Path, behind: bytes, riff: int | None) -> None:
    data = wav(fmt(), chunk(b"data", b""), behind)
    (tmp_path / "x.wav").write_bytes(data if riff is None else data[:4] + bytes(4) + data[8:])
    with opened(tmp_path / "x.wav") as reader:
        assert (reader.signal.frames, reader.read(9).shape, reader.remarks) == (0, (1, 0), [])


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


@pytest.mark.parametrize("declared", [None, 40, 100])
def test_a_slow_pipe_gives_its_samples_as_they_come(declared: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convtool.files.source.PAUSE", 0.01)
    values = np.arange(20, dtype="<i2")
    size = 0xFFFFFFFF if declared is None else declared
    head = b"RIFF\xff\xff\xff\xffWAVE" + fmt(channels=2) + b"data" + struct.pack("<I", size)
    reading, writing = os.pipe()
    os.write(writing, head + b"\n" + bytes(3))
    monkeypatch.setattr("convtool.files.source.HEAD", len(head))
    with closing(Source(os.fdopen(reading, "rb", buffering=0), seekable=False)) as source:
        reader = open_wav(source)
        assert reader is not None
        blocks = reader.blocks(1000)
        assert next(blocks).tolist() == [[10], [0]]
        os.write(writing, values.tobytes()[:7])
        assert next(blocks).tolist() == [[0], [1]]
        os.write(writing, values.tobytes()[7:36])
        os.close(writing)
        rest = [reader.read(1000)] if declared == 100 else list(blocks)
        assert np.array_equal(np.concatenate(rest, axis=1).T.ravel(), values[2:18])
        missing = ["truncated: 15 samples that the header declares are missing"]
        assert reader.notes == (missing if declared == 100 else [])
