"""`convtool rescale`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import click

from convtool.cli import messages
from convtool.cli.options import choice, command, flag, given, parsed, text, texts
from convtool.cli.running import progress, run_job
from convtool.cli.shared_options import JobSettings, SignalOptions
from convtool.errors import InputError, UsageError
from convtool.files.names import counted, show

if TYPE_CHECKING:
    from convtool.jobs.rescale.job import RescaleJob
    from convtool.jobs.rescale.params import Params
    from convtool.signals.inputs import Input

Method = Literal["minmax", "clip", "sigmoid", "tanh", "standard", "robust", "maxabs"]
Nan = Literal["skip", "propagate", "error", "zero"]


def _range(word: str) -> tuple[float, float]:
    from convtool.jobs.rescale.params import parse_range

    return parse_range(word)


def _share(word: str) -> float:
    share = float(click.FLOAT(word))
    if not 0 <= share < 0.5:
        raise ValueError(f"{share} is no share of a range; expected 0 or more, and less than 0.5")
    return share


def _columns(word: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in word.split(","))
    if not all(names):
        raise ValueError(f"'{show(word)}' has an empty name; give one for each column, such as open,close")
    return names


@dataclass(frozen=True)
class Options(SignalOptions):
    """The options of `rescale`."""

    range: tuple[float, float] | None = parsed(
        _range, "The range to bring numbers into, such as -1:1.", metavar="LOW:HIGH"
    )
    method: Method | None = choice(Method, "How; see above.  [default: minmax]")
    per_channel: bool = flag("Fit each channel on its own, not all together.")
    fit: tuple[str, ...] = texts(
        "Fit to all numbers in these files, folders, patterns (repeatable) together, not to each input.",
        metavar="SOURCE",
    )
    save: str | None = text("Keep the method, the range and what was fitted.", metavar="PARAMS.json")
    params: str | None = text("Do what --save kept.", metavar="PARAMS.json")
    params_columns: tuple[str, ...] | None = parsed(
        _columns,
        "The fitted columns that the input's are, by name or by number from 1, where it has no names or others.",
        metavar="NAMES",
    )
    clip: bool = flag("minmax: put what lies outside of the fitted range onto LOW and HIGH; counted.")
    invert: bool = flag("Bring numbers back; what was fitted must be given, by --params or --fit.")
    eps: float | None = parsed(
        _share,
        "Squashes, inverted: what lies nearer to an end than this share of the range, on it or beyond it, counts as "
        "lying there.  [default: the machine epsilon]",
        metavar="SHARE",
    )
    nan: Nan = choice(
        Nan,
        "NaN and infinities are left out of what is fitted, make it and all results NaN, are an error, or count as 0.",
        default="skip",
    )

    plot: str | None = text(
        "Draw the input and the output with their ranges, and how often their values occur.", metavar="FILE"
    )

    @property
    def only_fits(self) -> bool:
        """Whether nothing is to be scaled: --fit and --save say all there is to do."""
        return bool(self.fit and self.save) and not (self.inputs or self.input_list or self.output)


@command("rescale", Options)
def rescale(options: Options) -> int:
    """Bring signals into a range, or to a common location and scale, and back with --invert.

    \b
    minmax    LOW + (x - a) (HIGH - LOW) / (b - a), for data that lies in [a, b]
    clip      LOW below LOW, HIGH above HIGH; counted
    sigmoid   LOW + (HIGH - LOW) / (1 + exp(-x))
    tanh      LOW + (HIGH - LOW) (tanh(x) + 1) / 2
    standard  (x - mean) / standard deviation, ddof 0; no --range, as with the next two
    robust    (x - median) / interquartile range
    maxabs    x / largest |x|

    minmax meets LOW and HIGH to the bit; a constant input becomes their middle, or 0 without a range.
    Integers are worked in float64, their differences exact. Numbers that begin with a minus follow --.

    \b
    Examples:
      convtool rescale 0,1,4 --range -1:1
      convtool rescale takes/ --fit takes/ --range -1:1 --save params.json -o scaled/
      convtool rescale scaled/ --params params.json --invert -o back/
      convtool rescale outputs.csv --method sigmoid --range -20:30
      convtool rescale readings.csv --method standard --per-channel
    """
    from convtool.jobs.rescale.params import FITTED

    params, save = _params(options), options.save
    _check(options, params.method)
    sources = _sources(options)
    read = [item.value for item in sources if item.kind == "file"] + ([options.params] if options.params else [])
    if save is not None:
        _refuse_taken(save, options, read)
    of_input = params.method in FITTED and not (sources or params.channels)

    def fitted() -> Params:
        found = _fit(options, params, sources) if sources else params
        if save is not None and not of_input:
            found.write(save, replace=options.overwrite)
        return found

    def job(settings: JobSettings) -> RescaleJob:
        from convtool.jobs.rescale.job import RescaleJob

        return RescaleJob(
            params if options.dry_run else fitted(),
            per_channel=options.per_channel,
            invert=options.invert,
            eps=options.eps,
            clip=options.clip,
            params_columns=options.params_columns or (),
            save=save if of_input else None,
            nan=options.nan,
            plot=options.plot,
            **settings,
        )

    if options.only_fits:
        return _fit_only(fitted, sources, options)
    single = "--save keeps what is fitted once; name what to fit with --fit" if save and of_input else None
    return run_job(
        options, job, plot=options.plot, single=single, also_read=[*read, *([save] if save is not None else [])]
    )


def _params(options: Options) -> Params:
    """What is to be done: as the options say, or as --params does, which they must not contradict."""
    from convtool.jobs.rescale.params import SPREADS, Params, range_text, read_params

    asked, path = options.range, options.params
    if path is None and options.method in SPREADS:
        if asked is not None:
            raise UsageError(f"--range is for methods with a range, and {options.method} has none; leave it out")
        return Params(options.method)
    if path is None:
        if asked is None:
            raise UsageError("there is no range to bring numbers into; give --range LOW:HIGH, or --params")
        return Params(options.method or "minmax", *asked)
    if found := given(options, "fit", "save"):
        raise UsageError(f"{found[0]} is for what is yet to be fitted, and --params brings that; give either")
    params = read_params(path)
    if asked is not None and not params.ranged:
        raise UsageError(f"--range is given, and the {params.method} of {show(path)} has none; leave it out")
    if asked not in (None, (params.low, params.high)):
        raise UsageError(f"--range is {range_text(*asked)}, but {show(path)} says {params.range}; leave it out")
    if options.method not in (None, params.method):
        raise UsageError(f"--method is {options.method}, but {show(path)} says {params.method}; leave it out")
    return params


def _check(options: Options, method: str) -> None:
    """What can be refused before any input is looked for."""
    from convtool.jobs.rescale.params import FITTED

    fitted = method in FITTED
    if options.nan == "propagate" and (options.fit or options.save):
        raise UsageError("--nan propagate leaves nothing to keep; give --nan skip, zero or error with --fit and --save")
    if options.fit and not fitted:
        raise UsageError(f"--fit finds what {', '.join(FITTED)} go by; {method} needs no data")
    if options.invert and (method == "clip" or options.clip):
        raise UsageError(f"--invert can't undo {'clip' if method == 'clip' else '--clip'}: what lay beyond is gone")
    if options.invert and fitted and not (options.fit or options.params):
        raise UsageError("--invert needs what the data was scaled by: give --params, or --fit and that data")
    if options.clip and not (method == "minmax" and (options.fit or options.params)):
        raise UsageError("--clip is for the range that minmax was fitted to, with --params or --fit")
    if options.params_columns and not (fitted and (options.fit or options.params)):
        raise UsageError(f"--params-columns is for what {', '.join(FITTED)} were fitted to, with --params or --fit")
    if options.eps is not None and not (options.invert and method in ("sigmoid", "tanh")):
        raise UsageError("--eps is for --invert with sigmoid or tanh, whose ends stand for infinity")


def _sources(options: Options) -> list[Input]:
    """The inputs that --fit names."""
    from convtool.signals.inputs import expand

    if not options.fit:
        return []
    sources, passed = expand(options.fit, (), options.selection())
    if not sources:
        raise InputError("there is no signal file in what --fit names")
    if any(item.kind == "stdin" for item in sources) and not options.only_fits and options.takes_stdin():
        raise UsageError("standard input can be fitted or be an input, and one of them alone")
    for path in passed:
        messages.detail(f"passed over: {show(path)}")
    return sources


def _refuse_taken(save: str, options: Options, read: Sequence[str]) -> None:
    """What --save names must not exist, nor be a file that is read or written as well."""
    from convtool.runs.plan import refuse_collisions, taken
    from convtool.signals.inputs import expand

    if not options.overwrite and taken([save]):
        raise UsageError(f"--save {show(save)} exists; give --overwrite, or --params to go by what it keeps")
    written = [(save, "--save"), *([(options.report, "--report")] if options.report else [])]
    inputs, _ = expand(options.inputs, (), options.selection())
    refuse_collisions((), [*read, *(item.value for item in inputs)], written)


def _fit(options: Options, params: Params, sources: Sequence[Input]) -> Params:
    """`params` with the range of `sources`."""
    from convtool.jobs.rescale.fitting import Fitting, fit_all

    fitting = Fitting(options.per_channel, options.nan, options.dtype, options.reading())
    with progress(len(sources), options) as shown:
        fitted, notes = fit_all(fitting, params, sources, done=shown.end)
    for note in notes:
        messages.warn(note)
    messages.detail(f"fitted to {counted(len(sources), 'input')}: {fitted.data}")
    return fitted


def _fit_only(fitted: Callable[[], Params], sources: Sequence[Input], options: Options) -> int:
    """Nothing but the parameters is made."""
    if options.report or options.as_json or options.plot:
        raise UsageError("--report, --json and --plot tell of inputs, and with --fit and --save alone there are none")
    if options.dry_run:
        for item in sources:
            messages.out(f"{item.name} -> {show(str(options.save))}")
    else:
        fitted()
    return 0
