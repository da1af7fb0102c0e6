"""What requests carry, up to a limit."""

from __future__ import annotations

from allium.server.messages import Request


async def whole(request: Request, most: int) -> bytes | None:
    """All of a body; `None` where it has more than `most` bytes, of which no more is read then.

    Raises only what reading the body raises.
    """
    if (request.length or 0) > most:
        return None
    parts, size = [], 0
    async for part in request.body:
        size += len(part)
        if size > most:
            return None
        parts.append(part)
    return b"".join(parts)
