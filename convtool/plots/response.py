"""The picture of the frequency responses of filters: few as curves, many as rows of one image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from convtool.plots.figure import COLOURS, DPI, Curve, add_note, encoded, number, set_style, set_title, shown
from convtool.plots.spectra import DEPTH, hertz

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CURVES = 8  # filters up to which each is a curve
ROWS = 1024  # filters in a picture, at most: each is a pixel high at least
COLUMNS = 1000  # of the image of many filters: about as many as its pixels
NAMED = 40  # rows up to which each has its label
LABEL_LENGTH = 20
LEAST = 6.0  # dB that the axis spans, at least: the ripple of a flat response is not to fill it
NOT_FINITE = COLOURS[1]  # orange, which the colours of magnitudes do not have


def render_response(
    frequency: Curve,
    magnitude: Curve,
    *,
    labels: Sequence[str],
    sample_rate: float | None,
    name: str,
    format: str,
) -> bytes:
    """A picture of frequency responses, encoded as `format` (``png``, ``svg`` or ``pdf``): equal calls, equal bytes.

    `magnitude` ``(filters, points)`` in dB over `frequency` ``(points,)``, equally spaced, in Hz, or in cycles a
    sample where `sample_rate` is None. Up to 8 filters are curves, named by `labels`; more are the rows of an image,
    in their order, with one colour scale: 1024 rows at most, and the picture says how many were left out. Of more
    than 1000 points, a column of the image shows the greatest magnitude that it covers.

    The dB axis is one for all filters, and ends at most 120 dB below their greatest magnitude; what is lower, -inf
    too, leaves the picture as a curve, and has the colour of the lower end in the image. NaN is a gap in a curve, and
    orange in the image. Silent filters and those with NaN are counted.

    Raises:
        UsageError: another format, or matplotlib is missing.
        ValueError: not as many labels as filters or frequencies as points, or fewer than one and two.

    >>> frequency, magnitude = np.array([0, 4000, 8000]), np.array([[6.02, 3.01, -np.inf]])
    >>> names = {"labels": ["filter 0"], "name": "mean of two"}
    >>> render_response(frequency, magnitude, **names, sample_rate=16000, format="png")[1:4]
    b'PNG'
    """
    frequency, magnitude = np.asarray(frequency, np.float64), np.asarray(magnitude, np.float64)
    if magnitude.shape != (len(labels), len(frequency)) or len(labels) < 1 or len(frequency) < 2:
        raise ValueError(
            f"the magnitudes' shape is {magnitude.shape}, with {len(labels)} labels and {len(frequency)} frequencies; "
            "it is (filters, points), at least one and two"
        )
    drawn = magnitude[:ROWS]
    few = len(drawn) <= CURVES

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        set_style(axes, "frequency (Hz)" if sample_rate else "frequency (cycles/sample)", "magnitude (dB)")
        names = [shown(label, LABEL_LENGTH) for label in labels[:ROWS]]
        if not np.isfinite(drawn).any():
            add_note(axes, "not finite" if np.isnan(drawn).any() else "silent")
        elif few:
            _draw_curves(axes, frequency, drawn, names)
        else:
            _draw_image(figure, axes, frequency, drawn, names)
        if sample_rate:
            axes.xaxis.set_major_formatter(lambda tick, _: hertz(tick))
        axes.set_xlim(frequency[0], frequency[-1])
        set_title(axes, shown(name), _details(magnitude, drawn))

    height = max(4.5, min(5.5, 0.17 * len(drawn)) + 1.8, len(drawn) / DPI + 1.8)
    return encoded(format, (11, 5 if few else height), draw)


def _limits(magnitude: Curve) -> tuple[float, float]:
    """The ends of the dB axis."""
    finite = magnitude[np.isfinite(magnitude)]
    top, bottom = float(finite.max()), float(finite.min())
    slack = max(0.0, LEAST - (top - bottom)) / 2
    return max(bottom, top - DEPTH) - slack, top + slack


def _details(magnitude: Curve, drawn: Curve) -> str:
    finite = magnitude[np.isfinite(magnitude)]
    silent = int((magnitude == -np.inf).all(-1).sum())
    bad = int(np.isnan(magnitude).any(-1).sum())
    parts = [f"{len(magnitude):,} filter{'s' * (len(magnitude) != 1)}"]
    parts += [f"greatest magnitude {number(round(finite.max(), 2), 6)} dB"] if finite.size else []
    parts += [f"{silent:,} silent"] if silent else []
    parts += [f"{bad:,} not finite"] if bad else []
    parts += [f"shown: the first {len(drawn):,} of {len(magnitude):,}"] if len(drawn) < len(magnitude) else []
    return "   ".join(parts)


def _draw_curves(axes: Axes, frequency: Curve, magnitude: Curve, names: list[str]) -> None:
    bottom, top = _limits(magnitude)
    margin = 0.05 * (top - bottom)
    for i, (levels, name) in enumerate(zip(magnitude, names, strict=True)):
        state = " (silent)" if (levels == -np.inf).all() else " (not finite)" if np.isnan(levels).all() else ""
        look: Any = {"color": COLOURS[i % len(COLOURS)], "linestyle": ("-", "--")[i // len(COLOURS)]}
        below = np.maximum(levels, bottom - 2 * margin)  # out of the picture, but no end of the line
        axes.plot(frequency, below, linewidth=1.3, alpha=0.9, label=name + state, **look)
    axes.set_ylim(bottom - margin, top + margin)
    axes.legend(loc="upper left", bbox_to_anchor=(1.005, 1.02), frameon=False, fontsize=9)


def _draw_image(figure: Figure, axes: Axes, frequency: Curve, magnitude: Curve, names: list[str]) -> None:
    from matplotlib import colormaps
    from matplotlib.ticker import MaxNLocator

    count, points = magnitude.shape
    bottom, top = _limits(magnitude)
    if points > COLUMNS:
        magnitude = np.maximum.reduceat(magnitude, np.arange(COLUMNS) * points // COLUMNS, axis=-1)
    half = (frequency[-1] - frequency[0]) / (2 * (points - 1))
    extent = (frequency[0] - half, frequency[-1] + half, count - 0.5, -0.5)
    colours = colormaps["cividis"].with_extremes(bad=NOT_FINITE)
    look: Any = {"cmap": colours, "vmin": bottom, "vmax": top, "interpolation": "nearest", "aspect": "auto"}
    picture = axes.imshow(np.maximum(magnitude, bottom), extent=extent, **look)
    axes.grid(visible=False)
    axes.set_ylabel("")
    if count <= NAMED:
        axes.set_yticks(range(count), names)
    else:
        axes.yaxis.set_major_locator(MaxNLocator(12, integer=True))
        axes.yaxis.set_major_formatter(lambda row, _: names[int(row)] if 0 <= row < count else "")
    bar = figure.colorbar(picture, cax=axes.inset_axes((1.02, 0, 0.025, 1)))
    bar.set_label("magnitude (dB)" + "; orange: not finite" * bool(np.isnan(magnitude).any()), fontsize=9)
    bar.ax.tick_params(length=3, labelsize=9)
