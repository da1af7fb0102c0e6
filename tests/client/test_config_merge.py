"""Any number of devices, in any order and with any loss, come to the same config (`spec/configs` §5)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from allium.client.account import Account
from allium.client.configs import tree
from allium.client.configs.contacts import Contact, Contacts
from allium.client.configs.merge import surviving
from allium.client.configs.message import EMPTY, ConfigMessage, write

ALICE = Account(bytes(range(16)))
PEOPLE = [Account(bytes([each]) * 16).account_id for each in range(1, 4)]


class Swarm:
    """What was stored, by hash."""

    def __init__(self) -> None:
        self.stored: dict[str, bytes] = {}

    def store(self, payloads: list[bytes]) -> list[str]:
        hashes = [hashlib.blake2b(payload, digest_size=8).hexdigest() for payload in payloads]
        self.stored.update(zip(hashes, payloads, strict=True))
        return hashes

    def sync(self, device: Contacts) -> None:
        """One poll and, if it is needed, one push."""
        device.merge(list(self.stored.items()))
        if device.needs_push:
            push = device.push()
            hashes = self.store(push.payloads)
            for gone in push.obsolete:
                self.stored.pop(gone, None)
            device.confirm_pushed(push.seqno, hashes, deleted=push.obsolete)


def edit(config: Contacts, person: str, what: int, value: int) -> None:
    contact = config.get_or_new(person)
    match what:
        case 0:
            contact.name = f"name {value}"
        case 1:
            contact.nickname = "nick" * value
        case 2:
            contact.approved = bool(value)
        case 3:
            contact.priority = value
        case _:
            config.erase(person)
            return
    config.set(contact)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("edit"), st.integers(0, 4), st.sampled_from(PEOPLE), st.integers(0, 4), st.integers(0, 2)),
        st.tuples(st.just("push"), st.integers(0, 4), st.booleans(), st.booleans()),
        st.tuples(st.just("poll"), st.integers(0, 4), st.randoms(use_true_random=False)),
        st.tuples(st.just("restart"), st.integers(0, 4)),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 5), STEPS)
def test_devices_agree_in_the_end(count: int, steps: list[tuple[object, ...]]) -> None:
    swarm = Swarm()
    devices = [Contacts(ALICE) for _ in range(count)]
    for step in steps:
        index = int(step[1]) % count  # type: ignore[call-overload]
        device = devices[index]
        match step:
            case ("edit", _, str(person), int(what), int(value)):
                edit(device, person, what, value)
            case ("push", _, bool(arrives), bool(answered)) if device.needs_push:
                push = device.push()
                hashes = swarm.store(push.payloads) if arrives else []
                if arrives and answered:
                    device.confirm_pushed(push.seqno, hashes)
            case ("poll", _, random):
                some = [item for item in swarm.stored.items() if random.random() < 0.7]  # type: ignore[attr-defined]
                random.shuffle(some)  # type: ignore[attr-defined]
                device.merge(some + some[:1])
            case ("restart", _):
                devices[index] = Contacts(ALICE)
                devices[index].load(device.dump())
    for _ in range(count + 2):
        for device in devices:
            swarm.sync(device)
    assert all(device.data == devices[0].data for device in devices)
    assert all(not device.needs_push for device in devices)
    fresh = Contacts(ALICE)
    swarm.sync(fresh)
    assert fresh.data == devices[0].data and not fresh.needs_push
    # A third device and the ones before hold the same bytes, and they are in the swarm.
    assert fresh._message.encoded == devices[0]._message.encoded
    assert set(fresh.active_hashes) <= set(swarm.stored)
    # A push that was stored, of which nobody heard, may have left what it replaced; it goes with the next one.
    edit(fresh, PEOPLE[0], 0, 3)
    swarm.sync(fresh)
    assert not fresh.needs_push and set(swarm.stored) == set(fresh.active_hashes)


def pair(change_one: Callable[[Contacts], None], change_two: Callable[[Contacts], None]) -> Contacts:
    """A third device that meets two messages which follow the same one."""
    base = Contacts(ALICE)
    base.set(Contact(PEOPLE[0], name="Bob", nickname="Bobby", approved=True))
    base.confirm_pushed(base.push().seqno, ["base"])
    payloads = []
    for change in (change_one, change_two):
        device = Contacts(ALICE)
        device.load(base.dump())
        change(device)
        payloads += device.push().payloads
    third = Contacts(ALICE)
    third.merge([("one", payloads[0]), ("two", payloads[1])])
    return third


def test_edits_of_two_devices_are_both_there_and_both_are_obsolete() -> None:
    third = pair(lambda one: edit(one, PEOPLE[0], 3, 2), lambda two: edit(two, PEOPLE[1], 0, 1))
    assert third.needs_push
    push = third.push()
    assert (push.seqno, push.obsolete) == (3, ["one", "two"])
    assert {each.account_id: (each.name, each.priority) for each in third} == {
        PEOPLE[0]: ("Bob", 2),
        PEOPLE[1]: ("name 1", 0),
    }


def test_who_erases_a_contact_erases_what_others_changed_of_it_before() -> None:
    for priority in range(1, 4):
        third = pair(lambda one, p=priority: edit(one, PEOPLE[0], 3, p), lambda two: edit(two, PEOPLE[0], 4, 0))  # type: ignore[misc]
        left = third.get(PEOPLE[0])
        # The later of the two in the order of hashes decides; never is half a contact left.
        assert left is None or (left.priority, left.name) == (priority, "")


def test_a_message_that_is_too_far_behind_does_not_count() -> None:
    messages = [EMPTY]
    for number in range(1, 8):
        last = messages[-1]
        data: tree.Data = {b"k": number}
        messages.append(
            write(number, data, last.lagged_by(number), tree.difference(last.data, data), {}, None),
        )
    assert [each.seqno for each in messages[-1].lagged] == [3, 4, 5, 6]
    stray = write(2, {b"other": 1}, (), {b"other": b""}, {}, None)
    recent = write(3, {b"other": 1}, (), {b"other": b""}, {}, None)
    assert surviving([messages[-1], stray]) == [messages[-1]]
    assert surviving([recent, messages[-1]]) == [messages[-1], recent]


nodes: st.SearchStrategy[tree.Node] = st.recursive(
    st.integers(-(1 << 63), (1 << 63) - 1) | st.binary(max_size=5),
    lambda deeper: (
        st.dictionaries(st.binary(max_size=3), deeper, min_size=1, max_size=4)
        | st.sets(st.integers(0, 9) | st.binary(max_size=2), min_size=1, max_size=4)
    ),
    max_leaves=15,
)
trees = st.dictionaries(st.binary(max_size=3), nodes, max_size=4)


@given(trees)
def test_data_is_read_as_it_was_written(data: tree.Data) -> None:
    assert tree.parse(tree.written(data)) == data


@given(trees, trees)
def test_a_difference_makes_the_new_of_the_old(old: tree.Data, new: tree.Data) -> None:
    def scalars_only_change_to_scalars(before: tree.Data, after: tree.Data) -> bool:
        for key in before.keys() & after.keys():
            a, b = before[key], after[key]
            if (isinstance(a, dict), isinstance(a, set)) != (isinstance(b, dict), isinstance(b, set)):
                return False
            if isinstance(a, dict) and isinstance(b, dict) and not scalars_only_change_to_scalars(a, b):
                return False
        return True

    if scalars_only_change_to_scalars(old, new):
        changed = tree.copy(old)
        tree.apply(changed, tree.check_diff(tree.difference(old, new)), new)
        assert changed == new


def test_hashes_order_what_has_the_same_number() -> None:
    one = write(1, {b"a": 1}, (), {}, {}, None)
    two = write(1, {b"a": 2}, (), {}, {}, None)
    first: ConfigMessage = max(one, two, key=lambda each: each.hash)
    assert surviving([one, two])[0] == first
