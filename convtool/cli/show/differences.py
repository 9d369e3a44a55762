"""The differences between two weight files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from convtool.cli import messages
from convtool.errors import CheckFailed
from convtool.files.names import counted, show, without_secrets

if TYPE_CHECKING:
    from convtool.cli.inspect_weights import Options
    from convtool.jobs.inspection.diff import Difference
    from convtool.jobs.inspection.listing import Listing
    from convtool.jobs.inspection.sides import Pair


_TOLD = 8
"""Pairs that are told of those that no name has matched; JSON has all."""


def show_differences(listing: Listing, path: str, options: Options) -> None:
    """Print a line for each tensor that differs from those of the file at `path`, or one of JSON for all.

    Raises:
        InputError: the other file can't be read, or values in either.
        CheckFailed: there are differences.
    """
    found, pairs = _compared(listing, path, options)
    matched = [
        {"name": pair.name, "other": pair.other.name, "by": pair.by}
        for pair in pairs
        if pair.by != "name" and pair.other is not None
    ]
    if options.as_json:
        record: dict[str, Any] = {
            "file": without_secrets(listing.path),
            "other": without_secrets(path),
            "differences": [each.as_json() for each in found],
        }
        record |= {"matched": matched} if matched else {}
        messages.out(json.dumps(record, allow_nan=False))
    else:
        for each in found:
            there = f" ({show(each.other)})" if each.other else ""
            messages.out(f"{show(each.name)}{there}: {each.what}")
    for by, what in (("module", "the modules that they come from"), ("values", "their values")):
        told = [f"{show(each['name'])} with {show(each['other'])}" for each in matched if each["by"] == by]
        if told:
            more = f" and {len(told) - _TOLD} more" if len(told) > _TOLD else ""
            messages.note(f"matched by {what}: {', '.join(told[:_TOLD])}{more}")
    if texts := [each.name for each in listing.tensors if each.tensor.is_text]:
        messages.note(f"text is not compared: {', '.join(map(show, texts))}")
    if not found:
        messages.note(f"no difference in {counted(len(listing.tensors), 'tensor')}")
        return
    differ = "differs" if len(found) == 1 else "differ"
    raise CheckFailed(f"--diff: {counted(len(found), 'tensor')} {differ} from {show(path)}")


def _compared(listing: Listing, path: str, options: Options) -> tuple[list[Difference], Sequence[Pair]]:
    from convtool.arrays import open_weights
    from convtool.jobs.inspection.diff import by_name, differences
    from convtool.jobs.inspection.listing import list_weights
    from convtool.jobs.inspection.matching import match
    from convtool.jobs.inspection.needless import without_states
    from convtool.jobs.inspection.programs import without_code

    with messages.about(f"--diff {show(path)}"):
        file = open_weights(path, void_as=options.void_as)
    with file:
        with messages.about(f"--diff {show(path)}"):
            other = list_weights(path, file, to=options.framework, source=options.diff_from, option="--diff-from")
        for each in (listing, other):
            for told in each.notes:
                messages.warn(f"{show(each.path)}: {show(told)}")
        layouts = {each.layout for each in (listing, other)}
        prefix = options.strip_prefix or ""
        if len(layouts) > 1 and "" not in layouts:
            pairs, notes = match(listing, other, strip_prefix=prefix, tolerance=options.tolerance or 0.0)
            messages.note(f"{listing.layout} against {other.layout}: compared in torch's layout")
        else:
            pairs, notes = without_states(by_name(listing.tensors, other.tensors, strip_prefix=prefix))
            pairs, of_code = without_code(pairs)
            notes += of_code
        for note in notes:
            messages.note(note)
        typed = [one for _, one, two, _ in pairs if one and two and one.tensor.dtype != two.tensor.dtype]
        if typed and options.ignore_dtype:
            messages.note(f"types differ, which is ignored: {counted(len(typed), 'tensor')}")
        found = list(differences(pairs, tolerance=options.tolerance or 0.0, ignore_dtype=options.ignore_dtype))
        if found and len(layouts) > 1 and "" in layouts and options.framework is None:
            unknown, option = (other, "--diff-from") if listing.layout else (listing, "--from")
            messages.note(f"{show(unknown.path)}: compared as stored, since nothing says its layout; {option} does")
        return found, pairs
