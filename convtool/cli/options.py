"""How a command declares its options: each once, as a field of a frozen dataclass, typed as the command uses it.

    @dataclass(frozen=True)
    class Options(SignalOptions):
        stride: int = integer("Keep every N-th output.", least=1, default=1, metavar="N")

    @command("decimate", Options)
    def command(options: Options) -> int: ...

A field gives the option its name, `--stride`, unless the helper that declares it is given others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import Field, field, fields
from functools import wraps
from inspect import get_annotations
from typing import Any, Literal, TypeVar, get_args, overload

import click

from convtool.cli import messages
from convtool.errors import UsageError

T = TypeVar("T")


def argument(metavar: str) -> str:
    """One word that is no option."""
    return _declared(click.Argument, metavar=metavar)


def arguments(metavar: str, *, required: bool = False) -> tuple[str, ...]:
    """All words that are no options."""
    return _declared(click.Argument, metavar=metavar, nargs=-1, required=required)


def flag(help: str, names: str = "") -> bool:
    """An option without a value."""
    return _declared(click.Option, names, is_flag=True, help=help)


@overload
def text(help: str, names: str = "", *, metavar: str, required: Literal[True]) -> str: ...
@overload
def text(help: str, names: str = "", *, metavar: str) -> str | None: ...
def text(help: str, names: str = "", **settings: Any) -> Any:
    """A value that is taken as it is."""
    return _declared(click.Option, names, help=help, **settings)


def texts(help: str, *, metavar: str) -> tuple[str, ...]:
    """Values that are taken as they are: the option may be given several times."""
    return _declared(click.Option, multiple=True, metavar=metavar, help=help)


@overload
def choice(of: object, help: str, *, default: T) -> T: ...
@overload
def choice(of: object, help: str, names: str = "") -> T | None: ...
def choice(of: object, help: str, names: str = "", **settings: Any) -> Any:
    """One of the words of the Literal type `of`."""
    return _declared(click.Option, names, type=click.Choice(get_args(of)), help=help, **settings)


@overload
def integer(help: str, *, least: int, most: int | None = None, default: int, metavar: str) -> int: ...
@overload
def integer(help: str, *, least: int | None = None, most: int | None = None, metavar: str) -> int | None: ...
def integer(help: str, *, least: int | None = None, most: int | None = None, **settings: Any) -> Any:
    """A whole number from `least` to `most`."""
    kind = click.INT if least is None else click.IntRange(least, most)
    return _declared(click.Option, type=kind, help=help, **settings)


@overload
def real(help: str, *, least: float | None = None, most: float | None = None, default: float, **more: Any) -> float: ...
@overload
def real(help: str, *, least: float | None = None, most: float | None = None, metavar: str) -> float | None: ...
def real(help: str, *, least: float | None = None, most: float | None = None, **settings: Any) -> Any:
    """A number from `least` to `most`."""
    kind = click.FLOAT if least is None else click.FloatRange(least, most)
    return _declared(click.Option, type=kind, help=help, **settings)


@overload
def parsed(parse: Callable[[str], T], help: str, names: str = "", *, metavar: str, required: Literal[True]) -> T: ...
@overload
def parsed(parse: Callable[[str], T], help: str, *, metavar: str, default: str) -> T: ...
@overload
def parsed(parse: Callable[[str], T], help: str, *, metavar: str) -> T | None: ...
def parsed(parse: Callable[[str], Any], help: str, names: str = "", **settings: Any) -> Any:
    """What `parse` makes of the word given; what it can't take is a ValueError that says why."""
    return _declared(click.Option, names, type=_Parsed(parse), help=help, **settings)


def _declared(kind: type[click.Parameter], names: str = "", **settings: Any) -> T:  # type: ignore[type-var]
    """A field, told to the type checker as the value that it will have."""
    if settings.get("default") not in (None, ""):
        settings.setdefault("show_default", True)
    return field(metadata={"kind": kind, "names": names, "settings": settings})  # type: ignore[no-any-return]


class _Parsed(click.ParamType):  # type: ignore[type-arg]  # generic from Click 8.4 on
    name = "text"

    def __init__(self, parse: Callable[[str], Any]) -> None:
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """What the word `value` stands for."""
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def command(name: str, options: type[T]) -> Callable[[Callable[[T], int]], click.Command]:
    """Make a function that takes `options` the command `name`; its result is the exit code."""

    def decorate(function: Callable[[T], int]) -> click.Command:
        @wraps(function)
        def run(**values: Any) -> int:
            try:
                return function(options(**values))
            except UsageError as error:
                messages.traceback_of(error)
                raise click.UsageError(str(error), click.get_current_context()) from error

        return click.command(name, params=[*_parameters(options), *messages.options()])(run)

    return decorate


def _parameters(options: type[Any]) -> Iterator[click.Parameter]:
    """What Click is to read: the inputs, what is the command's own, then what it shares with others."""

    def place(declared: Field[Any]) -> int:
        owner = next(each for each in options.__mro__ if declared.name in get_annotations(each))
        of_command = owner is options or hasattr(owner, "OF_COMMAND")
        if declared.metadata["kind"] is click.Argument and of_command:
            return 0
        return 1 if hasattr(owner, "COMES_FIRST") else 2 if of_command else 3

    for each in sorted(fields(options), key=place):
        yield each.metadata["kind"]([each.name, *_spelled(each)], **each.metadata["settings"])


def _spelled(declared: Field[Any]) -> list[str]:
    """The words that give an option on the command line."""
    if declared.metadata["kind"] is click.Argument:
        return []
    return declared.metadata["names"].split() or [f"--{declared.name.replace('_', '-')}"]


def given(options: Any, *names: str) -> list[str]:
    """Those of the fields `names` of `options` that do not have their defaults, as they are spelled."""
    found = []
    for each in (each for name in names for each in fields(options) if each.name == name):
        value, settings = getattr(options, each.name), each.metadata["settings"]
        default = settings.get("default")
        if default is not None:
            default = settings["type"].convert(default, None, None)
        if value is not False and value not in ((), default):
            found.append((_spelled(each) or [settings["metavar"].rstrip(".")])[0])
    return found
