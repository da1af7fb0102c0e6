"""The way in for onion requests with files in them, of which little is in memory at once."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from allium.files.api import FileApi
from allium.files.blobs import BlobsUnusableError
from allium.files.directory import FileReader
from allium.files.metrics import Metrics
from allium.files.service import FileService
from allium.files.spool import Spool
from allium.server import onion, onion_door
from allium.server.messages import Answer, BodyLostError, BodyReader, Request, failure
from allium.server.onion_door import OnionDoor, most_bytes, pieces, sealed

#: Up to here layers are opened and sealed at once; beyond, in a thread, and few at a time.
_SMALL_BYTES = 64 << 10
#: Large layers that are in memory at once. Each is there four times, for moments.
_LARGE = 2


class FilesOnionDoor(OnionDoor):
    """Answers what the network's nodes post."""

    def __init__(self, x25519_secret: bytes, service: FileService, api: FileApi, metrics: Metrics) -> None:
        super().__init__(x25519_secret, service.limits.file_bytes, api.answer, metrics)
        self._service = service
        self._large = asyncio.Semaphore(_LARGE)

    async def answer(self, request: Request) -> Answer:
        """The sealed answer, or a refusal in the clear; raises only what reading the body raises."""
        most = most_bytes(self._service.limits.file_bytes)
        if request.length is not None and request.length > most:
            return self.too_large()
        try:
            async with self._service.spool(hashed=False) as body:
                small = bytearray()
                async for chunk in request.body:
                    if body.size + len(small) + len(chunk) > most:
                        return self.too_large()
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
            return self.unreadable()
        except BlobsUnusableError:
            return failure(507)

    def _open_file(self, body: Spool) -> onion.Layer:
        return onion.open_layer(self._secret, body.path.read_bytes())

    async def _opened(self, layer: onion.Layer, held: AsyncExitStack | None) -> Answer:
        """`held`: the place among the large ones, if this has one."""
        answer = await self.inner(layer)
        if answer.reader is None:
            return sealed(layer.seal(onion.encode(answer, answer.body)))
        try:
            if answer.size <= _SMALL_BYTES:
                return sealed(layer.seal(onion.encode(answer, await answer.reader.read())))
            async with AsyncExitStack() as own:
                if held is None:
                    await own.enter_async_context(self._large)
                return await self._seal_large(layer, answer, answer.reader)
        except BodyLostError:
            missing = failure(503)
            return sealed(layer.seal(onion.encode(missing, missing.body)))
        finally:
            answer.reader.close()

    async def _seal_large(self, layer: onion.Layer, answer: Answer, reader: BodyReader) -> Answer:
        """Sealed into a file, from which it is sent however slowly the node reads."""
        plain = onion.encode(answer, await reader.read())
        whole = await asyncio.to_thread(layer.seal, plain)
        del plain
        async with self._service.spool(hashed=False) as spooled:
            async for piece in pieces(memoryview(whole)):
                await spooled.write(piece)
            await spooled.finish()
            # It stays while it is open, and has no name any more.
            kept = FileReader(spooled.path.open("rb", buffering=0), spooled.size)
        return Answer(200, dict(onion_door.HEADERS), reader=kept, size=len(whole))
