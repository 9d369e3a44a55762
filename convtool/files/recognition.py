"""What a file is, told from its first bytes: the one table of signatures for signals, kernels and weight files.

Nothing here guesses: content that fits no signature is `UNKNOWN`, and no library is asked what it makes of it. The
order of the tables matters: long and certain signatures come before those of two bytes, and text comes last.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from convtool.files.names import show

HEAD = 4096
"""Bytes that are enough to tell, but for what an ID3 tag stands in front of."""

Role = Literal["audio", "media", "text", "array", "arrays", "picture", "other"]

Peek = Callable[[int, int], bytes]
"""``peek(offset, count)``: bytes of the file anywhere, without reading it."""


@dataclass(frozen=True)
class Kind:
    """What a file is."""

    name: str
    """The format as libsndfile or convtool calls it (``WAV``, ``NPY``, ``zip``), or words for a message."""
    role: Role
    """What it holds: ``audio``, ``media`` (what FFmpeg decodes), ``text``, one ``array``, named ``arrays``, a
    ``picture``, or nothing that is read."""
    way_out: str = ""
    """What to do about a kind that is not read; ``{name}`` and ``{stem}`` stand for the file's."""
    demuxer: str = ""
    """FFmpeg's name of a container of media."""

    def refusal(self, path: str | None = None) -> str:
        """What the content of the file at `path` is, and what to do about it, for a message.

        >>> recognise(b"wvpk\\0\\0").refusal("take.wv")
        "the content is WavPack audio: ffmpeg -i take.wv take.wav makes a WAV of it, or pip install 'convtool[media]'"
        """
        name = show(os.path.basename(path)) if path else "FILE"
        way_out = self.way_out.format(name=name, stem=os.path.splitext(name)[0])
        return f"the content is {self.name}{': ' if way_out else ''}{way_out}"


def _audio(name: str) -> Kind:
    return Kind(name, "audio")


def media_kind(words: str, demuxer: str, way_out: str = "ffmpeg -i {name} {stem}.wav makes a WAV of it") -> Kind:
    """A recording that libsndfile can't decode and FFmpeg can."""
    return Kind(words, "media", f"{way_out}, or pip install 'convtool[media]'", demuxer)


def _other(words: str, way_out: str = "") -> Kind:
    return Kind(words, "other", way_out)


UNKNOWN = Kind("of no kind that convtool knows", "other", "raw numbers are read with --input-format raw:s16le and such")
TEXT = Kind("CSV", "text")
JSON = Kind("JSON", "text")
NPY = Kind("NPY", "array")
MP3 = _audio("MP3")
PICKLE = Kind("a pickle stream", "arrays")
ONNX = Kind("ONNX", "arrays")
SAFETENSORS = Kind("safetensors", "arrays")
ZIP = Kind("a zip archive", "arrays")
HDF5 = Kind("HDF5", "arrays")
MATLAB = Kind("a MATLAB file", "arrays")
TAR = Kind("a tar archive", "arrays")
GGUF = Kind("a GGUF file", "arrays")
_UTF16 = _other("UTF-16 text", "save it as UTF-8")
_PADDED = _other("text with bytes of zero in it", "tr -d '\\0' < {name} takes them out")
_TABLE = "pandas writes its columns as CSV or NPY"
_UNPACK = "unpack it first"

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_HDF5_PLACES = (0, 512, 1024, 2048)
"""Where the signature stands, behind a user block (HDF5 specification, "Superblock")."""

