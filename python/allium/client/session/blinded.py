"""Conversations with blinded ids, until it is known whose they are (`spec/messages` §5, `spec/groups` §9.5)."""

from __future__ import annotations

import contextlib
import json

from allium.client.configs.community import Server
from allium.client.configs.contacts import BlindedContact
from allium.client.database.rows import Message, NewMessage
from allium.client.groups import blinding
from allium.client.session import mirror, people
from allium.client.session.core import Work
from allium.client.session.events import ConversationChanged

_FACT = "blinded"
#: Ids that are remembered; the oldest goes.
_MAX = 1_000
#: And those that all our devices know of.
MAX_LISTED = 100
_PAGE = 500


def remember(work: Work, blinded_id: str, server: Server) -> None:
    """We wrote to a blinded id of this server: all our devices are to know."""
    known = _known(work)
    known.pop(blinded_id, None)
    known[blinded_id] = server.key.hex()
    _keep(work, dict(list(known.items())[-_MAX:]))
    listed = list(work.configs.contacts.blinded())
    if any((each.blinded_id, each.server) == (blinded_id, server) for each in listed):
        return
    # What is in the config has to stay small.
    for oldest in sorted(listed, key=lambda each: each.created)[: max(0, len(listed) + 1 - MAX_LISTED)]:
        work.configs.contacts.erase_blinded(oldest.server, oldest.blinded_id)
    # A server may name anything.
    with contextlib.suppress(ValueError):
        work.configs.contacts.set_blinded(BlindedContact(blinded_id, server, created=work.seconds))


def meet(work: Work, account_id: str) -> None:
    """An account has written to us: what we wrote to it under a blinded id moves to the conversation with it.

    Who was written to was asked, so that this is the answer.
    """
    listed = {each.blinded_id: each for each in work.configs.contacts.blinded()}
    # Another device may have written to them.
    known = {**{each: contact.server.key.hex() for each, contact in listed.items()}, **_known(work)}
    if not known:
        return
    by_key: dict[str, list[str]] = {}
    for server_key in set(known.values()):
        by_key[server_key] = blinding.candidates(account_id, bytes.fromhex(server_key))
    found = [each for each, server_key in known.items() if each in by_key[server_key]]
    if not found or account_id == work.own_id:
        return
    mirror.conversation(work, account_id)
    people.approve(work, account_id)
    for blinded_id in found:
        _move(work, blinded_id, account_id)
        del known[blinded_id]
        if (contact := listed.get(blinded_id)) is not None:
            work.configs.contacts.erase_blinded(contact.server, blinded_id)
    _keep(work, known)


def _move(work: Work, blinded_id: str, account_id: str) -> None:
    messages = work.database.messages
    last: Message | None = None
    while page := messages.page(blinded_id, before=last, limit=_PAGE):
        for message in page:
            files = work.database.attachments.of([message.id])
            messages.add(
                NewMessage(
                    account_id,
                    message.sender,
                    message.timestamp,
                    message.body,
                    message.kind,
                    message.outgoing,
                    message.received,
                    message.state,
                    message.read,
                    message.hash,
                    message.quote,
                    message.timer,
                    message.expires,
                    tuple(each.attachment for each in files),
                    message.extra,
                )
            )
        last = page[0]
    work.database.conversations.remove(blinded_id)
    for each in (blinded_id, account_id):
        work.tell(ConversationChanged(each))


def _known(work: Work) -> dict[str, str]:
    found = json.loads(work.database.facts.get(_FACT) or b"{}")
    return dict(found)


def _keep(work: Work, known: dict[str, str]) -> None:
    if known:
        work.database.facts.set(_FACT, json.dumps(known).encode())
    else:
        work.database.facts.remove(_FACT)
