"""`convtool completion`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from convtool.cli import messages
from convtool.cli.options import argument, command

Shell = Literal["bash", "zsh", "fish"]


@dataclass(frozen=True)
class Options:
    """The options of `completion`."""

    shell: Shell = argument("SHELL", Shell)


@command("completion", Options)
def completion(options: Options) -> int:
    """Print the script with which bash, zsh or fish completes command lines of convtool.

    What is completed: commands, options and their choices, files, formats and subtypes, the columns of a
    text (--columns), and the tensors of a weight file (--tensor, and FILE:: wherever a file can stand).

    \b
    Examples:
      eval "$(convtool completion bash)"
      convtool completion zsh > _convtool
      convtool completion fish > convtool.fish
    """
    from convtool.cli.shells import script

    messages.out(script(options.shell), nl=False)
    return 0
