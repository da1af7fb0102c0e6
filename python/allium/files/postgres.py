"""The index in PostgreSQL, which several servers may share."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

from allium.base import unreached
from allium.errors import SetupError
from allium.files.index import BlobLostError, FileRecord, IndexUnusableError, NumberTakenError, Totals

_FORMAT = 1
_CONNECTIONS = 8
#: Seconds for one statement, and for a connection.
_PATIENCE = 30.0
#: A lock of ours while the tables are made.
_LOCK = 0x416C6669
_SCHEMA = """
CREATE TABLE allium_files_format (format integer NOT NULL);
INSERT INTO allium_files_format VALUES (1);
CREATE TABLE allium_file (
    name text PRIMARY KEY, number bigint UNIQUE, blob text NOT NULL UNIQUE, size bigint NOT NULL,
    uploaded double precision NOT NULL, expires double precision NOT NULL
);
CREATE INDEX allium_file_expires ON allium_file (expires);
CREATE TABLE allium_loose (blob text PRIMARY KEY, since double precision NOT NULL);
CREATE INDEX allium_loose_since ON allium_loose (since);
"""
_COLUMNS = "name, number, blob, size, uploaded, expires"
#: One statement, so that two servers cannot come between: the later expiry, and a number if there is none yet.
_PROLONG = f"""
UPDATE allium_file SET expires = greatest(expires, $2), number = coalesce(number, $3)
WHERE name = $1 AND expires > $4 RETURNING {_COLUMNS}
"""  # noqa: S608 - our own text


#: By the class of an error (`sqlstate`, its first two digits).
_REASONS = {
    "08": "the connection broke",
    "28": "it refuses the user or the password",
    "3D": "it has no such database",
    "42": "it does not let this user do that, or its tables are not ours",
    "53": "it has no room or no connection left",
    "57": "it is being shut down, or is not up yet",
}


def _why(error: BaseException) -> str:
    """In words. The error's own text may repeat what is in the URL."""
    state = getattr(error, "sqlstate", None)
    if isinstance(state, str):
        return _REASONS.get(state[:2], f"it says {state}")
    return unreached.words(error) if isinstance(error, OSError) else "the URL, or the connection, cannot be used"


