"""Questions to the warm process from outside of a call."""

from __future__ import annotations

import os
import socket
from typing import Literal

from convtool.warm import messages, place

_PATIENCE = 5.0


def ask(kind: Literal["status", "stop"]) -> dict[str, int] | None:
    """The numbers that it answers with, or None where there is none.

    Raises:
        place.Unsafe: the folder of its socket can't be trusted.
    """
    try:
        place.check(place.folder())
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_PATIENCE)
            connection.connect(place.socket_name())
            if messages.user(connection) != os.geteuid():
                return None
            connection.sendall(messages.framed({"kind": [kind]}))
            return {name: int(number) for name, (number,) in messages.receive(connection).items()}
    except (EOFError, OSError, ValueError):
        return None
