"""Who writes what: every input's output, and every reason to refuse told before any work."""

from __future__ import annotations

import os
import re
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from convtool.errors import UsageError
from convtool.files.atomic import is_special
from convtool.files.formats import ARRAYS, NAMES, extension, family
from convtool.files.names import show
from convtool.files.remote import existing, is_folder
from convtool.files.urls import base_name, is_url, parent
from convtool.signals.inputs import Input


@dataclass(frozen=True)
class Choice:
    """Of several things of one kind, such as kernels, the one that an input is worked with."""

    field: str
    """The kind, as templates and reports call it."""
    word: str
    """What names it on the command line."""
    name: str
    """What a template puts in its place."""


@dataclass(frozen=True)
class Task:
    """One input and where its result goes; `output` None is standard output, or nowhere for an input at fault."""

    index: int
    input: Input
    output: str | None
    skip: bool = False
    choice: Choice | None = None
    incomplete: str = ""
    """What is wrong with the file that stands at the output's place, and is replaced; nothing where none is."""

    @property
    def name(self) -> str:
        """How a message calls it."""
        return self.input.name if self.choice is None else f"{self.input.name} with {show(self.choice.word)}"

    @property
    def places(self) -> list[str]:
        """The file that is read, and the one that is written, as far as there are such."""
        read = self.input.value if self.input.kind == "file" else None
        return [place for place in (read, self.output) if place is not None]

    def stays(self, *, elsewhere: bool) -> bool:
        """Whether only this process can do it: standard input is read, or standard output written.

        With workers `elsewhere`, also where a pipe or a device is.
        """
        item = self.input
        if item.kind == "stdin" or self.output is None:
            return True
        return elsewhere and (is_special(self.output) or (item.kind == "file" and is_special(item.value)))


def plan(
    inputs: Sequence[Input],
    output: str | None,
    *,
    format: str | None = None,
    nameless: str | None = None,
    overwrite: bool = False,
    skip_existing: bool = False,
    also_read: Sequence[str] = (),
    also_written: Sequence[str] = (),
    choices: Callable[[Input], Sequence[Choice]] = lambda _: (),
) -> list[Task]:
    """The tasks for `inputs`, in their order; for an input with several `choices`, one for each of them.

    `output` is a file, a folder (it ends in a slash, or is one), a template, or None or ``-`` for
    standard output. `nameless` is the format of outputs in a folder whose inputs' names tell none. `also_read` and
    `also_written` are further files of the command, which outputs must not touch.

    Raises UsageError for every collision.
    """
    refuse_both(overwrite=overwrite, skip_existing=skip_existing)
    offered: list[tuple[Input, Sequence[Choice | None]]] = [(item, choices(item) or (None,)) for item in inputs]
    pairs = [(item, choice) for item, several in offered for choice in several]
    tasks = [Task(i, item, None, choice=choice) for i, (item, choice) in enumerate(pairs)]
    if output in (None, "-"):
        if len(tasks) > 1:
            raise UsageError(
                f"there are {len(tasks)} inputs; give a folder (-o DIR/) or a template (-o 'wet/{{stem}}.wav')"
            )
    else:
        place = _places(len(tasks), str(output), format, nameless)
        tasks = [replace(task, output=None if task.input.fault else place(task)) for task in tasks]
    written = [(task.output, task.name) for task in tasks if task.output is not None]
    others = [(path, f"option value {show(path)}") for path in also_written]
    refuse_collisions(written, [item.value for item in inputs if item.kind == "file"] + list(also_read), others)
    if overwrite:
        return tasks
    there = taken([task.output for task in tasks if task.output is not None])
    standing = [task for task in tasks if task.output in there]
    if not skip_existing:
        _refuse_taken([str(task.output) for task in standing], skippable=True)
        refuse_existing(also_written)
    lacking = {task.index: _shortage(str(task.output)) for task in standing}
    return [replace(task, skip=lacking.get(task.index) == "", incomplete=lacking.get(task.index, "")) for task in tasks]


def _shortage(path: str) -> str:
    """What an output lacks that exists; of one in a store nothing, as it appears there when its upload ends."""
    if is_url(path):
        return ""
    from convtool.signals.complete import shortage

    return shortage(path)


def refuse_both(*, overwrite: bool, skip_existing: bool) -> None:
    """Refuse what contradicts itself."""
    if overwrite and skip_existing:
        raise UsageError("--overwrite replaces outputs that exist, and --skip-existing leaves them; give either")


def refuse_collisions(
    written: Sequence[tuple[str, str]], read: Sequence[str], others: Sequence[tuple[str, str]] = ()
) -> None:
    """Refuse outputs that are inputs, and two that are one; with each path of `written` comes what writes it.

    `others` are written too, each by an option that names it.
    """
    _refuse_doubles(written, others)
    _refuse_inputs([path for path, _ in (*written, *others)], read)


def refuse_existing(paths: Sequence[str], *, skippable: bool = False) -> None:
    """Refuse to write where something stands; with `skippable`, the command can leave it and go on."""
    there = taken(paths)
    _refuse_taken([path for path in paths if path in there], skippable=skippable)


def _refuse_taken(clash: Sequence[str], *, skippable: bool) -> None:
    if clash:
        more = f" (and {len(clash) - 1} more)" if len(clash) > 1 else ""
        ways = "--overwrite, --skip-existing or another -o" if skippable else "--overwrite or another name"
        raise UsageError(f"{show(clash[0])} exists{more}; give {ways}")


