"""What differs between two weight files, told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from convtool.cli.options import Talk
from convtool.cli.show.weights import counted, shown
from convtool.errors import CheckFailed, InputError

if TYPE_CHECKING:
    from convtool.jobs.inspection.diff import Difference
    from convtool.jobs.inspection.listing import Listing


def show_differences(listing: Listing, options: dict[str, Any], talk: Talk) -> None:
    """A line for each tensor that differs from those of the other file, or one of JSON for all.

    Raises:
        InputError: the other file can't be read, or values in either.
        CheckFailed: there are differences.
    """
    found, layout = _compared(listing, options)
    if options["as_json"]:
        record = {"file": listing.path, "other": options["diff"], "differences": [each.as_json() for each in found]}
        click.echo(json.dumps(record, allow_nan=False))
    else:
        for each in found:
            click.echo(f"{shown(each.name)}: {each.what}")
    if not found:
        talk.note(f"no difference in {counted(len(listing.tensors), 'tensor')}")
        return
    if listing.file.layout and layout and layout != listing.file.layout:
        talk.note(f"the layouts are {listing.file.layout} and {layout}; --as brings both into one")
    differ = "1 tensor differs" if len(found) == 1 else f"{len(found)} tensors differ"
    raise CheckFailed(f"--diff: {differ} from {shown(options['diff'])}")


def _compared(listing: Listing, options: dict[str, Any]) -> tuple[list[Difference], str]:
    """The differences, and the layout of the other file."""
    from convtool.arrays import open_weights
    from convtool.jobs.inspection.diff import differences
    from convtool.jobs.inspection.listing import list_weights

    path = options["diff"]
    try:
        file = open_weights(path)
    except InputError as error:
        raise InputError(f"--diff {shown(path)}: {error}") from error
    with file:
        other = list_weights(path, file, to=options["to"])
        tolerance, prefix = options["tolerance"] or 0.0, options["strip_prefix"] or ""
        found = differences(listing.tensors, other.tensors, tolerance=tolerance, strip_prefix=prefix)
        return list(found), other.file.layout
