"""Statistics of every sliding window of a signal or a grid, right whatever came before the window."""

from __future__ import annotations

from math import prod
from threading import Lock

import torch
from torch import Tensor

from convtool.ops.parallel import empty, run_in_threads
from convtool.ops.windows.flowing import Flowing, Past
from convtool.ops.windows.grid_stats import GridStats
from convtool.ops.windows.request import Align, Mode, Nan, PaddingMode, Request
from convtool.ops.windows.sample_windows import block_length
from convtool.ops.windows.sliding import Absent, Cutter, Padding, Sliding
from convtool.ops.windows.window_stats import as_numbers, window_stats

__all__ = ["GridStats", "LocalStats", "local_stats", "local_var"]


def local_stats(
    signal: Tensor,
    window: int | tuple[int, int],
    *,
    stats: tuple[str, ...] = ("var",),
    stride: int | tuple[int, int] = 1,
    ddof: int = 0,
    mode: Mode = "valid",
    align: Align = "center",
    padding_mode: PaddingMode = "reflect",
    nan: Nan = "propagate",
    min_count: int | None = None,
    dims: int | None = None,
) -> Tensor:
    """Statistics of every window of `signal`, several in one call.

    ====== =====================================================================================
    stat   of the n samples x of a window (n < W where NaN is skipped, or windows shrink)
    ====== =====================================================================================
    var    sum (x - mean)^2 / (n - ddof); exactly 0 where all samples are equal, never negative
    std    square root of var
    mean   sum x / n
    rms    square root of sum x^2 / n
    sum    sum x
    min    smallest
    max    largest
    range  max - min
    median middle one in order; the mean of the middle two where n is even
    pQ     percentile, Q from 0 to 100, such as p95 or p99.9: at Q / 100 of the way from the first to the last in
           order, between two of them in proportion (NumPy: ``linear``)
    skew   skewness, unbiased (pandas; SciPy: ``bias=False``): n sqrt(n - 1) / (n - 2) m3 / m2^(3/2), with the sums m2,
           m3, m4 of (x - mean)^2, ^3, ^4; 0 where all samples are equal, NaN for n < 3
    kurt   excess kurtosis, unbiased: (n - 1) / ((n - 2) (n - 3)) (n (n + 1) m4 / m2^2 - 3 (n - 1)); -3 where all
           samples are equal, as in pandas, NaN for n < 4
    count  samples that are not NaN: exact, with any `nan` and any `min_count`
    ====== =====================================================================================

    All but medians and percentiles cost the same for every window. Each of a signal costs up to fifteen times a mean,
    and less below 64 samples; those of a grid sort each window, so they grow with its area.

    Accuracy: float64 inside. var, std and rms are as exact as a float64 two-pass computation of each window alone that
    is centred on one of its own samples (relative error below 1e-12, 5e-14 at most where it was measured; for float32
    then rounded once), whatever lies before the window: an offset of 1e15, a step from 1e6 to 1e-6, 1e308 and
    denormals. Square roots are correctly rounded. Skewness and kurtosis err by less than 1e-12, of themselves where
    they are beyond 1, with the same freedom. The mean errs by less than 1e-12 of its window's largest \\|x\\|, and the
    sum by n times as much. A result beyond the dtype is inf or 0, as rounding makes it.

    Args:
        signal: ``(..., T)``, or ``(..., H, W)`` with 2-D windows. Real numbers; of integers the differences are
            exact, whatever their size. Never changed.
        window: W samples, or (N, M) rows and columns, which implies ``dims=2``.
        stats: one or more of the above.
        stride: keep windows 0, stride, 2 stride ...; for 2-D windows one number for both axes, or two.
        ddof: taken off n in var and std: 0 divides by n, 1 by n - 1 (torch: ``correction``).
        mode: ``valid``: windows inside the signal, T - W + 1 of them. ``same``: T outputs, number n at sample n.
        align: with ``same``, where the window of output n lies, along both axes of a grid: ``center`` covers
            samples n - W // 2 to n + (W - 1) // 2, ``left`` n to n + W - 1, ``right`` n - W + 1 to n.
        padding_mode: with ``same``, what stands beyond the edges, as in `torch.nn.functional.pad`. ``reflect``
            (the default, as in OpenCV) mirrors the signal about its first and last sample, so that an offset makes
            no step at the edge and a constant signal keeps variance 0; ``replicate`` repeats the edge sample;
            ``zeros`` and ``circular`` step to 0 and to the other end. Padding counts as samples. With ``none``
            there is nothing: windows shrink at the edges (in pandas ``min_periods=1``).
        nan: ``propagate``: a window with a NaN gives NaN. ``skip``: NaN is left out.
        min_count: with ``skip`` or windows that shrink, those with fewer samples give NaN; None means 1.
        dims: 1 or 2, axes that windows slide along; None follows `window`. A number with ``dims=2`` is a square.

    Returns:
        ``(..., S, T')`` or ``(..., S, H', W')``: S statistics in the order asked; a length T gives
        ``ceil((T - W + 1) / stride)`` outputs, or with ``same`` ``ceil(T / stride)``. Floating dtypes are kept.
        Integers give float64, or int64 where min, max, range, count and the median of an odd number are all that is
        asked for, and no window can shrink to an even number or to NaN. Differentiable but for count, and std where
        it is 0 (with gradients the memory is some ten times the signal).

        Infinities: var and std of a window that holds one are NaN, rms is inf, the others follow IEEE arithmetic.
        Skewness and kurtosis are NaN.
        A NaN or an infinity changes only the windows that hold it. var and std with n <= ddof are NaN.
        Silence and constants: var and std 0, and mean, min, max, median exactly the constant.

    Raises:
        InputError: the signal is empty, shorter than the window (``valid``) or than its padding; an integer or a
            range past int64, or a min, max, range or median past what float64 holds beside statistics that need it.
        TypeError: complex or boolean signals, windows that are no whole numbers.
        ValueError: a window or stride below 1, ddof >= samples of a window, unknown names, a signal without enough
            axes, a min_count or an align that does nothing, a count of more samples than the dtype counts exactly.

    The moments of a window are merged from few parts, in which no difference of large sums occurs: T. F. Chan,
    G. H. Golub, R. J. LeVeque, The American Statistician 37 (1983); the order of the merges, which makes the cost
    independent of the window, is that of M. van Herk (1992), J. Gil and M. Werman (1993). See `_sample_windows`,
    `_windows`, `_moments`.

    >>> local_stats(torch.tensor([1, 2, 4, 8, 16]), 2, stats=("var", "mean")).tolist()
    [[0.25, 1.0, 4.0, 16.0], [1.5, 3.0, 6.0, 12.0]]
    >>> image = torch.tensor([[1.0, 2.0, 1.0], [3.0, 4.0, 1.0]])
    >>> local_stats(image, (2, 2)).tolist()
    [[[1.25, 1.5]]]
    """
    if dims not in (None, 1, 2):
        raise ValueError(f"dims is {dims!r}; windows slide along 1 axis or 2")
    grid = isinstance(window, tuple) or dims == 2
    if grid and dims == 1:
        raise ValueError(f"window is {window}, of two sizes, but dims is 1; give one size, or dims=2")
    windows = (window if isinstance(window, tuple) else (window, window)) if grid else (window,)
    strides = stride if isinstance(stride, tuple) else (stride,) * len(windows)
    if not len(windows) == len(strides) == 1 + grid:
        raise ValueError(f"window is {window} and stride {stride}; give one size for each of the {1 + grid} axes")
    if signal.dim() < len(windows):
        raise ValueError(
            f"the signal's shape is {tuple(signal.shape)}; windows of {len(windows)} axes need as many: "
            f"{'(..., H, W)' if grid else '(..., T)'}"
        )
    request = Request(windows, strides, stats, ddof, mode, align, padding_mode, nan, min_count)  # type: ignore[arg-type]
    if grid:
        return _whole(GridStats.of(request, signal), signal)
    flat = signal.reshape(prod(signal.shape[:-1]), signal.shape[-1])
    rows = _whole(LocalStats.of(request, flat), flat)
    return rows.reshape(*signal.shape[:-1], len(stats), rows.shape[-1])


