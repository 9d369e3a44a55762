"""MAT-files as SciPy writes them, and damaged ones."""

from __future__ import annotations

import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.sparse

from convtool.arrays import open_weights
from convtool.arrays.matlab import MatlabReader
from convtool.errors import InputError
from convtool.signals.inputs import Input
from convtool.signals.opening import ReadOptions, open_reader

RANDOM = np.random.default_rng(0)
ARRAYS: dict[str, Any] = {
    "row": np.array([[0.25, 0.5, 0.25]]),
    "column": np.arange(5.0).reshape(5, 1),
    "matrix": RANDOM.standard_normal((3, 4)),
    "cube": RANDOM.standard_normal((2, 3, 4)),
    "single": RANDOM.standard_normal((2, 2)).astype(np.float32),
    "whole": np.array([[1.0, 2.0, 300.0]]),
    "small": np.array([[-7]], np.int8),
    "wide": np.array([[2**60 + 1]], np.int64),
    "unsigned": np.array([[2**63]], np.uint64),
    "flags": np.array([[True, False]]),
    "a": np.array([[1.5]]),
}
OTHERS: dict[str, Any] = {
    "text": "words",
    "cell": np.array([[1, "a"]], dtype=object),
    "struct": {"x": 1},
    "sparse": scipy.sparse.csc_matrix(np.eye(3)),
    "complex": np.array([[1 + 2j]]),
}


@pytest.mark.parametrize("compressed", [False, True])
def test_level_5(tmp_path: Path, compressed: bool) -> None:
    scipy.io.savemat(tmp_path / "x.mat", ARRAYS | OTHERS, do_compression=compressed)
    with open_weights(str(tmp_path / "x.mat")) as file:
        assert (file.format, file.layout) == ("matlab", "")
        assert {tensor.name for tensor in file.tensors} == set(ARRAYS | OTHERS)
        for tensor in file.tensors:
            assert tensor.readable == (tensor.name in ARRAYS)
            assert tensor.is_text == (tensor.name == "text")
            if tensor.readable:
                values, expected = file.values(tensor), ARRAYS[tensor.name]
                assert values.dtype == expected.dtype == np.dtype(tensor.dtype)
                assert tensor.nbytes == expected.nbytes
                np.testing.assert_array_equal(values, expected)
            else:
                with pytest.raises(InputError, match=f"array '{tensor.name}' "):
                    file.values(tensor)


def test_level_4(tmp_path: Path) -> None:
    arrays = {
        "h": RANDOM.standard_normal((1, 9)),
        "m": np.arange(6, dtype=np.int16).reshape(2, 3),
        "c": [[1j]],
        "t": "x",
    }
    scipy.io.savemat(tmp_path / "x.mat", arrays, format="4")
    with open_weights(str(tmp_path / "x.mat")) as file:
        for name in ("h", "m"):
            np.testing.assert_array_equal(file.values(file.find(name)), arrays[name])
        flags = [tensor.flag for tensor in file.tensors if not tensor.readable]
        assert [flag.split()[1].strip(";") for flag in flags] == ["complex", "text"]
        assert [tensor.name for tensor in file.tensors if tensor.is_text] == ["t"]


def test_both_byte_orders(tmp_path: Path) -> None:
    big = (0).to_bytes(2, "big") + (1000).to_bytes(2, "big")
    head = big + b"".join(n.to_bytes(4, "big") for n in (1, 2, 0, 2)) + b"h\0"
    (tmp_path / "4.mat").write_bytes(head + np.array([1.5, -2.0], ">f8").tobytes())

    def element(kind: int, data: bytes) -> bytes:
        return kind.to_bytes(4, "big") + len(data).to_bytes(4, "big") + data + bytes(-len(data) % 8)

    def words(*numbers: int) -> bytes:
        return b"".join(number.to_bytes(4, "big") for number in numbers)

    body = element(6, words(6, 0)) + element(5, words(1, 2)) + element(1, b"longname1")
    body += element(9, np.array([1.5, -2.0], ">f8").tobytes())
    (tmp_path / "5.mat").write_bytes(b"MATLAB 5.0 MAT-file".ljust(124) + b"\1\0MI" + element(14, body))
    for name in ("4.mat", "5.mat"):
        with open_weights(str(tmp_path / name)) as file:
            assert file.values(file.tensors[0]).tolist() == [[1.5, -2.0]]


