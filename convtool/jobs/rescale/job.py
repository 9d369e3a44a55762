"""`convtool rescale`: the work on one input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from convtool.errors import InputError
from convtool.files.names import counted
from convtool.jobs.rescale.params import Params
from convtool.jobs.rescale.range_fit import Fitting, check_finite, check_order, kept_nan
from convtool.jobs.signal_job import SignalJob, Work
from convtool.jobs.stream import working_dtype
from convtool.runs.outcome import Outcome
from convtool.runs.plan import Task
from convtool.signals.inputs import Input
from convtool.signals.opening import Output
from convtool.signals.signal import Signal

if TYPE_CHECKING:
    from convtool.jobs.rescale.scaled_blocks import ScaledBlocks
    from convtool.plots import Trace


@dataclass(frozen=True, kw_only=True)
class Scaled(Work):
    """The scaling of one input, and what it goes by."""

    operation: ScaledBlocks
    params: Params


@dataclass(frozen=True)
class RescaleJob(SignalJob):
    """Bring the numbers of one input into a range, or back."""

    params: Params
    per_channel: bool = False
    invert: bool = False
    eps: float | None = None
    params_columns: tuple[str, ...] = ()
    """The fitted columns whose ranges the input's channels have; empty where its own names tell."""
    save: str | None = None
    """Where to keep the range that is found in the input itself."""

    @property
    def reads_twice(self) -> bool:
        """minmax needs to know the smallest and the largest number first."""
        return self.params.method == "minmax" and not self.params.channels

    def prepare(self, item: Input, signal: Signal) -> Scaled:
        """The scaling of `signal`, to its own range where no other is known."""
        import torch

        from convtool.jobs.rescale.scaled_blocks import ScaledBlocks

        ingest = self.ingest(signal, self.dtype or signal.dtype)
        ingest.nan = kept_nan(self.nan)
        params, fitting = self._chosen(signal), Fitting(self.per_channel, self.nan, self.dtype, self.read)
        scaling, watched = fitting.scaling(params), self._watched(params)
        if self.reads_twice:
            params, _ = fitting.fit(scaling, item)
            if self.save is not None:
                check_finite(params)
        scale = partial(scaling.invert, eps=self.eps) if self.invert else scaling.apply
        operation = ScaledBlocks(scale, watched, constant=not self._clips)
        working = working_dtype(self.dtype, signal)
        if ingest.dtype == "int64" and not self.invert:
            working = str(scaling.result(torch.int64)).removeprefix("torch.")
        result = replace(signal, dtype=working, full_scale=None, frames=None)
        method, picture = partial(self._described, params), partial(self._picture, params, signal, item.name)
        return Scaled(operation=operation, ingest=ingest, result=result, method=method, picture=picture, params=params)

    def _picture(self, params: Params, signal: Signal, name: str, heard: Trace, made: Trace, format: str) -> bytes:
        from convtool.plots import render_before_after

        data = [(float(channel.minimum), float(channel.maximum)) for channel in params.channels]
        ranges = (data, [(params.low, params.high)])
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

    def _chosen(self, signal: Signal) -> Params:
        """The parameters with the range of each channel of `signal`, in its order.

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
                    f"--per-channel was given, but one range was fitted, and the input has {signal.channels} channels"
                )
            return params
        if fitted != signal.channels:
            raise InputError(
                f"the ranges were fitted to {fitted} channels, and the input has {signal.channels}; "
                f"expected {fitted}, or a range fitted without --per-channel, or --params-columns with those meant"
            )
        check_order(params, signal.names or (None,) * fitted)
        return params

    @property
    def _clips(self) -> bool:
        """Whether samples outside the range are put onto its ends."""
        return self.params.method == "clip" or (self.params.method != "minmax" and self.invert)

    def _watched(self, params: Params) -> Sequence[tuple[float, float]] | None:
        """The ranges outside of which samples are worth telling about."""
        if self._clips:
            return [(params.low, params.high)]
        if self.invert or not params.channels:
            return None
        return [(channel.minimum, channel.maximum) for channel in params.channels]

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
        note = f"{count} outside what was fitted ({params.data}); results may leave {params.range}"
        if self._clips:
            note = f"{count} clipped to {params.range}"
            outcome.clipped += outside
            if params.method == "clip":  # as was asked for
                outcome.remarks = [note, *outcome.remarks]
                return outcome
        outcome.notes = [note, *outcome.notes]
        return outcome

    def _described(self, params: Params) -> str:
        """What was done, in a few words."""
        ends = f"{params.data} to {params.range}" if params.channels else f"to {params.range}"
        if self.invert:
            ends = f"{params.range} to {params.data}" if params.channels else f"from {params.range}"
        return f"{params.method}{' inverted' * self.invert}, {ends}"
