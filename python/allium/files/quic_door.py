"""The way in for clients over QUIC (`spec/files-and-calls`, additions): a stream a transfer, and one for questions."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from allium.base import log
from allium.base.streams import Stream
from allium.client.transfers import quic_frames as codes
from allium.errors import Complaint
from allium.files import quic_frames as frames
from allium.files.metrics import Metrics
from allium.files.quic_frames import Command, Get, Put, StreamRefusedError
from allium.files.service import FileService, FullError, TooLargeError
from allium.files.settings import FilesConfig
from allium.server import quota
from allium.server.messages import CHUNK_BYTES, BodyLostError
from allium.server.quic import Listener
from allium.server.quota import QuotaError, SourceQuota

#: A stream of questions may be silent as long as its connection stands, which the transport looks after.
_SILENCE_SECONDS = 24 * 3600.0
#: Bodies that are on their way to clients, or from them; who comes then is told that it did not work.
_MOST_TRANSFERS = 256
_READ_BYTES = 64 << 10


class QuicDoor:
    """Answers what clients ask over QUIC."""

    def __init__(
        self,
        config: FilesConfig,
        service: FileService,
        source_quota: SourceQuota,
        metrics: Metrics,
        ed25519_seed: bytes,
    ) -> None:
        """Listens at the UDP port of the number that HTTP has; raises `OSError`."""
        self._config = config
        self._service = service
        self._quota = source_quota
        self._metrics = metrics
        self._listener = Listener(
            str(config.bind_ip),
            config.http_port,
            ed25519_seed,
            codes.ALPN,
            config.connections,
            config.connections_per_source,
        )
        self._log = log.get("quic")
        self._tasks: set[asyncio.Task[None]] = set()
        self._transfers = 0
        #: Set while no transfer is under way.
        self._idle = asyncio.Event()
        self._idle.set()

    async def serve(self) -> None:
        """Until it is closed."""
        while (stream := await self._listener.accept()) is not None:
            task = asyncio.create_task(self._stream(stream))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def finish(self, seconds: float) -> None:
        """Takes nobody any more, waits for transfers under way, for so long at most, and ends."""
        self._listener.leave()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        self._listener.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _stream(self, stream: Stream) -> None:
        kind, code = "other", 200
        try:
            reader = _Reader(stream)
            asked = await reader.head(_SILENCE_SECONDS, self._config.idle_seconds)
            if isinstance(asked, Command):
                await self._questions(stream, reader, asked)
                return
            if asked is None:
                return
            kind = type(asked).__name__.upper()
            await self._transfer(stream, reader, asked)
        except StreamRefusedError as error:
            code = error.code
        except (TimeoutError, ConnectionError):
            # It has gone, or takes too long: nobody is there to be told.
            code = codes.TOO_FEW
            self._metrics.refused.labels("slow").inc()
        except (Complaint, BodyLostError) as error:
            code = codes.FAILED
            self._log.error("a request failed", kind=kind, reason=str(error))
        except Exception as error:
            code = codes.FAILED
            log.failure(self._log, "a request failed", error)
        if code != 200:
            stream.reset(code)
        self._metrics.requests.labels("quic", kind, str(code)).inc()

    async def _transfer(self, stream: Stream, reader: _Reader, asked: Put | Get) -> None:
        if self._transfers >= _MOST_TRANSFERS:
            self._metrics.refused.labels("uploads").inc()
            raise StreamRefusedError(codes.FAILED)
        self._transfers += 1
        self._idle.clear()
        try:
            if isinstance(asked, Put):
                await self._put(stream, reader, asked)
            else:
                await self._get(stream, asked)
                # Whoever is let go of before its end came takes that for a refusal.
                with contextlib.suppress(TimeoutError, ConnectionError):
                    await reader.some(self._config.idle_seconds)
        finally:
            self._transfers -= 1
            if not self._transfers:
                self._idle.set()

    async def _put(self, stream: Stream, reader: _Reader, asked: Put) -> None:
        source = quota.source_of(stream.address, None, ())
        try:
            # Before anything is read of it.
            self._service.check_room(asked.size)
            self._quota.check(source, asked.size)
            record = await self._service.receive(self._body(reader, asked.size, source), asked.size, asked.ttl)
        except (TooLargeError, FullError):
            raise StreamRefusedError(codes.SIZE_REFUSED) from None
        except QuotaError:
            self._metrics.refused.labels("quota").inc()
            raise StreamRefusedError(codes.SIZE_REFUSED) from None
        await stream.write(frames.stored(self._service.shown(record), record), self._config.idle_seconds)
        await stream.finish(self._config.idle_seconds)

    async def _body(self, reader: _Reader, size: int, source: str) -> AsyncIterator[bytes]:
        """Exactly `size` bytes, and then the end."""
        came, loop = 0, asyncio.get_running_loop()
        # Not a block around it: what interrupts a generator between two pieces meets whoever asks it for them.
        end = loop.time() + self._config.longest(size)
        while chunk := await reader.some(max(0.0, min(self._config.idle_seconds, end - loop.time()))):
            if loop.time() >= end:
                raise TimeoutError
            came += len(chunk)
            self._metrics.received.inc(len(chunk))
            self._quota.take(source, len(chunk))
            if came > size:
                raise StreamRefusedError(codes.TOO_MANY)
            yield chunk
        if came < size:
            raise StreamRefusedError(codes.TOO_FEW)

    async def _get(self, stream: Stream, asked: Get) -> None:
        found = await self._service.read(asked.name)
        if found is None:
            raise StreamRefusedError(codes.NOT_FOUND)
        record, body = found
        seconds = self._config.idle_seconds
        try:
            async with asyncio.timeout(self._config.longest(record.size)):
                if record.size <= CHUNK_BYTES:
                    await stream.write(frames.found(record) + await body.read(), seconds)
                else:
                    await stream.write(frames.found(record), seconds)
                    async for chunk in body.chunks():
                        await stream.write(chunk, seconds)
                await stream.finish(seconds)
        finally:
            body.close()
        self._metrics.sent.inc(record.size)

    async def _questions(self, stream: Stream, reader: _Reader, first: Command) -> None:
        asked: Put | Get | Command | None = first
        while isinstance(asked, Command):
            ok, body = await self._answer(asked)
            kind = asked.endpoint.decode() if asked.endpoint in (b"file_info", b"file_extend") else "other"
            self._metrics.requests.labels("quic", kind, "200" if ok else body.decode()).inc()
            await stream.write(frames.reply(asked.number, body, ok), self._config.idle_seconds)
            asked = await reader.head(_SILENCE_SECONDS, self._config.idle_seconds)
        if asked is not None:
            raise StreamRefusedError(codes.BAD_REQUEST)
        await stream.finish(self._config.idle_seconds)

    async def _answer(self, asked: Command) -> tuple[bool, bytes]:
        """Whether it could be answered, and the answer or the reason."""
        try:
            name, ttl, is_json = frames.asked(asked.body)
            match asked.endpoint:
                case b"file_info":
                    record = await self._service.find(name)
                case b"file_extend":
                    record = await self._service.extend(name, ttl)
                case _:
                    return False, b"BAD_REQUEST"
        except StreamRefusedError:
            return False, b"BAD_REQUEST"
        except Complaint as error:
            self._log.error("a request failed", kind=asked.endpoint.decode("ascii", "replace"), reason=str(error))
            return False, b"INTERNAL_ERROR"
        return (False, b"NOT_FOUND") if record is None else (True, frames.about(record, is_json))


class _Reader:
    """Takes heads off a stream, and gives what comes after them."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._rest = b""

    async def head(self, first: float, others: float) -> Put | Get | Command | None:
        """The next one, `None` at the end. It may be silent for so many seconds before it, and within it."""
        while (size := frames.head_size(self._rest)) is None or len(self._rest) < size:
            if not await self._more(others if self._rest else first):
                if self._rest:
                    raise StreamRefusedError(codes.BAD_REQUEST)
                return None
        told, self._rest = self._rest[:size], self._rest[size:]
        return frames.head(told)

    async def some(self, seconds: float) -> bytes:
        """What comes next, in pieces; empty at the end."""
        if self._rest:
            rest, self._rest = self._rest, b""
            return rest
        return await self._stream.read(CHUNK_BYTES, seconds)

    async def _more(self, seconds: float) -> bool:
        came = await self._stream.read(_READ_BYTES, seconds)
        self._rest += came
        return bool(came)
