"""Admins and members of a group, in any order and with any loss, come to the same group (`spec/groups` §2, §7)."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from allium.client.account import Account
from allium.client.configs.message import ConfigError
from allium.client.groups import flows, letters, membership, subaccounts
from allium.client.groups.identity import GroupIdentity
from allium.client.groups.membership import Invitee
from allium.client.groups.plan import Plan
from allium.client.groups.state import GroupState
from allium.client.messages.kinds import Text
from tests.support.group_swarm import GroupSwarm, Refused

ADMINS = [Account(bytes([each]) * 16) for each in range(2)]
PEOPLE = [Account(bytes([each]) * 16) for each in range(10, 14)]
SEED = bytes(range(0x20, 0x40))
GROUP = GroupIdentity.of_seed(SEED)
OPEN = GroupIdentity(GROUP.public)


class World:
    """Three devices of two admins, and one of each other person."""

    def __init__(self) -> None:
        self.swarm = GroupSwarm(tokens={each.account_id: subaccounts.token(GROUP, each.account_id) for each in PEOPLE})
        first, plan = membership.create(
            ADMINS[0], SEED, "G", [Invitee(PEOPLE[0].account_id), Invitee(ADMINS[1].account_id)], self.swarm.tick()
        )
        assert self.swarm.run(first, plan)
        assert self.swarm.run(first, membership.promote(first, [ADMINS[1].account_id], self.swarm.tick()))
        self.admins = [first, GroupState(ADMINS[0], GROUP), GroupState(ADMINS[1], GROUP)]
        self.members = [GroupState(each, OPEN) for each in PEOPLE]

    def act(self, admin: int, what: int, who: int, fail_at: int | None, answered: bool, polled: bool) -> None:
        state, person, now = self.admins[admin], PEOPLE[who].account_id, self.swarm.tick()
        try:
            plan: Plan | None = None
            match what:
                case 0 | 1:
                    plan = membership.invite(state, [Invitee(person)], now, history=bool(what))
                case 2 | 3:
                    plan = membership.remove(state, [person], now, messages=what == 3)
                case 4:
                    plan = flows.rename(state, f"name {who}", now)
                case 5:
                    plan = flows.set_timer(state, who, now)
                case 6:
                    plan = membership.due(state, now)
                case _:
                    plan = membership.resend(state, person, now)
        except (ValueError, ConfigError):
            return
        if plan is not None:
            self.swarm.run(
                state,
                plan,
                fail_at=fail_at,
                answered=answered,
                meanwhile=lambda: self.poll(state) if polled else None,
            )

    def speak(self, who: int, leaving: bool) -> None:
        state, now = self.members[who], self.swarm.tick()
        if not state.is_expired:
            plan = membership.leave(state, now) if leaving else letters.send(state, Text("x"), now)
            try:
                self.swarm.run(state, plan)
            except Refused:
                return

    def poll(self, state: GroupState, loss: random.Random | None = None) -> None:
        state.merge(self.swarm.seen(state, loss), complete=loss is None)

    def settle(self, state: GroupState) -> None:
        self.poll(state)
        state.lost([each for each in state.active_hashes if each not in self.swarm.messages])
        for _ in range(6):
            if (plan := membership.due(state, self.swarm.tick())) is None:
                return
            assert self.swarm.run(state, plan)
        raise AssertionError("there is always something left to do")


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("act"),
            st.integers(0, 2),
            st.integers(0, 7),
            st.integers(0, 3),
            st.none() | st.integers(0, 5),
            st.booleans(),
            st.booleans(),
        ),
        st.tuples(st.just("poll"), st.integers(0, 2), st.randoms(use_true_random=False)),
        st.tuples(st.just("full"), st.integers(0, 2)),
        st.tuples(st.just("hear"), st.integers(0, 3), st.randoms(use_true_random=False)),
        st.tuples(st.just("speak"), st.integers(0, 3), st.booleans()),
        st.tuples(st.just("restart"), st.integers(0, 2)),
        st.tuples(st.just("lose"), st.integers(0, 50)),
    ),
    max_size=25,
)


@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_everybody_agrees_in_the_end(steps: list[tuple[object, ...]]) -> None:
    world = World()
    for step in steps:
        match step:
            case ("act", int(admin), int(what), int(who), fail_at, bool(answered), bool(polled)):
                world.act(admin, what, who, fail_at if isinstance(fail_at, int) else None, answered, polled)
            case ("poll", int(admin), random.Random() as loss):
                world.poll(world.admins[admin], loss)
            case ("full", int(admin)):
                world.settle(world.admins[admin])
            case ("hear", int(who), random.Random() as loss):
                world.poll(world.members[who], loss)
            case ("speak", int(who), bool(leaving)):
                world.speak(who, leaving)
            case ("restart", int(admin)):
                old = world.admins[admin]
                world.admins[admin] = GroupState(old.account, GROUP)
                world.admins[admin].load(old.dump())
            case ("lose", int(index)) if world.swarm.messages:
                configs = [name for name, each in world.swarm.messages.items() if each.namespace in (12, 13, 14)]
                if len(configs) > 1:
                    world.swarm.messages.pop(configs[index % len(configs)])
    for _ in range(8):
        for state in world.admins:
            world.settle(state)
    [first, *others] = world.admins
    assert all(each.info.data == first.info.data for each in others)
    assert all(each.members.data == first.members.data for each in others)
    assert all(each.keys.keys[0] == first.keys.keys[0] for each in others)
    assert all(membership.due(each, world.swarm.tick()) is None for each in world.admins)
    everyone = [each.account_id for each in first.members]
    assert first.keys.is_for(everyone) and not first.removals
    stored = list(world.swarm.messages.values())
    for person in PEOPLE:
        # Whatever it may have kept of before, and even if the swarm gave it all there is.
        fresh = GroupState(person, OPEN)
        fresh.merge(stored)
        if person.account_id in everyone:
            assert (fresh.info.data, fresh.members.data) == (first.info.data, first.members.data)
            assert world.swarm.tokens[person.account_id] not in world.swarm.revoked
            assert not fresh.merge(stored).kicked
        else:
            assert first.keys.keys[0] not in fresh.keys.keys