_SIGNATURES: tuple[tuple[bytes, Kind], ...] = (
    (b"\x93NUMPY", NPY),
    (b"RIFX", _audio("WAV")),
    (b".snd", _audio("AU")),
    (b"dns.", _audio("AU")),
    (b"caff", _audio("CAF")),
    (b"riff\x2e\x91\xcf\x11", _audio("W64")),
    (b"NIST_1A", _audio("NIST")),
    (b"Creative Voice File", _audio("VOC")),
    (b" paf", _audio("PAF")),
    (b"fap ", _audio("PAF")),
    (b"2BIT", _audio("AVR")),
    (b"Extended Instrument: ", _audio("XI")),
    (b"PVF1\n", _audio("PVF")),
    (b"ALawSoundFile**", _audio("WVE")),
    *((bytes([0x64, 0xA3, machine, 0]), _audio("IRCAM")) for machine in range(1, 6)),
    *((bytes([0, machine, 0xA3, 0x64]), _audio("IRCAM")) for machine in range(1, 6)),
    (b"PK\x03\x04", ZIP),
    (b"PK\x05\x06", ZIP),
    (b"MATLAB 5.0 MAT-file", MATLAB),
    (b"GGUF", GGUF),
    (b"version https://git-lfs", _other("a Git LFS pointer, not the file that it stands for", "run git lfs pull")),
    (b"wvpk", media_kind("WavPack audio", "wv")),
    (b"MAC ", media_kind("Monkey's Audio", "ape")),
    (b"TTA1", media_kind("True Audio", "tta")),
    (b"MPCK", media_kind("Musepack audio", "mpc8")),
    (b"MP+", media_kind("Musepack audio", "mpc")),
    (b"DSD ", media_kind("DSD audio (DSF)", "dsf")),
    (b"FRM8", media_kind("DSD audio (DSDIFF)", "iff")),
    (b"#!AMR", media_kind("AMR audio", "amr")),
    (b"ADIF", _other("AAC audio (ADIF)", "faad FILE makes a WAV of it")),
    (b".ra\xfd", media_kind("RealAudio", "rm")),
    (b"\x1a\x45\xdf\xa3", media_kind("Matroska or WebM", "matroska")),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", media_kind("WMA or other ASF media", "asf")),
    (b"FLV\x01", media_kind("Flash video", "flv")),
    (b"MThd", _other("MIDI: notes, not samples", "a synthesizer such as fluidsynth plays it into a WAV")),
    (b"PAR1", _other("a Parquet table", _TABLE)),
    (b"ARROW1", _other("an Arrow table", _TABLE)),
    (b"FEA1", _other("a Feather table", _TABLE)),
    (b"SQLite format 3", _other("an SQLite database", "sqlite3 -csv writes a query as CSV")),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", _other("an old Excel or other Office document", "save it as CSV")),
    (b"CDF\x01", _other("a NetCDF file", "xarray writes its variables as NPY or CSV")),
    (b"CDF\x02", _other("a NetCDF file", "xarray writes its variables as NPY or CSV")),
    (b"SIMPLE  =", _other("a FITS file", "astropy writes its arrays as NPY")),
    (b"%PDF", _other("a PDF document")),
    (b"\x89PNG\r\n\x1a\n", Kind("PNG", "picture")),
    (b"\xff\xd8\xff", Kind("JPEG", "picture")),
    *((magic, Kind("TIFF", "picture")) for magic in (b"II*\0", b"MM\0*", b"II+\0")),
    (b"GIF8", _other("a GIF picture", "save it as PNG")),
    (b"BM", _other("a BMP picture", "save it as PNG")),
    (b"\x1f\x8b", _other("a gzip archive", _UNPACK)),
    (b"BZh", _other("a bzip2 archive", _UNPACK)),
    (b"\xfd7zXZ\0", _other("an xz archive", _UNPACK)),
    (b"\x28\xb5\x2f\xfd", _other("a zstd archive", _UNPACK)),
    (b"7z\xbc\xaf\x27\x1c", _other("a 7z archive", _UNPACK)),
    (b"Rar!\x1a\x07", _other("a RAR archive", _UNPACK)),
    (b"\x7fELF", _other("a program")),
    (b"MZ", _other("a program")),
    (b"\x01\x04", _audio("MPC2K")),
    (b"\xf0\x7e", _audio("SDS")),
)
"""What begins with these bytes. Those of a few letters could begin a text too, so text is told first."""

_BY_FIRST: dict[int, list[tuple[bytes, Kind]]] = {}
for _magic, _kind in _SIGNATURES:
    _BY_FIRST.setdefault(_magic[0], []).append((_magic, _kind))

_CERTAIN = (b"version https://git-lfs", b"NIST_1A", b"%PDF")
"""Signatures of kinds that begin as text does."""

_RIFF = {
    b"WAVE": _audio("WAV"),
    b"AVI ": media_kind("AVI video", "avi"),
    b"WEBP": _other("a WebP picture", "save it as PNG"),
    b"sfbk": _other("a SoundFont", "play it into a WAV"),
    b"RMID": _other("MIDI: notes, not samples", "a synthesizer such as fluidsynth plays it into a WAV"),
}
_IFF = {b"AIFF": _audio("AIFF"), b"AIFC": _audio("AIFF"), b"8SVX": _audio("SVX"), b"16SV": _audio("SVX")}
_OGG = (
    (b"\x01vorbis", _audio("OGG")),
    (b"OpusHead", _audio("OGG")),
    (b"\x7fFLAC", media_kind("FLAC in Ogg", "ogg", "ffmpeg -i {name} {stem}.flac takes the FLAC out of it")),
    (b"Speex   ", media_kind("Speex in Ogg", "ogg")),
    (b"\x80theora", media_kind("Ogg video", "ogg")),
)
_FLAT_BUFFERS = {
    b"TFL3": _other("a TensorFlow Lite model", "the model that it was converted from holds the weights"),
    b"ORTM": _other("a model in ONNX Runtime's own format", "the ONNX model that it was made from holds the weights"),
    b"ET12": _other("an ExecuTorch program", "the model that it was exported from holds the weights"),
}
"""FlatBuffers of weights, by the identifier that follows the place of the root."""

