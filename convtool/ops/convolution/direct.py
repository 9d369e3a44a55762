"""Convolution by shifted copies of the signal added up, in floating point and in exact integers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import conv1d

from convtool.errors import InputError
from convtool.ops.convolution.overlap_save import spoil
from convtool.ops.convolution.taps import Taps, needs_grad
from convtool.ops.parallel import empty

if TYPE_CHECKING:
    from collections.abc import Callable

BLOCK = 1 << 18
"""Outputs that are added up at a time: few enough for the cache, enough to forget the cost of a call."""

MATRIX = 16
"""Channel pairs from which mixing is done by matrix products."""

MATRIX_BLOCK = 1 << 12
"""Outputs of one matrix product, whose last bits depend on its shape, so all have the same."""


class Direct:
    """Outputs from the samples under them, by multiplying and adding.

    Args:
        taps: the kernel.
        exact: integers: every result is right to the last digit, or an error.
        bias: integers of shape ``(O,)`` or ``(1,)`` that join exact sums.

    Attributes:
        hop: outputs a row.
        reach: samples that a row needs beyond its first `hop`.
    """

    def __init__(self, taps: Taps, *, exact: bool = False, bias: Tensor | None = None) -> None:
        self.taps = taps
        self.exact = exact
        self.bias = bias
        self.matrix = taps.mixes and taps.values.shape[:2].numel() >= MATRIX
        self.hop = MATRIX_BLOCK if self.matrix else 1
        self.reach = taps.span
        self._listed: list[_Part] | None = None

    def describe(self) -> str:
        """The method in a few words."""
        taps = "1 tap" if self.taps.count == 1 else f"{self.taps.count} taps"
        return f"direct, {taps}{', exact integers' if self.exact else ''}"

    def stage(self, segment: Tensor, skip: int, stride: int, place: int) -> Callable[[Tensor | None], Tensor]:
        """The outputs ``(B, O, n)`` from samples ``(B, C, R * hop + reach)``: all but `skip`, every `stride`-th.

        `place` is the number of the first of them in the whole result. The function returned may be given the tensor
        to put them into.
        """
        if self.exact:
            return lambda out: self._integers(segment, skip, stride, place, out)
        return lambda out: self._floats(segment, self.taps, skip, stride, out)

    def _floats(self, segment: Tensor, taps: Taps, skip: int, stride: int, out: Tensor | None) -> Tensor:
        if needs_grad(segment, taps.values):
            return _recorded(segment[..., skip:], taps, stride)
        if self.matrix:
            return _given(_by_matrices(segment, taps)[..., skip::stride], out)
        if bool((taps.values == 0).any()) and taps.count > 1 and not bool(segment.sum().isfinite()):
            # Zero taps are passed over, but zero times infinity is NaN.
            y = self._shifted(torch.where(segment.isfinite(), segment, 0), taps, 0, 1, None)
            return _given(spoil(segment, y, taps)[..., skip::stride], out)
        return self._shifted(segment, taps, skip, stride, out)

    def _shifted(self, segment: Tensor, taps: Taps, skip: int, stride: int, into: Tensor | None) -> Tensor:
        """The sum over taps of the shifted signal times a number, in blocks that stay in the cache."""
        batch, received, samples = segment.shape
        outputs = -(-(samples - taps.span - skip) // stride)
        y = empty((batch, taps.channels(received), outputs), segment, segment.dtype) if into is None else into
        zero = segment.new_zeros(())
        for inputs, channels, nonzero in self._parts(taps, received):
            step = max(1, BLOCK // (batch * (received if isinstance(channels, slice) else 1)))
            for low in range(0, outputs, step):
                high = min(low + step, outputs)
                out = y[:, channels, low:high]
                begun = False
                for one, row in zip(inputs, nonzero, strict=True):
                    for k, h in row:
                        start = skip + low * stride + k * taps.dilation
                        shifted = segment[:, one, start : start + (high - low - 1) * stride + 1 : stride]
                        if begun:
                            out.add_(shifted, alpha=h)
                        elif taps.count == len(nonzero) == 1:
                            torch.mul(shifted, h, out=out)
                        else:
                            torch.add(zero, shifted, alpha=h, out=out)  # 0 + -0 is 0: no sign on silence
                        begun = True
        return y

    def _parts(self, taps: Taps, received: int) -> list[_Part]:
        """`_parts` of the kernel itself, listed once: a long one takes longer to list than to apply."""
        if taps is not self.taps:
            return _parts(taps, received)
        if self._listed is None:
            self._listed = _parts(taps, received)
        return self._listed

    def _integers(self, segment: Tensor, skip: int, stride: int, place: int, out: Tensor | None) -> Tensor:
        """The exact sums, bias included: in float64 below 2^53, in int64 below 2^63, else checked one by one."""
        values = self.taps.values
        weights = [sum(abs(h) for h in row) for row in values.flatten(1).tolist()]
        offsets = [0] if self.bias is None else self.bias.tolist()
        peak = max(abs(int(segment.min())), abs(int(segment.max()))) if segment.numel() else 0
        bound = peak * max(weights) + max(map(abs, offsets))
        if bound < 1 << 53:
            y = _given(
                self._floats(segment.double(), self.taps.map(Tensor.double), skip, stride, None).to(torch.int64), out
            )
        else:
            y = self._shifted(segment, self.taps, skip, stride, out)
        if self.bias is not None:
            y += self.bias.unsqueeze(-1)
        if bound >= 1 << 63:
            self._checked(segment, offsets, skip, stride, place)
        return y

    def _checked(self, segment: Tensor, offsets: list[int], skip: int, stride: int, place: int) -> None:
        """Raise InputError for the first sum that int64 does not hold.

        Sums modulo 2^64 are right where they fit. Where a float64 sum of absolute values does not show that they
        must, they are added up again in integers of any size.
        """
        absolute = self.taps.map(lambda values: values.double().abs())
        most = self._shifted(segment.double().abs(), absolute, skip, stride, None)
        doubtful = (most + max(map(abs, offsets)) >= 0.999 * 2.0**63).nonzero().tolist()
        rows = self.taps.values.tolist()
        for batch, channel, n in doubtful:
            start = skip + n * stride
            window = segment[batch, :, start : start + self.taps.span + 1 : self.taps.dilation].tolist()
            taps = rows[channel % len(rows)]
            if not self.taps.mixes:
                window, taps = [window[channel % len(window)]], [taps]
            total = offsets[channel % len(offsets)] + sum(
                x * h for xs, hs in zip(window, taps, strict=True) for x, h in zip(xs, hs, strict=True)
            )
            if not -(1 << 63) <= total < 1 << 63:
                raise InputError(
                    f"output sample {place + n} of channel {channel} is {total}, which 64-bit integers "
                    f"(-2^63 to 2^63 - 1) do not hold; convolve in float64"
                )


def _given(y: Tensor, out: Tensor | None) -> Tensor:
    """`y`, in `out` if there is one."""
    return y if out is None else out.copy_(y)


_Part = tuple[list["int | slice"], "int | slice", list[list[tuple[int, float]]]]


def _parts(taps: Taps, received: int) -> list[_Part]:
    """Which input channels give which output channels, each input with its own nonzero taps and their numbers."""
    values = taps.values.flatten(0, -2).tolist()
    rows = [[(k, h) for k, h in enumerate(row) if h != 0] or [(0, row[0])] for row in values]
    if taps.mixes:
        return [
            (list(range(received)), channel, rows[channel * received : (channel + 1) * received])
            for channel in range(len(rows) // received)
        ]
    if len(rows) == 1:
        return [([slice(None)], slice(None), rows)]
    return [([channel % received], channel, [row]) for channel, row in enumerate(rows)]


def _by_matrices(segment: Tensor, taps: Taps) -> Tensor:
    """Mixing as a sum over taps of ``(O, I) x (I, samples)`` products of one shape."""
    batch, _, samples = segment.shape
    matrices = taps.values.movedim(-1, 0).contiguous()
    y = empty((batch, matrices.shape[1], samples - taps.span), segment, segment.dtype)
    for row in range(batch):
        for low in range(0, y.shape[-1], MATRIX_BLOCK):
            total = y.new_zeros((matrices.shape[1], MATRIX_BLOCK))
            for k, matrix in enumerate(matrices):
                start = low + k * taps.dilation
                total.addmm_(matrix, segment[row, :, start : start + MATRIX_BLOCK].contiguous())
            y[row, :, low : low + MATRIX_BLOCK] = total
    return y


def _recorded(segment: Tensor, taps: Taps, stride: int) -> Tensor:
    """The same by torch's own `conv1d`, which autograd can follow."""
    batch, received, samples = segment.shape
    values, dilation = taps.values, taps.dilation
    if taps.mixes:
        return conv1d(segment, values, stride=stride, dilation=dilation)
    if values.shape[0] == 1:
        flat = segment.reshape(batch * received, 1, samples)
        return conv1d(flat, values.unsqueeze(1), stride=stride, dilation=dilation).view(batch, received, -1)
    return conv1d(segment, values.unsqueeze(1), stride=stride, dilation=dilation, groups=received)
