"""What the words on the command line stand for: files, folders, patterns, lists, numbers in place."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import takewhile

from convtool.errors import InputError, UsageError
from convtool.files.formats import AUDIO, NAMES, extension, family
from convtool.files.names import show
from convtool.files.recognition import HEAD, TEXT, recognise
from convtool.files.remote import below, is_folder, matching, read_bytes
from convtool.files.urls import base_name, is_http, is_url, without_file_url

_NUMBERS = re.compile(r"\s*[+-]?[\d.][^/\\]*|\s*[+-]?(nan|inf)\b[^/\\]*", re.ASCII | re.IGNORECASE)
_NUMBER_LINE = re.compile(
    rb"^[ \t\"']*[+-]?(\.?\d|nan\b|inf)|[,;\t][ \"']*[+-]?(\.?\d[\d.e+-]*|nan|inf)[ \"']*([,;\t\r\n]|\Z)",
    re.MULTILINE | re.IGNORECASE,
)
"""A line that begins as numbers do, or a cell that is one."""
_OF_ARCHIVER = "__MACOSX"
"""The folder in which macOS's archiver puts what other systems have no place for, under the names of the files."""

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
            if array and (os.path.lexists(path) or is_url(path)):
                return cls.of_array(path, array)
            if looks_like_numbers(word):
                return cls("numbers", word, "numbers")
            if fault := _odd_cell(word):
                return cls("nothing", word, "", fault=fault)
        return cls("file", word, base_name(word))

    @classmethod
    def of_array(cls, path: str, array: str) -> Input:
        """The array called `array` of the file at `path`; its output is called after both."""
        stem = os.path.splitext(base_name(path))[0]
        return cls("file", path, f"{stem}.{array.replace(os.sep, '.')}.npy", array)


@dataclass(frozen=True)
class Selection:
    """Which files of folders are inputs; patterns are of file and folder names, or of paths below the folder named."""

    include: tuple[str, ...] = ()
    """Where there are any, only files that fit one are inputs, whatever they are."""
    exclude: tuple[str, ...] = ()
    raw: bool = False
    """What says nothing of what it is holds raw numbers, and is an input."""


def expand(
    words: Sequence[str], listed: Sequence[str] = (), selection: Selection | None = None
) -> tuple[list[Input], list[str]]:
    """The inputs that `words` and the paths of a list stand for, in order; and the files passed over.

    A word is ``-`` (standard input), a file, a folder (walked, bytewise order, hidden files left out, and text where
    there is audio too), a pattern, or numbers in place; a file of that name wins. Nothing at all is standard input. A
    path that leads nowhere stays an input and fails when it is opened, alone.
    """
    if not words and not listed:
        words = ("-",)
    inputs: list[Input] = []
    passed: list[str] = []
    for word in words:
        inputs.extend(_expand_word(word, passed, selection or Selection()))
    inputs.extend(_listed(path) for path in listed)
    if sum(item.kind == "stdin" for item in inputs) > 1:
        raise UsageError("standard input ('-') is named twice; it can be read once")
    return inputs, passed


def _expand_word(word: str, passed: list[str], selection: Selection) -> Iterator[Input]:
    if is_url(word):
        yield from _expand_url(word, passed, selection)
    elif word != "-" and os.path.lexists(word):
        yield from _expand_path(word, passed, selection)
    elif glob.has_magic(word) and any(glob.iglob(word, recursive=True)):
        yield from _expand_pattern(word, passed, selection)
    else:
        yield Input.of_word(word)


def _expand_url(url: str, passed: list[str], selection: Selection) -> Iterator[Input]:
    """A file, all below a folder, or what fits a pattern; of a web server, which lists nothing, a file alone.

    Files without an extension that tells what they are are passed over unless included: their content is not fetched
    to find out.
    """
    array = "::" in url
    pattern = not is_http(url) and not array and glob.has_magic(url)
    unknown = not is_http(url) and not array and not extension(url)
    try:
        if pattern:
            found = [each for each in matching(url) if not each.endswith("/")]
            fixed = "/".join(takewhile(lambda part: not glob.has_magic(part), url.split("/")))
        elif url.endswith("/") or (unknown and is_folder(url)):
            found, fixed = below(url), url.rstrip("/")
        else:
            yield Input.of_word(url)
            return
    except InputError as error:
        yield Input("nothing", url, "", fault=str(error))
        return
    yield from _of_store(found, fixed, passed, None if pattern else selection)
    if not found:
        yield Input("nothing", url, "", fault="there is no file at or below it in the store")


