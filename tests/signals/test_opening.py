"""Inputs of any format opened by their content, outputs of any format that appear whole or not at all."""

from __future__ import annotations

import errno
import io
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from convtool.errors import ConvtoolError, InputError, OutputError, UsageError
from convtool.signals.inputs import Input
from convtool.signals.opening import Output, ReadOptions, WriteOptions, check_format, open_reader
from convtool.signals.signal import Signal, as_float
from convtool.signals.text.options import TextOptions

RAMP = np.arange(-4, 4) / 8
SIGNAL = Signal("CSV", 1, "float64", flat=True)
SOUND = Signal("WAV", 1, "float32", 8000, subtype="PCM_16")


def of(path: Path | str) -> Input:
    return Input("file", str(path), os.path.basename(path))


def read(item: Input, **options: Any) -> tuple[list[list[float]], Signal, list[str]]:
    """The numbers, the description and the notes."""
    with open_reader(item, ReadOptions(**options)) as reader:
        blocks = [as_float(block, reader.signal) for block in reader.blocks(3)]
        return np.concatenate(blocks, axis=-1).tolist(), reader.signal, reader.notes


def content(path: Path, format: str) -> Path:
    """`RAMP` as a file of that format."""
    if format == "CSV":
        path.write_text("\n".join(map(str, RAMP)))
    elif format == "NPY":
        with path.open("wb") as file:
            np.save(file, RAMP)
    else:
        soundfile.write(path, RAMP, 8000, format=format)
    return path


@contextmanager
def standard_output() -> Iterator[list[bytes]]:
    """A pipe in the place of standard output; what came out of it is in the list afterwards."""
    end, start = os.pipe()
    out: list[bytes] = []

    def drain() -> None:
        with open(end, "rb") as file:
            out.append(file.read())

    thread = threading.Thread(target=drain)
    thread.start()
    kept = os.dup(1)
    os.dup2(start, 1)
    os.close(start)
    try:
        yield out
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        thread.join()


def fill(output: Output, values: np.ndarray = RAMP) -> None:
    for part in np.split(values, [3]):
        output.write(output.encode(part[np.newaxis]))
    output.commit()
    output.discard()


# Inputs


@pytest.mark.parametrize("named", ["csv", "npy", "wav", "flac", "xyz"])
@pytest.mark.parametrize("format", ["CSV", "NPY", "WAV", "FLAC", "AIFF", "CAF"])
def test_the_content_decides_and_the_note_says_so(tmp_path: Path, format: str, named: str) -> None:
    numbers, signal, notes = read(of(content(tmp_path / f"a.{named}", format)))
    assert (numbers, signal.format) == ([RAMP.tolist()], format)
    wrong = named not in (format.lower(), "xyz")
    assert notes == [f"named .{named}, but its content is {format}; read as that"] * wrong


@pytest.mark.parametrize(("named", "format"), [("wav", "WAVEX"), ("wav", "RF64"), ("rf64", "WAV"), ("opus", "OGG")])
def test_names_of_one_container_do_not_contradict(tmp_path: Path, named: str, format: str) -> None:
    path = tmp_path / f"a.{named}"
    soundfile.write(path, np.zeros(480), 48000, format=format)
    assert read(of(path))[2] == []


@pytest.mark.parametrize(
    ("item", "options", "numbers"),
    [
        (Input("numbers", "4,1,2,5", "numbers"), {}, [[4, 1, 2, 5]]),
        (Input("numbers", "0,5;1", "numbers"), {"text": TextOptions(decimal=",")}, [[0.5, 1]]),
        (Input("numbers", "1,2,3", "numbers"), {"text": TextOptions(columns="3,1")}, [[3], [1]]),
    ],
)
def test_numbers_in_place(item: Input, options: dict[str, Any], numbers: list[list[float]]) -> None:
    assert read(item, **options)[0] == numbers


def test_options_reach_their_readers(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[1, 2], [3, 4]]))
    numbers, signal, _ = read(of(tmp_path / "a.npy"), layout="NTC", exact=False, sample_rate=8000)
    assert (numbers, signal.dtype, signal.layout, signal.sample_rate) == ([[1, 3], [2, 4]], "float64", "NTC", 8000)
    assert read(Input("numbers", "1,2", ""), exact=False)[1].dtype == "float64"


