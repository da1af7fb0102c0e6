"""A group between its admins and members, step by step and without a network (`spec/groups` §6, §7)."""

from __future__ import annotations

import pytest

from allium.client import bencode
from allium.client.account import Account
from allium.client.configs.fields import Picture
from allium.client.configs.group_members import Removal, Step
from allium.client.configs.user_groups import Group, Removed
from allium.client.groups import envelope, flows, joining, letters, membership, subaccounts
from allium.client.groups.identity import GroupIdentity
from allium.client.groups.membership import Invitee
from allium.client.groups.plan import DeleteAllStep, DeleteStep, RevokeStep, UnrevokeStep
from allium.client.groups.state import Errand, GroupState
from allium.client.messages import updates
from allium.client.messages.decoding import MessageError
from allium.client.messages.kinds import GroupUpdateMessage, Letter, Profile, Text
from allium.client.messages.updates import MemberKind
from tests.support.group_swarm import GroupSwarm, Message
from tests.support.group_world import ALICE, BOB, CAROL, EVE, SEED, World, ids, kinds, names, texts, told


def test_a_new_group_has_keys_before_info_before_members() -> None:
    world = World(BOB, CAROL)
    assert kinds(world.created.steps) == [12, 13, 14]
    assert [step.ttl for step in world.created.stores] == [30 * 86_400_000] * 3
    [bob, carol] = world.states
    for state in (world.alice, bob, carol):
        assert state.info.name == "Group" and state.info.created == 1_700_000_001
        assert names(state) == ids(ALICE, BOB, CAROL)
        assert {each.account_id: each.state for each in state.members} == {
            ALICE.account_id: "admin",
            BOB.account_id: "member",
            CAROL.account_id: "member",
        }
        assert state.keys.generation == 0 and not state.is_expired
        assert state.keys.keys == world.alice.keys.keys
    assert not world.alice.errands and world.alice.is_admin and not bob.is_admin
    assert len(world.alice.active_hashes) == 3
    assert sorted(world.swarm.messages) != world.alice.active_hashes  # there are letters too


def test_an_invitation_that_did_not_go_is_said_to_have_failed_and_sent_again() -> None:
    swarm = GroupSwarm()
    alice, plan = membership.create(ALICE, SEED, "G", [Invitee(BOB.account_id)], swarm.tick())
    assert swarm.run(alice, plan)
    bob = alice.members.get(BOB.account_id)
    assert bob is not None and bob.state == "invitation not sent" and alice.errands == {BOB.account_id: Errand.INVITE}
    alice.told(BOB.account_id, done=False)
    bob = alice.members.get(BOB.account_id)
    assert bob is not None and bob.state == "invitation failed" and alice.needs_push
    again = membership.resend(alice, BOB.account_id.upper().replace("05", "05"), swarm.tick())
    assert kinds(again.steps) == [14, "DeleteStep", "UnrevokeStep"]
    assert swarm.run(alice, again) and alice.errands == {BOB.account_id: Errand.INVITE}
    alice.told(BOB.account_id, done=True)
    bob = alice.members.get(BOB.account_id)
    assert bob is not None and bob.state == "invitation sent"


def test_a_member_whose_name_nobody_knew_says_it() -> None:
    swarm = GroupSwarm()
    alice, plan = membership.create(ALICE, SEED, "G", [Invitee(BOB.account_id)], swarm.tick())
    assert swarm.run(alice, plan)
    bob = GroupState(BOB, GroupIdentity(alice.group.public))
    bob.profile = Profile("Bob\u202e" + "b" * 200)
    bob.merge(swarm.seen(bob))
    assert swarm.run(bob, membership.respond(bob, swarm.tick()))
    alice.merge(swarm.seen(alice))
    member = alice.members.get(BOB.account_id)
    assert member is not None and member.state == "member" and member.name == "Bob" + "b" * 97


