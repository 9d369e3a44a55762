"""Stores by way of fsspec, which are asked again where the network fails, and whose errors are told in one line.

Nothing of fsspec is imported before a URL is used.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from convtool.errors import ConvtoolError, InputError, OutputError, UsageError
from convtool.files.names import show
from convtool.files.urls import PACKAGES, is_http, protocol_of

T = TypeVar("T")

PROTOCOLS = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "http", "https", "memory")
"""The stores that are used. fsspec knows more, some of which would reach files or programs of this machine."""

AS_IT_IS = {"Accept-Encoding": "identity"}
"""What web servers are asked, so that sizes are those of what comes."""

_TRIES = 4

_PAUSE = 0.5
"""Seconds before a request is repeated; twice as many before each that follows."""

_PASSING = (408, 429)
"""What servers answer that are too slow, or asked too often."""

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


def has_turn() -> bool:
    """Whether others work while this thread waits for a store."""
    return _TURN.get() is not None


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


def store_of(url: str) -> tuple[Any, str]:
    """The store that has `url`, and the path there."""
    protocol = protocol_of(url)
    if protocol not in PROTOCOLS:
        raise UsageError(f"{protocol}:// is no store that convtool reads or writes; it knows {', '.join(PROTOCOLS)}")
    options: dict[str, Any] = {"use_listings_cache": False}
    try:
        import fsspec

        if is_http(url):
            import aiohttp

            timeout = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=60)
            options["client_kwargs"] = {"timeout": timeout, "trust_env": True}
            options["headers"] = AS_IT_IS
        elif protocol.startswith("s3"):
            own = fsspec.config.conf.get(protocol, {}).get("config_kwargs", {})
            options["config_kwargs"] = {**own, "retries": {"total_max_attempts": 1}}  # `attempt` counts them
        store, path = fsspec.core.url_to_fs(url, **options)
    except ImportError as error:
        package = PACKAGES.get(protocol, "fsspec's package for it")
        raise UsageError(
            f"URLs of {protocol}:// need {package}: install the extra 'remote', or {package} itself"
        ) from error
    if hasattr(store, "retries"):  # s3fs goes on where an answer broke off, be that another object by then
        store.retries = 1  # `attempt` begins anew
    return store, path


def attempt(url: str, work: Callable[[], T], kind: type[ConvtoolError], *, in_turn: bool = False) -> T:
    """What `work` gives, which is tried four times where the store or the way there failed.

    But for `in_turn`, others may work meanwhile.
    """
    if not in_turn:
        with _out_of_turn():
            return attempt(url, work, kind, in_turn=True)
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
                raise InputError(CHANGED) from error
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


_STATE = ("size", "ETag", "etag", "generation", "LastModified", "last_modified", "updated", "created")
"""What stores tell of an object that is another once it has been written again."""

CHANGED = "changed while it was read: another file was put in its place; run the command again"


def state_of(store: Any, path: str) -> list[Any]:
    info = store.info(path)
    return [info.get(name) for name in _STATE]
