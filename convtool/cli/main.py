"""The `convtool` command: finds its subcommands, and turns errors into lines and exit codes."""

from __future__ import annotations

import gc
import importlib
import os
import signal
import sys
from contextlib import suppress
from types import FrameType
from typing import Any

import click

from convtool import __version__
from convtool.cli import messages
from convtool.errors import ConvtoolError, Terminated
from convtool.files.names import show

COMMANDS = {
    "convolve": "Convolve signals with a kernel: FIR filters, reverbs, cabinets.",
    "local-var": "Variance and other statistics of every sliding window.",
    "pad-batch": "Batches of recordings of different lengths: padded, masked, grouped.",
    "unpad-batch": "The signals of a batch, as they were before padding.",
    "inspect-weights": "What is in weight files: names, shapes, filters, responses.",
    "rescale": "Bring signals into a range, and back: affinely, by clipping, squashed.",
    "lstm": "Run recurrent models over signals: captured amplifiers, nn.LSTM and nn.GRU.",
    "wavenet": "Run dilated convolutions over signals: captured amplifiers in NAM's files.",
    "completion": "Completion of command lines for bash, zsh and fish.",
    "warm": "Keep a process with torch loaded, so that the calls that follow begin at once.",
}
"""Each command and its line of help. Its module, which is imported only to run it, and its function bear its name."""


class Interrupted(BaseException):
    """SIGINT arrived; Click would end a line on standard error at KeyboardInterrupt."""


class ClosedPipe(BaseException):
    """Nobody reads what is being printed any more."""


class LazyGroup(click.Group):
    """A group that imports a command when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        command: click.Command = getattr(importlib.import_module(f"convtool.cli.{name}"), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first word names, which must be one."""
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0].replace("_", "-"), COMMANDS, 1) or COMMANDS
            ctx.fail(f"there is no command '{show(args[0])}'; there is {', '.join(near)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def make_context(self, info_name: str | None, args: list[str], *others: Any, **extra: Any) -> click.Context:
        """Read the command line, print --help; Click would turn a closed pipe into exit 1."""
        if any("file://" in word.lower() for word in args):
            from convtool.files.urls import without_file_url

            args = [without_file_url(word) for word in args]
        try:
            with messages.printing():
                return super().make_context(info_name, args, *others, **extra)
        except BrokenPipeError as error:
            raise ClosedPipe from error
        except KeyboardInterrupt as error:
            raise Interrupted from error

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise ClosedPipe from error
        except KeyboardInterrupt as error:
            raise Interrupted from error
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except Exception as error:
            messages.traceback_of(error)
            raise


def _tell_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    """Print the version of convtool; with -v, of all that it runs on."""
    if value and not ctx.resilient_parsing:
        messages.out(f"convtool, version {__version__}")
        if messages.asked_for("verbose"):
            from convtool.jobs.versions import versions

            messages.out("\n".join(versions()))
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    callback=_tell_version,
    help="Show the version, with -v all versions and devices, and exit.",
)
def cli() -> None:
    """Signal processing over PyTorch, on files of any length.

    Inputs are CSV, NPY or audio files, folders, patterns, numbers in place (4,1,2,5) or standard input.
    Results go to standard output as text, or to files with -o.

    \b
    Examples:
      convtool convolve 4,1,2,5 -k 1,2,-1
      convtool convolve takes/ -k hall.wav -o wet/
      convtool local-var 1,2,4,8,16 -w 2
    """


cli.params += messages.options()


def main() -> None:
    """Run the command line and leave with the exit code that the outcome asks for."""
    gc.set_threshold(100_000)  # what start-up makes lives to the end; looking for cycles in it costs a tenth of it
    sys.unraisablehook = _unraisable
    # The arithmetic is torch's. Where NumPy's OpenBLAS can't start its threads, it sends this process SIGINT.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        os._exit(_run())  # taking torch apart costs a third of a second; click.echo leaves nothing to flush
    except (KeyboardInterrupt, Terminated):  # a signal came when an error was being told, or just before the end
        os._exit(128 + _signals[0])


def _run() -> int:
    _signals.clear()
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) != signal.SIG_IGN:  # as nohup and the background of a shell have it
                signal.signal(number, _stop)
        _hold_streams()
        if "_CONVTOOL_COMPLETE" in os.environ:
            from convtool.cli import shells

            shells.register()
        result = cli.main(prog_name="convtool", standalone_mode=False)
    except click.ClickException as error:
        with suppress(OSError):
            error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt, Interrupted):
        return 128 + signal.SIGINT
    except Exception as error:
        if _signals:  # C code has made another error of what the handler raised
            return 128 + _signals[0]
        from convtool.runs.run import explain

        messages.error(explain(error))
        return error.exit_code if isinstance(error, ConvtoolError) else 1
    except Terminated:
        return 128 + signal.SIGTERM
    except ClosedPipe:
        return _end_as_cat_does()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    if _signals:
        return 128 + _signals[0]
    return result if isinstance(result, int) else 0


def _hold_streams() -> None:
    """Closed standard streams stay unusable, but files opened later must not get their numbers."""
    for number, flags in enumerate((os.O_WRONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, flags), True)  # they must not in worker processes either
    sys.stderr = sys.stderr or open(2, "w", closefd=False)


_signals: list[int] = []
"""The signal that stops this run, once it has come."""


_PATIENCE = 10.0
"""Seconds that the work is given to end."""
_SOON = 0.02
"""Seconds until a signal that came within an import is looked at again."""


def _stop(number: int, frame: FrameType | None) -> None:
    """End the work from wherever it is; a second signal ends the process at once."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_DFL)
    _signals.append(number)
    _raise(number, frame)


def _raise(number: int, frame: FrameType | None) -> None:
    """Raise what stands for the signal `number`, behind the import that is under way if there is one.

    What is raised within it may be forgotten by the library, made another error, or abort the process.
    """
    if _is_importing(frame):
        signal.signal(signal.SIGALRM, lambda _, later: _raise(number, later))
        signal.setitimer(signal.ITIMER_REAL, _SOON)
        return
    # What is raised in the midst of `threading` may leave a lock taken that others wait for.
    signal.signal(signal.SIGALRM, lambda *_: os._exit(128 + number))
    signal.setitimer(signal.ITIMER_REAL, _PATIENCE)
    raise KeyboardInterrupt if number == signal.SIGINT else Terminated


def _is_importing(frame: FrameType | None) -> bool:
    """Whether the program, as far as it runs within `_run`, is importing something at `frame`."""
    while frame is not None and frame.f_code is not _run.__code__:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _unraisable(unraisable: sys.UnraisableHookArgs) -> None:
    """Where Python can't pass on what `_stop` raised, in a destructor or a callback, this is the end."""
    if _signals and isinstance(unraisable.exc_value, KeyboardInterrupt | Terminated):
        os._exit(128 + _signals[0])
    sys.__unraisablehook__(unraisable)


def _end_as_cat_does() -> int:
    """Die of SIGPIPE, quietly, as programs do that leave the signal alone; where it is blocked, say so."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGPIPE)
    return 128 + signal.SIGPIPE
