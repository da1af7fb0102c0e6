"""Session Protocol v2 byte for byte after `spec/protocol-v2` §8, and whatever strangers and devices make of it."""

from __future__ import annotations

import hashlib

import pytest

from allium._native import MlKem768Key, ml_kem_768_encapsulate
from allium.client import bencode, crypto, curve
from allium.client.account import Account
from allium.client.protocol_v2 import account_keys, device_group, emoji, linking, messages
from allium.client.protocol_v2.account_keys import AccountKey, PublicKeys
from allium.client.protocol_v2.device_group import GroupMessage, Randomness
from allium.client.protocol_v2.devices import DeviceRecord, Payload, Tombstone, device_keys, read_payload
from allium.client.protocol_v2.linking import LinkRequest
from allium.client.protocol_v2.messages import Reader
from allium.client.protocol_v2.primitives import Encapsulation, Ephemeral, ProtocolError, UnopenedError, x25519
from tests.support import ml_kem

ALICE, BOB = Account(bytes(range(16))), Account(b"\xff" * 16)
KEY = AccountKey(bytes(range(0x40, 0x60)), 1777777777)
PAIR = KEY.pair()
KEYS = PublicKeys(PAIR.ml_kem_public, PAIR.x25519_public)
EPHEMERAL = Ephemeral(bytes(range(1, 33)))
COINS = bytes(range(0x60, 0x80))
CONTENT = bytes.fromhex("0a110a0568656c6c6faa06070a05416c69636578fbd095ffbc31")
DEVICE_ID = bytes(range(32))
DEVICE = device_keys(bytes(range(0x20, 0x40)))
RECORD = DeviceRecord.of(DEVICE, 1, 1777777777, "test device", "d", (2, 0, 0))
GROUP_ID = bytes.fromhex("bd1cc40101020304")


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def encapsulated(public: bytes) -> Encapsulation:
    return Encapsulation(*ml_kem.encapsulate(public, COINS))


def test_account_keys() -> None:
    assert PAIR.x25519_secret.hex() == "1503a87096dca441986ab666a32c8e4533515dc72bd2d1ff6a52d5837dcf0de2"
    assert PAIR.x25519_public.hex() == "b9a56fee77415c82e97c4c2ab17f05d007aec74ac9eb950fd568dcb806140947"
    assert PAIR.ml_kem_public.hex().startswith("5b232a63")
    assert sha256(PAIR.ml_kem_public) == "2cc7b69a0166e3e3c88736745ecfa2feec828f98d94db8f376168e4f2043394a"


def test_the_record_of_an_account() -> None:
    record = account_keys.record(BOB, KEYS)
    assert len(record) == 1302
    assert curve.point_of(BOB.x25519_public).hex() == "50a8a21fb13d4d2e03037e393e5c60ddb9f92d97b55c8aa77e95a0624215d721"
    signature = bencode.decode_dict(record)[b"~"]
    assert isinstance(signature, bytes)
    assert signature.hex() == (
        "5c6fbde3b271486bce2a1ef0503b57be736ddc6fd92d3d618e0d34ddf5490bf9"
        "73d62a465f5c722610218cc9d12408d0f94784050716e7fdd47a6fface074a0a"
    )
    assert account_keys.read_record(BOB.account_id, record) == KEYS


def test_a_record_of_either_sign_and_no_other() -> None:
    # One of the two keys is negative, and signs with its other form; the other signs as ever.
    assert curve.is_negative(BOB.ed25519_public) and not curve.is_negative(Account(b"\0" * 16).ed25519_public)
    for account in (ALICE, BOB, Account(b"\0" * 16)):
        record = account_keys.record(account, KEYS)
        assert account_keys.read_record(account.account_id, record) == KEYS
        with pytest.raises(ProtocolError):
            account_keys.read_record(Account(b"\1" * 16).account_id, record)
    with_more = {b"M": KEYS.ml_kem, b"X": KEYS.x25519, b"a": b"new", b"z": [1]}
    signed = bencode.encode(with_more)[:-1]
    record = bencode.encode({**with_more, b"~": account_keys.positive_signature(ALICE, signed), b"~~": 1})
    assert account_keys.read_record(ALICE.account_id, record) == KEYS


