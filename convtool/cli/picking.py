"""What `--pick` chooses of several kernels or models for each input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, Protocol

from convtool.errors import UsageError
from convtool.files.names import show

if TYPE_CHECKING:
    from convtool.runs.plan import Choice
    from convtool.signals.inputs import Input

Pick = Literal["random", "all"]


class Picking(Protocol):
    """The options that say what to pick, and where the outputs go."""

    @property
    def pick(self) -> Pick | None:
        """What `--pick` says."""

    @property
    def seed(self) -> int | None:
        """What `--seed` says."""

    @property
    def output(self) -> str | None:
        """What `-o` says."""


def picked(kind: str, word: str, items: Sequence[Input], options: Picking) -> Callable[[Input], Sequence[Choice]]:
    """What gives for an input which of the `items` it is worked with, where there is a choice, or the output names it.

    `word` is what stands for the items, which are of a `kind`: kernels or models.

    Raises:
        UsageError: there are several, and no way to choose; each of them would be written to one place.
    """
    from convtool.jobs.choosing import all_of, one_of

    if options.seed is not None and options.pick != "random":
        raise UsageError("--seed is for --pick random")
    named = f"{{{kind}" in (options.output or "")
    if len(items) > 1 and options.pick is None:
        raise UsageError(
            f"{show(word)} stands for {len(items)} {kind}s; give --pick random, for one of them for each input, or "
            "--pick all, for each of them"
        )
    if len(items) > 1 and options.pick == "all" and not named:
        raise UsageError(
            f"--pick all makes {len(items)} outputs of each input; name them with {{{kind}}} in the output, such as "
            f"-o 'wet/{{stem}}-{{{kind}}}.wav'"
        )
    if options.pick == "random":
        return one_of(kind, items, options.seed or 0)
    return all_of(kind, items) if options.pick == "all" or named else lambda _: ()
