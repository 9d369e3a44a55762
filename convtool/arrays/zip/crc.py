"""The CRC-32 of what is written in pieces, in any order, with zeros between them that nobody writes.

The register after n zero bytes is a linear function of the register before them, over the field of two elements
(the technique of zlib's crc32_combine). So the checksums of pieces are joined without their bytes, and a gap of any
length costs as many steps as its length has binary digits.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Sequence
from functools import lru_cache

_POLYNOMIAL = 0xEDB88320
_ONES = 0xFFFFFFFF


class PieceCrc:
    """The CRC-32 of `size` bytes, zeros but for the pieces that were heard of; pieces must not overlap."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._pieces: list[tuple[int, int, int]] = []
        self._lock = threading.Lock()

    def hear(self, offset: int, data: memoryview | bytes) -> None:
        """`data` stands at `offset`. Any thread may call it."""
        piece = offset, len(data), zlib.crc32(data)
        with self._lock:
            self._pieces.append(piece)

    def value(self) -> int:
        """The checksum of the whole.

        >>> crc = PieceCrc(9)
        >>> crc.hear(5, b"xyz")
        >>> crc.hear(1, b"ab")
        >>> crc.value() == zlib.crc32(b"\\0ab\\0\\0xyz\\0")
        True
        """
        total = at = 0
        for offset, length, crc in sorted(self._pieces):
            total = _after_zeros(total, offset - at)
            total = _shifted(total, length) ^ crc
            at = offset + length
        return _after_zeros(total, self._size - at)


def _after_zeros(crc: int, count: int) -> int:
    """The checksum `crc` of some bytes, with `count` zero bytes appended: the register is kept inverted."""
    return _shifted(crc ^ _ONES, count) ^ _ONES


def _shifted(register: int, count: int) -> int:
    """The register after `count` zero bytes."""
    power = 0
    while count:
        if count & 1:
            tables = _tables(power)
            register = (
                tables[0][register & 255]
                ^ tables[1][(register >> 8) & 255]
                ^ tables[2][(register >> 16) & 255]
                ^ tables[3][register >> 24]
            )
        count >>= 1
        power += 1
    return register


@lru_cache(maxsize=64)
def _tables(power: int) -> Sequence[Sequence[int]]:
    """What ``2 ** power`` zero bytes make of each byte of the register, at its four places."""
    if power:
        half = 1 << (power - 1)
        columns = [_shifted(_shifted(1 << bit, half), half) for bit in range(32)]
    else:
        columns = [_after_byte(1 << bit) for bit in range(32)]
    tables = []
    for place in range(4):
        table = [0] * 256
        for byte in range(1, 256):
            low = byte & -byte
            table[byte] = table[byte ^ low] ^ columns[8 * place + low.bit_length() - 1]
        tables.append(table)
    return tables


def _after_byte(register: int) -> int:
    for _ in range(8):
        register = register >> 1 ^ (_POLYNOMIAL if register & 1 else 0)
    return register
