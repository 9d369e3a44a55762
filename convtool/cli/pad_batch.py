"""`convtool pad-batch`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from convtool.cli.batch_target import is_folder, is_left, without_own
from convtool.cli.options import (
    LENGTH,
    Io,
    Talk,
    batch_options,
    source_options,
    talk_options,
)
from convtool.cli.running import Batch, conclude, progress, tell, tell_counts, tell_passed
from convtool.errors import UsageError

if TYPE_CHECKING:
    from convtool.jobs.padding.pad import Failure, PadBatch, Written
    from convtool.jobs.padding.store import BatchStore, Plan
    from convtool.runs.outcome import Outcome
    from convtool.signals.inputs import Input


@click.command("pad-batch")
@source_options
@click.option(
    "-o",
    "--output",
    metavar="BATCH",
    help="One batch in a .npz, .safetensors or .pt file, or a folder of shards.",
)
@click.option(
    "--strategy",
    type=click.Choice(["pad", "group", "bucket", "single"]),
    default="pad",
    show_default=True,
    help="All in order; equal lengths together; similar lengths together; each alone.",
)
@click.option("--batch-size", type=click.IntRange(1), metavar="N", help="Rows of a batch, at most.")
@click.option("--max-samples", type=click.IntRange(1), metavar="N", help="Rows x longest of a batch, at most.")
@click.option("--max-length", type=LENGTH, metavar="N|TIME", help="Samples of a row; longer inputs are refused.")
@click.option(
    "--truncate", type=click.Choice(["start", "end"]), help="With --max-length: cut off that end of longer inputs."
)
@click.option(
    "--side",
    type=click.Choice(["left", "right"]),
    default="right",
    show_default=True,
    help="Where padding stands: before the samples, or after them.",
)
@click.option("--value", type=float, default=0.0, show_default=True, help="What constant padding holds.")
@click.option(
    "--padding-mode",
    type=click.Choice(["constant", "reflect", "replicate", "circular"]),
    default="constant",
    show_default=True,
    help="What padding is made of.",
)
@click.option(
    "--multiple-of",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    metavar="N",
    help="Pad on to a multiple of N samples.",
)
@click.option(
    "--layout",
    type=click.Choice(["NCT", "NTC"]),
    default="NCT",
    show_default=True,
    help="Axes of the batch: (batch, channels, time) for torch, (batch, time, channels) for Keras.",
)
@click.option("--mono", is_flag=True, help="Take the mean of each input's channels.")
@click.option(
    "--channels",
    type=click.IntRange(1, 1024),
    metavar="N",
    help="Repeat a mono input for N channels; of more channels keep the first N.",
)
@click.option("--resample", type=click.IntRange(1, (1 << 31) - 1), metavar="HZ", help="Bring all inputs to this rate.")
@click.option(
    "--sort",
    type=click.Choice(["none", "length"]),
    default="none",
    show_default=True,
    help="Order of the rows: as given, or from short to long.",
)
@click.option("--seed", type=int, metavar="N", help="Shuffle the order of the batches, the same way for the same N.")
@click.option("--pool", type=click.Choice(["max", "mean", "std"]), help="Add the pooled samples of every row.")
@click.option("--mask", is_flag=True, help="Write masks into a folder too; a single file always has one.")
@click.option("--dtype", type=click.Choice(["float32", "float64"]), help="Of the batch.  [default: the inputs']")
@click.option("--plot", metavar="FILE", help="Draw the lengths of the inputs and the padding of the batches.")
@click.option("--overwrite", is_flag=True, help="Replace a batch that exists.")
@click.option("--skip-existing", is_flag=True, help="Leave a batch that exists as it is.")
@batch_options
@talk_options
def command(**options: Any) -> int:
    """Recordings of different lengths in batches that a network takes: padded, with lengths and masks.

    A file holds the arrays batch, lengths and mask (true on real samples) and names, the inputs in
    row order; a folder has 00000.npy, 00000.lengths.npy... and manifest.json, and a run that was
    interrupted is completed by the same command. Signals are never whole in memory.

    \b
    Examples:
      convtool pad-batch 4,5 1,2,3 6 -o batch.npz
      convtool pad-batch takes/ -o batch.safetensors --mono --resample 16000
      convtool pad-batch takes/ -o shards/ --strategy bucket --batch-size 64 --mask
      convtool pad-batch takes/ --strategy bucket --max-samples 5000000 --dry-run
    """
    io = Io.of({**options, "layout": "NCT", "format": None, "subtype": None})
    talk = Talk.of(click.get_current_context())
    _check(options)
    inputs, passed = io.find()
    if options["output"] is not None:
        inputs, own = without_own(inputs, options["output"])
        passed += own
        if is_left(inputs, options, talk):
            return 0
    tell_passed(passed, talk)
    from convtool.cli.options import quiet_libraries

    quiet_libraries()
    with ExitStack() as stack:
        return _run(inputs, _copies(inputs, stack), _job(options, io), options, talk)


def _check(options: dict[str, Any]) -> None:
    """What can be refused before any input is looked for."""
    if options["output"] is None and not options["dry_run"]:
        raise UsageError("say where the batch goes: -o batch.npz, or a folder, -o batches/; or look with --dry-run")
    if options["truncate"] and options["max_length"] is None:
        raise UsageError(f"--truncate {options['truncate']} needs --max-length")
    if options["mono"] and options["channels"]:
        raise UsageError("--mono makes one channel; give it, or --channels")
    if options["value"] and options["padding_mode"] != "constant":
        raise UsageError(f"--value {options['value']:g} is for --padding-mode constant")
    if options["plot"]:
        from convtool.plots import picture_format

        picture_format(options["plot"])
    if options["output"] is not None:
        is_folder(options["output"])


def _copies(inputs: Sequence[Input], stack: ExitStack) -> dict[int, Input]:
    """Lengths are read before samples: temporary files of what comes through pipes, by the inputs' indices."""
    from convtool.files.atomic import is_special
    from convtool.jobs.signal_job import rereadable

    return {
        index: stack.enter_context(rereadable(item))
        for index, item in enumerate(inputs)
        if item.kind == "stdin" or (item.kind == "file" and is_special(item.value))
    }


