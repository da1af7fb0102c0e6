"""A group's swarm in memory, which does what a `Plan` says as nodes do, and loses what it is told to lose."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from allium.client.groups.plan import DeleteAllStep, DeleteStep, Plan, RevokeStep, StoreStep, UnrevokeStep
from allium.client.groups.state import GroupState


@dataclass(frozen=True)
class Message:
    """A message as a poll has it."""

    namespace: int
    hash: str
    data: bytes
    timestamp: int


class Refused(Exception):
    """The swarm said 401."""


@dataclass
class GroupSwarm:
    """What is stored for one group."""

    messages: dict[str, Message] = field(default_factory=dict)
    revoked: set[bytes] = field(default_factory=set)
    now: int = 1_700_000_000_000

    def tick(self) -> int:
        """Another time, in Unix milliseconds."""
        self.now += 1_000
        return self.now

    def run(
        self,
        state: GroupState,
        plan: Plan,
        *,
        fail_at: int | None = None,
        answered: bool = True,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> bool:
        """Does a plan for a device up to a step, and tells it how that went; whether all was done.

        `meanwhile` is what happens before the device hears of it.
        """
        own = None if state.is_admin else state.account.account_id
        hashes = []
        for number, step in enumerate(plan.steps):
            if number == fail_at:
                state.failed(plan)
                return False
            match step:
                case StoreStep(namespace, data):
                    if own is not None and self._token(own) in self.revoked:
                        raise Refused
                    # A member can write letters, and nothing else.
                    assert state.is_admin or namespace == 11
                    name = hashlib.blake2b(data + bytes([namespace % 256]), digest_size=12).hexdigest()
                    self.messages.setdefault(name, Message(namespace, name, data, step.timestamp))
                    hashes.append(name)
                case DeleteStep(gone):
                    for each in gone:
                        self.messages.pop(each, None)
                case DeleteAllStep(namespace):
                    self.messages = {name: each for name, each in self.messages.items() if each.namespace != namespace}
                case RevokeStep(tokens):
                    assert len(tokens) <= 50
                    self.revoked |= set(tokens)
                case UnrevokeStep(tokens):
                    self.revoked -= set(tokens)
        meanwhile()
        if not answered:
            state.failed(plan)
            return False
        state.confirm(plan, hashes)
        return True

    tokens: dict[str, bytes] = field(default_factory=dict)

    def _token(self, account_id: str) -> bytes:
        return self.tokens.get(account_id, b"")

    def seen(self, state: GroupState, loss: random.Random | None = None) -> list[Message]:
        """What a device gets of it, in some order, and without some of it."""
        allowed = state.is_admin or self._token(state.account.account_id) not in self.revoked
        found = [each for each in self.messages.values() if allowed or each.namespace == -11]
        if loss is not None:
            found = [each for each in found if loss.random() < 0.7]
            loss.shuffle(found)
        return found
