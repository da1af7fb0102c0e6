"""A process that ends between any two steps has lost nothing that it acknowledged, and sends nothing twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from allium.client.session import actions, outbound, sending
from allium.client.session.core import Core
from allium.client.session.events import RequestReceived
from tests.support.pigeon import Device, Sky


class Killed(BaseException):
    """The process ended."""


class Deaths:
    """Ends the process at one of its transactions, just before or just after it is on disk."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = -1
        self.after = False
        whole = Core.run

        def run(core: Core, function: Any, *args: Any, **kwargs: Any) -> Any:
            self.left -= 1
            if self.left or self.after:
                result = whole(core, function, *args, **kwargs)
                if self.left == 0:
                    raise Killed
                return result
            raise Killed

        monkeypatch.setattr(Core, "run", run)


def steps(alice: Device, bob: Device) -> list[tuple[Device, Callable[[], object]]]:
    """A conversation, as what each side does one after the other. A step that is repeated changes nothing more."""

    def say(device: Device, to: Device, body: str) -> Callable[[], object]:
        def once() -> None:
            # Somebody who does not see what they wrote writes it again, and only then.
            if not any(each.body == body for each in device.database.messages.page(to.id)):
                device.run(outbound.text, device.groups, to.id, body)

        return once

    def unsend() -> None:
        [message] = [each for each in bob.database.messages.page(alice.id) if each.outgoing and each.kind == "text"]
        if not message.deleted:
            bob.run(actions.unsend, bob.groups, message)

    return [
        (alice, say(alice, bob, "hello")),
        (alice, alice.flush),
        (alice, alice.push),
        (bob, bob.poll),
        (bob, lambda: bob.run(outbound.read, bob.groups, alice.id)),
        (bob, say(bob, alice, "who is this?")),
        (bob, bob.flush),
        (bob, unsend),
        (bob, bob.flush),
        (bob, bob.push),
        (alice, alice.poll),
        (alice, say(alice, bob, "why did you delete that?")),
        (alice, alice.flush),
        (alice, alice.push),
        (bob, bob.poll),
        (bob, bob.push),
    ]


def summary(device: Device, other: Device) -> list[object]:
    """All that matters of a device."""
    messages = [
        (each.body, each.outgoing, each.state, each.read, each.deleted, each.kind)
        for each in device.database.messages.page(other.id)
    ]
    contact = device.core.configs.contacts.get(other.id)
    assert contact is not None
    states = contact.approved, contact.approved_me, contact.name, device.core.configs.needs_push
    return [messages, states, device.database.outbox.next_due(), device.database.conversations.unread()]


def outcome(sky: Sky, directory: Path, deaths: Deaths, at: int) -> tuple[bool, list[object]]:
    """Whether the process ended at its transaction number `at`, and what is then, after all went on."""
    directory.mkdir()
    deaths.left = -1
    alice, bob = Device(sky, directory / "alice", name="Alice"), Device(sky, directory / "bob", name="Bob")
    deaths.left, died = at, False
    for device, step in steps(alice, bob):
        sky.now += 1000
        try:
            step()
        except Killed:
            died = True
            device.restart()
            # What waited goes first, as it does when a session is opened.
            device.flush()
            device.push()
            step()
    deaths.left = -1
    second = Device(sky, directory / "second", alice.account)
    second.sync()
    kept = {
        name: sorted(each.namespace for each in sky.swarms[device.id]) for name, device in (("a", alice), ("b", bob))
    }
    result: list[object] = [summary(alice, bob), summary(bob, alice), summary(second, bob)[:2], kept]
    for each in (alice, bob, second):
        each.core.close()
    return died, result


def test_whenever_it_ends_the_result_is_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    deaths = Deaths(monkeypatch)
    _, expected = outcome(Sky(), tmp_path / "never", deaths, -1)
    at, died = 0, True
    while died:
        at += 1
        # Just before one transaction, just after the next, and so on: what is sent in between is sent, or is not.
        deaths.after = at % 2 == 0
        died, result = outcome(Sky(), tmp_path / str(at), deaths, at)
        assert result == expected, f"it ended at {at}"
    assert at > 25


def test_a_kill_between_sending_and_hearing_of_it(tmp_path: Path) -> None:
    sky = Sky()
    alice, bob = Device(sky, tmp_path / "alice", name="Alice"), Device(sky, tmp_path / "bob", name="Bob")
    alice.run(outbound.text, alice.groups, bob.id, "once")
    [item] = alice.run(sending.begin)
    sky.put(item.pubkey, item.namespace, item.payload, item.ttl)
    alice.restart()
    assert alice.flush() == 2
    assert len(sky.swarms[bob.id]) == 1
    assert len([each for each in bob.poll() if isinstance(each, RequestReceived)]) == 1
    assert [each.body for each in bob.database.messages.page(alice.id)] == ["once"]
    alice.core.close()
    bob.core.close()
