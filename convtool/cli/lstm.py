"""`convtool lstm`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from convtool.cli.options import (
    Io,
    batch_options,
    compute_options,
    input_options,
    output_options,
    settings,
    talk_options,
)
from convtool.cli.running import run_batch
from convtool.errors import ConvtoolError, UsageError

if TYPE_CHECKING:
    from convtool.jobs.models.lstm import LstmJob
    from convtool.models.recurrent import RecurrentModel


_WORK = {
    "INPUT": "inputs",
    "--input-list": "input_list",
    "-o": "output",
    "--state-in": "state_in",
    "--state-out": "state_out",
    "--report": "report",
    "--dry-run": "dry_run",
}
"""What is for running the model over inputs alone."""


def _condition(_: click.Context, param: click.Parameter, value: str) -> tuple[float, ...]:
    from math import isfinite

    from convtool.files.names import show

    try:
        values = tuple(float(each) for each in value.split(",") if value)
    except ValueError:
        values = (float("nan"),)
    if not all(map(isfinite, values)):
        raise click.BadParameter(f"'{show(value)}' is no list of numbers, such as 0.5,1", param=param)
    return values


def _state_file(_: click.Context, param: click.Parameter, value: str | None) -> str | None:
    from convtool.files.formats import extension, family
    from convtool.files.names import show

    if value is not None and (family(extension(value)) or extension(value) == "json"):
        raise click.BadParameter(
            f"'{show(value)}' has the name of another kind of file; a state goes into .npz, .safetensors, .pt",
            param=param,
        )
    return value


@click.command("lstm")
@click.argument("model", metavar="MODEL")
@input_options
@click.option(
    "--engine",
    type=click.Choice(["sequence", "cell"]),
    default="sequence",
    show_default=True,
    help="nn.LSTM over blocks, or nn.LSTMCell step by step: equal results, about fifty times slower.",
)
@click.option(
    "--block",
    type=click.IntRange(1, 1 << 24),
    default=4096,
    show_default=True,
    metavar="SAMPLES",
    help="Steps of one call of the engine.",
)
@click.option(
    "--prewarm",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    metavar="SAMPLES",
    help="Silence that the model hears first, its outputs dropped.",
)
@click.option(
    "--condition",
    callback=_condition,
    default="",
    metavar="VALUES",
    help="The model's further inputs, the same in every sample, such as knobs: 0.5,1.",
)
@click.option(
    "--rate-policy",
    type=click.Choice(["error", "resample", "ignore"]),
    default="error",
    show_default=True,
    help="Where the sample rates of input and model differ: resample brings the input to the model's, and back.",
)
@click.option("--state-in", callback=_state_file, metavar="FILE", help="Go on from what --state-out kept.")
@click.option(
    "--state-out",
    callback=_state_file,
    metavar="FILE",
    help="Keep the state after the last sample: .npz, .safetensors, .pt.",
)
@click.option("--self-test", is_flag=True, help="Run the test vectors that MODEL carries, instead of an input.")
@click.option("--compare", metavar="INPUT", help="Run both engines over INPUT; print their difference and times.")
@click.option(
    "--nan",
    type=click.Choice(["error", "propagate", "zero"]),
    default="error",
    show_default=True,
    help="NaN and infinities are an error, may spoil all that follows them, or count as 0.",
)
@output_options
@compute_options
@batch_options
@talk_options
def command(model: str, **options: Any) -> int:
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
    tried = _tried(options)
    read = _read(model)
    _check(options, read)
    io = Io.of(options)
    if tried is not None:
        from convtool.cli.show.trials import show_comparison, show_self_test

        return show_self_test(model, read, options) if tried == "--self-test" else show_comparison(read, io, options)

    def job(threads: int) -> LstmJob:
        from convtool.jobs.models.lstm import LstmJob

        names = ("engine", "block", "prewarm", "condition", "rate_policy", "state_in", "state_out")
        return LstmJob(read, **{name: options[name] for name in names}, **settings(options, io, threads))

    state_in, state_out = options["state_in"], options["state_out"]
    return run_batch(
        io,
        options,
        job,
        single="--state-out keeps the state after one input" if state_out else None,
        also_read=[model, *([state_in] if state_in else [])],
        also_written=[state_out] if state_out else [],
    )


def _tried(options: dict[str, Any]) -> str | None:
    """The option that has the model tried out instead of run over inputs."""
    asked = ["--self-test"] * options["self_test"] + ["--compare"] * (options["compare"] is not None)
    if not asked:
        return None
    first, *also = [*asked, *(word for word, name in _WORK.items() if options[name])]
    if also:
        raise UsageError(f"{first} tries the model out, and does nothing else; leave out {also[0]}")
    return first


def _read(path: str) -> RecurrentModel:
    from convtool.files.names import show
    from convtool.models.recurrent import read_model

    try:
        return read_model(path)
    except ConvtoolError as error:
        raise type(error)(f"{show(path)}: {error}") from error


def _check(options: dict[str, Any], model: RecurrentModel) -> None:
    """Refuse what does not fit the model, whatever the input."""
    condition = options["condition"]
    if condition and len(condition) >= model.inputs:
        beside = f"{model.inputs - 1} inputs beside the signal" if model.inputs > 1 else "no input but the signal"
        raise UsageError(f"--condition is for {len(condition)} more inputs; the model has {beside}")
    carried = [name for name in ("prewarm", "state_in", "state_out") if options[name]]
    if carried and model.bidirectional:
        option = carried[0].replace("_", "-")
        raise UsageError(f"--{option} needs a model that runs forwards in time; a layer of this one is bidirectional")
    if options["prewarm"] and options["state_in"]:
        raise UsageError("--prewarm is for a model that begins, and --state-in for one that goes on; give either")
