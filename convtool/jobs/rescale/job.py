"""`convtool rescale`: the work on one input."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING

from convtool.errors import InputError
from convtool.files.names import counted
from convtool.jobs.normalising import Normalised
from convtool.jobs.rescale.fitting import Fitting, check_finite, check_order, kept_nan
from convtool.jobs.rescale.params import FITTED, Params
from convtool.jobs.signal_job import SignalJob, Work
from convtool.jobs.stream import Stage, working_dtype
from convtool.runs.outcome import Outcome
from convtool.runs.plan import Task
from convtool.signals.inputs import Input
from convtool.signals.opening import Output
from convtool.signals.signal import Signal

if TYPE_CHECKING:
    from torch import Tensor

    from convtool.jobs.rescale.scaled_blocks import ScaledBlocks
    from convtool.ops import Scaling, Standardization
    from convtool.plots import Trace

_CONSTANT = "it was fitted to a constant, and there are other numbers in it, which would all become 0"
_NO_PLACE = {
    "minmax": "it was fitted to a constant, and there are other numbers in it, which would all become the middle",
    "robust": "half of what was fitted is one number, the interquartile range 0, and all others would become 0",
}
"""Why numbers can't be scaled that are not the only one which was fitted."""


@dataclass(frozen=True, kw_only=True)
class Scaled(Work):
    """The scaling of one input, and what it goes by."""

    operation: ScaledBlocks
    params: Params


