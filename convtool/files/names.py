"""Names as they are shown: one line, nothing in them can drive a terminal."""

from __future__ import annotations

import os


def show(name: str | bytes | os.PathLike[str]) -> str:
    r"""`name` with control characters and undecodable bytes escaped.

    >>> show("a\tb\x1b[31m")
    'a\\tb\\x1b[31m'
    >>> show(b"caf\xe9.wav")
    'caf\\xe9.wav'
    """
    text = os.fsdecode(name)
    return "".join(c if c.isprintable() else _escape(c) for c in text)


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8, as os.fsdecode carries it
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
