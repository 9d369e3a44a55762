"""A file as a C library sees it through callbacks, where exceptions are lost: what fails is kept, to be asked for.

libsndfile tells neither a read that failed, which it takes for the end of the file, nor a write that failed while it
closes a file. So it is given one of these instead of a descriptor, and the program asks afterwards.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping

from convtool.errors import InputError


class WatchedFile:
    """Part of the file that is open as `descriptor`, read and written by position.

    Args:
        descriptor: a file that can seek; it stays open.
        start: its first byte that is seen.
        end: the byte behind the last that is seen; None is where the file ends.
        instead: bytes that are seen in place of the file's own, by where in the file they stand.
    """

    def __init__(
        self, descriptor: int, start: int = 0, end: int | None = None, instead: Mapping[int, bytes] | None = None
    ) -> None:
        self.descriptor = descriptor
        self._start = start
        self._end = end
        self._at = start
        self._instead = instead or {}
        self.error: OSError | None = None
        """The first failure."""

    def readinto(self, buffer: memoryview) -> int:
        """Fill `buffer`, or as much of it as there is."""
        left = memoryview(buffer).cast("B")
        if self._end is not None:
            left = left[: max(0, self._end - self._at)]
        begins, there = self._at, 0
        try:
            while left and (count := os.preadv(self.descriptor, [left], self._at)):
                left, there, self._at = left[count:], there + count, self._at + count
        except OSError as error:
            self._keep(error)
        for at, data in self._instead.items():
            for place, byte in enumerate(data, at - begins):
                if 0 <= place < there:
                    memoryview(buffer).cast("B")[place] = byte
        return there

    def read(self, count: int) -> bytes:
        """The next `count` bytes, or as many as there are."""
        buffer = bytearray(count)
        return bytes(buffer[: self.readinto(memoryview(buffer))])

    def write(self, data: bytes) -> int:
        """Write `data`; fewer bytes than these where the system takes no more."""
        left = memoryview(data)
        try:
            while left:
                count = os.pwrite(self.descriptor, left, self._at)
                left, self._at = left[count:], self._at + count
        except OSError as error:
            self._keep(error)
        return len(data) - len(left)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a byte, as files do."""
        base = {io.SEEK_SET: self._start, io.SEEK_CUR: self._at, io.SEEK_END: self._last()}[whence]
        self._at = max(self._start, base + offset)
        return self.tell()

    def tell(self) -> int:
        """The byte that comes next, counted from the first that is seen."""
        return self._at - self._start

    @property
    def follows(self) -> int:
        """The byte of the file behind what is seen, or behind what was read where nothing says where that ends."""
        return self._at if self._end is None else self._end

    def _last(self) -> int:
        try:
            return os.fstat(self.descriptor).st_size if self._end is None else self._end
        except OSError as error:
            self._keep(error)
            return self._at

    def _keep(self, error: OSError) -> None:
        self.error = self.error or error

    def check_writes(self) -> None:
        """Raise the first failure.

        Raises:
            OSError: a write failed.
        """
        if self.error is not None:
            raise self.error

    def check_reads(self) -> None:
        """Raise the first failure as one of an input.

        Raises:
            InputError: a read failed.
        """
        if self.error is not None:
            raise InputError(f"can't be read: {self.error.strerror or self.error}") from self.error
