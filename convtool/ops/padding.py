"""Signals of different lengths as one batch, and back; which samples of a batch are real.

The commands `pad-batch` and `unpad-batch` give the same batches and signals, by code of their own: they work on files
larger than memory, and start without torch. What is cut where, and which input goes where, they ask `segments` and
`splitting`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import torch
from torch import Tensor

from convtool.errors import InputError
from convtool.ops.checks import check_choice, check_lengths, check_size

if TYPE_CHECKING:
    from collections.abc import Sequence

Side = Literal["right", "left"]
End = Literal["start", "end"]
PaddingMode = Literal["constant", "reflect", "replicate", "circular"]
Layout = Literal["NCT", "NTC"]


class Batch(NamedTuple):
    """Rows of one length; all three tensors lie on one device.

    Attributes:
        batch: ``(batch, channels, samples)``, ``(batch, samples, channels)``, or ``(batch, samples)``.
        lengths: int64 ``(batch,)``, the real samples of each row.
        mask: bool ``(batch, samples)``, true on real samples: the opposite of torch's ``key_padding_mask``.
    """

    batch: Tensor
    lengths: Tensor
    mask: Tensor


def pad_batch(
    signals: Sequence[Tensor],
    *,
    length: int | None = None,
    multiple_of: int = 1,
    max_length: int | None = None,
    truncate: End | None = None,
    side: Side = "right",
    value: float = 0.0,
    padding_mode: PaddingMode = "constant",
    layout: Layout = "NCT",
) -> Batch:
    """Pad signals to the length of the longest, or to `length`.

    Keras's ``pad_sequences(signals, maxlen=N, padding="pre", truncating="pre")``, its default, is
    ``length=N, side="left", truncate="start"``; "post" is ``side="right"`` and ``truncate="end"``.

    Args:
        signals: ``(samples,)`` each, or ``(channels, samples)`` each; one dtype, of any kind. Never changed.
        length: samples of every row; None takes those of the longest signal.
        multiple_of: rows are as long as the next multiple of this many samples. A `length` must be one.
        max_length: real samples that a row may have. Rows pass it only to reach a multiple.
        truncate: the end of a signal that is cut off where it is longer than `length` or `max_length`; with None
            that is an error.
        side: where padding stands, after the signal (``right``) or before it (``left``).
        value: what ``constant`` padding holds; the dtype must have it.
        padding_mode: ``reflect`` mirrors the signal about its end sample, again and again where the padding is
            longer than that, as `numpy.pad` does (a single sample is repeated); ``replicate`` repeats the end
            sample; ``circular`` repeats the signal, as if it went round without end.
        layout: of rows with channels: ``NCT`` (time last, torch) or ``NTC`` (channels last, Keras).

    Returns:
        A `Batch` of fresh memory, in the dtype and on the device of the signals. Differentiable: the gradient of
        padding by ``reflect``, ``replicate`` and ``circular`` reaches the samples that it repeats.

        An empty signal gives a row of padding, its mask all false.

    Raises:
        InputError: no signals; one that is too long and may not be truncated; an empty one to be padded with its
            own samples.
        TypeError: signals of different dtypes; sizes that are no whole numbers.
        ValueError: signals of different channels or on different devices; a value that the dtype does not hold;
            anything else that does not fit.

    >>> signals = [torch.tensor([4, 5]), torch.tensor([1, 2, 3]), torch.tensor([6])]
    >>> batch, lengths, mask = pad_batch(signals)
    >>> batch.tolist(), lengths.tolist()
    ([[4, 5, 0], [1, 2, 3], [6, 0, 0]], [2, 3, 1])
    >>> mask.int().tolist()
    [[1, 1, 0], [1, 1, 1], [1, 0, 0]]
    """
    for name, choice, known in (
        ("side", side, Side),
        ("padding_mode", padding_mode, PaddingMode),
        ("layout", layout, Layout),
        ("truncate", truncate or "end", End),
    ):
        check_choice(name, choice, get_args(known))
    _check_signals(signals)
    limit = _limit(length, max_length, multiple_of)
    cut = [_truncated(signal, limit, truncate, number) for number, signal in enumerate(signals)]
    sizes = [signal.shape[-1] for signal in cut]
    samples = -(-max(sizes) // multiple_of) * multiple_of if length is None else length
    if padding_mode == "constant":
        fill = _constant(value, signals[0])
        rows = [_filled(signal, samples, side, fill) for signal in cut]
    else:
        if samples:
            _check_not_empty(cut, padding_mode)
        rows = [_repeated(signal, samples, side, padding_mode) for signal in cut]
    if layout == "NTC":
        rows = [row.transpose(0, -1) for row in rows]
    # Joined row by row, as writing rows into a large tensor would copy all of its gradient once a row.
    batch = torch.stack(rows)
    lengths = torch.tensor(sizes, dtype=torch.int64, device=batch.device)
    return Batch(batch, lengths, length_mask(lengths, samples, side=side))


def length_mask(lengths: Tensor, samples: int, *, side: Side = "right") -> Tensor:
    """Which samples of padded rows are real.

    Args:
        lengths: whole numbers ``(batch,)``, the real samples of each row.
        samples: of every row.
        side: where the padding stands.

    Returns:
        bool ``(batch, samples)``, true on real samples, on the device of `lengths`.

    Raises:
        TypeError: lengths that are no whole numbers.
        ValueError: a length below 0 or above `samples`; lengths of another shape.

    >>> length_mask(torch.tensor([1, 3]), 3, side="left").int().tolist()
    [[0, 0, 1], [1, 1, 1]]
    """
    check_choice("side", side, get_args(Side))
    check_size("samples", samples, 0)
    check_lengths(lengths, samples)
    positions = torch.arange(samples, device=lengths.device)
    if side == "right":
        return positions < lengths[:, None]
    return positions >= samples - lengths[:, None].long()


def unpad_batch(batch: Tensor, lengths: Tensor, *, side: Side = "right", layout: Layout = "NCT") -> list[Tensor]:
    """The signals that `pad_batch` padded, in row order.

    Args:
        batch: ``(batch, samples)``, or with channels as `layout` says. Never changed.
        lengths: whole numbers ``(batch,)``, the real samples of each row.
        side: where the padding stands.
        layout: ``NCT`` or ``NTC``.

    Returns:
        ``(samples,)`` or ``(channels, samples)`` each, with either layout: views of `batch`, so that nothing is
        copied. What was truncated is not there again.

    Raises:
        TypeError: lengths that are no whole numbers.
        ValueError: other shapes; not as many lengths as rows; a length below 0 or above the samples of a row.

    >>> [signal.tolist() for signal in unpad_batch(torch.tensor([[4, 5, 0], [1, 2, 3]]), torch.tensor([2, 3]))]
    [[4, 5], [1, 2, 3]]
    """
    check_choice("side", side, get_args(Side))
    check_choice("layout", layout, get_args(Layout))
    if batch.dim() not in (2, 3) or batch.shape[:1] != lengths.shape:
        raise ValueError(
            f"the batch has shape {tuple(batch.shape)} and the lengths {tuple(lengths.shape)}; give a batch "
            f"(batch, samples) or of layout {layout}, and one length a row"
        )
    time_last = batch.transpose(1, -1) if layout == "NTC" else batch
    samples = time_last.shape[-1]
    check_lengths(lengths, samples)
    return [
        row.narrow(-1, samples - size if side == "left" else 0, size)
        for row, size in zip(time_last.unbind(0), lengths.tolist(), strict=True)
    ]


def _check_signals(signals: Sequence[Tensor]) -> None:
    if not len(signals):
        raise InputError("there are no signals; a batch needs at least one")
    first = signals[0]
    for number, signal in enumerate(signals):
        if signal.dim() not in (1, 2):
            raise ValueError(
                f"signals[{number}] has shape {tuple(signal.shape)}; give (samples,) or (channels, samples)"
            )
        if signal.dtype != first.dtype:
            raise TypeError(f"signals[{number}] is {signal.dtype} and signals[0] {first.dtype}; convert them to one")
        if signal.device != first.device:
            raise ValueError(f"signals[{number}] is on {signal.device} and signals[0] on {first.device}; move them")
        if signal.shape[:-1] != first.shape[:-1]:
            raise ValueError(
                f"signals[{number}] has shape {tuple(signal.shape)} and signals[0] {tuple(first.shape)}; "
                f"a batch needs the same channels in all"
            )


def _check_not_empty(signals: Sequence[Tensor], mode: PaddingMode) -> None:
    for number, signal in enumerate(signals):
        if not signal.shape[-1]:
            raise InputError(
                f"signals[{number}] is empty; {mode} padding needs samples to repeat: "
                f'leave it out, or use padding_mode "constant"'
            )


def _limit(length: int | None, max_length: int | None, multiple_of: int) -> int | None:
    """Real samples that a row may have, or None for any number."""
    check_size("multiple_of", multiple_of, 1)
    given = {"length": length, "max_length": max_length}
    limits = {name: size for name, size in given.items() if size is not None}
    for name, size in limits.items():
        check_size(name, size, 1)
    if length is not None and length % multiple_of:
        raise ValueError(f"length is {length}, which is no multiple of {multiple_of}; change one of them")
    return min(limits.values(), default=None)


def _truncated(signal: Tensor, limit: int | None, truncate: End | None, number: int) -> Tensor:
    size = signal.shape[-1]
    if limit is None or size <= limit:
        return signal
    if truncate is None:
        raise InputError(
            f"signals[{number}] has {size} samples, more than the {limit} that a row may have: "
            f'truncate it at its "start" or "end", or allow longer rows'
        )
    return signal.narrow(-1, size - limit if truncate == "start" else 0, limit)


def _constant(value: float, like: Tensor) -> Tensor:
    """`value` in the dtype of `like`, which must hold it: rounded, but not cut short or wrapped around."""
    try:
        fill = torch.tensor(value, dtype=like.dtype, device=like.device)
    except (RuntimeError, ValueError, OverflowError):
        held = False
    else:
        inexact = like.is_floating_point() or like.is_complex()
        held = not math.isfinite(value) or bool(fill.isfinite()) if inexact else fill.item() == value
    if not held:
        raise ValueError(f"value is {value}, which {like.dtype} does not hold; use another, or convert the signals")
    return fill


def _filled(signal: Tensor, samples: int, side: Side, fill: Tensor) -> Tensor:
    padding = fill.expand(*signal.shape[:-1], samples - signal.shape[-1])
    return torch.cat([signal, padding] if side == "right" else [padding, signal], -1)


def _repeated(signal: Tensor, samples: int, side: Side, mode: PaddingMode) -> Tensor:
    """`signal` padded with samples of its own, number n standing for number `source` of the signal."""
    size = signal.shape[-1]
    n = torch.arange(samples, device=signal.device) - (samples - size if side == "left" else 0)
    if mode == "replicate":
        source = n.clamp(0, size - 1)
    elif mode == "circular":
        source = n % size
    else:  # a signal and its mirror image, without the end samples twice, have this period
        period = max(1, 2 * (size - 1))
        source = n % period
        source = torch.minimum(source, period - source)
    return signal.index_select(-1, source)
