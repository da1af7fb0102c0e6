"""A file server over QUIC while it can be reached so, by another route when not."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from allium.client.configs.community import Server
from allium.client.exchange import ServerRequest
from allium.client.servers import MAX_REPLY_BYTES, TIMEOUT, ReplyStream, Route, ServerUnreachableError
from allium.client.transfers.quic import QuicRoute
from allium.client.transfers.transfer import FileServer

#: For so long a server that was not there over QUIC is not tried again: a firewall costs the time of a handshake.
RETRY_SECONDS = 600.0


class QuicFirstRoute:
    """To one file server over QUIC; to it when that cannot be had, and to all others, by the other route.

    The server learns this machine's address, so its user has to have said so.
    """

    def __init__(
        self, server: FileServer, otherwise: Route, port: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`port`: UDP. `FileUrlError` for a key or URL that is none."""
        self._quic, self._otherwise = QuicRoute(server, otherwise, port), otherwise
        self._server = server.server
        self._clock = clock
        self._not_before = clock()

    @asynccontextmanager
    async def exchange(
        self, server: Server, request: ServerRequest, timeout: float = TIMEOUT, most: int = MAX_REPLY_BYTES
    ) -> AsyncIterator[ReplyStream]:
        """See `Route`."""
        async with AsyncExitStack() as stack:
            yield await self._reply(stack, server, request, timeout, most)

    async def _reply(
        self, stack: AsyncExitStack, server: Server, request: ServerRequest, timeout: float, most: int
    ) -> ReplyStream:
        if server == self._server and self._clock() >= self._not_before:
            try:
                return await stack.enter_async_context(self._quic.exchange(server, request, timeout, most))
            except ServerUnreachableError as error:
                if error.arrived:
                    raise
                self._not_before = self._clock() + RETRY_SECONDS
        return await stack.enter_async_context(self._otherwise.exchange(server, request, timeout, most))

    def disconnect(self) -> None:
        """Closes its connection over QUIC; the other route stays."""
        self._quic.disconnect()

    async def close(self) -> None:
        """Closes its connection, and the other route."""
        await self._quic.close()
