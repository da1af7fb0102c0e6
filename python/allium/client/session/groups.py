"""The groups of a session: made, joined, changed, left, and polled (`spec/groups` §7)."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from allium.client.configs.fields import Picture
from allium.client.configs.user_groups import Group, LegacyGroup
from allium.client.credentials import Credentials, GroupAdminCredentials
from allium.client.crypto import SEED_BYTES
from allium.client.database.rows import Message, OutboxState
from allium.client.errors import NetworkError, RefusedError
from allium.client.groups import flows, membership
from allium.client.groups.membership import Invitee
from allium.client.groups.plan import Plan
from allium.client.groups.state import GroupState
from allium.client.messages.direct import Received as Opened
from allium.client.messages.kinds import Letter
from allium.client.network import Network
from allium.client.polling import Received
from allium.client.session import group_joining, group_states, group_steps, group_view, people
from allium.client.session.core import Core, Work
from allium.client.session.group_poll import GroupPoll
from allium.client.session.group_runner import GroupRunner
from allium.client.session.group_view import GroupView
from allium.client.session.worker import Worker

#: An action on a state: (state, now in Unix milliseconds) -> what to do.
Action = Callable[[GroupState, int], Plan]


class Groups:
    """All groups of an account.

    Actions raise `ValueError` for what cannot be, `NetworkError` or `RefusedError` if the group's swarm did not do it;
    of what was changed all the same, nothing is lost then: it is stored with the next `sync`.
    """

    def __init__(self, core: Core, worker: Worker, network: Network) -> None:
        self._network = network
        self._runner = GroupRunner(core, worker, network)
        self._states = self._runner.states
        self._polls: dict[str, GroupPoll] = {}
        self._polled = -1
        #: Called when there is a group that was not polled before.
        self.on_joined: Callable[[], None] = lambda: None

    # --- what there is

    async def all(self) -> list[GroupView]:
        """Every group, also those that wait for us to accept, and those that we were removed from."""
        return await self._runner.run(lambda work: [self._view(work, each) for each in work.configs.groups.groups()])

    async def get(self, group_id: str) -> GroupView | None:
        """A group; None if there is none of this id, or none any more."""

        def found(work: Work) -> GroupView | None:
            known = group_states.entry(work, group_id)
            return None if known is None else self._view(work, known)

        return await self._runner.run(found)

    async def _shown(self, group_id: str) -> GroupView:
        return await self._runner.run(lambda work: self._view(work, self._known(work, group_id)))

    def _view(self, work: Work, known: Group) -> GroupView:
        state = self._states.get(work, known.group_id)
        names = {work.own_id: work.configs.profile.name}
        for member in state.members if state is not None else ():
            contact = people.contact_of(work, member.account_id)
            profile = work.database.profiles.get(member.account_id)
            name = contact.shown_name if contact is not None else ""
            if name := name or (profile.name if profile is not None else ""):
                names[member.account_id] = name
        return group_view.of(known, state, names)

    def _known(self, work: Work, group_id: str) -> Group:
        known = group_states.entry(work, group_id)
        if known is None:
            raise ValueError("there is no such group")
        return known

    async def legacy(self) -> list[LegacyGroup]:
        """Groups of before, which nobody can write to any more: a list of names, kept for whoever wants to see it."""
        return await self._runner.run(lambda work: list(work.configs.groups.legacy_groups()))

    async def forget_legacy(self, group_id: str) -> bool:
        """Takes one of them off the list, on all our devices; whether it was there."""
        return await self._runner.run(lambda work: work.configs.groups.erase_legacy_group(group_id))

    # --- coming and going

    async def create(self, name: str, members: Iterable[str] = (), *, description: str = "") -> GroupView:
        """A new group with these Account IDs, who are invited. It exists once this returns."""
        invited = list(members)

        def begin(work: Work) -> tuple[GroupState, Plan]:
            state, plan = membership.create(
                work.account,
                secrets.token_bytes(SEED_BYTES),
                name,
                [_invitee(work, each) for each in invited],
                work.now,
                own_name=work.configs.profile.name,
                description=description,
            )
            return state, plan

        state, plan = await self._runner.run(begin)
        hashes = await group_steps.run(self._network, GroupAdminCredentials(state.group), plan)

        def end(work: Work) -> None:
            state.confirm(plan, hashes or [])
            self._states.add(work, state)
            entry = Group(group_id=state.group_id, seed=state.group.seed, name=name, joined=work.seconds)
            group_states.enter(work, self._states, entry)

        await self._runner.run(end)
        await self._runner.settle(state.group_id)
        return await self._shown(state.group_id)

    async def accept(self, group_id: str) -> GroupView:
        """Accepts an invitation; the admins hear of it as soon as the group's keys are known."""

        def accepted(work: Work) -> None:
            known = self._known(work, group_id)
            if known.invited:
                group_states.enter(work, self._states, replace(known, invited=False))
                group_joining.respond(work, self._states, known.group_id)

        await self._runner.run(accepted)
        self.on_joined()
        return await self._shown(group_id)

    async def decline(self, group_id: str) -> None:
        """Refuses an invitation; nobody is told."""

        def declined(work: Work) -> None:
            known = self._known(work, group_id)
            if not known.invited:
                raise ValueError("this group was accepted: leave it")
            group_states.leave(work, self._states, known.group_id)

        await self._runner.run(declined)

    async def invite(self, group_id: str, members: Iterable[str], *, history: bool = False) -> None:
        """Invites accounts; with `history` they can read what was written before."""
        invited = list(members)

        def plan(work: Work, state: GroupState) -> Plan:
            return membership.invite(state, [_invitee(work, each) for each in invited], work.now, history=history)

        await self._runner.act(group_id, plan)

    async def resend(self, group_id: str, member: str) -> None:
        """Invites, or promotes, once more who has not accepted."""
        await self._runner.act(group_id, lambda work, state: membership.resend(state, member, work.now))

    async def promote(self, group_id: str, members: Iterable[str]) -> None:
        """Makes admins of members. Nobody can undo it."""
        promoted = list(members)
        await self._runner.act(group_id, lambda work, state: membership.promote(state, promoted, work.now))

    async def remove(self, group_id: str, members: Iterable[str], *, messages: bool = False) -> None:
        """Removes members, with `messages` also all that they wrote."""
        removed = list(members)
        await self._runner.act(
            group_id, lambda work, state: membership.remove(state, removed, work.now, messages=messages)
        )

    async def leave(self, group_id: str) -> None:
        """Leaves a group, or forgets one that we are out of. `ValueError` for its last admin, who can only end it."""
        await self._go(group_id, membership.leave)

    async def destroy(self, group_id: str) -> None:
        """Ends a group, for all its members and for good."""
        await self._go(group_id, membership.destroy)

    async def _go(self, group_id: str, action: Action) -> None:
        known = await self._runner.run(self._known, group_id)
        if not known.removed and not known.invited:
            await self._runner.act(group_id, lambda work, state: action(state, work.now), settle=False)
        await self._runner.run(group_states.leave, self._states, known.group_id)

    # --- changing it

    async def rename(self, group_id: str, name: str) -> None:
        """1 to 100 bytes of UTF-8."""
        await self._runner.act(group_id, lambda work, state: flows.rename(state, name, work.now))

    async def set_description(self, group_id: str, description: str) -> None:
        """At most 600 bytes."""
        await self._runner.act(group_id, lambda work, state: flows.describe(state, description, work.now))

    async def set_picture(self, group_id: str, picture: Picture | None) -> None:
        """A picture that was uploaded, or none."""
        await self._runner.act(group_id, lambda work, state: flows.set_picture(state, picture, work.now))

    async def set_timer(self, group_id: str, seconds: int) -> None:
        """After how many seconds messages disappear; 0 never."""
        await self._runner.act(group_id, lambda work, state: flows.set_timer(state, seconds, work.now))

    async def clear(self, group_id: str) -> None:
        """Deletes all messages, for everybody."""
        await self._runner.act(group_id, lambda work, state: flows.clear(state, work.now))
        await self._runner.run(lambda work: work.database.messages.clear(group_id.lower(), before=work.now))

    async def delete_messages(self, group_id: str, messages: Iterable[Message]) -> None:
        """Deletes messages for everybody: an admin any, others their own."""
        chosen = list(messages)

        def plan(work: Work, state: GroupState) -> Plan:
            if not state.is_admin and any(each.sender != work.own_id for each in chosen):
                raise ValueError("only an admin can delete what others wrote")
            for item in (item for each in chosen for item in work.database.outbox.of(each.id)):
                # What was not sent yet is not sent at all.
                if item.state in (OutboxState.QUEUED, OutboxState.FAILED):
                    work.database.outbox.remove(item.id)
            hashes = [each.hash for each in chosen if each.hash and each.conversation == state.group_id]
            if not hashes:
                raise ValueError("there is nothing in the group to delete")
            return flows.delete_messages(state, hashes, work.now)

        await self._runner.act(group_id, plan)

    # --- what the session asks for

    async def handlers(self) -> Sequence[GroupPoll]:
        """The groups to be polled: neither pending nor left."""
        if self._polled != self._states.version:
            version = self._states.version
            wanted = await self._runner.run(self._wanted)
            self._polls = {
                group_id: self._polls.get(group_id) or GroupPoll(self._runner, group_id, credentials, active)
                for group_id, (credentials, active) in wanted.items()
            }
            for group_id, (credentials, _) in wanted.items():
                self._polls[group_id].credentials = credentials
            self._polled = version
        return list(self._polls.values())

    def _wanted(self, work: Work) -> dict[str, tuple[Credentials, int]]:
        found: dict[str, tuple[Credentials, int]] = {}
        for known in work.configs.groups.groups():
            credentials = None if known.invited else group_states.credentials(work, known.group_id)
            if credentials is not None:
                conversation = work.database.conversations.get(known.group_id)
                # One that is new is polled as often as one that is talked in.
                active = max(conversation.last_activity if conversation else 0, known.joined * 1000)
                found[known.group_id] = credentials, active
        return found

    def letter(self, work: Work, stored: Received, opened: Opened) -> None:
        """An invitation or promotion came to the account."""
        group_joining.take(work, self._states, stored, opened)

    def configured(self, work: Work) -> None:
        """UserGroups was merged with what another device wrote."""
        group_states.mirror_all(work, self._states)

    def queue(self, work: Work, group_id: str, letter: Letter, message: int | None) -> None:
        """Puts a letter to a group into the outbox; `ValueError` says why it cannot be sent."""
        group_joining.queue(work, self._states, group_id, letter, message)

    def credentials(self, work: Work, group_id: str) -> Credentials | None:
        """What an item of the outbox is stored with; None if we are no longer in that group."""
        return group_states.credentials(work, group_id)

    async def push(self) -> None:
        """Stores what of the groups is not in their swarms yet, and tells whom is to be told."""
        failure: NetworkError | None = None
        for poll in await self.handlers():
            try:
                await self._runner.settle(poll.group_id)
            except NetworkError as error:
                failure = error
            except RefusedError:
                # We were removed; the notice tells so.
                continue
        if failure is not None:
            raise failure

    async def close(self) -> None:
        """Nothing: what is not stored yet is in the database."""


def _invitee(work: Work, account_id: str) -> Invitee:
    contact = people.contact_of(work, account_id)
    if contact is None:
        return Invitee(account_id)
    return Invitee(account_id, contact.name, contact.picture)
