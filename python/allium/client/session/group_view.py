"""A group as it is shown."""

from __future__ import annotations

from dataclasses import dataclass

from allium.client.configs.fields import Picture
from allium.client.configs.group_members import Member
from allium.client.configs.user_groups import Group, Removed
from allium.client.groups.state import GroupState
from allium.client.messages import text


@dataclass(frozen=True, slots=True)
class GroupMember:
    """A member."""

    #: Account ID.
    id: str
    name: str
    admin: bool
    #: `member`, `admin`, `invitation sent`, `promotion failed`, `removed` …: one word for how far it is.
    state: str


@dataclass(frozen=True, slots=True)
class GroupView:
    """A group."""

    #: 03 and 64 digits.
    id: str
    name: str
    description: str
    picture: Picture | None
    #: Whether we are an admin.
    admin: bool
    #: Whether it waits for us to accept.
    invited: bool
    #: Whether we were removed, or it was ended.
    removed: Removed
    #: After how many seconds messages disappear; 0 never.
    timer: int
    #: Unix seconds.
    created: int
    members: tuple[GroupMember, ...]
    #: Whether its swarm has nothing for us any more.
    expired: bool


def of(known: Group, state: GroupState | None, names: dict[str, str]) -> GroupView:
    """A group of UserGroups; `names` are of Account IDs, as we know them."""
    info = state.info if state is not None else None
    return GroupView(
        known.group_id,
        text.name(info.name if info else "") or text.name(known.name),
        text.plain(info.description) if info else "",
        info.picture if info else None,
        known.seed is not None,
        known.invited,
        known.removed,
        info.timer if info else 0,
        info.created if info else 0,
        tuple(_member(each, names) for each in state.members) if state is not None else (),
        state is None or (state.is_expired and not known.invited),
    )


def _member(member: Member, names: dict[str, str]) -> GroupMember:
    name = names.get(member.account_id) or text.name(member.name)
    return GroupMember(member.account_id, name, member.admin, member.state)
