"""Pages that are laid out in pixels: many small tiles, each in its place, and the words around them.

A subplot for each of hundreds of tiles would take matplotlib minutes, and no cell would be a whole number of pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from convtool.plots.figure import DPI, INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Pixels = NDArray[np.uint8]

MARGIN = 24
HEADER = 84  # pixels from the top of the page to the tiles: for the title and the details
WIDTH, HEIGHT = 1150, 860  # pixels that units may cover together
ASPECT = 1.5
GAP = 10  # pixels between units
LINE = 16  # pixels that a line of labels takes
LABEL = 8  # points
TITLE, DETAILS = 11.5, 9


@dataclass(frozen=True)
class Grid:
    """`count` units of ``(width, height)`` pixels in rows of `across`, the first at `left`, `top` of the page."""

    count: int
    across: int
    width: int
    height: int
    left: int
    top: int

    @property
    def right(self) -> int:
        return self.left + self.across * (self.width + GAP) - GAP

    @property
    def bottom(self) -> int:
        return self.top + -(-self.count // self.across) * (self.height + GAP) - GAP

    def place(self, index: int) -> tuple[int, int]:
        """The upper left corner of a unit."""
        row, column = divmod(index, self.across)
        return self.left + column * (self.width + GAP), self.top + row * (self.height + GAP)


def arrange(count: int, sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Which of the unit `sizes` ``(width, height)``, the first that fits, and how many units stand side by side.

    Of the arrangements that fit, the one whose aspect is nearest to ASPECT and that leaves the fewest places empty.
    Where no size fits, the last in an arrangement as wide as may be.
    """
    for index, (width, height) in enumerate(sizes):
        fitting = {}
        for across in range(1, min(count, (WIDTH + GAP) // (width + GAP)) + 1):
            down = -(-count // across)
            wide, high = across * (width + GAP) - GAP, down * (height + GAP) - GAP
            if high <= HEIGHT:
                fitting[across] = abs(math.log(wide / high / ASPECT)) + 4 * (across * down - count) / count
        if fitting:
            return index, min(fitting, key=fitting.__getitem__)
    return len(sizes) - 1, min(count, max(1, (WIDTH + GAP) // (sizes[-1][0] + GAP)))


def text_width(text: str, points: float = LABEL) -> int:
    """Pixels that `text` takes."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family="DejaVu Sans", size=points)
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return math.ceil(width * DPI / 72)


def start_page(figure: Figure, *, right: int, bottom: int, title: str, details: str) -> Axes:
    """Axes over all of a page that holds its title and what reaches to `right` and `bottom`; their unit is a pixel."""
    words = max(text_width(title, TITLE), text_width(details, DETAILS))
    width, height = max(right, MARGIN + words) + MARGIN, bottom + MARGIN
    wide, high = width + 0.5, height + 0.5  # or rounding could cost a pixel
    figure.set_layout_engine("none")
    figure.set_size_inches(wide / DPI, high / DPI)
    axes = figure.add_axes((0, 0, width / wide, height / high))
    axes.set_axis_off()
    axes.set(xlim=(0, width), ylim=(height, 0))
    write(axes, MARGIN, MARGIN, title, size=TITLE)
    write(axes, MARGIN, MARGIN + 26, details, size=DETAILS, colour="#777777")
    return axes


def write(
    axes: Axes,
    x: float,
    y: float,
    text: str,
    *,
    size: float = LABEL,
    ha: str = "left",
    va: str = "top",
    colour: str = INK,
) -> None:
    axes.text(x, y, text, fontsize=size, ha=ha, va=va, color=colour)


def paste(axes: Axes, pixels: Pixels, left: int, top: int) -> None:
    """Lay `pixels` ``(height, width, 3)`` on the page, one on one."""
    limits = axes.get_xlim(), axes.get_ylim()
    height, width = pixels.shape[:2]
    axes.imshow(pixels, extent=(left, left + width, top + height, top), interpolation="nearest", aspect="auto")
    axes.set(xlim=limits[0], ylim=limits[1])
