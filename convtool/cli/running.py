"""What every signal command does with its job: plan the inputs, run the job on each, report."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

from convtool.cli import messages
from convtool.cli.shared_options import ClusterOptions, JobSettings, RunOptions, SignalOptions
from convtool.errors import ConvtoolError, Terminated, UsageError
from convtool.files.names import counted, show

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from convtool.jobs.progress import Meter
    from convtool.jobs.signal_job import SignalJob
    from convtool.runs.cluster_executor import ClusterExecutor
    from convtool.runs.outcome import Outcome
    from convtool.runs.plan import Choice, Task
    from convtool.runs.run import Job
    from convtool.signals.inputs import Input


def run_job(
    options: SignalOptions,
    make_job: Callable[[JobSettings], SignalJob],
    *,
    plot: str | None = None,
    single: str | None = None,
    also_read: Sequence[str] = (),
    also_written: Sequence[str] = (),
    choices: Callable[[Input], Sequence[Choice]] = lambda _: (),
) -> int:
    """Run the job that `make_job` gives on each of the inputs, and report; the exit code.

    `single` says why there can be but one input; `plot`, `also_read` and `also_written` are further files of the
    command; `choices` gives what an input is worked with, where the command lets choose.
    """
    from convtool.runs.local import cores
    from convtool.runs.plan import plan
    from convtool.signals.opening import check_subtypes

    if plot:
        from convtool.plots import picture_format

        picture_format(plot)
        single = single or "--plot draws one input"
    inputs, passed = options.find_inputs()
    if single and (many := sum(len(choices(item)) or 1 for item in inputs)) > 1:
        raise UsageError(f"{single}; {many} were given")
    tasks = plan(
        inputs,
        options.output,
        format=options.writing().format,
        nameless=None if options.raw_layout() is None else "wav",
        overwrite=options.overwrite,
        skip_existing=options.skip_existing,
        also_read=also_read,
        also_written=[*also_written, *(path for path in (plot, options.report) if path)],
        choices=choices,
    )
    if options.as_json and options.output in (None, "-") and not options.dry_run:
        raise UsageError("--json prints on standard output, where the result goes; give -o")
    check_subtypes((task.output for task in tasks if not task.input.fault), options.writing())
    if options.device not in ("auto", "cpu"):
        from convtool.jobs.backend import choose_device

        choose_device(options.device, None)
    tell_passed(passed)
    jobs = min(options.jobs or cores(), sum(not task.skip for task in tasks)) or 1
    if options.cluster is not None and not (single or options.dry_run):
        with cluster_workers(tasks, options) as workers:
            job = make_job(options.job_settings(options.threads or 1)).carrying(tasks)
            outcomes = _run(job, tasks, workers.slots, options, workers)
        return conclude(outcomes, options, replace=options.overwrite or options.skip_existing)
    job = make_job(options.job_settings(options.threads or max(1, cores() // jobs)))
    if options.dry_run:
        outcomes = dry_run(tasks, options, job.rehearse)
        return conclude(outcomes, options, replace=options.overwrite or options.skip_existing)
    return conclude(_run(job, tasks, jobs, options), options, replace=options.overwrite or options.skip_existing)


def dry_run(tasks: Sequence[Task], options: RunOptions, rehearse: Job) -> list[Outcome]:
    """Print what would be read and written, and what `rehearse` finds wrong with an input that would be."""
    from convtool.runs.outcome import Outcome
    from convtool.runs.run import perform

    outcomes = [Outcome.of(task, "skipped") if task.skip else perform(rehearse, task) for task in tasks]
    for outcome in outcomes:
        outcome.seconds = None
        tell(outcome, one=True)
        if not (outcome.error or options.as_json):
            exists = " (exists)" * (outcome.status == "skipped")
            messages.out(f"{outcome.name} -> {show(outcome.output or 'standard output')}{exists}")
    tell_unheeded(outcomes)
    return outcomes


def tell_passed(passed: Sequence[str]) -> None:
    """Say which files of folders are no inputs."""
    if passed:
        messages.note(f"{counted(len(passed), 'file')} passed over (-v tells which)")
        for path in passed:
            messages.detail(f"passed over: {show(path)}")


def conclude(outcomes: Sequence[Outcome], options: RunOptions, *, replace: bool) -> int:
    """Report what became of the inputs, where that is asked for; the exit code."""
    if options.report:
        _write_report(options, outcomes, replace=replace)
    if options.as_json:
        for outcome in outcomes:
            messages.out(outcome.as_json(with_worker=options.on_cluster))
    codes = {outcome.exit_code for outcome in outcomes if outcome.status == "failed"}
    return next((code for code in (2, 1, 3) if code in codes), 0)


def _write_report(options: RunOptions, outcomes: Iterable[Outcome], *, replace: bool) -> None:
    from convtool.files.atomic import write_file

    lines = "".join(f"{outcome.as_json(with_worker=options.on_cluster)}\n" for outcome in outcomes)
    write_file(str(options.report), lines.encode("utf-8"), replace=replace)


@contextmanager
def reported_if_stopped(options: RunOptions, *, replace: bool) -> Iterator[dict[int, Outcome]]:
    """A place for outcomes by their inputs' indices: should a signal stop the work, or the cluster be lost, they are
    what is reported.
    """
    from convtool.runs.run import WorkLost

    ended: dict[int, Outcome] = {}
    try:
        yield ended
    except (KeyboardInterrupt, Terminated, WorkLost):
        if options.report:
            with suppress(ConvtoolError):
                _write_report(options, (ended[index] for index in sorted(ended)), replace=replace)
        raise


def _run(
    job: SignalJob, tasks: Sequence[Task], jobs: int, options: SignalOptions, workers: Executor | None = None
) -> list[Outcome]:
    from convtool.runs.run import run_all

    with (
        reported_if_stopped(options, replace=options.overwrite or options.skip_existing) as ended,
        progress(len(tasks), options, streams=options.output in (None, "-")) as shown,
        _executor(tasks, jobs, shown.path) if workers is None else _ending(workers) as executor,
    ):
        telling = Telling(tasks)

        def done(outcome: Outcome) -> None:
            shown.end(telling.next.index)
            telling.end(outcome)

        heard = telling.choose if messages.asked_for("verbose") else None
        outcomes = run_all(
            job, tasks, executor, workers=jobs, fail_fast=options.fail_fast, done=done, ended=ended, heard=heard
        )
    tell_unheeded(outcomes)
    tell_levels(outcomes)
    tell_clipping(outcomes, job.against_clipping)
    tell_counts(outcomes, len(tasks))
    return outcomes


class Telling:
    """What is said of inputs, in their order: what was chosen for one is told once those before it have ended."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._tasks = tasks
        self._ended = 0
        self._chosen: dict[int, str] = {}
        self._told: set[int] = set()
        self._turn = threading.Lock()

    @property
    def next(self) -> Task:
        """The task whose turn it is."""
        return self._tasks[self._ended]

    def choose(self, index: int, remark: str) -> None:
        """Take what was chosen for the task of this index, from any thread."""
        with self._turn:
            self._chosen[index] = remark
            self._tell_chosen()

    def end(self, outcome: Outcome) -> None:
        """Tell what became of the next task, and what was chosen for the one behind it."""
        with self._turn:
            tell(outcome, one=len(self._tasks) == 1)
            self._ended += 1
            self._tell_chosen()

    def _tell_chosen(self) -> None:
        if self._ended == len(self._tasks):
            return
        index = self.next.index
        if index in self._chosen and index not in self._told:  # what was tried again was told before
            self._told.add(index)
            messages.say(f"{self.next.name}: {self._chosen[index]}")  # not every thread has a context to ask


