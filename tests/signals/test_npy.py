"""NPY: every shape, layout, memory order and number type, in blocks of any size; hostile headers."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convtool.errors import InputError
from convtool.files.source import Source
from convtool.signals.npy import NpyReader, NpyWriter
from convtool.signals.signal import Signal

SHAPES = [("NCT", (7,)), ("NCT", (3, 7)), ("NCT", (2, 3, 7)), ("NTC", (7,)), ("NTC", (7, 3)), ("NTC", (2, 7, 3))]
REAL = ["<f2", ">f2", "<f4", ">f4", "<f8", ">f8"]
WHOLE = ["?", "i1", "u1", "<i2", ">u2", "<i4", ">u4", "<i8", ">i8", "<u8", ">u8"]


def ramp(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    return (np.arange(np.prod(shape)) - 3 * (dtype in REAL)).reshape(shape).astype(dtype)


def time_last(array: np.ndarray, layout: str) -> np.ndarray:
    """`array` as blocks have it: `(channels, samples)` or `(batch, channels, samples)`."""
    return np.atleast_2d(np.swapaxes(array, -1, -2) if layout == "NTC" and array.ndim > 1 else array)


@contextmanager
def opened(path: Path, **options: Any) -> Iterator[NpyReader]:
    with closing(Source.of_path(str(path))) as source:
        yield NpyReader(source, **options)


def read(path: Path, samples: int, **options: Any) -> np.ndarray:
    with opened(path, **options) as reader:
        return reader.read(samples)


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught, opened(path):
        pass
    return str(caught.value)


def saved(path: Path, array: np.ndarray) -> Path:
    np.save(path / "a.npy", array)
    return path / "a.npy"


def crafted(path: Path, header: str, *, version: tuple[int, int] = (1, 0), data: bytes = bytes(64)) -> Path:
    """A file with that very header."""
    size = len(header).to_bytes(2 if version == (1, 0) else 4, "little")
    (path / "a.npy").write_bytes(b"\x93NUMPY" + bytes(version) + size + header.encode() + data)
    return path / "a.npy"


def head(descr: str = "'<f8'", shape: str = "(3,)", fortran: str = "False") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}}}\n"


# Reading


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<i2"])
@pytest.mark.parametrize(("layout", "shape"), SHAPES)
def test_blocks_of_any_size_are_the_array(
    tmp_path: Path, layout: str, shape: tuple[int, ...], dtype: str, order: Any
) -> None:
    array = np.asarray(ramp(shape, dtype), order=order)
    expected = time_last(array, layout)
    path = saved(tmp_path, array)
    for samples in (1, 2, 3, 6, 7, 8):
        with opened(path, layout=layout) as reader:
            blocks = [reader.read(samples) for _ in range(-(-7 // samples))]
            assert reader.read(samples).shape == (*expected.shape[:-1], 0)
        assert [block.shape[-1] for block in blocks[:-1]] == [samples] * (len(blocks) - 1)
        np.testing.assert_array_equal(np.concatenate(blocks, axis=-1), expected, strict=False)
        assert {block.dtype.name for block in blocks} == {reader.signal.dtype}


@pytest.mark.parametrize(("layout", "shape"), SHAPES)
def test_the_description_of_a_shape(tmp_path: Path, layout: str, shape: tuple[int, ...]) -> None:
    with opened(saved(tmp_path, np.zeros(shape)), layout=layout) as reader:
        signal = reader.signal
    flat, batch = len(shape) == 1, 2 if len(shape) == 3 else None
    assert signal == Signal("NPY", 1 if flat else 3, "float64", frames=7, batch=batch, flat=flat, layout=layout)


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("dtype", [*REAL, *WHOLE])
def test_numbers_are_worked_in_a_type_that_holds_them(tmp_path: Path, dtype: str, exact: bool) -> None:
    array = ramp((2, 5), dtype)
    with opened(saved(tmp_path, array), exact=exact) as reader:
        worked = "float64" if np.dtype(dtype).itemsize == 8 else "float32"
        assert reader.signal.dtype == (worked if dtype in REAL else "int64" if exact else "float64")
        np.testing.assert_array_equal(reader.read(9), array.astype(reader.signal.dtype), strict=True)


def test_integers_are_never_wrapped(tmp_path: Path) -> None:
    path = saved(tmp_path, np.array([1, 2**63 - 1, 2**63], np.uint64))
    assert read(path, 2).tolist() == [[1, 2**63 - 1]]
    with pytest.raises(InputError, match=r"^9223372036854775808 is past what a 64-bit integer holds; --dtype float64"):
        read(path, 3)
    assert read(path, 3, exact=False).tolist() == [[1.0, 2.0**63, 2.0**63]]


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_version_of_the_header(tmp_path: Path, version: tuple[int, int]) -> None:
    with (tmp_path / "a.npy").open("wb") as file:
        np.lib.format.write_array(file, np.arange(3.0), version=version)
    assert read(tmp_path / "a.npy", 3).tolist() == [[0, 1, 2]]


def test_a_header_from_python_2(tmp_path: Path) -> None:
    path = crafted(tmp_path, head(shape="(3L,)"), data=np.arange(3.0).tobytes())
    assert read(path, 3).tolist() == [[0, 1, 2]]


@pytest.mark.parametrize("shape", [(0,), (3, 0), (2, 3, 0)])
def test_no_samples(tmp_path: Path, shape: tuple[int, ...]) -> None:
    block = read(saved(tmp_path, np.empty(shape, np.float32)), 5)
    assert (block.shape, block.dtype) == ((1, 0) if len(shape) == 1 else shape, np.float32)


def test_no_samples_of_a_trillion_channels(tmp_path: Path) -> None:
    assert read(crafted(tmp_path, head(shape="(1000000000000, 0)")), 5).shape == (10**12, 0)


def test_a_pipe_is_spooled(tmp_path: Path) -> None:
    data = saved(tmp_path, np.arange(1000.0)).read_bytes()
    end, start = os.pipe()
    os.write(start, data)
    os.close(start)
    with NpyReader(Source(open(end, "rb", buffering=0), seekable=False)) as reader:
        assert reader.read(2000).tolist() == [list(range(1000))]


# Refused


FIELDS = "the NPY header does not tell descr, fortran_order and shape alone"


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(3, complex), "the array holds complex numbers; expected real numbers of up to 64 bits"),
        (np.zeros(3, "c8"), "the array holds complex numbers"),
        (np.array([None]), "the array holds pickled objects, which are refused; expected real numbers"),
        (np.zeros(3, "i4,f8"), "the array holds structured records"),
        (np.zeros(3, "U4"), "the array holds text; expected real numbers of up to 64 bits"),
        (np.zeros(3, "S4"), "the array holds text"),
        (np.zeros(3, "M8[s]"), "the array holds dates"),
        (np.zeros(3, "g"), "the array holds what convtool does not read"),
        (np.zeros(()), "the array has shape (); expected (T,), (C, T) or (N, C, T)"),
        (np.zeros((1, 1, 1, 1)), "the array has shape (1, 1, 1, 1); expected"),
        (np.zeros((0, 5)), "the array has shape (0, 5): there are 0 samples in it"),
        (np.zeros((2, 0, 5)), "the array has shape (2, 0, 5): there are 0 samples in it"),
    ],
)
def test_arrays_that_are_no_signals_are_refused_by_name(tmp_path: Path, array: np.ndarray, message: str) -> None:
    assert refusal(saved(tmp_path, array)).startswith(message)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (head(shape="(9,)"), "the array is truncated: 8 of 9 numbers are there"),
        (
            head(shape=f"({2**62}, {2**62})"),
            "it declares the shape (4611686018427387904, ",
        ),
        (head(shape="(-1,)"), "it declares the shape (-1,); expected whole numbers from 0 on"),
        (head(shape="(1.0,)"), "it declares the shape (1.0,); expected whole numbers from 0 on"),
        (head(shape="3"), FIELDS),
        (head(fortran="1"), FIELDS),
        (head(descr="()"), "the array holds structured records"),
        (head(descr="'nonsense'"), "the array holds what convtool does not read"),
        (head(descr="('<f8', (2,))"), "the array holds structured records"),
        (head(descr="__import__('os')"), "the NPY header is damaged"),
        ("{'descr': '<f8'}\n", FIELDS),
        ("[]\n", FIELDS),
        ("{\n", "the NPY header is damaged"),
        ("(" * 9000, "the NPY header is damaged"),
        (" " * 60_000, "the NPY header declares 60000 bytes; the limit is 10000"),
    ],
)
def test_hostile_headers(tmp_path: Path, header: str, message: str) -> None:
    told = refusal(crafted(tmp_path, header))
    assert told.startswith(message)
    assert "\n" not in told


def test_an_unknown_version(tmp_path: Path) -> None:
    told = refusal(crafted(tmp_path, head(), version=(9, 0)))
    assert told == "NPY version 9.0 is unknown; expected 1.0 to 3.0"


@pytest.mark.parametrize("size", range(6, 88, 9))
def test_any_cut_is_told(tmp_path: Path, size: int) -> None:
    path = crafted(tmp_path, head(), data=bytes(24))
    os.truncate(path, size)
    assert refusal(path).startswith(("it does not begin as", "the NPY header is damaged", "the array is truncated: "))


def test_a_file_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    path = saved(tmp_path, np.arange(100.0))
    with opened(path) as reader:
        assert reader.read(10).shape == (1, 10)
        os.truncate(path, 300)
        with pytest.raises(InputError, match="the file shrank while it was read"):
            reader.read(90)


# Writing


def write(path: Path, blocks: list[np.ndarray], **signal: Any) -> np.ndarray:
    """The array that NumPy finds in the file written from `blocks`."""
    first = blocks[0]
    described = Signal(
        "NPY", first.shape[-2], first.dtype.name, batch=len(first) if first.ndim == 3 else None, **signal
    )
    with (path / "b.npy").open("w+b", buffering=0) as file:
        writer = NpyWriter(file, described, first.dtype.name)
        for block in blocks:
            writer.write(writer.encode(block))
        writer.close()
    return np.load(path / "b.npy")


@pytest.mark.parametrize("samples", [1, 3, 7])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.parametrize(("layout", "shape"), SHAPES)
def test_what_is_written_is_what_numpy_reads(
    tmp_path: Path, layout: str, shape: tuple[int, ...], dtype: str, samples: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convtool.signals.npy.CHUNK", 20)
    array = ramp(shape, dtype)
    whole = time_last(array, layout)
    blocks = [whole[..., at : at + samples] for at in range(0, 7, samples)]
    back = write(tmp_path, blocks, layout=layout, flat=len(shape) == 1)
    np.testing.assert_array_equal(back, array, strict=True)


@pytest.mark.parametrize(
    ("layout", "flat", "block", "shape"),
    [
        ("NCT", True, (1, 0), (0,)),
        ("NCT", False, (2, 0), (2, 0)),
        ("NTC", False, (2, 0), (0, 2)),
        ("NTC", False, (3, 2, 0), (3, 0, 2)),
        ("NCT", True, (2, 5), (2, 5)),  # one channel went in, two came out
        ("NTC", True, (2, 5), (5, 2)),
        ("NCT", False, (1, 5), (1, 5)),
    ],
)
def test_the_shape_follows_the_input(
    tmp_path: Path, layout: str, flat: bool, block: tuple[int, ...], shape: tuple[int, ...]
) -> None:
    assert write(tmp_path, [np.ones(block)], layout=layout, flat=flat).shape == shape


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    for (layout, shape), dtype in itertools.product(SHAPES, ("float32", "int64")):
        array = ramp(shape, dtype)
        write(tmp_path, [time_last(array, layout)], layout=layout, flat=len(shape) == 1)
        back = read(tmp_path / "b.npy", 7, layout=layout)
        np.testing.assert_array_equal(back, time_last(array, layout), strict=True)


def test_a_header_of_many_axes_has_room(tmp_path: Path) -> None:
    leading = (1,) * 25
    block = ramp((1, 2, 5), "float32")
    path = tmp_path / "b.npy"
    with path.open("w+b", buffering=0) as file:
        writer = NpyWriter(file, Signal("NPY", 2, "float32", batch=1, leading=leading, layout="NTC"), "float32")
        writer.write(writer.encode(block))
        writer.close()
    np.testing.assert_array_equal(np.load(path), block.swapaxes(1, 2).reshape(*leading, 5, 2))
    np.testing.assert_array_equal(read(path, 5, layout="NTC"), block, strict=True)


def test_numbers_start_at_a_multiple_of_64(tmp_path: Path) -> None:
    write(tmp_path, [np.ones((1, 2))], flat=True)
    assert (tmp_path / "b.npy").stat().st_size == 128 + 2 * 8