def test_messages_are_read_by_all_under_the_groups_timer() -> None:
    world = World(BOB)
    [bob] = world.states
    world.swarm.run(world.alice, flows.set_timer(world.alice, 60, world.swarm.tick()))
    changes = world.poll(bob)
    assert changes.info and bob.info.timer == 60
    [*_, change] = told(changes)
    assert isinstance(change, updates.InfoChange) and change.timer == 60
    plan = letters.send(bob, Text("hello"), world.swarm.tick())
    [step] = plan.stores
    assert (step.namespace, step.ttl) == (11, 60_000)
    world.swarm.run(bob, plan)
    changes = world.poll(world.alice)
    assert texts(changes) == ["hello"]
    assert changes.letters[-1].received.sender == BOB.account_id
    assert changes.letters[-1].hash in world.swarm.messages
    with pytest.raises(ValueError, match="no key"):
        letters.send(GroupState(EVE, bob.group), Text("x"), 1)
    with pytest.raises(ValueError, match="2000 characters"):
        letters.send(bob, Text("x" * 2_001), 1)


@pytest.mark.parametrize("history", [True, False])
def test_invite_later_with_history_or_without(history: bool) -> None:
    world = World(BOB)
    world.swarm.run(world.alice, letters.send(world.alice, Text("before"), world.swarm.tick()))
    plan = membership.invite(world.alice, [Invitee(CAROL.account_id, "Carol")], world.swarm.tick(), history=history)
    assert kinds(plan.steps) == [*([12] if history else []), 12, 13, 14, 11, "DeleteStep", "UnrevokeStep"]
    if history:
        assert b"+" in bencode.decode_dict(plan.stores[0].data)
        assert (member := world.alice.members.get(CAROL.account_id)) is not None and member.supplement
    world.swarm.run(world.alice, plan)
    assert world.alice.keys.generation == 1
    world.swarm.run(world.alice, letters.send(world.alice, Text("after"), world.swarm.tick()))
    carol = world.joined(CAROL)
    fresh = GroupState(CAROL, carol.group)
    assert texts(fresh.merge(world.swarm.seen(fresh))) == (["before", "after"] if history else ["after"])
    changes = world.poll(world.states[0])
    assert updates.MemberChange(MemberKind.ADDED, (CAROL.account_id,), history) in [
        updates.MemberChange(each.kind, each.members, each.history_shared)
        for each in told(changes)
        if isinstance(each, updates.MemberChange)
    ]
    assert changes.members and "after" in texts(changes)
    world.settle()
    assert (member := world.alice.members.get(CAROL.account_id)) is not None
    assert (member.state, member.supplement) == ("member", False)
    with pytest.raises(ValueError, match="member already"):
        membership.invite(world.alice, [Invitee(CAROL.account_id)], 1)


def test_some_are_invited_with_history_and_some_without_in_one_push() -> None:
    world = World(BOB)
    world.swarm.run(world.alice, letters.send(world.alice, Text("before"), world.swarm.tick()))
    informed = [Invitee(EVE.account_id.upper()), Invitee(EVE.account_id)]
    plan = membership.invite(world.alice, [Invitee(CAROL.account_id)], world.swarm.tick(), with_history=informed)
    assert kinds(plan.steps) == [12, 12, 13, 14, 11, 11, "DeleteStep", "UnrevokeStep"]
    world.swarm.run(world.alice, plan)
    assert world.alice.keys.generation == 1
    for account, expected in ((CAROL, []), (EVE, ["before"])):
        fresh = GroupState(account, world.joined(account).group)
        assert texts(fresh.merge(world.swarm.seen(fresh))) == expected
    changes = [each for each in told(world.poll(world.states[0])) if isinstance(each, updates.MemberChange)]
    added = [(each.members, each.history_shared) for each in changes if each.kind is MemberKind.ADDED]
    assert added[-2:] == [((CAROL.account_id,), False), ((EVE.account_id,), True)]


