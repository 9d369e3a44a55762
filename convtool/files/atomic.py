"""Outputs that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import tempfile
from collections.abc import Callable
from contextlib import suppress
from typing import Any, BinaryIO, TypeVar

from convtool.errors import OutputError
from convtool.files.names import show
from convtool.files.remote import upload
from convtool.files.urls import is_url

T = TypeVar("T")

_DESCRIPTORS = "/proc/self/fd"
"""Where Linux shows a process its open files: a name for one that has none."""


class AtomicFile:
    """A file that takes its name only when it is complete.

    Where the file system can, the data is written into a file that has no name yet (Linux
    ``O_TMPFILE``), so that even a killed process leaves nothing behind; elsewhere under a temporary
    name in the same folder. `commit` puts it in place in one step, `discard` leaves what was there. Folders on the way
    to it are made by `commit`: until then the data is in the last one that exists.
    A device or a named pipe is no file to replace: it is written into. What goes to a URL is put together in a
    temporary file, and uploaded by `commit`.

    Args:
        path: where it is to appear.
        replace: whether it may take the place of a file that stands there by then.
    """

    def __init__(self, path: str, *, replace: bool = False) -> None:
        self.path = path
        self._replace = replace
        self._folder = os.path.dirname(path) or "."
        self._beside = existing(self._folder)
        self._temporary: str | None = None
        self._remote = is_url(path)
        self._direct = not self._remote and is_special(path)
        try:
            if self._remote:
                self.file: BinaryIO = tempfile.TemporaryFile(buffering=0)
                return
            self.file = open(path, "wb", buffering=0) if self._direct else self._open()
        except OSError as error:
            raise OutputError(f"{show(path)}: can't be written to: {error.strerror}") from error

    def _open(self) -> BinaryIO:
        try:
            descriptor = os.open(self._beside, os.O_TMPFILE | os.O_RDWR, 0o666)
            if os.path.exists(f"{_DESCRIPTORS}/{descriptor}"):
                return open(descriptor, "w+b", buffering=0)
            os.close(descriptor)
        except (OSError, AttributeError):  # the file system or the platform has no unnamed files
            pass
        return open(self._under_new_name(_create), "w+b", buffering=0)

    def _under_new_name(self, make: Callable[[str], T]) -> T:
        """What `make` gives for a temporary name that nothing has yet.

        The name is noted before anything bears it, so that `discard` finds it whenever a signal comes.
        """
        while True:
            self._temporary = os.path.join(self._beside, f".convtool-{secrets.token_hex(8)}.part")
            try:
                return make(self._temporary)
            except FileExistsError:
                continue

    def commit(self) -> None:
        """Give the data its name.

        Raises:
            OutputError: something stands there that may not be replaced, or the system refused.
        """
        try:
            if self._remote:
                upload(self.file, self.path, replace=self._replace)
            elif not self._direct:
                self._put_in_place()
        except FileExistsError as error:
            self.discard()
            raise OutputError(
                f"{show(self.path)}: exists since the work on it began, and was left as it is; "
                "give --overwrite or another name"
            ) from error
        except OutputError:
            self.discard()
            raise
        except OSError as error:
            self.discard()
            raise OutputError(f"{show(self.path)}: can't be put in place: {error.strerror}") from error
        self.file.close()

    def _put_in_place(self) -> None:
        os.makedirs(self._folder, exist_ok=True)
        self._beside = self._folder
        if self._temporary is None:
            try:
                self._link(self.path)
            except FileExistsError:
                if not self._replace:
                    raise
                self._under_new_name(self._link)
        if self._temporary is not None:
            (os.replace if self._replace else _rename)(self._temporary, self.path)
            self._temporary = None

    def _link(self, path: str) -> None:
        """Name the file that has none; `os.link` follows what /proc shows only where it is given a folder."""
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            unnamed = f"{_DESCRIPTORS}/{self.file.fileno()}"
            os.link(unnamed, os.path.basename(path), dst_dir_fd=folder, follow_symlinks=True)
        finally:
            os.close(folder)

    def discard(self) -> None:
        """Leave nothing behind. Does nothing after `commit`."""
        if not self.file.closed:
            self.file.close()
        if self._temporary is not None:
            with suppress(FileNotFoundError):  # a signal came when it had just been put in place
                os.unlink(self._temporary)
            self._temporary = None


def existing(folder: str) -> str:
    """`folder`, or what stands on the way to it already; on one file system with it, as it is to be."""
    while folder != "." and not os.path.lexists(folder):
        folder = os.path.dirname(folder) or "."
    return folder


def _create(path: str) -> int:
    return os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)


def _rename(source: str, target: str) -> None:
    """Rename a file, over nothing that exists."""
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError as error:  # the file system has no links
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from error
        os.replace(source, target)
    else:
        os.unlink(source)


def is_special(path: str) -> bool:
    """Whether `path` is a device, a pipe or a socket."""
    return os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)


def write_all(file: BinaryIO, data: Any) -> None:
    """Write all bytes of `data`; an unbuffered file may take them in parts."""
    left = memoryview(data)
    left = left.cast("B") if left.nbytes else left[:0]
    while left:
        left = left[file.write(left) :]


def write_file(path: str, data: bytes, *, replace: bool = False) -> None:
    """Write a small file whole, or not at all; with `replace`, over one that exists."""
    file = AtomicFile(path, replace=replace)
    try:
        write_all(file.file, data)
        file.commit()
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        file.discard()


def write_error(path: str | None, error: OSError) -> OutputError:
    """What to tell when the system refused a write; to standard output where there is no `path`."""
    name = "standard output" if path is None else show(path)
    if error.errno != errno.ENOSPC:
        return OutputError(f"{name}: can't be written: {error.strerror}")
    if path is None or is_special(path):
        left = "what it has taken is incomplete"
    elif os.path.isfile(path):
        left = "the file that was there stays as it was"
    else:
        left = "nothing was left under that name"
    return OutputError(f"{name}: the disk is full; {left}")
