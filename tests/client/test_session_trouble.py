"""Sessions while the network, the disk or the process lets them down."""

from __future__ import annotations

import asyncio
import contextlib
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from allium.client import swarm
from allium.client.database import DatabaseError
from allium.client.database.rows import MessageState
from allium.client.errors import NetworkError
from allium.client.network import Network
from allium.client.quic import QuicEntries
from allium.client.session import Session, pushing
from allium.client.session.events import (
    Connection,
    ConnectionChanged,
    MessageChanged,
    MessageDeleted,
    MessageReceived,
)
from allium.client.session.worker import ClosedError
from allium.client.transport import HttpAnswer, Transport
from tests.client.test_session import next_of, seeds_of, two
from tests.support.devnet import Devnet


class Weather:
    """What part of all requests of this process is lost, on the way there or on the way back; QUIC does not work."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lost = 0.0
        self.chance = random.Random(7)
        whole = Transport.post

        async def post(
            transport: Transport, url: str, body: bytes, timeout: float, content_type: str | None = None
        ) -> HttpAnswer:
            before, after = (self.chance.random() < self.lost / 2 for _ in range(2))
            if before or self.lost == 1.0:
                raise NetworkError("lost on the way there")
            answer = await whole(transport, url, body, timeout, content_type)
            if after:
                raise NetworkError("lost on the way back")
            return answer

        monkeypatch.setattr(Transport, "post", post)

        async def none(*_: object) -> None:
            return None

        monkeypatch.setattr(QuicEntries, "send", none)


@pytest.fixture
def weather(monkeypatch: pytest.MonkeyPatch) -> Iterator[Weather]:
    yield Weather(monkeypatch)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses that are meant for people are short."""
    monkeypatch.setattr("allium.client.session.sending.BACKOFF", 50)
    monkeypatch.setattr("allium.client.schedule.ACCOUNT_SECONDS", 0.2)
    monkeypatch.setattr("allium.client.schedule.OFFLINE_SECONDS", 0.2)
    monkeypatch.setattr("allium.client.pool.SEED_ATTEMPTS", 1)
    monkeypatch.setattr("allium.client.session.pushing.DEBOUNCE", 0.2)


async def test_a_fifth_of_all_requests_fails(
    shared_devnet: Devnet, tmp_path: Path, weather: Weather, hurried: None
) -> None:
    async with two(shared_devnet, tmp_path) as (alice, bob):
        await alice.send(bob.account_id, "0")
        await bob.sync()
        await bob.contacts.accept(alice.account_id)
        weather.lost = 0.2
        heard: list[str] = []

        async def listen() -> None:
            async for event in alice.events():
                if isinstance(event, MessageReceived):
                    heard.append(event.message.body)
                    if len(heard) == 8:
                        return

        listening = asyncio.create_task(listen())
        for number in range(8):
            await bob.send(alice.account_id, str(number))
        async with asyncio.timeout(60):
            await listening
        # Each once, whatever was stored twice.
        assert sorted(heard) == [str(number) for number in range(8)]


async def test_offline_and_back(shared_devnet: Devnet, tmp_path: Path, weather: Weather, hurried: None) -> None:
    async with two(shared_devnet, tmp_path) as (alice, bob):
        await alice.sync()
        events = alice.events()
        weather.lost = 1.0
        assert (await next_of(events, ConnectionChanged)).connection is Connection.OFFLINE
        with pytest.raises(NetworkError):
            await alice.sync()
        sent = await alice.send(bob.account_id, "as soon as it can")
        assert sent.state is MessageState.SENDING
        weather.lost = 0.0
        changed = await next_of(events, MessageChanged)
        assert (changed.message.id, changed.message.state) == (sent.id, MessageState.SENT)
        await bob.sync()
        [request] = await bob.conversations.messages(alice.account_id)
        assert request.body == "as soon as it can"


