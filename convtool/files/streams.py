"""The standard streams of this process."""

from __future__ import annotations

import os


def silence_stderr() -> int:
    """Let what is written to standard error vanish: C libraries remark on files there (libmpg123 has many).

    Returns:
        A descriptor that leads where standard error did.
    """
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    return kept