def test_who_is_promoted_is_an_admin_and_says_so() -> None:
    world = World(BOB, CAROL)
    [bob, carol] = world.states
    plan = membership.promote(world.alice, [BOB.account_id], world.swarm.tick())
    assert kinds(plan.steps) == [14, 11, "DeleteStep"]
    world.swarm.run(world.alice, plan)
    world.poll(carol)
    assert (member := carol.members.get(BOB.account_id)) is not None and member.state == "promotion not sent"
    letter = letters.errand(world.alice, BOB.account_id, world.swarm.tick())
    assert isinstance(letter.message, GroupUpdateMessage) and isinstance(letter.message.update, updates.Promote)
    world.alice.told(BOB.account_id, done=True)
    entry = joining.promoted(letter.message.update, letter.timestamp, None, approved=False)
    assert entry.invited and entry.seed == SEED and entry.group_id == world.alice.group_id
    bob.promote(letter.message.update.seed)
    world.settle()
    assert (member := world.alice.members.get(BOB.account_id)) is not None and member.state == "admin"
    assert world.alice.other_admins == [BOB.account_id]
    # It can do now what Alice can.
    world.swarm.run(bob, flows.rename(bob, "Bob's", world.swarm.tick()))
    world.settle()
    assert world.alice.info.name == carol.info.name == "Bob's"
    with pytest.raises(ValueError, match="is an admin"):
        membership.promote(world.alice, [BOB.account_id], 1)
    with pytest.raises(ValueError, match="cannot be removed"):
        membership.remove(world.alice, [BOB.account_id], 1)
    with pytest.raises(ValueError, match="another group"):
        carol.promote(b"\7" * 32)


@pytest.mark.parametrize("messages", [True, False])
def test_who_is_removed_hears_it_and_reads_no_more(messages: bool) -> None:
    world = World(BOB, CAROL)
    [bob, carol] = world.states
    world.swarm.run(bob, letters.send(bob, Text("rude"), world.swarm.tick()))
    world.settle()
    plan = membership.remove(world.alice, [BOB.account_id], world.swarm.tick(), messages=messages)
    assert kinds(plan.steps) == [14, 11, "DeleteStep"]
    world.swarm.run(world.alice, plan)
    plan = membership.due(world.alice, world.swarm.tick()) or pytest.fail("nothing is due")
    assert kinds(plan.steps) == [-11, "RevokeStep", *([11] if messages else [])]
    assert plan.steps[1] == RevokeStep((subaccounts.token(world.alice.group, BOB.account_id),))
    world.swarm.run(world.alice, plan)
    assert names(world.alice) == ids(ALICE, CAROL)
    plan = membership.due(world.alice, world.swarm.tick()) or pytest.fail("nothing is due")
    assert kinds(plan.steps) == [12, 13, 14, "DeleteStep"] and world.alice.keys.generation == 1
    world.swarm.run(world.alice, plan)
    assert membership.due(world.alice, world.swarm.tick()) is None
    # Of the swarm, Bob gets the notice alone.
    assert {each.namespace for each in world.swarm.seen(bob)} == {-11}
    assert bob.merge(world.swarm.seen(bob)).kicked
    changes = world.poll(carol)
    assert not changes.kicked and names(carol) == ids(ALICE, CAROL) and carol.keys.generation == 1
    deletions = [(each.by_admin, each.members) for each in changes.deletions]
    assert deletions == ([(True, (BOB.account_id,))] if messages else [])
    # What is written now, he could not open even if he had it.
    world.swarm.run(carol, letters.send(carol, Text("gone"), world.swarm.tick()))
    last = list(world.swarm.messages.values())[-1]
    assert bob.merge([last]).waiting == [last.hash]
    # Invited again, he is a member as before.
    plan = membership.invite(world.alice, [Invitee(BOB.account_id)], world.swarm.tick())
    assert any(isinstance(step, UnrevokeStep) for step in plan.steps)
    world.swarm.run(world.alice, plan)
    again = world.joined(BOB)
    assert not again.merge(world.swarm.seen(again)).kicked and names(again) == ids(ALICE, BOB, CAROL)


def test_a_notice_before_any_key_waits_for_one() -> None:
    world = World(BOB)
    world.swarm.run(world.alice, membership.remove(world.alice, [BOB.account_id], world.swarm.tick()))
    world.poll(world.alice)
    world.swarm.run(world.alice, membership.invite(world.alice, [Invitee(BOB.account_id)], world.swarm.tick()))
    again = GroupState(BOB, world.states[0].group)
    old = [each for each in world.swarm.messages.values() if each.namespace == -11]
    assert len(old) == 1 and not again.merge(old, complete=False).kicked
    restarted = GroupState(BOB, again.group)
    restarted.load(again.dump())
    rest = [each for each in world.swarm.seen(restarted) if each.namespace != -11]
    assert not restarted.merge(rest).kicked and restarted.keys.generation == 2


