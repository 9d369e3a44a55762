"""A file in a store, read here and there."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, BinaryIO

from convtool.errors import InputError
from convtool.files.remote import download
from convtool.files.stores import AS_IT_IS, CHANGED, attempt, state_of, store_of
from convtool.files.urls import is_http

if TYPE_CHECKING:
    from typing_extensions import Buffer

BLOCK = 64 << 10
"""The least that is fetched of a file that is read here and there."""

_LARGEST_BLOCK = 8 << 20

_KEPT_BLOCKS = 16


class RemoteFile(io.RawIOBase):
    """The file at `url`, read here and there: a header of kilobytes costs as much, whatever the file's size.

    A web server that sends no ranges, or does not tell the size, is read whole.

    Raises:
        InputError: it can't be opened.
    """

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url
        self._at = 0
        self._blocks: dict[int, bytes] = {}
        """By where they begin; those used last are at the end."""
        self._whole: BinaryIO | None = None
        size, self._range = attempt(url, self._open, InputError)
        if size is None or size <= BLOCK or not self._gives_ranges(size):
            self._whole = download(url)
            size = os.fstat(self._whole.fileno()).st_size
        self.size: int = size

    def _open(self) -> tuple[int | None, Callable[[int, int], bytes]]:
        """The size, and what fetches the bytes from one position to another."""
        store, path = store_of(self._url)
        asked: dict[str, Any] = {}
        if is_http(self._url):
            info = store.info(path)
            if not info["size"] or not info.get("partial", True):
                return info["size"], lambda *_: b""
            asked = {"size": info["size"], "headers": {**AS_IT_IS, **_unless_changed(info)}}
        elif not self._url.lower().startswith("s3"):
            return store.info(path)["size"], _Unchanged(store, path).fetch
        file = store.open(path, "rb", block_size=BLOCK, cache_type="none", **asked)
        return file.size, file._fetch_range  # `cat_file` of a web server takes a whole file for a range

    def _gives_ranges(self, size: int) -> bool:
        """Whether bytes behind the first can be had alone; fetches the first block too, which everybody reads."""
        try:
            self._blocks[0] = self._fetch(0, BLOCK)
            return len(self._fetch(size - 1, size)) == 1
        except InputError:
            return False

    def _fetch(self, start: int, stop: int) -> bytes:
        def ask() -> bytes:
            data = self._range(start, stop)
            if len(data) != stop - start:
                raise ConnectionError(f"{stop - start} bytes were asked for, {len(data)} came")
            return data

        return attempt(self._url, ask, InputError)

    def pread(self, count: int, start: int) -> bytes:
        """`count` bytes from `start` on, fewer at the end of the file. Any thread may call it."""
        if self._whole is not None:
            return os.pread(self._whole.fileno(), count, start)
        count = max(0, min(count, self.size - start))
        for first, block in list(self._blocks.items()):
            if first <= start and start + count <= first + len(block):
                return block[start - first : start - first + count]
        before = next((len(block) for first, block in list(self._blocks.items()) if first + len(block) == start), 0)
        length = max(count, BLOCK, min(2 * before, _LARGEST_BLOCK))  # what is read in order comes in ever larger blocks
        data = self._fetch(start, min(start + length, self.size))
        self._blocks[start] = data
        for first in list(self._blocks)[:-_KEPT_BLOCKS]:
            self._blocks.pop(first, None)
        return data[:count]

    def readinto(self, buffer: Buffer) -> int:
        room = memoryview(buffer)
        data = self.pread(len(room), self._at)
        room[: len(data)] = data
        self._at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        """Close the file."""
        if self._whole is not None:
            self._whole.close()
        super().close()


def _unless_changed(info: dict[str, Any]) -> dict[str, str]:
    """The headers with which a web server sends ranges of that file alone; weak tags (W/) match no range."""
    tag = str(info.get("ETag", "W/"))
    if not tag.startswith("W/"):
        return {"If-Match": tag}
    return {"If-Unmodified-Since": info["Last-Modified"]} if "Last-Modified" in info else {}


class _Unchanged:
    """The ranges of an object, which must be the same whenever one is asked for."""

    def __init__(self, store: Any, path: str) -> None:
        self._store, self._path = store, path
        self._before = state_of(store, path)

    def fetch(self, start: int, stop: int) -> bytes:
        """The bytes from `start` to `stop`.

        Raises:
            InputError: the object is another by now.
        """
        data: bytes = self._store.cat_file(self._path, start, stop)
        if state_of(self._store, self._path) != self._before:
            raise InputError(CHANGED)
        return data


def pread(file: int | RemoteFile, count: int, start: int) -> bytes:
    """`count` bytes from `start` on of a descriptor or a remote file, fewer at the end."""
    return os.pread(file, count, start) if isinstance(file, int) else file.pread(count, start)


def size_of(file: int | RemoteFile) -> int:
    """The bytes in a descriptor's file or a remote file."""
    return os.fstat(file).st_size if isinstance(file, int) else file.size
