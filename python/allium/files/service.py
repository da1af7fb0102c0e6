"""Files: taken in, found, extended, expired. What every transport asks, and who knows what is on the disk."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from allium.base import log
from allium.errors import Complaint
from allium.files import blobs as places
from allium.files import content, spool
from allium.files.blobs import BlobMissingError, Blobs
from allium.files.index import FileRecord, Index, NumberTakenError, Totals
from allium.files.spool import Spool
from allium.server.messages import BodyReader

T = TypeVar("T")

#: In the data directory: bodies on their way in.
SPOOL_DIRECTORY = "incoming"
#: The shortest life of a file (`spec/files-and-calls` §1).
SHORTEST_SECONDS = 30
#: What no upload takes: a blob that has been loose for longer is nobody's.
LONGEST_UPLOAD_SECONDS = 3600.0

_NUMBERS_TRIED = 25
#: Files in one step of expiry, so that no transaction is long; blobs in one step of a sweep.
_STEP = 500


class TooLargeError(Exception):
    """The body is larger than a file may be, or empty."""


class FullError(Exception):
    """There is no room for it among all files."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the operator allows. Bytes and seconds."""

    file_bytes: int
    all_bytes: int
    ttl: float


class FileService:
    """The files of one server. Whoever calls it has found out who may ask how much."""

    def __init__(
        self,
        index: Index,
        blobs: Blobs,
        directory: Path,
        limits: Limits,
        *,
        numeric: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`directory` is the data directory, on the file system of a `DirectoryBlobs`."""
        self._index = index
        self._blobs = blobs
        self._spools = directory / SPOOL_DIRECTORY
        self._numeric = numeric
        self._clock = clock
        self._log = log.get("files")
        self.limits = limits
        #: As of the last look; what was added since is in it.
        self.totals = Totals(0, 0, 0)
        #: Bytes of bodies on their way in.
        self.arriving = 0
        #: Files that were dropped because their time was over.
        self.expired = 0
        #: Bytes that were not written because the content was there.
        self.saved_bytes = 0
        #: Files whose bytes were not there when somebody wanted them.
        self.missing = 0

    async def open(self, alone: bool) -> None:
        """Has to come first; raises a `Complaint` when something cannot be used.

        `alone`: no other server has this index, so that whatever is loose was left by a crash.
        """
        await asyncio.to_thread(spool.prepare, self._spools)
        if alone:
            await self._sweep(self._clock())
        await self.count()

    async def count(self) -> None:
        """Looks how much there is."""
        self.totals = await self._index.totals()

    def spool(self, hashed: bool = True) -> Spool:
        """A place for a body; `hashed`: for one that becomes a file."""
        return Spool(self._spools, hashed)

    def check_room(self, length: int | None) -> None:
        """Raises `TooLargeError` or `FullError` for a body of so many bytes, before any of them is read."""
        if length is not None and not 0 < length <= self.limits.file_bytes:
            raise TooLargeError
        if self.totals.bytes + self.arriving + (length or 0) > self.limits.all_bytes:
            raise FullError

    async def receive(self, body: AsyncIterator[bytes], length: int | None, ttl: float | None) -> FileRecord:
        """Takes in a file; it is on disk when this returns.

        `length` is what the sender announced. Raises `TooLargeError`, `FullError`, a `Complaint` for what failed here,
        and whatever `body` raises.
        """
        self.check_room(length)
        counted = 0
        async with self.spool() as received:
            try:
                async for chunk in body:
                    counted += len(chunk)
                    self.arriving += len(chunk)
                    if received.size + len(chunk) > self.limits.file_bytes:
                        raise TooLargeError
                    self.check_room(None)
                    await received.write(chunk)
                if not received.size:
                    raise TooLargeError
                await received.finish()
                return await self._keep(received, self._life(ttl))
            finally:
                self.arriving -= counted

    async def _keep(self, received: Spool, life: float) -> FileRecord:
        now = self._clock()
        name, expires = received.name, now + life
        if await self._index.find(name, now) is not None:
            kept = await self._numbered(lambda number: self._index.extend(name, expires, now, number))
            if kept is not None:
                self.saved_bytes += received.size
                return kept
        blob = places.new_blob()
        await asyncio.gather(self._index.reserve(blob, now), received.sync())
        await self._blobs.put(blob, received.path)

        def add(number: int | None) -> Awaitable[FileRecord]:
            return self._index.add(FileRecord(name, number, blob, received.size, now, expires), now)

        added = await self._numbered(add)
        if added.blob == blob:
            self.totals = Totals(self.totals.files + 1, self.totals.bytes + received.size, self.totals.loose)
        return added

    async def _numbered(self, write: Callable[[int | None], Awaitable[T]]) -> T:
        if not self._numeric:
            return await write(None)
        for _ in range(_NUMBERS_TRIED):
            try:
                return await write(content.random_number())
            except NumberTakenError:
                continue
        raise NumberTakenError("no free number was found; the index is damaged, or nearly full")

    def shown(self, record: FileRecord) -> str:
        """The id that a client is told."""
        return record.name if not self._numeric or record.number is None else str(record.number)

    async def find(self, name: str) -> FileRecord | None:
        """The file that a client calls so, by content or number."""
        if content.is_name(name):
            return await self._index.find(name, self._clock())
        number = content.number(name)
        return None if number is None else await self._index.find(number, self._clock())

    async def read(self, name: str) -> tuple[FileRecord, BodyReader] | None:
        """A file and its bytes; `None` when there is none. The reader has to be closed."""
        before = None
        while (record := await self.find(name)) is not None and record != before:
            try:
                return record, await self._blobs.open(record.blob, record.size)
            except BlobMissingError:
                # It expired, and perhaps came again, between the two looks.
                before = record
        if record is not None:
            self.missing += 1
            self._log.error("the bytes of a file are not there; `allium files verify` says more", blob=record.blob)
        return None

    async def extend(self, name: str, ttl: float | None) -> FileRecord | None:
        """Gives a file, by its content's name alone, the later expiry."""
        if not content.is_name(name):
            return None
        now = self._clock()
        return await self._index.extend(name, now + self._life(ttl), now)

    def _life(self, ttl: float | None) -> float:
        """Seconds: what a client asks for, as far as it may."""
        return self.limits.ttl if ttl is None else min(max(ttl, SHORTEST_SECONDS), self.limits.ttl)

    async def tidy(self) -> int:
        """Drops what has expired, and removes blobs that nobody has, in steps; how many files it dropped."""
        dropped = 0
        while step := await self._index.expire(self._clock(), _STEP):
            dropped += step
            self.expired += step
            await self._sweep(self._clock() - LONGEST_UPLOAD_SECONDS)
        await self._sweep(self._clock() - LONGEST_UPLOAD_SECONDS)
        await self.count()
        return dropped

    async def _sweep(self, before: float) -> None:
        while blobs := await self._index.sweepable(before, _STEP):
            await self._blobs.delete(blobs)
            await self._index.forget(blobs)

    async def keep_tidy(self, seconds: float) -> None:
        """`tidy` again and again, until cancelled."""
        while True:
            try:
                await self.tidy()
            except Complaint as error:
                self._log.error("files that have expired are still there", reason=str(error))
            await asyncio.sleep(seconds)

    async def close(self) -> None:
        """Nobody may ask any more."""
        await self._index.close()
