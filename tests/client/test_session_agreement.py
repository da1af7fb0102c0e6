"""Two devices of one account and a friend do anything in any order, hear of it late or never: in the end they agree."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from allium.client.database.rows import Message
from allium.client.session import actions, outbound
from tests.support.pigeon import Device, Sky

#: (who, what): phone and laptop are Alice's.
WHO = st.sampled_from(["phone", "laptop", "bob"])
WHAT = st.sampled_from(
    ["say", "say", "note", "poll", "sync", "sync", "read", "unsend", "name", "nickname", "pin", "react", "restart"]
)
ACTIONS = st.lists(st.tuples(WHO, WHAT), max_size=30)


def act(device: Device, other: str, what: str, number: int) -> None:
    """One action; those that are not possible now are none."""
    texts = [
        each for each in device.database.messages.page(other, limit=200) if each.kind == "text" and not each.deleted
    ]
    match what:
        case "say":
            device.run(outbound.text, device.groups, other, f"{number}")
        case "note":
            device.run(outbound.text, device.groups, device.id, f"note {number}")
        case "poll":
            device.poll()
        case "sync":
            device.sync()
        case "read":
            device.run(outbound.read, device.groups, other)
        case "unsend" if own := [each for each in texts if each.outgoing]:
            device.run(actions.unsend, device.groups, own[number % len(own)])
        case "name":
            device.run(actions.set_name, f"name {number}")
        case "nickname":
            device.run(actions.set_nickname, other, f"nickname {number}")
        case "pin" if device.core.configs.contacts.get(other) is not None:
            device.run(actions.set_priority, other, number)
        case "react" if texts:
            device.run(outbound.react, device.groups, texts[-1], "😂")
        case "restart":
            device.restart()


def shown(device: Device, conversation: str) -> set[tuple[str, int, str, bool]]:
    """What is to be seen of a conversation; a place where a message was is nothing."""
    messages: list[Message] = device.database.messages.page(conversation, limit=500)
    return {
        (each.sender, each.timestamp, each.body, each.read)
        for each in messages
        if each.kind == "text" and not each.deleted
    }


def reactions(device: Device, conversation: str) -> set[tuple[int, str, str]]:
    found = device.database.messages.page(conversation, limit=500)
    times = {each.id: each.timestamp for each in found}
    return {(times[each.message], each.sender, each.emoji) for each in device.database.reactions.of(list(times))}


@settings(max_examples=12)
@given(done=ACTIONS)
def test_devices_agree(done: list[tuple[str, str]]) -> None:
    sky = Sky()
    with tempfile.TemporaryDirectory() as directory:
        phone = Device(sky, Path(directory) / "phone", name="Alice")
        phone.sync()
        laptop = Device(sky, Path(directory) / "laptop", phone.account)
        laptop.sync()
        bob = Device(sky, Path(directory) / "bob", name="Bob")
        devices = {"phone": phone, "laptop": laptop, "bob": bob}
        try:
            for number, (who, what) in enumerate(done):
                sky.now += 1000
                act(devices[who], phone.id if who == "bob" else bob.id, what, number)
            for _ in range(4):
                sky.now += 1000
                for device in devices.values():
                    device.sync()
            assert [config.data for config in phone.core.configs] == [config.data for config in laptop.core.configs]
            for conversation in (bob.id, phone.id):
                assert shown(phone, conversation) == shown(laptop, conversation)
                assert reactions(phone, conversation) == reactions(laptop, conversation)
            there = {each[:3] for each in shown(bob, phone.id)}
            assert there == {each[:3] for each in shown(phone, bob.id)}
            for device in devices.values():
                assert device.database.unreadable.total() == 0
                assert not device.core.configs.needs_push
        finally:
            for device in devices.values():
                device.core.close()
