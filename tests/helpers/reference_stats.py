"""Statistics of sliding windows, one window at a time: slow and obviously right."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def exact_var(samples: Sequence[float], ddof: int = 0) -> Fraction:
    """The variance in rational arithmetic."""
    numbers = [Fraction(sample) for sample in samples]
    mean = sum(numbers) / len(numbers)
    return sum((number - mean) ** 2 for number in numbers) / (len(numbers) - ddof)


def exact_shape(samples: Sequence[float], stat: str) -> float:
    """The unbiased skewness G1 or excess kurtosis G2 in rational arithmetic; 0 and -3 of equal samples."""
    x, n = [Fraction(sample) for sample in samples], len(samples)
    if n < (3 if stat == "skew" else 4):
        return math.nan
    mean = sum(x) / n
    second, third, fourth = (sum((each - mean) ** power for each in x) for power in (2, 3, 4))
    if not second:
        return 0 if stat == "skew" else -3
    if stat == "skew":
        size = math.sqrt(third**2 * n * n * (n - 1) / (second**3 * (n - 2) ** 2))
        return size if third > 0 else -size
    return float(Fraction(n - 1, (n - 2) * (n - 3)) * ((n + 1) * n * fourth / second**2 - 3 * (n - 1)))


def of_window(samples: Sequence[float], stat: str, *, ddof: int = 0, skip: bool = False, fewest: int = 1) -> float:
    """One statistic of the samples of one window; infinities as NumPy treats them."""
    real = [sample for sample in samples if not math.isnan(sample)]
    if stat == "count":
        return len(real)
    if len(real) < (fewest if skip else len(samples)):
        return math.nan
    n = len(real)
    if stat[0] == "p":
        place = (n - 1) * Fraction(stat[1:]) / 100
        low, share = int(place), float(place % 1)
        ordered = sorted(real)
        if not share:
            return ordered[low]
        return ordered[low] * (1 - share) + ordered[low + 1] * share
    if stat == "range":
        return max(real) - min(real)
    if stat == "sum":
        return float(sum(map(Fraction, real))) if all(map(math.isfinite, real)) else sum(real)
    if stat == "min":
        return min(real)
    if stat == "max":
        return max(real)
    if stat == "median":
        ordered = sorted(real)
        return (ordered[(n - 1) // 2] + ordered[n // 2]) / 2
    if stat == "mean":
        return sum(real) / n
    if stat == "rms":
        return math.sqrt(sum(sample * sample for sample in real) / n)
    if n <= ddof or not all(math.isfinite(sample) for sample in real):
        return math.nan
    if stat in ("skew", "kurt"):
        return exact_shape(real, stat)
    variance = float(exact_var(real, ddof))
    return math.sqrt(variance) if stat == "std" else variance


def padded(signal: Sequence[float], left: int, right: int, mode: str) -> list[float]:
    """What `torch.nn.functional.pad` does, index by index."""
    length = len(signal)
    made = []
    for n in range(-left, length + right):
        if 0 <= n < length:
            made.append(signal[n])
        elif mode == "zeros":
            made.append(0.0)
        elif mode == "replicate":
            made.append(signal[0 if n < 0 else length - 1])
        elif mode == "circular":
            made.append(signal[n % length])
        else:
            made.append(signal[-n if n < 0 else 2 * (length - 1) - n])
    return made


def reach(window: int, align: str = "center") -> tuple[int, int]:
    """How far the window of sample n reaches back and ahead."""
    return {"center": (window // 2, (window - 1) // 2), "left": (0, window - 1), "right": (window - 1, 0)}[align]


def shrunk(signal: Sequence[float], window: int, align: str = "center", stride: int = 1) -> list[Sequence[float]]:
    """The window of every sample, without what lies beyond the ends."""
    back, ahead = reach(window, align)
    return [signal[max(0, n - back) : n + ahead + 1] for n in range(0, len(signal), stride)]


def shrunk_grid(
    grid: Sequence[Sequence[float]], window: tuple[int, int], align: str = "center", stride: tuple[int, int] = (1, 1)
) -> list[list[list[float]]]:
    """The samples of the window of every cell, without what lies beyond the edges."""
    return [
        [
            [x for row in rows for x in row]
            for rows in zip(*(shrunk(row, window[1], align, stride[1]) for row in band), strict=True)
        ]
        for band in shrunk(grid, window[0], align, stride[0])  # type: ignore[arg-type, misc]
    ]


def windows(signal: Sequence[float], window: int, stride: int = 1) -> list[Sequence[float]]:
    """The windows of a signal, in order."""
    return [signal[start : start + window] for start in range(0, len(signal) - window + 1, stride)]


def grid_windows(
    grid: Sequence[Sequence[float]], window: tuple[int, int], stride: tuple[int, int] = (1, 1)
) -> list[list[list[float]]]:
    """The samples of the windows of a grid, by row and column of their first."""
    rows, columns = range(0, len(grid) - window[0] + 1, stride[0]), range(0, len(grid[0]) - window[1] + 1, stride[1])
    return [
        [[x for row in grid[top : top + window[0]] for x in row[left : left + window[1]]] for left in columns]
        for top in rows
    ]
