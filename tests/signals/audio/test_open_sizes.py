"""Audio that was written into a pipe, and so leaves its sizes open: read to the end."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from convtool.files.source import Source
from convtool.signals.audio.open_sizes import stated_sizes
from convtool.signals.audio.opening import open_audio
from convtool.signals.signal import OPEN_LENGTH

RAMP = np.arange(100) / 200


def encoded(format: str, subtype: str) -> bytearray:
    file = io.BytesIO()
    soundfile.write(file, RAMP, 8000, format=format, subtype=subtype)
    return bytearray(file.getvalue())


def opened_wav(subtype: str) -> bytes:
    data = encoded("WAV", subtype)
    at = data.rindex(b"data") + 4
    data[at : at + 4] = bytes(4)
    return bytes(data[: at + 4 + 100])


def opened_w64(riff: int, samples: int) -> bytes:
    data = encoded("W64", "PCM_16")
    data[16:24] = struct.pack("<Q", riff)
    at = data.index(b"data") + 16
    data[at : at + 8] = struct.pack("<Q", samples)
    return bytes(data)


def opened_caf() -> bytes:
    data = encoded("CAF", "PCM_16")
    at = data.index(b"data") + 4
    data[at : at + 8] = struct.pack(">q", -1)
    return bytes(data)


def opened_au(order: str) -> bytes:
    data = encoded("AU", "PCM_16")
    data[8:12] = bytes(4)
    if order == ">":
        return bytes(data)
    fields = struct.unpack(">6I", data[:24])
    body = np.frombuffer(bytes(data[fields[1] :]), ">i2").astype("<i2").tobytes()
    return b"dns." + struct.pack("<5I", *fields[1:]) + bytes(data[24 : fields[1]]) + body


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("WAV", opened_wav("ALAW")),
        ("WAV", opened_wav("ULAW")),
        ("W64", opened_w64((1 << 64) - 1, (1 << 63) - 1)),
        ("CAF", opened_caf()),
        ("AU", opened_au(">")),
        ("AU", opened_au("<")),
    ],
)
def test_what_a_pipe_left_open_is_read_to_the_end(tmp_path: Path, kind: str, data: bytes) -> None:
    (tmp_path / "a").write_bytes(data)
    with open_audio(Source.of_path(str(tmp_path / "a")), kind) as reader:
        block = reader.read(1000)
        assert (reader.signal.frames, block.shape, reader.remarks) == (100, (1, 100), [OPEN_LENGTH])
        assert block[0, 50:] / reader.signal.full_scale == pytest.approx(RAMP[50:], abs=0.02)


@pytest.mark.parametrize(
    ("kind", "subtype"),
    [("WAV", "ALAW"), ("W64", "PCM_16"), ("CAF", "PCM_16"), ("AU", "PCM_16"), ("AIFF", "PCM_16")],
)
def test_sizes_that_are_stated_stay(kind: str, subtype: str) -> None:
    data = bytes(encoded(kind, subtype))
    assert stated_sizes(kind, lambda at, count: data[at : at + count], len(data)) == {}


def test_a_header_that_leads_nowhere() -> None:
    for kind, data in (
        ("W64", b"riff" + bytes(36)),
        ("CAF", b"caff" + bytes(4) + (b"junk" + bytes(8)) * 2000 + b"data" + b"\xff" * 8),
        ("WAV", b"RIFF" + bytes(4) + b"WAVE"),
        ("AU", b".snd" + bytes(3)),
    ):
        assert stated_sizes(kind, lambda at, count, data=data: data[at : at + count], len(data)) == {}
