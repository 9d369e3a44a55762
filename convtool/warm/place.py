"""Where the warm process listens: a socket in a folder that nobody else can enter."""

from __future__ import annotations

import os
import stat
import sys
from zlib import crc32

_PROTOCOL = 2
"""The version of the messages: a process with another one is not found, and idles out."""


class Unsafe(Exception):
    """The folder can't be trusted; the text says why."""


def folder() -> str:
    """The folder of this user, this installation and this protocol, under XDG_RUNTIME_DIR or the temporary folder."""
    base = os.environ.get("XDG_RUNTIME_DIR") or os.environ.get("TMPDIR") or "/tmp"  # noqa: S108 (checked before use)
    installation = crc32(os.fsencode(f"{sys.executable}\n{os.path.dirname(__file__)}\n{_PROTOCOL}"))
    return os.path.join(base, f"convtool-{os.getuid()}-{installation:08x}")


def socket_name() -> str:
    """The socket itself."""
    return os.path.join(folder(), "socket")


def check(path: str) -> None:
    """Make sure that the folder `path` is this user's and closed to others.

    Raises:
        Unsafe: it is not.
        OSError: it is not there.
    """
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode):
        raise Unsafe(f"{path} is no folder")
    if found.st_uid != os.geteuid():
        raise Unsafe(f"{path} belongs to another user")
    if found.st_mode & 0o077:
        raise Unsafe(f"{path} is open to others (mode {found.st_mode & 0o777:03o}); chmod 700 closes it")
