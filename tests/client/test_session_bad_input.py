"""What strangers and other devices may send: nothing of it ends a poll, hides a good message or grows without end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allium.client.account import Account
from allium.client.configs.contacts import Contact
from allium.client.configs.convo_info_volatile import ReadState
from allium.client.envelope import pad, seal, seal_to
from allium.client.messages import kinds
from allium.client.messages.direct import seal as seal_letter
from allium.client.messages.kinds import Disappear, Disappearing, Letter, Profile, Target, Text
from allium.client.polling import PollResult, Received
from allium.client.session.events import MessageReceived, RequestReceived
from allium.client.session.inbound import receive
from allium.client.session_pb2 import Content, Envelope, WebSocketMessage
from allium.client.swarm import message_hash
from tests.client.test_session_letters import befriend, of, shown
from tests.support.pigeon import BEGIN, NODE, Device, Sky

LAST = (1 << 64) - 1
YEAR_292_MILLION = (1 << 63) - 1
ALICE, BOB = Account(bytes(16)), Account(b"b" * 16)


@pytest.fixture
def sky() -> Sky:
    return Sky()


@pytest.fixture
def alice(sky: Sky, tmp_path: Path) -> Iterator[Device]:
    device = Device(sky, tmp_path / "alice", ALICE, name="Alice")
    yield device
    device.core.close()


def wrapped(envelope: bytes) -> bytes:
    message = WebSocketMessage(type=WebSocketMessage.REQUEST)
    message.request.body = envelope
    return message.SerializeToString()


def enveloped(content: bytes, timestamp: int = BEGIN) -> bytes:
    """Any content under Bob's good signature."""
    envelope = Envelope(type=Envelope.SESSION_MESSAGE, timestamp=timestamp)
    envelope.content = seal_to(BOB, ALICE.x25519_public, pad(content))
    return wrapped(envelope.SerializeToString())


def text_at(timestamp: int, body: str = "?") -> bytes:
    content = Content(sigTimestamp=timestamp)
    content.dataMessage.body = body
    return enveloped(content.SerializeToString(), timestamp)


def forged() -> bytes:
    """Signed by Bob, says that it is for somebody else."""
    inner = seal_to(BOB, ALICE.x25519_public, pad(b"x"))
    return wrapped(
        Envelope(type=Envelope.SESSION_MESSAGE, timestamp=BEGIN, content=inner[:-1] + b"\0").SerializeToString()
    )


def of_wrong_types() -> bytes:
    """A number where a message is expected, and the other way round."""
    return enveloped(bytes([0x08, 0x01]) + bytes([0x7A, 0x02, 0x01, 0x02]))


#: What is refused: counted, and kept for a version that can read it.
UNREADABLE = {
    "nothing": b"",
    "one byte": b"\0",
    "junk": bytes(range(256)) * 290,
    "a protobuf that never ends": b"\x12\xff\xff\xff\xff\x0f",
    "an envelope of nothing": wrapped(b""),
    "another's signature": forged(),
    "wrong types": of_wrong_types(),
    "a content of nothing": enveloped(b""),
    "the year 292 million": text_at(YEAR_292_MILLION),
    "the last millisecond": text_at(LAST),
    "no time": wrapped(Envelope(type=Envelope.SESSION_MESSAGE, timestamp=0, content=b"x").SerializeToString()),
    "two times": seal(BOB, ALICE.account_id, Content(), BEGIN),
    "a copy to self of a stranger's": seal_letter(
        BOB, ALICE.account_id, Letter(Text("x", sync_target="05" + "ab" * 32), BEGIN)
    ),
    "a deletion of another's": seal_letter(
        BOB, ALICE.account_id, Letter(kinds.Unsend(Target(BEGIN, ALICE.account_id)), BEGIN)
    ),
    "protocol version 2": b"\0\x02" + bytes(600),
}

PROFILE = Profile("\u202e" * 50 + "\0x" * 200, "http://[" + "x" * 1000, b"k" * 32, LAST)

