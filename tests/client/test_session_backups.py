"""Backups and exports of a session, which goes on meanwhile; no network is needed for any of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from allium.client.database import DamagedError, DatabaseError, WrongKeyError, archive
from allium.client.database.rows import ConversationKind, MessageState, NewMessage
from allium.client.session import Session, idle, restore_backup, verify_backup
from allium.client.session.core import Work
from allium.client.session.events import MessageDeleted
from allium.client.session.worker import ClosedError

BOB = "05" + "bb" * 32
NOW = 1_700_000_000_000
COUNT = 1_200
#: Nobody answers there.
NOWHERE = ["http://127.0.0.1:9"]


def said(work: Work) -> None:
    work.database.conversations.ensure(BOB, ConversationKind.CONTACT, name="Bob")
    for number in range(COUNT):
        work.database.messages.add(NewMessage(BOB, BOB, NOW + number, f"words {number}", hash=f"hash {number}"))
    work.database.messages.add(
        NewMessage(BOB, work.own_id, NOW + COUNT, "on its way", outgoing=True, state=MessageState.SENDING)
    )


def files_in(directory: Path) -> list[str]:
    return [each.name for each in directory.iterdir()]


def count(work: Work) -> int:
    return work.database.messages.count()


@contextlib.asynccontextmanager
async def alice_of(directory: Path) -> AsyncIterator[Session]:
    async with await Session.create(directory / "alice.db", "Alice", seeds=NOWHERE) as session:
        await session.run(said)
        yield session


async def test_a_backup_is_made_while_the_session_goes_on(tmp_path: Path) -> None:
    file, told, asked = tmp_path / "backup", list[int](), list[asyncio.Task[int]]()
    async with alice_of(tmp_path) as alice:

        def progress(rows: int) -> None:
            told.append(rows)
            asked.append(asyncio.create_task(alice.run(count)))

        made = await alice.backups.write(file, progress=progress)
        assert [await each for each in asked] == [COUNT + 1] * len(told)
        assert told == sorted(told) and told[-1] > COUNT and len(told) > 3
        assert (made.messages, made.conversations) == (COUNT + 1, 1)
        assert (await alice.backups.verify(file)).time == made.time
        await alice.run(lambda work: work.database.messages.add(NewMessage(BOB, BOB, NOW * 2, "one more")))
        assert (await alice.backups.write(file)).added < made.size
        phrase = alice.account.phrase
    told.clear()
    await restore_backup(file, tmp_path / "restored.db", phrase=phrase, progress=told.append)
    assert told[-1] > COUNT
    async with await Session.open(tmp_path / "restored.db") as again:
        assert (again.account.phrase, again.profile.name) == (phrase, "Alice")
        assert await again.run(count) == COUNT + 2
        [pending] = await again.conversations.search("on its way")
        assert pending.state is MessageState.FAILED


async def test_a_password_in_place_of_the_phrase(tmp_path: Path) -> None:
    file, restored = tmp_path / "backup", tmp_path / "new" / "restored.db"
    async with alice_of(tmp_path) as alice:
        await alice.backups.write(file, password="open")
        with pytest.raises(WrongKeyError):
            await alice.backups.write(file)
        phrase = alice.account.phrase
    with pytest.raises(WrongKeyError):
        await verify_backup(file, phrase=phrase)
    with pytest.raises(ValueError, match="opened by"):
        await verify_backup(file)
    with pytest.raises(ValueError, match="opened by"):
        await verify_backup(file, phrase=phrase, password="open")
    with pytest.raises(WrongKeyError):
        await restore_backup(file, restored, backup_password="other", password="mine")
    assert not restored.parent.exists()
    await restore_backup(file, restored, backup_password="open", password="mine")
    with pytest.raises(DatabaseError, match="is there already"):
        await restore_backup(file, restored, backup_password="open", password="mine")
    async with await Session.open(restored, password="mine") as again:
        assert again.account.phrase == phrase and await again.run(count) == COUNT + 1
    assert not restored.with_name("restored.db.phrase").exists()


async def test_who_cancels_a_backup_has_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "backup"
    async with alice_of(tmp_path) as alice:

        async def cancelled() -> None:
            writing = asyncio.create_task(alice.backups.write(file, progress=lambda _: writing.cancel()))
            with pytest.raises(asyncio.CancelledError):
                await writing

        await cancelled()
        assert all("backup" not in name for name in files_in(tmp_path))
        made = await alice.backups.write(file)
        await alice.run(lambda work: work.database.messages.remove([1, 600]))
        await cancelled()
        assert (await alice.backups.verify(file)).time == made.time
        assert (await alice.backups.write(file)).messages == COUNT - 1
        phrase = alice.account.phrase
    target, gate, real = tmp_path / "other" / "restored.db", threading.Event(), archive.restore

    def held(source: Path, opener: bytes, path: Path, key: bytes, progress: Callable[[int], object]) -> archive.Backup:
        """After the first step it waits until who wanted it is gone."""
        return real(source, opener, path, key, lambda rows: (progress(rows), gate.wait(60)))

    monkeypatch.setattr(archive, "restore", held)
    restoring = asyncio.create_task(restore_backup(file, target, phrase=phrase, progress=lambda _: restoring.cancel()))
    with pytest.raises(asyncio.CancelledError):
        await restoring
    gate.set()
    await asyncio.get_running_loop().shutdown_default_executor()
    assert files_in(target.parent) == []


async def test_a_session_that_is_closed_ends_its_backup(tmp_path: Path) -> None:
    async with alice_of(tmp_path) as alice:
        closing: list[asyncio.Task[None]] = []

        def close(_: int) -> None:
            closing.append(asyncio.create_task(alice.close()))

        with pytest.raises(ClosedError, match="the session is closed"):
            for _ in range(100):
                await alice.backups.write(tmp_path / "backup", progress=close)
        await asyncio.gather(*closing)
    assert all(not name.startswith(".backup") for name in files_in(tmp_path))


async def test_a_damaged_backup_makes_nothing(tmp_path: Path) -> None:
    file, directory = tmp_path / "backup", tmp_path / "other"
    async with alice_of(tmp_path) as alice:
        await alice.backups.write(file)
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
        with pytest.raises(DamagedError):
            await alice.backups.verify(file)
        with pytest.raises(DamagedError):
            await restore_backup(file, directory / "restored.db", phrase=alice.account.phrase)
    assert files_in(directory) == []


async def test_an_export_is_read_by_another_account(tmp_path: Path) -> None:
    file, told = tmp_path / "export.jsonl", list[int]()
    async with alice_of(tmp_path) as alice:
        await alice.exports.write_json(file, progress=told.append)
        [index, page] = await alice.exports.write_html(tmp_path / "pages")
    assert told[-1] > COUNT / 2
    assert "Bob" in index.read_text() and f"words {COUNT - 1}" in page.read_text()
    lines = file.read_text().splitlines()
    last = json.loads(lines[-1]) | {"expires": NOW, "timestamp": 7}
    file.write_text("\n".join([*lines, json.dumps(last), "no JSON", ""]))
    async with await Session.create(tmp_path / "carol.db", "Carol", seeds=NOWHERE) as carol:
        deleted = asyncio.create_task(first_deleted(carol))
        found = await carol.exports.read_json(file)
        assert (found.added, found.known, found.unreadable) == (COUNT + 2, 0, 1)
        # What was to disappear meanwhile does at once, by itself.
        assert (await deleted).conversation_id == BOB
        assert await carol.run(count) == COUNT + 1
        [pending] = await carol.conversations.search("on its way")
        assert pending.state is MessageState.FAILED
        again = await carol.exports.read_json(file)
        assert (again.added, again.known) == (1, COUNT + 1)


async def first_deleted(session: Session) -> MessageDeleted:
    async with asyncio.timeout(60):
        async for event in session.events():
            if isinstance(event, MessageDeleted):
                return event
    raise AssertionError("the session ended")


async def test_words_are_forgotten_when_nothing_else_is_to_be_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idle, "SECONDS", 0.01)
    loop, done, steps = asyncio.get_running_loop(), asyncio.Event(), list[bool]()
    async with alice_of(tmp_path) as alice:
        tidy = alice.core.database.tidy

        def step() -> bool:
            steps.append(tidy())
            if not steps[-1]:
                loop.call_soon_threadsafe(done.set)
            return steps[-1]

        monkeypatch.setattr(alice.core.database, "tidy", step)
        assert await alice.conversations.clear(BOB) == COUNT + 1
        done.clear()
        async with asyncio.timeout(60):
            await done.wait()
        assert sum(steps) > 100
        left = await alice.run(lambda work: work.database.connection.value("SELECT count(*) FROM forgotten"))
        assert left == 0