def test_a_long_vector_comes_in_pieces(tmp_path: Path) -> None:
    values = RANDOM.standard_normal((1, 300_001))
    for compressed in (False, True):
        scipy.io.savemat(tmp_path / "x.mat", {"h": values}, do_compression=compressed)
        with open_weights(str(tmp_path / "x.mat")) as file:
            pieces = [piece.copy() for piece in file.pieces(file.tensors[0])]
            assert len(pieces) == 3
            np.testing.assert_array_equal(np.concatenate(pieces), values[0])


def test_a_matrix_too_large_to_reorder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convtool.arrays.matlab._MATRIX_LIMIT", 40)
    scipy.io.savemat(tmp_path / "x.mat", {"m": np.ones((2, 3)), "v": np.ones((1, 9))})
    with open_weights(str(tmp_path / "x.mat")) as file:
        assert len(file.values(file.find("v"))[0]) == 9
        with pytest.raises(InputError, match="array 'm' takes 48 bytes; the limit is 40"):
            file.values(file.find("m"))


@pytest.mark.parametrize("compressed", [False, True])
def test_damaged_files(tmp_path: Path, compressed: bool) -> None:
    path = tmp_path / "x.mat"
    scipy.io.savemat(path, {"h": RANDOM.standard_normal((1, 50)), "m": np.eye(3)}, do_compression=compressed)
    whole = path.read_bytes()
    noise = np.random.default_rng(1)
    for trial in range(300):
        data = bytearray(whole[: int(noise.integers(128, len(whole)))] if trial % 3 == 0 else whole)
        for _ in range(trial % 4):
            data[int(noise.integers(128, len(data)))] = int(noise.integers(256))
        path.write_bytes(data)
        with suppress(InputError), MatlabReader(str(path)) as file:  # anything else is a fault
            for tensor in file.tensors:
                with suppress(InputError):
                    file.values(tensor)


def test_a_file_that_shrinks_and_one_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.mat"
    scipy.io.savemat(path, {"h": np.ones((1, 50))})
    with MatlabReader(str(path)) as file:
        path.write_bytes(path.read_bytes()[:200])
        with pytest.raises(InputError, match="the file shrank while it was read"):
            file.values(file.tensors[0])

    def fail(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("os.pread", fail)
    with pytest.raises(InputError, match="can't be read: Input/output error"):
        MatlabReader(str(path))


def test_damage_behind_the_beginning(tmp_path: Path) -> None:
    path = tmp_path / "x.mat"
    scipy.io.savemat(path, {"h": RANDOM.standard_normal((1, 300_000))}, do_compression=True)
    data = bytearray(path.read_bytes())
    data[-1_000_000:-999_000] = bytes(1000)
    (tmp_path / "y.mat").write_bytes(data)
    raw = zlib.decompress(path.read_bytes()[136:])
    short = zlib.compress(raw[: len(raw) // 2])
    head = path.read_bytes()[:132] + len(short).to_bytes(4, "little")
    (tmp_path / "z.mat").write_bytes(head + short)
    for name, message in (("y.mat", "it can't be unpacked"), ("z.mat", "bytes are missing in it")):
        with MatlabReader(str(tmp_path / name)) as file, pytest.raises(InputError, match=message):
            file.values(file.tensors[0])


def test_damage_behind_an_array_of_level_4(tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "x.mat", {"h": np.ones((1, 3))}, format="4")
    with (tmp_path / "x.mat").open("ab") as file:
        file.write(bytes(9))
    with pytest.raises(InputError, match="the MAT-file is damaged at byte 46: no array begins there"):
        MatlabReader(str(tmp_path / "x.mat"))


# As signals and kernels


def read(word: str, **options: Any) -> list[Any]:
    with open_reader(Input.of_word(word), ReadOptions(**options)) as reader:
        return np.concatenate(list(reader.blocks(5)), axis=-1).tolist()


def test_vectors_are_one_signal_and_matrices_are_channels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    scipy.io.savemat(
        "x.mat", {"row": [[1.0, 2.0, 3.0]], "column": [[1.0], [2.0], [3.0]], "m": [[1.0, 2.0], [3.0, 4.0]]}
    )
    with h5py.File("y.mat", "w", userblock_size=512) as file:
        file["row"], file["column"] = [[1.0], [2.0], [3.0]], [[1.0, 2.0, 3.0]]
        file["m"] = [[1.0, 3.0], [2.0, 4.0]]  # the axes in reverse
    with open("y.mat", "r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file".ljust(116))
    for name in ("x.mat", "y.mat"):
        assert read(f"{name}::row") == read(f"{name}::column") == [[1, 2, 3]]
        assert read(f"{name}::m") == [[1, 2], [3, 4]]
        assert read(f"{name}::m", layout="NTC") == [[1, 3], [2, 4]]
