"""`convtool inspect-weights`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from convtool.cli.options import Talk, talk_options
from convtool.errors import CheckFailed, ConvtoolError, InputError, UsageError

if TYPE_CHECKING:
    from convtool.jobs.inspection.listing import Listing
    from convtool.weights.statistics import TensorStats

_VIEWS = ("filter_", "gates", "response", "output", "plot")
_LISTINGS = ("stats", "check", "as_json")
_NEEDS = {"response": ["points", "sample_rate"], "diff": ["tolerance", "strip_prefix"]}
_SPELLED = {
    "filter_": "--filter",
    "as_json": "--json",
    "output": "-o",
    "sample_rate": "--sample-rate",
    "strip_prefix": "--strip-prefix",
}


def _place(_: click.Context, param: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    if value is None:
        return None
    try:
        place = tuple(int(part) for part in value.split(","))
    except ValueError:
        place = ()
    if len(place) not in (1, 2) or min(place) < 0:
        from convtool.files.names import show

        raise click.BadParameter(f"'{show(value)}' is no filter: give OUT or OUT,IN, such as 0 or 0,2", param=param)
    return place


@click.command("inspect-weights")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--stats", is_flag=True, help="Add min, max, mean, std, zeros and non-finite values of each tensor.")
@click.option(
    "--tensor", metavar="NAME", help="Print the numbers of this tensor; with --stats, --check or --json, list it alone."
)
@click.option(
    "--filter",
    "filter_",
    metavar="OUT[,IN]",
    callback=_place,
    help="Print one filter, or what it does to one input; both count from 0.",
)
@click.option(
    "--as",
    "to",
    type=click.Choice(["torch", "keras", "onnx"]),
    help="Names, axes and order of recurrent gates as that framework has them.",
)
@click.option("--gates", is_flag=True, help="Split recurrent weights into their gates.")
@click.option("--response", is_flag=True, help="Frequency response of 1-D filters, in dB.")
@click.option(
    "--points",
    type=click.IntRange(2, 1 << 20),
    metavar="N",
    help="Frequencies of --response, from 0 to half the sample rate.  [default: 257]",
)
@click.option(
    "--sample-rate",
    type=click.IntRange(1, (1 << 31) - 1),
    metavar="HZ",
    help="Gives --response frequencies in Hz.  [default: in cycles a sample]",
)
@click.option("--plot", metavar="FILE", help="Draw the filters, or with --response their responses.")
@click.option("-o", "--output", metavar="FILE", help="Write what would be printed to an NPY or CSV file.")
@click.option("--overwrite", is_flag=True, help="Replace outputs that exist.")
@click.option("--diff", metavar="OTHER", help="Compare with another file; exit 3 where they differ.")
@click.option(
    "--tolerance",
    type=click.FloatRange(0),
    metavar="X",
    help="With --diff: values that far apart are the same.  [default: 0]",
)
@click.option("--strip-prefix", metavar="TEXT", help="With --diff: leave TEXT out of names that begin with it.")
@click.option("--check", is_flag=True, help="Exit 3 where a value is NaN or infinite.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line for each file.")
@talk_options
def command(files: Sequence[str], **options: Any) -> int:
    """What is in weight files: names, kinds, shapes, axes, filters. Nothing in them is ever run.

    Reads safetensors, torch's .pt and .pth, Keras's .keras and .h5, ONNX, NPZ, NPY, and the JSON of
    recurrent models. The listing is made from headers alone; on a terminal, alike tensors of repeated
    layers share a row. What looks at one tensor takes the file's only fitting one, or --tensor.

    \b
    Examples:
      convtool inspect-weights model.safetensors
      convtool inspect-weights model.keras --as torch --stats
      convtool inspect-weights model.keras --filter 0
      convtool inspect-weights model.keras --tensor conv2d/kernel --plot filters.png
      convtool inspect-weights speech.pt --tensor conv1.weight --response --sample-rate 16000
      convtool inspect-weights model.pt --diff model.safetensors --tolerance 1e-6
    """
    paths = _expanded(files)
    _check(paths, options)
    talk = Talk.of(click.get_current_context())
    codes = set()
    for path in paths:
        try:
            _inspect(path, options, talk, many=len(paths) > 1)
        except (UsageError, BrokenPipeError):
            raise
        except Exception as error:
            codes.add(_tell_failure(path, error, talk))
    return 1 if 1 in codes else max(codes, default=0)


def _tell_failure(path: str, error: Exception, talk: Talk) -> int:
    """Say why the file at `path` failed, so that the others go on; gives the exit code."""
    from convtool.files.names import show
    from convtool.runs.run import explain

    if talk.debug:
        import traceback

        click.echo("".join(traceback.format_exception(error)), err=True)
    talk.error(f"{show(path)}: {explain(error)}")
    return error.exit_code if isinstance(error, ConvtoolError) else 1


def _expanded(words: Sequence[str]) -> list[str]:
    """The files that the words stand for: patterns are for shells that leave them to the program."""
    import os

    paths = []
    for word in words:
        found = []
        if set(word) & set("*?[") and not os.path.lexists(word):
            import glob

            found = sorted(glob.glob(word, recursive=True))
        paths.extend(found or [word])
    return paths


def _given(options: dict[str, Any], names: Sequence[str]) -> list[str]:
    """Those of the options `names` that were given, as they are spelled."""
    given = (name for name in names if options[name] is not None and options[name] is not False)
    return [_SPELLED.get(name, f"--{name}") for name in given]


def _check(paths: Sequence[str], options: dict[str, Any]) -> None:
    """What can be refused before any file is opened."""
    views, listings, diff = (_given(options, names) for names in (_VIEWS, _LISTINGS, ("diff",)))
    if views and listings + diff:
        raise UsageError(f"{views[0]} looks at one tensor, {(listings + diff)[0]} at all; give one or the other")
    if diff and _given(options, ["check", "stats", "tensor"]):
        raise UsageError("--diff compares files; give --check, --stats and --tensor in a run of their own")
    single = views + diff or ([] if listings else _given(options, ["tensor"]))
    if len(paths) > 1 and single:
        raise UsageError(f"{single[0]} takes one FILE; there are {len(paths)}")
    if options["gates"] and (options["filter_"] or options["response"]):
        raise UsageError("--gates splits recurrent weights, which have no filters; give one or the other")
    for needed, names in _NEEDS.items():
        if not _given(options, [needed]) and (lost := _given(options, names)):
            raise UsageError(f"{lost[0]} needs --{needed}")
    if options["tolerance"] != options["tolerance"]:
        raise UsageError("--tolerance nan: expected a number from 0 on")
    if options["overwrite"] and not (options["output"] or options["plot"]):
        raise UsageError("--overwrite needs -o or --plot")
    if options["output"] or options["plot"]:
        from convtool.jobs.inspection.export import check_outputs

        check_outputs(paths, options["output"], options["plot"], overwrite=options["overwrite"])


def _inspect(path: str, options: dict[str, Any], talk: Talk, *, many: bool) -> None:
    from convtool.arrays import open_weights
    from convtool.jobs.inspection.listing import list_weights

    with open_weights(path) as file:
        listing = list_weights(path, file, to=options["to"])
        if options["diff"] is not None:
            from convtool.cli.show.differences import show_differences

            show_differences(listing, options, talk)
        elif _given(options, _VIEWS) or (_given(options, ["tensor"]) and not _given(options, _LISTINGS)):
            from convtool.cli.show.tensors import look

            look(listing, options, talk)
        else:
            name = options["tensor"]
            _list(listing if name is None else listing.only(name), options, talk, many=many)


def _list(listing: Listing, options: dict[str, Any], talk: Talk, *, many: bool) -> None:
    """The listing, or nothing but the answer to --check."""
    from convtool.cli.show.weights import counted, show_listing
    from convtool.files.names import show

    damage: list[str] = []
    stats: dict[str, TensorStats] = {}
    if options["stats"] or options["check"]:
        from convtool.jobs.inspection.listing import statistics

        stats, damage = statistics(listing)
    if options["as_json"]:
        click.echo(listing.as_json(stats))
    elif options["stats"] or not options["check"]:
        show_listing(listing, stats if options["stats"] else None, talk, many=many)
    for note in listing.file.notes:
        talk.note(f"Warning: {show(listing.path)}: {show(note)}")
    for reason in damage:
        talk.error(f"{show(listing.path)}: {reason}")
    if damage:
        raise InputError(f"{len(damage)} of {counted(len(listing.tensors), 'tensor')} can't be read")
    if options["check"]:
        _check_finite(listing, stats, talk)


def _check_finite(listing: Listing, stats: dict[str, TensorStats], talk: Talk) -> None:
    from convtool.cli.show.weights import counted
    from convtool.files.names import show

    bad = {name: found for name, found in stats.items() if found.nan or found.infinite}
    if bad:
        told = ", ".join(f"{show(name)} ({found.nan} NaN, {found.infinite} infinite)" for name, found in bad.items())
        raise CheckFailed(f"--check: of {counted(len(stats), 'tensor')} {len(bad)} hold what is not finite: {told}")
    talk.note(f"{show(listing.path)}: {counted(len(stats), 'tensor')}, every value is finite")
