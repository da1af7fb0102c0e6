"""The groups of an account on the worker: their states, kept as dumps, and the conversations that show them.

UserGroups says which groups there are and what we are in each; a `GroupState` has the rest. A state in memory may be
ahead of the database only inside a transaction: who undoes one calls `evict`.
"""

from __future__ import annotations

from dataclasses import replace

from allium.client.configs.fields import truncated
from allium.client.configs.message import ConfigError
from allium.client.configs.user_groups import Group, Removed
from allium.client.credentials import Credentials, GroupAdminCredentials, GroupMemberCredentials
from allium.client.database.rows import ConversationKind
from allium.client.groups import joining
from allium.client.groups.identity import GroupIdentity
from allium.client.groups.keys import KeysError
from allium.client.groups.state import GroupState
from allium.client.messages import text
from allium.client.session import mirror
from allium.client.session.core import Work
from allium.client.session.events import GroupChanged

_REMOVED = "removed"


def entry(work: Work, group_id: str) -> Group | None:
    """What UserGroups has of a group; None if nothing, or for no group's id."""
    try:
        return work.configs.groups.group(group_id)
    except ValueError:
        return None


def credentials(work: Work, group_id: str) -> Credentials | None:
    """What our requests to a group's swarm are signed with; None if we are not in it, or were removed."""
    known = entry(work, group_id)
    found = joining.group_of(known) if known is not None and not known.removed else None
    if found is None:
        return None
    group, auth = found
    return GroupAdminCredentials(group) if auth is None else GroupMemberCredentials(work.account, group, auth)


class GroupStates:
    """The states of all groups, each loaded when it is asked for."""

    def __init__(self) -> None:
        self._states: dict[str, GroupState] = {}
        #: Another one when a group came, went, or is another's now.
        self.version = 0

    def joined(self, work: Work, group_id: str) -> GroupState:
        """A group that we are in; `ValueError` for any other."""
        known = entry(work, group_id)
        if known is None:
            raise ValueError("there is no such group")
        state = self.get(work, group_id)
        if state is None or known.removed or known.invited:
            raise ValueError("we are not in this group")
        return state

    def get(self, work: Work, group_id: str) -> GroupState | None:
        """A group as we have it, an admin's if we are one; None for a group that we do not know."""
        known = entry(work, group_id)
        if known is None:
            return None
        group_id = known.group_id
        state = self._states.get(group_id)
        if state is None:
            state = self._states[group_id] = self._loaded(work, group_id)
        if known.seed is not None and not state.is_admin and joining.group_of(known) is not None:
            state.promote(known.seed)
        state.profile = work.configs.shown_profile
        return state

    def reloaded(self, work: Work, group_id: str) -> GroupState:
        """A group as it was saved last."""
        self._states.pop(group_id, None)
        return self.joined(work, group_id)

    def _loaded(self, work: Work, group_id: str) -> GroupState:
        state = GroupState(work.account, GroupIdentity.parse(group_id))
        try:
            state.load(work.database.configs.of(group_id))
        except (KeysError, ConfigError):
            # The swarm has it all.
            work.database.cursors.forget(group_id)
            state = GroupState(work.account, GroupIdentity.parse(group_id))
        return state

    def add(self, work: Work, state: GroupState) -> None:
        """A new group."""
        self._states[state.group_id] = state
        self.save(work, state)

    def save(self, work: Work, state: GroupState) -> None:
        """Dumps what changed, in the transaction that changed it."""
        if state.needs_dump:
            for namespace, dump in state.dump().items():
                work.database.configs.set(state.group_id, namespace, dump)

    def forget(self, work: Work, group_id: str) -> None:
        """Begins anew: everything is fetched again, if we are in that group."""
        self._states.pop(group_id, None)
        work.database.configs.forget(group_id)
        work.database.cursors.forget(group_id)

    def evict(self) -> None:
        """A transaction was undone: what is in the database is true."""
        self._states.clear()
        self.version += 1


def put(work: Work, known: Group) -> None:
    """Writes an entry of UserGroups; a name that another client left too long is cut."""
    work.configs.groups.set_group(replace(known, name=truncated(known.name)))


def set_listed(work: Work, group_id: str, *, priority: int | None = None, muted_until: int | None = None) -> None:
    """How a group stands in the list on all our devices; `muted_until` is in Unix seconds."""
    known = entry(work, group_id)
    if known is None:
        return
    if priority is not None:
        known.priority = priority
    if muted_until is not None:
        known.muted_until = muted_until
    put(work, known)


def show(work: Work, states: GroupStates, known: Group) -> None:
    """The conversation of a group says what UserGroups says."""
    group_id = known.group_id
    states.version += 1
    conversation = work.database.conversations.ensure(group_id, ConversationKind.GROUP)
    if conversation.extra.get(_REMOVED) and not known.removed:
        # We were out, and are in again.
        states.forget(work, group_id)
    state = states.get(work, group_id)
    name = text.name(state.info.name if state is not None else "") or text.name(known.name)
    extra = {**conversation.extra, _REMOVED: int(known.removed), "invited": known.invited}
    work.database.conversations.update(
        group_id, name=name, priority=known.priority, muted_until=known.muted_until * 1000, extra=extra
    )


def enter(work: Work, states: GroupStates, known: Group) -> None:
    """We are in a group, or asked to be, as far as UserGroups goes."""
    put(work, known)
    mirror.conversation(work, known.group_id)
    show(work, states, known)
    work.tell(GroupChanged(known.group_id))


def leave(work: Work, states: GroupStates, group_id: str) -> None:
    """Nothing is left of a group, on all our devices."""
    states.version += 1
    work.configs.groups.erase_group(group_id)
    states.forget(work, group_id)
    work.database.conversations.remove(group_id)
    work.tell(GroupChanged(group_id))


def out(work: Work, states: GroupStates, group_id: str, why: Removed) -> None:
    """We are in a group no longer: it can be read and deleted. A group that was never accepted vanishes."""
    known = entry(work, group_id)
    if known is None:
        return
    if known.invited:
        leave(work, states, group_id)
        return
    known = replace(known, removed=why, seed=None, auth_data=None)
    put(work, known)
    show(work, states, known)
    work.tell(GroupChanged(group_id))


def mirror_all(work: Work, states: GroupStates) -> None:
    """Another device changed UserGroups: groups that it joined, left, was promoted in, pinned."""
    known = {each.group_id: each for each in work.configs.groups.groups()}
    for conversation in work.database.conversations.all():
        if conversation.kind is ConversationKind.GROUP and conversation.id not in known:
            leave(work, states, conversation.id)
    for each in known.values():
        before = work.database.conversations.get(each.group_id)
        mirror.conversation(work, each.group_id)
        show(work, states, each)
        if before != work.database.conversations.get(each.group_id):
            work.tell(GroupChanged(each.group_id))
