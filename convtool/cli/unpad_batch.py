"""`convtool unpad-batch`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from convtool.cli import messages
from convtool.cli.options import argument, command, flag, text
from convtool.cli.running import conclude, dry_run, progress, reported_if_stopped, tell, tell_clipping, tell_counts
from convtool.cli.shared_options import RunOptions, write_options
from convtool.files.names import show

if TYPE_CHECKING:
    from convtool.jobs.padding.reading import StoredBatch
    from convtool.runs.outcome import Outcome
    from convtool.runs.plan import Task
    from convtool.signals.opening import WriteOptions

LOSSY = {"MP3", "OGG"}
"""Formats that do not give back the samples that were put in."""


@dataclass(frozen=True)
class Options(RunOptions):
    """The options of `unpad-batch`."""

    batch: str = argument("BATCH")
    output: str = text(
        "DIR/, or a template with {stem} {ext} {name} {parent} {index}.",
        "-o --output",
        metavar="PATH",
        required=True,
    )
    format: str | None = text("Format of the signals.  [default: what each was]", metavar="FORMAT")
    subtype: str | None = text("Encoding inside an audio format.  [default: what each was]", metavar="NAME")
    overwrite: bool = flag("Replace outputs that exist.")
    skip_existing: bool = flag("Leave outputs that are there and complete, and do the others.")


@command("unpad-batch", Options)
def unpad_batch(options: Options) -> int:
    """The signals of a batch as they were before padding, under their own names and in their formats.

    BATCH is a file or a folder that pad-batch wrote, or any .npz, .safetensors or .pt file with arrays
    batch and lengths. Lossy formats are encoded anew: --format wav --subtype FLOAT keeps the samples.

    \b
    Examples:
      convtool unpad-batch batch.npz -o signals/
      convtool unpad-batch shards/ -o waves/ --format wav --subtype FLOAT
    """
    from convtool.jobs.padding.reading import read_batches
    from convtool.jobs.padding.unpad import Rehearsal
    from convtool.runs.plan import plan
    from convtool.signals.opening import check_subtypes

    write = write_options(options.format, options.subtype, overwrite=options.overwrite)
    with messages.about(show(options.batch)):
        batches = read_batches(options.batch)
    signals = {row.unit: row.item for stored in batches for row in stored.rows}
    tasks = plan(
        [signals[unit] for unit in range(len(signals))],
        options.output if "{" in options.output else os.path.join(options.output, ""),
        format=write.format,
        overwrite=options.overwrite,
        skip_existing=options.skip_existing,
        also_read=[stored.path for stored in batches],
        also_written=[options.report] if options.report else [],
    )
    check_subtypes((task.output for task in tasks), write)
    if options.dry_run:
        outcomes = dry_run(tasks, options, Rehearsal([row for stored in batches for row in stored.rows], write))
    else:
        outcomes = _unpad(batches, tasks, write, options)
    return conclude(outcomes, options, replace=options.overwrite or options.skip_existing)


def _unpad(
    batches: Sequence[StoredBatch], tasks: Sequence[Task], write: WriteOptions, options: Options
) -> list[Outcome]:
    """Write all rows, and say what became of them."""
    from convtool.jobs.padding.unpad import Parts, unpad
    from convtool.runs.local import cores

    messages.quiet_libraries()
    outcomes: list[Outcome] = []
    lossy = sorted({row.signal.format for stored in batches for row in stored.rows} & LOSSY)
    if lossy and write.format is None:
        lose = "lose what they always do" if len(lossy) > 1 else "loses what it always does"
        messages.warn(f"{', '.join(lossy)} {lose}; --format wav --subtype FLOAT keeps every bit")
    with (
        reported_if_stopped(options, replace=options.overwrite or options.skip_existing) as ended,
        progress(len(tasks), options) as shown,
        Parts(batches) as parts,
    ):
        for stored in batches:
            own = [tasks[row.unit] for row in stored.rows]
            for outcome in unpad(stored, own, write, parts, threads=options.jobs or cores()):
                ended[len(outcomes)] = outcome
                shown.end()
                tell(outcome, one=len(tasks) == 1)
                outcomes.append(outcome)
                if outcome.status == "failed" and options.fail_fast:
                    return outcomes
    tell_clipping(outcomes, lambda _: [])
    tell_counts(outcomes, len(tasks))
    return outcomes
