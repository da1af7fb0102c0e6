"""Streams of bytes over QUIC, as coroutines: for either end of protocols that are not HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from allium import _native

_Done = Callable[[BaseException | None, Any], None]


class StreamGivenUpError(ConnectionError):
    """The other end has given up the stream, and says why by a code; its connection stands."""

    def __init__(self, code: int) -> None:
        super().__init__(f"the other end gave up with {code}")
        self.code = code


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
        data: bytes = await outcome(lambda done: self._stream.read(most, seconds, done))
        return data

    async def write(self, data: bytes, seconds: float) -> None:
        """Sends all of it, as soon as the other end has room."""
        await outcome(lambda done: self._stream.write(data, seconds, done))

    async def finish(self, seconds: float) -> None:
        """Ends what is sent, and waits until the other end has it all."""
        await outcome(lambda done: self._stream.finish(seconds, done))

    def reset(self, code: int) -> None:
        """Gives up both ways, and says why."""
        self._stream.reset(code)


async def outcome(begin: Callable[[_Done], None]) -> Any:
    """What the engine tells of something that it was asked to do."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def settle(error: BaseException | None, value: Any) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error if value is None else StreamGivenUpError(value))

    def done(error: BaseException | None, value: Any) -> None:
        # The loop may have ended before its last answers came; nobody waits for them.
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, error, value)

    begin(done)
    return await future
