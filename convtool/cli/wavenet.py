"""`convtool wavenet`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from convtool.cli import messages
from convtool.cli.model_options import ModelOptions
from convtool.cli.options import choice, command, given, integer, real, text
from convtool.cli.shared_options import JobSettings
from convtool.errors import InputError, UsageError
from convtool.files.names import show

if TYPE_CHECKING:
    from convtool.models.dilated import DilatedModel

_OutputLevel = Literal["raw", "normalized", "calibrated"]


@dataclass(frozen=True)
class Options(ModelOptions):
    """The options of `wavenet`."""

    size: float | None = real(
        "Which of the models of a container, or how many channels of a slimmable one: 0 the smallest, 1 the largest. "
        "[default: 1]",
        least=0,
        most=1,
        metavar="0..1",
    )
    block: int = integer(
        "Samples that are worked at once; the numbers do not depend on it.",
        least=1,
        most=1 << 16,
        default=2048,
        metavar="SAMPLES",
    )
    prewarm: int | None = integer(
        "Silence that the model hears first, its outputs dropped. [default: its receptive field]",
        least=0,
        metavar="SAMPLES",
    )
    input_level: float | None = real(
        "The analog level of full scale in the recording; the input is brought to the level that the model was made "
        "with.",
        least=-100,
        most=100,
        metavar="DBU",
    )
    output_level: _OutputLevel = choice(
        _OutputLevel,
        "What comes out: as it is, with the model's loudness brought to -18 dB, or at the levels of --input-level.",
        default="raw",
    )
    compare: str | None = text(
        "Print how far the output is from a recording of the amplifier itself: ESR, and the largest error.",
        metavar="REFERENCE",
    )


@command("wavenet", Options)
def wavenet(options: Options) -> int:
    """Run a captured amplifier of dilated convolutions over signals.

    MODEL is a .nam file of version 0.5 to 0.7: a WaveNet, a ConvNet, an impulse response (Linear), or a
    container of models. An LSTM that is no part of another model is for convtool lstm. A model of one input
    runs over each channel on its own. Inputs of any length are streamed.

    \b
    Examples:
      convtool wavenet amp.nam guitar.wav -o amped.wav
      convtool wavenet amp.nam guitar.wav -o - --format wav | convtool convolve -k cab.wav -o out.wav
      convtool wavenet amp.nam takes/ -o amped/ --rate-policy resample
      convtool wavenet captures/ takes/ --pick random -o picked/
      convtool wavenet amp.nam guitar.wav --compare reamped.wav
    """
    trial = given(options, "self_test", "compare")
    options.refuse_beside(trial, *(("inputs", "input_list") if options.self_test else ()))
    from convtool.jobs.models.wavenet import WaveNetJob
    from convtool.models.dilated import read_dilated_model

    models = options.find_models(["nam"])
    if options.output_level == "calibrated" and options.input_level is None:
        raise UsageError("--output-level calibrated needs the level of the recording; give --input-level DBU")
    carried: dict[str, DilatedModel] = {}

    def job(settings: JobSettings) -> WaveNetJob:
        return WaveNetJob(
            model=models[0].value,
            carried=carried,
            size=options.size,
            block=options.block,
            prewarm=options.prewarm,
            input_level=options.input_level,
            output_level=options.output_level,
            **options.model_settings(),
            **settings,
        )

    if len(models) == 1:
        with messages.about(show(options.model)):
            carried[models[0].value] = read_dilated_model(models[0].value, options.size)
            if options.self_test:
                raise InputError(
                    "there are no test vectors in it, as .nam files have none; --compare takes a recording"
                )
            job(options.job_settings(1)).check()
    if options.compare is not None:
        from convtool.cli.show.trials import show_deviation

        return show_deviation(job(options.job_settings(1)), options, options.compare)
    return options.run(job, models)
