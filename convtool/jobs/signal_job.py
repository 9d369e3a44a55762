"""What the jobs of all signal commands do around their operation: read blocks, work them, write the result."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from convtool.errors import CheckFailed, InputError
from convtool.files.atomic import write_file
from convtool.files.formats import PICTURES
from convtool.files.names import counted
from convtool.jobs import progress
from convtool.jobs.backend import choose_device, load_torch
from convtool.jobs.copies import is_read_once, rereadable
from convtool.jobs.normalising import Normalised
from convtool.jobs.record import Record
from convtool.jobs.stream import Ingest, Stage, Stream, computed, read_ahead
from convtool.runs.announcing import announced, is_announced
from convtool.runs.outcome import Outcome
from convtool.runs.plan import Task
from convtool.runs.run import failure
from convtool.runs.stopping import until_stopped
from convtool.signals.inputs import Input
from convtool.signals.metadata import OF_CHANNELS
from convtool.signals.opening import Output, ReadOptions, WriteOptions, open_reader
from convtool.signals.signal import BLOCK_SAMPLES, Block, Signal, at_stride
from convtool.signals.text.kept import WAY_OUT
from convtool.signals.unheeded import unheeded

if TYPE_CHECKING:
    from convtool.ops.blocks import Blockwise
    from convtool.plots import Trace


_ARGUMENT = re.compile(r'(padding[_ ])?mode ("\w+"(?:(?:, | or )"\w+")*)')
"""Modes, as operations name them."""


@dataclass(frozen=True)
class Work:
    """What a command makes of one input, before any of it is computed."""

    operation: Blockwise
    ingest: Ingest
    result: Signal
    """The description of the result."""
    method: Callable[[], str]
    """How it was computed, in a few words; asked at the end."""
    picture: Callable[[Trace, Trace, str], bytes] | None = None
    """A picture of input and output, encoded in the format named."""
    stride: int = 1
    """Samples of the input to one of the result."""
    moves: bool = False
    """Whether samples of the result stand elsewhere than those of the input, so that positions in it do not hold."""
    doubts: tuple[str, ...] = ()
    """What the person should know of how the input was taken."""


@dataclass(frozen=True, kw_only=True)
class SignalJob(ABC):
    """One input to one output. A command's job adds its own options and says in `prepare` what it does."""

    dtype: str | None = None
    nan: str = "propagate"
    device: str = "auto"
    threads: int = 1
    fail_on_clip: bool = False
    normalize: float | None = None
    """Decibels that the peak of the output is brought to."""
    plot: str | None = None
    read: ReadOptions = field(default_factory=ReadOptions)
    write: WriteOptions = field(default_factory=WriteOptions)

    def against_clipping(self, over: float) -> list[str]:
        """What can be done about a peak that is `over` decibels beyond full scale, but for another subtype."""
        return []

    @property
    def reads_twice(self) -> bool:
        """Whether the end of the input is needed before its beginning."""
        return False

    def carrying(self, tasks: Iterable[Task]) -> SignalJob:
        """The same job with all in it that it reads for `tasks` besides their inputs."""
        return self

    def replacing(self) -> SignalJob:
        """The same job, which replaces outputs that exist; the job itself where it does."""
        return self if self.write.overwrite else replace(self, write=replace(self.write, overwrite=True))

    @abstractmethod
    def prepare(self, item: Input, signal: Signal) -> Work:
        """The work on `signal`, which is read from `item`. Called with torch loaded."""

    def describe(self, signal: Signal) -> Signal:
        """What the result will be, as far as the input's header tells; refuses what can't be worked on.

        Here it has the input's channels and rate.
        """
        return signal

    def keeps_length(self, signal: Signal) -> bool:
        """Whether the result has a sample for each of `signal`, however many these are."""
        return True

    def _check_kept(self, signal: Signal) -> None:
        """Refuse columns that pass by where the result has other rows than they."""
        if signal.kept is not None and not self.keeps_length(signal):
            raise InputError(f"the output has not as many rows as the columns kept; {WAY_OUT}")

    def rehearse(self, task: Task) -> Outcome:
        """Make the checks on one input that need no samples, and say what would be written.

        What comes through a pipe or from a URL is left alone: it would have to be read whole.
        """
        outcome = Outcome.of(task, "planned")
        if is_read_once(task.input):
            return outcome
        with open_reader(task.input, self.read) as reader, plain_errors():
            self._check_kept(reader.signal)
            output = Output(task.output, self.describe(reader.signal), self.write, trial=True)
            output.discard()
            outcome.notes = [*reader.notes]
            outcome.unheeded = unheeded(reader.signal, self.read)
        return replace(outcome, channels=output.signal.channels, sample_rate=output.signal.sample_rate)

    def __call__(self, task: Task) -> Outcome:
        """Read, work and write one input."""
        with (
            rereadable(task.input, needed=self.reads_twice) as item,
            open_reader(item, self.read) as reader,
            read_ahead(reader, BLOCK_SAMPLES) as blocks,
        ):
            progress.begin(task.index, reader.signal.frames, passes=1 + self.reads_twice + (self.normalize is not None))
            load_torch()
            with plain_errors():
                self._check_kept(reader.signal)
                work = self.prepare(item, reader.signal)
            before, after = Record(), Record()
            if self.plot is not None:
                blocks = before.pass_on(blocks, reader.signal)
            result = at_stride(work.result, work.stride)
            if work.moves:
                result = replace(result, metadata=result.metadata.without_positions())
            if result.channels != reader.signal.channels:
                result = replace(result, metadata=result.metadata.without_channels())
            output = Output(task.output, result, self.write.replacing(task.incomplete))
            remark = partial(self._remark, work, output)
            blocks = announced(progress.passing(until_stopped(blocks)), remark)
            record = after.add if self.plot is not None else None
            gain = None
            try:
                with plain_errors():
                    if self.normalize is None:
                        samples = self._stream(blocks, work, output, record)
                    else:
                        samples, gain = self._normalised(blocks, work, output, record)
                count, words = self.clipping(output, work)
                if count and self.fail_on_clip:
                    error = f"{words}, and --fail-on-clip was given; nothing was written"
                    return replace(failure(task, error, CheckFailed.exit_code), clipped=count, peak=_rounded(output))
                output.commit()
            finally:
                output.discard()
            self.keep(work)
            if self.plot is not None and work.picture is not None:
                _draw(self.plot, work.picture, before, after, replace=self.write.overwrite)
            notes = [*reader.notes, *work.doubts, *_left_out(work.result, output)]
            outcome = self._outcome(task, notes, output, samples, work)
            outcome.gain = gain
            outcome.unheeded = unheeded(reader.signal, self.read)
            outcome.remarks = [*outcome.remarks, *_audio(reader.signal), *reader.remarks, *_without_place(output)]
            return outcome

    def _stream(
        self, blocks: Iterator[Block], work: Work, output: Output | Normalised, record: Callable[[Block], None] | None
    ) -> int:
        """Send the blocks through the operation; how many samples came of them."""
        stream = Stream(blocks, self.stage(work, output, recorded=record is not None), output, record)
        stream.run(self._workers(work.ingest.signal))
        return stream.samples

    def _workers(self, signal: Signal) -> int:
        """The threads that `signal` has work for: starting one takes as long as some of it."""
        if signal.frames is None:
            return self.threads
        values = signal.frames * signal.channels * (signal.batch or 1)
        return max(1, min(self.threads, -(-values // BLOCK_SAMPLES)))

    def stage(self, work: Work, output: Output | Normalised, *, recorded: bool) -> Stage:
        """How blocks become results in the numbers of `output`; with the results themselves where they are recorded."""
        return computed(work.ingest.tensor, work.operation, output.encode)

    def _normalised(
        self, blocks: Iterator[Block], work: Work, output: Output, record: Callable[[Block], None] | None
    ) -> tuple[int, float | None]:
        """The same with the peak where it is to be; and by how many decibels that changed it."""
        assert self.normalize is not None
        kept = Normalised(output)
        try:
            samples = self._stream(blocks, work, kept, None)
            return samples, kept.finish(self.normalize, record)
        finally:
            kept.discard()

    def keep(self, work: Work) -> None:  # noqa: B027 (few commands have such files)
        """Write what is to be kept of `work` in files beside the output, which is in place by now."""

    def ingest(self, signal: Signal, working: str) -> Ingest:
        """How blocks of `signal` become tensors of dtype `working` on the device that was asked for."""
        device = choose_device(self.device, signal.frames and signal.frames * signal.channels)
        return Ingest(signal, working, device, self.nan)

    def last_samples(self, item: Input, count: int) -> Block:
        """The last `count` samples of an input, read for this alone (headers lie about where they are)."""
        kept: deque[Block] = deque()
        with open_reader(item, self.read.without_kept()) as reader:
            for block in progress.passing(reader.blocks(BLOCK_SAMPLES)):
                kept.append(block)
                while sum(b.shape[-1] for b in kept) - kept[0].shape[-1] >= count:
                    kept.popleft()
        return np.concatenate(kept, axis=-1)[..., -count:]

    def clipping(self, output: Output, work: Work) -> tuple[int, str]:
        """How many samples are not as they were to be, and what there is to say of them."""
        return output.writer.clipped, output.writer.clipping() if output.writer.clipped else ""

    def _remark(self, work: Work, output: Output) -> str:
        """What was chosen."""
        written = "/".join(filter(None, (output.format, output.subtype)))
        place = f"{work.result.dtype} on {work.ingest.device}, {counted(self._workers(work.ingest.signal), 'thread')}"
        return f"{work.method()}; blocks of {BLOCK_SAMPLES}; {place}; {written}"

    def _outcome(self, task: Task, notes: list[str], output: Output, samples: int, work: Work) -> Outcome:
        notes = [*notes, *output.writer.notes, *_rounded_rate(output, work)]
        return replace(
            Outcome.of(task, "written"),
            channels=output.signal.channels,
            samples=samples,
            sample_rate=output.signal.sample_rate,
            clipped=output.writer.clipped,
            peak=_rounded(output),
            clipping=output.writer.clipping() if output.writer.clipped else "",
            format=output.format,
            notes=notes,
            remarks=[] if is_announced() else [self._remark(work, output)],
        )


def _rounded(output: Output) -> float | None:
    """The peak of an output, for a report."""
    return None if output.peak is None else round(output.peak, 4)


def _rounded_rate(output: Output, work: Work) -> Iterator[str]:
    """What there is to say of a sample rate that an audio file can't hold."""
    before, after = work.ingest.signal.sample_rate, output.signal.sample_rate
    if before and after and before != after * work.stride and output.format not in ("CSV", "NPY"):
        exact = f"{before / work.stride:.6g}"
        yield f"{before} Hz over a stride of {work.stride} is {exact} Hz; the file says {after} Hz"


def _left_out(result: Signal, output: Output) -> Iterator[str]:
    """What the output could have said of itself, and does not."""
    kept = output.signal.metadata.chunks
    lost = [name for name, content in result.metadata.chunks if (name, content) not in kept]
    if lost and output.format in ("WAV", "WAVEX", "RF64") and output.keeps_metadata:
        positions = ", ".join(name.strip() for name in lost if name not in OF_CHANNELS)
        channels = ", ".join(name for name in lost if name in OF_CHANNELS)
        if positions:
            yield f"left out: {positions}: the positions in samples that they give no longer hold"
        if channels:
            yield f"left out: {channels}: the channels or the times that they give no longer hold"
    if output.writer.left_out:
        yield f"left out: {', '.join(output.writer.left_out)}, which {output.format} would hold damaged"


def _audio(signal: Signal) -> Iterator[str]:
    """What an audio input is."""
    if signal.subtype is not None and signal.format not in PICTURES.values():
        frames = "samples" if signal.frames is None else counted(signal.frames, "sample")
        rate = f"at {signal.sample_rate} Hz" if signal.sample_rate else "without a sample rate"
        yield f"read {counted(signal.channels, 'channel')} of {frames} {rate}, {signal.format}/{signal.subtype}"


def _without_place(output: Output) -> Iterator[str]:
    """What the format of the output has no place for, and what does not hold of the output's samples."""
    if output.writer.no_place:
        yield f"not kept: {', '.join(output.writer.no_place)}: {output.format} has no place for it"
    if untrue := output.signal.metadata.untrue:
        yield f"not kept: {', '.join(untrue)}, which tell of the input's samples"


def _draw(
    path: str, picture: Callable[[Trace, Trace, str], bytes], before: Record, after: Record, *, replace: bool
) -> None:
    from convtool.plots import picture_format

    write_file(path, picture(before.trace(), after.trace(), picture_format(path)), replace=replace)


@contextmanager
def plain_errors() -> Iterator[None]:
    """What an operation refuses is about the input here: say it as such, its arguments as the options they are."""
    try:
        yield
    except (ValueError, TypeError, InputError) as error:
        raise InputError(_ARGUMENT.sub(_as_option, str(error))) from error


def _as_option(argument: re.Match[str]) -> str:
    return f"--{'padding-' if argument[1] else ''}mode {argument[2]}".replace('"', "")
