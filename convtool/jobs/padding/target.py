"""Where `pad-batch` writes: one file or a folder of shards, and what stands there already."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from convtool.errors import UsageError
from convtool.files.atomic import is_special
from convtool.files.formats import extension
from convtool.files.names import show
from convtool.files.urls import is_http, is_url
from convtool.jobs.padding.reading import shortage
from convtool.jobs.padding.store import MANIFEST, is_shard
from convtool.runs.plan import refuse_both, refuse_collisions, refuse_existing, taken
from convtool.signals.inputs import Input

FILES = ("npz", "safetensors", "pt", "pth")
"""The extensions of batches in one file."""


def is_folder(path: str) -> bool:
    """Whether the output is a folder of shards; refuses files of other kinds."""
    if path in ("", "-"):
        raise UsageError(f"-o '{path}': a batch is written at many places, into a file or a folder; give its name")
    named = path.endswith(("/", os.sep)) or os.path.isdir(path) or not extension(path)
    if named and is_url(path) and is_http(path):
        raise UsageError(
            f"-o {show(path)}: a web server does not list what it has, so no run could complete a folder of shards "
            f"there; give a batch in one file, .{', .'.join(FILES)}, or a store such as s3://"
        )
    if named and not os.path.isfile(path.rstrip("/")):
        return True
    if named or extension(path) not in FILES:
        other = show(os.path.splitext(path.rstrip("/"))[0])
        raise UsageError(
            f"-o {show(path)}: a batch is a .{', .'.join(FILES)} file, or a folder: -o {other}.npz, -o {other}.batches/"
        )
    return False


def without_own(inputs: Sequence[Input], output: str) -> tuple[list[Input], list[str]]:
    """The inputs but for the shards that an earlier run wrote below a folder that is an input; and those."""
    if not is_folder(output):
        return list(inputs), []
    own = [item for item in inputs if item.kind == "file" and is_shard(item.value, output)]
    named = [item for item in own if os.sep not in item.relative]
    if named:
        raise UsageError(f"the input {named[0].name} is in the output folder {show(output)}; write elsewhere")
    left_out = set(own)
    return [item for item in inputs if item not in left_out], [item.value for item in own]


def stands(
    output: str, inputs: Sequence[Input], also_written: Mapping[str, str | None], *, overwrite: bool, skip: bool
) -> bool:
    """Whether there is a batch, which `skip` leaves where it is complete.

    Refuses collisions, and files that exist but for `overwrite`. `also_written` are further files of the
    command, by the options that name them.
    """
    refuse_both(overwrite=overwrite, skip_existing=skip)
    place = os.path.join(output, MANIFEST) if is_folder(output) else output
    if is_folder(output) and is_special(place):
        raise UsageError(f"{show(place)} is a pipe or a device; give another -o")
    others = [(path, option) for option, path in also_written.items() if path]
    refuse_collisions([(place, "-o")], [item.value for item in inputs if item.kind == "file"], others)
    if skip and taken([place]):
        if lack := shortage(output):
            raise UsageError(f"{show(output)} exists, but is incomplete: {lack}; give --overwrite or another -o")
        return True
    if not overwrite:
        refuse_existing([place], skippable=True)
        refuse_existing([path for path, _ in others])
    return False
