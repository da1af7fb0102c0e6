"""Groups' keys, subaccounts, messages, notices, and blinding, against published vectors (`spec/groups`)."""

from __future__ import annotations

import base64
import contextlib
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl import bindings

from allium.client import bencode, crypto, curve
from allium.client.account import Account
from allium.client.configs.group_info import GroupInfo
from allium.client.configs.group_members import GroupMembers, Member, Step
from allium.client.groups import admin, blinding, envelope, kicked, requests, subaccounts
from allium.client.groups.blinding import BlindingError, blinded_key
from allium.client.groups.identity import GroupIdentity
from allium.client.groups.keys import KEPT_MS, GroupKeys, KeysError, make_key
from allium.client.groups.subaccounts import SubaccountError
from allium.client.messages import updates
from allium.client.messages.decoding import MessageError
from allium.client.messages.kinds import Letter, Profile, Text

ALICE, BOB, EVE = Account(bytes(range(16))), Account(b"\xff" * 16), Account(b"\x33" * 16)
GROUP = GroupIdentity.of_seed(bytes(range(0x20, 0x40)))
AS_MEMBER = GroupIdentity(GROUP.public)
MEMBERS = [ALICE.account_id, BOB.account_id]
NONCE = bytes(range(24))
SENT = 1_700_000_000_123
KEY = bytes.fromhex("91f7b8f93e42e9cb153fb74441b6f8a3ad32a3cf1742215dc8afca7c8219dc26")


def test_the_group_of_the_vectors() -> None:
    assert GROUP.group_id == "0329acbae141bccaf0b22e1a94d34d0bc7361e526d0bfe12c89794bc9322966dd7"
    assert GROUP.x25519_public.hex() == "5730800ab340fcb18ce5111eda9d705f91388b41e4544cbd103ba5942db2233e"
    assert GroupIdentity.parse(GROUP.group_id, GROUP.seed) == GROUP
    with pytest.raises(ValueError, match="another group's"):
        GroupIdentity.parse("03" + "ab" * 32, GROUP.seed)
    assert "seed" not in repr(GROUP)


# Keys (§2)


def test_the_keys_message_has_its_published_bytes() -> None:
    made = make_key(GROUP, reversed(MEMBERS), 0)
    assert made.key.key == KEY
    message = bencode.decode_dict(made.payload)
    assert message[b"#"] == bytes.fromhex("d671db45ec490dc5913b217f3c7ec924cf688d7d74b7639d")
    assert message[b"K"] == bytes.fromhex(
        "253ce68d6bcabf4328cae751410e515fcef4c3fc27b8ed7cbf9087b3e1dc0d744e9847f6d7411cd5c79d52ee43cc76e7"
    )
    entries = message[b"k"]
    assert isinstance(entries, list) and len(entries) == 45
    assert entries[2] == bytes.fromhex(
        "d2163e9c01d192f7013fd79e231c810c95ca124768ea8a683d4001707eeaeb70ffd1dc3caa1165ade413f8201b37600e"
    )
    assert len(made.payload) == 2_462
    digest = hashlib.sha256(made.payload).hexdigest()
    assert digest == "882b5934522b4e472e7b8c55ffb13f0ee983fcff9d2e9e2185b424af044ea5c3"


@pytest.mark.parametrize(("account", "group"), [(BOB, AS_MEMBER), (ALICE, GROUP)])
def test_members_and_admins_open_the_key(account: Account, group: GroupIdentity) -> None:
    keys = GroupKeys(account, group)
    assert keys.load("hash", make_key(GROUP, MEMBERS, 0).payload, SENT)
    assert (keys.keys, keys.generation, keys.active_hashes) == ([KEY], 0, ["hash"])
    again = GroupKeys(account, group)
    again.restore(keys.dump())
    assert (again.keys, again.active_hashes) == ([KEY], ["hash"])


def test_who_is_no_member_gets_nothing() -> None:
    keys = GroupKeys(EVE, AS_MEMBER)
    assert not keys.load("hash", make_key(GROUP, MEMBERS, 0).payload, SENT)
    assert (keys.keys, keys.generation) == ([], -1)


def test_an_admin_uses_a_new_key_at_once_and_confirms_it_by_reading() -> None:
    keys = GroupKeys(ALICE, GROUP)
    first = keys.rekey(MEMBERS)
    assert (keys.keys, keys.generation, keys.pending) == ([KEY], 0, first.payload)
    keys.load("one", first.payload, SENT)
    assert keys.pending is None
    second = keys.rekey([*MEMBERS, EVE.account_id])
    again = GroupKeys(ALICE, GROUP)
    again.restore(keys.dump())
    assert again.keys == keys.keys == [second.key.key, KEY]
    assert again.pending == second.payload