def _places(inputs: int, output: str, format: str | None, nameless: str | None) -> Callable[[Task], str]:
    """What gives the output of a task among as many `inputs`."""
    if "{" in output:
        template = _Template(output)
        return lambda task: _known(template.fill(_fields(task)), format, template.doubt)
    if output.endswith(("/", os.sep)) or os.path.isdir(output) or (is_url(output) and _is_folder(output)):
        return lambda task: _below(output, task.input, format, nameless)
    if inputs > 1:
        name = show(output)
        raise UsageError(f"{inputs} inputs can't go into one file, {name}; give a folder (-o {name}/) or a template")
    return lambda _: _known(output, format)


def _below(folder: str, item: Input, format: str | None, nameless: str | None) -> str:
    if item.kind == "stdin" and format is None:
        raise UsageError(f"standard input has no name to give its format under {show(folder)}; give --format")
    return os.path.join(folder, _relative(item, format, nameless))


def _known(path: str, format: str | None, doubt: str = "") -> str:
    if format is None and family(extension(path)) is None:
        way_out = doubt or f"give --format, or one of .{', .'.join(NAMES)}"
        raise UsageError(f"{show(path)}: the extension names no format; {way_out}")
    return path


def _relative(item: Input, format: str | None, nameless: str | None) -> str:
    """The name of an input's output under the output folder."""
    stem, ext = os.path.splitext(item.relative)
    if format is not None:
        return f"{stem}.{format}"
    if extension(item.relative) in ARRAYS:
        return f"{stem}.npy"
    if nameless is not None and item.kind == "file" and family(extension(item.relative)) is None:
        return f"{stem}.{nameless}"
    return f"{stem}{ext}" if item.kind == "file" else f"{stem}.csv"


def _fields(task: Task) -> Mapping[str, Any]:
    """What a template may name. `{parent}` is the sub-folder below a walked folder, else the path's own folder."""
    item = task.input
    name = os.path.basename(item.relative)
    stem, ext = os.path.splitext(name)
    folders = os.path.dirname(item.relative)
    if item.kind == "file" and item.relative == name == base_name(item.value):
        folders = parent(item.value)
    parts = [part for part in folders.split(os.sep) if part not in ("", ".", "..")]
    fields = {"stem": stem, "ext": ext[1:], "name": name, "parent": os.sep.join(parts) or ".", "index": task.index}
    return fields if task.choice is None else {**fields, task.choice.field: task.choice.name}


_WHOLE_PARENT = re.compile(r"(?:^|/)\{parent[^{}]*\}/")
"""``{parent}`` as a folder of its own in a template."""


class _Template:
    """An output template; only the fields above, with an optional format such as ``{index:04d}``."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.doubt = "{ext} has no dot: write .{ext}" if "{ext}" in text.replace(".{ext}", "") else ""
        try:
            self._parts = list(string.Formatter().parse(text))
        except ValueError as error:
            raise UsageError(f"-o {show(text)}: {error}; a literal brace is written twice") from error

    def fill(self, fields: Mapping[str, Any]) -> str:
        out = []
        for literal, field, spec, conversion in self._parts:
            out.append(literal)
            if field is None:
                continue
            if field not in fields or conversion:
                known = ", ".join(f"{{{name}}}" for name in fields)
                raise UsageError(f"-o {show(self._text)}: there is no {{{show(field)}}}; a template may hold {known}")
            if field == "parent" and fields[field] == "." and not _WHOLE_PARENT.search(self._text):
                raise UsageError(
                    f"-o {show(self._text)}: {{parent}} is empty, as {fields['name']} was named without a folder; "
                    "let it stand between slashes, where it falls away: 'out/{parent}/{name}'"
                )
            try:
                out.append(format(fields[field], spec or ""))
            except (ValueError, OverflowError, MemoryError) as error:
                raise UsageError(f"-o {show(self._text)}: {{{field}:{spec}}}: {error or 'too long'}") from error
        path = "".join(out)
        return path if is_url(path) else os.path.normpath(path)


def _refuse_doubles(written: Sequence[tuple[str, str]], others: Sequence[tuple[str, str]]) -> None:
    seen: dict[str, str] = {}
    template = "keep them apart with a template such as -o 'out/{parent}/{name}' or 'out/{index}-{name}'"
    for pairs, way_out in ((written, template), (others, "give one of them another name")):
        for path, name in pairs:
            key = _real(path)
            if key in seen:
                raise UsageError(f"{seen[key]} and {name} would both be written to {show(path)}; {way_out}")
            seen[key] = name


def _refuse_inputs(written: Sequence[str], read: Sequence[str]) -> None:
    """An output must not be an input: not by path, nor by link, nor by inode."""
    inputs = {_identity(path): path for path in read}
    for path in written:
        source = inputs.get(_identity(path))
        if source is not None:
            raise UsageError(f"the output {show(path)} is the input {show(source)}; write elsewhere")


def _is_folder(url: str) -> bool:
    """Whether a URL without a slash at its end names a folder: where it has an extension, nobody is asked."""
    return not os.path.splitext(url)[1] and is_folder(url)


def taken(paths: Sequence[str]) -> set[str]:
    """Those of `paths` at which something stands that writing would replace; a device or a pipe takes what comes."""
    urls = [path for path in paths if is_url(path)]
    local = {path for path in paths if os.path.lexists(path) and not is_special(path)}
    return local | existing(urls) if urls else local


def _identity(path: str) -> tuple[int, int] | str:
    try:
        status = os.stat(path)
    except OSError:
        return _real(path)
    return status.st_dev, status.st_ino


def _real(path: str) -> str:
    """The path without links, or the URL; as it is where it leads from a working folder that is gone, to nothing."""
    try:
        return path if is_url(path) else os.path.realpath(path)
    except FileNotFoundError:
        return path