def _of_store(found: list[str], fixed: str, passed: list[str], selection: Selection | None) -> Iterator[Input]:
    """The files below `fixed`, all of them where no folder was named whose `selection` would hold."""
    paths = [(url, url[len(fixed) + 1 :]) for url in found]
    paths = [(url, path) for url, path in paths if not any(part.startswith(".") for part in path.split("/"))]
    if selection is not None:
        paths = [(url, path) for url, path in paths if _is_meant(path, selection)]
    roles = [(url, path, _role_of_name(path) or ("array" if selection is None else "other")) for url, path in paths]
    included = selection is None or bool(selection.include)
    beside_audio = any(role == "audio" for *_, role in roles) and not included
    for url, path, role in roles:
        if not included and (role == "other" or (role in ("text", "picture") and beside_audio)):
            passed.append(url)
        else:
            yield Input("file", url, path)


def _expand_pattern(pattern: str, passed: list[str], selection: Selection) -> Iterator[Input]:
    """What fits, once, each called after its path below the part of the pattern that is fixed."""
    while os.path.basename(pattern) == "**":  # all that is in a folder: the folder itself
        pattern = os.path.dirname(pattern) or os.curdir
    fixed = os.sep.join(takewhile(lambda part: not glob.has_magic(part), pattern.split(os.sep)))
    seen: set[str] = set()
    for path in sorted(glob.glob(pattern, recursive=True), key=os.fsencode):
        for item in _expand_path(path, passed, selection):
            below = os.path.relpath(item.value, fixed or (os.sep if os.path.isabs(pattern) else os.curdir))
            if below not in seen:
                seen.add(below)
                yield item if below.startswith(os.pardir) else replace(item, relative=below)


def _listed(path: str) -> Input:
    """A line of a list: a path, or an array in a file; nothing else has a special meaning there."""
    if "\0" in path:
        return Input("nothing", path, "", fault="no path holds a NUL byte; lists separated by NUL are read with -0")
    path = without_file_url(path)
    named = Input.of_word(path)
    return named if named.array or is_url(path) else Input("file", path, os.path.basename(path))


def _expand_path(path: str, passed: list[str], selection: Selection) -> Iterator[Input]:
    if os.path.isdir(path):
        yield from _walk(path, passed, selection)
    else:
        yield Input("file", path, os.path.basename(path))


def looks_like_numbers(word: str) -> bool:
    """Whether `word` is meant as numbers: it has the look of a number, or of several.

    >>> [looks_like_numbers(w) for w in ("4,1,2,5", "-0.5", "1_000", "take1.wav", "2nd.csv")]
    [True, True, True, False, False]
    """
    return bool(_NUMBERS.fullmatch(word)) and bool(_NUMBER_CHARACTERS.fullmatch(word))


def is_signal(word: str) -> bool:
    """Whether `word` is numbers, standard input, or a file of a kind that holds signals and nothing else."""
    if not os.path.isfile(word):
        return word == "-" or looks_like_numbers(word) or extension(word) in AUDIO
    try:
        with open(os.fsencode(word), "rb") as file:
            kind = recognise(file.read(HEAD))
    except OSError:
        return False
    return kind.role in ("audio", "picture") or (kind is TEXT and family(extension(word)) == "CSV")


def _odd_cell(word: str) -> str:
    """Why a list of which only some cells have the look of numbers is none; nothing for any other word."""
    cells = word.split(",")
    odd = [number for number, cell in enumerate(cells, 1) if not looks_like_numbers(cell)]
    if len(cells) == 1 or len(odd) == len(cells) or os.sep in word:
        return ""
    return f"no such file, and no list of numbers: cell {odd[0]}, '{show(cells[odd[0] - 1])}', is none"


def _walk(folder: str, passed: list[str], selection: Selection) -> Iterator[Input]:
    """The signal files below `folder`, by extension or by their first bytes, in bytewise order of path.

    A folder that can't be read, this one or one below it, is an input that fails.
    """
    found: list[tuple[str, str]] = []
    unread: dict[str, str] = {}

    def note(error: OSError) -> None:
        unread[error.filename] = f"the folder can't be read: {error.strerror}"

    for base, folders, files in os.walk(folder, onerror=note):
        folders[:] = [name for name in folders if not name.startswith(".") and name != _OF_ARCHIVER]
        below = "" if base == folder else os.path.relpath(base, folder)
        found += [(os.path.join(base, name), os.path.join(below, name)) for name in files if not name.startswith(".")]
    roles = [(path, name, _role(path, selection)) for path, name in found if _is_meant(name, selection)]
    beside_audio = any(role == "audio" for *_, role in roles) and not selection.include
    roles += [(path, "", "unread") for path in unread]
    for path, name, role in sorted(roles, key=lambda each: os.fsencode(each[0])):
        if role == "unread":
            yield Input("nothing", path, "", fault=unread[path])
        elif role == "other" or (role in ("text", "picture") and beside_audio):
            passed.append(path)
        else:
            yield Input("file", path, name)


