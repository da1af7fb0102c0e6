"""Two devices of one account: what one of them does, the other one has, whoever was offline in between."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from allium.client import swarm
from allium.client.credentials import AccountCredentials
from allium.client.messages.kinds import Disappear, Disappearing
from allium.client.polling import PollResult, poll_everyone
from allium.client.session import Session
from allium.client.session.configs import NAMESPACES
from tests.client.test_session import seeds_of
from tests.support.devnet import Devnet

FRIEND = "05" + "5b" * 32


@contextlib.asynccontextmanager
async def devices(net: Devnet, directory: Path) -> AsyncIterator[tuple[Session, Session]]:
    """A device whose account has a name and is in its swarm, and another one with nothing but the phrase."""
    async with await Session.create(directory / "first.db", "Alice", seeds=seeds_of(net)) as first:
        await first.sync()
        phrase = first.account.phrase
        async with await Session.restore(directory / "second.db", phrase, seeds=seeds_of(net)) as second:
            yield first, second


async def stored(session: Session) -> dict[int, int]:
    """How many messages the swarm has, by namespace; the same at each of its members."""
    results: list[PollResult] = await poll_everyone(session.network, AccountCredentials(session.account), NAMESPACES)
    counts = [
        {each: sum(message.namespace == each for message in result.messages) for each in NAMESPACES}
        for result in results
    ]
    assert all(each == counts[0] for each in counts)
    return counts[0]


def names_in(directory: Path) -> list[str]:
    return [each.name for each in directory.iterdir()]


def data_of(session: Session) -> list[object]:
    return [config.data for config in session.core.configs]


async def test_a_restored_device_has_all(shared_devnet: Devnet, tmp_path: Path) -> None:
    async with devices(shared_devnet, tmp_path) as (first, second):
        assert second.profile.name == ""
        await first.contacts.set_nickname(FRIEND, "an old friend")
        await first.contacts.block(FRIEND)
        await first.conversations.set_timer(first.account_id, Disappearing(Disappear.AFTER_SEND, 3600))
        await first.sync()
        await second.sync()
        # No member of the swarm was trusted alone.
        asked = await second.run(lambda work: work.database.cursors.all(work.own_id))
        assert set(asked) == {node.ed25519 for node in await second.network.swarm(second.account_id)}
        assert second.profile.name == "Alice"
        contact = await second.contacts.get(FRIEND)
        assert contact is not None
        assert (contact.nickname, contact.blocked) == ("an old friend", True)
        assert second.core.configs.profile.note_to_self_timer == 3600
        conversation = await second.conversations.get(FRIEND)
        assert conversation is not None
        assert conversation.name == "an old friend"
        assert data_of(first) == data_of(second)


async def test_edits_of_both_are_merged_and_the_old_is_deleted(shared_devnet: Devnet, tmp_path: Path) -> None:
    async with devices(shared_devnet, tmp_path) as (first, second):
        await second.sync()
        others = ["05" + f"{number:064x}" for number in range(4)]
        await first.contacts.set_nickname(others[0], "one")
        await first.contacts.set_nickname(others[1], "two")
        await second.contacts.set_nickname(others[1], "deux")
        await second.contacts.set_nickname(others[2], "three")
        await second.set_display_name("Alicia")
        # Neither knows of the other one's.
        await asyncio.gather(first.sync(), second.sync())
        for _ in range(2):
            await first.sync()
            await second.sync()
        assert data_of(first) == data_of(second)
        names = {contact.account_id: contact.nickname for contact in await first.contacts.list()}
        assert names[others[0]] == "one"
        assert names[others[1]] in ("two", "deux")
        assert names[others[2]] == "three"
        assert first.profile.name == second.profile.name == "Alicia"
        assert await stored(first) == {2: 1, 3: 1, 5: 0, 4: 0}


async def test_deletions_and_read_states_travel(shared_devnet: Devnet, tmp_path: Path) -> None:
    async with (
        devices(shared_devnet, tmp_path) as (first, second),
        await Session.create(tmp_path / "bob.db", "Bob", seeds=seeds_of(shared_devnet)) as bob,
    ):
        for text in ("one", "two"):
            await bob.send(first.account_id, text)
        await first.sync()
        await second.sync()
        assert await second.conversations.unread() == 2
        await first.mark_read(bob.account_id)
        await first.contacts.accept(bob.account_id)
        await first.sync()
        await second.sync()
        assert await second.conversations.unread() == 0
        [contact] = await second.contacts.list()
        assert (contact.approved, contact.approved_me, contact.name) == (True, True, "Bob")
        await second.contacts.remove(bob.account_id)
        await second.sync()
        await first.sync()
        assert await first.conversations.get(bob.account_id) is None
        assert await first.contacts.list() == []


async def test_what_the_swarm_lost_is_pushed_again(shared_devnet: Devnet, tmp_path: Path) -> None:
    async with devices(shared_devnet, tmp_path) as (first, _):
        [name] = first.core.configs.profile.active_hashes
        await swarm.delete(first.network, AccountCredentials(first.account), [name])
        assert (await stored(first))[2] == 0
        await first.close()
        # Renewed, or found to be gone, with the first poll of each run.
        async with await Session.open(tmp_path / "first.db") as first:
            await first.sync()
            assert (await stored(first))[2] == 1
            assert first.core.configs.profile.active_hashes == [name]


async def test_an_account_is_deleted_everywhere(
    shared_devnet: Devnet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with devices(shared_devnet, tmp_path) as (first, second):
        await first.send(first.account_id, "burn this")
        members = {node.ed25519.hex() for node in await first.network.swarm(first.account_id)}
        # A member whose signature is not good keeps the device's data.
        with monkeypatch.context() as patch:
            patch.setattr("allium.client.session.erasing._is_signed", lambda *_: False)
            assert set(await first.erase(everywhere=True)) == members
        assert await first.conversations.messages(first.account_id) != []
        assert await first.erase(everywhere=True) == ()
        assert all(each.startswith("second.db") for each in names_in(tmp_path))
        assert await stored(second) == dict.fromkeys(NAMESPACES, 0)
        assert await second.erase() == ()
        assert names_in(tmp_path) == []
