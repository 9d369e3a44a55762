"""What FFmpeg decodes: the samples that were encoded, their number, and one line for what can't be decoded."""

from __future__ import annotations

import struct
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convtool.errors import InputError
from convtool.files.source import Source
from convtool.signals.audio import last_frame, media
from convtool.signals.audio.opening import IsolatedReader
from convtool.signals.inputs import Input
from convtool.signals.opening import ReadOptions, open_reader
from convtool.signals.signal import Reader

av = pytest.importorskip("av")

RATE, SAMPLES = 16000, 20001
RANDOM = np.random.default_rng(0)
NOISE = RANDOM.integers(-(1 << 15), 1 << 15, (2, SAMPLES))
TONE = np.sin(np.arange(SAMPLES) * 0.1)[np.newaxis] * 0.5
NUMBERS = {"s16": "i2", "s32": "i4", "flt": "f4", "dbl": "f8", "u8": "u1"}


def encode(
    path: Path, codec: str, kind: str, samples: Any, *, streams: int = 1, tags: dict[str, str] | None = None
) -> str:
    """A file of `samples` ``(channels, samples)``, written by FFmpeg."""
    layout = "stereo" if len(samples) == 2 else "mono"
    with av.open(str(path), "w") as out:
        out.metadata.update(tags or {})
        for stream in [out.add_stream(codec, rate=RATE, layout=layout, format=kind) for _ in range(streams)]:
            size = 1000
            stream.bit_rate = 64000
            for start in range(0, samples.shape[1], size):
                part = np.ascontiguousarray(samples[:, start : start + size].astype(NUMBERS[kind.removesuffix("p")]))
                part = part if kind.endswith("p") else np.ascontiguousarray(part.T).reshape(1, -1)
                frame = av.AudioFrame.from_ndarray(part, format=kind, layout=layout)
                frame.sample_rate, frame.pts = RATE, start
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
    return str(path)


def opened(path: str) -> Reader:
    return open_reader(Input("file", path, path), ReadOptions())


def samples_of(path: str) -> Any:
    with opened(path) as reader:
        return np.concatenate(list(reader.blocks(7000)), axis=1)


@pytest.mark.parametrize(
    ("name", "codec", "kind", "shift", "subtype", "dtype"),
    [
        ("x.m4a", "alac", "s16p", 0, "PCM_16", "float32"),
        ("x24.m4a", "alac", "s32p", 16, "PCM_24", "float32"),
        ("x.wv", "wavpack", "s16p", 0, "PCM_16", "float32"),
        ("x32.wv", "wavpack", "s32p", 16, "PCM_32", "float64"),
        ("x.oga", "flac", "s16", 0, "PCM_16", "float32"),
        ("x24.oga", "flac", "s32", 16, "PCM_24", "float32"),
        ("x.mkv", "pcm_s24le", "s32", 16, "PCM_24", "float32"),
        ("x32.mkv", "pcm_s32le", "s32", 16, "PCM_32", "float64"),
        ("x64.mkv", "pcm_f64le", "dbl", 0, "DOUBLE", "float64"),
        ("x32f.mkv", "pcm_f32le", "flt", 0, "FLOAT", "float32"),
        ("x24.tta", "tta", "s32", 16, "PCM_24", "float32"),
    ],
)  # fmt: skip
def test_lossless_media_give_the_numbers_that_went_in(
    tmp_path: Path, name: str, codec: str, kind: str, shift: int, subtype: str, dtype: str
) -> None:
    path = encode(tmp_path / name, codec, kind, NOISE << shift)
    with opened(path) as reader:
        signal = reader.signal
        assert (signal.channels, signal.sample_rate, signal.subtype, signal.dtype) == (2, RATE, subtype, dtype)
        assert reader.read(0).shape == (2, 0)
    np.testing.assert_array_equal(samples_of(path), NOISE << shift)


