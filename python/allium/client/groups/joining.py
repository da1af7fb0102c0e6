"""An invitation or a promotion that an account got, as an entry of UserGroups (`spec/groups` §6)."""

from __future__ import annotations

from dataclasses import replace

from allium.client.account import Account
from allium.client.configs.fields import truncated
from allium.client.configs.user_groups import Group, Removed
from allium.client.groups import admin, subaccounts
from allium.client.groups.identity import GroupIdentity
from allium.client.groups.subaccounts import AuthData, SubaccountError
from allium.client.messages.decoding import MessageError
from allium.client.messages.updates import Invite, Promote


def invited(account: Account, invite: Invite, timestamp: int, known: Group | None, *, approved: bool) -> Group:
    """The group that an invitation is to; `known` is what UserGroups has of it.

    `timestamp` is when the invitation was sent, in Unix milliseconds; `approved`, whether its sender is an approved
    contact: otherwise the group waits among the message requests. `MessageError` says why it is refused.
    """
    try:
        group = GroupIdentity.parse(invite.group_id)
        signed = admin.is_good(group, invite, timestamp, account.account_id)
        subaccounts.verify(group, account, invite.auth_data)
    except (SubaccountError, ValueError) as error:
        raise MessageError(f"an invitation that is good for nothing: {error}") from None
    if not signed:
        raise MessageError("an invitation by no admin")
    entry = _entry(known, invite.group_id, invite.name, timestamp, approved=approved)
    return entry if entry.seed is not None else replace(entry, auth_data=invite.auth_data)


def promoted(promotion: Promote, timestamp: int, known: Group | None, *, approved: bool) -> Group:
    """The group of which a promotion makes an admin; to have its seed is the proof."""
    group = GroupIdentity.of_seed(promotion.seed)
    entry = _entry(known, group.group_id, promotion.name, timestamp, approved=approved)
    return replace(entry, seed=promotion.seed, auth_data=None)


def group_of(entry: Group) -> tuple[GroupIdentity, AuthData | None] | None:
    """What an entry of UserGroups lets us be: the group with its seed, or with a member's auth data; None if neither.

    Another device wrote the entry, and may have got it wrong.
    """
    try:
        if entry.seed is not None:
            return GroupIdentity.parse(entry.group_id, entry.seed), None
        if entry.auth_data is not None:
            return GroupIdentity.parse(entry.group_id), AuthData.parse(entry.auth_data)
    except ValueError:
        return None
    return None


def _entry(known: Group | None, group_id: str, name: str, timestamp: int, *, approved: bool) -> Group:
    if known is not None and not known.removed:
        return replace(known, name=known.name or truncated(name), invited=known.invited and not approved)
    entry = known or Group(group_id=group_id)
    return replace(
        entry,
        name=truncated(name),
        joined=timestamp // 1000,
        invited=not approved,
        removed=Removed.NOT,
        seed=None,
        auth_data=None,
    )
