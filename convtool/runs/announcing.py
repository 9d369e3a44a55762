"""What a job chooses for its input, told while the work is still to be done."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

Block = TypeVar("Block")


class _Hearer(threading.local):
    """Who is told of the job that this thread runs."""

    hear: Callable[[str], None] | None = None


_hearer = _Hearer()


@contextmanager
def announced_to(hear: Callable[[str], None] | None) -> Iterator[None]:
    """Let `hear` be told what the jobs of this thread choose; with None whoever is told already goes on being so."""
    before = _hearer.hear
    _hearer.hear = hear or before
    try:
        yield
    finally:
        _hearer.hear = before


def is_announced() -> bool:
    """Whether somebody is told what is chosen, so that it need not be said at the end."""
    return _hearer.hear is not None


def announced(blocks: Iterator[Block], remark: Callable[[], str]) -> Iterator[Block]:
    """The same blocks; what was chosen is told once the first has been worked on."""
    return blocks if _hearer.hear is None else _announcing(blocks, remark, _hearer.hear)


def _announcing(blocks: Iterator[Block], remark: Callable[[], str], hear: Callable[[str], None]) -> Iterator[Block]:
    told = False
    for block in blocks:
        yield block
        if not told:
            told = True
            hear(remark())
