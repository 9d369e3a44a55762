"""Files at URLs, by way of fsspec: read into a temporary file or in ranges, written as one upload at their end.

Nothing of fsspec is imported before a URL is used. What libraries write into an open upload can be committed half
after an error, and what they read through callbacks can end early without one: so both go through whole local files.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar
from urllib.parse import unquote, urlsplit

from convtool.errors import ConvtoolError, InputError, OutputError, UsageError
from convtool.files.names import show

if TYPE_CHECKING:
    from typing_extensions import Buffer

T = TypeVar("T")

PROTOCOLS = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "http", "https", "memory")
"""The stores that are used. fsspec knows more, some of which would reach files or programs of this machine."""

SPOOL_LIMIT = 64 << 30
"""Bytes that one input may take on the disk for temporary files; less where less is free."""

BLOCK = 64 << 10
"""The least that is fetched of a file that is read here and there."""

AHEAD = 10
"""Inputs of a process that are fetched, worked on or uploaded at a time: so many connections botocore keeps."""

AHEAD_BYTES = 32 << 20
"""The size up to which a file is fetched, or uploaded, while others are worked on."""

_LARGEST_BLOCK = 8 << 20
_KEPT_BLOCKS = 16
_TRIES = 4
_PAUSE = 0.5
"""Seconds before a request is repeated; twice as many before each that follows."""

_PASSING = (408, 429)
"""What servers answer that are too slow, or asked too often."""

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "http": "aiohttp", "https": "aiohttp"}


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
    return sorted({_PACKAGES[each] for each in protocols if each in _PACKAGES})


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


_AS_IT_IS = {"Accept-Encoding": "identity"}
"""What web servers are asked, so that sizes are those of what comes."""

_STATE = ("size", "ETag", "etag", "generation", "LastModified", "last_modified", "updated", "created")
"""What stores tell of an object that is another once it has been written again."""

_CHANGED = "changed while it was read: another file was put in its place; run the command again"

_TURN: ContextVar[threading.Semaphore | None] = ContextVar("turn", default=None)


@contextmanager
def in_turn(turn: threading.Semaphore) -> Iterator[None]:
    """Work of this thread for which it needs `turn`: others have that while this one waits for a store."""
    with turn:
        before = _TURN.set(turn)
        try:
            yield
        finally:
            _TURN.reset(before)


@contextmanager
def _out_of_turn() -> Iterator[None]:
    turn = _TURN.get()
    if turn is None:
        yield
        return
    turn.release()
    try:
        yield
    finally:
        turn.acquire()


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
        store, path = _store(url)
        checked = not (small or is_http(url))  # what is large, a store may send in several answers
        before = _state(store, path) if checked else None
        store.get_file(path, f"/dev/fd/{spool.fileno()}", callback=limit)
        there = os.fstat(spool.fileno()).st_size
        if limit.size not in (None, there):
            raise ConnectionError(f"{limit.size} bytes were declared, {there} came")
        if checked and _state(store, path) != before:
            raise InputError(_CHANGED)

    try:
        if is_http(url) and _TURN.get() is None:
            raise _Large
        _attempt(url, partial(get, small=True), InputError)
    except _Large:
        _attempt(url, partial(get, small=False), InputError, in_turn=True)


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
        store, path = _store(url)
        local = f"/dev/fd/{file.fileno()}"
        if is_http(url):
            headers = {} if replace else {"If-None-Match": "*"}
            size = str(os.fstat(file.fileno()).st_size)
            store.put_file(local, path, method="put", headers={**headers, "Content-Length": size})
        else:
            store.put_file(local, path, mode="overwrite" if replace else "create")

    _attempt(url, put, OutputError, in_turn=os.fstat(file.fileno()).st_size > AHEAD_BYTES)


def remove(url: str) -> None:
    """Remove the object at `url`.

    Raises:
        OutputError: the store refused it.
    """

    def ask() -> None:
        store, path = _store(url)
        store.rm_file(path)

    _attempt(url, ask, OutputError)


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
        store, path = _store(url)
        scheme = url.partition("://")[0]
        return [f"{scheme}://{name.lstrip('/')}" for name in listing(store, path) if not name.endswith("/")]

    return sorted(_attempt(url, ask, kind), key=os.fsencode)


def is_folder(url: str) -> bool:
    """Whether something lies below `url`; web servers have no folders."""
    if is_http(url):
        return False

    def ask() -> bool:
        store, path = _store(url)
        return bool(store.isdir(path))

    return _attempt(url, ask, InputError)


def existing(urls: Sequence[str]) -> set[str]:
    """Those of `urls` at which something stands: one listing of each folder that several lie in.

    Raises:
        UsageError: the store can't tell.
    """
    folders: dict[str, list[str]] = {}
    for url in urls:
        folders.setdefault(url if is_http(url) else url.rpartition("/")[0], []).append(url)

    def ask(group: Sequence[str]) -> set[str]:
        store, first = _store(group[0])
        if len(group) == 1:
            return {*group} if store.exists(first) else set()
        there = set(store.find(first.rpartition("/")[0] + "/", maxdepth=1))
        return {url for url in group if store._strip_protocol(url) in there}

    found: set[str] = set()
    for group in folders.values():
        found |= _attempt(group[0], lambda group=group: ask(group), UsageError)  # type: ignore[misc]
    return found


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
        size, self._range = _attempt(url, self._open, InputError)
        if size is None or size <= BLOCK or not self._gives_ranges(size):
            self._whole = download(url)
            size = os.fstat(self._whole.fileno()).st_size
        self.size: int = size

    def _open(self) -> tuple[int | None, Callable[[int, int], bytes]]:
        """The size, and what fetches the bytes from one position to another."""
        store, path = _store(self._url)
        asked: dict[str, Any] = {}
        if is_http(self._url):
            info = store.info(path)
            if not info["size"] or not info.get("partial", True):
                return info["size"], lambda *_: b""
            asked = {"size": info["size"], "headers": {**_AS_IT_IS, **_unless_changed(info)}}
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

        return _attempt(self._url, ask, InputError)

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


def _state(store: Any, path: str) -> list[Any]:
    info = store.info(path)
    return [info.get(name) for name in _STATE]


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
        self._before = _state(store, path)

    def fetch(self, start: int, stop: int) -> bytes:
        """The bytes from `start` to `stop`.

        Raises:
            InputError: the object is another by now.
        """
        data: bytes = self._store.cat_file(self._path, start, stop)
        if _state(self._store, self._path) != self._before:
            raise InputError(_CHANGED)
        return data


def pread(file: int | RemoteFile, count: int, start: int) -> bytes:
    """`count` bytes from `start` on of a descriptor or a remote file, fewer at the end."""
    return os.pread(file, count, start) if isinstance(file, int) else file.pread(count, start)


def size_of(file: int | RemoteFile) -> int:
    """The bytes in a descriptor's file or a remote file."""
    return os.fstat(file).st_size if isinstance(file, int) else file.size


