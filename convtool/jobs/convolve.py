"""`convtool convolve`: the work on one input."""

from __future__ import annotations

import os
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from convtool.batch.outcome import Outcome
from convtool.batch.plan import Task
from convtool.errors import CheckFailed, InputError
from convtool.files.inputs import Input
from convtool.files.opening import Output, ReadOptions, WriteOptions, open_reader
from convtool.files.signal import BLOCK_SAMPLES, Block, Reader, Signal
from convtool.files.source import Source
from convtool.jobs import kernel as kernels
from convtool.jobs.backend import choose_device, load_torch
from convtool.jobs.kernel import Shaping
from convtool.jobs.plot import Record, draw
from convtool.jobs.stream import Ingest, Stream, read_ahead

if TYPE_CHECKING:
    from torch import Tensor

    from convtool.ops.convolution import Convolution


@dataclass(frozen=True)
class ConvolveJob:
    """Convolve one input with a kernel and write the result."""

    kernel: str
    shaping: Shaping = field(default_factory=Shaping)
    bias: str | None = None
    mode: Literal["full", "same", "valid"] = "full"
    stride: int = 1
    dilation: int = 1
    padding_mode: Literal["zeros", "reflect", "replicate", "circular"] = "zeros"
    method: Literal["auto", "direct", "fft"] = "auto"
    dtype: str | None = None
    nan: str = "propagate"
    device: str = "auto"
    threads: int = 1
    fail_on_clip: bool = False
    plot: str | None = None
    read: ReadOptions = field(default_factory=ReadOptions)
    write: WriteOptions = field(default_factory=WriteOptions)

    def __call__(self, task: Task) -> Outcome:
        """Read, convolve and write one input."""
        kernel = kernels.load(self.kernel)
        bias = None if self.bias is None else kernels.load(self.bias).taps.reshape(-1)
        with (
            _rereadable(task.input, needed=self.padding_mode == "circular") as item,
            open_reader(item, self.read) as reader,
            read_ahead(reader, BLOCK_SAMPLES) as blocks,
        ):
            signal = reader.signal
            load_torch()
            taps = kernels.shape(kernel, signal, self.shaping)
            working = self._working_dtype(signal, taps, bias)
            device = choose_device(self.device, signal.frames and signal.frames * signal.channels)
            ingest = Ingest(signal, working if signal.dtype != "int64" else self.dtype or "int64", device, self.nan)
            operation = self._operation(taps, bias, ingest, item)
            heard, made = Record(), Record()
            if self.plot is not None:
                blocks = heard.pass_on(blocks, signal)
            output = Output(task.output, _result(signal, taps, working), self.write)
            stream = Stream(blocks, ingest.tensor, operation, output, made.hear if self.plot is not None else None)
            try:
                with _plain_errors():
                    stream.run(self.threads)
                self._check_clipping(output)
                output.commit()
            except BaseException:
                output.discard()
                raise
            if self.plot is not None:
                draw(self.plot, heard, taps, made, signal.sample_rate, (task.input.name, self.kernel))
            return self._outcome(task, reader, output, stream, working, device, operation)

    def _working_dtype(self, signal: Signal, *others: np.ndarray[Any, Any] | None) -> str:
        """float64, float32, or int64 where everything is an integer."""
        if self.dtype is not None:
            return self.dtype
        if signal.dtype == "int64" and any(other is not None and other.dtype != np.int64 for other in others):
            return "float64"
        return signal.dtype

    def _operation(
        self, taps: np.ndarray[Any, Any], bias: np.ndarray[Any, Any] | None, ingest: Ingest, item: Input
    ) -> Convolution:
        import torch

        from convtool.ops.convolution import Convolution

        def tensor(values: np.ndarray[Any, Any]) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(values)).to(ingest.device)

        single = taps.ndim == 2 and len(taps) == 1
        with _plain_errors():
            make = partial(
                Convolution,
                tensor(taps[0] if single else taps),
                mode=self.mode,
                stride=self.stride,
                dilation=self.dilation,
                padding_mode=self.padding_mode,
                method=self.method,
                bias=None if bias is None else tensor(bias),
                samples=ingest.signal.frames,
            )
            operation = make()
            if self.padding_mode == "circular":
                # Whether a NaN is an error is for the pass over the whole signal, which knows where it is.
                tail = replace(ingest, nan="zero" if self.nan == "zero" else "propagate")
                operation = make(before=tail.tensor(_last_samples(item, self.read, max(1, operation.left))))
            return operation

    def _check_clipping(self, output: Output) -> None:
        if output.writer.clipped and self.fail_on_clip:
            raise CheckFailed(f"{_clipping(output)}, and --fail-on-clip was given; nothing was written")

    def _outcome(
        self,
        task: Task,
        reader: Reader,
        output: Output,
        stream: Stream,
        working: str,
        device: str,
        operation: Convolution,
    ) -> Outcome:
        notes = list(reader.notes)
        if output.writer.clipped:
            notes.append(_clipping(output) + "; lower it with --gain or --kernel-norm, or write --subtype FLOAT")
        threads = f"{self.threads} thread{'s' * (self.threads > 1)}"
        written = "/".join(filter(None, (output.format, output.subtype)))
        return Outcome(
            task.input.name,
            task.output,
            "written",
            channels=output.signal.channels,
            samples=stream.samples,
            sample_rate=output.signal.sample_rate,
            clipped=output.writer.clipped,
            notes=notes,
            remarks=[f"{operation.describe()}; blocks of {BLOCK_SAMPLES}; {working} on {device}, {threads}; {written}"],
        )


