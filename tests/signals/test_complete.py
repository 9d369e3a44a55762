"""Whether a file is all there, told from its header and its end, for every format that is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from convtool.signals.complete import shortage
from tests.conftest import Run
from tests.signals.audio.test_audio import EXACT, write

Convtool = Callable[..., Run]
NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, (9001, 1))
LOSSY = [("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")]
WRITTEN = [(*kind, channels) for kind in (*EXACT, ("VOC", "PCM_16"), *LOSSY) for channels in (1, 2)]
WRITTEN += [("SVX", "PCM_S8", 1)]
CUT = "it is cut off"


def cut(path: Path, size: int) -> str:
    """What a file lacks of which so many bytes are left, from its end where negative."""
    part = path.with_name(f"cut{path.suffix}")
    part.write_bytes(path.read_bytes()[:size])
    return shortage(str(part))


@pytest.mark.parametrize(("format", "subtype", "channels"), WRITTEN)
def test_audio(tmp_path: Path, format: str, subtype: str, channels: int) -> None:
    path = tmp_path / "a.x"
    write(path, np.repeat(NOISE, channels, axis=1), format, subtype, rate=48000)
    assert shortage(str(path)) == ""
    assert {cut(path, size) for size in (60, 500, path.stat().st_size // 2, -2)} == {CUT}
    assert (cut(path, 0), cut(path, 11)) == ("it is empty", "it has 11 bytes")


@pytest.mark.parametrize(
    "content",
    [
        b"old",
        b"what it is, nobody knows",
        *(b"%b,x\n1,2\n%d,3\n" % (word, 10**20) for word in (b"RIFF", b"FORMAT", b"caffeine")),
    ],
)
def test_what_is_none_of_the_formats_is_left(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.wav").write_bytes(content)
    assert shortage(str(tmp_path / "a.wav")) == ""


@pytest.mark.parametrize(("shape", "order"), [((7,), "C"), ((2, 5), "F")])
def test_arrays(tmp_path: Path, shape: tuple[int, ...], order: str) -> None:
    np.save(tmp_path / "a.npy", np.ones(shape, order=order))  # type: ignore[call-overload]
    assert shortage(str(tmp_path / "a.npy")) == ""
    assert [cut(tmp_path / "a.npy", size) for size in (20, 128, -1)] == [CUT] * 3


def test_an_array_whose_header_runs_on_past_the_end(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones(2, "S1"))
    data = (tmp_path / "a.npy").read_bytes().replace(b"|S1", b"|S0")
    (tmp_path / "a.npy").write_bytes(data[:127])
    assert shortage(str(tmp_path / "a.npy")) == CUT


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif"])
def test_pictures(convtool: Convtool, tmp_path: Path, name: str) -> None:
    np.save(tmp_path / "a.npy", NOISE[:400].reshape(20, 20) * 99)
    assert convtool("convolve", tmp_path / "a.npy", "-k", "1", "-o", tmp_path / name).code == 0
    assert shortage(str(tmp_path / name)) == ""
    assert cut(tmp_path / name, -1) == ("" if name == "a.tif" else CUT)


def test_text_is_complete_where_there_is_any(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1\n")
    assert (shortage(str(tmp_path / "a.csv")), cut(tmp_path / "a.csv", 0)) == ("", "it is empty")


@pytest.mark.parametrize("unstated", [0, 0xFFFFFFFF])
def test_lengths_that_a_header_leaves_open(tmp_path: Path, unstated: int) -> None:
    path, said = tmp_path / "a", unstated.to_bytes(4, "big")
    for data in (
        b"RIFF" + said + b"WAVEdata",
        b".snd\0\0\0\x18" + said + bytes(20),
        b"caff\0\1\0\0data" + b"\xff" * 8 + bytes(9),
        b"fLaC\0\0\0\x22" + bytes(34),
        b"\xff\xfb\x90\x64" + bytes(99),
    ):
        path.write_bytes(data)
        assert shortage(str(path)) == ""


def test_a_caf_without_samples_among_its_chunks(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"caff\0\1\0\0" + (b"free" + bytes(8)) * 1001)
    assert shortage(str(tmp_path / "a")) == CUT


def test_a_flac_whose_frames_count_samples_or_are_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, NOISE[:3000], 48000)
    data = bytearray(path.read_bytes())
    assert shortage(str(path)) == ""
    data[-3] ^= 1
    path.write_bytes(data)
    assert shortage(str(path)) == CUT
    data[-3] ^= 1
    data[25] ^= 1
    path.write_bytes(data)
    assert shortage(str(path)) == CUT


@pytest.mark.parametrize("tail", [b"TAG" + bytes(125), b"x" * 90 + b"APETAGEX" + bytes(24)])
def test_tags_behind_a_flac(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, NOISE[:3000], 48000)
    path.write_bytes(path.read_bytes() + tail)
    assert shortage(str(path)) == ""


def test_a_last_chunk_that_is_not_evened_out(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", NOISE[:99], 8000, "PCM_U8")
    assert cut(tmp_path / "a.wav", -1) == ""


def test_what_can_not_be_looked_at(tmp_path: Path) -> None:
    assert shortage(str(tmp_path)) == ""
    (tmp_path / "link").symlink_to("nothing")
    assert shortage(str(tmp_path / "link")) == ""


@pytest.mark.parametrize(
    "command", [["convolve", "-k", "1"], ["rescale", "--range", "0:1"], ["local-var", "-w", "1", "--stat", "max"]]
)
def test_skipping_leaves_what_is_complete_alone(
    convtool: Convtool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b", "c"):
        soundfile.write(f"{name}.wav", NOISE[:100], 8000)
    work = [*command, "a.wav", "b.wav", "c.wav", "-o", "o/", "--skip-existing"]
    assert convtool(*work).code == 0
    whole = Path("o/a.wav").read_bytes()
    Path("o/a.wav").write_bytes(whole[:100])
    Path("o/b.wav").write_bytes(b"")
    Path("o/c.wav").touch()
    told = [
        "Warning: a.wav: written anew: o/a.wav was there, but it is cut off",
        "Warning: b.wav: written anew: o/b.wav was there, but it is empty",
    ]
    run = convtool(*work, "--dry-run")
    assert (run.code, run.err.splitlines()) == (0, told)
    assert run.out.splitlines() == ["a.wav -> o/a.wav", "b.wav -> o/b.wav", "c.wav -> o/c.wav (exists)"]
    run = convtool(*work)
    assert (run.code, run.err.splitlines()) == (0, [*told, "2 written, 1 skipped, 0 failed"])
    assert {Path(f"o/{name}.wav").read_bytes() for name in "abc"} == {whole}
    assert convtool(*work).err == "0 written, 3 skipped, 0 failed\n"


def test_an_output_that_lacks_something_stays_where_its_input_fails(
    convtool: Convtool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.wav").write_bytes(b"RIFF")
    Path("o.wav").write_bytes(b"")
    run = convtool("convolve", "a.wav", "-k", "1", "-o", "o.wav", "--skip-existing")
    assert run.code == 1
    assert "written anew" not in run.err


def test_signals_of_a_batch_too(convtool: Convtool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    soundfile.write("a.wav", NOISE[:100], 8000)
    assert convtool("pad-batch", "a.wav", "-o", "b.npz").code == 0
    Path("o").mkdir()
    Path("o/a.wav").write_bytes(b"")
    run = convtool("unpad-batch", "b.npz", "-o", "o/", "--skip-existing")
    assert run.err == "Warning: b.npz::a.wav: written anew: o/a.wav was there, but it is empty\n"
    assert soundfile.info("o/a.wav").frames == 100
