"""What a user does that is no message: the profile, settings, contacts, conversations. Each is one transaction."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import replace

from allium.client.configs.contacts import Contact
from allium.client.configs.fields import Picture, checked_name
from allium.client.database.rows import Deleted, Message
from allium.client.messages import delivery, kinds
from allium.client.messages.kinds import Letter
from allium.client.session import group_states, letters, mirror, outbound, peer_keys, people
from allium.client.session.core import Work
from allium.client.session.events import ConfigChanged, ConversationChanged
from allium.client.session.group import GroupFeature
from allium.client.session.settings import Settings
from allium.client.swarm import Store

_ID = re.compile(r"(?:03|05|15|25)[0-9a-f]{64}")
_COMMUNITY = re.compile(r"https?://[^/?#\s]+/[a-z0-9_-]{1,64}")


def local_now() -> int:
    """Unix milliseconds by this machine's clock."""
    return time.time_ns() // 1_000_000


def conversation_id(given: str) -> str:
    """An id as the database has it; `ValueError` for what is none."""
    lowered = given.lower()
    if _ID.fullmatch(lowered) is None and not is_community(lowered):
        raise ValueError(f"an Account ID or group id is 05 or 03 and 64 hex digits, not {given[:80]!r}")
    return lowered


def is_community(given: str) -> bool:
    """Whether an id is that of a community's room."""
    return _COMMUNITY.fullmatch(given.lower()) is not None


def message(work: Work, message_id: int) -> Message:
    """A message that is there; `KeyError` if it is not."""
    found = work.database.messages.get(message_id)
    if found is None:
        raise KeyError(message_id)
    return found


def set_name(work: Work, name: str) -> None:
    """Our display name."""
    work.configs.profile.set_name(name, work.seconds)
    work.tell(ConfigChanged(mirror.PROFILE))


def set_picture(work: Work, picture: Picture | None) -> None:
    """Our picture."""
    work.configs.profile.set_picture(picture, work.seconds)
    work.tell(ConfigChanged(mirror.PROFILE))


def set_settings(work: Work, settings: Settings) -> None:
    """Of this device."""
    settings.store(work.database.facts)


def typing(work: Work, account_id: str, started: bool) -> Store | None:
    """What tells the other side; None where nothing is told."""
    if not work.settings.typing or not people.is_mutual(work, account_id):
        return None
    letter = Letter(kinds.Typing(started), outbound.next_timestamp(work))
    planned = delivery.direct(letter, account_id)
    return Store(planned.namespace, peer_keys.seal_now(work, account_id, letter), planned.ttl)


def check_own(work: Work, message: Message) -> None:
    """`ValueError` for what cannot be deleted for everyone."""
    outbound.check_own(work, message)


def unsend(work: Work, groups: GroupFeature, message: Message) -> None:
    """Deletes a message of ours everywhere."""
    outbound.unsend(work, groups, message)
    letters.erase(work, message, Deleted.EVERYWHERE)


# Contacts


def contacts(work: Work) -> Sequence[Contact]:
    """All of them, those who only asked too."""
    return list(work.configs.contacts)


def set_nickname(work: Work, account_id: str, nickname: str) -> None:
    """Ours for somebody; an empty one removes it. `ValueError` above 100 bytes."""
    checked_name(nickname)
    _change(work, account_id, nickname=nickname)


def set_blocked(work: Work, account_id: str, blocked: bool) -> None:
    """What somebody who is blocked sends is not kept."""
    _change(work, account_id, blocked=blocked)


def _change(work: Work, account_id: str, **values: object) -> None:
    contact = people.contact_of(work, account_id) or Contact(account_id, created=work.seconds)
    changed = replace(contact, **values)  # type: ignore[arg-type]
    if account_id == work.own_id:
        raise ValueError("an account is no contact of its own")
    people.store(work, changed, contact)
    mirror.show(work, changed)


def remove_contact(work: Work, account_id: str) -> bool:
    """Deletes a contact and all that was said, here and on our other devices; nothing is sent."""
    there = work.configs.contacts.erase(account_id)
    mirror.note_erased(work, account_id, work.now)
    work.configs.volatile.erase(account_id)
    if work.database.conversations.remove(account_id):
        work.tell(ConversationChanged(account_id))
        there = True
    return there


# Conversations


def hide(work: Work, conversation: str) -> None:
    """Deletes a conversation and what was said; the contact stays."""
    work.database.messages.clear(conversation)
    set_priority(work, conversation, -1)


def set_priority(work: Work, conversation: str, priority: int) -> None:
    """Above 0 pinned, higher first; -1 hidden; else 0."""
    if conversation == work.own_id:
        work.configs.profile.note_to_self_priority = priority
    elif people.contact_of(work, conversation) is not None:
        _change(work, conversation, priority=priority)
    else:
        group_states.set_listed(work, conversation, priority=priority)
    work.database.conversations.update(conversation, priority=priority)
    work.tell(ConversationChanged(conversation))


def set_muted(work: Work, conversation: str, until: int) -> None:
    """Until a time (Unix milliseconds), 0 not at all."""
    work.database.conversations.update(conversation, muted_until=until)
    if people.contact_of(work, conversation) is not None:
        _change(work, conversation, muted_until=until // 1000)
    else:
        group_states.set_listed(work, conversation, muted_until=until // 1000)
    work.tell(ConversationChanged(conversation))


def set_unread(work: Work, conversation: str, unread: bool) -> None:
    """Marks by hand."""
    state = mirror.read_state(work, conversation)
    state.unread = unread
    mirror.set_read_state(work, conversation, state)
    work.database.conversations.update(conversation, marked_unread=unread)
    work.tell(ConversationChanged(conversation))


def set_draft(work: Work, conversation: str, draft: str) -> None:
    """What is written and not sent."""
    work.database.conversations.update(conversation, draft=draft)


def clear(work: Work, conversation: str) -> int:
    """Forgets all messages of a conversation on this device."""
    count = work.database.messages.clear(conversation)
    work.tell(ConversationChanged(conversation))
    return count
