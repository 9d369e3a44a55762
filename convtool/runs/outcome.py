"""What became of one input."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from typing import Any

from convtool.files.names import without_secrets
from convtool.runs.plan import Choice, Task


@dataclass
class Outcome:
    """One line of a report. `status` is ``written``, ``skipped``, ``failed`` or ``planned``."""

    input: str
    output: str | None
    status: str
    error: str | None = None
    channels: int | None = None
    samples: int | None = None
    sample_rate: int | None = None
    seconds: float | None = None
    clipped: int = 0
    peak: float | None = None
    """The largest sample of the output in decibels, before anything was clipped; null for silence."""
    worker: str | None = None
    """The address of the cluster's worker that did the work; it is in the reports of a cluster alone."""
    name: str = field(default="", repr=False)
    """The input as messages show it."""
    exit_code: int = field(default=0, repr=False)
    notes: list[str] = field(default_factory=list, repr=False)
    """What the person should know although nothing failed."""
    remarks: list[str] = field(default_factory=list, repr=False)
    """What was chosen, for those who ask with -v."""
    unheeded: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Options that make no difference to it, with what they are for; and what was found instead."""
    trace: str | None = field(default=None, repr=False)
    clipping: str = field(default="", repr=False)
    """What there is to say of samples that its format could not hold."""
    format: str = field(default="", repr=False)
    """Of the output."""
    gain: float | None = field(default=None, repr=False)
    """Decibels by which it was normalised."""
    choice: Choice | None = field(default=None, repr=False)
    """What it was worked with, where there is a choice."""

    @classmethod
    def of(cls, task: Task, status: str) -> Outcome:
        """What can be said of any task."""
        output = task.output and without_secrets(task.output)
        return cls(without_secrets(task.input.value), output, status, name=task.name, choice=task.choice)

    def as_json(self, *, with_worker: bool = False) -> str:
        """The report line: the figures, without what is only for messages."""
        record: dict[str, Any] = {each.name: getattr(self, each.name) for each in fields(self) if each.repr}
        if not with_worker:
            del record["worker"]
        if self.choice is not None:
            record[self.choice.field] = self.choice.word
        return (
            json.dumps(record, ensure_ascii=False, allow_nan=False).encode("utf-8", "backslashreplace").decode("utf-8")
        )
