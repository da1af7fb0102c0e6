"""Straight to one file server over QUIC, where it offers that (`spec/files-and-calls`, additions)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager

from allium import _native
from allium.base.streams import Stream, StreamGivenUpError
from allium.client.bencode import BencodeError
from allium.client.configs.community import Server
from allium.client.exchange import PIECE_BYTES, Body, ServerRequest
from allium.client.servers import MAX_REPLY_BYTES, TIMEOUT, ReplyStream, Route, ServerUnreachableError
from allium.client.transfers import quic_frames as frames
from allium.client.transfers.transfer import FileServer

CONNECT_SECONDS = 10.0
#: A server that says nothing for so long, in the midst of something, has gone.
SILENCE_SECONDS = 30.0
_MOST_ADDRESSES = 4
_FILE = re.compile(r"/file(?:/([A-Za-z0-9_-]{1,64})(/info|/extend)?)?")
#: The statuses of HTTP that say the same. What is not here is a request that was none.
_STATUS = {frames.NOT_FOUND: 404, frames.SIZE_REFUSED: 413}
#: With these it is worth another attempt.
_FAILED = frozenset({frames.FAILED, frames.TOO_FEW})


class _LostError(ServerUnreachableError):
    """The connection is of no use any more."""


class _Reply:
    """A reply as of HTTP."""

    def __init__(self, status: int, body: bytes | AsyncIterator[bytes] = b"", size: int | None = None) -> None:
        self.status, self._body = status, body
        self.size = len(body) if isinstance(body, bytes) else size
        self.headers: Mapping[str, str] = {}

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if isinstance(self._body, bytes):
            yield self._body
            return
        async for piece in self._body:
            yield piece


class _Clock:
    """How long each step of one request may take."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def whole(self) -> float:
        """Seconds to the end; `TimeoutError` if there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def left(self) -> float:
        """For something that the server does at once."""
        return min(self.whole(), SILENCE_SECONDS)


class QuicRoute:
    """To the file server that its user names, which learns this machine's address; to all others by another route.

    One connection, made with the first request. Its first stream is for questions, and each transfer has its own.
    """

    def __init__(self, server: FileServer, otherwise: Route, port: int | None = None) -> None:
        """`port`: UDP; without, it has the number of the URL's. `FileUrlError` for a key or URL that is none."""
        self._server, self._key = server.server, server.key
        self._port = self._server.port if port is None else port
        self._otherwise = otherwise
        self._connection: _native.QuicConnection | None = None
        self._questions: Stream | None = None
        self._number = 0
        self._opening, self._turn = asyncio.Lock(), asyncio.Lock()

    @asynccontextmanager
    async def exchange(
        self, server: Server, request: ServerRequest, timeout: float = TIMEOUT, most: int = MAX_REPLY_BYTES
    ) -> AsyncIterator[ReplyStream]:
        """See `Route`; `ServerUnreachableError`."""
        found = _FILE.fullmatch(request.endpoint) if server == self._server else None
        if found is None:
            async with self._otherwise.exchange(server, request, timeout, most) as reply:
                yield reply
            return
        file_id, about = found[1], found[2]
        ttl, clock = request.headers.get("X-FS-TTL"), _Clock(timeout)
        match request.method, about, request.body:
            case ("GET", "/info", None) | ("POST", "/extend", None):
                yield await self._ask(b"file_info" if about == "/info" else b"file_extend", file_id, ttl, clock)
            case "GET", None, None if file_id:
                async with self._transfer() as stream:
                    yield await self._get(stream, file_id, clock, most)
            case "POST", None, body if body is not None and not file_id:
                async with self._transfer() as stream:
                    reply = await self._put(stream, body, ttl, clock)
                yield reply
            case _:
                yield _Reply(400)

    def disconnect(self) -> None:
        """Closes its connection; the next request makes another."""
        self._drop(self._connection)

    async def close(self) -> None:
        """Closes its connection, and the other route."""
        self.disconnect()
        await self._otherwise.close()

    # --- transfers

    async def _put(self, stream: Stream, body: Body, ttl: str | None, clock: _Clock) -> _Reply:
        # A refusal is read at once; whoever waits for room to write may learn of it late.
        sending = asyncio.create_task(self._send(stream, body, ttl, clock))
        answering = asyncio.create_task(self._answer(stream, clock))
        try:
            done, _ = await asyncio.wait({sending, answering}, return_when=asyncio.FIRST_COMPLETED)
            if answering not in done:
                await sending
            with self._watched():
                async with asyncio.timeout(clock.left()):
                    return _Reply(200, frames.stored(await answering, body.size))
        except StreamGivenUpError as error:
            return self._refusal(error.code)
        finally:
            for task in (sending, answering):
                task.cancel()
            await asyncio.gather(sending, answering, return_exceptions=True)

    async def _send(self, stream: Stream, body: Body, ttl: str | None, clock: _Clock) -> None:
        with self._watched():
            await stream.write(frames.put(body.size, ttl), clock.left())
        async for piece in body.pieces():
            with self._watched():
                await stream.write(piece, clock.left())
        with self._watched():
            await stream.finish(clock.left())

    async def _answer(self, stream: Stream, clock: _Clock) -> bytes:
        """All that the server says, which it does only when it has everything."""
        told = b""
        with self._watched():
            while chunk := await stream.read(frames.MOST_HEAD, clock.whole()):
                told += chunk
                if len(told) > frames.MOST_HEAD + frames.MOST_PREFIX:
                    raise BencodeError("too long")
        return told

    async def _get(self, stream: Stream, file_id: str, clock: _Clock, most: int) -> _Reply:
        try:
            with self._watched():
                await stream.write(frames.get(file_id), clock.left())
                # A server that has answered already may not wait for the end; what it gives up for is read below.
                with contextlib.suppress(StreamGivenUpError):
                    await stream.finish(clock.left())
                head, rest = await _head(stream, clock)
                size = frames.found(head)
        except StreamGivenUpError as error:
            return self._refusal(error.code)
        if size > most:
            raise ServerUnreachableError(self._server, "the reply is too large")
        return _Reply(200, self._pieces(stream, rest, size, clock), size)

    async def _pieces(self, stream: Stream, rest: bytes, size: int, clock: _Clock) -> AsyncIterator[bytes]:
        """Exactly `size` bytes, and then the end."""
        left, piece = size, rest
        while True:
            left -= len(piece)
            if left < 0:
                raise ServerUnreachableError(self._server, "more came than it had said")
            if piece:
                yield piece
            try:
                with self._watched():
                    piece = await stream.read(PIECE_BYTES, clock.left())
            except StreamGivenUpError as error:
                raise ServerUnreachableError(self._server, str(error)) from None
            if not piece:
                break
        if left:
            raise ServerUnreachableError(self._server, "less came than it had said")

    def _refusal(self, code: int) -> _Reply:
        if code in _FAILED:
            raise ServerUnreachableError(self._server, f"it gave up with {code}")
        return _Reply(_STATUS.get(code, 400), b"given up with %d" % code)

    # --- questions

    async def _ask(self, endpoint: bytes, file_id: str, ttl: str | None, clock: _Clock) -> _Reply:
        async with self._turn:
            connection, questions = await self._connected()
            self._number += 1
            whole = False
            try:
                with self._watched():
                    await questions.write(frames.command(self._number, endpoint, file_id, ttl), clock.left())
                    head, rest = await _head(questions, clock)
                    number, ok, body = frames.answer(head)
                    if number != self._number or rest:
                        raise BencodeError("an answer to something else")
                    reply = _Reply(200, frames.about(body)) if ok else self._unanswered(body)
                whole = True
            except StreamGivenUpError as error:
                raise ServerUnreachableError(self._server, str(error)) from None
            finally:
                # An answer that comes later would be taken for the next one's.
                if not whole:
                    self._drop(connection)
        return reply

    def _unanswered(self, reason: bytes) -> _Reply:
        status = {b"NOT_FOUND": 404, b"BAD_REQUEST": 400}.get(reason, 500)
        return _Reply(status, reason)

    # --- the connection

    @asynccontextmanager
    async def _transfer(self) -> AsyncIterator[Stream]:
        """A stream of its own, which is given up where it is not read to its end."""
        connection, stream = await self._stream()
        try:
            yield stream
        except _LostError:
            self._drop(connection)
            raise
        finally:
            # Of a stream that has ended nobody hears it.
            stream.reset(frames.GONE)

    async def _stream(self) -> tuple[_native.QuicConnection, Stream]:
        for _ in range(2):
            connection, _questions = await self._connected()
            try:
                return connection, Stream(await asyncio.to_thread(connection.open))
            except ConnectionError:
                # It was silent for too long, or the server was started anew.
                self._drop(connection)
        raise ServerUnreachableError(self._server, "its connections do not last", arrived=False)

    async def _connected(self) -> tuple[_native.QuicConnection, Stream]:
        async with self._opening:
            if self._connection is None or self._questions is None:
                connection = await self._connect()
                try:
                    self._questions = Stream(await asyncio.to_thread(connection.open))
                except ConnectionError as error:
                    raise ServerUnreachableError(self._server, str(error), arrived=False) from None
                self._connection = connection
            return self._connection, self._questions

    async def _connect(self) -> _native.QuicConnection:
        reason = "it has no address"
        try:
            found = await asyncio.get_running_loop().getaddrinfo(self._server.host, self._port, type=socket.SOCK_DGRAM)
        except OSError as error:
            raise ServerUnreachableError(self._server, str(error), arrived=False) from None
        for *_, address in found[:_MOST_ADDRESSES]:
            # A key that nobody knows us by.
            seed = os.urandom(32)
            try:
                return await asyncio.to_thread(
                    _native.QuicConnection, str(address[0]), self._port, self._key, seed, frames.ALPN, CONNECT_SECONDS
                )
            except (OSError, ValueError) as error:
                reason = str(error) or type(error).__name__
        raise ServerUnreachableError(self._server, reason, arrived=False)

    def _drop(self, connection: _native.QuicConnection | None) -> None:
        if connection is not None and connection is self._connection:
            self._connection = self._questions = None
        if connection is not None:
            with contextlib.suppress(ConnectionError):
                connection.close()

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """What goes wrong here is a server that cannot be used; a stream's own code is for who began it."""
        try:
            yield
        except StreamGivenUpError:
            raise
        except (ConnectionError, TimeoutError) as error:
            raise _LostError(self._server, str(error) or "no answer in time") from None
        except BencodeError as error:
            raise ServerUnreachableError(self._server, f"its answer cannot be read: {error}") from None


async def _head(stream: Stream, clock: _Clock) -> tuple[bytes, bytes]:
    """What stands before something, without its prefix, and what came after it."""
    came = b""
    while (size := frames.head_size(came)) is None or len(came) < size:
        chunk = await stream.read(PIECE_BYTES, clock.left())
        if not chunk:
            raise BencodeError("cut off")
        came += chunk
    return frames.unprefixed(came[:size]), came[size:]
