"""The bar that a person sees while there is work: how much is done, how fast, and the time left.

It is not that of `rich`: to import it takes as long as a fiftieth of the runs that are just long enough for a bar.
"""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from convtool.cli import messages
from convtool.cli.shared_options import RunOptions

_PATIENCE = 1.0
"""Seconds of work without a bar; most work is done by then."""

_INTERVAL = 0.25
"""Seconds from one look to the next."""

_LOOKS = 120
"""Looks, over half a minute, that the rate is taken from."""

_WIDTH = 30
"""Columns of the bar itself, where the terminal has as many."""

_CLEAR = "\r\x1b[K"

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
    line = _Line(look, unit)
    with suppress(OSError), messages.printed_by(line.print_above):  # a terminal that is gone is no reason to stop
        line.draw()
        while not ended.wait(_INTERVAL):
            line.draw()
    line.erase()


class _Line:
    """The last line on the screen, drawn over again; whoever prints above it waits until that is done."""

    def __init__(self, look: Look, unit: str) -> None:
        self._look = look
        self._unit = unit
        self._looks: deque[tuple[float, float]] = deque(maxlen=_LOOKS)
        self._shown = ""
        self._drawing = threading.Lock()

    def draw(self) -> None:
        """Show how far things are now."""
        done, total = self._look()
        if not done:
            self._looks.clear()  # what is still being loaded says nothing of the rate
        self._looks.append((time.monotonic(), done))
        with self._drawing:
            self._shown = _line(done, total, self._rate(), self._unit)
            _write(f"{_CLEAR}{self._shown}")

    def print_above(self, text: str) -> None:
        """Print a message, and the line below it."""
        with self._drawing:
            _write(f"{_CLEAR}{text}\n{self._shown}")

    def erase(self) -> None:
        """Leave nothing of the line."""
        with suppress(OSError):
            _write(_CLEAR)

    def _rate(self) -> float:
        """How much is done in a second, 0 where nobody knows yet."""
        (start, first), (end, last) = self._looks[0], self._looks[-1]
        return (last - first) / (end - start) if end > start else 0.0


def _write(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def _line(done: float, total: float, rate: float, unit: str) -> str:
    """The line for what is done, cut where the terminal ends: past that it would go on in a second one."""
    of = f"/{short(total)}" if total else ""
    per_second = f"  {short(rate)}/s" if rate > 0 else ""
    left = f"  {_clock((total - done) / rate)}" if total and rate > 0 else ""
    words = f"{short(math.floor(done))}{of} {unit}{per_second}{left}"
    columns = _columns() - 1  # with a character in the last one, some terminals are on the next line already
    width = min(_WIDTH, columns - len(words) - 1)
    return f"{_drawn(done / total, width)} {words}" if total and width > 0 else words[:columns]


def _drawn(share: float, width: int) -> str:
    """The bar itself, `width` columns wide."""
    full, empty = "━─" if "utf" in (sys.stderr.encoding or "").lower() else "=-"
    reached = int(share * width)
    return full * reached + empty * (width - reached)


def _columns() -> int:
    """The columns of the terminal that standard error is."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except OSError:
        return 80


def _clock(seconds: float) -> str:
    """Seconds as hours, minutes and seconds.

    >>> _clock(7), _clock(3723.4)
    ('0:07', '1:02:03')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def short(number: float) -> str:
    """A number of at most four digits.

    >>> short(0.45), short(12.3), short(3000), short(44100), short(1.5e9)
    ('0.5', '12', '3000', '44.1k', '1.5G')
    >>> short(9999.6), short(999_960)  # as they are rounded
    ('10.0k', '1.0M')
    """
    if number < 9_999.5:
        return f"{number:.0f}" if number >= 10 or number == int(number) else f"{number:.1f}"
    power = 1 + (number >= 999_950) + (number >= 999_950_000)
    return f"{number / 1000**power:.1f}{'kMG'[power - 1]}"
