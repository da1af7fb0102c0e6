"""The connection to the file: how it is opened and encrypted, its transactions, and its errors in people's words.

The cipher is ChaCha20-Poly1305 of SQLite3 Multiple Ciphers, on each page of the file and of the write-ahead log, so
that a changed page is noticed. What a transaction wrote is on disk when it ends (`synchronous=FULL`). The file is
locked as long as it is open: two processes with one account would send twice. A second connection of the same process
only reads, so that nobody who reads waits for the disk.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import apsw

from allium.base import files, system
from allium.client.database.errors import (
    DamagedError,
    DatabaseError,
    DiskFullError,
    InUseError,
    UnwritableError,
    WrongKeyError,
)

KEY_BYTES = 32
#: What SQLite may hold of the file in memory, in KiB.
CACHE_KIB = 16 * 1024
#: Pages of the write-ahead log after which whoever writes puts it into the file; `tidy` does it sooner, when idle.
CHECKPOINT_PAGES = 8_000
#: What a connection that only reads holds in memory, in KiB; and how long anybody waits for the other, milliseconds.
READER_CACHE_KIB, BUSY_MS = 4 * 1024, 5_000
#: What is left of it after that.
LOG_BYTES = 8 << 20
#: The largest whole number that a column holds.
MAX_INTEGER = (1 << 63) - 1

Value = None | int | float | str | bytes
Row = tuple[Any, ...]
Values = Sequence[Value] | Mapping[str, Value]


class Connection:
    """One open file. Used by one thread at a time."""

    def __init__(self, path: Path, key: bytes | None) -> None:
        """Opens the file, or makes it, for its owner alone; `DatabaseError` when that cannot be.

        `key` is 32 bytes; without one the file is in the clear.
        """
        if key is not None and len(key) != KEY_BYTES:
            raise ValueError(f"a key is {KEY_BYTES} bytes, not {len(key)}")
        if not hasattr(apsw, "mc_version"):
            raise DatabaseError("this SQLite cannot encrypt: install apsw-sqlite3mc in place of apsw")
        self.path = path
        self._key = key
        _make(path)
        self._lock, self._is_claimed = _claim(path)
        try:
            with self._told():
                self._db = _open(path)
                try:
                    self._prepare(key)
                except BaseException:
                    self._db.close()
                    raise
        except BaseException:
            os.close(self._lock)
            raise

    def _prepare(self, key: bytes | None) -> None:
        db = self._db
        if db.readonly("main"):
            raise apsw.ReadOnlyError
        _unlock(db, key)
        if not self._is_claimed:
            db.pragma("locking_mode", "exclusive")
        db.pragma("journal_mode", "wal")
        db.pragma("synchronous", "full")
        db.pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        db.pragma("journal_size_limit", LOG_BYTES)
        db.pragma("foreign_keys", True)
        db.pragma("cache_size", -CACHE_KIB)
        db.set_busy_timeout(BUSY_MS)
        # What reads it takes SQLite's lock.
        db.execute("SELECT count(*) FROM sqlite_schema").fetchall()

    def second(self) -> Connection | None:
        """Another connection to the same file, for another thread, that only reads; to be closed before this one.

        None on a file system where nothing else keeps other processes away than that there is one connection.
        """
        if not self._is_claimed:
            return None
        other = object.__new__(Connection)
        other.path, other._key, other._is_claimed = self.path, self._key, True
        with self._told():
            other._db = _open(self.path)
            try:
                _unlock(other._db, self._key)
                other._db.pragma("query_only", True)
                other._db.pragma("cache_size", -READER_CACHE_KIB)
                other._db.set_busy_timeout(BUSY_MS)
                other._db.execute("SELECT count(*) FROM sqlite_schema").fetchall()
            except BaseException:
                other._db.close()
                raise
        # It has no claim of its own, and is open as long as it has this.
        other._lock = os.open(os.devnull, os.O_RDONLY | system.CLOEXEC)
        return other

    @property
    def is_closed(self) -> bool:
        """Whether the file was let go of."""
        return self._lock < 0

    @property
    def raw(self) -> apsw.Connection:
        """For functions and backups."""
        return self._db

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing of what is written within; on disk when it ends.

        Within another one, it is a part of that, which an error undoes alone.
        """
        with self._told(), self._db:
            yield

    @contextlib.contextmanager
    def joined(self) -> Iterator[None]:
        """A transaction of its own, or a part of the one around it that is not undone alone.

        For calls of which many come in one transaction: at each savepoint FTS5 writes what it has of the index.
        """
        if self._db.in_transaction:
            yield
        else:
            with self.transaction():
                yield

    def execute(self, statement: str, values: Values = ()) -> int:
        """How many rows were changed."""
        with self._told():
            self._db.execute(statement, values).fetchall()
            return self._db.changes()

    def many(self, statement: str, rows: Iterable[Values]) -> None:
        """The statement for each row, in one transaction."""
        with self.joined(), self._told():
            self._db.executemany(statement, rows)

    def insert(self, statement: str, values: Values = ()) -> int | None:
        """The number of the row that was added; None if it was not, as it was there."""
        with self._told():
            self._db.execute(statement, values).fetchall()
            return self._db.last_insert_rowid() if self._db.changes() else None

    def rows(self, query: str, values: Values = ()) -> list[Row]:
        """All rows."""
        with self._told():
            return list(self._db.execute(query, values))

    def row(self, query: str, values: Values = ()) -> Row | None:
        """The first row."""
        with self._told():
            found: Row | None = self._db.execute(query, values).fetchone()
            return found

    def value(self, query: str, values: Values = ()) -> Any:
        """The first column of the first row; None if there is none."""
        found = self.row(query, values)
        return None if found is None else found[0]

    def rekey(self, key: bytes) -> None:
        """Encrypts the whole file under another key: all of it, or nothing when it ends half-way."""
        if len(key) != KEY_BYTES:
            raise ValueError(f"a key is {KEY_BYTES} bytes, not {len(key)}")
        with self._told():
            # A rollback journal undoes the change of all pages at once.
            self._db.pragma("journal_mode", "delete")
            try:
                self._db.pragma("rekey", f"raw:{key.hex()}")
                self._key = key
            finally:
                self._db.pragma("journal_mode", "wal")

    def close(self) -> None:
        """Puts the write-ahead log into the file, and lets go of it. A second time it does nothing."""
        if self._lock < 0:
            return
        try:
            with self._told():
                self._db.close()
        finally:
            os.close(self._lock)
            self._lock = -1

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except apsw.Error as error:
            raise _told(self.path, error) from None


