"""Messages: pages of them, sending, deleting, reactions, search."""

from __future__ import annotations

import contextlib
import re
from typing import Any

from allium.client.database.rows import Message, OutboxState
from allium.client.errors import NetworkError, RefusedError
from allium.client.session import actions, enclosing, letters
from allium.client.session.core import Work
from allium.messenger import forwarding, listing, requests, searching, showing, values
from allium.messenger.account import OpenAccount
from allium.messenger.calls import Call, Operations, integer
from allium.messenger.errors import ApiError, unknown
from allium.messenger.paging import cursor, page, place
from allium.messenger.uploads import outgoing
from allium.messenger.views import (
    HolderView,
    InfoView,
    MediaView,
    MessagesView,
    MessageView,
    Nothing,
    SearchView,
    WayView,
)

table = Operations()
_ACCOUNT = "/api/accounts/{account}"
_IN = f"{_ACCOUNT}/conversations/{{conversation}}/messages"
_ONE = f"{_ACCOUNT}/messages/{{message}}"
_DEFAULT, _MOST = 50, 200
_KEY = re.compile(r"[0-9a-f]{64}")
_TYPES = {"media": ("image/", "video/", "audio/"), "files": ("application/", "text/")}


@table.add(
    "GET",
    _IN,
    "A page of messages, the oldest first: the last ones, those before or after a cursor, or around one",
    answer=MessagesView,
    query={"before": "a cursor", "after": "a cursor", "around": "a message's number", "limit": "1 to 200, 50"},
)
async def messages(call: Call) -> MessagesView:
    account, name = call.account, call.conversation
    limit = max(1, call.number("limit", _DEFAULT, most=_MOST) or _DEFAULT)
    around = call.query("around")
    if around:
        middle = await account.session.conversations.message(integer(around))
        if middle is None or middle.conversation != name:
            raise unknown("message")
        found = await page(account.session, name, around=middle, limit=limit)
    else:
        before, after = place(call.query("before")), place(call.query("after"))
        found = await page(account.session, name, before=before, after=after, limit=limit)
        if not found.more_before and after is None and actions.is_community(name) and found.messages:
            # The server may have what was written before we came.
            with contextlib.suppress(NetworkError, RefusedError, ValueError):
                if await account.session.communities.older(found.messages[0]):
                    found = await page(account.session, name, before=before, limit=limit)
    shown = await account.messages(found.messages)
    first, last = (found.messages[0], found.messages[-1]) if found.messages else (None, None)
    return MessagesView(
        messages=shown,
        before=cursor(first) if first is not None and found.more_before else None,
        after=cursor(last) if last is not None and found.more_after else None,
    )


@table.add("POST", _IN, "Send a message", body=requests.NewMessage, answer=MessageView, status=202)
async def send(call: Call) -> MessageView:
    account, wanted = call.account, call.body
    quote = None
    if wanted.quote is not None:
        quote = await account.session.conversations.message(wanted.quote)
        if quote is None:
            raise unknown("message")
    if not wanted.text and not wanted.attachments:
        raise ApiError("invalid", "Write something, or choose a file.")
    message = await outgoing(account, call.conversation, wanted, quote)
    [shown] = await account.messages([message])
    return shown


@table.add("GET", _ONE, "A message", answer=MessageView)
async def show(call: Call) -> MessageView:
    [shown] = await call.account.messages([await call.message()])
    return shown


@table.add("GET", f"{_ONE}/info", "How a message came, or why it is late", answer=InfoView)
async def info(call: Call) -> InfoView:
    message = await call.message()

    def found(work: Work) -> InfoView:
        items = work.database.outbox.of(message.id)
        return InfoView(
            hash=message.hash,
            timestamp=message.timestamp,
            received=message.received,
            fetched=showing.time(message.extra.get(letters.FETCHED)),
            asked=showing.count(message.extra.get("asked")),
            stored_on=showing.count(message.extra.get("stored on")),
            stored=showing.time(message.extra.get("stored at")),
            copied=showing.time(message.extra.get("copied at")),
            failed=showing.time(message.extra.get("failed at")),
            read=showing.time(message.extra.get("read at")),
            nodes=_holders(call.account, message.extra.get("stored by")),
            waiting_for_files=message.id in enclosing.waiting(work),
            ways=[
                WayView(
                    purpose=each.purpose,
                    state=each.state.value,
                    attempts=each.attempts,
                    next=each.not_before or None if each.state is OutboxState.QUEUED else None,
                    stored=each.stored or None,
                    error=each.error,
                )
                for each in items
            ],
        )

    return await call.account.session.run(found)


