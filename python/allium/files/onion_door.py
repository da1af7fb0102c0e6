"""The way in for onion requests: opened, answered as any other, and sealed, with little of it in memory at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

from allium.files import onion
from allium.files.api import Answer, FileApi, Request, failure, text
from allium.files.blobs import BlobMissingError, BlobReader, BlobsUnusableError
from allium.files.directory import FileReader
from allium.files.metrics import Metrics
from allium.files.service import FileService
from allium.files.spool import Spool

#: Up to here layers are opened and sealed at once; beyond, in a thread, and few at a time.
_SMALL_BYTES = 64 << 10
#: Large layers that are in memory at once. Each is there four times, for moments.
_LARGE = 2
_PIECE_BYTES = 256 << 10


class OnionDoor:
    """Answers what the network's nodes post."""

    def __init__(self, x25519_secret: bytes, service: FileService, api: FileApi, metrics: Metrics) -> None:
        self._secret = x25519_secret
        self._service = service
        self._api = api
        self._metrics = metrics
        self._large = asyncio.Semaphore(_LARGE)

    async def answer(self, request: Request) -> Answer:
        """The sealed answer, or a refusal in the clear; raises only what reading the body raises."""
        most = self._service.limits.file_bytes * 4 // 3 + onion.OVERHEAD_BYTES
        if request.length is not None and request.length > most:
            self._metrics.refused.labels("size").inc()
            return failure(413)
        try:
            async with self._service.spool(hashed=False) as body:
                small = bytearray()
                async for chunk in request.body:
                    if body.size + len(small) + len(chunk) > most:
                        self._metrics.refused.labels("size").inc()
                        return failure(413)
                    if not body.size and len(small) + len(chunk) <= _SMALL_BYTES:
                        small += chunk
                        continue
                    if small:
                        await body.write(bytes(small))
                        small.clear()
                    await body.write(chunk)
                if not body.size:
                    return await self._opened(onion.open_layer(self._secret, bytes(small)), None)
                await body.finish()
                async with AsyncExitStack() as held:
                    await held.enter_async_context(self._large)
                    layer = await asyncio.to_thread(self._open_file, body)
                    return await self._opened(layer, held)
        except onion.LayerError:
            self._metrics.refused.labels("layer").inc()
            return text(400, "Invalid ciphertext")
        except BlobsUnusableError:
            return failure(507)

    def _open_file(self, body: Spool) -> onion.Layer:
        return onion.open_layer(self._secret, body.path.read_bytes())

    async def _opened(self, layer: onion.Layer, held: AsyncExitStack | None) -> Answer:
        """`held`: the place among the large ones, if this has one."""
        try:
            inner = onion.parse(layer.plaintext)
        except onion.MalformedError:
            answer = onion.malformed()
        else:
            body = _pieces(inner.body)
            asked = Request(inner.method, inner.path, inner.query, inner.headers, len(inner.body), body)
            answer = await self._api.answer(asked)
        self._metrics.requests.labels("layer", inner_kind(answer), str(answer.status)).inc()
        if answer.reader is None:
            return _sealed(layer.seal(onion.encode(answer, answer.body)))
        try:
            if answer.size <= _SMALL_BYTES:
                return _sealed(layer.seal(onion.encode(answer, await answer.reader.read())))
            async with AsyncExitStack() as own:
                if held is None:
                    await own.enter_async_context(self._large)
                return await self._seal_large(layer, answer, answer.reader)
        except (BlobMissingError, BlobsUnusableError):
            missing = failure(503)
            return _sealed(layer.seal(onion.encode(missing, missing.body)))
        finally:
            answer.reader.close()

    async def _seal_large(self, layer: onion.Layer, answer: Answer, reader: BlobReader) -> Answer:
        """Sealed into a file, from which it is sent however slowly the node reads."""
        plain = onion.encode(answer, await reader.read())
        sealed = await asyncio.to_thread(layer.seal, plain)
        del plain
        async with self._service.spool(hashed=False) as spooled:
            async for piece in _pieces(memoryview(sealed)):
                await spooled.write(piece)
            await spooled.finish()
            # It stays while it is open, and has no name any more.
            kept = FileReader(spooled.path.open("rb", buffering=0), spooled.size)
        return Answer(200, dict(_HEADERS), reader=kept, size=len(sealed))


_HEADERS = {"content-type": "application/octet-stream", "x-content-type-options": "nosniff"}


def inner_kind(answer: Answer) -> str:
    """What is counted of a request in a layer: whether it was for the bytes of a file."""
    return "content" if answer.reader is not None else "other"


def _sealed(body: bytes) -> Answer:
    return Answer(200, dict(_HEADERS), body, size=len(body))


async def _pieces(body: memoryview) -> AsyncIterator[bytes]:
    for start in range(0, len(body), _PIECE_BYTES):
        yield bytes(body[start : start + _PIECE_BYTES])
