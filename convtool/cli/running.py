"""What every signal command does with its job: plan the inputs, run the job on each, report."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import click

from convtool.cli import messages
from convtool.cli.shared_options import JobSettings, RunOptions, SignalOptions
from convtool.errors import ConvtoolError, Terminated, UsageError
from convtool.files.names import counted, show

if TYPE_CHECKING:
    from concurrent.futures import Executor

    import rich.progress

    from convtool.runs.outcome import Outcome
    from convtool.runs.plan import Choice, Task
    from convtool.runs.run import Job
    from convtool.signals.inputs import Input


def run_job(
    options: SignalOptions,
    make_job: Callable[[JobSettings], Job],
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
    tell_passed(passed)
    if options.dry_run:
        return conclude(dry_run(tasks, options), options, replace=options.overwrite or options.skip_existing)
    jobs = min(options.jobs or cores(), sum(not task.skip for task in tasks)) or 1
    job = make_job(options.job_settings(options.threads or max(1, cores() // jobs)))
    return conclude(_run(job, tasks, jobs, options), options, replace=options.overwrite or options.skip_existing)


def dry_run(tasks: Sequence[Task], options: RunOptions) -> list[Outcome]:
    """Print what would be read and written."""
    from convtool.runs.outcome import Outcome
    from convtool.runs.run import failure

    outcomes = [
        failure(task, task.input.fault) if task.input.fault else Outcome.of(task, "skipped" if task.skip else "planned")
        for task in tasks
    ]
    for outcome in outcomes:
        if outcome.error:
            tell(outcome, one=False)
        elif not options.as_json:
            exists = " (exists)" * (outcome.status == "skipped")
            click.echo(f"{outcome.name} -> {show(outcome.output or 'standard output')}{exists}")
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
        _write_report(options.report, outcomes, replace=replace)
    if options.as_json:
        for outcome in outcomes:
            click.echo(outcome.as_json())
    codes = {outcome.exit_code for outcome in outcomes if outcome.status == "failed"}
    return next((code for code in (2, 1, 3) if code in codes), 0)


def _write_report(path: str, outcomes: Iterable[Outcome], *, replace: bool) -> None:
    from convtool.files.atomic import write_file

    lines = "".join(f"{outcome.as_json()}\n" for outcome in outcomes)
    write_file(path, lines.encode("utf-8"), replace=replace)


@contextmanager
def reported_if_stopped(options: RunOptions, *, replace: bool) -> Iterator[dict[int, Outcome]]:
    """A place for outcomes by their inputs' indices: should a signal stop the work, they are what is reported."""
    ended: dict[int, Outcome] = {}
    try:
        yield ended
    except (KeyboardInterrupt, Terminated):
        if options.report:
            with suppress(ConvtoolError):
                _write_report(options.report, (ended[index] for index in sorted(ended)), replace=replace)
        raise


def _run(job: Job, tasks: Sequence[Task], jobs: int, options: SignalOptions) -> list[Outcome]:
    from convtool.runs.run import run_all

    with (
        reported_if_stopped(options, replace=options.overwrite or options.skip_existing) as ended,
        _executor(tasks, jobs) as executor,
        progress(len(tasks), options) as advance,
    ):

        def done(outcome: Outcome) -> None:
            advance()
            tell(outcome, one=len(tasks) == 1)

        outcomes = run_all(job, tasks, executor, workers=jobs, fail_fast=options.fail_fast, done=done, ended=ended)
    tell_counts(outcomes, len(tasks))
    return outcomes


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
        messages.say(outcome.trace)
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
def _executor(tasks: Sequence[Task], jobs: int) -> Iterator[Executor | None]:
    """Workers where there are several inputs; a single one is worked on here, at once."""
    if len(tasks) == 1 or all(task.skip for task in tasks):
        messages.quiet_libraries()
        yield None
        return
    from convtool.jobs.backend import prepare_worker
    from convtool.runs.local import LocalExecutor

    executor = LocalExecutor(jobs, preload=["convtool.jobs.preload"], setup=prepare_worker)
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
def progress(inputs: int, options: RunOptions) -> Iterator[Callable[[], None]]:
    """A bar with rate and time left, where a person is looking."""
    if inputs == 1 or options.no_progress or messages.asked_for("quiet") or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: rich.progress.Task) -> Text:
            speed = task.speed or 0.0  # there is none before the first result
            return Text(f"{speed:.{0 if speed >= 10 else 1}f}/s")

    columns = (BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=inputs)
        yield lambda: bar.advance(task)
