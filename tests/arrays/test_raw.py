"""Numbers read from files by position, and the shapes that files declare."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convtool.arrays import raw
from convtool.arrays.raw import RawFile, checked_count
from convtool.errors import InputError


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", ["float64", "float16", "complex64", "int32", "uint8", "bool"])
@pytest.mark.parametrize("start", [0, 3])
def test_numbers_of_either_byte_order(tmp_path: Path, dtype: str, order: Any, start: int) -> None:
    numbers = (np.arange(20) % 3).astype(dtype)
    stored = numbers.astype(numbers.dtype.newbyteorder(order)).tobytes()
    (tmp_path / "a").write_bytes(b"?" * start + stored + b"?")
    (piece,) = RawFile(str(tmp_path / "a")).pieces(dtype, start=start, count=20, order=order)
    np.testing.assert_array_equal(piece, numbers, strict=True)


@pytest.mark.parametrize("count", [0, 1, 24, 25, 26, 50])
def test_pieces_of_no_more_than_the_limit(tmp_path: Path, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw, "PIECE_BYTES", 100)
    numbers = np.arange(count, dtype="<f4")
    numbers.tofile(tmp_path / "a")
    pieces = [piece.copy() for piece in RawFile(str(tmp_path / "a")).pieces("float32", start=0, count=count)]
    assert [len(piece) for piece in pieces] == [25] * (count // 25) + [count % 25] * (count % 25 > 0 or count == 0)
    np.testing.assert_array_equal(np.concatenate(pieces), numbers, strict=True)


def test_what_the_system_refuses_to_read() -> None:
    file = RawFile("/proc/self/mem")  # its first page is never there
    with pytest.raises(InputError, match=r"^can't be read: Input/output error$"):
        file.read(0, 1)


@pytest.mark.parametrize(
    ("shape", "count"), [((), 1), ((0,), 0), ((2, 3), 6), ((1,) * 64, 1), ((0, 2**59), 0), ((2**59,), 2**59)]
)
def test_how_many_numbers_a_shape_has(shape: tuple[int, ...], count: int) -> None:
    assert checked_count(shape) == count


@pytest.mark.parametrize(
    "shape", [(0, 2**59 + 1), (2**30, 2**30), (10**4000, 10**4000), (-1,), (1.0,), (True,), (1,) * 65]
)
def test_shapes_that_no_array_has(shape: tuple[Any, ...]) -> None:
    with pytest.raises(InputError) as caught:
        checked_count(shape)
    assert str(caught.value).startswith("it declares ")
    assert len(str(caught.value)) < 300
