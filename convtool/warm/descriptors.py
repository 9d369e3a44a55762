"""The open files that this process was started with."""

from __future__ import annotations

import os


def inherited() -> list[int]:
    """Their numbers. What Python opened itself is closed in the programs that it starts, so it is not among them."""
    return sorted(number for number in map(int, os.listdir("/proc/self/fd")) if _inheritable(number))


def _inheritable(number: int) -> bool:
    try:
        return os.get_inheritable(number)
    except OSError:  # it listed the folder
        return False
