"""Audio files, decoded by libsndfile."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

import numpy as np
import soundfile

from convtool.errors import InputError
from convtool.files.source import Source
from convtool.files.watched import WatchedFile
from convtool.signals.audio.encodings import BITS, FLOATS, WIDE, reason
from convtool.signals.audio.flac import WatchedFlac
from convtool.signals.audio.lengths import stated_frames
from convtool.signals.audio.links import first_byte, last_byte, next_link
from convtool.signals.audio.open_sizes import stated_sizes
from convtool.signals.metadata import TAGS, Metadata
from convtool.signals.signal import OPEN_LENGTH, Block, Reader, Signal
from convtool.signals.wav.chunks import is_unstated

_ABSURD = 1 << 62
_CUT = re.compile(r"^ *(?:data|SSND|BODY|Data Size|riff|Riff size) *: (\d+) \(should be (\d+)\)", re.MULTILINE)
"""What libsndfile's log says of a file that is shorter than its header declares; it then takes what is there."""


class _Sequential(soundfile.SoundFile):  # type: ignore[misc]
    """A sound file that is read from front to back.

    Said to be seekable, soundfile would trust the declared length and seek after every read, which
    breaks on streams of unknown length and re-synchronises lossy ones.
    """

    def seekable(self) -> bool:
        return False


class AudioReader(Reader):
    """An audio file; PCM comes as integers with their full scale, the rest as floats.

    Streams that stand one behind the other are one signal.
    """

    def __init__(self, source: Source, kind: str) -> None:
        self.notes = []
        self._source = source
        size = os.fstat(source.fileno()).st_size
        self._start = first_byte(kind, source.peek, size)
        self._number = 1
        sizes = stated_sizes(kind, source.peek, size)
        self.remarks = [OPEN_LENGTH] if sizes else []
        self._watched = _watched(source, kind, 0, sizes)
        self._file = _open(source, self._watched, kind)
        subtype, channels, rate = self._file.subtype, self._file.channels, self._file.samplerate
        real = subtype in FLOATS or subtype == "DOUBLE"
        self._raw: str = (
            ("float64" if subtype == "DOUBLE" else "float32")
            if real
            else "int32"
            if subtype in WIDE or self._file.format == "FLAC"
            else "int16"
        )
        stated = stated_frames(self._file.format, subtype, source.peek, size)
        self._stated = stated if stated is not None and 0 < stated < self._file.frames else None
        self._frames = self._stated or (self._file.frames if self._file.frames < _ABSURD else None)
        self.signal = Signal(
            format=self._file.format,
            subtype=subtype,
            channels=channels,
            sample_rate=rate,
            dtype="float64" if subtype in ("PCM_32", "ALAC_32", "DOUBLE") else "float32",
            full_scale=None if real else 1 << 31 if self._raw == "int32" else 1 << 15,
            frames=self._frames,
            metadata=Metadata(tuple((name, text) for name in TAGS if (text := getattr(self._file, name)))),
        )
        self._read = 0
        self._unused = _unused_bits(self._file)
        if cut := _CUT.search(self._file.extra_info):
            declared, there = map(int, cut.groups())
            if there < declared and not is_unstated(declared):
                self._tell(f"truncated: the header declares {declared} bytes, {there} are there")

    def read(self, samples: int) -> Block:
        """The next samples, decoded; a damaged stream is an error, a truncated one a note."""
        frames = self._read_link(samples)
        while samples and not len(frames) and self._open_next_link():
            frames = self._read_link(samples)
        return frames.T

    def _read_link(self, samples: int) -> Block:
        """The next frames of one stream; none at its end."""
        declared = (self._frames or 0) - self._read
        if self._stated is not None and not declared:
            return np.empty((0, self.signal.channels), self._raw)
        expected = min(samples, declared) if declared > 0 else samples
        frames: Block = np.empty((expected, self.signal.channels), self._raw)
        try:
            frames = self._file.read(out=frames)
        except (soundfile.LibsndfileError, AssertionError) as error:
            self._watched.check_reads()
            if self._read and self._read == self._frames and self._next_link() is not None:
                return frames[:0]  # what could not be decoded is the next stream
            if self._read and not self._frames:  # the length is unknown: this may be the end
                self._tell(f"ends after sample {self._read}: what follows can't be decoded: {reason(error)}")
                return frames[:0]
            raise InputError(f"can't be decoded past sample {self._read}: {reason(error)}") from error
        self._watched.check_reads()
        self._read += len(frames)
        if self._unused and np.bitwise_or.reduce(frames, axis=None, initial=0) & self._unused:
            raise InputError(f"the bit depth changes after sample {self._read - len(frames)}; expected one throughout")
        if len(frames) < expected and declared > 0 and self.signal.format == "FLAC":
            self._tell(f"truncated: the header declares {self._frames} samples, {self._read} are there")
        return frames

    def _next_link(self) -> int | None:
        size = os.fstat(self._source.fileno()).st_size
        return next_link(self.signal.format, self._source.peek, self._start, self._watched.follows, size)

    def _open_next_link(self) -> bool:
        """Go on with the stream that stands behind the one that ended, where there is one."""
        start = self._next_link()
        if start is None:
            if isinstance(self._watched, WatchedFlac) and self._frames and self._watched.goes_on(self._frames):
                what = f"the header declares {self._frames} samples, and more follow them"
                self._tell(f"{what}, which are left out; ffmpeg -i FILE whole.flac keeps them")
            return False
        self._file.close()
        self._start, self._number = start, self._number + 1
        self._watched = _watched(self._source, self.signal.format, start)
        try:
            self._file = _Sequential(self._watched)
        except soundfile.LibsndfileError as error:
            raise InputError(f"stream {self._number} in it can't be decoded: {reason(error)}") from error
        kind, first = (self._file.channels, self._file.samplerate), (self.signal.channels, self.signal.sample_rate)
        if kind != first or self._file.subtype != self.signal.subtype:
            raise InputError(
                f"stream {self._number} of those that stand one behind the other in it is {self._file.subtype} of "
                f"{kind[0]} channels at {kind[1]} Hz, the first {self.signal.subtype} of {first[0]} at {first[1]} Hz; "
                "expected one kind: take them apart"
            )
        self._frames = self._file.frames if self._file.frames < _ABSURD else None
        self._read = 0
        return True

    def _tell(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)

    def close(self) -> None:
        self._file.close()
        self._source.close()


def _watched(source: Source, kind: str, start: int, sizes: Mapping[int, bytes] | None = None) -> WatchedFile:
    descriptor = source.fileno()
    end = last_byte(kind, source.peek, start, os.fstat(descriptor).st_size)
    return WatchedFlac(descriptor, start, end) if kind == "FLAC" else WatchedFile(descriptor, start, end, sizes)


def _open(source: Source, watched: WatchedFile, kind: str) -> _Sequential:
    """Open by what the file holds; some MPEG streams without a header are known only by the name's extension."""
    try:
        return _Sequential(watched)
    except soundfile.LibsndfileError as error:
        watched.check_reads()
        try:
            if kind == "MP3":
                return _Sequential(os.fsencode(source.path or ""))
        except (soundfile.LibsndfileError, TypeError):  # a TypeError where the extension says "headerless"
            pass
        raise InputError(f"can't be decoded as {kind}: {reason(error)}") from error


def _unused_bits(file: soundfile.SoundFile) -> int:
    """The bits that no sample of a FLAC file uses when read into 32: others appear when its depth changes."""
    return (1 << (32 - BITS[file.subtype])) - 1 if file.format == "FLAC" else 0
