"""What formats can't hold although libsndfile starts to write it: it wraps round, crashes, or is not read back.

Measured with libsndfile 1.2.2 for every format and subtype that it writes; docs/files.md has the table.
"""

from __future__ import annotations

from convtool.errors import OutputError
from convtool.files.names import counted
from convtool.signals.signal import Signal

_MOST_HZ = {"SVX": 0xFFFF, "MPC2K": 0xFFFF, "OGG": 200_000}
"""Above it the first two say another rate, and Vorbis ends the process."""

MOST_CHANNELS = {"AVR": 2, "FLAC": 8, "IRCAM": 256, "MP3": 2, "MPC2K": 2, "SVX": 1, "VOC": 2}
"""Of a format: libsndfile says of more that it does not recognise the format."""

MOST_CHANNELS_ENCODED = {
    "VORBIS": 255,
    "OPUS": 128,
    "ALAC_16": 8,
    "IMA_ADPCM": 2,
    "MS_ADPCM": 2,
    **dict.fromkeys(("GSM610", "G721_32", "G723_24", "G723_40", "DWVW_16", "DWVW_24"), 1),
    **dict.fromkeys(("NMS_ADPCM_16", "NMS_ADPCM_24", "NMS_ADPCM_32"), 1),
}
"""Of an encoding: above it Vorbis ends the process, Opus and ALAC make files that nothing reads, others are refused."""


def refuse_unfit(format: str, subtype: str, signal: Signal) -> None:
    """Refuse a signal that a file of that kind would not give back.

    Raises:
        OutputError: it has more channels, or another sample rate, than the file can hold.
    """
    rate = signal.sample_rate or 0
    most = MOST_CHANNELS.get(format) or MOST_CHANNELS_ENCODED.get(subtype, signal.channels)
    if signal.channels > most:
        name = format if format in MOST_CHANNELS else f"{format}/{subtype}"
        room = counted(most, "channel")
        raise OutputError(f"{name} holds up to {room}; the result has {signal.channels}: write .wav in PCM or FLOAT")
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
