"""Onion requests to entry nodes over QUIC, one connection for each (`spec/client-network` §3, `spec/transports` §3)."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from allium import _native
from allium.client.errors import NetworkError
from allium.client.pool import Snode
from allium.client.transport import HttpAnswer

CONNECT_SECONDS = 3.0
#: A node that was not reached is not tried for so long.
WITHOUT_SECONDS = 600.0
#: What has not been answered for so long is perhaps not even there, and so long may a ping to it take.
_PATIENCE_SECONDS, _PING_SECONDS = 2.0, 2.0
#: Larger messages a stream does not carry.
_MAX_PAYLOAD_BYTES = 9_000_000
#: Requests under way, each of which a thread waits for.
_MOST_REQUESTS = 32
_MOST_CONNECTIONS = 8

T = TypeVar("T")


def _unread(asking: asyncio.Future[tuple[bool, bytes]]) -> None:
    """Nobody waits for this any more."""
    if not asking.cancelled():
        asking.exception()


class QuicEntries:
    """Connections to entry nodes, opened when they are first used."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` is in seconds from anywhere."""
        self._clock = clock
        self._threads = ThreadPoolExecutor(_MOST_REQUESTS, thread_name_prefix="quic")
        #: By Ed25519 key, the one used last at the end.
        self._connections: dict[bytes, _native.QuicClient] = {}
        self._opening: dict[bytes, asyncio.Lock] = {}
        #: Until when not to try.
        self._without: dict[bytes, float] = {}

    async def send(self, entry: Snode, payload: bytes, timeout: float) -> HttpAnswer | None:
        """The answer to an onion request, or `None` where it cannot be asked this way; `NetworkError` for none."""
        if entry.quic_port is None or len(payload) > _MAX_PAYLOAD_BYTES:
            return None
        connection = await self._connection(entry, entry.quic_port)
        if connection is None:
            return None
        asking = asyncio.ensure_future(self._wait(lambda: connection.request("onion_req", payload, timeout)))
        try:
            done, _ = await asyncio.wait([asking], timeout=_PATIENCE_SECONDS)
            if not done and not await self._is_alive(connection):
                # UDP does not tell that nobody is there.
                self._drop(entry, connection)
                asking.add_done_callback(_unread)
                return None
            ok, body = await asking
        except asyncio.CancelledError:
            asking.add_done_callback(_unread)
            raise
        except TimeoutError:
            # Perhaps nothing goes through any more; the next request finds out.
            self._drop(entry, connection)
            raise NetworkError(f"{entry}: no answer within {timeout:.0f} s") from None
        except ConnectionError:
            self._drop(entry, connection)
            return None
        if ok:
            return HttpAnswer(200, body)
        head, separator, rest = body.partition(b"\n\n")
        code = head.partition(b" ")[0]
        if not separator or not code.isdigit() or len(code) != 3:
            return HttpAnswer(500, body)
        return HttpAnswer(int(code), rest)

    async def _is_alive(self, connection: _native.QuicClient) -> bool:
        try:
            await self._wait(lambda: connection.request("snode_ping", b"", _PING_SECONDS))
        except (TimeoutError, ConnectionError):
            return False
        return True

    async def _connection(self, entry: Snode, port: int) -> _native.QuicClient | None:
        async with self._opening.setdefault(entry.ed25519, asyncio.Lock()):
            known = self._connections.pop(entry.ed25519, None)
            if known is not None:
                self._connections[entry.ed25519] = known
                return known
            if self._clock() < self._without.get(entry.ed25519, 0.0):
                return None
            opening = self._wait(
                lambda: _native.QuicClient(entry.ip, port, entry.ed25519, os.urandom(32), CONNECT_SECONDS)
            )
            try:
                opened = await opening
            except (ConnectionError, TimeoutError, ValueError):
                self._without = {key: until for key, until in self._without.items() if until > self._clock()}
                self._without[entry.ed25519] = self._clock() + WITHOUT_SECONDS
                return None
            self._connections[entry.ed25519] = opened
        while len(self._connections) > _MOST_CONNECTIONS:
            self._connections.pop(next(iter(self._connections))).close()
        return opened

    def _drop(self, entry: Snode, connection: _native.QuicClient) -> None:
        if self._connections.get(entry.ed25519) is connection:
            del self._connections[entry.ed25519]
        connection.close()

    async def _wait(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def close(self) -> None:
        """Ends all connections; what is under way ends with them."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()
        self._threads.shutdown(wait=False, cancel_futures=True)
