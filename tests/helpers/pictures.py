"""What the tests of pictures share: signals to draw, and what was drawn."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text

from convtool.plots.figure import Curve, Samples


def noise(channels: int, samples: int) -> Samples:
    return np.random.default_rng(0).uniform(-1, 1, (channels, samples))


def titles(axes: Axes) -> list[Text]:
    return [*axes.texts, *(child for child in axes.get_children() if isinstance(child, Text) and child.get_text())]


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in dict.fromkeys(titles(axes))]


def curve(axes: Axes) -> tuple[Curve, Curve]:
    x, y = axes.lines[0].get_data()
    return np.asarray(x, np.float64), np.asarray(y, np.float64)


def overlapping(figure: Figure) -> list[tuple[str, str]]:
    """Pairs of texts that lie on each other, and each text that leaves the page, with the page."""
    unseen = {id(label) for axis in figure.findobj(Axis) for label in _beyond(axis)}
    found = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text() and id(text) not in unseen]
    names = [text.get_text() for text in found]
    boxes = np.array([text.get_window_extent().extents for text in found])
    left, bottom, right, top = boxes.T
    across = (left[:, None] < right) & (left < right[:, None])
    lying = np.triu(across & (bottom[:, None] < top) & (bottom < top[:, None]), 1)
    pairs = [(names[i], names[j]) for i, j in np.argwhere(lying)]
    page = figure.bbox.padded(1).extents
    outside = ((boxes[:, :2] < page[:2]) | (boxes[:, 2:] > page[2:])).any(-1)
    return pairs + [(names[i], "the page") for i in np.flatnonzero(outside)]


def _beyond(axis: Axis) -> list[Text]:
    """The labels of ticks that are not drawn: they lie outside of the axis, or the axis is off."""
    low, high = sorted(axis.get_view_interval())
    ticks = zip(axis.get_major_ticks(), axis.get_majorticklocs(), strict=True)
    on = axis.axes.axison
    hidden = [tick for tick, place in ticks if not (on and low <= place <= high)]
    return [label for tick in hidden for label in (tick.label1, tick.label2)]
