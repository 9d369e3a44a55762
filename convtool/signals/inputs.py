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
    """``file``, ``numbers`` or ``stdin``."""
    value: str
    """The path, or the numbers themselves."""
    relative: str
    """The path below the folder that was named; the file's own name where it was named itself."""

    @property
    def name(self) -> str:
        """How a message calls it."""
        return {"stdin": "standard input", "numbers": f"'{show(self.value)}'"}.get(self.kind, show(self.value))


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
    inputs.extend(Input("file", path, os.path.basename(path)) for path in listed)
    if sum(item.kind == "stdin" for item in inputs) > 1:
        raise UsageError("standard input ('-') is named twice; it can be read once")
    return inputs, passed


def _expand_word(word: str, passed: list[str]) -> Iterator[Input]:
    if word == "-":
        yield Input("stdin", "-", "stdin")
    elif os.path.lexists(word):
        yield from _expand_path(word, passed)
    elif glob.has_magic(word) and (found := sorted(glob.glob(word, recursive=True), key=os.fsencode)):
        for path in found:
            yield from _expand_path(path, passed)
    elif looks_like_numbers(word):
        yield Input("numbers", word, "numbers")
    else:
        yield Input("file", word, os.path.basename(word))


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
    """The signal files below `folder`, by extension or by their first bytes, in bytewise order of path."""
    found: list[str] = []
    for base, folders, files in os.walk(folder, onerror=lambda error: passed.append(error.filename)):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found.extend(os.path.join(base, name) for name in files if not name.startswith("."))
    for path in sorted(found, key=os.fsencode):
        lost = os.path.islink(path) and not os.path.exists(path)  # an input that is missing, not one to pass over
        if (lost or os.path.isfile(path)) and (extension(path) in NAMES or _is_signal(path)):
            yield Input("file", path, os.path.relpath(path, folder))
        else:
            passed.append(path)


def _is_signal(path: str) -> bool:
    from convtool.errors import InputError
    from convtool.files.sniff import HEAD, sniff

    try:
        with open(os.fsencode(path), "rb") as file:
            return sniff(file.read(HEAD)) not in ("CSV", None)
    except (OSError, InputError):
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
