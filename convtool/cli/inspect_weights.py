"""`convtool inspect-weights`."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from convtool.cli import messages
from convtool.cli.options import MOST_HZ, arguments, choice, command, flag, given, integer, parsed, real, text
from convtool.errors import CheckFailed, ConvtoolError, InputError, UsageError
from convtool.files.names import counted, show
from convtool.files.urls import is_url

if TYPE_CHECKING:
    from convtool.jobs.inspection.checks import Finding
    from convtool.jobs.inspection.listing import Listing
    from convtool.weights.statistics import TensorStats

Framework = Literal["torch", "keras", "onnx"]
Narrow = Literal[
    "bfloat16",
    "float8_e4m3fn",
    "float8_e4m3fnuz",
    "float8_e5m2",
    "float8_e5m2fnuz",
    "float8_e8m0fnu",
    "float6_e2m3fn",
    "float6_e3m2fn",
    "float4_e2m1fn",
    "int4",
    "uint4",
    "int2",
    "uint2",
]


def _place(word: str) -> tuple[int, ...]:
    try:
        place = tuple(int(part) for part in word.split(","))
    except ValueError:
        place = ()
    if len(place) not in (1, 2) or min(place) < 0:
        raise ValueError(f"'{show(word)}' is no filter: give OUT or OUT,IN, such as 0 or 0,2")
    return place


@dataclass(frozen=True)
class Options:
    """The options of `inspect-weights`."""

    files: tuple[str, ...] = arguments("FILE...", required=True)
    stats: bool = flag("Add min, max, mean, std, zeros and non-finite values of each tensor.")
    tensor: str | None = text(
        "Print the numbers of this tensor; with --stats, --check or --json, list it alone.", metavar="NAME"
    )
    filter: tuple[int, ...] | None = parsed(
        _place, "Print one filter, or what it does to one input; both count from 0.", metavar="OUT[,IN]"
    )
    framework: Framework | None = choice(
        Framework, "Names, axes and order of recurrent gates as that framework has them.", "--as"
    )
    source: Framework | None = choice(
        Framework, "The layout of arrays whose file says nothing of it; with --as they are converted from it.", "--from"
    )
    void_as: Narrow | None = choice(
        Narrow, "The type of numbers in NPY, NPZ and HDF5 whose type NumPy lacks: the file has bytes without it."
    )
    gates: bool = flag("Split recurrent weights into their gates.")
    response: bool = flag("Frequency response of 1-D filters, in dB.")
    points: int | None = integer(
        "Frequencies of --response, from 0 to half the sample rate.  [default: 257]",
        least=2,
        most=1 << 20,
        metavar="N",
    )
    sample_rate: int | None = integer(
        "Gives --response frequencies in Hz.  [default: in cycles a sample]", least=1, most=MOST_HZ, metavar="HZ"
    )
    plot: str | None = text("Draw the filters, or with --response their responses.", metavar="FILE")
    output: str | None = text(
        "Write what would be printed to .npy or .csv; or all tensors to .safetensors, .npz or .pt.",
        "-o --output",
        metavar="FILE",
    )
    overwrite: bool = flag("Replace outputs that exist.")
    diff: str | None = text("Compare with another file; exit 3 where they differ.", metavar="OTHER")
    diff_from: Framework | None = choice(Framework, "With --diff: the layout of OTHER, as --from says that of FILE.")
    tolerance: float | None = real(
        "With --diff: values that far apart are the same.  [default: 0]", least=0, like="a finite number", metavar="X"
    )
    strip_prefix: str | None = text("With --diff: leave TEXT out of names that begin with it.", metavar="TEXT")
    ignore_dtype: bool = flag("With --diff: types that differ are told, and are no difference.")
    check: bool = flag("Exit 3 where a value is NaN or infinite, or where loading the file would call code.")
    sarif: str | None = text("With --check: write what was found as SARIF 2.1.0.", metavar="FILE")
    as_json: bool = flag("Print one JSON object a line for each file.", "--json")

    @property
    def is_whole(self) -> bool:
        """Whether `output` is a file of many tensors."""
        from convtool.files.formats import extension

        return self.output is not None and extension(self.output) in ("safetensors", "npz", "pt", "pth")

    @property
    def views(self) -> list[str]:
        """Those given that look at one tensor."""
        return given(self, "filter", "gates", "response", "output", "plot")

    @property
    def listings(self) -> list[str]:
        """Those given that look at all tensors."""
        return given(self, "stats", "check", "sarif", "as_json")

    @property
    def single(self) -> list[str]:
        """Those given that take one file."""
        return self.views + given(self, "diff") or ([] if self.listings else given(self, "tensor"))


@command("inspect-weights", Options)
def inspect_weights(options: Options) -> int:
    """What is in weight files: names, kinds, shapes, axes, filters. Nothing in them is ever run.

    Reads safetensors, torch's .pt, .pth and .pt2, Keras's .keras and .h5, ONNX, GGUF, NPZ, NPY, the JSON
    of recurrent models, and folders: distributed checkpoints, or what else is in them. The listing
    is made from headers alone; on a terminal, alike tensors of repeated layers share a row. What looks
    at one tensor takes the file's only fitting one, or --tensor.

    \b
    Examples:
      convtool inspect-weights model.safetensors
      convtool inspect-weights model.keras --as torch --stats
      convtool inspect-weights model.keras --filter 0
      convtool inspect-weights model.keras --tensor conv2d/kernel --plot filters.png
      convtool inspect-weights speech.pt --tensor conv1.weight --response --sample-rate 16000
      convtool inspect-weights model.pt --diff model.safetensors --tolerance 1e-6
    """
    paths, unreadable = _expanded(options.files, deep=not options.single)
    words = [*paths, *unreadable]
    _check(words, options)
    found: list[Finding] = []
    codes = {_tell_failure(folder, error, found) for folder, error in unreadable.items()}
    for path in paths:
        try:
            with messages.about(show(path), UsageError):
                _inspect(path, options, found, many=len(words) > 1)
        except (UsageError, BrokenPipeError, messages.PrintError):
            raise
        except Exception as error:
            codes.add(_tell_failure(path, error, found))
    if options.sarif is not None:
        from convtool import __version__
        from convtool.files.atomic import write_file
        from convtool.jobs.inspection.checks import sarif

        write_file(options.sarif, sarif(found, version=__version__), replace=options.overwrite)
    return 1 if 1 in codes else max(codes, default=0)


def _tell_failure(path: str, error: Exception, found: list[Finding]) -> int:
    """Say why the file at `path` failed, so that the others go on; gives the exit code."""
    from convtool.runs.run import explain

    messages.traceback_of(error)
    messages.error(f"{show(path)}: {explain(error)}")
    code = error.exit_code if isinstance(error, ConvtoolError) else 1
    if code == 1 and not any(each.path == path for each in found):
        from convtool.jobs.inspection.checks import Finding

        found.append(Finding("unreadable", path, explain(error)))
    return code


def _expanded(words: Sequence[str], *, deep: bool) -> tuple[list[str], dict[str, InputError]]:
    """The files that the words stand for, and what is wrong with folders that stand for none.

    Patterns are for shells that leave them to the program. Of a folder it is those below it too where they may be many.
    """
    paths: list[str] = []
    unreadable: dict[str, InputError] = {}
    for word in words:
        pattern = set(word) & set("*?[") and not (is_url(word) or os.path.lexists(word))
        for path in (sorted(glob.glob(word, recursive=True)) if pattern else []) or [word]:
            try:
                found = _of_store(path) if is_url(path) else [path]
                for each in found:
                    is_folder = each.endswith("/") if is_url(each) else os.path.isdir(each)
                    paths.extend(_of_folder(each, unreadable, deep=deep) if is_folder else [each])
            except InputError as error:
                unreadable[path] = error
    return paths, unreadable


def _of_folder(folder: str, unreadable: dict[str, InputError], *, deep: bool) -> list[str]:
    from convtool.arrays.opening import models_below, weight_files

    if not deep:
        return weight_files(folder)
    paths, unread = models_below(folder)
    unreadable.update(unread)
    return paths


def _of_store(url: str) -> list[str]:
    from convtool.files.remote import matching
    from convtool.files.urls import is_http

    return (matching(url) if set(url) & set("*?[") and not is_http(url) else []) or [url]


def _check(paths: Sequence[str], options: Options) -> None:
    """What can be refused before any file is opened."""
    views, listings = options.views, options.listings
    diff, tensor = given(options, "diff"), given(options, "tensor")
    if views and listings + diff:
        raise UsageError(f"{views[0]} looks at one tensor, {(listings + diff)[0]} at all; give one or the other")
    if diff and (options.check or options.stats or tensor):
        raise UsageError("--diff compares files; give --check, --stats and --tensor in a run of their own")
    if len(paths) > 1 and options.single:
        raise UsageError(f"{options.single[0]} takes one FILE; there are {len(paths)}")
    if options.is_whole and (part := given(options, "filter", "gates", "response", "plot")):
        raise UsageError(
            f"{part[0]} looks at one tensor; it is written as .npy or .csv, not {show(options.output or '')}"
        )
    if options.gates and (options.filter or options.response):
        raise UsageError("--gates splits recurrent weights, which have no filters; give one or the other")
    needs = (
        ("response", ["points", "sample_rate"]),
        ("diff", ["diff_from", "tolerance", "strip_prefix", "ignore_dtype"]),
        ("check", ["sarif"]),
    )
    for needed, names in needs:
        if not given(options, needed) and (lost := given(options, *names)):
            raise UsageError(f"{lost[0]} needs --{needed}")
    written = [(path, name) for path, name in ((options.plot, "--plot"), (options.sarif, "--sarif")) if path]
    if options.overwrite and not (options.output or written):
        raise UsageError("--overwrite needs -o, --plot or --sarif")
    if options.output or written:
        from convtool.jobs.inspection.export import check_outputs

        check_outputs(paths, options.output, written, overwrite=options.overwrite)


def _inspect(path: str, options: Options, found: list[Finding], *, many: bool) -> None:
    from convtool.arrays import open_weights
    from convtool.arrays.description import some
    from convtool.jobs.inspection.listing import list_weights

    with open_weights(path, void_as=options.void_as) as file:
        to, source, tensor = options.framework, options.source, options.tensor
        listing = list_weights(path, file, to=to, source=source, tensor=tensor)
        if options.diff is not None:
            from convtool.cli.show.differences import show_differences

            show_differences(listing, options.diff, options)
        elif options.output is not None and options.is_whole:
            from convtool.jobs.inspection.whole import export_all

            chosen = listing if tensor is None else listing.only(tensor)
            for note in chosen.notes:
                messages.warn(f"{show(path)}: {show(note)}")
            for note in export_all(options.output, chosen, overwrite=options.overwrite):
                messages.note(f"{show(options.output)}: {note}")
            if lost := [key for key in listing.file.metadata if key != "format"]:
                messages.detail(f"{show(options.output)}: without what the file says of itself: {some(lost)}")
        elif options.views or (tensor is not None and not options.listings):
            from convtool.cli.show.tensors import look

            look(listing, options)
        else:
            _list(listing if tensor is None else listing.only(tensor), options, found, many=many)


def _list(listing: Listing, options: Options, found: list[Finding], *, many: bool) -> None:
    """The listing, or nothing but the answer to --check; `found` takes what is wrong."""
    from convtool.cli.show.weights import show_listing
    from convtool.jobs.inspection.checks import calls, findings, unread, wrong

    damage, tensors = list(listing.file.damage), counted(len(listing.tensors), "tensor")
    called: list[str] = []
    stats: dict[str, TensorStats] = {}
    scales: dict[str, TensorStats] = {}
    lost = 0
    if options.stats or options.check:
        from convtool.jobs.inspection.listing import scale_statistics, statistics

        stats, unsound = statistics(listing)
        if options.check:
            scales, unknown = scale_statistics(listing)
            unsound += unknown
        lost, reasons = unread(listing, unsound, needed=not (options.check or stats))
        damage += reasons
    if options.check or options.as_json:
        called, unknown = calls(listing)
        damage += unknown
    checked = stats | {f"scales of {name}": found for name, found in scales.items()}
    found += findings(listing, checked, called, damage)
    if options.as_json:
        messages.out(listing.as_json(stats, called))
    elif options.stats or not options.check:
        show_listing(listing, stats if options.stats else None, many=many)
    for note in listing.notes:
        messages.warn(f"{show(listing.path)}: {show(note)}")
    fault = wrong(checked, called) if options.check else ""
    for reason in [*damage, *([fault] if damage and fault else [])]:
        messages.error(f"{show(listing.path)}: {reason}")
    if damage:
        raise InputError(f"{f'{lost} of {tensors}' if lost else 'a part of it'} can't be read")
    if fault:
        raise CheckFailed(fault)
    if not any(each.tensor.is_known for each in listing.tensors):
        raise InputError("nothing in it can be read" if listing.tensors else "there are no tensors in it")
    if options.check:
        by_scales = f" ({len(scales)} by the scales of their blocks)" if scales else ""
        told = f"{counted(len(checked), 'tensor')}{by_scales}, every value is finite, and it wants to call nothing"
        messages.note(f"{show(listing.path)}: {told}")