#: What is read, and means nothing or little.
ODD = {
    "an empty name": Letter(Text("odd", profile=Profile("", updated=1)), BEGIN + 1),
    "a name of marks": Letter(Text("odd", profile=PROFILE), BEGIN + 1),
    "a body of nulls": Letter(Text("\0\uffff\u202e" * 600), BEGIN + 1),
    "a quote of itself": Letter(Text("odd", quote=Target(BEGIN + 1, BOB.account_id)), BEGIN + 1),
    "files with paths": Letter(
        Text("odd", (kinds.Attachment("x" * 5000, b"k", b"d", (1 << 32) - 1, "\0", "../../\u202egpj.exe\0"),) * 40),
        BEGIN + 1,
    ),
    "a timer of centuries": Letter(Text("odd"), BEGIN + 1, Disappearing(Disappear.AFTER_SEND, (1 << 32) - 1)),
    "a receipt for everything": Letter(kinds.ReadReceipt(tuple(range(1, 5000))), BEGIN + 1),
    "a reaction to nothing": Letter(kinds.Reaction(Target(5, BOB.account_id), "x"), BEGIN + 1),
    "a reaction that is a book": Letter(kinds.Reaction(Target(BEGIN, BOB.account_id), "\U0001f468" * 15), BEGIN + 1),
    "an acceptance of no request": Letter(kinds.RequestResponse(True, PROFILE), BEGIN + 1),
    "a call of a stranger": Letter(kinds.Call(kinds.CallStep.PRE_OFFER, "u" * 64), BEGIN + 1),
    "a screenshot at no time": Letter(kinds.DataExtraction(kinds.Extraction.SCREENSHOT, LAST), BEGIN + 1),
    "from the year 275760": Letter(Text("odd"), 8_640_000_000_000_000),
    "from 1970": Letter(Text("odd"), 1),
}


def poll_of(alice: Device, *bodies: bytes) -> PollResult:
    found = tuple(
        Received(0, message_hash(ALICE.account_id, 0, body), body, alice.sky.now, alice.sky.now + 1_000_000)
        for body in bodies
    )
    return PollResult(found, {0: found[-1].hash}, NODE, False, {})


def good(alice: Device, body: str = "good") -> bytes:
    return seal_letter(BOB, ALICE.account_id, Letter(Text(body, profile=Profile("Bob")), alice.sky.now))


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_read_is_counted_and_kept(alice: Device, name: str) -> None:
    alice.run(receive, poll_of(alice, UNREADABLE[name], good(alice)), alice.groups)
    assert [each.message.body for each in of(alice.events, RequestReceived)] == ["good"]
    assert alice.database.unreadable.total() == 1
    [kept] = alice.database.unreadable.after()
    assert (kept.data, bool(kept.reason)) == (UNREADABLE[name], True)
    # A second node has it too: it is the same one.
    alice.run(receive, poll_of(alice, UNREADABLE[name]), alice.groups)
    assert alice.database.unreadable.total() == 1


@pytest.mark.parametrize("name", ODD)
def test_what_is_odd_hides_nothing(alice: Device, name: str) -> None:
    odd = seal_letter(BOB, ALICE.account_id, ODD[name])
    alice.run(receive, poll_of(alice, odd, good(alice)), alice.groups)
    assert "good" in [each.message.body for each in of(alice.events, RequestReceived)]
    assert alice.database.unreadable.total() == 0
    contact = alice.core.configs.contacts.get(BOB.account_id)
    assert contact is not None
    assert len(contact.name.encode()) <= 100
    assert not set(contact.name) & set("\u202e\0\n")
    for message in shown(alice, BOB.account_id):
        for file in alice.database.attachments.of([message.id]):
            assert file.attachment.name == "_.._gpj.exe"
        # What claims to be of the far future is listed where it came.
        assert message.position <= alice.sky.now
    alice.push()


def test_both_at_once_and_again(alice: Device, sky: Sky) -> None:
    odd = [seal_letter(BOB, ALICE.account_id, letter) for letter in ODD.values()]
    result = poll_of(alice, *UNREADABLE.values(), *odd, good(alice))
    alice.run(receive, result, alice.groups)
    count = alice.database.messages.count()
    alice.restart()
    alice.run(receive, result, alice.groups)
    assert alice.database.messages.count() == count
    assert alice.database.unreadable.total() == len(UNREADABLE)


