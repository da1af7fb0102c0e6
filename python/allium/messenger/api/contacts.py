"""Contacts: whom we know, whom we accepted, whom we want to hear no more of."""

from __future__ import annotations

from msgspec import UNSET

from allium.client.configs.contacts import Contact
from allium.client.session import actions, people
from allium.client.session.core import Work
from allium.messenger import listing, requests, safety
from allium.messenger.calls import Call, Operations
from allium.messenger.errors import ApiError, unknown
from allium.messenger.views import ContactView, KeyView, Nothing, SafetyView

table = Operations()
_ALL = "/api/accounts/{account}/contacts"
_ONE = f"{_ALL}/{{contact}}"


@table.add("GET", _ALL, "Contacts, blocked ones and those who only asked too", answer=list[ContactView])
async def every(call: Call) -> list[ContactView]:
    found = await call.account.session.contacts.list()
    return await call.account.session.run(listing.contacts, call.account.prefix, found)


@table.add("GET", _ONE, "A contact, or somebody of whom nothing but their id may be known", answer=ContactView)
async def show(call: Call) -> ContactView:
    return await _shown(call)


async def _shown(call: Call) -> ContactView:
    account = call.account
    wanted = actions.conversation_id(call.path("contact"))
    if not wanted.startswith("05"):
        raise unknown("contact")

    def made(work: Work) -> ContactView:
        found = people.contact_of(work, wanted)
        if found is None:
            profile = work.database.profiles.get(wanted)
            name = work.configs.profile.name if wanted == work.own_id else profile.name if profile else ""
            found = Contact(wanted, name=name or "")
        return listing.contacts(work, account.prefix, [found])[0]

    return await account.session.run(made)


@table.add("PATCH", _ONE, "Name, block, or accept somebody", body=requests.ContactChange, answer=ContactView)
async def change(call: Call) -> ContactView:
    contacts, name, wanted = call.account.session.contacts, call.path("contact"), call.body
    if wanted.nickname is not UNSET:
        await contacts.set_nickname(name, wanted.nickname.strip())
    if wanted.blocked is not UNSET:
        await (contacts.block(name) if wanted.blocked else contacts.unblock(name))
    if wanted.approved is not UNSET:
        if not wanted.approved:
            raise ApiError("invalid", "Nobody can be made a request again; remove or block them.")
        await contacts.accept(name)
    return await _shown(call)


@table.add("DELETE", _ONE, "Remove a contact, or decline a request, with all that was said")
async def remove(call: Call) -> Nothing:
    if not await call.account.session.contacts.remove(call.path("contact")):
        raise unknown("contact")
    return Nothing()


@table.add("GET", f"{_ONE}/safety", "Words to compare, of our key and theirs", answer=SafetyView)
async def safety_words(call: Call) -> SafetyView:
    own, other = call.account.session.account_id, actions.conversation_id(call.path("contact"))
    if not other.startswith("05") or other == own:
        raise unknown("contact")
    return SafetyView(
        keys=[KeyView(id=each, own=each == own, words=safety.words(each)) for each in sorted((own, other))]
    )
