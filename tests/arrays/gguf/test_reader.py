"""GGUF files: what is in them, of each version and order of bytes, and damaged ones."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convtool.arrays import open_weights
from convtool.arrays.gguf import header, reader
from convtool.arrays.gguf.types import TYPES
from convtool.errors import InputError
from convtool.weights.layouts import describe
from tests.helpers.checkpoints import gguf, gguf_pair, gguf_text

Q8 = (8, (4, 32), bytes(136))
BF16 = (30, (3,), np.array([0x3F80, 0xC000, 0x7FC0], "<u2").tobytes())
ARRAYS = {
    "blk.0.attn_q.weight": np.arange(8, dtype=np.float32).reshape(2, 4),
    "token_embd.weight": np.arange(6, dtype=np.float16).reshape(3, 2),
    "cube": np.arange(24, dtype=np.int8).reshape(2, 3, 4),
    "f": np.array([1e300, -1]),
    "i": np.array([1, -(2**40)]),
}


@pytest.fixture
def made(tmp_path: Path) -> Callable[[bytes], str]:
    def write(data: bytes) -> str:
        (tmp_path / "m.gguf").write_bytes(data)
        return str(tmp_path / "m.gguf")

    return write


@pytest.mark.parametrize(("order", "version"), [("<", 3), ("<", 2), ("<", 1), (">", 3)])
def test_tensors_in_torchs_order(order: str, version: int, made: Callable[[bytes], str]) -> None:
    with open_weights(made(gguf(ARRAYS, order=order, version=version))) as file:
        assert (file.format, file.layout, file.metadata) == ("gguf", "torch", {"version": str(version)})
        assert {info.name: (info.shape, info.dtype, info.nbytes) for info in file.tensors} == {
            name: (array.shape, array.dtype.name, array.nbytes) for name, array in ARRAYS.items()
        }
        for info in file.tensors:
            np.testing.assert_array_equal(file.values(info), ARRAYS[info.name])
            shared = np.concatenate([piece.copy() for stream in file.shares(info) for piece in stream])
            np.testing.assert_array_equal(shared, ARRAYS[info.name].reshape(-1))
        assert [each.kind for each in describe(file.tensors, layout="torch")][:2] == ["dense", "embedding"]


def test_quantised_tensors_are_counted_and_not_read(made: Callable[[bytes], str]) -> None:
    with open_weights(made(gguf({"q": Q8, "bf": BF16, "new": (99, (2,), b""), "f": ARRAYS["f"]}))) as file:
        found = {info.name: info for info in file.tensors}
        assert (found["q"].dtype, found["q"].parameters, found["q"].nbytes) == ("Q8_0", 128, 136)
        assert (found["new"].dtype, found["new"].flag) == ("type 99", "of the type 99, which is not known")
        told = "llama-quantize --allow-requantize IN OUT F16 makes plain ones of them"
        assert file.notes == [f"quantised in blocks: 'Q8_0'; the values of these are not read: {told}"]
        assert file.damage == ()
        for stream in (file.pieces, file.shares):
            with pytest.raises(InputError, match=r"tensor 'q': quantised \(Q8_0\); its values are not read"):
                next(iter(stream(found["q"])))
        assert b"".join(map(bytes, file.packed(found["q"]))) == Q8[2]
        with pytest.raises(InputError, match="tensor 'new': of the type 99, which is not known"):
            file.packed(found["new"])
        with pytest.raises(InputError, match="tensor 'new': of the type 99, which is not known"):
            file.scales(found["new"])
        assert [each for each, info in found.items() if info.opaque] == ["q", "new"]
        np.testing.assert_array_equal(file.values(found["bf"]), [1, -2, np.nan])
        np.testing.assert_array_equal(file.values(found["f"]), ARRAYS["f"])


def halves(*numbers: float) -> bytes:
    return np.array(numbers, "<f2").tobytes()


SCALES = {
    2: halves(2) + bytes(16),
    3: halves(2, np.inf) + bytes(16),
    10: bytes(80) + halves(2, np.nan),
    14: bytes(208) + halves(-3),
    15: np.array([1e30], "<f4").tobytes() + bytes(288),
    29: bytes(48) + np.array([0xFFF, 0x1FFF, 0xBFFF, 0x3FFF], "<u2").tobytes(),
    35: bytes(64) + halves(-np.inf),
    39: bytes([128]) + bytes(16),
    40: bytes([0x38, 0x7F, 0x40, 0]) + bytes(32),
}
"""A block of each of some types, with zeros wherever its scales are not."""


def test_scales_of_blocks(made: Callable[[bytes], str]) -> None:
    blocks = {str(kind): (kind, (TYPES[kind].numbers,), block) for kind, block in SCALES.items()}
    with open_weights(made(gguf(blocks))) as file:
        found = {int(info.name): np.concatenate(list(file.scales(info))).tolist() for info in file.tensors}
    wanted = {2: [2], 3: [2, np.inf], 10: [2, np.nan], 14: [-3], 15: [np.float32(1e30)], 35: [-np.inf], 39: [2]}
    wanted |= {29: [np.array([0x3B10], np.uint16).view(np.float16)[0]], 40: [1, np.nan, 2, 0]}
    np.testing.assert_equal(found, wanted)


@pytest.mark.parametrize("high", [False, True])
@pytest.mark.parametrize("sign", [0, 8])
def test_a_scale_that_takes_a_code_beyond_float32_is_infinite(
    sign: int, made: Callable[[bytes], str], *, high: bool
) -> None:
    """By OCP's MX formats: a code of `float4_e2m1fn` times two to the power of the scale's byte less 127."""
    codes = [0, 0.5, 1, 1.5, 2, 3, 4, 6]
    places = [(byte, code) for byte in (0, 251, 252, 253, 254) for code in range(8)]
    raw = b"".join(bytes([byte, *[0] * 9, (code | sign) << 4 * high, *[0] * 6]) for byte, code in places)
    with open_weights(made(gguf({"q": (39, (len(places), 32), raw)}))) as file:
        scales = np.concatenate(list(file.scales(file.find("q"))))
    beyond = [codes[code] * 2.0 ** (byte - 127) > float(np.finfo(np.float32).max) for byte, code in places]
    assert sum(beyond) == 2 + 4
    np.testing.assert_array_equal(np.isinf(scales), beyond)
    np.testing.assert_array_equal(
        scales[~np.array(beyond)], [2.0 ** (b - 127) for (b, _), inf in zip(places, beyond, strict=True) if not inf]
    )


@pytest.mark.parametrize(
    ("scale", "integer", "wanted"),
    [(3e38, 1, 3e38), (3e38, 2, np.inf), (-3e36, -128, -np.inf), (2e36, -128, 2e36), (np.inf, 0, np.inf)],
)
def test_a_float32_scale_beyond_float32(
    scale: float, integer: int, wanted: float, made: Callable[[bytes], str]
) -> None:
    raw = struct.pack("<f256b", scale, *[0] * 255, integer) + bytes(32)
    with open_weights(made(gguf({"q": (15, (256,), raw)}))) as file:
        np.testing.assert_array_equal(np.concatenate(list(file.scales(file.find("q")))), np.float32([wanted]))


@pytest.mark.parametrize("order", ["<", ">"])
def test_scales_of_many_blocks(order: str, made: Callable[[bytes], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "PIECE_BYTES", 100)
    scales = np.arange(10).astype(f"{order}f2")
    raw = b"".join(scales[at : at + 1].tobytes() + bytes(32) for at in range(10))
    with open_weights(made(gguf({"q": (8, (5, 64), raw), "none": (8, (0, 32), b"")}, order=order))) as file:
        assert [piece.tolist() for piece in file.scales(file.find("q"))][:2] == [[0, 1], [2, 3]]
        assert np.concatenate(list(file.scales(file.find("q")))).tolist() == list(range(10))
        assert list(file.scales(file.find("none"))) == []


def test_each_type_has_its_scales_within_its_blocks() -> None:
    for block in TYPES.values():
        if block.numbers > 1:
            assert 0 <= block.scales.start < block.scales.stop <= block.nbytes


def texts(*words: str) -> bytes:
    return struct.pack("<IQ", 8, len(words)) + b"".join(map(gguf_text, words))


def test_what_the_file_says_of_itself(made: Callable[[bytes], str], monkeypatch: pytest.MonkeyPatch) -> None:
    words = [str(number) * (number % 7) for number in range(1000)]
    pairs = [
        gguf_pair("general.architecture", 8, gguf_text("llama")),
        gguf_pair("long", 8, gguf_text("é" * 150)),
        gguf_pair("layers", 4, struct.pack("<I", 42)),
        gguf_pair("base", 6, struct.pack("<f", 0.5)),
        gguf_pair("yes", 7, b"\1"),
        gguf_pair("words", 9, texts(*words)),
        gguf_pair("scores", 9, struct.pack("<IQ3f", 6, 3, 1, 2, 3)),
        gguf_pair("nested", 9, struct.pack("<IQ", 9, 2) + texts("a") + struct.pack("<IQ2H", 2, 2, 1, 2)),
        gguf_pair("general.alignment", 4, struct.pack("<I", 32)),
    ]
    data = gguf({"f": ARRAYS["f"]}, b"".join(pairs), len(pairs))
    for chunk in (1 << 20, 50):  # the header comes in pieces of any size
        monkeypatch.setattr(header, "_CHUNK", chunk)
        with open_weights(made(data)) as file:
            assert file.metadata == {
                "version": "3",
                "general.architecture": "llama",
                "long": "é" * 50 + "…",
                "layers": "42",
                "base": "0.5",
                "yes": "True",
                "words": "1000 texts",
                "scores": "3 numbers",
                "nested": "2 lists",
                "general.alignment": "32",
            }
            np.testing.assert_array_equal(file.values(file.tensors[0]), ARRAYS["f"])
    many = b"".join(gguf_pair(f"k{number}", 0, b"\7") for number in range(70))
    with open_weights(made(gguf({}, many, 70))) as file:
        assert (len(file.metadata), file.notes) == (65, ["6 more key-value pairs are not shown"])


def start(version: int = 3, tensors: int = 0, pairs: int = 0) -> bytes:
    return struct.pack("<4sIQQ", b"GGUF", version, tensors, pairs)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (start(4), "it is GGUF of version 4; expected 1 to 3"),
        (start()[:12], "the GGUF header is truncated: byte 8 asks for 8, 4 are there"),
        (start(tensors=1 << 40), f"the GGUF header declares {1 << 40} tensors; the limit is 65536"),
        (start(pairs=1 << 40), f"declares {1 << 40} key-value pairs"),
        (start(pairs=1) + struct.pack("<Q", 1 << 60), "a name of 1152921504606846976 bytes"),
        (start(pairs=1) + gguf_pair("a", 13, b""), "a value of the type 13 before byte"),
        (start(pairs=1) + gguf_pair("a", 9, struct.pack("<IQ", 8, 1 << 60)), "is truncated"),
        (start(pairs=1) + gguf_pair("a", 9, struct.pack("<IQ", 9, 1) * 6), "a value of the type 9"),
        (start(pairs=1) + gguf_pair("a", 9, struct.pack("<IQ", 6, 1 << 60)), "is truncated"),
        (start(pairs=1) + gguf_pair("general.alignment", 4, bytes(4)), "has the alignment 0; expected"),
        (start(tensors=1) + gguf_text("a") + struct.pack("<I", 9), "tensor 'a' declares 9 axes; the limit is 8"),
        (gguf({"a": (0, (1 << 40, 1 << 40), b"")}), "tensor 'a': it declares the shape"),
        (gguf({"a": (8, (33,), b"")}), "tensor 'a' has 33 numbers, which are no whole blocks of Q8_0"),
    ],
)
def test_damaged_headers(data: bytes, message: str, made: Callable[[bytes], str]) -> None:
    with pytest.raises(InputError, match=message):
        open_weights(made(data))


def test_names_that_repeat_and_numbers_that_are_missing(made: Callable[[bytes], str]) -> None:
    data = gguf({"a": ARRAYS["f"], "b": ARRAYS["f"]})
    with pytest.raises(InputError, match="there are two tensors 'a' in it"):
        open_weights(made(data.replace(gguf_text("b"), gguf_text("a"))))
    with open_weights(made(data[:-40])) as file:
        flag = f"is truncated: its bytes are {len(data) - 32} to {len(data) - 16}; the file has {len(data) - 40}"
        assert [info.flag for info in file.tensors] == ["", flag]
        assert file.damage == [f"tensor 'b' {flag}"]
    with open_weights(made(gguf({"q": Q8})[:-25])) as file:
        assert (file.tensors[0].opaque, len(file.damage)) == (False, 1)


def test_a_header_without_end(made: Callable[[bytes], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(header, "_HEADER_LIMIT", 1000)
    monkeypatch.setattr(header, "_CHUNK", 100)
    words = texts(*["word"] * 100)
    with pytest.raises(InputError, match="the GGUF header takes more than 1000 bytes, the limit"):
        open_weights(made(gguf({}, gguf_pair("a", 9, words), 1) + bytes(2000)))


def test_mutants_end_in_one_line(made: Callable[[bytes], str]) -> None:
    pairs = gguf_pair("a", 9, texts("b", "cc")) + gguf_pair("n", 4, bytes(4))
    tensors: dict[str, Any] = {**ARRAYS, "q": Q8}
    good, chance = gguf(tensors, pairs, 2), random.Random(0)
    for _ in range(300):
        data = bytearray(good)
        for _ in range(chance.randint(1, 3)):
            data[chance.randrange(500)] = chance.randrange(256)
        with suppress(InputError), open_weights(made(bytes(data[: chance.choice([len(data), 400])]))) as file:
            for tensor in file.tensors:
                with suppress(InputError):
                    file.values(tensor)
