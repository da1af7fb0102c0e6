"""What a poll of a group brought becomes state, in one transaction (`spec/groups` §6, §7).

Keys first, then configs, then letters, then notices to removed members; the cursors move with them. Whatever cannot be
read is counted and kept, and the next message is read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from allium.client.configs.user_groups import Removed
from allium.client.database.errors import DamagedError, DiskFullError, InUseError, UnwritableError
from allium.client.groups.changes import GroupChanges, GroupLetter
from allium.client.groups.state import INFO, KEYS, MEMBERS, GroupState
from allium.client.messages import text
from allium.client.messages.delivery import TTL
from allium.client.polling import PollResult, Received
from allium.client.session import group_letters, group_states
from allium.client.session.core import Work
from allium.client.session.events import ConversationChanged, GroupChanged, MessageDeleted
from allium.client.session.group_states import GroupStates

#: Failures of the disk, not of what was received.
_FATAL = (DamagedError, DiskFullError, InUseError, UnwritableError)


@dataclass
class GroupNews:
    """What came of a poll, for what follows it."""

    #: When the last letter was stored, Unix milliseconds; 0 if there was none.
    active: int = 0
    #: Storage hashes that an admin's device deletes in the swarm.
    deletions: list[str] = field(default_factory=list)


def receive(work: Work, states: GroupStates, group_id: str, result: PollResult) -> GroupNews:
    """Takes a poll of a group."""
    news = GroupNews()
    state = states.get(work, group_id)
    if state is None:
        return news
    new = set(work.database.seen.new(message.hash for message in result.messages))
    # Configs are taken each time: it changes nothing, and tells which of them are still there.
    fresh = [each for each in result.messages if each.namespace in (KEYS, INFO, MEMBERS) or each.hash in new]
    complete = not any(namespace in result.refused for namespace in (KEYS, INFO, MEMBERS))
    state, changes = _merged(work, states, state, fresh, complete=complete)
    if result.lost:
        state.lost(result.lost)
    if changes.info:
        _name(work, states, state)
    if changes.info or changes.members:
        work.tell(GroupChanged(group_id))
    by_hash = {message.hash: message for message in fresh}
    for letter in changes.letters:
        _guarded(work, group_id, by_hash.get(letter.hash), partial(_letter, work, group_id, letter, by_hash))
        news.active = max(news.active, letter.timestamp)
    for deletion in changes.deletions:
        news.deletions += group_letters.delete(work, group_id, deletion)
    for refused in changes.refused:
        if (message := by_hash.get(refused)) is not None and refused in new:
            _unreadable(work, group_id, message, "a message that is good for nothing here")
    seen = {each.hash: each.expiry for each in fresh if each.hash not in set(changes.waiting)}
    work.database.seen.add(seen, work.now)
    work.database.cursors.set(result.source.ed25519, group_id, result.cursors)
    states.save(work, state)
    _end(work, states, state, changes)
    return news


def _merged(
    work: Work, states: GroupStates, state: GroupState, fresh: Sequence[Received], *, complete: bool
) -> tuple[GroupState, GroupChanges]:
    states.save(work, state)
    try:
        return state, state.merge(fresh, complete=complete)
    except Exception:
        # A fault of ours, met by what somebody wrote: without that message, the others are read.
        state = states.reloaded(work, state.group_id)
    changes = GroupChanges()
    for message in fresh:
        try:
            changes.add(state.merge([message], complete=False))
        except Exception as error:
            state = states.reloaded(work, state.group_id)
            _unreadable(work, state.group_id, message, type(error).__name__)
        else:
            states.save(work, state)
    return state, changes


def _letter(work: Work, group_id: str, letter: GroupLetter, by_hash: dict[str, Received]) -> None:
    stored = by_hash.get(letter.hash)
    # What had waited for its key was stored long ago; the swarm forgets it in its own time.
    group_letters.take(work, group_id, letter, stored.expiry if stored else work.now + TTL)


def _guarded(work: Work, group_id: str, stored: Received | None, action: Callable[[], None]) -> None:
    told = len(work.events)
    try:
        with work.database.transaction():
            action()
    except _FATAL:
        raise
    except Exception as error:
        # A fault of ours, met by what somebody wrote: it must not hide what others wrote.
        del work.events[told:]
        if stored is not None:
            _unreadable(work, group_id, stored, type(error).__name__)


def _unreadable(work: Work, group_id: str, message: Received, reason: str) -> None:
    work.database.unreadable.add(group_id, message.namespace, message.hash, message.data, message.timestamp, reason)


def _end(work: Work, states: GroupStates, state: GroupState, changes: GroupChanges) -> None:
    """What takes away: messages that the admins deleted, or the whole group."""
    if changes.info and state.info.delete_before:
        work.database.messages.clear(state.group_id, before=min(state.info.delete_before * 1000, work.now))
    if changes.info and state.info.delete_attachments_before:
        clear_files(work, state.group_id, min(state.info.delete_attachments_before * 1000, work.now))
    if state.info.destroyed:
        group_states.out(work, states, state.group_id, Removed.DESTROYED)
    elif changes.kicked:
        group_states.out(work, states, state.group_id, Removed.KICKED)


def clear_files(work: Work, group_id: str, before: int) -> None:
    """The admins deleted all files of before; of a message that was only that nothing is left."""
    found = work.database.attachments.clear(group_id, before)
    for number in found:
        message = work.database.messages.get(number)
        if message is not None and not message.body:
            work.database.messages.remove([number])
            work.tell(MessageDeleted(group_id, number))
    if found:
        work.tell(ConversationChanged(group_id))


def _name(work: Work, states: GroupStates, state: GroupState) -> None:
    """The name of before the group's own is known, for our other devices."""
    known = group_states.entry(work, state.group_id)
    if known is None:
        return
    name = text.name(state.info.name)
    if name and known.name != name:
        known.name = name
        group_states.put(work, known)
    group_states.show(work, states, known)
