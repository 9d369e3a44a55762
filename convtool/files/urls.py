"""URLs as the command line has them: what is one, and the names in it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from urllib.parse import unquote, urlsplit

from convtool.errors import UsageError
from convtool.files.names import show

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")

PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "http": "aiohttp", "https": "aiohttp"}


def is_url(path: str) -> bool:
    """Whether `path` is a URL, and no path of this machine."""
    found = _URL.match(path)
    return found is not None and not os.path.lexists(path)


_FILE_URL = re.compile(r"(--[a-z-]+=|-[A-Za-z])?file://([^/]*)(/.*)?", re.IGNORECASE | re.DOTALL)


def without_file_url(word: str) -> str:
    """`word`, which may be an option and its value, with the path that a `file://` URL means in place of the URL.

    >>> without_file_url("file:///takes/one%201.wav"), without_file_url("--output=file://localhost/wet/")
    ('/takes/one 1.wav', '--output=/wet/')

    Raises:
        UsageError: the file is of another machine.
    """
    found = _FILE_URL.fullmatch(word)
    if found is None or os.path.lexists(word):
        return word
    option, host, path = found.groups(default="")
    if host.lower() not in ("", "localhost") or not path:
        raise UsageError(
            f"{show(word)}: that is a file of the machine '{show(host)}'; one of this machine is file:///PATH, or its "
            "path alone"
        )
    return option + unquote(path, errors="surrogateescape")


def packages_of(paths: Iterable[str]) -> list[str]:
    """The packages that are imported for those of `paths` that are URLs."""
    protocols = {path.partition("://")[0].lower() for path in paths if is_url(path)}
    return sorted({PACKAGES[each] for each in protocols if each in PACKAGES})


def protocol_of(url: str) -> str:
    """The protocol of `url` in lower case; none of a path."""
    found = _URL.match(url)
    return found[1].lower() if found else ""


def is_http(url: str) -> bool:
    """Whether the store is a web server, which can't list what it has."""
    return url.lower().startswith(("http://", "https://"))


def base_name(path: str) -> str:
    """The name of the file at a path or URL, without folders; of a web server's without query and fragment.

    >>> base_name("https://host/a/take%201.wav?sig=x"), base_name("s3://bucket/a/take#1.wav"), base_name("a/b?c.wav")
    ('take 1.wav', 'take#1.wav', 'b?c.wav')
    """
    return os.path.basename(unquote(urlsplit(path).path) if is_http(path) and is_url(path) else path)


def parent(path: str) -> str:
    """The folders above what is at a path or URL: from the bucket on, and of a web server's those of its path.

    >>> parent("https://me:key@host/a/take%201.wav?sig=x"), parent("s3://bucket/a/b/take.wav"), parent("a/b.wav")
    ('/a', 'bucket/a/b', 'a')
    """
    if not is_url(path):
        return os.path.dirname(path)
    return os.path.dirname(unquote(urlsplit(path).path) if is_http(path) else path.partition("://")[2])
