"""FLAC frames seen on their way to the decoder, which does not tell that their rate or their channels change.

Layout of the frame header: RFC 9639, section 9.1.
"""

from __future__ import annotations

import os
import re

from convtool.errors import InputError
from convtool.files.recognition import Peek
from convtool.files.watched import WatchedFile
from convtool.signals.audio.checksum import crc

_CRC8, _CRC16 = (0x07, 8), (0x8005, 16)
"""The checksums behind a frame's header and behind a frame (RFC 9639, sections 9.1.8 and 9.3)."""

_SYNC = re.compile(rb"\xff[\xf8\xf9]")
_RATES = (0, 88200, 176400, 192000, 8000, 16000, 22050, 24000, 32000, 44100, 48000, 96000)
_HEADER = 16
"""Bytes that a frame header has at the most."""

_SHORTEST_FRAME = 10
_LARGE_FRAME = 1 << 18
"""Bytes among which the next header is looked for."""
_BLOCK_SIZES = (0, 192, 576, 1152, 2304, 4608, 0, 0, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768)


class WatchedFlac(WatchedFile):
    """A FLAC file whose frames are compared with the first.

    A header is taken for one where its checksum is right and its number is the one that follows.
    """

    def __init__(self, descriptor: int, start: int = 0, end: int | None = None) -> None:
        super().__init__(descriptor, start, end)
        self._tail = b""
        self._follows = -1
        self._next: int | None = None
        self._samples = 0
        self._first: tuple[int, int] | None = None
        self._changed: tuple[int, int] | None = None

    def readinto(self, buffer: memoryview) -> int:
        """As a file does; what was read one piece behind the other is searched for frames."""
        begins = self._at
        count = super().readinto(buffer)
        tail = self._tail if begins == self._follows else b""
        data = tail + bytes(memoryview(buffer).cast("B")[:count])
        self._follows = self._at
        self._tail = data[-_HEADER:]
        self._search(data)
        return count

    def _search(self, data: bytes) -> None:
        for found in _SYNC.finditer(data, 0, max(0, len(data) - _HEADER + 1)):
            self._compare(data[found.start() : found.start() + _HEADER])

    def _compare(self, header: bytes) -> None:
        frame = _parsed(header)
        if frame is None:
            return
        number, samples, rate, channels = frame
        if number != (self._next or 0):
            return
        self._next = number + (samples if header[1] & 1 else 1)
        self._samples += samples
        if self._first is None:
            self._first = rate, channels
        elif (rate, channels) != self._first:
            self._changed = self._changed or (rate, channels)

    def goes_on(self, samples: int) -> bool:
        """Whether frames stand behind those of so many `samples`, where the decoder stops."""
        if self._samples <= samples:
            self._search(self._tail + os.pread(self.descriptor, _LARGE_FRAME, self._follows))
        return self._samples > samples

    def check_reads(self) -> None:
        """Raise what failed, and where frames are of another kind.

        Raises:
            InputError: a read failed, or the sample rate or the channels change.
        """
        super().check_reads()
        if self._changed is not None and self._first is not None:
            (rate, channels), (first_rate, first_channels) = self._changed, self._first
            what = f"{channels} channels after {first_channels}"
            if channels == first_channels:
                what = " after ".join(f"{each} Hz" if each else "the file's rate" for each in (rate, first_rate))
            raise InputError(f"the stream changes on the way: {what}; expected one kind throughout")


def lacks_frames(peek: Peek, size: int) -> bool:
    """Whether a FLAC file of `size` bytes breaks off before the samples that it declares: by its last frame.

    That one ends with a checksum over all of it (section 9.3).
    """
    told = peek(8, 18)
    declared = int.from_bytes(told[13:18], "big") & (1 << 36) - 1
    block, longest = int.from_bytes(told[:2], "big"), int.from_bytes(told[7:10], "big") or _LARGE_FRAME
    if not declared:
        return False
    start = max(0, size - longest)
    tail = peek(start, longest)
    for found in reversed(list(_SYNC.finditer(tail, 0, max(0, len(tail) - _SHORTEST_FRAME + 1)))):
        header = tail[found.start() : found.start() + _HEADER]
        if (frame := _parsed(header)) is not None:
            number, samples = frame[:2]
            first = number if header[1] & 1 else number * block
            if first + samples == declared and not crc(tail[found.start() :], *_CRC16):
                return False
    return True


def _parsed(header: bytes) -> tuple[int, int, int, int] | None:
    """Number, samples, sample rate (0: as the file says) and channels of a frame; None where it is no header."""
    size_code, rate_code, channel_code = header[2] >> 4, header[2] & 15, header[3] >> 4
    if not size_code or rate_code == 15 or channel_code > 10 or header[3] & 1:
        return None
    length = 1 if header[4] < 0x80 else 8 - (header[4] ^ 0xFF).bit_length()
    if length > 7 or (length == 1 and header[4] >= 0x80):
        return None
    number = header[4] & (0x7F if length == 1 else 0x7F >> length)
    for byte in header[5 : 4 + length]:
        number = number << 6 | byte & 0x3F
    at = 4 + length
    samples = _BLOCK_SIZES[size_code]
    if size_code in (6, 7):
        width = size_code - 5
        samples, at = int.from_bytes(header[at : at + width], "big") + 1, at + width
    rate = _RATES[rate_code] if rate_code < 12 else 0
    if rate_code >= 12:
        width = 1 if rate_code == 12 else 2
        rate = int.from_bytes(header[at : at + width], "big") * {12: 1000, 13: 1, 14: 10}[rate_code]
        at += width
    if at >= len(header) or crc(header[:at], *_CRC8) != header[at]:
        return None
    return number, samples, rate, channel_code + 1 if channel_code < 8 else 2
