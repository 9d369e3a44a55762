"""What every signal command does with its job: plan, run, tell, report."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from convtool.cli.options import Io, Talk, share_threads
from convtool.errors import UsageError

if TYPE_CHECKING:
    from concurrent.futures import Executor

    import rich.progress

    from convtool.runs.outcome import Outcome
    from convtool.runs.plan import Task
    from convtool.runs.run import Job


@dataclass(frozen=True)
class Batch:
    """The values of the batch options."""

    jobs: int | None
    fail_fast: bool
    report: str | None
    as_json: bool
    dry_run: bool
    no_progress: bool

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Batch:
        """Those among all options of a command."""
        return cls(**{name: options[name] for name in cls.__dataclass_fields__})


def run_batch(
    io: Io,
    options: Mapping[str, Any],
    make_job: Callable[[int], Job],
    *,
    single: str | None = None,
    also_read: Sequence[str] = (),
    also_written: Sequence[str] = (),
) -> int:
    """Plan the inputs, run the job that `make_job(threads)` gives on each, report; the exit code.

    `single` says why there can be but one input; `also_read` and `also_written` are further files of the command.
    """
    from convtool.runs.local import cores
    from convtool.runs.plan import plan

    talk = Talk.of(click.get_current_context())
    batch = Batch.of(options)
    plot: str | None = options.get("plot")
    if plot:
        from convtool.plots import picture_format

        picture_format(plot)
        single = single or "--plot draws one input"
    inputs, passed = io.find()
    if single and len(inputs) > 1:
        raise UsageError(f"{single}; {len(inputs)} were given")
    tasks = plan(
        inputs,
        io.output,
        format=io.writing().format,
        overwrite=io.overwrite,
        skip_existing=io.skip_existing,
        also_read=also_read,
        also_written=[*also_written, *(path for path in (plot, batch.report) if path)],
    )
    if batch.as_json and tasks[0].output is None and not batch.dry_run:
        raise UsageError("--json prints on standard output, where the result goes; give -o")
    tell_passed(passed, talk)
    if batch.dry_run:
        outcomes = dry_run(tasks, batch)
    else:
        jobs = min(batch.jobs or cores(), sum(not task.skip for task in tasks)) or 1
        outcomes = _run(make_job(share_threads(options["threads"], jobs)), tasks, jobs, batch, talk)
    return conclude(outcomes, batch)


def dry_run(tasks: Sequence[Task], batch: Batch) -> list[Outcome]:
    """Print what would be read and written."""
    from convtool.runs.outcome import Outcome

    outcomes = [Outcome.of(task, "skipped" if task.skip else "planned") for task in tasks]
    if not batch.as_json:
        for outcome in outcomes:
            exists = " (exists)" * (outcome.status == "skipped")
            click.echo(f"{outcome.name} -> {_show(outcome.output or 'standard output')}{exists}")
    return outcomes


def tell_passed(passed: Sequence[str], talk: Talk) -> None:
    """Say which files of folders are no inputs."""
    if passed:
        talk.note(f"{len(passed)} files passed over that are no signals (-v names them)")
        for path in passed:
            talk.remark(f"passed over: {_show(path)}")


def conclude(outcomes: Sequence[Outcome], batch: Batch) -> int:
    """Report what became of the inputs, where that is asked for; the exit code."""
    if batch.as_json:
        for outcome in outcomes:
            click.echo(outcome.as_json())
    if batch.report:
        from convtool.files.atomic import write_file

        write_file(batch.report, "".join(outcome.as_json() + "\n" for outcome in outcomes).encode("utf-8"))
    codes = {outcome.exit_code for outcome in outcomes if outcome.status == "failed"}
    return next((code for code in (2, 1, 3) if code in codes), 0)


def _run(job: Job, tasks: Sequence[Task], jobs: int, batch: Batch, talk: Talk) -> list[Outcome]:
    from convtool.runs.run import run_all

    with _executor(tasks, jobs) as executor, progress(len(tasks), batch, talk) as advance:

        def done(outcome: Outcome) -> None:
            advance()
            tell(outcome, talk, one=len(tasks) == 1)

        outcomes = run_all(job, tasks, executor, workers=jobs, fail_fast=batch.fail_fast, done=done)
    if len(tasks) > 1:
        tell_counts(outcomes, len(tasks), talk)
    return outcomes


def tell_counts(outcomes: Sequence[Outcome], inputs: int, talk: Talk) -> None:
    """How many of the inputs were written, skipped, failed."""
    counts = {status: sum(o.status == status for o in outcomes) for status in ("written", "skipped", "failed")}
    left = inputs - len(outcomes)
    talk.note(", ".join(f"{n} {status}" for status, n in counts.items()) + (f", {left} not begun" if left else ""))


def tell(outcome: Outcome, talk: Talk, *, one: bool) -> None:
    """Say what became of an input, as far as it is of interest."""
    name = outcome.name
    if outcome.trace and talk.debug:
        click.echo(outcome.trace, err=True)
    if outcome.error:
        talk.error(f"{name}: {outcome.error}")
    for note in outcome.notes:
        talk.note(f"Warning: {name}: {note}")
    for remark in outcome.remarks:
        talk.remark(f"{name}: {remark}")
    if not one and outcome.status == "written":
        talk.remark(f"{name} -> {_show(outcome.output or '-')}: {outcome.samples} samples")


@contextmanager
def _executor(tasks: Sequence[Task], jobs: int) -> Iterator[Executor | None]:
    """Workers where there are several inputs; a single one is worked on here, at once."""
    if len(tasks) == 1 or all(task.skip for task in tasks):
        from convtool.cli.options import quiet_libraries

        quiet_libraries()
        yield None
        return
    from convtool.jobs.backend import prepare_worker
    from convtool.runs.local import LocalExecutor

    executor = LocalExecutor(jobs, preload=["convtool.jobs.preload"], setup=prepare_worker)
    finished = False
    try:
        yield executor
        finished = True
    finally:
        executor.shutdown(wait=finished, cancel_futures=True)


@contextmanager
def progress(inputs: int, batch: Batch, talk: Talk) -> Iterator[Callable[[], None]]:
    """A bar with rate and time left, where a person is looking."""
    if inputs == 1 or batch.no_progress or talk.quiet or not sys.stderr.isatty():
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


def _show(name: str) -> str:
    from convtool.files.names import show

    return show(name)