def test_when_keys_are_replaced() -> None:
    due = KEY.created + 12 * 3600
    assert KEY.due(DEVICE_ID, 1) - due == pytest.approx(-2154.298, abs=0.001)
    assert KEY.due(DEVICE_ID, 3) - due == pytest.approx(-75.463, abs=0.001)
    digest = crypto.blake2b(8, DEVICE_ID, key=KEY.seed, person=b"SessionAccKeyRot")
    assert int.from_bytes(digest, "little") / 2**64 == 0.7992080575954292
    assert [account_keys.freshness(hours * 3600) for hours in (23, 24, 47, 48)] == ["fresh", "stale", "stale", "old"]


def test_a_message() -> None:
    ciphertext, secret = encapsulated(KEYS.ml_kem)
    assert secret.hex() == "b1cf4d7d920ff2a9660d1156ad682bab8c57a4e320a001c50d95f2fdd7882ce7"
    assert sha256(ciphertext) == "df20b542e21b50b174aeb7be566a589d3738f091543666cdf1eed1e07697d2ba"
    assert EPHEMERAL.public.hex() == "07a37cbc142093c8b755dc1b10e86cb426374ad16aa853ed0bdfc0b2b86d1c7c"
    shared = x25519(EPHEMERAL.secret, BOB.x25519_public)
    assert messages._kiss(shared, EPHEMERAL.public, BOB.x25519_public).hex() == "e6e8"
    point = x25519(EPHEMERAL.secret, KEYS.x25519)
    hashed = hashlib.sha3_256(secret + point + EPHEMERAL.public + KEYS.x25519 + bytes.fromhex("5c2e2f2f5e5c"))
    assert hashed.hexdigest() == "4b03215c7cdd0cb9d41de36b6206247edb6e69f12265b915aca679cfa64b0602"
    key, nonce = messages._keys(secret, point, EPHEMERAL.public, KEYS.x25519)
    assert key.hex() == "1905167660166055458a5d4cf436ffe6f599299da8c89eb5d82de957da449607"
    assert nonce.hex() == "3507246026368310e219409a0915cfff2ecd26333f02eec9"
    inner = messages.inner(CONTENT, ALICE, BOB.account_id)
    assert len(inner) == 142
    assert inner.hex().endswith(
        "5fdfab46940cf5c039bf33971e7c8c33129d8c0be1288928c7fd8ff4e43bf8d96b4ef323562750135fc144ab34979b683f85780548e67062180e42453b8f830f65"
    )
    message = messages.seal(
        CONTENT, ALICE, BOB.account_id, KEYS, ephemeral=EPHEMERAL, encapsulation=Encapsulation(ciphertext, secret)
    )
    assert message[2:4].hex() == "bdcb"
    assert len(message) == 1536
    assert sha256(message) == "9ddea758bc859bab132a8a6866e34ccff717c25b48f648d19b469dc49e240d73"
    opened = Reader(BOB, [KEY]).open(message)
    assert (opened.sender, opened.content, opened.forward_secret) == (ALICE.account_id, CONTENT, True)


def test_a_message_without_keys() -> None:
    key, nonce = messages._fallback_keys(
        x25519(EPHEMERAL.secret, BOB.x25519_public), EPHEMERAL.public, BOB.x25519_public
    )
    assert key.hex() == "3fe4a3f58a1dec620ab0442f0af65ec671c6bbd7983b1be4f870463b2b4dc3a6"
    assert nonce.hex() == "837052dd0f65e7a69dbf2c04b28573bc7765047508eceae5"
    random = b"\xaa\xbb" + b"\x11" * 1088
    message = messages.seal_without_keys(CONTENT, ALICE, BOB.account_id, ephemeral=EPHEMERAL, random=random)
    assert len(message) == 1536
    assert sha256(message) == "7ffc0d5d3b12047a2ce9e99f71d9f20727bf359f0a9109c2b677b2c069b3eb7c"
    opened = Reader(BOB, [KEY]).open(message)
    assert (opened.sender, opened.content, opened.forward_secret) == (ALICE.account_id, CONTENT, False)


