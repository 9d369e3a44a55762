"""Whole files in stores: read into a temporary file, written as one upload at their end, listed, removed.

What libraries write into an open upload can be committed half after an error, and what they read through callbacks can
end early without one: so both go through whole local files.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, BinaryIO

from convtool.errors import ConvtoolError, InputError, OutputError, UsageError
from convtool.files.names import show
from convtool.files.stores import CHANGED, attempt, has_turn, state_of, store_of
from convtool.files.urls import is_http

SPOOL_LIMIT = 64 << 30
"""Bytes that one input may take on the disk for temporary files; less where less is free."""

AHEAD = 10
"""Inputs of a process that are fetched, worked on or uploaded at a time: so many connections botocore keeps."""

AHEAD_BYTES = 32 << 20
"""The size up to which a file is fetched, or uploaded, while others are worked on."""


class _Large(ConvtoolError):
    """A file is too large to be fetched while others are worked on."""


class _Limit:
    """The progress of a download, as fsspec tells it to a callback, which ends one that is too large."""

    def __init__(self, to_stop: Callable[[], bool], *, small: bool) -> None:
        self.size: int | None = None
        self.value = 0
        self._to_stop = to_stop
        self._small = small
        self._limit = min(SPOOL_LIMIT, shutil.disk_usage(tempfile.gettempdir()).free)

    def set_size(self, size: int | None) -> None:
        """Take note of the size that the server declares."""
        self.size = size
        self._check(size or 0)

    def relative_update(self, count: int) -> None:
        """Count bytes that have come."""
        self.value += count
        self._check(self.value)

    def _check(self, size: int) -> None:
        if self._to_stop():
            raise InputError("the work was stopped")
        if size > self._limit:
            raise InputError(
                f"it takes {size} bytes or more; the limit is {self._limit}, by the temporary folder "
                f"{show(tempfile.gettempdir())} (TMPDIR names another)"
            )
        if self._small and size > AHEAD_BYTES:
            raise _Large


def download(url: str) -> BinaryIO:
    """The file at `url` in a temporary file without a name, at its beginning.

    Raises:
        InputError: it can't be read, or is too large; nothing is left of it.
    """
    spool: BinaryIO = tempfile.TemporaryFile(buffering=0)
    try:
        fetch(url, spool)
    except BaseException:
        spool.close()
        raise
    spool.seek(0)
    return spool


def fetch(url: str, spool: BinaryIO, to_stop: Callable[[], bool] = lambda: False) -> None:
    """Let the file at `url` be what is in `spool`, a file without a buffer.

    Raises:
        InputError: it can't be read, is too large, or `to_stop` gave true, in whatever thread.
    """

    def get(*, small: bool) -> None:
        os.ftruncate(spool.fileno(), 0)
        limit = _Limit(to_stop, small=small)
        store, path = store_of(url)
        checked = not (small or is_http(url))  # what is large, a store may send in several answers
        before = state_of(store, path) if checked else None
        store.get_file(path, f"/dev/fd/{spool.fileno()}", callback=limit)
        there = os.fstat(spool.fileno()).st_size
        if limit.size not in (None, there):
            raise ConnectionError(f"{limit.size} bytes were declared, {there} came")
        if checked and state_of(store, path) != before:
            raise InputError(CHANGED)

    try:
        if is_http(url) and not has_turn():
            raise _Large
        attempt(url, partial(get, small=True), InputError)
    except _Large:
        attempt(url, partial(get, small=False), InputError, in_turn=True)


def read_bytes(url: str) -> bytes:
    """All of a small file, such as a list."""
    with download(url) as file:
        return file.read()


def upload(file: BinaryIO, url: str, *, replace: bool) -> None:
    """Make what is in `file` the object at `url`, whole or not at all.

    Raises:
        FileExistsError: there is one by now, which may not be replaced.
        OutputError: the store refused it.
    """

    def put() -> None:
        store, path = store_of(url)
        local = f"/dev/fd/{file.fileno()}"
        if is_http(url):
            headers = {} if replace else {"If-None-Match": "*"}
            size = str(os.fstat(file.fileno()).st_size)
            store.put_file(local, path, method="put", headers={**headers, "Content-Length": size})
        else:
            store.put_file(local, path, mode="overwrite" if replace else "create")

    attempt(url, put, OutputError, in_turn=os.fstat(file.fileno()).st_size > AHEAD_BYTES)


def remove(url: str) -> None:
    """Remove the object at `url`.

    Raises:
        OutputError: the store refused it.
    """

    def ask() -> None:
        store, path = store_of(url)
        store.rm_file(path)

    attempt(url, ask, OutputError)


def below(folder: str, kind: type[ConvtoolError] = InputError) -> list[str]:
    """The URLs of all files below `folder`, in bytewise order; of a folder that does not exist, none.

    Raises:
        InputError: the store can't be listed; another `kind` where that is given.
    """
    return _listed(folder, lambda store, path: store.find(path.rstrip("/") + "/"), kind)


def matching(pattern: str) -> list[str]:
    """The URLs of what fits `pattern`, in bytewise order."""
    return _listed(pattern, lambda store, path: store.glob(path), InputError)


def _listed(url: str, listing: Callable[[Any, str], Sequence[str]], kind: type[ConvtoolError]) -> list[str]:
    if is_http(url):
        raise InputError("a web server does not list what it has; name the files, or give --input-list")

    def ask() -> list[str]:
        store, path = store_of(url)
        scheme = url.partition("://")[0]
        return [f"{scheme}://{name.lstrip('/')}" for name in listing(store, path) if not name.endswith("/")]

    return sorted(attempt(url, ask, kind), key=os.fsencode)


def is_folder(url: str) -> bool:
    """Whether something lies below `url`; web servers have no folders."""
    if is_http(url):
        return False

    def ask() -> bool:
        store, path = store_of(url)
        return bool(store.isdir(path))

    return attempt(url, ask, InputError)


def existing(urls: Sequence[str]) -> set[str]:
    """Those of `urls` at which something stands: one listing of each folder that several lie in.

    Raises:
        UsageError: the store can't tell.
    """
    folders: dict[str, list[str]] = {}
    for url in urls:
        folders.setdefault(url if is_http(url) else url.rpartition("/")[0], []).append(url)

    def ask(group: Sequence[str]) -> set[str]:
        store, first = store_of(group[0])
        if len(group) == 1:
            return {*group} if store.exists(first) else set()
        there = set(store.find(first.rpartition("/")[0] + "/", maxdepth=1))
        return {url for url in group if store._strip_protocol(url) in there}

    found: set[str] = set()
    for group in folders.values():
        found |= attempt(group[0], lambda group=group: ask(group), UsageError)  # type: ignore[misc]
    return found
