"""Invitations and promotions that come to the account, and letters on their way to a group (`spec/groups` §6)."""

from __future__ import annotations

from dataclasses import replace

from allium.client.groups import admin, letters
from allium.client.groups.identity import GroupIdentity
from allium.client.groups.joining import invited, promoted
from allium.client.messages import delivery, updates
from allium.client.messages.decoding import MessageError
from allium.client.messages.direct import Received as Opened
from allium.client.messages.kinds import GroupUpdateMessage, Letter
from allium.client.polling import Received
from allium.client.session import group_states, people
from allium.client.session.core import Work
from allium.client.session.group_states import GroupStates

#: Invitations of people whom we do not know, at the same time: they are in a config that all devices share.
MAX_INVITED = 100
#: What an item of the outbox is for: its `purpose`.
_MESSAGE, _QUIET = "message", "quiet"


def take(work: Work, states: GroupStates, stored: Received, opened: Opened) -> None:
    """An invitation or a promotion; `MessageError` says why it is refused."""
    contact = people.contact_of(work, opened.sender)
    if contact is not None and contact.blocked:
        return
    message = opened.letter.message
    update = message.update if isinstance(message, GroupUpdateMessage) else None
    approved = opened.sender == work.own_id or (contact is not None and contact.approved)
    timestamp = opened.letter.timestamp
    match update:
        case updates.Invite(group_id):
            known = group_states.entry(work, group_id)
            entry = invited(work.account, update, timestamp, known, approved=approved)
        case updates.Promote(seed):
            known = group_states.entry(work, GroupIdentity.of_seed(seed).group_id)
            entry = promoted(update, timestamp, known, approved=approved)
        case _:
            raise MessageError("no invitation")
    if isinstance(message, GroupUpdateMessage):
        people.learn_profile(work, opened.sender, message.profile)
    pending = sum(each.invited for each in work.configs.groups.groups())
    if known is None and entry.invited and pending >= MAX_INVITED:
        raise MessageError("too many invitations of strangers")
    if known is None or known.removed:
        # What there is from before is of another time, and the whole history is fetched.
        states.forget(work, entry.group_id)
    if entry != known:
        group_states.enter(work, states, entry)
    if not entry.invited and isinstance(update, updates.Invite):
        respond(work, states, entry.group_id)
    # It has served: another device, or this one restored, does not need it.
    work.deletions.append(stored.hash)


def respond(work: Work, states: GroupStates, group_id: str) -> None:
    """The admins are to be told that we accepted, once there is a key to tell it with."""
    state = states.get(work, group_id)
    if state is not None and not state.is_admin:
        state.owe_response(True)
        states.save(work, state)


def queue(work: Work, states: GroupStates, group_id: str, letter: Letter, message: int | None) -> None:
    """Puts a letter to a group into the outbox; `ValueError` says why it cannot be sent."""
    state = states.joined(work, group_id)
    if isinstance(letter.message, GroupUpdateMessage) and state.is_admin:
        signed = admin.signed(state.group, letter.message.update, letter.timestamp)
        letter = replace(letter, message=replace(letter.message, update=signed))
    timer = delivery.timed(letter.message, letters.disappearing(state))
    step = letters.sealed(state, replace(letter, disappearing=timer))
    item = work.database.outbox.add(
        group_id,
        step.namespace,
        step.data,
        ttl=step.ttl,
        timestamp=step.timestamp,
        purpose=_QUIET if message is None else _MESSAGE,
        message=message,
    )
    if message is not None:
        # It is no news when a poll brings it.
        work.database.seen.add({item.hash: work.now + delivery.CONFIG_TTL}, work.now)
        work.database.messages.set_hash(message, item.hash)
        if timer is not None:
            work.database.messages.set_expiry(message, work.now + timer.seconds * 1000)
