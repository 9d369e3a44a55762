"""Where bytes come from: a file, a pipe, or text in place."""

from __future__ import annotations

import io
import os
import select
import shutil
import stat
import tempfile
import time
from typing import BinaryIO

from convtool.errors import InputError
from convtool.files.recognition import HEAD, Kind, is_binary, recognise
from convtool.files.remote import download
from convtool.files.urls import is_url

CHUNK = 1 << 20

PAUSE = 0.1
"""Seconds without a byte after which what has come through a pipe is all that there is for now."""

_PATIENCE = 0.5
"""Seconds in which a pipe that is not slow gives what is asked for."""

_PEEKED = 16 << 20
"""Bytes of a pipe that are kept to look at what stands behind them, such as the picture in an ID3 tag."""


class Source:
    """An input opened for reading, its first bytes known, not yet read.

    `seekable` sources are regular files (or text in place); others are pipes, which can be read once,
    or spooled to a temporary file that has no name.
    """

    def __init__(self, file: BinaryIO, *, seekable: bool, path: str | None = None) -> None:
        self._file = file
        self.seekable = seekable
        self.path = path
        self.head = self._take_head()
        self._left = self.head
        self._kind: Kind | None = None

    @classmethod
    def of_path(cls, path: str) -> Source:
        """The file at `path`; a named pipe is read as a pipe, a URL into a temporary file first."""
        if is_url(path):
            return cls(download(path), seekable=True, path=path)
        try:
            file = open(os.fsencode(path), "rb", buffering=0)
        except OSError as error:
            raise InputError(reason_of(error)) from error
        except ValueError as error:
            raise InputError("no path holds a NUL byte; lists separated by NUL are read with -0") from error
        return cls(file, seekable=_is_regular(file), path=path)

    @classmethod
    def of_text(cls, text: str) -> Source:
        """Numbers typed in place."""
        return cls(io.BytesIO(text.encode("utf-8", "surrogateescape")), seekable=True)

    @classmethod
    def of_stdin(cls) -> Source:
        """Standard input, a pipe or a redirected file alike."""
        try:
            file = os.fdopen(0, "rb", buffering=0, closefd=False)
        except OSError as error:  # closed by the caller
            raise InputError(reason_of(error)) from error
        return cls(file, seekable=_is_regular(file) and os.lseek(0, 0, os.SEEK_CUR) == 0)

    def _take_head(self) -> bytes:
        """The first bytes; of a text that comes line by line no more than its first lines."""
        head = b""
        while len(head) < HEAD and (more := self._read_file(HEAD - len(head))):
            head += more
            if not self.seekable and b"\n" in more and not is_binary(head):
                break
        return head

    @property
    def kind(self) -> Kind:
        """What the content is.

        Raises:
            InputError: there is none.
        """
        if not self.head:
            raise InputError("the file is empty: expected a signal")
        if self._kind is None:
            self._kind = recognise(self.head, self.peek)
        return self._kind

    def peek(self, offset: int, count: int) -> bytes:
        """Bytes anywhere in a file, or in the beginning of a pipe, which come again when it is read."""
        if offset + count <= len(self.head):
            return self.head[offset : offset + count]
        if self.seekable and not isinstance(self._file, io.BytesIO):
            return os.pread(self._file.fileno(), count, offset)
        while len(self.head) < min(offset + count, _PEEKED) and (more := self._read_file(CHUNK)):
            self.head += more
            self._left += more
        return self.head[offset : offset + count]

    def _read_file(self, count: int) -> bytes:
        try:
            return self._file.read(count) or b""
        except OSError as error:
            raise InputError(reason_of(error)) from error

    def read(self, count: int = CHUNK) -> bytes:
        """The next bytes, at most `count`, as soon as there are any; none at the end."""
        if self._left:
            taken, self._left = self._left[:count], self._left[count:]
            return taken
        return self._read_file(count)

    def ready(self, seconds: float) -> bool:
        """Whether a read returns at once, or within `seconds`: always so for a file."""
        if self._left or self.seekable:
            return True
        try:
            return bool(select.select([self._file], [], [], seconds)[0])
        except io.UnsupportedOperation:  # not of the operating system: nothing tells how fast it is
            return True

    def read_exactly(self, count: int) -> bytes:
        """The next `count` bytes; fewer only at the end."""
        parts: list[bytes] = []
        while count and (part := self.read(min(count, CHUNK))):
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def read_ready(self, count: int, unit: int) -> bytes:
        """The next bytes, a multiple of `unit`: `count`, or those that a slow pipe has; other numbers only at the end.

        It is slow where nothing comes for a tenth of a second, or less than `count` in half of one.
        """
        held, begun = bytearray(), time.monotonic()
        while len(held) < count and (part := self.read(min(count - len(held), CHUNK))):
            held += part
            late = time.monotonic() - begun > _PATIENCE
            if unit <= len(held) < count and (late or not self.ready(PAUSE)):
                whole = len(held) - len(held) % unit
                self._left = bytes(held[whole:]) + self._left
                del held[whole:]
                break
        return bytes(held)

    def fileno(self) -> int:
        """A descriptor of a seekable file at its beginning; a pipe is spooled first."""
        if not self.seekable or isinstance(self._file, io.BytesIO):
            spool = tempfile.TemporaryFile(buffering=0)
            shutil.copyfileobj(_AsFile(self), spool, CHUNK)
            self._file.close()
            self._file, self.seekable = spool, True
        self._left = b""
        os.lseek(self._file.fileno(), 0, os.SEEK_SET)
        return self._file.fileno()

    def close(self) -> None:
        """Close the file; standard input itself stays open."""
        self._file.close()


class _AsFile(io.RawIOBase):
    """A source as shutil sees it."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def read(self, size: int = -1) -> bytes:
        return self._source.read(size)


def _is_regular(file: BinaryIO) -> bool:
    return stat.S_ISREG(os.fstat(file.fileno()).st_mode)


def reason_of(error: OSError) -> str:
    """Why a file can't be read, in the same words wherever it is named."""
    reasons = {
        FileNotFoundError: "no such file",
        IsADirectoryError: "is a folder; expected a file",
        PermissionError: "permission denied: can't be read",
    }
    return reasons.get(type(error), f"can't be read: {error.strerror or error}")