_SAVED_MODEL = re.compile(rb"\x08\x01\x12[\x80-\xff]{0,4}[\0-\x7f]\n")
"""The schema's version and a graph that begins with its description, where an ONNX model would have its producer."""
_CONTROL = re.compile(rb"[^\t\n\f\r\x20-\xff]")
_HTML = (b"<!doctype", b"<html", b"<?xml", b"<head", b"<body", b"<svg")


def recognise(head: bytes, peek: Peek | None = None) -> Kind:
    """What the file is whose first bytes are `head`; `UNKNOWN` where no signature fits.

    Args:
        head: `HEAD` bytes, or all that there are; at least one.
        peek: more of the file, to look behind an ID3 tag; without it, what a tag precedes is taken for MP3.

    >>> recognise(b"RIFF$\\x00\\x00\\x00WAVEfmt ").name
    'WAV'
    >>> recognise(b"4,1,2,5\\n").name
    'CSV'
    >>> recognise(b"PAR1\\x15\\x04").name
    'a Parquet table'
    """
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) and not _is_mpeg(head):
        return _UTF16
    if not is_binary(head):
        return _of_text(head)
    if (behind := id3_length(head)) > 0:
        return _behind_id3(behind, peek)
    found = _of_container(head)
    if found is None:
        found = next((kind for magic, kind in _BY_FIRST.get(head[0], ()) if head.startswith(magic)), None)
    return found or _weakly(head)


def bears_signature(head: bytes) -> bool:
    """Whether `head` names its kind in four bytes or more, as raw numbers do once in millions of files.

    >>> bears_signature(b"RIFF$\\x00\\x00\\x00WAVEfmt "), bears_signature(b"\\x01\\x04\\x00\\x00")
    (True, False)
    """
    signed = any(len(magic) >= 4 and head.startswith(magic) for magic, _ in _BY_FIRST.get(head[0], ()))
    return signed or id3_length(head) > 0 or _of_container(head) is not None


def id3_length(head: bytes) -> int:
    """Bytes of the ID3v2 tag that `head` begins with, 0 where there is none (id3.org, "ID3v2.4.0", section 3.1)."""
    if len(head) < 10 or not head.startswith(b"ID3") or max(head[6:10]) > 127:
        return 0
    size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    return 10 + size + 10 * (head[5] >> 4 & 1)


def is_binary(head: bytes) -> bool:
    """Whether `head` holds bytes that no text has."""
    return _CONTROL.search(head) is not None


def _of_text(head: bytes) -> Kind:
    for magic in _CERTAIN:
        if head.startswith(magic):
            return next(kind for signature, kind in _SIGNATURES if signature == magic)
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith(_HTML):
        return _other("an HTML or XML page", "download the file itself")
    r_vector = start.startswith(b"[1] ")  # as R prints numbers
    return JSON if start.startswith((b"{", b"[")) and not r_vector else TEXT


def _behind_id3(length: int, peek: Peek | None) -> Kind:
    """What follows the tag, or MP3, which is what tags are made for; padding may stand between."""
    behind = peek(length, HEAD) if peek else b""
    if not behind:
        return MP3
    kind = recognise(behind, lambda offset, count: peek(length + offset, count) if peek else b"")
    return kind if kind.role == "audio" or behind.startswith(b"fLaC") else MP3


def _of_container(head: bytes) -> Kind | None:
    """What a container of several formats holds, by its inner type."""
    first, inner = head[:4], head[8:12]
    if first == b"RIFF":
        return _RIFF.get(inner, _other("a RIFF file of a type that convtool does not know"))
    if first in (b"RF64", b"BW64") and inner == b"WAVE":
        return _audio("RF64")
    if first == b"FORM":
        return _IFF.get(inner, _other(f"an IFF file of type {inner.decode('latin-1')!r}, which holds no samples"))
    if first == b"OggS":
        page = head[28:]
        return next((kind for magic, kind in _OGG if page.startswith(magic)), media_kind("Ogg of another codec", "ogg"))
    if first == b"fLaC":
        return _flac(head)
    if head[4:8] == b"ftyp":
        return media_kind("MP4 or QuickTime media (AAC or ALAC audio)", "mov")
    if head[4:8] in _FLAT_BUFFERS:
        return _FLAT_BUFFERS[head[4:8]]
    if any(head[at : at + 8] == _HDF5_SIGNATURE for at in _HDF5_PLACES):
        return HDF5
    return None