def test_a_fault_of_ours_is_one_message_s(alice: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    from allium.client.session import people

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(people, "heard_from", broken)
        alice.run(receive, poll_of(alice, good(alice)), alice.groups)
    assert alice.events == []
    assert alice.database.messages.count() == 0
    [kept] = alice.database.unreadable.after()
    assert kept.reason == "ZeroDivisionError"


def test_strangers_fill_no_config(alice: Device, sky: Sky, monkeypatch: pytest.MonkeyPatch) -> None:
    from allium.client.session import people

    monkeypatch.setattr(people, "MAX_REQUESTS", 10)
    strangers = [Account.new() for _ in range(15)]
    found = [
        seal_letter(each, ALICE.account_id, Letter(Text("buy"), sky.now + number))
        for number, each in enumerate(strangers)
    ]
    alice.run(receive, poll_of(alice, *found), alice.groups)
    # All are there, and the devices agree on the first ones.
    assert len(of(alice.events, RequestReceived)) == 15
    assert len(alice.core.configs.contacts) == 10


def test_configs_of_a_device_gone_mad(alice: Device, sky: Sky, tmp_path: Path) -> None:
    """Numbers that no client writes, in every place that has room for one."""
    other = Device(sky, tmp_path / "other", ALICE)
    huge = (1 << 63) - 1

    def mad(work: object) -> None:
        configs = other.core.configs
        for number, value in enumerate((huge, -huge, 0)):
            account_id = "05" + f"{number:064x}"
            contact = Contact(account_id, "x" * 100, priority=value, muted_until=value, created=value, updated=value)
            contact.timer = max(value, 0)
            configs.contacts.set(contact)
            configs.volatile.set(account_id, ReadState(max(value, 0), True), huge)
        configs.volatile.set(BOB.account_id, ReadState(huge), huge)
        configs.profile.note_to_self_priority = huge
        configs.profile.note_to_self_timer = huge

    other.run(mad)
    other.push()
    for namespace in (2, 3, 4, 5):
        sky.put(ALICE.account_id, namespace, b"junk", 1_000_000)
    alice.poll()
    assert alice.database.unreadable.total() == 4
    assert len(list(alice.core.configs.contacts)) == 3
    befriend(alice, other_side := Device(sky, tmp_path / "bob", BOB, name="Bob"))
    # Read until the end of days, says the device: until it is there, it is not.
    assert alice.database.conversations.unread() > 0
    alice.restart()
    other_side.core.close()
    other.core.close()


@given(data=st.binary(max_size=400), signed=st.booleans())
def test_any_bytes(shared: Device, data: bytes, signed: bool) -> None:
    """Junk, and junk under a good signature."""
    before = len(of(shared.events, (MessageReceived, RequestReceived)))  # type: ignore[arg-type]
    shared.sky.now += 1
    shared.run(receive, poll_of(shared, enveloped(data) if signed else data, good(shared)), shared.groups)
    assert len(of(shared.events, (MessageReceived, RequestReceived))) > before  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Device]:
    device = Device(Sky(), tmp_path_factory.mktemp("shared") / "alice", ALICE)
    yield device
    device.core.close()


def test_what_a_newer_version_can_read_is_read(alice: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    from allium.client.messages.decoding import MessageError
    from allium.client.session import inbound, letters

    def older(*_: object) -> None:
        raise MessageError("never heard of it")

    with monkeypatch.context() as patch:
        patch.setattr(letters, "take", older)
        alice.run(receive, poll_of(alice, UNREADABLE["junk"], good(alice), b"x"), alice.groups)
    assert (alice.database.messages.count(), alice.database.unreadable.total()) == (0, 3)
    assert alice.run(inbound.read_again, alice.groups) == 1
    assert [each.message.body for each in of(alice.events, RequestReceived)] == ["good"]
    assert [each.data for each in alice.database.unreadable.after()] == [UNREADABLE["junk"], b"x"]
    assert alice.database.unreadable.total() == 3
    # Once is enough, until a version can read more.
    assert alice.run(inbound.read_again, alice.groups) == 0
    monkeypatch.setattr(inbound, "READER", inbound.READER + 1)
    assert alice.run(inbound.read_again, alice.groups) == 0
    assert alice.database.messages.count() == 1
