"""Kernels brought into the shape that a convolution is to have: mixed, resampled, trimmed, scaled, flipped."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from convtool.errors import InputError
from convtool.files.names import counted
from convtool.jobs.convolve.kernel import Kernel, Taps, apart_by_groups, check_taps
from convtool.signals.length import Length

_INAUDIBLE = 1e-5
"""Of a peak: what is left out of the ringing beside it, all of it together."""

_MOST_ROOM = 1 << 24
"""Samples of silence before a kernel, so that its ringing falls onto whole samples of both rates."""


@dataclass(frozen=True)
class Shaping:
    """What is done to a kernel before it is used, in this order."""

    matrix: bool = False
    groups: int | None = None
    resample: bool = False
    delay: Length | None = None
    """Silence before it; with `early` what is dropped of its beginning instead."""
    early: bool = False
    trim_db: float | None = None
    fade: Length | None = None
    norm: str = "none"
    correlate: bool = False
    gain_db: float = 0.0
    mix: float = 1.0
    align_peak: bool = False

    def described(self, *, resampled: bool) -> str:
        """What is done, in a few words; nothing where a kernel is used as it is."""
        told = {
            "resampled": resampled,
            "trimmed": self.trim_db is not None,
            f"{self.norm} norm": self.norm != "none",
            "unflipped": self.correlate,
            f"gain {self.gain_db:+g} dB": self.gain_db != 0,
            f"mix {self.mix:g}": self.mix != 1,
        }
        return ", ".join(words for words, done in told.items() if done).replace("-", "−")


class Shaped(NamedTuple):
    """A kernel as a convolution is to use it, flipped like any convolution's kernel."""

    taps: Taps
    ringing: tuple[int, int] = (0, 0)
    """How many of its taps stand before time 0, and behind its end: what its resampling has added."""
    dilation: int = 1
    """How many samples its taps are apart."""

    @property
    def span(self) -> int:
        """How many samples of a signal it covers."""
        return (int(self.taps.shape[-1]) - 1) * self.dilation + 1


@lru_cache(maxsize=2)
def shape(kernel: Kernel, how: Shaping, *, channels: int, sample_rate: int | None, dilation: int = 1) -> Shaped:
    """`kernel` as the convolution of a signal of so many channels and that rate is to use it.

    A delay and a fade are lengths of the signal's time, whatever the `dilation`: with either the taps come at their
    distance, with zeros between them.

    Gain, mix and the dry part are all linear, so they go into the taps: the result of one convolution
    with ``mix * gain * h + (1 - mix) * delta`` is the mix itself, at no cost and in every mode.
    """
    taps = _as_matrix(kernel.taps, channels) if how.matrix else kernel.taps
    if how.groups is not None:
        taps = _with_groups(taps, channels, how.groups)
    elif taps.ndim == 3 and taps.shape[1] == 1 and taps.shape[0] == channels > 1:
        taps = taps[:, 0]  # a filter for each channel, as the weight of a depthwise layer has them
    taps, ahead, behind = _at_rate(taps, kernel.sample_rate, sample_rate, resample=how.resample)
    if dilation > 1 and (how.delay is not None or how.fade is not None):
        taps, ahead, behind, dilation = _spread(taps, dilation), ahead * dilation, behind * dilation, 1
    if how.delay is not None:
        taps = _delayed(taps, how.delay.samples(sample_rate), early=how.early)
    if how.trim_db is not None:
        whole = taps.shape[-1]
        taps = _trimmed(taps, abs(how.trim_db))
        behind = max(0, behind - (whole - taps.shape[-1]))
    if how.fade is not None:
        taps = _faded(taps, how.fade.samples(sample_rate))
    if how.norm != "none":
        taps = _normed(taps, how.norm)
    if how.correlate:
        taps = taps[..., ::-1].copy("C")  # torch takes no negative strides, not even of a single tap
        ahead, behind = behind, ahead
    if how.gain_db:
        taps = taps * 10.0 ** (how.gain_db / 20)
    return Shaped(_mixed(taps, how, ahead) if how.mix != 1.0 else taps, (ahead, behind), dilation)


def _as_matrix(taps: Taps, channels_in: int) -> Taps:
    """``(in * out, taps)``, input by input (for two channels LL, LR, RL, RR), as ``(out, in, taps)``."""
    if taps.ndim == 3:
        return taps
    if len(taps) % channels_in:
        raise InputError(
            f"--matrix needs a kernel with a multiple of the signal's {channels_in} channels; this one has {len(taps)}"
        )
    return taps.reshape(channels_in, -1, taps.shape[-1]).transpose(1, 0, 2)


def _with_groups(taps: Taps, channels: int, groups: int) -> Taps:
    """``(out, in / groups, taps)`` as ``(out, in, taps)``, as the weight of `torch.nn.Conv1d` with groups stands."""
    if taps.ndim != 3 or taps.shape[1] * groups != channels or len(taps) % groups:
        raise InputError(
            f"--groups {groups} needs a kernel (out, in/groups, taps) whose inputs times {groups} are the signal's "
            f"{channels} channels; this one has shape {taps.shape}"
        )
    return apart_by_groups(taps, groups)


