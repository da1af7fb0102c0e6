"""The two kinds of database that a portal keeps its tables in, behind one face: SQLite in a file, PostgreSQL by URL.

Statements are those that both understand, with `?` for what is given.
"""

from __future__ import annotations

import asyncio
import importlib
import re
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from allium.base import files
from allium.base.unanswered import why
from allium.errors import Complaint, SetupError

#: Seconds for one statement, and for a connection.
_PATIENCE = 30.0
#: A lock of a portal's own, held for as long as it runs: two that write one history would leave holes in it.
_LOCK = 0x416C6C69506F72
_SCHEMA = "allium_portal"

Row = Sequence[Any]
#: A statement, and what is given to it: once for each row.
Change = tuple[str, Sequence[Row]]
#: Of a statement that takes nothing.
NOTHING_GIVEN: Sequence[Row] = [()]
T = TypeVar("T")


class PortalDatabaseError(Complaint, RuntimeError):
    """The database cannot be used; the text says what to do."""


class Sql(Protocol):
    """A database. May be used from several threads. All raise `PortalDatabaseError`."""

    #: What people know it by.
    name: str

    def change(self, *changes: Change) -> None:
        """All of them or none; durable when it returns."""

    def rows(self, statement: str, *given: Any) -> Sequence[Row]:
        """What a question is answered with."""

    def has(self, table: str) -> bool:
        """Whether there is such a table."""

    def close(self) -> None:
        """Lets go of it."""


class SqliteFile:
    """A file. See `Sql`."""

    def __init__(self, path: Path) -> None:
        """Opens or makes it; raises `PortalDatabaseError`."""
        self.name, self._lock = str(path), threading.Lock()
        try:
            self._database = sqlite3.connect(path, check_same_thread=False)
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = FULL")
            files.own(path, path.parent)
        except sqlite3.Error as error:
            raise self._unusable(error) from None

    def change(self, *changes: Change) -> None:
        """See `Sql`."""
        try:
            with self._lock, self._database:
                self._database.execute("BEGIN")
                for statement, rows in changes:
                    if rows == NOTHING_GIVEN:
                        self._database.execute(statement)
                    else:
                        self._database.executemany(statement, rows)
        except sqlite3.Error as error:
            raise self._unusable(error) from None

    def rows(self, statement: str, *given: Any) -> Sequence[Row]:
        """See `Sql`."""
        try:
            with self._lock:
                return self._database.execute(statement, given).fetchall()
        except sqlite3.Error as error:
            raise self._unusable(error) from None

    def has(self, table: str) -> bool:
        """See `Sql`."""
        return bool(self.rows("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", table))

    def close(self) -> None:
        """See `Sql`."""
        self._database.close()

    def _unusable(self, error: sqlite3.Error) -> PortalDatabaseError:
        return PortalDatabaseError(f"{self.name} cannot be used: {error}; move it away to begin anew")


class PostgresDatabase:
    """A PostgreSQL server, asked from a thread of its own. See `Sql`."""

    name = "the database of database_url"

    def __init__(self, url: str) -> None:
        """Connects; raises `PortalDatabaseError`, or `SetupError` where the driver is missing."""
        try:
            self._driver: Any = importlib.import_module("asyncpg")
        except ModuleNotFoundError:
            raise SetupError('a PostgreSQL database needs asyncpg; run: pip install "allium[portal]"') from None
        self._url, self._connection = url, None
        self._turn = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="postgres", daemon=True)
        self._thread.start()
        try:
            self._do(lambda database: database.execute(f"CREATE SCHEMA IF NOT EXISTS {_SCHEMA}"))
        except BaseException:
            self.close()
            raise

    def change(self, *changes: Change) -> None:
        """See `Sql`."""

        async def do(database: Any) -> None:
            async with database.transaction():
                for statement, rows in changes:
                    await database.executemany(_numbered(statement), rows)

        self._do(do)

    def rows(self, statement: str, *given: Any) -> Sequence[Row]:
        """See `Sql`."""
        return self._do(lambda database: database.fetch(_numbered(statement), *given))

    def has(self, table: str) -> bool:
        """See `Sql`."""
        return bool(self.rows("SELECT 1 WHERE to_regclass(?) IS NOT NULL", f"{_SCHEMA}.{table}"))

    def close(self) -> None:
        """See `Sql`."""
        if self._connection is not None:
            asyncio.run_coroutine_threadsafe(self._connection.close(timeout=5), self._loop).exception()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Callable[[Any], Awaitable[T]]) -> T:
        """One after another, over a connection that is made anew when it is gone."""
        with self._turn:
            try:
                return asyncio.run_coroutine_threadsafe(self._done(work), self._loop).result()
            except (OSError, ValueError, self._driver.PostgresError, self._driver.InterfaceError) as error:
                # Its text may repeat what is in the URL; it is told in our words.
                raise PortalDatabaseError(f"{self.name} cannot be used: {why(error)}") from None

    async def _done(self, work: Callable[[Any], Awaitable[T]]) -> T:
        if self._connection is None or self._connection.is_closed():
            self._connection = await self._connected()
        return await work(self._connection)

    async def _connected(self) -> Any:
        connection = await self._driver.connect(
            self._url, timeout=_PATIENCE, command_timeout=_PATIENCE, server_settings={"search_path": _SCHEMA}
        )
        if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
            await connection.close()
            raise PortalDatabaseError(f"{self.name} is in use by another portal; give each one of its own")
        return connection


def _numbered(statement: str) -> str:
    """With `$1`, `$2` … in the place of `?`."""
    parts = re.split(r"\?", statement)
    return "".join(f"{part}${number}" for number, part in enumerate(parts[:-1], 1)) + parts[-1]
