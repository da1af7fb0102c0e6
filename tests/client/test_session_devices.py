"""Protocol v2 between sessions over a real network: keys that change, devices that are linked and removed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from allium.client.account import Account
from allium.client.database.rows import MessageState
from allium.client.protocol_v2 import account_keys
from allium.client.session import Session, Settings
from allium.client.session.device_state import DeviceState, Standing
from allium.client.session.events import DeviceAsked, DevicesChanged, MessageReceived, RequestReceived
from allium.client.swarm import Store, store
from tests.client.test_session import next_of, seeds_of, two
from tests.support.devnet import Devnet


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Polls follow each other without much of a pause."""
    monkeypatch.setattr("allium.client.schedule.ACCOUNT_SECONDS", 0.2)


async def bodies(session: Session, other: str) -> list[tuple[str, object]]:
    """What was said, and how it was sealed: None with protocol v1."""
    found = await session.conversations.messages(other)
    return [(each.body, each.extra.get("forward_secret")) for each in found if each.kind == "text"]


async def second(first: Session, net: Devnet, path: Path) -> Session:
    """Another device of the same account."""
    return await Session.restore(path, first.account.phrase, seeds=seeds_of(net))


async def link(new: Session, old: Session) -> None:
    """Both users see the same emoji, and say so."""
    asked = await new.devices.link("the second")
    await old.sync()
    [request] = await old.devices.requests()
    assert request.emoji == asked.emoji and len(request.emoji) == 21
    assert (request.description, request.replaces) == ("the second", False)
    await new.devices.confirm(asked)
    await old.devices.accept(request.id)
    await new.sync()


async def test_v2_goes_to_who_publishes_keys_and_v1_to_all_others(shared_devnet: Devnet, tmp_path: Path) -> None:
    async with two(shared_devnet, tmp_path) as (alice, bob):
        await bob.devices.create("Bob's laptop")
        [device] = await bob.devices.list()
        assert (device.description, device.is_this) == ("Bob's laptop", True)
        # Who has not turned it on sends v1, to anybody; who has sends v1 to who publishes nothing.
        await alice.send(bob.account_id, "one")
        await bob.send(alice.account_id, "two")
        await alice.devices.create()
        await alice.send(bob.account_id, "three")
        await bob.run(lambda work: work.database.peer_keys.set(alice.account_id, b"", 0))
        await bob.send(alice.account_id, "four")
        for session in (alice, bob):
            await session.sync()
        assert await bodies(bob, alice.account_id) == [("one", None), ("two", None), ("three", True), ("four", None)]
        assert await bodies(alice, bob.account_id) == [("one", None), ("two", None), ("three", None), ("four", True)]


async def test_a_key_changes_with_a_message_under_way(shared_devnet: Devnet, tmp_path: Path) -> None:
    async with two(shared_devnet, tmp_path) as (alice, bob):
        await alice.devices.create()
        await bob.devices.create()
        await alice.send(bob.account_id, "sealed for the old key")
        before = await bob.run(lambda work: work.readers.keys(work))
        await _rotate(bob)
        after = await bob.run(lambda work: work.readers.keys(work))
        assert after[1].seed == before[0].seed and after[0].seed != before[0].seed
        # Alice still has the old record, and uses it; then she asks anew.
        await alice.send(bob.account_id, "for the old one too")
        await alice.run(lambda work: work.database.peer_keys.set(bob.account_id, b"", 0))
        await alice.send(bob.account_id, "for the new one")
        await bob.sync()
        assert [body for body, secret in await bodies(bob, alice.account_id) if secret] == [
            "sealed for the old key",
            "for the old one too",
            "for the new one",
        ]
        record = await alice.run(lambda work: work.database.peer_keys.get(bob.account_id))
        assert record is not None
        assert account_keys.read_record(bob.account_id, record.record).x25519 == after[0].pair().x25519_public


async def _rotate(session: Session) -> None:
    """Half a day passes for the current key."""

    def older(work: object) -> None:
        state = DeviceState.load(work)  # type: ignore[arg-type]
        [key, *rest] = state.payload.keys
        aged = account_keys.AccountKey(key.seed, key.created - account_keys.ROTATION - account_keys.SPREAD)
        state.payload = type(state.payload)(state.payload.entries, (aged, *rest))
        state.save(work)  # type: ignore[arg-type]

    await session.run(older)
    await session.sync()


