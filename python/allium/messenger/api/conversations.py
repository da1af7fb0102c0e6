"""Conversations: the list, one of them, what is changed of it."""

from __future__ import annotations

import asyncio

from msgspec import UNSET

from allium.client.database.rows import Conversation
from allium.client.messages.kinds import Disappear, Disappearing
from allium.client.session import actions
from allium.client.session.core import Work
from allium.messenger import listing, requests
from allium.messenger.calls import Call, Operations
from allium.messenger.errors import unknown
from allium.messenger.views import ConversationView, CountView, Nothing

table = Operations()
_ALL = "/api/accounts/{account}/conversations"
_ONE = f"{_ALL}/{{conversation}}"
_KINDS = {"after_read": Disappear.AFTER_READ, "after_send": Disappear.AFTER_SEND}


@table.add(
    "GET",
    _ALL,
    "All conversations: pinned ones first, then by last activity",
    answer=list[ConversationView],
    query={"hidden": "true: those that are hidden too"},
)
async def every(call: Call) -> list[ConversationView]:
    return await call.account.conversations(hidden=call.flag("hidden"))


@table.add("GET", "/api/accounts/{account}/requests", "Message requests", answer=list[ConversationView])
async def message_requests(call: Call) -> list[ConversationView]:
    return await call.account.conversations(lambda shown: shown.request)


@table.add("POST", "/api/accounts/{account}/requests/clear", "Decline all message requests of people", answer=CountView)
async def clear_requests(call: Call) -> CountView:
    found = await call.account.conversations(lambda shown: shown.request and shown.kind == "contact")
    for each in found:
        await call.account.session.contacts.remove(each.id)
    return CountView(count=len(found))


@table.add("GET", _ONE, "A conversation", answer=ConversationView)
async def show(call: Call) -> ConversationView:
    return await _shown(call)


async def _shown(call: Call) -> ConversationView:
    account, wanted = call.account, call.conversation
    groups, typing = await account.groups(), account.typing

    def made(work: Work) -> list[ConversationView]:
        found = work.database.conversations.get(wanted) or _empty(work, wanted)
        return (
            []
            if found is None
            else listing.conversations(work, account.prefix, [found], groups, typing, account.own_ids)
        )

    shown = await account.session.run(made)
    if not shown:
        raise unknown("conversation")
    return shown[0]


def _empty(work: Work, wanted: str) -> Conversation | None:
    """Of somebody who was never written to, and may be: as it will be."""
    from allium.client.database.rows import ConversationKind

    try:
        known = actions.conversation_id(wanted)
    except ValueError:
        return None
    if not known.startswith("05"):
        return None
    return Conversation(known, ConversationKind.NOTE if known == work.own_id else ConversationKind.CONTACT)


@table.add("PATCH", _ONE, "Change a conversation", body=requests.ConversationChange, answer=ConversationView)
async def change(call: Call) -> ConversationView:
    conversations, name, wanted = call.account.session.conversations, call.conversation, call.body
    if wanted.draft is not UNSET:
        await conversations.set_draft(name, wanted.draft)
    if wanted.pinned is not UNSET:
        await conversations.pin(name, wanted.pinned)
    if wanted.muted_until is not UNSET:
        await conversations.mute(name, wanted.muted_until)
    if wanted.marked_unread is not UNSET:
        await conversations.mark_unread(name, wanted.marked_unread)
    if wanted.hidden is not UNSET:
        priority = -1 if wanted.hidden else 0
        await call.account.session.run(actions.set_priority, actions.conversation_id(name), priority)
    if wanted.timer is not UNSET:
        await _set_timer(call, wanted.timer)
    return await _shown(call)


async def _set_timer(call: Call, wanted: requests.TimerChange | None) -> None:
    session, name = call.account.session, call.conversation
    if name.startswith("03"):
        await session.groups.set_timer(name, wanted.seconds if wanted else 0)
        return
    timer = Disappearing(_KINDS[wanted.kind], wanted.seconds) if wanted else None
    await session.conversations.set_timer(name, timer)


@table.add(
    "DELETE",
    _ONE,
    "Delete a conversation on all our devices; of a community, leave it",
    query={"messages_only": "true: its messages alone, on this device"},
)
async def remove(call: Call) -> Nothing:
    session, name = call.account.session, call.conversation
    if call.flag("messages_only"):
        await session.conversations.clear(name)
    elif actions.is_community(name):
        await session.communities.leave(name)
    else:
        await session.conversations.hide(name)
    return Nothing()


@table.add("POST", f"{_ONE}/read", "Mark it as read", body=requests.Read, answer=CountView)
async def read(call: Call) -> CountView:
    return CountView(count=await call.account.session.mark_read(call.conversation, up_to=call.body.up_to))


@table.add("POST", f"{_ONE}/typing", "Tell the other side that we type, or ceased to", body=requests.Typing)
async def typing(call: Call) -> Nothing:
    # Nobody waits for the network to show a letter.
    account, name, started = call.account, call.conversation, call.body.typing
    actions.conversation_id(name)
    if not account.is_busy:
        account.start(account.session.set_typing(name, started))
    await asyncio.sleep(0)
    return Nothing()