def test_the_files_own_sample_rate_comes_first(tmp_path: Path) -> None:
    assert read(of(content(tmp_path / "a.wav", "WAV")), sample_rate=44100)[1].sample_rate == 8000


def test_standard_input(tmp_path: Path) -> None:
    kept = os.dup(0)
    try:
        for format in ("CSV", "NPY", "WAV"):
            with content(tmp_path / "a", format).open("rb") as file:
                os.dup2(file.fileno(), 0)
            assert read(Input("stdin", "-", "stdin"))[0] == [RAMP.tolist()]
    finally:
        os.dup2(kept, 0)
        os.close(kept)


def test_a_format_that_is_named_wins(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"%PDF\na\n1\n2\n")
    with pytest.raises(InputError, match=r"^the content is a PDF document; expected text, arrays, audio or a picture$"):
        read(of(tmp_path / "a"))
    numbers, signal, _ = read(of(tmp_path / "a"), input_format="csv")
    assert (numbers, signal.names) == ([[1, 2]], ("a",))


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.wav", b"not audio\nat all\n", "the content is no WAV, and as text line 2, column 1: 'at' is not a number"),
        ("a.npy", b"1\nx\n", "the content is no NPY, and as text line 2, column 1: 'x' is not a number"),
        ("a.csv", b"1\nx\n", "line 2, column 1: 'x' is not a number"),
        ("a.xyz", b"1\nx\n", "line 2, column 1: 'x' is not a number"),
        (
            "a.csv",
            b"\0\1\2",
            "the content is binary and no CSV: it begins with 00 01 02; expected text, arrays, audio or a picture",
        ),
        ("a.npy", b"\0\1\2", "the content is binary and no NPY: it begins with 00 01 02; expected"),
        ("a.wav", b"\0\1\2", "the content is binary and no WAV: it begins with 00 01 02; expected"),
        ("a.xyz", b"\0\1\2", "the content is of no kind that convtool knows: raw numbers are read with"),
        ("a.raw", b"\0\1\2", "the content is of no kind that convtool knows: raw numbers are read with"),
        ("a.wav", b"", "the file is empty: expected a signal"),
    ],
)
def test_what_was_found_instead(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(data)
    descriptors = os.listdir("/dev/fd")
    with pytest.raises(InputError) as caught:
        read(of(tmp_path / name))
    assert str(caught.value).startswith(message)
    assert os.listdir("/dev/fd") == descriptors


# Outputs


@pytest.mark.parametrize(
    ("name", "options", "format", "subtype"),
    [
        ("a.csv", {}, "CSV", None),
        ("a.npy", {}, "NPY", None),
        ("a.wav", {}, "WAV", "PCM_16"),
        ("a.wav", {"subtype": "PCM_24"}, "WAV", "PCM_24"),
        ("a.flac", {}, "FLAC", "PCM_16"),
        ("a.wav", {"format": "aiff"}, "AIFF", "PCM_16"),
        ("a.wav", {"format": "npy"}, "NPY", None),
        ("a.xyz", {}, "WAV", "PCM_16"),
        ("a", {}, "WAV", "PCM_16"),
    ],
)
def test_the_name_or_the_option_or_the_input_decides(
    tmp_path: Path, name: str, options: dict[str, str], format: str, subtype: str | None
) -> None:
    output = Output(str(tmp_path / name), SOUND, WriteOptions(**options))
    assert (output.format, output.subtype) == (format, subtype)
    assert not (tmp_path / name).exists()
    fill(output)
    numbers, signal, _ = read(of(tmp_path / name))
    assert (numbers, signal.format, signal.subtype) == ([RAMP.tolist()], format, subtype)


@pytest.mark.parametrize(
    ("name", "text"), [("a.csv", "1,2\n3,4\n"), ("a.tsv", "1\t2\n3\t4\n"), ("a.txt", "1 2\n3 4\n")]
)
def test_the_extension_chooses_what_stands_between_cells(tmp_path: Path, name: str, text: str) -> None:
    output = Output(str(tmp_path / name), Signal("CSV", 2, "int64"), WriteOptions())
    output.write(output.encode(np.array([[1, 3], [2, 4]])))
    output.commit()
    assert (tmp_path / name).read_text() == text


def test_opus_is_opus(tmp_path: Path) -> None:
    fill(Output(str(tmp_path / "a.opus"), Signal("WAV", 1, "float32", 48000, subtype="PCM_16"), WriteOptions()))
    info = soundfile.info(tmp_path / "a.opus")
    assert (info.format, info.subtype, info.frames) == ("OGG", "OPUS", 8)


@pytest.mark.parametrize(
    ("format", "magic"),
    [("csv", b"-0.5,"), ("wav", b"RIFF\xff\xff\xff\xffWAVE"), ("npy", b"\x93NUMPY"), ("flac", b"fLaC")],
)
def test_standard_output_takes_every_format(tmp_path: Path, format: str, magic: bytes) -> None:
    with standard_output() as out:
        fill(Output(None, Signal("CSV", 1, "float64", 8000, flat=True), WriteOptions(format=format)))
    assert out[0].startswith(magic)
    (tmp_path / f"a.{format}").write_bytes(out[0])
    numbers, _, notes = read(of(tmp_path / f"a.{format}"))
    assert (numbers, notes) == ([RAMP.tolist()], [])


def test_without_a_format_standard_output_is_text() -> None:
    with standard_output() as out:
        fill(Output(None, SIGNAL, WriteOptions()), np.array([4.0, 9, 0, 8, 8, -5]))
    assert out == [b"4,9,0,8,8,-5\n"]


def test_a_discarded_spool_leaves_standard_output_empty() -> None:
    with standard_output() as out:
        output = Output(None, SIGNAL, WriteOptions(format="npy"))
        output.write(output.encode(RAMP[np.newaxis]))
        output.discard()
    assert out == [b""]


@pytest.mark.parametrize(
    ("name", "signal", "options", "message"),
    [
        ("a.wav", SIGNAL, {}, "there is no sample rate to write WAV with; give --sample-rate"),
        ("a.flac", SOUND, {"subtype": "DOUBLE"}, "FLAC can't hold subtype DOUBLE; it can hold PCM_16, PCM_24, PCM_S8"),
        ("a.xyz", Signal("ODD", 1, "float32", 8000), {}, "ODD can be read but not written; choose another with"),
    ],
)
def test_an_output_that_can_not_be(
    tmp_path: Path, name: str, signal: Signal, options: dict[str, str], message: str
) -> None:
    with pytest.raises(ConvtoolError) as caught:
        Output(str(tmp_path / name), signal, WriteOptions(**options))
    assert str(caught.value).startswith(message)
    assert list(tmp_path.iterdir()) == []


def test_nan_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"old")
    output = Output(str(tmp_path / "a.wav"), SOUND, WriteOptions())
    output.write(output.encode(np.array([[0.0, np.nan]])))
    with pytest.raises(InputError, match=r"^1 results are NaN or infinite, the first at sample 1;"):
        output.commit()
    output.discard()
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a.wav", b"old")]


