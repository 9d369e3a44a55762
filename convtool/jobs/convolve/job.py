"""`convtool convolve`: the work on one input."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from convtool.errors import InputError
from convtool.files.names import show
from convtool.jobs.convolve import kernel as kernels
from convtool.jobs.convolve.shaping import Shaping, shape
from convtool.jobs.signal_job import SignalJob, Work
from convtool.jobs.stream import Ingest
from convtool.signals.inputs import Input
from convtool.signals.signal import Block, Signal

if TYPE_CHECKING:
    from torch import Tensor

    from convtool.ops.convolution.convolve import Convolution


@dataclass(frozen=True)
class ConvolveJob(SignalJob):
    """Convolve one input with a kernel and write the result."""

    kernel: str
    shaping: Shaping = field(default_factory=Shaping)
    bias: str | None = None
    mode: Literal["full", "same", "valid", "causal", "aligned"] = "full"
    stride: int = 1
    dilation: int = 1
    padding_mode: Literal["zeros", "reflect", "replicate", "circular"] = "zeros"
    method: Literal["auto", "direct", "fft"] = "auto"

    against_clipping = "lower it with --gain or --kernel-norm, or write --subtype FLOAT"

    @property
    def reads_twice(self) -> bool:
        """Circular padding begins with the signal's end."""
        return self.padding_mode == "circular"

    def prepare(self, item: Input, signal: Signal) -> Work:
        """The convolution of `signal` with the kernel, brought into shape for it."""
        taps, ringing = shape(kernels.load(self.kernel, self.read.raw, self.read.text.decimal), signal, self.shaping)
        kernels.check_span(self.dilation * (taps.shape[-1] - 1) + 1, signal.channels)
        bias = (
            None
            if self.bias is None
            else kernels.load(self.bias, self.read.raw, self.read.text.decimal).taps.reshape(-1)
        )
        working = self._working_dtype(signal, taps, bias)
        result = _result(signal, taps, working)
        ingest = self.ingest(signal, working if signal.dtype != "int64" else self.dtype or "int64")
        operation = self._operation(taps, ringing, bias, ingest, item)
        picture = partial(_picture, taps, signal.sample_rate, (item.name, show(self.kernel), "output"))
        moves = self.mode not in ("same", "causal") and taps.shape[-1] > 1
        return Work(operation, ingest, result, operation.describe, picture, self.stride, moves or self.stride > 1)

    def _working_dtype(self, signal: Signal, *others: np.ndarray[Any, Any] | None) -> str:
        """float64, float32, or int64 where everything is an integer."""
        if self.dtype is not None:
            return self.dtype
        if signal.dtype == "int64" and any(other is not None and other.dtype != np.int64 for other in others):
            return "float64"
        return signal.dtype

    def _operation(
        self,
        taps: np.ndarray[Any, Any],
        ringing: tuple[int, int],
        bias: np.ndarray[Any, Any] | None,
        ingest: Ingest,
        item: Input,
    ) -> Convolution:
        import torch

        from convtool.ops.convolution.convolve import Convolution

        def tensor(values: np.ndarray[Any, Any]) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(values)).to(ingest.device)

        single = taps.ndim == 2 and len(taps) == 1
        make = partial(
            Convolution,
            tensor(taps[0] if single else taps),
            mode=self.mode,
            stride=self.stride,
            dilation=self.dilation,
            padding_mode=self.padding_mode,
            method=self.method,
            bias=None if bias is None else tensor(bias),
            ringing=ringing,
            samples=ingest.signal.frames,
        )
        operation = make()
        if self.padding_mode == "circular":
            # Whether a NaN is an error is for the pass over the whole signal, which knows where it is.
            tail = replace(ingest, nan="zero" if self.nan == "zero" else "propagate")
            operation = make(before=tail.tensor(self.last_samples(item, max(1, operation.left))))
        return operation


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


def _picture(
    taps: np.ndarray[Any, Any], rate: int | None, names: tuple[str, str, str], heard: Block, made: Block, format: str
) -> bytes:
    from convtool.plots import render_convolution

    kernel = taps.reshape(-1, taps.shape[-1])
    return render_convolution(signal=heard, kernel=kernel, output=made, sample_rate=rate, names=names, format=format)
