"""`convtool lstm`."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Literal

import click

from convtool.cli import messages
from convtool.cli.options import argument, choice, command, flag, given, integer, parsed, text
from convtool.cli.running import run_job
from convtool.cli.shared_options import JobSettings, SignalOptions
from convtool.errors import InputError, UsageError
from convtool.files.names import counted, show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convtool.jobs.models.lstm import LstmJob
    from convtool.models.recurrent import RecurrentModel

Engine = Literal["sequence", "cell"]
RatePolicy = Literal["error", "resample", "ignore"]
Nan = Literal["error", "propagate", "zero"]


def _condition(word: str) -> tuple[float, ...]:
    try:
        values = tuple(float(each) for each in word.split(",") if word)
    except ValueError:
        values = (float("nan"),)
    if not all(map(isfinite, values)):
        raise ValueError(f"'{show(word)}' is no list of numbers, such as 0.5,1")
    return values


def _state_file(word: str) -> str:
    from convtool.files.formats import extension, family

    if family(extension(word)) or extension(word) == "json":
        raise ValueError(
            f"'{show(word)}' has the name of another kind of file; a state goes into .npz, .safetensors, .pt"
        )
    return word


@dataclass(frozen=True)
class Options(SignalOptions):
    """The options of `lstm`."""

    model: str = argument("MODEL")
    engine: Engine = choice(
        Engine,
        "nn.LSTM over blocks, or nn.LSTMCell step by step: equal results, about fifty times slower.",
        default="sequence",
    )
    block: int = integer("Steps of one call of the engine.", least=1, most=1 << 24, default=4096, metavar="SAMPLES")
    prewarm: int = integer(
        "Silence that the model hears first, its outputs dropped.", least=0, default=0, metavar="SAMPLES"
    )
    condition: tuple[float, ...] = parsed(
        _condition,
        "The model's further inputs, the same in every sample, such as knobs: 0.5,1.",
        default="",
        metavar="VALUES",
    )
    rate_policy: RatePolicy = choice(
        RatePolicy,
        "Where the sample rates of input and model differ: resample brings the input to the model's, and back.",
        default="error",
    )
    state_in: str | None = parsed(_state_file, "Go on from what --state-out kept.", metavar="FILE")
    state_out: str | None = parsed(
        _state_file, "Keep the state after the last sample: .npz, .safetensors, .pt.", metavar="FILE"
    )
    assume_defaults: bool = flag(
        "Run Keras weights that come without their model: tanh and sigmoid, forwards, no activation of dense layers."
    )
    self_test: bool = flag("Run the test vectors that MODEL carries, instead of an input.")
    compare: str | None = text("Run both engines over INPUT; print their difference and times.", metavar="INPUT")
    nan: Nan = choice(
        Nan, "NaN and infinities are an error, may spoil all that follows them, or count as 0.", default="error"
    )
    plot: str | None = text("Draw the input and the output: waveforms and spectra.", metavar="FILE")


@command("lstm", Options)
def lstm(options: Options) -> int:
    """Run a recurrent model over signals, such as a captured guitar amplifier.

    MODEL is the JSON of GuitarML, AIDA-X or a torch state dict, an LSTM in NAM's .nam, a torch state
    dict in .pt or .safetensors, or Keras weights in .keras or .h5. A model of one input runs over each
    channel on its own. Inputs of any length are streamed; a bidirectional layer must have the whole.

    \b
    Examples:
      convtool lstm amp.json guitar.wav -o amped.wav
      convtool lstm amp.json guitar.wav -o - --format wav | convtool convolve -k cab.wav -o out.wav
      convtool lstm amp.json takes/ -o amped/ --rate-policy resample
      convtool lstm amp.json --compare guitar.wav
    """
    from convtool.models.recurrent import read_model

    _check_trial(options)
    _refuse_signal(options.model, options.inputs)
    with messages.about(show(options.model)):
        model = read_model(options.model)
        if model.assumed and not options.assume_defaults:
            raise InputError(
                f"it holds weights without the settings of their layers; --assume-defaults takes {model.assumed}"
            )
    _check_model(options, model)
    if options.self_test or options.compare is not None:
        from convtool.cli.show.trials import show_comparison, show_self_test

        return show_self_test(model, options) if options.self_test else show_comparison(model, options)

    def job(settings: JobSettings) -> LstmJob:
        from convtool.jobs.models.lstm import LstmJob

        return LstmJob(
            model,
            engine=options.engine,
            block=options.block,
            prewarm=options.prewarm,
            condition=options.condition,
            rate_policy=options.rate_policy,
            state_in=options.state_in,
            state_out=options.state_out,
            nan=options.nan,
            plot=options.plot,
            **settings,
        )

    return run_job(
        options,
        job,
        plot=options.plot,
        single="--state-out keeps the state after one input" if options.state_out else None,
        also_read=[path for path in (options.model, options.state_in) if path],
        also_written=[options.state_out] if options.state_out else [],
    )


def _refuse_signal(model: str, inputs: Sequence[str]) -> None:
    """A signal where the model should stand: the words are in the wrong order, or the model is left out."""
    from convtool.signals.inputs import is_signal

    if is_signal(model):
        order = " ".join(map(show, (*(inputs[:1] or ("MODEL",)), model)))
        command = click.get_current_context().command_path
        raise UsageError(
            f"{show(model)} is a signal, where the model should stand; that comes first: {command} {order}"
        )


def _check_trial(options: Options) -> None:
    """What tries the model out does not run it over inputs as well."""
    tried = given(options, "self_test", "compare")
    others = ["inputs", "input_list", "output", "state_in", "state_out", "report", "plot", "dry_run"]
    also = [*tried[1:], *given(options, *others)]
    if tried and also:
        raise UsageError(f"{tried[0]} tries the model out, and does nothing else; leave out {also[0]}")


def _check_model(options: Options, model: RecurrentModel) -> None:
    """Refuse what does not fit the model, whatever the input."""
    count = len(options.condition)
    if count and count >= model.inputs:
        others = f"{counted(model.inputs - 1, 'input')} beside" if model.inputs > 1 else "no input but"
        raise UsageError(f"--condition is for {counted(count, 'more input')}; the model has {others} the signal")
    carried = given(options, "prewarm", "state_in", "state_out")
    if carried and model.bidirectional:
        raise UsageError(f"{carried[0]} needs a model that runs forwards in time; a layer of this one is bidirectional")
    if options.prewarm and options.state_in:
        raise UsageError("--prewarm is for a model that begins, and --state-in for one that goes on; give either")
