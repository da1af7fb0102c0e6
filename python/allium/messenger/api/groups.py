"""Groups: made, joined, changed, left."""

from __future__ import annotations

import tempfile
from pathlib import Path

from msgspec import UNSET

from allium.client.session import group_view
from allium.messenger import listing, requests
from allium.messenger.api.profile import MAX_CHOSEN
from allium.messenger.calls import Call, Operations, pieces
from allium.messenger.errors import unknown
from allium.messenger.places import private_directory
from allium.messenger.views import GroupView, Nothing

table = Operations()
_ALL = "/api/accounts/{account}/groups"
_ONE = f"{_ALL}/{{group}}"


async def _view(call: Call, found: group_view.GroupView | None) -> GroupView:
    if found is None:
        raise unknown("group")
    return await call.account.session.run(listing.group, call.account.prefix, found)


async def _shown(call: Call) -> GroupView:
    return await _view(call, await call.account.session.groups.get(call.path("group")))


@table.add("POST", _ALL, "Make a group and invite people", body=requests.NewGroup, answer=GroupView, status=201)
async def create(call: Call) -> GroupView:
    wanted, groups = call.body, call.account.session.groups
    made = await groups.create(wanted.name.strip(), wanted.members, description=wanted.description)
    return await _view(call, made)


@table.add("GET", _ALL, "All groups", answer=list[GroupView])
async def every(call: Call) -> list[GroupView]:
    return [await _view(call, each) for each in await call.account.session.groups.all()]


@table.add("GET", _ONE, "A group", answer=GroupView)
async def show(call: Call) -> GroupView:
    return await _shown(call)


@table.add("PATCH", _ONE, "Change a group, as an admin", body=requests.GroupChange, answer=GroupView)
async def change(call: Call) -> GroupView:
    groups, name, wanted = call.account.session.groups, call.path("group"), call.body
    if wanted.name is not UNSET:
        await groups.rename(name, wanted.name.strip())
    if wanted.description is not UNSET:
        await groups.set_description(name, wanted.description)
    return await _shown(call)


@table.add("DELETE", _ONE, "Forget a group that we are out of, or leave it")
async def remove(call: Call) -> Nothing:
    await call.account.session.groups.leave(call.path("group"))
    return Nothing()


@table.add("PUT", f"{_ONE}/picture", "Set a group's picture, as an admin", body=bytes, answer=GroupView)
async def set_picture(call: Call) -> GroupView:
    account = call.account
    with tempfile.NamedTemporaryFile(dir=private_directory(account.directory / "uploads"), prefix="picture-") as file:
        async for piece in pieces(call.request, MAX_CHOSEN):
            file.write(piece)
        file.flush()
        picture = await account.session.files.upload_picture(Path(file.name))
    await account.session.groups.set_picture(call.path("group"), picture)
    return await _shown(call)


@table.add("DELETE", f"{_ONE}/picture", "Take a group's picture away, as an admin", answer=GroupView)
async def remove_picture(call: Call) -> GroupView:
    await call.account.session.groups.set_picture(call.path("group"), None)
    return await _shown(call)


@table.add("POST", f"{_ONE}/accept", "Accept an invitation", body=requests.GroupAction, answer=GroupView)
async def accept(call: Call) -> GroupView:
    return await _view(call, await call.account.session.groups.accept(call.path("group")))


@table.add("POST", f"{_ONE}/decline", "Decline an invitation", body=requests.GroupAction)
async def decline(call: Call) -> Nothing:
    await call.account.session.groups.decline(call.path("group"))
    return Nothing()


@table.add("POST", f"{_ONE}/leave", "Leave", body=requests.GroupAction)
async def leave(call: Call) -> Nothing:
    await call.account.session.groups.leave(call.path("group"))
    return Nothing()


@table.add("POST", f"{_ONE}/destroy", "End a group for all its members", body=requests.GroupAction)
async def destroy(call: Call) -> Nothing:
    await call.account.session.groups.destroy(call.path("group"))
    return Nothing()


@table.add("POST", f"{_ONE}/invite", "Invite people", body=requests.GroupAction, answer=GroupView)
async def invite(call: Call) -> GroupView:
    groups = call.account.session.groups
    await groups.invite(call.path("group"), call.body.members, history=call.body.history)
    return await _shown(call)


@table.add("POST", f"{_ONE}/promote", "Make admins of members", body=requests.GroupAction, answer=GroupView)
async def promote(call: Call) -> GroupView:
    await call.account.session.groups.promote(call.path("group"), call.body.members)
    return await _shown(call)


@table.add("POST", f"{_ONE}/remove", "Remove members", body=requests.GroupAction, answer=GroupView)
async def remove_members(call: Call) -> GroupView:
    groups = call.account.session.groups
    await groups.remove(call.path("group"), call.body.members, messages=call.body.messages)
    return await _shown(call)


@table.add("POST", f"{_ONE}/resend", "Invite or promote once more", body=requests.GroupAction, answer=GroupView)
async def resend(call: Call) -> GroupView:
    for each in call.body.members:
        await call.account.session.groups.resend(call.path("group"), each)
    return await _shown(call)


@table.add("POST", f"{_ONE}/clear", "Delete all messages for everybody, as an admin", body=requests.GroupAction)
async def clear(call: Call) -> Nothing:
    await call.account.session.groups.clear(call.path("group"))
    return Nothing()
