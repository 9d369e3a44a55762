"""The chunks of a WAV file: what they say of the samples, and where these are.

Layout: Microsoft "Multimedia Programming Interface and Data Specifications 1.0" (RIFF); EBU Tech 3306 (RF64 and ds64);
ITU-R BS.2088 (BW64).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from convtool.errors import InputError
from convtool.files.names import counted
from convtool.files.recognition import Peek
from convtool.signals.metadata import KEPT_CHUNKS, OTHER_CHUNKS, Metadata
from convtool.signals.wav.format import FORMAT_BYTES, SampleFormat, as_raw, channel_mask, parse_format

UNKNOWN_SIZE = 0xFFFFFFFF

_KEPT_BYTES = 1 << 20
"""As long as a chunk may be that is kept beside the samples."""

_KEPT = frozenset(name.encode() for name in KEPT_CHUNKS)
_SILENT = frozenset(name.encode() for name in OTHER_CHUNKS)


@dataclass(frozen=True)
class Layout:
    """What the chunks of a WAV say."""

    format: str
    """``WAV``, ``WAVEX`` (the extensible format) or ``RF64``."""
    samples: SampleFormat
    data: tuple[tuple[int, int | None], ...]
    """Where samples begin and how many bytes they take; None up to the file's end."""
    missing: tuple[int, int] | None = field(default=None)
    """Bytes that are declared and bytes that are there, where these are fewer."""
    kept: tuple[tuple[str, bytes], ...] = ()
    """Chunks that say something of the recording."""
    passed_over: tuple[str, ...] = ()
    """Names of chunks that may, which go into no output."""
    notes: tuple[str, ...] = ()


def read_layout(peek: Peek, start: int, size: int | None) -> Layout | None:
    """What the WAV says that begins at byte `start`; None where libsndfile had better look at it.

    That is for encodings that are not numbers of NumPy, and where no samples are found.

    Args:
        peek: gives bytes of the file.
        start: behind an ID3 tag, or 0.
        size: of the file; None of a pipe, whose chunks behind the samples are not looked at.

    Raises:
        InputError: there is nothing that says what the samples are, or they are of a kind that nothing here reads.
    """
    described: bytes | None = None
    data: list[tuple[int, int | None]] = []
    kept: list[tuple[str, bytes]] = []
    passed_over: list[str] = []
    notes: list[str] = []
    nothing_else: bool | None = None  # of the chunks behind a first `data` of size 0, which are those behind all
    for name, at, length in _chunks(peek, start + 12, size):
        if name == b"fmt " and described is None:
            described = peek(at, min(length, FORMAT_BYTES))
        elif name in _KEPT:
            _keep(name.decode(), peek, at, length, kept, notes)
        elif name == b"data":
            if length == 0 and nothing_else is None:
                nothing_else = _is_empty(peek, at, length, size)
            open_ended = is_unstated(length) and not (length == 0 and nothing_else)
            data.append((at, None if open_ended else length))
            if size is None or open_ended:
                break
        elif name not in _SILENT:
            passed_over.append(name.decode().strip())
    if not data:
        return None
    if described is None:
        raise InputError(f"there is no chunk 'fmt ' in it, which says what its samples are: {as_raw(data[0][0])}")
    found = parse_format(described, data[0][0])
    if found is None:
        return None
    form = "RF64" if peek(start, 4) != b"RIFF" else "WAVEX" if found.extensible else "WAV"
    there, missing = _there(data, size)
    return Layout(form, found, there, missing, tuple(kept), tuple(dict.fromkeys(passed_over)), (*found.notes, *notes))


def read_told(peek: Peek, start: int, size: int) -> tuple[Metadata, int, tuple[str, ...]]:
    """What a WAV says of itself whose samples libsndfile reads: its chunks, the channel mask, and notes.

    The arguments are those of `read_layout`.
    """
    kept: list[tuple[str, bytes]] = []
    passed_over: list[str] = []
    notes: list[str] = []
    mask = 0
    for name, at, length in _chunks(peek, start + 12, size):
        if name == b"fmt ":
            mask = channel_mask(peek(at, min(length, FORMAT_BYTES)))
        elif name in _KEPT:
            _keep(name.decode(), peek, at, length, kept, notes)
        elif name == b"data" and is_unstated(length):
            break
        elif name not in _SILENT:
            passed_over.append(name.decode().strip())
    return Metadata.of_chunks(tuple(kept), tuple(dict.fromkeys(passed_over))), mask, tuple(notes)


def _keep(name: str, peek: Peek, at: int, length: int, kept: list[tuple[str, bytes]], notes: list[str]) -> None:
    """Keep a chunk, unless it is too long."""
    if length <= _KEPT_BYTES:
        kept.append((name, peek(at, length)))
    else:
        notes.append(f"chunk {name.strip()} is not kept: it has {counted(length, 'byte')}")


def find_description(peek: Peek, start: int, size: int) -> bytes:
    """The chunk ``fmt`` of the WAV that begins at byte `start` of a file of that `size`; nothing without one."""
    chunks = _chunks(peek, start + 12, size)
    return next((peek(at, min(length, FORMAT_BYTES)) for name, at, length in chunks if name == b"fmt "), b"")


def find_open_data(peek: Peek, start: int, size: int) -> int | None:
    """Where samples begin whose size is said to be 0, in the WAV from byte `start` on; None where it is another."""
    data = next(((at, length) for name, at, length in _chunks(peek, start + 12, size) if name == b"data"), None)
    return data[0] if data and data[1] == 0 and not _is_empty(peek, *data, size) else None


def _is_empty(peek: Peek, at: int, length: int, size: int | None) -> bool:
    """Whether samples of size 0 at byte `at` mean it: nothing but chunks stands behind them."""
    if length or size is None:
        return False
    for _, start, count in _chunks(peek, at, size):
        at = start + count
    return at in (size - 1, size)


def _there(
    data: list[tuple[int, int | None]], size: int | None
) -> tuple[tuple[tuple[int, int | None], ...], tuple[int, int] | None]:
    """The samples that are there, and what is missing of a size that was declared."""
    at, length = data[-1]
    if size is None or length is None or at + length <= size:
        return tuple(data), None
    return (*data[:-1], (at, size - at)), (length, size - at)


def _chunks(peek: Peek, at: int, size: int | None) -> Iterator[tuple[bytes, int, int]]:
    """Name, first byte and length of each chunk. A chunk of odd length may lack the byte that evens it out.

    Samples that are longer than 32 bits can tell have their length in the chunk ``ds64`` before them.
    """
    wide = UNKNOWN_SIZE
    while len(head := peek(at, 8)) == 8 and _is_name(head[:4]):
        name, length = head[:4], int.from_bytes(head[4:], "little")
        if name == b"data" and length == UNKNOWN_SIZE:
            length = wide
        elif name == b"ds64" and length >= 16:
            wide = int.from_bytes(peek(at + 16, 8), "little")
        yield name, at + 8, length
        at += 8 + length
        if length % 2 and not (_is_name(peek(at, 4)) and not _is_name(peek(at + 1, 4))):
            at += 1
        if size is not None and at >= size:
            return


def _is_name(name: bytes) -> bool:
    return len(name) == 4 and min(name) >= 32 and max(name) < 127


def is_unstated(size: int) -> bool:
    """Whether a writer that could not know `size` left it in the header; SoX says 0x7FFFF000 in whole frames."""
    return size in (0, UNKNOWN_SIZE, (1 << 64) - 1) or 0 <= 0x7FFFF000 - size < 1 << 16
