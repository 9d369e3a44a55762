"""What a scaling goes by, found in one input or in many, in as many passes over them as that takes."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, cast

from convtool.errors import ConvtoolError, InputError
from convtool.files.names import show
from convtool.files.streams import silence_stderr
from convtool.jobs import progress
from convtool.jobs.backend import load_torch
from convtool.jobs.copies import Copies
from convtool.jobs.rescale.params import SPREADS, Channel, Params, RangedMethod, SpreadMethod
from convtool.jobs.rescale.params import Spread as SpreadOfChannel
from convtool.jobs.signal_job import plain_errors
from convtool.jobs.stream import Ingest, working_dtype
from convtool.signals.inputs import Input
from convtool.signals.opening import ReadOptions, open_reader
from convtool.signals.signal import BLOCK_SAMPLES

if TYPE_CHECKING:
    from convtool.ops import Scaling, Standardization

Names = tuple[str | None, ...]


@dataclass(frozen=True)
class Seen:
    """What inputs that were fitted say of themselves."""

    names: Names
    """Of the channels that are kept apart."""
    dtype: str
    inputs: int = 1
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fitting:
    """How a scaling is fitted: to all channels together or to each, of inputs that are read in this way."""

    per_channel: bool = False
    nan: str = "skip"
    dtype: str | None = None
    read: ReadOptions = field(default_factory=ReadOptions)

    def scaling(self, params: Params, *, clip: bool = False) -> Scaling | Standardization:
        """What `params` describes, ready to work."""
        from convtool.ops import Scaling, Spread, Standardization

        nan: Literal["propagate", "skip"] = "propagate" if self.nan == "propagate" else "skip"
        if params.ranged:
            return Scaling(
                params.low,
                params.high,
                method=cast("RangedMethod", params.method),
                per_channel=self.per_channel,
                nan=nan,
                clip=clip,
                ranges=params.ranges,
            )
        return Standardization(
            cast("SpreadMethod", params.method),
            per_channel=self.per_channel,
            nan=nan,
            spreads=[Spread(*spread) for spread in params.spreads],
        )

    def fit(self, scaling: Scaling | Standardization, params: Params, item: Input) -> Params:
        """Fit `scaling`, which `params` describes, to `item`, which can be read several times: what it knows then."""
        seen = self.read_once(scaling, item)
        while scaling.again():
            self.read_once(scaling, item)
        return found(scaling, params, seen)

    def read_once(self, scaling: Scaling | Standardization, item: Input, *, index: int | None = None) -> Seen:
        """Pass all of `item` through `scaling`; `index` is that of an input that is read for this alone."""
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
            rows = reader.signal.channels if self.per_channel else 1
            return Seen(
                tuple(names or (None,) * rows), working_dtype(self.dtype, reader.signal), notes=tuple(reader.notes)
            )


def found(scaling: Scaling | Standardization, params: Params, seen: Seen) -> Params:
    """`params` with what `scaling` has found in inputs that were `seen`."""
    from convtool.ops import Scaling

    channels: list[Channel | SpreadOfChannel]
    if isinstance(scaling, Scaling):
        channels = [Channel(*ends, name) for ends, name in zip(scaling.ranges, seen.names, strict=True)]
    else:
        channels = [SpreadOfChannel(*spread, name) for spread, name in zip(scaling.spreads, seen.names, strict=True)]
    return replace(params, channels=tuple(channels), dtype=seen.dtype, sources=seen.inputs)


def fit_all(
    fitting: Fitting, params: Params, sources: Sequence[Input], *, done: Callable[[], None] = lambda: None
) -> tuple[Params, list[str]]:
    """`params` with what is found in all `sources`, and what their readers noted.

    `done` is called after the first pass over each source.

    Raises:
        InputError: a source can't be read, or does not fit those before it; there is nothing to keep.
    """
    load_torch()
    strict = replace(fitting, nan="error" if fitting.nan == "propagate" else fitting.nan)
    scaling = strict.scaling(params)
    all_seen: Seen | None = None
    places = list(sources)
    with Copies() as copies:
        more = True
        while more:
            for index, item in enumerate(sources):
                try:
                    if params.method == "robust":  # in several passes
                        places[index] = copies.of(places[index])
                    with _quiet_libraries():
                        seen = strict.read_once(scaling, places[index], index=index)
                    if all_seen is None or all_seen.inputs < len(sources):
                        notes = tuple(f"{item.name}: {note}" for note in seen.notes)
                        all_seen = _together(all_seen, replace(seen, notes=notes))
                        done()
                except ConvtoolError as error:
                    raise InputError(f"{item.name}: {error}") from error
            more = scaling.again()
    assert all_seen is not None
    params = found(scaling, params, all_seen)
    check_finite(params)
    return params, list(all_seen.notes)


def _together(known: Seen | None, new: Seen) -> Seen:
    """What inputs say together: each column's first name, and the widest dtype."""
    if known is None:
        return new
    check_order(known.names, new.names)
    return Seen(
        tuple(old or name for old, name in zip(known.names, new.names, strict=True)),
        "float64" if "float64" in (known.dtype, new.dtype) else "float32",
        known.inputs + 1,
        known.notes + new.notes,
    )


def check_finite(params: Params) -> None:
    """InputError where a channel held no finite number, or with --nan propagate others."""
    for number, channel in enumerate(params.channels, 1):
        ends = (channel.minimum, channel.maximum) if isinstance(channel, Channel) else (channel.location, channel.scale)
        if not all(map(math.isfinite, ends)):
            where = f"channel {number} has" if len(params.channels) > 1 else "there is"
            what = " or ".join(SPREADS.get(params.method, ("range",)))
            spoilt = isinstance(channel, Channel) and not channel.minimum > channel.maximum
            held = "a number is NaN or infinite" if spoilt else "no number is finite"
            raise InputError(f"{where} no {what} to keep: {held}; see --nan")


def check_order(known: Names, names: Names) -> None:
    """InputError where a column bears the name of another one that was fitted, and would be scaled as that."""
    for place, (old, new) in enumerate(zip(known, names, strict=True), 1):
        if new is not None and new != old and new in known:
            raise InputError(
                f"column {place} is '{show(new)}', and what was fitted to that is column {known.index(new) + 1}'s; "
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
