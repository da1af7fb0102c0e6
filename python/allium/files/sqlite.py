"""The index in SQLite: one thread writes, and puts what comes together into one transaction."""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from allium.base import files
from allium.errors import Complaint
from allium.files.index import BlobLostError, FileRecord, IndexUnusableError, NumberTakenError, Totals

T = TypeVar("T")

#: In the data directory.
FILE_NAME = "index.sqlite"
_FORMAT = 1
#: `Alfi`: how `file` and a mistaken program know it.
_APPLICATION = 0x416C6669
#: Seconds that another process (`allium files gc`) may hold the database.
_PATIENCE = 10.0
#: Writes of one transaction, and those that may wait.
_BATCH, _WAITING = 256, 8192
_SCHEMA = """
CREATE TABLE file (
    name TEXT PRIMARY KEY, number INTEGER UNIQUE, blob TEXT NOT NULL UNIQUE, size INTEGER NOT NULL,
    uploaded REAL NOT NULL, expires REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX file_expires ON file (expires);
-- `since` is when it was reserved; 0 when nobody goes on with it.
CREATE TABLE loose (blob TEXT PRIMARY KEY, since REAL NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX loose_since ON loose (since);
CREATE TABLE total (one INTEGER PRIMARY KEY CHECK (one = 1), files INTEGER NOT NULL, bytes INTEGER NOT NULL) STRICT;
INSERT INTO total VALUES (1, 0, 0);
CREATE TRIGGER file_added AFTER INSERT ON file BEGIN
    UPDATE total SET files = files + 1, bytes = bytes + new.size;
END;
CREATE TRIGGER file_dropped AFTER DELETE ON file BEGIN
    UPDATE total SET files = files - 1, bytes = bytes - old.size;
END;
"""
_COLUMNS = "name, number, blob, size, uploaded, expires"


