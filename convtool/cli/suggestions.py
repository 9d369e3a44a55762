"""What can stand where somebody is typing: files, formats, columns, tensors. No torch is imported for it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import fields
from typing import Any

import click
from click.shell_completion import CompletionItem

from convtool.errors import ConvtoolError

_FILES = ("FILE", "FILE...", "PATH", "INPUT", "INPUT...", "KERNEL", "SOURCE", "MODEL", "BATCH", "OTHER", "PARAMS.json")
"""Metavars that stand for files and folders."""


def suggest(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """What the word of `param` that begins with `incomplete` can be; nothing where that can't be told."""
    names = _NAMES.get(param.name or "")
    try:
        if names is not None:
            found = names(_values_given(ctx, incomplete), incomplete)
            return [CompletionItem(word) for word in found if word.startswith(incomplete)]
        if param.metavar in _FILES:
            path, mark, _ = incomplete.partition("::")
            if not mark:
                return [CompletionItem(incomplete, type="file")]
            inside = (f"{path}::{name}" for name in _tensors(path))
            return [CompletionItem(word) for word in inside if word.startswith(incomplete)]
    except (ConvtoolError, OSError):
        return []
    return param.type.shell_complete(ctx, param, incomplete)


def _values_given(ctx: click.Context, incomplete: str) -> dict[str, Any]:
    """What the command is given, with the word that is being typed as the value of its option.

    Without it Click would leave out the arguments, since an option lacks its value.
    """
    words = [*ctx.obj[ctx.obj.index(ctx.info_name) + 1 :], incomplete]
    return ctx.command.make_context(ctx.info_name, words, parent=ctx.parent, resilient_parsing=True).params


def _tensors(path: str) -> list[str]:
    """The names of the arrays in a file."""
    from convtool.arrays.opening import open_weights

    with open_weights(os.path.expanduser(path)) as file:
        return [tensor.name for tensor in file.tensors]


def _tensors_given(given: Mapping[str, Any], _: str) -> Iterable[str]:
    return [name for path in given.get("files") or () for name in _tensors(path)]


def _columns(given: Mapping[str, Any], incomplete: str) -> Iterable[str]:
    """Lists that end in one more column of the first input: its name, or its number where it has none."""
    from convtool.cli.shared_options import SourceOptions
    from convtool.signals.opening import open_reader

    known = {each.name: given[each.name] for each in fields(SourceOptions)}
    known |= {"columns": None, "inputs": tuple(map(os.path.expanduser, given["inputs"]))}
    source = SourceOptions(**known)
    if source.takes_stdin():
        return []
    with closing(open_reader(source.find_inputs()[0][0], source.read_options("NCT", None))) as reader:
        names = reader.signal.names or tuple(map(str, range(1, reader.signal.channels + 1)))
    return _listed(names, incomplete)


def _fitted_columns(given: Mapping[str, Any], incomplete: str) -> Iterable[str]:
    """Lists that end in one more of the columns that were fitted, or are to be: of parameters, or of the source."""
    if not given["params"]:
        return _columns({**given, "inputs": given["fit"][:1]}, incomplete) if given["fit"] else []
    from convtool.jobs.rescale.params import read_params

    channels = read_params(os.path.expanduser(given["params"])).channels
    return _listed([each.name or str(number) for number, each in enumerate(channels, 1)], incomplete)


def _statistics(_: Mapping[str, Any], incomplete: str) -> Iterable[str]:
    from convtool.ops.windows.request import STATS

    return _listed(STATS, incomplete)


def _listed(names: Iterable[str], incomplete: str) -> Iterable[str]:
    """Lists of the words before the last comma and one more of `names`."""
    before, comma, _ = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in names if name not in before.split(",")]


def _formats(_: Mapping[str, Any], __: str) -> Iterable[str]:
    from convtool.files.formats import NAMES

    return NAMES


def _input_formats(_: Mapping[str, Any], __: str) -> Iterable[str]:
    from convtool.files.formats import NAMES
    from convtool.signals.raw import ENCODINGS

    return [*NAMES, *(f"raw:{encoding}" for encoding in ENCODINGS)]


def _subtypes(given: Mapping[str, Any], _: str) -> Iterable[str]:
    """The encodings of the output's format; of all formats where that is yet open."""
    from convtool.files.formats import PICTURES, extension, family

    named = given.get("format") or extension(given.get("output") or "")
    format = family(named)
    if format in ("CSV", "NPY"):
        return []
    if format in PICTURES.values():
        return ["8", "16"]
    import soundfile

    return list(soundfile.available_subtypes(format))


_NAMES: dict[str, Callable[[Mapping[str, Any], str], Iterable[str]]] = {
    "columns": _columns,
    "keep_columns": _columns,
    "params_columns": _fitted_columns,
    "format": _formats,
    "input_format": _input_formats,
    "stat": _statistics,
    "subtype": _subtypes,
    "tensor": _tensors_given,
}
"""What gives the words that an option can take, by the option's field."""
