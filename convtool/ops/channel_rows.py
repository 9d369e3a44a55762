"""Channels side by side in rows, as scalings take them, and the rows worked piece by piece."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from convtool.errors import InputError

_PIECE = 1 << 14
"""Numbers worked at a time, so that the dozens of steps find them in the cache: half the time, little memory."""


def channel_rows(block: Tensor, *, per_channel: bool) -> Tensor:
    """The numbers of each channel of ``(..., channels, samples)``, or of all of them, in a row; without gradients.

    Raises:
        TypeError, InputError: as `real_rows`.
    """
    rows = real_rows(block.detach())
    return rows.movedim(-2, 0).flatten(1) if per_channel else rows.reshape(1, -1)


def real_rows(x: Tensor) -> Tensor:
    """Floating-point numbers or int64, ``(..., channels, samples)``.

    Raises:
        TypeError: complex or boolean numbers.
        InputError: an integer past what int64 holds.
    """
    if x.is_complex() or x.dtype == torch.bool:
        raise TypeError(
            f"the signal is {x.dtype}; a scaling needs real numbers: convert it, as with .abs() or .double()"
        )
    if x.dtype == torch.uint64 and bool((x.long() < 0).any()):
        raise InputError("the signal is uint64 with values past 2^63 - 1; convert it to float64")
    x = x if x.is_floating_point() else x.long()
    return x if x.dim() > 1 else x.reshape(1, x.numel())


def as_floats(x: Tensor) -> Tensor:
    """Integers in float64; floating-point numbers as they are."""
    return x if x.is_floating_point() else x.double()


def extremes(rows: Tensor, *, finite: bool) -> tuple[Tensor, Tensor]:
    """Minimum and maximum of each row, or of its finite numbers; infinity and -infinity where there are none."""
    if not rows.shape[1]:
        nothing = torch.full((len(rows),), math.inf, dtype=torch.float64, device=rows.device)
        return nothing, -nothing
    least, most = rows.amin(1), rows.amax(1)
    if finite and not (least.isfinite() & most.isfinite()).all():
        least = torch.where(rows.isfinite(), rows, math.inf).amin(1)
        most = torch.where(rows.isfinite(), rows, -math.inf).amax(1)
    return least, most


def by_pieces(work: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    """`work`, done on pieces of a cache's size, one after the other; a GPU takes all at once."""
    values = rows.numel() if rows.is_cuda else _PIECE
    samples = max(1, values * rows.shape[-1] // max(1, rows.numel()))
    return torch.cat([work(piece) for piece in torch.split(rows, samples, -1)], -1)
