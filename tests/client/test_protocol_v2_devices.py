"""Devices of one account agree in any order of their messages, and nobody's bytes upset them (`spec/protocol-v2`)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from allium.client import bencode, crypto
from allium.client.account import Account
from allium.client.bencode import Value
from allium.client.protocol_v2 import account_keys, device_group, devices, linking, messages
from allium.client.protocol_v2.account_keys import AccountKey, PublicKeys
from allium.client.protocol_v2.device_group import GroupMessage
from allium.client.protocol_v2.devices import DeviceRecord, Payload, Tombstone, device_keys, merged, read_payload
from allium.client.protocol_v2.linking import LinkRequest
from allium.client.protocol_v2.messages import Reader
from allium.client.protocol_v2.primitives import Encapsulation, Ephemeral, ProtocolError, UnopenedError, x25519

ALICE, BOB = Account(bytes(range(16))), Account(b"\xff" * 16)
NOW = 1_777_777_777
KEYS = [AccountKey(bytes([number]) * 32, NOW + number) for number in range(3)]
CURRENT = KEYS[-1].pair()
PUBLIC = PublicKeys(CURRENT.ml_kem_public, CURRENT.x25519_public)
IDS = [bytes([number]) * 32 for number in range(4)]
PAIRS = [device_keys(each) for each in IDS]
RECORDS = [DeviceRecord.of(pair, 1, NOW, f"device {number}") for number, pair in enumerate(PAIRS)]
GROUP = Payload(dict(zip(IDS[:3], RECORDS, strict=False)), tuple(reversed(KEYS)))
GROUP_ID = device_group.new_group_id(NOW)
REQUEST = LinkRequest.make(ALICE, IDS[3], RECORDS[3])

records = st.builds(
    lambda seqno, timestamp, name, more: DeviceRecord(
        {b"#": seqno, b"@": timestamp, b"M": bytes(1184), b"X": bytes(32), b"d": name, b"zz": more}
    ),
    st.integers(0, 3),
    st.integers(0, 2),
    st.sampled_from([b"a", b"b"]),
    st.sampled_from([1, b"x", [b"y", {b"z": 2}]]),
)
tombstones = st.builds(Tombstone, st.integers(1, 4), st.booleans())
keys = st.builds(
    AccountKey, st.sampled_from(IDS), st.integers(0, 4), st.one_of(st.none(), st.integers(1, 8))
)  # of so few seeds that they meet
payloads = st.builds(
    lambda entries, listed: Payload(entries, account_keys.merged(listed)),
    st.dictionaries(st.sampled_from(IDS), st.one_of(records, tombstones)),
    st.lists(keys, max_size=5),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(payloads, min_size=1, max_size=5), st.randoms())
def test_devices_agree_in_any_order(told: list[Payload], random: Random) -> None:
    expected = merged(*told)
    shuffled = random.sample(told, len(told))
    assert merged(*shuffled) == expected
    assert merged(*shuffled).encode() == expected.encode()
    one_by_one = Payload()
    for payload in shuffled:
        one_by_one = merged(one_by_one, payload, payload)
    assert one_by_one == expected
    half = len(told) // 2
    assert merged(merged(*told[half:]), merged(*told[:half])) == expected
    assert read_payload(devices.padded(expected.encode())) == expected


def test_what_wins() -> None:
    first, second = RECORDS[0], RECORDS[0].numbered(2)
    left, removed = Tombstone(NOW + 9, removed=False), Tombstone(NOW, removed=True)
    later = Tombstone(NOW + 1, removed=True)
    ascending: list[devices.Entry] = [first, second, left, removed, later]
    for lower in range(5):
        for higher in range(lower, 5):
            one, other = Payload({IDS[0]: ascending[lower]}), Payload({IDS[0]: ascending[higher]})
            assert merged(one, other).entries[IDS[0]] == merged(other, one).entries[IDS[0]] == ascending[higher]
    # What a payload does not have is as it was.
    assert merged(GROUP, Payload({IDS[3]: RECORDS[3]})).devices == dict(zip(IDS, RECORDS, strict=True))


def test_an_id_that_is_spent_stays_so() -> None:
    gone = devices.without(GROUP, IDS[1], NOW + 10)
    assert list(gone.devices) == [IDS[0], IDS[2]]
    # The device still has the old key, so there is a new one.
    assert gone.keys[1] == replace(GROUP.keys[0], rotated=NOW + 10) and gone.keys[0].created == NOW + 10
    told = Payload({IDS[1]: RECORDS[1].numbered(99)})
    assert devices.returning(gone, told) == [IDS[1]] and devices.returning(gone, GROUP) == [IDS[1]]
    again = devices.spent(gone, devices.returning(gone, told), NOW + 20)
    assert merged(again, told).entries[IDS[1]] == Tombstone(NOW + 20, removed=True)
    with pytest.raises(ProtocolError):
        linking.admit(again, LinkRequest.make(ALICE, IDS[1], RECORDS[1]), NOW)


def test_keys_go_when_nobody_needs_them() -> None:
    group = devices.rotated(GROUP, NOW + 50)
    assert [key.rotated for key in group.keys] == [None, NOW + 50, NOW + 2, NOW + 1]
    last = NOW + 1 + account_keys.KEPT
    assert len(devices.rotated(group, last - 1).keys) == 5
    assert len(devices.rotated(group, last).keys) == 4
    # Two at once: the later one, then the smaller seed; both open messages.
    at_once = [AccountKey(seed * 32, NOW + 60) for seed in (b"\x50", b"\x4f")]
    both = account_keys.merged(group.keys, at_once)
    assert both[:2] == (at_once[1], at_once[0])
    # A device whose clock is ahead does not keep its key current for ever.
    assert devices.rotated(Payload(keys=(AccountKey(IDS[0], NOW + 999),)), NOW).keys[0].created == NOW + 1000


@pytest.mark.parametrize("size", [1, 26, 254, 255, 5000])
@pytest.mark.parametrize("forward_secret", [True, False])
def test_messages_of_any_size(size: int, forward_secret: bool) -> None:
    content = bytes(range(256)) * 20
    content, (pro_key, pro_secret) = content[:size], crypto.key_pair(b"\7" * 32)
    if forward_secret:
        message = messages.seal(content, ALICE, BOB.account_id, PUBLIC, pro_secret=pro_secret)
    else:
        message = messages.seal_without_keys(content, ALICE, BOB.account_id, pro_secret=pro_secret)
    assert len(message) % 256 == 0 and len(message) >= 1536 and messages.version(message) == 2
    opened = Reader(BOB, KEYS).open(message)
    assert (opened.sender, opened.content) == (ALICE.account_id, content)
    assert opened.forward_secret is forward_secret
    assert opened.pro_signature and crypto.verify(pro_key, opened.pro_signature, opened.pro_signed)
    with pytest.raises(UnopenedError):
        Reader(ALICE, KEYS).open(message)


def test_a_message_is_for_one_recipient() -> None:
    # Whoever got it cannot pass it on as if it had been sent to somebody else: the signature names them.
    inner = messages.inner(b"hello", ALICE, ALICE.account_id)
    ephemeral = Ephemeral()
    own = BOB.x25519_public
    key, nonce = messages._fallback_keys(x25519(ephemeral.secret, own), ephemeral.public, own)
    sealed = crypto.encrypt(messages._padded(inner), nonce, key)
    with pytest.raises(ProtocolError, match="signature"):
        Reader(BOB, []).open(b"\0\2" + bytes(2) + ephemeral.public + bytes(1088) + sealed)
    with pytest.raises(ValueError, match="nodes store"):
        messages.seal(bytes(76_000), ALICE, BOB.account_id, PUBLIC)


def test_keys_of_which_many_begin_alike() -> None:
    reader = Reader(BOB, KEYS)
    first = KEYS[0].pair()
    # As if the other keys began with the same two bytes.
    reader._pairs = {first.ml_kem_public[:2]: [key.pair() for key in reversed(KEYS)]}
    message = messages.seal(b"hello", ALICE, BOB.account_id, PublicKeys(first.ml_kem_public, first.x25519_public))
    assert reader.open(message).forward_secret


def test_a_group_message_is_for_its_devices() -> None:
    removed = devices.without(GROUP, IDS[1], NOW + 10)
    message = GroupMessage.read(device_group.seal(ALICE, GROUP_ID, removed, [IDS[1]]), ALICE)
    assert message.group_id == GROUP_ID
    assert [message.open(pair) for pair in PAIRS] == [removed, None, removed, None]
    assert [message.removes(ALICE, each) for each in IDS] == [False, True, False, False]
    assert (len(message.entries), len(message.ciphertexts), len(message.notices)) == (4, 4, 4)
    with pytest.raises(ProtocolError, match="sign"):
        GroupMessage.read(device_group.seal(ALICE, GROUP_ID, GROUP), BOB)
    with pytest.raises(ValueError, match="devices and an account key"):
        device_group.seal(ALICE, GROUP_ID, Payload(GROUP.entries))
    many = Payload({bytes([number]) * 32: RECORDS[0] for number in range(40)}, GROUP.keys)
    with pytest.raises(ValueError, match="nodes store"):
        device_group.seal(ALICE, GROUP_ID, many)


def test_five_devices_have_eight_slots_in_any_order() -> None:
    five = Payload({bytes([number]) * 32: RECORDS[number % 4] for number in range(5)}, GROUP.keys)
    message = GroupMessage.read(device_group.seal(ALICE, GROUP_ID, five), ALICE)
    assert len(message.entries) == 8 and message.notices == ()
    assert all(message.open(pair) == five for pair in PAIRS)


def test_a_device_without_usable_keys_keeps_nobody_out() -> None:
    broken = DeviceRecord(dict(RECORDS[3].fields) | {b"M": b"\xff" * 1184, b"zz": b"new"})
    same_for_all = DeviceRecord(dict(RECORDS[3].fields) | {b"X": bytes(32)})
    group = merged(GROUP, Payload({IDS[3]: broken, b"\4" * 32: same_for_all}))
    message = GroupMessage.read(device_group.seal(ALICE, GROUP_ID, group), ALICE)
    assert message.open(PAIRS[0]) == group
    unusable = account_keys.record(ALICE, PublicKeys(b"\xff" * 1184, PUBLIC.x25519))
    for data in (unusable, account_keys.record(ALICE, PublicKeys(PUBLIC.ml_kem, bytes(32)))):
        with pytest.raises(ProtocolError):
            account_keys.read_record(ALICE.account_id, data)


def test_what_a_newer_version_writes_hides_nothing() -> None:
    newer: dict[bytes, Value] = {
        b"D": {
            IDS[0]: dict(RECORDS[0].fields) | {b"zz": [1, b"x"]},
            IDS[1]: [b"another form"],
            IDS[2]: 0,
            b"short": -5,
            IDS[3]: {b"#": 1},
        },
        b"K": [{b"c": 5, b"s": b"short"}, 7, {b"c": 1 << 62, b"s": IDS[1]}, {b"c": 5, b"s": IDS[0], b"r": b"x"}],
        b"Z": 1,
    }
    read = read_payload(bencode.encode(newer))
    assert list(read.entries) == [IDS[0]] and read.devices[IDS[0]].fields[b"zz"] == [1, b"x"]
    assert read.keys == (AccountKey(IDS[0], 5),)
    odd = DeviceRecord(dict(RECORDS[0].fields) | {b"d": b"\xff" * 99, b"t": 3, b"v": -1})
    assert (odd.description, odd.kind, odd.version) == ("\ufffd" * 64, "", (0, 0, 0))
    with pytest.raises(ProtocolError, match="more than"):
        read_payload(bencode.encode({b"D": {number.to_bytes(32, "big"): 1 for number in range(1025)}}))


def test_linking() -> None:
    opened = linking.open_request(REQUEST.seal(ALICE, CURRENT.x25519_public), ALICE, KEYS)
    assert opened == REQUEST and not linking.replaces(GROUP, opened)
    admitted = linking.admit(GROUP, opened, NOW)
    assert admitted.devices[IDS[3]] == RECORDS[3] and admitted.keys == GROUP.keys
    # Only what the applicant's own user has confirmed is joined.
    assert linking.admission(admitted, [], REQUEST) == "hold"
    assert linking.admission(admitted, [REQUEST], None) == "join"
    assert linking.admission(GROUP, [REQUEST], REQUEST) == "none"
    other = LinkRequest.make(ALICE, IDS[3], DeviceRecord.of(PAIRS[3], 1, NOW + 1, "device 3"))
    assert linking.admission(admitted, [other], other) == "none"
    # Under an id that a device has, it takes that one's place, and the key that the other knows is replaced.
    taking = LinkRequest.make(ALICE, IDS[0], DeviceRecord.of(PAIRS[3], 1, NOW + 5, "device 3"))
    assert linking.replaces(GROUP, taking)
    taken = linking.admit(GROUP, taking, NOW + 6)
    assert taken.devices[IDS[0]].seqno == 2 and taken.devices[IDS[0]].x25519 == PAIRS[3].x25519_public
    assert taken.keys[0] not in GROUP.keys and linking.admission(taken, [taking], None) == "join"
    with pytest.raises(ProtocolError, match="sign"):
        LinkRequest.read(BOB, REQUEST.encoded)


def test_which_version_and_which_kind() -> None:
    assert [messages.version(data) for data in (b"", b"\x08\x01", b"\0\2")] == [1, 1, 2]
    for data in (b"\0", b"\0\1", b"\0\3junk"):
        with pytest.raises(ProtocolError, match="unknown version"):
            messages.version(data)
    assert device_group.kind(device_group.seal(ALICE, GROUP_ID, GROUP)) == "group"
    with pytest.raises(ProtocolError):
        device_group.kind(b"d0:1:Xe")


WHOLE = {
    "record": account_keys.record(ALICE, PUBLIC),
    "message": messages.seal(b"hello", BOB, ALICE.account_id, PUBLIC),
    "group": device_group.seal(ALICE, GROUP_ID, GROUP, [IDS[3]]),
    "request": REQUEST.seal(ALICE, CURRENT.x25519_public),
}
READER = Reader(ALICE, KEYS)


def _group(data: bytes) -> object:
    return GroupMessage.read(data, ALICE).open(PAIRS[0])


READ: dict[str, Callable[[bytes], object]] = {
    "record": lambda data: account_keys.read_record(ALICE.account_id, data),
    "message": READER.open,
    "group": _group,
    "request": lambda data: linking.open_request(data, ALICE, KEYS),
}
#: Dicts of the right keys and any values, which get further than bytes of chance.
values = st.recursive(
    st.one_of(st.integers(-(1 << 63), (1 << 64) - 1), st.binary(max_size=40), st.sampled_from([bytes(32), bytes(64)])),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.binary(max_size=3), inner, max_size=3)),
    max_leaves=6,
)
names = st.sampled_from([b"", b"@", b"A", b"C", b"D", b"E", b"I", b"K", b"L", b"M", b"S", b"X", b"c", b"d", b"i", b"k"])
junk = st.one_of(
    st.binary(max_size=200),
    st.binary(max_size=1600).map(lambda tail: b"\0\2" + tail),
    st.dictionaries(st.one_of(names, st.just(b"~")), values, max_size=9).map(bencode.encode),
    st.sampled_from(
        [b"l" * 5000, b"d" + b"0:d" * 5000, b"99999999999999999999:", bytes(76_801), b"\0\2" + bytes(1600)]
    ),
)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(READ)), junk)
@example("group", b"d0:1:Ge")
@example("request", b"d0:1:L1:E32:" + bytes(32) + b"1:L0:1:i2:..e")
def test_junk_is_one_error(kind: str, data: bytes) -> None:
    with pytest.raises(ProtocolError):
        READ[kind](data)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(READ)), st.integers(0, 1 << 16), st.integers(0, 255), st.booleans())
def test_what_was_changed_is_not_read(kind: str, place: int, change: int, cut: bool) -> None:
    whole = WHOLE[kind]
    place %= len(whole)
    changed = whole[:place] if cut else whole[:place] + bytes([whole[place] ^ (change or 1)]) + whole[place + 1 :]
    with pytest.raises(ProtocolError):
        READ[kind](changed)
    assert READ[kind](whole)


@settings(max_examples=100, deadline=None)
@given(junk, st.booleans())
def test_junk_that_the_account_or_a_sender_signed(data: bytes, dicts: bool) -> None:
    """What only a device of the account, or a sender, can do: junk inside of what is sealed or signed."""
    with suppress(ProtocolError):
        assert read_payload(read_payload(data).encode())
    try:
        items = bencode.decode_dict(data)
    except bencode.BencodeError:
        items = {b"c": data}
    items = {each: value for each, value in items.items() if each < b"~"}
    signed = bencode.encode({**items, b"~": ALICE.sign(bencode.encode(items)[:-1])})
    for read in (_group, lambda each: LinkRequest.read(ALICE, each)):
        with pytest.raises(ProtocolError):
            read(signed)
    encapsulation, ephemeral = Encapsulation.to(PUBLIC.ml_kem), Ephemeral()
    point = x25519(ephemeral.secret, PUBLIC.x25519)
    key, nonce = messages._keys(encapsulation.secret, point, ephemeral.public, PUBLIC.x25519)
    whole = messages.seal(b"x", BOB, ALICE.account_id, PUBLIC, ephemeral=ephemeral, encapsulation=encapsulation)
    with pytest.raises(ProtocolError):
        READER.open(whole[: messages._HEADER_BYTES] + crypto.encrypt(data if dicts else signed, nonce, key))