class PostgresIndex:
    """An `Index` in a PostgreSQL database."""

    def __init__(self, pool: Any, errors: Any) -> None:
        """`open` makes one."""
        self._pool = pool
        self._errors = errors

    @classmethod
    async def open(cls, url: str) -> PostgresIndex:
        """Connects, and makes the tables if they are not there; raises a `Complaint`."""
        try:
            asyncpg = importlib.import_module("asyncpg")
        except ModuleNotFoundError:
            raise SetupError('an index in PostgreSQL needs asyncpg; run: pip install "allium[files]"') from None
        try:
            pool = await asyncpg.create_pool(
                url, min_size=1, max_size=_CONNECTIONS, timeout=_PATIENCE, command_timeout=_PATIENCE
            )
        except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            # Its text may repeat what is in the URL; the kind of error says enough.
            raise IndexUnusableError(
                f"the database of index cannot be reached: {_why(error)}; start it, or set index to where it is"
            ) from None
        index = cls(pool, asyncpg)
        try:
            await index._prepare()
        except BaseException:
            await pool.close()
            raise
        return index

    async def _prepare(self) -> None:
        async with self._transaction() as db:
            await db.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            if await db.fetchval("SELECT to_regclass('allium_files_format')") is None:
                await db.execute(_SCHEMA)
            found = await db.fetchval("SELECT format FROM allium_files_format")
            if found != _FORMAT:
                raise IndexUnusableError(f"the index has format {found}, and this version reads {_FORMAT}")

    async def find(self, name: str | int, now: float) -> FileRecord | None:
        """See `Index`."""
        column = "name" if isinstance(name, str) else "number"
        async with self._connection() as db:
            query = f"SELECT {_COLUMNS} FROM allium_file WHERE {column} = $1 AND expires > $2"  # noqa: S608
            return _record(await db.fetchrow(query, name, now))

    async def reserve(self, blob: str, now: float) -> None:
        """See `Index`."""
        async with self._connection() as db:
            await db.execute("INSERT INTO allium_loose VALUES ($1, $2)", blob, now)

    async def add(self, record: FileRecord, now: float) -> FileRecord:
        """See `Index`."""
        async with self._transaction() as db:
            # Who adds the same content waits here.
            await db.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", record.name)
            kept = _record(await db.fetchrow(_PROLONG, record.name, record.expires, record.number, now))
            if kept is not None:
                await db.execute("UPDATE allium_loose SET since = 0 WHERE blob = $1", record.blob)
                return kept
            if await db.execute("DELETE FROM allium_loose WHERE blob = $1", record.blob) != "DELETE 1":
                raise BlobLostError("the upload took too long; send it again")
            before = await db.fetchval("DELETE FROM allium_file WHERE name = $1 RETURNING blob", record.name)
            if before is not None:
                await db.execute("INSERT INTO allium_loose VALUES ($1, 0)", before)
            row = (record.name, record.number, record.blob, record.size, record.uploaded, record.expires)
            await db.execute("INSERT INTO allium_file VALUES ($1, $2, $3, $4, $5, $6)", *row)
        return record

    async def extend(self, name: str, expires: float, now: float, number: int | None = None) -> FileRecord | None:
        """See `Index`."""
        async with self._connection() as db:
            return _record(await db.fetchrow(_PROLONG, name, expires, number, now))

    async def abandon(self, blobs: Sequence[str]) -> None:
        """See `Index`."""
        async with self._connection() as db:
            await db.execute("UPDATE allium_loose SET since = 0 WHERE blob = ANY($1)", list(blobs))

    async def expire(self, now: float, limit: int) -> int:
        """See `Index`."""
        query = """
        WITH due AS (SELECT name FROM allium_file WHERE expires <= $1 ORDER BY expires LIMIT $2 FOR UPDATE SKIP LOCKED),
        gone AS (DELETE FROM allium_file USING due WHERE allium_file.name = due.name RETURNING allium_file.blob)
        INSERT INTO allium_loose SELECT blob, 0 FROM gone
        """
        async with self._connection() as db:
            return int((await db.execute(query, now, limit)).rpartition(" ")[2])

    async def sweepable(self, before: float, limit: int) -> list[str]:
        """See `Index`."""
        query = "SELECT blob FROM allium_loose WHERE since < $1 ORDER BY since LIMIT $2"
        async with self._connection() as db:
            return [row[0] for row in await db.fetch(query, before, limit)]

    async def forget(self, blobs: Sequence[str]) -> None:
        """See `Index`."""
        async with self._connection() as db:
            await db.execute("DELETE FROM allium_loose WHERE blob = ANY($1)", list(blobs))

    async def known(self, blobs: Sequence[str]) -> set[str]:
        """See `Index`."""
        query = """
        SELECT blob FROM allium_file WHERE blob = ANY($1) UNION SELECT blob FROM allium_loose WHERE blob = ANY($1)
        """
        async with self._connection() as db:
            return {row[0] for row in await db.fetch(query, list(blobs))}

    async def scan(self, after: str, limit: int) -> list[FileRecord]:
        """See `Index`."""
        # The order of bytes, whatever the database's language is.
        query = f"""
        SELECT {_COLUMNS} FROM allium_file WHERE name COLLATE "C" > $1 ORDER BY name COLLATE "C" LIMIT $2
        """  # noqa: S608
        async with self._connection() as db:
            return [FileRecord(*row) for row in await db.fetch(query, after, limit)]

    async def totals(self) -> Totals:
        """See `Index`."""
        query = "SELECT count(*), coalesce(sum(size), 0)::bigint, (SELECT count(*) FROM allium_loose) FROM allium_file"
        async with self._connection() as db:
            return Totals(*await db.fetchrow(query))

    async def close(self) -> None:
        """See `Index`."""
        await self._pool.close()

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        try:
            async with self._pool.acquire(timeout=_PATIENCE) as db:
                yield db
        except self._errors.UniqueViolationError:
            raise NumberTakenError("another file has that number; try again") from None
        except (OSError, TimeoutError, self._errors.PostgresError, self._errors.InterfaceError) as error:
            raise IndexUnusableError(f"the database of index failed: {_why(error)}") from None

    @contextlib.asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Any]:
        async with self._connection() as db, db.transaction():
            yield db


def _record(row: Any) -> FileRecord | None:
    return None if row is None else FileRecord(*row)