def test_two_admins_at_once_have_to_do_it_again() -> None:
    keys = GroupKeys(ALICE, GROUP)
    keys.load("one", make_key(GROUP, MEMBERS, 0).payload, SENT)
    keys.load("two", make_key(GROUP, [*MEMBERS, EVE.account_id], 0).payload, SENT + 5)
    assert keys.needs_rekey
    keys.load("three", keys.rekey(MEMBERS).payload, SENT + 9)
    assert (keys.generation, keys.needs_rekey, len(keys.keys)) == (1, False, 3)


def test_a_key_is_forgotten_60_days_after_a_newer_one() -> None:
    keys = GroupKeys(ALICE, GROUP)
    for generation, when in ((0, SENT), (1, SENT + 5), (2, SENT + 4 + KEPT_MS)):
        keys.load(f"{generation}", make_key(GROUP, MEMBERS, generation).payload, when)
    assert len(keys.keys) == 3
    keys.load("3", make_key(GROUP, MEMBERS, 3).payload, SENT + 6 + KEPT_MS)
    assert (len(keys.keys), keys.active_hashes) == (3, ["1", "2", "3"])


def test_a_supplement_shares_the_history() -> None:
    keys = GroupKeys(ALICE, GROUP)
    for generation in range(2):
        keys.load(f"{generation}", make_key(GROUP, MEMBERS, generation).payload, SENT + generation)
    supplement = keys.supplement([EVE.account_id])
    assert supplement == keys.supplement([EVE.account_id])
    new = GroupKeys(EVE, AS_MEMBER)
    assert new.load("s", supplement, SENT + 9)
    assert new.keys == keys.keys
    assert not GroupKeys(BOB, AS_MEMBER).load("s", supplement, SENT + 9)
    with pytest.raises(ValueError):
        GroupKeys(ALICE, GROUP).supplement([EVE.account_id])


@given(st.binary(max_size=300))
def test_no_bytes_are_keys(data: bytes) -> None:
    keys = GroupKeys(BOB, AS_MEMBER)
    with pytest.raises(KeysError):
        keys.load("h", data, SENT)
    with pytest.raises(KeysError):
        keys.restore(data)


@given(
    st.dictionaries(
        st.sampled_from([b"#", b"+", b"G", b"K", b"k"]),
        st.integers(-1, 3) | st.binary(max_size=60) | st.lists(st.binary(max_size=50), max_size=3),
    )
)
def test_nothing_that_an_admin_signs_breaks_the_reader(message: dict[bytes, object]) -> None:
    signed = bencode.encode({**message, b"#": NONCE})[:-1]
    payload = signed + b"1:~64:" + GROUP.sign(signed) + b"e"
    for account, group in ((BOB, AS_MEMBER), (ALICE, GROUP)):
        keys = GroupKeys(account, group)
        with contextlib.suppress(KeysError):
            assert not keys.load("h", payload, SENT)


# Subaccounts (§4)


def test_tokens_and_signatures_of_members_have_their_published_bytes() -> None:
    auth = subaccounts.issue(GROUP, BOB.account_id)
    assert auth.mask.hex() == "ffeecebb098418d3ee6094d4c0a0519472ba513c18f2276253691b30df94920c"
    token = subaccounts.token(GROUP, BOB.account_id)
    assert token.hex() == "03030000593fe98ef147ff26731aaaad0bf5bf65d2e9e0ff22ca267db9ac824c0a242fd2"
    assert auth.token_signature.hex() == (
        "940f8adf0a73bd02cbbec4725c2ed3bf1aab58821fe1b3a4b594d5bcf3b55ddc"
        "93a66141a6575d2b7fa555cb43ea50122b67eae4b4391b723094dd58f31b870f"
    )
    signed = subaccounts.sign(BOB, subaccounts.verify(AS_MEMBER, BOB, auth.encoded()), b"retrieve111700000000123")
    assert base64.b64encode(signed.signature) == (
        b"D5Jikz3tC7SIbL+2RaosjYnSn0TNYGtQ15f66xlPQ08oQaJ9pkRMGsWnr0sB+Ix4RYzL1SbWhxvk09og9SSPBA=="
    )
    assert signed.token == token
    assert crypto.verify(token[4:], signed.signature, b"retrieve111700000000123")