async def test_devices_are_linked_and_removed(shared_devnet: Devnet, tmp_path: Path) -> None:
    async with two(shared_devnet, tmp_path) as (alice, bob):
        await alice.devices.create()
        await bob.devices.create("the first")
        await alice.send(bob.account_id, "before")
        async with await second(bob, shared_devnet, tmp_path / "second.db") as other:
            await other.sync()
            # It has no keys: what it cannot read is counted and kept.
            assert await bodies(other, alice.account_id) == []
            assert await other.run(lambda work: work.database.unreadable.total()) == 1
            await link(other, bob)
            assert (await other.devices.group()).standing is Standing.MEMBER
            assert [each.description for each in await other.devices.list()] == ["the second", "the first"]
            assert await bodies(other, alice.account_id) == [("before", True)]
            # Each has what the other one sends, and gets.
            await bob.send(alice.account_id, "from the first")
            await bob.sync()
            await other.sync()
            await other.send(alice.account_id, "from the second")
            await other.sync()
            await bob.sync()
            said = [("before", True), ("from the first", None), ("from the second", True)]
            assert await bodies(bob, alice.account_id) == said
            assert [body for body, _ in await bodies(other, alice.account_id)] == [body for body, _ in said]

            [_, lost] = await bob.devices.list()
            await bob.devices.remove(lost.id)
            await alice.run(lambda work: work.database.peer_keys.set(bob.account_id, b"", 0))
            await alice.send(bob.account_id, "after")
            await other.sync()
            assert (await other.devices.group()).standing is Standing.REMOVED
            assert await other.run(lambda work: work.readers.keys(work)) == ()
            assert "after" not in [body for body, _ in await bodies(other, alice.account_id)]
            await bob.sync()
            assert (await bodies(bob, alice.account_id))[-1] == ("after", True)
            # Its id is spent, so that it is another device that is linked again.
            await link(other, bob)
            assert (await bodies(other, alice.account_id))[-1] == ("after", True)
            assert lost.id not in [each.id for each in await bob.devices.list()]
            await other.devices.leave()
            assert (await other.devices.group()).standing is Standing.OUTSIDE
            keys = await bob.run(lambda work: work.readers.keys(work))
            await bob.sync()
            assert [each.is_this for each in await bob.devices.list()] == [True]
            # Who left still has the key.
            assert (await bob.run(lambda work: work.readers.keys(work)))[0] != keys[0]


async def test_a_listener_is_told_who_asks(shared_devnet: Devnet, tmp_path: Path) -> None:
    async with await Session.create(tmp_path / "bob.db", "Bob", seeds=seeds_of(shared_devnet)) as bob:
        await bob.devices.create()
        asks = asyncio.create_task(next_of(bob.events(), DeviceAsked))
        async with await second(bob, shared_devnet, tmp_path / "second.db") as other:
            asked = await other.devices.link()
            assert (await asks).device_id == asked.id
            changed = other.events()
            await bob.devices.accept(asked.id)
            # Without a word of its own user it joins nothing.
            await other.sync()
            assert (await other.devices.group()).standing is Standing.WAITING
            joined = asyncio.create_task(next_of(changed, DevicesChanged))
            await other.devices.confirm(asked)
            await joined
            assert (await other.devices.group()).standing is Standing.MEMBER


async def test_strangers_records_and_messages_are_counted_and_kept(shared_devnet: Devnet, tmp_path: Path) -> None:
    async with two(shared_devnet, tmp_path) as (alice, bob):
        await alice.devices.create()
        [record, key] = [b"d1:M3:abce", account_keys.record(Account(bytes(16)), await _public(alice))]
        for data in (record, key):
            # What only its owner can store may be anything all the same.
            await store(bob.network, bob.account_id, Store(-21, data, 3_600_000), bob.credentials)
            await alice.run(lambda work: work.database.peer_keys.set(bob.account_id, b"", 0))
            await alice.send(bob.account_id, "as v1")
        kept = await alice.run(lambda work: work.database.unreadable.after())
        assert [(each.pubkey, each.namespace, each.data) for each in kept] == [
            (bob.account_id, -21, each) for each in (record, key)
        ]
        for data in (b"\0\2" + bytes(1534), b"\0\3", b"\0\2" * 20_000):
            await store(bob.network, alice.account_id, Store(0, data, 3_600_000))
        for data in (b"de", b"d0:1:Gee", bytes(100)):
            await store(alice.network, alice.account_id, Store(21, data, 3_600_000), alice.credentials)
        await bob.sync()
        assert [body for body, _ in await bodies(bob, alice.account_id)] == ["as v1", "as v1"]
        sent = await bob.send(alice.account_id, "not hidden by any of it")
        assert sent.state is MessageState.SENT
        await alice.sync()
        assert (await bodies(alice, bob.account_id))[-1][0] == "not hidden by any of it"
        assert await alice.run(lambda work: work.database.unreadable.total()) == 8


async def _public(session: Session) -> account_keys.PublicKeys:
    [key, *_] = await session.run(lambda work: work.readers.keys(work))
    pair = key.pair()
    return account_keys.PublicKeys(pair.ml_kem_public, pair.x25519_public)


async def test_what_is_off_is_neither_published_nor_sent(shared_devnet: Devnet, tmp_path: Path) -> None:
    async with two(shared_devnet, tmp_path) as (alice, bob):
        with pytest.raises(ValueError, match="create one on the first"):
            await alice.devices.link()
        await alice.devices.create()
        with pytest.raises(ValueError, match="has to leave"):
            await alice.devices.create()
        await bob.devices.create()
        await alice.set_settings(Settings())
        heard = asyncio.create_task(next_of(bob.events(), RequestReceived))
        await alice.send(bob.account_id, "hello")
        assert "forward_secret" not in (await heard).message.extra
        # It is still read.
        heard_back = asyncio.create_task(next_of(alice.events(), MessageReceived))
        await bob.send(alice.account_id, "hello yourself")
        assert (await heard_back).message.extra["forward_secret"] is True
        await alice.devices.leave()
        assert (await alice.devices.group()).standing is Standing.NO_GROUP
        told, _ = await alice.run(lambda work: (work.settings, None))
        assert told == Settings()
        await bob.run(lambda work: work.database.peer_keys.set(alice.account_id, b"", 0))
        again = asyncio.create_task(next_of(alice.events(), MessageReceived))
        await bob.send(alice.account_id, "and now?")
        assert "forward_secret" not in (await again).message.extra
