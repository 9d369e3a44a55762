"""ID3v2 tags, at the beginning of MP3 files and in a chunk of WAV files: taken apart into frames, and put together.

Layout: id3.org, "ID3 tag version 2.3.0", "ID3 tag version 2.4.0 - Main Structure" and "- Native Frames".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from convtool.files.recognition import id3_length
from convtool.signals.comments import Comments, tells_of_samples

_HEADER = 10
"""Bytes of the header of a tag, and of that of a frame."""

_NAMES = {
    "TIT2": "TITLE",
    "TPE1": "ARTIST",
    "TALB": "ALBUM",
    "TDRC": "DATE",
    "TYER": "DATE",
    "TRCK": "TRACKNUMBER",
    "TCON": "GENRE",
    "COMM": "COMMENT",
    "TCOP": "COPYRIGHT",
    "TPE2": "ALBUMARTIST",
    "TPE3": "CONDUCTOR",
    "TPE4": "REMIXER",
    "TCOM": "COMPOSER",
    "TEXT": "LYRICIST",
    "TPOS": "DISCNUMBER",
    "TIT1": "GROUPING",
    "TIT3": "SUBTITLE",
    "TSRC": "ISRC",
    "TBPM": "BPM",
    "TKEY": "KEY",
    "TMOO": "MOOD",
    "TLAN": "LANGUAGE",
    "TPUB": "PUBLISHER",
    "TENC": "ENCODED-BY",
}
"""Frames of text, and the Vorbis comments that say the same."""

_FRAMES = {name: frame for frame, name in reversed(_NAMES.items())} | {"DESCRIPTION": "COMM", "YEAR": "TDRC"}

_OF_SAMPLES = ("RVA2", "RVAD", "RGAD", "XRVA", "EQU2", "EQUA", "MLLT", "ASPI", "SEEK", "TLEN", "TSIZ", "TSSE", "TDEN")
"""Frames that tell of the file's samples or bytes, or of what encoded them: none of that holds of an output."""

_ENCODINGS = ("latin-1", "utf-16", "utf-16-be", "utf-8")
_LANGUAGE = 3
"""Letters that say in which language a comment is."""

_FRAME_ID = re.compile(rb"[A-Z][A-Z0-9]{3}")


@dataclass(frozen=True)
class Frame:
    """One frame of a tag: what it is called, its bytes, and what it says where that is text."""

    name: str
    """Of text, the comment that says the same; of other things, the frame's own."""
    data: bytes
    """Header and content."""
    texts: tuple[str, ...]

    @property
    def tells_of_samples(self) -> bool:
        """Whether what it says no longer holds once there are other samples."""
        return self.name in _OF_SAMPLES or tells_of_samples(self.name)


@dataclass(frozen=True)
class Id3:
    """A tag, as the frames that hold of other samples too."""

    version: int
    frames: tuple[Frame, ...]
    untrue: tuple[str, ...]
    """The names of those that do not."""

    @property
    def comments(self) -> Comments:
        """What its text says, as Vorbis comments."""
        return tuple((frame.name, text) for frame in self.frames for text in frame.texts)

    @property
    def other_names(self) -> tuple[str, ...]:
        """The frames that are no text."""
        return tuple(dict.fromkeys(frame.name for frame in self.frames if not frame.texts))

    def as_bytes(self) -> bytes:
        """The tag, without padding."""
        return _tag(self.version, b"".join(frame.data for frame in self.frames))


def parse_id3(tag: bytes) -> Id3 | None:
    """The frames of `tag`; None of a version, with features, or damaged in ways, that are not taken apart here."""
    if id3_length(tag) < _HEADER or tag[3] not in (3, 4) or tag[5]:
        return None
    version, end = tag[3], id3_length(tag)
    if end > len(tag):
        return None
    frames: list[Frame] = []
    at = _HEADER
    while at + _HEADER <= end and tag[at]:
        name, size = tag[at : at + 4], tag[at + 4 : at + 8]
        length = _of_sevens(size) if version == 4 else int.from_bytes(size, "big")
        stop = at + _HEADER + length
        if not _FRAME_ID.fullmatch(name) or stop > end or (version == 4 and max(size) > 127):
            return None
        frames.append(_frame(name.decode(), tag[at:stop]))
        at = stop
    untrue = dict.fromkeys(frame.name for frame in frames if frame.tells_of_samples)
    return Id3(version, tuple(frame for frame in frames if not frame.tells_of_samples), tuple(untrue))


def id3_of(comments: Comments) -> bytes:
    """A tag that says what `comments` say; nothing where there are none.

    >>> parse_id3(id3_of((("ARTIST", "Ann"), ("mood of", "Bo")))).comments
    (('ARTIST', 'Ann'), ('mood of', 'Bo'))
    """
    texts: dict[str, list[str]] = {}
    for name, text in comments:
        texts.setdefault(name.upper() if name.upper() in _FRAMES else name, []).append(text)
    frames: dict[str, bytes] = {}
    for name, said in texts.items():
        frame = _FRAMES.get(name, "TXXX")
        frame = "TXXX" if frame in frames else frame  # a tag has but one of each other kind
        frames[frame] = frames.get(frame, b"") + _text_frame(frame, name, "\0".join(said))
    return _tag(4, b"".join(frames.values())) if frames else b""


def _text_frame(frame: str, name: str, text: str) -> bytes:
    before = {"COMM": "XXX\0", "TXXX": f"{name}\0"}.get(frame, "")
    content = b"\3" + f"{before}{text}".encode("utf-8", "replace")
    return frame.encode() + _in_sevens(len(content)) + b"\0\0" + content


def _tag(version: int, frames: bytes) -> bytes:
    return b"ID3" + bytes([version, 0, 0]) + _in_sevens(len(frames)) + frames


def _frame(name: str, data: bytes) -> Frame:
    """The frame of these bytes; of other things than text, and of what is packed, only its name is told."""
    content = data[_HEADER:]
    if data[9] or name not in (*_NAMES, "TXXX"):
        return Frame(name, data, ())
    if name not in ("COMM", "TXXX"):
        return Frame(_NAMES[name], data, tuple(filter(None, _strings(content))))
    described, *said = _strings(content if name == "TXXX" else content[:1] + content[1 + _LANGUAGE :]) or [""]
    if name == "COMM":
        return Frame(described if tells_of_samples(described) else "COMMENT", data, tuple(filter(None, said)))
    is_name = described and described.isascii() and described.isprintable() and "=" not in described
    return Frame(described, data, tuple(filter(None, said))) if is_name else Frame(name, data, ())


def _strings(content: bytes) -> list[str]:
    """The strings of a frame of text."""
    if not content or content[0] >= len(_ENCODINGS):
        return []
    texts = content[1:].decode(_ENCODINGS[content[0]], "replace").split("\0")
    return [text.lstrip("\ufeff") for text in texts]


def _of_sevens(data: bytes) -> int:
    return data[0] << 21 | data[1] << 14 | data[2] << 7 | data[3]


def _in_sevens(number: int) -> bytes:
    return bytes(number >> shift & 127 for shift in (21, 14, 7, 0))
