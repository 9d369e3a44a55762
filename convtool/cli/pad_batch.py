"""`convtool pad-batch`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar, Literal

from convtool.cli import messages
from convtool.cli.options import MOST_HZ, choice, command, flag, given, integer, parsed, real, text
from convtool.cli.running import (
    cluster_workers,
    conclude,
    progress,
    reported_if_stopped,
    tell,
    tell_counts,
    tell_passed,
    tell_unheeded,
)
from convtool.cli.shared_options import ClusterOptions, Dtype, SourceOptions, length
from convtool.errors import Terminated, UsageError
from convtool.files.names import counted, show

if TYPE_CHECKING:
    from convtool.jobs.padding.labels import Labels
    from convtool.jobs.padding.pad import PadBatch, Write, Written
    from convtool.jobs.padding.rows import Row
    from convtool.jobs.padding.store import BatchStore, Plan
    from convtool.runs.outcome import Outcome
    from convtool.signals.inputs import Input
    from convtool.signals.length import Length

Strategy = Literal["pad", "group", "bucket", "single"]
PaddingMode = Literal["constant", "reflect", "replicate", "circular"]
_Truncate = Literal["start", "end"]
_Side = Literal["left", "right"]
_Sort = Literal["none", "length"]
_Layout = Literal["NCT", "NTC"]
_Pool = Literal["max", "mean", "std"]
_Last = Literal["pad", "drop"]
_Shards = Literal["npy", "tar"]


def _shares(word: str) -> tuple[Fraction, ...]:
    from convtool.jobs.padding.splitting import parse_shares

    return parse_shares(word)


@dataclass(frozen=True)
class Options(ClusterOptions, SourceOptions):
    """The options of `pad-batch`."""

    RAW_ONLY: ClassVar[tuple[str, ...]] = ("skip_bytes",)

    output: str | None = text(
        "One batch in a .npz, .safetensors or .pt file, or a folder of shards.", "-o --output", metavar="BATCH"
    )
    strategy: Strategy = choice(
        Strategy, "All in order; equal lengths together; similar lengths together; each alone.", default="pad"
    )
    batch_size: int | None = integer("Rows of a batch, at most.", least=1, metavar="N")
    max_samples: int | None = integer("Rows x longest of a batch, at most.", least=1, metavar="N")
    max_length: Length | None = parsed(length, "Samples of a row; longer inputs are refused.", metavar="N|TIME")
    truncate: _Truncate | None = choice(_Truncate, "With --max-length: cut off that end of longer inputs.")
    segment: Length | None = parsed(length, "Cut inputs into rows of this length.", metavar="N|TIME")
    hop: Length | None = parsed(
        length,
        "With --segment: how far from one to the next.  [default: its length]",
        metavar="N|TIME",
    )
    last: _Last = choice(_Last, "With --segment: pad the last, shorter one, or leave it out.", default="pad")
    manifest: str | None = text(
        "Take the inputs from a table, CSV or JSON lines, with a column path or audio_filepath; its other columns come "
        "along.",
        metavar="FILE",
    )
    split: tuple[Fraction, ...] | None = parsed(
        _shares,
        "Write train, valid and test (of two shares train and test) below the folder; where an input goes hangs on its "
        "name and --seed alone.",
        metavar="SHARES",
    )
    side: _Side = choice(_Side, "Where padding stands: before the samples, or after them.", default="right")
    value: float = real("What constant padding holds.", default=0.0)
    padding_mode: PaddingMode = choice(PaddingMode, "What padding is made of.", default="constant")
    multiple_of: int = integer("Pad on to a multiple of N samples.", least=1, default=1, metavar="N")
    layout: _Layout = choice(
        _Layout,
        "Axes of the batch: (batch, channels, time) for torch, (batch, time, channels) for Keras.",
        default="NCT",
    )
    mono: bool = flag("Take the mean of each input's channels.")
    channels: int | None = integer(
        "Repeat a mono input for N channels; of more channels keep the first N. Raw numbers have N channels.",
        least=1,
        most=1024,
        metavar="N",
    )
    resample: int | None = integer("Bring all inputs to this rate.", least=1, most=MOST_HZ, metavar="HZ")
    sort: _Sort = choice(_Sort, "Order of the rows: as given, or from short to long.", default="none")
    seed: int | None = integer(
        "Shuffle the order of the batches, the same way for the same N; and another --split for each N.", metavar="N"
    )
    pool: _Pool | None = choice(_Pool, "Add the pooled samples of every row.")
    shards: _Shards = choice(
        _Shards,
        "What a folder holds: NPY arrays of whole batches, or WebDataset archives of single rows.",
        default="npy",
    )
    mask: bool = flag("Write masks into a folder too; a single file always has one.")
    dtype: Dtype | None = choice(Dtype, "Of the batch.  [default: the inputs']")
    plot: str | None = text("Draw the lengths of the inputs and the padding of the batches.", metavar="FILE")
    overwrite: bool = flag("Replace a batch that exists.")
    skip_existing: bool = flag("Leave a batch that exists as it is.")


@command("pad-batch", Options)
def pad_batch(options: Options) -> int:
    """Recordings of different lengths in batches that a network takes: padded, with lengths and masks.

    A file holds the arrays batch, lengths and mask (true on real samples) and names, the inputs in
    row order; a folder has 00000.npy, 00000.lengths.npy... and manifest.json, and a run that was
    interrupted is completed by the same command. With --shards tar it has 00000.tar..., and each row
    is a sample of WebDataset: KEY.npy, as it lies in the batch, KEY.mask.npy and KEY.pooled.npy where
    asked for, and KEY.json with file, length, sample_rate, and start and labels where there are some.
    Signals are never whole in memory.

    \b
    Examples:
      convtool pad-batch 4,5 1,2,3 6 -o batch.npz
      convtool pad-batch takes/ -o batch.safetensors --mono --resample 16000
      convtool pad-batch takes/ -o shards/ --strategy bucket --batch-size 64 --mask
      convtool pad-batch takes/ --strategy bucket --max-samples 5000000 --dry-run
      convtool pad-batch takes/ -o samples/ --shards tar --batch-size 256 --multiple-of 16000
      convtool pad-batch takes/ -o minutes/ --segment 10s --hop 5s --batch-size 32
      convtool pad-batch --manifest train.csv -o labelled/ --split 0.8,0.1,0.1 --batch-size 32
    """
    from convtool.jobs.copies import Copies
    from convtool.jobs.padding.outcomes import skipped

    _check(options)
    inputs, labels, passed = _inputs(options)
    tell_passed(passed)
    messages.quiet_libraries()
    outcomes: list[Outcome] = []
    left: list[Part] = []
    for part in _parts(inputs, labels, options):
        if _stands(part):
            messages.note(f"{show(str(part.options.output))} exists; left as it is")
            outcomes += skipped(part.inputs, str(part.options.output))
        else:
            left.append(part)
    replaces = options.overwrite or options.skip_existing
    with reported_if_stopped(options, replace=replaces) as ended:

        def stopped(last: Mapping[int, Outcome]) -> None:
            ended.update(enumerate([*outcomes, *(last[index] for index in sorted(last))]))

        for part in left:
            with Copies() as copies:  # lengths are read before samples
                outcomes += _run(part, copies.of, stopped)
            stopped({})
    tell_unheeded(outcomes)
    if left and not options.dry_run:
        tell_counts(outcomes, len(inputs))
    return conclude(outcomes, options, replace=replaces)


@dataclass(frozen=True)
class Part:
    """The inputs that go to one place, and what is to be done with them."""

    inputs: Sequence[Input]
    labels: Labels
    options: Options


def _inputs(options: Options) -> tuple[list[Input], Labels, list[str]]:
    """The inputs, what a manifest says of them, and the files of folders that are none."""
    from convtool.jobs.padding.labels import Labels, read_labels
    from convtool.jobs.padding.target import without_own

    if options.manifest is not None:
        inputs, labels = read_labels(options.manifest)
        for column in labels.starts:
            messages.warn(f"{show(options.manifest)}: {column} is taken for a label; every recording is taken whole")
        return inputs, labels, []
    inputs, passed = options.find_inputs()
    for place in _places(options):
        inputs, own = without_own(inputs, place)
        passed += own
    return inputs, Labels(), passed


def _places(options: Options) -> list[str]:
    """The files or folders that are written."""
    from convtool.jobs.padding.splitting import names_of

    if options.output is None:
        return []
    if options.split is None:
        return [options.output]
    return [os.path.join(options.output, name, "") for name in names_of(options.split)]


def _parts(inputs: Sequence[Input], labels: Labels, options: Options) -> list[Part]:
    """The inputs by the place that they go to; a part that would be empty is told, and left out."""
    from convtool.jobs.padding.labels import Labels
    from convtool.jobs.padding.splitting import names_of, parts_of

    if options.split is None:
        return [Part(inputs, labels, options)]
    numbers = parts_of(inputs, options.split, options.seed or 0)
    parts = []
    for number, name in enumerate(names_of(options.split)):
        chosen = [index for index, each in enumerate(numbers) if each == number]
        if not chosen:
            messages.warn(f"no input falls into {name}: {counted(len(inputs), 'input')} are too few for that share")
            continue
        output = None if options.output is None else os.path.join(options.output, name, "")
        rows = [labels.rows[index] for index in chosen] if labels.rows else ()
        part = replace(options, output=output)
        parts.append(Part([inputs[index] for index in chosen], Labels(labels.dtypes, rows), part))
    return parts


def _stands(part: Part) -> bool:
    """Whether the batch is there, and is to be left."""
    from convtool.jobs.padding.target import stands

    options = part.options
    if options.output is None:
        return False
    also_written = {"--report": options.report, "--plot": options.plot}
    return stands(options.output, part.inputs, also_written, overwrite=options.overwrite, skip=options.skip_existing)


def _check(options: Options) -> None:
    """What can be refused before any input is looked for."""
    from convtool.jobs.padding.target import is_folder

    if options.output is None and not options.dry_run:
        raise UsageError("say where the batch goes: -o batch.npz, or a folder, -o batches/; or look with --dry-run")
    if options.truncate and options.max_length is None:
        raise UsageError(f"--truncate {options.truncate} needs --max-length")
    if options.segment is None and (found := given(options, "hop", "last")):
        raise UsageError(f"{found[0]} needs --segment")
    if options.segment is not None and (found := given(options, "max_length", "multiple_of")):
        raise UsageError(f"{found[0]}: with --segment all rows have its length; leave one of them out")
    if options.manifest is not None and (found := given(options, "inputs", "input_list", "include", "exclude")):
        raise UsageError(f"--manifest names the inputs, and so does {found[0]}; give one of them")
    if options.split is not None:
        if options.plot:
            raise UsageError("--plot draws one set of batches; leave out --split")
        if options.output is not None and not is_folder(options.output):
            raise UsageError(f"--split writes several folders, and -o {show(options.output)} is a file; name a folder")
    if options.mono and options.channels and options.raw_layout() is None:
        raise UsageError("--mono makes one channel; give it, or --channels")
    if options.value and options.padding_mode != "constant":
        raise UsageError(f"--value {options.value:g} is for --padding-mode constant")
    if options.plot:
        from convtool.plots import picture_format

        picture_format(options.plot)
    if options.output is not None and not is_folder(options.output) and given(options, "shards"):
        raise UsageError(
            f"--shards is for folders, and -o {show(options.output)} is a file; name a folder, or leave it out"
        )


def _job(options: Options, labels: Labels) -> PadBatch:
    from convtool.jobs.padding.pad import Grouping, PadBatch
    from convtool.jobs.padding.rows import RowOptions
    from convtool.jobs.padding.writing import Padding

    return PadBatch(
        rows=RowOptions(
            dtype=options.dtype,
            mono=options.mono,
            channels=options.channels,
            resample=options.resample,
            max_length=options.max_length,
            truncate=options.truncate,
            segment=options.segment,
            hop=options.hop,
            last=options.last,
            read=options.read_options("NCT", options.dtype).for_lengths(
                options.max_length, options.segment, options.hop
            ),
        ),
        grouping=Grouping(
            strategy=options.strategy,
            batch_size=options.batch_size,
            max_samples=options.max_samples,
            multiple_of=options.multiple_of,
            sort=options.sort,
            seed=options.seed,
        ),
        padding=Padding(
            side=options.side,
            value=options.value,
            mode=options.padding_mode,
            layout=options.layout,
            pool=options.pool,
        ),
        labels=labels,
    )


def _run(part: Part, copy: Callable[[Input], Input], ended: Callable[[Mapping[int, Outcome]], None]) -> list[Outcome]:
    """Measure, plan, and write or only tell; what became of the inputs. A signal lets `ended` know what has by then."""
    from convtool.jobs.padding.outcomes import outcomes_of, outcomes_so_far
    from convtool.jobs.padding.pad import Written
    from convtool.runs.local import cores
    from convtool.runs.run import WorkLost

    inputs, options = part.inputs, part.options
    job = _job(options, part.labels)
    with progress(len(inputs), options) as planned:
        rows, failures = job.measure(inputs, copy, fail_fast=options.fail_fast, done=planned.end)
    plan: Plan | None = None
    written: Written | None = None
    store: BatchStore | None = None
    if rows and not (failures and options.fail_fast):
        plan = job.plan(rows)
        if not options.dry_run:
            store = _store(job, options)
            written = Written()
            with progress(len(rows), options) as shown, _cluster(job, rows, options) as write:
                try:
                    threads = options.jobs or cores()
                    job.run(rows, store, threads=threads, done=shown.end, written=written, write=write)
                except (KeyboardInterrupt, Terminated, WorkLost):
                    ended(outcomes_so_far(inputs, failures, store, written))
                    raise
            plan, failures = written.plan, failures + written.failures
        elif not options.as_json:
            from convtool.cli.show.batches import show_plan

            show_plan(plan)
        if options.plot and plan is not None and not options.dry_run:
            _draw(options.plot, plan, overwrite=options.overwrite)
    outcomes = outcomes_of(inputs, plan, failures, store, written)
    for outcome in outcomes:
        if outcome.error or outcome.notes or messages.asked_for("verbose"):
            tell(outcome, one=len(inputs) == 1)
    return outcomes


@contextmanager
def _cluster(job: PadBatch, rows: Sequence[Row], options: Options) -> Iterator[Write | None]:
    """What writes shards on the cluster that was asked for; a single file is written here."""
    from convtool.jobs.padding.target import is_folder

    folder = str(options.output)
    if options.cluster is None or not is_folder(folder):
        yield None
        return
    from convtool.files.urls import is_url
    from convtool.jobs.padding.spreading import ShardJob, tasks_of, writing_on

    with cluster_workers(tasks_of(rows, folder), options) as workers:
        place = folder if is_url(folder) else os.path.abspath(folder)
        yield writing_on(workers, ShardJob(job, place, options.shards, options.mask))


def _store(job: PadBatch, options: Options) -> BatchStore:
    from convtool.jobs.padding.store import ShardFolder, SingleFile
    from convtool.jobs.padding.target import is_folder

    path = str(options.output)
    if not is_folder(path):
        return SingleFile(path, job.padding, overwrite=options.overwrite)
    return ShardFolder(
        path, job.padding, kind=options.shards, mask=options.mask, overwrite=options.overwrite, request=repr(job)
    )


def _draw(path: str, plan: Plan, *, overwrite: bool) -> None:
    from convtool.files.atomic import write_file
    from convtool.plots import picture_format, render_lengths

    lengths = [row.length for row in plan.rows]
    batches = [([lengths[index] for index in batch.rows], batch.longest) for batch in plan.batches]
    rate = plan.rows[0].sample_rate
    picture = render_lengths(batches, sample_rate=rate, format=picture_format(path))
    write_file(path, picture, replace=overwrite)
