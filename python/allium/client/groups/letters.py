"""What a group's members write, as it is stored, and what admins write to single accounts (`spec/groups` §5, §6)."""

from __future__ import annotations

from collections.abc import Sequence

from allium.client.groups import admin, envelope, subaccounts
from allium.client.groups.plan import Plan, StoreStep
from allium.client.groups.state import Errand, GroupState
from allium.client.messages import delivery, updates
from allium.client.messages.kinds import Disappear, Disappearing, GroupUpdateMessage, Letter, Message

#: What a message can say, in seconds.
MAX_TIMER = (1 << 32) - 1


def disappearing(state: GroupState) -> Disappearing | None:
    """The group's timer; of one that no message can have, the longest."""
    seconds = min(state.info.timer, MAX_TIMER)
    return Disappearing(Disappear.AFTER_SEND, seconds) if seconds else None


def letter(state: GroupState, message: Message, now: int) -> Letter:
    """A message to the group with its timer; `now` is in Unix milliseconds."""
    return Letter(message, now, delivery.timed(message, disappearing(state)))


def sealed(state: GroupState, written: Letter, rotating_secret: bytes | None = None) -> StoreStep:
    """A letter as it is stored; `ValueError` if it is too large, goes to no group, or no key is known."""
    if state.is_expired:
        raise ValueError("the group has no key that is known here")
    where = delivery.to_group(written)
    data = envelope.seal(state.account, state.group, state.keys.keys[0], written, rotating_secret)
    return StoreStep(where.namespace, data, where.ttl, written.timestamp)


def send(state: GroupState, message: Message, now: int, rotating_secret: bytes | None = None) -> Plan:
    """Sends a message of ours; `ValueError` for one that must not be sent."""
    delivery.check(message, pro=rotating_secret is not None)
    return Plan((sealed(state, letter(state, message, now), rotating_secret),))


def update(state: GroupState, change: updates.GroupUpdate, now: int) -> StoreStep:
    """An update as it is stored, signed if we are an admin. Updates do not disappear."""
    signed = admin.signed(state.group, change, now) if state.is_admin else change
    return sealed(state, Letter(GroupUpdateMessage(signed, state.profile), now))


def all_updates(state: GroupState, changes: Sequence[updates.GroupUpdate], now: int) -> list[StoreStep]:
    """Several of them, each with a time of its own: by it they are told apart."""
    return [update(state, change, now + number) for number, change in enumerate(changes)]


def errand(state: GroupState, account_id: str, now: int) -> Letter:
    """The letter that does one of `state.errands`; it goes to the account, not to the group."""
    if state.errands.get(account_id) is Errand.PROMOTE:
        change: updates.GroupUpdate = updates.Promote(_seed(state), state.info.name)
    else:
        auth = subaccounts.issue(state.group, account_id)
        change = updates.Invite(state.group_id, state.info.name, auth.encoded())
    signed = admin.signed(state.group, change, now, account_id)
    return Letter(GroupUpdateMessage(signed, state.profile), now)


def _seed(state: GroupState) -> bytes:
    if state.group.seed is None:
        raise ValueError("only an admin can do this")
    return state.group.seed
