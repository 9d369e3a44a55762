"""What a plan of batches comes to, as text: the batches, their padding, and how long the inputs are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convtool.cli import messages
from convtool.cli.show.tables import human_bytes, table, terminal_width
from convtool.files.names import counted

if TYPE_CHECKING:
    from convtool.jobs.padding.store import Plan

_BINS = 10
_BAR = 40
"""Characters of the longest bar."""


def show_plan(plan: Plan) -> None:
    """Print the batches, the padding in percent and bytes, and a histogram of lengths."""
    from convtool.jobs.padding.grouping import histogram, waste

    lengths = [row.length for row in plan.rows]
    item = plan.rows[0].channels * (4 if plan.dtype == "float32" else 8)
    rows = []
    for number, batch in enumerate(plan.batches):
        share = waste([batch], lengths).percent
        size = len(batch.rows) * batch.longest * item
        rows.append([str(number), str(len(batch.rows)), str(batch.longest), f"{share:.1f} %", human_bytes(size)])
    header = ["batch", "rows", "samples", "padding", "size"]
    for line in table(header, rows, right=header, width=terminal_width()):
        messages.out(line)
    total = waste(plan.batches, lengths)
    samples = sum(len(batch.rows) * batch.longest for batch in plan.batches)
    inputs, batches = counted(len({row.index for row in plan.rows}), "input"), counted(len(plan.batches), "batch")
    if plan.rows[0].covered is not None:
        inputs = f"{counted(len(lengths), 'segment')} of {inputs}"
    messages.out(
        f"\n{inputs} in {batches}, {human_bytes(samples * item)}, of which padding "
        f"{human_bytes(total.samples * item)} ({total.percent:.2f} %)\n"
    )
    bins = histogram(lengths, _BINS)
    most = max(each.inputs for each in bins)
    bars = [
        [_span(each.shortest, each.longest), str(each.inputs), "#" * -(-each.inputs * _BAR // most)] for each in bins
    ]
    for line in table(["samples", "inputs", ""], bars, right=["samples", "inputs"], width=terminal_width()):
        messages.out(line)


def _span(shortest: int, longest: int) -> str:
    return f"{shortest}-{longest}" if shortest < longest else str(shortest)
