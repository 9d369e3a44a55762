"""HDF5 through its child process: values, what is never followed, bombs, damage, crashes and hangs."""

from __future__ import annotations

import io
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from h5py import h5d, h5p, h5s, h5t, h5z
from hypothesis import given
from hypothesis import strategies as st

from convtool.arrays import open_weights
from convtool.arrays.hdf5 import child as hdf5_child
from convtool.arrays.hdf5 import process as hdf5_process
from convtool.arrays.hdf5 import walk as hdf5_walk
from convtool.arrays.hdf5.process import Hdf5Process, slabs
from convtool.arrays.keras.hdf5_file import Hdf5Reader
from convtool.errors import InputError, UsageError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "w.h5"


def ramp(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    return (np.arange(math.prod(shape)) % 100).reshape(shape).astype(dtype)


def notes(path: Path) -> list[str]:
    with Hdf5Reader(str(path)) as file:
        return file.notes


def names(path: Path) -> list[str]:
    with Hdf5Reader(str(path)) as file:
        return [tensor.name for tensor in file.tensors]


def flags(path: Path) -> dict[str, tuple[str, bool]]:
    with Hdf5Reader(str(path)) as file:
        return {tensor.name: (tensor.flag, tensor.readable) for tensor in file.tensors}


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        Hdf5Reader(str(path))
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Values


@pytest.mark.parametrize(
    "dtype", ["f2", "f4", ">f4", "f8", ">f8", "i1", "u1", ">i2", "u2", "i4", "u8", ">i8", "?", "c8", ">c16"]
)
def test_values_of_every_type(path: Path, dtype: str) -> None:
    array = ramp((3, 5), dtype)
    with h5py.File(path, "w") as file:
        file["a"] = array
    with open_weights(str(path)) as opened:
        (tensor,) = opened.tensors
        native = array.dtype.newbyteorder("=")
        assert (opened.format, opened.layout, opened.notes, opened.metadata) == ("hdf5", "", [], {})
        assert (tensor.name, tensor.shape, tensor.dtype) == ("a", (3, 5), native.name)
        assert (tensor.nbytes, tensor.flag, tensor.readable) == (array.nbytes, "", True)
        np.testing.assert_array_equal(opened.values(tensor), array.astype(native), strict=True)


LAYOUTS: list[dict[str, Any]] = [
    {},
    {"chunks": (2, 3, 4)},
    {"chunks": (1, 7, 9)},
    {"chunks": True, "compression": "gzip", "shuffle": True, "fletcher32": True},
    {"chunks": (5, 1, 2), "compression": "lzf"},
    {"chunks": (1, 1, 1), "scaleoffset": 0},
]


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("piece", [8, 24, 100, 1 << 20])
def test_pieces_of_every_layout_join_to_the_whole(
    path: Path, layout: dict[str, Any], piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convtool.arrays.raw.PIECE_BYTES", piece)
    monkeypatch.setattr("convtool.arrays.hdf5.process.PIECE_BYTES", piece)
    array = ramp((6, 7, 9), "i4")
    with h5py.File(path, "w") as file:
        file.create_dataset("a", data=array, **layout)
    with Hdf5Reader(str(path)) as opened:
        pieces = [part.copy() for part in opened.pieces(opened.find("a"))]
    assert max(part.nbytes for part in pieces) <= piece
    np.testing.assert_array_equal(np.concatenate(pieces), array.ravel(), strict=True)


def test_two_tensors_read_in_turns(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convtool.arrays.raw.PIECE_BYTES", 80)
    with h5py.File(path, "w") as file:
        file["a"], file["b"] = np.arange(100.0), -np.arange(100.0)
    with Hdf5Reader(str(path)) as opened:
        pairs = [(a == -b).all() for a, b in zip(*map(opened.pieces, opened.tensors), strict=True)]
    assert pairs == [True] * 10


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1, 1)])
def test_values_of_edge_shapes(path: Path, shape: tuple[int, ...]) -> None:
    with h5py.File(path, "w") as file:
        file["a"] = np.full(shape, 2.5)
    with Hdf5Reader(str(path)) as opened:
        assert opened.tensors[0].shape == shape
        values = opened.values(opened.tensors[0])
    np.testing.assert_array_equal(values, np.full(shape, 2.5), strict=True)


