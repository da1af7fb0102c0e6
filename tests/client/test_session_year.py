"""A year of one account, by a set clock: configs stay small, devices agree, and what is over is forgotten."""

from __future__ import annotations

import random
from pathlib import Path

from allium.client.account import Account
from allium.client.messages.delivery import TTL
from allium.client.messages.direct import seal
from allium.client.messages.kinds import Disappear, Disappearing, Letter, Profile, Text
from allium.client.session import actions, outbound, sending
from allium.client.swarm import MAX_DATA_BYTES
from tests.support.pigeon import Device, Sky

DAY = 86_400_000
FRIENDS, STRANGERS = 5, 61


def test_a_year(tmp_path: Path) -> None:
    sky, chance = Sky(), random.Random(1)
    alice = Device(sky, tmp_path / "phone", name="Alice")
    laptop = Device(sky, tmp_path / "laptop", alice.account)
    friends = [Device(sky, tmp_path / f"friend {number}", name=f"Friend {number}") for number in range(FRIENDS)]
    for friend in friends:
        alice.run(outbound.text, alice.groups, friend.id, "hello")
    largest, devices = 0, (alice, laptop)
    for day in range(0, 365, 6):
        sky.now += 6 * DAY
        # Now and then some write, one of the two devices answers, the other one sleeps for weeks at times.
        writing = chance.sample(friends, 2)
        for friend in writing:
            friend.poll()
            friend.run(outbound.text, friend.groups, alice.id, f"day {day}")
            friend.flush()
        letter = Letter(Text("buy this", profile=Profile("Stranger")), sky.now)
        sky.put(alice.id, 0, seal(Account.new(), alice.id, letter), TTL)
        active = alice if day % 40 < 20 else laptop
        active.sync()
        for friend in writing:
            active.run(outbound.read, active.groups, friend.id)
            active.run(outbound.text, active.groups, friend.id, f"answer {day}")
        if day == 102:
            active.run(outbound.set_timer, active.groups, friends[0].id, Disappearing(Disappear.AFTER_SEND, 86_400))
        if day % 60 == 0:
            active.run(actions.set_name, f"Alice {day}")
        if day % 30 == 0:
            active.restart()
        active.sync()
        for each in devices:
            each.run(outbound.expire)
        here = sky.swarms[alice.id]
        largest = max(largest, *(len(each.data) for each in here if each.namespace))
        # What has expired is gone from the swarm too.
        for pubkey, kept in sky.swarms.items():
            sky.swarms[pubkey] = [each for each in kept if each.expiry > sky.now]
    for _ in range(2):
        for each in devices:
            each.sync()
    assert [config.data for config in alice.core.configs] == [config.data for config in laptop.core.configs]
    # One message each, far from the largest that there may be.
    namespaces = [each.namespace for each in sky.swarms[alice.id] if each.namespace]
    assert sorted(namespaces) == [2, 3, 4]
    assert largest < MAX_DATA_BYTES / 8
    contacts = list(alice.core.configs.contacts)
    assert len(contacts) == FRIENDS + STRANGERS
    # Only what was read lately is in the message; all of it is known.
    volatile = alice.core.configs.volatile
    assert len(list(volatile.accounts())) == FRIENDS
    for each in devices:
        assert each.run(sending.next_due) is None
        assert each.database.outbox.of(1) == []
        assert each.database.unreadable.total() == 0
    # The disappearing conversation has what is younger than a day, and the lines about its timer.
    young = [each for each in alice.database.messages.page(friends[0].id, limit=500) if each.timer is not None]
    assert all(each.timestamp > sky.now - 2 * DAY for each in young)
    for device in (*devices, *friends):
        device.core.close()