def tell_unheeded(outcomes: Sequence[Outcome]) -> None:
    """Say in one line an option which of them makes no difference to how many inputs."""
    found: dict[str, list[str]] = {}
    for outcome in outcomes:
        for option, instead in outcome.unheeded:
            found.setdefault(option, []).append(f"{outcome.name} ({instead})")
    for option, inputs in found.items():
        where = inputs[0] if len(outcomes) == 1 else f"{len(inputs)} of {len(outcomes)} inputs, such as {inputs[0]}"
        messages.warn(f"{option}, and makes no difference to {where}")


def tell_levels(outcomes: Sequence[Outcome]) -> None:
    """Say by how much results were normalised."""
    gains = {outcome.name: outcome.gain for outcome in outcomes if outcome.gain is not None}
    if len(gains) == 1:
        for name, gain in gains.items():
            messages.note(f"{name}: normalised by {gain:+.2f} dB")
    elif gains:
        least, most = min(gains.values()), max(gains.values())
        messages.note(f"{len(gains)} files normalised, by {least:+.2f} to {most:+.2f} dB (-v tells each)")
        for name, gain in gains.items():
            messages.detail(f"{name}: normalised by {gain:+.2f} dB")


def tell_clipping(outcomes: Sequence[Outcome], ways_out: Callable[[float], list[str]]) -> None:
    """Say in one line how many results were clipped, which the most, and what keeps all of them as they are.

    `ways_out` gives what a command can do about a peak of so many decibels over full scale.
    """
    clipped = [outcome for outcome in outcomes if outcome.clipping]
    if not clipped:
        return
    worst = max(clipped, key=lambda outcome: (outcome.peak or 0.0, outcome.clipped))
    line = f"{worst.name}: {worst.clipping}"
    if len(outcomes) > 1:
        line = f"{len(clipped)} of {len(outcomes)} files clip{'s' * (len(clipped) == 1)}, the worst is {line}"
        for outcome in clipped:
            messages.detail(f"{outcome.name}: {outcome.clipping}")
    formats = {outcome.format for outcome in clipped}
    messages.warn("; ".join(filter(None, (line, _against(formats, ways_out(worst.peak or 0.0), len(outcomes) > 1)))))


