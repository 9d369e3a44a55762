"""Several kernels or models: which are meant by a folder or pattern, and which of them each input is worked with."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence

from convtool.arrays.opening import is_whole
from convtool.errors import InputError
from convtool.files.formats import extension
from convtool.files.names import show
from convtool.runs.plan import Choice
from convtool.signals.inputs import Input, Selection, expand


def find_kernels(word: str) -> tuple[list[Input], list[str]]:
    """The kernels that `word` stands for, in a folder, by a pattern, or by name; and the files that are passed over.

    Raises:
        InputError: there is none in the folder.
    """
    return _or_none_there("kernel", word, *expand((word,)))


def find_models(word: str, extensions: Sequence[str]) -> tuple[list[Input], list[str]]:
    """The models that `word` stands for, as with `find_kernels`: of several files, those with one of the `extensions`.

    A folder that is one model, such as a distributed checkpoint, is that model.
    """
    if os.path.isdir(word) and is_whole(word):
        return [Input("file", word, os.path.basename(os.path.abspath(word)))], []
    found, passed = expand((word,), selection=Selection(include=("*",)))
    if [each.value for each in found] == [word]:  # a file that was named, whatever its extension
        return found, passed
    models = [each for each in found if each.fault or extension(each.value) in extensions]
    passed += [each.value for each in found if each not in models]
    return _or_none_there("model", word, models, passed)


def _or_none_there(kind: str, word: str, found: list[Input], passed: list[str]) -> tuple[list[Input], list[str]]:
    if not found:
        left = f"{len(passed)} passed over, such as {show(passed[0])}" if passed else "it is empty"
        raise InputError(f"there is no {kind} in {show(word)}: {left}")
    return found, passed


def word_of(item: Input) -> str:
    """The word that names one of them alone."""
    return f"{item.value}::{item.array}" if item.array else item.value


def all_of(kind: str, items: Sequence[Input]) -> Callable[[Input], list[Choice]]:
    """Every one of a `kind` for each input."""
    choices = [_choice(kind, each) for each in items]
    return lambda _: choices


def one_of(kind: str, items: Sequence[Input], seed: int) -> Callable[[Input], list[Choice]]:
    """One of a `kind` for each input, as if at random, and the same for the same seed and name.

    The input's name below its folder and each item's are hashed together, and the highest digest wins (rendezvous
    hashing: Thaler and Ravishankar 1998). So neither the other inputs nor their order matter, and of a folder to which
    a kernel is added no input gets another but those that get that one.
    """

    def drawn(item: Input) -> list[Choice]:
        def digest(each: Input) -> bytes:
            names = b"\0".join(os.fsencode(name) for name in (str(seed), item.relative, each.relative))
            return hashlib.sha256(names).digest()

        return [_choice(kind, max(items, key=digest))]

    return drawn


def _choice(kind: str, item: Input) -> Choice:
    return Choice(kind, word_of(item), os.path.splitext(item.relative)[0].replace(os.sep, "-"))
