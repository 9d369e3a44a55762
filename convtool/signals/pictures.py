"""Pictures as grids of numbers, read and written by Pillow: rows come where a signal has its samples, columns where it
has its channels, and each colour is a grid of its own.

The numbers are those of the file, from 0 to 255 or 65535; nothing is scaled. Pictures are decoded in a child process,
which a file can crash.
"""

from __future__ import annotations

import io
import os
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from convtool.errors import InputError, OutputError, UsageError
from convtool.files.atomic import write_all
from convtool.files.names import counted
from convtool.files.source import Source
from convtool.isolation import SHARED_BYTES, Children, decodes_here
from convtool.signals.pcm import count_bad
from convtool.signals.signal import Block, Reader, Signal, Writer
from convtool.signals.tiff import read_pixels

if TYPE_CHECKING:
    import mmap

    from PIL.Image import Image

_MOST_PIXELS = 1 << 28
"""A picture is whole in memory; one that declares more pixels is a mistake, or is meant to fill it."""

_PLAIN = ("L", "LA", "RGB", "RGBA", "I;16", "I;16B", "I", "F")
"""The modes of Pillow whose pixels are numbers as they are."""

_FLOAT = "FLOAT"
_DEPTHS = {"PNG": ("8", "16"), "TIFF": ("8", "16", _FLOAT), "JPEG": ("8",)}
"""Bits of one number, by format, or floats of 32."""

_FULL = {"8": 255, "16": 65535}
_TURNED = 0x0112
"""The tag of EXIF that says how a camera was held."""

_SETTINGS: dict[str, dict[str, Any]] = {"JPEG": {"quality": 95, "subsampling": 0}}

_FAILURES = (OSError, SyntaxError, ValueError, struct.error, EOFError)
"""What Pillow raises of a damaged file, and of one that it can't write."""


class PictureReader(Reader):
    """A picture, upright. Colours that are stored otherwise come as red, green and blue; transparency is one more."""

    def __init__(self, source: Source, format: str, *, exact: bool = True) -> None:
        self._source = source
        self._pixels, self.notes, self.remarks = _decoded(source, format)
        height, width, *colours = self._pixels.shape
        self._at = 0
        is_real = self._pixels.dtype.kind == "f"
        self.signal = Signal(
            format=format,
            channels=width,
            dtype="float32" if is_real else "int64" if exact else "float64",
            frames=height,
            subtype={"uint8": "8", "uint16": "16"}.get(self._pixels.dtype.name, _FLOAT),
            batch=colours[0] if colours else None,
            layout="NTC",
        )

    def read(self, samples: int) -> Block:
        """The next rows, ``(columns, rows)`` or ``(colours, columns, rows)``."""
        rows = self._pixels[self._at : self._at + samples]
        self._at += len(rows)
        return rows.T.astype(self.signal.dtype)

    def close(self) -> None:
        self._source.close()


class _Rows(NamedTuple):
    """Rows of pixels ``(rows, columns, colours)`` as a picture holds them, and what they were."""

    pixels: NDArray[Any]
    clipped: int
    low: float
    high: float
    rounded: bool
    bad: int


