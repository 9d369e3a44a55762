"""The picture of a layer's filters: each in its place, under its name, all on one scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convtool.errors import InputError
from convtool.plots.figure import COLOURS, FAINT, Curve, Samples, encoded, number, shown, value_range
from convtool.plots.pages import HEADER, LINE, MARGIN, Grid, Pixels, arrange, paste, start_page, text_width, write
from convtool.plots.waveform import STEMS, peak_of, stretches

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FILTERS = 256  # in one picture, at most
TILES = 1024
CELLS = 1 << 20
SIDE = 512  # numbers along each side of a tile, at most
SIDE_BY_SIDE = 32  # tiles of one filter, at most
LABEL_LENGTH = 20
AXES = {3: ("in", "taps"), 4: ("in", "height", "width"), 5: ("in", "depth", "height", "width")}

DIVERGING = "RdBu_r"  # Brewer's red and blue: apart for every kind of colour vision
# Yellow and bluish green of Okabe and Ito, which no value has.
NOT_FINITE = {"NaN": (0xF0, 0xE4, 0x42), "infinite": (0x00, 0x9E, 0x73)}
FRAME = 0xBB  # grey

# Pixels:
CELL, TILE = 32, 240  # of a number, and of the longer side of a tile, at most
BETWEEN = 2  # after each tile of a filter
INDENT = 8  # from a name to the tiles after it
CURVES = [(30 * scale, 15 * scale) for scale in range(10, 2, -1)]  # width and height of the tile of a curve
ROOM = 4  # from the curve to the edges of its tile
TICK = 6  # from a tile to the numbers of its axis
DOTS = 6  # from a stem to the next from which on they have heads
KEY = 28  # from the tiles to what explains their colours
BAR_LEAST, BAR_MOST = 120, 320  # the colour bar's height
SWATCH = 16, 10
BESIDE = 8  # from a swatch to its name


def render_filters(
    filters: Samples, *, name: str, labels: Sequence[str] | None = None, told: str = "", format: str
) -> bytes:
    """A picture of the filters of a layer, encoded as `format` (``png``, ``svg`` or ``pdf``): equal calls, equal bytes.

    `filters` are real numbers of any type: ``(out, in, H, W)`` of a convolution in two dimensions, ``(out, in, K)`` in
    one, ``(out, in, D, H, W)`` in three. Each stands by its label, ``filter 0`` and so on where `labels` is None. A
    tile is what a filter does to one input: a number is a square of whole pixels, and its colour is on one scale for
    the layer, symmetric about 0, with the layer's greatest finite magnitude at both ends.

    1-D filters of several inputs are tiles of inputs by taps; of one input they are curves, or stems where the taps
    are few, over one amplitude. A 3-D filter is a row of slices, for each input.

    `name` is the title; what can't be printed in the names is escaped. Below it stand the shape, or what `told` says
    instead where they are no filters, the range of the values and, where a layer is too large (256 filters, 1024 tiles,
    512 numbers along a side), how much is shown. NaN and infinities are counted there, and have colours of their own.

    Raises:
        UsageError: another format, or matplotlib is missing.
        InputError: another number of axes, no numbers, or numbers that are not real.
        ValueError: not as many labels as filters.

    >>> render_filters(np.eye(3).reshape(1, 1, 3, 3), name="identity", format="png")[1:4]
    b'PNG'
    """
    filters = np.asarray(filters)

    def draw(figure: Figure) -> None:
        bank = _bank(filters, labels, told)
        (_draw_curves if bank.curves else _draw_tiles)(figure, bank, shown(name))

    return encoded(format, None, draw)


@dataclass(frozen=True)
class _Bank:
    """Filters of one layer, cut to what a picture holds."""

    tiles: Curve
    """``(filters, tiles, rows, columns)`` over the peak, so from -1 to 1; NaN and infinities as they are."""
    peak: float
    """The greatest finite magnitude of the whole layer, 0 without any."""
    labels: list[str]
    numbered: str
    """What the tiles of a filter are: ``in``, ``depth``, or nothing where a filter is one tile."""
    curves: bool
    """Whether a tile is the taps of a single input."""
    details: str
    """The layer's shape and range, what is not finite, and what is not shown."""


