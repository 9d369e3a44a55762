"""What is wrong with weight files, and the same in SARIF 2.1.0, which code scanning takes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

from convtool.errors import InputError
from convtool.files.names import show

if TYPE_CHECKING:
    from convtool.jobs.inspection.listing import Listing
    from convtool.weights.statistics import TensorStats

Rule = Literal["calls", "not-finite", "unreadable"]

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_RULES: Mapping[Rule, tuple[str, str]] = {
    "calls": ("error", "Loading the file would call something that is no plain rebuilding of tensors."),
    "not-finite": ("warning", "A tensor holds values that are NaN or infinite."),
    "unreadable": ("error", "The file, or a part of it, can't be read."),
}
"""How grave each is, and what it is."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with one file."""

    rule: Rule
    path: str
    message: str


def calls(listing: Listing) -> tuple[list[str], list[str]]:
    """What the file wants to call, and why that can't be told, in a list that is empty where it can."""
    try:
        return listing.file.calls(), []
    except InputError as error:
        return [], [str(error)]


def findings(
    listing: Listing, stats: Mapping[str, TensorStats], called: Sequence[str], damage: Sequence[str]
) -> Iterator[Finding]:
    """What is wrong with the file of `listing`.

    Args:
        listing: what is in it.
        stats: what its numbers are like, by the names of tensors.
        called: what it wants to call.
        damage: what can't be read.
    """
    yield from (Finding("unreadable", listing.path, reason) for reason in damage)
    yield from (Finding("calls", listing.path, f"it wants to call {show(name)}") for name in called)
    for name, found in stats.items():
        if found.nan or found.infinite:
            yield Finding("not-finite", listing.path, f"{show(name)} ({found.nan} NaN, {found.infinite} infinite)")


def sarif(found: Sequence[Finding], *, version: str) -> bytes:
    """`found` as a SARIF log of one run of that version of convtool."""
    rules = [{"id": rule, "shortDescription": {"text": text}} for rule, (_, text) in _RULES.items()]
    driver = {"name": "convtool", "version": version, "rules": rules}
    results = [
        {
            "ruleId": each.rule,
            "level": _RULES[each.rule][0],
            "message": {"text": each.message},
            "locations": [{"physicalLocation": {"artifactLocation": {"uri": _uri(each.path)}}}],
        }
        for each in found
    ]
    run = {"tool": {"driver": driver}, "results": results}
    log = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(log, indent=1).encode() + b"\n"


def _uri(path: str) -> str:
    """A path as a reference: relative ones stay so, which scanners take from the root of their checkout."""
    place = quote(os.fsencode(path.replace(os.sep, "/")))
    return f"file://{place}" if os.path.isabs(path) else place
