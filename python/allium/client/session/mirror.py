"""Configs as the database shows them: conversations, names, read states, after another device changed them."""

from __future__ import annotations

import contextlib
from dataclasses import replace

from allium.client.configs.contacts import Contact
from allium.client.configs.convo_info_volatile import ReadState
from allium.client.database.rows import Conversation, ConversationKind
from allium.client.messages.kinds import Disappear
from allium.client.session import people
from allium.client.session.core import Work
from allium.client.session.events import ConfigChanged, ContactChanged, ConversationChanged

#: So far two clocks may be apart, milliseconds.
_AHEAD_MS = 3_600_000
PROFILE, CONTACTS, VOLATILE = 2, 3, 4


class Before:
    """What a merge of a config is compared with: of Contacts, all of them."""

    def __init__(self, work: Work, namespace: int) -> None:
        compared = work.configs.contacts if namespace == CONTACTS else ()
        self.contacts = {contact.account_id: contact for contact in compared}


def kind_of(work: Work, conversation_id: str) -> ConversationKind:
    """With whom a conversation is."""
    if conversation_id == work.own_id:
        return ConversationKind.NOTE
    match conversation_id[:2]:
        case "05":
            return ConversationKind.CONTACT
        case "03":
            return ConversationKind.GROUP
        case "15" | "25":
            return ConversationKind.BLINDED
        case _:
            return ConversationKind.COMMUNITY


def conversation(work: Work, conversation_id: str) -> Conversation:
    """The conversation, made if there was none, with what the configs say of it."""
    found = work.database.conversations.get(conversation_id)
    if found is not None:
        return found
    work.database.conversations.ensure(conversation_id, kind_of(work, conversation_id))
    contact = people.contact_of(work, conversation_id)
    if contact is not None:
        show(work, contact)
    state = read_state(work, conversation_id)
    work.database.conversations.update(
        conversation_id, last_read=state.last_read, marked_unread=state.unread, priority=priority(work, conversation_id)
    )
    return work.database.conversations.ensure(conversation_id, kind_of(work, conversation_id))


def priority(work: Work, conversation_id: str) -> int:
    """Above 0 pinned, below hidden."""
    if conversation_id == work.own_id:
        return work.configs.profile.note_to_self_priority
    contact = people.contact_of(work, conversation_id)
    return contact.priority if contact else 0


def read_state(work: Work, conversation_id: str) -> ReadState:
    """Up to where a conversation was read, as the devices agree."""
    try:
        state = work.configs.volatile.get(conversation_id) or ReadState()
    except ValueError:
        return ReadState()
    # Nobody has read what is not sent yet, whatever a device says.
    return state if state.last_read <= work.now + _AHEAD_MS else replace(state, last_read=0)


def set_read_state(work: Work, conversation_id: str, state: ReadState) -> None:
    """For all devices. A conversation that the config has no place for stays as it is."""
    with contextlib.suppress(ValueError):
        work.configs.volatile.set(conversation_id, state, work.now)


def note_time(work: Work, namespace: int, timestamp: int) -> None:
    """A config message was stored at that time (Unix milliseconds): what it says is newer than what was sent before."""
    if timestamp > config_time(work, namespace):
        work.database.facts.set(f"config-time-{namespace}", str(timestamp).encode())


def config_time(work: Work, namespace: int) -> int:
    """Of the newest config message of this kind, Unix milliseconds; 0 if there is none."""
    return int(work.database.facts.get(f"config-time-{namespace}") or 0)


def erased(work: Work, account_id: str) -> int:
    """When a contact and all that was said was last deleted, Unix milliseconds; 0 if it was not."""
    return int(work.database.facts.get(f"erased-{account_id}") or 0)


def note_erased(work: Work, account_id: str, timestamp: int) -> None:
    """What was sent before is not shown again, whichever node still has it."""
    work.database.facts.set(f"erased-{account_id}", str(timestamp).encode())


def apply(work: Work, namespace: int, before: Before) -> None:
    """Shows what a merge changed."""
    match namespace:
        case 2:
            _profile(work)
        case 3:
            _contacts(work, before)
        case 4:
            _volatile(work)
    work.tell(ConfigChanged(namespace))


def _profile(work: Work) -> None:
    found = work.database.conversations.get(work.own_id)
    wanted = work.configs.profile.note_to_self_priority
    if found is not None and found.priority != wanted:
        work.database.conversations.update(work.own_id, priority=wanted)
        work.tell(ConversationChanged(work.own_id))


def _contacts(work: Work, before: Before) -> None:
    now = {contact.account_id: contact for contact in work.configs.contacts}
    for account_id in before.contacts.keys() - now.keys():
        # Another device deleted the contact, and all that was said.
        note_erased(work, account_id, config_time(work, CONTACTS))
        if work.database.conversations.remove(account_id):
            work.tell(ConversationChanged(account_id))
        work.tell(ContactChanged(account_id))
    for account_id, contact in now.items():
        old = before.contacts.get(account_id)
        if contact == old:
            continue
        if contact.priority >= 0:
            conversation(work, account_id)
        elif old is not None and old.priority >= 0:
            # Another device deleted the conversation; the contact stays.
            work.database.messages.clear(account_id)
        show(work, contact)
        work.tell(ContactChanged(account_id))


def show(work: Work, contact: Contact) -> None:
    """Names and places of a conversation with a contact, if there is one."""
    work.database.conversations.update(
        contact.account_id,
        name=contact.shown_name,
        priority=contact.priority,
        muted_until=contact.muted_until * 1000,
    )


def _volatile(work: Work) -> None:
    # What disappears after it was read does so when it was read over there, not when this device heard of it.
    when = min(config_time(work, VOLATILE) or work.now, work.now)
    for conversation_id, _ in work.configs.volatile.accounts():
        state = read_state(work, conversation_id)
        found = work.database.conversations.get(conversation_id)
        if found is None:
            continue
        if state.last_read > found.last_read:
            for message in work.database.messages.unread(conversation_id, up_to=state.last_read):
                timer = message.timer
                if timer is not None and timer.kind is Disappear.AFTER_READ and message.hash:
                    work.read_elsewhere.append(message.hash)
            work.database.messages.mark_read(conversation_id, when, up_to=state.last_read)
        elif state.unread == found.marked_unread:
            continue
        work.database.conversations.update(conversation_id, marked_unread=state.unread)
        work.tell(ConversationChanged(conversation_id))