class PictureWriter(Writer):
    """A grid, or a grid for each colour, as a picture: rounded to whole numbers and clipped to those that it holds.

    Floats of 32 bits, which a TIFF holds too, are neither.
    """

    measures = True

    def __init__(self, file: BinaryIO, signal: Signal, format: str, depth: str) -> None:
        colours, most = signal.batch or 1, 3 if format == "JPEG" else 4
        if colours > most or len(signal.leading) > 1 or (format == "JPEG" and colours == 2):
            raise InputError(
                f"a {format} picture holds 1 grid, or one for each of up to {most} colours; the result is "
                f"{counted(colours, 'grid')}: write .npy"
            )
        if depth != "8" and colours > 1:
            raise InputError(f"a {format} picture of {colours} colours is written with 8 bits; write .npy, or grey")
        self._pillow = _pillow()
        self._file = file
        self._format = format
        self._turned = signal.format == "NPY" and signal.layout == "NCT"
        self._depth = depth
        self._rows: list[_Rows] = []

    def encode(self, block: Block) -> _Rows:
        """Rows of pixels."""
        values = np.asarray(block if block.ndim == 3 else block[np.newaxis], np.float64)
        if self._depth == _FLOAT:
            return _as_floats(values)
        bad, _ = count_bad(values.reshape(-1, values.shape[-1]))
        low, high = (0.0, 0.0) if bad else (float(values.min()), float(values.max()))
        whole, full = np.rint(np.nan_to_num(values)), _FULL[self._depth]
        clipped = int(np.count_nonzero(whole < 0) + np.count_nonzero(whole > full))
        pixels = np.clip(whole, 0, full).astype(np.uint8 if self._depth == "8" else np.uint16)
        return _Rows(pixels.T, clipped, low, high, not np.array_equal(whole, values), bad)

    def write(self, encoded: _Rows) -> None:
        self._rows.append(encoded)
        self.clipped += encoded.clipped

    def clipping(self) -> str:
        """How many values the picture could not hold, and how far they go."""
        low, high = self._range()
        full = _FULL[self._depth]
        return f"{counted(self.clipped, 'value')} clipped to 0:{full}, the results go from {low:g} to {high:g}"

    def _range(self) -> tuple[float, float]:
        return min(rows.low for rows in self._rows), max(rows.high for rows in self._rows)

    def close(self) -> None:
        """Encode the picture, which is whole by now."""
        if bad := sum(rows.bad for rows in self._rows):
            if self._depth == _FLOAT:
                raise InputError(f"{counted(bad, 'result')} past what a float of 32 bits holds; write .npy")
            raise InputError(f"{counted(bad, 'result')} NaN or infinite, which a picture of bits can't hold; see --nan")
        low, high = self._range()
        if high - low <= 2 and any(rows.rounded for rows in self._rows):
            self.notes = [
                f"the results go from {low:g} to {high:g}, and were rounded to whole numbers; .tif with --subtype "
                "FLOAT, or .npy, holds them as they are"
            ]
        pixels = np.concatenate([rows.pixels for rows in self._rows])
        pixels = pixels.swapaxes(0, 1) if self._turned else pixels
        encoded = io.BytesIO()
        try:
            picture = self._pillow.fromarray(np.ascontiguousarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels))
            picture.save(encoded, self._format, **_SETTINGS.get(self._format, {}))
        except _FAILURES as error:
            size = f"{pixels.shape[1]} x {pixels.shape[0]}"
            raise OutputError(f"{self._format} can't be written of {size} pixels: {_reason(error)}") from error
        write_all(self._file, encoded.getbuffer())


def choose_depth(format: str, wanted: str | None, signal: Signal) -> str:
    """The bits of each number: those `wanted`, else the input's own where `format` holds them, else 8."""
    possible = _DEPTHS[format]
    if wanted is not None and wanted not in possible:
        raise UsageError(f"{format} can't hold subtype {wanted}; it can hold {', '.join(possible)} (bits)")
    own = signal.subtype if signal.subtype in possible and not signal.batch else "8"
    return wanted or own or "8"


def _as_floats(values: Block) -> _Rows:
    """Rows of floats of 32 bits; finite numbers that are past these are bad."""
    with np.errstate(over="ignore"):
        pixels = values.astype(np.float32)
    bad = int(np.count_nonzero(np.isinf(pixels) & np.isfinite(values)))
    return _Rows(pixels.T, 0, 0.0, 0.0, False, bad)


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise UsageError("a picture needs Pillow, which is not installed: pip install 'convtool[image]'") from error
    Image.MAX_IMAGE_PIXELS = None  # there is a limit of ours, which is told in one line
    return Image


class _Decoded(NamedTuple):
    """The numbers of a picture ``(rows, columns)`` or ``(rows, columns, colours)``, and what there is to say of it."""

    pixels: NDArray[Any]
    notes: list[str]
    remarks: list[str]


