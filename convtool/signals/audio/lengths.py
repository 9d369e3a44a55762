"""How many samples a file really holds, where libsndfile says another number, and how a file is made to say it.

Seen with libsndfile 1.2.2: AIFF of one byte a sample counts the byte that makes its length even, VOC of A-law and
µ-law the byte that ends the file, and codecs of whole blocks fill up the last of them. Where a header has a place for
the number, it is put there (``fact`` of WAV and W64, ``COMM`` of AIFF, the block length of VOC) and read from there.
Layouts: Apple, "AIFF-C"; Sony, "Wave64"; the Creative Voice file format.
"""

from __future__ import annotations

import os

from convtool.errors import OutputError
from convtool.files.recognition import Peek

_BYTES = ("PCM_S8", "PCM_U8", "ALAW", "ULAW")
"""One byte a sample."""

_FACTS = ("IMA_ADPCM", "MS_ADPCM", "GSM610", "G721_32", "NMS_ADPCM_16", "NMS_ADPCM_24", "NMS_ADPCM_32")
"""Codecs of whole blocks, whose number of samples stands in ``fact``."""

_W64_FACT = b"fact" + bytes.fromhex("f3acd3118cd100c04f8edb8a")
_HEADER = 4096
_VOC_HEAD, _VOC_FORMAT = 26, 12


def stated_frames(format: str, subtype: str, peek: Peek, size: int) -> int | None:
    """The frames that the header states where libsndfile may give more, or None.

    Args:
        format: libsndfile's name of the format.
        subtype: and of the encoding.
        peek: gives bytes of the file.
        size: of the file.
    """
    head = peek(0, _HEADER)
    if format == "AIFF" and subtype in _BYTES:
        at = head.find(b"COMM")
        return int.from_bytes(head[at + 10 : at + 14], "big") if at > 0 else None
    if format == "VOC" and subtype in ("ALAW", "ULAW"):
        stated = int.from_bytes(head[_VOC_HEAD + 1 : _VOC_HEAD + 4], "little") - _VOC_FORMAT
        there = size - _VOC_HEAD - 4 - _VOC_FORMAT - 1
        return min(stated, there) // max(head[_VOC_HEAD + 4 + 5 : _VOC_HEAD + 4 + 6][0], 1)
    at = _fact(format, subtype, head)
    return int.from_bytes(head[at : at + (4 if format != "W64" else 8)], "little") if at > 0 else None


def state_frames(format: str, subtype: str, descriptor: int, frames: int, channels: int) -> str:
    """Let the header of a finished file state `frames`; what there is to say where it can't."""
    head = os.pread(descriptor, _HEADER, 0)
    if format == "AIFF" and subtype in _BYTES:
        common, data = head.find(b"COMM"), head.find(b"SSND")
        os.pwrite(descriptor, frames.to_bytes(4, "big"), common + 10)
        os.pwrite(descriptor, (8 + frames * channels).to_bytes(4, "big"), data + 4)
    elif format == "VOC" and subtype in ("ALAW", "ULAW"):
        os.pwrite(descriptor, (_VOC_FORMAT + frames * channels).to_bytes(3, "little"), _VOC_HEAD + 1)
    elif (at := _fact(format, subtype, head)) > 0:
        os.pwrite(descriptor, frames.to_bytes(8 if format == "W64" else 4, "little"), at)
    elif (format, subtype) == ("PAF", "PCM_24") and frames <= _blocks(format, subtype):
        raise OutputError(f"PAF/PCM_24 of {frames} samples is read back as none; give 11 or more, or another subtype")
    elif block := _blocks(format, subtype):
        filled = -(-frames // block) * block
        if filled != frames:
            return f"{format}/{subtype} holds whole blocks of {block} samples: {frames} samples became {filled}"
    return ""


def _fact(format: str, subtype: str, head: bytes) -> int:
    """Where the number stands in the chunk ``fact``; 0 or less where there is none."""
    if subtype not in _FACTS:
        return 0
    if format == "W64":
        return head.find(_W64_FACT) + 24 if _W64_FACT in head else 0
    at = head.find(b"fact")
    return at + 8 if format in ("WAV", "WAVEX") and at > 0 else 0


def _blocks(format: str, subtype: str) -> int:
    """Samples of a block of a codec whose file does not say how many are filled."""
    return {
        ("AIFF", "IMA_ADPCM"): 64,
        ("AU", "G721_32"): 120,
        ("AU", "G723_24"): 120,
        ("AU", "G723_40"): 120,
        ("PAF", "PCM_24"): 10,
    }.get((format, subtype), 0)
