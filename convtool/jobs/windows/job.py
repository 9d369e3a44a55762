"""`convtool local-var`: the work on one input."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from convtool.errors import InputError
from convtool.files.formats import PICTURES
from convtool.jobs.copies import flows
from convtool.jobs.signal_job import SignalJob, Work
from convtool.signals.inputs import Input
from convtool.signals.length import Length
from convtool.signals.signal import Block, Signal, at_stride

if TYPE_CHECKING:
    from torch import Tensor

    from convtool.jobs.stream import Ingest
    from convtool.ops.blocks import Blockwise
    from convtool.plots import Trace

Sizes = tuple[int, ...]

_COUNTED = 1 << 24
"""The largest whole number up to which float32 holds all."""

_VAST = 1 << 24
"""A window of more samples than this, and twice the input, is a slip: its padding would fill the memory."""


@dataclass(frozen=True)
class LocalVarJob(SignalJob):
    """Statistics of every window of one input; two window lengths, rows and columns, slide over a grid."""

    window: tuple[Length, ...]
    stride: tuple[Length, ...]
    stats: tuple[str, ...] = ("var",)
    ddof: int = 0
    mode: Literal["valid", "same"] = "valid"
    align: Literal["center", "left", "right"] = "center"
    padding_mode: Literal["zeros", "reflect", "replicate", "circular", "none"] = "reflect"
    min_count: int | None = None

    def __post_init__(self) -> None:
        if self._grid and self.read.layout != "HWC":  # rows are read as time
            object.__setattr__(self, "read", replace(self.read, layout="NTC"))
        object.__setattr__(self, "read", self.read.for_lengths(*self.window, *self.stride))

    @property
    def _grid(self) -> bool:
        return len(self.window) == 2

    @property
    def reads_twice(self) -> bool:
        """Circular padding begins with the signal's end."""
        return self.mode == "same" and self.padding_mode == "circular"

    def prepare(self, item: Input, signal: Signal) -> Work:
        """The statistics of `signal`, its windows in samples."""
        window, stride = self._sizes(signal)
        self._refuse_vast(window, signal)
        working = self._working_dtype(signal, window)
        ingest = self.ingest(signal, working)
        if self._grid:
            from convtool.jobs.windows.grid import GridIngest

            ingest = GridIngest(signal, working, ingest.device)
            result = self._grid_result(signal, window, stride)
        else:
            result = self._signal_result(signal)
        ingest.nan = "propagate" if self.nan == "skip" else self.nan
        operation = self._operation(window, stride, ingest, item)
        picture = partial(self._grid_picture if self._grid else self._picture, signal, item.name, window, stride)
        told = f"windows of {_by(window)} samples, every {_by(stride)}"
        given = self._result_dtype(working, window)
        every = 1 if self._grid else stride[0]
        moves = max(stride) > 1 or (self.mode == "valid" and max(window) > 1)
        doubts = (_colours_last(signal).removeprefix("; "),) if self._grid and _colours_last(signal) else ()
        return Work(operation, ingest, replace(result, dtype=given), lambda: told, picture, every, moves, doubts)

    def _sizes(self, signal: Signal) -> tuple[Sizes, Sizes]:
        """Window and stride in samples."""
        window, stride = (tuple(each.samples(signal.sample_rate) for each in all) for all in (self.window, self.stride))
        return window, stride

    def describe(self, signal: Signal) -> Signal:
        """The result's channels and rate; refuses windows that do not fit."""
        window, stride = self._sizes(signal)
        self._refuse_vast(window, signal)
        if self.mode == "valid" and signal.frames is not None and signal.frames < window[0]:
            raise InputError(
                f"a window of {window[0]} is longer than the input, which has {signal.frames}; use a window of at most "
                f"{signal.frames}, or --mode same"
            )
        return (
            self._grid_result(signal, window, stride)
            if self._grid
            else at_stride(self._signal_result(signal), stride[0])
        )

    def keeps_length(self, signal: Signal) -> bool:
        """Whether the result has a sample, or a row of a grid, for each of `signal`, however many these are."""
        window, stride = self._sizes(signal)
        return stride[0] == 1 and (self.mode == "same" or window[0] == 1)

    def _working_dtype(self, signal: Signal, window: Sizes) -> str:
        """Integers are worked as such, and float32 is not where it can't count the samples of a window."""
        if self.dtype is None and "count" in self.stats and prod(window) > _COUNTED and signal.dtype == "float32":
            return "float64"
        return self.dtype or signal.dtype

    def _result_dtype(self, working: str, window: Sizes) -> str:
        import torch

        from convtool.ops.windows.request import Request

        request = Request(windows=window, strides=(1,) * len(window), stats=self.stats, **self._asked())
        return str(request.result(getattr(torch, working))).removeprefix("torch.")

    def _operation(self, window: Sizes, stride: Sizes, ingest: Ingest, item: Input) -> Blockwise:
        from convtool.jobs.windows.grid import StatRows
        from convtool.ops import GridStats, LocalStats

        before: Tensor | None = None
        if self.reads_twice:
            # Whether a NaN is an error is for the pass over the whole signal, which knows where it is.
            tail = replace(ingest, nan="zero" if self.nan == "zero" else "propagate")
            before = tail.tensor(self.last_samples(item, max(1, self._before(window)[0])))
        asked: dict[str, Any] = {**self._asked(), "stats": self.stats, "before": before}
        if self._grid:
            return StatRows(GridStats((window[0], window[1]), stride=(stride[0], stride[1]), **asked))
        return LocalStats(window[0], stride=stride[0], flowing=flows(item, ingest.signal), **asked)

    def _refuse_vast(self, window: Sizes, signal: Signal) -> None:
        """With padding any window would do; without, the operation compares it with what has come in the end."""
        there = [(signal.frames, "rows"), (signal.channels, "columns")] if self._grid else [(signal.frames, "samples")]
        for size, (count, what) in zip(window, there, strict=True):
            if self.mode == "same" and count is not None and size > max(2 * count, _VAST):
                raise InputError(
                    f"a window of {size} {what} is more than twice as long as the input, which has {count}; "
                    f"use a window of at most {2 * count}"
                )

    def _before(self, window: Sizes) -> Sizes:
        """How far the first window reaches back before the input, along each axis."""
        from convtool.ops.windows.sliding import Padding

        around = (Padding.around(size, self.padding_mode, self.align) for size in window)
        return tuple(padding.left if self.mode == "same" else 0 for padding in around)

    def _asked(self) -> dict[str, Any]:
        """What the options ask of every window."""
        names = ("ddof", "mode", "align", "padding_mode", "min_count")
        return {"nan": "skip" if self.nan == "skip" else "propagate", **{name: getattr(self, name) for name in names}}

    def _signal_result(self, signal: Signal) -> Signal:
        """What the result will be: a channel for each statistic of each channel."""
        stats = len(self.stats)
        return replace(
            signal,
            channels=signal.channels * stats,
            full_scale=None,
            frames=None,
            flat=signal.flat and stats == 1,
            names=self._names(signal, signal.names) if stats > 1 or signal.names else None,
        )

    def _names(self, signal: Signal, names: tuple[str, ...] | None) -> tuple[str, ...]:
        channels = signal.channels * (signal.batch or 1)
        if names is None and channels == 1:
            return self.stats
        return tuple(f"{name}.{stat}" for name in names or range(1, channels + 1) for stat in self.stats)

    def _grid_result(self, signal: Signal, window: Sizes, stride: Sizes) -> Signal:
        """What the result will be: a grid for each statistic of each grid; refuses what is no grid."""
        width, asked = signal.channels, _by(window)
        if signal.format not in ("CSV", "NPY", *PICTURES.values()):
            raise InputError(
                f"{signal.format} audio is a signal in time, and windows of {asked} need a grid, from CSV, NPY or a "
                "picture; give one length, such as -w 50ms"
            )
        if signal.flat:
            raise InputError(
                f"the input is a single row{f' of {signal.frames} numbers' * bool(signal.frames)}, and windows of "
                f"{asked} need a grid of rows and columns; give one length, such as -w {window[1]}"
            )
        if self.mode == "valid" and window[1] > width:
            raise InputError(
                f"a window of {window[1]} columns is wider than the input, which has {width}; "
                f"use a window of at most {width}, or --mode same{_colours_last(signal)}"
            )
        across = -(-(width if self.mode == "same" else width - window[1] + 1) // stride[1])
        names = signal.names if across == width else None
        stats, grids = len(self.stats), signal.batch or 1
        if stats > 1 or names:
            columns = names or range(1, grids * across + 1)
            rows = [columns[start : start + across] for start in range(0, grids * across, across)]
            names = tuple(f"{column}.{stat}" for row in rows for stat in self.stats for column in row)
        leading, batch = signal.leading, signal.batch
        layout = "HWC" if signal.layout == "HWC" else "NTC"
        if stats > 1:
            leading = () if layout == "HWC" else (*(leading or ((batch,) if batch else ())), stats)
            batch = grids * stats
        return replace(signal, channels=across, batch=batch, leading=leading, frames=None, layout=layout, names=names)

    def _picture(
        self, signal: Signal, name: str, window: Sizes, stride: Sizes, heard: Trace, made: Trace, format: str
    ) -> bytes:
        from convtool.plots import render_local_stats

        found = self._drawn(heard.samples, window[0], stride[0]).swapaxes(0, 1)
        return render_local_stats(
            signal=heard.samples,
            stats=dict(zip(self.stats, found, strict=True)),
            window=window[0],
            stride=stride[0],
            before=self._before(window)[0],
            sample_rate=signal.sample_rate,
            name=name if heard.is_whole else f"the beginning of {name}",
            channels=signal.names,
            format=format,
        )

    def _grid_picture(
        self, signal: Signal, name: str, window: Sizes, stride: Sizes, heard: Trace, made: Trace, format: str
    ) -> bytes:
        """Of several grids, the first."""
        from convtool.plots import render_grid_stats

        grid = np.ascontiguousarray(heard.samples[: signal.channels].T)
        found = self._drawn(grid, window, stride)
        before = self._before(window)
        return render_grid_stats(
            grid=grid,
            stats=dict(zip(self.stats, found, strict=True)),
            window=(window[0], window[1]),
            stride=(stride[0], stride[1]),
            before=(before[0], before[1]),
            name=name,
            format=format,
        )

    def _drawn(self, heard: Block, window: int | Sizes, stride: int | Sizes) -> Block:
        """The statistics that a picture shows; it begins as what was heard does."""
        import torch

        from convtool.ops import local_stats

        if self.nan == "zero":
            heard = np.nan_to_num(heard, nan=0.0, posinf=0.0, neginf=0.0)
        asked: dict[str, Any] = {"window": window, "stride": stride, **self._asked()}
        made: Block = local_stats(torch.from_numpy(heard), stats=self.stats, **asked).numpy()
        return made


def _colours_last(signal: Signal) -> str:
    """What to say of an array that looks like a picture with its colours in the wrong place; else nothing."""
    seems = signal.format == "NPY" and signal.layout == "NTC" and signal.batch and not signal.leading
    if not (seems and signal.channels in (3, 4) and (signal.frames or 0) > 4):
        return ""
    shape = (signal.batch, signal.frames, signal.channels)
    return f"; the last axis of its shape {shape} looks like colours: --layout HWC says that it is"


def _by(sizes: Sizes) -> str:
    return "x".join(map(str, sizes))