def _flac(head: bytes) -> Kind:
    """FLAC, by the bits of its samples in STREAMINFO (RFC 9639, section 8.2): libsndfile decodes whole bytes alone."""
    bits = ((head[20] & 1) << 4 | head[21] >> 4) + 1 if len(head) > 21 else 16
    if bits in (8, 16, 24):
        return _audio("FLAC")
    return media_kind(f"FLAC of {bits} bits", "flac", "ffmpeg -i {name} -c:a pcm_s32le {stem}.wav makes a WAV of it")


def _weakly(head: bytes) -> Kind:
    """Kinds without a signature of their own, told by fields that must have certain values."""
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 32:
        return SAFETENSORS
    if head[:1] == b"\x80" and head[1:2] in (b"\2", b"\3", b"\4", b"\5"):  # the opcode PROTO and its argument
        return PICKLE
    if head[257:262] == b"ustar":
        return TAR
    if len(head) > 3 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0 and head[2] & 0x3C < 0x34:
        return media_kind("AAC audio (ADTS)", "aac")
    if _is_mpeg(head) or _is_mpeg(head.lstrip(b"\0")):
        return MP3
    if _is_matlab_4(head):
        return MATLAB
    if _SAVED_MODEL.match(head):
        return _other("a TensorFlow SavedModel", "tf2onnx makes an ONNX model of it")
    if head[0] == 8 and head[1:2] < b"\x20":  # the field ir_version of ModelProto
        return ONNX
    if holds_mpeg_frames(head):
        return MP3
    padded = not is_binary(head.replace(b"\0", b"")) and head.count(b"\0") < len(head) // 4 and b"\n" in head
    return _PADDED if padded else UNKNOWN


def _is_mpeg(head: bytes) -> bool:
    """An MPEG audio frame header: 11 bits of sync, then a layer, a bit rate and a sample rate that exist."""
    return (
        len(head) >= 4
        and head[0] == 0xFF
        and head[1] & 0xE0 == 0xE0
        and head[1] & 0x06 != 0
        and head[2] & 0xF0 != 0xF0
        and head[2] & 0x0C != 0x0C
        and not (head[:2] == b"\xff\xfe" and head[3:6:2] == b"\0\0")  # UTF-16 text
    )


_BIT_RATES = {
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""Kilobits a second by version and layer (ISO/IEC 11172-3 and 13818-3); layer III of version 2 has those of II."""


def holds_mpeg_frames(head: bytes, *, at_start: bool = False) -> bool:
    """Whether three MPEG audio frames stand one behind the other, as in a stream that was cut out of another.

    With `at_start` the first of them must be what `head` begins with.
    """
    at = head.find(b"\xff")
    while at == 0 or (at > 0 and not at_start):
        end, frames = at, 0
        while frames < 3 and (length := _frame_length(head[end : end + 4])):
            end, frames = end + length, frames + 1
        if frames == 3:
            return True
        at = head.find(b"\xff", at + 1)
    return False


def _frame_length(header: bytes) -> int:
    """Bytes of the MPEG audio frame that begins with `header`; 0 where it is none, or does not tell its bit rate."""
    if not _is_mpeg(header) or header[1] & 0x18 == 0x08 or header[2] < 0x10:
        return 0
    version = (header[1] >> 3 & 3) ^ 3  # 0 is version 1, 1 is version 2, 3 is version 2.5
    layer = 4 - (header[1] >> 1 & 3)
    rate = (44100, 48000, 32000)[header[2] >> 2 & 3] // {0: 1, 1: 2, 3: 4}[version]
    bits = 1000 * _BIT_RATES[1 if version == 0 else 2, min(layer, 3 if version == 0 else 2)][(header[2] >> 4) - 1]
    padding = header[2] >> 1 & 1
    if layer == 1:
        return 4 * (12 * bits // rate + padding)
    return (144 if version == 0 or layer == 2 else 72) * bits // rate + padding


def _is_matlab_4(head: bytes) -> bool:
    """A level 4 MAT-file: type, rows, columns, an imaginary flag, and the length of a name that ends in NUL."""
    for order in ("little", "big"):
        fields = [int.from_bytes(head[at : at + 4], order) for at in range(0, 20, 4)]
        machine, rest = divmod(fields[0], 1000)
        digits = rest // 100, rest // 10 % 10, rest % 10
        plausible = machine in (0, 1) and digits[0] == 0 and digits[1] < 6 and digits[2] < 3
        if plausible and fields[3] < 2 and 1 < fields[4] <= 64 and fields[1] and fields[2]:
            name = head[20 : 20 + fields[4]]
            if len(name) == fields[4] and name[-1] == 0 and name[:-1].decode("latin-1").isidentifier():
                return True
    return False