class SqliteIndex:
    """An `Index` in one file. Its methods are called from one event loop."""

    def __init__(self, path: Path) -> None:
        """Opens the database, or makes it; raises `IndexUnusableError`."""
        self._path = path
        self._jobs: queue.Queue[_Job | None] = queue.Queue(_WAITING)
        try:
            if not path.exists():
                files.make_directory(path.parent)
                path.touch(0o600)
                files.own(path, path.parent)
            self._writer = _connect(path)
            _prepare(self._writer, path)
            self._reader = _connect(path)
            self._reader.execute("PRAGMA query_only=ON")
        except sqlite3.Error as error:
            raise IndexUnusableError(f"{path} cannot be used: {error}; restore a copy of it") from None
        # A daemon: who is killed by a signal does not wait for it, and nothing is acknowledged that it has not done.
        self._thread = threading.Thread(target=self._write, name="files-index", daemon=True)
        self._thread.start()

    async def find(self, name: str | int, now: float) -> FileRecord | None:
        """See `Index`."""
        return self.find_now(name, now)

    def find_now(self, name: str | int, now: float) -> FileRecord | None:
        """`find`, which waits for nothing."""
        column = "name" if isinstance(name, str) else "number"
        # A point look-up in the page cache costs less than another thread.
        return _one(self._reader, f"{column} = ? AND expires > ?", name, now)

    async def reserve(self, blob: str, now: float) -> None:
        """See `Index`."""
        await self._do(lambda db: db.execute("INSERT INTO loose VALUES (?, ?)", (blob, now)))

    async def add(self, record: FileRecord, now: float) -> FileRecord:
        """See `Index`."""
        return await self._do(lambda db: _add(db, record, now))

    async def extend(self, name: str, expires: float, now: float, number: int | None = None) -> FileRecord | None:
        """See `Index`."""

        def work(db: sqlite3.Connection) -> FileRecord | None:
            found = _one(db, "name = ? AND expires > ?", name, now)
            return None if found is None else _prolong(db, found, expires, number)

        return await self._do(work)

    async def abandon(self, blobs: Sequence[str]) -> None:
        """See `Index`."""
        rows = [(blob,) for blob in blobs]
        await self._do(lambda db: db.executemany("UPDATE loose SET since = 0 WHERE blob = ?", rows))

    async def expire(self, now: float, limit: int) -> int:
        """See `Index`."""

        def work(db: sqlite3.Connection) -> int:
            query = "SELECT name, blob FROM file WHERE expires <= ? ORDER BY expires LIMIT ?"
            rows = db.execute(query, (now, limit)).fetchall()
            db.executemany("DELETE FROM file WHERE name = ?", [(name,) for name, _ in rows])
            db.executemany("INSERT INTO loose VALUES (?, 0)", [(blob,) for _, blob in rows])
            return len(rows)

        return await self._do(work)

    async def sweepable(self, before: float, limit: int) -> list[str]:
        """See `Index`."""
        rows = self._reader.execute("SELECT blob FROM loose WHERE since < ? ORDER BY since LIMIT ?", (before, limit))
        return [blob for (blob,) in rows]

    async def forget(self, blobs: Sequence[str]) -> None:
        """See `Index`."""
        rows = [(blob,) for blob in blobs]
        await self._do(lambda db: db.executemany("DELETE FROM loose WHERE blob = ?", rows))

    async def known(self, blobs: Sequence[str]) -> set[str]:
        """See `Index`."""
        query = "SELECT 1 FROM file WHERE blob = ?1 UNION ALL SELECT 1 FROM loose WHERE blob = ?1"
        return {blob for blob in blobs if self._reader.execute(query, (blob,)).fetchone()}

    async def scan(self, after: str, limit: int) -> list[FileRecord]:
        """See `Index`."""
        query = f"SELECT {_COLUMNS} FROM file WHERE name > ? ORDER BY name LIMIT ?"  # noqa: S608 - our own text
        rows = self._reader.execute(query, (after, limit))
        return [FileRecord(*row) for row in rows]

    async def totals(self) -> Totals:
        """See `Index`."""
        row = self._reader.execute("SELECT files, bytes, (SELECT count(*) FROM loose) FROM total").fetchone()
        return Totals(*row)

    async def close(self) -> None:
        """See `Index`."""
        await asyncio.to_thread(self._jobs.put, None)
        await asyncio.to_thread(self._thread.join)
        self._reader.close()
        self._writer.close()

    async def _do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Has it done by the thread, in a transaction with others; what it returned, once that is on disk."""
        job = _Job(work, asyncio.get_running_loop())
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            raise IndexUnusableError("the index has too much to write; try again") from None
        result: T = await job.done
        return result

    def _write(self) -> None:
        while (job := self._jobs.get()) is not None:
            jobs = [job]
            while len(jobs) < _BATCH and not self._jobs.empty():
                following = self._jobs.get()
                if following is None:
                    self._jobs.put(None)
                    break
                jobs.append(following)
            self._transact(jobs)

    def _transact(self, jobs: list[_Job]) -> None:
        db = self._writer
        try:
            db.execute("BEGIN IMMEDIATE")
            for job in jobs:
                db.execute("SAVEPOINT job")
                try:
                    job.result = job.work(db)
                except (sqlite3.IntegrityError, Complaint) as error:
                    # Its own fault alone.
                    db.execute("ROLLBACK TO job")
                    job.error = error
                db.execute("RELEASE job")
            db.execute("COMMIT")
        except BaseException as error:  # the thread goes on, whatever came of these
            for job in jobs:
                job.error = IndexUnusableError(f"{self._path}: {error}")
            if db.in_transaction:
                db.execute("ROLLBACK")
        for job in jobs:
            job.tell()


class _Job:
    """Something to write, and who waits for it."""

    def __init__(self, work: Callable[[sqlite3.Connection], Any], loop: asyncio.AbstractEventLoop) -> None:
        self.work = work
        self.result: Any = None
        self.error: BaseException | None = None
        self.done: asyncio.Future[Any] = loop.create_future()
        self._loop = loop

    def tell(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        if self.done.cancelled():
            return
        if self.error is not None:
            self.done.set_exception(self.error)
        else:
            self.done.set_result(self.result)


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=_PATIENCE, check_same_thread=False, isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    # An acknowledged upload has to be there after a power cut.
    db.execute("PRAGMA synchronous=FULL")
    db.execute("PRAGMA trusted_schema=OFF")
    return db


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    db.execute("BEGIN IMMEDIATE")
    try:
        [found] = db.execute("PRAGMA user_version").fetchone()
        [application] = db.execute("PRAGMA application_id").fetchone()
        if (found, application) == (0, 0) and not db.execute("SELECT 1 FROM sqlite_schema").fetchone():
            for statement in _statements(_SCHEMA):
                db.execute(statement)
            db.execute(f"PRAGMA user_version={_FORMAT}")
            db.execute(f"PRAGMA application_id={_APPLICATION}")
        elif application != _APPLICATION:
            raise IndexUnusableError(f"{path} is not an index of files; name another data directory")
        elif found != _FORMAT:
            raise IndexUnusableError(
                f"{path} has format {found}, and this version reads {_FORMAT}; use another version"
            )
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise


def _statements(script: str) -> list[str]:
    """A script's statements, which `executescript` would not put into our transaction."""
    found, begun = [], ""
    for line in script.splitlines(keepends=True):
        begun += line
        if sqlite3.complete_statement(begun):
            found.append(begun)
            begun = ""
    return found


def _one(db: sqlite3.Connection, condition: str, *values: str | int | float) -> FileRecord | None:
    row = db.execute(f"SELECT {_COLUMNS} FROM file WHERE {condition}", values).fetchone()  # noqa: S608 - our own text
    return None if row is None else FileRecord(*row)


def _prolong(db: sqlite3.Connection, record: FileRecord, expires: float, number: int | None) -> FileRecord:
    later = replace(record, expires=max(expires, record.expires), number=record.number or number)
    if later != record:
        _numbered(db, "UPDATE file SET expires = ?, number = ? WHERE name = ?", later.expires, later.number, later.name)
    return later


def _numbered(db: sqlite3.Connection, statement: str, *values: str | float | None) -> None:
    """Writes a number that nobody may have yet."""
    try:
        db.execute(statement, values)
    except sqlite3.IntegrityError:
        raise NumberTakenError("another file has that number; try again") from None


def _add(db: sqlite3.Connection, record: FileRecord, now: float) -> FileRecord:
    before = _one(db, "name = ?", record.name)
    if before is not None and before.expires > now:
        db.execute("UPDATE loose SET since = 0 WHERE blob = ?", (record.blob,))
        return _prolong(db, before, record.expires, record.number)
    if db.execute("DELETE FROM loose WHERE blob = ?", (record.blob,)).rowcount != 1:
        raise BlobLostError("the upload took too long; send it again")
    if before is not None:
        db.execute("DELETE FROM file WHERE name = ?", (before.name,))
        db.execute("INSERT INTO loose VALUES (?, 0)", (before.blob,))
    row = (record.name, record.number, record.blob, record.size, record.uploaded, record.expires)
    _numbered(db, "INSERT INTO file VALUES (?, ?, ?, ?, ?, ?)", *row)
    return record
