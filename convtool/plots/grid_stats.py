"""The picture of a grid and of statistics of its sliding windows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from convtool.plots.figure import Samples, encoded, named, set_style, set_title, value_range
from convtool.plots.local_stats import MOST, left_out, middle, term

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def render_grid_stats(
    *,
    grid: Samples,
    stats: Mapping[str, Samples],
    window: tuple[int, int],
    stride: tuple[int, int],
    before: tuple[int, int],
    name: str = "input",
    format: str,
) -> bytes:
    """A picture of `grid` ``(rows, columns)`` and of statistics of its windows, encoded as `format`.

    `stats`, by their names, `window`, `stride` and `before` are as in `render_local_stats`, along rows and columns;
    each value covers `stride` cells about the middle of its window, so that it lies where the window does. What is not
    finite is left white, and counted in the title.

    >>> grid, stats = np.array([[1, 2, 1], [3, 4, 1]]), {"var": np.array([[1.25, 1.5]])}
    >>> shape = {"window": (2, 2), "stride": (1, 1), "before": (0, 0)}
    >>> render_grid_stats(grid=grid, stats=stats, **shape, format="png")[1:4]
    b'PNG'
    """
    rows, columns = grid.shape
    ratio = rows / columns
    even = 0.25 <= ratio <= 4  # cells are square but in strips, which would be too thin to see
    of = f"windows of {window[0]} × {window[1]}"
    drawn = dict(list(stats.items())[:MOST])
    down = -(-(1 + len(drawn)) // 2)

    def draw(figure: Figure) -> None:
        first, *others = figure.subplots(down, 2).flat
        axes_of = zip(window, before, stride, strict=True)
        starts = [middle(size, reach) - step / 2 for size, reach, step in axes_of]
        for spare in others[len(drawn) :]:
            spare.set_axis_off()
        for axes, cells, (top, start), (high, wide), colours in (
            (first, grid, (-0.5, -0.5), (1, 1), "gray"),
            *((each, cells, starts, stride, "cividis") for each, cells in zip(others, drawn.values(), strict=False)),
        ):
            extent = (start, start + wide * cells.shape[1], top + high * cells.shape[0], top)
            shown = np.where(np.isfinite(cells), cells, np.nan).astype(np.float64)
            picture = axes.imshow(shown, cmap=colours, extent=extent, aspect="equal" if even else "auto")
            axes.set_xlim(-0.5, columns - 0.5)
            axes.set_ylim(rows - 0.5, -0.5)
            set_style(axes, "column", "row")
            axes.grid(visible=False)
            bar = figure.colorbar(picture, cax=axes.inset_axes((1.02, 0, 0.035, 1)))
            bar.ax.tick_params(length=3, labelsize=9)
        set_title(first, named("input", name), "   ".join(filter(None, [_details(grid), left_out(stats)])))
        for axes, (stat, cells) in zip(others, drawn.items(), strict=False):
            set_title(axes, f"local {term(stat)}", f"{of}   {_details(cells)}")

    height = min(11.0, max(4.0, 5.2 * ratio + 1.4)) if even else 6.0
    return encoded(format, (12.5, down * height), draw)


def _details(cells: Samples) -> str:
    return "   ".join([f"{cells.shape[0]:,} × {cells.shape[1]:,}", *value_range(cells)])