def _bank(filters: Samples, labels: Sequence[str] | None, told: str) -> _Bank:
    """Of 1-D filters a tile is inputs by taps; of 3-D ones each pair of output and input is a filter of D tiles."""
    if filters.dtype.kind not in "fiub" or filters.ndim not in AXES or not filters.size:
        raise InputError(
            f"shape {filters.shape} of {filters.dtype} can't be drawn as filters; they are real numbers, at least one: "
            "(out, in, K), (out, in, H, W) or (out, in, D, H, W)"
        )
    out, inputs, *sizes = filters.shape
    names = [f"filter {i}" for i in range(out)] if labels is None else list(labels)
    if len(names) != out:
        raise ValueError(f"{len(names)} labels for {out} filters; there is one for each")
    curves = filters.ndim == 3 and inputs == 1
    if filters.ndim == 3:
        tiles, numbered = filters[:, np.newaxis], ""
    elif filters.ndim == 4:
        tiles, numbered = filters, "in" * (inputs > 1)
    else:
        tiles, numbered = filters.reshape(out * inputs, *sizes), "depth"
        if inputs > 1:
            names = [f"{name}, in {i}" for name in names for i in range(inputs)]

    peak = peak_of(filters.reshape(1, -1))
    kept = tiles[:FILTERS] if curves else _fitting(tiles)
    drawn = [shown(name, LABEL_LENGTH) for name in names[: len(kept)]]
    words = zip(kept.shape, tiles.shape, ("filters", numbered, "rows", "columns"), strict=True)
    cut = ", ".join(f"{some:,} of {every:,} {word}" for some, every, word in words if some < every)
    details = [told or _shape(filters), *value_range(filters), *([f"shown: the first {cut}"] if cut else [])]
    return _Bank(kept.astype(np.float64) / (peak or 1.0), peak, drawn, numbered, curves, "   ".join(details))