def test_who_leaves_is_removed_by_an_admin() -> None:
    world = World(BOB, CAROL)
    [bob, carol] = world.states
    world.swarm.run(world.alice, flows.set_timer(world.alice, 60, world.swarm.tick()))
    world.settle()
    plan = membership.leave(bob, world.swarm.tick())
    assert kinds(plan.steps) == [11, 11] and plan.may_be_refused
    assert [step.ttl for step in plan.stores] == [60_000, 14 * 86_400_000]
    assert plan.stores[1].timestamp == plan.stores[0].timestamp + 1
    world.swarm.run(bob, plan)
    world.poll(world.alice)
    world.settle()
    assert names(carol) == names(world.alice) == ids(ALICE, CAROL)
    assert (world.alice.keys.generation, carol.keys.generation) == (1, 1)
    with pytest.raises(ValueError, match="last admin"):
        membership.leave(world.alice, 1)
    # He comes back, and a new device of the admin's, which sees all of it at once, lets him stay.
    world.swarm.run(world.alice, membership.invite(world.alice, [Invitee(BOB.account_id)], world.swarm.tick()))
    world.joined(BOB)
    fresh = GroupState(ALICE, world.alice.group)
    world.poll(fresh)
    world.settle()
    assert names(fresh) == names(world.alice) == ids(ALICE, BOB, CAROL)


def test_an_admin_who_leaves_is_removed_by_another() -> None:
    world = World(BOB)
    [bob] = world.states
    bob.promote(SEED)
    world.settle()
    assert world.alice.other_admins == [BOB.account_id]
    world.swarm.run(world.alice, membership.leave(world.alice, world.swarm.tick()))
    world.poll(world.alice)
    assert names(world.alice) == ids(ALICE, BOB), "nobody removes itself"
    world.poll(bob)
    assert names(bob) == ids(BOB) and bob.keys.generation == 1
    # Who has the seed cannot be kept from reading; what its devices do with the group, UserGroups tells them.
    world.poll(world.alice)
    assert world.alice.own is None and membership.due(world.alice, 1) is None and names(bob) == ids(BOB)


def test_the_last_admin_ends_the_group_and_all_see_it() -> None:
    world = World(BOB)
    [bob] = world.states
    plan = membership.destroy(world.alice, world.swarm.tick())
    assert kinds(plan.steps) == [13, "DeleteStep", "DeleteAllStep"] and plan.steps[-1] == DeleteAllStep(11)
    world.swarm.run(world.alice, plan)
    assert world.poll(bob).destroyed and bob.info.destroyed
    assert not world.poll(bob).destroyed, "it is told once"
    with pytest.raises(ValueError, match="ended"):
        flows.rename(world.alice, "x", 1)
    assert membership.due(world.alice, 1) is None


def test_settings() -> None:
    world = World(BOB)
    [bob] = world.states
    picture = Picture("http://filev2.getsession.org/file/1", b"\1" * 32)
    for plan in (
        flows.rename(world.alice, "New", world.swarm.tick()),
        flows.describe(world.alice, "about", world.swarm.tick()),
        flows.set_picture(world.alice, picture, world.swarm.tick()),
        flows.clear(world.alice, world.swarm.tick()),
        flows.clear(world.alice, world.swarm.tick(), attachments_only=True),
    ):
        assert world.swarm.run(world.alice, plan)
    changes = world.poll(bob)
    assert (bob.info.name, bob.info.description, bob.info.picture) == ("New", "about", picture)
    assert 0 < bob.info.delete_before <= bob.info.delete_attachments_before
    shown = [each for each in told(changes) if isinstance(each, updates.InfoChange)]
    assert [(int(each.kind), each.name) for each in shown] == [(1, "New"), (2, "")]
    for act in (flows.rename, flows.describe):
        with pytest.raises(ValueError, match="only an admin"):
            act(bob, "x", 1)
    with pytest.raises(ValueError, match="seconds"):
        flows.set_timer(world.alice, 1 << 32, 1)
    with pytest.raises(ValueError, match="has a name"):
        flows.rename(world.alice, " ", 1)


