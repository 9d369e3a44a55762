"""The picture of a tensor of one or two axes that is no bank of filters: a matrix over the page, or a row of stems."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from convtool.errors import InputError
from convtool.plots.figure import (
    COLOURS,
    Curve,
    Samples,
    encoded,
    set_style,
    set_title,
    shown,
    value_range,
    whole_ticks,
)
from convtool.plots.filters import DIVERGING, NOT_FINITE
from convtool.plots.waveform import draw_waveform, peak_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROWS, COLUMNS = 600, 1000  # cells of a page, at most: about as many as its pixels


def render_matrix(
    values: Samples, *, name: str, axes: Sequence[str], gates: tuple[int, Sequence[str]] | None = None, format: str
) -> bytes:
    """A picture of a dense layer's weight, a recurrent layer's, a bias, encoded as `format`: equal calls, equal bytes.

    `values` are real numbers of one or two axes, which `axes` names. A matrix fills the page, on one scale of colours,
    symmetric about 0; of a large one each cell shows the number of the greatest magnitude of those that it covers. A
    vector is stems, or a line. `gates` is the axis along which a recurrent layer's tensor stacks as many equal parts,
    and what they are called.

    NaN and infinities are counted in the title, and have colours of their own in a matrix.

    Raises:
        UsageError: another format, or matplotlib is missing.
        InputError: no numbers, or numbers that are not real.

    >>> render_matrix(np.eye(3), name="identity", axes=("out", "in"), format="png")[1:4]
    b'PNG'
    """
    values = np.asarray(values)
    if values.dtype.kind not in "fiub" or not values.size:
        raise InputError(f"shape {values.shape} of {values.dtype} can't be drawn; expected real numbers, at least one")
    sizes = " × ".join(f"{size:,}" for size in values.shape)
    told = "   ".join([f"{sizes} ({' × '.join(axes)})", *value_range(values)])

    def draw(figure: Figure) -> None:
        page = figure.subplots()
        if values.ndim == 1:
            draw_waveform(page, values[np.newaxis].astype(np.float64), [COLOURS[0]], None)
            set_style(page, axes[0], "value")
        else:
            _draw_cells(figure, page, values.astype(np.float64), axes)
        if gates is not None:
            _mark_gates(page, values.shape, *gates)
        names_above = gates is not None and gates[0] == values.ndim - 1
        set_title(page, shown(name), told, lift=14 if names_above else 0)

    return encoded(format, (12.5, 4 if values.ndim == 1 else 8.5), draw)


def pooled(values: Curve, rows: int, columns: int) -> Curve:
    """`values` in at most so many rows and columns, each the number of the greatest magnitude of those it stands for.

    What is not finite goes before all numbers.

    >>> pooled(np.array([[1.0, -3.0, 0.0], [2.0, 0.0, 1.0]]), 1, 2).tolist()
    [[2.0, -3.0]]
    """
    for axis, most in ((0, rows), (1, columns)):
        size = values.shape[axis]
        if size > most:
            starts = np.arange(most) * size // most
            high, low = (extreme.reduceat(values, starts, axis=axis) for extreme in (np.maximum, np.minimum))
            values = np.where(abs(low) > abs(high), low, high)
    return values


def _draw_cells(figure: Figure, page: Axes, values: Curve, axes: Sequence[str]) -> None:
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    rows, columns = values.shape
    peak = peak_of(values) or 1.0
    cells = pooled(values, ROWS, COLUMNS)
    extent = (-0.5, columns - 0.5, rows - 0.5, -0.5)
    look: Any = {"interpolation": "nearest", "aspect": "auto", "extent": extent}
    set_style(page, axes[1], axes[0])
    page.grid(visible=False)
    finite = np.where(np.isfinite(cells), cells, 0)
    image = page.imshow(finite, cmap=colormaps[DIVERGING], vmin=-peak, vmax=peak, **look)
    label = "weight"
    for word, shade, bad in (("NaN", "yellow", np.isnan(cells)), ("infinite", "green", np.isinf(cells))):
        if bad.any():
            colour = ListedColormap([[channel / 255 for channel in NOT_FINITE[word]]])
            page.imshow(np.ma.masked_where(~bad, np.zeros(cells.shape)), cmap=colour, **look)
            label += f"; {shade}: {word}"
    for axis in (page.xaxis, page.yaxis):
        axis.set_major_locator(whole_ticks())
    bar = figure.colorbar(image, cax=page.inset_axes((1.02, 0, 0.02, 1)))
    bar.set_label(label, fontsize=9)
    bar.ax.tick_params(length=3, labelsize=9)


def _mark_gates(page: Axes, shape: Sequence[int], axis: int, names: Sequence[str]) -> None:
    """Lines between the gates, and their names in the middle of each, outside of the axes."""
    across = axis == len(shape) - 1
    each = shape[axis] / len(names)
    for place, name in enumerate(names):
        middle = (place + 0.5) * each - 0.5
        if place:
            (page.axvline if across else page.axhline)(place * each - 0.5, color="#333333", linewidth=1.2)
        offset = (0, 4) if across else (4, 0)
        corner: Any = ((middle, 1), ("data", "axes fraction")) if across else ((1, middle), ("axes fraction", "data"))
        page.annotate(
            f"gate {name}",
            corner[0],
            offset,
            corner[1],
            textcoords="offset points",
            ha="center" if across else "left",
            va="bottom" if across else "center",
            rotation=0 if across else 90,
            fontsize=9,
        )
