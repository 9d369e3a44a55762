"""Vorbis comments, the tags of FLAC and Ogg files: as many names as anybody likes, each as often as it is needed.

Layout: Xiph.Org, "Ogg Vorbis I format specification: comment field and header specification".
"""

from __future__ import annotations

import struct

Comments = tuple[tuple[str, str], ...]
"""Names, in the letters of the file, and what they say."""

COMMON = {
    "TITLE": "title",
    "ARTIST": "artist",
    "ALBUM": "album",
    "DATE": "date",
    "YEAR": "date",
    "TRACKNUMBER": "tracknumber",
    "GENRE": "genre",
    "COMMENT": "comment",
    "DESCRIPTION": "comment",
    "COPYRIGHT": "copyright",
    "LICENSE": "license",
}
"""Comments that other formats have too, and what soundfile calls them."""

_OF_SAMPLES = (
    "REPLAYGAIN_",
    "R128_",
    "ENCODER",
    "ENCODING",
    "ITUNNORM",
    "ITUNSMPB",
    "WAVEFORMATEXTENSIBLE_CHANNEL_MASK",
)
"""What comments begin with that tell of the input's samples, or of what wrote it: none of that holds of an output."""


def tells_of_samples(name: str) -> bool:
    """Whether a comment of that name says what no longer holds once there are other samples.

    >>> tells_of_samples("replaygain_track_gain"), tells_of_samples("COMPOSER")
    (True, False)
    """
    return name.upper().startswith(_OF_SAMPLES)


def parse_comments(block: bytes) -> Comments:
    """The comments that `block` holds, as far as it is whole; what has no name is passed over."""
    found: list[tuple[str, str]] = []
    at = 4 + int.from_bytes(block[:4], "little")
    count, at = int.from_bytes(block[at : at + 4], "little"), at + 4
    for _ in range(count):
        stop = at + 4 + int.from_bytes(block[at : at + 4], "little")
        if at + 4 > len(block) or stop > len(block):
            break
        name, equals, text = block[at + 4 : stop].decode("utf-8", "replace").partition("=")
        if name and equals and name.isascii() and name.isprintable():
            found.append((name, text))
        at = stop
    return tuple(found)


def comments_block(vendor: str, comments: Comments) -> bytes:
    """The bytes that say `comments`; `vendor` is what encodes the samples.

    >>> parse_comments(comments_block("an encoder", (("ARTIST", "Ann"), ("ARTIST", "Bo"))))
    (('ARTIST', 'Ann'), ('ARTIST', 'Bo'))
    """
    parts = [vendor.encode(), *(f"{name}={text}".encode("utf-8", "replace") for name, text in comments)]
    counted = [struct.pack("<I", len(part)) + part for part in parts]
    return counted[0] + struct.pack("<I", len(comments)) + b"".join(counted[1:])