def test_deletions_by_admins_and_by_senders() -> None:
    world = World(BOB)
    [bob] = world.states
    plan = flows.delete_messages(world.alice, ["one"], world.swarm.tick())
    assert kinds(plan.steps) == ["DeleteStep", 11] and plan.steps[0] == DeleteStep(("one",))
    world.swarm.run(world.alice, plan)
    plan = flows.delete_messages(bob, ["two"], world.swarm.tick())
    assert kinds(plan.steps) == [11]
    world.swarm.run(bob, plan)
    found = world.poll(world.alice).deletions
    assert [(each.by, each.by_admin, each.hashes) for each in found] == [
        (ALICE.account_id, True, ("one",)),
        (BOB.account_id, False, ("two",)),
    ]


def test_forged_updates_are_dropped_and_hide_nothing() -> None:
    world = World(BOB, CAROL)
    [bob, carol] = world.states
    other = GroupIdentity.of_seed(b"\7" * 32)
    signature = other.sign(b"x")
    forged: list[updates.GroupUpdate] = [
        updates.InfoChange(updates.InfoKind.NAME, "Mine", 0, signature),
        updates.InfoChange(updates.InfoKind.NAME, "Mine"),
        updates.MemberChange(MemberKind.REMOVED, (CAROL.account_id,), False, signature),
        updates.DeleteContent((CAROL.account_id,), ("h",), signature),
        updates.Promote(b"\7" * 32, "x"),
        updates.Invite(other.group_id, "x", b"\3" * 100, signature),
    ]
    for number, update in enumerate(forged):
        letter = Letter(GroupUpdateMessage(update), world.swarm.tick())
        data = envelope.seal(BOB, bob.group, bob.keys.keys[0], letter)
        world.swarm.messages[f"f{number}"] = Message(11, f"f{number}", data, letter.timestamp)
    # Unsigned, it is good for his own messages, whoever else he names.
    own = Letter(GroupUpdateMessage(updates.DeleteContent(tuple(ids(BOB, CAROL)), ("h",))), world.swarm.tick())
    data = envelope.seal(BOB, bob.group, bob.keys.keys[0], own)
    world.swarm.messages["own"] = Message(11, "own", data, own.timestamp)
    for namespace in (-11, 11, 12, 13, 14):
        world.swarm.messages[f"junk{namespace}"] = Message(namespace, f"junk{namespace}", b"\0junk" * 20, 5)
    world.swarm.run(bob, letters.send(bob, Text("good"), world.swarm.tick()))
    before = world.alice.info.data, world.alice.members.data
    for state in (world.alice, carol):
        changes = world.poll(state)
        assert texts(changes) == ["good"] and not changes.kicked
        assert set(changes.refused) >= {*(f"f{number}" for number in range(len(forged))), "junk12"}
        [deletion] = changes.deletions
        assert (deletion.by_admin, deletion.members) == (False, (BOB.account_id,))
    assert (world.alice.info.data, world.alice.members.data) == before


def test_two_admins_at_once_make_a_third_key() -> None:
    world = World(BOB)
    [bob] = world.states
    bob.promote(SEED)
    world.settle()
    one = membership.invite(world.alice, [Invitee(CAROL.account_id)], world.swarm.tick())
    two = membership.invite(bob, [Invitee(EVE.account_id)], world.swarm.tick())
    world.swarm.run(world.alice, one)
    world.swarm.run(bob, two)
    for _ in range(3):
        world.settle()
    assert world.alice.keys.generation == bob.keys.generation == 2
    assert names(world.alice) == names(bob) == ids(ALICE, BOB, CAROL, EVE)
    assert world.alice.keys.keys == bob.keys.keys and world.alice.keys.is_for(names(bob))
    assert not world.alice.needs_rekey and not bob.needs_rekey
    for account in (CAROL, EVE):
        state = GroupState(account, GroupIdentity(bob.group.public))
        state.merge(world.swarm.seen(world.alice))
        assert state.keys.keys[0] == bob.keys.keys[0] and names(state) == names(bob)


def test_a_key_that_a_new_member_does_not_have_is_replaced() -> None:
    """Another admin, who had not heard of the new member, made the next key."""
    world = World(BOB)
    [bob] = world.states
    bob.promote(SEED)
    world.settle()
    plan = membership.invite(world.alice, [Invitee(CAROL.account_id)], world.swarm.tick())
    world.swarm.run(world.alice, plan, fail_at=1)
    bob.rekey()
    bob.rekey()
    world.swarm.run(bob, bob.push(world.swarm.tick()))
    for _ in range(4):
        world.settle()
    assert names(bob) == ids(ALICE, BOB, CAROL) and bob.keys.is_for(names(bob))
    assert world.alice.keys.keys[0] == bob.keys.keys[0]


