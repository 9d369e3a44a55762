"""What the words on the command line stand for: files, folders, patterns, lists, numbers in place."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

from convtool.errors import UsageError
from convtool.files.formats import NAMES, extension
from convtool.files.names import show

_NUMBERS = re.compile(r"\s*[+-]?[\d.][^/\\]*|\s*[+-]?(nan|inf)\b[^/\\]*", re.ASCII | re.IGNORECASE)
_NUMBER_CHARACTERS = re.compile(r"[\s\d.,;+\-eEnNaAiIfF_x]*", re.ASCII)


@dataclass(frozen=True)
class Input:
    """One input: where it is, and what it is called in an output folder."""

    kind: str
    """``file``, ``numbers``, ``stdin``, or ``nothing`` where there is a `fault`."""
    value: str
    """The path, or the numbers themselves."""
    relative: str
    """The path below the folder that was named; the file's own name where it was named itself."""
    array: str = ""
    """The array that is meant of a file that holds several."""
    fault: str = ""
    """Why it can't be read, where that is known before it is opened; it has no output."""

    @property
    def name(self) -> str:
        """How a message calls it."""
        place = show(f"{self.value}::{self.array}" if self.array else self.value)
        return {"stdin": "standard input", "numbers": f"'{place}'"}.get(self.kind, place)

    @classmethod
    def of_word(cls, word: str) -> Input:
        """What a word is that names one input: ``-``, a file (which wins), `FILE::NAME`, numbers, or a missing file."""
        if word == "-":
            return cls("stdin", "-", "stdin")
        if not os.path.lexists(word):
            path, _, array = word.partition("::")
            if array and os.path.lexists(path):
                return cls.of_array(path, array)
            if looks_like_numbers(word):
                return cls("numbers", word, "numbers")
        return cls("file", word, os.path.basename(word))

    @classmethod
    def of_array(cls, path: str, array: str) -> Input:
        """The array called `array` of the file at `path`; its output is called after both."""
        stem = os.path.splitext(os.path.basename(path))[0]
        return cls("file", path, f"{stem}.{array.replace(os.sep, '.')}.npy", array)


def expand(words: Sequence[str], listed: Sequence[str] = ()) -> tuple[list[Input], list[str]]:
    """The inputs that `words` and the paths of a list stand for, in order; and the files passed over.

    A word is ``-`` (standard input), a file, a folder (walked, bytewise order, hidden files left out), a
    pattern, or numbers in place; a file of that name wins. Nothing at all is standard input. A path that
    leads nowhere stays an input and fails when it is opened, alone.
    """
    if not words and not listed:
        words = ("-",)
    inputs: list[Input] = []
    passed: list[str] = []
    for word in words:
        inputs.extend(_expand_word(word, passed))
    inputs.extend(_listed(path) for path in listed)
    if sum(item.kind == "stdin" for item in inputs) > 1:
        raise UsageError("standard input ('-') is named twice; it can be read once")
    return inputs, passed


def _expand_word(word: str, passed: list[str]) -> Iterator[Input]:
    if word == "-" or not os.path.lexists(word):
        if glob.has_magic(word) and (found := sorted(glob.glob(word, recursive=True), key=os.fsencode)):
            for path in found:
                yield from _expand_path(path, passed)
        else:
            yield Input.of_word(word)
    else:
        yield from _expand_path(word, passed)


def _listed(path: str) -> Input:
    """A line of a list: a path, or an array in a file; nothing else has a special meaning there."""
    if "\0" in path:
        return Input("nothing", path, "", fault="no path holds a NUL byte; lists separated by NUL are read with -0")
    named = Input.of_word(path)
    return named if named.array else Input("file", path, os.path.basename(path))


def _expand_path(path: str, passed: list[str]) -> Iterator[Input]:
    if os.path.isdir(path):
        yield from _walk(path, passed)
    else:
        yield Input("file", path, os.path.basename(path))


def looks_like_numbers(word: str) -> bool:
    """Whether `word` is meant as numbers: it has the look of a number, or of several.

    >>> [looks_like_numbers(w) for w in ("4,1,2,5", "-0.5", "1_000", "take1.wav", "2nd.csv")]
    [True, True, True, False, False]
    """
    return bool(_NUMBERS.fullmatch(word)) and bool(_NUMBER_CHARACTERS.fullmatch(word))


def _walk(folder: str, passed: list[str]) -> Iterator[Input]:
    """The signal files below `folder`, by extension or by their first bytes, in bytewise order of path.

    A folder that can't be read, this one or one below it, is an input that fails.
    """
    found: list[str] = []
    unread: dict[str, str] = {}

    def note(error: OSError) -> None:
        unread[error.filename] = f"the folder can't be read: {error.strerror}"

    for base, folders, files in os.walk(folder, onerror=note):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found.extend(os.path.join(base, name) for name in files if not name.startswith("."))
    for path in sorted([*found, *unread], key=os.fsencode):
        if path in unread:
            yield Input("nothing", path, "", fault=unread[path])
            continue
        lost = os.path.islink(path) and not os.path.exists(path)  # an input that is missing, not one to pass over
        if (lost or os.path.isfile(path)) and (extension(path) in NAMES or _is_signal(path)):
            yield Input("file", path, os.path.relpath(path, folder))
        else:
            passed.append(path)


def _is_signal(path: str) -> bool:
    from convtool.errors import InputError
    from convtool.files.source import Source

    try:
        source = Source.of_path(path)
        try:
            return source.kind.role in ("audio", "array")
        finally:
            source.close()
    except InputError:
        return False


def read_list(path: str, *, null: bool) -> list[str]:
    """The paths in a list file (``-`` is standard input), one a line, or separated by NUL."""
    import sys

    try:
        with open(os.fsencode(path), "rb") if path != "-" else nullcontext(sys.stdin.buffer) as file:
            data = file.read()
    except OSError as error:
        raise UsageError(f"--input-list {show(path)}: {error.strerror}") from error
    separator = b"\0" if null else b"\n"
    return [os.fsdecode(line if null else line.rstrip(b"\r")) for line in data.split(separator) if line.strip(b"\r")]
