"""Statistics of sliding windows over grids whose rows arrive in blocks."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor

from convtool.errors import InputError
from convtool.ops.windows import mergeable, sample_windows
from convtool.ops.windows.request import Align, Mode, Nan, PaddingMode, Request
from convtool.ops.windows.sliding import Absent, Cutter, Padding, Sliding
from convtool.ops.windows.window_stats import as_numbers, window_stats

# Columns worked at a time, at least; wide windows take strips in proportion.
_STRIP = 1024


class GridStats(Sliding):
    """`local_stats` on grids ``(..., H, W)`` whose rows arrive in blocks ``(..., rows, W)`` of any number.

    What is kept are the rows of a few windows' height, so a grid may be larger than memory. The outputs of a block
    are ``(..., S, rows', W')``: S statistics in the order asked; joined along the rows (axis -2) they are the bits
    that `local_stats` gives for the whole grid, wherever the blocks were cut.

    Args:
        window: (N, M), rows and columns.
        stats, ddof, mode, align, padding_mode, nan, min_count: see `local_stats`.
        stride: (rows, columns).
        before: with circular padding, the last rows of the grid, as many as windows reach back or more.

    Raises:
        ValueError, TypeError: as `local_stats`.

    >>> grid = GridStats((2, 2))
    >>> rows = torch.tensor([[1.0, 2.0, 1.0], [3.0, 4.0, 1.0], [1.0, 2.0, 1.0]])
    >>> [grid.push(rows[:1]).shape, grid.push(rows[1:]).shape, grid.finish().tolist()]
    [torch.Size([1, 0, 2]), torch.Size([1, 0, 2]), [[[1.25, 1.5], [1.25, 1.5]]]]
    """

    axis = -2

    def __init__(
        self,
        window: tuple[int, int],
        *,
        stats: tuple[str, ...] = ("var",),
        stride: tuple[int, int] = (1, 1),
        ddof: int = 0,
        mode: Mode = "valid",
        align: Align = "center",
        padding_mode: PaddingMode = "reflect",
        nan: Nan = "propagate",
        min_count: int | None = None,
        before: Tensor | None = None,
    ) -> None:
        request = Request(window, stride, stats, ddof, mode, align, padding_mode, nan, min_count)
        self._start(request, before, lent=False)

    @classmethod
    def of(cls, request: Request, whole: Tensor) -> GridStats:
        """The operation for a grid that is all there, and stays as it is until the work is done."""
        made = cls.__new__(cls)
        made._start(request, whole, lent=True)
        return made

    def _start(self, request: Request, before: Tensor | None, *, lent: bool) -> None:
        self._request, self._before = request, before
        self._rows: Padding | None = None
        self._columns: Padding | None = None
        if request.mode == "same":
            self._rows, self._columns = (
                Padding.around(window, request.padding_mode, request.align) for window in request.windows
            )
        if self._rows is not None and request.padding_mode == "circular" and before is None:
            raise ValueError('padding_mode "circular" needs the last rows first: give them as before=')
        height = request.windows[0]
        grain = mergeable.block_length(height)
        self._cutter = Cutter(height, 1, self._rows, self._compute, "rows", grain=grain, lent=lent)
        self._leading: tuple[int, ...] = ()
        self._width = 0
        self.nothing = torch.empty(0)

    def feed(self, block: Tensor) -> None:
        """Take in rows, leaving the work on them for `end`."""
        if block.dim() < 2:
            raise ValueError(f"the block's shape is {tuple(block.shape)}; a grid has rows and columns, (..., H, W)")
        width, window = block.shape[-1], self._request.windows[1]
        if self._columns is not None:
            self._columns.check(width, "columns")
        elif width < window:
            raise InputError(
                f"a window of {window} columns is wider than the input, which has {width}; "
                f'use a window of at most {width}, or mode "same"'
            )
        self._leading, self._width = tuple(block.shape[:-2]), width
        self._cutter.feed(self._widened(block), None if self._before is None else self._widened(self._before))
        across = -(-(self._padded(width) - window + 1) // self._request.strides[1])
        numbers = as_numbers(block)
        shape = (*self._leading, len(self._request.stats), 0, across)
        self.nothing = numbers.new_empty(shape, dtype=self._request.result(numbers.dtype))

    def _widened(self, block: Tensor) -> Tensor:
        rows = as_numbers(block).reshape(prod(block.shape[:-2]), *block.shape[-2:])
        return rows if self._columns is None or not rows.shape[-1] else self._columns.whole(rows)

    def _padded(self, width: int) -> int:
        return width if self._columns is None else width + self._columns.left + self._columns.right

    def _compute(self, piece: Tensor, first: int, absent: Absent) -> Tensor:
        """``(B, rows, columns)`` -> ``(..., S, rows', columns')``, a strip of columns at a time."""
        window, stride = self._request.windows[1], self._request.strides[1]
        count = piece.shape[2] - window + 1
        if not len(piece):
            high = -(-(piece.shape[1] - self._request.windows[0] + 1 - first) // self._request.strides[0])
            shape = list(self.nothing.shape)
            shape[-2] = high
            return self.nothing.new_empty(shape)
        length = sample_windows.block_length(window)
        width = -(-max(_STRIP, 4 * window) // length) * length
        made = []
        for start in range(0, count, width):
            begin = -start % stride
            if begin < min(width, count - start):
                strip = piece[..., start : start + min(width, count - start) + window - 1]
                gaps = absent, self._absent_columns(start, strip.shape[2])
                stats = [torch.stack(window_stats(grid, self._request, (first, begin), gaps)) for grid in strip]
                made.append(torch.stack(stats))
        joined = torch.cat(made, -1)
        return joined.reshape(*self._leading, *joined.shape[1:])

    def _absent_columns(self, start: int, size: int) -> Absent:
        return (0, 0) if self._columns is None else self._columns.absent(start, size, self._width)
