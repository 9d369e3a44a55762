"""Audio files, written by libsndfile, or as WAV by hand; nothing that is not a finite number reaches an encoder."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, BinaryIO

import numpy as np
import soundfile

from convtool.errors import InputError, OutputError, UsageError
from convtool.files.atomic import write_all
from convtool.files.names import counted
from convtool.files.watched import WatchedFile
from convtool.signals.audio.encodings import BITS, EXACT, FLOATS, INSTEAD, reason
from convtool.signals.audio.flac_blocks import MOST_COMMENTS, ToldFlac
from convtool.signals.audio.lengths import state_frames
from convtool.signals.audio.limits import refuse_unfit
from convtool.signals.audio.ogg_comments import MOST_BYTES, ToldOgg
from convtool.signals.comments import Comments, comments_block
from convtool.signals.metadata import Metadata
from convtool.signals.pcm import Encoded, as_frames, quantise
from convtool.signals.signal import Block, Signal, Writer
from convtool.signals.wav.format import SUBTYPES as WAV_SUBTYPES
from convtool.signals.wav.writer import WavFile, append_chunks, fitting_mask, state_mask


@lru_cache(maxsize=1)
def formats() -> dict[str, str]:
    """The audio formats that can be written, with their names."""
    return dict(soundfile.available_formats())


def choose_subtype(format: str, wanted: str | None, signal: Signal) -> str:
    """The subtype to write: the one `wanted`, else the input's own where `format` holds it, else the default.

    A lossy encoding is kept only inside its own format: a WAV can hold MP3 frames, but nobody means that.
    """
    if wanted in INSTEAD:
        raise UsageError(f"{wanted} is not written: libsndfile's encoder damages noise; {INSTEAD[wanted]} holds it")
    if wanted is not None:
        if not soundfile.check_format(format, wanted):
            possible = ", ".join(sorted(soundfile.available_subtypes(format)))
            raise UsageError(f"{format} can't hold subtype {wanted}; it can hold {possible}")
        return wanted
    own = signal.subtype or {"float32": "FLOAT"}.get(signal.dtype, "DOUBLE")
    own = INSTEAD.get(own, own)
    if own == "DOUBLE" and not soundfile.check_format(format, own):
        own = "FLOAT"
    if own not in EXACT and (
        signal.format != format or (own.startswith("MPEG") and (format, own) != ("MP3", "MPEG_LAYER_III"))
    ):
        own = ""
    if own in ("PCM_U8", "PCM_S8"):  # one and the same precision; each format has its own sign
        own = next((s for s in (own, "PCM_U8", "PCM_S8") if soundfile.check_format(format, s)), own)
    if own and soundfile.check_format(format, own):
        return own
    default: str = soundfile.default_subtype(format)
    return default


_BEYOND = {"FLOAT": "past 2^24", "DOUBLE": "past 2^53"}
"""Where a float that is written as it is lacks integers; what a lossy encoding changes is no matter of that."""

_VENDOR = f"libsndfile {soundfile.__libsndfile_version__}"
"""What encodes the samples, as comments say it."""

_PICTURE = "METADATA_BLOCK_PICTURE"
_RIFF = ("WAV", "WAVEX", "RF64")
_ASCII_TAGS = {("AIFF", "copyright")}
"""The tags that libsndfile writes wrongly where they have other characters than those of ASCII."""


class AudioWriter(Writer):
    """Audio of any format written to an open file; nothing that is not a finite number reaches an encoder."""

    measures = True

    def __init__(self, file: BinaryIO, signal: Signal, format: str, subtype: str) -> None:
        if signal.batch is not None:
            raise InputError(f"audio holds one signal, but the result is an array of {signal.batch}; write .npy")
        if not signal.sample_rate:
            raise InputError(f"there is no sample rate to write {format} with; give --sample-rate")
        refuse_unfit(format, subtype, signal)
        self._plain = format != "RF64"
        self._bits = BITS.get(subtype, 16)
        self._subtype = subtype
        self._bad = self._first_bad = self._inexact = self._written = 0
        self.no_place = signal.metadata.without_place(
            chunks=format in _RIFF,
            comments=format in ("FLAC", "OGG"),
            pictures=format == "FLAC",
            id3=format == "MP3",
        )
        if format in _RIFF and subtype in WAV_SUBTYPES:
            self._sink: Any = WavFile(file, signal, subtype, extensible=format == "WAVEX")
            return
        try:
            self._sink = _SoundFileSink(file, signal, format, subtype)
        except soundfile.LibsndfileError as error:
            what = f"{signal.channels} channels at {signal.sample_rate} Hz"
            raise OutputError(f"{format}/{subtype} can't be written with {what}: {reason(error)}") from error
        self.left_out = self._sink.left_out
        self.no_place = (*self.no_place, *self._sink.no_place)

    def encode(self, block: Block) -> Encoded:
        """Frames in the numbers of the subtype."""
        if block.ndim == 3:
            block = block.reshape(-1, block.shape[-1])
        if self._subtype in FLOATS:
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
        self._inexact += encoded.inexact
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
        if self._inexact and self._subtype in _BEYOND:
            wider = "" if self._subtype == "DOUBLE" else "--subtype DOUBLE where the format has it, "
            raise InputError(
                f"{counted(self._inexact, 'result')} {_BEYOND[self._subtype]}, up to which {self._subtype} holds every "
                f"integer; {wider}.npy and .csv hold them"
            )
        note = self._sink.close()
        if note and self._plain:
            self.notes = [*self.notes, note]

    def discard(self) -> None:
        """Let libsndfile end its file while there is one."""
        if isinstance(self._sink, _SoundFileSink):
            self._sink.discard()


def _fitting_comments(told: Metadata, format: str) -> tuple[Comments, tuple[str, ...]]:
    """The comments of a file of that format that convtool writes itself, and the names of those that are too long.

    An Ogg file may have its pictures among them, which are the longest.
    """
    most = {"FLAC": MOST_COMMENTS, "OGG": MOST_BYTES}.get(format)
    said = told.as_comments() if most is not None else ()
    if most is None or len(comments_block(_VENDOR, said)) <= most:
        return said, ()
    short = tuple(comment for comment in said if comment[0].upper() != _PICTURE)
    if len(short) < len(said) and len(comments_block(_VENDOR, short)) <= most:
        return short, (_PICTURE,)
    return (), ("comments",)


def _told_file(
    descriptor: int, format: str, comments: Comments, pictures: tuple[bytes, ...]
) -> ToldFlac | ToldOgg | None:
    """The file that takes what libsndfile does not know; None where there is nothing of the kind."""
    if format == "FLAC" and (comments or pictures):
        return ToldFlac(descriptor, comments_block(_VENDOR, comments) if comments else b"", pictures)
    return ToldOgg(descriptor, comments) if format == "OGG" and comments else None


class _SoundFileSink:
    """libsndfile, and the file that it writes to; what it writes while it closes counts too."""

    def __init__(self, file: BinaryIO, signal: Signal, format: str, subtype: str) -> None:
        told = signal.metadata
        said, too_long = _fitting_comments(told, format)
        self._told = _told_file(file.fileno(), format, said, told.pictures)
        tag = told.as_id3() if format == "MP3" else b""
        write_all(file, tag)
        self._watched = self._told or WatchedFile(file.fileno(), len(tag))
        self._mask = fitting_mask(signal)
        if format == "WAV" and self._mask and soundfile.check_format("WAVEX", subtype):
            format = "WAVEX"
        self._kind = format, subtype
        self._frames = 0
        self._chunks = told.as_chunks() if format in _RIFF else ()
        try:
            self._file = soundfile.SoundFile(
                self._watched, "w", signal.sample_rate, signal.channels, format=format, subtype=subtype
            )
        except soundfile.LibsndfileError:
            self._watched.check_writes()
            raise
        tags = () if self._chunks or said or tag else told.tags
        self.left_out = tuple(name for name, text in tags if not text.isascii() and (format, name) in _ASCII_TAGS)
        unknown = (name for name, text in tags if name not in self.left_out and not self._write_tag(name, text))
        self.no_place = (*unknown, *too_long)

    def _write_tag(self, name: str, text: str) -> bool:
        """Write a tag; False where the format has none of that name."""
        try:
            setattr(self._file, name, text)
        except soundfile.LibsndfileError:
            return False
        return True

    def write(self, encoded: Encoded) -> None:
        try:
            self._file.write(encoded.frames)
            self._frames += len(encoded.frames)
        except (soundfile.LibsndfileError, AssertionError) as error:
            self._watched.check_writes()
            raise OutputError(f"the encoder failed: {reason(error)}") from error
        self._watched.check_writes()

    def close(self) -> str:
        """Complete the file; what there is to say of its length."""
        channels = self._file.channels
        self._file.close()
        self._watched.check_writes()
        if self._told is not None:
            self._told.finish()
        descriptor = self._watched.descriptor
        if self._kind[0] == "WAVEX" and self._mask:
            state_mask(descriptor, self._mask)
        kept = append_chunks(descriptor, self._chunks)
        stated = state_frames(*self._kind, descriptor, self._frames, channels)
        left = "" if kept else self._unplaced()
        if isinstance(self._told, ToldOgg) and not self._told.fits:
            left = "left out: comments: the page that holds them has no room"
        return "; ".join(filter(None, (stated, left)))

    def _unplaced(self) -> str:
        names = ", ".join(name.strip() for name, _ in self._chunks)
        return f"left out: {names}: the file has no place for them past 4 GiB"

    def discard(self) -> None:
        self._file.close()
