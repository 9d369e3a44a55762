"""Every format and subtype that libsndfile writes, and what can't be kept in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from convtool.errors import OutputError
from convtool.signals.audio.limits import MOST_CHANNELS, MOST_CHANNELS_ENCODED
from convtool.signals.opening import Output, WriteOptions
from convtool.signals.signal import Signal
from convtool.signals.wav import writer as wav
from tests.helpers.audio_formats import CHANNELS, kept, measured


def test_what_is_written_is_given_back_or_told() -> None:
    found = measured()
    assert {format for format, _ in found} >= {"WAV", "FLAC", "OGG", "AIFF", "CAF", "AU", "W64", "VOC", "SVX"}
    for kind, results in found.items():
        for (what, count), result in results.items():
            if result is not None:
                assert result.channels == (count if what == "channels" else 1), kind
                assert result.rate == (count if what == "rate" else 8000), kind
                assert result.samples == (count if what == "samples" else 300) or result.told, kind


def test_the_channels_that_are_refused_are_those_that_no_file_holds() -> None:
    for (format, subtype), results in measured().items():
        most = MOST_CHANNELS.get(format) or MOST_CHANNELS_ENCODED.get(subtype, 1024)
        held = [count for (what, count), result in results.items() if what == "channels" and result is not None]
        assert held == [count for count in CHANNELS if count <= most], (format, subtype)


@pytest.mark.parametrize(
    ("name", "subtype", "signal", "error"),
    [
        ("a.svx", "PCM_16", {"sample_rate": 65_536}, "SVX holds sample rates up to 65535 Hz; the result has 65536"),
        ("a.mpc", "PCM_16", {"sample_rate": 96_000}, "MPC2K holds sample rates up to 65535 Hz; the result has 96000"),
        ("a.ogg", "VORBIS", {"sample_rate": 200_001}, "OGG holds sample rates up to 200000 Hz; the result has 200001"),
        ("a.ogg", "VORBIS", {"channels": 256}, "OGG/VORBIS holds up to 255 channels; the result has 256"),
        ("a.opus", "OPUS", {"channels": 129}, "OGG/OPUS holds up to 128 channels; the result has 129"),
        ("a.caf", "ALAC_16", {"channels": 9}, "CAF/ALAC_16 holds up to 8 channels; the result has 9"),
        ("a.flac", None, {"channels": 32}, "FLAC holds up to 8 channels; the result has 32: write .wav in PCM"),
        ("a.mp3", None, {"channels": 3}, "MP3 holds up to 2 channels; the result has 3"),
        ("a.wav", "MS_ADPCM", {"channels": 3}, "WAV/MS_ADPCM holds up to 2 channels; the result has 3"),
        ("a.wav", "GSM610", {"channels": 2, "sample_rate": 8000}, "WAV/GSM610 holds up to 1 channel; the result has 2"),
        ("a.voc", "PCM_U8", {"sample_rate": 44_100}, "VOC/PCM_U8 would say 45454 Hz instead of 44100"),
        ("a.voc", "PCM_U8", {"sample_rate": 44_100, "channels": 2}, "VOC/PCM_U8 would say 44107 Hz instead of 44100"),
    ],
)
def test_what_would_come_back_otherwise_is_refused(
    name: str, subtype: str, signal: dict[str, int], error: str, tmp_path: Path
) -> None:
    described = Signal("NPY", dtype="float64", **{"channels": 1, "sample_rate": 48_000} | signal)
    with pytest.raises(OutputError, match=error):
        Output(str(tmp_path / name), described, WriteOptions(subtype=subtype))
    assert not list(tmp_path.iterdir())


def test_a_paf_of_a_few_samples_is_refused(tmp_path: Path) -> None:
    assert kept(tmp_path / "a.paf", "PCM_24", samples=10) is None
    assert kept(tmp_path / "a.paf", "PCM_24", samples=11) is not None


@pytest.mark.parametrize(("name", "told"), [("a.wav", True), ("a.rf64", False)])
def test_a_wav_that_becomes_rf64_is_told(
    name: str, told: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wav, "_MOST_BYTES", 1000)
    for samples, long in ((100, False), (600, True)):
        path = tmp_path / name
        output = Output(str(path), Signal("NPY", 1, "float64", 8000), WriteOptions(subtype="PCM_16", overwrite=True))
        output.write(output.encode(np.zeros((1, samples))))
        output.commit()
        notes = ["with more than 4 GiB it is RF64, which not every program reads; --format w64 and caf hold as much"]
        assert list(output.writer.notes) == notes * (long and told)
        assert path.read_bytes()[:4] == (b"RF64" if long else b"RIFF")
        assert len(soundfile.read(path)[0]) == samples
