"""The way in for onion requests: opened, answered as any other, and sealed."""

from __future__ import annotations

from collections.abc import AsyncIterator

from allium.server import onion
from allium.server.messages import CHUNK_BYTES, Answer, Answerer, Request, failure, text
from allium.server.metrics import ServerMetrics

#: Of what a node is answered.
HEADERS = {"content-type": "application/octet-stream", "x-content-type-options": "nosniff"}


def most_bytes(body: int) -> int:
    """How large a layer may be whose request has a body of so many bytes."""
    return body * 4 // 3 + onion.OVERHEAD_BYTES


class OnionDoor:
    """Answers what the network's nodes post, of which each is in memory."""

    def __init__(self, x25519_secret: bytes, body_bytes: int, api: Answerer, metrics: ServerMetrics) -> None:
        """`body_bytes`: what the body of a request in a layer may have."""
        self._secret = x25519_secret
        self._most = most_bytes(body_bytes)
        self._api = api
        self._metrics = metrics

    async def answer(self, request: Request) -> Answer:
        """The sealed answer, or a refusal in the clear; raises only what reading the body raises."""
        if request.length is not None and request.length > self._most:
            return self.too_large()
        payload = bytearray()
        async for chunk in request.body:
            payload += chunk
            if len(payload) > self._most:
                return self.too_large()
        try:
            layer = onion.open_layer(self._secret, bytes(payload))
        except onion.LayerError:
            return self.unreadable()
        answer = await self.inner(layer)
        return sealed(layer.seal(onion.encode(answer, answer.body)))

    async def inner(self, layer: onion.Layer) -> Answer:
        """The answer to the request in a layer, to be sealed."""
        try:
            inner = onion.parse(layer.plaintext)
        except onion.MalformedError:
            answer = onion.malformed()
        else:
            body = pieces(inner.body)
            asked = Request(inner.method, inner.path, inner.query, inner.headers, len(inner.body), body)
            answer = await self._api(asked)
        kind = "content" if answer.reader is not None else "other"
        self._metrics.requests.labels("layer", kind, str(answer.status)).inc()
        return answer

    def too_large(self) -> Answer:
        """The refusal of a layer that is larger than any may be."""
        self._metrics.refused.labels("size").inc()
        return failure(413)

    def unreadable(self) -> Answer:
        """The refusal of what is no layer for this server."""
        self._metrics.refused.labels("layer").inc()
        return text(400, "Invalid ciphertext")


def sealed(body: bytes) -> Answer:
    """What a node is answered."""
    return Answer(200, dict(HEADERS), body, size=len(body))


async def pieces(body: memoryview) -> AsyncIterator[bytes]:
    """A body that is in memory, as one that comes."""
    for start in range(0, len(body), CHUNK_BYTES):
        yield bytes(body[start : start + CHUNK_BYTES])
