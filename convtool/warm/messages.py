"""What the launcher and the warm process say to each other: lists of words by their names, never anything that is run.

The launcher pays for every module that is imported here, so that there are none but those that Python has loaded or has
built in. A word has no NUL, as no argument and no variable of an environment has.
"""

from __future__ import annotations

import _socket
import sys

_LENGTH_BYTES = 4

GO = b"g"
"""Begins the work of a call that was accepted; each further byte is the number of a signal for it."""

STOP = 0xFF
"""In place of a signal's number: let all processes of the call stop, as Ctrl-Z does."""

Message = dict[str, list[str]]


def framed(message: Message) -> bytes:
    """`message` as it is sent: its bytes in all, then for each name the name, how many words, and the words."""
    words = [part for name, items in message.items() for part in (name, str(len(items)), *items)]
    data = "\0".join(words).encode("utf-8", "surrogateescape")
    return len(data).to_bytes(_LENGTH_BYTES, "little") + data


def complete(received: bytearray) -> Message | None:
    """The message that `received` begins with, or None where it isn't whole yet.

    Raises:
        ValueError: it is no message.

    >>> complete(bytearray(framed({"arguments": ["-k", ""], "descriptors": []})))
    {'arguments': ['-k', ''], 'descriptors': []}
    """
    end = _LENGTH_BYTES + int.from_bytes(received[:_LENGTH_BYTES], "little")
    if len(received) < max(end, _LENGTH_BYTES):
        return None
    words = received[_LENGTH_BYTES:end].decode("utf-8", "surrogateescape").split("\0")
    message, at = {}, 0
    while at < len(words):
        if not (words[at + 1 : at + 2] and words[at + 1].isdecimal()):
            raise ValueError("it is no message")
        first = at + 2
        at = first + int(words[at + 1])
        message[words[first - 2]] = words[first:at]
    if at > len(words):
        raise ValueError("it is no message")
    return message


def receive(connection: _socket.socket) -> Message:
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


def user(connection: _socket.socket) -> int:
    """The user at the other end, as the system vouches for it."""
    return _credentials(connection)[1]


def process(connection: _socket.socket) -> int:
    """The process at the other end, as the system vouches for it; 0 where it is in another container."""
    return _credentials(connection)[0]


def _credentials(connection: _socket.socket) -> list[int]:
    found = connection.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)
    return [int.from_bytes(found[at : at + 4], sys.byteorder) for at in (0, 4, 8)]