def _clipping(output: Output) -> str:
    peak = 20 * np.log10(output.writer.peak)
    count = output.writer.clipped
    return f"{count} sample{'s' * (count > 1)} clipped, the peak is {peak:+.2f} dB over full scale"


def _result(signal: Signal, taps: np.ndarray[Any, Any], working: str) -> Signal:
    """What the result will be, before there is any of it; refuses channels that do not fit."""
    if taps.ndim == 3:
        channels, fits = len(taps), taps.shape[1] == signal.channels
        meant = f"mixes {taps.shape[1]} channels"
    else:
        channels, fits = (
            max(len(taps), signal.channels),
            1 in (len(taps), signal.channels) or len(taps) == signal.channels,
        )
        meant = f"has {len(taps)} channels"
    if not fits:
        raise InputError(
            f"the signal has {signal.channels} channels, but the kernel {meant}; "
            f"a kernel of 1 or {signal.channels} fits, or one of {signal.channels} x outputs with --matrix"
        )
    return replace(
        signal,
        channels=channels,
        dtype=working,
        full_scale=None,
        frames=None,
        flat=signal.flat and channels == 1,
        names=signal.names if channels == signal.channels else None,
    )


@contextmanager
def _plain_errors() -> Iterator[None]:
    """What an operation refuses is about the input here: say it as such."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise InputError(str(error)) from error


@contextmanager
def _rereadable(item: Input, *, needed: bool) -> Iterator[Input]:
    """`item`, or where it can be read only once but `needed` twice, a temporary copy of it."""
    if not needed or item.kind == "numbers" or (item.kind == "file" and os.path.isfile(item.value)):
        yield item
        return
    source = Source.of_stdin() if item.kind == "stdin" else Source.of_path(item.value)
    with tempfile.NamedTemporaryFile(prefix="convtool-") as spool:
        while chunk := source.read():
            spool.write(chunk)
        spool.flush()
        source.close()
        yield replace(item, kind="file", value=spool.name)


def _last_samples(item: Input, options: ReadOptions, count: int) -> Block:
    """The last `count` samples of an input, read for this alone (headers lie about where they are)."""
    kept: deque[Block] = deque()
    with open_reader(item, options) as reader:
        for block in reader.blocks():
            kept.append(block)
            while sum(b.shape[-1] for b in kept) - kept[0].shape[-1] >= count:
                kept.popleft()
    return np.concatenate(kept, axis=-1)[..., -count:]
