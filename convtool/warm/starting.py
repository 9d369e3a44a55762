"""Starts the warm process: in a session of its own, with none of the caller's files open."""

from __future__ import annotations

import os
import sys

from convtool.warm import descriptors

_PROGRAM = (
    "import sys; sys.path[:] = sys.argv[2:]; from convtool.cli.warm import serve_calls; serve_calls(int(sys.argv[1]))"
)
NOBODY = -1
"""In place of a descriptor, where nobody waits."""


def start(ready: int = NOBODY) -> None:
    """Start it without waiting; it closes the descriptor `ready` when it listens or ends."""
    nowhere = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in range(3)]
    closed = [(os.POSIX_SPAWN_CLOSE, number) for number in descriptors.inherited() if number > 2 and number != ready]
    command = [sys.executable, "-c", _PROGRAM, str(ready), *sys.path]
    os.posix_spawn(sys.executable, command, os.environ, file_actions=[*nowhere, *closed], setsid=True)
