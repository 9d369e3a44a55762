"""All comments of Ogg files, read and written, in pages that their checksums hold of."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from convtool.signals.audio import ogg_comments, writer
from convtool.signals.audio.ogg_comments import ToldOgg, read_comments, with_comments
from convtool.signals.comments import comments_block
from tests.signals.test_metadata import recording, tags_of
from tests.signals.test_metadata import with_comments as with_flac_comments

Convtool = Callable[..., Any]
SAID = (("ARTIST", "Ann"), ("artist", "Bö"), ("composer", "Cy"), ("custom", "x" * 600), ("TITLE", "a\nb"))


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def comments_of(data: bytes) -> Any:
    return read_comments(lambda at, count: data[at : at + count])


def without_encoder(path: str) -> Any:
    return tuple(each for each in comments_of(Path(path).read_bytes()) if each[0] != "ENCODER")


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
@pytest.mark.parametrize("channels", [1, 2])
def test_all_comments_go_on(convtool: Convtool, subtype: str, channels: int) -> None:
    soundfile.write("a.flac", np.random.default_rng(0).uniform(-0.1, 0.1, (30_000, channels)), 48000)
    with_flac_comments("a.flac", *SAID, ("replaygain_track_gain", "-3"))
    options = ("-k", "1", "--subtype", subtype, "-o")
    assert convtool("convolve", "a.flac", *options, "b.ogg").err == ""
    assert without_encoder("b.ogg") == SAID
    assert convtool("convolve", "a.flac", *options, "bare.ogg", "--no-metadata").err == ""
    assert without_encoder("bare.ogg") == ()
    assert np.array_equal(soundfile.read("b.ogg")[0], soundfile.read("bare.ogg")[0])
    run = convtool("convolve", "b.ogg", *options, "c.ogg", "-v")
    assert ("which tell of the input's samples" in run.err) == (subtype == "VORBIS")
    assert without_encoder("c.ogg") == SAID
    assert convtool("convolve", "c.ogg", "-k", "1", "-o", "d.flac").err == ""
    assert tags_of("d.flac")["title"] == "a\nb"


@pytest.mark.parametrize(
    ("comments", "kept", "told"),
    [
        ((*SAID, ("METADATA_BLOCK_PICTURE", "x" * 2000)), SAID, "METADATA_BLOCK_PICTURE"),
        ((*SAID, ("own", "x" * 2000)), (("ARTIST", "Ann"), ("TITLE", "a\nb")), "comments"),
        ((*SAID, ("METADATA_BLOCK_PICTURE", ""), ("own", "x" * 2000)), (("ARTIST", "Ann"),), "comments"),
    ],
)
def test_what_is_too_long_for_a_page_is_told(
    convtool: Convtool, monkeypatch: pytest.MonkeyPatch, comments: Any, kept: Any, told: str
) -> None:
    monkeypatch.setattr(writer, "MOST_BYTES", 1000)
    recording("a.flac", {})
    with_flac_comments("a.flac", *comments)
    run = convtool("convolve", "a.flac", "-k", "1", "-o", "b.ogg", "-v")
    assert f"a.flac: not kept: {told}: OGG has no place for it\n" in run.err
    assert set(kept) <= set(without_encoder("b.ogg"))
    assert ("own", "x" * 2000) not in comments_of(Path("b.ogg").read_bytes())


def test_a_page_without_room_is_told(convtool: Convtool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ogg_comments, "with_comments", lambda *_: None)
    recording("a.flac", {"title": "a"})
    run = convtool("convolve", "a.flac", "-k", "1", "-o", "b.ogg")
    assert run.err == "Warning: a.flac: left out: comments: the page that holds them has no room\n"
    assert soundfile.info("b.ogg").frames == 6


HEADER = b"OggS\0\0" + bytes(20) + b"\0"
PACKET = b"OpusTags" + comments_block("v", (("A", "b"),))


@pytest.mark.parametrize(
    ("lacing", "content"),
    [
        (bytes([len(PACKET)]), b"x" + PACKET[1:]),
        (b"\xff", PACKET.ljust(255, b"\0")),
        (bytes([len(PACKET)]) + bytes(253), PACKET),
    ],
)
def test_pages_that_take_no_comments(lacing: bytes, content: bytes) -> None:
    assert with_comments(HEADER, lacing, content, (("C", "d" * 600),)) is None


def test_a_packet_that_goes_on_from_the_page_before() -> None:
    header = HEADER[:5] + b"\1" + HEADER[6:]
    assert with_comments(header, bytes([len(PACKET)]), PACKET, ()) is None


def page(lacing: bytes, content: bytes, serial: bytes = b"abcd") -> bytes:
    return b"OggS\0\0" + bytes(8) + serial + bytes(8) + bytes([len(lacing)]) + lacing + content


def test_comments_over_several_pages_and_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    packet = b"OpusTags" + comments_block("v", (("A", "b" * 600),))
    rest = packet[510:]
    first = page(b"\4", b"head")
    other = page(b"\1", b"x", b"efgh")
    data = first + other + page(b"\xff\xff", packet[:510]) + other + page(bytes([len(rest), 1]), rest + b"y")
    assert comments_of(data) == (("A", "b" * 600),)
    assert comments_of(data[: len(first + other) + 540]) == ()
    assert comments_of(b"") == ()
    monkeypatch.setattr(ogg_comments, "_MOST_READ", 100)
    assert comments_of(data) == ()
    monkeypatch.setattr(ogg_comments, "_MOST_PAGES", 2)
    assert comments_of(data) == ()


def test_a_file_of_one_page_is_written_as_it_is(tmp_path: Path) -> None:
    with (tmp_path / "a").open("w+b") as file:
        told = ToldOgg(file.fileno(), SAID)
        data = page(b"\4", b"head")
        assert told.write(data[:9]) + told.write(data[9:]) == len(data)
        assert os.fstat(file.fileno()).st_size == 0
        told.finish()
        assert not told.fits
        assert file.read() == data
