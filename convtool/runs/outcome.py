"""What became of one input."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from convtool.files.names import without_secrets
from convtool.runs.plan import Task


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
    name: str = field(default="", repr=False)
    """The input as messages show it."""
    exit_code: int = field(default=0, repr=False)
    notes: list[str] = field(default_factory=list, repr=False)
    """What the person should know although nothing failed."""
    remarks: list[str] = field(default_factory=list, repr=False)
    """What was chosen, for those who ask with -v."""
    trace: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, task: Task, status: str) -> Outcome:
        """What can be said of any task."""
        output = task.output and without_secrets(task.output)
        return cls(without_secrets(task.input.value), output, status, name=task.input.name)

    def as_json(self) -> str:
        """The report line: the figures, without what is only for messages."""
        others = ("name", "exit_code", "notes", "remarks", "trace")
        record: dict[str, Any] = {key: value for key, value in vars(self).items() if key not in others}
        return (
            json.dumps(record, ensure_ascii=False, allow_nan=False).encode("utf-8", "backslashreplace").decode("utf-8")
        )
