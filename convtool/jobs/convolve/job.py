"""`convtool convolve`: the work on one input."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from convtool.errors import InputError
from convtool.files.names import counted, show
from convtool.jobs.convolve import kernel as kernels
from convtool.jobs.convolve.kernel import Kernel
from convtool.jobs.convolve.shaping import Shaped, Shaping, shape
from convtool.jobs.signal_job import SignalJob, Work
from convtool.runs.outcome import Outcome
from convtool.runs.plan import Task
from convtool.signals.inputs import Input
from convtool.signals.signal import Signal, at_stride

if TYPE_CHECKING:
    from torch import Tensor

    from convtool.ops.convolution.convolve import Convolution
    from convtool.plots import Trace


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
    carried: Mapping[str, Kernel] = field(default_factory=dict, repr=False)
    """Kernels that were read already, by the words that stand for them."""

    @property
    def reads_twice(self) -> bool:
        """Circular padding begins with the signal's end."""
        return self.padding_mode == "circular"

    def __call__(self, task: Task) -> Outcome:
        """Read one input, convolve it with the kernel that is chosen for it, and write the result."""
        return SignalJob.__call__(self._with_choice(task), task)

    def rehearse(self, task: Task) -> Outcome:
        """Check one input with the kernel that is chosen for it, without its samples."""
        return SignalJob.rehearse(self._with_choice(task), task)

    def carrying(self, tasks: Iterable[Task]) -> ConvolveJob:
        """The same job with all kernels of `tasks` in it."""
        words = {self.kernel if task.choice is None else task.choice.word for task in tasks}
        words |= set() if self.bias is None else {self.bias}
        return replace(self, carried={word: self._load(word) for word in words})

    def _load(self, word: str) -> Kernel:
        return self.carried.get(word) or kernels.load(word, self.read.raw, self.read.text.notation)

    def _with_choice(self, task: Task) -> ConvolveJob:
        return self if task.choice is None else replace(self, kernel=task.choice.word)

    def prepare(self, item: Input, signal: Signal) -> Work:
        """The convolution of `signal` with the kernel, brought into shape for it."""
        kernel = self._load(self.kernel)
        bias = None if self.bias is None else self._load(self.bias)
        taps = self._shaped(kernel, signal).taps
        working = self._working_dtype(signal, taps, None if bias is None else bias.taps)
        result = _result(signal, taps, working)
        whole = signal.dtype == "int64" and self.normalize is None
        ingest = self.ingest(signal, self.dtype or "int64" if whole else working)
        settled = _settled(
            kernel,
            self.shaping,
            bias,
            channels=signal.channels,
            sample_rate=signal.sample_rate,
            device=ingest.device,
            mode=self.mode,
            stride=self.stride,
            dilation=self.dilation,
            padding_mode=self.padding_mode,
            method=self.method,
        )
        operation = settled.again(samples=signal.frames)
        if self.padding_mode == "circular":
            # Whether a NaN is an error is for the pass over the whole signal, which knows where it is.
            tail = replace(ingest, nan="zero" if self.nan == "zero" else "propagate")
            before = tail.tensor(self.last_samples(item, max(1, settled.left)))
            operation = settled.again(samples=signal.frames, before=before)
        resampled = None not in (kernel.sample_rate, signal.sample_rate) and kernel.sample_rate != signal.sample_rate
        picture = partial(self._picture, taps, signal, result.names, item.name, resampled)
        moves = self.mode not in ("same", "causal") and taps.shape[-1] > 1
        return Work(operation, ingest, result, operation.describe, picture, self.stride, moves or self.stride > 1)

    def against_clipping(self, over: float) -> list[str]:
        """A gain keeps a result in that has nothing dry in it; normalising keeps in any."""
        gain = math.floor(100 * (self.shaping.gain_db - over)) / 100
        ways = [f"--gain {gain:.2f}"] if self.shaping.mix == 1 and self.bias is None else []
        return [*ways, "--normalize"]

    def describe(self, signal: Signal) -> Signal:
        """The result's channels and rate; refuses a kernel that does not fit."""
        shaped = self._shaped(self._load(self.kernel), signal)
        if self.mode == "valid" and signal.frames is not None and signal.frames < shaped.span:
            raise InputError(
                f"--mode valid needs a signal at least as long as the kernel, which spans {shaped.span} samples; the "
                f"signal has {signal.frames}; use --mode same or full"
            )
        return at_stride(_result(signal, shaped.taps, self._working_dtype(signal, shaped.taps)), self.stride)

    def keeps_length(self, signal: Signal) -> bool:
        """Whether the result has a sample for each of `signal`, however many these are."""
        moded = self.mode not in ("full", "valid")
        return self.stride == 1 and (moded or self._shaped(self._load(self.kernel), signal).taps.shape[-1] == 1)

    def _shaped(self, kernel: Kernel, signal: Signal) -> Shaped:
        return shape(
            kernel,
            self.shaping,
            channels=signal.channels,
            sample_rate=signal.sample_rate,
            dilation=self.dilation,
        )

    def _working_dtype(self, signal: Signal, *others: np.ndarray[Any, Any] | None) -> str:
        """float64, float32, or int64 where everything is an integer."""
        if self.dtype is not None:
            return self.dtype
        if signal.dtype == "int64" and (
            self.normalize is not None or any(other is not None and other.dtype != np.int64 for other in others)
        ):
            return "float64"
        return signal.dtype

    def _picture(
        self,
        taps: np.ndarray[Any, Any],
        signal: Signal,
        names: tuple[str, ...] | None,
        name: str,
        resampled: bool,
        heard: Trace,
        made: Trace,
        format: str,
    ) -> bytes:
        from convtool.plots import render_convolution

        paths = None
        if taps.ndim == 3:
            paths = [f"{i} to {o}" for o in range(1, len(taps) + 1) for i in range(1, taps.shape[1] + 1)]
        return render_convolution(
            signal=heard,
            kernel=taps.reshape(-1, taps.shape[-1]),
            output=made,
            sample_rate=signal.sample_rate,
            stride=self.stride,
            names=(name, show(self.kernel), "output"),
            used=self.shaping.described(resampled=resampled),
            mixed=self.shaping.mix != 1,
            channels=(signal.names, paths, names),
            format=format,
        )


