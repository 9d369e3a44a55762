"""Audio files, through libsndfile."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from typing import Any, BinaryIO

import numpy as np
import soundfile

from convtool.errors import InputError, OutputError, UsageError
from convtool.files.source import Source
from convtool.files.watched import WatchedFile
from convtool.signals.pcm import Encoded, as_frames, quantise
from convtool.signals.signal import Block, Reader, Signal, Writer
from convtool.signals.wav.chunks import SUBTYPES as WAV_SUBTYPES
from convtool.signals.wav.chunks import is_unstated
from convtool.signals.wav.reader import open_wav
from convtool.signals.wav.writer import WavFile

_BITS = {
    "PCM_S8": 8,
    "PCM_U8": 8,
    "PCM_16": 16,
    "PCM_24": 24,
    "PCM_32": 32,
    "ALAC_16": 16,
}
_INSTEAD = {"ALAC_20": "PCM_24", "ALAC_24": "PCM_24", "ALAC_32": "PCM_32"}
"""What libsndfile's encoder damages, where samples can't be compressed, and what holds the same numbers."""
_FLOATS = ("FLOAT", "VORBIS", "OPUS", "MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III")
_EXACT = (*_BITS, "FLOAT", "DOUBLE")
_WIDE = ("PCM_24", "PCM_32", "ALAC_20", "ALAC_24", "ALAC_32")
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
    """An audio file; PCM comes as integers with their full scale, the rest as floats."""

    def __init__(self, source: Source, kind: str) -> None:
        self.notes = []
        self._source = source
        self._watched = WatchedFile(source.fileno())
        self._file = _open(source, self._watched, kind)
        subtype, channels, rate = self._file.subtype, self._file.channels, self._file.samplerate
        real = subtype in _FLOATS or subtype == "DOUBLE"
        self._raw: str = (
            ("float64" if subtype == "DOUBLE" else "float32")
            if real
            else "int32"
            if subtype in _WIDE or self._file.format == "FLAC"
            else "int16"
        )
        self.signal = Signal(
            format=self._file.format,
            subtype=subtype,
            channels=channels,
            sample_rate=rate,
            dtype="float64" if subtype in ("PCM_32", "ALAC_32", "DOUBLE") else "float32",
            full_scale=None if real else 1 << 31 if self._raw == "int32" else 1 << 15,
            frames=self._file.frames if self._file.frames < _ABSURD else None,
        )
        self._read = 0
        self._unused = _unused_bits(self._file)
        if cut := _CUT.search(self._file.extra_info):
            declared, there = map(int, cut.groups())
            if there < declared and not is_unstated(declared):
                self._tell(f"truncated: the header declares {declared} bytes, {there} are there")

    def read(self, samples: int) -> Block:
        """The next samples, decoded; a damaged stream is an error, a truncated one a note."""
        declared = (self.signal.frames or 0) - self._read
        expected = min(samples, declared) if declared > 0 else samples
        frames: Block = np.empty((expected, self.signal.channels), self._raw)
        try:
            frames = self._file.read(out=frames)
        except (soundfile.LibsndfileError, AssertionError) as error:
            self._watched.check_reads()
            if self._read and not self.signal.frames:  # the length is unknown: this may be the end
                self._tell(f"ends after sample {self._read}: what follows can't be decoded: {_words(error)}")
                return frames[:0].T
            raise InputError(f"can't be decoded past sample {self._read}: {_words(error)}") from error
        self._watched.check_reads()
        self._read += len(frames)
        if self._unused and np.bitwise_or.reduce(frames, axis=None, initial=0) & self._unused:
            raise InputError(f"the bit depth changes after sample {self._read - len(frames)}; expected one throughout")
        if len(frames) < expected and declared > 0 and self.signal.format == "FLAC":
            self._tell(f"truncated: the header declares {self.signal.frames} samples, {self._read} are there")
        return frames.T

    def _tell(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)

    def close(self) -> None:
        self._file.close()
        self._source.close()


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
        raise InputError(f"can't be decoded as {kind}: {_words(error)}") from error


def _unused_bits(file: soundfile.SoundFile) -> int:
    """The bits that no sample of a FLAC file uses when read into 32: others appear when its depth changes."""
    return (1 << (32 - _BITS[file.subtype])) - 1 if file.format == "FLAC" else 0


def open_audio(source: Source, kind: str) -> Reader:
    """A reader of the audio in `source`, of which the first bytes said that it is `kind`."""
    plain = open_wav(source) if kind in ("WAV", "RF64") else None
    return plain or AudioReader(source, kind)


@lru_cache(maxsize=1)
def formats() -> dict[str, str]:
    """The audio formats that can be written, with their names."""
    return dict(soundfile.available_formats())


def choose_subtype(format: str, wanted: str | None, signal: Signal) -> str:
    """The subtype to write: the one `wanted`, else the input's own where `format` holds it, else the default.

    A lossy encoding is kept only inside its own format: a WAV can hold MP3 frames, but nobody means that.
    """
    if wanted in _INSTEAD:
        raise UsageError(f"{wanted} is not written: libsndfile's encoder damages noise; {_INSTEAD[wanted]} holds it")
    if wanted is not None:
        if not soundfile.check_format(format, wanted):
            possible = ", ".join(sorted(soundfile.available_subtypes(format)))
            raise UsageError(f"{format} can't hold subtype {wanted}; it can hold {possible}")
        return wanted
    own = signal.subtype or {"float64": "DOUBLE"}.get(signal.dtype, "FLOAT")
    own = _INSTEAD.get(own, own)
    if own not in _EXACT and (
        signal.format != format or (own.startswith("MPEG") and (format, own) != ("MP3", "MPEG_LAYER_III"))
    ):
        own = ""
    if own in ("PCM_U8", "PCM_S8"):  # one and the same precision; each format has its own sign
        own = next((s for s in (own, "PCM_U8", "PCM_S8") if soundfile.check_format(format, s)), own)
    if own and soundfile.check_format(format, own):
        return own
    default: str = soundfile.default_subtype(format)
    return default


class AudioWriter(Writer):
    """Audio of any format written to an open file; nothing that is not a finite number reaches an encoder."""

    def __init__(self, file: BinaryIO, signal: Signal, format: str, subtype: str) -> None:
        if signal.batch is not None:
            raise InputError(f"audio holds one signal, but the result is an array of {signal.batch}; write .npy")
        if not signal.sample_rate:
            raise InputError(f"there is no sample rate to write {format} with; give --sample-rate")
        self._bits = _BITS.get(subtype, 16)
        self._subtype = subtype
        self._bad = self._first_bad = self._written = 0
        if format in ("WAV", "WAVEX", "RF64") and subtype in WAV_SUBTYPES:
            self._sink: Any = WavFile(file, signal, subtype, extensible=format == "WAVEX")
            return
        try:
            self._sink = _SoundFileSink(file, signal, format, subtype)
        except soundfile.LibsndfileError as error:
            what = f"{signal.channels} channels at {signal.sample_rate} Hz"
            raise OutputError(f"{format}/{subtype} can't be written with {what}: {_words(error)}") from error

    def encode(self, block: Block) -> Encoded:
        """Frames in the numbers of the subtype."""
        if block.ndim == 3:
            block = block.reshape(-1, block.shape[-1])
        if self._subtype in _FLOATS:
            return as_frames(block, np.float32)
        if self._subtype == "DOUBLE":
            return as_frames(block, np.float64)
        if not np.issubdtype(block.dtype, np.floating):
            block = block.astype(np.float64)
        return quantise(block, self._bits, np.int32 if self._bits > 16 else np.int16)

    def write(self, encoded: Encoded) -> None:
        if encoded.bad and not self._bad:
            self._first_bad = self._written + encoded.first_bad
        self._bad += encoded.bad
        self._written += len(encoded.frames)
        self.clipped += encoded.clipped
        self.peak = max(self.peak, encoded.peak)
        if not self._bad:
            self._sink.write(encoded)

    def close(self) -> None:
        if self._bad:
            raise InputError(
                f"{self._bad} results are NaN or infinite, the first at sample {self._first_bad}; "
                "audio can't hold them: clean the input, or --nan zero"
            )
        self._sink.close()

    def discard(self) -> None:
        """Let libsndfile end its file while there is one."""
        if isinstance(self._sink, _SoundFileSink):
            self._sink.discard()


class _SoundFileSink:
    """libsndfile, and the file that it writes to; what it writes while it closes counts too."""

    def __init__(self, file: BinaryIO, signal: Signal, format: str, subtype: str) -> None:
        self._watched = WatchedFile(file.fileno())
        try:
            self._file = soundfile.SoundFile(
                self._watched, "w", signal.sample_rate, signal.channels, format=format, subtype=subtype
            )
        except soundfile.LibsndfileError:
            self._watched.check_writes()
            raise

    def write(self, encoded: Encoded) -> None:
        try:
            self._file.write(encoded.frames)
        except (soundfile.LibsndfileError, AssertionError) as error:
            self._watched.check_writes()
            raise OutputError(f"the encoder failed: {_words(error)}") from error
        self._watched.check_writes()

    def close(self) -> None:
        self._file.close()
        self._watched.check_writes()

    def discard(self) -> None:
        self._file.close()


def _words(error: Exception) -> str:
    """What libsndfile meant."""
    words = str(getattr(error, "error_string", error)).removeprefix("Error : ").rstrip(". ")
    if not words or "does not exist or is not a regular file" in words:
        return "no decodable frames were found"
    return words[0].lower() + words[1:]
