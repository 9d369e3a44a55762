"""Pooling over the real samples of padded rows, and what of a row is real after a convolution or pooling.

``pad-batch --pool`` calls `masked_pool`; `output_lengths` and `output_mask` are for the layers of a network that is
given a batch, which no command runs.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from convtool.ops.checks import check_choice, check_lengths, check_real_numbers, check_size, check_whole_numbers
from convtool.ops.exact import scaled, square_root
from convtool.ops.padding import Layout, Side, length_mask

Kind = Literal["max", "mean", "std"]


def masked_pool(x: Tensor, mask: Tensor, *, kind: Kind, layout: Layout = "NCT") -> Tensor:
    """Global pooling over time: one number a row and channel, from its real samples alone.

    ====== ========================================================================
    kind   of the n real samples x of a row
    ====== ========================================================================
    max    largest
    mean   sum x / n; exactly c where all are c
    std    sqrt(sum (x - mean)^2 / n): ddof 0; exactly 0 where all are equal
    ====== ========================================================================

    Nothing that stands in the padding changes a bit of the result or of a gradient, NaN and infinity included: a row
    pools to the same bits as its real samples alone, on whichever side padding stands and how much there is of it.

    Accuracy: mean and std are worked in float64 and corrected by a second pass, so that an offset of 1e10 times the
    spread costs no digit. Neither the largest nor the smallest samples overflow or vanish. Results of narrower dtypes
    are then rounded once.

    Args:
        x: ``(batch, channels, samples)``, ``(batch, samples, channels)``, or ``(batch, samples)``. Real numbers;
            integers are worked as float64 but for their maximum. Never changed.
        mask: bool ``(batch, samples)``, true on real samples, which may be any.
        kind: ``max``, ``mean`` or ``std``.
        layout: of rows with channels: ``NCT`` or ``NTC``.

    Returns:
        ``(batch, channels)`` or ``(batch,)``. Floating dtypes are kept; mean and std of integers are float64.

        A row that is all padding gives 0, which a network can take, and no gradient. A real NaN makes its row and
        channel NaN; an infinity makes the mean and the maximum what IEEE arithmetic makes of it, and the std NaN.

        Differentiable: equal maxima share the gradient; that of a std of 0 is 0.

    Raises:
        TypeError: complex or boolean `x`; a mask that is not boolean.
        ValueError: shapes that don't belong together; an unknown kind or layout.

    Source of the correction: T. F. Chan, G. H. Golub, R. J. LeVeque, The American Statistician 37 (1983).

    >>> x = torch.tensor([[1.0, 3.0, torch.nan], [5.0, 5.0, 5.0]])
    >>> real = torch.tensor([[True, True, False], [True, True, True]])
    >>> [masked_pool(x, real, kind=kind).tolist() for kind in ("max", "mean", "std")]
    [[3.0, 5.0], [2.0, 5.0], [1.0, 0.0]]
    """
    check_choice("kind", kind, get_args(Kind))
    check_choice("layout", layout, get_args(Layout))
    check_real_numbers("x", x)
    if mask.dtype != torch.bool:
        raise TypeError(f"the mask is {mask.dtype}; give torch.bool, true on real samples")
    rows = x.transpose(1, 2) if layout == "NTC" and x.dim() == 3 else x
    if x.dim() not in (2, 3) or len(x) == 0 or mask.shape != (rows.shape[0], rows.shape[-1]):
        raise ValueError(
            f"the mask has shape {tuple(mask.shape)} and x {tuple(x.shape)}; give a mask (batch, samples), and x "
            f"(batch, samples) or of layout {layout}, with at least one row"
        )
    pool = _maximum if kind == "max" else _mean if kind == "mean" else _std
    # A sum's last bits depend on how many zeros are summed with it, so padding is taken out rather than set to 0.
    return torch.stack([pool(row[..., real]) for row, real in zip(rows, mask, strict=True)])


def output_lengths(
    lengths: Tensor,
    *,
    kernel_size: int,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """How many outputs a convolution or a pooling gives for signals of these lengths.

    ``floor((L + 2 padding - dilation (kernel_size - 1) - 1) / stride) + 1``, as in `torch.nn.Conv1d`; 0 for a signal
    that is empty or shorter than the kernel.

    Args:
        lengths: whole numbers L of any shape.
        kernel_size, stride, padding, dilation: of the layer; `padding` on either side. (torch's pooling layers
            stride by their kernel size unless told otherwise.)
        ceil_mode: as in torch's pooling layers: round up, but let no window begin beyond the signal and its `padding`
            before it.

    Returns:
        int64, of the shape of `lengths`.

    Raises:
        TypeError: lengths or sizes that are no whole numbers.
        ValueError: sizes below 1, a padding below 0.

    >>> output_lengths(torch.tensor([0, 4, 5, 6]), kernel_size=3, stride=2).tolist()
    [0, 1, 2, 2]
    """
    check_whole_numbers(lengths)
    for name, size, least in (
        ("kernel_size", kernel_size, 1),
        ("stride", stride, 1),
        ("padding", padding, 0),
        ("dilation", dilation, 1),
    ):
        check_size(name, size, least)
    wide = lengths.long()
    spare = wide + 2 * padding - dilation * (kernel_size - 1) - 1
    outputs = (spare + (stride - 1 if ceil_mode else 0)).div(stride, rounding_mode="floor") + 1
    if ceil_mode:
        outputs = outputs - ((outputs - 1) * stride >= wide + padding).long()
    return outputs.clamp(min=0).masked_fill(wide == 0, 0)


def output_mask(
    lengths: Tensor,
    samples: int,
    *,
    kernel_size: int,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    ceil_mode: bool = False,
    side: Side = "right",
) -> Tensor:
    """Which outputs of a convolution or pooling of a padded batch belong to real samples: those whose window a row
    alone, with the layer's own `padding` about it, would have.

    With padding on the right these are the first `output_lengths` of a row. On the left they are the last ones, and
    fewer where the stride does not divide the padding of the row: windows then start elsewhere in the signal.
    The layer's own padding reads what stands beside the real samples. Set that to what the layer takes for an edge
    (0 for a convolution) before every layer with padding, and these outputs are those of the row alone.

    Args:
        lengths: whole numbers ``(batch,)``, the real samples of each row.
        samples: of every row of the batch that goes into the layer.
        kernel_size, stride, padding, dilation, ceil_mode: see `output_lengths`.
        side: where the padding of the batch stands.

    Returns:
        bool ``(batch, outputs)``, true on real outputs: the mask for `masked_pool`.

    Raises:
        TypeError, ValueError: as `output_lengths` and `length_mask`.

    >>> output_mask(torch.tensor([5, 3, 0]), 6, kernel_size=3, stride=2).int().tolist()
    [[1, 1], [1, 0], [0, 0]]
    """

    def outputs(sizes: Tensor) -> Tensor:
        return output_lengths(
            sizes, kernel_size=kernel_size, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode
        )

    check_choice("side", side, get_args(Side))
    check_size("samples", samples, 0)
    check_lengths(lengths, samples)
    whole = int(outputs(torch.tensor(samples)))
    if side == "right":
        return length_mask(outputs(lengths), whole)
    first = (samples - lengths.long() + stride - 1).div(stride, rounding_mode="floor")
    return length_mask((whole - first).clamp(min=0).masked_fill(lengths == 0, 0), whole, side="left")


_LARGE, _SMALL = 2.0**400, 2.0**-400
"""Between these are samples whose squares, and those of their roundings, float64 holds."""


def _maximum(samples: Tensor) -> Tensor:
    return samples.amax(-1) if samples.shape[-1] else samples.new_zeros(samples.shape[:-1])


def _mean(samples: Tensor) -> Tensor:
    centre, _, shift, exponent = _centred(samples)
    return _rounded(scaled(centre + shift, exponent), samples)


def _std(samples: Tensor) -> Tensor:
    _, centred, shift, exponent = _centred(samples)
    var = _mean_or_zero((centred - shift.unsqueeze(-1)).square())
    flat = var == 0  # where the square root has no derivative
    return _rounded(scaled(square_root(var.masked_fill(flat, 1)).masked_fill(flat, 0), exponent), samples)


def _centred(samples: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A first mean m, the samples less m, and the mean of these, which is what m has missed; all over a power of two
    where squares could leave the range, and its exponent.

    Where all samples are one number c, m misses it by few units in the last place. Every c - m is then that same small
    multiple of a power of two, which sums and divides without rounding: the corrected mean is c, and the std 0,
    to the bit.
    """
    x = samples.double()
    exponent = torch.zeros(x.shape[:-1], dtype=torch.int32, device=x.device)
    if samples.dtype == torch.float64 and x.numel():  # the sums and squares of narrower numbers fit
        least, most = x.detach().aminmax()
        if not bool((torch.maximum(-least, most) < _LARGE) & (x.detach().abs().amax(-1) > _SMALL).all()):
            exponent = torch.where(x.isfinite(), x.detach().abs(), 0).amax(-1).frexp().exponent
            x = scaled(x, -exponent.unsqueeze(-1))
    # Constant to autograd, as the derivative of m + mean(x - m) by m is 0. Infinities are left to the second mean.
    centre = _mean_or_zero(x.detach()).nan_to_num()
    centred = x - centre.unsqueeze(-1)
    return centre, centred, _mean_or_zero(centred), exponent


def _mean_or_zero(x: Tensor) -> Tensor:
    return x.sum(-1) / max(1, x.shape[-1])


def _rounded(pooled: Tensor, samples: Tensor) -> Tensor:
    return pooled.to(samples.dtype) if samples.is_floating_point() else pooled
