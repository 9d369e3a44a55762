"""What a file is, told from its first bytes."""

from __future__ import annotations

from convtool.errors import InputError

HEAD = 512
"""Bytes that are enough to tell."""

_AUDIO = {
    b"RIFF": "WAV",
    b"RIFX": "WAV",
    b"RF64": "RF64",
    b"FORM": "AIFF",
    b"fLaC": "FLAC",
    b"OggS": "OGG",
    b"ID3": "MP3",
    b".snd": "AU",
    b"dns.": "AU",
    b"caff": "CAF",
    b"riff": "W64",
    b"NIST_1A": "NIST",
    b"Creative Voice File": "VOC",
    b"\x64\xa3": "IRCAM",
    b".SD\x00": "SD2",
}

_OTHERS = (
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself: run 'git lfs pull'"),
    (b"PK\x03\x04", "a zip archive (.npz, .keras and .pt files are such)"),
    (b"\x89HDF\r\n", "an HDF5 file"),
    (b"%PDF", "a PDF document"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"\x1f\x8b", "a gzip archive: unpack it first"),
    (b"\x7fELF", "a program"),
    (b"\xff\xfe", "UTF-16 text: save it as UTF-8"),
    (b"\xfe\xff", "UTF-16 text: save it as UTF-8"),
)


def sniff(head: bytes) -> str | None:
    """The format that `head` shows: an audio format, ``NPY``, ``CSV``, or None where nothing is known.

    Raises InputError, naming what was found, where the content is certainly no signal.

    >>> sniff(b"RIFF$\\x00\\x00\\x00WAVEfmt ")
    'WAV'
    >>> sniff(b"4,1,2,5\\n")
    'CSV'
    """
    if not head:
        raise InputError("the file is empty: expected a signal")
    if head.startswith(b"\x93NUMPY"):
        return "NPY"
    for magic, name in _AUDIO.items():
        if head.startswith(magic) and (name == "NIST" or _is_binary(head)):  # else a word that begins a text
            return name
    if _is_mpeg(head):
        return "MP3"
    for magic, name in _OTHERS:
        if head.startswith(magic):
            raise InputError(f"the content is {name}; expected CSV, NPY or audio")
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head", b"<body")):
        raise InputError("the content is an HTML or XML page; expected CSV, NPY or audio")
    return None if _is_binary(head) else "CSV"


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


def _is_binary(head: bytes) -> bool:
    return any(byte < 32 and byte not in b"\t\n\r\x0c" for byte in head)
