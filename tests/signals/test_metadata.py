"""What files say of themselves, from the input into the output: tags, chunks of WAV files, pictures of FLAC files."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from convtool.signals.audio import flac_blocks
from convtool.signals.comments import comments_block, parse_comments
from convtool.signals.metadata import TAGS, Metadata, chunk_bytes
from convtool.signals.wav.chunks import read_layout, read_told
from convtool.signals.wav.writer import append_chunks

Convtool = Callable[..., Any]
RATE = 48000
SAMPLES = [0.5, -0.25, 0.125, 0, 0.5, 0.25]
SAID = {
    "title": "Täke 1",
    "artist": "Ann",
    "album": "Röom",
    "date": "2024-05-01",
    "tracknumber": "3",
    "genre": "Speech",
    "comment": "two\nlines",
    "copyright": "(c) Ann",
    "license": "CC0",
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def recording(path: str, tags: dict[str, str] = SAID, **options: Any) -> None:
    with soundfile.SoundFile(path, "w", RATE, 1, **options) as file:
        for name, text in tags.items():
            setattr(file, name, text)
        file.write(np.array(SAMPLES))


def tags_of(path: str) -> dict[str, str]:
    with soundfile.SoundFile(path) as file:
        return {name: text for name in TAGS if (text := getattr(file, name))}


def wav(path: str, before: dict[str, bytes] | None = None, behind: dict[str, bytes] | None = None) -> None:
    """A WAV with chunks before and behind its samples."""
    told = [
        b"".join(chunk_bytes(name.encode(), data) for name, data in (each or {}).items()) for each in (before, behind)
    ]
    samples = (np.array(SAMPLES) * (1 << 15)).astype("<i2").tobytes()
    fmt = chunk_bytes(b"fmt ", struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16))
    body = b"WAVE" + fmt + told[0] + chunk_bytes(b"data", samples) + told[1]
    Path(path).write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)


def chunks_of(path: str) -> list[tuple[str, bytes]]:
    data = Path(path).read_bytes()
    layout = read_layout(lambda at, count: data[at : at + count], 0, len(data))
    assert layout is not None
    return list(layout.kept)


BEXT = bytearray(b"a scene".ljust(602, b"\0"))
LATE = bytearray(BEXT)
LATE[338:346] = (3600 * RATE).to_bytes(8, "little")
CUE = struct.pack("<IIIIIII", 1, 1, 2, int.from_bytes(b"data", "little"), 0, 0, 2)
LABEL = b"adtl" + chunk_bytes(b"labl", struct.pack("<I", 1) + b"here\0")
INFO = b"INFO" + chunk_bytes(b"INAM", b"Take 1\0") + chunk_bytes(b"IENG", b"Bo\0")
IXML = b"<BWFXML><SCENE>4</SCENE></BWFXML>"
TIMED_IXML = b"<BWFXML><SPEED><FILE_SAMPLE_RATE>48000</FILE_SAMPLE_RATE></SPEED></BWFXML>"


@pytest.mark.parametrize(
    ("format", "subtype", "lacks"),
    [
        ("FLAC", "PCM_16", set()),
        ("OGG", "VORBIS", set()),
        ("OGG", "OPUS", set()),
        ("CAF", "PCM_16", set()),
        ("WAV", "PCM_16", {"license"}),
        ("WAV", "ULAW", {"license"}),
        ("RF64", "FLOAT", {"license"}),
        ("AIFF", "PCM_16", {"album", "date", "tracknumber", "genre", "license"}),
        ("W64", "PCM_16", set(SAID)),
    ],
)
def test_tags_from_one_format_into_another(convtool: Convtool, format: str, subtype: str, lacks: set[str]) -> None:
    ext = format.lower()
    recording("all.flac")
    run = convtool("convolve", "all.flac", "-k", "1", "-o", f"out.{ext}", "--subtype", subtype)
    assert (run.code, run.err) == (0, "")
    assert tags_of(f"out.{ext}") == {name: text for name, text in SAID.items() if name not in lacks}
    assert convtool("convolve", f"out.{ext}", "-k", "1", "-o", "back.flac").code == 0
    assert tags_of("back.flac") == tags_of(f"out.{ext}")
    assert convtool("convolve", "all.flac", "-k", "1", "-o", f"none.{ext}", "--no-metadata").code == 0
    assert tags_of(f"none.{ext}") == {}


def test_tags_that_an_encoder_would_damage_are_left_out_and_told(convtool: Convtool) -> None:
    recording("a.flac", {"title": "Täke", "artist": "Ann", "copyright": "© Ann"})
    run = convtool("convolve", "a.flac", "-k", "1", "-o", "out.mp3")
    assert run.err == ""
    assert tags_of("out.mp3") == {"title": "Täke", "artist": "Ann", "copyright": "© Ann"}
    assert convtool("rescale", "out.mp3", "--range", "0:1", "--method", "clip", "-o", "back.flac").code == 0
    assert tags_of("back.flac") == tags_of("out.mp3")
    run = convtool("convolve", "a.flac", "-k", "1", "-o", "out.aiff")
    assert run.err == "Warning: a.flac: left out: copyright, which AIFF would hold damaged\n"
    assert tags_of("out.aiff") == {"title": "Täke", "artist": "Ann"}


@pytest.mark.parametrize("behind", [False, True])
def test_chunks_go_on_as_they_are(convtool: Convtool, behind: bool) -> None:
    chunks = {"bext": bytes(LATE), "iXML": TIMED_IXML, "cue ": CUE, "smpl": bytes(36), "LIST": LABEL, "junk": b"x"}
    wav("a.wav", None if behind else chunks, chunks if behind else None)
    run = convtool("convolve", "a.wav", "-k", "0.5,0.25", "--mode", "same", "-o", "out.wav")
    assert (run.code, run.err) == (0, "")
    assert chunks_of("out.wav") == [(name, data) for name, data in chunks.items() if name != "junk"]
    assert soundfile.read("out.wav")[0].tolist() == np.convolve(SAMPLES, [0.5, 0.25])[:6].round(15).tolist()
    assert convtool("rescale", "out.wav", "--range", "0:1", "-o", "bare.wav", "--no-metadata").code == 0
    assert chunks_of("bare.wav") == []


@pytest.mark.parametrize(
    "work",
    [
        ["convolve", "-k", "1,1"],
        ["convolve", "-k", "1", "--stride", "2"],
        ["convolve", "-k", "1,1", "--mode", "valid"],
        ["local-var", "-w", "2"],
        ["local-var", "-w", "1", "--stride", "2"],
    ],
)
def test_positions_that_the_work_has_moved_are_left_out_and_told(convtool: Convtool, work: list[str]) -> None:
    wav(
        "a.wav",
        {"bext": bytes(LATE), "iXML": TIMED_IXML, "LIST": INFO},
        {"cue ": CUE, "smpl": bytes(36), "LIST": LABEL},
    )
    run = convtool(work[0], "a.wav", *work[1:], "-o", "out.wav")
    told = "left out: bext, iXML, cue, smpl, LIST: the positions in samples that they give no longer hold"
    assert (run.code, run.err) == (0, f"Warning: a.wav: {told}\n")
    assert chunks_of("out.wav") == [("LIST", INFO)]
    assert convtool(work[0], "a.wav", *work[1:], "-o", "out.flac").err == ""
    assert tags_of("out.flac") == {"title": "Take 1"}
    assert convtool(work[0], "a.wav", *work[1:], "-o", "bare.wav", "--no-metadata").err == ""


def test_what_counts_no_samples_stays(convtool: Convtool) -> None:
    chunks = {"bext": bytes(BEXT), "iXML": IXML, "LIST": INFO}
    wav("a.wav", chunks)
    assert convtool("convolve", "a.wav", "-k", "1,1", "-o", "out.wav").err == ""
    assert chunks_of("out.wav") == list(chunks.items())


def test_chunks_through_pipes(convtool: Convtool) -> None:
    wav("a.wav", {"bext": bytes(BEXT), "LIST": INFO}, {"iXML": IXML})
    run = convtool("convolve", "-k", "1", "-o", "-", "--format", "wav", stdin=Path("a.wav").read_bytes())
    Path("out.wav").write_bytes(run.raw)
    assert chunks_of("out.wav") == [("bext", bytes(BEXT)), ("LIST", INFO)]
    assert soundfile.read("out.wav")[0].tolist() == SAMPLES


def test_a_chunk_that_is_very_long_is_left_out_and_told(convtool: Convtool) -> None:
    wav("a.wav", {"iXML": bytes((1 << 20) + 1), "bext": bytes(BEXT)})
    run = convtool("convolve", "a.wav", "-k", "1", "-o", "out.wav")
    assert run.err == "Warning: a.wav: chunk iXML is not kept: it has 1048577 bytes\n"
    assert chunks_of("out.wav") == [("bext", bytes(BEXT))]


def test_bytes_that_look_like_the_header_in_a_chunk_stay(convtool: Convtool) -> None:
    trap = b"fact\4\0\0\0\xff\xff\xff\xff" + chunk_bytes(b"JUNK", bytes(28))
    wav("a.wav", {"bext": trap})
    assert convtool("convolve", "a.wav", "-k", "1", "-o", "out.wav", "--subtype", "FLOAT").code == 0
    assert chunks_of("out.wav") == [("bext", trap)]


@pytest.mark.parametrize(
    ("info", "tags"),
    [
        (b"INFO" + chunk_bytes(b"INAM", b"odd") + chunk_bytes(b"IART", "Ä".encode()), {"title": "odd", "artist": "Ä"}),
        (b"INFO" + chunk_bytes(b"INAM", b"\xc4 la carte\0\0 rest"), {"title": "Ä la carte"}),
        (b"INFO" + chunk_bytes(b"IPRT", b"7") + chunk_bytes(b"ISFT", b"a program"), {"tracknumber": "7"}),
        (b"INFO" + chunk_bytes(b"INAM", b"one") + chunk_bytes(b"INAM", b"two"), {"title": "two"}),
        (b"INFO" + chunk_bytes(b"INAM", b"\0"), {}),
        (b"INFOINAM\xff\xff\xff\xffcut", {"title": "cut"}),
        (b"INFOINA", {}),
        (b"adtl" + chunk_bytes(b"INAM", b"no"), {}),
        (b"", {}),
    ],
)
def test_tags_of_a_list(info: bytes, tags: dict[str, str]) -> None:
    assert dict(Metadata.of_chunks((("LIST", info),)).tags) == tags


def test_a_list_of_tags_is_written_where_there_is_none() -> None:
    tags = (("title", "A"), ("tracknumber", "12"), ("license", "CC0"))
    made = b"INFO" + chunk_bytes(b"INAM", b"A\0") + chunk_bytes(b"ITRK", b"12\0")
    assert Metadata(tags, (("LIST", LABEL),)).as_chunks() == (("LIST", LABEL), ("LIST", made))
    assert Metadata(tags, (("LIST", INFO),)).as_chunks() == (("LIST", INFO),)
    assert Metadata((("license", "CC0"),)).as_chunks() == ()


def test_a_batch_holds_nothing_of_it(convtool: Convtool) -> None:
    recording("a.flac")
    assert convtool("pad-batch", "a.flac", "-o", "b.npz").code == 0
    assert convtool("unpad-batch", "b.npz", "-o", "out/").code == 0
    assert tags_of("out/a.flac") == {}


def test_loudspeakers_are_left_out_with_the_rest(convtool: Convtool) -> None:
    recording_of_six = np.zeros((4, 6))
    soundfile.write("a.wav", recording_of_six, RATE, format="WAVEX")
    assert convtool("convolve", "a.wav", "-k", "1", "-o", "kept.wav").code == 0
    assert convtool("convolve", "a.wav", "-k", "1", "-o", "bare.wav", "--no-metadata").code == 0
    masks = []
    for path in ("kept.wav", "bare.wav"):
        data = Path(path).read_bytes()
        layout = read_layout(lambda at, count, data=data: data[at : at + count], 0, len(data))  # type: ignore[misc]
        assert layout is not None
        masks.append((layout.format, layout.samples.channel_mask))
    assert masks == [("WAVEX", 0x3F), ("WAV", 0)]


def told(path: str) -> tuple[list[tuple[str, bytes]], int]:
    """The chunks and the channel mask of a WAV, whoever reads its samples; its size must be that which it declares."""
    data = Path(path).read_bytes()
    at, width = (4, 4) if data.startswith(b"RIFF") else (20, 8)
    assert int.from_bytes(data[at : at + width], "little") == len(data) - 8
    metadata, mask, notes = read_told(lambda at, count: data[at : at + count], 0, len(data))
    assert notes == ()
    return list(metadata.chunks), mask


CHUNKS = {"bext": bytes(BEXT), "iXML": IXML, "cue ": CUE, "smpl": bytes(36), "LIST": INFO}


@pytest.mark.parametrize(
    ("format", "subtype"), [("wav", "ALAW"), ("wav", "IMA_ADPCM"), ("wav", "GSM610"), ("rf64", "ULAW")]
)
def test_chunks_through_libsndfile(convtool: Convtool, format: str, subtype: str) -> None:
    wav("a.wav", CHUNKS)
    options = ["--format", format, "--subtype", subtype, "-o"]
    assert convtool("convolve", "a.wav", "-k", "1", *options, "b.wav").err == ""
    assert soundfile.info("b.wav").subtype == subtype
    assert told("b.wav")[0] == list(CHUNKS.items())
    assert convtool("convolve", "b.wav", "-k", "1", "-o", "c.wav", "--subtype", "PCM_16").err == ""
    assert chunks_of("c.wav") == list(CHUNKS.items())
    assert soundfile.read("c.wav")[0].tolist() == soundfile.read("b.wav")[0][: len(SAMPLES)].tolist()
    assert convtool("convolve", "b.wav", "-k", "1", "-o", "c.flac").err == ""
    assert tags_of("c.flac") == {"title": "Take 1"}
    assert convtool("convolve", "b.wav", "-k", "1", *options, "d.wav", "--no-metadata").err == ""
    assert told("d.wav")[0] == []
    run = convtool("convolve", "b.wav", "-k", "1,1", "-o", "e.wav", "--subtype", "ALAW")
    assert run.err == "Warning: b.wav: left out: cue, smpl: the positions in samples that they give no longer hold\n"
    assert [name for name, _ in told("e.wav")[0]] == ["bext", "iXML", "LIST"]


def test_a_chunk_that_is_very_long_is_left_out_beside_a_law_too(convtool: Convtool) -> None:
    recording("a.wav", {}, subtype="ALAW")
    long = chunk_bytes(b"iXML", bytes((1 << 20) + 1))
    with Path("a.wav").open("ab") as file:
        file.write(long)
    run = convtool("convolve", "a.wav", "-k", "1", "-o", "out.wav")
    assert run.err == "Warning: a.wav: chunk iXML is not kept: it has 1048577 bytes\n"


def test_chunks_that_nothing_takes_are_told_of_what_libsndfile_decodes() -> None:
    recording("a.wav", {}, subtype="ALAW")
    data = Path("a.wav").read_bytes() + chunk_bytes(b"zzzz", b"1234")
    metadata, _, _ = read_told(lambda at, count: data[at : at + count], 0, len(data))
    assert metadata.passed_over == ("zzzz",)


def test_chunks_behind_samples_of_an_unknown_length_are_not_looked_for() -> None:
    recording("a.wav", {}, subtype="ALAW")
    data = Path("a.wav").read_bytes()
    at = data.index(b"data") + 4
    data = data[:at] + b"\xff" * 4 + data[at + 4 :] + chunk_bytes(b"bext", bytes(BEXT))
    assert read_told(lambda at, count: data[at : at + count], 0, len(data)) == (Metadata(), 0, ())


def test_nothing_is_put_behind_samples_of_4_gib(tmp_path: Path) -> None:
    with (tmp_path / "a.wav").open("w+b") as file:
        file.write(b"RIFF\xff\xff\xff\xffWAVE")
        file.truncate(1 << 32)
        assert not append_chunks(file.fileno(), (("bext", bytes(9)),))
        assert file.seek(0, 2) == 1 << 32
        file.seek(0)
        file.write(b"RF64\xff\xff\xff\xffWAVE")
        file.flush()
        assert append_chunks(file.fileno(), (("bext", bytes(9)),))
        assert file.seek(0, 2) == (1 << 32) + 18
        assert int.from_bytes(os.pread(file.fileno(), 8, 20), "little") == (1 << 32) + 10


def test_chunks_past_4_gib_are_told(convtool: Convtool, monkeypatch: pytest.MonkeyPatch) -> None:
    wav("a.wav", CHUNKS)
    monkeypatch.setattr("convtool.signals.wav.writer._MOST_BYTES", 800)
    run = convtool("convolve", "a.wav", "-k", "1", "-o", "b.wav", "--subtype", "ALAW")
    left = "bext, iXML, cue, smpl, LIST: the file has no place for them past 4 GiB"
    assert run.err == f"Warning: a.wav: left out: {left}\n"
    assert told("b.wav")[0] == []


@pytest.mark.parametrize(
    ("source", "output", "what"),
    [
        ("a.wav", "b.w64", "bext, iXML, cue, smpl, title: W64"),
        ("a.wav", "b.caf", "bext, iXML, cue, smpl: CAF"),
        ("a.flac", "b.wav", "license, composer, pictures, APPLICATION: WAV"),
        ("a.flac", "b.flac", "APPLICATION: FLAC"),
        ("c.wav", "b.flac", "PRIV, strc: FLAC"),
        ("c.wav", "b.wav", "strc: WAV"),
        ("a.flac", "b.ogg", "pictures, APPLICATION: OGG"),
    ],
)
def test_what_a_format_has_no_place_for_is_told_to_those_who_ask(
    convtool: Convtool, source: str, output: str, what: str
) -> None:
    wav("a.wav", CHUNKS)
    wav("c.wav", {"id3 ": b"ID3\4\0\0\0\0\0\x0cPRIV\0\0\0\2\0\0a\0", "strc": b"x"}, {"JUNK": b"", "strc": b"y"})
    recording("a.flac")
    with_comments("a.flac", *((name.upper(), text) for name, text in SAID.items()), ("composer", "Cy"))
    with_blocks("a.flac", COVER, (2, b"a program's own"))
    run = convtool("convolve", source, "-k", "1", "-o", output, "-v")
    assert f"{source}: not kept: {what} has no place for it\n" in run.err


@pytest.mark.parametrize(("source", "mask"), [("a.wav", 0x60F), ("a.flac", 0x60F)])
def test_loudspeakers_through_libsndfile(convtool: Convtool, source: str, mask: int) -> None:
    soundfile.write("a.flac", np.zeros((4, 6)), RATE)
    soundfile.write("a.wav", np.zeros((4, 6)), RATE, format="WAVEX", subtype="ULAW")
    data = bytearray(Path("a.wav").read_bytes())
    data[40:44] = (0x60F).to_bytes(4, "little")
    Path("a.wav").write_bytes(data)
    assert convtool("convolve", source, "-k", "1", "-o", "b.wav", "--subtype", "ALAW").err == ""
    assert (told("b.wav")[1], soundfile.info("b.wav").subtype) == (mask, "ALAW")
    assert convtool("convolve", source, "-k", "1", "-o", "c.wav", "--subtype", "PCM_24").err == ""
    assert told("c.wav")[1] == mask
    assert convtool("convolve", source, "-k", "1", "-o", "d.wav", "--subtype", "ALAW", "--format", "wavex").err == ""
    assert convtool("convolve", source, "-k", "1", "-o", "e.wav", "--subtype", "ALAW", "--no-metadata").err == ""
    assert (told("d.wav")[1], told("e.wav")[1]) == (mask, 0)


def test_libsndfile_writes_to_pipes_too(convtool: Convtool) -> None:
    wav("a.wav", CHUNKS)
    run = convtool("convolve", "a.wav", "-k", "1", "--format", "wav", "--subtype", "ALAW")
    Path("b.wav").write_bytes(run.raw)
    assert (run.code, told("b.wav")[0]) == (0, list(CHUNKS.items()))


def blocks_of(path: str) -> list[tuple[int, bytes]]:
    """The blocks of a FLAC file, each with its type."""
    data, at, last = Path(path).read_bytes(), 4, 0
    blocks = []
    while not last:
        last, kind, length = data[at] & 0x80, data[at] & 0x7F, int.from_bytes(data[at + 1 : at + 4], "big")
        blocks.append((kind, data[at + 4 : at + 4 + length]))
        at += 4 + length
    return blocks


def with_blocks(path: str, *blocks: tuple[int, bytes]) -> None:
    """Put blocks into a FLAC file, behind the first."""
    data = Path(path).read_bytes()
    made = b"".join(bytes([kind]) + len(content).to_bytes(3, "big") + content for kind, content in blocks)
    Path(path).write_bytes(data[:42] + made + data[42:])


def with_comments(path: str, *comments: tuple[str, str]) -> None:
    """Let a FLAC file have these comments for its own."""
    data, at = bytearray(Path(path).read_bytes()), 4
    while data[at] & 0x7F != 4:
        at += 4 + int.from_bytes(data[at + 1 : at + 4], "big")
    data[at] = data[at] & 0x80 | 1
    Path(path).write_bytes(data)
    with_blocks(path, (4, comments_block("an encoder", comments)))


def picture(kind: int, data: bytes) -> tuple[int, bytes]:
    mime = b"image/png"
    size = struct.pack(">5I", 8, 8, 24, 0, len(data))
    return 6, struct.pack(">II", kind, len(mime)) + mime + struct.pack(">I", 0) + size + data


COVER, BACK = picture(3, bytes(range(256)) * 300), picture(4, b"")


@pytest.mark.parametrize("tag", [b"", b"ID3\4\0\0\0\0\0\3abc"])
def test_pictures_of_flac_go_on(convtool: Convtool, tag: bytes) -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 100_000)
    soundfile.write("a.flac", noise, RATE)
    with_blocks("a.flac", COVER, (2, b"a program's own"), BACK)
    Path("a.flac").write_bytes(tag + Path("a.flac").read_bytes())
    run = convtool("convolve", "a.flac", "-k", "1,0", "-o", "b.flac")
    assert (run.code, run.err) == (0, "")
    blocks = blocks_of("b.flac")
    assert [kind for kind, _ in blocks] == [0, 6, 6, 4]
    assert blocks[1:3] == [COVER, BACK]
    samples = soundfile.read("b.flac", dtype="int16")[0]
    assert np.array_equal(samples[:-1], soundfile.read("a.flac", dtype="int16")[0])
    assert convtool("convolve", "a.flac", "-k", "1,0", "-o", "c.flac", "--no-metadata").code == 0
    assert [kind for kind, _ in blocks_of("c.flac")] == [0, 4]
    assert soundfile.read("c.flac", dtype="int16")[0].tolist() == samples.tolist()
    assert convtool("convolve", "a.flac", "-k", "1", "-o", "d.wav").err == ""


def test_pictures_that_are_very_long_are_left_out_and_told(convtool: Convtool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flac_blocks, "_MOST_BYTES", 1 << 20)
    recording("a.flac")
    with_blocks("a.flac", COVER, picture(4, bytes(1 << 20)))
    run = convtool("convolve", "a.flac", "-k", "1", "-o", "b.flac")
    assert run.err == "Warning: a.flac: its pictures are not kept: they take more than 1 MiB\n"
    assert [kind for kind, _ in blocks_of("b.flac")] == [0, 4, 1]


ARTISTS = (("ARTIST", "Ann"), ("artist", "Bö"), ("ALBUMARTIST", "Cy"), ("DESCRIPTION", "two\nlines = 2"))
LEVELS = (("replaygain_track_gain", "-3 dB"), ("ENCODER", "x"), ("R128_TRACK_GAIN", "9"))


@pytest.mark.parametrize("pictures", [(), (COVER,)])
def test_all_comments_of_flac_go_on_that_hold_of_other_samples(convtool: Convtool, pictures: tuple[Any, ...]) -> None:
    recording("a.flac", {})
    with_comments("a.flac", *ARTISTS, *LEVELS, ("ENCODER", "y"))
    with_blocks("a.flac", *pictures)
    run = convtool("convolve", "a.flac", "-k", "1", "-o", "b.flac", "-v")
    told = "a.flac: not kept: replaygain_track_gain, ENCODER, R128_TRACK_GAIN, which tell of the input's samples\n"
    assert told in run.err
    blocks = blocks_of("b.flac")
    assert [kind for kind, _ in blocks] == [0, 4, *(kind for kind, _ in pictures), 1]
    assert parse_comments(blocks[1][1]) == ARTISTS
    assert not any(blocks[-1][1])
    assert soundfile.read("b.flac")[0].tolist() == SAMPLES
    assert convtool("convolve", "b.flac", "-k", "1", "-o", "c.flac").err == ""
    assert Path("c.flac").read_bytes() == Path("b.flac").read_bytes()
    assert convtool("convolve", "b.flac", "-k", "1", "-o", "d.flac", "--no-metadata").err == ""
    assert [kind for kind, _ in blocks_of("d.flac")] == [0, 4]
    assert convtool("convolve", "b.flac", "-k", "1", "-o", "e.caf").err == ""
    assert tags_of("e.caf") == {"artist": "Ann", "comment": "two\nlines = 2"}


def test_comments_that_no_block_holds_are_left_out_and_told(
    convtool: Convtool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convtool.signals.audio.writer.MOST_COMMENTS", 60)
    recording("a.flac", {})
    with_comments("a.flac", *ARTISTS)
    run = convtool("convolve", "a.flac", "-k", "1", "-o", "b.flac", "-v")
    assert "a.flac: not kept: comments: FLAC has no place for it\n" in run.err
    assert [kind for kind, _ in blocks_of("b.flac")] == [0, 4]


@pytest.mark.parametrize(
    ("block", "comments"),
    [
        (b"", ()),
        (comments_block("e", ARTISTS), ARTISTS),
        (comments_block("e", ARTISTS)[:-1], ARTISTS[:-1]),
        (comments_block("e", ARTISTS)[: -len(b"DESCRIPTION=two lines = 2") - 1], ARTISTS[:-1]),
        (comments_block("e", (("", "no name"), ("A\n", "no name"), ("B", "")))[:-4] + b"no equals", ()),
        (comments_block("e", (("", "no name"), ("A\n", "no name"), ("B", ""))), (("B", ""),)),
        (b"\1\0\0\0e\1\0\0\0\3\0\0\0A=\xff", (("A", "\ufffd"),)),
        (b"\1\0\0\0e\xff\xff\xff\xff\3\0\0\0A=b", (("A", "b"),)),
    ],
)
def test_comments_of_a_block(block: bytes, comments: Any) -> None:
    assert parse_comments(block) == comments


ADM = {"axml": b"<ebuCoreMain/>", "chna": bytes(4)}
LOOP = {"acid": bytes(24), "inst": b"\x3c\0\0\0\x7f\0\x7f\0", "id3 ": b"ID3\4\0\0\0\0\0\0"}
CART = {"cart": bytes(2048)}
TIMED = {"cart": bytes(684) + b"INTs\1\0\0\0", "axml": b'<audioBlockFormat rtime="00:00:01.00000"/>'}


def test_chunks_of_loops_and_broadcasts_go_on(convtool: Convtool) -> None:
    wav("a.wav", ADM | LOOP | CART)
    assert convtool("convolve", "a.wav", "-k", "1,1", "-o", "b.wav").err == ""
    assert dict(chunks_of("b.wav")) == ADM | LOOP | CART


@pytest.mark.parametrize(
    ("chunks", "kernel", "lost"),
    [
        (ADM | LOOP, "1,1;1,2", "axml, chna: the channels or the times that they give no longer hold"),
        (TIMED | LOOP, "1,1", "axml: the channels or the times that they give no longer hold"),
        (TIMED | LOOP, "1,1", "cart: the positions in samples that they give no longer hold"),
    ],
)
def test_chunks_of_other_channels_or_times(
    convtool: Convtool, chunks: dict[str, bytes], kernel: str, lost: str
) -> None:
    wav("a.wav", chunks)
    Path("k.csv").write_text(kernel.replace(";", "\n"))
    run = convtool("convolve", "a.wav", "-k", "k.csv", "-o", "b.wav")
    assert f"Warning: a.wav: left out: {lost}\n" in run.err
    assert chunks_of("b.wav") == list(LOOP.items())


@pytest.mark.parametrize("end", [5, 20, 42, 45])
def test_blocks_that_end_with_the_file(end: int) -> None:
    recording("a.flac")
    data = Path("a.flac").read_bytes()[:end]
    assert flac_blocks.read_blocks(lambda at, count: data[at : at + count], 0).pictures == ()


def test_no_more_blocks_are_looked_at_than_a_file_has() -> None:
    asked = []

    def peek(at: int, count: int) -> bytes:
        asked.append(at)
        return b"\1\0\0\0"

    assert flac_blocks.read_blocks(peek, 0) == ((), (), (), ())
    assert len(asked) == 4096