def test_lost_configs_are_stored_again_as_they_were_and_lost_keys_made_anew() -> None:
    world = World(BOB)
    lost = world.alice.info.active_hashes
    was = world.swarm.messages.pop(lost[0])
    world.alice.lost(lost)
    plan = membership.due(world.alice, world.swarm.tick()) or pytest.fail("nothing is due")
    assert [step.data for step in plan.stores] == [was.data]
    world.swarm.run(world.alice, plan)
    assert world.alice.info.active_hashes == lost and membership.due(world.alice, 1) is None
    world.alice.lost(world.alice.keys.active_hashes)
    world.poll(world.alice)
    assert world.alice.keys.generation == 1
    # A member can do nothing about it, and does not try.
    [bob] = world.states
    bob.lost(bob.active_hashes)
    assert membership.due(bob, 1) is None and not bob.needs_push


def test_an_invitation_is_looked_at_before_it_is_believed() -> None:
    group = GroupIdentity.of_seed(SEED)
    alice, _ = membership.create(ALICE, SEED, "G", [Invitee(BOB.account_id), Invitee(CAROL.account_id)], 5_000)
    letter = letters.errand(alice, BOB.account_id, 5_000)
    assert isinstance(letter.message, GroupUpdateMessage)
    invite = letter.message.update
    assert isinstance(invite, updates.Invite)
    entry = joining.invited(BOB, invite, 5_000, None, approved=False)
    assert (entry.group_id, entry.name, entry.joined, entry.invited) == (group.group_id, "G", 5, True)
    for account, when in ((CAROL, 5_000), (BOB, 5_001)):
        with pytest.raises(MessageError):
            joining.invited(account, invite, when, None, approved=True)
    kicked = Group(group_id=group.group_id, name="Old", removed=Removed.KICKED)
    again = joining.invited(BOB, invite, 5_000, kicked, approved=True)
    assert (again.removed, again.invited, again.auth_data) == (Removed.NOT, False, invite.auth_data)
    as_admin = Group(group_id=group.group_id, seed=SEED)
    assert joining.invited(BOB, invite, 5_000, as_admin, approved=True).seed == SEED
    for bad in (Group(group_id=group.group_id), Group(group_id=group.group_id, seed=b"\1" * 32)):
        assert joining.group_of(bad) is None


def test_a_device_goes_on_where_it_was() -> None:
    world = World(BOB)
    plan = membership.invite(world.alice, [Invitee(CAROL.account_id)], world.swarm.tick())
    again = GroupState(ALICE, world.alice.group)
    again.load(world.alice.dump())
    assert not again.needs_dump and again.errands == {CAROL.account_id: Errand.INVITE}
    assert again.keys.pending == world.alice.keys.pending and again.needs_push
    assert again.push(plan.stores[0].timestamp).stores == plan.stores[:3]
    bob = world.states[0]
    bob.heard[BOB.account_id] = 5
    bob.owes_response = True
    restarted = GroupState(BOB, bob.group)
    restarted.load(bob.dump())
    assert (restarted.heard[BOB.account_id], restarted.owes_response) == (5, True)
    assert restarted.dump() == bob.dump()
    empty = GroupState(BOB, bob.group)
    empty.load({})
    assert empty.is_expired


def test_removal_states_are_read_from_others() -> None:
    world = World(BOB)
    member = world.alice.members.get(BOB.account_id)
    assert member is not None and member.removal is Removal.NO and member.promotion is Step.ACCEPTED
    with pytest.raises(ValueError, match="oneself"):
        membership.remove(world.alice, [ALICE.account_id], 1)
    with pytest.raises(ValueError, match="no member"):
        membership.remove(world.alice, [EVE.account_id], 1)
    with pytest.raises(ValueError, match="at most 100"):
        people = [Invitee(Account(bytes([2, each]) + bytes(14)).account_id) for each in range(99)]
        membership.invite(world.alice, people, 1)
