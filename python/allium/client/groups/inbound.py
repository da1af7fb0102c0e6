"""Letters to a group: which of them may be shown, and what admins do about them (`spec/groups` §6).

Members can say anything in them. What changes a group is signed by an admin, or concerns the sender alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from allium.client.configs.group_members import Removal, Step
from allium.client.groups import admin, envelope
from allium.client.groups.changes import Deletion, GroupChanges, GroupLetter
from allium.client.groups.envelope import GroupReceived, NoKeyError
from allium.client.groups.waiting import WaitingMessage
from allium.client.messages import text, updates
from allium.client.messages.decoding import MessageError
from allium.client.messages.kinds import GroupUpdateMessage, Message, Reaction, Text

if TYPE_CHECKING:
    from allium.client.groups.state import GroupState

#: A member who left was removed, and is a member again, where since then this many keys were given out.
_KEYS_OF_A_RETURN = 2


def take(state: GroupState, messages: Iterable[WaitingMessage], changes: GroupChanges) -> None:
    """Opens letters, in the order in which they were sent, and does what they ask of us."""
    opened: list[GroupLetter] = []
    for message in messages:
        try:
            received = envelope.open_letter(state.group, state.keys.keys, message.data)
        except NoKeyError:
            state.wait(message, changes)
        except MessageError:
            changes.refused.append(message.hash)
        else:
            opened.append(GroupLetter(message.hash, message.timestamp, received))
    for letter in sorted(opened, key=lambda each: (each.received.letter.timestamp, each.hash)):
        if _may_be_shown(state, letter.received):
            changes.letters.append(letter)
        else:
            changes.refused.append(letter.hash)
    for letter in changes.letters:
        _note(state, letter.received, changes)
    # Who said something after it had left has come back.
    for letter in changes.letters:
        if state.is_admin and isinstance(_update(letter.received.letter.message), updates.MemberLeft):
            _remove(state, letter.received)


def _update(message: Message) -> updates.GroupUpdate | None:
    return message.update if isinstance(message, GroupUpdateMessage) else None


def _may_be_shown(state: GroupState, received: GroupReceived) -> bool:
    message, update = received.letter.message, _update(received.letter.message)
    if update is None:
        return isinstance(message, Text | Reaction)
    if isinstance(update, updates.Invite | updates.Promote):
        # They go to accounts.
        return False
    return admin.is_good(state.group, update, received.letter.timestamp)


def _note(state: GroupState, received: GroupReceived, changes: GroupChanges) -> None:
    update, timestamp = _update(received.letter.message), received.letter.timestamp
    leaves = isinstance(update, updates.MemberLeft | updates.MemberLeftNotice)
    if isinstance(update, updates.DeleteContent):
        changes.deletions.append(_deletion(received.sender, update, timestamp))
    member = state.members.get(received.sender)
    if member is None or leaves:
        return
    state.heard[received.sender] = max(timestamp, state.heard.get(received.sender, 0))
    if state.is_admin and member.invite and not member.removal and not isinstance(update, updates.DeleteContent):
        if isinstance(update, updates.InviteResponse) and not update.approved:
            return
        member.invite, member.supplement = Step.ACCEPTED, False
        profile = getattr(received.letter.message, "profile", None)
        if not member.name and profile is not None:
            # Who invited did not know the name; now all members can.
            member.name = text.name(profile.name)
        state.members.set(member)
        state.errands.pop(received.sender, None)


def _deletion(sender: str, update: updates.DeleteContent, timestamp: int) -> Deletion:
    by_admin = bool(update.signature)
    members = tuple(each.lower() for each in update.members)
    if not by_admin:
        members = tuple(each for each in members if each == sender)
    return Deletion(sender, by_admin, members, update.hashes, timestamp)


def _remove(state: GroupState, received: GroupReceived) -> None:
    member, left = state.members.get(received.sender), received.letter.timestamp
    if member is None or member.removal or state.heard.get(received.sender, 0) > left:
        return
    if received.sender == state.account.account_id or state.keys.generations_after(left) >= _KEYS_OF_A_RETURN:
        return
    member.removal = Removal.MEMBER
    state.members.set(member)