def _make(path: Path) -> None:
    try:
        files.make_directory(path.parent)
        if not path.exists():
            os.close(os.open(path, os.O_RDWR | system.NEW, files.PRIVATE))
            files.own(path, path.parent)
    except OSError as error:
        raise UnwritableError(f"{path} cannot be made ({error.strerror}); name another file") from None


def _open(path: Path) -> apsw.Connection:
    db = apsw.Connection(str(path), apsw.SQLITE_OPEN_READWRITE)
    db.config(apsw.SQLITE_DBCONFIG_DQS_DML, 0)
    db.config(apsw.SQLITE_DBCONFIG_DQS_DDL, 0)
    db.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
    db.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
    return db


def _unlock(db: apsw.Connection, key: bytes | None) -> None:
    if key is not None:
        # The order is SQLite3 Multiple Ciphers': the cipher, the key, and then what reads the file.
        db.pragma("cipher", "chacha20")
        db.pragma("key", f"raw:{key.hex()}")


def _claim(path: Path) -> tuple[int, bool]:
    """A descriptor that holds a lock on the file, and whether it does.

    SQLite has one too; but POSIX's way is that a process loses that when it closes the file anywhere, as a copy does.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | system.CLOEXEC)
    except OSError as error:
        raise UnwritableError(f"{path} cannot be read ({error.strerror}); look at its permissions") from None
    if not system.HAS_FLOCK:
        # What Windows' lock is on, SQLite could not read.
        return descriptor, False
    try:
        system.claim(descriptor)
    except BlockingIOError:
        os.close(descriptor)
        raise _in_use(path) from None
    except OSError:
        # Some file systems know no such lock; SQLite's is there.
        return descriptor, False
    return descriptor, True


def _in_use(path: Path) -> InUseError:
    return InUseError(f"{path} is in use by another process; end that first")


def _told(path: Path, error: apsw.Error) -> DatabaseError:
    match error:
        case apsw.NotADBError():
            return WrongKeyError(f"the password is not that of {path}, or it is no database of this program")
        case apsw.BusyError() | apsw.LockedError():
            return _in_use(path)
        case apsw.FullError():
            return DiskFullError(f"there is no room for {path}; make room, nothing that was acknowledged is lost")
        case apsw.ReadOnlyError() | apsw.CantOpenError() | apsw.PermissionsError():
            return UnwritableError(f"{path} cannot be written; look at the permissions of it and of its directory")
        case apsw.IOError():
            return UnwritableError(f"{path} cannot be read or written ({error}); look at the disk")
        case apsw.CorruptError():
            return DamagedError(f"{path} is damaged; restore a backup")
        case _:
            return DatabaseError(f"{path}: {error}")


def clean(text: str) -> str:
    """`text` as a column can hold it: without halves of characters."""
    return text.encode("utf-8", "replace").decode() if not text.isascii() else text


def bounded(number: int) -> int:
    """`number`, or the nearest that a column holds."""
    return max(-MAX_INTEGER, min(number, MAX_INTEGER))
