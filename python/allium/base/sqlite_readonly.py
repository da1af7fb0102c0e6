"""Somebody else's SQLite database, read without a trace: nothing is written into it or beside it.

SQLite itself leaves a `-wal` and a `-shm` beside a database that it only reads. What nobody has open is therefore read
as a file that does not change; if a program that was killed has left changes beside it, a copy is read.
"""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import sqlite3
import struct
from collections.abc import Iterator
from pathlib import Path

from allium.base import files
from allium.errors import CommandError

#: What a program that was killed has left to be done.
_LEFT = ("-wal", "-journal")
#: Where SQLite's locks are in the file: all who have it open hold one of the bytes, or all of them.
_LOCKS, _LOCK_BYTES = 0x40000000, 512
#: `struct flock` of Linux.
_FLOCK = struct.Struct("@hhqqi4x")
#: Seconds until a database that is locked is given up.
_PATIENCE = 5.0


@contextlib.contextmanager
def opened(path: Path, directory: Path) -> Iterator[sqlite3.Connection]:
    """The database `path` as of one moment, which another thread may read. `directory` is made for what it takes.

    Nothing in it is believed: it may be anybody's file. Raises `CommandError` for what is no database, or is locked.
    """
    if not path.is_file():
        raise CommandError(f"{path} does not exist; name the storage server's data directory or its database")
    shutil.rmtree(directory, ignore_errors=True)  # of one that was killed
    try:
        with contextlib.closing(_connect(path, directory)) as database:
            try:
                database.execute("PRAGMA trusted_schema=OFF")
                database.execute("PRAGMA cell_size_check=ON")
                database.execute("BEGIN")
                database.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            except sqlite3.Error as error:
                raise CommandError(unreadable(path, error)) from None
            yield database
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def unreadable(path: Path, error: sqlite3.Error) -> str:
    """What it means that SQLite cannot read `path`."""
    match error.sqlite_errorcode & 0xFF if hasattr(error, "sqlite_errorcode") else None:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return f"{path} is locked by a program that writes to it; stop the storage server, and try again"
        case sqlite3.SQLITE_NOTADB:
            return f"{path} is no database, or damaged: {error}"
    return f"{path} cannot be read: {error}"


def _connect(path: Path, directory: Path) -> sqlite3.Connection:
    mode = "mode=ro&immutable=1"
    if _in_use(path):
        # Whoever has it open has made all that may be beside it.
        mode = "mode=ro"
    elif any(_size(path, suffix) for suffix in _LEFT):
        files.make_directory(directory)
        for suffix in ("", *_LEFT):
            if _size(path, suffix):
                shutil.copyfile(path.with_name(path.name + suffix), directory / f"copy{suffix}")
        path, mode = directory / "copy", "mode=rw"
    try:
        return sqlite3.connect(
            f"{path.absolute().as_uri()}?{mode}",
            timeout=_PATIENCE,
            uri=True,
            check_same_thread=False,
            isolation_level=None,
        )
    except sqlite3.Error as error:
        raise CommandError(unreadable(path, error)) from None


def _size(path: Path, suffix: str) -> int:
    beside = path.with_name(path.name + suffix)
    return beside.stat().st_size if beside.exists() else 0


def _in_use(path: Path) -> bool:
    """Whether another process has it open."""
    wanted = _FLOCK.pack(fcntl.F_WRLCK, 0, _LOCKS, _LOCK_BYTES, 0)
    with path.open("rb") as file:
        kind, *_ = _FLOCK.unpack(fcntl.fcntl(file, fcntl.F_GETLK, wanted))
    return bool(kind != fcntl.F_UNLCK)