class Full(io.BytesIO):
    """A device that refuses."""

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self._error = error

    def write(self, _: Any) -> int:
        raise self._error


@pytest.mark.parametrize("step", ["write", "commit"])
@pytest.mark.parametrize("name", ["a.csv", None])
def test_a_full_disk_is_told_with_the_name(tmp_path: Path, name: str | None, step: str) -> None:
    path = None if name is None else str(tmp_path / name)
    output = Output(path, SIGNAL, WriteOptions())
    output.writer._file = Full(OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(OutputError) as caught:
        output.write(("1", 1.0)) if step == "write" else output.commit()
    output.discard()
    left = "what it has taken is incomplete" if name is None else "nothing was left under that name"
    assert str(caught.value) == f"{path or 'standard output'}: the disk is full; {left}"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("step", ["write", "commit"])
def test_a_closed_pipe_stays_what_it_is(step: str) -> None:
    output = Output(None, SIGNAL, WriteOptions())
    output.writer._file = Full(BrokenPipeError())
    with pytest.raises(BrokenPipeError):
        output.write(("1", 1.0)) if step == "write" else output.commit()


def test_format_names() -> None:
    for name in (None, "csv", "npy", "opus"):
        check_format(name)
    with pytest.raises(UsageError, match=r"^'docx' is no format convtool writes; it writes csv, tsv, txt, npy, wav, "):
        check_format("docx")
