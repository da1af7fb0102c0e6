"""Parts of answers that are compressed before anybody asks: a stream of deflate is put together of them as they are.

The sum over the whole follows from the sums over its parts (RFC 1952; zlib's `crc32_combine`), so that an answer with
another time in front costs no more than that time.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

#: How well it is done once for many.
_LEVEL = 5
#: gzip's head: deflate, no time, no name, an unknown system.
_HEAD = bytes((0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255))
#: The polynomial of CRC-32, reflected; `_ONE` is 1 in that order of bits.
_POLYNOMIAL, _ONE = 0xEDB88320, 1 << 31


def _times(left: int, right: int) -> int:
    """The product of two polynomials over GF(2), modulo CRC-32's."""
    product, bit = 0, _ONE
    while bit:
        if left & bit:
            product ^= right
        bit >>= 1
        right = (right >> 1) ^ _POLYNOMIAL if right & 1 else right >> 1
    return product


def _powers() -> list[int]:
    """Powers of x: to 1, 2, 4, 8 and so on."""
    powers = [_ONE >> 1]
    for _ in range(63):
        powers.append(_times(powers[-1], powers[-1]))
    return powers


_POWERS = _powers()


def _shift(length: int) -> int:
    """The power of x by the number of bits in so many bytes: what a sum is multiplied by when they follow."""
    shift, place = _ONE, 3
    while length:
        if length & 1:
            shift = _times(_POWERS[place], shift)
        length >>= 1
        place += 1
    return shift


class Prepared:
    """The end of an answer, as it is and compressed."""

    __slots__ = ("_shift", "crc", "deflated", "raw")

    def __init__(self, raw: bytes) -> None:
        packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        self.raw = raw
        self.deflated = packer.compress(raw) + packer.flush()
        self.crc = zlib.crc32(raw)
        self._shift = _shift(len(raw))

    def after(self, head: bytes) -> bytes:
        """The gzip of `head` and this."""
        packer = zlib.compressobj(1, zlib.DEFLATED, -12, 5)
        deflated = packer.compress(head) + packer.flush(zlib.Z_SYNC_FLUSH)
        total = _times(self._shift, zlib.crc32(head)) ^ self.crc
        size = (len(head) + len(self.raw)) & 0xFFFFFFFF
        return b"".join((_HEAD, deflated, self.deflated, struct.pack("<II", total, size)))


#: The end of an answer of which nothing is prepared.
END = Prepared(b"}")


@dataclass(frozen=True, slots=True)
class Told:
    """The members of an answer: what is made for whoever asks, then what was prepared for all."""

    #: Each member after a comma.
    head: bytes = b""
    tail: Prepared = field(default=END)

    @classmethod
    def of(cls, members: bytes) -> Told:
        """Of an object of JSON."""
        return cls() if members == b"{}" else cls(b"," + members[1:-1])

    @classmethod
    def prepared(cls, members: bytes) -> Told:
        """Of one that many will ask for; not empty."""
        return cls(b"", Prepared(b"," + members[1:]))
