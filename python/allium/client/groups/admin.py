"""What admins sign of messages that change a group, and whether it is good (`spec/groups` §6)."""

from __future__ import annotations

from dataclasses import replace

from allium.client.groups.identity import GroupIdentity
from allium.client.messages import updates
from allium.client.messages.updates import GroupUpdate


def signed(group: GroupIdentity, update: GroupUpdate, timestamp: int, recipient: str = "") -> GroupUpdate:
    """The update with an admin's signature; `recipient` (Account ID) is who gets an invitation.

    `timestamp` is when it is sent, in Unix milliseconds. What has no signature comes back as it is.
    """
    match update:
        case updates.Invite():
            return replace(update, signature=group.sign(update.signed_text(timestamp, recipient)))
        case updates.InfoChange() | updates.MemberChange() | updates.DeleteContent():
            return replace(update, signature=group.sign(update.signed_text(timestamp)))
        case _:
            return update


def is_good(group: GroupIdentity, update: GroupUpdate, timestamp: int, recipient: str = "") -> bool:
    """Whether an update may be acted on as far as signatures say.

    An unsigned deletion is good for its sender's own messages only; of a promotion, the seed has to be the group's.
    """
    match update:
        case updates.Invite():
            return group.verify(update.signature, update.signed_text(timestamp, recipient))
        case updates.InfoChange() | updates.MemberChange():
            return group.verify(update.signature, update.signed_text(timestamp))
        case updates.DeleteContent():
            return not update.signature or group.verify(update.signature, update.signed_text(timestamp))
        case updates.Promote():
            return GroupIdentity.of_seed(update.seed).public == group.public
        case _:
            return True
