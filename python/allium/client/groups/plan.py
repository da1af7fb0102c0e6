"""What a change of a group asks of its swarm, in this order and in one `sequence` (`spec/groups` §7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class StoreStep:
    """A message to be stored in the group's swarm."""

    namespace: int
    data: bytes = field(repr=False)
    #: Milliseconds.
    ttl: int
    #: Unix milliseconds.
    timestamp: int


@dataclass(frozen=True, slots=True)
class DeleteStep:
    """Messages to be deleted, by storage hash."""

    hashes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RevokeStep:
    """Subaccount tokens (36 bytes each) that are to be good for nothing; at most 50."""

    tokens: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class UnrevokeStep:
    """Tokens that are to be good again."""

    tokens: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class DeleteAllStep:
    """All messages of a namespace are to be deleted."""

    namespace: int


Step = StoreStep | DeleteStep | RevokeStep | UnrevokeStep | DeleteAllStep


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps that stop at the first one that fails; `GroupState.confirm` or `GroupState.failed` is told how it went."""

    steps: tuple[Step, ...] = ()
    #: Namespace of a config that is stored -> its number.
    seqnos: Mapping[int, int] = field(default_factory=dict)
    #: Account IDs whose removal this completes.
    removed: tuple[str, ...] = ()
    #: Account IDs that this invites: if it fails, their invitation failed.
    invited: tuple[str, ...] = ()
    #: Whether this tells the admins that we accepted.
    responds: bool = False
    #: Whether the swarm may refuse it (401): we are leaving, and may have been removed before.
    may_be_refused: bool = False

    @property
    def stores(self) -> tuple[StoreStep, ...]:
        """The steps that get a storage hash, in order."""
        return tuple(step for step in self.steps if isinstance(step, StoreStep))
