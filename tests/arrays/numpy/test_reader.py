"""NumPy's files: what NumPy writes is read, what it would unpickle is not."""

from __future__ import annotations

import io
import os
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convtool.arrays import open_weights, raw
from convtool.arrays.description import TensorInfo
from convtool.arrays.numpy import reader as numpy_files
from convtool.arrays.numpy.reader import NpyReader, NpzReader
from convtool.arrays.zip import archive as zips
from convtool.errors import InputError

WIDE = ["f2", "f4", "f8", "i2", "i4", "i8", "u2", "u4", "u8", "c8", "c16"]
DTYPES = [*(f"{order}{code}" for order in "<>" for code in WIDE), "i1", "u1", "?"]
SHAPES: list[tuple[int, ...]] = [(), (0,), (7,), (2, 3), (4, 1, 5), (2, 0, 3)]


def ramp(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    return (np.arange(int(np.prod(shape))).reshape(shape) % 5).astype(dtype)


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def craft(header: str | bytes, data: bytes = bytes(24), *, version: tuple[int, int] = (1, 0)) -> bytes:
    """An NPY file with that very header."""
    text = header if isinstance(header, bytes) else header.encode()
    width = 2 if version == (1, 0) else 4
    return b"\x93NUMPY" + bytes(version) + len(text).to_bytes(width, "little") + text + data


def head(descr: str = "'<f8'", shape: str = "(3,)", fortran: str = "False") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}}}\n"


