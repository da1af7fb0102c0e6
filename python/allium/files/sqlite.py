"""The index in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from allium.base.sqlite_writing import Format, WritingThread
from allium.files.index import BlobLostError, FileRecord, NumberTakenError, Totals

#: In the data directory.
FILE_NAME = "index.sqlite"
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
#: `Alfi`.
_FORMAT_OF_FILE = Format("an index of files", 0x416C6669, 1, _SCHEMA)
_COLUMNS = "name, number, blob, size, uploaded, expires"


class SqliteIndex:
    """An `Index` in one file. Its methods are called from one event loop."""

    def __init__(self, path: Path) -> None:
        """Opens the database, or makes it; raises `DatabaseUnusableError`."""
        self._db = WritingThread(path, _FORMAT_OF_FILE)
        self._reader = self._db.reader

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
        await self._db.do(lambda db: db.execute("INSERT INTO loose VALUES (?, ?)", (blob, now)))

    async def add(self, record: FileRecord, now: float) -> FileRecord:
        """See `Index`."""
        return await self._db.do(lambda db: _add(db, record, now))

    async def extend(self, name: str, expires: float, now: float, number: int | None = None) -> FileRecord | None:
        """See `Index`."""

        def work(db: sqlite3.Connection) -> FileRecord | None:
            found = _one(db, "name = ? AND expires > ?", name, now)
            return None if found is None else _prolong(db, found, expires, number)

        return await self._db.do(work)

    async def abandon(self, blobs: Sequence[str]) -> None:
        """See `Index`."""
        rows = [(blob,) for blob in blobs]
        await self._db.do(lambda db: db.executemany("UPDATE loose SET since = 0 WHERE blob = ?", rows))

    async def expire(self, now: float, limit: int) -> int:
        """See `Index`."""

        def work(db: sqlite3.Connection) -> int:
            query = "SELECT name, blob FROM file WHERE expires <= ? ORDER BY expires LIMIT ?"
            rows = db.execute(query, (now, limit)).fetchall()
            db.executemany("DELETE FROM file WHERE name = ?", [(name,) for name, _ in rows])
            db.executemany("INSERT INTO loose VALUES (?, 0)", [(blob,) for _, blob in rows])
            return len(rows)

        return await self._db.do(work)

    async def sweepable(self, before: float, limit: int) -> list[str]:
        """See `Index`."""
        rows = self._reader.execute("SELECT blob FROM loose WHERE since < ? ORDER BY since LIMIT ?", (before, limit))
        return [blob for (blob,) in rows]

    async def forget(self, blobs: Sequence[str]) -> None:
        """See `Index`."""
        rows = [(blob,) for blob in blobs]
        await self._db.do(lambda db: db.executemany("DELETE FROM loose WHERE blob = ?", rows))

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
        await self._db.close()


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
