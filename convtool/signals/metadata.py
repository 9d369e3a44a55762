"""What a file says of itself beside its samples: tags, chunks of a WAV file, comments and pictures of a FLAC file.

Chunks and pictures are kept as they are.

Layout of the chunks: Microsoft "Multimedia Programming Interface and Data Specifications 1.0" (LIST, cue, smpl); EBU
Tech 3285 (bext, axml); ITU-R BS.2076 and BS.2088 (the audio definition model in axml and chna); Gallery "iXML
Specification"; AES46 (cart). In acid and inst, Sony and Microsoft keep tempo, key and range of a loop.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace

from convtool.files.recognition import id3_length
from convtool.signals.comments import COMMON, Comments, tells_of_samples
from convtool.signals.id3 import id3_of, parse_id3

TAGS = ("title", "artist", "album", "date", "tracknumber", "genre", "comment", "copyright", "license")
"""The tags that go on into an output, as soundfile calls them; what wrote the input did not write the output."""

_ID3 = ("id3 ", "ID3 ")
KEPT_CHUNKS = ("bext", "iXML", "LIST", "cue ", "smpl", "acid", "inst", "axml", "chna", "cart", "_PMX", *_ID3)

OTHER_CHUNKS = ("fmt ", "data", "fact", "ds64", "JUNK", "junk", "PAD ", "FLLR", "PEAK", "levl", "LGWV")
"""Those that tell of the samples, or of nothing."""

OF_CHANNELS = ("axml", "chna")
"""The chunks that say what each channel is."""

_INFO = {
    "INAM": "title",
    "IART": "artist",
    "IPRD": "album",
    "ICRD": "date",
    "ITRK": "tracknumber",
    "IPRT": "tracknumber",
    "IGNR": "genre",
    "ICMT": "comment",
    "ICOP": "copyright",
}
"""Where the chunk LIST of type INFO has the tags."""

_TIME_REFERENCE = slice(338, 346)
"""Of the chunk bext: the samples since midnight at which the recording begins."""

_POST_TIMERS = slice(684, 748)
"""Of the chunk cart: eight names, each with a number of samples."""

_POSITIONS = (b"TIME_REFERENCE", b"TIMESTAMP_SAMPLES", b"FILE_SAMPLE_RATE", b"SYNC_POINT")
"""Elements of iXML that count samples."""


@dataclass(frozen=True)
class Metadata:
    """What a file says of itself."""

    tags: tuple[tuple[str, str], ...] = ()
    """Names out of `TAGS`, and what they say."""
    chunks: tuple[tuple[str, bytes], ...] = ()
    """Chunks of a WAV file, out of `KEPT_CHUNKS`."""
    pictures: tuple[bytes, ...] = ()
    """The contents of the blocks PICTURE of a FLAC file."""
    comments: Comments = ()
    """All tags of a file that has Vorbis comments, `tags` among them."""
    id3: bytes = b""
    """An ID3 tag."""
    frames: tuple[str, ...] = ()
    """The frames of that which are no text."""
    passed_over: tuple[str, ...] = ()
    """What the file says that no output takes."""
    untrue: tuple[str, ...] = ()
    """What it says of its samples, which does not hold of others."""

    @classmethod
    def of_chunks(cls, chunks: tuple[tuple[str, bytes], ...], passed_over: tuple[str, ...] = ()) -> Metadata:
        """What the chunks of a WAV file say."""
        if not chunks:
            return cls(passed_over=passed_over)
        tags = {name: text for chunk, content in chunks if chunk == "LIST" for name, text in _info_tags(content)}
        others = tuple(chunk for chunk in chunks if chunk[0] not in _ID3)
        told = cls(tuple((name, tags[name]) for name in TAGS if name in tags), others, passed_over=passed_over)
        return told.with_id3(next((content for name, content in chunks if name in _ID3), b""))

    def with_comments(self, comments: Comments) -> Metadata:
        """With those of `comments` that hold of other samples too; tags that are lacking are taken from them."""
        tags = dict(self.tags)
        for name, text in comments:
            tags.setdefault(COMMON.get(name.upper(), ""), text)
        return replace(
            self,
            tags=tuple((name, tags[name]) for name in TAGS if name in tags),
            comments=tuple(comment for comment in comments if not tells_of_samples(comment[0])),
            untrue=tuple(dict.fromkeys(name for name, _ in comments if tells_of_samples(name))),
        )

    def with_id3(self, tag: bytes) -> Metadata:
        """With what an ID3 tag says that holds of other samples too; one that can't be taken apart stays as it is."""
        found = parse_id3(tag)
        if found is None and not 0 < id3_length(tag) <= len(tag):
            return replace(self, passed_over=(*self.passed_over, "id3")) if tag else self
        if found is None:
            return replace(self, id3=tag[: id3_length(tag)])
        told = self.with_comments(found.comments)
        return replace(told, id3=found.as_bytes(), frames=found.other_names, untrue=(*told.untrue, *found.untrue))

    def as_comments(self) -> Comments:
        """All tags as a file with Vorbis comments has them."""
        said = {COMMON.get(name.upper()) for name, _ in self.comments}
        return (*self.comments, *((name.upper(), text) for name, text in self.tags if name not in said))

    def as_id3(self) -> bytes:
        """The ID3 tag of a file that says this: the input's own, or one made of its tags; nothing where it has none."""
        return self.id3 or id3_of(self.as_comments())

    def without_positions(self) -> Metadata:
        """Without chunks that count samples, whose positions or rate are not those of the result."""
        return replace(self, chunks=tuple(chunk for chunk in self.chunks if not _counts_samples(*chunk)))

    def without_channels(self) -> Metadata:
        """Without chunks that say what each channel is, of which the result has others."""
        return replace(self, chunks=tuple(chunk for chunk in self.chunks if chunk[0] not in OF_CHANNELS))

    def without_place(self, *, chunks: bool, comments: bool, pictures: bool, id3: bool) -> tuple[str, ...]:
        """The names of what a file leaves out that holds `chunks`, or `comments`, or `pictures`, or an `id3` tag.

        Tags that many formats have are among them only where the file would hold them as chunks: others differ.
        """
        tagged = bool(self.id3) and (chunks or id3)
        if chunks:
            lost = [name for name, _ in self.tags if not (self._has_info or tagged) and name not in _INFO.values()]
        else:
            lost = [name.strip() for name, content in self.chunks if not _is_info(name, content)]
        if not (comments or id3 or tagged):
            others = (name for name, text in self.comments if (COMMON.get(name.upper()), text) not in self.tags)
            lost += dict.fromkeys(others)
        if not tagged:
            lost += self.frames or (["id3"] if self.id3 and not self.comments else [])
        lost += ["pictures"] if self.pictures and not pictures else []
        return (*lost, *self.passed_over)

    @property
    def _has_info(self) -> bool:
        return any(_is_info(name, content) for name, content in self.chunks)

    def as_chunks(self) -> tuple[tuple[str, bytes], ...]:
        """The chunks of a WAV file that says this."""
        info = b"" if self._has_info else _info(self.tags)
        return (*self.chunks, *([("LIST", info)] if info else []), *([("id3 ", self.id3)] if self.id3 else []))