def test_bfloat16_comes_as_float32(path: Path) -> None:
    exact = np.array([[1.0, -2.5, 3e38], [np.inf, 2.0**-126, 0.0]], np.float32)
    upper = (exact.view(np.uint32) >> 16).astype("<u2")
    with h5py.File(path, "w") as file:
        file["a"] = upper.view("V2")
    with Hdf5Reader(str(path)) as opened:
        (tensor,) = opened.tensors
        assert (tensor.dtype, tensor.nbytes) == ("bfloat16", 12)
        values = opened.values(tensor)
    np.testing.assert_array_equal(values, (upper.astype(np.uint32) << 16).view(np.float32), strict=True)


@given(
    axes=st.lists(st.tuples(st.integers(1, 12), st.integers(1, 12)), max_size=4),
    chunked=st.booleans(),
    itemsize=st.sampled_from([1, 4, 1 << 14, 1 << 20]),
)
def test_slabs_join_in_order_and_are_of_whole_chunks(axes: list[tuple[int, int]], chunked: bool, itemsize: int) -> None:
    shape = tuple(size for size, _ in axes)
    chunks = tuple(min(pair) for pair in axes) if chunked and axes else None
    array = np.arange(math.prod(shape)).reshape(shape)
    joined: list[int] = []
    for start, count in slabs(shape, chunks, itemsize):
        joined += array[tuple(slice(at, at + size) for at, size in zip(start, count, strict=True))].ravel().tolist()
        along = next((axis for axis, (size, whole) in enumerate(zip(count, shape, strict=True)) if size < whole), None)
        for axis, chunk in enumerate(chunks or ()):
            assert start[axis] % chunk == 0
            assert count[axis] % chunk == 0 or start[axis] + count[axis] == shape[axis]
        if chunks is None and along is not None:
            assert math.prod(count) * itemsize <= max(1 << 20, itemsize)
    assert joined == array.ravel().tolist()


def test_names_are_kept_as_they_are_and_sorted_by_number(path: Path) -> None:
    with h5py.File(path, "w") as file:
        for name in ("b10", "b2", "b", "\x1b[31m[red]\n", "é"):
            file[name] = [1.0]
        file.id.links.create_hard(b"\xff\xfe", file.id, b"b")
    assert names(path) == ["\x1b[31m[red]\n", "b", "b2", "b10", "é", "\udcff\udcfe"]
    with Hdf5Reader(str(path)) as opened:
        assert opened.find("\udcff\udcfe").tied_to == "b"
        assert opened.values(opened.find("\x1b[31m[red]\n")).tolist() == [1.0]


def test_a_user_block(path: Path) -> None:
    with h5py.File(path, "w", userblock_size=512) as file:
        file["a"] = np.arange(3.0)
    with open_weights(str(path)) as opened:
        assert opened.values(opened.find("a")).tolist() == [0, 1, 2]


# What is not followed, and what is no number


