"""What each kind of message does to the state of who gets it, by a set clock and without a network."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from allium.client import crypto
from allium.client.database.rows import Deleted, Message, MessageState
from allium.client.messages import kinds, pro
from allium.client.messages.kinds import CallStep, Disappear, Disappearing, Extraction, Letter, Profile, Target, Text
from allium.client.session import actions, inbound, outbound
from allium.client.session.events import (
    CallReceived,
    Event,
    MessageDeleted,
    MessageReceived,
    NoticeReceived,
    ReactionReceived,
    ReceiptReceived,
    RequestAccepted,
    RequestReceived,
    TypingReceived,
)
from allium.client.session.settings import Settings
from tests.support.pigeon import Device, Sky

HOUR = 3_600_000
E = TypeVar("E")


def say(device: Device, to: str, body: str, **more: object) -> Message:
    message = device.run(outbound.text, device.groups, to, body, **more)  # type: ignore[arg-type]
    device.flush()
    return message


def befriend(alice: Device, bob: Device) -> None:
    """Both have approved each other, and every feature that is off at first is on."""
    say(alice, bob.id, "hello")
    bob.poll()
    say(bob, alice.id, "hello")
    alice.poll()
    for device in (alice, bob):
        device.run(actions.set_settings, Settings(read_receipts=True, typing=True, calls=True))
        device.sky.now += 1000
        device.events.clear()


def shown(device: Device, conversation: str) -> list[Message]:
    return [each for each in device.database.messages.page(conversation) if each.kind == "text"]


def of(events: Iterable[Event], kind: type[E]) -> list[E]:
    return [each for each in events if isinstance(each, kind)]


# Requests


def test_a_request_is_answered_and_both_know(alice: Device, bob: Device) -> None:
    say(alice, bob.id, "hello")
    [asked] = of(bob.poll(), RequestReceived)
    assert asked.message.body == "hello"
    contact = bob.core.configs.contacts.get(alice.id)
    assert contact is not None
    assert (contact.approved, contact.approved_me, contact.name) == (False, True, "Alice")
    assert bob.run(outbound.accept, bob.groups, alice.id)
    assert not bob.run(outbound.accept, bob.groups, alice.id)
    assert bob.flush() == 1
    [accepted] = of(alice.poll(), RequestAccepted)
    assert accepted == RequestAccepted(bob.id)
    contact = alice.core.configs.contacts.get(bob.id)
    assert contact is not None
    assert (contact.approved, contact.approved_me, contact.name) == (True, True, "Bob")


def test_an_answer_accepts_and_says_so_first(sky: Sky, alice: Device, bob: Device) -> None:
    say(alice, bob.id, "hello")
    bob.poll()
    say(bob, alice.id, "yes?")
    assert [type(each) for each in alice.poll() if isinstance(each, NoticeReceived | MessageReceived)] == [
        NoticeReceived,
        MessageReceived,
    ]


def test_an_acceptance_of_nothing_is_nothing(alice: Device, bob: Device, sky: Sky) -> None:
    bob.post(Letter(kinds.RequestResponse(True, Profile("Bob")), sky.now), alice.id)
    assert alice.poll() == []
    assert alice.core.configs.contacts.get(bob.id) is None


def test_who_is_blocked_is_not_heard(alice: Device, bob: Device) -> None:
    befriend(alice, bob)
    alice.run(actions.set_blocked, bob.id, True)
    say(bob, alice.id, "let me in")
    assert of(alice.poll(), MessageReceived) == []
    alice.run(actions.set_blocked, bob.id, False)
    say(bob, alice.id, "thank you")
    assert [each.message.body for each in of(alice.poll(), MessageReceived)] == ["thank you"]


# Copies


def test_another_device_has_what_was_sent(alice: Device, bob: Device, sky: Sky, tmp_path: Path) -> None:
    sent = say(alice, bob.id, "hello", quote=Target(sky.now - 5, bob.id))
    assert alice.poll() == []
    second = Device(sky, tmp_path / "second", alice.account)
    [copied] = of(second.poll(), MessageReceived)
    message = copied.message
    assert (message.conversation, message.body, message.outgoing, message.timestamp) == (
        bob.id,
        "hello",
        True,
        sent.timestamp,
    )
    assert message.quote == Target(sky.now - 5, bob.id)
    assert message.state is MessageState.SENT
    second.core.close()


def test_a_note_to_self_is_one_message(alice: Device, sky: Sky, tmp_path: Path) -> None:
    say(alice, alice.id, f"ask @{alice.id} and @{alice.id}")
    assert len(sky.swarms[alice.id]) == 1
    assert alice.poll() == []
    second = Device(sky, tmp_path / "second", alice.account)
    second.poll()
    [note] = shown(second, alice.id)
    assert note.extra["mentions"] == [alice.id]
    assert second.database.conversations.unread() == 0
    second.core.close()


def test_a_copy_to_self_from_somebody_else_is_none(alice: Device, bob: Device, sky: Sky) -> None:
    bob.post(Letter(Text("I said this", sync_target=bob.id), sky.now), alice.id)
    assert of(alice.poll(), MessageReceived) == []
    assert alice.database.unreadable.total() == 1


# Profiles


def test_only_a_newer_profile_is_taken(alice: Device, bob: Device, sky: Sky) -> None:
    befriend(alice, bob)
    seconds = sky.now // 1000
    for name, updated in (("Robert", seconds + 5), ("Rob", seconds + 4), ("\u202eboB", seconds + 10**9), ("", 0)):
        sky.now += 10_000
        bob.post(Letter(Text("hi", profile=Profile(name, updated=updated)), sky.now), alice.id)
    alice.poll()
    contact = alice.core.configs.contacts.get(bob.id)
    assert contact is not None
    # The last one says that it is from the year 2055: as new as now, and without its mark of direction.
    assert (contact.name, contact.updated) == ("boB", sky.now // 1000)


# Reactions


def test_reactions_come_and_go(alice: Device, bob: Device) -> None:
    befriend(alice, bob)
    message = say(alice, bob.id, "look")
    bob.poll()
    [seen] = [each for each in shown(bob, alice.id) if each.body == "look"]
    assert bob.run(outbound.react, bob.groups, seen, "😂")
    assert not bob.run(outbound.react, bob.groups, seen, "😂")
    bob.flush()
    [reaction] = of(alice.poll(), ReactionReceived)
    assert reaction == ReactionReceived(bob.id, message.id, bob.id, "😂")
    assert bob.run(outbound.react, bob.groups, seen, "😂", remove=True)
    bob.flush()
    [reaction] = of(alice.poll(), ReactionReceived)
    assert reaction == ReactionReceived(bob.id, message.id, bob.id, "😂", removed=True)
    assert alice.database.reactions.of([message.id]) == []


def test_twenty_reactions_a_minute(alice: Device, bob: Device, sky: Sky) -> None:
    befriend(alice, bob)
    [first, *_] = shown(alice, bob.id)
    for number in range(10):
        alice.run(outbound.react, alice.groups, first, chr(0x1F600 + number))
        alice.run(outbound.react, alice.groups, first, chr(0x1F600 + number), remove=True)
    with pytest.raises(ValueError, match="20 reactions"):
        alice.run(outbound.react, alice.groups, first, "🎉")
    assert alice.database.reactions.of([first.id]) == []
    sky.now += 60_001
    assert alice.run(outbound.react, alice.groups, first, "🎉")


def test_thousands_of_reactions_have_an_end(alice: Device, bob: Device, sky: Sky) -> None:
    befriend(alice, bob)
    [first, *_] = shown(alice, bob.id)
    for number in range(200):
        reaction = kinds.Reaction(Target(first.timestamp, first.sender), chr(0x1F300 + number))
        bob.post(Letter(reaction, sky.now + number), alice.id)
    bob.post(Letter(kinds.Reaction(Target(sky.now, bob.id), "🎉"), sky.now), alice.id)
    alice.poll()
    assert len(alice.database.reactions.of([first.id])) == 20


# Deletion


def test_the_three_kinds_of_unsend(alice: Device, bob: Device, sky: Sky, tmp_path: Path) -> None:
    befriend(alice, bob)
    second = Device(sky, tmp_path / "second", alice.account)
    message, note = say(alice, bob.id, "oh no"), say(alice, alice.id, "burn this")
    bob.poll()
    second.poll()
    for each in (message, note):
        stored = alice.database.messages.get(each.id)
        assert stored is not None
        alice.run(actions.unsend, alice.groups, stored)
    alice.flush()
    # The other side: a place where it was.
    assert of(bob.poll(), MessageDeleted) == [MessageDeleted(alice.id, shown(bob, alice.id)[-1].id, placeholder=True)]
    [*_, placeholder] = shown(bob, alice.id)
    assert (placeholder.body, placeholder.deleted) == ("", Deleted.EVERYWHERE)
    assert len(bob.deletions) == 1
    # Our other device: the same; and of a note to self nothing.
    second.poll()
    assert [each.deleted for each in shown(second, bob.id) if each.timestamp == message.timestamp] == [
        Deleted.EVERYWHERE
    ]
    assert shown(second, alice.id) == shown(alice, alice.id) == []
    second.core.close()


def test_a_deletion_that_comes_first_waits(alice: Device, bob: Device, sky: Sky) -> None:
    befriend(alice, bob)
    sent = sky.now
    bob.post(Letter(kinds.Unsend(Target(sent, bob.id)), sent + 1), alice.id)
    alice.poll()
    bob.post(Letter(Text("too late"), sent), alice.id)
    bob.post(Letter(Text("in time"), sent + 2), alice.id)
    assert [each.message.body for each in of(alice.poll(), MessageReceived)] == ["in time"]


def test_nobody_deletes_what_others_said(alice: Device, bob: Device, sky: Sky) -> None:
    befriend(alice, bob)
    mine = say(alice, bob.id, "this stays")
    bob.post(Letter(kinds.Unsend(Target(mine.timestamp, alice.id)), sky.now), alice.id)
    alice.poll()
    assert [each.body for each in shown(alice, bob.id) if each.id == mine.id] == ["this stays"]
    with pytest.raises(ValueError, match="one's own"):
        alice.run(actions.unsend, alice.groups, next(each for each in shown(alice, bob.id) if not each.outgoing))


def test_what_was_not_sent_is_not_sent_after_it_was_deleted(alice: Device, bob: Device) -> None:
    befriend(alice, bob)
    message = alice.run(outbound.text, alice.groups, bob.id, "never mind")
    alice.run(actions.unsend, alice.groups, message)
    alice.flush()
    assert of(bob.poll(), MessageReceived) == []


# Receipts, typing, calls, notices


def test_receipts_go_where_both_want_them(alice: Device, bob: Device, sky: Sky) -> None:
    befriend(alice, bob)
    message = say(alice, bob.id, "have you read this?")
    bob.poll()
    assert bob.run(outbound.read, bob.groups, alice.id) == 2
    assert bob.flush() == 1
    [receipt] = of(alice.poll(), ReceiptReceived)
    assert message.timestamp in receipt.timestamps
    read = alice.database.messages.get(message.id)
    assert read is not None
    assert read.read
    assert message.timestamp <= read.extra["read at"] <= alice.run(lambda work: work.now)
    # What an import has brought may be no JSON to the database; a time before the message is none.
    first = say(alice, bob.id, "and these?"), say(alice, bob.id, "both?")
    alice.run(lambda work: work.database.messages.set_extra(first[0].id, {"odd": float("inf")}))
    times = [each.timestamp for each in first]
    assert alice.run(lambda work: work.database.messages.mark_seen(bob.id, times, 5)) == 2
    odd, plain = (alice.database.messages.get(each.id) for each in first)
    assert odd is not None and odd.read and plain is not None and plain.extra["read at"] == plain.timestamp
    bob.run(actions.set_settings, Settings())
    say(alice, bob.id, "and this?")
    bob.poll()
    bob.run(outbound.read, bob.groups, alice.id)
    assert bob.flush() == 0


def test_typing_is_of_the_moment(alice: Device, bob: Device, sky: Sky) -> None:
    befriend(alice, bob)
    store = bob.run(actions.typing, alice.id, True)
    assert store is not None
    assert store.ttl == 20_000
    sky.put(alice.id, 0, store.data, store.ttl)
    assert of(alice.poll(), TypingReceived) == [TypingReceived(bob.id, started=True)]
    bob.post(Letter(kinds.Typing(True), sky.now - 30_000), alice.id)
    assert of(alice.poll(), TypingReceived) == []
    bob.run(actions.set_blocked, alice.id, True)
    assert bob.run(actions.typing, alice.id, True) is None


def test_calls_are_told_while_they_last(alice: Device, bob: Device, sky: Sky) -> None:
    befriend(alice, bob)
    bob.run(outbound.call, bob.groups, alice.id, kinds.Call(CallStep.PRE_OFFER, "a-b-c"))
    bob.run(outbound.call, bob.groups, alice.id, kinds.Call(CallStep.OFFER, "a-b-c", ("v=0",)))
    bob.flush()
    calls = of(alice.poll(), CallReceived)
    assert [each.call.step for each in calls] == [CallStep.PRE_OFFER, CallStep.OFFER]
    bob.post(Letter(kinds.Call(CallStep.OFFER, "d", ("v=0",)), sky.now - HOUR), alice.id)
    assert of(alice.poll(), CallReceived) == []
    # Who answers here does not ring there.
    alice.run(outbound.call, alice.groups, bob.id, kinds.Call(CallStep.ANSWER, "a-b-c", ("v=0",)))
    alice.flush()
    assert sum(each.namespace == 0 for each in sky.swarms[alice.id][-1:]) == 1


def test_a_screenshot_is_told(alice: Device, bob: Device, sky: Sky) -> None:
    befriend(alice, bob)
    bob.run(outbound.extraction, bob.groups, alice.id, Extraction.SCREENSHOT, sky.now)
    bob.flush()
    [notice] = of(alice.poll(), NoticeReceived)
    assert (notice.message.kind, notice.message.extra) == ("extraction", {"what": "screenshot"})


# Disappearing


def test_after_send_both_sides_forget(alice: Device, bob: Device, sky: Sky) -> None:
    befriend(alice, bob)
    alice.run(outbound.set_timer, alice.groups, bob.id, Disappearing(Disappear.AFTER_SEND, 3600))
    alice.flush()
    [notice] = of(bob.poll(), NoticeReceived)
    assert notice.message.extra == {"seconds": 3600, "type": "after_send"}
    sky.now += 1000
    message = say(alice, bob.id, "soon gone")
    assert sky.swarms[bob.id][-1].expiry == sky.now + HOUR
    sky.now += 60_000
    bob.poll()
    mine, theirs = alice.database.messages.get(message.id), shown(bob, alice.id)[-1]
    assert mine is not None
    # Whenever it was received, both end when the swarm's copy does.
    assert mine.expires == theirs.expires == sky.now - 60_000 + HOUR
    assert alice.run(outbound.expire) == mine.expires
    sky.now += HOUR
    assert alice.run(outbound.expire) is bob.run(outbound.expire) is None
    assert MessageDeleted(bob.id, message.id) in alice.events
    assert "soon gone" not in [each.body for each in (*shown(alice, bob.id), *shown(bob, alice.id))]


def test_after_read_the_swarm_is_told(alice: Device, bob: Device, sky: Sky, tmp_path: Path) -> None:
    befriend(alice, bob)
    second = Device(sky, tmp_path / "second", bob.account)
    alice.run(outbound.set_timer, alice.groups, bob.id, Disappearing(Disappear.AFTER_READ, 300))
    say(alice, bob.id, "read me")
    bob.push()
    bob.poll()
    second.poll()
    [unread] = [each for each in shown(bob, alice.id) if each.body == "read me"]
    assert unread.expires is None
    sky.now += 10 * HOUR
    bob.run(outbound.read, bob.groups, alice.id)
    assert bob.shortened[unread.hash] == sky.now + 300_000
    read = bob.database.messages.get(unread.id)
    assert read is not None
    assert read.expires == sky.now + 300_000
    # The other device learns from the read state that it was read, and when.
    bob.push()
    sky.now += 60_000
    second.poll()
    [other] = [each for each in shown(second, alice.id) if each.body == "read me"]
    assert other.expires == read.expires
    # What the swarm was told is more exact; what nobody can have told it is not believed.
    assert second.read_elsewhere == [other.hash]
    sent = other.received
    for told, expected in ((sent, read.expires), (sent + 400_000, sent + 400_000), (sent + 500_000, sent + 400_000)):
        second.run(inbound.adopt, {other.hash: told, "unknown": told})
        now = second.database.messages.get(other.id)
        assert now is not None and now.expires == expected
    second.core.close()


def test_another_device_follows_a_timer(alice: Device, bob: Device, sky: Sky, tmp_path: Path) -> None:
    befriend(alice, bob)
    alice.run(outbound.set_timer, alice.groups, bob.id, Disappearing(Disappear.AFTER_READ, 300))
    alice.run(outbound.set_timer, alice.groups, alice.id, Disappearing(Disappear.AFTER_SEND, 600))
    alice.flush()
    alice.push()
    with pytest.raises(ValueError, match="notes to self"):
        alice.run(outbound.set_timer, alice.groups, alice.id, Disappearing(Disappear.AFTER_READ, 600))
    second = Device(sky, tmp_path / "second", alice.account)
    second.poll()
    assert say(second, bob.id, "quick").timer == Disappearing(Disappear.AFTER_READ, 300)
    assert say(second, alice.id, "quick").timer == Disappearing(Disappear.AFTER_SEND, 600)
    # Bob's own messages are as Bob wants them.
    bob.poll()
    assert say(bob, alice.id, "slow").timer is None
    second.core.close()


def test_what_was_deleted_stays_deleted(alice: Device, bob: Device, sky: Sky, tmp_path: Path) -> None:
    befriend(alice, bob)
    alice.push()
    second = Device(sky, tmp_path / "second", alice.account)
    second.sync()
    say(bob, alice.id, "this was before")
    sky.now += 120_000
    alice.run(actions.remove_contact, bob.id)
    alice.push()
    # The other device hears of the deletion first; one that is new has but the configs.
    third = Device(sky, tmp_path / "third", alice.account)
    for device in (alice, second, third):
        device.poll()
    assert alice.database.conversations.get(bob.id) is second.database.conversations.get(bob.id) is None
    # Nothing of what we wrote; what they wrote may be somebody's first message.
    assert [each.outgoing for each in shown(third, bob.id)] == [False] * len(shown(third, bob.id))
    sky.now += 1000
    say(bob, alice.id, "and this after")
    for device in (alice, second):
        assert [each.message.body for each in of(device.poll(), RequestReceived)] == ["and this after"]
    second.core.close()
    third.core.close()


def test_who_is_blocked_is_not_written_to(alice: Device, bob: Device) -> None:
    befriend(alice, bob)
    alice.run(actions.set_blocked, bob.id, True)
    with pytest.raises(ValueError, match="unblock"):
        alice.run(outbound.text, alice.groups, bob.id, "hello?")
    assert alice.flush() == 0


def test_a_hidden_conversation_shows_again_with_what_is_new(
    alice: Device, bob: Device, sky: Sky, tmp_path: Path
) -> None:
    befriend(alice, bob)
    second = Device(sky, tmp_path / "second", alice.account)
    alice.push()
    second.sync()
    say(bob, alice.id, "old")
    sky.now += 1000
    alice.run(actions.hide, bob.id)
    alice.push()
    for device in (alice, second):
        device.poll()
        conversation = device.database.conversations.get(bob.id)
        assert conversation is not None
        assert (conversation.priority, shown(device, bob.id)) == (-1, [])
    sky.now += 1000
    say(bob, alice.id, "new")
    for device in (alice, second):
        device.poll()
        conversation = device.database.conversations.get(bob.id)
        assert conversation is not None
        assert (conversation.priority, [each.body for each in shown(device, bob.id)]) == (0, ["new"])
    second.core.close()


def test_a_claim_of_pro_is_checked_and_the_message_shown(alice: Device, bob: Device, sky: Sky) -> None:
    befriend(alice, bob)
    (backend, backend_secret), (rotating, secret) = crypto.key_pair(b"\3" * 32), crypto.key_pair(b"\2" * 32)
    bob.core.pro_backend = backend
    unsigned = pro.Proof(b"\x11" * 32, rotating, sky.now // 1000 + 60, b"")
    proof = replace(unsigned, signature=crypto.sign(backend_secret, unsigned.signed))
    forged = replace(proof, expiry=proof.expiry + 1)
    for number, (claim, key) in enumerate(((proof, secret), (proof, None), (forged, secret), (None, None))):
        message = pro.pro_message(claim, pro.BADGE, pro.LONG_TEXT) if claim else b""
        alice.post(Letter(Text(str(number)), sky.now + number, pro=message), bob.id, rotating=key)
    bob.poll()
    told = [each.extra.get("pro") for each in shown(bob, alice.id)[-4:]]
    assert told == [
        {"status": "valid", "profile": pro.BADGE, "message": pro.LONG_TEXT},
        {"status": "bad_signature"},
        {"status": "bad_proof"},
        None,
    ]