def _at_rate(taps: Taps, own: int | None, rate: int | None, *, resample: bool) -> tuple[Taps, int, int]:
    """The kernel at the signal's rate, and how many of its taps stand before its time 0 and behind its end.

    It is the same filter, so the sum of its taps stays the same: the ringing of the resampling stays too, on both
    sides, down to what can't change a level by 1e-4 dB.
    """
    if own is None or rate is None or own == rate:
        return taps, 0, 0
    if not resample:
        raise InputError(
            f"the kernel is at {own} Hz, the signal at {rate} Hz; give --resample-kernel, or a kernel at {rate} Hz"
        )
    import torch

    from convtool.ops.resampling import resample as resampled
    from convtool.ops.resampling import ringing

    common = math.gcd(own, rate)
    period = own // common  # samples from one instant that both rates have to the next
    room = -(-ringing(own, rate) // period) * period
    if room > _MOST_ROOM:
        raise InputError(f"the kernel is at {own} Hz, and the signal at {rate} Hz: resample it in steps first")
    check_taps(taps.size // taps.shape[-1] * (taps.shape[-1] + 2 * room) * rate // own, f"at {rate} Hz ")
    widths = [(0, 0)] * (taps.ndim - 1) + [(room, room)]
    padded = torch.from_numpy(np.pad(np.asarray(taps, dtype=np.float64), widths))
    made: Taps = resampled(padded, orig_rate=own, new_rate=rate).numpy() * (own / rate)
    start = room // period * (rate // common)
    end = start - (-taps.shape[-1] * rate // own)
    ahead, behind = _audible(made[..., :start], made), _audible(made[..., end:][..., ::-1], made)
    return made[..., start - ahead : end + behind].copy(), ahead, behind


def _audible(ringing: Taps, whole: Taps) -> int:
    """How many of the last taps of `ringing` count: those before them add up to little beside the peak of each row."""
    peaks = np.abs(whole).max(axis=-1, keepdims=True)
    heard = np.abs(ringing).cumsum(axis=-1) > _INAUDIBLE * peaks
    return int(heard.reshape(-1, ringing.shape[-1]).sum(axis=-1).max())


def _trimmed(taps: Taps, decibels: float) -> Taps:
    """Without the end that stays `decibels` below the kernel's peak."""
    envelope = np.abs(taps).reshape(-1, taps.shape[-1]).max(axis=0)
    loud = np.flatnonzero(envelope >= envelope.max() * 10.0 ** (-decibels / 20))
    return taps[..., : loud[-1] + 1] if len(loud) else taps  # a peak that is NaN is above nothing


def _spread(taps: Taps, dilation: int) -> Taps:
    """With zeros between the taps, so that they are a sample apart."""
    span = (taps.shape[-1] - 1) * dilation + 1
    check_taps(taps.size // taps.shape[-1] * span, f"with the samples between them (--dilation {dilation}) ")
    made = np.zeros((*taps.shape[:-1], span), taps.dtype)
    made[..., ::dilation] = taps
    return made


def _delayed(taps: Taps, samples: int, *, early: bool) -> Taps:
    """With so many taps of silence before it, or without so many of its first."""
    if early:
        if samples >= taps.shape[-1]:
            drops = counted(samples, "sample")
            raise InputError(f"--kernel-delay drops {drops}, and the kernel has {taps.shape[-1]}; drop fewer")
        return taps[..., samples:].copy()
    check_taps(taps.size // taps.shape[-1] * (taps.shape[-1] + samples), "with its delay ")
    return np.pad(taps, [(0, 0)] * (taps.ndim - 1) + [(samples, 0)])


def _faded(taps: Taps, samples: int) -> Taps:
    """The last taps brought down to 0 along half a cosine, of which the ends, 1 and 0, would stand one tap further."""
    if samples > taps.shape[-1]:
        takes = counted(samples, "sample")
        raise InputError(f"--kernel-fade takes {takes}, and the kernel has {taps.shape[-1]}; fade fewer")
    made = taps.astype(np.float64)
    made[..., -samples:] *= (1 + np.cos(np.pi * np.arange(1, samples + 1) / (samples + 1))) / 2
    return made


def _normed(taps: Taps, kind: str) -> Taps:
    """`taps` over the largest norm of an output, one for all, so that their balance stays.

    An output's norm is over the taps of all the inputs that are mixed into it; its peak is that of a single tap.
    """
    exponent = int(np.frexp(np.abs(taps.astype(np.float64)).max())[1])
    within = np.ldexp(taps.astype(np.float64), -exponent)  # of about 1, so that no sum or square leaves the range
    rows = within.reshape(len(taps), -1)
    norms: dict[str, Callable[[], float]] = {
        "peak": lambda: float(np.abs(rows).max()),
        "l1": lambda: max(math.fsum(row) for row in np.abs(rows)),
        "l2": lambda: math.sqrt(max(math.fsum(row) for row in np.square(rows))),
        "dc": lambda: max((math.fsum(row) for row in rows), key=abs),
    }
    if kind == "dc" and taps.dtype.kind == "i":  # what is left of integers may be far smaller than they
        sums = [sum(row) for row in taps.reshape(len(taps), -1).tolist()]
        norms["dc"] = lambda: max(sums, key=abs) / (1 << exponent)
    value = norms[kind]()
    if value == 0 or not math.isfinite(value):
        raise InputError(f"the kernel's {kind} norm is {value:g}; it can't be scaled by that: --kernel-norm none")
    return within / value


def _mixed(taps: Taps, how: Shaping, start: int) -> Taps:
    """The kernel that gives `mix` of the convolved signal and the rest of the dry one."""
    wet = taps * how.mix
    at = int(np.abs(taps).reshape(-1, taps.shape[-1]).max(axis=0).argmax()) if how.align_peak else start
    if wet.ndim == 3:
        if wet.shape[0] != wet.shape[1]:
            raise InputError(
                f"--mix needs as many outputs as inputs; the kernel mixes {wet.shape[1]} channels into {wet.shape[0]}"
            )
        wet[..., at] += (1 - how.mix) * np.eye(wet.shape[0])
    else:
        wet[..., at] += 1 - how.mix
    return wet
