"""Kernels brought into the shape that a convolution is to have: mixed, resampled, trimmed, scaled, flipped."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convtool.errors import InputError
from convtool.jobs.convolve.kernel import Kernel, Taps
from convtool.signals.signal import Signal


@dataclass(frozen=True)
class Shaping:
    """What is done to a kernel before it is used, in this order."""

    matrix: bool = False
    resample: bool = False
    trim_db: float | None = None
    norm: str = "none"
    correlate: bool = False
    gain_db: float = 0.0
    mix: float = 1.0
    align_peak: bool = False


def shape(kernel: Kernel, signal: Signal, how: Shaping) -> Taps:
    """`kernel` as the convolution of `signal` is to use it, flipped like any convolution's kernel.

    Gain, mix and the dry part are all linear, so they go into the taps: the result of one convolution
    with ``mix * gain * h + (1 - mix) * delta`` is the mix itself, at no cost and in every mode.
    """
    taps = _as_matrix(kernel.taps, signal.channels) if how.matrix else kernel.taps
    if taps.ndim == 3 and taps.shape[1] == 1 and taps.shape[0] == signal.channels > 1:
        taps = taps[:, 0]  # a filter for each channel, as the weight of a depthwise layer has them
    taps = _at_rate(taps, kernel.sample_rate, signal.sample_rate, resample=how.resample)
    if how.trim_db is not None:
        taps = _trimmed(taps, abs(how.trim_db))
    if how.norm != "none":
        taps = taps / _norm(taps, how.norm)
    if how.correlate:
        taps = taps[..., ::-1].copy("C")  # torch takes no negative strides, not even of a single tap
    if how.gain_db:
        taps = taps * 10.0 ** (how.gain_db / 20)
    return _mixed(taps, how) if how.mix != 1.0 else taps


def _as_matrix(taps: Taps, channels_in: int) -> Taps:
    """``(in * out, taps)``, input by input (for two channels LL, LR, RL, RR), as ``(out, in, taps)``."""
    if taps.ndim == 3:
        return taps
    if len(taps) % channels_in:
        raise InputError(
            f"--matrix needs a kernel with a multiple of the signal's {channels_in} channels; this one has {len(taps)}"
        )
    return taps.reshape(channels_in, -1, taps.shape[-1]).transpose(1, 0, 2)


def _at_rate(taps: Taps, own: int | None, rate: int | None, *, resample: bool) -> Taps:
    """The kernel at the signal's rate: the same filter, so the sum of its taps stays the same."""
    if own is None or rate is None or own == rate:
        return taps
    if not resample:
        raise InputError(
            f"the kernel is at {own} Hz, the signal at {rate} Hz; give --resample-kernel, or a kernel at {rate} Hz"
        )
    import torch

    from convtool.ops.resampling import resample as resampled

    floats = np.ascontiguousarray(taps, dtype=np.float64)
    return resampled(torch.from_numpy(floats), orig_rate=own, new_rate=rate).numpy() * (own / rate)


def _trimmed(taps: Taps, decibels: float) -> Taps:
    """Without the end that stays `decibels` below the kernel's peak."""
    envelope = np.abs(taps).reshape(-1, taps.shape[-1]).max(axis=0)
    loud = np.flatnonzero(envelope >= envelope.max() * 10.0 ** (-decibels / 20))
    return taps[..., : loud[-1] + 1] if len(loud) else taps  # a peak that is NaN is above nothing


def _norm(taps: Taps, kind: str) -> float:
    """What to divide by: the largest over the channels, one for all, so that their balance stays."""
    norms = {
        "peak": lambda: np.abs(taps).max(),
        "l1": lambda: np.abs(taps).sum(axis=-1).max(),
        "l2": lambda: np.sqrt(np.square(taps, dtype=np.float64).sum(axis=-1).max()),
        "dc": lambda: max(taps.sum(axis=-1).ravel(), key=abs),
    }
    value = float(norms[kind]())
    if value == 0 or not np.isfinite(value):
        raise InputError(f"the kernel's {kind} norm is {value:g}; it can't be scaled by that: --kernel-norm none")
    return value


def _mixed(taps: Taps, how: Shaping) -> Taps:
    """The kernel that gives `mix` of the convolved signal and the rest of the dry one."""
    wet = taps * how.mix
    at = int(np.abs(taps).reshape(-1, taps.shape[-1]).max(axis=0).argmax()) if how.align_peak else 0
    if wet.ndim == 3:
        if wet.shape[0] != wet.shape[1]:
            raise InputError(
                f"--mix needs as many outputs as inputs; the kernel mixes {wet.shape[1]} channels into {wet.shape[0]}"
            )
        wet[..., at] += (1 - how.mix) * np.eye(wet.shape[0])
    else:
        wet[..., at] += 1 - how.mix
    return wet
