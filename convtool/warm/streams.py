"""The open files of a call, in the process that does it: the caller's numbers, and Python's streams over them."""

from __future__ import annotations

import fcntl
import io
import os
import sys
from collections.abc import Sequence
from typing import TextIO


def take_descriptors(received: Sequence[int], numbers: Sequence[int]) -> None:
    """Give each of the open files `received` its number of `numbers`, and close all others."""
    above = max([2, *numbers]) + 1
    moved = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, above) for descriptor in received]
    os.closerange(0, above)
    for descriptor, number in zip(moved, numbers, strict=True):
        os.dup2(descriptor, number)
    os.closerange(above, os.sysconf("SC_OPEN_MAX"))


def open_streams() -> None:
    """Let `sys.stdin`, `sys.stdout` and `sys.stderr` be as Python makes them at its start; None where one is closed."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        like = getattr(sys, name)
        _kept.append(like)
        stream = _opened(number, like)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


_kept: list[TextIO] = []
"""The streams of before: closing them would close files that have their numbers now."""


def _opened(number: int, like: TextIO) -> TextIO | None:
    try:
        os.fstat(number)
    except OSError:
        return None
    line_buffering = number == 2 or os.isatty(number)
    file = open(number, "wb" if number else "rb", closefd=False)
    return io.TextIOWrapper(file, like.encoding, like.errors, line_buffering=line_buffering)