def pack(path: Path, *members: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> str:
    with warnings.catch_warnings(), zipfile.ZipFile(path / "a.npz", "w", method) as archive:
        warnings.simplefilter("ignore")  # of names that are there twice
        for name, data in members:
            archive.writestr(name, data)
    return str(path / "a.npz")


def save(path: Path, content: bytes) -> str:
    (path / "weights.v1.npy").write_bytes(content)
    return str(path / "weights.v1.npy")


def refusal(path: str) -> str:
    with pytest.raises(InputError) as caught:
        NpyReader(path)
    told = str(caught.value)
    assert "\n" not in told
    return told


# Reading


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", SHAPES)
def test_an_array(tmp_path: Path, shape: tuple[int, ...], order: Any, dtype: str) -> None:
    array = np.asarray(ramp(shape, dtype), order=order)
    with open_weights(save(tmp_path, npy(array))) as file:
        assert (file.format, file.layout, file.notes, file.metadata) == ("npy", "", [], {})
        (tensor,) = file.tensors
        values = file.values(tensor)
    assert tensor == TensorInfo("weights.v1", shape, array.dtype.name, array.nbytes)
    np.testing.assert_array_equal(values, array.astype(array.dtype.newbyteorder("=")), strict=True)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_an_archive(tmp_path: Path, method: int) -> None:
    arrays = {
        f"{dtype} {order} {shape}": np.asarray(ramp(shape, dtype), order=order)
        for dtype in DTYPES
        for order in ("C", "F")
        for shape in SHAPES
    }
    path = pack(tmp_path, *((f"{name}.npy", npy(array)) for name, array in arrays.items()), method=method)
    with open_weights(path) as file:
        assert (file.format, file.layout, file.notes, file.metadata) == ("npz", "", [], {})
        assert [(tensor.name, tensor.shape, tensor.dtype, tensor.nbytes) for tensor in file.tensors] == [
            (name, array.shape, array.dtype.name, array.nbytes) for name, array in arrays.items()
        ]
        for tensor in file.tensors:
            array = arrays[tensor.name]
            np.testing.assert_array_equal(file.values(tensor), array.astype(array.dtype.newbyteorder("=")), strict=True)


def test_what_numpy_saves_is_called_as_numpy_calls_it(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, np.arange(3), **{"conv.weight": np.arange(4), "a/b": np.arange(5)})
    with np.load(path) as loaded, open_weights(str(path)) as file:
        assert [tensor.name for tensor in file.tensors] == loaded.files
        for tensor in file.tensors:
            np.testing.assert_array_equal(file.values(tensor), loaded[tensor.name], strict=True)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("packed", [False, True])
def test_pieces_are_small_and_in_c_order(
    tmp_path: Path, order: Any, packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raw, "PIECE_BYTES", 100)
    array = np.asarray(np.arange(13 * 17, dtype="f4").reshape(13, 17), order=order)
    path = pack(tmp_path, ("m.npy", npy(array))) if packed else save(tmp_path, npy(array))
    with open_weights(path) as file:
        pieces = [piece.copy() for piece in file.pieces(file.tensors[0])]
    assert {piece.nbytes for piece in pieces[:-1]} == {100}
    assert {piece.ndim for piece in pieces} == {1}
    np.testing.assert_array_equal(np.concatenate(pieces), array.ravel())


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_version_of_the_header(tmp_path: Path, version: tuple[int, int]) -> None:
    file = NpyReader(save(tmp_path, craft(head(), np.arange(3.0).tobytes(), version=version)))
    assert file.values(file.tensors[0]).tolist() == [0.0, 1.0, 2.0]


@pytest.mark.parametrize(
    "header",
    [
        head(shape="(3L,)"),
        "{ 'shape': (3,), 'fortran_order': False, 'descr': '<f8', }",
        head(fortran="True"),
        head(descr="'f8'"),
        head(descr="'=f8'"),
    ],
)
def test_what_others_write(tmp_path: Path, header: str) -> None:
    file = NpyReader(save(tmp_path, craft(header, np.arange(3.0).tobytes())))
    assert file.values(file.tensors[0]).tolist() == [0.0, 1.0, 2.0]


def test_what_follows_the_numbers_is_told(tmp_path: Path) -> None:
    content = npy(np.arange(3)) + b"more"
    file = NpyReader(save(tmp_path, content))
    assert file.notes == ["4 bytes follow the numbers of 'weights.v1'; they are not read"]
    assert file.values(file.tensors[0]).tolist() == [0, 1, 2]
    with NpzReader(pack(tmp_path, ("a.npy", content))) as archive:
        assert archive.notes == ["4 bytes follow the numbers of 'a'; they are not read"]


# Refused


OTHERS = [
    (np.array([None]), "holds pickled objects, which are refused; expected numbers", "|O"),
    (np.zeros(3, "i4,f8"), "holds structured records; expected numbers", "record"),
    (np.zeros(3, "V3"), "holds bytes of a type that NumPy lacks; expected numbers", "|V3"),
    (np.zeros(3, "S4"), "holds text; expected numbers", "text"),
    (np.zeros(3, "U4"), "holds text; expected numbers", "text"),
    (np.zeros(3, "M8[s]"), "holds dates; expected numbers", "<M8[s]"),
    (np.zeros(3, "m8[25us]"), "holds spans of time; expected numbers", "<m8[25us]"),
    (np.zeros(3, "g"), "holds what convtool does not read; expected numbers", np.dtype("g").str),
]


def test_bytes_of_a_type_that_numpy_lacks(tmp_path: Path) -> None:
    array = np.array([[0x3F80, 0x4049]], "<u2").view("V2")
    told = "holds bytes of a type that NumPy lacks; expected numbers: "
    way_out = "inspect-weights --void-as bfloat16, float8_e4m3fn or the like says which"
    path = save(tmp_path, npy(array))
    assert refusal(path) == f"the array {told}{way_out}"
    file = NpyReader(path, void_as="bfloat16")
    assert (file.tensors[0].dtype, file.values(file.tensors[0]).tolist()) == ("bfloat16", [[1.0, 3.140625]])
    archive = pack(tmp_path, ("w.npy", npy(array)), ("e.npy", npy(np.array([0x38], "u1").view("V1"))))
    with NpzReader(archive, void_as="float8_e4m3fn") as several:
        wide, eight = several.tensors
        assert (wide.dtype, wide.nbytes, wide.readable) == ("void16", 4, False)
        assert wide.flag == f"{told}these take 16 bits a number, float8_e4m3fn takes 8"
        assert several.values(eight).tolist() == [1.0]


@pytest.mark.parametrize(("array", "told", "dtype"), OTHERS)
def test_arrays_of_something_else(tmp_path: Path, array: np.ndarray, told: str, dtype: str) -> None:
    assert refusal(save(tmp_path, npy(array))) == f"the array {told}"
    with NpzReader(pack(tmp_path, ("o.npy", npy(array)), ("w.npy", npy(np.arange(5))))) as file:
        assert file.tensors[0] == TensorInfo("o", array.shape, dtype, 0, flag=told, readable=False)
        assert file.notes == []
        with pytest.raises(InputError) as caught:
            file.values(file.tensors[0])
        assert str(caught.value) == f"tensor 'o': {told}"
        assert file.values(file.tensors[1]).tolist() == [0, 1, 2, 3, 4]


DAMAGED = "the NPY header is damaged, or ends too early"
HEADERS = [
    (b"", "it does not begin as an NPY file does"),
    (b"\x93NUMPX\1\0" + bytes(99), "it does not begin as an NPY file does"),
    (b"\x93NUMPY\1", "it does not begin as an NPY file does"),
    (b"\x93NUMPY\1\0", DAMAGED),
    (craft(head(), version=(9, 0)), "NPY version 9.0 is unknown; expected 1.0 to 3.0"),
    (craft(head())[:-50], DAMAGED),
    (craft(head().ljust(10_001)), "the NPY header declares 10001 bytes; the limit is 10000"),
    (b"\x93NUMPY\2\0\xff\xff\xff\xff", "the NPY header declares 4294967295 bytes; the limit is 10000"),
    (craft(b"\xff", version=(3, 0)), DAMAGED),
    (craft("(" * 9000), DAMAGED),
    (craft("-" * 9000 + "1"), DAMAGED),
    (craft("{" * 9000), DAMAGED),
    (craft("'\\d' is 1"), DAMAGED),
    (craft("0\0"), DAMAGED),
    (craft("{[]: 1}"), DAMAGED),
    (craft(head(descr="__import__('os')")), DAMAGED),
    (craft(head(shape=f"(0x{'f' * 9000},)")), DAMAGED),
    (craft("{'descr': '<f8'}"), "the NPY header does not tell descr, fortran_order and shape alone"),
    (craft("[]"), "the NPY header does not tell descr, fortran_order and shape alone"),
    (craft(head(fortran="1")), "the NPY header does not tell descr, fortran_order and shape alone"),
    (craft(head(shape="[3]")), "the NPY header does not tell descr, fortran_order and shape alone"),
    (craft(head()[:-2] + ", 'x': 1}"), "the NPY header does not tell descr, fortran_order and shape alone"),
    (craft(head(shape="(-1,)")), "it declares the shape (-1,); expected whole numbers from 0 on"),
    (craft(head(shape="(True,)")), "it declares the shape (True,); expected whole numbers from 0 on"),
    (craft(head(shape="(1.0,)")), "it declares the shape (1.0,); expected whole numbers from 0 on"),
    (craft(head(shape=str((2**62, 2**62)))), "it declares the shape (4611686018427387904, 4611686018427387904), wh"),
    (craft(head(shape=str((1,) * 65))), "it declares 65 axes; the limit is 64"),
]


@pytest.mark.parametrize(("content", "told"), HEADERS)
def test_headers_that_are_damaged_or_lie(tmp_path: Path, content: bytes, told: str) -> None:
    assert refusal(save(tmp_path, content)).startswith(told)
    with NpzReader(pack(tmp_path, ("a.npy", content), ("w.npy", npy(np.arange(5))))) as file:
        damaged, sound = file.tensors
        assert (damaged.name, damaged.shape, damaged.dtype, damaged.readable) == ("a", (0,), "unknown", False)
        assert damaged.flag.startswith(told)
        assert file.values(sound).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("shape", "count"), [((4,), 4), ((10**15,), 10**15), ((2, 2), 4)])