def test_a_device() -> None:
    assert DEVICE.x25519_public.hex() == "8ed331e29289db52063a93e66d5fae44dfa748b77838178c557754ec11505e3a"
    assert sha256(DEVICE.ml_kem_public) == "45ae4fce97cbe3ac062e0b8b568ec80c8342b0b745ffc340190cc34c714dc383"
    assert len(RECORD.encoded) == 1288
    assert sha256(RECORD.encoded) == "6ccfc1ee62019353376586b2e4fd03f5ee12a52a4e89ca8d19063e529ac31b81"
    assert (RECORD.description, RECORD.kind, RECORD.version) == ("test device", "d", (2, 0, 0))


def test_a_request_to_be_linked() -> None:
    request = LinkRequest.make(ALICE, DEVICE_ID, RECORD)
    assert len(request.encoded) == 1401
    assert sha256(request.encoded) == "6c0598dfa9bf70d2fc3b79b20148c4f8b958779b9f55b350442b3025d3bf2ea2"
    seed = request.emoji_seed()
    assert seed.hex() == "e39669ef19f086427151bba20f74eb00"
    assert emoji.indices(seed, linking.ALL) == [
        *(35, 27, 25, 26, 47, 39, 1, 60, 6, 10, 20, 28, 17, 45, 43, 40, 15, 16, 55, 58, 0)
    ]
    shown = [each.name for each in request.emoji(linking.SHOWN)]
    assert shown == ["Santa", "Pizza", "Strawberry", "Corn", "Key", "Clock", "Cat"]
    message = request.seal(ALICE, KEYS.x25519, EPHEMERAL)
    assert bencode.decode_dict(message)[b"i"] == bytes.fromhex("f514")
    assert len(message) == 1477
    assert sha256(message) == "dcd639dd7a298791c4a08eebcb4ea4f7a7dbac49a6e5e3175b3d3b7594866343"
    assert device_group.kind(message) == "link"
    assert linking.open_request(message, ALICE, [KEY]) == request


def test_the_emoji() -> None:
    assert [len(set(column)) for column in zip(*emoji.TABLE, strict=True)] == [64, 64] == [len(emoji.TABLE)] * 2
    assert emoji.TABLE[0] == ("\N{DOG FACE}", "Dog") and emoji.TABLE[63] == ("\N{PUSHPIN}", "Pin")
    assert linking.group_seed(GROUP_ID).hex() == "a47dca89cd8c49e2431505394741c3c9"
    assert emoji.indices(linking.group_seed(GROUP_ID), linking.OF_GROUP) == [36, 54, 39, 50]
    assert [each.name for each in linking.group_emoji(GROUP_ID)] == ["Thumbs Up", "Rocket", "Clock", "Flag"]


