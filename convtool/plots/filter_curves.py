"""1-D filters of a single input as curves, each in a tile of its own, all over one amplitude."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convtool.plots.banks import INFINITE, NAN, Bank
from convtool.plots.figure import COLOURS, FAINT, Curve, Samples, number
from convtool.plots.pages import (
    HEADER,
    LINE,
    MARGIN,
    Grid,
    arrange,
    explain,
    key_width,
    start_page,
    text_width,
    write,
)
from convtool.plots.waveform import STEMS, stretches

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZES = [(30 * scale, 15 * scale) for scale in range(10, 2, -1)]  # pixels of a tile
ROOM = 4  # pixels from the curve to the edges of its tile
TICK = 6  # pixels from a tile to the numbers of its axis
KEY = 20  # pixels from the tiles to what explains their colours
DOTS = 6  # pixels from a stem to the next from which on they have heads


@dataclass(frozen=True)
class _Tile:
    """A place on the page for `taps`, in pixels."""

    left: int
    top: int
    width: int
    height: int
    taps: int

    @property
    def step(self) -> float:
        return (self.width - 2 * ROOM) / self.taps

    def across(self, index: Samples | float) -> Curve:
        """Where taps begin; each is `step` wide."""
        places: Curve = self.left + ROOM + np.asarray(index) * self.step
        return places

    def down(self, values: Samples | float) -> Curve:
        """Where values from -1 to 1 lie."""
        middle = self.height / 2
        places: Curve = self.top + middle - np.asarray(values) * (middle - ROOM)
        return places


def draw_curves(figure: Figure, bank: Bank, title: str) -> None:
    """A page of the curves of a bank whose tiles have one row; amplitudes are to their left, taps below."""
    count, _, _, taps = bank.tiles.shape
    widest = max(map(text_width, bank.labels))
    index, across = arrange(count, [(max(widest, width), LINE + height) for width, height in SIZES])
    width, height = SIZES[index]
    levels = np.array([1.0, 0.0, -1.0] if bank.peak else [0.0])
    ticks = [number(level * bank.peak) for level in levels]
    left = MARGIN + max(map(text_width, ticks)) + TICK
    grid = Grid(count, across, max(widest, width), LINE + height, left, HEADER)
    key = key_width(bank.not_finite)
    right = grid.right + (KEY + key if key else 0)
    axes = start_page(figure, right=right, bottom=grid.bottom + LINE, title=title, details=bank.details)
    explain(axes, bank.not_finite, grid.right + KEY, HEADER + LINE)
    for i, label in enumerate(bank.labels):
        x, y = grid.place(i)
        write(axes, x, y, label)
        tile = _Tile(x, y + LINE, width, height, taps)
        _draw_curve(axes, tile, bank.tiles[i, 0, 0])
        if i % across == 0:
            for tick, place in zip(ticks, tile.down(levels), strict=True):
                write(axes, x - TICK, place, tick, ha="right", va="center_baseline")
        if i + across >= count:
            _number_taps(axes, tile)


def _number_taps(axes: Axes, tile: _Tile) -> None:
    """The numbers of the first and the last tap, below them but between the tile's edges."""
    y = tile.top + tile.height + 2
    for tap in {0, tile.taps - 1}:
        half = text_width(str(tap)) / 2
        x = np.clip(tile.across(tap + 0.5), tile.left + half, tile.left + tile.width - half)
        write(axes, float(x), y, str(tap), ha="center", colour=FAINT)
    if tile.taps > 2:
        write(axes, tile.left + tile.width / 2, y, "tap", ha="center", colour=FAINT)


def _draw_curve(axes: Axes, tile: _Tile, taps: Curve) -> None:
    """Few taps as stems, many as a line, very many as the extremes of stretches."""
    from matplotlib.patches import Rectangle

    frame = Rectangle((tile.left, tile.top), tile.width, tile.height, fill=False, edgecolor="#bbbbbb", linewidth=0.8)
    axes.add_patch(frame)
    zero = float(tile.down(0.0))
    axes.plot([tile.left, tile.left + tile.width], [zero, zero], color="#dddddd", linewidth=0.8)
    middles = tile.across(np.arange(tile.taps) + 0.5)
    for bad, colour in zip((np.isnan(taps), np.isinf(taps)), (NAN, INFINITE), strict=True):
        unit = [channel / 255 for channel in colour]
        axes.vlines(middles[bad], tile.top + 1, tile.top + tile.height - 1, color=unit, linewidth=1.5)
    many, at, low, high = stretches(taps[np.newaxis])
    bottom, top = tile.down(low[0]), tile.down(high[0])
    if many:
        axes.fill_between(tile.across(at), bottom, top, step="post", color=COLOURS[0], linewidth=0.5)
    elif tile.taps > STEMS:
        axes.plot(middles, bottom, color=COLOURS[0], linewidth=1)
    else:
        axes.vlines(middles, zero, bottom, color=COLOURS[0], linewidth=1.4)
        if tile.step >= DOTS:
            axes.plot(middles, bottom, "o", color=COLOURS[0], markersize=3)
