"""N samples stay N in every format and encoding that libsndfile writes, or it is said what becomes of them."""

from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import soundfile

from convtool.files.source import Source
from convtool.signals.audio.reader import AudioReader
from convtool.signals.audio.writer import AudioWriter
from convtool.signals.signal import Signal

PADDED = {("AIFF", "IMA_ADPCM"), ("AU", "G721_32"), ("AU", "G723_24"), ("AU", "G723_40"), ("PAF", "PCM_24")}
UNWRITTEN = {"RAW", "SD2", "XI", "SDS"}  # SD2 leaves a file `._` in the working folder
LONGER = {("PAF", "PCM_24")}
"""libsndfile reads nothing of a file that does not fill a block."""


def kinds() -> list[tuple[str, str, int]]:
    """Every format, encoding and number of channels that libsndfile writes."""
    found = []
    for format in sorted(set(soundfile.available_formats()) - UNWRITTEN):
        for subtype in sorted(soundfile.available_subtypes(format)):
            for channels in (1, 2):
                with suppress(soundfile.LibsndfileError, AssertionError):
                    noise = np.zeros((100, channels))
                    soundfile.write(io.BytesIO(), noise, 8000, format=format, subtype=subtype)
                    found.append((format, subtype, channels))
    return found


def write(path: Path, format: str, subtype: str, channels: int, count: int) -> list[str]:
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, (channels, count)).astype(np.float32)
    with path.open("w+b", buffering=0) as file:
        writer = AudioWriter(file, Signal(format, channels, "float32", 8000), format, subtype)
        writer.write(writer.encode(noise))
        writer.close()
        return list(writer.notes)


def count_of(path: Path, format: str) -> tuple[int, int | None]:
    with AudioReader(Source.of_path(str(path)), format) as reader:
        return sum(block.shape[1] for block in reader.blocks(700)), reader.signal.frames


@pytest.mark.parametrize(("format", "subtype", "channels"), kinds())
def test_samples_stay_as_many(format: str, subtype: str, channels: int, tmp_path: Path) -> None:
    path = tmp_path / "a"
    for count in (1000, 1001, 4999) if (format, subtype) in LONGER else (2, 1000, 1001, 4999):
        notes = write(path, format, subtype, channels, count)
        back, _ = count_of(path, format)
        if (format, subtype) in PADDED and back != count:
            assert back > count
            assert notes == [notes[0]]
            assert notes[0].endswith(f"samples: {count} samples became {back}")
        else:
            assert (back, notes) == (count, [])


@pytest.mark.parametrize(
    ("format", "subtype"), [("AIFF", "PCM_S8"), ("AIFF", "ULAW"), ("VOC", "ALAW"), ("WAV", "MS_ADPCM")]
)
def test_files_that_others_wrote(format: str, subtype: str, tmp_path: Path) -> None:
    """libsndfile's own files have the wrong number in AIFF and VOC; that of the whole file says otherwise in VOC."""
    soundfile.write(tmp_path / "a", np.zeros(1001), 8000, format=format, subtype=subtype)
    back, frames = count_of(tmp_path / "a", format)
    assert back == frames == (1002 if format == "AIFF" else 1001)


def test_what_the_bytes_of_a_corrected_file_say(tmp_path: Path) -> None:
    write(tmp_path / "a", "AIFF", "PCM_S8", 1, 1001)
    data = (tmp_path / "a").read_bytes()
    common, sound = data.index(b"COMM"), data.index(b"SSND")
    assert int.from_bytes(data[common + 10 : common + 14], "big") == 1001
    assert int.from_bytes(data[sound + 4 : sound + 8], "big") == 8 + 1001
    assert len(data) % 2 == 0
    write(tmp_path / "a", "VOC", "ULAW", 1, 1000)
    data = (tmp_path / "a").read_bytes()
    assert int.from_bytes(data[27:30], "little") == 12 + 1000
    assert data[30 + 12 + 1000 :] == b"\0"


def test_headers_without_a_place_for_the_number(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a", np.zeros(500), 8000, format="WAV", subtype="MS_ADPCM")
    data = (tmp_path / "a").read_bytes()
    (tmp_path / "a").write_bytes(data.replace(b"fact", b"none"))
    assert count_of(tmp_path / "a", "WAV")[0] == 500


def test_a_size_that_was_left_open_is_nothing_missing(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a", np.zeros(500), 8000, format="WAV", subtype="ULAW")
    data = (tmp_path / "a").read_bytes()
    at = data.index(b"data") + 4
    (tmp_path / "a").write_bytes(data[:at] + b"\xff" * 4 + data[at + 4 :])
    with AudioReader(Source.of_path(str(tmp_path / "a")), "WAV") as reader:
        assert sum(block.shape[1] for block in reader.blocks()) == 500
        assert reader.notes == []
