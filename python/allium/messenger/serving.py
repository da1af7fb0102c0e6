"""Answers with files: whole or in ranges, in pieces, and so that no browser runs anything of them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from allium.messenger import content, sealed
from allium.messenger.errors import ApiError, unknown

_PIECE = 256 << 10
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
#: Whatever is in the file, a browser that shows it has it do nothing.
SANDBOX = "sandbox; default-src 'none'"


async def file(request: Request, path: Path, key: bytes, name: str, told: str) -> Response:
    """A file on this machine as the answer, sealed under `key` or not; `told` is the type that its sender says.

    `ApiError` if it is gone.
    """
    try:
        found = await asyncio.to_thread(sealed.opened, path, key)
    except OSError:
        raise ApiError("unknown", "The file is not here any more; fetch it again.") from None
    try:
        kind = content.kind(await asyncio.to_thread(found.read, 0, content.HEAD), told)
        start, end = bounds(request.headers.get("range"), found.size)
    except BaseException:
        found.close()
        raise
    partial = (start, end) != (0, found.size)
    headers = safe_headers(kind, name) | {"Accept-Ranges": "bytes", "Content-Length": str(end - start)}
    if partial:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{found.size}"
    status = 206 if partial else 200
    return _FileResponse(found, start, end, status_code=status, headers=headers, media_type=kind)


def safe_headers(kind: str, name: str) -> dict[str, str]:
    """Of whatever came from others."""
    return {
        "Content-Disposition": content.disposition(name, shown=content.is_shown(kind)),
        "Content-Security-Policy": SANDBOX,
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, no-store",
    }


def picture(data: bytes) -> Response:
    """A small picture of somebody else's; `ApiError` for what is none."""
    kind = content.kind(data[: content.HEAD])
    if not kind.startswith("image/"):
        raise unknown("picture")
    # Another picture has another URL.
    headers = safe_headers(kind, "picture") | {"Cache-Control": "private, max-age=86400"}
    return Response(data, media_type=kind, headers=headers)


def bounds(wanted: str | None, size: int) -> tuple[int, int]:
    """The first byte and the one behind the last that are wanted; `ApiError` for what is not there.

    What is no range of bytes, and more than one of them, is answered whole.
    """
    found = _RANGE.fullmatch(wanted.strip()) if wanted else None
    if found is None or found.group(0) == "bytes=-":
        return 0, size
    first, last = found.groups()
    start = max(0, size - int(last)) if not first else int(first)
    end = size if not first or not last else min(size, int(last) + 1)
    if start >= end:
        raise RangeError(size)
    return start, end


class RangeError(ApiError):
    """There are no such bytes."""

    def __init__(self, size: int) -> None:
        super().__init__("range", f"The file has {size} bytes.")
        self.headers["Content-Range"] = f"bytes */{size}"


async def _pieces(found: sealed.Readable, start: int, end: int) -> AsyncIterator[bytes]:
    while start < end:
        piece = await asyncio.to_thread(found.read, start, min(_PIECE, end - start))
        if not piece:
            return
        start += len(piece)
        yield piece


class _FileResponse(StreamingResponse):
    """Closes the file however it ends, of who is gone before the first piece too."""

    def __init__(self, found: sealed.Readable, start: int, end: int, **options: Any) -> None:
        super().__init__(_pieces(found, start, end), **options)
        self._found = found

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._found.close()
