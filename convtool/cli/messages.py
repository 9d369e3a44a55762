"""What a command says on standard error, and how much of it: -q, -v and --debug settle that."""

from __future__ import annotations

import errno
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import click

from convtool.errors import ConvtoolError, OutputError
from convtool.files.names import without_secrets
from convtool.warm import launcher


def asked_for(option: str) -> bool:
    """Whether `quiet`, `verbose` or `debug` was given, before the command's name or after it."""
    return option in click.get_current_context().meta.get(__name__, ())


_printers: list[Callable[[str], None]] = []
_printing = threading.Lock()


def say(text: str) -> None:
    """Print on standard error. A full disk there, or nobody who reads it, is no reason to do less work."""
    with suppress(OSError), _printing:
        if _printers:
            _printers[-1](text)
        else:
            click.echo(text, err=True)


@contextmanager
def printed_by(printer: Callable[[str], None]) -> Iterator[None]:
    """Let `printer` say what there is to say: it knows what else is on the screen."""
    with _printing:
        _printers.append(printer)
    try:
        yield
    finally:
        with _printing:
            _printers.remove(printer)


class PrintError(OutputError):
    """Standard output does not take what is printed there: no file that is being worked on is to blame."""


@contextmanager
def printing() -> Iterator[None]:
    """What the system says here is about standard output; that nobody reads it any more is no error to tell.

    Raises:
        PrintError: it takes no more.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        reason = "the disk is full" if error.errno == errno.ENOSPC else f"can't be written: {error.strerror}"
        raise PrintError(f"standard output: {reason}") from error


def out(text: str, *, nl: bool = True) -> None:
    """Print on standard output what was asked for.

    Raises:
        PrintError: it takes no more.
    """
    with printing():
        click.echo(text, nl=nl)


def error(text: str) -> None:
    """Say what went wrong."""
    say(f"Error: {text}")


def note(text: str) -> None:
    """Say what the person should know, unless -q was given."""
    if not asked_for("quiet"):
        say(text)


def warn(text: str) -> None:
    """Say what may not be as the person expects, unless -q was given."""
    note(f"Warning: {text}")


def detail(text: str) -> None:
    """Say what was chosen, where -v was given."""
    if asked_for("verbose"):
        say(text)


def traceback_of(error: BaseException) -> None:
    """Say where in the program `error` arose, where --debug was given."""
    if asked_for("debug"):
        import traceback

        trace("".join(traceback.format_exception(error)))


def trace(text: str) -> None:
    """Say `text`, which libraries may have quoted the addresses in that they were given."""
    say(without_secrets(text))


def _remember(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        given = ctx.meta.setdefault(__name__, set())
        if param.name == "verbose" and param.name not in given and launcher.reason:
            say(f"Without the warm process: {launcher.reason}")
        given.add(param.name)
        if {"quiet", "verbose"} <= given:
            raise click.UsageError("-q says nothing but errors, and -v tells what was chosen; give one of them", ctx)


def options() -> list[click.Parameter]:
    """The options of every command that settle what it says."""
    declared = {
        ("-q", "--quiet"): "Say nothing but errors.",
        ("-v", "--verbose"): "Tell what was chosen: method, blocks, dtype, device, threads.",
        ("--debug",): "Show where in the program an error arose.",
    }
    return [
        click.Option(names, is_flag=True, is_eager=True, expose_value=False, callback=_remember, help=help)
        for names, help in declared.items()
    ]


@contextmanager
def about(name: str, kind: type[ConvtoolError] = ConvtoolError) -> Iterator[None]:
    """Errors of that kind that arise here are about the file or option `name`: their messages begin with it."""
    try:
        yield
    except kind as error:
        raise type(error)(f"{name}: {error}") from error


def quiet_libraries() -> None:
    """Keep the remarks of C libraries off the terminal; Python's own still get there."""
    from convtool.files.streams import silence_stderr

    sys.stderr.flush()
    if sys.stderr.fileno() != 2:
        return  # they are kept off already
    encoding = sys.stderr.encoding
    sys.stderr = os.fdopen(silence_stderr(), "w", encoding=encoding, errors="backslashreplace", buffering=1)
