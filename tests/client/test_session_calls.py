"""What becomes of calls, on both sides and on other devices, by a set clock and without a network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from allium.client.messages import kinds
from allium.client.messages.kinds import CallStep, Disappear, Disappearing, Letter
from allium.client.session import actions, call_steps, calling, outbound
from allium.client.session.call_state import MAX_SDP, MAX_SIGNALS, Candidate, OngoingCall, Outcome, Phase
from allium.client.session.calling import CONNECT_MS, LEASE_MS, RING_MS, CallError
from allium.client.session.events import CallChanged
from allium.client.session.settings import Settings
from tests.client.test_session_letters import befriend, of, say
from tests.support.pigeon import Device, Sky

Both = tuple[Device, Device]


@pytest.fixture
def both(sky: Sky, tmp_path: Path) -> Iterator[Both]:
    """Alice and Bob, who have accepted each other and take calls; hers is the lower Account ID."""
    made = sorted((Device(sky, tmp_path / name, name=name) for name in ("one", "other")), key=lambda each: each.id)
    befriend(*made)
    yield made[0], made[1]
    for each in made:
        each.core.close()


def begin(device: Device, other: Device, owner: str = "page") -> OngoingCall:
    """Calls, with an offer and a candidate."""
    call = device.run(call_steps.start, device.groups, other.id, owner)
    device.run(call_steps.describe, device.groups, call.uuid, CallStep.OFFER, "v=0 offer")
    device.run(call_steps.candidates, device.groups, call.uuid, [Candidate("candidate:1", 0, "0")])
    device.flush()
    return call


def take(device: Device, call: OngoingCall) -> None:
    """Answers."""
    device.run(call_steps.accept, call.uuid, "page")
    device.run(call_steps.describe, device.groups, call.uuid, CallStep.ANSWER, "v=0 answer")
    device.flush()


def now(device: Device) -> OngoingCall | None:
    return device.run(calling.current)


def phase(device: Device) -> Phase | None:
    call = now(device)
    return None if call is None else call.phase


def line(device: Device, other: Device) -> tuple[str, int, bool]:
    """What the last line of a call says: its state, its seconds, whether it is read."""
    found = [each for each in device.database.messages.page(other.id) if each.kind == "call"][-1]
    return found.extra["state"], found.extra.get("seconds", 0), found.read


def test_a_call_rings_is_taken_lasts_and_ends(both: Both, sky: Sky) -> None:
    alice, bob = both
    call = begin(alice, bob)
    assert (phase(alice), line(alice, bob)) == (Phase.CALLING, ("calling", 0, True))
    told = of(bob.poll(), CallChanged)
    ringing = told[-1].call
    assert (ringing.uuid, ringing.peer, ringing.phase, ringing.outgoing) == (call.uuid, alice.id, Phase.RINGING, False)
    assert [(each.kind, each.sdp) for each in ringing.signals] == [("offer", "v=0 offer"), ("candidates", "")]
    assert ringing.signals[1].candidates == (Candidate("candidate:1", 0, "0"),)
    take(bob, call)
    # Another page of Bob's is too late.
    with pytest.raises(CallError):
        bob.run(call_steps.accept, call.uuid, "another")
    alice.poll()
    assert (phase(alice), phase(bob)) == (Phase.CONNECTING, Phase.CONNECTING)
    for each in both:
        each.run(call_steps.alive, call.uuid, connected=True)
    sky.now += 65_000
    # Both look for another way: the same call.
    alice.run(call_steps.describe, alice.groups, call.uuid, CallStep.OFFER, "v=0 again")
    alice.flush()
    assert of(bob.poll(), CallChanged)[-1].call.signals[-1].sdp == "v=0 again"
    alice.run(call_steps.end, alice.groups, call.uuid)
    alice.flush()
    bob.poll()
    assert (now(alice), now(bob)) == (None, None)
    assert line(alice, bob) == line(bob, alice) == ("answered", 65, True)
    with pytest.raises(CallError):
        alice.run(call_steps.alive, call.uuid, connected=True)


def test_what_nobody_takes_is_missed_and_what_is_declined_is_told(both: Both, sky: Sky) -> None:
    alice, bob = both
    begin(alice, bob)
    bob.poll()
    # The clock ends it on both sides, and Alice's says so.
    assert bob.run(call_steps.expire, bob.groups) == sky.now + RING_MS
    sky.now += RING_MS
    assert alice.run(call_steps.expire, alice.groups) is None
    assert bob.run(call_steps.expire, bob.groups) is None
    assert (line(alice, bob), line(bob, alice)) == (("unanswered", 0, True), ("missed", 0, False))
    assert alice.flush() == 2
    bob.poll()
    # She gives up while it rings.
    call = begin(alice, bob)
    bob.poll()
    alice.run(call_steps.end, alice.groups, call.uuid)
    alice.flush()
    bob.poll()
    assert (line(alice, bob)[0], line(bob, alice)[0], now(bob)) == ("unanswered", "missed", None)
    # He does not want to.
    call = begin(alice, bob)
    bob.poll()
    bob.run(call_steps.end, bob.groups, call.uuid)
    bob.flush()
    alice.poll()
    assert (line(alice, bob), line(bob, alice)) == (("declined", 0, True), ("declined", 0, True))
    # Whoever has the call is gone without a word.
    call = begin(alice, bob)
    bob.poll()
    take(bob, call)
    alice.poll()
    bob.run(call_steps.alive, call.uuid, connected=True)
    sky.now += CONNECT_MS
    assert alice.run(call_steps.expire, alice.groups) is None
    assert line(alice, bob)[0] == "failed"
    sky.now += LEASE_MS
    bob.run(call_steps.expire, bob.groups)
    assert line(bob, alice)[0] == "answered"


def test_a_call_that_does_not_ring_is_a_line(both: Both, sky: Sky, tmp_path: Path) -> None:
    alice, bob = both
    bob.run(actions.set_settings, Settings())
    begin(alice, bob)
    bob.poll()
    assert (now(bob), line(bob, alice)) == (None, ("off", 0, False))
    with pytest.raises(CallError):
        bob.run(call_steps.start, bob.groups, alice.id, "")
    sky.now += RING_MS
    alice.run(call_steps.expire, alice.groups)
    bob.run(actions.set_settings, Settings(calls=True))
    begin(alice, bob)
    sky.now += RING_MS + 1000
    bob.poll()
    assert (now(bob), line(bob, alice)) == (None, ("missed", 0, False))
    # What is over before it comes, or of tomorrow, does not ring either.
    alice.post(Letter(kinds.Call(CallStep.END_CALL, "over"), sky.now), bob.id)
    alice.post(Letter(kinds.Call(CallStep.OFFER, "over", ("v=0",)), sky.now), bob.id)
    alice.post(Letter(kinds.Call(CallStep.OFFER, "tomorrow", ("v=0",)), sky.now + 86_400_000), bob.id)
    bob.poll()
    assert now(bob) is None and line(bob, alice)[0] == "missed"
    # A stranger is not heard at all, however often they call.
    stranger = Device(sky, tmp_path / "stranger")
    stranger.post(Letter(kinds.Call(CallStep.PRE_OFFER, "hello"), sky.now), bob.id)
    stranger.post(Letter(kinds.Call(CallStep.OFFER, "hello", ("v=0",)), sky.now + 1), bob.id)
    assert of(bob.poll(), CallChanged) == [] and bob.database.messages.page(stranger.id) == []
    stranger.core.close()


def test_another_device_that_takes_it_ends_the_ringing(both: Both, sky: Sky, tmp_path: Path) -> None:
    alice, bob = both
    bob.push()
    second = Device(sky, tmp_path / "second", bob.account)
    second.run(actions.set_settings, Settings(calls=True))
    second.poll()
    call = begin(alice, bob)
    bob.poll()
    second.poll()
    assert (phase(bob), phase(second)) == (Phase.RINGING, Phase.RINGING)
    take(bob, call)
    second.poll()
    assert (phase(bob), now(second), line(second, alice)[0]) == (Phase.CONNECTING, None, "elsewhere")
    bob.run(call_steps.end, bob.groups, call.uuid)
    bob.flush()
    alice.poll()
    call = begin(alice, bob)
    second.poll()
    bob.poll()
    bob.run(call_steps.end, bob.groups, call.uuid)
    bob.flush()
    second.poll()
    assert (now(second), line(second, alice)) == (None, ("declined", 0, True))
    # One that was away, and hears of everything too late, has missed nothing either.
    alice.poll()
    call = begin(alice, bob)
    bob.poll()
    take(bob, call)
    sky.now += RING_MS
    second.poll()
    assert (now(second), line(second, alice)) == (None, ("elsewhere", 0, True))
    second.core.close()


def test_two_who_call_each_other_have_one_call(both: Both) -> None:
    alice, bob = both
    hers, his = begin(alice, bob, "her page"), begin(bob, alice, "his page")
    alice.poll()
    [ended, *_, taken] = of(bob.poll(), CallChanged)
    assert (ended.call.uuid, ended.call.outcome) == (his.uuid, Outcome.CROSSED)
    assert (taken.call.uuid, taken.call.owner, taken.call.wanted) == (hers.uuid, "his page", True)
    take(bob, hers)
    alice.poll()
    call = now(alice)
    assert call is not None and (call.uuid, call.phase) == (hers.uuid, Phase.CONNECTING)
    assert [line(alice, bob)[0], line(bob, alice)[0]] == ["calling", "ringing"]
    calls = [each for each in bob.database.messages.page(alice.id) if each.kind == "call"]
    assert len(calls) == 1


def test_a_third_one_is_told_that_we_are_busy(both: Both, sky: Sky, tmp_path: Path) -> None:
    alice, bob = both
    carol = Device(sky, tmp_path / "carol", name="Carol")
    befriend(alice, carol)
    begin(bob, alice)
    alice.poll()
    begin(carol, alice)
    alice.poll()
    alice.flush()
    carol.poll()
    assert (phase(alice), now(carol), line(carol, alice)[0]) == (Phase.RINGING, None, "declined")
    assert line(alice, carol) == ("missed", 0, False)
    # Not everything that somebody may send is answered.
    for number in range(3 * calling.MAX_REFUSED):
        carol.post(Letter(kinds.Call(CallStep.OFFER, f"busy {number}", ("v=0",)), sky.now + number), alice.id)
    alice.poll()
    assert alice.flush() <= 2 * calling.MAX_REFUSED
    carol.core.close()


def test_a_hostile_contact_fills_nothing(both: Both, sky: Sky) -> None:
    alice, bob = both
    call = begin(alice, bob)
    bob.poll()

    def post(step: CallStep, *sdps: str, indexes: tuple[int, ...] = (), mids: tuple[str, ...] = ()) -> None:
        sky.now += 1
        alice.post(Letter(kinds.Call(step, call.uuid, sdps, indexes, mids), sky.now), bob.id)

    post(CallStep.OFFER, "x" * (MAX_SDP + 1))
    post(CallStep.ICE_CANDIDATES, "c", "d" * 9000, "e", indexes=(0, 0, 1 << 30), mids=("0", "0", "0"))
    post(CallStep.ICE_CANDIDATES, *["c"] * 900, indexes=(0,) * 900, mids=("0",) * 900)
    post(CallStep.ANSWER, "v=0 of nobody")
    post(CallStep.PROVISIONAL_ANSWER, "v=0")
    for number in range(2 * MAX_SIGNALS):
        post(CallStep.OFFER, f"v=0 {number}")
    bob.poll()
    found = now(bob)
    assert found is not None and found.phase is Phase.RINGING and len(found.signals) == MAX_SIGNALS
    assert found.signals[2].candidates == (Candidate("c", 0, "0"),)
    assert not any(each.kind == "answer" for each in found.signals)
    # The same call again, or another's name for it, changes nothing.
    alice.post(Letter(kinds.Call(CallStep.PRE_OFFER, call.uuid), sky.now + 1), bob.id)
    assert of(bob.poll(), CallChanged) == []


def test_calls_disappear_after_they_were_read_and_die_with_the_service(both: Both, sky: Sky) -> None:
    alice, bob = both
    alice.run(outbound.set_timer, alice.groups, bob.id, Disappearing(Disappear.AFTER_SEND, 3600))
    alice.flush()
    bob.poll()
    begin(alice, bob)
    bob.poll()
    # Killed while it rings: nobody knows whether anybody heard it.
    bob.restart()
    bob.run(call_steps.settle)
    assert line(bob, alice) == ("missed", 0, False)
    [missed] = [each for each in bob.database.messages.page(alice.id) if each.kind == "call"]
    assert missed.timer == Disappearing(Disappear.AFTER_READ, 3600) and missed.expires is None
    bob.run(outbound.read, bob.groups, alice.id)
    sky.now += 3_600_000
    bob.run(outbound.expire)
    assert [each for each in bob.database.messages.page(alice.id) if each.kind == "call"] == []
    alice.run(call_steps.settle)
    assert line(alice, bob)[0] == "unanswered"
    assert say(alice, bob.id, "I tried to call you").body
