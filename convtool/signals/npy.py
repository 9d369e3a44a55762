"""NumPy's .npy: read by position, never mapped (a map dies with the file) and never unpickled."""

from __future__ import annotations

import io
import math
import os
from typing import BinaryIO

import numpy as np

from convtool.arrays.numpy.header import HEADER_LIMIT, header_bytes, read_header
from convtool.errors import InputError
from convtool.files.atomic import write_all
from convtool.files.source import CHUNK, Source
from convtool.signals.pcm import interleaved
from convtool.signals.signal import Block, Reader, Signal, Writer


class NpyReader(Reader):
    """`(T,)`, `(C, T)` or `(N, C, T)`; with `layout` NTC `(T, C)` or `(..., T, C)`; either memory order.

    HWC is a picture `(rows, columns, colours)`: each colour is a grid, whose rows are read as time.
    """

    def __init__(self, source: Source, *, layout: str = "NCT", exact: bool = True) -> None:
        self._source = source
        self.notes = []
        self._descriptor = source.fileno()
        header = read_header(io.BytesIO(os.pread(self._descriptor, 12 + HEADER_LIMIT, 0)).read)
        if header.flag or header.dtype.startswith("complex"):
            what = header.flag.partition(";")[0] or "holds complex numbers"
            raise InputError(f"the array {what}; expected real numbers of up to 64 bits")
        if lack := header.shortage(os.fstat(self._descriptor).st_size - header.size):
            raise InputError(f"the array {lack}")
        self._shape, self._fortran, self._offset = header.shape, header.fortran, header.size
        self._dtype = np.dtype(header.dtype).newbyteorder(header.order)
        if not self._shape or (len(self._shape) > 3 and layout == "NCT"):
            raise InputError(f"the array has shape {self._shape}; expected (T,), (C, T) or (N, C, T)")
        self._colours_last = layout == "HWC"
        if self._colours_last and len(self._shape) != 3:
            raise InputError(f"the array has shape {self._shape}; --layout HWC is for (rows, columns, colours)")
        self._time = (
            0 if self._colours_last else len(self._shape) - (2 if layout == "NTC" and len(self._shape) > 1 else 1)
        )
        lead = self._shape[2:0:-1] if self._colours_last else self._shape[: self._time] + self._shape[self._time + 1 :]
        self._at = 0
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
        if self._colours_last:
            return block.swapaxes(0, 1)
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


class NpyWriter(Writer):
    """An array of the input's shape, its length as it turns out.

    Samples come in time order and the length is known only at the end, so time must be the slowest axis
    in memory: `(C, T)` is written in Fortran order, which every NPY reader knows. `(N, T, C)` has time
    in the middle and is put together at the end. A picture `(H, W, C)` is written as it comes.
    """

    def __init__(self, file: BinaryIO, signal: Signal, dtype: str) -> None:
        self._file = file
        self._signal = signal
        self._dtype = np.dtype(dtype).newbyteorder("<")
        self._samples = 0
        # The header is written at last; the samples may be any number until then.
        longest = (*(signal.leading or (signal.batch or 1,)), 1 << 62, signal.channels)
        self._room = len(header_bytes(self._dtype.str, longest))
        write_all(file, bytes(self._room))

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
        elif signal.layout == "HWC" and signal.batch:
            self._head((samples, signal.channels, signal.batch), fortran=False)
        elif signal.layout == "NTC" and signal.batch:
            self._regroup(lead, samples)
            self._head((*(signal.leading or lead[:1]), samples, signal.channels), fortran=False)
        elif signal.layout == "NTC":
            self._head((samples, signal.channels), fortran=False)
        else:
            self._head((*lead, samples), fortran=True)

    def _head(self, shape: tuple[int, ...], *, fortran: bool) -> None:
        head = header_bytes(self._dtype.str, shape, fortran=fortran, room=self._room)
        os.pwrite(self._file.fileno(), head, 0)

    def _regroup(self, lead: tuple[int, ...], samples: int) -> None:
        """Bring `(T, C, N)` as written into `(N, T, C)`, by way of a second file, a stretch at a time."""
        import tempfile

        batch, channels = lead
        size, frame = self._dtype.itemsize, batch * channels
        with tempfile.TemporaryFile(buffering=0) as grouped:
            step = max(1, CHUNK // frame)
            for start in range(0, samples, step):
                count = min(step, samples - start)
                data = os.pread(self._file.fileno(), count * frame * size, self._room + start * frame * size)
                times = np.frombuffer(data, self._dtype).reshape(count, channels, batch)
                for index in range(batch):
                    part = np.ascontiguousarray(times[:, :, index])
                    os.pwrite(grouped.fileno(), part.tobytes(), (index * samples + start) * channels * size)
            total = samples * frame * size
            for at in range(0, total, CHUNK):
                os.pwrite(self._file.fileno(), os.pread(grouped.fileno(), min(CHUNK, total - at), at), self._room + at)