def _fitting(tiles: Samples) -> Samples:
    """The first of `tiles` ``(filters, tiles, rows, columns)`` along each axis, as far as a picture has room."""
    _, count, rows, columns = tiles.shape
    rows, columns = min(rows, SIDE), min(columns, SIDE)
    count = min(count, SIDE_BY_SIDE, 2 * SIDE // columns)
    filters = min(FILTERS, TILES // count, max(1, CELLS // (count * rows * columns)))
    return tiles[:filters, :count, :rows, :columns]


def _shape(filters: Samples) -> str:
    """How many filters, and of what shape.

    >>> _shape(np.zeros((64, 3, 7, 7))), _shape(np.zeros((1, 1, 400)))
    ('64 filters of 3 × 7 × 7 (in × height × width)', '1 filter of 400 taps')
    """
    sizes, words = filters.shape[1:], AXES[filters.ndim]
    if sizes[0] == 1:
        sizes, words = sizes[1:], words[1:]
    many = f"{len(filters):,} filter{'s' * (len(filters) != 1)} of {' × '.join(f'{size:,}' for size in sizes)}"
    return f"{many} ({' × '.join(words)})" if len(words) > 1 else f"{many} {words[0]}"


def _draw_tiles(figure: Figure, bank: _Bank, title: str) -> None:
    """Names stand above single tiles, and before rows of them."""
    count, tiles, rows, columns = bank.tiles.shape
    width = max(map(text_width, bank.labels))
    indent, above = (width + INDENT, 0) if bank.numbered else (0, LINE)

    def unit(cell: int) -> tuple[int, int]:
        return max(width, indent + tiles * _pitch(columns, cell)), max(LINE, above + rows * cell + 2)

    cells = range(min(CELL, max(1, TILE // max(rows, columns))), 0, -1)
    index, across = arrange(count, [unit(cell) for cell in cells])
    pitch = _pitch(columns, cells[index])
    grid = Grid(count, across, *unit(cells[index]), MARGIN, HEADER + LINE - above)
    axes = _page_with_key(figure, grid, bank, title)
    pixels = np.full((grid.bottom - grid.top, grid.right - grid.left, 3), 0xFF, np.uint8)
    step = -(-(text_width(str(tiles - 1)) + 4) // pitch)  # of the tiles' numbers, as many as there is room for
    for i, (label, strip) in enumerate(zip(bank.labels, _strips(bank.tiles, cells[index]), strict=True)):
        x, y = grid.place(i)
        top, left = y - grid.top + above, x - grid.left + indent
        pixels[top : top + len(strip), left : left + strip.shape[1]] = strip
        write(axes, x, y, label)
        if i < across and bank.numbered:
            write(axes, x + width, HEADER, bank.numbered, ha="right", colour=FAINT)
            for tile in range(0, tiles, step):
                middle = x + indent + (tile + 0.5) * pitch - BETWEEN / 2
                write(axes, middle, HEADER, str(tile), ha="center", colour=FAINT)
    paste(axes, pixels, grid.left, grid.top)


def _pitch(columns: int, cell: int) -> int:
    """Pixels from a tile to the next of its filter; a frame is a pixel wide."""
    return columns * cell + 2 + BETWEEN


def _strips(tiles: Curve, cell: int) -> Pixels:
    """The tiles of each filter in their frames, side by side: ``(filters, height, width, 3)``."""
    painted = np.repeat(np.repeat(_paint(tiles), cell, -3), cell, -2)
    framed = np.pad(painted, ((0, 0), (0, 0), (1, 1), (1, 1), (0, 0)), constant_values=FRAME)
    spaced = np.pad(framed, ((0, 0), (0, 0), (0, 0), (0, BETWEEN), (0, 0)), constant_values=0xFF)
    return np.concatenate(np.moveaxis(spaced, 1, 0), -2)


def _paint(values: Curve) -> Pixels:
    """The colours ``(..., 3)`` of values from -1 to 1, of NaN and of infinities."""
    from matplotlib import colormaps

    painted: Pixels = colormaps[DIVERGING]((np.clip(values, -1, 1) + 1) / 2, bytes=True)[..., :3]
    for word, bad in _not_finite(values).items():
        painted[bad] = NOT_FINITE[word]
    return painted


def _not_finite(values: Curve) -> dict[str, np.ndarray]:
    """Where `values` have no place on the scale, by what is there instead."""
    return {word: bad for word, bad in (("NaN", np.isnan(values)), ("infinite", np.isinf(values))) if bad.any()}


def _page_with_key(figure: Figure, grid: Grid, bank: _Bank, title: str) -> Axes:
    """The page, and right of the grid what its colours mean: a bar of those of tiles, and what is not finite."""
    bar = bool(bank.peak) and not bank.curves
    ticks = [number(tick * bank.peak) for tick in (1, 0.5, 0, -0.5, -1)] if bar else []
    words = list(_not_finite(bank.tiles))
    left, top = grid.right + KEY, HEADER + LINE
    high = min(BAR_MOST, max(BAR_LEAST, grid.bottom - top)) + LINE if bar else 0
    beside = left + SWATCH[0] + BESIDE
    right = max((beside + text_width(word) for word in (*ticks, *words)), default=grid.right)
    bottom = max(grid.bottom + LINE * bank.curves, top + high + LINE * len(words))
    axes = start_page(figure, right=right, bottom=bottom, title=title, details=bank.details)
    if bar:
        write(axes, left, HEADER - 8, "weight", colour=FAINT)
        paste(axes, np.repeat(_paint(np.linspace(1, -1, high - LINE)[:, np.newaxis]), SWATCH[0], 1), left, top)
    for i, tick in enumerate(ticks):
        write(axes, beside, top + i * (high - LINE) / 4, tick, va="center_baseline")
    for i, word in enumerate(words):
        y = top + high + i * LINE
        paste(axes, np.full((SWATCH[1], SWATCH[0], 3), NOT_FINITE[word], np.uint8), left, y)
        write(axes, beside, y + SWATCH[1] / 2, word, va="center_baseline")
    return axes


def _draw_curves(figure: Figure, bank: _Bank, title: str) -> None:
    """Few taps as stems, many as lines, very many as the extremes of stretches; amplitudes to the left, taps below."""
    from matplotlib.patches import Rectangle

    curves = bank.tiles[:, 0, 0]
    count, taps = curves.shape
    widest = max(map(text_width, bank.labels))
    index, across = arrange(count, [(max(widest, width), LINE + height) for width, height in CURVES])
    width, height = CURVES[index]
    levels = np.array([1.0, 0.0, -1.0] if bank.peak else [0.0])
    ticks = [number(level * bank.peak) for level in levels]
    margin = MARGIN + max(map(text_width, ticks)) + TICK
    grid = Grid(count, across, max(widest, width), LINE + height, margin, HEADER)
    axes = _page_with_key(figure, grid, bank, title)

    step = (width - 2 * ROOM) / taps
    left, top = np.array([grid.place(i) for i in range(count)]).T[..., np.newaxis] + [[[0]], [[LINE]]]
    start, zero, reach = left + ROOM, top + height / 2, height / 2 - ROOM
    middles = start + (np.arange(taps) + 0.5) * step
    axes.hlines(zero, left, left + width, color="#dddddd", linewidth=0.8)
    for word, bad in _not_finite(curves).items():
        unit = [channel / 255 for channel in NOT_FINITE[word]]
        ends = ((top + edge).repeat(taps, 1)[bad] for edge in (1, height - 1))
        axes.vlines(middles[bad], *ends, color=unit, linewidth=1.5)
    many, at, low, high = stretches(curves, 0, step)
    bottoms, tops = zero - reach * low, zero - reach * high
    if many:
        for x, bottom, end in zip(start + at, bottoms, tops, strict=True):
            axes.fill_between(x, bottom, end, step="post", color=COLOURS[0], linewidth=0.5)
    elif taps > STEMS:
        axes.plot(middles.T, bottoms.T, color=COLOURS[0], linewidth=1)
    else:
        axes.vlines(middles, zero.repeat(taps, 1), bottoms, color=COLOURS[0], linewidth=1.4)
        if step >= DOTS:
            axes.plot(middles.T, bottoms.T, "o", color=COLOURS[0], markersize=3)

    for i, label in enumerate(bank.labels):
        x, y = grid.place(i)
        write(axes, x, y, label)
        frame = Rectangle((x, y + LINE), width, height, fill=False, edgecolor="#bbbbbb", linewidth=0.8)
        axes.add_patch(frame)
        if i % across == 0:
            for tick, level in zip(ticks, levels, strict=True):
                write(axes, x - TICK, zero[i, 0] - reach * level, tick, ha="right", va="center_baseline")
        if i + across >= count:
            for tap in {0, taps - 1}:
                half = text_width(str(tap)) / 2  # below the tap, but between the tile's edges
                place = np.clip(middles[i, tap], x + half, x + width - half)
                write(axes, place, y + grid.height + 2, str(tap), ha="center", colour=FAINT)
            if taps > 2:
                write(axes, x + width / 2, y + grid.height + 2, "tap", ha="center", colour=FAINT)
