"""The picture of a layer's filters: each in its place, under its name, all on one scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from convtool.plots.banks import INFINITE, NAN, Bank, bank_of
from convtool.plots.figure import FAINT, Curve, Samples, encoded, number, shown
from convtool.plots.filter_curves import draw_curves
from convtool.plots.pages import (
    BESIDE,
    HEADER,
    LINE,
    MARGIN,
    SWATCH,
    Grid,
    Pixels,
    arrange,
    explain,
    key_width,
    paste,
    start_page,
    text_width,
    write,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DIVERGING = "RdBu_r"  # Brewer's red and blue: apart for every kind of colour vision
FRAME = (0xBB, 0xBB, 0xBB)
CELL, SIDE = 32, 240  # pixels of a number, and of the longer side of a tile, at most
BETWEEN = 2  # pixels between the tiles of one filter
INDENT = 8  # pixels from a name to the tiles after it
BAR_LEAST, BAR_MOST = 120, 320  # pixels that the colour bar is high
KEY = 28  # pixels from the tiles to the colour bar


def render_filters(filters: Samples, *, name: str, labels: Sequence[str] | None = None, format: str) -> bytes:
    """A picture of the filters of a layer, encoded as `format` (``png``, ``svg`` or ``pdf``): equal calls, equal bytes.

    `filters` are real numbers of any type: ``(out, in, H, W)`` of a convolution in two dimensions, ``(out, in, K)`` in
    one, ``(out, in, D, H, W)`` in three. Each stands by its label, ``filter 0`` and so on where `labels` is None. A
    tile is what a filter does to one input: a number is a square of whole pixels, and its colour is on one scale for
    the layer, symmetric about 0, with the layer's greatest finite magnitude at both ends.

    1-D filters of several inputs are tiles of inputs by taps; of one input they are curves, or stems where the taps
    are few, over one amplitude. A 3-D filter is a row of slices, for each input.

    `name` is the title; what can't be printed in the names is escaped. Below it stand the shape, the range of the
    values and, where a layer is too large (256 filters, 1024 tiles, 512 numbers along a side), how much is shown. NaN
    and infinities are counted there, and have colours of their own.

    Raises:
        UsageError: another format, or matplotlib is missing.
        InputError: another number of axes, no numbers, or numbers that are not real.
        ValueError: not as many labels as filters.

    >>> render_filters(np.eye(3).reshape(1, 1, 3, 3), name="identity", format="png")[1:4]
    b'PNG'
    """
    filters = np.asarray(filters)

    def draw(figure: Figure) -> None:
        bank = bank_of(filters, labels)
        (draw_curves if bank.curves else _draw_tiles)(figure, bank, shown(name))

    return encoded(format, None, draw)


def _draw_tiles(figure: Figure, bank: Bank, title: str) -> None:
    """Names stand above single tiles, and before rows of them."""
    count, tiles, rows, columns = bank.tiles.shape
    width = max(map(text_width, bank.labels))
    indent, above = (width + INDENT, 0) if bank.numbered else (0, LINE)

    def unit(cell: int) -> tuple[int, int]:
        wide = tiles * _pitch(columns, cell) - BETWEEN
        return max(width, indent + wide), max(LINE, above + rows * cell + 2)

    cells = range(min(CELL, max(1, SIDE // max(rows, columns))), 0, -1)
    index, across = arrange(count, [unit(cell) for cell in cells])
    grid = Grid(count, across, *unit(cells[index]), MARGIN, HEADER + LINE - above)
    axes = _page_with_key(figure, grid, bank, title)
    paste(axes, _mosaic(bank.tiles, grid, cells[index], indent, above), grid.left, grid.top)
    for i, label in enumerate(bank.labels):
        x, y = grid.place(i)
        write(axes, x, y, label)
        if i < across and bank.numbered:
            write(axes, x + width, HEADER, bank.numbered, ha="right", colour=FAINT)
            _number_tiles(axes, tiles, x + indent, _pitch(columns, cells[index]))


def _pitch(columns: int, cell: int) -> int:
    """Pixels from a tile to the next of its filter; a frame is a pixel wide."""
    return columns * cell + 2 + BETWEEN


def _number_tiles(axes: Axes, tiles: int, left: int, pitch: int) -> None:
    """Numbers over the tiles of a filter, as many as there is room for."""
    step = -(-(text_width(str(tiles - 1)) + 4) // pitch)
    for tile in range(0, tiles, step):
        write(axes, left + (tile + 0.5) * pitch - BETWEEN / 2, HEADER, str(tile), ha="center", colour=FAINT)


def _mosaic(tiles: Curve, grid: Grid, cell: int, indent: int, above: int) -> Pixels:
    """The tiles in their frames, each filter `indent` and `above` pixels into its unit: ``(height, width, 3)``."""
    _, side_by_side, rows, columns = tiles.shape
    painted = np.repeat(np.repeat(_paint(tiles), cell, -3), cell, -2)
    high, wide = rows * cell, columns * cell
    mosaic = np.full((grid.bottom - grid.top, grid.right - grid.left, 3), 255, np.uint8)
    for i in range(grid.count):
        x, y = grid.place(i)
        for j in range(side_by_side):
            top, left = y - grid.top + above, x - grid.left + indent + j * (wide + 2 + BETWEEN)
            mosaic[top : top + high + 2, left : left + wide + 2] = FRAME
            mosaic[top + 1 : top + 1 + high, left + 1 : left + 1 + wide] = painted[i, j]
    return mosaic


def _paint(values: Curve) -> Pixels:
    """The colours ``(..., 3)`` of values from -1 to 1, of NaN and of infinities."""
    from matplotlib import colormaps

    painted: Pixels = colormaps[DIVERGING]((np.clip(values, -1, 1) + 1) / 2, bytes=True)[..., :3]
    painted[np.isnan(values)] = NAN
    painted[np.isinf(values)] = INFINITE
    return painted


def _page_with_key(figure: Figure, grid: Grid, bank: Bank, title: str) -> Axes:
    """The page with a colour bar, of a layer that has any colour, and the colours of what is not finite."""
    ticks = [number(tick * bank.peak) for tick in (1, 0.5, 0, -0.5, -1)] if bank.peak else []
    left, top = grid.right + KEY, HEADER + LINE
    high = min(BAR_MOST, max(BAR_LEAST, grid.bottom - top)) if bank.peak else 0
    below = top + (high + LINE if bank.peak else 0)
    width = key_width([*ticks, *bank.not_finite])
    right, bottom = left + width if width else grid.right, max(grid.bottom, below + LINE * len(bank.not_finite))
    axes = start_page(figure, right=right, bottom=bottom, title=title, details=bank.details)
    if bank.peak:
        write(axes, left, HEADER - 8, "weight", colour=FAINT)
        paste(axes, np.repeat(_paint(np.linspace(1, -1, high)[:, np.newaxis]), SWATCH[0], 1), left, top)
    for i, tick in enumerate(ticks):
        write(axes, left + SWATCH[0] + BESIDE, top + i * high / 4, tick, va="center_baseline")
    explain(axes, bank.not_finite, left, below)
    return axes
