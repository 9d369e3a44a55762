"""safetensors files: what the reference implementation writes, and what it refuses."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import torch
from safetensors.torch import save_file

from convtool.arrays import description, open_weights, raw
from convtool.arrays.description import TensorInfo
from convtool.arrays.safetensors import reader as module
from convtool.arrays.safetensors.reader import SafetensorsReader
from convtool.arrays.sharded import ShardedReader
from convtool.errors import InputError

PLAIN = [
    "float64",
    "float32",
    "float16",
    "int64",
    "int32",
    "int16",
    "int8",
    "uint64",
    "uint32",
    "uint16",
    "uint8",
    "bool",
]
NARROW = ["bfloat16", *(f"float8_{kind}" for kind in ("e4m3fn", "e5m2", "e4m3fnuz", "e5m2fnuz", "e8m0fnu"))]


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "a.safetensors")


def every_pattern(dtype: str) -> torch.Tensor:
    """256 numbers of that type; of one of 8 bits each that there is."""
    kind = getattr(torch, dtype)
    codes = torch.arange(256 * kind.itemsize, dtype=torch.int64).mul(7).to(torch.uint8)
    return (codes % 2 if dtype == "bool" else codes).view(kind)


def entry(**changes: Any) -> dict[str, Any]:
    return {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}


def craft(path: str, header: Any, data: bytes = bytes(8)) -> str:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    Path(path).write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def refusal(path: str) -> str:
    with pytest.raises(InputError) as caught:
        SafetensorsReader(path)
    told = str(caught.value)
    assert "\n" not in told
    return told


# Reading


@pytest.mark.parametrize("dtype", [*PLAIN, "complex64", *NARROW])
def test_numbers_of_every_type(path: str, dtype: str) -> None:
    tensor = every_pattern(dtype)
    save_file({"before": torch.ones(3), "t": tensor.reshape(4, 1, -1)}, path)
    with open_weights(path) as file:
        info = file.find("t")
        assert (info.shape, info.dtype, info.nbytes) == ((4, 1, 64), dtype, tensor.nbytes)
        assert (info.flag, info.readable, info.parameters) == ("", True, 256)
        values = file.values(info)
    expected = (tensor.float() if dtype in NARROW else tensor).reshape(4, 1, 64).numpy()
    np.testing.assert_array_equal(values, expected, strict=True)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "uint8"])
def test_pieces_are_small_and_complete(path: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw, "PIECE_BYTES", 100)
    tensor = torch.arange(101).to(getattr(torch, dtype))
    save_file({"t": tensor}, path)
    file = SafetensorsReader(path)
    pieces = [piece.copy() for piece in file.pieces(file.find("t"))]
    assert max(piece.nbytes for piece in pieces) == 100
    assert {piece.ndim for piece in pieces} == {1}
    np.testing.assert_array_equal(np.concatenate(pieces), tensor.float().numpy())


def test_names_shapes_and_metadata(path: str) -> None:
    tensors = {"": torch.tensor(2.0), "a\n[b]": torch.zeros(2, 0), "\u00e4.\u65e5": torch.ones(3)}
    save_file(tensors, path, metadata={"format": "pt", "who": "m\u00e9"})
    with open_weights(path) as file:
        assert (file.format, file.layout, file.notes) == ("safetensors", "torch", [])
        assert file.metadata == {"format": "pt", "who": "m\u00e9"}
        assert {tensor.name: tensor.shape for tensor in file.tensors} == {
            "": (),
            "a\n[b]": (2, 0),
            "\u00e4.\u65e5": (3,),
        }
        for tensor in file.tensors:
            np.testing.assert_array_equal(file.values(tensor), tensors[tensor.name].numpy(), strict=True)


@pytest.mark.parametrize(
    "metadata", [{}, {"__metadata__": {}}, {"__metadata__": {"format": "tf"}}, {"__metadata__": None}]
)
def test_whose_order_of_axes_it_is_can_be_open(path: str, metadata: dict[str, Any]) -> None:
    assert SafetensorsReader(craft(path, {**metadata, "a": entry()})).layout == ""


def test_no_tensors(path: str) -> None:
    assert SafetensorsReader(craft(path, {}, b"")).tensors == ()


def test_entries_may_be_in_any_order_and_the_header_padded(path: str) -> None:
    header = json.dumps({"b": entry(data_offsets=[8, 16]), "none": entry(shape=[0], data_offsets=[8, 8]), "a": entry()})
    file = SafetensorsReader(craft(path, header.encode() + b"  \n", np.arange(4, dtype="<f4").tobytes()))
    assert [(tensor.name, file.values(tensor).tolist()) for tensor in file.tensors] == [
        ("b", [2.0, 3.0]),
        ("none", []),
        ("a", [0.0, 1.0]),
    ]


def test_two_numbers_a_byte(path: str) -> None:
    header = {"a": entry(dtype="F4", shape=[2, 3], data_offsets=[0, 3])}
    file = SafetensorsReader(craft(path, header, bytes([0x10, 0x32, 0xF4])))
    (tensor,) = file.tensors
    assert (tensor.dtype, tensor.parameters, tensor.nbytes) == ("float4_e2m1fn", 6, 3)
    assert file.values(tensor).tolist() == [[0, 0.5, 1], [1.5, 2, -6]]
    assert [piece.tolist() for share in file.shares(tensor) for piece in share] == [[0, 0.5, 1, 1.5, 2, -6]]


@pytest.mark.parametrize(
    ("entry_of_a", "dtype", "flag"),
    [
        (entry(dtype="F6_E2M3", shape=[2, 4], data_offsets=[0, 6]), "float6_e2m3fn", "6 bits a number; its values"),
        (entry(dtype="F6_E3M2", shape=[0, 4], data_offsets=[0, 0]), "float6_e3m2fn", "6 bits a number; its values"),
        (entry(dtype="I128"), "I128", "its dtype is unknown"),
    ],
)
def test_types_that_are_listed_alone(path: str, entry_of_a: dict[str, Any], dtype: str, flag: str) -> None:
    end = entry_of_a["data_offsets"][1]
    file = SafetensorsReader(craft(path, {"a": entry_of_a, "b": entry(data_offsets=[end, end + 8])}, bytes(end + 8)))
    first, second = file.tensors
    assert (first.dtype, first.shape, first.nbytes, first.readable) == (dtype, tuple(entry_of_a["shape"]), end, False)
    assert first.flag.startswith(flag)
    with pytest.raises(InputError, match=f"^tensor 'a': {flag}"):
        file.values(first)
    assert file.values(second).tolist() == [0.0, 0.0]


def test_it_is_open_only_while_it_is_read(path: str) -> None:
    save_file({"a": torch.arange(9)}, path)
    before = len(os.listdir("/proc/self/fd"))
    file = SafetensorsReader(path)
    pieces = file.pieces(file.tensors[0])
    assert next(pieces).tolist() == list(range(9))
    assert len(os.listdir("/proc/self/fd")) == before + 1
    pieces.close()  # type: ignore[attr-defined]  # it is a generator
    assert len(os.listdir("/proc/self/fd")) == before


# Refused


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "the file has 0 bytes; a safetensors header takes more than 8"),
        (bytes(7), "the file has 7 bytes; a safetensors header takes more than 8"),
        (bytes(8), "the safetensors header is no JSON: it does not begin with '{'"),
        ((3).to_bytes(8, "little") + b"{}", "the safetensors header declares 3 bytes; the file has 10"),
        (b"\xff" * 8 + b"{}", f"the safetensors header declares {2**64 - 1} bytes; the file has 10"),
        ((99 << 20).to_bytes(8, "little") + b"{", f"the safetensors header declares {99 << 20} bytes; the file has 9"),
    ],
)
def test_files_that_are_too_short(path: str, content: bytes, told: str) -> None:
    Path(path).write_bytes(content)
    assert refusal(path) == told


NO_ENTRY = "tensor 'a' has no dtype, shape and data_offsets as safetensors has them"
DAMAGED = [
    (b"[1]", b"", "the safetensors header is no JSON: it does not begin with '{'"),
    (b"{", b"", "the safetensors header is no JSON"),
    (b"{}\0", b"", "the safetensors header is no JSON"),
    (b'{"\xff": 1}', b"", "the safetensors header is no JSON"),
    (b'{"a": ' + b"[" * 100_000, b"", "the safetensors header is no JSON"),
    (b'{"a": ' + b"9" * 5000 + b"}", b"", "the safetensors header is no JSON"),
    (b'{"a": 1, "a": 1}', b"", "the JSON names the key 'a' twice in one object"),
    (b'{"a": {"dtype": "F32", "dtype": "F32"}}', b"", "the JSON names the key 'dtype' twice in one object"),
    ({"__metadata__": {"a": 1}}, b"", "the safetensors header has a '__metadata__' that is not texts by name"),
    ({"__metadata__": "a"}, b"", "the safetensors header has a '__metadata__' that is not texts by name"),
    ({"a": 1}, bytes(8), NO_ENTRY),
    ({"a": {"dtype": "F32", "shape": [2]}}, bytes(8), NO_ENTRY),
    ({"a": entry(dtype=1)}, bytes(8), NO_ENTRY),
    ({"a": entry(shape=2)}, bytes(8), NO_ENTRY),
    ({"a": entry(data_offsets=[0, 4, 8])}, bytes(8), NO_ENTRY),
    ({"a": entry(data_offsets=[False, 8])}, bytes(8), NO_ENTRY),
    ({"a": entry(data_offsets=[0.0, 8.0])}, bytes(8), NO_ENTRY),
    ({"a": entry(shape=[-2])}, bytes(8), "tensor 'a': it declares the shape (-2,); expected whole numbers from 0 on"),
    ({"a": entry(shape=[2.0])}, bytes(8), "tensor 'a': it declares the shape (2.0,); expected whole numbers from 0"),
    ({"a": entry(shape=[True, 2])}, bytes(8), "tensor 'a': it declares the shape (True, 2); expected whole numbers"),
    ({"a": entry(shape=[2**62, 2**62])}, bytes(8), "tensor 'a': it declares the shape (4611686018427387904, 46"),
    ({"a": entry(shape=[3])}, bytes(8), "tensor 'a' declares 3 numbers of type 'F32' in bytes 0 to 8; these"),
    ({"a": entry(dtype="F4", shape=[3], data_offsets=[0, 2])}, bytes(2), "tensor 'a' declares 3 numbers of type 'F4'"),
    ({"a": entry(data_offsets=[8, 0])}, bytes(8), "tensor 'a' declares 2 numbers of type 'F32' in bytes 8 to 0"),
    ({"a": entry(data_offsets=[-8, 0])}, bytes(8), "tensor 'a' declares 2 numbers of type 'F32' in bytes -8 to 0"),
    ({"a": entry(data_offsets=[8, 16])}, bytes(16), "tensor 'a' begins at byte 8; the one before ends at 0"),
    ({"a": entry(), "b": entry(data_offsets=[9, 17])}, bytes(17), "tensor 'b' begins at byte 9; the one before ends"),
    ({"a": entry(), "b": entry(data_offsets=[4, 12])}, bytes(12), "tensor 'b' begins at byte 4; the one before ends"),
    ({"a": entry(), "b": entry()}, bytes(8), "tensor 'b' begins at byte 0; the one before ends at 8"),
    ({"a": entry()}, bytes(7), "the tensors take 8 bytes; the file has 7 for them"),
    ({"a": entry()}, bytes(9), "the tensors take 8 bytes; the file has 9 for them"),
    ({}, b"1", "the tensors take 0 bytes; the file has 1 for them"),
]


@pytest.mark.parametrize(("header", "data", "told"), DAMAGED)
def test_headers_that_are_damaged_or_lie(path: str, header: Any, data: bytes, told: str) -> None:
    assert refusal(craft(path, header, data)).startswith(told)


@pytest.mark.parametrize(("header", "data"), [(header, data) for header, data, _ in DAMAGED])
def test_the_reference_implementation_refuses_them_too(path: str, header: Any, data: bytes) -> None:
    with pytest.raises(safetensors.SafetensorError):
        safetensors.safe_open(craft(path, header, data), "numpy")


@pytest.mark.parametrize(
    ("header", "data", "told"),
    [
        (b" {}", b"", "the safetensors header is no JSON: it does not begin with '{'"),
        ({"a": entry(shape=[1] * 65)}, bytes(4), "tensor 'a': it declares 65 axes; the limit is 64"),
        ({"a": entry(shape=[0, 2**62], data_offsets=[0, 0])}, b"", "tensor 'a': it declares the shape (0, 46116860"),
    ],
)
def test_what_the_reference_implementation_lets_pass(path: str, header: Any, data: bytes, told: str) -> None:
    assert refusal(craft(path, header, data)).startswith(told)


def test_headers_that_are_too_large(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_HEADER_LIMIT", 100)
    craft(path, b"{}".ljust(100), b"")
    assert SafetensorsReader(path).tensors == ()
    assert refusal(craft(path, b"{}".ljust(101), b"")) == "the safetensors header has 101 bytes; the limit is 100"


@pytest.mark.parametrize("each", [b"[]", b"{}", b"[{}]"])
def test_headers_that_would_take_much_memory(path: str, each: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TENSORS_LIMIT", 10)
    told = refusal(craft(path, b'{"a": [' + b",".join([each] * 30) + b"]}", b""))
    assert told == "the safetensors header has more entries than 10 tensors need, the limit"


def test_any_damaged_byte_is_told_or_gives_other_numbers(path: str) -> None:
    save_file({"a": torch.arange(6).reshape(2, 3), "b": torch.ones(2)}, path, {"format": "pt"})
    whole = Path(path).read_bytes()
    told = 0
    for at in range(len(whole)):
        Path(path).write_bytes(whole[:at] + bytes([whole[at] ^ 0x5A]) + whole[at + 1 :])
        try:
            file = SafetensorsReader(path)
        except InputError as error:
            told += 1
            assert "\n" not in str(error)  # noqa: PT017 (some damage does not show)
        else:
            assert all(file.values(tensor).shape == tensor.shape for tensor in file.tensors if tensor.readable)
    assert told > 50


def test_a_file_that_changes_or_shrinks(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw, "PIECE_BYTES", 80)
    save_file({"a": torch.arange(100)}, path)
    file = SafetensorsReader(path)
    pieces = file.pieces(file.tensors[0])
    assert next(pieces).tolist() == list(range(10))
    os.truncate(path, 300)
    with pytest.raises(InputError, match=r"^the file shrank while it was read$"):
        list(pieces)
    with pytest.raises(InputError, match=r"^the file has changed since it was listed$"):
        file.values(file.tensors[0])
    os.remove(path)
    with pytest.raises(InputError, match=r"^no such file$"):
        file.values(file.tensors[0])


# Several files


def shards(folder: Path, homes: dict[str, Any], **more: Any) -> str:
    """An index of that map, beside two shards: one with a = 1, b = 2, one with c = 3."""
    save_file({"a": torch.ones(2), "b": torch.full((3,), 2.0)}, folder / "1.safetensors", {"format": "pt"})
    save_file({"c": torch.full((1,), 3.0)}, folder / "2.safetensors", {"format": "pt"})
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": homes, **more}))
    return str(index)


def test_a_model_in_several_files(tmp_path: Path) -> None:
    homes = {"c": "2.safetensors", "a": "1.safetensors", "b": "1.safetensors"}
    with open_weights(shards(tmp_path, homes, metadata={"total_size": 24})) as file:
        assert (file.format, file.layout, file.notes) == ("safetensors", "torch", [])
        assert file.metadata == {"total_size": "24"}
        assert [tensor.name for tensor in file.tensors] == ["c", "a", "b"]
        assert [file.values(tensor).tolist() for tensor in file.tensors] == [[3.0], [1.0, 1.0], [2.0, 2.0, 2.0]]


def test_a_link_to_a_shard_is_read(tmp_path: Path) -> None:
    index = shards(tmp_path, {"c": "link.safetensors"})
    (tmp_path / "link.safetensors").symlink_to("2.safetensors")
    file = ShardedReader(index, SafetensorsReader)
    assert file.values(file.find("c")).tolist() == [3.0]


def test_what_the_index_does_not_name_is_left_out(tmp_path: Path) -> None:
    file = ShardedReader(shards(tmp_path, {"b": "1.safetensors"}), SafetensorsReader)
    assert [tensor.name for tensor in file.tensors] == ["b"]
    assert file.notes == ["not in the index, left out: 'a'"]


OUTSIDE = "it lies outside of the index's folder; not read"


@pytest.mark.parametrize(
    ("shard", "reason"),
    [
        ("2.safetensors", "it has no such tensor"),
        ("3.safetensors", "no such file"),
        ("damaged.safetensors", "the file has 4 bytes; a safetensors header takes more than 8"),
        ("pipe.safetensors", "it is no regular file"),
        ("folder", "it is no regular file"),
        ("\0", "can't be read: embedded null byte"),
        ("a" * 300, "can't be read: File name too long"),
        ("../1.safetensors", OUTSIDE),
        ("folder/1.safetensors", OUTSIDE),
        ("/etc/passwd", OUTSIDE),
        ("", OUTSIDE),
        (".", OUTSIDE),
        ("..", OUTSIDE),
    ],
)
def test_shards_that_are_not_there(tmp_path: Path, shard: str, reason: str) -> None:
    (tmp_path / "damaged.safetensors").write_bytes(b"1234")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe.safetensors")
    file = ShardedReader(shards(tmp_path, {"a": "1.safetensors", "x": shard}), SafetensorsReader)
    flag = f"shard {shard!r:.200}: {reason}"
    assert file.tensors[1] == TensorInfo("x", (0,), "unknown", 0, flag=flag, readable=False)
    assert file.damage == ([f"tensor 'x' {flag}"] if shard == "2.safetensors" else [flag])
    assert file.values(file.find("a")).tolist() == [1.0, 1.0]
    with pytest.raises(InputError) as caught:
        file.values(file.find("x"))
    assert str(caught.value) == f"tensor 'x': {flag}"


@pytest.mark.parametrize(
    ("homes", "layout"), [({}, ""), ({"a": "3.safetensors"}, ""), ({"c": "2.safetensors"}, "torch")]
)
def test_the_layout_is_that_of_all_shards(tmp_path: Path, homes: dict[str, str], layout: str) -> None:
    assert ShardedReader(shards(tmp_path, homes), SafetensorsReader).layout == layout


@pytest.mark.parametrize("homes", [None, [], {"a": 1}, {"a": None}])
def test_indices_that_map_no_names(tmp_path: Path, homes: Any) -> None:
    with pytest.raises(InputError, match=r"^the index has no 'weight_map' from names of tensors to names of files$"):
        ShardedReader(shards(tmp_path, homes, metadata=3), SafetensorsReader)


def test_values_larger_than_the_limit_come_in_pieces_alone(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(description, "VALUES_LIMIT", 7)
    file = SafetensorsReader(craft(path, {"a": entry()}))
    assert [piece.tolist() for piece in file.pieces(file.tensors[0])] == [[0.0, 0.0]]
    with pytest.raises(InputError, match=r"^tensor 'a' takes 8 bytes; the limit is 7$"):
        file.values(file.tensors[0])
