"""Arrays of files that hold several, as signals."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import soundfile
from safetensors.numpy import save_file

from convtool.errors import InputError
from convtool.signals.inputs import Input
from convtool.signals.opening import ReadOptions, open_reader
from convtool.signals.signal import Signal


def read(word: str, **options: Any) -> tuple[np.ndarray, Signal]:
    with open_reader(Input.of_word(word), ReadOptions(**options)) as reader:
        blocks = list(reader.blocks(7))
        return np.concatenate(blocks, axis=-1), reader.signal


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


CUBE = np.arange(24).reshape(2, 3, 4)


def test_the_only_array_needs_no_name() -> None:
    np.savez("x.npz", h=[4, 1, 2, 5])
    numbers, signal = read("x.npz")
    assert (numbers.tolist(), signal.dtype, signal.flat, signal.format) == ([[4, 1, 2, 5]], "int64", True, "NPY")


def test_names_and_indices() -> None:
    np.savez_compressed("x.npz", cube=CUBE, flat=np.arange(3.0))
    np.testing.assert_array_equal(read("x.npz::cube")[0], CUBE)
    np.testing.assert_array_equal(read("x.npz::cube[1]")[0], CUBE[1])
    np.testing.assert_array_equal(read("x.npz::cube[-2]")[0], CUBE[0])
    np.testing.assert_array_equal(read("x.npz::cube[1]", layout="NTC")[0], CUBE[1].T)
    assert read("x.npz::flat[2]")[0].tolist() == [[2.0]]
    assert read("x.npz::cube", exact=False)[1].dtype == "float64"


def test_a_name_with_brackets_wins_over_an_index() -> None:
    np.savez("x.npz", **{"a[0]": [7], "a": [1, 2]})
    assert read("x.npz::a[0]")[0].tolist() == [[7]]


def test_large_arrays_come_in_pieces() -> None:
    values = np.random.default_rng(0).standard_normal((3, 200_000))
    save_file({"w": values, "v": values[0, :5]}, "x.safetensors")
    np.testing.assert_array_equal(read("x.safetensors::w[2]")[0], values[2:])


@pytest.mark.parametrize("measurements", [1, 3])
def test_sofa(measurements: int) -> None:
    responses = np.random.default_rng(0).standard_normal((measurements, 2, 8))
    with h5py.File("ir.sofa", "w") as file:
        file["Data.IR"], file["Data.SamplingRate"] = responses, [48000.0]
    numbers, signal = read(f"ir.sofa::Data.IR[{measurements - 1}]")
    np.testing.assert_array_equal(numbers, responses[-1])
    assert signal.sample_rate == 48000
    assert read("ir.sofa::Data.SamplingRate")[1].sample_rate is None
    if measurements == 1:
        np.testing.assert_array_equal(read("ir.sofa::Data.IR")[0], responses[0])
    else:
        with pytest.raises(InputError, match=r"'Data.IR' has 3 measurements; name one, Data.IR\[0\] to \[2\]"):
            read("ir.sofa::Data.IR")


@pytest.mark.parametrize("rates", [[48000.0, 44100.0], [0.5], [0.0]])
def test_a_sample_rate_that_is_none(rates: list[float]) -> None:
    with h5py.File("ir.sofa", "w") as file:
        file["Data.IR"], file["Data.SamplingRate"] = np.ones((1, 2, 8)), rates
    with pytest.raises(InputError, match=r"Data.SamplingRate is \[.*\]; expected one whole number of Hz"):
        read("ir.sofa::Data.IR")


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("x.npz", "it holds 2 arrays; name one, FILE::NAME: 'a', 'b'"),
        ("x.npz::c", "there is no tensor 'c' in it"),
        ("x.npz::a[2]", r"array 'a' has shape \(2, 3\); there is no index 2 in its first axis"),
        ("x.npz::b[0]", r"array 'b' has shape \(\); there is no index 0"),
        ("words.npz", "there is no array of numbers in it; there is 'words'"),
        ("none.npz::none", r"array 'none' has shape \(0, 3\): there are 0 samples in it"),
        ("deep.npz", r"the array has shape \(1, 1, 1, 3\); expected \(T,\), \(C, T\) or \(N, C, T\)"),
        ("missing.npz::a", "no such file"),
        ("x.csv::speed", "the content is text, which has columns: give --columns speed, and the file alone"),
        ("x.wav::left", "the content is WAV, which holds one signal: give the file alone, without ::left"),
        ("x.json", "the content is JSON, no text of numbers: write its numbers as CSV; FILE::NAME takes"),
    ],
)
def test_what_is_no_signal(word: str, message: str) -> None:
    np.savez("x.npz", a=np.ones((2, 3)), b=np.float64(3))
    Path("x.csv").write_text("speed\n1\n")
    Path("x.json").write_text('{"a": [1]}')
    soundfile.write("x.wav", np.zeros(9), 8000)
    np.savez("words.npz", words=["a", "b"])
    np.savez("none.npz", none=np.ones((0, 3)))
    np.savez("deep.npz", deep=np.ones((1, 1, 1, 3)))
    descriptors = os.listdir("/dev/fd")
    with pytest.raises(InputError, match=message):
        read(word)
    assert os.listdir("/dev/fd") == descriptors


def test_a_single_number_is_a_signal_of_one_sample() -> None:
    np.savez("x.npz", b=np.float64(3))
    assert read("x.npz")[0].tolist() == [[3.0]]


def test_containers_on_standard_input_need_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez("x.npz", b=np.float64(3))
    with open("x.npz", "rb") as file:
        kept = os.dup(0)
        os.dup2(file.fileno(), 0)
        try:
            with pytest.raises(
                InputError, match=r"^the content is a zip archive; expected text, arrays, audio or a picture$"
            ):
                read("-")
        finally:
            os.dup2(kept, 0)
            os.close(kept)
