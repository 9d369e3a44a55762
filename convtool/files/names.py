"""Names and numbers of things as messages show them: one line, nothing in it can drive a terminal."""

from __future__ import annotations

import os
import re

_SECRETS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+://)(?:[^/\s@]*@)?([^\s?'\"]*)(\?[^\s'\"]*)?")


def show(name: str | bytes | os.PathLike[str]) -> str:
    r"""`name` with control characters and undecodable bytes escaped.

    >>> show("a\tb\x1b[31m")
    'a\\tb\\x1b[31m'
    >>> show(b"caf\xe9.wav")
    'caf\\xe9.wav'
    >>> show("https://me:key@host/a.wav?signature=1")
    'https://host/a.wav?...'
    """
    text = without_secrets(os.fsdecode(name))
    return text if text.isprintable() else "".join(c if c.isprintable() else _escape(c) for c in text)


def without_secrets(text: str) -> str:
    """`text` with what URLs in it may hold of credentials blanked: user, password and query."""
    if "://" not in text:
        return text
    return _SECRETS.sub(lambda found: f"{found[1]}{found[2]}{'?...' if found[3] else ''}", text)


def counted(count: int, thing: str) -> str:
    """How many there are of a thing, whose plural has an s, or es behind ch.

    >>> counted(1, "tensor"), counted(0, "tensor"), counted(2, "batch")
    ('1 tensor', '0 tensors', '2 batches')
    """
    return f"{count} {thing}" if count == 1 else f"{count} {thing}{'es' if thing.endswith('ch') else 's'}"


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8, as os.fsdecode carries it
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
