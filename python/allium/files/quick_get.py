"""Downloads of small files without the machinery around a request: what a server of files does most.

A connection begins here. As long as it sends nothing but whole, plain `GET /file/ID`s, whose files are on this machine
and in its page cache, each is answered in one go: a look-up, a read, a write. The first request that is anything else,
and all that follow it, are aiohttp's. What is plain is read strictly: a head that two readers could read differently is
left to the one that everybody knows.
"""

from __future__ import annotations

import asyncio
import re
import time
from email.utils import formatdate
from typing import Any, Protocol

from aiohttp.web_protocol import RequestHandler

from allium.files import content
from allium.files.blobs import BlobMissingError, BlobsUnusableError
from allium.files.directory import DirectoryBlobs
from allium.files.index import Index
from allium.files.sqlite import SqliteIndex
from allium.server.messages import CHUNK_BYTES

_LONGEST_HEAD = 4096
_BEGIN = b"GET /file/"
_HEAD = re.compile(
    rb"GET /file/([A-Za-z0-9_-]{44}|[0-9]{1,16}) HTTP/1\.1\r\n"
    rb"((?:[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}:[\t -~\x80-\xff]*\r\n)+)\r\n"
)
#: Fields that say something of the connection, of a body, or of what is wanted of the file.
_NOT_PLAIN = re.compile(
    rb"^(?:connection|content-length|expect|keep-alive|te|trailer|transfer-encoding|upgrade|range|if-[a-z-]*):",
    re.IGNORECASE | re.MULTILINE,
)
#: Of the first of them, what changes nothing.
_KEEP_ALIVE = re.compile(rb"^connection:[ \t]*keep-alive[ \t]*\r?$\n?", re.IGNORECASE | re.MULTILINE)


class Told(Protocol):
    """Who is told of an answer: its bytes, and how long it took."""

    def __call__(self, size: int, seconds: float) -> None:
        """An answer was sent."""


class QuickGet:
    """Answers plain downloads of a server whose index and blobs are on this machine."""

    def __init__(self, index: SqliteIndex, blobs: DirectoryBlobs, headers: dict[str, str], told: Told) -> None:
        self._index = index
        self._blobs = blobs
        fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._fields = fields.encode()
        self._told = told
        self._date = (0, b"")

    @classmethod
    def of(cls, index: Index, blobs: Any, headers: dict[str, str], told: Told) -> QuickGet | None:
        """One for this server, if it can have one."""
        if isinstance(index, SqliteIndex) and isinstance(blobs, DirectoryBlobs):
            return cls(index, blobs, headers, told)
        return None

    def answer(self, data: bytes, transport: asyncio.Transport) -> bool:
        """Whether `data` was a plain download, and is answered."""
        if len(data) > _LONGEST_HEAD or not data.startswith(_BEGIN) or transport.get_write_buffer_size():
            return False
        found = _HEAD.fullmatch(data)
        if found is None or _NOT_PLAIN.search(_KEEP_ALIVE.sub(b"", found[2])):
            return False
        began, now = time.perf_counter(), time.time()
        text = found[1].decode()
        name: str | int | None = text if content.is_name(text) else content.number(text)
        record = None if name is None else self._index.find_now(name, now)
        if record is None or record.size > CHUNK_BYTES:
            return False
        head = b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\nDate: %b\r\n\r\n" % (
            self._fields,
            record.size,
            self._now(int(now)),
        )
        answer = bytearray(len(head) + record.size)
        answer[: len(head)] = head
        try:
            if not self._blobs.read_now(record.blob, memoryview(answer)[len(head) :]):
                return False
        except (BlobMissingError, BlobsUnusableError):
            return False
        transport.write(answer)
        self._told(record.size, time.perf_counter() - began)
        return True

    def _now(self, second: int) -> bytes:
        if self._date[0] != second:
            self._date = second, formatdate(second, usegmt=True).encode()
        return self._date[1]


class QuickHandler(RequestHandler):
    """A connection that is quick until something else than a plain download comes."""

    def __init__(self, quick: QuickGet | None, idle_seconds: float, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._quick = quick
        self._idle_seconds = idle_seconds
        self._heard = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A connection begins."""
        super().connection_made(transport)
        self._heard = self._loop.time()

    def data_received(self, data: bytes) -> None:
        """Answers at once what it can, and leaves all else to aiohttp."""
        if self._quick is not None and self.transport is not None:
            if self._quick.answer(data, self.transport):
                self._heard = self._loop.time()
                if self._timer is None:
                    # aiohttp's own timer counts from its last request.
                    self.keep_alive(True)
                    self._timer = self._loop.call_later(self._idle_seconds, self._look)
                return
            self._quick = None
        super().data_received(data)

    def close(self) -> None:
        """Ends the connection once what is under way is done."""
        self._quick = None
        super().close()

    def connection_lost(self, exc: BaseException | None) -> None:
        """The connection has ended."""
        self._quick = None
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def request_begun(self) -> None:
        """Aiohttp has read a request: from now on its own timer is enough."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        left = self._heard + self._idle_seconds - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._look)
        else:
            self.force_close()
