"""`convtool lstm`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from convtool.cli import messages
from convtool.cli.model_options import ModelOptions
from convtool.cli.options import choice, command, flag, given, integer, text
from convtool.cli.shared_options import JobSettings
from convtool.files.names import show

if TYPE_CHECKING:
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
      convtool lstm amps/ takes/ --pick all -o 'amped/{stem}-{model}.wav'
      convtool lstm amp.json --compare guitar.wav
    """
    options.refuse_beside(given(options, "self_test", "compare"), "inputs", "input_list")
    from convtool.arrays.opening import EXTENSIONS
    from convtool.jobs.models.lstm import LstmJob, load

    models = options.find_models([each[1:] for each in EXTENSIONS])
    carried: dict[str, RecurrentModel] = {}

    def job(settings: JobSettings) -> LstmJob:
        return LstmJob(
            model=models[0].value,
            carried=carried,
            assume_defaults=options.assume_defaults,
            engine=options.engine,
            block=options.block,
            prewarm=options.prewarm,
            **options.model_settings(),
            **settings,
        )

    if len(models) == 1:
        with messages.about(show(options.model)):
            model = carried[models[0].value] = load(models[0].value, assume_defaults=options.assume_defaults)
        job(options.job_settings(1)).check()
        if options.self_test or options.compare is not None:
            from convtool.cli.show.trials import show_comparison, show_self_test

            return show_self_test(model, options) if options.self_test else show_comparison(model, options)
    return options.run(job, models)
