"""How commands declare their options, on one that does nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import click
import pytest
from click.testing import CliRunner

from convtool.cli.options import argument, choice, command, flag, given, integer, parsed, real, text, texts
from convtool.cli.shared_options import RunOptions, SourceOptions

Side = Literal["left", "right"]


def halves(word: str) -> float:
    if not word.isdecimal():
        raise ValueError(f"{word} is no count of halves")
    return int(word) / 2


@dataclass(frozen=True)
class Options(RunOptions, SourceOptions):
    """One of each kind."""

    model: str = argument("MODEL")
    side: Side = choice(Side, "A word.", default="left")
    far_side: Side | None = choice(Side, "Another, or none.", "--far")
    count: int = integer("A whole number.", least=0, default=3, metavar="N")
    seed: int | None = integer("Any whole number.", metavar="N")
    gain: float = real("A number.", default=0.0, metavar="DB")
    share: float | None = real("A bounded number.", least=0, most=1, metavar="0..1")
    level: float | None = real("A number with a least one.", least=0, metavar="X")
    depth: float | None = real("A number with a greatest one.", most=0, metavar="X")
    size: float = parsed(halves, "Parsed.", default="2", metavar="SIZE")
    name: str | None = text("Text.", "-n --name", metavar="NAME")
    tags: tuple[str, ...] = texts("Texts.", metavar="TAG")
    loud: bool = flag("Set or not.")


GIVEN = (
    "inputs",
    "side",
    "far_side",
    "count",
    "seed",
    "gain",
    "share",
    "level",
    "depth",
    "size",
    "name",
    "tags",
    "loud",
)


def run(*words: str) -> tuple[list[Options], click.testing.Result]:
    seen: list[Options] = []

    @command("one-of-each", Options)
    def one_of_each(options: Options) -> int:
        """Keep what it is given."""
        seen.append(options)
        return 0

    return seen, CliRunner().invoke(one_of_each, words)


def test_values_have_their_types_and_defaults() -> None:
    (options,), result = run("m", "x", "y")
    assert (result.exit_code, options.model, options.inputs) == (0, "m", ("x", "y"))
    found = [options.side, options.far_side, options.count, options.seed, options.gain, options.share, options.size]
    assert found == ["left", None, 3, None, 0.0, None, 1.0]
    assert (options.name, options.tags, options.loud, options.jobs) == (None, (), False, None)
    assert given(options, *GIVEN) == ["INPUT"]


def test_what_is_given_is_named_as_it_is_spelled() -> None:
    words = "m --side right --far left --count 0 --seed -1 --gain 1 --share 0 -n a --tags b --tags c --loud"
    (options,), _ = run(*words.split())
    assert (options.tags, options.seed, options.share) == (("b", "c"), -1, 0.0)
    spelled = ["--side", "--far", "--count", "--seed", "--gain", "--share", "-n", "--tags", "--loud"]
    assert given(options, *GIVEN) == spelled


def test_the_help_has_inputs_first_then_own_options_then_shared_ones() -> None:
    _, result = run("--help")
    names = ["--input-list", "--sample-rate", "--side", "--loud", "--jobs", "--no-progress", "--quiet", "--help"]
    places = [result.output.index(f"{name} ") for name in names]
    assert places == sorted(places)
    assert "MODEL INPUT..." in result.output
    assert "[default: 3; x>=0]" in result.output


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("m --size x", "Invalid value for '--size': x is no count of halves"),
        ("m --side up", "'up' is not one of 'left', 'right'"),
        ("m --share 2", "'2' does not fit; expected a number from 0 to 1"),
        ("m --share nan", "'nan' does not fit; expected a number from 0 to 1"),
        ("m --level inf", "'inf' does not fit; expected a number of 0 or more"),
        ("m --level 1e400", "'1e400' does not fit; expected a number of 0 or more"),
        (f"m --count {10**400}", "does not fit; expected a whole number of 0 or more"),
        ("m --depth=-inf", "'-inf' does not fit; expected a number up to 0"),
    ],
)
def test_what_does_not_fit_is_refused(words: str, error: str) -> None:
    seen, result = run(*words.split())
    assert (seen, result.exit_code) == ([], 2)
    assert error in result.output
