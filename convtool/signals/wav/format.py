"""The chunk ``fmt`` of a WAV file: what its samples are.

Layout: Microsoft "Multimedia Programming Interface and Data Specifications 1.0" (RIFF) and "Multiple Channel Audio
Data and WAVE Files" (the extensible format).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from convtool.errors import InputError
from convtool.files.names import counted

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
SUBTYPES = {
    "PCM_U8": (PCM, 8),
    "PCM_16": (PCM, 16),
    "PCM_24": (PCM, 24),
    "PCM_32": (PCM, 32),
    "FLOAT": (FLOAT, 32),
    "DOUBLE": (FLOAT, 64),
}
"""The encodings that are read and written here, each with its format code and its bits."""

_HALF = (FLOAT, 16)
"""Floats of 16 bits, which are only read."""

GUID = bytes.fromhex("000000001000800000aa00389b71")
"""What follows the format code in the extensible format."""

FORMAT_BYTES = 40
"""As long as the chunk is in the extensible format."""

_AMBISONIC = bytes.fromhex("00002107d3118644c8c1ca000000")
_BY_CODE = {code: name for name, code in SUBTYPES.items()} | {_HALF: "FLOAT"}
_CHANNELS = 1024
"""As many as libsndfile takes."""

_OF_LIBSNDFILE = (PCM, 2, FLOAT, 6, 7, 0x11, 0x31, 0x38, 0x40, 0x50, 0x55)
"""Format codes that libsndfile knows: ADPCM, A-law, µ-law, GSM, G.721, MPEG audio."""

_PLACED = 4
"""Bytes in which some programs put samples of 24 bits."""

_FORMAT = struct.Struct("<HHIIHH")


@dataclass(frozen=True)
class SampleFormat:
    """What the samples of a WAV are."""

    subtype: str
    bits: int
    channels: int
    sample_rate: int | None
    extensible: bool
    channel_mask: int
    """The loudspeakers that the channels are for, a bit each; 0 where the file does not say."""
    padded: bool
    """Whether a sample of 24 bits stands in 4 bytes."""
    notes: tuple[str, ...] = ()

    @property
    def frame(self) -> int:
        """Bytes of one sample of all channels."""
        return self.channels * (_PLACED if self.padded else self.bits // 8)


def parse_format(content: bytes, samples_at: int) -> SampleFormat | None:
    """What the chunk says whose `content` this is; None where it is none of the encodings that are read here.

    `samples_at` is the byte of the file at which samples begin, for messages.

    Raises:
        InputError: it declares channels or bits that are not read.
    """
    if len(content) < _FORMAT.size:
        return None
    _, channels, rate, _, frame, bits = _FORMAT.unpack_from(content)
    if not 0 < channels <= _CHANNELS:
        raise InputError(
            f"its header declares {counted(channels, 'channel')}; expected 1 to {_CHANNELS}: {as_raw(samples_at)}"
        )
    code = _code(content)
    subtype = _BY_CODE.get((code, bits))
    if subtype is None:
        _refuse_bits(code, bits, samples_at)
        return None
    padded = bits == 24 and frame == channels * _PLACED
    known = 0 < rate < 1 << 31
    notes = []
    if not known:
        notes.append(f"its header declares a sample rate of {rate} Hz, which is none; --sample-rate says what it is")
    if frame != channels * bits // 8 and not padded:
        what = f"{counted(channels, 'channel')} of {bits} bits"
        frames = f"frames of {counted(frame, 'byte')}"
        notes.append(f"its header declares {what} in {frames}; read as {what}: otherwise, {as_raw(samples_at)}")
    mask = channel_mask(content)
    return SampleFormat(
        subtype, bits, channels, rate if known else None, _is_extensible(content), mask, padded, tuple(notes)
    )


def as_raw(samples_at: int) -> str:
    """How to read samples from that byte on whatever the header says, for messages."""
    return f"tail -c +{samples_at + 1} FILE | convtool ... --input-format raw:s16le --channels N reads its samples"


def _refuse_bits(code: int, bits: int, samples_at: int) -> None:
    """Refuse integers of other bits than libsndfile reads, and floats of other bits than are read here."""
    if code == FLOAT or (code == PCM and not 0 < bits <= 32):
        kind, expected = ("floats", "16, 32 or 64") if code == FLOAT else ("integers", "1 to 32")
        raise InputError(
            f"its header declares {kind} of {counted(bits, 'bit')}; expected {expected}: {as_raw(samples_at)}"
        )


def _code(content: bytes) -> int:
    """The format code, that inside the extensible format too where that is of the usual kind."""
    code = int.from_bytes(content[:2], "little")
    if code != EXTENSIBLE:
        return code
    bits, valid = content[14:16], content[18:20]
    known = len(content) >= FORMAT_BYTES and content[26:40] in (GUID, _AMBISONIC) and valid in (b"\0\0", bits)
    return int.from_bytes(content[24:26], "little") if known else code


def unknown_encoding(content: bytes) -> str:
    """What there is to call an encoding that libsndfile does not know either; nothing where it does."""
    code = int.from_bytes(content[:2], "little")
    if code == EXTENSIBLE and len(content) >= FORMAT_BYTES:
        code = int.from_bytes(content[24:26], "little")
        if content[26:40] not in (GUID, _AMBISONIC):
            return f"WAV of encoding {content[24:40].hex()}"
    known = code in _OF_LIBSNDFILE or len(content) < _FORMAT.size
    return "" if known else f"WAV of encoding 0x{code:04x}"


def channel_mask(content: bytes) -> int:
    """The loudspeakers of the extensible format; 0 of another."""
    return int.from_bytes(content[20:24], "little") if _is_extensible(content) else 0


def _is_extensible(content: bytes) -> bool:
    return content[:2] == EXTENSIBLE.to_bytes(2, "little") and len(content) >= FORMAT_BYTES