def _job(options: dict[str, Any], io: Io) -> PadBatch:
    from convtool.jobs.padding.pad import Grouping, PadBatch
    from convtool.jobs.padding.rows import RowOptions
    from convtool.jobs.padding.writing import Padding

    def chosen(*names: str) -> dict[str, Any]:
        return {name: options[name] for name in names}

    limit = options["max_length"][0] if options["max_length"] else None
    rows = chosen("dtype", "mono", "channels", "resample", "truncate")
    return PadBatch(
        rows=RowOptions(**rows, max_length=limit, read=io.reading()),
        grouping=Grouping(**chosen("strategy", "batch_size", "max_samples", "multiple_of", "sort", "seed")),
        padding=Padding(**chosen("side", "value", "layout", "pool"), mode=options["padding_mode"]),
    )


def _run(inputs: Sequence[Input], copies: dict[int, Input], job: PadBatch, options: dict[str, Any], talk: Talk) -> int:
    """Measure, plan, and write or only tell; the exit code."""
    from convtool.runs.local import cores

    batch = Batch.of(options)
    rows, failures = job.measure(inputs, copies, fail_fast=batch.fail_fast)
    plan: Plan | None = None
    written: Written | None = None
    store: BatchStore | None = None
    if rows and not (failures and batch.fail_fast):
        plan = job.plan(rows)
        if batch.dry_run:
            _show(plan, batch)
        else:
            store = _store(job, options)
            with progress(len(rows), batch, talk) as advance:
                written = job.run(rows, store, threads=batch.jobs or cores(), done=advance)
            plan, failures = written.plan, failures + written.failures
        if options["plot"] and plan is not None:
            _draw(options["plot"], plan)
    outcomes = _outcomes(inputs, plan, failures, store, written)
    for outcome in outcomes:
        if outcome.error or outcome.notes or talk.verbose:
            tell(outcome, talk, one=len(inputs) == 1)
    if len(inputs) > 1 and not batch.dry_run:
        tell_counts(outcomes, len(inputs), talk)
    return conclude(outcomes, batch)


def _store(job: PadBatch, options: dict[str, Any]) -> BatchStore:
    from convtool.jobs.padding.store import ShardFolder, SingleFile

    if not is_folder(options["output"]):
        return SingleFile(options["output"], job.padding)
    return ShardFolder(
        options["output"], job.padding, mask=options["mask"], overwrite=options["overwrite"], request=repr(job)
    )


def _show(plan: Plan, batch: Batch) -> None:
    if not batch.as_json:
        from convtool.cli.show.batches import show_plan

        show_plan(plan)


def _outcomes(
    inputs: Sequence[Input],
    plan: Plan | None,
    failures: Sequence[Failure],
    store: BatchStore | None,
    written: Written | None,
) -> list[Outcome]:
    """What became of each input; without a store, what would."""
    from convtool.runs.outcome import Outcome
    from convtool.runs.plan import Task
    from convtool.runs.run import failure

    failed = {id(each.input): each for each in failures}
    placed = {} if plan is None else {id(row.input): (number, row) for number, _, row in plan.placed()}
    results = {} if written is None else {id(result.row): result for result in written.results}
    outcomes = []
    for index, item in enumerate(inputs):
        if id(item) in failed:
            outcomes.append(failure(Task(index, item, None), failed[id(item)].error))
        elif id(item) in placed:
            number, row = placed[id(item)]
            result = results.get(id(row))
            status = "planned" if store is None else "written" if result else "skipped"
            outcome = Outcome.of(Task(index, item, None if store is None else store.place(number)), status)
            outcome.channels, outcome.samples, outcome.sample_rate = row.channels, row.length, row.sample_rate
            if result is not None:
                outcome.seconds, outcome.notes = result.seconds, result.notes
            outcomes.append(outcome)
    return outcomes


def _draw(path: str, plan: Plan) -> None:
    from convtool.files.atomic import write_file
    from convtool.plots import picture_format, render_lengths

    lengths = [row.length for row in plan.rows]
    batches = [([lengths[index] for index in batch.rows], batch.longest) for batch in plan.batches]
    rate = plan.rows[0].sample_rate
    write_file(path, render_lengths(batches, sample_rate=rate, format=picture_format(path)))
