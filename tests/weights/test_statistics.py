"""Statistics of tensors against exact arithmetic."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Mapping
from decimal import Context, Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file

from convtool.arrays import open_weights, raw
from convtool.arrays.description import PIECE_BYTES, TensorInfo, WeightFile
from convtool.errors import InputError
from convtool.weights import statistics as stats
from convtool.weights.statistics import TensorStats, all_stats

RANDOM = np.random.default_rng(5)
EXACT = Context(prec=60, Emax=10**6, Emin=-(10**6))


class Memory(WeightFile):
    """Arrays as the tensors of a file, in pieces of `piece` numbers that overwrite one another."""

    def __init__(self, piece: int = 1 << 16, **arrays: NDArray[Any] | Exception) -> None:
        self.arrays: Mapping[str, Any] = arrays
        self.piece = piece
        self.threads: set[int] = set()
        self.tensors = tuple(
            TensorInfo(name, getattr(array, "shape", ()), "", getattr(array, "nbytes", 0))
            for name, array in arrays.items()
        )

    def pieces(self, tensor: TensorInfo) -> Iterator[NDArray[Any]]:
        return self.stream(self.arrays[tensor.name])

    def stream(self, array: NDArray[Any] | Exception) -> Iterator[NDArray[Any]]:
        self.threads.add(threading.get_ident())
        if isinstance(array, Exception):
            yield np.ones(3)
            raise array
        buffer = np.empty(min(self.piece, PIECE_BYTES // array.itemsize), array.dtype)
        flat = array.ravel()
        for start in range(0, array.size or 1, len(buffer)):
            part = flat[start : start + len(buffer)]
            buffer[: len(part)] = part
            yield buffer[: len(part)]


class Shared(Memory):
    """The same, for several threads."""

    threadsafe = True

    def shares(self, tensor: TensorInfo) -> Iterator[Iterator[NDArray[Any]]]:
        array, length = self.arrays[tensor.name], 3 * self.piece
        if isinstance(array, KeyError):
            raise InputError("it has no values")
        if isinstance(array, Exception):
            yield self.stream(array)
            return
        for start in range(0, array.size, length):
            yield self.stream(array.ravel()[start : start + length])


def found(array: NDArray[Any], piece: int = 1 << 16) -> TensorStats:
    file = Memory(piece, t=array)
    (made,) = all_stats(file, file.tensors)
    assert isinstance(made, TensorStats)
    return made


def exact(numbers: list[Any]) -> tuple[float, float]:
    """Mean and standard deviation, rounded once."""
    values = [Fraction(number) for number in numbers]
    mean = sum(values) / len(values)
    variance = sum((value - mean) ** 2 for value in values) / len(values)
    quotient = EXACT.divide(Decimal(variance.numerator), Decimal(variance.denominator))
    return float(mean), float(EXACT.sqrt(quotient))


def close(array: NDArray[Any], piece: int) -> None:
    made = found(array, piece)
    mean, std = exact(array.tolist())
    largest = float(np.abs(array).max())
    assert (made.min, made.max) == (array.min().item(), array.max().item())
    assert made.mean == pytest.approx(mean, rel=1e-12, abs=1e-15 * min(largest, std or largest))
    assert made.std == pytest.approx(std, rel=1e-12, abs=0)


# Accuracy

NOISE = RANDOM.standard_normal(2500)
HARD = {
    "noise": NOISE,
    "1e8 and noise": 1e8 + NOISE,
    "-1e15 and noise": -1e15 + NOISE,
    "small beside the mean": 3.0 + 1e-7 * NOISE,
    "positive": np.abs(NOISE),
    "a step": np.repeat([1e6, 1e-6], 1250) * (1 + 1e-3 * NOISE),
    "a first outlier": np.concatenate([[1e12], NOISE]),
    "a last outlier": np.concatenate([NOISE, [-1e12]]),
    "1e300": 1e300 * NOISE,
    "1e300 and noise": 1e300 * (1 + 1e-8 * NOISE),
    "the largest": np.finfo(float).max * np.sign(NOISE),
    "1e-300": 1e-300 * NOISE,
    "large and small": np.repeat([1e200, 1e-200], 1250) * NOISE,
    "float32": NOISE.astype(np.float32),
    "float32, 1e6 and noise": (1e6 + NOISE).astype(np.float32),
    "float16": NOISE.astype(np.float16),
    "int8": (NOISE * 40).clip(-128, 127).astype(np.int8),
    "int64": (NOISE * 1e12).astype(np.int64) + 10**15,
    "uint64": RANDOM.integers(0, 2**50, 2500, dtype=np.uint64),
}


@pytest.mark.parametrize("name", HARD)
@pytest.mark.parametrize("piece", [1 << 16, 1024, 100])
def test_mean_and_std_are_exact(name: str, piece: int) -> None:
    close(HARD[name], piece)


@pytest.mark.parametrize("size", [1, 2, 3, 1023, 1024, 1025, 2048, 2049])
@pytest.mark.parametrize("offset", [0.0, 1e9])
def test_any_length(size: int, offset: float) -> None:
    close(offset + RANDOM.standard_normal(size), 1 << 16)


@pytest.mark.parametrize("array", [np.array([5e-324, 0.0, 1e-320]), np.array([5e-324, -5e-324])])
def test_denormals(array: NDArray[np.float64]) -> None:
    made = found(array)
    mean, std = exact(array.tolist())
    assert (made.mean, made.std) == (pytest.approx(mean, abs=5e-324), pytest.approx(std, abs=5e-324))


@pytest.mark.parametrize("value", [0.0, 0.1, -1e300, 5e-324, 1.7e308, 3])
@pytest.mark.parametrize("size", [1, 1000, 3001])
def test_constants_are_exact(value: float, size: int) -> None:
    made = found(np.full(size, value), 1000)
    zeros = size if value == 0 else 0
    assert made == TensorStats(value, value, value, 0.0, zeros, 0, 0)


def test_all_halves_are_what_numpy_says() -> None:
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    finite = halves[np.isfinite(halves)]
    for array in (finite, finite[np.abs(finite) < 2**-14]):  # the latter are all denormal
        assert found(array) == found(array.astype(np.float32))
    made = found(halves)
    assert (made.zeros, made.nan, made.infinite) == (2, 2046, 2)
    assert (made.min, made.max, made.std) == (-65504, 65504, found(finite).std)


def test_a_million_numbers_in_many_blocks() -> None:
    array = np.arange(1_000_000, dtype=np.float64) - 499_999.5
    made = found(array.astype(np.float32))
    mean, std = 0.0, math.sqrt((10**12 - 1) / 12)
    assert (made.mean, made.std) == (pytest.approx(mean, abs=1e-7), pytest.approx(std, rel=1e-12))
    bytes_ = np.arange(1_000_000, dtype=np.uint64).astype(np.uint8)
    counted = found(bytes_, 1 << 20)
    assert (counted.zeros, counted.min, counted.max) == (3907, 0, 255)
    assert counted.mean == pytest.approx(int(bytes_.sum(dtype=np.int64)) / 10**6, rel=1e-12)


# What is counted


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_what_is_not_finite_is_counted_and_left_out(dtype: str) -> None:
    made = found(np.array([np.nan, 1, -0.0, np.inf, 0, -np.inf, np.nan, 3], dtype))
    assert made == TensorStats(0.0, 3.0, 1.0, pytest.approx(math.sqrt(1.5), rel=1e-12), 2, 2, 2)  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_may_be_anywhere(bad: float) -> None:
    array = RANDOM.standard_normal(300)
    expected = found(array, 7)
    for place in (0, 6, 7, 150, 299):
        made = found(np.insert(array, place, bad), 7)
        assert (made.min, made.max, made.nan + made.infinite) == (expected.min, expected.max, 1)
        assert (made.mean, made.std) == (pytest.approx(expected.mean), pytest.approx(expected.std))


@pytest.mark.parametrize(
    ("array", "nan", "infinite"),
    [
        (np.zeros((3, 0)), 0, 0),
        (np.zeros(0, np.int8), 0, 0),
        (np.zeros(0, bool), 0, 0),
        (np.full(5, np.nan, np.float32), 5, 0),
        (np.array([np.inf, np.nan, -np.inf]), 1, 2),
    ],
)
def test_nothing_that_is_finite(array: NDArray[Any], nan: int, infinite: int) -> None:
    made = found(array)
    assert (made.zeros, made.nan, made.infinite) == (0, nan, infinite)
    assert all(math.isnan(value) for value in (made.min, made.max, made.mean, made.std))


def test_signalling_nan_and_overflow_warn_of_nothing() -> None:
    signalling = np.array([0x7FA00000, 0x3F800000], np.uint32).view(np.float32)
    assert found(signalling).nan == 1
    assert found(np.full(3, 60000, np.float16)).mean == 60000.0


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"])
def test_whole_numbers(dtype: str) -> None:
    made = found(np.array([1, 0, 1, 1], dtype))
    assert made == TensorStats(0, 1, 0.75, pytest.approx(math.sqrt(3) / 4, rel=1e-12), 1, 0, 0)  # type: ignore[arg-type]
    assert (type(made.min), type(made.max)) == (int, int)


@pytest.mark.parametrize("piece", [1 << 16, 1000])
@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [
        ("int64", 2**60, 2**60 + 2),
        ("uint64", 2**64 - 100, 2**64 - 1),
        ("int64", -(2**63), 2**63 - 1),
        ("int32", -(2**31), 2**31 - 1),
        ("uint16", 0, 2**16 - 1),
    ],
)
def test_statistics_of_whole_numbers_are_rounded_once(dtype: str, low: int, high: int, piece: int) -> None:
    array = RANDOM.integers(low, high, 3000, dtype=dtype, endpoint=True)
    made = found(array, piece)
    assert (made.min, made.max) == (int(array.min()), int(array.max()))
    assert (made.mean, made.std) == exact(array.tolist())


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_numbers_count_by_magnitude(dtype: str) -> None:
    made = found(np.array([3 + 4j, 0, -5j, complex(np.nan, 0), complex(0, -np.inf)], dtype))
    std = math.sqrt(50 / 9)
    assert made == TensorStats(0.0, 5.0, pytest.approx(10 / 3, rel=1e-12), pytest.approx(std, rel=1e-12), 1, 1, 1)  # type: ignore[arg-type]


def test_finite_parts_whose_magnitude_float64_does_not_hold_are_finite() -> None:
    made = found(np.array([1.5e308 + 1.5e308j, 1, complex(np.inf, 1)]))
    assert (made.min, made.max, made.nan, made.infinite) == (1, np.finfo(float).max, 0, 1)


# Files, several tensors and threads


def test_a_file(tmp_path: Path) -> None:
    arrays = {"a": NOISE.astype(np.float32).reshape(50, 50), "b": np.zeros((0, 3)), "c": np.arange(5)}
    save_file(arrays, tmp_path / "a.safetensors")
    with open_weights(str(tmp_path / "a.safetensors")) as file:
        made = dict(zip((tensor.name for tensor in file.tensors), all_stats(file, file.tensors), strict=True))
    assert repr(made) == repr({name: found(arrays[name]) for name in made})
    assert made["c"] == TensorStats(0, 4, 2.0, pytest.approx(math.sqrt(2), rel=1e-12), 1, 0, 0)  # type: ignore[arg-type]


@pytest.fixture
def many_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stats, "_SMALL", 0)
    monkeypatch.setattr("os.cpu_count", lambda: 8)


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_threads_share_one_large_tensor_and_many_small_ones(
    threads: int, many_threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stats, "_THREADS", threads)
    arrays = {"large": RANDOM.standard_normal(100_000), **{str(size): np.arange(size) for size in range(1, 300)}}
    file = Shared(1000, **arrays)
    assert all_stats(file, file.tensors) == [found(array, 1000) for array in arrays.values()]
    assert len(file.threads) <= threads


@pytest.mark.parametrize("file", [Memory(a=np.ones(10), b=np.ones(10)), Shared(a=np.ones(10), b=np.ones(10))])
def test_small_tensors_start_no_thread(file: Memory) -> None:
    all_stats(file, file.tensors)
    assert file.threads == {threading.get_ident()}


def test_a_file_that_one_thread_may_read_is_read_by_one(many_threads: None) -> None:
    file = Memory(a=np.ones(10**5), b=np.ones(10))
    assert [type(each) for each in all_stats(file, file.tensors)] == [TensorStats, TensorStats]
    assert file.threads == {threading.get_ident()}


@pytest.mark.parametrize("kind", [Memory, Shared])
def test_a_tensor_that_can_not_be_read_does_not_stop_the_others(kind: type[Memory], many_threads: None) -> None:
    file = kind(a=np.ones(10), bad=InputError("its checksum does not match"), b=np.arange(3))
    made = all_stats(file, file.tensors)
    assert [type(each) for each in made] == [TensorStats, InputError, TensorStats]
    assert str(made[1]) == "its checksum does not match"
    assert made[2] == found(np.arange(3))


def test_a_tensor_without_streams_does_not_stop_the_others(many_threads: None) -> None:
    file = Shared(a=np.ones(10), bad=KeyError(), b=np.arange(3))
    made = all_stats(file, file.tensors)
    assert [str(each) for each in made if isinstance(each, InputError)] == ["it has no values"]
    assert made[2] == found(np.arange(3))


@pytest.mark.parametrize("kind", [Memory, Shared])
def test_a_fault_in_a_reader_is_not_hidden(kind: type[Memory], many_threads: None) -> None:
    file = kind(a=np.ones(10), bad=ZeroDivisionError(), b=np.ones(10**5))
    with pytest.raises(ZeroDivisionError):
        all_stats(file, file.tensors)


def test_files_for_several_threads_give_what_their_pieces_hold(
    tmp_path: Path, many_threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raw, "_SHARE_BYTES", 1000)
    monkeypatch.setattr(raw, "PIECE_BYTES", 150)
    array = np.asfortranarray(NOISE.reshape(50, 50)).astype(">f4")
    np.save(tmp_path / "a.npy", array)
    np.savez_compressed(tmp_path / "a.npz", a=array)
    save_file({"a": array.astype("<f4")}, tmp_path / "a.safetensors")
    (tmp_path / "index.json").write_text('{"weight_map": {"a": "a.safetensors"}}')
    for name in ("a.npy", "a.npz", "a.safetensors", "index.json"):
        with open_weights(str(tmp_path / name)) as file:
            assert file.threadsafe
            values = [piece.copy() for share in file.shares(file.tensors[0]) for piece in share]
            assert sorted(np.concatenate(values)) == sorted(array.ravel())
            (made,) = all_stats(file, file.tensors)
            assert isinstance(made, TensorStats)
            assert made.std == pytest.approx(found(array.astype("f4")).std, rel=1e-12)
