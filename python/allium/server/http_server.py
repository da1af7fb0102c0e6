"""HTTP for clients and for the network's nodes: limits on strangers, bodies as they come and go."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from allium.base import log
from allium.server import quota
from allium.server.messages import CHUNK_BYTES, Answer, Answerer, BodyLostError, Request, failure, not_allowed, text
from allium.server.metrics import ServerMetrics
from allium.server.onion import PATH as ONION_PATH
from allium.server.quota import QuotaError, SourceQuota
from allium.settings.server import ServerConfig

#: A connection that says nothing between two requests, or does not finish the head of one.
HEAD_SECONDS = 30.0
#: A body that is refused is read for so long, so that the client sees the refusal.
_LINGER_SECONDS = 3.0
#: Memory for answers that clients are slow to read; beyond, they are sent from the file.
_HELD_BYTES = 32 << 20
#: Of a body that comes faster than it is written, in memory; aiohttp may hold twice as much.
_READ_BYTES = 64 << 10
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class SlowError(Exception):
    """The client takes too long over a body."""


class GoneError(Exception):
    """The client has gone."""


@dataclass
class _Sent:
    """What a body has brought so far."""

    size: int = 0


class HttpServer(web.Server):
    """The HTTP server; requests go to `api`, those to the onion path to `onion`."""

    def __init__(
        self, config: ServerConfig, source_quota: SourceQuota, api: Answerer, onion: Answerer, metrics: ServerMetrics
    ) -> None:
        logger = logging.getLogger("allium.server.http")
        # What strangers do wrong is counted, and not told in tracebacks.
        logger.disabled = True
        super().__init__(self._handle)
        self._loop = asyncio.get_running_loop()
        self._options: dict[str, Any] = {
            "keepalive_timeout": HEAD_SECONDS,
            "lingering_time": _LINGER_SECONDS,
            "read_bufsize": _READ_BYTES,
            "auto_decompress": False,  # what is small on the wire stays small
            "access_log": None,
            "logger": logger,
        }
        self._config = config
        self._api = api
        self._onion = onion
        self._metrics = metrics
        self._quota = source_quota
        self._peers: Counter[str] = Counter()
        self._peer_of: dict[RequestHandler, str] = {}
        self._bodies = 0
        self._held = 0
        self._requests = 0
        #: Set while no request is under way.
        self._idle = asyncio.Event()
        self._idle.set()
        self._log = log.get("http")

    def __call__(self) -> RequestHandler:
        """What a new connection is given to."""
        return RequestHandler(self, loop=self._loop, **self._options)

    def begun(self, request: web.BaseRequest) -> None:
        """Told of each request that begins."""

    def kind(self, request: web.BaseRequest) -> str:
        """What is asked, of a fixed number of words."""
        return request.method if request.method in ("GET", "POST") else "other"

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """Counts a connection, or sends it away."""
        super().connection_made(handler, transport)
        peer = quota.source_of(_peer(transport), None, ())
        self._peers[peer] += 1
        self._peer_of[handler] = peer
        self._metrics.connections.set(len(self._peer_of))
        too_many = self._peers[peer] > self._config.connections_per_source
        proxy = quota.is_exempt(peer, self._config.trusted_proxies)
        if len(self._peer_of) > self._config.connections or (too_many and not proxy):
            self._metrics.refused.labels("connections").inc()
            transport.abort()
            return
        connection = transport.get_extra_info("socket")
        if connection is not None:
            # Who does not read what was sent is cut off by the kernel.
            milliseconds = round(self._config.idle_seconds * 1000)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        """Counts a connection that has ended."""
        super().connection_lost(handler, exc)
        peer = self._peer_of.pop(handler, None)
        if peer is not None:
            self._peers[peer] -= 1
            if not self._peers[peer]:
                del self._peers[peer]
        self._metrics.connections.set(len(self._peer_of))

    async def finish(self, seconds: float) -> None:
        """Waits for requests under way, for so long at most.

        Once aiohttp closes a connection it reads no more of a body, so this has to come before.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle.wait()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        with self.under_way():
            self.begun(request)
            return await self._handle_one(request)

    @contextlib.contextmanager
    def under_way(self) -> Iterator[None]:
        """Around a request: what `finish` waits for."""
        self._requests += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._requests -= 1
            if not self._requests:
                self._idle.set()

    async def _handle_one(self, request: web.BaseRequest) -> web.StreamResponse:
        loop = asyncio.get_running_loop()
        began, onion = loop.time(), request.path == ONION_PATH
        via = "onion" if onion else "http"
        try:
            answer = await self._answer(request, onion)
            response = await self._send(request, answer)
        except GoneError:
            raise ConnectionResetError from None
        except ConnectionError:
            raise
        except Exception as error:
            # Nobody but the log is told where.
            log.failure(self._log, "a request failed", error)
            answer = failure(500)
            response = web.Response(status=500, headers=answer.headers, body=answer.body)
        self._metrics.requests.labels(via, self.kind(request), str(response.status)).inc()
        self._metrics.seconds.labels(via).observe(loop.time() - began)
        return response

    async def _answer(self, request: web.BaseRequest, onion: bool) -> Answer:
        source = quota.source_of(
            _peer(request.transport), request.headers.get("X-Forwarded-For"), self._config.trusted_proxies
        )
        if not request.can_read_body:
            return await self._route(request, onion, _nothing())
        length = request.content_length
        if self._bodies >= self._config.uploads:
            self._metrics.refused.labels("uploads").inc()
            return _closing(failure(503), 1)
        sent = _Sent()
        self._bodies += 1
        self._metrics.bodies.set(self._bodies)
        try:
            self._quota.check(source, length or 0)
            return await self._route(request, onion, self._body(request, source, sent))
        except QuotaError as error:
            self._metrics.refused.labels("quota").inc()
            return _closing(failure(429), error.seconds)
        except SlowError:
            self._metrics.refused.labels("slow").inc()
            return _closing(text(408, "the body comes too slowly"))
        finally:
            self._bodies -= 1
            self._metrics.bodies.set(self._bodies)
            self._metrics.received.inc(sent.size)

    async def _route(self, request: web.BaseRequest, onion: bool, body: AsyncIterator[bytes]) -> Answer:
        asked = Request(
            request.method,
            request.rel_url.raw_path,
            request.rel_url.raw_query_string,
            {name.lower(): value for name, value in request.headers.items()},
            request.content_length if request.can_read_body else 0,
            body,
        )
        if not onion:
            return await self._api(asked)
        if asked.method != "POST":
            return not_allowed("POST")
        return await self._onion(asked)

    async def _body(self, request: web.BaseRequest, source: str, sent: _Sent) -> AsyncIterator[bytes]:
        """The body in pieces; raises `QuotaError`, `SlowError`, `GoneError`."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        if request.headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
            # Only now: who is refused before has not sent anything.
            request.transport.write(_CONTINUE)
        while True:
            left = began + self._config.longest(sent.size) - loop.time()
            try:
                async with asyncio.timeout(min(self._config.idle_seconds, left)):
                    chunk = await request.content.readany()
            except TimeoutError:
                raise SlowError from None
            except (web.RequestPayloadError, ConnectionError, OSError):
                raise GoneError from None
            if not chunk:
                return
            sent.size += len(chunk)
            self._quota.take(source, len(chunk))
            yield chunk

    async def _send(self, request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
        try:
            async with asyncio.timeout(self._config.longest(answer.size)):
                response = await self._written(request, answer)
        except TimeoutError:
            self._metrics.refused.labels("slow").inc()
            if request.transport is not None:
                request.transport.abort()
            raise GoneError from None
        except BodyLostError as error:
            # The head has been sent: only the end of the connection says that it is not whole.
            self._log.error("an answer was cut off", reason=str(error) or "its bytes are not there")
            if request.transport is not None:
                request.transport.abort()
            raise GoneError from None
        finally:
            if answer.reader is not None:
                answer.reader.close()
        self._metrics.sent.inc(answer.size)
        return response

    async def _written(self, request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
        headers = {**answer.headers, "server": "allium"}
        if answer.reader is None:
            response: web.StreamResponse = web.Response(status=answer.status, headers=headers, body=answer.body)
            await self._finish(request, response, answer.size)
            return response
        if answer.size <= CHUNK_BYTES and self._held + answer.size <= _HELD_BYTES:
            response = web.Response(status=answer.status, headers=headers, body=await answer.reader.read())
            await self._finish(request, response, answer.size)
            return response
        response = web.StreamResponse(status=answer.status, headers=headers)
        response.content_length = answer.size
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        file, transport = answer.reader.file, request.transport
        if transport is None:
            raise GoneError
        if file is not None:
            # From the page cache to the socket, without a copy here.
            await asyncio.get_running_loop().sendfile(transport, file, 0, answer.size)
        else:
            async for chunk in answer.reader.chunks():
                await response.write(chunk)
        await response.write_eof()
        return response

    async def _finish(self, request: web.BaseRequest, response: web.StreamResponse, size: int) -> None:
        self._held += size
        try:
            await response.prepare(request)
            await response.write_eof()
            await request.writer.drain()
        finally:
            self._held -= size


def _peer(transport: asyncio.BaseTransport | None) -> str:
    peer = None if transport is None else transport.get_extra_info("peername")
    return str(peer[0]) if isinstance(peer, tuple) else "local"


def _closing(answer: Answer, seconds: float | None = None) -> Answer:
    """A refusal after which the connection ends; `seconds`: when it may be tried again."""
    answer.headers["connection"] = "close"
    if seconds is not None:
        answer.headers["retry-after"] = str(max(1, round(seconds)))
    return answer


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""
