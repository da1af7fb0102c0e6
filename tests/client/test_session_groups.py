"""Groups between sessions over a real network: made, joined, talked in, changed, left, ended."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from allium.client.configs.contacts import Contact
from allium.client.configs.user_groups import Removed
from allium.client.database.rows import Deleted, Message, MessageState
from allium.client.groups import envelope
from allium.client.groups.identity import GroupIdentity
from allium.client.messages import delivery, updates
from allium.client.messages.direct import seal
from allium.client.messages.kinds import Attachment, GroupUpdateMessage, Letter
from allium.client.session import Session
from allium.client.session.core import Work
from allium.client.session.events import Event, GroupChanged, MessageReceived
from allium.client.session.group_states import GroupStates
from allium.client.session.group_view import GroupView
from allium.client.swarm import Store, delete, store
from tests.support.devnet import Devnet


@contextlib.asynccontextmanager
async def friends(net: Devnet, directory: Path, *names: str) -> AsyncIterator[list[Session]]:
    """Sessions of people who know each other."""
    async with contextlib.AsyncExitStack() as stack:
        sessions: list[Session] = []
        for name in names:
            made = await Session.create(directory / f"{name}.db", name, seeds=[net.network["seed_url"]])
            sessions.append(await stack.enter_async_context(made))
        for session in sessions:
            for other in sessions:
                if other is not session:
                    await session.run(_know, other.account_id, other.profile.name)
        yield sessions


def _know(work: Work, account_id: str, name: str) -> None:
    work.configs.contacts.set(Contact(account_id, name=name, approved=True, approved_me=True))


async def sync(*sessions: Session) -> None:
    await asyncio.gather(*(session.sync() for session in sessions))


async def bodies(session: Session, group_id: str) -> list[str]:
    return [each.body for each in await session.conversations.messages(group_id) if each.kind == "text"]


async def notices(session: Session, group_id: str) -> list[str]:
    return [each.extra["change"] for each in await session.conversations.messages(group_id) if each.kind == "group"]


async def view(session: Session, group_id: str) -> GroupView:
    found = await session.groups.get(group_id)
    assert found is not None
    return found


async def states(session: Session, group_id: str) -> dict[str, str]:
    return {each.name: each.state for each in (await view(session, group_id)).members}


async def text(session: Session, group_id: str, body: str) -> Message:
    found = [each for each in await session.conversations.messages(group_id) if each.body == body]
    assert len(found) == 1, [each.body for each in await session.conversations.messages(group_id)]
    return found[0]


async def made(sessions: Sequence[Session], **options: str) -> str:
    """A group of all of them, of which the first is the admin."""
    first, *others = sessions
    group = await first.groups.create("Group", [each.account_id for each in others], **options)
    await sync(*others)
    await sync(first)
    await sync(*others)
    return group.id


async def test_from_the_first_invitation_to_the_end(shared_devnet: Devnet, tmp_path: Path) -> None:
    async with friends(shared_devnet, tmp_path, "alice", "bob", "carol") as (alice, bob, carol):
        group_id = await made([alice, bob], description="about us")
        assert await states(alice, group_id) == {"alice": "admin", "bob": "member"} == await states(bob, group_id)
        seen = await view(bob, group_id)
        assert (seen.name, seen.description, seen.admin, seen.invited) == ("Group", "about us", False, False)
        sent = await bob.send(group_id, "hello")
        assert sent.state is MessageState.SENT
        await sync(alice, bob)
        assert await bodies(alice, group_id) == await bodies(bob, group_id) == ["hello"]
        hello = await text(alice, group_id, "hello")
        assert (hello.sender, hello.outgoing, hello.timestamp) == (bob.account_id, False, sent.timestamp)
        await alice.react(hello, "👍")
        await alice.send(group_id, "yes?", quote=hello)
        # Carol comes later, and reads what was before.
        await alice.groups.invite(group_id, [carol.account_id], history=True)
        for session in (carol, alice, bob):
            await sync(session)
        assert await bodies(carol, group_id) == ["hello", "yes?"] == await bodies(bob, group_id)
        assert (await text(carol, group_id, "yes?")).quote is not None
        [reaction] = await bob.conversations.reactions(await text(bob, group_id, "hello"))
        assert (reaction.sender, reaction.emoji) == (alice.account_id, "👍")
        assert await states(bob, group_id) == {"alice": "admin", "bob": "member", "carol": "member"}
        # Bob becomes an admin, and does what admins do.
        await alice.groups.promote(group_id, [bob.account_id])
        await sync(bob)
        await sync(alice, carol)
        assert (await states(carol, group_id))["bob"] == "admin" and (await view(bob, group_id)).admin
        await bob.groups.rename(group_id, "Bob's")
        await bob.groups.set_timer(group_id, 3600)
        await sync(alice, carol)
        for session in (alice, carol):
            shown = await view(session, group_id)
            assert (shown.name, shown.timer) == ("Bob's", 3600)
            conversation = await session.conversations.get(group_id)
            assert conversation is not None and conversation.name == "Bob's"
        await carol.send(group_id, "short-lived")
        await sync(alice)
        assert (await text(alice, group_id, "short-lived")).expires is not None
        # Carol is removed, with what she wrote.
        await bob.groups.remove(group_id, [carol.account_id], messages=True)
        assert await states(bob, group_id) == {"alice": "admin", "bob": "admin"}
        await sync(alice, bob, carol)
        out = await view(carol, group_id)
        assert (out.removed, out.admin) == (Removed.KICKED, False)
        with pytest.raises(ValueError, match="not in this group"):
            await carol.send(group_id, "I am still here")
        for session in (alice, bob):
            gone = [each for each in await session.conversations.messages(group_id) if each.sender == carol.account_id]
            assert all(each.deleted is Deleted.EVERYWHERE for each in gone if each.kind == "text")
            assert "short-lived" not in await bodies(session, group_id)
        assert set(await notices(alice, group_id)) >= {"added", "promoted", "name", "disappearing", "removed"}
        await alice.send(group_id, "among ourselves")
        await sync(carol)
        assert "among ourselves" not in await bodies(carol, group_id)
        # She can be invited again.
        await alice.groups.invite(group_id, [carol.account_id])
        await sync(carol)
        await alice.send(group_id, "welcome back")
        await sync(alice, bob, carol)
        assert "welcome back" in await bodies(carol, group_id)
        assert await states(bob, group_id) == {"alice": "admin", "bob": "admin", "carol": "member"}
        # Then she leaves by herself.
        await carol.groups.leave(group_id)
        assert await carol.groups.all() == [] and await carol.conversations.get(group_id) is None
        await sync(alice)
        await sync(bob)
        assert await states(bob, group_id) == {"alice": "admin", "bob": "admin"}
        assert "left" in await notices(bob, group_id)
        # And it ends.
        await alice.groups.destroy(group_id)
        assert await alice.groups.all() == []
        await sync(bob)
        assert (await view(bob, group_id)).removed is Removed.DESTROYED


async def test_strangers_invite_and_wait_and_forge(shared_devnet: Devnet, tmp_path: Path) -> None:
    """What a stranger says waits to be accepted; what nobody can say hides nothing and changes nothing."""
    seeds = [shared_devnet.network["seed_url"]]
    async with (
        await Session.create(tmp_path / "alice.db", "Alice", seeds=seeds) as alice,
        await Session.create(tmp_path / "bob.db", "Bob", seeds=seeds) as bob,
    ):
        group = await alice.groups.create("Strangers", [bob.account_id])
        other = await alice.groups.create("More", [bob.account_id])
        await sync(bob)
        waiting = {each.id: each for each in await bob.groups.all()}
        assert all(each.invited and not each.members for each in waiting.values()) and len(waiting) == 2
        assert waiting[group.id].name == "Strangers"
        with pytest.raises(ValueError, match="not in this group"):
            await bob.send(group.id, "too soon")
        await bob.groups.decline(other.id)
        accepted = await bob.groups.accept(group.id)
        assert not accepted.invited
        await sync(bob)
        await sync(alice)
        await sync(bob)
        assert (await states(bob, group.id)) == {"Alice": "admin", "Bob": "member"}
        assert [each.id for each in await bob.groups.all()] == [group.id]
        # Now what nobody can say: signed by another group, for somebody else, with a seed of another group.
        forger = GroupIdentity.of_seed(b"\7" * 32)
        now = alice.network.now()
        forged: list[updates.GroupUpdate] = [
            updates.Invite(group.id, "Forged", b"\3" * 100, forger.sign(b"x")),
            updates.Invite(forger.group_id, "Forged", b"\3\3\0\0" + b"\1" * 96, b""),
            updates.MemberLeft(),
            updates.DeleteContent((bob.account_id,), (), forger.sign(b"x")),
        ]
        for number, update in enumerate(forged):
            data = seal(alice.account, bob.account_id, Letter(GroupUpdateMessage(update), now + number))
            await store(alice.network, bob.account_id, Store(0, data, delivery.TTL))
        # A member may write to the group, but nothing that it signs makes it an admin.
        member, key = await bob.run(_keys, group.id)
        credentials = await bob.run(bob.groups.credentials, group.id)
        forged = [
            updates.InfoChange(updates.InfoKind.NAME, "Mine", 0, forger.sign(b"x")),
            updates.MemberChange(updates.MemberKind.REMOVED, (alice.account_id,)),
            updates.DeleteContent((alice.account_id,), (), forger.sign(b"x")),
        ]
        for number, update in enumerate(forged):
            data = envelope.seal(bob.account, member, key, Letter(GroupUpdateMessage(update), now + number))
            await store(bob.network, group.id, Store(11, data, delivery.TTL), credentials)
        await store(bob.network, group.id, Store(11, b"junk" * 70, delivery.TTL), credentials)
        await alice.send(group.id, "all is well")
        await bob.send(group.id, "yes")
        await sync(alice, bob)
        for session in (alice, bob):
            shown = await view(session, group.id)
            assert (shown.name, shown.removed, len(shown.members)) == ("Strangers", Removed.NOT, 2)
            assert sorted(await bodies(session, group.id)) == ["all is well", "yes"]
            assert await notices(session, group.id) == []
            assert await session.run(lambda work: work.database.unreadable.total()) >= 3
        assert [each.id for each in await bob.groups.all()] == [group.id]


def _keys(work: Work, group_id: str) -> tuple[GroupIdentity, bytes]:
    state = GroupStates().get(work, group_id)
    assert state is not None
    return state.group, state.keys.keys[0]


async def test_two_devices_of_an_admin_and_messages_that_are_deleted(
    shared_devnet: Devnet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Polls follow each other without much of a pause.
    monkeypatch.setattr("allium.client.schedule.ACCOUNT_SECONDS", 0.2)
    monkeypatch.setattr("allium.client.schedule.GROUP_SECONDS", ((float("inf"), 0.2),))
    async with friends(shared_devnet, tmp_path, "alice", "bob") as (alice, bob):
        group_id = await made([alice, bob])
        await bob.send(group_id, "one")
        await bob.send(group_id, "two")
        await sync(alice)
        seeds = [shared_devnet.network["seed_url"]]
        async with await Session.restore(tmp_path / "again.db", alice.account.phrase, seeds=seeds) as device:
            await sync(device)
            shown = await view(device, group_id)
            assert (shown.admin, shown.name) == (True, "Group")
            assert await bodies(device, group_id) == ["one", "two"]
            heard = asyncio.create_task(_until_text(bob, "from my other device"))
            await device.groups.set_description(group_id, "described")
            await device.send(group_id, "from my other device")
            events = await heard
            assert GroupChanged(group_id) in events
            last = events[-1]
            assert isinstance(last, MessageReceived) and last.message.sender == alice.account_id
            await sync(alice)
            own = await text(alice, group_id, "from my other device")
            assert own.outgoing and own.state is MessageState.SENT
            # What the other device changes, this one has.
            await device.groups.rename(group_id, "Renamed")
            await device.conversations.pin(group_id, 3)
            await device.conversations.mute(group_id, 1_900_000_000_000)
            await sync(device)
            await sync(alice, bob)
            listed = await alice.conversations.get(group_id)
            assert listed is not None and (listed.priority, listed.muted_until) == (3, 1_900_000_000_000)
            assert (await view(alice, group_id)).name == (await view(bob, group_id)).name == "Renamed"
            # A member takes back what it wrote, an admin what anybody wrote.
            await bob.delete(await text(bob, group_id, "one"), everywhere=True)
            with pytest.raises(ValueError, match="only an admin"):
                await bob.groups.delete_messages(group_id, [await text(bob, group_id, "from my other device")])
            await alice.groups.delete_messages(group_id, [await text(alice, group_id, "two")])
            await sync(alice, bob)
            await sync(device)
            for session in (alice, bob, device):
                assert await bodies(session, group_id) == ["", "", "from my other device"]
            async with await Session.restore(tmp_path / "third.db", alice.account.phrase, seeds=seeds) as third:
                await sync(third)
                assert await bodies(third, group_id) == ["from my other device"], "the swarm has forgotten them"
            # An admin deletes all files; what was said beside them stays.
            files = Attachment("http://127.0.0.1/file/1", bytes(64), bytes(32), 1, name="a.png")
            await bob.send(group_id, "with a file", attachments=[files])
            await bob.send(group_id, attachments=[files])
            await sync(alice, device)
            assert len(await bodies(alice, group_id)) == 5
            later = alice.network.now() + 1000
            for session in (alice, bob):
                monkeypatch.setattr(session.core, "now", lambda: later)
            await alice.groups.clear(group_id, files_only=True)
            await sync(bob)
            for session in (alice, bob):
                assert await bodies(session, group_id) == ["", "", "from my other device", "with a file"]
                left = await text(session, group_id, "with a file")
                assert list(await session.conversations.attachments(left)) == []
            # The group ends on one device, and is gone on the other.
            await device.groups.destroy(group_id)
            await sync(device)
            await sync(alice)
            assert await alice.groups.all() == [] and await alice.conversations.get(group_id) is None


async def _until_text(session: Session, body: str) -> list[Event]:
    """What is heard up to a text."""
    heard: list[Event] = []
    async with asyncio.timeout(60):
        async for event in session.events():
            heard.append(event)
            if isinstance(event, MessageReceived) and event.message.body == body:
                return heard
    raise AssertionError("the session ended")


async def test_two_admins_invite_at_once(shared_devnet: Devnet, tmp_path: Path) -> None:
    async with friends(shared_devnet, tmp_path, "alice", "bob", "carol", "dave") as (alice, bob, carol, dave):
        group_id = await made([alice, bob])
        await alice.groups.promote(group_id, [bob.account_id])
        for session in (bob, alice):
            await sync(session)
        await asyncio.gather(
            alice.groups.invite(group_id, [carol.account_id]),
            bob.groups.invite(group_id, [dave.account_id]),
            alice.groups.rename(group_id, "Ours"),
            bob.groups.set_timer(group_id, 7200),
        )
        for _ in range(2):
            for session in (alice, bob, carol, dave):
                await sync(session)
        await sync(bob)
        expected = {"alice": "admin", "bob": "admin", "carol": "member", "dave": "member"}
        for session in (carol, dave, alice, bob):
            await sync(session)
            shown = await view(session, group_id)
            assert (await states(session, group_id), shown.name, shown.timer) == (expected, "Ours", 7200)
        for session in (carol, dave):
            await session.send(group_id, f"{session.profile.name} is here")
        for session in (alice, bob, carol, dave):
            await sync(session)
            assert sorted(await bodies(session, group_id)) == ["carol is here", "dave is here"]


async def test_what_the_swarm_has_lost_is_there_again(shared_devnet: Devnet, tmp_path: Path) -> None:
    async with friends(shared_devnet, tmp_path, "alice", "bob") as (alice, bob):
        group_id = await made([alice, bob])
        credentials = await alice.run(alice.groups.credentials, group_id)
        assert credentials is not None
        hashes = await alice.run(_active, group_id)
        assert len(await delete(alice.network, credentials, hashes)) == 3
        await alice.close()
        seeds = [shared_devnet.network["seed_url"]]
        async with await Session.open(tmp_path / "alice.db") as reopened:
            await sync(reopened)
            kept = await reopened.run(_active, group_id)
            assert len(kept) == 3
            async with await Session.restore(tmp_path / "new.db", bob.account.phrase, seeds=seeds) as device:
                await sync(bob, device)
                for session in (bob, device):
                    assert await states(session, group_id) == {"alice": "admin", "bob": "member"}
                await reopened.send(group_id, "under a new key")
                await sync(device)
                assert await bodies(device, group_id) == ["under a new key"]


def _active(work: Work, group_id: str) -> list[str]:
    state = GroupStates().get(work, group_id)
    assert state is not None
    return state.active_hashes


async def test_who_is_stopped_at_any_point_goes_on(shared_devnet: Devnet, tmp_path: Path) -> None:
    """An invitation that is cut off, and the program with it, is carried out by the next one, once."""
    async with friends(shared_devnet, tmp_path, "alice", "bob") as (alice, bob):
        group = await alice.groups.create("Cut", [])
        session = alice
        for number in range(6):
            task = asyncio.create_task(session.groups.invite(group.id, [bob.account_id]))
            await _steps(task, number * 4)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await session.close()
            session = await Session.open(tmp_path / "alice.db")
            await session.sync()
            with contextlib.suppress(ValueError):
                await session.groups.invite(group.id, [bob.account_id])
            await sync(bob)
            await sync(session)
            await sync(bob)
            assert await states(bob, group.id) == {"alice": "admin", "bob": "member"}
            await session.groups.remove(group.id, [bob.account_id])
            await sync(bob)
            assert (await view(bob, group.id)).removed is Removed.KICKED
        await session.close()


async def _steps(task: asyncio.Task[None], count: int) -> None:
    """Lets a task pass so many awaits of the network or the database."""
    for _ in range(count):
        if task.done():
            return
        await asyncio.wait([task], timeout=0.004)
