"""The eight messages by which groups change, and what admins sign of them (`spec/groups` §6)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class InfoKind(IntEnum):
    """What of a group changed."""

    NAME = 1
    AVATAR = 2
    DISAPPEARING = 3


class MemberKind(IntEnum):
    """What happened to members."""

    ADDED = 1
    REMOVED = 2
    PROMOTED = 3


@dataclass(frozen=True)
class Invite:
    """An invitation; it goes to the account, not to the group."""

    #: 03 and 64 digits.
    group_id: str
    name: str
    #: 100 bytes, what the member signs requests with.
    auth_data: bytes
    signature: bytes = b""

    def signed_text(self, timestamp: int, invitee: str) -> bytes:
        """What the admin signs; `timestamp` is when it was sent, in Unix milliseconds."""
        return f"INVITE{invitee}{timestamp}".encode()


@dataclass(frozen=True)
class InfoChange:
    """A notice; what is so is in the config."""

    kind: InfoKind
    name: str = ""
    #: Seconds after which messages disappear.
    timer: int = 0
    signature: bytes = b""

    def signed_text(self, timestamp: int) -> bytes:
        """What the admin signs."""
        return f"INFO_CHANGE{int(self.kind)}{timestamp}".encode()


@dataclass(frozen=True)
class MemberChange:
    """A notice; who is a member is in the config."""

    kind: MemberKind
    members: tuple[str, ...]
    history_shared: bool = False
    signature: bytes = b""

    def signed_text(self, timestamp: int) -> bytes:
        """What the admin signs."""
        return f"MEMBER_CHANGE{int(self.kind)}{timestamp}".encode()


@dataclass(frozen=True)
class Promote:
    """Makes an admin; to have the seed is all the proof there is."""

    #: The group's, 32 bytes. Secret.
    seed: bytes
    name: str


@dataclass(frozen=True)
class MemberLeft:
    """The sender leaves: admins remove it."""


@dataclass(frozen=True)
class MemberLeftNotice:
    """The sender leaves: what the others are shown."""


@dataclass(frozen=True)
class InviteResponse:
    """The sender accepted its invitation."""

    approved: bool = True


@dataclass(frozen=True)
class DeleteContent:
    """Messages of members, or single ones by storage hash, are to be deleted. Unsigned, only the sender's own."""

    members: tuple[str, ...] = ()
    hashes: tuple[str, ...] = ()
    signature: bytes = b""

    def signed_text(self, timestamp: int) -> bytes:
        """What the admin signs."""
        return f"DELETE_CONTENT{timestamp}{''.join(self.members)}{''.join(self.hashes)}".encode()


GroupUpdate = (
    Invite | InfoChange | MemberChange | Promote | MemberLeft | MemberLeftNotice | InviteResponse | DeleteContent
)
