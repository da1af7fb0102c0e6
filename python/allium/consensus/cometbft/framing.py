"""How messages stand on CometBFT's sockets: each behind its length, a varint of at most five bytes."""

from __future__ import annotations

import asyncio


class FramingError(ValueError):
    """Bytes that are no message, or one that is too long."""


async def read(reader: asyncio.StreamReader, most: int) -> bytes | None:
    """The next message of up to `most` bytes, `None` when the other side has ended; raises `FramingError`."""
    length = shift = 0
    while True:
        if not (byte := await reader.read(1)):
            return None
        length |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            break
        if (shift := shift + 7) > 28:
            raise FramingError("a length of more than five bytes")
    if length > most:
        raise FramingError(f"a message of {length} bytes")
    try:
        return await reader.readexactly(length)
    except asyncio.IncompleteReadError:
        return None


def delimited(body: bytes) -> bytes:
    """A message behind its length."""
    length, head = len(body), bytearray()
    while length > 0x7F:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([*head, length]) + body