def _decoded(source: Source, format: str) -> _Decoded:
    _pillow()
    if format == "PNG" and source.head[24:26] in (b"\x10\2", b"\x10\4", b"\x10\6"):
        raise InputError("it is a PNG of 16 bits with colours, of which Pillow reads 8; save it with 8, or as grey")
    if decodes_here():
        with open(source.fileno(), "rb", closefd=False) as file:
            return _pixels(file, format)
    child = _CHILDREN.borrow()
    try:
        shape, dtype, notes, remarks = child.ask("decode", format, descriptor=source.fileno())
        pixels = np.empty(shape, dtype)
        left = pixels.reshape(-1).view(np.uint8)
        while left.size:
            count = child.ask("take")
            left[:count] = np.frombuffer(child.shared, np.uint8, count)
            left = left[count:]
        return _Decoded(pixels, notes, remarks)
    finally:
        _CHILDREN.give_back(child)


# In the child

_left = np.empty(0, np.uint8)


def _decode(_: mmap.mmap, descriptor: int, format: str) -> tuple[tuple[int, ...], str, list[str], list[str]]:
    global _left
    with os.fdopen(descriptor, "rb") as file:
        pixels, notes, remarks = _pixels(file, format)
    _left = np.ascontiguousarray(pixels).reshape(-1).view(np.uint8)
    return pixels.shape, pixels.dtype.str, notes, remarks


def _take(shared: mmap.mmap) -> int:
    """Bytes into the shared memory; as many as go there."""
    global _left
    taken, _left = _left[:SHARED_BYTES], _left[SHARED_BYTES:]
    np.frombuffer(shared, np.uint8)[: taken.size] = taken
    _left = _left if _left.size else np.empty(0, np.uint8)  # the picture goes once it is told
    return taken.size


_CHILDREN = Children({"decode": _decode, "take": _take})


def _pixels(file: BinaryIO, format: str) -> _Decoded:
    pillow = _pillow()
    from PIL import ImageOps

    notes: list[str] = []
    remarks: list[str] = []
    try:
        with _telling(notes):
            stored = read_pixels(file) if format == "TIFF" else None
        with _telling(notes), pillow.open(file, formats=(format,)) as picture:
            width, height = picture.size
            if width * height > _MOST_PIXELS:
                raise InputError(f"it has {width} x {height} pixels; at most {_MOST_PIXELS} are read")
            if (several := getattr(picture, "n_frames", 1)) > 1:
                notes.append(f"it holds {several} pictures; the first is read")
            if stored is not None and len(stored.bits) > (read := len(picture.getbands())):
                notes.append(f"its pixels are {len(stored.bits)} numbers, of which the first {read} are read")
            if (turned := picture.getexif().get(_TURNED, 1)) in range(2, 9):
                remarks.append(f"turned upright, as its EXIF says (orientation {turned})")
            pixels = np.asarray(ImageOps.exif_transpose(_plain(picture, notes)))
            return _Decoded(pixels if stored is None else stored.restored(pixels), notes, remarks)
    except _FAILURES as error:
        raise InputError(f"can't be decoded as {format}: {_reason(error)}") from error


@contextmanager
def _telling(notes: list[str]) -> Iterator[None]:
    """Turn what Pillow warns of into notes."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", UserWarning)
        yield
    notes += [str(warning.message).strip() for warning in told if issubclass(warning.category, UserWarning)]


def _plain(picture: Image, notes: list[str]) -> Image:
    """`picture` in a mode that is numbers of its pixels."""
    if picture.mode in _PLAIN:
        return picture
    if picture.mode == "1":
        return picture.convert("L")
    if picture.mode == "P":
        return picture.convert("RGBA" if "transparency" in picture.info else "RGB")
    notes.append(f"its colours are {picture.mode}, and were made RGB")
    return picture.convert("RGB")


def _reason(error: Exception) -> str:
    words = str(error).partition("\n")[0] or type(error).__name__
    return "it is damaged, or of a kind that Pillow lacks" if words.startswith("cannot identify image file") else words
