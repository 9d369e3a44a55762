"""NumPy's .npy: read by position, never mapped (a map dies with the file) and never unpickled."""

from __future__ import annotations

import io
import math
import os
import warnings
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy

from convtool.errors import InputError
from convtool.files.atomic import write_all
from convtool.files.source import CHUNK, Source
from convtool.signals.pcm import interleaved
from convtool.signals.signal import Block, Reader, Signal, Writer

_HEADER = 64 << 10


class NpyReader(Reader):
    """`(T,)`, `(C, T)` or `(N, C, T)`; with `layout` NTC `(T, C)` or `(..., T, C)`; either memory order."""

    def __init__(self, source: Source, *, layout: str = "NCT", exact: bool = True) -> None:
        self._source = source
        self.notes = []
        self._descriptor = source.fileno()
        self._shape, self._fortran, self._dtype, self._offset = _header(self._descriptor)
        if not self._shape or (len(self._shape) > 3 and layout == "NCT"):
            raise InputError(f"the array has shape {self._shape}; expected (T,), (C, T) or (N, C, T)")
        self._time = len(self._shape) - (2 if layout == "NTC" and len(self._shape) > 1 else 1)
        lead = self._shape[: self._time] + self._shape[self._time + 1 :]
        self._at = 0
        self._check_size()
        if 0 in lead:
            raise InputError(f"the array has shape {self._shape}: there are 0 samples in it")
        worked = "float32" if self._dtype.kind == "f" and self._dtype.itemsize < 8 else "float64"
        self.signal = Signal(
            format="NPY",
            channels=lead[-1] if lead else 1,
            batch=math.prod(lead[:-1]) if len(lead) > 1 else None,
            leading=lead[:-1] if len(lead) > 2 else (),
            flat=not lead,
            layout=layout,
            dtype="int64" if exact and self._dtype.kind != "f" else worked,
            frames=self._shape[self._time],
        )

    def _check_size(self) -> None:
        needed = math.prod(self._shape) * self._dtype.itemsize
        there = os.fstat(self._descriptor).st_size - self._offset
        if there < needed:
            size = self._dtype.itemsize
            raise InputError(f"truncated: {there // size} of {needed // size} numbers are there")

    def read(self, samples: int) -> Block:
        """The next samples, gathered from wherever the memory order has put them."""
        count = min(samples, self._shape[self._time] - self._at)
        if not count:
            lead = (self.signal.channels,) if self.signal.batch is None else (self.signal.batch, self.signal.channels)
            return np.empty((*lead, 0), self.signal.dtype)
        shape = self._shape[::-1] if self._fortran else self._shape
        time = len(shape) - 1 - self._time if self._fortran else self._time
        outer, inner = math.prod(shape[:time]), math.prod(shape[time + 1 :])
        rows = [self._values((index * shape[time] + self._at) * inner, count * inner) for index in range(outer)]
        block = np.concatenate(rows).reshape(*shape[:time], count, *shape[time + 1 :])
        block = np.moveaxis(block.T if self._fortran else block, self._time, -1)
        self._at += count
        if block.ndim > 3:
            return block.reshape(-1, *block.shape[-2:])
        return block[np.newaxis] if block.ndim == 1 else block

    def _values(self, start: int, count: int) -> Block:
        size = self._dtype.itemsize
        values = np.empty(count, self._dtype)
        left, at = memoryview(values.data).cast("B"), self._offset + start * size
        while left:
            read = os.preadv(self._descriptor, [left], at)
            if not read:
                raise InputError("the file shrank while it was read")
            left, at = left[read:], at + read
        if (
            self.signal.dtype == "int64"
            and self._dtype.kind == "u"
            and self._dtype.itemsize == 8
            and values.max(initial=0) > np.iinfo(np.int64).max
        ):
            raise InputError(f"{values.max()} is past what a 64-bit integer holds; --dtype float64 rounds it")
        return values.astype(self.signal.dtype, copy=False)

    def close(self) -> None:
        self._source.close()