@lru_cache(maxsize=2)
def _settled(
    kernel: Kernel,
    shaping: Shaping,
    bias: Kernel | None,
    *,
    channels: int,
    sample_rate: int | None,
    device: str,
    dilation: int,
    **options: Any,
) -> Convolution:
    """A convolution with the kernel in shape for such signals, from which that of each one is made."""
    import torch

    from convtool.ops.convolution.convolve import Convolution

    def tensor(values: kernels.Taps) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(device)

    shaped = shape(kernel, shaping, channels=channels, sample_rate=sample_rate, dilation=dilation)
    kernels.check_span(shaped.span, channels)
    single = shaped.taps.ndim == 2 and len(shaped.taps) == 1
    taps = tensor(shaped.taps[0] if single else shaped.taps)
    added = None if bias is None else tensor(bias.taps.reshape(-1))
    return Convolution(taps, bias=added, ringing=shaped.ringing, dilation=shaped.dilation, **options)


def _result(signal: Signal, taps: np.ndarray[Any, Any], working: str) -> Signal:
    """What the result will be, before there is any of it; refuses channels that do not fit."""
    if taps.ndim == 3:
        channels, fits = len(taps), taps.shape[1] == signal.channels
        meant = f"mixes {counted(taps.shape[1], 'channel')}"
    else:
        channels, fits = (
            max(len(taps), signal.channels),
            1 in (len(taps), signal.channels) or len(taps) == signal.channels,
        )
        meant = f"has {counted(len(taps), 'channel')}"
    if not fits:
        fitting = " or ".join(map(str, sorted({1, signal.channels})))
        raise InputError(
            f"the signal has {counted(signal.channels, 'channel')}, but the kernel {meant}; "
            f"a kernel of {fitting} fits, or one of {signal.channels} x outputs with --matrix"
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
