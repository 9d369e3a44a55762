"""The bar that a person sees while there is work: how much is done, how fast, and the time left."""

from __future__ import annotations

import math
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from convtool.cli import messages
from convtool.cli.shared_options import RunOptions

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn, TaskID

_PATIENCE = 1.0
"""Seconds of work without a bar; most work is done by then, and rich need not be imported."""

_INTERVAL = 0.25
"""Seconds from one look to the next."""

Look = Callable[[], tuple[float, float]]
"""What is done, and how much there is, 0 where nobody knows."""


def is_watched(options: RunOptions) -> bool:
    """Whether a person is looking who wants a bar, and nothing else is being printed where it would be."""
    if options.no_progress or messages.asked_for("quiet") or os.environ.get("TERM") in ("dumb", "unknown"):
        return False
    return sys.stderr is not None and sys.stderr.isatty()


@contextmanager
def bar(look: Look, unit: str) -> Iterator[None]:
    """Show how far things are, in `unit`, from a second of work on; at the end nothing of it is left."""
    ended = threading.Event()
    thread = threading.Thread(target=_show, args=(look, unit, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _show(look: Look, unit: str, ended: threading.Event) -> None:
    if ended.wait(_PATIENCE):
        return
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True, highlight=False, markup=False, emoji=False)
    with Progress(
        *_columns(unit),
        console=console,
        auto_refresh=False,
        redirect_stdout=False,
        redirect_stderr=False,
        transient=True,
    ) as progress:
        task = progress.add_task("", total=None)
        with messages.printed_by(lambda text: console.print(text, soft_wrap=True)):
            _update(progress, task, look)
            while not ended.wait(_INTERVAL):
                _update(progress, task, look)


def _update(progress: Progress, task: TaskID, look: Look) -> None:
    done, total = look()
    progress.update(task, completed=done, total=total or None)
    progress.refresh()


def _columns(unit: str) -> list[ProgressColumn]:
    """A bar, what is done, the rate, the time left."""
    from rich.progress import BarColumn, ProgressColumn, TimeRemainingColumn
    from rich.progress import Task as Shown
    from rich.text import Text

    class Done(ProgressColumn):
        """How much of how much."""

        def render(self, task: Shown) -> Text:
            of = f"/{short(task.total)}" if task.total else ""
            return Text(f"{short(int(task.completed))}{of} {unit}")

    class Rate(ProgressColumn):
        """How much in a second."""

        def render(self, task: Shown) -> Text:
            return Text(f"{short(task.speed)}/s" if task.speed else "")

    return [BarColumn(30), Done(), Rate(), TimeRemainingColumn()]


def short(number: float) -> str:
    """A number of at most four digits.

    >>> short(0.45), short(12.3), short(3000), short(44100), short(1.5e9)
    ('0.5', '12', '3000', '44.1k', '1.5G')
    """
    if number < 10_000:
        return f"{number:.0f}" if number >= 10 or number == int(number) else f"{number:.1f}"
    letters = "kMG"
    power = min(len(letters), int(math.log10(number)) // 3)
    return f"{number / 1000**power:.1f}{letters[power - 1]}"