async def test_dead_nodes_cost_no_message(devnet: Devnet, tmp_path: Path, hurried: None) -> None:
    async with two(devnet, tmp_path) as (alice, bob):
        await alice.send(bob.account_id, "before")
        await bob.sync()
        await bob.send(alice.account_id, "before")
        events = alice.events()
        assert (await next_of(events, MessageReceived)).message.body == "before"
        members = {node.ed25519.hex() for node in await alice.network.swarm(alice.account_id)}
        dying = [index for index, node in enumerate(devnet.nodes) if node["pubkey_ed25519"] in members][:2]
        for index in dying:
            await asyncio.to_thread(devnet.run, "kill", str(index))
        for number in range(3):
            await bob.send(alice.account_id, str(number))
        assert [(await next_of(events, MessageReceived)).message.body for _ in range(3)] == ["0", "1", "2"]
        await alice.set_display_name("Alicia")
        await alice.sync()
        phrase = alice.account.phrase
        async with await Session.restore(tmp_path / "again.db", phrase, seeds=seeds_of(devnet)) as again:
            await again.sync()
            assert again.profile.name == "Alicia"
            texts = await again.conversations.messages(bob.account_id)
            assert [each.body for each in texts if each.kind == "text"] == ["before", "before", "0", "1", "2"]


async def test_what_waits_is_sent_after_a_restart(
    shared_devnet: Devnet, tmp_path: Path, weather: Weather, hurried: None
) -> None:
    async with two(shared_devnet, tmp_path) as (alice, bob):
        await alice.sync()
        weather.lost = 1.0
        await alice.send(bob.account_id, "first")
        await alice.set_display_name("Alicia")
        await alice.close()
        weather.lost = 0.0
        async with await Session.open(tmp_path / "alice.db") as alice:
            await alice.sync()
            [message] = await alice.conversations.messages(bob.account_id)
            assert message.state is MessageState.SENT
            phrase = alice.account.phrase
        await bob.sync()
        assert [each.body for each in await bob.conversations.messages(alice.account_id)] == ["first"]
        async with await Session.restore(tmp_path / "again.db", phrase, seeds=seeds_of(shared_devnet)) as again:
            await again.sync()
            assert again.profile.name == "Alicia"


