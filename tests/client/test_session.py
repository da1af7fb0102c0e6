"""Sessions over a real network: two people, two devices of one, and what a restart leaves."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeVar

import pytest

from allium.client.database import DatabaseError
from allium.client.database.rows import MessageState
from allium.client.session import Session, Settings, typist
from allium.client.session.core import Work
from allium.client.session.events import Event, MessageReceived, RequestReceived, TypingReceived
from allium.client.session.worker import ClosedError
from tests.support.devnet import Devnet

E = TypeVar("E")


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Polls follow each other without much of a pause."""
    monkeypatch.setattr("allium.client.schedule.ACCOUNT_SECONDS", 0.2)


def seeds_of(net: Devnet) -> list[str]:
    return [net.network["seed_url"]]


async def next_of(events: AsyncIterator[Event], kind: type[E]) -> E:
    """The next event of one kind."""
    async with asyncio.timeout(60):
        async for event in events:
            if isinstance(event, kind):
                return event
    raise AssertionError("the session ended")


@contextlib.asynccontextmanager
async def two(net: Devnet, directory: Path) -> AsyncIterator[tuple[Session, Session]]:
    async with (
        await Session.create(directory / "alice.db", "Alice", seeds=seeds_of(net)) as alice,
        await Session.create(directory / "bob.db", "Bob", seeds=seeds_of(net)) as bob,
    ):
        yield alice, bob


async def test_a_text_travels_and_is_answered(shared_devnet: Devnet, tmp_path: Path) -> None:
    async with two(shared_devnet, tmp_path) as (alice, bob):
        sent = await alice.send(bob.account_id.upper(), "hello")
        assert sent.state is MessageState.SENT
        await bob.sync()
        [request] = await bob.contacts.requests()
        assert (request.account_id, request.name) == (alice.account_id, "Alice")
        [message] = await bob.conversations.messages(alice.account_id)
        assert (message.body, message.sender, message.timestamp) == ("hello", alice.account_id, sent.timestamp)
        events = alice.events()
        received = asyncio.create_task(next_of(events, MessageReceived))
        await bob.send(alice.account_id, "hello yourself")
        answer = (await received).message
        assert (answer.body, answer.sender, answer.read) == ("hello yourself", bob.account_id, False)
        contact = await alice.contacts.get(bob.account_id)
        assert contact is not None
        assert (contact.approved, contact.approved_me, contact.name) == (True, True, "Bob")


async def test_a_listener_hears_a_request(shared_devnet: Devnet, tmp_path: Path) -> None:
    async with two(shared_devnet, tmp_path) as (alice, bob):
        heard = asyncio.create_task(next_of(bob.events(), RequestReceived))
        await alice.send(bob.account_id, "do you know me?")
        assert (await heard).message.body == "do you know me?"


def test_when_typing_is_told() -> None:
    state = typist.TypingState()
    assert state.end is None
    assert [state.pressed(now) for now in (0.0, 1.0, 9.9, 10.0, 15.0, 20.0)] == [True, False, False, True, False, True]
    assert state.end == 30.0
    assert (state.ceased(), state.ceased()) == (True, False)
    assert state.pressed(21.0)


async def test_typing_is_told_and_ends(shared_devnet: Devnet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with two(shared_devnet, tmp_path) as (alice, bob):
        await alice.send(bob.account_id, "hello")
        await bob.sync()
        await bob.send(alice.account_id, "hello")
        await alice.sync()
        for session in (alice, bob):
            await session.set_settings(Settings(typing=True))
        monkeypatch.setattr(typist, "IDLE", 0.3)
        events = alice.events()
        await bob.set_typing(alice.account_id)
        assert await next_of(events, TypingReceived) == TypingReceived(bob.account_id, started=True)
        # Without another key it ends by itself.
        assert await next_of(events, TypingReceived) == TypingReceived(bob.account_id, started=False)
        # With the message it just ends.
        await bob.set_typing(alice.account_id)
        await bob.send(alice.account_id, "what I typed")
        assert await next_of(events, TypingReceived) == TypingReceived(bob.account_id, started=True)
        assert (await next_of(events, MessageReceived)).message.body == "what I typed"


async def test_who_reads_waits_for_nobody_who_writes(shared_devnet: Devnet, tmp_path: Path) -> None:
    async with await Session.create(tmp_path / "a.db", "A", seeds=seeds_of(shared_devnet)) as session:
        await session.send(session.account_id, "a note")
        begun, end = asyncio.Event(), threading.Event()
        loop = asyncio.get_running_loop()

        def long(work: Work) -> None:
            work.database.conversations.update(session.account_id, draft="not there yet")
            loop.call_soon_threadsafe(begun.set)
            assert end.wait(60)

        writing = asyncio.create_task(session.run(long))
        try:
            await begun.wait()
            assert [each.body for each in await session.conversations.messages(session.account_id)] == ["a note"]
            [note] = await session.conversations.list()
            assert note.draft == ""
            with pytest.raises(DatabaseError):
                await session.read(lambda database: database.facts.set("a", b"b"))
        finally:
            end.set()
        await writing
        assert [each.draft for each in await session.conversations.list()] == ["not there yet"]
        # While all is encrypted anew there is one connection, and then there are two again.
        await session.set_password("a password")
        assert [each.body for each in await session.conversations.search("note")] == ["a note"]
    with pytest.raises(ClosedError):
        await session.conversations.list()
