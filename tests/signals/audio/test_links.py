"""Streams that stand one behind the other in a file, and FLACs that change on the way."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from convtool.errors import InputError
from convtool.files.source import Source
from convtool.signals.audio.checksum import crc
from convtool.signals.audio.flac import WatchedFlac, _parsed
from convtool.signals.audio.links import next_link
from convtool.signals.audio.reader import AudioReader
from convtool.signals.signal import as_float

KINDS = [("OGG", "VORBIS", 44100), ("OGG", "OPUS", 48000), ("MP3", "MPEG_LAYER_III", 44100), ("FLAC", "PCM_16", 44100)]


def encoded(format: str, subtype: str, rate: int, count: int, channels: int = 1, seed: int = 0) -> bytes:
    file = io.BytesIO()
    noise = np.random.default_rng(seed).uniform(-0.3, 0.3, (count, channels))
    soundfile.write(file, noise, rate, format=format, subtype=subtype)
    return file.getvalue()


def read(path: Path, data: bytes, format: str, step: int = 1 << 20) -> np.ndarray[Any, Any]:
    path.write_bytes(data)
    with AudioReader(Source.of_path(str(path)), format) as reader:
        blocks = []
        while (block := reader.read(step)).shape[1]:
            blocks.append(as_float(block, reader.signal))
        assert not reader.notes
        return np.concatenate(blocks, axis=1)


@pytest.mark.parametrize(("format", "subtype", "rate"), KINDS)
@pytest.mark.parametrize("counts", [(10_007, 5_000), (300_000, 7, 90_000), (2_000, 2_000, 2_000)])
@pytest.mark.parametrize("step", [1 << 20, 3_001])
def test_every_link_is_read(
    format: str, subtype: str, rate: int, counts: tuple[int, ...], step: int, tmp_path: Path
) -> None:
    files = [encoded(format, subtype, rate, count, seed=count) for count in counts]
    alone = [read(tmp_path / "a", data, format) for data in files]
    assert [part.shape[1] for part in alone] == list(counts)
    np.testing.assert_array_equal(read(tmp_path / "a", b"".join(files), format, step), np.concatenate(alone, axis=1))


@pytest.mark.parametrize(("format", "subtype", "rate"), KINDS)
def test_a_link_of_another_kind_is_refused(format: str, subtype: str, rate: int, tmp_path: Path) -> None:
    first = encoded(format, subtype, rate, 5_000)
    for second in (encoded(format, subtype, 24000, 5_000), encoded(format, subtype, rate, 5_000, channels=2)):
        with pytest.raises(InputError, match=r"^stream 2 of those that stand one behind the other in it is .*expected"):
            read(tmp_path / "a", first + second, format)


@pytest.mark.parametrize(("format", "subtype", "rate"), [KINDS[0], KINDS[3]])
def test_a_link_that_can_not_be_decoded(format: str, subtype: str, rate: int, tmp_path: Path) -> None:
    data = encoded(format, subtype, rate, 5_000)
    broken = bytearray(data)
    broken[30:60] = bytes(30)
    if format == "FLAC":
        broken = bytearray(data[:8] + bytes(34))
    with pytest.raises(InputError, match=r"^stream 2 in it can't be decoded: "):
        read(tmp_path / "a", data + bytes(broken), format)


@pytest.mark.parametrize(("format", "subtype", "rate"), KINDS)
@pytest.mark.parametrize("rest", [b"TAG" + bytes(125), b"APETAGEX" + bytes(24), b"\xff\xfb\x90\x64", bytes(3)])
def test_what_follows_that_is_no_stream(format: str, subtype: str, rate: int, rest: bytes, tmp_path: Path) -> None:
    data = encoded(format, subtype, rate, 5_000)
    (tmp_path / "a").write_bytes(data + rest)
    with AudioReader(Source.of_path(str(tmp_path / "a")), format) as reader:
        assert sum(block.shape[1] for block in reader.blocks()) == 5_000


def test_an_id3_tag_before_flac_is_no_link(tmp_path: Path) -> None:
    data = encoded("FLAC", "PCM_16", 44100, 5_000)
    assert read(tmp_path / "a", b"ID3\4\0\0\0\0\0\5" + bytes(5) + data, "FLAC").shape == (1, 5_000)


# FLAC frames


def frame_starts(data: bytes) -> list[int]:
    """Where frames begin, by their headers."""
    return [
        at
        for at in range(len(data) - 16)
        if data[at] == 0xFF and data[at + 1] & 0xFE == 0xF8 and _parsed(data[at : at + 16]) is not None
    ]


def test_headers_of_frames() -> None:
    data = encoded("FLAC", "PCM_16", 44100, 40_000, channels=2)
    frames = [_parsed(data[at : at + 16]) for at in frame_starts(data)]
    assert [frame[0] for frame in frames if frame] == list(range(10))
    assert {frame[1:] for frame in frames[:-1] if frame} == {(4096, 44100, 2)}


def header(*fields: int) -> bytes:
    head = bytes((0xFF, 0xF8, *fields))
    return (head + bytes([crc(head, 0x07, 8)])).ljust(16, b"\0")


@pytest.mark.parametrize(
    ("fields", "frame"),
    [
        ((0x19, 0x08, 0x00), (0, 192, 44100, 1)),
        ((0x69, 0x18, 0x7F, 0x1F), (127, 32, 44100, 2)),
        ((0x79, 0x88, 0xC2, 0x80, 0x00, 0xFF), (128, 256, 44100, 2)),
        ((0x1C, 0x08, 0x00, 0x30), (0, 192, 48000, 1)),
        ((0x1D, 0x08, 0x00, 0x1F, 0x40), (0, 192, 8000, 1)),
        ((0x1E, 0x08, 0x00, 0x1F, 0x40), (0, 192, 80000, 1)),
        ((0x10, 0x08, 0xFE, *(0x80,) * 5, 0x81), (1, 192, 0, 1)),
        ((0x09, 0x08, 0x00), None),
        ((0x1F, 0x08, 0x00), None),
        ((0x19, 0xB8, 0x00), None),
        ((0x19, 0x09, 0x00), None),
        ((0x19, 0x08, 0xFF), None),
        ((0x19, 0x08, 0x80), None),
    ],
)
def test_fields_of_headers(fields: tuple[int, ...], frame: tuple[int, ...] | None) -> None:
    assert _parsed(header(*fields)) == frame
    assert _parsed(header(*fields)[:3].ljust(16, b"\1")) is None


@pytest.mark.parametrize("step", [16, 1000, 1 << 20])
@pytest.mark.parametrize(
    ("second", "message"),
    [
        ((0x1A, 0x08), "the stream changes on the way: 48000 Hz after 44100 Hz; expected one kind throughout"),
        ((0x19, 0x18), "the stream changes on the way: 2 channels after 1; expected one kind throughout"),
        ((0x19, 0x08), None),
    ],
)
def test_a_flac_that_changes(step: int, second: tuple[int, int], message: str | None, tmp_path: Path) -> None:
    data = header(0x19, 0x08, 0x00) + bytes(50) + header(*second, 0x01) + header(0x1A, 0x18, 0x07) + bytes(20)
    (tmp_path / "a").write_bytes(data)
    file = WatchedFlac(os.open(tmp_path / "a", os.O_RDONLY))
    while file.read(step):
        pass
    if message is None:
        file.check_reads()
    else:
        with pytest.raises(InputError, match=message):
            file.check_reads()


def test_a_flac_that_is_read_here_and_there_is_not_searched_over_the_gaps(tmp_path: Path) -> None:
    data = header(0x19, 0x08, 0x00) + bytes(50) + header(0x1A, 0x08, 0x01)
    (tmp_path / "a").write_bytes(data.ljust(200, b"\0"))
    file = WatchedFlac(os.open(tmp_path / "a", os.O_RDONLY))
    file.read(20)
    file.seek(72)
    file.read(100)
    file.check_reads()


def test_the_reader_tells_of_a_rate_that_changes(tmp_path: Path) -> None:
    data = bytearray(encoded("FLAC", "PCM_16", 44100, 40_000))
    at = frame_starts(bytes(data))[4]
    data[at + 2] = data[at + 2] & 0xF0 | 10  # 48 kHz
    end = at + 5  # behind a number of one byte
    data[end] = crc(bytes(data[at:end]), 0x07, 8)
    with pytest.raises(InputError, match="48000 Hz after 44100 Hz"):
        read(tmp_path / "a", bytes(data), "FLAC", 1000)


def test_a_marker_that_is_none() -> None:
    data = b"....fLaCxxxxfLaC\0\0\0\x22" + bytes(34)
    assert next_link("FLAC", lambda offset, count: data[offset : offset + count], 0, 0, len(data)) == 12


def test_a_decoder_that_runs_into_the_next_stream(tmp_path: Path) -> None:
    """Whether it stops in front of it, or fails at it, is libsndfile's affair."""
    (tmp_path / "a").write_bytes(encoded("FLAC", "PCM_16", 44100, 500) * 2)
    with AudioReader(Source.of_path(str(tmp_path / "a")), "FLAC") as reader:
        assert reader.read(500).shape == (1, 500)
        whole = reader._file.read

        def fail(**_: Any) -> None:
            reader._file.read = whole
            raise soundfile.LibsndfileError(2)

        reader._file.read = fail
        assert sum(block.shape[1] for block in reader.blocks()) == 500
