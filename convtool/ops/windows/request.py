"""What can be asked of windows: statistics and where the windows lie. It works without torch."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from convtool.ops.checks import check_choice, check_size

if TYPE_CHECKING:
    import torch

STATS = ("var", "std", "mean", "rms", "sum", "min", "max", "range", "median", "skew", "kurt", "count")
Mode = Literal["valid", "same"]
Align = Literal["center", "left", "right"]
PaddingMode = Literal["reflect", "zeros", "replicate", "circular", "none"]
Nan = Literal["propagate", "skip"]

_PERCENTILE = re.compile(r"p(?:100(?:\.0+)?|[1-9]?[0-9](?:\.[0-9]{1,6})?)")


@dataclass(frozen=True)
class Request:
    """What is asked of every window: see `local_stats`.

    Raises:
        ValueError, TypeError: it can't be asked.
    """

    windows: tuple[int, ...]
    strides: tuple[int, ...]
    stats: tuple[str, ...]
    ddof: int
    mode: Mode
    align: Align
    padding_mode: PaddingMode
    nan: Nan
    min_count: int | None

    def __post_init__(self) -> None:
        for name, sizes in (("window", self.windows), ("stride", self.strides)):
            for size in sizes:
                check_size(name, size, 1)
        for name, value, known in (
            ("mode", self.mode, Mode),
            ("align", self.align, Align),
            ("padding_mode", self.padding_mode, PaddingMode),
            ("nan", self.nan, Nan),
        ):
            check_choice(name, value, get_args(known))
        if isinstance(self.stats, str) or not self.stats:
            raise ValueError(f'stats is {self.stats!r}; give one or more names, such as ("var",)')
        for stat in self.stats:
            if percent_of(stat) is None:
                check_choice("stat", stat, (*STATS, "p0 to p100"))
        if not 0 <= self.ddof < self.samples:
            raise ValueError(
                f"ddof is {self.ddof}; it must be at least 0 and below the {self.samples} samples of a window; "
                f"use a smaller ddof or a longer window"
            )
        if self.align != "center" and self.mode != "same":
            raise ValueError(f'align is "{self.align}", but mode is "{self.mode}"; it needs mode="same"')
        if self.min_count is not None:
            if not (self.skip or self.shrinks):
                raise ValueError(
                    f'min_count is {self.min_count}, but nan is "{self.nan}", and no window shrinks; '
                    f'it needs nan="skip", or mode="same" and padding_mode="none"'
                )
            if not 1 <= self.min_count <= self.samples:
                raise ValueError(
                    f"min_count is {self.min_count}; it must be from 1 to the {self.samples} samples of a window"
                )

    @property
    def samples(self) -> int:
        """Samples in a window."""
        return math.prod(self.windows)

    def result(self, dtype: torch.dtype) -> torch.dtype:
        """What the statistics of numbers of `dtype` are given in: integers where all of them are.

        Raises:
            ValueError: it can't count that far.
        """
        import torch

        if not dtype.is_floating_point:
            whole = {"count"}
            if self.fewest == 1 or not self.shrinks:
                whole |= {"min", "max", "range", *["median"] * (self.samples % 2 and not self.shrinks)}
            return torch.int64 if whole.issuperset(self.stats) else torch.float64
        most = round(2 / torch.finfo(dtype).eps)
        if "count" in self.stats and self.samples > most:
            name = str(dtype).removeprefix("torch.")
            raise ValueError(f"windows of {self.samples} samples: {name} counts to {most}; work in float64")
        return dtype

    @property
    def skip(self) -> bool:
        """Whether NaN is left out rather than spoiling its windows."""
        return self.nan == "skip"

    @property
    def shrinks(self) -> bool:
        """Whether windows at the edges hold fewer samples."""
        return self.mode == "same" and self.padding_mode == "none"

    @property
    def fewest(self) -> int:
        """Samples that are not NaN which a window must have."""
        return 1 if self.min_count is None else self.min_count


def percent_of(stat: str) -> float | None:
    """The percentage of a percentile; None for other names.

    >>> percent_of("p99.9"), percent_of("p101"), percent_of("mean")
    (99.9, None, None)
    """
    return float(stat[1:]) if _PERCENTILE.fullmatch(stat) else None
