"""Where a recording ends within the last frame of its codec, which an encoder fills up with silence.

MP4 states that in three places, none of which FFmpeg heeds: the duration of its last packet, the length of the track
where that is counted in samples, and the tag iTunSMPB. Layout: ISO/IEC 14496-12; the tag is Apple's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from convtool.files.recognition import Peek

if TYPE_CHECKING:
    from av import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet

_TAG = "iTunSMPB"
_MOST_PADDING = 8192
"""More samples than an encoder adds: a tag that says so is of another recording."""

_LOOKED_AT = 1000
"""Boxes that are looked at beside each other."""

_ENDLESS = 1 << 62


def samples_a_tick(container: InputContainer, stream: AudioStream) -> int:
    """How many samples a tick of the stream's clock is, where that can tell the last of them; else 0.

    The durations of MP3's packets are FFmpeg's own, whatever the file says.
    """
    known = container.format.name.startswith("mov") and not stream.codec_context.name.startswith("mp3")
    if not known or not stream.time_base:
        return 0
    scale = stream.time_base * stream.rate
    return scale.numerator if scale.denominator == 1 else 0


def cut_frames(
    container: InputContainer, stream: AudioStream, scale: int, most: int
) -> Iterator[tuple[AudioFrame, int]]:
    """The frames of `stream`, and how many samples of each are of the recording: `most` of all.

    `scale` is what `samples_a_tick` gives.
    """
    packets = container.demux(stream)
    packet = next(packets, None)
    end = _ENDLESS
    while packet is not None:
        following = next(packets, None)
        if scale and packet.duration and packet.pts is not None and _is_flush(following):
            end = (packet.pts + packet.duration) * scale
        for frame in packet.decode():
            left = _ENDLESS if frame.pts is None else min(most, end) - frame.pts * scale
            yield frame, max(0, min(frame.samples, left))
        packet = following


def _is_flush(packet: Packet[AudioStream] | None) -> bool:
    """Whether a packet is none of the file, but asks the decoder for what it has kept."""
    return packet is not None and not packet.size


def stated_samples(container: InputContainer, stream: AudioStream, scale: int, peek: Peek, size: int) -> int:
    """How many samples an MP4 says there are, or more than there can be.

    Args:
        container: the file, opened.
        stream: of sound.
        scale: what `samples_a_tick` gives.
        peek: gives bytes of the file.
        size: of the file.
    """
    if not scale or not stream.duration:
        return _ENDLESS
    declared = stream.duration * scale
    if (tagged := _tagged(container.metadata.get(_TAG, ""))) and abs(declared - tagged) < _MOST_PADDING:
        return tagged
    exact = _movie_ticks(peek, size) * scale % stream.rate == 0
    return declared + (stream.start_time or 0) * scale if exact else _ENDLESS


def _tagged(tag: str) -> int:
    """The samples that iTunSMPB tells: the fourth of its numbers, behind a zero, the delay and the padding."""
    numbers = tag.split()
    try:
        return int(numbers[3], 16) if len(numbers) > 3 else 0
    except ValueError:
        return 0


def _movie_ticks(peek: Peek, size: int) -> int:
    """Ticks of a second by which an MP4 counts the lengths of its edits; 1 where it does not say."""
    movie = _find_box(peek, b"moov", 0, size)
    at, end = _find_box(peek, b"mvhd", *movie)
    return int.from_bytes(peek(at + (20 if peek(at, 1) == b"\1" else 12), 4), "big") if at < end else 1


def _find_box(peek: Peek, name: bytes, at: int, end: int) -> tuple[int, int]:
    """Where the content of the box begins and ends among those from byte `at` on; without one, twice `end`."""
    for _ in range(_LOOKED_AT):
        if at >= end:
            break
        head = peek(at, 16)
        length, first = int.from_bytes(head[:4], "big"), 8
        if length == 1:
            length, first = int.from_bytes(head[8:], "big"), 16
        stop = end if length == 0 else at + length
        if len(head) < 8 or length in range(1, first):
            break
        if head[4:8] == name:
            return at + first, min(stop, end)
        at = stop
    return end, end
