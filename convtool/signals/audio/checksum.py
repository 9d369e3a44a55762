"""Checksums that FLAC and Ogg put behind their bytes: remainders of a division of polynomials, no bit turned round.

W. W. Peterson, D. T. Brown, "Cyclic codes for error detection", Proceedings of the IRE 49 (1961).
"""

from __future__ import annotations

from functools import lru_cache


def crc(data: bytes | bytearray, polynomial: int, bits: int) -> int:
    """The remainder of `data` by `polynomial`; 0 of data that ends with its own, the highest byte first.

    Args:
        data: what is divided.
        polynomial: without its highest term; the bit 1 << k stands for x^k.
        bits: the power of its highest term, 8 or more.

    >>> hex(crc(b"123456789", 0x07, 8)), hex(crc(b"123456789", 0x8005, 16)), hex(crc(b"123456789", 0x04C11DB7, 32))
    ('0xf4', '0xfee8', '0x89a1897f')
    """
    remainder, table, mask, above = 0, _table(polynomial, bits), (1 << bits) - 1, bits - 8
    for byte in data:
        remainder = (remainder << 8 & mask) ^ table[remainder >> above ^ byte]
    return remainder


@lru_cache(maxsize=4)
def _table(polynomial: int, bits: int) -> list[int]:
    """What each byte does to the remainder."""
    whole = polynomial | 1 << bits
    table = []
    for byte in range(256):
        remainder = byte << bits - 8
        for _ in range(8):
            remainder <<= 1
            remainder ^= whole if remainder >> bits else 0
        table.append(remainder)
    return table
