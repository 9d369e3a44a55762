"""`convtool unpad-batch`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from convtool.cli.options import Talk, batch_options, talk_options
from convtool.cli.running import Batch, conclude, dry_run, progress, tell, tell_counts
from convtool.errors import InputError

if TYPE_CHECKING:
    from convtool.jobs.padding.reading import StoredBatch
    from convtool.runs.outcome import Outcome
    from convtool.runs.plan import Task
    from convtool.signals.opening import WriteOptions

LOSSY = {"MP3", "OGG"}
"""Formats that do not give back the samples that were put in."""


@click.command("unpad-batch")
@click.argument("batch", metavar="BATCH")
@click.option(
    "-o",
    "--output",
    metavar="PATH",
    required=True,
    help="DIR/, or a template with {stem} {ext} {name} {parent} {index}.",
)
@click.option("--format", metavar="FORMAT", help="Format of the signals.  [default: what each was]")
@click.option("--subtype", metavar="NAME", help="Encoding inside an audio format.  [default: what each was]")
@click.option("--overwrite", is_flag=True, help="Replace outputs that exist.")
@click.option("--skip-existing", is_flag=True, help="Leave outputs that exist, and do the others.")
@batch_options
@talk_options
def command(batch: str, **options: Any) -> int:
    """The signals of a batch as they were before padding, under their own names and in their formats.

    BATCH is a file or a folder that pad-batch wrote, or any .npz, .safetensors or .pt file with arrays
    batch and lengths. Lossy formats are encoded anew: --format wav --subtype FLOAT keeps the samples.

    \b
    Examples:
      convtool unpad-batch batch.npz -o signals/
      convtool unpad-batch shards/ -o signals/ --format wav --subtype FLOAT
    """
    from convtool.files.names import show
    from convtool.jobs.padding.reading import read_batches
    from convtool.runs.plan import plan
    from convtool.signals.opening import WriteOptions, check_format

    form = options["format"] and options["format"].lower()
    check_format(form)
    write = WriteOptions(form, options["subtype"] and options["subtype"].upper())
    try:
        batches = read_batches(batch)
    except InputError as error:
        raise InputError(f"{show(batch)}: {error}") from error
    rows = [row for stored in batches for row in stored.rows]
    tasks = plan(
        [row.item for row in rows],
        options["output"] if "{" in options["output"] else os.path.join(options["output"], ""),
        format=form,
        overwrite=options["overwrite"],
        skip_existing=options["skip_existing"],
        also_read=[stored.path for stored in batches],
        also_written=[options["report"]] if options["report"] else [],
    )
    settings = Batch.of(options)
    outcomes = dry_run(tasks, settings) if settings.dry_run else _unpad(batches, tasks, write, settings)
    return conclude(outcomes, settings)


def _unpad(
    batches: Sequence[StoredBatch], tasks: Sequence[Task], write: WriteOptions, settings: Batch
) -> list[Outcome]:
    """Write all rows, and say what became of them."""
    from convtool.jobs.padding.unpad import unpad
    from convtool.runs.local import cores

    talk = Talk.of(click.get_current_context())
    from convtool.cli.options import quiet_libraries

    quiet_libraries()
    outcomes: list[Outcome] = []
    lossy = sorted({row.signal.format for stored in batches for row in stored.rows} & LOSSY)
    if lossy and write.format is None:
        talk.note(f"Warning: {', '.join(lossy)} lose what they always do; --format wav --subtype FLOAT keeps every bit")
    with progress(len(tasks), settings, talk) as advance:
        for stored in batches:
            own = tasks[len(outcomes) : len(outcomes) + len(stored.rows)]
            for outcome in unpad(stored, own, write, threads=settings.jobs or cores()):
                advance()
                tell(outcome, talk, one=len(tasks) == 1)
                outcomes.append(outcome)
                if outcome.status == "failed" and settings.fail_fast:
                    return outcomes
    if len(tasks) > 1:
        tell_counts(outcomes, len(tasks), talk)
    return outcomes