def _is_info(name: str, content: bytes) -> bool:
    return name == "LIST" and content.startswith(b"INFO")


def chunk_bytes(name: bytes, content: bytes) -> bytes:
    """A chunk of a RIFF file: its name, its length, and its content, brought to an even length.

    >>> chunk_bytes(b"ICMT", b"odd")
    b'ICMT\\x03\\x00\\x00\\x00odd\\x00'
    """
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def _info_tags(content: bytes) -> Iterator[tuple[str, str]]:
    """The tags of a chunk LIST, where it is one of type INFO; the last of a name counts."""
    at = 4 if content.startswith(b"INFO") else len(content)
    while at + 8 <= len(content):
        name, length = content[at : at + 4].decode("latin-1"), int.from_bytes(content[at + 4 : at + 8], "little")
        data = content[at + 8 : at + 8 + length].split(b"\0")[0]
        if name in _INFO and data:
            yield _INFO[name], _text(data)
        at += 8 + length + length % 2


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _info(tags: tuple[tuple[str, str], ...]) -> bytes:
    """The content of a chunk LIST of type INFO; nothing where there is no tag that goes there."""
    ids = {name: chunk for chunk, name in reversed(_INFO.items())}
    found = [(ids[name], text) for name, text in tags if name in ids]
    parts = [chunk_bytes(chunk.encode(), text.encode("utf-8", "replace") + b"\0") for chunk, text in found]
    return b"INFO" + b"".join(parts) if parts else b""


def _counts_samples(name: str, content: bytes) -> bool:
    if name == "LIST":
        return content.startswith(b"adtl")
    if name == "bext":
        return any(content[_TIME_REFERENCE])
    if name == "iXML":
        return any(element in content for element in _POSITIONS)
    if name == "cart":
        return any(content[_POST_TIMERS])
    if name == "axml":
        return b"rtime" in content
    return name in ("cue ", "smpl")