@given(st.binary(min_size=16, max_size=16), st.binary(max_size=40))
def test_every_account_signs_what_verifies(entropy: bytes, message: bytes) -> None:
    account = Account(entropy)
    auth = subaccounts.verify(AS_MEMBER, account, subaccounts.issue(GROUP, account.account_id).encoded())
    signed = subaccounts.sign(account, auth, message)
    assert crypto.verify(signed.token[4:], signed.signature, message)
    assert GROUP.verify(signed.token_signature, signed.token)


@given(st.binary(max_size=120))
def test_no_bytes_are_auth_data(data: bytes) -> None:
    for padded in (data, (b"\x03\x03\0\0" + data).ljust(100, b"\0")[:100]):
        with pytest.raises(SubaccountError):
            subaccounts.verify(AS_MEMBER, BOB, padded)


def test_auth_data_of_others_is_refused() -> None:
    with pytest.raises(SubaccountError, match="somebody else"):
        subaccounts.verify(AS_MEMBER, EVE, subaccounts.issue(GROUP, BOB.account_id).encoded())
    read_only = subaccounts.issue(GROUP, BOB.account_id, subaccounts.READ)
    with pytest.raises(SubaccountError, match="right to write"):
        subaccounts.verify(AS_MEMBER, BOB, read_only.encoded())


def test_requests_of_admins_and_members() -> None:
    revoked = subaccounts.token(GROUP, BOB.account_id)
    asked = requests.as_admin(GROUP, "revoke_subaccount", {"revoke": [revoked.hex()]}, SENT)
    assert asked.keys() == {"pubkey", "revoke", "timestamp", "signature"}
    assert GROUP.verify(base64.b64decode(asked["signature"]), f"revoke_subaccount{SENT}".encode() + revoked)
    auth = subaccounts.issue(GROUP, BOB.account_id)
    stored = requests.as_member(BOB, AS_MEMBER, auth, "retrieve", {"namespace": 11}, 1_700_000_000_123)
    assert stored["signature"] == (
        "D5Jikz3tC7SIbL+2RaosjYnSn0TNYGtQ15f66xlPQ08oQaJ9pkRMGsWnr0sB+Ix4RYzL1SbWhxvk09og9SSPBA=="
    )
    assert base64.b64decode(stored["subaccount"]) == revoked
    assert GROUP.verify(base64.b64decode(stored["subaccount_sig"]), revoked)
    with pytest.raises(ValueError, match="only an admin"):
        requests.as_admin(AS_MEMBER, "store", {"namespace": 11}, SENT)


# Messages (§5)


def test_a_group_message_has_its_published_bytes() -> None:
    plaintext = bytes.fromhex("080728fbd095ffbc313801421a0a110a0568656c6c6faa06070a05416c69636578fbd095ffbc31")
    data = envelope.encrypt(BOB, GROUP, KEY, plaintext, NONCE)
    assert len(data) == 256
    assert hashlib.sha256(data).hexdigest() == "c95ca21a97e2d7c5f71f776d41443f419bad7e9b869bba7e53c3d9a20e2212bb"
    received = envelope.open_letter(AS_MEMBER, [b"\1" * 32, KEY], data)
    assert received.sender == BOB.account_id
    assert received.letter == Letter(Text("hello", profile=Profile("Alice")), SENT)


@given(st.text(min_size=1, max_size=5_000).filter(lambda each: each.isprintable()))
def test_group_messages_of_any_length(body: str) -> None:
    letter = Letter(Text(body), SENT)
    data = envelope.seal(ALICE, GROUP, KEY, letter)
    assert len(data) % 256 == 0
    received = envelope.open_letter(AS_MEMBER, [KEY], data)
    assert (received.sender, received.letter, len(received.signature)) == (ALICE.account_id, letter, 64)


def test_a_message_of_another_group_is_refused() -> None:
    other = GroupIdentity.of_seed(b"\7" * 32)
    data = envelope.seal(ALICE, other, KEY, Letter(Text("x"), SENT))
    with pytest.raises(MessageError, match="signature"):
        envelope.open_letter(AS_MEMBER, [KEY], data)
    with pytest.raises(MessageError, match="no key"):
        envelope.open_letter(AS_MEMBER, [], data)
    with pytest.raises(ValueError, match="too large"):
        envelope.encrypt(ALICE, GROUP, KEY, hashlib.shake_256(b"").digest(80_000), NONCE)


@given(st.binary(max_size=200), st.booleans())
def test_no_bytes_break_the_opening_of_group_messages(data: bytes, encrypted: bool) -> None:
    stored = NONCE + crypto.encrypt(data, NONCE, KEY) if encrypted else data
    with pytest.raises(MessageError):
        envelope.open_letter(AS_MEMBER, [KEY], stored)


