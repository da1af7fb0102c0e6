"""How blocks get from the sequencer to the others: plain HTTP. The sequencer's signature makes them true, not the way.

GET  /v1/blocks?after=HEIGHT&wait=SECONDS   a bencoded list of blocks, which may be empty after the wait
GET  /v1/snapshot                           [block, snapshot after it], bencoded; 404 while there is none
POST /v1/certificates                       an encoded certificate; 202, 400 with the reason, or 503: try again
"""

from __future__ import annotations

import aiohttp
from bencode2 import BencodeDecodeError, bdecode

from allium.appchain.certificates import Certificate
from allium.appchain.encoding import encode
from allium.appchain.types import Height
from allium.base import unreached
from allium.consensus import CertificateRefusedError

#: How long a question for blocks may wait for one.
WAIT_SECONDS = 20
_MAX_ANSWER = 256 << 20
_CONNECT_SECONDS = 5
_SUBMITTING = aiohttp.ClientTimeout(total=10, connect=_CONNECT_SECONDS)


class FeedError(Exception):
    """A feed that cannot be asked, or whose answer is none."""


class Feed:
    """A feed as one who follows sees it. Every method raises `FeedError`."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session, self.url = session, url.rstrip("/")

    async def blocks(self, after: Height, wait: int) -> list[bytes]:
        """Encoded blocks after a height. Nothing is known of them yet."""
        body = await self._get(f"/v1/blocks?after={after}&wait={wait}", wait)
        return [] if body is None else _items(body)

    async def snapshot(self) -> tuple[bytes, bytes] | None:
        """An encoded block and the snapshot after it; `None` when the feed has none yet."""
        body = await self._get("/v1/snapshot", 60)
        if body is None:
            return None
        items = _items(body)
        if len(items) != 2:
            raise FeedError("a snapshot comes with one block")
        return items[0], items[1]

    async def submit(self, certificate: Certificate) -> None:
        """Hands a certificate in; also raises `CertificateRefusedError`."""
        try:
            async with self._session.post(
                f"{self.url}/v1/certificates", data=encode(certificate), timeout=_SUBMITTING, allow_redirects=False
            ) as answer:
                if answer.status == 400:
                    raise CertificateRefusedError((await answer.content.read(1024)).decode(errors="replace"))
                if answer.status != 202:
                    raise FeedError(f"{self.url} answered {answer.status}")
        except (aiohttp.ClientError, TimeoutError) as error:
            raise FeedError(f"{self.url}: {unreached.words(error)}") from None

    async def _get(self, path: str, seconds: float) -> bytes | None:
        timeout = aiohttp.ClientTimeout(total=seconds + _CONNECT_SECONDS, connect=_CONNECT_SECONDS)
        try:
            async with self._session.get(self.url + path, timeout=timeout, allow_redirects=False) as answer:
                if answer.status == 404:
                    return None
                if answer.status != 200:
                    raise FeedError(f"{self.url} answered {answer.status}")
                parts, size = [], 0
                async for part in answer.content.iter_any():
                    parts.append(part)
                    size += len(part)
                    if size > _MAX_ANSWER:
                        raise FeedError(f"{self.url} sent more than {_MAX_ANSWER} bytes")
                return b"".join(parts)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise FeedError(f"{self.url}: {unreached.words(error)}") from None


def _items(body: bytes) -> list[bytes]:
    try:
        items = bdecode(body)
    except (BencodeDecodeError, ValueError):
        items = None
    if not isinstance(items, list) or not all(isinstance(item, bytes) for item in items):
        raise FeedError("the answer is no list of blocks")
    return items
