"""Answers as HTTP has them: what is told, with the network and the time, compressed where it is wanted and worth it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from zlib import crc32

from allium.portal.epoch import Epoch, members
from allium.portal.prepared import Prepared, Told
from allium.server.messages import CHUNK_BYTES, JSON, Answer

#: It is data, to be read by any page and to be shown by none.
HEADERS = {
    "content-type": JSON,
    "access-control-allow-origin": "*",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
#: Which answers are compressed; and how much of one may be made for who asks, which takes 1 ms for 64 KiB.
_LEAST_BYTES, _MOST_HEAD_BYTES = 1400, 64 << 10
_PIECE_BYTES = 64 << 10
#: How long anybody may keep an answer at most, in seconds.
_MOST_AGE = 30


def of_epoch(epoch: Epoch, told: Told, asked: Mapping[str, str], keep: bool = True) -> Answer:
    """An answer with the network as of an epoch; `asked` are the request's headers, `keep`: others may keep it."""
    now = int(time.time())
    if not keep:
        answer = _sent(_whole(epoch, now, told), told.tail, asked)
        answer.headers["cache-control"] = "no-store"
        return answer
    # The time of the answer is no part of what it says.
    tag = f'W/"{epoch.tag}-{crc32(told.head):08x}{told.tail.crc:08x}"'
    left = epoch.state.time + epoch.state.parameters.block_seconds - now
    if _has(asked.get("if-none-match", ""), tag):
        answer = Answer(304, {name: HEADERS[name] for name in HEADERS if name != "content-type"})
    else:
        answer = _sent(_whole(epoch, now, told), told.tail, asked)
    answer.headers["etag"] = tag
    answer.headers["vary"] = "accept-encoding"
    answer.headers["cache-control"] = f"public, max-age={max(0, min(left, _MOST_AGE))}"
    return answer


def bare(body: bytes) -> Answer:
    """An answer that is nothing but `body`."""
    if len(body) > CHUNK_BYTES:
        return Answer(200, dict(HEADERS), reader=_Memory(body), size=len(body))
    return Answer(200, dict(HEADERS), body, size=len(body))


class _Memory:
    """A long body: what is sent at once keeps others waiting, so it goes in pieces. A `BodyReader`."""

    file = None

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def read(self) -> bytes:
        """See `BodyReader`."""
        return self._body

    async def chunks(self) -> AsyncIterator[bytes]:
        """See `BodyReader`."""
        for start in range(0, len(self._body), _PIECE_BYTES):
            yield self._body[start : start + _PIECE_BYTES]
            await asyncio.sleep(0)

    def close(self) -> None:
        """See `BodyReader`."""


def refusal(status: int, reason: str) -> Answer:
    """An error, for people."""
    answer = bare(members(error=reason))
    answer.status = status
    answer.headers["cache-control"] = "no-store"
    return answer


def preflight() -> Answer:
    """To a page that asks whether it may."""
    answer = Answer(204, dict(HEADERS))
    answer.headers["access-control-allow-methods"] = "GET, POST"
    answer.headers["access-control-allow-headers"] = "content-type"
    answer.headers["access-control-max-age"] = "86400"
    return answer


def _whole(epoch: Epoch, now: int, told: Told) -> bytes:
    return b'{"network":' + epoch.network + b',"t":' + str(now).encode() + told.head


def _sent(head: bytes, tail: Prepared, asked: Mapping[str, str]) -> Answer:
    worth = len(head) + len(tail.raw) >= _LEAST_BYTES and len(head) <= _MOST_HEAD_BYTES
    if not worth or not _takes_gzip(asked.get("accept-encoding", "")):
        return bare(head + tail.raw)
    answer = bare(tail.after(head))
    answer.headers["content-encoding"] = "gzip"
    return answer


def _takes_gzip(accepted: str) -> bool:
    for each in accepted.split(","):
        name, _, rest = each.partition(";")
        if name.strip().lower() in ("gzip", "x-gzip"):
            return rest.replace(" ", "").lower() not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def _has(asked: str, tag: str) -> bool:
    """Whether a list of tags has one; compared weakly (RFC 9110 §13.1.2)."""
    if not asked:
        return False
    own = tag.removeprefix("W/")
    return asked.strip() == "*" or any(each.strip().removeprefix("W/") == own for each in asked.split(","))
