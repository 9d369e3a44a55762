"""Long signals cut into segments of one length, and put together again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from convtool.errors import InputError
from convtool.ops.checks import check_choice, check_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

Last = Literal["pad", "drop"]


def segment_starts(samples: int, size: int, *, hop: int | None = None, last: Last = "pad") -> range:
    """Where the segments of a signal begin.

    Args:
        samples: of the signal.
        size: samples of a segment.
        hop: from the beginning of one to that of the next: below `size` they overlap, above it samples between them
            are left out. None is `size`.
        last: what to do with samples at the end that make no whole segment: one more segment, to be padded, or none.
            With ``pad`` and ``hop <= size`` every sample is in a segment, and none has only what others have too.

    Returns:
        Their first samples, ``0, hop, 2 hop`` ...; nothing of an empty signal, nor with ``drop`` of one that is
        shorter than a segment.

    Raises:
        TypeError: sizes that are no whole numbers.
        ValueError: sizes below 1; another `last`.

    >>> list(segment_starts(7, 3)), list(segment_starts(7, 3, last="drop")), list(segment_starts(7, 4, hop=2))
    ([0, 3, 6], [0, 3], [0, 2, 4])
    """
    hop = size if hop is None else hop
    for name, value, least in (("samples", samples, 0), ("size", size, 1), ("hop", hop, 1)):
        check_size(name, value, least)
    check_choice("last", last, get_args(Last))
    if last == "drop":
        count = (samples - size) // hop + 1 if samples >= size else 0
    else:
        count = min(1 + -(-max(0, samples - size) // hop), -(-samples // hop))
    return range(0, count * hop, hop)


def cut_segments(signal: Tensor, size: int, *, hop: int | None = None, last: Last = "pad") -> list[Tensor]:
    """The segments of a signal, as `pad_batch` takes them.

    Args:
        signal: ``(..., samples)``.
        size, hop, last: as `segment_starts`.

    Returns:
        ``(..., size)`` each, and the last with ``pad`` as long as the signal reaches: views of `signal`, so that
        nothing is copied.

    Raises:
        TypeError, ValueError: as `segment_starts`; ValueError also of a `signal` without an axis.

    >>> import torch
    >>> from convtool.ops import pad_batch
    >>> signals = [torch.arange(1, 8), torch.arange(20, 24)]
    >>> pad_batch([segment for signal in signals for segment in cut_segments(signal, 4, hop=3)]).batch.tolist()
    [[1, 2, 3, 4], [4, 5, 6, 7], [20, 21, 22, 23]]
    """
    if not signal.dim():
        raise ValueError("signal has shape (); give (..., samples)")
    samples = signal.shape[-1]
    starts = segment_starts(samples, size, hop=hop, last=last)
    return [signal.narrow(-1, start, min(size, samples - start)) for start in starts]


def join_segments(segments: Sequence[Tensor], *, hop: int | None = None) -> Tensor:
    """The signal that `cut_segments` cut, of segments without padding, as `unpad_batch` gives them.

    Args:
        segments: ``(..., samples)`` each, in order.
        hop: the one that they were cut with; None lays them end to end. Where several segments hold a sample, that of
            the last of them is taken.

    Returns:
        ``(..., samples)`` of fresh memory, in the dtype of the segments. Differentiable.

    Raises:
        InputError: no segments.
        ValueError: samples that no segment holds, as a hop above the size leaves out; segments of different shapes
            but for the last axis.
        TypeError: a hop that is no whole number.

    >>> import torch
    >>> signal = torch.arange(10)
    >>> join_segments(cut_segments(signal, 4, hop=3), hop=3).tolist()
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    """
    import torch

    if not len(segments):
        raise InputError("there are no segments; a signal needs at least one")
    leading = segments[0].shape[:-1]
    for number, segment in enumerate(segments):
        if not segment.dim() or segment.shape[:-1] != leading:
            raise ValueError(
                f"segments[{number}] has shape {tuple(segment.shape)} and segments[0] {tuple(segments[0].shape)}; "
                f"only the last axis, samples, may differ"
            )
    if hop is None:
        return torch.cat(list(segments), -1)
    check_size("hop", hop, 1)
    for number, segment in enumerate(segments[:-1]):
        if segment.shape[-1] < hop:
            raise ValueError(
                f"segments[{number}] has {segment.shape[-1]} samples, fewer than the hop of {hop}: those behind it "
                f"are in no segment; cut with a hop of at most the segments' size"
            )
    return torch.cat([*(segment.narrow(-1, 0, hop) for segment in segments[:-1]), segments[-1]], -1)
