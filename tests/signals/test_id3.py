"""ID3 tags taken apart and put together, and from MP3 and WAV files into others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from convtool.signals.audio import opening
from convtool.signals.id3 import Id3, id3_of, parse_id3
from convtool.signals.metadata import Metadata
from tests.signals.test_metadata import blocks_of, chunks_of, recording, tags_of, wav, with_comments

Convtool = Callable[..., Any]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def frame(name: str, content: bytes, version: int = 4, flags: bytes = b"\0\0") -> bytes:
    size = len(content)
    sevens = bytes(size >> shift & 127 for shift in (21, 14, 7, 0))
    return name.encode() + (sevens if version == 4 else size.to_bytes(4, "big")) + flags + content


def tag(*frames: bytes, version: int = 4, flags: int = 0, padding: int = 0) -> bytes:
    body = b"".join(frames) + bytes(padding)
    return b"ID3" + bytes([version, 0, flags]) + frame("", body)[:4] + body


def parsed(data: bytes) -> Id3:
    found = parse_id3(data)
    assert found is not None
    return found


KEPT = (
    frame("TIT2", b"\3T\xc3\xa4ke"),
    frame("TPE1", b"\0Ann\0B\xf6\0"),
    frame("TPE2", b"\1" + "Cy".encode("utf-16") + b"\0\0"),
    frame("COMM", b"\1eng" + "about".encode("utf-16") + b"\0\0" + "so".encode("utf-16")),
    frame("TXXX", b"\2" + "own name\0text".encode("utf-16-be")),
    frame("APIC", b"\0image/png\0\3\0picture"),
    frame("TXXX", b"\3t\xc3\xa4g\0text"),
    frame("TCOM", b"\3packed", flags=b"\0\x08"),
    frame("TPE3", b"\7Cy"),
    frame("TPE4", b""),
    frame("COMM", b"\0eng"),
)
COMMENTS = (
    ("TITLE", "Täke"),
    ("ARTIST", "Ann"),
    ("ARTIST", "Bö"),
    ("ALBUMARTIST", "Cy"),
    ("COMMENT", "so"),
    ("own name", "text"),
)
UNTRUE = (
    frame("TXXX", b"\3replaygain_track_gain\0-3 dB"),
    frame("COMM", b"\0engiTunNORM\0 0000"),
    frame("RVA2", b"x"),
    frame("TSSE", b"\3LAME"),
    frame("RVA2", b"y"),
)


@pytest.mark.parametrize("padding", [0, 5, 300])
def test_frames_that_tell_of_the_samples_go(padding: int) -> None:
    found = parsed(tag(*UNTRUE, *KEPT, padding=padding) + b"\xff\xfb")
    assert found.comments == COMMENTS
    assert found.as_bytes() == tag(*KEPT)
    assert found.untrue == ("replaygain_track_gain", "iTunNORM", "RVA2", "TSSE")
    assert found.other_names == ("APIC", "TXXX", "TCOM", "CONDUCTOR", "REMIXER", "COMMENT")


def test_a_long_frame_of_each_version() -> None:
    for version in (3, 4):
        data = tag(frame("TIT2", b"\0" + b"a" * 300, version), frame("TALB", b"\0b", version), version=version)
        assert parsed(data).comments == (("TITLE", "a" * 300), ("ALBUM", "b"))
        assert parsed(data).as_bytes() == data


@pytest.mark.parametrize(
    "data",
    [
        tag(version=2),
        tag(*KEPT, flags=0x80),
        tag(frame("TIT2", b"\0abc")[:-1]),
        tag(frame("tit2", b"\0abc")),
        tag(b"TIT2\0\0\0\x81\0\0" + bytes(200)),
    ],
)
def test_what_is_not_taken_apart_stays_as_it_is(data: bytes) -> None:
    assert parse_id3(data) is None
    assert Metadata().with_id3(data + b"more") == Metadata(id3=data)


@pytest.mark.parametrize("data", [b"garbage!", b"TAG" + bytes(99), tag(*KEPT)[:-1], tag(*KEPT)[:10]])
def test_what_is_no_whole_tag_is_left_out_and_told(data: bytes) -> None:
    assert parse_id3(data) is None
    assert Metadata().with_id3(data) == Metadata(passed_over=("id3",))
    assert Metadata().with_id3(b"") == Metadata()


def test_a_tag_has_one_frame_of_a_kind() -> None:
    data = id3_of((("COMMENT", "a"), ("DESCRIPTION", "b"), ("DATE", "1999"), ("YEAR", "1998")))
    assert [data.count(name) for name in (b"COMM", b"TDRC", b"TXXX")] == [1, 1, 2]
    assert sorted(parsed(data).comments) == [("COMMENT", "a"), ("DATE", "1999"), ("DESCRIPTION", "b"), ("YEAR", "1998")]


def test_a_tag_made_of_comments() -> None:
    said = (("title", "Täke"), ("ARTIST", "Ann"), ("ARTIST", "Bö"), ("Comment", "a\nb"), ("own", "x"), ("Own", "y"))
    assert parsed(id3_of(said)).comments == (
        ("TITLE", "Täke"),
        ("ARTIST", "Ann"),
        ("ARTIST", "Bö"),
        ("COMMENT", "a\nb"),
        ("own", "x"),
        ("Own", "y"),
    )
    assert id3_of(()) == b""


def mp3(path: str, data: bytes) -> None:
    recording(path, {})
    Path(path).write_bytes(data + Path(path).read_bytes())


def head_of(path: str) -> bytes:
    data = Path(path).read_bytes()
    return data[: data.index(b"\xff\xfb")]


def test_from_mp3_into_others(convtool: Convtool) -> None:
    mp3("a.mp3", tag(*UNTRUE, *KEPT))
    run = convtool("convolve", "a.mp3", "-k", "1", "-o", "b.mp3", "-v")
    assert (
        "a.mp3: not kept: replaygain_track_gain, iTunNORM, RVA2, TSSE, which tell of the input's samples\n" in run.err
    )
    assert head_of("b.mp3") == tag(*KEPT)
    assert convtool("convolve", "a.mp3", "-k", "1", "-o", "bare.mp3", "--no-metadata").code == 0
    assert head_of("bare.mp3") == b""
    assert Path("b.mp3").read_bytes() == tag(*KEPT) + Path("bare.mp3").read_bytes()
    assert np.array_equal(soundfile.read("b.mp3")[0], soundfile.read("bare.mp3")[0])
    run = convtool("convolve", "b.mp3", "-k", "1", "-o", "c.flac", "-v")
    assert "b.mp3: not kept: APIC, TXXX, TCOM, CONDUCTOR, REMIXER, COMMENT: FLAC has no place for it\n" in run.err
    assert b"own name=text" in blocks_of("c.flac")[1][1]
    assert convtool("convolve", "b.mp3", "-k", "1", "-o", "d.wav").err == ""
    assert dict(chunks_of("d.wav"))["id3 "] == tag(*KEPT)
    run = convtool("convolve", "d.wav", "-k", "1", "-o", "e.mp3", "-v")
    assert "not kept" not in run.err
    assert head_of("e.mp3") == tag(*KEPT)
    run = convtool("convolve", "d.wav", "-k", "1", "-o", "f.caf", "-v")
    assert "d.wav: not kept: ARTIST, ALBUMARTIST, own name, APIC, TXXX" in run.err


def test_a_tag_of_another_version_goes_into_mp3_as_it_is(convtool: Convtool) -> None:
    old = tag(b"TT2\0\0\4\0abc", version=2)
    mp3("a.mp3", old)
    assert convtool("convolve", "a.mp3", "-k", "1", "-o", "b.mp3").err == ""
    assert head_of("b.mp3") == old
    assert "a.mp3: not kept: id3, title: W64" in convtool("convolve", "a.mp3", "-k", "1", "-o", "b.w64", "-v").err


def test_a_tag_that_is_very_long_is_left_out(convtool: Convtool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_MOST_ID3", 50)
    mp3("a.mp3", tag(*KEPT))
    run = convtool("convolve", "a.mp3", "-k", "1", "-o", "b.mp3")
    assert run.err == f"Warning: a.mp3: its ID3 tag is not kept: it has {len(tag(*KEPT))} bytes\n"
    assert tags_of("b.mp3") == {"title": "Täke", "artist": "Ann", "comment": "so"}


def test_comments_of_flac_into_mp3(convtool: Convtool) -> None:
    recording("a.flac", {})
    with_comments("a.flac", *COMMENTS)
    assert convtool("convolve", "a.flac", "-k", "1", "-o", "b.mp3").err == ""
    assert parsed(head_of("b.mp3")).comments == COMMENTS


def test_a_chunk_of_a_wav_beside_its_list(convtool: Convtool) -> None:
    wav("a.wav", {"LIST": b"INFOINAM\2\0\0\0A\0", "ID3 ": tag(*KEPT, *UNTRUE)})
    assert convtool("convolve", "a.wav", "-k", "1", "-o", "b.wav").err == ""
    assert chunks_of("b.wav") == [("LIST", b"INFOINAM\2\0\0\0A\0"), ("id3 ", tag(*KEPT))]
    assert convtool("convolve", "a.wav", "-k", "1", "-o", "c.caf").err == ""
    assert tags_of("c.caf") == {"title": "A", "artist": "Ann", "comment": "so"}
