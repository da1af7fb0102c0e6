"""Whatever strangers, members and even admins store for a group: nothing breaks, and what is good is read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from allium.client import bencode
from allium.client.account import Account
from allium.client.configs import codec, tree
from allium.client.configs.group_info import GroupInfo
from allium.client.configs.group_members import GroupMembers
from allium.client.configs.message import write
from allium.client.configs.user_groups import Group
from allium.client.database import Database
from allium.client.groups import envelope, letters, membership, subaccounts
from allium.client.groups.changes import GroupLetter
from allium.client.groups.envelope import GroupReceived
from allium.client.groups.identity import GroupIdentity
from allium.client.groups.membership import Invitee
from allium.client.groups.state import NAMESPACES, GroupState
from allium.client.messages.kinds import Letter, Text
from allium.client.polling import PollResult, Received
from allium.client.pool import Snode
from allium.client.session import Session, group_inbound, group_letters, group_states, group_view
from allium.client.session.core import Core, Work
from allium.client.session.group_states import GroupStates
from allium.client.swarm import message_hash
from tests.support.group_swarm import GroupSwarm, Message

ALICE, BOB, CAROL = (Account(bytes([each]) * 16) for each in range(3))
SEED = bytes(range(0x20, 0x40))
GROUP = GroupIdentity.of_seed(SEED)
IDS = [bytes.fromhex(each.account_id) for each in (ALICE, BOB, CAROL)]


@dataclass
class World:
    swarm: GroupSwarm
    alice: GroupState
    bob: GroupState


def made() -> World:
    swarm = GroupSwarm()
    alice, plan = membership.create(ALICE, SEED, "G", [Invitee(BOB.account_id)], swarm.tick())
    assert swarm.run(alice, plan)
    bob = GroupState(BOB, GroupIdentity(GROUP.public))
    bob.merge(swarm.seen(bob))
    return World(swarm, alice, bob)


keys = st.sampled_from([b"n", b"o", b"p", b"q", b"c", b"E", b"d", b"D", b"!", b"m", b"I", b"A", b"P", b"R", b"s", b"t"])
numbers: st.SearchStrategy[tree.Node] = st.sampled_from([0, 1, 2, 3, 9, -1, 1 << 62, -(1 << 63), (1 << 63) - 1])
nodes: st.SearchStrategy[tree.Node] = st.recursive(
    numbers | st.binary(min_size=1, max_size=150),
    lambda deeper: (
        st.dictionaries(keys | st.sampled_from(IDS) | st.binary(max_size=3), deeper, min_size=1, max_size=5)
        | st.sets(st.integers(0, 3) | st.binary(max_size=3), min_size=1, max_size=3)
    ),
    max_leaves=20,
)
entries = st.dictionaries(keys, numbers | nodes, min_size=1, max_size=6)
configs = st.dictionaries(keys, numbers | nodes, max_size=5) | st.fixed_dictionaries(
    {b"m": st.dictionaries(st.sampled_from(IDS) | st.binary(max_size=33), entries, min_size=1, max_size=3)}
)


@settings(max_examples=40)
@given(configs, configs, st.integers(1, 1 << 62))
@example({b"E": 1 << 62}, {b"m": {IDS[1]: {b"n": b"x" * 150, b"I": 1}}}, 7)
def test_whatever_an_admin_signs_is_read(info: tree.Data, members: tree.Data, seqno: int) -> None:
    world = made()
    stored = []
    for data, kind in ((info, GroupInfo), (members, GroupMembers)):
        diff = tree.difference({}, data)
        message = write(seqno, data, (), diff, {}, GROUP.sign)
        [payload] = codec.encode(message.encoded, world.alice.keys.keys[0], kind.DOMAIN)
        stored.append(Message(kind.NAMESPACE, f"{kind.NAMESPACE}", payload, 5))
    for state in (world.alice, world.bob):
        state.merge(stored)
        state.merge([*world.swarm.seen(state), *stored], complete=True)
        said = Letter(Text("hi"), 1_700_000_100_000)
        data_ = envelope.seal(BOB, state.group, state.keys.keys[0], said)
        state.merge([Message(11, "said", data_, 6), *stored])
        for _ in range(8):
            plan = membership.due(state, 7)
            if plan is None:
                break
            world.swarm.run(state, plan)
        group_view.of(Group(group_id=state.group_id), state, {})
        again = GroupState(state.account, state.group)
        again.load(state.dump())
        assert again.members.data == state.members.data
        if not state.is_expired:
            letters.send(state, Text("x"), 8)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.sampled_from(NAMESPACES), st.binary(max_size=200)), max_size=8))
def test_no_bytes_of_anybody_change_a_group(junk: list[tuple[int, bytes]]) -> None:
    world = made()
    before = world.alice.members.data, world.alice.info.data, world.alice.keys.keys
    stored = [Message(namespace, f"{number}", data, 5) for number, (namespace, data) in enumerate(junk)]
    for state in (world.alice, world.bob):
        changes = state.merge(stored)
        assert not changes.letters and not changes.kicked and not changes.destroyed
        assert len({*changes.refused, *changes.waiting}) >= sum(each.namespace != -11 for each in stored)
    assert (world.alice.members.data, world.alice.info.data, world.alice.keys.keys) == before


def test_what_waits_for_a_key_is_bounded() -> None:
    world = made()
    for start in range(0, 2_000, 500):
        world.bob.merge([Message(11, f"{number}", b"x" * 20_000, 5) for number in range(start, start + 500)])
    assert len(world.bob.dump()[11]) < 2_200_000


class Fault(Exception):
    """Something that nobody has thought of."""


@pytest.mark.parametrize("where", ["opening", "showing"])
def test_a_fault_of_ours_hides_one_message_and_no_other(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = made()
    states = GroupStates()
    with Database.open(tmp_path / "bob.db", bytes(32)) as database:
        core = Core(BOB, database, lambda: 1_700_000_200_000)
        key = world.bob.keys.keys[0]
        sent = [
            envelope.seal(ALICE, GROUP, key, Letter(Text(body), 1_700_000_100_000 + number))
            for number, body in enumerate(["one", "bad", "two"])
        ]
        auth = subaccounts.issue(GROUP, BOB.account_id).encoded()
        core.run(lambda work: group_states.enter(work, states, Group(group_id=GROUP.group_id, auth_data=auth)))
        stored = [
            *(Received(each.namespace, each.hash, each.data, each.timestamp, 1 << 41) for each in _configs(world)),
            *(Received(11, message_hash(GROUP.group_id, 11, data), data, 5, 1 << 41) for data in sent),
        ]
        if where == "opening":
            real = envelope.open_letter

            def opened(group: GroupIdentity, known: list[bytes], data: bytes) -> GroupReceived:
                if data == sent[1]:
                    raise Fault
                return real(group, known, data)

            monkeypatch.setattr(envelope, "open_letter", opened)
        else:
            shown = group_letters.take

            def take(work: Work, group_id: str, letter: GroupLetter, expiry: int) -> None:
                if letter.received.letter.message == Text("bad"):
                    raise Fault
                shown(work, group_id, letter, expiry)

            monkeypatch.setattr(group_letters, "take", take)
        node = Snode("127.0.0.1", 1, b"\1" * 32, b"\2" * 32)
        result = PollResult(tuple(stored), {11: stored[-1].hash}, node, False, {})
        core.run(group_inbound.receive, states, GROUP.group_id, result)
        assert [each.body for each in database.messages.page(GROUP.group_id)] == ["one", "two"]
        assert database.unreadable.total() == 1
        assert database.cursors.get(node.ed25519, GROUP.group_id) == {11: stored[-1].hash}
        state = core.run(lambda work: states.get(work, GROUP.group_id))
        assert state is not None and state.info.name == "G" and len(list(state.members)) == 2
        # It comes again from another node, and is no news.
        core.run(group_inbound.receive, states, GROUP.group_id, result)
        assert database.messages.count(GROUP.group_id) == 2


def _configs(world: World) -> list[Message]:
    return [each for each in world.swarm.messages.values() if each.namespace != 11]


def test_a_dump_is_no_dump_of_another_kind() -> None:
    world = made()
    state = GroupState(BOB, GROUP)
    state.load({11: bencode.encode({b"errands": [1], b"heard": 5, b"notices": {b"": 1}, b"waiting": [[1], b"x"]})})
    assert not state.errands and not state.heard and world.alice.errands


async def test_groups_of_before_are_shown_and_forgotten(tmp_path: Path) -> None:
    async with await Session.create(tmp_path / "alice.db", "Alice", seeds=["http://127.0.0.1:9"]) as session:
        entry: tree.Data = {b"n": b"Relic", b"m": {IDS[1]}, b"a": {IDS[0]}}
        await session.run(lambda work: work.configs.groups._set((b"C", IDS[2]), entry))
        [group] = await session.groups.legacy()
        assert (group.group_id, group.name, group.members) == (CAROL.account_id, "Relic", frozenset({BOB.account_id}))
        assert await session.groups.all() == []
        assert await session.groups.forget_legacy(group.group_id)
        assert await session.groups.legacy() == [] and not await session.groups.forget_legacy(group.group_id)
