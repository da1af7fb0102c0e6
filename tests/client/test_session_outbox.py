"""What waits to be sent: how long, in whose hands, and how often, by a set clock and without a network."""

from __future__ import annotations

from allium.client.database.rows import MessageState
from allium.client.session import outbound, sending
from allium.client.session.events import RequestReceived
from tests.client.test_session_letters import of
from tests.support.pigeon import Device, Sky


def test_what_cannot_be_sent_waits_longer_each_time(alice: Device, bob: Device, sky: Sky) -> None:
    message = alice.run(outbound.text, alice.groups, bob.id, "hello")

    def attempt(*, offline: bool) -> MessageState:
        for item in alice.run(sending.begin):
            alice.run(sending.retry, item, "nobody there", offline=offline)
        found = alice.database.messages.get(message.id)
        assert found is not None
        return found.state

    waits = []
    for _ in range(20):
        assert attempt(offline=True) is MessageState.SENDING
        due = alice.run(sending.next_due)
        assert due is not None
        waits.append(due - sky.now)
        sky.now = due
    assert waits[:3] == [2_000, 4_000, 8_000]
    assert waits == sorted(waits)
    assert waits[-1] == 300_000
    # One who is reached and does not take it: after so many times its user decides.
    assert attempt(offline=False) is MessageState.FAILED
    assert alice.run(sending.next_due) is None
    assert alice.flush() == 0
    assert alice.run(sending.again, message.id)
    assert alice.flush() == 2
    assert [each.message.body for each in of(bob.poll(), RequestReceived)] == ["hello"]
    assert not alice.run(sending.again, message.id)


def test_what_was_refused_is_not_copied_to_our_own(alice: Device, bob: Device, sky: Sky) -> None:
    message = alice.run(outbound.text, alice.groups, bob.id, "hello")
    [item] = alice.run(sending.begin)
    alice.run(sending.fail, item, "refused with status 400")
    found = alice.database.messages.get(message.id)
    assert found is not None
    assert found.state is MessageState.FAILED
    assert alice.flush() == 0
    assert sky.swarms == {}