@given(st.binary(max_size=100), st.sampled_from([b"d", b"z"]))
def test_nothing_that_a_member_signs_breaks_the_opening(body: bytes, name: bytes) -> None:
    inner = {b"": 1, b"a": BOB.ed25519_public, name: body, b"s": BOB.sign(body + GROUP.public)}
    stored = NONCE + crypto.encrypt(bencode.encode(inner), NONCE, KEY)
    with contextlib.suppress(MessageError):
        assert envelope.open_letter(AS_MEMBER, [KEY], stored).sender == BOB.account_id


# Notices to removed members (§7)


def test_the_notice_to_a_removed_member_has_its_published_bytes() -> None:
    data = kicked.seal(GROUP, [BOB.account_id], 0, NONCE)
    assert data.hex() == (
        "64313a2332343a000102030405060708090a0b0c0d0e0f1011121314151617313a656c34393ab3899b32cb3e4a734af134585641ab0b36e9"
        "fae42cd32318971dbe186c0b77e91951208adc37e62d2b7c4b914f4964b7376565"
    )
    assert kicked.is_for(AS_MEMBER, BOB, data, 0)
    assert not kicked.is_for(AS_MEMBER, BOB, data, 1), "an older notice than the key that we have"
    assert not kicked.is_for(AS_MEMBER, ALICE, data, 0)


@given(st.binary(max_size=200))
def test_no_bytes_are_a_notice(data: bytes) -> None:
    assert not kicked.is_for(AS_MEMBER, BOB, data, 0)


# Signatures of admins (§6)


@pytest.mark.parametrize(
    "update",
    [
        updates.Invite(GROUP.group_id, "Group", b"a" * 100),
        updates.InfoChange(updates.InfoKind.NAME, name="New"),
        updates.MemberChange(updates.MemberKind.REMOVED, (BOB.account_id,)),
        updates.DeleteContent((BOB.account_id,), ("hash",)),
    ],
)
def test_what_an_admin_signs_is_good_for_its_time_and_recipient(update: updates.GroupUpdate) -> None:
    signed = admin.signed(GROUP, update, SENT, BOB.account_id)
    assert admin.is_good(AS_MEMBER, signed, SENT, BOB.account_id)
    assert not admin.is_good(AS_MEMBER, signed, SENT + 1, BOB.account_id)
    other = GroupIdentity.of_seed(b"\7" * 32)
    assert not admin.is_good(AS_MEMBER, admin.signed(other, update, SENT, BOB.account_id), SENT, BOB.account_id)
    # Only who deletes messages of its own need not sign.
    assert admin.is_good(AS_MEMBER, update, SENT) == isinstance(update, updates.DeleteContent)


def test_a_promotion_proves_itself_by_the_seed() -> None:
    assert GROUP.seed is not None
    assert admin.is_good(AS_MEMBER, updates.Promote(GROUP.seed, ""), SENT)
    assert not admin.is_good(AS_MEMBER, updates.Promote(b"\7" * 32, ""), SENT)


# Configs under the group's keys (§3)


def digest(payloads: list[bytes]) -> str:
    return hashlib.sha256(b"".join(payloads)).hexdigest()


def test_a_new_group_is_read_by_its_members_and_by_nobody_removed() -> None:
    keys = GroupKeys(ALICE, GROUP)
    keys.load("k", keys.rekey(MEMBERS).payload, SENT)
    info = GroupInfo(GROUP.public, keys.keys, GROUP.secret)
    members = GroupMembers(GROUP.public, keys.keys, GROUP.secret)
    info.name, info.description, info.created, info.timer = "Grp", "about", 1_700_000_000, 60
    members.set(Member(ALICE.account_id, "Alice", admin=True))
    members.set(Member(BOB.account_id, "Bob", invite=Step.SENT))
    bob = GroupKeys(BOB, AS_MEMBER)
    bob.load("k", make_key(GROUP, MEMBERS, 0).payload, SENT)
    # As a compiled libsession pushed them.
    assert digest(info.push().payloads) == "65e5c807b6dd36430032e0bc6b97294b78fdded7e500b3be43661749bafa64e9"
    assert digest(members.push().payloads) == "041f8443372f03b8b6742ae9ce269fd87cba0001f99da5602f69b773c7eca770"
    read = GroupMembers(GROUP.public, bob.keys)
    read.merge([("m", members.push().payloads[0])])
    assert [each.name for each in read] == ["Alice", "Bob"]
    members.erase(BOB.account_id)
    keys.rekey([ALICE.account_id])
    members.set_keys(keys.keys, rekeyed=True)
    assert read.merge([("n", members.push().payloads[0])]).unread == ["n"]


