"""A connection of a file server: quick while it asks for nothing but plain downloads, then aiohttp's.

A download goes from the page cache to the socket in two system calls, where the socket has room for it; what it has no
room for follows as it drains, without being in this process's memory. The first request that is not plain, and all that
follow it, are answered by aiohttp.
"""

from __future__ import annotations

import asyncio
import io
import os
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from aiohttp.web_protocol import RequestHandler

from allium.files.quick_get import Download, QuickGet

#: Read at once from a connection that asks for downloads, and from one that may send files.
_QUICK_READ_BYTES = 8 << 10
_READ_BYTES = 256 << 10
#: At most so much of one file before others have their turn.
_AT_ONCE = 1 << 20


class Told(Protocol):
    """Who is told of an answer: its bytes, and how long it took."""

    def __call__(self, size: int, seconds: float) -> None:
        """An answer was sent."""


@dataclass(frozen=True, slots=True)
class QuickSettings:
    """What all quick connections of a server have."""

    quick: QuickGet
    told: Told
    #: A client was cut off because it reads too slowly.
    slow: Callable[[], None]
    #: Seconds after which the connection ends that says nothing between two requests.
    idle_seconds: float
    #: Seconds that the answer may take that has so many bytes.
    longest: Callable[[int], float]
    #: Around what the end of the server waits for.
    under_way: Callable[[], AbstractContextManager[None]]


class QuickHandler(RequestHandler):
    """A connection that is quick until something else than a plain download comes."""

    def __init__(self, settings: QuickSettings | None, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        #: `None` once it is aiohttp's.
        self._settings = settings
        self._idle_seconds = 0.0 if settings is None else settings.idle_seconds
        self._heard = 0.0
        self._timer: asyncio.TimerHandle | None = None
        #: The transport's, for what it cannot do itself; it is not ours to close.
        self._socket: socket.socket | None = None
        self._rest: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A connection begins."""
        super().connection_made(transport)
        self._heard = self._loop.time()
        if self._settings is not None:
            # asyncio allocates so much for each read; a quarter of a megabyte costs more than all else of a download.
            transport.max_size = _QUICK_READ_BYTES  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        """Answers at once what it can, and leaves all else to aiohttp."""
        settings = self._settings
        if settings is not None and self.transport is not None:
            download = settings.quick.find(data)
            if download is not None and self._answer(settings, download, self.transport):
                if self._timer is None:
                    # aiohttp's own timer counts from its last request.
                    self.keep_alive(True)
                    self._timer = self._loop.call_later(self._idle_seconds, self._look)
                return
            self._settings = None
            self.transport.max_size = _READ_BYTES  # type: ignore[attr-defined]
        super().data_received(data)

    def _answer(self, settings: QuickSettings, download: Download, transport: asyncio.Transport) -> bool:
        """Whether it is answered, or going to be; if not, nothing has been sent."""
        if self._rest is not None or transport.get_write_buffer_size():
            return False
        began = self._heard = self._loop.time()
        try:
            file = os.open(download.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        kept = False
        try:
            if not download.in_memory:
                if not _in_memory(file, download.size):
                    return False
                download.in_memory = True
            head, connection = settings.quick.head(download), self._socket or self._connection(transport)
            sent = body = 0
            try:
                sent = connection.send(head, socket.MSG_MORE)
                if sent == len(head):
                    body = os.sendfile(connection.fileno(), file, 0, min(download.size, _AT_ONCE))
            except BlockingIOError:
                pass  # there is no room for it now
            except OSError:
                # The client has gone, or the disk fails in the midst of it.
                transport.abort()
                return True
            if body == download.size:
                settings.told(body, self._loop.time() - began)
                return True
            transport.pause_reading()
            if sent < len(head):
                transport.write(head[sent:])
            self._rest = self._loop.create_task(self._finish(settings, transport, file, body, download.size, began))
            kept = True
            return True
        finally:
            if not kept:
                os.close(file)

    async def _finish(
        self,
        settings: QuickSettings,
        transport: asyncio.Transport,
        descriptor: int,
        sent: int,
        size: int,
        began: float,
    ) -> None:
        """Sends the rest of a file, and goes on with the connection."""
        with io.FileIO(descriptor, "rb") as file, settings.under_way():
            try:
                async with asyncio.timeout(settings.longest(size)):
                    more = await self._loop.sendfile(transport, file, sent, size - sent, fallback=False)
            except TimeoutError:
                settings.slow()
                more = 0
            except (OSError, RuntimeError):
                more = 0
            if sent + more < size:
                # Its end is the only way to say that the answer is not whole.
                transport.abort()
                return
        self._rest, self._heard = None, self._loop.time()
        settings.told(size, self._heard - began)
        if not transport.is_closing():
            transport.resume_reading()

    def _connection(self, transport: asyncio.Transport) -> socket.socket:
        told = transport.get_extra_info("socket")
        self._socket = socket.socket(told.family, told.type, told.proto, fileno=told.fileno())
        return self._socket

    def close(self) -> None:
        """Ends the connection once what is under way is done."""
        self._settings = None
        super().close()

    def connection_lost(self, exc: BaseException | None) -> None:
        """The connection has ended."""
        self._settings = None
        if self._socket is not None:
            self._socket.detach()
            self._socket = None
        if self._rest is not None:
            self._rest.cancel()
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def request_begun(self) -> None:
        """Aiohttp has read a request: from now on its own timer is enough."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        now = self._loop.time()
        left = (self._heard if self._rest is None else now) + self._idle_seconds - now
        if left > 0:
            self._timer = self._loop.call_later(left, self._look)
        else:
            self.force_close()


def _in_memory(file: int, size: int) -> bool:
    """Whether the file has its bytes, and the system has the first and the last of them in memory.

    One that is missing between them costs everybody one read of the disk; one that is not there at all is aiohttp's.
    """
    byte = bytearray(1)
    try:
        return all(os.preadv(file, [byte], place, os.RWF_NOWAIT) == 1 for place in (size - 1, 0))
    except OSError:
        return False
