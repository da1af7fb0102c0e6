"""Groups between sessions over a real network: made, joined, talked in, changed, left, ended."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from allium.client.configs.user_groups import Removed
from allium.client.database.rows import Deleted, Message, MessageState
from allium.client.session import Session
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


def _know(work: object, account_id: str, name: str) -> None:
    from allium.client.configs.contacts import Contact
    from allium.client.session.core import Work

    assert isinstance(work, Work)
    work.configs.contacts.set(Contact(account_id, name=name, approved=True, approved_me=True))


async def sync(*sessions: Session) -> None:
    await asyncio.gather(*(session.sync() for session in sessions))


async def bodies(session: Session, group_id: str) -> list[str]:
    return [each.body for each in await session.conversations.messages(group_id) if each.kind == "text"]


async def notices(session: Session, group_id: str) -> list[str]:
    return [each.extra["change"] for each in await session.conversations.messages(group_id) if each.kind == "group"]


async def states(session: Session, group_id: str) -> dict[str, str]:
    return {each.name: each.state for each in (await session.groups.get(group_id)).members}


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
        seen = await bob.groups.get(group_id)
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
        assert (await states(carol, group_id))["bob"] == "admin" and (await bob.groups.get(group_id)).admin
        await bob.groups.rename(group_id, "Bob's")
        await bob.groups.set_timer(group_id, 3600)
        await sync(alice, carol)
        for session in (alice, carol):
            view = await session.groups.get(group_id)
            assert (view.name, view.timer) == ("Bob's", 3600)
            conversation = await session.conversations.get(group_id)
            assert conversation is not None and conversation.name == "Bob's"
        await carol.send(group_id, "short-lived")
        await sync(alice)
        assert (await text(alice, group_id, "short-lived")).expires is not None
        # Carol is removed, with what she wrote.
        await bob.groups.remove(group_id, [carol.account_id], messages=True)
        assert await states(bob, group_id) == {"alice": "admin", "bob": "admin"}
        await sync(alice, bob, carol)
        out = await carol.groups.get(group_id)
        assert (out.removed, out.admin) == (Removed.KICKED, False)
        with pytest.raises(ValueError, match="not in this group|no group"):
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
        assert (await bob.groups.get(group_id)).removed is Removed.DESTROYED
