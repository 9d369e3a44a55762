"""The differences between two weight files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from convtool.cli import messages
from convtool.errors import CheckFailed
from convtool.files.names import counted, show, without_secrets

if TYPE_CHECKING:
    from convtool.cli.inspect_weights import Options
    from convtool.jobs.inspection.diff import Difference
    from convtool.jobs.inspection.listing import Listing


def show_differences(listing: Listing, path: str, options: Options) -> None:
    """Print a line for each tensor that differs from those of the file at `path`, or one of JSON for all.

    Raises:
        InputError: the other file can't be read, or values in either.
        CheckFailed: there are differences.
    """
    found, layout = _compared(listing, path, options)
    if options.as_json:
        record = {
            "file": without_secrets(listing.path),
            "other": without_secrets(path),
            "differences": [each.as_json() for each in found],
        }
        click.echo(json.dumps(record, allow_nan=False))
    else:
        for each in found:
            click.echo(f"{show(each.name)}: {each.what}")
    if texts := [each.name for each in listing.tensors if each.tensor.is_text]:
        messages.note(f"text is not compared: {', '.join(map(show, texts))}")
    if not found:
        messages.note(f"no difference in {counted(len(listing.tensors), 'tensor')}")
        return
    if listing.file.layout and layout and layout != listing.file.layout:
        messages.note(f"the layouts are {listing.file.layout} and {layout}; --as brings both into one")
    differ = "differs" if len(found) == 1 else "differ"
    raise CheckFailed(f"--diff: {counted(len(found), 'tensor')} {differ} from {show(path)}")


def _compared(listing: Listing, path: str, options: Options) -> tuple[list[Difference], str]:
    """The differences, and the layout of the other file."""
    from convtool.arrays import open_weights
    from convtool.jobs.inspection.diff import differences
    from convtool.jobs.inspection.listing import list_weights

    with messages.about(f"--diff {show(path)}"):
        file = open_weights(path, void_as=options.void_as)
    with file:
        other = list_weights(path, file, to=options.framework)
        tolerance, prefix = options.tolerance or 0.0, options.strip_prefix or ""
        found = differences(listing.tensors, other.tensors, tolerance=tolerance, strip_prefix=prefix)
        return list(found), other.file.layout
