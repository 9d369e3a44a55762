"""Outputs that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
from typing import Any, BinaryIO

from convtool.errors import OutputError
from convtool.files.names import show


class AtomicFile:
    """A file that takes its name only when it is complete.

    Where the file system can, the data is written into a file that has no name yet (Linux
    ``O_TMPFILE``), so that even a killed process leaves nothing behind; elsewhere under a temporary
    name in the same folder. `commit` puts it in place in one step, `discard` leaves what was there.
    A device or a named pipe is no file to replace: it is written into.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._folder = os.path.dirname(path) or "."
        self._temporary: str | None = None
        self._direct = is_special(path)
        try:
            os.makedirs(self._folder, exist_ok=True)
            self.file: BinaryIO = open(path, "wb", buffering=0) if self._direct else self._open()
        except OSError as error:
            raise OutputError(f"{show(path)}: can't be written to: {error.strerror}") from error

    def _open(self) -> BinaryIO:
        try:
            descriptor = os.open(self._folder, os.O_TMPFILE | os.O_RDWR, 0o666)
        except (OSError, AttributeError):  # the file system or the platform has no unnamed files
            descriptor, self._temporary = tempfile.mkstemp(prefix=".convtool-", suffix=".part", dir=self._folder)
            os.fchmod(descriptor, 0o666 & ~_umask())
        return open(descriptor, "w+b", buffering=0)

    def commit(self) -> None:
        """Give the data its name, in place of what may have been there."""
        try:
            if self._temporary is None and not self._direct:
                self._link()
            if self._temporary is not None:
                os.replace(self._temporary, self.path)
                self._temporary = None
        except OSError as error:
            self.discard()
            raise OutputError(f"{show(self.path)}: can't be put in place: {error.strerror}") from error
        self.file.close()

    def _link(self) -> None:
        """Name the unnamed file: at once where nothing is in the way, else under a name to rename."""
        unnamed = f"/proc/self/fd/{self.file.fileno()}"
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.link(unnamed, os.path.basename(self.path), dst_dir_fd=folder, follow_symlinks=True)
        except FileExistsError:
            name = f".convtool-{os.getpid()}-{self.file.fileno()}.part"
            os.link(unnamed, name, dst_dir_fd=folder, follow_symlinks=True)
            self._temporary = os.path.join(self._folder, name)
        finally:
            os.close(folder)

    def discard(self) -> None:
        """Leave nothing behind. Does nothing after `commit`."""
        if not self.file.closed:
            self.file.close()
        if self._temporary is not None:
            os.unlink(self._temporary)
            self._temporary = None


def is_special(path: str) -> bool:
    """Whether `path` is a device, a pipe or a socket."""
    return os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)


def write_all(file: BinaryIO, data: Any) -> None:
    """Write all bytes of `data`; an unbuffered file may take them in parts."""
    left = memoryview(data)
    left = left.cast("B") if left.nbytes else left[:0]
    while left:
        left = left[file.write(left) :]


def write_file(path: str, data: bytes) -> None:
    """Write a small file whole, or not at all."""
    file = AtomicFile(path)
    try:
        write_all(file.file, data)
        file.commit()
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        file.discard()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_error(path: str, error: OSError) -> OutputError:
    """What to tell when the system refused a write."""
    if error.errno == errno.ENOSPC:
        return OutputError(f"{show(path)}: the disk is full; nothing was left under that name")
    return OutputError(f"{show(path)}: can't be written: {error.strerror}")
