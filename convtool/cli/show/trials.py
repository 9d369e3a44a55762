"""What `convtool lstm` and `convtool wavenet` print of a model that they try out."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from convtool.cli import messages
from convtool.errors import CheckFailed, UsageError
from convtool.files.names import counted, show

if TYPE_CHECKING:
    from convtool.cli.lstm import Options
    from convtool.cli.wavenet import Options as WaveNetOptions
    from convtool.jobs.models.trials import Comparison
    from convtool.jobs.models.wavenet import WaveNetJob
    from convtool.models.recurrent import RecurrentModel


def show_self_test(model: RecurrentModel, options: Options) -> int:
    """Print how well the model gives back the vectors that its file carries; exit 3 where it does not."""
    from convtool.jobs.models.trials import self_test

    with messages.about(show(options.model)):
        test = self_test(model, engine=options.engine, dtype=options.dtype or "float32")
    if options.as_json:
        messages.out(json.dumps({**asdict(test), "holds": test.holds}))
    told = f"test vectors of {counted(test.samples, 'sample')}: the largest difference is {test.difference:.3g}"
    if not test.holds:
        raise CheckFailed(f"{show(options.model)}: {told}, above the {test.limit:.3g} of rounding")
    if not options.as_json:
        messages.out(f"{told}, within {test.limit:.3g}" + ", without the file's gains" * (not test.gains))
    return 0


def show_comparison(model: RecurrentModel, options: Options) -> int:
    """Print what the engines took, and how far their outputs lie apart."""
    from convtool.jobs.models.trials import compare
    from convtool.signals.inputs import expand

    inputs, _ = expand([str(options.compare)])
    if len(inputs) != 1:
        raise UsageError(f"--compare runs over one input; {len(inputs)} were given")
    read, condition = options.reading(), options.condition
    with messages.about(inputs[0].name):
        found = compare(model, inputs[0], read=read, condition=condition, dtype=options.dtype, device=options.device)
    if options.as_json:
        messages.out(json.dumps(asdict(found)))
        return 0
    messages.out("\n".join([*_engines(found), _apart(found)]))
    return 0


def _engines(found: Comparison) -> list[str]:
    """What each engine took, as a table."""
    from convtool.cli.show.tables import table

    header = ["engine", "seconds", "samples/s"]
    rows = [[engine, f"{took:.3g}", f"{found.samples / took:.0f}"] for engine, took in found.seconds.items()]
    if found.sample_rate is not None:
        header.append("x real time")
        for row, took in zip(rows, found.seconds.values(), strict=True):
            row.append(f"{found.samples / found.sample_rate / took:.3g}")
    return table(header, rows, right=header[1:], width=None)


def _apart(found: Comparison) -> str:
    """How far their outputs lie apart."""
    part = "" if found.whole else f"the first {found.samples} of its samples, "
    size = f"{part}{found.channels} x {found.samples} in {found.dtype}"
    return f"largest difference {found.difference:.3g}, of a peak of {found.peak:.3g} ({size})"


def show_deviation(job: WaveNetJob, options: WaveNetOptions, reference: str) -> int:
    """Print how far what the model makes of the input is from a `reference`."""
    from convtool.jobs.models.deviation import deviation
    from convtool.signals.inputs import expand

    inputs, _ = options.find_inputs()
    references, _ = expand([reference])
    if len(inputs) != 1 or len(references) != 1:
        raise UsageError(f"--compare takes one input and one reference; {max(len(inputs), len(references))} were given")
    with messages.about(inputs[0].name):
        found = deviation(job, inputs[0], references[0])
    for note in found.notes:
        messages.warn(note)
    if options.as_json:
        told = {key: value for key, value in asdict(found).items() if key not in ("notes", "squares", "of_reference")}
        messages.out(json.dumps({"esr": found.esr, **told}))
        return 0
    at = f"sample {found.at}" + (f" ({found.at / found.sample_rate:.3f} s)" if found.sample_rate else "")
    channel = f" of channel {found.channel}" if found.channels > 1 else ""
    size = f"of a peak of {found.peak:.3g} ({found.channels} x {found.samples})"
    messages.out(f"ESR {found.esr:.4g}; largest error {found.largest:.3g} at {at}{channel}, {size}")
    return 0
