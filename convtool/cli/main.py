"""The `convtool` command: finds its subcommands, and turns errors into lines and exit codes."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from typing import Any

import click

from convtool import __version__
from convtool.cli.options import Talk, talk_options
from convtool.errors import ConvtoolError, UsageError

COMMANDS = {
    "convolve": ("convtool.cli.convolve", "Convolve signals with a kernel: FIR filters, reverbs, cabinets."),
}
"""Where each command lives, and its line of help: a command's module is imported only to run it."""


class Terminated(BaseException):
    """SIGTERM arrived."""


class ClosedPipe(BaseException):
    """Nobody reads what is being printed any more."""


class LazyGroup(click.Group):
    """A group that imports a command when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(COMMANDS[cmd_name][0])
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; Click would turn a closed pipe into exit 1."""
        try:
            return super().invoke(ctx)
        except UsageError as error:
            raise click.UsageError(str(error), Talk.of(ctx).command or ctx) from error
        except BrokenPipeError as error:
            raise ClosedPipe from error


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="convtool")
@talk_options
def cli() -> None:
    """Signal processing over PyTorch, on files of any length.

    Inputs are CSV, NPY or audio files, folders, patterns, numbers in place (4,1,2,5) or standard input.
    Results go to standard output as text, or to files with -o.

    \b
    Examples:
      convtool convolve 4,1,2,5 -k 1,2,-1
      convtool convolve takes/ -k hall.wav -o wet/
    """


def main() -> None:
    """Run the command line and leave with the exit code that the outcome asks for."""
    code = _run()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            code = code or 1
    if "torch" in sys.modules:
        os._exit(code)  # taking torch apart costs a third of a second, and there is nothing left to do
    sys.exit(code)


def _run() -> int:
    signal.signal(signal.SIGTERM, _terminate)
    try:
        result = cli.main(standalone_mode=False)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except ConvtoolError as error:
        click.echo(f"Error: {error}", err=True)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 128 + signal.SIGINT
    except Terminated:
        return 128 + signal.SIGTERM
    except ClosedPipe:
        _end_as_cat_does()
    return result if isinstance(result, int) else 0


def _terminate(*_: object) -> None:
    raise Terminated


def _end_as_cat_does() -> None:
    """Die of SIGPIPE, quietly, as programs do that leave the signal alone."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGPIPE)
