"""Streams of bytes over QUIC, as coroutines: what a server is asked in protocols that are not HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from allium import _native

_Done = Callable[[BaseException | None, Any], None]


class Listener:
    """A UDP port, and the streams that clients open there."""

    def __init__(
        self, ip: str, port: int, ed25519_seed: bytes, alpn: str, connections: int, connections_per_address: int
    ) -> None:
        """Clients offer the application protocol `alpn`, and know the server by its Ed25519 key.

        Raises `OSError` when the port cannot be had. Needs a running event loop.
        """
        self._listener = _native.QuicListener(ip, port, ed25519_seed, alpn, connections, connections_per_address)

    async def accept(self) -> Stream | None:
        """The next stream; `None` once it is closed."""
        stream: _native.QuicStream | None = await _outcome(self._listener.accept)
        return None if stream is None else Stream(stream)

    def leave(self) -> None:
        """Accepts nobody any more; connections that stand go on."""
        self._listener.leave()

    def close(self) -> None:
        """Ends all connections."""
        self._listener.close()


class Stream:
    """One stream. What it awaits raises `TimeoutError` after `seconds`, `ConnectionError` once it has been given up."""

    def __init__(self, stream: _native.QuicStream) -> None:
        self._stream = stream

    @property
    def address(self) -> str:
        """The IP address of the other end."""
        return self._stream.address

    async def read(self, most: int, seconds: float) -> bytes:
        """What has come, up to `most` bytes; empty at the end."""
        data: bytes = await _outcome(lambda done: self._stream.read(most, seconds, done))
        return data

    async def write(self, data: bytes, seconds: float) -> None:
        """Sends all of it, as soon as the other end has room."""
        await _outcome(lambda done: self._stream.write(data, seconds, done))

    async def finish(self, seconds: float) -> None:
        """Ends what is sent, and waits until the other end has it all."""
        await _outcome(lambda done: self._stream.finish(seconds, done))

    def reset(self, code: int) -> None:
        """Gives up both ways, and says why."""
        self._stream.reset(code)


async def _outcome(begin: Callable[[_Done], None]) -> Any:
    """What the engine tells of something that it was asked to do."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def settle(error: BaseException | None, value: Any) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)

    def done(error: BaseException | None, value: Any) -> None:
        # The loop may have ended before its last answers came; nobody waits for them.
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, error, value)

    begin(done)
    return await future
