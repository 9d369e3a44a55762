"""What formats can't hold although libsndfile starts to write it: it wraps round, crashes, or is not read back.

Measured with libsndfile 1.2.2 for every format and subtype that it writes; docs/files.md has the table.
"""

from __future__ import annotations

from convtool.errors import OutputError
from convtool.signals.signal import Signal

_MOST_HZ = {"SVX": 0xFFFF, "MPC2K": 0xFFFF, "OGG": 200_000}
"""Above it the first two say another rate, and Vorbis ends the process."""

_MOST_CHANNELS = {"VORBIS": 255, "OPUS": 128, "ALAC_16": 8}
"""Above it Vorbis ends the process, and the others make files that nothing reads."""


def refuse_unfit(format: str, subtype: str, signal: Signal) -> None:
    """Refuse a signal that a file of that kind would not give back.

    Raises:
        OutputError: it has more channels, or another sample rate, than the file can hold.
    """
    rate = signal.sample_rate or 0
    if signal.channels > _MOST_CHANNELS.get(subtype, signal.channels):
        raise OutputError(
            f"{format}/{subtype} holds up to {_MOST_CHANNELS[subtype]} channels; the result has {signal.channels}"
        )
    if rate > _MOST_HZ.get(format, rate):
        raise OutputError(f"{format} holds sample rates up to {_MOST_HZ[format]} Hz; the result has {rate}: write .wav")
    held = _voc_rate(rate, signal.channels) if (format, subtype) == ("VOC", "PCM_U8") else rate
    if held != rate:
        raise OutputError(
            f"VOC/PCM_U8 would say {held} Hz instead of {rate}, of which it keeps 1000000 over a whole number; "
            "give --subtype PCM_16"
        )


def _voc_rate(rate: int, channels: int) -> int:
    """What the file says: the time of a sample is a byte of microseconds, with two channels a word of 1/256."""
    unit, room = (1_000_000, 0xFF) if channels == 1 else (128_000_000, 0xFFFF)
    return unit // max(1, min(unit // rate, room))
