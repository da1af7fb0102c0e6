"""A group's plans on their way into its swarm, one at a time, and what the group's state makes of each outcome.

A state is dumped before a plan is sent, so that who is killed in between sends the same again; stored twice it is one
message, and what is revoked or deleted twice is so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from allium.client.credentials import Credentials
from allium.client.errors import NetworkError, RefusedError
from allium.client.groups import letters
from allium.client.groups.plan import DeleteAllStep, DeleteStep, Plan, RevokeStep, Step, StoreStep, UnrevokeStep
from allium.client.groups.state import GroupState
from allium.client.messages import delivery
from allium.client.network import Network
from allium.client.session import peer_keys
from allium.client.session.core import Work
from allium.client.swarm import (
    Delete,
    DeleteAll,
    Outcome,
    Request,
    Revoke,
    Store,
    Stored,
    Unrevoke,
    sequence,
    store,
)

_UNAUTHORISED = 401


@dataclass(frozen=True)
class ErrandLetter:
    """An invitation or a promotion, ready to be stored."""

    account_id: str
    data: bytes


def request_of(step: Step) -> Request:
    """What a swarm is asked to do."""
    match step:
        case StoreStep():
            return Store(step.namespace, step.data, step.ttl, step.timestamp)
        case DeleteStep():
            return Delete(step.hashes)
        case RevokeStep():
            return Revoke(step.tokens)
        case UnrevokeStep():
            return Unrevoke(step.tokens)
        case DeleteAllStep():
            return DeleteAll(step.namespace)


async def run(network: Network, credentials: Credentials, plan: Plan) -> list[str] | None:
    """Does a plan; the storage hashes of its stores, or None if it was refused as it may be.

    Raises `NetworkError` or `RefusedError`; then some of it may be done.
    """
    results = await sequence(network, credentials, [request_of(step) for step in plan.steps])
    for result in results:
        if isinstance(result, Outcome) and not result.ok:
            if plan.may_be_refused and result.code == _UNAUTHORISED:
                return None
            raise RefusedError(result.code, result.reason)
    return [result.hash for result in results if isinstance(result, Stored)]


def errands(work: Work, state: GroupState) -> list[ErrandLetter]:
    """The letters of `state.errands`, sealed for the keys that are known of their recipients."""
    found: Sequence[str] = sorted(state.errands)
    return [
        ErrandLetter(each, peer_keys.seal_now(work, each, letters.errand(state, each, work.now + number)))
        for number, each in enumerate(found)
    ]


async def deliver(network: Network, letter: ErrandLetter) -> bool:
    """Stores an invitation or promotion in its recipient's swarm; whether that was done."""
    try:
        await store(network, letter.account_id, Store(delivery.INBOX, letter.data, delivery.TTL))
    except (NetworkError, RefusedError):
        return False
    return True
