"""GroupMembers: who is in a group, and how far each invitation got (`spec/groups` §3, `spec/configs` §15)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from allium.client.configs import fields, ids
from allium.client.configs.fields import Picture
from allium.client.configs.group_config import GroupConfig
from allium.client.configs.tree import Node

_MEMBERS = b"m"


class Step(IntEnum):
    """How far an invitation or a promotion got."""

    ACCEPTED = 0
    SENT = 1
    FAILED = 2
    NOT_SENT = 3


class Removal(IntEnum):
    """Whether a member is to be removed."""

    NO = 0
    MEMBER = 1
    MEMBER_AND_MESSAGES = 2


@dataclass
class Member:
    """One member."""

    #: Account ID.
    account_id: str
    name: str = ""
    picture: Picture | None = None
    #: When the profile last changed, in Unix seconds.
    updated: int = 0
    invite: Step = Step.ACCEPTED
    admin: bool = False
    #: Not accepted only of who is an admin.
    promotion: Step = Step.ACCEPTED
    #: Whether the invitation has to come with the keys of before.
    supplement: bool = False
    removal: Removal = Removal.NO

    @property
    def state(self) -> str:
        """One word for it all."""
        if self.removal:
            return "removed"
        steps = {Step.SENT: "sent", Step.FAILED: "failed", Step.NOT_SENT: "not sent"}
        if self.admin:
            return "admin" if not self.promotion else f"promotion {steps[self.promotion]}"
        return "member" if not self.invite else f"invitation {steps[self.invite]}"


class GroupMembers(GroupConfig):
    """All members of a group."""

    NAMESPACE = 14
    DOMAIN = b"groups::Members"

    def __iter__(self) -> Iterator[Member]:
        """Every member, by id."""
        for key in sorted(fields.dict_of(self._get(_MEMBERS))):
            member = self._read_member(key)
            if member is not None:
                yield member

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @property
    def any_removal(self) -> bool:
        """Whether a member may be marked as to be removed; iterating tells who."""
        return any(b"R" in fields.dict_of(entry) for entry in fields.dict_of(self._get(_MEMBERS)).values())

    def get(self, account_id: str) -> Member | None:
        """A member; None if there is none. `ValueError` for a bad id."""
        return self._read_member(ids.packed(account_id, ids.ACCOUNT))

    def set(self, member: Member) -> None:
        """Writes all fields of a member; what others wrote and we would not, a longer name, stays unless it changed."""
        path = (_MEMBERS, ids.packed(member.account_id, ids.ACCOUNT))
        known = self._read_member(path[1])
        invited = 0 if member.admin else int(member.invite)
        entry: dict[bytes, Node | None] = {}
        if known is None or member.name != known.name:
            entry[b"n"] = fields.checked_name(member.name)
        if known is None or member.picture != known.picture:
            entry[b"p"] = member.picture.url.encode() if member.picture else None
            entry[b"q"] = member.picture.key if member.picture else None
        entry |= {
            b"t": member.updated or None,
            b"I": invited or None,
            b"A": int(member.admin) or None,
            b"P": (int(member.promotion) or None) if member.admin else None,
            b"s": 1 if member.supplement and invited else None,
            b"R": int(member.removal) or None,
        }
        for key, value in entry.items():
            self._set((*path, key), value)

    def erase(self, account_id: str) -> bool:
        """Removes a member; whether there was one."""
        path = (_MEMBERS, ids.packed(account_id, ids.ACCOUNT))
        there = self._get(*path) is not None
        self._set(path, None)
        return there

    def _read_member(self, key: bytes) -> Member | None:
        account_id, entry = ids.unpacked(key, ids.ACCOUNT), self._get(_MEMBERS, key)
        if account_id is None or not isinstance(entry, dict):
            return None
        promotion = Step(fields.enum(Step, entry.get(b"P"), Step.ACCEPTED))
        admin = bool(fields.number(entry.get(b"A"))) or bool(promotion)
        invite = Step.ACCEPTED if admin else Step(fields.enum(Step, entry.get(b"I"), Step.ACCEPTED))
        return Member(
            account_id,
            name=fields.text(entry.get(b"n")),
            picture=fields.picture(entry),
            updated=fields.seconds(entry.get(b"t")),
            invite=invite,
            admin=admin,
            promotion=promotion,
            supplement=bool(fields.number(entry.get(b"s"))) and bool(invite),
            removal=Removal(fields.enum(Removal, entry.get(b"R"), Removal.NO)),
        )
