"""Pictures: our own, and those of people, groups and rooms."""

from __future__ import annotations

import tempfile
from pathlib import Path

from starlette.responses import Response

from allium.client.session.core import Work
from allium.messenger import pictures, serving
from allium.messenger.calls import Call, Operations, pieces
from allium.messenger.errors import unknown
from allium.messenger.people import picture_of
from allium.messenger.places import private_directory
from allium.messenger.views import AccountView

table = Operations()
_ACCOUNT = "/api/accounts/{account}"
#: Bytes of a picture that somebody chose.
MAX_CHOSEN = 32 << 20


@table.add("PUT", f"{_ACCOUNT}/picture", "Set our picture", body=bytes, answer=AccountView)
async def set_own(call: Call) -> AccountView:
    account = call.account
    where = private_directory(account.directory / "uploads")
    with tempfile.NamedTemporaryFile(dir=where, prefix="picture-") as file:
        async for piece in pieces(call.request, MAX_CHOSEN):
            file.write(piece)
        file.flush()
        await account.session.files.set_picture(Path(file.name))
    return await account.view()


@table.add("DELETE", f"{_ACCOUNT}/picture", "Have no picture", answer=AccountView)
async def remove_own(call: Call) -> AccountView:
    await call.account.session.files.set_picture(None)
    return await call.account.view()


@table.add("GET", f"{_ACCOUNT}/picture", "Our picture", answer=Response)
async def own(call: Call) -> Response:
    return await _person(call, call.account.session.account_id)


@table.add("GET", f"{_ACCOUNT}/people/{{person}}/picture", "Somebody's picture", answer=Response)
async def person(call: Call) -> Response:
    return await _person(call, call.path("person").lower())


async def _person(call: Call, account_id: str) -> Response:
    found = await call.account.session.run(picture_of, account_id)
    return serving.picture(await pictures.of_person(call.account, found))


@table.add(
    "GET", f"{_ACCOUNT}/conversations/{{conversation}}/picture", "A group's or a room's picture", answer=Response
)
async def conversation(call: Call) -> Response:
    account, name = call.account, call.conversation
    if name.startswith("03"):
        group = await account.session.groups.get(name)
        return serving.picture(await pictures.of_person(account, group.picture if group else None))
    if not name.startswith("http"):
        return await _person(call, name)

    def image(work: Work) -> object:
        found = work.database.conversations.get(name)
        return None if found is None else found.extra.get("image")

    number = await account.session.run(image)
    if number is None:
        raise unknown("picture")
    return serving.picture(await pictures.of_room(account, name, number))
