"""Recordings that libsndfile can't decode, and video files' sound: decoded by FFmpeg, through PyAV (extra ``media``).

FFmpeg is told which container it reads, and guesses nothing. What an encoder put before and behind the recording
is taken away where the file says how much that is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from convtool.errors import InputError
from convtool.files.source import Source
from convtool.signals.audio.last_frame import cut_frames, samples_a_tick, stated_samples
from convtool.signals.metadata import TAGS, Metadata
from convtool.signals.signal import Block, Reader, Signal

if TYPE_CHECKING:
    from av import AudioFrame
    from av.audio.stream import AudioStream

_TYPES = {"u8": "int16", "s16": "int16", "s32": "int32", "flt": "float32", "dbl": "float64"}
"""FFmpeg's sample formats and the numbers that blocks hold."""

_SUBTYPES = {"u8": "PCM_U8", "s16": "PCM_16", "dbl": "DOUBLE"}
_LOSSLESS = ("wavpack", "pcm_f32le", "pcm_f32be", "pcm_f64le", "pcm_f64be")
"""Codecs that keep real numbers as they are."""

_COUNTED = ("opus", "libopus")
"""Codecs whose streams say themselves where they begin and end, in whatever they are put."""

_WITH_PADDING = (
    "such a file does not say how many samples its encoder added before and behind the recording; they are read too"
)

_SPEAKERS = [
    "FL",
    "FR",
    "FC",
    "LFE",
    "BL",
    "BR",
    "FLC",
    "FRC",
    "BC",
    "SL",
    "SR",
    "TC",
    "TFL",
    "TFC",
    "TFR",
    "TBL",
    "TBC",
    "TBR",
]
"""What FFmpeg calls the loudspeakers, in the order of the bits of a channel mask."""

_TOLD_SECONDS = 0.1
"""How much shorter than its container says a recording is, before that is told."""


@lru_cache(maxsize=1)
def is_installed() -> bool:
    """Whether PyAV is there."""
    return find_spec("av") is not None