async def test_many_edits_are_one_push_and_a_push_that_fails_is_repeated(
    shared_devnet: Devnet, tmp_path: Path, weather: Weather, hurried: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed: list[int] = []
    tried, done = asyncio.Event(), asyncio.Event()
    whole = swarm.sequence

    async def counted(network: Network, *rest: object) -> object:
        pushed.append(len(pushed))
        tried.set()
        result = await whole(network, *rest)  # type: ignore[arg-type]
        done.set()
        return result

    monkeypatch.setattr(pushing, "sequence", counted)
    async with await Session.create(tmp_path / "a.db", "Alice", seeds=seeds_of(shared_devnet)) as session:
        await session.sync()
        before = len(pushed)
        tried.clear()
        done.clear()
        weather.lost = 1.0
        for number in range(50):
            await session.set_display_name(f"Alice {number}")
        async with asyncio.timeout(60):
            await tried.wait()
            weather.lost = 0.0
            await done.wait()
        assert len(pushed) < before + 20
        await session.sync()
        assert not await session.run(lambda work: work.configs.needs_push)


#: Sends for as long as it lives, and says what was acknowledged.
_SENDING = """
import asyncio, sys
from allium.client.session import Session

async def main(path, recipient):
    async with await Session.open(path) as session:
        number = 0
        while True:
            sent = await session.send(recipient, str(number))
            print(number, sent.state.value, flush=True)
            number += 1

asyncio.run(main(*sys.argv[1:]))
"""


def killed_while_sending(path: Path, recipient: str) -> list[str]:
    """What a process had sent, by its own word, when it was killed."""
    acknowledged: list[str] = []
    command = [sys.executable, "-c", _SENDING, str(path), recipient]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            acknowledged.append(line.split()[0])
            if len(acknowledged) == 12:
                process.kill()
                break
    return acknowledged


async def test_a_killed_process_has_lost_nothing_and_sends_nothing_twice(shared_devnet: Devnet, tmp_path: Path) -> None:
    bob = await Session.create(tmp_path / "bob.db", "Bob", seeds=seeds_of(shared_devnet))
    async with await Session.create(tmp_path / "alice.db", "Alice", seeds=seeds_of(shared_devnet)) as alice:
        await alice.sync()
    acknowledged = await asyncio.to_thread(killed_while_sending, tmp_path / "alice.db", bob.account_id)
    async with await Session.open(tmp_path / "alice.db") as alice, bob:
        shown = [each for each in await alice.conversations.messages(bob.account_id) if each.kind == "text"]
        assert [each.body for each in shown][: len(acknowledged)] == acknowledged
        await alice.sync()
        await bob.sync()
        received = [each.body for each in await bob.conversations.messages(alice.account_id)]
        # What it was about to send when it ended is sent too.
        assert received == [each.body for each in shown]
        assert len(received) <= len(acknowledged) + 1


async def test_messages_disappear_in_time(shared_devnet: Devnet, tmp_path: Path, hurried: None) -> None:
    async with two(shared_devnet, tmp_path) as (alice, bob):
        events = alice.events()
        sent = await alice.send(bob.account_id, "blink and you miss it")
        # No node keeps anything for so short a time.
        await alice.run(lambda work: work.database.messages.set_expiry(sent.id, work.now + 200))
        deleted = await next_of(events, MessageDeleted)
        assert (deleted.message_id, deleted.placeholder) == (sent.id, False)
        assert await alice.conversations.messages(bob.account_id) == []


async def test_a_session_that_is_closed_says_so(shared_devnet: Devnet, tmp_path: Path, weather: Weather) -> None:
    async with two(shared_devnet, tmp_path) as (alice, bob):
        await alice.sync()
        weather.lost = 1.0
        sending = asyncio.create_task(alice.send(bob.account_id, "too late"))
        listening = asyncio.create_task(next_of(alice.events(), MessageReceived))
        await next_of(alice.events(), ConnectionChanged)
        await alice.close()
        with pytest.raises(ClosedError, match="closed"):
            await sending
        with pytest.raises(AssertionError, match="ended"):
            await listening
        with pytest.raises(ClosedError):
            await alice.send(bob.account_id, "and this")
        weather.lost = 0.0
        async with await Session.open(tmp_path / "alice.db") as alice:
            await alice.sync()
        await bob.sync()
        assert [each.body for each in await bob.conversations.messages(alice.account_id)] == ["too late"]


async def test_whoever_is_cancelled_can_go_on(shared_devnet: Devnet, tmp_path: Path, hurried: None) -> None:
    async with two(shared_devnet, tmp_path) as (alice, bob):
        for number, steps in enumerate((0, 1, 3, 10, 30, 60, 100)):
            await alice.send(bob.account_id, str(number))
            await bob.set_display_name(f"Bob {number}")
            for action in (bob.sync(), bob.send(alice.account_id, f"answer {number}")):
                task = asyncio.create_task(action)
                for _ in range(steps):
                    await asyncio.sleep(0)
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        for session in (bob, alice, bob):
            await session.sync()
        here, there = (
            # Two may be of one millisecond.
            sorted((each for each in found if each.kind == "text"), key=lambda each: (each.timestamp, each.body))
            for found in (
                await bob.conversations.messages(alice.account_id),
                await alice.conversations.messages(bob.account_id),
            )
        )
        # Some answers were cancelled before they were begun. What is shown is sent, and what is sent is there once.
        assert [each.body for each in here] == [each.body for each in there]
        assert [each.body for each in here if not each.outgoing] == [str(number) for number in range(7)]
        assert all(each.state is MessageState.SENT for each in here if each.outgoing)
        assert not await bob.run(lambda work: work.configs.needs_push)


async def test_passwords(tmp_path: Path) -> None:
    path, seeds = tmp_path / "deep" / "a.db", ["http://127.0.0.1:9"]
    async with await Session.create(path, "Alice", seeds=seeds, password="correct horse") as session:
        account_id = session.account_id
        with pytest.raises(DatabaseError, match="in use"):
            await Session.open(path, password="correct horse")
    for file in path.parent.iterdir():
        assert file.stat().st_mode & 0o777 == 0o600
        assert bytes.fromhex(account_id) not in file.read_bytes()
    for wrong in (None, "battery staple"):
        with pytest.raises(DatabaseError, match="password"):
            await Session.open(path, password=wrong)
    with pytest.raises(DatabaseError, match="already"):
        await Session.create(path, "Eve", seeds=seeds, password="correct horse")
    async with await Session.open(path, password="correct horse") as session:
        with pytest.raises(DatabaseError, match="password"):
            await session.set_password("new one", old="battery staple")
        await session.set_password("new one", old="correct horse")
    # What cannot be is refused before it is remembered, and before anything is held open.
    with pytest.raises(ValueError, match="seed"):
        await Session.open(path, password="new one", seeds=[])
    async with await Session.open(path, password="new one") as session:
        assert (session.account_id, session.profile.name) == (account_id, "Alice")
    assert [event async for event in session.events()] == []
    assert session._polling is None
    with pytest.raises(DatabaseError, match="no account"):
        await Session.open(tmp_path / "nowhere.db")


async def test_without_a_password_the_phrase_opens_it(tmp_path: Path) -> None:
    path, seeds = tmp_path / "a.db", ["http://127.0.0.1:9"]
    async with await Session.create(path, "Alice", seeds=seeds) as session:
        phrase = session.account.phrase
    beside = tmp_path / "a.db.phrase"
    assert beside.stat().st_mode & 0o777 == 0o600
    beside.rename(tmp_path / "elsewhere")
    with pytest.raises(DatabaseError, match="give it"):
        await Session.open(path)
    async with await Session.open(path, phrase=phrase) as session:
        assert session.profile.name == "Alice"
        await session.set_password("now I have one")
    async with await Session.open(path, password="now I have one"):
        pass
    other = tmp_path / "b.db"
    (tmp_path / "b.db.phrase").write_text(phrase)
    with pytest.raises(DatabaseError, match="another account"):
        await Session.create(other, "Eve", seeds=seeds)
    async with await Session.restore(other, phrase, seeds=seeds, keep_phrase=False):
        assert (tmp_path / "b.db.phrase").read_text() == phrase


async def test_making_an_account_can_be_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = ["http://127.0.0.1:9"]

    def full(*_: object) -> None:
        raise DatabaseError("there is no room")

    with monkeypatch.context() as patch, pytest.raises(DatabaseError, match="no room"):
        patch.setattr("allium.client.session.accountfile._fill", full)
        await Session.create(tmp_path / "a.db", "Alice", seeds=seeds)
    with pytest.raises(DatabaseError, match="interrupted"):
        await Session.open(tmp_path / "a.db")
    async with await Session.create(tmp_path / "a.db", "Alice", seeds=seeds) as session:
        assert session.profile.name == "Alice"
        phrase = session.account.phrase
    # And where somebody else keeps the phrase.
    with monkeypatch.context() as patch, pytest.raises(DatabaseError, match="no room"):
        patch.setattr("allium.client.session.accountfile._fill", full)
        await Session.restore(tmp_path / "b.db", phrase, seeds=seeds, keep_phrase=False)
    async with await Session.restore(tmp_path / "b.db", phrase, seeds=seeds, keep_phrase=False) as session:
        assert session.account.phrase == phrase
