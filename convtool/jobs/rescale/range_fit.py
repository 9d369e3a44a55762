"""The range of the numbers in one input or in many, found in one pass over each."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from convtool.errors import ConvtoolError, InputError
from convtool.files.names import show
from convtool.files.streams import silence_stderr
from convtool.jobs import progress
from convtool.jobs.backend import load_torch
from convtool.jobs.rescale.params import Channel, Params
from convtool.jobs.signal_job import plain_errors
from convtool.jobs.stream import Ingest, working_dtype
from convtool.signals.inputs import Input
from convtool.signals.opening import ReadOptions, open_reader
from convtool.signals.signal import BLOCK_SAMPLES

if TYPE_CHECKING:
    from convtool.ops import Scaling

Names = tuple[str | None, ...]


@dataclass(frozen=True)
class Fitting:
    """How ranges are found: one over all channels or one of each, in inputs that are read in this way."""

    per_channel: bool = False
    nan: str = "skip"
    dtype: str | None = None
    read: ReadOptions = field(default_factory=ReadOptions)

    def scaling(self, params: Params) -> Scaling:
        """What `params` describes, ready to work."""
        from convtool.ops import Scaling

        return Scaling(
            params.low,
            params.high,
            method=params.method,
            per_channel=self.per_channel,
            nan="propagate" if self.nan == "propagate" else "skip",
            ranges=[(channel.minimum, channel.maximum) for channel in params.channels],
        )

    def fit(self, scaling: Scaling, item: Input, *, index: int | None = None) -> tuple[Params, list[str]]:
        """Fit `scaling` to `item`: what it knows then, and what the reader noted.

        `index` is that of an input that is read for this alone.
        """
        with open_reader(item, self.read.without_kept()) as reader:
            ingest = Ingest(reader.signal, self.dtype or reader.signal.dtype, "cpu", kept_nan(self.nan))
            if index is not None:
                progress.begin(index, reader.signal.frames)
            with plain_errors():
                for block in progress.passing(reader.blocks(BLOCK_SAMPLES)):
                    scaling.fit(ingest.tensor(block))
            if not ingest.samples:
                raise InputError("there are 0 samples in it")
            names = reader.signal.names if self.per_channel else None
            named = zip(scaling.ranges, names or (None,) * len(scaling.ranges), strict=True)
            channels = tuple(Channel(*ends, name) for ends, name in named)
            dtype = working_dtype(self.dtype, reader.signal)
            return Params(scaling.method, scaling.low, scaling.high, channels, dtype, 1), reader.notes


def fit_all(
    fitting: Fitting, params: Params, sources: Sequence[Input], *, done: Callable[[], None] = lambda: None
) -> tuple[Params, list[str]]:
    """`params` with the range of the numbers in all `sources`, and what their readers noted.

    `done` is called after each source.

    Raises:
        InputError: a source can't be read, or does not fit those before it; there is no range to keep.
    """
    load_torch()
    strict = replace(fitting, nan="error" if fitting.nan == "propagate" else fitting.nan)
    scaling, notes = strict.scaling(params), []
    for index, item in enumerate(sources):
        try:
            with _quiet_libraries():
                found, noted = strict.fit(scaling, item, index=index)
            params = _joined(params, found) if params.channels else found
        except ConvtoolError as error:
            raise InputError(f"{item.name}: {error}") from error
        notes += [f"{item.name}: {note}" for note in noted]
        done()
    check_finite(params)
    return params, notes


def _joined(so_far: Params, found: Params) -> Params:
    """What was `found` last, which covers all sources, with the names and the dtype of those before it."""
    check_order(so_far, tuple(channel.name for channel in found.channels))
    pairs = zip(so_far.channels, found.channels, strict=True)
    return replace(
        found,
        channels=tuple(replace(new, name=old.name or new.name) for old, new in pairs),
        dtype="float64" if "float64" in (so_far.dtype, found.dtype) else "float32",
        sources=so_far.sources + 1,
    )


def check_finite(params: Params) -> None:
    """InputError where a channel held no finite number, or with --nan propagate others."""
    for number, channel in enumerate(params.channels, 1):
        if not (math.isfinite(channel.minimum) and math.isfinite(channel.maximum)):
            where = f"channel {number} has" if len(params.channels) > 1 else "there is"
            held = "no number is finite" if channel.minimum > channel.maximum else "a number is NaN or infinite"
            raise InputError(f"{where} no range to keep: {held}; see --nan")


def check_order(params: Params, names: Names) -> None:
    """InputError where a column bears the name of another one that was fitted, and would be scaled as that."""
    known = [channel.name for channel in params.channels]
    for place, (old, new) in enumerate(zip(known, names, strict=True), 1):
        if new is not None and new != old and new in known:
            raise InputError(
                f"column {place} is '{show(new)}', and the range of that is the one of column {known.index(new) + 1}; "
                "--columns picks columns, in the order given"
            )


@contextmanager
def _quiet_libraries() -> Iterator[None]:
    """Keep the remarks of C libraries off the terminal for a while."""
    kept = silence_stderr()
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def kept_nan(nan: str) -> str:
    """What becomes of NaN on the way in: what is skipped stays, and is left out of the range."""
    return "propagate" if nan == "skip" else nan
