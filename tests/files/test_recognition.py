"""What a file is, told from its first bytes."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from convtool.errors import InputError
from convtool.files import formats
from convtool.files.recognition import HEAD, MATLAB, UNKNOWN, Kind, id3_length, recognise
from convtool.files.source import Source


@pytest.mark.parametrize("format", ["WAV", "WAVEX", "AIFF", "AU", "CAF", "W64", "RF64", "FLAC", "OGG", "MP3"])
def test_formats_are_known_by_their_first_bytes(tmp_path: Path, format: str) -> None:
    soundfile.write(tmp_path / "a", [0.0] * 5000, 44100, format=format)
    kind = recognise((tmp_path / "a").read_bytes()[:HEAD])
    assert kind == Kind({"WAVEX": "WAV"}.get(format, format), "audio")


@pytest.mark.parametrize("format", ["VOC", "NIST", "IRCAM", "PAF", "AVR", "MPC2K", "SVX", "XI", "PVF", "SDS", "WVE"])
def test_the_older_formats_of_libsndfile_too(tmp_path: Path, format: str) -> None:
    subtype = {"XI": "DPCM_16", "WVE": "ALAW"}.get(format, "PCM_16")
    soundfile.write(tmp_path / "a", [0.0, 0.5] * 500, 8000, format=format, subtype=subtype)
    assert recognise((tmp_path / "a").read_bytes()[:HEAD]) == Kind(format, "audio")


def test_opus_is_ogg_and_byte_orders_make_no_difference(tmp_path: Path) -> None:
    for name, options in (
        ("OGG", {"format": "OGG", "subtype": "OPUS"}),
        ("IRCAM", {"format": "IRCAM", "endian": "BIG"}),
        ("IRCAM", {"format": "IRCAM", "endian": "LITTLE"}),
        ("PAF", {"format": "PAF", "endian": "LITTLE"}),
        ("WAV", {"format": "WAV", "endian": "BIG"}),
    ):
        soundfile.write(tmp_path / "a", np.zeros(4800), 48000, **options)
        assert recognise((tmp_path / "a").read_bytes()[:HEAD]).name == name


OGG = b"OggS" + bytes(24)
FRAMES = (b"\xff\xfb\x90\x64" + bytes(413)) * 4  # 128 kbit/s at 44.1 kHz: 417 bytes a frame
LAYER_1 = (b"\xff\xff\x10\x00" + bytes(28)) * 3  # 32 kbit/s at 44.1 kHz: 32 bytes a frame
SLOW = (b"\xff\xf3\x10\x00" + bytes(22)) * 3  # version 2, layer III, 8 kbit/s at 22.05 kHz: 26 bytes a frame


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\x93NUMPY\1\0", "NPY"),
        (b"ID3\3\0\0\0\0\0\0", "MP3"),
        (b"fLaC\0", "FLAC"),
        (b"\xff\xfb\x90\x64\0\0", "MP3"),
        (b"\xff\xf3\x40\xc0\0\0", "MP3"),
        (bytes(300) + b"\xff\xfb\x90\x64\0\0", "MP3"),
        (b"\1\2\3" + FRAMES, "MP3"),
        (b"\1\2\3" + LAYER_1, "MP3"),
        (b"\1\2\3" + SLOW, "MP3"),
        (b"\1\2\3" + FRAMES[:800], UNKNOWN.name),
        (b"\1\xff\xff\xfb\x00\x64\xff\xfa\xff\xeb\x90\x64", UNKNOWN.name),
        (b"RIFX\0\0\0\0", "WAV"),
        (b"dns.\x18\0\0\0", "AU"),
        (b"NIST_1A\n   1024\n", "NIST"),
        (b"Creative Voice File\x1a", "VOC"),
        (b"4,1,2,5\n", "CSV"),
        (b"\xef\xbb\xbfa;b\r\n", "CSV"),
        (b"caf\xe9\n1\n", "CSV"),
        (b"FORM,FORMANT\n1,2\n", "CSV"),
        (b"ID3\n1\n", "CSV"),
        (b"RIFF", "CSV"),
        (b"-", "CSV"),
        (b"\x0c1\n", "CSV"),
        (b"BM,MZ\n1,2\n", "CSV"),
        (b"\0\1\2", UNKNOWN.name),
        (b"\xff\xff\xff\xff", "CSV"),
        (b"\xff\xfb\xf0\x64", "CSV"),
        (b"\xff\xf9\x90\x64", "CSV"),
        (b"\xff\xfb\x90", "CSV"),
        (b"[1, 2]", "JSON"),
        (b"[1] 0.5 0.25", "CSV"),
        (b'\xef\xbb\xbf\n {"version": "0.5"}', "JSON"),
        (OGG + b"\x01vorbis\0", "OGG"),
        (OGG + b"OpusHead\1", "OGG"),
        (b"\x08\x07\x12\x04test", "ONNX"),
        (b"\x40\0\0\0\0\0\0\0{", "safetensors"),
        (b"\x80\2}q\0.", "a pickle stream"),
        (b"\0" * 257 + b"ustar\0", "a tar archive"),
        (b"\0" * 512 + b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"PK\5\6" + bytes(18), "a zip archive"),
    ],
)
def test_told_from_the_first_bytes(head: bytes, name: str) -> None:
    assert recognise(head).name == name


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "a Git LFS pointer, not the file that it stands for: run git",
        ),
        (b"%PDF-1.7", "a PDF document"),
        (b"\x89PNG\r\n\x1a\n\0", "PNG"),
        (b"\xff\xd8\xff\xe0\0", "JPEG"),
        (b"GIF89a\0", "a GIF picture: save it as PNG"),
        (b"\x1f\x8b\x08", "a gzip archive: unpack it first"),
        (b"\x7fELF\0", "a program"),
        ("1,2\n3,4".encode("utf-16"), "UTF-16 text: save it as UTF-8"),
        ("\ufeff1,2".encode("utf-16-be"), "UTF-16 text: save it as UTF-8"),
        (b"\xef\xbb\xbf \r\n<!DOCTYPE html>", "an HTML or XML page: download the file itself"),
        (b"<?xml version='1.0'?>", "an HTML or XML page"),
        (b"\0\0\0\x20ftypM4A \0", "MP4 or QuickTime media (AAC or ALAC audio): ffmpeg -i memo.m4a memo.wav makes"),
        (b"\xff\xf1\x50\x80\2\1", "AAC audio (ADTS): ffmpeg"),
        (b"fLaC" + bytes(16) + b"\x01\x30", "FLAC of 20 bits: ffmpeg -i memo.m4a -c:a pcm_s32le memo.wav makes"),
        (OGG + b"\x7fFLAC\1", "FLAC in Ogg: ffmpeg -i memo.m4a memo.flac takes the FLAC out of it"),
        (OGG + b"Speex   1", "Speex in Ogg: ffmpeg"),
        (OGG + b"fishead\0", "Ogg of another codec: ffmpeg"),
        (b"\x1a\x45\xdf\xa3\1", "Matroska or WebM: ffmpeg"),
        (b"RIFF\0\0\0\0AVI LIST", "AVI video"),
        (b"RIFF\0\0\0\0abcd", "a RIFF file of a type that convtool does not know"),
        (b"FORM\0\0\0\0ILBM", "an IFF file of type 'ILBM', which holds no samples"),
        (b"\x08\x01\x12\x90\x20\n\x0e\x12\5serve", "a TensorFlow SavedModel: tf2onnx makes an ONNX model of it"),
        (b"PAR1\x15\4", "a Parquet table: pandas writes its columns as CSV or NPY"),
        (b"name: 08\0\0\0\nWave;T\n1;2\n3;4\n", "text with bytes of zero in it: tr -d '\\0' < memo.m4a takes them out"),
        (b"\0\1\2", "of no kind that convtool knows: raw numbers are read with"),
    ],
)
def test_what_is_not_read_is_named_with_the_way_out(head: bytes, words: str) -> None:
    kind = recognise(head)
    assert kind.role in ("other", "media", "picture")
    assert kind.refusal("in/memo.m4a").startswith(f"the content is {words}")


def test_the_way_out_of_what_has_no_name() -> None:
    assert "ffmpeg -i FILE FILE.wav" in recognise(b"wvpk\0").refusal()


@given(st.binary(min_size=1, max_size=60))
def test_any_bytes_have_an_answer(head: bytes) -> None:
    kind = recognise(head)
    assert kind.role != "audio" or kind.name in {"NIST", "XI", "PVF", "WVE", "SDS", *formats.AUDIO.values()}


# ID3 tags


def tag(length: int) -> bytes:
    size = bytes(length >> shift & 127 for shift in (21, 14, 7, 0))
    return b"ID3\4\0\0" + size + bytes(length)


@pytest.mark.parametrize("length", [0, 10, 5000, 300_000])
@pytest.mark.parametrize(
    ("content", "name"),
    [(b"fLaC\0\0", "FLAC"), (b"RIFF\0\0\0\0WAVE\0", "WAV"), (b"\xff\xfb\x90\x64\0\0", "MP3"), (b"", "MP3")],
)
def test_what_follows_an_id3_tag_decides(length: int, content: bytes, name: str, tmp_path: Path) -> None:
    (tmp_path / "a.mp3").write_bytes(tag(length) + content)
    source = Source.of_path(str(tmp_path / "a.mp3"))
    assert source.kind.name == name
    assert recognise(tag(length)[:HEAD]).name == "MP3"
    source.close()


def test_a_tag_behind_a_tag(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(tag(20) + tag(30) + b"fLaC\0\0")
    source = Source.of_path(str(tmp_path / "a"))
    assert source.kind.name == "FLAC"
    source.close()


def test_lengths_of_tags() -> None:
    assert id3_length(tag(300)[:10]) == 310
    assert id3_length(b"ID3\4\0\x10\0\0\0\1") == 21
    assert id3_length(b"ID3\4\0\0\x80\0\0\0") == id3_length(b"ID3") == id3_length(b"RIFF......") == 0


# MATLAB files


def test_matlab_files_of_every_level() -> None:
    import scipy.io

    assert recognise(b"MATLAB 5.0 MAT-file, Platform" + bytes(200)) is MATLAB
    import io

    for values in (np.zeros((3, 2)), np.arange(4, dtype=np.int16)):
        file = io.BytesIO()
        scipy.io.savemat(file, {"h": values}, format="4")
        assert recognise(file.getvalue()) is MATLAB
    assert recognise(np.array([0.0, 1.0, 0.5]).tobytes()) is UNKNOWN
    fields = b"".join(number.to_bytes(4, "little") for number in (0, 1, 1, 0, 3))
    assert recognise(fields + b"1x\0" + bytes(8)) is UNKNOWN


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with closing(Source.of_path(str(tmp_path / "a"))) as source, pytest.raises(InputError, match="the file is empty"):
        _ = source.kind
