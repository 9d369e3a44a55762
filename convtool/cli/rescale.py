"""`convtool rescale`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from convtool.cli.options import (
    Io,
    Talk,
    batch_options,
    compute_options,
    input_options,
    output_options,
    settings,
    talk_options,
)
from convtool.cli.running import run_batch
from convtool.errors import UsageError

if TYPE_CHECKING:
    from convtool.jobs.rescale.job import RescaleJob
    from convtool.jobs.rescale.params import Params
    from convtool.jobs.rescale.range_fit import Fitting
    from convtool.signals.inputs import Input


def _range(_: click.Context, param: click.Parameter, value: str | None) -> tuple[float, float] | None:
    from convtool.jobs.rescale.params import parse_range

    try:
        return None if value is None else parse_range(value)
    except ValueError as error:
        raise click.BadParameter(str(error), param=param) from error


def _eps(_: click.Context, param: click.Parameter, value: float | None) -> float | None:
    if value is not None and not 0 <= value < 0.5:
        raise click.BadParameter(f"{value} is no share of a range; expected 0 or more, and less than 0.5", param=param)
    return value


@click.command("rescale")
@input_options
@click.option("--range", callback=_range, metavar="LOW:HIGH", help="The range to bring numbers into, such as -1:1.")
@click.option(
    "--method",
    type=click.Choice(["minmax", "clip", "sigmoid", "tanh"]),
    help="How; see above.  [default: minmax]",
)
@click.option("--per-channel", is_flag=True, help="minmax: a range of its own for each channel.")
@click.option(
    "--fit",
    multiple=True,
    metavar="SOURCE",
    help="minmax: take the one range of all numbers in these files, folders, patterns (repeatable), not each input's.",
)
@click.option("--save", metavar="PARAMS.json", help="Keep the method, the range and what was fitted.")
@click.option("--params", metavar="PARAMS.json", help="Do what --save kept.")
@click.option("--invert", is_flag=True, help="Bring numbers back; minmax needs --params or --fit for it.")
@click.option(
    "--eps",
    type=float,
    callback=_eps,
    metavar="SHARE",
    help="Squashes, inverted: what lies nearer to an end than this share of the range, on it or beyond it, counts as "
    "lying there.  [default: the machine epsilon]",
)
@click.option(
    "--nan",
    type=click.Choice(["skip", "propagate", "error", "zero"]),
    default="skip",
    show_default=True,
    help="NaN and infinities are left out of minmax's range, make it and all results NaN, are an error, or count as 0.",
)
@output_options
@compute_options
@batch_options
@talk_options
def command(**options: Any) -> int:
    """Bring signals into a range, and back with --invert.

    \b
    minmax   LOW + (x - a) (HIGH - LOW) / (b - a), for data that lies in [a, b]
    clip     LOW below LOW, HIGH above HIGH; counted
    sigmoid  LOW + (HIGH - LOW) / (1 + exp(-x))
    tanh     LOW + (HIGH - LOW) (tanh(x) + 1) / 2

    minmax meets LOW and HIGH to the bit; a constant input becomes their middle. Integers are worked
    in float64, exact up to 2^53. Numbers that begin with a minus follow --.

    \b
    Examples:
      convtool rescale 0,1,4 --range -1:1
      convtool rescale takes/ --fit takes/ --range -1:1 --save params.json -o scaled/
      convtool rescale scaled/ --params params.json --invert -o back/
      convtool rescale outputs.csv --method sigmoid --range -20:30
    """
    from convtool.jobs.rescale.range_fit import Fitting

    io, save = Io.of(options), options["save"]
    params = _params(options)
    _check(options, params.method)
    sources = _sources(options, io)
    read = [*(item.value for item in sources if item.kind == "file"), *filter(None, [options["params"]])]
    if save is not None:
        _refuse_taken(save, io, options["report"], read)
    of_input = params.method == "minmax" and not (sources or params.channels)

    def fitted() -> Params:
        fitting = Fitting(options["per_channel"], options["nan"], options["dtype"], io.reading())
        made = _fit(fitting, params, sources) if sources else params
        if save is not None and not of_input:
            made.write(save)
        return made

    def job(threads: int) -> RescaleJob:
        from convtool.jobs.rescale.job import RescaleJob

        own = {name: options[name] for name in ("per_channel", "invert", "eps")}
        shared = settings(options, io, threads)
        return RescaleJob(fitted(), save=save if of_input else None, **own, **shared)

    if _only_fits(options, io):
        return _fit_only(fitted, sources, options)
    single = "--save keeps one range; name what it is to be found in with --fit" if save and of_input else None
    return run_batch(io, options, job, single=single, also_read=[*read, *filter(None, [save])])


def _params(options: dict[str, Any]) -> Params:
    """What is to be done: as the options say, or as --params does, which they must not contradict."""
    from convtool.files.names import show
    from convtool.jobs.rescale.params import Params, range_text, read_params

    asked, method, path = options["range"], options["method"], options["params"]
    if path is None:
        if asked is None:
            raise UsageError("there is no range to bring numbers into; give --range LOW:HIGH, or --params")
        return Params(method or "minmax", *asked)
    for name in ("fit", "save"):
        if options[name]:
            raise UsageError(f"--{name} is for a range that is yet to be found, and --params brings one; give either")
    params = read_params(path)
    if asked not in (None, (params.low, params.high)):
        raise UsageError(f"--range is {range_text(*asked)}, but {show(path)} says {params.range}; leave it out")
    if method not in (None, params.method):
        raise UsageError(f"--method is {method}, but {show(path)} says {params.method}; leave it out")
    return params


def _check(options: dict[str, Any], method: str) -> None:
    """What can be refused before any input is looked for."""
    if options["nan"] == "propagate" and (options["fit"] or options["save"]):
        raise UsageError(
            "--nan propagate leaves no range to keep; give --nan skip, zero or error with --fit and --save"
        )
    if options["fit"] and method != "minmax":
        raise UsageError(f"--fit finds the range that minmax starts from; {method} needs none")
    if options["invert"] and method == "clip":
        raise UsageError("--invert can't undo clip: what lay beyond the range is gone")
    if options["invert"] and method == "minmax" and not (options["fit"] or options["params"]):
        raise UsageError("--invert needs the range that the data had: give --params, or --fit and that data")
    if options["eps"] is not None and not (options["invert"] and method in ("sigmoid", "tanh")):
        raise UsageError("--eps is for --invert with sigmoid or tanh, whose ends stand for infinity")


def _sources(options: dict[str, Any], io: Io) -> list[Input]:
    """The inputs that --fit names."""
    from convtool.files.names import show
    from convtool.signals.inputs import expand

    if not options["fit"]:
        return []
    sources, passed = expand(options["fit"])
    if not sources:
        raise UsageError("there is no signal file in what --fit names")
    if any(item.kind == "stdin" for item in sources) and not _only_fits(options, io) and io.takes_stdin():
        raise UsageError("standard input can be fitted or be an input, and one of them alone")
    for path in passed:
        Talk.of(click.get_current_context()).remark(f"passed over: {show(path)}")
    return sources


def _refuse_taken(save: str, io: Io, report: str | None, read: Sequence[str]) -> None:
    """What --save names must not exist, nor be a file that is read or written as well."""
    from convtool.files.atomic import is_special
    from convtool.files.names import show
    from convtool.runs.plan import refuse_collisions
    from convtool.signals.inputs import expand

    if os.path.lexists(save) and not is_special(save) and not io.overwrite:
        raise UsageError(f"--save {show(save)} exists; give --overwrite, or --params to go by what it keeps")
    written = [(save, "--save"), *([(report, "--report")] if report else [])]
    refuse_collisions(written, [*read, *(item.value for item in expand(io.inputs)[0])])


def _only_fits(options: dict[str, Any], io: Io) -> bool:
    """Whether nothing is to be scaled: --fit and --save say all there is to do."""
    return bool(options["fit"] and options["save"]) and not (io.inputs or io.input_list or io.output)


def _fit(fitting: Fitting, params: Params, sources: Sequence[Input]) -> Params:
    """`params` with the range of `sources`."""
    from convtool.jobs.rescale.range_fit import fit_all

    talk = Talk.of(click.get_current_context())
    fitted, notes = fit_all(fitting, params, sources)
    for note in notes:
        talk.note(f"Warning: {note}")
    talk.remark(f"fitted to {len(sources)} input{'s' * (len(sources) > 1)}: {fitted.data}")
    return fitted


def _fit_only(fitted: Callable[[], Params], sources: Sequence[Input], options: dict[str, Any]) -> int:
    """Nothing but the parameters is made."""
    from convtool.files.names import show

    if options["report"] or options["as_json"]:
        raise UsageError("--report and --json tell of inputs, and with --fit and --save alone there are none")
    if options["dry_run"]:
        for item in sources:
            click.echo(f"{item.name} -> {show(options['save'])}")
    else:
        fitted()
    return 0