def _holders(account: OpenAccount, keys: Any) -> list[HolderView]:
    """An import may have brought anything as `keys`."""
    found = []
    for each in keys if isinstance(keys, list) else ():
        if isinstance(each, str) and _KEY.fullmatch(each):
            node = account.session.network.pool.get(bytes.fromhex(each))
            found.append(HolderView(pubkey=each, ip=node.ip if node is not None else ""))
    return found


@table.add(
    "GET",
    f"{_ACCOUNT}/conversations/{{conversation}}/media",
    "Messages with files or links, the newest first",
    answer=MediaView,
    query={
        "kind": "`media`: pictures, films, sounds; `files`: documents; `links`",
        "before": "`next`",
        "limit": "1 to 200, 50",
    },
)
async def media(call: Call) -> MediaView:
    account, name, before = call.account, call.conversation, call.number("before")
    limit = max(1, call.number("limit", _DEFAULT, most=_MOST) or _DEFAULT)
    kind = call.query("kind")
    types = _TYPES.get(kind, ())

    def found(work: Work) -> list[Message]:
        if kind == "links":
            return work.database.messages.with_links(name, before=before, limit=limit)
        numbers = work.database.attachments.messages_with(name, types, before=before, limit=limit)
        return [each for number in numbers if (each := work.database.messages.get(number)) is not None]

    messages = await account.session.run(found)
    last = messages[-1].id if len(messages) == limit else None
    return MediaView(messages=await account.messages(messages), next=last)


@table.add(
    "DELETE",
    _ONE,
    "Delete a message",
    query={"everywhere": "true: for everybody, of our own or as an admin"},
)
async def delete(call: Call) -> Nothing:
    await call.account.session.delete(await call.message(), everywhere=call.flag("everywhere"))
    return Nothing()


@table.add("POST", f"{_ONE}/resend", "Try a message that failed again", answer=MessageView, status=202)
async def resend(call: Call) -> MessageView:
    message = await call.message()
    await call.account.session.resend(message)
    [shown] = await call.account.messages([await call.message()])
    return shown


@table.add(
    "POST",
    f"{_ONE}/forward",
    "Send a message on to another conversation, with its files, which are fetched first",
    body=requests.Forward,
    answer=MessageView,
    status=202,
)
async def forward(call: Call) -> MessageView:
    sent = await forwarding.forward(call.account, await call.message(), values.from_url(call.body.conversation))
    [shown] = await call.account.messages([sent])
    return shown


@table.add("PUT", f"{_ONE}/reactions/{{emoji}}", "Put an emoji on a message")
async def react(call: Call) -> Nothing:
    await call.account.session.react(await call.message(), call.path("emoji"))
    return Nothing()


@table.add("DELETE", f"{_ONE}/reactions/{{emoji}}", "Take an emoji off a message")
async def unreact(call: Call) -> Nothing:
    await call.account.session.react(await call.message(), call.path("emoji"), remove=True)
    return Nothing()


@table.add(
    "GET",
    f"{_ACCOUNT}/search",
    "Find messages, conversations and contacts",
    answer=SearchView,
    query={
        "q": "words",
        "conversation": "in this one alone",
        "limit": "1 to 200, 50",
        "before": "`next` of the page before",
    },
)
async def search(call: Call) -> SearchView:
    account, text = call.account, call.query("q")[:1000]
    limit = max(1, call.number("limit", _DEFAULT, most=_MOST) or _DEFAULT)
    within = call.query("conversation")
    found: list[Message] = list(
        await account.session.conversations.search(
            text,
            conversation_id=values.from_url(within) if within else None,
            before=call.number("before"),
            limit=limit,
        )
    )
    shown = await account.messages(found)
    for each in shown:
        each.snippet = searching.snippet(each.text, text)
    first_page = not within and not call.query("before") and bool(text.strip())
    conversations = await account.conversations(lambda each: searching.matches(text, each.name), hidden=True)
    people = await account.session.contacts.list()
    chosen = [each for each in people if searching.matches(text, each.name, each.nickname, each.account_id)]
    contacts = await account.session.run(listing.contacts, account.prefix, chosen[:limit])
    return SearchView(
        messages=shown,
        conversations=conversations[:limit] if first_page else [],
        contacts=contacts if first_page else [],
        next=found[-1].id if len(found) == limit else None,
    )
