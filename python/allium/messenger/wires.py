"""Connections that nobody can keep busy: who sends no request, or takes nothing of an answer, is cut off."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

#: The head of a request has to be there after it, and of an answer something taken, seconds.
HEAD_SECONDS, STALL_SECONDS = 20.0, 20.0


class _Clock:
    """One thing that has to happen in time."""

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None

    def start(self, seconds: float, transport: asyncio.Transport) -> None:
        """Cuts the connection off after so long."""
        if self._timer is None:
            # `close` would wait until all was taken.
            self._timer = asyncio.get_running_loop().call_later(seconds, transport.abort)

    def stop(self) -> None:
        """It has happened."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class HttpWire(H11Protocol):
    """A connection with requests."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._head, self._stall = _Clock(), _Clock()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """As `asyncio.Protocol`."""
        super().connection_made(transport)
        self._head.start(HEAD_SECONDS, transport)

    def data_received(self, data: bytes) -> None:
        """As `asyncio.Protocol`."""
        waits = self.cycle is None or self.cycle.response_complete
        if waits:
            self._head.start(HEAD_SECONDS, self.transport)
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before or self.transport.get_protocol() is not self:
            self._head.stop()

    def send_400_response(self, msg: str) -> None:
        """Refuses what turned out to be no request, perhaps while it is being answered."""
        if self.cycle is not None and not self.cycle.response_complete:
            # What answers it would write after the refusal.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.close()

    def pause_writing(self) -> None:
        """As `asyncio.Protocol`."""
        super().pause_writing()
        self._stall.start(STALL_SECONDS, self.transport)

    def resume_writing(self) -> None:
        """As `asyncio.Protocol`."""
        super().resume_writing()
        self._stall.stop()

    def connection_lost(self, exc: Exception | None) -> None:
        """As `asyncio.Protocol`."""
        self._head.stop()
        self._stall.stop()
        super().connection_lost(exc)


class EventsWire(WebSocketsSansIOProtocol):
    """A connection with events."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._stall = _Clock()

    def pause_writing(self) -> None:
        """As `asyncio.Protocol`."""
        super().pause_writing()
        self._stall.start(STALL_SECONDS, self.transport)

    def resume_writing(self) -> None:
        """As `asyncio.Protocol`."""
        super().resume_writing()
        self._stall.stop()

    def connection_lost(self, exc: Exception | None) -> None:
        """As `asyncio.Protocol`."""
        self._stall.stop()
        super().connection_lost(exc)
