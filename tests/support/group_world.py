"""A group in memory: its admin, its members' devices, and a swarm that does what they plan."""

from __future__ import annotations

from allium.client.account import Account
from allium.client.groups import joining, letters, membership, subaccounts
from allium.client.groups.changes import GroupChanges
from allium.client.groups.membership import Invitee
from allium.client.groups.plan import StoreStep
from allium.client.groups.state import GroupState
from allium.client.messages import updates
from allium.client.messages.kinds import GroupUpdateMessage, Text
from tests.support.group_swarm import GroupSwarm

ALICE, BOB, CAROL, EVE = (Account(bytes([each]) * 16) for each in range(4))
SEED = bytes(range(0x20, 0x40))


class World:
    """A group with Alice as its admin, and the devices that others have of it."""

    def __init__(self, *members: Account) -> None:
        self.swarm = GroupSwarm()
        self.alice, plan = membership.create(
            ALICE, SEED, "Group", [Invitee(each.account_id, "M") for each in members], self.swarm.tick(), own_name="Al"
        )
        self.created = plan
        assert self.swarm.run(self.alice, plan)
        self.states = [self.joined(each) for each in members]
        self.settle()

    def joined(self, account: Account) -> GroupState:
        """The device of an account that got its invitation, and accepts."""
        letter = letters.errand(self.alice, account.account_id, self.swarm.tick())
        self.alice.told(account.account_id, done=True)
        assert isinstance(letter.message, GroupUpdateMessage)
        assert isinstance(letter.message.update, updates.Invite)
        entry = joining.invited(account, letter.message.update, letter.timestamp, None, approved=True)
        found = joining.group_of(entry)
        assert found is not None and found[1] is not None and not entry.invited
        self.swarm.tokens[account.account_id] = subaccounts.token(self.alice.group, account.account_id)
        state = GroupState(account, found[0])
        state.merge(self.swarm.seen(state))
        assert self.swarm.run(state, membership.respond(state, self.swarm.tick()))
        return state

    def poll(self, state: GroupState) -> GroupChanges:
        changes = state.merge(self.swarm.seen(state))
        for _ in range(6):
            plan = membership.due(state, self.swarm.tick())
            if plan is None:
                return changes
            assert self.swarm.run(state, plan)
        raise AssertionError("there is always something left to do")

    def settle(self) -> None:
        for _ in range(2):
            for state in (self.alice, *self.states):
                self.poll(state)


def ids(*accounts: Account) -> list[str]:
    return sorted(each.account_id for each in accounts)


def names(state: GroupState) -> list[str]:
    return [each.account_id for each in state.members]


def kinds(steps: tuple[object, ...]) -> list[object]:
    return [step.namespace if isinstance(step, StoreStep) else type(step).__name__ for step in steps]


def texts(changes: GroupChanges) -> list[str]:
    found = [each.received.letter.message for each in changes.letters]
    return [each.body for each in found if isinstance(each, Text)]


def told(changes: GroupChanges) -> list[updates.GroupUpdate]:
    found = [each.received.letter.message for each in changes.letters]
    return [each.update for each in found if isinstance(each, GroupUpdateMessage)]
