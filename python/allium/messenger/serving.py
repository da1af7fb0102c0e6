"""Answers with files: whole or in ranges, in pieces, and so that no browser runs anything of them."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from allium.messenger import content
from allium.messenger.errors import ApiError

_PIECE = 256 << 10
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
#: Whatever is in the file, a browser that shows it has it do nothing.
SANDBOX = "sandbox; default-src 'none'"


async def file(request: Request, path: Path, name: str, told: str) -> Response:
    """A file on this machine as the answer; `told` is the type that its sender says. `ApiError` if it is gone."""
    try:
        descriptor = await asyncio.to_thread(os.open, path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        raise ApiError("unknown", "The file is not here any more; fetch it again.") from None
    try:
        size = os.fstat(descriptor).st_size
        kind = content.kind(await asyncio.to_thread(_read, descriptor, 0, content.HEAD), told)
        start, end = bounds(request.headers.get("range"), size)
    except BaseException:
        os.close(descriptor)
        raise
    partial = (start, end) != (0, size)
    headers = safe_headers(kind, name) | {"Accept-Ranges": "bytes", "Content-Length": str(end - start)}
    if partial:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    return StreamingResponse(_pieces(descriptor, start, end), 206 if partial else 200, headers, media_type=kind)


def safe_headers(kind: str, name: str) -> dict[str, str]:
    """Of whatever came from others."""
    return {
        "Content-Disposition": content.disposition(name, shown=content.is_shown(kind)),
        "Content-Security-Policy": SANDBOX,
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, no-store",
    }


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


async def _pieces(descriptor: int, start: int, end: int) -> AsyncIterator[bytes]:
    try:
        while start < end:
            piece = await asyncio.to_thread(_read, descriptor, start, min(_PIECE, end - start))
            if not piece:
                return
            start += len(piece)
            yield piece
    finally:
        os.close(descriptor)


def _read(descriptor: int, start: int, length: int) -> bytes:
    os.lseek(descriptor, start, os.SEEK_SET)
    return os.read(descriptor, length)
