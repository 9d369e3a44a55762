"""What the launcher and the warm process say to each other: JSON behind its length, never anything that is run."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

_LENGTH = struct.Struct("<I")

GO = b"g"
"""Begins the work of a call that was accepted; each further byte is the number of a signal for it."""

STOP = 0xFF
"""In place of a signal's number: let all processes of the call stop, as Ctrl-Z does."""


def framed(message: dict[str, Any]) -> bytes:
    """`message` as it is sent."""
    data = json.dumps(message).encode()
    return _LENGTH.pack(len(data)) + data


def complete(received: bytearray) -> dict[str, Any] | None:
    """The message that `received` begins with, or None where it isn't whole yet.

    Raises:
        ValueError: it is no message.
    """
    if len(received) < _LENGTH.size:
        return None
    end = _LENGTH.size + _LENGTH.unpack_from(received)[0]
    if len(received) < end:
        return None
    message = json.loads(received[_LENGTH.size : end])
    if not isinstance(message, dict):
        raise ValueError("it is no message")
    return message


def receive(connection: socket.socket) -> dict[str, Any]:
    """The next message.

    Raises:
        EOFError: the other end closed before it was whole.
        ValueError: it is no message.
    """
    received = bytearray()
    while (message := complete(received)) is None:
        part = connection.recv(1 << 16)
        if not part:
            raise EOFError
        received += part
    return message


def user(connection: socket.socket) -> int:
    """The user at the other end, as the system vouches for it."""
    return _credentials(connection)[1]


def process(connection: socket.socket) -> int:
    """The process at the other end, as the system vouches for it; 0 where it is in another container."""
    return _credentials(connection)[0]


def _credentials(connection: socket.socket) -> tuple[int, int, int]:
    layout = struct.Struct("3i")
    found: tuple[int, int, int] = layout.unpack(
        connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, layout.size)
    )
    return found