def test_numbers_that_are_not_there(tmp_path: Path, shape: tuple[int, ...], count: int) -> None:
    content = craft(head(shape=str(shape)))
    told = f"is truncated: 3 of {count} numbers are there"
    assert refusal(save(tmp_path, content)) == f"the array {told}"
    with NpzReader(pack(tmp_path, ("a.npy", content))) as file:
        assert (file.tensors[0].flag, file.tensors[0].nbytes, file.tensors[0].readable) == (told, 8 * count, False)


def test_an_array_that_must_be_turned_may_not_be_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numpy_files, "VALUES_LIMIT", 47)
    file = NpyReader(save(tmp_path, npy(np.asfortranarray(np.ones((2, 3))))))
    with pytest.raises(InputError, match=r"^the array is in Fortran order and takes 48 bytes; the limit is 47$"):
        next(file.pieces(file.tensors[0]))


def test_a_file_that_shrinks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw, "PIECE_BYTES", 80)
    path = save(tmp_path, npy(np.arange(100)))
    file = NpyReader(path)
    pieces = file.pieces(file.tensors[0])
    next(pieces)
    os.truncate(path, 300)
    with pytest.raises(InputError, match=r"^the file shrank while it was read$"):
        list(pieces)


def test_members_of_all_sorts(tmp_path: Path) -> None:
    first, second = npy(np.arange(3)), npy(np.arange(4))
    path = pack(tmp_path, ("w.npy", first), ("readme", b"?"), ("../x.npy", first), ("w.npy", second), ("no.txt", b""))
    with open_weights(path) as file:
        assert [(tensor.name, file.values(tensor).tolist()) for tensor in file.tensors] == [
            ("w", [0, 1, 2, 3]),
            ("../x", [0, 1, 2]),
        ]
        assert file.notes == [
            "members that are no .npy files, skipped: 'readme', 'no.txt'",
            "several members of one name, of which the last counts: 'w.npy'",
            "members with names that lead out of the archive, where nothing is written: '../x.npy'",
        ]
    assert os.listdir(tmp_path) == ["a.npz"]


