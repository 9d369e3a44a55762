"""A layer's filters as a picture shows them: tiles of numbers on one scale, with what had to be left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from convtool.errors import InputError
from convtool.plots.figure import Curve, Samples, shown, value_range
from convtool.plots.waveform import peak_of

FILTERS = 256  # in one picture, at most
TILES = 1024
CELLS = 1 << 20
SIDE = 512  # numbers along each side of a tile, at most
SIDE_BY_SIDE = 32  # tiles of one filter, at most
LABEL_LENGTH = 20
AXES = {3: ("in", "taps"), 4: ("in", "height", "width"), 5: ("in", "depth", "height", "width")}


# Yellow and bluish green of Okabe and Ito, which no value has.
NAN, INFINITE = (0xF0, 0xE4, 0x42), (0x00, 0x9E, 0x73)


@dataclass(frozen=True)
class Bank:
    """Filters of one layer, cut to what a picture holds.

    Attributes:
        tiles: ``(filters, tiles, rows, columns)`` over the peak, so from -1 to 1; NaN and infinities as they are.
        peak: the greatest finite magnitude of the whole layer, 0 without any.
        labels: a name for each filter.
        numbered: what the tiles of a filter are: ``in``, ``depth``, or nothing where a filter is one tile.
        curves: whether a tile is the taps of a single input.
        details: the layer's shape and range, what is not finite, and what is not shown.
    """

    tiles: Curve
    peak: float
    labels: list[str]
    numbered: str
    curves: bool
    details: str

    @property
    def not_finite(self) -> dict[str, tuple[int, int, int]]:
        """The colours that are in the picture beside those of values."""
        found = {"NaN": np.isnan(self.tiles).any(), "infinite": np.isinf(self.tiles).any()}
        return {word: colour for word, colour in (("NaN", NAN), ("infinite", INFINITE)) if found[word]}


def bank_of(filters: Samples, labels: Sequence[str] | None) -> Bank:
    """The bank of ``(out, in, K)``, ``(out, in, H, W)`` or ``(out, in, D, H, W)``.

    Of 1-D filters a tile is inputs by taps; of 3-D filters each pair of output and input is a filter of D tiles.
    """
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
    details = [_shape(filters), *value_range(filters), *_left_out(kept.shape, tiles.shape, numbered)]
    return Bank(kept.astype(np.float64) / (peak or 1.0), peak, drawn, numbered, curves, "   ".join(details))


def _fitting(tiles: Samples) -> Samples:
    """The first of `tiles` ``(filters, tiles, rows, columns)`` along each axis, as far as a picture has room."""
    _, number, rows, columns = tiles.shape
    rows, columns = min(rows, SIDE), min(columns, SIDE)
    number = min(number, SIDE_BY_SIDE, 2 * SIDE // columns)
    filters = min(FILTERS, TILES // number, max(1, CELLS // (number * rows * columns)))
    return tiles[:filters, :number, :rows, :columns]


def _left_out(kept: tuple[int, ...], whole: tuple[int, ...], numbered: str) -> list[str]:
    """What `kept` lacks of `whole`, both ``(filters, tiles, rows, columns)``, in words."""
    words = zip(kept, whole, ("filters", numbered, "rows", "columns"), strict=True)
    cut = [f"{some:,} of {every:,} {word}" for some, every, word in words if some < every]
    return [f"shown: the first {', '.join(cut)}"] if cut else []


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
