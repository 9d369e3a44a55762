"""Audio files opened: plain WAV here, all else by libsndfile or FFmpeg in a child process, which a file can crash."""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from convtool.errors import InputError
from convtool.files.recognition import Kind, id3_length, media_kind
from convtool.files.source import Source
from convtool.isolation import SHARED_BYTES, Children, decodes_here
from convtool.signals.audio.flac_blocks import channel_mask, read_blocks
from convtool.signals.audio.links import first_byte
from convtool.signals.audio.ogg_comments import read_comments
from convtool.signals.metadata import Metadata
from convtool.signals.signal import Block, Reader, Signal
from convtool.signals.wav.chunks import find_description, read_told
from convtool.signals.wav.format import unknown_encoding
from convtool.signals.wav.reader import open_wav

if TYPE_CHECKING:
    import mmap

_MOST_ID3 = 1 << 25
"""Bytes of a tag, with its pictures, that is kept beside the samples."""


def open_audio(source: Source, kind: str) -> Reader:
    """A reader of the audio in `source`, of which the first bytes said that it is `kind`.

    Raises:
        InputError: it can't be decoded, or the decoder crashed.
    """
    plain = open_wav(source) if kind in ("WAV", "RF64") else None
    if plain is not None:
        return plain
    if kind == "WAV" and (words := _unknown_encoding(source)):
        return open_media(source, media_kind(words, "wav"), source.path)
    if decodes_here():
        from convtool.signals.audio.reader import AudioReader

        reader: Reader = AudioReader(source, kind)
    else:
        reader = IsolatedReader(source, kind)
    _add_told(reader, source, kind)
    return reader


def _unknown_encoding(source: Source) -> str:
    """What there is to call the encoding of a WAV that libsndfile does not know; nothing where it does."""
    size = os.fstat(source.fileno()).st_size
    described = find_description(source.peek, id3_length(source.head), size)
    return unknown_encoding(described) if described and not source.head.startswith(b"RIFX") else ""


def _add_told(reader: Reader, source: Source, kind: str) -> None:
    """Let the signal of `reader` have what its file says of itself and libsndfile does not tell."""
    metadata, size = reader.signal.metadata, os.fstat(source.fileno()).st_size
    if kind in ("WAV", "RF64") and not source.head.startswith(b"RIFX"):
        metadata, mask, notes = read_told(source.peek, id3_length(source.head), size)
    elif kind == "FLAC":
        pictures, comments, passed_over, notes = read_blocks(source.peek, first_byte(kind, source.peek, size))
        metadata = Metadata(pictures=pictures, passed_over=passed_over).with_comments(comments)
        mask = channel_mask(reader.signal.channels)
    elif kind == "OGG":
        metadata, mask, notes = metadata.with_comments(read_comments(source.peek)), 0, ()
    elif kind == "MP3" and (length := id3_length(source.head)):
        mask, notes = 0, ()
        if length <= _MOST_ID3:
            metadata = metadata.with_id3(source.peek(0, length))
        else:
            notes = (f"its ID3 tag is not kept: it has {length} bytes",)
    else:
        return
    reader.signal = replace(reader.signal, metadata=metadata, channel_mask=mask)
    reader.notes += notes


def open_media(source: Source, kind: Kind, path: str | None) -> Reader:
    """A reader of what FFmpeg decodes.

    Raises:
        InputError: it can't be decoded, or PyAV is not installed.
    """
    from convtool.signals.audio.media import MediaReader, is_installed

    if not is_installed():
        raise InputError(kind.refusal(path))
    reader = MediaReader if decodes_here() else IsolatedReader
    return reader(source, kind.name, kind.demuxer)


class IsolatedReader(Reader):
    """An audio file that a child process decodes; by `demuxer` of FFmpeg, or by libsndfile."""

    def __init__(self, source: Source, kind: str, demuxer: str = "") -> None:
        self._source = source
        descriptor = source.fileno()
        self._child = _CHILDREN.borrow()
        try:
            path = os.path.abspath(source.path) if source.path else ""
            fields, self.notes, self.remarks = self._child.ask("open", path, kind, demuxer, descriptor=descriptor)
        except BaseException:
            _CHILDREN.give_back(self._child)
            raise
        metadata = Metadata(tuple((name, text) for name, text in fields["metadata"]))
        self.signal = Signal(**fields | {"leading": tuple(fields["leading"]), "metadata": metadata})

    def read(self, samples: int) -> Block:
        """The next samples, decoded."""
        dtype = {1 << 15: "int16", 1 << 31: "int32"}.get(self.signal.full_scale or 0, self.signal.dtype)
        parts: list[Block] = [] if samples else [np.empty((self.signal.channels, 0), dtype)]
        while samples:
            count, dtype, notes = self._child.ask("read", samples)
            self.notes += [note for note in notes if note not in self.notes]
            values = np.frombuffer(self._child.shared, dtype, count * self.signal.channels)
            parts.append(values.reshape(count, self.signal.channels).T.copy("A"))
            samples -= count
            if not count:
                break
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)

    def close(self) -> None:
        _CHILDREN.give_back(self._child)
        self._source.close()


# In the child

_opened: list[Any] = []


def _open(_: mmap.mmap, descriptor: int, path: str, kind: str, demuxer: str) -> tuple[Any, ...]:
    from convtool.signals.audio.media import MediaReader
    from convtool.signals.audio.reader import AudioReader

    while _opened:
        _opened.pop().close()
    source = Source(os.fdopen(descriptor, "rb", buffering=0), seekable=True, path=path)
    _opened.append(MediaReader(source, kind, demuxer) if demuxer else AudioReader(source, kind))
    signal = _opened[0].signal
    fields = asdict(signal) | {"metadata": signal.metadata.tags}  # the rest is not of libsndfile
    return fields, _opened[0].notes, _opened[0].remarks


def _read(shared: mmap.mmap, samples: int) -> tuple[int, str, list[str]]:
    """Samples into the shared memory, as frames; as many as go there."""
    reader = _opened[0]
    block = reader.read(min(samples, SHARED_BYTES // (8 * reader.signal.channels)))
    frames = block.T
    np.copyto(np.frombuffer(shared, frames.dtype, frames.size).reshape(frames.shape), frames)
    return len(frames), frames.dtype.str, reader.notes


_CHILDREN = Children({"open": _open, "read": _read})