def flac_of_20_bits(values: Any) -> bytes:
    """One frame of `values` as they are, in one channel (RFC 9639, sections 8.2 and 9)."""

    def checksum(data: bytes, bits: int, polynomial: int) -> bytes:
        crc = 0
        for byte in data:
            crc ^= byte << (bits - 8)
            for _ in range(8):
                crc = (crc << 1 ^ polynomial * (crc >> (bits - 1))) & ((1 << bits) - 1)
        return crc.to_bytes(bits // 8, "big")

    count = len(values)
    fields = RATE << 44 | 0 << 41 | 19 << 36 | count
    info = 2 * count.to_bytes(2, "big") + bytes(6) + fields.to_bytes(8, "big") + bytes(16)
    header = b"\xff\xf8\x70\x0a\0" + (count - 1).to_bytes(2, "big")
    header += checksum(header, 8, 0x07)
    packed = int("".join(f"{value & 0xFFFFF:020b}" for value in values.tolist()), 2)
    frame = header + b"\x02" + packed.to_bytes(20 * count // 8, "big")
    return b"fLaC\x80\0\0\x22" + info + frame + checksum(frame, 16, 0x8005)


@pytest.mark.parametrize("before", [b"", b"ID3\4\0\0\0\0\0\5hello"])
def test_flac_of_bits_that_libsndfile_lacks(tmp_path: Path, before: bytes) -> None:
    values = RANDOM.integers(-(1 << 19), 1 << 19, 200)
    (tmp_path / "x.flac").write_bytes(before + flac_of_20_bits(values))
    with opened(str(tmp_path / "x.flac")) as reader:
        assert (reader.signal.subtype, reader.signal.sample_rate, reader.notes) == ("PCM_24", RATE, [])
    np.testing.assert_array_equal(samples_of(str(tmp_path / "x.flac")), [values << 12])


def test_bytes_are_brought_to_the_top_of_16_bits(tmp_path: Path) -> None:
    values = RANDOM.integers(0, 256, (1, 5000))
    path = encode(tmp_path / "x.avi", "pcm_u8", "u8", values)
    np.testing.assert_array_equal(samples_of(path), (values - 128) << 8)


@pytest.mark.parametrize(("name", "codec"), [("x.m4a", "aac"), ("x.webm", "libopus"), ("x.wma", "wmav2")])
def test_lossy_media_are_near_what_went_in(tmp_path: Path, name: str, codec: str) -> None:
    kind = "flt" if codec == "libopus" else "fltp"
    path = encode(tmp_path / name, codec, kind, TONE, tags={"title": "Memo", "track": "3"})
    with opened(path) as reader:
        assert reader.signal.subtype not in ("FLOAT", "PCM_16")
        assert dict(reader.signal.metadata.tags)["title"] == "Memo"
        rate = reader.signal.sample_rate or 0
    found = samples_of(path)
    assert abs(found.shape[1] / rate - SAMPLES / RATE) < 0.2
    assert 0.4 < np.abs(found[:, 5000:10000]).max() < 0.6


@pytest.mark.parametrize("count", [1, 800, 1023, 1024, 1025, SAMPLES])
@pytest.mark.parametrize(("name", "codec"), [("x.m4a", "aac"), ("x.mov", "aac"), ("x.m4a", "alac")])
def test_the_delay_and_the_padding_of_an_encoder_are_no_samples(
    tmp_path: Path, name: str, codec: str, count: int
) -> None:
    full = 1 << 15 if codec == "alac" else 1
    path = encode(tmp_path / name, codec, "s16p" if codec == "alac" else "fltp", TONE[:, :count] * full)
    with opened(path) as reader:
        found = np.concatenate(list(reader.blocks(700)), axis=1)
        assert reader.remarks == []
    assert found.shape == (1, count)
    assert np.abs(found / full - TONE[:, :count])[:, 2000:15000].max(initial=0) < 0.05


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + name + content


def as_apple_writes(path: str, count: int, *, ticks: int, tag: str = "", wide: bool = False) -> None:
    """Let all packets of an M4A last as long, and its edit and its tag tell `count` and what else is given."""
    data = bytearray(Path(path).read_bytes())
    packets = data.index(b"stts") + 8
    (entries,) = struct.unpack_from(">I", data, packets)
    struct.pack_into(">I", data, packets + 8 * entries, 1024)
    struct.pack_into(">I", data, data.index(b"mvhd") + 16, ticks)
    struct.pack_into(">I", data, data.index(b"elst") + 12, count * ticks // RATE)
    movie = data.index(b"moov") - 4
    text = box(b"data", struct.pack(">II", 1, 0) + tag.encode())
    words = box(b"mean", bytes(4) + b"com.apple.iTunes") + box(b"name", bytes(4) + b"iTunSMPB") + text
    handler = box(b"hdlr", bytes(8) + b"mdirappl" + bytes(9))
    tagged = box(b"udta", box(b"meta", bytes(4) + handler + box(b"ilst", box(b"----", words))))
    assert movie + int.from_bytes(data[movie : movie + 4], "big") == len(data)
    content = bytes(data[movie + 8 :]) + (tagged if tag else b"")
    head = struct.pack(">I4sQ", 1, b"moov", 16 + len(content)) if wide else struct.pack(">I4s", 0, b"moov")
    Path(path).write_bytes(bytes(data[:movie]) + head + content)


def tag_of(count: int) -> str:
    return f" 00000000 00000400 00000100 {count:016X} 00000000 00000000"


@pytest.mark.parametrize(
    ("ticks", "tag", "expected"),
    [
        (RATE, "", 4500),
        (10 * RATE, "", 4500),
        (1000, "", 5120),
        (1000, tag_of(4500), 4500),
        (1000, tag_of(3000), 3000),
        (1000, tag_of(1 << 40), 5120),
        (1000, " 00000000 00000400 00000100 what 00000000", 5120),
        (1000, " 00000000 00000400", 5120),
    ],
)
@pytest.mark.parametrize("wide", [False, True])
def test_mp4_that_states_its_end_elsewhere(tmp_path: Path, ticks: int, tag: str, expected: int, wide: bool) -> None:
    path = encode(tmp_path / "x.m4a", "aac", "fltp", TONE[:, :4600])
    as_apple_writes(path, 4500, ticks=ticks, tag=tag, wide=wide)
    assert samples_of(path).shape == (1, expected)


@pytest.mark.parametrize("data", [b"", b"\0\0\0\x08free" * 2000, b"\0\0\0\4moov", box(b"moov", b""), bytes(40)])
def test_an_mp4_that_says_no_ticks(data: bytes) -> None:
    assert last_frame._movie_ticks(lambda at, count: data[at : at + count], len(data)) == 1


def test_ticks_of_64_bits() -> None:
    data = box(b"free", b"") + box(b"moov", box(b"mvhd", b"\1" + bytes(19) + struct.pack(">I", 44100) + bytes(80)))
    assert last_frame._movie_ticks(lambda at, count: data[at : at + count], len(data)) == 44100


@pytest.mark.parametrize(
    ("name", "codec", "exact"),
    [
        ("x.webm", "libopus", True),
        ("x.mkv", "aac", False),
        ("x.aac", "aac", False),
        ("x.mkv", "pcm_s16le", True),
        ("x.mp4", "libmp3lame", False),
    ],
)
def test_where_nothing_says_what_an_encoder_added_that_is_told(
    tmp_path: Path, name: str, codec: str, exact: bool
) -> None:
    kind = {"libopus": "flt", "pcm_s16le": "s16"}.get(codec, "fltp")
    with opened(encode(tmp_path / name, codec, kind, TONE)) as reader:
        assert reader.remarks == ([] if exact else [media._WITH_PADDING])
        found = sum(block.shape[1] for block in reader.blocks(7000))
        assert found == SAMPLES * (reader.signal.sample_rate or 0) // RATE or not exact


def test_what_is_left_out_is_told(tmp_path: Path) -> None:
    path = encode(tmp_path / "x.mkv", "pcm_s16le", "s16", NOISE, streams=2)
    with opened(path) as reader:
        assert reader.notes == ["it holds 2 streams of sound; the first is read"]
        np.testing.assert_array_equal(reader.read(SAMPLES), NOISE)


def video(path: Path, *, sound: bool) -> str:
    with av.open(str(path), "w") as out:
        pictures = out.add_stream("mpeg4", rate=25)
        pictures.width = pictures.height = 32
        pictures.pix_fmt = "yuv420p"
        if sound:
            stream = out.add_stream("pcm_s16le", rate=RATE, layout="mono", format="s16")
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))
        out.mux(pictures.encode(frame))
        out.mux(pictures.encode(None))
        if sound:
            audio = av.AudioFrame.from_ndarray(NOISE[:1].astype(np.int16), format="s16", layout="mono")
            audio.sample_rate = RATE
            out.mux(stream.encode(audio))
            out.mux(stream.encode(None))
    return str(path)


def test_the_sound_of_a_video(tmp_path: Path) -> None:
    with opened(video(tmp_path / "x.mkv", sound=True)) as reader:
        assert reader.notes == ["it is a video; its sound is read"]
        np.testing.assert_array_equal(reader.read(SAMPLES), NOISE[:1])
    with pytest.raises(InputError, match="there is no sound in it, which is Matroska"):
        opened(video(tmp_path / "silent.mkv", sound=False))


def test_damaged_media_are_one_line(tmp_path: Path) -> None:
    path = Path(encode(tmp_path / "x.mkv", "pcm_s16le", "s16", NOISE))
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    with pytest.raises(InputError, match=r"can't be decoded as Matroska or WebM: [a-z/ ]+$"):
        opened(str(path))
    path = Path(encode(tmp_path / "x.wma", "wmav2", "fltp", TONE))
    path.write_bytes(path.read_bytes()[:7000])
    with pytest.raises(InputError, match=r"can't be decoded past sample \d+: [a-z/ ]+$"):
        samples_of(str(path))
    path = Path(encode(tmp_path / "x.wv", "wavpack", "s16p", NOISE))
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(InputError, match="there are 0 samples in it"):
        opened(str(path))


def test_media_that_end_early_are_told(tmp_path: Path) -> None:
    with here(encode(tmp_path / "x.mkv", "pcm_s16le", "s16", NOISE)) as reader:
        reader.signal = replace(reader.signal, frames=2 * SAMPLES)
        assert sum(block.shape[1] for block in reader.blocks(7000)) == SAMPLES
        assert reader.notes == [f"truncated: the header declares {2 * SAMPLES} samples, {SAMPLES} are there"]


def test_samples_of_another_format_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source.of_path(encode(tmp_path / "x.mkv", "pcm_s16le", "s16", NOISE))
    monkeypatch.delitem(media._TYPES, "s16")
    with closing(source), pytest.raises(InputError, match="its samples are of FFmpeg's format s16"):
        media.MediaReader(source, "Matroska or WebM", "matroska")


@pytest.mark.parametrize(
    ("layout", "mask"), [("mono", 0), ("stereo", 0), ("5.1", 0x3F), ("5.1(side)", 0x60F), ("octagonal", 0x737)]
)
def test_loudspeakers(layout: str, mask: int) -> None:
    assert media._channel_mask(av.AudioFrame(format="s16", layout=layout)) == mask


def here(path: str, name: str = "Matroska or WebM", demuxer: str = "matroska") -> media.MediaReader:
    return media.MediaReader(Source.of_path(path), name, demuxer)


def test_a_stream_that_changes_is_refused(tmp_path: Path) -> None:
    with here(encode(tmp_path / "x.mkv", "pcm_s16le", "s16", NOISE)) as reader:
        reader._kind = "s16", 1, RATE
        reader._first = None
        with pytest.raises(InputError, match="the stream changes after sample 0: 2 channels at 16000 Hz"):
            reader.read(10)


def test_without_pyav_both_ways_out_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = encode(tmp_path / "memo.m4a", "aac", "fltp", TONE)
    monkeypatch.setattr("convtool.signals.audio.media.is_installed", lambda: False)
    with pytest.raises(InputError) as caught:
        opened(path)
    assert "ffmpeg -i memo.m4a memo.wav makes a WAV of it, or pip install 'convtool[media]'" in str(caught.value)


def test_media_in_a_folder_are_inputs(tmp_path: Path, convtool: Callable[..., Any]) -> None:
    (tmp_path / "in").mkdir()
    encode(tmp_path / "in" / "x.wv", "wavpack", "s16p", NOISE)
    result = convtool("convolve", tmp_path / "in", "-k", "1", "-o", f"{tmp_path}/out/{{stem}}.wav")
    assert result.code == 0, result.err
    np.testing.assert_array_equal(samples_of(f"{tmp_path}/out/x.wav"), NOISE)


def test_they_are_decoded_in_a_child(tmp_path: Path) -> None:
    with opened(encode(tmp_path / "x.wv", "wavpack", "s16p", NOISE)) as reader:
        assert isinstance(reader, IsolatedReader)


def wav_of(code: int, guid: str = "") -> bytes:
    more = struct.pack("<HHIH", 22, 16, 4, code) + bytes.fromhex(guid) if guid else b""
    head = struct.pack("<HHIIHH", 0xFFFE if guid else code, 1, RATE, 2 * RATE, 2, 16) + more
    body = b"WAVEfmt " + struct.pack("<I", len(head)) + head + b"data" + struct.pack("<I", 8) + bytes(8)
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (wav_of(0x1234), "WAV of encoding 0x1234"),
        (wav_of(0x1234, "000000001000800000aa00389b71"), "WAV of encoding 0x1234"),
        (wav_of(1, "11" * 14), "WAV of encoding 0100" + "11" * 14),
    ],
)
def test_encodings_of_wav_that_are_not_known_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes, words: str
) -> None:
    (tmp_path / "a.wav").write_bytes(data)
    with pytest.raises(InputError, match=f"can't be decoded as {words}: decoder not found"):
        opened(str(tmp_path / "a.wav"))
    monkeypatch.setattr(media, "is_installed", lambda: False)
    with pytest.raises(InputError) as raised:
        opened(str(tmp_path / "a.wav"))
    way_out = "ffmpeg -i a.wav a.wav makes a WAV of it, or pip install 'convtool[media]'"
    assert str(raised.value) == f"the content is {words}: {way_out}"


def test_a_wav_whose_encoding_ffmpeg_knows(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.wav", "wmav2", "fltp", TONE)
    found = samples_of(path)
    assert abs(found.shape[1] - SAMPLES) < 5000