def test_a_group_message() -> None:
    payload = Payload({DEVICE_ID: RECORD}, (KEY,))
    assert len(payload.encode()) == 1390
    assert sha256(payload.encode()) == "e3afcca56a2b2edbf03d3bda3560f53bea7ea01c1fc2a8fcf538a90f9f81c49a"
    given = Randomness(
        EPHEMERAL,
        bytes(range(0x80, 0xA0)),
        encapsulated,
        lambda slot, size: bytes([(0xC0 if size == 1088 else 0xD0) + slot]) * size,
        lambda slots: None,
    )
    message = device_group.seal(ALICE, GROUP_ID, payload, given=given)
    items = bencode.decode_dict(message)
    packed, entries, sealed = items[b"C"], items[b"K"], items[b"d"]
    assert isinstance(packed, bytes) and isinstance(entries, bytes) and isinstance(sealed, bytes)
    nonce = device_group._payload_nonce(packed, EPHEMERAL.public)
    assert nonce.hex() == "70f204e299bcdf1a6672b4d9d9f14b4ebcf15ae2e2287375"
    assert len(sealed) == 8716
    secret = encapsulated(DEVICE.ml_kem_public).secret
    shared = x25519(EPHEMERAL.secret, DEVICE.x25519_public)
    key = device_group._device_key(shared, EPHEMERAL.public, DEVICE.x25519_public, secret, DEVICE.ml_kem_public)
    assert key.hex() == "0df9121931604aba5b5a3cfeb1fcf7779b9ab79325ff9d507fc9856330fb3709"
    assert entries[:34].hex() == "e269" + "f4333ff4c5bae5f79ff232f0da04763089a41be9ad5d4355f8489f7821cb862a"
    assert items[b"@"] == bytes.fromhex("6eb48ab7607cca0c")
    assert len(message) == 13_393
    assert sha256(message) == "c64943003feaa95637bc25242ef02a27b70aab6d922c38d30c1ead2a9c250660"
    assert device_group.kind(message) == "group"
    read = GroupMessage.read(message, ALICE)
    assert (read.group_id, read.x25519_public) == (GROUP_ID, KEYS.x25519)
    assert read.open(DEVICE) == payload


def test_a_notice_of_removal() -> None:
    removed = bytes(range(0xE0, 0x100))
    notice = device_group.removal_notice(ALICE, removed, EPHEMERAL.public)
    assert notice.hex() == "f9470b3e7485f8852a904c8bb49363b7"


def test_the_kem() -> None:
    key, other = MlKem768Key(bytes(64)), MlKem768Key(bytes(range(64)))
    ciphertext, secret = ml_kem_768_encapsulate(key.public)
    assert (len(key.public), len(ciphertext), len(secret)) == (1184, 1088, 32)
    assert key.decapsulate(ciphertext) == secret == MlKem768Key(bytes(64)).decapsulate(ciphertext)
    assert other.decapsulate(ciphertext) != secret
    # As FIPS 203 has it, computed apart from AWS-LC: what it decrypts it encrypts anew to see that nothing was changed.
    ciphertext, secret = ml_kem.encapsulate(other.public, COINS)
    assert other.decapsulate(ciphertext) == secret
    assert ml_kem_768_encapsulate(key.public)[0] != ml_kem_768_encapsulate(key.public)[0]
    for length in (0, 63, 65):
        with pytest.raises(ValueError, match="64 bytes"):
            MlKem768Key(bytes(length))
    # The last one has the right length, and coefficients beyond the field's.
    for public in (b"", key.public[:-1], key.public + b"\0", b"\xff" * 1184):
        with pytest.raises(ValueError, match="public key"):
            ml_kem_768_encapsulate(public)
    for wrong in (b"", ciphertext[:-1], ciphertext + b"\0"):
        with pytest.raises(ValueError, match="1088 bytes"):
            key.decapsulate(wrong)


def test_what_nobody_can_open_says_so() -> None:
    message = messages.seal(CONTENT, ALICE, BOB.account_id, KEYS)
    with pytest.raises(UnopenedError):
        Reader(BOB, []).open(message)
    request = LinkRequest.make(ALICE, DEVICE_ID, RECORD).seal(ALICE, KEYS.x25519)
    with pytest.raises(UnopenedError):
        linking.open_request(request, ALICE, [AccountKey(b"\1" * 32, 1)])
    group = device_group.seal(ALICE, GROUP_ID, Payload({DEVICE_ID: RECORD}, (KEY,)))
    assert GroupMessage.read(group, ALICE).open(device_keys(b"\2" * 32)) is None
    assert isinstance(read_payload(Payload({DEVICE_ID: Tombstone(7, True)}).encode()).entries[DEVICE_ID], Tombstone)
