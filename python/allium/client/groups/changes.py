"""What came of a poll of a group, for whoever shows and stores it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from allium.client.groups.envelope import GroupReceived


class Retrieved(Protocol):
    """A message that a swarm gave."""

    @property
    def namespace(self) -> int:
        """Where it was."""

    @property
    def hash(self) -> str:
        """Its storage hash."""

    @property
    def data(self) -> bytes:
        """As stored."""

    @property
    def timestamp(self) -> int:
        """When it was stored, in Unix milliseconds."""


@dataclass(frozen=True, slots=True)
class GroupLetter:
    """A letter that may be shown and acted on: its signatures are good."""

    hash: str
    #: When it was stored, in Unix milliseconds.
    timestamp: int
    received: GroupReceived


@dataclass(frozen=True, slots=True)
class Deletion:
    """Messages that are to be deleted, everywhere."""

    #: Account ID.
    by: str
    #: Whether an admin signed it. Otherwise it is good for messages of `by` alone.
    by_admin: bool
    #: All messages of these Account IDs that were sent until then.
    members: tuple[str, ...]
    #: Single messages, by storage hash.
    hashes: tuple[str, ...]
    #: Unix milliseconds.
    timestamp: int


@dataclass
class GroupChanges:
    """What is different after a poll."""

    #: Letters in the order in which they were sent.
    letters: list[GroupLetter] = field(default_factory=list)
    deletions: list[Deletion] = field(default_factory=list)
    #: Whether there is a key that was not there before.
    keys: bool = False
    #: Whether name, picture or settings differ.
    info: bool = False
    #: Whether members differ.
    members: bool = False
    #: Whether we were removed.
    kicked: bool = False
    #: Whether an admin put an end to the group.
    destroyed: bool = False
    #: Storage hashes of what is refused for good: forged, malformed, of no known kind.
    refused: list[str] = field(default_factory=list)
    #: Storage hashes of what no key opens yet; it is kept, and tried again with each new key.
    waiting: list[str] = field(default_factory=list)

    def add(self, other: GroupChanges) -> None:
        """What came of the next poll, or the next part of this one."""
        self.letters += other.letters
        self.deletions += other.deletions
        self.refused += other.refused
        self.waiting += other.waiting
        self.keys |= other.keys
        self.info |= other.info
        self.members |= other.members
        self.kicked |= other.kicked
        self.destroyed |= other.destroyed