@dataclass(frozen=True)
class RescaleJob(SignalJob):
    """Scale the numbers of one input, or bring them back."""

    params: Params
    per_channel: bool = False
    invert: bool = False
    eps: float | None = None
    clip: bool = False
    """Whether minmax puts what lies outside of the range that was fitted onto the ends."""
    params_columns: tuple[str, ...] = ()
    """The fitted columns whose ranges the input's channels have; empty where its own names tell."""
    save: str | None = None
    """Where to keep the range that is found in the input itself."""

    @property
    def reads_twice(self) -> bool:
        """What is to be found in the input itself must be known first."""
        return self.params.method in FITTED and not self.params.channels

    def prepare(self, item: Input, signal: Signal) -> Scaled:
        """The scaling of `signal`, to its own range where no other is known."""
        import torch

        from convtool.jobs.rescale.scaled_blocks import ScaledBlocks

        ingest = self.ingest(signal, self.dtype or signal.dtype)
        ingest.nan = kept_nan(self.nan)
        params, fitting = self._chosen(signal), Fitting(self.per_channel, self.nan, self.dtype, self.read)
        scaling = fitting.scaling(params, clip=self.clip)
        if self.reads_twice:
            params = fitting.fit(scaling, params, item)
            if self.save is not None:
                check_finite(params)
        no_place = None if self._clips and not self.clip else _NO_PLACE.get(params.method, _CONSTANT)
        operation = ScaledBlocks(self._scale(scaling), self._watched(params), no_place=no_place)
        working = working_dtype(self.dtype, signal)
        if ingest.dtype == "int64" and not self.invert:
            working = str(scaling.result(torch.int64)).removeprefix("torch.")
        result = replace(signal, dtype=working, full_scale=None, frames=None)
        method, picture = partial(self._described, params), partial(self._picture, params, signal, item.name)
        return Scaled(operation=operation, ingest=ingest, result=result, method=method, picture=picture, params=params)

    def stage(self, work: Work, output: Output | Normalised, *, recorded: bool) -> Stage:
        """By levels where there are few enough, else block by block."""
        from convtool.jobs.rescale.levels import levels_of

        assert isinstance(work, Scaled)
        levels = None if recorded else levels_of(work.ingest, work.operation, output.encode)
        return levels or super().stage(work, output, recorded=recorded)

    def _picture(self, params: Params, signal: Signal, name: str, heard: Trace, made: Trace, format: str) -> bytes:
        from convtool.plots import render_before_after

        data = [(float(low), float(high)) for low, high in params.ranges] if params.method == "minmax" else []
        ranges = (data, [(params.low, params.high)] if params.ranged else [])
        return render_before_after(
            signal=heard,
            output=made,
            sample_rate=signal.sample_rate,
            names=(name, "output"),
            channels=(signal.names, signal.names),
            ranges=ranges[::-1] if self.invert else ranges,
            format=format,
        )

    def against_clipping(self, over: float) -> list[str]:
        """The range is the person's."""
        return ["a range within -1:1"]

    def describe(self, signal: Signal) -> Signal:
        """The signal as it is; refuses ranges that are not for its channels."""
        self._chosen(signal)
        return super().describe(signal)

    def _scale(self, scaling: Scaling | Standardization) -> Callable[[Tensor], Tensor]:
        """What becomes of a block."""
        from convtool.ops import Scaling

        if not self.invert:
            return scaling.apply
        return partial(scaling.invert, eps=self.eps) if isinstance(scaling, Scaling) else scaling.invert

    def _chosen(self, signal: Signal) -> Params:
        """The parameters with what was fitted to each channel of `signal`, in its order.

        Columns find theirs by name. Without names what was fitted to one channel, or to all together, serves any
        number of them, and what was fitted to several serves as many.
        """
        params, fitted = self.params, len(self.params.channels)
        if self.params_columns:
            if len(self.params_columns) != signal.channels:
                raise InputError(
                    f"--params-columns names {counted(len(self.params_columns), 'column')}, and the input has "
                    f"{signal.channels}; name one for each"
                )
            return params.of_columns(self.params_columns, numbered=True)
        if signal.names and all(channel.name is not None for channel in params.channels) and fitted:
            return params.of_columns(signal.names)
        if fitted <= 1:
            if fitted and self.per_channel and signal.channels > 1:
                raise InputError(
                    f"--per-channel was given, but one was fitted for all, and the input has {signal.channels} channels"
                )
            return params
        if fitted != signal.channels:
            raise InputError(
                f"what was fitted had {fitted} channels, and the input has {signal.channels}; "
                f"expected {fitted}, or a fit without --per-channel, or --params-columns with those meant"
            )
        check_order(tuple(each.name for each in params.channels), tuple(signal.names or (None,) * fitted))
        return params

    @property
    def _clips(self) -> bool:
        """Whether samples outside the range are put onto its ends."""
        method = self.params.method
        return self.clip or method == "clip" or (method in ("sigmoid", "tanh") and self.invert)

    def _watched(self, params: Params) -> Sequence[tuple[float, float]] | None:
        """The ranges outside of which samples are worth telling about."""
        if self._clips and not self.clip:
            return [(params.low, params.high)]
        own = not self.params.channels
        if self.invert or (own and params.method != "robust"):
            return None
        if params.method == "minmax":
            return params.ranges
        if params.method == "maxabs":
            return [(-scale, scale) for _, scale, _ in params.spreads]
        if all(scale != 0 for _, scale, _ in params.spreads):
            return None
        return [(-math.inf, math.inf) if scale else (_exact(place, rest),) * 2 for place, scale, rest in params.spreads]

    def clipping(self, output: Output, work: Work) -> tuple[int, str]:
        """What lay outside the range is clipped too, where that is the method."""
        assert isinstance(work, Scaled)
        count, words = super().clipping(output, work)
        if not (self._clips and work.operation.outside):
            return count, words
        outside = f"{counted(work.operation.outside, 'sample')} clipped to {work.params.range}"
        return work.operation.outside + count, "; ".join(filter(None, (outside, words)))

    def keep(self, work: Work) -> None:
        """Write the range that was found."""
        assert isinstance(work, Scaled)
        if self.save is not None:
            work.params.write(self.save, replace=self.write.overwrite)

    def _outcome(self, task: Task, notes: list[str], output: Output, samples: int, work: Work) -> Outcome:
        assert isinstance(work, Scaled)
        outcome = super()._outcome(task, notes, output, samples, work)
        outside, params = work.operation.outside, work.params
        if not outside:
            return outcome
        count = counted(outside, "sample")
        if self._clips:
            note = f"{count} clipped to {params.range}"
            outcome.clipped += outside
            if params.method == "clip" or self.clip:  # as was asked for
                outcome.remarks = [note, *outcome.remarks]
                return outcome
        else:
            left = params.range if params.ranged else "-1:1"
            note = f"{count} outside what was fitted ({params.data}); results may leave {left}"
        outcome.notes = [note, *outcome.notes]
        return outcome

    def _described(self, params: Params) -> str:
        """What was done, in a few words."""
        done = f"{params.method}{' inverted' * self.invert}, "
        if not params.ranged:
            return done + params.data
        if self.invert:
            return done + (f"{params.range} to {params.data}" if params.channels else f"from {params.range}")
        return done + (f"{params.data} to {params.range}" if params.channels else f"to {params.range}")


def _exact(number: float, rest: float) -> float:
    """Their sum, as an `int` where float64 does not hold it."""
    total = Fraction(number) + Fraction(rest)
    return number if not rest or total.denominator > 1 else int(total)
