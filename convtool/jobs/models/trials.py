"""Two checks of a recurrent model: by the test vectors in its own file, and one engine against the other."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from convtool.errors import InputError
from convtool.jobs.backend import choose_device, load_torch
from convtool.jobs.models.network import build_network, initial_states
from convtool.jobs.models.place import Place
from convtool.jobs.signal_job import plain_errors
from convtool.jobs.stream import Ingest, working_dtype
from convtool.models.recurrent import RecurrentModel
from convtool.signals.inputs import Input
from convtool.signals.opening import ReadOptions, open_reader

if TYPE_CHECKING:
    from torch import Tensor

    from convtool.ops.recurrent.network import Network, State

TOLERANCE = 1e-5
"""Difference to a test vector, of its largest value or of 1, from which a model is another one. Vectors are exported
from float32: the same model gives them back to about 3e-7."""

COMPARED = 1 << 17
"""Samples that engines are compared over: one of them takes a minute for one of audio."""

Engine = Literal["sequence", "cell"]
ENGINES: tuple[Engine, ...] = ("sequence", "cell")


@dataclass(frozen=True)
class SelfTest:
    """How well a model gives back the outputs that its file says it has."""

    samples: int
    difference: float
    """The largest."""
    limit: float
    gains: bool
    """Whether the vectors were made with the file's gains."""

    @property
    def holds(self) -> bool:
        """Whether it is the same model."""
        return self.difference <= self.limit


def self_test(model: RecurrentModel, *, engine: Engine, dtype: str) -> SelfTest:
    """Run the test vectors of `model` from a state of zeros.

    Some writers make them before they settle the gains: those of such a file may hold with the gains or without.

    Raises:
        InputError: the file has no test vectors.
    """
    if model.vectors is None:
        raise InputError("there are no test vectors in it ('input_batch', 'output_batch')")
    torch = load_torch()
    from convtool.ops.recurrent.network import run_network

    given, expected = (np.ascontiguousarray(values.T) for values in model.vectors)
    place = Place(dtype)
    found = []
    for gains in (True, False) if (model.input_gain, model.output_gain) != (1, 1) else (True,):
        with torch.inference_mode():
            output, _ = run_network(place.tensor(given), build_network(model, place, engine=engine, gains=gains))
        found.append((_difference(output, torch.from_numpy(expected)), gains))
    difference, gains = min(found)
    limit = TOLERANCE * max(1.0, float(np.abs(expected).max()))
    return SelfTest(expected.shape[1], difference, limit, gains)


@dataclass(frozen=True)
class Comparison:
    """Both engines over the same samples."""

    samples: int
    whole: bool
    """Whether these are all that there are."""
    channels: int
    sample_rate: int | None
    dtype: str
    seconds: Mapping[Engine, float]
    """What each engine took."""
    difference: float
    """The largest between their outputs."""
    peak: float
    """The largest output."""


def compare(
    model: RecurrentModel, item: Input, *, read: ReadOptions, condition: Sequence[float], dtype: str | None, device: str
) -> Comparison:
    """Run both engines over the first `COMPARED` samples of `item`.

    Raises:
        InputError: it can't be read, does not fit the model, or the cells can't run the model.
    """
    with open_reader(item, read) as reader:
        signal, block = reader.signal, reader.read(COMPARED)
        whole = not reader.read(1).shape[-1]
    if not block.shape[-1]:
        raise InputError("there are 0 samples in it")
    torch = load_torch()
    place = Place(working_dtype(dtype, signal), choose_device(device, block.size))
    x = Ingest(signal, place.dtype, place.device, "error").tensor(block)
    outputs: dict[Engine, Tensor] = {}
    seconds: dict[Engine, float] = {}
    with torch.inference_mode(), plain_errors():
        for engine in ENGINES:
            network = build_network(model, place, condition=condition, engine=engine)
            outputs[engine], seconds[engine] = _timed(network, x, initial_states(model, place))
    difference = _difference(outputs["sequence"], outputs["cell"])
    peak = float(outputs["sequence"].abs().max())
    return Comparison(
        block.shape[-1], whole, signal.channels, signal.sample_rate, place.dtype, seconds, difference, peak
    )


def _timed(network: Network, x: Tensor, initial: Sequence[State] | None) -> tuple[Tensor, float]:
    """What the network makes of `x`, and the seconds that it takes; without what torch sets up once."""
    from convtool.ops.recurrent.network import run_network

    run_network(x[..., :1], network, initial=initial)
    begun = time.perf_counter()
    output = run_network(x, network, initial=initial)[0].cpu()
    return output, time.perf_counter() - begun


def _difference(output: Tensor, expected: Tensor) -> float:
    return float((output.double() - expected.double()).abs().max())