def _header(descriptor: int) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Shape, whether in Fortran order, dtype, and where the numbers begin."""
    head = io.BytesIO(os.pread(descriptor, _HEADER, 0))
    try:
        version = npy.read_magic(head)
        read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0, (3, 0): npy.read_array_header_2_0}
        if version not in read:
            raise InputError(f"NPY version {version[0]}.{version[1]} is unknown; expected 1.0 to 3.0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # headers from Python 2 are read all the same
            shape, fortran, dtype = read[version](head)
    except InputError:
        raise
    except Exception as error:  # the header is a Python literal, and may fail in any way that these can
        reason = str(error).partition("\n")[0].partition(":")[0]
        raise InputError(f"the NPY header is damaged: {reason or 'too deep'}") from error
    kinds = {"c": "complex numbers", "O": "Python objects (pickled)", "V": "structured records"}
    if dtype.kind not in "fiub" or dtype.itemsize > 8:
        raise InputError(f"the array holds {kinds.get(dtype.kind, dtype.name)}; expected real numbers of up to 64 bits")
    if any(not isinstance(size, int) or size < 0 for size in shape):
        raise InputError(f"the NPY header declares shape {shape}")
    return shape, fortran, dtype, head.tell()


class NpyWriter(Writer):
    """An array of the input's shape, its length as it turns out.

    Samples come in time order and the length is known only at the end, so time must be the slowest axis
    in memory: `(C, T)` is written in Fortran order, which every NPY reader knows. `(N, T, C)` has time
    in the middle and is put together at the end.
    """

    _ROOM = 128

    def __init__(self, file: BinaryIO, signal: Signal, dtype: str) -> None:
        self._file = file
        self._signal = signal
        self._dtype = np.dtype(dtype).newbyteorder("<")
        self._samples = 0
        write_all(file, bytes(self._ROOM))

    def encode(self, block: Block) -> Block:
        """Time-major memory of a block: frames in which, as in Fortran order, the first axis runs fastest."""
        rows = block if block.ndim == 2 else block.swapaxes(0, 1).reshape(block.shape[0] * block.shape[1], -1)
        return interleaved(rows, self._dtype)

    def write(self, encoded: Block) -> None:
        self._samples += len(encoded)
        write_all(self._file, encoded)

    def close(self) -> None:
        signal, samples = self._signal, self._samples
        lead = (signal.batch, signal.channels) if signal.batch else (signal.channels,)
        if signal.flat and signal.channels == 1:
            self._head((samples,), fortran=False)
        elif signal.layout == "NTC" and signal.batch:
            self._regroup(lead, samples)
            self._head((*(signal.leading or lead[:1]), samples, signal.channels), fortran=False)
        elif signal.layout == "NTC":
            self._head((samples, signal.channels), fortran=False)
        else:
            self._head((*lead, samples), fortran=True)

    def _head(self, shape: tuple[int, ...], *, fortran: bool) -> None:
        head = {"descr": self._dtype.str, "fortran_order": fortran, "shape": shape}
        text = f"{head!r}".ljust(self._ROOM - 11) + "\n"
        os.pwrite(self._file.fileno(), npy.magic(1, 0) + len(text).to_bytes(2, "little") + text.encode("latin-1"), 0)

    def _regroup(self, lead: tuple[int, ...], samples: int) -> None:
        """Bring `(T, C, N)` as written into `(N, T, C)`, by way of a second file, a stretch at a time."""
        import tempfile

        batch, channels = lead
        size, frame = self._dtype.itemsize, batch * channels
        with tempfile.TemporaryFile(buffering=0) as grouped:
            step = max(1, CHUNK // frame)
            for start in range(0, samples, step):
                count = min(step, samples - start)
                data = os.pread(self._file.fileno(), count * frame * size, self._ROOM + start * frame * size)
                times = np.frombuffer(data, self._dtype).reshape(count, channels, batch)
                for index in range(batch):
                    part = np.ascontiguousarray(times[:, :, index])
                    os.pwrite(grouped.fileno(), part.tobytes(), (index * samples + start) * channels * size)
            total = samples * frame * size
            for at in range(0, total, CHUNK):
                os.pwrite(self._file.fileno(), os.pread(grouped.fileno(), min(CHUNK, total - at), at), self._ROOM + at)
