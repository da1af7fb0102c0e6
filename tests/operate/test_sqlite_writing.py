"""A database with one writing thread: what is done together, what fails alone, and what never leaves the thread."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from allium.base.sqlite_writing import DatabaseUnusableError, Format, WritingThread
from allium.errors import Complaint

FORMAT = Format("numbers", 0x416C7473, 1, "CREATE TABLE number (number INTEGER PRIMARY KEY, text TEXT) STRICT;")


async def test_a_cursor_does_not_leave_the_thread(tmp_path: Path) -> None:
    """Dropped elsewhere, it would reset a statement that the thread is just using."""
    database = WritingThread(tmp_path / "numbers.sqlite", FORMAT)

    async def write(number: int) -> None:
        query = "INSERT INTO number VALUES (?, ?)"
        assert await database.do(lambda db: db.executemany(query, [(number, "x" * 100)])) is None
        assert await database.do(lambda db: db.execute("DELETE FROM number WHERE number = ?", (number,))) is None

    for start in range(0, 2000, 500):
        await asyncio.gather(*(write(number) for number in range(start, start + 500)))
    assert database.reader.execute("SELECT count(*) FROM number").fetchone() == (0,)
    await database.close()


async def test_what_fails_is_its_own_fault_alone(tmp_path: Path) -> None:
    database = WritingThread(tmp_path / "numbers.sqlite", FORMAT)

    def refused(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO number VALUES (7, 'undone')")
        raise Complaint("no")

    insert = "INSERT INTO number VALUES (?, 'kept')"
    first, taken, no, last = await asyncio.gather(
        database.do(lambda db: db.execute(insert, (1,)).rowcount),
        database.do(lambda db: db.execute(insert, (1,)).rowcount),
        database.do(refused),
        database.do(lambda db: db.execute(insert, (2,)).rowcount),
        return_exceptions=True,
    )
    assert (first, last) == (1, 1)
    assert isinstance(taken, sqlite3.IntegrityError) and isinstance(no, Complaint)
    assert database.reader.execute("SELECT number FROM number").fetchall() == [(1,), (2,)]
    await database.close()


async def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "numbers.sqlite"
    with sqlite3.connect(path) as theirs:
        theirs.execute("CREATE TABLE theirs (x)")
    theirs.close()
    with pytest.raises(DatabaseUnusableError, match="is not numbers"):
        WritingThread(path, FORMAT)
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(DatabaseUnusableError, match="cannot be used"):
        WritingThread(path, FORMAT)
