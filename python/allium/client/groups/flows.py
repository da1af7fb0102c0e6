"""How a group's name, picture, settings and messages change: what goes to its swarm (`spec/groups` §6, §7)."""

from __future__ import annotations

from collections.abc import Sequence

from allium.client.configs.fields import Picture
from allium.client.groups.letters import MAX_TIMER, all_updates
from allium.client.groups.plan import DeleteStep, Plan
from allium.client.groups.state import GroupState
from allium.client.messages import updates
from allium.client.messages.updates import InfoKind


def rename(state: GroupState, name: str, now: int) -> Plan:
    """Gives the group another name, 1 to 100 bytes; `now` is in Unix milliseconds."""
    state.require_admin()
    if not name.strip():
        raise ValueError("a group has a name")
    state.info.name = name
    return state.push(now, letters=all_updates(state, [updates.InfoChange(InfoKind.NAME, name=name)], now))


def describe(state: GroupState, description: str, now: int) -> Plan:
    """Gives it another description, at most 600 bytes; nobody is told but by the config."""
    state.require_admin()
    state.info.description = description
    return state.push(now)


def set_picture(state: GroupState, picture: Picture | None, now: int) -> Plan:
    """Gives it another picture, or none."""
    state.require_admin()
    state.info.picture = picture
    return state.push(now, letters=all_updates(state, [updates.InfoChange(InfoKind.AVATAR)], now))


def set_timer(state: GroupState, seconds: int, now: int) -> Plan:
    """Lets messages disappear so long after they were sent; 0 never."""
    state.require_admin()
    if not 0 <= seconds <= MAX_TIMER:
        raise ValueError(f"messages disappear after 0 to {MAX_TIMER} seconds")
    state.info.timer = seconds
    change = updates.InfoChange(InfoKind.DISAPPEARING, timer=state.info.timer)
    return state.push(now, letters=all_updates(state, [change], now))


def clear(state: GroupState, now: int, *, attachments_only: bool = False) -> Plan:
    """Deletes, for everyone, all messages up to now, or only their attachments."""
    state.require_admin()
    if attachments_only:
        state.info.delete_attachments_before = now // 1000
    else:
        state.info.delete_before = now // 1000
    return state.push(now)


def delete_messages(state: GroupState, hashes: Sequence[str], now: int) -> Plan:
    """Deletes messages by storage hash for everyone: an admin any, others their own."""
    told = all_updates(state, [updates.DeleteContent(hashes=tuple(hashes))], now)
    # Only admins may delete in the swarm; what others ask for, an admin's device deletes.
    return Plan((DeleteStep(tuple(hashes)), *told) if state.is_admin else tuple(told))
