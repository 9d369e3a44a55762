"""How a command declares its options: each once, as a field of a frozen dataclass, typed as the command uses it.

    @dataclass(frozen=True)
    class Options(SignalOptions):
        stride: int = integer("Keep every N-th output.", least=1, default=1, metavar="N")

    @command("decimate", Options)
    def command(options: Options) -> int: ...

A field gives the option its name, `--stride`, unless the helper that declares it is given others.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import Field, field, fields
from functools import partial, wraps
from inspect import get_annotations
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, overload

import click

from convtool.cli import messages
from convtool.errors import UsageError
from convtool.files.names import show

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

T = TypeVar("T")

MOST_HZ = (1 << 31) - 1
_DECIBELS = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:dB)?", re.ASCII | re.IGNORECASE)

_JOINED = re.compile(r"(-[A-Za-z])=(.*)", re.DOTALL)
"""A short option and its value, joined as a long option's may be."""


@overload
def argument(metavar: str) -> str: ...
@overload
def argument(metavar: str, of: object) -> Any: ...
def argument(metavar: str, of: object = None) -> Any:
    """One word that is no option; one of those of the Literal type `of`, where that is given."""
    return _declared(click.Argument, metavar=metavar, type=click.STRING if of is None else click.Choice(get_args(of)))


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
    return _declared(click.Option, type=_Whole(least, most, "a whole number"), help=help, **settings)


@overload
def real(
    help: str, *, least: float | None = None, most: float | None = None, like: str = "", default: float, **more: Any
) -> float: ...
@overload
def real(
    help: str, *, least: float | None = None, most: float | None = None, like: str = "", bare: str = "", metavar: str
) -> float | None: ...
def real(
    help: str,
    *,
    least: float | None = None,
    most: float | None = None,
    like: str = "a number",
    bare: str = "",
    **settings: Any,
) -> Any:
    """A number from `least` to `most`; `like` says in messages what it is, and how it is written.

    With `bare`, the number may be left out, and is then this one.
    """
    kind = partial(_Bare, bare=bare) if bare else click.Option
    return _declared(kind, type=_Real(least, most, like), help=help, **settings)


@overload
def parsed(parse: Callable[[str], T], help: str, names: str = "", *, metavar: str, required: Literal[True]) -> T: ...
@overload
def parsed(parse: Callable[[str], T], help: str, *, metavar: str, default: str) -> T: ...
@overload
def parsed(parse: Callable[[str], T], help: str, *, metavar: str) -> T | None: ...
def parsed(parse: Callable[[str], Any], help: str, names: str = "", **settings: Any) -> Any:
    """What `parse` makes of the word given; what it can't take is a ValueError that says why."""
    return _declared(click.Option, names, type=_Parsed(parse), help=help, **settings)


def _declared(kind: Callable[..., click.Parameter], names: str = "", **settings: Any) -> T:  # type: ignore[type-var]
    """A field, told to the type checker as the value that it will have."""
    if settings.get("default") not in (None, ""):
        settings.setdefault("show_default", True)
    return field(metadata={"kind": kind, "names": names, "settings": settings})  # type: ignore[no-any-return]


class _InWords:
    """A kind of number that says what is expected where it is given something else."""

    def __init__(self, least: float | None, most: float | None, like: str) -> None:
        super().__init__(least, most)  # type: ignore[call-arg]  # it stands before a range of Click's
        self._limited = (least, most) != (None, None)
        limits = {(False, True): f" up to {most}", (True, False): f" of {least} or more"}
        both = f" from {least} to {most}"
        self._expected = like + limits.get((least is not None, most is not None), both if most is not None else "")

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number that the word `value` is; where there are limits, none that is not finite is between them."""
        try:
            number = super().convert(value, param, ctx)  # type: ignore[misc]
        except click.BadParameter:
            number = None
        if number is None or (self._limited and not self._is_held(number)):
            raise click.BadParameter(f"'{show(str(value))}' does not fit; expected {self._expected}", ctx, param)
        return number

    @staticmethod
    def _is_held(number: float) -> bool:
        """Whether it is finite, and a whole number one of 64 bits."""
        return -(1 << 63) <= number < 1 << 63 if isinstance(number, int) else math.isfinite(number)

    def _describe_range(self) -> str:
        """The limits, as the help shows them."""
        return super()._describe_range() if self._limited else ""  # type: ignore[misc]


class _Bare(click.Option):
    """An option whose value may be left out."""

    def __init__(self, *args: Any, bare: str, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.bare = bare


class _Whole(_InWords, click.IntRange):
    """A whole number."""


class _Real(_InWords, click.FloatRange):
    """A real number."""


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


class _Command(click.Command):
    """A command that takes no option for another, and says how numbers that begin with a minus are given."""

    def make_context(self, info_name: str | None, args: list[str], *others: Any, **extra: Any) -> click.Context:
        """Read the command line, print --help."""
        with messages.printing():
            return super().make_context(info_name, args, *others, **extra)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the words of the command line."""
        words = list(self._apart(args))
        try:
            if not ctx.resilient_parsing:
                self._refuse_repeated(self.make_parser(ctx).parse_args([*words])[2], ctx)
            return super().parse_args(ctx, words)
        except click.NoSuchOption as error:
            word = self._negative(words)
            if word is None:
                raise
            raise click.UsageError(
                f"'{show(word)}' begins with a minus, as options do; numbers like that follow --, behind all options: "
                f"{ctx.command_path} ... -- {show(word)}",
                ctx,
            ) from error

    def _apart(self, words: Iterable[str]) -> Iterator[str]:
        """The words, ``-k=1,2`` as two, and a value that may be left out and follows joined to its option."""
        takers, left = self._options(takers=True), [*words]
        bare = {name: each.bare for each in self.params if isinstance(each, _Bare) for name in each.opts}
        while left and left[0] != "--":
            word = left.pop(0)
            joined = _JOINED.fullmatch(word)
            if word in bare:
                yield f"{word}={left.pop(0) if left and _DECIBELS.fullmatch(left[0]) else bare[word]}"
            else:
                yield from joined.groups() if joined and joined[1] in takers else (word,)
        yield from left

    def _options(self, *, takers: bool = False) -> set[str]:
        """The options as they are spelled, or those alone that take a value."""
        found = (each for each in self.params if isinstance(each, click.Option) and not (takers and each.is_flag))
        return {name for each in found for name in each.opts}

    def _negative(self, words: list[str]) -> str | None:
        """The first word that is a number, or several, but stands where an option would."""
        from convtool.signals.inputs import looks_like_numbers

        options, takers = self._options(), self._options(takers=True)
        ahead = takewhile("--".__ne__, words)
        for before, word in pairwise(["", *ahead]):
            if word.startswith("-") and before not in takers and word not in options and looks_like_numbers(word):
                return word
        return None

    @staticmethod
    def _refuse_repeated(found: list[click.Parameter], ctx: click.Context) -> None:
        """An option of one value is given once."""
        for each in found:
            if isinstance(each, click.Option) and not (each.multiple or each.is_flag) and found.count(each) > 1:
                raise click.UsageError(f"{each.opts[-1]} is given {found.count(each)} times; it takes one value", ctx)


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

        return click.command(name, cls=_Command, params=[*_parameters(options), *messages.options()])(run)

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
        settings = each.metadata["settings"]
        yield each.metadata["kind"]([each.name, *_spelled(each)], shell_complete=_suggest, **settings)


def _suggest(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from convtool.cli.suggestions import suggest

    return suggest(ctx, param, incomplete)


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
