"""Outputs whose inputs are all zero are exactly 0; an FFT alone leaves its rounding there."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from convtool.ops.convolution.taps import Taps, needs_grad

_FEW = 64
"""Silent runs up to which each is overwritten by itself; more of them by a mask."""


def silenced(y: Tensor, segment: Tensor, taps: Taps) -> Tensor:
    """The outputs `y` ``(B, O, n)`` with 0 where all K inputs are zero; in place, unless a gradient is recorded.

    K zeros contain one of the aligned stretches of (K + 1) // 2, and that one its first sample: where no such sample
    is zero, looking at a few of them is all the work.

    Args:
        y: what was computed.
        segment: its inputs ``(B, C, n + span)`` or more.
        taps: the kernel.
    """
    if taps.dilation == 1 and bool(segment.detach()[..., :: (taps.count + 1) // 2].all()):
        return y
    heard = segment.detach().bool().view(torch.uint8)  # bytes, on which all that follows is many times as fast
    if taps.mixes:
        heard = heard.amax(1, keepdim=True)
    heard = heard.flatten(0, 1)
    phase, first, end = _silent_runs(heard, taps.count, taps.dilation)
    if not len(phase):
        return y
    rows = y.view(len(heard), -1, y.shape[-1])
    if needs_grad(y):
        # Exactly 0, and the gradient of the sum that it stands for.
        return torch.where(_mask(phase, first, end, rows, taps.dilation), rows - rows.detach(), rows).view(y.shape)
    if len(phase) > _FEW:
        rows.masked_fill_(_mask(phase, first, end, rows, taps.dilation), 0)
        return y
    for number, low, high in zip(phase.tolist(), first.tolist(), end.tolist(), strict=True):
        row, offset = divmod(number, taps.dilation)
        rows[row, :, offset:][:, low * taps.dilation : max(low, high) * taps.dilation : taps.dilation] = 0
    return y


def _silent_runs(heard: Tensor, taps: int, dilation: int) -> tuple[Tensor, Tensor, Tensor]:
    """Where up to `taps` inputs of the rows `heard`, `dilation` apart, are all zero.

    Each run has the number of its phase (the samples `dilation` apart of a row are one), its first output among those
    of the phase and what is behind its last; none where the zeros are fewer than the taps.

    Aligned stretches of (K + 1) // 2 are looked at. Beside one that is all zero, the zeros go on into the next up to
    the first number in it.
    """
    length = (taps + 1) // 2
    size = length * dilation
    count = -(-heard.shape[-1] // size)
    padded = pad(heard, (size, (count + 1) * size - heard.shape[-1]), value=1)
    phases = padded.view(len(heard), count + 2, length, dilation).permute(0, 3, 1, 2).flatten(0, 1)
    sounding = phases.amax(-1)
    edges, before = sounding.diff(dim=-1).nonzero(as_tuple=True)
    phase, before, last = edges[::2], before[::2], before[1::2]
    first = before * length - phases[phase, before].flip(-1).argmax(-1)
    end = last * length + phases[phase, last + 1].argmax(-1) - (taps - 1)
    return phase, first, end


def _mask(phase: Tensor, first: Tensor, end: Tensor, rows: Tensor, dilation: int) -> Tensor:
    """``(rows, 1, n)``: whether an output lies in one of the runs."""
    count = -(-rows.shape[-1] // dilation)
    steps = torch.zeros((len(rows) * dilation, count + 1), dtype=torch.int8, device=rows.device)
    steps[phase, first.clamp(max=count)] += 1
    steps[phase, torch.maximum(first, end).clamp(max=count)] -= 1
    mask = steps.cumsum(1, dtype=torch.int8)[:, :count].bool()
    return mask.view(len(rows), dilation, count).transpose(1, 2).flatten(1)[:, None, : rows.shape[-1]]