def _against(formats: set[str], ways: list[str], several: bool) -> str:
    """What to do about clipping, as far as the formats of the outputs allow it."""
    from convtool.files.formats import PICTURES

    if formats & set(PICTURES.values()):
        return "write .npy, and bring that to the range with rescale"
    import soundfile

    fits = all(soundfile.check_format(format, "FLOAT") for format in formats)
    ways = [*ways, *(["--subtype FLOAT"] if fits else [])]
    listed = " or ".join(filter(None, (", ".join(ways[:-1]), *ways[-1:])))
    return f"{listed} keeps {'all of them' if several else 'them'}" if ways else ""


def tell_counts(outcomes: Sequence[Outcome], inputs: int) -> None:
    """Of several inputs, say how many were written, skipped, failed."""
    if inputs > 1:
        counts = {status: sum(o.status == status for o in outcomes) for status in ("written", "skipped", "failed")}
        left = f", {inputs - len(outcomes)} not begun" * (inputs > len(outcomes))
        messages.note(", ".join(f"{n} {status}" for status, n in counts.items()) + left)


def tell(outcome: Outcome, *, one: bool) -> None:
    """Say what became of an input, as far as it is of interest."""
    name = outcome.name
    if outcome.trace and messages.asked_for("debug"):
        messages.trace(outcome.trace)
    if outcome.error:
        messages.error(f"{name}: {outcome.error}")
    for note in outcome.notes:
        messages.warn(f"{name}: {note}")
    for remark in outcome.remarks:
        messages.detail(f"{name}: {remark}")
    if not one and outcome.status == "written":
        samples = counted(outcome.samples or 0, "sample")
        messages.detail(f"{name} -> {show(outcome.output or '-')}: {samples}")


@contextmanager
def _executor(tasks: Sequence[Task], jobs: int, meter: str | None) -> Iterator[Executor | None]:
    """Workers where there are several inputs; a single one is worked on here, at once."""
    if len(tasks) == 1 or all(task.skip for task in tasks):
        messages.quiet_libraries()
        yield None
        return
    from convtool.files.urls import packages_of
    from convtool.jobs.backend import prepare_worker
    from convtool.runs.local import LocalExecutor

    preload = ["convtool.jobs.preload", *packages_of(place for task in tasks for place in task.places)]
    executor = LocalExecutor(jobs, preload=preload, setup=partial(prepare_worker, meter))
    finished = False
    try:
        yield executor
        finished = True
        if executor.lacking is not None:
            messages.warn(
                f"the system did not start all {jobs} worker processes: {executor.lacking}; --jobs asks for fewer"
            )
    finally:
        executor.shutdown(wait=finished, cancel_futures=True)


@contextmanager
def _ending(executor: Executor) -> Iterator[Executor]:
    """The same workers, whose work ends with the block."""
    try:
        yield executor
    finally:
        executor.shutdown(cancel_futures=True)


@contextmanager
def cluster_workers(tasks: Sequence[Task], options: ClusterOptions) -> Iterator[ClusterExecutor]:
    """The workers of the cluster that --cluster names."""
    from convtool.jobs.backend import prepare_cluster_worker
    from convtool.runs.cluster import local_workers, remote_workers
    from convtool.runs.local import cores

    messages.quiet_libraries()
    if options.cluster == "local":
        workers = min(options.jobs or cores(), sum(not task.skip for task in tasks)) or 1
        cluster = local_workers(workers, prepare_cluster_worker)
    else:
        cluster = remote_workers(str(options.cluster), tasks, prepare_cluster_worker, options.jobs)
    with cluster as executor:
        messages.detail(f"cluster {executor.address}: {counted(executor.slots, 'input')} at a time")
        yield executor


@contextmanager
def progress(inputs: int, options: RunOptions, *, streams: bool = False) -> Iterator[Progress]:
    """A bar for the work on so many inputs, where a person is looking: in samples where there is one.

    What `streams` to a terminal shows itself how far it is.
    """
    from convtool.cli.show.progress import bar, is_watched

    if not is_watched(options) or (streams and os.isatty(1)):
        yield Progress(None)
        return
    from convtool.jobs.progress import Meter, watched

    meter = Meter(inputs)
    try:
        progress = Progress(meter)
        look, unit = (progress.samples, "samples") if inputs == 1 else (progress.inputs, "files")
        with watched(meter), bar(look, unit):
            yield progress
    finally:
        meter.close()


class Progress:
    """How far a run is."""

    def __init__(self, meter: Meter | None) -> None:
        self._meter = meter
        self._ended = 0

    @property
    def path(self) -> str | None:
        """Where worker processes count."""
        return None if self._meter is None else self._meter.path

    def end(self, index: int | None = None) -> None:
        """The input of that index is done with; without one, the next."""
        if self._meter is not None:
            self._meter.left[self._ended if index is None else index] = False
        self._ended += 1

    def samples(self) -> tuple[float, float]:
        """Samples gone through, of how many."""
        assert self._meter is not None
        done, total = self._meter.rows[0].tolist()
        return done, max(total, done) if total else 0

    def inputs(self) -> tuple[float, float]:
        """Inputs gone through, of how many; those that are under way in parts."""
        assert self._meter is not None
        done, total = self._meter.rows[self._meter.left].T
        known = total > 0
        return self._ended + float((done[known] / total[known]).clip(max=1).sum()), len(self._meter.rows)