# Communities (§9)

SERVER = bytes.fromhex("c3b3c6f32f0ab5a57f853cc4f30f5da7fda5624b0c77b3fb0829de562ada081d")


@pytest.mark.parametrize(
    ("scheme", "blinded_id", "signature"),
    [
        (
            15,
            "150212702e060007221266908a4305a8807d3425882a5466628c56891aa71da866",
            b"FXQ1j88VHsgqhNsSEqZjk1tU0gX7Mu8ztNnjuOlbTxV1DK7ZeJLbgAeP6ILsWXiHq5/qAqAAw0yS8hWE4m0RDw==",
        ),
        (
            25,
            "257d3d7b4ca9b44a37223cadcd5a33d210ec5a50880a75d3c268399289b23f941b",
            b"2kifJA6H9QMjrUCPIgg9YKSRNvJa077fcfkF9lYTBIs9w2zSm67IleYIdyUQ9NhutVVhzznK7HHBVI29AIiUBA==",
        ),
    ],
)
def test_blinded_ids_and_requests_have_their_published_bytes(
    scheme: blinding.Scheme, blinded_id: str, signature: bytes
) -> None:
    key = blinded_key(ALICE, SERVER, scheme)
    assert key.blinded_id == blinded_id
    text = blinding.request_text(SERVER, bytes(range(16)), 1_700_000_000, "GET", "/capabilities")
    assert base64.b64encode(key.sign(text)) == signature
    assert blinding.verify(blinded_id, key.sign(text), text)
    assert not blinding.verify(blinded_id, key.sign(text), text + b"x")


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=32, max_size=32), st.sampled_from([15, 25]))
def test_everybody_finds_the_account_behind_their_blinded_id(
    entropy: bytes, server: bytes, scheme: blinding.Scheme
) -> None:
    account = Account(entropy)
    key = blinded_key(account, server, scheme)
    assert key.blinded_id in blinding.candidates(account.account_id, server)
    assert blinding.is_blinded(key.blinded_id, account.account_id, server)
    assert blinding.verify(key.blinded_id, key.sign(b"text"), b"text")
    assert not blinding.is_blinded(key.blinded_id, EVE.account_id, server)


@pytest.mark.parametrize("scheme", [15, 25])
def test_blinded_messages_are_read_by_both_sides_and_prove_their_sender(scheme: blinding.Scheme) -> None:
    alice, bob = blinded_key(ALICE, SERVER, scheme), blinded_key(BOB, SERVER, scheme)
    data = blinding.seal(alice, bob.blinded_id, b"padded")
    for reader in (alice, bob):
        opened = blinding.open_sealed(reader, alice.blinded_id, bob.blinded_id, SERVER, data)
        assert opened == (ALICE.account_id, b"padded")
    eve = blinded_key(EVE, SERVER, scheme)
    with pytest.raises(BlindingError, match="no key"):
        blinding.open_sealed(eve, alice.blinded_id, bob.blinded_id, SERVER, data)
    # Who knows the key, Bob, cannot make it look as if Alice had written it.
    nonce = data[-24:]
    key = blinding._message_key(bob, alice.public, alice.public, bob.public)
    forged = b"\0" + crypto.encrypt(b"padded" + BOB.ed25519_public, nonce, key) + nonce
    with pytest.raises(BlindingError, match="somebody else"):
        blinding.open_sealed(bob, alice.blinded_id, bob.blinded_id, SERVER, forged)


@given(st.binary(max_size=200), st.text(max_size=70))
def test_nothing_breaks_the_opening_of_blinded_messages(data: bytes, name: str) -> None:
    bob = blinded_key(BOB, SERVER)
    for sender in (name, "15" + "00" * 32, blinded_key(ALICE, SERVER).blinded_id):
        with pytest.raises(BlindingError):
            blinding.open_sealed(bob, sender, bob.blinded_id, SERVER, data)
        assert not blinding.verify(sender, data, data)


# Arithmetic


@given(st.binary(min_size=32, max_size=32))
def test_points_and_x25519_keys_belong_together(seed: bytes) -> None:
    public, secret = crypto.key_pair(seed)
    montgomery = bindings.crypto_sign_ed25519_pk_to_curve25519(public)
    point = curve.point_of(montgomery)
    assert public in (point, curve.flipped(point)) and not curve.is_negative(point)
    scalar = curve.secret_scalar(secret)
    assert curve.base_times(curve.reduce(scalar + bytes(32))) == public
    assert bindings.crypto_scalarmult_base(scalar) == montgomery