def test_damage_that_only_the_values_show(tmp_path: Path) -> None:
    path = pack(tmp_path, ("a.npy", npy(np.arange(100))), ("b.npy", npy(np.arange(100))))
    content = bytearray(Path(path).read_bytes())
    content[300] ^= 1
    Path(path).write_bytes(content)
    with open_weights(path) as file:
        with pytest.raises(InputError, match=r"^member 'a.npy' is damaged: its checksum \(CRC\) does not match$"):
            file.values(file.find("a"))
        assert file.values(file.find("b")).tolist() == list(range(100))


@pytest.mark.parametrize("kind", ["stored", "deflated", "npy"])
def test_any_damaged_byte_is_told_or_gives_other_numbers(tmp_path: Path, kind: str) -> None:
    array = np.asfortranarray(np.arange(6, dtype=">i2").reshape(2, 3))
    if kind == "npy":
        path = save(tmp_path, npy(array))
    else:
        path = pack(
            tmp_path, ("a.npy", npy(array)), method=zipfile.ZIP_STORED if kind == "stored" else zipfile.ZIP_DEFLATED
        )
    whole = Path(path).read_bytes()
    told = 0
    for at in range(len(whole)):
        Path(path).write_bytes(whole[:at] + bytes([whole[at] ^ 0x5A]) + whole[at + 1 :])
        try:
            with open_weights(path) as file:
                for tensor in file.tensors:
                    assert file.values(tensor).shape == tensor.shape
        except InputError as error:
            told += 1
            assert "\n" not in str(error)  # noqa: PT017 (some damage does not show)
    assert told > 50


def test_members_that_can_not_be_opened_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zips, "VALUES_LIMIT", 10**5)
    path = pack(tmp_path, ("zeros.npy", npy(np.zeros(10**5))), ("w.npy", npy(np.ones(1))), method=zipfile.ZIP_DEFLATED)
    with open_weights(path) as file:
        assert [(tensor.name, tensor.shape, tensor.readable) for tensor in file.tensors] == [
            ("zeros", (0,), False),
            ("w", (1,), True),
        ]
        assert file.tensors[0].flag.startswith("member 'zeros.npy' unpacks, with others packed over 100 times, to 8")
