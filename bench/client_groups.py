"""What groups cost their members' devices: `python bench/client_groups.py`; one process, one core, no network.

* a group of as many members as there may be: made, given a new key, stored, read by a member;
* a poll of a group in which nothing happened, of 100 such groups, from the cursors to what is due;
* a poll that brings a text;
* what the process has resident after all that.
"""

from __future__ import annotations

import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from allium.client.account import Account
from allium.client.configs.user_groups import Group
from allium.client.database import Database
from allium.client.groups import letters, membership
from allium.client.groups.identity import MAX_MEMBERS
from allium.client.groups.membership import Invitee
from allium.client.groups.plan import Plan
from allium.client.groups.state import GroupState
from allium.client.messages.kinds import Text
from allium.client.polling import PollResult, Received
from allium.client.pool import Snode
from allium.client.session import group_inbound, group_states
from allium.client.session.core import Core, Work
from allium.client.session.group_states import GroupStates
from allium.client.swarm import message_hash

GROUPS, ROUNDS = 100, 20
NOW = 1_700_000_000_000
NODE = Snode("127.0.0.1", 1, b"\1" * 32, b"\2" * 32)


def milliseconds(action: Callable[[], object], rounds: int = ROUNDS) -> float:
    """The median of some rounds."""
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        action()
        took.append(time.perf_counter() - began)
    return statistics.median(took) * 1000


def person(number: int) -> Account:
    """The same in every run."""
    return Account(bytes([9]) + number.to_bytes(15, "big"))


def made(account: Account, number: int) -> tuple[GroupState, Plan]:
    """A full group, and what is stored of it."""
    invitees = [Invitee(person(each).account_id, f"Member {each}") for each in range(1, MAX_MEMBERS)]
    state, plan = membership.create(account, number.to_bytes(32, "big"), f"Group {number}", invitees, NOW)
    state.confirm(plan, [f"{number}-{each}" for each in range(len(plan.stores))])
    state.errands.clear()
    return state, plan


def received(state: GroupState, plan: Plan) -> tuple[Received, ...]:
    """What a poll brings of what a plan stored."""
    return tuple(
        Received(step.namespace, message_hash(state.group_id, step.namespace, step.data), step.data, NOW, 2 * NOW)
        for step in plan.stores
    )


def main() -> None:
    """Measures and prints."""
    alice = person(0)
    state, plan = made(alice, 1)
    print(f"a new group of {MAX_MEMBERS} members: {milliseconds(lambda: made(alice, 1), 5):.1f} ms")
    print(f"a new key for all of them: {milliseconds(state.rekey):.1f} ms")

    def pushed() -> None:
        state.rekey()
        state.confirm(again := state.push(NOW), [f"{time.time_ns()}-{each}" for each in range(len(again.stores))])

    print(f"the same with info and members written anew, and stored: {milliseconds(pushed):.1f} ms")
    bob, found = person(1), received(state, plan)
    print(f"a member reads it all: {milliseconds(lambda: GroupState(bob, state.group).merge(found)):.1f} ms")
    with (
        tempfile.TemporaryDirectory() as directory,
        Database.open(Path(directory) / "groups.db", bytes(32)) as database,
    ):
        sessions(Core(alice, database, lambda: NOW), alice)


def sessions(core: Core, alice: Account) -> None:
    """Polls, with a database."""
    states = GroupStates()

    def add(work: Work, state: GroupState) -> None:
        states.add(work, state)
        group_states.enter(work, states, Group(group_id=state.group_id, seed=state.group.seed, name="Group"))

    groups = [made(alice, number)[0] for number in range(1, GROUPS + 1)]
    for state in groups:
        core.run(add, state)

    def poll(state: GroupState, result: PollResult) -> None:
        core.run(lambda work: work.database.cursors.all(state.group_id))
        core.run(group_inbound.receive, states, state.group_id, result)
        core.run(lambda work: membership.due(states.joined(work, state.group_id), NOW))

    def idle() -> None:
        for state in groups:
            poll(state, PollResult((), {}, NODE, False, {}))

    print(f"a poll without news, of {GROUPS} groups of {MAX_MEMBERS}: {milliseconds(idle) / GROUPS:.2f} ms")
    texts = iter(range(ROUNDS))

    def busy() -> None:
        state = groups[0]
        plan = letters.send(state, Text("hello"), NOW + next(texts))
        poll(state, PollResult(received(state, plan), {11: "x"}, NODE, False, {}))

    print(f"a text written, and a poll that brings it: {milliseconds(busy):.1f} ms")
    print(f"resident: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB")


if __name__ == "__main__":
    main()
