"""Change of sample rate by any ratio of integers: band-limited interpolation with a Kaiser-windowed sinc.

A band-limited signal is known between its samples. With input samples as the unit of time, output m lies at
``t_m = m * orig_rate / new_rate`` and is

    y[m] = sum_i x[i] h(t_m - i),    h(t) = c sinc(c t) w(t / H),    |t| < H

    w(u) = I0(BETA sqrt(1 - u^2)) / I0(BETA)       Kaiser's window
    c    = CUTOFF min(1, new_rate / orig_rate)     the edge of the band, over the input's Nyquist frequency
    H    = ZEROS max(1, orig_rate / new_rate)      half of the filter's length

How it is computed. Time is cut into frames of `hop` samples. The values at the same `times` within every frame are
one matrix product: a frame with its H samples on either side, times a bank with one column a time. There are two
choices of the times:

* When the reduced ratio is small (44100 to 48000 Hz is 147 to 160), `hop` is a multiple of its input period, the same
  output times come back in every frame, and the product is the result: the polyphase filter of Crochiere and Rabiner.
* Otherwise (44100 to 48001 Hz has 48001 phases) the band-limited signal is evaluated at the NODES Chebyshev points of
  each step of max(1, floor(orig/new)) samples, and the outputs are read from the polynomial through them. Over one
  step the fastest component turns by pi at most, and its Chebyshev coefficients are 2 J_d(pi/2), Bessel functions
  that are below 3e-10 from d = NODES = 12 on: what is lost lies 190 dB down, far below the filter's own stop band.

Frames are worked in groups of a fixed size at fixed places. A matrix product of one shape at one place always rounds
alike, so the cuts between blocks can't show in the result.

Sources: J. F. Kaiser, "Nonrecursive digital filter design using the I0-sinh window function", 1974;
R. E. Crochiere and L. R. Rabiner, "Multirate Digital Signal Processing", 1983, chapter 2;
J. O. Smith, "Digital Audio Resampling", https://ccrma.stanford.edu/~jos/resample/.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from convtool.ops.blocks import Blockwise, Work

# Kaiser's estimates: a stop band at -A dB needs BETA = 0.1102 (A - 8.7), here A = 154; its edge lies
# (A - 7.95) / (2.285 * 2 ZEROS pi) = 0.0489 (of the lower Nyquist frequency) above that of the pass band.
# CUTOFF, the middle of the two, puts the stop band's edge on the Nyquist frequency and the pass band's on 0.951 of it.
BETA = 16.0
ZEROS = 208
CUTOFF = 1 - 0.0489 / 2

NODES = 12
MAX_RATIO = 1000  # a filter of 2 * 208 * 1000 taps; beyond, two steps are the better way
MAX_RATIO_UP = 100_000  # outputs of one sample, which come all at a time
POLYPHASE_SIZE = 4_000_000  # numbers in a polyphase bank: 32 MB in float64
NODE_SIZE = 2_000_000
GROUP = 16_384  # input samples in a group of frames, about; and no more than four times as many outputs


@dataclass(frozen=True)
class _Plan:
    """How one reduced ratio is computed; lengths in input samples.

    `bank` is ``(reach - 1 + hop + reach, columns)`` in float64. `step` is 0 where a column is an output; elsewhere it
    is the length that NODES columns share.
    """

    orig: int
    new: int
    reach: int
    hop: int
    step: int
    group: int
    bank: Tensor


def _filters(times: Tensor, orig: int, new: int, hop: int, reach: int) -> Tensor:
    """Columns h(t - i) for each t in `times`, rows i from 1 - reach to hop + reach - 1; every column sums to 1.

    Their own sums differ from 1 by about 1e-8, the ripple of the stop band around the multiples of the sample rate.
    """
    cutoff, half = CUTOFF * min(1.0, new / orig), ZEROS * max(1.0, orig / new)
    distance = times - torch.arange(1 - reach, hop + reach, dtype=torch.float64)[:, None]
    inside = (1 - (distance / half) ** 2).clamp(min=0)
    window = torch.where(inside > 0, torch.special.i0(BETA * inside.sqrt()), 0)
    columns = torch.sinc(cutoff * distance) * window
    return columns / columns.sum(0)


def _chebyshev_angles() -> Tensor:
    """The angles in (0, pi) whose cosines are the NODES Chebyshev points of [-1, 1]."""
    return torch.pi * (torch.arange(NODES, dtype=torch.float64) + 0.5) / NODES


def ringing(orig_rate: int, new_rate: int) -> int:
    """How many input samples before and after one its ringing reaches."""
    return math.ceil(ZEROS * max(1.0, orig_rate / new_rate))


@lru_cache(maxsize=4)
def _plan(orig: int, new: int) -> _Plan:
    """The plan of a reduced ratio: polyphase while its bank is small, else Chebyshev nodes."""
    reach = ringing(orig, new)
    # A frame of `hop` outputs' worth reads hop + 2 reach samples: half of reach keeps both the copies and the zeros
    # of the bank few.
    if (orig + 2 * reach) * new <= POLYPHASE_SIZE:
        repeats = max(1, min(reach // 2 // orig, POLYPHASE_SIZE // (2 * reach * new)))
        hop, step = orig * repeats, 0
        times = torch.arange(new * repeats, dtype=torch.float64) * orig / new
    else:
        step = max(1, orig // new)
        repeats = max(1, min(reach // 2 // step, NODE_SIZE // (2 * reach * NODES), GROUP * orig // (new * step)))
        hop = step * repeats
        points = (1 + _chebyshev_angles().cos()) / 2
        times = ((torch.arange(repeats, dtype=torch.float64)[:, None] + points) * step).flatten()
    group = hop * max(1, min(GROUP // hop, 4 * GROUP * orig // (new * hop)))
    return _Plan(orig, new, reach, hop, step, group, _filters(times, orig, new, hop, reach))


def _node_weights(fractions: Tensor) -> Tensor:
    """Weights ``(outputs, NODES)`` of the node values in a step, for outputs at `fractions` in [0, 1) of it.

    The polynomial through values v_d at the Chebyshev points x_d is sum_j a_j T_j(x) with
    a_j = (2 - [j = 0]) / NODES sum_d v_d T_j(x_d), and T_j(cos a) = cos(j a).
    """
    orders = torch.arange(NODES, dtype=torch.float64)
    scale = (2 - (orders == 0).double()) / NODES
    at_outputs = (orders * (2 * fractions - 1).acos()[:, None]).cos()
    return (at_outputs * scale) @ (orders[:, None] * _chebyshev_angles()).cos()


def _touched(bad: Tensor, positions: Tensor, plan: _Plan) -> Tensor:
    """True for each output whose filter reaches a sample marked in `bad` ``(..., reach - 1 + group + reach)``."""
    half = ZEROS * max(plan.orig, plan.new)  # H as a multiple of 1 / new, the unit of `positions`
    first = (positions - half) // plan.new + plan.reach
    end = -((-positions - half) // plan.new) + plan.reach - 1
    counts = torch.nn.functional.pad(bad.cumsum(-1), (1, 0))
    return counts[..., end] > counts[..., first]


def _resample_group(plan: _Plan, bank: Tensor, index: int, samples: Tensor) -> Tensor:
    """All outputs in group `index`, from its samples ``(..., reach - 1 + group + reach)``."""
    start = index * plan.group * plan.new
    first, end = -(-start // plan.orig), -(-(start + plan.group * plan.new) // plan.orig)
    # Times of the outputs from the group's start on, as integers: new_rate of them make one input sample.
    positions = first * plan.orig - start + plan.orig * torch.arange(end - first)

    samples = samples.to(bank.dtype)
    finite = samples.isfinite()
    clean = bool(finite.all())
    frames = (samples if clean else samples.where(finite, 0)).unfold(-1, bank.shape[0], plan.hop)
    lead, count = frames.shape[:-2], plan.group // plan.hop
    values = frames.reshape(-1, bank.shape[0]) @ bank
    if not plan.step:
        output = values.reshape(*lead, count * bank.shape[1])
    else:
        unit = plan.new * plan.step
        weights = _node_weights((positions % unit).double() / unit).to(bank.dtype).to(bank.device)
        nodes = values.reshape(*lead, plan.group // plan.step, NODES)[..., (positions // unit).to(bank.device), :]
        output = (nodes * weights).sum(-1)
    return output if clean else output.masked_fill(_touched(~finite, positions.to(bank.device), plan), math.nan)


def _check_rate(name: str, rate: object) -> int:
    if isinstance(rate, bool) or not isinstance(rate, int) or rate < 1:
        raise ValueError(f"{name} is {rate!r}; a sample rate is a whole number of 1 Hz or more: round it, e.g. 44100")
    return rate


class Resampling(Blockwise):
    """`resample`, block by block: the outputs joined are those of the whole signal, to the bit.

    Holds about 17000 input samples (and the filter's length, where that is more) between the blocks. Without any
    block the result is an empty float32 tensor of shape ``(0,)``.

    >>> core = Resampling(orig_rate=1, new_rate=2)
    >>> [core.push(torch.ones(2, 5)).shape[-1], core.push(torch.ones(2, 20000)).shape[-1], core.finish().shape[-1]]
    [0, 32656, 7354]
    """

    def __init__(self, *, orig_rate: int, new_rate: int) -> None:
        orig, new = _check_rate("orig_rate", orig_rate), _check_rate("new_rate", new_rate)
        factor, most = (orig / new, MAX_RATIO) if orig > new else (new / orig, MAX_RATIO_UP)
        if factor > most:
            raise ValueError(
                f"from {orig} Hz to {new} Hz is a factor of {factor:g}; one step takes a factor of up to {most}: "
                "resample in two steps"
            )
        common = math.gcd(orig, new)
        self._orig, self._new = orig // common, new // common
        self._bank: Tensor | None = None
        self._held = torch.empty(0)  # samples from the next group's first frame on
        self._groups = 0  # groups done
        self._samples = 0  # samples received

    def push_in_parts(self, block: Tensor) -> Iterator[Tensor]:
        """`push`, with no result much larger than `block` however far up it goes."""
        for part in torch.split(block, max(1, block.shape[-1] * self._orig // self._new), -1):
            yield self.push(part)

    def finish_in_parts(self) -> Iterator[Tensor]:
        """`finish`, a group at a time: the last samples may have millions of outputs."""
        if self._bank is None:
            yield self.finish()
            return
        for _ in range(self._end_held()):
            yield self._stage_groups(1, self._total)()

    def stage(self, block: Tensor) -> Work:
        """Take in ``(..., samples)``; raises TypeError unless it is real floating point."""
        if not block.is_floating_point():
            raise TypeError(f"the signal has dtype {block.dtype}; resampling needs a floating-point one: .to(float64)")
        self._samples += block.shape[-1]
        if self._orig == self._new:
            self._held = block[..., :0]
            copy = block.clone()
            return lambda: copy
        plan = _plan(self._orig, self._new)
        if self._bank is None:
            # In float32 the sums of a thousand terms would cost 20 dB; Metal has nothing wider.
            self._bank = plan.bank.to(torch.float32 if block.device.type == "mps" else torch.float64).to(block.device)
            self._held = block.new_zeros(*block.shape[:-1], plan.reach - 1)
        self._held = torch.cat([self._held, block], -1)
        return self._stage_groups(max(0, (self._held.shape[-1] - 2 * plan.reach + 1) // plan.group))

    def stage_end(self) -> Work:
        """Take in the silence after the signal, as far as the last output's filter reaches."""
        held = self._held
        if self._bank is None:
            return lambda: held
        return self._stage_groups(self._end_held(), self._total)

    @property
    def _total(self) -> int:
        """Outputs of all samples received."""
        return -(-self._samples * self._new // self._orig)

    def _end_held(self) -> int:
        """Put silence behind the samples that are held; how many groups they make then."""
        plan, held = _plan(self._orig, self._new), self._held
        groups = -(-self._samples // plan.group) - self._groups
        missing = groups * plan.group + 2 * plan.reach - 1 - held.shape[-1]
        self._held = torch.cat([held, held.new_zeros(*held.shape[:-1], max(0, missing))], -1)
        return groups

    def _stage_groups(self, count: int, total: int | None = None) -> Work:
        """The work of the next `count` groups, cut off after `total` outputs in all, and the state moved past them."""
        plan, bank, held, first = _plan(self._orig, self._new), self._bank, self._held, self._groups
        assert bank is not None
        width = plan.group + 2 * plan.reach - 1
        self._groups += count
        self._held = held[..., count * plan.group :].clone() if count else held
        limit = None if total is None else total - -(-first * plan.group * plan.new // plan.orig)

        def work() -> Tensor:
            outputs = [
                _resample_group(plan, bank, first + g, held.narrow(-1, g * plan.group, width)) for g in range(count)
            ]
            return torch.cat([held[..., :0].to(bank.dtype), *outputs], -1)[..., :limit].to(held.dtype)

        return work


def resample(signal: Tensor, *, orig_rate: int, new_rate: int) -> Tensor:
    """The band-limited signal ``(..., T)`` at `orig_rate` Hz, sampled anew at `new_rate` Hz: ``(..., S)``.

    ``S = ceil(T * new_rate / orig_rate)``, and output m lies at the time ``m / new_rate``: nothing is delayed. Around
    the signal there is silence. The formula, the method and its sources are in the module's docstring.

    Quality, with N half of the lower rate: the pass band ends at 0.95 N, flat within 1e-6 dB; from N on all aliases
    and images lie 150 dB down. The gain of a constant is 1 to rounding. The filter has linear phase: it rings for up
    to 208 periods of the lower rate before and after a step.

    Equal rates return the same numbers. An empty signal gives an empty one, silence exact zeros. NaN and infinities
    make NaN of the outputs whose filter reaches them, and of no others. Differentiable. dtype and device are kept;
    the sums are worked in float64 (float32 on Metal).

    Raises ValueError for a rate that is no whole number from 1 on, a reduction by more than 1000, or an increase by
    more than 100000; TypeError for a signal of integers, booleans or complex numbers.

    >>> seconds = torch.arange(1000, dtype=torch.float64) / 44100
    >>> y = resample(torch.sin(6000 * seconds), orig_rate=44100, new_rate=48000)
    >>> y.shape
    torch.Size([1089])
    >>> seconds = torch.arange(1089, dtype=torch.float64) / 48000
    >>> bool((y - torch.sin(6000 * seconds))[300:-300].abs().max() < 1e-7)
    True
    """
    core = Resampling(orig_rate=orig_rate, new_rate=new_rate)
    return torch.cat([core.push(signal), core.finish()], -1)