def _store(url: str) -> tuple[Any, str]:
    """The store that has `url`, and the path there."""
    found = _URL.match(url)
    protocol = found[1].lower() if found else ""
    if protocol not in PROTOCOLS:
        raise UsageError(f"{protocol}:// is no store that convtool reads or writes; it knows {', '.join(PROTOCOLS)}")
    options: dict[str, Any] = {"use_listings_cache": False}
    try:
        import fsspec

        if is_http(url):
            import aiohttp

            timeout = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=60)
            options["client_kwargs"] = {"timeout": timeout, "trust_env": True}
            options["headers"] = _AS_IT_IS
        elif protocol.startswith("s3"):
            own = fsspec.config.conf.get(protocol, {}).get("config_kwargs", {})
            options["config_kwargs"] = {**own, "retries": {"total_max_attempts": 1}}  # `_attempt` counts them
        store, path = fsspec.core.url_to_fs(url, **options)
    except ImportError as error:
        package = _PACKAGES.get(protocol, "fsspec's package for it")
        raise UsageError(
            f"URLs of {protocol}:// need {package}: install the extra 'remote', or {package} itself"
        ) from error
    if hasattr(store, "retries"):  # s3fs goes on where an answer broke off, be that another object by then
        store.retries = 1  # `_attempt` begins anew
    return store, path


def _attempt(url: str, work: Callable[[], T], kind: type[ConvtoolError], *, in_turn: bool = False) -> T:
    """What `work` gives, which is tried four times where the store or the way there failed.

    But for `in_turn`, others may work meanwhile.
    """
    if not in_turn:
        with _out_of_turn():
            return _attempt(url, work, kind, in_turn=True)
    number = 0
    while True:
        number += 1
        try:
            return work()
        except (ConvtoolError, FileExistsError):
            raise
        except Exception as raised:
            error = _cause(raised)
            status = _status(error)
            if status == 412 and kind is OutputError:
                raise FileExistsError(412, "exists") from error
            if status == 412 or type(error).__name__ == "FileExpired":  # the latter of s3fs
                raise InputError(_CHANGED) from error
            again = _may_pass(error)
            if not again or number == _TRIES:
                tries = f" (tried {_TRIES} times)" if again else ""
                place = "" if kind is InputError else f"{show(url)}: "
                raise kind(f"{place}{_reason(error, kind)}{tries}") from error
            time.sleep(_PAUSE * 2 ** (number - 1))


def _cause(error: Exception) -> Exception:
    """What really happened: fsspec calls a file missing whatever a web server answers."""
    under = error.__cause__
    return under if isinstance(under, Exception) and type(under).__module__.startswith("aiohttp") else error


def _status(error: Exception) -> int:
    """What the server answered by HTTP, as aiohttp or botocore tell it; 0 where it did not."""
    answer = getattr(error.__cause__, "response", None)
    told = answer.get("ResponseMetadata", {}).get("HTTPStatusCode") if isinstance(answer, dict) else None
    status = getattr(error, "status", told)
    return status if isinstance(status, int) else 0


def _may_pass(error: Exception) -> bool:
    """Whether trying again may help: the network, not the request, is at fault."""
    if isinstance(error, TimeoutError):
        return True
    status = _status(error)
    if isinstance(error, (FileNotFoundError, PermissionError)) or (400 <= status < 500 and status not in _PASSING):
        return False
    of_s3: tuple[type[Exception], ...] = getattr(sys.modules.get("s3fs.core"), "S3_RETRYABLE_ERRORS", ())
    unreached = getattr(sys.modules.get("botocore.exceptions"), "ConnectionError", OSError)
    return isinstance(error, (OSError, unreached, *of_s3)) or type(error).__module__.partition(".")[0] == "aiohttp"


def _reason(error: Exception, kind: type[ConvtoolError]) -> str:
    name, status = type(error).__name__, _status(error)
    if isinstance(error, FileNotFoundError) or status == 404:
        if kind is OutputError:
            return "there is no such bucket, or no such place, in the store"
        return "no such file in the store, or no such bucket"
    if isinstance(error, PermissionError) or status in (401, 403):
        return "the store denies access; check its credentials, which are taken from the store's own settings"
    if name in ("NoCredentialsError", "PartialCredentialsError", "DefaultCredentialsError"):
        return "there are no credentials for the store; give them in its own settings (for S3: AWS_PROFILE and others)"
    if status:
        return f"the server answers {status}"
    return f"the store or the connection failed: {show(str(error).strip().partition(chr(10))[0] or name)}"
