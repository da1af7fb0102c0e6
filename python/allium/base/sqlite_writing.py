"""A database of SQLite with one thread that writes, and puts what comes together into one transaction."""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from allium.base import files
from allium.errors import Complaint

T = TypeVar("T")

#: Seconds that another process may hold the database.
_PATIENCE = 10.0
#: Writes of one transaction, and those that may wait.
_BATCH, _WAITING = 256, 8192


class DatabaseUnusableError(Complaint):
    """The database cannot be used; the text says what to do."""


class Format(NamedTuple):
    """What is in a database."""

    #: For people.
    what: str
    #: How `file` and a mistaken program know it: four letters.
    application: int
    version: int
    #: Statements that make the tables.
    schema: str


class WritingThread:
    """A database in one file: a reader for the event loop, and the thread. Its methods are called from one loop."""

    def __init__(self, path: Path, format: Format) -> None:
        """Opens the database, or makes it; raises `DatabaseUnusableError`."""
        self._path = path
        self._jobs: queue.Queue[_Job | None] = queue.Queue(_WAITING)
        try:
            if not path.exists():
                files.make_directory(path.parent)
                path.touch(0o600)
                files.own(path, path.parent)
            self._writer = _connect(path)
            _prepare(self._writer, path, format)
            #: Reads what was committed; look-ups in the page cache cost less than another thread.
            self.reader = _connect(path)
            self.reader.execute("PRAGMA query_only=ON")
        except sqlite3.Error as error:
            raise DatabaseUnusableError(f"{path} cannot be used: {error}; restore a copy of it") from None
        # A daemon: who is killed by a signal does not wait for it, and nothing is acknowledged that it has not done.
        self._thread = threading.Thread(target=self._write, name="sqlite", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Writes what is queued, and closes."""
        await asyncio.to_thread(self._jobs.put, None)
        await asyncio.to_thread(self._thread.join)
        self.reader.close()
        self._writer.close()

    async def do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Has it done by the thread, in a transaction with others; what it returned, once that is on disk."""
        job = _Job(work, asyncio.get_running_loop())
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            raise DatabaseUnusableError("the database has too much to write; try again") from None
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
                job.error = DatabaseUnusableError(f"{self._path}: {error}")
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
    # What was acknowledged has to be there after a power cut.
    db.execute("PRAGMA synchronous=FULL")
    db.execute("PRAGMA trusted_schema=OFF")
    return db


def _prepare(db: sqlite3.Connection, path: Path, format: Format) -> None:
    db.execute("BEGIN IMMEDIATE")
    try:
        [found] = db.execute("PRAGMA user_version").fetchone()
        [application] = db.execute("PRAGMA application_id").fetchone()
        if (found, application) == (0, 0) and not db.execute("SELECT 1 FROM sqlite_schema").fetchone():
            for statement in _statements(format.schema):
                db.execute(statement)
            db.execute(f"PRAGMA user_version={format.version}")
            db.execute(f"PRAGMA application_id={format.application}")
        elif application != format.application:
            raise DatabaseUnusableError(f"{path} is not {format.what}; name another data directory")
        elif found != format.version:
            raise DatabaseUnusableError(
                f"{path} has format {found}, and this version reads {format.version}; use another version"
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
