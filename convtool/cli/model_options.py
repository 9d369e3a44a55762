"""What `lstm` and `wavenet` share: options of a model, and the checks of them that need no input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, ClassVar, Literal, TypedDict

import click

from convtool.cli import messages
from convtool.cli.options import argument, choice, flag, given, integer, parsed, text
from convtool.cli.picking import Pick, picked
from convtool.cli.running import run_job
from convtool.cli.shared_options import JobSettings, SignalOptions
from convtool.errors import UsageError
from convtool.files.names import show

if TYPE_CHECKING:
    from convtool.jobs.signal_job import SignalJob
    from convtool.signals.inputs import Input

_STATE_EXTENSIONS = ("", "npz", "safetensors", "pt", "pth")
"""Of the files that hold states; a name without an extension is one of NPZ."""

_RatePolicy = Literal["error", "resample", "ignore"]
_Nan = Literal["error", "propagate", "zero"]


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


def _new_state_file(word: str) -> str:
    from convtool.files.formats import extension

    if extension(word) not in _STATE_EXTENSIONS:
        raise ValueError(f"'{show(word)}' is no name for a state, which goes into .npz, .safetensors, .pt")
    return word


class ModelSettings(TypedDict):
    """What the options of a model say to its job."""

    condition: tuple[float, ...]
    rate_policy: _RatePolicy
    state_in: str | None
    state_out: str | None
    nan: str
    plot: str | None


@dataclass(frozen=True)
class ModelOptions(SignalOptions):
    """The options of a command that runs a model."""

    OF_COMMAND: ClassVar = True

    model: str = argument("MODEL")
    pick: Pick | None = choice(
        Pick,
        "Of a folder or pattern of models: one for each input, the same for the same name; or each of them, with "
        "{model} in -o.",
    )
    seed: int | None = integer("Other choices of --pick random.  [default: 0]", metavar="N")
    condition: tuple[float, ...] = parsed(
        _condition,
        "The model's further inputs, the same in every sample, such as knobs: 0.5,1.",
        default="",
        metavar="VALUES",
    )
    rate_policy: _RatePolicy = choice(
        _RatePolicy,
        "Where the sample rates of input and model differ: resample brings the input to the model's, and back.",
        default="error",
    )
    state_in: str | None = parsed(_state_file, "Go on from what --state-out kept.", metavar="FILE")
    state_out: str | None = parsed(
        _new_state_file, "Keep the state after the last sample: .npz, .safetensors, .pt.", metavar="FILE"
    )
    self_test: bool = flag("Run the test vectors that MODEL carries, instead of an input.")
    nan: _Nan = choice(
        _Nan, "NaN and infinities are an error, may spoil all that follows them, or count as 0.", default="error"
    )

    plot: str | None = text("Draw the input and the output: waveforms and spectra.", metavar="FILE")

    def model_settings(self) -> ModelSettings:
        """What they say to the job."""
        return {
            "condition": self.condition,
            "rate_policy": self.rate_policy,
            "state_in": self.state_in,
            "state_out": self.state_out,
            "nan": self.nan,
            "plot": self.plot,
        }

    def refuse_beside(self, trial: list[str], *others: str) -> None:
        """What tries the model out, as it is spelled, does nothing else."""
        also = [*trial[1:], *given(self, *others, "output", "state_in", "state_out", "report", "plot", "dry_run")]
        if trial and also:
            raise UsageError(f"{trial[0]} tries the model out, and does nothing else; leave out {also[0]}")

    def refuse_signal(self) -> None:
        """A signal where the model should stand: the words are in the wrong order, or the model is left out."""
        from convtool.signals.inputs import is_signal

        if is_signal(self.model):
            order = " ".join(map(show, (*(self.inputs[:1] or ("MODEL",)), self.model)))
            command = click.get_current_context().command_path
            raise UsageError(
                f"{show(self.model)} is a signal, where the model should stand; that comes first: {command} {order}"
            )

    def find_models(self, extensions: Sequence[str]) -> list[Input]:
        """The models that MODEL stands for; of a folder, the files with one of the `extensions`."""
        from convtool.jobs.choosing import find_models

        self.refuse_signal()
        if given(self, "prewarm") and self.state_in:
            raise UsageError("--prewarm is for a model that begins, and --state-in for one that goes on; give either")
        models, passed = find_models(self.model, extensions)
        for path in passed:
            messages.detail(f"passed over, no model: {show(path)}")
        single = given(self, "self_test", "compare", "state_in")
        if single and len(models) > 1:
            raise UsageError(
                f"{single[0]} is for one model; {show(self.model)} stands for {len(models)}; give one of them"
            )
        return models

    def run(self, make_job: Callable[[JobSettings], SignalJob], models: Sequence[Input]) -> int:
        """Run the job over the inputs, each with its models; the exit code."""
        return run_job(
            self,
            make_job,
            plot=self.plot,
            single="--state-out keeps the state after one input" if self.state_out else None,
            also_read=[*(each.value for each in models), *([self.state_in] if self.state_in else [])],
            also_written=[self.state_out] if self.state_out else [],
            choices=picked("model", self.model, models, self),
        )
