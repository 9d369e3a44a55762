"""Raw numbers: every encoding against NumPy, through files and pipes, and beside files that say what they are."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import soundfile

from convtool.errors import InputError
from convtool.files.source import Source
from convtool.signals.inputs import Input
from convtool.signals.opening import ReadOptions, open_reader
from convtool.signals.raw import ENCODINGS, RawLayout, RawReader
from convtool.signals.signal import Block, Signal, as_float

Convtool = Callable[..., Any]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(path: str, encoding: str, *, block: int = 2, **layout: Any) -> tuple[Block, Signal, list[str]]:
    """The numbers, the description and the notes of a file, read in blocks of a few samples."""
    options = ReadOptions(raw=RawLayout(encoding, **layout))
    with open_reader(Input.of_word(path), options) as reader:
        values = block * reader.signal.channels
        blocks = [as_float(block, reader.signal) for block in reader.blocks(values)]
        return np.concatenate(blocks, axis=-1), reader.signal, reader.notes


def bits_of(encoding: str) -> int:
    return int(re.sub("[a-z]", "", encoding))


def stored(values: list[int], encoding: str) -> bytes:
    """Integers as the bytes of `encoding`."""
    order: Literal["big", "little"] = "big" if encoding.endswith("be") else "little"
    size = bits_of(encoding) // 8
    return b"".join(value.to_bytes(size, order, signed=encoding[0] == "s") for value in values)


@pytest.mark.parametrize("encoding", [name for name in ENCODINGS if name[0] != "f"])
def test_integers(encoding: str) -> None:
    bits = bits_of(encoding)
    least = -(1 << (bits - 1))
    values = [least, -1, 0, 1, least // -2, -least - 1, 5]
    Path("a").write_bytes(stored([value - least if encoding == "u8" else value for value in values], encoding))
    numbers, signal, notes = read("a", encoding)
    assert numbers.tolist() == [[value / -least for value in values]]
    subtype = {"u8": "PCM_U8", "s8": "PCM_S8"}.get(encoding, f"PCM_{bits}")
    assert (signal.subtype, signal.frames, notes) == (subtype, 7, [])
    assert signal.dtype == ("float64" if bits == 32 else "float32")


@pytest.mark.parametrize("encoding", ["f32le", "f32be", "f64le", "f64be"])
def test_floats(encoding: str) -> None:
    values = np.array([[0.25, -3.5e20, np.inf], [1e-30, -0.0, 7]])
    dtype = np.dtype(f"{'<' if encoding.endswith('le') else '>'}f{int(encoding[1:3]) // 8}")
    Path("a").write_bytes(b"head" + values.T.astype(dtype).tobytes())
    numbers, signal, notes = read("a", encoding, channels=2, skip_bytes=4)
    assert np.array_equal(numbers, values.astype(dtype))
    assert (signal.channels, signal.frames, notes) == (2, 3, [])
    assert signal.dtype == f"float{encoding[1:3]}"


def test_a_pipe_is_read_as_a_file_is() -> None:
    os.mkfifo("pipe")
    data = np.arange(200_000, dtype="<i2").tobytes()

    def feed() -> None:
        with open("pipe", "wb") as pipe:
            pipe.write(bytes(3_000_000) + data)

    thread = threading.Thread(target=feed)
    thread.start()
    numbers, signal, _ = read("pipe", "s16le", block=70_000, skip_bytes=3_000_000)
    thread.join()
    assert numbers[0].tolist() == (np.frombuffer(data, "<i2") / (1 << 15)).tolist()
    assert signal.frames is None


def test_a_slow_pipe_gives_its_samples_as_they_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convtool.files.source.PAUSE", 0.01)
    monkeypatch.setattr("convtool.files.source.HEAD", 4)
    reading, writing = os.pipe()
    os.write(writing, b"\1\0\2\0\3")
    with RawReader(Source(os.fdopen(reading, "rb", buffering=0), seekable=False), RawLayout("s16le")) as reader:
        blocks = reader.blocks()
        assert next(blocks).tolist() == [[1, 2]]
        os.write(writing, b"\0\4\0")
        assert next(blocks).tolist() == [[3, 4]]
        os.write(writing, b"\5\0")
        assert reader.read(1).tolist() == [[5]]
        os.close(writing)
        assert list(blocks) == []


@pytest.mark.parametrize("through_a_pipe", [False, True])
def test_bytes_that_make_no_whole_frame_are_told(convtool: Convtool, through_a_pipe: bool) -> None:
    data = stored([1 << 14, 0, 3], "s16le") + b"\1"
    Path("a").write_bytes(data)
    options = ["-k", "1", "--input-format", "raw:s16le", "--channels", "2"]
    run = convtool("convolve", *([] if through_a_pipe else ["a"]), *options, stdin=data)
    assert (run.code, run.out) == (0, "0.5,0\n")
    assert "3 bytes at the end left out: a frame of 2 channels has 4; see --channels" in run.err


def test_what_is_skipped_must_be_there() -> None:
    Path("a").write_bytes(bytes(10))
    with pytest.raises(InputError, match="--skip-bytes 11 is more than there is: 10 bytes"):
        read("a", "u8", skip_bytes=11)
    os.mkfifo("pipe")
    thread = threading.Thread(target=lambda: Path("pipe").write_bytes(bytes(10)))
    thread.start()
    with pytest.raises(InputError, match="--skip-bytes 11 is more than there is: 10 bytes"):
        read("pipe", "u8", skip_bytes=11)
    thread.join()


def test_no_samples_are_an_error(convtool: Convtool) -> None:
    Path("a").write_bytes(bytes(10))
    run = convtool("convolve", "a", "-k", "1", "--input-format", "raw:u8", "--skip-bytes", 10)
    assert (run.code, run.err) == (1, "Error: a: there are 0 samples in it\n")


def test_files_that_say_what_they_are_are_read_as_that() -> None:
    soundfile.write("sound.wav", [0.5, -0.5], 8000)
    os.rename("sound.wav", "sound")
    np.save("a.npy", [3, 4])
    np.savez("b.npz", x=[5, 6])
    Path("c.csv").write_text("left\n7\n8\n")
    Path("numbers").write_text("9,10\n")
    found = {path: read(path, "f32le")[0].tolist() for path in ("sound", "a.npy", "b.npz", "c.csv", "numbers", "1,2")}
    assert found == {
        "sound": [[0.5, -0.5]],
        "a.npy": [[3, 4]],
        "b.npz": [[5, 6]],
        "c.csv": [[7, 8]],
        "numbers": [[9, 10]],
        "1,2": [[1, 2]],
    }


@pytest.mark.parametrize(
    "beginning",
    [
        b"\1\4",  # MPC2K
        b"BM",  # a bitmap
        b"\xff\xfb\x90\x64",  # MP3
        b"\x80\x02",  # a pickle
        b"{ab}",  # JSON
        b"abcd",  # text
    ],
)
def test_numbers_that_look_like_something_else_by_chance_are_numbers(beginning: bytes) -> None:
    data = beginning + bytes(8 - len(beginning)) if beginning[0] < 32 or beginning[0] > 126 else beginning * 2
    Path("a.pcm").write_bytes(data)
    assert read("a.pcm", "u8")[0].tolist() == ((np.frombuffer(data, "u1") - 128.0) / 128)[np.newaxis].tolist()


def test_an_empty_file_is_no_raw_numbers() -> None:
    Path("a").touch()
    with pytest.raises(InputError, match="the file is empty"):
        read("a", "u8")


def test_a_kernel_is_raw_where_the_inputs_are(convtool: Convtool) -> None:
    Path("ir.pcm").write_bytes(np.array([0.25, 0.5, 0.25], "<f4").tobytes())
    raw = ["--input-format", "RAW:f32le"]
    assert convtool("convolve", "1,0", "-k", "ir.pcm", *raw).out == "0.25,0.5,0.25,0\n"
    assert convtool("convolve", "ir.pcm", "-k", "ir.pcm", *raw).out == "0.0625\n0.25\n0.375\n0.25\n0.0625\n"
    assert convtool("convolve", "1,0", "-k", "1", "--bias", "ir.pcm", *raw, "--skip-bytes", 8).out == "1.25,0.25\n"
    soundfile.write("a.wav", [0.5], 8000)
    run = convtool("convolve", "a.wav", "-k", "ir.pcm", *raw, "--sample-rate", 48000)
    assert (run.code, "the kernel is at 48000 Hz, the signal at 8000 Hz" in run.err) == (1, True)


def test_outputs_of_names_without_a_format_are_wav_files(convtool: Convtool) -> None:
    values = np.array([0.25, -0.5], ">f8")
    Path("take.dbl").write_bytes(values.tobytes())
    raw = ["--input-format", "raw:f64be", "--sample-rate", 44100]
    assert convtool("convolve", "take.dbl", "1,2", "-k", "1", "-o", "out/", *raw).code == 0
    info = soundfile.info("out/take.wav")
    assert (info.format, info.subtype, info.samplerate) == ("WAV", "DOUBLE", 44100)
    assert soundfile.read("out/take.wav")[0].tolist() == values.tolist()
    assert Path("out/numbers.csv").read_text() == "1,2\n"
    Path("take.au").write_bytes(values.tobytes())
    assert convtool("convolve", "take.au", "-k", "1", "-o", "out/", *raw).code == 0
    assert soundfile.info("out/take.au").format == "AU"


def test_channels_in_a_batch(convtool: Convtool) -> None:
    Path("take.pcm").write_bytes(np.array([[0.25, 0.75], [1, 0]], "<f4").tobytes())
    raw = ["take.pcm", "--input-format", "raw:f32le", "--channels", 2]
    assert convtool("pad-batch", *raw, "-o", "b.npz").code == 0
    assert np.load("b.npz")["batch"].tolist() == [[[0.25, 1], [0.75, 0]]]
    assert convtool("pad-batch", *raw, "-o", "m.npz", "--mono").code == 0
    assert np.load("m.npz")["batch"].tolist() == [[[0.5, 0.5]]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--input-format", "raw"], "--input-format raw: raw numbers are raw:u8, raw:s8, raw:s16le,"),
        (["--input-format", "raw:s16"], "--input-format raw:s16: raw numbers are raw:u8,"),
        (["--channels", 2], "--channels says how raw numbers lie; give --input-format raw:s16le and such too"),
        (["--skip-bytes", 2, "--input-format", "wav"], "--skip-bytes says how raw numbers lie;"),
        (["--input-format", "pcm"], "convtool knows csv,"),
    ],
)
def test_options_that_do_not_fit(convtool: Convtool, options: list[object], message: str) -> None:
    run = convtool("convolve", "1,2", "-k", "1", *options)
    assert (run.code, message in run.err) == (2, True), run.err