def test_links_are_told_and_not_followed(path: Path, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["secret"] = [42.0]
    with h5py.File(path, "w") as file:
        file["g/w"] = [1.0]
        file["out"] = h5py.ExternalLink("other.h5", "/secret")
        file["g/up"] = h5py.SoftLink("/g")
        file["g/near"] = h5py.SoftLink("w")
        file["lost"] = h5py.SoftLink("/nowhere")
        file["through"] = h5py.SoftLink("/out")
    assert names(path) == ["g/w"]
    assert notes(path) == [
        "links to other files, not followed: 'out'",
        "soft links, not followed: 'g/near', 'g/up', 'through'",
        "soft links that lead nowhere: 'lost'",
    ]


def test_where_soft_links_lead(path: Path) -> None:
    """Over other links, and further names of groups; what is behind another file is not looked for."""
    with h5py.File(path, "w") as file:
        file["g/w"] = [1.0]
        file["loop"] = file["g"]
        file["type"] = np.dtype("f4")
        file["out"] = h5py.ExternalLink("other.h5", "/")
        there = {
            "a": "/g/w",
            "b": "/loop/w",
            "c": "b",
            "d": "dir/w",
            "dir": "/loop",
            "e": "/type",
            "f": "out/x",
            "h": "/",
        }
        nowhere = {"m": "m", "n": "o", "o": "n", "p": "/g/w/x", "q": "dir/gone", "r": "m/w"}
        for name, target in (there | nowhere).items():
            file[name] = h5py.SoftLink(target)
        for hop in range(18):
            file[f"z/{hop:02}"] = h5py.SoftLink(f"/z/{hop + 1:02}" if hop < 17 else "/g")
        assert file["z/02/w"][()].tolist() == [1.0]
        with pytest.raises(RuntimeError, match="too many links"):
            file["z/01"]
    assert names(path) == ["g/w"]
    further, out, followed, lost = notes(path)
    assert further == "groups under further names, listed under the first: 'loop = g'"
    assert out == "links to other files, not followed: 'out'"
    assert followed == "soft links, not followed: 'a', 'b', 'c', 'd', 'dir', 'e', 'f', 'h' and 16 more"
    assert lost == "soft links that lead nowhere: 'm', 'n', 'o', 'p', 'q', 'r', 'z/00', 'z/01'"


def test_hard_links_are_one_tensor_and_cycles_end(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["a/w"] = np.arange(4.0)
        file["b"] = file["a/w"]
        file["a/again"], file["root"] = file["a"], file["/"]
    with Hdf5Reader(str(path)) as opened:
        assert [(t.name, t.tied_to, t.nbytes, t.parameters) for t in opened.tensors] == [
            ("a/w", "", 32, 4),
            ("b", "a/w", 0, 0),
        ]
        assert opened.notes == ["groups under further names, listed under the first: 'a/again = a', 'root = /'"]
        assert opened.values(opened.tensors[0]).tolist() == [0, 1, 2, 3]


def test_the_first_of_several_names_is_the_first_that_is_listed(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["w10"] = np.arange(4.0)
        file["w2"] = file["w10"]
        file["z/w1"] = file["w10"]
    with Hdf5Reader(str(path)) as opened:
        assert [(t.name, t.tied_to, t.nbytes) for t in opened.tensors] == [
            ("w2", "", 32),
            ("w10", "w2", 0),
            ("z/w1", "w2", 0),
        ]


def test_a_group_is_listed_under_its_first_name(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["g/kernel"] = np.arange(4.0)
        file["loop"] = file["g"]
        file["early"] = file["loop"]
    with Hdf5Reader(str(path)) as opened:
        assert [tensor.name for tensor in opened.tensors] == ["early/kernel"]
        assert opened.notes == ["groups under further names, listed under the first: 'g = early', 'loop = early'"]


def test_values_in_other_files_are_not_read(path: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"password")
    with h5py.File(path, "w") as file:
        file.create_dataset("external", (8,), "u1", external=[(str(tmp_path / "secret"), 0, 8)])
        layout = h5py.VirtualLayout((8,), "u1")
        layout[:] = h5py.VirtualSource(str(path), "external", (8,))
        file.create_virtual_dataset("virtual", layout)
    assert flags(path) == {
        "external": (f"its values lie in another file, {str(tmp_path / 'secret')!r}: not read", False),
        "virtual": ("a virtual dataset, its values lie in others: not read", False),
    }
    with Hdf5Reader(str(path)) as opened:
        for tensor in opened.tensors:
            with pytest.raises(InputError, match=f"^tensor '{tensor.name}' can't be read: .*: not read$"):
                opened.values(tensor)


def create(file: h5py.File, name: bytes, kind: h5t.TypeID, plist: h5p.PropDCID | None = None) -> None:
    h5d.create(file.id, name, kind, h5s.create_simple((3,)), plist)


def test_what_holds_no_numbers_is_listed_and_flagged(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["lists"] = np.array([b"abc"])
        file["text"] = ["a", "b"]
        file.create_dataset("ragged", 2, h5py.vlen_dtype("f4"))
        file["records"] = np.zeros(2, "i4,f8")
        file["opaque"] = np.zeros(2, "V3")
        file["long"] = np.zeros(2, "g")
        file["type"] = np.dtype("f4")  # a named type, no dataset
        file["none"] = h5py.Empty("f4")
        create(file, b"time", h5t.UNIX_D32LE)
    found = flags(path)
    assert found.pop("none") == ("", True)
    assert {name: flag for name, (flag, _) in found.items()} == {
        "lists": "it holds text: not read",
        "text": "it holds text: not read",
        "ragged": "it holds references or lists of varying length: not read",
        "records": "it holds records or opaque bytes: not read",
        "opaque": "it holds records or opaque bytes: not read",
        "long": f"it holds {np.dtype('g').name}: not read",
        "time": "its numbers are of a type that NumPy lacks",
    }
    assert not any(readable for _, readable in found.values())


def test_a_filter_that_is_not_there(path: Path) -> None:
    with h5py.File(path, "w") as file:
        plist = h5p.create(h5p.DATASET_CREATE)
        plist.set_chunk((3,))
        plist.set_filter(32999, h5z.FLAG_OPTIONAL)
        create(file, b"packed", h5t.IEEE_F32LE, plist)
    assert flags(path) == {"packed": ("packed by filter 32999 (''), which HDF5 lacks without plug-ins", False)}


def test_bombs(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("huge", (1 << 50,), "f8", chunks=(1 << 10,))
        file.create_dataset("unwritten", (1000,), "f4")
        zeros = file.create_dataset("zeros", (1 << 20,), "f4", chunks=(1 << 18,), compression="gzip")
        zeros[:] = 0
        wide = file.create_dataset("wide", (64, 1 << 20), "f4", chunks=(64, 1), compression="gzip")
        one = file.create_dataset("one", (1, 1), "f4", chunks=(1 << 13, 1 << 12), maxshape=(None, None))
        stored = zeros.id.get_storage_size()
        del wide, one
    found = flags(path)
    assert found["huge"] == (f"declares {1 << 53} bytes, stores 0", False)
    assert found["unwritten"] == ("declares 4000 bytes, stores 0", True)
    assert found["zeros"] == (f"declares {1 << 22} bytes, stores {stored}", True)
    assert found["wide"][0].startswith(
        f"in chunks of (64, 1), it takes {1 << 28} bytes to put them in order; the limit"
    )
    assert found["one"][0].startswith(f"in chunks of (8192, 4096), it takes {1 << 27} bytes")
    with Hdf5Reader(str(path)) as opened:
        assert sum(np.count_nonzero(piece) for piece in opened.pieces(opened.find("zeros"))) == 0
        with pytest.raises(InputError, match="declares 9007199254740992 bytes, stores 0"):
            next(opened.pieces(opened.find("huge")))


def test_groups_nested_deeply(path: Path) -> None:
    with h5py.File(path, "w") as file:
        group: Any = file
        for _ in range(1200):
            group = group.create_group("g")
        group["w"] = [1.0]
    assert names(path) == ["g/" * 1200 + "w"]


# Damage


@pytest.mark.parametrize("block", [0, 512])
@pytest.mark.parametrize("keep", [400, 2100, 2847])
def test_a_cut_file(path: Path, keep: int, block: int) -> None:
    with h5py.File(path, "w", userblock_size=block) as file:
        file["w"] = np.arange(100.0)
    size = path.stat().st_size
    os.truncate(path, block + keep)
    assert refusal(path) == f"the HDF5 file is truncated: {block + keep} of {size} bytes are there"


@pytest.mark.parametrize("version", ["earliest", "latest"])
def test_a_file_that_is_cut_in_its_first_block(path: Path, version: str) -> None:
    """HDF5 tells how long the file was where it has read that far."""
    with h5py.File(path, "w", libver=version) as file:
        file["w"] = np.arange(100.0)
    os.truncate(path, 60)
    assert re.match(r"the HDF5 file is (damaged: |truncated: 60 of \d+ bytes are there)", refusal(path))


def patched(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


@pytest.mark.parametrize("block", [b"TREE", b"SNOD"])
def test_a_damaged_root(path: Path, block: bytes) -> None:
    with h5py.File(path, "w") as file:
        file["w"] = [1.0]
    patched(path, path.read_bytes().index(block), block[::-1])
    assert refusal(path).startswith("the HDF5 file is damaged: ")


def test_damaged_objects_are_told_and_the_others_listed(path: Path) -> None:
    with h5py.File(path, "w") as file:
        header = h5py.h5o.get_info(file.create_dataset("bad", data=[1.0]).id).addr
        file["good"] = [2.0]
        file["group/w"] = [3.0]
        file["last/w"] = [4.0]
    data = path.read_bytes()
    patched(path, header, b"\xff" * 8)
    patched(path, data.rindex(b"SNOD"), b"DONS")  # that of the group written last
    assert names(path) == ["good", "group/w"]
    assert notes(path) == ["damaged objects, left out: 'bad', 'last'"]


def test_damaged_values_are_told_when_they_are_read(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("w", data=np.arange(1000.0), chunks=(1000,), fletcher32=True)
        offset = file["w"].id.get_chunk_info(0).byte_offset
    patched(path, offset + 100, b"\xff")
    with Hdf5Reader(str(path)) as opened:
        assert opened.tensors[0].flag == ""
        with pytest.raises(InputError, match=r"^tensor 'w' can't be read: the HDF5 file is damaged: "):
            opened.values(opened.tensors[0])


# Limits, in this process


def answer(file: h5py.File) -> tuple[bytes, bytes]:
    kind, content = hdf5_child.Reader(file, size=1 << 30, progress=lambda: None).answer({"list": True})
    return kind, bytes(content)


def listing(file: h5py.File) -> dict[str, Any]:
    kind, content = answer(file)
    assert kind == b"J"
    return json.loads(content)


@pytest.fixture
def file() -> Any:
    with h5py.File("none", "w", driver="core", backing_store=False) as file:
        yield file


@pytest.mark.parametrize(
    ("limit", "value", "message"),
    [
        ("walk._LINKS_LIMIT", 7, "it has more than 7 groups and datasets"),
        ("walk._TEXT_LIMIT", 40, "its names and attributes take more than 40 bytes"),
        ("child._LISTING_LIMIT", 100, "its listing takes more than 100 bytes"),
    ],
)
def test_more_than_is_taken(
    file: h5py.File, limit: str, value: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(4):
        file[f"group{index}/w"] = [1.0]
    assert len(listing(file)["datasets"]) == 4
    monkeypatch.setattr(f"convtool.arrays.hdf5.{limit}", value)
    assert answer(file) == (b"E", message.encode())


def test_attributes_of_keras(file: h5py.File, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hdf5_walk, "_ATTRIBUTE_LIMIT", 200)
    file.attrs.update(
        {"backend": b"torch", "keras_version": "3.1", "model_config": 5, "other": "x", "name": ["a", "b"]}
    )
    file.attrs["layer_names"] = np.array([b"a", b"b"])
    file.attrs["weight_names0"], file.attrs["weight_names1"] = np.array([b"c"]), np.array([b"d"])
    big, empty, split = (file.create_group(name) for name in ("big", "empty", "split"))
    big.attrs["layer_names"] = np.array([b"x" * 90] * 3)
    empty.attrs["name"] = h5py.Empty("S3")
    split.attrs["layer_names0"] = np.array([b"e"])
    assert listing(file)["groups"] == {
        "": {"backend": "torch", "keras_version": "3.1", "layer_names": ["a", "b"], "weight_names": ["c", "d"]},
        "big": {"layer_names": []},
        "empty": {},
        "split": {"layer_names": ["e"]},
    }


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError(), f"it takes more than {320 << 20} bytes of memory"),
        (OSError("Unable to open (bad\n  magic (1))"), "the HDF5 file is damaged: bad magic (1)"),
        (RuntimeError("no parentheses"), "the HDF5 file is damaged: no parentheses"),
        (KeyError(), "the HDF5 file is damaged: KeyError"),
    ],
)
def test_the_line_for_an_error_of_the_library(error: Exception, message: str) -> None:
    assert hdf5_child.damage(error) == message


@pytest.fixture
def served(path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], bytes]:
    """What a child would answer to two requests for a listing, without its limits."""
    monkeypatch.setattr(hdf5_child, "limit", lambda *_: None)

    def run() -> bytes:
        answers = io.BytesIO()
        with path.open("rb") as file:
            hdf5_child.serve(file, io.BytesIO(b'{"list": true}\n' * 2), answers)
        return answers.getvalue()

    return run


def test_what_is_no_hdf5_file_is_told_at_each_request(path: Path, served: Callable[[], bytes]) -> None:
    path.write_bytes(b"nothing")
    message = b"the HDF5 file is damaged: file signature not found"
    assert served() == (hdf5_child.FRAME.pack(b"E", len(message)) + message) * 2


def test_a_long_listing_shows_that_it_goes_on(
    path: Path, served: Callable[[], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    with h5py.File(path, "w") as file:
        file["a/b"] = [1.0]
    pulse = hdf5_child.FRAME.pack(b"P", 0)
    assert pulse not in served()
    monkeypatch.setattr(hdf5_child, "_PULSE_SECONDS", -1)
    assert served().startswith(pulse * 2 + b"J")


# The child process


Run = Callable[[str], str]


@pytest.fixture
def child(path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """What is told of the file when the child is a Python that runs the given lines."""
    with h5py.File(path, "w") as file:
        file["w"] = [1.0]

    def run(lines: str) -> str:
        monkeypatch.setattr(
            hdf5_process,
            "command",
            lambda number, stretch: [sys.executable, "-c", lines, str(number), *map(str, stretch)],
        )
        return refusal(path)

    return run


@pytest.mark.parametrize(
    ("lines", "how"),
    [
        ("import os; os.abort()", "crashed on it (SIGABRT): the file is damaged"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "crashed on it (SIGSEGV): the file is damaged"),
        ("input(); print('J', end='', flush=True)", "crashed on it (exit code 0): the file is damaged"),
        ("input(); print('P' + chr(0) * 8, end='', flush=True)", "crashed on it (exit code 0): the file is damaged"),
        ("raise SystemExit(3)", "crashed on it (exit code 3): the file is damaged"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGXCPU)", "computed too long and was stopped"),
        ("input(); print('J' * 9); input()", "crashed on it (SIGKILL): the file is damaged"),
    ],
)
def test_a_child_that_dies(child: Run, lines: str, how: str) -> None:
    assert child(lines).startswith(f"the HDF5 library {how}")


def test_a_child_that_reads_nothing(path: Path, child: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    process = Hdf5Process(path.open("rb"))
    process._child.kill()
    process._child.wait()
    with pytest.raises(InputError, match=r"^the HDF5 library crashed on it \(SIGKILL\)"):
        process.listing()
    process.close()


def test_a_child_that_hangs(child: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hdf5_process, "PATIENCE", 0.2)
    assert child("import time; time.sleep(60)") == (
        "the HDF5 library hung for 0.2 s and was stopped: the file is damaged"
    )


def test_a_child_that_does_not_end(path: Path, child: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hdf5_process, "_GRACE", 0.1)
    monkeypatch.setattr(hdf5_process, "command", lambda *_: [sys.executable, "-c", "import time; time.sleep(60)"])
    process = Hdf5Process(path.open("rb"))
    process.close()
    assert process._child.returncode == -9


def test_the_child_can_open_no_file_and_load_no_plug_in(child: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HDF5_PLUGIN_PATH", "/somewhere")
    assert json.loads(child(REPORT)) == [24, "::", None]


REPORT = """
import json, os
from convtool.arrays.hdf5 import child as hdf5_child
def answer(*_):
    try:
        number = os.open("/dev/null", os.O_RDONLY)
    except OSError as error:
        number = error.errno
    report = json.dumps([number, os.environ["HDF5_PLUGIN_PRELOAD"], os.environ.get("HDF5_PLUGIN_PATH")])
    return b"E", report.encode()
hdf5_child.load, hdf5_child.Reader.answer = lambda: None, answer
hdf5_child.main()
"""


def test_h5py_is_asked_for_where_it_is_missing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_bytes(b"\x89HDF\r\n\x1a\n")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"^an HDF5 file needs h5py, .*: pip install 'convtool\[weights\]'$"):
        open_weights(str(path))


def test_listing_imports_neither_h5py_nor_numpy(path: Path, tmp_path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["w"] = [1.0]
    script = (
        "import sys; from convtool.arrays import open_weights\n"
        f"with open_weights({str(path)!r}) as file: print(file.tensors[0].name, {{'h5py', 'numpy'}} & {{*sys.modules}})"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout.split() == [b"w", b"set()"]


@pytest.mark.parametrize("shape", [(), (2, 3)])
def test_numbers_in_the_header_of_their_dataset(path: Path, shape: tuple[int, ...]) -> None:
    with h5py.File(path, "w") as file:
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple(shape) if shape else h5py.h5s.create(h5py.h5s.SCALAR)
        made = h5py.h5d.create(file.id, b"a", h5py.h5t.IEEE_F64LE, space, plist)
        made.write(h5py.h5s.ALL, h5py.h5s.ALL, np.full(shape, 2.5))
    with Hdf5Reader(str(path)) as opened:
        assert not opened.threadsafe
        np.testing.assert_array_equal(opened.values(opened.tensors[0]), np.full(shape, 2.5), strict=True)


@pytest.mark.parametrize("block", [0, 1024])
def test_plain_numbers_are_read_where_they_lie(path: Path, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with h5py.File(path, "w", userblock_size=block) as file:
        file["big"] = np.arange(6, dtype=">f4").reshape(2, 3)
        file["small"] = np.arange(4, dtype="<i2")
        file.create_dataset("unwritten", shape=(3,), dtype="f4")
    with Hdf5Reader(str(path)) as opened:
        assert opened.values(opened.find("unwritten")).tolist() == [0, 0, 0]
        monkeypatch.setattr(Hdf5Process, "slabs", None)
        assert opened.values(opened.find("big")).tolist() == [[0, 1, 2], [3, 4, 5]]
        assert opened.values(opened.find("small")).tolist() == [0, 1, 2, 3]
