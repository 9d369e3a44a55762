"""What the tags of a TIFF say of its pixels: some kinds of numbers Pillow takes for others in silence.

Tags: Adobe, "TIFF 6.0", sections 8 and 19.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, BinaryIO

from numpy.typing import NDArray

from convtool.errors import InputError
from convtool.files.names import counted

_BITS, _LIGHT, _KIND = 258, 262, 339
_UNSIGNED, _SIGNED, _FLOAT = 1, 2, 3
_WORDS = {_UNSIGNED: "whole number", _SIGNED: "signed number", _FLOAT: "float"}
_WHITE_IS_ZERO = 0
_GREY = {
    **{(_UNSIGNED, bits): None for bits in (1, 2, 4, 8, 12, 16)},
    (_UNSIGNED, 32): "u4",
    (_SIGNED, 8): "i1",
    (_SIGNED, 16): None,
    (_SIGNED, 32): None,
    (_FLOAT, 32): None,
}
"""The kinds of grey that Pillow reads, and what it gives in their place: numbers of the same bits."""


@dataclass(frozen=True)
class TiffPixels:
    """The numbers of a pixel.

    Raises:
        InputError: Pillow does not read them, or not as they are.
    """

    bits: tuple[int, ...]
    """Of each of them."""
    kind: int
    white_is_zero: bool

    def __post_init__(self) -> None:
        grey = len(self.bits) == 1
        if (self.kind, *self.bits) in _GREY if grey else self.kind == _UNSIGNED and max(self.bits) <= 8:
            return
        numbers = counted(len(self.bits), _WORDS.get(self.kind, "number"))
        raise InputError(
            f"its pixels are {numbers} of {max(self.bits)} bits, which Pillow does not read as they are; save it "
            f"{'with 16, or as floats of 32' if grey else 'with 8, or as grey'}, or as .npy"
        )

    def restored(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """The numbers as the file has them, of those that Pillow gives."""
        stored = _GREY.get((self.kind, *self.bits)) if len(self.bits) == 1 else None
        if stored is not None:
            return pixels.view(stored)
        return 65535 - pixels if self.white_is_zero and self.bits == (16,) else pixels


def read_pixels(file: BinaryIO) -> TiffPixels:
    """What the first picture in the TIFF says of its pixels.

    Raises:
        InputError: Pillow does not read them, or not as they are.
    """
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    head = file.read(8)
    tags = ImageFileDirectory_v2(head + file.read(8) if head[2] == 43 else head)
    file.seek(tags.next)
    tags.load(file)
    file.seek(0)
    kinds = tags.get(_KIND, (_UNSIGNED,))
    return TiffPixels(tuple(tags.get(_BITS, (1,))), max(kinds), tags.get(_LIGHT) == _WHITE_IS_ZERO)
