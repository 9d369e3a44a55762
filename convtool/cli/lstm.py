"""`convtool lstm`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from convtool.cli import messages
from convtool.cli.model_options import ModelOptions
from convtool.cli.options import choice, command, flag, given, integer, text
from convtool.cli.shared_options import JobSettings
from convtool.errors import InputError, UsageError
from convtool.files.names import show

if TYPE_CHECKING:
    from convtool.jobs.models.lstm import LstmJob
    from convtool.models.recurrent import RecurrentModel

Engine = Literal["sequence", "cell"]


@dataclass(frozen=True)
class Options(ModelOptions):
    """The options of `lstm`."""

    engine: Engine = choice(
        Engine,
        "nn.LSTM over blocks, or nn.LSTMCell step by step: equal results, about fifty times slower.",
        default="sequence",
    )
    block: int = integer("Steps of one call of the engine.", least=1, most=1 << 24, default=4096, metavar="SAMPLES")
    prewarm: int = integer(
        "Silence that the model hears first, its outputs dropped.", least=0, default=0, metavar="SAMPLES"
    )
    assume_defaults: bool = flag(
        "Run Keras weights that come without their model: tanh and sigmoid, forwards, no activation of dense layers."
    )
    compare: str | None = text("Run both engines over INPUT; print their difference and times.", metavar="INPUT")


@command("lstm", Options)
def lstm(options: Options) -> int:
    """Run a recurrent model over signals, such as a captured guitar amplifier.

    MODEL is the JSON of GuitarML, AIDA-X or a torch state dict, an LSTM in NAM's .nam, a torch state
    dict in .pt or .safetensors, or Keras weights in .keras or .h5; the other models of .nam files are
    for convtool wavenet. A model of one input runs over each channel on its own. Inputs of any length
    are streamed; a bidirectional layer must have the whole.

    \b
    Examples:
      convtool lstm amp.json guitar.wav -o amped.wav
      convtool lstm amp.json guitar.wav -o - --format wav | convtool convolve -k cab.wav -o out.wav
      convtool lstm amp.json takes/ -o amped/ --rate-policy resample
      convtool lstm amp.json --compare guitar.wav
    """
    from convtool.models.recurrent import read_model

    options.refuse_beside(given(options, "self_test", "compare"), "inputs", "input_list")
    options.refuse_signal()
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
            **options.model_settings(),
            **settings,
        )

    return options.run(job)


def _check_model(options: Options, model: RecurrentModel) -> None:
    """Refuse what does not fit the model, whatever the input."""
    carried = given(options, "prewarm", "state_in", "state_out")
    if carried and model.bidirectional:
        raise UsageError(f"{carried[0]} needs a model that runs forwards in time; a layer of this one is bidirectional")
    options.check_inputs(model.inputs)