def local_var(
    signal: Tensor,
    window: int | tuple[int, int],
    *,
    stride: int | tuple[int, int] = 1,
    ddof: int = 0,
    mode: Mode = "valid",
    align: Align = "center",
    padding_mode: PaddingMode = "reflect",
    nan: Nan = "propagate",
    min_count: int | None = None,
    dims: int | None = None,
) -> Tensor:
    """The variance of every window of `signal`: `local_stats` with ``stats=("var",)``, without the axis S.

    Returns:
        ``(..., T')`` or ``(..., H', W')``.

    >>> local_var(torch.tensor([99999999999999999.0, 1, 1, 2, 3, 1, 1], dtype=torch.float64), 2, ddof=1).tolist()
    [5e+33, 0.0, 0.5, 0.5, 2.0, 0.0]
    """
    made = local_stats(
        signal,
        window,
        stride=stride,
        ddof=ddof,
        mode=mode,
        align=align,
        padding_mode=padding_mode,
        nan=nan,
        min_count=min_count,
        dims=dims,
    )
    return made.squeeze(-3 if isinstance(window, tuple) or dims == 2 else -2)


class LocalStats(Sliding):
    """`local_stats` on a signal that arrives in blocks ``(..., channels, samples)`` of any length.

    The outputs of a block are ``(..., channels * S, samples')``: channel by channel, the S statistics of each in the
    order asked. Joined along the last axis they are the bits that `local_stats` gives for the whole signal, wherever
    the blocks were cut. Some windows' length of samples is kept, at least half a million.

    Args:
        window: W samples.
        stats, stride, ddof, mode, align, padding_mode, nan, min_count: see `local_stats`.
        before: with circular padding, the last samples of the signal, as many as windows reach back or more.
        flowing: give each output as soon as its window is complete, for a signal that comes in slowly. Last bits
            may be others then, as exact (see `flowing`), which do not depend on where the blocks were cut either.

    Raises:
        ValueError, TypeError: as `local_stats`.

    >>> levels = LocalStats(2, stats=("min", "max"))
    >>> [levels.push(torch.tensor(block)).tolist() for block in ([[3.0, 1.0]], [[2.0]])], levels.finish().tolist()
    ([[[], []], [[], []]], [[1.0, 1.0], [3.0, 2.0]])
    """

    axis = -1

    def __init__(
        self,
        window: int,
        *,
        stats: tuple[str, ...] = ("var",),
        stride: int = 1,
        ddof: int = 0,
        mode: Mode = "valid",
        align: Align = "center",
        padding_mode: PaddingMode = "reflect",
        nan: Nan = "propagate",
        min_count: int | None = None,
        before: Tensor | None = None,
        flowing: bool = False,
    ) -> None:
        request = Request((window,), (stride,), stats, ddof, mode, align, padding_mode, nan, min_count)
        self._start(request, before, lent=False, flowing=flowing)

    @classmethod
    def of(cls, request: Request, whole: Tensor) -> LocalStats:
        """The operation for a signal that is all there, and stays as it is until the work is done."""
        made = cls.__new__(cls)
        made._start(request, whole, lent=True)
        return made

    def _start(self, request: Request, before: Tensor | None, *, lent: bool, flowing: bool = False) -> None:
        self._request, self._before = request, before
        window = request.windows[0]
        padding = None if request.mode == "valid" else Padding.around(window, request.padding_mode, request.align)
        if padding is not None and padding.mode == "circular" and before is None:
            raise ValueError('padding_mode "circular" needs the last samples first: give them as before=')
        grain = block_length(window)
        self._cutter = (
            Flowing(window, padding, self._compute, grain)
            if flowing
            else Cutter(window, 2, padding, self._compute, "samples", grain=grain, lent=lent)
        )
        self._shape: tuple[int, ...] = ()
        self.nothing = torch.empty(0)

    def feed(self, block: Tensor) -> None:
        """Take in samples, leaving the work on them for `end`."""
        if block.dim() < 1:
            raise ValueError("the block is a single number; samples lie along an axis, (..., channels, samples)")
        leading = tuple(block.shape[:-1]) or (1,)
        self._shape = (*leading[:-1], leading[-1] * len(self._request.stats))
        rows = as_numbers(block).reshape(1, prod(leading), block.shape[-1])
        before = self._before
        if before is not None:
            before = as_numbers(before).reshape(1, prod(leading), before.shape[-1])
        self._cutter.feed(rows, before)
        self.nothing = rows.new_empty((*self._shape, 0), dtype=self._request.result(rows.dtype))

    def _compute(self, piece: Tensor, first: int, absent: Absent, past: Past | None = None) -> Tensor:
        """``(1, rows, n)`` -> ``(..., channels * S, outputs)``."""
        made = window_stats(piece[0], self._request, (first,), (absent,), past=past)
        whole = torch.stack(made, 1) if len(made) > 1 else made[0]
        return whole.reshape(*self._shape, made[0].shape[-1])


def _whole(operation: Sliding, signal: Tensor) -> Tensor:
    """The result of `operation` on all of `signal`, its pieces shared out to as many threads as torch may use."""
    operation.feed(signal)
    pieces, axis = operation.end(), operation.axis
    if signal.requires_grad and torch.is_grad_enabled():
        return torch.cat([piece.work() for piece in pieces], axis)
    shape = list(operation.nothing.shape)
    shape[axis] = sum(piece.outputs for piece in pieces)
    whole = empty(shape, operation.nothing, operation.nothing.dtype)
    waiting = iter(zip(pieces, torch.split(whole, [piece.outputs for piece in pieces], axis), strict=True))
    lock = Lock()

    def share() -> None:
        while True:
            with lock:
                piece, place = next(waiting, (None, whole))
            if piece is None:
                return
            place.copy_(piece.work())

    threads = 1 if signal.is_cuda else min(torch.get_num_threads(), len(pieces))
    if threads == 1:
        share()
    else:
        run_in_threads(share, threads)
    return whole
