"""Connections that nobody can keep busy: who sends no request, or takes nothing of an answer, is cut off.

So is who sends what is none, whatever is being answered; and what is sent is looked at in pieces of some size only.
"""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame

#: The head of a request has to be there after it, and of an answer something taken, seconds.
HEAD_SECONDS, STALL_SECONDS = 20.0, 20.0
#: Connections that are open at the same time; of more than `server.MAX_CONNECTIONS` none is answered but with 503.
MAX_OPEN = 320
#: A chunked body may have some small chunks; all together they have to have so many bytes each.
_SMALL_CHUNKS, _CHUNK = 1024, 64
#: Of a body that is still coming when it was answered, bytes that are looked at, as a request may follow.
_MAX_REST = 1 << 20
#: Frames that are one message, where nobody has anything to say.
_MAX_FRAMES = 64


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


class _Reader(h11.Connection):
    """Requests out of bytes. A chunk takes longer to look at than the bytes of it, so there may not be too many."""

    _chunks = _bytes = 0

    def next_event(self) -> Any:
        """See `h11.Connection`."""
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._chunks = self._bytes = 0
        elif isinstance(event, h11.Data) and (event.chunk_start or self._chunks):
            self._chunks += event.chunk_start
            self._bytes += len(event.data)
            if self._chunks > _SMALL_CHUNKS + self._bytes // _CHUNK:
                raise h11.RemoteProtocolError("the chunks are too small")
        return event


class HttpWire(H11Protocol):
    """A connection with requests."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.conn = _Reader(h11.SERVER, self.config.h11_max_incomplete_event_size or 64 << 10)
        self._head, self._stall = _Clock(), _Clock()
        self._rest = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """As `asyncio.Protocol`."""
        super().connection_made(transport)
        if len(self.connections) > MAX_OPEN:
            transport.abort()
            return
        self._head.start(HEAD_SECONDS, transport)

    def data_received(self, data: bytes) -> None:
        """As `asyncio.Protocol`."""
        if self.transport.is_closing():
            return
        waits = self.cycle is None or self.cycle.response_complete
        if waits:
            self._head.start(HEAD_SECONDS, self.transport)
            if self.cycle is not None and self.conn.their_state is h11.SEND_BODY:
                self._rest += len(data)
                if self._rest > _MAX_REST:
                    # The answer is on its way; what still comes until it is cut off is not even looked at.
                    return
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before or self.transport.get_protocol() is not self:
            self._rest = 0
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

    def data_received(self, data: bytes) -> None:
        """As `asyncio.Protocol`."""
        if not self.transport.is_closing():
            super().data_received(data)

    def handle_cont(self, event: Frame) -> None:
        """One more frame of a message."""
        super().handle_cont(event)
        if len(self.frames) > _MAX_FRAMES:
            self.frames = []
            self.conn.fail(CloseCode.MESSAGE_TOO_BIG, "too many frames")
            self.handle_parser_exception()

    def handle_parser_exception(self) -> None:
        """What came is not what the protocol has (RFC 6455 §7.1.7)."""
        if self.conn.close_sent is None:
            # Nothing was agreed on yet, so there is nothing to close.
            self.queue.put_nowait({"type": "websocket.disconnect", "code": CloseCode.ABNORMAL_CLOSURE})
            self.transport.abort()
            return
        super().handle_parser_exception()

    def pause_writing(self) -> None:
        """As `asyncio.Protocol`."""
        super().pause_writing()
        # Pings are answered; who takes no answers may ask no more.
        self.transport.pause_reading()
        self._stall.start(STALL_SECONDS, self.transport)

    def resume_writing(self) -> None:
        """As `asyncio.Protocol`."""
        super().resume_writing()
        if not self.read_paused and not self.transport.is_closing():
            self.transport.resume_reading()
        self._stall.stop()

    def connection_lost(self, exc: Exception | None) -> None:
        """As `asyncio.Protocol`."""
        self._stall.stop()
        super().connection_lost(exc)
