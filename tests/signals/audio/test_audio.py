"""Audio: PCM and floats to the bit in every container, WAV over pipes and past 4 GiB, clipping, and what is refused."""

from __future__ import annotations

import errno
import io
import os
import struct
import threading
import wave
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from convtool.errors import InputError, OutputError, UsageError
from convtool.files import formats as formats_module
from convtool.files.source import Source
from convtool.signals.audio.opening import open_audio
from convtool.signals.audio.reader import AudioReader
from convtool.signals.audio.writer import AudioWriter, choose_subtype
from convtool.signals.opening import Output, WriteOptions
from convtool.signals.pcm import Encoded, as_frames, quantise
from convtool.signals.signal import Reader, Signal, as_float
from convtool.signals.wav.chunks import is_unstated
from convtool.signals.wav.writer import WavFile

BITS = {"PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32, "ALAC_16": 16}
ALL_PCM = ["PCM_16", "PCM_24", "PCM_32"]
REAL = ["FLOAT", "DOUBLE"]
HELD = {
    "WAV": ["PCM_U8", *ALL_PCM, *REAL],
    "WAVEX": ["PCM_U8", *ALL_PCM, *REAL],
    "RF64": ["PCM_U8", *ALL_PCM, *REAL],
    "W64": ["PCM_U8", *ALL_PCM, *REAL],
    "AIFF": ["PCM_S8", "PCM_U8", *ALL_PCM, *REAL],
    "CAF": ["PCM_S8", *ALL_PCM, *REAL, "ALAC_16"],
    "AU": ["PCM_S8", *ALL_PCM, *REAL],
    "FLAC": ["PCM_S8", "PCM_16", "PCM_24"],
}
EXACT = [(format, subtype) for format, subtypes in HELD.items() for subtype in subtypes]


def samples(subtype: str, channels: int = 2, count: int = 500) -> np.ndarray:
    """Frames over the whole range of `subtype`, its ends included: int32 with the value in the top bits, or floats."""
    rng = np.random.default_rng(1)
    if subtype in REAL:
        frames = rng.standard_normal((count, channels)) * 3
        return frames.astype(np.float32) if subtype == "FLOAT" else frames
    shift = 32 - BITS[subtype]
    frames = rng.integers(-(2**31), 2**31, (count, channels))
    frames[:3, 0] = -(2**31), 2**31 - 1, 0
    return (frames >> shift << shift).astype(np.int32)


def known(path: Path) -> np.ndarray:
    """What soundfile reads: float64, in which every PCM and float sample is exact."""
    return soundfile.read(path, dtype="float64", always_2d=True)[0]


@contextmanager
def opened(path: Path, kind: str | None = None) -> Iterator[Reader]:
    with closing(Source.of_path(str(path))) as source, open_audio(source, kind or source.kind.name) as reader:
        yield reader


def read(reader: Reader, step: int = 1 << 20) -> np.ndarray:
    """All frames `(samples, channels)` in float64, `step` samples at a time."""
    parts = []
    while (block := reader.read(step)).shape[1]:
        parts.append(as_float(block, reader.signal))
    return np.concatenate([np.empty((reader.signal.channels, 0)), *parts], axis=1).T


def write(
    path: Path, frames: np.ndarray, format: str, subtype: str, *, rate: int = 8000, step: int = 200
) -> AudioWriter:
    """Write `frames` as a job does: encoded and written block by block."""
    with path.open("w+b", buffering=0) as file:
        writer = AudioWriter(file, Signal(format, frames.shape[1], frames.dtype.name, rate), format, subtype)
        for at in range(0, len(frames), step):
            writer.write(writer.encode(frames[at : at + step].T))
        writer.close()
    return writer


# To the bit


@pytest.mark.parametrize(("format", "subtype"), EXACT)
def test_read_to_the_bit(tmp_path: Path, format: str, subtype: str) -> None:
    path, frames = tmp_path / "a", samples(subtype)
    soundfile.write(path, frames, 8000, format=format, subtype=subtype)
    exact = frames if subtype in REAL else frames / 2**31
    for step in (1, 100, 500, 1000):
        with opened(path) as reader:
            np.testing.assert_array_equal(read(reader, step), exact)
            assert not reader.notes
    signal = reader.signal
    assert (signal.format, signal.subtype) == (format, subtype)
    assert (signal.channels, signal.sample_rate, signal.frames) == (2, 8000, 500)
    assert signal.dtype == ("float64" if subtype in ("PCM_32", "DOUBLE") else "float32")


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize(("format", "subtype"), EXACT)
def test_written_to_the_bit(tmp_path: Path, format: str, subtype: str, channels: int) -> None:
    path, frames = tmp_path / "a", samples(subtype, channels)
    worked = "float64" if subtype in ("PCM_32", "DOUBLE") else "float32"
    exact = frames if subtype in REAL else frames / 2**31
    writer = write(path, exact.astype(worked), format, subtype)
    np.testing.assert_array_equal(known(path), exact)
    info = soundfile.info(path)
    assert (info.subtype, info.channels, info.samplerate, info.frames) == (subtype, channels, 8000, 500)
    assert writer.clipped == 0


@pytest.mark.parametrize("format", [format for format in HELD if format != "FLAC"])
def test_no_samples_at_all(tmp_path: Path, format: str) -> None:
    write(tmp_path / "a", np.empty((0, 2)), format, "PCM_16")
    assert soundfile.info(tmp_path / "a").frames == 0
    with opened(tmp_path / "a") as reader:
        assert read(reader).shape == (0, 2)


@pytest.mark.parametrize(
    ("format", "subtype", "rate"),
    [("MP3", "MPEG_LAYER_III", 44100), ("OGG", "VORBIS", 44100), ("OGG", "OPUS", 48000), ("WAV", "ULAW", 8000)],
)
def test_lossy_formats_come_back_at_their_length_and_close(
    tmp_path: Path, format: str, subtype: str, rate: int
) -> None:
    frames = np.sin(np.arange(rate) * 0.05)[:, None] * [0.5, -0.25]
    write(tmp_path / "a", frames, format, subtype, rate=rate, step=5000)
    with opened(tmp_path / "a") as reader:
        back = read(reader, 3000)
        assert (reader.signal.format, reader.signal.subtype, reader.signal.dtype) == (format, subtype, "float32")
    assert back.shape == frames.shape
    np.testing.assert_allclose(back[2000:-2000], frames[2000:-2000], atol=0.03)


def test_blocks_of_a_batch_are_channels(tmp_path: Path) -> None:
    with (tmp_path / "a.wav").open("w+b", buffering=0) as file:
        writer = AudioWriter(file, Signal("NPY", 4, "float32", 8000), "WAV", "FLOAT")
        writer.write(writer.encode(np.arange(24, dtype=np.float32).reshape(2, 2, 6)))
        writer.close()
    np.testing.assert_array_equal(known(tmp_path / "a.wav"), np.arange(24).reshape(4, 6).T)


# Rounding and clipping


@given(st.lists(st.floats(-1.5, 1.5, width=32), min_size=1), st.sampled_from([8, 16, 20, 24, 32]))
def test_the_nearest_step_ties_to_even(values: list[float], bits: int) -> None:
    full = 2 ** (bits - 1)
    expected = [min(max(round(Fraction(value) * full), -full), full - 1) for value in values]
    container = np.int16 if bits <= 16 else np.int32
    for dtype in (np.float32, np.float64):
        encoded = quantise(np.array([values], dtype), bits, container)
        assert (encoded.frames[:, 0] >> 8 * encoded.frames.itemsize - bits).tolist() == expected
        assert encoded.clipped == sum(abs(round(Fraction(value) * full)) > full for value in values)
        assert encoded.peak == max(map(abs, values))


@pytest.mark.parametrize(("bits", "container"), [(8, np.int16), (16, np.int16), (24, np.int32), (32, np.int32)])
def test_halves_go_to_the_even_step(bits: int, container: Any) -> None:
    halves = np.array([[-2.5, -1.5, -0.5, 0.5, 1.5, 2.5]]) / 2 ** (bits - 1)
    steps = quantise(halves, bits, container).frames[:, 0] >> 8 * np.dtype(container).itemsize - bits
    assert steps.tolist() == [-2, -2, 0, 0, 2, 2]


@pytest.mark.parametrize(
    ("values", "clipped", "peak", "steps"),
    [
        ([0.5, -0.5], 0, 0.5, [16384, -16384]),
        ([1.0, -1.0], 0, 1.0, [32767, -32768]),
        ([1.0 + 1e-9, 0.0], 0, 1.0 + 1e-9, [32767, 0]),
        ([-1.0 - 1e-9, 2.0], 1, 2.0, [-32768, 32767]),
        ([-1.0000001, -1.0001], 1, 1.0001, [-32768, -32768]),
        ([0.25, -4.0], 1, 4.0, [8192, -32768]),
        ([], 0, 0.0, []),
    ],
)
def test_clipping_is_counted_and_the_peak_is_told(
    values: list[float], clipped: int, peak: float, steps: list[int]
) -> None:
    encoded = quantise(np.array([values]), 16, np.int16)
    assert (encoded.clipped, encoded.peak, encoded.frames[:, 0].tolist()) == (clipped, peak, steps)


def test_the_count_and_the_peak_go_over_all_blocks(tmp_path: Path) -> None:
    frames = np.array([[0.0, 2.0], [0.5, -3.0], [1.5, 1.0], [0.0, 0.0]])
    writer = write(tmp_path / "a.wav", frames, "WAV", "PCM_16", step=1)
    assert (writer.clipped, writer.peak) == (3, 3.0)
    np.testing.assert_array_equal(known(tmp_path / "a.wav"), np.clip(frames, -1, 1 - 2.0**-15))


def test_floats_are_never_clipped(tmp_path: Path) -> None:
    frames = np.array([[2.0], [-1e30]])
    writer = write(tmp_path / "a.wav", frames, "WAV", "DOUBLE")
    assert (writer.clipped, writer.peak) == (0, 1e30)
    np.testing.assert_array_equal(known(tmp_path / "a.wav"), frames)


@pytest.mark.parametrize(("dtype", "huge"), [(np.float32, 1e38), (np.float64, 1e308)])
def test_numbers_too_large_to_scale_are_clipped(dtype: Any, huge: float) -> None:
    encoded = quantise(np.array([[huge, -huge, 0.5]], dtype), 16, np.int16)
    assert (encoded.frames[:, 0].tolist(), encoded.clipped, encoded.bad) == ([32767, -32768, 16384], 2, 0)


def test_integers_are_samples_too(tmp_path: Path) -> None:
    writer = write(tmp_path / "a.wav", np.array([[1], [0], [-1], [7]]), "WAV", "PCM_16")
    assert known(tmp_path / "a.wav")[:, 0].tolist() == [1 - 2.0**-15, 0, -1, 1 - 2.0**-15]
    assert writer.clipped == 1


# NaN and infinity


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    ("format", "subtype"),
    [
        *[("WAV", "PCM_16"), ("WAV", "DOUBLE"), ("CAF", "PCM_32"), ("FLAC", "PCM_24"), ("AIFF", "FLOAT")],
        *[("MP3", "MPEG_LAYER_III"), ("OGG", "VORBIS"), ("OGG", "OPUS")],
    ],
)
def test_nothing_but_numbers_reaches_an_encoder(
    tmp_path: Path, format: str, subtype: str, bad: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[np.ndarray] = []
    monkeypatch.setattr(soundfile.SoundFile, "write", lambda _, frames: encoded.append(frames))
    monkeypatch.setattr(WavFile, "write", lambda _, block: encoded.append(block.frames))
    frames = np.zeros((1000, 2))
    frames[[501, 502, 900], [1, 0, 0]] = bad
    with pytest.raises(InputError, match=r"^3 results are NaN or infinite, the first at sample 501; .*--nan zero$"):
        write(tmp_path / "a", frames, format, subtype, rate=48000)
    assert sum(map(len, encoded)) == 400
    assert not np.any(encoded)


def test_what_float32_can_not_hold_is_infinite() -> None:
    encoded = as_frames(np.array([[0.0, 1e39], [0.0, 0.0]]), np.float32)
    assert (encoded.bad, encoded.first_bad) == (1, 1)


@pytest.mark.parametrize("format", [format for format in HELD if format != "FLAC"])
def test_integers_come_back_as_they_are(tmp_path: Path, format: str) -> None:
    frames = np.array([[2**24 + 1], [-(2**24) - 1], [2**53 - 1], [-(2**53)], [2**60], [0]])
    write(tmp_path / "a", frames, format, choose_subtype(format, None, Signal("NPY", 1, "int64")))
    assert known(tmp_path / "a").astype(np.int64).tolist() == frames.tolist()


@pytest.mark.parametrize(
    ("subtype", "values", "message"),
    [
        ("FLOAT", [2**24 + 1, -(2**24) - 1, 2**24, 2**40], "2 results past 2^24, up to which FLOAT holds every"),
        ("DOUBLE", [2**53 + 1, 2**54], "1 result past 2^53, up to which DOUBLE holds every integer; .npy and .csv"),
        ("DOUBLE", [2**63 - 1, -(2**63)], "1 result past 2^53"),
    ],
)
def test_integers_that_would_be_rounded_are_refused(
    tmp_path: Path, subtype: str, values: list[int], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        write(tmp_path / "a", np.array([values]).T, "WAV", subtype)
    assert message in str(caught.value)
    assert ("--subtype DOUBLE" in str(caught.value)) == (subtype == "FLOAT")


def test_a_lossy_encoding_takes_integers_as_it_takes_all_numbers(tmp_path: Path) -> None:
    write(tmp_path / "a", np.array([[2**24 + 1], [0]]), "OGG", "VORBIS")


# Subtypes


@pytest.mark.parametrize(
    ("format", "signal", "subtype"),
    [
        ("WAV", Signal("WAV", 1, "float32", subtype="PCM_24"), "PCM_24"),
        ("FLAC", Signal("WAV", 1, "float32", subtype="PCM_24"), "PCM_24"),
        ("FLAC", Signal("WAV", 1, "float32", subtype="FLOAT"), "PCM_16"),
        ("FLAC", Signal("WAV", 1, "float32", subtype="PCM_U8"), "PCM_S8"),
        ("WAV", Signal("FLAC", 1, "float32", subtype="PCM_S8"), "PCM_U8"),
        ("AIFF", Signal("WAV", 1, "float32", subtype="PCM_U8"), "PCM_U8"),
        ("MP3", Signal("WAV", 1, "float32", subtype="PCM_U8"), "MPEG_LAYER_III"),
        ("WAV", Signal("WAV", 1, "float32", subtype="ULAW"), "ULAW"),
        ("AU", Signal("WAV", 1, "float32", subtype="ULAW"), "PCM_16"),
        ("OGG", Signal("OGG", 1, "float32", subtype="OPUS"), "OPUS"),
        ("WAV", Signal("OGG", 1, "float32", subtype="VORBIS"), "PCM_16"),
        ("MP3", Signal("MP3", 1, "float32", subtype="MPEG_LAYER_III"), "MPEG_LAYER_III"),
        ("MP3", Signal("MP3", 1, "float32", subtype="MPEG_LAYER_II"), "MPEG_LAYER_III"),
        ("WAV", Signal("WAV", 1, "float32", subtype="MPEG_LAYER_III"), "PCM_16"),
        ("CAF", Signal("CAF", 1, "float64", subtype="ALAC_32"), "PCM_32"),
        ("FLAC", Signal("CAF", 1, "float32", subtype="ALAC_20"), "PCM_24"),
        ("WAV", Signal("CSV", 1, "float64"), "DOUBLE"),
        ("WAV", Signal("NPY", 1, "float32"), "FLOAT"),
        *((format, Signal("NPY", 1, "int64"), "DOUBLE") for format in HELD if format != "FLAC"),
        ("IRCAM", Signal("NPY", 1, "int64"), "FLOAT"),
        ("IRCAM", Signal("WAV", 1, "float64", subtype="DOUBLE"), "FLOAT"),
        ("FLAC", Signal("NPY", 1, "int64"), "PCM_16"),
        ("FLAC", Signal("CSV", 1, "float64"), "PCM_16"),
    ],
)
def test_the_subtype_is_the_inputs_own_where_the_format_holds_it(format: str, signal: Signal, subtype: str) -> None:
    assert choose_subtype(format, None, signal) == subtype
    assert choose_subtype(format, subtype, Signal("CSV", 1, "float64")) == subtype


@pytest.mark.parametrize(
    ("format", "wanted", "message"),
    [
        ("FLAC", "FLOAT", "FLAC can't hold subtype FLOAT; it can hold PCM_16, PCM_24, PCM_S8"),
        ("CAF", "ALAC_32", "ALAC_32 is not written: libsndfile's encoder damages noise; PCM_32 holds it"),
    ],
)
def test_a_subtype_that_can_not_be(format: str, wanted: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        choose_subtype(format, wanted, Signal("CSV", 1, "float64"))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("format", "subtype", "channels", "rate", "message"),
    [
        ("WAV", "PCM_16", 1, None, "there is no sample rate to write WAV with; give --sample-rate"),
        ("FLAC", "PCM_16", 9, 8000, "FLAC holds up to 8 channels; the result has 9: write .wav"),
        ("OGG", "OPUS", 1, 44100, "OGG/OPUS can't be written with 1 channels at 44100 Hz: "),
        ("WAV", "PCM_16", 1 << 16, 8000, "WAV can't be written with 65536 channels at 8000 Hz"),
        ("WAV", "PCM_16", 1, 1 << 32, "WAV can't be written with 1 channels at 4294967296 Hz"),
    ],
)
def test_what_a_format_can_not_write(
    tmp_path: Path, format: str, subtype: str, channels: int, rate: int | None, message: str
) -> None:
    with (tmp_path / "a").open("w+b") as file, pytest.raises((InputError, OutputError)) as caught:
        AudioWriter(file, Signal("CSV", channels, "float64", rate), format, subtype)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (soundfile.LibsndfileError(2), "the encoder failed: system error"),
        (AssertionError(), "the encoder failed: no decodable frames were found"),
    ],
)
def test_an_encoder_that_fails(tmp_path: Path, error: Exception, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(soundfile.SoundFile, "write", fail)
    with pytest.raises(OutputError) as caught:
        write(tmp_path / "a", np.zeros((5, 1)), "FLAC", "PCM_16")
    assert str(caught.value) == words


# Damaged and truncated files


@pytest.mark.parametrize(
    ("format", "subtype"),
    [
        *[("WAV", "PCM_16"), ("WAV", "FLOAT"), ("WAVEX", "PCM_24"), ("RF64", "PCM_16")],
        *[("AIFF", "PCM_16"), ("AU", "PCM_16"), ("W64", "DOUBLE"), ("SVX", "PCM_16")],
    ],
)
def test_a_truncated_file_is_read_to_its_end_with_a_note(tmp_path: Path, format: str, subtype: str) -> None:
    path, frames = tmp_path / "a", samples(subtype, 1)
    soundfile.write(path, frames, 8000, format=format, subtype=subtype)
    os.truncate(path, path.stat().st_size * 3 // 4)
    with opened(path) as reader:
        back = read(reader)
    assert 350 < len(back) < 380
    np.testing.assert_array_equal(back, frames[: len(back)] / (1 if subtype in REAL else 2**31))
    (note,) = reader.notes
    declared, there = (int(word) for word in note.split() if word.isdigit())
    assert note.startswith("truncated: the header declares ")
    assert 0 < declared - there < 1 + path.stat().st_size / 3


def flac(path: Path, *, total: int) -> bytes:
    """20 000 samples of FLAC that declare to be `total`."""
    soundfile.write(path, np.random.default_rng(2).integers(-99, 99, 20_000).astype(np.int16), 8000, format="FLAC")
    data = path.read_bytes()
    fields = int.from_bytes(data[18:26], "big") >> 36 << 36 | total
    return data[:18] + fields.to_bytes(8, "big") + data[26:]


@pytest.mark.parametrize(
    ("total", "edit", "length", "note"),
    [
        (20_000, lambda data: data, 20_000, None),
        (20_000, lambda data: data + b"TAG" + bytes(125), 20_000, None),
        (
            15_000,
            lambda data: data,
            15_000,
            "the header declares 15000 samples, and more follow them",
        ),
        (4_096, lambda data: data, 4_096, "the header declares 4096 samples, and more follow them"),
        (30_000, lambda data: data, 20_000, "truncated: the header declares 30000 samples, 20000 are there"),
        (0, lambda data: data, 20_000, None),
        (0, lambda data: data[: len(data) // 2], 8_000, "ends after sample 8000: what follows can't be decoded: "),
    ],
)
def test_flac_of_a_length_that_is_wrong_or_unknown(
    tmp_path: Path, total: int, edit: Any, length: int, note: str | None
) -> None:
    path = tmp_path / "a.flac"
    path.write_bytes(edit(flac(path, total=total)))
    with opened(path) as reader:
        assert reader.signal.frames == (total or None)
        assert len(read(reader, 1000)) == length
        assert reader.read(1000).shape == (1, 0)
    assert len(reader.notes) == (note is not None)
    assert "".join(reader.notes).startswith(note or "")


@pytest.mark.parametrize("total", [20_000, 0])
def test_a_flac_damaged_from_the_start(tmp_path: Path, total: int) -> None:
    path = tmp_path / "a.flac"
    data = flac(path, total=total)
    path.write_bytes(data[: len(data) // 8] + bytes(len(data) // 2))
    with opened(path) as reader, pytest.raises(InputError, match=r"^can't be decoded past sample 0: flac decoder lost"):
        read(reader)


def test_a_flac_whose_bit_depth_changes(tmp_path: Path) -> None:
    path, other = tmp_path / "a.flac", tmp_path / "b.flac"
    data = flac(path, total=0)
    soundfile.write(other, np.arange(20_000, dtype=np.int32) * 257, 8000, subtype="PCM_24")
    deep = other.read_bytes()
    path.write_bytes(data + deep[deep.index(b"\xff\xf8") :])
    with (
        opened(path) as reader,
        pytest.raises(InputError, match=r"^the bit depth changes after sample 20000; expected"),
    ):
        read(reader, 1000)


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.wav", b"RIFF\0\0\0\0WAVEfmt "), ("a.mp3", b"\xff\xfb\x90\x64" + bytes(3000)), ("a.raw", bytes(range(256)))],
)
def test_what_is_no_audio(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=r"^can't be decoded as XYZ: \w"), opened(tmp_path / name, "XYZ"):
        pass


def test_mpeg_behind_junk_is_known_by_its_extension(tmp_path: Path) -> None:
    write(tmp_path / "m", np.zeros((5000, 1)), "MP3", "MPEG_LAYER_III")
    (tmp_path / "a.mp3").write_bytes(bytes(1000) + (tmp_path / "m").read_bytes())
    with opened(tmp_path / "a.mp3") as reader:
        assert len(read(reader)) == 5000


# WAV written by hand


@pytest.mark.parametrize("subtype", ["PCM_U8", *ALL_PCM])
@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_the_standard_library_agrees_with_the_header(tmp_path: Path, subtype: str, count: int) -> None:
    write(tmp_path / "a.wav", np.full((count, 3), 0.5), "WAV", subtype)
    size = (tmp_path / "a.wav").stat().st_size
    assert size % 2 == 0
    assert struct.unpack("<I", (tmp_path / "a.wav").read_bytes()[4:8])[0] == size - 8
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert file.getparams()[:4] == (3, BITS[subtype] // 8, 8000, count)
        assert len(file.readframes(count)) == count * 3 * BITS[subtype] // 8


class Sparse:
    """A file in which long stretches of silence become holes."""

    def __init__(self, file: io.FileIO) -> None:
        self.fileno = file.fileno
        self._file = file

    def write(self, data: memoryview) -> int:
        if len(data) < 1 << 20:
            return self._file.write(data) or 0
        self._file.seek(len(data), os.SEEK_CUR)
        return len(data)


@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
@pytest.mark.parametrize(("stretches", "magic"), [(3, b"RIFF"), (5, b"RF64")])
def test_past_4_gib_the_header_becomes_rf64(tmp_path: Path, stretches: int, magic: bytes, subtype: str) -> None:
    path, dtype = tmp_path / "a.wav", np.dtype(np.int16 if subtype == "PCM_16" else np.float32)
    silence = Encoded(np.zeros(((1 << 30) // dtype.itemsize, 1), dtype), 0, 0.0)
    ends = Encoded(np.array([[7], [5], [3]], dtype), 0, 0.0)
    with path.open("w+b", buffering=0) as file:
        wav = WavFile(Sparse(file), Signal("WAV", 1, "float32", 8000), subtype)
        for block in (ends, *[silence] * stretches, ends):
            wav.write(block)
        wav.close()
        assert os.pread(file.fileno(), 4, 0) == magic
    frames = stretches * len(silence.frames) + 6
    with soundfile.SoundFile(path) as file:
        assert file.frames == frames
        for at in (0, frames - 3):
            file.seek(at)
            back = file.read(3, dtype=dtype.name)
            assert back.tolist() == [7, 5, 3]
    with opened(path) as reader:
        assert (reader.signal.frames, reader.notes) == (frames, [])


# WAV from and to pipes


def chunk(name: bytes, content: bytes, size: int | None = None) -> bytes:
    return name + struct.pack("<I", len(content) if size is None else size) + content + b"\0" * (len(content) % 2)


def fmt(code: int = 1, bits: int = 16, channels: int = 1, rate: int = 8000, more: bytes = b"") -> bytes:
    frame = channels * bits // 8
    return chunk(b"fmt ", struct.pack("<HHIIHH", code, channels, rate, rate * frame, frame, bits) + more)


def riff(*chunks: bytes, magic: bytes = b"RIFF", size: int = 0xFFFFFFFF) -> bytes:
    return magic + struct.pack("<I", size) + b"WAVE" + b"".join(chunks)


@contextmanager
def piped(data: bytes) -> Iterator[Source]:
    """`data` as it comes out of a pipe, in pieces."""
    end, start = os.pipe()

    def feed() -> None:
        with suppress(BrokenPipeError), open(start, "wb", buffering=0) as file:
            for at in range(0, len(data), 1000):
                file.write(data[at : at + 1000])

    thread = threading.Thread(target=feed)
    thread.start()
    with closing(Source(open(end, "rb", buffering=0), seekable=False)) as source:
        yield source
    thread.join()


EXTENSIBLE = struct.pack("<HHIH", 22, 16, 4, 1) + b"\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71"
INFO = chunk(b"LIST", b"INFO" + bytes(5))
DATA = np.arange(-700, 700, dtype="<i2")
PLAIN = DATA.tobytes()


@pytest.mark.parametrize(
    "data",
    [
        riff(fmt(), chunk(b"data", PLAIN)),
        riff(fmt(), chunk(b"data", PLAIN), INFO),
        riff(INFO, fmt(), INFO, chunk(b"data", PLAIN)),
        riff(chunk(b"bext", bytes(5000)), fmt(), chunk(b"data", PLAIN)),
        riff(fmt(0xFFFE, more=EXTENSIBLE), chunk(b"data", PLAIN)),
        riff(fmt(), chunk(b"data", PLAIN, 0)),
        riff(fmt(), chunk(b"data", PLAIN, 0xFFFFFFFF)),
        riff(fmt(), chunk(b"data", PLAIN, 0x7FFFF000)),
        riff(fmt(), chunk(b"data", PLAIN, 0xFFFFFFFF)) + b"\1",
        riff(chunk(b"ds64", struct.pack("<QQQI", 0, 2800, 1400, 0)), fmt(), chunk(b"data", PLAIN), INFO, magic=b"RF64"),
        riff(chunk(b"ds64", bytes(28)), fmt(), chunk(b"data", PLAIN, 0xFFFFFFFF), magic=b"RF64"),
        riff(chunk(b"ds64", b"\xff" * 28), fmt(), chunk(b"data", PLAIN, 0xFFFFFFFF), magic=b"RF64"),
        riff(chunk(b"ds64", b"short"), fmt(), chunk(b"data", PLAIN, 0xFFFFFFFF), magic=b"RF64"),
    ],
)
@pytest.mark.parametrize("step", [1 << 20, 300])
def test_a_wav_from_a_pipe(data: bytes, step: int) -> None:
    with piped(data) as source, open_audio(source, "WAV") as reader:
        assert (reader.signal.subtype, reader.signal.sample_rate) == ("PCM_16", 8000)
        np.testing.assert_array_equal(read(reader, step)[:, 0], DATA / 2**15)
        assert not reader.notes
        assert reader.signal.frames in (1400, None)


@pytest.mark.parametrize("channels", [1, 2, 5])
@pytest.mark.parametrize("subtype", HELD["WAV"])
def test_every_subtype_from_a_pipe_is_as_from_a_file(tmp_path: Path, subtype: str, channels: int) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, samples(subtype, channels), 8000, subtype=subtype)
    with piped(path.read_bytes()) as source, open_audio(source, "WAV") as stream, opened(path) as file:
        np.testing.assert_array_equal(read(stream, 77), known(path))
        assert stream.signal == file.signal


def test_a_pipe_that_ends_early(tmp_path: Path) -> None:
    with piped(riff(fmt(), chunk(b"data", PLAIN, 3000))) as source, open_audio(source, "WAV") as reader:
        np.testing.assert_array_equal(read(reader, 999)[:, 0], DATA / 2**15)
        assert reader.read(999).shape == (1, 0)
        assert reader.notes == ["truncated: 100 samples that the header declares are missing"]


@pytest.mark.parametrize(
    "data",
    [
        riff(),
        riff(fmt()),
        riff(chunk(b"LIST", b"", 9999)),
        riff(chunk(b"fmt ", b"short")),
        riff(chunk(b"fmt ", b"short"), chunk(b"data", PLAIN)),
        riff(fmt(channels=0)),
        riff(fmt(rate=0)),
    ],
)
def test_a_pipe_that_holds_no_samples(data: bytes) -> None:
    with piped(data) as source, pytest.raises(InputError, match=r"^can't be decoded as WAV: "):
        open_audio(source, "WAV")


def test_encodings_that_libsndfile_reads_come_through_pipes_too(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, samples("PCM_16"), 8000, subtype="ULAW")
    with piped(path.read_bytes()) as source, open_audio(source, "WAV") as reader:
        np.testing.assert_array_equal(read(reader), known(path))


@pytest.mark.parametrize("format", ["FLAC", "AIFF", "MP3"])
def test_other_formats_from_a_pipe_are_spooled(tmp_path: Path, format: str) -> None:
    path = tmp_path / "a"
    soundfile.write(path, samples("PCM_16"), 44100, format=format)
    with piped(path.read_bytes()) as source, open_audio(source, format) as reader:
        np.testing.assert_array_equal(read(reader), known(path))


@pytest.mark.parametrize(
    ("data", "count"),
    [
        (riff(fmt(), chunk(b"data", PLAIN, 0), size=0), 1400),
        (riff(fmt(), chunk(b"data", PLAIN, 0)), 1400),
        (riff(fmt(), chunk(b"data", PLAIN, 0xFFFFFFFF)), 1400),
        (riff(fmt(), chunk(b"data", PLAIN, 0x7FFFF000), size=0x7FFFF024), 1400),
        (riff(fmt(), chunk(b"data", b""), INFO, size=36 + len(INFO)), 0),
    ],
)
def test_a_file_whose_header_was_never_completed(tmp_path: Path, data: bytes, count: int) -> None:
    (tmp_path / "a.wav").write_bytes(data)
    with opened(tmp_path / "a.wav") as reader:
        np.testing.assert_array_equal(read(reader)[:, 0], DATA[:count] / 2**15)
        assert not reader.notes


def test_sizes_that_say_nothing() -> None:
    unstated = [0, 0xFFFFFFFF, 2**64 - 1, 0x7FFFF000, 0x7FFFF000 // 6 * 6]
    assert [is_unstated(size) for size in (*unstated, 1, 0x7FFFF001, 0xFFFFFFFE)] == [True] * 5 + [False] * 3


@pytest.mark.parametrize("subtype", HELD["WAV"])
def test_a_wav_into_a_pipe_leaves_its_sizes_open(tmp_path: Path, subtype: str) -> None:
    end, start = os.pipe()
    frames = samples(subtype, count=33)
    exact = frames if subtype in REAL else frames / 2**31
    with open(start, "wb", buffering=0) as file:
        writer = AudioWriter(file, Signal("WAV", 2, "float64", 8000), "WAV", subtype)
        writer.write(writer.encode(exact.T))
        writer.close()
    with open(end, "rb") as file:
        data = file.read()
    assert data[4:8] == data[data.index(b"data") + 4 :][:4] == b"\xff" * 4
    (tmp_path / "a.wav").write_bytes(data)
    np.testing.assert_array_equal(known(tmp_path / "a.wav"), exact)
    with piped(data) as source, open_audio(source, "WAV") as reader:
        np.testing.assert_array_equal(read(reader), exact)


def test_a_wav_appended_to_a_file_touches_nothing_before_it(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"before")
    with (tmp_path / "a").open("ab", buffering=0) as file:
        writer = AudioWriter(file, Signal("WAV", 1, "float64", 8000), "WAV", "PCM_16")
        writer.write(writer.encode(np.array([[0.5, -0.5]])))
        writer.close()
    data = (tmp_path / "a").read_bytes()
    assert data.startswith(b"beforeRIFF\xff\xff\xff\xffWAVE")
    assert data.endswith(struct.pack("<hh", 16384, -16384))


def test_a_wav_begun_inside_a_file_is_completed_there(tmp_path: Path) -> None:
    with (tmp_path / "a").open("w+b", buffering=0) as file:
        file.write(b"before")
        writer = AudioWriter(file, Signal("WAV", 1, "float64", 8000), "WAV", "FLOAT")
        writer.write(writer.encode(np.array([[0.5, -0.5]])))
        writer.close()
    data = (tmp_path / "a").read_bytes()
    assert data.startswith(b"beforeRIFF")
    assert soundfile.read(io.BytesIO(data[6:]))[0].tolist() == [0.5, -0.5]


def test_nothing_is_written_before_the_first_block(tmp_path: Path) -> None:
    with (tmp_path / "a").open("w+b", buffering=0) as file:
        AudioWriter(file, Signal("WAV", 1, "float64", 8000), "WAV", "FLOAT")
        assert file.tell() == 0


def test_pcm_as_real_numbers() -> None:
    block = np.array([[-(2**15), 2**14]], np.int16)
    assert as_float(block, Signal("WAV", 1, "float32", full_scale=1 << 15)).tolist() == [[-1.0, 0.5]]
    assert as_float(block, Signal("NPY", 1, "float32")).tolist() == [[-32768.0, 16384.0]]


# Writes and reads that fail inside libsndfile


@pytest.mark.parametrize(
    ("format", "subtype"),
    [
        *(("FLAC", "PCM_16"), ("FLAC", "PCM_24"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("CAF", "ALAC_16")),
        *(("MP3", "MPEG_LAYER_III"), ("AIFF", "PCM_16"), ("CAF", "FLOAT"), ("W64", "PCM_16"), ("AU", "FLOAT")),
        *(("WAV", "PCM_16"), ("WAV", "ULAW"), ("VOC", "PCM_16"), ("NIST", "PCM_16"), ("PAF", "PCM_24")),
    ],
)
def test_a_disk_that_fills_up_at_any_byte_leaves_nothing(
    format: str, subtype: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever write fails, the last one while the file is closed too, the old file stays."""
    path = tmp_path / "a"
    signal = Signal(format, 1, "float32", 48000)
    block = np.random.default_rng(0).uniform(-0.9, 0.9, (1, 20_000)).astype(np.float32)
    room, taken = [1 << 40], [0]
    calls = {name: getattr(os, name) for name in ("pwrite", "write")}

    def limited(name: str) -> Any:
        def write(descriptor: int, data: Any, *where: int) -> int:
            if taken[0] + len(data) > room[0]:
                raise OSError(errno.ENOSPC, "No space left on device")
            taken[0] += len(data)
            return int(calls[name](descriptor, data, *where))

        return write

    def run() -> None:
        taken[0] = 0
        output = Output(str(path), signal, WriteOptions(format.lower(), subtype, overwrite=True))
        try:
            output.write(output.encode(block))
            output.commit()
        finally:
            output.discard()

    class Limited(io.FileIO):
        def write(self, data: Any) -> int:
            return int(os.write(self.fileno(), data))

    monkeypatch.setattr("convtool.files.atomic.open", lambda file, *_, **__: Limited(file, "r+"), raising=False)
    monkeypatch.setattr(os, "pwrite", limited("pwrite"))
    monkeypatch.setattr(os, "write", limited("write"))
    monkeypatch.setitem(formats_module.AUDIO, format.lower(), format)
    run()
    whole, needed = path.read_bytes(), taken[0]
    path.write_bytes(b"old")
    for limit in (*range(0, needed, max(1, needed // 12)), needed - 1):
        room[0] = limit
        with pytest.raises(OutputError, match="the disk is full"):
            run()
        assert path.read_bytes() == b"old"
        assert os.listdir(tmp_path) == ["a"]
    room[0] = needed
    run()
    assert len(path.read_bytes()) == len(whole)


@pytest.mark.parametrize("format", ["FLAC", "OGG", "MP3", "AIFF", "CAF", "AU"])
def test_a_read_that_fails_is_no_end(format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, 200_000), 48000, format=format)
    reading = os.preadv
    half = path.stat().st_size // 2

    def preadv(descriptor: int, buffers: Any, at: int) -> int:
        if at > half:
            raise OSError(errno.EIO, "Input/output error")
        return reading(descriptor, buffers, at)

    with closing(Source.of_path(str(path))) as source, AudioReader(source, format) as reader:
        monkeypatch.setattr(os, "preadv", preadv)
        with pytest.raises(InputError, match="can't be read: Input/output error"):
            read(reader, 1000)
