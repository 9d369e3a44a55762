"""What is wrong with weight files, and the same in SARIF 2.1.0, which code scanning takes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

from convtool.arrays.description import some
from convtool.errors import InputError
from convtool.files.names import counted, show

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


def unread(listing: Listing, unsound: Sequence[str], *, needed: bool) -> tuple[int, list[str]]:
    """How many tensors can't be read, and why: `unsound`, and those of opaque types where they are `needed`."""
    opaque = [each.tensor for each in listing.tensors if each.tensor.opaque] if needed else []
    if not opaque:
        return len(unsound), list(unsound)
    types = some(sorted({tensor.dtype for tensor in opaque}))
    reason = f"the values of {counted(len(opaque), 'tensor')} of {types} are not read"
    return len(unsound) + len(opaque), [*unsound, reason]


def wrong(stats: Mapping[str, TensorStats], called: Sequence[str]) -> str:
    """What ``--check`` says of statistics and calls; nothing where all is well."""
    reasons = []
    bad = {name: found for name, found in stats.items() if found.nan or found.infinite}
    if bad:
        told = ", ".join(f"{show(name)} ({found.nan} NaN, {found.infinite} infinite)" for name, found in bad.items())
        holds = "holds" if len(bad) == 1 else "hold"
        reasons.append(f"of {counted(len(stats), 'tensor')} {len(bad)} {holds} what is not finite: {told}")
    if called:
        reasons.append(f"it wants to call {', '.join(map(show, called))}")
    return f"--check: {'; '.join(reasons)}" if reasons else ""


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