class MediaReader(Reader):
    """The first stream of sound in a file that `demuxer` of FFmpeg reads."""

    def __init__(self, source: Source, name: str, demuxer: str) -> None:
        import av

        av.logging.set_level(None)
        self.notes = []
        self._source = source
        self._name = name
        self._failure = av.FFmpegError
        try:
            size = os.fstat(source.fileno()).st_size
            file = open(source.fileno(), "rb", closefd=False)
            container: Any = av.open(file, format=demuxer, metadata_errors="replace")
            self._container = container
            stream = self._choose_stream()
            scale = samples_a_tick(container, stream)
            most = stated_samples(container, stream, scale, source.peek, size)
            self._frames: Iterator[tuple[AudioFrame, int]] = cut_frames(container, stream, scale, most)
            self._first: tuple[AudioFrame, int] | None = next(self._frames, None)
        except (av.FFmpegError, LookupError) as error:
            raise InputError(f"can't be decoded as {name}: {_reason(error)}") from error
        if self._first is None:
            raise InputError("there are 0 samples in it")
        self._pending: list[Block] = []
        self._read = 0
        first, _ = self._first
        kind = first.format.name.removesuffix("p")
        if kind not in _TYPES:
            raise InputError(f"its samples are of FFmpeg's format {kind}, which convtool does not read")
        bits = _bits(stream, kind, source.head)
        self._kind = first.format.name, first.layout.nb_channels, first.sample_rate
        dtype = _TYPES[kind]
        codec = stream.codec_context.name
        lossless = kind not in ("flt", "dbl") or codec in _LOSSLESS
        self.remarks = [] if scale or lossless or codec in _COUNTED else [_WITH_PADDING]
        own = _SUBTYPES.get(kind, "FLOAT" if kind == "flt" else f"PCM_{24 if bits <= 24 else 32}")
        self.signal = Signal(
            format=name,
            subtype=own if lossless else codec.upper(),
            channels=self._kind[1],
            sample_rate=self._kind[2],
            dtype="float64" if kind == "dbl" or bits == 32 else "float32",
            full_scale={"int16": 1 << 15, "int32": 1 << 31}.get(dtype),
            frames=self._declared(stream),
            channel_mask=_channel_mask(first),
            metadata=Metadata(tuple(self._tags(stream))),
        )

    def _choose_stream(self) -> AudioStream:
        streams = self._container.streams
        if not streams.audio:
            raise InputError(f"there is no sound in it, which is {self._name}")
        first: AudioStream = streams.audio[0]
        if len(streams.audio) > 1:
            self.notes.append(f"it holds {len(streams.audio)} streams of sound; the first is read")
        if any(not each.disposition & each.disposition.attached_pic for each in streams.video):
            self.notes.append("it is a video; its sound is read")
        return first

    def _declared(self, stream: Any) -> int | None:
        """The samples that the container says there are, about."""
        if stream.duration is None or stream.time_base is None:
            return None
        return int(stream.duration * stream.time_base * self._kind[2])

    def _tags(self, stream: AudioStream) -> Iterator[tuple[str, str]]:
        said = {name.lower(): text for name, text in (self._container.metadata | stream.metadata).items()}
        said["tracknumber"] = said.get("tracknumber") or said.get("track", "")
        return ((name, said[name]) for name in TAGS if said.get(name))

    def read(self, samples: int) -> Block:
        """The next samples, decoded."""
        have = sum(block.shape[1] for block in self._pending)
        while have < samples and (frame := self._next_frame()) is not None:
            block = self._block(*frame)
            self._pending.append(block)
            have += block.shape[1]
        pending = np.concatenate(self._pending, axis=1) if self._pending else self._empty()
        block, rest = pending[:, :samples], pending[:, samples:]
        self._pending = [rest] if rest.shape[1] else []
        self._read += block.shape[1]
        return block

    def _empty(self) -> Block:
        return np.empty((self.signal.channels, 0), _TYPES[self._kind[0].removesuffix("p")])

    def _next_frame(self) -> tuple[AudioFrame, int] | None:
        if self._first is not None:
            first, self._first = self._first, None
            return first
        at = self._read + sum(block.shape[1] for block in self._pending)
        try:
            decoded = next(self._frames, None)
        except self._failure as error:
            raise InputError(f"can't be decoded past sample {at}: {_reason(error)}") from error
        if decoded is None:
            declared = self.signal.frames
            if declared is not None and declared - at > _TOLD_SECONDS * self._kind[2]:
                note = f"truncated: the header declares {declared} samples, {at} are there"
                self.notes += [note] if note not in self.notes else []
            return None
        frame, _ = decoded
        kind = frame.format.name, frame.layout.nb_channels, frame.sample_rate
        if kind != self._kind:
            what = " after ".join(f"{each[1]} channels at {each[2]} Hz ({each[0]})" for each in (kind, self._kind))
            raise InputError(f"the stream changes after sample {at}: {what}; expected one kind throughout")
        return decoded

    def _block(self, frame: AudioFrame, count: int) -> Block:
        """The first `count` samples of a frame."""
        values: Block = frame.to_ndarray()
        if not frame.format.is_planar:
            values = values.reshape(-1, self.signal.channels).T
        values = values[:, :count]
        return (values.astype(np.int16) - 128) << 8 if values.dtype == np.uint8 else values

    def close(self) -> None:
        self._container.close()
        self._source.close()


def _channel_mask(frame: AudioFrame) -> int:
    """The loudspeakers of the channels; 0 of one or two, which any WAV means so, and where FFmpeg knows others."""
    names = [channel.name for channel in frame.layout.channels]
    if len(names) < 3 or not set(names) <= set(_SPEAKERS):
        return 0
    return sum(1 << _SPEAKERS.index(name) for name in names)


def _bits(stream: Any, kind: str, head: bytes) -> int:
    """The bits of a sample, which is at the top of its number; 0 where it is none of 32 bits."""
    if kind != "s32":
        return 0
    codec, extra = stream.codec_context.name, stream.codec_context.extradata or b""
    if codec == "alac":
        return extra[17] if len(extra) > 17 else 32
    if codec == "flac":
        return ((extra[12] & 1) << 4 | extra[13] >> 4) + 1 if len(extra) > 13 else 32
    if codec == "wavpack" and head.startswith(b"wvpk"):
        return 8 * ((head[24] & 3) + 1)
    if codec == "tta":
        return int.from_bytes(extra[8:10], "little") if len(extra) > 9 else 32
    return 24 if codec == "ape" or "24" in codec else 32


def _reason(error: Exception) -> str:
    """What FFmpeg says; some decoders say of damaged data no more than that they failed (EPERM)."""
    words = str(getattr(error, "strerror", None) or error).lower()
    return "the data is damaged" if words in ("operation not permitted", "unknown error occurred") else words
