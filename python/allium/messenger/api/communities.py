"""Communities: found, joined, moderated."""

from __future__ import annotations

from collections.abc import Iterable

from allium.client.communities.answers import Room
from allium.client.communities.server import OFFICIAL
from allium.client.configs.community import Community, Server
from allium.client.session import actions, community_rows
from allium.client.session.core import Work
from allium.messenger import requests, showing, values
from allium.messenger.calls import Call, Operations
from allium.messenger.errors import ApiError, unknown
from allium.messenger.people import People, listed, staff
from allium.messenger.views import CommunityView, ConversationView, Nothing, RoomView

table = Operations()
_ALL = "/api/accounts/{account}/communities"
_ONE = f"{_ALL}/{{conversation}}"


@table.add("POST", _ALL, "Join a community", body=requests.Join, answer=ConversationView, status=201)
async def join(call: Call) -> ConversationView:
    name = await call.account.session.communities.join(call.body.url)
    wanted = values.in_url(name)
    found = await call.account.conversations(lambda shown: shown.id == wanted, hidden=True)
    if not found:
        raise unknown("community")
    return found[0]


@table.add(
    "GET",
    f"{_ALL}/rooms",
    "The rooms of a server",
    answer=list[RoomView],
    query={"url": "of one of its rooms"},
)
async def rooms(call: Call) -> list[RoomView]:
    url = call.query("url")
    server = Community.parse(url).server
    return _rooms(server, await call.account.session.communities.rooms(url))


@table.add("GET", f"{_ALL}/official", "The rooms that clients offer to everybody", answer=list[RoomView])
async def official(call: Call) -> list[RoomView]:
    return _rooms(OFFICIAL, await call.account.session.communities.official())


def _rooms(server: Server, found: Iterable[Room]) -> list[RoomView]:
    return [
        RoomView(
            token=each.token,
            name=each.name,
            description=each.description,
            url=f"{server.base_url}/{each.token}?public_key={server.key.hex()}",
            active_users=each.active_users,
        )
        for each in found
    ]


@table.add("GET", _ONE, "A room that we are in", answer=CommunityView)
async def show(call: Call) -> CommunityView:
    account, name = call.account, await _room(call)
    joined = (await account.session.communities.all()).get(name)
    if joined is None:
        raise unknown("community")

    def made(work: Work) -> CommunityView:
        found = work.database.conversations.get(name)
        extra = found.extra if found is not None else {}
        known = People(work, account.prefix, account.own_ids)
        numbers = [each for each in listed(extra.get("pinned")) if isinstance(each, int)]
        here = [work.database.messages.by_hash(community_rows.post_name(name, each)) for each in numbers]
        pinned = [each for each in here if each is not None and not each.deleted]
        active = extra.get("active")
        return CommunityView(
            id=values.in_url(name),
            name=(found.name if found is not None else "") or joined.room,
            description=str(extra.get("description") or ""),
            url=f"{joined.server.base_url}/{joined.room}?public_key={joined.server.key.hex()}",
            active_users=active if isinstance(active, int) else 0,
            read=extra.get("read") is not False,
            write=extra.get("write") is not False,
            upload=extra.get("upload") is not False,
            moderator=extra.get("moderator") is True or extra.get("admin") is True,
            admin=extra.get("admin") is True,
            staff=[known.view(each, admin=True) for each in staff(extra)],
            pinned=showing.messages(work, account.prefix, pinned, own_ids=account.own_ids),
            pinned_count=len(numbers),
        )

    return await account.session.run(made)


async def _room(call: Call) -> str:
    if not actions.is_community(call.conversation):
        raise unknown("community")
    return call.conversation


def _user(call: Call) -> str:
    user: str = call.body.user
    if not user:
        raise ApiError("invalid", "Say whom: `user` is their id.")
    return user


@table.add("POST", f"{_ONE}/ban", "Ban somebody", body=requests.CommunityAction)
async def ban(call: Call) -> Nothing:
    wanted = call.body
    communities = call.account.session.communities
    await communities.ban(await _room(call), _user(call), timeout=wanted.timeout, delete=wanted.delete)
    return Nothing()


@table.add("POST", f"{_ONE}/unban", "Take a ban back", body=requests.CommunityAction)
async def unban(call: Call) -> Nothing:
    await call.account.session.communities.unban(await _room(call), _user(call))
    return Nothing()


@table.add("POST", f"{_ONE}/moderators", "Make somebody an admin or moderator", body=requests.CommunityAction)
async def moderators(call: Call) -> Nothing:
    wanted, communities = call.body, call.account.session.communities
    await communities.set_moderator(await _room(call), _user(call), admin=wanted.admin, remove=wanted.remove)
    return Nothing()


@table.add("POST", f"{_ONE}/pin", "Pin a message, or take the pin off", body=requests.CommunityAction)
async def pin(call: Call) -> Nothing:
    room = await _room(call)
    session = call.account.session
    message = None if call.body.message is None else await session.conversations.message(call.body.message)
    if message is None or message.conversation != room:
        raise unknown("message")
    await session.communities.pin(message, pinned=call.body.pinned)
    return Nothing()


@table.add("POST", f"{_ONE}/leave", "Leave a community", body=requests.CommunityAction)
async def leave(call: Call) -> Nothing:
    await call.account.session.communities.leave(await _room(call))
    return Nothing()