def _is_meant(path: str, selection: Selection) -> bool:
    """Whether the patterns let the file at `path` below a walked folder be an input."""
    if not (selection.include or selection.exclude):
        return True
    folders = path.split(os.sep)
    paths = [*folders, *(os.sep.join(folders[:end]) for end in range(2, len(folders) + 1))]

    def fits(patterns: Sequence[str]) -> bool:
        return any(fnmatchcase(each, pattern.rstrip(os.sep)) for pattern in patterns for each in paths)

    return (not selection.include or fits(selection.include)) and not fits(selection.exclude)


def _role(path: str, selection: Selection) -> str:
    """What a file of a folder is: ``audio``, ``text``, a ``picture``, an ``array``, or ``other``, which is no input."""
    lost = os.path.islink(path) and not os.path.exists(path)  # an input that is missing, not one to pass over
    if not (lost or os.path.isfile(path)):
        return "other"
    if role := _role_of_name(path):
        prose = extension(path) == "txt" and not lost and not selection.include and _is_prose(path)
        return "other" if prose else role
    return "array" if lost or selection.include else _role_of_content(path, selection)


def _role_of_name(path: str) -> str:
    """What the extension says that a file is, or nothing."""
    name = extension(path)
    if name not in NAMES:
        return ""
    return "audio" if name in AUDIO else {"CSV": "text", "NPY": "array"}.get(family(name) or "", "picture")


def _is_prose(path: str) -> bool:
    """Whether a short text has no line that begins as numbers do, and no cell that is one."""
    try:
        with open(os.fsencode(path), "rb") as file:
            head = file.read(HEAD)
    except OSError:  # an input that fails
        return False
    text = head.removeprefix(b"\xef\xbb\xbf")
    return len(head) < HEAD and bool(text.strip()) and b"\0" not in text and not _NUMBER_LINE.search(text)


def _role_of_content(path: str, selection: Selection) -> str:
    from convtool.files.recognition import UNKNOWN
    from convtool.files.source import Source
    from convtool.signals.audio.media import is_installed

    try:
        source = Source.of_path(path)
        try:
            kind = source.kind
        finally:
            source.close()
    except InputError:
        return "other"
    if (selection.raw and kind is UNKNOWN) or (kind.role == "media" and is_installed()):
        return "audio"
    return kind.role if kind.role in ("audio", "array", "picture") else "other"


def read_list(path: str, *, null: bool) -> list[str]:
    """The paths in a list file (``-`` is standard input), one a line, or separated by NUL."""
    import sys

    if path == "-" and sys.stdin is None:
        raise UsageError("--input-list -: standard input is closed")
    try:
        if is_url(path):
            data = read_bytes(path)
        else:
            with open(os.fsencode(path), "rb") if path != "-" else nullcontext(sys.stdin.buffer) as file:
                data = file.read()
    except InputError as error:
        raise UsageError(f"--input-list {show(path)}: {error}") from error
    except OSError as error:
        from convtool.files.source import reason_of

        raise InputError(f"--input-list {show(path)}: {reason_of(error)}") from error
    separator = b"\0" if null else b"\n"
    lines = [os.fsdecode(line if null else line.rstrip(b"\r")) for line in data.split(separator) if line.strip(b"\r")]
    return lines if null else _without_keys(lines, path)


def _without_keys(lines: list[str], path: str) -> list[str]:
    """The paths of a list in Kaldi's scp form, `KEY PATH` a line; those of any other list as they are.

    Raises:
        UsageError: a line is a command whose output Kaldi would read; none is run.
    """
    for number, line in enumerate(lines, 1):
        if line.rstrip().endswith("|") and not os.path.lexists(line):
            name = show(line.split(None, 1)[0][:40])
            raise UsageError(
                f"--input-list {show(path)}: {name} (path {number}) is the output of a command, since the line ends "
                "in '|', and convtool runs none; write that output to a file, and name the file"
            )
    parted = [line.strip().split(None, 1) for line in lines]
    if any(len(parts) < 2 for parts in parted) or any(map(os.path.lexists, lines)):
        return lines
    paths = [parts[1] for parts in parted]
    there = any(os.path.lexists(each.partition("::")[0]) or is_url(each) for each in paths)
    return paths if there or extension(path) == "scp" else lines
